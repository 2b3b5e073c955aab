"""qtest's line protocol, and what is made of it, against a peer that follows a script."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from motenet.bridge.qtest.connection import MOST_POSTED, Connection
from motenet.bridge.qtest.function import QtestConfigSpace, QtestInterrupts, QtestWindow, assign_bars
from motenet.bridge.qtest.time import HpetTime, SteppedTime
from motenet.bridge.tap import BridgeError
from motenet.core.clock import Clock, LocalClock
from motenet.core.errors import DriverError
from motenet.core.trace import RegisterAccess
from motenet.machine.interrupts import InterruptController


@dataclass
class Peer:
    """Answers each command by `answer`, on a thread of its own, and keeps what it was told."""

    answer: Callable[[str], str | bytes] = lambda command: "OK\n"
    heard: list[str] = field(default_factory=list)

    def serve(self, stream: socket.socket) -> None:
        with suppress(OSError), stream, stream.makefile("rb") as lines:  # the test may be over in between
            for line in lines:
                command = line.decode().strip()
                self.heard.append(command)
                reply = self.answer(command)
                if not reply:
                    return
                stream.sendall(reply.encode() if isinstance(reply, str) else reply)


Talk = Callable[[Callable[[str], str | bytes]], tuple[Connection, Peer]]


@pytest.fixture
def talk() -> Iterator[Talk]:
    """`talk(answer)` gives a connection, and the peer behind it."""
    threads, connections = [], []

    def begin(answer: Callable[[str], str | bytes]) -> tuple[Connection, Peer]:
        ours, theirs = socket.socketpair()
        peer = Peer(answer)
        thread = threading.Thread(target=peer.serve, args=(theirs,))
        thread.start()
        connection = Connection(ours, lambda: "qemu: no such thing")
        threads.append(thread)
        connections.append(connection)
        return connection, peer

    yield begin
    for connection in connections:
        connection.close()
    for thread in threads:
        thread.join(5)


class Ports:
    """PCI configuration by ports 0xCF8 and 0xCFC, over registers with hardwired bits: offset -> (value, writable)."""

    def __init__(self, registers: dict[int, tuple[int, int]]) -> None:
        self.registers = registers
        self.selected = 0

    def __call__(self, command: str) -> str:
        word, *numbers = command.split()
        port, value = int(numbers[0], 0), int(numbers[1], 0) if len(numbers) > 1 else 0
        if word == "outl" and port == 0xCF8:
            self.selected = value & 0xFC
        elif word == "outl":
            old, writable = self.registers.get(self.selected, (0, 0))
            self.registers[self.selected] = (old & ~writable | value & writable, writable)
        elif word == "inl":
            return f"OK {self.registers.get(self.selected, (0, 0))[0]:#06x}\n"
        return "OK\n"


# --- the protocol (QEMU docs/devel/qtest.rst)


def test_a_reply_is_a_number_or_nothing(talk: Talk) -> None:
    connection, peer = talk(lambda command: "OK 0x0000000080080783\n" if command.startswith("readl") else "OK\n")
    assert connection.value(b"readl 0xe0000008") == 0x80080783
    assert connection.ask(b"outb 0x43 0x30") == b""
    assert peer.heard == ["readl 0xe0000008", "outb 0x43 0x30"]


def test_interrupt_lines_in_front_of_a_reply_are_queued(talk: Talk) -> None:
    connection, _ = talk(lambda command: "IRQ raise 11\nIRQ lower 11\nIRQ raise 10\nOK 7\n")
    assert connection.value(b"readl 0x0") == 7
    assert list(connection.levels) == [(11, True), (11, False), (10, True)]


def test_a_reply_may_come_in_pieces(talk: Talk) -> None:
    pieces = {"a": b"IRQ ra", "b": b"ise 11\nOK 0x1\nO", "c": b"K 0x2\nOK 0x5\n"}
    connection, _ = talk(pieces.__getitem__)
    connection.post(b"a")
    connection.post(b"b")
    assert connection.value(b"c") == 5
    assert list(connection.levels) == [(11, True)]


def test_posted_writes_do_not_wait_and_stay_in_order(talk: Talk) -> None:
    connection, peer = talk(lambda command: f"OK {len(peer.heard)}\n")
    for number in range(3 * MOST_POSTED):
        connection.post(b"writel 0x0 %d" % number)
    assert connection.value(b"readl 0x0") == 3 * MOST_POSTED + 1
    assert peer.heard[:-1] == [f"writel 0x0 {number}" for number in range(3 * MOST_POSTED)]


@pytest.mark.parametrize("reply", ["FAIL Unknown command 'jump'\n", "ERR no\n", "hello\n", "\n"])
def test_a_refusal_names_the_command_that_was_refused(talk: Talk, reply: str) -> None:
    connection, _ = talk(lambda command: reply if command == "jump 1" else "OK\n")
    connection.post(b"jump 1")
    with pytest.raises(BridgeError, match="jump 1"):
        connection.ask(b"readl 0x0")


@pytest.mark.parametrize("line", ["IRQ raise\n", "IRQ rise 11\n", "IRQ raise x\n", "IRQ raise 1 2\n"])
def test_a_garbled_interrupt_line_is_an_error(talk: Talk, line: str) -> None:
    connection, _ = talk(lambda command: line)
    with pytest.raises(BridgeError, match="no line of the qtest protocol"):
        connection.ask(b"readl 0x0")


def test_when_qemu_goes_its_last_words_are_told(talk: Talk) -> None:
    connection, _ = talk(lambda command: "")
    with pytest.raises(BridgeError, match=r"gone at 'readl 0x0'.*no such thing"):
        connection.ask(b"readl 0x0")
    with pytest.raises(BridgeError, match="gone"):
        connection.ask(b"readl 0x4")


# --- configuration space and windows


def test_configuration_goes_through_mechanism_1(talk: Talk) -> None:
    """PCI Local Bus 3.0, 3.2.2.3.2: bit 31 enables; device, register; the low bits of the offset choose the lane."""
    connection, peer = talk(lambda command: "OK 0x100e\n" if command.startswith("in") else "OK\n")
    config = QtestConfigSpace(connection, 4)
    assert config.read(2, 2) == 0x100E
    config.write(0x10, 0xE0000000, 4)
    config.write(0x3C, 0x1FF, 1)
    assert config.read(0, 4) == 0x100E
    assert peer.heard == [
        *("outl 0xcf8 0x80002000", "inw 0xcfe"),
        *("outl 0xcf8 0x80002010", "outl 0xcfc 0xe0000000"),
        *("outl 0xcf8 0x8000203c", "outb 0xcfc 0xff"),
        *("outl 0xcf8 0x80002000", "inl 0xcfc"),
    ]


@pytest.mark.parametrize(("offset", "width"), [(1, 2), (2, 4), (256, 1), (0, 3), (-4, 4), (254, 4)])
def test_an_impossible_configuration_access_is_refused(talk: Talk, offset: int, width: int) -> None:
    connection, _ = talk(lambda command: "OK 0\n")
    config = QtestConfigSpace(connection, 4)
    with pytest.raises(DriverError, match="configuration space"):
        config.read(offset, width)
    with pytest.raises(DriverError, match="configuration space"):
        config.write(offset, 0, width)


def test_bars_get_addresses_by_their_sizes(talk: Talk) -> None:
    """6.2.5.1: an e1000's 128 KiB of memory and 64 ports, a 64-bit BAR of 16 KiB, and one of 16 ports."""
    ports = Ports(
        {
            0x10: (0, 0xFFFE0000),
            0x14: (1, 0xFFFFFFC0),
            0x18: (0x0C, 0xFFFFC000),
            0x1C: (0, 0xFFFFFFFF),
            0x24: (1, 0x0000FFF0),
        }
    )
    connection, _ = talk(ports)
    config = QtestConfigSpace(connection, 4)
    found = assign_bars(config, 0xE0001000, 0xC010)
    assert found == {
        0: ("memory", 0xE0020000, 0x20000),
        1: ("io", 0xC040, 0x40),
        2: ("memory", 0xE0040000, 0x4000),
        5: ("io", 0xC080, 0x10),
    }
    assert [config.read(at, 4) for at in (0x10, 0x14, 0x18, 0x1C, 0x24)] == [
        *(0xE0020000, 0xC041, 0xE004000C, 0, 0xC081),
    ]


