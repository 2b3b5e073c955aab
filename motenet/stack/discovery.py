"""Who is who on the link: ARP (RFC 826, RFC 5227) and neighbor discovery (RFC 4861), as far as frames go."""

from typing import TYPE_CHECKING, ClassVar

from motenet.core.rng import Stream
from motenet.core.trace import HasNow, Watched
from motenet.core.units import SECOND
from motenet.stack.address import ALL_NODES6, ANY, ANY6, is_link_local, multicast_mac, solicited_node
from motenet.stack.addressing import ANYCAST, OPTIMISTIC, UNICAST
from motenet.stack.packet import Outgoing, Packet
from motenet.stack.selection import select
from motenet.stack.sockets.tcp.socket import TcpSocket
from motenet.stack.wire import arp, ethernet, icmpv4, icmpv6, ipv4, ipv6, ndisc

if TYPE_CHECKING:
    from motenet.stack.interface import Interface

_REDIRECTED = ipv6.MINIMUM_MTU - ipv6.HEADER_LENGTH - 64 & ~7
"""RFC 4861, 4.6.3: of the packet as much as fits, behind two addresses and two options."""
_LEAST_QUOTED = 100
"""Bytes: shorter packets are not quoted, or they and the redirect would be more than three times what came."""

MAX_ANYCAST_DELAY_TIME = 1 * SECOND
"""RFC 4861, 10."""
_MOST_DELAYED = 64  # answers


