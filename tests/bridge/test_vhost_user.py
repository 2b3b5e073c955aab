"""A vhost-user back-end against a front-end of raw messages and rings (QEMU's docs/interop/vhost-user.rst, by message).

The rings are written as DPDK's virtio_user writes them: chains of one descriptor, of which the first bytes are the
header of virtio 5.1.6.
"""

import array
import gc
import mmap
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether

from motenet.bridge.channel import Channel
from motenet.bridge.realtime import RealTime
from motenet.bridge.vhost_user import BackEnd, Server
from motenet.bridge.vhost_user.session import Session
from motenet.core.clock import Clock
from motenet.core.errors import SnapshotError
from motenet.core.units import MS, SECOND
from motenet.devices.virtio.net import NetFunction
from motenet.doors import FrameFacts

GET_FEATURES, SET_FEATURES, SET_OWNER, RESET_OWNER, SET_MEM_TABLE = 1, 2, 3, 4, 5
SET_LOG_BASE, VRING_NUM, VRING_ADDR, SET_BASE, GET_BASE, KICK, CALL, ERR = 6, 8, 9, 10, 11, 12, 13, 14
GET_PROTOCOL, SET_PROTOCOL, QUEUE_NUM, VRING_ENABLE, SEND_RARP, SET_MTU, GET_CONFIG = 15, 16, 17, 18, 19, 20, 24
RESET_DEVICE, MAX_SLOTS, ADD_REGION, REM_REGION, SET_STATUS, GET_STATUS = 34, 36, 37, 38, 39, 40
NEED_REPLY = 8
INDIRECT, EVENT_IDX, PROTOCOL, VERSION_1, PACKED, MRG_RXBUF = 1 << 28, 1 << 29, 1 << 30, 1 << 32, 1 << 34, 1 << 15
REPLY_ACK, STATUS = 1 << 3, 1 << 16
MAC, STATUS_FEATURE, CTRL_VQ, MQ = 1 << 5, 1 << 16, 1 << 17, 1 << 22
NO_FD = 0x100

GUEST, USER, OFFSET, SIZE = 0x10_0000, 0x7F12_3450_0000, 0x1000, 0x2_0000
"""Where the shared memory lies: for the guest, for the front-end, in its file; and how large it is."""
QUEUE = 8
"""Descriptors of each ring."""
FRAME = bytes.fromhex("ffffffffffff 525400000001 88b5") + bytes(range(46))


class Cable:
    """A medium that keeps what the card sends."""

    takes_unfinished = False

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def frame_sent(self, port: object, frame: bytes, facts: FrameFacts | None) -> None:
        self.sent.append(frame)


