"""UDP datagrams (RFC 768)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP

from motenet.core.checksum import pseudo_header_sum
from motenet.stack.wire import Malformed, udp

SOURCE, DESTINATION = bytes((192, 168, 1, 1)), bytes((192, 168, 1, 2))
KNOWN = bytes.fromhex("bf00 0035 000c 124d aa0000ff")


def emitted(datagram: udp.Datagram, checksum: bool = True) -> bytes:
    buffer = bytearray(datagram.length)
    datagram.emit(memoryview(buffer), pseudo_header_sum(SOURCE, DESTINATION, 17, len(buffer)), checksum)
    return bytes(buffer)


def test_known_datagram() -> None:
    datagram = udp.parse(memoryview(KNOWN), SOURCE, DESTINATION)
    assert (datagram.source_port, datagram.destination_port, bytes(datagram.payload)) == (48896, 53, b"\xaa\0\0\xff")
    assert emitted(datagram) == KNOWN


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.binary(max_size=1500))
def test_agrees_with_scapy(source_port: int, destination_port: int, payload: bytes) -> None:
    packet = IP(src="192.168.1.1", dst="192.168.1.2") / UDP(sport=source_port, dport=destination_port) / payload
    theirs = bytes(packet)[20:]
    assert emitted(udp.Datagram(source_port, destination_port, payload)) == theirs
    assert udp.parse(memoryview(theirs), SOURCE, DESTINATION) == udp.Datagram(source_port, destination_port, payload)


def test_rfc_768_a_checksum_of_zero_is_sent_as_all_ones() -> None:
    payload = emitted(udp.Datagram(1, 2, b"\0\0"))[6:8]  # the complement of the rest's sum
    data = emitted(udp.Datagram(1, 2, payload))
    assert data[6:8] == b"\xff\xff"
    assert udp.parse(memoryview(data), SOURCE, DESTINATION).payload == payload


def test_rfc_768_zero_means_no_checksum() -> None:
    assert udp.parse(memoryview(KNOWN[:6] + b"\0\0" + KNOWN[8:]), SOURCE, DESTINATION).payload == KNOWN[8:]


def test_rfc_768_the_length_field_rules_not_that_of_ip() -> None:
    assert udp.parse(memoryview(KNOWN + b"trailing"), SOURCE, DESTINATION).payload == KNOWN[8:]


def test_for_a_card_the_field_holds_the_pseudo_header_sum() -> None:
    data = emitted(udp.Datagram(48896, 53, b"\xaa\0\0\xff"), checksum=False)
    assert int.from_bytes(data[6:8], "big") == pseudo_header_sum(SOURCE, DESTINATION, 17, 12)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (KNOWN[:7], "udp-short"),
        (KNOWN[:5] + b"\x0d" + KNOWN[6:], "udp-length"),
        (KNOWN[:5] + b"\x07" + KNOWN[6:], "udp-length"),
        (KNOWN[:-1] + b"\xfe", "udp-checksum"),
    ],
)
def test_bad_datagrams_are_malformed(data: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        udp.parse(memoryview(data), SOURCE, DESTINATION)


def test_a_card_that_verifies_spares_the_checksum() -> None:
    assert udp.parse(memoryview(KNOWN[:-1] + b"\xfe"), SOURCE, DESTINATION, verify=False).source_port == 48896


def test_rfc_8200_8_1_over_ipv6_a_checksum_there_must_be() -> None:
    """Also where the card has looked at it: it finds nothing wrong with none."""
    for verify in (True, False):
        with pytest.raises(Malformed, match="udp-no-checksum"):
            udp.parse(memoryview(KNOWN[:6] + b"\0\0" + KNOWN[8:]), bytes(16), bytes(16), verify)
