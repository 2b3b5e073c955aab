"""From a packet that is for us to the socket that it is for. What is malformed raises; what is refused is dropped."""

from typing import TYPE_CHECKING

from motenet.core.checksum import pseudo_header_sum
from motenet.core.trace import HasNow, Watched
from motenet.doors import Received
from motenet.stack.addressing import UNICAST
from motenet.stack.icmp import Icmp
from motenet.stack.output import Output
from motenet.stack.packet import Packet
from motenet.stack.sockets.set import SocketSet
from motenet.stack.sockets.tcp.handshake import reset_reply
from motenet.stack.wire import dhcpv4, igmp, ipv4, ipv6, source_route, tcp, udp

if TYPE_CHECKING:
    from motenet.stack.interface import Interface

_CE = 3  # RFC 3168, 5: congestion experienced


class Delivery(Watched):
    """Hands packets to transports, and transports' answers to the output."""

    def __init__(self, clock: HasNow, sockets: SocketSet, output: Output, icmp: Icmp) -> None:
        super().__init__(clock, "delivery")
        self.sockets = sockets
        self.output = output
        self.icmp = icmp

    def deliver(self, interface: "Interface", packet: Packet, kind: int, received: Received) -> None:
        """Take a whole packet; `kind` tells how its destination means us."""
        protocol = packet.protocol
        raw = self.sockets.raw.get(protocol) if self.sockets.raw else None
        if raw is not None:
            raw.process(packet)
        if protocol == ipv4.TCP:
            self._tcp(interface, packet, kind, received)
        elif protocol == ipv4.UDP:
            self._udp(interface, packet, kind, received)
        elif protocol == ipv4.ICMP and len(packet.source) == 4:
            self.icmp.process4(interface, packet, kind)
        elif protocol == ipv6.ICMP and isinstance(packet, ipv6.Packet):
            self.icmp.process6(interface, packet, kind)
        elif protocol == ipv4.IGMP and isinstance(packet, ipv4.Packet):
            message = igmp.parse(packet.payload, packet.hop_limit)
            interface.housekeeping.membership.process(message, self.output.now)
        elif protocol == ipv6.NO_NEXT_HEADER and len(packet.source) == 16:
            return  # RFC 8200, 4.7: nothing follows
        elif raw is None:
            self.drop("protocol")
            self.icmp.protocol_unreachable(interface, packet, kind)

    def _tcp(self, interface: "Interface", packet: Packet, kind: int, received: Received) -> None:
        source, destination, payload = packet.source, packet.destination, packet.payload
        if kind != UNICAST:
            self.drop("tcp-group")  # RFC 9293, 3.9.2.3 (MUST-57)
            return
        if not source[0] and (len(source) == 4 or not any(source)):
            self.drop("source-address")  # MUST-63; RFC 1122, 3.2.1.3 (a): a host that does not know its own yet
            return
        pseudo_sum = None
        if not received.checksum_ok:
            pseudo_sum = pseudo_header_sum(source, destination, ipv4.TCP, len(payload))
        segment = tcp.parse(payload, pseudo_sum, received.more)
        if packet.tos & _CE == _CE:
            segment.ce = True
        ports = (destination, segment.destination_port, source, segment.source_port)
        socket = self.sockets.tcp.get(ports)
        now = self.output.now
        via: tuple[bytes, ...] = ()
        if len(source) == 4 and len(packet.header) > ipv4.HEADER_LENGTH:
            via = source_route.way_back(packet.header, source)
        if socket is not None:
            if via:
                socket.take_route(via, segment.seq)
            reply = socket.process(now, source, destination, segment)
            via = socket.source_route
        else:
            listener = self.sockets.listener(destination, segment.destination_port)
            if listener is not None:
                reply = listener.process(now, source, destination, segment)
                scope = interface.scope(source)
                if (scope or via) and ports in self.sockets.tcp:
                    self.sockets.tcp[ports].interface = scope
                    self.sockets.tcp[ports].take_route(via)
            else:
                self.drop("tcp-no-socket")
                reply = reset_reply(segment)
        if reply is not None:
            self.output.answer(destination, source, reply, interface.scope(source), via)

    def _udp(self, interface: "Interface", packet: Packet, kind: int, received: Received) -> None:
        source, destination = packet.source, packet.destination
        datagram = udp.parse(packet.payload, source, destination, not received.checksum_ok)
        socket = self.sockets.udp_socket(destination, datagram.destination_port)
        if socket is None and datagram.destination_port == dhcpv4.CLIENT_PORT:
            socket = self.sockets.dhcp.get(interface.name)
        if socket is None or not socket.accepts(source, datagram.source_port, interface.name):
            self.drop("udp-no-socket")
            self.icmp.port_unreachable(interface, packet, kind)
        else:
            socket.process(source, destination, datagram, interface.name)
