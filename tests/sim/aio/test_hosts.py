"""Coroutines on the hosts of a world: spawn, run, what ends a run, deadlocks, closing, notebooks, determinism."""

import asyncio
import os
import re
import subprocess
import sys
from typing import Any

import pytest

import motenet
from motenet.core.errors import BlockingInsideWorld, ConfigurationError, SnapshotError, WorldStuck
from motenet.sim.aio import Deadlock, current_stack


def pair(seed: int = 1, nic: str = "e1000", **link: Any) -> tuple[motenet.World, Any, Any]:
    world = motenet.World(seed=seed)
    alice = world.host("alice", nic=nic, address="10.0.0.1/24")
    bob = world.host("bob", nic=nic, address="10.0.0.2/24")
    world.link(alice, bob, **({"delay": "1ms"} | link))
    return world, alice, bob


@pytest.fixture
def hosts() -> Any:
    world, alice, bob = pair()
    yield world, alice, bob
    world.close()


async def fail(after: float = 0) -> None:
    await asyncio.sleep(after)
    raise ZeroDivisionError


async def nap(seconds: float, value: Any = None) -> Any:
    await asyncio.sleep(seconds)
    return value


# --- running


def test_run_returns_the_result_in_virtual_time(hosts: Any) -> None:
    world, alice, _ = hosts
    assert alice.run(nap(3600, "result")) == "result"
    assert world.now == 3_600_000_000_000
    with pytest.raises(ZeroDivisionError):
        alice.run(fail(1))


def test_world_run_until_a_coroutine_a_task_or_a_future(hosts: Any) -> None:
    world, alice, _ = hosts
    assert world.run(until=nap(1, "coroutine")) == "coroutine"
    assert world.run(until=alice.spawn(nap(1, "task"))) == "task"
    future = world.loop.create_future()
    world.loop.call_later(1, future.set_result, "future")
    assert world.run(until=future) == "future"
    assert world.now == 3_000_000_000
    with pytest.raises(WorldStuck, match="1s"):
        world.run("1s", until=nap(5))
    assert not world.loop.tasks, "what nobody waits for any more is cancelled"
    task = alice.spawn(nap(5, "later"))
    with pytest.raises(WorldStuck):
        world.run("1s", until=task)
    assert world.run(until=task) == "later", "but a task goes on"


def test_each_coroutine_has_its_hosts_stack_and_so_have_the_tasks_it_makes(hosts: Any) -> None:
    world, alice, bob = hosts

    async def where() -> Any:
        inner = await asyncio.create_task(same())
        return current_stack.get(), inner, await asyncio.to_thread(current_stack.get)

    async def same() -> Any:
        return current_stack.get()

    tasks = [alice.spawn(where()), bob.spawn(where())]
    world.run("1s")
    assert [set(task.result()) for task in tasks] == [{alice.stack}, {bob.stack}]
    assert asyncio.run(same_or_none()) is None


async def same_or_none() -> Any:
    return current_stack.get(None)


def test_a_task_has_its_hosts_name(hosts: Any) -> None:
    _, alice, _ = hosts
    assert alice.spawn(nap(0)).get_name() == "alice/nap"
    assert alice.spawn(nap(0), name="mine").get_name() == "mine"


def test_what_is_no_coroutine_is_refused(hosts: Any) -> None:
    world, alice, _ = hosts
    with pytest.raises(ConfigurationError, match="call the async function"):
        alice.spawn(nap)
    with pytest.raises(ConfigurationError, match="call the async function"):
        alice.spawn(world.loop.create_future())


def test_a_router_with_two_cards_serves_both_networks() -> None:
    world = motenet.World(seed=5)
    router = world.host("router", address="10.1.0.1/24", forwarding=True)
    router.plug("rtl8139", "10.2.0.1/24")
    left = world.host("left", address="10.1.0.2/24", gateway="10.1.0.1")
    right = world.host("right", nic="virtio-net", address="10.2.0.2/24", gateway="10.2.0.1")
    world.link(router, left)
    world.link(router, right)

    async def handle(reader: Any, writer: Any) -> None:
        writer.write(writer.get_extra_info("sockname")[0].encode())
        writer.close()

    async def ask(host: str) -> Any:
        reader, writer = await asyncio.open_connection(host, 80)
        answer = await reader.read()
        writer.close()
        return answer

    servers = [host.run(asyncio.start_server(handle, port=80)) for host in (router, right)]
    assert left.run(ask("10.1.0.1")) == right_answer("10.1.0.1")
    assert right.run(ask("10.2.0.1")) == right_answer("10.2.0.1")
    assert left.run(ask("10.2.0.2")) == right_answer("10.2.0.2")
    assert router.run(ask("10.2.0.2")) == right_answer("10.2.0.2")
    for server in servers:
        server.close()
    world.close()


