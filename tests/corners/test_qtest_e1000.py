"""Our driver and our stack on QEMU's e1000, a model by somebody else: neither knows whose card it is."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import rdpcap

from motenet.bridge.qtest import QtestHost, QtestMachine
from motenet.bridge.tap import BridgeError
from motenet.core.errors import ConfigurationError, DriverError
from motenet.core.units import MS, SECOND
from motenet.datasheets import e1000 as sheet
from motenet.datasheets.pci import COMMAND
from motenet.doors import FrameFacts, PciFunction
from motenet.drivers.e1000 import E1000Driver
from motenet.sim.world import World
from motenet.stack import NetworkStack
from motenet.stack.sockets.tcp import TcpSocket
from tests.corners.shared import IPV6_FRAGMENT, recomputed, transferred

pytestmark = pytest.mark.needs("qemu")

MAC = "52:54:00:12:34:56"
PEER = "02:00:00:00:00:02"
THAW = 1100 * MS
"""QEMU's card takes no frame for a second after each write to RCTL."""


@pytest.fixture
def machine(program: str) -> Iterator[QtestMachine]:
    with QtestMachine(mac=MAC, program=program) as machine:
        yield machine


def frame(payload: bytes, destination: str = MAC) -> bytes:
    """A frame of IEEE 802's local experimental EtherType."""
    return bytes(Ether(src=PEER, dst=destination, type=0x88B5) / Raw(payload))


def started(machine: QtestMachine, **options: object) -> E1000Driver:
    driver = E1000Driver(machine.function, **options)  # type: ignore[arg-type]
    driver.start()
    machine.run(THAW)
    return driver


# --- the door itself


def test_the_card_answers_as_qemu_sets_it_up(machine: QtestMachine) -> None:
    """Reset values of QEMU's model, as measured from outside; BARs of 128 KiB and 64 ports."""
    function = machine.function
    assert isinstance(function, PciFunction)
    assert (function.config.read(0, 2), function.config.read(2, 2)) == (0x8086, 0x100E)
    assert (function.bar(0).size, function.bar(0).kind) == (128 << 10, "memory")
    assert (function.bar(1).size, function.bar(1).kind) == (64, "io")
    with pytest.raises(DriverError, match="no BAR 2"):
        function.bar(2)
    function.config.write(COMMAND.offset, 0x7, 2)
    registers = function.bar(0)
    values = {name: registers.read32(sheet.REGISTERS[name].offset) for name in ("STATUS", "CTRL", "EECD", "PBA")}
    assert values == {"STATUS": 0x80080783, "CTRL": 0x00140240, "EECD": 0x188, "PBA": 0x00100030}


def test_a_raw_program_sends_and_receives(machine: QtestMachine) -> None:
    """8254x 14.4, 14.5 by hand: one legacy descriptor each way; QEMU's FCS is four bytes that it does not write."""
    function = machine.function
    function.config.write(COMMAND.offset, 0x7, 2)
    write, read = function.bar(0).write32, function.bar(0).read32
    memory = function.dma.allocate(4096, 4096)
    base = memory.address
    memory.packer(sheet.TDESC_LEGACY_CODEC)(0, base + 1024, 64, 0, 0x0B, 0, 0, 0)  # EOP, IFCS, RS
    memory.packer(sheet.RDESC_CODEC)(128, base + 2048, 0, 0, 0, 0, 0)
    memory.lend(1024, 64)[:] = frame(bytes(50))
    for register, value in (
        *((sheet.TDBAL, base), (sheet.TDLEN, 128), (sheet.TCTL, sheet.TCTL["EN"]), (sheet.TDT, 1)),
        *((sheet.RDBAL, base + 128), (sheet.RDLEN, 128), (sheet.RCTL, sheet.RCTL["EN"]), (sheet.RDT, 1)),
    ):
        write(register.offset, value)
    machine.run("2s")
    assert list(machine.wire.received) == [frame(bytes(50))]
    assert read(sheet.TDH.offset) == 1
    assert memory.unpacker(sheet.TDESC_LEGACY_CODEC)(0)[4] & sheet.TDESC_STATUS["DD"]
    assert read(sheet.ICR.offset) & sheet.ICR["TXDW"]
    machine.wire.send(frame(b"hello" * 20))
    machine.run("1ms")
    _, length, _, status, _, _ = memory.unpacker(sheet.RDESC_CODEC)(128)
    assert (length, status & 0x3) == (114 + 4, 0x3)
    assert bytes(memory.lend(2048, 114)) == frame(b"hello" * 20)


