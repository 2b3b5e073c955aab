"""Cards that no bus enumerates: a space of registers at a known place and an interrupt line (virtio-MMIO)."""

from collections.abc import Iterable
from typing import ClassVar

from motenet.core.clock import LocalClock
from motenet.core.errors import ConfigurationError
from motenet.core.state import Component
from motenet.core.trace import Watched
from motenet.doors import Card
from motenet.machine.dma import BusMaster, MachineDma
from motenet.machine.function import BareFunction, LineInterrupts
from motenet.machine.interrupts import InterruptController
from motenet.machine.port import Port
from motenet.machine.window import BarWindow


class PlatformSlot(Watched):
    """The joint between a card without configuration space and its machine. Implements doors.PciSlot.

    The card is always decoded, always bus master, and has a line of its own but no messages.
    """

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "level")

    def __init__(
        self, clock: LocalClock, path: str, card: Card, dma: BusMaster, controller: InterruptController
    ) -> None:
        super().__init__(clock, path)
        self.clock: LocalClock = clock
        self.card = card
        self.dma = dma
        self.port = Port(clock, f"{card.path}/port")
        self.controller = controller
        self.line = controller.new_vector()
        self.level = False
        dma.enabled = True
        card.plugged(self)
        self.windows = {
            index: BarWindow(clock, f"{card.path}/bar{index}", f"bar{index}", layout, card.register_space(index))
            for index, layout in card.bars.items()
        }
        for window in self.windows.values():
            window.enabled = True
        card.reset()

    def parts(self) -> Iterable[Component]:
        assert isinstance(self.card, Component)
        return (self.card, *self.windows.values(), self.dma, self.port)

    def set_level(self, level: bool) -> None:
        if level != self.level:
            self.level = level
            self.controller.set_level(self.line, 0, level)

    def send_message(self, vector: int) -> bool:
        self.drop("message not enabled", f"vector {vector}: a platform's card has a line only")
        return False

    def message_enabled(self) -> bool:
        return False


class PlatformFunction(BareFunction):
    """A platform's card as its driver sees it. Implements doors.Function; its registers are "BAR" 0."""

    def __init__(self, slot: PlatformSlot, dma: MachineDma) -> None:
        super().__init__(slot.path, slot.clock, dma, slot.windows)
        self.interrupts = LineInterrupts(slot.path, slot.controller, 0, slot.line)


class Platform:
    """A machine's cards outside PCI, in the order of plugging: what a device tree tells of."""

    def __init__(self) -> None:
        self.functions: list[PlatformFunction] = []

    def find(self, name: str = "nic") -> PlatformFunction:
        """The card that was plugged by this name; ConfigurationError says what there is instead."""
        names = [function.name.split("/")[-2] for function in self.functions]
        if name in names:
            return self.functions[names.index(name)]
        raise ConfigurationError(f"no card {name!r} is plugged outside PCI; there is {', '.join(names) or 'none'}")
