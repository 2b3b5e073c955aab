"""The Internet Protocol, version 4 (RFC 791)."""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from motenet.core.checksum import Buffer, ones_sum
from motenet.stack.wire import Malformed

_HEADER = Struct("!BBHHHBBH4s4s")
HEADER_LENGTH = _HEADER.size
_WORDS = Struct("!HHHHHH4s4s")
MAXIMUM_LENGTH = 0xFFFF

ICMP = 1
IGMP = 2
TCP = 6
UDP = 17

DONT_FRAGMENT = 0x4000
MORE_FRAGMENTS = 0x2000
FRAGMENT_OFFSET = 0x1FFF
"""In units of 8 bytes (RFC 791, 3.1)."""

DEFAULT_HOP_LIMIT = 64
"""The Assigned Numbers RFC's recommended time to live (RFC 1122, 3.2.1.7 wants it configurable)."""

# IANA, IP Option Numbers: copied flag, class and number in one octet (RFC 791, 3.1; RFC 2113, 2.1)
END_OF_OPTIONS = 0
NO_OPERATION = 1
RECORD_ROUTE = 7
TIMESTAMP = 68
LOOSE_SOURCE_ROUTE = 131
STRICT_SOURCE_ROUTE = 137
ROUTER_ALERT = 148
COPIED = 0x80
"""The option goes into every fragment (RFC 791, 3.1)."""

ROUTER_ALERT_OPTION = bytes((ROUTER_ALERT, 4, 0, 0))
"""RFC 2113, 2.1: value 0, "Router shall examine packet"."""

_NO_OPTIONS = 0x45
_FRAGMENT = MORE_FRAGMENTS | FRAGMENT_OFFSET
_LEAST = {
    RECORD_ROUTE: (3, 4), LOOSE_SOURCE_ROUTE: (3, 4), STRICT_SOURCE_ROUTE: (3, 4), TIMESTAMP: (4, 5),
    ROUTER_ALERT: (4, 0),
}  # fmt: skip
"""RFC 791, 3.1; RFC 2113, 2.1: the least length, and the least pointer of an option that has one."""


class Refused(Malformed):
    """A packet whose sender may be told with a Parameter Problem, code 0 (RFC 792; RFC 1122, 3.2.2.5)."""

    def __init__(self, reason: str, pointer: int) -> None:
        super().__init__(reason)
        self.pointer = pointer
        """The offset in the header of what is wrong."""


@dataclass(slots=True)
class Packet:
    """A packet as received: the header's fields, and the payload without Ethernet's padding."""

    source: bytes
    destination: bytes
    protocol: int
    hop_limit: int
    ident: int
    flags: int
    """DONT_FRAGMENT, MORE_FRAGMENTS and the fragment offset, as they stand in the header."""
    tos: int
    header: memoryview
    """The header with its options."""
    payload: memoryview

    @property
    def is_fragment(self) -> bool:
        """Whether more belongs to the datagram than this packet."""
        return self.flags & _FRAGMENT != 0

    @property
    def offset(self) -> int:
        """Where a fragment's payload belongs, in bytes."""
        return (self.flags & FRAGMENT_OFFSET) * 8

    @property
    def more(self) -> bool:
        """More fragments follow."""
        return self.flags & MORE_FRAGMENTS != 0

    @property
    def router_alert(self) -> bool:
        """The sender asks routers to look into the packet (RFC 2113)."""
        return self.option(ROUTER_ALERT) is not None

    def option(self, wanted: int) -> bytes | None:
        """An option as it stands in the header, type and length included; None if it is not there."""
        for kind, position, length in options(self.header):
            if kind == wanted:
                return bytes(self.header[position : position + length])
        return None


def parse(view: memoryview, verify: bool = True, source_routes: bool = False) -> Packet:
    """Read a packet; Malformed unless version, lengths and checksum (if `verify`) hold (RFC 1122, 3.2.1.1-2).

    Refused if an option is wrong. With `source_routes` a packet may have come by one, if it ends here.
    """
    available = len(view)
    if available < HEADER_LENGTH:
        raise Malformed("ipv4-short")
    first, tos, total, ident, flags, hop_limit, protocol, _, source, destination = _HEADER.unpack_from(view)
    length = HEADER_LENGTH
    if first != _NO_OPTIONS:
        if first >> 4 != 4:
            raise Malformed("ipv4-version")
        length = (first & 15) * 4
        if length < HEADER_LENGTH:
            raise Malformed("ipv4-header-length")
    if not length <= total <= available:
        raise Malformed("ipv4-length")
    header = view[:length]
    if verify and ones_sum(header) != 0xFFFF:
        raise Malformed("ipv4-checksum")
    if length != HEADER_LENGTH:
        _check_options(header, source_routes)
    return Packet(source, destination, protocol, hop_limit, ident, flags, tos, header, view[length:total])


def options(header: memoryview) -> Iterator[tuple[int, int, int]]:
    """Each option's type, offset in the header and length, without padding (RFC 791, 3.1). Refused if one is cut."""
    position, end = HEADER_LENGTH, len(header)
    while position < end:
        kind = header[position]
        if kind == END_OF_OPTIONS:
            return
        length = 1
        if kind != NO_OPERATION:
            length = header[position + 1] if position + 1 < end else 0
            if length < 2 or position + length > end:
                raise Refused("ipv4-option-length", min(position + 1, end - 1))
            yield kind, position, length
        position += length


