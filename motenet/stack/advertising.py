"""The router's side of Neighbor Discovery: when it advertises itself, and what it says (RFC 4861, 6.2)."""

from dataclasses import astuple, dataclass, replace
from typing import ClassVar

from motenet.core.errors import ConfigurationError
from motenet.core.rng import Stream
from motenet.core.state import Plain, plain
from motenet.core.trace import HasNow, Watched
from motenet.core.units import MS, SECOND
from motenet.stack.address import Cidr, is_link_local, is_multicast
from motenet.stack.wire import icmp, ipv6
from motenet.stack.wire.dns import Name
from motenet.stack.wire.ndisc import INFINITY, Prefix, RouterAdvertisement, SearchList, Servers, emit

MAX_INITIAL_RTR_ADVERT_INTERVAL = 16 * SECOND
MAX_INITIAL_RTR_ADVERTISEMENTS = 3
MAX_FINAL_RTR_ADVERTISEMENTS = 3
MIN_DELAY_BETWEEN_RAS = 3 * SECOND
MAX_RA_DELAY_TIME = 500 * MS
"""RFC 4861, 10."""

_ROOM = ipv6.MINIMUM_MTU - ipv6.HEADER_LENGTH - icmp.HEADER_LENGTH
"""Bytes behind the ICMPv6 header in the smallest packet that every link takes."""


@dataclass(frozen=True, slots=True)
class AdvertisedPrefix:
    """A prefix on the link, and what hosts may do with it; the defaults are RFC 4861's, 6.2.1. Lifetimes in s."""

    prefix: Cidr
    valid: int = 2_592_000
    preferred: int = 604_800
    on_link: bool = True
    autonomous: bool = True

    def __post_init__(self) -> None:
        if len(self.prefix.address) != 16:
            raise ConfigurationError(f"{self.prefix} cannot be advertised; give an IPv6 prefix like 'fd00:1::/64'")
        if is_link_local(self.prefix.address) or is_multicast(self.prefix.address):
            raise ConfigurationError(f"{self.prefix} is every link's own, and hosts ignore it (RFC 4861, 6.2.1)")
        if not 0 <= self.preferred <= self.valid <= INFINITY:
            raise ConfigurationError(
                f"{self.prefix}: the preferred lifetime, {self.preferred} s, must not be above the valid one, "
                f"{self.valid} s, nor that above {INFINITY}, which is infinity (RFC 4861, 6.2.1)"
            )


