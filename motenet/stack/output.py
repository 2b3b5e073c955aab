"""The way out: from a socket's packet to the link that takes it, by way of routes and neighbors."""

from collections import deque
from typing import TYPE_CHECKING, ClassVar

from motenet.core.trace import HasNow, Watched
from motenet.stack.address import is_loopback
from motenet.stack.packet import Outgoing, Raw, TcpSegment
from motenet.stack.routing import SMALLEST_MTU, Routing, Way
from motenet.stack.searches import Held
from motenet.stack.sockets.tcp.socket import TcpSocket
from motenet.stack.wire import ipv4, tcp

if TYPE_CHECKING:
    from motenet.stack.interface import Interface

_LOOPED_LIMIT = 64  # frames to ourselves that wait for the next look
_ECT0 = 2  # RFC 3168, 5: ECN-capable transport


class Output(Watched):
    """Sends packets of all sockets.

    A `send` that returns False has not sent: the device is full, or a neighbor not known yet (`stalled`).
    """

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "looped")

    def __init__(self, clock: HasNow, routing: Routing, path: str = "output") -> None:
        super().__init__(clock, path)
        self.routing = routing
        self.now = 0
        self.stalled: tuple[Interface, bytes] | None = None
        """The neighbor that a packet was not kept for; to be reset by who looks at it."""
        self.lost: bytes | None = None
        """A destination that no route led to; to be reset by who looks at it."""
        self.looped: deque[tuple[str, bytes]] = deque()
        """Frames to ourselves, each with the interface whose address they are for."""

    # --- what others send

    def send(self, packet: Outgoing, keep: bool = True) -> bool:
        """Send a packet. While its neighbor is not known it is kept here, or with `keep` off by the caller."""
        way = self.routing.way(packet.via[0] if packet.via else packet.destination, packet.interface)
        if way is None:
            self.lost = packet.destination
            self.drop("no-route")
            return True
        packet.source = packet.source or way.source
        packet.hop_limit = packet.hop_limit or way.hop_limit
        if way.local:
            return self._loop(packet, way)
        if is_loopback(packet.source):
            self.drop("loopback-source")  # RFC 1122, 3.2.1.3 g: it must not appear outside a host
            return True
        if way.mtu <= SMALLEST_MTU:
            packet.whole = False  # the path may be narrower still (net.ipv4.route.min_pmtu): routers may cut
        interface = way.interface
        mac = way.mac or interface.neighbors.lookup(way.hop, self.now)
        if mac is not None:
            return interface.link.transmit(packet, mac, way.mtu)
        if keep:
            self._hold(way, packet)
            return True
        if way.hop in interface.unreachable:
            self.drop("neighbor-unreachable")
            return True
        if not interface.neighbors.has_room(way.hop):
            self.drop("neighbor-searches")  # counts as sent and lost: one destination more must not stop all others
            return True
        self.stalled = (interface, way.hop)
        return False

    def answer(
        self, source: bytes, destination: bytes, segment: tcp.Segment, interface: str = "", via: tuple[bytes, ...] = ()
    ) -> None:
        """Send a TCP segment that no socket would send again."""
        length = tcp.header_length(segment) + segment.payload_length
        self.reply(Outgoing(source, destination, ipv4.TCP, TcpSegment(segment, length), interface=interface, via=via))

    def reply(self, packet: Outgoing) -> None:
        """Send a packet that a full device loses."""
        if not self.send(packet):
            self.drop("device-full")

    def send_for(self, socket: TcpSocket, segment: tcp.Segment) -> bool:
        """Send a socket's segment, which the card cuts up if it says so. False: the socket keeps it."""
        header = tcp.header_length(segment)
        tos = socket.traffic_class
        packet = Outgoing(
            socket.local[0], socket.remote[0], ipv4.TCP, TcpSegment(segment, header + segment.payload_length),
            socket.hop_limit, tos | _ECT0 if segment.ect else tos, socket.interface, True, False, socket.source_route,
        )  # fmt: skip
        size = segment.segment_size
        if size:
            packet.segment_size, packet.transport_header = size, header
            packet.idents = -(-segment.payload_length // size)
        return self.send(packet, keep=False)

    def release(self, interface: "Interface", held: list[Held], mac: bytes) -> None:
        """The neighbor is known: send what waited for it."""
        for packet in held:
            source, destination, protocol, hop_limit, tos, complete, via, payload = packet
            outgoing = Outgoing(source, destination, protocol, Raw(payload), hop_limit, tos, complete=complete, via=via)
            way = self.routing.way(via[0] if via else destination, interface.name)
            if not interface.link.transmit(outgoing, mac, interface.link.mtu if way is None else way.mtu):
                self.drop("device-full")

    # --- how

    def _loop(self, packet: Outgoing, way: Way) -> bool:
        if len(self.looped) >= _LOOPED_LIMIT:
            way.interface.link.full = True
            return False
        link = way.interface.link
        frame = bytearray(link.prepare(packet, link.mac))
        packet.write(memoryview(frame))
        self.looped.append((way.interface.name, bytes(frame)))
        return True

    def _hold(self, way: Way, packet: Outgoing) -> None:
        source, destination = packet.source, packet.destination
        payload = bytes(packet.transport.payload) if isinstance(packet.transport, Raw) else packet.payload()
        how = packet.protocol, packet.hop_limit, packet.tos, packet.complete, packet.via
        way.interface.neighbors.hold(way.hop, (source, destination, *how, payload), self.now)
