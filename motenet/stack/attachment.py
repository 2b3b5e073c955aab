"""A card under the stack: its driver as a device, and what the interface has to know of it."""

from collections.abc import Iterable
from typing import ClassVar

from motenet.core.state import Component
from motenet.core.trace import Watched
from motenet.doors import Capabilities, NetworkDriver
from motenet.stack.interface import Interface
from motenet.stack.phy import Device, DeviceWrapper, MulticastFilter


class Attachment(Watched):
    """Joins a driver to the interface (and its VLANs) that sends and receives through it."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "filtered")

    def __init__(self, driver: NetworkDriver, interface: Interface) -> None:
        super().__init__(driver.clock, f"{interface.name}-card")
        self.driver = driver
        self.interface = interface
        self.wrapper = DeviceWrapper(driver)
        self.device: Device = self.wrapper
        """What frames pass through: the driver, with all that `wrap` has put around it."""
        interface.link_up = False
        self.filtered: list[bytes] = []
        """The Ethernet groups that the card has been told to let pass."""
        self._filter = driver if isinstance(driver, MulticastFilter) else None
        self._capabilities: Capabilities | None = None

    def parts(self) -> Iterable[Component]:
        return (self.device,) if isinstance(self.device, Component) else ()

    def wrap(self, device: Device) -> None:
        """Send and receive through this from now on: a middleware around our `device`."""
        self.device = device
        self.place(self.path)
        self.renew()

    def begin(self) -> None:
        """Look after the card, before a poll of the interfaces."""
        driver = self.driver
        self.wrapper.begin()
        interfaces = (self.interface, *self.interface.vlans.values())
        mac, capabilities = driver.mac_address, driver.capabilities
        if mac != self.interface.link.mac or capabilities is not self._capabilities:
            self._capabilities = capabilities
            for interface in interfaces:
                interface.adopt(mac, self.device.capabilities())
        link_up = driver.is_link_up
        if link_up != self.interface.link_up:
            self.changed("link", "up" if link_up else "down")
        for interface in interfaces:
            interface.carrier(link_up)
        groups = list(dict.fromkeys(group for interface in interfaces for group in interface.addressing.macs))
        if self._filter is not None and groups != self.filtered:
            self.filtered = groups
            self._filter.set_multicast(groups)

    def renew(self) -> None:
        """There is another interface, or another middleware: it is to be learned anew what the card can do."""
        self._capabilities = None

    def flush(self) -> None:
        """Tell the card of all frames that were sent, after a poll of the interfaces."""
        self.wrapper.flush()
