"""Both sides of DMA: the driver's buffers, and the card's accesses to memory as bus master."""

from collections.abc import Callable
from functools import partial
from struct import Struct
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from motenet.core.errors import DriverError
from motenet.core.trace import DmaAccess, HasNow, Watched
from motenet.doors import DmaBuffer
from motenet.machine.memory import Allocator, PhysicalMemory


class MemoryBuffer:
    """A range of plain, strongly ordered memory. Implements doors.DmaBuffer."""

    def __init__(self, memory: PhysicalMemory, address: int, size: int) -> None:
        self.address = address
        self.size = size
        self._view = memory.view[address : address + size]

    def packer(self, layout: Struct) -> Callable[..., None]:
        return partial(layout.pack_into, self._view)

    def unpacker(self, layout: Struct) -> Callable[[int], tuple[Any, ...]]:
        return partial(layout.unpack_from, self._view)

    def columns(self, dtype: npt.DTypeLike, offset: int, count: int) -> npt.NDArray[Any]:
        return np.frombuffer(self._view, dtype, count, offset)

    def lend(self, offset: int, length: int) -> memoryview:
        end = offset + length
        if offset < 0 or end > self.size:
            raise DriverError(f"{length} bytes at offset {offset} lie outside a buffer of {self.size} bytes")
        return self._view[offset:end]


class MachineDma:
    """The driver's side: memory for sharing with cards. Implements doors.Dma."""

    def __init__(self, memory: PhysicalMemory, allocator: Allocator) -> None:
        self._memory = memory
        self._allocator = allocator

    def allocate(self, size: int, align: int = 16, boundary: int = 0, mask: int = 2**64 - 1) -> DmaBuffer:
        address = self._allocator.allocate(size, align, boundary, mask)
        end = address + size
        if np.frombuffer(self._memory.view[address:end], "u1").any():  # untouched pages stay uncommitted
            self._memory.view[address:end] = bytes(size)
        return MemoryBuffer(self._memory, address, size)

    def free(self, buffer: DmaBuffer) -> None:
        self._allocator.free(buffer.address, buffer.size)

    def barrier(self) -> None:
        """Plain memory is strongly ordered: there is nothing to wait for."""


class BusMaster(Watched):
    """The card's side. Implements doors.BusMaster.

    An access outside memory ends in a master abort (PCI 3.3.3.1): ones are read, writes are lost. With bus mastering
    off the card may not ask at all (6.2.2); the outcome is the same, without the status bit.
    """

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "enabled")

    def __init__(self, clock: HasNow, path: str, memory: PhysicalMemory) -> None:
        super().__init__(clock, path)
        self.enabled = False
        """COMMAND's bus master bit."""
        self.aborted: Callable[[], None] | None = None
        """Wiring: the slot shows a master abort in the PCI status register."""
        self._view = memory.view
        self._size = memory.size

    def _refused(self, address: int, length: int, what: str) -> None:
        if not self.enabled:
            self.drop("bus master off", f"{what} {length} bytes at {address:#x}")
        else:
            if self.aborted is not None:
                self.aborted()
            self.drop("master abort", f"{what} {length} bytes at {address:#x}, outside memory")

    def read(self, address: int, length: int, layout: str = "") -> bytes:
        if not self.enabled or address < 0 or address + length > self._size:
            self._refused(address, length, "read")
            return b"\xff" * length
        if self.watch is not None:
            self.watch(DmaAccess(self.clock.now, self.path, address, length, False, layout))
        return bytes(self._view[address : address + length])

    def write(self, address: int, data: bytes | memoryview, layout: str = "") -> None:
        end = address + len(data)
        if not self.enabled or address < 0 or end > self._size:
            self._refused(address, len(data), "write")
            return
        if self.watch is not None:
            self.watch(DmaAccess(self.clock.now, self.path, address, len(data), True, layout))
        self._view[address:end] = data

    def reader(self, layout: Struct, name: str) -> Callable[[int], tuple[Any, ...]]:
        view, size, last = self._view, layout.size, self._size - layout.size
        unpack_from = layout.unpack_from

        def fetch(address: int) -> tuple[Any, ...]:
            if not self.enabled or not 0 <= address <= last:
                self._refused(address, size, "read")
                return layout.unpack(b"\xff" * size)
            if self.watch is not None:
                self.watch(DmaAccess(self.clock.now, self.path, address, size, False, name))
            return unpack_from(view, address)

        return fetch

    def writer(self, layout: Struct, name: str) -> Callable[..., None]:
        view, size, last = self._view, layout.size, self._size - layout.size
        pack_into = layout.pack_into

        def store(address: int, *values: Any) -> None:
            if not self.enabled or not 0 <= address <= last:
                self._refused(address, size, "write")
                return
            if self.watch is not None:
                self.watch(DmaAccess(self.clock.now, self.path, address, size, True, name))
            pack_into(view, address, *values)

        return store
