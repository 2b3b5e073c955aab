"""GRO: TCP/IPv4 segments that follow each other without a gap become one, whatever the card.

Segments join when everything but length, identification, sequence number and checksums is equal: addresses, ports,
type of service, time to live, acknowledgement, window and options. A segment that tells more than data (SYN, FIN, RST,
URG, ECE, CWR) stays alone; PSH ends a train. So the first segment's headers speak for all of them.
"""

from struct import Struct

_HEADERS = Struct(">16sHH4sH12sIIHH4x")
"""Ethernet, IPv4 and TCP without options: what is equal in a flow, and between it total length, identification, header
checksum, sequence number, acknowledgement, data offset with flags, window."""

_FIXED = _HEADERS.size  # 14 + 20 + 20
_IP_START = 14
_ETHERTYPE_AND_VERSION = b"\x08\x00\x45"  # IPv4 without options (RFC 791 3.1)
_UNFRAGMENTED = (b"\x00\x00", b"\x40\x00")
_TCP = 6
_PSH, _ACK = 0x08, 0x10
_FLAGS = 0x01FF
_MOST_BYTES = 0xFFFF
"""A train stays below what an IPv4 packet could carry, as if it had been one."""

_unpack = _HEADERS.unpack_from


class Train:
    """A segment to which others may be joined. It lives only within one call of a driver's `receive`."""

    __slots__ = (
        "_acknowledgement",
        "_middle",
        "_offset",
        "_options",
        "_start",
        "_ttl",
        "_window",
        "frame",
        "next",
        "room",
    )

    def __init__(
        self, frame: memoryview, fields: tuple[bytes, int, int, bytes, int, bytes, int, int, int, int]
    ) -> None:
        start, total, _, ttl, _, middle, sequence, acknowledgement, flags, window = fields
        header = (flags >> 12) * 4
        payload = total - 20 - header
        self.frame = frame
        self._start, self._ttl, self._middle = start, ttl, middle
        self._acknowledgement, self._window = acknowledgement, window
        self._offset = flags
        self._options = frame[_FIXED : _IP_START + 20 + header] if header > 20 else None
        self.next = (sequence + payload) & 0xFFFFFFFF
        """The sequence number that continues the train."""
        self.room = _MOST_BYTES - total
        """Payload bytes that may still join."""

    def join(self, frame: memoryview) -> memoryview | None:
        """The payload of a verified frame that continues the train, or None when it does not.

        After a segment with PSH `room` is 0, and the first segment's headers carry the flag.
        """
        if len(frame) < _FIXED:
            return None
        start, total, _, ttl, _, middle, sequence, acknowledgement, flags, window = _unpack(frame)
        if (
            sequence != self.next
            or middle != self._middle
            or flags & ~_PSH != self._offset
            or acknowledgement != self._acknowledgement
            or window != self._window
            or start != self._start
            or ttl != self._ttl
        ):
            return None
        begin = _IP_START + 20 + (flags >> 12) * 4
        end = _IP_START + total
        if not begin < end <= len(frame) or end - begin > self.room:
            return None
        if self._options is not None and frame[_FIXED:begin] != self._options:
            return None
        self.next = (sequence + end - begin) & 0xFFFFFFFF
        self.room -= end - begin
        if flags & _PSH:
            self.frame[47] |= _PSH
            self.room = 0
        return frame[begin:end]


def train(frame: memoryview) -> Train | None:
    """A train that begins with this frame, whose checksums are verified; None when nothing may follow it."""
    if len(frame) < _FIXED or frame[12:15] != _ETHERTYPE_AND_VERSION:
        return None
    fields = _unpack(frame)
    flags, total, header = fields[8], fields[1], fields[8] >> 12
    if (
        flags & _FLAGS != _ACK
        or fields[3][3] != _TCP
        or fields[3][:2] not in _UNFRAGMENTED
        or header < 5
        or not 20 + header * 4 < total <= len(frame) - _IP_START
    ):
        return None
    return Train(frame, fields)
