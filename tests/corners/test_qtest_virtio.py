"""Our driver and our stack on QEMU's virtio-net-pci: modern, transitional and legacy; split and packed queues."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from struct import pack_into
from typing import Any

import pytest
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from motenet.bridge.qtest import QtestHost, QtestMachine
from motenet.bridge.qtest.process import has_qtest_accelerator
from motenet.bridge.vfio_user.qemu import PREPARE, find_qemu
from motenet.core.units import MS, SECOND
from motenet.datasheets.virtio import common, legacy
from motenet.datasheets.virtio.pci import NO_VECTOR
from motenet.devices import VirtioNet
from motenet.drivers import VirtioNetDriver
from motenet.drivers.virtio.legacy import LegacyTransport
from motenet.drivers.virtio.modern import ModernTransport, structures
from motenet.drivers.virtio.packed import PackedQueue
from motenet.drivers.virtio.split import SplitQueue
from motenet.drivers.virtio.transport import NEEDS_RESET
from motenet.sim.world import World
from motenet.stack import NetworkStack
from motenet.stack.sockets.tcp import TcpSocket
from tests.corners.shared import transferred

pytestmark = pytest.mark.needs("qemu")

MAC = "52:54:00:12:34:56"
PEER = "02:00:00:00:00:02"
MODERN = "disable-legacy=on,vectors=0"
LEGACY = "disable-modern=on,disable-legacy=off,vectors=0"
BOTH = "disable-legacy=off,vectors=0"

VARIANTS = {
    "modern, split": MODERN,
    "modern, packed": f"{MODERN},packed=on",
    "modern, split, no event index": f"{MODERN},event_idx=off",
    "modern, packed, no event index": f"{MODERN},packed=on,event_idx=off",
    "modern, split, no indirect": f"{MODERN},indirect_desc=off",
    "modern, packed, no indirect": f"{MODERN},packed=on,indirect_desc=off",
    "modern, split, not mergeable": f"{MODERN},mrg_rxbuf=off",
    "modern, packed, not mergeable": f"{MODERN},packed=on,mrg_rxbuf=off",
    "transitional": BOTH,
    "legacy": LEGACY,
    "legacy, not mergeable": f"{LEGACY},mrg_rxbuf=off",
    "legacy, header of its own": f"{LEGACY},any_layout=off",
    "legacy, header of its own, no indirect": f"{LEGACY},any_layout=off,indirect_desc=off,mrg_rxbuf=off,event_idx=off",
    "modern, no control queue": f"{MODERN},ctrl_vq=off",
}
FEW = ("modern, split", "modern, packed", "legacy")


def frame(payload: bytes, destination: str = MAC) -> bytes:
    """A frame of IEEE 802's local experimental EtherType."""
    return bytes(Ether(src=PEER, dst=destination, type=0x88B5) / Raw(payload))


@pytest.fixture
def qemu() -> Iterator[Callable[..., QtestMachine]]:
    """A function that starts QEMU with a virtio card that has these properties."""
    running: list[QtestMachine] = []

    def start(properties: str, **options: object) -> QtestMachine:
        running.append(QtestMachine(f"virtio-net-pci,{properties}", mac=MAC, **options))  # type: ignore[arg-type]
        return running[-1]

    yield start
    for machine in running:
        machine.close()


def started(machine: QtestMachine, **options: object) -> VirtioNetDriver:
    driver = VirtioNetDriver(machine.function, **options)  # type: ignore[arg-type]
    driver.start()
    machine.run("1ms")
    driver.poll()
    return driver


def settle(machine: QtestMachine, driver: VirtioNetDriver) -> None:
    """Let the control queue empty itself, command by command."""
    for _ in range(50):
        driver.poll()
        if driver.control is None or not driver.control.waiting:
            return
        machine.run("100us")
    raise AssertionError("the device answers no more")


def received(driver: VirtioNetDriver) -> list[bytes]:
    driver.poll()
    got = []
    while (one := driver.receive()) is not None:
        got.append(bytes(one.frame))
    return got


# --- what QEMU's card is


