"""Large packets cut into those that a real cable takes: the kinds of doors.FrameFacts (virtio 5.1.6.2).

The headers are read from the frame itself: header_length is a hint only, which a driver may get wrong (5.1.6.2.1).
Nothing here raises, and nothing grows beyond bounds, whatever the frame and the facts are.
"""

import zlib
from collections.abc import Callable
from struct import Struct
from typing import NamedTuple, TypeAlias

import numpy as np

from motenet.core.checksum import ones_sum, pseudo_header_sum
from motenet.doors import TCP4, TCP6, UFO, USO, FrameFacts

LONGEST_HEADERS = 512
"""Bytes of all headers: each segment repeats them. Two tags, IPv6, 200 bytes of extensions and TCP's options fit."""
MOST_SEGMENTS = 8192
"""Packets out of one: 64 KiB in pieces of eight bytes."""
LONGEST_PACKET = 0xFFFF
"""RFC 791, 3.1: bytes that IP's total length can tell."""

_TAGS = (b"\x81\x00", b"\x88\xa8")  # IEEE 802.1Q
_TCP, _UDP, _FRAGMENT, _AUTHENTICATION, _ROUTING = 6, 17, 44, 51, 43
_EXTENSIONS = (0, _ROUTING, _AUTHENTICATION, 60, 135, 139, 140)  # RFC 7045, 4, less the fragment header and ESP
_PROTOCOLS = {TCP4: _TCP, TCP6: _TCP, UFO: _UDP, USO: _UDP}
_VERSIONS = {TCP4: (4,), TCP6: (6,), UFO: (4, 6), USO: (4, 6)}
_IP_SIZES = {4: 20, 6: 40}
_CHECKSUM_OFFSETS = {_TCP: 16, _UDP: 6}
_MORE_FRAGMENTS = 0x2000
_PARTIAL = 0x3FFF
"""RFC 791, 3.1: an offset, or more fragments behind this one."""
_PSH_FIN, _CWR = 0x09, 0x80

_SHORT = Struct(">H")
_IPV4 = Struct(">5H")  # from byte 2: total length, identification, fragment, TTL and protocol, checksum
_TCP_FIELDS = Struct(">I5sB2H")  # from byte 4: sequence, acknowledgment and offset, flags, window, checksum
_FRAGMENT_HEADER = Struct(">BxHI")  # RFC 8200, 4.5

WriteNetwork: TypeAlias = Callable[[int, int], None]
"""Puts the number of a segment, and how many bytes follow the IP header, into the prototype of all headers."""
WriteTransport: TypeAlias = Callable[[int, int, bool, int], None]
"""The same for TCP or UDP: where the segment starts, its length, whether it is the last, the sum of its payload."""


class Headers(NamedTuple):
    """Where the headers of a packet lie: offsets in bytes from the frame's start."""

    version: int
    ip: int
    extensions: int
    """End of what precedes a fragment header: of the IP header, and of what nodes on the way read (RFC 8200, 4.5)."""
    link: int
    """IPv6: the Next Header byte that tells what lies at `extensions`."""
    transport: int
    payload: int


def read(frame: bytes, facts: FrameFacts) -> Headers | str:
    """The headers of a packet that is to be cut as `facts` say; or why it cannot be."""
    kind = facts.segment_kind
    if kind not in _PROTOCOLS:
        return f"there is no kind {kind!r} of segmentation"
    at = 12
    while at < 20 and frame[at : at + 2] in _TAGS:
        at += 4
    ip = at + 2
    version = {b"\x08\x00": 4, b"\x86\xdd": 6}.get(frame[at:ip], 0)
    if version not in _VERSIONS[kind] or len(frame) < ip + _IP_SIZES[version] or frame[ip] >> 4 != version:
        return f"no whole IP header of the version that {kind} is for"
    headers = _read_ipv4(frame, ip, kind) if version == 4 else _read_ipv6(frame, ip, kind)
    if isinstance(headers, str):
        return headers
    return _misfit(frame, facts, headers) or headers


def _read_ipv4(frame: bytes, ip: int, kind: str) -> Headers | str:
    transport = ip + (frame[ip] & 15) * 4
    if transport < ip + 20 or frame[ip + 9] != _PROTOCOLS[kind]:
        return f"an IPv4 header of {transport - ip} bytes and protocol {frame[ip + 9]}; this is {kind}"
    if _SHORT.unpack_from(frame, ip + 6)[0] & _PARTIAL:
        return "a fragment"
    return Headers(4, ip, transport, 0, transport, _payload_at(frame, transport, _PROTOCOLS[kind]))


