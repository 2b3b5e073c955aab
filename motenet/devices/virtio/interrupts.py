"""How a virtio card in a PCI slot interrupts: ISR status and the pin, or MSI-X (virtio 4.1.4.5, 4.1.5.1.2)."""

from typing import ClassVar

from motenet.core.state import Component
from motenet.datasheets.virtio.pci import ISR, NO_VECTOR
from motenet.devices.virtio.queue import VirtQueue
from motenet.devices.virtio.structure import Drop
from motenet.doors import PciSlot

_QUEUE, _CONFIG = ISR["QUEUE"], ISR["CONFIG"]
_CLEARED = ISR.mask(read="clear")


class PciInterrupts(Component):
    """The pin is high while ISR status is not 0; with messages on nobody hears it."""

    STATE: ClassVar[tuple[str, ...]] = ("isr", "config_vector")

    def __init__(self, vectors: int, drop: Drop) -> None:
        self.path = "interrupts"
        self.vectors = vectors
        """Entries of the MSI-X table; 0: there is no MSI-X."""
        self.isr = 0
        self.config_vector = NO_VECTOR
        self._drop = drop

    def plug(self, slot: PciSlot) -> None:
        self._slot = slot

    def reset(self) -> None:
        """4.1.5.1.2.1: all events are unmapped. (The queues know their vectors, and have forgotten them.)"""
        self.isr, self.config_vector = 0, NO_VECTOR
        self._slot.set_level(False)

    def queue_interrupt(self, queue: VirtQueue) -> None:
        if not self._slot.message_enabled():
            self._assert(_QUEUE)
        elif queue.vector != NO_VECTOR:
            self._slot.send_message(queue.vector)

    def config_interrupt(self) -> None:
        """4.1.4.5.1: the bit in ISR status is set in any case."""
        self._assert(_CONFIG)
        if self._slot.message_enabled() and self.config_vector != NO_VECTOR:
            self._slot.send_message(self.config_vector)

    def _assert(self, cause: int) -> None:
        self.isr |= cause
        self._slot.set_level(True)

    def read_isr(self) -> int:
        """4.1.4.5: reading clears it, and takes the interrupt back."""
        value = self.isr
        self.isr &= ~_CLEARED
        self._slot.set_level(bool(self.isr))
        return value

    def read_config_vector(self) -> int:
        return self.config_vector

    def write_config_vector(self, vector: int) -> None:
        self.config_vector = self.mapped(vector)

    def mapped(self, vector: int) -> int:
        """What reads back: NO_VECTOR for a vector that the table has not (virtio 4.1.5.1.2.2)."""
        if vector < self.vectors or vector == NO_VECTOR:
            return vector
        self._drop("no such vector", f"{vector}; the MSI-X table has {self.vectors} (4.1.5.1.2.2)")
        return NO_VECTOR
