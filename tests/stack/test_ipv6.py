"""IPv6 (RFC 8200) and ICMPv6 (RFC 4443) of a host, with Scapy at the other end."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6MLReport,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    defragment6,
    fragment6,
)
from scapy.layers.l2 import Ether

from motenet.stack.address import parse_address
from motenet.stack.errors import HostUnreachable
from motenet.stack.icmp import ERROR_BURST

SECOND = 1_000_000_000
US, PEER = "02:00:00:00:00:01", "02:00:00:00:00:02"
OURS, THEIRS, LOCAL, GROUP = "2001:db8::1", "2001:db8::2", "fe80::ff:fe00:1", "ff02::1:ff00:1"
DATA = bytes(range(256)) * 20


@pytest.fixture
def six(script: Any) -> Any:
    """A script whose stack has 2001:db8::1/64, settled, and knows its neighbor 2001:db8::2."""
    return settle(script)


def settle(script: Any) -> Any:
    script.stack.add_address(OURS + "/64")
    script.sent()
    script.pass_time(20 * SECOND)
    script.hear(solicitation())
    return script


def solicitation(target: str = OURS) -> Any:
    """The peer asks for an address of ours."""
    message = ICMPv6ND_NS(tgt=target) / ICMPv6NDOptSrcLLAddr(lladdr=PEER)
    return Ether(src=PEER, dst="33:33:ff:00:00:01") / IPv6(src=THEIRS, dst=GROUP, hlim=255) / message


def peer(**fields: object) -> Any:
    """Ethernet and IPv6 headers of a packet from 2001:db8::2 to us."""
    return Ether(src=PEER, dst=US) / IPv6(**{"src": THEIRS, "dst": OURS, **fields})


def good(frame: Any) -> Any:
    """The frame, after its checksum has been found to be Scapy's."""
    again = frame[IPv6].copy()
    layer = again
    while layer:
        for name in ("cksum", "chksum"):
            if name in layer.fields:
                del layer.fields[name]
        layer = layer.payload
        if type(layer).__name__ in ("IPerror6", "NoPayload"):
            break
    assert bytes(IPv6(bytes(again))) == bytes(frame[IPv6])
    return frame


# --- neighbor discovery, frame by frame


def test_rfc_4861_7_2_2_a_solicitation_goes_to_the_solicited_nodes_group(six: Any) -> None:
    six.stack.udp_socket(7).send_to(b"x", "2001:db8::9:8765:4321", 9)
    (frame,) = six.sent()
    good(frame)
    assert (frame.dst, frame[IPv6].dst, frame[IPv6].hlim) == ("33:33:ff:65:43:21", "ff02::1:ff65:4321", 255)
    assert (frame[IPv6].src, frame[ICMPv6ND_NS].tgt) == (OURS, "2001:db8::9:8765:4321")
    assert frame[ICMPv6NDOptSrcLLAddr].lladdr == US


def test_rfc_4861_7_2_2_three_solicitations_a_second_apart_then_the_sender_hears_of_it(six: Any) -> None:
    socket = six.stack.udp_socket(7)
    socket.connect("2001:db8::9", 9)
    socket.send(b"x")
    asked = []
    for _ in range(4):
        asked.append(len(six.sent()))
        six.bench.now += SECOND
    assert asked == [1, 1, 1, 0]
    with pytest.raises(HostUnreachable):
        socket.receive()


def test_rfc_4861_7_2_5_what_waits_goes_when_the_advertisement_comes(six: Any) -> None:
    six.stack.udp_socket(7).send_to(b"waits", "2001:db8::9", 9)
    six.sent()
    answer = ICMPv6ND_NA(tgt="2001:db8::9", R=0, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=PEER)
    (frame,) = six.hear(peer(src="2001:db8::9", hlim=255) / answer)
    good(frame)
    assert (frame.dst, frame[IPv6].dst, frame[UDP].dport, bytes(frame[UDP].payload)) == (
        PEER, "2001:db8::9", 9, b"waits",
    )  # fmt: skip


def test_rfc_4861_7_2_4_an_advertisement_answers_a_solicitation(six: Any) -> None:
    (frame,) = six.hear(solicitation())
    good(frame)
    told = frame[ICMPv6ND_NA]
    assert (told.tgt, told.R, told.S, told.O, told[ICMPv6NDOptDstLLAddr].lladdr) == (OURS, 0, 1, 1, US)
    assert (frame.dst, frame[IPv6].src, frame[IPv6].dst, frame[IPv6].hlim) == (PEER, OURS, THEIRS, 255)


