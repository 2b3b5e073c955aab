"""Chance in a world: each host draws from streams of its own, which its world's seed begins."""

import os
import random
import time
import uuid
from collections.abc import Callable
from functools import wraps
from operator import index
from typing import Any
from weakref import WeakKeyDictionary

from motenet.apps.sealing.clocks import Pair
from motenet.apps.sealing.here import here
from motenet.core.rng import Stream
from motenet.sim.aio import WorldLoop, current_stack

GREGORIAN = 0x01B21DD213814000
"""The 100 ns intervals between 1582-10-15 and 1970-01-01 (RFC 9562, 5.1)."""


class Entropy:
    """One host's: what its operating system, and the interpreter that runs on it, would have."""

    def __init__(self, seed: int, path: str) -> None:
        self.system = Stream(seed, f"{path}/entropy")
        """What os.urandom gives."""
        self.random = random.Random(self.system.bits(256))
        """What the functions of the module `random` share."""
        self.node = int.from_bytes(self.system.key[:6], "big") | 1 << 40
        """In place of an Ethernet address, with the multicast bit set (RFC 9562, 6.10)."""


_hosts: "WeakKeyDictionary[WorldLoop, dict[str, Entropy]]" = WeakKeyDictionary()


def entropy() -> Entropy | None:
    """That of the host that we are on; None outside all worlds."""
    loop = here()
    if loop is None:
        return None
    stack = current_stack.get(None)
    path = "world" if stack is None else stack.path
    hosts = _hosts.setdefault(loop, {})
    found = hosts.get(path)
    if found is None:
        found = hosts[path] = Entropy(loop.seed, path)
    return found


def pairs() -> list[Pair]:
    """What stands for os.urandom, the functions of `random` and uuid1; secrets, SystemRandom and uuid4 build on it."""
    found: list[Pair] = [(os.urandom, _system(os.urandom))]
    if hasattr(os, "getrandom"):  # Linux alone
        found.append((os.getrandom, _system(os.getrandom)))
    for name, method in list(vars(random).items()):
        if getattr(method, "__self__", None) is random._inst:
            found.append((method, _shared(name, method)))
    found.append((uuid.uuid1, _uuid1(uuid.uuid1)))
    return found


def seeding(real: Callable[..., None]) -> Callable[..., None]:
    """What stands for random.Random.seed: a generator that is made without a seed takes the host's."""

    @wraps(real)
    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        own = entropy() if a is None else None
        real(self, a if own is None else own.system.bits(256), version)

    return seed


class Drawer:
    """What stands for a generator that a library has made when it was imported: the host's random bits, inside."""

    def __init__(self, real: random.Random) -> None:
        self._real = real

    def getrandbits(self, count: int, /) -> int:
        """As random.Random has it."""
        own = entropy()
        return (self._real if own is None else own.random).getrandbits(count)


def _system(real: Callable[..., bytes]) -> Callable[..., bytes]:
    @wraps(real)
    def urandom(size: int, *args: Any) -> bytes:
        own = entropy()
        return real(size, *args) if own is None or index(size) < 0 else own.system.bytes(index(size))

    return urandom


def _shared(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(real)
    def either(*args: Any, **options: Any) -> Any:
        own = entropy()
        return (real if own is None else getattr(own.random, name))(*args, **options)

    return either


def _uuid1(real: Callable[..., uuid.UUID]) -> Callable[..., uuid.UUID]:
    @wraps(real)
    def uuid1(node: int | None = None, clock_seq: int | None = None) -> uuid.UUID:
        """RFC 9562, 5.1; each has a new clock sequence, so that none is there twice."""
        own = entropy()
        if own is None:
            return real(node, clock_seq)
        ticks = time.time_ns() // 100 + GREGORIAN
        sequence = own.system.bits(14) if clock_seq is None else clock_seq & 0x3FFF
        fields = ticks & 0xFFFFFFFF, ticks >> 32 & 0xFFFF, ticks >> 48 & 0x0FFF, sequence >> 8, sequence & 0xFF
        return uuid.UUID(fields=(*fields, own.node if node is None else node), version=1)

    return uuid1