class Bench:
    """A back-end at a cable, its server, and the pump that serves them."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.clock = Clock()
        self.backend = BackEnd(self.clock, "dpdk", NetFunction("52:54:00:12:34:56", **options))
        self.cable = Cable()
        self.backend.port.connect(self.cable)
        self.pump = RealTime(self.clock)
        self.server = Server(self.backend, folder / "vu.sock", self.pump)
        self.clients: list[Client] = []

    def client(self) -> "Client":
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self.server.socket_path))
        connection.settimeout(5)
        self.clients.append(Client(self, connection))
        self.run()
        return self.clients[-1]

    def run(self, until: Callable[[], bool] | None = None, timeout: int = 2 * MS) -> bool:
        return self.pump.run(until, timeout)

    def deliver(self, frame: bytes) -> None:
        self.clock.at(self.clock.now, self.backend.port.deliver, frame)
        self.run()

    def close(self) -> None:
        for client in self.clients:
            client.socket.close()
            client.memory.close()
            for file in client.files:
                os.close(file)
        self.server.close()


class Client:
    """The front-end, with memory of its own to share."""

    def __init__(self, bench: Bench, connection: socket.socket) -> None:
        self.bench, self.socket = bench, connection
        self.file = os.memfd_create("guest")
        os.ftruncate(self.file, OFFSET + SIZE)
        self.memory = mmap.mmap(self.file, OFFSET + SIZE)
        self.files = [self.file]
        self.features = 0

    # --- messages

    def send(self, request: int, payload: bytes = b"", files: tuple[int, ...] = (), flags: int = 1) -> None:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
        self.socket.sendmsg([struct.pack("<III", request, flags, len(payload)) + payload], ancillary)

    def receive(self) -> tuple[int, bytes]:
        self.bench.run()
        request, flags, size = struct.unpack("<III", self.socket.recv(12, socket.MSG_WAITALL))
        assert flags == 1 | 4, "version 1, and a reply"
        return request, self.socket.recv(size, socket.MSG_WAITALL)

    def ask(self, request: int, payload: bytes = b"") -> bytes:
        self.send(request, payload)
        answered, answer = self.receive()
        assert answered == request
        return answer

    def number(self, request: int) -> int:
        return int(struct.unpack("<Q", self.ask(request))[0])

    def acknowledged(self, request: int, payload: bytes = b"", files: tuple[int, ...] = ()) -> bool:
        """With REPLY_ACK: whether it is done."""
        self.send(request, payload, files, 1 | NEED_REPLY)
        answered, answer = self.receive()
        assert (answered, len(answer)) == (request, 8)
        return not any(answer)

    def good(self, request: int, payload: bytes = b"", files: tuple[int, ...] = ()) -> None:
        assert self.acknowledged(request, payload, files)

    def hung_up(self) -> bool:
        self.bench.run()
        return self.socket.recv(1) == b""

    def event(self, value: int = 0) -> int:
        self.files.append(os.eventfd(value, os.EFD_NONBLOCK))
        return self.files[-1]

    # --- setting up

    def negotiate(self, features: int = VERSION_1 | PROTOCOL, protocol: int = REPLY_ACK) -> None:
        assert not features & ~self.number(GET_FEATURES)
        self.send(SET_PROTOCOL, struct.pack("<Q", protocol))
        self.send(SET_OWNER)
        self.good(SET_FEATURES, struct.pack("<Q", features))
        self.features = features

    def share(self) -> bool:
        table = struct.pack("<II4Q", 1, 0, GUEST, SIZE, USER, OFFSET)
        return self.acknowledged(SET_MEM_TABLE, table, (self.file,))

    def ring(self, index: int, base: int | None = None, enable: bool = True) -> "Ring":
        """Set a ring up as DPDK does, and start it."""
        ring = (PackedRing if self.features & PACKED else SplitRing)(self, index)
        if base is None:
            base = 0x8000 if self.features & PACKED else 0
        self.good(CALL, struct.pack("<Q", index), (ring.call,))
        self.good(VRING_NUM, struct.pack("<II", index, QUEUE))
        self.good(SET_BASE, struct.pack("<II", index, base))
        addresses = (ring.at + USER, ring.at + 0x100 + USER, ring.at + 0x200 + USER)
        self.good(VRING_ADDR, struct.pack("<II4Q", index, 0, *addresses, 0))
        self.good(KICK, struct.pack("<Q", index), (ring.kick,))
        if enable:
            self.good(VRING_ENABLE, struct.pack("<II", index, 1))
        return ring

    def rings(self) -> tuple["Ring", "Ring"]:
        assert self.share()
        return self.ring(0), self.ring(1)


class Ring:
    """The driver's side of a queue: descriptors at its place in memory, +0x100 what the device writes, +0x200 driver's.

    Each buffer has 0x800 bytes.
    """

    def __init__(self, client: Client, index: int) -> None:
        self.client = client
        self.at = 0x1000 * index
        self.buffers = 0x4000 * (index + 1)
        self.kick, self.call = client.event(), client.event()
        self.next = self.seen = 0
        client.memory[OFFSET + self.at : OFFSET + self.at + 0x300] = bytes(0x300)

    def put(self, at: int, layout: str, *values: int) -> None:
        struct.pack_into(layout, self.client.memory, OFFSET + self.at + at, *values)

    def get(self, at: int, layout: str) -> tuple[int, ...]:
        return struct.unpack_from(layout, self.client.memory, OFFSET + self.at + at)

    def data(self, slot: int, length: int) -> bytes:
        at = OFFSET + self.buffers + 0x800 * slot
        return self.client.memory[at : at + length]

    def offer(self, data: bytes = b"", room: int = 0, kick: bool = True, flags: int = 0) -> int:
        """Make a buffer available: `data` for the device to read, or `room` for it to write."""
        slot = self.next % QUEUE
        at = OFFSET + self.buffers + 0x800 * slot
        self.client.memory[at : at + len(data)] = data
        self.describe(slot, GUEST + self.buffers + 0x800 * slot, room or len(data), flags | (2 if room else 0))
        self.next += 1
        if kick:
            os.eventfd_write(self.kick, 1)
            self.client.bench.run()
        return slot

    def describe(self, slot: int, address: int, length: int, flags: int) -> None:
        raise AssertionError

    def used(self) -> tuple[int, int] | None:
        raise AssertionError

    def called(self) -> bool:
        try:
            return os.eventfd_read(self.call) > 0
        except BlockingIOError:
            return False


class SplitRing(Ring):
    """virtio 2.7."""

    def describe(self, slot: int, address: int, length: int, flags: int) -> None:
        self.put(16 * slot, "<QIHH", address, length, flags, 0)
        self.put(0x204 + 2 * slot, "<H", slot)
        self.put(0x202, "<H", self.next + 1 & 0xFFFF)

    def used(self) -> tuple[int, int] | None:
        if self.get(0x102, "<H")[0] == self.seen & 0xFFFF:
            return None
        slot, length = self.get(0x104 + 8 * (self.seen % QUEUE), "<II")
        self.seen += 1
        return slot, length


class PackedRing(Ring):
    """virtio 2.8."""

    def describe(self, slot: int, address: int, length: int, flags: int) -> None:
        wrapped = self.next // QUEUE & 1
        self.put(16 * slot, "<QIHH", address, length, slot, flags | (0x8000 if wrapped else 0x80))

    def used(self) -> tuple[int, int] | None:
        length, slot, flags = self.get(16 * (self.seen % QUEUE) + 8, "<IHH")
        if flags & 0x8080 != (0 if self.seen // QUEUE & 1 else 0x8080):
            return None
        self.seen += 1
        return slot, length


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make_bench(**options: Any) -> Bench:
        made.append(Bench(tmp_path, **options))
        return made[-1]

    yield make_bench
    for bench in made:
        bench.close()


@pytest.fixture
def bench(make: Callable[..., Bench]) -> Bench:
    return make()


@pytest.fixture
def client(bench: Bench) -> Client:
    return bench.client()


LAYOUTS = pytest.mark.parametrize("layout", [0, PACKED], ids=["split", "packed"])


# --- negotiation


def test_features_are_those_of_rings_and_packets(client: Client) -> None:
    """Address, link status and control queue are the front-end's own; bit 30 is never the device's (virtio 6.3)."""
    offered = client.number(GET_FEATURES)
    wanted = VERSION_1 | PACKED | MRG_RXBUF | PROTOCOL | EVENT_IDX | 1
    assert offered & wanted == wanted
    assert not offered & (MAC | STATUS_FEATURE | CTRL_VQ | MQ)


def test_protocol_features(client: Client) -> None:
    """MQ, RARP, REPLY_ACK, MTU, RESET_DEVICE, CONFIGURE_MEM_SLOTS, STATUS; none that needs requests of ours."""
    assert client.number(GET_PROTOCOL) == sum(1 << bit for bit in (0, 2, 3, 4, 13, 15, 16))
    assert client.number(QUEUE_NUM) == 1
    assert client.number(MAX_SLOTS) >= 32


def test_what_was_not_offered_is_refused(bench: Bench, client: Client) -> None:
    client.negotiate()
    assert not client.acknowledged(SET_FEATURES, struct.pack("<Q", VERSION_1 | CTRL_VQ))
    assert not client.acknowledged(SET_FEATURES, struct.pack("<Q", MAC)), "nor is it offered to a legacy driver"
    assert not client.acknowledged(SET_FEATURES, struct.pack("<Q", VERSION_1 | 1 << 7)), "GUEST_TSO4 needs GUEST_CSUM"
    assert client.share()
    assert not client.acknowledged(KICK, struct.pack("<Q", 0), (client.event(),)), "no features are agreed on"
    assert not client.acknowledged(SET_FEATURES, struct.pack("<Q", PACKED | PROTOCOL)), "PACKED without VERSION_1"
    client.good(SET_FEATURES, struct.pack("<Q", VERSION_1 | PROTOCOL))
    assert not client.acknowledged(SET_PROTOCOL, struct.pack("<Q", 1 << 9))
    assert bench.backend.drops["refused"] == 6


def test_nothing_is_answered_that_was_not_asked_for(client: Client) -> None:
    """need_reply means something once REPLY_ACK is agreed on, and not before (vhost-user, REPLY_ACK)."""
    client.send(SET_OWNER, flags=1 | NEED_REPLY)
    client.send(SET_PROTOCOL, struct.pack("<Q", REPLY_ACK))
    client.send(SET_OWNER)
    assert client.ask(GET_FEATURES), "the first answer is that to GET_FEATURES"
    client.good(SET_OWNER)


@pytest.mark.parametrize("request_", [GET_CONFIG, 31, 99])
def test_a_question_that_cannot_be_answered_ends_the_conversation(bench: Bench, client: Client, request_: int) -> None:
    """The front-end would wait for ever; DPDK's and QEMU's back-ends hang up, too."""
    client.send(request_, bytes(8))
    assert client.hung_up()
    assert not bench.server.connected


def test_messages_that_are_not_offered_are_noted(bench: Bench, client: Client) -> None:
    client.negotiate()
    client.send(SET_LOG_BASE, bytes(16), (client.file,))
    assert not client.acknowledged(SET_LOG_BASE, bytes(16))
    assert bench.backend.drops["refused"] == 2


@pytest.mark.parametrize(("flags", "size"), [(0, 0), (2, 0), (1, 4097), (1, 0xFFFFFFFF)])
def test_another_version_or_size_ends_the_conversation(client: Client, flags: int, size: int) -> None:
    client.socket.send(struct.pack("<III", GET_FEATURES, flags, size))
    assert client.hung_up()


@pytest.mark.parametrize(
    ("request_", "payload"),
    [
        (SET_FEATURES, b""),
        (SET_STATUS, struct.pack("<Q", 0x100)),
        (SET_MEM_TABLE, struct.pack("<II", 1, 0)),
        (SET_MEM_TABLE, struct.pack("<II", 9, 0) + bytes(9 * 32)),
        (VRING_NUM, struct.pack("<II", 2, QUEUE)),
        (VRING_NUM, struct.pack("<I", 0)),
        (VRING_ADDR, struct.pack("<II4Q", 2, 0, 0, 0, 0, 0)),
        (SET_BASE, struct.pack("<II", 255, 0)),
        (VRING_ENABLE, struct.pack("<II", 0, 2)),
        (KICK, struct.pack("<Q", 0)),
        (CALL, struct.pack("<Q", 2 | NO_FD)),
        (ERR, struct.pack("<Q", 0)),
        (KICK, struct.pack("<Q", NO_FD)),
        (ADD_REGION, struct.pack("<5Q", 0, GUEST, SIZE, USER, 0)),
        (REM_REGION, struct.pack("<5Q", 0, GUEST, SIZE, USER, 0)),
        (SET_MTU, struct.pack("<Q", 67)),
        (SET_MTU, struct.pack("<Q", 65536)),
    ],
)
def test_what_cannot_be_is_refused_and_no_more(client: Client, request_: int, payload: bytes) -> None:
    client.negotiate()
    assert not client.acknowledged(request_, payload)
    client.good(SET_OWNER)


def test_messages_may_come_in_any_pieces(client: Client) -> None:
    for byte in struct.pack("<III", GET_FEATURES, 1, 0) * 2:
        client.socket.send(bytes((byte,)))
        client.bench.run()
    assert client.receive()[0] == client.receive()[0] == GET_FEATURES


# --- memory


def test_memory_that_cannot_be_shared_is_refused(client: Client) -> None:
    client.negotiate()

    def shared(*regions: tuple[int, int, int, int], files: tuple[int, ...]) -> bool:
        table = b"".join(struct.pack("<4Q", *region) for region in regions)
        return client.acknowledged(SET_MEM_TABLE, struct.pack("<II", len(regions), 0) + table, files)

    good = (GUEST, SIZE, USER, OFFSET)
    file = client.file
    assert shared(good, files=(file,))
    assert not shared(good, files=(file, file)), "as many descriptors as regions"
    assert not shared(good, (GUEST + SIZE - 1, 1, 0, 0), files=(file, file)), "overlapping"
    assert not shared((GUEST, 0, USER, 0), files=(file,))
    assert not shared((2**64 - 1, 2, USER, 0), files=(file,))
    assert not shared((GUEST, SIZE, USER, OFFSET + 4096), files=(file,)), "beyond the file's end"
    assert not shared(good, files=(client.event(),)), "no memory"
    assert client.bench.backend.dma.regions == [], "a table that is refused leaves none"
    assert shared(files=()), "and one may be empty"


def test_regions_one_by_one(client: Client) -> None:
    """ADD_MEM_REG and REM_MEM_REG; the latter may carry a descriptor, which is closed."""
    client.negotiate()
    first, second = ((GUEST, 4096, USER, 0), (GUEST + 4096, 4096, USER + 4096, 4096))
    for region in (first, second):
        client.good(ADD_REGION, struct.pack("<5Q", 0, *region), (client.file,))
    assert not client.acknowledged(ADD_REGION, struct.pack("<5Q", 0, *first), (client.file,))
    dma = client.bench.backend.dma
    dma.write(GUEST + 4090, b"across regions")
    assert client.memory[4090:4104] == b"across regions"
    assert not client.acknowledged(REM_REGION, struct.pack("<5Q", 0, GUEST, 4096, USER + 1, 0))
    client.good(REM_REGION, struct.pack("<5Q", 0, *first[:3], 123), (client.file,))
    assert [region.start for region in dma.regions] == [GUEST + 4096]
    assert dma.read(GUEST, 4) == b"\xff" * 4
    assert dma.drops == {"master abort": 1}


def test_a_region_may_begin_anywhere_in_its_file(client: Client) -> None:
    client.negotiate()
    client.memory[1234:1238] = b"here"
    client.good(ADD_REGION, struct.pack("<5Q", 0, GUEST, 100, USER, 1234), (client.file,))
    assert client.bench.backend.dma.read(GUEST, 4) == b"here"


def test_a_front_ends_memory_is_in_no_snapshot(bench: Bench) -> None:
    with pytest.raises(SnapshotError, match="another process"):
        bench.backend.dma.save()


# --- rings


@LAYOUTS
def test_frames_go_out(client: Client, layout: int) -> None:
    """Behind the header of 12 bytes (virtio 5.1.6.2); with a call for the used buffer. Three laps of the ring."""
    client.negotiate(VERSION_1 | PROTOCOL | layout)
    _, transmit = client.rings()
    frames = [bytes([number]) * 6 + FRAME[6:] for number in range(3 * QUEUE)]
    for frame in frames:
        slot = transmit.offer(bytes(12) + frame)
        assert transmit.called()
        assert transmit.used() == (slot, 0)
    assert client.bench.cable.sent == frames


@LAYOUTS
@pytest.mark.parametrize("mergeable", [0, MRG_RXBUF], ids=["whole", "mergeable"])
def test_frames_come_in(client: Client, layout: int, mergeable: int) -> None:
    client.negotiate(VERSION_1 | PROTOCOL | layout | mergeable)
    receive, _ = client.rings()
    for _ in range(2 * QUEUE + 1):
        slot = receive.offer(room=0x600)
        client.bench.deliver(FRAME)
        assert receive.called()
        assert receive.used() == (slot, 12 + len(FRAME))
        header = bytes(10) + b"\1\0"  # 5.1.6.4.1: num_buffers is 1, without MRG_RXBUF, too
        assert receive.data(slot, 12 + len(FRAME)) == header + FRAME


@LAYOUTS
def test_a_frame_is_spread_over_small_buffers(client: Client, layout: int) -> None:
    """MRG_RXBUF: num_buffers of them (virtio 5.1.6.4)."""
    client.negotiate(VERSION_1 | PROTOCOL | MRG_RXBUF | layout)
    receive, _ = client.rings()
    slots = [receive.offer(room=40) for _ in range(2)]
    client.bench.deliver(FRAME)
    assert receive.used() == (slots[0], 40)
    assert receive.used() == (slots[1], 12 + len(FRAME) - 40)
    assert receive.data(slots[0], 12)[10:] == b"\2\0"
    assert receive.data(slots[0], 40)[12:] + receive.data(slots[1], 12 + len(FRAME) - 40) == FRAME


@pytest.mark.parametrize("flags", [(2, 0x80), (2, 2)])
def test_what_dpdk_marks_as_writable_in_a_transmit_table_is_read(client: Client, flags: tuple[int, int]) -> None:
    """2.8.7, 2.8.17. DPDK leaves WRITE in the header's entry, and now and then in another; its back-end reads them."""
    client.negotiate(VERSION_1 | PROTOCOL | PACKED | INDIRECT)
    _, transmit = client.rings()
    data = GUEST + transmit.buffers
    table = struct.pack("<QIHHQIHH", data + 0x100, 12, 0, flags[0], data + 0x200, len(FRAME), 1, flags[1])
    at = OFFSET + transmit.buffers + 0x200
    client.memory[at : at + len(FRAME)] = FRAME
    transmit.offer(table, flags=4)
    assert client.bench.cable.sent == [FRAME]


