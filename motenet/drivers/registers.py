"""What the drivers of cards share that are told everything by registers, and have an EEPROM: the e1000, the RTL8139."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Protocol

from motenet.core.errors import DriverError
from motenet.core.state import Component
from motenet.datasheets.registers import Register
from motenet.doors import Capabilities, PciFunction
from motenet.drivers import pci
from motenet.drivers.driver import CardDriver, check_groups, is_station
from motenet.drivers.receive import Receiver
from motenet.drivers.transmit import Transmitter

_GONE = {16: 0xFFFF, 32: 0xFFFFFFFF}


class Card(Protocol):
    """A card behind its window."""

    def reset(self) -> None:
        """Reset it; DriverError when that does not end."""

    def eeprom_mac(self) -> bytes | None:
        """The station address in the EEPROM; None when that is not in order."""

    def loaded_mac(self) -> bytes:
        """The station address that the card has loaded by itself."""


class CardCounters(Component):
    """What the card counts by itself, added up."""

    values: dict[str, int]
    """By the datasheet's names."""

    @abstractmethod
    def clear(self) -> None:
        """Count from here on."""

    @abstractmethod
    def harvest(self) -> None:
        """Add what the card has counted."""


class CardFilters(Component):
    """What is asked for is state; it is written after each reset and on each change."""

    STATE: ClassVar[tuple[str, ...]] = ("promiscuous", "all_multicast", "groups")

    def __init__(self) -> None:
        self.path = "filters"
        self.promiscuous = False
        self.all_multicast = False
        self.groups: list[bytes] = []
        """Ethernet addresses of the multicast groups."""

    def ask(self, groups: Sequence[bytes]) -> None:
        """Remember the groups, checked."""
        self.groups = check_groups(groups)


class RegisterDriver(CardDriver):
    """CardDriver, but for the registers: who inherits makes the parts, and hands them to `_take`."""

    STATE: ClassVar[tuple[str, ...]] = (*CardDriver.STATE, "causes")

    KNOWN: ClassVar[dict[tuple[int, int], str]]
    """Vendor and device ids that the driver is for."""
    CAUSES: ClassVar[Register]
    """The register that tells why there was an interrupt."""
    EEPROM_RULE: ClassVar[str]
    """What is wrong with an EEPROM that is not in order."""

    _function: PciFunction
    _read: Callable[[int], int]
    _write: Callable[[int, int], None]
    """Accesses of the causes' width."""
    card: Card
    filters: CardFilters
    counters: CardCounters
    receiver: Receiver

    def __init__(
        self,
        function: PciFunction,
        capabilities: Capabilities,
        hang_timeout: str | int,
        space: str = "MEMORY",
        kinds: Sequence[str] = ("intx",),
    ) -> None:
        """`space`: MEMORY or IO, where the card's registers are; `kinds` of interrupts, in order of preference."""
        self.name = pci.identify(function, self.KNOWN)
        super().__init__(function, capabilities, hang_timeout)
        self._space, self._kinds = space, tuple(kinds)
        self.causes = 0
        """Causes seen that `poll` has to look after."""

    def _take(self, receiver: Receiver, transmitter: Transmitter, counters: CardCounters) -> None:
        self.receiver, self.transmitter, self.counters = receiver, transmitter, counters
        receiver.on_empty = self._unmask
        self.receive = receiver.receive
        self._use(transmitter, [receiver])

    def parts(self) -> Iterable[Component]:
        return (self.filters, self.counters, self.receiver, self.transmitter)

    def _counters(self) -> dict[str, int]:
        """By the datasheet's names."""
        if self.running:
            self.counters.harvest()
        return self.counters.values

    def poll(self) -> bool:
        """See NetworkDriver.poll. In polling mode the causes are read here."""
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

    # --- what the card wants

    @abstractmethod
    def _set_up(self) -> None:
        """From a reset card to a running one, interrupts excepted."""

    @abstractmethod
    def _mask(self) -> None:
        """No interrupt may come."""

    @abstractmethod
    def _interrupt(self) -> bool:
        """The handler: say whether it was ours, mask, and leave the work to `poll`."""

    @abstractmethod
    def _take_causes(self) -> None:
        """Without interrupts: note what is to be looked after."""

    @abstractmethod
    def _look_after_causes(self) -> None:
        """What `causes` has; none of it is left."""

    @abstractmethod
    def _apply_filters(self) -> None:
        """Tell the card whom to let in."""

    # --- up and down

    def _open(self) -> None:
        """A reset, the address from the EEPROM, rings, filters."""
        function = self._function
        pci.power_up(function)
        pci.enable(function, self._space, "MASTER")  # 1: answer, and master the bus (PCI 6.2.2)
        self._reset()  # 2: a known state
        self.mac = self._find_mac()  # 3: the address
        self._set_up()  # 4
        if not self._polling:
            for vector in function.interrupts.allocate(1, self._kinds):
                function.interrupts.connect(vector, self._interrupt)

    def _quiet(self) -> None:
        self._mask()
        self.enabled = self.causes = 0
        self.receiver.close()

    def _take_down(self, why: str) -> None:
        self._lose(self.transmitter.close(), why)
        self.counters.harvest()

    def _reset(self) -> None:
        self.card.reset()

    def _close(self) -> None:
        pci.disable(self._function, "MASTER")

    def _bring_up(self) -> None:
        self._reset()
        self._set_up()

    def _find_mac(self) -> bytes:
        """From the EEPROM when it is in order; else what the card has loaded itself."""
        mac = self.card.eeprom_mac()
        if mac is None:
            self.drop("eeprom", self.EEPROM_RULE)
            mac = self.card.loaded_mac()
        if not is_station(mac):
            raise DriverError(f"{self.path}: neither EEPROM nor registers have a station address ({mac.hex(':')})")
        return mac

    def _status(self) -> int:
        """The causes that are there."""
        causes = self._read(self.CAUSES.offset)
        if causes == _GONE[self.CAUSES.width]:  # what the bus reads where no card answers (PCI 3.3.3.1)
            self.drop("card gone", f"{self.CAUSES.name} reads all ones")
            return 0
        return causes

    # --- filters

    def set_multicast(self, groups: Sequence[bytes]) -> None:
        """Let frames to these Ethernet addresses in, and those that share their hash."""
        self.filters.ask(groups)
        self._filters_changed()

    def set_all_multicast(self, on: bool) -> None:
        """Let every multicast frame in."""
        self.filters.all_multicast = on
        self._filters_changed()

    def set_promiscuous(self, on: bool) -> None:
        """Let every frame in."""
        self.filters.promiscuous = on
        self._filters_changed()

    def _filters_changed(self) -> None:
        if self.running:
            self._apply_filters()
