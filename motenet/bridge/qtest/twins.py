"""The same program on two cards, QEMU's and ours, and what differs in what they answer.

A program is a function that is given a `Bench`: it writes registers and descriptors, puts frames on the cable, and what
it looks at is noted. Registers are compared through masks, each of which names the reason why other bits may differ.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from motenet.bridge.qtest.machine import QtestMachine
from motenet.core import units
from motenet.core.state import Component
from motenet.datasheets.pci import COMMAND
from motenet.datasheets.registers import Register, RegisterMap
from motenet.doors import FrameFacts, PciFunction
from motenet.machine import Machine, Port

MEMORY = 1 << 20
"""Bytes that both sides share with their card, at the same address: a multiple of this."""
SETTLED = 1200 * units.MS
"""Longer than any of a card's own delays: negotiation takes half a second, QEMU's pause after RCTL a whole one."""

Value = int | bytes | tuple[bytes, ...]
Note = tuple[str, Value]


class Side(Protocol):
    """One of the two computers."""

    @property
    def function(self) -> PciFunction: ...
    def settle(self) -> None:
        """Let so much time pass that everything under way is done."""

    def inject(self, frame: bytes) -> None: ...
    def sent(self) -> tuple[bytes, ...]:
        """The frames that the card has sent since the last call."""

    def line(self) -> bool:
        """Whether the card asserts its interrupt."""


class QemuSide:
    """QEMU's card; `reset` makes it fresh."""

    def __init__(self, machine: QtestMachine) -> None:
        self._machine = machine
        self.function = machine.function

    def reset(self) -> None:
        """As after power-on."""
        self._machine.reset()
        self._machine.wire.received.clear()

    def settle(self) -> None:
        self._machine.run(1 * units.US)  # what is on the cable reaches the card
        self.function.delay(SETTLED)
        self._machine.run(1 * units.US)

    def inject(self, frame: bytes) -> None:
        self.function.config.read(COMMAND.offset, 2)  # PCI 3.2.5: posted writes go before it
        self._machine.wire.send(frame)

    def sent(self) -> tuple[bytes, ...]:
        frames = tuple(self._machine.wire.received)
        self._machine.wire.received.clear()
        return frames

    def line(self) -> bool:
        self._machine.take()  # what came with the last answer
        return any(self._machine.interrupts.sources.values())


class _Recorder(Component):
    """The medium on our side: keeps what the card sends, damaged frames with a mark behind them."""

    takes_unfinished = False

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def frame_sent(self, port: Port, frame: bytes, facts: FrameFacts | None) -> None:
        self.frames.append(frame + b"(damaged)" if facts is not None and facts.damaged else frame)


class OurSide:
    """A model of ours in a machine of its own, alone at the end of a cable."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._slot = machine.slots[0]
        self._recorder = _Recorder()
        self._slot.port.connect(self._recorder)
        self.function = machine.pci.functions[0]

    def settle(self) -> None:
        self._machine.run(SETTLED)

    def inject(self, frame: bytes) -> None:
        self._slot.port.deliver(frame)

    def sent(self) -> tuple[bytes, ...]:
        frames = tuple(self._recorder.frames)
        self._recorder.frames.clear()
        return frames

    def line(self) -> bool:
        return self._slot.level


class Bench:
    """What a program works with. `base` is the bus address of its memory; `notes` is what it has looked at."""

    def __init__(self, side: Side, registers: RegisterMap, bar: int = 0) -> None:
        self._side = side
        self._registers = registers
        function = side.function
        command = COMMAND["IO"] | COMMAND["MEMORY"] | COMMAND["MASTER"]
        self.config = function.config
        self.config.write(COMMAND.offset, command, 2)
        self.window = window = function.bar(bar)
        self._readers = {8: window.read8, 16: window.read16, 32: window.read32}
        self._writers = {8: window.write8, 16: window.write16, 32: window.write32}
        self._buffer = function.dma.allocate(MEMORY, MEMORY)
        self.base = self._buffer.address
        self.notes: list[Note] = []

    def close(self) -> None:
        """Give the memory back."""
        self._side.function.dma.free(self._buffer)

    def write(self, register: Register | int, value: int, width: int = 0) -> None:
        """Write a register, or what lies at an offset, as wide as it is, or as said: 8, 16 or 32 bits."""
        offset, width = self._place(register, width)
        self._writers[width](offset, value)

    def look(self, register: Register | int, width: int = 0) -> int:
        """Read without a note."""
        offset, width = self._place(register, width)
        return self._readers[width](offset)

    def read(self, register: Register | int, width: int = 0) -> int:
        """Read a register and note it under its name."""
        offset, width = self._place(register, width)
        value = self._readers[width](offset)
        self.notes.append((self._registers.label(offset), value))
        return value

    def _place(self, register: Register | int, width: int) -> tuple[int, int]:
        """Offset and width in bits."""
        if not isinstance(register, int):
            return register.offset, width or register.width
        found = None if width else self._registers.at(register)
        return register, width or (found[0].width if found else 32)

    def store(self, offset: int, data: bytes) -> None:
        """Put bytes into memory, `offset` from `base`."""
        self._buffer.lend(offset, len(data))[:] = data

    def load(self, offset: int, length: int) -> bytes:
        """Bytes of memory, not noted."""
        return bytes(self._buffer.lend(offset, length))

    def note(self, label: str, value: Value) -> None:
        """Note something for comparison."""
        self.notes.append((label, value))

    def inject(self, frame: bytes) -> None:
        """A frame arrives at the card."""
        self._side.inject(frame)

    def settle(self) -> None:
        """Let everything under way be done."""
        self._side.settle()

    def frames(self) -> None:
        """Note what the card has sent."""
        self.notes.append(("frames", self._side.sent()))

    def line(self) -> None:
        """Note the interrupt line's level."""
        self.notes.append(("line", int(self._side.line())))

    def discard(self) -> None:
        """Forget what the card has sent."""
        self._side.sent()


