"""The loop's calls and tasks: everything is an event on the world's heap, in the world's order."""

import asyncio
import atexit
import contextvars
import sys
from asyncio.events import _get_running_loop, _set_running_loop
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from math import inf
from typing import Any, TypeVar, TypeVarTuple
from weakref import WeakKeyDictionary, WeakSet

from motenet.core import units
from motenet.core.clock import FOREVER, Clock, LocalClock
from motenet.core.errors import ConfigurationError, WorldStuck
from motenet.core.units import SECOND
from motenet.sim.aio import inline
from motenet.sim.aio.executor import execute
from motenet.sim.aio.mistakes import Mistakes
from motenet.sim.aio.numbered import WorldFuture, WorldTask
from motenet.sim.aio.place import current_stack
from motenet.sim.aio.waiting import Deadlock, describe
from motenet.stack import NetworkStack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Context = contextvars.Context
Factory = Callable[..., "asyncio.Future[Any]"]

GRACE = SECOND
PATIENCE = 60 * SECOND
"""Virtual time that tasks have to end when their world is closed: before and after connections are cut."""

NEVER = FOREVER + 1
"""When an infinite delay is over, in ns: no world runs that far."""

_loops: "WeakSet[Scheduling]" = WeakSet()


class Timer(asyncio.TimerHandle):
    """A call at a time, which can be taken back."""

    __slots__ = ("number",)
    number: int
    """The timer's, on the loop's lane of the heap."""


