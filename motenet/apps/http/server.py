"""An HTTP/1.1 server on the stack's sockets; what comes over the wire is h11's to understand."""

from typing import ClassVar

from motenet.apps.http.connection import Connection
from motenet.apps.http.site import Site
from motenet.apps.service import TcpService
from motenet.core.units import duration
from motenet.stack import NetworkStack


class HttpServer(TcpService[Connection]):
    """Serves a site (site.Folder, site.Pages) at a port. Put it among a host's applications, and snapshots carry it.

    `limit`: how many connections at a time (see TcpService). The others say how long a client may take: to connect
    and ask, from the first byte of a request to the end of its head (else 408), and likewise to close after the last
    answer; to ask again on a connection that is kept; and to take anything of an answer (else a reset).
    """

    STATE: ClassVar[tuple[str, ...]] = (*TcpService.STATE, "requests", "bytes")

    def __init__(
        self,
        stack: NetworkStack,
        site: Site,
        port: int = 80,
        limit: int = 64,
        *,
        head_timeout: str | int = "10s",
        idle_timeout: str | int = "60s",
        stall_timeout: str | int = "30s",
    ) -> None:
        super().__init__(stack, "http", port, b"", limit)
        self.site = site
        self.head_timeout = duration(head_timeout)
        self.idle_timeout = duration(idle_timeout)
        self.stall_timeout = duration(stall_timeout)
        self.requests = 0
        """Requests answered, and bytes of bodies sent."""
        self.bytes = 0

    def connection(self, number: int) -> Connection:
        return Connection(self, number)
