"""uvicorn on an emulated host: it listens when `serve` returns, keeps still when nobody asks, and ends when told to."""

import asyncio
import logging
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect

from motenet import World
from motenet.apps import sealed
from motenet.apps.asgi import AsgiServer, StartupFailed, serve
from motenet.core.errors import ConfigurationError
from motenet.sim.aio import Deadlock

FILE = Path(__file__)


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


def blocking(request: Request) -> Response:
    """Synchronous: Starlette has it in a thread."""
    return PlainTextResponse("from no thread")


async def slow(request: Request) -> Response:
    await asyncio.sleep(3)
    return PlainTextResponse("late")


async def old(request: Request) -> Response:
    return PlainTextResponse("", headers={"Date": "Sun, 06 Nov 1994 08:49:37 GMT"})


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(await socket.receive_text())
    await socket.close()


def application(**options: Any) -> Starlette:
    return Starlette(
        routes=[
            Route("/", hello),
            Route("/blocking", blocking),
            Route("/slow", slow),
            Route("/old", old),
            Route("/file", lambda request: FileResponse(FILE)),
            Mount("/files", StaticFiles(directory=FILE.parent)),
            WebSocketRoute("/echo", echo),
        ],
        **options,
    )


class Pair:
    """alice, and bob on whom something is served."""

    def __init__(self) -> None:
        self.world = World(seed=5)
        self.alice = self.world.host("alice", address="10.0.0.1/24")
        self.bob = self.world.host("bob", nic="rtl8139", address=["10.0.0.2/24", "10.0.0.3/24"])
        self.world.link(self.alice, self.bob, bandwidth="100Mbit/s", delay="1ms")
        self.servers: list[AsgiServer] = []

    def serve(self, app: Any = None, *args: Any, **options: Any) -> AsgiServer:
        self.servers.append(self.bob.run(serve(app or application(), *args, **options)))
        return self.servers[-1]

    def get(self, url: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(timeout=30, **options) as client:
                return await client.get(url)

        return self.alice.run(ask())


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    for server in pair.servers:
        pair.bob.run(server.stop())
    pair.world.run("10s")
    assert pair.world.loop.tasks == []
    pair.world.close()


def test_an_application(pair: Pair) -> None:
    pair.serve()
    response = pair.get("http://10.0.0.2/")
    assert (response.status_code, response.text, response.headers["server"]) == (200, "hello", "uvicorn")


def test_a_synchronous_endpoint_takes_no_time(pair: Pair) -> None:
    pair.serve()
    pair.get("http://10.0.0.2/")
    before = pair.world.now
    assert pair.get("http://10.0.0.2/blocking").text == "from no thread"
    assert pair.world.now - before < 10_000_000  # two round trips of 2 ms each


@pytest.mark.parametrize("path", ["/file", f"/files/{FILE.name}"])
def test_files(pair: Pair, path: str) -> None:
    pair.serve()
    assert pair.get(f"http://10.0.0.2{path}").text == FILE.read_text()


def test_websockets(pair: Pair) -> None:
    async def talk() -> str | bytes:
        async with connect("ws://10.0.0.2/echo") as connection:
            await connection.send("hey")
            return await connection.recv()

    pair.serve()
    assert pair.alice.run(talk()) == "hey"


def test_it_is_stopped_while_a_websocket_closes(pair: Pair) -> None:
    """The client is done as soon as it has the server's close_notify, for which the server has no answer by then."""
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("10.0.0.2").configure_cert(ours)
    authority.configure_trust(theirs)
    server = pair.serve(ssl_context=ours)

    async def talk() -> str | bytes:
        async with connect("wss://10.0.0.2/echo", ssl=theirs) as connection:
            await connection.send("hey")
            return await connection.recv()

    assert pair.alice.run(talk()) == "hey"
    assert len(server.server_state.connections) == 1
    pair.bob.run(server.stop())
    assert not server.server_state.connections


def test_a_program_that_ends_without_stopping_it_is_no_failure() -> None:
    """Starlette calls each end of its lifespan but the orderly one a failure, and uvicorn logs its traceback."""
    program = """
import motenet
from motenet.apps.asgi import serve
from starlette.applications import Starlette

motenet.World().host("bob", address="10.0.0.2/24").run(serve(Starlette()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_it_listens_at_one_address(pair: Pair) -> None:
    pair.serve(None, 8080, "10.0.0.3")
    assert pair.get("http://10.0.0.3:8080/").text == "hello"
    with pytest.raises(httpx.ConnectError):
        pair.get("http://10.0.0.2:8080/")


def test_any_free_port(pair: Pair) -> None:
    port = pair.serve(None, 0).port
    assert port >= 1024
    assert pair.get(f"http://10.0.0.2:{port}/").text == "hello"


def test_tls_by_a_context(pair: Pair) -> None:
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("10.0.0.2").configure_cert(ours)
    authority.configure_trust(theirs)
    assert pair.serve(ssl_context=ours).port == 443
    assert pair.get("https://10.0.0.2/", verify=theirs).text == "hello"


def test_tls_by_files(pair: Pair, tmp_path: Path) -> None:
    authority, theirs = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(theirs)
    made = authority.issue_cert("10.0.0.2")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    key.write_bytes(made.private_key_pem.bytes())
    pair.serve(certificate=str(chain), key=str(key))
    assert pair.get("https://10.0.0.2/", verify=theirs).text == "hello"


def test_a_name_is_no_application(pair: Pair) -> None:
    """uvicorn's own command line takes "module:app", and would answer each request with 500."""
    with pytest.raises(ConfigurationError, match="'module:app' is no ASGI application"):
        pair.bob.run(serve("module:app"))  # type: ignore[arg-type]


def test_both_are_too_much(pair: Pair) -> None:
    with pytest.raises(ConfigurationError, match="not both"):
        pair.bob.run(serve(application(), ssl_context=ssl.create_default_context(), certificate="x.pem"))


def test_each_response_has_its_date(pair: Pair) -> None:
    """RFC 9110, 6.6.1: when the message was made."""
    pair.serve()
    with sealed():
        for seconds in (0, 100):
            pair.world.run(f"{seconds}s")
            date = parsedate_to_datetime(pair.get("http://10.0.0.2/").headers["date"])
            assert date.timestamp() == 946_684_800 + pair.world.now // 10**9
    assert pair.get("http://10.0.0.2/old").headers.get_list("date") == ["Sun, 06 Nov 1994 08:49:37 GMT"]


def test_it_keeps_still_when_nobody_asks(pair: Pair) -> None:
    """uvicorn's own tick would go on for ever, so that nobody would learn that nothing can happen any more."""

    async def wait() -> None:
        await asyncio.Event().wait()

    pair.serve()
    with pytest.raises(Deadlock, match="wait"):
        pair.alice.run(wait())


def test_the_processs_signals_are_left_alone(pair: Pair) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    pair.serve()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_stopping_lets_requests_end(pair: Pair) -> None:
    server = pair.serve()
    asked = pair.alice.spawn(_get("http://10.0.0.2/slow"))
    pair.world.run("1s")
    pair.bob.run(server.stop())
    assert asked.result() == "late"
    with pytest.raises(httpx.ConnectError):
        pair.get("http://10.0.0.2/")


async def _get(url: str) -> str:
    async with httpx.AsyncClient() as client:
        return (await client.get(url)).text


def test_stopping_twice_is_no_mistake(pair: Pair) -> None:
    server = pair.serve()
    for _ in range(2):
        pair.bob.run(server.stop())
        with pytest.raises(httpx.ConnectError):
            pair.get("http://10.0.0.2/")


def test_as_a_context(pair: Pair) -> None:
    async def briefly() -> bool:
        async with await serve(application()) as server:
            return server.started

    assert pair.bob.run(briefly()) is True
    with pytest.raises(httpx.ConnectError):
        pair.get("http://10.0.0.2/")


def test_somebody_may_wait_for_its_end(pair: Pair) -> None:
    server = pair.serve()
    waiting = pair.bob.spawn(server.ended())
    pair.world.run("1s")
    assert not waiting.done()
    pair.bob.run(server.stop())
    pair.world.run("1s")
    assert waiting.done()


def test_the_lifespan(pair: Pair) -> None:
    said: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        said.append("up")
        yield
        said.append("down")

    server = pair.serve(application(lifespan=lifespan))
    assert said == ["up"]
    pair.bob.run(server.stop())
    assert said == ["up", "down"]


def test_an_application_that_cannot_start(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        raise ZeroDivisionError
        yield

    with caplog.at_level(logging.ERROR), pytest.raises(StartupFailed, match="log"):
        pair.bob.run(serve(application(lifespan=lifespan)))
    assert "ZeroDivisionError" in caplog.text
    with pytest.raises(httpx.ConnectError):
        pair.get("http://10.0.0.2/")


def test_a_port_that_is_taken(pair: Pair) -> None:
    pair.serve()
    with pytest.raises(OSError, match="in use"):
        pair.bob.run(serve(application()))


def test_an_error_of_the_application_is_a_500(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            raise ZeroDivisionError

    pair.serve(broken)
    assert pair.get("http://10.0.0.2/").status_code == 500
    assert "ZeroDivisionError" in caplog.text
