"""The task offload of the RTL8139C+: checksums found and made, TCP segments cut, for IPv4 (RTL8139C+ 9)."""

from struct import Struct
from typing import NamedTuple

from motenet.core.checksum import ones_sum
from motenet.datasheets import rtl8139 as sheet
from motenet.devices.parts.offload import Segmentation

_SHORT = Struct(">H")
_IPV4_HEADER = Struct(">BxHxxHxB")  # version and header length, total length, flags and offset, protocol
_TCP, _UDP = 6, 17
_VLAN, _IPV4 = b"\x81\x00", b"\x08\x00"
_MORE_OR_OFFSET = 0x3FFF
_CHECKSUM_AT = {_TCP: 16, _UDP: 6}
_SHORTEST = {_TCP: 20, _UDP: 8}

_IPCS, _UDPCS, _TCPCS = (sheet.TX_COMMAND[name] for name in ("IPCS", "UDPCS", "TCPCS"))
_ASKED = {_TCP: _TCPCS, _UDP: _UDPCS}
_PID = sheet.RX_RESULT.field("PID")
_IPF, _UDPF, _TCPF = (sheet.RX_RESULT[name] for name in ("IPF", "UDPF", "TCPF"))
_FOUND = {
    _TCP: (_PID.put(sheet.PID_TCP), _TCPF),
    _UDP: (_PID.put(sheet.PID_UDP), _UDPF),
}
_OTHER_IP = _PID.put(sheet.PID_IP)


class Packet(NamedTuple):
    """Where the parts of an IPv4 packet lie in its frame."""

    ip: int
    transport: int
    end: int
    """Behind its last byte, by its total length; not beyond the frame."""
    protocol: int
    """-1 for a fragment, which has no whole segment."""


def find_packet(frame: bytes | bytearray) -> Packet | None:
    """The IPv4 packet in a frame, perhaps behind an 802.1Q tag; None if there is no well-formed one."""
    at = 16 if frame[12:14] == _VLAN else 12
    ip = at + 2
    if frame[at:ip] != _IPV4 or len(frame) < ip + 20:
        return None
    first, length, fragment, protocol = _IPV4_HEADER.unpack_from(frame, ip)
    transport = ip + (first & 15) * 4
    if first >> 4 != 4 or (first & 15) < 5 or not transport <= ip + length <= len(frame):
        return None
    return Packet(ip, transport, ip + length, -1 if fragment & _MORE_OR_OFFSET else protocol)


def _pseudo_header(frame: bytes | bytearray, packet: Packet) -> int:
    """Its sum without the length."""
    return ones_sum(frame[packet.ip + 12 : packet.ip + 20]) + packet.protocol


def examine(frame: bytes) -> int:
    """PID, IPF, UDPF and TCPF for a received frame's descriptor."""
    packet = find_packet(frame)
    if packet is None:
        return 0
    view = memoryview(frame)
    failed = _IPF if ones_sum(view[packet.ip : packet.transport]) != 0xFFFF else 0
    found = _FOUND.get(packet.protocol)
    length = packet.end - packet.transport
    if found is None or length < _SHORTEST[packet.protocol]:
        return _OTHER_IP | failed
    kind, fault = found
    checksum = packet.transport + _CHECKSUM_AT[packet.protocol]
    if packet.protocol == _UDP and not any(frame[checksum : checksum + 2]):
        return kind | failed  # RFC 768: the sender has computed none
    if ones_sum(view[packet.transport : packet.end], _pseudo_header(frame, packet) + length) != 0xFFFF:
        failed |= fault
    return kind | failed


def insert_checksums(data: bytes, asked: int) -> bytes:
    """The frame with the checksums that TX.COMMAND asks for; what is there already does not matter."""
    packet = find_packet(data)
    if packet is None:
        return data
    frame = bytearray(data)
    if asked & _IPCS:
        _insert_header_checksum(frame, packet)
    length = packet.end - packet.transport
    if asked & _ASKED.get(packet.protocol, 0) and length >= _SHORTEST[packet.protocol]:
        at = packet.transport + _CHECKSUM_AT[packet.protocol]
        _SHORT.pack_into(frame, at, 0)
        view = memoryview(frame)[packet.transport : packet.end]
        checksum = ones_sum(view, _pseudo_header(frame, packet) + length) ^ 0xFFFF
        _SHORT.pack_into(frame, at, checksum or (0xFFFF if packet.protocol == _UDP else 0))
    return bytes(frame)


def _insert_header_checksum(frame: bytearray, packet: Packet) -> None:
    _SHORT.pack_into(frame, packet.ip + 10, 0)
    checksum = ones_sum(memoryview(frame)[packet.ip : packet.transport]) ^ 0xFFFF
    _SHORT.pack_into(frame, packet.ip + 10, checksum)


def large_send(data: bytes, mss: int) -> tuple[bytearray, Segmentation] | None:
    """What a large TCP frame over IPv4 is for the segmenter; None if it is no such frame, or MSS is 0.

    IP's total length and the checksums may hold anything: the frame's length counts, and sums are made anew.
    """
    frame = bytearray(data)
    at = 18 if frame[12:14] == _VLAN else 14
    if len(frame) < at + 40:
        return None
    _SHORT.pack_into(frame, at + 2, min(len(frame) - at, 0xFFFF))
    packet = find_packet(frame)
    if packet is None or packet.protocol != _TCP or len(frame) < packet.transport + 20:
        return None
    header = packet.transport + (frame[packet.transport + 12] >> 4) * 4
    how = Segmentation(
        header, mss,
        ip=packet.ip, ip_end=packet.transport - 1, ip_checksum=packet.ip + 10,
        tcp=packet.transport, tcp_end=0, tcp_checksum=packet.transport + 16,
    )  # fmt: skip
    if not how.valid or header > len(frame):
        return None
    # the segmenter sums what the fields hold: nothing for IP's, the pseudo-header without the length for TCP's
    _SHORT.pack_into(frame, packet.ip + 10, 0)
    _SHORT.pack_into(frame, packet.transport + 16, _pseudo_header(frame, packet) % 0xFFFF)
    return frame, how
