"""The small services that networks are tried with: echo (RFC 862), discard (RFC 863), character generator (RFC 864).

Each by TCP and UDP at one port. What they answer to a datagram may reach a service that answers, too; so those that
come from where services are get no answer, as inetd has it: else two of them would keep each other busy for ever.
"""

from abc import abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from motenet.apps.service import Service, ServiceConnection
from motenet.core.rng import Stream
from motenet.core.state import Component
from motenet.stack import NetworkStack
from motenet.stack.sockets.tcp import TcpSocket
from motenet.stack.sockets.udp import Message

ECHO, DISCARD, CHARGEN = 7, 9, 19
"""RFC 862, 863, 864."""
SYSTEM_PORTS = 1024
"""RFC 6335, 6: below it there are services; clients have others."""
NFS = 2049
"""A service above, whose port OpenBSD's inetd refuses as well."""
CHUNK = 64 * 1024
LARGEST_DATAGRAM = 512
"""RFC 864: 0 to 512 characters."""

_PRINTABLE = bytes(range(0x20, 0x7F))
PATTERN = b"".join((_PRINTABLE * 2)[first : first + 72] + b"\r\n" for first in range(len(_PRINTABLE)))
"""RFC 864's: lines of 72 characters, each beginning one further in the ring of the 95 that can be printed."""


class SmallConnection(ServiceConnection["SmallService"]):
    """A client by TCP, until it closes."""

    def _advance(self, socket: TcpSocket) -> bool:
        """What is said in answer is taken before more is read: who does not read is not listened to."""
        data = socket.recv(CHUNK)
        if data:
            self.since = self.server.now
            self.server.bytes += len(data)
            self.out = self.server.answer(data)
        elif not socket.may_recv:
            self.end()
        return bool(data)


class SmallService(Service[SmallConnection]):
    """A service at a port. `limit`: TCP connections at a time; one more, and the longest quiet one makes room."""

    STATE: ClassVar[tuple[str, ...]] = (*Service.STATE, "datagrams", "bytes")
    name: ClassVar[str]
    usual_port: ClassVar[int]

    def __init__(self, stack: NetworkStack, port: int = 0, address: str | bytes = b"", limit: int = 64) -> None:
        super().__init__(stack, self.name, port or self.usual_port, address, limit)
        self.datagrams = 0
        """How many have come, and how many bytes in all, by UDP and TCP."""
        self.bytes = 0

    def connection(self, number: int) -> SmallConnection:
        return SmallConnection(self, number)

    @abstractmethod
    def answer(self, data: bytes) -> bytes:
        """What is said to bytes that have come by TCP."""

    @abstractmethod
    def answer_datagram(self, data: bytes) -> bytes | None:
        """What is said to a datagram; None: nothing."""

    def hear(self, message: Message) -> None:
        self.datagrams += 1
        self.bytes += len(message.data)
        answer = None if self._refuses(message) else self.answer_datagram(message.data)
        if answer is not None:
            self.reply(message, answer)

    def _refuses(self, message: Message) -> bool:
        """Whether it may be another service that speaks, or nobody who could be answered (port 0: RFC 768)."""
        if message.port >= SYSTEM_PORTS and message.port not in (NFS, self.port):
            return False
        self.drop("from a service's port", str(message.port))
        return True


class EchoServer(SmallService):
    """RFC 862: sends back what it gets."""

    name = "echo"
    usual_port = ECHO

    def answer(self, data: bytes) -> bytes:
        return data

    def answer_datagram(self, data: bytes) -> bytes | None:
        return data


class DiscardServer(SmallService):
    """RFC 863: throws away what it gets, and says nothing."""

    name = "discard"
    usual_port = DISCARD

    def answer(self, data: bytes) -> bytes:
        return b""

    def answer_datagram(self, data: bytes) -> bytes | None:
        return None

    def _refuses(self, message: Message) -> bool:
        return False  # it answers nobody


class ChargenConnection(SmallConnection):
    """Says the pattern over and over, as fast as it is taken, and throws away what comes."""

    def step(self) -> None:
        """What comes is thrown away even while the peer takes nothing; so its end is seen, too."""
        socket = self._socket
        while socket is not None and socket.can_recv:
            self.server.bytes += len(socket.recv(CHUNK))
        super().step()

    def _advance(self, socket: TcpSocket) -> bool:
        if not socket.may_recv:
            self.end()
            return False
        self.out = PATTERN
        return True


class ChargenServer(SmallService):
    """RFC 864: sends characters; a random number of them for each datagram that comes."""

    name = "chargen"
    usual_port = CHARGEN

    def __init__(self, stack: NetworkStack, port: int = 0, address: str | bytes = b"", limit: int = 64) -> None:
        super().__init__(stack, port, address, limit)
        self._random = Stream(stack.stream.key.hex(), f"{self.path}/random")

    def parts(self) -> Iterable[Component]:
        return (self._random, *super().parts())

    def connection(self, number: int) -> SmallConnection:
        return ChargenConnection(self, number)

    def answer(self, data: bytes) -> bytes:
        return b""

    def answer_datagram(self, data: bytes) -> bytes | None:
        return PATTERN[: self._random.between(0, LARGEST_DATAGRAM)]
