"""Two hosts with names and certificates on which libraries run as they come, and the same on the real loopback."""

import asyncio
import gc
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import cache
from typing import Any

import pytest
import trustme
import uvicorn
from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether

from motenet.apps.dns import DnsServer
from motenet.core.trace import Event, FramePassed
from motenet.sim.aio.facade import stand_ins
from motenet.sim.world import World

NAME = "bob.example.test"

stand_ins()  # three descriptors that stay, however many connections there are


@cache
def authority() -> trustme.CA:
    """Whom both hosts trust."""
    return trustme.CA()


@cache
def server_tls(*names: str, client: bool = False) -> ssl.SSLContext:
    """A server's context with a certificate for these names; `client`: it wants one of its clients too."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    authority().issue_cert(*names or (NAME, "10.0.0.2", "fd00::2", "127.0.0.1")).configure_cert(context)
    if client:
        authority().configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


@cache
def client_tls(trusting: bool = True) -> ssl.SSLContext:
    """A client's context, which trusts our authority or only those that everybody does."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if trusting:
        authority().configure_trust(context)
    return context


@asynccontextmanager
async def serving(
    app: Any, host: str, port: int, tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[int]:
    """uvicorn as it comes, with an application; gives its port."""
    if tls is not None:
        options["ssl_context_factory"] = lambda config, default: tls
    config = uvicorn.Config(app, host=host, port=port, log_config=None, **options)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started and not task.done():
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


Service = Callable[[str], AbstractAsyncContextManager[int]]
"""Serves at an address while the context is open, and gives the port."""
Visit = Callable[[str, int], Awaitable[Any]]
"""What a client does with an address and a port."""


class Lab:
    """alice, 10.0.0.1 and fd00::1, and bob, 10.0.0.2 and fd00::2, whose name alice gets from bob's DNS server."""

    def __init__(self, nic: str = "e1000", **link: Any) -> None:
        self.world = World(seed=7)
        self.alice = self.world.host("alice", nic=nic, address=["10.0.0.1/24", "fd00::1/64"])
        self.bob = self.world.host("bob", nic=nic, address=["10.0.0.2/24", "fd00::2/64"])
        self.link = self.world.link(self.alice, self.bob, **{"bandwidth": "1Gbit/s", "delay": "1ms"} | link)
        zone = {"bob": ["10.0.0.2", "fd00::2"], "old": "10.0.0.2", "six": "fd00::2"}
        self.names = DnsServer(self.bob.stack, {"example.test": zone})
        self.bob.applications.append(self.names)
        self.alice.stack.dns_servers = ["10.0.0.2"]
        self.opened: dict[tuple[str, int], None] = {}
        self.open: list[AbstractAsyncContextManager[Any]] = []
        self.world.run("3s")  # the cards negotiate

    def count(self) -> None:
        """Count connections from now on."""
        self.opened.clear()
        self.world.unwatch(self._count)
        self.world.watch(self._count, self.bob)

    def start(self, service: AbstractAsyncContextManager[Any]) -> Any:
        """Run a service on bob until the end."""
        entered = self.bob.run(service.__aenter__())
        self.open.append(service)
        return entered

    def serve(self, app: Any, port: int = 80, tls: ssl.SSLContext | None = None, **options: Any) -> Any:
        """uvicorn on bob until the end, at all addresses; gives the port."""
        return self.start(serving(app, "", port, tls, **options))

    def _count(self, event: Event) -> None:
        """Scapy reads what bob's port receives."""
        if isinstance(event, FramePassed) and event.direction == "rx" and event.path == self.bob.port.path:
            frame = Ether(event.frame)
            if TCP in frame and frame[TCP].flags == "S":
                self.opened[frame.payload.src, frame[TCP].sport] = None

    @property
    def connections(self) -> int:
        """How many connections alice has tried to open to bob, since `count`."""
        return len(self.opened)

    def end(self) -> None:
        """End the services; nothing may be left behind."""
        self.world.run("5s")  # uvicorn fails to stop while a WebSocket is half closed
        for service in reversed(self.open):
            self.bob.run(service.__aexit__(None, None, None))
        self.world.run("10s")
        loop = self.world.loop
        assert (loop.tasks, list(loop.transports), list(loop.servers)) == ([], [], [])
        self.world.close()


def descriptors() -> int:
    """How many this process has."""
    return len(os.listdir("/proc/self/fd"))


@contextmanager
def nothing_left() -> Iterator[None]:
    before = descriptors()
    yield
    if descriptors() != before:
        gc.collect()  # an exception that was caught may still have hold of a connection
    assert descriptors() == before


@pytest.fixture
def make_lab() -> Iterator[Callable[..., Lab]]:
    """Makes labs; at the end of a test that has passed nothing may be left of them."""
    labs: list[Lab] = []

    def make(*args: Any, **options: Any) -> Lab:
        labs.append(Lab(*args, **options))
        return labs[-1]

    with nothing_left():
        yield make
        for lab in labs:
            lab.end()


@pytest.fixture
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab()


@pytest.fixture
def tls() -> tuple[Any, Any]:
    """Makers of contexts: the server's, the client's."""
    return server_tls, client_tls
