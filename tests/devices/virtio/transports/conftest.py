"""A device that gives every buffer back, and registers by the names of virtio 1.2."""

from collections.abc import Callable, Iterable
from functools import partial
from struct import pack_into, unpack_from
from typing import Any

import pytest

from motenet.core.state import Component
from motenet.datasheets.virtio import net
from motenet.devices.virtio.card import VirtioMmio, VirtioPci
from motenet.devices.virtio.device import VirtioDevice
from motenet.devices.virtio.queue import VirtQueue
from motenet.doors import RegisterSpace
from tests.devices.bench import CardBench, FakeSlot

COMMON = {
    "device_feature_select": (0x00, 4), "device_feature": (0x04, 4), "driver_feature_select": (0x08, 4),
    "driver_feature": (0x0C, 4), "config_msix_vector": (0x10, 2), "num_queues": (0x12, 2), "device_status": (0x14, 1),
    "config_generation": (0x15, 1), "queue_select": (0x16, 2), "queue_size": (0x18, 2), "queue_msix_vector": (0x1A, 2),
    "queue_enable": (0x1C, 2), "queue_notify_off": (0x1E, 2), "queue_desc": (0x20, 8), "queue_driver": (0x28, 8),
    "queue_device": (0x30, 8),
}  # fmt: skip
"""4.1.4.3: offset and width in bytes of each."""
LEGACY = {
    "device_features": (0x00, 4), "driver_features": (0x04, 4), "queue_address": (0x08, 4), "queue_size": (0x0C, 2),
    "queue_select": (0x0E, 2), "queue_notify": (0x10, 2), "device_status": (0x12, 1), "isr": (0x13, 1),
    "config_msix_vector": (0x14, 2), "queue_msix_vector": (0x16, 2),
}  # fmt: skip
"""4.1.4.10."""
MMIO = {
    "MagicValue": 0x00, "Version": 0x04, "DeviceID": 0x08, "VendorID": 0x0C, "DeviceFeatures": 0x10,
    "DeviceFeaturesSel": 0x14, "DriverFeatures": 0x20, "DriverFeaturesSel": 0x24, "QueueSel": 0x30, "QueueNumMax": 0x34,
    "QueueNum": 0x38, "QueueReady": 0x44, "QueueNotify": 0x50, "InterruptStatus": 0x60, "InterruptACK": 0x64,
    "Status": 0x70, "QueueDescLow": 0x80, "QueueDescHigh": 0x84, "QueueDriverLow": 0x90, "QueueDriverHigh": 0x94,
    "QueueDeviceLow": 0xA0, "QueueDeviceHigh": 0xA4, "SHMSel": 0xAC, "SHMLenLow": 0xB0, "SHMLenHigh": 0xB4,
    "SHMBaseLow": 0xB8, "SHMBaseHigh": 0xBC, "ConfigGeneration": 0xFC,
}  # fmt: skip
"""4.2.2; each has 4 bytes."""
ISR, DEVICE, NOTIFY = 0x1000, 0x2000, 0x3000
MAC, STATUS, CTRL_VQ, CTRL_RX = 1 << 5, 1 << 16, 1 << 17, 1 << 18
INDIRECT, EVENT_IDX, VERSION_1, PACKED = 1 << 28, 1 << 29, 1 << 32, 1 << 34


class Slot(FakeSlot):
    """One that takes messages, and notes which."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[int] = []
        self.msix = False

    def send_message(self, vector: int) -> bool:
        self.messages.append(vector)
        return True

    def message_enabled(self) -> bool:
        return self.msix


class Echo(Component):
    """A device type with the network device's configuration, which gives back what it is given."""

    device_id = 1
    offered = MAC | STATUS | CTRL_VQ | CTRL_RX
    config_registers = net.CONFIG
    config_size = 8
    STATE = ("calls", "content")

    def __init__(self) -> None:
        self.path = "kind"
        self.queues = [VirtQueue(index, 256, partial(self._fail, index), f"queue{index}") for index in range(3)]
        self.calls: list[str] = []
        self.content = bytearray.fromhex("5254001234560100")

    def parts(self) -> Iterable[Component]:
        return tuple(self.queues)

    def _fail(self, index: int, reason: str, detail: str) -> None:
        self.device.fail(self.queues[index], reason, detail)

    def plug(self, slot: Slot, device: VirtioDevice) -> None:
        self.device = device
        for queue in self.queues:
            queue.plug(slot.dma)

    def read_config(self, offset: int, width: int) -> int:
        return int.from_bytes(self.content[offset : offset + width], "little")

    def write_config(self, offset: int, value: int, width: int) -> None:
        if self.device.legacy:
            self.content[offset : offset + width] = value.to_bytes(width, "little")
        else:
            self.device.drop("read-only register", f"configuration {offset:#x}")

    def check_features(self, features: int) -> str:
        return "CTRL_RX needs CTRL_VQ (5.1.3.1)" if features & CTRL_RX and not features & CTRL_VQ else ""

    def features_set(self, features: int) -> None:
        self.calls.append(f"features {features:#x}")

    def started(self) -> None:
        self.calls.append("started")

    def reset(self) -> None:
        self.calls.append("reset")

    def notified(self, queue: VirtQueue) -> None:
        self.calls.append(f"notified {queue.index}")
        while (chain := queue.pop()) is not None:
            queue.push(chain, chain.writable_length)
        if queue.publish():
            self.device.queue_interrupt(queue)


