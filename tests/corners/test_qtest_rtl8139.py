"""Our drivers and our stack on QEMU's rtl8139, a model by somebody else, in C mode and in C+ mode."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw

from motenet.bridge.qtest import QtestHost, QtestMachine
from motenet.core.units import MS, SECOND
from motenet.datasheets import rtl8139 as sheet
from motenet.datasheets.pci import COMMAND, REVISION_ID
from motenet.doors import FrameFacts
from motenet.drivers.rtl8139 import Rtl8139CpDriver, Rtl8139Driver, probe
from motenet.drivers.rtl8139.c_receive import RingReceiver
from motenet.sim.world import World
from motenet.stack import NetworkStack
from motenet.stack.sockets.tcp import TcpSocket
from tests.corners.shared import transferred

pytestmark = pytest.mark.needs("qemu")

MAC = "52:54:00:12:34:56"
PEER = "02:00:00:00:00:02"
C, CPLUS, CARD = "motenet rtl8139, C mode", "motenet rtl8139, C+ mode", "QEMU rtl8139"

Driver = Rtl8139Driver | Rtl8139CpDriver
C_MMIO: dict[str, Any] = {"mode": "C"}
C_PIO: dict[str, Any] = {"mode": "C", "io": True}
C_PLUS: dict[str, Any] = {"mode": "C+"}
C_PLUS_BARE: dict[str, Any] = {"mode": "C+", "checksum_offload": False, "segmentation_offload": False}


def variants(*options: dict[str, Any]) -> pytest.MarkDecorator:
    """Run a test with each of these drivers."""
    return pytest.mark.parametrize("options", options, ids=lambda one: ",".join(f"{k}={v}" for k, v in one.items()))


@pytest.fixture
def machine(program: str) -> Iterator[QtestMachine]:
    with QtestMachine("rtl8139", mac=MAC, program=program) as machine:
        yield machine


def frame(payload: bytes, destination: str = MAC) -> bytes:
    """A frame of IEEE 802's local experimental EtherType, as long as a cable wants it at least."""
    return bytes(Ether(src=PEER, dst=destination, type=0x88B5) / Raw(payload)).ljust(60, b"\0")


def started(machine: QtestMachine, options: dict[str, Any]) -> Driver:
    driver = probe(machine.function, **options)
    driver.start()
    return driver


def commit(driver: Driver, data: bytes, facts: FrameFacts) -> None:
    view = driver.reserve(len(data))
    assert view is not None
    view[:] = data
    driver.commit(facts)
    driver.flush()


def drain(driver: Driver) -> list[bytes]:
    """All frames that wait."""
    driver.poll()
    got = []
    while (received := driver.receive()) is not None:
        got.append(bytes(received.frame))
    return got


# --- the card


def test_the_card_is_of_the_revision_that_has_both_modes(machine: QtestMachine) -> None:
    """Reset values of QEMU's model, as measured from outside; it is a C+, and the C+ driver is chosen for it."""
    function = machine.function
    assert (function.config.read(0, 2), function.config.read(2, 2)) == (0x10EC, 0x8139)
    assert function.config.read(REVISION_ID, 1) == 0x20
    assert [(function.bar(index).kind, function.bar(index).size) for index in (0, 1)] == [("io", 256), ("memory", 256)]
    function.config.write(COMMAND.offset, 0x7, 2)
    registers = function.bar(1)
    assert registers.read32(sheet.TCR.offset) == sheet.HWVERID_CPLUS
    assert registers.read16(sheet.CAPR.offset) == sheet.CAPR.reset
    assert registers.read8(sheet.CR.offset) & ~sheet.CR["RST"] == sheet.CR.reset
    assert isinstance(probe(function), Rtl8139CpDriver)
    assert isinstance(probe(function, mode="C"), Rtl8139Driver)


@pytest.mark.exercises(driver=C, card=CARD, what="start, link, stop")
@variants(C_MMIO, C_PIO)
def test_c_mode_brings_the_card_up(machine: QtestMachine, options: dict[str, Any]) -> None:
    """The address comes from the 93C46, which must not be believed at eight address bits."""
    assert bring_up(machine, options) == [frame(b"once more" * 10)]


