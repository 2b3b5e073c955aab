"""Calls, tasks, contexts, exceptions and executors: the loop's half without a network, beside the real loop."""

import asyncio
import contextvars
import gc
import math
import sys
import threading
from typing import Any

import pytest

import motenet

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


@pytest.fixture(params=["emulated", "real"])
def loop(request: pytest.FixtureRequest) -> Any:
    """A world's loop, or one of the standard library's."""
    found: Any = motenet.World(seed=1).loop if request.param == "emulated" else asyncio.new_event_loop()
    yield found
    found.close()


def test_calls_keep_their_order(loop: Any) -> None:
    """PEP 3156: call_soon is FIFO; timers by their time; cancelled ones never."""
    log: list[Any] = []
    now = loop.time()
    loop.call_later(0.02, log.append, "later")
    loop.call_at(now + 0.01, log.append, "at")
    loop.call_soon(log.append, "one")
    loop.call_soon(loop.call_soon, log.append, "from within")
    loop.call_later(0, log.append, "zero")
    loop.call_later(-5, log.append, "past")
    cancelled = [loop.call_soon(log.append, "no"), loop.call_later(0.015, log.append, "no")]
    for handle in cancelled:
        handle.cancel()
        handle.cancel()
        assert handle.cancelled()
    loop.call_soon_threadsafe(log.append, "two")
    loop.run_until_complete(asyncio.sleep(0.05))
    assert [one for one in log if one in ("one", "two", "from within")] == ["one", "two", "from within"]
    assert log[-2:] == ["at", "later"]
    assert sorted(log[:-2]) == ["from within", "one", "past", "two", "zero"]


def test_handles_know_their_time_and_compare(loop: Any) -> None:
    early, late = loop.call_at(loop.time() + 1, print), loop.call_at(loop.time() + 2, print)
    assert early.when() < late.when()
    assert early < late
    assert abs(loop.call_later(5, print).when() - loop.time() - 5) < 0.1


def test_stop_lets_what_is_due_run_and_no_more(loop: Any) -> None:
    """asyncio: "run_forever … If stop() is called … will run the current batch of callbacks and then exit"."""
    log: list[str] = []
    loop.call_soon(loop.stop)
    loop.call_soon(log.append, "this batch")
    loop.call_soon(lambda: loop.call_soon(log.append, "next batch"))
    loop.run_forever()
    assert log == ["this batch"]
    loop.stop()  # "If stop() is called before run_forever() … the loop will … run all callbacks … and then exit"
    loop.run_forever()
    assert log == ["this batch", "next batch"]
    assert not loop.is_running()


def test_run_until_complete(loop: Any) -> None:
    async def give() -> str:
        assert loop.is_running()
        assert asyncio.get_running_loop() is loop
        return "result"

    async def fail() -> None:
        raise ZeroDivisionError

    assert loop.run_until_complete(give()) == "result"
    with pytest.raises(ZeroDivisionError):
        loop.run_until_complete(fail())
    future = loop.create_future()
    loop.call_later(0.01, future.set_result, 5)
    assert loop.run_until_complete(future) == 5
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()


def test_a_closed_loop_takes_nothing(loop: Any) -> None:
    loop.close()
    loop.close()
    assert loop.is_closed()
    for call in (loop.call_soon, loop.call_soon_threadsafe, lambda f: loop.call_later(1, f)):
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            call(print)


def test_a_running_loop_is_not_closed(loop: Any) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="Cannot close a running event loop"):
            loop.close()

    loop.run_until_complete(main())


def test_contexts(loop: Any) -> None:
    """A callback has its creator's context, or the one that is given; a task a copy of its creator's (PEP 567)."""
    log: list[str] = []
    special = contextvars.copy_context()
    special.run(WHO.set, "special")

    async def child() -> None:
        log.append(WHO.get())
        WHO.set("child")

    async def main() -> None:
        WHO.set("main")
        loop.call_soon(lambda: log.append(WHO.get()))
        loop.call_later(0, lambda: log.append(WHO.get()))
        loop.call_soon(lambda: log.append(WHO.get()), context=special)
        await asyncio.sleep(0.01)
        await asyncio.create_task(child())
        await asyncio.create_task(child(), context=special)
        log.append(WHO.get())
        assert await asyncio.to_thread(WHO.get) == "main"

    loop.run_until_complete(main())
    assert sorted(log[:3]) == ["main", "main", "special"]
    assert log[3:] == ["main", "special", "main"]
    assert special[WHO] == "child"


