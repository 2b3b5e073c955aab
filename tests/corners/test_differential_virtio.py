"""The same programs on QEMU's virtio-net and on ours: both must answer alike, but for what a row of docs/fidelity.md
explains. What differs beyond is a mistake.
"""

# ruff: noqa: F403, F405 - helpers beside this file

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motenet.bridge.qtest.twins import Bench, Program, Twins
from motenet.datasheets import pci as bus
from motenet.datasheets.registers import Register
from tests.corners.shared import differences
from tests.corners.virtio_programs import *

pytestmark = pytest.mark.needs("qemu")

CARDS = "QEMU virtio-net beside motenet virtio-net"
MANY = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])

PLAIN = CONTROL | FEATURES["MAC"] | FEATURES["STATUS"]
RINGS = {
    "split": VERSION_1 | PLAIN,
    "split, indirect, event index, mergeable": VERSION_1 | PLAIN | INDIRECT | EVENT_IDX | MRG_RXBUF,
    "packed": VERSION_1 | PLAIN | PACKED,
    "packed, indirect, event index, mergeable": VERSION_1 | PLAIN | PACKED | INDIRECT | EVENT_IDX | MRG_RXBUF,
    "legacy": PLAIN,
    "legacy, indirect, event index, mergeable": PLAIN | INDIRECT | EVENT_IDX | MRG_RXBUF,
}


@pytest.fixture(scope="module")
def started() -> Iterator[Callable[[str, str], Twins]]:
    with all_cards() as cards:
        yield cards


@pytest.fixture(params=QEMUS)
def cards(started: Callable[[str, str], Twins], request: pytest.FixtureRequest) -> Cards:
    """Cards with given properties, of either QEMU."""
    program = qemu_named(request.param)
    return lambda properties: started(properties, program)


@pytest.fixture
def modern(cards: Cards) -> Twins:
    return cards(MODERN)


@pytest.fixture
def legacy_only(cards: Cards) -> Twins:
    return cards(LEGACY)


@pytest.fixture
def both(modern: Twins, legacy_only: Twins) -> "Both":
    return Both(modern, legacy_only)


@dataclass
class Both:
    """The card for a set of features: VERSION_1 means the modern one."""

    modern: Twins
    legacy: Twins

    def differences(self, features: int, program: Program) -> str:
        return differences(self.modern if features & VERSION_1 else self.legacy, program)


# --- what the cards are

ENVIRONMENT = [bus.COMMAND.offset, bus.INTERRUPT_LINE, *range(bus.BAR0, bus.BAR0 + 24), *range(0x88, 0x98)]
"""Written by whoever set the machine up, or went through the window in configuration space (4.1.4.9)."""


@pytest.mark.parametrize("properties", [MODERN, LEGACY, BOTH])
@pytest.mark.exercises(driver="programs", card=CARDS, what="configuration space, capabilities")
def test_4_1_2_and_4_1_4_identity_and_capabilities(cards: Cards, properties: str) -> None:
    """Every byte of configuration space but addresses: those of BARs are compared by size and kind."""

    def program(bench: Bench) -> None:
        config = bench.config
        for at in range(256):
            if at not in ENVIRONMENT:
                bench.note(f"{at:#04x}", config.read(at, 1))
        for index in range(6):
            at = bus.BAR0 + 4 * index
            address = config.read(at, 4)
            config.write(at, 0xFFFFFFFF, 4)
            bench.note(f"BAR {index}", config.read(at, 4))
            config.write(at, address, 4)

    assert not differences(cards(properties), program)