def right_answer(address: str) -> bytes:
    return address.encode()


def test_addresses_of_a_links_scope_name_their_interface() -> None:
    """RFC 4007, 11: "%eth0"; or the interface's number in the fourth place of the address."""
    world = motenet.World(seed=1)
    alice, bob = (
        world.host(name, address=address) for name, address in (("alice", "fe80::1/64"), ("bob", "fe80::2/64"))
    )
    world.link(alice, bob)
    link_local = "fe80::2"
    seen = []

    def handle(reader: Any, writer: Any) -> None:
        seen.append(writer.get_extra_info("peername"))
        writer.close()

    server = bob.run(asyncio.start_server(handle, link_local, 80))

    async def ask(host: str) -> Any:
        _, writer = await asyncio.open_connection(host, 80)
        name = writer.get_extra_info("peername")
        writer.close()
        return name

    assert alice.run(ask(f"{link_local}%eth0")) == (link_local, 80, 0, 1)
    world.run("1s")
    assert seen[0][0] == "fe80::1"
    assert seen[0][2:] == (0, 1)
    server.close()
    world.close()


# --- failing


def test_an_exception_that_nobody_asks_for_stops_the_world(hosts: Any) -> None:
    world, alice, bob = hosts
    alice.spawn(fail(1))
    bob.spawn(fail(2))
    for now in (1, 2):
        with pytest.raises(ZeroDivisionError):
            world.run("1h")
        assert world.now == now * 1_000_000_000
    world.run("1s")


def test_an_exception_that_somebody_asks_for_does_not(hosts: Any) -> None:
    """However many callbacks lie between the task and who waits for it."""
    world, alice, _ = hosts

    async def main() -> Any:
        found = [await asyncio.gather(alice.spawn(fail(1)), return_exceptions=True)]
        done, _ = await asyncio.wait([alice.spawn(fail(1)), alice.spawn(fail(1))])
        found += [type(task.exception()) for task in done]
        for first in asyncio.as_completed([alice.spawn(fail(1))]):
            with pytest.raises(ZeroDivisionError):
                await first
        for waiting in (asyncio.wait_for(alice.spawn(fail(1)), 5), asyncio.shield(alice.spawn(fail(1)))):
            with pytest.raises(ZeroDivisionError):
                await waiting
        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(awaiting(alice.spawn(fail(1))))
        return len(found)

    async def awaiting(task: Any) -> None:
        await task

    assert alice.run(main()) == 3
    world.run("1s")


def test_deadlock_lists_who_waits_and_where(hosts: Any) -> None:
    _, alice, bob = hosts

    async def wait_for_nobody(event: asyncio.Event) -> None:
        await event.wait()

    async def listen() -> None:
        server = await asyncio.start_server(lambda reader, writer: None, port=80)
        async with server:
            await server.serve_forever()

    bob.spawn(listen(), name="the web")
    with pytest.raises(Deadlock) as caught:
        alice.run(wait_for_nobody(asyncio.Event()))
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("no event is left")
    assert re.fullmatch(r"  the web waits in listen\(\), .*test_hosts\.py:\d+", lines[1])
    assert re.fullmatch(r"  alice/wait_for_nobody waits in wait_for_nobody\(\), .*test_hosts\.py:\d+", lines[2])
    assert issubclass(Deadlock, WorldStuck)


def test_sleeping_for_ever_is_a_deadlock_too(hosts: Any) -> None:
    with pytest.raises(Deadlock, match="alice/nap waits in nap"):
        hosts[1].run(nap(float("inf")))


def test_verbs_block_only_at_the_top(hosts: Any) -> None:
    world, alice, bob = hosts

    async def main() -> str:
        for blocking in (
            lambda: alice.stack.ping("10.0.0.2"),
            lambda: bob.stack.tcp_connect("10.0.0.1", 80),
            lambda: world.run("1s"),
            lambda: world.run(until=nap(1)),
            lambda: alice.run(nap(1)),
            lambda: world.loop.run_until_complete(nap(1)),
            world.loop.run_forever,
        ):
            with pytest.raises(BlockingInsideWorld):
                blocking()
        with pytest.raises(SnapshotError):
            world.snapshot()
        return "goes on"

    assert alice.run(main()) == "goes on"


