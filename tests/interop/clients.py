"""Programs of their own, with real sockets: `python clients.py NAME URL [AUTHORITY]`. Each prints what it has seen."""

import asyncio
import hashlib
import json
import random
import ssl
import sys

import aiohttp
import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedOK


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def by_websockets(url: str, trust: ssl.SSLContext | None) -> object:
    """Texts, a large binary message, a ping, and the server's own close."""
    large = random.Random(1).randbytes(1 << 20)
    async with connect(url, ssl=trust, max_size=None, compression=None) as socket:
        heard = []
        for text in ("one", "zwei", "三"):
            await socket.send(text)
            heard.append(await socket.recv())
        await socket.send(large)
        same = await socket.recv() == large
        await (await socket.ping())
        await socket.send("bye")
        try:
            await socket.recv()
        except ConnectionClosedOK as closed:
            return {
                "heard": heard,
                "same": same,
                "closed": [closed.rcvd.code, closed.rcvd.reason] if closed.rcvd else 0,
            }
    return None


async def by_aiohttp(url: str, trust: ssl.SSLContext | None) -> object:
    """A stream line by line, and uploads that come in pieces, ten at a time."""

    async def pieces(number: int) -> "asyncio.AsyncIterator[bytes]":  # type: ignore[name-defined]
        for _ in range(8):
            yield bytes([number]) * 5000
            await asyncio.sleep(0)

    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/ticks", ssl=trust or True) as response:
            lines = [line.decode().strip() async for line in response.content if line.strip()]

        async def upload(number: int) -> object:
            async with session.post(f"{url}/digest", data=pieces(number), ssl=trust or True) as answer:
                return await answer.json()

        uploaded = await asyncio.gather(*map(upload, range(10)))
    right = [one == {"size": 40_000, "digest": digest(bytes([n]) * 40_000)} for n, one in enumerate(uploaded)]
    return {"lines": lines, "right": right}


async def by_httpx(url: str, trust: ssl.SSLContext | None) -> object:
    """One connection for all: JSON, a stream, a large body."""
    async with httpx.AsyncClient(verify=trust or True, limits=httpx.Limits(max_connections=1)) as client:
        sent = random.Random(2).randbytes(1 << 20)
        answer = await client.post(f"{url}/digest", content=sent)
        async with client.stream("GET", f"{url}/ticks") as response:
            lines = [line async for line in response.aiter_lines() if line]
        large = await client.get(f"{url}/large")
        return {
            "right": answer.json() == {"size": len(sent), "digest": digest(sent)},
            "lines": lines,
            "large": [len(large.content), digest(large.content)],
        }


PROGRAMS = {"websockets": by_websockets, "aiohttp": by_aiohttp, "httpx": by_httpx}


def main(name: str, url: str, authority: str = "") -> None:
    trust = ssl.create_default_context(cafile=authority) if authority else None
    print(json.dumps(asyncio.run(PROGRAMS[name](url, trust))))


if __name__ == "__main__":
    main(*sys.argv[1:])
