"""RFC 9293's numbered requirements (its appendix B) on TCP between its application and IP: 3.7.1, 3.9.1 and 3.9.2.

Scapy is the peer, 10.0.0.2; the stack has 10.0.0.1. docs/rfc9293.md says which test proves which number.
"""

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, IPOption, IPOption_NOP, IPOption_RR, IPOption_Timestamp
from scapy.layers.inet import IPerror as QuotedIP
from scapy.layers.inet import TCPerror as QuotedTCP
from scapy.layers.l2 import ARP, Ether

from motenet.core.units import SECOND
from motenet.doors import Capabilities
from motenet.stack.errors import AddressNotAvailable
from motenet.stack.sockets.tcp import State, TcpSocket

PEER, BROADCAST = "02:00:00:00:00:02", "ff:ff:ff:ff:ff:ff"


def segments(frames: list[Any]) -> list[Any]:
    return [frame for frame in frames if TCP in frame]


def syn(port: int = 5000, **fields: Any) -> Any:
    return TCP(sport=port, dport=80, flags="S", seq=300, **fields)


def opening(script: Any, **options: Any) -> tuple[TcpSocket, Any]:
    """A socket that connects, and its SYN."""
    script.know_peer()
    socket = script.stack.sockets.tcp_connect("10.0.0.2", 80, **options)
    return socket, segments(script.sent())[0]


def established(script: Any, **options: Any) -> tuple[TcpSocket, Any]:
    """A connection that we have opened, and our SYN; the peer's first byte has number 301."""
    socket, first = opening(script, **options)
    script.hear(script.from_peer() / answer(first))
    assert socket.state == "ESTABLISHED"
    return socket, first


def answer(first: Any) -> Any:
    return TCP(sport=80, dport=first[TCP].sport, flags="SA", seq=300, ack=first[TCP].seq + 1)


def about(sent: Any, **fields: Any) -> Any:
    """An ICMP error of the peer's that quotes what we have sent."""
    ip, tcp = sent[IP], sent[TCP]
    quoted = QuotedIP(src=ip.src, dst=ip.dst) / QuotedTCP(sport=tcp.sport, dport=tcp.dport, seq=tcp.seq)
    return ICMP(**fields) / quoted


# --- the MSS and the interface (3.7.1) ---


@pytest.mark.parametrize("mtu", [576, 1400, 1500, 9000])
def test_must_67_the_mss_is_what_ip_can_receive_less_20(make_script: Any, bench: Any, mtu: int) -> None:
    """SHLD-6: it is the smallest packet that the interface takes, and does not vary with the options sent."""
    script = make_script(bench, capabilities=Capabilities(mtu=mtu))
    _, first = opening(script)
    assert dict(first[TCP].options)["MSS"] == mtu - 20 - 20


# --- OPEN (3.9.1.1) ---


def test_must_42_a_port_may_be_listened_at_while_it_connects(script: Any) -> None:
    socket, first = opening(script, local_port=80)
    listener = script.stack.sockets.tcp_listen(80)
    assert socket.state == "SYN-SENT"
    script.hear(script.from_peer() / syn())
    assert len(listener.pending) == 1
    script.hear(script.from_peer() / answer(first))
    assert socket.state == "ESTABLISHED"


def test_must_43_the_local_address_may_be_given(bench: Any, make_script: Any) -> None:
    script = make_script(bench)
    script.stack.add_address("10.0.0.9/24")
    _, first = opening(script, source="10.0.0.9")
    assert first[IP].src == "10.0.0.9"
    script.stack.sockets.tcp_listen(80, "10.0.0.9")
    (refused,) = segments(script.hear(script.from_peer() / syn()))
    (taken,) = segments(script.hear(script.from_peer(dst="10.0.0.9") / syn()))
    assert (str(refused[TCP].flags), str(taken[TCP].flags)) == ("RA", "SA")


def test_must_44_ip_chooses_the_local_address(script: Any) -> None:
    """RFC 1122, 3.3.4.3: one of the network that the peer, or the way to it, is on."""
    script.stack.add_address("192.168.7.1/24")
    script.hear(Ether(src=PEER, dst=BROADCAST) / ARP(op=1, hwsrc=PEER, psrc="192.168.7.2", pdst="192.168.7.1"))
    script.stack.sockets.tcp_connect("192.168.7.2", 80)
    (first,) = segments(script.sent())
    assert first[IP].src == "192.168.7.1"
    _, other = opening(script)
    assert other[IP].src == "10.0.0.1"


def test_must_45_the_local_address_stays_as_it_was(script: Any) -> None:
    script.know_peer()
    script.stack.sockets.tcp_connect("10.0.0.2", 80)
    (first,) = segments(script.sent())
    script.stack.add_address("10.0.0.3/29")  # from now on a better match of the peer's
    (again,) = segments(script.pass_time(SECOND))
    (third,) = segments(script.hear(script.from_peer() / answer(first)))
    assert {first[IP].src, again[IP].src, third[IP].src} == {"10.0.0.1"}
    assert [str(one[TCP].flags) for one in (first, again, third)] == ["S", "S", "A"]


@pytest.mark.parametrize("address", ["255.255.255.255", "10.0.0.255", "224.0.0.1"])
def test_must_46_no_connection_to_a_broadcast_or_group(script: Any, address: str) -> None:
    with pytest.raises(AddressNotAvailable):
        script.stack.sockets.tcp_connect(address, 80)
    assert segments(script.sent()) == []


# --- what goes into the IP header (3.9.1.9, 3.9.2) ---


