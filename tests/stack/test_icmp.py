"""ICMP (RFC 792) as RFC 1122, 3.2.2 wants it from hosts."""

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_LSRR
from scapy.layers.inet6 import HBHOptUnknown, ICMPv6DestUnreach, ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import ARP, Ether

from motenet.stack.address import parse_address
from motenet.stack.errors import ConnectionRefused, HostUnreachable, MessageTooLong, NetworkUnreachable
from motenet.stack.icmp import ERROR_BURST

MS, SECOND = 1_000_000, 1_000_000_000
US, PEER, BROADCAST = "02:00:00:00:00:01", "02:00:00:00:00:02", "ff:ff:ff:ff:ff:ff"
REMOTE = bytes((10, 0, 0, 2))


def unreachable(script: Any, code: int, packet: Any, kind: int = 3) -> Any:
    return script.from_peer() / ICMP(type=kind, code=code) / packet


def test_rfc_1122_3_2_2_6_an_echo_comes_back_whole_from_the_address_it_was_sent_to(script: Any) -> None:
    script.know_peer()
    script.stack.add_address("10.0.0.5/24")
    (reply,) = script.hear(script.from_peer(dst="10.0.0.5") / ICMP(id=7, seq=9) / b"all of this")
    assert (reply[IP].src, reply[IP].dst, reply.dst) == ("10.0.0.5", "10.0.0.2", PEER)
    assert (reply[ICMP].type, reply[ICMP].id, reply[ICMP].seq, bytes(reply[ICMP].payload)) == (0, 7, 9, b"all of this")


@pytest.mark.parametrize("known", [True, False], ids=["at once", "after ARP"])
def test_rfc_1122_3_2_2_6_a_source_routed_echo_comes_back_by_the_reversed_route(script: Any, known: bool) -> None:
    if known:
        script.know_peer()
    script.stack.node.source_routes = True
    route = IPOption_LSRR(routers=["10.7.7.7", "10.0.0.2"], pointer=12)
    (reply,) = script.hear(script.from_peer(src="10.9.9.9", options=[route]) / ICMP() / b"far")
    if not known:
        (reply,) = script.hear(Ether(src=PEER, dst=US) / ARP(op=2, hwsrc=PEER, psrc="10.0.0.2", pdst="10.0.0.1"))
    assert (reply.dst, reply[IP].dst, reply[IP].options[0].routers) == (PEER, "10.0.0.2", ["10.7.7.7", "10.9.9.9"])


@pytest.mark.parametrize(("to", "group"), [(BROADCAST, "10.0.0.255"), ("01:00:5e:00:00:01", "224.0.0.1")])
@pytest.mark.parametrize("message", [ICMP(), ICMP(type=3, code=3), ICMP(type=5, code=1, gw="10.0.0.3")])
def test_what_goes_to_all_is_neither_answered_nor_believed(script: Any, to: str, group: str, message: Any) -> None:
    """RFC 1122, 3.2.2.6: an echo request MAY be discarded; an error is told to the one that it is about."""
    script.stack.add_route("0.0.0.0/0", "10.0.0.2")
    socket = script.stack.udp_socket(1000)
    about = IP(src="10.0.0.1", dst="10.9.9.9") / UDP(sport=1000, dport=53)
    assert script.hear(Ether(src=PEER, dst=to) / IP(src="10.0.0.2", dst=group) / message / about) == []
    assert not socket.failures
    assert script.drops == {"icmp-group": 1}
    assert "redirect" not in {row["origin"] for row in script.stack.list_routes()}


def test_rfc_1122_4_1_3_1_a_datagram_for_nobody_is_answered_by_port_unreachable(script: Any) -> None:
    script.know_peer()
    (error,) = script.hear(script.from_peer() / UDP(sport=0x0305, dport=6) / b"nobody")
    assert (error[ICMP].type, error[ICMP].code) == (3, 3)
    quoted = error[ICMP].payload
    assert (quoted.src, quoted.dst, quoted.sport, quoted.dport) == ("10.0.0.2", "10.0.0.1", 0x0305, 6)


def test_rfc_1812_4_3_2_3_an_error_has_at_most_576_bytes(script: Any) -> None:
    script.know_peer()
    (error,) = script.hear(script.from_peer() / UDP(sport=5, dport=6) / bytes(1400))
    assert error[IP].len == 576


@pytest.mark.parametrize("destination", ["10.0.0.255", "255.255.255.255", "224.0.0.1"])
def test_rfc_1122_3_2_2_no_error_about_a_broadcast(script: Any, destination: str) -> None:
    script.know_peer()
    to = "01:00:5e:00:00:01" if destination.startswith("224") else BROADCAST
    assert script.hear(Ether(src=PEER, dst=to) / IP(src="10.0.0.2", dst=destination) / UDP(dport=6)) == []
    assert script.drops == {"udp-no-socket": 1}


def test_rfc_1122_3_2_2_no_error_to_nowhere(script: Any) -> None:
    assert script.hear(script.from_peer(src="0.0.0.0") / UDP(dport=6)) == []
    assert script.stack.statistics["icmp_errors"] == 0


