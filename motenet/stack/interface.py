"""An interface: one device (or one VLAN of it), its addresses, its neighbors, and its frames in and out."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from motenet.core.state import Component
from motenet.core.trace import HasNow, Watched
from motenet.doors import Capabilities
from motenet.stack.address import format_scoped, is_link_local, is_multicast
from motenet.stack.addressing import Addressing
from motenet.stack.discovery import Discovery
from motenet.stack.housekeeping import Housekeeping
from motenet.stack.ingress import Ingress
from motenet.stack.leasing import Leasing
from motenet.stack.link import Link
from motenet.stack.neighbor import NeighborCache
from motenet.stack.node import Node
from motenet.stack.phy import Device
from motenet.stack.routing import SMALLEST_MTU
from motenet.stack.searches import Resolution
from motenet.stack.wire import ethernet, ipv4, ipv6
from motenet.stack.wire.dns import Name

if TYPE_CHECKING:
    from motenet.core.rng import Stream
    from motenet.stack.sockets.set import SocketSet

FRAME_BUDGET = 256
"""Frames taken in one poll; if more wait, `poll_at` says that the next poll is due at once."""

_LARGEST_HEADERS = {4: ipv4.HEADER_LENGTH + 60, 16: ipv6.HEADER_LENGTH + 60}
"""With all options that TCP can have (RFC 9293, 3.1: the data offset has four bits)."""


class Interface(Watched):
    """Ethernet, IPv4 and IPv6 on one device. Several of them share a Node; one alone makes its own.

    All times are integer nanoseconds.
    """

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "more", "link_up", "accept_redirects", "dead")

    def __init__(
        self,
        clock: HasNow,
        stream: "Stream",
        node: Node | None = None,
        name: str = "eth0",
        parent: "Interface | None" = None,
        vlan: int | None = None,
    ) -> None:
        super().__init__(clock, name)
        self.name = name
        self.vlan = vlan
        """IEEE 802.1Q: the identifier, 1 to 4094, of the network that is ours; None: what has no tag."""
        self.vlans: dict[int, Interface] = {}
        """Interfaces on the same device, by the VLAN that is theirs."""
        if parent is not None and vlan is not None:
            parent.vlans[vlan] = self
        self.node = node = Node(clock, stream) if node is None else node
        self.link = Link(clock, stream, vlan)
        self.addressing = Addressing()
        self.addressing.changed = node.routing.forget
        self.neighbors = NeighborCache(clock, stream)
        self.link_up = True
        """Whether there is a carrier, as of the last poll."""
        self.housekeeping = Housekeeping(clock, stream, self)
        self.leasing = Leasing(clock, self)
        self.discovery = Discovery(clock, stream, self)
        self.ingress = Ingress(clock, self)
        self._capable = self.link.mtu
        self.max_segmented: dict[int, int] = {4: 0, 16: 0}
        """For each length of an address: payload bytes that the card cuts into TCP segments; 0: it does not."""
        self.dead: dict[bytes, int] = {}
        """Routers that have not answered, and when that was last found, in ns: others go first, until they do."""
        self.unreachable: dict[bytes, None] = {}
        """Neighbors that were not found in this poll: what waited for them counts as sent and lost."""
        self.more = False
        """The last poll has left frames in the device."""
        self.accept_redirects = True
        """RFC 1122, 3.2.2.2 and RFC 4861, 8.3; a router takes none (RFC 1812, 5.2.7.2)."""
        self.alone = True
        """There is no other interface."""
        self.neighbors.turned = self._turned
        node.join(self)

    def parts(self) -> Iterable[Component]:
        return (
            self.addressing,
            self.neighbors,
            self.housekeeping,
            self.leasing,
            self.link,
            self.discovery,
            self.ingress,
        )

    @property
    def sockets(self) -> "SocketSet":
        """All sockets of the node."""
        return self.node.sockets

    def adopt(self, mac: bytes, capabilities: Capabilities) -> None:
        """Take the device's Ethernet address and what it can do."""
        self.ingress.mac = mac
        self.link.adopt(mac, capabilities)
        self._capable = capabilities.mtu
        for family, limit in ((4, capabilities.max_segmented), (16, capabilities.max_segmented_ipv6)):
            largest = min(limit - ethernet.HEADER_LENGTH, ipv4.MAXIMUM_LENGTH) - _LARGEST_HEADERS[family]
            self.max_segmented[family] = max(largest, 0) if self.vlan is None else 0
        self.fit_mtu()
        self.leasing.carrier()

    def fit_mtu(self) -> None:
        """The largest packet is what the device takes, or less if a DHCP server says so (RFC 2132, 5.1)."""
        told = self.leasing.mtu
        self.link.mtu = min(self._capable, told) if told >= SMALLEST_MTU else self._capable
        self.node.routing.forget()
        self.node.sockets.refit()

    def carrier(self, up: bool) -> None:
        """Whether there is a carrier, as a poll has found."""
        if up != self.link_up:
            self.link_up = up
            self.housekeeping.carrier(up)
            self.leasing.carrier()

    def route(self, on: bool) -> None:
        """Be a router's interface, or no more: it belongs to the routers' groups, and takes no redirects."""
        self.accept_redirects = not on
        self.addressing.route(on)
        self.housekeeping.route()

    def scope(self, address: bytes) -> str:
        """Our name, if the address means something on this link alone (RFC 4007, 6)."""
        return self.name if is_link_local(address) or is_multicast(address) else ""

    def name_servers(self) -> list[str]:
        """Whom DHCP and routers say to ask for names; of the link's scope, with our name (RFC 4007, 11)."""
        told = [*self.leasing.servers, *self.housekeeping.autoconfiguration.name_servers(self.clock.now)]
        return [format_scoped(one, self.name if is_link_local(one) else "") for one in told]

    def search_domains(self) -> list[str | Name]:
        """Where DHCP and routers say to look for names."""
        return [*self.leasing.search, *self.housekeeping.autoconfiguration.search_domains(self.clock.now)]

    def lose(self, address: bytes) -> None:
        """A neighbor does not answer; if it is a router, others go before it (RFC 4861, 6.3.6; RFC 1122, 3.3.1.4)."""
        self.node.routing.routes.remove_redirects(address)
        routing = self.node.routing
        if routing.has_gateway(address):
            for other in [one for one in self.dead if not routing.has_gateway(one)]:
                del self.dead[other]
            self.dead[address] = self.node.now
            routing.forget()

    def _turned(self, address: bytes, reachable: bool) -> None:
        if not reachable:
            self.lose(address)
        elif address in self.dead:
            del self.dead[address]
            self.node.routing.forget()

    # --- poll

    def poll(self, now: int, device: Device) -> bool:
        """Receive what has come, send what is due. Says whether anything was received or sent.

        For an interface that is alone; several are polled by their NetworkStack.
        """
        return self.node.poll(now, ((self, device),))

    def poll_at(self, now: int) -> int | None:
        """When `poll` next has work, in ns; None if only a frame or an application can make some."""
        return self.node.poll_at(now)

    def begin(self, now: int, device: Device) -> None:
        """A poll begins: what was left over from the last one goes first."""
        self.link.begin(now, device)
        for interface in self.vlans.values():
            interface.link.begin(now, device)

    def receive(self, now: int, device: Device) -> None:
        """Take the device's frames, those of its VLANs too."""
        frame = self.ingress.frame
        for _ in range(FRAME_BUDGET):
            tokens = device.receive(now)
            if tokens is None:
                self.more = False
                return
            tokens[0].consume(frame)
        self.more = True

    def expire(self, now: int) -> list[tuple[bytes, Resolution]]:
        """End what has had its time; returns the neighbors that were not found, with what waited for them."""
        at = self.addressing.poll_at()
        if at is not None and at <= now:
            self.addressing.expire(now)
        return self.neighbors.failed(now) if self.neighbors.unresolved else []

    def ask(self, now: int) -> list[int]:
        """Send what neighbors are to be asked, or told; returns the sockets that are to be looked at meanwhile."""
        asked, released = self.neighbors.due(now)
        for address, mac in asked:
            self.discovery.solicit(address, mac)
        if self.link_up:
            self.housekeeping.due(now)
        return released

    def next_at(self) -> int | None:
        """When `expire` or `ask` next has work, in ns."""
        times = (self.neighbors.poll_at(), self.addressing.poll_at(), self.housekeeping.poll_at())
        return min((time for time in times if time is not None), default=None)

    def resolved(self, mac: bytes, resolution: Resolution | None) -> None:
        """A neighbor is found: what waited for it goes on."""
        if resolution is not None:
            self.node.output.release(self, resolution.packets, mac)
            for handle in resolution.sockets:
                self.node.sockets.mark(handle)
