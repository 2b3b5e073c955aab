"""DPDK's unmodified virtio_user driver on our virtio-net, over vhost-user; testpmd forwards between two emulated hosts.

    alice - cable - our card = vhost-user = testpmd = vhost-user = our card - cable - bob

testpmd polls on a processor of its own: it looks at our rings while we write to them.
"""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether

from motenet.bridge.vhost_user.dpdk import Between
from motenet.core.trace import Changed, FramePassed
from motenet.core.units import MS
from tests.corners.shared import recomputed

pytestmark = pytest.mark.needs("dpdk")

DRIVER = "DPDK 22.11 virtio_user"
SPLIT, PACKED = "motenet virtio-net over vhost-user, split", "motenet virtio-net over vhost-user, packed"
RINGS = {
    "split-mergeable": (SPLIT, "packed_vq=0,mrg_rxbuf=1"),
    "split-whole": (SPLIT, "packed_vq=0,mrg_rxbuf=0"),
    "split-vectorized": (SPLIT, "packed_vq=0,mrg_rxbuf=0,vectorized=1"),
    "packed-mergeable": (PACKED, "packed_vq=1,mrg_rxbuf=1"),
    "packed-whole": (PACKED, "packed_vq=1,mrg_rxbuf=0"),
}
"""For each way of using rings: the card for the matrix, and the port's arguments."""
CHUNK = 64 << 10
MIB = 1 << 20
Make = Callable[..., Between]


def rings(what: str, *names: str) -> Any:
    """Parametrizes by ways of using rings, each with its row of the matrix."""
    cases = []
    for name in names or RINGS:
        card, port = RINGS[name]
        mark = pytest.mark.exercises(driver=DRIVER, card=card, what=what.format(name.partition("-")[2]))
        cases.append(pytest.param(port, id=name, marks=mark))
    return pytest.mark.parametrize("port", cases)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes two hosts with testpmd's cards between them; nothing may be left that we had to refuse."""
    made: list[Between] = []

    def make_room(net: dict[str, Any] | None = None, **host: Any) -> Between:
        made.append(Between(tmp_path, net, **host))
        return made[-1]

    yield make_room
    for room in made:
        room.end()
        for port in room.ports:
            backend = port.slot
            refused = {**backend.drops, **backend.dma.drops, **backend.device.drops}
            refused.pop("device not ready", None)  # frames for a card that nobody drives any more
            assert refused == {}, "no message, no DMA and nothing in a ring was wrong"


def ping(room: Between, size: int = 56, ends: tuple[str, str] = (Between.ALICE, Between.BOB)) -> None:
    """Each host asks the other."""
    for host, peer in ((room.alice, ends[1]), (room.bob, ends[0])):
        icmp = host.stack.sockets.icmp_bind()
        icmp.send_echo(peer, 1, bytes(size))
        room.wait(lambda icmp=icmp: icmp.can_receive)  # type: ignore[misc]
        assert icmp.receive().data == bytes(size)


def stream(room: Between, sender: Any, receiver: Any, address: str, data: bytes) -> bytes:
    """What arrives of `data` by TCP, and how long that takes on the console."""
    listener = receiver.stack.sockets.tcp_listen(80, b"")
    out = sender.stack.sockets.tcp_connect(address, 80)
    room.wait(lambda: listener.can_accept)
    into = listener.accept()
    got, done, begin = bytearray(), 0, time.monotonic()

    def carry() -> bool:
        nonlocal done
        while out.can_send and done < len(data):
            done += out.send(data[done : done + CHUNK])
        while piece := into.recv(CHUNK):
            got.extend(piece)
        return len(got) >= len(data)

    room.wait(carry, 60)
    print(f"{len(data) * 8 / (time.monotonic() - begin) / 1e6:.0f} Mbit/s")
    for connection in (out, into):
        connection.close()
        connection.release()
    listener.close()
    return bytes(got)


# --- forwarding


@rings("{}: ping, UDP and TCP between two hosts")
def test_two_hosts_reach_each_other(make: Make, port: str) -> None:
    """What one host sends the other gets, byte by byte; testpmd counts as many frames as have passed our ports."""
    room = make()
    passed = [0, 0]
    for number, front_end in enumerate(room.ports):
        front_end.port.watch = lambda event, number=number: count(event, passed, number)  # type: ignore[misc]
    testpmd = room.start(port)
    ping(room)
    inbox = room.bob.stack.udp_socket(7)
    outbox = room.alice.stack.udp_socket(0)
    for size in (0, 1, 17, 18, 19, 511, 1471, 1472):
        datagram = random.Random(size).randbytes(size)
        outbox.send_to(datagram, room.BOB, 7)
        room.wait(lambda: inbox.can_receive)
        message = inbox.receive()
        assert message is not None
        assert message.data == datagram
    data = random.Random(7).randbytes(2 * MIB)
    assert stream(room, room.alice, room.bob, room.BOB, data) == data
    assert stream(room, room.bob, room.alice, room.ALICE, data) == data
    room.pump.run(timeout=300 * MS)  # for late acknowledgements
    counts = testpmd.forwarded()
    assert [port["RX-packets"] for port in counts] == passed
    assert not any(port["RX-dropped"] + port["TX-dropped"] for port in counts)
    testpmd.quit(lambda: room.gone)


