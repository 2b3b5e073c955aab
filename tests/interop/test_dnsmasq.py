"""Addresses and names from a real dnsmasq; and a guest's DHCP client at our server."""

import re
import sys
from pathlib import Path

import pytest

from motenet.apps.dhcp import DhcpServer, Subnet
from motenet.sim.host import Host
from motenet.stack.errors import NameNotFound, NoAddress

sys.path.insert(0, str(Path(__file__).parent))

from family import IPV4, IPV6, Family
from guest import GuestRoom
from room import Room

FROM_NAMESPACE = pytest.mark.needs("root", "tap", "ip", "tshark", "dnsmasq")

ALWAYS = ("--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--keep-in-foreground", "--pid-file", "--user=root")
LOUD = ("--log-facility=-", "--log-dhcp", "--log-queries")
FIRST, SECOND, ELSEWHERE = (IPV4.at(0, host) for host in (100, 150, 3))
DHCP = ("--no-ping", "--dhcp-authoritative", "--domain=room.test", f"--dhcp-option=option:router,{IPV4.kernel}")
RENEWED = ("--dhcp-option=option:T1,9", "--dhcp-option=option:T2,90")
"""Seconds; dnsmasq leases for two minutes at least."""
MAC = "52:54:00:00:01:01"
"""The first card's in a room."""
BIG = 60
"""Addresses of a name: more than fit into the 512 bytes that the server puts into a datagram."""
NAMES = (
    "--local=/room.test/",
    "--edns-packet-max=512",
    "--host-record=both.room.test,198.18.77.50,fd77::50",
    "--host-record=four.room.test,198.18.77.51",
    "--cname=alias.room.test,both.room.test",
    "--cname=chain.room.test,alias.room.test",
)


def dnsmasq(room: Room, *options: str) -> "Server":
    """A dnsmasq at the kernel's end of the TAP."""
    return Server(room, options)


class Server:
    """A dnsmasq, which tells all that it does."""

    def __init__(self, room: Room, options: tuple[str, ...]) -> None:
        self.room = room
        self.leases = room.folder / "leases"
        self.process = room.start("dnsmasq", *ALWAYS, *LOUD, f"--dhcp-leasefile={self.leases}", *options)
        room.wait(lambda: "started" in self.said())

    def said(self) -> str:
        return self.room.printed(self.process)

    def heard(self, what: str) -> list[str]:
        """The last words of each line about a kind of DHCP message."""
        return re.findall(rf"{what}\(tap0\) (.*?) *$", self.said(), re.M)


def leased(room: Room, host: Host, timeout: float = 15) -> str:
    """Wait until the host's DHCP client has an address that is proven to be free."""
    client = host.stack.sockets.dhcp_client("eth0")
    room.wait(lambda: client.is_bound, timeout)
    assert client.lease is not None
    return str(client.lease.address)


@FROM_NAMESPACE
@pytest.mark.needs("ping")
def test_the_life_of_a_lease(room: Room) -> None:
    """RFC 2131, 4.4: acquired, proven (RFC 5227, 2.1), in use, renewed at T1, released."""
    tap = room.tap(IPV4.cidr(IPV4.kernel))
    routes = f"--dhcp-option=option:classless-static-route,198.18.90.0/24,{ELSEWHERE},0.0.0.0/0,{IPV4.kernel}"
    server = dnsmasq(room, *DHCP, *RENEWED, routes, f"--dhcp-range={FIRST},{FIRST},2m", "--dhcp-option=option:mtu,1400")
    host = room.world.host("host", nic=room.card(), address="dhcp")
    room.link(tap, host)
    assert leased(room, host) == f"{FIRST}/24"
    assert [str(address) for address in host.stack.addresses] == [f"{FIRST}/24"]
    ways = {row["network"]: row["gateway"] for row in host.stack.list_routes() if row["origin"] == "dhcp"}
    assert ways == {"0.0.0.0/0": IPV4.kernel, "198.18.90.0/24": ELSEWHERE}, "RFC 3442"
    assert host.stack.dns_servers == [IPV4.kernel]
    lease = host.stack.sockets.dhcp_client("eth0").lease
    assert (lease.domain, lease.mtu) == ("room.test", 1400)
    room.ping(FIRST)
    assert f"{MAC} {FIRST}" in server.leases.read_text()

    acknowledged = len(server.heard("DHCPACK"))
    room.wait(lambda: len(server.heard("DHCPACK")) > acknowledged, 12)
    client = host.stack.sockets.dhcp_client("eth0")
    room.wait(lambda: client.lease.obtained_at > lease.obtained_at, 1)
    assert leased(room, host) == f"{FIRST}/24"
    assert len(server.heard("DHCPDISCOVER")) == 1, "renewed, not asked for again"

    host.stack.dhcp_release()
    room.wait(lambda: server.heard("DHCPRELEASE") != [], 5)
    room.wait(lambda: host.stack.addresses == [], 5)
    assert FIRST not in server.leases.read_text()
    assert not [row for row in host.stack.list_routes() if row["origin"] == "dhcp"]


