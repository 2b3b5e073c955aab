"""A PCI function in QEMU, as its driver sees it: doors.PciFunction over the qtest protocol."""

from collections.abc import Callable, Sequence

from motenet.bridge.qtest.connection import Connection
from motenet.core.clock import LocalClock
from motenet.core.errors import DriverError
from motenet.core.trace import HasNow, RegisterAccess, Watched
from motenet.datasheets.pci import BAR0, BAR_IO, BAR_MEMORY64, COMMAND, INTERRUPT_LINE, INTERRUPT_PIN
from motenet.machine.dma import MachineDma
from motenet.machine.interrupts import Handler, InterruptController

CONFIG_ADDRESS, CONFIG_DATA = 0xCF8, 0xCFC
"""PCI Local Bus 3.0, 3.2.2.3.2: configuration mechanism #1."""
_BARS = 6
_ONES = {1: 0xFF, 2: 0xFFFF, 4: 0xFFFFFFFF}
_LETTERS = {1: "b", 2: "w", 4: "l"}


class QtestConfigSpace:
    """Configuration space through the ports 0xCF8 and 0xCFC. Implements doors.ConfigSpace."""

    def __init__(self, connection: Connection, slot: int) -> None:
        self._connection = connection
        self._enable = 0x80000000 | slot << 11
        self._name = f"slot {slot}"

    def _select(self, offset: int, width: int) -> int:
        if width not in _LETTERS or not 0 <= offset <= 256 - width or offset % width:
            raise DriverError(f"{self._name}: configuration space has no {width}-byte access at {offset:#x}")
        self._connection.post(b"outl %#x %#x" % (CONFIG_ADDRESS, self._enable | offset & 0xFC))
        return CONFIG_DATA + (offset & 3)

    def read(self, offset: int, width: int) -> int:
        port = self._select(offset, width)
        return self._connection.value(b"in%s %#x" % (_LETTERS[width].encode(), port))

    def write(self, offset: int, value: int, width: int) -> None:
        port = self._select(offset, width)
        self._connection.post(b"out%s %#x %#x" % (_LETTERS[width].encode(), port, value & _ONES[width]))


class QtestWindow(Watched):
    """The registers behind a BAR. Implements doors.Window. Writes are posted; any read waits for them (PCI 3.2.5)."""

    def __init__(
        self, connection: Connection, clock: HasNow, path: str, space: str, kind: str, base: int, size: int
    ) -> None:
        super().__init__(clock, path)
        self.space = space
        self.kind = kind
        self.size = size
        self._base = base
        self._value, self._post = connection.value, connection.post
        reads, writes = ("in", "out") if kind == "io" else ("read", "write")
        self._reads = {width: f"{reads}{letter} 0x%x".encode() for width, letter in _LETTERS.items()}
        self._writes = {width: f"{writes}{letter} 0x%x 0x%x".encode() for width, letter in _LETTERS.items()}

    def read8(self, offset: int) -> int:
        return self._read(offset, 1)

    def read16(self, offset: int) -> int:
        return self._read(offset, 2)

    def read32(self, offset: int) -> int:
        return self._read(offset, 4)

    def write8(self, offset: int, value: int) -> None:
        self._write(offset, value, 1)

    def write16(self, offset: int, value: int) -> None:
        self._write(offset, value, 2)

    def write32(self, offset: int, value: int) -> None:
        self._write(offset, value, 4)

    def _refuse_outside(self, offset: int, width: int) -> None:
        if not 0 <= offset <= self.size - width:
            raise DriverError(
                f"{self.path}: {width} bytes at offset {offset:#x} lie outside the window of {self.size:#x} bytes"
            )

    def _read(self, offset: int, width: int) -> int:
        self._refuse_outside(offset, width)
        value = self._value(self._reads[width] % (self._base + offset))
        if self.watch is not None:
            self.watch(RegisterAccess(self.clock.now, self.path, self.space, offset, width, value, False))
        return value

    def _write(self, offset: int, value: int, width: int) -> None:
        self._refuse_outside(offset, width)
        value &= _ONES[width]
        if self.watch is not None:
            self.watch(RegisterAccess(self.clock.now, self.path, self.space, offset, width, value, True))
        self._post(self._writes[width] % (self._base + offset, value))