@dataclass(frozen=True, slots=True)
class RouterConfiguration:
    """What a router advertises on an interface: RFC 4861, 6.2.1, whose names are in brackets. Times in s, or ms.

    ConfigurationError for what the RFC forbids.
    """

    prefixes: tuple[AdvertisedPrefix, ...] = ()
    maximum_interval: int = 600
    """[MaxRtrAdvInterval], 4 to 1800 s."""
    minimum_interval: int | None = None
    """[MinRtrAdvInterval], 3 s to 0.75 of the maximum; None: 0.33 of it, 3 s at least, or of less than 9 s all."""
    lifetime: int | None = None
    """[AdvDefaultLifetime] 0: no default router; else from the maximum interval to 9000 s. None: 3 of these."""
    managed: bool = False
    """[AdvManagedFlag] DHCPv6 gives addresses; `other` [AdvOtherConfigFlag]: it gives other information."""
    other: bool = False
    mtu: int = 0
    """[AdvLinkMTU] 0: not said."""
    hop_limit: int = 64
    """[AdvCurHopLimit] 0: not said."""
    reachable_ms: int = 0
    """[AdvReachableTime] 0: not said; at most an hour."""
    retransmit_ms: int = 0
    """[AdvRetransTimer] 0: not said."""
    name_servers: tuple[bytes, ...] = ()
    """IPv6 addresses (RFC 8106, 5.1)."""
    search_domains: tuple[Name, ...] = ()
    """Tuples of labels (RFC 8106, 5.2)."""
    preference: int = 0
    """Among default routers: 1 high, 0 medium, -1 low (RFC 4191, 2.1)."""

    def __post_init__(self) -> None:
        most = self.maximum_interval
        least, lifetime = self.minimum_interval, self.lifetime
        _check(4 <= most <= 1800, f"the maximum interval is 4 to 1800 s, not {most}")
        _check(least is None or 3 <= least <= most * 3 // 4, f"the minimum interval is 3 to {most * 3 // 4} s here")
        _check(lifetime is None or lifetime == 0 or most <= lifetime <= 9000, f"the lifetime is 0 or {most} to 9000 s")
        _check(self.mtu == 0 or ipv6.MINIMUM_MTU <= self.mtu <= 0xFFFF_FFFF, f"the MTU is 0 or from {ipv6.MINIMUM_MTU}")
        _check(0 <= self.hop_limit <= 255, "the hop limit is 0 to 255")
        _check(0 <= self.reachable_ms <= 3_600_000, "the reachable time is 0 to 3,600,000 ms")
        _check(0 <= self.retransmit_ms <= 0xFFFF_FFFF, "the retransmission timer has 32 bits")
        _check(all(len(server) == 16 for server in self.name_servers), "name servers are IPv6 addresses here")
        _check(self.preference in (-1, 0, 1), "the preference is 1, 0 or -1")
        size = len(emit(self.advertisement(bytes(6))).payload)
        _check(size <= _ROOM, f"prefixes, servers and domains need {size} bytes, but one packet has room for {_ROOM}")

    @property
    def interval(self) -> tuple[int, int]:
        """The least and most ns between two advertisements."""
        most = self.maximum_interval * SECOND
        if self.minimum_interval is not None:
            return self.minimum_interval * SECOND, most
        return (max(most * 33 // 100, MIN_DELAY_BETWEEN_RAS) if most >= 9 * SECOND else most), most

    def advertisement(self, mac: bytes) -> RouterAdvertisement:
        """RFC 4861, 6.2.3. `mac` goes into the source link-layer address option, unless it is empty."""
        names = 3 * self.maximum_interval  # RFC 8106, 5.1 and 5.2: the lifetime's default
        lifetime = 3 * self.maximum_interval if self.lifetime is None else self.lifetime
        return RouterAdvertisement(
            self.hop_limit,
            self.managed,
            self.other,
            lifetime,
            self.reachable_ms,
            self.retransmit_ms,
            mac,
            self.mtu or None,
            [
                Prefix(one.prefix.network, one.prefix.prefix, one.on_link, one.autonomous, one.valid, one.preferred)
                for one in self.prefixes
            ],
            [Servers(names, list(self.name_servers))] if self.name_servers else [],
            [SearchList(names, list(self.search_domains))] if self.search_domains else [],
            self.preference if lifetime else 0,  # RFC 4191, 2.2
        )


def _check(good: bool, message: str) -> None:
    if not good:
        raise ConfigurationError(f"router advertisements: {message} (RFC 4861, 6.2.1)")


class Advertising(Watched):
    """One interface's. It sends nothing itself: `due` gives the advertisements, for all nodes (ff02::1).

    Their source must be the interface's link-local address (RFC 4861, 4.2), so `start` waits until that is settled.
    """

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "mac", "next_at", "sent_at", "initial", "final")

    def __init__(self, clock: HasNow, stream: Stream, path: str = "advertising") -> None:
        super().__init__(clock, path)
        self.stream = stream
        self.configuration = RouterConfiguration()
        self.mac = b""
        self.next_at: int | None = None
        """When the next advertisement is due; None: this is no advertising interface."""
        self.sent_at = -MIN_DELAY_BETWEEN_RAS
        self.initial = 0
        """Advertisements that follow each other faster, still to be sent."""
        self.final = 0
        """Advertisements that take it all back, still to be sent."""

    @property
    def active(self) -> bool:
        """Whether this is an advertising interface (RFC 4861, 6.2.2): it listens to all routers (ff02::2)."""
        return self.next_at is not None and not self.final

    def start(self, configuration: RouterConfiguration, mac: bytes, now: int) -> None:
        """Begin to advertise, or advertise something else from now on (RFC 4861, 6.2.4)."""
        self.configuration = configuration
        self.mac = mac
        self.initial, self.final = MAX_INITIAL_RTR_ADVERTISEMENTS, 0
        self.next_at = max(now, self.sent_at + MIN_DELAY_BETWEEN_RAS) + self.stream.between(0, MAX_RA_DELAY_TIME)

    def stop(self, now: int) -> None:
        """Cease to advertise: the last advertisements say so (RFC 4861, 6.2.5)."""
        if self.active:
            self.initial, self.final = 0, MAX_FINAL_RTR_ADVERTISEMENTS
            self.next_at = max(now, self.sent_at + MIN_DELAY_BETWEEN_RAS)

    def heard_solicitation(self, now: int) -> None:
        """A host asks: the answer goes to all, after a random delay, and not too often (RFC 4861, 6.2.6)."""
        if self.next_at is None or self.final:
            self.drop("rs-no-router")
            return
        at = max(now, self.sent_at + MIN_DELAY_BETWEEN_RAS) + self.stream.between(0, MAX_RA_DELAY_TIME)
        self.next_at = min(self.next_at, at)

    def heard_advertisement(self, record: RouterAdvertisement) -> None:
        """Another router's: what contradicts ours is told (RFC 4861, 6.2.7)."""
        ours = self.configuration.advertisement(b"")
        pairs = [
            ("hop limit", ours.hop_limit, record.hop_limit),
            ("reachable time", ours.reachable, record.reachable),
            ("retransmission timer", ours.retransmit, record.retransmit),
            ("MTU", ours.mtu, record.mtu),
        ]
        wrong = [name for name, one, other in pairs if one and other and one != other]
        wrong += [] if (ours.managed, ours.other) == (record.managed, record.other) else ["flags"]
        lifetimes = {(one.prefix, one.length): (one.valid, one.preferred) for one in ours.prefixes}
        for one in record.prefixes:
            mine = lifetimes.get((one.prefix, one.length))
            wrong += [] if mine is None or mine == (one.valid, one.preferred) else ["lifetimes"]
        if wrong and self.active:
            self.drop("ra-inconsistent", ", ".join(wrong))

    def due(self, now: int, forwards: bool = True) -> RouterAdvertisement | None:
        """The advertisement to be sent to all nodes now, if any; sending it is counted as done.

        Who forwards nothing says that it is no default router (RFC 4861, 6.2.5), but tells prefixes all the same.
        """
        if self.next_at is None or now < self.next_at:
            return None
        record = self.configuration.advertisement(self.mac)
        if self.final or not forwards:
            record = replace(record, lifetime=0, preference=0)
        self.sent_at = now
        if self.final:
            self.final -= 1
            self.next_at = now + MIN_DELAY_BETWEEN_RAS if self.final else None
            return record
        interval = self.stream.between(*self.configuration.interval)
        if self.initial:
            self.initial -= 1
            interval = min(interval, MAX_INITIAL_RTR_ADVERT_INTERVAL)
        self.next_at = now + interval
        return record

    def poll_at(self) -> int | None:
        """When `due` next has an advertisement, in ns."""
        return self.next_at

    # --- state

    def save(self) -> Plain:
        return super().save() | {"configuration": plain(astuple(self.configuration))}

    def load(self, state: Plain) -> None:
        super().load(state)
        prefixes, *rest = state["configuration"]
        ours = tuple(AdvertisedPrefix(Cidr(*cidr), *others) for cidr, *others in prefixes)
        self.configuration = RouterConfiguration(ours, *rest)
