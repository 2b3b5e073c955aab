"""A TCP connection as an asyncio transport."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from motenet.core.errors import MotenetError
from motenet.sim.aio.errors import standard
from motenet.sim.aio.facade import Facade, socket_address
from motenet.sim.aio.names import scope_of
from motenet.sim.aio.transport import WorldTransport
from motenet.stack import NetworkStack
from motenet.stack.sockets.tcp import TcpSocket

if TYPE_CHECKING:
    from motenet.sim.aio.loop import WorldLoop

CHUNK = 256 * 1024
"""Bytes that a protocol gets at a time, at most."""


class StreamTransport(WorldTransport, asyncio.Transport):
    """Reads as its protocol can take it, writes as the socket has room."""

    _start_tls_compatible = True  # asyncio's StreamWriter.start_tls and others ask for this

    def __init__(
        self,
        loop: "WorldLoop",
        stack: NetworkStack,
        socket: TcpSocket,
        protocol: asyncio.BaseProtocol,
        waiter: "asyncio.Future[None] | None" = None,
        left: Callable[["StreamTransport"], None] | None = None,
    ) -> None:
        scope = scope_of(stack, socket.interface)
        facade = Facade(socket, socket_address(*socket.local, scope), socket_address(*socket.remote, scope))
        self._socket: TcpSocket = socket
        self._facade = facade
        self._left = left
        """Tells the server that this connection has ended."""
        self._waiting: bytearray = bytearray()
        self._paused = False
        self._eof_read = False
        self._eof_written = False
        socket.nagle = False  # as asyncio has it for all its connections
        extra = {"socket": facade, "sockname": facade.getsockname(), "peername": facade.getpeername()}
        super().__init__(loop, stack, protocol, waiter, extra)

    def __repr__(self) -> str:
        state = "closed" if self._lost else "closing" if self._closing else "open"
        return f"<{type(self).__name__} {self._facade.getsockname()} to {self._facade.getpeername()}, {state}>"

    def _step(self) -> None:
        self._posted = False
        try:
            if not self._lost and self._waiting:
                self._drain()
            if not (self._lost or self._paused or self._closing or self._eof_read):
                self._read()
            elif not self._lost and self._socket.error is not None and self._eof_read:
                self._fail(self._socket.error)  # a reset behind the peer's FIN
        except MotenetError as error:
            self._fail(error)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        super().set_protocol(protocol)
        self._buffered = isinstance(protocol, asyncio.BufferedProtocol)

    # --- reading

    def is_reading(self) -> bool:
        return not self._paused and not self._closing

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        if self._paused and not self._closing:
            self._paused = False
            self._wake()

    def _read(self) -> None:
        """Give the protocol what has come; MotenetError: why nothing more will."""
        while not (self._paused or self._closing or self._lost):
            length = self._read_into_buffer() if self._buffered else self._read_data()
            if length == 0 and not self._socket.may_recv and not self._lost:
                self._end_reading()
                return
            if length <= 0:
                return

    def _read_data(self) -> int:
        data = self._socket.recv(CHUNK)
        if data:
            try:
                self._protocol.data_received(data)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self._abandon("protocol.data_received() failed", error)
        return len(data)

    def _read_into_buffer(self) -> int:
        if not self._socket.can_recv:
            return len(self._socket.recv(1))  # nothing, or why
        try:
            buffer = memoryview(self._protocol.get_buffer(-1))
            if not len(buffer):
                raise RuntimeError("get_buffer() returned an empty buffer")
            length = self._socket.recv_into(buffer)
            self._protocol.buffer_updated(length)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._abandon("the protocol's buffer failed", error)
            return -1
        return length

    def _end_reading(self) -> None:
        """The peer has closed its direction; the protocol says whether ours stays open."""
        self._eof_read = True
        try:
            stays = self._protocol.eof_received()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._abandon("protocol.eof_received() failed", error)
            return
        if not stays:
            self.close()

    # --- writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._eof_written:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not data or self._lost:
            return
        rest = memoryview(data).cast("B")
        if not self._waiting:
            try:
                rest = rest[self._socket.send(rest) :]
            except MotenetError as error:
                self._fail(error)
                return
        self._waiting += rest
        self._control()

    def _drain(self) -> None:
        with memoryview(self._waiting) as view:
            sent = self._socket.send(view)
        del self._waiting[:sent]
        self._control()
        if not self._waiting:
            if self._closing:
                self._lose(None)
            elif self._eof_written:
                self._socket.close()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if self._closing or self._eof_written:
            return
        self._eof_written = True
        if not self._waiting:
            self._socket.close()

    # --- the end

    def _force_close(self, error: Exception | None) -> None:
        """Abort, and say why: asyncio's SSLProtocol ends so the connection below it, after an error of TLS."""
        self._lose(error)

    def _abandon(self, message: str, error: BaseException) -> None:
        """The protocol has failed."""
        self._report(message, error)
        self._lose(error if isinstance(error, Exception) else None)

    def _fail(self, error: MotenetError) -> None:
        self._lose(standard(error))

    def _release(self) -> None:
        if self._facade.resets:
            self._socket.abort()
        self._socket.release()
        if self._left is not None:
            self._left(self)