def test_an_interrupt_is_an_event_and_time_is_qemus(machine: QtestMachine) -> None:
    function = machine.function
    function.config.write(COMMAND.offset, 0x7, 2)
    registers = function.bar(0)
    seen: list[tuple[int, int]] = []

    def handler() -> bool:
        seen.append((function.now, registers.read32(sheet.ICR.offset)))
        return True

    (vector,) = function.interrupts.allocate()
    function.interrupts.connect(vector, handler)
    registers.write32(sheet.IMS.offset, sheet.ICR["LSC"])
    registers.write32(sheet.ICS.offset, sheet.ICR["LSC"])
    assert registers.read32(sheet.ICS.offset) == sheet.ICR["LSC"]
    assert seen == [], "not inside the access"
    begin = function.now
    function.delay(5 * MS)
    assert begin + 5 * MS <= function.now < begin + 6 * MS
    assert seen == [], "not inside a delay"
    machine.run("1ms")
    assert [causes for _, causes in seen] == [sheet.ICR["LSC"]]
    function.interrupts.free()
    registers.write32(sheet.ICS.offset, sheet.ICR["LSC"])
    machine.run("1ms")
    assert len(seen) == 1


@pytest.mark.exercises(driver="motenet e1000", card="QEMU e1000", what="reset of the machine")
def test_a_reset_of_the_machine_brings_a_fresh_card(machine: QtestMachine) -> None:
    driver = started(machine)
    driver.stop()
    registers, before = machine.function.bar(0), machine.clock.now
    machine.reset()
    assert machine.function.config.read(COMMAND.offset, 2) == 0
    assert machine.clock.now >= before
    machine.function.config.write(COMMAND.offset, 0x7, 2)
    assert (registers.read32(sheet.CTRL.offset), registers.read32(sheet.RDLEN.offset)) == (0x00140240, 0)
    started(machine).send(frame(bytes(50)))
    machine.run("1ms")
    assert list(machine.wire.received) == [frame(bytes(50))]


def test_when_qemu_dies_the_caller_is_told(machine: QtestMachine) -> None:
    os.kill(machine.pid, signal.SIGKILL)
    with pytest.raises(BridgeError, match="gone"):
        machine.run("1ms")


def test_a_card_that_qemu_does_not_have_is_refused_with_its_words() -> None:
    with pytest.raises(BridgeError, match="not a valid device"):
        QtestMachine("e1001")
    with pytest.raises(ConfigurationError, match="4 MiB"):
        QtestMachine(memory="1MiB")


# --- the driver


@pytest.mark.exercises(driver="motenet e1000", card="QEMU e1000", what="start, link, stop")
def test_the_driver_brings_the_card_up(machine: QtestMachine) -> None:
    driver = started(machine)
    assert driver.mac_address == bytes.fromhex(MAC.replace(":", ""))
    assert (driver.is_link_up, driver.speed, driver.full_duplex, driver.drops) == (True, 1000, True, {})
    driver.stop()
    assert not driver.is_link_up
    driver.start()
    assert driver.is_link_up


