"""The memory of a connection's streams: a ring of bytes, addressed by sequence numbers."""

from collections.abc import Iterable

import numpy as np

from motenet.core.checksum import Buffer
from motenet.core.state import Plain


class Ring:
    """A window of `capacity` bytes on a stream. Its numbers are sequence numbers that never wrap.

    The bytes from `start` to before `end` are held in order; beyond `end` a receiver may `place` what came early.
    """

    __slots__ = ("_memory", "capacity", "end", "start")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.start = 0
        self.end = 0
        self._memory = np.zeros(capacity, np.uint8).data  # committed only where it is touched

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def room(self) -> int:
        """How many bytes can be appended."""
        return self.capacity - (self.end - self.start)

    def anchor(self, position: int) -> None:
        """Empty the ring; the next byte appended has this number."""
        self.start = self.end = position

    def place(self, position: int, piece: Buffer) -> None:
        """Copy a piece to its place, which lies from `start` to before `start + capacity`; `end` stays."""
        length = len(piece)
        at = position % self.capacity
        behind = at + length
        if behind <= self.capacity:
            self._memory[at:behind] = piece
        else:
            first = self.capacity - at
            view = memoryview(piece)
            self._memory[at:] = view[:first]
            self._memory[: behind - self.capacity] = view[first:]

    def append(self, data: Buffer) -> int:
        """Take as much as there is room for; returns how much."""
        length = min(len(data), self.capacity - (self.end - self.start))
        if length:
            self.place(self.end, data if length == len(data) else memoryview(data)[:length])
            self.end += length
        return length

    def pieces(self, position: int, length: int) -> list[Buffer]:
        """Views of `length` bytes from `position` on: one, or two where the memory wraps. Not to be kept."""
        at = position % self.capacity
        behind = at + length
        if behind <= self.capacity:
            return [self._memory[at:behind]]
        return [self._memory[at:], self._memory[: behind - self.capacity]]

    def peek(self, length: int) -> bytes:
        """Up to `length` bytes from the start, which stay."""
        length = min(length, self.end - self.start)
        if length <= 0:
            return b""
        first, *second = self.pieces(self.start, length)
        return bytes(first) + bytes(second[0]) if second else bytes(first)

    def release(self, position: int) -> None:
        """Forget what comes before `position`."""
        self.start = position

    def contents(self, ranges: Iterable[tuple[int, int]]) -> Plain:
        """The bytes in order, and those of `ranges` beyond: what a snapshot needs."""
        spans = [(self.start, self.end), *ranges]
        return [(left, b"".join(bytes(piece) for piece in self.pieces(left, right - left))) for left, right in spans]

    def restore(self, contents: Plain) -> None:
        """Take what `contents` gave."""
        start, held = contents[0]
        self.start, self.end = start, start + len(held)
        for position, data in contents:
            self.place(position, data)