def test_exceptions_in_callbacks_go_to_the_handler(loop: Any) -> None:
    told: list[Any] = []
    loop.set_exception_handler(lambda where, context: told.append((WHO.get(), context["exception"])))
    with pytest.raises(TypeError):
        loop.set_exception_handler("no callable")
    assert loop.get_exception_handler() is not None
    context = contextvars.copy_context()
    context.run(WHO.set, "failing")
    loop.call_soon(lambda: 1 / 0, context=context)
    loop.run_until_complete(asyncio.sleep(0))
    loop.call_exception_handler({"message": "by hand", "exception": KeyError("x")})
    assert [type(error) for _, error in told] == [ZeroDivisionError, KeyError]
    if sys.version_info >= (3, 12):
        assert told[0][0] == "failing"


def test_without_a_handler_it_is_logged(loop: Any, caplog: Any) -> None:
    loop.call_soon(lambda: 1 / 0)
    loop.run_until_complete(asyncio.sleep(0))
    loop.set_exception_handler(lambda where, context: 1 / 0)
    loop.call_exception_handler({"message": "whatever"})
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert "ZeroDivisionError" in caplog.text


def test_a_keyboard_interrupt_comes_out(loop: Any) -> None:
    async def interrupted() -> None:
        raise KeyboardInterrupt

    loop.call_soon(sys.exit, 3)
    with pytest.raises(SystemExit):
        loop.run_until_complete(asyncio.sleep(1))
    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(interrupted())
    assert loop.run_until_complete(asyncio.sleep(0, "goes on")) == "goes on"


def test_functions_in_executors(loop: Any) -> None:
    def nested() -> str:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return "done"

    async def main() -> Any:
        found = [await loop.run_in_executor(None, nested), await asyncio.to_thread(max, 3, 5)]
        emulated = isinstance(loop, motenet.sim.aio.WorldLoop)
        for wrong in (KeyError, StopIteration if emulated else RuntimeError):  # real ones hang up to 3.12.2 (gh-112182)
            try:
                await asyncio.to_thread(lambda wrong=wrong: (_ for _ in ()).throw(wrong("x")))
            except Exception as error:
                found.append(type(error).__name__)
        cancelled = loop.run_in_executor(None, nested)
        cancelled.cancel()
        found.append(cancelled.cancelled())
        return found

    assert loop.run_until_complete(main()) == ["done", 5, "KeyError", "RuntimeError", True]
    loop.run_until_complete(loop.shutdown_default_executor())


def test_task_factories(loop: Any) -> None:
    """Those of Python 3.11 and 3.12 take (loop, coro, context=None), later ones any keywords."""
    made: list[str] = []

    def factory(where: Any, coro: Any, context: Any = None, **options: Any) -> Any:
        made.append(coro.__name__)
        return asyncio.Task(coro, loop=where, context=context, **options)

    async def work() -> Any:
        return asyncio.current_task().get_name()  # type: ignore[union-attr]

    with pytest.raises(TypeError):
        loop.set_task_factory("no callable")
    loop.set_task_factory(factory)
    assert loop.get_task_factory() is factory

    async def main() -> Any:
        return await asyncio.create_task(work(), name="mine")

    assert loop.run_until_complete(main()) == "mine"
    assert made == ["main", "work"]
    loop.set_task_factory(None)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_eager_tasks(loop: Any) -> None:
    log: list[str] = []

    async def work(name: str) -> None:
        log.append(f"{name} begins")
        await asyncio.sleep(0)
        log.append(f"{name} ends")

    async def main() -> None:
        tasks = [asyncio.create_task(work(name)) for name in "ab"]
        log.append("made")
        await asyncio.gather(*tasks)

    loop.set_task_factory(asyncio.eager_task_factory)
    loop.run_until_complete(main())
    assert log == ["a begins", "b begins", "made", "a ends", "b ends"]