Program = Callable[[Bench], None]


class Mask(NamedTuple):
    """The bits of a register that are compared, and the row of docs/fidelity.md that says why not the others."""

    bits: int
    row: str


@dataclass(slots=True)
class Difference:
    """Something that the two have answered differently: the note's number and label, and both answers."""

    number: int
    label: str
    ours: Value | None
    theirs: Value | None

    def __str__(self) -> str:
        return f"#{self.number} {self.label}: ours {_shown(self.ours)}, theirs {_shown(self.theirs)}"


def _shown(value: Value | None) -> str:
    if isinstance(value, int):
        return f"{value:#010x}"
    if isinstance(value, tuple):
        return "[" + ", ".join(_shown(one) for one in value) + "]"
    return "nothing" if value is None else f"{len(value)} bytes {value.hex()}"


def compare(ours: Iterable[Note], theirs: Iterable[Note], masks: Mapping[str, Mask]) -> list[Difference]:
    """What differs between two benches' notes, numbers seen through the masks of their labels ("RAL[3]", or "RAL")."""
    left, right = list(ours), list(theirs)
    found = []
    for number in range(max(len(left), len(right))):
        label, mine = left[number] if number < len(left) else (right[number][0], None)
        other, his = right[number] if number < len(right) else (label, None)
        mask = masks.get(label) or masks.get(label.partition("[")[0])
        bits = -1 if mask is None else mask.bits
        same = mine & bits == his & bits if isinstance(mine, int) and isinstance(his, int) else mine == his
        if label != other or not same:
            found.append(Difference(number, label if label == other else f"{label} / {other}", mine, his))
    return found


class Twins:
    """QEMU's card and ours, side by side. `ours` makes a machine with a fresh card, `bar` has its registers."""

    def __init__(
        self,
        qemu: QtestMachine,
        ours: Callable[[], Machine],
        registers: RegisterMap,
        masks: Mapping[str, Mask],
        bar: int = 0,
    ) -> None:
        self._qemu = QemuSide(qemu)
        self._ours = ours
        self._registers = registers
        self._masks = masks
        self._bar = bar

    def notes(self, program: Program) -> tuple[list[Note], list[Note]]:
        """Let both cards, fresh, obey the program: what ours has answered, and QEMU's."""
        self._qemu.reset()
        return self._run(OurSide(self._ours()), program), self._run(self._qemu, program)

    def run(self, program: Program) -> list[Difference]:
        """Let both cards, fresh, obey the program; what differs."""
        return compare(*self.notes(program), self._masks)

    def _run(self, side: Side, program: Program) -> list[Note]:
        bench = Bench(side, self._registers, self._bar)
        try:
            bench.store(0, bytes(MEMORY))
            program(bench)
        finally:
            bench.close()
        return bench.notes
