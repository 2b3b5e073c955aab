"""The event loop: asyncio's connections, servers and datagrams on the emulated network (PEP 3156)."""

import asyncio
import socket
import ssl as tls_library
from collections.abc import Callable, Sequence
from typing import IO, Any
from weakref import WeakKeyDictionary, finalize

from motenet.core.clock import Clock
from motenet.core.errors import MotenetError
from motenet.sim.aio import names
from motenet.sim.aio.clients import Local, binding_failed, check_ours, connect, connect_first, interleave
from motenet.sim.aio.datagram import DatagramTransport, open_udp
from motenet.sim.aio.errors import standard
from motenet.sim.aio.facade import Address, socket_address
from motenet.sim.aio.place import stack_here
from motenet.sim.aio.sendfile import send_file
from motenet.sim.aio.server import WorldServer
from motenet.sim.aio.stream import StreamTransport
from motenet.sim.aio.tasks import Tasks
from motenet.sim.aio.tls import Security, application_side, client_context, start_tls
from motenet.sim.aio.transport import WorldTransport
from motenet.stack import NetworkStack
from motenet.stack.sockets.tcp import TcpListener, TcpSocket
from motenet.stack.sockets.tcp.timers import KEEP_ALIVE

ProtocolFactory = Callable[[], Any]

SYN_BACKLOG = 4096
"""Connections of a server that may be half open. For listen(2) only those count that wait to be accepted, which on a
loop is for an instant; Linux holds as many half open ones besides (tcp_max_syn_backlog), and has cookies for more."""


