"""world.internet(): hosts get addresses of both families, routers, DNS servers and names in one call."""

import subprocess
import sys
from typing import Any

import pytest

import motenet
from motenet.core.errors import BlockingInsideWorld, ConfigurationError
from motenet.machine import Port
from motenet.sim.host import Outsider
from motenet.stack.errors import BadName, NameNotFound, NetworkUnreachable, TimedOut

SECOND = 1_000_000_000


def addresses(host: Any) -> list[str]:
    return [str(cidr) for cidr in host.stack.addresses if not str(cidr).startswith("fe80:")]


def reaches(one: Any, other: Any, family: int | None = None) -> bool:
    """By its bare name, whatever DNS says first."""
    return None not in one.stack.ping(one.stack.dns_resolve(other.name, family)[0], count=1)


@pytest.mark.parametrize("nic", ["e1000", "rtl8139", "virtio-net"])
def test_one_call_gives_all_hosts_both_families_and_names(nic: str) -> None:
    world = motenet.World(seed=3)
    alice, bob = (world.host(name, nic=nic) for name in ("alice", "bob"))
    net = world.internet(nic=nic, bandwidth="100Mbit/s", delay="50us")
    net.settle()
    # RFC 4291, appendix A: the identifiers are made of 52:54:00:00:00:01 and so on
    assert addresses(alice) == ["10.1.0.100/16", "fd00::1:5054:ff:fe00:1/128"]
    assert addresses(bob) == ["10.1.0.101/16", "fd00::1:5054:ff:fe00:2/128"]
    assert alice.stack.dns_resolve("bob.test") == ["fd00::1:5054:ff:fe00:2", "10.1.0.101"]
    assert net.names() == {
        "router.test": ["10.1.0.1", "fd00:0:0:1::1"],
        "alice.test": ["fd00::1:5054:ff:fe00:1", "10.1.0.100"],
        "bob.test": ["fd00::1:5054:ff:fe00:2", "10.1.0.101"],
    }
    assert reaches(alice, bob, 4)
    assert reaches(bob, alice, 6)
    assert reaches(bob, net.router)


def test_who_asked_for_one_way_gets_no_other(make_net: Any) -> None:
    net = make_net(("alice", "dhcp"), ("bob", "auto"), ("carol", ["dhcp", "auto"]))
    assert addresses(net.alice) == ["10.1.0.100/16"]
    assert addresses(net.bob) == ["fd00::1:5054:ff:fe00:2/128"]
    assert len(addresses(net.carol)) == 2
    assert all(reaches(one, net.carol) and reaches(net.carol, one) for one in (net.alice, net.bob))
    assert net.ask("alice.test", "AAAA") == net.ask("bob.test") == []
    with pytest.raises(NetworkUnreachable):
        reaches(net.alice, net.bob)


def test_addresses_given_by_hand_stay_and_the_router_joins_their_network(make_net: Any) -> None:
    net = make_net(("alice", ["192.168.7.1/24", "fd00:7::1/64"]), ("bob", "192.168.7.9/24"), ("carol", ()))
    assert addresses(net.router) == ["192.168.7.254/24", "fd00:7::fe/64"]  # since alice has .1
    assert addresses(net.alice) == ["192.168.7.1/24", "fd00:7::1/64"]
    assert addresses(net.carol) == ["192.168.7.100/24", "fd00:7::5054:ff:fe00:3/128"]
    hosts = (net.alice, net.bob, net.carol)
    assert all(reaches(one, other) for one in hosts for other in hosts)
    assert net.alice.stack.dns_servers == ["192.168.7.254", "fd00:7::fe"]


def test_the_router_has_the_address_that_a_host_calls_its_gateway() -> None:
    world = motenet.World()
    alice = world.host("alice", address="192.168.7.5/24", gateway="192.168.7.66")
    bob = world.host("bob", address="192.168.7.6/24")
    net = world.internet()
    net.settle()
    assert addresses(net.router)[0] == "192.168.7.66/24"
    ways = [row["gateway"] for row in bob.stack.list_routes() if row["network"] == "0.0.0.0/0"]
    assert ways == ["192.168.7.66"]
    assert len([row for row in alice.stack.list_routes() if row["network"] == "0.0.0.0/0"]) == 1


