"""IPv6 headers and extension headers (RFC 8200), by literal bytes; Scapy's opinion is in test_oracle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.checksum import pseudo_header_sum
from motenet.stack.wire import Malformed, ipv6

SOURCE, DESTINATION = bytes.fromhex("fd00" + "00" * 13 + "01"), bytes.fromhex("fd00" + "00" * 13 + "02")
UDP = bytes.fromhex("0035 0035 000c 0000 aabbccdd")


def packet(first: int, *parts: str | bytes, payload: bytes = UDP) -> memoryview:
    """A packet whose first Next Header is `first`; extension headers are given in hex."""
    body = b"".join(part if isinstance(part, bytes) else bytes.fromhex(part) for part in parts) + payload
    header = bytes.fromhex("60000000") + len(body).to_bytes(2, "big") + bytes((first, 64)) + SOURCE + DESTINATION
    return memoryview(header + body)


def refused(view: memoryview) -> tuple[str, int, int, bool]:
    with pytest.raises(ipv6.Refused) as caught:
        ipv6.parse(view)
    return caught.value.reason, caught.value.code, caught.value.pointer, caught.value.multicast


def reason(view: memoryview) -> str:
    with pytest.raises(Malformed) as caught:
        ipv6.parse(view)
    assert not isinstance(caught.value, ipv6.Refused)
    return caught.value.reason


def test_rfc_8200_5_and_rfc_4443_3_4_numbers() -> None:
    codes = (ipv6.ERRONEOUS_FIELD, ipv6.UNRECOGNIZED_NEXT_HEADER, ipv6.UNRECOGNIZED_OPTION, ipv6.INCOMPLETE_CHAIN)
    assert codes == (0, 1, 2, 3)
    assert (ipv6.MINIMUM_MTU, ipv6.NO_NEXT_HEADER, ipv6.ICMP) == (1280, 59, 58)


# --- the header (RFC 8200, 3)


def test_rfc_8200_3_the_header_field_by_field() -> None:
    view = memoryview(bytes.fromhex("6ab12345 0004 c8 07") + SOURCE + DESTINATION + b"abcdpadding")
    got = ipv6.parse(view)
    assert (got.source, got.destination, got.protocol, got.hop_limit) == (SOURCE, DESTINATION, 200, 7)
    assert (got.tos, got.flow, bytes(got.payload), bytes(got.header)) == (0xAB, 0x12345, b"abcd", bytes(view[:40]))
    assert (got.ident, got.offset, got.more, got.fragmented, got.is_fragment) == (0, 0, False, False, False)
    assert (got.protocol_at, got.router_alert) == (6, False)
    buffer = bytearray(40)
    pseudo = ipv6.emit(memoryview(buffer), SOURCE, DESTINATION, 200, 4, 7, 0xAB, 0x12345)
    assert bytes(buffer) == bytes(view[:40])
    assert pseudo == pseudo_header_sum(SOURCE, DESTINATION, 200, 4)


def test_bad_headers_are_malformed() -> None:
    good = bytes(packet(17))
    assert reason(memoryview(good[:39])) == "ipv6-short"
    assert reason(memoryview(b"\x45" + good[1:])) == "ipv6-version"
    assert reason(memoryview(good[:-1])) == "ipv6-length"


def test_rfc_8200_4_a_router_takes_extension_headers_for_payload() -> None:
    """4.3: it need not even look at hop-by-hop options; here is one that a host refuses."""
    view = packet(0, "11 00 c2 04 00010000")
    assert refused(view)[0] == "ipv6-option"
    got = ipv6.parse_header(view)
    assert (got.protocol, len(got.header), len(got.payload)) == (0, 40, 8 + len(UDP))


# --- extension headers (RFC 8200, 4)


@pytest.mark.parametrize(
    ("first", "parts", "protocol_at"),
    [
        (0, ["11 00 01 04 00000000"], 40),
        (60, ["2b 00 00 00 00 00 00 00", "3c 00 07 00 00000000", "11 00 01 04 00000000"], 56),
        (44, ["11 00 0000 00000007"], 40),
        (43, ["11 02 00 00 00000000" + "00" * 16], 40),
    ],
)
def test_rfc_8200_4_the_upper_layer_is_behind_the_extension_headers(
    first: int, parts: list[str], protocol_at: int
) -> None:
    got = ipv6.parse(packet(first, *parts))
    assert (got.protocol, bytes(got.payload), got.protocol_at) == (17, UDP, protocol_at)
    assert len(got.header) == len(packet(first, *parts)) - len(UDP)


@pytest.mark.parametrize("protocol", [50, 51, 59, 135, 253])
def test_what_is_no_extension_header_here_is_the_upper_layer(protocol: int) -> None:
    """No IPsec and no mobility: Parameter Problem code 1 has to point at what names them."""
    view = packet(60, bytes((protocol, 0)) + bytes.fromhex("0104 00000000"))
    got = ipv6.parse(view)
    assert (got.protocol, got.protocol_at, view[got.protocol_at]) == (protocol, 40, protocol)


def test_rfc_8200_4_hop_by_hop_options_come_first_or_not_at_all() -> None:
    view = packet(60, "00 00 01 04 00000000", "11 00 01 04 00000000")
    assert refused(view) == ("ipv6-hop-by-hop-place", ipv6.UNRECOGNIZED_NEXT_HEADER, 40, False)


def test_rfc_8200_4_4_an_unknown_routing_header_with_segments_left_is_refused() -> None:
    assert refused(packet(43, "11 02 04 01 00000000" + "00" * 16)) == ("ipv6-routing-type", 0, 42, False)


def test_rfc_5095_3_type_0_is_an_unknown_routing_header() -> None:
    view = packet(60, "2b 00 01 04 00000000", "11 02 00 01 00000000" + "00" * 16)
    assert refused(view) == ("ipv6-routing-type", ipv6.ERRONEOUS_FIELD, 50, False)


@pytest.mark.parametrize("first", [0, 43, 44, 60])
def test_extension_headers_that_are_cut_are_malformed(first: int) -> None:
    assert reason(packet(first, "11 00 00 00", payload=b"")) == "ipv6-extension-short"
    if first != 44:
        assert reason(packet(first, "11 01 00 00 00000000", payload=b"")) == "ipv6-extension-short"


def test_rfc_8504_5_3_the_chain_has_a_limit() -> None:
    last = "11 00 01 04 00000000"
    assert ipv6.parse(packet(60, *["3c 00 01 04 00000000"] * 7, last)).protocol == 17
    assert reason(packet(60, *["3c 00 01 04 00000000"] * 8, last)) == "ipv6-extension-limit"


# --- options (RFC 8200, 4.2)


@pytest.mark.parametrize("first", [0, 60])
@pytest.mark.parametrize(
    ("option", "answered"),
    [("1e", None), ("3f", None), ("5e", "silent"), ("9e", "always"), ("de", "unicast"), ("c2", "unicast")],
)
def test_rfc_8200_4_2_what_an_unknown_option_type_asks_for(first: int, option: str, answered: str | None) -> None:
    """0xC2 is RFC 2675's Jumbo Payload, which is unknown to us, as it may be."""
    view = packet(first, f"11 00 00 {option} 02 0000 00")
    if answered is None:
        assert ipv6.parse(view).protocol == 17
    elif answered == "silent":
        assert reason(view) == "ipv6-option"
    else:
        assert refused(view) == ("ipv6-option", ipv6.UNRECOGNIZED_OPTION, 43, answered == "always")


