"""The way out: route, neighbor, fragmentation, and the frame in the device's memory."""

from collections import deque
from collections.abc import Callable
from typing import ClassVar

from motenet.core.checksum import Buffer
from motenet.core.rng import Stream
from motenet.core.trace import HasNow, Watched
from motenet.doors import Capabilities, FrameFacts
from motenet.stack.addressing import Addressing
from motenet.stack.neighbor import Held, NeighborCache
from motenet.stack.packet import CHECKSUM_OFFSETS, TRANSPORT, CompleteFrame, Outgoing, Raw, TcpSegment
from motenet.stack.phy import Device, Loopback
from motenet.stack.sockets.tcp.socket import TcpSocket
from motenet.stack.wire import arp, ethernet, ipv4, tcp

_NOWHERE = b"\0\0\0\0\0\0"
_LOOPED_LIMIT = 64  # frames to ourselves that wait for the next look

_OFFLOADS = {
    protocol: FrameFacts(checksum_start=TRANSPORT, checksum_offset=offset)
    for protocol, offset in CHECKSUM_OFFSETS.items()
}


class Egress(Watched):
    """Sends packets through the device of the current poll.

    A `send` that returns False has not sent: the device is full (`full`), or a neighbor not known yet (`stalled`).
    """

    STATE: ClassVar[tuple[str, ...]] = (
        *Watched.STATE, "ident", "looped", "backlog", "frames", "bytes", "fragmented",
    )  # fmt: skip

    def __init__(self, clock: HasNow, addressing: Addressing, neighbors: NeighborCache, stream: Stream) -> None:
        super().__init__(clock, "egress")
        self.addressing = addressing
        self.neighbors = neighbors
        self.mac = _NOWHERE
        self.device: Device = Loopback(0)
        self.now = 0
        self.full = False
        """The device has refused a frame since `begin`."""
        self.stalled: bytes | None = None
        """The neighbor that a packet was not kept for; to be reset by who looks at it."""
        self.lost: bytes | None = None
        """A destination that no route led to; to be reset by who looks at it."""
        self.unreachable: dict[bytes, None] = {}
        """Neighbors that were not found in this poll: what waited for them counts as sent and lost."""
        self.ident = stream.bits(16)
        self.looped: deque[bytes] = deque()
        """Frames to ourselves."""
        self.backlog: deque[bytes] = deque()
        """Frames that go out before all others."""
        self.frames = 0
        self.bytes = 0
        self.fragmented = 0
        """Datagrams sent in fragments."""
        self.adopt(Capabilities())

    def adopt(self, capabilities: Capabilities) -> None:
        """Take what the device can do."""
        self.room = capabilities.mtu - ipv4.HEADER_LENGTH
        """Transport bytes in one packet."""
        self._offloads = _OFFLOADS if capabilities.checksum_tx else {}

    def begin(self, now: int, device: Device) -> None:
        """A poll begins: send what was left over from the last one."""
        self.now = now
        self.device = device
        self.full = False
        while self.backlog and self._send_frame(self.backlog[0]):
            self.backlog.popleft()

    # --- what others send

    def send(self, packet: Outgoing, keep: bool = True) -> bool:
        """Send a packet. While its neighbor is not known it is kept here, or with `keep` off by the caller."""
        way = self.addressing.way(packet.destination)
        if way is None:
            self.lost = packet.destination
            self.drop("no-route")
            return True
        packet.source = packet.source or way.source
        if way.local:
            return self._loop(packet)
        mac = way.mac or self.neighbors.lookup(way.hop, self.now)
        if mac is not None:
            return self._transmit(packet, mac)
        if keep:
            self._hold(way.hop, packet)
            return True
        if way.hop in self.unreachable:
            self.drop("neighbor-unreachable")
            return True
        if not self.neighbors.has_room(way.hop):
            self.drop("neighbor-searches")  # counts as sent and lost: one destination more must not stop all others
            return True
        self.stalled = way.hop
        return False

    def answer(self, source: bytes, destination: bytes, segment: tcp.Segment) -> None:
        """Send a TCP segment that no socket would send again."""
        length = tcp.header_length(segment) + segment.payload_length
        self.reply(Outgoing(source, destination, ipv4.TCP, TcpSegment(segment, length)))

    def reply(self, packet: Outgoing) -> None:
        """Send a packet that a full device loses."""
        if not self.send(packet):
            self.drop("device-full")

    def send_for(self, socket: TcpSocket, segment: tcp.Segment) -> bool:
        """Send a socket's segment, which the card cuts up if it says so. False: the socket keeps it."""
        header = tcp.header_length(segment)
        length = header + segment.payload_length
        packet = Outgoing(
            socket.local[0], socket.remote[0], ipv4.TCP, TcpSegment(segment, length),
            socket.hop_limit, socket.traffic_class,
        )  # fmt: skip
        size = segment.segment_size
        if size:
            packet.facts = FrameFacts(TRANSPORT, CHECKSUM_OFFSETS[ipv4.TCP], size, TRANSPORT + header)
            packet.idents = -(-segment.payload_length // size)
        return self.send(packet, keep=False)

    def announce(self, address: bytes) -> None:
        """RFC 5227, 2.3: tell all neighbors that an address is ours; it goes out with the next poll."""
        packet = arp.Packet(arp.REQUEST, self.mac, address, _NOWHERE, address)
        self.backlog.append(self._arp_frame(packet, ethernet.BROADCAST))

    def release(self, held: list[Held], mac: bytes) -> None:
        """The neighbor is known: send what waited for it."""
        for source, destination, protocol, hop_limit, tos, payload in held:
            packet = Outgoing(source, destination, protocol, Raw(payload), hop_limit, tos)
            if not self._transmit(packet, mac):
                self.drop("device-full")

    def solicit(self, target: bytes, mac: bytes | None) -> None:
        """Ask who has an address: everybody, or the one who had it."""
        way = self.addressing.way(target)
        if way is not None:
            request = arp.Packet(arp.REQUEST, self.mac, way.source, _NOWHERE, target)
            self.send_arp(request, mac or ethernet.BROADCAST)

    def send_arp(self, packet: arp.Packet, destination: bytes) -> None:
        """Send an ARP packet; a full device loses it."""
        if not self._send_frame(self._arp_frame(packet, destination)):
            self.drop("device-full")

    def _arp_frame(self, packet: arp.Packet, destination: bytes) -> bytes:
        frame = bytearray(ethernet.HEADER_LENGTH + arp.LENGTH)
        view = memoryview(frame)
        ethernet.emit(view, destination, self.mac, ethernet.ARP)
        packet.emit(view[ethernet.HEADER_LENGTH :])
        return bytes(frame)

    # --- how

    def _transmit(self, packet: Outgoing, mac: bytes) -> bool:
        packet.from_mac, packet.to_mac = self.mac, mac
        packet.ident = self.ident
        length = packet.transport.length
        if self.backlog:
            sent = False
        elif length <= self.room or packet.facts is not None:
            facts = packet.facts
            if facts is None and not isinstance(packet.transport, Raw):
                facts = self._offloads.get(packet.protocol)
            packet.length = length
            packet.checksum = facts is None
            sent = self._consume(TRANSPORT + length, packet.write, facts)
        else:
            sent = self._fragment(packet)
        if sent:
            self.ident = (self.ident + packet.idents) & 0xFFFF
        else:
            self.full = True
        return sent

    def _consume(self, length: int, write: Callable[[memoryview], None], facts: FrameFacts | None) -> bool:
        token = self.device.transmit(self.now)
        if token is None or not token.consume(length, write, facts):
            self.full = True
            return False
        self.frames += 1
        self.bytes += length
        return True

    def _send_frame(self, frame: Buffer) -> bool:
        return self._consume(len(frame), CompleteFrame(frame).write, None)

    def _fragment(self, packet: Outgoing) -> bool:
        """RFC 791, 3.2: pieces in units of 8 bytes; all but the last say that more follow."""
        payload = memoryview(packet.payload())
        step = self.room & ~7
        packet.checksum = False
        for start in range(0, len(payload), step):
            piece = payload[start : start + step]
            packet.transport = Raw(piece)
            packet.length = len(piece)
            packet.flags = start >> 3 | (ipv4.MORE_FRAGMENTS if start + step < len(payload) else 0)
            if self.full or not self._consume(TRANSPORT + len(piece), packet.write, None):
                if start == 0:
                    return False
                self._postpone(packet)
        self.fragmented += 1
        return True

    def _postpone(self, packet: Outgoing) -> None:
        """Part of the datagram is on its way: the rest follows it before anything else."""
        frame = bytearray(TRANSPORT + packet.length)
        packet.write(memoryview(frame))
        self.backlog.append(bytes(frame))

    def _loop(self, packet: Outgoing) -> bool:
        if len(self.looped) >= _LOOPED_LIMIT:
            self.full = True
            return False
        packet.from_mac = packet.to_mac = self.mac
        packet.length = packet.transport.length
        packet.checksum = True
        frame = bytearray(TRANSPORT + packet.length)
        packet.write(memoryview(frame))
        self.looped.append(bytes(frame))
        return True

    def _hold(self, hop: bytes, packet: Outgoing) -> None:
        source, destination = packet.source, packet.destination
        held = (source, destination, packet.protocol, packet.hop_limit, packet.tos, packet.payload())
        self.neighbors.hold(hop, held, self.now)
