"""A small authoritative DNS server on the stack's sockets, by UDP and TCP (RFC 1034, 1035, 7766)."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from motenet.apps.dns.connection import Connection
from motenet.apps.dns.faults import Fault, Request, right
from motenet.apps.dns.zone import Records, Zones
from motenet.apps.service import Service
from motenet.stack import NetworkStack
from motenet.stack.sockets.udp import Message

PORT = 53

_BY_TCP = Message(b"", b"", 0, b"")


class DnsServer(Service[Connection]):
    """Answers for its zones: {"example.test": {"www": ["10.0.0.7", "fd00::7"], "mail": "CNAME www"}} (see Zones).

    `limit`: TCP connections at a time; when one more comes, the one that has been quiet for longest makes room
    (RFC 7766, 6.2.2).
    """

    STATE: ClassVar[tuple[str, ...]] = (*Service.STATE, "requests", "pending")

    def __init__(
        self,
        stack: NetworkStack,
        zones: Zones | Mapping[str, Mapping[str, Records]],
        address: str | bytes = b"",
        port: int = PORT,
        limit: int = 32,
    ) -> None:
        super().__init__(stack, "dns", port, address, limit)
        self.zones = zones if isinstance(zones, Zones) else Zones(zones)
        self.fault: Callable[[Request], Fault | None] | None = None
        """Asked for each query what is to go wrong with its response (see faults); None: nothing."""
        self.requests = 0
        """Messages that have come."""
        self.pending: list[tuple[int, int, tuple[Any, ...], bytes]] = []
        """Responses that are to be sent later: when (ns), by which connection (0: UDP), to which message, and what."""

    def connection(self, number: int) -> Connection:
        return Connection(self, number)

    def close(self) -> None:
        """Answer no more, and end all connections."""
        super().close()
        self.pending.clear()

    def hear(self, message: Message) -> None:
        for wait, data in self.answer(message.data, message.address, by_tcp=False):
            if wait:
                self.postpone(wait, 0, data, message)
            else:
                self.reply(message, data)

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

    def postpone(self, wait: int, number: int, data: bytes, message: Message = _BY_TCP) -> None:
        """Send a response in `wait` ns, by a connection (0: UDP). ConfigurationError where the clock has no alarms."""
        at = self.now + wait
        self.at(at, self._send_due)
        self.pending.append((at, number, tuple(message), data))

    def _send_due(self, _: None) -> None:
        due = [entry for entry in self.pending if entry[0] <= self.now]
        self.pending[:] = [entry for entry in self.pending if entry[0] > self.now]
        for _at, number, message, data in due:
            if number == 0:
                self.reply(Message(*message), data)
            elif number in self.connections:
                self.connections[number].say(data)
                self.post(number)
