"""A listener: LISTEN (RFC 9293, 3.10.7.2), with a bounded queue of connections to be accepted.

A flood of SYNs finds `backlog` places of 6 KB; who leaves its answer unanswered for an RTO makes way (RFC 4987, 3.4).
SYN cookies (3.6) would spare the memory too, but at the price of the options: window scale, SACK, timestamps.
"""

from collections.abc import Callable
from typing import ClassVar

from motenet.core.errors import ConfigurationError
from motenet.core.trace import HasNow
from motenet.stack.address import check_port
from motenet.stack.errors import NotConnected, StackError
from motenet.stack.sockets.socket import Socket
from motenet.stack.sockets.tcp.connection import Connection
from motenet.stack.sockets.tcp.control_block import CAPACITY
from motenet.stack.sockets.tcp.handshake import Endpoint, reset_reply
from motenet.stack.sockets.tcp.socket import TcpSocket
from motenet.stack.sockets.tcp.state import State
from motenet.stack.wire.tcp import ACK, RST, SYN, Segment

BACKLOG = 128
"""Connections that may wait, half open or not yet accepted, by default."""


def _spawn(buffer: int) -> TcpSocket:
    raise NotConnected("add the listener to a set of sockets first: it brings the connections into being")


def _adopt(socket: TcpSocket) -> None:
    raise NotConnected("add the listener to a set of sockets first: it keeps the connections")


def _find(path: str) -> Socket | None:
    return None


class TcpListener(Socket):
    """Waits at an address (empty: any) and a port. Its connections are sockets of the set, which it knows by path."""

    kind: ClassVar[str] = "tcp-listener"
    STATE: ClassVar[tuple[str, ...]] = (*Socket.STATE, "local", "backlog", "pending", "closed", "buffer")

    def __init__(self, clock: HasNow, path: str = "") -> None:
        super().__init__(clock, path)
        self.spawn: Callable[[int], TcpSocket] = _spawn
        """Wiring, set by the set: makes a socket, with buffers of so many bytes, for a new connection."""
        self.adopt: Callable[[TcpSocket], None] = _adopt
        """Wiring, set by the set: takes such a socket in, and gives it its path."""
        self.find: Callable[[str], Socket | None] = _find
        """Wiring, set by the set: the socket of a path."""
        self.local: Endpoint = (b"", 0)
        self.backlog = BACKLOG
        self.pending: list[str] = []
        """Paths of the connections that are not accepted yet, in the order of their SYNs."""
        self.closed = False
        self.buffer = CAPACITY
        """Bytes that each direction of a connection buffers."""

    # --- for the application ---

    def listen(self, port: int, address: bytes = b"", backlog: int = BACKLOG) -> None:
        """Passive OPEN (RFC 9293, 3.10.1). ConfigurationError if the port is none, StackError if it listens already."""
        check_port(port)
        if isinstance(backlog, bool) or not isinstance(backlog, int) or backlog < 0:
            raise ConfigurationError(f"backlog={backlog!r}: say how many connections may wait, as a whole number")
        if self.local[1]:
            raise StackError(f"this socket listens at port {self.local[1]} already: make another one")
        self.local, self.backlog = (address, port), max(backlog, 1)

    def accept(self) -> TcpSocket | None:
        """The connection that has waited longest, out of the handshake; None: there is none now."""
        found = self._acceptable()
        if found is not None:
            self.pending.remove(found.path)
            found.listener = ""
        return found

    @property
    def can_accept(self) -> bool:
        """Whether `accept` would give a connection."""
        return self._acceptable() is not None

    def _acceptable(self) -> TcpSocket | None:
        """The one that `accept` gives: mostly the first, so that a long queue is not looked through each time."""
        half_open = []
        for path in self.pending:
            socket = self.find(path)
            if isinstance(socket, TcpSocket) and socket.state is not State.CLOSED:
                if socket.state is not State.SYN_RECEIVED:
                    return socket
                half_open.append(path)
        self.pending[:] = half_open
        return None

    def close(self) -> None:
        """Listen no more; connections that were not accepted are reset."""
        self.closed = True
        for _, socket in self._waiting():
            socket.abort()
        self.pending.clear()
        self.ready()
        self.wake()

    def _waiting(self) -> list[tuple[str, TcpSocket]]:
        """The connections that still live; those that have ended are forgotten."""
        found = [(path, self.find(path)) for path in self.pending]
        alive = [(path, socket) for path, socket in found if isinstance(socket, TcpSocket)]
        alive = [(path, socket) for path, socket in alive if socket.state is not State.CLOSED]
        self.pending[:] = [path for path, _ in alive]
        return alive

    def _make_room(self) -> bool:
        """RFC 4987, 3.4: of the half-open connections the oldest makes way, if its peer has left an RTO unanswered."""
        waiting = self._waiting()
        if len(waiting) < self.backlog:
            return True
        for path, socket in waiting:
            if socket.state is State.SYN_RECEIVED and socket.sender.timeouts:
                self.drop("tcp-half-open")
                self.pending.remove(path)
                socket.enter(State.CLOSED)
                return True
        return False

    # --- for the interface ---

    @property
    def key(self) -> Endpoint | None:
        """Address and port; None while it does not listen."""
        return self.local if self.local[1] and not self.closed else None

    @property
    def finished(self) -> bool:
        """Closed; there is never anything left to send."""
        return self.closed

    def process(
        self, now: int, source: bytes, destination: bytes, segment: Segment, former: Connection | None = None
    ) -> Segment | None:
        """3.10.7.2. A SYN becomes a connection of its own in SYN-RECEIVED, and this listener goes on listening.

        `former`: the connection in TIME-WAIT that has given way to it.
        """
        flags = segment.flags
        if flags & RST:
            return None
        if flags & ACK or self.closed:
            self.drop("tcp-no-connection")
            return reset_reply(segment)
        if not flags & SYN:
            self.drop("tcp-no-syn")
            return None
        if len(self.pending) >= self.backlog and not self._make_room():
            self.drop("tcp-backlog-full")  # the peer's SYN comes again
            return None
        socket = self.spawn(self.buffer)
        socket.hop_limit = self.hop_limit
        socket.open_passively(now, (destination, self.local[1]), (source, segment.source_port), segment, former)
        self.adopt(socket)
        socket.listener = self.path
        self.pending.append(socket.path)
        socket.ready()
        return None

    def dispatch(self, now: int, emit: Callable[[Segment], bool]) -> None:
        """A listener sends nothing itself."""
