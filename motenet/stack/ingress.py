"""The way in: from a frame to the socket that it is for. What is malformed raises; what is refused is dropped here."""

from typing import ClassVar

from motenet.core.checksum import pseudo_header_sum
from motenet.core.trace import HasNow, Watched
from motenet.doors import Received
from motenet.stack.addressing import UNICAST, Addressing
from motenet.stack.egress import Egress
from motenet.stack.icmp import IcmpResponder
from motenet.stack.neighbor import NeighborCache, Resolution
from motenet.stack.reassembly import Reassembly
from motenet.stack.sockets.set import SocketSet
from motenet.stack.sockets.tcp.handshake import reset_reply
from motenet.stack.wire import Malformed, arp, ethernet, ipv4, tcp, udp

_VLAN_IDENTIFIER = 0x0FFF
_ANY = b"\0\0\0\0"


class Ingress(Watched):
    """Takes frames, one at a time."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "frames", "bytes")

    def __init__(
        self,
        clock: HasNow,
        addressing: Addressing,
        neighbors: NeighborCache,
        reassembly: Reassembly,
        sockets: SocketSet,
        egress: Egress,
        icmp: IcmpResponder,
    ) -> None:
        super().__init__(clock, "ingress")
        self.addressing = addressing
        self.neighbors = neighbors
        self.reassembly = reassembly
        self.sockets = sockets
        self.egress = egress
        self.icmp = icmp
        self.now = 0
        self.mac = b""
        self.frames = 0
        self.bytes = 0
        self._received = Received(memoryview(b""))
        self._looped = False

    def frame(self, received: Received) -> None:
        """Take a frame from the device. This is the one place where malformed packets end."""
        self._received = received
        self.frames += 1
        self.bytes += len(received.frame)
        if received.more:
            self.bytes += sum(map(len, received.more))
        try:
            self._ethernet(ethernet.parse(received.frame), received.vlan)
        except Malformed as malformed:
            self.drop(malformed.reason, frame=bytes(received.frame) if self.watch is not None else b"")

    def looped(self, frame: bytes) -> None:
        """Take a frame from ourselves."""
        self._looped = True
        self.frame(Received(memoryview(frame), checksum_ok=True))
        self._looped = False

    # --- Ethernet and ARP

    def _ethernet(self, frame: ethernet.Frame, tag: int | None) -> None:
        tag = frame.vlan if tag is None else tag
        if tag is not None and tag & _VLAN_IDENTIFIER:
            self.drop("vlan")  # IEEE 802.1Q: identifier 0 is only a priority; all others are other networks
            return
        destination = frame.destination
        if destination != self.mac and destination != ethernet.BROADCAST and destination not in self.addressing.macs:
            self.drop("other-station")
            return
        if frame.ethertype == ethernet.IPV4:
            self._ipv4(frame)
        elif frame.ethertype == ethernet.ARP:
            self._arp(arp.parse(frame.payload))
        else:
            self.drop("ethertype")

    def _arp(self, packet: arp.Packet) -> None:
        """RFC 826, Packet Reception; the reply goes out before anything else."""
        sender, mac = packet.sender_address, packet.sender_mac
        if mac[0] & 1:
            self.drop("arp-group")  # RFC 1812, 3.3.2: a group's or broadcast address is no station's
            return
        ours = self.addressing.has(packet.target_address)
        if self.addressing.has(sender):
            self.drop("arp-conflict")  # RFC 5227, 2.4: somebody else uses our address
            return
        if sender != _ANY and (ours or self.neighbors.knows(sender)):
            if self.addressing.is_neighbor(sender):
                self._resolved(mac, self.neighbors.learn(sender, mac, self.now))
            else:
                self.drop("arp-not-on-link")
                return
        if ours and packet.operation == arp.REQUEST:
            reply = arp.Packet(arp.REPLY, self.mac, packet.target_address, mac, sender)
            self.egress.send_arp(reply, mac)

    def _resolved(self, mac: bytes, resolution: Resolution | None) -> None:
        """A neighbor is found: what waited for it goes on."""
        if resolution is not None:
            self.egress.release(resolution.packets, mac)
            for handle in resolution.sockets:
                self.sockets.mark(handle)

    # --- IPv4

    def _ipv4(self, frame: ethernet.Frame) -> None:
        packet = ipv4.parse(frame.payload, not self._received.checksum_ok)
        listening = self.addressing.listening
        kind = listening.get(packet.destination)
        if kind is None:
            self.drop("other-host")
            return
        first = packet.source[0]
        if first >= 0xE0 or first == 127 or (packet.source in listening and not self._looped):
            self.drop("source-address")  # RFC 1122, 3.2.1.3: these name no single other host
            return
        if kind == UNICAST and frame.destination != self.mac:
            self.drop("link-broadcast")  # RFC 1122, 3.3.6
            return
        if packet.is_fragment:
            whole = self.reassembly.add(packet, self.now)
            if whole is None:
                return
            self._received = Received(whole.payload)  # the card has not verified the whole
            packet = whole
        self._deliver(packet, kind)

    def _deliver(self, packet: ipv4.Packet, kind: int) -> None:
        protocol = packet.protocol
        raw = self.sockets.raw.get(protocol)
        if raw is not None:
            raw.process(packet)
        if protocol == ipv4.TCP:
            self._tcp(packet, kind)
        elif protocol == ipv4.UDP:
            self._udp(packet, kind)
        elif protocol == ipv4.ICMP:
            self.icmp.process(self.now, packet, kind)
        elif raw is None:
            self.drop("protocol")
            self.icmp.protocol_unreachable(self.now, packet, kind)

    # --- transports

    def _tcp(self, packet: ipv4.Packet, kind: int) -> None:
        source, destination, payload = packet.source, packet.destination, packet.payload
        if kind != UNICAST:
            self.drop("tcp-group")  # RFC 9293, 3.9.2.3 (MUST-57)
            return
        if not source[0]:
            self.drop("source-address")  # MUST-63; RFC 1122, 3.2.1.3 (a): a host that does not know its own yet
            return
        received = self._received
        pseudo_sum = None
        if not received.checksum_ok:
            pseudo_sum = pseudo_header_sum(source, destination, ipv4.TCP, len(payload))
        segment = tcp.parse(payload, pseudo_sum, received.more)
        ports = (destination, segment.destination_port, source, segment.source_port)
        socket = self.sockets.tcp.get(ports)
        if socket is not None:
            reply = socket.process(self.now, source, destination, segment)
        else:
            listener = self.sockets.listener(destination, segment.destination_port)
            if listener is not None:
                reply = listener.process(self.now, source, destination, segment)
            else:
                self.drop("tcp-no-socket")
                reply = reset_reply(segment)
        if reply is not None:
            self.egress.answer(destination, source, reply)

    def _udp(self, packet: ipv4.Packet, kind: int) -> None:
        source, destination = packet.source, packet.destination
        datagram = udp.parse(packet.payload, source, destination, not self._received.checksum_ok)
        socket = self.sockets.udp_socket(destination, datagram.destination_port)
        if socket is None or not socket.accepts(source, datagram.source_port):
            self.drop("udp-no-socket")
            self.icmp.port_unreachable(self.now, packet, kind)
        else:
            socket.process(source, destination, datagram)
