"""TLS on connections that are open already: through proxies (RFC 9110, 9.3.6), and in the middle (RFC 3207)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from tests.libraries.handlers import tell

BOB = "10.0.0.2"


@asynccontextmanager
async def proxy(tls: Any) -> AsyncIterator[None]:
    """It takes CONNECT, and carries bytes."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.transport.abort()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode().split(":")
        theirs = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await asyncio.gather(carry(reader, theirs[1]), carry(theirs[0], writer))

    server = await asyncio.start_server(serve, None, 3128, ssl=tls)
    yield
    server.close()


@pytest.mark.parametrize("secure", [False, True], ids=["plain proxy", "TLS proxy"])
@pytest.mark.parametrize("library", ["httpx", "aiohttp"])
def test_tls_through_a_proxy(lab: Any, tls: Any, library: str, secure: bool) -> None:
    """aiohttp secures the open connection by loop.start_tls; TLS in TLS works too."""
    lab.start(proxy(tls[0]() if secure else None))
    lab.serve(Starlette(routes=[Route("/tell", tell, methods=["POST"])]), 443, tls[0]())
    verify = tls[1]()
    where = f"http{'s' * secure}://{BOB}:3128"

    async def by_httpx() -> Any:
        async with httpx.AsyncClient(
            proxy=httpx.Proxy(where, ssl_context=verify if secure else None), verify=verify
        ) as client:
            return (await client.post(f"https://{BOB}/tell", content=bytes(100_000))).json()

    async def by_aiohttp() -> Any:
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=verify)) as session,
            session.post(f"https://{BOB}/tell", data=bytes(100_000), proxy=where) as answer,
        ):
            return await answer.json()

    answer = lab.alice.run(by_httpx() if library == "httpx" else by_aiohttp())
    assert answer == {"client": BOB, "length": 100_000}


def test_starttls_in_the_middle_of_a_conversation(lab: Any, tls: Any) -> None:
    """StreamWriter.start_tls at both ends, as SMTP has it (RFC 3207)."""

    @asynccontextmanager
    async def server() -> AsyncIterator[None]:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readline() == b"STARTTLS\r\n"
            writer.write(b"220 go ahead\r\n")
            await writer.start_tls(tls[0]())
            writer.write(b"secret " + await reader.readline())
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(talk, None, 25)
        yield
        server.close()

    async def visit() -> tuple[bytes, Any]:
        reader, writer = await asyncio.open_connection(BOB, 25)
        writer.write(b"STARTTLS\r\n")
        assert await reader.readline() == b"220 go ahead\r\n"
        await writer.start_tls(tls[1](), server_hostname=BOB)
        version = writer.get_extra_info("ssl_object").version()
        writer.write(b"word\n")
        heard = await reader.read()
        writer.close()
        await writer.wait_closed()
        return heard, version

    lab.start(server())
    assert lab.alice.run(visit()) == (b"secret word\n", "TLSv1.3")
