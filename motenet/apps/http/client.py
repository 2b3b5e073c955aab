"""An HTTP client, a thin face on httpx: a request, a whole answer of bounded size, or its pieces as they come.

    async def chat():
        async with HttpClient() as client:
            answer = await client.post_json("http://server.test/v1/chat", {"messages": []})
            return answer.json()

    page = alice.run(chat())

Redirects are not followed, and an answer's status raises nothing. Timeouts and connection errors are httpx's own.
Bodies are as they were sent: no Content-Encoding is asked for, and none is undone, as a limit would come too late then.
"""

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from motenet.apps.http.response import HttpError
from motenet.core import units
from motenet.core.errors import ConfigurationError
from motenet.core.units import SECOND

if TYPE_CHECKING:
    import httpx

CONNECT_TIMEOUT = "10s"
READ_TIMEOUT = "30s"
MAX_HEADER_BYTES = 32 * 1024
MAX_BODY_BYTES = 2 * 1024 * 1024

JSON = "application/json"
NOT_MODIFIED = 304
"""Like a HEAD's answer, it tells the length of a body that it does not have (RFC 9110, 8.6)."""
TOO_LARGE = 431
"""What h11 would say to a client whose header is too large (RFC 6585, 5); it marks a server's so, too."""

Headers = Mapping[str, str] | Iterable[tuple[str, str]]
OnChunk = Callable[[bytes], Awaitable[object] | object]


class ResponseTooLarge(HttpError):
    """The answer is larger than this client takes."""


class HeaderTooLarge(ResponseTooLarge):
    """Its status line and headers are."""


class BodyTooLarge(ResponseTooLarge):
    """Its body is."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. After `post_streaming` its body is empty: the pieces have been handed out."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first of that name, in whatever case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def text(self) -> str:
        """The body as UTF-8; what is none becomes U+FFFD."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body's JSON value; ValueError for what is none."""
        return json.loads(self.body)


class HttpClient:
    """HTTP and HTTPS by httpx on the host whose coroutine uses it. `async with`, or `aclose()` it.

    Timeouts are durations; `verify` is an SSLContext, the file of a certificate authority, or True for the usual ones.
    """

    def __init__(
        self,
        *,
        connect_timeout: str | int = CONNECT_TIMEOUT,
        read_timeout: str | int = READ_TIMEOUT,
        max_header_bytes: int = MAX_HEADER_BYTES,
        max_body_bytes: int = MAX_BODY_BYTES,
        verify: ssl.SSLContext | str | bool = True,
    ) -> None:
        try:
            import httpx
        except ImportError as error:
            raise ConfigurationError("HttpClient needs httpx: pip install 'motenet[apps]'") from error
        self.max_header_bytes = max_header_bytes
        self.max_body_bytes = max_body_bytes
        if verify is not False and not isinstance(verify, ssl.SSLContext):
            verify = _trust(verify if isinstance(verify, str) else None)
        patience = units.duration(read_timeout) / SECOND
        timeout = httpx.Timeout(patience, connect=units.duration(connect_timeout) / SECOND)
        self._client = httpx.AsyncClient(verify=verify, timeout=timeout, trust_env=False)

    async def __aenter__(self) -> "HttpClient":
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections that are kept alive."""
        await self._client.aclose()

    async def request(self, method: str, url: str, headers: Headers = (), body: str | bytes | None = None) -> Response:
        """Ask, and have the whole answer. HeaderTooLarge, BodyTooLarge, and what httpx raises."""
        async with self._ask(method, url, _pairs(headers), body) as answer:
            return _response(answer, b"".join([chunk async for chunk in self._body(answer)]))

    async def post_json(self, url: str, body: Any, headers: Headers = ()) -> Response:
        """Post JSON: any value, or a str or bytes that are JSON already; ValueError for NaN. As request."""
        return await self.request("POST", url, _for_json(headers), _text(body))

    async def post_streaming(self, url: str, body: Any, headers: Headers = (), *, on_chunk: OnChunk) -> Response:
        """Post JSON, and hand the answer's body out as it comes, each piece by `on_chunk(bytes)`, which may be async.

        A stream may be as long as it likes. The response has the status and the headers.
        """
        async with self._ask("POST", url, _for_json(headers), _text(body)) as answer:
            async for chunk in answer.aiter_raw():
                result = on_chunk(chunk)
                if isawaitable(result):
                    await result
            return _response(answer, b"")

    @asynccontextmanager
    async def _ask(
        self, method: str, url: str, headers: list[tuple[str, str]], body: str | bytes | None
    ) -> "AsyncIterator[httpx.Response]":
        """The answer, once its headers are there, and are not too large."""
        import httpx

        if not _has(headers, "Accept-Encoding"):
            headers = [*headers, ("Accept-Encoding", "identity")]
        request = self._client.build_request(method, url, headers=headers, content=body)
        try:
            answer = await self._client.send(request, stream=True)
        except httpx.RemoteProtocolError as error:
            if _is_too_large(error):
                raise HeaderTooLarge(f"{url}: the answer's header does not end") from error
            raise
        try:
            size = len(f"HTTP/1.1 200 {answer.reason_phrase}\r\n\r\n")
            size += sum(len(name) + len(value) + 4 for name, value in answer.headers.raw)
            if size > self.max_header_bytes:
                raise HeaderTooLarge(f"{url}: {size} bytes of headers, of which {self.max_header_bytes} are taken")
            yield answer
        finally:
            await answer.aclose()

    async def _body(self, answer: "httpx.Response") -> AsyncIterator[bytes]:
        """The pieces of a body that is not too large."""
        most, length = self.max_body_bytes, answer.headers.get("Content-Length", "")
        empty = answer.request.method == "HEAD" or answer.status_code == NOT_MODIFIED
        if not empty and length.isdigit() and int(length) > most:
            raise BodyTooLarge(f"{answer.url}: a body of {length} bytes, of which {most} are taken")
        size = 0
        async for chunk in answer.aiter_raw():
            size += len(chunk)
            if size > most:
                raise BodyTooLarge(f"{answer.url}: a body of more than {most} bytes")
            yield chunk


@cache
def _trust(authority: str | None) -> ssl.SSLContext:
    """Whom to trust: a file's authority, or httpx's own. Reading them takes a while, so that clients share it."""
    import httpx

    return (
        httpx.create_ssl_context(trust_env=False) if authority is None else ssl.create_default_context(cafile=authority)
    )


def _response(answer: "httpx.Response", body: bytes) -> Response:
    return Response(answer.status_code, tuple(answer.headers.multi_items()), body)


def _pairs(headers: Headers) -> list[tuple[str, str]]:
    return list(headers.items() if isinstance(headers, Mapping) else headers)


def _has(headers: list[tuple[str, str]], name: str) -> bool:
    return any(key.lower() == name.lower() for key, _ in headers)


def _for_json(headers: Headers) -> list[tuple[str, str]]:
    """The headers, with those of JSON where the caller gave none."""
    pairs = _pairs(headers)
    return pairs + [(name, JSON) for name in ("Content-Type", "Accept") if not _has(pairs, name)]


def _text(body: Any) -> str | bytes:
    return body if isinstance(body, str | bytes) else json.dumps(body, separators=(",", ":"), allow_nan=False)


def _is_too_large(error: BaseException | None) -> bool:
    """Whether h11 gave up because the header would not end: httpcore and httpx wrap its exception in theirs."""
    while error is not None:
        if getattr(error, "error_status_hint", None) == TOO_LARGE:
            return True
        error = error.__cause__ or error.__context__
    return False
