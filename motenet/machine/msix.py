"""MSI-X: a card's table of messages and its pending bits, in memory of the card's that the slot serves (PCI 6.8.2)."""

from collections.abc import Callable
from typing import ClassVar

from motenet.core.errors import ConfigurationError
from motenet.core.trace import HasNow, Watched
from motenet.datasheets.pci import (
    MSIX_ADDRESS,
    MSIX_BIR,
    MSIX_CONTROL,
    MSIX_DATA,
    MSIX_ENTRY_SIZE,
    MSIX_MASKED,
    MSIX_PENDING,
    MSIX_TABLE,
    MSIX_VECTOR_CONTROL,
)
from motenet.doors import BarLayout, RegisterSpace

_UNTOUCHED = bytes(MSIX_VECTOR_CONTROL) + MSIX_MASKED.to_bytes(4, "little")
"""6.8.2.7 to 6.8.2.9: an entry after reset."""
_STORED = b"\xfc" + b"\xff" * 11 + MSIX_MASKED.to_bytes(4, "little")
"""The bits of an entry that may be written: addresses are those of dwords (6.8.2.7)."""


class MsixTable(Watched):
    """Where each of a card's messages goes, and which of them wait because they are masked.

    `capability`: the 12 bytes in configuration space. `send(address, data)` puts a message on the bus.
    """

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "entries", "pending", "enabled", "open")

    def __init__(self, clock: HasNow, path: str, capability: bytes, send: Callable[[int, int], None]) -> None:
        super().__init__(clock, path)
        control, table, pending = (
            int.from_bytes(capability[at : at + size], "little")
            for at, size in ((MSIX_CONTROL.offset, 2), (MSIX_TABLE, 4), (MSIX_PENDING, 4))
        )
        self.count = (control & MSIX_CONTROL["TABLE_SIZE"]) + 1
        self.bar, self.offset = table & MSIX_BIR, table & ~MSIX_BIR
        self.pending_bar, self.pending_offset = pending & MSIX_BIR, pending & ~MSIX_BIR
        self.entries = bytearray(_UNTOUCHED * self.count)
        self.pending = 0
        """A bit for each message that waits."""
        self.enabled = False
        """The capability's enable bit."""
        self.open = False
        """Messages that are not masked may go: enabled, no function mask, and the card is bus master."""
        self._send = send

    def reset(self) -> None:
        """6.8.2: all masked, nothing pending."""
        self.entries[:] = _UNTOUCHED * self.count
        self.pending = 0

    def control(self, enabled: bool, masked: bool) -> None:
        """The enable bit; and whether all messages have to wait (6.8.2.3: the function mask)."""
        if not enabled:
            self.pending = 0  # the pin tells from now on
        self.enabled, self.open = enabled, enabled and not masked
        self._deliver()

    def signal(self, vector: int) -> None:
        """The card's message `vector`: it goes, or waits while it is masked."""
        if self.open and not self._masked(vector):
            self._go(vector)
        else:
            self.pending |= 1 << vector

    def _masked(self, vector: int) -> bool:
        return bool(self.entries[MSIX_ENTRY_SIZE * vector + MSIX_VECTOR_CONTROL] & MSIX_MASKED)

    def _go(self, vector: int) -> None:
        at = MSIX_ENTRY_SIZE * vector
        address = int.from_bytes(self.entries[at + MSIX_ADDRESS : at + MSIX_DATA], "little")
        self._send(address, int.from_bytes(self.entries[at + MSIX_DATA : at + MSIX_VECTOR_CONTROL], "little"))

    def _deliver(self) -> None:
        """6.8.2.9, 6.8.2.10: what waits and is not masked any more goes, and does not wait any more."""
        if not self.pending or not self.open:
            return
        for vector in range(self.count):
            if self.pending >> vector & 1 and not self._masked(vector):
                self.pending &= ~(1 << vector)
                self._go(vector)

    # --- the driver's side

    def overlay(self, bar: int, layout: BarLayout, registers: RegisterSpace) -> RegisterSpace:
        """The card's registers with table and pending bits laid over them, where they lie in this BAR."""
        areas = []
        if bar == self.bar:
            areas.append(_Area(self.offset, len(self.entries), self._read_entry, self._write_entry))
        if bar == self.pending_bar:
            areas.append(_Area(self.pending_offset, -(-self.count // 64) * 8, self._read_pending, self._write_pending))
        for area in areas:
            if layout.kind == "io" or area.end > layout.size:
                raise ConfigurationError(f"{self.path}: {area.end:#x} bytes do not fit into BAR {bar}: {layout}")
        return _Overlay(registers, areas) if areas else registers

    def _read_entry(self, offset: int, width: int) -> int:
        return int.from_bytes(self.entries[offset : offset + width], "little")

    def _write_entry(self, offset: int, value: int, width: int) -> None:
        for at, byte in enumerate(value.to_bytes(width, "little"), offset):
            self.entries[at] = byte & _STORED[at % MSIX_ENTRY_SIZE]
        self._deliver()

    def _read_pending(self, offset: int, width: int) -> int:
        return self.pending >> 8 * offset & (1 << 8 * width) - 1

    def _write_pending(self, offset: int, value: int, width: int) -> None:
        self.drop("read-only", f"write{8 * width} of {value:#x} to the pending bits (6.8.2.10)")


class _Area:
    """Bytes `start` to `end` of a BAR, and who answers there (with offsets from `start`)."""

    def __init__(
        self, start: int, size: int, read: Callable[[int, int], int], write: Callable[[int, int, int], None]
    ) -> None:
        self.start, self.end = start, start + size
        self.read, self.write = read, write


class _Overlay:
    """A BAR's registers, of which some areas are not the card's. Implements doors.RegisterSpace."""

    def __init__(self, card: RegisterSpace, areas: list[_Area]) -> None:
        self._card_read, self._card_write = card.read, card.write
        self._areas = areas

    def read(self, offset: int, width: int) -> int:
        for area in self._areas:
            if area.start <= offset < area.end:
                return area.read(offset - area.start, width)
        return self._card_read(offset, width)

    def write(self, offset: int, value: int, width: int) -> None:
        for area in self._areas:
            if area.start <= offset < area.end:
                area.write(offset - area.start, value, width)
                return
        self._card_write(offset, value, width)
