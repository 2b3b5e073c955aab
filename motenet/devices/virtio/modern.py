"""The modern interface of virtio over PCI: four structures in one BAR, and a window to them (virtio 4.1.4)."""

from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from motenet.core.state import Component
from motenet.datasheets.virtio import common as sheet
from motenet.datasheets.virtio import pci
from motenet.devices.virtio.configuration import DeviceConfiguration
from motenet.devices.virtio.device import VirtioDevice
from motenet.devices.virtio.interrupts import PciInterrupts
from motenet.devices.virtio.selected import DESCRIPTORS, DEVICE_AREA, DRIVER_AREA, SelectedQueue
from motenet.devices.virtio.structure import Structure
from motenet.doors import RegisterSpace

BAR, BAR_SIZE = 4, 0x4000
COMMON, ISR_STATUS, DEVICE, NOTIFY = 0x0000, 0x1000, 0x2000, 0x3000
REGION_SIZE = 0x1000
"""Where QEMU's cards have them."""
NOTIFY_MULTIPLIER = 4
"""virtio 4.1.4.4: a power of two; each queue has an address of its own."""
MAX_QUEUES = REGION_SIZE // NOTIFY_MULTIPLIER

_WIDTHS = "4.1.3.1"


class ModernInterface(Component):
    """Implements doors.RegisterSpace for the BAR that the capabilities point into."""

    STATE: ClassVar[tuple[str, ...]] = ("device_feature_select", "driver_feature_select")

    def __init__(self, device: VirtioDevice, interrupts: PciInterrupts) -> None:
        self.path = "modern"
        self.device_feature_select = self.driver_feature_select = 0
        self.selected = SelectedQueue(device, "4.1.4.3.2")
        self._device = device
        self._interrupts = interrupts
        isr = Structure(pci.ISR_REGISTERS, device.drop, _WIDTHS)
        isr.bind(pci.ISR, interrupts.read_isr)
        self._regions: tuple[RegisterSpace, ...] = (
            self._common(), isr, DeviceConfiguration(device, _WIDTHS), _Notifications(device),
        )  # fmt: skip

    def parts(self) -> Iterable[Component]:
        return (self.selected,)

    def reset(self) -> None:
        self.device_feature_select = self.driver_feature_select = 0
        self.selected.reset()

    def read(self, offset: int, width: int) -> int:
        return self._regions[offset // REGION_SIZE].read(offset % REGION_SIZE, width)

    def write(self, offset: int, value: int, width: int) -> None:
        self._regions[offset // REGION_SIZE].write(offset % REGION_SIZE, value, width)

    def _common(self) -> Structure:
        """4.1.4.3. queue_notify_data and queue_reset belong to features that are not offered."""
        device, interrupts, selected = self._device, self._interrupts, self.selected
        common = Structure(sheet.REGISTERS, device.drop, _WIDTHS)
        bind = common.bind
        bind(sheet.DEVICE_FEATURE_SELECT, self._read_device_select, self._write_device_select)
        bind(sheet.DEVICE_FEATURE, lambda: device.offered_features(self.device_feature_select))
        bind(sheet.DRIVER_FEATURE_SELECT, self._read_driver_select, self._write_driver_select)
        bind(
            sheet.DRIVER_FEATURE,
            lambda: device.accepted_features(self.driver_feature_select),
            self._write_driver_feature,
        )
        bind(sheet.CONFIG_MSIX_VECTOR, interrupts.read_config_vector, interrupts.write_config_vector)
        bind(sheet.NUM_QUEUES, lambda: len(device.queues))
        bind(sheet.DEVICE_STATUS, lambda: device.status, self._write_status)
        bind(sheet.CONFIG_GENERATION, lambda: device.generation)
        bind(sheet.QUEUE_SELECT, selected.read_select, selected.write_select)
        bind(sheet.QUEUE_SIZE, selected.size, selected.write_size)
        bind(sheet.QUEUE_MSIX_VECTOR, self._queue_vector, self._write_queue_vector)
        bind(sheet.QUEUE_ENABLE, selected.enabled, self._write_enable)
        bind(sheet.QUEUE_NOTIFY_OFF, lambda: selected.select if selected.queue is not None else 0)
        for register, area in (
            (sheet.QUEUE_DESC, DESCRIPTORS), (sheet.QUEUE_DRIVER, DRIVER_AREA), (sheet.QUEUE_DEVICE, DEVICE_AREA),
        ):  # fmt: skip
            bind(register, partial(selected.address, area), partial(selected.write_address, area))
        return common

    def _read_device_select(self) -> int:
        return self.device_feature_select

    def _write_device_select(self, value: int) -> None:
        self.device_feature_select = value

    def _read_driver_select(self) -> int:
        return self.driver_feature_select

    def _write_driver_select(self, value: int) -> None:
        self.driver_feature_select = value

    def _write_driver_feature(self, value: int) -> None:
        if self._device.use_interface(legacy=False):
            self._device.write_features(self.driver_feature_select, value)

    def _write_status(self, value: int) -> None:
        if not value or self._device.use_interface(legacy=False):
            self._device.write_status(value)

    def _queue_vector(self) -> int:
        queue = self.selected.queue
        return queue.vector if queue is not None else pci.NO_VECTOR

    def _write_queue_vector(self, vector: int) -> None:
        queue = self.selected.existing("vector")
        if queue is not None:
            queue.vector = self._interrupts.mapped(vector)

    def _write_enable(self, value: int) -> None:
        """4.1.4.3.2 forbids 0; U-Boot writes it before it frees a queue's memory, and 0 is what means disabled."""
        if value == 1:
            self.selected.enable()
            return
        self._device.drop("queue_enable", f"{value} for queue {self.selected.select}: only 1 may be (4.1.4.3.2)")
        if not value:
            self.selected.disable()


class _Notifications:
    """4.1.4.4: a Queue Notify address for each queue; the value is the queue's number once more (4.1.5.2)."""

    def __init__(self, device: VirtioDevice) -> None:
        self._device = device

    def read(self, offset: int, width: int) -> int:
        self._device.drop("write-only register", f"notification {offset:#x} read")
        return 0

    def write(self, offset: int, value: int, width: int) -> None:
        device = self._device
        index, lane = divmod(offset, NOTIFY_MULTIPLIER)
        if lane:
            device.drop("unknown register", f"notification {offset:#x} written")
            return
        if width != 2:
            device.drop("access width", f"notification of {8 * width} bits for queue {index} (4.1.5.2)")
        elif value != index:
            device.drop("notification value", f"{value} at queue {index}'s address (4.1.5.2)")
        if device.use_interface(legacy=False):
            device.notify(index)


class ConfigWindow(Component):
    """VIRTIO_PCI_CAP_PCI_CFG: the structures reached through configuration space (virtio 4.1.4.9).

    Implements doors.RegisterSpace for the capability's bytes from `bar` to the end of pci_cfg_data.
    """

    STATE: ClassVar[tuple[str, ...]] = ("content",)

    START = pci.CAP_BAR_OFFSET
    SIZE = pci.CFG_CAP.sizeof() - START
    _OFFSET = pci.CAP_OFFSET_OFFSET - START
    _LENGTH = pci.CAP_LENGTH_OFFSET - START
    _DATA = pci.CFG_CAP_DATA_OFFSET - START

    def __init__(self, device: VirtioDevice, modern: ModernInterface) -> None:
        self.path = "window"
        self.content = bytearray(self.SIZE)
        self._device = device
        self._modern = modern

    def reset(self) -> None:
        """The bus's reset; the device's leaves configuration space alone."""
        self.content[:] = bytes(self.SIZE)

    def read(self, offset: int, width: int) -> int:
        content = self.content
        if offset + width > self._DATA:
            at, length = self._target()
            if length:
                content[self._DATA : self._DATA + length] = self._modern.read(at, length).to_bytes(length, "little")
        return int.from_bytes(content[offset : offset + width], "little")

    def write(self, offset: int, value: int, width: int) -> None:
        content = self.content
        for at, byte in enumerate(value.to_bytes(width, "little"), offset):
            if at == 0 or at >= self._OFFSET:  # bar; then offset, length and data: the id and padding are read-only
                content[at] = byte
        if offset + width > self._DATA:
            at, length = self._target()
            if length:
                self._modern.write(at, int.from_bytes(content[self._DATA : self._DATA + length], "little"), length)

    def _target(self) -> tuple[int, int]:
        """Offset and length of the access in the BAR; length 0, and an event, if it cannot be made."""
        content = self.content
        bar = content[0]
        at = int.from_bytes(content[self._OFFSET : self._LENGTH], "little")
        length = int.from_bytes(content[self._LENGTH : self._DATA], "little")
        if bar != BAR or length not in (1, 2, 4) or at % length or at + length > BAR_SIZE:
            self._device.drop("configuration window", f"{length} bytes at BAR {bar}+{at:#x} (4.1.4.9.2)")
            return 0, 0
        return at, length
