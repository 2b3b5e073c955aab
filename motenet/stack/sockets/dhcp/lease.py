"""What a DHCP server has given us, and for how long (RFC 2131, 2.2, 4.4.5)."""

from dataclasses import astuple, dataclass

from motenet.core.clock import FOREVER
from motenet.core.errors import ConfigurationError
from motenet.core.rng import Stream
from motenet.core.state import Plain
from motenet.core.units import MS, SECOND
from motenet.stack.address import ANY, Cidr, check_host_address, format_address
from motenet.stack.wire import Malformed
from motenet.stack.wire import dhcpv4_options as options
from motenet.stack.wire.dhcpv4 import Message

_FUZZ = 32
"""T1 comes earlier by up to this part of it.

RFC 2131, 4.4.5: T1 and T2 "SHOULD be chosen with some random 'fuzz' ..., to avoid synchronization" of clients.
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """An address and what belongs to it. Times are in ns, FOREVER if they never come."""

    address: Cidr
    server: bytes
    obtained_at: int
    """When we asked for it, from where its time counts."""
    renew_at: int
    """T1: from here on its server is asked to extend it."""
    rebind_at: int
    """T2: from here on any server is asked."""
    expires_at: int
    routers: tuple[bytes, ...] = ()
    """Default routers, the preferred first; none if `routes` say all (RFC 3442)."""
    routes: tuple[tuple[Cidr, bytes | None], ...] = ()
    """Networks, each with its router, or None if it is on the link."""
    dns_servers: tuple[bytes, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    """The domains to look for names in, in this order (RFC 3397)."""
    mtu: int = 0
    """The link's largest packet, in bytes; 0: as the card says."""

    def __str__(self) -> str:
        return f"{self.address} from {format_address(self.server)}"

    def save(self) -> Plain:
        """As a plain value."""
        return astuple(self)

    @classmethod
    def of(cls, state: Plain) -> "Lease":
        """From what `save` has given."""
        address, server, obtained_at, renew_at, rebind_at, expires_at, routers, routes, *rest = state
        ways = tuple((Cidr(*network), router) for network, router in routes)
        return cls(Cidr(*address), server, obtained_at, renew_at, rebind_at, expires_at, routers, ways, *rest)


def server_of(message: Message) -> bytes:
    """The server that has sent an offer, ACK or NAK; in each it MUST say so (RFC 2131, table 3)."""
    server = message.get(options.SERVER_IDENTIFIER)
    if server is None or not _is_host(Cidr(server, 32)):
        raise Malformed("dhcp-server")
    return server


def read_lease(message: Message, asked_at: int, stream: Stream) -> Lease:
    """The lease in an offer or ACK, in answer to what was sent at `asked_at` (ns). Malformed if we cannot use it."""
    prefix = message.get(options.SUBNET_MASK)
    if prefix is None:
        prefix = options.class_prefix(message.yiaddr)
    address = Cidr(message.yiaddr, prefix)
    if not _is_host(address):
        raise Malformed("dhcp-address")
    seconds = message.get(options.LEASE_TIME)
    if not seconds:
        raise Malformed("dhcp-lease-time")
    renew_at, rebind_at, expires_at = _times(message, seconds, asked_at, stream)
    routers, routes = _ways(message)
    return Lease(
        address,
        server_of(message),
        asked_at,
        renew_at,
        rebind_at,
        expires_at,
        routers,
        routes,
        _hosts(message.get(options.DOMAIN_NAME_SERVER)),
        message.get(options.DOMAIN_NAME) or "",
        message.get(options.DOMAIN_SEARCH) or (),
        message.get(options.INTERFACE_MTU) or 0,
    )


def _times(message: Message, seconds: int, asked_at: int, stream: Stream) -> tuple[int, int, int]:
    """RFC 2131, 4.4.5: T1 MUST be earlier than T2, and T2 than the end; by default, 0.5 and 0.875 of the time."""
    if seconds == options.INFINITY:
        return FOREVER, FOREVER, FOREVER
    length = seconds * SECOND
    t1 = (message.get(options.RENEWAL_TIME) or 0) * SECOND or length // 2
    t2 = (message.get(options.REBINDING_TIME) or 0) * SECOND or length * 7 // 8
    if not t1 < t2 < length:
        t1, t2 = length // 2, length * 7 // 8
    t1 -= stream.below(t1 // _FUZZ // MS + 1) * MS
    return asked_at + t1, asked_at + t2, asked_at + length


def _ways(message: Message) -> tuple[tuple[bytes, ...], tuple[tuple[Cidr, bytes | None], ...]]:
    """Routers and routes. RFC 3442: with classless routes, the Router and Static Routes options MUST be ignored."""
    routers = _hosts(message.get(options.ROUTER))
    routes = message.get(options.CLASSLESS_ROUTES)
    if routes is None:
        routes = message.get(options.STATIC_ROUTES) or ()
    else:
        routers = ()
    usable = [(network, None if router == ANY else router) for network, router in routes]
    return routers, tuple(way for way in usable if way[1] is None or _is_host(Cidr(way[1], 32)))


def _hosts(addresses: tuple[bytes, ...] | None) -> tuple[bytes, ...]:
    """Those that can be a host's."""
    return tuple(address for address in addresses or () if _is_host(Cidr(address, 32)))


def _is_host(cidr: Cidr) -> bool:
    try:
        check_host_address(cidr)
    except ConfigurationError:
        return False
    return True
