"""The loop's calls and tasks: everything is an event on the world's heap, in the world's order."""

import asyncio
import atexit
import contextvars
import sys
from asyncio.events import _get_running_loop, _set_running_loop
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from logging import getLogger
from typing import Any, TypeVar, TypeVarTuple
from weakref import WeakSet

from motenet.core import units
from motenet.core.clock import FOREVER, Clock, LocalClock
from motenet.core.errors import ConfigurationError, WorldStuck
from motenet.core.units import SECOND
from motenet.sim.aio.place import current_stack
from motenet.sim.aio.waiting import Deadlock, describe
from motenet.stack import NetworkStack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Context = contextvars.Context
Factory = Callable[..., "asyncio.Future[Any]"]
Handler = Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object]

GRACE = SECOND
PATIENCE = 60 * SECOND
"""Virtual time that tasks have to end when their world is closed: before and after connections are cut."""

_log = getLogger("asyncio")
_loops: "WeakSet[Scheduling]" = WeakSet()


class Timer(asyncio.TimerHandle):
    """A call at a time, which can be taken back."""

    __slots__ = ("number",)
    number: int
    """The timer's, on the loop's lane of the heap."""


class Scheduling(asyncio.AbstractEventLoop):
    """The half of the loop that knows no network. Times are seconds, as asyncio has them, but exact to the ns."""

    def __init__(self, clock: Clock, seed: int = 0) -> None:
        self.clock = clock
        """The world's."""
        self.seed = seed
        """The world's: whoever seals the world's programs from outer entropy draws from it."""
        self._lane = LocalClock(clock)  # its timers can be cancelled; its time is the world's
        self._lane.path = "loop"
        self._spawned: dict[asyncio.Task[Any], None] = {}
        self._factory: Factory | None = None
        self._handler: Handler | None = None
        self._generators: WeakSet[AsyncGenerator[Any, Any]] = WeakSet()
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
        return self._call_at(self.clock.now + round(delay * SECOND), callback, args, context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self._call_at(round(when * SECOND), callback, args, context)

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
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **options: Any) -> "asyncio.Task[Any]":
        """A task of this world. One that is still waiting when the world goes away is no mistake."""
        self._check_open()
        if self._factory is None:
            task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, **options)
        else:
            task = self._factory(self, coro, **options)  # type: ignore[assignment]
        if isinstance(task, asyncio.Task):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        return task

    def spawn(
        self, coro: Coroutine[Any, Any, T], stack: NetworkStack | None = None, name: str | None = None
    ) -> "asyncio.Task[T]":
        """A task on a host's stack. If it fails and nobody has asked for its exception, that stops the world."""
        if not asyncio.iscoroutine(coro):
            raise ConfigurationError(f"{coro!r} is no coroutine: call the async function, and give what it returns")
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
            self.clock.at(self.clock.now, _complain, task)  # behind those who await it

    @property
    def tasks(self) -> list["asyncio.Task[Any]"]:
        """Those that are not done."""
        return list(asyncio.all_tasks(self))

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
        self._stopping = False
        self.clock.wait(lambda: self._stopping, FOREVER)

    def stop(self) -> None:
        self._stopping = True

    def is_running(self) -> bool:
        return self.clock.running

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Cancel all tasks, and let the world run until they have ended; then take no more.

        What is still open after a second, so that somebody waits for its end, is aborted.
        """
        if self._closed or self.clock.running:
            return
        self._closing = True
        for task in self.tasks:
            task.cancel()
        self._run_out(GRACE)
        self.hang_up()
        for generator in list(self._generators):
            self.create_task(_finish(generator))
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
        for generator in list(self._generators):
            await generator.aclose()

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """There is none."""

    # --- other people's threads

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> "asyncio.Future[T]":
        """Call the function in an event of its own: virtual time would race ahead of a thread."""
        future = self.create_future()
        self.call_soon(_execute, future, func, args)
        return future

    def set_default_executor(self, executor: Any) -> None:
        """Without effect: see run_in_executor."""

    # --- signals are the process's, not a machine's

    def add_signal_handler(self, sig: int, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Without effect."""

    def remove_signal_handler(self, sig: int) -> bool:
        return False

    # --- mistakes

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Something went wrong where nobody could be told: the handler that was set, or asyncio's log."""
        if self._closing and isinstance(context.get("exception"), asyncio.CancelledError):
            return  # Python 3.11's streams report it when their connection's task is cancelled
        if self._handler is None:
            self.default_exception_handler(context)
            return
        try:
            self._handler(self, context)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self.default_exception_handler({"message": "the exception handler failed", "exception": error})

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        rest = [f"{key}: {context[key]!r}" for key in sorted(context.keys() - {"message", "exception"})]
        text = "\n".join([context.get("message") or "unhandled exception in an event loop", *rest])
        _log.error(text, exc_info=context.get("exception"))

    def set_exception_handler(self, handler: Handler | None) -> None:
        self._handler = handler

    def get_exception_handler(self) -> Handler | None:
        return self._handler

    def set_task_factory(self, factory: Any) -> None:
        self._factory = factory

    def get_task_factory(self) -> Any:
        return self._factory

    def get_debug(self) -> bool:
        return self._debug

    def set_debug(self, enabled: bool) -> None:
        self._debug = enabled


async def _finish(generator: AsyncGenerator[Any, Any]) -> None:
    await generator.aclose()


def _execute(future: "asyncio.Future[Any]", func: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """What a thread would do: no loop runs in it."""
    if future.cancelled():
        return
    loop = _get_running_loop()
    _set_running_loop(None)
    try:
        result = func(*args)
    except StopIteration as error:
        future.set_exception(
            RuntimeError("a function in an executor raised StopIteration").with_traceback(error.__traceback__)
        )
    except Exception as error:
        future.set_exception(error)
    else:
        future.set_result(result)
    finally:
        _set_running_loop(loop)


def _is_unseen(task: "asyncio.Task[Any]") -> bool:
    """Whether it has failed, and nobody has asked for its exception yet: asyncio remembers that for its log."""
    return bool(task._log_traceback)


def _complain(task: "asyncio.Task[Any]") -> None:
    if _is_unseen(task):
        task.result()


@atexit.register
def _close_all() -> None:
    """The process ends: tasks end in order, instead of being torn down with the interpreter."""
    for loop in list(_loops):
        if loop.tasks:
            loop.close()
