"""What the drivers of both modes share. Interrupts are acknowledged when they are unmasked."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from motenet.core.errors import DriverError
from motenet.core.state import Component
from motenet.datasheets.pci import STATUS
from motenet.datasheets.rtl8139 import CR, IMR, ISR, MULINT
from motenet.datasheets.rtl8139.pci import DEVICE_ID, VENDOR_ID
from motenet.doors import Capabilities, PciFunction
from motenet.drivers import pci
from motenet.drivers.driver import CardDriver, check_mtu, is_station
from motenet.drivers.rtl8139.c_receive import RingReceiver
from motenet.drivers.rtl8139.c_transmit import SlotTransmitter
from motenet.drivers.rtl8139.card import GONE, Card
from motenet.drivers.rtl8139.counters import MissedCounter, TallyCounters
from motenet.drivers.rtl8139.cplus_receive import DescriptorReceiver
from motenet.drivers.rtl8139.cplus_transmit import DescriptorTransmitter
from motenet.drivers.rtl8139.filters import Filters

KNOWN = {(VENDOR_ID, DEVICE_ID): "Realtek RTL8139"}
"""Vendor and device ids that these drivers are for."""

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


class Rtl8139Base(CardDriver):
    """doors.NetworkDriver for an RTL8139, but for the mode: who inherits makes the parts, and hands them to `_take`."""

    STATE: ClassVar[tuple[str, ...]] = (*CardDriver.STATE, "causes")

    _function: PciFunction
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
        self.name = pci.identify(function, KNOWN)
        super().__init__(function, capabilities, hang_timeout)
        self._space = "IO" if io else "MEMORY"
        self.card = Card(pci.find_bar(function, "io" if io else "memory"), function.delay, function.name)
        self._read16, self._write16 = self.card.window.read16, self.card.window.write16
        self.filters = Filters(self.card)

        self.causes = 0
        """Causes seen that `poll` has to look after."""

    def _take(
        self,
        receiver: RingReceiver | DescriptorReceiver,
        transmitter: SlotTransmitter | DescriptorTransmitter,
        counters: MissedCounter | TallyCounters,
    ) -> None:
        self.receiver, self.transmitter, self.counters = receiver, transmitter, counters
        receiver.on_empty = self._unmask
        self.receive = receiver.receive
        self._use(transmitter, [receiver])

    def parts(self) -> Iterable[Component]:
        return (self.filters, self.counters, self.receiver, self.transmitter)

    def _counters(self) -> dict[str, int]:
        """By the datasheet's names. In C+ mode the card takes some time to store them, and the machine waits for it."""
        if self.running:
            self.counters.harvest()
        return self.counters.values

    def poll(self) -> bool:
        """See NetworkDriver.poll. In polling mode ISR is read here."""
        transmitter, receiver = self.transmitter, self.receiver
        if not self.running:
            return False
        if not transmitter.idle:
            transmitter.reap()
        receiver.repost()
        if self._polling:
            self._take_causes()
        if self.causes:
            self._look_after_causes()
        if not transmitter.idle:
            self._look_for_hang()
        return receiver.waiting() or (self._unmask() and receiver.waiting())

    # --- up and down

    def _open(self) -> None:
        """A reset, the address from the EEPROM, rings, filters."""
        function = self._function
        pci.power_up(function)
        pci.enable(function, self._space, "MASTER")  # 1: answer, and master the bus (PCI 6.2.2)
        self._reset()  # 2: a known state (RTL8139C 5.4)
        self.mac = self._find_mac()  # 3: the address (RTL8139C 6)
        self._set_up()  # 4: as Linux 8139too.c and 8139cp.c
        if not self._polling:
            for vector in function.interrupts.allocate(1, ("intx",)):
                function.interrupts.connect(vector, self._interrupt)

    def _quiet(self) -> None:
        self._write16(IMR.offset, 0)
        self.enabled = self.causes = 0
        self.receiver.close()

    def _take_down(self, why: str) -> None:
        self._lose(self.transmitter.close(), why)
        self.counters.harvest()

    def _reset(self) -> None:
        self.card.reset()

    def _close(self) -> None:
        pci.disable(self._function, "MASTER")

    def _select_mode(self) -> None:
        """Choose C+ mode, for who wants it: before all ring addresses. A reset has chosen C mode."""

    def _bring_up(self) -> None:
        self._reset()
        self._set_up()

    def _set_up(self) -> None:
        """From a reset card to a running one, interrupts excepted."""
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

    def _find_mac(self) -> bytes:
        """From the EEPROM, or what the card has loaded itself."""
        mac = self.card.eeprom_mac()
        if mac is None:
            self.drop("eeprom", "its first word is not 8129h, or it does not answer (RTL8139C 6)")
            mac = self.card.address()
        if not is_station(mac):
            raise DriverError(f"{self.path}: neither EEPROM nor IDR has a station address ({mac.hex(':')})")
        return mac

    # --- interrupts

    def _status(self) -> int:
        """ISR; reading clears nothing, whatever the datasheet says."""
        causes = self._read16(ISR.offset)
        if causes == GONE:
            self.drop("card gone", "ISR reads all ones")
            return 0
        return causes

    def _interrupt(self) -> bool:
        """The handler: say whether it was ours, mask, and leave the work, and its acknowledgement, to `poll`."""
        causes = self._status()
        if not causes & self.enabled:
            return False
        self._write16(IMR.offset, 0)
        self.enabled = 0
        if causes & ~_RECEIVE:
            self._write16(ISR.offset, causes & ~_RECEIVE)
        self.causes |= causes & (_LINK | _BUS)
        return self._interrupted()

    def _take_causes(self) -> None:
        """Without interrupts: acknowledge everything, and note what is to be looked after."""
        causes = self._status()
        if causes:
            self._write16(ISR.offset, causes)
            self._count_troubles(causes & _RECEIVE)
            self.causes |= causes & (_LINK | _BUS)

    def _enable(self) -> None:
        causes = self._status() & _RECEIVE
        if causes:
            self._write16(ISR.offset, causes)
            self._count_troubles(causes)
        self.enabled = _CAUSES | _SENT if self.transmitter.blocked else _CAUSES
        self._write16(IMR.offset, self.enabled)

    def _want_room(self) -> None:
        """The slots are full: the next frame sent, not one of earlier, shall interrupt. `_unmask` sees to it, too."""
        if self._polling:
            return
        self._write16(ISR.offset, _SENT)
        if self.enabled and not self.enabled & _SENT:
            self.enabled |= _SENT
            self._write16(IMR.offset, self.enabled)

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

    def set_multicast(self, groups: Sequence[bytes]) -> None:
        """Let frames to these Ethernet addresses in, and those that share their hash (RTL8139C 5, MAR)."""
        self.filters.ask(groups)
        self._filters_changed()

    def set_all_multicast(self, on: bool) -> None:
        """Let every multicast frame in."""
        self.filters.all_multicast = on
        self._filters_changed()

    def set_promiscuous(self, on: bool) -> None:
        """Let every frame in (RCR.AAP). Some cards begin a new ring then, and forget what nobody has read."""
        self.filters.promiscuous = on
        self._filters_changed()
        if self.running:
            self.receiver.enable(self.filters.control())

    def _filters_changed(self) -> None:
        if self.running:
            self.filters.apply()
