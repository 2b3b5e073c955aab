"""Rings in memory, built by hand from the driver-normative text of virtio 1.2, and a bench for the network device."""

from collections.abc import Callable
from struct import Struct, pack, pack_into, unpack_from
from typing import Any

import numpy as np
import pytest

from motenet.devices.virtio.device import VirtioDevice
from motenet.devices.virtio.net import NetFunction
from motenet.devices.virtio.queue import VirtQueue
from motenet.doors import FrameFacts
from tests.devices.bench import MAC, CardBench, FakeDma, FakePort, FakeSlot

BITS = {
    "CSUM": 0, "GUEST_CSUM": 1, "CTRL_GUEST_OFFLOADS": 2, "MTU": 3, "MAC": 5, "GUEST_TSO4": 7, "GUEST_TSO6": 8,
    "GUEST_ECN": 9, "GUEST_UFO": 10, "HOST_TSO4": 11, "HOST_TSO6": 12, "HOST_ECN": 13, "HOST_UFO": 14,
    "MRG_RXBUF": 15, "STATUS": 16, "CTRL_VQ": 17, "CTRL_RX": 18, "CTRL_VLAN": 19, "CTRL_RX_EXTRA": 20,
    "GUEST_ANNOUNCE": 21, "MQ": 22, "CTRL_MAC_ADDR": 23, "INDIRECT": 28, "EVENT_IDX": 29, "VERSION_1": 32,
    "PACKED": 34, "HOST_USO": 56, "SPEED_DUPLEX": 63,
}  # fmt: skip
"""5.1.3, 6."""
NEXT, WRITE, INDIRECT = 1, 2, 4
"""2.7.5."""
AVAIL, USED = 1 << 7, 1 << 15
"""2.8.1."""
DESCRIPTOR = Struct("<QIHH")
DATA = 0x100000
"""From here on memory is for data."""
MEMORY = 4 << 20

Part = bytes | int
"""What a driver gives: bytes to be read, or so many to be written."""


class Dma(FakeDma):
    """Memory that can be out of reach. It remembers what was accessed, in order."""

    def __init__(self) -> None:
        self.memory = memoryview(np.zeros(MEMORY, "u1"))
        self.log: list[tuple[str, int, int, str]] = []
        self.on_access: Callable[[], None] | None = None
        self.reachable = True

    def _there(self, kind: str, address: int, length: int, layout: str) -> bool:
        self.log.append((kind, address, length, layout))
        return self.reachable and address >= 0 and address + length <= len(self.memory)

    def read(self, address: int, length: int, layout: str = "") -> bytes:
        assert length <= len(self.memory), "read in one go"
        there = self._there("read", address, length, layout)
        data = bytes(self.memory[address : address + length]) if there else b"\xff" * length
        self._happened()
        return data

    def write(self, address: int, data: bytes | memoryview, layout: str = "") -> None:
        if self._there("write", address, len(data), layout):
            self.memory[address : address + len(data)] = data
        self._happened()

    def _happened(self) -> None:
        if self.on_access is not None:
            self.on_access()


class Port(FakePort):
    """A cable that is plugged, and takes frames that are to be finished."""

    def __init__(self) -> None:
        super().__init__()
        self.carrier = self.takes_unfinished = True
        self.sent: list[tuple[bytes, FrameFacts | None]] = []

    def transmit(self, frame: bytes, facts: FrameFacts | None = None) -> None:
        assert type(frame) is bytes
        self.sent.append((frame, facts))


class Slot(FakeSlot):
    """A device's slot, and its transport: `interrupts` are the queues', -1 the configuration's."""

    def __init__(self) -> None:
        super().__init__(Dma(), Port())
        self.interrupts: list[int] = []

    def queue_interrupt(self, queue: VirtQueue) -> None:
        self.interrupts.append(queue.index)

    def config_interrupt(self) -> None:
        self.interrupts.append(-1)

    def device_reset(self) -> None:
        pass


