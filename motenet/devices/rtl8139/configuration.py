"""9346CR: the EEPROM's pins, loading from it, and the lock of the configuration registers (RTL8139C 5.9, 6)."""

from collections.abc import Callable
from typing import ClassVar

from motenet.core.state import Component
from motenet.core.units import MS
from motenet.datasheets import rtl8139 as sheet
from motenet.datasheets.rtl8139 import eeprom as layout
from motenet.devices.parts.bank import MixedBank
from motenet.devices.parts.eeprom93c46 import Eeprom93C46
from motenet.devices.parts.timing import Timing
from motenet.doors import Timers

_9346CR = sheet.CR9346.offset
_EEM = sheet.CR9346.field("EEM")
_EECS, _EESK, _EEDI, _EEDO = (sheet.CR9346[name] for name in ("EECS", "EESK", "EEDI", "EEDO"))
_PARM_EN = sheet.CONFIG3["PARM_EN"]
_TXFCE = sheet.MSR["TXFCE"]

LOAD = 2 * MS
"""About the time of reading the EEPROM (RTL8139C 5.9)."""


class ConfigurationUnit(Component):
    """Between 9346CR and the EEPROM."""

    STATE: ClassVar[tuple[str, ...]] = ("loading",)

    def __init__(
        self,
        bank: MixedBank,
        mac: bytes,
        timing: Timing,
        changed: Callable[[], None],
        loaded: Callable[[], None],
    ) -> None:
        """`changed` is called after each command, `loaded` when software's autoload is done."""
        self.path = "configuration"
        self.memory = Eeprom93C46(layout.image(mac))
        self.loading = 0
        """The timer of an autoload under way; 0: none."""
        self._timing = timing
        self._changed = changed
        self._loaded = loaded
        self._values = bank.values
        bank.on_read(sheet.CR9346, self._command_read)
        bank.on_write(sheet.CR9346, self._command_written)
        for register in (sheet.IDR0, sheet.IDR4, sheet.CONFIG0, sheet.CONFIG1, sheet.CONFIG3, sheet.CONFIG4):
            bank.guard(register, self._locked)
        for register in (sheet.PHY1_PARM, sheet.PHY2_PARM, sheet.TW_PARM):
            bank.guard(register, self._parameters_locked)

    def parts(self) -> tuple[Component, ...]:
        return (self.memory,)

    def plug(self, timers: Timers) -> None:
        self._timers = timers

    @property
    def mode(self) -> int:
        """9346CR.EEM."""
        return _EEM.get(self._values[_9346CR])

    @property
    def unlocked(self) -> bool:
        """Config write enable mode."""
        return self.mode == sheet.EEM_CONFIG

    @property
    def busy(self) -> bool:
        """The EEPROM is being read or programmed: network and bus master operations are disabled (5.9)."""
        return self.mode in (sheet.EEM_AUTOLOAD, sheet.EEM_PROGRAMMING)

    def reset(self) -> None:
        """RST#: what was under way at the EEPROM is over."""
        if self.loading:
            self._timers.cancel(self.loading)
        self.loading = 0
        self.memory.pins(False, False, 0)

    def load_registers(self) -> None:
        """RTL8139C 6: the address and the configuration registers from the EEPROM's words."""
        words, values = self.memory.words, self._values
        address = words[layout.MAC_ADDRESS : layout.MAC_ADDRESS + 3]
        values[sheet.IDR0.offset] = address[0] | address[1] << 16
        values[sheet.IDR4.offset] = address[2]
        values[sheet.CONFIG0.offset] = words[layout.CONFIG0_CONFIG1] & 0xFF
        values[sheet.CONFIG1.offset] = words[layout.CONFIG0_CONFIG1] >> 8
        values[sheet.CONFIG3.offset] = words[layout.MSRBMCR_CONFIG3] >> 8
        values[sheet.CONFIG4.offset] = words[layout.CONFIG4] >> 8
        values[sheet.CONFIG5.offset] = words[layout.PHY2_PARM_CONFIG5] >> 8
        values[sheet.PHY2_PARM.offset] = words[layout.PHY2_PARM_CONFIG5] & 0xFF
        values[sheet.PHY1_PARM.offset] = words[layout.PHY1_PARM] | words[layout.PHY1_PARM + 1] << 16
        values[sheet.TW_PARM.offset] = words[layout.TW_PARM] | words[layout.TW_PARM + 1] << 16
        media = values[sheet.MSR.offset]
        values[sheet.MSR.offset] = media & ~_TXFCE | words[layout.MSRBMCR_CONFIG3] & _TXFCE

    def _locked(self) -> str:
        return "" if self.unlocked else "9346CR.EEM is not 3 (RTL8139C 5.9)"

    def _parameters_locked(self) -> str:
        if self._values[sheet.CONFIG3.offset] & _PARM_EN:
            return "CONFIG3.PARM_EN is set (RTL8139C 5.13)"
        return self._locked()

    def _command_read(self, value: int) -> int:
        if _EEM.get(value) == sheet.EEM_PROGRAMMING and self.memory.data_out:
            return value | _EEDO
        return value

    def _command_written(self, value: int) -> None:
        mode = _EEM.get(value)
        if mode == sheet.EEM_PROGRAMMING:
            self.memory.pins(bool(value & _EECS), bool(value & _EESK), 1 if value & _EEDI else 0)
        else:
            self.memory.pins(False, False, 0)
        if mode == sheet.EEM_AUTOLOAD and not self.loading:
            self.loading = self._timers.after(self._timing.delay(LOAD), self._load_done)
        elif mode != sheet.EEM_AUTOLOAD and self.loading:
            self._timers.cancel(self.loading)
            self.loading = 0
        self._changed()

    def _load_done(self, _: object) -> None:
        """5.9: back to normal mode by itself, and all other registers to their reset values."""
        self.loading = 0
        self._values[_9346CR] = 0
        self._loaded()
