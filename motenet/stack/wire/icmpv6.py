"""The Internet Control Message Protocol for IPv6 (RFC 4443)."""

from dataclasses import dataclass

from motenet.core.checksum import Buffer, internet_checksum, ones_sum, pseudo_header_sum
from motenet.stack.wire import Malformed, icmp
from motenet.stack.wire.icmp import HEADER, HEADER_LENGTH
from motenet.stack.wire.ipv6 import ICMP, UNRECOGNIZED_NEXT_HEADER

# errors: the highest bit of the type is 0 (RFC 4443, 2.1)
UNREACHABLE = 1
PACKET_TOO_BIG = 2
TIME_EXCEEDED = 3
PARAMETER_PROBLEM = 4
# information (RFC 4443, 4)
ECHO_REQUEST = 128
ECHO_REPLY = 129
# RFC 2710, 3
LISTENER_QUERY = 130
LISTENER_REPORT = 131
LISTENER_DONE = 132
# RFC 4861, 4
ROUTER_SOLICITATION = 133
ROUTER_ADVERTISEMENT = 134
NEIGHBOR_SOLICITATION = 135
NEIGHBOR_ADVERTISEMENT = 136
REDIRECT = 137

# codes of Destination Unreachable (RFC 4443, 3.1); those of Parameter Problem are ipv6's
NO_ROUTE = 0
PROHIBITED = 1
BEYOND_SCOPE = 2
ADDRESS_UNREACHABLE = 3
PORT_UNREACHABLE = 4
POLICY_FAILED = 5
REJECT_ROUTE = 6


_UNREACHABLE_KINDS = {
    NO_ROUTE: "network", PROHIBITED: "prohibited", BEYOND_SCOPE: "host", ADDRESS_UNREACHABLE: "host",
    PORT_UNREACHABLE: "port", POLICY_FAILED: "prohibited", REJECT_ROUTE: "prohibited",
}  # fmt: skip


@dataclass(slots=True)
class Message(icmp.Message):
    """A message with what its fields mean in ICMPv6."""

    @property
    def mtu(self) -> int:
        """Packet Too Big: what the next link takes, in bytes (RFC 4443, 3.2)."""
        return self.word

    @property
    def kind(self) -> str:
        """What an error says, in ICMPv4's words where it has one."""
        if self.type == UNREACHABLE:
            return _UNREACHABLE_KINDS.get(self.code, "unknown")
        if self.type == PARAMETER_PROBLEM:
            return "protocol" if self.code == UNRECOGNIZED_NEXT_HEADER else "parameter-problem"
        return {PACKET_TOO_BIG: "packet-too-big", TIME_EXCEEDED: "time-exceeded"}.get(self.type, "unknown")

    def emit(self, view: memoryview, pseudo_sum: int, checksum: bool = True) -> None:
        """Write the message; without `checksum` its field holds `pseudo_sum`, from which the card goes on."""
        HEADER.pack_into(view, 0, self.type, self.code, 0 if checksum else pseudo_sum, self.word)
        view[HEADER_LENGTH:] = self.payload
        if checksum:
            view[2:4] = internet_checksum(view, pseudo_sum).to_bytes(2, "big")


def parse(view: memoryview, source: bytes, destination: bytes, verify: bool = True) -> Message:
    """Read a message that came between these addresses; Malformed if it is short or its checksum wrong (RFC 4443, 2.3).

    The least that any message has is type, code, checksum and 32 bits (RFC 4443, 3 and 4; RFC 4861, 4; RFC 2710, 3).
    """
    if len(view) < HEADER_LENGTH:
        raise Malformed("icmp-short")
    if verify and ones_sum(view, pseudo_header_sum(source, destination, ICMP, len(view))) != 0xFFFF:
        raise Malformed("icmp-checksum")
    kind, code, _, word = HEADER.unpack_from(view)
    return Message(kind, code, word, view[HEADER_LENGTH:])


def echo_request(ident: int, sequence: int, payload: Buffer) -> Message:
    """What ping sends (RFC 4443, 4.1)."""
    return Message(ECHO_REQUEST, 0, ident << 16 | sequence, payload)


def echo_reply(request: Message) -> Message:
    """The answer: identifier, sequence number and data come back (RFC 4443, 4.2)."""
    return Message(ECHO_REPLY, 0, request.word, request.payload)