def test_4_1_4_the_structures_are_where_qemu_puts_them(qemu: Callable[..., QtestMachine]) -> None:
    """As measured from outside: BAR 4 with common, ISR, device and notification structures, multiplier 4."""
    machine = qemu(MODERN)
    found = structures(machine.function)
    places = {kind: (structure.bar, structure.offset, structure.multiplier) for kind, structure in found.items()}
    assert places == {1: (4, 0x0000, 0), 2: (4, 0x3000, 4), 3: (4, 0x1000, 0), 4: (4, 0x2000, 0)}


@pytest.mark.parametrize(
    ("properties", "options", "transport", "queue", "header"),
    [
        (MODERN, {}, ModernTransport, SplitQueue, 12),
        (f"{MODERN},packed=on", {}, ModernTransport, PackedQueue, 12),
        (f"{MODERN},packed=on", {"packed": False}, ModernTransport, SplitQueue, 12),
        (BOTH, {}, ModernTransport, SplitQueue, 12),
        (BOTH, {"mode": "legacy"}, LegacyTransport, SplitQueue, 12),
        (f"{LEGACY},mrg_rxbuf=off", {}, LegacyTransport, SplitQueue, 10),
    ],
)
@pytest.mark.exercises(driver="motenet virtio-net", card="QEMU virtio-net", what="start, link, stop")
def test_3_1_1_the_driver_brings_the_card_up(
    qemu: Callable[..., QtestMachine], properties: str, options: dict, transport: type, queue: type, header: int
) -> None:
    machine = qemu(properties)
    driver = started(machine, **options)
    assert isinstance(driver.transport, transport)
    assert {type(one) for one in driver.layout.queues} == {queue}
    assert driver.receivers[0]._header == header
    assert driver.mac_address == bytes.fromhex(MAC.replace(":", ""))
    assert driver.is_link_up
    settle(machine, driver)
    driver.stop()
    assert driver.transport.read_status() == 0
    driver.start()
    assert driver.send(frame(bytes(60)))
    machine.run("1ms")
    assert list(machine.wire.received) == [frame(bytes(60))]
    assert driver.drops == {}


@pytest.mark.exercises(driver="motenet virtio-net", card="QEMU virtio-net", what="configuration: MTU, speed, duplex")
def test_5_1_4_what_the_configuration_says_is_taken(qemu: Callable[..., QtestMachine]) -> None:
    machine = qemu(f"{MODERN},host_mtu=1400,speed=2500,duplex=full")
    driver = started(machine)
    assert (driver.mtu, driver.capabilities.mtu, driver.speed, driver.full_duplex) == (1400, 1400, 2500, True)


def test_4_1_5_1_2_without_msi_x_there_is_no_vector(qemu: Callable[..., QtestMachine]) -> None:
    machine = qemu("disable-legacy=on,vectors=3")  # MSI-X is there, but not enabled: INTx
    driver = started(machine)
    registers = machine.function.bar(4)
    assert registers.read16(common.CONFIG_MSIX_VECTOR.offset) == NO_VECTOR
    machine.wire.send(frame(bytes(60)))
    machine.run("1ms")
    assert driver.interrupts_seen
    assert received(driver) == [frame(bytes(60))]


def test_4_1_4_10_the_legacy_registers_are_where_qemu_has_them(qemu: Callable[..., QtestMachine]) -> None:
    machine = qemu(LEGACY)
    driver = started(machine)
    registers = machine.function.bar(0)
    assert registers.kind == "io"
    registers.write16(legacy.QUEUE_SELECT.offset, 1)
    page = driver.transmitter.queues[0].areas[0] >> legacy.PAGE_SHIFT
    assert registers.read32(legacy.QUEUE_ADDRESS.offset) == page
    assert registers.read16(legacy.QUEUE_SIZE.offset) == 256


# --- frames


