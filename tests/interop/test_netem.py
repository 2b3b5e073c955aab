"""Bulk TCP between our stack and a kernel under `tc netem`: a guest of QEMU's, and this machine's if it has it."""

import hashlib
import sys
from pathlib import Path

import pytest

from motenet.core.units import SECOND
from motenet.stack.sockets.tcp.socket import TcpSocket

sys.path.insert(0, str(Path(__file__).parent))

from family import Family
from guest import LATER, GuestRoom
from room import BULK, Room, tshark
from streams import Ours, data, exchange, opened

SIZE = 2 << 20
FAULTS = {
    "loss 1 %": "delay 2ms loss 1%",
    "loss 5 %": "delay 1ms loss 5%",
    "reordering": "delay 4ms reorder 95% gap 5",
    "delay": "delay 10ms",
    "all of it": "delay 2ms 1ms loss 2% duplicate 2% reorder 98%",
}


def begun(room: GuestRoom, family: Family, opener: str, faults: str, marks: str = "") -> tuple[TcpSocket, str]:
    """A connection under netem's faults, and the SHA-256 of what nc in the guest sends; what it gets, it sums up.

    With `marks`, which come a little later, it speaks ECN.
    """
    linux = room.linux
    host = room.host("host", family.cidr(family.ours))
    room.link(room.edge, host)
    room.bring_up(family.cidr(family.kernel))
    linux.run(f"head -c {SIZE} /dev/urandom > /tmp/data")
    sent = linux.run("sha256sum < /tmp/data").split()[0]
    room.trouble(faults)
    if marks:
        room.trouble_later(marks)
    if opener == "kernel":
        listener = host.stack.sockets.tcp_listen(BULK)
        linux.start(f"nc {family.ours} {BULK} < /tmp/data | sha256sum")
        room.wait(lambda: listener.can_accept)
        connection = listener.accept()
        assert connection is not None
    else:
        linux.run(f"(nc -l -p {BULK} < /tmp/data | sha256sum > /tmp/sum) &")
        linux.until(f"netstat -ltn | grep -q :{BULK}")
        linux.start("wait; cat /tmp/sum")
        connection = host.stack.sockets.tcp_connect(family.kernel, BULK)
        connection.ecn = bool(marks)
    return connection, sent


def finish(room: GuestRoom, connection: TcpSocket, sent: str) -> None:
    """We send data, too, and both have what the other has sent."""
    ours = data(SIZE)
    end = Ours(connection, ours)
    room.wait(end.step, 60)
    assert room.linux.finish().split()[0] == hashlib.sha256(ours).hexdigest()
    assert (end.size, end.got.hexdigest()) == (SIZE, sent)


@pytest.mark.needs("guest", "vfio-user", "root", "tshark")
@pytest.mark.parametrize("opener", ["kernel", "ours"])
@pytest.mark.parametrize("faults", FAULTS)
def test_a_guests_kernel_under_netem(guest_room: GuestRoom, family: Family, faults: str, opener: str) -> None:
    """Both send at once; both get what the other has sent. tc-netem(8)."""
    connection, sent = begun(guest_room, family, opener, FAULTS[faults])
    finish(guest_room, connection, sent)
    if "loss" in FAULTS[faults]:
        assert all(count > 0 for count in guest_room.troubled().values()), "netem has lost packets both ways"


@pytest.mark.needs("guest", "vfio-user", "root", "tshark")
@pytest.mark.parametrize("opener", ["kernel", "ours"])
def test_congestion_that_netem_marks_is_told_and_answered(guest_room: GuestRoom, family: Family, opener: str) -> None:
    """RFC 3168, 6.1.2 and 6.1.3: a mark is echoed (ECE), and answered (CWR), by our side and by the kernel's.

    Marks begin once both have agreed on ECN: netem drops a SYN instead, and a second one does without (6.1.1.1).
    """
    room = guest_room
    room.linux.run("echo 1 > /proc/sys/net/ipv4/tcp_ecn")
    connection, sent = begun(room, family, opener, "delay 2ms", marks="delay 2ms loss 10% ecn")
    room.pump.run(timeout=(LATER + 2) * SECOND)  # meanwhile nobody reads, so that there is enough left to be marked
    assert connection.sender.ecn
    finish(room, connection, sent)
    room.world.flush()
    fields = [word for name in ("ip.src", "ipv6.src", "tcp.flags.ece", "tcp.flags.cwr") for word in ("-e", name)]
    flags = tshark(room.capture.path, "-Y", "tcp.flags.syn == 0", "-T", "fields", *fields)
    for address in (family.ours, family.kernel):
        own = [line.split() for line in flags if line.split()[0] == address]
        assert any(ece == "1" for _, ece, _ in own)
        assert any(cwr == "1" for *_, cwr in own)


@pytest.mark.needs("root", "tap", "ip", "tshark", "netem")
@pytest.mark.parametrize("opener", ["kernel", "ours"])
@pytest.mark.parametrize("faults", FAULTS)
def test_this_machines_kernel_under_netem(room: Room, family: Family, faults: str, opener: str) -> None:
    """The same where the kernel that is tested has the module."""
    host = room.host("host", family.cidr(family.ours))
    room.link(room.tap(family.cidr(family.kernel)), host)
    room.namespace.output("tc", "qdisc", "add", "dev", "tap0", "root", "netem", *FAULTS[faults].split())
    exchange(room, opened(room, host, family, opener), data(SIZE, 1), data(SIZE, 2), timeout=60)
