"""The verbs for streams of bytes: TCP, and TLS on top of it."""

from typing import Any, Protocol, TypeVar

from motenet.core.checksum import Buffer
from motenet.core.errors import ConfigurationError
from motenet.core.units import duration, format_duration
from motenet.stack.address import check_port, format_address, format_endpoint, parse_address
from motenet.stack.errors import HostUnreachable, StackError, TimedOut
from motenet.stack.sockets.datagram import check_data
from motenet.stack.sockets.secure import SecureListener, SecureStream, Security, Stream
from motenet.stack.sockets.tcp.control_block import CAPACITY, check_buffer
from motenet.stack.sockets.tcp.handshake import Endpoint
from motenet.stack.sockets.tcp.listener import BACKLOG, TcpListener
from motenet.stack.sockets.tcp.socket import TcpSocket
from motenet.stack.sockets.tcp.state import State
from motenet.stack.waiting import Duration, Place, Waiting, check_least

_OPENING = (State.SYN_SENT, State.SYN_RECEIVED)
_CLOSED = (State.FIN_WAIT_2, State.TIME_WAIT, State.CLOSED)

_S = TypeVar("_S", covariant=True)


class _Listens(Protocol[_S]):
    @property
    def local(self) -> Endpoint: ...
    @property
    def closed(self) -> bool: ...
    @property
    def can_accept(self) -> bool: ...
    def accept(self) -> _S | None: ...


