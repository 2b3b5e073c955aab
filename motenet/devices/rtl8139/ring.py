"""C mode's receive ring: frames one behind the other, a header before each (RTL8139C 5.1, 5.8, CAPR, CBR)."""

from collections.abc import Callable
from typing import ClassVar

from motenet.core.state import Component
from motenet.datasheets import rtl8139 as sheet
from motenet.devices.parts.bank import MixedBank
from motenet.devices.rtl8139.interrupts import InterruptUnit
from motenet.devices.rtl8139.receive import Arrived
from motenet.doors import PciSlot

_CR, _RCR, _RBSTART = sheet.CR.offset, sheet.RCR.offset, sheet.RBSTART.offset
_CAPR, _CBR = sheet.CAPR.offset, sheet.CBR.offset
_BUFE = sheet.CR["BUFE"]
_WRAP, _RBLEN = sheet.RCR["WRAP"], sheet.RCR.field("RBLEN")
_RXOVW, _PUN = sheet.ISR["RXOVW"], sheet.ISR["PUN_LINKCHG"]
_LARGEST = 64 << 10


class ReceiveRing(Component):
    """Writes at CBR; the driver reads up to it, and says by CAPR how far it has come."""

    STATE: ClassVar[tuple[str, ...]] = ("generation", "read_to")

    def __init__(self, bank: MixedBank, interrupts: InterruptUnit) -> None:
        self.path = "ring"
        self.stored: Callable[[Arrived], None] = lambda arrived: None
        """Wiring: told of each frame in memory."""
        self.room_made: Callable[[], None] = lambda: None
        """Wiring: told when CAPR moves."""
        self.generation = 0
        """Counts resets and restarts: work that began before one is not continued."""
        self.read_to = sheet.CAPR.reset
        """CAPR as it was written last."""
        self._values = bank.values
        self._interrupts = interrupts
        bank.on_read(sheet.CR, self._command_read)
        bank.on_write(sheet.CAPR, self._read_pointer_written)

    def plug(self, slot: PciSlot) -> None:
        self._write = slot.dma.write
        self._write_header = slot.dma.writer(sheet.RX_HEADER_CODEC, "RXHEADER")

    def reset(self) -> None:
        """Empty: both pointers to their reset values. Enabling the receiver does so (Linux 8139too's recovery)."""
        self.generation += 1
        self._values[_CBR] = 0
        self._values[_CAPR] = self.read_to = sheet.CAPR.reset

    @property
    def size(self) -> int:
        """Bytes, without those behind its end."""
        return (8 << 10) << _RBLEN.get(self._values[_RCR])

    def _unread(self) -> int:
        """Bytes from the driver's place to ours."""
        values = self._values
        return (values[_CBR] - values[_CAPR] - sheet.READ_POINTER_LAG) % self.size

    def _command_read(self, value: int) -> int:
        return value & ~_BUFE if self._unread() else value | _BUFE

    def _read_pointer_written(self, value: int) -> None:
        """CAPR. 5.6: to move it while the ring is empty is a packet underrun."""
        before, self.read_to = self.read_to, value
        size = self.size
        if value % size != before % size and (self._values[_CBR] - before - sheet.READ_POINTER_LAG) % size == 0:
            self._interrupts.cause(_PUN)
        self.room_made()

    def store(self, arrived: Arrived) -> bool:
        """The frame and its FCS, then the header, then CBR. The ring is never filled: full would read as empty."""
        values, generation, size = self._values, self.generation, self.size
        data = arrived.data
        start = values[_CBR] % size
        room = size - self._unread()
        needed = sheet.RX_HEADER_CODEC.size + len(data) + 3 & ~3
        if needed >= room:
            self._interrupts.cause(_RXOVW)
            return False
        base = values[_RBSTART]
        at = start + sheet.RX_HEADER_CODEC.size
        if values[_RCR] & _WRAP and size < _LARGEST:
            self._write(base + at & 0xFFFFFFFF, data)
        else:
            self._write_around(base, at % size, data)
        if self.generation != generation:
            return True
        self._write_header(base + start & 0xFFFFFFFF, arrived.status, len(data))
        if self.generation != generation:
            return True
        values[_CBR] = (start + needed) % size
        self.stored(arrived)
        return True

    def _write_around(self, base: int, at: int, data: bytes) -> None:
        """What does not fit in front of the ring's end goes on at its start."""
        generation, first = self.generation, self.size - at
        self._write(base + at & 0xFFFFFFFF, data[:first])
        if len(data) > first and self.generation == generation:
            self._write(base, data[first:])
