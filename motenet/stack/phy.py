"""The physical layer as the interface sees it: devices that hand out tokens, each good for one frame.

A token only promises: the frame is received or sent when it is consumed. Nothing is copied: the views that are lent
belong to the card's memory and die with the call.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol, TypeVar, runtime_checkable

from motenet.core.state import Component
from motenet.doors import Capabilities, FrameFacts, NetworkDriver, Received

T = TypeVar("T")


class RxToken(Protocol):
    """One frame that has come."""

    def consume(self, f: Callable[[Received], T]) -> T:
        """Call `f` with the frame; its views are dead when it returns."""


class TxToken(Protocol):
    """Room for one frame."""

    def consume(self, length: int, f: Callable[[memoryview], None], facts: FrameFacts | None = None) -> bool:
        """Let `f` write a frame of `length` bytes, and send it. False, without calling `f`: no room after all."""


class Device(Protocol):
    """What an interface sends and receives through."""

    def receive(self, now: int) -> tuple[RxToken, TxToken] | None:
        """A frame that has come, and room for an answer to it; None when there is none."""

    def transmit(self, now: int) -> TxToken | None:
        """Room for a frame; None when the device is full."""

    def capabilities(self) -> Capabilities:
        """What it takes and does, constant."""


@runtime_checkable
class MulticastFilter(Protocol):
    """A driver whose card filters groups."""

    def set_multicast(self, groups: Sequence[bytes]) -> None:
        """Let frames to these Ethernet addresses pass, and to no other group."""


class DeviceWrapper:
    """A NetworkDriver as a Device. Its two tokens are made once: a frame costs no objects."""

    def __init__(self, driver: NetworkDriver) -> None:
        self.driver = driver
        self.full = False
        """The ring has refused a frame since the last `begin`."""
        self._rx = DriverRxToken()
        self._tx = DriverTxToken(self)
        self._pair = (self._rx, self._tx)

    def begin(self) -> bool:
        """Look after the card, before a poll of the interface; says whether frames wait."""
        self.full = False
        return self.driver.poll()

    def receive(self, now: int) -> "tuple[DriverRxToken, DriverTxToken] | None":
        received = self.driver.receive()
        if received is None:
            return None
        self._rx.received = received
        return self._pair

    def transmit(self, now: int) -> "DriverTxToken | None":
        return None if self.full else self._tx

    def capabilities(self) -> Capabilities:
        return self.driver.capabilities

    def flush(self) -> None:
        """Tell the card of all frames that were sent, after a poll of the interface: one doorbell."""
        self.driver.flush()


class DriverRxToken:
    """A frame in the card's receive memory."""

    def __init__(self) -> None:
        self.received: Received | None = None

    def consume(self, f: Callable[[Received], T]) -> T:
        received = self.received
        assert received is not None, "a token is good for one frame"
        self.received = None
        return f(received)


class DriverTxToken:
    """Room in the card's transmit ring."""

    def __init__(self, device: DeviceWrapper) -> None:
        self._device = device
        self._reserve = device.driver.reserve
        self._commit = device.driver.commit

    def consume(self, length: int, f: Callable[[memoryview], None], facts: FrameFacts | None = None) -> bool:
        view = self._reserve(length)
        if view is None:
            self._device.full = True
            return False
        f(view)
        self._commit(facts)
        return True


class Loopback(Component):
    """A device whose frames come back to it: a bounded queue of them, first in, first out."""

    STATE: ClassVar[tuple[str, ...]] = ("queue",)

    def __init__(self, limit: int = 256, capabilities: Capabilities | None = None) -> None:
        self.queue: deque[bytes] = deque()
        self.limit = limit
        self._capabilities = capabilities if capabilities is not None else Capabilities()

    def receive(self, now: int) -> "tuple[HeldRxToken, QueueTxToken] | None":
        if not self.queue:
            return None
        return HeldRxToken(Received(memoryview(self.queue.popleft()))), QueueTxToken(self.queue)

    def transmit(self, now: int) -> "QueueTxToken | None":
        return QueueTxToken(self.queue) if len(self.queue) < self.limit else None

    def capabilities(self) -> Capabilities:
        return self._capabilities


class HeldRxToken:
    """A frame in memory of its own."""

    def __init__(self, received: Received) -> None:
        self.received = received

    def consume(self, f: Callable[[Received], T]) -> T:
        return f(self.received)


class QueueTxToken:
    """Room at the end of a queue."""

    def __init__(self, queue: deque[bytes]) -> None:
        self.queue = queue

    def consume(self, length: int, f: Callable[[memoryview], None], facts: FrameFacts | None = None) -> bool:
        frame = bytearray(length)
        f(memoryview(frame))
        self.queue.append(bytes(frame))
        return True
