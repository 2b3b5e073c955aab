"""The neighbor cache: which Ethernet address a neighbor has, whether it still answers, and what waits for it.

One machine for both families, RFC 4861, 7.3 and Appendix C: ARP goes through the same states, as it does in Linux.
Keys are addresses of 4 or 16 bytes; times are ns.
"""

from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any, ClassVar

from motenet.core.rng import Stream
from motenet.core.state import Plain
from motenet.core.trace import HasNow
from motenet.core.units import MS, SECOND
from motenet.stack.address import format_address
from motenet.stack.searches import Resolution, Searches

INCOMPLETE, REACHABLE, STALE, DELAY, PROBE = "incomplete", "reachable", "stale", "delay", "probe"
"""RFC 4861, 7.3.2. What is INCOMPLETE is in `unresolved`, all else in `known`."""

MAX_UNICAST_SOLICIT = 3
REACHABLE_TIME = 30 * SECOND
DELAY_FIRST_PROBE_TIME = 5 * SECOND
"""RFC 4861, 10."""

LEAST_RETRANS_TIMER = 100 * MS
"""A router may ask for less than this, but does not get it: as in Linux, a forged RA must start no storm."""
MOST_REACHABLE_TIME = 3600 * SECOND
"""RFC 4861, 6.2.1: AdvReachableTime must be no greater; what is, is not believed."""
REDRAW = 2 * 3600 * SECOND
"""RFC 4861, 6.3.2: a new random ReachableTime at least every few hours."""

MAXIMUM_KNOWN = 1024


@dataclass(slots=True)
class Neighbor:
    """A neighbor whose Ethernet address is known."""

    mac: bytes
    state: str
    until: int
    """The end of being REACHABLE, or the next step in DELAY and PROBE; for STALE, when it became that."""
    ask_at: int = 0
    """The earliest next solicitation (RFC 4861, 7.3.3: one each RetransTimer, whatever the state)."""
    probes: int = 0
    is_router: bool = False


def _nobody(address: bytes) -> None:
    pass


def _nothing(address: bytes, reachable: bool) -> None:
    pass


