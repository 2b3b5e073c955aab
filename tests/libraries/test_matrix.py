"""Each library, as it comes, over each card, plain and by TLS 1.3, to a name, by a link that loses 2 % each way."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import anthropic
import httpx
import openai
import pytest
import websockets
from aiohttp import web
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.server import ServerConnection

from motenet.apps.llm import ModelServer, TokenTiming

CARDS = ("e1000", "rtl8139", "rtl8139cp", "virtio-net")
NAME = "bob.example.test"
DATA = bytes(range(256)) * 800
"""More than a window's worth, so that losses are to be made good."""
DIGEST = hashlib.sha256(DATA).hexdigest()
TOKENS = "Across a card and a cable that loses frames, and back. " * 3


async def receive(request: Request) -> Response:
    digest = hashlib.sha256()
    async for piece in request.stream():
        digest.update(piece)
    return JSONResponse({"digest": digest.hexdigest(), "tls": request.url.is_secure})


async def give(request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(DATA), 10_000):
            yield DATA[start : start + 10_000]

    return StreamingResponse(pieces())


async def shout(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text.upper())
    await socket.close()


APP = Starlette(
    routes=[
        Route("/receive", receive, methods=["POST"]),
        Route("/give", give),
        WebSocketRoute("/shout", shout),
    ]
)


def url(tls: Any, path: str = "", scheme: str = "http") -> str:
    return f"{scheme}{'s' if tls else ''}://{NAME}{path}"


async def with_httpx(tls: ssl.SSLContext | None) -> None:
    async with httpx.AsyncClient(verify=tls or True) as client:
        answer = await client.post(url(tls, "/receive"), content=DATA)
        assert answer.json() == {"digest": DIGEST, "tls": tls is not None}
        assert (await client.get(url(tls, "/give"))).content == DATA


async def with_aiohttp(tls: ssl.SSLContext | None) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls or True)) as session:
        async with session.post(url(tls, "/receive"), data=DATA) as answer:
            assert (await answer.json())["digest"] == DIGEST
        async with session.get(url(tls, "/give")) as answer:
            assert await answer.read() == DATA
        async with session.ws_connect(url(tls, "/shout")) as socket:
            await socket.send_str("abc")
            assert await socket.receive_str() == "ABC"


async def with_websockets(tls: ssl.SSLContext | None) -> None:
    async with websockets.connect(url(tls, "/shout", "ws"), ssl=tls) as socket:
        for word in ("one", "two", "three"):
            await socket.send(word)
            assert await socket.recv() == word.upper()


async def with_openai(tls: ssl.SSLContext | None) -> None:
    async with (
        openai.DefaultAsyncHttpxClient(verify=tls or True) as http,
        openai.AsyncOpenAI(api_key="k", base_url=url(tls, "/v1"), http_client=http, max_retries=0) as client,
    ):
        stream = await client.chat.completions.create(
            model="gpt-test", messages=[{"role": "user", "content": "How far?"}], stream=True
        )
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]) == TOKENS


async def with_anthropic(tls: ssl.SSLContext | None) -> None:
    async with (
        anthropic.DefaultAsyncHttpxClient(verify=tls or True) as http,
        anthropic.AsyncAnthropic(api_key="k", base_url=url(tls), http_client=http, max_retries=0) as client,
        client.messages.stream(
            model="claude-test", max_tokens=999, messages=[{"role": "user", "content": "How far?"}]
        ) as stream,
    ):
        assert "".join([text async for text in stream.text_stream]) == TOKENS


async def aiohttp_receive(request: web.Request) -> web.StreamResponse:
    digest = hashlib.sha256()
    async for piece in request.content.iter_any():
        digest.update(piece)
    return web.json_response({"digest": digest.hexdigest(), "tls": request.secure})


async def aiohttp_give(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for start in range(0, len(DATA), 10_000):
        await response.write(DATA[start : start + 10_000])
    return response


async def aiohttp_shout(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data.upper())
    return socket


@asynccontextmanager
async def aiohttp_server(port: int, tls: ssl.SSLContext | None) -> AsyncIterator[None]:
    app = web.Application()
    app.add_routes(
        [web.post("/receive", aiohttp_receive), web.get("/give", aiohttp_give), web.get("/shout", aiohttp_shout)]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, None, port, ssl_context=tls).start()
    yield
    await runner.cleanup()


@asynccontextmanager
async def websockets_server(port: int, tls: ssl.SSLContext | None) -> AsyncIterator[None]:
    async def shout(socket: ServerConnection) -> None:
        async for text in socket:
            assert isinstance(text, str)
            await socket.send(text.upper())

    async with websockets.serve(shout, None, port, ssl=tls):
        yield


def uvicorn_with(app: Any) -> Callable[[Any, int, ssl.SSLContext | None], Any]:
    return lambda lab, port, tls: lab.serve(app, port, tls)


def model() -> ModelServer:
    return ModelServer(TOKENS, timing=TokenTiming("200ms", "20ms"), keys=["k"])


PAIRS = {
    "httpx-uvicorn": (with_httpx, uvicorn_with(APP)),
    "aiohttp-uvicorn": (with_aiohttp, uvicorn_with(APP)),
    "websockets-uvicorn": (with_websockets, uvicorn_with(APP)),
    "httpx-aiohttp": (with_httpx, lambda lab, port, tls: lab.start(aiohttp_server(port, tls))),
    "aiohttp-aiohttp": (with_aiohttp, lambda lab, port, tls: lab.start(aiohttp_server(port, tls))),
    "websockets-websockets": (with_websockets, lambda lab, port, tls: lab.start(websockets_server(port, tls))),
    "openai-uvicorn": (with_openai, lambda lab, port, tls: lab.serve(model(), port, tls)),
    "anthropic-uvicorn": (with_anthropic, lambda lab, port, tls: lab.serve(model(), port, tls)),
}


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("nic", CARDS)
@pytest.mark.parametrize("pair", PAIRS)
def test_over_a_lossy_link(make_lab: Any, tls: Any, pair: str, nic: str, secure: bool) -> None:
    lab = make_lab(nic, loss=0.02)
    server_tls, client_tls = tls
    visit, serve = PAIRS[pair]
    serve(lab, 443 if secure else 80, server_tls() if secure else None)
    lab.alice.run(asyncio.wait_for(visit(client_tls() if secure else None), 60))
    assert sum(way.drops.get("lost", 0) for way in lab.link.directions) > 0
