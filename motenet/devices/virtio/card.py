"""Virtio cards: a device behind the modern PCI interface, the legacy one or both, or behind MMIO registers."""

from collections.abc import Iterable
from struct import pack_into

from motenet.core.state import Component
from motenet.core.trace import Watched
from motenet.datasheets import pci as bus
from motenet.datasheets.virtio import pci as sheet
from motenet.devices.virtio import legacy, mmio, modern
from motenet.devices.virtio.device import VirtioDevice
from motenet.devices.virtio.interrupts import PciInterrupts
from motenet.devices.virtio.legacy import LegacyInterface
from motenet.devices.virtio.mmio import MmioInterface
from motenet.devices.virtio.modern import ConfigWindow, ModernInterface
from motenet.devices.virtio.queue import VirtQueue
from motenet.doors import BarLayout, ConfigPart, PciSlot, RegisterSpace

MSIX_BAR, MSIX_BAR_SIZE = 1, 0x1000
_PENDING_BITS = 0x800
"""Where QEMU's cards have table (in front) and pending bits."""
MAX_VECTORS = _PENDING_BITS // bus.MSIX_ENTRY_SIZE

_STRUCTURES = (
    (0x40, sheet.CAP_COMMON_CFG, modern.COMMON),
    (0x50, sheet.CAP_ISR_CFG, modern.ISR_STATUS),
    (0x60, sheet.CAP_DEVICE_CFG, modern.DEVICE),
    (0x70, sheet.CAP_NOTIFY_CFG, modern.NOTIFY),
)
"""Each capability's place, its type, and where in the BAR its structure is: as in QEMU's cards."""
_WINDOW, _MSIX, _MSIX_ALONE = 0x84, 0x98, 0x40
_SUBSYSTEM = 0x1100
"""A modern card's, as QEMU has it; 4.1.2.1 wants 0x40 or higher."""


class VirtioPci(Watched):
    """A virtio device in a PCI slot. Implements doors.PciCard and sides.Transport.

    modern, legacy: the interfaces it has; a transitional device has both. vectors: MSI-X messages; 0: no MSI-X.
    """

    def __init__(self, device: VirtioDevice, *, has_modern: bool, has_legacy: bool, vectors: int) -> None:
        super().__init__(device.clock, "nic")
        self.device = device
        self.interrupts = PciInterrupts(vectors, device.drop)
        self.modern = ModernInterface(device, self.interrupts) if has_modern else None
        self.legacy = LegacyInterface(device, self.interrupts) if has_legacy else None
        self.window = ConfigWindow(device, self.modern) if self.modern is not None else None
        self.bars: dict[int, BarLayout] = {}
        self.config_part: ConfigPart | None = None
        self._spaces: dict[int, RegisterSpace] = {}
        if self.legacy is not None:
            self.bars[legacy.BAR] = BarLayout(self.legacy.size, "io")
            self._spaces[legacy.BAR] = self.legacy
        if vectors:
            self.bars[MSIX_BAR] = BarLayout(MSIX_BAR_SIZE)
            self._spaces[MSIX_BAR] = _Nothing(device)
        if self.modern is not None and self.window is not None:
            self.bars[modern.BAR] = BarLayout(modern.BAR_SIZE, "memory64")
            self._spaces[modern.BAR] = self.modern
            self.config_part = ConfigPart(_WINDOW + ConfigWindow.START, ConfigWindow.SIZE, self.window)
        self.config_header = _config_header(device.kind.device_id, has_modern, has_legacy, vectors)

    def parts(self) -> Iterable[Component]:
        there = (self.modern, self.legacy, self.window)
        return (self.device, self.interrupts, *(part for part in there if part is not None))

    def plugged(self, slot: PciSlot) -> None:
        self.clock = slot.clock
        self.interrupts.plug(slot)
        if self.legacy is not None:
            self.legacy.plug(slot)
        self.device.plug(slot, self)
        self.device.bus_master_changed(False)

    def register_space(self, bar: int) -> RegisterSpace:
        return self._spaces[bar]

    def bus_master_changed(self, enabled: bool) -> None:
        self.device.bus_master_changed(enabled)

    def reset(self) -> None:
        if self.window is not None:
            self.window.reset()
        self.device.reset()

    # --- what the device asks of its transport

    def queue_interrupt(self, queue: VirtQueue) -> None:
        self.interrupts.queue_interrupt(queue)

    def config_interrupt(self) -> None:
        self.interrupts.config_interrupt()

    def device_reset(self) -> None:
        self.interrupts.reset()
        for interface in (self.modern, self.legacy):
            if interface is not None:
                interface.reset()


