"""One connection of the HTTP server, as a state machine that goes on whenever its socket has changed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

import h11

from motenet.apps.http.conditions import part, precondition
from motenet.apps.http.reason import reason
from motenet.apps.http.site import Moved, Resource
from motenet.apps.service import ServiceConnection
from motenet.core.state import Plain
from motenet.stack.sockets.tcp import TcpSocket

if TYPE_CHECKING:
    from motenet.apps.http.server import HttpServer

CHUNK = 64 * 1024
"""Bytes of a resource read, and of a request taken, at a time."""
LARGEST_HEAD = 16 * 1024
"""Bytes of a request's head; a longer one is refused with 431 (RFC 6585, 5)."""
REASONS = {
    200: "OK", 206: "Partial Content", 301: "Moved Permanently", 304: "Not Modified", 400: "Bad Request",
    404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout", 412: "Precondition Failed",
    413: "Content Too Large", 416: "Range Not Satisfiable", 431: "Request Header Fields Too Large",
    501: "Not Implemented", 505: "HTTP Version Not Supported",
}  # fmt: skip
KEPT = (301, 404, 412, 416)
"""After these refusals the connection is kept: the client has done nothing wrong, or it can ask better."""
_ZEROS = bytes(CHUNK)


class Connection(ServiceConnection["HttpServer"]):
    """One client. A snapshot keeps what h11 has read of the current request, and how far the answer has gone."""

    STATE: ClassVar[tuple[str, ...]] = (
        *ServiceConnection.STATE, "fed", "status", "target", "offset", "length", "sent", "closing", "answered",
        "request",
    )  # fmt: skip

    def __init__(self, server: "HttpServer", number: int) -> None:
        super().__init__(server, number)
        self.fed = b""
        """The bytes that h11 was given since the last request was done with."""
        self.status = 0
        """That of the answer under way; 0: none."""
        self.target = ""
        """The path of the resource being sent; empty: none, or all of it is sent."""
        self.offset = 0
        self.length = 0
        self.sent = 0
        """Of the body: where in the resource it begins, its length in bytes, and how many of them h11 was given."""
        self.closing = False
        """All is said; what the peer still sends is thrown away until it closes too (RFC 9112, 9.6)."""
        self.answered = 0
        """Requests that were answered on this connection."""
        self.request = ""
        """That whose answer is under way, for those who watch: they are told once all of it is sent."""
        self._h11 = h11.Connection(h11.SERVER, LARGEST_HEAD)
        self._resource: Resource | None = None

    @property
    def idle(self) -> bool:
        """Between two requests, or waiting for the peer to close."""
        return self.closing or (self.answered > 0 and not self.fed)

    @property
    def due(self) -> int:
        """The client has to take something, to close, to say all of a request, or to begin with another."""
        server = self.server
        if self.out:
            return self.since + server.stall_timeout
        kept = self.answered and not self.fed and not self.closing
        return self.since + (server.idle_timeout if kept else server.head_timeout)

    def late(self) -> None:
        """RFC 9112, 9.5: a connection may be closed at any time; but who has begun to ask is told (408)."""
        if self.out:
            self.server.drop("client takes nothing", self.path)
            if self._socket is not None:
                self._socket.abort()
            self.end()
        elif self.closing or not self.fed:
            self.end()
        else:
            self.server.drop("request too slow", self.path)
            self._say(408)

    # --- one step after the other

    def step(self) -> None:
        try:
            super().step()
        except h11.LocalProtocolError as error:  # an answer that the peer's request does not allow
            self.server.drop("answer not allowed", str(error))
            self.end()

    def end(self) -> None:
        """Let socket and resource go, at whatever point."""
        self._tell(" before the connection ended")
        self._drop_resource()
        super().end()

    def _advance(self, socket: TcpSocket) -> bool:
        if self._resource is None:
            self._tell()
        if self.closing:
            socket.close()
            while socket.recv(CHUNK):
                pass
            if not socket.may_recv:
                self.end()
            return False
        if self._resource is not None:
            return self._send_body(self._resource, socket)
        if self.status and self._h11.their_state in (h11.DONE, h11.MUST_CLOSE):
            self._next_request()
            return True
        try:
            event = self._h11.next_event()
        except h11.RemoteProtocolError as error:
            self._refuse(error)
            return True
        if event is h11.NEED_DATA:
            return self._read(socket)
        if isinstance(event, h11.Request):
            self._answer(event)
        elif event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
            self._close()
        return True

    def _read(self, socket: TcpSocket) -> bool:
        data = socket.recv(CHUNK)
        if not data and socket.may_recv:
            return False
        if not self.fed:
            self.since = self.server.now
        self.fed += data
        self._h11.receive_data(data)  # without data: the peer has closed its direction
        return True

    def _next_request(self) -> None:
        if self._h11.our_state is not h11.DONE:  # "Connection: close", or HTTP/1.0
            self._close()
            return
        self.fed = self._h11.trailing_data[0]
        self.status = 0
        self.answered += 1
        self.since = self.server.now
        self._h11.start_next_cycle()

    def _close(self) -> None:
        """Wait for the peer to close, for some time."""
        self.closing = True
        self.since = self.server.now

    def _tell(self, how: str = "") -> None:
        """Tell what was asked for, and how many bytes of the body the socket has taken."""
        if self.request:
            sent = max(self.sent - len(self.out), 0)
            self.server.changed("http", f"{self.request}: {self.status}, {sent} bytes{how}")
            self.request = ""

    # --- answers

    def _answer(self, request: h11.Request) -> None:
        self.server.requests += 1
        self.request = f"{request.method.decode()} {request.target.decode('latin-1')}"
        head_only = request.method == b"HEAD"
        if request.method not in (b"GET", b"HEAD"):
            self._say(405)
        elif any(name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
                 for name, value in request.headers):  # fmt: skip
            self._say(413, head_only)
        else:
            path = path_of(request.target)
            found = self.server.site.find(path)
            if found is None:
                self._say(404, head_only)
            elif isinstance(found, Moved):
                self._say(301, head_only, [("Location", found.location)])
            else:
                self._begin(found, path, request, head_only)

    def _begin(self, resource: Resource, path: str, request: h11.Request, head_only: bool) -> None:
        size, tag = resource.size, resource.tag
        more = [("ETag", tag)] if tag else []
        refused = precondition(request.headers, tag.encode())
        # RFC 9110, 14.2: a range means something for GET alone
        wanted = None if head_only or refused else part(request.headers, size, tag.encode())
        offset, length = (0, size) if wanted is None else wanted
        if refused == 412:
            self._say(412, head_only)
        elif refused:
            self._send_head(304, 0, "", more)  # 15.4.5: what a cache needs to know, and no body
        elif not length and wanted is not None:
            self._say(416, head_only, [("Content-Range", f"bytes */{size}")])
        else:
            more.append(("Accept-Ranges", "bytes"))
            if wanted is not None:
                more.append(("Content-Range", f"bytes {offset}-{offset + length - 1}/{size}"))
            self._send_head(200 if wanted is None else 206, length, resource.content_type, more)
            if length and not head_only:
                self._resource, self.target, self.offset = resource, path, offset
                return
        resource.close()
        if self._h11.our_state is h11.SEND_BODY:
            self._h11.send(h11.EndOfMessage())

    def _say(self, status: int, head_only: bool = False, more: Sequence[tuple[str, str]] = ()) -> None:
        """An answer that is not what was asked for. After all but some the connection is of no further use."""
        text = f"{status} {REASONS.get(status, '')}\n".encode()
        self.closing = status not in KEPT
        self._send_head(status, len(text), "text/plain", [*more, *([("Connection", "close")] if self.closing else [])])
        if not head_only:
            self._h11.send(h11.Data(text))
            self.out = bytes(self.out) + text
            self.sent = len(text)
        self._h11.send(h11.EndOfMessage())

    def _send_head(self, status: int, length: int, content_type: str, more: Sequence[tuple[str, str]] = ()) -> None:
        """No Date: this server has no clock of the real world (RFC 9110, 6.6.1)."""
        self.status, self.length, self.sent = status, length, 0
        self.since = self.server.now
        headers = [("Server", "motenet"), *more]
        if content_type:
            headers[1:1] = [("Content-Type", content_type), ("Content-Length", str(length))]
        if status == 405:
            headers.append(("Allow", "GET, HEAD"))
        head = self._h11.send(h11.Response(status_code=status, headers=headers, reason=REASONS.get(status, "")))
        assert head is not None
        self.out = head

    def _send_body(self, resource: Resource, socket: TcpSocket) -> bool:
        data = resource.read(self.offset + self.sent, min(CHUNK, self.length - self.sent))
        if not data:  # the file has become shorter than was promised: only a reset can tell
            self.server.drop("resource truncated", self.target)
            socket.abort()
            self.end()
            return False
        self._h11.send_with_data_passthrough(h11.Data(data))
        self.out = data
        self.sent += len(data)
        self.server.bytes += len(data)
        if self.sent == self.length:
            self._h11.send(h11.EndOfMessage())
            self._drop_resource()
        return True

    def _drop_resource(self) -> None:
        self.target = ""
        if self._resource is not None:
            self._resource.close()
            self._resource = None

    def _refuse(self, error: h11.RemoteProtocolError) -> None:
        """What has come is no HTTP: say so, if nothing has been said yet, and close."""
        self.server.drop("bad request", reason(error))
        self._close()
        if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._say(error.error_status_hint)

    # --- state

    def load(self, state: Plain) -> None:
        """Take a saved state: a fresh h11 reads and sends once more what the other one had."""
        self._drop_resource()
        super().load(state)
        self._h11 = h11.Connection(h11.SERVER, LARGEST_HEAD)
        if not self.closing:
            self._replay()

    def _replay(self) -> None:
        connection = self._h11
        connection.receive_data(self.fed) if self.fed else None
        if not self.status:
            return
        connection.next_event()  # the request
        connection.send(h11.Response(status_code=self.status, headers=[("Content-Length", str(self.length))]))
        for left in range(self.sent, 0, -CHUNK):
            connection.send_with_data_passthrough(h11.Data(_ZEROS[:left]))
        found = self.server.site.find(self.target) if self.target else None
        self._resource = None if isinstance(found, Moved) else found
        if self._resource is None:
            connection.send(h11.EndOfMessage())


def path_of(target: bytes) -> str:
    """The path in a request's target: of its origin form, or of the absolute form that proxies get (RFC 9112, 3.2)."""
    text = target.decode("latin-1")
    if text.startswith("/"):
        return text.partition("?")[0].partition("#")[0]
    try:
        return urlsplit(text).path or "/"
    except ValueError:
        return "/"
