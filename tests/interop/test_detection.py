"""Addresses that the kernel has already, and those that are ours but not yet proven."""

import sys
from ipaddress import ip_interface
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from family import IPV6, Family
from room import Room

pytestmark = pytest.mark.needs("root", "tap", "ip", "ping", "tshark")


def test_an_address_of_the_kernels_is_not_taken(room: Room, family: Family) -> None:
    """RFC 5227, 2.1.1; RFC 4862, 5.4: the kernel answers our probe, and stays undisturbed."""
    tap = room.tap(family.cidr(family.kernel))
    host = room.world.host("host", nic=room.card())
    host.stack.add_address(family.cidr(family.kernel), probe=True)
    room.link(tap, host)
    room.sleep(4)
    assert family.cidr(family.kernel) not in map(str, host.stack.addresses)
    assert "dadfailed" not in room.namespace.ip("address show dev tap0")


def test_an_address_of_ours_is_defended(room: Room) -> None:
    """RFC 4862, 5.4.3: the kernel, which wants to have it, too, hears that it is ours."""
    tap = room.tap()
    host = room.host("host", IPV6.cidr(IPV6.ours))
    room.link(tap, host)
    for devices in ("all", "tap0"):
        room.namespace.setting(f"ipv6/conf/{devices}/accept_dad", 1)
    room.namespace.ip(f"address add {IPV6.cidr(IPV6.ours)} dev tap0")
    room.until(lambda: "dadfailed" in room.namespace.ip("address show dev tap0"), 5)


def test_a_fresh_hosts_first_words_reach_the_kernel(room: Room, family: Family) -> None:
    """RFC 4429, 3.3: over IPv6 they wait until its address is proven, if nobody has told where the neighbor is."""
    tap = room.tap(family.cidr(family.kernel))
    host = room.world.host("host", nic=room.card(), address=family.cidr(family.ours))
    room.link(tap, host)
    socket = host.stack.sockets.icmp_bind()
    socket.send_echo(family.kernel, 1, b"hello")
    room.wait(lambda: socket.can_receive, 5)


def test_the_kernel_reaches_a_host_whose_address_is_not_proven_yet(room: Room, family: Family) -> None:
    """RFC 4429, 3.3: an optimistic address answers at once."""
    tap = room.tap(family.cidr(family.kernel))
    host = room.world.host("host", nic=room.card(), address=family.cidr(family.ours))
    room.link(tap, host)
    assert "1 received" in room.run("ping", "-c", "1", "-W", "1", family.ours)


def test_the_kernel_finds_a_router_by_its_networks_anycast_address(room: Room) -> None:
    """RFC 4291, 2.6.1; RFC 4861, 7.2.7: what we tell comes within a second and overrides nothing."""
    tap = room.tap(IPV6.cidr(IPV6.kernel))
    host = room.host("host", IPV6.cidr(IPV6.ours))
    host.stack.forwarding = True
    room.link(tap, host)
    network = str(ip_interface(IPV6.cidr(IPV6.ours)).network.network_address)
    assert "1 received" in room.run("ping", "-c", "1", "-W", "3", network)
    assert f"{network} lladdr {host.stack.mac_address.hex(':')} router" in room.namespace.ip("neighbor show dev tap0")
