"""C+ mode's receive ring: frames in buffers that descriptors tell of (RTL8139C+ 9)."""

from collections.abc import Callable
from struct import Struct
from typing import ClassVar

from motenet.core.state import Component
from motenet.datasheets import rtl8139 as sheet
from motenet.devices.parts.bank import MixedBank
from motenet.devices.rtl8139.interrupts import InterruptUnit
from motenet.devices.rtl8139.receive import Arrived
from motenet.devices.rtl8139.tasks import examine
from motenet.doors import PciSlot

_CPCR, _LOW, _HIGH = sheet.CPCR.offset, sheet.RDSARL.offset, sheet.RDSARH.offset
_CPRX, _DAC, _RXCHKSUM, _RXVLAN = (sheet.CPCR[name] for name in ("CPRX", "DAC", "RXCHKSUM", "RXVLAN"))
_RXOVW = sheet.ISR["RXOVW"]
_SIZE, _COMMAND_EOR, _COMMAND_OWN = (sheet.RX_COMMAND[name] for name in ("SIZE", "EOR", "OWN"))
_FS, _LS, _EOR, _BOVF, _RES = (sheet.RX_RESULT[name] for name in ("FS", "LS", "EOR", "BOVF", "RES"))
_LENGTH = sheet.RX_RESULT["LENGTH"]
_TAVA = sheet.RX_VLAN["TAVA"]
_TAGGED = b"\x81\x00"
_WORD = Struct("<I")
_RESULTS = tuple(
    (sheet.RX_STATUS[status], sheet.RX_RESULT[result])
    for status, result in (
        ("FAE", "FAE"), ("CRC", "CRC"), ("LONG", "RWT"), ("RUNT", "RUNT"), ("BAR", "BAR"), ("PAM", "PAM"),
        ("MAR", "MAR"),
    )
)  # fmt: skip
_FAULTS = sum(sheet.RX_STATUS[name] for name in ("FAE", "CRC", "LONG", "RUNT"))

Fetched = tuple[int, int, int, int]
"""A descriptor: its own address, its command, its buffer's address and size."""


def address_space(control: int) -> int:
    """Which bits of an address count, by CPCR: 64 with DAC, else 32."""
    return 2**64 - 1 if control & _DAC else 2**32 - 1


def result(status: int) -> int:
    """RX.RESULT's bits for those of RX.STATUS."""
    bits = _RES if status & _FAULTS else 0
    for mask, other in _RESULTS:
        if status & mask:
            bits |= other
    return bits


class ReceiveDescriptors(Component):
    """Fills the buffers in the ring's order. A frame that finds too few of them is lost."""

    STATE: ClassVar[tuple[str, ...]] = ("generation", "index", "exhausted")

    def __init__(self, bank: MixedBank, interrupts: InterruptUnit) -> None:
        self.path = "descriptors"
        self.stored: Callable[[Arrived], None] = lambda arrived: None
        """Wiring: told of each frame in memory."""
        self.missed: Callable[[str, bytes], None] = lambda reason, frame: None
        """Wiring: told of each frame that is lost."""
        self.generation = 0
        """Counts resets and restarts: work that began before one is not continued."""
        self.index = 0
        """The next descriptor."""
        self.exhausted = False
        """A frame was lost for want of descriptors: the next one's status tells of it."""
        self._values = bank.values
        self._interrupts = interrupts
        for register in (sheet.RDSARL, sheet.RDSARH):
            bank.guard(register, self._off)
            bank.on_write(register, self._start_written)

    def plug(self, slot: PciSlot) -> None:
        self._fetch = slot.dma.reader(sheet.DESCRIPTOR_CODEC, "RXDESC")
        self._write = slot.dma.write
        self._store_back = slot.dma.writer(_WORD, "RXSTATUS")

    def reset(self) -> None:
        """To the ring's first descriptor."""
        self.generation += 1
        self.index = 0
        self.exhausted = False

    def _off(self) -> str:
        return "" if self._values[_CPCR] & _CPRX else "CPCR.CPRX is 0 (RTL8139C+ 6.33)"

    def _start_written(self, _: int) -> None:
        self.reset()

    def store(self, arrived: Arrived) -> bool:
        """Data into as many buffers as it takes; then each descriptor's second word, and its first, with OWN, last."""
        generation, control = self.generation, self._values[_CPCR]
        data, tag = arrived.data, 0
        if control & _RXVLAN and data[12:14] == _TAGGED and len(data) >= 20:
            tag = int.from_bytes(data[14:16], "little") | _TAVA
            data = data[:12] + data[16:]
        found = self._collect(len(data))
        if self.generation != generation:
            return True
        if found is None:
            self.exhausted = True
            self.missed("no receive descriptor", arrived.frame)
            self._interrupts.cause(_RXOVW)
            return True
        bits = result(arrived.status) | (examine(arrived.frame) if control & _RXCHKSUM else 0)
        if self.exhausted:
            bits |= _BOVF
            self.exhausted = False
        if self._fill(found, data, tag, bits):
            self.stored(arrived)
        return True

    def _collect(self, needed: int) -> list[Fetched] | None:
        """The next descriptors with room for so many bytes; None if the ring has not enough of its own."""
        values = self._values
        space = address_space(values[_CPCR])
        start = values[_LOW] | values[_HIGH] << 32
        generation, index = self.generation, self.index
        found: list[Fetched] = []
        for _ in range(sheet.RING_ENTRIES):
            at = start + index * sheet.DESCRIPTOR_SIZE & space
            command, _, address = self._fetch(at)
            if self.generation != generation or not command & _COMMAND_OWN:
                return None
            size = command & _SIZE
            found.append((at, command, address & space, size))
            needed -= size
            index = 0 if command & _COMMAND_EOR else (index + 1) % sheet.RING_ENTRIES
            if needed <= 0:
                self.index = index
                return found
            if index == self.index:
                return None  # once around
        return None  # an end of the ring that has come to lie before us

    def _fill(self, found: list[Fetched], data: bytes, tag: int, bits: int) -> bool:
        """Returns whether it was carried through."""
        generation, done, whole = self.generation, 0, len(data)
        for number, (at, command, address, size) in enumerate(found):
            piece = data[done : done + size]
            done += len(piece)
            status = command & _EOR | (_FS if number == 0 else 0)
            if number == len(found) - 1:
                status |= _LS | bits | whole & _LENGTH
            else:
                status |= len(piece)
            if piece:
                self._write(address, piece)
            if self.generation == generation:
                self._store_back(at + 4, tag)
            if self.generation == generation:
                self._store_back(at, status)
            if self.generation != generation:
                return False
        return True
