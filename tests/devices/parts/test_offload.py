"""Checksum insertion and segmentation, against Scapy and against each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether

from motenet.core.checksum import pseudo_header_sum
from motenet.devices.parts import offload
from motenet.devices.parts.offload import Segmentation, complete, insert_checksum, segment
from motenet.doors import FrameFacts

HEADER = Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02") / IP(src="10.0.0.1", dst="10.0.0.2", id=5)


def usual(header, mss, **changes):
    fields = {"ip": 14, "ip_end": 33, "ip_checksum": 24, "tcp": 34, "tcp_end": 0, "tcp_checksum": 50} | changes
    return Segmentation(header, mss, **fields)


def test_rfc_1071_section_3():
    """Its example: the words 0001 f203 f4f5 f6f7 sum up to ddf2, whose complement is 220d."""
    frame = bytearray.fromhex("0001f203f4f5f6f70000")
    assert insert_checksum(frame, 0, 8, 0)
    assert frame[8:] == b"\x22\x0d"


@pytest.mark.parametrize(("start", "offset"), [(10, 4), (11, 4), (0, 9), (0, 10)])
def test_out_of_the_frame_nothing_is_inserted(start, offset):
    frame = bytearray(10)
    assert not insert_checksum(frame, start, offset, 0)
    assert frame == bytes(10)


@given(
    payload=st.binary(max_size=4000),
    mss=st.integers(1, 1460),
    sequence=st.integers(0, 2**32 - 1),
    identification=st.integers(0, 0xFFFF),
    flags=st.integers(0, 255),
    sums=st.binary(min_size=4, max_size=4),
)
def test_the_shared_sums_give_what_single_sums_give(payload, mss, sequence, identification, flags, sums):
    raw = bytearray(bytes(HEADER / TCP(seq=sequence, flags=flags)))
    raw[18:20] = identification.to_bytes(2, "big")
    raw[24:26], raw[50:52] = sums[:2], sums[2:]
    how = usual(54, mss)
    frame = bytes(raw) + payload
    assert how.regular
    alike, singly = offload._segment_alike(frame, how), offload._segment_singly(frame, how)
    assert b"".join(piece[54:] for piece in alike) == payload
    for one, other in zip(alike, singly, strict=True):
        assert [one[:24], one[26:50], one[52:]] == [other[:24], other[26:50], other[52:]]
        for at in (24, 50):  # 0 and FFFF are the same number in one's complement
            assert (one[at] << 8 | one[at + 1]) % 0xFFFF == (other[at] << 8 | other[at + 1]) % 0xFFFF


@pytest.mark.parametrize("changes", [{"tcp_end": 60}, {"ip_end": 0}, {"insert_tcp": False}, {"tcp": 35}])
def test_unusual_layouts_take_the_general_way(changes):
    how = usual(60, 100, **changes)
    assert how.valid
    assert not how.regular
    pieces = segment(bytes(60) + bytes(range(250)), how)
    assert [len(piece) for piece in pieces] == [160, 160, 110]


def test_a_frame_without_payload_is_one_segment():
    raw = bytes(HEADER / TCP(flags="FA"))
    assert len(segment(raw, usual(54, 1000))) == 1


def test_complete_inserts_what_the_sender_left_out():
    wanted = bytes(HEADER / UDP(sport=1, dport=2) / b"abc")
    raw = bytearray(wanted)
    raw[40:42] = pseudo_header_sum(raw[26:30], raw[30:34], 17, 11).to_bytes(2, "big")
    assert complete(bytes(raw), FrameFacts(checksum_start=34, checksum_offset=6)) == [wanted]
    assert complete(wanted, FrameFacts()) == [wanted]


def test_complete_cuts_what_the_sender_left_whole():
    """virtio's convention: the pseudo-header's sum includes the whole length, and the IP header is a whole one's."""
    payload = bytes(range(256)) * 10
    raw = bytearray(bytes(HEADER / TCP(seq=9, flags="PA") / payload))
    raw[50:52] = pseudo_header_sum(raw[26:30], raw[30:34], 6, len(raw) - 34).to_bytes(2, "big")
    facts = FrameFacts(checksum_start=34, checksum_offset=16, segment_size=1000, header_length=54)
    wanted = []
    for number, start in enumerate(range(0, len(payload), 1000)):
        header = HEADER.copy()
        header[IP].id = 5 + number
        flags = "PA" if start + 1000 >= len(payload) else "A"
        wanted.append(bytes(header / TCP(seq=9 + start, flags=flags) / payload[start : start + 1000]))
    assert complete(bytes(raw), facts) == wanted


def test_ieee_802_3_a_short_last_segment_is_padded():
    """Else cards behind a switch would take it for a runt."""
    raw = bytes(HEADER / TCP(seq=9) / bytes(1001))
    last = complete(raw, FrameFacts(34, 16, 1000, 54))[-1]
    assert len(last) == 60
    assert last[16:18] == b"\0\x29"
