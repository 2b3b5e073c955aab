"""HttpClient: the seed's requests, limits and timeouts, on httpx, on emulated hosts."""

import asyncio
import gzip
import json
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.responses import Response as Answer
from starlette.routing import Route

from motenet import World
from motenet.apps.asgi import serve
from motenet.apps.http import BodyTooLarge, HeaderTooLarge, HttpClient, HttpError, Response, ResponseTooLarge
from motenet.apps.http.client import MAX_HEADER_BYTES
from motenet.core.errors import ConfigurationError
from motenet.core.units import SECOND

URL = "http://10.0.0.2"


async def echo(request: Request) -> Answer:
    body = (await request.body()).decode()
    return JSONResponse({"method": request.method, "headers": dict(request.headers), "body": body})


async def body(request: Request) -> Answer:
    """So many bytes, in chunks of a thousand or at once with their length."""
    size = int(request.query_params["size"])

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, size, 1000):
            yield bytes(min(1000, size - start))

    return StreamingResponse(pieces()) if "chunked" in request.query_params else Answer(bytes(size))


async def headers(request: Request) -> Answer:
    count = int(request.query_params["count"])
    return PlainTextResponse("", headers={f"x-{number}": "y" * 1000 for number in range(count)})


async def slow(request: Request) -> Answer:
    await asyncio.sleep(float(request.query_params["seconds"]))
    return PlainTextResponse("late")


async def words(request: Request) -> Answer:
    async def pieces() -> AsyncIterator[str]:
        for word in ("one ", "two ", "three"):
            yield word
            await asyncio.sleep(20)

    return StreamingResponse(pieces())


async def moved(request: Request) -> Answer:
    return Answer(status_code=302, headers={"Location": "/echo"})


PLACES = (echo, body, headers, slow, words, moved)


def get_it(client: HttpClient, url: str) -> Awaitable[Response]:
    return client.request("GET", url)


class Pair:
    """alice asks, bob answers."""

    def __init__(self) -> None:
        self.world = World(seed=3)
        self.alice = self.world.host("alice", nic="virtio-net", address="10.0.0.1/24")
        self.bob = self.world.host("bob", address="10.0.0.2/24")
        self.world.link(self.alice, self.bob, bandwidth="1Gbit/s", delay="1ms")
        self.authority = trustme.CA()
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.authority.issue_cert("10.0.0.2").configure_cert(tls)
        app = Starlette(routes=[Route(f"/{place.__name__}", place, methods=["GET", "POST"]) for place in PLACES])
        self.servers = [self.bob.run(serve(app)), self.bob.run(serve(app, ssl_context=tls))]

    def ask(self, act: Callable[[HttpClient], Awaitable[Response]], **options: Any) -> Response:
        async def asking() -> Response:
            async with HttpClient(**options) as client:
                return await act(client)

        return self.alice.run(asking())

    def get(self, path: str, **options: Any) -> Response:
        return self.ask(lambda client: client.request("GET", URL + path), **options)

    def says(self, answer: bytes, act: Callable[[HttpClient, str], Awaitable[Response]] = get_it) -> Response:
        """What the client makes of a server that says just this."""

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()

        server = self.bob.run(asyncio.start_server(talk, "", 8080))
        try:
            return self.ask(lambda client: act(client, f"{URL}:8080/"))
        finally:
            server.close()


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    pair = Pair()
    yield pair
    for server in pair.servers:
        pair.bob.run(server.stop())
    pair.world.close()


def test_a_request(pair: Pair) -> None:
    response = pair.ask(lambda client: client.request("POST", f"{URL}/echo", {"X-Mine": "1"}, b"data"))
    said = response.json()
    assert (response.status, said["method"], said["body"], said["headers"]["x-mine"]) == (200, "POST", "data", "1")
    assert response.header("CONTENT-TYPE") == "application/json"
    assert response.header("nothing") is None
    assert json.loads(response.text) == said


