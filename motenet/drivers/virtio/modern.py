"""Virtio over PCI, the modern interface: structures found through vendor capabilities (virtio 4.1.4)."""

from collections.abc import Callable
from dataclasses import dataclass

from motenet.core.errors import DriverError
from motenet.datasheets.pci import CAP_MSIX, CAP_VENDOR, MSIX_CONTROL
from motenet.datasheets.virtio import common
from motenet.datasheets.virtio.features import FEATURES
from motenet.datasheets.virtio.net import CONFIG
from motenet.datasheets.virtio.pci import (
    CAP_CODEC,
    CAP_COMMON_CFG,
    CAP_DEVICE_CFG,
    CAP_ISR_CFG,
    CAP_NOTIFY_CFG,
    ISR,
    ISR_REGISTERS,
    MAX_BAR,
    NOTIFY_CAP_CODEC,
)
from motenet.doors import PciFunction, Window
from motenet.drivers import pci
from motenet.drivers.virtio.transport import Registers

_NOTIFY_BYTES = 2
_NEEDED = {
    CAP_COMMON_CFG: ("common configuration", common.BASE_SIZE),
    CAP_NOTIFY_CFG: ("notification", _NOTIFY_BYTES),
    CAP_ISR_CFG: ("ISR status", ISR_REGISTERS.size),
    CAP_DEVICE_CFG: ("device configuration", CONFIG["status"].offset),
}
"""Structures without which a network device cannot be driven, and the bytes that each must have at least."""


@dataclass(frozen=True, slots=True)
class Structure:
    """Where a structure lies (4.1.4)."""

    bar: int
    offset: int
    length: int
    multiplier: int = 0
    """notify_off_multiplier (4.1.4.4)."""


def structures(function: PciFunction) -> dict[int, Structure]:
    """The first usable structure of each type (4.1.4.1); reserved types and BARs are ignored."""
    mapped = dict(pci.bars(function))
    found: dict[int, Structure] = {}
    for kind, at in pci.capabilities(function):
        if kind != CAP_VENDOR or at + CAP_CODEC.size > 256:
            continue
        content = bytes(function.config.read(at + place, 1) for place in range(CAP_CODEC.size))
        _, _, length, cfg_type, bar, _, _, offset, size = CAP_CODEC.unpack(content)
        if (
            length < CAP_CODEC.size
            or cfg_type in found
            or cfg_type not in _NEEDED
            or bar > MAX_BAR
            or bar not in mapped
        ):
            continue
        if size < _NEEDED[cfg_type][1] or offset + size > function.bar(bar).size:
            continue
        multiplier = 0
        if cfg_type == CAP_NOTIFY_CFG:
            if length < NOTIFY_CAP_CODEC.size or at + NOTIFY_CAP_CODEC.size > 256:
                continue
            multiplier = function.config.read(at + CAP_CODEC.size, 4)
        found[cfg_type] = Structure(bar, offset, size, multiplier)
    return found


class Messages:
    """Whether the platform has enabled MSI-X (PCI 6.8.2.3)."""

    def __init__(self, function: PciFunction) -> None:
        self._config = function.config
        self._at = pci.find_capability(function, CAP_MSIX)

    def __call__(self) -> bool:
        if self._at is None:
            return False
        return bool(self._config.read(self._at + MSIX_CONTROL.offset, 2) & MSIX_CONTROL["ENABLE"])


class ModernTransport:
    """Implements Transport. `found` is what `structures` says; DriverError names what is missing."""

    legacy = False

    def __init__(self, function: PciFunction, found: dict[int, Structure]) -> None:
        self.name = function.name
        for kind, (name, _) in _NEEDED.items():
            if kind not in found:
                raise DriverError(f"{self.name}: no usable capability leads to its {name} structure (virtio 4.1.4)")
        self._function = function
        self._common = self._registers(found[CAP_COMMON_CFG])
        self._isr = self._registers(found[CAP_ISR_CFG])
        self._notify = found[CAP_NOTIFY_CFG]
        self._notify_window: Window = function.bar(self._notify.bar)
        self._features = 0
        self.messages = Messages(function)
        self.config = self._registers(found[CAP_DEVICE_CFG])
        self.config_size = found[CAP_DEVICE_CFG].length

    def _registers(self, structure: Structure) -> Registers:
        return Registers(self._function.bar(structure.bar), structure.offset)

    def read_status(self) -> int:
        return self._common.read(common.DEVICE_STATUS)

    def write_status(self, status: int) -> None:
        self._common.write(common.DEVICE_STATUS, status)

    def offered(self) -> int:
        features = 0
        for word in range(2):
            self._common.write(common.DEVICE_FEATURE_SELECT, word)
            features |= self._common.read(common.DEVICE_FEATURE) << 32 * word
        return features

    def accept(self, features: int) -> None:
        self._features = features
        for word in range(2):
            self._common.write(common.DRIVER_FEATURE_SELECT, word)
            self._common.write(common.DRIVER_FEATURE, features >> 32 * word & 0xFFFFFFFF)

    def generation(self) -> int:
        return self._common.read(common.CONFIG_GENERATION)

    def queue_limit(self, number: int) -> int:
        if number >= self._common.read(common.NUM_QUEUES):
            return 0
        self._common.write(common.QUEUE_SELECT, number)
        return self._common.read(common.QUEUE_SIZE)

    def open_queue(self, number: int, size: int, areas: tuple[int, int, int]) -> None:
        """4.1.5.1.3; enabled last (4.1.4.3.2)."""
        write = self._common.write
        write(common.QUEUE_SELECT, number)
        if self._common.read(common.QUEUE_ENABLE):
            raise DriverError(f"{self.name}: queue {number} is enabled already, right after a reset (virtio 2.4.1)")
        write(common.QUEUE_SIZE, size)
        for register, address in zip((common.QUEUE_DESC, common.QUEUE_DRIVER, common.QUEUE_DEVICE), areas, strict=True):
            write(register, address)
        write(common.QUEUE_ENABLE, 1)

    def notifier(self, number: int) -> Callable[[], None]:
        """4.1.4.4: where; 4.1.5.2: what, which is queue_notify_data with NOTIF_CONFIG_DATA (4.1.5.2.1)."""
        self._common.write(common.QUEUE_SELECT, number)
        at = self._common.read(common.QUEUE_NOTIFY_OFF) * self._notify.multiplier
        if at + _NOTIFY_BYTES > self._notify.length:
            raise DriverError(f"{self.name}: queue {number} is to be notified outside of its structure, at {at:#x}")
        value = number
        if self._features & FEATURES["NOTIF_CONFIG_DATA"]:
            value = self._common.read(common.QUEUE_NOTIFY_DATA)
        write16, address = self._notify_window.write16, self._notify.offset + at

        def notify() -> None:
            write16(address, value)

        return notify

    def causes(self) -> int:
        return self._isr.read(ISR)

    def map_config(self, vector: int) -> bool:
        self._common.write(common.CONFIG_MSIX_VECTOR, vector)
        return self._common.read(common.CONFIG_MSIX_VECTOR) == vector

    def map_queue(self, number: int, vector: int) -> bool:
        self._common.write(common.QUEUE_SELECT, number)
        self._common.write(common.QUEUE_MSIX_VECTOR, vector)
        return self._common.read(common.QUEUE_MSIX_VECTOR) == vector
