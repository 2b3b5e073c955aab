"""Names that nobody knows, hosts that do not answer or go away, peers that are slow: in virtual time, with bounds."""

import asyncio
import errno
import hashlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
import anthropic
import dns.rcode
import httpx
import openai
import pytest
import websockets
from aiohttp import web
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from motenet.apps.dns import faults
from motenet.sim.world import World

SECOND = 1_000_000_000
Visit = Callable[[str], Awaitable[Any]]


async def by_streams(url: str) -> bytes:
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port or 80))
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        return await reader.read()
    finally:
        writer.transport.abort()


async def by_httpx(url: str) -> str:
    async with httpx.AsyncClient(timeout=None) as client:
        return (await client.get(url)).text


async def by_aiohttp(url: str) -> str:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout()) as session, session.get(url) as answer:
        return await answer.text()


async def by_websockets(url: str) -> Any:
    async with websockets.connect(url.replace("http", "ws"), open_timeout=None) as client:
        return await client.recv()


async def by_openai(url: str) -> Any:
    async with openai.AsyncOpenAI(api_key="k", base_url=url, max_retries=0, timeout=None) as client:
        return await client.models.list()


async def by_anthropic(url: str) -> Any:
    async with anthropic.AsyncAnthropic(api_key="k", base_url=url, max_retries=0, timeout=None) as client:
        return await client.models.list()


CLIENTS: dict[str, Visit] = {
    "streams": by_streams,
    "httpx": by_httpx,
    "aiohttp": by_aiohttp,
    "websockets": by_websockets,
    "openai": by_openai,
    "anthropic": by_anthropic,
}
RAISED = {
    "httpx": httpx.ConnectError,
    "openai": openai.APIConnectionError,
    "anthropic": anthropic.APIConnectionError,
}


async def attempt(visit: Visit, url: str) -> Exception:
    try:
        result = await visit(url)
    except Exception as error:
        return error
    raise AssertionError(f"nothing was raised, but {result!r} returned")


def attempts(lab: Any, url: str) -> dict[str, Exception]:
    """What all clients raise, who ask at once."""

    async def go() -> list[Exception]:
        return await asyncio.gather(*[attempt(visit, url) for visit in CLIENTS.values()])

    errors = dict(zip(CLIENTS, lab.alice.run(go()), strict=True))
    for library, kind in RAISED.items():
        assert type(errors[library]) is kind
    return errors


def name_error(error: BaseException | None) -> socket.gaierror | None:
    """What getaddrinfo has raised."""
    while error is not None and not isinstance(error, socket.gaierror):
        error = error.__cause__ or error.__context__
    return error


# --- names


@pytest.mark.parametrize(
    ("name", "fault", "number", "seconds"),
    [
        ("nobody.example.test", None, socket.EAI_NONAME, 1),
        ("bob.example.test", faults.rcode(dns.rcode.SERVFAIL), socket.EAI_AGAIN, 30),
        ("bob.example.test", faults.drop, socket.EAI_AGAIN, 30),
        ("bob.example.test", faults.rcode(dns.rcode.REFUSED), socket.EAI_AGAIN, 30),
        ("another.zone", None, socket.EAI_AGAIN, 1),
    ],
)
def test_a_name_that_leads_nowhere(lab: Any, name: str, fault: Any, number: int, seconds: int) -> None:
    lab.names.fault = lambda request: fault
    began = lab.world.now
    errors = attempts(lab, f"http://{name}")
    assert lab.world.now - began < seconds * SECOND
    causes = {library: name_error(error) for library, error in errors.items()}
    assert {library: cause.errno for library, cause in causes.items() if cause} == dict.fromkeys(CLIENTS, number)
    assert type(errors["streams"]) is socket.gaierror
    assert isinstance(errors["aiohttp"], aiohttp.ClientConnectorDNSError)


@pytest.mark.parametrize("servers", [["10.0.0.77"], ["10.0.0.1"], []])
def test_no_name_server(lab: Any, servers: list[str]) -> None:
    """It does not exist, or nobody listens there, or there is none."""
    lab.alice.stack.dns_servers = servers
    began = lab.world.now
    errors = attempts(lab, "http://bob.example.test")
    assert lab.world.now - began < 30 * SECOND
    assert type(errors["streams"]) is socket.gaierror
    assert errors["streams"].errno == socket.EAI_AGAIN


# --- hosts


@pytest.mark.parametrize("url", ["http://10.0.0.77", "http://[fd00::77]"])
def test_nobody_at_that_address(lab: Any, url: str) -> None:
    """RFC 4861, 7.2.2: three questions a second apart go unanswered; so of ARP."""
    began = lab.world.now
    if "[" not in url:
        error = attempts(lab, url)["aiohttp"]
    else:
        error = lab.alice.run(attempt(by_aiohttp, url))
    assert 3 * SECOND <= lab.world.now - began < 4 * SECOND
    assert isinstance(error, aiohttp.ClientConnectorError)
    assert error.errno == errno.EHOSTUNREACH


