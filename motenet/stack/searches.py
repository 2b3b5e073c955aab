"""Searches for neighbors whose Ethernet address is not known, and what waits for them (RFC 4861, 7.2; RFC 1122, 2.3.2).

Keys are addresses of 4 or 16 bytes; times are ns.
"""

from dataclasses import astuple, dataclass, field
from typing import Any, ClassVar

from motenet.core.state import Plain, plain
from motenet.core.trace import HasNow, Watched
from motenet.core.units import SECOND

MAX_MULTICAST_SOLICIT = 3
RETRANS_TIMER = SECOND
"""RFC 4861, 10. For ARP it is RFC 1122, 2.3.2.1: at most one request a second to each destination."""

MAXIMUM_UNRESOLVED = 1024
MAXIMUM_GIVEN_UP = 4096
"""Addresses that were asked for within the last RetransTimer, and whose searches have given way to others."""
MAXIMUM_HELD = 32
"""Packets kept for one neighbor. RFC 1122, 2.3.2.2: at least the latest should be saved; RFC 4861, 7.2.2: a few."""
MAXIMUM_HELD_BYTES = 1 << 20
"""Payload kept for all neighbors together."""

Held = tuple[Any, ...]
"""A packet that waits; its last member is its payload, of bytes. The rest is its owner's."""


@dataclass(slots=True)
class Resolution:
    """A neighbor that is being asked for."""

    ask_at: int
    tries: int = 0
    packets: list[Held] = field(default_factory=list)
    sockets: list[int] = field(default_factory=list)
    """Handles of sockets that keep what they want to send themselves."""
    source: bytes = b""
    """Our address that it is asked from (RFC 4861, 7.2.2)."""


class Searches(Watched):
    """The part of a neighbor cache that does not know yet."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "held_bytes", "given_up", "released", "retrans_timer")

    def __init__(self, clock: HasNow, path: str) -> None:
        super().__init__(clock, path)
        self.unresolved: dict[bytes, Resolution] = {}
        """In the order in which they began: those that have not asked yet are the last."""
        self.given_up: dict[bytes, int] = {}
        """Address -> when it may be asked for again. A late answer is still welcome."""
        self.released: list[int] = []
        """Sockets whose search has given way to another."""
        self.held_bytes = 0
        self.retrans_timer = RETRANS_TIMER

    def hold(self, address: bytes, packet: Held, now: int) -> None:
        """Keep a packet until the neighbor is found; for want of room, the oldest that wait for it are given up."""
        resolution = self._search(address, now)
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
        """Whether the neighbor is searched for, or may be: a search that has asked gives way to one that has not."""
        if address in self.unresolved or len(self.unresolved) < MAXIMUM_UNRESOLVED:
            return True
        if address in self.given_up or len(self.given_up) >= MAXIMUM_GIVEN_UP:
            return False
        return next(iter(self.unresolved.values())).tries > 0

    def park(self, address: bytes, handle: int, now: int) -> None:
        """Note that a socket waits for the neighbor, for which there is room."""
        resolution = self._search(address, now)
        if resolution is not None and handle not in resolution.sockets:
            resolution.sockets.append(handle)

    def _search(self, address: bytes, now: int) -> Resolution | None:
        found = self.unresolved.get(address)
        if found is None and self.has_room(address):
            if len(self.unresolved) >= MAXIMUM_UNRESOLVED:
                self._give_way(next(iter(self.unresolved)), now)
            found = Resolution(now)
            ask_at = self.given_up.pop(address, now)
            if ask_at > now:  # it goes on where it gave way
                found = Resolution(ask_at, 1)
            self.unresolved[address] = found
        return found

    def _give_way(self, address: bytes, now: int) -> None:
        resolution = self._end(address)
        if resolution is not None:
            self._silent_until(address, resolution.ask_at, now)
            self.released += resolution.sockets
            for _ in resolution.packets:
                self.drop("neighbor-searches")

    def _silent_until(self, address: bytes, ask_at: int, now: int) -> None:
        if ask_at > now:
            self.given_up[address] = ask_at

    def _end(self, address: bytes) -> Resolution | None:
        resolution = self.unresolved.pop(address, None)
        if resolution is not None:
            self.held_bytes -= sum(len(packet[-1]) for packet in resolution.packets)
        return resolution

    def failed(self, now: int) -> list[tuple[bytes, Resolution]]:
        """The searches that found nobody, which end here."""
        ended = [
            address
            for address, resolution in self.unresolved.items()
            if resolution.ask_at <= now and resolution.tries >= MAX_MULTICAST_SOLICIT
        ]
        return [(address, resolution) for address in ended if (resolution := self._end(address)) is not None]

    def _due_searches(self, now: int, asked: list[tuple[bytes, bytes | None]], released: list[int]) -> None:
        due = [(key, found) for key, found in self.unresolved.items() if found.ask_at <= now]
        for address, resolution in due:
            if resolution.tries >= MAX_MULTICAST_SOLICIT:
                continue  # `failed` ends it
            if resolution.tries and not resolution.packets and not resolution.sockets:
                del self.unresolved[address]  # nobody waits any more
                continue
            if resolution.tries:
                released += resolution.sockets
                resolution.sockets.clear()
            resolution.tries += 1
            resolution.ask_at = now + self._silence(address)
            asked.append((address, None))

    def _silence(self, address: bytes) -> int:
        return RETRANS_TIMER if len(address) == 4 else self.retrans_timer

    def search_at(self) -> int | None:
        """When a search next has to be looked at, in ns."""
        if self.released:
            return 0
        if not self.unresolved:
            return None
        return min(resolution.ask_at for resolution in self.unresolved.values())

    def save(self) -> Plain:
        searched = {address: plain(astuple(resolution)) for address, resolution in self.unresolved.items()}
        return super().save() | {"unresolved": searched}

    def load(self, state: Plain) -> None:
        super().load(state)
        self.unresolved.clear()
        for address, fields in state["unresolved"].items():
            self.unresolved[address] = Resolution(*plain(fields))