def _read_ipv6(frame: bytes, ip: int, kind: str) -> Headers | str:
    """RFC 8200, 4: along the chain of extension headers."""
    link, at = ip + 6, ip + 40
    first_link, unfragmentable = link, at
    while frame[link] in _EXTENSIONS and at + 8 <= len(frame):
        header = frame[link]
        size = 4 * frame[at + 1] + 8 if header == _AUTHENTICATION else 8 * frame[at + 1] + 8
        link, at = at, at + size
        if header == _ROUTING or (header == 0 and at - size == ip + 40):
            first_link, unfragmentable = link, at
    if frame[link] == _FRAGMENT:
        return "a fragment"
    if frame[link] != _PROTOCOLS[kind]:
        return f"the last header before the payload is {frame[link]}; this is {kind}"
    return Headers(6, ip, unfragmentable, first_link, at, _payload_at(frame, at, _PROTOCOLS[kind]))


def _payload_at(frame: bytes, transport: int, protocol: int) -> int:
    """Where the payload begins; beyond the frame if the header is not whole, or no header."""
    if protocol == _UDP:
        return transport + 8
    size = (frame[transport + 12] >> 4) * 4 if transport + 20 <= len(frame) else 0
    return transport + size if size >= 20 else len(frame) + 1


def _misfit(frame: bytes, facts: FrameFacts, headers: Headers) -> str:
    """What contradicts the facts, or would give too much."""
    kind, size = facts.segment_kind, facts.segment_size
    if headers.payload > len(frame):
        return f"no whole {kind} header"
    if headers.payload > LONGEST_HEADERS:
        return f"{headers.payload} bytes of headers; at most {LONGEST_HEADERS} can be repeated"
    offset = _CHECKSUM_OFFSETS[_PROTOCOLS[kind]]
    if facts.checksum_offset and (facts.checksum_start, facts.checksum_offset) != (headers.transport, offset):
        return f"the checksum at {facts.checksum_start}+{facts.checksum_offset} is not {kind}'s"
    if kind == UFO:
        if size < 8:
            return f"fragments are of eight bytes at least, not {size}"
        if len(frame) - headers.ip > LONGEST_PACKET:
            return f"{len(frame) - headers.ip} bytes are more than can be put together again"
        size &= ~7
    if size <= 0 or len(frame) - headers.payload > MOST_SEGMENTS * size:
        return f"{len(frame) - headers.payload} bytes in segments of {size} are more than {MOST_SEGMENTS}"
    return ""


def cut(frame: bytes, facts: FrameFacts, headers: Headers) -> list[bytes]:
    """The packets that a large one is cut into, with their checksums; `headers` are what `read` has found."""
    if facts.segment_kind == UFO:
        return _fragments(frame, facts, headers)
    prototype, payload = bytearray(frame[: headers.payload]), memoryview(frame)[headers.payload :]
    seed = _pseudo_sum(frame, facts, headers)
    network = _ipv4_writer(prototype, headers) if headers.version == 4 else _ipv6_writer(prototype, headers)
    if facts.segment_kind == USO:
        unsummed = not facts.checksum_offset and prototype[-2:] == b"\0\0"  # RFC 768: the sender computes none
        transport = _udp_writer(prototype, headers, seed, unsummed)
    else:
        transport = _tcp_writer(prototype, headers, seed, facts.ecn)
    repeated, mss, join = headers.payload - headers.transport, facts.segment_size, b"".join
    segments = []
    start, left = 0, len(payload)
    for number, payload_sum in enumerate(payload_sums(payload, mss) or [0]):
        length = mss if mss < left else left
        network(number, repeated + length)
        transport(start, length, length == left, payload_sum)
        segments.append(join((prototype, payload[start : start + length])))
        start += length
        left -= length
    return segments


def payload_sums(payload: memoryview, mss: int) -> list[int]:
    """The one's complement sum of each segment's payload, not folded; full ones all at once."""
    full = len(payload) // mss
    if mss & 3 or full < 2:
        return [ones_sum(payload[start : start + mss]) for start in range(0, len(payload), mss)]
    rows = np.frombuffer(payload, ">u2", full * mss >> 1).reshape(full, mss >> 1)
    sums: list[int] = rows.sum(axis=1, dtype=np.uint32).tolist()
    if full * mss < len(payload):
        sums.append(ones_sum(payload[full * mss :]))
    return sums


def _pseudo_sum(frame: bytes, facts: FrameFacts, headers: Headers) -> int:
    """The pseudo-header's sum without the length: as the driver has left it in the checksum field, or computed."""
    if facts.checksum_offset:
        field: int = _SHORT.unpack_from(frame, headers.transport + facts.checksum_offset)[0]
        return (field - (len(frame) - headers.transport)) % 0xFFFF
    at, size = (headers.ip + 12, 4) if headers.version == 4 else (headers.ip + 8, 16)
    addresses = frame[at : at + size], frame[at + size : at + 2 * size]
    return pseudo_header_sum(*addresses, _PROTOCOLS[facts.segment_kind], 0)