def test_hosts_of_several_networks_on_one_lan_reach_each_other(make_net: Any) -> None:
    net = make_net(("alice", "10.0.0.1/24"), ("bob", "192.168.0.1/24"), ("carol", ()))
    assert addresses(net.carol)[0] == "10.0.0.100/24"
    hosts = (net.alice, net.bob, net.carol)
    for _ in range(2):  # also when the router has had the time to say that there is a shorter way, if it does
        assert all(reaches(one, other, 4) for one in hosts for other in hosts)


def test_several_lans_behind_one_router() -> None:
    world = motenet.World(seed=3)
    alice, bob = world.host("alice"), world.host("bob")
    www, db = world.host("www", address="dhcp"), world.host("db", address=["10.9.0.5/24", "fd00:9::5/64"])
    net = world.internet(lans={"office": [alice, bob], "dmz": [www], "vault": [db]})
    net.settle()
    assert [addresses(host)[0] for host in (alice, bob, www, db)] == [
        "10.1.0.100/16", "10.1.0.101/16", "10.2.0.100/16", "10.9.0.5/24",
    ]  # fmt: skip
    assert [lan.switch.name for lan in net.lans.values()] == ["office", "dmz", "vault"]
    assert net.switch is world.switches["office"]
    before = net.router.stack.statistics["forwarded"]
    assert reaches(alice, bob)
    assert net.router.stack.statistics["forwarded"] == before
    assert all(reaches(one, other) for one in (alice, www, db) for other in (alice, www, db))
    assert reaches(alice, db, 6)
    assert net.router.stack.statistics["forwarded"] > before
    assert {row["subnet"] for row in net.dhcp.rows()} == {"10.1.0.0/16", "10.2.0.0/16"}


def test_a_host_on_two_lans_has_the_addresses_of_both() -> None:
    world = motenet.World(seed=3)
    alice, bob = world.host("alice"), world.host("bob")
    alice.plug("e1000")
    net = world.internet(lans={"left": [alice, bob], "right": [alice]})
    net.settle()
    (left, _, right, _) = addresses(alice)
    assert left in ("10.1.0.100/16", "10.1.0.101/16")
    assert right == "10.2.0.100/16"
    assert len(net.names()["alice.test"]) == 4
    assert reaches(bob, alice)


def test_each_card_of_a_host_is_in_the_networks_of_its_own_addresses() -> None:
    world = motenet.World(seed=3)
    alice = world.host("alice", address="10.0.0.5/24")
    alice.plug("rtl8139", address=["192.168.0.5/24", "fd00:7::5/64"])
    bob, carol = world.host("bob"), world.host("carol")
    net = world.internet(lans={"left": [alice, bob], "right": [alice, carol]})
    net.settle()
    assert net.names()["alice.test"] == ["10.0.0.5", "192.168.0.5", "fd00:7::5"]
    assert [addresses(host)[0] for host in (bob, carol)] == ["10.0.0.100/24", "192.168.0.100/24"]
    assert [row["interface"] for row in alice.stack.list_routes() if row["network"] in ("0.0.0.0/0", "::/0")] == [
        "eth0",
        "eth1",
    ]
    assert reaches(bob, carol)
    assert reaches(carol, bob)


def test_hosts_that_come_later() -> None:
    world = motenet.World(seed=3)
    alice = world.host("alice")
    net = world.internet(alice, delay="1ms", lans={"old": [], "far": []})
    net.settle()
    bob, carol = world.host("bob"), world.host("carol", address="10.3.0.77/16")
    dave = world.host("dave", address=["10.77.0.1/24", "fd00:77::1/64"])
    net.connect(bob, delay="20ms")
    net.connect(carol)  # by her address, to "far"
    net.connect(dave, "old")
    net.settle()
    assert bob.ports[0].medium is world.links[-3].directions[0]
    assert list(map(str, net.lans["old"].addresses))[-2:] == ["10.77.0.254/24", "fd00:77::fe/64"]
    assert net.lans["far"].taken
    _, rtt = alice.stack.ping(alice.stack.dns_resolve("bob", 4)[0], count=2)
    assert rtt == 42_000_000
    assert all(reaches(one, other) for one in (bob, carol, dave) for other in (bob, carol, dave))


