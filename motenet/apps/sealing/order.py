"""Order in sets of objects: by when they were made in their world, not by where the memory allocator put them.

asyncio, anyio and servers go through sets of tasks, connections and scopes when they cancel or close them. Python
hashes such objects by address, which differs from process to process. Here they are numbered.
"""

import asyncio
import gc
from collections.abc import Callable, Iterator, MutableSet
from functools import wraps
from typing import Any, cast
from weakref import WeakKeyDictionary

from motenet.apps.sealing.here import here
from motenet.sim.aio import WorldLoop

GARBAGE = 10_000
"""Numbers of a kind between two collections of garbage: finalizers have their say at the same point of each run."""

_counts: "WeakKeyDictionary[WorldLoop, dict[str, int]]" = WeakKeyDictionary()


def number(loop: WorldLoop, kind: str) -> int:
    """The next one of a kind in this world."""
    counts = _counts.get(loop)
    if counts is None:
        counts = _counts[loop] = {"task": 0, "future": 0, "protocol": 0}
    counts[kind] = found = counts[kind] + 1
    if not found % GARBAGE and not loop.is_closed():
        loop.call_soon(gc.collect)
    return found


class NumberedTask(asyncio.Task[Any]):
    """A task whose hash is its number."""

    __slots__ = ("number",)

    def __init__(self, coro: Any, *, loop: WorldLoop, **options: Any) -> None:
        self.number = number(loop, "task")
        super().__init__(coro, loop=cast(asyncio.AbstractEventLoop, loop), **options)

    def __hash__(self) -> int:
        return self.number


class NumberedFuture(asyncio.Future[Any]):
    """A future whose hash is its number."""

    __slots__ = ("number",)

    def __init__(self, *, loop: WorldLoop) -> None:
        self.number = number(loop, "future")
        super().__init__(loop=cast(asyncio.AbstractEventLoop, loop))

    def __hash__(self) -> int:
        return self.number


def make_task(loop: WorldLoop, coro: Any, **options: Any) -> NumberedTask:
    """A task factory."""
    return NumberedTask(coro, loop=loop, **options)


def make_future(loop: WorldLoop) -> NumberedFuture:
    """What stands for WorldLoop.create_future."""
    return NumberedFuture(loop=loop)


def number_protocols() -> None:
    """Let asyncio's protocols (uvicorn's, aiohttp's and websockets' connections) be hashed by number. It stays so.

    Which hash one has is settled when it is first asked for, and then kept: sets outlive worlds.
    """
    asyncio.BaseProtocol.__hash__ = _settled  # type: ignore[assignment,method-assign]


def _settled(self: asyncio.BaseProtocol) -> int:
    names = getattr(self, "__dict__", None)
    if names is None:
        return object.__hash__(self)
    found: int | None = names.get("_motenet_hash")
    if found is None:
        loop = here()
        found = names["_motenet_hash"] = object.__hash__(self) if loop is None else number(loop, "protocol")
    return found


def number_scopes(backend: Any) -> None:
    """Let anyio's scopes be hashed as the tasks are that are in them. It stays so; other loops' are as ever."""
    backend.CancelScope.__hash__ = _of_host


def _of_host(self: Any) -> int:
    task = self._host_task
    return hash(task) if isinstance(task, NumberedTask) else object.__hash__(self)


class Ordered(MutableSet[Any]):
    """A set that is gone through in the order in which its members came."""

    def __init__(self) -> None:
        self._members: dict[Any, None] = {}

    def __contains__(self, member: object) -> bool:
        return member in self._members

    def __iter__(self) -> Iterator[Any]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def add(self, member: Any) -> None:
        self._members[member] = None

    def discard(self, member: Any) -> None:
        self._members.pop(member, None)


def keep_acquired(make: Callable[..., None]) -> Callable[..., None]:
    """What stands for aiohttp's BaseConnector.__init__: in a world, its set of connections in use has an order."""

    @wraps(make)
    def __init__(self: Any, *args: Any, **options: Any) -> None:
        make(self, *args, **options)
        if here() is not None:
            self._acquired = Ordered()

    return __init__


class Sorted(set[str]):
    """A set of words that is gone through in their order."""

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(super().__iter__()))


def sort_methods(handle: Callable[..., Any]) -> Callable[..., Any]:
    """What stands for starlette's Route.handle: its 405 lists a set of methods, which are hashed by PYTHONHASHSEED."""

    @wraps(handle)
    async def sorted_handle(self: Any, scope: Any, receive: Any, send: Any) -> None:
        if type(self.methods) is set:
            self.methods = Sorted(self.methods)
        await handle(self, scope, receive, send)

    return sorted_handle
