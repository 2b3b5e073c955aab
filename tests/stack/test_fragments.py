"""Fragmentation (RFC 791, 3.2) and reassembly (RFC 1122, 3.3.2; RFC 815), with Scapy at the other end."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from scapy.layers.l2 import Ether

from motenet.core.clock import Clock
from motenet.stack.reassembly import MAXIMUM_BYTES, MAXIMUM_DATAGRAMS, Reassembly
from motenet.stack.wire import Malformed, ipv4, ipv6

SECOND = 1_000_000_000
US, PEER = "02:00:00:00:00:01", "02:00:00:00:00:02"
DATA = bytes(range(256)) * 20


def pieces(size: int = 1480, data: bytes = DATA, ident: int = 77) -> list[Any]:
    """The frames of a fragmented datagram to us, cut by Scapy."""
    packet = IP(src="10.0.0.2", dst="10.0.0.1", id=ident) / UDP(sport=9, dport=7) / data
    return [Ether(src=PEER, dst=US) / IP(bytes(one)) for one in fragment(packet, size)]


def put_together(frames: list[Any]) -> bytes:
    """What a receiver that trusts offsets makes of fragments."""
    last = max(frames, key=lambda frame: frame[IP].frag)
    data = bytearray(last[IP].frag * 8 + len(last[IP].payload))
    for frame in frames:
        start = frame[IP].frag * 8
        data[start : start + len(frame[IP].payload)] = bytes(frame[IP].payload)
    return bytes(data)


# --- the way out


def test_rfc_791_a_datagram_that_is_too_long_goes_in_pieces_of_eight_bytes(script: Any) -> None:
    script.know_peer()
    socket = script.stack.udp_socket(1000)
    socket.send_to(DATA, "10.0.0.2", 7)
    frames = script.sent()
    assert [frame[IP].frag for frame in frames] == [0, 185, 370, 555]
    assert [str(frame[IP].flags) for frame in frames] == ["MF", "MF", "MF", ""]
    assert len({frame[IP].id for frame in frames}) == 1
    assert all(frame[IP].len <= 1500 for frame in frames)
    whole = frames[0][IP].copy()
    assert UDP(put_together(frames)).payload.load == DATA
    rebuilt = IP(src=whole.src, dst=whole.dst, proto=17) / put_together(frames)
    checked = IP(bytes(rebuilt))
    given_sum = checked[UDP].chksum
    del checked[UDP].chksum
    assert IP(bytes(checked))[UDP].chksum == given_sum


def test_rfc_6864_identifications_differ_between_datagrams(script: Any) -> None:
    script.know_peer()
    socket = script.stack.udp_socket(1000)
    for _ in range(3):
        socket.send_to(DATA, "10.0.0.2", 7)
    assert len({frame[IP].id for frame in script.sent()}) == 3


def test_when_the_device_fills_up_half_way_the_rest_follows_first(script: Any) -> None:
    script.know_peer()
    socket = script.stack.udp_socket(1000)
    script.driver.room = 2
    socket.send_to(DATA, "10.0.0.2", 7)
    socket.send_to(b"after", "10.0.0.2", 7)
    frames = script.sent()
    assert len(frames) == 2
    assert script.stack.poll_at(script.bench.now) > script.bench.now  # not a busy loop
    script.driver.room = 100
    frames += script.sent()
    assert put_together(frames[:4])[8:] == DATA
    assert bytes(frames[4][UDP].payload) == b"after"
    assert script.drops == {}


def test_a_device_that_is_full_from_the_start_costs_nothing(script: Any) -> None:
    script.know_peer()
    socket = script.stack.udp_socket(1000)
    script.driver.room = 0
    socket.send_to(DATA, "10.0.0.2", 7)
    assert script.sent() == []
    script.driver.room = 100
    assert len(script.pass_time(SECOND)) == 4


# --- the way in


@given(st.randoms(use_true_random=False), st.integers(8, 1480), st.integers(0, 3))
def test_fragments_in_any_order_with_duplicates_make_the_datagram(order: random.Random, size: int, again: int) -> None:
    reassembly = Reassembly(Clock())
    parts = [ipv4.parse(memoryview(bytes(frame[IP]))) for frame in pieces(max(size, 200), DATA[:3000])]
    parts += parts[:again]
    order.shuffle(parts)
    whole = [found for part in parts if (found := reassembly.add(part, 0)) is not None]
    assert len(whole) >= 1
    assert bytes(whole[0].payload)[8:] == DATA[:3000]
    assert not whole[0].is_fragment


def test_a_reassembled_datagram_reaches_its_socket_and_its_checksum_is_looked_at(script: Any) -> None:
    socket = script.stack.udp_socket(7)
    script.hear(*pieces())
    assert socket.receive().data == DATA
    bad = pieces(data=DATA[:-1] + b"\0", ident=78)[:-1] + pieces(ident=78)[-1:]
    script.hear(*bad)
    assert socket.receive() is None
    assert script.drops == {"udp-checksum": 1}


def test_a_large_echo_comes_back_whole(script: Any) -> None:
    script.know_peer()
    packet = IP(src="10.0.0.2", dst="10.0.0.1") / ICMP(id=5, seq=6) / DATA
    sent = script.hear(*[Ether(src=PEER, dst=US) / IP(bytes(one)) for one in fragment(packet, 1480)])
    reply = ICMP(put_together(sent))
    assert (reply.type, reply.id, reply.seq, bytes(reply.payload)) == (0, 5, 6, DATA)


def test_rfc_1122_3_3_2_time_exceeded_after_sixty_seconds_if_the_first_fragment_came(script: Any) -> None:
    first, second, *_ = pieces()
    _, without_first, *_ = pieces(ident=78)
    script.hear(first, second, without_first)
    script.bench.now = 60 * SECOND - 1
    script.know_peer()
    (error,) = script.pass_time(SECOND)
    assert (error[ICMP].type, error[ICMP].code) == (11, 1)
    assert (error[ICMP].payload.id, error[ICMP].payload.src) == (77, "10.0.0.2")
    assert script.drops == {"reassembly-timeout": 2}
    assert script.stack.node.reassembly.bytes == 0


def part(offset: int, payload: bytes, more: bool = True, ident: int = 1) -> ipv4.Packet:
    flags = offset // 8 | (ipv4.MORE_FRAGMENTS if more else 0)
    header = bytearray(20)
    ipv4.emit(memoryview(header), bytes(4), bytes(4), 17, len(payload), 64, ident, flags)
    return ipv4.parse(memoryview(bytes(header) + payload))


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([part(0, bytes(12))], "fragment-length"),
        ([part(8, b"")], "fragment-length"),
        ([part(65528, bytes(8), more=False)], "fragment-too-long"),
        ([part(0, bytes(16)), part(8, bytes(16))], "fragment-overlap"),
        ([part(8, bytes(16)), part(0, bytes(16))], "fragment-overlap"),
        ([part(0, bytes(24)), part(8, bytes(8))], "fragment-overlap"),
        ([part(8, bytes(8)), part(0, bytes(24))], "fragment-overlap"),
        ([part(16, bytes(8), more=False), part(24, bytes(8))], "fragment-end"),
        ([part(24, bytes(8)), part(16, bytes(8), more=False)], "fragment-end"),
        ([part(16, bytes(8), more=False), part(32, bytes(8), more=False)], "fragment-end"),
    ],
)
def test_fragments_that_contradict_each_other_end_their_datagram(parts: list[ipv4.Packet], reason: str) -> None:
    reassembly = Reassembly(Clock())
    *before, last = parts
    for one in before:
        assert reassembly.add(one, 0) is None
    with pytest.raises(Malformed, match=reason):
        reassembly.add(last, 0)
    if before:
        assert (reassembly.partials, reassembly.bytes) == ({}, 0)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(
    ("codepoints", "expected"),
    [([2, 2, 2], 2), ([0, 0, 0], 0), ([2, 3, 2], 3), ([1, 1, 3], 3), ([3, 2, 1], 3), ([0, 2, 3], None)],
)
def test_rfc_3168_5_3_a_mark_on_any_fragment_is_kept(family: int, codepoints: list[int], expected: int | None) -> None:
    """But not-ECT and CE in one datagram end it; all else is as the first fragment says, whichever comes last."""
    reassembly = Reassembly(Clock())
    packets = fragment(IP() / UDP() / bytes(3000), 1480)
    if family == 6:
        packets = fragment6(IPv6() / IPv6ExtHdrFragment(id=7) / UDP() / bytes(3000), 1280)
    parts = []
    for number, (packet, codepoint) in enumerate(zip(packets, codepoints, strict=True)):
        setattr(packet, "tos" if family == 4 else "tc", 0xB8 - 8 * number | codepoint)
        setattr(packet, "ttl" if family == 4 else "hlim", 60 + number)
        packet.chksum = None
        parts.append((ipv4 if family == 4 else ipv6).parse(memoryview(bytes(packet))))
    assert [reassembly.add(one, 0) for one in (parts[2], parts[0])] == [None, None]
    if expected is None:
        with pytest.raises(Malformed, match="fragment-ecn"):
            reassembly.add(parts[1], 0)
        assert (reassembly.partials, reassembly.bytes) == ({}, 0)
    else:
        whole = reassembly.add(parts[1], 0)
        assert (whole.tos, whole.hop_limit) == (0xB8 | expected, 60)


def test_the_number_of_datagrams_is_bounded_and_the_oldest_goes() -> None:
    reassembly = Reassembly(Clock())
    for ident in range(MAXIMUM_DATAGRAMS + 5):
        reassembly.add(part(0, bytes(8), ident=ident), 0)
    assert len(reassembly.partials) == MAXIMUM_DATAGRAMS
    assert min(key[3] for key in reassembly.partials) == 5
    assert reassembly.drops == {"reassembly-full": 5}


def test_the_memory_is_bounded_even_for_the_smallest_fragments() -> None:
    reassembly = Reassembly(Clock())
    for ident in range(8):
        for offset in range(16, 65000, 16):
            reassembly.add(part(offset, bytes(8), ident=ident), 0)
    assert reassembly.bytes <= MAXIMUM_BYTES
    assert reassembly.drops["reassembly-full"] >= 4


def test_save_and_load_in_the_middle_of_a_datagram() -> None:
    parts = [ipv4.parse(memoryview(bytes(frame[IP]))) for frame in pieces()]
    before, after = Reassembly(Clock()), Reassembly(Clock())
    for one in parts[:2]:
        before.add(one, 5)
    after.load(before.save())
    assert after.save() == before.save()
    assert after.add(parts[2], 6) is None
    assert bytes(after.add(parts[3], 6).payload)[8:] == DATA
    assert len(before.partials) == 1
