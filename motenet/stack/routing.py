"""Which way a destination lies: interface, neighbor, source address, and the largest packet that gets there."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from motenet.core.state import Component
from motenet.core.trace import HasNow, Watched
from motenet.core.units import SECOND
from motenet.stack.address import (
    ANY,
    LIMITED_BROADCAST,
    LOOPBACK,
    is_link_local,
    is_loopback,
    is_mapped,
    is_multicast,
    is_single_host,
    multicast_mac,
)
from motenet.stack.addressing import BROADCAST
from motenet.stack.routes import Route, Routes
from motenet.stack.selection import select
from motenet.stack.wire import ethernet, ipv4, ipv6

if TYPE_CHECKING:
    from motenet.stack.interface import Interface

PATH_LIFETIME = 600 * SECOND
"""RFC 1191, 6.3; RFC 8201, 5.3: after ten minutes a path may be tried with larger packets again."""

SMALLEST_MTU = 552
"""IPv4: less than this is not believed; Linux, net.ipv4.route.min_pmtu, against forged messages."""

PLATEAUS = (65535, 32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68)
"""RFC 1191, 7.1: which MTU to try when a router does not tell it."""

_MAXIMUM_PATHS = 1024
_REMEMBERED = 4096  # ways, before all are forgotten


@dataclass(slots=True)
class Way:
    """The way to a destination."""

    interface: "Interface"
    source: bytes
    """Our address of choice on that way."""
    hop: bytes
    """The neighbor that takes the packet: the destination itself, or a gateway."""
    mac: bytes
    """For groups and broadcasts, whose Ethernet address follows from the IP address; else empty: ask the cache."""
    local: bool
    """The destination is this node."""
    mtu: int
    """The largest packet that gets there, as far as we know, in bytes."""
    link_mtu: int
    """The same for its first link."""
    hop_limit: int = ipv4.DEFAULT_HOP_LIMIT
    """What is usual on that link."""


class Routing(Watched):
    """Finds ways, and remembers them until addresses, routes or paths change."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "paths")

    def __init__(self, clock: HasNow, interfaces: list["Interface"], path: str = "routing") -> None:
        super().__init__(clock, path)
        self.interfaces = interfaces
        self.routes = Routes()
        self.routes.changed = self.forget
        self.paths: dict[bytes, tuple[int, int]] = {}
        """Destination -> its path's MTU and until when that is believed, in ns (RFC 1191; RFC 8201)."""
        self._ways: dict[tuple[bytes, str] | bytes, Way | None] = {}

    def parts(self) -> Iterable[Component]:
        return (self.routes,)

    def forget(self) -> None:
        """Something has changed that ways depend on."""
        self._ways.clear()

    def is_ours(self, address: bytes) -> bool:
        """Whether any of our interfaces has this address."""
        return any(interface.addressing.has(address) for interface in self.interfaces)

    def is_local(self, address: bytes) -> bool:
        """Whether it is ours, or one of those that every host has for itself."""
        return self.is_ours(address) or is_loopback(address)

    def has_gateway(self, address: bytes) -> bool:
        """Whether any route goes by way of this neighbor."""
        return any(route.gateway == address for route in self.routes.table)

    def way(self, destination: bytes, name: str = "") -> Way | None:
        """The way to a destination, by the interface of that name or any; None when no route leads there."""
        key = (destination, name) if name else destination
        try:
            return self._ways[key]
        except KeyError:
            if len(self._ways) >= _REMEMBERED:
                self._ways.clear()
            way = self._ways[key] = self._find(destination, name)
            return way

    # --- finding

    def _find(self, destination: bytes, name: str) -> Way | None:
        if is_loopback(destination):
            interface = self.interfaces[0]
            mtu = interface.link.mtu
            return Way(interface, LOOPBACK[len(destination)], destination, b"", True, mtu, mtu)
        for interface in self.interfaces:
            if interface.addressing.has(destination):
                mtu = interface.link.mtu
                return Way(interface, destination, destination, b"", True, mtu, mtu)
        named = [interface for interface in self.interfaces if not name or interface.name == name]
        if destination == LIMITED_BROADCAST:
            return self._to_everybody(named)
        if is_multicast(destination):
            return self._on_any(named, destination, multicast_mac(destination))
        for interface in named:
            if interface.addressing.listening.get(destination) == BROADCAST:
                return self._by(interface, destination, destination, ethernet.BROADCAST)
        if len(destination) == 16 and is_link_local(destination):
            return self._on_any(named, destination, b"")
        if not is_single_host(destination) or is_mapped(destination):
            return None  # RFC 1122, 3.2.1.3 (a), (b); RFC 4291, 2.5.2 and 2.5.5.2: never where a packet goes
        return self._unicast(named, destination)

    def _to_everybody(self, named: list["Interface"]) -> Way | None:
        """255.255.255.255 can be reached without an address: that is how one is asked for (RFC 2131, 4.1)."""
        for interface in named:
            source = select(interface.addressing, LIMITED_BROADCAST, LIMITED_BROADCAST) or ANY
            mtu = interface.link.mtu
            return Way(interface, source, LIMITED_BROADCAST, ethernet.BROADCAST, False, mtu, mtu)
        return None

    def _on_any(self, named: list["Interface"], destination: bytes, mac: bytes) -> Way | None:
        """On the first link where we have an address of that family."""
        for interface in named:
            way = self._by(interface, destination, destination, mac)
            if way is not None:
                return way
        return None

    def _unicast(self, named: list["Interface"], destination: bytes) -> Way | None:
        """Longest prefix first; at the same length a network of our own goes before a route."""
        near = [(cidr, one) for one in named if (cidr := one.addressing.network_of(destination)) is not None]
        own, interface = max(near, key=lambda pair: pair[0].prefix, default=(None, None))
        route = self._route(named, destination)
        if interface is not None and own is not None and (route is None or route[0].network.prefix <= own.prefix):
            return self._by(interface, destination, destination, b"")
        if route is None:
            return None
        chosen, interface = route
        return self._by(interface, destination, destination if chosen.gateway is None else chosen.gateway, b"")

    def _route(self, named: list["Interface"], destination: bytes) -> tuple[Route, "Interface"] | None:
        """The best route whose router is not known to be dead; if all are, by turns (RFC 4861, 6.3.6)."""
        dead: list[tuple[int, Route, Interface]] = []
        for route in self.routes.candidates(destination):
            interface = self._interface_of(named, route)
            if interface is None or (dead and route.network.prefix < dead[0][1].network.prefix):
                continue
            if route.gateway is None or route.gateway not in interface.dead:
                return route, interface
            dead.append((interface.dead[route.gateway], route, interface))
        return min(dead, key=lambda one: one[0])[1:] if dead else None

    def _interface_of(self, named: list["Interface"], route: Route) -> "Interface | None":
        for interface in named:
            if route.interface == interface.name:
                return interface
            if not route.interface and route.gateway is not None and interface.addressing.is_neighbor(route.gateway):
                return interface
        return None

    def _by(self, interface: "Interface", destination: bytes, hop: bytes, mac: bytes) -> Way | None:
        source = select(interface.addressing, destination, hop)
        if source is None:
            return None
        link_mtu, hop_limit = interface.link.mtu, ipv4.DEFAULT_HOP_LIMIT
        if len(destination) == 16:
            told = interface.housekeeping.autoconfiguration  # RFC 4861, 6.3.4: LinkMTU and CurHopLimit
            link_mtu, hop_limit = min(link_mtu, told.mtu), told.hop_limit
        found = self.paths.get(destination)
        mtu = link_mtu if found is None else min(link_mtu, found[0])
        return Way(interface, source, hop, mac, False, mtu, link_mtu, hop_limit)

    # --- path MTU discovery

    def too_big(self, destination: bytes, mtu: int, length: int, now: int) -> bool:
        """A router could not forward a packet of `length` bytes. Says whether the path's MTU is smaller now.

        RFC 1191, 5: an old router tells no MTU. RFC 8201, 4: never below IPv6's smallest, nor ever more than before.
        """
        way = self.way(destination)
        if way is None or way.local:
            return False
        if len(destination) == 4:
            if mtu < PLATEAUS[-1]:
                mtu = next((plateau for plateau in PLATEAUS if plateau < length), PLATEAUS[-1])
            mtu = max(mtu, SMALLEST_MTU)
        else:
            mtu = max(mtu, ipv6.MINIMUM_MTU)
        if mtu >= way.mtu:
            return False
        if destination not in self.paths and len(self.paths) >= _MAXIMUM_PATHS:
            del self.paths[next(iter(self.paths))]
        self.paths[destination] = (mtu, now + PATH_LIFETIME)
        self.changed("path-mtu", str(mtu))
        self.forget()
        return True

    def expire(self, now: int) -> bool:
        """End what has had its time; says whether a path has."""
        if (at := self.routes.poll_at()) is not None and at <= now:
            self.routes.expire(now)
        over = [destination for destination, (_, until) in self.paths.items() if until <= now]
        for destination in over:
            del self.paths[destination]
        if over:
            self.forget()
        return bool(over)

    def poll_at(self) -> int | None:
        """When `expire` next has work, in ns."""
        times = [until for _, until in self.paths.values()]
        return min((time for time in (self.routes.poll_at(), *times) if time is not None), default=None)