def test_what_waits_for_ever(loop: Any) -> None:
    async def main() -> str:
        sleeper = asyncio.create_task(asyncio.sleep(math.inf))
        async with asyncio.timeout(math.inf):
            await asyncio.sleep(0.01)
        sleeper.cancel()
        return "done"

    assert loop.run_until_complete(main()) == "done"


def test_groups_timeouts_shields_and_waits(loop: Any) -> None:
    """The coroutine half of asyncio needs nothing but the loop's calls; its outcomes are the real loop's."""

    async def late(value: Any, delay: float = 0.01) -> Any:
        await asyncio.sleep(delay)
        if isinstance(value, Exception):
            raise value
        return value

    async def main() -> Any:
        found: list[Any] = [await asyncio.gather(late(1), late(2, 0.02), late(KeyError()), return_exceptions=True)]
        try:
            async with asyncio.TaskGroup() as group:
                victim = group.create_task(late("victim", 5))
                group.create_task(late(KeyError()))
                group.create_task(late(ValueError()))
        except* (KeyError, ValueError) as errors:
            found.append((sorted(type(e).__name__ for e in errors.exceptions), victim.cancelled()))
        inner = asyncio.ensure_future(late("shielded", 0.03))
        for wait in (asyncio.wait_for(late(1, 9), 0.01), asyncio.wait_for(asyncio.shield(inner), 0.01)):
            try:
                await wait
            except TimeoutError as error:
                found.append(type(error).__name__)
        found.append(await inner)
        start = loop.time()
        try:
            async with asyncio.timeout(0.02) as limit:
                await asyncio.sleep(5)
        except TimeoutError:
            found.append((limit.expired(), 0.019 < loop.time() - start < 1))
        done, pending = await asyncio.wait([inner, asyncio.ensure_future(late(2, 0.01))], timeout=0.5)
        found.append((len(done), len(pending)))
        found.append([await one for one in asyncio.as_completed([late("b", 0.02), late("a", 0.01)])])
        queue: asyncio.Queue[int] = asyncio.Queue(1)
        producer = asyncio.create_task(produce(queue))
        found.append([await queue.get() for _ in range(3)])
        await producer
        return found

    async def produce(queue: "asyncio.Queue[int]") -> None:
        for number in range(3):
            await queue.put(number)

    found = loop.run_until_complete(main())
    assert [found[0][:2], type(found[0][2])] == [[1, 2], KeyError]
    assert found[1] == (["KeyError", "ValueError"], True)
    assert found[2:] == ["TimeoutError", "TimeoutError", "shielded", (True, True), (2, 0), ["a", "b"], [0, 1, 2]]


def test_cancelling(loop: Any) -> None:
    log: list[Any] = []

    async def stubborn() -> str:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError as error:
            log.append(error.args)
            await asyncio.sleep(0.01)  # tidying up may wait
            raise
        return "never"

    async def main() -> None:
        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        assert task.cancel("enough")
        assert task.cancelling() == 1
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert not task.cancel()

    loop.run_until_complete(main())
    assert log == [("enough",)]


def test_async_generators_are_finished(loop: Any) -> None:
    """PEP 525: one that is dropped is closed by the loop; shutdown_asyncgens closes the rest, and tells of errors."""
    log: list[str] = []
    told: list[Any] = []

    async def count(name: str, wrong: bool = False) -> Any:
        try:
            while True:
                yield name
        finally:
            await asyncio.sleep(0)
            log.append(name)
            if wrong:
                raise ZeroDivisionError

    async def main() -> Any:
        async for _ in count("dropped"):
            break
        gc.collect()
        await asyncio.sleep(0.01)
        kept = [count("kept"), count("wrong", True)]
        for one in kept:
            await anext(one)
        return kept

    loop.set_exception_handler(lambda where, context: told.append(type(context["exception"])))
    kept = loop.run_until_complete(main())
    assert log == ["dropped"]
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert sorted(log[1:]) == ["kept", "wrong"]
    assert told == [ZeroDivisionError]
    del kept


