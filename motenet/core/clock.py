"""One clock a world: integer nanoseconds and a heap of events; and each machine's local time, which may lead it."""

from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any, ClassVar, Protocol, TypeAlias

from motenet.core.errors import BlockingInsideWorld, DriverError, SnapshotError
from motenet.core.state import Component, Plain, plain

Callback: TypeAlias = Callable[[Any], None]
Entry: TypeAlias = tuple[int, int, Callback, Any, "LocalClock | None"]

FOREVER = 2**63 - 1
"""A deadline that never comes, in nanoseconds."""

LITTER = 1000
"""Cancelled timers that may lie in the heap, however few others there are."""


class Pace(Protocol):
    """What lets a clock's time pass otherwise than at once: bridge.realtime has the real clock."""

    def elapse(self, deadline: int, ready: Callable[[], bool] | None) -> bool:
        """As Clock.elapse; it runs the clock in steps, by Clock.run."""
        ...

    def call(self, callback: Callback, argument: Any) -> None:
        """As Clock.call, which may come from any thread."""
        ...


class Clock(Component):
    """The world's time and its events, in order of (time, sequence). Every event runs to completion."""

    def __init__(self) -> None:
        self.path = "clock"
        self.now = 0
        """The current virtual time in nanoseconds."""
        self.running = False
        self.on_begin: Callable[[], None] | None = None
        """Wiring: called whenever `run` begins."""
        self.on_return: Callable[[], None] | None = None
        """Wiring: called whenever `run` returns to the top level."""
        self.pace: Pace | None = None
        """Wiring: what time waits for when the top level waits; None is virtual time, which waits for nothing."""
        self._sequence = 0
        self._heap: list[Entry] = []
        self._soon: deque[Entry] = deque()  # events for this very instant, behind those of the heap
        self._cancelled = 0  # since the heap was last swept

    def at(self, time: int, callback: Callback, argument: Any = None, owner: "LocalClock | None" = None) -> int:
        """Call `callback(argument)` at `time` (ns; the past means now), after what is already due then.

        Returns the entry's sequence number. An entry with an owner is a device timer of that machine (see LocalClock).
        """
        self._sequence = sequence = self._sequence + 1
        entry: Entry
        if time <= self.now:
            entry = (self.now, sequence, callback, argument, owner)
            self._soon.append(entry)
        else:
            entry = (time, sequence, callback, argument, owner)
            heappush(self._heap, entry)
        if owner is not None:
            owner.timers[sequence] = entry
        return sequence

    def after(self, delay: int, callback: Callback, argument: Any = None) -> int:
        """Call `callback(argument)` in `delay` nanoseconds."""
        return self.at(self.now + delay, callback, argument)

    def call(self, callback: Callback, argument: Any = None) -> None:
        """Call `callback(argument)` as soon as can be; for other threads, if a pace has this clock wait for them."""
        if self.pace is None:
            self.at(self.now, callback, argument)
        else:
            self.pace.call(callback, argument)

    def litter(self) -> None:
        """A timer in the heap was cancelled. Once they may be half of it they are swept out, in place: `run` has it."""
        self._cancelled += 1
        heap = self._heap
        if self._cancelled > LITTER and 2 * self._cancelled > len(heap):
            self._cancelled = 0
            heap[:] = [entry for entry in heap if entry[4] is None or entry[1] in entry[4].timers]
            heapify(heap)

    def next_time(self) -> int | None:
        """When the next event is due, or None when there is none."""
        if self._soon:
            return self.now
        heap = self._heap
        while heap and heap[0][4] is not None and heap[0][1] not in heap[0][4].timers:
            heappop(heap)
        return heap[0][0] if heap else None

    def run(self, deadline: int, ready: Callable[[], bool] | None = None) -> bool:
        """Run all events up to and at `deadline` (ns), or until `ready()` holds after one of them, in virtual time.

        Returns whether `ready` stopped it; otherwise the time is then `deadline` (FOREVER: that of the last event).
        """
        if self.running:
            raise BlockingInsideWorld(
                "an event of this world is running, and what blocks is for the top level: in a coroutine, await"
                " asyncio's own (open_connection, getaddrinfo, sleep ...); in an application, use stack.sockets"
            )
        heap, soon = self._heap, self._soon
        self.running = True
        try:
            if self.on_begin is not None:
                self.on_begin()
            while True:
                if soon and not (heap and heap[0][0] <= self.now):
                    time, sequence, callback, argument, owner = soon.popleft()
                elif heap and heap[0][0] <= deadline:
                    time, sequence, callback, argument, owner = heappop(heap)
                else:
                    break
                if owner is not None and owner.timers.pop(sequence, None) is None:
                    continue
                self.now = time
                callback(argument)
                if ready is not None and ready():
                    return True
            if deadline != FOREVER and deadline > self.now:
                self.now = deadline
            return False
        finally:
            self.running = False
            if self.on_return is not None:
                self.on_return()

    def interrupt(self) -> None:
        """Let `run` raise KeyboardInterrupt before the next event; may be called at any instruction, by a signal."""
        self._soon.appendleft((self.now, 0, _interrupt, None, None))

    def forgive(self) -> bool:
        """Take back an `interrupt` that `run` has not come to; says whether there was one."""
        pending = bool(self._soon) and self._soon[0][2] is _interrupt
        if pending:
            self._soon.popleft()
        return pending

    def elapse(self, deadline: int, ready: Callable[[], bool] | None = None) -> bool:
        """Likewise at this clock's pace: on the real clock, if it hangs on that. Top level only."""
        if self.pace is None or self.running:
            return self.run(deadline, ready)
        return self.pace.elapse(deadline, ready)

    def wait(self, ready: Callable[[], bool], deadline: int) -> bool:
        """Let time pass until `ready()` holds or `deadline` (ns) is over; says whether it holds. Top level only."""
        if self.running:
            return self.run(deadline)  # which raises
        return ready() or self.elapse(deadline, ready)

    def save(self) -> Plain:
        events = []
        entries = sorted([*self._heap, *self._soon], key=lambda entry: entry[:2])
        for time, sequence, callback, argument, owner in entries:
            if owner is not None and sequence not in owner.timers:
                continue  # cancelled, or fired early by a delay
            target = getattr(callback, "__self__", None)
            if not isinstance(target, Component):
                raise SnapshotError(f"the event {callback!r} is no method of a component; a snapshot cannot carry it")
            lane = None if owner is None else owner.path
            events.append((time, sequence, target.path, callback.__name__, plain(argument), lane))
        return {"now": self.now, "sequence": self._sequence, "events": events}

    def load_events(self, state: Plain, find: Callable[[str], Component]) -> None:
        """Take a saved clock, after all components have been loaded; `find` gives the component of a path."""
        self.now, self._sequence = state["now"], state["sequence"]
        self._heap.clear()
        self._soon.clear()
        for time, sequence, path, name, argument, lane in state["events"]:
            owner = None if lane is None else find(lane)
            assert owner is None or isinstance(owner, LocalClock)
            entry: Entry = (time, sequence, getattr(find(path), name), plain(argument), owner)
            if owner is not None:
                owner.timers[sequence] = entry
            if time <= self.now:
                self._soon.append(entry)
            else:
                self._heap.append(entry)
        heapify(self._heap)


