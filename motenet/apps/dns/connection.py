"""One TCP connection of the DNS server: any number of queries, also all at once (RFC 7766, 6.2.1.1)."""

from typing import TYPE_CHECKING, ClassVar

from motenet.apps.service import ServiceConnection
from motenet.stack.sockets.tcp import TcpSocket

if TYPE_CHECKING:
    from motenet.apps.dns.server import DnsServer

CHUNK = 64 * 1024


class Connection(ServiceConnection["DnsServer"]):
    """Reads messages, each behind its length in two bytes (RFC 1035, 4.2.2), and says what the server answers.

    A peer that does not take the responses is not read from.
    """

    STATE: ClassVar[tuple[str, ...]] = (*ServiceConnection.STATE, "fed")

    def __init__(self, server: "DnsServer", number: int) -> None:
        super().__init__(server, number)
        self.fed = bytearray()
        """What has come, and is not answered yet."""

    def say(self, data: bytes) -> None:
        """A message is to be sent."""
        self.out = b"".join((self.out, len(data).to_bytes(2, "big"), data))

    def _advance(self, socket: TcpSocket) -> bool:
        message = self._next()
        if message is not None:
            self._answer(socket, message)
            return True
        data = socket.recv(CHUNK)
        if data:
            self.since = self.server.now
            self.fed += data
        elif not socket.may_recv and not self._awaited:
            self.end()
        return bool(data)

    @property
    def _awaited(self) -> bool:
        """Whether a response is still to come."""
        return any(number == self.number for _, number, *_ in self.server.pending)

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
