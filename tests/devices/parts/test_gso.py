"""Unfinished packets, finished: every kind against Scapy, and against what a hostile driver can say."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP, defragment, fragment
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    defragment6,
    fragment6,
)
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from motenet.core.checksum import pseudo_header_sum
from motenet.devices.parts.gso import LONGEST_HEADERS, MOST_SEGMENTS
from motenet.devices.parts.offload import complete, valid
from motenet.doors import TCP4, TCP6, UFO, USO, FrameFacts

ETHER = Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02")
TAGGED = ETHER / Dot1Q(vlan=7)
V4 = IP(src="10.0.0.1", dst="10.0.0.2", id=65534)
V4_OPTIONS = IP(src="10.0.0.1", dst="10.0.0.2", id=9, options=[b"\x01\x01\x01\x00"])
V6 = IPv6(src="fd00::1", dst="fd00::2", tc=3, fl=77)
EXTENDED = V6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt()
SEGMENT = TCP(sport=80, dport=1024, seq=2**32 - 1000, ack=5, flags="PAFC", options=[("Timestamp", (1, 2))])
DATAGRAM = UDP(sport=53, dport=1024)

LINKS = [ETHER, TAGGED, ETHER / Dot1Q(type=0x88A8) / Dot1Q(vlan=1)]
NETWORKS = {4: [V4, V4_OPTIONS], 6: [V6, EXTENDED]}


def unfinished(packet, kind, size, ecn=False):
    """What a driver hands over: the checksum field holds the pseudo-header's sum (virtio 5.1.6.2)."""
    layer, offset, protocol = (TCP, 16, 6) if kind in (TCP4, TCP6) else (UDP, 6, 17)
    raw = bytearray(bytes(packet))
    start = len(raw) - len(packet[layer])
    network = packet[IP] if IP in packet else packet[IPv6]
    at = len(raw) - len(network) + (12 if IP in packet else 8)
    width = 4 if IP in packet else 16
    addresses = bytes(raw[at : at + width]), bytes(raw[at + width : at + 2 * width])
    seed = pseudo_header_sum(*addresses, protocol, len(raw) - start)
    raw[start + offset : start + offset + 2] = seed.to_bytes(2, "big")
    header = len(raw) - len(packet[layer].payload)
    return bytes(raw), FrameFacts(start, offset, size, header, segment_kind=kind, ecn=ecn)


def padded(frames):
    """IEEE 802.3, 4.2.3.3: what is too short for a cable."""
    return [bytes(frame).ljust(60, b"\0") for frame in frames]


def expected(packet, kind, size, ecn=False):
    """Each segment built from the whole's fields by Scapy, which counts its lengths and checksums itself."""
    layer = TCP if kind in (TCP4, TCP6) else UDP
    payload = bytes(packet[layer].payload)
    starts = range(0, len(payload), size) or range(1)
    built = []
    for number, start in enumerate(starts):
        one = packet.copy()
        one[layer].remove_payload()
        if IP in one:
            one[IP].id = (packet[IP].id + number) & 0xFFFF
        if layer is TCP:
            one[TCP].seq = (packet[TCP].seq + start) % 2**32
            if start + size < len(payload):
                one[TCP].flags &= ~0x09
            if ecn and number:
                one[TCP].flags &= ~0x80
        built.append(one / Raw(payload[start : start + size]))
    return padded(built)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from([TCP4, TCP6, USO]),
    link=st.sampled_from(LINKS),
    version=st.sampled_from([4, 6]),
    network=st.integers(0, 1),
    size=st.integers(1, 1460),
    count=st.integers(0, 12),
    rest=st.integers(0, 1459),
    ecn=st.booleans(),
    fill=st.binary(min_size=1, max_size=7),
)
def test_every_segment_is_what_scapy_makes_of_it(kind, link, version, network, size, count, rest, ecn, fill):
    length = count * size + rest % size
    layers = NETWORKS[{TCP4: 4, TCP6: 6, USO: version}[kind]][network]
    packet = link / layers / (DATAGRAM if kind == USO else SEGMENT) / Raw((fill * length)[:length])
    frame, facts = unfinished(packet, kind, size, ecn)
    assert valid(frame, facts) == ""
    assert complete(frame, facts) == expected(packet, kind, size, ecn)


