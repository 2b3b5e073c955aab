"""From a transmit queue onto the cable (virtio 5.1.6.2). Frames and their checksums come from Scapy."""

from itertools import pairwise

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from motenet.devices.parts.offload import complete
from motenet.doors import TCP4, TCP6, UFO, USO, FrameFacts

DATA = 0x100000
"""Memory that no ring of a bench is in."""
ETHER = Ether(dst="52:54:00:00:00:01", src="52:54:00:12:34:56")
PLAIN = bytes(12)
NEEDS_CSUM, DATA_VALID, RSC_INFO = 1, 2, 4
TCPV4, UDP_GSO, TCPV6, UDP_L4, ECN = 1, 3, 4, 5, 0x80
"""5.1.6."""
EVERYTHING = "CSUM HOST_TSO4 HOST_TSO6 HOST_ECN HOST_UFO HOST_USO"


def tcp4(size, flags="PA"):
    return ETHER / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=1000, dport=80, seq=7, flags=flags) / Raw(bytes(size))


def tcp6(size):
    return ETHER / IPv6(src="fd00::1", dst="fd00::2") / TCP(sport=1000, dport=80, seq=7) / Raw(bytes(size))


def udp4(size):
    return ETHER / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1000, dport=53) / Raw(bytes(size))


def udp6(size):
    return ETHER / IPv6(src="fd00::1", dst="fd00::2") / UDP(sport=1000, dport=53) / Raw(bytes(size))


KINDS = [
    (tcp4, TCPV4, TCP4, 34, 16, 54), (tcp6, TCPV6, TCP6, 54, 16, 74), (udp4, UDP_GSO, UFO, 34, 6, 42),
    (udp6, UDP_GSO, UFO, 54, 6, 62), (udp4, UDP_L4, USO, 34, 6, 42), (udp6, UDP_L4, USO, 54, 6, 62),
]  # fmt: skip
"""Frames; gso_type and segment_kind; csum_start, csum_offset and bytes of all headers."""


def partial(packet, start, offset):
    """5.1.6.2.1: the frame whose checksum field has the pseudo-header's sum, and the whole one."""
    whole = bytes(packet)
    field = start + offset
    rest = whole[start:field] + bytes(2) + whole[field + 2 :] + bytes(len(whole) - start & 1)
    words = sum(int.from_bytes(rest[at : at + 2], "big") for at in range(0, len(rest), 2))
    pseudo = (0xFFFF - int.from_bytes(whole[field : field + 2], "big") - words) % 0xFFFF
    return whole[:field] + pseudo.to_bytes(2, "big") + whole[field + 2 :], whole


def refused(bench, reason, *parts):
    """The buffer is used, nothing goes out, and there is a reason."""
    assert bench.send(*parts) == []
    assert bench.drops == {reason: 1}
    assert len(bench.tx.used()) == 1
    assert not bench.device.status & 0x40  # the device goes on


# --- whole frames and checksums


def test_a_whole_frame_goes_out_as_it_is(new_bench):
    bench, frame = new_bench(), bytes(tcp4(1000))
    assert bench.send(PLAIN + frame) == [(frame, None)]
    assert bench.tx.used() == [(0, 0)]


def test_ieee_802_3_short_frames_are_padded(new_bench):
    bench, frame = new_bench(), bytes(udp4(0))
    assert bench.send(PLAIN + frame) == [(frame + bytes(60 - len(frame)), None)]
    assert bench.send(PLAIN + frame[:14]) == [(frame[:14] + bytes(46), None)]


def test_5_1_6_2_a_partial_checksum_is_left_to_a_peer_that_takes_it(new_bench, hdr):
    """The specification's example: csum_start 34, csum_offset 16."""
    bench = new_bench("CSUM")
    left, _ = partial(tcp4(500), 34, 16)
    assert bench.send(hdr(NEEDS_CSUM, start=34, offset=16) + left) == [(left, FrameFacts(34, 16))]


@pytest.mark.parametrize(("packet", "start", "offset"), [(tcp4(501), 34, 16), (udp4(33), 34, 6), (tcp6(0), 54, 16)])
def test_5_1_6_2_otherwise_it_is_computed(new_bench, hdr, packet, start, offset):
    bench = new_bench("CSUM")
    bench.port.takes_unfinished = False
    left, whole = partial(packet, start, offset)
    assert bench.send(hdr(NEEDS_CSUM, start=start, offset=offset) + left) == [(whole, None)]