def test_a_legacy_driver_has_a_shorter_header(client: Client) -> None:
    """Without VERSION_1 and MRG_RXBUF it has 10 bytes (virtio 5.1.6.1)."""
    client.negotiate(PROTOCOL)
    receive, transmit = client.rings()
    transmit.offer(bytes(10) + FRAME)
    assert client.bench.cable.sent == [FRAME]
    slot = receive.offer(room=0x600)
    client.bench.deliver(FRAME)
    assert receive.used() == (slot, 10 + len(FRAME))
    assert receive.data(slot, 10 + len(FRAME)) == bytes(10) + FRAME


def test_the_upper_addresses_are_the_front_ends_own(bench: Bench, client: Client) -> None:
    """VRING_ADDR has user addresses; those of no region are refused when the ring starts."""
    client.negotiate()
    assert client.share()
    client.good(VRING_NUM, struct.pack("<II", 0, QUEUE))
    client.good(VRING_ADDR, struct.pack("<II4Q", 0, 0, GUEST, GUEST + 0x200, GUEST + 0x100, 0))
    assert not client.acknowledged(KICK, struct.pack("<Q", 0), (client.event(),))
    assert not bench.backend.rings[0].started


@LAYOUTS
def test_a_disabled_ring_has_no_effects(bench: Bench, client: Client, layout: int) -> None:
    """ "must not supply any new RX packets, but must process and discard any TX packets" ("Ring states")."""
    client.negotiate(VERSION_1 | PROTOCOL | layout)
    assert client.share()
    receive, transmit = client.ring(0, enable=False), client.ring(1, enable=False)
    slot = transmit.offer(bytes(12) + FRAME)
    assert transmit.used() == (slot, 0)
    assert transmit.called()
    assert bench.cable.sent == []
    receive.offer(room=0x600)
    bench.deliver(FRAME)
    assert receive.used() is None
    for index in (0, 1):
        client.good(VRING_ENABLE, struct.pack("<II", index, 1))
    bench.deliver(FRAME)
    transmit.offer(bytes(12) + FRAME)
    assert receive.used() is not None
    assert bench.cable.sent == [FRAME]


