"""What a driver makes available as one: a chain of descriptors, checked while it is gathered (virtio 2.7.4 to 2.8.19).

Whatever is wrong with a queue has a name of its own here, with the clauses for split and packed virtqueues.
"""

from typing import NamedTuple, TypeAlias

BATCH = 64
"""Descriptors of a ring that are looked at together."""
WORK = 4096
"""Descriptors, with those of tables, after which they are passed on first."""
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


Buffers: TypeAlias = tuple[tuple[int, int], ...]
"""Bus address and bytes of each."""
Plain: TypeAlias = tuple[int, int, Buffers, Buffers, int, int]
"""A Chain's members: five times as fast to make, and a snapshot takes them."""


class Chain(NamedTuple):
    """Buffers that the device reads, and behind them those that it may write."""

    id: int
    """What the used element will say: the chain's head (split), or its buffer id (packed)."""
    step: int
    """How far it takes the ring: 1 (split), or its descriptors in the ring (packed)."""
    readable: Buffers
    writable: Buffers
    readable_length: int
    writable_length: int


class Gathering:
    """A chain in the making."""

    __slots__ = ("count", "length", "readable", "readable_length", "what", "writable")

    def __init__(self, what: str) -> None:
        self.what = what
        self.readable: list[tuple[int, int]] = []
        self.writable: list[tuple[int, int]] = []
        self.count = self.length = self.readable_length = 0

    def add(self, address: int, length: int, writable: int) -> None:
        """The next buffer. Violation if it may not be there."""
        if not length:
            raise Violation(EMPTY_BUFFER, f"buffer {self.count} of {self.what} has no bytes")
        self.count += 1
        self.length += length
        if writable:
            self.writable.append((address, length))
        elif self.writable:
            raise Violation(WRITABLE_FIRST, f"buffer {self.count - 1} of {self.what} is readable, one before is not")
        else:
            self.readable.append((address, length))
            self.readable_length += length
        if self.length > MOST_BYTES:
            raise Violation(TOO_MANY_BYTES, f"{self.what} has {self.length} bytes")

    def chain(self, number: int, step: int) -> Plain:
        """It is complete."""
        readable = self.readable_length
        return number, step, tuple(self.readable), tuple(self.writable), readable, self.length - readable
