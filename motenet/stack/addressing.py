"""An interface's own addresses, the groups it listens to, and the networks that lie on its link."""

from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any, ClassVar

from motenet.core.clock import FOREVER
from motenet.core.errors import ConfigurationError
from motenet.core.state import Component, Plain
from motenet.stack.address import (
    ALL_HOSTS,
    ALL_NODES6,
    ALL_ROUTERS,
    ALL_ROUTERS6,
    LIMITED_BROADCAST,
    Cidr,
    check_host_address,
    format_address,
    is_link_local,
    is_multicast,
    multicast_mac,
    solicited_node,
)

UNICAST, BROADCAST, MULTICAST, ANYCAST = 1, 2, 3, 4

LONGEST_ANYCAST = 126
"""RFC 6164, 5: a network of two routers has no Subnet-Router anycast address."""

TENTATIVE, OPTIMISTIC, PREFERRED, DEPRECATED = "tentative", "optimistic", "preferred", "deprecated"
"""RFC 4862, 2 and 5.5.4; RFC 4429, 2: may not be used yet; may, though not proven unique; may; had better not."""


def _nobody() -> None:
    """An interface outside a node has nobody to tell."""


@dataclass(slots=True)
class Entry:
    """One of our addresses."""

    cidr: Cidr
    origin: str
    """ "static", "dhcp", "slaac" or "link-local"."""
    state: str
    preferred_until: int
    """When it is deprecated, in ns; FOREVER: never."""
    valid_until: int
    """When it goes, in ns; FOREVER: never."""

    @property
    def usable(self) -> bool:
        """Whether packets may be sent from it, and are taken for it."""
        return self.state != TENTATIVE


