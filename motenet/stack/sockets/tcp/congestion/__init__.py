"""Congestion control: how much may be on its way. One file an algorithm; all speak the protocol below."""

from collections.abc import Callable
from typing import Protocol

from motenet.core.state import Plain
from motenet.stack.sockets.tcp.congestion.newreno import NewReno
from motenet.stack.sockets.tcp.congestion.none import NoControl


class CongestionControl(Protocol):
    """What the sender tells its algorithm, and asks of it. Lengths are bytes, `now` is in nanoseconds.

    The sender finds losses and decides what to send again; the algorithm only answers how much may be in flight.
    """

    window: int
    """cwnd: bytes that may be on their way."""

    def start(self, mss: int, lost_syn: bool) -> None:
        """The connection is established, with segments of `mss` bytes; `lost_syn`: its SYN had to be sent again."""

    def acknowledged(self, now: int, length: int, flight: int) -> None:
        """New data was acknowledged outside recovery; `flight` bytes were on their way when something was sent last."""

    def lost(self, now: int, flight: int) -> None:
        """Three duplicate acknowledgments: fast recovery begins."""

    def duplicate(self) -> None:
        """One more duplicate acknowledgment in recovery: a segment has left the network."""

    def partial(self, length: int) -> None:
        """In recovery `length` bytes were acknowledged, and the next segment is found missing."""

    def recovered(self, now: int, flight: int) -> None:
        """All that was outstanding when recovery began is acknowledged."""

    def timed_out(self, now: int, flight: int, again: bool) -> None:
        """The retransmission timer expired; `again`: for a segment that it had already sent again."""

    def idle(self) -> None:
        """Nothing was sent for longer than the retransmission timeout, and now something is."""

    def save(self) -> Plain: ...
    def load(self, state: Plain) -> None: ...


CONTROLS: dict[str, Callable[[], CongestionControl]] = {"newreno": NewReno, "none": NoControl}
"""What `TcpSocket.congestion_control` may be set to."""
