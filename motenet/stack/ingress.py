"""The way in: from a frame to the packet, and to whom it goes: us, a neighbor's question, or onwards."""

from typing import TYPE_CHECKING, ClassVar

from motenet.core.trace import HasNow, Watched
from motenet.doors import Received
from motenet.stack.address import ANY, is_link_local, is_loopback, is_mapped, is_multicast
from motenet.stack.addressing import ANYCAST, MULTICAST, UNICAST
from motenet.stack.packet import Packet
from motenet.stack.wire import Malformed, arp, ethernet, icmpv6, ipv4, ipv6

if TYPE_CHECKING:
    from motenet.stack.interface import Interface

_VLAN_IDENTIFIER = 0x0FFF
_ADVERTISEMENT = bytes((icmpv6.NEIGHBOR_ADVERTISEMENT,))


class Ingress(Watched):
    """Takes an interface's frames, one at a time."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "frames", "bytes")

    def __init__(self, clock: HasNow, interface: "Interface") -> None:
        super().__init__(clock, "ingress")
        self.interface = interface
        self.mac = b""
        self.sender = b""
        """The Ethernet address that the frame at hand has come from."""
        self.frames = 0
        self.bytes = 0
        self._received = Received(memoryview(b""))
        self._looped = False

    def frame(self, received: Received) -> None:
        """Take a frame from the device. This is the one place where malformed packets end."""
        self._count(received)
        try:
            frame = ethernet.parse(received.frame)
            if frame.vlan is None and received.vlan is None:
                self._ethernet(frame)
            else:
                self._tagged(frame, received.vlan)
        except Malformed as malformed:
            self.drop(malformed.reason, frame=bytes(received.frame) if self.watch is not None else b"")

    def looped(self, frame: bytes) -> None:
        """Take a frame from ourselves."""
        self._looped = True
        try:
            self.frame(Received(memoryview(frame), checksum_ok=True))
        finally:  # what an application's waker raises passes through
            self._looped = False

    def _tagged(self, frame: ethernet.Frame, tag: int | None) -> None:
        """IEEE 802.1Q: identifier 0 is only a priority; all others are other networks, which have interfaces."""
        if tag is not None and frame.vlan is not None:
            raise Malformed("vlan-stacked")  # one tag the card has stripped, another is in the frame
        identifier = ((tag or 0) | (frame.vlan or 0)) & _VLAN_IDENTIFIER
        if identifier == (self.interface.vlan or 0):
            self._ethernet(frame)
        elif identifier in self.interface.vlans:
            self.interface.vlans[identifier].ingress.pass_on(frame, self._received)
        else:
            self.drop("vlan")

    def pass_on(self, frame: ethernet.Frame, received: Received) -> None:
        """Take a frame with our VLAN's tag from the interface of the device."""
        self._count(received)
        self._ethernet(frame)

    def _count(self, received: Received) -> None:
        self._received = received
        self.frames += 1
        self.bytes += len(received.frame)
        if received.more:
            self.bytes += sum(map(len, received.more))

    def _ethernet(self, frame: ethernet.Frame) -> None:
        destination = frame.destination
        self.sender = frame.source
        groups = self.interface.addressing.macs
        if destination != self.mac and destination != ethernet.BROADCAST and destination not in groups:
            self.drop("other-station")
        elif frame.ethertype == ethernet.IPV4:
            self._ipv4(frame)
        elif frame.ethertype == ethernet.IPV6:
            self._ipv6(frame)
        elif frame.ethertype == ethernet.ARP:
            self.interface.discovery.process_arp(arp.parse(frame.payload))
        elif frame.ethertype <= ethernet.LARGEST_LENGTH:
            self._ethernet(ethernet.unwrap(frame))  # RFC 1122, 2.3.3
        else:
            self.drop("ethertype")

    def _ipv4(self, frame: ethernet.Frame) -> None:
        interface = self.interface
        try:
            packet = ipv4.parse(frame.payload, not self._received.checksum_ok, interface.node.source_routes)
        except ipv4.Refused as refusal:
            if frame.destination == self.mac:
                interface.node.icmp.refused4(frame.payload, refusal)
            raise
        listening = interface.addressing.listening
        kind = listening.get(packet.destination)
        if kind is None:
            kind = self._elsewhere(packet.destination)
        if self._looped and is_loopback(packet.destination):
            kind = UNICAST
        if kind is None and not interface.node.forwarding.enabled:
            self.drop("other-host")
            return
        if not self._looped and not self._is_sound(packet.source):
            self.drop("source-address")
            return
        if (kind == UNICAST or kind is None) and frame.destination != self.mac:
            self.drop("link-broadcast")  # RFC 1122, 3.3.6; RFC 1812, 5.3.4
            return
        if kind is None:
            interface.node.forwarding.forward4(interface, packet, self._received)
            return
        if packet.is_fragment:
            self._fragment(packet, kind)
        else:
            interface.node.delivery.deliver(interface, packet, kind, self._received)

    def _elsewhere(self, destination: bytes) -> int | None:
        """How a destination that is none of this interface's means us after all.

        RFC 1122, 3.3.4.2: the weak end system model, as Linux has it.
        """
        for interface in self.interface.node.interfaces:
            if interface.addressing.has(destination):
                return UNICAST
            if interface.addressing.listening.get(destination) == ANYCAST:
                return ANYCAST
        return None

    def _is_sound(self, source: bytes) -> bool:
        """RFC 1122, 3.2.1.3: groups, broadcasts, loopback and our own addresses name no single other host.

        Of network 0 there is only 0.0.0.0, a host that does not know its address yet.
        """
        first, interface = source[0], self.interface
        if first >= 0xE0 or first == 127 or (not first and source != ANY) or source in interface.addressing.listening:
            return False
        return interface.alone or not any(source in one.addressing.listening for one in interface.node.interfaces)

    def _ipv6(self, frame: ethernet.Frame) -> None:
        header = ipv6.parse_header(frame.payload)
        interface, node = self.interface, self.interface.node
        source, destination = header.source, header.destination
        kind = interface.addressing.listening.get(destination)
        if kind is None and not is_link_local(destination):
            kind = self._elsewhere(destination)
        if self._looped and is_loopback(destination):
            kind = UNICAST
        if kind is None and not node.forwarding.enabled:
            self.drop("other-host")
            return
        ours = node.routing.is_ours(source) and not self._looped
        inside = (is_loopback(source) or is_mapped(source)) and not self._looped
        if is_multicast(source) or inside or (ours and not _is_advertisement(header)):
            self.drop("source-address")  # RFC 4291, 2.7, 2.5.3 and 2.5.5.2: these name no single other host
            return
        if kind != MULTICAST and frame.destination != self.mac:
            self.drop("link-broadcast")
            return
        if kind is None:
            node.forwarding.forward6(interface, header, self._received)
            return
        try:
            packet = ipv6.parse(frame.payload)
            if not packet.is_fragment:
                node.delivery.deliver(interface, packet, kind, self._received)
            else:
                self._fragment(packet, kind)
        except ipv6.Refused as refusal:
            node.icmp.refused6(interface, kind, refusal)
            raise

    def _fragment(self, packet: Packet, kind: int) -> None:
        node = self.interface.node
        whole = node.reassembly.add(packet, node.now)
        if whole is not None:  # the card has not verified the whole
            node.delivery.deliver(self.interface, whole, kind, Received(whole.payload))


def _is_advertisement(packet: ipv6.Packet) -> bool:
    """RFC 4862, 5.4.4: somebody may tell, from an address that is ours too, that it has that."""
    return packet.protocol == ipv6.ICMP and bytes(packet.payload[:1]) == _ADVERTISEMENT
