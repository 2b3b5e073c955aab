"""Streams of bytes, plain or secured: TLS itself needs an operating system's library, so that it comes as wiring."""

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from motenet.core.checksum import Buffer
from motenet.stack.sockets.tcp.handshake import Endpoint
from motenet.stack.sockets.tcp.listener import TcpListener
from motenet.stack.sockets.tcp.socket import TcpSocket
from motenet.stack.sockets.tcp.state import State

REMEMBERED = 16
"""Failed handshakes that a listener keeps the errors of."""


@runtime_checkable
class Stream(Protocol):
    """What `tcp_send`, `tcp_receive` and `tcp_close` work on: a TcpSocket, or TLS on top of one."""

    waker: Callable[[], None] | None

    @property
    def remote(self) -> Endpoint: ...
    @property
    def state(self) -> State: ...
    @property
    def error(self) -> Exception | None: ...
    @property
    def can_send(self) -> bool: ...
    @property
    def may_send(self) -> bool: ...
    @property
    def can_recv(self) -> bool: ...
    @property
    def may_recv(self) -> bool: ...
    def send(self, data: Buffer, /) -> int: ...
    def recv(self, size: int, /) -> bytes: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def release(self) -> None: ...


class SecureStream(Stream, Protocol):
    """TLS on a connection; see motenet.sim.tls.TlsSocket."""

    @property
    def established(self) -> bool: ...
    @property
    def version(self) -> str | None: ...
    @property
    def cipher(self) -> tuple[str, str, int] | None: ...
    @property
    def peer_certificate(self) -> dict[str, Any] | None: ...
    @property
    def ssl_object(self) -> Any: ...


class Security(Protocol):
    """Who makes TLS of TCP; see motenet.sim.tls.Tls."""

    def context(self, given: Any, server_side: bool) -> Any:
        """The context to be used: what was given, or the usual one. ConfigurationError if it does not suit."""

    def wrap(
        self, tcp: TcpSocket, context: Any, server_side: bool = False, server_hostname: str = "", session: Any = None
    ) -> SecureStream:
        """A connection on which the handshake is begun."""


class SecureListener:
    """A listener whose connections speak TLS: each is handed out once its handshake is done, and only then."""

    def __init__(self, listener: TcpListener, wrap: Callable[[TcpSocket], SecureStream]) -> None:
        self.waker: Callable[[], None] | None = None
        """Tells the application that something changed."""
        self.failures: deque[Exception] = deque(maxlen=REMEMBERED)
        """Why the latest handshakes have failed."""
        self._listener = listener
        self._wrap = wrap
        self._waiting: list[SecureStream] = []
        self.closed = False
        listener.waker = self._advance
        self._go_on()

    @property
    def local(self) -> Endpoint:
        """Address (empty: any) and port."""
        return self._listener.local

    @property
    def can_accept(self) -> bool:
        """Whether `accept` would give a connection."""
        return any(stream.established for stream in self._waiting)

    def accept(self) -> SecureStream | None:
        """The connection that has waited longest, out of the handshake; None: there is none now."""
        for stream in self._waiting:
            if stream.established:
                self._forget(stream)
                self._go_on()
                return stream
        return None

    def close(self) -> None:
        """Listen no more; connections that were not accepted are reset."""
        self.closed = True
        self._listener.waker = None
        self._listener.close()
        for stream in list(self._waiting):
            self._give_up(stream)

    def _advance(self) -> None:
        """The waker of all that is below."""
        self._go_on()
        if self.waker is not None:
            self.waker()

    def _go_on(self) -> None:
        for stream in list(self._waiting):
            if not stream.established and stream.error is not None:
                self.failures.append(stream.error)
                self._forget(stream)
                stream.release()
        while self._listener.can_accept and self._has_room():
            tcp = self._listener.accept()
            assert tcp is not None, "it can accept"
            stream = self._wrap(tcp)
            self._waiting.append(stream)
            stream.waker = self._advance

    def _has_room(self) -> bool:
        """As a listener's half-open connections do (RFC 4987, 3.4), the oldest unfinished handshake makes way."""
        if len(self._waiting) < self._listener.backlog:
            return True
        for stream in self._waiting:
            if not stream.established:
                self._give_up(stream)
                return True
        return False

    def _give_up(self, stream: SecureStream) -> None:
        self._forget(stream)
        stream.abort()
        stream.release()

    def _forget(self, stream: SecureStream) -> None:
        self._waiting.remove(stream)
        stream.waker = None
