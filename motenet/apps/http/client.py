"""An HTTP/1.1 client on the stack's sockets: a response that fills itself in events, while the world runs."""

from collections.abc import Callable, Iterable
from typing import ClassVar
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import h11

from motenet.apps.http.reason import reason
from motenet.core.errors import ConfigurationError, MotenetError
from motenet.core.state import Component, Plain
from motenet.core.trace import Watched
from motenet.stack import NetworkStack
from motenet.stack.address import format_address, is_single_host, parse_address
from motenet.stack.errors import HostUnreachable
from motenet.stack.sockets.tcp import TcpSocket
from motenet.stack.sockets.tcp.state import State

CHUNK = 256 * 1024
"""Bytes taken from the socket at a time."""
LARGEST_HEAD = 64 * 1024
_ZEROS = bytes(CHUNK)


class HttpError(MotenetError):
    """A request over HTTP did not succeed."""


class BadResponse(HttpError):
    """What the server sent is no HTTP, or ended before its time."""


class BadStatus(HttpError):
    """The server's answer is an error, or leads elsewhere; `status` is its number."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class HttpResponse(Component):
    """The answer to one request. `done` when it is whole or has failed; then `result()` gives the body or raises."""

    STATE: ClassVar[tuple[str, ...]] = (
        "url", "socket_path", "out", "fed", "skipped", "status", "reason", "headers", "length", "received", "body",
        "done", "failure",
    )  # fmt: skip

    def __init__(
        self,
        client: "HttpClient",
        number: int,
        sink: Callable[[bytes], object] | None = None,
        progress: Callable[[int, int | None], object] | None = None,
    ) -> None:
        self.path = f"{client.path}/{number}"
        self.number = number
        self.url = ""
        self.status = 0
        """The status code; 0: no answer yet."""
        self.reason = ""
        self.headers: list[tuple[str, str]] = []
        """Names in lower case."""
        self.length: int | None = None
        """The body's length in bytes, if the server has told it."""
        self.received = 0
        self.body = bytearray()
        """What has come so far, unless a sink takes it."""
        self.done = False
        self.failure = ""
        self.error: MotenetError | None = None
        """Why it failed."""
        self.socket_path = ""
        self.out = b""
        self.fed = bytearray()
        """What h11 was given, but for `skipped` bytes of a body whose pieces have no framing of their own."""
        self.skipped = 0
        self._client = client
        self._sink, self._progress = sink, progress
        self._h11 = h11.Connection(h11.CLIENT, LARGEST_HEAD)
        self._socket: TcpSocket | None = None

    def header(self, name: str) -> str | None:
        """A header's value, by its name in any case; None if there is none."""
        return next((value for key, value in self.headers if key == name.lower()), None)

    def result(self) -> bytes:
        """The body. Raises what went wrong: the stack's errors, BadResponse, or BadStatus from 300 on."""
        if not self.done:
            raise HttpError(f"{self.url} is still on its way: run the world until the response is done")
        if self.error is not None:
            raise self.error
        if self.status >= 300:
            location = self.header("location")
            where = f"; it is at {location}" if location else ""
            raise BadStatus(self.status, f"{self.url}: {self.status} {self.reason}{where}")
        return bytes(self.body)

    def cancel(self) -> None:
        """Give up what has not come yet."""
        if not self.done:
            self._fail(HttpError(f"{self.url} was given up: {self._standing()}"))

    def _standing(self) -> str:
        """How far it is."""
        socket = self._socket
        if socket is not None and socket.state is State.SYN_SENT:
            return f"{_name(socket)} has not answered"
        if not self.status:
            return "connected, but the server has not answered"
        return f"{self.received} of {'so many' if self.length is None else self.length} bytes have come"

    # --- for the client

    def ask(self, url: str, host: str, target: str, socket: TcpSocket) -> None:
        """Send the request, which is the connection's only one."""
        self.url = url
        self.out = _request(self._h11, host, target)
        self._use(socket)
        self.step()

    def _use(self, socket: TcpSocket) -> None:
        self._socket = socket
        self.socket_path = socket.path
        socket.waker = self._wake

    def _wake(self) -> None:
        self._client.post(self.number)

    def step(self) -> None:
        """Send and take what can be sent and taken now."""
        socket = self._socket
        if socket is None or self.done:
            return
        try:
            if socket.state is State.SYN_SENT and socket.soft_failure:
                why = f"({socket.soft_failure}): check the address, the cable and the peer"
                raise HostUnreachable(f"{_name(socket)} cannot be reached {why}")
            if self.out:
                self.out = self.out[socket.send(self.out) :]
            while not self.done and (data := socket.recv(CHUNK)):
                self._take(data)
            if not self.done and not socket.may_recv and socket.state is not State.SYN_SENT:
                self._take(b"")  # the end of the stream
        except h11.RemoteProtocolError as error:
            self._fail(
                BadResponse(f"{self.url}: the server's answer cannot be understood, or is not whole: {reason(error)}")
            )
        except MotenetError as error:
            self._fail(error)

    def _take(self, data: bytes) -> None:
        if self.status and not self._chunked:
            self.skipped += len(data)
        else:
            self.fed += data
        self._h11.receive_data(data)
        while True:
            event = self._h11.next_event()
            if isinstance(event, h11.Data):
                self._take_body(bytes(event.data))
            elif isinstance(event, h11.Response):
                self._take_head(event)
            elif isinstance(event, h11.EndOfMessage):
                self._finish()
                return
            elif not isinstance(event, h11.InformationalResponse):
                return

    def _take_head(self, response: h11.Response) -> None:
        self.status = response.status_code
        self.reason = response.reason.decode("latin-1")
        self.headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers]
        length = self.header("content-length")
        self.length = int(length) if length is not None and not self._chunked else None

    @property
    def _chunked(self) -> bool:
        return self.header("transfer-encoding") is not None

    def _take_body(self, data: bytes) -> None:
        self.received += len(data)
        if self._sink is None:
            self.body += data
        else:
            self._sink(data)
        if self._progress is not None:
            self._progress(self.received, self.length)

    def _finish(self) -> None:
        self.done = True
        if self._socket is not None:
            self._socket.release()
            self._socket = None
        self._client.forget(self.number)

    def _fail(self, error: MotenetError) -> None:
        self.error = error
        self.failure = str(error)
        if self._socket is not None:
            self._socket.abort()
        self._finish()

    # --- state

    def load(self, state: Plain) -> None:
        """Take a saved state: a fresh h11 reads once more what the other one had."""
        super().load(state)
        self.headers = [(name, value) for name, value in self.headers]
        self.error = HttpError(self.failure) if self.failure else None
        self._socket = None
        self._h11 = h11.Connection(h11.CLIENT, LARGEST_HEAD)
        if self.done:
            return
        _request(self._h11, "", "/")
        self._replay(bytes(self.fed))
        for left in range(self.skipped, 0, -CHUNK):
            self._replay(_ZEROS[:left])
        socket = self._client.find_socket(self.socket_path)
        if socket is not None:
            self._use(socket)

    def _replay(self, data: bytes) -> None:
        if data:
            self._h11.receive_data(data)
        while self._h11.next_event() is not h11.NEED_DATA:
            pass


