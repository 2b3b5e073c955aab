"""Ctrl-C: it comes between two events, whatever instruction it meets, and the world goes on as if it had not come."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from motenet.sim import World

END = 1_500_000_000  # ns


def lossy_transfer() -> World:
    """Two hosts with different cards in the midst of a transfer."""
    world = World(seed=5)
    alice = world.host("alice", nic="e1000", address="10.0.0.1/24")
    bob = world.host("bob", nic="virtio-net", address="10.0.0.2/24")
    world.link(alice, bob, bandwidth="1Gbit/s", delay="50us", loss=0.02)
    bob.stack.tcp_listen(80)
    alice.stack.tcp_connect("10.0.0.2", 80).send(bytes(40_000))
    return world


@pytest.fixture
def at_call() -> Iterator[Callable[[int], None]]:
    """Presses Ctrl-C when so many functions of motenet have been called."""

    def press(count: int) -> None:
        left = count

        def called(frame: FrameType, event: str, argument: Any) -> None:
            nonlocal left
            if event == "call" and "motenet" in frame.f_code.co_filename:
                left -= 1
                if left == 0:
                    sys.setprofile(None)
                    signal.raise_signal(signal.SIGINT)

        sys.setprofile(called)

    yield press
    sys.setprofile(None)


def test_wherever_it_comes_the_world_goes_on_as_if_it_had_not(at_call: Callable[[int], None]) -> None:
    world = lossy_transfer()
    before = world.snapshot()
    world.run(END - world.now)
    undisturbed = world.fingerprint(), world.state_hash()
    for count in range(10, 4000, 97):
        world.restore(before)
        at_call(count)
        with pytest.raises(KeyboardInterrupt):
            world.run(END - world.now)
        assert world.now < END
        world.run(END - world.now)
        assert (world.fingerprint(), world.state_hash()) == undisturbed, count


def test_in_the_last_event_it_comes_when_that_is_over() -> None:
    world = World()
    done: list[bool] = []

    def last(_: object) -> None:
        signal.raise_signal(signal.SIGINT)
        done.append(True)

    world.clock.at(5, last)
    with pytest.raises(KeyboardInterrupt):
        world.run(until=lambda: bool(done))
    assert (done, world.now) == ([True], 5)
    world.run(10)
    assert world.now == 15


def test_the_second_one_ends_an_event_that_never_would() -> None:
    world = World()

    def endless(_: object) -> None:
        while True:
            signal.raise_signal(signal.SIGINT)

    world.clock.at(5, endless)
    with pytest.raises(KeyboardInterrupt):
        world.run(10)
    world.run(10)
    assert world.now == 15


def test_who_has_a_handler_keeps_it() -> None:
    world = World()
    told: list[int] = []
    world.clock.at(5, lambda _: signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, lambda number, frame: told.append(world.now))
    try:
        mine = signal.getsignal(signal.SIGINT)
        world.run(10)
        assert (told, signal.getsignal(signal.SIGINT)) == ([5], mine)
    finally:
        signal.signal(signal.SIGINT, before)
    world.run(10)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_world_in_another_thread_is_not_asked() -> None:
    """signal.signal is for the main thread alone."""
    world = World()
    thread = threading.Thread(target=world.run, args=(10,))
    thread.start()
    thread.join()
    assert world.now == 10
