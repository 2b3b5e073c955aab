"""The ways to the 82540EM's EEPROM: EECD's pins (8254x 13.4.3), EERD (13.4.4), and the card's own reading at reset."""

from collections.abc import Callable
from typing import ClassVar

from motenet.core import units
from motenet.core.state import Component
from motenet.datasheets import e1000 as sheet
from motenet.datasheets.e1000 import eeprom as layout
from motenet.devices.parts.bank import RegisterBank
from motenet.devices.parts.eeprom93c46 import Eeprom93C46
from motenet.devices.parts.timing import Timing
from motenet.doors import Timers

_EECD, _EERD = sheet.EECD.offset, sheet.EERD.offset
_SK, _CS, _DI, _DO = (sheet.EECD[name] for name in ("SK", "CS", "DI", "DO"))
_REQ, _GNT, _PRES = (sheet.EECD[name] for name in ("EE_REQ", "EE_GNT", "EE_PRES"))
_START, _DONE = sheet.EERD["START"], sheet.EERD["DONE"]
_ADDR, _DATA = sheet.EERD.field("ADDR"), sheet.EERD.field("DATA")
_SIGNATURE = layout.WORD_0A.field("SIGNATURE")

BIT = 1 * units.US
"""One clock of the Microwire bus: 1 MHz (93C46 at 5 V)."""
WORD_READ = 27 * BIT
"""Start bit, opcode, address, dummy bit, data, and deselection."""
RELOAD_WORDS = 16
"""Words 0 to 0F, which the card reads for itself (8254x 5.6.35)."""


class NonvolatileUnit(Component):
    """Shares the EEPROM between the card's reload, EERD, and software at the pins."""

    STATE: ClassVar[tuple[str, ...]] = ("reloading", "asked", "reading", "granted")

    def __init__(self, bank: RegisterBank, mac: bytes, timing: Timing, loaded: Callable[[], None]) -> None:
        self.path = "nonvolatile"
        self.memory = Eeprom93C46(layout.image(mac))
        self.reloading = 0
        """The timer of the card's own reading; 0: none."""
        self.asked = False
        """EERD's reading is not done, and perhaps waits for its turn."""
        self.reading = 0
        """The timer of EERD's reading; 0: none."""
        self.granted = False
        self._timing = timing
        self._loaded = loaded
        self._values = bank.values
        bank.on_read(sheet.EECD, self._eecd_read)
        bank.on_write(sheet.EECD, self._eecd_written)
        bank.on_write(sheet.EERD, self._eerd_written)

    def parts(self) -> tuple[Component, ...]:
        return (self.memory,)

    def plug(self, timers: Timers) -> None:
        self._timers = timers

    @property
    def valid(self) -> bool:
        """Whether the signature in word 0A is good (8254x 5.6.8)."""
        return _SIGNATURE.get(self.memory.words[layout.INIT_CONTROL_1]) == 1

    def reset(self, *, at_once: bool) -> None:
        """Read the EEPROM again: `loaded` is called when that is done."""
        self._cancel()
        self.granted = self.asked = False
        self.memory.pins(False, False, 0)
        if not self.valid:
            self._values[_EECD] &= ~_PRES
        if at_once:
            self._reloaded(None)
        else:
            self.reload()

    def reload(self) -> None:
        """The card reads its words; software gets no grant meanwhile, and EERD's reading starts over behind it."""
        self._cancel()
        self.reloading = self._timers.after(self._timing.delay(RELOAD_WORDS * WORD_READ), self._reloaded)

    def _reloaded(self, _: object) -> None:
        self.reloading = 0
        self._arbitrate()
        if self.valid:
            self._loaded()

    def _cancel(self) -> None:
        for timer in (self.reloading, self.reading):
            if timer:
                self._timers.cancel(timer)
        self.reloading = self.reading = 0

    # --- EECD

    def _arbitrate(self) -> None:
        """5.3.1: no grant while the hardware is at the EEPROM; then it lasts as long as the request, and EERD waits."""
        if not self._values[_EECD] & _REQ:
            self.granted = False
        elif not self.reloading and not self.reading:
            self.granted = True
        if self.asked and not (self.reading or self.reloading or self.granted):
            self.reading = self._timers.after(self._timing.delay(WORD_READ), self._word_read)

    def _eecd_written(self, value: int) -> None:
        self._arbitrate()
        if self.granted:
            self.memory.pins(bool(value & _CS), bool(value & _SK), 1 if value & _DI else 0)
        else:
            self.memory.pins(False, False, 0)

    def _eecd_read(self, value: int) -> int:
        return value | (_GNT if self.granted else 0) | (_DO if self.memory.data_out else 0)

    # --- EERD

    def _eerd_written(self, value: int) -> None:
        if not value & _START:
            return
        self._values[_EERD] &= ~(_DONE | _DATA.mask)
        if self.reading:
            self._timers.cancel(self.reading)
        self.asked, self.reading = True, 0
        self._arbitrate()

    def _word_read(self, _: object) -> None:
        self.asked, self.reading = False, 0
        words = self.memory.words
        address = _ADDR.get(self._values[_EERD])
        self._values[_EERD] |= _DONE | _DATA.put(words[address % len(words)])
        self._arbitrate()
