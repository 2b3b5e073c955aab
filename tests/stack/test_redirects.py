"""Redirects (RFC 792; RFC 1122, 3.2.2.2; RFC 1812, 5.2.7.2; RFC 4861, 8): sent by a router, obeyed by a host."""

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_Redirect,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptRedirectedHdr,
    IPv6,
)
from scapy.layers.l2 import ARP, Ether

SECOND = 1_000_000_000
US, NEAR, OTHER, US4 = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03", "10.0.0.1"


def know(router: Any, address: str) -> None:
    """Let the router know another neighbor of its first link."""
    if ":" in address:
        answer = ICMPv6ND_NA(tgt=address, R=1, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=OTHER)
        router.hear(Ether(src=OTHER, dst=US) / IPv6(src=address, dst="2001:db8:1::1", hlim=255) / answer)
    else:
        answer = ARP(op=2, hwsrc=OTHER, psrc=address, hwdst=US, pdst="10.0.0.1")
        router.hear(Ether(src=OTHER, dst=US) / answer)


# --- sent


@pytest.mark.parametrize("destination", ["10.0.0.9", "10.9.9.9"])
def test_rfc_1812_5_2_7_2_a_neighbor_hears_of_a_better_way(router: Any, destination: str) -> None:
    router.stack.add_route("10.9.0.0/16", "10.0.0.9")
    packet = Ether(src=NEAR, dst=US) / IP(src="10.0.0.2", dst=destination) / UDP(dport=7) / b"data"
    router.hear(packet)
    know(router, "10.0.0.9")
    router.bench.now += SECOND
    frames = [frame for _, frame in router.hear(packet)]
    assert [frame[IP].dst for frame in frames] == [destination, "10.0.0.2"]  # it goes on all the same
    redirect = frames[1][ICMP]
    assert (redirect.type, redirect.code, redirect.gw, redirect.payload.dst) == (5, 1, "10.0.0.9", destination)
    assert frames[1][IP].src == "10.0.0.1"


def test_rfc_4861_8_2_a_neighbor_hears_of_a_better_way(router: Any) -> None:
    router.stack.add_route("2001:db8:9::/48", "fe80::9", interface="eth0")
    packet = Ether(src=NEAR, dst=US) / IPv6(src="2001:db8:1::2", dst="2001:db8:9::9") / UDP(dport=7) / bytes(80)
    router.hear(packet)
    know(router, "fe80::9")
    router.bench.now += SECOND
    redirect = router.hear(packet)[1][1]
    told = redirect[ICMPv6ND_Redirect]
    assert (told.tgt, told.dst) == ("fe80::9", "2001:db8:9::9")
    assert (redirect[IPv6].src, redirect[IPv6].dst, redirect[IPv6].hlim) == ("fe80::ff:fe00:1", "2001:db8:1::2", 255)
    assert redirect[ICMPv6NDOptDstLLAddr].lladdr == OTHER
    assert bytes(packet[IPv6])[:40] == bytes(redirect[ICMPv6NDOptRedirectedHdr].pkt)[:40]


@pytest.mark.parametrize("length", [0, 12, 51, 52, 300])
def test_a_packet_and_its_redirect_are_at_most_three_times_what_came(router: Any, length: int) -> None:
    packet = Ether(src=NEAR, dst=US) / IPv6(src="2001:db8:1::2", dst="2001:db8:1::9") / UDP(dport=7) / bytes(length)
    router.hear(packet)
    know(router, "2001:db8:1::9")
    router.bench.now += SECOND
    frames = [frame for _, frame in router.hear(packet)]
    assert ICMPv6ND_Redirect in frames[1]
    assert sum(map(len, frames)) <= 3 * len(packet)


def test_rfc_4861_8_2_a_destination_on_the_link_is_its_own_target(router: Any) -> None:
    packet = Ether(src=NEAR, dst=US) / IPv6(src="2001:db8:1::2", dst="2001:db8:1::9") / UDP(dport=7) / bytes(1400)
    router.hear(packet)
    know(router, "2001:db8:1::9")
    router.bench.now += SECOND
    redirect = router.hear(packet)[1][1]
    assert redirect[ICMPv6ND_Redirect].tgt == redirect[ICMPv6ND_Redirect].dst == "2001:db8:1::9"
    assert len(redirect[IPv6]) <= 1280


def test_rfc_4861_8_2_redirects_are_limited(router: Any) -> None:
    know(router, "10.0.0.9")
    packet = Ether(src=NEAR, dst=US) / IP(src="10.0.0.2", dst="10.0.0.9") / UDP(dport=7)
    assert len(router.hear(*[packet] * 100)) == 101


def test_who_is_no_neighbor_is_not_redirected(router: Any) -> None:
    know(router, "10.0.0.9")
    packet = Ether(src=NEAR, dst=US) / IP(src="10.7.7.7", dst="10.0.0.9") / UDP(dport=7)
    assert len(router.hear(packet)) == 1


def test_rfc_1812_5_2_7_2_nobody_is_sent_to_another_network_of_the_same_link(router: Any) -> None:
    """ "The IP source address of the packet is on the same (sub)network as the next-hop IP address"."""
    router.stack.add_address("172.16.0.1/24")
    know(router, "10.0.0.9")
    packet = Ether(src=NEAR, dst=US) / IP(src="172.16.0.2", dst="10.0.0.9") / UDP(dport=7)
    router.bench.now += SECOND
    assert [frame[IP].dst for _, frame in router.hear(packet)] == ["10.0.0.9"]


