"""The sockets of a node, and how they are opened."""

from collections.abc import Callable, Sequence
from typing import Any

from motenet.core.errors import ConfigurationError
from motenet.stack.address import check_port, format_address, is_multicast, is_unspecified, parse_address
from motenet.stack.errors import AddressNotAvailable
from motenet.stack.sockets.dhcp import DhcpClient
from motenet.stack.sockets.dns import DnsClient
from motenet.stack.sockets.icmp import IcmpSocket
from motenet.stack.sockets.raw import RawSocket
from motenet.stack.sockets.table import EVERY, AnySocket, SocketTable
from motenet.stack.sockets.tcp.control_block import CAPACITY, check_buffer
from motenet.stack.sockets.tcp.listener import BACKLOG, TcpListener
from motenet.stack.sockets.tcp.socket import TcpSocket
from motenet.stack.sockets.udp import UdpSocket

FIRST_EPHEMERAL, EPHEMERALS = 49152, 16384
"""RFC 6335, 6: the dynamic ports are 49152 to 65535."""


class SocketSet(SocketTable):
    """Sockets by handle (an integer, never used twice), and by what packets carry. Nothing here blocks.

    A socket that has finished is forgotten, but a TCP connection only once its application has let go of it.
    For the application: tcp_connect, tcp_listen, udp_bind, icmp_bind, raw_bind, dhcp_client, dns_client, add, remove,
    get, len() and iteration, which gives (handle, socket). The rest is for the stack.
    """

    def tcp_connect(
        self,
        address: str | bytes,
        port: int,
        source: str | bytes = b"",
        local_port: int = 0,
        interface: str = "",
        buffer: str | int = CAPACITY,
        source_route: Sequence[str | bytes] = (),
    ) -> TcpSocket:
        """A connection that is being opened. AddressInUse, AddressNotAvailable, NetworkUnreachable.

        Ports are 1 to 65535 (`local_port` 0: a free one); ConfigurationError for others. `interface`: where an address
        of the link's scope lies. `buffer` ("1MiB") is what each direction holds, and with it the largest window.
        `source_route`: IPv4 gateways to pass, in order (RFC 791, 3.1).
        """
        self.network.check(interface)
        remote = (parse_address(address), check_port(port))
        if self.network.is_broadcast(remote[0]):  # RFC 9293, MUST-46; the socket itself refuses groups
            raise AddressNotAvailable(f"{format_address(remote[0])} is a broadcast: give a single host's address")
        if isinstance(source_route, str | bytes) or not isinstance(source_route, Sequence):
            raise ConfigurationError(f"source_route={source_route!r}: give a list of gateways, like ['10.0.0.9']")
        route = [parse_address(gateway) for gateway in source_route]
        first = route[0] if route else remote[0]
        local = parse_address(source) if source else self.network.source_for(first, interface)
        if source and not self.network.is_local(local):
            raise AddressNotAvailable(f"{format_address(local)} is none of this stack's: give one of its addresses")
        if not local_port:
            local_port = self._free(lambda port: (local, port, *remote) in self.tcp or self.listener(local, port))
        socket = self._tcp_socket(check_buffer(buffer))
        socket.interface = interface
        socket.connect(remote, (local, local_port), route)
        self.add(socket)
        return socket

    def tcp_listen(
        self, port: int, address: str | bytes = b"", backlog: int = BACKLOG, buffer: str | int = CAPACITY
    ) -> TcpListener:
        """A listener at a port (0: a free one) of one address, or of all; its connections have such buffers.

        AddressInUse, AddressNotAvailable.
        """
        listener = TcpListener(self.clock)
        listener.buffer = check_buffer(buffer)
        local = self._own(address)
        listener.listen(port or self._free(lambda port: self.listener(local, port)), local, backlog)
        self.add(listener)
        return listener

    def udp_bind(self, port: int = 0, address: str | bytes = b"") -> UdpSocket:
        """A UDP socket at a port (0: a free one) of one address, or of all. AddressInUse, AddressNotAvailable."""
        socket = UdpSocket(self.clock)
        local = self._own(address)
        socket.bind(port or self._free(lambda port: (local, port) in self.udp or (EVERY, port) in self.udp), local)
        self.add(socket)
        return socket

    def icmp_bind(self, ident: int | None = None) -> IcmpSocket:
        """A socket for echoes, under an identifier (0 to 65535) that is given, or free. AddressInUse."""
        socket = IcmpSocket(self.clock)
        socket.bind(self._free(self.icmp.__contains__) if ident is None else ident)
        self.add(socket)
        return socket

    def raw_bind(self, protocol: int) -> RawSocket:
        """A socket for all packets of an IP protocol. AddressInUse."""
        socket = RawSocket(self.clock)
        socket.bind(protocol)
        self.add(socket)
        return socket

    def dhcp_client(self, interface: str) -> DhcpClient:
        """The DHCP client of an interface; it is made if there is none yet. ConfigurationError for no interface."""
        self.network.check(interface)
        client = self.dhcp.get(interface)
        if client is None:
            client = DhcpClient(self.clock, self.stream)
            client.interface = interface
            self.add(client)
        return client

    def dns_client(self) -> DnsClient:
        """The DNS client; it is made if there is none yet."""
        client = self.dns.get(DnsClient.kind)
        if client is None:
            client = DnsClient(self.clock)
            self.add(client)
        return client

    def _own(self, address: str | bytes) -> bytes:
        """Where to receive: one of our addresses, a group or broadcast, or EVERY for none, 0.0.0.0 and ::."""
        local = parse_address(address) if address else EVERY
        if not local or is_unspecified(local):
            return EVERY
        if not (is_multicast(local) or self.network.is_local(local) or self.network.is_broadcast(local)):
            raise AddressNotAvailable(f"{format_address(local)} is none of this stack's: give one of its addresses")
        return local

    def _free(self, taken: Callable[[int], Any]) -> int:
        """A port that is free, by RFC 6056, 3.3.1: begin anywhere, and go on."""
        start = self.stream.below(EPHEMERALS)
        for step in range(EPHEMERALS):
            port = FIRST_EPHEMERAL + (start + step) % EPHEMERALS
            if not taken(port):
                return port
        raise AddressNotAvailable("all ephemeral ports are taken: close some sockets, or name a port")

    def _attach(self, handle: int, socket: AnySocket, key: Any) -> None:
        if isinstance(socket, DnsClient):
            socket.sockets, socket.stream = self, self.stream  # it opens sockets itself
        super()._attach(handle, socket, key)
