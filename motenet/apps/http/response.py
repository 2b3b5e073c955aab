"""The answer to one request over HTTP/1.1: finds the server, asks it, and fills itself in events."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import h11

from motenet.apps.http.reason import reason
from motenet.apps.http.url import Url
from motenet.core.errors import MotenetError
from motenet.core.state import Component, Plain
from motenet.core.units import SECOND
from motenet.stack.address import format_address, is_single_host
from motenet.stack.errors import AddressNotAvailable, HostUnreachable, StackError
from motenet.stack.sockets.dns import Query
from motenet.stack.sockets.tcp import TcpSocket
from motenet.stack.sockets.tcp.state import State
from motenet.stack.sockets.tcp.timers import USER_TIMEOUT

if TYPE_CHECKING:
    from motenet.apps.http.fetcher import Fetcher

CHUNK = 256 * 1024
"""Bytes taken from the socket at a time."""
LARGEST_HEAD = 64 * 1024
PATIENCE = 5 * SECOND
"""How long an address may be silent while there is another one to try: two retransmitted SYNs (RFC 6298, 2.1, 5.5).

RFC 1123, 2.3: an application tries a host's addresses one after the other until one can be reached.
"""
_ZEROS = bytes(CHUNK)
_UNCONNECTED = (State.SYN_SENT, State.SYN_RECEIVED, State.CLOSED)


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
        "url", "query_number", "addresses", "refusals", "connected", "socket_path", "out", "fed", "skipped", "status",
        "reason", "headers", "length", "received", "body", "done", "failure",
    )  # fmt: skip

    def __init__(
        self,
        client: "Fetcher",
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
        self.query_number = 0
        """The DNS client's number for the query that this waits for; 0: none."""
        self.addresses: list[bytes] = []
        """Of the server; those that have not been tried."""
        self.refusals: list[str] = []
        """Why those that have been tried did not work."""
        self.connected = False
        self.socket_path = ""
        self.out = b""
        self.fed = bytearray()
        """What h11 was given, but for `skipped` bytes of a body whose pieces have no framing of their own."""
        self.skipped = 0
        self._client = client
        self._sink, self._progress = sink, progress
        self._h11 = h11.Connection(h11.CLIENT, LARGEST_HEAD)
        self._query: Query | None = None
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
        if self._query is not None:
            return f"{self._query.name} has not been found yet"
        if socket is None or socket.state is State.SYN_SENT:
            return f"{Url.parse(self.url).host if socket is None else _name(*socket.remote)} has not answered"
        if not self.status:
            return "connected, but the server has not answered"
        return f"{self.received} of {'so many' if self.length is None else self.length} bytes have come"

    # --- finding the server

    def ask(self, url: str) -> None:
        """Send the request, as soon as the server's address is known. ConfigurationError for a bad URL."""
        where = Url.parse(url)
        self.url = url
        if where.address:
            self.addresses = [where.address]
            self.step()
            return
        try:
            self._await(self._client.dns.start_query(where.name))
        except StackError as error:
            self._fail(error)

    def _await(self, query: Query) -> None:
        self._query, self.query_number = query, query.number
        query.waker = self._found
        if query.done:
            self._found()

    def _found(self) -> None:
        """The name's addresses are known, or why there are none: taken at once, for the query is forgotten now."""
        query, self._query, self.query_number = self._query, None, 0
        if query is None:
            return
        if query.error is not None:
            self._fail(query.error)
        else:
            self.addresses = list(query.addresses)
            self._wake()

    def _connect(self) -> None:
        """Open a connection to the next address, and write the request, which is the connection's only one."""
        where = Url.parse(self.url)
        address = self.addresses.pop(0)
        try:
            if not is_single_host(address):
                raise AddressNotAvailable(f"{format_address(address)} is not the address of one other host")
            socket = self._client.connect(address, where.port, where.interface)
        except StackError as error:
            self._refused(_name(address, where.port), error)
            return
        if self.addresses:
            socket.user_timeout = PATIENCE
        self._h11 = h11.Connection(h11.CLIENT, LARGEST_HEAD)
        self.out = _request(self._h11, where.host, where.target)
        self._use(socket)

    def _refused(self, server: str, error: MotenetError) -> None:
        """No connection to an address: the next one is tried in an event of its own, if there is one."""
        self.refusals.append(f"{server}: {error}")
        self._let_go()
        if self.addresses:
            self._wake()
        else:
            self._fail(error if len(self.refusals) == 1 else type(error)("; ".join(self.refusals)))

    def _let_go(self) -> None:
        socket, self._socket, self.socket_path = self._socket, None, ""
        if socket is not None:
            socket.abort()
            socket.release()

    # --- asking it

    def _use(self, socket: TcpSocket) -> None:
        self._socket = socket
        self.socket_path = socket.path
        socket.waker = self._wake

    def _wake(self) -> None:
        self._client.post(self.number)

    def step(self) -> None:
        """Connect, send and take what can be sent and taken now."""
        if self.done or self._query is not None:
            return
        if self._socket is None and self.addresses:
            self._connect()
        socket = self._socket
        if socket is None:
            return
        try:
            self._exchange(socket)
        except h11.RemoteProtocolError as error:
            self._fail(
                BadResponse(f"{self.url}: the server's answer cannot be understood, or is not whole: {reason(error)}")
            )
        except MotenetError as error:
            if self.connected or self.fed:
                self._fail(error)
            else:
                self._refused(_name(*socket.remote), error)

    def _exchange(self, socket: TcpSocket) -> None:
        if socket.state is State.SYN_SENT and socket.soft_failure:
            why = f"({socket.soft_failure}): check the address, the cable and the peer"
            raise HostUnreachable(f"{_name(*socket.remote)} cannot be reached {why}")
        if not self.connected and socket.state not in _UNCONNECTED:
            self.connected = True
            socket.user_timeout = USER_TIMEOUT
        if self.out:
            self.out = self.out[socket.send(self.out) :]
        while not self.done and (data := socket.recv(CHUNK)):
            self._take(data)
        if not self.done and not socket.may_recv and socket.state is not State.SYN_SENT:
            self._take(b"")  # the end of the stream

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
        self._let_go()
        query, self._query, self.query_number = self._query, None, 0
        if query is not None:
            query.waker = None
            query.cancel()
        self._finish()

    # --- state

    def load(self, state: Plain) -> None:
        """Take a saved state: a fresh h11 reads once more what the other one had."""
        super().load(state)
        self.headers = [(name, value) for name, value in self.headers]
        self.error = HttpError(self.failure) if self.failure else None
        self._socket, self._query = None, None
        self._h11 = h11.Connection(h11.CLIENT, LARGEST_HEAD)
        if self.done:
            return
        query = self._client.find_query(self.query_number)
        if query is not None:
            self._await(query)
        _request(self._h11, "", "/")
        self._replay(bytes(self.fed))
        for left in range(self.skipped, 0, -CHUNK):
            self._replay(_ZEROS[:left])
        socket = self._client.find_socket(self.socket_path) if self.socket_path else None
        if socket is not None:
            self._use(socket)

    def _replay(self, data: bytes) -> None:
        if data:
            self._h11.receive_data(data)
        while self._h11.next_event() is not h11.NEED_DATA:
            pass


def _name(address: bytes, port: int) -> str:
    return f"{format_address(address)} port {port}"


def _request(connection: h11.Connection, host: str, target: str) -> bytes:
    """The bytes of a GET; the connection is used for nothing else."""
    headers = [("Host", host), ("User-Agent", "motenet"), ("Accept", "*/*"), ("Connection", "close")]
    head = connection.send(h11.Request(method="GET", target=target, headers=headers))
    connection.send(h11.EndOfMessage())
    assert head is not None
    return head
