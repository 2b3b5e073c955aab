"""Which of our addresses a packet is sent from: the examples of RFC 6724, 10.1, and IPv4's rule."""

from typing import Any

import pytest

from motenet.stack.address import parse_address
from motenet.stack.addressing import DEPRECATED, Addressing
from motenet.stack.selection import select


def chosen(addresses: list[str], destination: str, hop: str = "", deprecated: str = "") -> str:
    """The address selected, as it was written."""
    addressing = Addressing()
    for one in addresses:
        addressing.add(one if "/" in one else one + "/64")
    if deprecated:
        addressing.entries[parse_address(deprecated)].state = DEPRECATED
    there = parse_address(destination)
    found = select(addressing, there, parse_address(hop) if hop else there)
    return next((one for one in addresses if parse_address(one.split("/")[0]) == found), "")


@pytest.mark.parametrize(
    ("destination", "addresses", "expected"),
    [
        ("2001:db8:1::1", ["2001:db8:3::1", "fe80::1"], "2001:db8:3::1"),  # prefer appropriate scope
        ("ff05::1", ["2001:db8:3::1", "fe80::1"], "2001:db8:3::1"),  # prefer appropriate scope
        ("ff02::1", ["2001:db8:3::1", "fe80::1"], "fe80::1"),  # prefer appropriate scope: the group's
        ("2001:db8:1::1", ["2001:db8:1::1", "2001:db8:2::1"], "2001:db8:1::1"),  # prefer same address
        ("fe80::1", ["fe80::2", "2001:db8:1::1"], "fe80::2"),  # prefer appropriate scope
        ("2001:db8:1::1", ["2001:db8:1::2", "2001:db8:3::2"], "2001:db8:1::2"),  # longest matching prefix
        ("2002:c633:6401::1", ["2002:c633:6401::d5e3:7953:13eb:22e8", "2001:db8:1::2"],
         "2002:c633:6401::d5e3:7953:13eb:22e8"),  # prefer matching label
    ],
)  # fmt: skip
@pytest.mark.parametrize("order", [1, -1])
def test_rfc_6724_10_1(destination: str, addresses: list[str], expected: str, order: int) -> None:
    assert chosen(addresses[::order], destination) == expected


@pytest.mark.parametrize("order", [1, -1])
def test_rfc_6724_5_rule_3_deprecated_addresses_are_avoided(order: int) -> None:
    addresses = ["2001:db8:1::2", "2001:db8:3::2"][::order]
    assert chosen(addresses, "2001:db8:1::1", deprecated="2001:db8:1::2") == "2001:db8:3::2"
    assert chosen(addresses[:1], "2001:db8:1::1", deprecated=addresses[0]) == addresses[0]
    # rule 2 comes first: the scope has to be right
    assert chosen(["fe80::2", "2001:db8:1::2"][::order], "2001:db8:9::1", deprecated="2001:db8:1::2") == "2001:db8:1::2"


@pytest.mark.parametrize("order", [1, -1])
def test_rfc_6724_5_rule_6_unique_local_addresses_speak_to_each_other(order: int) -> None:
    addresses = ["fd00:1::1", "2001:db8:1::1"][::order]
    assert chosen(addresses, "fd00:9::1") == "fd00:1::1"
    assert chosen(addresses, "2001:db8:9::1") == "2001:db8:1::1"


def test_rfc_6724_5_rule_8_no_more_than_the_prefix_counts() -> None:
    """2001:db8:1::2/48 and ::3/64: the host part is no sign of nearness."""
    addresses = ["2001:db8:1:0:aaaa::2/64", "2001:db8:1:0:bbbb::2/64"]
    assert chosen(addresses, "2001:db8:1:0:bbbb::9") == addresses[0]


def test_rfc_1122_3_3_4_3_ipv4_takes_the_address_on_the_next_hops_network() -> None:
    addresses = ["10.0.0.1/24", "10.0.1.1/24", "10.0.1.2/28"]
    assert chosen(addresses, "10.9.9.9", hop="10.0.1.200") == "10.0.1.1/24"
    assert chosen(addresses, "10.9.9.9", hop="10.0.1.9") == "10.0.1.2/28"
    assert chosen(addresses, "10.9.9.9", hop="172.16.0.1") == "10.0.0.1/24"


def test_a_family_that_we_do_not_have() -> None:
    assert chosen(["10.0.0.1/24"], "2001:db8::1") == ""
    assert chosen(["2001:db8::1/64"], "10.0.0.1") == ""


@pytest.mark.parametrize("destination", ["0.0.0.0", "0.1.2.3", "240.0.0.1", "::", "::ffff:10.0.0.2"])
def test_rfc_1122_3_2_1_3_and_4291_2_5_no_packet_goes_to_what_names_no_host(router: Any, destination: str) -> None:
    router.stack.add_route("0.0.0.0/0", "10.0.0.2")
    router.stack.add_route("::/0", "2001:db8:1::2")
    router.stack.udp_socket(9).send_to(b"x", destination, 7)
    assert router.pass_time(1) == []
    assert router.stack.drop_reasons == {"no-route": 1}


def test_packets_leave_by_the_interface_with_the_longest_prefix(router: Any) -> None:
    stack = router.stack
    for destination, source in (("10.0.0.9", "10.0.0.1"), ("10.0.1.9", "10.0.1.1"), ("2001:db8:2::9", "2001:db8:2::1")):
        assert stack.node.source_for(parse_address(destination)) == parse_address(source)
    for name, local in (("eth0", "fe80::ff:fe00:1"), ("eth1", "fe80::ff:fe00:101")):
        assert stack.node.source_for(parse_address("fe80::9"), name) == parse_address(local)
