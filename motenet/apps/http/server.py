"""An HTTP/1.1 server on the stack's sockets; what comes over the wire is h11's to understand.

Everything happens in events: a socket that has changed asks for one, in which its connection goes on as far as it can.
"""

from collections.abc import Iterable
from typing import ClassVar

from motenet.apps.http.connection import Connection
from motenet.apps.http.site import Site
from motenet.core.state import Component, Plain
from motenet.core.trace import Watched
from motenet.stack import NetworkStack
from motenet.stack.sockets.tcp import TcpSocket


class HttpServer(Watched):
    """Serves a site (site.Folder, site.Pages) at a port. Put it among a host's applications, and snapshots carry it.

    `limit`: how many connections at a time. When one more comes, the one that has been idle for longest makes room;
    where none is idle, it waits in the listener's backlog until a connection ends or comes.
    """

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "requests", "bytes", "next_number", "posted")

    def __init__(self, stack: NetworkStack, site: Site, port: int = 80, limit: int = 64) -> None:
        super().__init__(stack.clock, f"{stack.path}/http-{port}")
        self.site = site
        self.limit = limit
        self.requests = 0
        """Requests answered, and bytes of bodies sent."""
        self.bytes = 0
        self.next_number = 1
        self.posted: dict[int, None] = {}
        """The connections for which an event is under way; 0 stands for the listener."""
        self.connections: dict[int, Connection] = {}
        self._stack = stack
        self._post = stack.driver.clock.post
        self._listener = stack.tcp_listen(port)
        self._listener.waker = self._wake

    @property
    def now(self) -> int:
        """The host's time in ns."""
        return self.clock.now

    def parts(self) -> Iterable[Component]:
        return self.connections.values()

    def close(self) -> None:
        """Stop listening, and end all connections."""
        self._listener.close()
        for connection in self.connections.values():
            connection.end()
        self.connections.clear()

    def find_socket(self, path: str) -> TcpSocket | None:
        """The stack's socket of a path, if there is one."""
        found = self._stack.sockets.find(path)
        return found if isinstance(found, TcpSocket) else None

    def _wake(self) -> None:
        self.post(0)

    def post(self, number: int) -> None:
        """Have a connection go on in an event of its own; one serves for all that happens until then."""
        if number not in self.posted:
            self.posted[number] = None
            self._post(self._serve, number)

    def _serve(self, number: int) -> None:
        self.posted.pop(number, None)
        connection = self.connections.get(number)
        if connection is not None:
            connection.step()
            if not connection.over:
                return
            del self.connections[number]
        self._accept()

    def _accept(self) -> None:
        while self._listener.can_accept and self._has_room():
            socket = self._listener.accept()
            if socket is None:
                return
            connection = self.connections[self.next_number] = Connection(self, self.next_number)
            self.next_number += 1
            connection.use(socket)
            self.post(connection.number)

    def _has_room(self) -> bool:
        if len(self.connections) < self.limit:
            return True
        idle = [connection for connection in self.connections.values() if connection.idle]
        if not idle:
            return False
        longest = min(idle, key=lambda connection: connection.idle_since)
        self.drop("idle connection closed", longest.path)
        longest.end()
        del self.connections[longest.number]
        return True

    def save(self) -> Plain:
        return {**super().save(), "connections": list(self.connections)}

    def load(self, state: Plain) -> None:
        """The connections of the snapshot are made here, and loaded as parts."""
        super().load(state)
        before = dict(self.connections)
        self.connections.clear()
        for number in state["connections"]:
            self.connections[number] = before.get(number) or Connection(self, number)
