"""The transmission control block (RFC 9293, 3.3.1): all that a connection knows, its settings, and how it is saved."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from motenet.core import units
from motenet.core.clock import FOREVER
from motenet.core.errors import ConfigurationError
from motenet.core.rng import Stream
from motenet.core.state import Plain
from motenet.core.trace import HasNow
from motenet.stack.sockets.socket import Socket, check_number, check_time
from motenet.stack.sockets.tcp.handshake import Endpoint
from motenet.stack.sockets.tcp.receive import DEFAULT_MSS, Receiver
from motenet.stack.sockets.tcp.send import Sender
from motenet.stack.sockets.tcp.state import State
from motenet.stack.sockets.tcp.timers import STAMP_TICK, TIME_WAIT, USER_TIMEOUT
from motenet.stack.wire.tcp import MASK

if TYPE_CHECKING:
    from motenet.stack.sockets.tcp.listener import TcpListener

CAPACITY = 256 * 1024
"""Bytes that each direction buffers by default."""
LARGEST = 1 << 30
"""RFC 7323, 2.3: the largest window is 2^16 - 1 scaled by 14."""

_NOWHERE: Endpoint = (b"", 0)


def _nobody(path: str) -> Socket | None:
    """A socket outside a set knows no other."""
    return None


def _nobody_listens(address: bytes, port: int) -> "TcpListener | None":
    """A socket outside a set knows no listener."""
    return None


def check_buffer(buffer: str | int) -> int:
    """A connection's buffers in bytes; ConfigurationError for none, or for more than a window can tell."""
    size = units.size(buffer)
    if not 1 <= size <= LARGEST:
        raise ConfigurationError(f"buffer={buffer!r}: a connection buffers 1 to {LARGEST} bytes in each direction")
    return size


def _check_interval(name: str, interval: str | int | None) -> int | None:
    if interval is None:
        return None
    checked = check_time(name, interval)
    if not checked:
        raise ConfigurationError(f"{name}={interval!r}: give a time above zero, or None for never")
    return checked


class ControlBlock(Socket):
    """The transmission control block; `sender` and `receiver` hold the sequence variables of either direction."""

    kind: ClassVar[str] = "tcp"
    STATE: ClassVar[tuple[str, ...]] = (
        *Socket.STATE, "state", "local", "remote", "listener", "orphan", "failure", "soft_failure", "reset_due", "work",
        "mss_limit", "path_limit", "peer_mss", "max_segmented", "scaling", "timestamps", "stamped", "stamp_base",
        "traffic_class", "ecn", "confirm_at", "_keep_alive", "probes", "heard_at", "_user_timeout",
        "time_wait", "close_at", "challenge_at", "challenges", "segments_in", "segments_out",
        "source_route", "route_given",
    )  # fmt: skip

    def __init__(
        self,
        clock: HasNow,
        stream: Stream,
        path: str = "",
        receive_capacity: int = CAPACITY,
        send_capacity: int = CAPACITY,
    ) -> None:
        super().__init__(clock, path)
        self.stream = stream
        """Wiring: its key is the secret of the host's sequence numbers."""
        self.find: Callable[[str], Socket | None] = _nobody
        """Wiring, set by the set: the socket of a path."""
        self.listens: Callable[[bytes, int], TcpListener | None] = _nobody_listens
        """Wiring, set by the set: who listens at an address and port, and takes a SYN that we give way to."""
        self.suspect: Callable[[bytes], None] | None = None
        """Wiring: tells the IP layer that the way to this address may be dead (MUST-20 b)."""
        self.confirm: Callable[[bytes], None] | None = None
        """Wiring: tells the IP layer that this address answers, at most once a second (RFC 4861, 7.3.1)."""
        self.now = 0
        self.sender = Sender(send_capacity)
        self.receiver = Receiver(receive_capacity)
        self.state = State.CLOSED
        self.local = self.remote = _NOWHERE
        self.listener = ""
        """The path of the listener that this connection came to, until it is accepted (MUST-11)."""
        self.orphan = False
        """No application holds it any more: the set forgets it once it is finished."""
        self.failure = ""
        self.soft_failure = ""
        """What ICMP has said since the last progress; no reason to give up (MUST-56)."""
        self.reset_due = False
        self.work = False
        """Something may be there to be sent now."""
        self.mss_limit = 1460
        """The largest segment that the interface takes, options included (MMS_R - 20)."""
        self.path_limit = LARGEST
        """As `mss_limit`, for the path to the peer."""
        self.peer_mss = DEFAULT_MSS
        self.max_segmented = 0
        """Payload bytes that the card cuts into segments; 0: it does not."""
        self.scaling = False
        self.timestamps = True
        """Offer timestamps (RFC 7323), or answer them."""
        self.stamped = False
        """Both sides have agreed on timestamps."""
        self.stamp_base = 0
        self._traffic_class = 0
        self.ecn = False
        """Ask for ECN when connecting (RFC 3168). A peer that asks is always answered yes (Linux, tcp_ecn = 2)."""
        self.source_route: tuple[bytes, ...] = ()
        """IPv4: the gateways that our packets pass, in order."""
        self.route_given = False
        """It is the application's (MUST-52)."""
        self.confirm_at = 0
        self._keep_alive: int | None = None
        self.probes = 0
        """Keep-alive probes that are not answered yet."""
        self.heard_at = 0
        self._user_timeout: int | None = USER_TIMEOUT
        self._time_wait = TIME_WAIT
        self.close_at = FOREVER
        self.challenge_at = 0
        self.challenges = 0
        self.segments_in = 0
        self.segments_out = 0

    # --- settings with a deadline ---

    @property
    def keep_alive(self) -> int | None:
        """After how long a silence to ask whether the peer is still there, in ns (timers.KEEP_ALIVE); None: never."""
        return self._keep_alive

    @keep_alive.setter
    def keep_alive(self, interval: str | int | None) -> None:
        self._keep_alive = _check_interval("keep_alive", interval)
        self.ready()

    @property
    def user_timeout(self) -> int | None:
        """R2: how long to wait for an answer, in ns; None: for ever (MUST-21)."""
        return self._user_timeout

    @user_timeout.setter
    def user_timeout(self, timeout: str | int | None) -> None:
        self._user_timeout = _check_interval("user_timeout", timeout)
        self.ready()

    @property
    def time_wait(self) -> int:
        """2 MSL, in ns (3.4.2)."""
        return self._time_wait

    @time_wait.setter
    def time_wait(self, interval: str | int) -> None:
        self._time_wait = check_time("time_wait", interval)

    @property
    def traffic_class(self) -> int:
        """IPv4's TOS or IPv6's traffic class, 0 to 255 (MUST-48)."""
        return self._traffic_class

    @traffic_class.setter
    def traffic_class(self, value: int) -> None:
        self._traffic_class = check_number("traffic_class", value, 0xFF)

    def stamp(self) -> int:
        """TSval now (RFC 7323, 5.4)."""
        return (self.stamp_base + self.now // STAMP_TICK) & MASK

    # --- state ---

    def save(self) -> Plain:
        return {**super().save(), "sender": self.sender.save(), "receiver": self.receiver.save()}

    def load(self, state: Plain) -> None:
        super().load(state)
        self.state = State(self.state)
        self.sender.load(state["sender"])
        self.receiver.load(state["receiver"])
