"""The Internet Protocol, version 4 (RFC 791)."""

from dataclasses import dataclass
from struct import Struct

from motenet.core.checksum import Buffer, ones_sum
from motenet.stack.wire import Malformed

_HEADER = Struct("!BBHHHBBH4s4s")
HEADER_LENGTH = _HEADER.size
_WORDS = Struct("!HHHHHH4s4s")
MAXIMUM_LENGTH = 0xFFFF

ICMP = 1
TCP = 6
UDP = 17

DONT_FRAGMENT = 0x4000
MORE_FRAGMENTS = 0x2000
FRAGMENT_OFFSET = 0x1FFF
"""In units of 8 bytes (RFC 791, 3.1)."""

DEFAULT_HOP_LIMIT = 64
"""The Assigned Numbers RFC's recommended time to live (RFC 1122, 3.2.1.7 wants it configurable)."""

_NO_OPTIONS = 0x45
_FRAGMENT = MORE_FRAGMENTS | FRAGMENT_OFFSET


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


def parse(view: memoryview, verify: bool = True) -> Packet:
    """Read a packet; Malformed unless version, lengths and checksum (if `verify`) hold (RFC 1122, 3.2.1.1-2)."""
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
    return Packet(source, destination, protocol, hop_limit, ident, flags, tos, header, view[length:total])


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
) -> int:
    """Write a header without options and its checksum into 20 bytes; `length` is the payload's, in bytes.

    Returns the pseudo-header's sum for the transport (RFC 9293, 3.1), since its parts are at hand.
    """
    addresses = int.from_bytes(source, "big") + int.from_bytes(destination, "big")
    total = HEADER_LENGTH + length
    first, time_and_protocol = _NO_OPTIONS << 8 | tos, hop_limit << 8 | protocol
    checksum = 0xFFFE - (first + total + ident + flags + time_and_protocol + addresses - 1) % 0xFFFF
    _WORDS.pack_into(view, 0, first, total, ident, flags, time_and_protocol, checksum, source, destination)
    return (addresses + protocol + length - 1) % 0xFFFF + 1


@dataclass(slots=True)
class Quote:
    """The packet that an ICMP error quotes: its header's fields, and the first bytes of what followed."""

    source: bytes
    destination: bytes
    protocol: int
    payload: Buffer


def parse_quote(view: memoryview) -> Quote:
    """Read what an ICMP error carries: a header, and as much as the sender gave (RFC 792; RFC 1122, 3.2.2)."""
    if len(view) < HEADER_LENGTH:
        raise Malformed("icmp-quote-short")
    first, _, _, _, _, _, protocol, _, source, destination = _HEADER.unpack_from(view)
    length = (first & 15) * 4
    if first >> 4 != 4 or not HEADER_LENGTH <= length <= len(view):
        raise Malformed("icmp-quote-short")
    return Quote(source, destination, protocol, view[length:])
