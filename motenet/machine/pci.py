"""PCI: configuration space, and the slot that joins a card to its machine."""

from collections.abc import Callable, Iterable
from typing import ClassVar

from motenet.core.clock import LocalClock
from motenet.core.errors import ConfigurationError, DriverError
from motenet.core.state import Component
from motenet.core.trace import HasNow, RegisterAccess, Watched
from motenet.datasheets.pci import (
    BAR0,
    BAR_IO,
    BAR_MEMORY64,
    CACHE_LINE_SIZE,
    CAP_MSI,
    CAP_MSIX,
    CAP_PM,
    COMMAND,
    INTERRUPT_LINE,
    LATENCY_TIMER,
    MSI_CONTROL,
    MSIX_CONTROL,
    PM_CAPABILITIES,
    PMCSR,
    STATUS,
    capability_list,
)
from motenet.datasheets.registers import Register
from motenet.doors import BarLayout, PciCard
from motenet.machine.dma import BusMaster
from motenet.machine.interrupts import InterruptController
from motenet.machine.msix import MsixTable
from motenet.machine.port import Port
from motenet.machine.window import BarWindow

_IO, _MEMORY, _MASTER = COMMAND["IO"], COMMAND["MEMORY"], COMMAND["MASTER"]
_INTX_DISABLE = COMMAND["INTX_DISABLE"]
_INTERRUPT = STATUS["INTERRUPT"]
_MASTER_ABORT = STATUS["RECEIVED_MASTER_ABORT"]
_POWER_STATES = (0xFFFF, 1 << 9, 1 << 10, 0xFFFF)
"""For D0 to D3hot: the bit of the PM capabilities that offers it; D0 and D3hot are always there (PM 3.2.3)."""
MESSAGE_ADDRESS = 0xFEE00000
"""Where this machine takes messages; the data are the vector."""


class ConfigurationSpace(Watched):
    """The 256 bytes of a function: what may be written, what writing ones clears. Implements doors.ConfigSpace."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "content")

    def __init__(self, clock: HasNow, path: str, card: PciCard, written: Callable[[int], None]) -> None:
        super().__init__(clock, path)
        header = card.config_header
        if len(header) != 256:
            raise ConfigurationError(f"{path}: a configuration header has 256 bytes, not {len(header)}")
        self.content = bytearray(header)
        self.capabilities = dict(capability_list(header))
        """Capability id -> offset."""
        self._written = written
        self._part = card.config_part
        self._store = bytearray(256)
        self._clear = bytearray(256)
        self._allow(COMMAND, 0)
        self._allow(STATUS, 0)
        for offset in (CACHE_LINE_SIZE, LATENCY_TIMER, INTERRUPT_LINE):
            self._store[offset] = 0xFF
        for index, layout in card.bars.items():
            self._allow_bar(index, layout)
        if CAP_PM in self.capabilities:
            self._allow(PMCSR, self.capabilities[CAP_PM])
        if CAP_MSI in self.capabilities:
            self._allow_msi(self.capabilities[CAP_MSI])
        if CAP_MSIX in self.capabilities:
            self._allow(MSIX_CONTROL, self.capabilities[CAP_MSIX])
        self._initial = bytes(self.content)

    def _allow(self, register: Register, base: int) -> None:
        at = base + register.offset
        size = register.width // 8
        self._store[at : at + size] = register.mask(write="store").to_bytes(size, "little")
        self._clear[at : at + size] = register.mask(write="clear").to_bytes(size, "little")

    def _allow_bar(self, index: int, layout: BarLayout) -> None:
        """6.2.5.1: the bits below a BAR's size read as zero (or its type), so that software can size it."""
        if layout.size & layout.size - 1 or layout.size < 4:
            raise ConfigurationError(f"{self.path}: BAR {index} has {layout.size} bytes; its size is a power of two")
        kind = {"io": BAR_IO, "memory": 0, "memory64": BAR_MEMORY64}[layout.kind]
        at = BAR0 + 4 * index
        width = 8 if layout.kind == "memory64" else 4
        if at + width > BAR0 + 24 or any(self._store[at : at + width]):
            raise ConfigurationError(f"{self.path}: BAR {index} has no registers left; a 64-bit one takes two")
        mask = (1 << 8 * width) - layout.size
        self._store[at : at + width] = mask.to_bytes(width, "little")
        self.content[at : at + width] = kind.to_bytes(width, "little")

    def _allow_msi(self, base: int) -> None:
        """6.8.1: address, upper address (when 64-bit) and data behind the control word."""
        self._allow(MSI_CONTROL, base)
        wide = bool(self.content[base + 2] & MSI_CONTROL["64BIT"])
        self._store[base + 4 : base + 8] = (0xFFFFFFFC).to_bytes(4, "little")
        if wide:
            self._store[base + 8 : base + 12] = b"\xff" * 4
        data = base + (12 if wide else 8)
        self._store[data : data + 2] = b"\xff" * 2

    def power_on(self) -> None:
        """Forget all that was written, addresses too."""
        self.content[:] = self._initial

    def word(self, offset: int) -> int:
        """16 bits, unseen by watchers."""
        return self.content[offset] | self.content[offset + 1] << 8

    def set_word(self, offset: int, value: int) -> None:
        """16 bits from the hardware's side."""
        self.content[offset : offset + 2] = value.to_bytes(2, "little")

    def read(self, offset: int, width: int) -> int:
        if width not in (1, 2, 4) or not 0 <= offset <= 256 - width or offset % width:
            raise DriverError(f"{self.path}: configuration space has no {width}-byte access at {offset:#x}")
        part = self._part
        if part is not None and part.offset <= offset < part.offset + part.size:
            value = part.registers.read(offset - part.offset, width)
        else:
            value = int.from_bytes(self.content[offset : offset + width], "little")
        if self.watch is not None:
            self.watch(RegisterAccess(self.clock.now, self.path, "config", offset, width, value, False))
        return value

    def write(self, offset: int, value: int, width: int) -> None:
        if width not in (1, 2, 4) or not 0 <= offset <= 256 - width or offset % width:
            raise DriverError(f"{self.path}: configuration space has no {width}-byte access at {offset:#x}")
        if self.watch is not None:
            self.watch(RegisterAccess(self.clock.now, self.path, "config", offset, width, value, True))
        part = self._part
        if part is not None and part.offset <= offset < part.offset + part.size:
            part.registers.write(offset - part.offset, value & (1 << 8 * width) - 1, width)
            return
        for place in range(width):
            at, byte = offset + place, value >> 8 * place & 0xFF
            store, clear = self._store[at], self._clear[at]
            self.content[at] = (self.content[at] & ~store & ~(byte & clear) | byte & store) & 0xFF
        self._written(offset & ~3)


