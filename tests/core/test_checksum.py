"""The Internet checksum against RFC 1071's own example, known headers and scapy; the FCS against its check value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.utils import checksum as scapy_checksum

from motenet.core.checksum import frame_check_sequence, internet_checksum, ones_sum, pseudo_header_sum

RFC_1071 = bytes.fromhex("0001f203f4f5f6f7")


def test_rfc_1071_section_3_example() -> None:
    assert ones_sum(RFC_1071) == 0xDDF2
    assert internet_checksum(RFC_1071) == 0x220D


def test_a_known_ipv4_header() -> None:
    header = bytes.fromhex("45000073000040004011 0000 c0a80001c0a800c7")
    assert internet_checksum(header) == 0xB861


def test_a_good_packet_sums_to_all_ones() -> None:
    assert internet_checksum(bytes.fromhex("45000073000040004011 b861 c0a80001c0a800c7")) == 0


@pytest.mark.parametrize("data", ["ffff", "ffffffff", "fffe0001", "ff00 00ff"])
def test_a_sum_that_is_not_zero_never_folds_to_zero(data: str) -> None:
    """RFC 1071, 1: end-around carry turns ffff + 0 into ffff, which `% 0xFFFF` alone would make 0."""
    assert ones_sum(bytes.fromhex(data)) == 0xFFFF
    long = bytes.fromhex(data) + bytes(2048)
    assert ones_sum(long) == 0xFFFF, "the vector path folds alike"


def test_nothing_sums_to_zero() -> None:
    assert (ones_sum(b""), ones_sum(bytes(4096))) == (0, 0)


def test_an_odd_last_byte_is_padded_with_zero() -> None:
    assert ones_sum(b"\x12\x34\x56") == ones_sum(b"\x12\x34\x56\x00") == 0x1234 + 0x5600


@given(st.binary(max_size=3000) | st.binary(min_size=699, max_size=705), st.integers(0, 0xFFFF))
def test_any_data_sums_as_word_by_word_addition(data: bytes, initial: int) -> None:
    padded = data + bytes(len(data) & 1)
    total = initial
    for offset in range(0, len(padded), 2):
        total += padded[offset] << 8 | padded[offset + 1]
        total = (total & 0xFFFF) + (total >> 16)
    assert ones_sum(data, initial) == total
    assert ones_sum(memoryview(data), initial) == total
    if not initial:
        assert internet_checksum(data) == scapy_checksum(data)


def test_pseudo_header_of_a_known_udp_datagram() -> None:
    """RFC 768: a datagram 10.0.0.1:1024 -> 10.0.0.2:53 of 12 bytes, summed by hand."""
    datagram = bytes.fromhex("0400 0035 000c 0000 61626364")
    start = pseudo_header_sum(bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]), 17, 12)
    assert start == 0x0A00 + 0x0001 + 0x0A00 + 0x0002 + 17 + 12
    assert internet_checksum(datagram, start) == 0xFFFF - (start + 0x0400 + 0x0035 + 0x000C + 0x6162 + 0x6364)


def test_fcs_is_crc_32_with_the_least_significant_byte_first() -> None:
    """The check value of CRC-32 (IEEE 802.3, 3.2.9) for "123456789" is CBF43926."""
    assert frame_check_sequence(b"123456789") == bytes.fromhex("2639f4cb")
