"""A busy world of unmodified libraries in plaintext; prints its fingerprint after each act. test_fingerprint runs it.

What would differ from run to run without sealed() is all here: dates, tokens, masks, boundaries, retries with jitter,
synchronous endpoints, headers made of sets, and many connections that are cancelled or closed at once.
"""

import asyncio
import json
import os
import random
import sys
import time
import uuid
from collections.abc import AsyncIterator

import aiohttp
import anthropic
import anyio
import httpx
import httpx2
import openai
import uvicorn
from aiohttp import web
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection
from websockets.asyncio.server import serve as serve_websockets

import motenet
from motenet.apps import sealed
from motenet.apps.asgi import serve
from motenet.apps.dns import DnsServer

CROWD = 12
URL = "http://bob.example.test"


# --- what bob serves


def now(request: Request) -> Response:
    """Synchronous: anyio has it in a thread."""
    return JSONResponse([time.time(), time.monotonic(), random.random(), str(uuid.uuid4()), str(uuid.uuid1())])


async def slow(request: Request) -> Response:
    await asyncio.sleep(5)
    return PlainTextResponse("x" * 5000)


async def completions(request: Request) -> Response:
    async def chunks() -> AsyncIterator[str]:
        for word in ("Hel", "lo ", "world"):
            await asyncio.sleep(0.3)
            delta = {"index": 0, "delta": {"content": word}, "finish_reason": None}
            chunk = {"id": str(uuid.uuid4()), "object": "chat.completion.chunk", "created": int(time.time())}
            yield f"data: {json.dumps({**chunk, 'model': 'm', 'choices': [delta]})}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(chunks(), media_type="text/event-stream")


class Messages:
    """Overloaded at first, so that clients come again."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, request: Request) -> Response:
        self.asked += 1
        if self.asked < 3:
            return JSONResponse({"error": {"type": "overloaded_error", "message": "later"}}, status_code=529)
        text = [{"type": "text", "text": "hi"}]
        usage = {"input_tokens": 1, "output_tokens": 1}
        about = {
            "id": str(uuid.uuid4()),
            "type": "message",
            "role": "assistant",
            "model": "m",
            "stop_reason": "end_turn",
        }
        return JSONResponse({**about, "stop_sequence": None, "content": text, "usage": usage})


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        pass


def application() -> Starlette:
    methods = ["POST", "PUT", "PATCH", "DELETE"]  # a 405 lists them, out of a set
    return Starlette(
        routes=[
            Route("/now", now),
            Route("/slow", slow),
            Route("/v1/chat/completions", completions, methods=methods),
            Route("/v1/messages", Messages().__call__, methods=methods),
            WebSocketRoute("/echo", echo),
        ]
    )


async def raw_uvicorn() -> tuple[uvicorn.Server, "asyncio.Task[None]"]:
    """uvicorn with nobody's help."""
    server = uvicorn.Server(uvicorn.Config(application(), host="", port=8000, log_config=None))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    return server, task


async def with_aiohttp() -> web.AppRunner:
    async def hello(request: web.Request) -> web.Response:
        return web.json_response([time.time(), random.random()])

    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(1000)
        return web.Response()

    async def talk(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket

    app = web.Application()
    app.add_routes([web.get("/", hello), web.get("/hang", hang), web.get("/talk", talk)])
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "", 8002).start()
    return runner


async def websocket_server() -> Server:
    async def talk(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    return await serve_websockets(talk, "", 8001)


# --- what the others ask for


async def by_httpx(library: object, base_url: str) -> None:
    async with library.AsyncClient(base_url=base_url, timeout=60) as client:  # type: ignore[attr-defined]
        await client.get("/now")
        await client.put("/now")
        await client.get("/v1/messages")
        await client.post("/now", files={"file": b"x" * 3000})
        await asyncio.gather(*(client.get("/now") for _ in range(CROWD)))
        try:
            async with asyncio.timeout(2), asyncio.TaskGroup() as group:
                for _ in range(CROWD):
                    group.create_task(client.get("/slow"))
        except TimeoutError:
            pass
        with anyio.move_on_after(2):
            async with anyio.create_task_group() as others:
                for _ in range(CROWD):
                    others.start_soon(_patiently, client)


async def _patiently(client: httpx.AsyncClient) -> None:
    with anyio.fail_after(50):
        await client.get("/slow")


async def by_sdks() -> None:
    async with openai.AsyncOpenAI(api_key="k", base_url=f"{URL}/v1") as client:
        chunks = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "?"}], stream=True
        )
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in chunks]) == "Hello world"
    async with anthropic.AsyncAnthropic(api_key="k", base_url=URL) as other:
        await other.messages.create(model="m", max_tokens=5, messages=[{"role": "user", "content": "?"}])


