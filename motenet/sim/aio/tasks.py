"""The loop's tasks: where coroutines run, what happens to their failures, and how the world runs for them."""

import asyncio
import atexit
import contextvars
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from motenet.core import units
from motenet.core.clock import FOREVER, Clock
from motenet.core.errors import ConfigurationError, WorldStuck
from motenet.core.units import SECOND
from motenet.sim.aio import inline
from motenet.sim.aio.calls import Calls
from motenet.sim.aio.numbered import WorldTask
from motenet.sim.aio.place import current_stack
from motenet.sim.aio.waiting import Deadlock, describe
from motenet.stack import NetworkStack

T = TypeVar("T")
Factory = Callable[..., "asyncio.Future[Any]"]

GRACE = SECOND
PATIENCE = 60 * SECOND
"""Virtual time that tasks have to end when their world is closed: before and after connections are cut."""

_loops: "WeakSet[Tasks]" = WeakSet()


class Tasks(Calls):
    """The part of a loop that runs coroutines, and the world until they are done. It knows no network."""

    def __init__(self, clock: Clock, seed: int = 0) -> None:
        super().__init__(clock, seed)
        self._tasks: WeakKeyDictionary[asyncio.Task[Any], None] = WeakKeyDictionary()  # in the order of their making
        self._spawned: dict[asyncio.Task[Any], None] = {}
        self._failed: list[asyncio.Task[Any]] = []  # spawned ones, of whose exception nobody may know
        self._factory: Factory | None = None
        self._stopping = False
        _loops.add(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {units.format_duration(self.clock.now)}, {len(self.tasks)} tasks>"

    def create_task(self, coro: Any, **options: Any) -> "asyncio.Task[Any]":
        """A task of this world. One that is still waiting when the world goes away is no mistake."""
        self._check_open()
        inline.install(Calls)  # a coroutine may have imported anyio just now
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
                error = task.exception()
                assert error is not None
                error.add_note(f"in the task {task.get_name()}, which nobody waited for")
                raise error
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

    def set_task_factory(self, factory: Any) -> None:
        if factory is not None and not callable(factory):
            raise TypeError(f"a task factory is a callable or None, not {factory!r}")
        self._factory = factory

    def get_task_factory(self) -> Any:
        return self._factory


def _is_unseen(task: "asyncio.Task[Any]") -> bool:
    """Whether it has failed, and nobody has asked for its exception yet: asyncio remembers that for its log."""
    return bool(task._log_traceback)


@atexit.register
def _close_all() -> None:
    """The process ends: tasks end in order, instead of being torn down with the interpreter."""
    for loop in list(_loops):
        if loop.tasks:
            loop.close()
