"""UDP sockets (RFC 768; RFC 1122, 4.1)."""

from typing import Any, ClassVar, NamedTuple

from motenet.core.checksum import Buffer
from motenet.core.trace import HasNow
from motenet.stack import errors
from motenet.stack.address import check_port, format_address, is_multicast, parse_address
from motenet.stack.packet import Outgoing
from motenet.stack.sockets.datagram import DatagramSocket, check_data, exception
from motenet.stack.sockets.socket import check_number
from motenet.stack.wire import ipv4, udp


class Message(NamedTuple):
    """A received datagram, where it came from, which of our addresses it was sent to, and by which interface."""

    data: bytes
    address: bytes
    port: int
    destination: bytes
    interface: str = ""


class UdpSocket(DatagramSocket):
    """Sends and receives datagrams at one port. Addresses go in as text or bytes, and come out as bytes.

    For the application: bind, connect, send_to, send, receive, peek, can_send, can_receive, failures,
    close. What says "For the stack" is not.
    """

    kind: ClassVar[str] = "udp"
    STATE: ClassVar[tuple[str, ...]] = (*DatagramSocket.STATE, "local", "remote", "group_hop_limit")

    def __init__(self, clock: HasNow, path: str = "") -> None:
        super().__init__(clock, path)
        self.local: tuple[bytes, int] | None = None
        """Address and port; the address is empty for all of ours."""
        self.remote: tuple[bytes, int] | None = None
        """With whom alone we speak, after `connect`."""
        self._group_hop_limit = 1

    @property
    def group_hop_limit(self) -> int:
        """Of what is sent to a group, 1 to 255: 1, it stays on the link, unless changed (RFC 1112, 6.1)."""
        return self._group_hop_limit

    @group_hop_limit.setter
    def group_hop_limit(self, limit: int) -> None:
        self._group_hop_limit = check_number("group_hop_limit", limit, 0xFF, 1)

    @property
    def key(self) -> tuple[bytes, int] | None:
        """For the stack: where it is bound."""
        return self.local

    def bind(self, port: int, address: str | bytes = b"") -> None:
        """Choose the local port and, if wanted, the address; before the socket is added to a set."""
        check_port(port)
        self.local = (parse_address(address) if address else b"", port)

    def connect(self, address: str | bytes, port: int) -> None:
        """Speak with one remote port alone: `send` goes there, all others are not heard, errors are raised."""
        remote = (parse_address(address), check_port(port))
        if self.local is not None:
            self._check_source(self.local[0], remote[0], False)
        self.remote = remote

    def send_to(
        self, data: Buffer, address: str | bytes, port: int, *, source: str | bytes = b"", interface: str = ""
    ) -> None:
        """Queue a datagram. QueueFull, MessageTooLong, AddressNotAvailable; if connected, what went wrong before.

        `source` and `interface`: from which of our addresses, and where an address of the link's scope lies; left
        out, as the socket has it (RFC 1122, 4.1.3.5; RFC 4007, 6).
        """
        if len(check_data(data)) > udp.MAXIMUM_PAYLOAD:
            raise errors.MessageTooLong(f"{len(data)} bytes do not fit into a datagram: {udp.MAXIMUM_PAYLOAD} do")
        check_port(port)
        if interface:
            self.check_interface(interface)
        self._raise_failure()
        remote = parse_address(address)
        ours = parse_address(source) if source else b""
        self._check_source(ours or (b"" if self.local is None else self.local[0]), remote, bool(ours))
        self._queue(remote, port, ours, interface, bytes(data))

    def _check_source(self, source: bytes, remote: bytes, given: bool) -> None:
        """AddressNotAvailable for an address that is not ours, or of another family than the remote one."""
        if given and not self.is_local(source):
            raise errors.AddressNotAvailable(f"{format_address(source)} is none of this stack's: give one that is")
        if source and len(source) != len(remote):
            raise errors.AddressNotAvailable(
                f"nobody reaches {format_address(remote)} from {format_address(source)}: take two of one family"
            )

    def send(self, data: Buffer) -> None:
        """Queue a datagram for the one that this socket is connected to."""
        if self.remote is None:
            raise errors.NotConnected("connect this socket first, or use send_to with an address")
        self.send_to(data, *self.remote)

    def receive(self) -> Message | None:
        """The next datagram, or None. A connected socket raises what went wrong (RFC 1122, 4.1.3.3)."""
        self._raise_failure()
        message = self._next()
        return None if message is None else Message(message[4], *message[:4])

    def peek(self) -> Message | None:
        """As `receive`, but the datagram stays, and nothing is raised."""
        return Message(self.incoming[0][4], *self.incoming[0][:4]) if self.incoming else None

    def _raise_failure(self) -> None:
        if self.remote is not None and self.failures:
            raise exception(self.failures.popleft())

    # --- towards the set

    def accepts(self, source: bytes, port: int, interface: str = "") -> bool:
        """For the stack: whether a datagram from there is for this socket."""
        if self.interface and interface and interface != self.interface:
            return False
        return self.remote is None or self.remote == (source, port)

    def process(self, source: bytes, destination: bytes, datagram: udp.Datagram, interface: str = "") -> None:
        """For the stack: take a datagram that was sent to this socket."""
        self._take(source, datagram.source_port, destination, interface, bytes(datagram.payload))

    def _packet(self, message: tuple[Any, ...]) -> Outgoing:
        address, port, *way, data = message
        assert self.local is not None, "the set takes bound sockets only"
        datagram = udp.Datagram(self.local[1], port, data)
        hop_limit = self.group_hop_limit if is_multicast(address) else self.hop_limit
        source, interface = way or (b"", "")
        source, interface = source or self.local[0], interface or self.interface
        return Outgoing(source, address, ipv4.UDP, datagram, hop_limit, interface=interface)
