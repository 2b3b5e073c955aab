"""Fetching by HTTP/1.1 in events: each request has a response that fills itself while the world runs."""

from collections.abc import Callable, Iterable
from typing import ClassVar
from weakref import WeakValueDictionary

from motenet.apps.http.response import BadResponse, BadStatus, HttpError, HttpResponse
from motenet.apps.http.url import Url
from motenet.core.state import Component, Plain
from motenet.core.trace import Watched
from motenet.stack import NetworkStack
from motenet.stack.sockets.dns import DnsClient, Query
from motenet.stack.sockets.tcp import TcpSocket

__all__ = ["BadResponse", "BadStatus", "Fetcher", "HttpError", "HttpResponse"]


class Fetcher(Watched):
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
        """Ask for an URL: "http://10.0.0.2/x", "http://[fd00::2]:8080/x" or "http://example.test/x".

        The response fills itself while the world runs; a host's addresses are tried in the order that DNS gives them.
        `sink(data)` takes the body piece by piece, instead of the response; `progress(received, length or None)` is
        told how far it is. ConfigurationError for an URL that cannot be asked for; the response has all other errors.
        """
        Url.parse(url)
        number = self.next_number
        self.next_number += 1
        response = self.responses[number] = self._known[number] = HttpResponse(self, number, sink, progress)
        response.ask(url)
        return response

    # --- for the responses

    @property
    def dns(self) -> DnsClient:
        """The stack's, with the servers that it knows now."""
        return self._stack.dns

    def find_query(self, number: int) -> Query | None:
        """A query to the DNS client that is under way, by its number."""
        client = self._stack.sockets.dns.get(DnsClient.kind)
        return None if client is None else client.queries.get(number)

    def connect(self, address: bytes, port: int, interface: str) -> TcpSocket:
        """A connection that is being opened."""
        return self._stack.sockets.tcp_connect(address, port, interface=interface)

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