def count(event: object, passed: list[int], number: int) -> None:
    if isinstance(event, FramePassed) and event.direction == "rx":
        passed[number] += 1


class Sink:
    """A cable's end that looks whether frames come in order."""

    takes_unfinished = False

    def __init__(self) -> None:
        self.count = 0
        self.wrong: list[bytes] = []

    def frame_sent(self, port: object, frame: bytes, facts: object) -> None:
        if frame != numbered(self.count):
            self.wrong.append(frame)
        self.count += 1


def numbered(number: int) -> bytes:
    return b"\2\0\0\0\0\1\2\0\0\0\0\2\x88\xb5" + number.to_bytes(4, "big") * (12 + number % 16)


@pytest.mark.parametrize(
    ("port", "frames"),
    [
        pytest.param("packed_vq=0", 70_000, marks=pytest.mark.exercises(
            driver=DRIVER, card=SPLIT, what="70,000 frames in a row: the indexes wrap at 65536")),
        pytest.param("packed_vq=1", 20_000, marks=pytest.mark.exercises(
            driver=DRIVER, card=PACKED, what="20,000 frames in a row: 78 laps of the ring")),
    ],
)  # fmt: skip
def test_no_frame_is_lost_doubled_or_misplaced(make: Make, port: str, frames: int) -> None:
    """In at one port and out at the other, in order; never more under way than a ring of 256 has room for."""
    room = make()
    near, sink = room.ports[0].port, Sink()
    room.ports[1].port.connect(sink)
    testpmd = room.start(port)
    sent = 0

    def feed() -> bool:
        nonlocal sent
        room_left = min(sink.count + 128, frames) - sent
        if room_left >= min(32, frames - sent) > 0:
            burst = [numbered(sent + place) for place in range(room_left)]
            sent += len(burst)
            room.world.clock.at(room.world.now, near.deliver_burst, burst)
        return sink.count >= frames

    begin = time.monotonic()
    room.wait(feed, 60)
    print(f"{frames / (time.monotonic() - begin):.0f} frames/s in and out again")
    room.pump.run(timeout=20 * MS)
    assert (sink.count, sink.wrong) == (frames, [])
    assert testpmd.forwarded()[0]["RX-packets"] == frames


@rings("frames of 9 KB, over several {} buffers", "split-mergeable", "packed-mergeable")
def test_jumbo_frames(make: Make, port: str) -> None:
    """Received into buffers of 2 KiB (virtio 5.1.6.4.1: num_buffers), sent from chains of several."""
    room = make({"mtu": 9000}, driver_options={"mtu": 9000})
    testpmd = room.start(port, "--max-pkt-len=9018", "--rx-offloads=0x2000", "--tx-offloads=0x8000")
    ping(room, 8900)
    data = random.Random(9).randbytes(MIB)
    assert stream(room, room.alice, room.bob, room.BOB, data) == data
    assert not any(port["RX-dropped"] + port["TX-dropped"] for port in testpmd.forwarded())


SIX = ("fd00::a", "fd00::b")


@rings("IPv6, frames of 9 KB over {} buffers: ping, UDP and TCP", "split-mergeable", "packed-mergeable")
def test_jumbo_frames_over_ipv6(make: Make, port: str) -> None:
    """From a neighbor solicitation to a megabyte: groups pass as all else does, and the card finishes IPv6's sums."""
    room = make({"mtu": 9000}, driver_options={"mtu": 9000})
    for host, address in ((room.alice, SIX[0]), (room.bob, SIX[1])):
        host.stack.add_address(f"{address}/64")
    frames: list[bytes] = []
    for front_end in room.ports:
        front_end.port.watch = lambda event: (
            isinstance(event, FramePassed) and event.direction == "tx" and frames.append(event.frame)
        )
    testpmd = room.start(port, "--max-pkt-len=9018", "--rx-offloads=0x2000", "--tx-offloads=0x8000")
    ping(room, ends=SIX)
    ping(room, 8900, SIX)
    inbox = room.bob.stack.udp_socket(7)
    for size in (0, 1, 1452, 8952, 20_000):
        datagram = random.Random(size).randbytes(size)
        room.alice.stack.udp_socket(0).send_to(datagram, SIX[1], 7)
        room.wait(lambda: inbox.can_receive)
        message = inbox.receive()
        assert message is not None
        assert message.data == datagram
    data = random.Random(9).randbytes(MIB)
    assert stream(room, room.alice, room.bob, SIX[1], data) == data
    assert stream(room, room.bob, room.alice, SIX[0], data) == data
    assert not any(port["RX-dropped"] + port["TX-dropped"] for port in testpmd.forwarded())
    assert max(map(len, frames)) == 9014