def test_a_computer_that_runs_elsewhere_is_on_the_lan_too() -> None:
    class Guest(Outsider):
        """Sees frames, and says nothing."""

        def __init__(self, world: motenet.World) -> None:
            self.name = self.path = "guest"
            self.port = Port(world.clock, "guest/port")
            self.port.attach(self)
            self.frames: list[bytes] = []

        def frame_arrived(self, frame: bytes, facts: Any) -> None:
            self.frames.append(frame)

        def carrier_changed(self, carrier: bool) -> None:
            assert carrier

    world = motenet.World()
    guest, alice = Guest(world), world.host("alice")
    world.join(guest)
    net = world.internet()
    net.settle()
    assert [place.host for place in net.places] == [alice]
    assert b"\xff" * 6 in {frame[:6] for frame in guest.frames}
    assert "guest.test" not in net.names()


def test_only_those_who_are_named_are_connected() -> None:
    world = motenet.World()
    alice, bob, carol = (world.host(name) for name in ("alice", "bob", "carol"))
    world.link(bob, carol)
    assert [place.host for place in world.internet(alice).places] == [alice]
    other = motenet.World()
    hosts = [other.host(name) for name in ("alice", "bob", "carol")]
    other.link(*hosts[1:])
    assert [place.host for place in other.internet().places] == hosts[:1]


def test_addresses_given_by_hand_are_leased_to_nobody(make_net: Any) -> None:
    net = make_net(("alice", "10.0.0.100/24"), ("bob", "10.0.0.102/24"), ("carol", "dhcp"), ("dave", "dhcp"))
    assert sorted(addresses(host)[0] for host in (net.carol, net.dave)) == ["10.0.0.101/24", "10.0.0.103/24"]
    assert net.net.dhcp.service.drops == {}


@pytest.mark.parametrize(("family", "more"), [(4, {"ipv6": None}), (6, {"ipv4": None})])
def test_one_family_alone(family: int, more: dict[str, Any], make_net: Any) -> None:
    net = make_net(**more)
    assert [len(cidr.address) for cidr in net.alice.stack.addresses if str(cidr)[:4] != "fe80"] == [
        4 if family == 4 else 16
    ]
    assert reaches(net.alice, net.bob)
    if family == 6:
        with pytest.raises(ConfigurationError, match="no LAN"):
            _ = net.net.dhcp


def test_other_blocks(make_net: Any) -> None:
    net = make_net(ipv4="192.168.0.0/16", ipv6="fd12:3456:789a::/48")
    assert addresses(net.router) == ["192.168.1.1/24", "fd12:3456:789a:1::1/64"]
    assert addresses(net.alice)[0] == "192.168.1.100/24"


# --- waiting


def test_settle_says_who_lacks_what() -> None:
    world = motenet.World()
    alice, bob, carol, dave = (world.host(name) for name in ("alice", "bob", "carol", "dave"))
    net = world.internet(alice, bob, carol, world.host("erin", address="auto"), ipv6=None)
    net.connect(dave, lan="lan").unplug()
    world.links[1].unplug()
    bob.stop()
    with pytest.raises(TimedOut) as caught:
        net.settle("20s")
    assert world.now == 20 * SECOND
    assert "alice: no lease from DHCP (INIT)" in str(caught.value)
    assert "bob: it is not started" in str(caught.value)
    assert "erin: no address from router advertisements" in str(caught.value)
    assert "carol" not in str(caught.value)
    bob.start()
    for link in world.links:
        link.replug()
    with pytest.raises(TimedOut, match=r"\(erin: no address from router advertisements\)"):
        net.settle()


def test_settle_waits_for_carriers_as_well() -> None:
    """8254x 13.4.2, IEEE 802.3, 28: cards negotiate first, also where all addresses are given."""
    world = motenet.World()
    world.host("alice", address="10.0.0.1/24")
    net = world.internet(nic="rtl8139")
    assert not net.router.stack.is_link_up
    net.settle()
    assert net.router.stack.is_link_up
    assert world.hosts["alice"].stack.is_link_up
    now = world.now
    net.settle()
    assert world.now == now


def test_nobody_waits_inside_an_event(make_net: Any) -> None:
    net = make_net(settle=False)
    caught: list[BaseException] = []

    def event(_: Any) -> None:
        with pytest.raises(BlockingInsideWorld) as info:
            net.net.settle()
        caught.append(info.value)

    net.world.clock.after(0, event)
    net.world.run("1ms")
    assert caught


# --- repeating it


