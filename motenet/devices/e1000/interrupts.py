"""Interrupt causes, mask and throttling of the 82540EM (8254x 13.4.17 to 13.4.21)."""

from typing import ClassVar

from motenet.core.state import Component
from motenet.datasheets import e1000 as sheet
from motenet.devices.parts.bank import RegisterBank
from motenet.doors import PciSlot

_ICR, _IMS, _ITR = sheet.ICR.offset, sheet.IMS.offset, sheet.ITR.offset

ITR_UNIT = 256
"""Nanoseconds (8254x 13.4.18)."""


class InterruptUnit(Component):
    """Asserts the line, or sends one message, while an unmasked cause is pending; at most once an ITR interval.

    No second message is sent until all unmasked causes are gone, which reading ICR brings about (8254x 4.1.3).
    """

    STATE: ClassVar[tuple[str, ...]] = ("asserted", "quiet_until", "waiting")

    def __init__(self, bank: RegisterBank) -> None:
        self.path = "interrupts"
        self.asserted = False
        self.quiet_until = 0
        """The next interrupt's earliest time."""
        self.waiting = 0
        """The timer of an interrupt that ITR holds back; 0: none."""
        self._values = bank.values
        bank.read_by(sheet.ICR, self._read_icr)
        for register in (sheet.ICR, sheet.ICS, sheet.IMS, sheet.IMC):
            bank.on_write(register, self._written)
        bank.on_write(sheet.ITR, self._itr_written)

    def plug(self, slot: PciSlot) -> None:
        self._slot = slot

    def reset(self) -> None:
        """The registers are clear."""
        self._cancel()
        self.quiet_until = 0
        self.update()

    def cause(self, bits: int) -> None:
        """Set bits of ICR, and interrupt if one of them is unmasked."""
        self._values[_ICR] |= bits
        self.update()

    def update(self) -> None:
        """Bring the line into agreement with ICR and IMS."""
        if not self._values[_ICR] & self._values[_IMS]:
            if self.asserted:
                self.asserted = False
                self._slot.set_level(False)
            return
        if self.asserted or self.waiting:
            return
        now = self._slot.clock.now
        if now < self.quiet_until:
            self.waiting = self._slot.clock.at(self.quiet_until, self._quiet_over)
            return
        self.asserted = True
        interval = self._values[_ITR]
        if interval:
            self.quiet_until = now + interval * ITR_UNIT
        slot = self._slot
        slot.set_level(True)
        if slot.message_enabled():
            slot.send_message(0)

    def _quiet_over(self, _: object) -> None:
        self.waiting = 0
        self.update()

    def _cancel(self) -> None:
        if self.waiting:
            self._slot.clock.cancel(self.waiting)
        self.waiting = 0

    def _read_icr(self, offset: int) -> int:
        """13.4.17: reading clears all causes, and so ends the interrupt."""
        values = self._values
        value = values[offset]
        if value:
            values[offset] = 0
            if self.asserted:
                self.asserted = False
                self._slot.set_level(False)
        return value

    def _written(self, _: int) -> None:
        self.update()

    def _itr_written(self, interval: int) -> None:
        """A changed interval counts from the last interrupt; 0 switches throttling off."""
        if not interval & 0xFFFF:
            self._cancel()
            self.quiet_until = 0
            self.update()
