"""What the comparisons of QEMU's virtio-net with ours share: masks, frames, and a card with hand-made rings."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from struct import pack, unpack
from typing import TypeAlias

import pytest
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from motenet.bridge.qtest import QtestMachine
from motenet.bridge.qtest.twins import Bench, Mask, Twins
from motenet.bridge.vfio_user.qemu import PREPARE, find_qemu
from motenet.datasheets.virtio import common, legacy, net, pci, queues
from motenet.datasheets.virtio.features import DEVICE_STATUS, FEATURES
from motenet.devices import VirtioNet
from motenet.machine import Machine

MAC, PEER = "52:54:00:12:34:56", "02:00:00:00:00:02"
BROADCAST = "ff:ff:ff:ff:ff:ff"

MODERN = "disable-legacy=on,packed=on,queue_reset=off,vectors=4"
LEGACY = "disable-modern=on,disable-legacy=off,vectors=4"
BOTH = "disable-legacy=off,packed=on,queue_reset=off,vectors=4"
_TRANSPORTS = {MODERN: "modern", LEGACY: "legacy", BOTH: "transitional"}
_NOT_OFFERED = ("CSUM", "GUEST_CSUM", "MTU", "SPEED_DUPLEX")
"""QEMU offers none of them here: its cable has no virtio headers."""
_NOT_WITH_TAP = ("HOST_USO", "MTU", "SPEED_DUPLEX")
"""A TAP has such headers; but for HOST_USO, which came with QEMU 8.2."""

ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK = (
    DEVICE_STATUS[name] for name in ("ACKNOWLEDGE", "DRIVER", "DRIVER_OK", "FEATURES_OK")
)
READY = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK
NEEDS_RESET = DEVICE_STATUS["DEVICE_NEEDS_RESET"]
VERSION_1, PACKED = FEATURES["VERSION_1"], FEATURES["RING_PACKED"]
EVENT_IDX, INDIRECT, MRG_RXBUF = (FEATURES[n] for n in ("RING_EVENT_IDX", "RING_INDIRECT_DESC", "MRG_RXBUF"))
CONTROL = sum(FEATURES[name] for name in ("CTRL_VQ", "CTRL_RX", "CTRL_RX_EXTRA", "CTRL_VLAN", "CTRL_MAC_ADDR"))
"""Commands of the control queue, but for GUEST_ANNOUNCE and CTRL_GUEST_OFFLOADS."""

_LEGACY_EXTRA = FEATURES["GSO"] | FEATURES["NOTIFY_ON_EMPTY"] | 1 << 30
"""What QEMU's legacy interface offers beyond ours; bit 30 was given to drivers that do not negotiate."""

MASKS: dict[str, Mask] = {
    "config_generation": Mask(0, "virtio-generation"),
    "device_features": Mask(~_LEGACY_EXTRA, "virtio-legacy-features"),
    "BAR 4": Mask(~0x8, "virtio-prefetchable"),
    "ISR after an error": Mask(pci.ISR["CONFIG"], "virtio-isr"),
    "used WRITE": Mask(0, "virtio-used-write"),
    "used address": Mask(0, "virtio-used-address"),
    "queue 2 device event": Mask(0, "virtio-control-event"),
    "queue 2 device event flags": Mask(0, "virtio-control-event"),
    "queue 2 size": Mask(0, "virtio-control-size"),
}


SYSTEMS = "qemu-system-x86_64"
"""The system's own QEMU."""


@contextmanager
def side_by_side(properties: str, program: str = SYSTEMS, tap: str | None = None) -> Iterator[Twins]:
    """QEMU's card with these properties and ours. Programs reach the legacy interface, or else the modern one.

    With a TAP of that name QEMU's card has offloads; no frames are seen then.
    """
    without = _NOT_WITH_TAP if tap else _NOT_OFFERED
    bar, registers = (4, common.REGISTERS) if properties == MODERN else (0, legacy.REGISTERS)

    def ours() -> Machine:
        machine = Machine(memory="4MiB")
        machine.plug(VirtioNet(MAC, transport=_TRANSPORTS[properties], vectors=4, without=without))
        return machine

    with QtestMachine(f"virtio-net-pci,{properties}", mac=MAC, memory="4MiB", program=program, tap=tap) as qemu:
        yield Twins(qemu, ours, registers, MASKS, bar)


