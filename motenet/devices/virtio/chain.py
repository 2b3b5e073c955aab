"""What a driver makes available as one: a chain of descriptors, checked while it is gathered (virtio 2.7.4 to 2.8.19).

Whatever is wrong with a queue has a name of its own here, with the clauses for split and packed virtqueues.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

MOST_BYTES = 1 << 32
"""virtio 2.7.5.2: of a chain in total."""


class Rule(NamedTuple):
    """Something that a driver must not do to a queue."""

    reason: str
    clause: str


BAD_SIZE = Rule("bad queue size", "virtio 2.7, 2.8.10.1")
MISALIGNED = Rule("misaligned ring", "virtio 2.7.1, 2.8.11")
INDEX_JUMP = Rule("available index jumped", "virtio 2.7.6.1, 2.7.13")
BAD_HEAD = Rule("head out of range", "virtio 2.7.6")
BAD_NEXT = Rule("next out of range", "virtio 2.7.5")
LOOP = Rule("descriptor loop", "virtio 2.7.5.2")
CHAIN_TOO_LONG = Rule("chain longer than the queue", "virtio 2.7.5.3.1, 2.8.17")
PARTIAL_CHAIN = Rule("chain partly available", "virtio 2.8.17")
EMPTY_BUFFER = Rule("empty buffer", "virtio 2.7.13.1, 2.8")
WRITABLE_FIRST = Rule("writable before readable", "virtio 2.7.4.2, 2.8.17")
TOO_MANY_BYTES = Rule("more than 4 GiB", "virtio 2.7.5.2")
INDIRECT_UNKNOWN = Rule("indirect not negotiated", "virtio 2.7.5.3.1, 2.8.19")
INDIRECT_NESTED = Rule("indirect inside indirect", "virtio 2.7.5.3.1")
INDIRECT_IN_LIST = Rule("indirect inside a list", "virtio 2.7.5.3.1, 2.8.19")
TABLE_LENGTH = Rule("bad indirect table length", "virtio 2.7.5.3, 2.8.7")
TABLE_TOO_LONG = Rule("indirect table too long", "virtio 2.7.5.3.1, 2.8.17")
UNKNOWN_FLAGS = Rule("unknown descriptor flags", "virtio 2.8.13")


class Violation(Exception):
    """A rule is broken. It never leaves the queue: `VirtQueue.pop` tells it, and stops."""

    def __init__(self, rule: Rule, what: str) -> None:
        super().__init__(f"{what} ({rule.clause})")
        self.rule = rule


class Stale(Exception):
    """The queue was reset or disabled while memory was read: what was read means nothing any more."""


@dataclass(slots=True)
class Chain:
    """Buffers as (bus address, bytes): what the device reads, and behind it what it may write."""

    id: int
    """What the used element will say: the chain's head (split), or its buffer id (packed)."""
    step: int
    """How far it takes the ring: 1 (split), or its descriptors in the ring (packed)."""
    readable: list[tuple[int, int]] = field(default_factory=list)
    writable: list[tuple[int, int]] = field(default_factory=list)
    readable_length: int = 0
    writable_length: int = 0

    @property
    def count(self) -> int:
        """Its buffers."""
        return len(self.readable) + len(self.writable)

    def add(self, address: int, length: int, writable: bool) -> None:
        """The next buffer. Violation if it may not be there."""
        if not length:
            raise Violation(EMPTY_BUFFER, f"buffer {self.count} of chain {self.id} has no bytes")
        if writable:
            self.writable.append((address, length))
            self.writable_length += length
        elif self.writable:
            raise Violation(WRITABLE_FIRST, f"buffer {self.count} of chain {self.id} is readable, those before are not")
        else:
            self.readable.append((address, length))
            self.readable_length += length
        if self.readable_length + self.writable_length > MOST_BYTES:
            raise Violation(TOO_MANY_BYTES, f"chain {self.id} has {self.readable_length + self.writable_length} bytes")
