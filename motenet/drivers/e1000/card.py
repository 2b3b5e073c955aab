"""The card behind its window: registers, reset, EEPROM and PHY. All state is in the hardware; every wait is bounded."""

from collections.abc import Callable

from motenet.core.errors import DriverError
from motenet.core.units import MS, US
from motenet.datasheets.e1000 import (
    BMCR,
    BMSR,
    CTRL,
    EERD,
    ICR,
    IMC,
    MDIC,
    PHY_ADDRESS,
    PSSTAT,
    RAH,
    RAL,
    RCTL,
    STATUS,
    TCTL,
)
from motenet.datasheets.e1000.eeprom import CHECKSUM_SUM, MAC_ADDRESS, WORDS
from motenet.datasheets.registers import Register
from motenet.doors import Window

EVERY_CAUSE = 0xFFFFFFFF
"""13.4.21: reserved bits of IMC are written as ones too, so that no unknown cause stays enabled."""

GONE = 0xFFFFFFFF
"""What the bus reads where no card answers (PCI 3.3.3.1)."""

_QUIESCE = 10 * MS
"""Linux e1000_hw.c: what is on the bus is given 10 ms before a reset."""
_RESET_DELAY = 1 * US
"""13.4.1: no register may be touched within 1 us of CTRL.RST."""
_AUTO_READ = 5 * MS
"""Linux e1000_hw.c: the 82540 reads its EEPROM by itself after a reset, 5 ms at most."""
_EEPROM_STEP, _EEPROM_LIMIT = 20 * US, 10 * MS
_MDIO_STEP, _MDIO_LIMIT = 50 * US, 10 * MS
"""13.4.7: 64 clocks of 1 us a transaction; Linux looks every 50 us."""

_READ, _WRITE = MDIC.field("OP").put(2), MDIC.field("OP").put(1)
_REGADD, _PHYADD = MDIC.field("REGADD"), MDIC.field("PHYADD")
_SPEEDS = (10, 100, 1000, 1000)


class Card:
    """An 82540EM's register window. `read` and `write` are the window's own 32-bit accesses."""

    def __init__(self, window: Window, delay: Callable[[int], None], name: str) -> None:
        self.read = window.read32
        self.write = window.write32
        self.delay = delay
        self.name = name

    def set_bits(self, register: Register, mask: int) -> None:
        """Set bits, leaving the others."""
        self.write(register.offset, self.read(register.offset) | mask)

    def clear_bits(self, register: Register, mask: int) -> None:
        """Clear bits, leaving the others."""
        self.write(register.offset, self.read(register.offset) & ~mask & 0xFFFFFFFF)

    def wait(self, register: Register, mask: int, wanted: int, step: int, limit: int) -> int:
        """Look every `step` ns until the bits of `mask` are `wanted`: the value, or DriverError after `limit` ns."""
        for _ in range(limit // step):
            value = self.read(register.offset)
            if value & mask == wanted:
                return value
            self.delay(step)
        raise DriverError(
            f"{self.name}: {register.name} & {mask:#x} is not {wanted:#x} within {limit} ns ({register.clause})"
        )

    def mask_interrupts(self) -> None:
        """No cause interrupts any more, and none is left pending (13.4.17, 13.4.21)."""
        self.write(IMC.offset, EVERY_CAUSE)
        self.read(ICR.offset)

    def reset(self) -> None:
        """Stop both engines, then reset the whole card but its PHY; it reloads its EEPROM (13.4.1, 14.7)."""
        if self.read(STATUS.offset) == GONE:
            raise DriverError(f"{self.name}: STATUS reads all ones, no card answers; is memory decoding on?")
        self.mask_interrupts()
        self.write(RCTL.offset, 0)
        self.write(TCTL.offset, 0)
        self.delay(_QUIESCE)
        self.set_bits(CTRL, CTRL["RST"])
        self.delay(_RESET_DELAY)
        self.wait(CTRL, CTRL["RST"], 0, _RESET_DELAY, _AUTO_READ)
        self.delay(_AUTO_READ)
        self.mask_interrupts()

    # --- EEPROM

    def eeprom_word(self, address: int) -> int:
        """A word of the EEPROM, read by the card itself (5.3.1, 13.4.4)."""
        self.write(EERD.offset, EERD.field("ADDR").put(address) | EERD["START"])
        value = self.wait(EERD, EERD["DONE"], EERD["DONE"], _EEPROM_STEP, _EEPROM_LIMIT)
        return EERD.field("DATA").get(value)

    def eeprom_mac(self) -> bytes | None:
        """The station address in words 0 to 2 (5.6.1), or None when the 64 words do not sum up to 0xBABA (5.6.35) or
        no EEPROM answers.
        """
        try:
            words = [self.eeprom_word(address) for address in range(WORDS)]
        except DriverError:
            return None
        if sum(words) & 0xFFFF != CHECKSUM_SUM:
            return None
        return b"".join(word.to_bytes(2, "little") for word in words[MAC_ADDRESS : MAC_ADDRESS + 3])

    def loaded_mac(self) -> bytes:
        """What the card has put in RAL0 and RAH0 after its reset (13.5.3); zeros unless Address Valid is set."""
        low, high = self.read(RAL.offset), self.read(RAH.offset)
        return (low | (high & 0xFFFF) << 32).to_bytes(6, "little") if high & RAH["AV"] else bytes(6)

    # --- PHY

    def phy_read(self, register: Register) -> int | None:
        """A register of the internal PHY, or None when it does not answer (13.4.7)."""
        return self._mdio(_READ | _REGADD.put(register.offset))

    def phy_write(self, register: Register, value: int) -> bool:
        """Write a register of the internal PHY; says whether it answered."""
        return self._mdio(_WRITE | _REGADD.put(register.offset) | value) is not None

    def _mdio(self, command: int) -> int | None:
        """One transaction: READY is written as 0, and both it and the error bit are looked at afterwards."""
        self.write(MDIC.offset, command | _PHYADD.put(PHY_ADDRESS))
        try:
            value = self.wait(MDIC, MDIC["R"], MDIC["R"], _MDIO_STEP, _MDIO_LIMIT)
        except DriverError:
            return None
        return None if value & MDIC["E"] else MDIC.field("DATA").get(value)

    def wake_phy(self) -> bool:
        """Let the PHY negotiate, out of power-down, isolation or loopback; says whether it answers at all."""
        control = self.phy_read(BMCR)
        if control is None:
            return False
        wanted = control & ~(BMCR["POWER_DOWN"] | BMCR["ISOLATE"] | BMCR["LOOPBACK"]) | BMCR["AN_ENABLE"]
        if wanted != control:
            self.phy_write(BMCR, wanted | BMCR["RESTART_AN"])
        return True

    def link(self) -> tuple[bool, int, bool]:
        """Whether the link is up, its speed in Mbit/s, and whether it is full duplex.

        BMSR's link bit latches low, so that the first read may tell of the past (IEEE 802.3 22.2.4.2.13). A PHY that
        does not answer leaves the MAC's own view (13.4.2).
        """
        status = self.read(STATUS.offset)
        up, speed, full = bool(status & STATUS["LU"]), STATUS.field("SPEED").get(status), bool(status & STATUS["FD"])
        self.phy_read(BMSR)
        media = self.phy_read(BMSR)
        if media is not None:
            up = up and bool(media & BMSR["LINK"])
            resolved = self.phy_read(PSSTAT)
            if resolved is not None and resolved & PSSTAT["RESOLVED"]:
                speed, full = PSSTAT.field("SPEED").get(resolved), bool(resolved & PSSTAT["DUPLEX"])
        return up, _SPEEDS[speed], full
