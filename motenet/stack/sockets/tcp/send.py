"""The sending half of a connection: what is in flight, what may follow, and what must be sent again."""

from typing import ClassVar

from motenet.core.clock import FOREVER
from motenet.core.state import Component, Plain
from motenet.stack.sockets.tcp.buffers import Ring
from motenet.stack.sockets.tcp.congestion import CONTROLS, CongestionControl
from motenet.stack.sockets.tcp.timers import OVERRIDE, RTO_MAXIMUM, STAMP_TICK, RoundTrip

DUPLICATES = 3  # RFC 5681, 3.2: the fast retransmit threshold
_UNTIMED = -1


class Sender(Component):
    """SND.UNA, SND.NXT, SND.WND and what belongs to them. All sequence numbers are unwrapped ones."""

    STATE: ClassVar[tuple[str, ...]] = (
        "isn", "una", "nxt", "max", "wnd", "wl1", "wl2", "max_wnd", "scale", "mss", "fin", "urgent", "nagle", "small",
        "control", "duplicates", "recover", "recovering", "partials", "resend", "timed", "timed_at",
        "peak", "sent_at", "resent_at", "rto_at", "probe_at", "probes", "force", "waiting_since", "lost_syn",
        "retransmissions", "timeouts", "fast_retransmits",
    )  # fmt: skip

    def __init__(self, capacity: int, control: str = "newreno") -> None:
        self.ring = Ring(capacity)
        """From the first byte that is not acknowledged up to the last that the application has given."""
        self.rtt = RoundTrip()
        self.control = control
        self.congestion: CongestionControl = CONTROLS[control]()
        self.isn = 0
        """ISS."""
        self.una = 0
        self.nxt = 0
        """SND.NXT; after a timeout it goes back to `una`."""
        self.max = 0
        """The highest SND.NXT there was: only what lies before it can be acknowledged."""
        self.wnd = 0
        self.wl1 = 0
        self.wl2 = 0
        self.max_wnd = 0
        """MAX.SND.WND (RFC 5961, 5.2); Max(SND.WND) of 3.8.6.2.1."""
        self.scale = 0
        """Snd.Wind.Shift."""
        self.mss = 0
        """Eff.snd.MSS (3.7.1), kept up to date by the socket."""
        self.fin = False
        """The application has closed: a FIN follows the last byte."""
        self.urgent = 0
        """SND.UP: the number behind the urgent data."""
        self.nagle = True
        self.small = 0
        """The number behind the last segment that was smaller than the MSS (appendix A.3)."""
        self.duplicates = 0
        """Duplicate acknowledgments in a row."""
        self.recover = 0
        """RFC 6582: the highest number sent when the last loss was found."""
        self.recovering = False
        self.partials = 0
        """Partial acknowledgments in this recovery."""
        self.resend = False
        """The segment at `una` is to be sent again at once (fast retransmit)."""
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

    def start(self, isn: int) -> None:
        """Choose the initial sequence number; the SYN is the first to be sent."""
        self.isn = self.una = self.nxt = self.max = self.recover = self.urgent = isn
        self.small = isn
        self.ring.anchor(isn + 1)

    @property
    def flight(self) -> int:
        """FlightSize: sequence numbers sent and not acknowledged."""
        return self.nxt - self.una

    @property
    def unsent(self) -> int:
        """Bytes that wait to be sent (again)."""
        return max(self.ring.end - self.nxt, 0)

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
        window = self.congestion.window
        if self.duplicates and not self.recovering:
            window += min(self.duplicates, 2) * self.mss  # limited transmit (RFC 3042)
        return self.una + (self.wnd if self.wnd < window else window) - self.nxt

    def next_length(self, largest: int) -> int:
        """How many bytes to send at `nxt`, at most `largest` (a multiple of the MSS) in one go; 0: none now.

        The rules (1) to (4) of 3.8.6.2.1, with Nagle's condition (3.7.4) as modified in appendix A.3.
        """
        unsent = self.ring.end - self.nxt
        usable = self.allowance()
        if unsent <= 0:
            return 0
        length = min(unsent, usable, largest)
        mss = self.mss
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
        if self.waiting_since == FOREVER:
            self.waiting_since = now
        if seq < self.max:
            self.retransmissions += 1
            self.resent_at = now
            self.timed = _UNTIMED  # Karn (MUST-18): not while an acknowledgment could be ambiguous
        else:
            if self.timed == _UNTIMED and not probe:
                self.timed, self.timed_at = behind, now
            if length - fin < self.mss:
                self.small = behind
        if behind > self.max:
            self.max = behind
        if self.resend:
            self.resend = False
        elif not probe:
            self.nxt = behind
        if probe:
            self.force = False
            self._arm_probe(now)
            return
        self.force = False
        self.probe_at = FOREVER
        self.probes = 0
        self.sent_at = now
        self.peak = self.nxt - self.una
        if self.rto_at == FOREVER:
            self.rto_at = now + self.rtt.timeout  # RFC 6298, 5.1

    def restart_if_idle(self, now: int) -> None:
        """RFC 5681, 4.1: after a pause of more than an RTO the window starts anew."""
        if self.nxt == self.una and now - self.sent_at > self.rtt.timeout:
            self.congestion.idle()

    # --- timers ---

    def wait_for_window(self, now: int) -> None:
        """Nothing is in flight, and what there is may not be sent: probe or override in time (SHLD-29)."""
        if self.probe_at == FOREVER:
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
        """RFC 6298, 5.4 to 5.6, and RFC 5681, 3.1: go back to `una`, with the loss window."""
        self.timeouts += 1
        if self.una == self.isn:
            self.lost_syn = True
        else:
            self.congestion.timed_out(now, self.flight, self.rtt.backoffs > 0)
        self.rtt.back_off()
        self.recover = self.max  # RFC 6582, 3.2, step 4
        self.recovering = self.resend = False
        self.duplicates = 0
        self.timed = _UNTIMED
        self.nxt = self.una
        self.rto_at = FOREVER

    # --- acknowledgments (3.10.7.4, fifth) ---

    def update_window(self, seq: int, ack: int, window: int) -> bool:
        """Take the window that a segment offers, unless it is an old one. Says whether it changed."""
        if self.wl1 < seq or (self.wl1 == seq and self.wl2 <= ack):
            self.wl1, self.wl2 = seq, ack
            if window != self.wnd:
                self.wnd = window
                self.max_wnd = max(self.max_wnd, window)
                if window:
                    self.probes = 0
                return True
        return False

    def acknowledged(self, now: int, ack: int, measured: int | None) -> None:
        """`ack` is beyond SND.UNA. `measured`: the round-trip time that the timestamps tell."""
        length = ack - self.una
        if self.timed != _UNTIMED and ack >= self.timed:
            self.rtt.sample(now - self.timed_at)
            self.timed = _UNTIMED
        elif measured is not None:
            if measured <= now - self.resent_at + STAMP_TICK:
                self.rtt.sample(measured)  # RFC 7323, 4.1: of what was sent again
            else:
                self.rtt.forgive()  # the echo is of what was sent first
        self.una = ack
        self.ring.release(ack if ack < self.ring.end else self.ring.end)
        if self.nxt < ack:
            self.nxt = ack
        self._recover(now, ack, length)
        self.force = False
        self.probe_at = FOREVER
        self.probes = 0
        if self.nxt == ack:
            self.rto_at = FOREVER  # RFC 6298, 5.2
            self.waiting_since = FOREVER
        else:
            self.waiting_since = now
            if not self.recovering or self.partials == 1:
                self.rto_at = now + self.rtt.timeout  # RFC 6298, 5.3; RFC 6582: in recovery the first time only

    def _recover(self, now: int, ack: int, length: int) -> None:
        """RFC 6582, 3.2: what new data being acknowledged means for recovery."""
        if not self.recovering:
            self.duplicates = 0
            # in slow start after a timeout an acknowledgment may cover what had arrived before (RFC 3465, 2.3: L = 1)
            self.congestion.acknowledged(now, min(length, self.mss) if ack <= self.recover else length, self.peak)
        elif ack >= self.recover:
            self.recovering = False
            self.duplicates = 0
            self.recover = ack - 1  # only the segments missing were sent again: duplicates to come are no echo of them
            self.congestion.recovered(now, self.flight)
        else:
            self.partials += 1
            self.congestion.partial(length)
            self.resend = True

    def duplicate(self, now: int) -> None:
        """A duplicate acknowledgment, as RFC 5681, 2 defines it."""
        self.duplicates += 1
        if self.recovering:
            self.congestion.duplicate()
        elif self.duplicates == DUPLICATES and self.una > self.recover:  # RFC 6582, 3.2, step 1
            self.recovering = True
            self.partials = 0
            self.recover = self.max
            self.resend = True
            self.fast_retransmits += 1
            self.congestion.lost(now, self.flight)

    # --- state ---

    def use(self, control: str) -> None:
        """Switch to another congestion control, as at the start of a connection."""
        self.control = control
        self.congestion = CONTROLS[control]()
        if self.mss:
            self.congestion.start(self.mss, False)

    def save(self) -> Plain:
        return {
            **super().save(),
            "rtt": self.rtt.save(),
            "congestion": self.congestion.save(),
            "held": self.ring.contents(()),
            "capacity": self.ring.capacity,
        }

    def load(self, state: Plain) -> None:
        super().load(state)
        self.rtt.load(state["rtt"])
        self.congestion = CONTROLS[self.control]()
        self.congestion.load(state["congestion"])
        if state["capacity"] != self.ring.capacity:
            self.ring = Ring(state["capacity"])
        self.ring.restore(state["held"])
