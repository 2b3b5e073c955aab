"""Which frames the card lets in: its own address, broadcasts, and multicast by a hash of 64 bits."""

import zlib

from motenet.datasheets.rtl8139 import MAR, RCR
from motenet.drivers.registers import CardFilters
from motenet.drivers.rtl8139.card import Card

_EVERYTHING = (1 << 64) - 1


def multicast_hash(address: bytes) -> int:
    """Which of MAR's 64 bits stands for an address: the six most significant bits of its CRC-32.

    The CRC is IEEE 802.3's before the final complement, its first bit most significant (Linux ether_crc() >> 26).
    """
    crc = zlib.crc32(address) ^ 0xFFFFFFFF
    return int(f"{crc & 0x3F:06b}"[::-1], 2)


class Filters(CardFilters):
    """MAR, and RCR's bits."""

    def __init__(self, card: Card) -> None:
        super().__init__()
        self._card = card

    def apply(self) -> None:
        """MAR, in double words as it must be written. Reading it back brings posted writes to the card (PCI 3.2.5)."""
        if self.promiscuous or self.all_multicast:
            bits = _EVERYTHING
        else:
            bits = 0
            for group in self.groups:
                bits |= 1 << multicast_hash(group)
        for index in range(MAR.count):
            self._card.write(MAR, bits >> 32 * index & 0xFFFFFFFF, index)
        self._card.read(MAR)

    def control(self) -> int:
        """RCR's bits that tell who gets in. AM is always set: MAR decides, and a change of groups leaves RCR alone."""
        bits = RCR["APM"] | RCR["AB"] | RCR["AM"]
        return bits | RCR["AAP"] if self.promiscuous else bits
