"""One TCP connection of the DNS server: any number of queries, also all at once (RFC 7766, 6.2.1.1)."""

from typing import TYPE_CHECKING, ClassVar

from motenet.core.errors import MotenetError
from motenet.core.state import Component, Plain
from motenet.stack.sockets.tcp import TcpSocket

if TYPE_CHECKING:
    from motenet.apps.dns.server import DnsServer

CHUNK = 64 * 1024
MOST_WAITING = 128 * 1024
"""Bytes of responses that wait for the peer to take them; until it does, no more queries are read."""


class Connection(Component):
    """Reads messages, each behind its length in two bytes (RFC 1035, 4.2.2), and says what the server answers."""

    STATE: ClassVar[tuple[str, ...]] = ("socket_path", "fed", "out", "over", "quiet_since")

    def __init__(self, server: "DnsServer", number: int) -> None:
        self.path = f"{server.path}/{number}"
        self.number = number
        self.server = server
        self.socket_path = ""
        self.fed = bytearray()
        """What has come, and is not answered yet."""
        self.out = bytearray()
        """What the socket has had no room for."""
        self.over = False
        self.quiet_since = server.now
        self._socket: TcpSocket | None = None

    def use(self, socket: TcpSocket) -> None:
        """Take a socket, and hear of what happens to it."""
        self._socket = socket
        self.socket_path = socket.path
        socket.waker = self._wake

    def _wake(self) -> None:
        self.server.post(self.number)

    def say(self, data: bytes) -> None:
        """A message is to be sent."""
        self.out += len(data).to_bytes(2, "big") + data

    def step(self) -> None:
        """Go on as far as possible; afterwards `over` says whether this connection has ended."""
        socket = self._socket
        if socket is None or self.over:
            self.end()
            return
        try:
            self._serve(socket)
            while self.out and (sent := socket.send(self.out)):
                del self.out[:sent]
                self._serve(socket)
        except MotenetError:  # the peer has reset the connection, or does not answer any more
            self.end()
            return
        if not self.out and not socket.may_recv and not self._awaited:
            self.end()

    @property
    def _awaited(self) -> bool:
        """Whether a response is still to come."""
        return any(number == self.number for _, number, *_ in self.server.pending)

    def _serve(self, socket: TcpSocket) -> None:
        """Answer what has come, as long as the peer takes the responses."""
        while len(self.out) < MOST_WAITING:
            message = self._next()
            if message is not None:
                self._answer(socket, message)
                continue
            data = socket.recv(CHUNK)
            if not data:
                return
            self.quiet_since = self.server.now
            self.fed += data

    def _next(self) -> bytes | None:
        """The next whole message of what has come."""
        end = 2 + int.from_bytes(self.fed[:2], "big")
        if len(self.fed) < 2 or len(self.fed) < end:
            return None
        message = bytes(self.fed[2:end])
        del self.fed[:end]
        return message

    def _answer(self, socket: TcpSocket, message: bytes) -> None:
        for wait, data in self.server.answer(message, socket.remote[0], by_tcp=True):
            if wait:
                self.server.postpone(wait, self.number, data)
            else:
                self.say(data)

    def end(self) -> None:
        """Let the socket go, at whatever point."""
        self.over = True
        if self._socket is not None:
            self._socket.release()
            self._socket = None

    def load(self, state: Plain) -> None:
        super().load(state)
        self._socket = None
        socket = None if self.over else self.server.find_socket(self.socket_path)
        if socket is not None:
            self.use(socket)
