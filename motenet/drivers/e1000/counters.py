"""The card's statistics, added up: reading clears them in the hardware (8254x 13.7)."""

from typing import ClassVar

from motenet.datasheets.e1000 import STATISTICS
from motenet.drivers.e1000.card import Card
from motenet.drivers.registers import CardCounters

_WIDE = {"GORCL": "GORC", "GOTCL": "GOTC", "TORL": "TOR", "TOTL": "TOT"}
"""Lower halves of 64-bit counters, and what the whole is called."""


class Counters(CardCounters):
    """Sums since the driver was made, by the datasheet's names."""

    STATE: ClassVar[tuple[str, ...]] = ("values",)

    def __init__(self, card: Card) -> None:
        self.path = "counters"
        self._card = card
        self.values: dict[str, int] = {}

    def clear(self) -> None:
        """13.7: after power-on they are unknown until they have been read."""
        for register in STATISTICS:
            self._card.read(register.offset)

    def harvest(self) -> None:
        """Add what the card has counted. Of a wide counter the lower half is read first: the upper clears both."""
        low = 0
        for register in STATISTICS:
            name, value = register.name, self._card.read(register.offset)
            if name in _WIDE:
                low = value
                continue
            wide = _WIDE.get(f"{name[:-1]}L")
            if wide is not None:
                name, value = wide, value << 32 | low
            self.values[name] = self.values.get(name, 0) + value