Cards = Callable[[str], Twins]


@contextmanager
def all_cards() -> Iterator[Callable[[str, str], Twins]]:
    """`cards(properties, program)`: each is started when it is first asked for."""
    with ExitStack() as stack:
        yield cache(lambda properties, program: stack.enter_context(side_by_side(properties, program)))


def qemu_named(name: str) -> str:
    """The program of a fixture's parameter, "QEMU" or "another QEMU"; the test is skipped if there is none."""
    if name == "QEMU":
        return SYSTEMS
    found = find_qemu()
    if found is None:
        pytest.skip(f"there is no other QEMU here; {PREPARE} fetches one")
    return found


QEMUS = ("QEMU", "another QEMU")


def frame(size: int, destination: str = MAC, source: str = PEER) -> bytes:
    """A frame of so many bytes, without FCS."""
    return bytes(Ether(src=source, dst=destination, type=0x88B5))[:14] + bytes(i * 7 & 0xFF for i in range(size - 14))


def tagged(size: int, vlan: int, destination: str = MAC) -> bytes:
    """A frame with an 802.1Q tag."""
    header = Ether(src=PEER, dst=destination) / Dot1Q(vlan=vlan, type=0x88B5)
    return bytes(header / Raw(bytes(i & 0xFF for i in range(size - 18))))


# --- queues in the bench's memory

AREA = 0x10000
"""Bytes for the parts of each queue; buffers lie behind those of three."""
_DRIVER_AREA, _DEVICE_AREA = 0x1000, 0x2000
_NEXT, _WRITE, _INDIRECT = (queues.VIRTQ_DESC_FLAGS[name] for name in ("NEXT", "WRITE", "INDIRECT"))
_AVAIL, _USED = queues.PVIRTQ_DESC_FLAGS["AVAIL"], queues.PVIRTQ_DESC_FLAGS["USED"]


@dataclass
class Chain:
    """What the driver offers as one: bytes for the device, and room for it. From piece `table` on it is indirect."""

    readable: Sequence[bytes] = ()
    writable: Sequence[int] = ()
    table: int = -1

    @property
    def descriptors(self) -> int:
        """How many of the queue's own it takes."""
        pieces = len(self.readable) + len(self.writable)
        return pieces if self.table < 0 else self.table + 1


class Room:
    """Memory for buffers, handed out from the bottom up."""

    def __init__(self, bench: Bench, start: int) -> None:
        self.bench = bench
        self._free = start

    def put(self, data: bytes) -> int:
        """Where the bytes are from now on."""
        at, self._free = self._free, self._free + (len(data) + 15 & ~15)
        self.bench.store(at, data)
        return at


class _Base:
    """What both layouts have in common."""

    def __init__(self, room: Room, index: int, size: int) -> None:
        self.bench, self.room = room.bench, room
        self.index, self.size = index, size
        self.at = index * AREA
        self._offered: list[tuple[int, int]] = []

    def address(self, at: int) -> int:
        return self.bench.base + at

    def pieces(self, chain: Chain) -> list[tuple[int, int, int]]:
        """Address, length and flags of each buffer; the device's room is filled with EEh."""
        found = [(self.address(self.room.put(data)), len(data), 0) for data in chain.readable]
        for length in chain.writable:
            at = self.room.put(b"\xee" * length)
            self._offered.append((at, length))
            found.append((self.address(at), length, _WRITE))
        return found

    def note_buffers(self) -> None:
        for at, length in self._offered:
            self.bench.note(f"queue {self.index} buffer", self.bench.load(at, length))
        self._offered.clear()


