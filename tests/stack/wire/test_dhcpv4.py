"""DHCP messages and options (RFC 2131, 2132, 3396, 3397, 3442). Scapy reads what we write, and writes what we read."""

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP

from motenet.stack.address import Cidr
from motenet.stack.wire import Malformed, dhcpv4
from motenet.stack.wire import dhcpv4_options as options
from motenet.stack.wire.dhcpv4 import Message

COOKIE = bytes((99, 130, 83, 99))
MAC = bytes.fromhex("525400123456")
SIZES = {"sname": 64, "file": 128}

addresses = st.binary(min_size=4, max_size=4)
shorts, words, octets = st.integers(0, 0xFFFF), st.integers(0, 0xFFFF_FFFF), st.integers(0, 255)
texts = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


def dotted(address: bytes) -> str:
    return str(IPv4Address(address))


@st.composite
def networks(draw: st.DrawFn) -> Cidr:
    prefix = draw(st.integers(0, 32))
    return Cidr(Cidr(draw(addresses), prefix).network, prefix)


class Pair:
    """An option with a value, as ours and as Scapy's."""

    def __init__(self, option: Any, value: Any, name: str | int, *theirs: Any) -> None:
        self.option, self.value = option, value
        self.theirs = (name, *theirs)

    def __repr__(self) -> str:
        return f"{self.option.name}={self.value}"


def one_address(option: Any, name: str) -> st.SearchStrategy[Pair]:
    return addresses.map(lambda value: Pair(option, value, name, dotted(value)))


def several(option: Any, name: str) -> st.SearchStrategy[Pair]:
    lists = st.lists(addresses, min_size=1, max_size=5).map(tuple)
    return lists.map(lambda value: Pair(option, value, name, *map(dotted, value)))


def number(option: Any, name: str, least: int, most: int) -> st.SearchStrategy[Pair]:
    return st.integers(least, most).map(lambda value: Pair(option, value, name, value))


def text(option: Any, name: str) -> st.SearchStrategy[Pair]:
    return texts.map(lambda value: Pair(option, value, name, value.encode()))


PAIRS = (
    st.integers(0, 32).map(
        lambda prefix: Pair(options.SUBNET_MASK, prefix, "subnet_mask", str(IPv4Network((0, prefix)).netmask))
    ),
    several(options.ROUTER, "router"),
    several(options.DOMAIN_NAME_SERVER, "name_server"),
    text(options.HOST_NAME, "hostname"),
    text(options.DOMAIN_NAME, "domain"),
    number(options.INTERFACE_MTU, "interface-mtu", 68, 0xFFFF),
    one_address(options.BROADCAST_ADDRESS, "broadcast_address"),
    several(options.NTP_SERVERS, "NTP_server"),
    one_address(options.REQUESTED_ADDRESS, "requested_addr"),
    number(options.LEASE_TIME, "lease_time", 0, 0xFFFF_FFFF),
    number(options.MESSAGE_TYPE, "message-type", 1, 8),
    one_address(options.SERVER_IDENTIFIER, "server_id"),
    st.binary(min_size=1, max_size=20).map(
        lambda value: Pair(options.PARAMETER_REQUEST_LIST, value, "param_req_list", list(value))
    ),
    text(options.MESSAGE, "error_message"),
    number(options.MAXIMUM_SIZE, "max_dhcp_size", 576, 0xFFFF),
    number(options.RENEWAL_TIME, "renewal_time", 0, 0xFFFF_FFFF),
    number(options.REBINDING_TIME, "rebinding_time", 0, 0xFFFF_FFFF),
    st.binary(min_size=1, max_size=20).map(lambda value: Pair(options.VENDOR_CLASS, value, "vendor_class_id", value)),
    st.binary(min_size=2, max_size=20).map(lambda value: Pair(options.CLIENT_IDENTIFIER, value, "client_id", value)),
    st.lists(st.tuples(networks(), addresses), min_size=1, max_size=4)
    .map(tuple)
    .map(
        lambda value: Pair(
            options.CLASSLESS_ROUTES,
            value,
            "classless_static_routes",
            [f"{network}:{dotted(router)}" for network, router in value],
        )
    ),
)  # fmt: skip

