"""The other side, mocked: a function whose virtio registers are a table with a log, over real DMA memory.

It knows of the device only what a driver needs to get on, and nothing of motenet's model. Queues are worked on when a
test says so, through SplitHands and PackedHands, which are written from virtio 2.7 and 2.8.
"""

from collections.abc import Callable
from struct import pack_into, unpack_from
from typing import Any, ClassVar

import pytest

from motenet.core.errors import DriverError
from motenet.datasheets.virtio import common, legacy, mmio
from motenet.datasheets.virtio.features import FEATURES
from motenet.drivers import VirtioNetDriver
from motenet.drivers.virtio.packed import PackedQueue
from motenet.drivers.virtio.split import SplitQueue
from motenet.machine.dma import MachineDma
from motenet.machine.memory import Allocator, PhysicalMemory
from tests.drivers.fakes import MAC, FakeClock, FakeConfig, FakeFunction

BASIC = ("MAC", "STATUS", "MRG_RXBUF", "CTRL_VQ", "CTRL_RX", "CTRL_MAC_ADDR", "GUEST_ANNOUNCE", "VERSION_1")
CAPABILITIES = {1: (4, 0x0000, 0x1000), 3: (4, 0x1000, 0x1000), 4: (4, 0x2000, 0x1000), 2: (4, 0x3000, 0x1000)}
"""cfg_type: BAR, offset, length."""


def bits(*names: str) -> int:
    return sum(FEATURES[name] for name in names)


class Clock(FakeClock):
    """It remembers what is posted."""

    def __init__(self) -> None:
        super().__init__()
        self.posted: list[tuple[Callable[[Any], None], Any]] = []

    def post(self, callback: Callable[[Any], None], argument: Any = None) -> None:
        self.posted.append((callback, argument))


class Config(FakeConfig):
    """Configuration space with virtio's capabilities; `extra` ones come first."""

    def __init__(self, device: int, capabilities: dict, msix: bool, extra: tuple[bytes, ...]) -> None:
        super().__init__(bytes(256))
        self.reads: list[int] = []
        pack_into("<HHHHB", self.content, 0, 0x1AF4, device, 0, 0x10, device < 0x1040)
        pack_into("<I", self.content, 0x10, 0xC001)
        pack_into("<II", self.content, 0x20, 0xE0000004, 0)
        chain = list(extra)
        chain += [bytes((9, 0, 20, kind, bar, 0, 0, 0)) + offset.to_bytes(4, "little") + length.to_bytes(4, "little")
                  + (4).to_bytes(4, "little") for kind, (bar, offset, length) in capabilities.items()]  # fmt: skip
        if msix:
            chain.append(bytes((0x11, 0, 3, 0)) + bytes(8))
        at = 0x40
        self.content[0x34] = at if chain else 0
        for number, one in enumerate(chain):
            self.content[at : at + len(one)] = one
            if one[0] == 0x11:
                self.msix_at = at
            following = at + (len(one) + 3 & ~3)
            self.content[at + 1] = following if number + 1 < len(chain) else 0
            at = following

    def read(self, offset: int, width: int) -> int:
        self.reads.append(offset)
        return super().read(offset, width)


class FakeInterrupts:
    """`messages` MSI-X vectors from 70 on, or the line, 7."""

    def __init__(self, function: "Fake", messages: int) -> None:
        self.function, self.messages = function, messages
        self.handlers: dict[int, Callable[[], bool]] = {}

    def allocate(self, count: int = 1, kinds: tuple[str, ...] = ()) -> list[int]:
        if self.messages and "msi-x" in kinds:
            config = self.function.config
            config.content[config.msix_at + 3] |= 0x80
            return list(range(70, 70 + min(count, self.messages)))
        return [7]

    def connect(self, vector: int, handler: Callable[[], bool]) -> None:
        self.handlers[vector] = handler

    def free(self) -> None:
        self.handlers.clear()
        if self.messages:
            config = self.function.config
            config.content[config.msix_at + 3] &= ~0x80


class FakeQueue:
    def __init__(self, limit: int) -> None:
        self.limit = self.size = limit
        self.areas = [0, 0, 0]
        self.enabled, self.vector = 0, 0xFFFF


