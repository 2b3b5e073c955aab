"""The driver for C+ mode: descriptor rings both ways, checksums, segmentation and VLAN tags by the card."""

from typing import ClassVar

from motenet.core import units
from motenet.core.errors import DriverError
from motenet.datasheets.pci import REVISION_ID
from motenet.datasheets.rtl8139 import CPCR, RING_ENTRIES
from motenet.datasheets.rtl8139.pci import REVISION_CPLUS
from motenet.doors import Capabilities, PciFunction
from motenet.drivers.driver import OVERHEAD, check_offloads
from motenet.drivers.ring import check_count
from motenet.drivers.rtl8139.counters import TallyCounters
from motenet.drivers.rtl8139.cplus_receive import DescriptorReceiver, buffer_size
from motenet.drivers.rtl8139.cplus_transmit import LARGEST_SEGMENT, LONGEST_SEGMENTED, DescriptorTransmitter
from motenet.drivers.rtl8139.driver import Rtl8139Base

_FCS = 4
_HEADERS = 40
"""IPv4 and TCP without options."""
MOST_MTU = 4096 - OVERHEAD - _FCS
"""RTL8139C+ 9, RWT: a frame of more than 4 KiB is an error."""


class Rtl8139CpDriver(Rtl8139Base):
    """Implements doors.NetworkDriver for an RTL8139C+ (revision 20h and up).

    - `io`: drive it through its ports (BAR 0) instead of its memory (BAR 1).
    - `rx_ring`, `tx_ring`: descriptors, 1 to 64. `rx_buffer`: bytes, by default what takes a frame of `mtu` whole; with
      less, a frame takes several descriptors. `tx_memory`: bytes of frames in flight.
    - `interrupts=False`: pure polling.
    - `segmentation_offload`: while a segment's payload can be told to the card, that is for an `mtu` up to 2087.
    - `hang_timeout`: with the link up, sent frames that the card has not taken for so long make the driver reset it.
    """

    STATE: ClassVar[tuple[str, ...]] = (*Rtl8139Base.STATE, "vlan_mode")

    def __init__(
        self,
        function: PciFunction,
        *,
        io: bool = False,
        rx_ring: int = 64,
        tx_ring: int = 64,
        mtu: int = 1500,
        interrupts: bool = True,
        checksum_offload: bool = True,
        segmentation_offload: bool = True,
        gro: bool = True,
        rx_buffer: int | None = None,
        tx_memory: str | int = "512KiB",
        hang_timeout: str | int = "2s",
    ) -> None:
        check_offloads(checksum_offload, segmentation_offload)
        segment = segmentation_offload and mtu - _HEADERS <= LARGEST_SEGMENT
        capabilities = Capabilities(
            mtu=mtu,
            checksum_tx=checksum_offload,
            checksum_rx=checksum_offload,
            polled=not interrupts,
            max_segmented=LONGEST_SEGMENTED if segment else 0,
        )
        super().__init__(function, capabilities, io=io, most_mtu=MOST_MTU, hang_timeout=hang_timeout)
        revision = function.config.read(REVISION_ID, 1)
        if revision < REVISION_CPLUS:
            raise DriverError(f"{function.name} is of revision {revision:#x} and has no C+ mode: use Rtl8139Driver")
        self.vlan_mode = False
        """CPCR.RXVLAN: the card strips tags."""
        self._checksum = checksum_offload
        longest = mtu + OVERHEAD + _FCS
        self._descriptors = DescriptorTransmitter(
            function, self.card, self.drop,
            count=check_count("tx_ring", tx_ring, 1, RING_ENTRIES), memory=units.size(tx_memory),
            longest=mtu + OVERHEAD, offload=checksum_offload, segment=segment,
        )  # fmt: skip
        self._take(
            DescriptorReceiver(
                function, self.card, self.drop,
                count=check_count("rx_ring", rx_ring, 1, RING_ENTRIES),
                size=rx_buffer if rx_buffer is not None else buffer_size(longest), longest=longest, gro=gro,
            ),
            self._descriptors,
            TallyCounters(function, self.card, self.drop),
        )  # fmt: skip

    def _select_mode(self) -> None:
        """RTL8139C+ 6.33, Linux 8139cp.c: before everything else; ring addresses that came earlier may be lost."""
        command = CPCR["CPTX"] | CPCR["CPRX"] | CPCR["MULRW"]
        if self._checksum:
            command |= CPCR["RXCHKSUM"]
        if self.vlan_mode:
            command |= CPCR["RXVLAN"]
        self.card.write(CPCR, command)

    def set_vlan_mode(self, on: bool) -> None:
        """CPCR.RXVLAN: tags are stripped into Received.vlan, and `set_vlan_tag` works."""
        self.vlan_mode = on
        if self.running:
            self._select_mode()

    def set_vlan_tag(self, tag: int | None) -> None:
        """The 802.1Q tag, 16 bits, that the card inserts in every frame committed from now on; None: none."""
        if tag is not None and not (self.vlan_mode and 0 <= tag <= 0xFFFF):
            raise DriverError(f"tag {tag}: set_vlan_mode(True) first, and give 16 bits (RTL8139C+ 9)")
        self._descriptors.vlan = tag
