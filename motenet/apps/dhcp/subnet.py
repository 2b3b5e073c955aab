"""A network as a DHCP server's administrator describes it (RFC 2131, 4.2; the options are RFC 2132's)."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from motenet.core.errors import ConfigurationError
from motenet.core.units import SECOND, duration
from motenet.stack.address import ANY, Cidr, check_host_address, format_address, parse_address
from motenet.stack.wire import dhcpv4_options as options

T = TypeVar("T")

LARGEST_POOL = 65536
"""Addresses; each may have a record."""


class Subnet:
    """Which addresses a network's hosts get, for how long, and what they are told beside.

    `pool`: "10.0.0.100-10.0.0.199"; empty: only reservations. `reservations`: Ethernet address -> IP address.
    `routes`: network -> its router. `lease_time` None: for ever. ConfigurationError names what is wrong.
    """

    def __init__(
        self,
        network: str | Cidr,
        pool: str = "",
        *,
        routers: Sequence[str] = (),
        dns_servers: Sequence[str] = (),
        ntp_servers: Sequence[str] = (),
        domain: str = "",
        search: Sequence[str] = (),
        routes: Mapping[str, str] | None = None,
        mtu: int = 0,
        lease_time: str | int | None = "1h",
        reservations: Mapping[str, str] | None = None,
    ) -> None:
        self.network = _network(network)
        self.pool = self._range(pool) if pool else range(0)
        self.reservations = {_mac(mac): self._host(address) for mac, address in (reservations or {}).items()}
        self.lease_time = options.INFINITY if lease_time is None else _seconds(lease_time)
        """In seconds, as on the wire."""
        self.options: dict[int, bytes] = {}
        """What hosts may be told, by code."""
        self._tell(options.SUBNET_MASK, self.network.prefix)
        default = _addresses(routers)
        ways = [(_network(to), _addresses([router])[0]) for to, router in (routes or {}).items()]
        if ways:
            # RFC 3442: who understands classless routes ignores the Router option, and so learns of it here, too
            self._tell(options.CLASSLESS_ROUTES, (*ways, *((Cidr(ANY, 0), router) for router in default[:1])))
        self._tell(options.ROUTER, default)
        self._tell(options.DOMAIN_NAME_SERVER, _addresses(dns_servers))
        self._tell(options.DOMAIN_NAME, domain)
        self._tell(options.DOMAIN_SEARCH, tuple(_several(search)))
        self._tell(options.INTERFACE_MTU, mtu)
        self._tell(options.NTP_SERVERS, _addresses(ntp_servers))
        if self.network.broadcast is not None:
            self._tell(options.BROADCAST_ADDRESS, self.network.broadcast)

    def __str__(self) -> str:
        return str(self.network)

    def addresses(self) -> list[bytes]:
        """The pool's addresses that are nobody's reservation, in order."""
        reserved = frozenset(self.reservations.values())
        packed = (number.to_bytes(4, "big") for number in self.pool)
        return [address for address in packed if address not in reserved]

    def _range(self, text: str) -> range:
        first, dash, last = (part.strip() for part in text.partition("-"))
        if not dash:
            raise ConfigurationError(f"{text!r} is not a pool; write it like '10.0.0.100-10.0.0.199'")
        start, end = (int.from_bytes(self._host(address), "big") for address in (first, last))
        if not 0 <= end - start < LARGEST_POOL:
            raise ConfigurationError(f"the pool {text!r} has to have 1 to {LARGEST_POOL} addresses, lowest first")
        return range(start, end + 1)

    def _host(self, text: str) -> bytes:
        address = parse_address(text)
        if not self.network.contains(address):
            raise ConfigurationError(f"{text} is not in {self.network}: its hosts could not use it")
        return check_host_address(Cidr(address, self.network.prefix)).address

    def _tell(self, option: options.Option[T], value: T) -> None:
        """Have an option told, unless its value is empty or zero."""
        if not value:
            return
        try:
            data = option.write(value)
            option.read(data)
        except (ValueError, OverflowError):
            raise ConfigurationError(f"{value!r} cannot be a network's {option.name}") from None
        self.options[option.code] = data


def _network(text: str | Cidr) -> Cidr:
    given = Cidr.parse(text)
    if len(given.address) != 4:
        raise ConfigurationError(f"{given} is no IPv4 network, and DHCPv4 serves no other")
    return Cidr(given.network, given.prefix)


def _seconds(time: str | int) -> int:
    """A lease's time on the wire: what is longer than 32 bits can say is only just not infinite."""
    return min(max(duration(time) // SECOND, 1), options.INFINITY - 1)


def _several(texts: Sequence[str]) -> Sequence[str]:
    if isinstance(texts, str):
        raise ConfigurationError(f"{texts!r}: give a list, also if there is but one")
    return texts


def _addresses(texts: Sequence[str]) -> tuple[bytes, ...]:
    found = tuple(map(parse_address, _several(texts)))
    for address in found:
        if len(address) != 4:
            raise ConfigurationError(f"DHCPv4 cannot tell of {format_address(address)}: it is no IPv4 address")
    return found


def _mac(text: str) -> bytes:
    try:
        mac = bytes.fromhex(text.replace(":", " ").replace("-", " "))
    except ValueError:
        mac = b""
    if len(mac) != 6:
        raise ConfigurationError(f"{text!r} is not an Ethernet address; write it like '52:54:00:12:34:56'")
    return mac
