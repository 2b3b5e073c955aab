"""Peers that fail: each library raises in a world what it raises on the real loopback, and as soon as it can.

Nothing here says what that is: every case is run on both, and type, cause, number and words have to be the same.
"""

import asyncio
import datetime
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import anthropic
import httpx
import openai
import pytest
import trustme
import websockets

SECOND = 1_000_000_000
PATIENCE = 0.4
"""Seconds that clients wait where nothing comes, elsewhere they have SLACK: the loopback's time is real."""
SLACK = 10.0
AUTHORITY = trustme.CA()
RESET = struct.pack("ii", 1, 0)
HALF = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n" + b"x" * 10
CHUNK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n" + b"x" * 10
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

Service = Callable[[str], AbstractAsyncContextManager[int]]
Visit = Callable[[str, int], Awaitable[Any]]


# --- what a client does


def by_streams(tls: ssl.SSLContext | None, patience: float) -> Visit:
    async def visit(host: str, port: int) -> bytes:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port, ssl=tls), patience)
        try:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(patience):
                return await reader.read()
        finally:
            writer.transport.abort()

    return visit


def by_httpx(tls: ssl.SSLContext | None, patience: float) -> Visit:
    async def visit(host: str, port: int) -> tuple[int, str]:
        async with httpx.AsyncClient(verify=tls or True, timeout=patience) as client:
            answer = await client.get(f"http{'s' if tls else ''}://{host}:{port}/")
            return answer.status_code, answer.text

    return visit


def by_aiohttp(tls: ssl.SSLContext | None, patience: float) -> Visit:
    async def visit(host: str, port: int) -> tuple[int, str]:
        wait = aiohttp.ClientTimeout(sock_read=patience, sock_connect=patience)
        async with (
            aiohttp.ClientSession(timeout=wait) as session,
            session.get(f"http{'s' if tls else ''}://{host}:{port}/", ssl=tls or True) as answer,
        ):
            return answer.status, await answer.text()

    return visit


def by_websockets(tls: ssl.SSLContext | None, patience: float) -> Visit:
    async def visit(host: str, port: int) -> Any:
        url = f"ws{'s' if tls else ''}://{host}:{port}/"
        async with websockets.connect(url, ssl=tls, open_timeout=patience, close_timeout=patience) as client:
            return await client.recv()

    return visit


def by_openai(tls: ssl.SSLContext | None, patience: float) -> Visit:
    async def visit(host: str, port: int) -> Any:
        url = f"http{'s' if tls else ''}://{host}:{port}/v1"
        async with (
            openai.DefaultAsyncHttpxClient(verify=tls or True, timeout=patience) as http,
            openai.AsyncOpenAI(api_key="k", base_url=url, http_client=http, max_retries=0, timeout=patience) as client,
        ):
            stream = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "?"}], stream=True
            )
            return [chunk.choices[0].delta.content async for chunk in stream]

    return visit


def by_anthropic(tls: ssl.SSLContext | None, patience: float) -> Visit:
    async def visit(host: str, port: int) -> Any:
        url = f"http{'s' if tls else ''}://{host}:{port}"
        async with (
            anthropic.DefaultAsyncHttpxClient(verify=tls or True, timeout=patience) as http,
            anthropic.AsyncAnthropic(
                api_key="k", base_url=url, http_client=http, max_retries=0, timeout=patience
            ) as client,
            client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "?"}]) as stream,
        ):
            return [text async for text in stream.text_stream]

    return visit


CLIENTS: dict[str, Callable[[ssl.SSLContext | None, float], Visit]] = {
    "streams": by_streams,
    "httpx": by_httpx,
    "aiohttp": by_aiohttp,
    "websockets": by_websockets,
    "openai": by_openai,
    "anthropic": by_anthropic,
}


# --- what its peer does

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def finish(writer: asyncio.StreamWriter) -> None:
    """End the connection by a FIN, TLS or not, whatever waits."""
    writer.transport.abort()


def reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