@pytest.mark.parametrize("value", [{"a": [1, "ü"]}, '{"a": [1, "\\u00fc"]}', '{"a":[1,"ü"]}'.encode()])
def test_post_json(pair: Pair, value: Any) -> None:
    """The seed adds Content-Type and Accept; JSON may come as a value, or written already."""
    said = pair.ask(lambda client: client.post_json(f"{URL}/echo", value)).json()
    assert json.loads(said["body"]) == {"a": [1, "ü"]}
    assert (said["headers"]["content-type"], said["headers"]["accept"]) == ("application/json", "application/json")


def test_what_is_no_json_is_not_posted(pair: Pair) -> None:
    """RFC 8259, 6: there is no infinity, and no NaN."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        pair.ask(lambda client: client.post_json(f"{URL}/echo", [float("nan")]))


def test_headers_that_are_given_stay(pair: Pair) -> None:
    given = [("accept", "text/plain"), ("Content-Type", "application/vnd.x+json")]
    said = pair.ask(lambda client: client.post_json(f"{URL}/echo", {}, given)).json()
    assert (said["headers"]["accept"], said["headers"]["content-type"]) == ("text/plain", "application/vnd.x+json")


def test_post_streaming(pair: Pair) -> None:
    """Each piece is there when it comes; a stream may be longer than a timeout, and than the limit."""
    start = pair.world.now
    heard: list[tuple[int, bytes]] = []

    def on_chunk(chunk: bytes) -> None:
        heard.append(((pair.world.now - start) // SECOND, chunk))

    response = pair.ask(lambda client: client.post_streaming(f"{URL}/words", {}, on_chunk=on_chunk), max_body_bytes=5)
    assert heard == [(0, b"one "), (20, b"two "), (40, b"three")]
    assert (response.status, response.body) == (200, b"")


def test_on_chunk_may_be_a_coroutine_function(pair: Pair) -> None:
    heard: list[bytes] = []

    async def on_chunk(chunk: bytes) -> None:
        await asyncio.sleep(0.1)
        heard.append(chunk)

    pair.ask(lambda client: client.post_streaming(f"{URL}/words", {}, on_chunk=on_chunk))
    assert b"".join(heard) == b"one two three"


def test_what_on_chunk_raises_ends_the_request(pair: Pair) -> None:
    with pytest.raises(ZeroDivisionError):
        pair.ask(lambda client: client.post_streaming(f"{URL}/words", {}, on_chunk=lambda chunk: 1 // 0))


@pytest.mark.parametrize("how", ["", "&chunked"])
def test_two_mebibytes_are_taken(pair: Pair, how: str) -> None:
    """The seed's DEFAULT_MAX_BODY_BYTES."""
    assert len(pair.get(f"/body?size={2 * 1024 * 1024}{how}").body) == 2 * 1024 * 1024


@pytest.mark.parametrize("how", ["", "&chunked"])
def test_and_one_byte_more_is_not(pair: Pair, how: str) -> None:
    with pytest.raises(BodyTooLarge, match="2097152"):
        pair.get(f"/body?size={2 * 1024 * 1024 + 1}{how}")


def test_a_length_alone_is_no_body(pair: Pair) -> None:
    """A HEAD's Content-Length is what a GET would have (RFC 9110, 9.3.2)."""
    response = pair.ask(lambda client: client.request("HEAD", f"{URL}/body?size=4000000"))
    assert (response.status, response.body, response.header("content-length")) == (200, b"", "4000000")