def test_an_exception_that_nobody_asks_for_is_told_when_the_task_is_gone(loop: Any) -> None:
    told: list[Any] = []
    loop.set_exception_handler(lambda where, context: told.append(context["message"]))

    async def fail() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        task = asyncio.create_task(fail())
        await asyncio.sleep(0.01)
        del task
        gc.collect()

    loop.run_until_complete(main())
    assert [message.endswith("Task exception was never retrieved") for message in told] == [True]


ABSENT: list[tuple[str, tuple[Any, ...]]] = [
    ("add_reader", (0, print)),
    ("remove_reader", (0,)),
    ("add_writer", (0, print)),
    ("remove_writer", (0,)),
]
ABSENT_COROUTINES: list[tuple[str, tuple[Any, ...]]] = [
    ("subprocess_exec", (asyncio.SubprocessProtocol, "true")),
    ("subprocess_shell", (asyncio.SubprocessProtocol, "true")),
    ("connect_read_pipe", (asyncio.Protocol, None)),
    ("connect_write_pipe", (asyncio.Protocol, None)),
    ("create_unix_connection", (asyncio.Protocol, "/x")),
    ("create_unix_server", (asyncio.Protocol, "/x")),
    ("connect_accepted_socket", (asyncio.Protocol, None)),
    ("sock_recv", (None, 1)),
    ("sock_recv_into", (None, None)),
    ("sock_recvfrom", (None, 1)),
    ("sock_recvfrom_into", (None, None)),
    ("sock_sendall", (None, b"")),
    ("sock_sendto", (None, b"", None)),
    ("sock_accept", (None,)),
    ("sock_sendfile", (None, None)),
]


@pytest.mark.parametrize(("name", "arguments"), ABSENT + ABSENT_COROUTINES)
def test_what_this_loop_does_not_have_says_so(name: str, arguments: tuple[Any, ...]) -> None:
    """As asyncio.AbstractEventLoop has it for what a loop lacks."""
    world = motenet.World()

    async def main() -> None:
        found = getattr(world.loop, name)(*arguments)
        if asyncio.iscoroutine(found):
            await found

    with pytest.raises(RuntimeError) as caught:
        world.run(until=main())
    assert type(caught.value).__name__.startswith("NotImplemented")


def test_every_method_of_asyncios_loop_is_there_or_known_to_be_absent() -> None:
    absent = {name for name, _ in ABSENT + ABSENT_COROUTINES}
    ours = type(motenet.World().loop)
    for name in vars(asyncio.AbstractEventLoop):
        inherited = getattr(ours, name) is getattr(asyncio.AbstractEventLoop, name)
        if not name.startswith("_") and inherited:
            assert name in absent, f"{name} is neither there nor told of"


def test_signals_are_accepted_without_effect() -> None:
    world = motenet.World()
    world.loop.add_signal_handler(15, print)
    assert world.loop.remove_signal_handler(15) is False


def test_times_are_exact_to_the_nanosecond() -> None:
    world = motenet.World()
    log: list[int] = []
    for delay in (1e-9, 0.1, 0.3, 1.1, 123.456789012):
        world.loop.call_later(delay, lambda: log.append(world.now))
    world.run("200s")
    assert log == [1, 100_000_000, 300_000_000, 1_100_000_000, 123_456_789_012]


def test_threads_of_others_may_call_soon() -> None:
    world = motenet.World()
    log: list[str] = []
    thread = threading.Thread(target=world.loop.call_soon_threadsafe, args=(log.append, "called"))
    thread.start()
    thread.join()
    world.run("1ns")
    assert log == ["called"]


def test_debug_is_kept() -> None:
    loop = motenet.World().loop
    assert not loop.get_debug()
    loop.set_debug(True)
    assert loop.get_debug()