def test_rfc_4861_7_2_4_to_the_unspecified_address_all_nodes_are_told(six: Any) -> None:
    """Somebody else's duplicate address detection (RFC 4862, 5.4.3)."""
    probe = Ether(src=PEER, dst="33:33:ff:00:00:01") / IPv6(src="::", dst=GROUP, hlim=255) / ICMPv6ND_NS(tgt=OURS)
    (frame,) = six.hear(probe)
    assert (frame.dst, frame[IPv6].dst, frame[ICMPv6ND_NA].S) == ("33:33:00:00:00:01", "ff02::1", 0)


@pytest.mark.parametrize(
    ("target", "fields"),
    [
        ("2001:db8::7", {}),  # not ours
        (OURS, {"hlim": 254}),  # RFC 4861, 7.1.1: has been forwarded
        (OURS, {"src": "ff02::1"}),
    ],
)
def test_rfc_4861_7_1_1_other_solicitations_are_not_answered(six: Any, target: str, fields: dict[str, Any]) -> None:
    frame = solicitation(target)
    for name, value in fields.items():
        setattr(frame[IPv6], name, value)
    assert six.hear(frame) == []
    assert six.stack.statistics["drops"] == 1


def test_rfc_4862_5_4_2_an_address_is_asked_for_from_nowhere_after_its_group_is_joined(script: Any) -> None:
    """RFC 4862, 5.4.2; RFC 3590, 4: a report for the solicited-node group, then a solicitation without options."""
    script.stack.add_address(OURS + "/64", probe=True)
    frames = script.sent() + script.pass_time(5 * SECOND)
    (probe, *_) = [frame for frame in frames if ICMPv6ND_NS in frame and frame[ICMPv6ND_NS].tgt == OURS]
    reports = [frame for frame in frames if ICMPv6MLReport in frame and frame[ICMPv6MLReport].mladdr == GROUP]
    assert frames.index(reports[0]) < frames.index(probe)
    assert (probe.dst, probe[IPv6].src, probe[IPv6].dst) == ("33:33:ff:00:00:01", "::", GROUP)
    assert ICMPv6NDOptSrcLLAddr not in probe
    for frame in frames:
        good(frame)


def test_rfc_4429_an_address_given_by_hand_is_used_at_once_and_settles(script: Any) -> None:
    script.stack.add_address(OURS + "/64")
    states = [row["state"] for row in script.stack.list_addresses() if ":" in row["address"]]
    assert states[0] == "optimistic"
    script.sent()
    script.pass_time(5 * SECOND)
    assert {row["state"] for row in script.stack.list_addresses()} == {"preferred"}


def test_link_local_addresses_speak_without_any_route(six: Any) -> None:
    (reply,) = six.hear(peer(src="fe80::2", dst=LOCAL) / ICMPv6EchoRequest(data=b"near"))[-1:]
    assert reply[ICMPv6ND_NS].tgt == "fe80::2"  # it has to be asked for first
    answer = ICMPv6ND_NA(tgt="fe80::2", R=0, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=PEER)
    (reply,) = six.hear(peer(src="fe80::2", dst=LOCAL, hlim=255) / answer)
    assert (reply[IPv6].src, reply[IPv6].dst, reply[ICMPv6EchoReply].data) == (LOCAL, "fe80::2", b"near")


# --- what hosts say to each other


def test_rfc_4443_4_2_an_echo_comes_back_whole(six: Any) -> None:
    (reply,) = six.hear(peer(tc=0x2B) / ICMPv6EchoRequest(id=7, seq=9, data=DATA[:1000]))
    good(reply)
    assert (reply[IPv6].src, reply[IPv6].dst, reply[IPv6].hlim, reply[IPv6].tc) == (OURS, THEIRS, 64, 0x28)
    echo = reply[ICMPv6EchoReply]
    assert (echo.id, echo.seq, echo.data) == (7, 9, DATA[:1000])


def test_rfc_4443_4_2_an_echo_to_a_group_is_answered_from_our_address(six: Any) -> None:
    frame = Ether(src=PEER, dst="33:33:00:00:00:01") / IPv6(src=THEIRS, dst="ff02::1") / ICMPv6EchoRequest(data=b"x")
    (reply,) = six.hear(frame)
    assert (reply[IPv6].src, reply[IPv6].dst) == (OURS, THEIRS)


