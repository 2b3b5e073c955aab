"""What httpx, aiohttp, uvicorn and Starlette do on an emulated network, as they do it anywhere."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from aiohttp import web
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from tests.libraries.handlers import slow, tell

BOB = "10.0.0.2"
SECOND = 1_000_000_000
both = pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])


def synchronous(request: Request) -> PlainTextResponse:
    """Starlette runs it in a thread of anyio's."""
    return PlainTextResponse("no coroutine")


async def events(request: Request) -> StreamingResponse:
    async def ticks() -> AsyncIterator[str]:
        for number in range(4):
            yield f"data: {number}\n\n"
            await asyncio.sleep(1)

    return StreamingResponse(ticks(), media_type="text/event-stream")


async def digest_of(request: Request) -> JSONResponse:
    digest, times = hashlib.sha256(), []
    async for piece in request.stream():
        digest.update(piece)
        times.append(round(asyncio.get_running_loop().time(), 2))
    return JSONResponse({"digest": digest.hexdigest(), "times": times})


async def moved(request: Request) -> RedirectResponse:
    response = RedirectResponse("/tell")
    response.set_cookie("seen", "yes")
    return response


async def cookies(request: Request) -> JSONResponse:
    return JSONResponse(request.cookies)


async def long_text(request: Request) -> PlainTextResponse:
    return PlainTextResponse("motenet " * 10_000)


ROUTES = [
    Route("/tell", tell, methods=["GET", "POST"]),
    Route("/slow", slow),
    Route("/synchronous", synchronous),
    Route("/events", events),
    Route("/digest", digest_of, methods=["POST"]),
    Route("/moved", moved),
    Route("/cookies", cookies),
    Route("/text", long_text),
]
APP = Starlette(routes=ROUTES, middleware=[Middleware(GZipMiddleware)])


def _application(*routes: web.AbstractRouteDef) -> web.Application:
    app = web.Application()
    app.add_routes(routes)
    return app


@asynccontextmanager
async def aiohttp_site(app: web.Application, tls: Any, port: int | None = None) -> AsyncIterator[None]:
    """aiohttp's server; its port is 80, or 443 with TLS."""
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, port=port or (443 if tls else 80), ssl_context=tls).start()
    yield
    await runner.cleanup()


def serve(lab: Any, tls: Any, secure: bool, app: Any = APP) -> tuple[str, Any]:
    """uvicorn on bob; gives the beginning of its addresses, and what clients verify by."""
    lab.serve(app, 443 if secure else 80, tls[0]() if secure else None)
    return f"http{'s' * secure}://", tls[1]() if secure else True


async def fetch_by_httpx(base: str, verify: Any, count: int, at_once: bool, limit: int) -> list[dict[str, Any]]:
    limits = httpx.Limits(max_connections=limit)
    async with httpx.AsyncClient(base_url=base, verify=verify, limits=limits) as client:
        if at_once:
            answers = await asyncio.gather(*[client.get("/tell") for _ in range(count)])
        else:
            answers = [await client.get("/tell") for _ in range(count)]
    return [answer.json() for answer in answers]


async def fetch_by_aiohttp(base: str, verify: Any, count: int, at_once: bool, limit: int) -> list[dict[str, Any]]:
    async def get() -> dict[str, Any]:
        async with session.get(base + "/tell") as answer:
            told: dict[str, Any] = await answer.json()
            return told

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=verify, limit=limit)) as session:
        return await asyncio.gather(*[get() for _ in range(count)]) if at_once else [await get() for _ in range(count)]


fetchers = pytest.mark.parametrize("fetch", [fetch_by_httpx, fetch_by_aiohttp])


@both
@fetchers
def test_five_requests_need_one_connection(lab: Any, tls: Any, fetch: Any, secure: bool) -> None:
    scheme, verify = serve(lab, tls, secure)
    lab.count()
    answers = lab.alice.run(fetch(scheme + BOB, verify, 5, at_once=False, limit=10))
    assert (answers, lab.connections) == ([{"client": "10.0.0.1", "length": 0}] * 5, 1)


@both
@pytest.mark.parametrize("library", ["httpx", "aiohttp"])
def test_a_connection_that_was_idle_for_too_long_is_replaced(lab: Any, tls: Any, library: str, secure: bool) -> None:
    """uvicorn closes it after 5 s; the client notices before it sends a request, and opens another."""
    scheme, verify = serve(lab, tls, secure)
    lab.count()

    async def by_httpx() -> list[int]:
        async with httpx.AsyncClient(base_url=scheme + BOB, verify=verify, limits=httpx.Limits()) as client:
            first = await client.get("/tell")
            await asyncio.sleep(10)
            return [first.status_code, (await client.get("/tell")).status_code]

    async def by_aiohttp() -> list[int]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=verify)) as session:
            first = await session.get(f"{scheme}{BOB}/tell")
            await first.read()
            await asyncio.sleep(10)
            return [first.status, (await session.get(f"{scheme}{BOB}/tell")).status]

    assert lab.alice.run(by_httpx() if library == "httpx" else by_aiohttp()) == [200, 200]
    assert lab.connections == 2