def test_a_304_has_the_length_of_what_it_does_not_send(pair: Pair) -> None:
    """RFC 9110, 8.6."""
    assert pair.says(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4000000\r\n\r\n").body == b""


def test_what_nobody_asked_to_be_encoded_is_not_decoded(pair: Pair) -> None:
    """200 MiB in 500 bytes: whoever undoes that has no memory left by the time that a limit is looked at."""
    bomb = gzip.compress(gzip.compress(bytes(1 << 20)))
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb
    assert pair.says(answer).body == bomb
    pieces: list[bytes] = []
    pair.says(answer, lambda client, url: client.post_streaming(url, {}, on_chunk=pieces.append))
    assert b"".join(pieces) == bomb


@pytest.mark.parametrize(("longer", "error"), [(0, None), (1, HeaderTooLarge)])
def test_a_status_line_and_headers_of_32_kib_are_taken_and_no_byte_more(
    pair: Pair, longer: int, error: type[Exception] | None
) -> None:
    rest = b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"
    answer = rest.replace(b"200 ", b"200 " + b"x" * (MAX_HEADER_BYTES + longer - len(rest)))
    with nullcontext() if error is None else pytest.raises(error):
        assert pair.says(answer).status == 200


def test_headers_up_to_32_kib(pair: Pair) -> None:
    """The seed's DEFAULT_MAX_HEADER_BYTES."""
    assert pair.get("/headers?count=32").status == 200


@pytest.mark.parametrize("count", [33, 95, 300])
def test_headers_beyond(pair: Pair, count: int) -> None:
    """Those that httpx has taken, and those of which h11 has had enough."""
    with pytest.raises(HeaderTooLarge):
        pair.get(f"/headers?count={count}")


def test_limits_of_ones_own(pair: Pair) -> None:
    with pytest.raises(ResponseTooLarge):
        pair.get("/body?size=11", max_body_bytes=10)
    with pytest.raises(HttpError):
        pair.get("/body?size=1", max_header_bytes=10)


def test_thirty_seconds_of_silence(pair: Pair) -> None:
    """The seed's DEFAULT_READ_TIMEOUT_MS."""
    assert pair.get("/slow?seconds=29").text == "late"
    start = pair.world.now
    with pytest.raises(httpx.ReadTimeout):
        pair.get("/slow?seconds=31")
    assert (pair.world.now - start) // SECOND == 30
    with pytest.raises(httpx.ReadTimeout):
        pair.get("/slow?seconds=3", read_timeout="2s")


@pytest.mark.parametrize(("options", "seconds"), [({}, 10), ({"connect_timeout": "3s"}, 3)])
def test_ten_seconds_to_connect(options: dict[str, Any], seconds: int) -> None:
    """The seed's DEFAULT_CONNECT_TIMEOUT_MS. bob is no router, so that what he is to pass on is lost."""
    world = World()
    alice = world.host("alice", address="10.0.0.1/24", gateway="10.0.0.2")
    world.link(alice, world.host("bob", address="10.0.0.2/24"), delay="1ms")

    async def ask() -> None:
        async with HttpClient(**options) as client:
            await client.request("GET", "http://192.0.2.1/")

    with pytest.raises(httpx.ConnectTimeout):
        alice.run(ask())
    assert world.now // SECOND == seconds


def test_refused_at_once(pair: Pair) -> None:
    start = pair.world.now
    with pytest.raises(httpx.ConnectError):
        pair.ask(lambda client: client.request("GET", f"{URL}:81/"))
    assert pair.world.now - start < SECOND // 10


def test_redirects_are_told_not_followed(pair: Pair) -> None:
    response = pair.get("/moved")
    assert (response.status, response.header("location")) == (302, "/echo")


def test_tls_by_a_context(pair: Pair) -> None:
    trust = ssl.create_default_context()
    pair.authority.configure_trust(trust)
    assert pair.ask(lambda client: client.request("GET", "https://10.0.0.2/moved"), verify=trust).status == 302


def test_tls_by_the_authoritys_file(pair: Pair, tmp_path: Path) -> None:
    file = tmp_path / "authority.pem"
    file.write_bytes(pair.authority.cert_pem.bytes())
    assert pair.ask(lambda client: client.request("GET", "https://10.0.0.2/moved"), verify=str(file)).status == 302


def test_tls_that_nobody_vouches_for(pair: Pair) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        pair.ask(lambda client: client.request("GET", "https://10.0.0.2/moved"))


def test_connections_are_kept(pair: Pair) -> None:
    async def twice() -> int:
        async with HttpClient() as client:
            await client.request("GET", f"{URL}/moved")
            first = list(pair.world.loop.transports)
            await client.request("GET", f"{URL}/moved")
            return len([one for one in pair.world.loop.transports if one not in first])

    assert pair.alice.run(twice()) == 0


def test_proxies_of_the_process_are_not_a_machines(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://10.9.9.9:3128")
    assert pair.get("/moved").status == 302


def test_without_httpx_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(ConfigurationError, match=r"motenet\[apps\]"):
        HttpClient()
