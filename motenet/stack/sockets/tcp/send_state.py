"""What the sending half of a connection knows (RFC 9293, 3.3.1, send sequence variables), and how that is saved."""

from typing import ClassVar

from motenet.core.clock import FOREVER
from motenet.core.state import Component, Plain
from motenet.stack.sockets.tcp.buffers import Ring
from motenet.stack.sockets.tcp.congestion import CONTROLS, DEFAULT, CongestionControl, control_name
from motenet.stack.sockets.tcp.prr import Prr
from motenet.stack.sockets.tcp.rack import Rack
from motenet.stack.sockets.tcp.receive import DEFAULT_MSS
from motenet.stack.sockets.tcp.recovery import FAST, OPEN
from motenet.stack.sockets.tcp.scoreboard import Scoreboard
from motenet.stack.sockets.tcp.tail import NONE, TailProbe
from motenet.stack.sockets.tcp.timers import RoundTrip

UNTIMED = -1


class SendState(Component):
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
        """Duplicate acknowledgments in a row (RFC 5681, 2; with SACK: RFC 6675, 2)."""
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
        self.timed = UNTIMED
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
        return self.timed == UNTIMED or self.rtt.backoffs > 0

    def acceptable(self) -> int:
        """SND.NXT for a segment without data: never beyond the peer's window, where it would not be looked at."""
        edge = self.una + self.wnd
        return self.max if self.max < edge else edge

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
