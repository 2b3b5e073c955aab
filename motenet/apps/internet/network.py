"""A router, the networks behind it, and the names of all hosts."""

from collections.abc import Mapping, Sequence
from typing import Unpack

from motenet.apps.dhcp import DhcpServer, Subnet
from motenet.apps.dhcp.pool import BOUND, Binding
from motenet.apps.dns.zone import Records, Zones
from motenet.apps.internet import plan
from motenet.apps.internet.names import NameServer, Table, check_domain, host_records, sort_records, told_name
from motenet.apps.internet.plan import Cable, Lan, Place
from motenet.core.errors import ConfigurationError
from motenet.core.units import duration, format_duration
from motenet.sim import Host, Link, Switch, World
from motenet.sim.host import Outsider
from motenet.sim.link import link_settings
from motenet.stack.address import Cidr, format_address
from motenet.stack.advertising import AdvertisedPrefix, RouterConfiguration
from motenet.stack.detection import ANNOUNCE_WAIT, PROBE_MAX, PROBE_NUM, PROBE_WAIT
from motenet.stack.errors import TimedOut
from motenet.stack.routes import DEFAULT, DEFAULT6
from motenet.stack.sockets.dns.names import encode
from motenet.stack.wire.dns import name_text

MEMORY_PER_CARD = 8 << 20
"""Bytes: what a host has for one."""

LONGEST_PROOF = PROBE_WAIT + (PROBE_NUM - 1) * PROBE_MAX + ANNOUNCE_WAIT
"""How long it may take until an address is proven to be nobody else's (RFC 5227, 2.1.1): seven seconds."""