@pytest.mark.exercises(driver=CPLUS, card=CARD, what="start, link, stop")
@variants(C_PLUS, {"mode": "C+", "io": True})
def test_cplus_mode_brings_the_card_up(machine: QtestMachine, options: dict[str, Any]) -> None:
    assert bring_up(machine, options) == [frame(b"once more" * 10)]


def bring_up(machine: QtestMachine, options: dict[str, Any]) -> list[bytes]:
    """Start, stop, start and send; returns what has come to the cable."""
    driver = started(machine, options)
    assert driver.mac_address == bytes.fromhex(MAC.replace(":", ""))
    assert (driver.is_link_up, driver.speed, driver.full_duplex, driver.drops) == (True, 100, True, {})
    driver.stop()
    assert not driver.is_link_up
    driver.start()
    assert driver.is_link_up
    assert driver.send(frame(b"once more" * 10))
    machine.run("1ms")
    return list(machine.wire.received)


@pytest.mark.exercises(driver=C, card=CARD, what="rings that wrap, interrupts and polling")
@variants(
    {"mode": "C", "rx_ring": "8KiB"},
    {"mode": "C", "rx_ring": "8KiB", "wrap": False},
    {"mode": "C", "rx_ring": "16KiB", "io": True},
    {"mode": "C", "rx_ring": "64KiB", "interrupts": False},
    {"mode": "C", "rx_ring": "8KiB", "wrap": False, "interrupts": False, "io": True},
)
def test_frames_pass_both_ways_in_c_mode(machine: QtestMachine, options: dict[str, Any]) -> None:
    """Lengths of all residues: headers and frames come to lie everywhere at the ring's end."""
    assert echo(machine, options) == (250, 250, {})


@pytest.mark.exercises(driver=CPLUS, card=CARD, what="rings that wrap, interrupts and polling")
@variants(
    {"mode": "C+", "rx_ring": 16, "tx_ring": 8},
    {"mode": "C+", "interrupts": False},
    {"mode": "C+", "io": True, "rx_ring": 33, "tx_ring": 1, "segmentation_offload": False},
)
def test_frames_pass_both_ways_in_cplus_mode(machine: QtestMachine, options: dict[str, Any]) -> None:
    assert echo(machine, options) == (250, 250, {})


def echo(machine: QtestMachine, options: dict[str, Any]) -> tuple[int, int, dict[str, int]]:
    """Frames of many lengths to the card, a few at a time, and back; what the driver has counted."""
    driver = started(machine, options)
    woken: list[int] = []
    driver.wake = lambda: woken.append(1)
    sent = [frame(bytes([number & 0xFF]) * (40 + number * 41 % 1460)) for number in range(250)]
    got: list[bytes] = []
    for first in range(0, len(sent), 4):
        for one in sent[first : first + 4]:
            machine.wire.send(one)
        machine.run("100us")
        assert bool(woken) is not driver.capabilities.polled
        woken.clear()
        for one in drain(driver):
            got.append(one)
            while not driver.send(one):  # the ring is full: doorbells are posted writes
                machine.run("10us")
    assert got == sent
    machine.run("1ms")
    assert list(machine.wire.received) == sent
    statistics = driver.statistics
    if options["mode"] == "C+":
        assert (statistics["rx_ok"], statistics["tx_ok"], statistics["rx_ok_phy"]) == (250, 250, 250)
    return statistics["rx_frames"], statistics["tx_frames"], driver.drops


@pytest.mark.exercises(driver=C, card=CARD, what="receive overflow and recovery")
@variants({"mode": "C", "rx_ring": "8KiB"}, {"mode": "C", "rx_ring": "8KiB", "wrap": False, "io": True})
def test_an_overflow_of_the_ring_is_told_and_got_over(machine: QtestMachine, options: dict[str, Any]) -> None:
    """QEMU counts a frame that does not fit as missed, but keeps it until there is room."""
    statistics = overflow(machine, options).statistics
    assert statistics["rx_frames"] == 5 * 31
    assert statistics["MPC"] >= 5


@pytest.mark.exercises(driver=CPLUS, card=CARD, what="receive overflow and recovery")
@variants({"mode": "C+", "rx_ring": 8})
def test_a_lack_of_descriptors_costs_the_frames_behind_it(machine: QtestMachine, options: dict[str, Any]) -> None:
    statistics = overflow(machine, options).statistics
    assert 0 < statistics["miss_pkt"] == 5 * 31 - statistics["rx_frames"]


