"""A guest's memory as the card reaches it: shared by mmap, or asked for over the socket."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from errno import EEXIST, EINVAL, ENOENT
from mmap import MAP_SHARED, PROT_READ, PROT_WRITE, mmap
from struct import Struct
from typing import Any

from motenet.bridge.vfio_user.protocol import (
    MAP_FILE_IO,
    MAP_MMAP,
    MAP_READABLE,
    MAP_WRITABLE,
    MAX_TRANSFER,
    Refused,
)
from motenet.core.errors import SnapshotError
from motenet.core.state import Plain
from motenet.core.trace import DmaAccess, HasNow, Watched
from motenet.machine.dma import BusMaster

MAX_REGIONS = 65_535
_MAP_FLAGS = MAP_READABLE | MAP_WRITABLE | MAP_MMAP | MAP_FILE_IO


@dataclass(slots=True)
class Region:
    """Bus addresses from `start` to `end`; without a view they are reached over the socket."""

    start: int
    end: int
    readable: bool
    writable: bool
    view: memoryview | None = None
    mapping: mmap | None = None

    def release(self) -> None:
        """Let the shared memory go."""
        if self.view is not None and self.mapping is not None:
            self.view.release()
            self.mapping.close()


_NOWHERE = Region(0, 0, False, False)


class GuestMemory(BusMaster):
    """The regions that the client has mapped, as the card's bus master sees them.

    What no region covers ends in a master abort (PCI 3.3.3.1), as does a write to memory that is only readable.
    """

    def __init__(self, clock: HasNow, path: str) -> None:
        Watched.__init__(self, clock, path)  # not BusMaster's: there is no memory of ours behind it
        self.enabled = False
        self.aborted = None
        self.ask_read: Callable[[int, int], bytes | None] | None = None
        """Wiring: the client's DMA_READ (address, length); None when there is no answer."""
        self.ask_write: Callable[[int, bytes], bool] | None = None
        """Wiring: the client's DMA_WRITE; False when there is no answer."""
        self.max_transfer = MAX_TRANSFER
        self.regions: list[Region] = []
        """In order of address; they do not overlap."""
        self._starts: list[int] = []
        self._last = _NOWHERE
        """The mapped region of the last access: nearly always that of the next."""

    # --- the client's side

    def map(self, address: int, size: int, flags: int, offset: int, file: int | None) -> None:
        """DMA_MAP: memory at `offset` of an open file, or reached over the socket. The file is not kept."""
        end = address + size
        if not size or end > 1 << 64 or flags & ~_MAP_FLAGS or flags & (MAP_MMAP | MAP_FILE_IO) == MAP_FILE_IO:
            raise Refused(EINVAL, f"no region: {size:#x} bytes at {address:#x}, flags {flags:#x}")
        at = bisect_right(self._starts, address)
        if (at and self.regions[at - 1].end > address) or (at < len(self.regions) and self._starts[at] < end):
            raise Refused(EEXIST, f"{size:#x} bytes at {address:#x} overlap a region")
        if len(self.regions) >= MAX_REGIONS:
            raise Refused(EINVAL, f"more than {MAX_REGIONS} regions")
        region = Region(address, end, bool(flags & MAP_READABLE), bool(flags & MAP_WRITABLE))
        if file is not None:
            protection = PROT_READ | (PROT_WRITE if region.writable else 0)
            try:
                region.mapping = mmap(file, size, MAP_SHARED, protection, offset=offset)
            except (OSError, ValueError, OverflowError) as error:
                raise Refused(EINVAL, f"{size:#x} bytes at offset {offset:#x} cannot be mapped: {error}") from error
            region.view = memoryview(region.mapping)
        self.regions.insert(at, region)
        self._starts.insert(at, address)

    def unmap(self, address: int, size: int) -> None:
        """DMA_UNMAP: exactly one region; no view of it is left."""
        at = bisect_right(self._starts, address) - 1
        if at < 0 or self._starts[at] != address or self.regions[at].end != address + size:
            raise Refused(ENOENT, f"no region of {size:#x} bytes at {address:#x}")
        self._last = _NOWHERE
        del self._starts[at]
        self.regions.pop(at).release()

    def unmap_all(self) -> None:
        """The client unmaps everything, or is gone."""
        self._last = _NOWHERE
        while self.regions:
            self.regions.pop().release()
        self._starts.clear()

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
        size, pack, pack_into = layout.size, layout.pack, layout.pack_into

        def store(address: int, *values: Any) -> None:
            region = self._last
            if not (self.enabled and region.writable and region.start <= address and address + size <= region.end):
                self._write_pieces(address, pack(*values), name)
                return
            if self.watch is not None:
                self.watch(DmaAccess(self.clock.now, self.path, address, size, True, name))
            assert region.view is not None
            pack_into(region.view, address - region.start, *values)

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
            piece: bytes | None = None
            if region.view is not None:
                self._last = region
                piece = bytes(region.view[at - region.start : at - region.start + count])
            elif region.readable and self.ask_read is not None:
                piece = self.ask_read(at, min(count, self.max_transfer))
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
                count = min(count, self.max_transfer)
                asked = region.writable and self.ask_write is not None and self.ask_write(at, data[done : done + count])
                if not asked:
                    self._refused(at, len(data) - done, "write")
                    return
            done += count

    def save(self) -> Plain:
        raise SnapshotError(f"{self.path} is a guest's memory, which no snapshot of this world holds: use QEMU's own")
