"""Address resolution: RFC 826, and what RFC 1122, 2.3.2 asks of an ARP cache."""

from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP, Ether

from motenet.stack import searches

SECOND = 1_000_000_000
US, PEER, OTHER, BROADCAST = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03", "ff:ff:ff:ff:ff:ff"
NOBODY = "00:00:00:00:00:00"


def arp(op: int = 1, mac: str = PEER, sender: str = "10.0.0.2", target: str = "10.0.0.1", to: str = BROADCAST) -> Any:
    return Ether(src=mac, dst=to) / ARP(op=op, hwsrc=mac, psrc=sender, hwdst=NOBODY, pdst=target)


def addresses(script: Any) -> dict[str, str]:
    return {row["address"]: row["mac"] for row in script.stack.list_neighbors() if row["state"] != "incomplete"}


def test_rfc_826_a_request_for_our_address_is_answered_and_its_sender_learned(script: Any) -> None:
    (reply,) = script.hear(arp())
    assert (reply.dst, reply.src, reply.type) == (PEER, US, 0x0806)
    assert (reply.op, reply.hwsrc, reply.psrc, reply.hwdst, reply.pdst) == (2, US, "10.0.0.1", PEER, "10.0.0.2")
    assert addresses(script) == {"10.0.0.2": PEER}


def test_rfc_3927_2_5_whoever_has_an_address_of_the_links_scope_answers_everybody(script: Any) -> None:
    script.stack.add_address("169.254.1.1/16")
    (reply,) = script.hear(arp(sender="169.254.1.2", target="169.254.1.1"))
    assert (reply.dst, reply.op, reply.hwdst) == (BROADCAST, 2, PEER)


def test_rfc_826_a_request_for_somebody_else_is_neither_answered_nor_learned(script: Any) -> None:
    assert script.hear(arp(target="10.0.0.7")) == []
    assert addresses(script) == {}


def test_rfc_826_merge_flag_a_known_sender_is_updated_whatever_the_target(script: Any) -> None:
    script.hear(arp())
    script.hear(arp(mac=OTHER, target="10.0.0.2"))  # a gratuitous request (RFC 5944, 4.6)
    assert addresses(script) == {"10.0.0.2": OTHER}


def test_rfc_5227_a_probe_is_answered_but_teaches_nothing(script: Any) -> None:
    (reply,) = script.hear(arp(sender="0.0.0.0"))
    assert (reply.op, reply.psrc, reply.pdst) == (2, "10.0.0.1", "0.0.0.0")
    assert addresses(script) == {}


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (arp(mac="01:00:5e:00:00:01"), "arp-group"),
        (arp(mac=US, sender="10.0.0.2"), "arp-looped"),
        (arp(mac=US, sender="10.0.0.1"), "arp-looped"),  # RFC 5227, 2.4: no conflict
        (arp(sender="192.168.0.9"), "arp-not-on-link"),
        (arp(sender="10.0.0.255"), "arp-not-on-link"),
        (Ether(src=PEER, dst=US) / ARP(op=3, psrc="10.0.0.2", pdst="10.0.0.1"), "arp-operation"),
    ],
)
def test_what_no_neighbor_would_say_is_dropped_with_a_reason(script: Any, frame: Any, reason: str) -> None:
    assert script.hear(frame) == []
    assert script.drops == {reason: 1}
    assert addresses(script) == {}


def test_rfc_1122_2_3_2_2_packets_are_kept_and_sent_in_order_once_the_neighbor_is_known(script: Any) -> None:
    socket = script.stack.udp_socket(1000)
    for data in (b"first", b"second"):
        socket.send_to(data, "10.0.0.2", 53)
    (request,) = script.sent()
    assert (request.dst, request.op, request.psrc, request.pdst) == (BROADCAST, 1, "10.0.0.1", "10.0.0.2")
    first, second = script.hear(arp(op=2, to=US))
    assert (first.dst, bytes(first[UDP].payload), bytes(second[UDP].payload)) == (PEER, b"first", b"second")
    assert (first[IP].src, first[IP].dst) == ("10.0.0.1", "10.0.0.2")


