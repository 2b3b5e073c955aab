"""MDIC, the internal PHY, and what the MAC makes of its link (8254x 13.4.7, 13.4.2, 8.6)."""

from collections.abc import Callable
from typing import ClassVar

from motenet.core import units
from motenet.core.state import Component
from motenet.datasheets import e1000 as sheet
from motenet.datasheets.e1000 import phy as layout
from motenet.devices.parts.bank import RegisterBank
from motenet.devices.parts.mii import MiiPhy
from motenet.devices.parts.timing import Timing
from motenet.doors import Timers

_CTRL, _STATUS, _MDIC = sheet.CTRL.offset, sheet.STATUS.offset, sheet.MDIC.offset
_SLU, _FRCSPD, _FRCDPLX, _CTRL_FD = (sheet.CTRL[name] for name in ("SLU", "FRCSPD", "FRCDPLX", "FD"))
_CTRL_SPEED = sheet.CTRL.field("SPEED")
_LU, _FD = sheet.STATUS["LU"], sheet.STATUS["FD"]
_SPEED, _ASDV = sheet.STATUS.field("SPEED"), sheet.STATUS.field("ASDV")
_DATA, _REGADD = sheet.MDIC["DATA"], sheet.MDIC.field("REGADD")
_PHYADD, _OP = sheet.MDIC.field("PHYADD"), sheet.MDIC.field("OP")
_READY, _INTERRUPT, _ERROR = sheet.MDIC["R"], sheet.MDIC["I"], sheet.MDIC["E"]
_OP_WRITE, _OP_READ = 1, 2
_LSC, _MDAC = sheet.ICR["LSC"], sheet.ICR["MDAC"]

MDIO_TRANSACTION = 64 * units.US
"""About the time of one transaction (8254x 13.4.7)."""

_PSSTAT = layout.PSSTAT.offset
_SPEED_CODE = {10: 0, 100: 1, 1000: 2}


class LinkUnit(Component):
    """The PHY behind MDIC, and STATUS's link bits. `up` says whether frames can pass."""

    STATE: ClassVar[tuple[str, ...]] = ("transaction",)

    def __init__(
        self,
        bank: RegisterBank,
        timing: Timing,
        cause: Callable[[int], None],
        changed: Callable[[], None],
        drop: Callable[[str, str], None],
    ) -> None:
        self.path = "link"
        self.phy = MiiPhy(layout.PHY_REGISTERS, timing, self.resolve, drop)
        self.transaction = 0
        """The timer of the MDIO transaction under way; 0: none."""
        self._timing = timing
        self._cause = cause
        self._changed = changed
        self._drop = drop
        self._values = bank.values
        bank.on_write(sheet.MDIC, self._mdic_written)
        self.phy.bank.on_read(layout.PSSTAT, self._specific_status)

    def parts(self) -> tuple[Component, ...]:
        return (self.phy,)

    def plug(self, timers: Timers) -> None:
        self._timers = timers
        self.phy.plug(timers)

    @property
    def up(self) -> bool:
        """The MAC sees a link."""
        return bool(self._values[_STATUS] & _LU)

    def reset(self) -> None:
        """The MAC's side only: a software reset leaves the PHY alone (8254x 14.7)."""
        if self.transaction:
            self._timers.cancel(self.transaction)
        self.transaction = 0
        self._values[_STATUS] = self._status()

    def resolve(self) -> None:
        """Bring STATUS into agreement with PHY and CTRL; tell what changes."""
        before, after = self._values[_STATUS], self._status()
        self._values[_STATUS] = after
        if before != after and (before | after) & _LU:
            self._changed()
        if (before ^ after) & _LU:
            self._cause(_LSC)

    def _status(self) -> int:
        """8.6.2: speed and duplex come from the PHY unless CTRL forces them; the link wants CTRL.SLU."""
        control, phy = self._values[_CTRL], self.phy
        speed = _SPEED_CODE.get(phy.speed, 0)
        status = sheet.STATUS.reset | _ASDV.put(speed)
        if control & _FRCSPD:
            speed = min(_CTRL_SPEED.get(control), 2)
        status |= _SPEED.put(speed)
        if control & _CTRL_FD if control & _FRCDPLX else phy.full_duplex:
            status |= _FD
        if phy.link and control & _SLU:
            status |= _LU
        return status

    # --- MDIC

    def _mdic_written(self, _: int) -> None:
        if self.transaction:
            self._drop("MDIC busy", "written before READY: the transaction under way is lost")
            self._timers.cancel(self.transaction)
        self._values[_MDIC] &= ~(_READY | _ERROR)
        self.transaction = self._timers.after(self._timing.delay(MDIO_TRANSACTION), self._transacted)

    def _transacted(self, _: object) -> None:
        self.transaction = 0
        command = self._values[_MDIC]
        operation, number = _OP.get(command), _REGADD.get(command)
        if operation not in (_OP_READ, _OP_WRITE):
            self._values[_MDIC] = command | _READY  # nothing goes to the PHY (I210 3.7.2.2, of the same family)
        elif _PHYADD.get(command) != layout.PHY_ADDRESS:
            self._values[_MDIC] = command | _DATA | _ERROR | _READY  # nobody drives the turn-around, ones are read
        elif operation == _OP_READ:
            self._values[_MDIC] = command & ~_DATA | self.phy.read(number) | _READY
        else:
            self._values[_MDIC] = command | _READY
            self.phy.write(number, command & _DATA)
        if command & _INTERRUPT:
            self._cause(_MDAC)

    def _specific_status(self, _: int) -> int:
        """The M88's own view: speed, duplex and link of this moment (8254x PSSTAT)."""
        phy = self.phy
        if not phy.link:
            return 0
        pause = layout.PSSTAT["RX_PAUSE"] | layout.PSSTAT["TX_PAUSE"]
        resolved = layout.PSSTAT["LINK"] | layout.PSSTAT["RESOLVED"] | layout.PSSTAT["MDIX"] | pause
        duplex = layout.PSSTAT["DUPLEX"] if phy.full_duplex else 0
        return resolved | duplex | layout.PSSTAT.field("SPEED").put(_SPEED_CODE[phy.speed])
