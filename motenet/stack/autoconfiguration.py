"""How a host finds its routers and makes its addresses: RFC 4861, 6.3; RFC 4862, 5.5; RFC 8106."""

from typing import Any, ClassVar

from motenet.core.clock import FOREVER
from motenet.core.errors import ConfigurationError
from motenet.core.rng import Stream
from motenet.core.trace import HasNow, Watched
from motenet.core.units import MS, SECOND
from motenet.stack.address import Cidr, format_address, is_link_local, is_multicast
from motenet.stack.addressing import Addressing
from motenet.stack.detection import MAX_RTR_SOLICITATION_DELAY, Detection
from motenet.stack.neighbor import NeighborCache
from motenet.stack.routes import DEFAULT6, Routes
from motenet.stack.searches import Resolution
from motenet.stack.wire import ipv6
from motenet.stack.wire.dns import Name
from motenet.stack.wire.ndisc import INFINITY, Prefix, RouterAdvertisement

RTR_SOLICITATION_INTERVAL = 4 * SECOND
MAX_RTR_SOLICITATIONS = 3
"""RFC 4861, 10."""

TWO_HOURS = 2 * 3600 * SECOND
"""RFC 4862, 5.5.3 e: nobody can forge a shorter rest of an address's life."""

MAXIMUM_ROUTERS = 16
"""RFC 4861, 6.3.4: at least two, and SHOULD be more."""
MAXIMUM_PREFIXES = 16
MAXIMUM_ADDRESSES = 16
MAXIMUM_SERVERS = 16
"""RFC 8106, 5.3.1: at least three; of search domains, too."""

_LINK_LOCAL = bytes.fromhex("fe80000000000000")
"""RFC 4862, 5.3."""


def interface_identifier(mac: bytes) -> bytes:
    """The modified EUI-64 of an Ethernet address, 8 bytes (RFC 4291, appendix A; RFC 2464, 4)."""
    return bytes((mac[0] ^ 2, mac[1], mac[2], 0xFF, 0xFE, mac[3], mac[4], mac[5]))


