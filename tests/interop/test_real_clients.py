"""Real clients, each a process with the kernel's sockets, at servers on emulated hosts: uvicorn and websockets."""

import asyncio
import hashlib
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from statistics import median

import pytest
import trustme
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from websockets.asyncio.server import ServerConnection, serve

from motenet.core.units import SECOND
from motenet.sim.host import Host

sys.path.insert(0, str(Path(__file__).parent))

from family import IPV4
from namespace import die_with_parent
from room import BULK, CARDS, Room
from streams import data

pytestmark = pytest.mark.needs("root", "tap", "ip", "tshark")
CURL = pytest.mark.needs("curl")
CLIENTS = str(Path(__file__).with_name("clients.py"))
LARGE = data(4 << 20)
STEPS = 5
TICKS, TICK = 10, 0.1
"""How many, and seconds between two."""
SECURE = pytest.mark.parametrize("scheme", ["http", "https"])


class Site:
    """An application with streams, and uvicorn to serve it on an emulated host at a TAP."""

    def __init__(self, room: Room, scheme: str, nic: str = "e1000", port: int = 0) -> None:
        self.room = room
        self.host = joined(room, nic)
        self.released = asyncio.Semaphore(0)
        """How many steps may yet be sent."""
        self.sent: list[float] = []
        """When a step or tick was sent, by this process's clock."""
        self.left = False
        """Whether a stream has ended, however."""
        self.authority = authority(room)
        folder = room.folder
        port = port or (443 if scheme == "https" else 80)
        self.url = f"{scheme}://{IPV4.ours}:{port}"
        secured = {"ssl_certfile": folder / "chain.pem", "ssl_keyfile": folder / "key.pem"}
        options = secured if scheme == "https" else {}
        paths = {"/steps": self.steps, "/ticks": self.ticks, "/large": self.large}
        routes = [Route(path, answer) for path, answer in paths.items()]
        app = Starlette(routes=[*routes, Route("/digest", self.digest, methods=["POST"])])
        config = uvicorn.Config(app, host="0.0.0.0", port=port, log_config=None, **options)  # type: ignore[arg-type]
        self.server = uvicorn.Server(config)
        self.task = self.host.spawn(self.server.serve())
        room.wait(lambda: self.server.started)

    def stop(self) -> None:
        """uvicorn's own way to end; nothing must be left."""
        self.server.should_exit = True
        self.room.wait(self.task.done, 10)
        self.task.result()

    def command(self, path: str, *options: str) -> tuple[str, ...]:
        """A curl for this."""
        return ("curl", "-sSN", "--fail", "--cacert", str(self.authority), *options, f"{self.url}{path}")

    async def steps(self, request: Request) -> Response:
        """An event for each time that the test lets one go."""

        async def body() -> AsyncIterator[str]:
            try:
                for number in range(STEPS):
                    await self.released.acquire()
                    self.sent.append(time.monotonic())
                    yield f"data: {number}\n\n"
            finally:
                self.left = True

        return StreamingResponse(body(), media_type="text/event-stream")

    async def ticks(self, request: Request) -> Response:
        async def body() -> AsyncIterator[str]:
            for number in range(TICKS):
                await asyncio.sleep(TICK)
                self.sent.append(time.monotonic())
                yield f"data: {number}\n\n"

        return StreamingResponse(body(), media_type="text/event-stream")

    async def large(self, request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            for start in range(0, len(LARGE), 50_000):
                yield LARGE[start : start + 50_000]

        return StreamingResponse(body(), media_type="application/octet-stream")

    async def digest(self, request: Request) -> Response:
        found, size = hashlib.sha256(), 0
        async for piece in request.stream():
            found.update(piece)
            size += len(piece)
        return JSONResponse({"size": size, "digest": found.hexdigest()})


def joined(room: Room, nic: str = "e1000") -> Host:
    """A host at a TAP, whose programs end with the room."""
    tap = room.tap(IPV4.cidr(IPV4.kernel))
    host = room.host("host", IPV4.cidr(IPV4.ours), nic=nic)
    room.link(tap, host)
    room.closing.append(room.world.close)
    return host


def authority(room: Room) -> Path:
    """Make a certificate for the host, in the room's folder; the file of who vouches for it."""
    made = trustme.CA()
    certificate = made.issue_cert(IPV4.ours)
    certificate.cert_chain_pems[0].write_to_path(str(room.folder / "chain.pem"))
    certificate.private_key_pem.write_to_path(str(room.folder / "key.pem"))
    made.cert_pem.write_to_path(str(room.folder / "authority.pem"))
    return room.folder / "authority.pem"


class Heard:
    """A program in the namespace, whose lines are noted with the time when they come."""

    def __init__(self, room: Room, *command: str) -> None:
        with room.namespace.entered():
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent,
            )  # fmt: skip
        assert self.process.stdout is not None
        self.lines: list[tuple[float, str]] = []
        self.ended = False
        self._room, self._rest = room, b""
        self._file = self.process.stdout.fileno()
        os.set_blocking(self._file, False)
        room.processes.append(self.process)
        room.closing.append(self.process.stdout.close)
        room.pump.watch(self._file, self._readable)

    def _readable(self, when: int) -> None:
        got = os.read(self._file, 1 << 16)
        *whole, self._rest = (self._rest + got).split(b"\n")
        self.lines += [(time.monotonic(), line.decode()) for line in whole if line]
        if not got:
            self._room.pump.unwatch(self._file)
            self.ended = True

    def has(self, count: int) -> Callable[[], bool]:
        """Says whether so many lines have come."""
        return lambda: len(self.lines) >= count

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.lines]