@pytest.mark.parametrize(("payload", "told"), [(UDP(sport=5, dport=6), 1), (ICMP(type=3, code=1), 0)])
def test_rfc_1122_3_3_2_who_sent_the_first_fragment_hears_of_the_rest_but_not_of_an_error(
    script: Any, payload: Any, told: int
) -> None:
    """3.2.2: no error about an error; RFC 1812, 4.3.2.3: as much of the fragment as 576 bytes hold."""
    packet = script.from_peer(flags="MF", id=5) / payload / bytes(992)
    script.hear(packet)
    script.pass_time(59 * SECOND)
    script.know_peer()
    errors = script.pass_time(2 * SECOND)
    assert [(error[ICMP].type, error[ICMP].code, error[IP].len) for error in errors] == [(11, 1, 576)] * told
    assert all(bytes(error)[42:] == bytes(packet)[14:562] for error in errors)


@pytest.mark.parametrize("change", [{}, {"src": "10.0.0.255"}, {"src": "127.0.0.1"}, {"src": "10.0.0.1"}, {"frag": 9}])
def test_rfc_1122_3_2_2_5_an_option_to_be_refused_is_pointed_at(script: Any, change: dict[str, Any]) -> None:
    """But only to one other host, and not for a fragment that is not the first (3.2.2)."""
    script.know_peer()
    packet = script.from_peer(options=[IPOption_LSRR(routers=["10.0.0.3"], pointer=3)], **change) / UDP() / bytes(80)
    errors = script.hear(packet)
    assert [(error[ICMP].type, error[ICMP].ptr) for error in errors] == ([] if change else [(12, 22)])
    assert all(bytes(error)[42:] == bytes(packet)[14:] for error in errors)


REFUSED = IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x9E)]) / UDP()


@pytest.mark.parametrize("payload", [UDP(dport=7), ICMPv6EchoRequest(), REFUSED, IPv6ExtHdrDestOpt(nh=99)])
def test_rfc_4443_2_2_what_is_sent_to_an_anycast_address_is_answered_from_a_unicast_one(
    router: Any, payload: Any
) -> None:
    ((side, answer),) = router.hear(Ether(src=PEER, dst=US) / IPv6(src="2001:db8:1::2", dst="2001:db8:1::") / payload)
    assert (side, answer[IPv6].src, answer[IPv6].dst) == (0, "2001:db8:1::1", "2001:db8:1::2")


def test_rfc_4443_3_1_what_would_leave_the_scope_of_its_source_is_told_to_it(router: Any) -> None:
    """RFC 4007, 9. Not to a source of larger scope, whose destination is on its own link."""
    frame, datagram = Ether(src=PEER, dst=US), UDP(dport=7)
    router.hear(frame / IPv6(src="2001:db8:1::2", dst="fe80::9") / datagram)
    assert router.stack.statistics["icmp_errors"] == 0
    router.hear(frame / IPv6(src="fe80::2", dst="2001:db8:2::2") / datagram)
    router.stack.interface.neighbors.heard(parse_address("fe80::2"), b"\2\0\0\0\0\2", 0)
    ((side, error),) = router.hear(frame / IPv6(src="fe80::2", dst="2001:db8:2::2") / datagram)
    assert (side, error[IPv6].dst, error[ICMPv6DestUnreach].code) == (0, "fe80::2", 2)


def test_rfc_1812_4_3_2_8_errors_are_limited_in_rate(script: Any) -> None:
    script.know_peer()
    flood = [script.from_peer() / UDP(sport=5, dport=6)] * 200
    assert len(script.hear(*flood)) == ERROR_BURST == 50
    assert script.drops["icmp-rate"] == 200 - ERROR_BURST
    script.bench.now += 10 * MS
    assert len(script.hear(*flood)) == 10  # one each millisecond


def test_rfc_1122_4_1_3_3_a_udp_socket_hears_of_what_it_has_sent(script: Any) -> None:
    socket = script.stack.udp_socket(1000)
    other = script.stack.udp_socket(1001)
    script.hear(unreachable(script, 3, IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1000, dport=53)))
    assert list(socket.failures) == [("port", REMOTE, 53)]
    assert not other.failures


def test_rfc_4884_extensions_behind_the_quotation_do_no_harm(script: Any) -> None:
    """4.4: its length in words is in a byte that was zero; the quotation is padded to 128 bytes."""
    socket = script.stack.udp_socket(1000)
    quoted = bytes(IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1000, dport=53)).ljust(128, b"\0")
    extension = bytes.fromhex("2000dfff 00080101 00001001")
    script.hear(script.from_peer() / ICMP(type=3, code=3, length=32) / (quoted + extension))
    assert list(socket.failures) == [("port", REMOTE, 53)]