def _ipv4_writer(prototype: bytearray, headers: Headers) -> WriteNetwork:
    """RFC 791, 3.1: total length, an identification of its own for each packet, and the header checksum."""
    ip, size, pack = headers.ip, headers.transport - headers.ip, _IPV4.pack_into
    _, identification, fragment, protocol, _ = _IPV4.unpack_from(prototype, ip + 2)
    pack(prototype, ip + 2, 0, 0, fragment, protocol, 0)
    common = ones_sum(prototype[ip : ip + size])

    def write(number: int, length: int) -> None:
        total, this = size + length & 0xFFFF, identification + number & 0xFFFF
        pack(prototype, ip + 2, total, this, fragment, protocol, -(common + total + this) % 0xFFFF)

    return write


def _ipv6_writer(prototype: bytearray, headers: Headers) -> WriteNetwork:
    """RFC 8200, 3: the payload length, extension headers included."""
    at, extensions, pack = headers.ip + 4, headers.transport - headers.ip - 40, _SHORT.pack_into

    def write(number: int, length: int) -> None:
        pack(prototype, at, extensions + length & 0xFFFF)

    return write


def _tcp_writer(prototype: bytearray, headers: Headers, seed: int, ecn: bool) -> WriteTransport:
    """PSH and FIN belong to the last segment; with `ecn`, CWR to the first (RFC 3168, 6.1.2)."""
    at, size, pack = headers.transport + 4, headers.payload - headers.transport, _TCP_FIELDS.pack_into
    sequence, acknowledgment, flags, window, _ = _TCP_FIELDS.unpack_from(prototype, at)
    pack(prototype, at, 0, acknowledgment, 0, window, 0)
    common = ones_sum(prototype[headers.transport :]) + seed + size

    def write(start: int, length: int, last: bool, payload_sum: int) -> None:
        mine = flags if last else flags & ~_PSH_FIN
        if ecn and start:
            mine &= ~_CWR
        this = sequence + start & 0xFFFFFFFF
        check = common + length + (this >> 16) + (this & 0xFFFF) + mine + payload_sum
        pack(prototype, at, this, acknowledgment, mine, window, -check % 0xFFFF)

    return write


def _udp_writer(prototype: bytearray, headers: Headers, seed: int, unsummed: bool) -> WriteTransport:
    """RFC 768: each segment is a datagram of its own; a checksum of zero goes out as ones."""
    at = headers.transport + 4
    common = ones_sum(prototype[headers.transport : at]) + seed

    def write(start: int, length: int, last: bool, payload_sum: int) -> None:
        size = 8 + length
        check = 0 if unsummed else -(common + 2 * size + payload_sum) % 0xFFFF or 0xFFFF
        _SHORT.pack_into(prototype, at, size)
        _SHORT.pack_into(prototype, at + 2, check)

    return write


def _fragments(frame: bytes, facts: FrameFacts, headers: Headers) -> list[bytes]:
    """The fragments of one datagram, whose checksum covers it whole: `segment_size` bytes behind the IP header each."""
    transport = headers.transport
    field = transport + _CHECKSUM_OFFSETS[_UDP]
    whole = bytearray(frame)
    if facts.checksum_offset:
        _SHORT.pack_into(whole, field, -ones_sum(memoryview(whole)[transport:]) % 0xFFFF or 0xFFFF)
    step = facts.segment_size & ~7
    begin = headers.extensions if headers.version == 6 else transport
    body = memoryview(whole)[begin:]
    if len(body) <= step:
        return [bytes(whole)]
    prototype = _fragment_prototype(whole, headers)
    pieces = []
    for start in range(0, len(body), step):
        piece = body[start : start + step]
        _write_fragment(prototype, headers, start, len(piece), start + step < len(body))
        pieces.append(b"".join((prototype, piece)))
    return pieces


def _fragment_prototype(whole: bytearray, headers: Headers) -> bytearray:
    """What each fragment repeats; over IPv6 with a fragment header (RFC 8200, 4.5).

    Its identification is made of the datagram's content: two that share it within a reassembly are the same.
    """
    prototype = whole[: headers.extensions]
    if headers.version == 6:
        prototype += _FRAGMENT_HEADER.pack(whole[headers.link], 0, zlib.crc32(whole))
        prototype[headers.link] = _FRAGMENT
    return prototype


def _write_fragment(prototype: bytearray, headers: Headers, start: int, length: int, more: bool) -> None:
    ip = headers.ip
    if headers.version == 6:
        _SHORT.pack_into(prototype, ip + 4, len(prototype) - ip - 40 + length)
        _SHORT.pack_into(prototype, len(prototype) - 6, start | more)
        return
    _SHORT.pack_into(prototype, ip + 2, len(prototype) - ip + length & 0xFFFF)
    _SHORT.pack_into(prototype, ip + 6, start >> 3 | (_MORE_FRAGMENTS if more else 0))
    _SHORT.pack_into(prototype, ip + 10, 0)
    _SHORT.pack_into(prototype, ip + 10, -ones_sum(prototype[ip:]) % 0xFFFF)
