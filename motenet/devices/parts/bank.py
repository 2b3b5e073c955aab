"""A register space made from its datasheet: the declared effects of reads and writes, with hooks for the rest."""

from collections.abc import Callable
from functools import cache, partial
from typing import ClassVar, NamedTuple

from motenet.core.state import Component
from motenet.datasheets.registers import Register, RegisterMap

ReadHook = Callable[[int], int]
"""Takes what the declared effects give, and returns what the driver sees."""

WriteHook = Callable[[int], None]
"""Takes the value that the driver wrote, after the declared effects."""

_SPARSE = 32  # arrays longer than this take up memory only where they were written


class _Writing(NamedTuple):
    """What writing one register does."""

    target: int
    store: int
    set: int
    clear: int
    reserved: int


class _Reading(NamedTuple):
    """What reading one register does beyond giving its value."""

    target: int
    zero: int
    clear: int


class _Tables(NamedTuple):
    resets: dict[int, int]
    writing: dict[int, _Writing]
    reading: dict[int, _Reading]


def _writing(register: Register, target: int) -> _Writing:
    store, ones = register.mask(write="store"), register.mask(write="set")
    clear = register.mask(write="clear")
    # Ones in a write-one register's unused bits do nothing, and drivers write IMC = ~0: worth no event.
    reserved = 0 if ones or clear else register.reserved | register.mask(read="zero", write="ignore")
    return _Writing(target, store, ones, clear, reserved)


@cache
def _tables(registers: RegisterMap) -> _Tables:
    tables = _Tables({}, {}, {})
    for register in registers:
        aliased = registers[register.alias_of] if register.alias_of else register
        reading = _Reading(aliased.offset, register.mask(read="zero"), register.mask(read="clear"))
        writing = _writing(register, aliased.offset)
        for offset in register.offsets():
            if register.count == 1:
                tables.writing[offset] = writing
            else:
                tables.writing[offset] = writing._replace(target=offset)
            if register.count <= _SPARSE and not register.alias_of:
                tables.resets[offset] = register.reset
            if reading.zero or reading.clear or register.alias_of:
                tables.reading[offset] = reading if register.count == 1 else reading._replace(target=offset)
    return tables


class RegisterBank(Component):
    """The values behind a register space, by offset. Implements doors.RegisterSpace for accesses of whole registers.

    `values` is shared with the model, which may keep more than a register's width in it (a 64-bit counter).
    A register that nobody has declared reads as 0 and is not written; both are told to `drop`.
    """

    STATE: ClassVar[tuple[str, ...]] = ("values",)

    def __init__(self, registers: RegisterMap, drop: Callable[[str, str], None], path: str = "registers") -> None:
        self.path = path
        self.registers = registers
        self._resets, self._writing, self._reading = _tables(registers)
        self.values: dict[int, int] = dict(self._resets)
        self._readers: dict[int, Callable[[int], int]] = dict.fromkeys(self._reading, self._read_with_effects)
        self._read_hooks: dict[int, ReadHook] = {}
        self._write_hooks: dict[int, WriteHook] = {}
        self._drop = drop

    def read_by(self, register: Register, reader: Callable[[int], int]) -> None:
        """Let `reader(offset)` answer reads of a register by itself, declared effects included: for the busiest."""
        self._readers[register.offset] = reader

    def on_read(self, register: Register, hook: ReadHook) -> None:
        """Let `hook(value)` say what a read gives, after the declared effects."""
        for offset in register.offsets():
            self._read_hooks[offset] = hook
            self._readers[offset] = self._read_with_hook

    def on_write(self, register: Register, hook: WriteHook) -> None:
        """Call `hook(value)` after a write's declared effects."""
        for offset in register.offsets():
            self._write_hooks[offset] = hook

    def wide_counter(self, low: Register, high: Register) -> None:
        """Two registers that show one 64-bit counter, kept whole at `low`; reading `high` clears it."""

        def read_low(offset: int) -> int:
            return min(self.values[offset], 2**64 - 1) & 0xFFFFFFFF

        def read_high(offset: int) -> int:
            value = min(self.values[low.offset], 2**64 - 1)
            self.values[low.offset] = 0
            return value >> 32

        self._readers[low.offset] = read_low
        self._readers[high.offset] = read_high

    def reset(self, keep: frozenset[int] = frozenset()) -> None:
        """All registers to their reset values, except the offsets in `keep`."""
        kept = {offset: value for offset, value in self.values.items() if offset in keep}
        self.values.clear()
        self.values.update(self._resets)
        self.values.update(kept)

    def read(self, offset: int, width: int) -> int:
        reader = self._readers.get(offset)
        if reader is not None:
            return reader(offset)
        value = self.values.get(offset)
        return value if value is not None else self._read_absent(offset)

    def write(self, offset: int, value: int, width: int) -> None:
        writing = self._writing.get(offset)
        if writing is None:
            self._drop("unknown register", f"{self.registers.name}+{offset:#07x} written with {value:#010x}")
            return
        target, store, ones, clear, reserved = writing
        values = self.values
        values[target] = values.get(target, 0) & ~(store | value & clear) | value & (store | ones)
        if value & reserved:
            self._drop("reserved bits", f"{self.registers.label(offset)}: {value & reserved:#010x} of {value:#010x}")
        hook = self._write_hooks.get(offset)
        if hook is not None:
            hook(value)

    def _read_absent(self, offset: int) -> int:
        if self.registers.at(offset) is None:
            self._drop("unknown register", f"{self.registers.name}+{offset:#07x} read")
        return 0

    def _read_with_effects(self, offset: int) -> int:
        target, zero, clear = self._reading[offset]
        value = self.values.get(target, 0)
        if clear:
            self.values[target] = value & ~clear & 0xFFFFFFFF
        if value > 0xFFFFFFFF:  # a counter sticks at its maximum
            value = 0xFFFFFFFF
        return value & ~zero

    def _read_with_hook(self, offset: int) -> int:
        if offset in self._reading:
            value = self._read_with_effects(offset)
        else:
            value = self.values.get(offset, 0)
        return self._read_hooks[offset](value)


