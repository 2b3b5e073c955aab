"""What transports of connections and of datagrams share: their protocol, the limits of writing, and the end."""

import asyncio
import contextvars
from collections import deque
from typing import TYPE_CHECKING, Any

from motenet.sim.aio.facade import Address, Facade
from motenet.stack import NetworkStack
from motenet.stack.sockets.tcp import TcpSocket
from motenet.stack.sockets.udp import UdpSocket

if TYPE_CHECKING:
    from motenet.sim.aio.loop import WorldLoop

HIGH = 64 * 1024
"""Bytes that wait before the protocol is told to pause, by default; a quarter of it, before it may go on."""


class WorldTransport(asyncio.BaseTransport):
    """A socket as a transport; its callbacks run in its creator's context.

    Whatever happens to the socket becomes an event of its own, `_step`, in which the transport goes on.
    """

    _socket: TcpSocket | UdpSocket
    _facade: Facade
    _waiting: bytearray | deque[tuple[bytes, Address]]
    """What the socket has had no room for."""

    def __init__(
        self,
        loop: "WorldLoop",
        stack: NetworkStack,
        protocol: asyncio.BaseProtocol,
        waiter: "asyncio.Future[None] | None",
        extra: dict[str, Any],
    ) -> None:
        super().__init__(extra)
        self._loop = loop
        self._stack = stack
        self._context = contextvars.copy_context()
        self._protocol_paused = False
        """The protocol has been told to write no more; asyncio's transports have this name for it too."""
        self._high, self._low = HIGH, HIGH // 4
        self._posted = False
        self._closing = False
        self._lost = False
        """The protocol has been told, or will be, that the connection is over."""
        self.set_protocol(protocol)
        loop.transports[self] = None
        loop.call_soon(self._begin, waiter, context=self._context)

    def _begin(self, waiter: "asyncio.Future[None] | None") -> None:
        try:
            self._protocol.connection_made(self)
        finally:
            self._socket.waker = self._wake
            self._wake()
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def _wake(self) -> None:
        if not self._posted and not self._lost:
            self._posted = True
            self._loop.post(self._stack, self._step, self._context)

    def _step(self) -> None:
        """Send and receive what can be."""

    # --- the protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol: Any = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def _report(self, message: str, error: BaseException) -> None:
        self._loop.call_exception_handler(
            {"message": message, "exception": error, "transport": self, "protocol": self._protocol}
        )

    # --- the limits of writing

    def get_write_buffer_size(self) -> int:
        return len(self._waiting)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """In bytes; the one that is left out follows from the other. ValueError."""
        if high is None:
            high = HIGH if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high, self._low = high, low
        self._control()

    def _control(self) -> None:
        """Tell the protocol to pause or to go on, if what waits now says so."""
        pause = self.get_write_buffer_size() > (self._low if self._protocol_paused else self._high)
        if pause == self._protocol_paused:
            return
        self._protocol_paused = pause
        try:
            if pause:
                self._protocol.pause_writing()
            else:
                self._protocol.resume_writing()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._report(f"protocol.{'pause' if pause else 'resume'}_writing() failed", error)

    # --- the end

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """No more is received; what was written is handed to the socket, which is then closed."""
        if not self._closing:
            self._closing = True
            if not self._waiting:
                self._lose(None)

    def abort(self) -> None:
        """The same without what the socket has had no room for."""
        self._lose(None)

    def _lose(self, error: Exception | None) -> None:
        """It is over: the protocol is told, in an event of its own."""
        if not self._lost:
            self._closing = self._lost = True
            self._waiting.clear()
            self._loop.call_soon(self._end, error, context=self._context)

    def _end(self, error: Exception | None) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            self._release()
            self._facade.close()
            self._loop.transports.pop(self, None)

    def _release(self) -> None:
        """Give the socket back."""
