"""What all transmit paths share: what may be reserved when, and the memory in which frames wait for their card.

Transmit memory is a ring of bytes: frames lie in it one behind the other, and are freed in order.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from motenet.core.errors import ConfigurationError, DriverError
from motenet.core.state import Component
from motenet.doors import FrameFacts, Function
from motenet.drivers.ring import Ring

SHORTEST = 60
"""IEEE 802.3 4.2.3.3 without FCS: frames are padded here, for cards do not, spoil it (8254x 3.3.3), or do not say."""
LONGEST_SEGMENTED = 14 + 0xFFFF
"""An Ethernet header, and as much as IPv4's total length can tell."""
ALIGN = 63
"""Frames begin at multiples of 64 bytes."""
NONE = -1


class Transmitter(Component, ABC):
    """The bookkeeping of `reserve` and `commit`, which are NetworkDriver's as `flush` is."""

    STATE: ClassVar[tuple[str, ...]] = ("running", "start", "length", "blocked", "progress_at", "frames")

    def __init__(self, function: Function, longest: int) -> None:
        self.path = "tx"
        self.longest = longest
        """The longest frame in bytes that may be reserved."""
        self._clock = function.clock
        self.on_full: Callable[[], None] | None = None
        """Called when `reserve` has refused: the driver may want an interrupt when there is room."""

        self.running = False
        self.start = NONE
        """Where the reserved frame lies, or -1."""
        self.length = 0
        """The reserved frame's bytes."""
        self.blocked = False
        """`reserve` has refused, and nothing has been reaped since."""
        self.progress_at = 0
        """When the card last gave something back, or got something after being idle (ns)."""
        self.frames = 0
        """Frames committed; a segmented one counts once."""

    @property
    @abstractmethod
    def idle(self) -> bool:
        """The card has given back all that it was told of."""

    @abstractmethod
    def close(self) -> int:
        """Nothing is the card's any more: returns how much it has not sent."""

    @abstractmethod
    def reserve(self, length: int) -> memoryview | None:
        """See NetworkDriver.reserve."""

    @abstractmethod
    def commit(self, facts: FrameFacts | None = None) -> None:
        """See NetworkDriver.commit."""

    @abstractmethod
    def flush(self) -> None:
        """See NetworkDriver.flush."""

    @abstractmethod
    def reap(self) -> bool:
        """Take back what the card is done with. Says whether there was any."""

    def _reserve_again(self, length: int) -> memoryview | None:
        """Find out why there was no room, and take back what the card is done with."""
        if not self.running:
            raise DriverError("the card is down: start() the driver before sending")
        if not 14 <= length <= self.longest:
            raise DriverError(f"a frame of {length} bytes cannot be sent: it has 14 to {self.longest}; see mtu")
        self.flush()
        if self.reap():
            return self.reserve(length)
        self.blocked = True
        if self.on_full is not None:
            self.on_full()
        return self.reserve(length) if self.reap() else None


class MemoryTransmitter(Transmitter):
    """Frames in a ring of `memory` bytes, of which one takes `largest` at most; `mask` is what the card can address."""

    STATE: ClassVar[tuple[str, ...]] = (*Transmitter.STATE, "written", "freed")

    def __init__(self, function: Function, longest: int, *, memory: int, largest: int, mask: int = 2**64 - 1) -> None:
        super().__init__(function, longest)
        if memory % (ALIGN + 1) or memory < 2 * largest:
            raise ConfigurationError(
                f"tx_memory={memory}: frames of {longest} bytes want {2 * largest}, a multiple of {ALIGN + 1}; "
                "enlarge it, or switch segmentation_offload off"
            )
        self.memory = function.dma.allocate(memory, ALIGN + 1, mask=mask)
        self._region, self._base, self._lend = memory, self.memory.address, self.memory.lend
        self.written = 0
        """Bytes of transmit memory given out since it was last empty, running free."""
        self.freed = 0
        """Bytes of transmit memory taken back."""

    def _forget(self) -> None:
        """Start anew with empty memory."""
        self.written = self.freed = 0
        self.start = NONE
        self.blocked = False

    def _progress(self, empty: bool) -> None:
        """Frames have come back; `empty`: all have."""
        if empty and self.start < 0:
            self.written = self.freed = 0  # begin anew, in memory that is in use already
        self.blocked = False
        self.progress_at = self._clock.now


class RingTransmitter(MemoryTransmitter):
    """Frames described in a Ring: one descriptor for each `piece` bytes begun, and up to `spare` more."""

    STATE: ClassVar[tuple[str, ...]] = (*MemoryTransmitter.STATE, "rung", "vlan")

    def __init__(
        self, function: Function, ring: Ring, longest: int, *, memory: int, piece: int, spare: int,
        mask: int = 2**64 - 1,
    ) -> None:  # fmt: skip
        super().__init__(function, longest, memory=memory, largest=longest, mask=mask)
        self.ring = ring
        self._count, self._piece, self._spare = ring.count, piece, spare
        self.rung = 0
        """What the card has been told: the ring's counter at the last doorbell."""
        self.vlan: int | None = None
        """The tag that the card inserts in each frame."""

    def parts(self) -> tuple[Component, ...]:
        return (self.ring,)

    def _forget(self) -> None:
        super()._forget()
        self.ring.clear()
        self.rung = 0

    def close(self) -> int:
        """Nothing is the card's any more: returns how many descriptors it has not done."""
        ring = self.ring
        self.running = self.blocked = False
        left = ring.produced - ring.consumed
        ring.consumed = self.rung = ring.produced
        self.start = NONE
        return left

    @property
    def idle(self) -> bool:
        return self.ring.consumed == self.rung

    def reserve(self, length: int) -> memoryview | None:
        """See NetworkDriver.reserve."""
        size = length if length > SHORTEST else SHORTEST
        ring, region = self.ring, self._region
        start = self.written
        offset = start % region
        if offset + size > region:
            start += region - offset
            offset = 0
        if (
            start + size - self.freed > region
            or ring.produced - ring.consumed + size // self._piece + self._spare > self._count
            or not self.running
            or not 14 <= length <= self.longest
        ):
            return self._reserve_again(length)
        self.start = start
        self.length = length
        if length < SHORTEST:
            self._lend(offset + length, SHORTEST - length)[:] = bytes(SHORTEST - length)
        return self._lend(offset, length)
