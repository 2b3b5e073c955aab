"""What the drivers of both modes share. Interrupts are acknowledged when they are unmasked."""

from typing import ClassVar

from motenet.datasheets.pci import STATUS
from motenet.datasheets.rtl8139 import CR, IMR, ISR, MULINT
from motenet.datasheets.rtl8139.pci import DEVICE_ID, VENDOR_ID
from motenet.doors import Capabilities, PciFunction
from motenet.drivers import pci
from motenet.drivers.driver import check_mtu
from motenet.drivers.registers import RegisterDriver
from motenet.drivers.rtl8139.c_receive import RingReceiver
from motenet.drivers.rtl8139.c_transmit import SlotTransmitter
from motenet.drivers.rtl8139.card import Card
from motenet.drivers.rtl8139.counters import MissedCounter, TallyCounters
from motenet.drivers.rtl8139.cplus_receive import DescriptorReceiver
from motenet.drivers.rtl8139.cplus_transmit import DescriptorTransmitter
from motenet.drivers.rtl8139.filters import Filters

_MTU_LEAST = 68
"""RFC 791 3.1."""

_RECEIVE = ISR["ROK"] | ISR["RER"] | ISR["RXOVW"] | ISR["FOVW"]
"""Acknowledged together, when the ring has been emptied (Linux 8139too.c): before, the card cannot go on."""
_SENT = ISR["TOK"]
_LINK, _BUS = ISR["PUN_LINKCHG"], ISR["SERR"]
_CAUSES = ISR["ROK"] | ISR["RXOVW"] | ISR["FOVW"] | ISR["TER"] | _LINK | _BUS
"""TER, for an aborted frame stops C mode's transmitter until somebody looks after it; TOK only while there is no room.
"""
_TROUBLES = (
    (ISR["RER"], "rx error"),
    (ISR["RXOVW"], "rx overflow"),
    (ISR["FOVW"], "rx fifo overflow"),
    (_BUS, "pci error"),
)
"""Causes that tell of a loss, and the reasons under which they are counted."""

_BUS_ERRORS = STATUS.mask(write="clear")


class Rtl8139Base(RegisterDriver):
    """doors.NetworkDriver for an RTL8139, but for the mode: who inherits makes the parts, and hands them to `_take`."""

    KNOWN: ClassVar = {(VENDOR_ID, DEVICE_ID): "Realtek RTL8139"}
    CAUSES = ISR
    EEPROM_RULE = "its first word is not 8129h, or it does not answer (RTL8139C 6)"

    card: Card
    filters: Filters
    receiver: RingReceiver | DescriptorReceiver
    transmitter: SlotTransmitter | DescriptorTransmitter
    counters: MissedCounter | TallyCounters

    def __init__(
        self,
        function: PciFunction,
        capabilities: Capabilities,
        *,
        io: bool,
        most_mtu: int,
        hang_timeout: str | int,
    ) -> None:
        check_mtu(capabilities.mtu, _MTU_LEAST, most_mtu)
        super().__init__(function, capabilities, hang_timeout, space="IO" if io else "MEMORY")
        self.card = Card(pci.find_bar(function, "io" if io else "memory"), function.delay, function.name)
        self._read, self._write = self.card.window.read16, self.card.window.write16
        self.filters = Filters(self.card)

    # --- up and down

    def _select_mode(self) -> None:
        """Choose C+ mode, for who wants it: before all ring addresses. A reset has chosen C mode."""

    def _set_up(self) -> None:
        """As Linux 8139too.c and 8139cp.c."""
        card = self.card
        card.configure(self.mac)
        self._select_mode()
        self.receiver.open()
        self.transmitter.open()
        card.write(CR, CR["RE"] | CR["TE"])  # both on before RCR and TCR, which are not written otherwise (5.7, 5.8)
        self.filters.apply()
        self.receiver.enable(self.filters.control())
        self.transmitter.enable()
        card.write(MULINT, 0)  # no early receive interrupts (5.15)
        self.counters.clear()
        self._look_at_link()

    # --- interrupts

    def _mask(self) -> None:
        self._write(IMR.offset, 0)

    def _interrupt(self) -> bool:
        """What is the receiver's is acknowledged when it has been looked after; reading ISR clears nothing."""
        causes = self._status()
        if not causes & self.enabled:
            return False
        self._mask()
        self.enabled = 0
        if causes & ~_RECEIVE:
            self._write(ISR.offset, causes & ~_RECEIVE)
        self.causes |= causes & (_LINK | _BUS)
        return self._interrupted()

    def _take_causes(self) -> None:
        """Everything is acknowledged."""
        causes = self._status()
        if causes:
            self._write(ISR.offset, causes)
            self._count_troubles(causes & _RECEIVE)
            self.causes |= causes & (_LINK | _BUS)

    def _enable(self) -> None:
        causes = self._status() & _RECEIVE
        if causes:
            self._write(ISR.offset, causes)
            self._count_troubles(causes)
        self.enabled = _CAUSES | _SENT if self.transmitter.blocked else _CAUSES
        self._write(IMR.offset, self.enabled)

    def _want_room(self) -> None:
        """The slots are full: the next frame sent, not one of earlier, shall interrupt. `_unmask` sees to it, too."""
        if self._polling:
            return
        self._write(ISR.offset, _SENT)
        if self.enabled and not self.enabled & _SENT:
            self.enabled |= _SENT
            self._write(IMR.offset, self.enabled)

    def _count_troubles(self, causes: int) -> None:
        for cause, reason in _TROUBLES:
            if causes & cause:
                self.drop(reason, f"{ISR.describe(causes & cause)} ({ISR.clause})")

    def _look_after_causes(self) -> None:
        causes, self.causes = self.causes, 0
        if causes & _LINK:
            self._look_at_link()
        if causes & _BUS:
            self._count_troubles(_BUS)
            self._function.config.write(STATUS.offset, _BUS_ERRORS, 2)  # PCI 6.2.3: ones clear

    def _look_at_link(self) -> None:
        """After LinkChg: what has become of the link."""
        self._take_link(*self.card.link())

    # --- filters

    def set_promiscuous(self, on: bool) -> None:
        """Let every frame in (RCR.AAP). Some cards begin a new ring then, and forget what nobody has read."""
        super().set_promiscuous(on)
        if self.running:
            self.receiver.enable(self.filters.control())

    def _apply_filters(self) -> None:
        self.filters.apply()
