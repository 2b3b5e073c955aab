"""Checksums put into frames, and TCP segmentation, as cards do it on the way out (8254x 3.5, 3.6)."""

from dataclasses import dataclass
from struct import Struct
from typing import TypeAlias

from motenet.core.checksum import ones_sum
from motenet.devices.parts import gso
from motenet.doors import FrameFacts

Buffer: TypeAlias = bytes | bytearray | memoryview

_SHORT = Struct(">H")
_WORD = Struct(">I")
_IP_FIELDS = Struct(">5H")  # from byte 2: total length, identification, fragment, TTL and protocol, checksum
_TCP_FIELDS = Struct(">I5sB2H")  # from byte 4: sequence, acknowledgment and offset, flags, window, checksum

SHORTEST = 60
"""IEEE 802.3, 4.2.3.3: shorter frames are padded."""
_UDP_CHECKSUM = 6
"""RFC 768: where the field lies in the header."""
PSH_FIN = 0x09
"""TCP's flags that only the last segment carries (8254x 3.5.9)."""


def insert_checksum(frame: bytearray, start: int, offset: int, end: int, *, zero_is_none: bool = False) -> bool:
    """Store at `offset` the checksum of the bytes from `start` up to `end`, inclusive (0: to the frame's last).

    The field itself is summed too: it holds the pseudo-header's sum. `zero_is_none`: a zero becomes 0xFFFF, as UDP
    wants (RFC 768). Returns False, and changes nothing, if the frame has no such bytes (8254x 3.6).
    """
    length = len(frame)
    stop = end + 1 if end and end < length else length
    if start >= stop or offset + 2 > length:
        return False
    value = ones_sum(memoryview(frame)[start:stop]) ^ 0xFFFF
    if not value and zero_is_none:
        value = 0xFFFF
    _SHORT.pack_into(frame, offset, value)
    return True


@dataclass(slots=True)
class Segmentation:
    """How a large TCP frame over IPv4 is to be cut: offsets in bytes from the frame's start."""

    header: int
    """Bytes of all headers."""
    mss: int
    ip: int
    """Where the IPv4 header starts (IPCSS)."""
    ip_end: int
    """Its last byte (IPCSE); 0: the frame's."""
    ip_checksum: int
    """Where its checksum lies (IPCSO)."""
    tcp: int
    """Where the TCP header starts (TUCSS)."""
    tcp_end: int
    """The last byte that its checksum covers (TUCSE); 0: the frame's."""
    tcp_checksum: int
    """Where its checksum lies (TUCSO); it holds the pseudo-header's sum without the length (8254x 3.5.5)."""
    insert_ip: bool = True
    insert_tcp: bool = True

    @property
    def valid(self) -> bool:
        """Whether all that has to be changed lies within the headers."""
        return (
            self.mss > 0
            and self.ip + 20 <= self.header
            and self.tcp + 20 <= self.header
            and self.ip_checksum + 2 <= self.header
            and self.tcp_checksum + 2 <= self.header
        )

    @property
    def regular(self) -> bool:
        """Whether it is the usual layout, for which sums can be shared among the segments."""
        return (
            self.ip_checksum == self.ip + 10
            and self.tcp >= self.ip + 20
            and self.tcp_checksum == self.tcp + 16
            and self.ip_end == self.tcp - 1
            and self.tcp_end == 0
            and not (self.tcp - self.ip) & 1
            and not (self.header - self.tcp) & 1
            and self.insert_ip
            and self.insert_tcp
        )


def segment(frame: Buffer, how: Segmentation) -> list[bytes]:
    """The frames that a large one is cut into; `how` must be valid. Without payload it is a single one."""
    return _segment_alike(frame, how) if how.regular else _segment_singly(frame, how)


def part(frame: Buffer, how: Segmentation, start: int, length: int) -> bytearray:
    """What is left of a large frame from byte `start` of its payload on, up to `length` bytes: one to be cut itself.

    `start` and `length` are multiples of the MSS, so that the segments come out as those of the whole.
    """
    piece = bytearray(frame[: how.header])
    payload = memoryview(frame)[how.header :]
    identification = _SHORT.unpack_from(piece, how.ip + 4)[0] + start // how.mss
    _SHORT.pack_into(piece, how.ip + 4, identification & 0xFFFF)
    _WORD.pack_into(piece, how.tcp + 4, _WORD.unpack_from(piece, how.tcp + 4)[0] + start & 0xFFFFFFFF)
    if start + length < len(payload):
        piece[how.tcp + 13] &= ~PSH_FIN
    return piece + payload[start : start + length]


