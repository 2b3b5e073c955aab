"""A stack that asks, and we are its DNS servers: Scapy's packets, with dnspython's messages in them."""

from typing import Any

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

SECOND = 1_000_000_000
US = "02:00:00:00:00:01"


class Asked:
    """A query that the stack has sent."""

    def __init__(self, frame: Any) -> None:
        self.server, self.port = frame[IP].dst, frame[UDP].sport
        self.data = bytes(frame[UDP].payload)
        self.message = dns.message.from_wire(self.data)
        self.name, self.type = self.message.question[0].name.to_text(), self.message.question[0].rdtype
        self.kind = dns.rdatatype.to_text(self.type)

    def answer(self, *records: str, rcode: int = 0, flags: int = 0, authority: tuple[str, ...] = ()) -> bytes:
        """The message of a response; records as in zone files, "@" is the name as it was asked for."""
        response = dns.message.make_response(self.message, recursion_available=True)
        response.set_rcode(rcode)
        response.flags |= flags
        for section, texts in ((response.answer, records), (response.authority, authority)):
            for text in texts:
                name, ttl, cls, rtype, data = text.replace("@", self.name).split(maxsplit=4)
                section.append(dns.rrset.from_text(name, int(ttl), cls, rtype, data))
        return response.to_wire()


class Resolver:
    """The stack under test, 10.0.0.1, in a Script (see tests/stack/conftest.py)."""

    def __init__(self, script: Any, servers: tuple[str, ...] = ("10.0.0.2",)) -> None:
        self.script, self.stack = script, script.stack
        self.dns = self.stack.dns
        self.stack.dns_servers = servers

    def pass_time(self, seconds: float) -> list[Any]:
        """Let the stack do what it wants to, when it wants to; returns what it has sent, but for ARP."""
        bench, end, frames = self.script.bench, self.now + round(seconds * SECOND), []
        while (at := self.stack.poll_at(self.now)) is not None and at <= end:
            bench.now = max(self.now, at)
            frames += self._past_arp(self.script.sent())
        bench.now = end
        return frames

    def _past_arp(self, frames: list[Any]) -> list[Any]:
        for frame in frames:
            if ARP in frame and frame[ARP].op == 1:
                mac = self.mac(frame[ARP].pdst)
                reply = ARP(op=2, hwsrc=mac, psrc=frame[ARP].pdst, hwdst=US, pdst="10.0.0.1")
                frames = frames + self._past_arp(self.script.hear(Ether(src=mac, dst=US) / reply))
        return [frame for frame in frames if ARP not in frame]

    @staticmethod
    def mac(address: str) -> str:
        return f"02:00:00:00:00:{int(address.rpartition('.')[2]):02x}"

    def asked(self, frames: list[Any] | None = None) -> list[Asked]:
        """What the stack asks now, by UDP."""
        frames = self.pass_time(0) if frames is None else frames
        return [Asked(frame) for frame in frames if UDP in frame and frame[UDP].dport in (53, 5353)]

    def ask(self, name: str = "www.example.test", family: int | None = 4) -> tuple[Any, Asked]:
        """A query, and the one question that it leads to."""
        query = self.dns.start_query(name, family)
        (asked,) = self.asked()
        return query, asked

    def hear(
        self, data: bytes, port: int, source: str = "10.0.0.2", sport: int = 53, dst: str = "10.0.0.1"
    ) -> list[Any]:
        """A datagram for the stack; returns what it sends then."""
        frame = Ether(src=self.mac(source), dst=US) / IP(src=source, dst=dst) / UDP(sport=sport, dport=port) / Raw(data)
        return self._past_arp(self.script.hear(frame)) + self.pass_time(0)

    def reply(self, asked: Asked, *records: str, **more: Any) -> list[Any]:
        """The server's own response to its question."""
        return self.hear(asked.answer(*records, **more), asked.port, asked.server)

    @property
    def now(self) -> int:
        return self.script.bench.now

    @property
    def drops(self) -> dict[str, int]:
        return self.dns.drops


@pytest.fixture
def resolver(script: Any) -> Resolver:
    return Resolver(script)


@pytest.fixture
def make_resolver(make_script: Any) -> Any:
    """For those who need other servers, or one each time."""
    return lambda *servers: Resolver(make_script(), servers or ("10.0.0.2",))
