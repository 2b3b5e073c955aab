"""Order in sets of objects: by when they were made in their world, not by where the memory allocator put them.

anyio and servers go through sets of connections and scopes when they cancel or close them. Python hashes such objects
by address, which differs from process to process. Here they are numbered, as a world's tasks and futures always are.
"""

import asyncio
import gc
from collections.abc import Callable, Iterator, MutableSet
from functools import wraps
from typing import Any

from motenet.apps.sealing.here import here
from motenet.sim.aio import WorldLoop
from motenet.sim.aio.numbered import WorldTask

GARBAGE = 10_000
"""Numbers between two collections of garbage: finalizers have their say at the same point of each run."""


def counting(number: Callable[[WorldLoop], int]) -> Callable[[WorldLoop], int]:
    """What stands for WorldLoop.number: it has garbage collected."""

    @wraps(number)
    def count(loop: WorldLoop) -> int:
        found = number(loop)
        if not found % GARBAGE and not loop.is_closed():
            loop.call_soon(gc.collect)
        return found

    return count


def number_protocols() -> None:
    """Let asyncio's protocols (uvicorn's, aiohttp's and websockets' connections) be hashed by number. It stays so.

    Only those that are made in a world have one: sets may be older than a seal, and outlive worlds.
    """
    asyncio.BaseProtocol.__new__ = _make  # type: ignore[assignment,method-assign]
    asyncio.BaseProtocol.__hash__ = _numbered  # type: ignore[assignment,method-assign]


def _make(kind: type[Any], *args: Any, **options: Any) -> Any:
    made = object.__new__(kind)
    loop = here()
    names = getattr(made, "__dict__", None)
    if loop is not None and names is not None:
        names["_motenet_hash"] = loop.number()
    return made


def _numbered(self: asyncio.BaseProtocol) -> int:
    found: int | None = getattr(self, "_motenet_hash", None)
    return object.__hash__(self) if found is None else found


def number_scopes(backend: Any) -> None:
    """Let anyio's scopes be hashed as the tasks are that are in them. It stays so; other loops' are as ever."""
    backend.CancelScope.__hash__ = _of_host


def _of_host(self: Any) -> int:
    task = self._host_task
    return hash(task) if isinstance(task, WorldTask) else object.__hash__(self)


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