@pytest.mark.parametrize(("kind", "network"), [(TCP4, V4), (TCP6, EXTENDED), (USO, V4), (USO, V6)])
def test_a_packet_whose_checksum_is_whole_is_cut_all_the_same(kind, network):
    """virtio 5.1.6.2 wants NEEDS_CSUM with GSO; receivers that merge segments hand up whole sums."""
    packet = ETHER / network / (DATAGRAM if kind == USO else SEGMENT) / Raw(bytes(range(250)) * 4)
    facts = FrameFacts(segment_size=300, segment_kind=kind)
    assert complete(bytes(packet), facts) == expected(packet, kind, 300)


def test_rfc_768_no_checksum_stays_none_and_zero_becomes_ones():
    none = ETHER / V4 / UDP(sport=1, dport=2, chksum=0) / Raw(bytes(20))
    assert [one[40:42] for one in complete(bytes(none), FrameFacts(segment_size=10, segment_kind=USO))] == [
        bytes(2)
    ] * 2
    payload = bytearray(20)
    summed = bytes(ETHER / V4 / UDP(sport=1, dport=2) / Raw(payload[:10]))
    payload[:2] = summed[40:42]  # now the sum of all is ones, its complement zero
    frame, facts = unfinished(ETHER / V4 / UDP(sport=1, dport=2) / Raw(payload), USO, 10)
    assert complete(frame, facts)[0][40:42] == b"\xff\xff"


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(LINKS), st.integers(0, 1), st.integers(8, 1480), st.integers(0, 5000), st.binary(min_size=1))
def test_ufo_over_ipv4_gives_the_fragments_that_scapy_makes(link, network, size, length, fill):
    packet = link / NETWORKS[4][network] / DATAGRAM / Raw((fill * length)[:length])
    frame, facts = unfinished(packet, UFO, size)
    pieces = complete(frame, facts)
    assert pieces == padded(fragment(Ether(bytes(packet)), size & ~7))
    assert valid(frame, facts) == ""


@pytest.mark.parametrize("size", [8, 1448, 1455])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (V6, None),
        (V6 / IPv6ExtHdrHopByHop(), None),
        (V6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrRouting(), IPv6ExtHdrDestOpt()),
        (V6, IPv6ExtHdrDestOpt()),
    ],
)
def test_rfc_8200_4_5_ufo_over_ipv6_puts_a_fragment_header_behind_what_routers_read(before, after, size):
    inside = (after / DATAGRAM if after else DATAGRAM) / Raw(bytes(range(256)) * (20 if size > 8 else 1))
    whole = TAGGED / before / inside
    frame, facts = unfinished(whole, UFO, size)
    pieces = complete(frame, facts)
    ident = int.from_bytes(pieces[0][18 + len(before) + 4 : 18 + len(before) + 8], "big")
    room = len(before) + 8 + (size & ~7)
    wanted = fragment6(before / IPv6ExtHdrFragment(id=ident) / inside, room)
    assert pieces == padded(TAGGED / piece for piece in wanted)


def test_fragments_come_together_again():
    for network, back, kind in ((V4, defragment, IP), (EXTENDED, defragment6, IPv6)):
        packet = network / DATAGRAM / Raw(bytes(range(251)) * 30)
        frame, facts = unfinished(ETHER / packet, UFO, 1480)
        together = back([kind(piece[14:]) for piece in complete(frame, facts)])
        again = together[0] if kind is IP else together
        assert bytes(again[UDP]) == bytes(packet[UDP])


def test_different_datagrams_have_different_identifications():
    idents = set()
    for number in range(50):
        packet = ETHER / V6 / DATAGRAM / Raw(bytes([number]) * 100)
        frame, facts = unfinished(packet, UFO, 64)
        idents.add(complete(frame, facts)[0][58:62])
    assert len(idents) == 50


WHOLE = ETHER / V4 / SEGMENT / Raw(bytes(3000))
RAW, FACTS = unfinished(WHOLE, TCP4, 1000)