def test_a_disabled_ring_asks_to_be_told_of_more(client: Client) -> None:
    """2.7.10: avail_event, behind the used ring, moves on with what was discarded."""
    client.negotiate(VERSION_1 | PROTOCOL | EVENT_IDX)
    assert client.share()
    transmit = client.ring(1, enable=False)
    for number in range(1, 4):
        transmit.offer(bytes(12) + FRAME)
        assert transmit.get(0x104 + 8 * QUEUE, "<H") == (number,)


def test_without_protocol_features_rings_start_enabled(bench: Bench, client: Client) -> None:
    """ "If VHOST_USER_F_PROTOCOL_FEATURES has not been negotiated, the ring starts directly in the enabled state." """
    client.negotiate(VERSION_1)
    assert client.share()
    client.ring(0, enable=False)
    client.ring(1, enable=False).offer(bytes(12) + FRAME)
    assert bench.cable.sent == [FRAME]


@pytest.mark.parametrize(("layout", "base"), [(0, 2), (PACKED, 0x8002_8002)], ids=["split", "packed"])
def test_get_vring_base_stops_a_ring_which_goes_on_from_there(
    bench: Bench, client: Client, layout: int, base: int
) -> None:
    client.negotiate(VERSION_1 | PROTOCOL | layout)
    _, transmit = client.rings()
    for _ in range(2):
        transmit.offer(bytes(12) + FRAME)
        assert transmit.used() is not None
    assert client.ask(GET_BASE, struct.pack("<II", 1, 0)) == struct.pack("<II", 1, base)
    transmit.offer(bytes(12) + FRAME)
    assert transmit.used() is None, "it has stopped"
    client.good(SET_BASE, struct.pack("<II", 1, base))
    client.good(KICK, struct.pack("<Q", 1), (transmit.kick,))
    bench.run()
    assert transmit.used() is not None, "what waited is found without a kick"
    assert len(bench.cable.sent) == 3