@both
@fetchers
@pytest.mark.parametrize(("limit", "connections"), [(5, 5), (50, 20)])
def test_twenty_requests_at_once_share_a_pool(
    lab: Any, tls: Any, fetch: Any, secure: bool, limit: int, connections: int
) -> None:
    scheme, verify = serve(lab, tls, secure)
    lab.count()
    answers = lab.alice.run(fetch(scheme + BOB, verify, 20, at_once=True, limit=limit))
    assert (len(answers), lab.connections) == (20, connections)


@both
@fetchers
@pytest.mark.parametrize(
    ("where", "client"), [("10.0.0.2", "10.0.0.1"), ("[fd00::2]", "fd00::1"), ("old.example.test", "10.0.0.1"),
                          ("six.example.test", "fd00::1"), ("bob.example.test", "fd00::1")],
)  # fmt: skip
def test_by_address_and_by_name_of_both_families(
    lab: Any, tls: Any, fetch: Any, secure: bool, where: str, client: str
) -> None:
    """RFC 6724 prefers IPv6 where both are as good."""
    lab.serve(APP, 443 if secure else 80, tls[0]("*.example.test", "10.0.0.2", "fd00::2") if secure else None)
    verify = tls[1]() if secure else True
    (answer,) = lab.alice.run(fetch(f"http{'s' * secure}://{where}", verify, 1, at_once=False, limit=1))
    assert answer["client"] == client


def test_connections_need_no_descriptors_of_the_process(lab: Any) -> None:
    """httpx polls each one that it uses again: so a process's limit is no limit of a world's connections."""
    lab.serve(APP)
    counts: list[int] = []

    async def visit() -> None:
        async with httpx.AsyncClient(base_url=f"http://{BOB}") as client:
            for _ in range(2):
                await asyncio.gather(*[client.get("/tell") for _ in range(20)])
            counts.append(len(os.listdir("/proc/self/fd")))

    before = len(os.listdir("/proc/self/fd"))
    lab.alice.run(visit())
    assert counts == [before]


MEGABYTES = bytes(range(251)) * 12_000


