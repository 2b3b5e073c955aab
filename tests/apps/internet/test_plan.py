"""Which networks LANs get, and which addresses in them are the router's and DHCP's."""

from ipaddress import IPv4Network, ip_network
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.apps.dhcp import Subnet
from motenet.apps.internet.plan import overlap, pieces, pool, router_address
from motenet.core.errors import ConfigurationError
from motenet.stack.address import Cidr

networks = st.builds(
    lambda number, prefix: ip_network((number, prefix), strict=False),
    st.integers(128 << 24, 0xDFFFFFFF),  # below 224.0.0.0, and none of it loopback
    st.integers(8, 30),
)


def cidr(network: object) -> Cidr:
    return Cidr.parse(str(network))


@pytest.mark.parametrize(
    ("block", "first"),
    [
        ("10.0.0.0/8", ["10.1.0.0/16", "10.2.0.0/16"]),
        ("192.168.0.0/16", ["192.168.1.0/24", "192.168.2.0/24"]),
        ("172.16.0.0/12", ["172.16.16.0/20", "172.16.32.0/20"]),
        ("fd00::/48", ["fd00:0:0:1::/64", "fd00:0:0:2::/64"]),
    ],
)
def test_a_block_is_shared_out_as_people_count(block: str, first: list[str]) -> None:
    assert [str(piece) for piece in islice(pieces(block), 2)] == first
    assert all(ip_network(str(piece)).subnet_of(ip_network(block)) for piece in islice(pieces(block), 300))  # type: ignore[arg-type]


@given(networks, networks)
def test_networks_overlap_as_the_standard_library_says(one: IPv4Network, other: IPv4Network) -> None:
    assert overlap(cidr(one), cidr(other)) == one.overlaps(other)
    assert not overlap(cidr(one), Cidr.parse("fd00::/8"))


@given(networks, st.lists(st.integers(0, 300), max_size=12))
def test_the_router_has_a_free_address_of_the_network_if_there_is_one(network: IPv4Network, offsets: list[int]) -> None:
    taken = [(int(network.network_address) + offset).to_bytes(4, "big") for offset in offsets]
    hosts = [host.packed for host in islice(network.hosts(), 254)]
    free = [host for host in hosts if host not in taken]
    try:
        found = router_address(cidr(network), taken, taken)
    except ConfigurationError:
        assert not free
    else:
        assert found.address in free
        assert found.prefix == network.prefixlen


def test_the_first_address_is_the_routers_or_else_the_last() -> None:
    network = Cidr.parse("192.168.7.0/24")
    assert str(router_address(network, [], [])) == "192.168.7.1/24"
    assert str(router_address(network, [bytes((192, 168, 7, 1))], [])) == "192.168.7.254/24"
    assert str(router_address(network, [], [bytes((10, 0, 0, 1)), bytes((192, 168, 7, 9))])) == "192.168.7.9/24"


@given(networks)
def test_a_pool_is_one_that_dhcp_can_give(network: IPv4Network) -> None:
    text = pool(cidr(network))
    assert Subnet(cidr(network), text).addresses()  # it checks that all of them are hosts of the network
    assert network.network_address + 1 != text.partition("-")[0]


@pytest.mark.parametrize(
    ("network", "range_"),
    [
        ("10.1.0.0/16", "10.1.0.100-10.1.16.99"),
        ("10.0.0.0/24", "10.0.0.100-10.0.0.254"),
        ("10.0.0.0/29", "10.0.0.4-10.0.0.6"),
        ("10.0.0.0/31", ""),
        ("10.0.0.5/32", ""),
    ],
)
def test_pools_of_some_sizes(network: str, range_: str) -> None:
    assert pool(Cidr.parse(network)) == range_
