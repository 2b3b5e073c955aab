"""A small authoritative DNS server on the stack's sockets, by UDP and TCP (RFC 1034, 1035, 7766).

Everything happens in events: a socket that has changed asks for one, in which what has come is answered.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

from motenet.apps.dns.connection import Connection
from motenet.apps.dns.faults import Fault, Request, right
from motenet.apps.dns.zone import Records, Zones
from motenet.core.clock import LocalClock
from motenet.core.errors import ConfigurationError
from motenet.core.state import Component, Plain
from motenet.core.trace import Watched
from motenet.stack import NetworkStack
from motenet.stack.address import is_link_local
from motenet.stack.errors import StackError
from motenet.stack.sockets.tcp import TcpSocket

PORT = 53

Way = tuple[bytes, int, bytes, str]
"""To whom a response by UDP goes, address and port; from which of our addresses, and by which interface."""
_BY_TCP: Way = (b"", 0, b"", "")


class DnsServer(Watched):
    """Answers for its zones: {"example.test": {"www": ["10.0.0.7", "fd00::7"], "mail": "CNAME www"}} (see Zones).

    Put it among a host's applications, and snapshots carry it. `limit`: TCP connections at a time; when one more
    comes, the one that has been quiet for longest makes room (RFC 7766, 6.2.2).
    """

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "requests", "next_number", "posted", "pending")

    def __init__(
        self,
        stack: NetworkStack,
        zones: Zones | Mapping[str, Mapping[str, Records]],
        address: str | bytes = b"",
        port: int = PORT,
        limit: int = 32,
    ) -> None:
        super().__init__(stack.clock, f"{stack.path}/dns-{port}")
        self.zones = zones if isinstance(zones, Zones) else Zones(zones)
        self.limit = limit
        self.fault: Callable[[Request], Fault | None] | None = None
        """Asked for each query what is to go wrong with its response (see faults); None: nothing."""
        self.requests = 0
        """Messages that have come."""
        self.next_number = 1
        self.posted: dict[int, None] = {}
        """The connections for which an event is under way; 0 stands for UDP and the listener."""
        self.pending: list[tuple[int, int, Way, bytes]] = []
        """Responses that are to be sent later: when (ns), by which connection (0: UDP), to whom, and the message."""
        self.connections: dict[int, Connection] = {}
        self._stack = stack
        self._clock = stack.driver.clock
        self._udp = stack.sockets.udp_bind(port, address)
        self._udp.waker = self._wake
        self._listener = stack.tcp_listen(port, address)
        self._listener.waker = self._wake

    @property
    def now(self) -> int:
        """The host's time in ns."""
        return self.clock.now

    def parts(self) -> Iterable[Component]:
        return self.connections.values()

    def close(self) -> None:
        """Answer no more, and end all connections."""
        self._udp.close()
        self._listener.close()
        for connection in self.connections.values():
            connection.end()
        self.connections.clear()
        self.pending.clear()

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
            self._clock.post(self._serve, number)

    def _serve(self, number: int) -> None:
        self.posted.pop(number, None)
        if number == 0:
            self._serve_datagrams()
            self._accept()
            return
        connection = self.connections.get(number)
        if connection is not None:
            connection.step()
            if connection.over:
                del self.connections[number]
                self._accept()

    def _serve_datagrams(self) -> None:
        while (message := self._udp.receive()) is not None:
            for wait, data in self.answer(message.data, message.address, by_tcp=False):
                self._reply(wait, (message.address, message.port, message.destination, message.interface), data)

    def answer(self, data: bytes, address: bytes, by_tcp: bool) -> list[tuple[int, bytes]]:
        """What is to be sent for a message, and how many ns from now."""
        response = self.zones.respond(data, by_tcp)
        request = Request(self.requests, data, address, by_tcp)
        self.requests += 1
        if response is None:
            self.drop("dns-no-query", f"{len(data)} bytes")
            return []
        fault = self.fault(request) if self.fault is not None else None
        return list((fault or right)(response))

    def _reply(self, wait: int, way: Way, data: bytes) -> None:
        """RFC 2181, 4.1: the response comes from the address that the query was sent to."""
        if wait:
            self.postpone(wait, 0, data, way)
            return
        address, port, ours, interface = way
        source = ours if self._stack.node.routing.is_ours(ours) else b""  # it was no broadcast, and no group
        try:
            self._udp.send_to(data, address, port, source=source, interface=interface if is_link_local(address) else "")
        except StackError as error:
            self.drop("dns-response", str(error))

    # --- later

    def postpone(self, wait: int, number: int, data: bytes, way: Way = _BY_TCP) -> None:
        """Send a response in `wait` ns, by a connection (0: UDP). ConfigurationError where the clock has no alarms."""
        if not isinstance(self._clock, LocalClock):
            raise ConfigurationError("only the clock of a world's host can delay a response")
        at = self.now + wait
        self.pending.append((at, number, way, data))
        self._clock.world.at(at, self._send_due)

    def _send_due(self, _: None) -> None:
        due = [entry for entry in self.pending if entry[0] <= self.now]
        self.pending[:] = [entry for entry in self.pending if entry[0] > self.now]
        for _at, number, way, data in due:
            if number == 0:
                self._reply(0, way, data)
            elif number in self.connections:
                self.connections[number].say(data)
                self.post(number)

    # --- by TCP

    def _accept(self) -> None:
        while self._listener.can_accept:
            if len(self.connections) >= self.limit:
                longest = min(self.connections.values(), key=lambda connection: connection.quiet_since)
                self.drop("dns-connection", longest.path)
                longest.end()
                del self.connections[longest.number]
            socket = self._listener.accept()
            if socket is None:
                return
            connection = self.connections[self.next_number] = Connection(self, self.next_number)
            self.next_number += 1
            connection.use(socket)
            self.post(connection.number)

    # --- state

    def save(self) -> Plain:
        return super().save() | {"connections": list(self.connections)}

    def load(self, state: Plain) -> None:
        """The connections of the snapshot are made here, and loaded as parts."""
        super().load(state)
        before = dict(self.connections)
        self.connections.clear()
        for number in state["connections"]:
            self.connections[number] = before.get(number) or Connection(self, number)
