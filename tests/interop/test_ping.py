"""Echoes of all sizes between our stack and the kernel's, most of them in fragments."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from family import IPV4, Family
from room import Room, tshark

pytestmark = pytest.mark.needs("root", "tap", "ip", "ping", "tshark")

COUNT = 3
SIZES = [0, 1, 1452, 1453, 1472, 1473, 4000, 20000, 65507]
"""RFC 1122, 3.3.2 and 3.3.3; RFC 8200, 4.5 and 5. 65,507 is what a datagram over IPv4 can hold beside its headers."""
HEADER = 8
CABLES = {"a plain cable": {}, "one that reorders": {"delay": "1ms", "reorder": 0.3}}


def fragments(family: Family, size: int) -> int:
    """Of how many packets an echo with `size` bytes of data consists on a link with an MTU of 1500 bytes."""
    whole = HEADER + size
    if whole <= 1500 - family.header:
        return 1
    room = 1500 - family.header - (0 if family is IPV4 else 8)  # RFC 8200, 4.5: the Fragment header
    return -(-whole // (room & ~7))


def sent_by(room: Room, family: Family, address: str) -> int:
    """How many packets of echoes an address has sent."""
    room.world.flush()
    name = "ip" if family is IPV4 else "ipv6"
    echoes = (
        "icmp || (ip.proto == 1)" if family is IPV4 else "(icmpv6.type >= 128 && icmpv6.type <= 129) || ipv6.fraghdr"
    )
    return len(tshark(room.capture.path, "-Y", f"{name}.src == {address} && ({echoes})"))


@pytest.mark.parametrize("cable", CABLES)
@pytest.mark.parametrize("size", SIZES)
def test_the_kernels_pings_come_back_with_their_data(room: Room, family: Family, size: int, cable: str) -> None:
    """RFC 1122, 3.2.2.6; RFC 4443, 4.2. ping compares the data."""
    host = room.host("host", family.cidr(family.ours))
    room.link(room.tap(family.cidr(family.kernel)), host, **CABLES[cable])
    room.ping(family.ours, size, COUNT)
    assert sent_by(room, family, family.ours) == COUNT * fragments(family, size)


@pytest.mark.parametrize("cable", CABLES)
@pytest.mark.parametrize("size", SIZES)
def test_our_pings_come_back_with_their_data(room: Room, family: Family, size: int, cable: str) -> None:
    """The same the other way round."""
    host = room.host("host", family.cidr(family.ours))
    room.link(room.tap(family.cidr(family.kernel)), host, **CABLES[cable])
    socket = host.stack.sockets.icmp_bind()
    data = bytes(value & 0xFF for value in range(size))
    for sequence in range(1, COUNT + 1):
        socket.send_echo(family.kernel, sequence, data)
        room.wait(lambda: socket.can_receive, 5)
        reply = socket.receive()
        assert reply is not None
        assert (reply.address, reply.sequence, reply.data) == (family.packed(family.kernel), sequence, data)
    assert sent_by(room, family, family.ours) == COUNT * fragments(family, size)
