"""A world on the real clock: its events run when their time has come, and what real files bring becomes events."""

import os
import select
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Self
from weakref import finalize

from motenet.bridge.tap import Tap
from motenet.core import units
from motenet.core.clock import FOREVER, Callback, Clock
from motenet.core.errors import ConfigurationError
from motenet.core.trace import Watched
from motenet.core.units import MS, SECOND, US
from motenet.devices.parts.offload import complete
from motenet.doors import FrameFacts
from motenet.machine import Port
from motenet.sim.link import wire_octets

BURST = 64
"""Frames taken from a TAP before the world's events have their turn."""
SPIN = 50_000
"""Nanoseconds: to sleep for less costs more than it saves."""
SHORTEST_FRAME = 60
"""Bytes without FCS (IEEE 802.3, 4.2.3.3): a TAP hands over shorter ones, which no cable carries."""
QUEUE = 100 * MS
"""How much a cable with a bandwidth holds back of what the kernel sends faster."""
LONGEST_SLEEP = SECOND
"""So that a condition that somebody else fulfils (a signal, another thread) is noticed."""
SELECTABLE = 1024
"""Descriptors from here on are not for select(2), which alone waits for less than a millisecond (FD_SETSIZE)."""
STRIDE = 100 * US
"""Virtual time that a busy world goes at once, before the files are looked at again."""
LAG = 10 * MS
"""How far a busy world may fall behind the real clock before the difference is forgotten: it must not have to catch
up, with its timers ahead of the outer world's answers."""

Reader = Callable[[int], None]
"""Called with a time (ns) when its file is readable: what it brings is to be an event then."""


class TapCable(Watched):
    """The medium between a card's port and a TAP: what the one sends, the other receives."""

    takes_unfinished = True  # it finishes them here

    def __init__(self, clock: Clock, port: Port, tap: Tap, bandwidth: int = 0) -> None:
        super().__init__(clock, tap.name)
        self._world = clock
        self.port = port
        self.tap = tap
        self._bandwidth = bandwidth
        """Bit/s towards the card; 0: frames arrive as they come."""
        self._busy_until = 0

    def frame_sent(self, port: Port, frame: bytes, facts: FrameFacts | None) -> None:
        """A card's frame goes to the host's kernel at once: the real clock is not early by a machine's local lead."""
        if facts is not None and facts.damaged:
            self.drop("bad FCS", frame=frame)
            return
        for whole in (frame,) if facts is None else complete(frame, facts):
            if not self.tap.write(whole):
                self.drop("refused by the kernel", f"is {self.tap.name} up?", whole)

    def take(self, when: int) -> None:
        """Bring up to BURST waiting frames into the world, as events at `when` (ns)."""
        read, schedule = self.tap.read, self._world.at
        for _ in range(BURST):
            frame = read()
            if frame is None:
                return
            if len(frame) < SHORTEST_FRAME:
                frame = frame.ljust(SHORTEST_FRAME, b"\0")
            if not self._bandwidth:
                schedule(when, self._arrive, frame)
            elif self._busy_until - when > QUEUE:
                self.drop("queue full", frame=frame)
            else:
                self._busy_until = max(when, self._busy_until) + self._time(frame)
                schedule(self._busy_until, self._arrive, frame)

    def _time(self, frame: bytes) -> int:
        """For how long (ns) a frame keeps the cable busy."""
        return wire_octets(len(frame), None) * 8 * SECOND // self._bandwidth

    def _arrive(self, frame: bytes) -> None:
        self.port.deliver(frame)


