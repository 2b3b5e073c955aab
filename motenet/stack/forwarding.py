"""A router's work: packets that are for somebody else (RFC 1812, 5.2; RFC 8200)."""

from typing import TYPE_CHECKING, ClassVar

from motenet.core.checksum import internet_checksum, pseudo_header_sum
from motenet.core.trace import HasNow, Watched
from motenet.core.units import MS
from motenet.doors import Received
from motenet.stack.address import is_link_local, is_single_host
from motenet.stack.addressing import UNICAST
from motenet.stack.icmp import Icmp
from motenet.stack.link import CHECKSUM_OFFSETS
from motenet.stack.output import Output
from motenet.stack.packet import Outgoing, Packet, Raw
from motenet.stack.routing import Routing, Way
from motenet.stack.wire import ipv4, ipv6, tcp

if TYPE_CHECKING:
    from motenet.stack.interface import Interface

REDIRECT_INTERVAL = 10 * MS
"""RFC 4861, 8.2 and RFC 1812, 4.3.2.8: redirects have to be limited; who goes on is told again."""


class Forwarding(Watched):
    """Takes packets that are not ours, and sends them on."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "enabled", "packets", "redirects", "redirect_at")

    def __init__(self, clock: HasNow, routing: Routing, output: Output, icmp: Icmp) -> None:
        super().__init__(clock, "forwarding")
        self.routing = routing
        self.output = output
        self.icmp = icmp
        self.enabled = False
        """This node is a router."""
        self.packets = 0
        """Packets sent on."""
        self.redirects = True
        """Tell a neighbor of a better first hop (RFC 1812, 5.2.7.2; RFC 4861, 8.2)."""
        self.redirect_at = 0
        """When the next redirect may be sent, in ns."""

    def forward4(self, interface: "Interface", packet: ipv4.Packet, received: Received) -> None:
        """Send an IPv4 packet on (RFC 1812, 5.2.1)."""
        source, destination = packet.source, packet.destination
        local = is_link_local(source) or is_link_local(destination)
        if local or not is_single_host(source) or not is_single_host(destination):
            self.drop("forward-scope")  # RFC 1812, 5.3.7; RFC 3927, 7
            return
        way = self._way(interface, packet, destination)
        if way is None:
            return
        mtu = way.interface.link.mtu  # what ICMP has told us of the path is our own sockets' business
        for whole in self._segments(packet, received):
            if len(whole) <= mtu:
                self._send(whole, packet, way)
            elif packet.flags & ipv4.DONT_FRAGMENT:
                self.icmp.error(interface, packet, UNICAST, "too-big", mtu)  # RFC 1191, 4
                self.drop("forward-too-big")
                return
            else:
                for piece in ipv4.fragments(memoryview(whole), mtu):
                    self._send(piece, packet, way)
        self._redirect(interface, packet, way)

    def forward6(self, interface: "Interface", header: ipv6.Packet, received: Received) -> None:
        """Send an IPv6 packet on (RFC 8200, 3 and 4.5: a router never cuts it up)."""
        source, destination = header.source, header.destination
        local = is_link_local(source) or is_link_local(destination)
        if local or not is_single_host(source) or not is_single_host(destination):
            if is_link_local(source) and is_single_host(destination) and not is_link_local(destination):
                self.icmp.error(interface, header, UNICAST, "scope")  # RFC 4443, 3.1; RFC 4007, 9
            self.drop("forward-scope")  # RFC 4291, 2.5.2, 2.5.3, 2.5.6 and 2.7
            return
        way = self._way(interface, header, destination)
        if way is None:
            return
        mtu = way.interface.link.mtu
        for whole in self._segments(header, received):
            if len(whole) > mtu:
                self.icmp.error(interface, header, UNICAST, "too-big", mtu)
                self.drop("forward-too-big")
                return
            self._send(whole, header, way)
        self._redirect(interface, header, way)

    def _way(self, interface: "Interface", packet: Packet, destination: bytes) -> Way | None:
        if packet.hop_limit <= 1:
            self.icmp.error(interface, packet, UNICAST, "hops")  # RFC 1812, 5.3.1
            self.drop("forward-hops")
            return None
        way = self.routing.way(destination)
        if way is None:
            self.icmp.error(interface, packet, UNICAST, "network")
            self.drop("forward-no-route")
            return None
        if way.mac:
            self.drop("forward-broadcast")  # RFC 1812, 5.3.5.2: a network's broadcast, by default
            return None
        return way

    def _send(self, whole: bytes | bytearray, packet: Packet, way: Way) -> None:
        self.packets += 1
        name = way.interface.name
        onward = Outgoing(
            packet.source, packet.destination, packet.protocol, Raw(bytes(whole)), interface=name, complete=True
        )
        self.output.reply(onward)

    def undeliverable(self, whole: bytes) -> None:
        """The next hop of a packet that has waited here was not found: tell its sender (RFC 1812, 5.2.7.1)."""
        view = memoryview(whole)
        packet: Packet = ipv4.parse(view, False, True) if whole[0] >> 4 == 4 else ipv6.parse_header(view)
        way = self.routing.way(packet.source)
        if way is not None and not way.local:
            self.icmp.error(way.interface, packet, UNICAST, "host")

    def _redirect(self, interface: "Interface", packet: Packet, way: Way) -> None:
        if not self.redirects or way.interface is not interface or not _share_a_network(interface, packet.source, way):
            return
        if way.hop in interface.neighbors.known and self.output.now >= self.redirect_at:
            self.redirect_at = self.output.now + REDIRECT_INTERVAL
            interface.discovery.redirect(packet, way.hop)

    # --- the packet with one hop less

    def _segments(self, packet: Packet, received: Received) -> list[bytearray]:
        """The packet as it goes on; of segments that driver or card have joined (GRO, TSO), each one again."""
        first = bytearray(bytes(packet.header) + bytes(packet.payload))
        _age(first)
        segment = packet.protocol == ipv4.TCP and not packet.is_fragment and len(packet.payload) >= tcp.HEADER_LENGTH
        if segment and (received.more or received.segment_size):
            return _separate(first, len(packet.header), packet, received)
        if received.checksum_ok and packet.protocol in CHECKSUM_OFFSETS and not packet.is_fragment:
            _sum(first, len(packet.header), packet)
        return [first]


def _share_a_network(interface: "Interface", source: bytes, way: Way) -> bool:
    """RFC 1812, 5.2.7.2: a host reaches only those of its own IPv4 network without us; RFC 4861, 8: all of the link."""
    network = interface.addressing.network_of(source)
    if len(source) == 4:
        return network is not None and network.contains(way.hop)
    return interface.addressing.is_neighbor(source)


def _age(whole: bytearray) -> None:
    """One hop less (RFC 1812, 5.3.1; RFC 1624, 3: the checksum is updated, not computed anew)."""
    if whole[0] >> 4 == 6:
        whole[7] -= 1
        return
    whole[8] -= 1
    checksum = (int.from_bytes(whole[10:12], "big") + 0x100) % 0xFFFF  # RFC 1624, 3: never 0xFFFF
    whole[10:12] = checksum.to_bytes(2, "big")


def _sum(whole: bytearray, header: int, packet: Packet) -> None:
    """The transport's checksum, which a card may have passed as good before anybody had computed it."""
    at = header + CHECKSUM_OFFSETS[packet.protocol]
    without = packet.protocol == ipv4.UDP and whole[at : at + 2] == b"\0\0"  # RFC 768: there is none
    if len(whole) < at + 2 or without:
        return
    length = len(whole) - header
    whole[at : at + 2] = b"\0\0"
    pseudo_sum = pseudo_header_sum(packet.source, packet.destination, packet.protocol, length)
    value = internet_checksum(memoryview(whole)[header:], pseudo_sum)
    if packet.protocol == ipv4.UDP:
        value = value or 0xFFFF
    whole[at : at + 2] = value.to_bytes(2, "big")


