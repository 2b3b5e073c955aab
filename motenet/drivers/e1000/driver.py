"""The driver of the Intel 82540EM, as a good bare-metal driver would be (8254x chapter 14, and Linux)."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from motenet.core import units
from motenet.core.errors import DriverError
from motenet.datasheets.e1000 import CTRL, ICR, IMC, IMS, ITR, MANC, PBA, RCTL, WUC
from motenet.datasheets.e1000.pci import DEVICE_ID, VENDOR_ID
from motenet.doors import Capabilities, PciFunction
from motenet.drivers import pci
from motenet.drivers.driver import OVERHEAD, check_mtu, check_offloads
from motenet.drivers.e1000.card import EVERY_CAUSE, Card
from motenet.drivers.e1000.counters import Counters
from motenet.drivers.e1000.filters import Filters
from motenet.drivers.e1000.receive import Receiver, buffer_size
from motenet.drivers.e1000.transmit import Transmitter
from motenet.drivers.registers import RegisterDriver
from motenet.drivers.ring import check_count
from motenet.drivers.transmit import LONGEST_SEGMENTED

MTU_RANGE = (68, 16110)
"""RFC 791 3.1; Linux e1000: frames of 16128 bytes at most (13.4.22 LPE, less what the FIFO needs for itself)."""

_LINK, _TXDW = ICR["LSC"], ICR["TXDW"]
_CAUSES = ICR["RXT0"] | ICR["RXO"] | ICR["RXDMT0"] | _LINK
"""14.4: the causes that a receiver wants; there is no immediate reason to enable those of the transmitter."""
_ITR_UNIT = 256
_PBA_JUMBO = 40
"""Linux e1000_main.c: above 8192 bytes, 40 KiB to receive leave 24 to transmit, room for two such frames."""


class E1000Driver(RegisterDriver):
    """Implements doors.NetworkDriver for an 82540EM.

    - `rx_ring`, `tx_ring`: descriptors, multiples of 8 (13.4.27, 13.4.38). `rx_buffer`: bytes, by default what takes a
      frame of `mtu` whole; with less, a frame takes several descriptors. `tx_memory`: bytes of frames in flight.
    - `interrupts=False`: pure polling. Otherwise `interrupt_kinds` in order of preference (Linux drives this card by
      INTx), at most one each `interrupt_interval`.
    - `hang_timeout`: with the link up, sent frames that the card has not taken for so long make the driver reset it.
    - `descriptor_bytes`: the most data per descriptor (Linux: 4096).
    """

    KNOWN: ClassVar = {(VENDOR_ID, DEVICE_ID): "Intel 82540EM"}
    CAUSES = ICR
    EEPROM_RULE = "its words do not sum up to 0xBABA, or it does not answer (8254x 5.6.35)"

    card: Card
    filters: Filters
    receiver: Receiver
    transmitter: Transmitter

    def __init__(
        self,
        function: PciFunction,
        *,
        rx_ring: int = 256,
        tx_ring: int = 256,
        mtu: int = 1500,
        interrupts: bool = True,
        checksum_offload: bool = True,
        segmentation_offload: bool = True,
        gro: bool = True,
        rx_buffer: int | None = None,
        tx_memory: str | int = "512KiB",
        interrupt_kinds: Sequence[str] = ("intx",),
        interrupt_interval: str | int = "125us",
        hang_timeout: str | int = "2s",
        descriptor_bytes: int = 4096,
    ) -> None:
        check_mtu(mtu, *MTU_RANGE)
        check_offloads(checksum_offload, segmentation_offload)
        capabilities = Capabilities(
            mtu=mtu,
            checksum_tx=checksum_offload,
            checksum_rx=checksum_offload,
            polled=not interrupts,
            max_segmented=LONGEST_SEGMENTED if segmentation_offload else 0,
        )
        super().__init__(function, capabilities, hang_timeout, kinds=interrupt_kinds)
        self._interval = min(units.duration(interrupt_interval) // _ITR_UNIT, ITR.mask())
        self.card = Card(pci.find_bar(function, "memory"), function.delay, function.name)
        self._read, self._write = self.card.read, self.card.write
        self.filters = Filters(self.card)
        self._take(
            Receiver(
                function, self.card, self.drop,
                count=check_count("rx_ring", rx_ring, 8, 4096),
                size=rx_buffer if rx_buffer is not None else buffer_size(mtu + OVERHEAD),
                checksum=checksum_offload, gro=gro,
            ),
            Transmitter(
                function, self.card, self.drop,
                count=check_count("tx_ring", tx_ring, 8, 4096), memory=units.size(tx_memory), piece=descriptor_bytes,
                longest=mtu + OVERHEAD, offload=checksum_offload, segment=segmentation_offload,
            ),
            Counters(self.card),
        )  # fmt: skip

    # --- up and down

    def _reset(self) -> None:
        """A reset; a packet buffer for larger frames is asked for before it, to take effect by it (13.4.16)."""
        if self.mtu + OVERHEAD > 8192:
            self._write(PBA.offset, _PBA_JUMBO)
        self.card.reset()

    def _set_up(self) -> None:
        """14.3 to 14.5."""
        write = self._write
        if not self.card.wake_phy():
            self.drop("phy", "no answer through MDIC; the MAC's own view of the link has to do (8254x 13.4.7)")
        # 14.3: speed and duplex from the PHY, link up, PHY and loss of signal as they are
        self.card.clear_bits(CTRL, CTRL["PHY_RST"] | CTRL["ILOS"] | CTRL["FRCSPD"] | CTRL["FRCDPLX"])
        self.card.set_bits(CTRL, CTRL["ASDE"] | CTRL["SLU"])
        # no management engine between us and the wire (Linux: MANC.ARP_EN swallows ARP requests), no wakeup
        self.card.clear_bits(MANC, MANC["ARP_EN"])
        write(WUC.offset, 0)
        self.counters.clear()  # 13.7: unknown until read
        self.filters.apply(self.mac)  # 14.4 step 1: RAL, RAH; step 2: MTA, and VFTA
        self.receiver.open()  # 14.4 steps 4 to 7: RDTR, ring, buffers
        self.transmitter.open()  # 14.5
        write(ITR.offset, self._interval)  # 13.4.18
        self.receiver.enable(self._receive_control())  # 14.4 step 8
        self._look_at_link()

    def _receive_control(self) -> int:
        return self.filters.control() | (RCTL["LPE"] if self.mtu > 1500 else 0)

    # --- interrupts

    def _mask(self) -> None:
        self._write(IMC.offset, EVERY_CAUSE)

    def _interrupt(self) -> bool:
        """Reading ICR acknowledges all that it shows (13.4.17)."""
        causes = self._status()
        self.causes |= causes & _LINK
        if not causes & self.enabled:
            return False
        self._mask()
        self.enabled = 0
        return self._interrupted()

    def _take_causes(self) -> None:
        self.causes |= self._status() & _LINK

    def _enable(self) -> None:
        self.enabled = _CAUSES | _TXDW if self.transmitter.blocked else _CAUSES
        self._write(IMS.offset, self.enabled)

    def _want_room(self) -> None:
        """The ring is full: the next write-back shall interrupt. While masked, `_unmask` sees to it."""
        if self.enabled and not self.enabled & _TXDW:
            self.enabled |= _TXDW
            self._write(IMS.offset, _TXDW)

    def _look_after_causes(self) -> None:
        self.causes = 0
        self._look_at_link()

    def _look_at_link(self) -> None:
        """After LSC: what has become of the link, and the collision distance that goes with its duplex (14.5)."""
        up, speed, full_duplex = self.card.link()
        if self._take_link(up, speed, full_duplex):
            self.transmitter.set_duplex(full_duplex)

    # --- filters and VLAN

    def set_vlan_mode(self, on: bool) -> None:
        """CTRL.VME: tags are stripped into Received.vlan, and `set_vlan_tag` works (chapter 9)."""
        self.filters.vlan_mode = on
        self._filters_changed()

    def set_vlan_filter(self, vlans: Iterable[int] | None) -> None:
        """Let only these VLANs in (VFTA, RCTL.VFE); None: all."""
        self.filters.ask_vlans(vlans)
        self._filters_changed()

    def set_vlan_tag(self, tag: int | None) -> None:
        """The 802.1Q tag, 16 bits, that the card inserts in every frame committed from now on; None: none."""
        if tag is not None and not (self.filters.vlan_mode and 0 <= tag <= 0xFFFF):
            raise DriverError(f"tag {tag}: set_vlan_mode(True) first, and give 16 bits (8254x 3.3.7.1, VLE)")
        self.transmitter.vlan = tag

    def _apply_filters(self) -> None:
        self.filters.apply(self.mac)
        self.receiver.enable(self._receive_control())