@pytest.mark.parametrize("variant", FEW)
@pytest.mark.parametrize("interrupts", [True, False])
@pytest.mark.exercises(driver="motenet virtio-net", card="QEMU virtio-net", what="queues that wrap, also when polled")
def test_frames_pass_both_ways_through_queues_that_wrap(
    qemu: Callable[..., QtestMachine], variant: str, interrupts: bool
) -> None:
    machine = qemu(VARIANTS[variant])
    driver = started(machine, rx_ring=16, tx_ring=16, interrupts=interrupts)
    woken: list[int] = []
    driver.wake = lambda: woken.append(1)
    sent = [frame(bytes([number % 251]) * (46 + 4 * number)) for number in range(300)]
    got: list[bytes] = []
    left = list(sent)
    for _ in range(2000):
        for one in left[:8]:
            machine.wire.send(one)
        del left[:8]
        machine.run("200us")
        if not interrupts or woken:
            woken.clear()
            for one in received(driver):
                got.append(one)
                while not driver.send(one):
                    machine.run("10us")
        if len(got) == len(sent):
            break
    assert got == sent
    machine.run("1ms")
    assert list(machine.wire.received) == sent
    assert (driver.interrupts_seen > 0) is interrupts
    assert driver.drops == {}


@pytest.mark.parametrize("variant", FEW)
@pytest.mark.exercises(driver="motenet virtio-net", card="QEMU virtio-net", what="mergeable receive buffers")
def test_5_1_6_4_a_frame_in_several_buffers_is_one_frame(qemu: Callable[..., QtestMachine], variant: str) -> None:
    machine = qemu(VARIANTS[variant])
    driver = started(machine, rx_buffer=128, rx_ring=64, large_receive=False)
    sent = [frame(bytes(range(200)) * 7) for _ in range(30)]
    got = []
    for one in sent:
        machine.wire.send(one)
        machine.run("200us")
        got += received(driver)
    assert got == sent
    (receiver,) = driver.receivers
    assert 0 < receiver.copied < len(sent) // 3, "copied only where the ring ends"
    assert driver.drops == {}


@pytest.mark.exercises(driver="motenet virtio-net", card="QEMU virtio-net", what="DEVICE_NEEDS_RESET")
def test_2_1_1_qemu_asks_for_a_reset_and_gets_it(qemu: Callable[..., QtestMachine]) -> None:
    """An available index that has jumped: QEMU gives the device up, and the driver brings it back."""
    machine = qemu(MODERN)
    driver = started(machine)
    settle(machine, driver)
    queue = driver.transmitter.queues[0]
    assert isinstance(queue, SplitQueue)
    pack_into("<H", queue.buffer.lend(queue._avail + 2, 2), 0, 1000)
    queue.kick()
    machine.run("1ms")
    assert driver.transport.read_status() & NEEDS_RESET
    driver.poll()
    assert (driver.recoveries, driver.drops) == (1, {"device reset": 1})
    settle(machine, driver)
    assert driver.send(frame(bytes(60)))
    machine.wire.send(frame(bytes(70)))
    machine.run("1ms")
    assert list(machine.wire.received) == [frame(bytes(60))]
    assert received(driver) == [frame(bytes(70))]


# --- the control queue


@pytest.mark.parametrize("variant", [*FEW, "legacy, header of its own, no indirect", "modern, packed, no indirect"])
@pytest.mark.exercises(driver="motenet virtio-net", card="QEMU virtio-net", what="control queue: receive filters")
def test_5_1_6_5_receive_filters(qemu: Callable[..., QtestMachine], variant: str) -> None:
    machine = qemu(VARIANTS[variant])
    driver = started(machine)
    group, stranger, station = "33:33:00:00:00:01", "33:33:00:00:01:ff", "02:00:00:00:00:77"
    everybody = [group, stranger, station, MAC, "ff:ff:ff:ff:ff:ff"]

    def arrived() -> list[str]:
        settle(machine, driver)
        for destination in everybody:
            machine.wire.send(frame(bytes(60), destination))
        machine.run("1ms")
        return [one[:6].hex(":") for one in received(driver)]

    own = [MAC, "ff:ff:ff:ff:ff:ff"]
    assert arrived() == own
    driver.set_multicast([bytes.fromhex(group.replace(":", ""))])
    driver.set_unicast([bytes.fromhex(station.replace(":", ""))])
    assert arrived() == [group, station, *own]
    driver.set_all_multicast(True)
    assert arrived() == [group, stranger, station, *own]
    driver.set_receive_mode("no_broadcast", True)
    assert arrived() == [group, stranger, station, MAC]
    driver.set_receive_mode("no_broadcast", False)
    driver.set_promiscuous(True)
    driver.set_unicast([])
    assert arrived() == everybody
    assert driver.drops == {}


