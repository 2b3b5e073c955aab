"""A guest's memory as the card reaches it: shared by mmap, or asked for over the socket."""

from collections.abc import Callable
from errno import EEXIST, EINVAL, ENOENT
from mmap import ALLOCATIONGRANULARITY

from motenet.bridge.shared_memory import Region, SharedMemory
from motenet.bridge.vfio_user.protocol import (
    MAP_FILE_IO,
    MAP_MMAP,
    MAP_READABLE,
    MAP_WRITABLE,
    MAX_TRANSFER,
    Refused,
)
from motenet.core.trace import HasNow

MAX_REGIONS = 65_535
_MAP_FLAGS = MAP_READABLE | MAP_WRITABLE | MAP_MMAP | MAP_FILE_IO


class GuestMemory(SharedMemory):
    """The regions that the client has mapped; those that came without a file are asked for."""

    def __init__(self, clock: HasNow, path: str) -> None:
        super().__init__(clock, path)
        self.ask_read: Callable[[int, int], bytes | None] | None = None
        """Wiring: the client's DMA_READ (address, length); None when there is no answer."""
        self.ask_write: Callable[[int, bytes], bool] | None = None
        """Wiring: the client's DMA_WRITE; False when there is no answer."""
        self.max_transfer = MAX_TRANSFER

    def map(self, address: int, size: int, flags: int, offset: int, file: int | None) -> None:
        """DMA_MAP: memory at `offset` of an open file, or reached over the socket. The file is not kept."""
        end = address + size
        if not size or end > 1 << 64 or flags & ~_MAP_FLAGS or flags & (MAP_MMAP | MAP_FILE_IO) == MAP_FILE_IO:
            raise Refused(EINVAL, f"no region: {size:#x} bytes at {address:#x}, flags {flags:#x}")
        if self.overlaps(address, end):
            raise Refused(EEXIST, f"{size:#x} bytes at {address:#x} overlap a region")
        if len(self.regions) >= MAX_REGIONS:
            raise Refused(EINVAL, f"more than {MAX_REGIONS} regions")
        region = Region(address, end, bool(flags & MAP_READABLE), bool(flags & MAP_WRITABLE))
        if file is not None:
            if offset % ALLOCATIONGRANULARITY:
                raise Refused(EINVAL, f"offset {offset:#x} is not that of a page")
            try:
                region.share(file, offset)
            except (OSError, ValueError, OverflowError) as error:
                raise Refused(EINVAL, f"{size:#x} bytes at offset {offset:#x} cannot be mapped: {error}") from error
        self.insert(region)

    def unmap(self, address: int, size: int) -> None:
        """DMA_UNMAP: exactly one region; no view of it is left."""
        if not self.remove(address, address + size):
            raise Refused(ENOENT, f"no region of {size:#x} bytes at {address:#x}")

    def read_unshared(self, address: int, length: int) -> bytes | None:
        return None if self.ask_read is None else self.ask_read(address, min(length, self.max_transfer))

    def write_unshared(self, address: int, data: bytes) -> int:
        data = data[: self.max_transfer]
        return len(data) if self.ask_write is not None and self.ask_write(address, data) else 0
