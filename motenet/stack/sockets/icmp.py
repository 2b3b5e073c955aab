"""ICMP sockets: one conversation of echo requests and replies, as ping has it (RFC 792; RFC 4443, 4)."""

from typing import Any, ClassVar, NamedTuple

from motenet.core.trace import HasNow
from motenet.stack import errors
from motenet.stack.address import parse_address
from motenet.stack.packet import Outgoing
from motenet.stack.sockets.datagram import DatagramSocket, check_data
from motenet.stack.sockets.socket import check_number
from motenet.stack.wire import icmp, icmpv4, icmpv6, ipv4, ipv6

MAXIMUM_PAYLOAD = ipv4.MAXIMUM_LENGTH - ipv4.HEADER_LENGTH - icmp.HEADER_LENGTH


class Reply(NamedTuple):
    """A received echo reply: where from, which one, when in ns, and the data."""

    address: bytes
    sequence: int
    time: int
    data: bytes


class IcmpSocket(DatagramSocket):
    """Sends echo requests under one identifier, and receives the replies.

    For the application: bind, send_echo, receive, peek, can_send, can_receive, failures, close.
    What says "For the stack" is not.
    """

    kind: ClassVar[str] = "icmp"
    STATE: ClassVar[tuple[str, ...]] = (*DatagramSocket.STATE, "ident")

    def __init__(self, clock: HasNow, path: str = "") -> None:
        super().__init__(clock, path)
        self.ident: int | None = None

    @property
    def key(self) -> int | None:
        """For the stack: its identifier."""
        return self.ident

    def bind(self, ident: int) -> None:
        """Choose the identifier, 0 to 65535; before the socket is added to a set."""
        self.ident = check_number("ident", ident, 0xFFFF)

    def send_echo(self, address: str | bytes, sequence: int, data: bytes = b"") -> None:
        """Queue an echo request. QueueFull, MessageTooLong, ConfigurationError."""
        if len(check_data(data)) > MAXIMUM_PAYLOAD:
            raise errors.MessageTooLong(f"{len(data)} bytes do not fit into an echo request: {MAXIMUM_PAYLOAD} do")
        self._queue(parse_address(address), check_number("sequence", sequence, 0xFFFF), bytes(data))

    def receive(self) -> Reply | None:
        """The next reply, or None."""
        message = self._next()
        return None if message is None else Reply(*message)

    def peek(self) -> Reply | None:
        """As `receive`, but the reply stays."""
        return Reply(*self.incoming[0]) if self.incoming else None

    # --- towards the set

    def process(self, now: int, source: bytes, message: icmpv4.Message | icmpv6.Message) -> None:
        """For the stack: take an echo reply with our identifier."""
        self._take(source, message.sequence, now, bytes(message.payload))

    def _packet(self, message: tuple[Any, ...]) -> Outgoing:
        address, sequence, data = message
        assert self.ident is not None, "the set takes bound sockets only"
        if len(address) == 16:
            request6 = icmpv6.echo_request(self.ident, sequence, data)
            return Outgoing(b"", address, ipv6.ICMP, request6, self.hop_limit, interface=self.interface)
        request4 = icmpv4.echo_request(self.ident, sequence, data)
        return Outgoing(b"", address, ipv4.ICMP, request4, self.hop_limit, interface=self.interface)
