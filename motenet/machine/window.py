"""A register space as the driver reaches it: decoding, legal widths and partial accesses, once for all cards."""

from typing import ClassVar

from motenet.core.errors import DriverError
from motenet.core.trace import HasNow, RegisterAccess, Watched
from motenet.doors import BarLayout, RegisterSpace

_ONES = {1: 0xFF, 2: 0xFFFF, 4: 0xFFFFFFFF}


class BarWindow(Watched):
    """The registers behind one BAR. Implements doors.Window.

    - Decoding off: reads give ones, writes are lost, each with a drop.
    - An access of a legal width, aligned: the card's.
    - A read of another width or alignment: the lanes of the legal reads that cover it, as a card drives all lanes.
    - Such a write: split into legal ones that it covers whole; a lane narrower than the card's registers is lost.
    """

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "enabled")

    def __init__(self, clock: HasNow, path: str, space: str, layout: BarLayout, registers: RegisterSpace) -> None:
        super().__init__(clock, path)
        self.space = space
        self.size = layout.size
        self.kind = "io" if layout.kind == "io" else "memory"
        self.enabled = False
        """COMMAND's decoding bit for this kind of space."""
        self._widths = layout.widths
        self._unit = min(layout.widths)
        self._aligned = {width: width - 1 for width in layout.widths}
        self._read_card = registers.read
        self._write_card = registers.write
        self._last32 = layout.size - 4
        self._plain32 = 4 in layout.widths

    def read8(self, offset: int) -> int:
        return self._read(offset, 1)

    def read16(self, offset: int) -> int:
        return self._read(offset, 2)

    def read32(self, offset: int) -> int:
        if self.enabled and self._plain32 and not offset & 3 and 0 <= offset <= self._last32:
            value = self._read_card(offset, 4)
            if self.watch is not None:
                self.watch(RegisterAccess(self.clock.now, self.path, self.space, offset, 4, value, False))
            return value
        return self._read(offset, 4)

    def write8(self, offset: int, value: int) -> None:
        self._write(offset, value, 1)

    def write16(self, offset: int, value: int) -> None:
        self._write(offset, value, 2)

    def write32(self, offset: int, value: int) -> None:
        if self.enabled and self._plain32 and not offset & 3 and 0 <= offset <= self._last32:
            value &= 0xFFFFFFFF
            if self.watch is not None:
                self.watch(RegisterAccess(self.clock.now, self.path, self.space, offset, 4, value, True))
            self._write_card(offset, value, 4)
            return
        self._write(offset, value, 4)

    def _refuse_outside(self, offset: int, width: int) -> None:
        if offset < 0 or offset + width > self.size:
            raise DriverError(
                f"{self.path}: {width} bytes at offset {offset:#x} lie outside the window of {self.size:#x} bytes"
            )

    def _read(self, offset: int, width: int) -> int:
        self._refuse_outside(offset, width)
        if not self.enabled:
            self.drop(
                "not decoded", f"read{8 * width} {self.space}+{offset:#x}: {self.kind} decoding is off in COMMAND"
            )
            return _ONES[width]
        if width in self._aligned and not offset & self._aligned[width]:
            value = self._read_card(offset, width)
        else:
            value = self._read_lanes(offset, width)
        if self.watch is not None:
            self.watch(RegisterAccess(self.clock.now, self.path, self.space, offset, width, value, False))
        return value

    def _read_lanes(self, offset: int, width: int) -> int:
        unit = self._unit
        first = offset - offset % unit
        value = 0
        for place, at in enumerate(range(first, offset + width, unit)):
            value |= self._read_card(at, unit) << 8 * unit * place
        return value >> 8 * (offset - first) & _ONES[width]

    def _write(self, offset: int, value: int, width: int) -> None:
        self._refuse_outside(offset, width)
        value &= _ONES[width]
        if not self.enabled:
            self.drop(
                "not decoded", f"write{8 * width} {self.space}+{offset:#x}: {self.kind} decoding is off in COMMAND"
            )
            return
        if self.watch is not None:
            self.watch(RegisterAccess(self.clock.now, self.path, self.space, offset, width, value, True))
        if width in self._aligned and not offset & self._aligned[width]:
            self._write_card(offset, value, width)
        else:
            self._write_lanes(offset, value, width)

    def _write_lanes(self, offset: int, value: int, width: int) -> None:
        unit = self._unit
        at = offset
        while at < offset + width:
            part = value >> 8 * (at - offset)
            if at % unit == 0 and at + unit <= offset + width:
                self._write_card(at, part & _ONES[unit], unit)
                at += unit
            else:
                skip = min(unit - at % unit, offset + width - at)
                self.drop("partial write", f"{self.space}+{at:#x}: {skip} of a register's {unit} bytes")
                at += skip