@pytest.mark.parametrize(
    ("kind", "code", "error", "words"),
    [
        (3, 0, NetworkUnreachable, "network unreachable$"), (3, 1, HostUnreachable, "host unreachable$"),
        (3, 3, ConnectionRefused, "port unreachable$"), (3, 4, MessageTooLong, "fragmentation-needed$"),
        (11, 0, HostUnreachable, "time-exceeded$"),
    ],
)  # fmt: skip
def test_a_connected_udp_socket_raises_what_it_hears_once(
    script: Any, kind: int, code: int, error: Any, words: str
) -> None:
    socket = script.stack.udp_socket(1000)
    socket.connect("10.0.0.2", 53)
    script.hear(
        unreachable(script, 3, IP(src="10.0.0.1", dst="10.0.0.9") / UDP(sport=1000, dport=53)),
        unreachable(script, code, IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1000, dport=53), kind),
    )
    with pytest.raises(error, match=words):
        socket.receive()
    assert socket.receive() is None


def test_rfc_9293_3_9_2_2_a_connection_that_is_opened_is_refused_by_port_unreachable(script: Any) -> None:
    script.know_peer()
    socket = script.stack.sockets.tcp_connect("10.0.0.2", 80)
    (syn,) = script.sent()
    quoted = TCP(sport=syn.sport, dport=80, seq=syn.seq)
    script.hear(unreachable(script, 3, IP(src="10.0.0.1", dst="10.0.0.2") / quoted))
    assert isinstance(socket.error, ConnectionRefusedError)


def test_rfc_1122_4_2_3_9_host_unreachable_is_no_reason_to_give_up_a_connection(script: Any) -> None:
    script.know_peer()
    socket = script.stack.sockets.tcp_connect("10.0.0.2", 80)
    (syn,) = script.sent()
    quoted = TCP(sport=syn.sport, dport=80, seq=syn.seq)
    script.hear(unreachable(script, 1, IP(src="10.0.0.1", dst="10.0.0.2") / quoted))
    assert (socket.error, socket.soft_failure) == (None, "host")


@pytest.mark.parametrize("offset", [-1, 1, 2**31])
def test_rfc_5927_4_1_an_error_about_a_number_that_is_not_outstanding_is_a_guess(script: Any, offset: int) -> None:
    script.know_peer()
    socket = script.stack.sockets.tcp_connect("10.0.0.2", 80)
    (syn,) = script.sent()
    quoted = TCP(sport=syn.sport, dport=80, seq=(syn.seq + offset) % 2**32)
    script.hear(unreachable(script, 3, IP(src="10.0.0.1", dst="10.0.0.2") / quoted))
    assert socket.state == "SYN-SENT"
    assert script.drops == {"icmp-no-socket": 1}


@pytest.mark.parametrize(
    ("quoted", "reason"),
    [
        (IP(src="10.0.0.9", dst="10.0.0.2") / UDP(sport=1000, dport=53), "icmp-foreign-quote"),
        (IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=999, dport=53), "icmp-no-socket"),
        (IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=1000, dport=53), "icmp-no-socket"),
        (IP(src="10.0.0.1", dst="10.0.0.2") / ICMP(id=1000), "icmp-no-socket"),
        (IP(src="10.0.0.1", dst="10.0.0.2", proto=99) / bytes(8), "icmp-no-socket"),
        (b"\x45" + bytes(18), "icmp-quote-short"),
    ],
)
def test_errors_about_what_nobody_sent_are_dropped(script: Any, quoted: Any, reason: str) -> None:
    socket = script.stack.udp_socket(1000)
    assert script.hear(unreachable(script, 3, quoted)) == []
    assert not socket.failures
    assert script.drops == {reason: 1}


def test_an_echo_socket_gets_its_replies_and_errors(script: Any) -> None:
    script.know_peer()
    socket = script.stack.sockets.icmp_bind(0x1234)
    socket.send_echo("10.0.0.2", 1, b"data")
    socket.send_echo("10.0.0.2", 2, b"data")
    first, second = script.sent()
    assert (first[ICMP].type, first[ICMP].id, first[ICMP].seq, bytes(first[ICMP].payload)) == (8, 0x1234, 1, b"data")
    script.bench.now = 5
    script.hear(
        script.from_peer() / ICMP(type=0, id=0x1234, seq=1) / b"data",
        script.from_peer() / ICMP(type=0, id=0x4321, seq=1) / b"data",
        unreachable(script, 0, IP(bytes(second[IP])), kind=11),
    )
    reply = socket.receive()
    assert (reply.address, reply.sequence, reply.time, reply.data) == (REMOTE, 1, 5, b"data")
    assert socket.receive() is None
    assert list(socket.failures) == [("time-exceeded", REMOTE, 2)]
    assert script.drops == {"icmp-no-socket": 1}


def test_a_raw_socket_gets_and_sends_what_follows_the_ip_header(script: Any) -> None:
    script.know_peer()
    socket = script.stack.sockets.raw_bind(99)
    assert script.hear(script.from_peer(proto=99) / b"payload") == []
    assert tuple(socket.receive()) == (b"payload", REMOTE, bytes((10, 0, 0, 1)))
    socket.send_to(b"answer", "10.0.0.2")
    (frame,) = script.sent()
    assert (frame[IP].proto, bytes(frame[IP].payload), frame[IP].src) == (99, b"answer", "10.0.0.1")
    script.hear(unreachable(script, 2, IP(bytes(frame[IP]).ljust(28, b"\0"))))
    assert list(socket.failures) == [("protocol", REMOTE, 0)]