async def by_websockets() -> None:
    connections = [await connect(f"ws://bob.example.test{place}") for place in ("/echo", ":8001") * 4]
    for connection in connections:
        await connection.send("hello " * 50)
        await connection.recv()
    async with asyncio.TaskGroup() as group:
        for connection in set(connections):
            group.create_task(connection.close())


async def stay_connected() -> list[ClientConnection]:
    return [await connect("ws://bob.example.test:8001") for _ in range(CROWD)]


async def by_aiohttp() -> None:
    async with aiohttp.ClientSession("http://bob.example.test:8002") as session:

        async def get(path: str) -> bytes:
            async with session.get(path) as response:
                return await response.read()

        await asyncio.gather(*(get("/") for _ in range(CROWD)))
        async with session.ws_connect("/talk") as socket:
            for _ in range(3):
                await socket.send_str("hey " * 10)
                await socket.receive()
        form = aiohttp.FormData()
        form.add_field("file", b"x" * 100, filename="x")
        async with session.post("/", data=form) as response:
            await response.read()
        hung = [asyncio.create_task(get("/hang")) for _ in range(CROWD)]
        await asyncio.sleep(1)
    await asyncio.gather(*hung, return_exceptions=True)


async def idle() -> httpx.AsyncClient:
    client = httpx.AsyncClient(base_url=URL, timeout=60)
    await asyncio.gather(*(client.get("/now") for _ in range(CROWD)))
    return client


# --- the scene


def play() -> None:
    world = motenet.World(seed=7)
    lan = world.switch("lan")
    cards = {"bob": "e1000", "alice": "virtio-net", "carol": "rtl8139", "dave": "e1000"}
    for number, (name, nic) in enumerate(cards.items(), 2):
        host = world.host(name, nic=nic, address=f"10.0.0.{number}/24")
        host.stack.dns_servers = ["10.0.0.2"]
        world.link(host, lan, bandwidth="100Mbit/s", delay="1ms", loss=0.02)
    bob, alice, carol, dave = world.hosts.values()
    bob.applications.append(DnsServer(bob.stack, {"example.test": {"bob": ["10.0.0.2"]}}))

    def act(name: str) -> None:
        print(name, world.now, world.fingerprint())

    server = bob.run(serve(application()))
    raw, raw_task = bob.run(raw_uvicorn())
    runner = bob.run(with_aiohttp())
    websockets = bob.run(websocket_server())
    alice.run(by_httpx(httpx, URL))
    act("httpx")
    carol.run(by_httpx(httpx2, f"{URL}:8000"))
    act("httpx2")
    dave.run(by_sdks())
    act("openai and anthropic")
    crowd = [host.spawn(by_websockets()) for host in (alice, carol, dave)]
    for task in crowd:
        world.run(until=task)
    act("websockets")
    carol.run(by_aiohttp())
    act("aiohttp")
    kept = alice.run(idle())
    connected = dave.run(stay_connected())
    raw.should_exit = True
    world.run(until=raw_task)
    websockets.close()
    bob.run(websockets.wait_closed())
    bob.run(runner.cleanup())
    bob.run(server.stop())
    alice.run(kept.aclose())
    world.run("5s")
    act(f"the end, with {len(connected)} cut off")
    world.close()


if __name__ == "__main__":
    litter = [bytearray(os.urandom(1)[0] * 17 + 1) for _ in range(int(sys.argv[1]))]  # other addresses in each run
    with sealed():
        play()