def test_a_checksum_at_the_very_start_of_what_is_summed(new_bench, hdr):
    bench = new_bench("CSUM")
    frame = bytes(ETHER) + b"\0\0" + bytes((1, 2)) * 40
    sent = 0xFFFF - 0x0102 * 40
    assert bench.send(hdr(NEEDS_CSUM, start=14, offset=0) + frame)[0] == (
        frame[:14] + sent.to_bytes(2, "big") + frame[16:], None
    )  # fmt: skip


def test_5_1_6_2_2_without_needs_csum_its_fields_are_not_used(new_bench, hdr):
    bench, frame = new_bench("CSUM"), bytes(tcp4(100))
    assert bench.send(hdr(0, start=65535, offset=65535, length=9999, size=7) + frame) == [(frame, None)]


@pytest.mark.parametrize("flags", [DATA_VALID, RSC_INFO, 0xFE])
def test_5_1_6_2_2_other_flags_are_ignored(new_bench, hdr, flags):
    bench, frame = new_bench(), bytes(tcp4(100))
    assert bench.send(hdr(flags) + frame) == [(frame, None)]


def test_5_1_6_2_1_needs_csum_without_the_feature(new_bench, hdr):
    refused(new_bench(), "NEEDS_CSUM without CSUM", hdr(NEEDS_CSUM, start=34, offset=16) + bytes(tcp4(0)))


@pytest.mark.parametrize(("start", "offset"), [(54, 5), (200, 0), (0, 57), (65535, 65535), (0, 65535), (65535, 0)])
def test_cve_csum_start_beyond_the_frame(new_bench, hdr, start, offset):
    frame = bytes(tcp4(4))
    assert len(frame) == 58
    refused(new_bench("CSUM"), "checksum outside frame", hdr(NEEDS_CSUM, start=start, offset=offset) + frame)


# --- large packets


@pytest.mark.parametrize(("make", "gso", "kind", "start", "offset", "headers"), KINDS)
def test_5_1_6_2_large_packets_go_whole_to_a_peer_that_takes_them(
    new_bench, hdr, make, gso, kind, start, offset, headers
):
    bench = new_bench(EVERYTHING)
    left, _ = partial(make(5000), start, offset)
    about = hdr(NEEDS_CSUM, gso, headers, 1448, start, offset)
    assert bench.send(about, left) == [(left, FrameFacts(start, offset, 1448, headers, segment_kind=kind))]


@pytest.mark.parametrize(("make", "gso", "kind", "start", "offset", "headers"), KINDS)
def test_5_1_6_2_otherwise_they_are_cut(new_bench, hdr, make, gso, kind, start, offset, headers):
    bench = new_bench(EVERYTHING)
    bench.port.takes_unfinished = False
    left, _ = partial(make(5000), start, offset)
    pieces = bench.send(hdr(NEEDS_CSUM, gso, headers, 1448, start, offset), left)
    assert len(pieces) == 4
    assert all(facts is None and len(frame) <= headers + 1448 for frame, facts in pieces)
    for frame, _ in pieces:
        packet = Ether(frame)
        if kind != UFO:
            again = packet.copy()
            del again[TCP if kind in (TCP4, TCP6) else UDP].chksum
            assert bytes(Ether(bytes(again))) == frame


@pytest.mark.parametrize(("make", "gso", "kind", "start", "offset", "headers"), KINDS)
def test_5_1_6_2_1_each_kind_needs_its_feature(new_bench, hdr, make, gso, kind, start, offset, headers):
    feature = {TCP4: "HOST_TSO4", TCP6: "HOST_TSO6", UFO: "HOST_UFO", USO: "HOST_USO"}[kind]
    others = " ".join(name for name in EVERYTHING.split() if name != feature)
    left, _ = partial(make(3000), start, offset)
    refused(new_bench(others), "gso_type not negotiated", hdr(NEEDS_CSUM, gso, headers, 1448, start, offset), left)


@pytest.mark.parametrize("gso", [2, 6, 0x7F, 0xFF])
def test_gso_types_that_nobody_has_defined(new_bench, hdr, gso):
    left, _ = partial(tcp4(3000), 34, 16)
    refused(new_bench(EVERYTHING), "gso_type not negotiated", hdr(NEEDS_CSUM, gso, 54, 1448, 34, 16), left)


def test_5_1_6_2_ecn_is_passed_on(new_bench, hdr):
    bench = new_bench(EVERYTHING)
    left, _ = partial(tcp4(3000, "PAC"), 34, 16)
    (_, facts), = bench.send(hdr(NEEDS_CSUM, TCPV4 | ECN, 54, 1448, 34, 16), left)  # fmt: skip
    assert facts == FrameFacts(34, 16, 1448, 54, segment_kind=TCP4, ecn=True)


