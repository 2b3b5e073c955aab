"""A card as its driver sees it: windows, memory for DMA, interrupts, time."""

from collections.abc import Mapping, Sequence

from motenet.core.clock import LocalClock
from motenet.core.errors import DriverError
from motenet.core.state import Component
from motenet.datasheets.pci import (
    CAP_MSI,
    CAP_MSIX,
    MSI_CONTROL,
    MSIX_ADDRESS,
    MSIX_CONTROL,
    MSIX_DATA,
    MSIX_ENTRY_SIZE,
    MSIX_MASKED,
    MSIX_UPPER_ADDRESS,
    MSIX_VECTOR_CONTROL,
)
from motenet.machine.dma import MachineDma
from motenet.machine.interrupts import Handler, InterruptController
from motenet.machine.msix import MsixTable
from motenet.machine.pci import MESSAGE_ADDRESS, Slot
from motenet.machine.window import BarWindow


class BareFunction(Component):
    """What cards of all buses have in common."""

    def __init__(self, name: str, clock: LocalClock, dma: MachineDma, windows: Mapping[int, BarWindow]) -> None:
        self.path = "function"
        self.name = name
        self.dma = dma
        self.clock = clock
        self.delay = clock.delay
        self._windows = windows

    @property
    def now(self) -> int:
        return self.clock.now

    def bar(self, index: int) -> BarWindow:
        try:
            return self._windows[index]
        except KeyError:
            raise DriverError(f"{self.name} has no BAR {index}; it has {sorted(self._windows)}") from None


class LineInterrupts:
    """A line of the interrupt controller. Implements doors.Interrupts."""

    def __init__(self, name: str, controller: InterruptController, source: int, line: int) -> None:
        self._name = name
        self._controller = controller
        self._source = source
        """Which bit of a shared vector is this card's."""
        self._line = line

    def allocate(self, count: int = 1, kinds: Sequence[str] = ("msi-x", "msi", "intx")) -> list[int]:
        if "intx" in kinds:
            return [self._line]
        raise self._nothing(kinds)

    def _nothing(self, kinds: Sequence[str]) -> DriverError:
        return DriverError(f"{self._name} has none of the interrupt kinds {', '.join(kinds)}")

    def connect(self, vector: int, handler: Handler) -> None:
        self._controller.connect(vector, self._source, handler)

    def mask(self, vector: int) -> None:
        self._controller.mask(vector, self._source)

    def unmask(self, vector: int) -> None:
        self._controller.unmask(vector, self._source)

    def free(self) -> None:
        self._controller.disconnect(self._line, self._source)


class FunctionInterrupts(LineInterrupts):
    """A PCI function's: MSI-X, MSI or its pin's line. Implements doors.Interrupts."""

    def __init__(self, slot: Slot) -> None:
        super().__init__(slot.path, slot.controller, slot.source, slot.line)
        self._slot = slot
        self._numbers = {vector: number for number, vector in enumerate(slot.msix_vectors)}
        """For each vector of the MSI-X table: its entry."""

    def allocate(self, count: int = 1, kinds: Sequence[str] = ("msi-x", "msi", "intx")) -> list[int]:
        slot = self._slot
        for kind in kinds:
            if kind == "msi-x" and slot.msix is not None:
                return self._enable_msix(slot.msix, max(1, count))
            if kind == "msi" and CAP_MSI in slot.config.capabilities:
                slot.enable_msi()
                return [slot.message_vector]
            if kind == "intx" and slot.has_pin:
                return [slot.line]
        raise self._nothing(kinds)

    def _enable_msix(self, table: MsixTable, count: int) -> list[int]:
        """6.8.3.2: the table is programmed while the function mask keeps everything back."""
        window = self._slot.windows[table.bar]
        if not window.enabled:
            raise DriverError(
                f"{self._name}: the MSI-X table lies in BAR {table.bar}, which is not decoded; set MEMORY in COMMAND"
            )
        self._control(CAP_MSIX, MSIX_CONTROL["ENABLE"] | MSIX_CONTROL["FUNCTION_MASK"], 0)
        vectors = self._slot.msix_vectors[:count]
        for number in range(table.count):
            at = table.offset + MSIX_ENTRY_SIZE * number
            if number < len(vectors):
                window.write32(at + MSIX_ADDRESS, MESSAGE_ADDRESS)
                window.write32(at + MSIX_UPPER_ADDRESS, 0)
                window.write32(at + MSIX_DATA, vectors[number])
            window.write32(at + MSIX_VECTOR_CONTROL, 0 if number < len(vectors) else MSIX_MASKED)
        self._control(CAP_MSIX, 0, MSIX_CONTROL["FUNCTION_MASK"])
        return vectors

    def _control(self, capability: int, set_bits: int, clear_bits: int) -> None:
        config = self._slot.config
        at = config.capabilities[capability] + MSI_CONTROL.offset  # MSIX_CONTROL's, too
        config.write(at, config.word(at) & ~clear_bits | set_bits, 2)

    def _mask_entry(self, vector: int, control: int) -> None:
        table = self._slot.msix
        assert table is not None
        at = table.offset + MSIX_ENTRY_SIZE * self._numbers[vector] + MSIX_VECTOR_CONTROL
        self._slot.windows[table.bar].write32(at, control)

    def mask(self, vector: int) -> None:
        if vector in self._numbers:
            self._mask_entry(vector, MSIX_MASKED)
        else:
            super().mask(vector)

    def unmask(self, vector: int) -> None:
        if vector in self._numbers:
            self._mask_entry(vector, 0)
        else:
            super().unmask(vector)

    def free(self) -> None:
        slot = self._slot
        super().free()
        for vector in (slot.message_vector, *slot.msix_vectors):
            if vector >= 0:
                slot.controller.disconnect(vector, slot.source)
        for capability, control in ((CAP_MSI, MSI_CONTROL), (CAP_MSIX, MSIX_CONTROL)):
            if capability in slot.config.capabilities:
                self._control(capability, 0, control["ENABLE"])


class Function(BareFunction):
    """A PCI function as its driver sees it. Implements doors.PciFunction."""

    def __init__(self, slot: Slot, dma: MachineDma) -> None:
        super().__init__(slot.path, slot.clock, dma, slot.windows)
        self.config = slot.config
        self.interrupts = FunctionInterrupts(slot)
