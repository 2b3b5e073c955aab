"""The ecosystem's own web, unmodified: httpx on one emulated machine fetches from uvicorn and Starlette on another.

What goes between them is real: DNS, TCP over a lossy cable, descriptors, interrupts. It needs pip install
'motenet[apps]'. Run it: motenet run examples/web.py
"""

from collections.abc import AsyncIterator

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

import motenet

world = motenet.World(seed=7)
alice = world.host("alice", nic="e1000")
shop = world.host("shop", nic="virtio-net")
world.internet(bandwidth="10Mbit/s", delay="20ms", loss=0.02, records={"www.example.com": shop}).settle()


async def order(request: Request) -> JSONResponse:
    """Who asks for what, as the server sees it."""
    assert request.client is not None
    return JSONResponse({"order": await request.json(), "from": request.client.host})


async def catalog(request: Request) -> StreamingResponse:
    """A megabyte, in pieces."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(16):
            yield bytes(65536)

    return StreamingResponse(pieces())


async def visit() -> None:
    """Runs on alice."""
    async with httpx.AsyncClient(base_url="http://www.example.com") as client:
        answer = await client.post("/order", json={"nic": "82540EM", "count": 2})
        print(answer.status_code, answer.headers["content-type"], answer.json())
        async with client.stream("GET", "/catalog") as stream:
            print(sum([len(piece) async for piece in stream.aiter_bytes()]), "bytes")


app = Starlette(routes=[Route("/order", order, methods=["POST"]), Route("/catalog", catalog)])
server = uvicorn.Server(uvicorn.Config(app, host="", port=80, log_level="warning"))
serving = shop.spawn(server.serve())
began = world.now
alice.run(visit())
print(f"took {(world.now - began) / 1e9:.3f} s of virtual time")
print("alice's card:", alice.stack.statistics["rx_frames"], "frames in,", alice.stack.statistics["tx_frames"], "out")
server.should_exit = True
world.run(until=serving)
