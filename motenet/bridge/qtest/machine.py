"""A PC of QEMU's with one card, driven from here: its processor is parked, our driver takes its place."""

import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from motenet.bridge.qtest.connection import Connection
from motenet.bridge.qtest.function import (
    QtestConfigSpace,
    QtestFunction,
    QtestInterrupts,
    QtestWindow,
    assign_bars,
    disable_decoding,
    route_interrupt,
)
from motenet.bridge.qtest.memory import SharedMemory
from motenet.bridge.qtest.process import QemuProcess, has_qtest_accelerator
from motenet.bridge.qtest.time import HpetTime, LastRead, QtestClock, SteppedTime
from motenet.bridge.qtest.wire import Wire
from motenet.bridge.tap import BridgeError
from motenet.core import units
from motenet.core.clock import Clock
from motenet.core.errors import ConfigurationError
from motenet.core.state import Component
from motenet.datasheets.pci import COMMAND
from motenet.machine.dma import MachineDma
from motenet.machine.interrupts import InterruptController
from motenet.sim.host import Outsider

_SLOT = 4
_PIIX3 = 1
"""The ISA bridge's slot in QEMU's `pc` machine."""
_PIRQ_ROUTES = (0x60, (10, 10, 11, 11))
"""82371SB (PIIX3) 2.2.10: registers 60h-63h lead PIRQA# to PIRQD# to ISA interrupts."""
_LINES = (10, 11)
_MEMORY_BASE, _IO_BASE = 0xE0000000, 0xC000
_STOP_PIT = b"outb 0x43 0x30"
"""8254 data sheet, control word: counter 0 in mode 0 without a count stands still, so that no tick moves the time."""
_RESET = b"outb 0xcf9 0x6"
"""82371SB (PIIX3) 2.5.10: a hard reset of the whole machine."""
_LOOKS = 10_000
_DATAGRAMS = "dgram,id=net,local.type=unix,local.path={folder}/qemu,remote.type=unix,remote.path={folder}/motenet"


