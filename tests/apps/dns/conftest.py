"""Two hosts: alice, who asks, and bob, who serves."""

from functools import cache
from typing import Any

import pytest

from motenet.apps.dns import DnsServer, Zones
from motenet.sim.world import World

ZONES = {
    "example.test": {
        "www": ["10.0.0.7", "fd00::7"],
        "alias": "CNAME www",
        "short": "0 A 10.0.0.8",
        "many": [f"10.1.0.{n}" for n in range(60)],
        "huge": [f"10.{n >> 8}.{n & 255}.1" for n in range(2000)],
        **{f"n{n}": f"10.2.0.{n}" for n in range(20)},
    },
}


@cache
def zones() -> Zones:
    """Of thousands of records, which no server changes."""
    return Zones(ZONES)


class Pair:
    """alice, 10.0.0.1 and fd00::1, and bob, 10.0.0.2 and fd00::2, with a DNS server."""

    def __init__(self, seed: int = 3, **link: Any) -> None:
        self.world = World(seed=seed)
        self.alice = self.world.host("alice", address=["10.0.0.1/24", "fd00::1/64"])
        self.bob = self.world.host("bob", address=["10.0.0.2/24", "fd00::2/64"])
        self.world.link(self.alice, self.bob, **({"bandwidth": "100Mbit/s", "delay": "1ms"} | link))
        self.server = DnsServer(self.bob.stack, zones())
        self.bob.applications.append(self.server)
        self.world.run("2s", until=lambda: self.alice.stack.is_link_up and self.bob.stack.is_link_up)


@pytest.fixture
def make_pair() -> type[Pair]:
    return Pair


@pytest.fixture
def pair() -> Pair:
    return Pair()