class Routed:
    """alice behind a router, which knows no way to 10.9.0.0/16, and sends 10.8.0.0/16 to bob, who drops it."""

    def __init__(self) -> None:
        self.world = World(seed=3)
        self.alice = self.world.host("alice", address="10.0.0.1/24", gateway="10.0.0.254")
        self.router = self.world.host("router", address="10.0.0.254/24", forwarding=True)
        self.world.link(self.alice, self.router, delay="1ms")
        self.router.plug("e1000", address="10.1.0.254/24")
        self.bob = self.world.host("bob", address="10.1.0.2/24", gateway="10.1.0.254")
        self.world.link(self.router, self.bob, delay="1ms")
        self.router.stack.add_route("10.8.0.0/16", "10.1.0.2")
        self.world.run("3s")


def test_a_router_that_knows_no_way() -> None:
    """ICMP's "network unreachable" ends the attempt at once (tcp(7), as Linux has it)."""
    place = Routed()
    began = place.world.now
    errors = attempts(place, "http://10.9.0.1")
    assert place.world.now - began < SECOND // 10
    assert isinstance(errors["streams"], OSError)
    assert errors["streams"].errno in (errno.ENETUNREACH, errno.EHOSTUNREACH)
    place.world.close()


def test_a_router_that_drops() -> None:
    """Nothing is heard: clients' own timeouts, or TCP's: RFC 9293, MUST-22, has it try for 3 minutes at least."""
    place = Routed()
    began = place.world.now

    async def impatient() -> list[Exception]:
        async with httpx.AsyncClient(timeout=3) as client, aiohttp.ClientSession() as session:
            wait = aiohttp.ClientTimeout(sock_connect=3)
            return await asyncio.gather(
                attempt(client.get, "http://10.8.0.1"),
                attempt(partial(session.get, timeout=wait), "http://10.8.0.1"),
                attempt(partial(websockets.connect, open_timeout=3), "ws://10.8.0.1"),
            )

    kinds = [type(error) for error in place.alice.run(impatient())]
    assert kinds == [httpx.ConnectTimeout, aiohttp.ConnectionTimeoutError, TimeoutError]
    assert place.world.now - began == 3 * SECOND
    error = place.alice.run(attempt(by_streams, "http://10.8.0.1"))
    assert isinstance(error, TimeoutError)
    assert error.errno == errno.ETIMEDOUT
    assert 180 * SECOND < place.world.now - began < 400 * SECOND
    assert not place.world.loop.transports
    place.world.close()


@pytest.mark.parametrize("kind", [openai.AsyncOpenAI, anthropic.AsyncAnthropic])
def test_the_sdks_own_patience(lab: Any, kind: Any) -> None:
    """Ten minutes, three times, and at most 0.5 s and 1 s between: what they do unless told otherwise."""

    @asynccontextmanager
    async def silence() -> AsyncIterator[None]:
        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(listen, None, 80)
        yield
        server.close()

    lab.start(silence())
    lab.count()

    async def ask() -> Any:
        async with kind(api_key="k", base_url="http://10.0.0.2") as client:
            return await client.models.list()

    began = lab.world.now
    with pytest.raises((openai.APITimeoutError, anthropic.APITimeoutError)):
        lab.alice.run(ask())
    assert 1800 * SECOND < lab.world.now - began < 1803 * SECOND
    assert lab.connections == 3


# --- in the middle


async def endless(request: Request) -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        while True:
            yield b"data: x\n\n"
            await asyncio.sleep(0.1)

    return StreamingResponse(pieces(), media_type="text/event-stream")


ENDLESS = Starlette(routes=[Route("/", endless), Route("/quick", lambda request: PlainTextResponse("quick"))])


async def read_by_httpx(url: str) -> None:
    async with httpx.AsyncClient(timeout=2) as client, client.stream("GET", url) as answer:
        async for _ in answer.aiter_bytes():
            pass


async def read_by_aiohttp(url: str) -> None:
    timeout = aiohttp.ClientTimeout(sock_read=2)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
        async for _ in answer.content:
            pass


