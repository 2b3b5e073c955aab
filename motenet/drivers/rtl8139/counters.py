"""What the cards count by themselves, added up."""

from collections.abc import Callable
from typing import ClassVar

from motenet.core.units import MS, US
from motenet.datasheets.rtl8139 import DTCCRH, DTCCRL, MPC, TALLY, TALLY_CODEC, TALLY_SIZE
from motenet.doors import PciFunction
from motenet.drivers.registers import CardCounters
from motenet.drivers.rtl8139.card import Card

_DUMP_STEP, _DUMP_LIMIT = 10 * US, 10 * MS
"""Linux 8139cp.c: DTCCR.CMD is looked at every 10 us, a thousand times."""
_NAMES = tuple(member.name for member in TALLY.subcons)
_MASKS = tuple((1 << 8 * member.sizeof()) - 1 for member in TALLY.subcons)


class MissedCounter(CardCounters):
    """C mode: frames missed for want of room, under MPC's name."""

    STATE: ClassVar[tuple[str, ...]] = ("values",)

    def __init__(self, card: Card) -> None:
        self.path = "counters"
        self._card = card
        self.values = {"MPC": 0}

    def clear(self) -> None:
        """Writing anything clears it."""
        self._card.write(MPC, 0)

    def harvest(self) -> None:
        """Add what the card has counted."""
        missed = self._card.read(MPC)
        if missed <= MPC["COUNT"]:  # else no card answers
            self.values["MPC"] += missed
            self.clear()


class TallyCounters(CardCounters):
    """C+ mode: the thirteen counters that the card stores in memory when it is asked to, by the datasheet's names."""

    STATE: ClassVar[tuple[str, ...]] = ("values", "last")

    def __init__(self, function: PciFunction, card: Card, drop: Callable[[str, str], None]) -> None:
        self.path = "counters"
        self._card, self._drop, self._delay = card, drop, function.delay
        self._buffer = function.dma.allocate(TALLY_SIZE, TALLY_SIZE, mask=0xFFFFFFFF)
        self._load = self._buffer.unpacker(TALLY_CODEC)
        self.values = dict.fromkeys(_NAMES, 0)
        self.last = [0] * len(_NAMES)
        """What the card said the last time: it never clears them."""

    def clear(self) -> None:
        """Count from here on."""
        if self._dump():
            self.last[:] = self._load(0)

    def harvest(self) -> None:
        """Add what the card has counted since the last time. It takes as long as the card needs to store it."""
        if not self._dump():
            return
        fresh = self._load(0)
        for name, mask, now, before in zip(_NAMES, _MASKS, fresh, self.last, strict=True):
            self.values[name] += now - before & mask
        self.last[:] = fresh

    def _dump(self) -> bool:
        """Have the counters stored; says whether the card has done it."""
        card = self._card
        card.write(DTCCRH, 0)
        card.write(DTCCRL, self._buffer.address | DTCCRL["CMD"])
        for _ in range(_DUMP_LIMIT // _DUMP_STEP):
            if not card.read(DTCCRL) & DTCCRL["CMD"]:
                return True
            self._delay(_DUMP_STEP)
        self._drop("tally", f"the counters were not stored within {_DUMP_LIMIT} ns (RTL8139C+ 6, DTCCR)")
        return False
