"""How a datasheet's registers are written down: offset, width, reset value, fields with their effects, clause.

From one declaration come the model's masks and dispatch, the driver's names, the trace's decoding and the
documentation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Literal, TypeAlias

ReadEffect: TypeAlias = Literal["value", "clear", "zero"]
"""What a read gives: the value; the value, which is then cleared; zero (write-only)."""

WriteEffect: TypeAlias = Literal["store", "ignore", "clear", "set", "act"]
"""What a write does: it is stored; nothing (read-only); ones clear; ones set; ones start
something, and read back as the model says."""


@dataclass(frozen=True, slots=True)
class Field:
    """Bits of a register: `width` bits from bit `lsb` up."""

    name: str
    lsb: int
    width: int = 1
    read: ReadEffect = "value"
    write: WriteEffect = "store"
    doc: str = ""

    @property
    def mask(self) -> int:
        """The field's bits within the register."""
        return ((1 << self.width) - 1) << self.lsb

    def get(self, value: int) -> int:
        """This field's number in a register's value."""
        return value >> self.lsb & (1 << self.width) - 1

    def put(self, number: int) -> int:
        """A register's value with only this field set to `number`."""
        if not 0 <= number < 1 << self.width:
            raise ValueError(f"{self.name} has {self.width} bits; {number} does not fit")
        return number << self.lsb


@dataclass(frozen=True, slots=True)
class Register:
    """A register, or an array of `count` equal ones `stride` bytes apart. `width` is in bits."""

    name: str
    offset: int
    clause: str
    fields: tuple[Field, ...]
    reset: int = 0
    width: int = 32
    count: int = 1
    stride: int = 4
    alias_of: str = ""
    """The register whose bits this one sets, clears or shows."""
    doc: str = ""

    def __getitem__(self, name: str) -> int:
        """The mask of a field: `CTRL["RST"]`."""
        return self.field(name).mask

    def field(self, name: str) -> Field:
        """A field by its datasheet name; KeyError names the register."""
        for candidate in self.fields:
            if candidate.name == name:
                return candidate
        raise KeyError(f"{self.name} has no field {name}")

    def mask(self, *, read: ReadEffect | None = None, write: WriteEffect | None = None) -> int:
        """All bits whose fields have this effect."""
        return reduce(
            or_,
            (f.mask for f in self.fields if read in (None, f.read) and write in (None, f.write)),
            0,
        )

    @property
    def reserved(self) -> int:
        """The bits that no field covers."""
        return (1 << self.width) - 1 & ~self.mask()

    def offsets(self) -> Iterator[int]:
        """The offset of each element of the array."""
        return iter(range(self.offset, self.offset + self.count * self.stride, self.stride))

    def describe(self, value: int) -> str:
        """The value in words: `RST | SPEED=2`; reserved bits that are set are shown in hexadecimal."""
        words = []
        for candidate in self.fields:
            number = candidate.get(value)
            if number:
                words.append(candidate.name if candidate.width == 1 else f"{candidate.name}={number:#x}")
        if value & self.reserved:
            words.append(f"reserved={value & self.reserved:#x}")
        return " | ".join(words) or "0"


class RegisterMap:
    """The registers of one space, by name and by offset."""

    def __init__(self, name: str, size: int, registers: tuple[Register, ...]) -> None:
        self.name = name
        self.size = size
        """The space's size in bytes."""
        self.by_name: dict[str, Register] = {}
        self._at: dict[int, tuple[Register, int]] = {}
        for register in registers:
            if register.name in self.by_name:
                raise ValueError(f"{name}: {register.name} is declared twice")
            self.by_name[register.name] = register
            for index, offset in enumerate(register.offsets()):
                if offset in self._at or offset + register.width // 8 > size:
                    raise ValueError(f"{name}: {register.name} at {offset:#x} overlaps another or lies outside")
                self._at[offset] = (register, index)

    def __getitem__(self, name: str) -> Register:
        return self.by_name[name]

    def __iter__(self) -> Iterator[Register]:
        return iter(self.by_name.values())

    def at(self, offset: int) -> tuple[Register, int] | None:
        """The register at an offset and its index within its array, or None."""
        return self._at.get(offset)

    def touched(self, offset: int, width: int) -> list[tuple[Register, int]]:
        """The registers that an access of `width` bytes touches, each with its own offset, in order."""
        found = [(at, self._at[at][0]) for at in range(max(offset - 7, 0), offset + width) if at in self._at]
        return [(register, at) for at, register in found if at + register.width // 8 > offset]

    def label(self, offset: int) -> str:
        """The name for people: `RAL[3]`, or the bare offset."""
        found = self._at.get(offset)
        if found is None:
            return f"{offset:#06x}"
        register, index = found
        return register.name if register.count == 1 else f"{register.name}[{index}]"
