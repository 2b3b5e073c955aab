"""struct virtio_net_hdr, both ways: what it asks for, and what accompanies a received frame (virtio 5.1.6)."""

from typing import NamedTuple

from motenet.datasheets.virtio import net as sheet
from motenet.datasheets.virtio.features import FEATURES
from motenet.devices.parts.gso import read as read_headers
from motenet.doors import TCP4, TCP6, UFO, USO, FrameFacts

PLAIN = bytes(sheet.NET_HDR_CODEC.size)
"""A whole frame's, on transmission."""
WITH_BUFFERS, WITHOUT_BUFFERS = sheet.NET_HDR_CODEC.size, sheet.NET_HDR_LEGACY_CODEC.size

_FIELDS = sheet.NET_HDR_LEGACY_CODEC
_NEEDS_CSUM, _ECN = sheet.NET_HDR_FLAGS["NEEDS_CSUM"], sheet.NET_HDR_GSO["ECN"]
_CSUM, _GUEST_CSUM, _GUEST_ECN = (FEATURES[name] for name in ("CSUM", "GUEST_CSUM", "GUEST_ECN"))


class _Kind(NamedTuple):
    """A way of cutting: its name inside, and the features for each direction (0: there is none)."""

    name: str
    host: int
    host_ecn: int
    guest: int


_KINDS = {
    sheet.GSO_TCPV4: _Kind(TCP4, FEATURES["HOST_TSO4"], FEATURES["HOST_ECN"], FEATURES["GUEST_TSO4"]),
    sheet.GSO_TCPV6: _Kind(TCP6, FEATURES["HOST_TSO6"], FEATURES["HOST_ECN"], FEATURES["GUEST_TSO6"]),
    sheet.GSO_UDP: _Kind(UFO, FEATURES["HOST_UFO"], 0, FEATURES["GUEST_UFO"]),
    sheet.GSO_UDP_L4: _Kind(USO, FEATURES["HOST_USO"], 0, 0),
}
_TYPES = {kind.name: (number, kind.guest) for number, kind in _KINDS.items()}


class BadHeader(Exception):
    """A header that a driver must not send (virtio 5.1.6.2.1): reason, and detail with the clause."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = f"{detail} (virtio 5.1.6.2.1)"


def facts_of(header: bytes, frame: bytes, features: int) -> FrameFacts | None:
    """What the driver leaves to the device; None: nothing. BadHeader if it may not, or if it cannot be done.

    hdr_len is not relied on (5.1.6.2.2): where the payload begins is read from the headers themselves.
    """
    flags, gso, _, size, start, offset = _FIELDS.unpack_from(header)
    cut = gso & ~_ECN
    if not flags & _NEEDS_CSUM:
        if cut:
            raise BadHeader("GSO without NEEDS_CSUM", f"gso_type {gso:#04x}")
        return None
    if not features & _CSUM:
        raise BadHeader("NEEDS_CSUM without CSUM", "the feature was not negotiated")
    if start + offset + 2 > len(frame):
        raise BadHeader("checksum outside frame", f"csum_start {start}, csum_offset {offset} of {len(frame)} bytes")
    if not cut:
        return FrameFacts(start, offset)
    how = _KINDS.get(cut)
    if how is None or not features & how.host:
        raise BadHeader("gso_type not negotiated", f"gso_type {gso:#04x}")
    if gso & _ECN and not features & how.host_ecn:
        raise BadHeader("ECN not negotiated", f"gso_type {gso:#04x}")
    if not size:
        raise BadHeader("gso_size 0", f"gso_type {gso:#04x}")
    if not offset:
        raise BadHeader("cannot be cut", f"csum_offset 0 is not {how.name}'s")
    headers = read_headers(frame, FrameFacts(start, offset, size, segment_kind=how.name))
    if isinstance(headers, str):
        raise BadHeader("cannot be cut", headers)
    return FrameFacts(start, offset, size, headers.payload, segment_kind=how.name, ecn=bool(gso & _ECN))


def header_for(facts: FrameFacts, offloads: int) -> bytes | None:
    """The header, less num_buffers, that passes the work on to a driver with these GUEST_ bits; None: it takes none."""
    if not offloads & _GUEST_CSUM:
        return None
    start, offset, size, headers, _, kind, ecn = facts
    if not size:
        return _FIELDS.pack(_NEEDS_CSUM, sheet.GSO_NONE, 0, 0, start, offset)
    gso, feature = _TYPES[kind]
    if not offloads & feature or (ecn and not offloads & _GUEST_ECN):
        return None
    return _FIELDS.pack(_NEEDS_CSUM, gso | (_ECN if ecn else 0), headers, size, start, offset)
