"""IPv4 headers (RFC 791, 3.1; RFC 1122, 3.2.1)."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, IPOption_RR

from motenet.core.checksum import pseudo_header_sum
from motenet.stack.wire import Malformed, ipv4

KNOWN = bytes.fromhex("45000073 00004000 4011b861 c0a80001 c0a800c7")
"""The example by which the header checksum is usually explained: 0xB861."""

addresses = st.binary(min_size=4, max_size=4)
bytes_ = st.integers(0, 255)
shorts = st.integers(0, 0xFFFF)


def test_known_header() -> None:
    packet = ipv4.parse(memoryview(KNOWN + bytes(95)))
    assert (packet.source, packet.destination) == (bytes((192, 168, 0, 1)), bytes((192, 168, 0, 199)))
    assert (packet.protocol, packet.hop_limit, packet.flags) == (ipv4.UDP, 64, ipv4.DONT_FRAGMENT)
    assert (len(packet.payload), packet.is_fragment) == (95, False)
    buffer = bytearray(20)
    ipv4.emit(memoryview(buffer), packet.source, packet.destination, 17, 95, 64, 0, ipv4.DONT_FRAGMENT)
    assert bytes(buffer) == KNOWN


@given(
    addresses, addresses, st.integers(1, 255), bytes_, shorts,
    st.sampled_from((0, 0x2000, 0x4000, 0x2005)), bytes_, st.binary(),
)  # fmt: skip
def test_emitted_header_is_what_scapy_would_write(
    source: bytes, destination: bytes, protocol: int, hop_limit: int, ident: int, flags: int, tos: int, payload: bytes
) -> None:
    theirs = IP(
        src=str(IPv4Address(source)),
        dst=str(IPv4Address(destination)),
        proto=protocol,
        ttl=hop_limit,
        id=ident,
        flags=flags >> 13,
        frag=flags & 0x1FFF,
        tos=tos,
    )
    buffer = bytearray(20)
    pseudo = ipv4.emit(memoryview(buffer), source, destination, protocol, len(payload), hop_limit, ident, flags, tos)
    assert bytes(buffer) + payload == bytes(theirs / payload)
    assert pseudo == pseudo_header_sum(source, destination, protocol, len(payload))
    packet = ipv4.parse(memoryview(bytes(buffer) + payload))
    assert (packet.source, packet.destination, packet.protocol) == (source, destination, protocol)
    assert (packet.hop_limit, packet.ident, packet.flags, packet.tos) == (hop_limit, ident, flags, tos)
    assert packet.payload == payload


def test_rfc_1122_3_2_1_8_options_are_passed_over() -> None:
    data = bytes(IP(src="10.0.0.1", dst="10.0.0.2", proto=17, options=[IPOption_RR()]) / b"data")
    packet = ipv4.parse(memoryview(data + b"padding"))
    assert (len(packet.header), bytes(packet.payload)) == (len(data) - 4, b"data")


def with_options(options: str, payload: bytes = b"data") -> memoryview:
    """A packet with these options in hex, and the header checksum that fits them."""
    extra = bytes.fromhex(options)
    buffer = bytearray(20 + len(extra))
    ipv4.emit(memoryview(buffer), b"\x0a\0\0\1", b"\x0a\0\0\2", 17, len(payload), extra=extra)
    return memoryview(bytes(buffer) + payload)


def test_rfc_791_3_1_options_are_found_between_padding() -> None:
    packet = ipv4.parse(with_options("01 01 94040000 8202 00 94040000 ffff"))
    assert packet.option(ipv4.ROUTER_ALERT) == bytes.fromhex("94040000")
    assert packet.option(0x82) == b"\x82\2"
    assert packet.option(ipv4.RECORD_ROUTE) is None
    assert packet.router_alert
    assert not ipv4.parse(with_options("01 00 94040000 0000")).router_alert  # behind the end of the list


def test_rfc_7126_4_3_source_routed_packets_are_dropped_silently() -> None:
    for route in ("83", "89"):
        with pytest.raises(Malformed, match="ipv4-source-route") as caught:
            ipv4.parse(with_options(f"01 {route} 07 08 0a000003"))  # its route is done, and yet
        assert not isinstance(caught.value, ipv4.Refused)


def test_rfc_1122_3_2_1_8_c_a_host_that_wants_takes_them_at_the_end_of_their_route() -> None:
    complete, incomplete = with_options("01 83 07 08 0a000003"), with_options("01 83 07 04 0a000003")
    packet = ipv4.parse(complete, source_routes=True)
    assert packet.option(ipv4.LOOSE_SOURCE_ROUTE) == bytes.fromhex("8307080a000003")
    with pytest.raises(Malformed, match="ipv4-source-route"):
        ipv4.parse(incomplete, source_routes=True)  # RFC 1122, 3.3.5: it is not sent on
    with pytest.raises(ipv4.Refused, match="ipv4-option-pointer"):
        ipv4.parse(with_options("01 89 07 03 0a000003"), source_routes=True)


@pytest.mark.parametrize(
    ("options", "reason", "pointer"),
    [
        ("94000000", "ipv4-option-length", 21), ("94010000", "ipv4-option-length", 21),
        ("94060000", "ipv4-option-length", 21), ("01010194", "ipv4-option-length", 23),
        ("01 94030000", "ipv4-option-length", 22), ("07020000", "ipv4-option-length", 21),
        ("07030300", "ipv4-option-pointer", 22), ("44030500", "ipv4-option-length", 21),
        ("44040400", "ipv4-option-pointer", 22), ("1e000000", "ipv4-option-length", 21),
    ],
)  # fmt: skip
def test_rfc_1122_3_2_2_5_a_wrong_option_can_be_pointed_at(options: str, reason: str, pointer: int) -> None:
    with pytest.raises(ipv4.Refused, match=reason) as caught:
        ipv4.parse(with_options(options + "00" * (-len(bytes.fromhex(options)) % 4)))
    assert caught.value.pointer == pointer


def test_rfc_791_3_1_only_options_with_the_copied_flag_go_into_fragments() -> None:
    """RFC 791, 3.2: the first fragment keeps all; and none of them is larger than the link takes."""
    payload = bytes(range(200))
    packet = with_options("07 07 04 00000000 88 04 1234 01", payload)
    pieces = [ipv4.parse(memoryview(piece)) for piece in ipv4.fragments(packet, 100)]
    assert [len(piece.header) for piece in pieces] == [32, 24, 24]
    assert bytes(pieces[1].header[20:]) == bytes.fromhex("88041234")
    assert [(piece.offset, len(piece.payload), piece.more) for piece in pieces] == [
        (0, 64, True), (64, 72, True), (136, 64, False),
    ]  # fmt: skip
    assert b"".join(bytes(piece.payload) for piece in pieces) == payload
    assert all(piece.is_fragment for piece in pieces)


def test_what_fits_is_not_cut() -> None:
    packet = with_options(ipv4.ROUTER_ALERT_OPTION.hex(), bytes(76))
    assert list(ipv4.fragments(packet, 100)) == [bytes(packet)]
    assert [len(piece) for piece in ipv4.fragments(packet, 99)] == [96, 28]


def test_rfc_2113_2_1_router_alert_bytes() -> None:
    assert bytes.fromhex("94040000") == ipv4.ROUTER_ALERT_OPTION


def test_a_fragment_that_is_cut_keeps_its_place_and_what_follows_it() -> None:
    buffer = bytearray(20)
    ipv4.emit(memoryview(buffer), bytes(4), bytes(4), 17, 96, ident=9, flags=ipv4.MORE_FRAGMENTS | 10)
    pieces = [ipv4.parse(memoryview(piece)) for piece in ipv4.fragments(memoryview(bytes(buffer) + bytes(96)), 84)]
    assert [(piece.offset, len(piece.payload), piece.more, piece.ident) for piece in pieces] == [
        (80, 64, True, 9), (144, 32, True, 9),
    ]  # fmt: skip


@given(st.binary(max_size=40))
def test_any_options_are_taken_or_refused(options: bytes) -> None:
    options += bytes(-len(options) % 4)
    packet = with_options(options.hex())
    try:
        parsed = ipv4.parse(packet)
    except Malformed as malformed:
        reason = malformed.reason
    else:
        reason = ""
        kinds = [kind for kind, _, _ in ipv4.options(parsed.header)]
        assert parsed.router_alert == (ipv4.ROUTER_ALERT in kinds)
        assert len(ipv4.copied_options(parsed.header)) <= len(options)
    assert reason in ("", "ipv4-source-route", "ipv4-option-length", "ipv4-option-pointer")


def patched(offset: int, value: int) -> bytes:
    """The known packet with one byte changed, and the checksum that fits it."""
    header = bytearray(KNOWN)
    header[offset] = value
    header[10:12] = bytes(2)
    total = sum(int.from_bytes(header[at : at + 2], "big") for at in range(0, 20, 2))
    total = (total & 0xFFFF) + (total >> 16)
    header[10:12] = (~((total & 0xFFFF) + (total >> 16)) & 0xFFFF).to_bytes(2, "big")
    return bytes(header) + bytes(95)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (KNOWN[:19], "ipv4-short"),
        (patched(0, 0x65), "ipv4-version"),
        (patched(0, 0x44), "ipv4-header-length"),
        (patched(3, 19), "ipv4-length"),  # less than the header
        (patched(3, 0x74), "ipv4-length"),  # more than there is
        (KNOWN[:9] + b"\x06" + KNOWN[10:] + bytes(95), "ipv4-checksum"),
    ],
)
def test_rfc_1122_3_2_1_2_bad_headers_are_malformed(data: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        ipv4.parse(memoryview(data))


def test_a_card_that_verifies_spares_the_checksum() -> None:
    assert ipv4.parse(memoryview(KNOWN[:9] + b"\x06" + KNOWN[10:] + bytes(95)), verify=False).protocol == 6


def test_a_quote_is_a_header_and_what_the_sender_of_the_error_gave() -> None:
    quote = ipv4.parse_quote(memoryview(KNOWN + b"12345678"))
    assert (quote.source, quote.protocol, bytes(quote.payload)) == (bytes((192, 168, 0, 1)), 17, b"12345678")
    assert quote.length == 0x73
    later = ipv4.parse_quote(memoryview(KNOWN[:6] + b"\0\1" + KNOWN[8:] + b"12345678"))
    assert (later.protocol, later.payload) == (17, b"")  # the ports were in the first fragment
    for data in (KNOWN[:19], b"\x46" + KNOWN[1:], b"\x44" + KNOWN[1:], b"\x65" + KNOWN[1:]):
        with pytest.raises(Malformed, match="icmp-quote-short"):
            ipv4.parse_quote(memoryview(data))
