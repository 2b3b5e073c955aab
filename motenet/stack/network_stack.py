"""A TCP/IP stack on one driver or several: what a host's applications use."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, TypeVar

from motenet.core.errors import ConfigurationError
from motenet.core.rng import Stream
from motenet.core.state import Component, walk
from motenet.core.trace import Watched
from motenet.doors import NetworkDriver
from motenet.stack.address import Cidr, format_address, format_mac, parse_address
from motenet.stack.advertising import AdvertisedPrefix, RouterConfiguration
from motenet.stack.attachment import Attachment
from motenet.stack.interface import Interface
from motenet.stack.node import Node
from motenet.stack.routes import DEFAULT, DEFAULT6
from motenet.stack.sockets.dns import DnsClient
from motenet.stack.verbs import Verbs
from motenet.stack.wire.dns import Name

_T = TypeVar("_T")


class NetworkStack(Verbs):
    """IPv4 and IPv6 on a card, or on several. `poll` and `poll_at` drive it; `sockets` never blocks.

    `address` is "10.0.0.1/24", "fd00::1/64" or several of these, usable at once; "auto" asks the link's routers for
    addresses (SLAAC), "dhcp" asks a DHCP server. `gateway` is the default router's address, or one of each family.
    The verbs (`ping`, `tcp_connect` ...) block in virtual time.
    """

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
        super().__init__(driver.clock, name)
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

    def poll(self, now: int) -> bool:
        """Receive what has come and send what is due; `now` in ns. Says whether there was anything."""
        attachments = self.attachments
        for attachment in attachments:
            attachment.begin()
        worked = self.node.poll(now, [(one.interface, one.device) for one in attachments])
        for attachment in attachments:
            attachment.flush()
        return worked

    def poll_at(self, now: int) -> int | None:
        """When to call `poll` next, in ns, unless driver or application call for it earlier; None: only then."""
        return self.node.poll_at(now)

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
        interface = Interface(driver.clock, self.stream, self.node, name)
        self.attachments.append(Attachment(driver, interface))
        self.place(self.path)
        self._add_addresses(interface, address)
        return interface

    def add_vlan(
        self, identifier: int, address: str | Cidr | Sequence[str | Cidr] = (), parent: str = "", name: str = ""
    ) -> Interface:
        """A network of IEEE 802.1Q on a card ("eth0"), as an interface of its own ("eth0.10")."""
        below = self._interface(parent)
        if not 0 < identifier < 0xFFF or identifier in below.vlans or below.vlan is not None:
            raise ConfigurationError(f"VLAN {identifier}: give a new identifier, 1 to 4094, on a card itself")
        name = self._check_name(name or f"{below.name}.{identifier}")
        interface = Interface(below.clock, self.stream, self.node, name, below, identifier)
        for attachment in self.attachments:
            if attachment.interface is below:
                attachment.renew()
        self.place(self.path)
        self._add_addresses(interface, address)
        return interface

    def _check_name(self, name: str) -> str:
        if "/" in name or self.node.interface(name) is not None:
            raise ConfigurationError(f"{name!r} cannot be an interface's name: it is taken, or has a slash")
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
    def link_up(self) -> bool:
        """The same, as of the last poll."""
        return any(attachment.interface.link_up for attachment in self.attachments)

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

        None: no more. ConfigurationError for what cannot be advertised.
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
                interface.discovery.announce(cidr.address)
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
        interfaces, node = self.node.interfaces, self.node
        cards = [attachment.interface for attachment in self.attachments]  # whose frames are their VLANs' too
        return {
            "rx_frames": sum(one.ingress.frames for one in cards),
            "rx_bytes": sum(one.ingress.bytes for one in cards),
            "tx_frames": sum(one.link.frames for one in interfaces),
            "tx_bytes": sum(one.link.bytes for one in interfaces),
            "fragmented": sum(one.link.fragmented for one in interfaces),
            "forwarded": node.forwarding.packets,
            "echoes": node.icmp.echoes,
            "icmp_errors": node.icmp.errors,
            "drops": sum(self.drop_reasons.values()),
        }

    @property
    def drop_reasons(self) -> dict[str, int]:
        """How often something was dropped in any part of the stack, by reason."""
        counts: dict[str, int] = {}
        for part in walk(self):
            if isinstance(part, Watched):
                for reason, count in part.drops.items():
                    counts[reason] = counts.get(reason, 0) + count
        return counts

    def list_sockets(self) -> list[dict[str, Any]]:
        """One row a socket: handle, kind, local, remote, state, receive_queue, send_queue (bytes)."""
        return self.sockets.rows()

    def list_links(self) -> list[dict[str, Any]]:
        """One row an interface: interface, state ("UP" or "DOWN"), mtu (bytes), mac, vlan (or None)."""
        return [
            {
                "interface": one.name,
                "state": "UP" if one.link_up else "DOWN",
                "mtu": one.link.mtu,
                "mac": format_mac(one.link.mac),
                "vlan": one.vlan,
            }
            for one in self.node.interfaces
        ]

    def list_addresses(self) -> list[dict[str, Any]]:
        """One row an address: interface, address with its prefix, origin, state, valid_for and preferred_for (ns)."""
        now = self.clock.now
        return [
            {"interface": interface.name, **row}
            for interface in self.node.interfaces
            for row in interface.addressing.rows(now)
        ]

    def list_neighbors(self) -> list[dict[str, Any]]:
        """One row a neighbor: address, mac, state, router, expires_in (ns or None) and interface."""
        return [
            row | {"address": format_address(row["address"]), "mac": format_mac(row["mac"]), "interface": one.name}
            for one in self.node.interfaces
            for row in one.neighbors.rows(self.clock.now)
        ]

    def list_routes(self) -> list[dict[str, Any]]:
        """One row a route: network, gateway (None: on the link), interface, origin, expires_in; our networks first."""
        own = [
            {
                "network": str(Cidr(cidr.network, cidr.prefix)),
                "gateway": None,
                "interface": one.name,
                "origin": "link",
                "expires_in": None,
            }
            for one in self.node.interfaces
            for cidr in (*one.addressing.cidrs, *one.addressing.prefixes)
        ]
        return own + self.node.routing.routes.rows(self.clock.now)


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
