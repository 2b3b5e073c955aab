"""What `transport.get_extra_info("socket")` gives: an emulated connection with the face of a socket."""

import os
import socket
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

from motenet.core.units import SECOND
from motenet.stack.address import format_address, is_link_local
from motenet.stack.sockets.tcp import TcpListener, TcpSocket
from motenet.stack.sockets.udp import UdpSocket

AnySocket = TcpSocket | TcpListener | UdpSocket
Address = tuple[Any, ...]
"""(host, port) of IPv4, or (host, port, flow label, scope) of IPv6, as Python's sockets have it."""

_LINGER = struct.Struct("ii")


def family_of(address: bytes) -> socket.AddressFamily:
    """AF_INET or AF_INET6, by the address's length."""
    return socket.AF_INET6 if len(address) == 16 else socket.AF_INET


def socket_address(address: bytes, port: int, scope: int = 0) -> Address:
    """An endpoint as Python's sockets have it; no address at all is 0.0.0.0."""
    text = format_address(address) if address else "0.0.0.0"
    return (text, port, 0, scope if is_link_local(address) else 0) if len(address) == 16 else (text, port)


class Facade:
    """The options work on the connection, or are kept and told again; reading and writing are the transport's.

    `fileno()` is a descriptor that is readable if something has come that nobody has read, or the peer has ended:
    HTTP clients poll that to see whether a connection can be used once more.
    """

    def __init__(self, inner: AnySocket, local: Address, remote: Address | None = None) -> None:
        self._inner = inner
        self._local = local
        self._remote = remote
        self._options: dict[tuple[int, int], Any] = {}
        self._closed = False
        self.family = socket.AF_INET6 if len(local) == 4 else socket.AF_INET
        self.type = socket.SOCK_DGRAM if isinstance(inner, UdpSocket) else socket.SOCK_STREAM
        self.proto = socket.IPPROTO_UDP if isinstance(inner, UdpSocket) else socket.IPPROTO_TCP

    def __repr__(self) -> str:
        peer = "" if self._remote is None else f", raddr={self._remote}"
        return f"<emulated socket family={self.family}, type={self.type}, laddr={self._local}{peer}>"

    def getsockname(self) -> Address:
        """Our end."""
        return self._local

    def getpeername(self) -> Address:
        """The other end; OSError if there is none."""
        if self._remote is None:
            raise OSError(107, os.strerror(107))  # ENOTCONN
        return self._remote

    def gettimeout(self) -> float:
        """It never blocks."""
        return 0.0

    def getblocking(self) -> bool:
        """It never blocks."""
        return False

    def setblocking(self, flag: bool) -> None:
        """It cannot block: ValueError for True, as asyncio's sockets have it."""
        if flag:
            raise ValueError("setblocking(): an emulated socket cannot be blocking")

    settimeout = setblocking

    def setsockopt(self, level: int, name: int, value: Any = None, length: int | None = None) -> None:
        """Set an option; those that the stack does not have are kept for `getsockopt`, without effect."""
        self._options[level, name] = value
        setter = _SETTERS.get((level, name))
        if setter is not None and isinstance(self._inner, TcpSocket):
            setter(self._inner, int(value), self._options)

    def getsockopt(self, level: int, name: int, length: int = 0) -> Any:
        """An option's value; 0 for one that nobody has set."""
        fixed = {
            (socket.SOL_SOCKET, socket.SO_TYPE): self.type,
            (socket.SOL_SOCKET, socket.SO_ERROR): 0,
            (socket.SOL_SOCKET, socket.SO_ACCEPTCONN): int(isinstance(self._inner, TcpListener)),
        }
        if isinstance(self._inner, TcpSocket):
            fixed[socket.IPPROTO_TCP, socket.TCP_NODELAY] = int(not self._inner.nagle)
            fixed[socket.SOL_SOCKET, socket.SO_KEEPALIVE] = int(self._inner.keep_alive is not None)
        value = fixed.get((level, name), self._options.get((level, name), 0))
        return value if not length or isinstance(value, bytes) else struct.pack("i", value)

    @property
    def resets(self) -> bool:
        """Whether closing is to send a reset: SO_LINGER with a time of zero (socket(7))."""
        linger = self._options.get((socket.SOL_SOCKET, socket.SO_LINGER))
        return isinstance(linger, bytes) and len(linger) == _LINGER.size and _LINGER.unpack(linger) == (1, 0)

    # --- the descriptor

    def fileno(self) -> int:
        """A real descriptor that stands for this one in select() and poll(), as of this call; -1 once closed."""
        if self._closed:
            return -1
        inner = self._inner
        return stand_ins()[isinstance(inner, TcpSocket) and (inner.can_recv or not inner.may_recv)]

    def close(self) -> None:
        """There is no descriptor any more; the connection is the transport's."""
        self._closed = True


@cache
def stand_ins() -> tuple[int, int, int]:
    """One that is never readable, and one that always is: they stand for all connections. The third keeps one quiet."""
    quiet, keeper = os.pipe()
    readable, other = os.pipe()
    os.close(other)
    return quiet, readable, keeper


def _set_nagle(inner: TcpSocket, value: int, options: dict[tuple[int, int], Any]) -> None:
    inner.nagle = not value


def _set_keep_alive(inner: TcpSocket, value: int, options: dict[tuple[int, int], Any]) -> None:
    """tcp(7): SO_KEEPALIVE switches it on, TCP_KEEPIDLE says after how many seconds; two hours without."""
    on = options.get((socket.SOL_SOCKET, socket.SO_KEEPALIVE), 0)
    idle = options.get((socket.IPPROTO_TCP, _KEEP_IDLE), 0) or 7200
    inner.keep_alive = idle * SECOND if on else None


def _set_user_timeout(inner: TcpSocket, value: int, options: dict[tuple[int, int], Any]) -> None:
    inner.user_timeout = value * (SECOND // 1000) if value else None


_KEEP_IDLE = getattr(socket, "TCP_KEEPIDLE", 4)
_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", 18)
_Setter = Callable[[TcpSocket, int, dict[tuple[int, int], Any]], None]
_SETTERS: dict[tuple[int, int], _Setter] = {
    (socket.IPPROTO_TCP, socket.TCP_NODELAY): _set_nagle,
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE): _set_keep_alive,
    (socket.IPPROTO_TCP, _KEEP_IDLE): _set_keep_alive,
    (socket.IPPROTO_TCP, _USER_TIMEOUT): _set_user_timeout,
}
