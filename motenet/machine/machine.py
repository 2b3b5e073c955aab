"""A computer: memory, PCI, interrupts, and a local clock."""

from collections.abc import Iterable
from typing import TypeVar

from motenet.core import units
from motenet.core.clock import Clock, LocalClock
from motenet.core.errors import ConfigurationError
from motenet.core.state import Component
from motenet.datasheets.pci import BAR0, DEVICE_ID, INTERRUPT_LINE, VENDOR_ID
from motenet.doors import Card, PciCard
from motenet.machine.dma import BusMaster, MachineDma
from motenet.machine.function import Function
from motenet.machine.interrupts import InterruptController
from motenet.machine.memory import Allocator, PhysicalMemory
from motenet.machine.pci import Slot
from motenet.machine.platform import Platform, PlatformFunction, PlatformSlot

AnyCard = TypeVar("AnyCard", bound=Card)

_MEMORY_BASE = 0xE0000000
_MEMORY64_BASE = 0x8_0000_0000
_IO_BASE = 0xC000
_LINES = 4
"""A PC's PCI slots share four lines, INTA# to INTD#."""


class PciBus:
    """The functions of a machine, in slot order."""

    def __init__(self) -> None:
        self.functions: list[Function] = []

    def find(self, vendor: int, device: int) -> Function:
        """The first function with these ids; ConfigurationError says what there is instead."""
        ids = []
        for function in self.functions:
            content = function.config.content
            found = int.from_bytes(content[VENDOR_ID:DEVICE_ID], "little"), function.config.word(DEVICE_ID)
            if found == (vendor, device):
                return function
            ids.append(f"{found[0]:04x}:{found[1]:04x}")
        raise ConfigurationError(f"no card {vendor:04x}:{device:04x} is plugged; there is {', '.join(ids) or 'none'}")


class Machine(Component):
    """A computer into which cards are plugged. Alone it has a world's clock of its own.

    `memory` is a size ("8MiB"); untouched pages cost nothing.
    """

    def __init__(self, clock: Clock | None = None, *, memory: str | int = "8MiB", name: str = "machine") -> None:
        self.path = name
        self.clock = LocalClock(clock if clock is not None else Clock())
        self.memory = PhysicalMemory(units.size(memory))
        self.allocator = Allocator(self.memory.size)
        self.interrupts = InterruptController(self.clock)
        self.pci = PciBus()
        self.platform = Platform()
        self.slots: list[Slot | PlatformSlot] = []
        self.functions: list[Function | PlatformFunction] = []
        """Of each slot: the card as its driver sees it."""
        self._lines = [self.interrupts.new_vector() for _ in range(_LINES)]
        self._next_address = {"memory": _MEMORY_BASE, "memory64": _MEMORY64_BASE, "io": _IO_BASE}
        for part in (self.clock, self.memory, self.allocator, self.interrupts):
            part.place(f"{name}/{part.path}")

    def parts(self) -> Iterable[Component]:
        return (self.clock, self.memory, self.allocator, self.interrupts, *self.slots)

    def plug(self, card: AnyCard, name: str = "nic") -> AnyCard:
        """Put a card into the next slot, and do what firmware does: give its BARs addresses and its pin a line.

        A card without configuration space (doors.Card, not doors.PciCard) becomes one of the platform's.
        """
        if not isinstance(card, Component):
            raise ConfigurationError(f"{card!r} is no card; plug a device object, such as motenet.devices.E1000()")
        if any(slot.card is card for slot in self.slots):
            raise ConfigurationError(f"{card.path} is plugged already")
        path = f"{self.path}/{name}"
        if any(slot.card.path == path for slot in self.slots):
            raise ConfigurationError(f"{self.path} has a card called {name!r} already; give plug() another name")
        card.place(path)
        dma = BusMaster(self.clock, f"{path}/dma", self.memory)
        memory = MachineDma(self.memory, self.allocator)
        if isinstance(card, PciCard):
            number = len(self.pci.functions)
            line = self._lines[number % _LINES]
            slot = Slot(self.clock, f"{path}/slot", card, dma, self.interrupts, number, line)
            self.slots.append(slot)
            self._assign_addresses(slot)
            function = Function(slot, memory)
            self.pci.functions.append(function)
            self.functions.append(function)
        else:
            bare = PlatformSlot(self.clock, f"{path}/slot", card, dma, self.interrupts)
            self.slots.append(bare)
            bare_function = PlatformFunction(bare, memory)
            self.platform.functions.append(bare_function)
            self.functions.append(bare_function)
        return card

    def _assign_addresses(self, slot: Slot) -> None:
        for index, layout in slot.card.bars.items():
            address = -(-self._next_address[layout.kind] // layout.size) * layout.size
            self._next_address[layout.kind] = address + layout.size
            slot.config.write(BAR0 + 4 * index, address & 0xFFFFFFFF, 4)
            if layout.kind == "memory64":
                slot.config.write(BAR0 + 4 * index + 4, address >> 32, 4)
        slot.config.write(INTERRUPT_LINE, slot.line, 1)

    def run(self, duration: str | int) -> None:
        """Let time pass for this machine's world."""
        world = self.clock.world
        world.elapse(world.now + units.duration(duration))