class Split(_Base):
    """2.7. Descriptors are taken in turn: no more may be outstanding than there are."""

    def __init__(self, room: Room, index: int, size: int) -> None:
        super().__init__(room, index, size)
        self.driver_area = self.at + queues.split_sizes(size)[0]
        self.device_area = self.at + queues.legacy_offsets(size)[1]
        self.idx = self._next = 0

    def descriptor(self, number: int, address: int, length: int, flags: int, following: int = 0) -> None:
        self.bench.store(self.at + 16 * number, queues.VIRTQ_DESC_CODEC.pack(address, length, flags, following))

    def offer(self, chain: Chain) -> None:
        pieces, head = self.pieces(chain), self._next
        if chain.table >= 0:
            table = pieces[chain.table :]
            raw = b"".join(
                queues.VIRTQ_DESC_CODEC.pack(*one[:2], one[2] | (_NEXT if more else 0), index + 1 if more else 0)
                for index, one in enumerate(table)
                for more in (index + 1 < len(table),)
            )
            pieces[chain.table :] = [(self.address(self.room.put(raw)), len(raw), _INDIRECT)]
        for index, (address, length, flags) in enumerate(pieces):
            number = self._next
            self._next = (number + 1) % self.size
            more = index + 1 < len(pieces)
            self.descriptor(number, address, length, flags | (_NEXT if more else 0), self._next if more else 0)
        self.publish(head)

    def publish(self, *heads: int) -> None:
        """Make chains available that begin at these descriptors."""
        for head in heads:
            self.bench.store(self.driver_area + 4 + self.idx % self.size * 2, pack("<H", head))
            self.idx = self.idx + 1 & 0xFFFF
        self.bench.store(self.driver_area + 2, pack("<H", self.idx))

    def skip_to(self, number: int) -> None:
        """The next chain begins at this descriptor."""
        self._next = number

    def offer_table(self, entries: Sequence[tuple[int, int, int, int]]) -> None:
        """Make descriptor 0 available, with an indirect table as it is given: address, length, flags and next."""
        raw = b"".join(queues.VIRTQ_DESC_CODEC.pack(*one) for one in entries)
        self.descriptor(0, self.address(self.room.put(raw)), len(raw), _INDIRECT)
        self.publish(0)

    def suppress(self, flags: int, event: int) -> None:
        """2.7.7: the flags, and used_event."""
        self.bench.store(self.driver_area, pack("<H", flags))
        self.bench.store(self.driver_area + 4 + 2 * self.size, pack("<H", event & 0xFFFF))

    def note(self) -> None:
        name = f"queue {self.index}"
        flags, idx = unpack("<HH", self.bench.load(self.device_area, 4))
        self.bench.note(f"{name} used.flags", flags)
        self.bench.note(f"{name} used.idx", idx)
        self.bench.note(f"{name} used.ring", self.bench.load(self.device_area + 4, 8 * min(self.size, 64)))
        self.bench.note(f"{name} avail_event", self.bench.load(self.device_area + 4 + 8 * self.size, 2))
        self.note_buffers()

    def note_used(self) -> None:
        """Only what has been used: where avail_event is after an error means nothing."""
        self.bench.note(f"queue {self.index} used", self.bench.load(self.device_area + 2, 2 + 8 * min(self.size, 64)))


