"""The Internet Protocol, version 6 (RFC 8200): the header, and the extension headers that hosts process."""

from dataclasses import dataclass
from struct import Struct

from motenet.stack.wire import Malformed

_HEADER = Struct("!IHBB16s16s")
HEADER_LENGTH = _HEADER.size
MINIMUM_MTU = 1280
"""Of every link (RFC 8200, 5)."""

# IANA, Protocol Numbers: the Next Header field (RFC 8200, 4)
HOP_BY_HOP = 0
TCP = 6
UDP = 17
ROUTING = 43
FRAGMENT = 44
AUTHENTICATION = 51
ICMP = 58
NO_NEXT_HEADER = 59
DESTINATION = 60

DEFAULT_HOP_LIMIT = 64
"""IANA's recommended default, which Router Advertisements may change (RFC 4861, 6.3.2)."""

# RFC 4443, 3.4 and RFC 7112, 5: the code of the Parameter Problem that answers what is refused here
ERRONEOUS_FIELD = 0
UNRECOGNIZED_NEXT_HEADER = 1
UNRECOGNIZED_OPTION = 2
INCOMPLETE_CHAIN = 3

MAXIMUM_EXTENSIONS = 8
"""Extension headers of a packet: RFC 8504, 5.3 lets a host have limits; RFC 8200, 4.1 wants seven at most."""
MAXIMUM_OPTIONS = 8
"""Options of an extension header, padding not counted (RFC 8504, 5.3)."""
MAXIMUM_PADDING = 7
"""Bytes of padding in a row, all that alignment can need (RFC 8504, 5.3)."""

_PAD_1, _PAD_N, _ROUTER_ALERT = 0, 1, 5  # RFC 8200, 4.2; RFC 2711, 2.1
_EXTENSIONS = frozenset((HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION))
_CHAIN = _EXTENSIONS | {AUTHENTICATION}

_FRAGMENT = Struct("!BxHI")
FRAGMENT_LENGTH = _FRAGMENT.size

_UPPER_LAYER = {TCP: 20, UDP: 8, ICMP: 8}  # bytes of the headers, without options


class Refused(Malformed):
    """A packet whose sender is to be told with a Parameter Problem (RFC 4443, 3.4)."""

    def __init__(self, reason: str, code: int, pointer: int, multicast: bool = False) -> None:
        super().__init__(reason)
        self.code = code
        self.pointer = pointer
        """The offset in the packet of what is wrong."""
        self.multicast = multicast
        """Told even if the packet went to a group (RFC 4443, 2.4 (e.3))."""
        self.packet = b""
        """The packet that it is about, without Ethernet's padding."""


@dataclass(slots=True)
class Packet:
    """A packet as received: what its headers say, and the payload without Ethernet's padding."""

    source: bytes
    destination: bytes
    protocol: int
    """The upper layer's, behind the extension headers; of a fragment: what its Fragment header names."""
    hop_limit: int
    tos: int
    """The traffic class."""
    flow: int
    """The flow label, 20 bits."""
    ident: int
    """The Fragment header's, 32 bits; 0 without one."""
    offset: int
    """Where a fragment's payload belongs, in bytes."""
    more: bool
    fragmented: bool
    """A Fragment header was there."""
    header: memoryview
    """Everything before the payload."""
    payload: memoryview
    protocol_at: int
    """The offset in the packet of the field that names `protocol`: where a Parameter Problem points."""
    router_alert: bool

    @property
    def is_fragment(self) -> bool:
        """Whether more belongs to the packet than this; an atomic fragment is whole (RFC 6946, 4)."""
        return self.more or self.offset != 0


def parse_header(view: memoryview) -> Packet:
    """Read the header alone, as a router does (RFC 8200, 4 and 4.3): extension headers count as payload."""
    if len(view) < HEADER_LENGTH:
        raise Malformed("ipv6-short")
    first, length, protocol, hop_limit, source, destination = _HEADER.unpack_from(view)
    if first >> 28 != 6:
        raise Malformed("ipv6-version")
    end = HEADER_LENGTH + length
    if end > len(view):
        raise Malformed("ipv6-length")
    return Packet(
        source, destination, protocol, hop_limit, first >> 20 & 0xFF, first & 0xFFFFF, 0, 0, False, False,
        view[:HEADER_LENGTH], view[HEADER_LENGTH:end], 6, False,
    )  # fmt: skip


def parse(view: memoryview) -> Packet:
    """Read a packet that is for us, extension headers included.

    Malformed is dropped silently, Refused is answered. Jumbograms (RFC 2675) are refused: their option is unknown here.
    """
    packet = parse_header(view)
    if packet.protocol in _EXTENSIONS:
        whole = view[: HEADER_LENGTH + len(packet.payload)]
        try:
            _extensions(packet, whole)
        except Refused as refusal:
            refusal.packet = bytes(whole)
            raise
    return packet


def _extensions(packet: Packet, whole: memoryview) -> None:
    """RFC 8200, 4: the headers "must be processed strictly in the order they appear"; a fragment's rest comes later."""
    position, count = HEADER_LENGTH, 0
    while packet.protocol in _EXTENSIONS and not packet.is_fragment:
        count += 1
        if count > MAXIMUM_EXTENSIONS:
            raise Malformed("ipv6-extension-limit")
        if len(whole) < position + 8:
            raise Malformed("ipv6-extension-short")
        kind, end = packet.protocol, position + 8
        if kind == FRAGMENT:
            _fragment(packet, whole, position)
        else:
            end += whole[position + 1] * 8
            if len(whole) < end:
                raise Malformed("ipv6-extension-short")
            if kind == ROUTING:
                _routing(whole, position)
            elif kind == HOP_BY_HOP and position != HEADER_LENGTH:
                raise Refused("ipv6-hop-by-hop-place", UNRECOGNIZED_NEXT_HEADER, packet.protocol_at)  # RFC 8200, 4
            else:
                _options(packet, whole, position, end)
        packet.protocol, packet.protocol_at = whole[position], position
        position = end
    packet.header, packet.payload = whole[:position], whole[position:]