some_options = st.lists(st.one_of(PAIRS), max_size=6, unique_by=lambda pair: pair.option.code)


@st.composite
def headers(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "op": draw(st.sampled_from((1, 2))),
        "xid": draw(words),
        "hops": draw(octets),
        "secs": draw(shorts),
        "flags": draw(st.sampled_from((0, 0x8000))),
        **{name: draw(addresses) for name in ("ciaddr", "yiaddr", "siaddr", "giaddr")},
        "sname": draw(texts).encode(),
        "file": draw(texts).encode(),
    }


def scapys(fields: dict[str, Any], pairs: list[Pair]) -> Any:
    theirs = {name: dotted(value) if name.endswith("addr") else value for name, value in fields.items()}
    return BOOTP(chaddr=MAC, **theirs) / DHCP(options=[*(pair.theirs for pair in pairs), "end"])


@given(headers(), some_options)
def test_what_scapy_builds_we_read(fields: dict[str, Any], pairs: list[Pair]) -> None:
    message = dhcpv4.parse(bytes(scapys(fields, pairs)))
    assert {name: getattr(message, name) for name in fields} == fields
    assert (message.htype, message.hardware) == (dhcpv4.ETHERNET, MAC)
    assert {pair.option.code: message.get(pair.option) for pair in pairs} == {
        pair.option.code: pair.value for pair in pairs
    }
    assert list(message.options) == [pair.option.code for pair in pairs]


@given(headers(), some_options)
def test_what_we_write_scapy_reads(fields: dict[str, Any], pairs: list[Pair]) -> None:
    message = Message(hardware=MAC, **fields)
    for pair in pairs:
        message.set(pair.option, pair.value)
    theirs = BOOTP(message.emit(1500))
    for name, value in fields.items():
        if name.endswith("addr"):
            assert getattr(theirs, name) == dotted(value)
        else:
            assert getattr(theirs, name) == (value.ljust(SIZES[name], b"\0") if name in SIZES else value)
    assert (theirs.chaddr[:6], theirs.hlen) == (MAC, 6)
    found = theirs[DHCP].options
    assert found[: len(pairs)] == [pair.theirs for pair in pairs]
    assert found[len(pairs)] == "end"
    assert set(found[len(pairs) + 1 :]) <= {"pad"}
    assert dhcpv4.parse(message.emit(1500)) == message


def message_with(area: bytes, file: bytes = b"", sname: bytes = b"") -> bytes:
    """A message with these options, as bytes."""
    fixed = bytes((1, 1, 6, 0)) + bytes(24) + MAC.ljust(16, b"\0") + sname.ljust(64, b"\0") + file.ljust(128, b"\0")
    return fixed + COOKIE + area


def test_rfc_2131_2_a_message_by_hand() -> None:
    message = dhcpv4.parse(message_with(bytes.fromhex("35 01 01 32 04 0a000007 ff"), b"boot\0", b"server\0"))
    assert (message.op, message.type, message.hardware) == (dhcpv4.BOOTREQUEST, dhcpv4.DISCOVER, MAC)
    assert message.get(options.REQUESTED_ADDRESS) == bytes((10, 0, 0, 7))
    assert message.get(options.LEASE_TIME) is None
    assert (message.file, message.sname) == (b"boot", b"server")


def test_rfc_951_a_message_has_at_least_300_bytes() -> None:
    assert len(Message(1, 1, MAC).emit()) == 300


@given(st.binary(max_size=700))
def test_any_bytes_are_a_message_or_malformed(data: bytes) -> None:
    for tried in (data, message_with(data)):
        try:
            message = dhcpv4.parse(tried)
        except Malformed:
            continue
        for option in options.OPTIONS:
            value = message.get(option)
            assert value is None or option.code in message.options
        assert dhcpv4.parse(message.emit(0xFFFF)) == message


