"""The same coroutines on two emulated hosts and on the real loopback: what asyncio itself does is the oracle.

A test that takes `net` runs on each; what it expects is then true of both.
"""

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import trustme

import motenet

CARDS = ["e1000", "rtl8139", "virtio-net"]


class Mistake(Exception):
    """What a protocol of a test raises."""


class Recorder(asyncio.Protocol):
    """Writes down what it is told. `fails`: the method that raises Mistake; `keeps`: what eof_received returns."""

    def __init__(self, *, keeps: bool = False, fails: str = "") -> None:
        self.log: list[Any] = []
        self.data = bytearray()
        self.transport: Any = None
        self.keeps, self.fails = keeps, fails
        self.made: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def _tell(self, event: Any, method: str) -> None:
        self.log.append(event)
        if method == self.fails:
            raise Mistake(method)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.made.set_result(None)
        self._tell("made", "connection_made")

    def data_received(self, data: bytes) -> None:
        self.data += data
        if self.log[-1] != "data":
            self._tell("data", "data_received")

    def eof_received(self) -> bool:
        self._tell("eof", "eof_received")
        return self.keeps

    def pause_writing(self) -> None:
        self._tell("pause", "pause_writing")

    def resume_writing(self) -> None:
        self._tell("resume", "resume_writing")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)
        self._tell(describe(exc), "connection_lost")


def describe(error: BaseException | None) -> Any:
    """An exception's type and number, to be compared."""
    return None if error is None else (type(error).__name__, getattr(error, "errno", None))


class Net:
    """A client's and a server's machine; for the real loopback both are this one."""

    Recorder, Mistake, describe = Recorder, Mistake, staticmethod(describe)

    def __init__(self, kind: str, **link: Any) -> None:
        self.real = kind == "real"
        self.mistakes: list[dict[str, Any]] = []
        """What the loop's exception handler was told."""
        self.servers: list[Any] = []
        self.address, self.address6, self.unused = "127.0.0.1", "::1", "127.0.0.9"
        if not self.real:
            self.address, self.address6, self.unused = "10.0.0.2", "fd00::2", "10.0.0.9"
            self.world = motenet.World(seed=3)
            self.alice = self.world.host("alice", nic=kind, address=["10.0.0.1/24", "fd00::1/64"])
            self.bob = self.world.host("bob", nic=kind, address=["10.0.0.2/24", "fd00::2/64"])
            self.world.link(self.alice, self.bob, **({"bandwidth": "1Gbit/s", "delay": "50us"} | link))

    def run(self, client: Coroutine[Any, Any, Any], limit: float = 20) -> Any:
        """Run a coroutine on the client's machine, for so many seconds at most."""

        async def bounded() -> Any:
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda loop, context: self.mistakes.append(context))
            try:
                async with asyncio.timeout(limit):
                    return await client
            finally:
                if self.real:
                    await self._tidy_up(loop)

        return asyncio.run(bounded()) if self.real else self.alice.run(bounded())

    async def _tidy_up(self, loop: Any) -> None:
        """A real loop's connections do not end with it."""
        for transport in [*self.servers, *loop._transports.values()]:
            if transport._loop is not None:  # else it is over
                getattr(transport, "abort", transport.close)()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def there(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the server's machine, and wait for it."""
        return await (coroutine if self.real else self.bob.spawn(coroutine))

    async def serve(self, factory: Callable[[], Any], host: Any = "", port: int = 0, **options: Any) -> Any:
        """A server on the server's machine."""
        loop = asyncio.get_running_loop()
        self.servers.append(await self.there(loop.create_server(factory, host or self.address, port, **options)))
        return self.servers[-1]

    async def stream_server(self, handler: Callable[..., Any], **options: Any) -> int:
        """The port of a server whose connections are (reader, writer)."""
        self.servers.append(await self.there(asyncio.start_server(handler, self.address, 0, **options)))
        return int(self.servers[-1].sockets[0].getsockname()[1])

    async def pair(self, client: Any, server: Any, **options: Any) -> tuple[Any, Any]:
        """A connection of two protocols; returns both transports."""
        listening = await self.serve(lambda: server)
        port = listening.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: client, self.address, port, **options)
        while server.transport is None:
            await asyncio.sleep(0.001)
        listening.close()
        return transport, server.transport

    def close(self) -> None:
        if not self.real:
            self.world.close()


@pytest.fixture(params=["emulated", "real"])
def net(request: pytest.FixtureRequest) -> Iterator[Net]:
    """Two machines. Parametrized with a card's name, or a dictionary of a link's faults, they are emulated with it."""
    if isinstance(request.param, dict):
        found = Net("e1000", **request.param)
    else:
        found = Net("e1000" if request.param == "emulated" else request.param)
    yield found
    found.close()


class Authority:
    """A certificate authority, and contexts of both sides."""

    def __init__(self) -> None:
        self.ca = trustme.CA()
        names = ("bob.test", "10.0.0.2", "127.0.0.1", "fd00::2")
        self.certificate = self.ca.issue_cert(*names)

    def server(self, certificate: trustme.LeafCert | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        (certificate or self.certificate).configure_cert(context)
        return context

    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        return context


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()
