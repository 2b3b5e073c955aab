"""Neighbor Discovery messages (RFC 4861, 4; RFC 8106, 5) by literal bytes; Scapy's opinion is in test_oracle."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import ICMPv6ND_RA

from motenet.stack.wire import Malformed, icmpv6, ndisc

UNSPECIFIED = bytes(16)
TARGET = bytes.fromhex("fe80000000000000021122fffe334455")
ROUTER = bytes.fromhex("fe800000000000000000000000000001")
GLOBAL = bytes.fromhex("20010db8000000000000000000000001")
ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
SOLICITED_NODE = bytes.fromhex("ff0200000000000000000001ff334455")
MAC = bytes.fromhex("001122334455")

ADVERTISEMENT = icmpv6.Message(
    icmpv6.ROUTER_ADVERTISEMENT, 0, 0x40_C0_0708,
    bytes.fromhex(
        "00007530 000003e8"  # reachable 30 s, retransmit 1 s
        "0101 001122334455"  # source link-layer address
        "0501 0000 000005dc"  # MTU 1500
        "0304 40 c0 00000e10 00000708 00000000 20010db8000000000000000000000000"
        "1903 0000 00000258 20010db8000000000000000000000001"
        "1f04 0000 00000258 07 6578616d706c65 03 636f6d 00 01 61 00 0000000000000000"
    ),
)  # fmt: skip
"""Hop limit 64, managed and other, router for 1800 s; with every option that it may have."""


def message(kind: int, payload: str | bytes, word: int = 0, code: int = 0) -> icmpv6.Message:
    return icmpv6.Message(kind, code, word, payload if isinstance(payload, bytes) else bytes.fromhex(payload))


def test_rfc_4861_4_2_router_advertisement_field_by_field() -> None:
    record = ndisc.parse(ADVERTISEMENT)
    assert isinstance(record, ndisc.RouterAdvertisement)
    assert (record.hop_limit, record.managed, record.other, record.lifetime) == (64, True, True, 1800)
    assert (record.reachable, record.retransmit, record.source_mac, record.mtu) == (30000, 1000, MAC, 1500)
    prefix = bytes.fromhex("20010db8" + "00" * 12)
    assert record.prefixes == [ndisc.Prefix(prefix, 64, True, True, 3600, 1800)]
    assert record.servers == [ndisc.Servers(600, [GLOBAL])]
    assert record.search == [ndisc.SearchList(600, [(b"example", b"com"), (b"a",)])]


@pytest.mark.parametrize(("field", "preference"), [(0b01, 1), (0b00, 0), (0b11, -1), (0b10, 0)])
def test_rfc_4191_2_1_the_preference_of_a_router(field: int, preference: int) -> None:
    data = bytes(ICMPv6ND_RA(prf=field, routerlifetime=1800, chlim=64))
    word = int.from_bytes(data[4:8], "big")
    record = ndisc.parse(icmpv6.Message(icmpv6.ROUTER_ADVERTISEMENT, 0, word, data[8:]))
    assert isinstance(record, ndisc.RouterAdvertisement)
    assert record.preference == preference
    if field != 0b10:
        assert ndisc.emit(record).word == word


def test_rfc_3971_5_3_2_a_nonce() -> None:
    message = ndisc.emit(ndisc.NeighborSolicitation(TARGET, nonce=b"\1\2\3\4\5\6"))
    assert message.payload == TARGET + bytes((14, 1, 1, 2, 3, 4, 5, 6))
    record = ndisc.parse(message)
    assert isinstance(record, ndisc.NeighborSolicitation)
    assert (record.nonce, record.source_mac) == (b"\1\2\3\4\5\6", b"")


def test_rfc_8106_5_2_names_that_fill_their_option_need_no_padding() -> None:
    option = bytes.fromhex("1f02 0000 00000258 06 616263646566 00")
    record = ndisc.parse(message(icmpv6.ROUTER_ADVERTISEMENT, bytes(8) + option))
    assert isinstance(record, ndisc.RouterAdvertisement)
    assert record.search == [ndisc.SearchList(600, [(b"abcdef",)])]


def test_rfc_4861_4_2_each_flag_is_its_own_bit() -> None:
    managed = ndisc.parse(message(icmpv6.ROUTER_ADVERTISEMENT, bytes(8), 0x00_80_0000))
    other = ndisc.parse(message(icmpv6.ROUTER_ADVERTISEMENT, bytes(8), 0x00_40_0000))
    assert managed == ndisc.RouterAdvertisement(0, True, False, 0, 0, 0)
    assert other == ndisc.RouterAdvertisement(0, False, True, 0, 0, 0)


def test_rfc_4861_4_6_2_on_link_and_autonomous_are_two_bits() -> None:
    for flags, on_link, autonomous in ((0x80, True, False), (0x40, False, True)):
        option = bytes((3, 4, 48, flags)) + bytes(28)
        record = ndisc.parse(message(icmpv6.ROUTER_ADVERTISEMENT, bytes(8) + option))
        assert isinstance(record, ndisc.RouterAdvertisement)
        assert record.prefixes == [ndisc.Prefix(bytes(16), 48, on_link, autonomous, 0, 0)]
        assert ndisc.emit(record).payload == bytes(8) + option


def test_rfc_4861_4_5_redirect_bytes() -> None:
    """The quoted packet is padded to whole units of 8 bytes."""
    emitted = ndisc.emit(ndisc.Redirect(TARGET, GLOBAL, MAC, b"\x60" * 9))
    options = bytes.fromhex("0201 0011223344550403 0000 00000000") + b"\x60" * 9 + bytes(7)
    assert emitted == message(137, TARGET + GLOBAL + options)


def test_rfc_4861_4_6_options_of_other_messages_and_unknown_ones_are_passed_over() -> None:
    options = bytes.fromhex("0201 0a0b0c0d0e0f0501 0000 000005dcfe02" + "ff" * 14)
    record = ndisc.parse(message(135, TARGET + options + bytes.fromhex("0101 001122334455")))
    assert record == ndisc.NeighborSolicitation(TARGET, MAC)


@pytest.mark.parametrize(
    "option",
    [
        "0102" + "01" * 14,  # a link-layer address that is none of Ethernet's
        "0303 40c0 00000e10 00000708 00000000 20010db800000000",
        "0304 81 c0 00000e10 00000708 00000000 20010db8000000000000000000000000",  # 129 bits
        "0502 0000 000005dc 0000000000000000",
        "1902 0000 00000258 20010db800000000",  # RFC 8106, 5.3.1: no whole address
        "1901 0000 00000258",
        "1f01 0000 00000258",
        "1f02 0000 00000258 0161016201630164",  # the last name has no end
        "1f03 0000 00000258 0161000162c00000 0000000000000000",  # RFC 8106, 5.2: not compressed
        "1f02 0000 00000258 0000000000000000",  # no name at all
    ],
)
def test_an_option_of_the_wrong_shape_is_passed_over(option: str) -> None:
    record = ndisc.parse(message(134, bytes(8) + bytes.fromhex(option) + bytes.fromhex("0501 0000 000005dc")))
    assert record == ndisc.RouterAdvertisement(0, False, False, 0, 0, 0, mtu=1500)


@pytest.mark.parametrize(("kind", "least"), [(133, 0), (134, 8), (135, 16), (136, 16), (137, 32)])
def test_rfc_4861_6_1_7_1_8_1_lengths_codes_and_empty_options(kind: int, least: int) -> None:
    body = TARGET[:8] if kind == 134 else (TARGET + TARGET)[:least]
    if least:
        with pytest.raises(Malformed, match="ndisc-short"):
            ndisc.parse(message(kind, body[:-1]))
    with pytest.raises(Malformed, match="ndisc-code"):
        ndisc.parse(message(kind, body, code=1))
    for wrong in ("0100 001122334455", "0102 001122334455", "01", "fe00 000000000000"):
        with pytest.raises(Malformed, match="ndisc-option-length"):
            ndisc.parse(message(kind, body + bytes.fromhex(wrong)))
    assert ndisc.emit(ndisc.parse(message(kind, body))) == message(kind, body)


def test_other_messages_are_none_of_ours() -> None:
    with pytest.raises(Malformed, match="ndisc-type"):
        ndisc.parse(message(128, b""))


# --- what the packet around it must be

SOLICITATION, PROBE = ndisc.NeighborSolicitation(TARGET, MAC), ndisc.NeighborSolicitation(TARGET)
ANSWER = ndisc.NeighborAdvertisement(TARGET, False, True, True, MAC)
OFFER = ndisc.RouterAdvertisement(64, False, False, 1800, 0, 0)
QUESTION = ndisc.RouterSolicitation(MAC)


@pytest.mark.parametrize(
    ("record", "source", "destination"),
    [
        (SOLICITATION, GLOBAL, SOLICITED_NODE), (SOLICITATION, GLOBAL, TARGET), (PROBE, UNSPECIFIED, SOLICITED_NODE),
        (ANSWER, TARGET, GLOBAL), (ndisc.NeighborAdvertisement(TARGET, False, False, True), TARGET, ALL_NODES),
        (OFFER, ROUTER, ALL_NODES), (QUESTION, TARGET, ALL_NODES),
        (ndisc.RouterSolicitation(), UNSPECIFIED, ALL_NODES), (ndisc.Redirect(ROUTER, GLOBAL), ROUTER, TARGET),
        (ndisc.Redirect(GLOBAL, GLOBAL), ROUTER, TARGET),
    ],
)  # fmt: skip
def test_valid_messages_pass_and_only_from_the_link(record: Any, source: bytes, destination: bytes) -> None:
    ndisc.check(record, 255, source, destination)
    with pytest.raises(Malformed, match="ndisc-hop-limit"):
        ndisc.check(record, 254, source, destination)
    with pytest.raises(Malformed, match="ndisc-fragmented"):  # RFC 6980, 5
        ndisc.check(record, 255, source, destination, fragmented=True)


@pytest.mark.parametrize(
    ("record", "source", "destination", "reason"),
    [
        (QUESTION, UNSPECIFIED, ALL_NODES, "source"),  # 6.1.1
        (OFFER, GLOBAL, ALL_NODES, "source"),  # 6.1.2
        (OFFER, UNSPECIFIED, ALL_NODES, "source"),
        (ndisc.NeighborSolicitation(ALL_NODES), GLOBAL, SOLICITED_NODE, "target"),  # 7.1.1
        (PROBE, UNSPECIFIED, TARGET, "source"),
        (PROBE, UNSPECIFIED, ALL_NODES, "source"),
        (SOLICITATION, UNSPECIFIED, SOLICITED_NODE, "source"),
        (ndisc.NeighborAdvertisement(ALL_NODES, False, False, True), TARGET, GLOBAL, "target"),  # 7.1.2
        (ANSWER, TARGET, ALL_NODES, "solicited"),
        (ndisc.NeighborSolicitation(TARGET, b"\x33\x33\0\0\0\1"), GLOBAL, SOLICITED_NODE, "mac"),
        (ndisc.Redirect(ROUTER, GLOBAL, b"\xff" * 6), ROUTER, TARGET, "mac"),
        (ndisc.Redirect(ROUTER, GLOBAL), GLOBAL, TARGET, "source"),  # 8.1
        (ndisc.Redirect(ROUTER, ALL_NODES), ROUTER, TARGET, "destination"),
        (ndisc.Redirect(GLOBAL[:-1] + b"\2", GLOBAL), ROUTER, TARGET, "target"),
    ],
)
def test_invalid_messages_are_malformed(record: Any, source: bytes, destination: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=f"ndisc-{reason}"):
        ndisc.check(record, 255, source, destination)


options = st.lists(st.tuples(st.sampled_from((1, 2, 3, 4, 5, 24, 25, 31, 99)), st.binary(max_size=40)), max_size=4).map(
    lambda parts: b"".join(
        bytes((kind, 1 + (len(body) + 1) // 8)) + body + bytes(-(len(body) + 2) % 8) for kind, body in parts
    )
)


@given(st.integers(133, 137), st.integers(0, 0xFFFF_FFFF), st.binary(min_size=32, max_size=32), options | st.binary())
def test_arbitrary_messages_are_read_or_malformed(kind: int, word: int, fixed: bytes, options: bytes) -> None:
    least = {133: 0, 134: 8, 135: 16, 136: 16, 137: 32}[kind]
    try:
        record = ndisc.parse(message(kind, fixed[:least] + options, word))
    except Malformed as malformed:
        assert malformed.reason == "ndisc-option-length"  # noqa: PT017
    else:
        assert ndisc.parse(ndisc.emit(record)) == record
