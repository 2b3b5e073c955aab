"""The PHY behind the card's own registers, and what MSR and CSCR say of the link (RTL8139C 5.12, 5.18 to 5.27)."""

from collections.abc import Callable

from motenet.core.state import Component
from motenet.datasheets import rtl8139 as sheet
from motenet.datasheets.registers import Register
from motenet.devices.parts.bank import MixedBank
from motenet.devices.parts.mii import MiiPhy
from motenet.devices.parts.timing import Timing
from motenet.devices.rtl8139.interrupts import InterruptUnit
from motenet.doors import Timers

_MSR, _CSCR, _DIS = sheet.MSR.offset, sheet.CSCR.offset, sheet.DIS.offset
_LINKB, _SPEED_10, _AUX, _TXFCE = (sheet.MSR[name] for name in ("LINKB", "SPEED_10", "AUX_STATUS", "TXFCE"))
_LINK_OK, _LINK_CHANGE, _CON_STATUS = (sheet.CSCR[name] for name in ("LINK_OK", "LINK_CHANGE", "CON_STATUS"))
_ANE, _DUPLEX = sheet.BMCR["ANE"], sheet.BMCR["DUPLEX"]
_LOCKED = _ANE | _DUPLEX | sheet.BMCR["SPEED"]
_PAGE_RX = sheet.ANER["PAGE_RX"]
_LINK_CHANGED = sheet.ISR["PUN_LINKCHG"]
_NUMBERS = {register.offset: number for number, register in sheet.MANAGED.items()}
_BMCR, _ANER = _NUMBERS[sheet.BMCR.offset], _NUMBERS[sheet.ANER.offset]


class LinkUnit(Component):
    """The PHY's registers by the card's offsets; MSR, CSCR and DIS follow its link."""

    def __init__(
        self,
        bank: MixedBank,
        timing: Timing,
        interrupts: InterruptUnit,
        unlocked: Callable[[], bool],
        changed: Callable[[], None],
        drop: Callable[[str, str], None],
    ) -> None:
        self.path = "link"
        self.phy = MiiPhy(sheet.PHY_REGISTERS, timing, self._resolve, drop, reset_keeps_mode=False)
        self._interrupts = interrupts
        self._unlocked = unlocked
        self._changed = changed
        self._values = bank.values
        for register in sheet.MANAGED.values():
            bank.read_by(register, self._read)
        bank.on_write(sheet.BMCR, self._control_written)
        bank.on_write(sheet.ANAR, self._advertisement_written)

    def parts(self) -> tuple[Component, ...]:
        return (self.phy,)

    def plug(self, timers: Timers) -> None:
        self.phy.plug(timers)

    @property
    def up(self) -> bool:
        return self.phy.link

    @property
    def bit_time(self) -> int:
        """Nanoseconds a bit."""
        return 100 if self.phy.link and self.phy.speed == 10 else 10

    def show(self) -> None:
        """Bring MSR and CSCR into agreement with the PHY."""
        values, phy = self._values, self.phy
        media = values[_MSR] & _TXFCE | _AUX
        if not phy.link:
            media |= _LINKB
        elif phy.speed == 10:
            media |= _SPEED_10
        values[_MSR] = media
        good = _LINK_OK | _CON_STATUS
        values[_CSCR] = values[_CSCR] & ~good | (good if phy.link else 0)

    def _resolve(self) -> None:
        """The PHY's link, speed or duplex has changed."""
        self.show()
        values = self._values
        values[_CSCR] |= _LINK_CHANGE
        if not self.phy.link:
            values[_DIS] = values[_DIS] + 1 & 0xFFFF
        self._changed()
        self._interrupts.cause(_LINK_CHANGED)

    def _read(self, offset: int) -> int:
        phy = self.phy
        value = phy.read(_NUMBERS[offset])
        if offset == sheet.BMCR.offset and value & _ANE:
            # 5.18: with ANE, DUPLEX reads as negotiated
            value = value & ~_DUPLEX | (_DUPLEX if phy.link and phy.full_duplex else 0)
        elif offset == sheet.ANLPAR.offset:
            phy.values[_ANER] &= ~_PAGE_RX  # 5.22
        return value

    def _control_written(self, value: int) -> None:
        if not self._unlocked():
            value = value & ~_LOCKED | self.phy.values[_BMCR] & _LOCKED
        self._write(sheet.BMCR, value)

    def _advertisement_written(self, value: int) -> None:
        self._write(sheet.ANAR, value)

    def _write(self, register: Register, value: int) -> None:
        number = _NUMBERS[register.offset]
        self.phy.write(number, value & register.mask())
        self._values[register.offset] = self.phy.values[number]