@rings("checksums and TSO left to the card, {}", "split-mergeable", "packed-mergeable")
def test_what_it_offloads_is_right_on_the_wire(make: Make, port: str) -> None:
    """testpmd's csum engine: CSUM, HOST_TSO4 and GUEST_CSUM are negotiated; Scapy recomputes every checksum.

    It cuts what is longer than 500 bytes of payload (virtio 5.1.6.2: gso_size).
    """
    room = make()
    frames: list[bytes] = []
    for front_end in room.ports:
        front_end.port.watch = lambda event: (
            isinstance(event, FramePassed) and event.direction == "tx" and frames.append(event.frame)
        )
    testpmd = room.start(port, "--rx-offloads=0xc", "--tx-offloads=0x2c", "--forward-mode=csum")
    for line in ("stop", "port stop all"):
        testpmd.command(line)
    for number in (0, 1):
        for line in (f"csum set tcp hw {number}", f"csum set udp hw {number}", f"csum mac-swap off {number}"):
            testpmd.command(line)
        assert "is 500" in testpmd.command(f"tso set 500 {number}")
    for line in ("port start all", "start"):
        testpmd.command(line)
    ping(room)
    for host, peer in ((room.alice, room.BOB), (room.bob, room.ALICE)):
        host.stack.udp_socket(0).send_to(bytes(99), peer, 9)
    data = random.Random(5).randbytes(200_000)
    assert stream(room, room.alice, room.bob, room.BOB, data) == data
    seen, wrong = recomputed(frames)
    assert not wrong
    packets = [packet for packet in map(Ether, frames) if TCP in packet]
    longest = max(packet[IP].len - 4 * packet[IP].ihl - 4 * packet[TCP].dataofs for packet in packets)
    assert seen[TCP] > len(data) / 500
    assert seen[UDP] >= 2
    assert longest == 500


@rings("two queue pairs", "split-mergeable", "packed-mergeable")
def test_two_queue_pairs(make: Make, port: str) -> None:
    """A flow comes in by the pair that its answers are sent from (virtio 5.1.6.5.6); flows use both."""
    room = make({"pairs": 2})
    testpmd = room.start(f"{port},queues=2,cq=1", "--rxq=2", "--txq=2")
    inbox = room.bob.stack.udp_socket(7)
    for _ in range(16):
        outbox = room.alice.stack.udp_socket(0)
        outbox.send_to(b"to bob", room.BOB, 7)
        room.wait(lambda: inbox.can_receive)
        message = inbox.receive()
        assert message is not None
        inbox.send_to(b"to alice", message.address, message.port)
        room.wait(lambda outbox=outbox: outbox.can_receive)  # type: ignore[misc]
    used = [queue.last_used for queue in room.ports[1].slot.net.queues[:4]]
    assert all(used), f"each queue has been used: {used}"
    assert sum(port["RX-packets"] for port in testpmd.forwarded()) >= 32


# --- life of a driver


@rings("stopped, started, killed, and another one", "split-mergeable", "packed-mergeable")
def test_it_stops_and_starts_and_dies_and_another_comes(make: Make, port: str) -> None:
    room = make()
    changes: list[str] = []
    room.servers[0].watch = lambda event: isinstance(event, Changed) and changes.append(event.detail)
    first = room.start(port)
    ping(room)
    for line in ("stop", "port stop all", "port start all", "start"):
        first.command(line)
    ping(room)
    room.alice.stack.udp_socket(0).send_to(bytes(1000), room.BOB, 9)
    first.kill()
    room.wait(lambda: room.gone)
    assert all(front_end.slot.dma.regions == [] for front_end in room.ports)
    second = room.start(port)
    ping(room)
    second.quit(lambda: room.gone)
    assert changes == ["connected", "gone: it has hung up"] * 2


@rings("it listens, and our side connects", "split-mergeable", "packed-mergeable")
def test_it_listens_and_we_connect(make: Make, port: str) -> None:
    """virtio_user's "server=1": the back-end connects, and connects again to the next."""
    room = make(connect=True)
    for _ in range(2):
        testpmd = room.start(f"{port},server=1")
        ping(room)
        testpmd.quit(lambda: room.gone)
    assert [server.clients for server in room.servers] == [2, 2]
