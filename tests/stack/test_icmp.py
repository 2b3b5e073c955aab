"""ICMP (RFC 792) as RFC 1122, 3.2.2 wants it from hosts."""

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether

from motenet.stack.icmp import ERROR_BURST

MS = 1_000_000
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


def test_rfc_1122_3_2_2_6_an_echo_to_a_broadcast_is_not_answered(script: Any) -> None:
    script.know_peer()
    assert script.hear(Ether(src=PEER, dst=BROADCAST) / IP(src="10.0.0.2", dst="10.0.0.255") / ICMP()) == []
    assert script.drops == {"icmp-echo-group": 1}


def test_rfc_1122_4_1_3_1_a_datagram_for_nobody_is_answered_by_port_unreachable(script: Any) -> None:
    script.know_peer()
    (error,) = script.hear(script.from_peer() / UDP(sport=5, dport=6) / b"nobody")
    assert (error[ICMP].type, error[ICMP].code) == (3, 3)
    quoted = error[ICMP].payload
    assert (quoted.src, quoted.dst, quoted.sport, quoted.dport) == ("10.0.0.2", "10.0.0.1", 5, 6)


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


def test_rfc_1812_4_3_2_8_errors_are_limited_in_rate(script: Any) -> None:
    script.know_peer()
    flood = [script.from_peer() / UDP(sport=5, dport=6)] * 200
    assert len(script.hear(*flood)) == ERROR_BURST
    assert script.drops["icmp-rate"] == 200 - ERROR_BURST
    script.bench.now += 10 * MS
    assert len(script.hear(*flood)) == 10  # one each millisecond


def test_rfc_1122_4_1_3_3_a_udp_socket_hears_of_what_it_has_sent(script: Any) -> None:
    socket = script.stack.udp_socket(1000)
    other = script.stack.udp_socket(1001)
    script.hear(unreachable(script, 3, IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1000, dport=53)))
    assert list(socket.failures) == [("port", REMOTE, 53)]
    assert not other.failures


def test_a_connected_udp_socket_raises_what_it_hears_once(script: Any) -> None:
    socket = script.stack.udp_socket(1000)
    socket.connect("10.0.0.2", 53)
    script.hear(
        unreachable(script, 3, IP(src="10.0.0.1", dst="10.0.0.9") / UDP(sport=1000, dport=53)),
        unreachable(script, 1, IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1000, dport=53)),
    )
    with pytest.raises(OSError, match="host unreachable"):
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
