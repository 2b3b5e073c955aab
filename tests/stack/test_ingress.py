"""What an interface accepts, and what it refuses (RFC 1122, 2 and 3; IEEE 802.1Q)."""

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from motenet.doors import Received

US, PEER, OTHER, BROADCAST = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03", "ff:ff:ff:ff:ff:ff"


def datagram(dst: str = "10.0.0.1", src: str = "10.0.0.2", to: str = US, **fields: Any) -> Any:
    return Ether(src=PEER, dst=to) / IP(src=src, dst=dst, **fields) / UDP(sport=9, dport=7) / b"data"


def tagged(identifier: int) -> Any:
    inner = IP(src="10.0.0.2", dst="10.0.0.1") / UDP(sport=9, dport=7) / b"data"
    return Ether(src=PEER, dst=US) / Dot1Q(vlan=identifier, prio=5) / inner


def snap(length: int = 8 + 32, header: bytes = b"\xaa\xaa\x03\0\0\0\x08\0") -> Any:
    """IEEE 802.3, with LLC and SNAP."""
    inner = IP(src="10.0.0.2", dst="10.0.0.1") / UDP(sport=9, dport=7) / b"data"
    return Raw(bytes.fromhex((US + PEER).replace(":", "")) + length.to_bytes(2, "big") + header + bytes(inner))


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (datagram(), "our address"),
        (datagram(dst="10.0.0.255", to=BROADCAST), "RFC 1122, 3.2.1.3 d: directed broadcast"),
        (datagram(dst="255.255.255.255", to=BROADCAST), "RFC 1122, 3.2.1.3 c: limited broadcast"),
        (datagram(dst="224.0.0.1", to="01:00:5e:00:00:01"), "RFC 1112, 4: all hosts"),
        (datagram(src="0.0.0.0"), "RFC 1122, 3.2.1.3 a: a host that has no address yet"),
        (datagram(src="192.168.1.1"), "a host behind a router"),
        (datagram(options=b"\1\1\1\0"), "RFC 1122, 3.2.1.8: options are passed over"),
        (bytes(datagram()) + bytes(20), "Ethernet's padding is no data"),
        (tagged(0), "802.1Q, 9.6: identifier 0 tells a priority only"),
        (snap(), "RFC 1122, 2.3.3: RFC 1042's frames should be received"),
        (bytes(snap()) + bytes(8), "padding"),
    ],
)
def test_accepted(script: Any, frame: Any, why: str) -> None:
    socket = script.stack.udp_socket(7)
    script.hear(frame)
    message = socket.receive()
    assert message is not None, why
    assert message.data == b"data"
    assert script.drops == {}


def corrupt(frame: Any, offset: int) -> bytes:
    data = bytearray(bytes(frame))
    data[offset] ^= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (datagram(to=OTHER), "other-station"),
        (datagram(to="01:00:5e:00:00:fb"), "other-station"),
        (datagram(dst="10.0.0.3"), "other-host"),
        (datagram(dst="224.0.0.251", to="01:00:5e:00:00:01"), "other-host"),
        (datagram(src="255.255.255.255"), "source-address"),
        (datagram(src="224.0.0.1"), "source-address"),
        (datagram(src="127.0.0.1"), "source-address"),
        (datagram(src="0.0.0.9"), "source-address"),
        (datagram(src="10.0.0.255"), "source-address"),
        (datagram(src="10.0.0.1"), "source-address"),
        (datagram(to=BROADCAST), "link-broadcast"),
        (tagged(1), "vlan"),
        (Ether(src=PEER, dst=US, type=0x86DD) / b"\x60", "ipv6-short"),
        (Ether(src=PEER, dst=US, type=0x88CC) / b"\x60", "ethertype"),
        (b"\x02", "ethernet-short"),
        (snap(41), "llc-short"),
        (snap(7), "llc"),
        (snap(header=b"\x42\x42\x03\0\0\0\x08\0"), "llc"),  # a bridge's spanning tree
        (snap(header=b"\xaa\xaa\x03\0\0\0\x05\xdc"), "llc"),  # a length again
        (snap(1501), "ethertype"),  # IEEE 802.3, 3.2.6: neither
        (corrupt(datagram(), 14 + 9), "ipv4-checksum"),
        (corrupt(datagram(), 14 + 28), "udp-checksum"),
        (
            Ether(src=PEER, dst="01:00:5e:00:00:01") / IP(src="10.0.0.2", dst="224.0.0.1", proto=6) / bytes(20),
            "tcp-group",
        ),
        (Ether(src=PEER, dst=US) / IP(src="0.0.0.9", dst="10.0.0.1") / TCP(dport=7, flags="S"), "source-address"),
        (Ether(src=PEER, dst=US) / IP(src="10.0.0.2", dst="10.0.0.1") / ICMP(type=9), "icmp-type"),
    ],
)
def test_refused_silently_with_a_reason(script: Any, frame: Any, reason: str) -> None:
    socket = script.stack.udp_socket(7)
    assert script.hear(frame) == []
    assert socket.receive() is None
    assert script.drops == {reason: 1}