def test_udp_both_ways(six: Any) -> None:
    socket = six.stack.udp_socket(7)
    six.hear(peer() / UDP(sport=9, dport=7) / b"in")
    message = socket.receive()
    assert (message.data, message.port, message.address[-1], message.interface) == (b"in", 9, 2, "eth0")
    socket.send_to(b"out", THEIRS, 9)
    (frame,) = six.sent()
    good(frame)
    assert (frame[IPv6].src, frame[UDP].sport, bytes(frame[UDP].payload)) == (OURS, 7, b"out")


def test_rfc_8200_8_1_a_datagram_without_checksum_is_refused(six: Any) -> None:
    socket = six.stack.udp_socket(7)
    assert six.hear(peer() / UDP(sport=9, dport=7, chksum=0) / b"in") == []
    assert socket.receive() is None
    assert six.stack.statistics["drops"] == 1


def test_tcp_shakes_hands_and_carries_data(six: Any) -> None:
    listener = six.stack.tcp_listen(80)
    (answer,) = six.hear(peer() / TCP(sport=1000, dport=80, seq=1, flags="S"))
    good(answer)
    assert (answer[TCP].flags, answer[TCP].ack, dict(answer[TCP].options)["MSS"]) == ("SA", 2, 1440)
    data = TCP(sport=1000, dport=80, seq=2, ack=answer[TCP].seq + 1, flags="PA") / b"hello"
    six.hear(peer() / data)
    assert listener.accept().recv(100) == b"hello"


def test_raw_sockets_both_ways(six: Any) -> None:
    socket = six.stack.sockets.raw_bind(99)
    six.hear(peer(nh=99) / b"in")
    payload = socket.receive()
    assert (payload.data, payload.address[-1]) == (b"in", 2)
    socket.send_to(b"out", THEIRS)
    (frame,) = six.sent()
    assert (frame[IPv6].nh, bytes(frame[IPv6].payload)) == (99, b"out")


# --- extension headers


def test_extension_headers_are_passed_on_the_way_to_the_socket(six: Any) -> None:
    socket = six.stack.udp_socket(7)
    chain = IPv6ExtHdrHopByHop() / IPv6ExtHdrRouting(segleft=0) / IPv6ExtHdrDestOpt() / UDP(sport=9, dport=7) / b"in"
    six.hear(peer() / chain)
    assert socket.receive().data == b"in"


@pytest.mark.parametrize(("headers", "pointer"), [(None, 6), (IPv6ExtHdrDestOpt(), 40)])
def test_rfc_8200_4_an_unknown_next_header_is_pointed_at(six: Any, headers: Any, pointer: int) -> None:
    packet = peer(nh=99) / b"what" if headers is None else peer() / IPv6ExtHdrDestOpt(nh=99) / b"what"
    (error,) = six.hear(packet)
    good(error)
    problem = error[ICMPv6ParamProblem]
    assert (problem.code, problem.ptr) == (1, pointer)
    assert bytes(problem.payload) == bytes(packet[IPv6])


def test_rfc_8200_4_7_nothing_follows_no_next_header(six: Any) -> None:
    assert six.hear(peer(nh=59) / b"ignored") == []
    assert six.drops == {}


@pytest.mark.parametrize(
    ("kind", "group", "answers"),
    [(0x1E, False, 0), (0x5E, False, 0), (0x9E, False, 1), (0x9E, True, 1), (0xDE, False, 1), (0xDE, True, 0)],
)
def test_rfc_8200_4_2_an_options_type_says_what_to_do(six: Any, kind: int, group: bool, answers: int) -> None:
    """00: skip; 01: discard; 10: discard and tell; 11: tell unless it went to a group."""
    socket = six.stack.udp_socket(7)
    option = bytes((17, 0, kind, 4, 0, 0, 0, 0)) + bytes(UDP(sport=9, dport=7, len=8))
    frame = peer(nh=60) / option
    if group:
        frame[Ether].dst, frame[IPv6].dst = "33:33:00:00:00:01", "ff02::1"
    errors = six.hear(frame)
    assert [(error[ICMPv6ParamProblem].code, error[ICMPv6ParamProblem].ptr) for error in errors] == [(2, 42)] * answers
    assert socket.receive() is None


def test_rfc_5095_a_routing_header_with_segments_left_is_refused(six: Any) -> None:
    (error,) = six.hear(peer() / IPv6ExtHdrRouting(addresses=["2001:db8::7"], segleft=1) / UDP(dport=7))
    assert (error[ICMPv6ParamProblem].code, error[ICMPv6ParamProblem].ptr) == (0, 42)


