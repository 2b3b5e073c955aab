"""A router at work (RFC 1812, 5.2; RFC 8200), with Scapy on both of its links."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_RR, IPOption_Timestamp
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import ARP, Ether

from motenet.doors import Received
from motenet.stack.address import Cidr, parse_address

SECOND = 1_000_000_000
NEAR, FAR, BROADCAST = "02:00:00:00:00:02", "02:00:00:00:01:02", "ff:ff:ff:ff:ff:ff"
US, US_FAR = "02:00:00:00:00:01", "02:00:00:00:01:01"
FOUR = {"src": "10.0.0.2", "dst": "10.0.1.2"}
SIX = {"src": "2001:db8:1::2", "dst": "2001:db8:2::2"}
DATA = bytes(range(256)) * 20


def four(**fields: Any) -> Any:
    """From 10.0.0.2 by way of us to 10.0.1.2."""
    return Ether(src=NEAR, dst=US) / IP(**{**FOUR, **fields})


def six(**fields: Any) -> Any:
    """From 2001:db8:1::2 by way of us to 2001:db8:2::2."""
    return Ether(src=NEAR, dst=US) / IPv6(**{**SIX, **fields})


def passed_on(packet: Any) -> bytes:
    """What Scapy thinks a router makes of it: one hop less, and a new header checksum."""
    again = packet.copy()
    if IP in again:
        del again[IP].chksum
        again = Ether(bytes(again))
        del again[IP].chksum
        again[IP].ttl -= 1
        return bytes(again[IP])
    again[IPv6].hlim -= 1
    return bytes(again[IPv6])


# --- one hop


@pytest.mark.parametrize("packet", [four() / UDP(dport=7) / b"data", six() / UDP(dport=7) / b"data"])
def test_rfc_1812_5_2_1_a_packet_goes_on_by_the_other_link(router: Any, packet: Any) -> None:
    ((side, frame),) = router.hear(packet)
    assert (side, frame.src, frame.dst) == (1, US_FAR, FAR)
    assert bytes(frame.payload) == passed_on(packet)
    assert router.stack.statistics["forwarded"] == 1


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(2, 255), st.integers(0, 0xFFFF), st.integers(0, 255), st.binary(max_size=40))
def test_rfc_1624_3_the_checksum_follows_every_header(router: Any, ttl: int, ident: int, tos: int, data: bytes) -> None:
    packet = four(ttl=ttl, id=ident, tos=tos, proto=99) / data
    ((_, frame),) = router.hear(packet)
    assert bytes(frame.payload) == passed_on(packet)


def test_rfc_1624_3_a_sum_that_becomes_zero(router: Any) -> None:
    """The one header in 65,535 whose checksum would turn into 0xFFFF, which no computation gives."""
    without = IP(bytes(IP(ttl=64, id=0, proto=99, **FOUR))).chksum
    packet = IP(bytes(IP(ttl=64, id=(0x100 - (without ^ 0xFFFF)) % 0xFFFF, proto=99, **FOUR)))
    assert packet.chksum == 0xFEFF
    ((_, frame),) = router.hear(Ether(src=NEAR, dst=US) / packet)
    assert frame[IP].chksum == 0


def test_rfc_1812_5_2_2_options_go_on(router: Any) -> None:
    packet = four(options=[IPOption_RR(length=11, routers=["0.0.0.0"] * 2), IPOption_Timestamp()]) / UDP(dport=7)
    ((_, frame),) = router.hear(packet)
    assert bytes(frame.payload) == passed_on(packet)


def test_rfc_8200_4_extension_headers_are_not_a_routers_business(router: Any) -> None:
    packet = six() / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrFragment(m=1, id=9) / bytes(64)
    ((_, frame),) = router.hear(packet)
    assert bytes(frame.payload) == passed_on(packet)


# --- what a router refuses, and tells


@pytest.mark.parametrize("ttl", [0, 1])
def test_rfc_1812_5_3_1_time_exceeded(router: Any, ttl: int) -> None:
    ((side, error),) = router.hear(four(ttl=ttl) / UDP(dport=7) / b"data")
    assert (side, error[IP].src, error[IP].dst) == (0, "10.0.0.1", "10.0.0.2")
    assert (error[ICMP].type, error[ICMP].code, error[ICMP].payload.dst) == (11, 0, "10.0.1.2")
    ((side, error),) = router.hear(six(hlim=ttl) / UDP(dport=7) / b"data")
    assert (side, error[IPv6].src, error[ICMPv6TimeExceeded].code) == (0, "2001:db8:1::1", 0)


def test_rfc_1812_4_3_3_1_no_route(router: Any) -> None:
    ((_, error),) = router.hear(four(dst="10.9.9.9") / UDP(dport=7))
    assert (error[ICMP].type, error[ICMP].code) == (3, 0)
    ((_, error),) = router.hear(six(dst="2001:db8:9::9") / UDP(dport=7))
    assert (error[ICMPv6DestUnreach].type, error[ICMPv6DestUnreach].code) == (1, 0)
    assert router.stack.drop_reasons["forward-no-route"] == 2


def test_rfc_1812_5_2_7_1_a_next_hop_that_does_not_answer(router: Any) -> None:
    """Three questions a second apart, then the sender hears of it."""
    frames = router.hear(four(dst="10.0.1.9") / UDP(dport=7)) + router.pass_time(5 * SECOND)
    assert [side for side, frame in frames if ARP in frame and frame[ARP].pdst == "10.0.1.9"] == [1, 1, 1]
    (error,) = [frame for side, frame in frames if ICMP in frame]
    assert (error[IP].dst, error[ICMP].type, error[ICMP].code) == ("10.0.0.2", 3, 1)


def test_rfc_4861_7_2_2_a_next_hop_that_does_not_answer(router: Any) -> None:
    frames = router.hear(six(dst="2001:db8:2::9") / UDP(dport=7)) + router.pass_time(5 * SECOND)
    asked = [side for side, frame in frames if ICMPv6ND_NS in frame and frame[ICMPv6ND_NS].tgt == "2001:db8:2::9"]
    assert asked == [1, 1, 1]
    (error,) = [frame for side, frame in frames if ICMPv6DestUnreach in frame]
    assert (error[IPv6].dst, error[ICMPv6DestUnreach].code) == ("2001:db8:1::2", 3)


def test_what_waits_for_a_next_hop_goes_on_when_it_answers(router: Any) -> None:
    packet = four(dst="10.0.1.9", ttl=9) / UDP(dport=7) / b"waits"
    router.hear(packet)
    answer = ARP(op=2, hwsrc="02:00:00:00:01:09", psrc="10.0.1.9", hwdst=US_FAR, pdst="10.0.1.1")
    ((side, frame),) = router.hear(Ether(src="02:00:00:00:01:09", dst=US_FAR) / answer, side=1)
    assert (side, frame.dst, bytes(frame.payload)) == (1, "02:00:00:00:01:09", passed_on(packet))


@pytest.mark.parametrize(
    "packet",
    [
        four(dst="10.0.1.255") / UDP(dport=7),  # RFC 1812, 5.3.5.2: directed broadcasts
        four(dst="255.255.255.255") / UDP(dport=7),
        four(dst="224.1.1.1") / UDP(dport=7),
        four(dst="169.254.1.1") / UDP(dport=7),  # RFC 3927, 7
        four(src="169.254.1.1") / UDP(dport=7),
        four(dst="127.0.0.1") / UDP(dport=7),  # RFC 1812, 5.3.7
        four(src="127.0.0.1") / UDP(dport=7),
        four(src="0.0.0.0") / UDP(dport=7),
        four(src="10.0.0.255") / UDP(dport=7),
        four(src="240.0.0.1") / UDP(dport=7),
        four(src="10.0.1.1") / UDP(dport=7),  # our own other address
        six(src="2001:db8:2::1") / UDP(dport=7),
        six(dst="fe80::7") / UDP(dport=7),  # RFC 4291, 2.5.6
        six(src="fe80::7") / UDP(dport=7),
        six(src="::") / UDP(dport=7),
        six(dst="::1") / UDP(dport=7),
        six(dst="::") / UDP(dport=7),  # RFC 4291, 2.5.2: never a destination
        six(dst="::ffff:10.0.1.2") / UDP(dport=7),  # 2.5.5.2
        six(dst="ff0e::1:2") / UDP(dport=7),
        six(src="ff02::1") / UDP(dport=7),
    ],
)
def test_some_addresses_never_leave_their_link(router: Any, packet: Any) -> None:
    router.stack.add_route("::/0", "2001:db8:2::2")
    assert [frame.summary() for side, frame in router.hear(packet) if side == 1] == []
    assert router.stack.statistics["drops"] == 1


def test_what_says_to_come_from_another_links_broadcast_is_not_answered(router: Any) -> None:
    """Else an echo from one link would be multiplied on another (RFC 2644; RFC 1812, 5.3.7)."""
    for packet in (four(src="10.0.1.255", dst="10.0.0.1") / ICMP(), four(src="10.0.1.255", dst="10.9.9.9") / UDP()):
        assert router.hear(packet) == []
    assert router.stack.drop_reasons == {"source-address": 2}


def test_rfc_1812_5_3_4_what_came_by_a_link_layer_broadcast_stays(router: Any) -> None:
    for packet in (four() / UDP(dport=7), six() / UDP(dport=7)):
        packet.dst = BROADCAST
        assert router.hear(packet) == []
    assert router.stack.drop_reasons == {"link-broadcast": 2}


def test_rfc_1812_4_3_2_7_no_errors_about_errors(router: Any) -> None:
    lost = [
        four(ttl=1) / ICMP(type=3, code=1) / IP(src="10.0.1.2", dst="10.0.0.2") / UDP(),
        four(ttl=1, frag=100) / bytes(64),
        six(hlim=1) / ICMPv6DestUnreach() / IPv6(),
        six(hlim=1) / IPv6ExtHdrDestOpt() / ICMPv6DestUnreach() / IPv6(),
    ]
    for packet in lost:
        assert router.hear(packet) == []
    assert router.stack.statistics["icmp_errors"] == 0


def test_what_is_for_one_of_our_addresses_is_taken_from_any_link(router: Any) -> None:
    """The weak end system model (RFC 1122, 3.3.4.2)."""
    ((side, frame),) = router.hear(four(dst="10.0.1.1") / ICMP())
    assert (side, frame[IP].src) == (0, "10.0.1.1")
    ((side, frame),) = router.hear(six(dst="2001:db8:2::1") / ICMPv6EchoRequest())
    assert (side, frame[IPv6].src) == (0, "2001:db8:2::1")


def test_a_host_with_two_cards_forwards_nothing(router: Any) -> None:
    router.stack.forwarding = False
    router.sent()  # it leaves the routers' groups
    assert router.hear(four() / UDP(dport=7)) == router.hear(six() / UDP(dport=7)) == []
    assert router.stack.drop_reasons == {"other-host": 2}


# --- links of different size


def test_rfc_1191_4_a_packet_that_may_not_be_cut_is_too_big(make_router: Any) -> None:
    router = make_router(mtu=(1500, 1400))
    router.meet()
    ((side, error),) = router.hear(four(flags="DF") / UDP(dport=7) / bytes(1373))
    assert (side, error[ICMP].type, error[ICMP].code, error[ICMP].nexthopmtu) == (0, 3, 4, 1400)
    ((side, frame),) = router.hear(four(flags="DF") / UDP(dport=7) / bytes(1372))
    assert (side, frame[IP].len) == (1, 1400)


def test_rfc_4443_3_2_a_packet_is_too_big(make_router: Any) -> None:
    router = make_router(mtu=(1500, 1400))
    router.meet()
    ((side, error),) = router.hear(six() / UDP(dport=7) / bytes(1353))
    too_big = error[ICMPv6PacketTooBig]
    assert (side, too_big.mtu, too_big.code, error[IPv6].plen) == (0, 1400, 0, 1240)
    ((side, _),) = router.hear(six() / UDP(dport=7) / bytes(1352))
    assert side == 1


def test_rfc_1812_5_2_6_a_router_cuts_up_and_what_comes_out_is_the_same(make_router: Any) -> None:
    router = make_router(mtu=(1500, 576))
    router.meet()
    packet = four(id=77) / UDP(sport=9, dport=7) / DATA[:1400]
    pieces = [frame for side, frame in router.hear(packet) if side == 1]
    assert all(frame[IP].len <= 576 and frame[IP].id == 77 for frame in pieces)
    assert [str(frame[IP].flags) for frame in pieces] == ["MF", "MF", ""]
    whole = b"".join(bytes(frame[IP].payload) for frame in pieces)
    assert whole == bytes(packet[IP].payload)
    for frame in pieces:
        given = frame[IP].chksum
        del frame[IP].chksum
        assert IP(bytes(frame[IP])).chksum == given


def test_what_our_own_sockets_know_of_a_path_does_not_bind_others(router: Any) -> None:
    """As net.ipv4.ip_forward_use_pmtu = 0: an error forged for us would stop others."""
    router.stack.node.routing.too_big(parse_address("10.0.1.2"), 600, 1500, router.bench.now)
    ((side, _),) = router.hear(four(flags="DF") / UDP(dport=7) / bytes(1400))
    assert side == 1


# --- what a card has done before


def test_segments_that_a_driver_has_joined_go_on_as_they_came(router: Any) -> None:
    """GRO is for those who take the bytes: between hosts each segment is a packet of its own."""
    tcp = {"sport": 9, "dport": 7, "ack": 5}
    first = four(id=5, flags="DF") / TCP(seq=100, flags="PA", **tcp) / DATA[:1000]
    received = Received(memoryview(bytes(first)), True, [memoryview(DATA[1000:2000]), memoryview(DATA[2000:2100])])
    expected = [
        four(id=5, flags="DF") / TCP(seq=100, flags="A", **tcp) / DATA[:1000],
        four(id=6, flags="DF") / TCP(seq=1100, flags="A", **tcp) / DATA[1000:2000],
        four(id=7, flags="DF") / TCP(seq=2100, flags="PA", **tcp) / DATA[2000:2100],
    ]
    frames = router.hear(received)
    assert [bytes(frame.payload) for _, frame in frames] == list(map(passed_on, expected))


@pytest.mark.parametrize("header", [four, six])
def test_segments_that_a_card_has_joined_go_on_cut_up_again(router: Any, header: Any) -> None:
    """virtio 1.2, 5.1.6.4: gso_size; else what does not fit the next link would be lost."""
    tcp = {"sport": 9, "dport": 7, "ack": 5}
    ident = {"id": 5, "flags": "DF"} if header is four else {}
    whole = header(**ident) / TCP(seq=2**32 - 1000, flags="PAC", **tcp) / DATA[:4000]
    frames = router.hear(Received(memoryview(bytes(whole)), True, segment_size=1428))
    expected = []
    for number, at in enumerate(range(0, 4000, 1428)):
        ident = {"id": 5 + number, "flags": "DF"} if header is four else {}
        flags = ("AC", "A", "PA")[number]
        segment = TCP(seq=(2**32 - 1000 + at) % 2**32, flags=flags, **tcp) / DATA[at : min(at + 1428, 4000)]
        expected.append(passed_on(header(**ident) / segment))
    assert [bytes(frame.payload) for _, frame in frames] == expected


@pytest.mark.parametrize(
    "packet",
    [
        four() / UDP(sport=9, dport=7) / DATA[:100],
        four(frag=7) / DATA[:100],
        four(proto=6) / b"short",
        six(nh=6) / b"x",
    ],
)
def test_what_a_card_says_of_segments_and_is_none_goes_on_as_it_is(router: Any, packet: Any) -> None:
    ((_, frame),) = router.hear(Received(memoryview(bytes(packet)), segment_size=10))
    assert bytes(frame.payload) == passed_on(packet)


@pytest.mark.parametrize("protocol", [TCP(sport=9, dport=7, flags="A"), UDP(sport=9, dport=7)])
@pytest.mark.parametrize("header", [four, six])
def test_a_checksum_that_nobody_has_computed_yet_is(router: Any, header: Any, protocol: Any) -> None:
    """A virtio card passes frames of its own machine with the pseudo-header's sum alone (virtio 1.2, 5.1.6.4)."""
    good = header() / protocol / DATA[:999]
    frame = bytearray(bytes(good))
    at = 14 + (20 if header is four else 40) + (16 if isinstance(protocol, TCP) else 6)
    frame[at : at + 2] = b"\x12\x34"
    ((_, sent),) = router.hear(Received(memoryview(bytes(frame)), checksum_ok=True))
    assert bytes(sent.payload) == passed_on(good)