def window(connection: Connection, kind: str = "memory") -> QtestWindow:
    return QtestWindow(connection, LocalClock(Clock()), "qemu/e1000/bar0", "bar0", kind, 0xE0000000, 0x100)


def test_a_window_uses_the_width_that_was_asked_for(talk: Talk) -> None:
    connection, peer = talk(lambda command: "OK 0x12\n" if command[0] in "ri" else "OK\n")
    memory = window(connection)
    memory.write8(1, 0x1FF)
    memory.write16(2, 0x10002)
    memory.write32(4, -1)
    assert (memory.read8(9), memory.read16(10), memory.read32(0xFC)) == (0x12, 0x12, 0x12)
    ports = window(connection, "io")
    ports.write32(0, 8)
    ports.read8(0)
    assert peer.heard == [
        *("writeb 0xe0000001 0xff", "writew 0xe0000002 0x2", "writel 0xe0000004 0xffffffff"),
        *("readb 0xe0000009", "readw 0xe000000a", "readl 0xe00000fc"),
        *("outl 0xe0000000 0x8", "inb 0xe0000000"),
    ]


def test_an_access_outside_the_window_is_refused_and_others_are_watched(talk: Talk) -> None:
    connection, _ = talk(lambda command: "OK 0x5\n")
    memory = window(connection)
    for access in (lambda: memory.read32(0xFD), lambda: memory.read8(-1), lambda: memory.write8(0x100, 0)):
        with pytest.raises(DriverError, match="outside the window"):
            access()
    seen: list[object] = []
    memory.watch = seen.append
    memory.read16(8)
    memory.write32(12, 6)
    assert seen == [
        RegisterAccess(0, "qemu/e1000/bar0", "bar0", 8, 2, 5, False),
        RegisterAccess(0, "qemu/e1000/bar0", "bar0", 12, 4, 6, True),
    ]


