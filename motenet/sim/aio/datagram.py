"""A UDP socket as an asyncio transport."""

import asyncio
from collections import deque
from errno import EACCES
from os import strerror
from typing import TYPE_CHECKING, Any

from motenet.core.errors import MotenetError
from motenet.sim.aio.clients import check_ours
from motenet.sim.aio.errors import standard
from motenet.sim.aio.facade import Address, socket_address
from motenet.sim.aio.groups import DatagramFacade
from motenet.sim.aio.names import endpoint
from motenet.sim.aio.transport import WorldTransport
from motenet.stack import NetworkStack
from motenet.stack.errors import QueueFull
from motenet.stack.sockets.udp import UdpSocket

if TYPE_CHECKING:
    from motenet.sim.aio.loop import WorldLoop


class DatagramTransport(WorldTransport, asyncio.DatagramTransport):
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
        self._socket: UdpSocket = socket
        self._facade: DatagramFacade = facade
        self._remote = remote
        self._waiting: deque[tuple[bytes, Address]] = deque()
        self._bytes = 0
        extra = {"socket": facade, "sockname": facade.getsockname(), "peername": remote}
        super().__init__(loop, stack, protocol, waiter, extra)

    def _step(self) -> None:
        self._posted = False
        while self._waiting and not self._lost:
            data, address = self._waiting[0]
            if not self._send(data, address):
                break
            self._waiting.popleft()
            self._bytes -= len(data)
        self._control()
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
            self._control()

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

    def _release(self) -> None:
        self._socket.waker = None
        self._socket.close()


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