class QtestMachine(Outsider):
    """QEMU as a child process, a context manager. `function` is its card, `wire` stands for the card at its cable.

    `device` is QEMU's name of the card, `clock` that of the world in which the peers live: world.join() takes the
    machine in, so that it can be linked. `pin` puts QEMU and this process on one CPU for as long, which makes register
    accesses three to five times faster. `capture` is a pcap file that QEMU writes. With `tap` the cable leads to a TAP
    of that name instead of to `wire`: a card of the real host's, with its offloads. BridgeError when QEMU does not
    start or has gone.
    """

    def __init__(
        self,
        device: str = "e1000",
        *,
        mac: str = "52:54:00:12:34:56",
        clock: Clock | None = None,
        memory: str | int = "64MiB",
        program: str = "qemu-system-x86_64",
        pin: bool = True,
        capture: str | Path | None = None,
        tap: str | None = None,
        name: str = "qemu",
    ) -> None:
        if any(mark in f"{device}{mac}{capture or ''}" for mark in "{}"):
            raise ConfigurationError("braces mean something else in this command line; choose names without them")
        stepped = has_qtest_accelerator(program)
        self.path = self.name = name
        self.memory = SharedMemory(memory)
        self._affinity = os.sched_getaffinity(0) if pin else None
        cpus = {sorted(self._affinity)[os.getpid() % len(self._affinity)]} if self._affinity else None
        try:
            arguments = _arguments(device, mac, self.memory, stepped, capture, tap)
            self._process = QemuProcess(program, arguments, [self.memory.file], cpus)
        except BaseException:
            self.memory.close()
            raise
        if cpus is not None:
            os.sched_setaffinity(0, cpus)
        try:
            self.connection = Connection(self._process.stream, self._process.last_words)
            self.connection.ask(_STOP_PIT)
            time = SteppedTime(self.connection) if stepped else HpetTime(self.connection)
            self.clock = QtestClock(clock if clock is not None else Clock(), time)
            self.clock.take = self.take
            self.wire = Wire(LastRead(self.clock), self._process.wire, self._process.remote, f"{name}/wire")
            self.port = self.wire.port
            self.allocator = self.memory.allocator()
            self.interrupts = InterruptController(self.clock)
            self.interrupts.place(f"{name}/interrupts")
            self._vectors = {line: self.interrupts.new_vector() for line in _LINES}
            self.connection.ask(b"irq_intercept_in ioapic")
            self.function = self._set_up(f"{name}/{device.partition(',')[0]}")
        except BaseException:
            self.close()
            raise

    def parts(self) -> Iterable[Component]:
        return (self.wire, self.interrupts, *self.function.windows.values())

    @property
    def pid(self) -> int:
        """QEMU's process."""
        return self._process.pid

    def _set_up(self, path: str) -> QtestFunction:
        """What a PC's firmware does: route the interrupts, give the card addresses."""
        connection = self.connection
        bridge = QtestConfigSpace(connection, _PIIX3)
        for pin, line in enumerate(_PIRQ_ROUTES[1]):
            bridge.write(_PIRQ_ROUTES[0] + pin, line, 1)
        config = QtestConfigSpace(connection, _SLOT)
        disable_decoding(config)
        windows = {
            index: QtestWindow(connection, self.clock, f"{path}/bar{index}", f"bar{index}", kind, base, size)
            for index, (kind, base, size) in assign_bars(config, _MEMORY_BASE, _IO_BASE).items()
        }
        line = _PIRQ_ROUTES[1][_SLOT - 1 & 3]  # QEMU's pc: INTA# of slot n is PIRQ n - 1, modulo four
        has_pin = route_interrupt(config, line)
        interrupts = QtestInterrupts(self.interrupts, self._vectors[line], has_pin, self._take_levels)
        dma = MachineDma(self.memory, self.allocator)
        return QtestFunction(self.clock, path, config, dma, interrupts, windows)

    def _take_levels(self) -> bool:
        """Bring what QEMU has told of its interrupt lines to the controller."""
        levels = self.connection.levels
        found = bool(levels)
        while levels:
            line, level = levels.popleft()
            if line in self._vectors:
                self.interrupts.set_level(self._vectors[line], 0, level)
        return found

    def take(self) -> bool:
        """Bring in what QEMU has said and sent; tells whether there was any."""
        levels = self._take_levels()
        return self.wire.take() or levels

    def reset(self) -> None:
        """Press the reset button, and set the machine up anew: `function` stays, its card and BARs are fresh.

        Frames under way are lost, and DMA memory stays as it is. Stop the driver first.
        """
        config, command = self.function.config, COMMAND["MEMORY"]
        now = self.clock.now
        config.write(COMMAND.offset, command, 2)
        self.connection.ask(_RESET)
        for _ in range(_LOOKS):
            if not config.read(COMMAND.offset, 2):
                break
        else:
            raise BridgeError("QEMU does not reset its machine")
        self.connection.ask(_STOP_PIT)
        self.clock.restart(now)
        self.take()
        self._set_up(self.function.name)

    def run(self, duration: str | int) -> None:
        """Let QEMU and the world run for so long."""
        self.clock.wait(lambda: False, self.clock.now + units.duration(duration))

    def close(self) -> None:
        """End QEMU, and give back what it had; may be called twice."""
        self._process.stream.close()
        self._process.close()
        self.memory.close()
        affinity, self._affinity = self._affinity, None
        if affinity is not None:
            os.sched_setaffinity(0, affinity)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _arguments(
    device: str, mac: str, memory: SharedMemory, stepped: bool, capture: str | Path | None, tap: str | None
) -> list[str]:
    """QEMU's command line; {folder} stands for that of the sockets."""
    cable = f"tap,id=net,ifname={tap},script=no,downscript=no" if tap else _DATAGRAMS
    accelerator = ["-accel", "qtest"] if stepped else ["-accel", "tcg", "-icount", "shift=0,sleep=off"]
    dump = [] if capture is None else ["-object", f"filter-dump,id=dump,netdev=net,file={capture}"]
    return [
        *accelerator,
        *("-bios", "{folder}/halt.rom", "-nodefaults", "-no-user-config", "-display", "none"),
        *("-m", f"{memory.size >> 10}k"),
        *("-object", f"memory-backend-file,id=ram,size={memory.size},share=on,mem-path={memory.mem_path}"),
        *("-machine", "pc,memory-backend=ram"),
        *("-qtest", "unix:{folder}/qtest", "-qtest-log", "/dev/null"),
        *("-device", f"{device},netdev=net,mac={mac},addr={_SLOT:02x}.0,romfile="),
        *("-netdev", cable),
        *dump,
    ]  # fmt: skip