def _fragment(packet: Packet, whole: memoryview, position: int) -> None:
    """RFC 8200, 4.5: 13 bits of offset in units of 8 bytes, two reserved bits, and "more fragments"."""
    protocol, place, packet.ident = _FRAGMENT.unpack_from(whole, position)
    packet.offset, packet.more, packet.fragmented = place & 0xFFF8, bool(place & 1), True
    if packet.more and not packet.offset:
        protocol, at = _upper_layer(whole, protocol, position + FRAGMENT_LENGTH)
        if protocol in _CHAIN or at + _UPPER_LAYER.get(protocol, 0) > len(whole):
            raise Refused("ipv6-incomplete-chain", INCOMPLETE_CHAIN, 0)


def _routing(whole: memoryview, position: int) -> None:
    """RFC 8200, 4.4: of a type that we do not know, and that has no more segments, the header is ignored.

    We know none: type 0 is to be treated so (RFC 5095, 3), and the others are for routers and mobile nodes.
    """
    if whole[position + 3]:
        raise Refused("ipv6-routing-type", ERRONEOUS_FIELD, position + 2)


def _options(packet: Packet, whole: memoryview, position: int, end: int) -> None:
    """RFC 8200, 4.2: type, length, value; with the limits of RFC 8504, 5.3."""
    hop_by_hop = packet.protocol == HOP_BY_HOP
    position += 2
    count = padding = 0
    while position < end:
        kind = whole[position]
        length = 1 if kind == _PAD_1 else 2 + whole[position + 1] if position + 1 < end else 0x100
        if position + length > end:
            raise Malformed("ipv6-option-length")
        if kind in (_PAD_1, _PAD_N):
            padding += length
            if any(whole[position + 2 : position + length]):
                raise Malformed("ipv6-padding")  # RFC 8200, 4.2: zeros; RFC 4942, 2.1.9.5: else a hidden channel
        else:
            padding, count = 0, count + 1
            if kind == _ROUTER_ALERT and hop_by_hop and length == 4:
                packet.router_alert = True
            else:
                _unrecognized(kind, position)
        if padding > MAXIMUM_PADDING or count > MAXIMUM_OPTIONS:
            raise Malformed("ipv6-option-limit")
        position += length


def _unrecognized(kind: int, position: int) -> None:
    """RFC 8200, 4.2: the highest two bits of the option's type say what is to be done."""
    action = kind >> 6
    if action == 1:
        raise Malformed("ipv6-option")
    if action:
        raise Refused("ipv6-option", UNRECOGNIZED_OPTION, position, multicast=action == 2)


def _upper_layer(packet: memoryview, protocol: int, position: int) -> tuple[int, int]:
    """The upper layer's protocol and offset, processing nothing; where the packet ends earlier, what is named last."""
    while protocol in _CHAIN and position + 8 <= len(packet):
        if protocol == AUTHENTICATION:
            length = (packet[position + 1] + 2) * 4  # RFC 4302, 2.2
        elif protocol != FRAGMENT:
            length = (packet[position + 1] + 1) * 8
        elif packet[position + 2] or packet[position + 3] & 0xF8:
            return packet[position], len(packet)  # not the first fragment: the upper layer's header is in another
        else:
            length = FRAGMENT_LENGTH
        protocol, position = packet[position], position + length
    return protocol, position


def emit(
    view: memoryview,
    source: bytes,
    destination: bytes,
    protocol: int,
    length: int,
    hop_limit: int = DEFAULT_HOP_LIMIT,
    tos: int = 0,
    flow: int = 0,
) -> int:
    """Write a header into 40 bytes; `length` is that of all that follows, in bytes.

    Returns the pseudo-header's sum (RFC 8200, 8.1) for an upper layer that follows at once: its parts are at hand.
    """
    _HEADER.pack_into(view, 0, 6 << 28 | tos << 20 | flow, length, protocol, hop_limit, source, destination)
    return (int.from_bytes(source, "big") + int.from_bytes(destination, "big") + protocol + length - 1) % 0xFFFF + 1


def fragment_header(protocol: int, offset: int, more: bool, ident: int) -> bytes:
    """A Fragment header (RFC 8200, 4.5); `offset` in bytes, a multiple of 8."""
    return _FRAGMENT.pack(protocol, offset | more, ident)


def router_alert_header(protocol: int) -> bytes:
    """A Hop-by-Hop Options header that asks routers to look into the packet (RFC 2711, 2.1: value 0 says MLD)."""
    return bytes((protocol, 0, _ROUTER_ALERT, 2, 0, 0, _PAD_N, 0))


@dataclass(slots=True)
class Quote:
    """The packet that an ICMP error quotes: whose it was, and the first bytes of the upper layer."""

    source: bytes
    destination: bytes
    protocol: int
    payload: memoryview


def parse_quote(view: memoryview) -> Quote:
    """Read what an ICMPv6 error carries: "as much of invoking packet as possible" (RFC 4443, 3.1).

    The payload is empty where the upper layer's header is not in the quote, or was in another fragment.
    """
    if len(view) < HEADER_LENGTH:
        raise Malformed("icmp-quote-short")
    first, _, protocol, _, source, destination = _HEADER.unpack_from(view)
    if first >> 28 != 6:
        raise Malformed("icmp-quote-short")
    protocol, position = _upper_layer(view, protocol, HEADER_LENGTH)
    return Quote(source, destination, protocol, view[position:])