@given(st.sampled_from(options.OPTIONS), st.binary(max_size=255))
def test_a_value_reads_as_none_or_is_written_so_that_it_reads_the_same(option: Any, data: bytes) -> None:
    message = dhcpv4.parse(message_with(bytes((option.code, len(data))) + data + b"\xff"))
    value = message.get(option)
    if value is not None:
        message.set(option, value)
        assert message.get(option) == value


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (message_with(b"")[:239], "dhcp-short"),
        (message_with(b"").replace(COOKIE, b"\1\2\3\4"), "dhcp-cookie"),
        (b"\3" + message_with(b"\xff")[1:], "dhcp-op"),
        (b"\1\1\x11" + message_with(b"\xff")[3:], "dhcp-hardware"),
        (message_with(b"\x35"), "dhcp-option"),
        (message_with(b"\x35\2\1"), "dhcp-option"),
        (message_with(b"\x34\2\1\1\xff"), "dhcp-overload"),
        (message_with(b"\x34\1\1\xff", file=b"\x35\xff" + bytes(126)), "dhcp-option"),
    ],
)
def test_malformed(data: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        dhcpv4.parse(data)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("option", "data"),
    [
        (options.SUBNET_MASK, bytes((255, 0, 255, 0))),
        (options.SUBNET_MASK, bytes((255, 255, 255))),
        (options.ROUTER, bytes(5)),
        (options.ROUTER, b""),
        (options.SERVER_IDENTIFIER, bytes(8)),
        (options.INTERFACE_MTU, (67).to_bytes(2, "big")),
        (options.MAXIMUM_SIZE, (575).to_bytes(2, "big")),
        (options.LEASE_TIME, bytes(3)),
        (options.CLIENT_IDENTIFIER, b"\1"),
        (options.DOMAIN_NAME, b"\0\0"),
        (options.DOMAIN_NAME, b"\xff"),
        (options.STATIC_ROUTES, bytes(8)),  # RFC 2132, 5.8: the default route is an illegal destination
        (options.CLASSLESS_ROUTES, bytes((33, 1, 2, 3, 4, 5, 10, 0, 0, 1))),
        (options.CLASSLESS_ROUTES, bytes((24, 10, 0, 0, 10, 0, 0))),
        (options.DOMAIN_SEARCH, b"\3eng"),
        (options.DOMAIN_SEARCH, b"\0"),
        (options.DOMAIN_SEARCH, b"\xc0\0"),  # a pointer to itself
        (options.DOMAIN_SEARCH, b"\1a\xc0\2"),
        (options.DOMAIN_SEARCH, b"\3a.b\0"),
        (options.DOMAIN_SEARCH, (b"\x3f" + b"x" * 63) * 4 + b"\0"),  # RFC 1035, 2.3.4: 255 bytes
    ],
)  # fmt: skip
def test_a_value_that_its_clause_does_not_allow(option: Any, data: bytes) -> None:
    with pytest.raises(ValueError):
        option.read(data)
    if len(data) < 256:
        assert dhcpv4.parse(message_with(bytes((option.code, len(data))) + data + b"\xff")).get(option) is None


# --- long options, and options elsewhere


def test_rfc_3397_2_the_example_in_two_pieces() -> None:
    """ "eng.apple.com" and "marketing.apple.com", whose second half points into the first."""
    first = bytes((119, 9)) + b"\3eng\5appl"
    second = bytes((119, 9)) + b"e\3com\0\x09ma"
    third = bytes((119, 9)) + b"rketing\xc0\x04"
    message = dhcpv4.parse(message_with(first + second + third + b"\xff"))
    assert message.get(options.DOMAIN_SEARCH) == ("eng.apple.com", "marketing.apple.com")


@pytest.mark.parametrize(
    ("network", "encoded"),
    [
        ("0.0.0.0/0", (0,)),
        ("10.0.0.0/8", (8, 10)),
        ("10.0.0.0/24", (24, 10, 0, 0)),
        ("10.17.0.0/16", (16, 10, 17)),
        ("10.27.129.0/24", (24, 10, 27, 129)),
        ("10.229.0.128/25", (25, 10, 229, 0, 128)),
        ("10.198.122.47/32", (32, 10, 198, 122, 47)),
    ],
)
def test_rfc_3442_the_examples_of_destinations(network: str, encoded: tuple[int, ...]) -> None:
    router = bytes((10, 0, 0, 1))
    routes = ((Cidr.parse(network), router),)
    assert options.CLASSLESS_ROUTES.write(routes) == bytes(encoded) + router
    assert options.CLASSLESS_ROUTES.read(bytes(encoded) + router) == routes


