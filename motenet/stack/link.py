"""An interface's frames on their way out: fragments, Ethernet headers, and the frame in the device's memory."""

from collections import deque
from collections.abc import Callable
from typing import ClassVar

from motenet.core.checksum import Buffer
from motenet.core.rng import Stream
from motenet.core.trace import HasNow, Watched
from motenet.doors import TCP4, TCP6, Capabilities, FrameFacts
from motenet.stack.packet import CompleteFrame, Outgoing, Raw
from motenet.stack.phy import Device, Loopback
from motenet.stack.wire import arp, ethernet, ipv4, ipv6, udp

CHECKSUM_OFFSETS = {ipv4.TCP: 16, ipv4.UDP: udp.CHECKSUM_OFFSET}
"""Where the checksum lies in the headers of the transports whose checksum a card computes (RFC 9293, 3.1; RFC 768)."""


class Link(Watched):
    """Sends frames through the device of the current poll; what it refuses is the caller's again (`full`)."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "ident", "backlog", "frames", "bytes", "fragmented")

    def __init__(self, clock: HasNow, stream: Stream, tag: int | None = None, path: str = "link") -> None:
        super().__init__(clock, path)
        self.stream = stream
        self.tag = tag
        """IEEE 802.1Q: the tag of all our frames; None: they carry none."""
        self.mac = ethernet.UNKNOWN
        self.mtu = 1500
        """Largest IP packet in bytes."""
        self.device: Device = Loopback(0)
        self.now = 0
        self.full = False
        """The device has refused a frame since `begin`."""
        self.ident = stream.bits(16)
        self.backlog: deque[bytes] = deque()
        """Frames that go out before all others."""
        self.frames = 0
        self.bytes = 0
        self.fragmented = 0
        """Datagrams sent in fragments."""
        self.header = ethernet.HEADER_LENGTH + (0 if tag is None else ethernet.TAG_LENGTH)
        """Bytes in front of the IP header."""
        self.adopt(ethernet.UNKNOWN, Capabilities())

    def adopt(self, mac: bytes, capabilities: Capabilities) -> None:
        """Take the device's Ethernet address, and what it can do."""
        self.mac = mac
        self.mtu = capabilities.mtu
        start4, start6 = self.header + ipv4.HEADER_LENGTH, self.header + ipv6.HEADER_LENGTH
        offsets = CHECKSUM_OFFSETS if capabilities.checksum_tx else {}
        self._offloads4 = {protocol: FrameFacts(start4, offset) for protocol, offset in offsets.items()}
        self._offloads6 = {protocol: FrameFacts(start6, offset) for protocol, offset in offsets.items()}

    def begin(self, now: int, device: Device) -> None:
        """A poll begins: send what was left over from the last one."""
        self.now = now
        self.device = device
        self.full = False
        while self.backlog and self.send_frame(self.backlog[0]):
            self.backlog.popleft()

    @property
    def has_mac(self) -> bool:
        """Whether the device's address is known."""
        return self.mac != ethernet.UNKNOWN

    # --- packets

    def transmit(self, packet: Outgoing, mac: bytes, mtu: int) -> bool:
        """Send a packet to a neighbor, in fragments if it exceeds `mtu`. False: there is no room for it."""
        if self.backlog:
            self.full = True
            return False
        size = self.prepare(packet, mac)
        packet.ident = self.ident
        if size - self.header <= mtu or packet.segment_size or packet.complete:
            facts = self._facts(packet) if self._offloads4 or packet.segment_size else None
            packet.checksum = facts is None
            packet.flags = ipv4.DONT_FRAGMENT if packet.whole else 0
            sent = self._consume(size, packet.write, facts)
        else:
            sent = self._fragment(packet, mtu)
        if sent:
            self.ident = (self.ident + packet.idents) & 0xFFFF
        return sent

    def prepare(self, packet: Outgoing, mac: bytes) -> int:
        """Fill in what is written into the frame; returns the frame's length."""
        packet.from_mac, packet.to_mac, packet.tag = self.mac, mac, self.tag
        packet.length = length = packet.transport.length
        packet.header = header = packet.header_length
        return self.header + header + length

    def _facts(self, packet: Outgoing) -> FrameFacts | None:
        """What the card is to compute."""
        if packet.complete or packet.router_alert or packet.via or isinstance(packet.transport, Raw):
            return None
        six = len(packet.destination) == 16
        size = packet.segment_size
        if size:
            start = self.header + packet.header
            header = start + packet.transport_header
            kind = TCP6 if six else TCP4
            return FrameFacts(start, CHECKSUM_OFFSETS[packet.protocol], size, header, segment_kind=kind)
        return (self._offloads6 if six else self._offloads4).get(packet.protocol)

    def _consume(self, length: int, write: Callable[[memoryview], None], facts: FrameFacts | None) -> bool:
        token = self.device.transmit(self.now)
        if token is None or not token.consume(length, write, facts):
            self.full = True
            return False
        self.frames += 1
        self.bytes += length
        return True

    def _fragment(self, packet: Outgoing, mtu: int) -> bool:
        """Pieces in units of 8 bytes; all but the last say that more follow (RFC 791, 3.2; RFC 8200, 4.5)."""
        payload = memoryview(packet.payload())
        ident = self.stream.bits(32) if len(packet.destination) == 16 else None
        if ident is not None:
            packet.fragment = (0, True, ident)
        packet.header = header = packet.header_length
        step = (mtu - header) & ~7
        packet.checksum = False
        for offset in range(0, len(payload), step):
            piece = payload[offset : offset + step]
            more = offset + step < len(payload)
            packet.transport, packet.length = Raw(piece), len(piece)
            if ident is not None:
                packet.fragment = (offset, more, ident)
            packet.flags = offset >> 3 | (ipv4.MORE_FRAGMENTS if more else 0)
            length = self.header + header + len(piece)
            if self.full or not self._consume(length, packet.write, None):
                if offset == 0:
                    return False
                self._postpone(packet, length)
        self.fragmented += 1
        return True

    def _postpone(self, packet: Outgoing, length: int) -> None:
        """Part of the datagram is on its way: the rest follows it before anything else."""
        frame = bytearray(length)
        packet.write(memoryview(frame))
        self.backlog.append(bytes(frame))

    # --- frames

    def send_frame(self, frame: Buffer) -> bool:
        """Send a frame that is complete. False: there is no room."""
        return self._consume(len(frame), CompleteFrame(frame).write, None)

    def send_arp(self, packet: arp.Packet, destination: bytes) -> None:
        """Send an ARP packet; a full device loses it."""
        frame = bytearray(self.header + arp.LENGTH)
        view = memoryview(frame)
        start = ethernet.emit(view, destination, self.mac, ethernet.ARP, self.tag)
        packet.emit(view[start:])
        if not self.send_frame(frame):
            self.drop("device-full")
