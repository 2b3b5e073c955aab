"""The front-end's memory: each region has guest addresses, which are the card's bus addresses, and user addresses.

vhost-user, "Memory access": rings are told by the front-end's own (user) addresses, buffers by guest addresses.
"""

from dataclasses import dataclass

from motenet.bridge.shared_memory import Region, SharedMemory
from motenet.bridge.vhost_user.protocol import MEMORY_SLOTS, Refused
from motenet.core.trace import HasNow


@dataclass(frozen=True, slots=True)
class Place:
    """Where a region lies: guest address, size in bytes, user address, and offset in its file."""

    guest: int
    size: int
    user: int
    offset: int


class FrontEndMemory(SharedMemory):
    """Regions as the front-end shares them."""

    def __init__(self, clock: HasNow, path: str) -> None:
        super().__init__(clock, path)
        self.enabled = True  # there is no bus between
        self._places: list[Place] = []

    def add(self, place: Place, file: int) -> None:
        """Map one region. The file is not kept. Refused when it cannot be."""
        end = place.guest + place.size
        if not place.size or end > 1 << 64 or place.user + place.size > 1 << 64:
            raise Refused(f"no region: {place.size:#x} bytes at {place.guest:#x}, for the front-end {place.user:#x}")
        if self.overlaps(place.guest, end):
            raise Refused(f"{place.size:#x} bytes at {place.guest:#x} overlap a region")
        if len(self.regions) >= MEMORY_SLOTS:
            raise Refused(f"more than {MEMORY_SLOTS} regions")
        region = Region(place.guest, end)
        try:
            region.share(file, place.offset)
        except (OSError, ValueError, OverflowError) as error:
            raise Refused(f"{place.size:#x} bytes at offset {place.offset:#x} cannot be mapped: {error}") from error
        self.insert(region)
        self._places.append(place)

    def take(self, guest: int, size: int, user: int) -> None:
        """Unmap the one region with exactly these addresses (vhost-user, REM_MEM_REG)."""
        for place in self._places:
            if (place.guest, place.size, place.user) == (guest, size, user):
                self._places.remove(place)
                self.remove(guest, guest + size)
                return
        raise Refused(f"no region of {size:#x} bytes at {guest:#x}, for the front-end {user:#x}")

    def unmap_all(self) -> None:
        self._places.clear()
        super().unmap_all()

    def guest_address(self, user: int) -> int:
        """The guest address of one of the front-end's own addresses. Refused when no region has it."""
        for place in self._places:
            if place.user <= user < place.user + place.size:
                return place.guest + user - place.user
        raise Refused(f"no region has the front-end's address {user:#x}")