class Rings:
    """What both layouts' drivers have in common: addresses, and room for data."""

    def __init__(self, bench: "Bench", queue: VirtQueue, size: int) -> None:
        self.bench, self.queue, self.size = bench, queue, size
        self.memory = bench.memory
        base = 0x10000 * (queue.index + 1)
        self.table, self.driver_area, self.device_area = base, base + 0x4000, base + 0x8000
        self.tables = base + 0xC000
        self.memory[base : base + 0x10000] = bytes(0x10000)
        self.free_data = DATA + queue.index * 0x50000
        self.buffers: dict[int, list[int]] = {}
        """Where the buffers of each id lie."""

    def place(self, parts: tuple[Part, ...]) -> list[tuple[int, int, int]]:
        """Buffers for these parts: address, length, WRITE or 0."""
        placed = []
        for part in parts:
            length = part if isinstance(part, int) else len(part)
            if isinstance(part, bytes):
                self.memory[self.free_data : self.free_data + length] = part
            placed.append((self.free_data, length, WRITE if isinstance(part, int) else 0))
            self.free_data += length
        return placed

    def indirect(self, parts: tuple[Part, ...], chained: bool) -> tuple[int, int]:
        """A table of descriptors for these parts: its address and length."""
        placed, at = self.place(parts), self.tables
        for index, (address, length, flags) in enumerate(placed):
            more = NEXT if chained and index + 1 < len(placed) else 0
            last = (flags | more, index + 1 if more else 0) if chained else (0, flags)
            DESCRIPTOR.pack_into(self.memory, at + 16 * index, address, length, *last)
        self.tables += 16 * len(placed)
        return at, 16 * len(placed)

    def kick(self) -> None:
        """Notify the device, and let it work."""
        self.bench.device.notify(self.queue.index)
        self.bench.run()

    def data(self, address: int, length: int) -> bytes:
        return bytes(self.memory[address : address + length])


class SplitRings(Rings):
    """2.7.13: descriptors are taken in order, the available ring filled, idx stored."""

    next_free = idx = seen = 0

    def descriptor(self, index: int, address: int, length: int, flags: int = 0, following: int = 0) -> None:
        DESCRIPTOR.pack_into(self.memory, self.table + 16 * index, address, length, flags, following)

    def add(self, *parts: Part, table: tuple[Part, ...] = (), direct: bool = True) -> int:
        """Make a buffer available: `parts` as descriptors, then `table` as an indirect one. Returns its id."""
        entries = self.place(parts)
        if table:
            entries.append((*self.indirect(table, True), INDIRECT))
        head = self.next_free
        for number, (address, length, flags) in enumerate(entries):
            index = (head + number) % self.size
            more = NEXT if number + 1 < len(entries) else 0
            self.descriptor(index, address, length, flags | more, (index + 1) % self.size if more else 0)
        self.next_free = (head + len(entries)) % self.size
        self.buffers[head] = [address for address, *_ in entries]
        self.offer(head)
        return head

    def offer(self, *heads: int) -> None:
        """Chains that begin there are available."""
        for head in heads:
            pack_into("<H", self.memory, self.driver_area + 4 + 2 * (self.idx % self.size), head)
            self.idx = self.idx + 1 & 0xFFFF
        pack_into("<H", self.memory, self.driver_area + 2, self.idx)

    def used(self) -> list[tuple[int, int]]:
        """Id and length of what was used since the last look."""
        found = []
        while self.seen != unpack_from("<H", self.memory, self.device_area + 2)[0]:
            found.append(unpack_from("<II", self.memory, self.device_area + 4 + 8 * (self.seen % self.size)))
            self.seen = self.seen + 1 & 0xFFFF
        return found

    def want_interrupts(self, on: bool) -> None:
        """2.7.7.1, without event index."""
        pack_into("<H", self.memory, self.driver_area, 0 if on else 1)

    def wants_notifications(self) -> bool:
        """2.7.10.1, without event index."""
        return unpack_from("<H", self.memory, self.device_area)[0] == 0


class PackedRings(Rings):
    """2.8.21: descriptors in ring order, the first one's flags last."""

    at = seen = 0
    wrap = seen_wrap = 1
    next_id = 7
    steps: dict[int, int]

    def flags(self) -> int:
        return AVAIL if self.wrap else USED

    def descriptor(self, address: int, length: int, number: int, flags: int) -> None:
        """The next one in the ring, with exactly these flags."""
        DESCRIPTOR.pack_into(self.memory, self.table + 16 * self.at, address, length, number, flags)
        self.at += 1
        if self.at == self.size:
            self.at, self.wrap = 0, self.wrap ^ 1

    def add(self, *parts: Part, table: tuple[Part, ...] = ()) -> int:
        """Make a buffer available: `parts` as descriptors, or `table` as an indirect one. Returns its id."""
        entries = self.place(parts)
        if table:
            entries.append((*self.indirect(table, False), INDIRECT))
        number, self.next_id = self.next_id, self.next_id + 1 & 0xFFFF
        for index, (address, length, flags) in enumerate(entries):
            more = NEXT if index + 1 < len(entries) else 0
            self.descriptor(address, length, 0 if more else number, flags | more | self.flags())
        self.buffers[number] = [address for address, *_ in entries]
        if not hasattr(self, "steps"):
            self.steps = {}
        self.steps[number] = len(entries)
        return number

    def used(self) -> list[tuple[int, int]]:
        """Id and length of what was used since the last look."""
        found = []
        while True:
            _, length, number, flags = DESCRIPTOR.unpack_from(self.memory, self.table + 16 * self.seen)
            if (bool(flags & AVAIL), bool(flags & USED)) != (bool(self.seen_wrap), bool(self.seen_wrap)):
                return found
            found.append((number, length if flags & WRITE else 0))
            self.seen += self.steps[number]
            if self.seen >= self.size:
                self.seen, self.seen_wrap = self.seen - self.size, self.seen_wrap ^ 1

    def want_interrupts(self, on: bool) -> None:
        """2.8.10, without event index."""
        pack_into("<HH", self.memory, self.driver_area, 0, 0 if on else 1)

    def wants_notifications(self) -> bool:
        """2.8.10, without event index."""
        return unpack_from("<HH", self.memory, self.device_area)[1] == 0


