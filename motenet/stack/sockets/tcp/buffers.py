"""The memory of a connection's streams: a ring of bytes, addressed by sequence numbers."""

from collections.abc import Iterable

import numpy as np

from motenet.core.checksum import Buffer
from motenet.core.state import Plain

LEAST = 4096
"""Bytes of memory that a ring begins with."""


class Ring:
    """A window of `capacity` bytes on a stream. Its numbers are sequence numbers that never wrap.

    The bytes from `start` to before `end` are held in order; beyond `end` a receiver may `place` what came early.
    Memory grows with what is held: most connections never need all of their window.
    """

    __slots__ = ("_memory", "_size", "capacity", "end", "start")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.start = 0
        self.end = 0
        self._size = 0
        self._memory = memoryview(b"")

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
        if not length:
            return
        if position + length > self.start + self._size:
            self._grow(position + length - self.start)
        at = position % self._size
        behind = at + length
        if behind <= self._size:
            self._memory[at:behind] = piece
        else:
            first = self._size - at
            view = memoryview(piece)
            self._memory[at:] = view[:first]
            self._memory[: behind - self._size] = view[first:]

    def _grow(self, needed: int) -> None:
        """Double the memory until it holds `needed` bytes from `start` on; what is in it keeps its numbers."""
        size = max(self._size, LEAST)
        while size < needed:
            size *= 2
        held = self.pieces(self.start, self._size)
        self._size = min(size, self.capacity)
        self._memory = np.zeros(self._size, np.uint8).data
        position = self.start
        for piece in held:
            self.place(position, piece)
            position += len(piece)

    def shrink(self) -> None:
        """Give the memory back, if nothing is held."""
        if self.end == self.start:
            self._size, self._memory = 0, memoryview(b"")

    def append(self, data: Buffer) -> int:
        """Take as much as there is room for; returns how much."""
        length = min(len(data), self.capacity - (self.end - self.start))
        if length:
            self.place(self.end, data if length == len(data) else memoryview(data)[:length])
            self.end += length
        return length

    def pieces(self, position: int, length: int) -> list[Buffer]:
        """Views of `length` bytes from `position` on: one, or two where the memory wraps. Not to be kept."""
        if not length:
            return []
        at = position % self._size
        behind = at + length
        if behind <= self._size:
            return [self._memory[at:behind]]
        return [self._memory[at:], self._memory[: behind - self._size]]

    def peek(self, length: int) -> bytes:
        """Up to `length` bytes from the start, which stay."""
        length = min(length, self.end - self.start)
        if length <= 0:
            return b""
        at = self.start % self._size
        behind = at + length
        if behind <= self._size:
            return bytes(self._memory[at:behind])
        return bytes(self._memory[at:]) + bytes(self._memory[: behind - self._size])

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