def test_the_base_of_a_ring_that_is_none_ends_the_conversation(client: Client) -> None:
    """GET_VRING_BASE has an answer, and that has no word for failure."""
    client.send(GET_BASE, struct.pack("<II", 7, 0))
    assert client.hung_up()


def test_a_running_ring_is_not_set_up_anew(client: Client) -> None:
    client.negotiate()
    client.rings()
    assert not client.acknowledged(VRING_NUM, struct.pack("<II", 0, 4))
    assert not client.acknowledged(SET_BASE, struct.pack("<II", 0, 4))
    assert not client.acknowledged(VRING_ADDR, struct.pack("<II4Q", 0, 0, USER, USER, USER, 0))
    assert not client.acknowledged(SET_FEATURES, struct.pack("<Q", VERSION_1 | PROTOCOL | MRG_RXBUF))
    client.good(SET_FEATURES, struct.pack("<Q", VERSION_1 | PROTOCOL))  # QEMU repeats it


def test_without_a_kick_a_ring_is_polled(bench: Bench, client: Client) -> None:
    """SET_VRING_KICK's flag: "polling should be used instead of waiting for the kick"."""
    client.negotiate()
    _, transmit = client.rings()
    for _ in range(3):
        client.good(KICK, struct.pack("<Q", 1 | NO_FD))
    assert len(bench.backend.clock.timers) == 1, "however often it is said"
    transmit.offer(bytes(12) + FRAME, kick=False)
    assert bench.run(lambda: bench.cable.sent == [FRAME], SECOND)
    client.ask(GET_BASE, struct.pack("<II", 1, 0))
    bench.run()
    assert bench.clock.next_time() is None, "a stopped ring is not polled"