@pytest.mark.parametrize("variant", FEW)
@pytest.mark.exercises(driver="motenet virtio-net", card="QEMU virtio-net", what="control queue: MAC address, VLANs")
def test_5_1_6_5_another_address_and_vlans(qemu: Callable[..., QtestMachine], variant: str) -> None:
    machine = qemu(VARIANTS[variant])
    mac = bytes.fromhex("020000000099")
    driver = started(machine, mac=mac, vlan_filter=True)
    driver.set_vlan_filter([5, 7])
    settle(machine, driver)
    assert driver.mac_address == mac

    def arrived() -> list[int]:
        for vlan in (5, 6, 7):
            machine.wire.send(bytes(Ether(src=PEER, dst=mac.hex(":")) / Dot1Q(vlan=vlan) / Raw(bytes(60))))
        machine.wire.send(frame(bytes(60)))  # to the address that the card had before
        machine.run("1ms")
        return [Ether(one)[Dot1Q].vlan for one in received(driver)]

    assert arrived() == [5, 7]
    driver.set_vlan_filter([6])
    settle(machine, driver)
    assert arrived() == [6]
    assert driver.drops == {}


# --- the stack, and a host of ours behind the cable


class Pair:
    """alice's card is QEMU's; bob is an emulated host."""

    def __init__(self, machine: QtestMachine, world: World, mtu: int = 1500) -> None:
        self.machine, self.world, self.mtu = machine, world, mtu
        card = VirtioNet("52:54:00:00:00:02", mtu=mtu)
        self.bob = world.host("bob", nic=card, address=["10.0.0.2/24", "fd00::b/64"])
        world.join(machine)
        world.link(machine, self.bob)
        self.driver = VirtioNetDriver(machine.function)
        stack = NetworkStack(self.driver, address=["10.0.0.1/24", "fd00::a/64"], name="alice/stack")
        self.alice = QtestHost(machine, self.driver, stack)
        self.alice.start()
        machine.run("1ms")

    def exam(self, size: int) -> Iterator[tuple[str, Any, Any]]:
        """Ping, UDP, and TCP both ways, over both families, and what was dropped: what, what should be, what is."""
        for port, here, there in ((80, "10.0.0.1", "10.0.0.2"), (81, "fd00::a", "fd00::b")):
            yield from self.converse(port, here, there, size)
        strangers = set() if self.driver.has("CTRL_RX") else {"other-station"}  # 5.1.6.5.1: without filters, all come
        yield "alice's drops", set(), set(self.alice.stack.drop_reasons) - strangers
        yield "bob's drops", {}, self.bob.stack.drop_reasons
        yield "is interrupted", True, self.driver.statistics["interrupts"] > 0
        self.alice.stop()
        yield "the driver's drops", {}, self.driver.drops

    def converse(self, port: int, here: str, there: str, size: int) -> Iterator[tuple[str, Any, Any]]:
        alice, bob, clock = self.alice.stack, self.bob.stack, self.machine.clock
        times = alice.ping(there, count=5, interval="1ms")
        yield f"ping {there}", 5, sum(time is not None and time < 5 * MS for time in times)
        ours, theirs = alice.udp_socket(4000 + port), bob.udp_socket(5000 + port)
        for length in (0, 1, 18, self.mtu - 48, self.mtu - 28, 4000):
            payload = bytes(number * 3 & 0xFF for number in range(length))
            ours.send_to(payload, there, 5000 + port)
            clock.wait(lambda: theirs.can_receive, clock.now + SECOND)
            yield f"{length} bytes to {there}", payload, theirs.receive().data
            theirs.send_to(payload[::-1], here, 4000 + port)
            clock.wait(lambda: ours.can_receive, clock.now + SECOND)
            yield f"{length} bytes to {here}", payload[::-1], ours.receive().data
        listener = bob.tcp_listen(port)
        client = alice.tcp_connect(there, port)
        clock.wait(lambda: listener.can_accept, clock.now + SECOND)
        server = listener.accept()
        data = bytes(number * 7 + (number >> 8) & 0xFF for number in range(size))
        yield f"TCP to {there}", data, transferred(clock, client, server, data)
        yield f"TCP to {here}", data[::-1], transferred(clock, server, client, data[::-1])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.exercises(
    driver="motenet virtio-net", card="QEMU virtio-net", what="ping, UDP, TCP, IPv4 and IPv6, all variants"
)
def test_ping_udp_and_tcp_with_every_variant(variant: str) -> None:
    world = World(seed=3)
    with QtestMachine(f"virtio-net-pci,{VARIANTS[variant]}", mac=MAC, clock=world.clock) as machine:
        for what, wanted, found in Pair(machine, world).exam(1 << 19):
            assert found == wanted, what


