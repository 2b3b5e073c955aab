"""Sets of objects in sealed worlds: their order is that of the world's doings, not of memory addresses."""

import asyncio
import builtins
import gc
import os
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from motenet import World
from motenet.apps import sealed
from motenet.apps.sealing.libraries import LIBRARIES
from motenet.apps.sealing.order import GARBAGE, Ordered

COUNT = 50


def scramble() -> list[bytearray]:
    """Take memory here and there, so that what comes next has other addresses."""
    real = random.Random(os.urandom(8))
    return [bytearray(real.randrange(1, 2000)) for _ in range(3000)]


def orders(coroutine: Any, runs: int = 3) -> list[list[int]]:
    """What the same coroutine function says in new worlds."""
    kept, found = [], []
    with sealed():
        for _ in range(runs):
            kept.append(scramble())
            world = World()
            found.append(world.host("alice").run(coroutine()))
            kept.append([world])
    return found


class Connection(asyncio.Protocol):
    """As servers and clients have them."""


async def sleeper(number: int, ended: list[int]) -> None:
    try:
        await asyncio.sleep(100)
    finally:
        ended.append(number)


async def task_group() -> list[int]:
    """asyncio.TaskGroup goes through a set of tasks when it cancels them."""
    ended: list[int] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(1), asyncio.TaskGroup() as group:
            for number in range(COUNT):
                group.create_task(sleeper(number, ended))
    return ended


async def scopes() -> list[int]:
    """anyio's cancel scopes have sets of the scopes inside them."""
    ended: list[int] = []

    async def scoped(number: int) -> None:
        with anyio.fail_after(50):
            await sleeper(number, ended)

    with anyio.move_on_after(1):
        async with anyio.create_task_group() as group:
            for number in range(COUNT):
                group.start_soon(scoped, number)
    return ended


async def futures() -> list[int]:
    """aiohttp's connector wakes a set of futures."""
    loop = asyncio.get_running_loop()
    made = [loop.create_future() for _ in range(COUNT)]
    return [made.index(future) for future in set(made)]


async def protocols() -> list[int]:
    """uvicorn and websockets have sets of connections."""
    made = [Connection() for _ in range(COUNT)]
    return [made.index(protocol) for protocol in set(made)]


@pytest.mark.parametrize("coroutine", [task_group, scopes, futures, protocols])
def test_sets_are_gone_through_alike(coroutine: Any) -> None:
    first, *others = orders(coroutine)
    assert sorted(first) == list(range(COUNT))
    assert all(other == first for other in others)


def test_a_hash_stays_what_it_was() -> None:
    """A set may outlive its world, and sealed()."""
    outside = Connection()
    known = {outside}

    async def make() -> Connection:
        made = Connection()
        known.add(made)
        assert outside in known
        return made

    with sealed():
        made = World().host("alice").run(make())
        assert made in known
    known.remove(made)
    known.remove(outside)
    assert not known


def test_a_factory_of_tasks_is_respected() -> None:
    made = []

    def factory(loop: Any, coro: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(coro)
        return asyncio.Task(coro, loop=loop, **options)

    async def outer() -> str:
        return await asyncio.create_task(inner())

    async def inner() -> str:
        return "done"

    world = World()
    world.loop.set_task_factory(factory)
    with sealed():
        assert world.host("alice").run(outer()) == "done"
    assert len(made) == 2
    assert world.loop.get_task_factory() is factory


def test_a_library_that_is_imported_late_is_seen_to_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside a coroutine, too, and not before the module is whole."""
    (tmp_path / "late_library.py").write_text("import late_helper\nVALUE = 1\n")
    (tmp_path / "late_helper.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    seen: list[int] = []
    monkeypatch.setitem(LIBRARIES, "late_library", lambda undo, module: seen.append(module.VALUE))

    async def main() -> list[int]:
        __import__("late_library")
        return list(seen)

    real = builtins.__import__
    with sealed():
        assert World().host("alice").run(main()) == [1]
    assert builtins.__import__ is real


def test_ordered() -> None:
    ordered = Ordered()
    for member in (3, 1, 2, 1):
        ordered.add(member)
    ordered.discard(7)
    ordered.remove(1)
    assert (list(ordered), len(ordered), 3 in ordered, 1 in ordered) == ([3, 2], 2, True, False)


class Finalized:
    """Garbage that needs a collection, and says when it has had one."""

    def __init__(self, said: list[int]) -> None:
        self.myself = self
        self.said = said

    def __del__(self) -> None:
        self.said.append(1)


def test_garbage_is_collected_at_the_same_points_of_each_run() -> None:
    """Not where the number of objects that happens to be alive says so."""
    said: list[int] = []

    async def litter() -> tuple[int, int]:
        Finalized(said)
        kept = [[] for _ in range(100_000)]  # far above the threshold of the youngest generation
        early = len(said)
        loop = asyncio.get_running_loop()
        for _ in range(GARBAGE):
            loop.create_future()
        await asyncio.sleep(0.1)
        return early, len(said) + 0 * len(kept)

    threshold, frozen = gc.get_threshold(), gc.get_freeze_count()
    with sealed():
        assert not gc.isenabled()
        assert World().host("alice").run(litter()) == (0, 1)
    assert gc.isenabled()
    assert gc.get_threshold() == threshold
    assert gc.get_freeze_count() <= frozen
