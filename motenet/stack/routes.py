"""Routes: which neighbor on which interface a packet goes to, by longest prefix (RFC 1812, 5.2.4.3)."""

from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from typing import Any

from motenet.core.clock import FOREVER
from motenet.core.state import Component, Plain
from motenet.stack.address import Cidr, format_address

DEFAULT = Cidr(b"\0\0\0\0", 0)
DEFAULT6 = Cidr(b"\0" * 16, 0)

MAXIMUM_REDIRECTS = 64
"""Routes that redirects have made: their number is the neighbors' choice."""


def _nobody() -> None:
    """Routes outside a node have nobody to tell."""


@dataclass(frozen=True, slots=True)
class Route:
    """A network and the way to it: a gateway, or None for a network on the link itself."""

    network: Cidr
    gateway: bytes | None
    interface: str = ""
    """Its name; empty: the one on whose link the gateway is."""
    expires: int = FOREVER
    """In ns."""
    origin: str = "static"
    """Who has told: "static", "dhcp", "ra" (a router's advertisement) or "redirect"."""
    preference: int = 0
    """Among equals: 1 high, 0 medium, -1 low (RFC 4191, 2.1)."""

    def __str__(self) -> str:
        way = "on link" if self.gateway is None else f"via {format_address(self.gateway)}"
        return f"{format_address(self.network.network)}/{self.network.prefix} {way}"


class Routes(Component):
    """The routing table, longest prefix first; of equals, the preferred and then the older one first."""

    def __init__(self, path: str = "routes") -> None:
        self.path = path
        self.changed: Callable[[], None] = _nobody
        """Wiring: tells the node that ways may lead elsewhere now."""
        self.table: list[Route] = []

    def add(
        self,
        network: Cidr,
        gateway: bytes | None = None,
        interface: str = "",
        expires: int = FOREVER,
        origin: str = "static",
        preference: int = 0,
    ) -> None:
        """Add a route, in place of one to the same network of the same origin.

        Several stay that routers tell of ("ra"), or the DHCP servers of several interfaces.
        """
        by = interface if origin in ("dhcp", "ra") else ""  # fe80::1 is another router on each link (RFC 4007, 6)
        cidr = Cidr(network.network, network.prefix)
        known = [(one.network, one.gateway, one.interface, one.origin) for one in self.table]
        same = (cidr, gateway, interface, origin)
        place = known.index(same) if same in known else len(known)  # a route that is told again is no younger for it
        self.remove(network, gateway if origin == "ra" else None, origin, by)
        if origin == "redirect":
            self._bound_redirects()
        self.table.insert(place, Route(cidr, gateway, interface, expires, origin, preference))
        self.table.sort(key=lambda route: (-route.network.prefix, -route.preference))
        self.changed()

    def _bound_redirects(self) -> None:
        """The one that ends first makes room."""
        redirects = [route for route in self.table if route.origin == "redirect"]
        if len(redirects) >= MAXIMUM_REDIRECTS:
            self.table.remove(min(redirects, key=lambda route: route.expires))

    def remove(self, network: Cidr, gateway: bytes | None = None, origin: str = "", interface: str = "") -> None:
        """Forget the routes to exactly this network: all, or those of a gateway, of an origin, by an interface."""
        name = (network.network, network.prefix)
        self.table[:] = [
            route
            for route in self.table
            if (route.network.network, route.network.prefix) != name
            or (gateway is not None and route.gateway != gateway)
            or (origin and route.origin != origin)
            or (interface and route.interface != interface)
        ]
        self.changed()

    def remove_origin(self, origin: str, interface: str) -> None:
        """Forget all routes of an origin by an interface."""
        self.table[:] = [route for route in self.table if (route.origin, route.interface) != (origin, interface)]
        self.changed()

    def remove_redirects(self, gateway: bytes) -> None:
        """Forget what redirects have told of a gateway, or of a neighbor: it does not answer."""
        before = len(self.table)
        self.table[:] = [
            route
            for route in self.table
            if route.origin != "redirect" or gateway not in (route.gateway, route.network.address)
        ]
        if len(self.table) != before:
            self.changed()

    def candidates(self, destination: bytes) -> Iterator[Route]:
        """All routes to an address, the best first."""
        return (route for route in self.table if route.network.contains(destination))

    def expire(self, now: int) -> None:
        """Forget the routes whose time is over."""
        self.table[:] = [route for route in self.table if route.expires > now]
        self.changed()

    def poll_at(self) -> int | None:
        """When `expire` next has work, in ns."""
        at = min((route.expires for route in self.table), default=FOREVER)
        return None if at == FOREVER else at

    def rows(self, now: int) -> list[dict[str, Any]]:
        """The table, for people: network and gateway as text, interface, origin, and the ns left of it."""
        return [
            {
                "network": f"{format_address(route.network.network)}/{route.network.prefix}",
                "gateway": None if route.gateway is None else format_address(route.gateway),
                "interface": route.interface,
                "origin": route.origin,
                "expires_in": None if route.expires == FOREVER else route.expires - now,
            }
            for route in self.table
        ]

    def save(self) -> Plain:
        return [(route.network.address, route.network.prefix, *astuple(route)[1:]) for route in self.table]

    def load(self, state: Plain) -> None:
        self.table[:] = [Route(Cidr(address, prefix), *rest) for address, prefix, *rest in state]
        self.changed()