@pytest.mark.parametrize("interrupts", [True, False])
@pytest.mark.exercises(driver="motenet e1000", card="QEMU e1000", what="rings that wrap, interrupts and polling")
def test_frames_pass_both_ways_through_rings_that_wrap(machine: QtestMachine, interrupts: bool) -> None:
    driver = started(machine, rx_ring=16, tx_ring=16, segmentation_offload=False, interrupts=interrupts)
    woken: list[int] = []
    driver.wake = lambda: woken.append(1)
    sent = [frame(bytes([number]) * (46 + 13 * number)) for number in range(100)]
    for one in sent:
        machine.wire.send(one)
    got: list[bytes] = []
    for _ in range(1000):
        machine.run("200us")
        if not interrupts or woken:
            woken.clear()
            driver.poll()
            while (received := driver.receive()) is not None:
                got.append(bytes(received.frame))
                while not driver.send(got[-1]):  # the ring is full: doorbells are posted writes
                    machine.run("10us")
        if len(got) == len(sent):
            break
    assert got == sent
    machine.run("1ms")
    assert list(machine.wire.received) == sent
    statistics = driver.statistics
    assert (statistics["GPRC"], statistics["GPTC"], statistics["drops"]) == (100, 100, 0)
    assert (statistics["interrupts"] > 0) is interrupts


@pytest.mark.exercises(driver="motenet e1000", card="QEMU e1000", what="full transmit ring")
def test_a_full_ring_says_so_and_gets_going_again(machine: QtestMachine) -> None:
    """13.4.33: with TCTL.EN off nothing is sent, and all of it once the bit is back."""
    driver = started(machine, tx_ring=8, segmentation_offload=False)
    registers = machine.function.bar(0)
    registers.write32(sheet.TCTL.offset, 0)
    sent = 0
    while driver.send(frame(bytes([sent]) * 50)):
        sent += 1
        assert sent < 8
    registers.write32(sheet.TCTL.offset, sheet.TCTL["EN"])
    machine.run("1ms")
    assert driver.send(frame(b"again" * 10))
    machine.run("1ms")
    assert list(machine.wire.received) == [frame(bytes([n]) * 50) for n in range(sent)] + [frame(b"again" * 10)]


@pytest.mark.parametrize(("transport", "field"), [(TCP(sport=1, dport=2), 16), (UDP(sport=1, dport=2), 6)])
@pytest.mark.exercises(driver="motenet e1000", card="QEMU e1000", what="checksum offload")
def test_qemu_inserts_the_checksums_that_the_driver_asks_for(
    machine: QtestMachine, transport: TCP | UDP, field: int
) -> None:
    """8254x 3.6, and the result is Scapy's."""
    driver = started(machine)
    whole = bytes(Ether(src=MAC, dst=PEER) / IP(src="10.0.0.1", dst="10.0.0.2") / transport / Raw(b"odd payload" * 9))
    pseudo = 0x0A00 + 1 + 0x0A00 + 2 + whole[23] + len(whole) - 34
    partial = whole[: 34 + field] + pseudo.to_bytes(2, "big") + whole[34 + field + 2 :]
    view = driver.reserve(len(partial))
    assert view is not None
    view[:] = partial
    driver.commit(FrameFacts(checksum_start=34, checksum_offset=field))
    driver.flush()
    machine.run("1ms")
    assert list(machine.wire.received) == [whole]