def _segment_singly(frame: Buffer, how: Segmentation) -> list[bytes]:
    """Each segment's header is updated and summed for itself (8254x 3.5.9.1 to 3.5.9.3)."""
    prototype, payload = bytes(frame[: how.header]), memoryview(frame)[how.header :]
    identification = _SHORT.unpack_from(prototype, how.ip + 4)[0]
    sequence = _WORD.unpack_from(prototype, how.tcp + 4)[0]
    segments = []
    starts = range(0, len(payload), how.mss) or range(1)
    for number, start in enumerate(starts):
        piece = payload[start : start + how.mss]
        one = bytearray(prototype)
        one += piece
        _SHORT.pack_into(one, how.ip + 2, len(one) - how.ip & 0xFFFF)
        _SHORT.pack_into(one, how.ip + 4, identification + number & 0xFFFF)
        _WORD.pack_into(one, how.tcp + 4, sequence + start & 0xFFFFFFFF)
        if start + how.mss < len(payload):
            one[how.tcp + 13] &= ~PSH_FIN
        if how.insert_tcp:
            partial = _SHORT.unpack_from(one, how.tcp_checksum)[0] + len(one) - how.tcp
            _SHORT.pack_into(one, how.tcp_checksum, partial % 0xFFFF)
            insert_checksum(one, how.tcp, how.tcp_checksum, how.tcp_end)
        if how.insert_ip:
            insert_checksum(one, how.ip, how.ip_checksum, how.ip_end)
        segments.append(bytes(one))
    return segments


def _segment_alike(frame: Buffer, how: Segmentation) -> list[bytes]:
    """The same for the usual layout: what all headers have in common is summed once."""
    prototype, payload = bytearray(frame[: how.header]), memoryview(frame)[how.header :]
    ip, tcp, mss = how.ip, how.tcp, how.mss
    _, first_id, fragment, protocol, ip_check = _IP_FIELDS.unpack_from(prototype, ip + 2)
    sequence, acknowledgment, flags, window, tcp_check = _TCP_FIELDS.unpack_from(prototype, tcp + 4)
    early = flags & ~PSH_FIN
    # the checksum fields are summed too: they hold what the driver has put there (8254x 3.5.8)
    _IP_FIELDS.pack_into(prototype, ip + 2, 0, 0, fragment, protocol, ip_check)
    _TCP_FIELDS.pack_into(prototype, tcp + 4, 0, acknowledgment, 0, window, tcp_check)
    ip_common = ones_sum(prototype[ip:tcp])
    tcp_common = ones_sum(prototype[tcp:]) + how.header - tcp
    pack_ip, pack_tcp, join = _IP_FIELDS.pack_into, _TCP_FIELDS.pack_into, b"".join
    segments = []
    start, left = 0, len(payload)
    for number, payload_sum in enumerate(gso.payload_sums(payload, mss) or [0]):
        if left <= mss:
            mss, early = left, flags
        total = how.header - ip + mss & 0xFFFF
        this_id = first_id + number & 0xFFFF
        this = sequence + start & 0xFFFFFFFF
        check = ip_common + total + this_id
        pack_ip(prototype, ip + 2, total, this_id, fragment, protocol, -check % 0xFFFF if check else 0xFFFF)
        check = tcp_common + mss + (this >> 16) + (this & 0xFFFF) + early + payload_sum
        pack_tcp(prototype, tcp + 4, this, acknowledgment, early, window, -check % 0xFFFF if check else 0xFFFF)
        segments.append(join((prototype, payload[start : start + mss])))
        start += mss
        left -= mss
    return segments


def valid(frame: bytes, facts: FrameFacts) -> str:
    """Why what the sender left undone cannot be done; empty when it can."""
    if facts.segment_size:
        headers = gso.read(frame, facts)
        return headers if isinstance(headers, str) else ""
    if facts.checksum_offset and facts.checksum_start + facts.checksum_offset + 2 > len(frame):
        return f"a checksum at {facts.checksum_start}+{facts.checksum_offset} of {len(frame)} bytes"
    return ""


def complete(frame: bytes, facts: FrameFacts) -> list[bytes]:
    """What goes over a real cable for a frame whose sender left work to it: checksums inserted, segments cut.

    The last segment may be so short that it has to be padded. A frame for which all that cannot be done (see `valid`)
    stays as it is.
    """
    if facts.segment_size:
        headers = gso.read(frame, facts)
        if isinstance(headers, str):
            return [frame]
        return [one.ljust(SHORTEST, b"\0") for one in gso.cut(frame, facts, headers)]
    if facts.checksum_offset:
        whole = bytearray(frame)
        field = facts.checksum_start + facts.checksum_offset
        insert_checksum(whole, facts.checksum_start, field, 0, zero_is_none=facts.checksum_offset == _UDP_CHECKSUM)
        return [bytes(whole)]
    return [frame]