EVENTS = [f"data: {number}" for number in range(max(STEPS, TICKS))]


@CURL
@SECURE
@pytest.mark.parametrize("nic", CARDS)
def test_curl_has_each_chunk_before_the_next_one_is_made(room: Room, scheme: str, nic: str) -> None:
    """The proof of streaming: nothing on the way waits for more."""
    site = Site(room, scheme, nic)
    curl = Heard(room, *site.command("/steps"))
    for number in range(STEPS):
        site.released.release()
        room.wait(curl.has(number + 1), 10)
    room.wait(lambda: curl.ended, 10)
    assert curl.texts == EVENTS[:STEPS]
    assert curl.process.wait(10) == 0
    delays = [came - went for (came, _), went in zip(curl.lines, site.sent, strict=True)]
    print(f"{scheme} on {nic}: {', '.join(f'{delay * 1000:.1f}' for delay in delays)} ms from uvicorn to curl's output")
    site.stop()


@CURL
@SECURE
def test_chunks_arrive_in_the_time_that_they_are_sent_in(room: Room, scheme: str) -> None:
    site = Site(room, scheme)
    began = time.monotonic()
    curl = Heard(room, *site.command("/ticks"))
    room.wait(lambda: curl.ended, 30)
    assert curl.texts == EVENTS[:TICKS]
    assert site.sent[-1] - began >= TICKS * TICK, "asyncio.sleep is real time"
    assert median(came - went for (came, _), went in zip(curl.lines, site.sent, strict=True)) < TICK / 2
    site.stop()


@CURL
@SECURE
def test_a_curl_that_is_killed_ends_its_stream_on_the_host(room: Room, scheme: str) -> None:
    site = Site(room, scheme)
    curl = Heard(room, *site.command("/steps"))
    site.released.release()
    room.wait(curl.has(1), 10)
    curl.process.kill()
    room.wait(lambda: site.left, 10)
    assert len(site.sent) == 1
    site.stop()


@CURL
@SECURE
def test_curl_downloads_and_uploads_large_bodies(room: Room, scheme: str) -> None:
    """Chunked answers; an upload with "Expect: 100-continue" (RFC 9110, 10.1.1), and eight downloads at a time."""
    site = Site(room, scheme, port=BULK)
    fetched = [room.folder / f"fetched{number}" for number in range(8)]
    words = [word for path in fetched for word in ("-o", str(path), f"{site.url}/large")]
    began = time.monotonic()
    room.run("curl", "-sS", "--fail", "--cacert", str(site.authority), "--parallel", *words)
    print(f"{scheme}: {8 * len(LARGE) / 1e6 / (time.monotonic() - began):.1f} MB/s by eight curls")
    assert all(path.read_bytes() == LARGE for path in fetched)
    upload = ("-H", "Expect: 100-continue", "--expect100-timeout", "20", "-v", "--data-binary", f"@{fetched[0]}")
    printed = room.run(*site.command("/digest", *upload))
    assert "HTTP/1.1 100 Continue" in printed
    expected = {"size": len(LARGE), "digest": hashlib.sha256(LARGE).hexdigest()}
    assert json.dumps(expected, separators=(",", ":")) in printed
    site.stop()


@SECURE
@pytest.mark.parametrize("client", ["aiohttp", "httpx"])
def test_real_python_clients_at_uvicorn(room: Room, scheme: str, client: str) -> None:
    site = Site(room, scheme, port=BULK)
    command = [sys.executable, CLIENTS, client, site.url]
    found = json.loads(room.run(*command, *[str(site.authority)] * (scheme == "https")))
    assert found["lines"] == EVENTS[:TICKS]
    if client == "aiohttp":
        assert found["right"] == [True] * 10
    else:
        assert found["right"] is True
        assert found["large"] == [len(LARGE), hashlib.sha256(LARGE).hexdigest()]
    site.stop()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_real_websockets_client_at_websockets(room: Room, scheme: str) -> None:
    """RFC 6455: texts, a message of 1 MiB, ping, and a close with a reason; the server runs on the emulated host."""
    host = joined(room)
    trusted = authority(room)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(room.folder / "chain.pem", room.folder / "key.pem")

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            if message == "bye":
                await connection.close(1000, "as you like")
                return
            await connection.send(message)

    async def run() -> None:
        secure = context if scheme == "wss" else None
        async with serve(echo, "0.0.0.0", BULK, ssl=secure, max_size=None, compression=None) as server:
            listening.set()
            await server.serve_forever()

    listening = asyncio.Event()
    task = host.spawn(run())
    room.world.run("5s", until=listening.wait())
    command = [sys.executable, CLIENTS, "websockets", f"{scheme}://{IPV4.ours}:{BULK}/"]
    found = json.loads(room.run(*command, *[str(trusted)] * (scheme == "wss")))
    assert found == {"heard": ["one", "zwei", "三"], "same": True, "closed": [1000, "as you like"]}
    task.cancel()
    room.pump.run(task.done, SECOND)
    assert task.cancelled()
