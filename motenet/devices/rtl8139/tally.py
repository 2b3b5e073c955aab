"""The counters that the RTL8139C+ dumps into memory (RTL8139C+ 6, DTCCR)."""

from collections.abc import Callable
from typing import ClassVar

from motenet.core.state import Component
from motenet.datasheets import rtl8139 as sheet
from motenet.devices.parts.bank import MixedBank
from motenet.doors import PciSlot

_LOW, _HIGH = sheet.DTCCRL.offset, sheet.DTCCRH.offset
_CMD, _ADDRESS = sheet.DTCCRL["CMD"], sheet.DTCCRL["ADDRESS"]
_LIMITS = [(member.name, (1 << 8 * member.sizeof()) - 1) for member in sheet.TALLY.subcons]


class TallyUnit(Component):
    """Counts, by the names of datasheets.rtl8139.TALLY, and dumps. Only RST# makes them zero."""

    STATE: ClassVar[tuple[str, ...]] = ("counts", "dumping")

    def __init__(self, overlay: MixedBank) -> None:
        self.path = "tally"
        self.ready: Callable[[], bool] = lambda: False
        """Wiring: whether the card may master the bus."""
        self.counts: dict[str, int] = {name: 0 for name, _ in _LIMITS}
        self.dumping = False
        """A dump is to be made, in an event of its own."""
        self._values = overlay.values
        overlay.on_write(sheet.DTCCRL, self._command_written)

    def plug(self, slot: PciSlot) -> None:
        self._clock = slot.clock
        self._store = slot.dma.writer(sheet.TALLY_CODEC, "TALLY")

    def reset(self) -> None:
        """RST#."""
        for name in self.counts:
            self.counts[name] = 0

    def _command_written(self, value: int) -> None:
        if value & _CMD:
            self._values[_LOW] |= _CMD
            self.kick()

    def kick(self) -> None:
        """Dump, if that was asked for and the bus is there."""
        if self._values[_LOW] & _CMD and not self.dumping and self.ready():
            self.dumping = True
            self._clock.after(0, self._dump)

    def _dump(self, _: object) -> None:
        """CMD reads 1 until the counters are in memory. They are as wide as they lie there, and wrap."""
        self.dumping = False
        values = self._values
        if not values[_LOW] & _CMD or not self.ready():
            return  # a reset came before, or the bus is lost
        address = values[_LOW] & _ADDRESS | values[_HIGH] << 32
        counted = self.counts
        self._store(address, *[counted[name] & limit for name, limit in _LIMITS])
        values[_LOW] &= ~_CMD