class HttpClient(Watched):
    """Fetches things, one connection each. Put it among a host's applications, and snapshots carry it."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "next_number", "posted")

    def __init__(self, stack: NetworkStack) -> None:
        super().__init__(stack.clock, f"{stack.path}/http-client")
        self.next_number = 1
        self.posted: dict[int, None] = {}
        """The responses for which an event is under way."""
        self.responses: dict[int, HttpResponse] = {}
        """Those that are not done."""
        self._stack = stack
        self._post = stack.driver.clock.post
        self._known: WeakValueDictionary[int, HttpResponse] = WeakValueDictionary()
        """Also those that are done, while somebody holds them: a snapshot may make them undone."""

    def parts(self) -> Iterable[Component]:
        return self.responses.values()

    def get(
        self,
        url: str,
        *,
        sink: Callable[[bytes], object] | None = None,
        progress: Callable[[int, int | None], object] | None = None,
    ) -> HttpResponse:
        """Ask for an URL such as "http://10.0.0.2/file"; the response fills itself while the world runs.

        `sink(data)` takes the body piece by piece, instead of the response; `progress(received, length or None)` is
        told how far it is. ConfigurationError for an URL that cannot be asked for.
        """
        host, address, port, target = split(url)
        socket = self._stack.sockets.tcp_connect(address, port)
        number = self.next_number
        self.next_number += 1
        response = self.responses[number] = self._known[number] = HttpResponse(self, number, sink, progress)
        response.ask(url, host, target, socket)
        return response

    def forget(self, number: int) -> None:
        """A response is done."""
        self.responses.pop(number, None)

    def find_socket(self, path: str) -> TcpSocket | None:
        """The stack's socket of a path, if there is one."""
        found = self._stack.sockets.find(path)
        return found if isinstance(found, TcpSocket) else None

    def post(self, number: int) -> None:
        """Have a response go on in an event of its own; one serves for all that happens until then."""
        if number not in self.posted:
            self.posted[number] = None
            self._post(self._continue, number)

    def _continue(self, number: int) -> None:
        self.posted.pop(number, None)
        response = self.responses.get(number)
        if response is not None:
            response.step()

    def save(self) -> Plain:
        return {**super().save(), "responses": list(self.responses)}

    def load(self, state: Plain) -> None:
        """The responses of the snapshot are made here, or taken from those who hold them, and loaded as parts."""
        super().load(state)
        self.responses.clear()
        for number in state["responses"]:
            response = self._known.get(number) or HttpResponse(self, number)
            self.responses[number] = self._known[number] = response


def _request(connection: h11.Connection, host: str, target: str) -> bytes:
    """The bytes of a GET; the connection is used for nothing else."""
    headers = [("Host", host), ("User-Agent", "motenet"), ("Accept", "*/*"), ("Connection", "close")]
    head = connection.send(h11.Request(method="GET", target=target, headers=headers))
    connection.send(h11.EndOfMessage())
    assert head is not None
    return head


def _name(socket: TcpSocket) -> str:
    address, port = socket.remote
    return f"{format_address(address)} port {port}"


def split(url: str) -> tuple[str, str, int, str]:
    """The Host header, the address, the port and the target of an URL; ConfigurationError when it is none of ours."""
    try:
        parts = urlsplit(url)
        port = 80 if parts.port is None else parts.port
    except ValueError as error:
        raise ConfigurationError(f"{url!r} is no URL: {error}") from error
    if parts.scheme != "http" or not parts.hostname or parts.username is not None:
        raise ConfigurationError(f"{url!r} is no URL that can be fetched; write it like 'http://10.0.0.2/file'")
    address = parse_address(parts.hostname)
    if port == 0 or len(address) != 4 or not is_single_host(address):
        raise ConfigurationError(f"{url!r} leads nowhere: its port is 0, or its address is not an IPv4 host's")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not target.isascii() or any(c.isspace() or not c.isprintable() for c in target):
        raise ConfigurationError(f"{url!r} has characters that an URL cannot carry; write them as %20 and so on")
    return parts.netloc, parts.hostname, port, target
