"""Ethernet II frames, also with an IEEE 802.1Q tag, and IEEE 802.3 ones; without the frame check sequence."""

from dataclasses import dataclass
from struct import Struct

from motenet.stack.wire import Malformed

HEADER = Struct("!6s6sH")
HEADER_LENGTH = HEADER.size

IPV4 = 0x0800
ARP = 0x0806
VLAN = 0x8100
"""IEEE 802.1Q, 9.6: two bytes of tag control information and the real type follow."""
IPV6 = 0x86DD
SERVICE_VLAN = 0x88A8
"""IEEE 802.1Q, 9.5: a provider bridge's tag (802.1ad), with the customer's frame in it; no station's business."""

BROADCAST = b"\xff\xff\xff\xff\xff\xff"
UNKNOWN = bytes(6)
"""Stands where an address is not known yet (RFC 5227, 1.1)."""

LARGEST_LENGTH = 1500
"""IEEE 802.3, 3.2.6: up to here the type is the length of what follows."""
_SNAP = bytes.fromhex("aaaa03 000000")
"""RFC 1042: LLC's header for SNAP, and the organization code of types as in Ethernet II."""

_TAG = Struct("!HH")
TAG_LENGTH = _TAG.size
_TAGGED = Struct("!6s6sHHH")


@dataclass(slots=True)
class Frame:
    """A frame's header and what it carries, padding included."""

    destination: bytes
    source: bytes
    ethertype: int
    payload: memoryview
    vlan: int | None = None
    """The tag control information: priority, drop eligible, and 12 bits of VLAN identifier."""


def parse(view: memoryview) -> Frame:
    """Read a frame; Malformed if its header is not whole, or a second tag is in the first."""
    if len(view) < HEADER_LENGTH:
        raise Malformed("ethernet-short")
    destination, source, ethertype = HEADER.unpack_from(view)
    if ethertype == SERVICE_VLAN:
        raise Malformed("vlan-stacked")
    if ethertype != VLAN:
        return Frame(destination, source, ethertype, view[HEADER_LENGTH:])
    if len(view) < HEADER_LENGTH + _TAG.size:
        raise Malformed("ethernet-short")
    tag, ethertype = _TAG.unpack_from(view, HEADER_LENGTH)
    if ethertype in (VLAN, SERVICE_VLAN):
        raise Malformed("vlan-stacked")
    return Frame(destination, source, ethertype, view[HEADER_LENGTH + _TAG.size :], tag)


def unwrap(frame: Frame) -> Frame:
    """What an IEEE 802.3 frame carries behind its LLC and SNAP headers; Malformed if those are not RFC 1042's."""
    header, length = len(_SNAP) + 2, frame.ethertype
    if length > len(frame.payload):
        raise Malformed("llc-short")
    ethertype = int.from_bytes(frame.payload[len(_SNAP) : header], "big")
    if length < header or frame.payload[: len(_SNAP)] != _SNAP or ethertype <= LARGEST_LENGTH:
        raise Malformed("llc")
    return Frame(frame.destination, frame.source, ethertype, frame.payload[header:length], frame.vlan)


def emit(view: memoryview, destination: bytes, source: bytes, ethertype: int, tag: int | None = None) -> int:
    """Write the header, into the first 14 bytes or with a tag 18; returns where the payload begins."""
    if tag is None:
        HEADER.pack_into(view, 0, destination, source, ethertype)
        return HEADER_LENGTH
    _TAGGED.pack_into(view, 0, destination, source, VLAN, tag, ethertype)
    return HEADER_LENGTH + TAG_LENGTH
