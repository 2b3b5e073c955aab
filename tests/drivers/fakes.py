"""What the mocked PCI functions share: clock, configuration space, one line, and a log of register accesses."""

from collections.abc import Callable
from typing import Any

from motenet.core.errors import DriverError
from motenet.machine.dma import MachineDma
from motenet.machine.memory import Allocator, PhysicalMemory

MAC = bytes.fromhex("525400123456")


class FakeClock:
    """Time that moves when somebody delays, or a test says so."""

    def __init__(self) -> None:
        self.now = 0
        self.in_interrupt = False

    def post(self, callback: Callable[[Any], None], argument: Any = None) -> None:
        raise AssertionError("such a driver needs no events of its own")

    def wait(self, ready: Callable[[], bool], deadline: int) -> bool:
        raise AssertionError("a driver never blocks")

    def delay(self, nanoseconds: int) -> None:
        if self.in_interrupt:
            raise DriverError("a handler may not delay")
        self.now += nanoseconds


class FakeConfig:
    """Configuration space, all of it writable."""

    def __init__(self, content: bytes | bytearray) -> None:
        self.content = bytearray(content)

    def read(self, offset: int, width: int) -> int:
        return int.from_bytes(self.content[offset : offset + width], "little")

    def write(self, offset: int, value: int, width: int) -> None:
        self.content[offset : offset + width] = value.to_bytes(width, "little")


class FakeInterrupts:
    """One vector, 7."""

    def __init__(self) -> None:
        self.handler: Callable[[], bool] | None = None
        self.kinds: tuple[str, ...] = ()

    def allocate(self, count: int = 1, kinds: tuple[str, ...] = ()) -> list[int]:
        self.kinds = tuple(kinds)
        return [7]

    def connect(self, vector: int, handler: Callable[[], bool]) -> None:
        assert vector == 7
        self.handler = handler

    def free(self) -> None:
        self.handler = None


class FakeFunction:
    """doors.PciFunction over real DMA memory, but for its BARs."""

    name = "fake"

    def __init__(
        self, config: FakeConfig, clock: Any = None, dma: type[MachineDma] = MachineDma, memory: int = 16 << 20
    ) -> None:
        """`memory`: the machine's bytes."""
        self.memory = PhysicalMemory(memory)
        self.dma: Any = dma(self.memory, Allocator(self.memory.size))
        self.config, self.clock = config, clock or FakeClock()
        self.interrupts: Any = FakeInterrupts()
        self.log: list[tuple[str, str, int]] = []

    @property
    def now(self) -> int:
        return self.clock.now

    def delay(self, nanoseconds: int) -> None:
        self.clock.delay(nanoseconds)

    def writes(self, *names: str) -> list[tuple[str, int]]:
        """The logged writes, of these registers or of all."""
        return [(name, value) for kind, name, value in self.log if kind == "write" and (not names or name in names)]

    def cause(self, causes: int) -> None:
        """Set causes of an interrupt."""
        raise AssertionError("the card's")

    def raise_interrupt(self, causes: int) -> bool:
        """Set causes, and call the handler as the machine does."""
        self.cause(causes)
        assert self.interrupts.handler is not None
        self.clock.in_interrupt = True
        try:
            return self.interrupts.handler()
        finally:
            self.clock.in_interrupt = False