# --- interrupts


def test_a_handler_runs_in_an_event_and_once_for_a_line_that_it_lowers() -> None:
    clock = LocalClock(Clock())
    controller = InterruptController(clock)
    vector, told = controller.new_vector(), [False]
    interrupts = QtestInterrupts(controller, vector, True, lambda: controller.set_level(vector, 0, told[0]))
    calls: list[int] = []

    def handler() -> bool:
        calls.append(len(calls))
        told[0] = len(calls) < 2  # the first call leaves the line high
        return True

    assert interrupts.allocate(1, ("msi", "intx")) == [vector]
    interrupts.connect(vector, handler)
    controller.set_level(vector, 0, True)
    assert calls == [], "never inside the access that raised the line"
    clock.world.run(1000)
    assert calls == [0, 1]
    interrupts.free()
    controller.set_level(vector, 0, True)
    clock.world.run(2000)
    assert calls == [0, 1]


def test_masked_interrupts_wait() -> None:
    clock = LocalClock(Clock())
    controller = InterruptController(clock)
    vector = controller.new_vector()
    calls: list[int] = []
    interrupts = QtestInterrupts(controller, vector, True, lambda: controller.set_level(vector, 0, False))
    interrupts.connect(vector, lambda: bool(calls.append(1)))
    interrupts.mask(vector)
    controller.set_level(vector, 0, True)
    clock.world.run(1000)
    assert calls == []
    interrupts.unmask(vector)
    clock.world.run(2000)
    assert calls == [1]


@pytest.mark.parametrize(("pin", "kinds"), [(True, ("msi-x", "msi")), (False, ("msi", "intx"))])
def test_without_a_pin_or_for_messages_alone_there_is_no_vector(pin: bool, kinds: tuple[str, ...]) -> None:
    clock = LocalClock(Clock())
    interrupts = QtestInterrupts(InterruptController(clock), 0, pin, lambda: None)
    with pytest.raises(DriverError, match="INTx"):
        interrupts.allocate(1, kinds)


# --- QEMU's virtual clock


def test_stepped_time_moves_by_clock_step_alone(talk: Talk) -> None:
    """docs/devel/qtest.rst: `clock_step NS` replies with the clock's new value; QEMU 11.1 refuses a step of 0."""
    now = [4999]

    def answer(command: str) -> str:
        word, *number = command.split()
        if word != "clock_step":
            return "IRQ raise 10\nOK little\n"
        now[0] += int(number[0])
        return f"OK {now[0]}\n" if int(number[0]) else "FAIL could not advance time\n"

    connection, peer = talk(answer)
    time = SteppedTime(connection)
    assert time.read() == 5000
    assert list(connection.levels) == [(10, True)]
    time.advance(7500)
    time.advance(7000)
    assert now == [7500]
    assert "clock_step 2500" in peer.heard


def test_hpet_time_leaps_by_a_comparator(talk: Talk) -> None:
    """IA-PC HPET 1.0a, table 2: configuration at 10h, main counter at F0h, comparator 0 at 108h; ticks of 10 ns."""
    state = {0xFED00010: 0, 0xFED000F0: 100}
    late = [2]

    def answer(command: str) -> str:
        word, *numbers = command.split()
        at = int(numbers[0], 0)
        if word == "writeq":
            state[at] = int(numbers[1], 0)
            return "OK\n"
        if 0xFED00108 in state and not late[0]:
            state[0xFED000F0] = max(state[0xFED000F0], state[0xFED00108])
        late[0] = max(0, late[0] - 1)
        return f"OK {state[at]:#x}\n"

    connection, peer = talk(answer)
    time = HpetTime(connection)
    assert state[0xFED00010] == 1
    assert time.read() == 1000
    time.advance(1995)  # between two ticks: the later one
    assert time.read() == 2000
    heard = len(peer.heard)
    time.advance(1500)
    assert not any("108" in command for command in peer.heard[heard:]), "a time in the past needs no comparator"
