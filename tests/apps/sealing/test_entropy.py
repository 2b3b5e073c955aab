"""Chance in sealed worlds: each host's own, from the world's seed alone."""

import asyncio
import os
import random
import secrets
import tempfile
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from motenet import World
from motenet.apps import sealed

DRAWS: list[Callable[[], Any]] = [
    lambda: os.urandom(16),
    lambda: secrets.token_hex(),
    lambda: secrets.randbelow(10**9),
    lambda: random.random(),
    lambda: random.getrandbits(64),
    lambda: random.sample(range(10**6), 3),
    lambda: random.SystemRandom().random(),
    lambda: random.Random().random(),
    lambda: uuid.uuid4(),
    lambda: uuid.uuid1(),
]


async def draw(what: Callable[[], Any]) -> Any:
    await asyncio.sleep(0.1)
    return what()


def on(host: str, what: Callable[[], Any], seed: int = 1, others: tuple[str, ...] = ()) -> Any:
    """What is drawn on a host of a new world."""
    world = World(seed=seed)
    for name in (*others, host):
        world.host(name)
    with sealed():
        for name in others:
            world.hosts[name].spawn(draw(what))
        return world.hosts[host].run(draw(what))


@pytest.mark.parametrize("what", DRAWS)
def test_the_seed_decides(what: Callable[[], Any]) -> None:
    drawn = on("alice", what)
    assert on("alice", what) == drawn
    assert on("alice", what, seed=2) != drawn


@pytest.mark.parametrize("what", DRAWS)
def test_hosts_draw_of_their_own(what: Callable[[], Any]) -> None:
    """Another host changes nobody else's draws, as everywhere in a world."""
    drawn = on("alice", what)
    assert on("bob", what) != drawn
    assert on("alice", what, others=("bob",)) == drawn


@pytest.mark.parametrize("what", DRAWS)
def test_no_draw_is_like_the_last(what: Callable[[], Any]) -> None:
    async def twice() -> tuple[Any, Any]:
        return what(), what()

    with sealed():
        first, second = World().host("alice").run(twice())
    assert first != second


def test_streams_go_on_when_a_world_is_sealed_again() -> None:
    """Otherwise two requests could have one idempotency key."""
    alice = World().host("alice")
    keys = []
    for _ in range(2):
        with sealed():
            keys.append(alice.run(draw(uuid.uuid4)))
    assert keys[0] != keys[1]


def test_outside_a_world_chance_is_the_processs() -> None:
    random.seed(5)
    expected = random.random()
    random.seed(5)
    with sealed():
        World().host("alice").run(draw(random.random))
        assert random.random() == expected
        assert os.urandom(16) != os.urandom(16)
        assert uuid.uuid1().time // 10**7 > 0x01B21DD213814000 // 10**7 + 1_500_000_000


def test_a_generator_with_a_seed_of_its_own_keeps_it() -> None:
    expected = random.Random(5).random()
    assert on("alice", lambda: random.Random(5).random()) == expected


def test_a_program_may_seed_the_shared_generator() -> None:
    def seeded() -> float:
        random.seed(5)
        return random.random()

    assert on("alice", seeded) == random.Random(5).random()


def test_uuid1_is_an_rfc_9562_time_and_node() -> None:
    """5.1: the time since 1582; 6.10: a random node has the multicast bit, the least of its first octet."""
    with sealed():
        made: uuid.UUID = World().host("alice").run(draw(uuid.uuid1))
    assert (made.version, made.variant) == (1, uuid.RFC_4122)
    assert made.time == 0x01B21DD213814000 + (946_684_800 * 10 + 1) * 10**6
    assert made.node >> 40 & 1 == 1


def test_uuid1_takes_a_node_and_a_clock_sequence() -> None:
    with sealed():
        made: uuid.UUID = World().host("alice").run(draw(lambda: uuid.uuid1(0x123456789ABC, 0x1FFF)))
    assert (made.node, made.clock_seq) == (0x123456789ABC, 0x1FFF)


def test_mistakes_are_pythons_own() -> None:
    with sealed(), pytest.raises(ValueError, match="negative"):
        World().host("alice").run(draw(lambda: os.urandom(-1)))


def test_temporary_files_can_still_be_made() -> None:
    def make() -> bytes:
        with tempfile.TemporaryFile() as file:
            file.write(b"x")
            file.seek(0)
            return file.read()

    assert on("alice", make) == b"x"


def test_all_is_put_back() -> None:
    before = os.urandom, random.random, uuid.uuid1, random.Random.seed, random.shuffle
    with sealed():
        assert all(now is not real for now, real in zip(_now(), before, strict=True))
    assert _now() == before


def _now() -> tuple[Any, ...]:
    return os.urandom, random.random, uuid.uuid1, random.Random.seed, random.shuffle