class Slot(Watched):
    """The joint between a card and its machine. Implements doors.PciSlot."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "level", "power_state", "messages", "silent")
    serves_table: ClassVar[bool] = True
    """Whether the MSI-X table is served here, in the card's BAR; a guest's is its hypervisor's."""

    def __init__(
        self,
        clock: LocalClock,
        path: str,
        card: PciCard,
        dma: BusMaster,
        controller: InterruptController,
        source: int,
        line: int,
    ) -> None:
        super().__init__(clock, path)
        self.clock: LocalClock = clock
        self.card = card
        self.dma = dma
        self.port = Port(clock, f"{card.path}/port")
        self.controller = controller
        self.source = source
        """Which bit of a shared vector is this slot's."""
        self.line = line
        self.level = False
        """What the card drives on its INTx pin."""
        self.config = ConfigurationSpace(clock, f"{card.path}/config", card, self._config_written)
        self.power_state = 0
        """PMCSR's: 0 is D0, 3 is D3hot."""
        dma.aborted = self._aborted
        self.messages = False
        """MSI or MSI-X is enabled."""
        self.silent = False
        """The INTx pin may not be driven."""
        self.has_pin = self.config.content[0x3D] != 0
        self.message_vector = controller.new_vector() if CAP_MSI in self.config.capabilities else -1
        self.msix = self._msix_table()
        self.msix_vectors = [controller.new_vector() for _ in range(self.msix.count)] if self.msix is not None else []
        """For each of the card's MSI-X messages: the vector that this machine's software gives it."""
        card.plugged(self)
        self.windows = {index: self._window(index, layout) for index, layout in card.bars.items()}
        card.reset()

    def parts(self) -> Iterable[Component]:
        assert isinstance(self.card, Component)
        table = (self.msix,) if self.msix is not None else ()
        return (self.card, self.config, *table, *self.windows.values(), self.dma, self.port)

    def _msix_table(self) -> MsixTable | None:
        base = self.config.capabilities.get(CAP_MSIX)
        if base is None or not self.serves_table:
            return None
        table = MsixTable(
            self.clock, f"{self.card.path}/msix", bytes(self.config.content[base : base + 12]), self._message
        )
        if not {table.bar, table.pending_bar} <= self.card.bars.keys():
            raise ConfigurationError(
                f"{table.path}: table and pending bits lie in BARs {table.bar} and {table.pending_bar}; "
                f"the card has {sorted(self.card.bars)}"
            )
        return table

    def _window(self, index: int, layout: BarLayout) -> BarWindow:
        registers = self.card.register_space(index)
        if self.msix is not None:
            registers = self.msix.overlay(index, layout, registers)
        return BarWindow(self.clock, f"{self.card.path}/bar{index}", f"bar{index}", layout, registers)

    # --- the card's side

    def set_level(self, level: bool) -> None:
        if level != self.level:
            self.level = level
            self._drive()

    def message_enabled(self) -> bool:
        return self.messages

    def send_message(self, vector: int) -> bool:
        if self.msix is not None and self.msix.enabled and vector < self.msix.count:
            self.msix.signal(vector)  # without the bus it waits, as while it is masked
            return True
        if not self.dma.enabled or not self._capability_bit(CAP_MSI, MSI_CONTROL):
            self.drop("message not enabled", f"vector {vector}")
            return False
        base = self.config.capabilities[CAP_MSI]
        wide = 8 if self.config.content[base + 2] & MSI_CONTROL["64BIT"] else 4
        address = int.from_bytes(self.config.content[base + 4 : base + 4 + wide], "little")
        self._message(address, self.config.word(base + 4 + wide))
        return True

    def _message(self, address: int, data: int) -> None:
        """A message is a write to where the machine's interrupt controller listens; its data are the vector."""
        if address == MESSAGE_ADDRESS and data in self.controller.sources:
            self.controller.send(data)
        else:
            self.drop("message astray", f"{data:#x} to {address:#x}, where no interrupt controller listens")

    def _capability_bit(self, capability: int, control: Register) -> bool:
        base = self.config.capabilities.get(capability)
        return base is not None and bool(self.config.word(base + control.offset) & control["ENABLE"])

    def _drive(self) -> None:
        """6.2.2, 6.2.3: the pin is silent under INTX_DISABLE and with messages enabled; STATUS tells what is wanted.

        A function that sleeps asserts nothing but PME# (PM 5.4).
        """
        content = self.config.content
        if self.level:
            content[STATUS.offset] |= _INTERRUPT
        else:
            content[STATUS.offset] &= ~_INTERRUPT
        self.controller.set_level(self.line, self.source, self.level and not self.silent and self.power_state == 0)

    def _messages_changed(self) -> None:
        before = self.messages
        msi, msix = self._capability_bit(CAP_MSI, MSI_CONTROL), self._capability_bit(CAP_MSIX, MSIX_CONTROL)
        self.messages = msi or msix
        self.silent = self.messages or bool(self.config.word(COMMAND.offset) & _INTX_DISABLE)
        if self.msix is not None:
            control = self.config.word(self.config.capabilities[CAP_MSIX] + MSIX_CONTROL.offset)
            self.msix.control(msix, bool(control & MSIX_CONTROL["FUNCTION_MASK"]) or not self.dma.enabled)
        if msi and not before and self.dma.enabled:
            # a cause that has come before must not wait for another; the card knows whether it has been told
            self.card.bus_master_changed(True)

    def _aborted(self) -> None:
        self.config.set_word(STATUS.offset, self.config.word(STATUS.offset) | _MASTER_ABORT)

    # --- the driver's side

    def enable_msi(self) -> None:
        """Program address and data as this machine's firmware would, and set the enable bit."""
        config, base = self.config, self.config.capabilities[CAP_MSI]
        config.write(base + 4, MESSAGE_ADDRESS, 4)
        wide = config.content[base + 2] & MSI_CONTROL["64BIT"]
        if wide:
            config.write(base + 8, 0, 4)
        config.write(base + (12 if wide else 8), self.message_vector, 2)
        config.write(base + 2, config.word(base + 2) | MSI_CONTROL["ENABLE"], 2)

    def _config_written(self, offset: int) -> None:
        pm = self.config.capabilities.get(CAP_PM)
        if pm is not None and offset == pm + PMCSR.offset:
            self._power_changed(pm)
        self._follow_config()

    def _follow_config(self) -> None:
        """What follows from configuration space: decoding, bus mastering, messages, the pin."""
        self._gate()
        self._messages_changed()
        self._drive()

    def _power_changed(self, pm: int) -> None:
        """PM 3.2.4: a state that the function has not is not entered. 5.4: who leaves D3hot has lost its context."""
        state = self.config.word(pm + PMCSR.offset) & PMCSR["STATE"]
        if not _POWER_STATES[state] & self.config.word(pm + PM_CAPABILITIES):
            self.config.set_word(pm + PMCSR.offset, self.config.word(pm + PMCSR.offset) & ~3 | self.power_state)
            self.drop("no such power state", f"D{state}")
            return
        before, self.power_state = self.power_state, state
        if before == 3 and state == 0:
            self.config.power_on()
            if self.msix is not None:
                self.msix.reset()
            self.card.reset()

    def _decodes(self, window: BarWindow) -> bool:
        return bool(self.config.word(COMMAND.offset) & (_IO if window.kind == "io" else _MEMORY))

    def _gate(self) -> None:
        awake = self.power_state == 0
        for window in self.windows.values():
            window.enabled = awake and self._decodes(window)
        master = awake and bool(self.config.word(COMMAND.offset) & _MASTER)
        if master != self.dma.enabled:
            self.dma.enabled = master
            self.card.bus_master_changed(master)
