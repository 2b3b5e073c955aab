"""Packets: as they come, and on their way out what the transport says and what the interface adds to it."""

from dataclasses import dataclass, field
from typing import Protocol

from motenet.core.checksum import Buffer, pseudo_header_sum
from motenet.stack.wire import ethernet, ipv4, ipv6, source_route, tcp

Packet = ipv4.Packet | ipv6.Packet
"""As received; the names of its fields are the same."""


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


@dataclass(slots=True, repr=False)
class Outgoing:
    """A packet to be sent. The link fills in the fields after `complete`."""

    source: bytes
    """Empty: the address that the route suggests."""
    destination: bytes
    protocol: int
    transport: Transport
    hop_limit: int = 0
    """0: what is usual on the link."""
    tos: int = 0
    """IPv4's type of service, IPv6's traffic class; the lowest two bits are ECN's (RFC 3168, 5)."""
    interface: str = ""
    """Where a group, a broadcast or an address of the link's scope lies; empty: on the first that suits."""
    whole: bool = False
    """No router may cut it up: the sender finds the path's MTU (RFC 1191, 3)."""
    router_alert: bool = False
    """Routers are to look at it (RFC 2113; RFC 2711)."""
    via: tuple[bytes, ...] = ()
    """IPv4: the gateways of its source route (RFC 791, 3.1); the first is where the header says that it goes."""
    segment_size: int = 0
    """Above zero: the card cuts it into segments of so many bytes of payload."""
    transport_header: int = 0
    """Bytes of the transport's header, which each segment gets."""
    complete: bool = False
    """The transport is the whole packet with its IP header: one that is forwarded, or was kept."""
    idents: int = 1
    """How many packets it becomes."""
    ident: int = 0
    flags: int = 0
    """IPv4's, as they stand in the header."""
    fragment: tuple[int, bool, int] | None = None
    """IPv6: offset in bytes, whether more follow, and the ident of a fragment."""
    checksum: bool = True
    """The transport's checksum is computed here, not by the card."""
    header: int = field(init=False)
    """Bytes of the IP header, as `header_length` finds them."""
    length: int = field(init=False)
    """The transport's, in bytes."""
    from_mac: bytes = field(init=False)
    to_mac: bytes = field(init=False)
    tag: int | None = field(init=False)
    """IEEE 802.1Q's tag control information."""

    def write(self, view: memoryview) -> None:
        """Write the frame into a view of exactly its length."""
        six = len(self.destination) == 16
        ethertype = ethernet.IPV6 if six else ethernet.IPV4
        start = ethernet.emit(view, self.to_mac, self.from_mac, ethertype, self.tag)
        if self.complete:
            self.transport.emit(view[start:], 0, False)
            return
        end = start + self.header
        if six:
            pseudo_sum = self._write_header6(view[start:end])
        elif self.via:
            pseudo_sum = self._write_routed(view[start:end])
        else:
            options = ipv4.ROUTER_ALERT_OPTION if self.router_alert else b""
            pseudo_sum = ipv4.emit(
                view[start:end], self.source, self.destination, self.protocol, self.length,
                self.hop_limit, self.ident, self.flags, self.tos, options,
            )  # fmt: skip
        self.transport.emit(view[end:], pseudo_sum, self.checksum)

    def _write_routed(self, view: memoryview) -> int:
        """RFC 9293, 3.9.2.1: the checksum counts the last destination, not the first gateway."""
        ipv4.emit(
            view, self.source, self.via[0], self.protocol, self.length, self.hop_limit, self.ident, self.flags,
            self.tos, source_route.emit(self.via, self.destination),
        )  # fmt: skip
        return pseudo_header_sum(self.source, self.destination, self.protocol, self.length)

    def _write_header6(self, view: memoryview) -> int:
        between = self._extension6()
        protocol = self.protocol
        if between:
            protocol = ipv6.HOP_BY_HOP if self.fragment is None else ipv6.FRAGMENT
            view[ipv6.HEADER_LENGTH :] = between
        length = len(between) + self.length
        sum_ = ipv6.emit(view, self.source, self.destination, protocol, length, self.hop_limit, self.tos)
        return pseudo_header_sum(self.source, self.destination, self.protocol, self.length) if between else sum_

    def _extension6(self) -> bytes:
        """The extension header: one at most."""
        if self.fragment is not None:
            return ipv6.fragment_header(self.protocol, *self.fragment)
        return ipv6.router_alert_header(self.protocol) if self.router_alert else b""

    @property
    def header_length(self) -> int:
        """Bytes of the IP header, options and extension headers included."""
        if self.complete:
            return 0
        if len(self.destination) == 4:
            if self.via:
                return ipv4.HEADER_LENGTH + source_route.length(self.via)
            return ipv4.HEADER_LENGTH + (len(ipv4.ROUTER_ALERT_OPTION) if self.router_alert else 0)
        if self.fragment is not None or self.router_alert:
            return ipv6.HEADER_LENGTH + ipv6.FRAGMENT_LENGTH  # the other header is as long
        return ipv6.HEADER_LENGTH

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