# --- fragments


def cut(size: int = 1280, data: bytes = DATA, ident: int = 77) -> list[Any]:
    """A datagram to us in fragments, cut by Scapy."""
    packet = IPv6(src=THEIRS, dst=OURS) / IPv6ExtHdrFragment(id=ident) / UDP(sport=9, dport=7) / data
    packet = IPv6(bytes(packet))
    return [Ether(src=PEER, dst=US) / piece for piece in fragment6(packet, size)]


def test_rfc_8200_4_5_a_large_datagram_goes_in_fragments(six: Any) -> None:
    socket = six.stack.udp_socket(1000)
    socket.send_to(DATA, THEIRS, 7)
    socket.send_to(DATA, THEIRS, 7)
    frames = six.sent()
    first, second = frames[:4], frames[4:]
    assert all(len(frame[IPv6]) <= 1500 for frame in frames)
    assert [frame[IPv6ExtHdrFragment].m for frame in first] == [1, 1, 1, 0]
    idents = [{frame[IPv6ExtHdrFragment].id for frame in some} for some in (first, second)]
    assert len(idents[0]) == len(idents[1]) == 1
    assert idents[0] != idents[1]
    whole = good(Ether() / IPv6(bytes(defragment6([frame[IPv6] for frame in first]))))
    assert bytes(whole[UDP].payload) == DATA


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False), st.integers(1280, 1500), st.integers(0, 3))
def test_fragments_in_any_order_make_the_datagram(make_script: Any, order: random.Random, size: int, more: int) -> None:
    six = make_script()
    six.stack.add_address(OURS + "/64")
    socket = six.stack.udp_socket(7)
    pieces = cut(size)
    pieces += pieces[:more]
    order.shuffle(pieces)
    six.hear(*pieces)
    assert socket.receive().data == DATA


def test_rfc_6946_an_atomic_fragment_is_whole_whatever_else_waits(six: Any) -> None:
    socket = six.stack.udp_socket(7)
    six.hear(*cut()[:2])
    six.hear(peer() / IPv6ExtHdrFragment(id=77) / UDP(sport=9, dport=7) / b"alone")
    assert socket.receive().data == b"alone"
    six.hear(*cut()[2:])
    assert socket.receive().data == DATA


def test_rfc_5722_overlapping_fragments_end_their_datagram(six: Any) -> None:
    socket = six.stack.udp_socket(7)
    pieces = cut()
    forged = pieces[1].copy()
    forged[IPv6ExtHdrFragment].offset += 1
    six.hear(pieces[0], pieces[1], forged, *pieces[2:])
    assert socket.receive() is None
    assert six.drops["fragment-overlap"] == 1


def test_rfc_8200_4_1_a_fragment_within_a_fragmented_packet_is_one_still(six: Any) -> None:
    """Headers occur "any number of times": what says that more follows is no datagram before that has come."""
    socket = six.stack.udp_socket(7)
    whole = bytes(IPv6(src=THEIRS, dst=OURS) / UDP(sport=9, dport=7) / bytes(32))[40:]
    inner = bytes(IPv6ExtHdrFragment(nh=17, m=1, id=5)) + whole[:24]
    six.hear(peer() / IPv6ExtHdrFragment(nh=44, m=1, id=9) / inner[:24])
    six.hear(peer() / IPv6ExtHdrFragment(nh=44, offset=3, id=9) / inner[24:])
    assert socket.receive() is None
    six.hear(peer() / IPv6ExtHdrFragment(nh=17, offset=3, id=5) / whole[24:])
    assert socket.receive().data == bytes(32)


def test_rfc_7112_5_a_first_fragment_has_the_whole_chain(six: Any) -> None:
    (error,) = six.hear(peer() / IPv6ExtHdrFragment(m=1, id=5, nh=60) / bytes((17, 3, 1, 4, 0, 0, 0, 0)))
    assert (error[ICMPv6ParamProblem].code, error[ICMPv6ParamProblem].ptr) == (3, 0)


def test_rfc_8200_4_5_a_fragment_that_is_not_of_eight_octets_is_pointed_at(six: Any) -> None:
    (error,) = six.hear(peer() / IPv6ExtHdrFragment(m=1, id=5, nh=17) / bytes(15))
    assert (error[ICMPv6ParamProblem].code, error[ICMPv6ParamProblem].ptr) == (0, 4)