def saying(data: bytes, end: Callable[[asyncio.StreamWriter], None], wait: float = 0.02) -> Peer:
    """Read the request, say so much, and end."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await asyncio.sleep(wait)
        end(writer)

    return peer


async def say_and_half_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The answer's end is the connection's, of which one half stays open (RFC 9112, 6.3)."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")
    writer.write_eof()
    await reader.read()
    writer.close()


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await reader.read(1 << 20)
        await reader.read(1 << 20)
    except ConnectionError:
        pass
    writer.transport.abort()


PEERS: dict[str, Peer] = {
    "ends": saying(b"", finish),
    "resets": saying(b"", reset),
    "ends in the middle": saying(HALF, finish),
    "resets in the middle": saying(HALF, reset),
    "ends in a chunk": saying(CHUNK, finish),
    "resets in a chunk": saying(CHUNK, reset),
    "ends between events": saying(EVENTS + b"6\r\n: hey\n\r\n", finish),
    "stalls between events": saying(EVENTS + b"6\r\n: hey\n\r\n", finish, 2 * PATIENCE),
    "speaks nonsense": saying(b"\x16\x03nonsense\r\n\r\n", finish),
    "closes its half": say_and_half_close,
    "says nothing": say_nothing,
}


SILENT = ("stalls between events", "says nothing", "the server says nothing")


def listening(peer: Peer, tls: ssl.SSLContext | None = None) -> Service:
    @asynccontextmanager
    async def service(host: str) -> AsyncIterator[int]:
        working: list[asyncio.Task[None]] = []

        async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await peer(reader, writer)
            except (ConnectionError, EOFError, ssl.SSLError):
                writer.transport.abort()

        def start(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            working.append(asyncio.create_task(work(reader, writer)))

        server = await asyncio.start_server(start, host, 0, ssl=tls)
        yield server.sockets[0].getsockname()[1]
        server.close()
        await asyncio.gather(*working)

    return service


@asynccontextmanager
async def nobody(host: str) -> AsyncIterator[int]:
    """A port at which nobody listens any more."""
    server = await asyncio.start_server(say_nothing, host, 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    yield port


# --- on both networks


def outcome(error: BaseException | Any, host: str, port: int) -> Any:
    """A result, or what was raised and by what: types, numbers and words, without what differs by place."""
    if not isinstance(error, BaseException):
        return error
    chain = []
    while error is not None:
        text = str(error).replace(host, "HOST").replace(str(port), "PORT")
        text = re.sub("(scope |0x)[0-9a-f]+", "it", text)
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        chain.append((kind, getattr(error, "errno", None), text))
        error = error.__cause__ or error.__context__
    return chain


async def attempt(visit: Visit, host: str, port: int) -> Any:
    try:
        return await visit(host, port)
    except Exception as error:
        return outcome(error, host, port)


async def attempts(tls: ssl.SSLContext | None, patience: float, host: str, port: int) -> dict[str, Any]:
    """What comes of all clients, at once."""
    results = await asyncio.gather(*[attempt(client(tls, patience), host, port) for client in CLIENTS.values()])
    return dict(zip(CLIENTS, results, strict=True))


def on_loopback(service: Service, tls: ssl.SSLContext | None = None, patience: float = SLACK) -> dict[str, Any]:
    async def go() -> dict[str, Any]:
        async with service("127.0.0.1") as port:
            return await attempts(tls, patience, "127.0.0.1", port)

    return asyncio.run(go())


def in_a_world(
    lab: Any, service: Service, tls: ssl.SSLContext | None = None, patience: float = SLACK
) -> dict[str, Any]:
    """Whatever goes wrong is known at once, or when patience ends."""
    port = lab.start(service("10.0.0.2"))
    began = lab.world.now
    results: dict[str, Any] = lab.alice.run(attempts(tls, patience, "10.0.0.2", port))
    assert lab.world.now - began < 2 * PATIENCE * SECOND
    return results


def first(results: dict[str, Any]) -> dict[str, str]:
    """What each library itself raised."""
    return {client: result[0][0] for client, result in results.items() if isinstance(result, list) and result}


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_that(lab: Any, peer: str) -> None:
    service, patience = listening(PEERS[peer]), PATIENCE if peer in SILENT else SLACK
    assert in_a_world(lab, service, None, patience) == on_loopback(service, None, patience)


def test_nobody_listens(lab: Any) -> None:
    results = in_a_world(lab, nobody)
    assert results == on_loopback(nobody)
    assert first(results) == {
        "streams": "builtins.ConnectionRefusedError",
        "httpx": "httpx.ConnectError",
        "aiohttp": "aiohttp.client_exceptions.ClientConnectorError",
        "websockets": "builtins.ConnectionRefusedError",
        "openai": "openai.APIConnectionError",
        "anthropic": "anthropic.APIConnectionError",
    }


# --- TLS


def client_tls(trusted: trustme.CA | None = AUTHORITY) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if trusted is not None:
        trusted.configure_trust(context)
    return context


def server_tls(*names: str, age: int = 0, client: bool = False) -> ssl.SSLContext:
    """With a certificate that ended `age` days ago, and one that is wanted of the client."""
    end = datetime.datetime(2038, 1, 1) if not age else datetime.datetime.now() - datetime.timedelta(days=age)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert(*names or ("10.0.0.2", "127.0.0.1"), not_after=end).configure_cert(context)
    if client:
        AUTHORITY.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def old_tls() -> ssl.SSLContext:
    context = server_tls()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


ANSWER = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", finish)
HANDSHAKES: dict[str, tuple[Callable[[], Service], Callable[[], ssl.SSLContext | None]]] = {
    "an authority that nobody trusts": (lambda: listening(ANSWER, server_tls()), lambda: client_tls(None)),
    "another host's name": (lambda: listening(ANSWER, server_tls("other.test")), client_tls),
    "an expired certificate": (lambda: listening(ANSWER, server_tls(age=1)), client_tls),
    "an old version": (lambda: listening(ANSWER, old_tls()), client_tls),
    "no TLS at the server": (lambda: listening(answer_at_once), client_tls),
    "no TLS at the client": (lambda: listening(ANSWER, server_tls()), lambda: None),
    "the server ends it": (lambda: listening(end_at_once), client_tls),
    "the server resets it": (lambda: listening(reset_at_once), client_tls),
    "the server says nothing": (lambda: listening(say_nothing), client_tls),
}


async def answer_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1 << 16)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await asyncio.sleep(0.02)
    finish(writer)


async def end_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1 << 16)
    finish(writer)


async def reset_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1 << 16)
    reset(writer)


@pytest.mark.parametrize("case", HANDSHAKES)
def test_a_handshake_with(lab: Any, case: str) -> None:
    make, tls = HANDSHAKES[case]
    service, context, patience = make(), tls(), PATIENCE if case in SILENT else SLACK
    assert in_a_world(lab, service, context, patience) == on_loopback(service, context, patience)


def test_what_a_wrong_certificate_raises(lab: Any) -> None:
    results = in_a_world(lab, listening(ANSWER, server_tls("other.test")), client_tls())
    assert first(results) == {
        "streams": "ssl.SSLCertVerificationError",
        "httpx": "httpx.ConnectError",
        "aiohttp": "aiohttp.client_exceptions.ClientConnectorCertificateError",
        "websockets": "ssl.SSLCertVerificationError",
        "openai": "openai.APIConnectionError",
        "anthropic": "anthropic.APIConnectionError",
    }
    assert all("IP address mismatch" in str(result) for result in results.values())


def test_no_client_certificate(lab: Any) -> None:
    """A client of TLS 1.3 learns of that when it reads: asyncio's servers end without an alert.

    Whether by a FIN or by the reset that its request got depends on the way's length, so that loopback's differs.
    """
    results = in_a_world(lab, listening(ANSWER, server_tls(client=True)), client_tls())
    assert results["streams"] == b""
    assert first(results) == {
        "httpx": "httpx.RemoteProtocolError",
        "aiohttp": "aiohttp.client_exceptions.ServerDisconnectedError",
        "websockets": "websockets.exceptions.InvalidMessage",
        "openai": "openai.APIConnectionError",
        "anthropic": "anthropic.APIConnectionError",
    }


@pytest.mark.parametrize("peer", ["ends", "ends in the middle", "resets in the middle", "ends in a chunk"])
def test_without_close_notify_a_peer(lab: Any, peer: str) -> None:
    """RFC 8446, 6.1: the end of the TCP connection is no end of the data."""
    service = listening(PEERS[peer], server_tls())
    assert in_a_world(lab, service, client_tls()) == on_loopback(service, client_tls())
