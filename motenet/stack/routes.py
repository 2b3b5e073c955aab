"""Routes: which neighbor a packet goes to, by longest prefix (RFC 1812, 5.2.4.3)."""

from dataclasses import dataclass
from typing import Any

from motenet.core.state import Component, Plain
from motenet.stack.address import Cidr, format_address

DEFAULT = Cidr(b"\0\0\0\0", 0)


@dataclass(frozen=True, slots=True)
class Route:
    """A network and the way to it: a gateway, or None for a network on the link itself."""

    network: Cidr
    gateway: bytes | None

    def __str__(self) -> str:
        way = "on link" if self.gateway is None else f"via {format_address(self.gateway)}"
        return f"{format_address(self.network.network)}/{self.network.prefix} {way}"


class Routes(Component):
    """The routing table, longest prefix first."""

    def __init__(self, path: str = "routes") -> None:
        self.path = path
        self.table: list[Route] = []

    def add(self, network: Cidr, gateway: bytes | None = None) -> None:
        """Add a route, in place of one to the same network."""
        self.remove(network)
        self.table.append(Route(network, gateway))
        self.table.sort(key=lambda route: -route.network.prefix)

    def remove(self, network: Cidr) -> None:
        """Forget the route to exactly this network, if there is one."""
        name = (network.network, network.prefix)
        self.table[:] = [route for route in self.table if (route.network.network, route.network.prefix) != name]

    def lookup(self, destination: bytes) -> Route | None:
        """The most specific route to an address."""
        for route in self.table:
            if route.network.contains(destination):
                return route
        return None

    def rows(self) -> list[dict[str, Any]]:
        """The table, for people: network as text, gateway as bytes or None."""
        return [
            {"network": f"{format_address(route.network.network)}/{route.network.prefix}", "gateway": route.gateway}
            for route in self.table
        ]

    def save(self) -> Plain:
        return [(route.network.address, route.network.prefix, route.gateway) for route in self.table]

    def load(self, state: Plain) -> None:
        self.table[:] = [Route(Cidr(address, prefix), gateway) for address, prefix, gateway in state]
