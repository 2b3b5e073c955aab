"""What the 82540EM finds out about a received frame's checksums (8254x 3.2.9, 13.4.47)."""

from struct import Struct

import numpy as np

from motenet.core.checksum import ones_sum
from motenet.datasheets import e1000 as sheet

_IXSM, _IPCS, _TCPCS = (sheet.RDESC_STATUS[name] for name in ("IXSM", "IPCS", "TCPCS"))
_IPE, _TCPE = sheet.RDESC_ERRORS["IPE"], sheet.RDESC_ERRORS["TCPE"]
_IPOFL, _TUOFL, _IPV6OFL = (sheet.RXCSUM[name] for name in ("IPOFL", "TUOFL", "IPV6OFL"))

_TCP, _UDP = 6, 17
_SNAP = b"\xaa\xaa\x03\x00\x00\x00"
_EXTENSIONS = (0, 43, 60)  # hop-by-hop, routing, destination options (8254x 3.2.9.4)
_LONGEST_EXTENSION = 64
IPV4, IPV6 = 0x0800, 0x86DD
_IPV4_HEADER = Struct(">BxHxxHxB")  # version and header length, total length, flags and offset, protocol

Verdict = tuple[int, int]
"""Bits for RDESC.STATUS and RDESC.ERRORS."""

IGNORED: Verdict = (_IXSM, 0)
VERIFIED = _IPCS | _TCPCS
"""RDESC.STATUS of a good TCP segment over IPv4, both offloads on."""


_SHARED = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 13, 14, 15, 16])
"""16-bit words that the segments of one packet have in common: all of Ethernet's and IPv4's headers but the
identification and the header checksum."""


def checksums_of_alike(frames: list[bytes]) -> list[int] | None:
    """The packet checksums of equally long segments of one packet, in which IPCS and TCPCS hold and no error is found.

    None if they are not of that kind, or not all correct: then each is to be looked at for itself. What `verify` does
    one by one is done here in columns (RXCSUM with PCSS 0, IPOFL and TUOFL).
    """
    first, length = frames[0], len(frames[0])
    if length & 1 or length < 54 or first[12:15] != b"\x08\x00\x45" or first[23] != _TCP:
        return None
    _, total, fragment, _ = _IPV4_HEADER.unpack_from(first, 14)
    if total != length - 14 or fragment & 0x3FFF:
        return None
    words = np.frombuffer(b"".join(frames), "<u2").reshape(len(frames), length >> 1)
    if (words[:, _SHARED] != words[0, _SHARED]).any():
        return None
    sums = words.sum(axis=1, dtype=np.uint32)
    headers = words[:, 7:17].sum(axis=1, dtype=np.uint32)  # IPv4's: zero when correct
    segment_length = total - 20
    pseudo = (
        int(words[0, 13:17].sum(dtype=np.uint32)) + (_TCP << 8) + (segment_length & 0xFF) * 256 + (segment_length >> 8)
    )
    segments = sums + np.uint32(pseudo) - words[:, :7].sum(axis=1, dtype=np.uint32)
    if (headers % 0xFFFF).any() or (segments % 0xFFFF).any():
        return None
    swapped = (sums - 1) % 0xFFFF + 1
    checksums: list[int] = ((swapped << 8 & 0xFF00 | swapped >> 8) ^ 0xFFFF).tolist()
    return checksums


def verify(frame: bytes, tagged: bool, enabled: int, start: int, total: int) -> Verdict:
    """Look at a frame (FCS may follow it) whose one's complement sum from `start` on is `total`.

    `tagged`: its 802.1Q tag is still in it. `enabled`: RXCSUM. A frame that the card cannot parse is IGNORED.
    """
    at = 16 if tagged else 12
    if len(frame) < at + 2:
        return IGNORED
    kind = frame[at] << 8 | frame[at + 1]
    at += 2
    if kind < 0x0600 and frame[at : at + 6] == _SNAP and len(frame) >= at + 8:
        kind = frame[at + 6] << 8 | frame[at + 7]
        at += 8
    if kind == IPV4:
        return _verify_ipv4(frame, at, enabled, start, total)
    if kind == IPV6 and enabled & _IPV6OFL and enabled & _TUOFL:
        return _verify_ipv6(frame, at, start, total)
    return IGNORED


def _verify_ipv4(frame: bytes, at: int, enabled: int, start: int, total: int) -> Verdict:
    if len(frame) < at + 20:
        return IGNORED
    first, length, fragment, protocol = _IPV4_HEADER.unpack_from(frame, at)
    segment = at + (first & 15) * 4
    if first >> 4 != 4 or (first & 15) < 5 or len(frame) < segment:
        return IGNORED
    status = errors = 0
    if enabled & _IPOFL:
        status = _IPCS
        if int.from_bytes(frame[at:segment], "big") % 0xFFFF:
            errors = _IPE
    # a fragment (MF or an offset) is not the whole segment (Table 3-5)
    if enabled & _TUOFL and protocol in (_TCP, _UDP) and not fragment & 0x3FFF:
        pseudo = int.from_bytes(frame[at + 12 : at + 20], "big") + protocol
        found = _verify_segment(frame, protocol, segment, at + length, pseudo, start, total)
        status, errors = status | found[0], errors | found[1]
    return (status, errors) if status else IGNORED


def _verify_ipv6(frame: bytes, at: int, start: int, total: int) -> Verdict:
    if len(frame) < at + 40 or frame[at] >> 4 != 6:
        return IGNORED
    protocol, header = frame[at + 6], at + 40
    end = header + (frame[at + 4] << 8 | frame[at + 5])
    while protocol in _EXTENSIONS and header + 8 <= len(frame):
        size = 8 + 8 * frame[header + 1]
        if size > _LONGEST_EXTENSION:
            return IGNORED
        protocol, header = frame[header], header + size
    if protocol not in (_TCP, _UDP):
        return IGNORED
    pseudo = int.from_bytes(frame[at + 8 : at + 40], "big") + protocol
    return _verify_segment(frame, protocol, header, end, pseudo, start, total) if header < end else IGNORED


def _verify_segment(frame: bytes, protocol: int, at: int, end: int, pseudo: int, start: int, total: int) -> Verdict:
    """TCPCS for a whole TCP or UDP segment from `at` to `end`; TCPE if it does not sum up to zero."""
    if end > len(frame) or end < at + (20 if protocol == _TCP else 8):
        return 0, 0
    if protocol == _UDP and not (frame[at + 6] or frame[at + 7]):
        return 0, 0  # RFC 768: the sender has computed none
    if start <= at and not (at - start) & 1:
        # the packet checksum has summed all this: take away what lies before and behind
        summed = total - int.from_bytes(frame[start:at], "big")
        if end < len(frame):
            rest = frame[end:]  # its first byte keeps its place within a word
            summed -= int.from_bytes(rest, "big") << 8 * (len(rest) + end - at & 1)
    else:
        summed = ones_sum(frame[at:end])
    return _TCPCS, _TCPE if (summed + pseudo + end - at) % 0xFFFF else 0