class WorldLoop(Tasks):
    """A world's loop. What a coroutine opens is on the stack of the host that it was spawned on.

    Subprocesses, pipes, file descriptors, Unix sockets and real sockets are not there: they raise what
    asyncio.AbstractEventLoop raises for what a loop does not have.
    """

    def __init__(self, clock: Clock, seed: int = 0) -> None:
        super().__init__(clock, seed)
        self.transports: dict[WorldTransport, None] = {}
        """Those that are open."""
        self.servers: dict[WorldServer, None] = {}
        """Those that listen."""
        self._adopted: WeakKeyDictionary[socket.socket, tuple[TcpSocket, Any]] = WeakKeyDictionary()

    @property
    def busy(self) -> bool:
        """Whether there are tasks, connections or servers: what no snapshot can carry."""
        return bool(self.tasks or self.transports or self.servers)

    def hang_up(self) -> None:
        """Abort all connections, and listen no more."""
        for server in list(self.servers):
            server.close()
        for transport in list(self.transports):
            transport.abort()

    # --- names

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        """By the stack's DNS client; a world's machines have no files of names. socket.gaierror."""
        return await names.look_up(self, stack_here(), host, port, family, type, proto, flags)

    async def getnameinfo(self, sockaddr: Sequence[Any], flags: int = 0) -> tuple[str, str]:
        """The host as an address, and the port as its service's name if it has one. socket.gaierror."""
        return names.name_of(stack_here(), sockaddr, flags)

    # --- TCP

    async def create_connection(
        self,
        protocol_factory: ProtocolFactory,
        host: str | None = None,
        port: Any = None,
        *,
        ssl: Any = None,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        sock: socket.socket | None = None,
        local_addr: Local | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        happy_eyeballs_delay: float | None = None,
        interleave: int | None = None,
        all_errors: bool = False,
    ) -> Any:
        """A connection to a host, whose addresses are tried in turn, or by a socket of `sock_connect`."""
        hostname = _check_tls(ssl, host, server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout)
        if (sock is None) == (host is None and port is None):
            raise ValueError("give either host and port, or a connected sock")
        if sock is not None:
            inner = self._adopt(sock)
        else:
            infos = await self.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, proto=proto, flags=flags)
            local = None if local_addr is None else await self._local_addresses(local_addr, family, proto, flags)
            if interleave is None and happy_eyeballs_delay is not None:
                interleave = 1
            infos = _interleave(infos, interleave) if interleave else infos
            inner = await connect_first(self, stack_here(), infos, local, happy_eyeballs_delay, all_errors)
        try:
            security = None
            if ssl:
                context = client_context(ssl)
                security = Security(context, False, hostname, ssl_handshake_timeout, ssl_shutdown_timeout)
            protocol = protocol_factory()
        except BaseException:
            inner.release()
            raise
        return await self._begin(inner, protocol, security), protocol

    async def _local_addresses(self, local: Local, family: int, proto: int, flags: int) -> list[Address]:
        infos = await self.getaddrinfo(*local, family=family, type=socket.SOCK_STREAM, proto=proto, flags=flags)
        return [info[4] for info in infos]

    async def _begin(
        self, inner: TcpSocket, protocol: asyncio.BaseProtocol, security: Security | None
    ) -> asyncio.Transport:
        """The transport of a connection that is open, once its protocol, and TLS, are ready."""
        waiter = self.create_future()
        transport: asyncio.Transport
        if security is None:
            transport = StreamTransport(self, stack_here(), inner, protocol, waiter)
        else:
            layer = security.layer(self, protocol, waiter)
            StreamTransport(self, stack_here(), inner, layer)
            transport = application_side(layer)
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        return transport

    async def create_server(
        self,
        protocol_factory: ProtocolFactory,
        host: str | Sequence[str] | None = None,
        port: Any = None,
        *,
        family: int = socket.AF_UNSPEC,
        flags: int = socket.AI_PASSIVE,
        sock: socket.socket | None = None,
        backlog: int = 100,
        ssl: Any = None,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        keep_alive: bool | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
    ) -> Any:
        """Listen at a port of some of this host's addresses, or of all; port 0 is a free one."""
        if isinstance(ssl, bool):
            raise TypeError("ssl argument must be an SSLContext or None")
        if sock is not None or (host is None and port is None):
            raise ValueError("a world's server takes no real socket: give host and port")
        _check_tls(ssl, "-", None, ssl_handshake_timeout, ssl_shutdown_timeout)
        stack = stack_here()
        hosts = [host or None] if host is None or isinstance(host, str) else list(host)
        listeners = _listen(stack, await self._local(stack, hosts, port, family, flags), backlog)
        security = None
        if ssl is not None:
            security = Security(ssl, True, None, ssl_handshake_timeout, ssl_shutdown_timeout)

        def take(inner: TcpSocket, left: Callable[[StreamTransport], None]) -> StreamTransport:
            if keep_alive:
                inner.keep_alive = KEEP_ALIVE
            protocol = protocol_factory()
            if security is not None:
                protocol = security.layer(self, protocol)
            return StreamTransport(self, stack, inner, protocol, None, left)

        server = WorldServer(self, stack, listeners, take)
        if start_serving:
            server.begin()
        return server

    async def _local(
        self, stack: NetworkStack, hosts: Sequence[str | None], port: Any, family: int, flags: int
    ) -> list[tuple[bytes, int]]:
        """Where to listen; no address for all of them."""
        found: dict[tuple[bytes, int], None] = {}
        for host in hosts:
            infos = await self.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=flags)
            for info in infos:
                address = names.endpoint(stack, info[4])[0]
                found[address if any(address) else b"", info[4][1]] = None
        everywhere = [one for one in found if not one[0]]
        return everywhere or list(found)

    async def start_tls(
        self,
        transport: Any,
        protocol: asyncio.BaseProtocol,
        sslcontext: tls_library.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Any:
        """Secure a connection that is open; go on with the transport that is returned."""
        if not isinstance(sslcontext, tls_library.SSLContext):
            raise TypeError(f"sslcontext is expected to be an instance of ssl.SSLContext, got {sslcontext!r}")
        if not getattr(transport, "_start_tls_compatible", False):
            raise TypeError(f"transport {transport!r} is not supported by start_tls()")
        security = Security(sslcontext, server_side, server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout)
        return await start_tls(self, transport, protocol, security)

    async def sendfile(
        self, transport: Any, file: IO[bytes], offset: int = 0, count: int | None = None, *, fallback: bool = True
    ) -> int:
        """Send a file; there is no sendfile(2) here, so that `fallback=False` is a RuntimeError."""
        if not fallback:
            raise RuntimeError("an emulated connection has no sendfile system call: leave fallback on")
        return await send_file(self, transport, file, offset, count)

    # --- real sockets as handles: aiohttp makes its own, and asks the loop to connect them

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Open the emulated connection that this socket object stands for; it itself stays unused."""
        infos = await self.getaddrinfo(address[0], address[1], family=sock.family, type=sock.type)
        inner = await connect(self, stack_here(), address if len(address) == 4 else infos[0][4])
        self._adopted[sock] = inner, finalize(sock, inner.release)

    def _adopt(self, sock: socket.socket) -> TcpSocket:
        found = self._adopted.pop(sock, None)
        if found is None:
            raise ValueError(f"{sock!r} is no socket of this world: connect it by loop.sock_connect() first")
        inner, release = found
        release.detach()
        sock.close()  # from now on the connection is the transport's
        return inner

    # --- UDP

    async def create_datagram_endpoint(
        self,
        protocol_factory: ProtocolFactory,
        local_addr: Any = None,
        remote_addr: Any = None,
        *,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        allow_broadcast: bool | None = None,
        sock: socket.socket | None = None,
    ) -> Any:
        """A UDP socket at a local address, or at a free port, that speaks to one peer or to all."""
        if sock is not None:
            raise ValueError("a world's endpoint takes no real socket: give local_addr or remote_addr")
        if local_addr is None and remote_addr is None and not family:
            raise ValueError("unexpected address family: give local_addr, remote_addr or family")
        stack = stack_here()
        local = None if local_addr is None else await self._datagram_address(local_addr, family, proto, flags)
        remote = None if remote_addr is None else await self._datagram_address(remote_addr, family, proto, flags)
        if local is None:
            local = ("::", 0, 0, 0) if family == socket.AF_INET6 or len(remote or ()) == 4 else ("0.0.0.0", 0)
        try:
            inner, local = open_udp(stack, local, remote)
        except MotenetError as error:
            raise standard(error) from error
        try:
            protocol = protocol_factory()
        except BaseException:
            inner.close()
            raise
        waiter = self.create_future()
        transport = DatagramTransport(self, stack, inner, local, remote, protocol, waiter)
        if allow_broadcast:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        return transport, protocol

    async def _datagram_address(self, address: Any, family: int, proto: int, flags: int) -> Address:
        if not isinstance(address, tuple) or len(address) not in (2, 4):
            raise TypeError("2-tuple is expected")
        infos = await self.getaddrinfo(
            address[0], address[1], family=family, type=socket.SOCK_DGRAM, proto=proto, flags=flags
        )
        found: Address = tuple(address) if len(address) == 4 else infos[0][4]
        return found


_interleave = interleave  # create_connection has an argument of that name


def _check_tls(
    ssl: Any, host: str | None, hostname: str | None, handshake: float | None, shutdown: float | None
) -> str | None:
    """What goes together, and the name that a certificate has to bear."""
    if not ssl:
        if hostname is not None:
            raise ValueError("server_hostname is only meaningful with ssl")
        for name, timeout in (("handshake", handshake), ("shutdown", shutdown)):
            if timeout is not None:
                raise ValueError(f"ssl_{name}_timeout is only meaningful with ssl")
    elif hostname is None:
        if not host:
            raise ValueError("You must set server_hostname when using ssl without a host")
        return host
    return hostname


def _listen(stack: NetworkStack, places: list[tuple[bytes, int]], backlog: int) -> list[TcpListener]:
    """A listener at each place, or at none. OSError."""
    listeners: list[TcpListener] = []
    for address, port in places:
        try:
            if address:
                check_ours(stack, address)
            listeners.append(stack.tcp_listen(port, address, max(backlog, SYN_BACKLOG)))
        except MotenetError as error:
            for listener in listeners:
                listener.close()
            raise binding_failed(error, socket_address(address, port)) from error
    return listeners
