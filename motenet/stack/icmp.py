"""What the node itself does with ICMP: answer echoes, report errors, hear of them.

RFC 792, RFC 1122, 3.2.2 and RFC 1812, 4.3 for IPv4; RFC 4443 for IPv6.
"""

from typing import TYPE_CHECKING, ClassVar

from motenet.core.trace import HasNow, Watched
from motenet.core.units import SECOND
from motenet.stack.address import Cidr, is_loopback, is_multicast, is_single_host
from motenet.stack.addressing import ANYCAST, UNICAST
from motenet.stack.output import Output
from motenet.stack.packet import Outgoing, Packet
from motenet.stack.reassembly import Partial
from motenet.stack.routing import Routing
from motenet.stack.sockets.set import SocketSet
from motenet.stack.wire import icmp, icmpv4, icmpv6, ipv4, ipv6, mld, source_route

if TYPE_CHECKING:
    from motenet.stack.interface import Interface

ERROR_BURST = 50
ERRORS_A_SECOND = 1000
"""A token bucket for the errors that we send (RFC 1812, 4.3.2.8; RFC 4443, 2.4 f); the figures are Linux's
icmp_msgs_burst and icmp_msgs_per_sec."""

QUOTED4 = 548
"""RFC 1812, 4.3.2.3: as much of the packet as possible, in an error of at most 576 bytes."""
QUOTED6 = ipv6.MINIMUM_MTU - ipv6.HEADER_LENGTH - icmp.HEADER_LENGTH
"""RFC 4443, 2.4 c: as much of it as fits into the smallest MTU."""

REDIRECT_LIFETIME = 600 * SECOND
"""RFC 1122, 3.3.1.4: what was learned goes again; the figure is a path MTU's."""

_MAXIMUM_ANSWERED = 64
_INTERVAL = SECOND // ERRORS_A_SECOND
_QUOTING4 = (icmpv4.UNREACHABLE, icmpv4.TIME_EXCEEDED, icmpv4.PARAMETER_PROBLEM)
_NDISC = range(icmpv6.ROUTER_SOLICITATION, icmpv6.REDIRECT + 1)
_ONE = (UNICAST, ANYCAST)
"""What was sent to one host may be answered by an error (RFC 4443, 2.2 and 2.4 e)."""
_MLD = range(icmpv6.LISTENER_QUERY, icmpv6.LISTENER_DONE + 1)

_ERRORS4 = {
    "network": (icmpv4.UNREACHABLE, 0), "host": (icmpv4.UNREACHABLE, 1), "protocol": (icmpv4.UNREACHABLE, 2),
    "port": (icmpv4.UNREACHABLE, 3), "too-big": (icmpv4.UNREACHABLE, 4), "hops": (icmpv4.TIME_EXCEEDED, 0),
    "reassembly": (icmpv4.TIME_EXCEEDED, 1), "parameter": (icmpv4.PARAMETER_PROBLEM, 0),
}  # fmt: skip
_ERRORS6 = {
    "network": (icmpv6.UNREACHABLE, icmpv6.NO_ROUTE), "host": (icmpv6.UNREACHABLE, icmpv6.ADDRESS_UNREACHABLE),
    "protocol": (icmpv6.PARAMETER_PROBLEM, ipv6.UNRECOGNIZED_NEXT_HEADER),
    "port": (icmpv6.UNREACHABLE, icmpv6.PORT_UNREACHABLE), "too-big": (icmpv6.PACKET_TOO_BIG, 0),
    "hops": (icmpv6.TIME_EXCEEDED, 0), "reassembly": (icmpv6.TIME_EXCEEDED, 1),
    "scope": (icmpv6.UNREACHABLE, icmpv6.BEYOND_SCOPE),
}  # fmt: skip
"""What went wrong -> type and code (RFC 792, RFC 1122, 3.2.2; RFC 4443, 3)."""

Quote = ipv4.Quote | ipv6.Quote


