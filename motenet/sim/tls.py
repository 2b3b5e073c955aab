"""TLS in virtual time: the ssl module's engine on our TCP, which the verbs `tls_connect` and `tls_accept` use."""

import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import WeakValueDictionary

from motenet.core.checksum import Buffer
from motenet.core.clock import FOREVER
from motenet.core.errors import ConfigurationError, SnapshotError
from motenet.core.state import Component, Plain
from motenet.stack.address import format_endpoint
from motenet.stack.errors import BrokenPipe
from motenet.stack.sockets.datagram import check_data
from motenet.stack.sockets.tcp.handshake import Endpoint
from motenet.stack.sockets.tcp.socket import TcpSocket
from motenet.stack.sockets.tcp.state import Failure, State, exception
from motenet.stack.sockets.tcp.timers import FIN_WAIT_2_ORPHANED, USER_TIMEOUT

RECORD = 1 << 14
"""RFC 8446, 5.1: the most that one record carries."""
_CHUNK = 1 << 16
_OPENING = (State.SYN_SENT, State.SYN_RECEIVED)
_BOTH_CLOSED = (State.CLOSING, State.LAST_ACK, State.TIME_WAIT, State.CLOSED)


class TlsSocket:
    """TLS (1.2, 1.3) on one end of a TCP connection, with the face of a TcpSocket. Errors are the ssl module's.

    It has no half-close, as the ssl module has none: the peer's close_notify is answered at once (RFC 5246, 7.2.1),
    and what comes after our own is not kept. It closes TCP when both have been sent. A peer that closes TCP without
    one may have been cut off by somebody else: SSLEOFError (RFC 8446, 6.1).
    """

    def __init__(
        self,
        tcp: TcpSocket,
        context: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self.tcp = tcp
        self.waker: Callable[[], None] | None = None
        """Tells the application that something changed: data, room, state or an error."""
        self.established = False
        """The handshake is done, and the peer's certificate good, if the context asks for one."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl_object = context.wrap_bio(self._incoming, self._outgoing, server_side, server_hostname, session)
        """The engine: ALPN, session, certificates and all else that TLS has agreed on."""
        self._received = bytearray()  # what the application has not read yet
        self._unsent = b""  # what TCP had no room for yet
        self._error: Exception | None = None
        self._closing = False  # close() was called, or has become due
        self._notified = False  # our close_notify has been written
        self._ended = False  # the peer's has come
        self._released = False
        self._busy = False
        tcp.waker = self._advance
        self._go_on()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.version or 'in the handshake'} with {format_endpoint(*self.remote)}>"

    # --- what was agreed on

    @property
    def version(self) -> str | None:
        """ "TLSv1.3"; None before the handshake is done."""
        return self.ssl_object.version() if self.established else None

    @property
    def cipher(self) -> tuple[str, str, int] | None:
        """Its name, the protocol that defines it, and the number of secret bits."""
        return self.ssl_object.cipher()

    @property
    def peer_certificate(self) -> dict[str, Any] | None:
        """As ssl.SSLSocket.getpeercert gives it; None if the peer has shown none."""
        return self.ssl_object.getpeercert() if self.established else None

    # --- a TcpSocket's face

    @property
    def local(self) -> Endpoint:
        """Our address and port."""
        return self.tcp.local

    @property
    def remote(self) -> Endpoint:
        """The peer's address and port."""
        return self.tcp.remote

    @property
    def state(self) -> State:
        """The TCP connection's."""
        return self.tcp.state

    @property
    def error(self) -> Exception | None:
        """Why it failed: an ssl.SSLError, or what has happened to the TCP connection."""
        return self._error

    @property
    def may_send(self) -> bool:
        """Whether our direction is open."""
        return not self._closing and self._error is None

    @property
    def can_send(self) -> bool:
        """Whether `send` would take something."""
        return self.established and self.may_send and not self._unsent and self.tcp.can_send

    @property
    def may_recv(self) -> bool:
        """Whether data is there or may still come."""
        return bool(self._received) or self.may_send

    @property
    def can_recv(self) -> bool:
        """Whether `recv` would give something."""
        return bool(self._received)

    def send(self, data: Buffer, /) -> int:
        """Encrypt and queue data; returns how many bytes there was room for. Raises `error`; BrokenPipe once closed."""
        if self._error is not None:
            raise self._error.with_traceback(None)
        if self._closing:
            raise BrokenPipe(f"TLS with {format_endpoint(*self.remote)} was closed, which ends both directions at once")
        view = memoryview(check_data(data))
        taken = 0
        while taken < len(view) and self.can_send:
            try:
                taken += self.ssl_object.write(view[taken : taken + RECORD])
            except ssl.SSLWantReadError:
                break  # the peer has to say something first
            self._flush()
        return taken

    def recv(self, size: int, /) -> bytes:
        """Up to `size` bytes; none: there are none now, or `may_recv` is False, and it ends.

        Raises `error` once all is read.
        """
        received, size = self._received, max(size, 0)
        if received:
            data = bytes(received[:size])
            full = self._is_full
            del received[:size]
            if full and not self._is_full:
                self._go_on()
            return data
        if self._error is not None and size:
            raise self._error.with_traceback(None)
        return b""

    def close(self) -> None:
        """No more data will be sent: close_notify follows what was, and once it is answered TCP is closed."""
        if not self._closing:
            self._closing = True
            self._go_on()

    def abort(self) -> None:
        """End the connection at once, with a reset to the peer."""
        self.tcp.abort()

    def release(self) -> None:
        """The application goes away: close_notify is sent, and its answer not waited for; the rest is the stack's."""
        self.waker = None
        if self.tcp.user_timeout is None:
            self.tcp.user_timeout = USER_TIMEOUT  # as TcpSocket.release does
        self._released = True
        self._closing = True
        self._go_on()

    # --- what happens below

    @property
    def _is_full(self) -> bool:
        """As much waits to be read as TCP would buffer: then TCP does so, and its window closes."""
        return len(self._received) >= self.tcp.receiver.ring.capacity

    def _advance(self) -> None:
        """TCP's waker."""
        self._go_on()
        if self.waker is not None:
            self.waker()

    def _go_on(self) -> None:
        """Do all that can be done now. Never raises: `error` keeps what went wrong."""
        if self._busy or self.tcp.state in _OPENING:
            return
        self._busy = True
        try:
            self._take()
            self._flush()
            self._finish()
        finally:
            self._busy = False

    def _take(self) -> None:
        """Decrypt what has come, until there is no more of it, or no room."""
        tcp = self.tcp
        while not self._ended and self._error is None and (self._closing or not self._is_full):
            if self._step():
                continue
            if tcp.can_recv:
                self._incoming.write(tcp.recv(_CHUNK))
            elif tcp.may_recv:
                return
            elif tcp.error is not None:
                self._error = tcp.error
            elif self._closing:
                self._ended = True  # a FIN in place of the answer: whoever wanted to close misses nothing
            else:
                self._incoming.write_eof()
        while tcp.can_recv and (self._ended or self._error is not None):
            tcp.recv(_CHUNK)  # nobody will read it, but a reset could overtake our alert

    def _step(self) -> bool:
        """Let the engine take a record; says whether it had one."""
        try:
            if not self.established:
                self.ssl_object.do_handshake()
                self.established = True
                return True
            data = self.ssl_object.read(RECORD)
            if not data:
                self._ended = True
            elif not self._closing:
                self._received += data
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLZeroReturnError:
            self._ended = True
        except ssl.SSLError as error:
            self._error = error
        return True

    def _flush(self) -> None:
        """Hand to TCP what the engine has written."""
        tcp = self.tcp
        if not tcp.may_send:
            self._unsent = b""
            return
        while True:
            self._unsent = self._unsent or self._outgoing.read()
            taken = tcp.send(self._unsent)
            if not taken:
                return
            self._unsent = self._unsent[taken:]

    def _finish(self) -> None:
        """Close what is to be closed: first TLS, then TCP below it."""
        tcp = self.tcp
        self._closing |= self._ended
        if self._closing and self.established and self._error is None and not self._notified:
            self._notified = True
            with suppress(ssl.SSLError):  # close_notify is written; its answer is yet to come
                self.ssl_object.unwrap()
            self._flush()
        done = self._ended or self._released or not self.established
        if (self._error is not None or (self._closing and done)) and not self._unsent:
            tcp.close()
        if self._released:
            self._linger()

    def _linger(self) -> None:
        """Nobody is left but us to take what the peer still sends: it is to see no reset, but a close in good order."""
        tcp = self.tcp
        if tcp.state in _BOTH_CLOSED:
            tcp.release()
        elif tcp.state is State.FIN_WAIT_2 and tcp.close_at == FOREVER:  # what still comes buys no more time
            tcp.close_at = tcp.clock.now + FIN_WAIT_2_ORPHANED
            tcp.ready()

    # --- snapshots

    @property
    def is_over(self) -> bool:
        """Whether nothing is left of it but TCP."""
        lingers = self._released and self.tcp.waker is not None
        return (self._ended or self._error is not None) and not self._received and not lingers

    def undo(self) -> None:
        """The world was restored to before this connection spoke TLS; it is of no use any more."""
        self.tcp.waker = None
        self.established = False  # so that a listener does not hand it out, nor keeps a place for it
        self._received.clear()
        self._error = exception(Failure.UNDONE, self.remote)


class Tls(Component):
    """A stack's TLS (`stack.tls`): makes its connections, and knows them, as no snapshot can carry their keys."""

    def __init__(self, path: str = "tls") -> None:
        self.path = path
        self._sockets: WeakValueDictionary[str, TlsSocket] = WeakValueDictionary()

    def context(self, given: Any, server_side: bool) -> ssl.SSLContext:
        """The context itself; a client without one gets ssl.create_default_context(), as elsewhere in Python."""
        if given is None and not server_side:
            return ssl.create_default_context()
        if not isinstance(given, ssl.SSLContext):
            raise ConfigurationError(
                f"context={given!r}: give an ssl.SSLContext; a server's has its certificate, by load_cert_chain()"
            )
        if given.protocol == (ssl.PROTOCOL_TLS_CLIENT if server_side else ssl.PROTOCOL_TLS_SERVER):
            own, other = ("server", "CLIENT_AUTH") if server_side else ("client", "SERVER_AUTH")
            raise ConfigurationError(
                f"this context is not for a {own}; ssl.create_default_context(ssl.Purpose.{other}) makes one"
            )
        if server_side and given.check_hostname:
            raise ConfigurationError("this context's check_hostname is for a client: a client has no name to check")
        return given

    def wrap(
        self, tcp: TcpSocket, context: Any, server_side: bool = False, server_hostname: str = "", session: Any = None
    ) -> TlsSocket:
        """TLS on a connection; the handshake begins. ConfigurationError for a name that cannot be checked."""
        name = server_hostname or None
        try:
            if context.check_hostname and name is None:  # wrap_bio() would check nothing then
                raise ValueError("the context's check_hostname needs a name")
            socket = TlsSocket(tcp, context, server_side=server_side, server_hostname=name, session=session)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(f"server_hostname={server_hostname!r}: {error}") from error
        self._sockets[tcp.path] = socket
        return socket

    def save(self) -> Plain:
        for socket in self._sockets.values():
            if not socket.is_over:
                raise SnapshotError(f"no snapshot can carry TLS: let both sides close it first ({socket!r})")
        return super().save()

    def load(self, state: Plain) -> None:
        for socket in list(self._sockets.values()):
            socket.undo()
        self._sockets.clear()
