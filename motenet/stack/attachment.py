"""A card under the stack: its driver as a device, and what the interface has to know of it."""

from typing import ClassVar

from motenet.core.trace import Watched
from motenet.doors import Capabilities, NetworkDriver
from motenet.stack.interface import Interface
from motenet.stack.phy import DeviceWrapper, MulticastFilter


class Attachment(Watched):
    """Joins a driver to the interface (and its VLANs) that sends and receives through it."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "filtered")

    def __init__(self, driver: NetworkDriver, interface: Interface) -> None:
        super().__init__(driver.clock, f"{interface.name}-card")
        self.driver = driver
        self.interface = interface
        self.device = DeviceWrapper(driver)
        interface.link_up = False
        self.filtered: list[bytes] = []
        """The Ethernet groups that the card has been told to let pass."""
        self._filter = driver if isinstance(driver, MulticastFilter) else None
        self._capabilities: Capabilities | None = None

    def begin(self) -> None:
        """Look after the card, before a poll of the interfaces."""
        driver = self.driver
        self.device.begin()
        interfaces = (self.interface, *self.interface.vlans.values())
        mac, capabilities = driver.mac_address, driver.capabilities
        if mac != self.interface.link.mac or capabilities is not self._capabilities:
            self._capabilities = capabilities
            for interface in interfaces:
                interface.adopt(mac, capabilities)
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
        """Another interface is on this card: it is to learn what the card can do."""
        self._capabilities = None

    def flush(self) -> None:
        """Tell the card of all frames that were sent, after a poll of the interfaces."""
        self.device.flush()