def test_rfc_8200_4_2_options_are_processed_in_order() -> None:
    assert refused(packet(60, "11 00 9e 00 5e 00 01 00"))[2] == 42
    assert reason(packet(60, "11 00 5e 00 9e 00 01 00")) == "ipv6-option"


def test_rfc_2711_router_alert_is_a_hop_by_hop_option() -> None:
    assert ipv6.router_alert_header(58) == bytes.fromhex("3a 00 05 02 0000 01 00")
    alert = bytes((17, *ipv6.router_alert_header(58)[1:]))
    assert ipv6.parse(packet(0, alert)).router_alert
    assert not ipv6.parse(packet(60, alert)).router_alert


@pytest.mark.parametrize("options", ["1e 05 00000000", "01 05 00000000", "00 00 00 00 00 1e"])
def test_options_that_are_cut_are_malformed(options: str) -> None:
    for behind in (UDP, b""):
        assert reason(packet(60, "11 00" + options, payload=behind)) == "ipv6-option-length"


def test_rfc_4942_2_1_9_5_padding_is_zeros() -> None:
    assert reason(packet(60, "11 00 01 04 00000100")) == "ipv6-padding"


def test_rfc_8504_5_3_padding_and_options_have_limits() -> None:
    seven = "11 01" + "00" * 7 + "1e 05 0000000000"
    assert ipv6.parse(packet(60, seven)).protocol == 17
    for eight in ("11 01" + "00" * 8 + "1e 04 00000000", "11 01 01 06 000000000000 1e 04 00000000",
                  "11 01 01 02 0000 01 02 0000 1e 04 00000000"):  # fmt: skip
        assert reason(packet(60, eight)) == "ipv6-option-limit"
    assert ipv6.parse(packet(60, "11 02" + "1e 00" * 8 + "01 04 00000000")).protocol == 17
    assert reason(packet(60, "11 02" + "1e 00" * 9 + "01 02 0000")) == "ipv6-option-limit"


# --- fragments (RFC 8200, 4.5)


