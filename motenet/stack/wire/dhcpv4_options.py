"""What DHCP's options mean (RFC 2132; 3442 classless routes; 3397 domain search; 3046 relay agents).

An Option reads and writes one value. `read` raises ValueError for what its clause does not allow.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from motenet.stack.address import Cidr
from motenet.stack.wire import Malformed
from motenet.stack.wire.dns import emit_name, parse_name

T = TypeVar("T")

INFINITY = 0xFFFF_FFFF
"""RFC 2131, 3.3: a lease that does not end."""

MINIMUM_MTU = 68
"""RFC 2132, 5.1."""
_MINIMUM_SIZE = 576  # RFC 2132, 9.10
_MAXIMUM_NAMES = 32  # a searchlist's; pointers could make thousands of long names out of one message


@dataclass(frozen=True, slots=True)
class Option(Generic[T]):
    """A code, and how its value is read from bytes and written."""

    code: int
    name: str
    read: Callable[[bytes], T]
    write: Callable[[T], bytes]


# --- values


def _check(allowed: bool) -> None:
    if not allowed:
        raise ValueError


def _number(code: int, name: str, size: int, least: int = 0) -> Option[int]:
    def read(data: bytes) -> int:
        value = int.from_bytes(data, "big")
        _check(len(data) == size and value >= least)
        return value

    return Option(code, name, read, lambda value: value.to_bytes(size, "big"))


def _read_address(data: bytes) -> bytes:
    _check(len(data) == 4)
    return data


def _address(code: int, name: str) -> Option[bytes]:
    return Option(code, name, _read_address, bytes)


def _read_addresses(data: bytes) -> tuple[bytes, ...]:
    _check(len(data) > 0 and len(data) % 4 == 0)
    return tuple(data[at : at + 4] for at in range(0, len(data), 4))


def _addresses(code: int, name: str) -> Option[tuple[bytes, ...]]:
    return Option(code, name, _read_addresses, b"".join)


def _read_text(data: bytes) -> str:
    """RFC 2132, 2: NVT ASCII; receivers are to be prepared for zeros at the end."""
    data = data.rstrip(b"\0")
    _check(len(data) > 0)
    return data.decode("ascii")  # UnicodeDecodeError is a ValueError


def _text(code: int, name: str) -> Option[str]:
    return Option(code, name, _read_text, str.encode)


def _octets(code: int, name: str, least: int = 1) -> Option[bytes]:
    def read(data: bytes) -> bytes:
        _check(len(data) >= least)
        return data

    return Option(code, name, read, bytes)


# --- a mask, as the length of a prefix


def _read_mask(data: bytes) -> int:
    """RFC 2132, 3.3; RFC 4632, 5.1: the ones of a mask are its leftmost bits."""
    mask = int.from_bytes(_read_address(data), "big")
    zeros = mask ^ 0xFFFF_FFFF
    _check(zeros & (zeros + 1) == 0)
    return mask.bit_count()


def _write_mask(prefix: int) -> bytes:
    return (0xFFFF_FFFF << 32 - prefix & 0xFFFF_FFFF).to_bytes(4, "big")


# --- routes

Routes = tuple[tuple[Cidr, bytes], ...]
"""A network and its router, each; the router 0.0.0.0 stands for the link itself (RFC 3442)."""


def _read_static_routes(data: bytes) -> Routes:
    """RFC 2132, 5.8: pairs of a destination, without a mask, and a router; the default route is none of them."""
    _check(len(data) > 0 and len(data) % 8 == 0)
    pairs = [(data[at : at + 4], data[at + 4 : at + 8]) for at in range(0, len(data), 8)]
    _check(all(any(destination) for destination, _ in pairs))
    return tuple((_classful(destination), router) for destination, router in pairs)


def class_prefix(address: bytes) -> int:
    """How many bits named the network when addresses had classes (RFC 791, 3.2)."""
    return 8 if address[0] < 128 else 16 if address[0] < 192 else 24


def _classful(destination: bytes) -> Cidr:
    cidr = Cidr(destination, class_prefix(destination))
    return cidr if cidr.network == destination else Cidr(destination, 32)


def _write_static_routes(routes: Routes) -> bytes:
    return b"".join(cidr.address + router for cidr, router in routes)


def _read_classless_routes(data: bytes) -> Routes:
    """RFC 3442: the prefix's length, as many bytes of the network as it needs, and the router."""
    routes: list[tuple[Cidr, bytes]] = []
    at = 0
    while at < len(data):
        prefix, start = data[at], at + 1
        end = start + (prefix + 7) // 8
        _check(prefix <= 32 and end + 4 <= len(data))
        # "the DHCP client MUST set to zero any bits in the subnet number where the corresponding bit in the mask is"
        cidr = Cidr(data[start:end].ljust(4, b"\0"), prefix)
        routes.append((Cidr(cidr.network, prefix), data[end : end + 4]))
        at = end + 4
    _check(len(routes) > 0)
    return tuple(routes)


