"""Interrupt causes, mask and throttling of the 82540EM (8254x 13.4.17 to 13.4.21)."""

from typing import ClassVar

from motenet.core.state import Component
from motenet.datasheets import e1000 as sheet
from motenet.devices.parts.bank import RegisterBank
from motenet.doors import PciSlot

_ICR, _IMS, _ITR = sheet.ICR.offset, sheet.IMS.offset, sheet.ITR.offset

ITR_UNIT = 256
"""Nanoseconds (8254x 13.4.18)."""
_LONG_AGO = -0xFFFF * ITR_UNIT
"""Further back than the longest interval reaches."""


class InterruptUnit(Component):
    """Asserts the line, or sends one message, while an unmasked cause is pending; at most once an ITR interval.

    No second message is sent until ICR has been read and another cause has come (8254x 4.1.3): masking and unmasking
    moves the line only.
    """

    STATE: ClassVar[tuple[str, ...]] = ("asserted", "messaged", "last", "waiting")

    def __init__(self, bank: RegisterBank) -> None:
        self.path = "interrupts"
        self.asserted = False
        self.messaged = False
        """A message has gone for the causes in ICR."""
        self.last = _LONG_AGO
        """The time of the last interrupt, from which ITR's interval counts."""
        self.waiting = 0
        """The timer of an interrupt that ITR holds back; 0: none."""
        self._values = bank.values
        bank.read_by(sheet.ICR, self._read_icr)
        bank.on_write(sheet.ICR, self._icr_written)
        for register in (sheet.ICS, sheet.IMS, sheet.IMC):
            bank.on_write(register, self._written)
        bank.on_write(sheet.ITR, self._itr_written)

    def plug(self, slot: PciSlot) -> None:
        self._slot = slot

    def reset(self) -> None:
        """The registers are clear."""
        self._cancel()
        self.messaged, self.last = False, _LONG_AGO
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
        quiet_until = self.last + self._values[_ITR] * ITR_UNIT
        if now < quiet_until:
            self.waiting = self._slot.clock.at(quiet_until, self._quiet_over)
            return
        self.asserted, self.last = True, now
        self._slot.set_level(True)
        self.send_message()

    def send_message(self) -> None:
        """Tell the driver by a message, if that is the way and it has not been told: also when the bus comes back."""
        slot = self._slot
        if self.asserted and not self.messaged and slot.message_enabled():
            self.messaged = slot.send_message(0)

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
            self.messaged = False
            if self.asserted:
                self.asserted = False
                self._slot.set_level(False)
        return value

    def _icr_written(self, _: int) -> None:
        """13.4.17: ones clear causes; with none left that is unmasked it is as if ICR had been read."""
        if not self._values[_ICR] & self._values[_IMS]:
            self.messaged = False
        self.update()

    def _written(self, _: int) -> None:
        self.update()

    def _itr_written(self, _: int) -> None:
        """A changed interval counts from the last interrupt; 0 switches throttling off."""
        self._cancel()
        self.update()