class VirtioMmio(Watched):
    """A virtio device that no bus enumerates. Implements doors.Card."""

    def __init__(self, device: VirtioDevice) -> None:
        super().__init__(device.clock, "nic")
        self.device = device
        self.registers = MmioInterface(device)
        self.bars = {mmio.BAR: BarLayout(mmio.SIZE)}

    def parts(self) -> Iterable[Component]:
        return (self.device, self.registers)

    def plugged(self, slot: PciSlot) -> None:
        self.clock = slot.clock
        self.registers.plug(slot)
        self.device.plug(slot, self.registers)

    def register_space(self, bar: int) -> RegisterSpace:
        return self.registers

    def reset(self) -> None:
        self.device.reset()


class _Nothing:
    """The BAR of the MSI-X table, which the slot serves: the rest of it."""

    def __init__(self, device: VirtioDevice) -> None:
        self._device = device

    def read(self, offset: int, width: int) -> int:
        self._device.drop("unknown register", f"MSI-X BAR+{offset:#x} read")
        return 0

    def write(self, offset: int, value: int, width: int) -> None:
        self._device.drop("unknown register", f"MSI-X BAR+{offset:#x} written with {value:#x}")


def _config_header(device_id: int, has_modern: bool, has_legacy: bool, vectors: int) -> bytes:
    """The 256 bytes after power-on: identity as 4.1.2.1 and 4.1.2.3 want it."""
    header = bytearray(256)
    product = sheet.TRANSITIONAL_NET_ID if has_legacy else sheet.MODERN_ID_BASE + device_id
    status = bus.STATUS["CAPABILITIES"] if has_modern or vectors else 0
    revision = sheet.TRANSITIONAL_REVISION if has_legacy else sheet.MODERN_REVISION
    pack_into("<HHHHB3s", header, 0, sheet.VENDOR_ID, product, 0, status, revision, sheet.CLASS_CODE)
    pack_into("<HH", header, bus.SUBSYSTEM_VENDOR_ID, sheet.VENDOR_ID, device_id if has_legacy else _SUBSYSTEM)
    header[bus.INTERRUPT_PIN] = 1
    following = 0
    if has_modern:
        following = _virtio_capabilities(header)
    if vectors:
        at = _MSIX if has_modern else _MSIX_ALONE
        pack_into(
            "<BBHII", header, at, bus.CAP_MSIX, following, vectors - 1, MSIX_BAR, _PENDING_BITS | MSIX_BAR
        )  # PCI 6.8.2
        following = at
    header[bus.CAPABILITIES] = following
    return bytes(header)


def _virtio_capabilities(header: bytearray) -> int:
    """Put 4.1.4's five into the header, each in front of those before it. Returns where the first is."""
    following = 0
    for at, kind, offset in _STRUCTURES:
        multiplier = (modern.NOTIFY_MULTIPLIER,) if kind == sheet.CAP_NOTIFY_CFG else ()
        codec = sheet.NOTIFY_CAP_CODEC if multiplier else sheet.CAP_CODEC
        codec.pack_into(
            header, at, bus.CAP_VENDOR, following, codec.size, kind, modern.BAR, 0, b"", offset, modern.REGION_SIZE,
            *multiplier,
        )  # fmt: skip
        following = at
    codec = sheet.CFG_CAP_CODEC
    codec.pack_into(header, _WINDOW, bus.CAP_VENDOR, following, codec.size, sheet.CAP_PCI_CFG, 0, 0, b"", 0, 0, 0)
    return _WINDOW
