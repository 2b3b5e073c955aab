"""Bulk TCP between our stack and a kernel under `tc netem`: a guest of QEMU's, and this machine's if it has it."""

import hashlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from family import Family
from guest import GuestRoom
from room import BULK, Room
from streams import Ours, data, exchange, opened

SIZE = 2 << 20
FAULTS = {
    "loss 1 %": "delay 2ms loss 1%",
    "loss 5 %": "delay 1ms loss 5%",
    "reordering": "delay 4ms reorder 95% gap 5",
    "delay": "delay 10ms",
    "all of it": "delay 2ms 1ms loss 2% duplicate 2% reorder 98%",
}


@pytest.mark.needs("guest", "vfio-user", "root", "tshark")
@pytest.mark.parametrize("opener", ["kernel", "ours"])
@pytest.mark.parametrize("faults", FAULTS)
def test_a_guests_kernel_under_netem(guest_room: GuestRoom, family: Family, faults: str, opener: str) -> None:
    """Both send at once; both get what the other has sent. tc-netem(8)."""
    room, linux = guest_room, guest_room.linux
    host = room.host("host", family.cidr(family.ours))
    room.link(room.edge, host)
    room.bring_up(family.cidr(family.kernel))
    linux.run(f"head -c {SIZE} /dev/urandom > /tmp/data")
    sent = linux.run("sha256sum < /tmp/data").split()[0]
    room.trouble(FAULTS[faults])
    ours = data(SIZE)
    if opener == "kernel":
        listener = host.stack.sockets.tcp_listen(BULK)
        linux.start(f"nc {family.ours} {BULK} < /tmp/data | sha256sum")
        room.wait(lambda: listener.can_accept)
        connection = listener.accept()
        assert connection is not None
    else:
        linux.start(f"nc -l -p {BULK} < /tmp/data | sha256sum")
        room.sleep(0.2)
        connection = host.stack.sockets.tcp_connect(family.kernel, BULK)
    end = Ours(connection, ours)
    room.wait(end.step, 60)
    assert linux.finish().split()[0] == hashlib.sha256(ours).hexdigest()
    assert (end.size, end.got.hexdigest()) == (SIZE, sent)
    if "loss" in FAULTS[faults]:
        assert all(count > 0 for count in room.troubled().values()), "netem has lost packets both ways"


@pytest.mark.needs("root", "tap", "ip", "tshark", "netem")
@pytest.mark.parametrize("opener", ["kernel", "ours"])
@pytest.mark.parametrize("faults", FAULTS)
def test_this_machines_kernel_under_netem(room: Room, family: Family, faults: str, opener: str) -> None:
    """The same where the kernel that is tested has the module."""
    host = room.host("host", family.cidr(family.ours))
    room.link(room.tap(family.cidr(family.kernel)), host)
    room.namespace.output("tc", "qdisc", "add", "dev", "tap0", "root", "netem", *FAULTS[faults].split())
    exchange(room, opened(room, host, family, opener), data(SIZE, 1), data(SIZE, 2), timeout=60)
