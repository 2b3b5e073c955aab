"""Ethernet and 802.1Q headers (IEEE 802.3, 3.2; 802.1Q, 9.6)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.l2 import Dot1Q, Ether

from motenet.stack.wire import Malformed, ethernet

macs = st.binary(min_size=6, max_size=6)


def test_ethernet_ii_header_bytes() -> None:
    frame = ethernet.parse(memoryview(bytes.fromhex("010203040506 111213141516 0800 aa00ff")))
    assert frame.destination == bytes((1, 2, 3, 4, 5, 6))
    assert frame.source == bytes((0x11, 0x12, 0x13, 0x14, 0x15, 0x16))
    assert (frame.ethertype, frame.vlan, bytes(frame.payload)) == (ethernet.IPV4, None, b"\xaa\0\xff")


@given(macs, macs, st.integers(0, 0xFFFF).filter(lambda kind: kind not in (0x8100, 0x88A8)))
def test_emitted_header_is_what_scapy_reads(destination: bytes, source: bytes, ethertype: int) -> None:
    frame = bytearray(14)
    ethernet.emit(memoryview(frame), destination, source, ethertype)
    theirs = Ether(bytes(frame))
    assert (theirs.dst, theirs.src) == (destination.hex(":"), source.hex(":"))
    assert bytes(frame[12:]) == ethertype.to_bytes(2, "big")


@given(st.integers(0, 7), st.integers(0, 4095))
def test_802_1q_tag_as_scapy_writes_it(priority: int, identifier: int) -> None:
    tag = Dot1Q(prio=priority, vlan=identifier, type=0x0806)
    frame = ethernet.parse(
        memoryview(bytes(Ether(dst="ff:ff:ff:ff:ff:ff", src="02:00:00:00:00:01") / tag / b"payload"))
    )
    assert frame.vlan == priority << 13 | identifier
    assert (frame.ethertype, bytes(frame.payload)) == (ethernet.ARP, b"payload")


@pytest.mark.parametrize("data", [b"", bytes(13), bytes(12) + b"\x81\x00", bytes(12) + b"\x81\x00\0\0\x08"])
def test_a_header_that_is_not_whole_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed, match="ethernet-short"):
        ethernet.parse(memoryview(data))


@pytest.mark.parametrize("start", ["88a8 0001 0800", "88a8 0001 8100 0002 0800", "8100 0001 8100 0002 0800"])
def test_802_1ad_a_frame_with_two_tags_is_a_bridges(start: str) -> None:
    with pytest.raises(Malformed, match="vlan-stacked"):
        ethernet.parse(memoryview(bytes(12) + bytes.fromhex(start) + bytes(46)))


def test_802_1q_9_6_tagged_header_bytes() -> None:
    """Priority 5, drop eligible, network 100; a jumbo frame's payload is as long as it is."""
    frame = bytearray(18 + 9000)
    assert ethernet.emit(memoryview(frame), bytes(6), b"\2" * 6, ethernet.IPV6, 5 << 13 | 1 << 12 | 100) == 18
    assert frame[12:18].hex() == "8100b06486dd"
    parsed = ethernet.parse(memoryview(frame))
    assert (parsed.vlan, parsed.ethertype, len(parsed.payload)) == (0xB064, ethernet.IPV6, 9000)
