"""What the servers on the stack's sockets have in common: a listener, connections, and datagrams beside them.

Everything happens in events: a socket that has changed asks for one, in which its connection goes on as far as it can.
So a snapshot finds each connection between two steps, and carries it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Generic, TypeVar

from motenet.core.clock import LocalClock
from motenet.core.errors import ConfigurationError, MotenetError
from motenet.core.state import Component, Plain
from motenet.core.trace import Watched
from motenet.stack import NetworkStack
from motenet.stack.address import is_link_local
from motenet.stack.errors import StackError
from motenet.stack.sockets.tcp import TcpSocket
from motenet.stack.sockets.udp import Message

S = TypeVar("S", bound="TcpService[Any]")
C = TypeVar("C", bound="ServiceConnection[Any]")


class ServiceConnection(Component, ABC, Generic[S]):
    """One client of a server, as a state machine that goes on whenever its socket has changed."""

    STATE: ClassVar[tuple[str, ...]] = ("socket_path", "out", "over", "since", "alarm_at")

    def __init__(self, server: S, number: int) -> None:
        self.path = f"{server.path}/{number}"
        self.number = number
        self.server = server
        self.socket_path = ""
        self.out: bytes | memoryview = b""
        """What the socket has had no room for."""
        self.over = False
        self.since = server.now
        """Since when it has been waiting (ns): for the client to say something, or to take what it was told."""
        self.alarm_at = 0
        """When the server looks next whether it is late (ns); 0: no event for that is under way."""
        self._socket: TcpSocket | None = None

    def use(self, socket: TcpSocket) -> None:
        """Take a socket, and hear of what happens to it."""
        self._socket = socket
        self.socket_path = socket.path
        socket.waker = self._wake

    def _wake(self) -> None:
        self.server.post(self.number)

    @property
    def idle(self) -> bool:
        """Whether it may be ended to make room for another."""
        return True

    @property
    def due(self) -> int | None:
        """Until when something has to happen (ns), else `late` is called; None: it may wait for ever."""
        return None

    def late(self) -> None:
        """Nothing has happened in time."""
        self.end()

    def step(self) -> None:
        """Go on as far as possible; afterwards `over` says whether this connection has ended."""
        socket = self._socket
        if socket is None or self.over:
            self.end()
            return
        try:
            while self._push(socket) and self._advance(socket):
                pass
        except MotenetError:  # the peer has reset the connection, or does not answer any more
            self.end()

    @abstractmethod
    def _advance(self, socket: TcpSocket) -> bool:
        """One step, when the socket has taken all of `out`; False: there is nothing to do until it changes."""

    def _push(self, socket: TcpSocket) -> bool:
        """Give the socket what waits for it; says whether that was all."""
        if self.out and (sent := socket.send(self.out)):
            self.out = memoryview(self.out)[sent:]
            self.since = self.server.now
        return not self.out

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


class TcpService(Watched, ABC, Generic[C]):
    """Listens at a port. Put a server among a host's applications, and snapshots carry it.

    `limit`: how many connections at a time. When one more comes, of the idle ones that which has waited longest makes
    room; where none is idle, it waits in the listener's backlog until there is one, or one ends.
    """

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "next_number", "posted")

    def __init__(self, stack: NetworkStack, name: str, port: int, address: str | bytes, limit: int) -> None:
        super().__init__(stack.clock, f"{stack.path}/{name}-{port}")
        self.port = port
        self.limit = limit
        self.next_number = 1
        self.posted: dict[int, None] = {}
        """The connections for which an event is under way; 0 stands for the listener."""
        self.connections: dict[int, C] = {}
        self._stack = stack
        self._clock = stack.driver.clock
        self._listener = stack.tcp_listen(port, address)
        self._listener.waker = self._wake

    @abstractmethod
    def connection(self, number: int) -> C:
        """A connection of that number, still without a socket."""

    @property
    def now(self) -> int:
        """The host's time in ns."""
        return self.clock.now

    def parts(self) -> Iterable[Component]:
        return self.connections.values()

    def close(self) -> None:
        """Serve no more, and end all connections."""
        self._listener.close()
        for connection in self.connections.values():
            connection.end()
        self.connections.clear()

    def find_socket(self, path: str) -> TcpSocket | None:
        """The stack's socket of a path, if there is one."""
        found = self._stack.sockets.find(path)
        return found if isinstance(found, TcpSocket) else None

    # --- events

    def _wake(self) -> None:
        self.post(0)

    def post(self, number: int) -> None:
        """Have a connection go on in an event of its own; one serves for all that happens until then."""
        if number not in self.posted:
            self.posted[number] = None
            self._clock.post(self._serve, number)

    def at(self, time: int, callback: Callable[[Any], None], argument: Any = None) -> None:
        """Call a method at `time` (ns). ConfigurationError where the clock has no alarms."""
        if not isinstance(self._clock, LocalClock):
            raise ConfigurationError("only the clock of a world's host can tell when time is up")
        self._clock.world.at(time, callback, argument)

    def _serve(self, number: int) -> None:
        self.posted.pop(number, None)
        connection = self.connections.get(number)
        if connection is not None:
            self._go_on(connection)
        self._accept()

    def _go_on(self, connection: C) -> None:
        connection.step()
        if connection.over:
            del self.connections[connection.number]
            return
        due = connection.due
        if due is not None and not 0 < connection.alarm_at <= due:
            connection.alarm_at = due
            self.at(due, self._look, (connection.number, due))

    def _look(self, alarm: tuple[int, int]) -> None:
        """An alarm: the time may be up, or may have been put off meanwhile."""
        number, time = alarm
        connection = self.connections.get(number)
        if connection is None or connection.alarm_at != time:
            return
        connection.alarm_at = 0
        if connection.due is not None and connection.due <= self.now:
            connection.late()
        self._go_on(connection)
        self._accept()

    def _accept(self) -> None:
        while self._listener.can_accept and self._has_room():
            socket = self._listener.accept()
            if socket is None:
                return
            connection = self.connections[self.next_number] = self.connection(self.next_number)
            self.next_number += 1
            connection.use(socket)
            self.post(connection.number)

    def _has_room(self) -> bool:
        if len(self.connections) < self.limit:
            return True
        idle = [connection for connection in self.connections.values() if connection.idle]
        if not idle:
            return False
        longest = min(idle, key=lambda connection: connection.since)
        self.drop("idle connection closed", longest.path)
        longest.end()
        del self.connections[longest.number]
        return True

    # --- state

    def save(self) -> Plain:
        return {**super().save(), "connections": list(self.connections)}

    def load(self, state: Plain) -> None:
        """The connections of the snapshot are made here, and loaded as parts."""
        super().load(state)
        before = dict(self.connections)
        self.connections.clear()
        for number in state["connections"]:
            self.connections[number] = before.get(number) or self.connection(number)


class Service(TcpService[C]):
    """Listens at the same port by UDP, too."""

    def __init__(self, stack: NetworkStack, name: str, port: int, address: str | bytes, limit: int) -> None:
        self._udp = stack.sockets.udp_bind(port, address)
        self._udp.waker = self._wake
        super().__init__(stack, name, port, address, limit)

    @abstractmethod
    def hear(self, message: Message) -> None:
        """A datagram has come."""

    def close(self) -> None:
        self._udp.close()
        super().close()

    def reply(self, message: Message, data: bytes) -> None:
        """Answer a datagram from the address that it was sent to (RFC 1122, 4.1.3.5; RFC 2181, 4.1)."""
        ours = message.destination
        source = ours if self._stack.node.routing.is_ours(ours) else b""  # it was no broadcast, and no group
        interface = message.interface if is_link_local(message.address) else ""
        try:
            self._udp.send_to(data, message.address, message.port, source=source, interface=interface)
        except StackError as error:
            self.drop("no reply", str(error))

    def _serve(self, number: int) -> None:
        if number == 0:
            while (message := self._udp.receive()) is not None:
                self.hear(message)
        super()._serve(number)