@pytest.mark.parametrize(("features", "gso"), [("CSUM HOST_TSO4", TCPV4), (EVERYTHING, UDP_L4)])
def test_5_1_6_2_1_ecn_needs_its_feature_and_tcp(new_bench, hdr, features, gso):
    left, _ = partial(tcp4(3000) if gso == TCPV4 else udp4(3000), 34, 16)
    refused(new_bench(features), "ECN not negotiated", hdr(NEEDS_CSUM, gso | ECN, 54, 1448, 34, 16), left)


def test_5_1_6_2_1_gso_without_needs_csum(new_bench, hdr):
    refused(new_bench(EVERYTHING), "GSO without NEEDS_CSUM", hdr(0, TCPV4, 54, 1448), bytes(tcp4(3000)))


def test_cve_gso_size_0(new_bench, hdr):
    left, _ = partial(tcp4(3000), 34, 16)
    refused(new_bench(EVERYTHING), "gso_size 0", hdr(NEEDS_CSUM, TCPV4, 54, 0, 34, 16), left)


@pytest.mark.parametrize("length", [0, 1, 53, 55, 3055, 65535])
def test_cve_hdr_len_beyond_the_frame_and_any_other_is_not_relied_on(new_bench, hdr, length):
    """5.1.6.2.2: the device MUST NOT rely on hdr_len to be correct."""
    bench = new_bench(EVERYTHING)
    bench.port.takes_unfinished = False
    left, _ = partial(tcp4(3000), 34, 16)
    pieces = bench.send(hdr(NEEDS_CSUM, TCPV4, length, 1448, 34, 16), left)
    assert [len(frame) for frame, _ in pieces] == [1502, 1502, 158]


@pytest.mark.parametrize(("size", "count"), [(1, 0), (7, 0), (8, 8125), (65535, 1)])
def test_cve_tiny_and_huge_segments_end_in_bounded_time(new_bench, hdr, size, count):
    """64 KiB in segments of a byte would be 65,000 frames."""
    bench = new_bench(EVERYTHING)
    bench.port.takes_unfinished = False
    left, _ = partial(tcp4(65000), 34, 16)
    pieces = bench.send(hdr(NEEDS_CSUM, TCPV4, 54, size, 34, 16), left)
    assert len(pieces) == count
    assert bench.drops == ({} if count else {"cannot be cut": 1})


def test_5_1_6_2_a_short_packet_that_is_to_be_cut_is_not_padded_before(new_bench, hdr):
    """Padding would be payload."""
    frame, whole = partial(tcp4(3), 34, 16)
    ((sent, facts),) = new_bench(EVERYTHING).send(hdr(NEEDS_CSUM, TCPV4, 54, 1000, 34, 16), frame)
    assert sent == frame
    assert complete(sent, facts) == [whole.ljust(60, b"\0")]


def test_cve_many_packets_of_many_segments_each_are_spread_over_events(new_bench, hdr):
    """What is not sent yet is left to later events; each is sent once, in order."""
    bench = new_bench(EVERYTHING)
    bench.port.takes_unfinished = False
    for number in range(8):
        left, _ = partial(udp4(40_000), 34, 6)
        raw = hdr(NEEDS_CSUM, UDP_L4, 42, 8, 34, 6) + left[:18] + bytes((number, 0)) + left[20:]
        bench.memory[DATA + number * 65536 :][: len(raw)] = raw
        bench.tx.descriptor(number, DATA + number * 65536, len(raw))
    bench.tx.offer(*range(8))
    after, serve = [0], bench.net.notified
    bench.net.notified = lambda queue: (serve(queue), after.append(len(bench.sent)))
    bench.tx.kick()
    assert max(new - old for old, new in pairwise(after)) <= 4 * 5000
    assert [sent[18] for sent, _ in bench.sent[::5000]] == list(range(8))  # IP's identification
    assert len(bench.sent) == 8 * 5000
    assert [number for number, _ in bench.tx.used()] == list(range(8))


@pytest.mark.parametrize(
    ("packet", "gso", "start", "offset"),
    [
        (udp4(3000), TCPV4, 34, 16), (tcp6(3000), TCPV4, 54, 16), (tcp4(3000), TCPV6, 34, 16),
        (tcp4(3000), UDP_L4, 34, 6), (tcp4(3000), TCPV4, 14, 16), (tcp4(3000), TCPV4, 34, 6),
        (ETHER / Raw(bytes(3000)), TCPV4, 34, 16), (ETHER / Raw(bytes(46)), UDP_GSO, 14, 6), (tcp4(3000), TCPV4, 34, 0),
    ],
)  # fmt: skip
def test_a_frame_that_is_not_what_its_header_says(new_bench, hdr, packet, gso, start, offset):
    about = hdr(NEEDS_CSUM, gso, 54, 1448, start, offset)
    refused(new_bench(EVERYTHING), "cannot be cut", about, bytes(packet))


