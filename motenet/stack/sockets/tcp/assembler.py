"""Reassembly: which ranges of the stream have arrived beyond the first gap."""

from bisect import bisect_left, bisect_right
from typing import ClassVar

from motenet.core.state import Component

LIMIT = 4096
"""Most ranges that are remembered; a gap of less than a segment between them is a peer's mistake or an attack."""

_REPORTED = 4  # RFC 2018, 3: no more blocks fit into the options


class Assembler(Component):
    """Disjoint ranges [left, right) of sequence numbers, in order; and which of them grew most recently."""

    STATE: ClassVar[tuple[str, ...]] = ("lefts", "rights", "recent")

    def __init__(self) -> None:
        self.lefts: list[int] = []
        self.rights: list[int] = []
        self.recent: list[int] = []
        """A number within each of the ranges that arrived last, latest first (RFC 2018, 4)."""

    def clear(self) -> None:
        self.lefts.clear()
        self.rights.clear()
        self.recent.clear()

    def add(self, left: int, right: int) -> bool:
        """Remember a range, merged with those that it touches. False: there are too many, and it is forgotten."""
        first = bisect_left(self.rights, left)
        behind = bisect_right(self.lefts, right)
        if first < behind:
            joined_left, joined_right = min(left, self.lefts[first]), max(right, self.rights[behind - 1])
            self.recent = [number for number in self.recent if not joined_left <= number < joined_right]
        elif len(self.lefts) < LIMIT:
            joined_left, joined_right = left, right
        else:
            return False
        self.lefts[first:behind] = [joined_left]
        self.rights[first:behind] = [joined_right]
        self.recent.insert(0, left)
        del self.recent[_REPORTED:]
        return True

    def advance(self, position: int) -> int:
        """All before `position` has arrived in order: how far does the order reach? What it swallows is forgotten."""
        behind = bisect_right(self.lefts, position)
        if behind:
            position = max(position, self.rights[behind - 1])
            del self.lefts[:behind], self.rights[:behind]
            self.recent = [number for number in self.recent if number >= position]
        return position

    def overlap(self, left: int, right: int) -> tuple[int, int] | None:
        """The first part of a range that is here already."""
        first = bisect_right(self.rights, left)
        if first == len(self.lefts) or self.lefts[first] >= right:
            return None
        return max(left, self.lefts[first]), min(right, self.rights[first])

    def ranges(self) -> list[tuple[int, int]]:
        """All ranges, in order."""
        return list(zip(self.lefts, self.rights, strict=True))

    def blocks(self, limit: int) -> list[tuple[int, int]]:
        """Up to `limit` ranges for a SACK option: the one that grew last comes first (RFC 2018, 4)."""
        indices = [bisect_right(self.lefts, number) - 1 for number in self.recent[:limit]]
        return [(self.lefts[index], self.rights[index]) for index in indices]
