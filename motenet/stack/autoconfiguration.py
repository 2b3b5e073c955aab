"""How a host finds its routers and makes its addresses: RFC 4861, 6.3 and 8.3; RFC 4862, 5.5; RFC 8106."""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from motenet.core.errors import ConfigurationError
from motenet.core.rng import Stream
from motenet.core.trace import HasNow, Watched
from motenet.core.units import MS, SECOND
from motenet.stack.address import Cidr, format_address, is_multicast
from motenet.stack.detection import Detection
from motenet.stack.neighbor import NeighborCache, Resolution
from motenet.stack.wire.dns import Name
from motenet.stack.wire.ndisc import INFINITY, Prefix, Redirect, RouterAdvertisement

MAX_RTR_SOLICITATION_DELAY = 1 * SECOND
RTR_SOLICITATION_INTERVAL = 4 * SECOND
MAX_RTR_SOLICITATIONS = 3
"""RFC 4861, 10."""

TWO_HOURS = 2 * 3600 * SECOND
"""RFC 4862, 5.5.3 e: nobody can forge a shorter rest of an address's life."""
MINIMUM_MTU = 1280
"""RFC 8200, 5."""
HOP_LIMIT = 64
"""IANA's recommended default (RFC 4861, 6.3.2: CurHopLimit)."""
REDIRECT_LIFETIME = 600 * SECOND
"""RFC 4861 gives none; NetBSD's net.inet6.icmp6.redirtimeout."""

MAXIMUM_ROUTERS = 16
"""RFC 4861, 6.3.4: at least two, and SHOULD be more."""
MAXIMUM_PREFIXES = 16
MAXIMUM_ADDRESSES = 16
MAXIMUM_REDIRECTS = 64
MAXIMUM_SERVERS = 16
"""RFC 8106, 5.3.1: at least three; of search domains, too."""

FOREVER = 1 << 63

_DEFAULT = Cidr(bytes(16), 0)
_LINK_LOCAL = bytes.fromhex("fe80000000000000")
_LINK_LOCAL_NETWORK = Cidr(_LINK_LOCAL + bytes(8), 10)
"""RFC 4291, 2.5.6."""


def interface_identifier(mac: bytes) -> bytes:
    """The modified EUI-64 of an Ethernet address, 8 bytes (RFC 4291, appendix A; RFC 2464, 4)."""
    return bytes((mac[0] ^ 2, mac[1], mac[2], 0xFF, 0xFE, mac[3], mac[4], mac[5]))


class Entry(Protocol):
    """What an interface knows of one of its addresses."""

    origin: str
    valid_until: int


class Addressing(Protocol):
    """The interface's addresses, and the prefixes on its link."""

    prefixes: dict[Cidr, int]

    @property
    def entries(self) -> Mapping[bytes, Entry]: ...

    def add(self, address: Cidr, *, origin: str, preferred_until: int, valid_until: int, tentative: bool) -> None: ...

    def remove(self, address: bytes) -> None: ...

    def lifetimes(self, address: bytes, preferred_until: int, valid_until: int) -> None: ...

    def set_prefix(self, prefix: Cidr, valid_until: int) -> None: ...


class Routes(Protocol):
    """The node's routes."""

    def add(self, network: Cidr, gateway: bytes | None, interface: str, expires: int, origin: str) -> None: ...

    def remove(self, network: Cidr, gateway: bytes | None) -> None: ...