READERS = {read_by_httpx: httpx.ReadTimeout, read_by_aiohttp: aiohttp.SocketTimeoutError}


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("how", ["host.stop", "unplug"])
def test_silence_in_the_middle_ends_by_the_clients_timeout(lab: Any, how: str, read: Visit) -> None:
    lab.serve(ENDLESS, timeout_graceful_shutdown=1)
    reading = lab.alice.spawn(attempt(read, "http://10.0.0.2/"))
    lab.world.run("1s")
    began = lab.world.now
    lab.bob.stop() if how == "host.stop" else lab.link.unplug()
    error = lab.world.run(until=reading)
    assert type(error) is READERS[read]
    assert 1.8 * SECOND < lab.world.now - began < 2.1 * SECOND
    lab.bob.start() if how == "host.stop" else lab.link.replug()


def test_a_download_goes_on_when_the_cable_is_put_back(lab: Any) -> None:
    data = bytes(range(256)) * 8000

    async def give(request: Request) -> PlainTextResponse:
        return PlainTextResponse(data)

    lab.serve(Starlette(routes=[Route("/", give)]))

    async def fetch() -> bytes:
        async with httpx.AsyncClient(timeout=60) as client:
            return (await client.get("http://10.0.0.2/")).content

    fetching = lab.alice.spawn(fetch())
    lab.world.run("5ms")
    lab.link.unplug()
    lab.world.run("5s")
    assert not fetching.done()
    lab.link.replug()
    assert hashlib.sha256(lab.world.run(until=fetching)).digest() == hashlib.sha256(data).digest()


# --- slow


@asynccontextmanager
async def aiohttp_server() -> AsyncIterator[int]:
    async def quick(request: web.Request) -> web.Response:
        return web.Response(text="quick")

    app = web.Application()
    app.add_routes([web.get("/quick", quick)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, port=80).start()
    yield 80
    await runner.cleanup()


@pytest.mark.parametrize("server", ["uvicorn", "aiohttp"])
def test_slow_loris_keeps_nobody_else_from_being_served(lab: Any, server: str) -> None:
    """Thirty clients who send a header's letter a second; neither server limits that by itself."""
    lab.serve(ENDLESS) if server == "uvicorn" else lab.start(aiohttp_server())

    async def loris() -> None:
        _, writer = await asyncio.open_connection("10.0.0.2", 80)
        writer.write(b"GET /quick HTTP/1.1\r\nX-Slow: ")
        for _ in range(30):
            writer.write(b"x")
            await asyncio.sleep(1)
        writer.close()
        await writer.wait_closed()

    slow = [lab.alice.spawn(loris()) for _ in range(30)]
    lab.world.run("10s")
    began = lab.world.now
    assert lab.alice.run(by_httpx("http://10.0.0.2/quick")) == "quick"
    assert lab.world.now - began < SECOND // 50
    states = [row["state"] for row in lab.bob.stack.list_sockets() if row["local"].endswith(":80")]
    assert states.count("ESTABLISHED") >= 30
    lab.world.run("60s", until=asyncio.wait(slow))
    lab.world.run("2s")
    states = [row["state"] for row in lab.bob.stack.list_sockets() if row["local"].endswith(":80")]
    assert "ESTABLISHED" not in states
    assert "CLOSE-WAIT" not in states


@pytest.mark.parametrize("server", ["uvicorn", "aiohttp"])
def test_a_header_without_end_is_refused(lab: Any, server: str) -> None:
    """RFC 6585, 5, would have 431; these say 400."""
    lab.serve(ENDLESS) if server == "uvicorn" else lab.start(aiohttp_server())

    async def visit() -> bytes:
        reader, writer = await asyncio.open_connection("10.0.0.2", 80)
        writer.write(b"GET /quick HTTP/1.1\r\nX-Long: ")
        answer = asyncio.create_task(reader.readline())
        for _ in range(100):
            if not answer.done():
                writer.write(b"x" * 1000)
                await asyncio.sleep(0.01)
        writer.transport.abort()
        return await answer

    assert lab.alice.run(visit()).split()[1] == b"400"


def test_a_slow_reader_holds_up_the_writer_and_nobody_else(lab: Any) -> None:
    """Flow control reaches the application: what a server has written and nobody read stays bounded."""
    written = 0

    async def give(request: Request) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            nonlocal written
            for _ in range(200):
                yield bytes(10_000)
                written += 10_000

        return StreamingResponse(pieces())

    lab.serve(Starlette(routes=[*ENDLESS.routes, Route("/big", give)]))

    async def read_slowly() -> int:
        reader, writer = await asyncio.open_connection("10.0.0.2", 80)
        writer.write(b"GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await asyncio.sleep(60)
        length = len(await reader.read())
        writer.close()
        await writer.wait_closed()
        return length

    reading = lab.alice.spawn(read_slowly())
    lab.world.run("30s")
    assert 200_000 < written < 1_000_000
    assert lab.alice.run(by_httpx("http://10.0.0.2/quick")) == "quick"
    assert lab.world.run(until=reading) > 2_000_000
    assert written == 2_000_000
