"""The PCI slot of a guest: memory, interrupts and configuration space are the guest's, the card is ours."""

from collections.abc import Iterable

from motenet.bridge.vfio_user.interrupts import GuestInterrupts
from motenet.bridge.vfio_user.memory import GuestMemory
from motenet.bridge.vfio_user.protocol import INTX, MSI, MSIX
from motenet.core.clock import Clock, LocalClock
from motenet.core.state import Component
from motenet.datasheets.pci import CAP_MSI, CAP_MSIX, MSI_CONTROL, MSIX_CONTROL
from motenet.doors import PciCard
from motenet.machine.pci import Slot


class GuestSlot(Slot):
    """Implements doors.PciSlot for a card whose driver runs in a guest.

    The MSI-X table is the client's (QEMU emulates it): a message goes to the eventfd of its vector.
    """

    serves_table = False

    def __init__(self, world: Clock, name: str, card: PciCard) -> None:
        assert isinstance(card, Component)
        card.place(f"{name}/nic")
        clock = LocalClock(world)
        self.memory = GuestMemory(clock, f"{card.path}/dma")
        self.interrupts = GuestInterrupts(clock)
        line = self.interrupts.new_vector()
        super().__init__(clock, f"{card.path}/slot", card, self.memory, self.interrupts, 0, line)
        clock.place(f"{name}/clock")
        self.interrupts.place(f"{name}/interrupts")
        self.interrupts.vectors = {
            INTX: [line] if self.has_pin else [],
            MSI: self._vectors(1 << (self._control(CAP_MSI) & MSI_CONTROL["CAPABLE"]) // 2)
            if CAP_MSI in self.config.capabilities
            else [],
            MSIX: self._vectors((self._control(CAP_MSIX) & MSIX_CONTROL["TABLE_SIZE"]) + 1)
            if CAP_MSIX in self.config.capabilities
            else [],
        }

    def parts(self) -> Iterable[Component]:
        return (self.clock, *super().parts(), self.interrupts)

    def _control(self, capability: int) -> int:
        return self.config.word(self.config.capabilities[capability] + 2)

    def _vectors(self, count: int) -> list[int]:
        return [self.interrupts.new_vector() for _ in range(count)]

    def send_message(self, vector: int) -> bool:
        """An MSI is a write by the bus master (6.8): without that bit, or not enabled, there is none."""
        for index, capability, control in ((MSIX, CAP_MSIX, MSIX_CONTROL), (MSI, CAP_MSI, MSI_CONTROL)):
            vectors = self.interrupts.vectors[index]
            if self.dma.enabled and vector < len(vectors) and self._capability_bit(capability, control):
                self.interrupts.send(vectors[vector])
                return True
        self.drop("message not enabled", f"vector {vector}")
        return False

    def reset(self) -> None:
        """The bus's reset signal: configuration space and the card as after power-on."""
        self.config.power_on()
        self.power_state = 0
        self.card.reset()
        self._follow_config()
        self.changed("reset", "PCI reset")

    def disconnected(self) -> None:
        """The guest is gone: nothing of it is kept."""
        self.interrupts.disconnect_all()
        self.reset()
        self.memory.unmap_all()
