"""Our hosts with the kernel between them as their router, and as a neighbor who has an address already."""

import sys
from pathlib import Path

import pytest

from motenet.sim.host import Host

sys.path.insert(0, str(Path(__file__).parent))

from family import IPV4, Family
from room import BULK, Room
from streams import Ours, data, swapped

pytestmark = pytest.mark.needs("root", "tap", "ip", "tshark")


@pytest.fixture
def hosts(room: Room, family: Family) -> list[Host]:
    """One on each side of the kernel, whose second cable takes 1400 bytes."""
    room.namespace.setting("ipv4/ip_forward", 1)
    room.namespace.setting("ipv6/conf/all/forwarding", 1)
    made = []
    for number in range(2):
        tap = room.tap(family.cidr(family.at(number, 1)), name=f"tap{number}")
        host = room.host(f"host{number}", family.cidr(family.at(number, 2)), gateway=family.at(number, 1))
        room.link(tap, host)
        made.append(host)
    room.namespace.ip("link set tap1 mtu 1400")
    return made


def test_echoes_pass_the_kernel_in_fragments(room: Room, family: Family, hosts: list[Host]) -> None:
    """RFC 791, 2.3: over IPv4 the kernel cuts them; RFC 8201, 4: over IPv6 we do, once we know."""
    socket = hosts[0].stack.sockets.icmp_bind()
    sent = data(5000)
    for sequence in range(3):
        socket.send_echo(family.at(1, 2), sequence, sent)
        room.sleep(0.2)
    replies = []
    while (reply := socket.receive()) is not None:
        assert reply.data == sent
        replies.append(reply.sequence)
    assert replies == ([0, 1, 2] if family is IPV4 else [1, 2])


def test_the_kernel_tells_that_a_packets_hops_are_used_up(room: Room, family: Family, hosts: list[Host]) -> None:
    """RFC 792, RFC 4443, 3.3: as traceroute would hear it."""
    socket = hosts[0].stack.udp_socket()
    socket.hop_limit = 1
    socket.send_to(b"how far?", family.at(1, 2), BULK)
    room.wait(lambda: bool(socket.failures), 5)
    kind, destination, port = socket.failures[0]
    assert (destination, port) == (family.packed(family.at(1, 2)), BULK)
    assert kind == "time-exceeded"


def test_tcp_between_our_hosts_fits_the_kernels_narrow_cable(room: Room, family: Family, hosts: list[Host]) -> None:
    """RFC 1191, 6.4; RFC 8201, 5.4: the kernel tells us what its second cable takes."""
    listener = hosts[1].stack.sockets.tcp_listen(BULK)
    near = hosts[0].stack.sockets.tcp_connect(family.at(1, 2), BULK)
    room.wait(lambda: listener.can_accept)
    far = listener.accept()
    assert far is not None
    there, back = data(1 << 20, 1), data(1 << 20, 2)
    swapped(room, Ours(near, there), Ours(far, back), there, back, 30)
