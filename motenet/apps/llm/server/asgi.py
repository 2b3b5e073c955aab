"""One HTTP exchange with an ASGI server (asgi.readthedocs.io, HTTP 2.3): no framework is needed for so little."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from motenet.apps.llm.server.wire import Refused

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
LARGEST = 32 << 20
"""Bytes of a request (platform.claude.com/docs: api/errors, request size limits)."""

_HALVES = re.compile(rb"\\u[dD][89a-fA-F]")
"""Surrogates: one without its other half is no text that could be answered (RFC 8259, 8.2)."""


class Gone(Exception):
    """The client has closed the connection."""


class Exchange:
    """A request and its response."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        self.answer_headers: list[tuple[str, str]] = []
        """Go out with whatever is answered."""
        self.size = 0
        """Bytes of the request's body, once it has been read."""
        self._receive = receive
        self._send = send
        self._left: asyncio.Task[None] | None = None

    async def json(self) -> dict[str, Any]:
        """The request's body; Refused if it is no JSON object."""
        body = bytearray()
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Gone
            body += message.get("body", b"")
            if len(body) > LARGEST:
                raise Refused(413, f"Request exceeds the maximum size of {LARGEST} bytes")
            if not message.get("more_body", False):
                break
        self.size = len(body)
        try:
            found = json.loads(body.decode())
            if _HALVES.search(body):
                json.dumps(found, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise Refused(400, f"We could not parse the JSON body of your request: {error}") from error
        if not isinstance(found, dict):
            raise Refused(400, "The JSON body of your request is not an object")
        return found

    async def pause(self, seconds: float | None) -> None:
        """Wait so long, or for ever (None); Gone as soon as the client has left. After `json` alone."""
        if self._left is None:
            self._left = asyncio.ensure_future(self._leave())
        await asyncio.wait({self._left}, timeout=seconds)
        if self._left.done():
            raise Gone

    async def _leave(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def close(self) -> None:
        """Nobody waits for the client any more."""
        if self._left is not None:
            self._left.cancel()
            await asyncio.wait({self._left})

    async def reply(self, status: int, data: dict[str, Any]) -> None:
        """The response in one piece."""
        body = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
        self.answer_headers.append(("content-length", str(len(body))))
        await self.start(status, "application/json")
        await self.write(body, last=True)

    async def start(self, status: int, content_type: str) -> None:
        """The response's status and headers; its body follows."""
        headers = [("content-type", content_type), *self.answer_headers]
        pairs = [(name.encode(), value.encode()) for name, value in headers]
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})

    async def write(self, data: bytes, *, last: bool = False) -> None:
        """A part of the response's body."""
        await self._send({"type": "http.response.body", "body": data, "more_body": not last})
