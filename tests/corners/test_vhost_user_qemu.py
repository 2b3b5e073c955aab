"""QEMU's vhost-user front-end: a Linux guest sees QEMU's virtio-net-pci, whose rings our device serves.

Debian's unmodified virtio_net.ko talks to QEMU about features, address and queues, and to us about packets.
"""

import hashlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import TCP, UDP

from motenet.bridge.vhost_user.linux import VhostLab
from motenet.core.trace import Changed
from tests.corners.shared import BOB, MAC, MIB, pinged, recomputed

pytestmark = pytest.mark.needs("guest", "vfio-user")

DRIVER = "Linux 6.12 virtio_net, QEMU 11.1 vhost-user"
CARDS = {
    "split": "motenet virtio-net over vhost-user, split",
    "packed": "motenet virtio-net over vhost-user, packed",
    "legacy": "motenet virtio-net over vhost-user, legacy",
}
PROPERTIES: dict[str, dict[str, Any]] = {
    "split": {"packed": False},
    "packed": {"packed": True},
    "legacy": {"disable-modern": True, "disable-legacy": "off"},
}
"""What QEMU's card is told, beside its address."""
Labs = Callable[..., Any]


def rings(what: str, *names: str) -> Any:
    """Parametrizes by layouts of the rings, each with its row of the matrix."""
    cases = []
    for name in names or CARDS:
        mark = pytest.mark.exercises(driver=DRIVER, card=CARDS[name], what=what)
        cases.append(pytest.param(PROPERTIES[name], id=name, marks=mark))
    return pytest.mark.parametrize("properties", cases)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Labs]:
    """Makes labs: `lab(NetFunction's options, **options of the emulated host)`; nothing may have been refused."""
    made: list[VhostLab] = []

    def make(net: dict[str, Any] | None = None, **bob: Any) -> VhostLab:
        made.append(VhostLab(tmp_path, net, **bob))
        return made[-1]

    yield make
    for one in made:
        one.end()
        backend = one.guest.slot
        refused = {**backend.drops, **backend.dma.drops, **backend.device.drops}
        refused.pop("device not ready", None)  # frames for a card that nobody drives
        assert refused == {}, "no message, no DMA and nothing in a ring was wrong"


@rings("probe, ping, down and up, module reloaded")
def test_it_probes_pings_and_comes_back(lab: Labs, properties: dict[str, Any]) -> None:
    """The guest announces itself after its migration: QEMU's SEND_RARP, and the driver's own."""
    room = lab()
    frames = room.frames()
    linux = room.linux(mac=MAC, **properties)
    assert pinged(linux)
    linux.run("for i in 1 2 3 4 5 6 7 8 9 10; do ip link set eth0 down; ip link set eth0 up; done")
    assert pinged(linux)
    linux.run("rmmod virtio_net; ! test -d /sys/class/net/eth0; insmod /modules/virtio_net.ko")
    linux.bring_up()
    assert pinged(linux)
    assert any(frame[12:14] == b"\x80\x35" and frame[6:12].hex(":") == MAC for frame in frames)
    assert not any(word in linux.run("dmesg | grep -i virtio") for word in ("fail", "error", "broken"))
    features = linux.run("cat /sys/class/net/eth0/device/features")
    assert features[34] == str(int(bool(properties.get("packed")))), "RING_PACKED"
    assert features[32] == str(int("disable-modern" not in properties)), "VERSION_1"


@pytest.mark.parametrize("offloads", ["on", "off"])
@rings("TCP: 4 MiB each way, offloads on, off")
def test_four_mebibytes_by_tcp_both_ways(lab: Labs, properties: dict[str, Any], offloads: str) -> None:
    """Byte by byte; with the guest's checksums and segments left to us (virtio 5.1.6.2), and with none of them."""
    room = lab(nic="virtio-net")
    linux = room.linux(mac=MAC, **properties)
    linux.run(f"ethtool -K eth0 tx {offloads} sg {offloads} tso {offloads} gso {offloads}")
    linux.run(f"dd if=/dev/urandom of=/tmp/data bs=1M count=4 2>/dev/null; test $(stat -c %s /tmp/data) = {4 * MIB}")
    got, forth = room.received_from(linux, 4 * MIB)
    assert hashlib.md5(got).hexdigest() == linux.run("md5sum < /tmp/data").split()[0]
    data = random.Random(7).randbytes(4 * MIB)
    digest, back = room.sent_to(linux, data)
    assert digest == hashlib.md5(data).hexdigest()
    print(f"offloads {offloads}: {32 * MIB / forth / 1e6:.0f} Mbit/s out, {32 * MIB / back / 1e6:.0f} in")


