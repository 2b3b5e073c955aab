"""What our TCP and the kernel's agree on when a connection is opened, and what they then do."""

import socket
import sys
from pathlib import Path

import pytest

from motenet.sim.host import Host

sys.path.insert(0, str(Path(__file__).parent))

from family import IPV4, Family
from room import Room, tshark
from streams import data, exchange, opened

pytestmark = pytest.mark.needs("root", "tap", "ip", "tshark")

OPTIONS = {1: "timestamps", 2: "sack", 4: "scaling", 8: "ecn", 16: "ecn seen"}
"""TCPI_OPT_... of linux/tcp.h."""
SWITCHES = {"timestamps": "timestamps", "sack": "sack", "scaling": "window_scaling"}
"""Linux, Documentation/networking/ip-sysctl.rst."""
OPENERS = pytest.mark.parametrize("opener", ["kernel", "ours"])


def agreed(connection: socket.socket) -> tuple[set[str], int, int]:
    """The kernel's options, and the shift counts of our windows and its own: struct tcp_info of linux/tcp.h."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)
    return {name for bit, name in OPTIONS.items() if info[5] & bit}, info[6] & 0xF, info[6] >> 4


@pytest.fixture
def host(room: Room, family: Family) -> Host:
    """Ours, at the kernel's TAP."""
    made = room.host("host", family.cidr(family.ours))
    room.link(room.tap(family.cidr(family.kernel)), made)
    return made


@OPENERS
def test_timestamps_sack_and_scaling_are_agreed_on(room: Room, family: Family, host: Host, opener: str) -> None:
    """RFC 7323, 2 and 3; RFC 2018, 2; RFC 6691, 2: the timestamps take twelve bytes of the kernel's segments."""
    _, theirs = opened(room, host, family, opener)
    options, scaled_by_us, _ = agreed(theirs)
    assert options == {"timestamps", "sack", "scaling"}
    assert scaled_by_us > 0
    assert theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == 1500 - family.header - 20 - 12


@OPENERS
@pytest.mark.parametrize("option", SWITCHES)
def test_what_the_kernel_does_not_want_is_left(
    room: Room, family: Family, host: Host, option: str, opener: str
) -> None:
    """RFC 7323, 1.3 and 3.2; RFC 2018, 2: an option is used if both have sent it; data comes through without it."""
    room.namespace.setting(f"ipv4/tcp_{SWITCHES[option]}", 0)
    ends = opened(room, host, family, opener)
    assert agreed(ends[1])[0] == {"timestamps", "sack", "scaling"} - {option}
    exchange(room, ends, data(1 << 18, 1), data(1 << 18, 2), timeout=20)


@OPENERS
def test_ecn_is_agreed_on_and_packets_say_so(room: Room, family: Family, host: Host, opener: str) -> None:
    """RFC 3168, 6.1.1 and 6.1.2; the kernel tells by TCPI_OPT_ECN_SEEN that data of ours had ECT."""
    room.namespace.setting("ipv4/tcp_ecn", 1)
    ours, theirs = opened(room, host, family, opener, ecn=True)
    exchange(room, (ours, theirs), data(1 << 18, 1), data(1 << 18, 2), timeout=20)
    room.world.flush()
    header = "ip.dsfield" if family is IPV4 else "ipv6.tclass"
    for address in (family.ours, family.kernel):
        new = "tcp.len > 0 && !tcp.analysis.retransmission"  # 6.1.5: what is sent again does not say so
        of = f"{header.partition('.')[0]}.src == {address} && {new}"
        assert tshark(room.capture.path, "-Y", f"{of} && {header}.ecn == 2")
        assert not tshark(room.capture.path, "-Y", f"{of} && {header}.ecn != 2")


@OPENERS
def test_nobody_uses_ecn_that_has_not_been_asked_for(room: Room, family: Family, host: Host, opener: str) -> None:
    """RFC 3168, 6.1.1."""
    ends = opened(room, host, family, opener)
    exchange(room, ends, data(1 << 16, 1), data(1 << 16, 2), timeout=20)
    assert "ecn" not in agreed(ends[1])[0]