class Autoconfiguration(Watched):
    """One interface's. It sends nothing itself: `due` says when a router solicitation is to go out."""

    STATE: ClassVar[tuple[str, ...]] = (
        *Watched.STATE, "accept_advertisements", "mac", "link_mtu", "solicit_at", "solicitations", "found", "disabled",
        "routers", "failed", "servers", "search", "hop_limit", "mtu", "managed", "other",
    )  # fmt: skip

    def __init__(
        self,
        clock: HasNow,
        stream: Stream,
        addressing: Addressing,
        routes: Routes,
        neighbors: NeighborCache,
        detection: Detection,
        interface: str = "",
        path: str = "autoconfiguration",
    ) -> None:
        super().__init__(clock, path)
        self.stream = stream
        self.addressing = addressing
        self.table = routes
        self.neighbors = neighbors
        self.detection = detection
        self.interface = interface
        self.accept_advertisements = True
        """Off for routers, which are not autoconfigured (RFC 4862, 1), but for their link-local addresses."""
        self.mac = b""
        """Our card's, from `start` on; before that nothing is made or obeyed."""
        self.link_mtu = 1500
        self.solicit_at: int | None = None
        self.solicitations = 0
        """Those sent since `start`."""
        self.found = False
        """A router has told of itself since then: those that were known before may be on another link."""
        self.disabled = False
        """Our link-local address is somebody else's: nothing can be done here (RFC 4862, 5.4.5)."""
        self.routers: dict[bytes, int] = {}
        """The default router list: until when each is one."""
        self.failed: dict[bytes, None] = {}
        """Addresses that were found to be somebody else's."""
        self.servers: dict[bytes, int] = {}
        """Recursive DNS servers, and until when each is one."""
        self.search: dict[Name, int] = {}
        """DNS search domains, as tuples of labels."""
        self.hop_limit = ipv6.DEFAULT_HOP_LIMIT
        """CurHopLimit (RFC 4861, 6.3.2)."""
        self.mtu = self.link_mtu
        """LinkMTU: what the device takes, or less."""
        self.managed = False
        """A router says that DHCPv6 gives addresses; `other`: that it gives other information (RFC 4861, 4.2)."""
        self.other = False

    # --- the host's beginning

    @property
    def link_local(self) -> bytes:
        """Our link-local address (RFC 4862, 5.3); whether it can be used yet, `addressing` knows."""
        return _LINK_LOCAL + interface_identifier(self.mac)

    def start(self, mac: bytes, link_mtu: int, now: int) -> None:
        """The interface comes up, or again: it gets its link-local address and asks for routers (RFC 4861, 6.3.7)."""
        self.mac, self.link_mtu, self.mtu = mac, link_mtu, link_mtu
        self.disabled = False
        self.failed.clear()
        if self.link_local not in self.addressing.entries:
            self._add(Cidr(self.link_local, 64), "link-local", FOREVER, FOREVER, now)
        self.solicitations, self.found = 0, False
        self.solicit_at = None
        if self.accept_advertisements:
            self.solicit_at = now + self.stream.between(0, MAX_RTR_SOLICITATION_DELAY)
        else:
            for router in list(self.routers):  # a router obeys none (RFC 4861, 6.2.7): Linux forgets them, too
                self.remove_router(router)

    def stop(self) -> None:
        """The interface goes down: no more questions."""
        self.solicit_at = None

    def due(self, now: int) -> bool:
        """Whether a router solicitation is to be sent now; sending it is counted as done."""
        if self.solicit_at is None or now < self.solicit_at:
            return False
        if self.solicitations >= MAX_RTR_SOLICITATIONS:
            self.solicit_at = None
            self.changed("routers", "no router answers")
            return False
        self.solicitations += 1
        last = self.solicitations >= MAX_RTR_SOLICITATIONS
        self.solicit_at = now + (MAX_RTR_SOLICITATION_DELAY if last else RTR_SOLICITATION_INTERVAL)
        if self.found:
            self.solicit_at = None
        return True

    def poll_at(self) -> int | None:
        """When `due` next has work, in ns."""
        return self.solicit_at

    def duplicate(self, address: bytes) -> None:
        """An address is somebody else's (RFC 4862, 5.4.5): it is not made again until the next `start`."""
        self.addressing.remove(address)
        self.failed[address] = None
        if len(self.failed) > 2 * MAXIMUM_ADDRESSES:
            del self.failed[next(iter(self.failed))]
        if self.mac and address == self.link_local:
            self.disabled = True
            self.solicit_at = None

    # --- router advertisements

    def heard_advertisement(self, source: bytes, record: RouterAdvertisement, now: int) -> Resolution | None:
        """Obey a checked router advertisement (RFC 4861, 6.3.4). Returns what waited for its sender."""
        if not self.accept_advertisements or self.disabled or not self.mac:
            return None
        resolution = self.neighbors.heard(source, record.source_mac or None, now, is_router=True)
        self._router(source, record, now)
        self.found = self.found or record.lifetime > 0
        if self.found and self.solicitations:
            self.solicit_at = None  # RFC 4861, 6.3.7: at least one solicitation is sent, then no more
        self.managed, self.other = record.managed, record.other
        self.hop_limit = record.hop_limit or self.hop_limit
        self.neighbors.adopt_times(record.reachable * MS, record.retransmit * MS)
        self.detection.retrans_timer = self.neighbors.retrans_timer
        if record.mtu is not None:
            if ipv6.MINIMUM_MTU <= record.mtu <= self.link_mtu:
                self.mtu = record.mtu
            else:
                self.drop("ra-mtu", str(record.mtu))
        for prefix in record.prefixes:
            self._prefix(prefix, now)
        self._names(record, now)
        return resolution

    def _router(self, source: bytes, record: RouterAdvertisement, now: int) -> None:
        self.routers = {router: until for router, until in self.routers.items() if until > now}
        if not record.lifetime:
            self.remove_router(source)
        elif source in self.routers or len(self.routers) < MAXIMUM_ROUTERS:
            if source not in self.routers:
                self.changed("routers", f"{format_address(source)} is one")
            until = self.routers[source] = now + record.lifetime * SECOND
            self.table.add(DEFAULT6, source, self.interface, until, "ra", record.preference)
        else:
            self.drop("ra-routers", format_address(source))

    def remove_router(self, address: bytes) -> None:
        """It is no router any more: nothing goes by way of it (RFC 4861, 6.3.5 and 7.3.3)."""
        if self.routers.pop(address, None) is not None:
            self.changed("routers", f"{format_address(address)} is none any more")
        way = (address, self.interface)
        for route in [route for route in self.table.table if (route.gateway, route.interface) == way]:
            if route.origin in ("ra", "redirect"):
                self.table.remove(route.network, address, route.origin, self.interface)

    def _prefix(self, prefix: Prefix, now: int) -> None:
        network = Cidr(prefix.prefix, prefix.length)
        if is_link_local(prefix.prefix) or is_multicast(prefix.prefix):
            return  # RFC 4861, 6.3.4 and RFC 4862, 5.5.3 b: silently ignored
        if prefix.on_link:
            self._on_link(Cidr(network.network, network.prefix), prefix.valid, now)
        if prefix.autonomous:
            self._autonomous(prefix, now)

    def _on_link(self, network: Cidr, valid: int, now: int) -> None:
        known = network in self.addressing.prefixes
        if valid and not known and len(self.addressing.prefixes) >= MAXIMUM_PREFIXES:
            self.drop("ra-prefixes", str(network))
        elif valid or known:
            self.addressing.add_prefix(network, _until(valid, now))

    def _autonomous(self, prefix: Prefix, now: int) -> None:
        """RFC 4862, 5.5.3 c to e."""
        if prefix.preferred > prefix.valid:
            self.drop("ra-lifetimes")
            return
        if prefix.length != 64 or not any(prefix.prefix[:8]):
            self.drop("ra-prefix-length")  # 5.5.3 d: with the identifier's 64 bits it must be 128
            return
        address = prefix.prefix[:8] + interface_identifier(self.mac)
        entry = self.addressing.entries.get(address)
        preferred_until, valid_until = _until(prefix.preferred, now), _until(prefix.valid, now)
        if entry is None:
            if prefix.valid and address not in self.failed:
                self._make(address, preferred_until, valid_until, now)
        elif entry.origin == "slaac":
            remaining = entry.valid_until - now
            if valid_until - now <= min(TWO_HOURS, remaining):
                valid_until = entry.valid_until if remaining <= TWO_HOURS else now + TWO_HOURS
            self.addressing.lifetimes(address, preferred_until, valid_until)

    def _make(self, address: bytes, preferred_until: int, valid_until: int, now: int) -> None:
        ours = [entry for entry in self.addressing.entries.values() if entry.origin == "slaac"]
        if len(ours) >= MAXIMUM_ADDRESSES:
            self.drop("ra-addresses", format_address(address))
        else:
            # RFC 5942, 4: an address says nothing of what is on the link; the prefix list does.
            self._add(Cidr(address, 128), "slaac", preferred_until, valid_until, now)

    def _add(self, cidr: Cidr, origin: str, preferred_until: int, valid_until: int, now: int) -> None:
        try:
            self.addressing.add(
                cidr, origin=origin, preferred_until=preferred_until, valid_until=valid_until, tentative=True
            )
        except ConfigurationError as error:
            self.drop("ra-address", str(error))
            return
        self.detection.begin(cidr.address, now)

    # --- DNS

    def _names(self, record: RouterAdvertisement, now: int) -> None:
        for option in record.servers:
            for server in option.addresses:
                if any(server) and not is_multicast(server):
                    _note(self.servers, server, _until(option.lifetime, now), now)
        for search in record.search:
            for name in search.domains:
                _note(self.search, name, _until(search.lifetime, now), now)

    def name_servers(self, now: int) -> list[bytes]:
        """The DNS servers that routers tell of and that are valid now, the first heard first (RFC 8106, 5.1)."""
        return [server for server, until in self.servers.items() if until > now]

    def search_domains(self, now: int) -> list[Name]:
        """The same of search domains (RFC 8106, 5.2)."""
        return [name for name, until in self.search.items() if until > now]


def _until(lifetime: int, now: int) -> int:
    return FOREVER if lifetime == INFINITY else now + lifetime * SECOND


def _note(table: dict[Any, int], key: Any, until: int, now: int) -> None:
    """RFC 8106, 6.1: the end of life is renewed; 0 ends it; where there is no room, what would end first goes."""
    for gone in [name for name, end in table.items() if end <= now]:
        del table[gone]
    if until <= now:
        table.pop(key, None)
        return
    if key not in table and len(table) >= MAXIMUM_SERVERS:
        del table[min(table, key=lambda name: table[name])]
    table[key] = until
