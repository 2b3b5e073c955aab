"""WebSockets (RFC 6455) between websockets, aiohttp and uvicorn on an emulated network."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import websockets
from aiohttp import web
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK

PLACE = "ws://10.0.0.2"
SECOND = 1_000_000_000
MEGABYTE = bytes(range(256)) * 4096


@asynccontextmanager
async def with_websockets(closed: list[int | None]) -> AsyncIterator[None]:
    """Sends back what it gets; "close CODE" has it close."""

    async def echo(socket: ServerConnection) -> None:
        try:
            async for message in socket:
                if isinstance(message, str) and message.startswith("close"):
                    await socket.close(int(message.split()[1]), "as told")
                    return
                await socket.send(message)
        finally:
            await socket.wait_closed()
            closed.append(socket.close_code)

    async with websockets.serve(echo, None, 80, max_size=2 << 20, ping_interval=None):
        yield


@asynccontextmanager
async def with_aiohttp(closed: list[int | None]) -> AsyncIterator[None]:
    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=2 << 20)
        await socket.prepare(request)
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                await socket.send_bytes(message.data)
            elif message.data.startswith("close"):
                await socket.close(code=int(message.data.split()[1]), message=b"as told")
            else:
                await socket.send_str(message.data)
        closed.append(socket.close_code)
        return socket

    app = web.Application()
    app.add_routes([web.get("/", echo)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, port=80).start()
    yield
    await runner.cleanup()


def starlette(closed: list[int | None]) -> Starlette:
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        try:
            while True:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    closed.append(message["code"])
                    return
                text, data = message.get("text"), message.get("bytes")
                if text is not None and text.startswith("close"):
                    await socket.close(int(text.split()[1]), "as told")
                elif text is not None:
                    await socket.send_text(text)
                else:
                    await socket.send_bytes(data or b"")
        except (WebSocketDisconnect, RuntimeError):
            closed.append(1000)

    return Starlette(routes=[WebSocketRoute("/", echo)])


SERVERS: dict[str, Callable[[Any, list[int | None]], Any]] = {
    "websockets": lambda lab, closed: lab.start(with_websockets(closed)),
    "aiohttp": lambda lab, closed: lab.start(with_aiohttp(closed)),
    "uvicorn": lambda lab, closed: lab.serve(starlette(closed), ws_max_size=2 << 20),
}
servers = pytest.mark.parametrize("server", SERVERS)


def run(lab: Any, server: str, visit: Callable[[], Awaitable[Any]]) -> list[int | None]:
    """What a client does; gives the codes with which the server saw connections end."""
    closed: list[int | None] = []
    SERVERS[server](lab, closed)
    lab.alice.run(visit())
    lab.world.run("1s")
    return closed


@servers
def test_messages_whole_in_fragments_and_large(lab: Any, server: str) -> None:
    async def visit() -> None:
        async with websockets.connect(PLACE, max_size=2 << 20) as socket:
            for message in ("", "text", b"bytes", "ü" * 70_000, MEGABYTE):
                await socket.send(message)
                assert await socket.recv() == message
            await socket.send(["in ", "three ", "fragments"])
            assert await socket.recv() == "in three fragments"

    assert run(lab, server, visit) == [1000]


@servers
def test_pings_are_answered_between_fragments(lab: Any, server: str) -> None:
    """RFC 6455, 5.4: control frames may come in the middle of a fragmented message."""

    async def visit() -> None:
        async with websockets.connect(PLACE) as socket:

            async def fragments() -> AsyncIterator[str]:
                yield "one "
                latency = await (await socket.ping("are you there"))
                assert 0.002 <= latency < 0.1
                yield "two"

            await socket.send(fragments())
            assert await socket.recv() == "one two"

    run(lab, server, visit)


@servers
def test_close_codes_go_both_ways(lab: Any, server: str) -> None:
    async def theirs() -> None:
        async with websockets.connect(PLACE) as socket:
            await socket.send("close 4001")
            with pytest.raises(ConnectionClosedError) as caught:
                await socket.recv()
            assert caught.value.rcvd is not None
            assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4001, "as told")

    async def ours() -> None:
        async with websockets.connect(PLACE) as socket:
            await socket.close(4002)
            with pytest.raises(ConnectionClosedError):
                await socket.recv()
        async with websockets.connect(PLACE) as socket:
            await socket.close()
            with pytest.raises(ConnectionClosedOK):
                await socket.recv()

    async def visit() -> None:
        await theirs()
        await ours()

    assert run(lab, server, visit)[1:] == [4002, 1000]


@servers
def test_aiohttps_client(lab: Any, server: str) -> None:
    async def visit() -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(PLACE, compress=15) as socket:
            await socket.send_str("text" * 1000)
            assert await socket.receive_str() == "text" * 1000
            await socket.send_bytes(MEGABYTE)
            assert await socket.receive_bytes() == MEGABYTE
            await socket.send_str("close 4003")
            end = await socket.receive()
            assert (end.type, end.data, end.extra) == (aiohttp.WSMsgType.CLOSE, 4003, "as told")

    run(lab, server, visit)


@servers
def test_a_message_that_is_too_large(lab: Any, server: str) -> None:
    """RFC 6455, 7.4.1: 1009."""

    async def visit() -> None:
        async with websockets.connect(PLACE, compression=None) as socket:
            sending = asyncio.create_task(socket.send(MEGABYTE * 2 + b"!"))
            with pytest.raises(ConnectionClosedError) as caught:
                await socket.recv()
            await asyncio.wait([sending])
            assert sending.exception() is None or isinstance(sending.exception(), ConnectionClosedError)
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1009

    run(lab, server, visit)


def test_a_peer_that_answers_no_pings_is_given_up(lab: Any) -> None:
    """websockets' keepalive: a ping each 20 s, and 20 s for its pong; 1011 is what RFC 6455 7.4.1 has for that."""
    closed: list[int | None] = []
    SERVERS["websockets"](lab, closed)

    async def visit() -> int:
        async with websockets.connect(PLACE, close_timeout=1) as socket:
            lab.link.unplug()
            with pytest.raises(ConnectionClosedError) as caught:
                await socket.recv()
            assert caught.value.sent is not None
            assert caught.value.sent.code == 1011
        return int(lab.world.now)

    began = lab.world.now
    assert 40 * SECOND <= lab.alice.run(visit()) - began < 45 * SECOND
    lab.link.replug()
    lab.world.run("300s")


