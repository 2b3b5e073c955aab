"""A conversation, seen at each layer that it passes through: from HTTP down to the cable."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from motenet.core.trace import Event, FramePassed
from motenet.core.units import MS, SECOND, format_duration
from motenet.sim.host import Host
from motenet.sim.world import World
from motenet.stack.address import format_address
from motenet.stack.sockets.tcp import TcpSocket
from motenet.stack.wire import Malformed, dns, ethernet, ipv4, udp

if TYPE_CHECKING:
    import httpx2

DNS_PORT = 53
STEPS = {
    "connection.connect_tcp.complete": "connected",
    "connection.start_tls.complete": "secured",
    "http11.send_request_body.complete": "asked",
    "http11.receive_response_headers.complete": "answered",
}
"""What the HTTP client tells of its work, and what we call it."""


class Layers:
    """Listens to one host, and to the HTTP client on it. Times are ns of virtual time."""

    def __init__(self, world: World, host: Host, peer: Host) -> None:
        self.questions: list[str] = []
        """DNS, as asked on the wire."""
        self.answers: dict[str, str] = {}
        """Names and their addresses, as answered on the wire."""
        self.lookup = 0
        """From the first question to the first address."""
        self.steps: dict[str, int] = {}
        """When each step of the first request was done."""
        self.http = ""
        self.tls = ""
        self.tokens = 0
        self.times: list[int] = []
        """When tokens came."""
        self._world = world
        self._host, self._peer = host, peer
        self._sockets: list[tuple[Host, TcpSocket]] = []
        self._asked = 0
        world.watch(self._see, host)

    def hooks(self) -> dict[str, list[Callable[..., Any]]]:
        """For the HTTP client: httpx2.AsyncClient(event_hooks=...)."""
        return {"request": [self._trace], "response": [self._responded]}

    def token(self) -> None:
        """One has come."""
        self.tokens += 1
        self.times.append(self._world.now)
        self._find_sockets()

    # --- listening

    def _see(self, event: Event) -> None:
        """A frame at the host's card: DNS by UDP is read, as tcpdump would."""
        if not isinstance(event, FramePassed) or event.path != self._host.port.path:
            return
        try:
            frame = ethernet.parse(memoryview(event.frame))
            if frame.ethertype != ethernet.IPV4:
                return
            packet = ipv4.parse(frame.payload, verify=False)
            if packet.protocol != ipv4.UDP:
                return
            datagram = udp.parse(packet.payload, packet.source, packet.destination, verify=False)
            if DNS_PORT in (datagram.source_port, datagram.destination_port):
                self._see_dns(dns.parse(datagram.payload), event)
        except Malformed:
            return

    def _see_dns(self, message: dns.Message, event: FramePassed) -> None:
        name = dns.name_text(dns.fold(message.questions[0].name)) if message.questions else ""
        if event.direction == "tx":
            self._asked = self._asked or event.time
            self.questions.append(name)
            return
        for record in message.answers:
            if record.type == dns.A:
                self.lookup = self.lookup or event.time - self._asked
                self.answers[name] = format_address(record.data)

    async def _trace(self, request: "httpx2.Request") -> None:
        async def note(name: str, info: object) -> None:
            if name in STEPS:
                self.steps.setdefault(STEPS[name], self._world.now)

        request.extensions["trace"] = note

    async def _responded(self, response: "httpx2.Response") -> None:
        self.http = f"{response.http_version} {response.status_code}"
        secure = response.extensions["network_stream"].get_extra_info("ssl_object")
        if secure is not None:
            self.tls = f"{secure.version()} {secure.cipher()[0]}"

    def _find_sockets(self) -> None:
        """Remember connections: they are gone when they are closed."""
        for host in (self._host, self._peer):
            for _, socket in host.stack.sockets:
                if isinstance(socket, TcpSocket) and all(known is not socket for _, known in self._sockets):
                    self._sockets.append((host, socket))

    # --- telling

    def tcp(self, host: Host) -> dict[str, int]:
        """A host's connections: segments both ways, retransmissions, and the latest round-trip time."""
        found = [socket.statistics for owner, socket in self._sockets if owner is host]
        names = ("segments_out", "segments_in", "retransmissions")
        return {name: sum(one[name] for one in found) for name in names} | {
            "round_trip": found[-1]["round_trip"] if found else 0
        }

    def cables(self, *hosts: Host) -> dict[str, int]:
        """What the hosts' cables carried and lost, both ways."""
        ports = [host.port for host in hosts]
        ways = [way for link in self._world.links if link.a in ports or link.b in ports for way in link.directions]
        return {"frames": sum(way.frames for way in ways), "lost": sum(way.drops.get("lost", 0) for way in ways)}

    def taken(self, host: Host) -> int:
        """Frames that a host's card has given its cable."""
        ways = [link.directions[link.b is host.port] for link in self._world.links if host.port in (link.a, link.b)]
        return sum(way.frames + sum(way.drops.values()) for way in ways)

    def summary(self) -> dict[str, Any]:
        """All of it, for a program."""
        found: dict[str, Any] = {
            "tokens": self.tokens, "http": self.http, "tls": self.tls, "steps_ns": self.steps,
            "dns": {"questions": self.questions, "answers": self.answers, "lookup_ns": self.lookup},
        }  # fmt: skip
        for host in (self._host, self._peer):
            counters = {name: count for name, count in host.driver.statistics.items() if count}
            found[host.name] = {"tcp": self.tcp(host), "card": counters, "cable": self.cables(host)}
        return found

    def render(self) -> Table:
        """As it is now, a line for each layer."""
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="bold cyan", no_wrap=True)
        table.add_column(no_wrap=True)
        for name, words in self._lines():
            table.add_row(name, Text(words))
        return table

    def _lines(self) -> list[tuple[str, str]]:
        ours, theirs = self.tcp(self._host), self.tcp(self._peer)
        card, cables = self._host.driver.statistics, self.cables(self._host, self._peer)
        return [
            ("time", f"{self._world.now / SECOND:.3f} s, virtual"),
            ("model", f"{self.tokens} tokens"),
            ("HTTP", self.http or "nothing yet"),
            ("TLS", f"{self.tls}, {self._took('secured', 'connected')}" if self.tls else "not yet"),
            ("TCP", f"{ours['segments_out']} segments out, {ours['segments_in']} in, round trip"
                    f" {format_duration(ours['round_trip'])}"),
            ("", f"{ours['retransmissions'] + theirs['retransmissions']} retransmitted,"
                 f" {theirs['retransmissions']} of them by {self._peer.name}"),
            ("DNS", f"{self._resolved()}, {len(self.questions)} questions"),
            ("card", f"{card['tx_frames']} frames out, {card['rx_frames']} in, {card['interrupts']} interrupts"),
            ("cables", f"{cables['frames']} frames carried, {cables['lost']} lost"),
        ]  # fmt: skip

    def _resolved(self) -> str:
        if not self.answers:
            return "nothing yet"
        name, address = next(iter(self.answers.items()))
        return f"{name} is {address}, found in {self.lookup / MS:.1f} ms"

    def _took(self, step: str, since: str) -> str:
        return f"{(self.steps.get(step, 0) - self.steps.get(since, 0)) / MS:.1f} ms"
