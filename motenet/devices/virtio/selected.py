"""The queue that queue_select points at: how the modern interfaces, PCI and MMIO, let a driver set it up."""

from typing import ClassVar

from motenet.core.state import Component
from motenet.devices.virtio.chain import BAD_SIZE, Violation
from motenet.devices.virtio.device import RING_PACKED, VirtioDevice
from motenet.devices.virtio.queue import VirtQueue

DESCRIPTORS, DRIVER_AREA, DEVICE_AREA = range(3)
"""The parts of a queue, each with an address of 64 bits (virtio 2.6)."""


class SelectedQueue(Component):
    """Reads of a queue that is not there give 0, and writes to it are lost. `clause` says when it may be changed."""

    STATE: ClassVar[tuple[str, ...]] = ("select",)

    def __init__(self, device: VirtioDevice, clause: str) -> None:
        self.path = "selected"
        self.select = 0
        self._device = device
        self._clause = clause

    def reset(self) -> None:
        self.select = 0

    def write_select(self, value: int) -> None:
        self.select = value

    def read_select(self) -> int:
        return self.select

    @property
    def queue(self) -> VirtQueue | None:
        """The queue, if there is one by that number."""
        queues = self._device.queues
        return queues[self.select] if self.select < len(queues) else None

    def existing(self, what: str) -> VirtQueue | None:
        """The queue, to be written to; None, and an event, if it may not be."""
        return self._device.queue_at(self.select, what, legacy=False)

    def _idle(self, what: str) -> VirtQueue | None:
        """The queue, to be set up; that it is enabled is an event."""
        queue = self.existing(what)
        if queue is not None and queue.enabled:
            self._device.drop("queue in use", f"{what} of queue {queue.index}, which is enabled ({self._clause})")
            return None
        return queue

    # --- size

    def max_size(self) -> int:
        return self.queue.max_size if self.queue is not None else 0

    def size(self) -> int:
        return self.queue.size if self.queue is not None else 0

    def write_size(self, size: int) -> None:
        """A size that the queue cannot have is an error at once: it is never shown (virtio 4.1.4.3.1)."""
        queue = self._idle("size")
        if queue is None:
            return
        packed = (self._device.features | self._device.driver_features) & RING_PACKED
        if not 0 < size <= queue.max_size or (size & size - 1 and not packed):
            kind = "packed" if packed else "split, which wants powers of two"
            queue.violated(Violation(BAD_SIZE, f"{size} descriptors, up to {queue.max_size}, {kind}"))
        else:
            queue.size = size

    # --- addresses

    def address(self, area: int) -> int:
        queue = self.queue
        if queue is None:
            return 0
        return (queue.descriptors, queue.driver_area, queue.device_area)[area]

    def write_address(self, area: int, address: int) -> None:
        queue = self._idle("address")
        if queue is None:
            return
        if area == DESCRIPTORS:
            queue.descriptors = address
        elif area == DRIVER_AREA:
            queue.driver_area = address
        else:
            queue.device_area = address

    def write_half(self, area: int, shift: int, half: int) -> None:
        """32 bits of an address, from bit `shift` up."""
        self.write_address(area, self.address(area) & ~(0xFFFFFFFF << shift) | half << shift)

    # --- enabling

    def enabled(self) -> int:
        return int(self.queue is not None and self.queue.enabled)

    def enable(self) -> None:
        """1 is written to queue_enable or QueueReady."""
        queue = self._idle("enabling")
        if queue is not None:
            self._device.enable_queue(queue)

    def disable(self) -> None:
        """0 is written there."""
        queue = self.existing("disabling")
        if queue is not None:
            self._device.disable_queue(queue)