def _check_options(header: memoryview, source_routes: bool) -> None:
    """RFC 1122, 3.2.1.8: what is not understood is passed over; what is must be sound.

    Source routes end here: RFC 7126, 4.3 and 4.4 advise to drop such packets, as Linux with accept_source_route=0 does.
    One that leads farther is never followed: a host need not (RFC 1122, 3.3.5).
    A record route or timestamp is no duty of a host (RFC 1122, 3.2.1.8 (d), (e)).
    """
    for kind, position, length in options(header):
        least_length, least_pointer = _LEAST.get(kind, (2, 0))
        if length < least_length:
            raise Refused("ipv4-option-length", position + 1)
        pointer = header[position + 2] if least_pointer else 0
        if pointer < least_pointer:
            raise Refused("ipv4-option-pointer", position + 2)
        if kind in (LOOSE_SOURCE_ROUTE, STRICT_SOURCE_ROUTE) and not (source_routes and pointer > length):
            raise Malformed("ipv4-source-route")


def copied_options(header: memoryview) -> bytes:
    """The options that go into every fragment, padded to whole words (RFC 791, 3.1)."""
    copied = b"".join(bytes(header[at : at + length]) for kind, at, length in options(header) if kind & COPIED)
    return copied + bytes(-len(copied) % 4)


def fragments(packet: memoryview, mtu: int) -> Iterator[bytes]:
    """Cut a packet, which may be a fragment itself, so that each piece is at most `mtu` bytes (RFC 791, 3.2).

    `packet` is one that parse() has accepted, `mtu` at least 68 (RFC 791, 3.2: what every link takes).
    """
    first, tos, total, ident, flags, hop_limit, protocol, _, source, destination = _HEADER.unpack_from(packet)
    length = (first & 15) * 4
    position, extra = length, bytes(packet[HEADER_LENGTH:length])
    copied = copied_options(packet[:length])
    offset, kept = flags & FRAGMENT_OFFSET, flags & ~FRAGMENT_OFFSET
    while position < total:
        size = total - position
        more = 0
        if HEADER_LENGTH + len(extra) + size > mtu:
            size, more = (mtu - HEADER_LENGTH - len(extra)) & ~7, MORE_FRAGMENTS
        piece = bytearray(HEADER_LENGTH + len(extra) + size)
        emit(
            memoryview(piece), source, destination, protocol, size, hop_limit, ident, kept | more | offset, tos, extra
        )  # fmt: skip
        piece[-size:] = packet[position : position + size]
        yield bytes(piece)
        position, offset, extra = position + size, offset + size // 8, copied


def emit(
    view: memoryview,
    source: bytes,
    destination: bytes,
    protocol: int,
    length: int,
    hop_limit: int = DEFAULT_HOP_LIMIT,
    ident: int = 0,
    flags: int = 0,
    tos: int = 0,
    extra: Buffer = b"",
) -> int:
    """Write a header and its checksum into 20 bytes, and `extra` (options, whole words) behind it.

    `length` is the payload's, in bytes. Returns the pseudo-header's sum for the transport (RFC 9293, 3.1), since its
    parts are at hand.
    """
    addresses = int.from_bytes(source, "big") + int.from_bytes(destination, "big")
    words = addresses
    total = HEADER_LENGTH + length
    first, time_and_protocol = _NO_OPTIONS << 8 | tos, hop_limit << 8 | protocol
    if extra:
        total += len(extra)
        first += len(extra) << 6
        words += ones_sum(extra)
        view[HEADER_LENGTH : HEADER_LENGTH + len(extra)] = extra
    checksum = 0xFFFE - (first + total + ident + flags + time_and_protocol + words - 1) % 0xFFFF
    _WORDS.pack_into(view, 0, first, total, ident, flags, time_and_protocol, checksum, source, destination)
    return (addresses + protocol + length - 1) % 0xFFFF + 1


@dataclass(slots=True)
class Quote:
    """The packet that an ICMP error quotes: its header's fields, and the first bytes of what followed."""

    source: bytes
    destination: bytes
    protocol: int
    payload: Buffer
    """Empty where the packet was a fragment that is not the first: the upper layer's header was in another."""
    length: int = 0
    """The packet's total length, as its header says (RFC 1191, 5 guesses from it)."""


def parse_quote(view: memoryview) -> Quote:
    """Read what an ICMP error carries: a header, and as much as the sender gave (RFC 792; RFC 1122, 3.2.2)."""
    if len(view) < HEADER_LENGTH:
        raise Malformed("icmp-quote-short")
    first, _, total, _, flags, _, protocol, _, source, destination = _HEADER.unpack_from(view)
    length = (first & 15) * 4
    if first >> 4 != 4 or not HEADER_LENGTH <= length <= len(view):
        raise Malformed("icmp-quote-short")
    return Quote(source, destination, protocol, b"" if flags & FRAGMENT_OFFSET else view[length:], total)