class Internet:
    """What World.internet() builds: the router (a host), its LANs, and its DHCP and DNS servers.

    It has no state of its own: all that changes is its hosts', and so in the world's snapshots.
    """

    def __init__(
        self,
        world: World,
        lans: Mapping[str, Sequence[Host | Outsider]],
        *,
        domain: str,
        records: Mapping[str, Records | Host],
        blocks: Sequence[str],
        router: str,
        nic: str,
        lease_time: str | int | None,
        cable: Cable,
    ) -> None:
        if not lans:
            raise ConfigurationError('an internet has one LAN or more: lans={"lan": [alice, bob]}')
        if lease_time is not None and duration(lease_time) <= LONGEST_PROOF:
            raise ConfigurationError(
                f"a lease of {lease_time!r} may end before its address is proven (RFC 5227): give more than "
                f"{format_duration(LONGEST_PROOF)}"
            )
        self.world = world
        self.domain = check_domain(domain)
        self.cable = cable
        """What each host's cable is like, unless connect() says something else."""
        self.places: list[Place] = []
        """Who is on which LAN."""
        self._blocks = blocks
        self._records = sort_records(self.domain, {name: self._record(one) for name, one in records.items()})
        self._router_name = ""
        self._router_name = self._claim(router)
        self._check(lans)
        self.router = world.host(router, nic, memory=len(lans) * MEMORY_PER_CARD, forwarding=True)
        self.lans: dict[str, Lan] = {}
        self._dhcp: DhcpServer | None = None
        for name, hosts in lans.items():
            interface = self.router.plug(nic) if self.lans else self.router.stack.interface
            self._make_lan(Lan(name, world.switch(name), interface), hosts)
        self._serve_dhcp(lease_time)
        self.dns = NameServer(self.router.stack, self._zones)
        """Answers at all of the router's addresses. `dns.fault` makes it go wrong."""
        self.router.applications.append(self.dns)

    def __repr__(self) -> str:
        return f"<Internet {self.domain}: {', '.join(place.name for place in self.places) or 'nobody'}>"

    @property
    def dhcp(self) -> DhcpServer:
        """The server for all LANs; ConfigurationError if none of them has IPv4."""
        if self._dhcp is None:
            raise ConfigurationError("no LAN of this internet has IPv4, and DHCP gives nothing else")
        return self._dhcp

    @property
    def switch(self) -> Switch:
        """The first LAN's; those of all are in `lans`."""
        return next(iter(self.lans.values())).switch

    # --- building

    def _check(self, lans: Mapping[str, Sequence[Host | Outsider]]) -> None:
        """Find mistakes before anything is built."""
        Zones(self._records)
        link_settings(**self.cable)
        for block in self._blocks:
            next(plan.pieces(block))
        for name in lans:
            self.world.check_name(name)
            if name == self._router_name:
                raise ConfigurationError(f"{name!r} is the router's name, and no LAN's")
        everybody = [one for hosts in lans.values() for one in hosts]
        for host in everybody:
            self._claim(host.name)
            if sum(port.medium is None for port in host.ports) < everybody.count(host):
                raise ConfigurationError(f"{host.name} has too few cards: plug() one for each cable")

    def _make_lan(self, lan: Lan, hosts: Sequence[Host | Outsider]) -> None:
        """A LAN and all who are on it; the router joins the networks of their addresses, or begins new ones."""
        self.lans[lan.name] = lan
        self.world.link(self.router, lan.switch)
        known = [host for host in hosts if isinstance(host, Host)]
        for host in known:
            cidrs = plan.given(plan.free_interface(host))
            lan.taken.update({cidr.address: None for cidr in cidrs})
        for host in known:
            self._join_networks(lan, host)
        for block in self._blocks:
            length = len(Cidr.parse(block).address)
            if not any(length == 4 or network.prefix == 64 for network in lan.networks(length)):
                self._own(lan, self._piece(block), ())
        self._advertise(lan)
        for one in hosts:
            self.connect(one, lan.name)

    def _piece(self, block: str) -> Cidr:
        """The first piece of a block that no LAN has yet."""
        used = [cidr for lan in self.lans.values() for cidr in lan.addresses]
        for piece in plan.pieces(block):
            if not any(plan.overlap(piece, cidr) for cidr in used):
                return piece
        raise ConfigurationError(f"{block} has no network left for another LAN")

    def _join_networks(self, lan: Lan, host: Host) -> bool:
        """Have the router in the networks of a host's addresses; says whether there was a new one."""
        before = len(lan.addresses)
        for cidr in plan.given(plan.free_interface(host)):
            lan.taken[cidr.address] = None
            if lan.gateway(cidr.address) == cidr.address:
                raise ConfigurationError(f"{host.name} has {cidr}, and so does the router on {lan.name}")
            for other in self.lans.values():
                if other is not lan and any(plan.overlap(cidr, one) for one in other.addresses):
                    raise ConfigurationError(
                        f"{host.name} has {cidr}, but that network is {other.name}, not {lan.name}"
                    )
            if lan.gateway(cidr.address) is None:
                self._own(lan, cidr, plan.gateways(host))
        return len(lan.addresses) > before

    def _own(self, lan: Lan, network: Cidr, wanted: Sequence[bytes]) -> None:
        cidr = plan.router_address(network, lan.taken, wanted)
        self.router.stack.add_address(cidr, lan.interface.name)
        lan.addresses.append(cidr)

    def _advertise(self, lan: Lan) -> None:
        """Tell of the LAN's IPv6 networks and of ourselves as DNS server (RFC 8106); /64 are for SLAAC."""
        networks = lan.networks(16)
        if networks:
            ours = tuple(one.address for one in lan.addresses if len(one.address) == 16)
            prefixes = tuple(AdvertisedPrefix(network, autonomous=network.prefix == 64) for network in networks)
            said = RouterConfiguration(prefixes, name_servers=ours[:1], search_domains=(encode(self.domain),))
            self.router.stack.advertise(said, lan.interface.name)

    def _serve_dhcp(self, lease_time: str | int | None) -> None:
        """The first IPv4 network of each LAN gets leases."""
        subnets = [self._subnet(lan, lease_time) for lan in self.lans.values() if lan.networks(4)]
        if subnets:
            self._dhcp = DhcpServer(self.router.stack, *subnets)
            self.router.applications.append(self._dhcp)
            self._guard_pools()

    def _subnet(self, lan: Lan, lease_time: str | int | None) -> Subnet:
        ours = next(cidr for cidr in lan.addresses if len(cidr.address) == 4)
        router, domain = [format_address(ours.address)], self.domain
        return Subnet(
            ours,
            plan.pool(ours),
            routers=router,
            dns_servers=router,
            domain=domain,
            search=[domain],
            lease_time=lease_time,
        )

    # --- hosts

    def connect(self, host: Host | Outsider, lan: str = "", **cable: Unpack[Cable]) -> Link:
        """Lay a cable from a host's first card that has none to a LAN, by its name, and have the host found by its own.

        Without `lan` it is the one whose network the host's address is in, or the first. A computer that runs
        elsewhere is found by what it calls itself when it asks for a lease. Returns the cable.
        """
        laid: Cable = {**self.cable, **cable}
        if not isinstance(host, Host):
            return self.world.link(host, self._lan(lan, []).switch, **laid)
        interface = plan.free_interface(host)
        there = self._lan(lan, [cidr.address for cidr in plan.given(interface)])
        name = self._claim(host.name, host)
        if self._join_networks(there, host):
            self._advertise(there)
        link = self.world.link(host, there.switch, **laid)
        place = Place(name, host, interface)
        self.places.append(place)
        self._guard_pools()
        self._configure(place, there)
        return link

    def _lan(self, name: str, addresses: Sequence[bytes]) -> Lan:
        if name and name not in self.lans:
            raise ConfigurationError(f"there is no LAN {name!r}; there is {', '.join(self.lans)}")
        fitting = [lan for lan in self.lans.values() if any(map(lan.gateway, addresses))]
        return self.lans[name] if name else (*fitting, *self.lans.values())[0]

    def _claim(self, name: str, host: Host | None = None) -> str:
        """A computer's name within the domain. BadName if DNS cannot have it; ConfigurationError if it is taken."""
        label = name_text(encode(name)).removesuffix(f".{self.domain}")
        taken = [self._router_name, *self._records[f"{self.domain}."]]
        if label in taken or any(place.name == label and place.host is not host for place in self.places):
            raise ConfigurationError(f"{label}.{self.domain} is the name of something else already")
        return label

    def _record(self, record: Records | Host) -> Records:
        """A record as Zones takes it; a host stands for an alias of it."""
        if not isinstance(record, Host):
            return record
        return f"CNAME {name_text(encode(record.name)).removesuffix(f'.{self.domain}')}.{self.domain}."

    def _guard_pools(self) -> None:
        """What hosts have by hand is leased to nobody."""
        for pool in self._dhcp.service.pools if self._dhcp is not None else ():
            for lan in self.lans.values():
                for address in lan.taken:
                    pool.dynamic.pop(address, None)

    def _configure(self, place: Place, lan: Lan) -> None:
        """What nobody will tell a host is set by hand: routers, name servers, search domain; or it is to ask for it."""
        stack, name = place.host.stack, place.interface.name
        static = plan.given(place.interface)
        if not static and place.lease is None and not place.interface.housekeeping.automatic:
            for length, way in ((4, "dhcp"), (16, "auto")):
                if lan.networks(length):
                    stack.add_address(way, name)
        if place.lease is not None and not place.lease.host_name:
            place.lease.host_name = place.name
        told = {4: place.lease is not None, 16: place.automatic}
        for length, default in ((4, DEFAULT), (16, DEFAULT6)):
            hops = [lan.gateway(cidr.address) for cidr in static if len(cidr.address) == length]
            known = any(len(hop) == length for hop in plan.gateways(place.host))
            if hops and hops[0] is not None and not told[length] and not known:
                stack.add_route(default, hops[0], name)
        if not any(told.values()) and not stack.dns_servers:
            stack.dns_servers = [hop for cidr in static if (hop := lan.gateway(cidr.address)) is not None]
            stack.dns.use_search([self.domain])

    def settle(self, timeout: str | int = "60s") -> None:
        """Run the world until all hosts have a carrier and the addresses that they are to get.

        TimedOut names those who have not, and what they lack. A lease takes five to seven seconds (RFC 5227's proof).
        """
        deadline = self.world.clock.now + duration(timeout)
        routers = [Place(self._router_name, self.router, lan.interface) for lan in self.lans.values()]
        waiting = [*routers, *self.places]

        def ready() -> bool:
            while waiting and not waiting[-1].lacks():
                waiting.pop()
            return not waiting

        if not self.world.clock.wait(ready, deadline):
            what = "; ".join(f"{place.name}: {lack}" for place in waiting if (lack := place.lacks()))
            raise TimedOut(f"after {format_duration(duration(timeout))} not all hosts can be reached ({what})")

    # --- names

    def names(self) -> dict[str, list[str]]:
        """Who can be found now, by full name, and at which addresses."""
        return {f"{name}.{self.domain}": addresses for name, addresses in self._hosts().items() if addresses}

    def _hosts(self) -> dict[str, list[str]]:
        """The same by name within the domain: the router, hosts, and those who have told DHCP their name.

        Of several who tell the same, it is the one's who has had it longest.
        """
        found = {self._router_name: [cidr.address for lan in self.lans.values() for cidr in lan.addresses]}
        cards = {}
        for place in self.places:
            found.setdefault(place.name, []).extend(place.addresses("static", "slaac"))
            cards[place.interface.link.mac] = place.name
        ours = [*found, *self._records[f"{self.domain}."]]
        holders: dict[str, bytes] = {}
        for lease in self._leases():
            name = cards.get(lease.hardware, "")
            if not name:
                name = told_name(lease.host_name, self.domain)
                if not name or name in ours or holders.setdefault(name, lease.client) != lease.client:
                    continue
            found.setdefault(name, []).append(lease.address)
        return {name: list(map(format_address, addresses)) for name, addresses in found.items()}

    def _leases(self) -> list[Binding]:
        """Those that are in force, the oldest first."""
        now = self.world.now
        pools = self._dhcp.service.pools if self._dhcp is not None else ()
        found = [one for pool in pools for one in pool.bindings.values() if one.state == BOUND and one.until > now]
        return sorted(found, key=lambda one: one.since)

    def _zones(self) -> Table:
        """What DNS is to answer; hosts come first, so that addresses lead back to them."""
        hosts = {name: host_records(addresses) for name, addresses in self._hosts().items() if addresses}
        return {zone: {**(hosts if zone != "." else {}), **records} for zone, records in self._records.items()}
