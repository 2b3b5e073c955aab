"""A twisted-pair PHY behind IEEE 802.3's management registers (clauses 22, 28 and 40): two cards have one.

Registers are 16 bits wide and numbered 0 to 31. The partner at the other end of the cable can do everything.
"""

from collections.abc import Callable
from typing import ClassVar

from motenet.core import units
from motenet.core.state import Component
from motenet.datasheets.registers import RegisterMap
from motenet.devices.parts.bank import RegisterBank
from motenet.devices.parts.timing import Timing
from motenet.doors import Timers

AUTO_NEGOTIATION = 500 * units.MS
"""From the first link pulses to a link: bursts every 16 ms (802.3 28.2.1), at least 16 of them with the next pages of
1000BASE-T, and its training."""

BMCR, BMSR, ANAR, ANLPAR, ANER, GCON, GSTATUS = 0, 1, 4, 5, 6, 9, 10

_RESET, _LOOPBACK, _SPEED_LSB, _AN_ENABLE, _POWER_DOWN = 0x8000, 0x4000, 0x2000, 0x1000, 0x0800
_RESTART, _DUPLEX, _SPEED_MSB = 0x0200, 0x0100, 0x0040
_LINK, _AN_COMPLETE = 0x0004, 0x0020
_ANER_ANSWER = 0x0003  # page received, partner able to negotiate
_PARTNER = 0x45E1  # acknowledge, pause, 10 and 100 Mbit/s, half and full duplex
_GIGABIT_PARTNER = 0x3C00  # both receivers well, 1000BASE-T half and full duplex

LinkChanged = Callable[[], None]


class MiiPhy(Component):
    """Negotiates a link while there is a carrier, and says what came out: `link`, `speed` (Mbit/s), `full_duplex`."""

    STATE: ClassVar[tuple[str, ...]] = ("carrier", "held", "link", "speed", "full_duplex", "latched_down", "timer")

    def __init__(
        self,
        registers: RegisterMap,
        timing: Timing,
        changed: LinkChanged,
        drop: Callable[[str, str], None],
        *,
        reset_keeps_mode: bool = True,
    ) -> None:
        self.path = "phy"
        self.bank = RegisterBank(registers, drop, "phyregisters")
        self.values = self.bank.values
        self.carrier = False
        self.held = False
        """Kept in reset by a pin."""
        self.link = False
        self.speed = 0
        self.full_duplex = False
        self.latched_down = True
        """The link was down since BMSR was last read."""
        self.timer = 0
        """The running negotiation's timer; 0: none."""
        self._timing = timing
        self._changed = changed
        self._timers: Timers | None = None
        self._gigabit = registers.at(GCON) is not None
        self._reset_keeps_mode = reset_keeps_mode
        self.bank.on_write(registers["BMCR"], self._control_written)
        self.bank.on_read(registers["BMSR"], self._status_read)

    def parts(self) -> tuple[Component, ...]:
        return (self.bank,)

    def plug(self, timers: Timers) -> None:
        """Take the clock that times the negotiation."""
        self._timers = timers

    @property
    def loopback(self) -> bool:
        """BMCR's loopback: what is sent comes back, and nothing reaches the cable."""
        return bool(self.values[BMCR] & _LOOPBACK)

    def read(self, number: int) -> int:
        return self.bank.read(number, 2)

    def write(self, number: int, value: int) -> None:
        self.bank.write(number, value & 0xFFFF, 2)

    def set_carrier(self, carrier: bool) -> None:
        """Somebody plugged the cable in or pulled it."""
        self.carrier = carrier
        self._settle()

    def hold(self, held: bool) -> None:
        """The reset pin: while it is held there is no link; its release starts over from the reset values."""
        if self.held and not held:
            self.held = False
            self.reset()
        elif held:
            self.held = True
            self._settle()

    def reset(self) -> None:
        """All registers to their reset values, and a fresh negotiation."""
        self.bank.reset()
        self._take_down()
        self._settle()

    def _control_written(self, value: int) -> None:
        if value & _RESET:
            # 802.3 22.2.4.1.1; the M88E1011 takes over speed, duplex and negotiation that were written with it
            mode = value & (_LOOPBACK | _SPEED_LSB | _AN_ENABLE | _DUPLEX | _SPEED_MSB)
            self.bank.reset()
            if self._reset_keeps_mode:
                self.values[BMCR] = mode
            self._take_down()
        elif value & _RESTART and value & _AN_ENABLE:
            self._take_down()
        self._settle()

    def _status_read(self, value: int) -> int:
        """The link bit latches low until it is read (802.3 22.2.4.2.13)."""
        value = value & ~_LINK | (_LINK if self.link and not self.latched_down else 0)
        self.latched_down = not self.link
        return value

    def _settle(self) -> None:
        """Bring link and negotiation into line with carrier and control."""
        control = self.values[BMCR]
        if self.held or not self.carrier or control & _POWER_DOWN:
            self._take_down()
        elif control & _LOOPBACK:
            self._cancel()
        elif not control & _AN_ENABLE:
            self._cancel()
            self.values[BMSR] &= ~_AN_COMPLETE  # 22.2.4.2.10
            high, low = bool(control & _SPEED_MSB), bool(control & _SPEED_LSB)
            self._bring_up(1000 if high else 100 if low else 10, bool(control & _DUPLEX))
        elif not self.timer and not self.values[BMSR] & _AN_COMPLETE:
            self._take_down()  # a link without negotiation ends where one begins (802.3 28.3.4, arbitration)
            assert self._timers is not None
            self.timer = self._timers.after(self._timing.delay(AUTO_NEGOTIATION), self._negotiated)

    def _negotiated(self, _: object) -> None:
        """The best that both sides can do (802.3 28B.3, 40.5.1)."""
        self.timer = 0
        values = self.values
        abilities = values[ANAR] & _PARTNER
        values[ANLPAR] = _PARTNER
        values[ANER] |= _ANER_ANSWER
        values[BMSR] |= _AN_COMPLETE
        gigabit = values[GCON] if self._gigabit else 0
        if self._gigabit:
            values[GSTATUS] = _GIGABIT_PARTNER
        for able, speed, full in (
            (gigabit & 0x0200, 1000, True),
            (gigabit & 0x0100, 1000, False),
            (abilities & 0x0100, 100, True),
            (abilities & 0x0080, 100, False),
            (abilities & 0x0040, 10, True),
            (abilities & 0x0020, 10, False),
        ):
            if able:
                self._bring_up(speed, full)
                return

    def _bring_up(self, speed: int, full_duplex: bool) -> None:
        if (self.link, self.speed, self.full_duplex) != (True, speed, full_duplex):
            self.link, self.speed, self.full_duplex = True, speed, full_duplex
            self._changed()

    def _take_down(self) -> None:
        self._cancel()
        self.values[BMSR] &= ~_AN_COMPLETE
        if self.link:
            self.link, self.latched_down = False, True
            self._changed()

    def _cancel(self) -> None:
        if self.timer and self._timers is not None:
            self._timers.cancel(self.timer)
        self.timer = 0
