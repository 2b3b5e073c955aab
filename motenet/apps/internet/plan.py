"""Which networks and addresses the router's networks get, and who is on them."""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypedDict

from motenet.core.errors import ConfigurationError
from motenet.sim.host import Host
from motenet.sim.switch import Switch
from motenet.stack import Interface
from motenet.stack.address import Cidr, check_host_address, format_address
from motenet.stack.sockets.dhcp import DhcpClient, State

PIECE = {4: 8, 16: 16}
"""For each length of an address: by how many bits a LAN's prefix is longer than that of the block it comes from."""
FIRST_LEASED = 100
MOST_LEASED = 4096
"""The pool of a network with 256 addresses or more begins there, and has so many at most."""


class Cable(TypedDict, total=False):
    """What world.link() takes."""

    bandwidth: str | int | None
    delay: str | int
    jitter: str | int
    loss: float
    corrupt: float
    duplicate: float
    reorder: float
    queue: str | int | None


@dataclass(slots=True)
class Lan:
    """One network behind the router."""

    name: str
    switch: Switch
    interface: Interface
    """The router's."""
    addresses: list[Cidr] = field(default_factory=list)
    """The router's addresses here, each with its network."""
    taken: dict[bytes, None] = field(default_factory=dict)
    """Addresses that hosts have been given by hand."""

    def networks(self, length: int) -> list[Cidr]:
        """The networks of one family (addresses of 4 or 16 bytes)."""
        return [Cidr(one.network, one.prefix) for one in self.addresses if len(one.address) == length]

    def gateway(self, address: bytes) -> bytes | None:
        """The router's address in the network of a host's."""
        return next((one.address for one in self.addresses if one.contains(address)), None)


@dataclass(slots=True)
class Place:
    """A host on a LAN, by one of its interfaces."""

    name: str
    host: Host
    interface: Interface

    @property
    def lease(self) -> DhcpClient | None:
        """Who gets a lease for it, if anybody is to."""
        client = self.host.stack.sockets.dhcp.get(self.interface.name)
        return None if client is None or client.state in (State.STOPPED, State.RELEASING) else client

    @property
    def automatic(self) -> bool:
        """Whether it is to get addresses from router advertisements."""
        return self.interface.housekeeping.automatic and not self.host.stack.forwarding

    def addresses(self, *origins: str) -> list[bytes]:
        """Those of some origins ("static", "slaac") that can be used on other links, too."""
        found = self.interface.addressing.entries.items()
        return [address for address, entry in found if entry.origin in origins and entry.usable]

    def lacks(self) -> str:
        """What is still missing before others can reach it; empty: nothing."""
        if not self.host.poller.running:
            return "it is not started"
        if self.lease is not None and not self.lease.is_bound:
            return f"no lease from DHCP ({self.lease.state})"
        if self.automatic and not self.addresses("slaac"):
            return "no address from router advertisements"
        drivers = [one.driver for one in self.host.stack.attachments if one.interface is self.interface]
        if not self.interface.link_up or not drivers[0].is_link_up:
            return "no carrier"
        return ""


def free_interface(host: Host) -> Interface:
    """That of a host's first card that has no cable; of the first if all have one."""
    number = next((number for number, port in enumerate(host.ports) if port.medium is None), 0)
    return host.stack.attachments[number].interface


def given(interface: Interface) -> list[Cidr]:
    """The addresses that an interface has been given by hand."""
    return [entry.cidr for entry in interface.addressing.entries.values() if entry.origin == "static"]


def gateways(host: Host) -> list[bytes]:
    """The default routers that a host has been given by hand."""
    table = host.stack.node.routing.routes.table
    return [
        route.gateway for route in table if route.network.prefix == 0 and route.origin == "static" and route.gateway
    ]


def overlap(one: Cidr, other: Cidr) -> bool:
    """Whether two networks have an address in common."""
    return one.contains(other.address) or other.contains(one.address)


def pieces(block: str) -> Iterator[Cidr]:
    """The networks that a block has for LANs, from the second one on: 10.1.0.0/16, 10.2.0.0/16 ... of 10.0.0.0/8."""
    whole = Cidr.parse(block)
    length = len(whole.address)
    prefix = whole.prefix + PIECE[length]
    if prefix > 8 * length - 3 or (length == 16 and prefix != 64):
        raise ConfigurationError(f"{block} cannot be shared out among LANs: give a block like 10.0.0.0/8 and fd00::/48")
    first = int.from_bytes(whole.network, "big")
    for number in range(1, 1 << PIECE[length]):
        yield Cidr((first + (number << 8 * length - prefix)).to_bytes(length, "big"), prefix)


def router_address(network: Cidr, taken: Container[bytes], wanted: Iterable[bytes]) -> Cidr:
    """The router's address in a network: as hosts' gateways say, else .1, else from .254 downwards what is free."""
    length, base = len(network.address), int.from_bytes(network.network, "big")
    size = min(1 << 8 * length - network.prefix, 256)
    numbers = ((base + offset).to_bytes(length, "big") for offset in (1, *range(size - 2, 1, -1)))
    for address in (*wanted, *numbers):
        if network.contains(address) and address not in taken:
            return check_host_address(Cidr(address, network.prefix))
    raise ConfigurationError(
        f"{format_address(network.network)}/{network.prefix} has no address left for the router: use a shorter prefix"
    )


def pool(network: Cidr) -> str:
    """The addresses that DHCP gives, as a Subnet takes them; empty: it has none to give."""
    size = 1 << 32 - network.prefix
    first = FIRST_LEASED if size >= 256 else size // 2
    last = min(size - 2, first + MOST_LEASED - 1)
    base = int.from_bytes(network.network, "big")
    ends = [format_address((base + offset).to_bytes(4, "big")) for offset in (first, last)]
    return "-".join(ends) if 0 < first <= last else ""
