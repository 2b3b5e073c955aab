"""Who is who on the link: ARP (RFC 826, RFC 5227) and neighbor discovery (RFC 4861), as far as frames go."""

from typing import TYPE_CHECKING

from motenet.core.trace import HasNow, Watched
from motenet.stack.address import ANY
from motenet.stack.wire import arp, ethernet

if TYPE_CHECKING:
    from motenet.stack.interface import Interface

_NOWHERE = b"\0\0\0\0\0\0"


class Discovery(Watched):
    """Asks for neighbors, answers for us, and hears what is said; the caches and clocks are other components'."""

    def __init__(self, clock: HasNow, interface: "Interface") -> None:
        super().__init__(clock, "discovery")
        self.interface = interface

    @property
    def mac(self) -> bytes:
        """The Ethernet address of our own card."""
        return self.interface.link.mac

    def solicit(self, target: bytes, mac: bytes | None) -> None:
        """Ask who has an address: everybody, or the one who had it."""
        way = self.interface.node.routing.way(target, self.interface.name)
        if way is not None:
            request = arp.Packet(arp.REQUEST, self.mac, way.source, _NOWHERE, target)
            self.interface.link.send_arp(request, mac or ethernet.BROADCAST)

    def announce(self) -> None:
        """Tell all neighbors our addresses (RFC 5227, 2.3); it goes out with the next poll."""
        for cidr in self.interface.addressing.cidrs:
            if len(cidr.address) == 4:
                packet = arp.Packet(arp.REQUEST, self.mac, cidr.address, _NOWHERE, cidr.address)
                self.interface.link.postpone_arp(packet, ethernet.BROADCAST)

    def arp(self, packet: arp.Packet) -> None:
        """RFC 826, Packet Reception; the reply goes out before anything else."""
        interface, now = self.interface, self.interface.node.now
        sender, mac, target = packet.sender_address, packet.sender_mac, packet.target_address
        if mac[0] & 1:
            self.drop("arp-group")  # RFC 1812, 3.3.2: a group's or broadcast address is no station's
            return
        if interface.detection.heard_arp(sender, mac, target, self.mac, now):
            return
        if interface.addressing.has(sender):
            self.drop("arp-conflict")  # RFC 5227, 2.4: somebody else uses our address
            return
        ours = interface.addressing.has(target)
        if sender != ANY and (ours or interface.neighbors.knows(sender)):
            if not interface.addressing.is_neighbor(sender):
                self.drop("arp-not-on-link")
                return
            is_reply = packet.operation == arp.REPLY
            interface.resolved(mac, interface.neighbors.learn(sender, mac, now, is_reply))
        if ours and packet.operation == arp.REQUEST:
            interface.link.send_arp(arp.Packet(arp.REPLY, self.mac, target, mac, sender), mac)