class QtestInterrupts:
    """INTx through the PC's I/O APIC, whose inputs QEMU tells us of. Implements doors.Interrupts.

    There are no messages: `irq_intercept_in` does not see them.
    """

    def __init__(
        self, controller: InterruptController, vector: int, has_pin: bool, settle: Callable[[], object]
    ) -> None:
        self._controller = controller
        self._vector = vector
        self._has_pin = has_pin
        self._settle = settle

    def allocate(self, count: int = 1, kinds: Sequence[str] = ("msi-x", "msi", "intx")) -> list[int]:
        if "intx" not in kinds or not self._has_pin:
            raise DriverError(f"a function over qtest has INTx, if it has a pin; not {', '.join(kinds)}")
        return [self._vector]

    def connect(self, vector: int, handler: Handler) -> None:
        def handle() -> bool:
            handled = handler()
            self._settle()  # the line as the handler has left it
            return handled

        self._controller.connect(vector, 0, handle)

    def mask(self, vector: int) -> None:
        self._controller.mask(vector, 0)

    def unmask(self, vector: int) -> None:
        self._controller.unmask(vector, 0)

    def free(self) -> None:
        self._controller.disconnect(self._vector, 0)


class QtestFunction:
    """Implements doors.PciFunction."""

    def __init__(
        self,
        clock: LocalClock,
        name: str,
        config: QtestConfigSpace,
        dma: MachineDma,
        interrupts: QtestInterrupts,
        windows: dict[int, QtestWindow],
    ) -> None:
        self.name = name
        self.config = config
        self.dma = dma
        self.interrupts = interrupts
        self.clock = clock
        self.delay = clock.delay
        self.windows = windows

    @property
    def now(self) -> int:
        return self.clock.now

    def bar(self, index: int) -> QtestWindow:
        try:
            return self.windows[index]
        except KeyError:
            raise DriverError(f"{self.name} has no BAR {index}; it has {sorted(self.windows)}") from None


def assign_bars(config: QtestConfigSpace, memory: int, io: int) -> dict[int, tuple[str, int, int]]:
    """Do what firmware does: find each BAR's size by writing ones, and give it an address (PCI 6.2.5.1).

    `memory` and `io` are where free addresses begin. Returns kind, address and size by index.
    """
    found: dict[int, tuple[str, int, int]] = {}
    index = 0
    while index < _BARS:
        at = BAR0 + 4 * index
        config.write(at, 0xFFFFFFFF, 4)
        bits = config.read(at, 4)
        wide = not bits & BAR_IO and bits & 0x6 == BAR_MEMORY64
        kind, type_bits = ("io", 0x3) if bits & BAR_IO else ("memory", 0xF)
        size = (~(bits & ~type_bits) & 0xFFFFFFFF) + 1 if bits & ~type_bits else 0
        if kind == "io":
            size &= 0xFFFF  # a PC's ports; the upper half may be hardwired to zero
        if size:
            start = io if kind == "io" else memory
            address = -(-start // size) * size
            config.write(at, address, 4)
            if wide:
                config.write(at + 4, 0, 4)
            found[index] = (kind, address, size)
            if kind == "io":
                io = address + size
            else:
                memory = address + size
        index += 2 if wide else 1
    return found


def disable_decoding(config: QtestConfigSpace) -> None:
    """6.2.5.1: software sizes BARs with decoding off."""
    config.write(COMMAND.offset, config.read(COMMAND.offset, 2) & ~(COMMAND["IO"] | COMMAND["MEMORY"]), 2)


def route_interrupt(config: QtestConfigSpace, line: int) -> bool:
    """Tell the function which line its pin leads to (6.2.4); says whether it has a pin."""
    config.write(INTERRUPT_LINE, line, 1)
    return config.read(INTERRUPT_PIN, 1) != 0