def test_no_websocket_here(lab: Any) -> None:
    lab.serve(Starlette())

    async def visit() -> None:
        async with websockets.connect(PLACE):
            pass

    with pytest.raises(websockets.InvalidStatus, match="403"):
        lab.alice.run(visit())


def test_reconnecting_as_long_as_wanted(lab: Any) -> None:
    """websockets' own loop of connections goes on after a server has gone away and come back."""
    closed: list[int | None] = []
    service = with_websockets(closed)
    lab.bob.run(service.__aenter__())
    heard: list[str] = []

    async def listen() -> None:
        async for socket in websockets.connect(PLACE, ping_interval=None):
            try:
                await socket.send("here")
                heard.append(str(await socket.recv()))
                await socket.recv()
            except websockets.ConnectionClosed:
                if len(heard) == 2:
                    await socket.close()
                    return

    task = lab.alice.spawn(listen())
    lab.world.run("1s")
    lab.bob.run(service.__aexit__(None, None, None))
    lab.world.run("5s")
    lab.start(with_websockets(closed))
    lab.world.run("30s", until=lambda: len(heard) == 2)
    lab.bob.run(lab.open.pop().__aexit__(None, None, None))
    lab.world.run("30s", until=asyncio.wait_for(task, 20))
    assert heard == ["here", "here"]