def test_must_48_the_application_gives_the_diffserv_field(script: Any) -> None:
    """SHLD-21: it may be changed later. SHLD-22: what is given is what stands in the header."""
    socket, first = established(script)
    assert first[IP].tos == 0
    for traffic_class in (0xB8, 0x28):
        socket.traffic_class = traffic_class
        socket.send(b"x")
        (data,) = segments(script.sent())
        assert data[IP].tos == traffic_class
        acknowledgment = TCP(sport=80, dport=first[TCP].sport, flags="A", seq=301, ack=data[TCP].seq + 1)
        script.hear(script.from_peer() / acknowledgment)


def test_must_49_the_time_to_live_is_configurable(script: Any) -> None:
    socket, first = established(script)
    assert first[IP].ttl == 64
    socket.hop_limit = 1
    socket.send(b"x")
    (data,) = segments(script.sent())
    assert data[IP].ttl == 1


@pytest.mark.parametrize(
    "option",
    [
        IPOption(b"\x5e\x06abcd"),  # of an experiment (RFC 4727, 4.3)
        IPOption_RR(length=7, pointer=4, routers=["0.0.0.0"]),
        IPOption_Timestamp(length=12, pointer=9, timestamp=0),
        IPOption_NOP(),
    ],
)
def test_must_50_ip_options_that_mean_nothing_to_tcp_are_ignored(script: Any, option: Any) -> None:
    """Timestamp (MAY-10) and record route (MAY-11) too."""
    script.stack.sockets.tcp_listen(80)
    script.know_peer()
    (reply,) = segments(script.hear(script.from_peer(options=[option]) / syn()))
    assert str(reply[TCP].flags) == "SA"


# --- ICMP (3.9.2.2) ---


def test_must_54_an_icmp_error_reaches_the_connection_that_caused_it(script: Any) -> None:
    one, first = opening(script)
    other, _ = opening(script)
    script.hear(script.from_peer() / about(first, type=3, code=3))
    assert isinstance(one.error, ConnectionRefusedError)
    assert (other.state, other.error, other.soft_failure) == ("SYN-SENT", None, "")


@pytest.mark.parametrize("code", [0, 1, 5, 11, 12])
def test_must_47_and_56_soft_errors_are_reported_and_end_nothing(script: Any, code: int) -> None:
    """SHLD-25. MUST-56: destination unreachable 0, 1 and 5 (and RFC 1122, 3.2.2.1's 11 and 12)."""
    woken: list[bool] = []
    for socket, quoted in (opening(script), established(script)):
        state = socket.state
        socket.waker = lambda: woken.append(True)
        if state == "ESTABLISHED":
            socket.send(b"x")
            (quoted,) = segments(script.sent())
        woken.clear()
        script.hear(script.from_peer() / about(quoted, type=3, code=code))
        assert woken
        assert socket.soft_failure
        assert (socket.state, socket.error) == (state, None)


@pytest.mark.parametrize(("kind", "code"), [(11, 0), (11, 1), (12, 0)])
def test_must_56_neither_time_exceeded_nor_parameter_problem_end_a_connection(
    script: Any, kind: int, code: int
) -> None:
    socket, first = opening(script)
    script.hear(script.from_peer() / about(first, type=kind, code=code))
    assert (socket.state, socket.error) == ("SYN-SENT", None)


def test_must_55_a_source_quench_is_discarded_silently(script: Any) -> None:
    socket, _ = established(script)
    socket.send(b"x")
    (data,) = segments(script.sent())
    before = socket.save()
    assert script.hear(script.from_peer() / about(data, type=4, code=0)) == []
    assert socket.save() == before


# --- addresses (3.9.2.3) ---


@pytest.mark.parametrize("source", ["255.255.255.255", "224.0.0.1", "10.0.0.255", "0.0.0.0", "127.0.0.1", "10.0.0.1"])
def test_must_63_a_syn_from_no_possible_peer_is_ignored(script: Any, source: str) -> None:
    listener = script.stack.sockets.tcp_listen(80)
    script.know_peer()
    assert segments(script.hear(script.from_peer(src=source) / syn())) == []
    assert listener.pending == []


@pytest.mark.parametrize(
    ("mac", "destination"),
    [(BROADCAST, "255.255.255.255"), (BROADCAST, "10.0.0.255"), ("01:00:5e:00:00:01", "224.0.0.1"),
     (BROADCAST, "10.0.0.1")],
)  # fmt: skip
def test_must_57_a_syn_to_a_broadcast_or_group_is_silently_discarded(script: Any, mac: str, destination: str) -> None:
    """The last one is to our address in a frame to everybody (RFC 1122, 3.3.6)."""
    listener = script.stack.sockets.tcp_listen(80)
    script.know_peer()
    assert script.hear(Ether(src=PEER, dst=mac) / IP(src="10.0.0.2", dst=destination) / syn()) == []
    assert listener.pending == []


def test_must_41_a_passive_open_leaves_other_connections_alone(script: Any) -> None:
    script.know_peer()
    listener = script.stack.sockets.tcp_listen(80)
    (reply,) = segments(script.hear(script.from_peer() / syn()))
    acknowledgment = TCP(sport=5000, dport=80, flags="A", seq=301, ack=reply[TCP].seq + 1)
    script.hear(script.from_peer() / acknowledgment)
    socket = listener.accept()
    before = socket.save()
    with pytest.raises(OSError, match="80"):
        script.stack.sockets.tcp_listen(80)
    script.stack.sockets.tcp_listen(80, "10.0.0.1")
    script.sent()
    assert socket.state is State.ESTABLISHED
    assert socket.save() == before