@pytest.mark.parametrize("variant", FEW)
@pytest.mark.exercises(driver="motenet virtio-net", card="QEMU virtio-net", what="MTU 9000: ping, UDP, TCP, IPv4, IPv6")
def test_5_1_4_1_jumbo_frames_with_the_mtu_that_the_card_says(variant: str) -> None:
    world = World(seed=3)
    properties = f"virtio-net-pci,{VARIANTS[variant]},host_mtu=9000"
    with QtestMachine(properties, mac=MAC, clock=world.clock) as machine:
        pair = Pair(machine, world, 9000)
        assert pair.driver.capabilities.mtu == 9000
        for what, wanted, found in pair.exam(1 << 19):
            assert found == wanted, what


@pytest.mark.parametrize("variant", FEW)
@pytest.mark.exercises(driver="motenet virtio-net", card="QEMU 11 virtio-net", what="ping, UDP and TCP, IPv4 and IPv6")
def test_ping_udp_and_tcp_with_another_qemu_whose_time_is_stepped(variant: str) -> None:
    program = find_qemu()
    if program is None or not has_qtest_accelerator(program):
        pytest.skip(f"no QEMU here has -accel qtest; {PREPARE} fetches one")
    world = World(seed=3)
    with QtestMachine(
        f"virtio-net-pci,{VARIANTS[variant]}", mac=MAC, clock=world.clock, program=program
    ) as machine:  # fmt: skip
        for what, wanted, found in Pair(machine, world).exam(1 << 19):
            assert found == wanted, what


# --- the kernel of the real host behind a TAP: the only peer for which QEMU's card offers checksums and segmentation


class Kernel:
    """alice's card is QEMU's on a TAP; at the TAP's other end is Linux, in its own time."""

    def __init__(self, properties: str, queues: int = 1, **options: object) -> None:
        name, network = f"mote{os.getpid() % 10**6}", f"10.99.{os.getpid() % 250}"
        tap = name if queues == 1 else f"{name},queues={queues}"
        self.machine = QtestMachine(f"virtio-net-pci,{properties}", mac=MAC, tap=tap)
        self.address = f"{network}.2"
        for command in (f"addr add {self.address}/24 dev {name}", f"link set {name} up"):
            subprocess.run(["ip", *command.split()], check=True)
        self.driver = VirtioNetDriver(self.machine.function, **options)  # type: ignore[arg-type]
        stack = NetworkStack(self.driver, address=f"{network}.1/24", name="alice/stack")
        self.alice = QtestHost(self.machine, self.driver, stack)
        self.alice.start()

    def wait(self, ready: Callable[[], bool]) -> None:
        """Until `ready()`, with a moment of real time for the kernel at each look."""

        def look() -> bool:
            if ready():
                return True
            time.sleep(0.0002)
            return False

        assert self.machine.clock.wait(look, self.machine.clock.now + 60 * SECOND)

    def exam(self, data: bytes) -> tuple[bytes, bytes]:
        """The data there, and back; what came at either end."""
        with socket.create_server((self.address, 0)) as server:
            server.setblocking(False)
            client = self.alice.stack.tcp_connect(self.address, server.getsockname()[1])
            peers: list[socket.socket] = []

            def accepted() -> bool:
                with suppress(BlockingIOError):
                    peers.append(server.accept()[0])
                return bool(peers)

            self.wait(accepted)
        with peers[0] as peer:
            peer.setblocking(False)
            return self._up(client, peer, data), self._down(client, peer, data)

    def _up(self, client: TcpSocket, peer: socket.socket, data: bytes) -> bytes:
        rest, got = [memoryview(data)], bytearray()

        def arrived() -> bool:
            if rest[0]:
                rest[0] = rest[0][client.send(rest[0]) :]
            with suppress(BlockingIOError):
                while some := peer.recv(1 << 20):
                    got.extend(some)
            return len(got) >= len(data)

        self.wait(arrived)
        return bytes(got)

    def _down(self, client: TcpSocket, peer: socket.socket, data: bytes) -> bytes:
        rest, got = [memoryview(data)], bytearray()

        def arrived() -> bool:
            if rest[0]:
                with suppress(BlockingIOError):
                    rest[0] = rest[0][peer.send(rest[0]) :]
            while client.can_recv:
                got.extend(client.recv(1 << 20))
            return len(got) >= len(data)

        self.wait(arrived)
        return bytes(got)