def test_rfc_1122_2_3_2_1_one_request_a_second_and_three_in_all(script: Any) -> None:
    socket = script.stack.udp_socket(1000)
    times = []
    for tenth in range(60):
        if tenth < 25:
            socket.send_to(b"again", "10.0.0.2", 53)
        if any(frame.type == 0x0806 for frame in script.pass_time(SECOND // 10)):
            times.append(tenth)
    assert times == [0, 9, 19]  # the requests at 0, 1 s and 2 s fall into these tenths
    assert script.drops == {"neighbor-unreachable": 25}
    assert socket.failures[0] == ("host", bytes((10, 0, 0, 2)), 53)


def test_silence_is_kept_for_each_neighbor_alone(script: Any) -> None:
    socket = script.stack.udp_socket(1000)
    socket.send_to(b"x", "10.0.0.2", 53)
    assert [frame.pdst for frame in script.sent()] == ["10.0.0.2"]
    socket.send_to(b"x", "10.0.0.3", 53)
    assert [frame.pdst for frame in script.sent()] == ["10.0.0.3"]


def test_packets_kept_for_a_neighbor_are_bounded_and_the_latest_stay(script: Any) -> None:
    socket = script.stack.udp_socket(1000)
    for number in range(40):
        socket.send_to(bytes((number,)), "10.0.0.2", 53)
    script.sent()
    sent = script.hear(arp(op=2, to=US))
    assert [bytes(frame[UDP].payload)[0] for frame in sent] == list(range(8, 40))
    assert script.drops == {"neighbor-queue": 8}


def test_a_connection_waits_for_its_neighbor_without_losing_its_syn(script: Any) -> None:
    socket = script.stack.sockets.tcp_connect("10.0.0.2", 80)
    (request,) = script.sent()
    assert request.type == 0x0806
    (syn,) = script.hear(arp(op=2, to=US))
    assert (syn.dst, syn.dport, str(syn.sprintf("%TCP.flags%"))) == (PEER, 80, "S")
    assert socket.statistics["retransmissions"] == 0


def test_a_connection_to_nobody_backs_off_and_ends_by_its_own_timeout(script: Any) -> None:
    """What a search that failed had kept waiting counts as sent and lost, so that TCP's timers rule."""
    socket = script.stack.sockets.tcp_connect("10.0.0.2", 80)
    socket.user_timeout = 60 * SECOND
    frames = script.pass_time(100 * SECOND)
    assert {frame.type for frame in frames} == {0x0806}
    assert len(frames) < 30
    assert isinstance(socket.error, OSError)
    assert script.drops["neighbor-unreachable"] >= 3


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """How many searches there are at a time."""
    monkeypatch.setattr(searches, "MAXIMUM_UNRESOLVED", 20)
    return 20


def test_more_searches_than_there_is_room_for_stop_nobody_else(script: Any, few: int) -> None:
    script.know_peer()
    script.stack.add_address("10.8.0.1/16")
    for number in range(few + 4):
        script.stack.sockets.tcp_connect(f"10.8.1.{number}", 80)
    script.stack.sockets.tcp_connect("10.0.0.2", 80)
    frames = script.sent()
    assert [frame.dst for frame in frames if frame.type == 0x0800] == [PEER]
    assert len(frames) == 1 + few
    assert script.drops == {"neighbor-searches": 4}  # their SYNs count as lost


def test_a_live_host_is_not_searched_behind_dead_ones(script: Any, few: int) -> None:
    """A search that has asked once gives way to a new one; its late answer is still taken."""
    script.stack.add_address("10.8.0.1/16")
    for number in range(few):
        script.stack.sockets.tcp_connect(f"10.8.1.{number}", 80)
    script.sent()
    script.stack.sockets.tcp_connect("10.0.0.2", 80)
    script.bench.now += 1000
    assert [frame.pdst for frame in script.sent()] == ["10.0.0.2"]
    (syn,) = script.hear(arp(op=2, to=US))
    assert syn.dst == PEER
    script.hear(arp(op=2, to=US, sender="10.8.1.0", target="10.8.0.1"))  # the first, which has given way
    assert addresses(script) == {"10.0.0.2": PEER, "10.8.1.0": PEER}


def test_rfc_4861_7_3_3_an_entry_in_use_is_verified_by_unicast(script: Any) -> None:
    """RFC 1122, 2.3.2.1 (2) asks it for ARP, about once a minute: REACHABLE for at most 45 s, then 5 s in DELAY."""
    socket = script.stack.udp_socket(1000)
    socket.send_to(b"x", "10.0.0.2", 53)
    script.sent()
    script.hear(arp(op=2, to=US))
    script.bench.now = 46 * SECOND
    socket.send_to(b"x", "10.0.0.2", 53)
    assert [frame.dst for frame in script.sent()] == [PEER]
    (request,) = script.pass_time(5 * SECOND)
    assert (request.dst, request.op, request.psrc, request.pdst) == (PEER, 1, "10.0.0.1", "10.0.0.2")
    socket.send_to(b"x", "10.0.0.2", 53)
    assert [frame.type for frame in script.sent()] == [0x0800]  # the old address serves on
    script.hear(arp(op=2, to=US))
    assert script.pass_time(60 * SECOND) == []


def test_rfc_4861_7_3_3_what_leaves_three_probes_unanswered_is_searched_anew(script: Any) -> None:
    script.hear(arp())
    socket = script.stack.udp_socket(1000)
    socket.send_to(b"x", "10.0.0.2", 53)
    script.sent()
    assert [frame.dst for frame in script.pass_time(20 * SECOND)] == [PEER] * 3
    assert addresses(script) == {}
    socket.send_to(b"x", "10.0.0.2", 53)
    assert [frame.dst for frame in script.sent()] == [BROADCAST]


def test_rfc_1122_3_3_1_4_a_neighbor_that_tcp_hears_nothing_from_is_asked_for_again(script: Any) -> None:
    """RFC 9293, MUST-20 b: at R1 IP is told; first unicast requests, then a search by broadcast."""
    script.hear(arp())
    socket = script.stack.sockets.tcp_connect("10.0.0.2", 80)
    frames = script.pass_time(40 * SECOND)
    requests = [frame.dst for frame in frames if frame.type == 0x0806]
    assert requests[:4] == [PEER, PEER, PEER, BROADCAST]
    assert socket.error is None
    script.hear(arp(op=2, mac=OTHER, to=US))  # the host has got another card
    assert next(frame.dst for frame in script.pass_time(60 * SECOND) if frame.type == 0x0800) == OTHER


def test_rfc_4861_7_3_3_what_nothing_is_sent_to_is_not_probed(script: Any) -> None:
    script.hear(arp())
    assert script.pass_time(1000 * SECOND) == []
    assert addresses(script) == {"10.0.0.2": PEER}


def test_rfc_5227_announcements_go_out_on_request(script: Any) -> None:
    script.stack.poll(0)
    script.stack.announce()
    (frame,) = script.pass_time(0)
    assert (frame.dst, frame.op, frame.psrc, frame.pdst) == (BROADCAST, 1, "10.0.0.1", "10.0.0.1")


def test_rfc_5227_2_4_c_an_address_given_by_hand_is_defended(script: Any) -> None:
    (frame,) = script.hear(arp(sender="10.0.0.1"))
    assert (frame.dst, frame.op, frame.psrc, frame.pdst) == (BROADCAST, 1, "10.0.0.1", "10.0.0.1")
    assert script.hear(arp(sender="10.0.0.1")) == []
    assert (script.drops, script.stack.list_addresses()[0]["address"]) == ({"address-conflict": 2}, "10.0.0.1/24")


def test_rfc_5227_2_1_1_probes_and_announcements_go_out_when_they_are_due(script: Any) -> None:
    script.sent()
    script.stack.add_address("10.0.0.9/24", probe=True)
    told: list[tuple[int, str]] = []
    while (at := script.stack.poll_at(script.bench.now)) is not None:
        script.bench.now = at
        told += [(at, frame.psrc) for frame in script.sent()]
    assert [source for _, source in told] == ["0.0.0.0"] * 3 + ["10.0.0.9"] * 2
    assert [at - told[2][0] for at, _ in told[3:]] == [2 * SECOND, 4 * SECOND]


def test_rfc_5227_2_4_connections_from_an_address_that_is_given_up_are_reset(script: Any) -> None:
    script.know_peer()
    script.stack.add_address("10.0.0.9/24", probe=True)
    script.pass_time(10 * SECOND)
    script.stack.tcp_listen(80)
    header = {"sport": 9, "dport": 80}
    for ours in ("10.0.0.1", "10.0.0.9"):
        (answer,) = script.hear(script.from_peer(dst=ours) / TCP(**header, flags="S", seq=1))
        script.hear(script.from_peer(dst=ours) / TCP(**header, flags="A", seq=2, ack=answer[TCP].seq + 1))
    script.hear(arp(sender="10.0.0.9"), arp(sender="10.0.0.9"))
    (reset,) = script.pass_time(0)
    assert (reset[IP].src, reset[IP].dst, str(reset[TCP].flags)) == ("10.0.0.9", "10.0.0.2", "RA")


def test_rfc_4861_7_2_2_the_question_comes_from_where_the_answers_will_go(script: Any) -> None:
    """The prompting packet's source, if it is ours (so also Linux's ARP: arp_announce 0)."""
    script.stack.add_address("10.0.0.7/24")
    script.stack.udp_socket(1000, "10.0.0.7").send_to(b"x", "10.0.0.2", 53)
    script.stack.sockets.tcp_connect("10.0.0.3", 80)
    assert [frame.psrc for frame in script.pass_time(SECOND)] == ["10.0.0.7", "10.0.0.1"] * 2


# --- IPv6


def solicit(target: str, source: str = "2001:db8:1::2") -> Any:
    six = IPv6(src=source, dst="ff02::1:ff00:0", hlim=255) / ICMPv6ND_NS(tgt=target)
    return Ether(src=PEER, dst="33:33:ff:00:00:00") / six


def test_rfc_4861_7_2_7_the_subnet_router_anycast_address_is_told_later_and_overrides_nothing(router: Any) -> None:
    """RFC 4291, 2.6.1: each router has it on each of its networks."""
    assert router.hear(*[solicit("2001:db8:1::")] * 65) == []
    answers = router.pass_time(SECOND)
    assert (len(answers), router.stack.drop_reasons) == (64, {"ndisc-delayed": 1})
    assert len({answer[IPv6].hlim for _, answer in answers}) == 1
    (_, answer), *_ = answers
    assert (answer[IPv6].src, answer[IPv6].dst, answer.dst) == ("2001:db8:1::1", "2001:db8:1::2", PEER)
    advertisement = answer[ICMPv6ND_NA]
    assert (advertisement.tgt, advertisement.R, advertisement.S, advertisement.O) == ("2001:db8:1::", 1, 1, 0)
    assert answer[ICMPv6NDOptDstLLAddr].lladdr == US
    router.hear(solicit("2001:db8:1::"))
    router.stack.forwarding = False
    assert [frame for _, frame in router.pass_time(SECOND) if ICMPv6ND_NA in frame] == []


@pytest.mark.parametrize("target", ["2001:db8:1::", "2001:db8:2::", "fe80::"])
def test_rfc_4291_2_6_1_any_packet_to_the_anycast_address_reaches_the_router(router: Any, target: str) -> None:
    echo = Ether(src=PEER, dst=US) / IPv6(src="2001:db8:1::2", dst=target) / ICMPv6EchoRequest(data=b"x")
    ((side, reply),) = router.hear(echo)
    assert (side, reply[ICMPv6EchoReply].data) == (0, b"x")
    assert reply[IPv6].src == "2001:db8:1::1"


def test_rfc_6164_5_a_network_of_two_routers_has_none_and_a_host_neither(router: Any, script: Any) -> None:
    router.stack.add_address("fd00::1/127")
    script.stack.add_address("2001:db8:1::1/64")
    for one, target in ((router, "fd00::"), (script, "2001:db8:1::")):
        assert "ff02::1:ff00:0" not in [row["group"] for row in script.stack.list_groups()]
        one.hear(Ether(src=PEER, dst=US) / IPv6(src="2001:db8:1::2", dst=target) / ICMPv6EchoRequest())
        assert one.stack.statistics["echoes"] == 0


def test_rfc_4861_7_2_6_announcements_override_unless_the_address_is_optimistic(script: Any) -> None:
    script.stack.add_address("fd00::1/64")
    script.sent()
    for proven in (0, 1):  # RFC 4429, 3.2
        script.stack.announce()
        told = {frame[ICMPv6ND_NA].tgt: frame for frame in script.sent() if ICMPv6ND_NA in frame}
        frame = told["fd00::1"]
        assert (frame.dst, frame[IPv6].src, frame[IPv6].dst) == ("33:33:00:00:00:01", "fd00::1", "ff02::1")
        flags = [frame[ICMPv6ND_NA].fields[name] for name in "RSO"]
        assert flags == [0, 0, proven]
        assert frame[ICMPv6NDOptDstLLAddr].lladdr == US
        script.pass_time(10 * SECOND)


def test_rfc_4861_6_3_4_what_a_router_says_of_the_links_mtu_counts_at_once(script: Any) -> None:
    script.sent()
    script.stack.add_address("auto")
    script.pass_time(5 * SECOND)
    told = []
    for mtu in (1500, 1400):
        advertisement = IPv6(src="fe80::9", dst="ff02::1", hlim=255) / ICMPv6ND_RA() / ICMPv6NDOptMTU(mtu=mtu)
        script.hear(Ether(src=PEER, dst="33:33:00:00:00:01") / advertisement)
        told.append(script.stack.route_to("fe80::9")["mtu"])
    assert told == [1500, 1400]


def test_rfc_4861_6_2_6_a_solicitation_is_heard_by_routers_that_advertise(router: Any) -> None:
    solicitation = ICMPv6ND_RS() / ICMPv6NDOptSrcLLAddr(lladdr=OTHER)
    frame = Ether(src=OTHER, dst="33:33:00:00:00:02") / IPv6(src="fe80::3", dst="ff02::2", hlim=255) / solicitation
    router.hear(frame)
    assert (router.stack.drop_reasons, router.pass_time(SECOND)) == ({"rs-no-router": 1}, [])
    router.stack.advertise("2001:db8:1::/64")
    router.pass_time(60 * SECOND)
    router.hear(frame)
    assert [side for side, frame in router.pass_time(SECOND) if ICMPv6ND_RA in frame] == [0]
    (row,) = [row for row in router.stack.list_neighbors() if row["address"] == "fe80::3"]
    assert (row["mac"], row["state"], row["router"]) == (OTHER, "stale", False)
