"""ARP packets (RFC 826)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.l2 import ARP

from motenet.stack.address import format_address
from motenet.stack.wire import Malformed, arp

macs = st.binary(min_size=6, max_size=6)
addresses = st.binary(min_size=4, max_size=4)


@given(st.sampled_from((arp.REQUEST, arp.REPLY)), macs, addresses, macs, addresses)
def test_agrees_with_scapy_both_ways(operation: int, mac: bytes, address: bytes, peer_mac: bytes, peer: bytes) -> None:
    theirs = ARP(
        op=operation,
        hwsrc=mac.hex(":"),
        psrc=format_address(address),
        hwdst=peer_mac.hex(":"),
        pdst=format_address(peer),
    )
    ours = arp.Packet(operation, mac, address, peer_mac, peer)
    buffer = bytearray(arp.LENGTH)
    ours.emit(memoryview(buffer))
    assert bytes(buffer) == bytes(theirs)
    assert arp.parse(memoryview(bytes(theirs) + bytes(18))) == ours  # with the padding that Ethernet adds


GOOD = bytes.fromhex("0001 0800 06 04 0001 020000000001 0a000001 000000000000 0a000002")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (GOOD[:27], "arp-short"),
        (b"\0\7" + GOOD[2:], "arp-type"),
        (GOOD[:2] + b"\x86\xdd" + GOOD[4:], "arp-type"),
        (GOOD[:4] + b"\x08" + GOOD[5:], "arp-type"),
        (GOOD[:5] + b"\x10" + GOOD[6:], "arp-type"),
        (GOOD[:7] + b"\x03" + GOOD[8:], "arp-operation"),
    ],
)
def test_rfc_826_packet_reception_asks_for_types_and_operation(data: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        arp.parse(memoryview(data))


def test_rfc_1042_the_hardware_type_may_be_ieee_802s() -> None:
    assert arp.parse(memoryview(b"\0\6" + GOOD[2:])) == arp.parse(memoryview(GOOD))


def test_rfc_5227_1_1_probes_and_announcements() -> None:
    """A probe has "an all-zero 'sender IP address'"; in an announcement both addresses are the sender's."""
    mac, address = bytes.fromhex("020000000001"), bytes((10, 0, 0, 1))
    buffer = bytearray(arp.LENGTH)
    arp.probe(mac, address).emit(memoryview(buffer))
    assert buffer.hex() == "0001080006040001" + mac.hex() + "00000000" + "000000000000" + "0a000001"
    arp.announcement(mac, address).emit(memoryview(buffer))
    assert buffer.hex() == "0001080006040001" + mac.hex() + "0a000001" + "000000000000" + "0a000001"