@pytest.mark.exercises(driver="motenet e1000", card="QEMU e1000", what="segmentation offload")
def test_qemu_cuts_what_the_driver_gives_it_to_segment(machine: QtestMachine, tmp_path: Path) -> None:
    """8254x 3.5: each segment is one that Scapy finds whole, and together they are the data."""
    driver = started(machine)
    data = bytes(range(256)) * 200
    whole = bytearray(bytes(Ether(src=MAC, dst=PEER) / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(flags="PA") / data))
    view = driver.reserve(len(whole))
    assert view is not None
    view[:] = whole
    driver.commit(FrameFacts(checksum_start=34, checksum_offset=16, segment_size=1460, header_length=54))
    driver.flush()
    machine.run("1ms")
    packets = [Ether(one) for one in machine.wire.received]
    assert len(packets) == -(-len(data) // 1460)
    assert b"".join(bytes(packet[TCP].payload) for packet in packets) == data
    for number, packet in enumerate(packets):
        fresh = Ether(bytes(packet))
        del fresh[IP].chksum, fresh[TCP].chksum, fresh[IP].len
        assert bytes(fresh) == bytes(packet)
        assert packet[TCP].seq == number * 1460
        assert (packet[TCP].flags == "PA") is (number == len(packets) - 1)


@pytest.mark.exercises(driver="motenet e1000", card="QEMU e1000", what="MTU 9000")
def test_a_jumbo_frame_is_one_frame(machine: QtestMachine) -> None:
    driver = started(machine, mtu=9000)
    large = frame(bytes(range(250)) * 36)
    assert driver.send(large)
    machine.wire.send(large)
    machine.run("1ms")
    assert list(machine.wire.received) == [large]
    driver.poll()
    received = driver.receive()
    assert received is not None
    assert bytes(received.frame) == large


@pytest.mark.exercises(driver="motenet e1000", card="QEMU e1000", what="multicast filter")
def test_only_asked_for_multicast_is_received(machine: QtestMachine) -> None:
    """13.5.1: 15 groups match exactly, the others through the hash table; promiscuous takes all."""
    driver = started(machine)
    groups = [bytes((0x33, 0x33, 0, 0, 0, number)) for number in range(20)]
    stranger = "33:33:00:00:01:ff"

    def arrived() -> list[str]:
        machine.run(THAW)
        machine.wire.send(frame(b"known" * 10, groups[3].hex(":")))
        machine.wire.send(frame(b"known" * 10, groups[18].hex(":")))
        machine.wire.send(frame(b"unknown" * 10, stranger))
        machine.run("1ms")
        driver.poll()
        got = []
        while (received := driver.receive()) is not None:
            got.append(bytes(received.frame[:6]).hex(":"))
        return got

    assert arrived() == []
    driver.set_multicast(groups)
    assert arrived() == [groups[3].hex(":"), groups[18].hex(":")]
    driver.set_promiscuous(True)
    assert arrived()[2:] == [stranger]


# --- the stack, and a host of ours behind the cable


class Pair:
    """alice's card is QEMU's; bob is an emulated host with our model of the same card."""

    def __init__(self, machine: QtestMachine, world: World, mtu: int = 1500) -> None:
        self.machine, self.world = machine, world
        self.bob = world.host("bob", address=["10.0.0.2/24", "fd00::b/64"], driver_options={"mtu": mtu})
        world.join(machine)
        world.link(machine, self.bob)
        driver = E1000Driver(machine.function, mtu=mtu)
        stack = NetworkStack(driver, address=["10.0.0.1/24", "fd00::a/64"], name="alice/stack")
        self.alice = QtestHost(machine, driver, stack)
        self.alice.start()
        machine.run(2 * THAW)  # the stack's first poll sets the multicast filter, and so RCTL once more

    def transfer(self, sender: TcpSocket, receiver: TcpSocket, data: bytes) -> bytes:
        return transferred(self.machine.clock, sender, receiver, data)


@pytest.fixture
def pair(program: str, tmp_path: Path) -> Iterator[Pair]:
    world = World(seed=3)
    capture = tmp_path / "qemu.pcap"
    with QtestMachine(mac=MAC, program=program, clock=world.clock, capture=capture) as machine:
        yield Pair(machine, world)


@pytest.mark.exercises(driver="motenet e1000", card="QEMU e1000", what="ping")
def test_ping_reaches_the_emulated_host(pair: Pair, tmp_path: Path) -> None:
    with pair.world.capture(tmp_path / "ping.pcapng"):
        times = pair.alice.stack.ping("10.0.0.2", count=20, interval="1ms")
    assert all(time is not None and time < 5 * MS for time in times)
    assert pair.bob.stack.statistics["echoes"] == 20
    captured = [packet for packet in rdpcap(str(tmp_path / "ping.pcapng")) if ICMP in packet]
    assert [packet[ICMP].type for packet in captured] == [8, 0] * 20


@pytest.mark.exercises(driver="motenet e1000", card="QEMU e1000", what="TCP both ways")
def test_a_tcp_exchange_is_byte_identical_both_ways(pair: Pair, tmp_path: Path) -> None:
    """With TSO and checksums by QEMU's card one way; what it put on the cable is TCP as Scapy knows it."""
    alice, bob, machine = pair.alice.stack, pair.bob.stack, pair.machine
    listener = bob.tcp_listen(80)
    client = alice.tcp_connect("10.0.0.2", 80)
    assert machine.clock.wait(lambda: listener.can_accept, machine.clock.now + SECOND)
    server = listener.accept()
    assert server is not None
    data = bytes(number * 7 + (number >> 8) & 0xFF for number in range(1 << 20))
    assert pair.transfer(client, server, data) == data
    assert pair.transfer(server, client, data[::-1]) == data[::-1]
    server.close()
    alice.tcp_close(client)
    statistics = pair.alice.driver.statistics
    assert statistics["GPTC"] > 2 * statistics["tx_frames"], "segmented by the card"
    assert statistics["interrupts"] > 0
    assert (statistics["drops"], alice.drop_reasons, bob.drop_reasons) == (0, {}, {})
    pair.alice.stop()
    machine.close()
    for packet in rdpcap(str(tmp_path / "qemu.pcap"), count=100):
        if TCP in packet:
            fresh = Ether(bytes(packet))
            del fresh[IP].chksum, fresh[TCP].chksum
            assert bytes(fresh) == bytes(packet)


@pytest.mark.parametrize(
    ("mtu", "address"),
    [
        pytest.param(mtu, address, marks=pytest.mark.exercises(driver="motenet e1000", card="QEMU e1000", what=what))
        for mtu, address, what in (
            (1500, "fd00::b", "IPv6: ping, UDP and TCP both ways"),
            (9000, "fd00::b", "MTU 9000: ping, UDP and TCP, IPv6"),
            (9000, "10.0.0.2", "MTU 9000: ping, UDP and TCP, IPv4"),
        )
    ],
)
def test_a_conversation_of_another_family_or_size(program: str, tmp_path: Path, mtu: int, address: str) -> None:
    """IPv6's checksums by QEMU's card from a context's offsets (8254x 3.6), and no segments; Scapy recomputes them."""
    capture = tmp_path / "qemu.pcap"
    world = World(seed=3)
    with QtestMachine(mac=MAC, program=program, clock=world.clock, capture=capture) as machine:
        pair = Pair(machine, world, mtu)
        alice, bob = pair.alice.stack, pair.bob.stack
        assert None not in alice.ping(address, count=3, interval="1ms", size=mtu - 48)
        inbox = bob.udp_socket(7)
        alice.udp_socket(8).send_to(bytes(mtu), address, 7)
        assert machine.clock.wait(lambda: inbox.can_receive, machine.clock.now + SECOND)
        assert inbox.receive().data == bytes(mtu)
        alice.udp_socket(9).send_to(bytes(100), address, 7)
        listener = bob.tcp_listen(80)
        client = alice.tcp_connect(address, 80)
        assert machine.clock.wait(lambda: listener.can_accept, machine.clock.now + SECOND)
        server = listener.accept()
        assert server is not None
        data = bytes(number * 7 + (number >> 8) & 0xFF for number in range(1 << 19))
        assert pair.transfer(client, server, data) == data
        assert pair.transfer(server, client, data[::-1]) == data[::-1]
        assert (pair.alice.driver.statistics["drops"], alice.drop_reasons, bob.drop_reasons) == (0, {}, {})
        pair.alice.stop()
    frames = [bytes(packet) for packet in rdpcap(str(capture), count=300)]
    assert max(map(len, frames)) == mtu + 14
    if address == "fd00::b":
        seen, wrong = recomputed((one for one in frames if one[20] != IPV6_FRAGMENT), IPv6)
        assert not wrong
        assert min(seen.values()) > 0