@pytest.mark.needs("tap", "root", "ip")
@pytest.mark.parametrize(
    ("properties", "options", "large"),
    [
        (MODERN, {}, True),
        (f"{MODERN},packed=on", {}, True),
        (f"{MODERN},mrg_rxbuf=off", {}, True),
        (f"{MODERN},packed=on,mrg_rxbuf=off", {}, True),
        (LEGACY, {}, True),
        (f"{LEGACY},any_layout=off,indirect_desc=off,mrg_rxbuf=off", {}, True),
        (MODERN, {"large_receive": False}, False),
        (MODERN, {"large_receive": False, "gro": False}, False),
        (MODERN, {"checksum_offload": False, "segmentation_offload": False}, False),
    ],
)
@pytest.mark.exercises(
    driver="motenet virtio-net", card="QEMU virtio-net", what="checksums, segmentation, large receive: Linux as peer"
)
def test_5_1_6_offloads_with_linux_behind_qemus_card(properties: str, options: dict, large: bool) -> None:
    """The kernel accepts what we leave to be finished, and we accept what it leaves: frames of up to 64 KiB."""
    kernel = Kernel(properties, **options)
    try:
        data = bytes(number * 7 + (number >> 8) & 0xFF for number in range(1 << 21))
        assert kernel.exam(data) == (data, data)
        statistics = kernel.driver.statistics
        segments = len(data) // 1448
        offloads = options.get("segmentation_offload", True)
        assert (statistics["tx_frames"] < segments // 4) is offloads
        assert (statistics["rx_frames"] + statistics["gro_joined"] < segments // 4) is large
        assert (statistics["gro_joined"] > 0) is ("gro" not in options and not large and offloads)
        assert kernel.driver.drops == {}
        assert set(kernel.alice.stack.drop_reasons) <= {"tcp-no-socket", "ethertype", "other-station", "protocol"}
        kernel.alice.stop()
    finally:
        kernel.machine.close()


@pytest.mark.needs("tap", "root", "ip")
@pytest.mark.parametrize("packed", ["on", "off"])
@pytest.mark.exercises(driver="motenet virtio-net", card="QEMU virtio-net", what="multiqueue")
def test_5_1_6_5_6_several_queue_pairs(packed: str) -> None:
    kernel = Kernel(f"{MODERN},mq=on,packed={packed}", queues=4, queue_pairs=3)
    try:
        data = bytes(range(256)) * 400
        queues = kernel.driver.transmitter.queues
        for _ in range(40):  # the kernel's ports are random, and with them the queues
            assert kernel.exam(data) == (data, data)
            if sum(queue.produced > 0 for queue in queues) == 3:
                break
        assert kernel.driver.transmitter.active == 3
        assert all(queue.produced > 0 for queue in queues[:3])
        assert kernel.driver.drops == {}
        kernel.alice.stop()
    finally:
        kernel.machine.close()