class Bench(CardBench):
    """A network device that is set up, and drivers' ends of its queues: `rx`, `tx`, `control`, all in `queues`."""

    def __init__(self, features: str = "", *, size: int = 16, legacy: bool = False, **options: Any) -> None:
        self.net = NetFunction(MAC, queue_size=size, **options)
        self.device = VirtioDevice(self.net, path="nic")
        super().__init__(Slot(), self.device)
        self.device.plug(self.slot, self.slot)
        self.port, self.sent = self.slot.port, self.slot.port.sent
        self.log, self.interrupts = self.slot.dma.log, self.slot.interrupts
        self.device.place("nic")
        self.packed = "PACKED" in features.split()
        self.start(features, size, legacy)

    def start(self, features: str = "", size: int = 16, legacy: bool = False) -> None:
        """3.1.1: reset, ACKNOWLEDGE, DRIVER, features, FEATURES_OK, queues, DRIVER_OK."""
        device = self.device
        wanted = sum(1 << BITS[name] for name in features.split())
        device.write_status(0)
        if legacy:
            device.use_interface(legacy=True)
            device.write_status(3)
            device.write_legacy_features(wanted)
        else:
            wanted |= 1 << BITS["VERSION_1"]
            device.write_status(3)
            device.write_features(0, wanted & 0xFFFFFFFF)
            device.write_features(1, wanted >> 32)
            device.write_status(11)
            assert device.status & 8, self.drops
        self.queues: list[Any] = []
        for queue in self.net.queues:
            rings = (PackedRings if self.packed else SplitRings)(self, queue, size)
            queue.size = size
            queue.descriptors, queue.driver_area, queue.device_area = rings.table, rings.driver_area, rings.device_area
            device.enable_queue(queue)
            self.queues.append(rings)
        self.rx, self.tx, self.control = self.queues[0], self.queues[1], self.queues[-1]
        device.write_status(7 if legacy else 15)
        self.run()
        self.log.clear()

    def bus_master(self, on: bool) -> None:
        """PCI 6.2.2: COMMAND's bit."""
        self.slot.dma.reachable = on
        self.device.bus_master_changed(on)

    def send(self, *parts: bytes) -> list[tuple[bytes, FrameFacts | None]]:
        """Put these parts, header first, into the transmit queue. Returns what went out."""
        before = len(self.sent)
        self.tx.add(*parts)
        self.tx.kick()
        return self.sent[before:]

    def deliver(self, *frames: bytes, facts: FrameFacts | None = None) -> None:
        if facts is None:
            self.port.burst(list(frames))
        else:
            self.port.card.frame_arrived(frames[0], facts)

    def received(self) -> list[bytes]:
        """What lies in the single buffers that were used: header and frame."""
        return [self.rx.data(self.rx.buffers[number][0], length) for number, length in self.rx.used()]

    def command(self, kind: int, command: int, data: bytes = b"", **how: Any) -> int:
        """A command over the control queue, in three descriptors. Returns the answer (5.1.6.5)."""
        number = self.control.add(bytes((kind, command)), *([data] if data else []), 1)
        self.control.kick()
        assert self.control.used() == [(number, 1)]
        return self.memory[self.control.buffers[number][-1]]


@pytest.fixture(scope="session")
def new_bench() -> Callable[..., Bench]:
    """Makes benches: `new_bench("CSUM HOST_TSO4", size=16, legacy=False, pairs=1, …)`."""
    return Bench


@pytest.fixture(params=["", "PACKED"], ids=["split", "packed"])
def layout(request: pytest.FixtureRequest) -> str:
    """Both layouts, as a feature to negotiate."""
    return str(request.param)


def header(flags: int = 0, gso: int = 0, length: int = 0, size: int = 0, start: int = 0, offset: int = 0) -> bytes:
    """5.1.6: struct virtio_net_hdr, num_buffers 0."""
    return pack("<BBHHHHH", flags, gso, length, size, start, offset, 0)


@pytest.fixture(scope="session")
def hdr() -> Callable[..., bytes]:
    """Makes headers: `hdr(flags, gso, length, size, start, offset)`."""
    return header
