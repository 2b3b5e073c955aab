"""Which frames the RTL8139 takes: its address, the multicast hash, broadcasts (RTL8139C 5.8, MAR)."""

from functools import lru_cache
from zlib import crc32

from motenet.core.state import Component, Plain
from motenet.datasheets import rtl8139 as sheet
from motenet.devices.parts.bank import RegisterBank

_RCR, _MAR = sheet.RCR.offset, sheet.MAR.offset
_AAP, _APM, _AM, _AB = (sheet.RCR[name] for name in ("AAP", "APM", "AM", "AB"))
_PHYSICAL, _MULTICAST, _BROADCAST = (sheet.RX_STATUS[name] for name in ("PAM", "MAR", "BAR"))
_EVERYBODY = b"\xff" * 6

REFUSED = -1
"""What `passes` says of a frame that is not for us."""


@lru_cache(1024)
def hash_bit(address: bytes) -> int:
    """Which of MAR's 64 bits decides: the upper six of the CRC-32, first bit highest (Linux ether_crc() >> 26)."""
    register = crc32(address) ^ 0xFFFFFFFF  # without the final complement, and with the first bit lowest
    return int(f"{register & 0x3F:06b}"[::-1], 2)


class AddressFilter(Component):
    """Derived from the registers; `rebuild` follows their changes."""

    def __init__(self, bank: RegisterBank) -> None:
        self.path = "filter"
        self._values = bank.values
        self._own = bytes(6)
        bank.on_write(sheet.IDR0, self._written)
        bank.on_write(sheet.IDR4, self._written)

    def load(self, state: Plain) -> None:
        super().load(state)
        self.rebuild()

    def rebuild(self) -> None:
        """Read IDR."""
        values = self._values
        self._own = (values[sheet.IDR0.offset] | (values[sheet.IDR4.offset] & 0xFFFF) << 32).to_bytes(6, "little")

    def passes(self, frame: bytes) -> int:
        """The bits of RX.STATUS that tell how a frame passed, perhaps none; or REFUSED."""
        destination, control = frame[:6], self._values[_RCR]
        if destination == self._own:
            return _PHYSICAL if control & (_APM | _AAP) else REFUSED
        if not destination[0] & 1:
            return 0 if control & _AAP else REFUSED
        if destination == _EVERYBODY:
            return _BROADCAST if control & _AB else REFUSED
        bit = hash_bit(destination)
        if control & _AM and self._values[_MAR + (bit >> 5) * 4] >> (bit & 31) & 1:
            return _MULTICAST
        return REFUSED

    def _written(self, _: int) -> None:
        self.rebuild()