def test_a_card_that_has_verified_is_believed(script: Any) -> None:
    socket = script.stack.udp_socket(7)
    script.driver.received.append(Received(memoryview(corrupt(datagram(), 14 + 28)), checksum_ok=True))
    script.sent()
    assert socket.receive() is not None


def test_a_tag_that_the_card_has_stripped_counts_as_one_in_the_frame(script: Any) -> None:
    socket = script.stack.udp_socket(7)
    for tag in (5 << 13, 5 << 13 | 2):
        script.driver.received.append(Received(memoryview(bytes(datagram())), vlan=tag))
    script.sent()
    assert socket.receive() is not None
    assert script.drops == {"vlan": 1}


def test_several_addresses_of_one_family(script: Any) -> None:
    script.stack.add_address("192.168.1.1/24")
    socket, special = script.stack.udp_socket(7), script.stack.udp_socket(7, "192.168.1.1")
    script.hear(datagram(), datagram(dst="192.168.1.1"), datagram(dst="192.168.1.255", to=BROADCAST))
    assert special.receive().destination == bytes((192, 168, 1, 1))
    assert special.receive() is None
    assert [socket.receive().destination[0] for _ in range(2)] == [10, 192]


def test_a_group_is_heard_while_it_is_joined(script: Any) -> None:
    frame = datagram(dst="239.1.2.3", to="01:00:5e:01:02:03")
    socket = script.stack.udp_socket(7)
    script.stack.join_group("239.1.2.3")
    script.stack.join_group("239.1.2.3")
    script.stack.leave_group("239.1.2.3")
    script.hear(frame)
    assert socket.receive().data == b"data"
    assert script.driver.groups == [bytes.fromhex("01005e000001"), bytes.fromhex("01005e010203")]
    script.stack.leave_group("239.1.2.3")
    script.hear(frame)
    assert socket.receive() is None
    assert script.driver.groups == [bytes.fromhex("01005e000001")]


def test_frames_beyond_the_budget_wait_for_the_next_poll(script: Any) -> None:
    socket = script.stack.udp_socket(7)
    script.hear(*[datagram()] * 300)
    assert script.stack.statistics["rx_frames"] == 256
    assert script.stack.poll_at(script.bench.now) == script.bench.now
    script.sent()
    assert script.stack.statistics["rx_frames"] == 300
    assert script.stack.poll_at(script.bench.now) is None
    assert socket.receive().data == b"data"


def test_an_unknown_protocol_is_answered_by_rfc_1122_3_2_2_1(script: Any) -> None:
    script.know_peer()
    (reply,) = script.hear(Ether(src=PEER, dst=US) / IP(src="10.0.0.2", dst="10.0.0.1", proto=99) / Raw(b"12345678"))
    assert (reply[ICMP].type, reply[ICMP].code) == (3, 2)
    assert script.drops == {"protocol": 1}