class FakeDevice:
    """A virtio device's registers, whatever the transport."""

    def __init__(self, features: int, queues: int, limit: int) -> None:
        self.features, self.accepted = features, 0
        self.limits = [limit] * queues
        self.settings = bytearray(MAC + b"\x01\x00" + b"\x01\x00" + b"\xdc\x05" + bytes(12))
        self.generation = 0
        self.changes: list[Callable[[], None]] = []
        """What happens to the configuration, one at each read of it."""
        self.refused = 0
        """Features with which FEATURES_OK is not kept."""
        self.vectors_refused: Callable[[int], bool] = lambda vector: False
        self.reset_reads = 0
        """How often the status is read after a reset until it is 0."""
        self.log: list[tuple[str, str, int]] = []
        self.isr = 0
        self.strict = True
        self.reset()

    def reset(self) -> None:
        self.status, self.accepted, self.selected, self.word = 0, 0, 0, 0
        self.config_vector = 0xFFFF
        self.queues = [FakeQueue(limit) for limit in self.limits]
        self.notified: list[int] = []
        self.resetting = self.reset_reads

    def write_status(self, value: int) -> None:
        if value == 0:
            self.reset()
        elif value & 8 and self.accepted & self.refused:
            value &= ~8
        self.status = value

    def read_status(self) -> int:
        if self.resetting:
            self.resetting -= 1
            return 0x80
        return self.status

    @property
    def queue(self) -> FakeQueue:
        return self.queues[self.selected] if self.selected < len(self.queues) else FakeQueue(0)

    def take_isr(self) -> int:
        value, self.isr = self.isr, 0
        return value

    def read_settings(self, offset: int, width: int) -> int:
        if self.changes:
            self.changes.pop(0)()
        return int.from_bytes(self.settings[offset : offset + width], "little")

    def notify(self, number: int) -> None:
        assert self.status & 4 or not self.strict, "3.1.1: no notification before DRIVER_OK"
        self.notified.append(number)

    def writes(self, *names: str) -> list[tuple[str, int]]:
        return [(name, value) for kind, name, value in self.log if kind == "write" and (not names or name in names)]


class FakeWindow:
    """A register space; each register is accessed in its own width (4.1.3.1, 4.2.2.2)."""

    def __init__(self, device: FakeDevice, kind: str) -> None:
        self.device, self.kind, self.size = device, kind, 0x4000

    def read8(self, offset: int) -> int:
        return self._access(offset, 8, None)

    def read16(self, offset: int) -> int:
        return self._access(offset, 16, None)

    def read32(self, offset: int) -> int:
        return self._access(offset, 32, None)

    def write8(self, offset: int, value: int) -> None:
        self._access(offset, 8, value)

    def write16(self, offset: int, value: int) -> None:
        self._access(offset, 16, value)

    def write32(self, offset: int, value: int) -> None:
        self._access(offset, 32, value)

    def _access(self, offset: int, width: int, value: int | None) -> int:
        name, result = self.access(offset, width, value)
        kind = "read" if value is None else "write"
        self.device.log.append((kind, name, result if value is None else value))
        return result

    def access(self, offset: int, width: int, value: int | None) -> tuple[str, int]:
        raise AssertionError


def _named(registers: Any, offset: int, width: int) -> str:
    """The register at an offset; the halves of 64-bit ones are accessed apart."""
    found = registers.at(offset) or registers.at(offset - 4)
    assert found is not None, f"{offset:#x} is no register"
    assert width == min(found[0].width, 32), f"{found[0].name} accessed with {width} bits"
    return found[0].name if registers.at(offset) else f"{found[0].name}.high"


_AREAS = {"queue_desc": 0, "queue_driver": 1, "queue_device": 2}


