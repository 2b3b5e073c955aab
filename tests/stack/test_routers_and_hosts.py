"""Routers and hosts on one link, through the whole stack: SLAAC, duplicates, and what happens when a router dies."""

from typing import Any

import pytest

from motenet.stack.address import Cidr, parse_address
from motenet.stack.advertising import AdvertisedPrefix, RouterConfiguration

SECOND = 1_000_000_000
PREFIX = AdvertisedPrefix(Cidr.parse("2001:db8::/64"), valid=600, preferred=300)


def router(bench: Any, address: str = "2001:db8::1/64", **configuration: Any) -> Any:
    stack = bench.stack(address, forwarding=True)
    stack.advertise(RouterConfiguration((PREFIX,), **configuration))
    return stack


def addresses(stack: Any) -> dict[str, str]:
    return {row["address"].split("/")[0]: row["state"] for row in stack.list_addresses()}


def gateways(stack: Any) -> list[str]:
    return [row["gateway"] for row in stack.list_routes() if row["network"] == "::/0"]


def test_a_host_gets_address_router_and_name_server(bench: Any) -> None:
    """RFC 4862, 1 to 4, in one go; the host's second Ethernet address gives ::ff:fe00:2 (RFC 2464, 4)."""
    router(bench, name_servers=(parse_address("2001:db8::53"),))
    host = bench.stack("auto")
    bench.run(10 * SECOND)
    assert addresses(host) == {"fe80::ff:fe00:2": "preferred", "2001:db8::ff:fe00:2": "preferred"}
    assert gateways(host) == ["fe80::ff:fe00:1"]
    assert host.dns_servers == ["2001:db8::53"]
    assert None not in host.ping("2001:db8::1", count=2)


def test_a_snapshot_in_the_midst_goes_on_the_same(bench: Any) -> None:
    router(bench)
    host = bench.stack("auto")
    bench.run(SECOND)
    saved = bench.save()
    ends = []
    for _ in range(2):
        bench.load(saved)
        bench.run(20 * SECOND)
        ends.append((bench.save(), host.list_addresses()))
    assert ends[0] == ends[1]


def test_rfc_4861_6_2_5_a_router_that_ceases_is_used_no_more(bench: Any) -> None:
    stack, host = router(bench), bench.stack("auto")
    bench.run(10 * SECOND)
    stack.advertise(None)
    bench.run(10 * SECOND)
    assert gateways(host) == []
    assert "2001:db8::ff:fe00:2" in addresses(host)


def test_rfc_4862_5_5_4_addresses_are_deprecated_and_end(bench: Any) -> None:
    stack, host = router(bench, maximum_interval=1800), bench.stack("auto")
    bench.run(10 * SECOND)
    bench.lose = lambda frame: True
    bench.run(300 * SECOND)
    assert addresses(host)["2001:db8::ff:fe00:2"] == "deprecated"
    bench.run(400 * SECOND)
    assert list(addresses(host)) == ["fe80::ff:fe00:2"]
    assert stack.list_addresses()[0]["valid_for"] is None


def test_rfc_4429_an_address_in_use_that_is_a_duplicate_is_given_up(bench: Any) -> None:
    bench.stack("2001:db8::5/64")
    bench.run(10 * SECOND)
    late = bench.stack("2001:db8::5/64")
    assert "2001:db8::5" in addresses(late)
    bench.run(10 * SECOND)
    assert list(addresses(late)) == ["fe80::ff:fe00:2"]


def test_rfc_5227_2_1_1_an_ipv4_address_that_somebody_has_is_not_taken(bench: Any) -> None:
    bench.stack("10.0.0.5/24")
    late = bench.stack()
    late.add_address("10.0.0.5/24", probe=True)
    late.add_address("10.0.0.6/24", probe=True)
    assert addresses(late) == {"10.0.0.5": "tentative", "10.0.0.6": "tentative"}
    bench.run(10 * SECOND)
    assert addresses(late) == {"10.0.0.6": "preferred"}


@pytest.mark.parametrize("dead", [0, 1])
def test_rfc_4861_7_3_3_another_router_takes_over_from_a_dead_one(bench: Any, dead: int) -> None:
    """Neighbor unreachability detection finds it out: 45 s at most, 5 s in DELAY, 3 s in PROBE."""
    routers = [router(bench, "2001:db8::1/64"), router(bench, "2001:db8::2/64")]
    host = bench.stack("auto")
    bench.run(10 * SECOND)
    far = host.udp_socket(7)
    far.send_to(b"x", "2001:db8:9::9", 9)
    bench.run(SECOND)
    gone = bytes((2, 0, 0, 0, 0, dead + 1))
    bench.lose = lambda frame: gone in (frame[:6], frame[6:12])
    for _ in range(70):
        far.send_to(b"x", "2001:db8:9::9", 9)
        bench.run(SECOND)
    assert routers[1 - dead].drop_reasons["forward-no-route"] >= 70 - 53  # those that it got
    assert len(gateways(host)) == 2
