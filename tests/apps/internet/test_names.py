"""What the internet's DNS server answers, and when that changes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import motenet
from motenet.apps.dns import Zones
from motenet.apps.dns.zone import Records
from motenet.apps.internet.names import host_records, sort_records, told_name


def test_forward_and_reverse_lead_to_each_other(make_net: Any) -> None:
    """RFC 1035, 3.5; RFC 3596, 2.5."""
    net = make_net(("alice", ()), ("bob", "10.0.0.9/24"))
    assert net.ask("alice.test") == ["10.0.0.100"]
    assert net.ask("100.0.0.10.in-addr.arpa", "PTR") == ["alice.test."]
    assert net.ask("9.0.0.10.in-addr.arpa", "PTR") == ["bob.test."]
    (six,) = net.ask("alice.test", "AAAA")
    assert six == "fd00::1:5054:ff:fe00:1"
    name = "1.0.0.0.0.0.e.f.f.f.0.0.4.5.0.5.1.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa"
    assert net.ask(name, "PTR") == ["alice.test."]
    assert net.ask("77.0.0.10.in-addr.arpa", "PTR") == "NXDOMAIN"


def test_a_name_comes_with_the_lease_and_goes_with_it(make_net: Any) -> None:
    net = make_net(("alice", ()), ("bob", "dhcp"), settle=False)
    assert net.ask("bob.test") == "NXDOMAIN"
    net.net.settle()
    assert net.alice.stack.dns_resolve("bob") == ["10.1.0.101"]
    net.bob.stack.dhcp_release()
    net.world.run("3s")
    assert net.ask("bob.test") == net.ask("101.0.1.10.in-addr.arpa", "PTR") == "NXDOMAIN"
    assert net.ask("alice.test") == ["10.1.0.100"]
    net.bob.stack.dhcp_acquire()
    assert net.alice.stack.dns_resolve("bob") == ["10.1.0.101"]


def test_a_lease_that_is_over_has_no_name(make_net: Any) -> None:
    net = make_net(("alice", "dhcp"), lease_time="100s")
    net.world.links[-1].unplug()
    net.world.run("60s")
    assert net.ask("alice.test") == ["10.1.0.100"]
    net.world.run("50s")
    assert net.ask("alice.test") == "NXDOMAIN"


def test_an_address_more_is_found_at_once(make_net: Any) -> None:
    """dnsmasq(8), --local-ttl: local names live 0 seconds, so that nobody remembers what may change."""
    net = make_net()
    assert net.bob.stack.dns_resolve("alice", 4) == ["10.1.0.100"]
    net.alice.stack.add_address("10.1.9.9/16")
    assert sorted(net.bob.stack.dns_resolve("alice", 4)) == ["10.1.0.100", "10.1.9.9"]
    net.alice.stack.remove_address("10.1.9.9")
    assert net.bob.stack.dns_resolve("alice", 4) == ["10.1.0.100"]


def test_more_records(make_net: Any) -> None:
    world = motenet.World()
    alice, bob = world.host("alice"), world.host("bob")
    net = world.internet(
        records={
            "www": alice,
            "api.example.com": bob,
            "Old.Test": ["10.9.9.9", "fd00:9::9"],
            "@": "10.9.9.1",
            "mail.test.": "MX 10 alice",
            "deep.er": "60 TXT hello",
        }
    )
    net.settle()
    ask = make_net.ask
    found = {name: ask(_Holder(net), name) for name in ("www.test", "api.example.com", "old.test", "test")}
    assert found == {
        "www.test": ["10.1.0.100", "alice.test."],
        "api.example.com": ["10.1.0.101", "bob.test."],
        "old.test": ["10.9.9.9"],
        "test": ["10.9.9.1"],
    }
    assert ask(_Holder(net), "mail.test", "MX") == ["10 alice.test."]
    assert ask(_Holder(net), "deep.er", "TXT") == ['"hello"']
    assert ask(_Holder(net), "100.0.1.10.in-addr.arpa", "PTR") == ["alice.test."]
    assert alice.stack.dns_resolve("api.example.com", 4) == ["10.1.0.101"]


class _Holder:
    def __init__(self, net: Any) -> None:
        self.net = net


def test_another_domain(make_net: Any) -> None:
    net = make_net(("alice", ()), ("www.shop", "10.0.0.5/24"), ("Bob.Lab.Example", "auto"), domain="Lab.Example")
    assert sorted(net.net.names()) == [f"{name}.lab.example" for name in ("alice", "bob", "router", "www.shop")]
    assert net.alice.stack.dns_resolve("www.shop") == ["10.0.0.5"]
    assert net.alice.stack.dns_resolve("bob") == net.net.names()["bob.lab.example"]


def guest(net: Any, name: str, said: str) -> None:
    """A computer that nobody has told the internet of; it asks for a lease, and says what it is called."""
    host = net.world.host(name)
    host.stack.sockets.dhcp_client("eth0").host_name = said
    net.world.link(host, net.net.switch)
    host.stack.dhcp_acquire()


def test_rfc_2132_3_14_a_guest_is_found_by_what_it_calls_itself(make_net: Any) -> None:
    net = make_net(("alice", ()), records={"www": "10.1.0.1"})
    for number, said in enumerate(("laptop", "LAPTOP", "phone.test", "alice", "router", "www", "a b", "")):
        guest(net, f"guest{number}", said)
    assert net.alice.stack.dns_resolve("laptop") == ["10.1.0.101"]
    assert net.ask("phone.test") == ["10.1.0.103"]
    assert net.ask("alice.test") == ["10.1.0.100"]  # she was first
    assert net.ask("router.test") == ["10.1.0.1"]
    assert net.ask("www.test") == ["10.1.0.1"]
    assert net.ask("101.0.1.10.in-addr.arpa", "PTR") == ["laptop.test."]
    assert net.ask("106.0.1.10.in-addr.arpa", "PTR") == "NXDOMAIN"


def test_a_name_stays_with_who_had_it_first_through_all_renewals(make_net: Any) -> None:
    net = make_net(("alice", ()), lease_time="2min")
    guest(net, "guest1", "printer")
    guest(net, "guest2", "printer")
    found = set()
    for _ in range(20):
        net.world.run("15s")
        found.add(tuple(net.ask("printer.test")))
    assert found == {("10.1.0.101",)}
    net.guest1.stack.dhcp_release()
    net.world.run("1s")
    assert net.ask("printer.test") == ["10.1.0.102"]
    net.guest1.stack.dhcp_acquire()
    assert net.ask("printer.test") == ["10.1.0.102"]


@given(st.text(max_size=80) | st.text("aA-.0", max_size=70))
def test_whatever_a_guest_calls_itself_zones_can_be_made(said: str) -> None:
    name = told_name(said, "test")
    table = sort_records("test", {})
    table["test."] |= {name: host_records(["10.0.0.1", "fd00::1"])} if name else {}
    zones = Zones(table)
    assert (name == "") or len(zones.zones) == 4  # ours, the root's, and those of both reverse trees
    assert "." not in name


@pytest.mark.parametrize(
    ("name", "zone", "label"),
    [
        ("www", "test.", "www"), ("WWW.test.", "test.", "www"), ("test", "test.", "@"), ("a.b.test", "test.", "a.b"),
        ("example.com", ".", "example.com."), ("www.contest", ".", "www.contest."), ("*", "test.", "*"),
    ],
)  # fmt: skip
def test_a_name_with_a_dot_is_a_full_name(name: str, zone: str, label: str) -> None:
    record: Records = "10.0.0.1"
    assert sort_records("test", {name: record})[zone] == {label: record}
