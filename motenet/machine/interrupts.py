"""Interrupt delivery: level-triggered lines that cards may share, and messages. A handler always runs in an event."""

from collections.abc import Callable
from typing import ClassVar

from motenet.core.clock import LocalClock
from motenet.core.errors import SnapshotError
from motenet.core.state import Plain
from motenet.core.trace import InterruptChange, Watched

STORM = 100_000
"""Deliveries of a line that never falls, after which it is masked, as Linux does ("nobody cared")."""

Handler = Callable[[], bool]


class InterruptController(Watched):
    """A machine's interrupt lines and message vectors: numbered together, each with its handlers.

    A line has a level per source; it is high while any is. A message is pending until its handler has run.
    """

    STATE: ClassVar[tuple[str, ...]] = (
        *Watched.STATE,
        "sources",
        "pending",
        "posted",
        "masked",
        "connected",
        "repeats",
    )

    def __init__(self, clock: LocalClock) -> None:
        super().__init__(clock, "interrupts")
        self.clock: LocalClock = clock
        self.sources: dict[int, int] = {}
        """For each vector: the sources that hold it high, a bit each."""
        self.pending: dict[int, bool] = {}
        """For each vector: whether a message waits."""
        self.posted: dict[int, bool] = {}
        """For each vector: whether its delivery is already an event."""
        self.masked: dict[int, int] = {}
        """For each vector: the sources that want it masked, a bit each (1 << 63: a storm)."""
        self.connected: dict[int, int] = {}
        """For each vector: the sources whose handlers are connected, a bit each."""
        self.repeats: dict[int, int] = {}
        """For each vector: deliveries since it was last low."""
        self._handlers: dict[tuple[int, int], Handler] = {}

    def new_vector(self) -> int:
        """A vector that nobody has yet."""
        vector = len(self.sources)
        self.sources[vector] = self.masked[vector] = self.connected[vector] = self.repeats[vector] = 0
        self.pending[vector] = self.posted[vector] = False
        return vector

    def connect(self, vector: int, source: int, handler: Handler) -> None:
        """Let `handler` be called for `vector`; a source has one handler a vector."""
        self._handlers[vector, source] = handler
        self.masked[vector] &= ~(1 << 63)  # somebody new cares
        self.repeats[vector] = 0
        self.connected[vector] |= 1 << source
        self._post(vector)

    def disconnect(self, vector: int, source: int) -> None:
        """The handler is no longer called; a snapshot of earlier may connect it again."""
        self.connected[vector] &= ~(1 << source)

    def mask(self, vector: int, source: int) -> None:
        self.masked[vector] |= 1 << source

    def unmask(self, vector: int, source: int) -> None:
        self.masked[vector] &= ~(1 << source | 1 << 63)
        self.repeats[vector] = 0
        self._post(vector)

    def set_level(self, vector: int, source: int, level: bool) -> None:
        """A source raises or lowers its share of a line."""
        before = self.sources[vector]
        after = before | 1 << source if level else before & ~(1 << source)
        if after == before:
            return
        self.sources[vector] = after
        if bool(before) != bool(after):
            if self.watch is not None:
                self.watch(InterruptChange(self.clock.now, self.path, vector, bool(after)))
            if after:
                self._post(vector)
            else:
                self.repeats[vector] = 0

    def send(self, vector: int) -> None:
        """A message has arrived."""
        if self.watch is not None:
            self.watch(InterruptChange(self.clock.now, self.path, vector, True, message=True))
        self.pending[vector] = True
        self._post(vector)

    def load(self, state: Plain) -> None:
        super().load(state)
        for vector, sources in self.connected.items():
            for source in range(sources.bit_length()):
                if sources >> source & 1 and (vector, source) not in self._handlers:
                    raise SnapshotError(
                        f"{self.path}: vector {vector} has no handler; start the driver before restoring"
                    )

    def _post(self, vector: int) -> None:
        wanted = self.sources[vector] or self.pending[vector]
        if wanted and self.connected[vector] and not self.masked[vector] and not self.posted[vector]:
            self.posted[vector] = True
            self.clock.post(self._deliver, vector)

    def _deliver(self, vector: int) -> None:
        self.posted[vector] = False
        if self.masked[vector] or not (self.sources[vector] or self.pending[vector]):
            return
        self.pending[vector] = False
        self.clock.in_interrupt = True
        try:
            connected, source = self.connected[vector], 0
            while connected >> source:
                if connected >> source & 1:
                    self._handlers[vector, source]()
                source += 1
        finally:
            self.clock.in_interrupt = False
        if self.sources[vector]:
            self.repeats[vector] += 1
            if self.repeats[vector] >= STORM:
                self.masked[vector] |= 1 << 63
                self.drop(
                    "interrupt storm", f"vector {vector} stayed high through {STORM} deliveries and is now masked"
                )
        self._post(vector)
