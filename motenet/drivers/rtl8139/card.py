"""The card behind its window: registers, reset, EEPROM, configuration and media. Every wait is bounded."""

from collections.abc import Callable

from motenet.core.errors import DriverError
from motenet.core.units import MS, NS, US
from motenet.datasheets.registers import Register
from motenet.datasheets.rtl8139 import (
    ANAR,
    ANLPAR,
    BMCR,
    BMSR,
    CONFIG1,
    CONFIG3,
    CR,
    CR9346,
    EEM_CONFIG,
    EEM_NORMAL,
    EEM_PROGRAMMING,
    HLTCLK,
    IDR0,
    IDR4,
    IMR,
    ISR,
    MSR,
    TCR,
)
from motenet.datasheets.rtl8139.eeprom import MAC_ADDRESS, SIGNATURE
from motenet.doors import Window

EVERY_CAUSE = 0xFFFF
GONE = 0xFFFF
"""What ISR reads where no card answers (PCI 3.3.3.1); it has reserved bits, which are never ones together."""

_RESET_STEP, _RESET_LIMIT = 10 * US, 10 * MS
"""Linux 8139too.c: CR.RST is looked at every 10 us, and is clear within 10 ms."""
_CLOCK_RUNS = ord("R")
"""HLTCLK: 52h lets the clock run."""

_MODE = CR9346.field("EEM")
_LOCKED, _UNLOCKED, _PROGRAMMING = _MODE.put(EEM_NORMAL), _MODE.put(EEM_CONFIG), _MODE.put(EEM_PROGRAMMING)
_SELECT, _CLOCK, _DATA_IN, _DATA_OUT = CR9346["EECS"], CR9346["EESK"], CR9346["EEDI"], CR9346["EEDO"]
_HALF_CLOCK = 500 * NS
"""93C46: at most 1 MHz at EESK."""
_READ = 0b110
"""93C46: start bit and READ."""
_ADDRESS_BITS = (8, 6)
"""Linux 8139too.c: a 93C56 or C66 answers to 8 address bits; if there is none, it is a 93C46 with 6."""


class Card:
    """An RTL8139's registers, behind its memory or its I/O BAR."""

    def __init__(self, window: Window, delay: Callable[[int], None], name: str) -> None:
        self.window = window
        self.delay = delay
        self.name = name
        self._readers = {8: window.read8, 16: window.read16, 32: window.read32}
        self._writers = {8: window.write8, 16: window.write16, 32: window.write32}

    def read(self, register: Register, index: int = 0) -> int:
        """A register, or an element of an array, in its own width."""
        return self._readers[register.width](register.offset + index * register.stride)

    def write(self, register: Register, value: int, index: int = 0) -> None:
        """Write a register, or an element of an array, in its own width."""
        self._writers[register.width](register.offset + index * register.stride, value)

    def wait_clear(self, register: Register, mask: int, step: int, limit: int) -> None:
        """Look every `step` ns until the bits are clear; DriverError after `limit` ns."""
        for _ in range(limit // step):
            if not self.read(register) & mask:
                return
            self.delay(step)
        raise DriverError(f"{self.name}: {register.name} & {mask:#x} stays within {limit} ns ({register.clause})")

    def reset(self) -> None:
        """Everything to its initial state but the addresses and CONFIG; interrupts are off, and none is pending."""
        if self.read(TCR) == 0xFFFFFFFF:
            raise DriverError(f"{self.name}: TCR reads all ones, no card answers; is decoding on?")
        self.write(HLTCLK, _CLOCK_RUNS)
        self.write(IMR, 0)
        self.write(CR, CR["RST"])
        self.wait_clear(CR, CR["RST"], _RESET_STEP, _RESET_LIMIT)
        self.write(IMR, 0)
        self.write(ISR, EVERY_CAUSE)

    # --- EEPROM

    def eeprom_mac(self) -> bytes | None:
        """The station address in words 7 to 9; None without an EEPROM, or with one that was never programmed."""
        for bits in _ADDRESS_BITS:
            if self.eeprom_word(0, bits) == SIGNATURE:
                words = [self.eeprom_word(MAC_ADDRESS + index, bits) for index in range(3)]
                return b"".join(word.to_bytes(2, "little") for word in words)
        return None

    def eeprom_word(self, address: int, address_bits: int) -> int:
        """A word, by 93C46's serial protocol: select, opcode and address out, sixteen bits in, deselect."""
        self._pins(0)
        self._pins(_SELECT)
        command = _READ << address_bits | address
        for place in reversed(range(3 + address_bits)):
            data = _DATA_IN if command >> place & 1 else 0
            self._pins(_SELECT | data)
            self._pins(_SELECT | data | _CLOCK)
        self._pins(_SELECT)
        word = 0
        for _ in range(16):
            word = word << 1 | bool(self._pins(_SELECT | _CLOCK) & _DATA_OUT)
            self._pins(_SELECT)
        self.write(CR9346, _LOCKED)
        return word

    def _pins(self, pins: int) -> int:
        """Drive the EEPROM's pins for half a clock; what they are then."""
        self.write(CR9346, _PROGRAMMING | pins)
        self.delay(_HALF_CLOCK)
        return self.read(CR9346)

    # --- configuration

    def set_address(self, mac: bytes) -> None:
        """IDR, in double words as it must be written."""
        self.write(IDR0, int.from_bytes(mac[:4], "little"))
        self.write(IDR4, int.from_bytes(mac[4:], "little"))

    def loaded_mac(self) -> bytes:
        """What the card has loaded into IDR by itself."""
        low, high = self.read(IDR0), self.read(IDR4)
        return (low | (high & 0xFFFF) << 32).to_bytes(6, "little")

    def configure(self, mac: bytes) -> None:
        """What is locked: the address, wakeup off, driver loaded, a PHY that negotiates; and the lock again."""
        self.write(CR9346, _UNLOCKED)
        self.set_address(mac)
        self.write(CONFIG1, self.read(CONFIG1) | CONFIG1["DVRLOAD"])
        self.write(CONFIG3, self.read(CONFIG3) & ~CONFIG3["MAGIC"])
        control = self.read(BMCR)
        if not control & BMCR["ANE"]:
            self.write(BMCR, control | BMCR["ANE"] | BMCR["RESTART_AN"])
        self.write(CR9346, _LOCKED)

    # --- media

    def link(self) -> tuple[bool, int, bool]:
        """Whether the link is up, its speed in Mbit/s, and whether it is full duplex.

        BMSR's link bit latches low, so that the first read may tell of the past (IEEE 802.3 22.2.4.2.13). Duplex is the
        best of what both ends can do (28.2.3.1, annex 28B.3).
        """
        self.read(BMSR)
        media = self.read(MSR)
        up = bool(self.read(BMSR) & BMSR["LINK"]) and not media & MSR["LINKB"]
        speed = 10 if media & MSR["SPEED_10"] else 100
        control = self.read(BMCR)
        if control & BMCR["ANE"]:
            common = self.read(ANAR) & self.read(ANLPAR)
            full = bool(common & ANAR["TXFD"]) or common & (ANAR["TX"] | ANAR["10FD"]) == ANAR["10FD"]
        else:
            full = bool(control & BMCR["DUPLEX"])
        return up, speed, full
