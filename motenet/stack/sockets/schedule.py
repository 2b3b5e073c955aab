"""Which sockets have something to do, and when. Idle ones cost nothing."""

from heapq import heappop, heappush
from typing import ClassVar

from motenet.core.state import Component


class Schedule(Component):
    """Sockets by handle: those that are ready, and the times at which others will be."""

    STATE: ClassVar[tuple[str, ...]] = ("ready", "deadlines", "timers")

    def __init__(self, path: str = "schedule") -> None:
        self.path = path
        self.ready: dict[int, None] = {}
        """Handles of sockets that have something to dispatch, in the order in which they said so."""
        self.deadlines: dict[int, int] = {}
        """Handle -> the one entry of `timers` that counts."""
        self.timers: list[tuple[int, int]] = []
        """A heap of (when, handle); entries that do not count are passed over."""

    def take(self, now: int) -> list[int]:
        """All that are ready or due now, in order; they are ready no more."""
        timers, deadlines = self.timers, self.deadlines
        while timers and timers[0][0] <= now:
            time, handle = heappop(timers)
            if deadlines.get(handle) == time:
                del deadlines[handle]
                self.ready[handle] = None
        taken = list(self.ready)
        self.ready.clear()
        return taken

    def wait(self, handle: int, at: int) -> None:
        """The socket is to be taken at that time, in ns, or earlier."""
        known = self.deadlines.get(handle)
        if known is None or at < known:
            self.deadlines[handle] = at
            heappush(self.timers, (at, handle))

    def forget(self, handle: int) -> None:
        """The socket is gone."""
        self.ready.pop(handle, None)
        self.deadlines.pop(handle, None)

    def next_at(self, now: int) -> int | None:
        """When `take` next gives something, in ns."""
        if self.ready:
            return now
        timers, deadlines = self.timers, self.deadlines
        while timers and deadlines.get(timers[0][1]) != timers[0][0]:
            heappop(timers)
        return timers[0][0] if timers else None