def test_a_ring_that_cannot_be_when_it_is_enabled_stops(bench: Bench, client: Client) -> None:
    """A receive ring is looked at when it is enabled; it was started with 0 descriptors."""
    client.negotiate()
    assert client.share()
    client.good(VRING_ADDR, struct.pack("<II4Q", 0, 0, USER, USER + 0x100, USER + 0x200, 0))
    client.good(VRING_NUM, struct.pack("<II", 0, 0))
    client.good(KICK, struct.pack("<Q", 0), (client.event(),))
    assert not client.acknowledged(VRING_ENABLE, struct.pack("<II", 0, 1))
    assert client.share()
    assert client.ask(GET_BASE, struct.pack("<II", 0, 0)) == bytes(8)


def test_only_eventfds_are_taken(client: Client) -> None:
    client.negotiate()
    for request_ in (KICK, CALL, ERR):
        assert not client.acknowledged(request_, struct.pack("<Q", 0), (client.file,))


def test_an_eventfd_that_is_full_holds_up_nobody(client: Client) -> None:
    """eventfd(2): a write to a full counter blocks; the front-end need not have made the file non-blocking."""
    client.negotiate()
    _, transmit = client.rings()
    full = os.eventfd(0)
    client.files.append(full)
    os.eventfd_write(full, 2**64 - 2)
    client.good(CALL, struct.pack("<Q", 1), (full,))
    transmit.offer(bytes(12) + FRAME)
    assert transmit.used() is not None


def test_memory_that_moves_takes_its_rings_along(bench: Bench, client: Client) -> None:
    """DPDK sends the table again when its memory grows; a ring outside of it stops."""
    client.negotiate()
    _, transmit = client.rings()
    assert client.share()
    transmit.offer(bytes(12) + FRAME)
    assert bench.cable.sent == [FRAME]
    client.good(SET_MEM_TABLE, struct.pack("<II", 0, 0))
    assert not any(ring.started for ring in bench.backend.rings)
    assert bench.backend.drops["ring lost"] == 2
    transmit.offer(bytes(12) + FRAME)
    assert len(bench.cable.sent) == 1


# --- status


