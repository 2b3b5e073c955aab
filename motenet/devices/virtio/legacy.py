"""The legacy interface of virtio over PCI: an I/O BAR (virtio 4.1.4.10)."""

from typing import ClassVar

from motenet.core.state import Component
from motenet.datasheets.virtio import legacy as sheet
from motenet.datasheets.virtio.pci import NO_VECTOR
from motenet.datasheets.virtio.queues import legacy_offsets
from motenet.devices.virtio.device import VirtioDevice
from motenet.devices.virtio.interrupts import PciInterrupts
from motenet.devices.virtio.queue import VirtQueue
from motenet.devices.virtio.structure import Structure
from motenet.doors import PciSlot

BAR = 0


class LegacyInterface(Component):
    """Implements doors.RegisterSpace. Enabling MSI-X puts two registers before the device's configuration."""

    STATE: ClassVar[tuple[str, ...]] = ("select",)

    def __init__(self, device: VirtioDevice, interrupts: PciInterrupts) -> None:
        self.path = "legacy"
        self.select = 0
        self._device = device
        self._interrupts = interrupts
        self._header = self._registers()

    def plug(self, slot: PciSlot) -> None:
        self._slot = slot

    def reset(self) -> None:
        self.select = 0

    @property
    def size(self) -> int:
        """Of the BAR in bytes."""
        return 1 << (sheet.CONFIG_WITH_MSIX + self._device.kind.config_size - 1).bit_length()

    def _config_start(self) -> int:
        return sheet.CONFIG_WITH_MSIX if self._slot.message_enabled() else sheet.CONFIG_WITHOUT_MSIX

    def read(self, offset: int, width: int) -> int:
        start = self._config_start()
        if offset < start:
            return self._header.read(offset, width)
        return self._device.read_config(offset - start, width)  # any width will do (4.1.4.10)

    def write(self, offset: int, value: int, width: int) -> None:
        start = self._config_start()
        if offset < start:
            self._header.write(offset, value, width)
        elif self._device.use_interface(legacy=True):
            self._device.write_config(offset - start, value, width)

    def _registers(self) -> Structure:
        device, interrupts = self._device, self._interrupts
        header = Structure(sheet.REGISTERS, device.drop, "4.1.3.1")
        bind = header.bind
        bind(sheet.DEVICE_FEATURES, lambda: device.offered_legacy)
        bind(sheet.DRIVER_FEATURES, lambda: device.accepted_features(0), self._write_features)
        bind(sheet.QUEUE_ADDRESS, self._page, self._write_page)
        bind(sheet.QUEUE_SIZE, self._size)
        bind(sheet.QUEUE_SELECT, self._read_select, self._write_select)
        bind(sheet.QUEUE_NOTIFY, None, self._write_notify)
        bind(sheet.DEVICE_STATUS, lambda: device.status, self._write_status)
        bind(sheet.ISR, interrupts.read_isr)
        bind(sheet.CONFIG_MSIX_VECTOR, interrupts.read_config_vector, interrupts.write_config_vector)
        bind(sheet.QUEUE_MSIX_VECTOR, self._vector, self._write_vector)
        return header

    def _write_features(self, value: int) -> None:
        if self._device.use_interface(legacy=True):
            self._device.write_legacy_features(value)

    def _write_status(self, value: int) -> None:
        if not value or self._device.use_interface(legacy=True):
            self._device.write_status(value)

    def _write_notify(self, index: int) -> None:
        if self._device.use_interface(legacy=True):
            self._device.notify(index)

    # --- the selected queue

    def _read_select(self) -> int:
        return self.select

    def _write_select(self, value: int) -> None:
        self.select = value

    def _queue(self) -> VirtQueue | None:
        queues = self._device.queues
        return queues[self.select] if self.select < len(queues) else None

    def _existing(self, what: str) -> VirtQueue | None:
        """The queue, to be written to; None, and an event, if it may not be."""
        return self._device.queue_at(self.select, what, legacy=True)

    def _size(self) -> int:
        queue = self._queue()
        return queue.max_size if queue is not None else 0

    def _page(self) -> int:
        queue = self._queue()
        return queue.descriptors >> sheet.PAGE_SHIFT & 0xFFFFFFFF if queue is not None else 0

    def _write_page(self, page: int) -> None:
        """2.7.2: one address for all parts, and the queue is in use; 0 takes it out of use."""
        queue = self._existing("address")
        if queue is None:
            return
        if not page:
            self._device.disable_queue(queue)
            return
        if queue.enabled:
            self._device.drop("queue in use", f"address of queue {queue.index}, which has one (4.1.5.1.3.1)")
            return
        queue.size = queue.max_size
        base = page << sheet.PAGE_SHIFT
        available, used, _ = legacy_offsets(queue.size)
        queue.descriptors, queue.driver_area, queue.device_area = base, base + available, base + used
        self._device.enable_queue(queue)

    def _vector(self) -> int:
        queue = self._queue()
        return queue.vector if queue is not None else NO_VECTOR

    def _write_vector(self, vector: int) -> None:
        queue = self._existing("vector")
        if queue is not None:
            queue.vector = self._interrupts.mapped(vector)