def _write_classless_routes(routes: Routes) -> bytes:
    return b"".join(bytes((cidr.prefix,)) + cidr.network[: (cidr.prefix + 7) // 8] + router for cidr, router in routes)


# --- a searchlist


def _read_names(data: bytes) -> tuple[str, ...]:
    """RFC 3397, 2: names as in DNS; pointers count from the beginning of the value, its pieces joined."""
    names: list[str] = []
    at = 0
    while at < len(data) and len(names) < _MAXIMUM_NAMES:
        try:
            name, at = parse_name(memoryview(data), at)
        except Malformed as malformed:
            raise ValueError(malformed.reason) from None
        labels = [label.decode("ascii") for label in name]
        _check(len(labels) > 0 and all(label.isprintable() and not {".", " "} & {*label} for label in labels))
        names.append(".".join(labels))
    _check(len(names) > 0)
    return tuple(names)


def _write_names(names: tuple[str, ...]) -> bytes:
    return b"".join(emit_name(tuple(name.rstrip(".").encode("ascii").split(b"."))) for name in names)


# --- the options

SUBNET_MASK = Option(1, "subnet mask", _read_mask, _write_mask)
ROUTER = _addresses(3, "router")
DOMAIN_NAME_SERVER = _addresses(6, "domain name server")
HOST_NAME = _text(12, "host name")
DOMAIN_NAME = _text(15, "domain name")
INTERFACE_MTU = _number(26, "interface MTU", 2, MINIMUM_MTU)
BROADCAST_ADDRESS = _address(28, "broadcast address")
STATIC_ROUTES = Option(33, "static routes", _read_static_routes, _write_static_routes)
NTP_SERVERS = _addresses(42, "NTP servers")
REQUESTED_ADDRESS = _address(50, "requested IP address")
LEASE_TIME = _number(51, "IP address lease time", 4)
MESSAGE_TYPE = _number(53, "DHCP message type", 1)
SERVER_IDENTIFIER = _address(54, "server identifier")
PARAMETER_REQUEST_LIST = _octets(55, "parameter request list")
MESSAGE = _text(56, "message")
MAXIMUM_SIZE = _number(57, "maximum DHCP message size", 2, _MINIMUM_SIZE)
RENEWAL_TIME = _number(58, "renewal (T1) time", 4)
REBINDING_TIME = _number(59, "rebinding (T2) time", 4)
VENDOR_CLASS = _octets(60, "vendor class identifier")
CLIENT_IDENTIFIER = _octets(61, "client identifier", 2)
RELAY_INFORMATION = _octets(82, "relay agent information")
DOMAIN_SEARCH: Option[tuple[str, ...]] = Option(119, "domain search", _read_names, _write_names)
CLASSLESS_ROUTES = Option(121, "classless static routes", _read_classless_routes, _write_classless_routes)

AnyOption = (
    Option[bytes] | Option[int] | Option[str] | Option[tuple[bytes, ...]] | Option[tuple[str, ...]] | Option[Routes]
)

OPTIONS: tuple[AnyOption, ...] = (
    SUBNET_MASK, ROUTER, DOMAIN_NAME_SERVER, HOST_NAME, DOMAIN_NAME, INTERFACE_MTU, BROADCAST_ADDRESS, STATIC_ROUTES,
    NTP_SERVERS, REQUESTED_ADDRESS, LEASE_TIME, MESSAGE_TYPE, SERVER_IDENTIFIER, PARAMETER_REQUEST_LIST, MESSAGE,
    MAXIMUM_SIZE, RENEWAL_TIME, REBINDING_TIME, VENDOR_CLASS, CLIENT_IDENTIFIER, RELAY_INFORMATION, DOMAIN_SEARCH,
    CLASSLESS_ROUTES,
)  # fmt: skip
"""All options that are understood here."""


def client_identifier(mac: bytes) -> bytes:
    """The usual identifier of a client: its hardware's type and address (RFC 2132, 9.14)."""
    return b"\1" + mac
