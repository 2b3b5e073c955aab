"""A TCP/IP stack on one driver or several, but for the verbs that wait: what it consists of, and how it is set up."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, TypeVar

from motenet.core.errors import ConfigurationError
from motenet.core.rng import Stream
from motenet.core.state import Component
from motenet.core.trace import Watched
from motenet.doors import Clock, NetworkDriver
from motenet.stack import listings
from motenet.stack.address import Cidr, format_address, parse_address
from motenet.stack.advertising import AdvertisedPrefix, RouterConfiguration
from motenet.stack.attachment import Attachment
from motenet.stack.interface import Interface
from motenet.stack.node import Node
from motenet.stack.routes import DEFAULT, DEFAULT6
from motenet.stack.sockets.dns import DnsClient
from motenet.stack.sockets.set import SocketSet
from motenet.stack.wire.dns import Name

_T = TypeVar("_T")


class Stack(Watched):
    """What NetworkStack is, but for its verbs: cards, addresses, routes and sockets, polled. Nothing here waits."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "_given_servers", "_told")

    def __init__(
        self,
        driver: NetworkDriver,
        address: str | Cidr | Sequence[str | Cidr] = (),
        gateway: str | Sequence[str] | None = None,
        *,
        seed: int = 0,
        name: str = "stack",
        forwarding: bool = False,
    ) -> None:
        super().__init__(_clock_of(driver), name)
        self.driver = driver
        self.stream = Stream(seed, f"{name}/random")
        self.node = Node(driver.clock, self.stream)
        self.attachments: list[Attachment] = []
        """Our cards."""
        self._given_servers: list[str] = []
        self._told: tuple[list[str], list[str | Name]] = ([], [])
        self.interface = self.add_interface(driver, address)
        for one in (gateway,) if isinstance(gateway, str) else _several("gateway", gateway or (), "10.0.0.254"):
            self.add_route("default", one)
        self.forwarding = forwarding

    def parts(self) -> Iterable[Component]:
        return (self.stream, self.node, *self.attachments)

    # --- driving it

    @property
    def sockets(self) -> SocketSet:
        """All sockets; opening, using and closing them here never blocks."""
        return self.node.sockets

    @property
    def kick(self) -> Callable[[], None] | None:
        """Wiring: called when an application has made a socket ready, so that the host polls; None: no host."""
        return self.sockets.kick

    @kick.setter
    def kick(self, kick: Callable[[], None] | None) -> None:
        self.sockets.kick = kick

    def poll(self, now: int) -> bool:
        """Receive what has come and send what is due; `now` in ns. Says whether there was anything."""
        if type(now) is not int:
            raise ConfigurationError(f"now={now!r}: give the time in ns, as a whole number")
        attachments = self.attachments
        for attachment in attachments:
            attachment.begin()
        worked = self.node.poll(now, [(one.interface, one.device) for one in attachments])
        for attachment in attachments:
            attachment.flush()
        return worked

    def poll_at(self, now: int) -> int | None:
        """When to call `poll` next, in ns, unless driver or application call for it earlier; None: only then."""
        if type(now) is not int:
            raise ConfigurationError(f"now={now!r}: give the time in ns, as a whole number")
        return self.node.poll_at(now)

    def poll_delay(self, now: int) -> int | None:
        """How many ns after `now` to call `poll` next; None as for `poll_at`."""
        at = self.poll_at(now)
        return None if at is None else max(at - now, 0)

    # --- interfaces

    @property
    def drivers(self) -> list[NetworkDriver]:
        """The drivers of our cards."""
        return [attachment.driver for attachment in self.attachments]

    @property
    def interfaces(self) -> list[Interface]:
        """All interfaces, VLANs too, in the order in which they were added."""
        return list(self.node.interfaces)

    def add_interface(
        self, driver: NetworkDriver, address: str | Cidr | Sequence[str | Cidr] = (), name: str = ""
    ) -> Interface:
        """Another card: its driver, addresses and name ("eth1")."""
        name = self._check_name(name or f"eth{len(self.attachments)}")
        interface = Interface(_clock_of(driver), self.stream, self.node, name)
        self.attachments.append(Attachment(driver, interface))
        self.place(self.path)
        self._add_addresses(interface, address)
        return interface

    def add_vlan(
        self, identifier: int, address: str | Cidr | Sequence[str | Cidr] = (), parent: str = "", name: str = ""
    ) -> Interface:
        """A network of IEEE 802.1Q on a card ("eth0"), as an interface of its own ("eth0.10")."""
        below = self._interface(parent)
        number = isinstance(identifier, int) and not isinstance(identifier, bool) and 0 < identifier < 0xFFF
        if not number or identifier in below.vlans or below.vlan is not None:
            raise ConfigurationError(f"VLAN {identifier!r}: give a new identifier, 1 to 4094, on a card itself")
        name = self._check_name(name or f"{below.name}.{identifier}")
        interface = Interface(below.clock, self.stream, self.node, name, below, identifier)
        for attachment in self.attachments:
            if attachment.interface is below:
                attachment.renew()
        self.place(self.path)
        self._add_addresses(interface, address)
        return interface

    def _check_name(self, name: str) -> str:
        if not isinstance(name, str) or "/" in name or self.node.interface(name) is not None:
            raise ConfigurationError(f"{name!r} cannot be an interface's name: it is taken, no text, or has a slash")
        return name

    def _interface(self, name: str) -> Interface:
        """The interface of that name; empty: the first. ConfigurationError."""
        self.node.check(name)
        return self.node.interface(name) or self.node.interfaces[0]

    def _add_addresses(self, interface: Interface, address: str | Cidr | Sequence[str | Cidr]) -> None:
        several = (address,) if isinstance(address, str | Cidr) else _several("address", address, "10.0.0.1/24")
        for one in several:
            self.add_address(one, interface.name)

    # --- configuration

    @property
    def mac_address(self) -> bytes:
        """The first card's six bytes; DriverError before it was started."""
        return self.driver.mac_address

    @property
    def is_link_up(self) -> bool:
        """Whether any card has a carrier, now."""
        return any(driver.is_link_up for driver in self.drivers)

    @property
    def addresses(self) -> list[Cidr]:
        """Our usable addresses with their networks, in the order in which they were given."""
        return [cidr for interface in self.node.interfaces for cidr in interface.addressing.cidrs]

    @property
    def source_routes(self) -> bool:
        """Take IPv4 packets that have come by a source route, and let TCP answer by its reverse; off at first.

        RFC 9293, 3.9.2.1 wants this of TCP, but whoever forges an address could read the answers (RFC 6274, 3.13.2.3).
        """
        return self.node.source_routes

    @source_routes.setter
    def source_routes(self, on: bool) -> None:
        self.node.source_routes = on

    @property
    def forwarding(self) -> bool:
        """Whether this is a router: it sends on what is for others (RFC 1812)."""
        return self.node.forwarding.enabled

    @forwarding.setter
    def forwarding(self, on: bool) -> None:
        self.node.forwarding.enabled = on
        for interface in self.node.interfaces:
            interface.route(on)
        self._act()

    @property
    def dns(self) -> DnsClient:
        """The DNS client: its hosts given by hand, its cache, and queries that do not block.

        It asks `dns_servers`, and tries the search domains that DHCP and routers tell.
        """
        client = self.sockets.dns_client()
        domains = [domain for one in self.node.interfaces for domain in one.search_domains()]
        told = (self.dns_servers, domains)
        if told != self._told:
            self._told = told
            client.use_servers(self.dns_servers)
            client.use_search(domains)
        return client

    @property
    def dns_servers(self) -> list[str]:
        """The name servers that are asked: those given by hand, or else what DHCP and routers have told."""
        told = [server for one in self.node.interfaces for server in one.name_servers()]
        return list(self._given_servers or dict.fromkeys(told))

    @dns_servers.setter
    def dns_servers(self, servers: Sequence[str | bytes]) -> None:
        self.sockets.dns_client().use_servers(servers)
        self._given_servers[:] = [one if isinstance(one, str) else format_address(one) for one in servers]

    def add_address(self, address: str | Cidr, interface: str = "", *, probe: bool = False) -> None:
        """Have another address, usable at once; with `probe` once it is proven that nobody has it (RFC 5227; RFC 4862).

        "auto": have what the link's routers say (SLAAC). ConfigurationError if no host can have the address.
        """
        self._interface(interface).housekeeping.configure(address, probe)
        self._act()

    def advertise(self, what: str | RouterConfiguration | None, interface: str = "") -> None:
        """Tell the hosts on a link of this router (RFC 4861, 6.2): of a network ("fd00:1::/64"), or of all else too.

        None: no more. Without `forwarding` hosts hear that this is no default router (RFC 4861, 6.2.5).
        ConfigurationError for what cannot be advertised.
        """
        if isinstance(what, str):
            what = RouterConfiguration((AdvertisedPrefix(Cidr.parse(what)),))
        self._interface(interface).housekeeping.be_router(what)
        self._act()

    def remove_address(self, address: str | bytes) -> None:
        """Give up an address; sockets that use it find out as their peers stop answering."""
        for interface in self.node.interfaces:
            interface.addressing.remove(parse_address(address))

    def announce(self) -> None:
        """Tell all neighbors our addresses (RFC 5227, 2.3), as after a change of card; goes out with the next poll."""
        for interface in self.node.interfaces:
            for cidr in interface.addressing.cidrs:
                interface.housekeeping.detection.announce(cidr.address)
        self._act()

    def add_route(self, network: str | Cidr, gateway: str | bytes, interface: str = "") -> None:
        """Send what is for a network ("10.1.0.0/16") by way of a neighbor, in place of a route to the same network.

        "default": all that no other route is for, in the gateway's family.
        A gateway of the link's scope (fe80::1) needs the interface that it is on, if there are several.
        """
        hop = parse_address(gateway)
        candidates = [self._interface(interface)] if interface else self.node.interfaces
        found = [one for one in candidates if one.addressing.is_neighbor(hop)]
        if not found or self.node.routing.is_ours(hop):
            raise ConfigurationError(
                f"the gateway {format_address(hop)} is no neighbor; it has to be in one of the interface's networks"
            )
        if network == "default":
            network = DEFAULT if len(hop) == 4 else DEFAULT6
        self.node.routing.routes.add(_network(network), hop, found[0].name)

    def remove_route(self, network: str | Cidr) -> None:
        """Forget the routes to exactly this network; "default": those of both families."""
        for one in (DEFAULT, DEFAULT6) if network == "default" else (_network(network),):
            self.node.routing.routes.remove(one)

    def add_local(self, network: str | Cidr, interface: str = "") -> None:
        """Have every address of a network: what is sent to any of them is ours (AnyIP; `ip route add local`).

        Of IPv4's, neighbors are told so by ARP; to IPv6's they need a route by way of one of our addresses.
        """
        self._interface(interface).addressing.have_all(_network(network), True)

    def remove_local(self, network: str | Cidr, interface: str = "") -> None:
        """Take back `add_local`; a network that was not given is no mistake."""
        self._interface(interface).addressing.have_all(_network(network), False)

    def join_group(self, group: str | bytes, interface: str = "") -> None:
        """Listen to a multicast group, until `leave_group` was called as often."""
        self._interface(interface).addressing.join(parse_address(group))
        self._act()

    def leave_group(self, group: str | bytes, interface: str = "") -> None:
        """Take back one `join_group`."""
        self._interface(interface).addressing.leave(parse_address(group))
        self._act()

    def _act(self) -> None:
        """Have the host poll: what was configured is to be told to cards and neighbors."""
        if self.kick is not None:
            self.kick()

    # --- looking at it

    @property
    def statistics(self) -> dict[str, int]:
        """Frames and bytes each way, datagrams fragmented and forwarded, echoes answered, ICMP errors sent, drops."""
        cards = [attachment.interface for attachment in self.attachments]
        return listings.statistics(self.node, cards) | {"drops": sum(self.drop_reasons.values())}

    @property
    def drop_reasons(self) -> dict[str, int]:
        """How often something was dropped in any part of the stack, by reason."""
        return listings.drops(self)

    def route_to(self, destination: str | bytes, interface: str = "") -> dict[str, Any]:
        """The way to an address, as `ip route get`: gateway (None: on the link), interface, source, mtu (bytes).

        NetworkUnreachable if there is none. Source is which of our addresses is used, mtu what is known of the path.
        """
        address = parse_address(destination)
        self.node.source_for(address, interface)
        return listings.way(self.node, address, interface)

    def list_sockets(self) -> list[dict[str, Any]]:
        """One row a socket: handle, kind, local, remote, state, receive_queue, send_queue (bytes), timer.

        A listener's queues are how many connections wait, and how many may. `timer` is None or has a name ("on": what
        was sent goes again, "persist", "keepalive", "timewait"), expires_in (ns), and how many retries there were.
        """
        return self.sockets.rows()

    def list_links(self) -> list[dict[str, Any]]:
        """One row an interface: interface, state ("UP" or "DOWN"), mtu, mac, vlan (or None), frames and bytes so far.

        Those are rx_frames, rx_bytes, tx_frames, tx_bytes; what a card's VLANs have received is counted there, too.
        """
        return listings.links(self.node)

    def list_addresses(self) -> list[dict[str, Any]]:
        """One row an address: interface, address with its prefix, origin, state, valid_for and preferred_for (ns)."""
        return listings.addresses(self.node, self.clock.now)

    def list_groups(self) -> list[dict[str, Any]]:
        """One row a multicast group that we listen to: interface, group, mac, users (0: our own addresses need it)."""
        return listings.groups(self.node)

    def list_neighbors(self) -> list[dict[str, Any]]:
        """One row a neighbor: address, mac, state, router, expires_in (ns or None) and interface."""
        return listings.neighbors(self.node, self.clock.now)

    def list_routes(self) -> list[dict[str, Any]]:
        """One row a route: network, gateway (None: on the link), interface, origin, expires_in; our networks first.

        Origin "link": the network is on the link; "local": all of it is ours; else who has told of the route.
        """
        return listings.routes(self.node, self.clock.now)


def _clock_of(driver: NetworkDriver) -> Clock:
    try:
        return driver.clock
    except AttributeError:
        raise ConfigurationError(f"{driver!r} is no driver: give a NetworkDriver, of motenet.drivers") from None


def _several(what: str, given: Sequence[_T], example: str) -> Sequence[_T]:
    """The list; ConfigurationError if it is none."""
    if not isinstance(given, Sequence) or isinstance(given, bytes):
        raise ConfigurationError(f"{what}={given!r}: write it like {example!r}, or give a list of such")
    return given


def _network(text: str | Cidr) -> Cidr:
    """A route's network; ConfigurationError names the one that was meant."""
    cidr = Cidr.parse(text)
    if cidr.address != cidr.network:
        meant = f"{format_address(cidr.network)}/{cidr.prefix}"
        raise ConfigurationError(f"{cidr} is a host in a network; the network is {meant}")
    return cidr
