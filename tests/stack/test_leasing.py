"""What a lease does to the stack: its address, routes and name servers, from acquiring to releasing."""

from typing import Any

import pytest

import motenet
from motenet.apps.dhcp import DhcpServer, Subnet


def network(**given: Any) -> tuple[motenet.World, Any, Any]:
    """A world with a DHCP server for 10.0.0.0/24 and a host without an address."""
    world = motenet.World(seed=3)
    server = world.host("server", address="10.0.0.1/24")
    client = world.host("client", nic="virtio-net")
    world.link(server, client, delay="10us")
    subnet = Subnet("10.0.0.0/24", "10.0.0.100-10.0.0.199", **given)
    server.applications.append(DhcpServer(server.stack, subnet))
    return world, server, client


def told(client: Any) -> list[tuple[str, str | None]]:
    """The routes that DHCP has given."""
    return [(row["network"], row["gateway"]) for row in client.stack.list_routes() if row["origin"] == "dhcp"]


def test_rfc_2131_3_1_a_lease_is_an_address_a_way_out_and_name_servers() -> None:
    world, _, client = network(routers=["10.0.0.1", "10.0.0.2"], dns_servers=["10.0.0.1", "10.0.0.2"], mtu=1400)
    client.stack.add_address("10.9.0.9/24", probe=True)
    world.run("3s")  # the carrier is there, and that address will be proven before the lease's
    lease = client.stack.dhcp_acquire()
    assert world.now >= lease.obtained_at + 4_000_000_000  # RFC 5227, 2.1.1: the least that a proof takes
    assert client.stack.addresses[1:] == [lease.address]
    assert str(lease.address) == "10.0.0.100/24"
    assert told(client) == [("0.0.0.0/0", "10.0.0.1")]
    assert client.stack.dns_servers == ["10.0.0.1", "10.0.0.2"]
    assert client.stack.list_links()[0]["mtu"] == 1400
    assert client.stack.ping("10.0.0.1", count=1) != [None]


@pytest.mark.parametrize("domain", [b"no domain!", b".", b"a..b", b"10.1", b"a" * 64])
def test_a_domain_that_cannot_be_one_is_not_searched(domain: bytes) -> None:
    _, server, client = network(dns_servers=["10.0.0.1"])
    server.applications[0].service.pools[0].subnet.options[15] = domain
    client.stack.dhcp_acquire()
    assert client.stack.dns.search == []


def test_rfc_3442_classless_routes_take_the_routers_place() -> None:
    _, _, client = network(routers=["10.0.0.1"], routes={"10.9.0.0/16": "10.0.0.2"})
    client.stack.dhcp_acquire()
    assert told(client) == [
        ("10.9.0.0/16", "10.0.0.2"),
        ("0.0.0.0/0", "10.0.0.1"),
    ]  # repeated there by the server


def test_rfc_2131_4_4_5_a_lease_is_extended_for_as_long_as_it_is_wanted() -> None:
    world, server, client = network(lease_time="120s", routers=["10.0.0.1"])
    address = client.stack.dhcp_acquire().address
    for _ in range(10):
        world.run("60s")
        assert client.stack.addresses == [address]
        assert told(client) == [("0.0.0.0/0", "10.0.0.1")]
    assert client.stack.drop_reasons == {}
    del server.applications[0].service.pools[0].subnet.options[3]
    world.run("60s")
    assert told(client) == []  # the server says so no more


def test_rfc_2131_4_4_5_without_a_server_it_ends() -> None:
    world, server, client = network(lease_time="120s", routers=["10.0.0.1"], dns_servers=["10.0.0.1"])
    client.stack.dhcp_acquire()
    server.applications[0].close()
    world.run("110s")
    assert len(client.stack.addresses) == 1
    world.run("11s")
    assert (client.stack.addresses, told(client), client.stack.dns_servers) == ([], [], [])


def test_rfc_2131_4_4_6_a_released_address_is_gone() -> None:
    world, server, client = network(routers=["10.0.0.1"], mtu=1400)
    lease = client.stack.dhcp_acquire()
    before = world.snapshot()
    client.stack.dhcp_release()
    world.run("5ms")  # the server's Ethernet address is asked for, and the message sent; no address lingers
    assert (client.stack.addresses, told(client), client.stack.list_links()[0]["mtu"]) == ([], [], 1500)
    assert [row["state"] for row in server.applications[0].rows()] == ["released"]
    assert client.stack.dhcp_acquire().address == lease.address
    world.run("5ms")
    client.stack.dhcp_release()
    world.run("5ms")
    world.restore(before)
    assert (client.stack.addresses, client.stack.list_links()[0]["mtu"]) == ([lease.address], 1400)


def test_an_address_that_was_given_by_hand_too_stays_when_the_lease_goes() -> None:
    world, _, client = network()
    client.stack.add_address("10.0.0.100/24")
    client.stack.dhcp_acquire()
    client.stack.dhcp_release()
    world.run("5s")
    assert [str(cidr) for cidr in client.stack.addresses] == ["10.0.0.100/24"]


def test_rfc_5227_2_1_an_address_that_somebody_uses_is_declined() -> None:
    world = motenet.World(seed=3)
    server = world.host("server", address="10.0.0.1/24")
    client = world.host("client", nic="virtio-net")
    squatter = world.host("squatter", nic="rtl8139", address="10.0.0.100/24")
    lan = world.switch("lan")
    for host in (server, client, squatter):
        world.link(host, lan, delay="10us")
    dhcp = DhcpServer(server.stack, Subnet("10.0.0.0/24", "10.0.0.100-10.0.0.199"))
    server.applications.append(dhcp)
    assert str(client.stack.dhcp_acquire().address) == "10.0.0.101/24"
    assert world.now > 10_000_000_000  # 2131, 3.1 (5)
    assert client.stack.drop_reasons["dhcp-conflict"] == 1
    assert dhcp.service.drops == {"dhcp-declined": 1}
    assert [row["address"] for row in dhcp.rows()] == ["10.0.0.101"]
