"""A machine with its card, driver and stack, in a world."""

from asyncio import Task
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from inspect import Parameter, signature
from typing import Any, TypeVar

from motenet.core.errors import ConfigurationError
from motenet.core.state import Component
from motenet.core.trace import Watched
from motenet.datasheets.pci import DEVICE_ID, VENDOR_ID
from motenet.devices import E1000, Rtl8139, VirtioNet
from motenet.doors import Card, Function, NetworkDriver, PciFunction
from motenet.drivers import E1000Driver, Rtl8139CpDriver, Rtl8139Driver, VirtioNetDriver
from motenet.drivers.rtl8139 import probe as rtl8139_driver
from motenet.machine import Machine, Port
from motenet.sim.aio import WorldLoop
from motenet.sim.poller import Poller
from motenet.sim.tls import Tls
from motenet.stack import Interface, NetworkStack

T = TypeVar("T")

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

    @property
    def ports(self) -> list[Port]:
        """The same, as hosts have it."""
        return [self.port]


class Host(Watched):
    """One computer of a world. Every layer can be reached: machine, nic, driver, stack."""

    def __init__(
        self,
        loop: WorldLoop,
        name: str,
        nic: str | Card,
        address: str | Sequence[str],
        gateway: str | Sequence[str] | None,
        mac: str,
        seed: int,
        memory: str | int,
        driver_options: Mapping[str, Any],
        forwarding: bool,
    ) -> None:
        self.machine = Machine(loop.clock, memory=memory, name=name)
        super().__init__(self.machine.clock, name)
        self._loop = loop
        self.name = name
        self.mac = mac
        """The first card's; those of the others follow from it."""
        self.nic, self.driver = self._build(nic, mac, driver_options)
        self.drivers = [self.driver]
        self.stack = NetworkStack(
            self.driver, address=address, gateway=gateway, seed=seed, name=f"{name}/stack", forwarding=forwarding
        )
        self.stack.tls = self.tls = Tls(f"{name}/tls")
        self.applications: list[Component] = []
        """What runs on this host and is to be part of its snapshots."""
        self.poller = Poller(self.machine.clock, self.stack, f"{name}/poller")

    def _build(self, nic: str | Card, mac: str, options: Mapping[str, Any]) -> tuple[Card, NetworkDriver]:
        """A card in the next slot, and its driver."""
        count = len(self.machine.slots)
        card = make_card(nic, mac)
        self.machine.plug(card, f"nic{count or ''}")
        driver = make_driver(self.machine.functions[-1], options)
        assert isinstance(driver, Component)
        if count:
            driver.place(f"{driver.path}{count}")
        return card, driver

    def plug(
        self,
        nic: str | Card = "e1000",
        address: str | Sequence[str] = (),
        *,
        mac: str | None = None,
        driver_options: Mapping[str, Any] | None = None,
    ) -> Interface:
        """Another card, its driver, and the stack's interface ("eth1" ...) for it, with the given addresses.

        The next cable that is laid to this host ends in the first card that has none.
        """
        count = len(self.drivers)
        octets = self.mac.split(":")
        octets[2] = f"{count:02x}"
        _, driver = self._build(nic, mac or ":".join(octets), driver_options or {})
        self.drivers.append(driver)
        interface = self.stack.add_interface(driver, address)
        self.poller.add(driver)
        return interface

    def __repr__(self) -> str:
        link = "up" if self.driver.is_link_up else "down"
        return f"<Host {self.name}: {' '.join(map(str, self.stack.addresses)) or 'no address'}, link {link}>"

    def spawn(self, coroutine: Coroutine[Any, Any, T], *, name: str | None = None) -> Task[T]:
        """Let a coroutine run on this computer, as the world runs: its asyncio is on this computer's stack.

        If it fails, and nobody awaits it, `world.run` raises its exception.
        """
        return self._loop.spawn(coroutine, self.stack, name or self._task_name(coroutine))

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run the world until this computer's coroutine is done; returns its result, or raises its exception.

        Deadlock if nothing can ever happen again; BlockingInsideWorld inside a coroutine, where `await` does it.
        """
        if not isinstance(coroutine, Awaitable):
            raise ConfigurationError(f"{coroutine!r} is no coroutine: call the async function, and give its result")
        return self._loop.complete(coroutine, stack=self.stack, name=self._task_name(coroutine))

    def _task_name(self, coroutine: object) -> str:
        return f"{self.name}/{getattr(coroutine, '__name__', 'task')}"

    @property
    def function(self) -> Function:
        """The first card, as its driver sees it."""
        return self.machine.functions[0]

    @property
    def port(self) -> Port:
        """The first card's end of the cable."""
        return self.machine.slots[0].port

    @property
    def ports(self) -> list[Port]:
        """All cards' ends of their cables."""
        return [slot.port for slot in self.machine.slots]

    def parts(self) -> Iterable[Component]:
        drivers = [driver for driver in self.drivers if isinstance(driver, Component)]
        return (*self.machine.parts(), *drivers, self.stack, self.tls, self.poller, *self.applications)

    def start(self) -> None:
        """Bring the cards up; the host's local time goes ahead by what that takes."""
        self.poller.start()

    def stop(self) -> None:
        """Take the cards down in an orderly way; the stack stays as it is."""
        self.poller.stop()
