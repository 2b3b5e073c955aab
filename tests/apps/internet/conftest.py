"""A world with an internet, and how to ask its DNS server without any host."""

from typing import Any

import dns.message
import dns.rcode
import pytest

import motenet


class Net:
    """alice and bob, who have nothing yet, and an internet of them."""

    def __init__(self, *hosts: tuple[str, Any], seed: int = 3, settle: bool = True, **more: Any) -> None:
        self.world = motenet.World(seed=seed)
        for name, address in hosts or (("alice", ()), ("bob", ())):
            self.world.host(name, nic="virtio-net", address=address)
        self.net = self.world.internet(**more)
        if settle:
            self.net.settle()

    def __getattr__(self, name: str) -> Any:
        return self.world.hosts[name]

    def ask(self, name: str, kind: str = "A") -> list[str] | str:
        """The answer's data as text, or what went wrong."""
        ((_, data),) = self.net.dns.answer(dns.message.make_query(name, kind).to_wire(), b"", by_tcp=True)
        message = dns.message.from_wire(data)
        if message.rcode() != dns.rcode.NOERROR:
            return str(dns.rcode.to_text(message.rcode()))
        return sorted(rdata.to_text() for rrset in message.answer for rdata in rrset)


@pytest.fixture
def make_net() -> type[Net]:
    return Net