def test_status_is_the_front_ends(bench: Bench, client: Client) -> None:
    """DPDK: 0x0b, rings, 0x0f. Until DRIVER_OK is said nothing is used (virtio 3.1.1)."""
    client.negotiate(protocol=REPLY_ACK | STATUS)
    client.good(SET_STATUS, struct.pack("<Q", 0x0B))
    assert client.number(GET_STATUS) == 0x0B
    _, transmit = client.rings()
    transmit.offer(bytes(12) + FRAME)
    assert bench.cable.sent == []
    client.good(SET_STATUS, struct.pack("<Q", 0x0F))
    bench.run()
    assert client.number(GET_STATUS) == 0x0F
    assert bench.cable.sent == [FRAME]
    client.good(SET_STATUS, struct.pack("<Q", 0))
    assert client.number(GET_STATUS) == 0
    transmit.offer(bytes(12) + FRAME)
    assert bench.cable.sent == [FRAME]


def test_features_ok_without_features_reads_0(client: Client) -> None:
    client.send(SET_PROTOCOL, struct.pack("<Q", REPLY_ACK | STATUS))
    client.good(SET_STATUS, struct.pack("<Q", 0x0B))
    assert client.number(GET_STATUS) == 0x03


def test_a_broken_ring_is_told_by_eventfd_and_status(bench: Bench, client: Client) -> None:
    """SET_VRING_ERR; DEVICE_NEEDS_RESET (virtio 2.1.2). RESET_DEVICE mends it."""
    client.negotiate(protocol=REPLY_ACK | STATUS)
    client.good(SET_STATUS, struct.pack("<Q", 0x0F))
    _, transmit = client.rings()
    error = client.event()
    client.good(ERR, struct.pack("<Q", 1), (error,))
    transmit.put(0x202, "<H", QUEUE + 1)  # 2.7.13: the index jumps by more than the queue's size
    os.eventfd_write(transmit.kick, 1)
    bench.run()
    assert os.eventfd_read(error) == 1
    assert client.number(GET_STATUS) == 0x4F
    client.good(RESET_DEVICE)
    assert client.number(GET_STATUS) == 0
    client.negotiate(protocol=REPLY_ACK)
    client.rings()[1].offer(bytes(12) + FRAME)
    assert bench.cable.sent == [FRAME]


def test_reset_owner_disables_the_rings(bench: Bench, client: Client) -> None:
    client.negotiate()
    _, transmit = client.rings()
    client.good(RESET_OWNER)
    transmit.offer(bytes(12) + FRAME)
    assert transmit.used() is not None
    assert bench.cable.sent == []


# --- the network card


def test_two_queue_pairs(make: Callable[..., Bench]) -> None:
    """A flow's frames come in where it sends (virtio 5.1.6.5.6), once the front-end has enabled the second pair."""
    bench = make(pairs=2)
    client = bench.client()
    assert client.number(QUEUE_NUM) == 2
    client.negotiate(VERSION_1 | PROTOCOL | MQ)
    assert client.share()
    rings = [client.ring(index) for index in range(4)]
    for ring in rings[::2]:
        ring.offer(room=0x600)
    ours = Ether(dst="52:54:00:00:00:02", src="52:54:00:00:00:01")
    rings[3].offer(bytes(12) + bytes(ours / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2)))
    bench.deliver(bytes(ours / IP(src="10.0.0.2", dst="10.0.0.1") / UDP(sport=2, dport=1)))
    assert rings[2].used() is not None
    assert rings[0].used() is None


def test_rarp(bench: Bench, client: Client) -> None:
    """SEND_RARP: the first 6 bytes of the payload are the address (RFC 903: opcode 3 is a reverse request)."""
    client.negotiate()
    client.good(SEND_RARP, bytes.fromhex("525400aabbcc0000"))
    frame = Ether(bench.cable.sent[0])
    assert (frame.dst, frame.src, frame.type) == ("ff:ff:ff:ff:ff:ff", "52:54:00:aa:bb:cc", 0x8035)
    arp = ARP(bytes(frame.payload))
    assert (arp.op, arp.hwsrc, arp.hwdst, arp.psrc) == (3, "52:54:00:aa:bb:cc", "52:54:00:aa:bb:cc", "0.0.0.0")
    assert len(bench.cable.sent[0]) == 60


@pytest.mark.parametrize("mtu", [68, 1500, 65535])
def test_an_mtu_of_the_specification_is_taken(bench: Bench, client: Client, mtu: int) -> None:
    """virtio 5.1.4.1; the next front-end finds the card's own again."""
    client.negotiate()
    client.good(SET_MTU, struct.pack("<Q", mtu))
    assert bench.backend.net.config.mtu == mtu
    client.socket.close()
    assert bench.run(lambda: not bench.server.connected, SECOND)
    assert bench.backend.net.config.mtu == 1500


# --- clients come and go


def test_a_second_front_end_is_hung_up_on(bench: Bench, client: Client) -> None:
    client.negotiate()
    second = bench.client()
    second.send(GET_FEATURES)
    assert second.hung_up()
    client.good(SET_OWNER)
    assert bench.server.clients == 1


