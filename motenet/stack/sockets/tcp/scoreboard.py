"""What is on its way, range by range: when it was sent, and what has become of it (RFC 6675, 3; RFC 8985, 5.1)."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import ClassVar

from motenet.core.state import Component, Plain

FLYING, LOST, SACKED = 0, 1, 2
"""A range is believed to be in the network, or to have fallen out of it, or is known to have arrived."""

LEAST_LIMIT, LEAST_AVERAGE = 1024, 8
"""So many ranges, and one more for every 2^8 bytes on their way: a peer that splits them further is not heard."""

_LEFT = attrgetter("left")


@dataclass(slots=True)
class Sent:
    """The sequence numbers [left, right), and when they were sent last, in ns."""

    left: int
    right: int
    at: int
    again: bool = False
    """It was sent more than once: what acknowledges it may mean the first time (Karn)."""
    state: int = FLYING


class Scoreboard(Component):
    """The ranges from SND.UNA to SND.NXT, in order and without gaps.

    Neighbors are one range if they were sent at the same time, or are both lost, or have both arrived: so the list
    stays short where it is searched. What they do not share splits them again.
    """

    STATE: ClassVar[tuple[str, ...]] = ("pipe", "lost", "sacked", "lowest")

    def __init__(self) -> None:
        self.ranges: list[Sent] = []
        self.pipe = 0
        """RFC 6675, 2: how many numbers are believed to be in the network."""
        self.lost = 0
        """How many are lost, and not sent again yet."""
        self.sacked = 0
        """How many have arrived out of order."""
        self.lowest = 0
        """Nothing before this number is lost."""

    def clear(self) -> None:
        self.ranges.clear()
        self.pipe = self.lost = self.sacked = 0

    # --- sending

    def sent(self, left: int, right: int, at: int, again: bool = False) -> None:
        """New numbers have gone out, next to those before."""
        ranges = self.ranges
        self.pipe += right - left
        if ranges and not again:
            last = ranges[-1]
            if last.at == at and last.state == FLYING and not last.again:
                last.right = right
                return
        ranges.append(Sent(left, right, at, again))

    def resent(self, left: int, right: int, at: int) -> None:
        """Numbers have gone out again: they are on their way, whatever was believed before."""
        for index in self._between(left, right):
            found = self.ranges[index]
            if found.state == LOST:
                self._count(found, FLYING)
            found.at, found.again = at, True

    def first_lost(self) -> Sent | None:
        """The lowest range that is lost (RFC 6675, 4, NextSeg, rule 1)."""
        if not self.lost:
            return None
        ranges = self.ranges
        for index in range(self._at(self.lowest), len(ranges)):
            if ranges[index].state == LOST:
                self.lowest = ranges[index].left
                return ranges[index]
        return None

    # --- what arrives

    def acknowledge(self, ack: int) -> list[Sent]:
        """All before `ack` has arrived in order. Returns the ranges of which that was not known."""
        ranges = self.ranges
        if ranges and ranges[0].left < ack < ranges[-1].right:
            self._split(ack)
        count = 0
        for found in ranges:
            if found.right > ack:
                break
            self._forget(found)
            count += 1
        news = [found for found in ranges[:count] if found.state != SACKED]
        del ranges[:count]
        return news

    def forward(self, ack: int) -> Sent | None:
        """As `acknowledge`, when nothing is lost or out of order; returns the range of `ack`'s last number."""
        ranges = self.ranges
        for index, last in enumerate(ranges):
            if last.right >= ack:
                self.pipe -= ack - ranges[0].left
                if last.right == ack:
                    del ranges[: index + 1]
                else:
                    del ranges[:index]
                    last.left = ack
                return last
        self.clear()
        return None

    def sack(self, left: int, right: int) -> list[Sent]:
        """A range has arrived, maybe out of order. Returns the parts of it of which that was not known."""
        ranges = self.ranges
        if not ranges:
            return []
        left, right = max(left, ranges[0].left), min(right, ranges[-1].right)
        if left >= right or len(ranges) >= LEAST_LIMIT + (ranges[-1].right - ranges[0].left >> LEAST_AVERAGE):
            return []  # RFC 2018, 8: it is advice
        holder = ranges[self._at(left)]
        if holder.state == SACKED and right <= holder.right:
            return []
        between = self._between(left, right)
        news = []
        for index in between:
            found = ranges[index]
            if found.state != SACKED:
                self._count(found, SACKED)
                news.append(Sent(found.left, found.right, found.at, found.again))
        self._join(between.start, between.stop)
        return news

    # --- what does not

    def lose(self, index: int) -> None:
        """A range that was believed to be on its way is lost."""
        found = self.ranges[index]
        self._count(found, LOST)
        if found.left < self.lowest or self.lost == found.right - found.left:
            self.lowest = found.left

    def lose_from(self, left: int, right: int) -> None:
        """All of a span is lost that has not arrived."""
        if left < right and self.ranges:
            between = self._between(left, right)
            for index in between:
                if self.ranges[index].state == FLYING:
                    self.lose(index)
            self._join(between.start, between.stop)

    def tidy(self) -> None:
        """Make neighbors of one fate one range, after some were found lost one by one."""
        self._join(0, len(self.ranges))

    def renege(self) -> None:
        """The peer has thrown away what it had reported (RFC 2018, 8): nothing out of order has arrived."""
        for index, found in enumerate(self.ranges):
            if found.state == SACKED:
                self.lose(index)
        self.tidy()

    def find_again(self) -> None:
        """What was believed lost was not: it is on its way."""
        for found in self.ranges:
            if found.state == LOST:
                self._count(found, FLYING)

    # --- how

    def _count(self, found: Sent, state: int) -> None:
        """Give a range another state, and keep the three sums right."""
        self._forget(found)
        found.state = state
        length = found.right - found.left
        if state == FLYING:
            self.pipe += length
        elif state == LOST:
            self.lost += length
        else:
            self.sacked += length

    def _forget(self, found: Sent) -> None:
        length = found.right - found.left
        if found.state == FLYING:
            self.pipe -= length
        elif found.state == LOST:
            self.lost -= length
        else:
            self.sacked -= length

    def _at(self, number: int) -> int:
        """The index of the range that holds a number."""
        return max(bisect_right(self.ranges, number, key=_LEFT) - 1, 0)

    def _split(self, number: int) -> int:
        """Let a range begin with this number; returns its index, or that behind the last."""
        ranges = self.ranges
        if number >= ranges[-1].right:
            return len(ranges)
        index = self._at(number)
        found = ranges[index]
        if number <= found.left:
            return index
        ranges.insert(index + 1, Sent(number, found.right, found.at, found.again, found.state))
        found.right = number
        return index + 1

    def _between(self, left: int, right: int) -> range:
        """The indices of the ranges that make up a span exactly."""
        first = self._split(left)
        return range(first, self._split(right))

    def _join(self, start: int, stop: int) -> None:
        """Join neighbors that are both lost or both have arrived, from one before `start` to one behind `stop`."""
        ranges = self.ranges
        start, stop = max(start - 1, 0), min(stop + 1, len(ranges))
        joined: list[Sent] = []
        for found in ranges[start:stop]:
            last = joined[-1] if joined else found
            if joined and found.state == last.state != FLYING:
                last.right = found.right
                last.at = max(last.at, found.at)
                last.again |= found.again
            else:
                joined.append(found)
        ranges[start:stop] = joined

    def __iter__(self) -> Iterator[Sent]:
        return iter(self.ranges)

    # --- state

    def save(self) -> Plain:
        return super().save() | {"ranges": [(r.left, r.right, r.at, r.again, r.state) for r in self.ranges]}

    def load(self, state: Plain) -> None:
        super().load(state)
        self.ranges[:] = [Sent(*fields) for fields in state["ranges"]]
