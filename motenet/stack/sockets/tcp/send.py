"""The sending half of a connection: what is in flight, what may follow, and when to ask for an answer."""

from typing import ClassVar

from motenet.core.clock import FOREVER
from motenet.core.state import Component, Plain
from motenet.stack.sockets.tcp import recovery
from motenet.stack.sockets.tcp.buffers import Ring
from motenet.stack.sockets.tcp.congestion import CONTROLS, DEFAULT, CongestionControl, control_name
from motenet.stack.sockets.tcp.prr import Prr
from motenet.stack.sockets.tcp.rack import Rack
from motenet.stack.sockets.tcp.receive import DEFAULT_MSS
from motenet.stack.sockets.tcp.recovery import FAST, OPEN
from motenet.stack.sockets.tcp.scoreboard import Scoreboard
from motenet.stack.sockets.tcp.tail import NONE, TailProbe
from motenet.stack.sockets.tcp.timers import OVERRIDE, RTO_MAXIMUM, STAMP_TICK, RoundTrip

_UNTIMED = -1


class Sender(Component):
    """SND.UNA, SND.NXT, SND.WND and what belongs to them. All sequence numbers are unwrapped ones."""

    STATE: ClassVar[tuple[str, ...]] = (
        "isn", "una", "nxt", "max", "wnd", "wl1", "wl2", "max_wnd", "scale", "mss", "unit", "fin", "urgent", "nagle",
        "small", "sack", "control", "phase", "recover", "duplicates", "partials", "rescued", "marker", "repeated",
        "repeated_at", "ecn", "reduced", "reduction_due", "timed", "timed_at", "peak", "sent_at", "resent_at",
        "rto_at", "probe_at", "probes", "force", "waiting_since", "lost_syn", "retransmissions", "timeouts",
        "fast_retransmits", "undone",
    )  # fmt: skip

    def __init__(self, capacity: int, control: str = DEFAULT) -> None:
        self.ring = Ring(capacity)
        """From the first byte that is not acknowledged up to the last that the application has given."""
        self.board = Scoreboard()
        self.rack = Rack()
        self.tail = TailProbe()
        self.prr = Prr()
        self.rtt = RoundTrip()
        self.control = control
        self.congestion: CongestionControl = CONTROLS[control]()
        self.isn = 0
        """ISS."""
        self.una = 0
        self.nxt = 0
        """SND.NXT."""
        self.max = 0
        """What can be acknowledged lies before this: SND.NXT, or what a window probe has sent beyond it."""
        self.wnd = 0
        self.wl1 = 0
        self.wl2 = 0
        self.max_wnd = 0
        """MAX.SND.WND (RFC 5961, 5.2); Max(SND.WND) of 3.8.6.2.1."""
        self.scale = 0
        """Snd.Wind.Shift."""
        self.mss = 0
        """Eff.snd.MSS (3.7.1), kept up to date by the socket."""
        self.unit = 0
        """How much makes a full segment: the MSS, but at most half of the largest window that there was."""
        self.fin = False
        """The application has closed: a FIN follows the last byte."""
        self.urgent = 0
        """SND.UP: the number behind the urgent data."""
        self.nagle = True
        self.small = 0
        """The number behind the last segment that was smaller than the MSS (appendix A.3)."""
        self.sack = False
        """Both sides have agreed on SACK: recovery is RACK's, not NewReno's."""
        self.phase = OPEN
        self.recover = 0
        """RecoveryPoint (RFC 6675), `recover` (RFC 6582): the highest number sent when the last loss was found."""
        self.duplicates = 0
        """Duplicate acknowledgments in a row, of a peer without SACK."""
        self.partials = 0
        """Partial acknowledgments in this recovery."""
        self.rescued = False
        """RFC 6675, 4: this recovery has had its rescue retransmission."""
        self.marker = NONE
        """Where the last recovery began, as long as it may prove needless."""
        self.repeated = NONE
        """Bytes that it has sent again, and no D-SACK has reported; NONE: it has not sent any."""
        self.repeated_at = FOREVER
        """When it first sent something again, until the answer to that has come (RFC 3522)."""
        self.ecn = False
        """Both sides have agreed on ECN (RFC 3168)."""
        self.reduced = 0
        """SND.NXT when the window was reduced last: marks of what was sent before say nothing new (RFC 3168, 6.1.2)."""
        self.reduction_due = False
        """CWR is to go with the next new data."""
        self.timed = _UNTIMED
        """The number whose acknowledgment ends a round-trip measurement."""
        self.timed_at = 0
        self.peak = 0
        """FlightSize when something was sent last: how much of the congestion window is really used."""
        self.sent_at = 0
        self.resent_at = 0
        """When something was sent again last."""
        self.rto_at = FOREVER
        self.probe_at = FOREVER
        """When to probe a zero window, or to override silly window avoidance."""
        self.probes = 0
        self.force = False
        """The timer above has expired: send something."""
        self.waiting_since = FOREVER
        """Since when the peer owes us an answer: what the user timeout counts from."""
        self.lost_syn = False
        self.retransmissions = 0
        self.timeouts = 0
        self.fast_retransmits = 0
        self.undone = 0
        """Recoveries that proved needless."""

    def start(self, isn: int) -> None:
        """Choose the initial sequence number; the SYN is the first to be sent."""
        self.isn = self.una = self.nxt = self.max = self.recover = self.urgent = self.small = self.reduced = isn
        self.ring.anchor(isn + 1)

    @property
    def flight(self) -> int:
        """FlightSize: sequence numbers sent and not acknowledged."""
        return self.nxt - self.una

    @property
    def unsent(self) -> int:
        """Bytes that have not been sent yet."""
        return max(self.ring.end - self.nxt, 0)

    @property
    def recovering(self) -> bool:
        """Whether a loss is being repaired without the timer."""
        return self.phase == FAST

    @property
    def undisturbed(self) -> bool:
        """Nothing is lost or out of order, and no probe awaits its answer: acknowledgments need no second look."""
        board = self.board
        return not (self.phase or board.sacked or board.lost or self.duplicates) and self.tail.end == NONE

    @property
    def busy(self) -> bool:
        """Whether there may be something to send: anew, again, or as a probe."""
        end = self.ring.end
        return (
            end > self.nxt or self.board.lost > 0 or self.tail.due or self.force or self.phase == FAST
            or (self.fin and end == self.nxt)
        )  # fmt: skip

    @property
    def fin_acknowledged(self) -> bool:
        return self.fin and self.una > self.ring.end

    @property
    def wants_sample(self) -> bool:
        """Whether a coarse measurement of the round-trip time is better than what there is."""
        return self.timed == _UNTIMED or self.rtt.backoffs > 0

    def acceptable(self) -> int:
        """SND.NXT for a segment without data: never beyond the peer's window, where it would not be looked at."""
        edge = self.una + self.wnd
        return self.max if self.max < edge else edge

    # --- what may be sent ---

    def allowance(self) -> int:
        """How many bytes may follow `nxt`, for the peer's window and the congestion window. May be negative."""
        room = self.congestion.window - self.board.pipe
        if self.duplicates and not self.phase:
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
            return recovery.rescue(self)
        return seq, length

    def _next_again(self, largest: int) -> tuple[int, int]:
        """What was sent before, mostly: a probe for the tail, or what is lost, or a probe for the window."""
        if self.tail.due:
            return recovery.tail_probe(self)
        seq, length = recovery.next_lost(self, largest)
        if not length and self.force and not self.board.pipe:
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
                self.timed = _UNTIMED  # Karn (MUST-18): not while an acknowledgment could be ambiguous
        else:
            if self.timed == _UNTIMED and not probe:
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
            recovery.resent(self, now, seq, behind)
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
        at = since + self.tail.interval(self.rtt.smoothed, board.pipe <= self.unit)
        return at if at < self.rto_at else self.rto_at

    def wait_for_window(self, now: int) -> None:
        """Nothing is in flight, and what there is may not be sent: probe or override in time (SHLD-29)."""
        waits = self.board.lost or self.ring.end + self.fin > self.nxt
        if waits and self.probe_at == FOREVER and not self.board.pipe:
            self._arm_probe(now)

    def _arm_probe(self, now: int) -> None:
        if self.waiting_since == FOREVER:
            self.waiting_since = now
        interval = OVERRIDE if self.wnd > 0 else min(self.rtt.timeout << min(self.probes, 16), RTO_MAXIMUM)  # SHLD-30
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
        self.timed = _UNTIMED
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
        if self.timed != _UNTIMED and ack >= self.timed:
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
        self.timed = _UNTIMED

    def rearm(self, now: int) -> None:
        """New data was acknowledged: the timers begin anew."""
        self.tail.due = False
        if self.nxt == self.una:
            self.rto_at = FOREVER  # RFC 6298, 5.2
            self.waiting_since = FOREVER
        else:
            self.waiting_since = self.tail.since = now
            self.rto_at = now + self.rtt.timeout  # RFC 6298, 5.3

    # --- state ---

    def use(self, control: str) -> None:
        """Switch to another congestion control, as at the start of a connection. ConfigurationError: there is none."""
        self.control = control_name(control)
        self.congestion = CONTROLS[self.control]()
        if self.mss:
            self.congestion.start(self.mss, False)

    def fit(self, mss: int) -> None:
        """Segments have another size from now on."""
        self.mss = mss
        self.congestion.fit(mss)
        self.widen(self.max_wnd)

    def widen(self, window: int) -> None:
        """The peer's window is larger than ever. One that two segments do not fit into takes two smaller ones.

        So the loss of one is seen by what becomes of the other, and no rest waits for Nagle's sake (Linux,
        tcp_bound_to_half_wnd()).
        """
        self.max_wnd = window
        self.unit = min(self.mss, max(window // 2 if window > DEFAULT_MSS else window, 1))

    def save(self) -> Plain:
        return {
            **super().save(),
            "board": self.board.save(),
            "rack": self.rack.save(),
            "tail": self.tail.save(),
            "prr": self.prr.save(),
            "rtt": self.rtt.save(),
            "congestion": self.congestion.save(),
            "held": self.ring.contents(()),
            "capacity": self.ring.capacity,
        }

    def load(self, state: Plain) -> None:
        super().load(state)
        self.board.load(state["board"])
        self.rack.load(state["rack"])
        self.tail.load(state["tail"])
        self.prr.load(state["prr"])
        self.rtt.load(state["rtt"])
        self.congestion = CONTROLS[self.control]()
        self.congestion.load(state["congestion"])
        if state["capacity"] != self.ring.capacity:
            self.ring = Ring(state["capacity"])
        self.ring.restore(state["held"])