def overflow(machine: QtestMachine, options: dict[str, Any]) -> Driver:
    """Bursts larger than the ring: what arrives is whole and in order, what does not fit is told, and it goes on."""
    driver = started(machine, options)
    interrupts = machine.function.interrupts
    (vector,) = interrupts.allocate()
    for burst in range(5):
        sent = [frame(bytes([burst, number]) * 500) for number in range(30)]
        interrupts.mask(vector)
        for one in sent:
            machine.wire.send(one)
        machine.run("1ms")
        interrupts.unmask(vector)
        got = []
        for _ in range(10):
            machine.run("100us")
            got += drain(driver)
        assert [one for one in sent if one in got] == got
        assert len(got) > 5
        machine.wire.send(frame(b"after" * 20))
        machine.run("1ms")
        assert drain(driver) == [frame(b"after" * 20)]
    assert set(driver.drops) == {"rx overflow"}
    return driver


@pytest.mark.exercises(driver=C, card=CARD, what="a damaged header, and the ring's recovery")
@variants({"mode": "C", "rx_ring": "8KiB"}, C_PIO)
def test_a_ring_that_is_lost_begins_anew(machine: QtestMachine, options: dict[str, Any]) -> None:
    """Somebody has written over a header: the receiver is restarted, at different places of the ring."""
    driver = started(machine, options)
    assert isinstance(driver, Rtl8139Driver)
    ring = driver.receiver
    assert isinstance(ring, RingReceiver)
    for turn in range(8):
        for number in range(turn + 1):
            machine.wire.send(frame(bytes([turn, number]) * 200))
        machine.run("100us")
        assert driver.poll()
        for _ in range(turn // 2):
            assert driver.receive() is not None
        ring.memory.lend(ring.position, 4)[:] = bytes.fromhex("0100ffff")
        assert drain(driver) == []
        machine.wire.send(frame(b"found again" * 20))
        machine.run("100us")
        assert drain(driver) == [frame(b"found again" * 20)]
    assert driver.drops == {"rx ring lost": 8}


@pytest.mark.exercises(driver=C, card=CARD, what="a transmitter that hangs, and its recovery")
@variants(C_MMIO, C_PIO)
def test_slots_that_hang_are_recovered(machine: QtestMachine, options: dict[str, Any]) -> None:
    assert hang(machine, options, 4).recoveries == 1


@pytest.mark.exercises(driver=CPLUS, card=CARD, what="a transmitter that hangs, and its recovery")
@variants({"mode": "C+", "tx_ring": 8})
def test_descriptors_that_hang_are_recovered(machine: QtestMachine, options: dict[str, Any]) -> None:
    assert hang(machine, options, 8).recoveries == 1


def hang(machine: QtestMachine, options: dict[str, Any], room: int) -> Any:
    """With CR.TE off nothing is sent: the ring fills up and says so, and after two seconds the card is reset.

    Returns the driver.
    """
    driver = started(machine, options)
    driver.card.write(sheet.CR, sheet.CR["RE"])
    for _ in range(room):
        assert driver.send(frame(b"never" * 10))
    assert not driver.send(frame(b"full" * 10))
    machine.run("1s")
    driver.poll()
    assert driver.recoveries == 0
    machine.run("1100ms")
    driver.poll()
    assert (driver.recoveries, driver.drops) == (1, {"tx lost": 1})
    assert driver.send(frame(b"again" * 10))
    machine.wire.send(frame(b"hello" * 10))
    machine.run("1ms")
    assert drain(driver) == [frame(b"hello" * 10)]
    assert list(machine.wire.received) == [frame(b"again" * 10)]
    return driver


@pytest.mark.exercises(driver=C, card=CARD, what="reset during traffic")
@variants(C_MMIO, {"mode": "C", "wrap": False, "io": True})
def test_a_reset_amid_traffic_in_c_mode(machine: QtestMachine, options: dict[str, Any]) -> None:
    reset(machine, options)
    assert machine.wire.received[-1] == frame(b"fresh" * 10)


@pytest.mark.exercises(driver=CPLUS, card=CARD, what="reset during traffic")
@variants(C_PLUS)
def test_a_reset_amid_traffic_in_cplus_mode(machine: QtestMachine, options: dict[str, Any]) -> None:
    reset(machine, options)
    assert machine.wire.received[-1] == frame(b"fresh" * 10)


def reset(machine: QtestMachine, options: dict[str, Any]) -> None:
    """Frames that wait in the ring are lost with it, those that come later arrive."""
    driver = started(machine, options)
    for turn in range(10):
        for number in range(7):
            machine.wire.send(frame(bytes([number]) * 300))
        machine.run("100us")
        driver.poll()
        received = driver.receive()
        assert received is not None
        assert bytes(received.frame) == frame(bytes(300))
        driver.recover()
        assert driver.receive() is None
        machine.wire.send(frame(bytes([turn]) * 99))
        machine.run("100us")
        assert drain(driver) == [frame(bytes([turn]) * 99)]
        assert driver.send(frame(bytes([turn]) * 55))
    machine.run("1ms")
    assert list(machine.wire.received) == [frame(bytes([turn]) * 55) for turn in range(10)]
    driver.stop()
    machine.reset()
    driver.start()
    assert driver.send(frame(b"fresh" * 10))
    machine.run("1ms")
    assert machine.wire.received[-1] == frame(b"fresh" * 10)


KNOWN, STRANGER, UNICAST, EVERYBODY = "33:33:00:00:00:05", "33:33:00:00:00:06", "02:00:00:00:00:99", "ff:ff:ff:ff:ff:ff"
HEARD = [
    [EVERYBODY],
    [KNOWN, EVERYBODY],
    [KNOWN, STRANGER, EVERYBODY],
    [KNOWN, STRANGER, UNICAST, EVERYBODY],
    [EVERYBODY],
]
"""What arrives at first, with a group, with all multicast, promiscuously, and when nothing of this is asked for."""


def heard(machine: QtestMachine, options: dict[str, Any]) -> tuple[list[list[str]], dict[str, int]]:
    """As HEARD, and what was dropped. The hash is the card's own: a stranger that does not collide stays outside."""
    driver = started(machine, options)

    def arrived() -> list[str]:
        for destination in (KNOWN, STRANGER, UNICAST, EVERYBODY):
            machine.wire.send(frame(b"to whom" * 10, destination))
        machine.run("1ms")
        return [one[:6].hex(":") for one in drain(driver)]

    found = [arrived()]
    driver.set_multicast([bytes.fromhex(KNOWN.replace(":", ""))])
    found.append(arrived())
    driver.set_all_multicast(True)
    found.append(arrived())
    driver.set_promiscuous(True)
    found.append(arrived())
    driver.set_promiscuous(False)
    driver.set_all_multicast(False)
    driver.set_multicast([])
    found.append(arrived())
    return found, driver.drops


@pytest.mark.exercises(driver=C, card=CARD, what="multicast filter")
@variants(C_MMIO, {"mode": "C", "rx_ring": "8KiB", "wrap": False, "io": True})
def test_only_asked_for_multicast_is_received_in_c_mode(machine: QtestMachine, options: dict[str, Any]) -> None:
    assert heard(machine, options) == (HEARD, {})


@pytest.mark.exercises(driver=CPLUS, card=CARD, what="multicast filter")
@variants(C_PLUS)
def test_only_asked_for_multicast_is_received_in_cplus_mode(machine: QtestMachine, options: dict[str, Any]) -> None:
    assert heard(machine, options) == (HEARD, {})


# --- what only C+ mode has


@pytest.mark.parametrize(
    ("packet", "start", "field"),
    [
        (IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=1, dport=2), 34, 16),
        (IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2), 34, 6),
        (IPv6(src="fd00::1", dst="fd00::2") / UDP(sport=1, dport=2), 54, 6),
    ],
    ids=["TCP", "UDP", "UDP over IPv6, by the driver"],
)
@pytest.mark.exercises(driver=CPLUS, card=CARD, what="checksum offload")
def test_the_checksums_that_are_asked_for_are_inserted(
    machine: QtestMachine, packet: Packet, start: int, field: int
) -> None:
    """RTL8139C+ 9: TCPCS, UDPCS; the result is Scapy's. For IPv6 the card has nothing."""
    driver = started(machine, C_PLUS)
    whole = bytes(Ether(src=MAC, dst=PEER) / packet / Raw(b"odd payload" * 9))
    address = whole[26:34] if start == 34 else whole[22:54]
    pseudo = sum(int.from_bytes(address[at : at + 2], "big") for at in range(0, len(address), 2))
    pseudo += (6 if field == 16 else 17) + len(whole) - start
    pseudo = (pseudo & 0xFFFF) + (pseudo >> 16)
    partial = whole[: start + field] + pseudo.to_bytes(2, "big") + whole[start + field + 2 :]
    commit(driver, partial, FrameFacts(checksum_start=start, checksum_offset=field))
    machine.run("1ms")
    assert list(machine.wire.received) == [whole]


