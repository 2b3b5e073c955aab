"""Addresses given by hand are usable at once, on hosts that boot together and on those that run (RFC 4429)."""

import motenet
from motenet.apps.dhcp import DhcpServer, Subnet
from motenet.apps.dns import DnsServer
from motenet.sim.host import Host


def pair(*addresses: str) -> tuple[motenet.World, Host, Host]:
    world = motenet.World(seed=2)
    alice, bob = (world.host(name, nic="virtio-net", address=addresses[i]) for i, name in enumerate(("alice", "bob")))
    world.link(alice, bob, delay="10us")
    return world, alice, bob


def test_rfc_4429_3_2_two_hosts_without_proven_addresses_find_each_other_at_once() -> None:
    """Neither may say its Ethernet address in a solicitation; the answer goes to where the frame came from."""
    _, alice, bob = pair("fd00::1/64", "fd00::2/64")
    assert alice.stack.ping("fd00::2", count=1) != [None]
    assert bob.stack.list_addresses()[0]["state"] == "optimistic"


def test_an_address_given_to_a_host_that_runs_is_heard_at_once() -> None:
    """Its solicited-node group has to get through the card's filter first."""
    world, alice, bob = pair("10.0.0.1/24", "10.0.0.2/24")
    world.run("5s")
    bob.stack.add_address("fd00::2/64")
    alice.stack.add_address("fd00::1/64")
    assert None not in alice.stack.ping("fd00::2", count=2)


def test_rfc_2132_3_17_names_are_looked_for_in_the_domain_that_dhcp_tells() -> None:
    world, server, client = pair("10.0.0.1/24", "10.1.0.2/24")
    subnet = Subnet("10.0.0.0/24", "10.0.0.100-10.0.0.199", dns_servers=["10.0.0.1"], domain="example.test")
    server.applications += [
        DhcpServer(server.stack, subnet),
        DnsServer(server.stack, {"example.test": {"www": ["10.0.0.7"]}}),
    ]
    client.stack.dhcp_acquire()
    assert client.stack.dns_resolve("www") == ["10.0.0.7"]
    assert client.stack.dns_servers == ["10.0.0.1"]
    client.stack.dns_servers = ["192.0.2.53", "fe80::1%eth0"]
    assert client.stack.dns_servers == client.stack.dns.list_servers() == ["192.0.2.53", "fe80::1%eth0"]
    before = world.snapshot()
    client.stack.dns_servers = []
    world.restore(before)
    assert client.stack.dns_servers == ["192.0.2.53", "fe80::1%eth0"]