class StreamVerbs(Waiting):
    """Connections; one verb does for TCP and TLS alike, once there is one."""

    tls: Security | None = None
    """Wiring: who makes TLS of TCP. Hosts have it; a bare stack's is set by hand, to motenet.sim.tls.Tls()."""

    def tcp_connect(
        self, host: str | bytes, port: int, timeout: Duration = "10s", *, buffer: str | int = CAPACITY
    ) -> TcpSocket:
        """A connection that is established. ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut.

        `host` is an address or a name; then DNS gives its addresses, which are tried one after the other, each for its
        share of what is left of `timeout`, and the last one's error is raised; or those of `dns_resolve`.
        `buffer` ("1MiB"): what each direction holds, and with it the largest window.
        """
        self._check_top_level()
        return self._connect(host, port, timeout, buffer)

    def tls_connect(
        self,
        host: str | bytes,
        port: int,
        timeout: Duration = "10s",
        *,
        context: Any = None,
        server_hostname: str | None = None,
        session: Any = None,
        buffer: str | int = CAPACITY,
    ) -> SecureStream:
        """As `tcp_connect`, with TLS on top (motenet.sim.tls.TlsSocket), its handshake done within `timeout` too.

        `context` is an ssl.SSLContext; None: ssl.create_default_context(). `server_hostname` is whom the certificate
        has to name; None: `host`. `session` resumes an earlier one (`ssl_object.session`). Also raises
        ssl.SSLCertVerificationError and ssl's other errors, as they are.
        """
        self._check_top_level()
        context = self._security.context(context, server_side=False)
        if server_hostname is None:
            name = host.partition("%")[0] if isinstance(host, str) else format_address(parse_address(host))
            server_hostname = name.removesuffix(".")
        deadline = self._deadline(timeout)
        tcp = self._connect(host, port, timeout, buffer)
        try:
            stream = self._security.wrap(tcp, context, server_hostname=server_hostname, session=session)
        except ConfigurationError:
            tcp.abort()
            tcp.release()
            raise
        return self._shake_hands(stream, deadline, timeout)

    def tcp_listen(
        self, port: int, address: str | bytes = b"", backlog: int = BACKLOG, *, buffer: str | int = CAPACITY
    ) -> TcpListener:
        """A listener; its connections have such buffers. AddressInUse if there is one already."""
        return self.sockets.tcp_listen(port, address, backlog, buffer)

    def tls_listen(
        self,
        port: int,
        context: Any,
        address: str | bytes = b"",
        backlog: int = BACKLOG,
        *,
        buffer: str | int = CAPACITY,
    ) -> SecureListener:
        """A listener that shakes hands by itself, as soon as somebody connects; `context` has our certificate.

        Unlike `tls_accept` on a TcpListener it needs nobody to wait for the client: one script can play both sides.
        """
        security = self._security
        context = security.context(context, server_side=True)
        listener = self.tcp_listen(port, address, backlog, buffer=buffer)
        return SecureListener(listener, lambda tcp: security.wrap(tcp, context, server_side=True))

    def tcp_accept(self, listener: TcpListener, timeout: Duration = "10s") -> TcpSocket:
        """The next connection to a listener. TimedOut if none comes, StackError once it is closed."""
        self._check_top_level()
        return self._accept(listener, timeout)

    def tls_accept(
        self, listener: TcpListener | SecureListener, context: Any = None, timeout: Duration = "10s"
    ) -> SecureStream:
        """The next connection to a listener, its handshake done. TimedOut; ssl's errors if the handshake fails.

        `context` has our certificate; a listener of `tls_listen` has it already, and forgets handshakes that fail.
        """
        self._check_top_level()
        if isinstance(listener, SecureListener):
            return self._accept(listener, timeout)
        context = self._security.context(context, server_side=True)
        deadline = self._deadline(timeout)
        tcp = self._accept(listener, timeout)
        return self._shake_hands(self._security.wrap(tcp, context, server_side=True), deadline, timeout)

    def tcp_send(self, socket: Stream, data: Buffer, timeout: Duration = "60s") -> None:
        """Hand all of `data` to a connection. TimedOut if its buffer stays full; the connection's errors."""
        self._check_top_level()
        _check_stream(socket)
        view, deadline = memoryview(check_data(data)), self._deadline(timeout)
        while True:
            view = view[socket.send(view) :]
            if not view:
                return
            if not self._wait(lambda: socket.can_send or not socket.may_send, deadline):
                raise TimedOut(
                    f"{len(view)} of {len(data)} bytes could not be sent: "
                    f"{format_endpoint(*socket.remote)} does not take them"
                )

    def tcp_receive(self, socket: Stream, size: int = 65536, timeout: Duration = "60s") -> bytes:
        """Up to `size` bytes, once there are some; none: the peer has closed. TimedOut; the connection's errors."""
        self._check_top_level()
        _check_stream(socket)
        check_least("size", size, 1, "ask for one byte or more")
        if not self._wait(lambda: socket.can_recv or not socket.may_recv, self._deadline(timeout)):
            raise TimedOut(
                f"{format_endpoint(*socket.remote)} has sent nothing within {format_duration(duration(timeout))}"
            )
        return socket.recv(size)

    def tcp_close(self, socket: Stream, timeout: Duration = "60s") -> None:
        """Close a connection, and wait until the peer has all that was sent. TimedOut, after which it is aborted.

        With TLS the peer's close_notify is waited for too, as the ssl module's unwrap() does; a FIN will do.
        """
        self._check_top_level()
        _check_stream(socket)
        deadline = self._deadline(timeout)
        socket.close()
        done = self._wait(lambda: socket.state in _CLOSED, deadline)
        if not done:
            socket.abort()
        error, peer = socket.error, format_endpoint(*socket.remote)
        socket.release()
        if not done:
            raise TimedOut(f"{peer} has not taken all within {format_duration(duration(timeout))}; now it is reset")
        if error is not None:
            raise error

    # --- their parts

    @property
    def _security(self) -> Security:
        if self.tls is None:
            raise ConfigurationError(
                "this stack has no TLS, which needs an operating system's library: "
                "set stack.tls = motenet.sim.tls.Tls(), or use a host of a world"
            )
        return self.tls

    def _connect(self, host: str | bytes, port: int, timeout: Duration, buffer: str | int) -> TcpSocket:
        check_port(port)
        check_buffer(buffer)
        deadline = self._deadline(timeout)
        places = self._look_up(host, timeout)
        for left in range(len(places), 0, -1):
            share = max(deadline - self.clock.now, 0) // left
            try:
                return self._connect_to(places[-left], port, share, buffer)
            except OSError:
                if left == 1:
                    raise
        raise AssertionError("a name has an address, or is an error")

    def _connect_to(self, place: Place, port: int, timeout: int, buffer: str | int) -> TcpSocket:
        destination, interface = place
        socket = self.sockets.tcp_connect(destination, port, interface=interface, buffer=buffer)
        what = format_endpoint(*socket.remote)
        self._wait(lambda: socket.state not in _OPENING or socket.soft_failure != "", self._deadline(timeout))
        if socket.error is not None:
            error = socket.error
            socket.release()
            raise error
        if socket.state in _OPENING:
            failure = socket.soft_failure
            socket.abort()
            socket.release()
            if failure:
                raise HostUnreachable(
                    f"{what} cannot be reached ({failure}): check the address, the cable and the peer"
                )
            raise TimedOut(f"{what} has not answered within {format_duration(timeout)}")
        return socket

    def _accept(self, listener: _Listens[_S], timeout: Duration) -> _S:
        if not isinstance(listener, TcpListener | SecureListener):
            raise ConfigurationError(f"{listener!r} is no listener: give what tcp_listen or tls_listen has returned")
        self._wait(lambda: listener.can_accept or listener.closed, self._deadline(timeout))
        found, port = listener.accept(), listener.local[1]
        if found is not None:
            return found
        if listener.closed:
            raise StackError(f"the listener at port {port} is closed: make another one")
        raise TimedOut(f"nobody has connected to port {port} within {format_duration(duration(timeout))}")

    def _shake_hands(self, stream: SecureStream, deadline: int, timeout: Duration) -> SecureStream:
        self._wait(lambda: stream.established or stream.error is not None, deadline)
        if stream.established:
            return stream
        error = stream.error
        if error is None:
            stream.abort()
            error = TimedOut(
                f"{format_endpoint(*stream.remote)} has not finished the TLS handshake "
                f"within {format_duration(duration(timeout))}"
            )
        stream.release()
        raise error


def _check_stream(socket: Stream) -> None:
    """ConfigurationError for what is no connection."""
    if not isinstance(socket, TcpSocket) and not isinstance(socket, Stream):
        raise ConfigurationError(f"{socket!r} is no connection: give what tcp_connect or tcp_accept has returned")