@rings("checksums and segments on the wire", "split", "packed")
def test_what_it_offloads_is_right_on_the_wire(lab: Labs, properties: dict[str, Any]) -> None:
    """To a host whose card takes only whole frames: Scapy recomputes every checksum of what Linux leaves to us."""
    room = lab()
    frames = room.frames()
    linux = room.linux(mac=MAC, **properties)
    linux.run("dd if=/dev/urandom of=/tmp/data bs=1k count=100 2>/dev/null")
    room.received_from(linux, 100 << 10)
    linux.run(f"(nslookup name.test {BOB} > /dev/null 2>&1 &); sleep 0.2")
    seen, wrong = recomputed(frame for frame in frames if frame[6:12].hex(":") == MAC and len(frame) <= 1514)
    assert not wrong
    assert seen[TCP] > 70
    assert seen[UDP] > 0


@rings("UDP, 10,000 frames in a row", "split", "packed")
def test_a_storm_of_udp_arrives_whole(lab: Labs, properties: dict[str, Any]) -> None:
    """Linux's own packet generator, 1514 bytes each; all get onto the cable, if not into our host's card."""
    room = lab()
    linux = room.linux(mac=MAC, **properties)
    assert pinged(linux)
    passed = room.link.directions[0]
    before = passed.frames
    linux.prepare_packets(10_000)
    assert linux.transmit() > 0, "frames a second, as the guest counts them"
    room.wait(lambda: passed.frames - before >= 10_000)
    assert passed.frames - before < 10_100, "nothing comes twice; the guest may say a few words of its own"


@rings("MTU 9000", "split", "packed")
def test_jumbo_frames(lab: Labs, properties: dict[str, Any]) -> None:
    """QEMU tells guest and back-end an MTU (NET_SET_MTU), which is in force: VIRTIO_NET_F_MTU (virtio 5.1.4.1)."""
    room = lab(driver_options={"mtu": 9000})
    linux = room.linux(mac=MAC, host_mtu=9000, **properties)
    frames = room.frames()
    linux.run("ip link set eth0 mtu 9000")
    assert pinged(linux, size=8900)
    assert max(map(len, frames)) == 14 + 20 + 8 + 8900


@rings("two queue pairs", "split", "packed")
def test_two_queue_pairs(lab: Labs, properties: dict[str, Any]) -> None:
    """The guest's command goes to QEMU, which enables our rings (vhost-user, "Multiple queue support")."""
    room = lab({"pairs": 2})
    linux = room.linux(mac=MAC, queues=2, mq=True, vectors=6, **properties)
    rings_used = [ring.queue for ring in room.guest.slot.rings]
    assert room.guest.slot.net.steering.pairs == 1
    linux.run("ethtool -L eth0 combined 2")
    assert room.guest.slot.net.steering.pairs == 2
    assert pinged(linux, 3)
    outbox = room.bob.stack.udp_socket(9)
    for port in range(9001, 9017):  # sixteen flows that the guest never opened: the card spreads them
        outbox.send_to(b"hello", "10.0.0.1", port)
    room.wait(lambda: all(queue.last_used for queue in rings_used[::2]))
    linux.run("ethtool -L eth0 combined 1")
    assert room.guest.slot.net.steering.pairs == 1
    assert pinged(linux)


@rings("card unplugged and plugged", "split", "packed")
def test_the_card_is_unplugged_and_another_client_comes(lab: Labs, properties: dict[str, Any]) -> None:
    room = lab()
    linux = room.linux(mac=MAC, **properties)
    room.unplug(linux)
    room.wait(lambda: not room.server.connected)
    assert room.guest.slot.dma.regions == []
    room.plug(linux, mac=MAC, **properties)
    linux.bring_up()
    assert pinged(linux)
    assert room.server.clients == 2


@rings("the back-end goes and comes back", "split")
def test_the_back_end_goes_and_comes_back(lab: Labs, properties: dict[str, Any]) -> None:
    """QEMU connects again, and the rings go on where the guest's driver has them (SET_VRING_BASE).

    QEMU reads the place from the used ring; a packed one does not tell it, so that only split rings can go on.
    """
    room = lab()
    linux = room.linux(mac=MAC, reconnect=100, **properties)
    assert pinged(linux)
    room.server.close()
    linux.until("test $(cat /sys/class/net/eth0/carrier) = 0")
    room.serve()
    room.wait(lambda: room.server.connected)
    linux.until("test $(cat /sys/class/net/eth0/carrier) = 1")
    assert pinged(linux)
    assert room.server.clients == 1, "QEMU's second connection is the new back-end's first"


@rings("guest killed, another boots", "split", "packed")
def test_a_guest_that_is_killed_in_the_middle_of_traffic_leaves_a_card_for_the_next(
    lab: Labs, properties: dict[str, Any]
) -> None:
    room = lab()
    changes: list[str] = []
    room.server.watch = lambda event: isinstance(event, Changed) and changes.append(event.detail)
    linux = room.linux(mac=MAC, **properties)
    linux.start(f"ping -A -s 1400 {BOB} > /dev/null")
    frames = room.frames()
    room.wait(lambda: len(frames) > 100)
    linux.kill()
    room.wait(lambda: not room.server.connected)
    assert room.guest.slot.dma.regions == []
    assert pinged(room.linux(mac=MAC, **properties))
    assert changes == ["connected", "gone: it has hung up", "connected"]
