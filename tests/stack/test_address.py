"""Addresses, networks and routes: text in, bytes inside; RFC 1122, 3.2.1.3 and 3.3.1."""

from ipaddress import ip_address, ip_interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.errors import ConfigurationError
from motenet.stack.address import Cidr, format_address, multicast_mac, parse_address
from motenet.stack.addressing import Addressing
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
    ["0.0.0.0/8", "127.0.0.1/8", "224.0.0.1/4", "255.255.255.255/32", "10.0.0.0/24", "10.0.0.255/24", "240.0.0.1/8"],
)
def test_rfc_1122_3_2_1_3_what_is_no_hosts_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        Addressing().add(text)


@pytest.mark.parametrize("text", ["10.0.0.1/31", "10.0.0.0/31", "10.0.0.1/32"])
def test_rfc_3021_networks_of_two_hosts_have_no_broadcast(text: str) -> None:
    addressing = Addressing()
    addressing.add(text)
    assert addressing.has(parse_address(text.partition("/")[0]))


def test_an_address_is_had_once() -> None:
    addressing = Addressing()
    addressing.add("10.0.0.1/24")
    with pytest.raises(ConfigurationError, match="already"):
        addressing.add("10.0.0.1/16")


def test_rfc_1112_6_4_a_groups_ethernet_address_has_its_low_23_bits() -> None:
    assert multicast_mac(bytes((224, 128 + 1, 2, 3))) == bytes.fromhex("01005e010203")


@pytest.fixture
def addressing() -> Addressing:
    made = Addressing()
    made.add("10.0.0.1/24")
    made.add("192.168.5.1/16")
    made.add_route(Cidr.parse("0.0.0.0/0"), parse_address("10.0.0.254"))
    made.add_route(Cidr.parse("172.16.0.0/12"), parse_address("192.168.0.9"))
    made.add_route(Cidr.parse("172.16.5.0/24"), parse_address("10.0.0.9"))
    return made


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
    addressing: Addressing, destination: str, hop: str, source: str
) -> None:
    way = addressing.way(parse_address(destination))
    assert way is not None
    assert (format_address(way.hop), format_address(way.source), way.mac, way.local) == (hop, source, b"", False)


@pytest.mark.parametrize(
    ("destination", "source"),
    [("255.255.255.255", "10.0.0.1"), ("10.0.0.255", "10.0.0.1"), ("192.168.255.255", "192.168.5.1")],
)
def test_broadcasts_need_no_resolution(addressing: Addressing, destination: str, source: str) -> None:
    way = addressing.way(parse_address(destination))
    assert way is not None
    assert (way.mac, format_address(way.source)) == (ethernet.BROADCAST, source)


def test_a_more_specific_route_wins_over_our_own_network(addressing: Addressing) -> None:
    addressing.add_route(Cidr.parse("192.168.7.0/24"), parse_address("192.168.0.9"))
    way = addressing.way(parse_address("192.168.7.1"))
    assert way is not None
    assert format_address(way.hop) == "192.168.0.9"
    addressing.remove_route(Cidr.parse("192.168.7.0/24"))
    way = addressing.way(parse_address("192.168.7.1"))
    assert way is not None
    assert format_address(way.hop) == "192.168.7.1"


def test_our_own_addresses_are_local_and_without_any_nothing_is_reached(addressing: Addressing) -> None:
    way = addressing.way(parse_address("192.168.5.1"))
    assert way is not None
    assert way.local
    assert Addressing().way(parse_address("10.0.0.1")) is None


@pytest.mark.parametrize("gateway", ["11.0.0.1", "10.0.0.1"])
def test_a_gateway_is_a_neighbor(addressing: Addressing, gateway: str) -> None:
    with pytest.raises(ConfigurationError, match="no neighbor"):
        addressing.add_route(Cidr.parse("1.0.0.0/8"), parse_address(gateway))


def test_save_and_load(addressing: Addressing) -> None:
    addressing.join(bytes((239, 1, 2, 3)))
    other = Addressing()
    other.load(addressing.save())
    other.routes.load(addressing.routes.save())
    assert (other.save(), other.routes.save()) == (addressing.save(), addressing.routes.save())
    assert other.way(parse_address("172.16.5.1")) == addressing.way(parse_address("172.16.5.1"))
    assert other.macs == addressing.macs
