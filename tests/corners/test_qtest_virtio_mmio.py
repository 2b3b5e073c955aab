"""Our driver on QEMU's virtio-mmio: its machine `microvm` has no PCI, and eight transports of version 2 in a row."""

from collections.abc import Iterable, Iterator

import pytest
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from motenet.bridge.qtest import QtestHost
from motenet.bridge.qtest.connection import Connection
from motenet.bridge.qtest.function import QtestInterrupts, QtestWindow
from motenet.bridge.qtest.memory import SharedMemory
from motenet.bridge.qtest.process import QemuProcess, has_qtest_accelerator
from motenet.bridge.qtest.time import QtestClock, SteppedTime
from motenet.bridge.qtest.wire import Wire
from motenet.bridge.vfio_user.qemu import PREPARE, find_qemu
from motenet.core.state import Component
from motenet.core.units import SECOND
from motenet.datasheets.virtio import mmio
from motenet.doors import PciFunction
from motenet.drivers import VirtioNetDriver
from motenet.drivers.virtio.mmio import MmioTransport
from motenet.machine.dma import MachineDma
from motenet.machine.interrupts import InterruptController
from motenet.sim.host import Outsider
from motenet.sim.world import World
from motenet.stack import NetworkStack

pytestmark = pytest.mark.needs("qemu")

MAC = "52:54:00:12:34:56"
_FIRST, _STRIDE, _TRANSPORTS, _LINE = 0xFEB00000, 0x200, 8, 5
"""QEMU include/hw/i386/microvm.h: where the transports lie, and the I/O APIC's input of the first."""


class Microvm(Outsider):
    """QEMU's microvm with one card. It is the function, too: doors.Function, without configuration space."""

    def __init__(self, program: str, properties: str, world: World) -> None:
        self.path = self.name = "microvm"
        self.memory = SharedMemory("64MiB")
        self._process = QemuProcess(program, _arguments(self.memory, properties), [self.memory.file], None)
        self.connection = Connection(self._process.stream, self._process.last_words)
        self.clock = QtestClock(world.clock, SteppedTime(self.connection))
        self.clock.take = self.take
        self.wire = Wire(self.clock, self._process.wire, self._process.remote, "microvm/wire")
        self.port = self.wire.port
        self.connection.ask(b"irq_intercept_in ioapic")
        controller = InterruptController(self.clock)
        self.controller, self.vector = controller, controller.new_vector()
        self.number, self.window = self._find()
        self.interrupts = QtestInterrupts(controller, self.vector, True, self._take_levels)
        self.dma = MachineDma(self.memory, self.memory.allocator())

    def _find(self) -> tuple[int, QtestWindow]:
        """4.2.1: whoever sets a machine up knows where its devices are; a DeviceID of 0 is a place without one."""
        for number in range(_TRANSPORTS):
            at = _FIRST + number * _STRIDE
            window = QtestWindow(self.connection, self.clock, "microvm/nic", "mmio", "memory", at, _STRIDE)
            if window.read32(mmio.DEVICE_ID.offset):
                return number, window
        raise AssertionError("QEMU has put the card nowhere")

    def parts(self) -> Iterable[Component]:
        return (self.wire, self.controller, self.window)

    @property
    def now(self) -> int:
        return self.clock.now

    def delay(self, nanoseconds: int) -> None:
        self.clock.delay(nanoseconds)

    def bar(self, index: int) -> QtestWindow:
        assert index == 0
        return self.window

    def run(self, duration: int) -> None:
        self.clock.wait(lambda: False, self.clock.now + duration)

    def _take_levels(self) -> bool:
        levels = self.connection.levels
        found = bool(levels)
        while levels:
            line, level = levels.popleft()
            if line == _LINE + self.number:
                self.controller.set_level(self.vector, 0, level)
        return found

    def take(self) -> bool:
        levels = self._take_levels()
        return self.wire.take() or levels

    def close(self) -> None:
        self._process.stream.close()
        self._process.close()
        self.memory.close()


