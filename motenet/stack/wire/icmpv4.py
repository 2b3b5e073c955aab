"""The Internet Control Message Protocol for IPv4 (RFC 792)."""

from dataclasses import dataclass

from motenet.core.checksum import Buffer, internet_checksum, ones_sum
from motenet.stack.wire import Malformed, icmp
from motenet.stack.wire.icmp import HEADER, HEADER_LENGTH

ECHO_REPLY = 0
UNREACHABLE = 3
SOURCE_QUENCH = 4
REDIRECT = 5
REDIRECT_HOST = 1
REDIRECT_CODES = range(4)
"""RFC 792: of networks and hosts, each alone or for a type of service. RFC 1122, 3.2.2.2: all are for the host."""
ECHO_REQUEST = 8
TIME_EXCEEDED = 11
PARAMETER_PROBLEM = 12

ERRORS = (UNREACHABLE, SOURCE_QUENCH, REDIRECT, TIME_EXCEEDED, PARAMETER_PROBLEM)
"""The error messages, about which no error is ever sent (RFC 1122, 3.2.2)."""


_UNREACHABLE_KINDS = {
    0: "network", 1: "host", 2: "protocol", 3: "port", 4: "fragmentation-needed", 5: "source-route",
    6: "network", 7: "host", 8: "host", 9: "prohibited", 10: "prohibited", 11: "network", 12: "host", 13: "prohibited",
    14: "prohibited", 15: "prohibited",
}  # fmt: skip


@dataclass(slots=True)
class Message(icmp.Message):
    """A message with what its fields mean in ICMPv4."""

    @property
    def next_hop_mtu(self) -> int:
        """Fragmentation needed: the largest packet that gets through (RFC 1191, 4)."""
        return self.word & 0xFFFF

    @property
    def gateway(self) -> bytes:
        """Redirect: the router that is to be asked (RFC 792)."""
        return self.word.to_bytes(4, "big")

    @property
    def kind(self) -> str:
        """What an error says, in a word that sockets understand (RFC 792; RFC 1122, 3.2.2.1; RFC 1812, 5.2.7.1)."""
        if self.type == UNREACHABLE:
            return _UNREACHABLE_KINDS.get(self.code, "unknown")
        return {TIME_EXCEEDED: "time-exceeded", PARAMETER_PROBLEM: "parameter-problem"}.get(self.type, "unknown")

    def emit(self, view: memoryview, pseudo_sum: int = 0, checksum: bool = True) -> None:
        """Write the message. ICMPv4 has no pseudo-header, and cards do not compute its checksum."""
        HEADER.pack_into(view, 0, self.type, self.code, 0, self.word)
        view[HEADER_LENGTH:] = self.payload
        view[2:4] = internet_checksum(view).to_bytes(2, "big")


def parse(view: memoryview) -> Message:
    """Read a message; Malformed if it is short or its checksum is wrong (RFC 792)."""
    if len(view) < HEADER_LENGTH:
        raise Malformed("icmp-short")
    if ones_sum(view) != 0xFFFF:
        raise Malformed("icmp-checksum")
    kind, code, _, word = HEADER.unpack_from(view)
    return Message(kind, code, word, view[HEADER_LENGTH:])


def echo_request(ident: int, sequence: int, payload: Buffer) -> Message:
    """What ping sends."""
    return Message(ECHO_REQUEST, 0, ident << 16 | sequence, payload)


def echo_reply(request: Message) -> Message:
    """The answer: identifier, sequence number and data come back (RFC 792; RFC 1122, 3.2.2.6)."""
    return Message(ECHO_REPLY, 0, request.word, request.payload)
