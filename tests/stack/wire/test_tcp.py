"""TCP's wire format (RFC 9293, 3.1 and 3.2): literal bytes, and Scapy as the other opinion."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP

from motenet.core.checksum import pseudo_header_sum
from motenet.stack.wire import Malformed, ipv4, tcp
from motenet.stack.wire.tcp import Segment

SOURCE, DESTINATION = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))

SYN_OF_LINUX = bytes.fromhex(
    "0400 0050 00000064 00000000 a002 2000 0f49 0000 0204 05b4 0402 080a 00000001 00000000 01 030307"
)
"""The options in Linux's order: MSS, SACK permitted, timestamps, NOP, window scale; checksum by Scapy."""

numbers = st.integers(0, 0xFFFF_FFFF)
shorts = st.integers(0, 0xFFFF)


def pseudo(length: int) -> int:
    return pseudo_header_sum(SOURCE, DESTINATION, ipv4.TCP, length)


def emitted(segment: Segment) -> bytes:
    """The segment as software with a checksum of its own sends it."""
    length = tcp.header_length(segment)
    total = length + segment.payload_length
    buffer = bytearray(b"\xa5" * length)
    assert tcp.emit_header(segment, memoryview(buffer), pseudo(total)) == length
    return bytes(buffer) + b"".join(bytes(piece) for piece in segment.payload)


def parsed(data: bytes) -> Segment:
    return tcp.parse(memoryview(data), pseudo(len(data)))


def seen_by_scapy(data: bytes) -> Any:
    """Scapy's view, with its verdict on the checksum: it recomputes the same one."""
    packet = IP(bytes(IP(src="10.0.0.1", dst="10.0.0.2", proto=6) / data))
    given_sum = packet[TCP].chksum
    del packet[TCP].chksum
    assert IP(bytes(packet))[TCP].chksum == given_sum
    return IP(bytes(IP(src="10.0.0.1", dst="10.0.0.2", proto=6) / data))[TCP]


def test_syn_of_linux_is_read() -> None:
    segment = parsed(SYN_OF_LINUX)
    assert (segment.source_port, segment.destination_port, segment.seq, segment.ack) == (1024, 80, 100, 0)
    assert (segment.flags, segment.window, segment.urgent) == (tcp.SYN, 8192, 0)
    assert (segment.mss, segment.window_scale, segment.sack_permitted) == (1460, 7, True)
    assert segment.timestamps == (1, 0)
    assert (segment.payload, segment.payload_length, segment.length) == ([], 0, 1)


def test_rfc_9293_3_1_header_bytes() -> None:
    """The fields in the order of figure 1, no options, checksum from the RFC's rule by hand."""
    segment = Segment(
        0x1234, 0x5678, 0x9ABCDEF0, 0x0F1E2D3C, tcp.ACK | tcp.PSH, 0x4B5A, payload=[b"\x01"], payload_length=1
    )
    assert segment.length == 1
    data = emitted(segment)
    assert data[:16].hex() == "123456789abcdef00f1e2d3c50184b5a"
    words = [0x0A00, 1, 0x0A00, 2, 6, 21, 0x1234, 0x5678, 0x9ABC, 0xDEF0, 0x0F1E, 0x2D3C, 0x5018, 0x4B5A, 0, 0, 0x0100]
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert int.from_bytes(data[16:18], "big") == total ^ 0xFFFF


def test_rfc_7323_appendix_a_timestamps_are_padded_with_two_nops() -> None:
    data = emitted(Segment(1, 2, 3, 4, tcp.ACK, 5, timestamps=(5_000_000, 7_000_000)))
    assert data[12] >> 4 == 8
    assert data[20:] == bytes.fromhex("0101080a 004c4b40 006acfc0")


def test_rfc_2018_3_sack_option_bytes() -> None:
    data = emitted(Segment(1, 2, 3, 4, tcp.ACK, 5, sack=((875, 1225), (1500, 2500))))
    assert data[20:] == bytes.fromhex("0101 0512 0000036b 000004c9 000005dc 000009c4")