def _arguments(memory: SharedMemory, properties: str) -> list[str]:
    return [
        *("-accel", "qtest", "-bios", "{folder}/halt.rom", "-nodefaults", "-no-user-config", "-display", "none"),
        *("-machine", "microvm,memory-backend=ram,ioapic2=off,pit=off,pic=off,rtc=off,acpi=off"),
        *("-m", f"{memory.size >> 10}k"),
        *("-object", f"memory-backend-file,id=ram,size={memory.size},share=on,mem-path={memory.mem_path}"),
        *("-qtest", "unix:{folder}/qtest", "-qtest-log", "/dev/null", "-global", "virtio-mmio.force-legacy=false"),
        *("-device", f"virtio-net-device,netdev=net,mac={MAC}{properties}"),
        *("-netdev", "dgram,id=net,local.type=unix,local.path={folder}/qemu"
          ",remote.type=unix,remote.path={folder}/motenet"),
    ]  # fmt: skip


@pytest.fixture(params=["", ",packed=on", ",mrg_rxbuf=off,event_idx=off", ",packed=on,indirect_desc=off"])
def machine(request: pytest.FixtureRequest) -> Iterator[Microvm]:
    program = find_qemu()
    if program is None or not has_qtest_accelerator(program):
        pytest.skip(f"no QEMU here has -accel qtest; {PREPARE} fetches one")
    machine = Microvm(program, request.param, World(seed=3))
    yield machine
    machine.close()


@pytest.mark.exercises(driver="motenet virtio-net", card="QEMU virtio-mmio", what="start, frames both ways, stop")
def test_4_2_the_driver_brings_the_card_up(machine: Microvm) -> None:
    assert not isinstance(machine, PciFunction)
    driver = VirtioNetDriver(machine)
    assert isinstance(driver.transport, MmioTransport)
    driver.start()
    assert driver.mac_address == bytes.fromhex(MAC.replace(":", ""))
    assert driver.is_link_up
    sent = [bytes(Ether(src="02::2", dst=MAC, type=0x88B5) / Raw(bytes([number]) * 100)) for number in range(40)]
    got = []
    for one in sent:
        machine.wire.send(one)
        assert driver.send(one)
        machine.run(100_000)
        driver.poll()
        while (received := driver.receive()) is not None:
            got.append(bytes(received.frame))
    assert got == list(machine.wire.received) == sent
    assert driver.interrupts_seen
    driver.stop()
    assert driver.transport.read_status() == 0
    assert driver.drops == {}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        pytest.param(ours, theirs, marks=pytest.mark.exercises(
            driver="motenet virtio-net", card="QEMU virtio-mmio", what=f"ping and TCP over {family}"))
        for family, ours, theirs in (("IPv4", "10.0.0.1", "10.0.0.2"), ("IPv6", "fd00::a", "fd00::b"))
    ],
)  # fmt: skip
def test_4_2_ping_and_tcp(machine: Microvm, ours: str, theirs: str) -> None:
    world = World(seed=4)
    machine.clock.world = world.clock
    bob = world.host("bob", nic="virtio-net", address=f"{theirs}/24")
    world.join(machine)
    world.link(machine, bob)
    driver = VirtioNetDriver(machine)
    stack = NetworkStack(driver, address=f"{ours}/24", name="alice/stack")
    alice = QtestHost(machine, driver, stack)  # type: ignore[arg-type]
    alice.start()
    clock = machine.clock
    assert None not in stack.ping(theirs, count=3, interval="1ms")
    listener, client = bob.stack.tcp_listen(80), stack.tcp_connect(theirs, 80)
    assert clock.wait(lambda: listener.can_accept, clock.now + SECOND)
    server = listener.accept()
    assert server is not None
    data = bytes(range(256)) * 1000
    for sender, receiver in ((client, server), (server, client)):
        rest, got = [memoryview(data)], bytearray()

        def arrived(sender=sender, receiver=receiver, rest=rest, got=got) -> bool:
            if rest[0]:
                rest[0] = rest[0][sender.send(rest[0]) :]
            while receiver.can_recv:
                got.extend(receiver.recv(1 << 20))
            return len(got) >= len(data)

        assert clock.wait(arrived, clock.now + 60 * SECOND)
        assert bytes(got) == data
    assert (driver.drops, stack.drop_reasons, bob.stack.drop_reasons) == ({}, {}, {})
