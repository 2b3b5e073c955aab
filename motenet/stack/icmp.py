"""What the host itself does with ICMP (RFC 792; RFC 1122, 3.2.2): answer echoes, report errors, hear of them."""

from typing import ClassVar

from motenet.core.trace import HasNow, Watched
from motenet.core.units import SECOND
from motenet.stack.address import is_multicast
from motenet.stack.addressing import UNICAST, Addressing
from motenet.stack.egress import Egress
from motenet.stack.packet import Outgoing
from motenet.stack.reassembly import Partial
from motenet.stack.sockets.set import SocketSet
from motenet.stack.wire import icmpv4, ipv4

ERROR_BURST = 50
ERRORS_A_SECOND = 1000
"""A token bucket for the errors that we send (RFC 1812, 4.3.2.8); the figures are Linux's icmp_msgs_burst, _per_sec."""

QUOTED = 548
"""RFC 1812, 4.3.2.3: as much of the packet as possible, in an error of at most 576 bytes."""

_ECHO_REQUEST = bytes((icmpv4.ECHO_REQUEST,))
_INTERVAL = SECOND // ERRORS_A_SECOND


class IcmpResponder(Watched):
    """Answers and errors, and the errors that concern our sockets."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "next_at", "echoes", "errors")

    def __init__(self, clock: HasNow, addressing: Addressing, sockets: SocketSet, egress: Egress) -> None:
        super().__init__(clock, "icmp")
        self.addressing = addressing
        self.sockets = sockets
        self.egress = egress
        self.next_at = 0
        """The bucket: when all errors sent so far are paid for, in ns."""
        self.echoes = 0
        """Echo requests answered."""
        self.errors = 0
        """Errors sent."""

    # --- what arrives

    def process(self, now: int, packet: ipv4.Packet, kind: int) -> None:
        """Take a message; Malformed if it is none."""
        message = icmpv4.parse(packet.payload)
        if message.type == icmpv4.ECHO_REQUEST:
            self._echo(packet, message, kind)
        elif message.type == icmpv4.ECHO_REPLY:
            socket = self.sockets.icmp.get(message.ident)
            if socket is None:
                self.drop("icmp-no-socket")
            else:
                socket.process(now, packet.source, message)
        elif message.type in (icmpv4.UNREACHABLE, icmpv4.TIME_EXCEEDED, icmpv4.PARAMETER_PROBLEM):
            quote = ipv4.parse_quote(memoryview(message.payload))
            if self.addressing.has(quote.source):
                self.report(message.kind, quote)
            else:
                self.drop("icmp-foreign-quote")
        else:
            self.drop("icmp-type")  # RFC 1122, 3.2.2: an unknown type is silently discarded

    def _echo(self, packet: ipv4.Packet, message: icmpv4.Message, kind: int) -> None:
        """RFC 1122, 3.2.2.6: the data come back whole, from the address that they were sent to."""
        if kind != UNICAST:
            self.drop("icmp-echo-group")  # "MAY be silently discarded"
            return
        self.echoes += 1
        reply = icmpv4.Message(icmpv4.ECHO_REPLY, 0, message.word, message.payload)
        self.egress.reply(Outgoing(packet.destination, packet.source, ipv4.ICMP, reply))

    def report(self, kind: str, quote: ipv4.Quote) -> None:
        """What we sent has failed: tell the socket that sent it (RFC 1122, 3.2.2.1)."""
        here, there = (int.from_bytes(quote.payload[at : at + 2], "big") for at in (0, 2))
        if quote.protocol == ipv4.TCP:
            tcp = self.sockets.tcp.get((quote.source, here, quote.destination, there))
            if tcp is not None and tcp.outstanding(int.from_bytes(quote.payload[4:8], "big")):
                tcp.unreachable(kind)
                return
        elif quote.protocol == ipv4.UDP:
            udp = self.sockets.udp_socket(quote.source, here)
            if udp is not None and udp.accepts(quote.destination, there):
                udp.fail(kind, quote.destination, there)
                return
        elif quote.protocol == ipv4.ICMP and quote.payload[:1] == _ECHO_REQUEST:
            ident = int.from_bytes(quote.payload[4:6], "big")
            icmp = self.sockets.icmp.get(ident)
            if icmp is not None:
                icmp.fail(kind, quote.destination, int.from_bytes(quote.payload[6:8], "big"))
                return
        else:
            raw = self.sockets.raw.get(quote.protocol)
            if raw is not None:
                raw.fail(kind, quote.destination, 0)
                return
        self.drop("icmp-no-socket")

    # --- errors that we send

    def port_unreachable(self, now: int, packet: ipv4.Packet, kind: int) -> None:
        """RFC 1122, 4.1.3.1: nobody listens at this UDP port."""
        self._error(now, icmpv4.UNREACHABLE, icmpv4.PORT_UNREACHABLE, packet, kind)

    def protocol_unreachable(self, now: int, packet: ipv4.Packet, kind: int) -> None:
        """RFC 1122, 3.2.2.1: nobody here speaks this protocol."""
        self._error(now, icmpv4.UNREACHABLE, icmpv4.PROTOCOL_UNREACHABLE, packet, kind)

    def reassembly_expired(self, now: int, partial: Partial) -> None:
        """RFC 1122, 3.3.2: only if the first fragment has come."""
        if partial.header:
            source, destination = partial.header[12:16], partial.header[16:20]
            if self.addressing.has(destination):
                code = icmpv4.REASSEMBLY_TIME_EXCEEDED
                self._send_error(now, icmpv4.TIME_EXCEEDED, code, destination, source, partial.header)

    def _error(self, now: int, kind: int, code: int, packet: ipv4.Packet, destination_kind: int) -> None:
        """RFC 1122, 3.2.2: no error about a packet that was not sent to one host, or comes from none."""
        if destination_kind == UNICAST:
            quoted = bytes(packet.header) + bytes(packet.payload[: QUOTED - len(packet.header)])
            self._send_error(now, kind, code, packet.destination, packet.source, quoted)

    def _send_error(self, now: int, kind: int, code: int, source: bytes, destination: bytes, quoted: bytes) -> None:
        if is_multicast(destination) or destination[0] == 0:
            return
        if self.next_at - now > (ERROR_BURST - 1) * _INTERVAL:
            self.drop("icmp-rate")
            return
        self.next_at = max(self.next_at, now) + _INTERVAL
        self.errors += 1
        self.egress.reply(Outgoing(source, destination, ipv4.ICMP, icmpv4.Message(kind, code, 0, quoted)))