class RealTime:
    """Runs a world's clock at the pace of the machine's monotonic clock, from the virtual time it has now on.

    It is the clock's `pace`: the blocking verbs (`stack.ping`, `world.run` ...) let real time pass, too. Between two
    runs the world stands still. ConfigurationError if the clock has a pace already; `close` gives it back.
    """

    def __init__(self, clock: Clock) -> None:
        if clock.pace is not None:
            raise ConfigurationError("this clock runs in real time already: use its RealTime, or close() that first")
        self.clock = clock
        clock.pace = self
        self.cables: list[TapCable] = []
        self._readers: dict[int, Reader] = {}
        self._poll = select.poll()
        self._calls: deque[tuple[Callback, Any]] = deque()
        """What other threads have asked for."""
        hear, self._bell = os.pipe()
        for file in (hear, self._bell):
            os.set_blocking(file, False)
        self._silence = finalize(self, _close, hear, self._bell)
        self.watch(hear, partial(_take_calls, hear, clock, self._calls))

    def close(self) -> None:
        """Give the clock back to virtual time, and end all watching; may be called twice.

        What other threads have asked for by now happens in virtual time.
        """
        if self.clock.pace is self:
            self.clock.pace = None
        for file in list(self._readers):
            self.unwatch(file)
        self._silence()
        _hand_over(self.clock, self._calls, self.clock.now)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def connect(self, port: Port, tap: Tap, bandwidth: str | int = 0) -> TapCable:
        """Lay a cable from a card's port to a TAP; the card sees a carrier from now on.

        `bandwidth` ("20Mbit/s") paces what comes to the card, for one with a small ring.
        """
        cable = TapCable(self.clock, port, tap, units.bandwidth(bandwidth) if bandwidth else 0)
        self.cables.append(cable)
        self.watch(tap.fileno(), cable.take)
        port.connect(cable)
        return cable

    def watch(self, file: int, reader: Reader) -> None:
        """Call `reader(when)` between two events whenever this file descriptor is readable, or hung up."""
        self._readers[file] = reader
        self._poll.register(file, select.POLLIN)

    def unwatch(self, file: int) -> None:
        """End what `watch` began; a file that is not watched is no mistake."""
        if self._readers.pop(file, None) is not None:
            self._poll.unregister(file)

    def wake(self) -> None:
        """Let the world look again at what it waits for, at once. From any thread, and from a signal's handler."""
        if self._silence.alive:
            with suppress(BlockingIOError):  # it has been rung often enough
                os.write(self._bell, b"\0")

    def call(self, callback: Callback, argument: Any = None) -> None:
        """Call `callback(argument)` in an event as soon as can be. From any thread, until `close`."""
        if self._silence.alive:
            self._calls.append((callback, argument))
            self.wake()
        else:
            self.clock.call(callback, argument)

    def run(self, ready: Callable[[], bool] | None = None, timeout: int = FOREVER) -> bool:
        """Run until `ready()` holds, looked at first and whenever events have run, or for `timeout` ns of virtual time.

        Returns whether `ready` stopped it. KeyboardInterrupt passes through (in a World: between two events).
        BlockingInsideWorld in an event, in a file's reader and in `ready`.
        """
        return self._run(min(FOREVER, self.clock.now + timeout), ready, None)

    def elapse(self, deadline: int, ready: Callable[[], bool] | None) -> bool:
        """Run until `ready()` holds, looked at after each event as well, or until `deadline` (ns); see Clock.elapse."""
        return self._run(deadline, ready, ready)

    def _run(self, deadline: int, ready: Callable[[], bool] | None, each: Callable[[], bool] | None) -> bool:
        clock = self.clock
        if clock.running:
            return clock.run(deadline)  # which raises
        clock.running = True  # what is called between two events is inside the world as well
        try:
            return (ready is not None and ready()) or self._steps(deadline, ready, each)
        finally:
            clock.running = False

    def _steps(self, deadline: int, ready: Callable[[], bool] | None, each: Callable[[], bool] | None) -> bool:
        clock, readers = self.clock, self._readers
        begin = time.monotonic_ns() - clock.now
        while True:
            due = clock.next_time()
            if due is None or due > deadline:
                due = deadline
            now = time.monotonic_ns() - begin
            readable = self._wait(due - now)
            now = time.monotonic_ns() - begin
            # What the files bring comes ahead of timers that are overdue, lest a slow process retransmits in vain.
            when = now if due > now else max(due - 1, clock.now)
            for file, _ in readable:
                reader = readers.get(file)
                if reader is not None:
                    reader(when)
            target = now
            if when < now and now - clock.now > STRIDE:
                target = max(when, clock.now + STRIDE)
                begin += max(now - target - LAG, 0)
            if self._step(min(target, deadline), each) or (ready is not None and ready()):
                return True
            if target >= deadline:
                return False

    def _step(self, target: int, each: Callable[[], bool] | None) -> bool:
        self.clock.running = False
        try:
            return self.clock.run(target, each)
        finally:
            self.clock.running = True

    def _wait(self, nanoseconds: int) -> list[tuple[int, int]]:
        """The files that are readable, at the latest after this time (poll knows whole milliseconds only)."""
        if nanoseconds >= MS:
            return self._poll.poll(nanoseconds // MS if nanoseconds < LONGEST_SLEEP else LONGEST_SLEEP // MS)
        if nanoseconds > SPIN:
            if max(self._readers, default=0) >= SELECTABLE:
                return self._poll.poll(1)
            select.select(self._readers, (), (), nanoseconds / SECOND)
        return self._poll.poll(0)


def _take_calls(bell: int, clock: Clock, calls: deque[tuple[Callback, Any]], when: int) -> None:
    """The bell was rung: what other threads have asked for becomes events at `when` (ns)."""
    with suppress(BlockingIOError):
        os.read(bell, 4096)
    _hand_over(clock, calls, when)


def _hand_over(clock: Clock, calls: deque[tuple[Callback, Any]], when: int) -> None:
    for _ in range(len(calls)):
        callback, argument = calls.popleft()
        clock.at(when, callback, argument)


def _close(*files: int) -> None:
    for file in files:
        os.close(file)
