"""uvicorn's life: starting, stopping, signals, errors, clients who leave."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from tests.libraries.handlers import slow

BOB = "10.0.0.2"
SECOND = 1_000_000_000


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


def test_uvicorn_lets_requests_come_to_their_end_and_then_refuses(lab: Any) -> None:
    told: list[str] = []
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        told.append("startup")
        yield
        told.append("shutdown")

    async def slowly(request: Request) -> PlainTextResponse:
        told.append("asked")
        await asyncio.sleep(2)
        told.append("answered")
        return PlainTextResponse("at last")

    lab.serve(Starlette(routes=[Route("/", slowly)], lifespan=lifespan))
    asking = lab.alice.spawn(_get("/"))
    lab.world.run("1s")
    lab.bob.run(lab.open.pop().__aexit__(None, None, None))
    assert told == ["startup", "asked", "answered", "shutdown"]
    assert lab.world.run(until=asking) == "at last"
    with pytest.raises(httpx.ConnectError):
        lab.alice.run(_get("/"))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


async def _get(path: str) -> str:
    async with httpx.AsyncClient(base_url=f"http://{BOB}") as client:
        return (await client.get(path)).text


def test_an_interrupt_stops_uvicorn_in_order_and_then_the_world(lab: Any) -> None:
    """uvicorn raises a signal that it has caught again once it has ended; as with asyncio.run."""
    told: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        told.append("shutdown")

    before = signal.getsignal(signal.SIGINT)
    server = uvicorn.Server(uvicorn.Config(Starlette(lifespan=lifespan), host="", port=80, log_config=None))
    serving = lab.bob.spawn(server.serve())
    lab.world.run("1s")
    assert signal.getsignal(signal.SIGINT) != before
    lab.world.loop.call_later(1, signal.raise_signal, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        lab.world.run("10s")
    assert (told, signal.getsignal(signal.SIGINT)) == (["shutdown"], before)
    assert serving.done()
    assert serving.exception() is None, "the interrupt came when its event was over"
    lab.world.run("1s")


def test_uvicorn_gives_up_a_request_that_takes_too_long(lab: Any) -> None:
    lab.serve(Starlette(routes=[Route("/slow", slow)]), timeout_graceful_shutdown=1)
    asking = lab.alice.spawn(_get("/slow"))
    lab.world.run("100ms")
    began = lab.world.now
    lab.bob.run(lab.open.pop().__aexit__(None, None, None))
    assert SECOND < lab.world.now - began < 1.5 * SECOND
    assert lab.world.run(until=asking) == "Internal Server Error"


def test_an_application_that_fails_to_start_does_not_serve(lab: Any) -> None:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        raise RuntimeError("no disk")
        yield

    with pytest.raises(SystemExit):
        lab.serve(Starlette(lifespan=lifespan))


def test_an_error_in_an_application_is_a_500_and_the_server_stays(lab: Any) -> None:
    async def fail(request: Request) -> None:
        raise ZeroDivisionError

    lab.serve(Starlette(routes=[Route("/", fail), Route("/hello", hello)]))

    async def visit(path: str) -> int:
        async with httpx.AsyncClient(base_url=f"http://{BOB}") as client:
            return (await client.get(path)).status_code

    assert [lab.alice.run(visit(path)) for path in ("/", "/hello", "/nowhere")] == [500, 200, 404]


def test_the_application_learns_that_its_client_has_gone(lab: Any) -> None:
    gone: list[int] = []

    async def endless(request: Request) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x"
                    await asyncio.sleep(1)
            finally:
                gone.append(lab.world.now)

        return StreamingResponse(pieces())

    lab.serve(Starlette(routes=[Route("/", endless)]))

    async def visit() -> None:
        async with (
            httpx.AsyncClient(base_url=f"http://{BOB}") as client,
            client.stream("GET", "/") as answer,
        ):
            async for _ in answer.aiter_bytes():
                return

    lab.alice.run(visit())
    left = lab.world.now
    lab.world.run("3s")
    assert len(gone) == 1
    assert gone[0] - left < 2 * SECOND
