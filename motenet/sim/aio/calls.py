"""The loop's calls: each is an event on the world's heap, in the world's order."""

import asyncio
import contextvars
import sys
from asyncio.events import _get_running_loop, _set_running_loop
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import AsyncGenerator, Callable
from math import inf
from typing import Any, TypeVar, TypeVarTuple
from weakref import WeakSet

from motenet.core.clock import FOREVER, Clock, LocalClock
from motenet.core.units import SECOND
from motenet.sim.aio.executor import execute
from motenet.sim.aio.mistakes import Mistakes
from motenet.sim.aio.numbered import WorldFuture
from motenet.stack import NetworkStack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Context = contextvars.Context

NEVER = FOREVER + 1
"""When an infinite delay is over, in ns: no world runs that far."""


class Timer(asyncio.TimerHandle):
    """A call at a time, which can be taken back."""

    __slots__ = ("number",)
    number: int
    """The timer's, on the loop's lane of the heap."""


class Calls(Mistakes):
    """The part of a loop that calls back. Times are seconds, as asyncio has them, but exact to the nanosecond."""

    def __init__(self, clock: Clock, seed: int = 0) -> None:
        self.clock = clock
        """The world's."""
        self.seed = seed
        """The world's: whoever seals the world's programs from outer entropy draws from it."""
        self._lane = LocalClock(clock)  # its timers can be cancelled; its time is the world's
        self._lane.path = "loop"
        self._generators: WeakSet[AsyncGenerator[Any, Any]] = WeakSet()
        self._numbered = 0
        self._debug = False
        self._closed = False

    def time(self) -> float:
        """The world's time in seconds."""
        return self.clock.now / SECOND

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """An event for this instant, behind those that are there already."""
        self._check_open()
        handle = asyncio.Handle(callback, args, self, context)
        self.clock.at(self.clock.now, self.handle, handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self._call_at(self.clock.now + _nanoseconds(delay), callback, args, context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        at = _nanoseconds(when)
        at += at / SECOND < when  # never early by the clock that programs read: anyio would call again, and again
        return self._call_at(at, callback, args, context)

    def _call_at(
        self, when: int, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> Timer:
        self._check_open()
        timer = Timer(when / SECOND, callback, args, self, context)
        timer.number = self._lane.at(when, self.handle, timer)
        return timer

    def _timer_handle_cancelled(self, timer: Timer) -> None:
        self._lane.cancel(timer.number)

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """The same from another thread. A world in virtual time does not wait for threads: see run_in_executor."""
        self._check_open()
        handle = asyncio.Handle(callback, args, self, context)
        self.clock.call(self.handle, handle)
        return handle

    def post(self, stack: NetworkStack, callback: Callable[[], object], context: Context) -> None:
        """Call back in an event of its own on a host's machine, when its local time has come."""
        stack.driver.clock.post(self.handle, asyncio.Handle(callback, (), self, context))

    def handle(self, handle: asyncio.Handle) -> None:
        """Run one callback, as the running loop. Inside a notebook's loop that one, and its task, wait meanwhile."""
        if handle.cancelled():
            return
        outer = _get_running_loop()
        task = None if outer is None else asyncio.current_task(outer)
        if outer is not None and task is not None:
            _leave_task(outer, task)
        hooks = sys.get_asyncgen_hooks()
        _set_running_loop(self)
        sys.set_asyncgen_hooks(self._generators.add, self._end_generator)
        try:
            handle._run()
        finally:
            sys.set_asyncgen_hooks(*hooks)
            _set_running_loop(outer)
            if outer is not None and task is not None:
                _enter_task(outer, task)

    def _end_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        """A generator that was not iterated to its end is garbage (PEP 525)."""
        self._generators.discard(generator)
        if not self._closed:
            self.create_task(_finish(generator))

    async def shutdown_asyncgens(self) -> None:
        """Finish all generators; what they raise is told to the exception handler."""
        generators = list(self._generators)
        ends = await asyncio.gather(*map(_finish, generators), return_exceptions=True)
        for generator, end in zip(generators, ends, strict=True):
            if isinstance(end, Exception):
                message = f"an error occurred during closing of asynchronous generator {generator!r}"
                self.call_exception_handler({"message": message, "exception": end, "asyncgen": generator})

    # --- futures

    def create_future(self) -> "asyncio.Future[Any]":
        return WorldFuture(self)

    def number(self) -> int:
        """The next number for a task or a future."""
        self._numbered += 1
        return self._numbered

    # --- other people's threads

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> "asyncio.Future[T]":
        """Call the function in an event of its own: virtual time would race ahead of a thread."""
        future = self.create_future()
        self.call_soon(execute, future, func, args)
        return future

    def set_default_executor(self, executor: Any) -> None:
        """Without effect: see run_in_executor."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """There is none."""

    # --- signals are the process's, not a machine's

    def add_signal_handler(self, sig: int, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Without effect."""

    def remove_signal_handler(self, sig: int) -> bool:
        return False

    # --- settings

    def get_debug(self) -> bool:
        return self._debug

    def set_debug(self, enabled: bool) -> None:
        self._debug = enabled

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("Event loop is closed")


async def _finish(generator: AsyncGenerator[Any, Any]) -> None:
    await generator.aclose()


def _nanoseconds(seconds: float) -> int:
    return NEVER if seconds == inf else round(seconds * SECOND)