def test_rfc_8200_4_5_a_fragment_ends_at_its_fragment_header() -> None:
    """Offset 185 units, more fragments; what follows is no header, whatever the first byte says."""
    got = ipv6.parse(packet(60, "2c 00 01 04 00000000", "3c 00 05c9 deadbeef", payload=b"\xff" * 16))
    assert (got.offset, got.more, got.ident, got.fragmented, got.is_fragment) == (1480, True, 0xDEADBEEF, True, True)
    assert (got.protocol, got.protocol_at, len(got.header), bytes(got.payload)) == (60, 48, 56, b"\xff" * 16)
    assert ipv6.fragment_header(60, 1480, True, 0xDEADBEEF) == bytes(got.header[-8:])
    last = ipv6.parse(packet(44, "11 ff 05c8 00000001"))
    assert (last.offset, last.more, last.is_fragment) == (1480, False, True)


def test_rfc_6946_4_an_atomic_fragment_is_whole() -> None:
    got = ipv6.parse(packet(44, "3c 00 0000 00000009", "11 00 01 04 00000000"))
    assert (got.fragmented, got.is_fragment, got.ident) == (True, False, 9)
    assert (got.protocol, bytes(got.payload)) == (17, UDP)


@pytest.mark.parametrize(
    ("next_header", "payload"),
    [
        (17, UDP[:7]), (6, bytes(19)), (58, bytes(7)), (60, bytes.fromhex("1101 01040000 0000")),
        (60, bytes.fromhex("1100 01040000 0000") + UDP[:7]), (60, bytes(4)), (51, bytes.fromhex("1104" + "00" * 22)),
    ],
)  # fmt: skip
def test_rfc_8200_4_5_a_first_fragment_has_all_headers(next_header: int, payload: bytes) -> None:
    view = packet(44, bytes((next_header, 0)) + bytes.fromhex("0001 00000001"), payload=payload)
    assert refused(view) == ("ipv6-incomplete-chain", ipv6.INCOMPLETE_CHAIN, 0, False)


def test_a_first_fragment_with_all_its_headers_passes() -> None:
    rest = bytes.fromhex("1100 010400000000")
    for kind, payload in (
        (17, UDP[:8]),
        (60, rest + UDP[:8]),
        (59, b""),
        (51, bytes.fromhex("1101" + "00" * 10) + UDP),
    ):
        view = packet(44, bytes((kind, 0)) + bytes.fromhex("0001 00000001"), payload=payload)
        assert bytes(ipv6.parse(view).payload) == payload


# --- quotes (RFC 4443, 3)


def test_a_quote_reaches_through_extension_headers() -> None:
    """Authentication (RFC 4302, 2.2: units of 4 bytes, minus 2) and RH0 too: it is our own packet that comes back."""
    parts = ["33 00 01 04 00000000", "2b 01" + "00" * 10, "2c 02 00 01 00000000" + "00" * 16, "11 00 0001 00000001"]
    quote = ipv6.parse_quote(packet(0, *parts))
    assert (quote.source, quote.destination, quote.protocol, bytes(quote.payload)) == (SOURCE, DESTINATION, 17, UDP)


def test_a_quote_of_a_later_fragment_or_a_short_one_names_no_port() -> None:
    later = ipv6.parse_quote(packet(44, "11 00 05c8 00000001"))
    assert (later.destination, later.protocol, bytes(later.payload)) == (DESTINATION, 17, b"")
    short = ipv6.parse_quote(packet(60, "11 03 01 04 00000000", payload=b""))
    assert (short.destination, bytes(short.payload)) == (DESTINATION, b"")
    for view in (packet(17)[:39], memoryview(b"\x45" + bytes(packet(17))[1:])):
        with pytest.raises(Malformed, match="icmp-quote-short"):
            ipv6.parse_quote(view)


# --- anything

chains = st.lists(
    st.tuples(st.sampled_from((0, 17, 43, 44, 51, 58, 59, 60)), st.integers(0, 3), st.binary(min_size=30, max_size=30)),
    max_size=10,
).map(lambda parts: b"".join(bytes((kind, units)) + body[: units * 8 + 6] for kind, units, body in parts))


@given(st.sampled_from((0, 43, 44, 51, 60)), chains, st.binary(max_size=40))
def test_whatever_follows_the_header_is_a_packet_or_malformed(first: int, chain: bytes, payload: bytes) -> None:
    view = packet(first, chain, payload=payload)
    got, pointer = None, 0
    try:
        got = ipv6.parse(view)
    except ipv6.Refused as refusal:
        pointer = refusal.pointer
    except Malformed:
        pass
    assert 0 <= pointer < len(view)
    if got is not None:
        assert bytes(got.header) + bytes(got.payload) == bytes(view)
        assert view[got.protocol_at] == got.protocol
    quote = ipv6.parse_quote(view)
    assert bytes(view).endswith(bytes(quote.payload))