@pytest.mark.parametrize("option", [{"mss": 1460}, {"window_scale": 7}, {"sack_permitted": True}])
def test_must_65_options_of_a_syn_are_sent_on_no_other_segment(option: dict[str, Any]) -> None:
    assert len(emitted(Segment(1, 2, 3, 4, tcp.ACK, 5, **option))) == 20
    assert len(emitted(Segment(1, 2, 3, 4, tcp.ACK, 5, sack=((1, 2),), **option))) == 32
    assert len(emitted(Segment(1, 2, 3, 4, tcp.SYN, 5, **option))) == 24


def test_the_card_finds_the_pseudo_headers_sum_where_it_computes_the_checksum() -> None:
    buffer = bytearray(20)
    tcp.emit_header(Segment(1, 2, 3, 4, tcp.ACK, 5), memoryview(buffer), 0xBEEF, checksum=False)
    assert buffer[16:18] == b"\xbe\xef"


def test_must_3_a_wrong_checksum_is_malformed_unless_the_card_has_verified_it() -> None:
    wrong = bytearray(SYN_OF_LINUX)
    wrong[16] ^= 1
    with pytest.raises(Malformed, match="tcp-checksum"):
        parsed(bytes(wrong))
    assert tcp.parse(memoryview(wrong)).seq == 100


@pytest.mark.parametrize(
    ("data", "reason"),
    [(SYN_OF_LINUX[:19], "tcp-truncated"), (b"", "tcp-truncated"), (SYN_OF_LINUX[:39], "tcp-offset")],
)
def test_a_header_that_is_not_all_there_is_malformed(data: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        tcp.parse(memoryview(data))


def test_an_offset_below_five_words_is_malformed() -> None:
    with pytest.raises(Malformed, match="tcp-offset"):
        tcp.parse(memoryview(SYN_OF_LINUX[:12] + b"\x40" + SYN_OF_LINUX[13:]))


def with_options(options: bytes) -> memoryview:
    padded = options + bytes(-len(options) % 4)
    return memoryview(SYN_OF_LINUX[:12] + bytes(((20 + len(padded)) << 2, 2)) + SYN_OF_LINUX[14:20] + padded)


def test_must_6_unknown_options_are_passed_over_by_their_length() -> None:
    segment = tcp.parse(with_options(bytes.fromhex("0c05010203 020405b4")))
    assert segment.mss == 1460


def test_must_64_options_begin_at_any_octet() -> None:
    segment = tcp.parse(with_options(bytes.fromhex("030307 020405b4 01 0402")))
    assert (segment.window_scale, segment.mss, segment.sack_permitted) == (7, 1460, True)


@pytest.mark.parametrize("illegal", ["0c00", "0c01", "0cff", "0c", "0200020405b4", "0201020405b4"])
def test_must_7_an_illegal_option_length_ends_the_list(illegal: str) -> None:
    segment = tcp.parse(with_options(bytes.fromhex("030307" + illegal)))
    assert (segment.window_scale, segment.mss) == (7, None)


@pytest.mark.parametrize("wrong", ["0203ff", "0304ffff", "0403ff", "0509" + "ff" * 7, "0804ffff"])
def test_an_option_with_the_wrong_length_for_its_kind_is_passed_over(wrong: str) -> None:
    segment = tcp.parse(with_options(bytes.fromhex(wrong) + bytes.fromhex("020405b4")))
    assert segment.mss == 1460
    assert (segment.window_scale, segment.sack_permitted, segment.sack, segment.timestamps) == (None, False, (), None)


def test_payload_is_lent_not_copied_and_what_gro_has_joined_follows() -> None:
    data = bytearray(SYN_OF_LINUX + b"abc")
    segment = tcp.parse(memoryview(data), None, [memoryview(b"defg"), memoryview(b"h")])
    data[-1] = ord("C")
    assert [bytes(piece) for piece in segment.payload] == [b"abC", b"defg", b"h"]
    assert segment.payload_length == 8


def test_rfc_9293_3_4_comparisons_wrap() -> None:
    assert tcp.unwrap(5, 2**32 - 10) == 2**32 + 5
    assert tcp.unwrap(2**32 - 5, 2**32 + 3) == 2**32 - 5
    assert tcp.unwrap(7, 7 + 5 * 2**32) == 7 + 5 * 2**32
    assert tcp.precedes(2**32 - 1, 0)
    assert not tcp.precedes(0, 2**32 - 1)
    assert not tcp.precedes(9, 9)


@given(near=st.integers(0, 2**40), distance=st.integers(-(2**31), 2**31 - 1))
def test_unwrap_finds_the_nearest(near: int, distance: int) -> None:
    assert tcp.unwrap((near + distance) & tcp.MASK, near) == near + distance


segments = st.builds(
    Segment,
    source_port=shorts,
    destination_port=shorts,
    seq=numbers,
    ack=numbers,
    flags=st.integers(0, 0xFF),
    window=shorts,
    urgent=shorts,
    mss=st.none() | shorts,
    window_scale=st.none() | st.integers(0, 255),
    sack_permitted=st.booleans(),
    sack=st.lists(st.tuples(numbers, numbers), max_size=1).map(tuple),
    timestamps=st.none() | st.tuples(numbers, numbers),
)


@given(segment=segments, pieces=st.lists(st.binary(max_size=900), max_size=4))
def test_scapy_reads_what_we_emit(segment: Segment, pieces: list[bytes]) -> None:
    """Pieces of odd lengths too: the checksum goes over the whole (MUST-2)."""
    segment.payload, segment.payload_length = list(pieces), sum(map(len, pieces))
    data = emitted(segment)
    other = seen_by_scapy(data)
    assert (other.sport, other.dport, other.seq, other.ack) == (
        segment.source_port, segment.destination_port, segment.seq, segment.ack,
    )  # fmt: skip
    assert (int(other.flags), other.window, other.urgptr) == (segment.flags, segment.window, segment.urgent)
    options = dict(other.options)
    syn = bool(segment.flags & tcp.SYN)
    assert options.get("MSS") == (segment.mss if syn else None)
    assert options.get("WScale") == (segment.window_scale if syn else None)
    assert ("SAckOK" in options) == (segment.sack_permitted and syn)
    assert options.get("Timestamp") == segment.timestamps
    assert options.get("SAck", ()) == tuple(edge for block in segment.sack for edge in block)
    assert bytes(other.payload) == b"".join(pieces)


@given(segment=segments, payload=st.binary(max_size=40))
def test_what_is_emitted_is_read_back(segment: Segment, payload: bytes) -> None:
    segment.payload, segment.payload_length = ([payload], len(payload)) if payload else ([], 0)
    if not segment.flags & tcp.SYN:
        segment.mss, segment.window_scale, segment.sack_permitted = None, None, False
    assert parsed(emitted(segment)) == segment


options_of_scapy = st.lists(
    st.sampled_from(
        [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (7, 9)), ("NOP", None), ("WScale", 5), ("SAck", (1, 2, 5, 6))]
    ),
    max_size=4,
    unique_by=lambda option: option[0],
)