@both
def test_three_megabytes_each_way(lab: Any, tls: Any, secure: bool, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(MEGABYTES)
    routes = [Route("/digest", digest_of, methods=["POST"]), Mount("/files", StaticFiles(directory=tmp_path))]
    scheme, verify = serve(lab, tls, secure, Starlette(routes=routes))

    async def visit() -> tuple[str, bytes]:
        async with httpx.AsyncClient(base_url=scheme + BOB, verify=verify) as client:
            answer = await client.post("/digest", content=MEGABYTES)
            return answer.json()["digest"], (await client.get("/files/data")).content

    digest, data = lab.alice.run(visit())
    assert (digest, data == MEGABYTES) == (hashlib.sha256(MEGABYTES).hexdigest(), True)


@both
def test_a_streamed_body_arrives_piece_by_piece(lab: Any, tls: Any, secure: bool) -> None:
    scheme, verify = serve(lab, tls, secure)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 100
            await asyncio.sleep(1)

    async def visit() -> list[float]:
        async with httpx.AsyncClient(base_url=scheme + BOB, verify=verify) as client:
            answer = await client.post("/digest", content=pieces())
            times: list[float] = answer.json()["times"]
            return times

    times = [round(time, 1) for time in lab.alice.run(visit())]
    assert [round(time - times[0], 1) for time in times if time][:3] == [0, 1, 2]


@both
def test_both_ways_at_the_same_time(lab: Any, tls: Any, secure: bool) -> None:
    """Each piece is answered before the next one is sent."""

    async def echo(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async for piece in request.content.iter_any():
            await response.write(piece.upper())
        return response

    lab.start(aiohttp_site(_application(web.post("/", echo)), tls[0]() if secure else None))
    said: list[bytes] = []

    async def visit() -> None:
        heard = asyncio.Event()

        async def pieces() -> AsyncIterator[bytes]:
            for word in (b"one", b"two", b"three"):
                said.append(word)
                yield word
                await heard.wait()
                heard.clear()

        async with (
            aiohttp.ClientSession() as session,
            session.post(f"http{'s' * secure}://{BOB}", data=pieces(), ssl=tls[1]() if secure else True) as answer,
        ):
            async for piece in answer.content.iter_any():
                said.append(piece)
                heard.set()

    lab.alice.run(asyncio.wait_for(visit(), 5))
    assert said == [b"one", b"ONE", b"two", b"TWO", b"three", b"THREE"]


@both
@pytest.mark.parametrize("library", ["httpx", "aiohttp"])
def test_server_sent_events_come_when_they_are_sent(lab: Any, tls: Any, library: str, secure: bool) -> None:
    scheme, verify = serve(lab, tls, secure)
    seen: list[tuple[str, int]] = []

    async def by_httpx() -> None:
        async with (
            httpx.AsyncClient(base_url=scheme + BOB, verify=verify) as client,
            client.stream("GET", "/events") as answer,
        ):
            assert answer.headers["content-type"].startswith("text/event-stream")
            async for line in answer.aiter_lines():
                if line:
                    seen.append((line, lab.world.now))

    async def by_aiohttp() -> None:
        async with aiohttp.ClientSession() as session, session.get(scheme + BOB + "/events", ssl=verify) as answer:
            async for line in answer.content:
                if line.strip():
                    seen.append((line.decode().strip(), lab.world.now))

    lab.alice.run(by_httpx() if library == "httpx" else by_aiohttp())
    began = seen[0][1]
    assert [(line, round((time - began) / SECOND, 1)) for line, time in seen] == [
        (f"data: {number}", number) for number in range(4)
    ]


def test_redirects_cookies_and_gzip(lab: Any, tls: Any) -> None:
    scheme, verify = serve(lab, tls, True)

    async def visit() -> list[Any]:
        async with httpx.AsyncClient(base_url=scheme + BOB, verify=verify, follow_redirects=True) as client:
            answer = await client.get("/moved")
            assert [one.status_code for one in (*answer.history, answer)] == [307, 200]
            text = await client.get("/text")
            assert (text.headers["content-encoding"], text.text) == ("gzip", "motenet " * 10_000)
            assert int(text.headers["content-length"]) < 1000
            return [(await client.get("/cookies")).json(), (await client.get("/synchronous")).text]

    assert lab.alice.run(visit()) == [{"seen": "yes"}, "no coroutine"]


def test_redirects_cookies_and_gzip_by_aiohttp(lab: Any, tls: Any) -> None:
    scheme, verify = serve(lab, tls, True)

    async def visit() -> Any:
        jar = aiohttp.CookieJar(unsafe=True)  # an address is no name that cookies are kept for otherwise
        connector = aiohttp.TCPConnector(ssl=verify)
        async with aiohttp.ClientSession(scheme + BOB, connector=connector, cookie_jar=jar) as session:
            async with session.get("/moved") as answer:
                assert ([one.status for one in answer.history], answer.status) == ([307], 200)
            async with session.get("/text") as answer:
                assert (answer.headers["content-encoding"], await answer.text()) == ("gzip", "motenet " * 10_000)
            async with session.get("/cookies") as answer:
                return await answer.json()

    assert lab.alice.run(visit()) == {"seen": "yes"}


@both
def test_files_whole_and_in_part(lab: Any, tls: Any, secure: bool, tmp_path: Path) -> None:
    """aiohttp sends them by loop.sendfile, Starlette by anyio's worker threads."""
    (tmp_path / "data").write_bytes(MEGABYTES[:1_000_000])

    async def give_by_aiohttp(request: web.Request) -> web.FileResponse:
        return web.FileResponse(tmp_path / "data")

    async def give(request: Request) -> FileResponse:
        return FileResponse(tmp_path / "data")

    app = _application(web.get("/file", give_by_aiohttp), web.static("/files", tmp_path))
    lab.start(aiohttp_site(app, tls[0]() if secure else None, 8080))
    routes = [Route("/file", give), Mount("/files", StaticFiles(directory=tmp_path))]
    scheme, verify = serve(lab, tls, secure, Starlette(routes=routes))

    async def visit() -> None:
        async with httpx.AsyncClient(verify=verify) as client:
            for place in (scheme + BOB, f"{scheme}{BOB}:8080"):
                assert (await client.get(f"{place}/file")).content == MEGABYTES[:1_000_000]
                assert (await client.get(f"{place}/files/data")).content == MEGABYTES[:1_000_000]
                part = await client.get(f"{place}/file", headers={"Range": "bytes=500000-699999"})
                assert (part.status_code, part.content) == (206, MEGABYTES[500_000:700_000])
                assert (await client.get(f"{place}/files/none")).status_code == 404

    lab.alice.run(visit())


@both
@pytest.mark.parametrize("server", ["uvicorn", "aiohttp"])
def test_requests_in_a_row_are_answered_in_a_row(lab: Any, tls: Any, server: str, secure: bool) -> None:
    """RFC 9112, 9.3.2 and 9.6: pipelined requests, the last of which closes the connection."""

    async def tell_by_aiohttp(request: web.Request) -> web.Response:
        return web.Response(text=request.query_string)

    async def tell(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.url.query)

    async def visit() -> bytes:
        reader, writer = await asyncio.open_connection(BOB, 80, ssl=tls[1]() if secure else None)
        last = b"GET /?c HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n"
        writer.write(b"GET /?a HTTP/1.1\r\nHost: b\r\n\r\nGET /?b HTTP/1.1\r\nHost: b\r\n\r\n" + last)
        data = await reader.read()
        writer.close()
        await writer.wait_closed()
        return data

    if server == "uvicorn":
        lab.serve(Starlette(routes=[Route("/", tell)]), 80, tls[0]() if secure else None)
    else:
        lab.start(aiohttp_site(_application(web.get("/", tell_by_aiohttp)), tls[0]() if secure else None, 80))
    answers = [part for part in lab.alice.run(visit()).split(b"HTTP/1.1 ") if part]
    assert [(answer[:6], answer[-1:]) for answer in answers] == [
        (b"200 OK", b"a"),
        (b"200 OK", b"b"),
        (b"200 OK", b"c"),
    ]
