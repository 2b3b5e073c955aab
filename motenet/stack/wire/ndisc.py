"""Neighbor Discovery for IPv6 over Ethernet (RFC 4861, 4), with the DNS options of RFC 8106.

Each message is a record that an ICMPv6 message is parsed into, and made from. Times are as on the wire: seconds where
nothing else is said.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from struct import Struct
from typing import TypeAlias

from motenet.core.checksum import Buffer
from motenet.stack.address import is_link_local, is_multicast, is_unspecified, solicited_node
from motenet.stack.wire import Malformed, icmpv6
from motenet.stack.wire.dns import Name, emit_name, name_length, parse_name

HOP_LIMIT = 255
"""RFC 4861, 11.2: a message with this hop limit comes from the link itself."""
INFINITY = 0xFFFF_FFFF
"""A lifetime without end (RFC 4861, 4.6.2; RFC 8106, 5.1)."""

# RFC 4861, 4.6; RFC 3971, 5.3.2; RFC 8106, 5.1 and 5.2
_SOURCE_MAC, _TARGET_MAC, _PREFIX, _REDIRECTED, _MTU, _NONCE, _SERVERS, _SEARCH = 1, 2, 3, 4, 5, 14, 25, 31

_MANAGED, _OTHER = 0x80, 0x40  # RFC 4861, 4.2
_PREFERENCES = (0, 1, 0, -1)
"""RFC 4191, 2.1 and 2.2: the field's values in order; 10 is reserved and means medium."""
_ROUTER, _SOLICITED, _OVERRIDE = 1 << 31, 1 << 30, 1 << 29  # RFC 4861, 4.4
_ON_LINK, _AUTONOMOUS = 0x80, 0x40  # RFC 4861, 4.6.2

_ADVERTISED = Struct("!II")
_PREFIX_OPTION = Struct("!BBBBII4x16s")
_LONG_OPTION = Struct("!BBxxI")


@dataclass(slots=True)
class Prefix:
    """A Prefix Information option (RFC 4861, 4.6.2)."""

    prefix: bytes
    """16 bytes, of which `length` bits count."""
    length: int
    on_link: bool
    autonomous: bool
    """Addresses may be made from it (RFC 4862, 5.5.3)."""
    valid: int
    preferred: int


@dataclass(slots=True)
class Servers:
    """Recursive DNS servers (RFC 8106, 5.1)."""

    lifetime: int
    addresses: list[bytes]


@dataclass(slots=True)
class SearchList:
    """DNS search domains (RFC 8106, 5.2)."""

    lifetime: int
    domains: list[Name]


@dataclass(slots=True)
class RouterSolicitation:
    """RFC 4861, 4.1."""

    source_mac: bytes = b""
    """Here and below: the option's link-layer address, empty without one."""


@dataclass(slots=True)
class RouterAdvertisement:
    """RFC 4861, 4.2."""

    hop_limit: int
    """0: this router does not say."""
    managed: bool
    other: bool
    lifetime: int
    """Of the router as a default router; 0: it is none."""
    reachable: int
    """In ms; 0: this router does not say."""
    retransmit: int
    """In ms; 0: this router does not say."""
    source_mac: bytes = b""
    mtu: int | None = None
    prefixes: list[Prefix] = field(default_factory=list)
    servers: list[Servers] = field(default_factory=list)
    search: list[SearchList] = field(default_factory=list)
    preference: int = 0
    """Among default routers: 1 high, 0 medium, -1 low (RFC 4191, 2.1)."""


@dataclass(slots=True)
class NeighborSolicitation:
    """RFC 4861, 4.3."""

    target: bytes
    source_mac: bytes = b""
    nonce: bytes = b""
    """To be known again by who sent it (RFC 7527, 4.1; RFC 3971, 5.3.2); empty without one."""


@dataclass(slots=True)
class NeighborAdvertisement:
    """RFC 4861, 4.4."""

    target: bytes
    router: bool
    solicited: bool
    override: bool
    target_mac: bytes = b""


@dataclass(slots=True)
class Redirect:
    """RFC 4861, 4.5."""

    target: bytes
    """The better first hop, or the destination itself if that is a neighbor."""
    destination: bytes
    target_mac: bytes = b""
    redirected: Buffer = b""
    """The first bytes of the packet that was sent the wrong way."""


Record: TypeAlias = RouterSolicitation | RouterAdvertisement | NeighborSolicitation | NeighborAdvertisement | Redirect
_Options: TypeAlias = list[tuple[int, bytes]]


# --- reading


