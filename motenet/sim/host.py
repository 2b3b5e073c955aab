"""A machine with its card, driver and stack, in a world."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from inspect import Parameter, signature
from typing import Any

from motenet.core.clock import Clock
from motenet.core.errors import ConfigurationError
from motenet.core.state import Component
from motenet.core.trace import Watched
from motenet.datasheets.pci import DEVICE_ID, VENDOR_ID
from motenet.devices import E1000, Rtl8139, VirtioNet
from motenet.doors import Card, Function, NetworkDriver, PciFunction
from motenet.drivers import E1000Driver, Rtl8139CpDriver, Rtl8139Driver, VirtioNetDriver
from motenet.drivers.rtl8139 import probe as rtl8139_driver
from motenet.machine import Machine, Port
from motenet.sim.poller import Poller
from motenet.stack import NetworkStack

CARDS: dict[str, Callable[..., Card]] = {
    "e1000": E1000,
    "rtl8139": Rtl8139,
    "rtl8139cp": partial(Rtl8139, revision="C+"),
    "virtio-net": VirtioNet,
    "virtio-net-transitional": partial(VirtioNet, transport="transitional"),
    "virtio-net-legacy": partial(VirtioNet, transport="legacy"),
    "virtio-net-mmio": partial(VirtioNet, transport="mmio"),
}
"""For each name of a card: how to make one, from a MAC address and its options."""

PLATFORM = (0, 0)
"""What has no configuration space: it is virtio over MMIO."""

DRIVERS: dict[tuple[int, int], Callable[..., NetworkDriver]] = {
    (0x8086, 0x100E): E1000Driver,
    (0x10EC, 0x8139): rtl8139_driver,
    (0x1AF4, 0x1000): VirtioNetDriver,
    (0x1AF4, 0x1041): VirtioNetDriver,
    PLATFORM: VirtioNetDriver,
}
"""For each vendor and device id, and for what sits on the memory bus: the driver that probes it."""


def make_card(nic: str | Card, mac: str, **options: Any) -> Card:
    """A card by its name, or the device object as it is; ConfigurationError lists the names there are."""
    if isinstance(nic, str) and nic in CARDS:
        return CARDS[nic](mac, **options)
    if isinstance(nic, str) or not isinstance(nic, Component):
        hint = "; call it: what it returns is a card" if callable(nic) else ""
        raise ConfigurationError(f"unknown NIC {nic!r}{hint}; there is {', '.join(sorted(CARDS))}")
    return nic


def find_driver(function: Function) -> Callable[..., NetworkDriver]:
    """The driver that probes a function; ConfigurationError when there is none for it."""
    ids = PLATFORM
    if isinstance(function, PciFunction):
        ids = function.config.read(VENDOR_ID, 2), function.config.read(DEVICE_ID, 2)
    if ids not in DRIVERS:
        raise ConfigurationError(f"there is no driver for the card {ids[0]:04x}:{ids[1]:04x}")
    return DRIVERS[ids]


def make_driver(function: Function, options: Mapping[str, Any]) -> NetworkDriver:
    """The driver of a function, with its options; ConfigurationError lists the options that there are."""
    driver = find_driver(function)
    try:
        return driver(function, **options)
    except TypeError as error:
        if not options:
            raise
        known = "; ".join(f"{kind.__name__} takes {_options(kind)}" for kind in _CHOICES.get(driver, (driver,)))
        raise ConfigurationError(f"driver_options {dict(options)!r}: {error}. {known}") from error


_CHOICES: dict[Callable[..., Any], tuple[Callable[..., Any], ...]] = {
    rtl8139_driver: (rtl8139_driver, Rtl8139Driver, Rtl8139CpDriver)
}
"""A probe, and whom it chooses from."""


def _options(driver: Callable[..., Any]) -> str:
    """A driver's options with their defaults."""
    parameters = signature(driver).parameters.values()
    return ", ".join(f"{one.name}={one.default!r}" for one in parameters if one.kind is Parameter.KEYWORD_ONLY)


class Outsider(Component):
    """A computer that runs elsewhere, with a card of ours (a guest in QEMU): see World.join."""

    name: str
    port: Port
    """The card's end of the cable."""


class Host(Watched):
    """One computer of a world. Every layer can be reached: machine, nic, driver, stack."""

    def __init__(
        self,
        clock: Clock,
        name: str,
        nic: str | Card,
        address: str | Sequence[str],
        gateway: str | None,
        mac: str,
        seed: int,
        memory: str | int,
        driver_options: Mapping[str, Any],
    ) -> None:
        self.machine = Machine(clock, memory=memory, name=name)
        super().__init__(self.machine.clock, name)
        self.name = name
        self.nic = make_card(nic, mac)
        self.machine.plug(self.nic)
        functions: list[Function] = [*self.machine.pci.functions, *self.machine.platform.functions]
        self.function = functions[0]
        """The card, as its driver sees it."""
        self.driver = make_driver(self.function, driver_options)
        self.stack = NetworkStack(self.driver, address=address, gateway=gateway, seed=seed, name=f"{name}/stack")
        self.applications: list[Component] = []
        """What runs on this host and is to be part of its snapshots."""
        self.poller = Poller(self.machine.clock, self.driver, self.stack, f"{name}/poller")

    def __repr__(self) -> str:
        link = "up" if self.driver.is_link_up else "down"
        return f"<Host {self.name}: {' '.join(map(str, self.stack.addresses)) or 'no address'}, link {link}>"

    @property
    def port(self) -> Port:
        """The card's end of the cable."""
        return self.machine.slots[0].port

    def parts(self) -> Iterable[Component]:
        assert isinstance(self.driver, Component)
        return (*self.machine.parts(), self.driver, self.stack, self.poller, *self.applications)

    def start(self) -> None:
        """Bring the card up; the host's local time goes ahead by what that takes."""
        self.poller.start()

    def stop(self) -> None:
        """Take the card down in an orderly way; the stack stays as it is."""
        self.poller.stop()