@pytest.mark.exercises(driver="programs", card=CARDS, what="common configuration")
def test_4_1_4_3_all_registers_begin_alike(modern: Twins) -> None:
    def program(bench: Bench) -> None:
        forget(bench)
        for register in common.REGISTERS:
            for at in range(register.offset, register.offset + register.width // 8, 4):
                bench.note(register.name, bench.look(at, min(register.width, 32)))
        for queue in range(5):
            bench.write(common.QUEUE_SELECT, queue)
            for register in (common.QUEUE_MSIX_VECTOR, common.QUEUE_ENABLE):
                bench.read(register)
            bench.note(f"queue {queue} size", bench.look(common.QUEUE_SIZE))
            if queue < 3:
                bench.read(common.QUEUE_NOTIFY_OFF)  # virtio-absent-queue
        for select in range(4):
            bench.write(common.DEVICE_FEATURE_SELECT, select)
            bench.read(common.DEVICE_FEATURE)
        for at in range(8):
            bench.note("configuration", bench.look(CONFIG + at, 8))
        bench.note("ISR", bench.look(ISR, 8))

    assert not differences(modern, program)


@pytest.mark.exercises(driver="programs", card=CARDS, what="legacy interface")
def test_4_1_4_10_all_legacy_registers_begin_alike(legacy_only: Twins) -> None:
    def program(bench: Bench) -> None:
        for register in legacy.REGISTERS:
            if register.offset < legacy.CONFIG_WITHOUT_MSIX and register is not legacy.QUEUE_NOTIFY:  # virtio-notify
                bench.read(register)
        for queue in range(5):
            bench.write(legacy.QUEUE_SELECT, queue)
            bench.read(legacy.QUEUE_ADDRESS)
            bench.note(f"queue {queue} size", bench.look(legacy.QUEUE_SIZE))
        for at in range(8):
            bench.note("configuration", bench.look(legacy.CONFIG_WITHOUT_MSIX + at, 8))

    assert not differences(legacy_only, program)


def forget(bench: Bench) -> None:
    """virtio-kept: what survives a reset of QEMU's card."""
    for select in (1, 0):
        bench.write(common.DRIVER_FEATURE_SELECT, select)
        bench.write(common.DRIVER_FEATURE, 0)
    bench.write(common.DEVICE_FEATURE_SELECT, 0)
    bench.write(common.QUEUE_SELECT, 0)


@pytest.mark.exercises(driver="programs", card=CARDS, what="legacy interface")
def test_4_1_4_10_msi_x_moves_the_configuration(legacy_only: Twins) -> None:
    """Two vector registers come in between."""
    msix_control = 0x40 + 2

    def program(bench: Bench) -> None:
        bench.config.write(msix_control, 0x8000, 2)
        bench.write(legacy.CONFIG_MSIX_VECTOR, 1)
        bench.read(legacy.CONFIG_MSIX_VECTOR)
        for queue, vector in enumerate((0, 3, 4)):
            bench.write(legacy.QUEUE_SELECT, queue)
            bench.write(legacy.QUEUE_MSIX_VECTOR, vector)
            bench.read(legacy.QUEUE_MSIX_VECTOR)
        for at in range(8):
            bench.note("configuration", bench.look(legacy.CONFIG_WITH_MSIX + at, 8))
        bench.config.write(msix_control, 0, 2)
        for width in (8, 16, 32):
            for at in range(0, 8, width // 8):
                bench.note("configuration", bench.look(legacy.CONFIG_WITHOUT_MSIX + at, width))

    assert not differences(legacy_only, program)


@pytest.mark.exercises(driver="programs", card=CARDS, what="legacy interface")
def test_2_2_3_a_transitional_card_works_through_its_legacy_interface(cards: Cards) -> None:
    def program(bench: Bench) -> None:
        bench.read(legacy.DEVICE_FEATURES)
        card = Card(bench, RINGS["legacy, indirect, event index, mergeable"])
        card.tx.offer(Chain([bytes(12), frame(60)]))
        card.kick(card.tx)
        for _ in range(3):
            card.rx.offer(Chain(writable=[100]))
        card.kick(card.rx)
        card.receive(frame(200))
        card.note(card.rx)
        card.command(net.CTRL_RX, net.CTRL_RX_PROMISC, b"\0")

    assert not differences(cards(BOTH), program)


# --- what registers keep

SETTABLE = {
    common.DEVICE_FEATURE_SELECT: st.integers(0, 0xFFFFFFFF),
    common.DRIVER_FEATURE_SELECT: st.integers(0, 0xFFFFFFFF),
    common.CONFIG_MSIX_VECTOR: st.sampled_from([0, 1, 3, 4, 5, 0x7FFF, 0xFFFE, 0xFFFF]),
    common.QUEUE_SELECT: st.integers(0, 2),  # virtio-absent-queue
    common.QUEUE_SIZE: st.sampled_from([1, 2, 8, 64, 128, 256]),  # virtio-queue-size
    common.QUEUE_MSIX_VECTOR: st.sampled_from([0, 1, 3, 4, 5, 0x7FFF, 0xFFFE, 0xFFFF]),
    common.NUM_QUEUES: st.integers(0, 0xFFFF),
    common.CONFIG_GENERATION: st.integers(0, 0xFF),
    common.QUEUE_NOTIFY_OFF: st.integers(0, 0xFFFF),
    common.DEVICE_FEATURE: st.integers(0, 0xFFFFFFFF),
    common.DRIVER_FEATURE: st.integers(0, 0xFFFFFFFF),
    common.QUEUE_DESC: st.integers(0, 0xFFFFFFFFFFFFFFFF),
    common.QUEUE_DRIVER: st.integers(0, 0xFFFFFFFFFFFFFFFF),
    common.QUEUE_DEVICE: st.integers(0, 0xFFFFFFFFFFFFFFFF),
}
WRITES = st.sampled_from(list(SETTABLE)).flatmap(lambda register: st.tuples(st.just(register), SETTABLE[register]))


def read_whole(bench: Bench, register: Register) -> None:
    for at in range(register.offset, register.offset + register.width // 8, 4):
        bench.note(register.name, bench.look(at, min(register.width, 32)))


@MANY
@given(writes=st.lists(WRITES, max_size=40))
@pytest.mark.exercises(driver="programs", card=CARDS, what="common configuration")
def test_4_1_4_3_any_writes_read_back_alike(modern: Twins, writes: list[tuple[Register, int]]) -> None:
    """Before FEATURES_OK, with queues that are not enabled; after each write all registers are read."""

    def program(bench: Bench) -> None:
        forget(bench)
        bench.write(common.DEVICE_STATUS, ACKNOWLEDGE | DRIVER)
        for register, value in writes:
            for shift in range(0, register.width, 32):
                bench.write(register.offset + shift // 8, value >> shift & 0xFFFFFFFF, min(register.width, 32))
            for one in SETTABLE:
                if one is not common.QUEUE_SIZE:
                    read_whole(bench, one)
        for queue in range(3):
            bench.write(common.QUEUE_SELECT, queue)
            bench.note(f"queue {queue} size", bench.look(common.QUEUE_SIZE))

    assert not differences(modern, program)


LEGACY_WRITES = st.one_of(
    st.tuples(st.just(legacy.QUEUE_SELECT), st.integers(0, 2)),
    st.tuples(st.just(legacy.QUEUE_SIZE), st.integers(0, 0xFFFF)),
    st.tuples(st.just(legacy.DEVICE_FEATURES), st.integers(0, 0xFFFFFFFF)),
    st.tuples(st.just(legacy.ISR), st.integers(0, 0xFF)),
    st.tuples(st.just(legacy.DEVICE_STATUS), st.sampled_from([0, 1, 3])),
    st.tuples(st.just(legacy.QUEUE_ADDRESS), st.integers(0x100, 0x13F)),
)  # fmt: skip


@MANY
@given(writes=st.lists(LEGACY_WRITES, max_size=30))
@pytest.mark.exercises(driver="programs", card=CARDS, what="legacy interface")
def test_4_1_4_10_any_legacy_writes_read_back_alike(legacy_only: Twins, writes: list[tuple[Register, int]]) -> None:
    def program(bench: Bench) -> None:
        status, placed = 0, set[int]()
        for register, value in writes:
            if register is legacy.DEVICE_STATUS:
                value = value and value | status  # virtio-status-cleared
                status, placed = value, placed if value else set()
            selected = bench.look(legacy.QUEUE_SELECT)
            if register is legacy.QUEUE_ADDRESS and (selected in placed or placed.add(selected)):
                continue  # virtio-queue-moved
            bench.write(register, value)
            for one in (
                legacy.DEVICE_FEATURES, legacy.DRIVER_FEATURES, legacy.QUEUE_ADDRESS, legacy.QUEUE_SELECT,
                legacy.DEVICE_STATUS, legacy.ISR,
            ):  # fmt: skip
                bench.read(one)
            bench.note(f"queue {bench.look(legacy.QUEUE_SELECT)} size", bench.look(legacy.QUEUE_SIZE))

    assert not differences(legacy_only, program)


STEPS = st.lists(st.sampled_from([0, ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK, DEVICE_STATUS["FAILED"]]), max_size=8)


@MANY
@given(steps=STEPS)
@pytest.mark.exercises(driver="programs", card=CARDS, what="feature negotiation")
def test_2_1_any_status_bits_are_set_alike(modern: Twins, steps: list[int]) -> None:
    """In any order, but for DRIVER_OK (virtio-driver-ok); 0 resets."""

    def program(bench: Bench) -> None:
        card = Modern(bench)
        card.set_status(0)
        card.accept(RINGS["split"])
        status = 0
        for step in steps:
            if step != DRIVER_OK or status & FEATURES_OK:
                status = status | step if step else 0
                card.set_status(status)
                if not status:
                    card.accept(RINGS["split"])
                card.note_interrupt()

    assert not differences(modern, program)


OFFERED = [
    FEATURES[name]
    for name in ("CTRL_GUEST_OFFLOADS", "MAC", "MRG_RXBUF", "STATUS", "GUEST_ANNOUNCE", "CTRL_VQ", "CTRL_RX",
                 "CTRL_VLAN", "CTRL_RX_EXTRA", "CTRL_MAC_ADDR", "RING_INDIRECT_DESC", "RING_EVENT_IDX", "RING_PACKED")
]  # fmt: skip
NEEDS_CONTROL = sum(FEATURES[n] for n in ("CTRL_RX", "CTRL_VLAN", "CTRL_RX_EXTRA", "CTRL_MAC_ADDR", "GUEST_ANNOUNCE"))
SUBSETS = st.lists(st.sampled_from(OFFERED), unique=True).map(sum).map(
    lambda bits: bits if bits & FEATURES["CTRL_VQ"] else bits & ~(NEEDS_CONTROL | FEATURES["CTRL_GUEST_OFFLOADS"])
)  # fmt: skip
"""Features that may be accepted together (5.1.3.1)."""


@MANY
@given(features=SUBSETS, again=SUBSETS, words=st.permutations([0, 1]))
@pytest.mark.exercises(driver="programs", card=CARDS, what="feature negotiation")
def test_3_1_1_any_features_are_negotiated_alike(modern: Twins, features: int, again: int, words: list[int]) -> None:
    """In either order of words, changed before FEATURES_OK, and once more after a reset."""

    def program(bench: Bench) -> None:
        for first, second in ((features, again), (again, again)):
            for status in (0, ACKNOWLEDGE, ACKNOWLEDGE | DRIVER):
                bench.write(common.DEVICE_STATUS, status)
                bench.read(common.DEVICE_STATUS)
            for bits in (first, second | VERSION_1):
                for select in words:
                    bench.write(common.DRIVER_FEATURE_SELECT, select)
                    bench.write(common.DRIVER_FEATURE, bits >> 32 * select & 0xFFFFFFFF)
                    bench.read(common.DRIVER_FEATURE)
            for status in (ACKNOWLEDGE | DRIVER | FEATURES_OK, READY):
                bench.write(common.DEVICE_STATUS, status)
                bench.read(common.DEVICE_STATUS)

    assert not differences(modern, program)


@pytest.mark.exercises(driver="programs", card=CARDS, what="queue setup, reset")
def test_2_4_a_reset_brings_everything_back(modern: Twins) -> None:
    def program(bench: Bench) -> None:
        forget(bench)
        card = Card(bench, RINGS["packed, indirect, event index, mergeable"], size=8)
        for queue in (card.rx, card.tx, card.control):
            bench.write(common.QUEUE_SELECT, queue.index)
            bench.write(common.QUEUE_MSIX_VECTOR, queue.index)
            for register in SETTABLE:
                if register is not common.DRIVER_FEATURE:
                    read_whole(bench, register)
            bench.read(common.QUEUE_ENABLE)
        card.tx.offer(Chain([bytes(12) + frame(60)]))
        card.kick(card.tx)
        card.registers.set_status(0)
        forget(bench)
        for queue in range(3):
            bench.write(common.QUEUE_SELECT, queue)
            for register in SETTABLE:
                if register not in (common.QUEUE_SIZE, common.DRIVER_FEATURE):
                    read_whole(bench, register)
            bench.read(common.QUEUE_ENABLE)
            bench.note(f"queue {queue} size", bench.look(common.QUEUE_SIZE))
        card = Card(bench, RINGS["split"], size=4)
        card.tx.offer(Chain([bytes(12) + frame(61)]))
        card.kick(card.tx)

    assert not differences(modern, program)


@pytest.mark.exercises(driver="programs", card=CARDS, what="configuration space, capabilities")
def test_4_1_4_9_the_window_in_configuration_space(modern: Twins) -> None:
    """VIRTIO_PCI_CAP_PCI_CFG at 84h: registers of every width are written and read through it."""
    bar, offset, length, data = 0x84 + 4, 0x84 + 8, 0x84 + 12, 0x84 + 16

    def program(bench: Bench) -> None:
        config = bench.config

        def access(at: int, width: int, value: int | None = None) -> None:
            config.write(bar, 4, 1)
            config.write(offset, at, 4)
            config.write(length, width, 4)
            if value is None:
                bench.note(f"window {at:#x}", config.read(data, width))
            else:
                config.write(data, value, width)

        forget(bench)
        access(common.DEVICE_STATUS.offset, 1, ACKNOWLEDGE)
        access(common.DEVICE_STATUS.offset, 1)
        access(common.QUEUE_SELECT.offset, 2, 1)
        access(common.QUEUE_SIZE.offset, 2)
        access(common.DEVICE_FEATURE_SELECT.offset, 4, 1)
        access(common.DEVICE_FEATURE.offset, 4)
        access(common.QUEUE_DESC.offset, 4, 0x12345670)
        for at in range(0, 0x38, 4):
            access(at, 4) if at not in (0x10, 0x14, 0x18, 0x1C) else (access(at, 2), access(at + 2, 2))
        for at in range(6):
            access(CONFIG + at, 1)
        bench.read(common.QUEUE_SELECT)
        bench.read(common.DEVICE_STATUS)

    assert not differences(modern, program)


# --- transmission


@st.composite
def chains(draw: st.DrawFn, features: int, header: int) -> Chain:
    """A frame behind an empty header, cut anywhere, in any mixture of direct and indirect descriptors."""
    size = draw(st.one_of(st.integers(60, 1514), st.integers(60, 9000)))  # virtio-pad
    content = bytes(header) + frame(size, PEER, MAC)
    cuts = draw(st.lists(st.one_of(st.integers(1, 80), st.integers(1, len(content))), max_size=4))
    pieces = cut(content, cuts)
    table = draw(st.sampled_from([-1, 0])) if features & INDIRECT else -1  # virtio-indirect-later
    return Chain(pieces, table=table)


def header_size(features: int) -> int:
    return 12 if features & (VERSION_1 | MRG_RXBUF) else 10


@MANY
@given(data=st.data(), features=st.sampled_from(list(RINGS.values())), size=st.sampled_from([8, 16]))
@pytest.mark.exercises(driver="programs", card=CARDS, what="transmission")
def test_5_1_6_2_any_chains_send_alike(both: Both, data: st.DataObject, features: int, size: int) -> None:
    """Up to three chains a notification, through rings that wrap; used elements, events and the line are compared.

    The driver asks for interrupts, or not, before each notification: by flags and by used_event (2.7.7, 2.8.10).
    """
    batch = st.lists(chains(features, header_size(features)), min_size=1, max_size=3)
    room = size if features & VERSION_1 else 256
    batches = data.draw(st.lists(batch, min_size=1, max_size=6))
    wishes = [
        (data.draw(st.integers(0, 2 if features & PACKED else 1)), data.draw(st.integers(-3, 12))) for _ in batches
    ]

    def program(bench: Bench) -> None:
        card = Card(bench, features, size)
        card.tx.offer(Chain([bytes(card.header) + frame(60)]))  # virtio-first-event
        card.kick(card.tx)
        for chains, (flags, ahead) in zip(batches, wishes, strict=True):
            while sum(chain.descriptors for chain in chains) > room:
                chains = chains[1:]
            if isinstance(card.tx, PackedQueue):
                wraps = card.tx.position % size + sum(chain.descriptors for chain in chains) >= size
                if flags == queues.RING_EVENT_FLAGS_DESC and (wraps or not features & EVENT_IDX):
                    flags = queues.RING_EVENT_FLAGS_DISABLE  # virtio-packed-event
                card.tx.suppress(flags, card.tx.ahead(ahead))
            else:
                card.tx.suppress(flags, card.tx.idx + ahead)
            for chain in chains:
                card.tx.offer(chain)
            card.kick(card.tx)

    assert not both.differences(features, program)


# --- reception

ROOMS = st.lists(st.one_of(st.integers(12, 64), st.integers(64, 2000)), min_size=1, max_size=3)


@MANY
@given(
    features=st.sampled_from(list(RINGS.values())),
    rooms=st.lists(st.tuples(ROOMS, st.booleans()), min_size=1, max_size=4),
    sizes=st.lists(st.one_of(st.integers(14, 1514), st.integers(14, 9000)), min_size=1, max_size=4),
    flags=st.integers(0, 1),
)
@pytest.mark.exercises(driver="programs", card=CARDS, what="reception")
def test_5_1_6_4_frames_fill_any_buffers_alike(
    both: Both, features: int, rooms: list[tuple[list[int], bool]], sizes: list[int], flags: int
) -> None:
    """Buffers of any size and shape, direct and indirect, mergeable or not.

    There are always enough: those that come last have room for all (virtio-no-buffer).
    """

    def program(bench: Bench) -> None:
        card = Card(bench, features, 64)
        card.rx.suppress(flags, 0)
        for room, indirect in rooms:
            indirect = indirect and bool(features & INDIRECT)
            if features & PACKED and not features & MRG_RXBUF and not indirect:
                room = [sum(room)]  # virtio-packed-rewind
            card.rx.offer(Chain(writable=room, table=0 if indirect else -1))
        for size in sizes:
            card.rx.offer(Chain(writable=[size + 100]))
        card.kick(card.rx)
        for size in sizes:
            card.receive(frame(size))
        card.note(card.rx)

    assert not both.differences(features, program)


@dataclass
class Filters:
    """How the receiver is set up: modes by command, the address table, VLANs, and another address."""

    modes: list[tuple[int, int]]
    unicast: list[bytes]
    multicast: list[bytes]
    vlans: list[tuple[int, int]]
    address: bytes | None

    def commands(self) -> list[tuple[int, int, bytes]]:
        table = b"".join(len(one).to_bytes(4, "little") + b"".join(one) for one in (self.unicast, self.multicast))
        found = [(net.CTRL_RX, net.CTRL_RX_PROMISC, b"\0"), (net.CTRL_MAC, net.CTRL_MAC_TABLE_SET, table)]
        found += [(net.CTRL_RX, command, bytes((on,))) for command, on in self.modes]
        found += [(net.CTRL_VLAN, command, vlan.to_bytes(2, "little")) for command, vlan in self.vlans]
        if self.address is not None:
            found.append((net.CTRL_MAC, net.CTRL_MAC_ADDR_SET, self.address))
        return found


STATION = bytes.fromhex(MAC.replace(":", ""))
NEAR = st.sampled_from([
    *(STATION, bytes.fromhex("525400123457"), b"\xff" * 6, bytes.fromhex("3333ff123456")),
    *(bytes.fromhex("01005e000001"), bytes.fromhex("01005e000002"), bytes.fromhex("020000000077")),
])  # fmt: skip
MANY_ADDRESSES = st.integers(60, 70).map(lambda count: [bytes((2, 0, 0, 0, 1, n)) for n in range(count)])
VLANS = st.sampled_from([0, 1, 5, 31, 32, 4095])
FILTERS = st.builds(
    Filters,
    modes=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1)), max_size=4),
    unicast=st.one_of(st.lists(NEAR, max_size=3), MANY_ADDRESSES),
    multicast=st.lists(NEAR, max_size=6),
    vlans=st.lists(st.tuples(st.integers(0, 1), VLANS), max_size=4),
    address=st.one_of(st.none(), NEAR),
)


@MANY
@given(
    features=st.sampled_from([RINGS["split"], RINGS["packed"], RINGS["legacy"]]),
    by_vlan=st.booleans(),
    filters=FILTERS,
    arriving=st.lists(st.tuples(NEAR, st.one_of(st.just(-1), VLANS)), max_size=8),
)
@pytest.mark.exercises(driver="programs", card=CARDS, what="receive filters")
def test_5_1_6_5_any_filters_let_the_same_frames_in(
    both: Both, features: int, by_vlan: bool, filters: Filters, arriving: list[tuple[bytes, int]]
) -> None:
    """Modes, exact addresses, more addresses than there is room for, VLANs, and the address in the configuration."""
    if not by_vlan:
        features &= ~FEATURES["CTRL_VLAN"]
        filters.vlans = []  # virtio-not-negotiated

    def program(bench: Bench) -> None:
        card = Card(bench, features, 64)
        for _ in range(9):
            card.rx.offer(Chain(writable=[300]))
        card.kick(card.rx)
        card.receive(frame(60))
        for group, command, content in filters.commands():
            card.command(group, command, content)
        for destination, vlan in arriving:
            where = destination.hex(":")
            card.receive(frame(64, where) if vlan < 0 else tagged(68, vlan, where))
        card.note(card.rx)
        start = CONFIG if features & VERSION_1 else legacy.CONFIG_WITHOUT_MSIX
        bench.note("mac", bytes(bench.look(start + at, 8) for at in range(6)))

    assert not both.differences(features, program)


# --- the control queue

COMMANDS = st.one_of(
    st.tuples(st.just(net.CTRL_RX), st.integers(0, 8), st.sampled_from([b"", b"\0", b"\1"])),
    st.tuples(st.just(net.CTRL_MAC), st.just(net.CTRL_MAC_TABLE_SET), st.builds(
        lambda tables, extra: b"".join(len(t).to_bytes(4, "little") + b"".join(t) for t in tables) + extra,
        st.lists(st.lists(st.binary(min_size=6, max_size=6), max_size=3), max_size=2), st.binary(max_size=7))),
    st.tuples(st.just(net.CTRL_MAC), st.integers(0, 3), st.binary(max_size=20)),
    st.tuples(st.just(net.CTRL_VLAN), st.integers(0, 3), st.one_of(
        st.binary(max_size=2), st.integers(0, 0xFFFF).map(lambda vlan: vlan.to_bytes(2, "little")))),
    st.tuples(st.just(net.CTRL_MQ), st.integers(0, 3), st.binary(max_size=2)),
    st.tuples(st.just(net.CTRL_GUEST_OFFLOADS), st.integers(0, 2), st.binary(max_size=7)),
    st.tuples(st.integers(6, 255), st.integers(0, 255), st.binary(max_size=8)),
)  # fmt: skip
"""Neither CTRL_ANNOUNCE (virtio-announce-ack) nor data too long for a mode or a VLAN (virtio-command-length)."""


@MANY
@given(
    features=st.sampled_from(list(RINGS.values())),
    commands=st.lists(st.tuples(COMMANDS, st.lists(st.integers(1, 24), max_size=3), st.booleans()), max_size=6),
)
@pytest.mark.exercises(driver="programs", card=CARDS, what="control queue")
def test_5_1_6_5_any_commands_are_answered_alike(
    both: Both, features: int, commands: list[tuple[tuple[int, int, bytes], list[int], bool]]
) -> None:
    """Known and unknown ones, with data of any length, cut anywhere."""

    def program(bench: Bench) -> None:
        card = Card(bench, features, 64)
        for (group, command, content), cuts, indirect in commands:
            card.command(group, command, content, cuts, 0 if indirect and features & INDIRECT else -1)

    assert not both.differences(features, program)


@pytest.mark.parametrize("features", RINGS.values(), ids=RINGS)
@pytest.mark.parametrize("group", [net.CTRL_RX, net.CTRL_MAC, net.CTRL_VLAN, net.CTRL_MQ, net.CTRL_GUEST_OFFLOADS])
@pytest.mark.exercises(driver="programs", card=CARDS, what="control queue")
def test_5_1_6_5_all_classes_are_answered_alike(both: Both, features: int, group: int) -> None:
    def program(bench: Bench) -> None:
        card = Card(bench, features, 64)
        for command in range(8):
            for content in (b"\1", b"\1\0", bytes(6), bytes(8))[
                : 1 if group == net.CTRL_RX else 2 if group == 2 else 4
            ]:
                if (group, content) != (net.CTRL_GUEST_OFFLOADS, bytes(8)):  # virtio-offloads
                    card.command(group, command, content)

    assert not both.differences(features, program)


GUEST = [FEATURES[f"GUEST_{name}"] for name in ("CSUM", "TSO4", "TSO6", "ECN", "UFO")]
OFFLOADS = st.lists(st.sampled_from([*GUEST, 1, 1 << 63]), max_size=4, unique=True).map(sum)


@pytest.fixture(scope="module")
def tapped() -> Iterator[Twins]:
    with side_by_side(MODERN, tap=f"motev{os.getpid() % 10**6}") as twins:
        yield twins


@pytest.mark.needs("tap", "root")
@MANY
@given(
    accepted=st.lists(st.sampled_from(GUEST), unique=True).map(sum),
    commands=st.lists(
        st.one_of(OFFLOADS.map(lambda bits: bits.to_bytes(8, "little")), st.binary(max_size=7)), max_size=4
    ),
)
@pytest.mark.exercises(driver="programs", card=CARDS, what="offloads: what is offered, and switched")
def test_5_1_6_5_8_any_offloads_are_switched_alike(tapped: Twins, accepted: int, commands: list[bytes]) -> None:
    """Any of those that were negotiated, and no other; all of them are offered where the back-end has them."""
    if not accepted & FEATURES["GUEST_CSUM"]:
        accepted = 0
    if not accepted & (FEATURES["GUEST_TSO4"] | FEATURES["GUEST_TSO6"]):
        accepted &= ~FEATURES["GUEST_ECN"]

    def program(bench: Bench) -> None:
        for select in range(2):
            bench.write(common.DEVICE_FEATURE_SELECT, select)
            bench.read(common.DEVICE_FEATURE)
        card = Card(bench, RINGS["split"] | accepted | FEATURES["CTRL_GUEST_OFFLOADS"])
        for content in commands:
            card.command(net.CTRL_GUEST_OFFLOADS, net.CTRL_GUEST_OFFLOADS_SET, content)

    assert not differences(tapped, program)


# --- errors

SPLIT_ERRORS = {
    "idx has jumped": lambda q: q.publish(*[0] * (q.size + 1)),
    "head out of range": lambda q: q.publish(q.size),
    "next out of range": lambda q: (q.descriptor(0, q.address(AREA * 4), 20, 1, q.size), q.publish(0)),
    "a loop": lambda q: (q.descriptor(0, q.address(AREA * 4), 20, 1, 0), q.publish(0)),
    "an empty buffer": lambda q: (q.descriptor(0, q.address(AREA * 4), 0, 0), q.publish(0)),
    "writable before readable": lambda q: (
        q.descriptor(0, q.address(AREA * 4), 20, 3, 1), q.descriptor(1, q.address(AREA * 4), 20, 0), q.publish(0)),
    "an indirect table of no bytes": lambda q: (q.descriptor(0, q.address(AREA * 4), 0, 4), q.publish(0)),
    "an indirect table of 24 bytes": lambda q: (q.descriptor(0, q.address(AREA * 4), 24, 4), q.publish(0)),
    "next out of an indirect table": lambda q: q.offer_table(
        [(q.address(AREA * 4), 20, 1, 2), (q.address(AREA * 4), 20, 0, 0)]),
    "a loop in an indirect table": lambda q: q.offer_table(
        [(q.address(AREA * 4), 20, 1, 1), (q.address(AREA * 4), 20, 1, 0)]),
}  # fmt: skip
"""2.7: each must make the device ask for a reset."""


PACKED_ERRORS = {
    "an empty buffer": lambda q: q.raw((20, 1), (0, 0)),
    "writable before readable": lambda q: q.raw((20, 3), (20, 0)),
    "an indirect table of 24 bytes": lambda q: q.raw((24, 4)),
    "a list longer than the queue": lambda q: q.raw(*[(20, 1)] * q.size),
    "a list that is not closed": lambda q: q.raw((20, 1)),
    "a list that ends in an indirect table": lambda q: q.raw((16, 5), (16, 0)),
}
"""2.8; an indirect table of no bytes ends QEMU (virtio-packed-empty-table)."""
ERRORS = [
    *(("split", "tx", name, error) for name, error in SPLIT_ERRORS.items()),
    *(("split", "control", name, error) for name, error in SPLIT_ERRORS.items()),
    *(("packed", "tx", name, error) for name, error in PACKED_ERRORS.items()),
    *(("packed", "control", name, error) for name, error in PACKED_ERRORS.items()),
    *(("legacy", "tx", name, error) for name, error in SPLIT_ERRORS.items()),  # virtio-legacy-error
]


@pytest.mark.parametrize("behind", [0, 2], ids=["at once", "behind two that are right"])
@pytest.mark.parametrize(("rings", "queue", "name", "error"), ERRORS, ids=["-".join(one[:3]) for one in ERRORS])
@pytest.mark.exercises(driver="programs", card=CARDS, what="errors: DEVICE_NEEDS_RESET")
def test_2_1_2_what_is_wrong_with_a_ring_asks_for_a_reset(
    both: Both, rings: str, queue: str, name: str, error: Callable[[Ring], object], behind: int
) -> None:
    """Status, used ring and line; nothing goes on until the reset, and everything after it.

    The legacy interface has no DEVICE_NEEDS_RESET.
    """
    features = RINGS[f"{rings}, indirect, event index, mergeable"]

    def program(bench: Bench) -> None:
        card = Card(bench, features, 8)
        ring = getattr(card, queue)
        for _ in range(behind):
            if isinstance(ring, Split):
                ring.skip_to(4)
            if queue == "tx":
                ring.offer(Chain([bytes(12) + frame(60)]))
            else:
                ring.offer(Chain([b"\0\0\1"], [1]))
        error(ring)
        card.fail(ring)
        card.tx.offer(Chain([bytes(12) + frame(60)]))
        card.fail(card.tx)
        again = Card(bench, features, 8)
        again.tx.offer(Chain([bytes(12) + frame(62)]))
        again.kick(again.tx)

    assert not both.differences(features, program)


LENGTHS = st.sampled_from([0, 20, 60, 72])
DESCRIPTORS = st.lists(st.tuples(LENGTHS, st.integers(0, 3), st.integers(0, 8)), min_size=8, max_size=8)


@MANY
@given(
    interface=st.sampled_from(["split", "legacy"]),
    table=DESCRIPTORS,
    batches=st.lists(st.lists(st.integers(0, 8), min_size=1, max_size=4), max_size=3),
)
@pytest.mark.exercises(driver="programs", card=CARDS, what="errors: DEVICE_NEEDS_RESET")
def test_2_7_any_descriptor_table_is_walked_alike(
    both: Both, interface: str, table: list[tuple[int, int, int]], batches: list[list[int]]
) -> None:
    """Chains that begin anywhere, meet each other, end or do not, with buffers of no bytes and of both directions.

    What is used and when the device gives up is compared. Frames are not (virtio-transmit-writable, virtio-short), and
    chains do not begin with a writable descriptor (virtio-transmit-nothing).
    """
    features = RINGS[interface]

    def program(bench: Bench) -> None:
        card = Card(bench, features, 8)
        assert isinstance(card.tx, Split)
        for number, (length, flags, following) in enumerate(table):
            card.tx.descriptor(number, card.tx.address(4 * AREA), length, flags, following % (card.tx.size + 1))
        for heads in batches:
            card.tx.publish(*(head for head in heads if head == 8 or not table[head][1] & 2))
            card.fail(card.tx, frames=False)

    assert not both.differences(features, program)


@MANY
@given(batches=st.lists(st.lists(st.tuples(LENGTHS, st.integers(0, 3)), min_size=1, max_size=3), max_size=3))
@pytest.mark.exercises(driver="programs", card=CARDS, what="errors: DEVICE_NEEDS_RESET")
def test_2_8_any_packed_descriptors_are_walked_alike(modern: Twins, batches: list[list[tuple[int, int]]]) -> None:
    """The same with lists in a packed ring: those that are not closed meet a descriptor of no bytes."""

    def program(bench: Bench) -> None:
        card = Card(bench, RINGS["packed"], 16)
        assert isinstance(card.tx, PackedQueue)
        for descriptors in batches:
            begins = True
            for length, flags in descriptors:
                card.tx.raw((length, flags & ~2 if begins else flags))
                begins = not flags & 1
            card.fail(card.tx, frames=False)

    assert not differences(modern, program)


@pytest.mark.parametrize("features", [RINGS["split"], RINGS["packed"]])
@pytest.mark.exercises(driver="programs", card=CARDS, what="queue setup, reset")
def test_3_1_1_what_waits_at_driver_ok_is_sent_without_a_notification(modern: Twins, features: int) -> None:
    def program(bench: Bench) -> None:
        Card(bench, features, waiting=[Chain([bytes(12) + frame(60)]), Chain([bytes(12) + frame(70)])])
        bench.settle()
        bench.frames()

    assert not differences(modern, program)
