"""Two hosts: alice, who asks, byte by byte if need be, and bob, who serves."""

import http.client
import io
from collections.abc import Callable
from typing import Any

from motenet.apps.http import Fetcher, HttpResponse, HttpServer, Site
from motenet.sim.world import World
from motenet.stack.sockets.tcp import TcpSocket


class Said:
    """Lets http.client read bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = io.BytesIO(data)

    def makefile(self, mode: str) -> io.BytesIO:
        return self.data


def parse(data: bytes, method: str = "GET") -> tuple[http.client.HTTPResponse, bytes]:
    """One response, as Python's own client reads it, with its body."""
    response = http.client.HTTPResponse(Said(data), method=method)  # type: ignore[arg-type]
    response.begin()
    return response, response.read()


class Lab:
    """A server, a client, and what is heard of either."""

    def __init__(self, site: Site, seed: int = 3, loss: float = 0.0, **limits: Any) -> None:
        self.world = World(seed=seed)
        self.alice = self.world.host("alice", address="10.0.0.1/24")
        self.bob = self.world.host("bob", address="10.0.0.2/24")
        self.world.link(self.alice, self.bob, bandwidth="1Gbit/s", delay="50us", loss=loss)
        self.server = HttpServer(self.bob.stack, site, **limits)
        self.bob.applications.append(self.server)
        self.client = Fetcher(self.alice.stack)
        self.alice.applications.append(self.client)
        self.world.run("1s", until=lambda: self.alice.stack.is_link_up and self.bob.stack.is_link_up)

    def connect(self) -> TcpSocket:
        return self.alice.stack.tcp_connect("10.0.0.2", 80)

    def ask(self, *lines: str, method: str = "GET", path: str = "/") -> tuple[http.client.HTTPResponse, bytes]:
        """One request with these header lines; Python's own client reads the answer."""
        socket = self.connect()
        head = [f"{method} {path} HTTP/1.1", "Host: bob", *lines, "Connection: close", "", ""]
        socket.send("\r\n".join(head).encode("latin-1"))
        return parse(self.rest(socket, 1000), method)

    def rest(self, socket: TcpSocket, patience: int) -> bytes:
        """What the server says until it closes, or so many ms are over; the connection is let go."""
        said = bytearray()
        for _ in range(patience):
            self.world.run("1ms")
            said += socket.recv(1 << 20)
            if not socket.may_recv:
                break
        socket.release()
        self.world.run("10ms")
        return bytes(said)

    def wait(self, ready: Callable[[], bool]) -> None:
        self.world.run("120s", until=ready)

    def get(self, url: str) -> HttpResponse:
        response = self.client.get(url)
        self.wait(lambda: response.done)
        return response

    def raw(self, *pieces: bytes, close: bool = False) -> bytes:
        """Send bytes to the server as they are; returns all it says until it closes, or nothing more happens."""
        socket = self.connect()
        said = bytearray()
        for piece in pieces:
            socket.send(piece)
            self.world.run("1ms")
            said += socket.recv(1 << 20)
        if close:
            socket.close()
        return bytes(said) + self.rest(socket, 100)

    def peer(self, *pieces: bytes, close: bool = True) -> HttpResponse:
        """Ask a server that says these bytes, whatever it is asked."""
        listener = self.bob.stack.tcp_listen(8080)
        response = self.client.get("http://10.0.0.2:8080/")
        self.wait(lambda: listener.can_accept)
        socket = listener.accept()
        assert socket is not None
        for piece in pieces:
            self.world.run("1ms")
            if socket.may_send:
                socket.send(piece)
        if close:
            socket.close()
        self.world.run("100ms")
        listener.close()
        return response
