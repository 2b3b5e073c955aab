"""Which addresses an interface has and listens to, and which way a destination lies from it."""

from collections.abc import Iterable
from dataclasses import dataclass

from motenet.core.errors import ConfigurationError
from motenet.core.state import Component, Plain
from motenet.stack.address import (
    LIMITED_BROADCAST,
    Cidr,
    check_host_address,
    format_address,
    is_multicast,
    multicast_mac,
)
from motenet.stack.routes import Routes
from motenet.stack.wire import ethernet

UNICAST, BROADCAST, MULTICAST = 1, 2, 3

ALL_HOSTS = b"\xe0\0\0\1"
"""224.0.0.1, to which every host belongs for ever (RFC 1112, 4)."""

_REMEMBERED = 4096  # ways, before all are forgotten


@dataclass(slots=True)
class Way:
    """The way to a destination."""

    source: bytes
    """Our address of choice on that way."""
    hop: bytes
    """The neighbor that takes the packet: the destination itself, or a gateway."""
    mac: bytes
    """For groups and broadcasts, whose Ethernet address follows from the IP address; else empty: ask the cache."""
    local: bool
    """The destination is this host."""


class Addressing(Component):
    """Addresses with their networks, groups, and routes."""

    def __init__(self, path: str = "addressing") -> None:
        self.path = path
        self.cidrs: list[Cidr] = []
        self.groups: dict[bytes, int] = {}
        """Multicast groups -> how often they have been joined."""
        self.routes = Routes()
        self.listening: dict[bytes, int] = {}
        """All destinations that mean us -> UNICAST, BROADCAST or MULTICAST."""
        self.macs: dict[bytes, None] = {}
        """The Ethernet groups to listen to, in order."""
        self._ways: dict[bytes, Way | None] = {}
        self._changed()

    def parts(self) -> Iterable[Component]:
        return (self.routes,)

    # --- addresses

    def add(self, address: str | Cidr) -> None:
        """Have another address; its network is on the link. ConfigurationError if no host can have it, or we do."""
        cidr = check_host_address(Cidr.parse(address))
        if self.has(cidr.address):
            raise ConfigurationError(f"{cidr} is this interface's already")
        self.cidrs.append(cidr)
        self._changed()

    def remove(self, address: bytes) -> None:
        """Give up an address; one that is not ours is no mistake."""
        self.cidrs[:] = [cidr for cidr in self.cidrs if cidr.address != address]
        self._changed()

    def has(self, address: bytes) -> bool:
        """Whether it is one of our own."""
        return self.listening.get(address) == UNICAST

    def is_neighbor(self, address: bytes) -> bool:
        """Whether the address is in one of our networks."""
        return self._on_link(address) is not None

    def join(self, group: bytes) -> None:
        """Listen to a multicast group; as many `leave` as `join` end that."""
        if len(group) != 4 or not is_multicast(group):
            raise ConfigurationError(f"{format_address(group)} is not a group; IPv4's are 224.0.0.0 to 239.255.255.255")
        self.groups[group] = self.groups.get(group, 0) + 1
        self._changed()

    def leave(self, group: bytes) -> None:
        """Take back one `join`."""
        count = self.groups.get(group, 0)
        if count > 1:
            self.groups[group] = count - 1
        else:
            self.groups.pop(group, None)
        self._changed()

    def _changed(self) -> None:
        self._ways.clear()
        self.macs = {multicast_mac(group): None for group in (ALL_HOSTS, *self.groups)}
        self.listening.clear()
        self.listening.update(dict.fromkeys((ALL_HOSTS, *self.groups), MULTICAST))
        self.listening[LIMITED_BROADCAST] = BROADCAST
        for cidr in self.cidrs:
            if cidr.broadcast is not None:
                self.listening[cidr.broadcast] = BROADCAST
        for cidr in self.cidrs:
            self.listening[cidr.address] = UNICAST

    # --- routes

    def add_route(self, network: Cidr, gateway: bytes | None) -> None:
        """Add a route, in place of one to the same network. A gateway must be on the link."""
        if gateway is not None and (not self.is_neighbor(gateway) or self.has(gateway)):
            raise ConfigurationError(
                f"the gateway {format_address(gateway)} is no neighbor; it has to be in one of the interface's networks"
            )
        self.routes.add(network, gateway)
        self._ways.clear()

    def remove_route(self, network: Cidr) -> None:
        """Forget the route to exactly this network."""
        self.routes.remove(network)
        self._ways.clear()

    def _on_link(self, address: bytes) -> Cidr | None:
        """Our address in the most specific of our networks that has this one."""
        return max((cidr for cidr in self.cidrs if cidr.contains(address)), key=lambda cidr: cidr.prefix, default=None)

    def way(self, destination: bytes) -> Way | None:
        """The way to a destination, or None when no route leads there."""
        try:
            return self._ways[destination]
        except KeyError:
            if len(self._ways) >= _REMEMBERED:
                self._ways.clear()
            way = self._ways[destination] = self._find(destination)
            return way

    def _find(self, destination: bytes) -> Way | None:
        if not self.cidrs or len(destination) != 4:
            return None
        first = self.cidrs[0].address
        kind = self.listening.get(destination)
        if kind == UNICAST:
            return Way(destination, destination, b"", True)
        if is_multicast(destination):
            return Way(first, destination, multicast_mac(destination), False)
        own = self._on_link(destination)
        if kind == BROADCAST:
            return Way(own.address if own else first, destination, ethernet.BROADCAST, False)
        route = self.routes.lookup(destination)
        if own is not None and (route is None or route.network.prefix <= own.prefix):
            return Way(own.address, destination, b"", False)
        if route is None:
            return None
        hop = destination if route.gateway is None else route.gateway
        neighbor = self._on_link(hop)
        return Way(neighbor.address if neighbor else first, hop, b"", False)

    # --- state

    def save(self) -> Plain:
        cidrs = [(cidr.address, cidr.prefix) for cidr in self.cidrs]
        return {"cidrs": cidrs, "groups": dict(self.groups)}

    def load(self, state: Plain) -> None:
        self.cidrs[:] = [Cidr(address, prefix) for address, prefix in state["cidrs"]]
        self.groups.clear()
        self.groups.update(state["groups"])
        self._changed()