# --- obeyed


@pytest.fixture
def host(script: Any) -> Any:
    """A host that sends all by 10.0.0.2, and knows it."""
    script.stack.add_route("0.0.0.0/0", "10.0.0.2")
    script.know_peer()
    return script


def redirect(script: Any, gateway: str = "10.0.0.3", destination: str = "10.9.9.9", **fields: Any) -> Any:
    about = IP(src="10.0.0.1", dst=destination) / UDP(sport=7, dport=9)
    return script.from_peer(**fields) / ICMP(type=5, code=1, gw=gateway) / about


def learned(script: Any) -> list[tuple[str, str | None]]:
    return [(row["network"], row["gateway"]) for row in script.stack.list_routes() if row["origin"] == "redirect"]


def test_rfc_1122_3_3_1_2_a_redirect_is_obeyed_for_that_destination(host: Any) -> None:
    host.hear(redirect(host))
    assert learned(host) == [("10.9.9.9/32", "10.0.0.3")]
    host.stack.udp_socket(7).send_to(b"x", "10.9.9.9", 9)
    (frame,) = host.sent()
    assert frame[ARP].pdst == "10.0.0.3"


@pytest.mark.parametrize(
    "change",
    [
        {"src": "10.0.0.7"},  # RFC 1122, 3.2.2.2: not from the first hop
        {"gateway": "10.1.0.3"},  # a gateway that is no neighbor
        {"gateway": "10.9.9.9"},  # nor is the destination, in another IPv4 network
        {"gateway": "10.0.0.1"},  # ourselves
        {"gateway": "10.0.0.255"},
        {"destination": "224.0.0.5"},
    ],
)
def test_rfc_1122_3_2_2_2_other_redirects_are_ignored(host: Any, change: dict[str, Any]) -> None:
    host.hear(redirect(host, **change))
    assert learned(host) == []
    assert host.drops == {"icmp-redirect": 1}


@pytest.mark.parametrize(("code", "source", "reason"), [(4, US4, "icmp-type"), (1, "10.0.0.9", "icmp-foreign-quote")])
def test_rfc_792_nor_is_one_of_unknown_code_or_about_what_others_sent(
    host: Any, code: int, source: str, reason: str
) -> None:
    about = IP(src=source, dst="10.9.9.9") / UDP()
    host.hear(host.from_peer() / ICMP(type=5, code=code, gw="10.0.0.3") / about)
    assert (learned(host), host.drops) == ([], {reason: 1})


@pytest.mark.parametrize("router", [True, False])
def test_rfc_1812_5_2_7_2_a_router_obeys_none_nor_does_a_host_that_is_told_so(host: Any, router: bool) -> None:
    host.stack.forwarding = router
    if not router:
        host.stack.interface.accept_redirects = False
    host.hear(redirect(host))
    assert learned(host) == []


def test_what_was_told_is_forgotten_when_the_new_router_does_not_answer(host: Any) -> None:
    host.hear(redirect(host))
    host.stack.udp_socket(7).send_to(b"x", "10.9.9.9", 9)
    host.sent()
    host.pass_time(5 * SECOND)
    assert learned(host) == []


def test_what_was_told_ends_after_a_while(host: Any) -> None:
    host.hear(redirect(host))
    host.pass_time(601 * SECOND)
    assert learned(host) == []


def test_rfc_4861_8_3_a_redirect_to_a_router_and_to_a_neighbor(script: Any) -> None:
    stack = script.stack
    stack.add_address("2001:db8::1/64")
    stack.add_route("::/0", "fe80::2")
    script.sent()
    script.pass_time(10 * SECOND)
    frame = Ether(src=NEAR, dst=US) / IPv6(src="fe80::2", dst="2001:db8::1", hlim=255)
    known = ICMPv6NDOptDstLLAddr(lladdr=OTHER)
    script.hear(frame / ICMPv6ND_Redirect(tgt="fe80::3", dst="2001:db8:9::9") / known)
    script.hear(frame / ICMPv6ND_Redirect(tgt="2001:db8:9::8", dst="2001:db8:9::8") / known)
    assert learned(script) == [("2001:db8:9::9/128", "fe80::3"), ("2001:db8:9::8/128", None)]
    socket = stack.udp_socket(7)
    for last in (9, 8):
        socket.send_to(b"x", f"2001:db8:9::{last}", 9)
        (sent,) = script.sent()
        assert (sent.dst, sent[IPv6].dst) == (OTHER, f"2001:db8:9::{last}")


@pytest.mark.parametrize("change", [{"hlim": 254}, {"src": "fe80::7"}, {"src": "2001:db8::2"}])
def test_rfc_4861_8_1_other_redirects_are_ignored(script: Any, change: dict[str, Any]) -> None:
    script.stack.add_address("2001:db8::1/64")
    script.stack.add_route("::/0", "fe80::2")
    script.sent()
    script.pass_time(10 * SECOND)
    header = IPv6(**{"src": "fe80::2", "dst": "2001:db8::1", "hlim": 255, **change})
    script.hear(Ether(src=NEAR, dst=US) / header / ICMPv6ND_Redirect(tgt="fe80::3", dst="2001:db8:9::9"))
    assert learned(script) == []
