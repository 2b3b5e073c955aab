"""What an interface does about itself: it proves its addresses, finds its routers or is one, and reports its groups.

The clocks and rules are detection's, autoconfiguration's, advertising's and membership's; what they want is sent here.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar

from motenet.core.rng import Stream
from motenet.core.state import Component
from motenet.core.trace import HasNow, Watched
from motenet.stack.address import ALL_NODES6, ALL_ROUTERS6, ANY, ANY6, Cidr, multicast_mac
from motenet.stack.addressing import OPTIMISTIC
from motenet.stack.advertising import Advertising, RouterConfiguration
from motenet.stack.autoconfiguration import Autoconfiguration
from motenet.stack.detection import ANNOUNCE, PROBE, SETTLED, Detection
from motenet.stack.membership import Membership
from motenet.stack.packet import Outgoing
from motenet.stack.sockets.tcp.socket import TcpSocket
from motenet.stack.wire import igmp, ipv4, ipv6, mld, ndisc

if TYPE_CHECKING:
    from motenet.stack.interface import Interface

AUTO = "auto"
"""What an address may be instead of one: what the link's routers say (SLAAC, RFC 4862)."""
DHCP = "dhcp"
"""The same: what a DHCP server says (RFC 2131)."""


def _nobody(address: bytes) -> None:
    """No DHCP client has asked for the address."""


