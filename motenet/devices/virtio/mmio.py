"""Virtio over MMIO, version 2 (virtio 4.2)."""

from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from motenet.core.state import Component
from motenet.datasheets.virtio import mmio as sheet
from motenet.datasheets.virtio.pci import VENDOR_ID
from motenet.devices.virtio.configuration import DeviceConfiguration
from motenet.devices.virtio.device import VirtioDevice
from motenet.devices.virtio.queue import VirtQueue
from motenet.devices.virtio.selected import DESCRIPTORS, DEVICE_AREA, DRIVER_AREA, SelectedQueue
from motenet.devices.virtio.structure import Structure
from motenet.doors import PciSlot

BAR, SIZE = 0, 0x200
"""The example of 4.2.1: 512 bytes, half of them for the device's configuration."""

_CLAUSE = "4.2.2.2"
_USED, _CONFIG = sheet.INTERRUPT_STATUS["USED_BUFFER"], sheet.INTERRUPT_STATUS["CONFIG_CHANGE"]
_ACKNOWLEDGED = sheet.INTERRUPT_ACK.mask(write="clear")


class MmioInterface(Component):
    """Implements doors.RegisterSpace and sides.Transport: the line is high while InterruptStatus is not 0."""

    STATE: ClassVar[tuple[str, ...]] = ("device_features_sel", "driver_features_sel", "interrupt_status")

    def __init__(self, device: VirtioDevice) -> None:
        self.path = "mmio"
        self.device_features_sel = self.driver_features_sel = 0
        self.interrupt_status = 0
        self.selected = SelectedQueue(device, _CLAUSE)
        self._device = device
        self._registers = self._control()
        self._config = DeviceConfiguration(device, _CLAUSE)

    def parts(self) -> Iterable[Component]:
        return (self.selected,)

    def plug(self, slot: PciSlot) -> None:
        self._slot = slot

    def device_reset(self) -> None:
        """4.2.2.1: InterruptStatus is clear."""
        self.device_features_sel = self.driver_features_sel = self.interrupt_status = 0
        self.selected.reset()
        self._slot.set_level(False)

    # --- interrupts (virtio 4.2.3.4)

    def queue_interrupt(self, queue: VirtQueue) -> None:
        self._assert(_USED)

    def config_interrupt(self) -> None:
        self._assert(_CONFIG)

    def _assert(self, event: int) -> None:
        self.interrupt_status |= event
        self._slot.set_level(True)

    def _acknowledge(self, events: int) -> None:
        self.interrupt_status &= ~(events & _ACKNOWLEDGED)
        self._slot.set_level(bool(self.interrupt_status))

    # --- registers (virtio 4.2.2)

    def read(self, offset: int, width: int) -> int:
        if offset >= sheet.CONFIG:
            return self._config.read(offset - sheet.CONFIG, width)
        return self._registers.read(offset, width)

    def write(self, offset: int, value: int, width: int) -> None:
        if offset >= sheet.CONFIG:
            self._config.write(offset - sheet.CONFIG, value, width)
        else:
            self._registers.write(offset, value, width)

    def _control(self) -> Structure:
        """QueueReset belongs to a feature that is not offered; there is no shared memory: its registers keep ones."""
        device, selected = self._device, self.selected
        control = Structure(sheet.REGISTERS, device.drop, _CLAUSE)
        bind = control.bind
        for constant in (
            sheet.MAGIC_VALUE, sheet.VERSION,
            sheet.SHM_LEN_LOW, sheet.SHM_LEN_HIGH, sheet.SHM_BASE_LOW, sheet.SHM_BASE_HIGH,
        ):  # fmt: skip
            bind(constant, partial(int, constant.reset))
        bind(sheet.DEVICE_ID, lambda: device.kind.device_id)
        bind(sheet.VENDOR_ID, lambda: VENDOR_ID)
        bind(sheet.DEVICE_FEATURES, lambda: device.offered_features(self.device_features_sel))
        bind(sheet.DEVICE_FEATURES_SEL, None, self._write_device_select)
        bind(sheet.DRIVER_FEATURES, None, self._write_driver_features)
        bind(sheet.DRIVER_FEATURES_SEL, None, self._write_driver_select)
        bind(sheet.QUEUE_SEL, None, selected.write_select)
        bind(sheet.QUEUE_NUM_MAX, selected.max_size)
        bind(sheet.QUEUE_NUM, None, selected.write_size)
        bind(sheet.QUEUE_READY, selected.enabled, self._write_ready)
        bind(sheet.QUEUE_NOTIFY, None, device.notify)
        bind(sheet.INTERRUPT_STATUS, lambda: self.interrupt_status)
        bind(sheet.INTERRUPT_ACK, None, self._acknowledge)
        bind(sheet.STATUS, lambda: device.status, device.write_status)
        for low, high, area in (
            (sheet.QUEUE_DESC_LOW, sheet.QUEUE_DESC_HIGH, DESCRIPTORS),
            (sheet.QUEUE_DRIVER_LOW, sheet.QUEUE_DRIVER_HIGH, DRIVER_AREA),
            (sheet.QUEUE_DEVICE_LOW, sheet.QUEUE_DEVICE_HIGH, DEVICE_AREA),
        ):
            bind(low, None, partial(selected.write_half, area, 0))
            bind(high, None, partial(selected.write_half, area, 32))
        bind(sheet.SHM_SEL, None, lambda region: None)
        bind(sheet.CONFIG_GENERATION, lambda: device.generation)
        return control

    def _write_device_select(self, value: int) -> None:
        self.device_features_sel = value

    def _write_driver_select(self, value: int) -> None:
        self.driver_features_sel = value

    def _write_driver_features(self, value: int) -> None:
        self._device.write_features(self.driver_features_sel, value)

    def _write_ready(self, value: int) -> None:
        """0 takes a queue out of use here (virtio 4.2.2.2)."""
        if value == 1:
            self.selected.enable()
        elif value:
            self._device.drop("reserved bits", f"QueueReady {value:#x}")
        else:
            self.selected.disable()
