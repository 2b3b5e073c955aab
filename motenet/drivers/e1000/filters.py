"""Which frames the card lets in: addresses, multicast hash, VLANs (8254x 3.2.1, 9, 13.5)."""

from collections.abc import Iterable
from typing import ClassVar

from motenet.datasheets.e1000 import CTRL, MTA, RAH, RAL, RCTL, VET, VFTA
from motenet.drivers.driver import check_vlans
from motenet.drivers.e1000.card import Card
from motenet.drivers.registers import CardFilters

_ETHERTYPE_VLAN = 0x8100
"""13.4.11: VET must be programmed with 802.1Q's type."""


_SHIFTS = (4, 3, 2, 0)
"""13.4.22: RCTL.MO selects bits 47:36, 46:35, 45:34 or 43:32 of the address."""


def multicast_hash(address: bytes, offset: int) -> int:
    """Which of the 4096 bits of MTA stands for an address; `offset` is RCTL.MO (13.4.22, 13.5.1).

    The card looks at 12 bits of the last two bytes, taken least significant byte first.
    """
    return (address[4] | address[5] << 8) >> _SHIFTS[offset] & 0xFFF


def words(bits: Iterable[int]) -> list[int]:
    """A 4096-bit vector as the 128 words of MTA or VFTA: bits 11:5 select the word, 4:0 the bit in it (13.5.1)."""
    table = [0] * MTA.count
    for bit in bits:
        table[bit >> 5] |= 1 << (bit & 31)
    return table


class Filters(CardFilters):
    """The exact addresses, MTA, VFTA and RCTL's bits."""

    STATE: ClassVar[tuple[str, ...]] = (*CardFilters.STATE, "vlans", "vlan_mode", "offset")

    def __init__(self, card: Card) -> None:
        super().__init__()
        self._card = card
        self.vlans: list[int] | None = None
        """VLAN ids that pass; None: no VLAN filter."""
        self.vlan_mode = False
        """CTRL.VME: the card strips tags and inserts them."""
        self.offset = 0
        """RCTL.MO."""

    def ask_vlans(self, vlans: Iterable[int] | None) -> None:
        """Remember the VLANs, checked."""
        self.vlans = None if vlans is None else check_vlans(vlans)

    def apply(self, mac: bytes) -> None:
        """14.4: the station's address in RAL0/RAH0, groups in the other 15, and what is left over in MTA.

        Low half first; RAH's Address Valid opens the entry, and when clearing it goes first (13.5.3).
        """
        write, addresses = self._card.write, [mac, *self.groups[: RAL.count - 1]]
        for index in range(RAL.count):
            low, high = RAL.offset + index * RAL.stride, RAH.offset + index * RAH.stride
            if index < len(addresses):
                write(low, int.from_bytes(addresses[index][:4], "little"))
                write(high, int.from_bytes(addresses[index][4:], "little") | RAH["AV"])
            else:
                write(high, 0)
                write(low, 0)
        rest = self.groups[RAL.count - 1 :]
        for index, word in enumerate(words(multicast_hash(group, self.offset) for group in rest)):
            write(MTA.offset + 4 * index, word)
        if self.vlans is not None:
            for index, word in enumerate(words(self.vlans)):
                write(VFTA.offset + 4 * index, word)
        write(VET.offset, _ETHERTYPE_VLAN)
        (self._card.set_bits if self.vlan_mode else self._card.clear_bits)(CTRL, CTRL["VME"])

    def control(self) -> int:
        """RCTL's bits that tell who gets in."""
        bits = RCTL["BAM"] | RCTL.field("MO").put(self.offset)
        if self.promiscuous:
            bits |= RCTL["UPE"] | RCTL["MPE"]
        if self.all_multicast:
            bits |= RCTL["MPE"]
        if self.vlans is not None and not self.promiscuous:
            bits |= RCTL["VFE"]
        return bits
