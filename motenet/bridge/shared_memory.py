"""Another process's memory, shared by mmap, as a card of ours reaches it."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from mmap import ALLOCATIONGRANULARITY, MAP_SHARED, PROT_READ, PROT_WRITE, mmap
from struct import Struct
from typing import Any

from motenet.core.errors import SnapshotError
from motenet.core.state import Plain
from motenet.core.trace import DmaAccess, HasNow, Watched
from motenet.machine.dma import BusMaster


@dataclass(slots=True)
class Region:
    """Bus addresses from `start` to `end`; without a view they are reached in some other way."""

    start: int
    end: int
    readable: bool = True
    writable: bool = True
    view: memoryview | None = None
    mapping: mmap | None = None

    def share(self, file: int, offset: int) -> None:
        """Map the memory from `offset` of an open file, which is not kept. OSError or ValueError when it cannot be."""
        protection = PROT_READ | (PROT_WRITE if self.writable else 0)
        whole = offset - offset % ALLOCATIONGRANULARITY
        self.mapping = mmap(file, self.end - self.start + offset - whole, MAP_SHARED, protection, offset=whole)
        with memoryview(self.mapping) as pages:
            self.view = pages[offset - whole :]

    def release(self) -> None:
        """Let the shared memory go."""
        if self.view is not None and self.mapping is not None:
            self.view.release()
            self.mapping.close()


_NOWHERE = Region(0, 0, False, False)


class SharedMemory(BusMaster):
    """Regions that do not overlap, as a card's bus master sees them.

    What no region covers ends in a master abort (PCI 3.3.3.1), as does a write to memory that is only readable.
    The other side looks on meanwhile: a store of 2, 4 or 8 bytes, when it is aligned, is seen whole or not at all. (A
    slice is copied by memmove; struct's pack_into clears the place first, so that a ring's index is 0 for an instant.)
    """

    def __init__(self, clock: HasNow, path: str) -> None:
        Watched.__init__(self, clock, path)  # not BusMaster's: there is no memory of ours behind it
        self.enabled = False
        self.aborted = None
        self.regions: list[Region] = []
        """In order of address."""
        self._starts: list[int] = []
        self._last = _NOWHERE
        """The mapped region of the last access: nearly always that of the next."""

    # --- regions come and go

    def overlaps(self, start: int, end: int) -> bool:
        """Whether a region has any of these addresses."""
        at = bisect_right(self._starts, start)
        return (at > 0 and self.regions[at - 1].end > start) or (at < len(self.regions) and self._starts[at] < end)

    def insert(self, region: Region) -> None:
        """Add a region that overlaps no other."""
        at = bisect_right(self._starts, region.start)
        self.regions.insert(at, region)
        self._starts.insert(at, region.start)

    def remove(self, start: int, end: int) -> bool:
        """Take away exactly one region; no view of it is left. Whether it was there."""
        at = bisect_right(self._starts, start) - 1
        if at < 0 or self._starts[at] != start or self.regions[at].end != end:
            return False
        self._last = _NOWHERE
        del self._starts[at]
        self.regions.pop(at).release()
        return True

    def unmap_all(self) -> None:
        """Take away all regions."""
        self._last = _NOWHERE
        while self.regions:
            self.regions.pop().release()
        self._starts.clear()

    # --- memory that is not shared

    def read_unshared(self, address: int, length: int) -> bytes | None:
        """Some of the bytes, at least one, of a region without a view; None: they cannot be had."""
        return None

    def write_unshared(self, address: int, data: bytes) -> int:
        """How many of the bytes, from the first, have been stored in a region without a view; 0: they cannot be."""
        return 0

    # --- the card's side

    def read(self, address: int, length: int, layout: str = "") -> bytes:
        region = self._last
        if not (self.enabled and region.readable and region.start <= address and address + length <= region.end):
            return self._read_pieces(address, length, layout)
        if self.watch is not None:
            self.watch(DmaAccess(self.clock.now, self.path, address, length, False, layout))
        at = address - region.start
        assert region.view is not None
        return bytes(region.view[at : at + length])

    def write(self, address: int, data: bytes | memoryview, layout: str = "") -> None:
        region = self._last
        end = address + len(data)
        if not (self.enabled and region.writable and region.start <= address and end <= region.end):
            self._write_pieces(address, bytes(data), layout)
            return
        if self.watch is not None:
            self.watch(DmaAccess(self.clock.now, self.path, address, len(data), True, layout))
        assert region.view is not None
        region.view[address - region.start : end - region.start] = data

    def reader(self, layout: Struct, name: str) -> Callable[[int], tuple[Any, ...]]:
        size, unpack, unpack_from = layout.size, layout.unpack, layout.unpack_from

        def fetch(address: int) -> tuple[Any, ...]:
            region = self._last
            if not (self.enabled and region.readable and region.start <= address and address + size <= region.end):
                return unpack(self._read_pieces(address, size, name))
            if self.watch is not None:
                self.watch(DmaAccess(self.clock.now, self.path, address, size, False, name))
            assert region.view is not None
            return unpack_from(region.view, address - region.start)

        return fetch

    def writer(self, layout: Struct, name: str) -> Callable[..., None]:
        size, pack = layout.size, layout.pack

        def store(address: int, *values: Any) -> None:
            region = self._last
            if not (self.enabled and region.writable and region.start <= address and address + size <= region.end):
                self._write_pieces(address, pack(*values), name)
                return
            if self.watch is not None:
                self.watch(DmaAccess(self.clock.now, self.path, address, size, True, name))
            assert region.view is not None
            region.view[address - region.start : address - region.start + size] = pack(*values)

        return store

    def _find(self, address: int) -> Region:
        at = bisect_right(self._starts, address) - 1
        return self.regions[at] if at >= 0 and address < self.regions[at].end else _NOWHERE

    def _covered(self, address: int, length: int, write: bool) -> bool:
        """Whether regions that allow it cover the whole range."""
        at, end = address, address + length
        while at < end:
            region = self._find(at)
            if not (region.writable if write else region.readable):
                return False
            at = region.end
        return True

    def _read_pieces(self, address: int, length: int, layout: str) -> bytes:
        """A read from a region other than the last one's, from several, or over the socket."""
        if not self.enabled or not self._covered(address, length, False):
            self._refused(address, length, "read")
            return b"\xff" * length
        if self.watch is not None:
            self.watch(DmaAccess(self.clock.now, self.path, address, length, False, layout))
        pieces = bytearray()
        while len(pieces) < length:
            at = address + len(pieces)
            region = self._find(at)  # anew each time: serving a DMA_UNMAP may have taken it away
            count = min(length - len(pieces), region.end - at)
            if region.view is not None:
                self._last = region
                piece: bytes | None = bytes(region.view[at - region.start : at - region.start + count])
            else:
                piece = self.read_unshared(at, count) if region.readable else None
            if not piece:
                self._refused(at, length - len(pieces), "read")
                return bytes(pieces).ljust(length, b"\xff")
            pieces += piece
        return bytes(pieces)

    def _write_pieces(self, address: int, data: bytes, layout: str) -> None:
        if not self.enabled or not self._covered(address, len(data), True):
            self._refused(address, len(data), "write")
            return
        if self.watch is not None:
            self.watch(DmaAccess(self.clock.now, self.path, address, len(data), True, layout))
        done = 0
        while done < len(data):
            at = address + done
            region = self._find(at)
            count = min(len(data) - done, region.end - at)
            if region.view is not None and region.writable:
                self._last = region
                region.view[at - region.start : at - region.start + count] = data[done : done + count]
            else:
                count = self.write_unshared(at, data[done : done + count]) if region.writable else 0
                if not count:
                    self._refused(at, len(data) - done, "write")
                    return
            done += count

    def save(self) -> Plain:
        raise SnapshotError(f"{self.path} is another process's memory, which no snapshot of this world holds")