class NeighborCache(Searches):
    """Answers lookups; says through `due` whom to ask. It sends nothing itself."""

    STATE: ClassVar[tuple[str, ...]] = (
        *Searches.STATE, "timed", "base_reachable", "reachable_time", "redraw_at",
    )  # fmt: skip

    def __init__(self, clock: HasNow, stream: Stream | None = None, path: str = "neighbors") -> None:
        """Without a stream, ReachableTime is not random."""
        super().__init__(clock, path)
        self.stream = stream
        self.known: dict[bytes, Neighbor] = {}
        """Those that something was heard of longest ago come first."""
        self.timed: dict[bytes, None] = {}
        """Those in DELAY and PROBE."""
        self.base_reachable = REACHABLE_TIME
        self.reachable_time = self._draw()
        self.redraw_at = REDRAW
        self.router_lost: Callable[[bytes], None] = _nobody
        """Wiring: told of a router that says that it is none any more (RFC 4861, 7.2.5)."""
        self.turned: Callable[[bytes, bool], None] = _nothing
        """Wiring: told when a neighbor is known now (True), or not any more: it does not answer (RFC 4861, 6.3.6)."""

    # --- sending

    def lookup(self, address: bytes, now: int) -> bytes | None:
        """The MAC to send a packet to now, or None: then `hold` a packet or `park` a socket for it."""
        found = self.known.get(address)
        if found is None:
            return None
        if now >= found.until and (found.state == REACHABLE or found.state == STALE):
            self._time(address, found, DELAY, now + DELAY_FIRST_PROBE_TIME)
        return found.mac

    def confirm(self, address: bytes, now: int) -> None:
        """An upper layer makes progress with or through this neighbor (RFC 4861, 7.3.1)."""
        found = self.known.get(address)
        if found is not None:
            if found.state != REACHABLE:
                self._turn(address, found, REACHABLE)
            found.until = now + self.reachable_time

    def suspect(self, address: bytes, now: int) -> None:
        """A transport hears nothing from there: the neighbor is probed at once.

        RFC 1122, 3.3.1.4 (negative advice) and 2.3.2.1 (3).
        """
        found = self.known.get(address)
        if found is not None and found.state != PROBE:
            found.probes = 0
            self._time(address, found, PROBE, max(now, found.ask_at))

    # --- what is heard

    def knows(self, address: bytes) -> bool:
        """Whether an unasked packet about this address may update the table (RFC 826's Merge_flag)."""
        return address in self.known or address in self.unresolved or address in self.given_up

    def learn(self, address: bytes, mac: bytes, now: int, is_reply: bool = True) -> Resolution | None:
        """Take what an ARP packet says of its sender. Returns what waited for it.

        RFC 826 overwrites without asking. Only a reply to a request of ours confirms that the way there works: what
        else is heard is STALE, as in Linux.
        """
        found = self.known.get(address)
        asked = found.state == PROBE if found is not None else self.knows(address)
        if asked and is_reply:
            return self._enter(address, mac, now, REACHABLE)
        if found is None or found.mac != mac:
            return self._enter(address, mac, now, STALE)
        return None

    def advertised(
        self, address: bytes, mac: bytes | None, now: int, solicited: bool, override: bool, is_router: bool
    ) -> Resolution | None:
        """Take a neighbor advertisement (RFC 4861, 7.2.5 and Appendix C): its target, target link-layer address option
        and flags. Returns what waited for it.
        """
        found = self.known.get(address)
        if found is None:
            if mac is None or not self.knows(address):
                return None
            resolution = self._enter(address, mac, now, REACHABLE if solicited else STALE)
            self._set_router(address, is_router)
            return resolution
        differs = mac is not None and mac != found.mac
        if differs and not override:
            if found.state == REACHABLE:
                self._turn(address, found, STALE)
                found.until = min(now, found.until)
            return None
        if solicited or differs:
            self._enter(address, mac or found.mac, now, REACHABLE if solicited else STALE)
        self._set_router(address, is_router)
        return None

    def heard(self, address: bytes, mac: bytes | None, now: int, is_router: bool | None = None) -> Resolution | None:
        """Take a link-layer address option: of the source of an NS, RS or RA, or of a Redirect's target.

        `is_router`: True for an RA and for a Redirect to a router, False for an RS (RFC 4861, 6.2.6), None for what
        does not say (Appendix D). Returns what waited for it. Without an option only the flag is taken.
        """
        found = self.known.get(address)
        resolution = None
        if mac is not None and (found is None or found.mac != mac):
            resolution = self._enter(address, mac, now, STALE)
        if is_router is not None:
            self._set_router(address, is_router)
        return resolution

    def _set_router(self, address: bytes, is_router: bool) -> None:
        found = self.known.get(address)
        if found is not None and found.is_router != is_router:
            found.is_router = is_router
            if not is_router:
                self.router_lost(address)

    def _enter(self, address: bytes, mac: bytes, now: int, state: str) -> Resolution | None:
        """Have the neighbor with this Ethernet address; what waited for it is returned."""
        resolution = self._end(address)
        found = self.known.pop(address, None)
        new = found is None
        if found is None:
            searched = resolution is not None or address in self.given_up
            if len(self.known) >= MAXIMUM_KNOWN and not self._evict(now, searched):
                self.drop("neighbor-full")
                return None
            found = Neighbor(mac, INCOMPLETE, now, self.given_up.pop(address, 0))
            if resolution is not None and resolution.tries:
                found.ask_at = resolution.ask_at
        found.mac = mac
        found.until = now + self.reachable_time if state == REACHABLE else now
        self.known[address] = found
        self._turn(address, found, state)
        if new:
            self.turned(address, True)
        return resolution

    def _evict(self, now: int, searched: bool) -> bool:
        """Make room: the oldest STALE one goes. Only for one that we have searched another goes, and no router if
        there is a host: whoever sprays advertisements must not cut us off.
        """
        known = self.known.items()
        victim = next((key for key, found in known if found.state == STALE or _ended(found, now)), None)
        if victim is None and searched:
            victim = next((key for key, found in known if not found.is_router), next(iter(self.known)))
        if victim is None:
            return False
        self._silent_until(victim, self._remove(victim).ask_at, now)
        self.drop("neighbor-evicted")
        return True

    def _remove(self, address: bytes) -> Neighbor:
        found = self.known.pop(address)
        self.timed.pop(address, None)
        self.turned(address, False)
        return found

    # --- states and times

    def _turn(self, address: bytes, found: Neighbor, state: str) -> None:
        self.timed.pop(address, None)
        if found.state != state:
            found.state = state
            if self.watch is not None:
                self.changed("neighbor", f"{format_address(address)} is {state}")

    def _time(self, address: bytes, found: Neighbor, state: str, until: int) -> None:
        self._turn(address, found, state)
        found.until = until
        self.timed[address] = None

    def adopt_times(self, reachable_time: int = 0, retrans_timer: int = 0) -> None:
        """Take what a router advertises, in ns; 0 says nothing (RFC 4861, 6.3.4). ARP keeps its one second."""
        if 0 < reachable_time <= MOST_REACHABLE_TIME and reachable_time != self.base_reachable:
            self.base_reachable = reachable_time
            self.reachable_time = self._draw()
        if retrans_timer:
            self.retrans_timer = max(retrans_timer, LEAST_RETRANS_TIMER)

    def _draw(self) -> int:
        """RFC 4861, 6.3.2 and 10: MIN_RANDOM_FACTOR 0.5 to MAX_RANDOM_FACTOR 1.5 times BaseReachableTime."""
        if self.stream is None:
            return self.base_reachable
        least = self.base_reachable // 2
        return self.stream.between(least, least + self.base_reachable)

    def due(self, now: int) -> tuple[list[tuple[bytes, bytes | None]], list[int]]:
        """Addresses to ask for now, with the MAC to ask at (None: everybody); and sockets to look at again meanwhile.

        The asking is counted as done. Parked sockets get their turn so that their own timers go on.
        """
        asked: list[tuple[bytes, bytes | None]] = []
        released: list[int] = []
        if now >= self.redraw_at:
            self.redraw_at = now + REDRAW
            self.reachable_time = self._draw()
        if self.released:
            released += self.released
            self.released.clear()
        if self.unresolved:
            self._due_searches(now, asked, released)
        if self.timed:
            for address in [key for key in self.timed if self.known[key].until <= now]:
                self._due_probe(address, now, asked)
        while self.given_up and next(iter(self.given_up.values())) <= now:
            del self.given_up[next(iter(self.given_up))]
        return asked, released

    def _due_probe(self, address: bytes, now: int, asked: list[tuple[bytes, bytes | None]]) -> None:
        """RFC 4861, 7.3.3: from DELAY to PROBE; then one solicitation each RetransTimer, and the end."""
        found = self.known[address]
        if found.state == DELAY:
            found.probes = 0
            self._time(address, found, PROBE, max(now, found.ask_at))
        if found.until > now:
            return
        if found.probes >= MAX_UNICAST_SOLICIT:
            self._remove(address)
            self.changed("neighbor", f"{format_address(address)} does not answer")
            return
        found.probes += 1
        found.until = found.ask_at = now + self._silence(address)
        asked.append((address, found.mac))

    def poll_at(self) -> int | None:
        """When `due` or `failed` next has work, in ns."""
        searches = self.search_at()
        if not self.timed:
            return searches
        probes = min(self.known[address].until for address in self.timed)
        return probes if searches is None else min(searches, probes)

    def rows(self, now: int) -> list[dict[str, Any]]:
        """What is known, for people: address and mac as bytes, state, router, and the ns left of the state."""
        known = [
            {
                "address": address,
                "mac": found.mac,
                "state": STALE if _ended(found, now) else found.state,
                "expires_in": found.until - now if found.until > now else None,
                "router": found.is_router,
            }
            for address, found in self.known.items()
        ]
        searched = [
            {"address": address, "mac": b"", "state": INCOMPLETE, "expires_in": None, "router": False}
            for address in self.unresolved
        ]
        return known + searched

    # --- state

    def save(self) -> Plain:
        return super().save() | {"known": {address: astuple(found) for address, found in self.known.items()}}

    def load(self, state: Plain) -> None:
        super().load(state)
        self.known.clear()
        for address, fields in state["known"].items():
            self.known[address] = Neighbor(*fields)


def _ended(found: Neighbor, now: int) -> bool:
    """REACHABLE turns STALE without an event (RFC 4861, 7.3.3, the note): at the next packet, or when looked at."""
    return found.state == REACHABLE and found.until <= now
