"""Address resolution for IPv4 over Ethernet (RFC 826), and the detection of conflicts with it (RFC 5227)."""

from dataclasses import dataclass
from struct import Struct

from motenet.stack.address import ANY
from motenet.stack.wire import Malformed, ethernet

REQUEST = 1
REPLY = 2

_PACKET = Struct("!HHBBH6s4s6s4s")
LENGTH = _PACKET.size

_ETHERNET, _IEEE_802 = 1, 6
"""RFC 826, Packet format: ares_hrd$Ethernet; RFC 1042, which Linux takes for the same."""


@dataclass(slots=True)
class Packet:
    """Who asks or answers (sender), and whom it is about (target)."""

    operation: int
    sender_mac: bytes
    sender_address: bytes
    target_mac: bytes
    target_address: bytes

    def emit(self, view: memoryview) -> None:
        """Write the 28 bytes."""
        _PACKET.pack_into(
            view, 0, _ETHERNET, ethernet.IPV4, 6, 4, self.operation,
            self.sender_mac, self.sender_address, self.target_mac, self.target_address,
        )  # fmt: skip


def parse(view: memoryview) -> Packet:
    """Read a packet. RFC 826: "?Do I have the hardware type in ar$hrd? ... ?Do I speak the protocol in ar$pro?"."""
    if len(view) < LENGTH:
        raise Malformed("arp-short")
    hardware, protocol, hardware_length, protocol_length, operation, *addresses = _PACKET.unpack_from(view)
    lengths = (hardware_length, protocol_length)
    if hardware not in (_ETHERNET, _IEEE_802) or protocol != ethernet.IPV4 or lengths != (6, 4):
        raise Malformed("arp-type")
    if operation not in (REQUEST, REPLY):
        raise Malformed("arp-operation")
    return Packet(operation, *addresses)


def probe(mac: bytes, address: bytes) -> Packet:
    """Asks for an address without claiming it, "to avoid polluting ARP caches" (RFC 5227, 2.1.1)."""
    return Packet(REQUEST, mac, ANY, ethernet.UNKNOWN, address)


def announcement(mac: bytes, address: bytes) -> Packet:
    """Claims an address (RFC 5227, 2.3)."""
    return Packet(REQUEST, mac, address, ethernet.UNKNOWN, address)
