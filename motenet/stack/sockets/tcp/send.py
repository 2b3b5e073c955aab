"""The sending half of a connection: what is in flight, what may follow, and when to ask for an answer."""

from motenet.core.clock import FOREVER
from motenet.stack.sockets.tcp import recovery, retransmission
from motenet.stack.sockets.tcp.recovery import FAST
from motenet.stack.sockets.tcp.send_state import UNTIMED, SendState
from motenet.stack.sockets.tcp.tail import NONE
from motenet.stack.sockets.tcp.timers import OVERRIDE, RTO_MAXIMUM, STAMP_TICK


class Sender(SendState):
    """SND.UNA, SND.NXT, SND.WND and what becomes of them. All sequence numbers are unwrapped ones."""

    # --- what may be sent ---

    def allowance(self) -> int:
        """How many bytes may follow `nxt`, for the peer's window and the congestion window. May be negative."""
        room = self.congestion.window - self.board.pipe
        if self.duplicates and not (self.phase or self.sack):
            room += min(self.duplicates, 2) * self.mss  # limited transmit (RFC 3042); with SACK `pipe` shrinks instead
        usable = self.una + self.wnd - self.nxt
        return usable if usable < room else room

    def next_range(self, largest: int) -> tuple[int, int]:
        """What to send now: a sequence number, and SEG.LEN with a FIN; 0: nothing. `largest` is the card's segment.

        In this order: a probe that is due, what is lost, new data, a rescue (RFC 6675, 4, NextSeg, rules 1, 2 and 4).
        """
        if self.board.lost or self.tail.due:
            return self._next_again(largest)
        seq, end = self.nxt, self.ring.end
        if seq < self.urgent or self.reduction_due:
            largest = self.unit  # a card would copy URG and CWR to every piece
        if end - seq > largest and self.allowance() >= largest:
            return seq, largest  # in the midst of much data
        length = self.next_length(largest)
        if self.fin and seq + length == end and (end < self.una + self.wnd or self._fin_probes()):
            length += 1
        if not length and self.phase == FAST and self.sack:
            return retransmission.rescue(self)
        return seq, length

    def _next_again(self, largest: int) -> tuple[int, int]:
        """What was sent before, mostly: a probe for the tail, or what is lost, or a probe for the window."""
        if self.tail.due:
            return retransmission.tail_probe(self)
        seq, length = retransmission.next_lost(self, largest)
        if not length and self.force:
            length = max(min(self.ring.end - seq, self.wnd, self.unit), 1)
        return seq, length

    def _fin_probes(self) -> bool:
        """Whether a FIN alone asks a peer for its window."""
        return self.force and self.nxt == self.una == self.ring.end

    def next_length(self, largest: int) -> int:
        """How many bytes to send at `nxt`, at most `largest` (a multiple of the MSS) in one go; 0: none now.

        The rules (1) to (4) of 3.8.6.2.1, with Nagle's condition (3.7.4) as modified in appendix A.3.
        """
        unsent = self.ring.end - self.nxt
        if unsent <= 0:
            return 0
        usable = self.allowance()
        length = min(unsent, usable, largest)
        mss = self.unit
        if length >= mss:  # (1)
            rest = length % mss
            return length - rest if rest and not (length == unsent and self._tail_may_go()) else length
        if self.force and self.nxt == self.una:
            return max(min(unsent, self.wnd, mss), 1)  # (4), or a zero-window probe of one byte (3.8.6.1)
        if length <= 0:
            return 0
        if length == unsent and self._tail_may_go():  # (2): all that we have is pushed
            return length
        if self.nxt < self.max:
            return length  # sent before: it is no longer ours to hold back
        if 2 * length >= self.max_wnd and (self.nxt == self.una or not self.nagle):  # (3)
            return length
        return 0

    def _tail_may_go(self) -> bool:
        """Whether less than an MSS may be sent: no small segment is on its way, or Nagle is off, or FIN follows."""
        return not self.nagle or self.fin or self.small <= self.una

    def sent(self, now: int, seq: int, length: int, fin: bool, probe: bool) -> None:
        """A segment has gone out; `length` is SEG.LEN. A `probe` lies beyond the window and does not move SND.NXT."""
        behind = seq + length
        again = seq < self.max
        if self.waiting_since == FOREVER:
            self.waiting_since = now
        if again:
            self.retransmissions += 1
            self.resent_at = now
            if not self.sack or seq < self.timed <= behind:
                self.timed = UNTIMED  # Karn (MUST-18): not while an acknowledgment could be ambiguous
        else:
            if self.timed == UNTIMED and not probe:
                self.timed, self.timed_at = behind, now
            if length - fin < self.unit:
                self.small = behind
        if behind > self.max:
            self.max = behind
        self.force = False
        if probe:
            self._arm_probe(now)
            return
        if seq < self.nxt:
            retransmission.resent(self, now, seq, behind)
        else:
            if seq != self.isn:
                self.board.sent(seq, behind, now, again)
            self.nxt = behind
        if self.phase:
            self.prr.out += length
        if self.tail.due:
            self.tail.sent(self.nxt, again)
            self.rto_at = FOREVER  # RFC 8985, 7.3: it begins anew
        self.probe_at = FOREVER
        self.probes = 0
        self.sent_at = now
        self.peak = self.nxt - self.una
        if self.rto_at == FOREVER:
            self.rto_at = now + self.rtt.timeout  # RFC 6298, 5.1

    def restart_if_idle(self, now: int) -> None:
        """RFC 5681, 4.1: after a pause of more than an RTO the window starts anew."""
        if self.nxt == self.una and now - self.sent_at > self.rtt.timeout:
            self.congestion.idle(now)

    # --- timers ---

    def tail_at(self) -> int:
        """When a loss probe is due (RFC 8985, 7.2): in the open, with SACK, and if nothing else asks for an answer."""
        board = self.board
        if not self.sack or not board.pipe or self.phase or board.sacked or board.lost or self.tail.end != NONE:
            return FOREVER
        since = max(self.sent_at, self.tail.since)
        at = since + self.tail.interval(self.rtt.smoothed, board.pipe < 2 * self.unit)
        return at if at < self.rto_at else self.rto_at

    def wait_for_window(self, now: int) -> None:
        """What there is may not be sent, and no answer is expected: probe or override in time (SHLD-29, MUST-34)."""
        waits = self.board.lost or self.ring.end + self.fin > self.nxt
        if waits and self.probe_at == FOREVER and self.rto_at == FOREVER:
            self._arm_probe(now)

    def _arm_probe(self, now: int) -> None:
        if self.waiting_since == FOREVER:
            self.waiting_since = now
        if self.wnd > 0:
            interval = OVERRIDE if self.congestion.window else self.rtt.timeout  # recovery.marked()
        else:
            interval = min(self.rtt.timeout << min(self.probes, 16), RTO_MAXIMUM)  # SHLD-30
        self.probe_at = now + interval

    def probe_expired(self) -> None:
        self.probe_at = FOREVER
        self.force = True
        self.probes += 1

    def retransmission_expired(self, now: int) -> None:
        """RFC 6298, 5.4 to 5.6: the earliest segment goes again, with the loss window."""
        self.timeouts += 1
        if self.una == self.isn:
            self.lost_syn = True
            self.nxt = self.una
        else:
            recovery.timed_out(self, now)
        self.rtt.back_off()
        self.timed = UNTIMED
        self.rto_at = FOREVER

    # --- acknowledgments (3.10.7.4, fifth) ---

    def update_window(self, seq: int, ack: int, window: int) -> bool:
        """Take the window that a segment offers, unless it is an old one. Says whether it changed."""
        if self.wl1 < seq or (self.wl1 == seq and self.wl2 <= ack):
            self.wl1, self.wl2 = seq, ack
            if window != self.wnd:
                self.wnd = window
                if window > self.max_wnd:
                    self.widen(window)
                if window:
                    self.probes = 0
                return True
        return False

    def acknowledged(self, now: int, ack: int, measured: int | None) -> None:
        """`ack` is beyond SND.UNA, in the open and undisturbed. `measured`: the round trip that the timestamps tell."""
        length = ack - self.una
        self.advance(now, ack, measured)
        last = self.board.forward(ack)
        if last is not None:
            self.rack.delivered(now, ack, last.at, last.again)
        self.congestion.acknowledged(now, length, self.peak, self.rack.rtt)
        self.rearm(now)

    def advance(self, now: int, ack: int, measured: int | None) -> None:
        """SND.UNA moves, and a round trip may have been measured."""
        if self.timed != UNTIMED and ack >= self.timed:
            self.measure(now)
        elif measured is not None:
            if measured <= now - self.resent_at + STAMP_TICK:
                self.rtt.sample(measured)  # RFC 7323, 4.1: of what was sent again
            else:
                self.rtt.forgive()  # the echo is of what was sent first
        self.una = ack
        self.ring.release(ack if ack < self.ring.end else self.ring.end)
        if self.nxt < ack:
            self.nxt = ack
        self.force = False
        self.probe_at = FOREVER
        self.probes = 0

    def measure(self, now: int) -> None:
        """What is timed has arrived."""
        took = now - self.timed_at
        self.rtt.sample(took)
        if not self.rack.rtt:
            self.rack.begin(now, took)
        self.timed = UNTIMED

    def rearm(self, now: int) -> None:
        """New data was acknowledged: the timers begin anew."""
        self.tail.due = False
        if self.nxt == self.una:
            self.rto_at = FOREVER  # RFC 6298, 5.2
            self.waiting_since = FOREVER
        else:
            self.waiting_since = self.tail.since = now
            self.rto_at = now + self.rtt.timeout  # RFC 6298, 5.3