def test_rfc_768_a_datagram_without_checksum_stays_without(router: Any) -> None:
    packet = four() / UDP(sport=9, dport=7, chksum=0) / b"data"
    ((_, sent),) = router.hear(Received(memoryview(bytes(packet)), checksum_ok=True))
    assert bytes(sent.payload) == passed_on(packet)


# --- routes


def test_rfc_1812_5_2_4_3_the_longest_prefix_of_all_links(router: Any) -> None:
    stack = router.stack
    stack.add_route("10.5.0.0/16", "10.0.0.2")
    stack.add_route("10.5.5.0/24", "10.0.1.2")
    stack.add_route("2001:db8:5::/48", "2001:db8:1::2")
    stack.add_route("2001:db8:5:5::/64", "2001:db8:2::2")
    targets = ("10.5.1.1", "10.5.5.1")
    assert [router.hear(four(src="10.0.9.9", dst=one) / UDP())[0][0] for one in targets] == [0, 1]
    targets = ("2001:db8:5::1", "2001:db8:5:5::1")
    assert [router.hear(six(src="2001:db8:8::8", dst=one) / UDP())[0][0] for one in targets] == [0, 1]
    stack.remove_route("10.5.5.0/24")
    assert router.hear(four(src="10.0.9.9", dst="10.5.5.1") / UDP())[0][0] == 0


def test_a_route_ends_when_its_time_is_over(router: Any) -> None:
    end = router.bench.now + 30 * SECOND
    router.stack.node.routing.routes.add(Cidr.parse("10.5.0.0/16"), parse_address("10.0.1.2"), expires=end)
    assert router.hear(four(dst="10.5.1.1") / UDP())[0][0] == 1
    router.pass_time(30 * SECOND)
    router.meet()
    ((side, error),) = router.hear(four(dst="10.5.1.1") / UDP())
    assert (side, error[ICMP].type, error[ICMP].code) == (0, 3, 0)
    assert [row for row in router.stack.list_routes() if row["network"].startswith("10.5")] == []
