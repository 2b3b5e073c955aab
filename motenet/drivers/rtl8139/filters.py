"""Which frames the card lets in: its own address, broadcasts, and multicast by a hash of 64 bits."""

import zlib
from collections.abc import Sequence
from typing import ClassVar

from motenet.core.state import Component
from motenet.datasheets.rtl8139 import MAR, RCR
from motenet.drivers.driver import check_groups
from motenet.drivers.rtl8139.card import Card

_EVERYTHING = (1 << 64) - 1


def multicast_hash(address: bytes) -> int:
    """Which of MAR's 64 bits stands for an address: the six most significant bits of its CRC-32.

    The CRC is IEEE 802.3's before the final complement, its first bit most significant (Linux ether_crc() >> 26).
    """
    crc = zlib.crc32(address) ^ 0xFFFFFFFF
    return int(f"{crc & 0x3F:06b}"[::-1], 2)


class Filters(Component):
    """What is asked for is state; `apply` writes it, after each reset and on each change."""

    STATE: ClassVar[tuple[str, ...]] = ("promiscuous", "all_multicast", "groups")

    def __init__(self, card: Card) -> None:
        self.path = "filters"
        self._card = card
        self.promiscuous = False
        self.all_multicast = False
        self.groups: list[bytes] = []
        """Ethernet addresses of the multicast groups."""

    def ask(self, groups: Sequence[bytes]) -> None:
        """Remember the groups, checked."""
        self.groups = check_groups(groups)

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
