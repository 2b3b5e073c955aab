"""What a DHCP lease means to its interface: an address that is proven first, routes, name servers, and an MTU."""

from typing import TYPE_CHECKING, ClassVar

from motenet.core.state import Plain
from motenet.core.trace import HasNow, Watched
from motenet.stack.address import Cidr
from motenet.stack.routes import DEFAULT
from motenet.stack.sockets.dhcp import DhcpClient, Lease
from motenet.stack.sockets.dns.names import is_name

if TYPE_CHECKING:
    from motenet.stack.interface import Interface

ORIGIN = "dhcp"


class Leasing(Watched):
    """One interface's lease, between the client that gets it and the interface that it is for."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "address", "servers", "search", "mtu")

    def __init__(self, clock: HasNow, interface: "Interface") -> None:
        super().__init__(clock, "leasing")
        self.interface = interface
        self.client: DhcpClient | None = None
        self.address = b""
        """What the lease in force has given us; empty: there is none."""
        self.servers: list[bytes] = []
        self.search: list[str] = []
        self.mtu = 0
        """The link's largest packet; 0: the lease does not say."""

    def use(self, client: DhcpClient) -> None:
        """Wire the client that gets our leases."""
        self.client = client
        client.configure = self.configure
        keeping = self.interface.housekeeping
        keeping.settled, keeping.duplicate = self._settled, self._duplicate
        self.carrier()

    def carrier(self) -> None:
        """Tell the client of the cable, and of the card's Ethernet address."""
        link = self.interface.link
        if self.client is not None and link.has_mac:
            self.client.link(self.interface.link_up, link.mac)

    # --- what the client says

    def configure(self, lease: Lease | None) -> None:
        """Use a lease; None: no more."""
        if lease is None or lease.address != self._cidr():
            self._end()
        if lease is not None:
            self._begin(lease)

    def _cidr(self) -> Cidr | None:
        """The leased address with its network, as the interface has it."""
        entry = self.interface.addressing.entries.get(self.address)
        return None if entry is None else entry.cidr

    def _begin(self, lease: Lease) -> None:
        interface, routes = self.interface, self.interface.node.routing.routes
        address = lease.address.address
        entry = interface.addressing.entries.get(address)
        if entry is not None and entry.origin != ORIGIN:
            if self.client is not None:
                self.client.checked()  # it was given by hand, too, and stays
        elif entry is not None:
            interface.addressing.lifetimes(address, lease.expires_at, lease.expires_at)
        else:
            self.address = address
            interface.addressing.add(
                lease.address, origin=ORIGIN, preferred_until=lease.expires_at, valid_until=lease.expires_at,
                tentative=True,
            )  # fmt: skip
            interface.housekeeping.detection.begin(address, self.clock.now)
        routes.remove_origin(ORIGIN, interface.name)
        for network, gateway in (*lease.routes, *((DEFAULT, router) for router in lease.routers[:1])):
            routes.add(network, gateway, interface.name, lease.expires_at, ORIGIN)
        self.servers[:] = lease.dns_servers
        self.search[:] = filter(is_name, lease.search or (lease.domain,))
        self.mtu = lease.mtu
        interface.fit_mtu()

    def _end(self) -> None:
        interface = self.interface
        if self.address:
            interface.addressing.remove(self.address)
            interface.housekeeping.detection.end(self.address)
        interface.node.routing.routes.remove_origin(ORIGIN, interface.name)
        self.address, self.mtu = b"", 0
        self.servers.clear()
        self.search.clear()
        interface.fit_mtu()

    # --- what the interface says

    def _settled(self, address: bytes) -> None:
        if self.client is not None and address == self.address:
            self.client.checked()

    def _duplicate(self, address: bytes) -> None:
        if self.client is not None and address == self.address:
            self.client.conflict(self.clock.now)

    def load(self, state: Plain) -> None:
        super().load(state)
        self.interface.fit_mtu()
