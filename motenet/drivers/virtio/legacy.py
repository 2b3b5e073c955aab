"""Virtio over PCI, the legacy interface of transitional and older devices: BAR0, I/O (virtio 4.1.4.10)."""

from collections.abc import Callable

from motenet.core.errors import DriverError
from motenet.datasheets.virtio import legacy
from motenet.datasheets.virtio.features import LEGACY_FEATURES
from motenet.doors import PciFunction
from motenet.drivers.virtio.modern import Messages
from motenet.drivers.virtio.transport import Registers


class LegacyTransport:
    """Implements Transport."""

    legacy = True

    def __init__(self, function: PciFunction) -> None:
        self.name = function.name
        window = function.bar(0)
        if window.kind != "io":
            raise DriverError(f"{self.name}: BAR 0 is no I/O space, so there is no legacy interface (virtio 4.1.4.10)")
        self.messages = Messages(function)
        self._registers = Registers(window)
        self._with_messages = Registers(window, legacy.CONFIG_WITH_MSIX)
        self._without_messages = Registers(window, legacy.CONFIG_WITHOUT_MSIX)

    @property
    def config(self) -> Registers:
        """4.1.4.10: MSI-X moves it."""
        return self._with_messages if self.messages() else self._without_messages

    def read_status(self) -> int:
        return self._registers.read(legacy.DEVICE_STATUS)

    def write_status(self, status: int) -> None:
        self._registers.write(legacy.DEVICE_STATUS, status)

    def offered(self) -> int:
        return self._registers.read(legacy.DEVICE_FEATURES)

    def accept(self, features: int) -> None:
        self._registers.write(legacy.DRIVER_FEATURES, features & LEGACY_FEATURES)

    def generation(self) -> int:
        return 0

    def queue_limit(self, number: int) -> int:
        self._registers.write(legacy.QUEUE_SELECT, number)
        return self._registers.read(legacy.QUEUE_SIZE)

    def open_queue(self, number: int, size: int, areas: tuple[int, int, int]) -> None:
        """4.1.5.1.3.1: the page of the descriptors; the other areas follow from it, and the size is the device's."""
        self._registers.write(legacy.QUEUE_SELECT, number)
        if self._registers.read(legacy.QUEUE_ADDRESS):
            raise DriverError(f"{self.name}: queue {number} has an address already, right after a reset (virtio 2.4.1)")
        self._registers.write(legacy.QUEUE_ADDRESS, areas[0] >> legacy.PAGE_SHIFT)

    def notifier(self, number: int) -> Callable[[], None]:
        write16, at = self._registers.window.write16, legacy.QUEUE_NOTIFY.offset

        def notify() -> None:
            write16(at, number)

        return notify

    def causes(self) -> int:
        return self._registers.read(legacy.ISR)

    def map_config(self, vector: int) -> bool:
        self._registers.write(legacy.CONFIG_MSIX_VECTOR, vector)
        return self._registers.read(legacy.CONFIG_MSIX_VECTOR) == vector

    def map_queue(self, number: int, vector: int) -> bool:
        self._registers.write(legacy.QUEUE_SELECT, number)
        self._registers.write(legacy.QUEUE_MSIX_VECTOR, vector)
        return self._registers.read(legacy.QUEUE_MSIX_VECTOR) == vector
