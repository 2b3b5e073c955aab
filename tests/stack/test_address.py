"""Addresses, networks and routes: text in, bytes inside; RFC 1122, 3.2.1.3 and 3.3.1."""

from ipaddress import ip_address, ip_interface
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import motenet
from motenet.core.clock import FOREVER
from motenet.core.errors import ConfigurationError
from motenet.stack import NetworkStack
from motenet.stack.address import Cidr, format_address, multicast_mac, parse_address, parse_scoped
from motenet.stack.addressing import Addressing
from motenet.stack.routing import Way
from motenet.stack.wire import ethernet


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_addresses_as_the_standard_library_writes_them(address: object) -> None:
    packed = parse_address(str(address))
    assert packed == ip_address(str(address)).packed
    assert format_address(packed) == str(address)
    assert parse_address(packed) == packed


@given(st.ip_addresses(v=4), st.integers(0, 32), st.ip_addresses(v=4))
def test_networks_as_the_standard_library_counts_them(address: object, prefix: int, other: object) -> None:
    theirs = ip_interface(f"{address}/{prefix}")
    ours = Cidr.parse(f"{address}/{prefix}")
    assert ours.network == theirs.network.network_address.packed
    assert ours.contains(parse_address(str(other))) == (other in theirs.network)
    if prefix <= 30:
        assert ours.broadcast == theirs.network.broadcast_address.packed
    else:
        assert ours.broadcast is None
    assert str(ours) == str(theirs)


@pytest.mark.parametrize(
    "text",
    ["", "10.0.0", "10.0.0.256", "10.0.0.1.1", "010.0.0.1", "fe80::1%eth0", "host", b"123", None, 5, "１0.0.0.1"],
)
def test_what_is_no_address_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(ConfigurationError, match=r"write it like '10\.0\.0\.1'"):
        parse_address(text)


@pytest.mark.parametrize("text", ["10.0.0.1", "10.0.0.1/", "10.0.0.1/33", "10.0.0.1/-1", "10.0.0.1/²", "x/24", None])
def test_what_is_no_network_is_refused(text: object) -> None:
    with pytest.raises(ConfigurationError):
        Cidr.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0/8", "127.0.0.1/8", "224.0.0.1/4", "255.255.255.255/32", "10.0.0.0/24", "10.0.0.255/24", "240.0.0.1/8",
        "::/64", "::1/128", "ff02::1/64", "::ffff:10.0.0.1/96",
    ],
)  # fmt: skip
def test_rfc_1122_3_2_1_3_and_rfc_4291_what_is_no_hosts_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        Addressing().add(text)


@pytest.mark.parametrize("text", ["10.0.0.1/31", "10.0.0.0/31", "10.0.0.1/32"])
def test_rfc_3021_networks_of_two_hosts_have_no_broadcast(text: str) -> None:
    addressing = Addressing()
    addressing.add(text)
    assert addressing.has(parse_address(text.partition("/")[0]))


@pytest.mark.parametrize(("address", "near"), [("fe80::9", True), ("169.254.0.9", False), ("fd00::9", False)])
def test_rfc_4861_5_1_the_links_scope_is_always_on_the_link(address: str, near: bool) -> None:
    assert Addressing().is_neighbor(parse_address(address)) == near


def test_an_address_is_had_once() -> None:
    addressing = Addressing()
    addressing.add("10.0.0.1/24")
    with pytest.raises(ConfigurationError, match="already"):
        addressing.add("10.0.0.1/16")


def test_rfc_4862_5_5_4_a_deprecated_address_may_be_preferred_again() -> None:
    addressing = Addressing()
    addressing.add("fd00::1/64", preferred_until=10, valid_until=20)
    told = []
    for now in (9, 10):
        addressing.expire(now)
        (row,) = addressing.rows(now)
        told.append((row["state"], row["preferred_for"], row["valid_for"], addressing.poll_at()))
    addressing.lifetimes(parse_address("fd00::1"), FOREVER, 30)
    (row,) = addressing.rows(11)
    told.append((row["state"], row["preferred_for"], row["valid_for"], addressing.poll_at()))
    assert told == [("preferred", 1, 11, 10), ("deprecated", 0, 10, 20), ("preferred", None, 19, 30)]
    addressing.expire(30)
    assert (addressing.rows(30), addressing.has(parse_address("fd00::1"))) == ([], False)


def test_rfc_1112_6_4_a_groups_ethernet_address_has_its_low_23_bits() -> None:
    assert multicast_mac(bytes((224, 128 + 1, 2, 3))) == bytes.fromhex("01005e010203")


