"""The neighbor cache: which Ethernet address an on-link IP address has, and what waits until that is known."""

from dataclasses import astuple, dataclass, field
from typing import Any, ClassVar

from motenet.core.state import Plain, plain
from motenet.core.trace import HasNow, Watched
from motenet.core.units import SECOND

LIFETIME = 60 * SECOND
"""RFC 1122, 2.3.2.1: out-of-date entries must be flushed; "a timeout on the order of a minute"."""

REFRESH = 10 * SECOND
"""An entry in use is asked for again this long before its end, by unicast (RFC 1122, 2.3.2.1, 2: unicast poll)."""

SILENCE = SECOND
"""RFC 1122, 2.3.2.1: at most one request a second to each destination."""

TRIES = 3
"""Requests without an answer before the neighbor counts as unreachable."""

MAXIMUM_KNOWN = 1024
MAXIMUM_UNRESOLVED = 256
MAXIMUM_HELD = 32
"""Packets kept for one neighbor. RFC 1122, 2.3.2.2: at least the latest should be saved."""
MAXIMUM_HELD_BYTES = 1 << 20
"""Payload kept for all neighbors together."""

Held = tuple[bytes, bytes, int, int, int, bytes]
"""A packet that waits: source, destination, protocol, hop limit, type of service, payload."""


@dataclass(slots=True)
class Resolution:
    """A neighbor that is being asked for."""

    ask_at: int
    tries: int = 0
    packets: list[Held] = field(default_factory=list)
    sockets: list[int] = field(default_factory=list)
    """Handles of sockets that keep what they want to send themselves."""


class NeighborCache(Watched):
    """Answers lookups; says through `due` whom to ask. It sends nothing itself."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "known", "held_bytes")

    def __init__(self, clock: HasNow, path: str = "neighbors") -> None:
        super().__init__(clock, path)
        self.known: dict[bytes, tuple[bytes, int, int]] = {}
        """Address -> (MAC, when to refresh, when it expires), in ns."""
        self.unresolved: dict[bytes, Resolution] = {}
        self.held_bytes = 0
        self._refresh: dict[bytes, None] = {}  # used near their end; emptied by `due` at the end of each poll

    def lookup(self, address: bytes, now: int) -> bytes | None:
        """The MAC of a neighbor, or None: then `hold` a packet or `park` a socket for it."""
        found = self.known.get(address)
        if found is None:
            return None
        if now < found[1]:
            return found[0]
        if now < found[2]:
            self._refresh[address] = None
            return found[0]
        del self.known[address]
        return None

    def hold(self, address: bytes, packet: Held, now: int) -> None:
        """Keep a packet until the neighbor is found; for want of room, the oldest that wait for it are given up."""
        resolution = self._resolution(address, now)
        if resolution is None:
            self.drop("neighbor-searches")
            return
        packets = resolution.packets
        packets.append(packet)
        self.held_bytes += len(packet[-1])
        while packets and (len(packets) > MAXIMUM_HELD or self.held_bytes > MAXIMUM_HELD_BYTES):
            self.held_bytes -= len(packets.pop(0)[-1])
            self.drop("neighbor-queue")

    def has_room(self, address: bytes) -> bool:
        """Whether the neighbor is searched for, or may be: not too many are already."""
        return address in self.unresolved or len(self.unresolved) < MAXIMUM_UNRESOLVED

    def park(self, address: bytes, handle: int, now: int) -> None:
        """Note that a socket waits for the neighbor, for which there is room."""
        resolution = self._resolution(address, now)
        if resolution is not None and handle not in resolution.sockets:
            resolution.sockets.append(handle)

    def _resolution(self, address: bytes, now: int) -> Resolution | None:
        found = self.unresolved.get(address)
        if found is None and self.has_room(address):
            found = self.unresolved[address] = Resolution(now)
        return found

    def learn(self, address: bytes, mac: bytes, now: int) -> Resolution | None:
        """Take what an ARP packet says. Returns what waited for it."""
        if address not in self.known and len(self.known) >= MAXIMUM_KNOWN:
            del self.known[min(self.known, key=lambda key: self.known[key][2])]
            self.drop("neighbor-evicted")
        self.known[address] = (mac, now + LIFETIME - REFRESH, now + LIFETIME)
        self._refresh.pop(address, None)
        return self._end(address)

    def _end(self, address: bytes) -> Resolution | None:
        resolution = self.unresolved.pop(address, None)
        if resolution is not None:
            self.held_bytes -= sum(len(packet[-1]) for packet in resolution.packets)
        return resolution

    def suspect(self, address: bytes, now: int) -> None:
        """A transport hears nothing from there: one that leaves a unicast request unanswered is searched anew.

        RFC 1122, 3.3.1.4 (negative advice) and 2.3.2.1 (3).
        """
        found = self.known.get(address)
        if found is not None:
            self.known[address] = (found[0], found[1], min(found[2], now + TRIES * SILENCE))
            self._refresh[address] = None

    def knows(self, address: bytes) -> bool:
        """Whether an unasked packet about this address may update the table (RFC 826's Merge_flag)."""
        return address in self.known or address in self.unresolved

    def due(self, now: int) -> tuple[list[tuple[bytes, bytes | None]], list[int]]:
        """Addresses to ask for now, with the MAC to ask at (None: everybody); and sockets to look at again meanwhile.

        The asking is counted as done. Parked sockets get their turn so that their own timers go on.
        """
        asked: list[tuple[bytes, bytes | None]] = []
        released: list[int] = []
        due = [(key, found) for key, found in self.unresolved.items() if found.ask_at <= now and found.tries < TRIES]
        for address, resolution in due:
            if resolution.tries and not resolution.packets and not resolution.sockets:
                del self.unresolved[address]  # nobody waits any more
                continue
            if resolution.tries:
                released += resolution.sockets
                resolution.sockets.clear()
            resolution.tries += 1
            resolution.ask_at = now + SILENCE
            asked.append((address, None))
        for address in self._refresh:
            if address in self.known:
                mac, _, expires = self.known[address]
                self.known[address] = (mac, now + SILENCE, expires)
                asked.append((address, mac))
        self._refresh.clear()
        return asked, released

    def failed(self, now: int) -> list[tuple[bytes, Resolution]]:
        """The searches that found nobody, which end here."""
        ended = [
            address
            for address, resolution in self.unresolved.items()
            if resolution.ask_at <= now and resolution.tries >= TRIES
        ]
        return [(address, resolution) for address in ended if (resolution := self._end(address)) is not None]

    def poll_at(self) -> int | None:
        """When `due` or `failed` next has work, in ns."""
        return min((resolution.ask_at for resolution in self.unresolved.values()), default=None)

    def rows(self, now: int) -> list[dict[str, Any]]:
        """What is known, for people: address and mac as bytes, state, and the ns left of it."""
        known = [
            {"address": address, "mac": mac, "state": "reachable", "expires_in": expires - now}
            for address, (mac, _, expires) in self.known.items()
            if expires > now
        ]
        searched = [
            {"address": address, "mac": b"", "state": "incomplete", "expires_in": None} for address in self.unresolved
        ]
        return known + searched

    def save(self) -> Plain:
        searched = {address: plain(astuple(resolution)) for address, resolution in self.unresolved.items()}
        return super().save() | {"unresolved": searched}

    def load(self, state: Plain) -> None:
        super().load(state)
        self._refresh.clear()
        self.unresolved.clear()
        for address, fields in state["unresolved"].items():
            self.unresolved[address] = Resolution(*plain(fields))