class _Piece(NamedTuple):
    """What an access reaches of one register."""

    offset: int
    """The register's."""
    down: int
    """By how many bits its part lies higher than where an access of the register itself has it."""
    up: int
    """By how many bits the part lies higher within the access."""
    mask: int
    """The part's bits, shifted to the lowest."""
    whole: bool


@cache
def _pieces(registers: RegisterMap, offset: int, width: int) -> tuple[_Piece, ...]:
    """The parts of registers that an access of `width` bytes reaches, in order."""
    pieces = []
    for register, at in registers.touched(offset, width):
        size = register.width // 8
        first, last = max(at, offset), min(at + size, offset + width)
        mask = (1 << 8 * (last - first)) - 1
        pieces.append(_Piece(at, 8 * (first - at), 8 * (first - offset), mask, last - first == size))
    return tuple(pieces)


Guard = Callable[[], str]
"""Says why a register cannot be written now; empty: it can."""


class MixedBank(RegisterBank):
    """A register space whose registers are 1, 2 and 4 bytes wide, for accesses of any of these widths.

    A narrower access reads or writes its lanes of the register; a wider one reaches all the registers that it covers,
    the lowest first. Hooks see whole registers: what was not written stands there as it was stored.
    """

    def __init__(self, registers: RegisterMap, drop: Callable[[str, str], None], path: str = "registers") -> None:
        super().__init__(registers, drop, path)
        self._bytes = {at: register.width // 8 for register in registers for at in register.offsets()}
        self._guards: dict[int, Guard] = {}

    def on_write_each(self, register: Register, hook: Callable[[int, int], None]) -> None:
        """Call `hook(index, value)` after a write of an array's element."""
        for index, offset in enumerate(register.offsets()):
            self._write_hooks[offset] = partial(hook, index)

    def guard(self, register: Register, refused: Guard) -> None:
        """Writes are lost, and told to `drop`, while `refused()` gives a reason."""
        for offset in register.offsets():
            self._guards[offset] = refused

    def read(self, offset: int, width: int) -> int:
        if self._bytes.get(offset) == width:
            reader = self._readers.get(offset)
            return reader(offset) if reader is not None else self.values.get(offset, 0)
        pieces = _pieces(self.registers, offset, width)
        if not pieces:
            return self._read_absent(offset)
        value = 0
        for at, down, up, mask, _ in pieces:
            value |= (super().read(at, width) >> down & mask) << up
        return value

    def write(self, offset: int, value: int, width: int) -> None:
        if self._bytes.get(offset) == width:
            if offset not in self._guards or self._allowed(offset):
                super().write(offset, value, width)
            return
        pieces = _pieces(self.registers, offset, width)
        if not pieces:
            super().write(offset, value, width)
        for at, down, up, mask, whole in pieces:
            if not self._allowed(at):
                continue
            if whole:
                super().write(at, value >> up & mask, width)
            else:
                self._write_lanes(at, (value >> up & mask) << down, mask << down)

    def _allowed(self, offset: int) -> bool:
        guard = self._guards.get(offset)
        refused = guard() if guard is not None else ""
        if refused:
            self._drop("write refused", f"{self.registers.label(offset)}: {refused}")
        return not refused

    def _write_lanes(self, offset: int, value: int, lanes: int) -> None:
        """Write the bits of a register that `lanes` has."""
        target, store, ones, clear, reserved = self._writing[offset]
        values = self.values
        current = values.get(target, 0)
        values[target] = current & ~(store & lanes | value & clear) | value & (store | ones)
        if value & reserved:
            self._drop("reserved bits", f"{self.registers.label(offset)}: {value & reserved:#x} of {value:#x}")
        hook = self._write_hooks.get(offset)
        if hook is not None:
            hook(value | current & store & ~lanes)
