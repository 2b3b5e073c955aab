"""Source routes (RFC 9293, 3.9.2.1; RFC 791, 3.1). Scapy is the gateway 10.0.0.2, and the peer behind it, 10.9.9.9."""

from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, IPOption_LSRR

from motenet.core.errors import ConfigurationError
from motenet.doors import Capabilities
from motenet.stack.sockets.tcp import TcpSocket

GATEWAY, FARTHER, OTHER, PEER = "10.0.0.2", "10.5.0.1", "10.7.0.1", "10.9.9.9"


@pytest.fixture
def script(make_script: Any, bench: Any) -> Any:
    """One with a card that would cut segments and compute checksums, if a packet had no options."""
    script = make_script(bench, capabilities=Capabilities(checksum_tx=True, max_segmented=65_535))
    script.stack.source_routes = True
    script.know_peer()
    return script


def route_of(frame: Any) -> list[str]:
    """Where a packet goes: its first destination, and those of its source route."""
    (option,) = (one for one in frame[IP].options if isinstance(one, IPOption_LSRR))
    assert option.pointer == 4
    return [frame[IP].dst, *option.routers]


def check_checksum(frame: Any) -> None:
    """It counts the last destination (3.1)."""
    segment = frame[TCP].copy()
    found = segment.chksum
    del segment.chksum
    assert TCP(bytes(IP(src=frame[IP].src, dst=PEER) / segment)[20:]).chksum == found


def by_route(script: Any, *recorded: str, **fields: Any) -> Any:
    """A segment of the peer's that has passed these gateways (Scapy would take the last one for its destination)."""
    option = IPOption_LSRR(pointer=4 + 4 * len(recorded), routers=list(recorded))
    segment = TCP(bytes(script.from_peer(src=PEER) / TCP(**fields))[34:])
    packet = script.from_peer(src=PEER, options=[option]) / segment
    return [frame for frame in script.hear(packet) if TCP in frame]


def accepted(script: Any) -> tuple[TcpSocket, Any]:
    """A connection that the peer has opened by FARTHER and GATEWAY, and our SYN,ACK."""
    listener = script.stack.sockets.tcp_listen(80)
    (answer,) = by_route(script, FARTHER, GATEWAY, sport=5000, dport=80, flags="S", seq=300, options=[("MSS", 1460)])
    by_route(script, FARTHER, GATEWAY, sport=5000, dport=80, flags="A", seq=301, ack=answer[TCP].seq + 1)
    socket = listener.accept()
    assert socket is not None
    return socket, answer


def test_must_51_an_active_open_may_name_a_source_route(script: Any) -> None:
    """MUST-16: what its option takes is taken from the segments."""
    socket = script.stack.sockets.tcp_connect(PEER, 80, source_route=[GATEWAY, FARTHER, OTHER])
    (syn,) = script.sent()
    assert route_of(syn) == [GATEWAY, FARTHER, OTHER, PEER]
    fields = {"sport": 80, "dport": syn[TCP].sport, "seq": 300, "ack": syn[TCP].seq + 1, "options": [("MSS", 1460)]}
    (third,) = script.hear(script.from_peer(src=PEER) / TCP(flags="SA", **fields))
    socket.send(bytes(5000))
    data = script.sent()
    assert [len(bytes(one[TCP].payload)) for one in data] == [1444, 1444, 1444, 668]
    for frame in (syn, third, *data):
        assert route_of(frame) == [GATEWAY, FARTHER, OTHER, PEER]
        assert len(frame[IP]) <= 1500
        check_checksum(frame)


def test_must_52_it_goes_before_one_that_is_received(script: Any) -> None:
    socket = script.stack.sockets.tcp_connect(PEER, 80, source_route=[GATEWAY])
    (syn,) = script.sent()
    fields = {"sport": 80, "dport": syn[TCP].sport, "ack": syn[TCP].seq + 1}
    (third,) = by_route(script, OTHER, GATEWAY, flags="SA", seq=300, **fields)
    by_route(script, OTHER, GATEWAY, flags="A", seq=301, **fields)
    socket.send(b"x")
    (data,) = script.sent()
    assert [route_of(frame) for frame in (syn, third, data)] == [[GATEWAY, PEER]] * 3


def test_must_53_a_passive_open_answers_by_the_way_back(script: Any) -> None:
    socket, answer = accepted(script)
    socket.send(b"x")
    (data,) = script.sent()
    fields = {"sport": 5000, "dport": 80, "ack": answer[TCP].seq + 2}
    (challenge,) = script.hear(script.from_peer(src=PEER) / TCP(flags="S", seq=400, **fields))
    for frame in (answer, data, challenge):
        assert route_of(frame) == [GATEWAY, FARTHER, PEER]
        check_checksum(frame)


def test_shld_24_a_later_source_route_goes_before_an_earlier_one(script: Any) -> None:
    """But not one of a segment that is not due: anybody could have sent that."""
    socket, answer = accepted(script)
    fields = {"sport": 5000, "dport": 80, "flags": "A", "ack": answer[TCP].seq + 1}
    by_route(script, OTHER, seq=302, **fields)
    assert socket.first_hop == bytes((10, 0, 0, 2))
    by_route(script, OTHER, GATEWAY, seq=301, **fields)
    socket.send(b"x")
    (data,) = script.sent()
    assert route_of(data) == [GATEWAY, OTHER, PEER]


def test_by_default_such_packets_are_dropped(script: Any) -> None:
    """RFC 7126, 4.3; and one that has not passed all its gateways is never for us (RFC 1122, 3.3.5)."""
    script.stack.sockets.tcp_listen(80)
    unfinished = IPOption_LSRR(pointer=4, routers=[FARTHER])
    syn = TCP(sport=5000, dport=80, flags="S")
    assert script.hear(script.from_peer(src=PEER, options=[unfinished]) / syn) == []
    script.stack.source_routes = False
    assert by_route(script, FARTHER, sport=5000, dport=80, flags="S") == []
    assert script.drops == {"ipv4-source-route": 2}


def test_a_snapshot_knows_the_way_back(script: Any) -> None:
    socket, _ = accepted(script)
    before = script.bench.save()
    socket.source_route, script.stack.source_routes = (), False
    script.bench.load(before)
    assert script.stack.source_routes
    socket.send(b"x")
    (data,) = script.sent()
    assert route_of(data) == [GATEWAY, FARTHER, PEER]


@pytest.mark.parametrize("route", [["fd00::1"], [GATEWAY] * 10])
def test_a_route_that_no_header_holds_is_refused(script: Any, route: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="up to 9 IPv4 gateways"):
        script.stack.sockets.tcp_connect(PEER, 80, source="10.0.0.1", source_route=route)
    script.stack.sockets.tcp_connect(PEER, 80, source_route=[GATEWAY] * 9)
    assert len(route_of(script.sent()[0])) == 10