class Scheduling(Mistakes):
    """The half of the loop that knows no network. Times are seconds, as asyncio has them, but exact to the ns."""

    def __init__(self, clock: Clock, seed: int = 0) -> None:
        self.clock = clock
        """The world's."""
        self.seed = seed
        """The world's: whoever seals the world's programs from outer entropy draws from it."""
        self._lane = LocalClock(clock)  # its timers can be cancelled; its time is the world's
        self._lane.path = "loop"
        self._tasks: WeakKeyDictionary[asyncio.Task[Any], None] = WeakKeyDictionary()  # in the order of their making
        self._spawned: dict[asyncio.Task[Any], None] = {}
        self._failed: list[asyncio.Task[Any]] = []  # spawned ones, of whose exception nobody may know
        self._factory: Factory | None = None
        self._generators: WeakSet[AsyncGenerator[Any, Any]] = WeakSet()
        self._numbered = 0
        self._debug = False
        self._closing = False
        self._closed = False
        self._stopping = False
        _loops.add(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {units.format_duration(self.clock.now)}, {len(self.tasks)} tasks>"

    # --- calls

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

    # --- tasks

    def create_future(self) -> "asyncio.Future[Any]":
        return WorldFuture(self)

    def number(self) -> int:
        """The next number for a task or a future."""
        self._numbered += 1
        return self._numbered

    def create_task(self, coro: Any, **options: Any) -> "asyncio.Task[Any]":
        """A task of this world. One that is still waiting when the world goes away is no mistake."""
        self._check_open()
        if self._factory is None:
            task: asyncio.Task[Any] = WorldTask(coro, self, **options)
        else:
            name = options.pop("name", None)  # Python 3.11's factories take (loop, coro, context=None), and no name
            task = self._factory(self, coro, **options)  # type: ignore[assignment]
            if name is not None and isinstance(task, asyncio.Task):
                task.set_name(name)
        if isinstance(task, asyncio.Task):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            self._tasks[task] = None
        return task

    def spawn(
        self, coro: Coroutine[Any, Any, T], stack: NetworkStack | None = None, name: str | None = None
    ) -> "asyncio.Task[T]":
        """A task on a host's stack. If it fails and nobody has asked for its exception, that stops the world."""
        if not asyncio.iscoroutine(coro):
            raise ConfigurationError(f"{coro!r} is no coroutine: call the async function, and give what it returns")
        inline.install(Scheduling)
        context = contextvars.copy_context()
        if stack is not None:
            context.run(current_stack.set, stack)
        task = self.create_task(coro, name=name, context=context)
        self._spawned[task] = None
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._spawned.pop(task, None)
        if not task.cancelled() and _is_unseen(task):
            if not self._failed:
                self.clock.at(self.clock.now, self._complain)
            self._failed.append(task)

    def _complain(self, _: None) -> None:
        """Raise what nobody has asked for by the end of this instant: one may wait for a task at several removes."""
        if self.clock.next_time() != self.clock.now:
            task = self._failed.pop(0)
            if _is_unseen(task):
                self._complain_again()
                task.result()
        self._complain_again()

    def _complain_again(self) -> None:
        if self._failed:
            self.clock.at(self.clock.now, self._complain)

    @property
    def tasks(self) -> list["asyncio.Task[Any]"]:
        """Those that are not done, the oldest first."""
        return [task for task in self._tasks if not task.done()]

    def complete(
        self,
        awaitable: Awaitable[T],
        duration: str | int | None = None,
        stack: NetworkStack | None = None,
        name: str = "",
    ) -> T:
        """Run the world until a coroutine, task or future is done, and return its result. Top level only.

        Deadlock if no event is left; WorldStuck if `duration` was not enough. A coroutine is then cancelled.
        """
        deadline = FOREVER if duration is None else self.clock.now + units.duration(duration)
        coroutine = awaitable if isinstance(awaitable, Coroutine) else None
        if self.clock.running:
            if coroutine is not None:
                coroutine.close()
            self.clock.run(deadline)  # which raises
        future: asyncio.Future[T]
        if coroutine is None:
            future = asyncio.ensure_future(awaitable, loop=self)
        else:
            future = self.spawn(coroutine, stack, name or None)
        stuck: WorldStuck | None = None
        try:
            if self.clock.wait(future.done, deadline):
                return future.result()
            stuck = self.stuck(duration)
        finally:
            if coroutine is not None and not future.done():
                self._give_up(future)
            elif coroutine is not None and not future.cancelled():
                future.exception()  # a KeyboardInterrupt has passed through: nobody else will ask for it
        raise stuck

    def stuck(self, duration: str | int | None = None) -> WorldStuck:
        """What to raise when that was not enough time, or no event is left."""
        tasks = self.tasks
        what = "no event is left" if duration is None else f"{duration} have passed"
        kind = Deadlock if tasks and duration is None else WorldStuck
        now = units.format_duration(self.clock.now)
        return kind(f"{what}, and what was waited for has not happened at {now}{describe(tasks)}")

    def _give_up(self, future: "asyncio.Future[Any]") -> None:
        """Cancel what nobody will wait for any more; it has this instant to tidy up."""
        future.cancel()
        self.clock.run(self.clock.now, future.done)
        if future.done() and not future.cancelled():
            future.exception()

    # --- as a loop of its own

    def run_until_complete(self, future: Any) -> Any:
        return self.complete(future)

    def run_forever(self) -> None:
        """Until `stop` is called, or no event is left."""
        self._check_open()
        self._stopping = False
        self.clock.wait(lambda: self._stopping, FOREVER)

    def stop(self) -> None:
        """End `run_forever` once all is done that is due already; or, if it does not run, the next one."""
        self.clock.at(self.clock.now, self._stop)

    def _stop(self, _: None) -> None:
        self._stopping = True

    def is_running(self) -> bool:
        return self.clock.running

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Cancel all tasks, and let the world run until they have ended; then take no more.

        What is still open after a second, so that somebody waits for its end, is aborted.
        """
        if self.clock.running:
            raise RuntimeError("Cannot close a running event loop")
        if self._closed:
            return
        self._closing = True
        for task in self.tasks:
            task.cancel()
        self._run_out(GRACE)
        self.hang_up()
        if self._generators:
            self.create_task(self.shutdown_asyncgens())
        self._run_out(PATIENCE)
        self._closed = True

    def hang_up(self) -> None:
        """End all that is open, at once; in this half there is nothing."""

    def _run_out(self, patience: int) -> None:
        """Let tasks end, in virtual time whatever else the world hangs on."""
        self.clock.run(self.clock.now)
        if self.tasks:
            self.clock.run(self.clock.now + patience, lambda: not self.tasks)

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("Event loop is closed")

    async def shutdown_asyncgens(self) -> None:
        """Finish all generators; what they raise is told to the exception handler."""
        generators = list(self._generators)
        ends = await asyncio.gather(*map(_finish, generators), return_exceptions=True)
        for generator, end in zip(generators, ends, strict=True):
            if isinstance(end, Exception):
                message = f"an error occurred during closing of asynchronous generator {generator!r}"
                self.call_exception_handler({"message": message, "exception": end, "asyncgen": generator})

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """There is none."""

    # --- other people's threads

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> "asyncio.Future[T]":
        """Call the function in an event of its own: virtual time would race ahead of a thread."""
        future = self.create_future()
        self.call_soon(execute, future, func, args)
        return future

    def set_default_executor(self, executor: Any) -> None:
        """Without effect: see run_in_executor."""

    # --- signals are the process's, not a machine's

    def add_signal_handler(self, sig: int, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Without effect."""

    def remove_signal_handler(self, sig: int) -> bool:
        return False

    # --- settings

    def set_task_factory(self, factory: Any) -> None:
        if factory is not None and not callable(factory):
            raise TypeError(f"a task factory is a callable or None, not {factory!r}")
        self._factory = factory

    def get_task_factory(self) -> Any:
        return self._factory

    def get_debug(self) -> bool:
        return self._debug

    def set_debug(self, enabled: bool) -> None:
        self._debug = enabled


async def _finish(generator: AsyncGenerator[Any, Any]) -> None:
    await generator.aclose()


def _is_unseen(task: "asyncio.Task[Any]") -> bool:
    """Whether it has failed, and nobody has asked for its exception yet: asyncio remembers that for its log."""
    return bool(task._log_traceback)


def _nanoseconds(seconds: float) -> int:
    return NEVER if seconds == inf else round(seconds * SECOND)


@atexit.register
def _close_all() -> None:
    """The process ends: tasks end in order, instead of being torn down with the interpreter."""
    for loop in list(_loops):
        if loop.tasks:
            loop.close()
