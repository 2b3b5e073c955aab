"""An ASGI application served by uvicorn, on a host: `server = bob.run(serve(app))`.

uvicorn is as it comes. What a world needs of it is said by its own options and by two methods that are meant to be
overridden: no signal handlers of the process, and no tick ten times a second, which would keep a world alive for ever
in which nothing can happen any more. (The tick renews the Date header; here each response gets its own.)
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from email.utils import formatdate
from typing import Any

from motenet.core.errors import ConfigurationError, MotenetError

try:
    import uvicorn
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
    from websockets.exceptions import InvalidState
except ImportError as error:
    raise ConfigurationError(f"serving ASGI applications needs {error.name}: pip install 'motenet[apps]'") from error

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
"""An ASGI 3 application."""


class StartupFailed(MotenetError):
    """The application's lifespan says that it cannot start."""


async def serve(
    app: Application,
    port: int | None = None,
    host: str = "",
    *,
    ssl_context: ssl.SSLContext | None = None,
    certificate: str | None = None,
    key: str | None = None,
    **options: Any,
) -> "AsgiServer":
    """Serve on the host that this coroutine runs on, at one of its addresses or at all; returns once it listens.

    The port is 80, or 443 with TLS, for which there is an SSLContext, or a file with the certificate and perhaps one
    with its key. `options` are uvicorn.Config's (lifespan, ws_ping_interval, timeout_keep_alive ...).
    OSError if the port is taken, StartupFailed if the application does not start.
    """
    if not callable(app):
        raise ConfigurationError(f"{app!r} is no ASGI application: give the application itself, such as a Starlette")
    if ssl_context is not None and certificate is not None:
        raise ConfigurationError("give ssl_context or certificate, not both")
    secure = ssl_context is not None or certificate is not None
    chosen: dict[str, Any] = {
        "host": host,
        "port": (443 if secure else 80) if port is None else port,
        "http": "h11",
        "ws": WebSocket,
        "loop": "none",
        "log_config": None,
        "log_level": "warning",
        "date_header": False,
        "ssl_certfile": certificate,
        "ssl_keyfile": key,
    }
    if ssl_context is not None:
        chosen["ssl_context_factory"] = lambda config, default: ssl_context
    server = AsgiServer(uvicorn.Config(_calm(_dated(app)), **chosen | options))
    await server.begin()
    return server


class WebSocket(WebSocketsSansIOProtocol):
    """uvicorn's, which raises InvalidState where the server is stopped while the peer's closing is under way."""

    def shutdown(self) -> None:
        try:
            super().shutdown()
        except InvalidState:
            self.transport.close()


class AsgiServer(uvicorn.Server):
    """uvicorn at work: `stop` it, or use it as an async context manager."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._listening = asyncio.Event()
        self._wanted = asyncio.Event()
        """Its end is."""
        self._failure: BaseException | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """Where it listens: a number also if it was 0."""
        number: int = self.servers[0].sockets[0].getsockname()[1]
        return number

    async def begin(self) -> None:
        """Start; returns once it listens. See serve."""
        self._task = asyncio.create_task(self.serve(), name=f"uvicorn at port {self.config.port}")
        await self._listening.wait()
        if self._failure is not None:
            await self._task
            raise self._failure

    async def stop(self) -> None:
        """Take no more connections, let requests come to their ends, tell the application, and end."""
        self.should_exit = True
        self._wanted.set()
        await self.ended()

    async def ended(self) -> None:
        """Wait until it has been stopped."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def __aenter__(self) -> "AsgiServer":
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.stop()

    # --- what uvicorn calls

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The process's signals are not a machine's."""
        yield

    async def startup(self, sockets: Any = None) -> None:
        """uvicorn ends the process if this fails; here it ends this server alone."""
        try:
            await super().startup(sockets)
        except SystemExit as exit:
            cause = exit.__context__
            refused = StartupFailed("the application does not start; the log of uvicorn.error says why")
            self._failure = cause if isinstance(cause, OSError) else refused
            self.should_exit = True
        except Exception as error:
            self._failure = error
            self.should_exit = True
        finally:
            self._listening.set()

    async def main_loop(self) -> None:
        """Until somebody stops it."""
        await self.on_tick(0)
        await self._wanted.wait()


def _calm(app: Application) -> Application:
    """The application, whose lifespan is not told as failed where its world ends before the server was stopped."""

    async def calm(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        cancelled = False

        async def receive_until_cancelled() -> Message:
            nonlocal cancelled
            try:
                return await receive()
            except asyncio.CancelledError:
                cancelled = True
                raise

        async def send_unless_cancelled(message: Message) -> None:
            if not cancelled:
                await send(message)

        if scope["type"] == "lifespan":
            await app(scope, receive_until_cancelled, send_unless_cancelled)
        else:
            await app(scope, receive, send)

    return calm


def _dated(app: Application) -> Application:
    """The application, each of whose responses says when it was made (RFC 9110, 6.6.1)."""

    async def dated(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                if not any(name.lower() == b"date" for name, _ in headers):
                    headers.insert(0, (b"date", formatdate(usegmt=True).encode()))
                message = {**message, "headers": headers}
            await send(message)

        await app(scope, receive, send_dated if scope["type"] == "http" else send)

    return dated