class PackedQueue(_Base):
    """2.8. Buffer ids are those of the first descriptor."""

    def __init__(self, room: Room, index: int, size: int) -> None:
        super().__init__(room, index, size)
        self.driver_area, self.device_area = self.at + _DRIVER_AREA, self.at + _DEVICE_AREA
        self.position = 0

    def flags(self, position: int) -> int:
        """AVAIL and USED of a descriptor that is available."""
        return _USED if position // self.size & 1 else _AVAIL

    def descriptor(self, position: int, address: int, length: int, number: int, flags: int) -> None:
        raw = queues.PVIRTQ_DESC_CODEC.pack(address, length, number, flags | self.flags(position))
        self.bench.store(self.at + position % self.size * 16, raw)

    def offer(self, chain: Chain) -> None:
        pieces, start = self.pieces(chain), self.position
        if chain.table >= 0:
            raw = b"".join(queues.PVIRTQ_DESC_CODEC.pack(*one[:2], 0, one[2]) for one in pieces)
            pieces = [(self.address(self.room.put(raw)), len(raw), _INDIRECT)]
        for index, (address, length, flags) in reversed(list(enumerate(pieces))):  # the first one last (2.8.21.1)
            more = _NEXT if index + 1 < len(pieces) else 0
            self.descriptor(start + index, address, length, start % self.size, flags | more)
        self.position = (start + len(pieces)) % (2 * self.size)

    def raw(self, *descriptors: tuple[int, int]) -> None:
        """Make descriptors available as they are given, length and flags, all with the same buffer."""
        for length, flags in descriptors:
            self.descriptor(self.position, self.address(4 * AREA), length, 0, flags)
            self.position = (self.position + 1) % (2 * self.size)

    def ahead(self, steps: int) -> int:
        """So many descriptors from here on, as an event: offset and wrap counter (2.8.14)."""
        position = (self.position + steps) % (2 * self.size)
        return position % self.size | (0 if position // self.size & 1 else 0x8000)

    def suppress(self, flags: int, event: int) -> None:
        """2.8.14; `event` with its wrap counter."""
        self.bench.store(self.driver_area, pack("<HH", event, flags))

    def note(self) -> None:
        self.note_used()
        self.note_event()
        self.note_buffers()

    def note_used(self) -> None:
        """The ring. What is in a used descriptor beside length, id and flags means nothing (2.8.4)."""
        name = f"queue {self.index}"
        for number in range(self.size):
            raw = self.bench.load(self.at + 16 * number, 16)
            (flags,) = unpack("<H", raw[14:])
            used = bool(flags & _AVAIL) == bool(flags & _USED)
            (address,) = unpack("<Q", raw[:8])
            self.bench.note("used address" if used else f"{name} address", address)
            self.bench.note(f"{name} length and id", raw[8:14])
            self.bench.note(f"{name} flags", flags & ~_WRITE)
            self.bench.note("used WRITE" if used else f"{name} WRITE", flags & _WRITE)

    def note_event(self) -> None:
        name = f"queue {self.index}"
        off, flags = unpack("<HH", self.bench.load(self.device_area, 4))
        self.bench.note(f"{name} device event flags", flags)
        self.bench.note(f"{name} device event", off if flags == queues.RING_EVENT_FLAGS_DESC else 0)


Ring: TypeAlias = Split | PackedQueue

# --- the two interfaces

ISR, CONFIG, NOTIFY = 0x1000, 0x2000, 0x3000
"""Where both cards have them in BAR 4; `test_differential_virtio.py` compares the capabilities."""


class Modern:
    """4.1.4: the driver's view of the registers."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def set_status(self, value: int) -> int:
        """Write device_status; as it reads then."""
        self.bench.write(common.DEVICE_STATUS, value)
        return self.note_status()

    def note_status(self) -> int:
        return self.bench.read(common.DEVICE_STATUS)

    def accept(self, features: int) -> None:
        for select in range(2):
            self.bench.write(common.DRIVER_FEATURE_SELECT, select)
            self.bench.write(common.DRIVER_FEATURE, features >> 32 * select & 0xFFFFFFFF)

    def size(self, index: int, wanted: int) -> int:
        """How many descriptors a queue has."""
        return wanted

    def place(self, queue: Ring) -> None:
        bench = self.bench
        bench.write(common.QUEUE_SELECT, queue.index)
        bench.write(common.QUEUE_SIZE, queue.size)
        for register, at in (
            (common.QUEUE_DESC, queue.at), (common.QUEUE_DRIVER, queue.driver_area),
            (common.QUEUE_DEVICE, queue.device_area),
        ):  # fmt: skip
            bench.write(register.offset, bench.base + at, 32)
            bench.write(register.offset + 4, 0, 32)
        bench.write(common.QUEUE_ENABLE, 1)

    def notify(self, index: int) -> None:
        self.bench.write(NOTIFY + 4 * index, index, 16)

    def isr(self) -> int:
        return self.bench.look(ISR, 8)

    def note_interrupt(self) -> None:
        """The line, ISR status, and the line again."""
        self.bench.line()
        self.bench.note("ISR", self.isr())
        self.bench.line()


class Legacy:
    """4.1.4.10: the same through the legacy interface."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def set_status(self, value: int) -> int:
        self.bench.write(legacy.DEVICE_STATUS, value)
        return self.note_status()

    def note_status(self) -> int:
        return self.bench.read(legacy.DEVICE_STATUS)

    def accept(self, features: int) -> None:
        self.bench.write(legacy.DRIVER_FEATURES, features)

    def size(self, index: int, wanted: int) -> int:
        """How many the card has decided upon."""
        self.bench.write(legacy.QUEUE_SELECT, index)
        return self.bench.look(legacy.QUEUE_SIZE)

    def place(self, queue: Ring) -> None:
        self.bench.write(legacy.QUEUE_SELECT, queue.index)
        self.bench.write(legacy.QUEUE_ADDRESS, self.bench.base + queue.at >> legacy.PAGE_SHIFT)

    def notify(self, index: int) -> None:
        self.bench.write(legacy.QUEUE_NOTIFY, index)

    def isr(self) -> int:
        return self.bench.look(legacy.ISR)

    def note_interrupt(self) -> None:
        self.bench.line()
        self.bench.note("ISR", self.isr())
        self.bench.line()


class Card:
    """A card that has been brought up. With VERSION_1 among the features, by its modern interface."""

    def __init__(self, bench: Bench, features: int, size: int = 16, waiting: Sequence[Chain] = ()) -> None:
        """`waiting`: what is available in the transmit queue before DRIVER_OK."""
        self.bench = bench
        self.features = features
        is_modern = bool(features & VERSION_1)
        self.registers = Modern(bench) if is_modern else Legacy(bench)
        self.header = net.NET_HDR_CODEC.size if features & (VERSION_1 | MRG_RXBUF) else net.NET_HDR_LEGACY_CODEC.size
        bench.store(0, bytes(3 * AREA))
        room = Room(bench, 3 * AREA)
        kind = PackedQueue if features & PACKED else Split
        self.rx, self.tx, self.control = (kind(room, index, self.registers.size(index, size)) for index in range(3))
        steps = ACKNOWLEDGE | DRIVER
        self.registers.set_status(0)
        self.registers.set_status(steps)
        self.registers.accept(features)
        if is_modern:
            steps |= FEATURES_OK
            self.registers.set_status(steps)
        for queue in (self.rx, self.tx, self.control):
            self.registers.place(queue)
        for chain in waiting:
            self.tx.offer(chain)
        self.registers.set_status(steps | DRIVER_OK)

    def kick(self, queue: Ring) -> None:
        """Notify, let the card work, and note all that came of it."""
        self.registers.notify(queue.index)
        self.bench.settle()
        self.note(queue)

    def note(self, queue: Ring) -> None:
        queue.note()
        self.bench.frames()
        self.registers.note_interrupt()
        self.registers.note_status()

    def fail(self, queue: Ring, frames: bool = True) -> None:
        """Notify, and note what came of it, where a mistake of the driver's is the cause."""
        self.registers.notify(queue.index)
        self.bench.settle()
        queue.note_used()
        if frames:
            self.bench.frames()
        self.bench.line()
        self.bench.note("ISR after an error", self.registers.isr())
        self.bench.line()
        self.registers.note_status()

    def command(self, group: int, command: int, data: bytes = b"", cuts: Sequence[int] = (), table: int = -1) -> None:
        """5.1.6.5; `cuts` is where the driver's part is cut into buffers."""
        whole = bytes((group, command)) + data
        self.control.offer(Chain(cut(whole, cuts), (1,), table))
        self.kick(self.control)

    def receive(self, data: bytes) -> None:
        """A frame arrives; note what becomes of it."""
        self.bench.inject(data)
        self.bench.settle()
        self.bench.frames()
        self.registers.note_interrupt()


def cut(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """The pieces that end at `cuts`, and the rest."""
    ends = [*sorted({at for at in cuts if 0 < at < len(data)}), len(data)]
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]