class Autoconfiguration(Watched):
    """One interface's. It sends nothing itself: `due` says when a router solicitation is to go out."""

    STATE: ClassVar[tuple[str, ...]] = (
        *Watched.STATE, "mac", "link_mtu", "solicit_at", "solicitations", "disabled", "routers", "redirects",
        "failed", "servers", "search", "hop_limit", "mtu", "managed", "other",
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
        self.accept_redirects = True
        """Off for routers (RFC 4861, 8.2)."""
        self.mac = b""
        self.link_mtu = 1500
        self.solicit_at: int | None = None
        self.solicitations = 0
        """Those sent since `start`."""
        self.disabled = False
        """Our link-local address is somebody else's: nothing can be done here (RFC 4862, 5.4.5)."""
        self.routers: dict[bytes, int] = {}
        """The default router list: until when each is one."""
        self.redirects: dict[bytes, tuple[bytes, int]] = {}
        """Destination -> (target, until when)."""
        self.failed: dict[bytes, None] = {}
        """Addresses that were found to be somebody else's."""
        self.servers: dict[bytes, int] = {}
        """Recursive DNS servers, and until when each is one."""
        self.search: dict[Name, int] = {}
        """DNS search domains, as tuples of labels."""
        self.hop_limit = HOP_LIMIT
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
        self.solicitations = 0
        if self.accept_advertisements:
            self.solicit_at = now + self.stream.below(MAX_RTR_SOLICITATION_DELAY + 1)

    def stop(self) -> None:
        """The interface goes down: no more questions."""
        self.solicit_at = None

    def due(self, now: int) -> bool:
        """Whether a router solicitation is to be sent now; sending it is counted as done."""
        for prefix in [prefix for prefix, until in self.addressing.prefixes.items() if until <= now]:
            self.addressing.set_prefix(prefix, 0)  # RFC 4861, 6.3.5
        if self.solicit_at is None or now < self.solicit_at:
            return False
        if self.solicitations >= MAX_RTR_SOLICITATIONS:
            self.solicit_at = None
            self.changed("routers", "no router answers")
            return False
        self.solicitations += 1
        last = self.solicitations >= MAX_RTR_SOLICITATIONS
        self.solicit_at = now + (MAX_RTR_SOLICITATION_DELAY if last else RTR_SOLICITATION_INTERVAL)
        if self.routers:
            self.solicit_at = None
        return True

    def poll_at(self) -> int | None:
        """When `due` next has work, in ns."""
        at = min((until for until in self.addressing.prefixes.values() if until < FOREVER), default=None)
        if self.solicit_at is None or (at is not None and at < self.solicit_at):
            return at
        return self.solicit_at

    def duplicate(self, address: bytes) -> None:
        """An address is somebody else's (RFC 4862, 5.4.5): it is not made again until the next `start`."""
        self.addressing.remove(address)
        self.failed[address] = None
        if len(self.failed) > 2 * MAXIMUM_ADDRESSES:
            del self.failed[next(iter(self.failed))]
        if address == self.link_local:
            self.disabled = True
            self.solicit_at = None

    # --- router advertisements

    def heard_advertisement(self, source: bytes, record: RouterAdvertisement, now: int) -> Resolution | None:
        """Obey a checked router advertisement (RFC 4861, 6.3.4). Returns what waited for its sender."""
        if not self.accept_advertisements or self.disabled:
            return None
        resolution = self.neighbors.heard(source, record.source_mac or None, now, is_router=True)
        self._router(source, record.lifetime, now)
        if record.lifetime and self.solicitations:
            self.solicit_at = None  # RFC 4861, 6.3.7: at least one solicitation is sent, then no more
        self.managed, self.other = record.managed, record.other
        self.hop_limit = record.hop_limit or self.hop_limit
        self.neighbors.adopt_times(record.reachable * MS, record.retransmit * MS)
        self.detection.retrans_timer = self.neighbors.retrans_timer
        if record.mtu is not None:
            if MINIMUM_MTU <= record.mtu <= self.link_mtu:
                self.mtu = record.mtu
            else:
                self.drop("ra-mtu", str(record.mtu))
        for prefix in record.prefixes:
            self._prefix(prefix, now)
        self._names(record, now)
        return resolution

    def _router(self, source: bytes, lifetime: int, now: int) -> None:
        self.routers = {router: until for router, until in self.routers.items() if until > now}
        if not lifetime:
            self.remove_router(source)
        elif source in self.routers or len(self.routers) < MAXIMUM_ROUTERS:
            if source not in self.routers:
                self.changed("routers", f"{format_address(source)} is one")
            until = self.routers[source] = now + lifetime * SECOND
            self.table.add(_DEFAULT, source, self.interface, until, "ra")
        else:
            self.drop("ra-routers", format_address(source))

    def remove_router(self, address: bytes) -> None:
        """It is no router any more: no default router, nor the target of a redirect (RFC 4861, 6.3.5 and 7.3.3)."""
        if self.routers.pop(address, None) is not None:
            self.table.remove(_DEFAULT, address)
            self.changed("routers", f"{format_address(address)} is none any more")
        self.forget_redirects(address)

    def forget_redirects(self, target: bytes) -> None:
        """This neighbor does not answer: what was redirected to it goes to a default router again."""
        for destination in [key for key, (gateway, _) in self.redirects.items() if gateway == target]:
            self._end_redirect(destination)

    def _prefix(self, prefix: Prefix, now: int) -> None:
        network = Cidr(prefix.prefix, prefix.length)
        if _LINK_LOCAL_NETWORK.contains(prefix.prefix) or is_multicast(prefix.prefix):
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
            self.addressing.set_prefix(network, _until(valid, now) if valid else 0)

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

    # --- redirects

    def heard_redirect(self, source: bytes, record: Redirect, hop: bytes | None, now: int) -> Resolution | None:
        """Obey a checked redirect (RFC 4861, 8.3). `hop`: the first hop to its destination so far, which alone may
        redirect (8.1). Returns what waited for its target.
        """
        if not self.accept_redirects or self.disabled:
            return None
        if source != hop:
            self.drop("redirect-source", format_address(source))
            return None
        on_link = record.target == record.destination
        if record.destination in self.redirects:
            self._end_redirect(record.destination)
        if len(self.redirects) >= MAXIMUM_REDIRECTS:
            self._end_redirect(next(iter(self.redirects)))
        until = now + REDIRECT_LIFETIME
        self.redirects[record.destination] = (record.target, until)
        gateway = None if on_link else record.target
        self.table.add(Cidr(record.destination, 128), gateway, self.interface, until, "redirect")
        self.changed("redirect", f"{format_address(record.destination)} via {format_address(record.target)}")
        return self.neighbors.heard(record.target, record.target_mac or None, now, None if on_link else True)

    def _end_redirect(self, destination: bytes) -> None:
        target, _ = self.redirects.pop(destination)
        self.table.remove(Cidr(destination, 128), None if target == destination else target)


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
