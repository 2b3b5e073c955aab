"""Two hosts: alice, who asks byte by byte, and bob, who serves."""

import http.client
import io
from typing import Any

import pytest

from motenet.apps.http import HttpServer, Site
from motenet.sim.world import World
from motenet.stack.sockets.tcp import TcpSocket


class Said:
    """Lets http.client read bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = io.BytesIO(data)

    def makefile(self, mode: str) -> io.BytesIO:
        return self.data


class Lab:
    """A server, and what a client hears from it."""

    def __init__(self, site: Site, **limits: Any) -> None:
        self.world = World(seed=3)
        self.alice = self.world.host("alice", address="10.0.0.1/24")
        self.bob = self.world.host("bob", address="10.0.0.2/24")
        self.world.link(self.alice, self.bob, bandwidth="1Gbit/s", delay="50us")
        self.server = HttpServer(self.bob.stack, site, **limits)
        self.bob.applications.append(self.server)
        self.world.run("1s", until=lambda: self.alice.stack.is_link_up and self.bob.stack.is_link_up)

    def connect(self) -> TcpSocket:
        return self.alice.stack.tcp_connect("10.0.0.2", 80)

    def ask(self, *lines: str, method: str = "GET", path: str = "/") -> tuple[http.client.HTTPResponse, bytes]:
        """One request with these header lines; Python's own client reads the answer."""
        socket = self.connect()
        head = [f"{method} {path} HTTP/1.1", "Host: bob", *lines, "Connection: close", "", ""]
        socket.send("\r\n".join(head).encode("latin-1"))
        said = bytearray()
        for _ in range(1000):
            self.world.run("1ms")
            said += socket.recv(1 << 20)
            if not socket.may_recv:
                break
        socket.release()
        self.world.run("10ms")
        response = http.client.HTTPResponse(Said(bytes(said)), method=method)  # type: ignore[arg-type]
        response.begin()
        return response, response.read()


@pytest.fixture
def make_lab() -> type[Lab]:
    return Lab
