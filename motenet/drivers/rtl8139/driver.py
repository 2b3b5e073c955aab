"""What the drivers of both modes share: up and down, interrupts, link, recovery.

Interrupts are handled in NAPI's style: the handler reads ISR, masks everything and calls `wake`; the stack then polls,
and the first `receive` that finds nothing, or `poll` that says so, acknowledges, unmasks and looks once more.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from motenet.core import units
from motenet.core.errors import ConfigurationError, DriverError
from motenet.core.state import Component
from motenet.core.trace import Watched
from motenet.core.units import MS, US
from motenet.datasheets.pci import STATUS
from motenet.datasheets.rtl8139 import CR, IMR, ISR, MULINT
from motenet.datasheets.rtl8139.pci import DEVICE_ID, VENDOR_ID
from motenet.doors import Capabilities, Clock, PciFunction
from motenet.drivers import pci
from motenet.drivers.rtl8139.c_receive import RingReceiver
from motenet.drivers.rtl8139.c_transmit import SlotTransmitter
from motenet.drivers.rtl8139.card import GONE, Card
from motenet.drivers.rtl8139.counters import MissedCounter, TallyCounters
from motenet.drivers.rtl8139.cplus_receive import DescriptorReceiver
from motenet.drivers.rtl8139.cplus_transmit import DescriptorTransmitter
from motenet.drivers.rtl8139.filters import Filters

KNOWN = {(VENDOR_ID, DEVICE_ID): "Realtek RTL8139"}
"""Vendor and device ids that these drivers are for."""

OVERHEAD = 18
"""Ethernet header and one 802.1Q tag."""
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
_DRAIN_STEP, _DRAIN_LIMIT = 100 * US, 50 * MS


class Rtl8139Base(Watched):
    """doors.NetworkDriver for an RTL8139, but for the mode: who inherits makes the parts, and hands them to `_use`."""

    STATE: ClassVar[tuple[str, ...]] = (
        *Watched.STATE, "running", "enabled", "causes", "mac", "link_up", "speed", "full_duplex", "interrupts_seen",
        "recoveries",
    )  # fmt: skip

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
        mtu = capabilities.mtu
        if not _MTU_LEAST <= mtu <= most_mtu:
            raise ConfigurationError(f"mtu={mtu}: this mode takes {_MTU_LEAST} to {most_mtu} bytes")
        self.name = pci.identify(function, KNOWN)
        super().__init__(function.clock, f"{function.name}/driver")
        self.clock: Clock = function.clock
        self.wake: Callable[[], None] | None = None
        self.mtu = mtu
        self._function = function
        self._polling = capabilities.polled
        self._space = "IO" if io else "MEMORY"
        self._hang_timeout = units.duration(hang_timeout)
        self._capabilities = capabilities
        self.card = Card(pci.find_bar(function, "io" if io else "memory"), function.delay, function.name)
        self._read16, self._write16 = self.card.window.read16, self.card.window.write16
        self.filters = Filters(self.card)

        self.running = False
        self.enabled = 0
        """The causes that IMR has; 0 while the stack polls."""
        self.causes = 0
        """Causes seen that `poll` has to look after."""
        self.mac = b""
        self.link_up = False
        self.speed = 0
        """Mbit/s."""
        self.full_duplex = False
        self.interrupts_seen = 0
        self.recoveries = 0
        """How often the card was reset because it hung."""

    def _use(
        self,
        receiver: RingReceiver | DescriptorReceiver,
        transmitter: SlotTransmitter | DescriptorTransmitter,
        counters: MissedCounter | TallyCounters,
    ) -> None:
        self.receiver, self.transmitter, self.counters = receiver, transmitter, counters
        receiver.on_empty = self._unmask
        transmitter.on_full = self._want_room
        self.receive = receiver.receive
        self.reserve = transmitter.reserve
        self.commit = transmitter.commit
        self.flush = transmitter.flush
        self.place(self.path)

    def parts(self) -> Iterable[Component]:
        return (self.filters, self.counters, self.receiver, self.transmitter)

    # --- what the stack asks

    @property
    def mac_address(self) -> bytes:
        """The station's six bytes; DriverError before the first start()."""
        if not self.mac:
            raise DriverError(f"{self.path}: the address is in the card's EEPROM, which start() reads")
        return self.mac

    @property
    def is_link_up(self) -> bool:
        """The link as of the last `start` or `poll`."""
        return self.link_up

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def statistics(self) -> dict[str, int]:
        """Counters by name: this driver's, and the card's by the datasheet's names.

        In C+ mode the card takes some time to store them, and the machine waits for it.
        """
        if self.running:
            self.counters.harvest()
        return {
            "tx_frames": self.transmitter.frames,
            "rx_frames": self.receiver.frames,
            "gro_joined": self.receiver.joined,
            "interrupts": self.interrupts_seen,
            "recoveries": self.recoveries,
            "drops": sum(self.drops.values()),
            **self.counters.values,
        }

    def send(self, frame: bytes) -> bool:
        """reserve, commit and flush in one; False when the ring is full."""
        view = self.reserve(len(frame))
        if view is None:
            return False
        view[:] = frame
        self.commit()
        self.flush()
        return True

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

    def start(self) -> None:
        """Bring the card up: a reset, the address from the EEPROM, rings, filters, and interrupts last."""
        if self.running:
            raise DriverError(f"{self.path} runs already; stop() it first")
        function = self._function
        pci.power_up(function)
        pci.enable(function, self._space, "MASTER")  # 1: answer, and master the bus (PCI 6.2.2)
        self.card.reset()  # 2: a known state (RTL8139C 5.4)
        self.mac = self._find_mac()  # 3: the address (RTL8139C 6)
        self._bring_up()  # 4: as Linux 8139too.c and 8139cp.c
        if not self._polling:
            for vector in function.interrupts.allocate(1, ("intx",)):
                function.interrupts.connect(vector, self._interrupt)
        self.running = True
        self._look_at_link()
        self._unmask()  # 5: interrupts last, when everything that they need is there

    def stop(self) -> None:
        """See NetworkDriver.stop: frames that the card has not sent within 50 ms are lost, and counted."""
        if not self.running:
            return
        self._write16(IMR.offset, 0)
        self.enabled = self.causes = 0
        self.receiver.close()
        self.transmitter.flush()
        self._drain()
        self._lose(self.transmitter.close(), "stopped")
        if not self._polling:
            self._function.interrupts.free()
        self.counters.harvest()
        self.running = self.link_up = False
        try:
            self.card.reset()
        except DriverError as error:
            self.drop("card gone", str(error))
        pci.disable(self._function, "MASTER")
        self.changed("driver", "stopped")

    def _select_mode(self) -> None:
        """Choose C+ mode, for who wants it: before all ring addresses. A reset has chosen C mode."""

    def _bring_up(self) -> None:
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

    def _find_mac(self) -> bytes:
        """From the EEPROM, or what the card has loaded itself."""
        mac = self.card.eeprom_mac()
        if mac is None:
            self.drop("eeprom", "its first word is not 8129h, or it does not answer (RTL8139C 6)")
            mac = self.card.address()
        if mac[0] & 1 or not any(mac):
            raise DriverError(f"{self.path}: neither EEPROM nor IDR has a station address ({mac.hex(':')})")
        return mac

    def _drain(self) -> None:
        """Wait, within bounds, until the card has sent what it was told of."""
        for _ in range(_DRAIN_LIMIT // _DRAIN_STEP):
            self.transmitter.reap()
            if self.transmitter.idle or not self.link_up:
                return
            self._function.delay(_DRAIN_STEP)

    def _lose(self, frames: int, why: str) -> None:
        if frames:
            self.drop("tx lost", f"{frames} frames were still the card's: {why}")

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
        self.interrupts_seen += 1
        if self.wake is not None:
            self.wake()
        return True

    def _take_causes(self) -> None:
        """Without interrupts: acknowledge everything, and note what is to be looked after."""
        causes = self._status()
        if causes:
            self._write16(ISR.offset, causes)
            self._count_troubles(causes & _RECEIVE)
            self.causes |= causes & (_LINK | _BUS)

    def _unmask(self) -> bool:
        """Interrupts on, if they are off; says whether they were, for a frame may have come just before."""
        if self.enabled or self._polling or not self.running:
            return False
        causes = self._status() & _RECEIVE
        if causes:
            self._write16(ISR.offset, causes)
            self._count_troubles(causes)
        self.enabled = _CAUSES | _SENT if self.transmitter.blocked else _CAUSES
        self._write16(IMR.offset, self.enabled)
        return True

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

    # --- link and recovery

    def _look_after_causes(self) -> None:
        causes, self.causes = self.causes, 0
        if causes & _LINK:
            self._look_at_link()
        if causes & _BUS:
            self._count_troubles(_BUS)
            self._function.config.write(STATUS.offset, _BUS_ERRORS, 2)  # PCI 6.2.3: ones clear

    def _look_at_link(self) -> None:
        """After LinkChg: what has become of the link."""
        before = self.link_up
        self.link_up, self.speed, self.full_duplex = self.card.link()
        if self.link_up == before:
            return
        if self.link_up:
            self.transmitter.progress_at = self.clock.now
            self.changed("link", f"up, {self.speed} Mbit/s {'full' if self.full_duplex else 'half'} duplex")
        else:
            self.changed("link", "down")

    def _look_for_hang(self) -> None:
        """Frames that wait while the link is up, and none sent for `hang_timeout`: the card hangs."""
        if self.link_up and self.clock.now - self.transmitter.progress_at > self._hang_timeout:
            try:
                self.recover()
            except DriverError as error:
                self.link_up = False
                self.transmitter.running = True  # its slots fill up, and `reserve` says so
                self.drop("card dead", str(error))

    def recover(self) -> None:
        """Reset the card and start it anew, as it was set up. Frames in both rings are lost, and counted."""
        if not self.running:
            raise DriverError(f"{self.path} is down: start() it")
        self.recoveries += 1
        self.changed("driver", "reset because the card hung")
        self.counters.harvest()
        self.enabled = self.causes = 0
        self.receiver.close()
        self._lose(self.transmitter.close(), "reset")
        self.card.reset()
        self._bring_up()
        self._look_at_link()
        self._unmask()

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