def test_tagged_large_packets(new_bench, hdr):
    bench = new_bench(EVERYTHING)
    packet = ETHER / Dot1Q(vlan=5) / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=1, dport=2) / Raw(bytes(3000))
    left, _ = partial(packet, 38, 16)
    (_, facts), = bench.send(hdr(NEEDS_CSUM, TCPV4, 58, 1448, 38, 16), left)  # fmt: skip
    assert facts == FrameFacts(38, 16, 1448, 58, segment_kind=TCP4)


def test_the_largest_packet_in_many_descriptors_costs_one_read_each(new_bench, hdr):
    bench = new_bench(EVERYTHING, size=32)
    left, _ = partial(tcp4(65535 - 40), 34, 16)
    edges = [0, *range(4096, len(left), 4096), len(left)]
    parts = [hdr(NEEDS_CSUM, TCPV4, 54, 1460, 34, 16), *(left[a:b] for a, b in pairwise(edges))]
    assert bench.send(*parts)[0][0] == left
    assert len([1 for kind, _, _, what in bench.log if kind == "read" and not what]) == len(parts)


# --- malformed buffers


@pytest.mark.parametrize("size", [1, 9, 11, 12, 13, 25])
def test_cve_buffers_shorter_than_a_header_and_a_frame(new_bench, size):
    refused(new_bench(), "bad transmit buffer", bytes(size))


def test_writable_buffers_have_no_place_in_a_transmit_queue(new_bench):
    refused(new_bench(), "bad transmit buffer", PLAIN + bytes(tcp4(0)), 100)


@pytest.mark.parametrize("size", [65594, 100_000, 1 << 20])
def test_cve_oversized_frames_are_not_read(new_bench, size):
    bench = new_bench(EVERYTHING)
    refused(bench, "bad transmit buffer", PLAIN, bytes(size))
    assert sum(length for kind, _, length, _ in bench.log if kind == "read") < 200


@pytest.mark.parametrize(("features", "size", "sent"), [("MTU", 1514, 1), ("MTU", 1515, 0), ("", 9014, 1)])
def test_5_1_4_1_frames_up_to_the_mtu_are_forwarded(new_bench, features, size, sent):
    bench = new_bench(features)
    assert len(bench.send(PLAIN + bytes(tcp4(size - 54)))) == sent
    assert bench.drops == ({} if sent else {"frame too long": 1})


def test_5_1_4_1_a_tag_does_not_count(new_bench):
    bench = new_bench("MTU")
    assert len(bench.send(PLAIN + bytes(ETHER / Dot1Q(vlan=5) / Raw(bytes(1500))))) == 1
    assert bench.send(PLAIN + bytes(ETHER / Dot1Q(vlan=5) / Raw(bytes(1501)))) == []


def test_without_a_link_frames_are_used_and_lost(new_bench):
    bench = new_bench()
    bench.port.carrier = False
    refused(bench, "no link", PLAIN + bytes(tcp4(0)))


# --- the legacy interface


def test_5_1_6_1_legacy_headers_have_10_bytes(new_bench):
    bench, frame = new_bench("", legacy=True), bytes(tcp4(100))
    assert bench.send(bytes(10), frame) == [(frame, None)]
    assert bench.send(bytes(10) + frame) == [(frame, None)]


def test_5_1_6_1_legacy_headers_with_mrg_rxbuf_have_12(new_bench):
    bench, frame = new_bench("MRG_RXBUF", legacy=True), bytes(tcp4(100))
    assert bench.send(bytes(12), frame) == [(frame, None)]


def test_legacy_offloads(new_bench, hdr):
    bench = new_bench("CSUM HOST_TSO4", legacy=True)
    left, _ = partial(tcp4(3000), 34, 16)
    about = hdr(NEEDS_CSUM, TCPV4, 54, 1448, 34, 16)[:10]
    assert bench.send(about, left) == [(left, FrameFacts(34, 16, 1448, 54, segment_kind=TCP4))]


def test_legacy_a_ring_that_is_broken_stops_and_the_others_go_on(new_bench):
    bench, frame = new_bench("", legacy=True), bytes(tcp4(100))
    bench.tx.add(bytes(10), b"")
    bench.tx.kick()
    assert bench.net.queues[1].broken
    assert not bench.device.status & 0x40
    bench.rx.add(2000)
    bench.deliver(frame)
    assert bench.received() == [bytes(10) + frame]
