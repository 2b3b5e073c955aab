"""A server: listening sockets, and the connections that came by them."""

import asyncio
import contextvars
from collections.abc import Callable
from typing import TYPE_CHECKING

from motenet.sim.aio.facade import Facade, socket_address
from motenet.sim.aio.stream import StreamTransport
from motenet.stack import NetworkStack
from motenet.stack.sockets.tcp import TcpListener, TcpSocket

if TYPE_CHECKING:
    from motenet.sim.aio.loop import WorldLoop

Take = Callable[[TcpSocket, Callable[[StreamTransport], None]], StreamTransport]
"""Makes a connection's transport, with TLS if that is wanted; the second argument is told when it has ended."""


class WorldServer(asyncio.AbstractServer):
    """What `loop.create_server` gives. `wait_closed` waits until the last connection has ended (Python 3.12)."""

    def __init__(self, loop: "WorldLoop", stack: NetworkStack, listeners: list[TcpListener], take: Take) -> None:
        self._loop = loop
        self._stack = stack
        self._listeners: list[TcpListener] | None = listeners
        self._facades = tuple(Facade(one, socket_address(*one.local)) for one in listeners)
        self._take = take
        self._context = contextvars.copy_context()
        self._connections: dict[StreamTransport, None] = {}
        self._waiters: list[asyncio.Future[None]] = []
        self._forever: asyncio.Future[None] | None = None
        self._serving = False
        self._posted = False
        loop.servers[self] = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} sockets={self.sockets!r}>"

    @property
    def sockets(self) -> tuple[Facade, ...]:
        """What listens; nothing once it is closed."""
        return () if self._listeners is None else self._facades

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def is_serving(self) -> bool:
        return self._serving

    async def start_serving(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Accept from now on; what has come before waits in the backlog."""
        if not self._serving and self._listeners is not None:
            self._serving = True
            for listener in self._listeners:
                listener.waker = self._wake
            self._wake()

    async def serve_forever(self) -> None:
        if self._forever is not None:
            raise RuntimeError(f"server {self!r} is already being awaited on serve_forever()")
        if self._listeners is None:
            raise RuntimeError(f"server {self!r} is closed")
        self.begin()
        self._forever = self._loop.create_future()
        try:
            await self._forever
        finally:
            self._forever = None
            self.close()
            await self.wait_closed()

    def _wake(self) -> None:
        if not self._posted:
            self._posted = True
            self._loop.post(self._stack, self._accept, self._context)

    def _accept(self) -> None:
        self._posted = False
        for listener in self._listeners or ():
            while (socket := listener.accept()) is not None:
                try:
                    transport = self._take(socket, self._leave)
                except Exception as error:  # the factory's; the next connection may fare better
                    socket.abort()
                    socket.release()
                    self._loop.call_exception_handler({"message": "accepting a connection failed", "exception": error})
                else:
                    self._connections[transport] = None

    def _leave(self, transport: StreamTransport) -> None:
        self._connections.pop(transport, None)
        self._settle()

    def _settle(self) -> None:
        """Tell those who wait for the end, if this is it."""
        if self._listeners is None and not self._connections:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def close(self) -> None:
        """Listen no more; the connections stay."""
        listeners, self._listeners = self._listeners, None
        if listeners is None:
            return
        for listener, facade in zip(listeners, self._facades, strict=True):
            listener.waker = None
            listener.close()
            facade.close()
        self._serving = False
        self._loop.servers.pop(self, None)
        if self._forever is not None and not self._forever.done():
            self._forever.cancel()
        self._settle()

    def close_clients(self) -> None:
        """Close all connections (Python 3.13)."""
        for transport in list(self._connections):
            transport.close()

    def abort_clients(self) -> None:
        """Close all connections, without what waits to be sent (Python 3.13)."""
        for transport in list(self._connections):
            transport.abort()

    async def wait_closed(self) -> None:
        if self._listeners is not None or self._connections:
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            await waiter
