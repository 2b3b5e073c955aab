"""An IPv4 packet on its way out: what the transport says, and what the interface adds to it."""

from dataclasses import dataclass
from typing import Protocol

from motenet.core.checksum import Buffer, pseudo_header_sum
from motenet.doors import FrameFacts
from motenet.stack.wire import ethernet, ipv4, tcp, udp

TRANSPORT = ethernet.HEADER_LENGTH + ipv4.HEADER_LENGTH
"""Where the transport's header begins in a frame that we send."""

CHECKSUM_OFFSETS = {ipv4.TCP: 16, ipv4.UDP: udp.CHECKSUM_OFFSET}
"""Where the checksum lies in the headers of the transports whose checksum a card computes (RFC 9293, 3.1; RFC 768)."""


class Transport(Protocol):
    """What an IP packet carries."""

    @property
    def length(self) -> int:
        """Bytes, header included."""

    def emit(self, view: memoryview, pseudo_sum: int, checksum: bool) -> None:
        """Write it into a view of `length` bytes; without `checksum` the field there holds `pseudo_sum`."""


@dataclass(slots=True)
class Raw:
    """A transport's bytes, complete."""

    payload: Buffer

    @property
    def length(self) -> int:
        return len(self.payload)

    def emit(self, view: memoryview, pseudo_sum: int, checksum: bool) -> None:
        view[:] = self.payload


@dataclass(slots=True)
class TcpSegment:
    """A segment as a transport; its payload's pieces are copied here, and only here, into the frame."""

    segment: tcp.Segment
    length: int

    def emit(self, view: memoryview, pseudo_sum: int, checksum: bool) -> None:
        segment = self.segment
        position = tcp.emit_header(segment, view, pseudo_sum, checksum)
        for piece in segment.payload:
            end = position + len(piece)
            view[position:end] = piece
            position = end


@dataclass(slots=True)
class Outgoing:
    """A packet to be sent. The interface fills in the fields after `idents`."""

    source: bytes
    """Empty: the address that the route suggests."""
    destination: bytes
    protocol: int
    transport: Transport
    hop_limit: int = ipv4.DEFAULT_HOP_LIMIT
    tos: int = 0
    facts: FrameFacts | None = None
    """How the card is to cut it into segments."""
    idents: int = 1
    """How many packets it becomes."""
    ident: int = 0
    flags: int = 0
    length: int = 0
    checksum: bool = True
    """The transport's checksum is computed here, not by the card."""
    from_mac: bytes = b""
    to_mac: bytes = b""

    def write(self, view: memoryview) -> None:
        """Write the frame into a view of exactly its length."""
        ethernet.emit(view, self.to_mac, self.from_mac, ethernet.IPV4)
        pseudo_sum = ipv4.emit(
            view[ethernet.HEADER_LENGTH : TRANSPORT], self.source, self.destination, self.protocol, self.length,
            self.hop_limit, self.ident, self.flags, self.tos,
        )  # fmt: skip
        self.transport.emit(view[TRANSPORT:], pseudo_sum, self.checksum)

    def payload(self) -> bytes:
        """The transport's bytes alone, complete with their checksum."""
        payload = bytearray(self.transport.length)
        pseudo_sum = pseudo_header_sum(self.source, self.destination, self.protocol, len(payload))
        self.transport.emit(memoryview(payload), pseudo_sum, True)
        return bytes(payload)


@dataclass(slots=True)
class CompleteFrame:
    """A frame of which nothing is left to compute."""

    frame: Buffer

    def write(self, view: memoryview) -> None:
        """Copy it into a view of exactly its length."""
        view[:] = self.frame
