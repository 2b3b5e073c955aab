"""Congestion control: how much may be on its way. One file an algorithm; all speak the protocol below."""

from collections.abc import Callable
from typing import Protocol

from motenet.core.errors import ConfigurationError
from motenet.core.state import Plain
from motenet.stack.sockets.tcp.congestion.cubic import Cubic
from motenet.stack.sockets.tcp.congestion.newreno import NewReno
from motenet.stack.sockets.tcp.congestion.none import NoControl


class CongestionControl(Protocol):
    """What the sender tells its algorithm, and asks of it. Lengths are bytes, `now` and `rtt` are in nanoseconds.

    The sender finds losses, decides what to send again, and shrinks the window while it does (`take`); the algorithm
    says how far, and how the window grows.
    """

    window: int
    """cwnd: bytes that may be on their way."""
    threshold: int
    """ssthresh: what the window shrinks to when something is lost."""

    def start(self, mss: int, lost_syn: bool) -> None:
        """The connection is established, with segments of `mss` bytes; `lost_syn`: its SYN had to be sent again."""

    def acknowledged(self, now: int, length: int, flight: int, rtt: int) -> None:
        """New data was acknowledged outside recovery; `flight` bytes were on their way when something was sent last.

        `rtt` is the latest round-trip time; 0: there is none yet.
        """

    def lost(self, now: int, flight: int) -> int:
        """Something was lost, or marked (ECN): a new `threshold`. Returns it without its minimum of two segments."""

    def timed_out(self, now: int, flight: int, again: bool) -> None:
        """The retransmission timer expired; `again`: for a segment that it had already sent again."""

    def undo(self) -> None:
        """What looked like a loss was none."""

    def idle(self, now: int) -> None:
        """Nothing was sent for longer than the retransmission timeout, and now something is."""

    def take(self, window: int) -> None:
        """The window that recovery has found."""

    def fit(self, mss: int) -> None:
        """Segments have another size from now on."""

    def save(self) -> Plain: ...
    def load(self, state: Plain) -> None: ...


CONTROLS: dict[str, Callable[[], CongestionControl]] = {"cubic": Cubic, "newreno": NewReno, "none": NoControl}
"""What `TcpSocket.congestion_control` may be set to."""
DEFAULT = "cubic"
_ALIASES = {"reno": "newreno"}


def control_name(name: str) -> str:
    """The name of an algorithm, or of what is also called so; ConfigurationError if there is none."""
    found = _ALIASES.get(name, name)
    if found not in CONTROLS:
        known = ", ".join(sorted((*CONTROLS, *_ALIASES)))
        raise ConfigurationError(f"congestion_control={name!r} is not known: take one of {known}")
    return found