def parse(message: icmpv6.Message) -> Record:
    """Read a message; Malformed if its code, its length or an option's length is wrong.

    Options that are unknown, or not for this message, are passed over (RFC 4861, 6.1 and 7.1).
    """
    reader = _READERS.get(message.type)
    if reader is None:
        raise Malformed("ndisc-type")
    if message.code:
        raise Malformed("ndisc-code")
    read, least = reader
    if len(message.payload) < least:
        raise Malformed("ndisc-short")
    payload = bytes(message.payload)
    return read(message.word, payload, list(_options(payload[least:])))


def _options(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Each option's type and bytes (RFC 4861, 4.6: "MUST silently discard ... an option with length zero")."""
    position = 0
    while position < len(data):
        length = data[position + 1] * 8 if position + 1 < len(data) else 0
        if not length or position + length > len(data):
            raise Malformed("ndisc-option-length")
        yield data[position], data[position : position + length]
        position += length


def _mac(options: _Options, wanted: int) -> bytes:
    """A link-layer address option's Ethernet address (RFC 2464, 6); one of another length is no address of Ethernet."""
    for kind, option in options:
        if kind == wanted and len(option) == 8:
            return option[2:8]
    return b""


def _router_solicitation(word: int, payload: bytes, options: _Options) -> Record:
    return RouterSolicitation(_mac(options, _SOURCE_MAC))


def _router_advertisement(word: int, payload: bytes, options: _Options) -> Record:
    flags = word >> 16 & 0xFF
    reachable, retransmit = _ADVERTISED.unpack_from(payload)
    record = RouterAdvertisement(
        word >> 24, bool(flags & _MANAGED), bool(flags & _OTHER), word & 0xFFFF, reachable, retransmit,
        _mac(options, _SOURCE_MAC), preference=_PREFERENCES[flags >> 3 & 3],
    )  # fmt: skip
    for kind, option in options:
        if kind == _PREFIX and len(option) == _PREFIX_OPTION.size:
            _, _, length, flags, valid, preferred, prefix = _PREFIX_OPTION.unpack(option)
            if length <= 128:
                on_link, autonomous = bool(flags & _ON_LINK), bool(flags & _AUTONOMOUS)
                record.prefixes.append(Prefix(prefix, length, on_link, autonomous, valid, preferred))
        elif kind == _MTU and len(option) == 8:
            record.mtu = _LONG_OPTION.unpack(option)[2]
        elif kind == _SERVERS and len(option) >= 24 and len(option) % 16 == 8:
            addresses = [option[at : at + 16] for at in range(8, len(option), 16)]
            record.servers.append(Servers(_LONG_OPTION.unpack_from(option)[2], addresses))
        elif kind == _SEARCH and len(option) >= 16:
            domains = _domains(option[8:])
            if domains:
                record.search.append(SearchList(_LONG_OPTION.unpack_from(option)[2], domains))
    return record


def _neighbor_solicitation(word: int, payload: bytes, options: _Options) -> Record:
    nonce = next((option[2:] for kind, option in options if kind == _NONCE), b"")
    return NeighborSolicitation(payload[:16], _mac(options, _SOURCE_MAC), nonce)


def _neighbor_advertisement(word: int, payload: bytes, options: _Options) -> Record:
    flags = bool(word & _ROUTER), bool(word & _SOLICITED), bool(word & _OVERRIDE)
    return NeighborAdvertisement(payload[:16], *flags, _mac(options, _TARGET_MAC))


def _redirect(word: int, payload: bytes, options: _Options) -> Record:
    redirected = next((option[8:] for kind, option in options if kind == _REDIRECTED), b"")
    return Redirect(payload[:16], payload[16:32], _mac(options, _TARGET_MAC), redirected)


_READERS: dict[int, tuple[Callable[[int, bytes, _Options], Record], int]] = {
    icmpv6.ROUTER_SOLICITATION: (_router_solicitation, 0),
    icmpv6.ROUTER_ADVERTISEMENT: (_router_advertisement, 8),
    icmpv6.NEIGHBOR_SOLICITATION: (_neighbor_solicitation, 16),
    icmpv6.NEIGHBOR_ADVERTISEMENT: (_neighbor_advertisement, 16),
    icmpv6.REDIRECT: (_redirect, 32),
}
"""Type -> what reads it, and the least bytes behind the first eight (RFC 4861, 6.1, 7.1 and 8.1)."""


def _domains(data: bytes) -> list[Name]:
    """RFC 8106, 5.2: names as in RFC 1035, 3.1, not compressed, then zeros; nothing if they are not so."""
    names, view, position = [], memoryview(data), 0
    while position < len(data) and data[position]:
        try:
            name, end = parse_name(view, position)
        except Malformed:
            return []
        if name_length(name) != end - position:
            return []
        names.append(name)
        position = end
    return names


def check(record: Record, hop_limit: int, source: bytes, destination: bytes, fragmented: bool = False) -> None:
    """Malformed unless the message may have come in such a packet (RFC 4861, 6.1.1, 6.1.2, 7.1.1, 7.1.2, 8.1).

    What remains for the receiver: whether it is a router, and whether a Redirect's source is the first hop in use.
    """
    if fragmented:
        raise Malformed("ndisc-fragmented")  # RFC 6980, 5
    if hop_limit != HOP_LIMIT:
        raise Malformed("ndisc-hop-limit")
    mac = record.target_mac if isinstance(record, NeighborAdvertisement | Redirect) else record.source_mac
    if mac and mac[0] & 1:
        raise Malformed("ndisc-mac")  # a group's is no station's, as in ARP (RFC 1812, 3.3.2)
    if isinstance(record, RouterAdvertisement | Redirect):
        if not is_link_local(source):
            raise Malformed("ndisc-source")
    elif isinstance(record, RouterSolicitation | NeighborSolicitation) and is_unspecified(source):
        to_group = destination == solicited_node(destination)
        if record.source_mac or (isinstance(record, NeighborSolicitation) and not to_group):
            raise Malformed("ndisc-source")
    if isinstance(record, NeighborSolicitation | NeighborAdvertisement) and is_multicast(record.target):
        raise Malformed("ndisc-target")
    if isinstance(record, NeighborAdvertisement) and record.solicited and is_multicast(destination):
        raise Malformed("ndisc-solicited")
    if isinstance(record, Redirect):
        if is_multicast(record.destination):
            raise Malformed("ndisc-destination")
        if record.target != record.destination and not is_link_local(record.target):
            raise Malformed("ndisc-target")


# --- writing


def emit(record: Record) -> icmpv6.Message:
    """The message that says so."""
    if isinstance(record, RouterSolicitation):
        return icmpv6.Message(icmpv6.ROUTER_SOLICITATION, 0, 0, _mac_option(_SOURCE_MAC, record.source_mac))
    if isinstance(record, RouterAdvertisement):
        return _emit_advertisement(record)
    if isinstance(record, NeighborSolicitation):
        payload = record.target + _mac_option(_SOURCE_MAC, record.source_mac)
        if record.nonce:
            payload += bytes((_NONCE, (2 + len(record.nonce)) // 8)) + record.nonce
        return icmpv6.Message(icmpv6.NEIGHBOR_SOLICITATION, 0, 0, payload)
    if isinstance(record, NeighborAdvertisement):
        flags = _ROUTER * record.router | _SOLICITED * record.solicited | _OVERRIDE * record.override
        payload = record.target + _mac_option(_TARGET_MAC, record.target_mac)
        return icmpv6.Message(icmpv6.NEIGHBOR_ADVERTISEMENT, 0, flags, payload)
    payload = record.target + record.destination + _mac_option(_TARGET_MAC, record.target_mac)
    if record.redirected:
        payload += _long_option(_REDIRECTED, 0, bytes(record.redirected))
    return icmpv6.Message(icmpv6.REDIRECT, 0, 0, payload)


def _emit_advertisement(record: RouterAdvertisement) -> icmpv6.Message:
    flags = _MANAGED * record.managed | _OTHER * record.other | (record.preference & 3) << 3
    word = record.hop_limit << 24 | flags << 16 | record.lifetime
    parts = [_ADVERTISED.pack(record.reachable, record.retransmit), _mac_option(_SOURCE_MAC, record.source_mac)]
    if record.mtu is not None:
        parts.append(_long_option(_MTU, record.mtu))
    for prefix in record.prefixes:
        flags = _ON_LINK * prefix.on_link | _AUTONOMOUS * prefix.autonomous
        parts.append(
            _PREFIX_OPTION.pack(_PREFIX, 4, prefix.length, flags, prefix.valid, prefix.preferred, prefix.prefix)
        )
    parts += [_long_option(_SERVERS, servers.lifetime, b"".join(servers.addresses)) for servers in record.servers]
    parts += [
        _long_option(_SEARCH, search.lifetime, b"".join(map(emit_name, search.domains))) for search in record.search
    ]
    return icmpv6.Message(icmpv6.ROUTER_ADVERTISEMENT, 0, word, b"".join(parts))


def _mac_option(kind: int, mac: bytes) -> bytes:
    """RFC 4861, 4.6.1; RFC 2464, 6."""
    return bytes((kind, 1)) + mac if mac else b""


def _long_option(kind: int, number: int, data: bytes = b"") -> bytes:
    """An option of two reserved bytes, a 32-bit number and data, which is padded with zeros to units of 8 bytes."""
    units = 1 + -(-len(data) // 8)
    return _LONG_OPTION.pack(kind, units, number) + data + bytes(-len(data) % 8)
