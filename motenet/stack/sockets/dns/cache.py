"""What became of questions, remembered for as long as their answers allow (RFC 1035, 7.4; RFC 2308)."""

from typing import NamedTuple

from motenet.core.state import Component, Plain
from motenet.core.units import SECOND
from motenet.stack.wire.dns import Name

FOUND, NO_DATA, NO_NAME, FAILED, TIMED_OUT = "found", "no-data", "no-name", "failed", "timed-out"

Key = tuple[Name, int]
"""A name in small letters, and a type."""

ENTRIES = 512
"""The oldest use makes way."""
LONGEST = {FOUND: 86_400, NO_DATA: 3 * 3600, NO_NAME: 3 * 3600, FAILED: 300, TIMED_OUT: 300}
"""Seconds that an outcome is kept at most: RFC 1035, 7.3 wants a bound, a day; RFC 2308, 5: 1 to 3 hours work well;
RFC 9520, 3.2: failures not longer than 5 minutes."""
FAILURE_LIFE = 1
"""Seconds: "Resolvers MUST cache resolution failures for at least 1 second" (RFC 9520, 3.2)."""


class Outcome(NamedTuple):
    """What became of a question: FOUND with its addresses, or one of the others."""

    kind: str
    addresses: tuple[bytes, ...] = ()
    detail: str = ""
    """What a person is told about a failure."""


class Cache(Component):
    """Outcomes by name and type; the least recently used one is forgotten first."""

    def __init__(self, path: str = "cache") -> None:
        self.path = path
        self.entries: dict[Key, tuple[int, Outcome]] = {}
        """Key -> until when, in ns, and the outcome."""

    def get(self, key: Key, now: int) -> Outcome | None:
        """The outcome, if it is known and has not expired."""
        found = self.entries.pop(key, None)
        if found is None or found[0] <= now:
            return None
        self.entries[key] = found  # behind all others: used last
        return found[1]

    def put(self, key: Key, outcome: Outcome, life: int, now: int) -> None:
        """Keep an outcome for `life` seconds, within bounds; 0: it is good for this once (RFC 1035, 3.2.1)."""
        life = min(life, LONGEST[outcome.kind])
        self.entries.pop(key, None)
        if life > 0:
            while len(self.entries) >= ENTRIES:
                del self.entries[next(iter(self.entries))]
            self.entries[key] = (now + life * SECOND, outcome)

    def clear(self) -> None:
        """Forget everything."""
        self.entries.clear()

    def save(self) -> Plain:
        return [(key, until, tuple(outcome)) for key, (until, outcome) in self.entries.items()]

    def load(self, state: Plain) -> None:
        self.entries.clear()
        for (name, kind), until, outcome in state:
            self.entries[tuple(name), kind] = (until, Outcome(*outcome))
