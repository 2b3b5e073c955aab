"""Raw sockets: the payloads of one IP protocol, for what the stack does not speak itself."""

from typing import Any, ClassVar, NamedTuple

from motenet.core.errors import ConfigurationError
from motenet.core.trace import HasNow
from motenet.stack import errors
from motenet.stack.address import parse_address
from motenet.stack.packet import Outgoing, Packet, Raw
from motenet.stack.sockets.datagram import DatagramSocket, check_data
from motenet.stack.wire import ipv4

MAXIMUM_PAYLOAD = ipv4.MAXIMUM_LENGTH - ipv4.HEADER_LENGTH


class Payload(NamedTuple):
    """What a received packet carried, where it came from, and where it was sent to."""

    data: bytes
    address: bytes
    destination: bytes


class RawSocket(DatagramSocket):
    """Sends and receives whatever follows the IP header; it sees a copy of what other sockets get too.

    For the application: bind, send_to, receive, peek, can_send, can_receive, failures, close.
    What says "For the stack" is not.
    """

    kind: ClassVar[str] = "raw"
    STATE: ClassVar[tuple[str, ...]] = (*DatagramSocket.STATE, "protocol")

    def __init__(self, clock: HasNow, path: str = "") -> None:
        super().__init__(clock, path)
        self.protocol: int | None = None

    @property
    def key(self) -> int | None:
        """For the stack: its protocol."""
        return self.protocol

    def bind(self, protocol: int) -> None:
        """Choose the protocol's number, 0 to 255; before the socket is added to a set."""
        if isinstance(protocol, bool) or not isinstance(protocol, int) or not 0 <= protocol <= 0xFF:
            raise ConfigurationError(f"{protocol!r} is not an IP protocol; those are 0 to 255")
        self.protocol = protocol

    def send_to(self, data: bytes, address: str | bytes) -> None:
        """Queue a payload, checksums and all. QueueFull, MessageTooLong, ConfigurationError."""
        if len(check_data(data)) > MAXIMUM_PAYLOAD:
            raise errors.MessageTooLong(f"{len(data)} bytes do not fit into an IPv4 packet: {MAXIMUM_PAYLOAD} do")
        self._queue(parse_address(address), bytes(data))

    def receive(self) -> Payload | None:
        """The next payload, or None."""
        message = self._next()
        return None if message is None else Payload(message[2], message[0], message[1])

    def peek(self) -> Payload | None:
        """As `receive`, but the payload stays."""
        return Payload(self.incoming[0][2], *self.incoming[0][:2]) if self.incoming else None

    # --- towards the set

    def process(self, packet: Packet) -> None:
        """For the stack: take a packet of our protocol."""
        self._take(packet.source, packet.destination, bytes(packet.payload))

    def _packet(self, message: tuple[Any, ...]) -> Outgoing:
        address, data = message
        assert self.protocol is not None, "the set takes bound sockets only"
        return Outgoing(b"", address, self.protocol, Raw(data), self.hop_limit, interface=self.interface)
