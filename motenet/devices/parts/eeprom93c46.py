"""A Microwire EEPROM of the 93C46/93C66 kind (Microchip DS20001749, Atmel AT93C46 data sheets): reading.

An instruction is a start bit, two bits of opcode and the address, each taken on a rising clock. READ answers with a
zero bit, then 16 data bits, high first; further clocks give the words that follow.
"""

from collections.abc import Sequence
from typing import ClassVar

from motenet.core.state import Component

READ = 0b10


class Eeprom93C46(Component):
    """64 words of 16 bits with 6 address bits, or 256 words (a 93C66) with 8."""

    STATE: ClassVar[tuple[str, ...]] = ("words", "selected", "clock", "shifted", "count", "address", "data_out")

    def __init__(self, words: Sequence[int], path: str = "eeprom") -> None:
        self.path = path
        self.words = list(words)
        self.address_bits = 6 if len(self.words) <= 64 else 8
        self.selected = False
        self.clock = False
        self.shifted = 0
        """The bits taken since the start bit, which is the leading one."""
        self.count = 0
        """Data bits given so far; -1 while an instruction is being taken."""
        self.address = -1
        """The word that is being given; -1: none."""
        self.data_out = 1

    def pins(self, select: bool, clock: bool, data: int) -> None:
        """The levels of CS, SK and DI; `data_out` is then that of DO (1 while it floats, by its pull-up)."""
        if not select:
            self.selected = False
            self.shifted, self.address, self.data_out = 0, -1, 1
        elif not self.selected:
            self.selected = True
        elif clock and not self.clock:
            self._rising(data)
        self.clock = clock

    def _rising(self, data: int) -> None:
        if self.address >= 0:
            self._give()
            return
        if not self.shifted and not data:
            return  # the start bit is the first one
        self.shifted = self.shifted << 1 | data
        if self.shifted.bit_length() == 3 + self.address_bits:
            opcode = self.shifted >> self.address_bits & 3
            if opcode == READ:
                self.address = self.shifted & (1 << self.address_bits) - 1
                self.count, self.data_out = 0, 0
            else:
                self.shifted = 0

    def _give(self) -> None:
        word = self.words[self.address % len(self.words)]
        self.data_out = word >> (15 - self.count) & 1
        self.count += 1
        if self.count == 16:
            self.count, self.address = 0, self.address + 1