class Registers:
    """Registers by name, each with its own width."""

    def __init__(self, space: RegisterSpace, table: dict[str, Any]) -> None:
        self.space = space
        self.table = {name: at if isinstance(at, tuple) else (at, 4) for name, at in table.items()}

    def get(self, name: str) -> int:
        offset, width = self.table[name]
        if width == 8:
            return self.space.read(offset, 4) | self.space.read(offset + 4, 4) << 32
        return self.space.read(offset, width)

    def set(self, name: str, value: int) -> None:
        offset, width = self.table[name]
        if width == 8:
            self.space.write(offset, value & 0xFFFFFFFF, 4)
            self.space.write(offset + 4, value >> 32, 4)
        else:
            self.space.write(offset, value, width)


class Ring:
    """The driver's side of a split queue: descriptor table, available ring and used ring at addresses of its own."""

    def __init__(self, memory: bytearray, descriptors: int, available: int, used: int, size: int) -> None:
        self.memory, self.size = memory, size
        self.descriptors, self.available, self.used = descriptors, available, used
        self.count = 0

    def add(self, address: int = 0x80000, length: int = 64, flags: int = 0) -> None:
        """One buffer in one descriptor."""
        index = self.count % self.size
        pack_into("<QIHH", self.memory, self.descriptors + 16 * index, address, length, flags, 0)
        pack_into("<H", self.memory, self.available + 4 + 2 * index, index)
        self.count += 1
        pack_into("<H", self.memory, self.available + 2, self.count & 0xFFFF)

    @property
    def used_index(self) -> int:
        return unpack_from("<H", self.memory, self.used + 2)[0]


class Bench(CardBench):
    """A card in a slot, and a driver's vocabulary for its transport."""

    def __init__(self, transport: str = "modern", *, vectors: int = 4, **options: Any) -> None:
        self.kind = Echo()
        self.device = VirtioDevice(self.kind, legacy_only=transport == "legacy", **options)
        card: VirtioPci | VirtioMmio
        if transport == "mmio":
            card = VirtioMmio(self.device)
            self.mmio = Registers(card.register_space(0), MMIO)
        else:
            has_modern, has_legacy = transport != "legacy", transport != "modern"
            card = VirtioPci(self.device, has_modern=has_modern, has_legacy=has_legacy, vectors=vectors)
            if has_modern:
                self.bar4 = card.register_space(4)
                self.common = Registers(self.bar4, COMMON)
            if has_legacy:
                self.bar0 = card.register_space(0)
                self.legacy = Registers(self.bar0, LEGACY)
        super().__init__(Slot(), card)
        self.card.plugged(self.slot)
        self.card.reset()
        if transport != "mmio":
            self.card.bus_master_changed(True)
        self.kind.calls.clear()

    @property
    def drops(self) -> dict[str, int]:
        return self.device.drops

    @property
    def calls(self) -> list[str]:
        return self.kind.calls

    # --- modern PCI

    def negotiate(self, features: int = MAC | VERSION_1) -> int:
        """3.1.1, steps 1 to 6. Returns device_status."""
        common = self.common
        common.set("device_status", 0)
        assert common.get("device_status") == 0
        common.set("device_status", 1)
        common.set("device_status", 3)
        for select in (0, 1):
            common.set("driver_feature_select", select)
            common.set("driver_feature", features >> 32 * select & 0xFFFFFFFF)
        common.set("device_status", 0x0B)
        return common.get("device_status")

    def queue(self, index: int = 0, size: int = 16, base: int = 0x10000) -> Ring:
        """Set up and enable a split queue."""
        base += 0x8000 * index
        common = self.common
        common.set("queue_select", index)
        common.set("queue_size", size)
        common.set("queue_desc", base)
        common.set("queue_driver", base + 0x1000)
        common.set("queue_device", base + 0x2000)
        common.set("queue_enable", 1)
        return Ring(self.memory, base, base + 0x1000, base + 0x2000, size)

    def notify(self, index: int = 0) -> None:
        self.bar4.write(NOTIFY + 4 * index, index, 2)
        self.run()

    def started(self, features: int = MAC | VERSION_1) -> Ring:
        """Everything up, with queue 0."""
        assert self.negotiate(features) == 0x0B
        ring = self.queue()
        self.common.set("device_status", 0x0F)
        self.run()
        self.calls.clear()
        return ring

    # --- legacy PCI

    def legacy_queue(self, index: int = 0, page: int = 0x10) -> Ring:
        """2.7.2: 256 descriptors, the available ring behind them, the used ring on the next page."""
        self.legacy.set("queue_select", index)
        self.legacy.set("queue_address", page)
        base = page << 12
        return Ring(self.memory, base, base + 0x1000, base + 0x2000, 256)

    def legacy_started(self, features: int = MAC) -> Ring:
        """3.1.2: everything up, with queue 0."""
        for status in (0, 1, 3):
            self.legacy.set("device_status", status)
        self.legacy.set("driver_features", features)
        ring = self.legacy_queue()
        self.legacy.set("device_status", 7)
        self.run()
        self.calls.clear()
        return ring

    def ring_at(self, base: int, size: int = 16) -> Ring:
        """A split queue whose parts lie 4 KiB apart."""
        return Ring(self.memory, base, base + 0x1000, base + 0x2000, size)


@pytest.fixture(scope="session")
def new_bench() -> Callable[..., Bench]:
    """Makes benches: `new_bench("legacy", vectors=0)`."""
    return Bench


@pytest.fixture
def modern() -> Bench:
    return Bench("modern")


@pytest.fixture
def legacy() -> Bench:
    return Bench("legacy")


@pytest.fixture
def mmio() -> Bench:
    return Bench("mmio")


@pytest.fixture(scope="session")
def ring() -> type[Ring]:
    """The driver's side of a split queue: `ring(memory, descriptors, available, used, size)`."""
    return Ring