@pytest.fixture
def stack(bench: Any) -> NetworkStack:
    made: NetworkStack = bench.stack(["10.0.0.1/24", "192.168.5.1/16"], gateway="10.0.0.254")
    made.add_route("172.16.0.0/12", "192.168.0.9")
    made.add_route("172.16.5.0/24", "10.0.0.9")
    return made


def way_to(stack: NetworkStack, destination: str) -> Way:
    way = stack.node.routing.way(parse_address(destination))
    assert way is not None
    return way


@pytest.mark.parametrize(
    ("destination", "hop", "source"),
    [
        ("10.0.0.77", "10.0.0.77", "10.0.0.1"),
        ("192.168.9.9", "192.168.9.9", "192.168.5.1"),
        ("8.8.8.8", "10.0.0.254", "10.0.0.1"),
        ("172.31.1.1", "192.168.0.9", "192.168.5.1"),
        ("172.16.5.1", "10.0.0.9", "10.0.0.1"),
    ],
)
def test_the_longest_prefix_names_the_hop_and_its_network_our_address(
    stack: NetworkStack, destination: str, hop: str, source: str
) -> None:
    way = way_to(stack, destination)
    assert (format_address(way.hop), format_address(way.source), way.mac, way.local) == (hop, source, b"", False)


@pytest.mark.parametrize(
    ("destination", "source"),
    [("255.255.255.255", "10.0.0.1"), ("10.0.0.255", "10.0.0.1"), ("192.168.255.255", "192.168.5.1")],
)
def test_broadcasts_need_no_resolution(stack: NetworkStack, destination: str, source: str) -> None:
    way = way_to(stack, destination)
    assert (way.mac, format_address(way.source)) == (ethernet.BROADCAST, source)


def test_a_more_specific_route_wins_over_our_own_network(stack: NetworkStack) -> None:
    stack.add_route("192.168.7.0/24", "192.168.0.9")
    assert format_address(way_to(stack, "192.168.7.1").hop) == "192.168.0.9"
    stack.remove_route("192.168.7.0/24")
    assert format_address(way_to(stack, "192.168.7.1").hop) == "192.168.7.1"


def test_our_own_addresses_are_local_and_without_any_nothing_is_reached(stack: NetworkStack, bench: Any) -> None:
    assert way_to(stack, "192.168.5.1").local
    assert bench.stack().node.routing.way(parse_address("10.0.0.1")) is None


def test_rfc_2131_4_1_without_an_address_everybody_can_be_asked(bench: Any) -> None:
    way = way_to(bench.stack(), "255.255.255.255")
    assert (way.source, way.mac) == (bytes(4), ethernet.BROADCAST)


@pytest.mark.parametrize("gateway", ["11.0.0.1", "10.0.0.1"])
def test_a_gateway_is_a_neighbor(stack: NetworkStack, gateway: str) -> None:
    with pytest.raises(ConfigurationError, match="no neighbor"):
        stack.add_route("1.0.0.0/8", gateway)


def test_save_and_load(stack: NetworkStack, bench: Any) -> None:
    stack.join_group("239.1.2.3")
    other = bench.stack()
    ours, theirs = stack.interface.addressing, other.interface.addressing
    theirs.load(ours.save())
    other.node.routing.routes.load(stack.node.routing.routes.save())
    assert theirs.save() == ours.save()
    for destination in ("172.16.5.1", "10.0.0.255", "192.168.9.9"):
        one, two = way_to(stack, destination), way_to(other, destination)
        assert (one.hop, one.source, one.mac) == (two.hop, two.source, two.mac)
    assert theirs.macs == ours.macs


@pytest.mark.parametrize(
    ("text", "address", "interface"),
    [("fe80::1%eth1", "fe80::1", "eth1"), ("fe80::1", "fe80::1", ""), ("10.0.0.1", "10.0.0.1", "")],
)
def test_rfc_4007_11_an_address_may_say_on_which_link_it_lies(text: str, address: str, interface: str) -> None:
    assert parse_scoped(text) == (ip_address(address).packed, interface)


def test_rfc_4007_6_a_router_reaches_the_same_address_on_either_link() -> None:
    world = motenet.World(seed=1)
    router = world.host("router", address="fd00:1::1/64")
    router.plug(address="fd00:2::1/64")
    near, far = (world.host(name, address=f"fd00:{number}::2/64") for number, name in ((1, "near"), (2, "far")))
    world.link(router, near)
    world.link(router, far)
    for host in (near, far):
        host.stack.add_address("fe80::2/64")
    world.run("3s")
    for number, host in enumerate((near, far)):
        listener = host.stack.tcp_listen(80)
        socket = router.stack.tcp_connect(f"fe80::2%eth{number}", 80)
        assert listener.can_accept or world.run("1s") or listener.can_accept
        assert socket.interface == f"eth{number}"
        assert router.stack.ping(f"fe80::2%eth{number}", count=1) != [None]