class Icmp(Watched):
    """Answers and errors, and the errors that concern our sockets."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "next_at", "echoes", "errors", "answered")

    def __init__(self, clock: HasNow, routing: Routing, sockets: SocketSet, output: Output) -> None:
        super().__init__(clock, "icmp")
        self.routing = routing
        self.sockets = sockets
        self.output = output
        self.next_at = 0
        """The bucket: when all errors sent so far are paid for, in ns."""
        self.echoes = 0
        """Echo requests answered."""
        self.errors = 0
        """Errors sent."""
        self.answered: dict[bytes, int] = {}
        """Who was sent a large IPv6 echo reply -> the last one's ident and sequence number, as one word."""

    # --- what arrives

    def process4(self, interface: "Interface", packet: Packet, kind: int) -> None:
        """Take an ICMPv4 message; Malformed if it is none."""
        message = icmpv4.parse(packet.payload)
        if kind != UNICAST:
            self.drop("icmp-group")  # RFC 1122, 3.2.2.6: an echo request MAY be; errors are told to one host alone
        elif message.type == icmpv4.ECHO_REQUEST:
            reply = Outgoing(packet.destination, packet.source, ipv4.ICMP, icmpv4.echo_reply(message), tos=packet.tos)
            reply.via = source_route.way_back(packet.header, packet.source)  # 3.2.2.6: reversed
            self._answer_echo(interface, reply)
        elif message.type == icmpv4.ECHO_REPLY:
            self._hand_reply(packet, message)
        elif message.type in _QUOTING4:
            quote = ipv4.parse_quote(memoryview(message.payload))
            self._hear(message.kind, quote, message.next_hop_mtu, quote.length)
        elif message.type == icmpv4.REDIRECT and message.code in icmpv4.REDIRECT_CODES:
            quote = ipv4.parse_quote(memoryview(message.payload))
            if self._is_from_us(quote):
                self.redirected(interface, packet.source, message.gateway, quote.destination)
        else:
            self.drop("icmp-type")  # RFC 1122, 3.2.2: an unknown type is silently discarded

    def process6(self, interface: "Interface", packet: ipv6.Packet, kind: int) -> None:
        """Take an ICMPv6 message; Malformed if it is none."""
        message = icmpv6.parse(packet.payload, packet.source, packet.destination)
        if message.type == icmpv6.ECHO_REQUEST:
            source = packet.destination if kind == UNICAST else b""  # RFC 4443, 4.2
            reply = Outgoing(source, packet.source, ipv6.ICMP, icmpv6.echo_reply(message), tos=packet.tos)
            if reply.transport.length > ipv6.MINIMUM_MTU - ipv6.HEADER_LENGTH:
                self._remember(packet.source, message.word)
            self._answer_echo(interface, reply)
        elif message.type in _NDISC:
            interface.discovery.process_ndisc(packet, message)
        elif message.type in _MLD:
            report = mld.parse(message)
            mld.check(report, packet.hop_limit, packet.source)
            interface.housekeeping.membership.process(report, self.output.now)
        elif kind != UNICAST:
            self.drop("icmp-group")  # RFC 4443, 2.4: errors and replies are for one node
        elif message.type == icmpv6.ECHO_REPLY:
            self._hand_reply(packet, message)
        elif message.type == icmpv6.PACKET_TOO_BIG and message.mtu < ipv6.MINIMUM_MTU:
            self.drop("icmp-mtu")  # RFC 8201, 4: it must be discarded
        elif message.type < icmpv6.ECHO_REQUEST:  # RFC 4443, 2.4 a: of unknown types, too
            quote = ipv6.parse_quote(memoryview(message.payload))
            self._hear(message.kind, quote, message.mtu, 0)
        else:
            self.drop("icmp-type")  # RFC 4443, 2.4 b: an informational message of unknown type

    def _answer_echo(self, interface: "Interface", reply: Outgoing) -> None:
        """RFC 1122, 3.2.2.6; RFC 4443, 4.2: the data come back whole, from the address that they were sent to."""
        if not _can_be_told(reply.destination):
            self.drop("source-address")
            return
        self.echoes += 1
        reply.interface = interface.scope(reply.destination)
        reply.tos &= 0xFC  # RFC 3168, 5: an answer is no part of an ECN-capable transport
        self.output.reply(reply)

    def _remember(self, destination: bytes, word: int) -> None:
        """A router may say that this answer is too big for it; who has not seen it cannot (RFC 8201, 4)."""
        self.answered.pop(destination, None)
        if len(self.answered) >= _MAXIMUM_ANSWERED:
            del self.answered[next(iter(self.answered))]
        self.answered[destination] = word

    def _hand_reply(self, packet: Packet, message: icmpv4.Message | icmpv6.Message) -> None:
        socket = self.sockets.icmp.get(message.ident)
        if socket is None:
            self.drop("icmp-no-socket")
        else:
            socket.process(self.output.now, packet.source, message)

    def _hear(self, kind: str, quote: Quote, mtu: int, length: int) -> None:
        """An error about something that we are said to have sent."""
        if not self._is_from_us(quote):
            return
        heard = self.report(kind, quote)
        too_big = heard and kind in ("fragmentation-needed", "packet-too-big")
        if too_big and self.routing.too_big(quote.destination, mtu, length, self.output.now):
            self.sockets.refit(quote.destination)

    def _is_from_us(self, quote: Quote) -> bool:
        if self.routing.is_local(quote.source):
            return True
        self.drop("icmp-foreign-quote")
        return False

    def report(self, kind: str, quote: Quote) -> bool:
        """What we sent has failed: tell the socket that sent it (RFC 1122, 3.2.2.1). Says whether there is one."""
        here, there = (int.from_bytes(quote.payload[at : at + 2], "big") for at in (0, 2))
        if quote.protocol == ipv4.TCP:
            tcp = self.sockets.tcp.get((quote.source, here, quote.destination, there))
            if tcp is not None and tcp.outstanding(int.from_bytes(quote.payload[4:8], "big")):
                tcp.unreachable(kind)
                return True
        elif quote.protocol == ipv4.UDP:
            udp = self.sockets.udp_socket(quote.source, here)
            if udp is not None and udp.accepts(quote.destination, there):
                udp.fail(kind, quote.destination, there)
                return True
        elif quote.protocol == ipv6.ICMP and quote.payload[:1] == _ECHO_REPLY:
            if self.answered.get(quote.destination) == int.from_bytes(quote.payload[4:8], "big"):
                return True
        elif quote.protocol in (ipv4.ICMP, ipv6.ICMP) and quote.payload[:1] in _ECHO_REQUESTS:
            ident = int.from_bytes(quote.payload[4:6], "big")
            icmp = self.sockets.icmp.get(ident)
            if icmp is not None:
                icmp.fail(kind, quote.destination, int.from_bytes(quote.payload[6:8], "big"))
                return True
        else:
            raw = self.sockets.raw.get(quote.protocol)
            if raw is not None:
                raw.fail(kind, quote.destination, 0)
                return True
        self.drop("icmp-no-socket")
        return False

    def redirected(self, interface: "Interface", source: bytes, gateway: bytes, destination: bytes) -> bool:
        """Our router knows a better one, or that the destination is a neighbor (then it is `gateway` itself).

        RFC 1122, 3.2.2.2 and 3.3.1.2: one outside our IPv4 network is not believed; RFC 4861, 8.3. Says whether it is.
        """
        way = self.routing.way(destination, interface.scope(destination))
        ours = way is not None and way.hop == source and way.interface is interface  # from the router that we use
        near = interface.addressing.is_neighbor(gateway) or (len(gateway) == 16 and gateway == destination)
        other = gateway not in interface.addressing.listening  # neither ourselves nor a broadcast
        if not interface.accept_redirects or not ours or not (near and other) or not is_single_host(destination):
            self.drop("icmp-redirect")
            return False
        host = Cidr(destination, 8 * len(destination))
        onward = None if gateway == destination else gateway
        expires = self.output.now + REDIRECT_LIFETIME
        self.routing.routes.add(host, onward, interface.name, expires, "redirect")
        return True

    # --- errors that we send

    def port_unreachable(self, interface: "Interface", packet: Packet, kind: int) -> None:
        """RFC 1122, 4.1.3.1; RFC 4443, 3.1: nobody listens at this UDP port."""
        self.error(interface, packet, kind, "port")

    def protocol_unreachable(self, interface: "Interface", packet: Packet, kind: int) -> None:
        """RFC 1122, 3.2.2.1; RFC 8200, 4: nobody here speaks this protocol."""
        pointer = packet.protocol_at if isinstance(packet, ipv6.Packet) else 0
        self.error(interface, packet, kind, "protocol", pointer)

    def reassembly_expired(self, partial: Partial) -> None:
        """RFC 1122, 3.3.2; RFC 8200, 4.5: only if the first fragment has come."""
        if not partial.header:
            return
        first = partial.header[:-8] + partial.pieces[0]
        six = first[0] >> 4 == 6
        quote = (ipv6 if six else ipv4).parse_quote(memoryview(first))
        if self.routing.is_local(quote.destination) and not _is_error(quote):
            kind, code = (_ERRORS6 if six else _ERRORS4)["reassembly"]
            self._send(kind, code, quote.destination, quote.source, first, 0)

    def error(self, interface: "Interface", packet: Packet, kind: int, what: str, word: int = 0) -> None:
        """RFC 1122, 3.2.2; RFC 4443, 2.4 e: no error about what was not sent to one host, comes from none, or is one.

        `word` is the message's second: an MTU, or a pointer. The sender hears from the address that it meant, if that
        is ours.
        """
        six = len(packet.source) == 16
        answered = kind in _ONE or (six and what == "too-big")
        quoted = bytes(packet.header) + bytes(packet.payload[:QUOTED6])
        about = ipv6.parse_quote(memoryview(quoted)) if six else packet  # a router has not read extension headers
        if not answered or packet.offset or _is_error(about):
            return
        if is_multicast(packet.destination) or not self.routing.is_local(packet.destination):
            source = b""
        else:
            source = packet.destination
        code = (_ERRORS6 if six else _ERRORS4)[what]
        self._send(*code, source, packet.source, quoted, word, interface.scope(packet.source))

    def refused4(self, view: memoryview, refusal: ipv4.Refused) -> None:
        """RFC 1122, 3.2.2.5: an option to be refused; the pointer is the second word's first octet."""
        quote = ipv4.parse_quote(view)
        way = self.routing.way(quote.source)
        one = way is not None and not way.mac and not way.local  # nobody has looked at the source yet
        if one and self.routing.is_local(quote.destination) and quote.payload and not _is_error(quote):
            kind, code = _ERRORS4["parameter"]
            quoted = bytes(view[: quote.length])
            self._send(kind, code, quote.destination, quote.source, quoted, refusal.pointer << 24)

    def refused6(self, interface: "Interface", kind: int, refusal: ipv6.Refused) -> None:
        """RFC 4443, 3.4: a header that its receiver has to refuse; but no error about an error (2.4 e)."""
        quote = ipv6.parse_quote(memoryview(refusal.packet))
        if (kind in _ONE or refusal.multicast) and not _is_error(quote):
            ours = quote.destination if kind == UNICAST else b""
            pointer, scope = refusal.pointer, interface.scope(quote.source)
            self._send(icmpv6.PARAMETER_PROBLEM, refusal.code, ours, quote.source, refusal.packet, pointer, scope)

    def _send(
        self, kind: int, code: int, source: bytes, destination: bytes, quoted: bytes, word: int, scope: str = ""
    ) -> None:
        if not _can_be_told(destination) or not self.may_send():
            return
        if len(destination) == 16:
            packet = Outgoing(source, destination, ipv6.ICMP, icmpv6.Message(kind, code, word, quoted[:QUOTED6]))
        else:
            packet = Outgoing(source, destination, ipv4.ICMP, icmpv4.Message(kind, code, word, quoted[:QUOTED4]))
        packet.interface = scope
        self.output.reply(packet)

    def may_send(self) -> bool:
        """Whether the bucket has a token for another error; it is taken."""
        if self.next_at - self.output.now > (ERROR_BURST - 1) * _INTERVAL:
            self.drop("icmp-rate")
            return False
        self.next_at = max(self.next_at, self.output.now) + _INTERVAL
        self.errors += 1
        return True


_ECHO_REPLY = bytes((icmpv6.ECHO_REPLY,))
_ECHO_REQUESTS = (bytes((icmpv4.ECHO_REQUEST,)), bytes((icmpv6.ECHO_REQUEST,)))


def _is_error(packet: Packet | Quote) -> bool:
    """Whether it is an ICMP message about which no error is sent: an error, or a redirect (RFC 4443, 2.4 e)."""
    first = packet.payload[0] if len(packet.payload) else 0
    if len(packet.source) == 4:
        return packet.protocol == ipv4.ICMP and first in icmpv4.ERRORS
    return packet.protocol == ipv6.ICMP and (first < icmpv6.ECHO_REQUEST or first == icmpv6.REDIRECT)


def _can_be_told(address: bytes) -> bool:
    """Whether it names one host; what has come from a loopback address has come from ourselves."""
    return is_single_host(address) or is_loopback(address)
