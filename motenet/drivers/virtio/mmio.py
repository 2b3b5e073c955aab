"""Virtio over MMIO, version 2 (virtio 4.2)."""

from collections.abc import Callable

from motenet.core.errors import DriverError
from motenet.datasheets.virtio import mmio
from motenet.datasheets.virtio.net import DEVICE_ID
from motenet.doors import Function
from motenet.drivers.virtio.transport import Registers

_EVENTS = mmio.INTERRUPT_STATUS.mask()


class MmioTransport:
    """Implements Transport. DriverError when there is no network device behind the window."""

    legacy = False

    def __init__(self, function: Function) -> None:
        self.name = function.name
        self._registers = Registers(function.bar(0))
        self.config = Registers(function.bar(0), mmio.CONFIG)
        read = self._registers.read
        magic, version = read(mmio.MAGIC_VALUE), read(mmio.VERSION)  # 4.2.3.1.1: these two first
        if (magic, version) != (mmio.MAGIC, mmio.VERSION_2):
            raise DriverError(f"{self.name}: magic {magic:#x}, version {version}; this driver is for version 2 (4.2.2)")
        kind = read(mmio.DEVICE_ID)
        if kind != DEVICE_ID:
            raise DriverError(f"{self.name} is a virtio device of type {kind}; a network device is of type {DEVICE_ID}")

    def read_status(self) -> int:
        return self._registers.read(mmio.STATUS)

    def write_status(self, status: int) -> None:
        self._registers.write(mmio.STATUS, status)

    def offered(self) -> int:
        features = 0
        for word in range(2):
            self._registers.write(mmio.DEVICE_FEATURES_SEL, word)
            features |= self._registers.read(mmio.DEVICE_FEATURES) << 32 * word
        return features

    def accept(self, features: int) -> None:
        for word in range(2):
            self._registers.write(mmio.DRIVER_FEATURES_SEL, word)
            self._registers.write(mmio.DRIVER_FEATURES, features >> 32 * word & 0xFFFFFFFF)

    def generation(self) -> int:
        return self._registers.read(mmio.CONFIG_GENERATION)

    def queue_limit(self, number: int) -> int:
        self._registers.write(mmio.QUEUE_SEL, number)
        return self._registers.read(mmio.QUEUE_NUM_MAX)

    def open_queue(self, number: int, size: int, areas: tuple[int, int, int]) -> None:
        """4.2.3.2."""
        write = self._registers.write
        write(mmio.QUEUE_SEL, number)
        if self._registers.read(mmio.QUEUE_READY):
            raise DriverError(f"{self.name}: queue {number} is ready already, right after a reset (virtio 4.2.2.1)")
        write(mmio.QUEUE_NUM, size)
        halves = (
            (mmio.QUEUE_DESC_LOW, mmio.QUEUE_DESC_HIGH),
            (mmio.QUEUE_DRIVER_LOW, mmio.QUEUE_DRIVER_HIGH),
            (mmio.QUEUE_DEVICE_LOW, mmio.QUEUE_DEVICE_HIGH),
        )
        for (low, high), address in zip(halves, areas, strict=True):
            write(low, address & 0xFFFFFFFF)
            write(high, address >> 32)
        write(mmio.QUEUE_READY, 1)

    def notifier(self, number: int) -> Callable[[], None]:
        write32, at = self._registers.window.write32, mmio.QUEUE_NOTIFY.offset

        def notify() -> None:
            write32(at, number)

        return notify

    def causes(self) -> int:
        """4.2.3.4.1. Acknowledged before the work: what comes during it interrupts anew."""
        causes = self._registers.read(mmio.INTERRUPT_STATUS) & _EVENTS
        if causes:
            self._registers.write(mmio.INTERRUPT_ACK, causes)
        return causes

    def messages(self) -> bool:
        return False

    def map_config(self, vector: int) -> bool:
        return False

    def map_queue(self, number: int, vector: int) -> bool:
        return False
