"""anyio's worker threads on a world's loop: inline, in no virtual time, and otherwise as in a thread."""

import asyncio
import contextvars
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from motenet import World
from motenet.sim.aio import WorldLoop, inline
from motenet.sim.host import Host

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@pytest.fixture
def alice() -> Iterator[Host]:
    inline.install(WorldLoop)
    world = World()
    yield world.host("alice")
    world.close()


def test_it_runs_in_this_thread_and_takes_no_virtual_time(alice: Host) -> None:
    async def ask() -> tuple[int, float]:
        ident = await anyio.to_thread.run_sync(threading.get_ident)
        return ident, asyncio.get_running_loop().time()

    assert alice.run(ask()) == (threading.get_ident(), 0)


def test_real_loops_keep_their_threads() -> None:
    inline.install(WorldLoop)
    assert anyio.run(anyio.to_thread.run_sync, threading.get_ident) != threading.get_ident()


def test_no_loop_runs_where_it_runs(alice: Host) -> None:
    """So that a function may run a loop of its own, as in a thread."""

    def own() -> str:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        return anyio.run(_hello)

    assert alice.run(anyio.to_thread.run_sync(own)) == "hello"


async def _hello() -> str:
    await anyio.sleep(0)
    return "hello"


def test_its_context_is_a_copy(alice: Host) -> None:
    def change() -> str:
        before = variable.get()
        variable.set("changed")
        return before

    async def ask() -> tuple[str, str]:
        variable.set("mine")
        return await anyio.to_thread.run_sync(change), variable.get()

    assert alice.run(ask()) == ("mine", "mine")


def test_its_exceptions_are_the_callers(alice: Host) -> None:
    with pytest.raises(ZeroDivisionError):
        alice.run(anyio.to_thread.run_sync(lambda: 1 // 0))


def test_a_limiter_limits(alice: Host) -> None:
    async def ask() -> list[int]:
        limiter = anyio.CapacityLimiter(1)
        seen: list[int] = []

        async def one() -> None:
            await anyio.to_thread.run_sync(lambda: seen.append(limiter.borrowed_tokens), limiter=limiter)

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(one)
        return [*seen, limiter.borrowed_tokens]

    assert alice.run(ask()) == [1, 1, 1, 0]


def test_it_is_a_checkpoint(alice: Host) -> None:
    """A cancelled task does not begin it."""
    begun = []

    async def ask() -> bool:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anyio.to_thread.run_sync(begun.append, 1)
        return scope.cancelled_caught

    assert alice.run(ask()) is True
    assert begun == []


def test_others_have_their_turn_before(alice: Host) -> None:
    async def ask() -> list[str]:
        order: list[str] = []
        asyncio.get_running_loop().call_soon(order.append, "other")
        await anyio.to_thread.run_sync(order.append, "function")
        return order

    assert alice.run(ask()) == ["other", "function"]


def test_the_loop_cannot_be_called_back(alice: Host) -> None:
    """It waits for the function: a call that waits for the loop would never end, and says so instead."""

    def back() -> Any:
        return anyio.from_thread.run(anyio.sleep, 1)

    with pytest.raises(anyio.NoEventLoopError):
        alice.run(anyio.to_thread.run_sync(back))


def test_it_is_installed_once() -> None:
    from anyio._backends._asyncio import AsyncIOBackend

    inline.install(WorldLoop)
    found = vars(AsyncIOBackend)["run_sync_in_worker_thread"]
    inline.install(WorldLoop)
    assert vars(AsyncIOBackend)["run_sync_in_worker_thread"] is found


def test_anyio_may_be_imported_by_a_coroutine() -> None:
    """In a process that has not imported it yet; from the next task on it is seen to."""
    program = """
import asyncio, sys, threading, motenet
async def work():
    return await sys.modules["anyio"].to_thread.run_sync(threading.current_thread)
async def main():
    assert "anyio" not in sys.modules
    import anyio
    return await asyncio.create_task(work())
assert motenet.World().host("alice").run(main()) is threading.main_thread()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