def test_a_keyboard_interrupt_ends_the_run_and_the_world_can_go_on(hosts: Any) -> None:
    world, alice, _ = hosts
    log: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            log.append("tidied up")

    def interrupt() -> None:
        raise KeyboardInterrupt

    world.loop.call_later(1, interrupt)
    with pytest.raises(KeyboardInterrupt):
        alice.run(work())
    assert log == ["tidied up"]
    assert alice.run(nap(1, "goes on")) == "goes on"


# --- ends and snapshots


def test_closing_a_world_ends_everything_in_order() -> None:
    world, alice, bob = pair()
    log: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.sleep(1e6)
        finally:
            await asyncio.sleep(0.1)
            log.append(name)

    async def handle(reader: Any, writer: Any) -> None:
        try:
            await reader.read()
        finally:
            log.append("connection")

    async def connect() -> Any:
        return await asyncio.open_connection("10.0.0.2", 80)

    for number in range(20):
        (alice, bob)[number % 2].spawn(work(str(number)))
    bob.run(asyncio.start_server(handle, port=80))
    streams = alice.run(connect())
    world.run("1s")
    with pytest.raises(SnapshotError, match="coroutines"):
        world.snapshot()
    world.close()
    world.close()
    assert log.count("connection") == 1
    assert [one for one in log if one.isdigit()] == [str(number) for number in range(20)], (
        "in the order of their making"
    )
    assert not world.loop.busy
    world.run("10s")
    world.restore(world.snapshot())
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        alice.spawn(coroutine := nap(1))
    coroutine.close()
    del streams


def test_a_snapshot_between_coroutines(hosts: Any) -> None:
    world, alice, bob = hosts
    server = bob.run(asyncio.start_server(lambda reader, writer: writer.close(), port=80))
    with pytest.raises(SnapshotError):
        world.snapshot()
    server.close()
    world.run("1s")  # until the machine has come up
    before = world.snapshot()
    first = alice.run(nap(2, "x")), world.now
    world.restore(before)
    assert (alice.run(nap(2, "x")), world.now) == first


def test_inside_a_notebooks_loop() -> None:
    """Cells run in a task of a loop that runs: it, and its task, are back whenever the world returns."""

    async def cell() -> Any:
        outer, task = asyncio.get_running_loop(), asyncio.current_task()
        world, alice, bob = pair()

        async def inner() -> Any:
            assert asyncio.get_running_loop() is world.loop
            assert asyncio.current_task() is not task
            async with asyncio.timeout(5):
                return await asyncio.create_task(nap(1, asyncio.all_tasks() is not None))

        try:
            assert alice.run(inner())
            bob.spawn(fail())
            with pytest.raises(ZeroDivisionError):
                world.run("1s")
            assert asyncio.get_running_loop() is outer
            assert asyncio.current_task() is task
            return await asyncio.sleep(0, "the notebook goes on")
        finally:
            world.close()

    assert asyncio.run(cell()) == "the notebook goes on"


# --- the same every time

PROGRAM = """
import asyncio, motenet

async def handle(reader, writer):
    async for line in reader:
        writer.write(line[::-1])
    writer.close()

async def ask(number):
    await asyncio.sleep(number % 3 / 1000)
    reader, writer = await asyncio.open_connection("bob.test", 80)
    writer.write(b"x" * number * 1000 + b"\\n")
    await writer.drain()
    writer.write_eof()
    data = await reader.read()
    writer.close()
    return len(data)

async def main():
    async with asyncio.TaskGroup() as group:
        tasks = {group.create_task(ask(number)) for number in range(12)}
    return sum([task.result() for task in tasks])

world = motenet.World(seed=9)
alice = world.host("alice", nic="rtl8139", address=["10.0.0.1/24", "fd00::1/64"])
bob = world.host("bob", nic="virtio-net", address=["10.0.0.2/24", "fd00::2/64"])
world.link(alice, bob, bandwidth="100Mbit/s", delay="1ms", loss=0.03)
alice.stack.dns.add_host("bob.test", "fd00::2", "10.0.0.2")
bob.run(asyncio.start_server(handle, port=80))
total = alice.run(main())
for number in range(30):
    alice.spawn(asyncio.open_connection("10.0.0.2", 80))
world.run("10ms")
world.close()
print(total, world.now, world.fingerprint())
"""


def test_the_same_fingerprint_in_every_process() -> None:
    """Neither hashes nor addresses in memory decide anything, not even the order in which close() cancels tasks."""
    results = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "42")
    }
    assert len(results) == 1
    assert results.pop().startswith(str(sum(number * 1000 + 1 for number in range(12))))