@pytest.mark.exercises(driver=CPLUS, card=CARD, what="large send")
@pytest.mark.parametrize("size", [1460, 536])
def test_a_large_send_is_cut(machine: QtestMachine, size: int) -> None:
    """RTL8139C+ 9, LGSEN: each segment is one that Scapy finds whole, and together they are the data."""
    driver = started(machine, C_PLUS)
    data = bytes(range(256)) * 200
    whole = bytes(Ether(src=MAC, dst=PEER) / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(flags="PA") / data)
    commit(driver, whole, FrameFacts(checksum_start=34, checksum_offset=16, segment_size=size, header_length=54))
    machine.run("1ms")
    packets = [Ether(one) for one in machine.wire.received]
    assert len(packets) == -(-len(data) // size)
    assert b"".join(bytes(packet[TCP].payload) for packet in packets) == data
    for number, packet in enumerate(packets):
        fresh = Ether(bytes(packet))
        del fresh[IP].chksum, fresh[TCP].chksum, fresh[IP].len
        assert bytes(fresh) == bytes(packet)
        assert packet[TCP].seq == number * size
        assert packet[TCP].flags == "A"  # QEMU forgets PSH and FIN, which belong to the last one
    driver.poll()
    assert driver.transmitter.idle
    assert driver.drops == {}


@pytest.mark.exercises(driver=CPLUS, card=CARD, what="VLAN tags")
def test_tags_are_inserted_and_stripped(machine: QtestMachine) -> None:
    """RTL8139C+ 9, TAGC and TAVA: the tag's bytes lie in the descriptor as on the cable."""
    driver = started(machine, C_PLUS)
    assert isinstance(driver, Rtl8139CpDriver)
    driver.set_vlan_mode(True)
    driver.set_vlan_tag(0x6ABC)
    assert driver.send(frame(b"inside" * 20, PEER))
    machine.run("1ms")
    (out,) = machine.wire.received
    assert (Ether(out)[Dot1Q].prio, Ether(out)[Dot1Q].dei, Ether(out)[Dot1Q].vlan) == (3, 0, 0xABC)
    assert out[:12] + out[16:] == frame(b"inside" * 20, PEER)
    machine.wire.send(bytes.fromhex(MAC.replace(":", "")) + out[6:])
    machine.wire.send(frame(b"untagged" * 20))
    machine.run("1ms")
    driver.poll()
    received = driver.receive()
    assert received is not None
    assert received.vlan == 0x6ABC
    assert bytes(received.frame[12:]) == frame(b"inside" * 20)[12:]
    received = driver.receive()
    assert received is not None
    assert (received.vlan, bytes(received.frame)) == (None, frame(b"untagged" * 20))


@pytest.mark.exercises(driver=CPLUS, card=CARD, what="frames of 4 KiB")
def test_a_frame_of_four_kilobytes_is_one_frame(machine: QtestMachine) -> None:
    driver = started(machine, {"mode": "C+", "mtu": 4074})
    large = frame(bytes(range(194)) * 21)
    assert len(large) == 4074 + 14
    assert driver.send(large)
    machine.wire.send(large)
    machine.run("1ms")
    assert list(machine.wire.received) == [large]
    assert drain(driver) == [large]


# --- the stack, and a host of ours behind the cable


class Pair:
    """alice's card is QEMU's; bob is an emulated host with our model of an e1000; between them runs 100BASE-TX."""

    def __init__(self, machine: QtestMachine, world: World, options: dict[str, Any]) -> None:
        self.machine = machine
        self.bob = world.host("bob", nic="e1000", address=["10.0.0.2/24", "fd00::b/64"])
        world.join(machine)
        world.link(machine, self.bob, bandwidth="100Mbit/s")
        driver = probe(machine.function, **options)
        stack = NetworkStack(driver, address=["10.0.0.1/24", "fd00::a/64"], name="alice/stack")
        self.alice = QtestHost(machine, driver, stack)
        self.alice.start()
        machine.run("3s")  # bob's card takes its time

    def transfer(self, sender: TcpSocket, receiver: TcpSocket, data: bytes) -> bytes:
        return transferred(self.machine.clock, sender, receiver, data)


@pytest.fixture
def pair(program: str, options: dict[str, Any]) -> Iterator[Pair]:
    world = World(seed=3)
    with QtestMachine("rtl8139", mac=MAC, program=program, clock=world.clock) as machine:
        yield Pair(machine, world, options)


@pytest.mark.exercises(driver=C, card=CARD, what="ping, UDP, TCP both ways over MMIO, IPv4 and IPv6")
@variants(C_MMIO, {"mode": "C", "rx_ring": "8KiB", "wrap": False})
def test_a_host_in_c_mode_over_memory(pair: Pair, options: dict[str, Any]) -> None:
    converse(pair)
    assert pair.alice.driver.statistics["drops"] == 0


@pytest.mark.exercises(driver=C, card=CARD, what="ping, UDP, TCP both ways over PIO, IPv4 and IPv6")
@variants(C_PIO)
def test_a_host_in_c_mode_over_ports(pair: Pair, options: dict[str, Any]) -> None:
    converse(pair)
    assert pair.alice.driver.statistics["drops"] == 0


@pytest.mark.exercises(driver=CPLUS, card=CARD, what="ping, UDP, TCP both ways with offloads, IPv4 and IPv6")
@variants(C_PLUS)
def test_a_host_in_cplus_mode(pair: Pair, options: dict[str, Any]) -> None:
    converse(pair)
    statistics = pair.alice.driver.statistics
    assert statistics["tx_ok"] == statistics["tx_frames"] < pair.bob.driver.statistics["GPRC"] - 200, "cut by the card"


@pytest.mark.exercises(driver=CPLUS, card=CARD, what="ping, UDP, TCP both ways without offloads, IPv4 and IPv6")
@variants(C_PLUS_BARE)
def test_a_host_in_cplus_mode_without_offloads(pair: Pair, options: dict[str, Any]) -> None:
    converse(pair)
    assert pair.alice.driver.statistics["drops"] == 0


def converse(pair: Pair) -> None:
    """Over both families: twenty pings, a datagram each way, and half a megabyte each way: all arrives, byte for byte,
    nothing is lost.
    """
    for port, ours, theirs in ((80, "10.0.0.1", "10.0.0.2"), (81, "fd00::a", "fd00::b")):
        exchange(pair, port, ours, theirs)
    alice, bob = pair.alice.stack, pair.bob.stack
    assert (pair.alice.driver.statistics["drops"], alice.drop_reasons, bob.drop_reasons) == (0, {}, {})
    assert pair.alice.driver.statistics["interrupts"] > 0
    pair.alice.stop()


def exchange(pair: Pair, port: int, ours: str, theirs: str) -> None:
    alice, bob, machine = pair.alice.stack, pair.bob.stack, pair.machine
    times = alice.ping(theirs, count=20, interval="1ms")
    assert all(time is not None and time < 5 * MS for time in times)
    here, there = alice.udp_socket(port), bob.udp_socket(2000 + port)
    here.send_to(b"to bob" * 600, theirs, 2000 + port)  # in three fragments
    machine.run("5ms")
    assert there.receive()[:4] == (b"to bob" * 600, ip_address(ours).packed, port, ip_address(theirs).packed)
    there.send_to(b"to alice" * 150, ours, port)
    machine.run("5ms")
    assert here.receive()[:4] == (b"to alice" * 150, ip_address(theirs).packed, 2000 + port, ip_address(ours).packed)
    listener = bob.tcp_listen(port)
    client = alice.tcp_connect(theirs, port)
    assert machine.clock.wait(lambda: listener.can_accept, machine.clock.now + SECOND)
    server = listener.accept()
    assert server is not None
    data = bytes(number * 7 + (number >> 8) & 0xFF for number in range(1 << 19))
    assert pair.transfer(client, server, data) == data
    assert pair.transfer(server, client, data[::-1]) == data[::-1]
