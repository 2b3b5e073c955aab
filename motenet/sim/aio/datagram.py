"""A UDP socket as an asyncio transport."""

import asyncio
import contextvars
from collections import deque
from errno import EACCES
from os import strerror
from typing import TYPE_CHECKING, Any

from motenet.core.errors import MotenetError
from motenet.sim.aio.clients import check_ours
from motenet.sim.aio.errors import standard
from motenet.sim.aio.facade import Address, socket_address
from motenet.sim.aio.flow import FlowControl
from motenet.sim.aio.groups import DatagramFacade
from motenet.sim.aio.names import endpoint
from motenet.stack import NetworkStack
from motenet.stack.errors import QueueFull
from motenet.stack.sockets.udp import UdpSocket

if TYPE_CHECKING:
    from motenet.sim.aio.loop import WorldLoop


class DatagramTransport(asyncio.DatagramTransport):
    """Sends and receives datagrams; what ICMP says of those sent goes to `error_received`, if there is one peer."""

    def __init__(
        self,
        loop: "WorldLoop",
        stack: NetworkStack,
        socket: UdpSocket,
        local: Address,
        remote: Address | None,
        protocol: asyncio.BaseProtocol,
        waiter: "asyncio.Future[None]",
    ) -> None:
        facade = DatagramFacade(stack, socket, local, remote)
        super().__init__({"socket": facade, "sockname": facade.getsockname(), "peername": remote})
        self._loop = loop
        self._stack = stack
        self._socket = socket
        self._facade = facade
        self._remote = remote
        self._protocol: Any = protocol
        self._context = contextvars.copy_context()
        self._waiting: deque[tuple[bytes, Address]] = deque()
        """What the socket has had no room for."""
        self._bytes = 0
        self._flow = FlowControl(lambda method: getattr(self._protocol, method)())
        self._posted = False
        self._closing = False
        self._lost = False
        loop.transports[self] = None
        loop.call_soon(self._begin, waiter, context=self._context)

    def _begin(self, waiter: "asyncio.Future[None]") -> None:
        try:
            self._protocol.connection_made(self)
        finally:
            self._socket.waker = self._wake
            self._wake()
            if not waiter.done():
                waiter.set_result(None)

    def _wake(self) -> None:
        if not self._posted and not self._lost:
            self._posted = True
            self._loop.post(self._stack, self._step, self._context)

    def _step(self) -> None:
        self._posted = False
        while self._waiting and not self._lost:
            data, address = self._waiting[0]
            if not self._send(data, address):
                break
            self._waiting.popleft()
            self._bytes -= len(data)
        self._flow.update(self._bytes)
        if self._closing and not self._waiting:
            self._lose(None)
        try:
            while not self._closing and self._receive():
                pass
        except BaseException:
            self._wake()  # the protocol has failed with one; the others are still to come
            raise

    def _receive(self) -> bool:
        """Hand over one datagram, or one error; False: there is none."""
        try:
            message = self._socket.receive()
        except MotenetError as error:
            self._protocol.error_received(standard(error))
            return True
        if message is None:
            return False
        sender = socket_address(message.address, message.port, self._scope(message.interface))
        self._protocol.datagram_received(message.data, sender)
        return True

    def _scope(self, interface: str) -> int:
        return next((n for n, one in enumerate(self._stack.interfaces, 1) if one.name == interface), 0)

    # --- sending

    def sendto(self, data: bytes | bytearray | memoryview, addr: Any = None) -> None:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._remote is not None:
            if addr not in (None, self._remote):
                raise ValueError(f"Invalid address: must be None or {self._remote}")
            addr = self._remote
        elif addr is None:
            raise ValueError("this endpoint has no remote address: say where the datagram is to go")
        if self._lost or self._closing:
            return
        if self._waiting or not self._send(bytes(data), addr):
            self._waiting.append((bytes(data), addr))
            self._bytes += len(data)
            self._flow.update(self._bytes)

    def _send(self, data: bytes, address: Address) -> bool:
        """Whether the socket has taken it, or will never."""
        try:
            where, interface = endpoint(self._stack, address)
            if not self._facade.may_broadcast and self._stack.node.is_broadcast(where):
                self._protocol.error_received(OSError(EACCES, strerror(EACCES)))  # socket(7)
                return True
            self._socket.send_to(data, where, address[1], interface=interface)
        except QueueFull:
            return False
        except MotenetError as error:
            self._protocol.error_received(standard(error))
        return True

    def get_write_buffer_size(self) -> int:
        return self._bytes

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._flow.low, self._flow.high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._flow.limit(high, low)
        self._flow.update(self._bytes)

    # --- the protocol, and the end

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """No more is received; what was sent goes out."""
        if not self._closing:
            self._closing = True
            if not self._waiting:
                self._lose(None)

    def abort(self) -> None:
        """The same without what waits."""
        self._lose(None)

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._closing = self._lost = True
            self._waiting.clear()
            self._loop.call_soon(self._end, error, context=self._context)

    def _end(self, error: Exception | None) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            self._socket.waker = None
            self._socket.close()
            self._facade.close()
            self._loop.transports.pop(self, None)


def open_udp(stack: NetworkStack, local: Address, remote: Address | None) -> tuple[UdpSocket, Address]:
    """A socket at a local address, or at all, that speaks to one peer or to all; and its name. MotenetError."""
    where, _ = endpoint(stack, local)
    if any(where):
        check_ours(stack, where)
    peer, interface = (b"", "") if remote is None else endpoint(stack, remote)
    source = where if any(where) or not peer else stack.node.source_for(peer, interface)
    inner = stack.udp_socket(local[1], where if any(where) else b"")
    if remote is not None:
        inner.interface = interface
        inner.connect(peer, remote[1])
    assert inner.local is not None, "the set gives bound sockets"
    return inner, socket_address(source, inner.local[1], local[3] if len(local) == 4 else 0)