def test_rfc_8200_4_5_a_fragment_that_ends_too_far_off_is_pointed_at(six: Any) -> None:
    (error,) = six.hear(peer() / IPv6ExtHdrFragment(offset=8191, id=5, nh=17) / bytes(16))
    assert (error[ICMPv6ParamProblem].code, error[ICMPv6ParamProblem].ptr) == (0, 42)


@pytest.mark.parametrize(("pieces", "errors"), [(slice(0, 2), 1), (slice(1, 3), 0)])
def test_rfc_8200_4_5_after_a_minute_the_sender_is_told_if_the_first_has_come(
    six: Any, pieces: slice, errors: int
) -> None:
    six.hear(*cut()[pieces])
    assert not [frame for frame in six.pass_time(59 * SECOND) if ICMPv6TimeExceeded in frame]
    six.hear(solicitation())  # unreachability detection has forgotten it meanwhile
    told = [frame for frame in six.pass_time(10 * SECOND) if ICMPv6TimeExceeded in frame]
    assert [frame[ICMPv6TimeExceeded].code for frame in told] == [1] * errors
    assert all(bytes(frame)[62:] == bytes(cut()[0])[14 : 14 + 1232] for frame in told)  # RFC 4443, 2.4 c
    assert six.stack.node.reassembly.partials == {}


def test_rfc_8201_4_udp_fragments_by_what_the_path_has_told(six: Any) -> None:
    socket = six.stack.udp_socket(1000)
    socket.send_to(DATA, THEIRS, 7)
    first = six.sent()[0]
    six.hear(peer(src="2001:db8::ffff") / ICMPv6PacketTooBig(mtu=1300) / bytes(first[IPv6])[:1200])
    socket.send_to(DATA, THEIRS, 7)
    frames = six.sent()
    assert max(len(frame[IPv6]) for frame in frames) in range(1293, 1301)
    assert bytes(IPv6(bytes(defragment6([frame[IPv6] for frame in frames])))[UDP].payload) == DATA


def test_rfc_8201_4_the_answer_to_a_large_echo_learns_of_its_path(six: Any) -> None:
    """No socket waits for it; but that it was sent, a moment ago, is known."""
    (reply,) = six.hear(peer() / ICMPv6EchoRequest(id=7, seq=9, data=DATA[:1400]))
    too_big = peer(src="2001:db8::ffff") / ICMPv6PacketTooBig(mtu=1280) / bytes(reply[IPv6])[:1200]
    six.hear(too_big)
    frames = six.hear(peer() / ICMPv6EchoRequest(data=DATA[:1400]))
    assert [frame[IPv6ExtHdrFragment].m for frame in frames] == [1, 0]
    assert all(len(frame[IPv6]) <= 1280 for frame in frames)
    for number in range(100):
        six.hear(peer(src=f"2001:db8::1:{number:x}") / ICMPv6EchoRequest(data=DATA[:1400]))
    assert len(six.stack.node.icmp.answered) == 64


# --- errors


def test_rfc_4443_3_1_nobody_listens(six: Any) -> None:
    packet = peer() / UDP(sport=9, dport=8) / DATA[:1400]
    (error,) = six.hear(packet)
    good(error)
    assert (error[ICMPv6DestUnreach].type, error[ICMPv6DestUnreach].code) == (1, 4)
    assert len(error[IPv6]) == 1280  # RFC 4443, 2.4 c
    assert bytes(error)[14 + 40 + 8 :] == bytes(packet[IPv6])[:1232]


def test_rfc_4443_2_4_e_some_things_no_error_is_about(six: Any) -> None:
    datagram = UDP(sport=9, dport=8) / b"nobody"
    group = Ether(src=PEER, dst="33:33:00:00:00:01") / IPv6(src=THEIRS, dst="ff02::1")
    about_error = IPv6ExtHdrDestOpt(options=[]) / ICMPv6DestUnreach() / bytes(IPv6(src=OURS, dst=THEIRS))
    refused = peer(nh=60) / (bytes((58, 0, 0x9E, 4, 0, 0, 0, 0)) + b"\x01\0\0\0\0\0\0\0")
    for frame in (
        group / datagram,
        peer(src="::") / datagram,
        peer(src="ff02::2") / datagram,
        peer() / about_error,
        refused,
        peer() / IPv6ExtHdrFragment(offset=100, id=1, m=1, nh=99) / bytes(8),
        peer() / IPv6ExtHdrFragment(id=2, m=1, nh=58) / (bytes(ICMPv6DestUnreach()) + bytes(40)),
    ):
        assert six.hear(frame) == [], frame.summary()
    six.pass_time(61 * SECOND)
    assert six.stack.statistics["icmp_errors"] == 0
    six.hear(solicitation())
    (error,) = six.hear(peer(nh=60) / (bytes((58, 0, 0x9E, 4, 0, 0, 0, 0)) + bytes(ICMPv6EchoRequest())))
    assert error[ICMPv6ParamProblem].ptr == 42  # an echo request is no error