@FROM_NAMESPACE
def test_an_address_that_somebody_has_is_declined(room: Room) -> None:
    """RFC 2131, 4.4.1 and RFC 5227, 2.1: the kernel answers the probe; the server gives another one."""
    tap = room.tap(IPV4.cidr(IPV4.kernel), IPV4.cidr(FIRST))
    server = dnsmasq(room, *DHCP, f"--dhcp-host={MAC},{FIRST}", f"--dhcp-range={SECOND},{SECOND},2m")
    host = room.world.host("host", nic=room.card(), address="dhcp")
    room.link(tap, host)
    assert leased(room, host, 30) == f"{SECOND}/24"
    assert server.heard("DHCPDECLINE") == [f"{FIRST} {MAC}"]


@pytest.mark.needs("guest", "vfio-user", "root", "tshark")
def test_a_real_client_gets_its_address_from_our_server(guest_room: GuestRoom) -> None:
    """busybox's udhcpc acquires, renews, and releases."""
    room, linux = guest_room, guest_room.linux
    host = room.host("host", IPV4.cidr(IPV4.ours))
    subnet = Subnet(
        IPV4.cidr(IPV4.at(0, 0)), f"{FIRST}-{FIRST}", routers=[IPV4.ours], dns_servers=[IPV4.ours], domain="room.test"
    )
    server = DhcpServer(host.stack, subnet)
    host.applications.append(server)
    room.link(room.edge, host)
    linux.run("ip link set eth0 up")
    told = 'echo "$1 $ip $mask $router $dns $domain" >> /tmp/told; test $1 = bound && ip addr add $ip/$mask dev eth0'
    linux.run(f"printf '#!/bin/sh\\n%s\\n' '{told}' > /tmp/script; chmod +x /tmp/script")
    linux.run("udhcpc -i eth0 -n -p /tmp/pid -s /tmp/script", 20)
    given = f"{FIRST} 24 {IPV4.ours} {IPV4.ours} room.test"
    assert f"bound {given}" in linux.run("cat /tmp/told")
    linux.run("kill -USR1 $(cat /tmp/pid)")
    linux.until(f"grep -q 'renew {given}' /tmp/told")
    linux.run("kill -USR2 $(cat /tmp/pid)")
    room.wait(lambda: [(row["address"], row["state"]) for row in server.rows()] == [(FIRST, "released")], 5)


@pytest.fixture
def asker(room: Room, family: Family) -> Host:
    """A host that asks a dnsmasq with some names, by one family or the other."""
    many = room.folder / "many"
    many.write_text("".join(f"198.18.80.{number} big.room.test\n" for number in range(1, BIG + 1)))
    tap = room.tap(family.cidr(family.kernel))
    dnsmasq(room, *NAMES, f"--addn-hosts={many}")
    host = room.host("host", family.cidr(family.ours))
    host.stack.dns_servers = [family.kernel]
    room.link(tap, host)
    return host


@FROM_NAMESPACE
@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("both.room.test", 4, {"198.18.77.50"}),
        ("both.room.test", 6, {"fd77::50"}),
        ("both.room.test", None, {"198.18.77.50", "fd77::50"}),
        ("alias.room.test", None, {"198.18.77.50", "fd77::50"}),
        ("chain.room.test", 6, {"fd77::50"}),
        ("big.room.test", 4, {f"198.18.80.{number}" for number in range(1, BIG + 1)}),
    ],
)
def test_names_are_found(room: Room, asker: Host, name: str, version: int | None, expected: set[str]) -> None:
    """RFC 1034, 3.6.2: by way of an alias; RFC 7766, 5: a large answer comes by TCP."""
    query = asker.stack.dns.start_query(name, version)
    room.wait(lambda: query.done, 10)
    packed = {(IPV6 if ":" in address else IPV4).packed(address) for address in expected}
    assert query.error is None
    assert len(query.addresses) == len(expected)
    assert set(query.addresses) == packed
    assert (asker.stack.dns.by_tcp > 0) == (name == "big.room.test")


@FROM_NAMESPACE
def test_names_that_are_not_there(room: Room, asker: Host) -> None:
    """RFC 2308, 2.1 and 2.2."""
    unknown = asker.stack.dns.start_query("nobody.room.test")
    half = asker.stack.dns.start_query("four.room.test", 6)
    room.wait(lambda: unknown.done and half.done, 10)
    assert isinstance(unknown.error, NameNotFound)
    assert isinstance(half.error, NoAddress)