class Discovery(Watched):
    """Asks for neighbors, answers for us, and hears what is said; the caches and clocks are other components'."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "delayed")

    def __init__(self, clock: HasNow, stream: Stream, interface: "Interface") -> None:
        super().__init__(clock, "discovery")
        self.stream = stream
        self.interface = interface
        self.delayed: list[tuple[int, bytes, bytes, bytes]] = []
        """Advertisements: when one is due, its target, to whom, and to which Ethernet address."""

    @property
    def mac(self) -> bytes:
        """The Ethernet address of our own card."""
        return self.interface.link.mac

    # --- asking and telling

    def solicit(self, target: bytes, mac: bytes | None) -> None:
        """Ask who has an address: everybody, or the one who had it."""
        way = self.interface.node.routing.way(target, self.interface.name)
        if way is None:
            return
        source = self._prompting(target) or way.source
        if len(target) == 16:
            record = ndisc.NeighborSolicitation(target, self.mac if self._is_proven(source) else b"")
            self.send(record, source, target if mac else solicited_node(target), mac)
        else:
            self._send_arp(arp.Packet(arp.REQUEST, self.mac, source, ethernet.UNKNOWN, target), mac)

    def _send_arp(self, packet: arp.Packet, mac: bytes | None) -> None:
        """RFC 3927, 2.5: what has a sender of the link's scope goes to everybody, so that conflicts are found."""
        if mac is None or is_link_local(packet.sender_address):
            mac = ethernet.BROADCAST
        self.interface.link.send_arp(packet, mac)

    def _prompting(self, target: bytes) -> bytes:
        """The source of what waits for a neighbor: answers to that go there (RFC 4861, 7.2.2; Linux's arp_announce)."""
        search = self.interface.neighbors.unresolved.get(target)
        if search is None:
            return b""
        sockets = self.interface.node.sockets
        waiting = [socket.local[0] for one in search.sockets if isinstance(socket := sockets.get(one), TcpSocket)]
        sources = (search.source, *(packet[0] for packet in search.packets), *waiting)
        search.source = next((source for source in sources if self._is_proven(source)), b"")
        return search.source

    def _is_proven(self, address: bytes) -> bool:
        """Ours, and not optimistic: such an address is not to get into others' caches (RFC 4429, 3.2)."""
        entry = self.interface.addressing.entries.get(address)
        return entry is not None and entry.usable and entry.state != OPTIMISTIC

    def probe(self, address: bytes) -> None:
        """Ask whether anybody has an address that is to be ours (RFC 5227, 2.1.1; RFC 4862, 5.4.2)."""
        if len(address) == 4:
            self._send_arp(arp.probe(self.mac, address), None)
        else:
            nonce = self.interface.housekeeping.detection.nonce(address)
            self.send(ndisc.NeighborSolicitation(address, nonce=nonce), ANY6, solicited_node(address))

    def send(self, record: ndisc.Record, source: bytes, destination: bytes, mac: bytes | None = None) -> None:
        """Send a message of neighbor discovery, to a group or to a neighbor's Ethernet address."""
        packet = Outgoing(source, destination, ipv6.ICMP, ndisc.emit(record), ndisc.HOP_LIMIT)
        link = self.interface.link
        if not link.transmit(packet, mac or multicast_mac(destination), link.mtu):
            self.drop("device-full")

    def announce(self, address: bytes) -> None:
        """Tell all neighbors that an address is ours (RFC 5227, 2.3; RFC 4861, 7.2.6)."""
        if len(address) == 4:
            self._send_arp(arp.announcement(self.mac, address), None)
        else:
            self._advertise(address, ALL_NODES6, multicast_mac(ALL_NODES6))

    def _advertise(self, address: bytes, destination: bytes, mac: bytes) -> None:
        """What is not proven to be ours alone overrides nobody's cache (RFC 4429, 3.2; RFC 4861, 7.2.7)."""
        router, solicited = self.interface.node.forwarding.enabled, destination != ALL_NODES6
        record = ndisc.NeighborAdvertisement(address, router, solicited, self._is_proven(address), self.mac)
        addressing = self.interface.addressing
        source = address if addressing.has(address) else select(addressing, destination, destination)
        self.send(record, source or ANY6, destination, mac)

    # --- what is heard

    def process_arp(self, packet: arp.Packet) -> None:
        """RFC 826, Packet Reception; the reply goes out before anything else."""
        interface, now = self.interface, self.interface.node.now
        sender, mac, target = packet.sender_address, packet.sender_mac, packet.target_address
        if mac[0] & 1:
            self.drop("arp-group")  # RFC 1812, 3.3.2: a group's or broadcast address is no station's
            return
        if mac == self.mac:
            self.drop("arp-looped")
            return
        if interface.housekeeping.detection.heard_arp(sender, mac, target, now):
            return
        if interface.addressing.has(sender):
            if sender in interface.addressing.entries:
                interface.housekeeping.detection.defend(sender, mac, now)  # RFC 5227, 2.4
            else:
                self.drop("arp-conflict")
            return
        ours = interface.addressing.has(target)
        if sender != ANY and (ours or interface.neighbors.knows(sender)):
            if not interface.addressing.is_neighbor(sender) or sender in interface.addressing.listening:
                self.drop("arp-not-on-link")
                return
            is_reply = packet.operation == arp.REPLY
            interface.resolved(mac, interface.neighbors.learn(sender, mac, now, is_reply))
        if ours and packet.operation == arp.REQUEST:
            self._send_arp(arp.Packet(arp.REPLY, self.mac, target, mac, sender), mac)

    def process_ndisc(self, packet: ipv6.Packet, message: icmpv6.Message) -> None:
        """Take a message of neighbor discovery; Malformed if it may not come so."""
        record = ndisc.parse(message)
        ndisc.check(record, packet.hop_limit, packet.source, packet.destination, packet.fragmented)
        if isinstance(record, ndisc.NeighborSolicitation):
            self._solicited(packet, record)
        elif isinstance(record, ndisc.NeighborAdvertisement):
            self._advertised(record)
        elif isinstance(record, ndisc.Redirect):
            self._redirected(packet, record)
        elif isinstance(record, ndisc.RouterAdvertisement):
            self._router_advertised(packet, record)
        else:
            self._router_solicited(packet, record)

    def _solicited(self, packet: ipv6.Packet, record: ndisc.NeighborSolicitation) -> None:
        """RFC 4861, 7.2.3 and 7.2.4; RFC 4862, 5.4.3."""
        interface, now, target, source = self.interface, self.interface.node.now, record.target, packet.source
        if interface.housekeeping.detection.heard_solicitation(target, source, record.nonce):
            return
        kind = interface.addressing.listening.get(target)
        if kind not in (UNICAST, ANYCAST) or interface.ingress.sender[0] & 1:
            self.drop("ndisc-other-host")
            return
        destination, mac = ALL_NODES6, multicast_mac(ALL_NODES6)
        if any(source):
            heard = interface.neighbors.heard(source, record.source_mac or None, now)
            interface.resolved(record.source_mac, heard)
            # who has no proven address does not say its Ethernet address (RFC 4429, 3.2): the frame does
            destination, mac = source, interface.neighbors.lookup(source, now) or interface.ingress.sender
        if kind == UNICAST:
            self._advertise(target, destination, mac)
        elif len(self.delayed) < _MOST_DELAYED:
            at = now + self.stream.between(0, MAX_ANYCAST_DELAY_TIME)
            self.delayed.append((at, target, destination, mac))
        else:
            self.drop("ndisc-delayed")

    def due(self, now: int) -> None:
        """Send the answers for anycast addresses whose time has come (RFC 4861, 7.2.7)."""
        for answer in [answer for answer in self.delayed if answer[0] <= now]:
            self.delayed.remove(answer)
            if self.interface.addressing.listening.get(answer[1]) == ANYCAST:
                self._advertise(*answer[1:])

    def poll_at(self) -> int | None:
        """When `due` next has something, in ns."""
        return min(self.delayed)[0] if self.delayed else None

    def _advertised(self, record: ndisc.NeighborAdvertisement) -> None:
        """RFC 4861, 7.2.5; RFC 4862, 5.4.4."""
        interface = self.interface
        if interface.housekeeping.detection.heard_advertisement(record.target, record.target_mac, self.mac):
            return
        waiting = interface.neighbors.advertised(
            record.target, record.target_mac or None, interface.node.now,
            record.solicited, record.override, record.router,
        )  # fmt: skip
        interface.resolved(record.target_mac, waiting)

    def _router_advertised(self, packet: ipv6.Packet, record: ndisc.RouterAdvertisement) -> None:
        """RFC 4861, 6.3.4, or for a router 6.2.7."""
        interface, keeping = self.interface, self.interface.housekeeping
        if interface.node.forwarding.enabled:
            keeping.advertising.heard_advertisement(record)
            return
        waiting = keeping.autoconfiguration.heard_advertisement(packet.source, record, interface.node.now)
        interface.fit_mtu()
        interface.resolved(record.source_mac, waiting)

    def _router_solicited(self, packet: ipv6.Packet, record: ndisc.RouterSolicitation) -> None:
        """RFC 4861, 6.2.6: a host must discard it."""
        interface, now = self.interface, self.interface.node.now
        if not interface.housekeeping.advertising.active:
            self.drop("rs-no-router")
            return
        if any(packet.source):
            mac = record.source_mac or None
            interface.resolved(record.source_mac, interface.neighbors.heard(packet.source, mac, now, False))
        interface.housekeeping.advertising.heard_solicitation(now)

    def _redirected(self, packet: ipv6.Packet, record: ndisc.Redirect) -> None:
        """RFC 4861, 8.3."""
        interface = self.interface
        if interface.node.icmp.redirected(interface, packet.source, record.target, record.destination):
            router = True if record.target != record.destination else None
            waiting = interface.neighbors.heard(record.target, record.target_mac or None, interface.node.now, router)
            interface.resolved(record.target_mac, waiting)

    def redirect(self, packet: Packet, hop: bytes) -> None:
        """A router's: tell a neighbor of a better first hop (RFC 1812, 5.2.7.2; RFC 4861, 8.2)."""
        interface, icmp = self.interface, self.interface.node.icmp
        if not icmp.may_send():
            return
        if isinstance(packet, ipv4.Packet):
            quoted = bytes(packet.header) + bytes(packet.payload[:8])
            message = icmpv4.Message(icmpv4.REDIRECT, icmpv4.REDIRECT_HOST, int.from_bytes(hop, "big"), quoted)
            interface.node.output.reply(Outgoing(b"", packet.source, ipv4.ICMP, message, interface=interface.name))
            return
        own = interface.addressing.link_local
        if own is None or (hop != packet.destination and not is_link_local(hop)):
            return  # RFC 4861, 8.2: hosts know routers by such addresses alone
        whole = bytes(packet.header) + bytes(packet.payload)
        quoted = whole[:_REDIRECTED] if len(whole) >= _LEAST_QUOTED else b""
        mac = interface.neighbors.lookup(hop, interface.node.now) or b""
        record = ndisc.Redirect(hop, packet.destination, mac, quoted)
        interface.node.output.reply(
            Outgoing(own, packet.source, ipv6.ICMP, ndisc.emit(record), ndisc.HOP_LIMIT, interface=interface.name)
        )