def _interrupt(_: object) -> None:
    raise KeyboardInterrupt


class LocalClock(Component):
    """A machine's own time. It may lead the world's (SystemC's temporal decoupling), and never lags behind it.

    Device timers (`at`, `after`) fire in the world's order, or earlier from the machine's own `delay`.
    Events for the processor (`post`) wait for the world.
    """

    STATE: ClassVar[tuple[str, ...]] = ("_local",)

    def __init__(self, world: Clock) -> None:
        self.path = "clock"
        self.world = world
        self.timers: dict[int, Entry] = {}
        self.in_interrupt = False
        self._local = 0

    @property
    def now(self) -> int:
        """This machine's time in nanoseconds."""
        now = self.world.now
        return now if now > self._local else self._local

    def at(self, time: int, callback: Callback, argument: Any = None) -> int:
        """A device timer: call `callback(argument)` at local `time` (ns). Returns a number for `cancel`."""
        now = self.now
        return self.world.at(time if time > now else now, callback, argument, self)

    def after(self, delay: int, callback: Callback, argument: Any = None) -> int:
        """A device timer in `delay` nanoseconds of local time."""
        return self.world.at(self.now + delay, callback, argument, self)

    def cancel(self, timer: int) -> None:
        """Forget a device timer; one that has fired is no mistake."""
        if self.timers.pop(timer, None) is not None:
            self.world.litter()

    def post(self, callback: Callback, argument: Any = None) -> None:
        """An event for the processor, at the local time: never run by `delay`, so that nothing re-enters a driver."""
        self.world.at(self.now, callback, argument)

    def delay(self, nanoseconds: int) -> None:
        """Let local time pass: the machine's due device timers fire, the world does not run."""
        if self.in_interrupt:
            raise DriverError("an interrupt handler may not delay; leave the work to poll()")
        if nanoseconds < 0:
            raise DriverError(f"time does not go back: delay({nanoseconds})")
        target = self.now + nanoseconds
        timers = self.timers
        while timers:
            entry = min(timers.values(), key=lambda entry: entry[:2])
            if entry[0] > target:
                break
            del timers[entry[1]]
            self._local = max(entry[0], self.now)
            entry[2](entry[3])
        self._local = target

    def wait(self, ready: Callable[[], bool], deadline: int) -> bool:
        """Run the whole world until `ready()` or `deadline` (ns); see Clock.wait."""
        return self.world.wait(ready, deadline)

    def load(self, state: Plain) -> None:
        super().load(state)
        self.timers.clear()  # Clock.load_events brings back those of the snapshot
