"""The two sides of a virtio device: what carries it, and what it is."""

from typing import TYPE_CHECKING, Protocol

from motenet.datasheets.registers import RegisterMap
from motenet.devices.virtio.queue import VirtQueue
from motenet.doors import PciSlot

if TYPE_CHECKING:
    from motenet.devices.virtio.device import VirtioDevice


class Transport(Protocol):
    """What the device asks of whatever carries it. Called after the DMA writes that it tells of."""

    def queue_interrupt(self, queue: VirtQueue) -> None:
        """A used buffer notification: the driver wants it."""

    def config_interrupt(self) -> None:
        """A configuration change notification."""

    def device_reset(self) -> None:
        """The device is reset: pending notifications, vectors and selections are gone."""


class DeviceType(Protocol):
    """A kind of device (virtio 5): what it has and does. It is a Component."""

    device_id: int
    offered: int
    """The type's own feature bits; those of rings and interface are VirtioDevice's."""
    queues: list[VirtQueue]
    config_registers: RegisterMap
    """The layout of the device's configuration: which widths its fields have."""
    config_size: int
    """Bytes of it that are there; the rest belongs to features that are not offered."""

    def plug(self, slot: PciSlot, device: "VirtioDevice") -> None:
        """Take memory, clock and cable."""

    def read_config(self, offset: int, width: int) -> int:
        """Little-endian bytes of the configuration, any `offset` and `width` within `config_size`."""

    def write_config(self, offset: int, value: int, width: int) -> None:
        """As the driver wrote; what may not be written is an event."""

    def check_features(self, features: int) -> str:
        """Why these cannot be together, with the clause (virtio 5.1.3.1), or ""."""

    def features_set(self, features: int) -> None:
        """These are the features from now on. With the legacy interface it may come more than once, at any time."""

    def started(self) -> None:
        """DRIVER_OK."""

    def reset(self) -> None:
        """Back to the beginning, without features."""

    def notified(self, queue: VirtQueue) -> None:
        """Serve this queue. Runs in an event of its own, with the device `ready` and the queue enabled."""
