"""TCP segments: header and options (RFC 9293, 3.1 and 3.2), sequence numbers (3.4)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from struct import Struct

from motenet.core.checksum import Buffer, ones_sum
from motenet.stack.wire import Malformed

HEADER_LENGTH = 20  # bytes without options

# RFC 9293, 3.1: control bits; ECE and CWR are RFC 3168's
FIN = 0x01
SYN = 0x02
RST = 0x04
PSH = 0x08
ACK = 0x10
URG = 0x20
ECE = 0x40
CWR = 0x80

MASK = 0xFFFF_FFFF
"""Sequence numbers on the wire are counted modulo 2**32."""
_HALF = 0x8000_0000

# RFC 9293, 3.2; RFC 7323, 2.2 and 3.2; RFC 2018, 2 and 3
_END, _NOP, _MSS, _WINDOW_SCALE, _SACK_PERMITTED, _SACK, _TIMESTAMPS = 0, 1, 2, 3, 4, 5, 8
MAX_SCALE = 14  # RFC 7323, 2.3
STAMPED_LENGTH = 32  # bytes of a header whose only option is timestamps
_NOP_NOP_STAMPS = 0x0101_080A  # RFC 7323, appendix A: NOP, NOP, kind 8, length 10

_HEADER = Struct(">HHIIHHHH")
_PAIR = Struct(">II")
_MARKED = Struct(">III")


@dataclass(slots=True)
class Segment:
    """A segment, as numbers. `seq` and `ack` are those of the wire, `window` is not yet scaled."""

    source_port: int
    destination_port: int
    seq: int
    ack: int
    flags: int
    window: int
    urgent: int = 0
    mss: int | None = None
    window_scale: int | None = None
    sack_permitted: bool = False
    sack: tuple[tuple[int, int], ...] = ()
    """Blocks of received data, (left edge, right edge) each."""
    timestamps: tuple[int, int] | None = None
    """TSval and TSecr."""
    payload: list[Buffer] = field(default_factory=list)
    """The data in consecutive pieces, never copied here."""
    payload_length: int = 0
    segment_size: int = 0
    """Above zero: the card is to cut the payload into segments of so many bytes."""
    ce: bool = False
    """On the way in: a router has marked the packet, Congestion Experienced (RFC 3168, 5)."""
    ect: bool = False
    """On the way out: the packet is to tell routers that they may, ECT(0)."""

    @property
    def length(self) -> int:
        """SEG.LEN: the sequence numbers that the segment takes, SYN and FIN included."""
        return self.payload_length + (self.flags >> 1 & 1) + (self.flags & 1)


def unwrap(number: int, near: int) -> int:
    """The integer that `number` modulo 2**32 stands for: of all that fit, the one nearest to `near`.

    Within the stack sequence numbers never wrap, so that the RFC's comparisons are Python's.
    """
    return near + ((number - near + _HALF) & MASK) - _HALF


def precedes(earlier: int, later: int) -> bool:
    """Whether `earlier` comes before `later` on the circle of 2**32 numbers (RFC 9293, 3.4; RFC 7323, 5.2)."""
    return (earlier - later) & _HALF != 0


def parse(data: memoryview, pseudo_sum: int | None = None, more: Sequence[Buffer] = ()) -> Segment:
    """A segment from an IP packet's payload; its own payload are views of `data`, followed by `more` (GRO).

    `pseudo_sum` is the pseudo-header's sum; None says that the card has verified the checksum.
    Raises Malformed. Options that are unknown or of illegal length are passed over (RFC 9293, MUST-6 and MUST-7).
    """
    total = len(data)
    if total < HEADER_LENGTH:
        raise Malformed("tcp-truncated")
    source, destination, seq, ack, offset_and_flags, window, _, urgent = _HEADER.unpack_from(data)
    header = offset_and_flags >> 10 & 0x3C
    if header < HEADER_LENGTH or header > total:
        raise Malformed("tcp-offset")
    if pseudo_sum is not None and ones_sum(data, pseudo_sum) != 0xFFFF:
        raise Malformed("tcp-checksum")
    segment = Segment(source, destination, seq, ack, offset_and_flags & 0xFF, window, urgent)
    if header != HEADER_LENGTH:
        if header == STAMPED_LENGTH:
            mark, stamp, echo = _MARKED.unpack_from(data, HEADER_LENGTH)
            if mark == _NOP_NOP_STAMPS:
                segment.timestamps = (stamp, echo)
            else:
                _parse_options(segment, bytes(data[HEADER_LENGTH:header]))
        else:
            _parse_options(segment, bytes(data[HEADER_LENGTH:header]))
    length = total - header
    if length:
        segment.payload.append(data[header:])
    for piece in more:
        segment.payload.append(piece)
        length += len(piece)
    segment.payload_length = length
    return segment


def _parse_options(segment: Segment, options: bytes) -> None:
    """RFC 9293, 3.1: a list of (kind) or (kind, length, data), in any alignment (MUST-64)."""
    position, end = 0, len(options)
    while position < end:
        kind = options[position]
        if kind == _END:
            return
        if kind == _NOP:
            position += 1
            continue
        length = options[position + 1] if position + 1 < end else 0
        if length < 2 or position + length > end:
            return  # MUST-7: an illegal length; nothing behind it can be trusted
        _parse_option(segment, kind, options[position + 2 : position + length])
        position += length


def _parse_option(segment: Segment, kind: int, value: bytes) -> None:
    if kind == _MSS and len(value) == 2:
        segment.mss = int.from_bytes(value, "big")
    elif kind == _WINDOW_SCALE and len(value) == 1:
        segment.window_scale = value[0]
    elif kind == _SACK_PERMITTED and not value:
        segment.sack_permitted = True
    elif kind == _SACK and value and len(value) % 8 == 0:
        segment.sack = tuple((left, right) for left, right in _PAIR.iter_unpack(value))
    elif kind == _TIMESTAMPS and len(value) == 8:
        stamp, echo = _PAIR.unpack(value)
        segment.timestamps = (stamp, echo)


def _options(segment: Segment) -> bytes:
    """The options, each padded in front with NOPs to whole words."""
    parts = []
    if segment.flags & SYN:  # MUST-65; RFC 7323, 2.2; RFC 2018, 2: these three on a SYN only
        if segment.mss is not None:
            parts.append(bytes((_MSS, 4)) + segment.mss.to_bytes(2, "big"))
        if segment.window_scale is not None:
            parts.append(bytes((_NOP, _WINDOW_SCALE, 3, segment.window_scale)))
        if segment.sack_permitted:
            parts.append(bytes((_NOP, _NOP, _SACK_PERMITTED, 2)))
    if segment.timestamps is not None:
        parts.append(_NOP_NOP_STAMPS.to_bytes(4, "big") + _PAIR.pack(*segment.timestamps))
    if segment.sack:
        parts.append(bytes((_NOP, _NOP, _SACK, 2 + 8 * len(segment.sack))))
        parts.extend(_PAIR.pack(left, right) for left, right in segment.sack)
    return b"".join(parts)


def header_length(segment: Segment) -> int:
    """Bytes of header and options that `emit_header` will write."""
    length = HEADER_LENGTH
    if segment.timestamps is not None:
        length += 12
    if segment.flags & SYN:
        length += 4 * (segment.mss is not None) + 4 * (segment.window_scale is not None) + 4 * segment.sack_permitted
    if segment.sack:
        length += 4 + 8 * len(segment.sack)
    return length


def emit_header(segment: Segment, buffer: memoryview, pseudo_sum: int, checksum: bool = True) -> int:
    """Write header and options to the start of `buffer`; returns their length.

    `checksum`: compute it here, over header and payload. Otherwise the card does, and finds `pseudo_sum` in its place.
    """
    field_ = 0 if checksum else pseudo_sum
    stamps = segment.timestamps
    plain = not (segment.flags & SYN or segment.sack)
    if plain and stamps is None:
        length = HEADER_LENGTH
    elif plain and stamps is not None:
        length = STAMPED_LENGTH
        _MARKED.pack_into(buffer, HEADER_LENGTH, _NOP_NOP_STAMPS, stamps[0], stamps[1])
    else:
        options = _options(segment)
        length = HEADER_LENGTH + len(options)
        buffer[HEADER_LENGTH:length] = options
    _HEADER.pack_into(
        buffer, 0, segment.source_port, segment.destination_port, segment.seq, segment.ack,
        length << 10 | segment.flags, segment.window, field_, segment.urgent,
    )  # fmt: skip
    if checksum:
        value = _sum(buffer[:length], segment.payload, pseudo_sum) ^ 0xFFFF
        buffer[16] = value >> 8
        buffer[17] = value & 0xFF
    return length


def _sum(header: memoryview, payload: list[Buffer], pseudo_sum: int) -> int:
    """The one's complement sum over all pieces; one that starts at an odd offset counts with its bytes swapped."""
    total = ones_sum(header, pseudo_sum)
    odd = False
    for piece in payload:
        part = ones_sum(piece)
        total += (part & 0xFF) << 8 | part >> 8 if odd else part
        odd ^= bool(len(piece) & 1)
    return (total - 1) % 0xFFFF + 1 if total else 0