@pytest.mark.parametrize(
    ("frame", "changes", "reason"),
    [
        (RAW, {"segment_kind": "gre"}, "no kind"),
        (RAW, {"segment_kind": TCP6}, "IP header"),
        (RAW, {"segment_kind": USO}, "protocol 6"),
        (RAW, {"checksum_start": 36}, "checksum at 36"),
        (RAW, {"checksum_offset": 6}, "checksum at 34"),
        (RAW[:13], {}, "IP header"),
        (RAW[:33], {}, "IP header"),
        (RAW[:53], {}, "no whole tcp4 header"),
        (RAW[:60], {}, "no whole tcp4 header"),
        (RAW[:46] + b"\x40" + RAW[47:], {}, "no whole tcp4 header"),
        (RAW[:14] + b"\x44" + RAW[15:], {}, "IPv4 header of 16 bytes"),
        (RAW[:20] + b"\x20" + RAW[21:], {}, "a fragment"),
        (RAW[:54] + bytes(MOST_SEGMENTS + 100), {"segment_size": 1}, "more than"),
        (RAW, {"segment_size": -1}, "more than"),
        (RAW[:23] + b"\x11" + RAW[24:], {"segment_kind": UFO, "checksum_offset": 6, "segment_size": 7}, "eight bytes"),
        (RAW[:23] + b"\x11" + RAW[24:] + bytes(63000), {"segment_kind": UFO, "checksum_offset": 6}, "put together"),
    ],
)
def test_what_cannot_be_cut_stays_as_it_is_and_says_why(frame, changes, reason):
    facts = FACTS._replace(**changes)
    assert reason in valid(frame, facts)
    assert complete(frame, facts) == [frame]


def test_headers_that_would_fill_memory_by_being_repeated_are_refused():
    extensions = bytes([0, 63]) + bytes(510) + bytes([6, 63]) + bytes(510)
    frame = bytes(ETHER / V6)[:20] + b"\0" + bytes(ETHER / V6)[21:] + extensions + bytes(SEGMENT) + bytes(5000)
    assert len(frame) > LONGEST_HEADERS
    assert "can be repeated" in valid(frame, FrameFacts(segment_size=1000, segment_kind=TCP6))


def test_a_hint_about_headers_is_no_more_than_a_hint():
    """virtio 5.1.6.2.1: without HDRLEN a device relies on header_length for nothing but speed."""
    for hint in (0, 20, 54, 65535):
        assert complete(RAW, FACTS._replace(header_length=hint)) == expected(WHOLE, TCP4, 1000)


@pytest.mark.parametrize(("start", "offset"), [(65535, 65535), (3066, 6), (3060, 5), (2, 65535)])
def test_a_checksum_outside_the_frame_is_not_inserted(start, offset):
    facts = FrameFacts(start, offset)
    assert complete(RAW, facts) == [RAW]
    assert "a checksum at" in valid(RAW, facts)


@settings(max_examples=300, deadline=None)
@given(
    frame=st.one_of(
        st.binary(max_size=200),
        st.tuples(
            st.sampled_from(["4", "6"]), st.binary(max_size=20), st.integers(0, 90), st.binary(max_size=3000)
        ).map(lambda parts: _mangled(*parts)),
    ),
    facts=st.builds(
        FrameFacts,
        st.integers(0, 65535) | st.integers(0, 120),
        st.sampled_from([0, 6, 16, 65535]),
        st.integers(0, 65535) | st.integers(0, 16),
        st.integers(0, 65535),
        st.just(False),
        st.sampled_from([TCP4, TCP6, UFO, USO]),
        st.booleans(),
    ),
)
def test_nothing_a_driver_says_raises_or_grows_without_bounds(frame, facts):
    pieces = complete(frame, facts)
    assert 1 <= len(pieces) <= MOST_SEGMENTS + 1
    assert sum(map(len, pieces)) <= len(frame) + len(pieces) * (LONGEST_HEADERS + 8)
    if valid(frame, facts):
        assert pieces == [frame]


def _mangled(version, noise, at, payload):
    """A good packet, overwritten somewhere in its headers."""
    frame = bytearray(bytes(ETHER / (V4 if version == "4" else EXTENDED) / SEGMENT) + payload)
    frame[at : at + len(noise)] = noise
    return bytes(frame)