def test_the_next_front_end_finds_nothing_of_the_last(bench: Bench, client: Client) -> None:
    client.negotiate()
    client.rings()
    client.socket.close()
    assert bench.run(lambda: not bench.server.connected, SECOND)
    assert bench.backend.dma.regions == []
    bench.deliver(FRAME)  # nobody takes it, and nobody minds
    following = bench.client()
    following.negotiate(VERSION_1 | PROTOCOL | PACKED)
    following.rings()[1].offer(bytes(12) + FRAME)
    assert bench.cable.sent == [FRAME]


def test_a_front_end_that_listens_is_looked_for(bench: Bench, tmp_path: Path) -> None:
    """vhost-user: either side may be the one that connects."""
    bench.server.close()
    path = tmp_path / "theirs.sock"
    bench.server = Server(bench.backend, path, bench.pump, connect=True)
    bench.run(timeout=10 * MS)
    assert not bench.server.connected
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        for number in (1, 2):
            assert bench.run(lambda: bench.server.connected, SECOND)
            client = Client(bench, listener.accept()[0])
            bench.clients.append(client)
            client.negotiate()
            client.socket.close()
            assert bench.run(lambda: not bench.server.connected, SECOND)
            assert bench.server.clients == number


def test_no_descriptor_stays_behind(bench: Bench) -> None:
    def opened() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    before = opened()
    client = bench.client()
    client.negotiate()
    for ring in client.rings():
        index = ring.at // 0x1000
        for request_ in (KICK, CALL, ERR, ERR):  # again, over what there was
            client.good(request_, struct.pack("<Q", index), (client.event(),))
    client.send(SET_OWNER, files=(client.file, client.file))
    client.send(ERR, struct.pack("<Q", 1), (client.event(),))
    client.bench.run()
    client.socket.close()
    bench.run(lambda: not bench.server.connected, SECOND)
    bench.clients.remove(client)
    client.memory.close()
    for file in client.files:
        os.close(file)
    assert opened() == before


def dialogue(packed: int) -> list[tuple[int, bytes]]:
    """What a front-end says that sets two rings of 4 descriptors up, at the ends of its first pages."""
    messages = [
        (SET_PROTOCOL, struct.pack("<Q", REPLY_ACK)),
        (SET_FEATURES, struct.pack("<Q", VERSION_1 | PROTOCOL | packed)),
        (SET_MEM_TABLE, struct.pack("<II4Q", 1, 0, 0, SIZE, USER, 0)),
    ]
    for index in (0, 1):
        at = USER + 0x1000 * index
        messages += [
            (CALL, struct.pack("<Q", index)),
            (VRING_NUM, struct.pack("<II", index, 4)),
            (SET_BASE, struct.pack("<II", index, 0)),
            (VRING_ADDR, struct.pack("<II4Q", index, 0, at, at + 0x100, at + 0x200, 0)),
            (KICK, struct.pack("<Q", index)),
            (VRING_ENABLE, struct.pack("<II", index, 1)),
        ]
    return messages


requests = st.lists(st.tuples(st.sampled_from([*range(1, 42), 99]), st.binary(max_size=60)), max_size=8)
changes = st.lists(st.tuples(st.integers(0, 14), st.integers(0, 39), st.integers(0, 255)), max_size=4)


@settings(max_examples=150)
@given(
    packed=st.sampled_from([0, PACKED]),
    changed=changes,
    then=requests,
    content=st.binary(min_size=0x300, max_size=0x300),
    tail=st.binary(max_size=30),
)
def test_no_message_harms_the_server(
    packed: int, changed: list[tuple[int, int, int]], then: list[tuple[int, bytes]], content: bytes, tail: bytes
) -> None:
    """A good dialogue with some bytes changed, anything after it, and anything in the rings: all in bounded time."""
    clock = Clock()
    pump = RealTime(clock)
    backend = BackEnd(clock, "dpdk", NetFunction("52:54:00:12:34:56"))
    backend.port.connect(Cable())
    ours, theirs = socket.socketpair()
    file, event = os.memfd_create("guest"), os.eventfd(0)
    os.ftruncate(file, SIZE)
    os.pwrite(file, content, 0)
    os.pwrite(file, content, 0x1000)
    session = Session(Channel(ours), backend, pump)
    theirs.setblocking(False)
    messages = dialogue(packed)
    for place, at, value in changed:
        request, payload = messages[place]
        messages[place] = (request, payload[:at] + bytes((value,)) + payload[at + 1 :])
    begin = time.monotonic()
    for request, payload in messages + then:
        files = {SET_MEM_TABLE: [file], ADD_REGION: [file], REM_REGION: []}.get(request, [event])
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))]
        theirs.sendmsg([struct.pack("<III", request, 9, len(payload)) + payload], ancillary)
        session.serve()
        backend.port.deliver(FRAME)
        clock.run(clock.now + MS)
    if session.channel.open and tail:
        theirs.send(tail)
        session.serve()
    for ring in backend.rings:
        if ring.kick is not None:
            pump.unwatch(ring.kick)
    session.channel.close()
    backend.disconnected()
    theirs.close()
    os.close(file)
    os.close(event)
    assert time.monotonic() - begin < 5