def _separate(first: bytearray, header: int, packet: Packet, received: Received) -> list[bytearray]:
    """The segments of which one was made: each its headers, the next sequence number and ident."""
    headers = header + (first[header + 12] >> 4) * 4
    seq = int.from_bytes(first[header + 4 : header + 8], "big")
    ident = int.from_bytes(first[4:6], "big")
    last = first[header + 13] & (tcp.PSH | tcp.FIN)
    size = received.segment_size or len(first)
    pieces = [bytes(first[at : at + size]) for at in range(headers, max(len(first), headers + 1), size)]
    pieces += map(bytes, received.more)
    wholes = []
    for number, piece in enumerate(pieces):
        whole = bytearray(first[:headers] + piece)
        whole[header + 4 : header + 8] = (seq & tcp.MASK).to_bytes(4, "big")
        if number < len(pieces) - 1:
            whole[header + 13] &= ~last & 0xFF
        if number:
            whole[header + 13] &= ~tcp.CWR & 0xFF  # RFC 3168, 6.1.2: the first's alone
        if len(packet.source) == 4:
            whole[2:4] = len(whole).to_bytes(2, "big")
            whole[4:6] = (ident + number & 0xFFFF).to_bytes(2, "big")
            whole[10:12] = b"\0\0"
            whole[10:12] = internet_checksum(memoryview(whole)[:header]).to_bytes(2, "big")
        else:
            whole[4:6] = (len(whole) - ipv6.HEADER_LENGTH).to_bytes(2, "big")
        _sum(whole, header, packet)
        wholes.append(whole)
        seq += len(piece)
    return wholes
