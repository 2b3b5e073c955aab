"""ISR, IMR and the pin, and the timer that interrupts (RTL8139C 5.5, 5.6; TCTR and TIMERINT)."""

from typing import ClassVar

from motenet.core.state import Component
from motenet.core.units import SECOND
from motenet.datasheets import rtl8139 as sheet
from motenet.devices.parts.bank import RegisterBank
from motenet.doors import PciSlot

_IMR, _ISR = sheet.IMR.offset, sheet.ISR.offset
_TIMERINT = sheet.TIMERINT.offset
_TIMEOUT = sheet.ISR["TIMEOUT"]
_WRAP = 1 << 32


class InterruptUnit(Component):
    """Gathers causes in ISR; the pin is high while one of them is unmasked. The card knows no messages."""

    STATE: ClassVar[tuple[str, ...]] = ("asserted",)

    def __init__(self, bank: RegisterBank) -> None:
        self.path = "interrupts"
        self.asserted = False
        self._values = bank.values
        bank.on_write(sheet.ISR, self._written)
        bank.on_write(sheet.IMR, self._written)

    def plug(self, slot: PciSlot) -> None:
        self._slot = slot

    def cause(self, bits: int) -> None:
        """Set bits of ISR, and interrupt if one of them is unmasked."""
        self._values[_ISR] |= bits
        self.update()

    def update(self) -> None:
        """Bring the pin into agreement with ISR and IMR."""
        level = bool(self._values[_ISR] & self._values[_IMR])
        if level != self.asserted:
            self.asserted = level
            self._slot.set_level(level)

    def _written(self, _: int) -> None:
        self.update()


class TimerUnit(Component):
    """TCTR counts PCI clocks; whenever it reaches TIMERINT, ISR.TIMEOUT is set."""

    STATE: ClassVar[tuple[str, ...]] = ("start", "alarm")

    def __init__(self, bank: RegisterBank, interrupts: InterruptUnit) -> None:
        self.path = "timer"
        self.start = 0
        """When TCTR was 0."""
        self.alarm = 0
        """The timer of the next TIMEOUT; 0: none."""
        self._values = bank.values
        self._interrupts = interrupts
        bank.on_read(sheet.TCTR, self._count_read)
        bank.on_write(sheet.TCTR, self._count_written)
        bank.on_write(sheet.TIMERINT, self._limit_written)

    def plug(self, slot: PciSlot) -> None:
        self._clock = slot.clock

    def reset(self) -> None:
        """Count from 0 again, without alarm."""
        self.start = self._clock.now
        self._set_alarm()

    def _count(self) -> int:
        """PCI clocks since `start`."""
        return (self._clock.now - self.start) * sheet.TIMER_HZ // SECOND

    def _count_read(self, _: int) -> int:
        return self._count() % _WRAP

    def _count_written(self, _: int) -> None:
        self.start = self._clock.now
        self._set_alarm()

    def _limit_written(self, _: int) -> None:
        self._set_alarm()

    def _set_alarm(self) -> None:
        """For the next time that the count equals TIMERINT; what it equals now has passed."""
        if self.alarm:
            self._clock.cancel(self.alarm)
            self.alarm = 0
        limit = self._values[_TIMERINT]
        if limit:
            count = self._count()
            target = count + ((limit - count) % _WRAP or _WRAP)
            self.alarm = self._clock.at(self.start + -(-target * SECOND // sheet.TIMER_HZ), self._reached)

    def _reached(self, _: object) -> None:
        self.alarm = 0
        self._interrupts.cause(_TIMEOUT)
        self._set_alarm()
