"""Bytes through a TCP connection between our stack and a real kernel's; what comes must be what went, bit for bit."""

import hashlib
import random
import socket
import sys
from pathlib import Path

from motenet.core.units import SECOND
from motenet.sim.host import Host
from motenet.stack.sockets.tcp.socket import TcpSocket

sys.path.insert(0, str(Path(__file__).parent))

from family import Family
from room import BULK, Room

AT_ONCE = 1 << 18


def data(size: int, seed: int = 1) -> bytes:
    """Bytes that do not repeat."""
    return random.Random(seed).randbytes(size)


def opened(
    room: Room, host: Host, family: Family, opener: str, address: str = "", ecn: bool = False
) -> tuple[TcpSocket, socket.socket]:
    """A connection that the "kernel" or "ours" has opened: both ends of it. `address`: the host's; `ecn`: we ask."""
    theirs = room.namespace.socket(family.socket, socket.SOCK_STREAM)
    room.closing.append(theirs.close)
    if opener == "kernel":
        listener = host.stack.sockets.tcp_listen(BULK)
        assert theirs.connect_ex((address or family.ours, BULK)) != 0, "it is under way"
        room.wait(lambda: listener.can_accept)
        ours = listener.accept()
        assert ours is not None
        return ours, theirs
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    theirs.bind((family.kernel, BULK))
    theirs.listen()
    ours = host.stack.sockets.tcp_connect(family.kernel, BULK)
    ours.ecn = ecn
    room.wait(lambda: ours.may_send)
    accepted: list[socket.socket] = []

    def came() -> bool:
        try:
            accepted.append(theirs.accept()[0])
        except BlockingIOError:
            return False
        return True

    room.wait(came)
    accepted[0].setblocking(False)
    room.closing.append(accepted[0].close)
    return ours, accepted[0]


class Ours:
    """Our end of a connection: sends all of some data, then its FIN, and keeps what comes."""

    def __init__(self, connection: TcpSocket, sent: bytes) -> None:
        self.connection = connection
        self.rest = memoryview(sent)
        self.got = hashlib.sha256()
        self.size = 0
        self.done = False

    def step(self) -> bool:
        """Do what can be done now; whether all is sent, and nothing more comes."""
        connection = self.connection
        if self.rest:
            self.rest = self.rest[connection.send(self.rest[:AT_ONCE]) :]
        elif not self.done:
            connection.close()
            self.done = True
        while connection.can_recv:
            self._take(connection.recv(AT_ONCE))
        return self.done and not connection.may_recv

    def _take(self, data: bytes) -> None:
        self.got.update(data)
        self.size += len(data)


class Theirs:
    """The kernel's end, likewise."""

    def __init__(self, connection: socket.socket, sent: bytes) -> None:
        self.connection = connection
        self.rest = memoryview(sent)
        self.got = hashlib.sha256()
        self.size = 0
        self.done = False
        self.ended = False

    def step(self) -> bool:
        connection = self.connection
        try:
            while self.rest:
                self.rest = self.rest[connection.send(self.rest[:AT_ONCE]) :]
            if not self.done:
                connection.shutdown(socket.SHUT_WR)
                self.done = True
        except BlockingIOError:
            pass
        try:
            while not self.ended:
                data = connection.recv(AT_ONCE)
                self.ended = not data
                self.got.update(data)
                self.size += len(data)
        except BlockingIOError:
            pass
        return self.done and self.ended


def exchange(room: Room, ends: tuple[TcpSocket, socket.socket], to_kernel: bytes, to_us: bytes, timeout: float) -> None:
    """Each side sends its data and ends; each gets the other's, byte for byte."""
    swapped(room, Ours(ends[0], to_kernel), Theirs(ends[1], to_us), to_kernel, to_us, timeout)


def swapped(room: Room, left: Ours, right: Ours | Theirs, from_left: bytes, from_right: bytes, timeout: float) -> None:
    """Both ends of a connection send what they have, and get what the other has."""

    def both() -> bool:
        done = left.step()
        return right.step() and done

    if not room.pump.run(both, int(timeout * SECOND)):
        raise AssertionError(f"{right.size} and {left.size} bytes in {timeout} s; {left.connection.statistics}")
    assert (left.size, left.got.digest()) == (len(from_right), hashlib.sha256(from_right).digest())
    assert (right.size, right.got.digest()) == (len(from_left), hashlib.sha256(from_left).digest())