def test_rfc_3442_bits_behind_the_mask_are_taken_as_zero() -> None:
    read = options.CLASSLESS_ROUTES.read(bytes((12, 10, 0xFF, 10, 0, 0, 1)))
    assert read == ((Cidr.parse("10.240.0.0/12"), bytes((10, 0, 0, 1))),)


def test_rfc_2132_5_8_static_routes_have_the_masks_of_their_class() -> None:
    router = bytes((10, 0, 0, 1))
    destinations = ("10.0.0.0/8", "172.16.0.0/16", "192.168.1.0/24", "192.168.1.5/32")
    data = b"".join(Cidr.parse(one).address + router for one in destinations)
    assert options.STATIC_ROUTES.read(data) == tuple((Cidr.parse(one), router) for one in destinations)


@given(st.integers(256, 1100))
def test_rfc_3396_a_long_value_is_several_options(size: int) -> None:
    value = bytes(index & 0xFF for index in range(size))
    message = Message(2, 7, MAC)
    message.options[43] = value
    emitted = message.emit(1500)
    assert dhcpv4.parse(emitted).options[43] == value
    pieces = [data for code, data in filter(lambda one: isinstance(one, tuple), BOOTP(emitted)[DHCP].options)]
    assert b"".join(pieces) == value
    assert [len(piece) for piece in pieces[:-1]] == [255] * ((size - 1) // 255)


@given(st.lists(st.integers(1, 240), min_size=3, max_size=8))
def test_rfc_2131_4_1_what_has_no_room_goes_into_file_and_sname(sizes: list[int]) -> None:
    message = Message(2, 7, MAC)
    for code, size in enumerate(sizes, start=128):
        message.options[code] = bytes((code,)) * size
    emitted = message.emit(576)
    assert len(emitted) <= 548
    parsed = dhcpv4.parse(emitted)
    kept = {code: value for code, value in message.options.items() if code in parsed.options}
    assert parsed.options == kept
    assert (parsed.file, parsed.sname) == (b"", b"")
    # "Any individual option ... MUST be entirely contained in that field": these bins are filled in order
    room = [304 if sum(size + 2 for size in sizes) > 307 else 307, 127, 63]
    area = 0
    for code, size in enumerate(sizes, start=128):
        at = next((index for index in range(3) if room[index] >= size + 2), None)
        if at is None:
            assert code not in kept
        else:
            assert code in kept
            room[at] -= size + 2
            area = max(area, at)
    overload = [one[1] for one in BOOTP(emitted)[DHCP].options if one[0] == "dhcp-option-overload"]
    assert bool(overload) == (area > 0)


def test_the_smallest_message_is_filled_to_its_last_byte() -> None:
    """RFC 2132, 9.10: 576, of which are headers 20 + 8, fields 236, cookie 4, overload 3, and an end in each area."""
    options = {43: bytes(250), 44: bytes(50), 45: bytes(125), 46: bytes(61)}  # 304 = 576 - 272, 127 and 63 with heads
    emitted = Message(2, 1, MAC, options).emit(576)
    assert (len(emitted), dhcpv4.parse(emitted).options) == (548, options)
    assert dhcpv4.parse(message_with(b"\x35\1\1\x50\0")).options == {53: b"\1", 80: b""}  # no end, and no value


def test_options_elsewhere_are_read_in_the_order_options_file_sname() -> None:
    data = message_with(b"\x34\1\3\x2b\2ab\xff", file=b"\x2b\2cd\x0c\1h\xff", sname=b"\x34\1\0\x2b\2ef\xff")
    message = dhcpv4.parse(data)
    assert message.options == {43: b"abcdef", 12: b"h"}
    assert (message.file, message.sname) == (b"", b"")


def test_a_file_name_keeps_options_out_of_its_place() -> None:
    message = Message(2, 7, MAC, {code: bytes(100) for code in range(128, 132)}, file=b"kernel")
    parsed = dhcpv4.parse(message.emit(576))
    assert parsed.file == b"kernel"
    assert list(parsed.options) == [128, 129]