class ModernWindow(FakeWindow):
    def access(self, offset: int, width: int, value: int | None) -> tuple[str, int]:
        device = self.device
        if offset >= 0x3000:
            assert value is not None
            assert width == 16
            device.notify(value)
            return f"notify[{offset - 0x3000:#x}]", 0
        if offset >= 0x2000:
            assert value is None
            return "config", device.read_settings(offset - 0x2000, width // 8)
        if offset >= 0x1000:
            return "ISR", device.take_isr()
        name = _named(common.REGISTERS, offset, width)
        return name, self._read(name) if value is None else self._write(name, value)

    def _read(self, name: str) -> int:
        device, queue = self.device, self.device.queue
        table: dict[str, Callable[[], int]] = {
            "device_feature": lambda: device.features >> 32 * device.word & 0xFFFFFFFF,
            "config_msix_vector": lambda: device.config_vector,
            "num_queues": lambda: len(device.queues),
            "device_status": device.read_status,
            "config_generation": lambda: device.generation & 0xFF,
            "queue_size": lambda: queue.size,
            "queue_msix_vector": lambda: queue.vector,
            "queue_enable": lambda: queue.enabled,
            "queue_notify_off": lambda: device.selected,
            "queue_notify_data": lambda: 0x100 + device.selected,
        }
        return table[name]()

    def _write(self, name: str, value: int) -> int:
        device, queue = self.device, self.device.queue
        if name in ("device_feature_select", "driver_feature_select"):
            device.word = value
        elif name == "driver_feature":
            device.accepted |= value << 32 * device.word
        elif name == "device_status":
            device.write_status(value)
        elif name == "config_msix_vector":
            device.config_vector = 0xFFFF if device.vectors_refused(value) else value
        elif name == "queue_msix_vector":
            queue.vector = 0xFFFF if device.vectors_refused(value) else value
        elif name == "queue_select":
            device.selected = value
        elif name == "queue_size":
            queue.size = value
        elif name == "queue_enable":
            queue.enabled = value
        else:
            area, _, high = name.partition(".")
            queue.areas[_AREAS[area]] |= value << (32 if high else 0)
        return 0


class LegacyWindow(FakeWindow):
    has_messages: Callable[[], bool]

    def access(self, offset: int, width: int, value: int | None) -> tuple[str, int]:
        device, queue = self.device, self.device.queue
        start = 0x18 if self.has_messages() else 0x14
        if offset >= start:
            if value is None:
                return "config", device.read_settings(offset - start, width // 8)
            device.settings[offset - start] = value
            return "config", 0
        name = _named(legacy.REGISTERS, offset, width)
        if value is None:
            table: dict[str, Callable[[], int]] = {
                "device_features": lambda: device.features & 0xFFFFFFFF,
                "queue_address": lambda: queue.areas[0] >> 12,
                "queue_size": lambda: queue.size,
                "device_status": device.read_status,
                "ISR": device.take_isr,
                "config_msix_vector": lambda: device.config_vector,
                "queue_msix_vector": lambda: queue.vector,
            }
            return name, table[name]()
        if name == "driver_features":
            device.accepted = value
        elif name == "queue_address":
            end = (value << 12) + 16 * queue.size
            queue.areas = [value << 12, end, -(-(end + 6 + 2 * queue.size) // 4096) * 4096]  # 2.7.2
            queue.enabled = 1
        elif name == "queue_select":
            device.selected = value
        elif name == "queue_notify":
            device.notify(value)
        elif name == "device_status":
            device.write_status(value)
        elif name == "config_msix_vector":
            device.config_vector = value
        elif name == "queue_msix_vector":
            queue.vector = value
        return name, 0


class MmioWindow(FakeWindow):
    identity: ClassVar[dict[str, int]] = {"MagicValue": 0x74726976, "Version": 2, "DeviceID": 1}

    def access(self, offset: int, width: int, value: int | None) -> tuple[str, int]:
        device, queue = self.device, self.device.queue
        if offset >= 0x100:
            return "config", device.read_settings(offset - 0x100, width // 8)
        name = _named(mmio.REGISTERS, offset, width)
        if value is None:
            table: dict[str, Callable[[], int]] = {
                "DeviceFeatures": lambda: device.features >> 32 * device.word & 0xFFFFFFFF,
                "QueueNumMax": lambda: queue.limit,
                "QueueReady": lambda: queue.enabled,
                "InterruptStatus": lambda: device.isr,
                "Status": device.read_status,
                "ConfigGeneration": lambda: device.generation,
                **{key: (lambda number=number: number) for key, number in self.identity.items()},
            }
            return name, table[name]()
        if name in ("DeviceFeaturesSel", "DriverFeaturesSel"):
            device.word = value
        elif name == "DriverFeatures":
            device.accepted |= value << 32 * device.word
        elif name == "QueueSel":
            device.selected = value
        elif name == "QueueNum":
            queue.size = value
        elif name == "QueueReady":
            queue.enabled = value
        elif name == "QueueNotify":
            device.notify(value)
        elif name == "InterruptACK":
            device.isr &= ~value
        elif name == "Status":
            device.write_status(value)
        else:
            area = {"Desc": 0, "Driv": 1, "Devi": 2}[name[5:9]]
            queue.areas[area] |= value << (32 if name.endswith("High") else 0)
        return name, 0


class Fake(FakeFunction):
    """A function with its device. `device_id` 0x1041 or 0x1000; `messages`: MSI-X vectors."""

    def __init__(
        self,
        *features: str,
        queues: int = 3,
        limit: int = 256,
        device_id: int = 0x1041,
        messages: int = 0,
        capabilities: dict | None = None,
        extra: tuple[bytes, ...] = (),
    ) -> None:
        chosen = CAPABILITIES if capabilities is None else capabilities
        super().__init__(Config(device_id, chosen, bool(messages), extra), Clock())
        self.device = FakeDevice(bits(*(features or BASIC)), queues, limit)
        self.interrupts = FakeInterrupts(self, messages)
        self.windows: dict[int, FakeWindow] = {4: ModernWindow(self.device, "memory")}
        io = LegacyWindow(self.device, "io")
        io.has_messages = lambda: bool(messages and self.config.content[self.config.msix_at + 3] & 0x80)
        self.windows[0] = io

    def bar(self, index: int) -> FakeWindow:
        if index not in self.windows:
            raise DriverError(f"no BAR {index}")
        return self.windows[index]

    def start(self, **options: Any) -> VirtioNetDriver:
        driver = VirtioNetDriver(self, **options)  # type: ignore[arg-type]
        driver.start()
        return driver

    def hands(self, number: int) -> "SplitHands | PackedHands":
        queue = self.device.queues[number]
        kind = PackedHands if self.device.accepted & FEATURES["RING_PACKED"] else SplitHands
        return kind(self.memory.view, queue.size, *queue.areas)


class Platform(Fake):
    """The same behind MMIO: no configuration space."""

    def __init__(self, *features: str) -> None:
        super().__init__(*features)
        del self.config
        self.windows = {0: MmioWindow(self.device, "memory")}


class SplitHands:
    """The device's side of a split virtqueue (2.7)."""

    def __init__(self, view: memoryview, size: int, descriptors: int, available: int, used: int) -> None:
        self.view, self.size = view, size
        self.descriptors, self.available, self.used = descriptors, available, used
        self.seen = self.done = 0

    def chain(self, at: int, table: int | None = None) -> list[tuple[int, int, bool]]:
        """Address, length and whether the device writes, of each part of a buffer."""
        base, found = self.descriptors if table is None else table, []
        while True:
            address, length, flags, following = unpack_from("<QIHH", self.view, base + 16 * at)
            if flags & 4:
                assert (table, flags & 1) == (None, 0), "2.7.5.3.1"
                return found + self.chain(0, address)
            found.append((address, length, bool(flags & 2)))
            if not flags & 1:
                return found
            at = following

    def pop(self) -> tuple[int, list[tuple[int, int, bool]]] | None:
        """The next available buffer: its id and parts."""
        (index,) = unpack_from("<H", self.view, self.available + 2)
        if self.seen & 0xFFFF == index:
            return None
        (head,) = unpack_from("<H", self.view, self.available + 4 + 2 * (self.seen % self.size))
        self.seen += 1
        return head, self.chain(head)

    def use(self, *elements: tuple[int, int]) -> None:
        """Give buffers back, all at once: id and written bytes."""
        for number, length in elements:
            pack_into("<II", self.view, self.used + 4 + 8 * (self.done % self.size), number, length)
            self.done += 1
        pack_into("<H", self.view, self.used + 2, self.done & 0xFFFF)

    def wants_interrupt(self) -> bool:
        return not unpack_from("<H", self.view, self.available)[0] & 1

    def used_event(self) -> int:
        return unpack_from("<H", self.view, self.available + 4 + 2 * self.size)[0]


class PackedHands:
    """The device's side of a packed virtqueue (2.8)."""

    def __init__(self, view: memoryview, size: int, ring: int, driver: int, device: int) -> None:
        self.view, self.size = view, size
        self.ring, self.driver, self.device = ring, driver, device
        self.at, self.wrap, self.done_at, self.done_wrap = 0, 1, 0, 1
        self.spans: dict[int, int] = {}

    def _available(self, at: int, wrap: int) -> bool:
        (flags,) = unpack_from("<H", self.view, self.ring + 16 * at + 14)
        return flags >> 7 & 1 == wrap and flags >> 15 != wrap

    def pop(self) -> tuple[int, list[tuple[int, int, bool]]] | None:
        if not self._available(self.at, self.wrap):
            return None
        parts, span = [], 0
        while True:
            assert self._available(self.at, self.wrap), "2.8.17: the first descriptor is made available last"
            address, length, number, flags = unpack_from("<QIHH", self.view, self.ring + 16 * self.at)
            self.at, self.wrap, span = self.at + 1, self.wrap, span + 1
            if self.at == self.size:
                self.at, self.wrap = 0, self.wrap ^ 1
            if flags & 4:
                for place in range(length // 16):
                    one, size, _, inner = unpack_from("<QIHH", self.view, address + 16 * place)
                    assert not inner & ~2, "2.8.19: only WRITE in a table"
                    parts.append((one, size, bool(inner & 2)))
            else:
                parts.append((address, length, bool(flags & 2)))
            if not flags & 1:
                self.spans[number] = span
                return number, parts

    def use(self, *elements: tuple[int, int]) -> None:
        for number, length in elements:
            flags = 0x8080 if self.done_wrap else 0
            pack_into("<IHH", self.view, self.ring + 16 * self.done_at + 8, length, number, flags)
            self.done_at += self.spans.get(number, 1)
            if self.done_at >= self.size:
                self.done_at, self.done_wrap = self.done_at - self.size, self.done_wrap ^ 1

    def wants_interrupt(self) -> bool:
        return unpack_from("<H", self.view, self.driver + 2)[0] != 1


class Bench:
    """A queue, the device's hands on it, and the order of what the driver does."""

    def __init__(self, packed: bool, size: int = 8, **options: Any) -> None:
        self.memory = PhysicalMemory(4 << 20)
        dma = MachineDma(self.memory, Allocator(self.memory.size))
        self.queue = (PackedQueue if packed else SplitQueue)(dma, 1, size, **options)
        self.notifications = 0
        self.queue.open()
        self.queue.notify, self.queue.live = self.notified, True
        self.hands = (PackedHands if packed else SplitHands)(self.memory.view, size, *self.queue.areas)

    def notified(self) -> None:
        self.notifications += 1

    def say(self, offset: int, *values: int) -> None:
        """Store 16-bit words in the device area."""
        pack_into(f"<{len(values)}H", self.memory.view, self.queue.areas[2] + offset, *values)


@pytest.fixture(scope="session")
def make_bench() -> type[Bench]:
    return Bench


@pytest.fixture(scope="session")
def make_fake() -> type[Fake]:
    return Fake


@pytest.fixture
def make_platform() -> type[Platform]:
    return Platform


@pytest.fixture(params=[False, True], ids=["split", "packed"])
def fake(request: pytest.FixtureRequest) -> Fake:
    """A modern device with checksums, split or packed."""
    extra = ("RING_PACKED",) if request.param else ()
    return Fake(*BASIC, "CSUM", "GUEST_CSUM", "HOST_TSO4", "HOST_TSO6", "HOST_UFO", "HOST_USO", "GUEST_TSO4", *extra)
