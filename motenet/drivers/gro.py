"""GRO: TCP segments that follow each other without a gap become one, whatever the card, over IPv4 and IPv6.

Segments join when everything but length, identification, sequence number and checksums is equal: addresses, ports,
type of service or traffic class (with their congestion marks), flow label, time to live, acknowledgement, window and
options (timestamps, too). A segment that tells more than data (SYN, FIN, RST, URG, ECE, CWR) stays alone, and so does
one behind IPv4 options or IPv6 extension headers; PSH ends a train. So the first segment's headers speak for all.
"""

from struct import Struct
from typing import NamedTuple, TypeAlias

Fields: TypeAlias = tuple[bytes, int, bytes, bytes, int, int, int, int]
"""Start, length, kind (protocol and hops among it), addresses and ports; TCP's sequence number, acknowledgement, data
offset with flags, window. Start, kind and addresses are equal in a flow."""


class _Family(NamedTuple):
    """Where Ethernet, IP and TCP without options have their fields."""

    headers: Struct
    origin: int
    """The length counts bytes from here."""


_V4 = _Family(Struct(">16sH2x4s2x12sIIHH4x"), 14)  # RFC 791, 3.1: total length
_V6 = _Family(Struct(">18sH2s36sIIHH4x"), 14 + 40)  # RFC 8200, 3: payload length
_IPV4_WITHOUT_OPTIONS, _IPV6 = b"\x08\x00\x45", b"\x86\xdd"
_UNFRAGMENTED = (b"\x00\x00", b"\x40\x00")
_TCP, _TCP_LENGTH = 6, 20
_FLAGS_BEFORE_END = 7
"""TCP's byte of flags, from the end of its header without options (RFC 9293, 3.1)."""
_PSH, _ACK = 0x08, 0x10
_FLAGS = 0x01FF
_MOST_BYTES = 0xFFFF
"""A train stays below what one packet's length could tell, as if it had been one."""


class Train:
    """A segment to which others may be joined. It lives only within one call of a driver's `receive`."""

    __slots__ = (
        "_acknowledgement",
        "_ends",
        "_fixed",
        "_kind",
        "_offset",
        "_options",
        "_origin",
        "_start",
        "_unpack",
        "_window",
        "frame",
        "next",
        "room",
    )

    def __init__(self, frame: memoryview, family: _Family, fields: Fields) -> None:
        start, length, kind, ends, sequence, acknowledgement, flags, window = fields
        headers, self._origin = family
        fixed = headers.size
        begin = fixed - _TCP_LENGTH + (flags >> 12) * 4
        self.frame = frame
        self._unpack, self._fixed = headers.unpack_from, fixed
        self._start, self._kind, self._ends = start, kind, ends
        self._acknowledgement, self._window = acknowledgement, window
        self._offset = flags
        self._options = frame[fixed:begin] if begin > fixed else None
        self.next = (sequence + self._origin + length - begin) & 0xFFFFFFFF
        """The sequence number that continues the train."""
        self.room = _MOST_BYTES - length
        """Payload bytes that may still join."""

    def join(self, frame: memoryview) -> memoryview | None:
        """The payload of a verified frame that continues the train, or None when it does not.

        After a segment with PSH `room` is 0, and the first segment's headers carry the flag.
        """
        fixed = self._fixed
        if len(frame) < fixed:
            return None
        start, length, kind, ends, sequence, acknowledgement, flags, window = self._unpack(frame)
        if (
            sequence != self.next
            or ends != self._ends
            or flags & ~_PSH != self._offset
            or acknowledgement != self._acknowledgement
            or window != self._window
            or start != self._start
            or kind != self._kind
        ):
            return None
        begin = fixed - _TCP_LENGTH + (flags >> 12) * 4
        end = self._origin + length
        if not begin < end <= len(frame) or end - begin > self.room:
            return None
        if self._options is not None and frame[fixed:begin] != self._options:
            return None
        self.next = (sequence + end - begin) & 0xFFFFFFFF
        self.room -= end - begin
        if flags & _PSH:
            self.frame[fixed - _FLAGS_BEFORE_END] |= _PSH
            self.room = 0
        return frame[begin:end]


def train(frame: memoryview) -> Train | None:
    """A train that begins with this frame, whose checksums are verified; None when nothing may follow it."""
    family = _V6 if frame[12:14] == _IPV6 else _V4
    if len(frame) < family.headers.size:
        return None
    fields: Fields = family.headers.unpack_from(frame)
    _, length, kind, _, _, _, flags, _ = fields
    header = (flags >> 12) * 4
    begin = family.headers.size - _TCP_LENGTH + header
    if (
        flags & _FLAGS != _ACK
        or not (_is_tcp4(frame, kind) if family is _V4 else _is_tcp6(frame, kind))
        or header < _TCP_LENGTH
        or not begin < family.origin + length <= len(frame)
    ):
        return None
    return Train(frame, family, fields)


def _is_tcp4(frame: memoryview, kind: bytes) -> bool:
    """A whole IPv4 packet without options: fragment, hops, protocol."""
    return frame[12:15] == _IPV4_WITHOUT_OPTIONS and kind[3] == _TCP and kind[:2] in _UNFRAGMENTED


def _is_tcp6(frame: memoryview, kind: bytes) -> bool:
    """An IPv6 packet without extension headers: next header, hops."""
    return frame[14] >> 4 == 6 and kind[0] == _TCP