@given(
    ports=st.tuples(shorts, shorts), seq=numbers, ack=numbers, flags=st.integers(0, 255), window=shorts,
    options=options_of_scapy, payload=st.binary(max_size=1460),
)  # fmt: skip
def test_we_read_what_scapy_builds(
    ports: tuple[int, int], seq: int, ack: int, flags: int, window: int, options: list[Any], payload: bytes
) -> None:
    other = TCP(sport=ports[0], dport=ports[1], seq=seq, ack=ack, flags=flags, window=window, options=options)
    segment = parsed(bytes(IP(src="10.0.0.1", dst="10.0.0.2") / other / payload)[20:])
    expected = dict(options)
    assert (segment.source_port, segment.destination_port) == ports
    assert (segment.seq, segment.ack, segment.flags, segment.window) == (seq, ack, flags, window)
    assert segment.mss == expected.get("MSS")
    assert segment.window_scale == expected.get("WScale")
    assert segment.sack_permitted == ("SAckOK" in expected)
    assert segment.timestamps == expected.get("Timestamp")
    assert segment.sack == (((1, 2), (5, 6)) if "SAck" in expected else ())
    assert b"".join(bytes(piece) for piece in segment.payload) == payload


@given(data=st.binary(max_size=100))
def test_arbitrary_bytes_are_a_segment_or_malformed(data: bytes) -> None:
    before = bytes(data)
    try:
        segment = tcp.parse(memoryview(data))
    except Malformed:
        assert len(data) < 20 or not 20 <= data[12] >> 4 << 2 <= len(data)
    else:
        assert segment.payload_length == len(data) - (data[12] >> 4 << 2)
    assert data == before
