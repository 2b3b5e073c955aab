"""A DNS client (RFC 1034, 5.3.1: a stub resolver, with a cache): one socket of the set that has others ask for it."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakValueDictionary

from motenet.core.errors import ConfigurationError
from motenet.core.rng import Stream
from motenet.core.state import Component, Plain
from motenet.core.trace import HasNow
from motenet.stack.address import format_address, format_scoped, parse_address, parse_scoped
from motenet.stack.errors import QueueFull, StackError
from motenet.stack.packet import Outgoing
from motenet.stack.sockets.dns.cache import (
    FAILED,
    FAILURE_LIFE,
    FOUND,
    NO_DATA,
    NO_NAME,
    TIMED_OUT,
    Cache,
    Key,
    Outcome,
)
from motenet.stack.sockets.dns.lookup import Lookup
from motenet.stack.sockets.dns.names import LOCAL, LOCALHOST, NOWHERE, candidates, encode, is_name
from motenet.stack.sockets.dns.query import CANCELLED, Query
from motenet.stack.sockets.socket import Socket
from motenet.stack.wire.dns import AAAA, A, Name, name_text

if TYPE_CHECKING:
    from motenet.stack.sockets.set import SocketSet

TRIES = 3
""" "more than twice (i.e., three queries in total)" no server is asked the same by UDP (RFC 9520, 3.1)."""
MOST_LOOKUPS = 256
"""Questions that are asked at a time; each has a socket of its own."""

_TYPES: dict[int | None, list[int]] = {None: [AAAA, A], 4: [A], 6: [AAAA]}
_LOOPBACK = {A: bytes((127, 0, 0, 1)), AAAA: bytes(15) + b"\1"}


class DnsClient(Socket):
    """Finds hosts' addresses. `start_query` never blocks: the query is done as the world runs, or at once.

    Questions that are equal are asked once. Each has a UDP socket at a random port, or a TCP connection.
    """

    kind: ClassVar[str] = "dns"
    STATE: ClassVar[tuple[str, ...]] = (
        *Socket.STATE, "servers", "zones", "search", "ndots", "tries", "hosts", "preferred", "plain", "caseless",
        "woken", "next_number", "by_tcp", "from_cache", "closed",
    )  # fmt: skip

    def __init__(self, clock: HasNow, path: str = "") -> None:
        super().__init__(clock, path)
        self.sockets: SocketSet
        """Wiring, set by the set: where sockets are opened."""
        self.stream: Stream
        """Wiring, set by the set: identifiers, ports and the case of letters."""
        self.servers: list[bytes] = []
        self.zones: dict[bytes, str] = {}
        """For servers of the link's scope: the interface that they are at (RFC 4007, 6)."""
        self.search: list[Name] = []
        self.ndots = 1
        """Dots in a name from which on it is tried before the search list (resolv.conf(5))."""
        self.tries = TRIES
        """Datagrams to each server before it counts as silent."""
        self.hosts: dict[Name, list[bytes]] = {}
        """Names that are known without asking, as /etc/hosts has them."""
        self.preferred = 0
        """Which server is asked first: the one that answered last."""
        self.plain: dict[bytes, None] = {}
        """Servers that do not know EDNS."""
        self.caseless: dict[bytes, None] = {}
        """Servers that do not keep the case of letters."""
        self.woken: dict[Key, None] = {}
        """Lookups that have something to do."""
        self.next_number = 1
        self.by_tcp = 0
        """Questions sent by TCP; `from_cache`: those that the cache has answered."""
        self.from_cache = 0
        self.closed = False
        self.cache = Cache(f"{path}/cache")
        self.lookups: dict[Key, Lookup] = {}
        self.queries: dict[int, Query] = {}
        """Those that are not done."""
        self._known: WeakValueDictionary[int, Query] = WeakValueDictionary()
        """Also those that are done, while somebody holds them: a snapshot may make them undone."""

    def parts(self) -> Iterable[Component]:
        return (self.cache, *self.lookups.values(), *self.queries.values())

    # --- configuration

    def use_servers(self, servers: Sequence[str | bytes]) -> None:
        """Ask these from now on, in this order; what others have said is forgotten.

        One of the link's scope is told with its interface: "fe80::1%eth0" (RFC 4007, 11). ConfigurationError.
        """
        if isinstance(servers, str | bytes) or not isinstance(servers, Iterable):
            raise ConfigurationError("give the servers as a list, like ['10.0.0.53']")
        zones = dict(map(parse_scoped, servers))
        for zone in zones.values():
            self.sockets.network.check(zone)
        if list(zones.items()) != [(server, self.zones.get(server, "")) for server in self.servers]:
            self.servers[:] = zones
            self.zones.clear()
            self.zones.update({server: zone for server, zone in zones.items() if zone})
            self.preferred = 0
            for known in (self.plain, self.caseless):
                known.clear()
            self.cache.clear()

    def list_servers(self) -> list[str]:
        """Who is asked, as text, in this order."""
        return [format_scoped(server, self.zones.get(server, "")) for server in self.servers]

    def use_search(self, domains: Sequence[str | Name], ndots: int = 1) -> None:
        """Try names with fewer than `ndots` dots in these domains first. BadName.

        Labels are what routers tell (RFC 8106, 5.2): those that no host's domain can have are passed over.
        """
        listed = not isinstance(domains, str | bytes) and isinstance(domains, Iterable)
        if not listed or not all(isinstance(domain, str | tuple) for domain in domains):
            raise ConfigurationError("give the domains as a list, like ['example.test']")
        if not isinstance(ndots, int) or ndots < 0:
            raise ConfigurationError(f"ndots={ndots!r}: give how many dots, 0 or more")
        texts = [(one, one if isinstance(one, str) else name_text(one)) for one in domains]
        self.search[:] = [encode(text) for one, text in texts if isinstance(one, str) or is_name(text)]
        self.ndots = ndots

    def add_host(self, name: str, *addresses: str | bytes) -> None:
        """Know a name without asking; without addresses, forget it. BadName, ConfigurationError."""
        labels, parsed = encode(name), list(map(parse_address, addresses))
        if parsed:
            self.hosts[labels] = parsed
        else:
            self.hosts.pop(labels, None)

    # --- queries

    def start_query(self, name: str, family: int | None = None) -> Query:
        """Find the addresses of a host: IPv4's (4), IPv6's (6), or both (None). BadName, QueueFull.

        An address as text is its own answer, at once.
        """
        if not isinstance(family, int | None) or family not in _TYPES:
            raise ConfigurationError(f"family is 4, 6 or None for both, not {family!r}")
        query = Query(self, self.next_number, name)
        query.types = list(_TYPES[family])
        try:
            literal = parse_address(name)
        except ConfigurationError:
            query.candidates = candidates(name, self.search, self.ndots)
        else:
            fits = family in (None, 4 if len(literal) == 4 else 6)
            query.end([literal] if fits else [], "" if fits else NO_DATA)
            return query
        if len(self.lookups) + len(query.types) > MOST_LOOKUPS:
            raise QueueFull(f"{len(self.lookups)} questions are being asked: let the stack run first")
        self.next_number += 1
        self.queries[query.number] = self._known[query.number] = query
        self._advance(query, self.clock.now)
        self.ready()
        return query

    def cancel(self, query: Query) -> None:
        """Give a query up, and the questions that nobody else waits for."""
        if not query.done:
            self._finish(query, CANCELLED)

    def close(self) -> None:
        """Give up all queries, and leave the set."""
        self.closed = True
        for query in list(self.queries.values()):
            self.cancel(query)
        self.ready()

    def _advance(self, query: Query, now: int) -> None:
        """Go on with a query: what is known is taken, what is not is asked for."""
        while not query.done:
            name = query.candidates[0]
            for kind in query.types:
                if kind not in query.outcomes:
                    known = self._know(name, kind, now)
                    if known is not None:
                        query.outcomes[kind] = known
                    elif (name, kind) not in self.lookups:
                        self._look_up((name, kind), now)
                        if query.done or query.candidates[0] != name:
                            return  # it has failed at once, and that has brought this query here already
            if not query.conclude(name[-1:] == (LOCAL,)):  # who has no address of a family says nothing by multicast
                return
        self._finish(query)

    def _know(self, name: Name, kind: int, now: int) -> Outcome | None:
        """What can be said without asking anybody."""
        if name in self.hosts:
            return _of_kind(self.hosts[name], kind)
        if name[-1] == LOCALHOST:
            return Outcome(FOUND, (_LOOPBACK[kind],))
        if name[-1] in NOWHERE:
            return Outcome(NO_NAME)
        if not self.servers and name[-1] != LOCAL:
            return Outcome(FAILED, detail="no DNS server is known; set dns_servers")
        known = self.cache.get((name, kind), now)
        self.from_cache += known is not None
        return known

    def _look_up(self, key: Key, now: int) -> None:
        lookup = self.lookups[key] = Lookup(self, key)
        lookup.begin(now)

    def _finish(self, query: Query, kind: str = "") -> None:
        """A query is done; lookups that nobody waits for any more are given up."""
        if kind:
            query.end([], kind)
        query.addresses.sort(key=self._rank)
        self.queries.pop(query.number, None)
        wanted = {(one.candidates[0], kind) for one in self.queries.values() for kind in one.types}
        for key in [key for key in self.lookups if key not in wanted]:
            self._forget(key)
        self.changed("dns", f"{query.name}: {', '.join(map(format_address, query.addresses)) or query.failure[0]}")
        if query.waker is not None:
            query.waker()
        self.wake()

    def _rank(self, address: bytes) -> tuple[bool, bool]:
        """RFC 6724, 6: rule 1, avoid what no way leads to; rule 6, IPv6 before IPv4 (its default policy table)."""
        try:
            self.sockets.network.source_for(address)
        except StackError:
            return True, len(address) == 4
        return False, len(address) == 4

    # --- for the lookups

    def wake_up(self, key: Key) -> None:
        """A lookup's socket has something for it."""
        self.woken[key] = None
        self.ready()

    def answered_by(self, server: bytes) -> None:
        """This server works: it is asked first from now on."""
        if server in self.servers:
            self.preferred = self.servers.index(server)

    def concluded(self, lookup: Lookup, outcome: Outcome, life: int, now: int) -> None:
        """A lookup has ended: all queries that wait for it go on."""
        key = name, kind = lookup.key
        self._forget(key)
        self.cache.put(key, outcome, FAILURE_LIFE if outcome.kind in (FAILED, TIMED_OUT) else life, now)
        for other in _TYPES[None] if outcome.kind == NO_NAME else ():  # RFC 2308, 5: it has nothing of any type
            if self.cache.get((name, other), now) is None:
                self.cache.put((name, other), outcome, life, now)
        self.changed("dns", f"{name_text(name)}: {outcome.kind} {outcome.detail}".rstrip())
        for query in list(self.queries.values()):
            if not query.done and query.candidates[0] == name and kind in query.types:
                query.outcomes[kind] = outcome
                self._advance(query, now)

    def _forget(self, key: Key) -> None:
        self.woken.pop(key, None)
        lookup = self.lookups.pop(key, None)
        if lookup is not None:
            lookup.end()

    # --- towards the set

    @property
    def key(self) -> str | None:
        """A set has one client."""
        return None if self.closed else self.kind

    @property
    def finished(self) -> bool:
        """Closed; there is never anything left to send."""
        return self.closed

    def poll_at(self, now: int) -> int | None:
        if self.woken:
            return now
        return min((lookup.deadline for lookup in self.lookups.values()), default=None)

    def dispatch(self, now: int, emit: Callable[[Outgoing], bool]) -> None:
        """Let the lookups go on that have heard something, or have waited long enough; their own sockets send."""
        due = [key for key, lookup in self.lookups.items() if key in self.woken or lookup.deadline <= now]
        self.woken.clear()
        for key in due:
            lookup = self.lookups.get(key)
            if lookup is not None:
                lookup.step(now)

    def fail(self, kind: str, remote: bytes, port: int) -> None:
        """Nothing is sent from here."""

    # --- state

    def undo(self) -> None:
        super().undo()
        for query in list(self._known.values()):
            _undo(query)

    def save(self) -> Plain:
        lookups, queries = list(self.lookups), list(self.queries)
        return super().save() | {"lookups": lookups, "known": queries}

    def load(self, state: Plain) -> None:
        """The queries of the snapshot are made here, or taken from those who hold them, and loaded as parts."""
        super().load(state)
        later = dict(self._known)
        self.lookups.clear()
        for name, kind in state["lookups"]:
            self.lookups[tuple(name), kind] = Lookup(self, (tuple(name), kind))
        self.queries.clear()
        for number in state["known"]:
            query = later.pop(number, None) or Query(self, number)
            self.queries[number] = self._known[number] = query
        for query in later.values():
            _undo(query)


def _undo(query: Query) -> None:
    """The world was restored to where this query is not under way: if it has no answer, it will get none."""
    if not query.done:
        query.end([], CANCELLED)


def _of_kind(addresses: list[bytes], kind: int) -> Outcome:
    found = tuple(address for address in addresses if len(address) == (4 if kind == A else 16))
    return Outcome(FOUND, found) if found else Outcome(NO_DATA)