class Addressing(Component):
    """Addresses with their networks and lifetimes, and groups."""

    STATE: ClassVar[tuple[str, ...]] = ("groups", "router")

    def __init__(self, path: str = "addressing") -> None:
        self.path = path
        self.changed: Callable[[], None] = _nobody
        """Wiring: tells the node that ways may lead elsewhere now."""
        self.entries: dict[bytes, Entry] = {}
        """Our addresses, in the order in which they were given."""
        self.prefixes: dict[Cidr, int] = {}
        """Networks on the link beside those of our addresses -> until when, in ns (RFC 4861, 6.3.4)."""
        self.ours: dict[Cidr, None] = {}
        """Networks all of whose addresses are ours (AnyIP), in the order in which they were given."""
        self.groups: dict[bytes, int] = {}
        """Multicast groups -> how often they have been joined."""
        self.router = False
        """We forward packets, and so belong to the routers' groups."""
        self.listening: dict[bytes, int] = {}
        """All destinations that mean us -> UNICAST, BROADCAST, MULTICAST or ANYCAST."""
        self.members: dict[bytes, None] = {}
        """All groups that we listen to, in order; those of our addresses too."""
        self.macs: dict[bytes, None] = {}
        """The Ethernet groups to listen to, in order."""
        self._update()

    # --- addresses

    def add(
        self,
        address: str | Cidr,
        *,
        origin: str = "static",
        preferred_until: int = FOREVER,
        valid_until: int = FOREVER,
        tentative: bool = False,
    ) -> Entry:
        """Have another address; its network is on the link. ConfigurationError if no host can have it, or we do."""
        cidr = check_host_address(Cidr.parse(address))
        if cidr.address in self.entries:
            raise ConfigurationError(f"{cidr} is this interface's already")
        state = TENTATIVE if tentative else PREFERRED
        entry = self.entries[cidr.address] = Entry(cidr, origin, state, preferred_until, valid_until)
        self._update()
        return entry

    def remove(self, address: bytes) -> None:
        """Give up an address; one that is not ours is no mistake."""
        if self.entries.pop(address, None) is not None:
            self._update()

    def settle(self, address: bytes) -> None:
        """It is proven that nobody else has this address (RFC 4862, 5.4)."""
        entry = self.entries.get(address)
        if entry is not None and entry.state in (TENTATIVE, OPTIMISTIC):
            entry.state = PREFERRED
            self._update()

    def lifetimes(self, address: bytes, preferred_until: int, valid_until: int) -> None:
        """Give an address other lifetimes, in ns (RFC 4862, 5.5.3 e); a deprecated one may be preferred again."""
        entry = self.entries.get(address)
        if entry is not None:
            entry.preferred_until, entry.valid_until = preferred_until, valid_until
            if entry.state == DEPRECATED:
                entry.state = PREFERRED
                self._update()

    def has(self, address: bytes) -> bool:
        """Whether it is one of our own, and usable."""
        if self.listening.get(address) == UNICAST:
            return True
        return bool(self.ours) and any(network.contains(address) for network in self.ours)

    @property
    def cidrs(self) -> list[Cidr]:
        """Our usable addresses with their networks, in the order in which they were given."""
        return [entry.cidr for entry in self.entries.values() if entry.usable]

    @property
    def link_local(self) -> bytes | None:
        """Our IPv6 address of the link's scope, if we have a usable one."""
        for address, entry in self.entries.items():
            if len(address) == 16 and entry.usable and is_link_local(address):
                return address
        return None

    def expire(self, now: int) -> None:
        """Deprecate and remove addresses and prefixes whose time is over."""
        for address in [address for address, entry in self.entries.items() if entry.valid_until <= now]:
            del self.entries[address]
        for entry in self.entries.values():
            if entry.preferred_until <= now and entry.state in (OPTIMISTIC, PREFERRED):
                entry.state = DEPRECATED
        for prefix in [prefix for prefix, until in self.prefixes.items() if until <= now]:
            del self.prefixes[prefix]
        self._update()

    def poll_at(self) -> int | None:
        """When `expire` next has work, in ns."""
        times = [entry.valid_until for entry in self.entries.values()]
        times += [entry.preferred_until for entry in self.entries.values() if entry.state in (OPTIMISTIC, PREFERRED)]
        at = min((*times, *self.prefixes.values()), default=FOREVER)
        return None if at == FOREVER else at

    def rows(self, now: int) -> list[dict[str, Any]]:
        """Our addresses, for people: address with prefix, origin, state, and the ns left of both lifetimes."""
        return [
            {
                "address": str(entry.cidr),
                "origin": entry.origin,
                "state": entry.state,
                "preferred_for": None if entry.preferred_until == FOREVER else max(entry.preferred_until - now, 0),
                "valid_for": None if entry.valid_until == FOREVER else entry.valid_until - now,
            }
            for entry in self.entries.values()
        ]

    # --- networks on the link

    def add_prefix(self, network: Cidr, until: int) -> None:
        """A network lies on the link until then, in ns; a time that is over ends that."""
        self.prefixes[network] = until
        self.changed()

    def network_of(self, address: bytes) -> Cidr | None:
        """The most specific of the link's networks that has this address."""
        networks = [entry.cidr for entry in self.entries.values() if entry.usable]
        found = [cidr for cidr in (*networks, *self.prefixes) if cidr.contains(address)]
        return max(found, key=lambda cidr: cidr.prefix, default=None)

    def is_neighbor(self, address: bytes) -> bool:
        """Whether the address is on the link: in one of its networks, or of the link's scope."""
        return (len(address) == 16 and is_link_local(address)) or self.network_of(address) is not None

    def have_all(self, network: Cidr, on: bool) -> None:
        """Every address of a network is ours (AnyIP), or no more."""
        if on:
            self.ours[network] = None
        else:
            self.ours.pop(network, None)
        self.changed()

    # --- groups

    def join(self, group: bytes) -> None:
        """Listen to a multicast group; as many `leave` as `join` end that."""
        if not is_multicast(group):
            raise ConfigurationError(
                f"{format_address(group)} is not a group; those are 224.0.0.0 to 239.255.255.255, and ff00::/8"
            )
        self.groups[group] = self.groups.get(group, 0) + 1
        self._update()

    def leave(self, group: bytes) -> None:
        """Take back one `join`."""
        count = self.groups.get(group, 0)
        if count > 1:
            self.groups[group] = count - 1
        else:
            self.groups.pop(group, None)
        self._update()

    def route(self, on: bool) -> None:
        """Belong to the groups of routers, or no more."""
        self.router = on
        self._update()

    def _update(self) -> None:
        six = [address for address in self.entries if len(address) == 16] + self._anycast()
        groups = [ALL_HOSTS, *([ALL_ROUTERS] if self.router else [])]
        if six:
            groups += [ALL_NODES6, *([ALL_ROUTERS6] if self.router else []), *map(solicited_node, six)]
        self.members = dict.fromkeys((*groups, *self.groups))
        self.macs = {multicast_mac(group): None for group in self.members}
        self.listening.clear()
        self.listening.update(dict.fromkeys(self.members, MULTICAST))
        self.listening[LIMITED_BROADCAST] = BROADCAST
        for cidr in self.cidrs:
            if cidr.broadcast is not None:
                self.listening[cidr.broadcast] = BROADCAST
        self.listening.update(dict.fromkeys(self._anycast(), ANYCAST))
        for cidr in self.cidrs:
            self.listening[cidr.address] = UNICAST
        self.changed()

    def _anycast(self) -> list[bytes]:
        """RFC 4291, 2.6.1: each router has the Subnet-Router anycast address of each of its networks."""
        six = [cidr for cidr in self.cidrs if len(cidr.address) == 16 and cidr.prefix <= LONGEST_ANYCAST]
        return list(dict.fromkeys(cidr.network for cidr in six if cidr.prefix)) if self.router else []

    # --- state

    def save(self) -> Plain:
        entries = [(entry.cidr.address, entry.cidr.prefix, *astuple(entry)[1:]) for entry in self.entries.values()]
        prefixes = [(prefix.address, prefix.prefix, until) for prefix, until in self.prefixes.items()]
        ours = [(network.address, network.prefix) for network in self.ours]
        return super().save() | {"entries": entries, "prefixes": prefixes, "ours": ours}

    def load(self, state: Plain) -> None:
        super().load(state)
        self.entries.clear()
        for address, prefix, *rest in state["entries"]:
            self.entries[address] = Entry(Cidr(address, prefix), *rest)
        self.prefixes.clear()
        self.prefixes.update({Cidr(address, prefix): until for address, prefix, until in state["prefixes"]})
        self.ours.clear()
        self.ours.update({Cidr(*network): None for network in state["ours"]})
        self._update()
