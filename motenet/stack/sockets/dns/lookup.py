"""One question, and how it is asked: which server, how often, by UDP or TCP, and which responses are believed."""

from typing import TYPE_CHECKING, ClassVar

from motenet.core.state import Component, Plain
from motenet.core.units import SECOND
from motenet.stack.address import format_address, is_multicast
from motenet.stack.errors import AddressInUse, StackError
from motenet.stack.sockets.dns.cache import FAILED, FOUND, TIMED_OUT, Key, Outcome
from motenet.stack.sockets.dns.names import LOCAL, mix_case
from motenet.stack.sockets.dns.reading import ALIAS, mismatch, read
from motenet.stack.sockets.tcp.socket import TcpSocket
from motenet.stack.sockets.udp import Message as Datagram
from motenet.stack.sockets.udp import UdpSocket
from motenet.stack.wire import Malformed, dns
from motenet.stack.wire.dns import Message, Name, Question

if TYPE_CHECKING:
    from motenet.stack.sockets.dns.client import DnsClient

FIRST_WAIT, LONGEST_WAIT = SECOND, 10 * SECOND
"""How long a datagram's response is waited for; the wait doubles each time all servers were asked (smoltcp's)."""
TCP_WAIT = 10 * SECOND
"""How long a connection may take from its SYN to the response."""
MOST_FORGERIES = 10
"""Responses that do not match; then the query goes by TCP: "it MAY abandon the UDP query" (RFC 5452, 9.3)."""
FIRST_PORT, PORTS = 1024, 0x10000 - 1024
"""RFC 5452, 9.2: source ports come from a range as large as possible; those below 1024 are for services."""
MDNS_PORT, MDNS_HOP_LIMIT = 5353, 255
"""RFC 6762, 3 and 11."""
GROUPS = [bytes((224, 0, 0, 251)), bytes.fromhex("ff02 0000 0000 0000 0000 0000 0000 00fb")]
"""RFC 6762, 3: who has names of the domain local."""

_HARD = ("port", "protocol")  # RFC 5461, 2.1: hosts and networks may come back, and so the wait goes on
_REPEATED = (dns.FORMERR, dns.NOTIMP, dns.BADVERS)  # RFC 6891, 6.2.2 and 7: what servers without EDNS say to it


