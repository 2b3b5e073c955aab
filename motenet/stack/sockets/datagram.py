"""What sockets for whole messages have in common: a bounded queue each way, and what went wrong."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar

from motenet.core import units
from motenet.core.checksum import Buffer
from motenet.core.errors import ConfigurationError
from motenet.core.trace import HasNow
from motenet.stack import errors
from motenet.stack.address import format_endpoint
from motenet.stack.packet import Outgoing
from motenet.stack.sockets.socket import Socket

QUEUE_BYTES = 256 * 1024
"""How much a queue takes by default, each message charged with some bookkeeping."""

_MESSAGE_COST = 64
_MAXIMUM_ERRORS = 16

Failure = tuple[str, bytes, int]
"""A kind of failure ("port", "host", ...), and the remote address and port (or identifier) that it is about."""

_EXCEPTIONS: dict[str, type[errors.StackError]] = {
    "port": errors.ConnectionRefused,
    "protocol": errors.ConnectionRefused,
    "network": errors.NetworkUnreachable,
    "fragmentation-needed": errors.MessageTooLong,
    "packet-too-big": errors.MessageTooLong,
}
"""As in Linux; of all other kinds: HostUnreachable."""


def exception(failure: Failure) -> errors.StackError:
    """The error that an application gets for a failure."""
    kind, address, port = failure
    why = f"{kind} unreachable" if kind in ("network", "host", "protocol", "port") else kind
    return _EXCEPTIONS.get(kind, errors.HostUnreachable)(
        f"what was sent to {format_endpoint(address, port)} could not be delivered: {why}"
    )


def check_data(data: Buffer) -> Buffer:
    """The data, if it is some; else ConfigurationError."""
    if not isinstance(data, bytes | bytearray | memoryview):
        hint = ": text.encode() makes bytes of text" if isinstance(data, str) else ""
        raise ConfigurationError(f"data is bytes, not {type(data).__name__}{hint}")
    if isinstance(data, memoryview) and data.nbytes != len(data):
        raise ConfigurationError("data is bytes, not a memoryview of larger items: data.cast('B') makes one of bytes")
    return data


def _any_interface(interface: str) -> None:
    """A socket outside a set knows no interfaces."""


def _any_address(address: bytes) -> bool:
    """Nor addresses."""
    return True


class DatagramSocket(Socket, ABC):
    """Queues of messages; each is a tuple whose last member is the data."""

    STATE: ClassVar[tuple[str, ...]] = (
        *Socket.STATE, "incoming", "incoming_bytes", "outgoing", "outgoing_bytes", "queue_bytes", "failures",
        "closed",
    )  # fmt: skip

    def __init__(self, clock: HasNow, path: str = "") -> None:
        super().__init__(clock, path)
        self.check_interface: Callable[[str], None] = _any_interface
        """Wiring, set by the set: ConfigurationError for a name that no interface has."""
        self.is_local: Callable[[bytes], bool] = _any_address
        """Wiring, set by the set: whether an address is one of ours."""
        self.incoming: deque[tuple[Any, ...]] = deque()
        self.incoming_bytes = 0
        self.outgoing: deque[tuple[Any, ...]] = deque()
        self.outgoing_bytes = 0
        self._queue_bytes = QUEUE_BYTES
        self.failures: deque[Failure] = deque()
        """What ICMP or address resolution has said about what was sent; the latest only."""
        self.closed = False

    @property
    @abstractmethod
    def key(self) -> Any:
        """For the stack: what packets are matched by; None while unbound."""

    @property
    def finished(self) -> bool:
        """For the stack: closed, and nothing is left to send."""
        return self.closed and not self.outgoing

    @property
    def queue_bytes(self) -> int:
        """The bound of either queue ("64KiB"); each message counts for 64 bytes more than it has."""
        return self._queue_bytes

    @queue_bytes.setter
    def queue_bytes(self, size: str | int) -> None:
        self._queue_bytes = units.size(size)

    @property
    def can_send(self) -> bool:
        """Whether there is room for a message; a long one may find too little all the same."""
        return not self.closed and self.outgoing_bytes + _MESSAGE_COST < self.queue_bytes

    @property
    def can_receive(self) -> bool:
        """Whether a message waits."""
        return bool(self.incoming)

    def close(self) -> None:
        """Receive no more; what is queued is still sent."""
        self.closed = True
        self.ready()

    # --- towards the set

    def poll_at(self, now: int) -> int | None:
        return now if self.outgoing else None

    def dispatch(self, now: int, emit: Callable[[Outgoing], bool]) -> None:
        """For the stack: hand over what is queued, until `emit` says that there is no room."""
        outgoing = self.outgoing
        before = len(outgoing)
        while outgoing:
            message = outgoing[0]
            if not emit(self._packet(message)):
                break
            outgoing.popleft()
            self.outgoing_bytes -= len(message[-1]) + _MESSAGE_COST
        if len(outgoing) != before:
            self.wake()

    @abstractmethod
    def _packet(self, message: tuple[Any, ...]) -> Outgoing:
        """The packet for a queued message."""

    def fail(self, kind: str, remote: bytes, port: int) -> None:
        """For the stack: something that was sent to `remote` cannot be delivered."""
        if len(self.failures) == _MAXIMUM_ERRORS:
            self.failures.popleft()
        self.failures.append((kind, remote, port))
        self.wake()

    # --- for the kinds of sockets

    def _take(self, *message: Any) -> bool:
        """Queue a received message; when there is no room it is dropped."""
        cost = len(message[-1]) + _MESSAGE_COST
        if self.incoming_bytes + cost > self.queue_bytes:
            self.drop("queue-full")
            return False
        self.incoming.append(message)
        self.incoming_bytes += cost
        self.wake()
        return True

    def _next(self) -> tuple[Any, ...] | None:
        if not self.incoming:
            return None
        message = self.incoming.popleft()
        self.incoming_bytes -= len(message[-1]) + _MESSAGE_COST
        return message

    def _queue(self, *message: Any) -> None:
        """Queue a message to be sent. QueueFull when there is no room; ConfigurationError without such an interface."""
        if self.interface:
            self.check_interface(self.interface)
        if self.closed:
            raise errors.BrokenPipe("this socket is closed: open another one")
        cost = len(message[-1]) + _MESSAGE_COST
        if self.outgoing_bytes + cost > self.queue_bytes:
            raise errors.QueueFull(f"{self.outgoing_bytes} bytes wait to be sent: let the stack run first")
        self.outgoing.append(message)
        self.outgoing_bytes += cost
        self.ready()
