"""A thousand connections at a time, between 48 clients and 2 servers on a switch."""

import asyncio
from typing import Any

import pytest

from motenet.sim.world import World

CLIENTS, CONNECTIONS = 48, 1000
SECOND = 1_000_000_000
SERVERS = ("10.0.1.1", "10.0.1.2")


class Town:
    """All on one switch; the servers echo."""

    def __init__(self) -> None:
        self.world = World(seed=1)
        lan = self.world.switch("lan")
        places = [*SERVERS, *(f"10.0.0.{number + 1}" for number in range(CLIENTS))]
        hosts = [self.world.host(f"h{number}", "virtio-net", f"{place}/16") for number, place in enumerate(places)]
        for host in hosts:
            self.world.link(host, lan, bandwidth="1Gbit/s", delay="50us")
        self.servers, self.clients = hosts[:2], hosts[2:]
        self.here = 0
        self.most = 0
        self.everyone = asyncio.Event()
        for server in self.servers:
            server.run(self.serve())

    async def serve(self) -> None:
        await asyncio.start_server(self.echo, None, 7)

    async def echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.here += 1
        self.most = max(self.most, self.here)
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()
        await writer.wait_closed()
        self.here -= 1

    async def visit(self, number: int) -> bytes:
        """Two exchanges, the second once all have had their first."""
        reader, writer = await asyncio.open_connection(SERVERS[number % 2], 7)
        writer.write(b"%06d" % number)
        first = await reader.readexactly(6)
        if self.here == CONNECTIONS:
            self.everyone.set()
        await self.everyone.wait()
        writer.write(b"%06d" % -number)
        second = await reader.readexactly(6)
        writer.close()
        await writer.wait_closed()
        return first + second


@pytest.fixture(scope="module")
def town() -> Any:
    return Town()


def test_all_run_to_completion_at_the_same_time(town: Any) -> None:
    """As with Linux's SYN cookies a backlog of 100, asyncio's own, keeps none of those out who come at once."""
    world, began = town.world, town.world.now
    tasks = [town.clients[number % CLIENTS].spawn(town.visit(number)) for number in range(CONNECTIONS)]
    world.run("120s", until=asyncio.wait(tasks))
    assert world.now - began < SECOND
    assert [task.result() for task in tasks] == [b"%06d%06d" % (number, -number) for number in range(CONNECTIONS)]
    assert town.most == CONNECTIONS
    world.run("120s")
    assert (town.here, list(world.loop.transports), world.loop.tasks) == (0, [], [])
    sockets = [row["state"] for host in world.hosts.values() for row in host.stack.list_sockets()]
    assert sockets == ["LISTEN", "LISTEN"]
    world.close()