class Lookup(Component):
    """Finds the addresses of one type that a name has. It ends by telling the client its outcome."""

    STATE: ClassVar[tuple[str, ...]] = (
        "name", "aliases", "life", "servers", "sent", "refused", "trouble", "deadline", "server", "ident", "asked",
        "data", "forgeries", "fleeing", "socket_path", "told", "received",
    )  # fmt: skip

    def __init__(self, client: "DnsClient", key: Key) -> None:
        labels, self.type = self.key = key
        self.path = f"{client.path}/{dns.name_text(labels)}:{self.type}"
        self.client = client
        self.name: Name = labels
        """What is asked for now: the key's name, or the one that its aliases have led to."""
        self.aliases = 0
        self.life = 0x7FFF_FFFF
        """Seconds that the aliases so far hold."""
        self.servers: list[bytes] = []
        """In the order in which they are asked."""
        self.sent = 0
        """Questions that were sent by UDP, of the current name."""
        self.refused = 0
        """Servers in a row that could not be asked, or had no answer."""
        self.trouble = ""
        """What routers and neighbors have said about the way to a server that does not answer, for people."""
        self.deadline = 0
        """When the server that is being asked has not answered, in ns."""
        self.server = b""
        self.ident = 0
        self.asked: Name = ()
        """The name with the letters' case as it was sent."""
        self.data = b""
        """The query, as it was sent."""
        self.forgeries = 0
        """Responses to this query that cannot be its server's."""
        self.fleeing = ""
        """Why the query went by TCP, if not for its length: the last forgery's reason."""
        self.socket_path = ""
        self.told = False
        """The query was handed to the connection."""
        self.received = bytearray()
        """What came over the connection."""
        self._socket: UdpSocket | TcpSocket | None = None

    @property
    def _tries(self) -> int:
        return self.client.tries * len(self.servers)

    # --- going on

    def begin(self, now: int) -> None:
        """Ask for the current name: the server first that answered last."""
        client = self.client
        if self.name[-1:] == (LOCAL,):
            self.servers = list(GROUPS)
        else:
            at = client.preferred
            self.servers = client.servers[at:] + client.servers[:at]
        self.sent = self.refused = 0
        self._ask_next(now)

    def step(self, now: int) -> None:
        """Go on as far as possible: something has come, or the deadline is over."""
        socket = self._socket
        if isinstance(socket, UdpSocket):
            self._hear(now, socket)
        elif socket is not None:
            self._converse(now, socket)
        if self._socket is socket and now >= self.deadline:
            self.refused = 0
            self._ask_next(now)

    def end(self) -> None:
        """Let go of the socket."""
        socket, self._socket, self.socket_path = self._socket, None, ""
        if socket is not None:
            socket.waker = None
            if isinstance(socket, UdpSocket):
                socket.close()
            else:
                socket.release()

    def _conclude(self, outcome: Outcome, life: int, now: int) -> None:
        self.end()
        self.client.concluded(self, outcome, min(life, self.life), now)

    # --- asking

    def _ask_next(self, now: int) -> None:
        """The next datagram; RFC 9520, 3.1: three to each server at most."""
        if self.sent >= self._tries:
            names = ", ".join(format_address(server) for server in self.servers)
            self._conclude(Outcome(TIMED_OUT, detail=f"no answer from {names}{self.trouble}"), 0, now)
            return
        server = self.servers[self.sent % len(self.servers)]
        wait = min(FIRST_WAIT << min(self.sent // len(self.servers), 10), LONGEST_WAIT)
        self.sent += 1
        self.deadline = now + wait
        if isinstance(self._socket, UdpSocket) and server == self.server:
            self._send(now, self._socket)  # the same once more: a late response to the first one still counts
        else:
            self._ask_by_udp(now, server)

    def _ask_by_udp(self, now: int, server: bytes) -> None:
        """RFC 5452, 9.2: an identifier and a port that nobody can foretell, anew for each server."""
        self.end()
        self.server, self.fleeing = server, ""
        self._write()
        try:
            socket = self._bind(server)
        except StackError as error:
            self._cannot(now, str(error))
            return
        self._use(socket)
        self._send(now, socket)

    def _send(self, now: int, socket: UdpSocket) -> None:
        group = is_multicast(self.server)
        try:
            socket.send_to(self.data, self.server, MDNS_PORT if group else dns.PORT)
        except StackError as error:
            self._cannot(now, str(error))

    def _write(self) -> None:
        """A query for the current server. By multicast it desires no recursion (RFC 6762, 18.6), and is plain."""
        client, server = self.client, self.server
        stream, group = client.stream, is_multicast(self.server)
        plain, caseless = group or server in client.plain, group or server in client.caseless
        self.ident = stream.bits(16)
        self.asked = self.name if caseless else mix_case(self.name, stream)
        self.forgeries = 0
        query = dns.query(self.ident, Question(self.asked, self.type), 0 if plain else dns.PAYLOAD)
        if group:
            query.flags = 0
        self.data = query.emit()

    def _bind(self, server: bytes) -> UdpSocket:
        """A socket at a random port, of the one address that the response is to come to (RFC 5452, 9.1)."""
        sockets, zone = self.client.sockets, self.client.zones.get(server, "")
        source = sockets.network.source_for(server, zone)
        for _ in range(16):
            try:
                socket = sockets.udp_bind(FIRST_PORT + self.client.stream.below(PORTS), source)
                break
            except AddressInUse:
                continue
        else:
            socket = sockets.udp_bind(0, source)
        socket.interface, socket.group_hop_limit, socket.hop_limit = zone, MDNS_HOP_LIMIT, self.client.hop_limit
        return socket

    def _ask_by_tcp(self, now: int, fleeing: str = "") -> None:
        """RFC 7766, 5: what does not fit into a datagram, and what somebody tries to forge."""
        self.end()
        self.fleeing = fleeing
        self._write()
        self.told = False
        self.received.clear()
        self.deadline = now + TCP_WAIT
        self.client.by_tcp += 1
        try:
            zone = self.client.zones.get(self.server, "")
            socket = self.client.sockets.tcp_connect(self.server, dns.PORT, interface=zone)
            socket.hop_limit = self.client.hop_limit
        except StackError as error:
            self._cannot(now, str(error))
            return
        self._use(socket)

    def _use(self, socket: UdpSocket | TcpSocket) -> None:
        self._socket = socket
        self.socket_path = socket.path
        socket.waker = self._wake

    def _wake(self) -> None:
        self.client.wake_up(self.key)

    def _cannot(self, now: int, why: str) -> None:
        """The server cannot be asked, or has no answer. Once that holds for each of them, there is none."""
        self.end()
        told = f"{format_address(self.server)}: {why}"
        self.client.drop("dns-server", told)
        if self.fleeing == "dns-case":
            self.client.caseless[self.server] = None
        if not self.fleeing:  # else it does not speak TCP: then by UDP again, from another port
            self.refused += 1
        if self.refused >= len(self.servers):
            self._conclude(Outcome(FAILED, detail=told), 0, now)
        else:
            self._ask_next(now)

    # --- hearing

    def _hear(self, now: int, socket: UdpSocket) -> None:
        while self._socket is socket:
            if socket.failures:
                kind, remote, _ = socket.failures.popleft()
                if remote == self.server and kind in _HARD:
                    self._cannot(now, f"{kind} unreachable")
                elif remote == self.server:
                    self.trouble = f" ({kind} unreachable)"
                continue
            received = socket.receive()
            if received is None:
                return
            message, reason = self._match(received.data)
            if not self._is_meant(received):
                reason = "dns-source"
            elif message is not None and message.rcode and is_multicast(self.server):
                reason = reason or "dns-rcode"  # RFC 6762, 18.11: it MUST be silently ignored
            if message is not None and not reason:
                self._take(now, message)
            else:
                self._distrust(now, reason, format_address(received.address))

    def _is_meant(self, received: Datagram) -> bool:
        """RFC 5452, 9.1: from the server itself; RFC 6762, 11: or from a neighbor, and nobody beyond routers."""
        if not is_multicast(self.server):
            return (received.address, received.port) == (self.server, dns.PORT)
        network = self.client.sockets.network
        return received.port == MDNS_PORT and network.is_neighbor(received.address, received.interface)

    def _match(self, data: bytes) -> tuple[Message | None, str]:
        """The message, and why it is no response to our query."""
        try:
            message = dns.parse(data)
        except Malformed as error:
            return None, error.reason
        return message, mismatch(message, self.ident, Question(self.asked, self.type))

    def _distrust(self, now: int, reason: str, source: str) -> None:
        """RFC 5452, 9.3: count what does not match, and leave the field to the forger if it is too much."""
        self.client.drop(reason, f"{dns.name_text(self.name)} from {source}")
        self.forgeries += 1
        if not is_multicast(self.server) and (reason == "dns-case" or self.forgeries >= MOST_FORGERIES):
            self._ask_by_tcp(now, reason)

    def _take(self, now: int, message: Message) -> None:
        """A response of the server's own."""
        client, server = self.client, self.server
        cut = message.flags & dns.TC and not is_multicast(server)  # RFC 6762, 18.5: there it says nothing
        if message.rcode in _REPEATED and server not in client.plain:
            client.plain[server] = None
            self._ask_by_udp(now, server)
        elif cut and isinstance(self._socket, UdpSocket):
            self._ask_by_tcp(now)  # RFC 2181, 9: ignore what it says
        else:
            self._believe(now, message)

    def _believe(self, now: int, message: Message) -> None:
        try:
            reading = read(message, Question(self.name, self.type), self.aliases)
        except Malformed as error:
            self._cannot(now, error.reason)
            return
        if reading.kind == FAILED:
            self._cannot(now, reading.detail)
            return
        self.client.answered_by(self.server)
        if reading.kind != ALIAS:
            self._conclude(Outcome(reading.kind, reading.addresses if reading.kind == FOUND else ()), reading.life, now)
            return
        self.name, self.aliases, self.life = reading.name, reading.aliases, min(self.life, reading.life)
        self.end()
        self.begin(now)

    # --- by TCP

    def _converse(self, now: int, socket: TcpSocket) -> None:
        """RFC 7766, 8: each message comes after its length in two bytes, and both are sent at once."""
        if socket.error is not None:
            self._cannot(now, str(socket.error))
            return
        if not self.told and socket.can_send:
            socket.send(len(self.data).to_bytes(2, "big") + self.data)
            self.told = True
        while socket.can_recv:
            self.received += socket.recv(65536)
        length = int.from_bytes(self.received[:2], "big")
        if len(self.received) < 2 or len(self.received) < 2 + length:
            if self.told and not socket.may_recv:
                self._cannot(now, "no answer by TCP")
            return
        message, reason = self._match(bytes(self.received[2 : 2 + length]))
        if reason == "dns-case":  # no forger: the server does not keep the case of letters
            self.client.caseless[self.server] = None
            reason = ""
        if message is None or reason:
            self._cannot(now, f"{reason} by TCP")
        else:
            self._take(now, message)

    # --- state

    def load(self, state: Plain) -> None:
        super().load(state)
        self._socket = None
        socket = self.client.sockets.find(self.socket_path) if self.socket_path else None
        if isinstance(socket, UdpSocket | TcpSocket):
            self._use(socket)
