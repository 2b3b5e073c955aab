"""Datagrams to and from the kernel, and the errors that each side tells the other."""

import errno
import socket
import struct
import sys
from pathlib import Path

import pytest

from motenet.sim.host import Host
from motenet.stack import errors

sys.path.insert(0, str(Path(__file__).parent))

from family import IPV4, Family
from room import BULK, Room
from streams import data, opened

pytestmark = pytest.mark.needs("root", "tap", "ip", "tshark")

EXPERIMENT = 253
"""An IP protocol that nobody speaks (RFC 3692)."""
SIZES = [0, 1, 1452, 1472, 1473, 9000, 65507]


@pytest.fixture
def host(room: Room, family: Family) -> Host:
    """Ours, at the kernel's TAP."""
    made = room.host("host", family.cidr(family.ours), nic="virtio-net")
    room.link(room.tap(family.cidr(family.kernel)), made)
    return made


def udp(room: Room, family: Family) -> socket.socket:
    """A UDP socket of the kernel's at its address."""
    made = room.namespace.socket(family.socket, socket.SOCK_DGRAM)
    room.closing.append(made.close)
    made.bind((family.kernel, BULK))
    return made


def heard(room: Room, from_kernel: socket.socket) -> tuple[bytes, str, int]:
    """The next message to a socket of the kernel's, and where it comes from; or the error that it raises."""
    found: list[tuple[bytes, str, int]] = []

    def look() -> bool:
        try:
            message, address = from_kernel.recvfrom(1 << 16)
        except BlockingIOError:
            return False
        found.append((message, address[0], address[1]))
        return True

    room.wait(look, 5)
    return found[0]


@pytest.mark.parametrize("size", SIZES)
def test_datagrams_of_all_sizes_go_both_ways(room: Room, family: Family, host: Host, size: int) -> None:
    """RFC 768; RFC 8200, 8.1; the large ones in fragments."""
    ours, theirs = host.stack.udp_socket(BULK), udp(room, family)
    sent = data(size)
    ours.send_to(sent, family.kernel, BULK)
    assert heard(room, theirs) == (sent, family.ours, BULK)
    theirs.sendto(sent[::-1], (family.ours, BULK))
    room.wait(lambda: ours.can_receive, 5)
    message = ours.receive()
    assert message is not None
    assert (message.data, message.address, message.port) == (sent[::-1], family.packed(family.kernel), BULK)


def test_the_kernel_hears_that_nobody_listens(room: Room, family: Family, host: Host) -> None:
    """RFC 1122, 4.1.3.1: port unreachable; RFC 4443, 3.1."""
    theirs = udp(room, family)
    theirs.connect((family.ours, 9))
    theirs.send(b"anybody?")
    with pytest.raises(ConnectionRefusedError):
        heard(room, theirs)


def test_we_hear_that_nobody_listens(room: Room, family: Family, host: Host) -> None:
    ours = host.stack.udp_socket()
    ours.connect(family.kernel, 9)
    ours.send(b"anybody?")
    room.wait(lambda: bool(ours.failures), 5)
    with pytest.raises(errors.ConnectionRefused):
        ours.receive()


def test_the_kernel_hears_that_a_protocol_is_unknown(room: Room, family: Family, host: Host) -> None:
    """RFC 1122, 3.2.2.1: protocol unreachable; RFC 4443, 3.4: unrecognized Next Header."""
    theirs = room.namespace.socket(family.socket, socket.SOCK_RAW, EXPERIMENT)
    room.closing.append(theirs.close)
    level, receive_errors = (
        (socket.IPPROTO_IP, 11) if family is IPV4 else (socket.IPPROTO_IPV6, 25)
    )  # linux/in.h, in6.h
    theirs.setsockopt(level, receive_errors, 1)
    theirs.connect((family.ours, 0))
    theirs.send(b"anybody?")
    with pytest.raises(OSError) as caught:
        heard(room, theirs)
    assert caught.value.errno == (errno.ENOPROTOOPT if family is IPV4 else errno.EPROTO)


def test_we_hear_that_a_protocol_is_unknown(room: Room, family: Family, host: Host) -> None:
    ours = host.stack.sockets.raw_bind(EXPERIMENT)
    ours.send_to(b"anybody?", family.kernel)
    room.wait(lambda: bool(ours.failures), 5)
    assert ours.failures[0][0] == "protocol"


def test_the_kernels_connection_is_refused(room: Room, family: Family, host: Host) -> None:
    """RFC 9293, 3.10.7.1."""
    theirs = room.namespace.socket(family.socket, socket.SOCK_STREAM)
    room.closing.append(theirs.close)
    assert theirs.connect_ex((family.ours, 9)) == errno.EINPROGRESS
    room.wait(lambda: theirs.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED, 5)


def test_our_connection_is_refused(room: Room, family: Family, host: Host) -> None:
    ours = host.stack.sockets.tcp_connect(family.kernel, 9)
    room.wait(lambda: ours.error is not None, 5)
    assert isinstance(ours.error, errors.ConnectionRefused)


@pytest.mark.parametrize("opener", ["kernel", "ours"])
def test_a_reset_of_the_kernels_reaches_us(room: Room, family: Family, host: Host, opener: str) -> None:
    """RFC 9293, 3.10.7.4 and 3.5.3."""
    ours, theirs = opened(room, host, family, opener)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    room.wait(lambda: ours.error is not None, 5)
    assert isinstance(ours.error, errors.ConnectionReset)


@pytest.mark.parametrize("opener", ["kernel", "ours"])
def test_a_reset_of_ours_reaches_the_kernel(room: Room, family: Family, host: Host, opener: str) -> None:
    ours, theirs = opened(room, host, family, opener)
    ours.abort()
    with pytest.raises(ConnectionResetError):
        heard(room, theirs)