def test_rfc_4443_2_4_f_errors_are_limited(six: Any) -> None:
    errors = six.hear(*[peer() / UDP(sport=9, dport=8)] * 200)
    assert len(errors) == ERROR_BURST
    assert six.drops["icmp-rate"] == 200 - ERROR_BURST


def test_rfc_4443_2_4_b_unknown_types(six: Any) -> None:
    """An informational message of unknown type is discarded, an error of one reaches who sent what it quotes."""
    quoted = bytes(IPv6(src=OURS, dst=THEIRS) / UDP(sport=7, dport=9))
    socket = six.stack.udp_socket(7)
    for kind in (0, 100, 127, 128 + 73):
        assert six.hear(peer() / ICMPv6DestUnreach(type=kind) / quoted) == []
    assert [kind for kind, *_ in socket.failures] == ["unknown"] * 3
    assert six.drops == {"icmp-type": 1}
    group = Ether(src=PEER, dst="33:33:00:00:00:01") / IPv6(src=THEIRS, dst="ff02::1")
    six.hear(group / ICMPv6DestUnreach() / quoted)  # errors are told to the node that they are about
    assert (len(socket.failures), six.drops["icmp-group"]) == (3, 1)


@pytest.mark.parametrize(("mtu", "believed"), [(1279, 1500), (1280, 1280)])
def test_rfc_8201_4_an_mtu_below_the_smallest_is_no_news(six: Any, mtu: int, believed: int) -> None:
    six.stack.sockets.icmp_bind(7)
    quoted = bytes(IPv6(src=OURS, dst=THEIRS) / ICMPv6EchoRequest(id=7, data=DATA[:1000]))
    six.hear(peer() / ICMPv6PacketTooBig(mtu=mtu) / quoted)
    assert six.stack.node.routing.way(parse_address(THEIRS)).mtu == believed
    assert six.drops == ({} if mtu == believed else {"icmp-mtu": 1})


def test_rfc_5461_a_refused_datagram_is_the_connected_sockets_error(six: Any) -> None:
    socket = six.stack.udp_socket(7)
    socket.connect(THEIRS, 9)
    socket.send(b"x")
    (frame,) = six.sent()
    six.hear(peer() / ICMPv6DestUnreach(code=4) / bytes(frame[IPv6]))
    with pytest.raises(ConnectionRefusedError):
        socket.receive()


# --- two stacks


@pytest.mark.parametrize("size", [0, 56, 1452, 1453, 9000, 60000])
def test_pings_of_all_sizes(bench: Any, size: int) -> None:
    one, _ = bench.stack("2001:db8::1/64"), bench.stack("2001:db8::2/64")
    assert None not in one.ping(THEIRS, count=2, size=size)


def test_tcp_carries_bytes_unchanged(bench: Any) -> None:
    one, other = bench.stack("2001:db8::1/64"), bench.stack("2001:db8::2/64")
    listener = other.tcp_listen(80)
    client = one.tcp_connect(THEIRS, 80)
    server = other.tcp_accept(listener)
    one.tcp_send(client, DATA * 20)
    client.close()
    received = bytearray()
    while piece := other.tcp_receive(server):
        received += piece
    assert bytes(received) == DATA * 20


def test_a_host_talks_to_its_own_addresses(bench: Any) -> None:
    stack = bench.stack(["10.0.0.1/24", "2001:db8::1/64"])
    assert None not in stack.ping("2001:db8::1", count=1)
    assert None not in stack.ping("10.0.0.1", count=1)


def test_an_idle_hour_costs_few_polls(bench: Any) -> None:
    bench.stack("2001:db8::1/64")
    bench.stack("2001:db8::2/64").ping(OURS, count=1)
    bench.run(60 * SECOND)
    polls = 0
    for stack in bench.stacks:
        at = stack.poll_at(bench.now)
        assert at is None or at > bench.now
    end = bench.now + 3600 * SECOND
    while (at := bench.settle()) is not None and at <= end:
        bench.now = at
        polls += 1
    assert polls < 50