def test_the_same_seed_gives_the_same_frames(make_net: Any) -> None:
    assert make_net().world.fingerprint() == make_net().world.fingerprint() != make_net(seed=4).world.fingerprint()


@pytest.mark.parametrize("when", ["1ms", "2500ms", "5s", "90s"])
def test_a_snapshot_carries_all_of_it(when: str, make_net: Any) -> None:
    hosts = (("alice", ()), ("bob", ["10.0.0.1/24", "fd00::5/64"]), ("carol", "dhcp"))
    options = {"lease_time": "100s", "loss": 0.02}
    net, twin = (make_net(*hosts, settle=False, **options) for _ in range(2))
    net.world.run(when)
    before = net.world.snapshot()

    def go_on(one: Any) -> tuple[str, list[str], dict[str, list[str]]]:
        one.net.settle()
        found = one.bob.stack.dns_resolve("alice")
        one.world.run("150s")
        return one.world.state_hash(), found, one.net.names()

    first = go_on(net)
    net.world.restore(before)
    assert go_on(net) == first
    twin.world.restore(before)
    assert go_on(twin) == first
    assert len(first[1]) == 2


# --- mistakes


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"lans": {}}, "one LAN or more"),
        ({"domain": "local"}, "DNS is not asked"),
        ({"domain": "onion"}, "DNS is not asked"),
        ({"ipv4": "10.0.0.0/24"}, "cannot be shared out"),
        ({"ipv6": "fd00::/64"}, "cannot be shared out"),
        ({"router": "alice"}, "name of something else"),
        ({"records": {"alice": "10.0.0.5"}}, "name of something else"),
        ({"records": {"www": "CNAME"}}, "is no record"),
        ({"lease_time": "7s"}, "more than 7"),
        ({"loss": 2.0}, "loss"),
        ({"nic": "ne2000"}, "unknown NIC"),
    ],
)
def test_a_mistake_is_named(options: dict[str, Any], complaint: str) -> None:
    world = motenet.World()
    world.host("alice")
    with pytest.raises(ConfigurationError, match=complaint):
        world.internet(**options)
    assert (list(world.hosts), world.switches, world.links) == (["alice"], {}, [])  # it is as it was


@pytest.mark.parametrize(
    ("lans", "complaint"),
    [(["alice"], "cannot be a name"), (["router"], "router's name"), (["a", "b"], "alice has too few cards")],
)
def test_lans_that_cannot_be(lans: list[str], complaint: str) -> None:
    world = motenet.World()
    alice = world.host("alice")
    with pytest.raises(ConfigurationError, match=complaint):
        world.internet(lans={name: [alice] for name in lans})
    assert (list(world.hosts), world.switches, world.links) == (["alice"], {}, [])
    alice.plug()
    assert len(world.internet(lans={"a": [alice], "b": [alice]}).places) == 2


def test_hosts_that_cannot_be() -> None:
    world = motenet.World()
    net = world.internet(world.host("alice", address="10.0.0.5/24"), lans={"other": []})
    with pytest.raises(ConfigurationError, match="no LAN 'dmz'; there is lan, other"):
        net.connect(world.host("bob"), "dmz")
    with pytest.raises(ConfigurationError, match="that network is lan, not other"):
        net.connect(world.host("carol", address="10.0.0.6/16"), "other")
    with pytest.raises(ConfigurationError, match="and so does the router"):
        net.connect(world.host("dave", address="10.0.0.1/24"))
    with pytest.raises(ConfigurationError, match="cable already"):
        net.connect(world.hosts["alice"])
    with pytest.raises(ConfigurationError, match="something else"):
        net.connect(world.host("Router"))
    with pytest.raises(BadName):
        net.connect(world.host("my laptop"))
    with pytest.raises(ConfigurationError, match="no address left for the router"):
        net.connect(world.host("erin", address="10.7.0.0/32"), "other")


def test_who_is_not_there_is_not_found(make_net: Any) -> None:
    net = make_net()
    for name in ("nobody", "nobody.test", "www.example.com"):
        with pytest.raises(NameNotFound):
            net.alice.stack.dns_resolve(name)


def test_without_dnspython_it_says_what_to_install() -> None:
    program = "import sys; sys.modules['dns'] = None; import motenet; motenet.World().internet()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "ConfigurationError" in done.stderr
    assert "the DNS server needs dnspython: pip install 'motenet[apps]'" in done.stderr
