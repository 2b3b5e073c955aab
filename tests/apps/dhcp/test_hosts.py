"""Hosts of a world that get their addresses from a host with a server: whole stacks, cards and cables."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.utils import rdpcap

from motenet.apps.dhcp import DhcpServer, Subnet
from motenet.sim.world import World
from motenet.stack.address import Cidr
from motenet.stack.errors import TimedOut

SERVER = bytes((10, 0, 0, 1))
TYPES = ("", "discover", "offer", "request", "decline", "ack", "nak", "release")


class Town:
    """alice wants an address, bob gives some, and a switch joins them and whoever comes."""

    def __init__(self, address: str | tuple[str, ...] = "dhcp", nic: str = "e1000", seed: int = 3, **more: Any) -> None:
        self.world = World(seed=seed)
        self.lan = self.world.switch("lan")
        self.alice = self.world.host("alice", nic=nic, address=address)
        self.bob = self.world.host("bob", address="10.0.0.1/24")
        self.cable = self.world.link(self.alice, self.lan)
        self.world.link(self.bob, self.lan)
        more = {"lease_time": "100s", **more}
        self.server = DhcpServer(self.bob.stack, Subnet("10.0.0.0/24", "10.0.0.100-10.0.0.109", **more))
        self.bob.applications.append(self.server)

    @property
    def addresses(self) -> list[str]:
        return [str(cidr) for cidr in self.alice.stack.addresses]


@pytest.mark.parametrize("nic", ["e1000", "rtl8139", "virtio-net"])
def test_a_host_gets_an_address_and_uses_it(nic: str) -> None:
    town = Town(nic=nic)
    lease = town.alice.stack.dhcp_acquire()
    assert (lease.address, lease.server) == (Cidr.parse("10.0.0.100/24"), SERVER)
    assert town.addresses == ["10.0.0.100/24"]
    assert None not in town.alice.stack.ping("10.0.0.1")
    (row,) = town.server.rows()
    assert (row["address"], row["state"]) == ("10.0.0.100", "bound")


def test_two_hosts_get_two_addresses() -> None:
    town = Town()
    carol = town.world.host("carol", address="dhcp")
    town.world.link(carol, town.lan)
    both = [host.stack.dhcp_acquire().address for host in (town.alice, carol)]
    assert sorted(map(str, both)) == ["10.0.0.100/24", "10.0.0.101/24"]
    assert None not in carol.stack.ping(both[0].address)


def test_one_server_serves_the_networks_of_both_its_cards() -> None:
    world = World(seed=3)
    alice, carol = (world.host(name, address="dhcp") for name in ("alice", "carol"))
    bob = world.host("bob", address=("10.0.0.1/24", "fd00::1/64"), forwarding=True)
    bob.plug(address="10.1.0.1/24")
    world.link(alice, bob)
    world.link(carol, bob)
    nets = [Subnet(f"10.{n}.0.0/24", f"10.{n}.0.100-10.{n}.0.109", routers=[f"10.{n}.0.1"]) for n in (0, 1)]
    server = DhcpServer(bob.stack, *nets)
    bob.applications.append(server)
    leases = [host.stack.dhcp_acquire() for host in (alice, carol)]
    assert [str(lease) for lease in leases] == ["10.0.0.100/24 from 10.0.0.1", "10.1.0.100/24 from 10.1.0.1"]
    assert [row["subnet"] for row in server.rows()] == ["10.0.0.0/24", "10.1.0.0/24"]
    assert None not in carol.stack.ping("10.0.0.100")
    before = world.snapshot()
    world.run("3600s")
    after = world.state_hash()
    world.restore(before)
    world.run("3600s")
    assert world.state_hash() == after
    assert [str(cidr) for host in (alice, carol) for cidr in host.stack.addresses] == ["10.0.0.100/24", "10.1.0.100/24"]


def test_a_host_with_two_cards_asks_on_each() -> None:
    """RFC 2131, 3.6: "must use DHCP through each interface independently"."""
    town = Town()
    other = town.alice.plug(address="dhcp")
    carol = town.world.host("carol", address="10.2.0.1/24")
    town.world.link(town.alice, carol)
    carol.applications.append(DhcpServer(carol.stack, Subnet("10.2.0.0/24", "10.2.0.5-10.2.0.9")))
    assert str(town.alice.stack.dhcp_acquire().address) == "10.0.0.100/24"
    assert str(town.alice.stack.dhcp_acquire(interface=other.name).address) == "10.2.0.5/24"
    assert None not in town.alice.stack.ping("10.2.0.1")
    assert None not in town.alice.stack.ping("10.0.0.1")


def test_without_a_server_it_says_so_and_goes_on_trying() -> None:
    town = Town(address=())
    town.server.close()
    with pytest.raises(TimedOut, match="DHCP"):
        town.alice.stack.dhcp_acquire(timeout="20s")
    town.bob.applications.remove(town.server)
    DhcpServer(town.bob.stack, Subnet("10.0.0.0/24", "10.0.0.50-10.0.0.60"))
    town.world.run("90s")
    assert town.addresses == ["10.0.0.50/24"]


def test_rfc_2131_3_7_after_a_break_the_lease_is_confirmed() -> None:
    town = Town(lease_time="2h")
    before = town.alice.stack.dhcp_acquire()
    town.cable.unplug()
    town.world.run("30s")
    town.cable.replug()
    town.world.run("20s")
    after = town.alice.stack.dhcp_acquire()
    assert after.address == before.address
    assert after.obtained_at > before.obtained_at + 30_000_000_000
    assert None not in town.alice.stack.ping("10.0.0.1")


def test_a_host_may_have_an_address_of_its_own_beside() -> None:
    town = Town(address=("192.168.7.7/24", "dhcp"))
    town.alice.stack.dhcp_acquire()
    assert town.addresses == ["192.168.7.7/24", "10.0.0.100/24"]


@pytest.mark.parametrize("seconds", ["1ms", "2500ms", "30s", "49s"])
def test_a_snapshot_carries_a_lease_at_any_time(seconds: str) -> None:
    """Into the same world, and into a twin whose host has asked for nothing yet."""
    town, twin = Town(address=()), Town(address=())
    with pytest.raises(TimedOut):
        town.alice.stack.dhcp_acquire(timeout="1ms")
    town.world.run(seconds)
    before = town.world.snapshot()
    town.world.run("150s")
    after = town.world.state_hash()
    town.world.restore(before)
    town.world.run("150s")
    assert town.world.state_hash() == after
    twin.world.restore(before)
    twin.world.run("150s")
    assert twin.addresses == town.addresses == ["10.0.0.100/24"]
    assert twin.world.state_hash() == after


def test_the_same_seed_gives_the_same_frames() -> None:
    def fingerprint(seed: int) -> str:
        town = Town(seed=seed)
        town.alice.stack.dhcp_acquire()
        return town.world.fingerprint()

    assert fingerprint(3) == fingerprint(3)
    assert fingerprint(3) != fingerprint(4)


def frames(path: Path) -> Iterator[Any]:
    for frame in rdpcap(str(path)):
        yield Ether(bytes(frame))


def test_scapy_reads_every_frame(tmp_path: Path) -> None:
    town = Town(routers=["10.0.0.1"])
    with town.world.capture(tmp_path / "lan.pcapng"):
        town.alice.stack.dhcp_acquire()
        town.world.run("120s")
        town.alice.stack.dhcp_release()
        town.world.run("2s")
    found = list(frames(tmp_path / "lan.pcapng"))
    asked = []
    for frame in (one for one in found if BOOTP in one):
        copy = frame.copy()
        for layer in (IP, UDP):
            del copy[layer].chksum
        assert bytes(Ether(bytes(copy))) == bytes(frame)  # Scapy makes the same checksums
        kind = TYPES[next(value for name, value in frame[DHCP].options if name == "message-type")]
        asked.append((kind, frame.src[-1], frame.dst == "ff:ff:ff:ff:ff:ff", frame[IP].src, frame[IP].dst))
    everybody, alice, bob = "255.255.255.255", "10.0.0.100", "10.0.0.1"
    assert asked[:4] == [
        ("discover", "1", True, "0.0.0.0", everybody),
        ("offer", "2", True, bob, everybody),
        ("request", "1", True, "0.0.0.0", everybody),
        ("ack", "2", True, bob, everybody),
    ]
    assert asked[4:-1] == [("request", "1", False, alice, bob), ("ack", "2", False, bob, alice)] * (len(asked[5:]) // 2)
    assert asked[-1] == ("release", "1", False, alice, bob)
    probes = [one for one in found if ARP in one and one[ARP].psrc == "0.0.0.0"]
    assert {one[ARP].pdst for one in probes} == {alice}  # RFC 5227, 2.1.1
    assert len(probes) == 3
