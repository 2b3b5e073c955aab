"""RFC 9293's numbered requirements (its appendix B) where IPv6 makes them different: addresses, ICMPv6, sizes.

Scapy is the peer, fd00::2; the stack has fd00::1.
"""

from typing import Any

import pytest
from scapy.layers.inet import TCP
from scapy.layers.inet import TCPerror as QuotedTCP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6ND_NS,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
)
from scapy.layers.inet6 import IPerror6 as QuotedIP
from scapy.layers.l2 import Ether

from motenet.doors import Capabilities
from motenet.stack.errors import AddressNotAvailable, NetworkUnreachable
from motenet.stack.sockets.tcp import TcpSocket

US, PEER = "02:00:00:00:00:01", "02:00:00:00:00:02"


@pytest.fixture(params=[1500])
def script(request: pytest.FixtureRequest, make_script: Any, bench: Any) -> Any:
    """A stack that knows its peer; the parameter is the card's MTU."""
    script = make_script(bench, capabilities=Capabilities(mtu=request.param))
    script.stack.add_address("fd00::1/64")
    script.hear(from_peer() / ICMPv6ND_NS(tgt="fd00::1") / ICMPv6NDOptSrcLLAddr(lladdr=PEER))
    return script


def from_peer(mac: str = US, **fields: Any) -> Any:
    return Ether(src=PEER, dst=mac) / IPv6(**{"src": "fd00::2", "dst": "fd00::1", "hlim": 255, **fields})


def segments(frames: list[Any]) -> list[Any]:
    return [frame for frame in frames if TCP in frame]


def opening(script: Any) -> tuple[TcpSocket, Any]:
    """A socket that connects, and its SYN."""
    socket = script.stack.sockets.tcp_connect("fd00::2", 80)
    return socket, segments(script.sent())[0]


def about(sent: Any) -> Any:
    """What an ICMPv6 error of the peer's quotes."""
    tcp = sent[TCP]
    header = QuotedIP(src="fd00::1", dst="fd00::2", nh=6, plen=len(bytes(tcp)))
    return header / QuotedTCP(sport=tcp.sport, dport=tcp.dport, seq=tcp.seq)


@pytest.mark.parametrize("script", [1280, 1500, 9000], indirect=True)
def test_must_67_the_mss_is_what_ipv6_can_receive_less_20(script: Any) -> None:
    """SHLD-5."""
    _, first = opening(script)
    assert dict(first[TCP].options)["MSS"] == script.driver.capabilities.mtu - 40 - 20


def test_must_48_and_49_traffic_class_and_hop_limit_are_the_applications(script: Any) -> None:
    script.stack.sockets.tcp_listen(80)
    socket = script.stack.sockets.tcp_connect("fd00::2", 80)
    socket.traffic_class, socket.hop_limit = 0xB8, 7
    (first,) = segments(script.sent())
    assert (first[IPv6].tc, first[IPv6].hlim) == (0xB8, 7)


@pytest.mark.parametrize(
    "error",
    [
        ICMPv6DestUnreach(code=0),
        ICMPv6DestUnreach(code=3),
        ICMPv6TimeExceeded(code=0),
        ICMPv6TimeExceeded(code=1),
        ICMPv6ParamProblem(code=0),
        ICMPv6ParamProblem(code=1),
        ICMPv6ParamProblem(code=2),
    ],
)
def test_must_56_soft_icmpv6_errors_are_reported_and_end_nothing(script: Any, error: Any) -> None:
    """SHLD-25 and MUST-47."""
    socket, first = opening(script)
    script.hear(from_peer() / error / about(first))
    assert socket.soft_failure
    assert (socket.state, socket.error) == ("SYN-SENT", None)


def test_must_54_an_icmpv6_error_reaches_the_connection_that_caused_it(script: Any) -> None:
    """SHLD-26: that there is nobody at the port ends the attempt (RFC 5461, 2)."""
    one, first = opening(script)
    other, _ = opening(script)
    script.hear(from_peer() / ICMPv6DestUnreach(code=4) / about(first))
    assert isinstance(one.error, ConnectionRefusedError)
    assert (other.state, other.error) == ("SYN-SENT", None)


@pytest.mark.parametrize(("mac", "destination"), [("33:33:00:00:00:01", "ff02::1"), (US, "ff02::1")])
def test_must_57_a_syn_to_a_group_is_silently_discarded(script: Any, mac: str, destination: str) -> None:
    listener = script.stack.sockets.tcp_listen(80)
    syn = TCP(sport=5000, dport=80, flags="S", seq=300)
    assert segments(script.hear(from_peer(mac, dst=destination) / syn)) == []
    assert listener.pending == []


@pytest.mark.parametrize("source", ["::", "::1", "ff02::1", "fd00::1"])
def test_must_63_a_syn_from_no_possible_peer_is_ignored(script: Any, source: str) -> None:
    listener = script.stack.sockets.tcp_listen(80)
    syn = TCP(sport=5000, dport=80, flags="S", seq=300)
    assert segments(script.hear(from_peer(src=source) / syn)) == []
    assert listener.pending == []


@pytest.mark.parametrize(("address", "error"), [("ff02::1", AddressNotAvailable), ("::", NetworkUnreachable)])
def test_must_46_no_connection_to_a_group_or_to_nobody(script: Any, address: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        script.stack.sockets.tcp_connect(address, 80)
    assert segments(script.sent()) == []