class Housekeeping(Watched):
    """One interface's."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "six", "automatic", "advertise", "members")

    def __init__(self, clock: HasNow, stream: Stream, interface: "Interface") -> None:
        super().__init__(clock, "housekeeping")
        self.interface = interface
        self.detection = Detection(clock, stream)
        routes = interface.node.routing.routes
        self.autoconfiguration = Autoconfiguration(
            clock, stream, interface.addressing, routes, interface.neighbors, self.detection, interface.name
        )
        self.advertising = Advertising(clock, stream)
        self.membership = Membership(clock, stream)
        self.settled: Callable[[bytes], None] = _nobody
        """Wiring, set by DHCP's client: hears that an address is ours."""
        self.duplicate: Callable[[bytes], None] = _nobody
        """Wiring, set by DHCP's client: hears that an address is somebody else's."""
        self.six = False
        """IPv6 is spoken here: there is a link-local address, or will be."""
        self.automatic = False
        """Addresses come from the link's routers."""
        self.advertise = False
        """We are to be a router that tells of itself, once the link-local address is settled."""
        self.members: dict[bytes, None] = {}
        """The groups that `membership` has heard of."""
        interface.neighbors.router_lost = self.autoconfiguration.remove_router

    def parts(self) -> Iterable[Component]:
        return (self.detection, self.autoconfiguration, self.advertising, self.membership)

    # --- what the stack wants

    def configure(self, address: str | Cidr, probe: bool = False) -> None:
        """Have another address, "auto" or "dhcp". With `probe` it is not used before it is proven that nobody has it.

        An IPv6 address is used at once, and proven meanwhile (RFC 4429).
        """
        addressing, now = self.interface.addressing, self.clock.now
        if address == AUTO:
            self.six = self.automatic = True
        elif address == DHCP:
            self.interface.node.sockets.dhcp_client(self.interface.name).acquire()
        else:
            entry = addressing.add(address, tentative=probe)
            if len(entry.cidr.address) == 16:
                self.six = True
                entry.state = entry.state if probe else OPTIMISTIC
            if probe or len(entry.cidr.address) == 16:
                self.detection.begin(entry.cidr.address, now)
        self._speak_six(now)

    def carrier(self, up: bool) -> None:
        """The cable is there now, or is not any more."""
        now = self.clock.now
        if not up:
            self.autoconfiguration.stop()
            return
        self.detection.restart(now)
        self.membership.restart(now)
        self.autoconfiguration.mac = b""
        self._speak_six(now)

    def route(self) -> None:
        """We are a router from now on, or a host again, which looks for routers (RFC 4861, 6.2.5 and 6.3.7)."""
        if self.advertising.active:
            self.be_router(self.advertising.configuration)
        self._speak_six(self.clock.now)

    def _speak_six(self, now: int) -> None:
        """Have a link-local address and look for routers, if that has not begun since the carrier came."""
        link, configuration = self.interface.link, self.autoconfiguration
        accept = self.automatic and not self.interface.node.forwarding.enabled
        begun = configuration.mac and configuration.accept_advertisements == accept
        configuration.accept_advertisements = accept
        if self.six and self.interface.link_up and link.has_mac and not begun:
            configuration.start(link.mac, link.mtu, now)

    def be_router(self, configuration: RouterConfiguration | None) -> None:
        """Tell hosts of this router, its networks and servers (RFC 4861, 6.2); None: no more."""
        if configuration is None:
            self.advertise = False
            self.advertising.stop(self.clock.now)
            return
        self.six = self.advertise = True
        self.advertising.configuration = configuration
        if self.advertising.active:
            self.advertising.start(configuration, self.interface.link.mac, self.clock.now)
        self._speak_six(self.clock.now)

    # --- what is due

    def due(self, now: int) -> None:
        """Send what is due. Only with a carrier: whatever is said without one is lost."""
        if self.interface.addressing.members != self.members:
            self._update_groups(now)
        self.detection.retain(self.interface.addressing.entries)
        self._detect(now)
        if self.six:
            self.interface.discovery.due(now)
            self._find_routers(now)
        for group, message in self.membership.due(now):
            self._report(group, message)

    def poll_at(self) -> int | None:
        """When `due` next has work, in ns."""
        if not self.interface.link_up:
            return None
        if self.interface.addressing.members != self.members:
            return 0
        discovery = self.interface.discovery
        parts = (self.detection, discovery, self.autoconfiguration, self.advertising, self.membership)
        return min((at for part in parts if (at := part.poll_at()) is not None), default=None)

    def _detect(self, now: int) -> None:
        discovery, addressing = self.interface.discovery, self.interface.addressing
        for action, address in self.detection.due(now):
            if action == PROBE:
                discovery.probe(address)
            elif action == ANNOUNCE:
                discovery.announce(address)
            elif action == SETTLED:
                unidentified = addressing.link_local is None
                addressing.settle(address)
                if unidentified and addressing.link_local is not None:
                    self.membership.identified(now)
                self.settled(address)
            else:
                self.autoconfiguration.duplicate(address)
                self.duplicate(address)
                self._abandon(address)

    def _abandon(self, address: bytes) -> None:
        """RFC 5227, 2.4: connections from an address that is given up should be reset."""
        if not self.interface.node.routing.is_ours(address):
            for _, socket in list(self.interface.node.sockets):
                if isinstance(socket, TcpSocket) and socket.local[0] == address:
                    socket.abort()

    def _find_routers(self, now: int) -> None:
        discovery, own = self.interface.discovery, self.interface.addressing.link_local
        if self.autoconfiguration.due(now):
            known = own is not None and self.interface.addressing.entries[own].state != OPTIMISTIC  # RFC 4429, 3.2
            solicitation = ndisc.RouterSolicitation(self.interface.link.mac if known else b"")
            discovery.send(solicitation, own or ANY6, ALL_ROUTERS6)
        if self.advertise and own is not None and not self.advertising.active:
            self.advertising.start(self.advertising.configuration, self.interface.link.mac, now)
        advertisement = self.advertising.due(now, self.interface.node.forwarding.enabled)
        if advertisement is not None and own is not None:
            discovery.send(advertisement, own, ALL_NODES6)

    # --- groups

    def _update_groups(self, now: int) -> None:
        members = self.interface.addressing.members
        for group in [group for group in self.members if group not in members]:
            self.membership.left(group, now)
        for group in [group for group in members if group not in self.members]:
            self.membership.joined(group, now)
        self.members = dict(members)

    def _report(self, destination: bytes, message: igmp.Message | mld.Message) -> None:
        """RFC 2236, 2; RFC 2710, 3: hop limit 1, and routers are to look at it (RFC 3590: from :: if need be)."""
        interface = self.interface
        if isinstance(message, mld.Message):
            own = interface.addressing.link_local or ANY6
            packet = Outgoing(own, destination, ipv6.ICMP, mld.emit(message), 1)
        else:
            way = interface.node.routing.way(destination, interface.name)
            packet = Outgoing(ANY if way is None else way.source, destination, ipv4.IGMP, message, 1)
        packet.router_alert = True
        if not interface.link.transmit(packet, multicast_mac(destination), interface.link.mtu):
            self.drop("device-full")
