"""The same programs on QEMU's rtl8139 and on ours: both must answer alike, but for bits that a row of docs/fidelity.md
explains. What differs beyond is a mistake.
"""

# ruff: noqa: F403, F405 - the datasheet's names; helpers beside this file

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP, IPOption
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from motenet.bridge.qtest.process import has_qtest_accelerator
from motenet.bridge.qtest.twins import Bench, Twins
from motenet.bridge.vfio_user.qemu import PREPARE, find_qemu
from motenet.datasheets.registers import Register
from motenet.datasheets.rtl8139 import *
from motenet.datasheets.rtl8139 import eeprom
from motenet.devices.rtl8139.filters import hash_bit
from tests.corners.rtl8139_programs import *
from tests.corners.shared import differences

pytestmark = pytest.mark.needs("qemu")

ON_CPLUS, ON_BOTH = (f"QEMU rtl8139 beside motenet RTL8139{revision}" for revision in ("C+", "C and C+"))


@pytest.fixture(scope="module")
def pairs() -> Iterator[dict[str, Twins]]:
    with side_by_side() as pairs:
        yield pairs


@pytest.fixture(scope="module")
def punctual() -> Iterator[Twins]:
    """A QEMU whose time stands still but for settle(). The other's leaps to any timer that a card sets."""
    found = find_qemu()
    if found is None or not has_qtest_accelerator(found):
        pytest.skip(f"no QEMU here has -accel qtest; {PREPARE} fetches one")
    with side_by_side(found) as pairs:
        yield pairs["C+"]


@pytest.fixture(params=["C", "I/O"])
def twins(pairs: dict[str, Twins], request: pytest.FixtureRequest) -> Twins:
    """For C mode, which both revisions have: each of them through one of the windows."""
    return pairs[request.param]


@pytest.fixture
def cplus(pairs: dict[str, Twins]) -> Twins:
    return pairs["C+"]


# --- registers


@pytest.mark.exercises(driver="programs", card=ON_CPLUS, what="reset values")
def test_all_registers_begin_alike() -> None:
    """Chapter 5's reset values, where a row does not say otherwise. A QEMU of its own: no reset brings all back."""
    different = {
        *("CR", "CONFIG0", "CONFIG1", "CONFIG3", "CONFIG4", "MSR", "HLTCLK"),  # rtl8139-reset-values, -reset-bit
        *("BMSR", "ANAR", "ANLPAR", "ANER", "CSCR"),  # rtl8139-negotiation, -reset-values
        *("TCTR",),  # rtl8139-timer
    }

    def program(bench: Bench) -> None:
        for register in REGISTERS_CPLUS:
            if register.name not in different:
                for offset in register.offsets():
                    bench.read(offset)

    with side_by_side() as pairs:
        assert not differences(pairs["C+"], program)


ENGINES = {
    *("CR", "CAPR", "TCTR", "9346CR", "HLTCLK", "TPPOLL", "CPCR", "RDSARL", "RDSARH"),
    *("TIMERINT", "MSR", "BMCR", "BMSR", "ANLPAR", "ANER"),
}
SETTABLE = [register for register in REGISTERS_CPLUS if register.name not in ENGINES]


def unlock(bench: Bench) -> None:
    """Every lock open: configuration mode, and both engines on."""
    fresh(bench)
    bench.write(CR9346, CR9346.field("EEM").put(EEM_CONFIG))
    bench.write(CR, CR["TE"] | CR["RE"])


def poke(bench: Bench, register: Register, index: int, value: int) -> None:
    """With OWN in TSD nothing is sent."""
    offset = register.offset + index % register.count * register.stride
    value |= TSD["OWN"] if register is TSD else 0
    bench.write(offset, value & (1 << register.width) - 1)
    bench.read(offset)


@pytest.mark.parametrize("value", [0xFFFFFFFF, 0x55555555, 0xAAAAAAAA, 0])
@pytest.mark.exercises(driver="programs", card=ON_CPLUS, what="register writes")
def test_all_registers_keep_what_they_are_given(cplus: Twins, value: int) -> None:
    def program(bench: Bench) -> None:
        unlock(bench)
        for register in SETTABLE:
            for index in {0, 1, register.count - 1}:
                poke(bench, register, index, value)

    assert not differences(cplus, program)


WORDS = st.one_of(st.integers(0, 0xFFFFFFFF), st.sampled_from([0, 0xFFFFFFFF, 1, 0x80000000]))
MANY = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
WRITES = st.lists(st.tuples(st.sampled_from(SETTABLE), st.integers(0, 63), WORDS), max_size=60)


@MANY
@given(writes=WRITES)
@pytest.mark.exercises(driver="programs", card=ON_CPLUS, what="register writes")
def test_any_sequence_of_register_writes_reads_back_alike(
    cplus: Twins, writes: list[tuple[Register, int, int]]
) -> None:
    def program(bench: Bench) -> None:
        unlock(bench)
        for register, index, value in writes:
            poke(bench, register, index, value)
        for register, index, _ in writes:
            bench.read(register.offset + index % register.count * register.stride)

    assert not differences(cplus, program)


RINGS = [DTCCRH, TNPDSL, TNPDSH, THPDSL, THPDSH, RDSARL, RDSARH]


@MANY
@given(mode=st.integers(0, 0xFFFF), writes=st.lists(st.tuples(st.sampled_from(RINGS), WORDS), max_size=30))
@pytest.mark.exercises(driver="programs", card=ON_CPLUS, what="register writes")
def test_the_registers_of_cplus_mode_keep_what_they_are_given(
    cplus: Twins, mode: int, writes: list[tuple[Register, int]]
) -> None:
    def program(bench: Bench) -> None:
        fresh(bench)
        bench.write(CPCR, mode)
        bench.read(CPCR)
        bench.write(CPCR, CPCR["CPTX"] | CPCR["CPRX"])
        for register in RINGS:
            bench.write(register, 0)
        for register, value in writes:
            bench.write(register, value)
            bench.note(register.name, bench.look(register))
        for register in RINGS:
            bench.note(register.name, bench.look(register))

    assert not differences(cplus, program)


@pytest.mark.exercises(driver="programs", card=ON_BOTH, what="register writes")
def test_the_configuration_is_locked_alike(twins: Twins) -> None:
    """5.9: CONFIG1 and CONFIG4 are written in config write mode alone, CONFIG5 at any time."""

    def program(bench: Bench) -> None:
        fresh(bench)
        for mode in (EEM_CONFIG, EEM_NORMAL, EEM_PROGRAMMING, EEM_CONFIG):
            bench.write(CR9346, CR9346.field("EEM").put(mode))
            for value in (0x20, 0x51, 0xFF, 0x00, 0x30 + mode):
                for register in (CONFIG1, CONFIG4, CONFIG5):
                    bench.write(register, value)
                    bench.read(register)
                bench.write(CONFIG3, value)
                bench.note("CONFIG3", bench.look(CONFIG3) if mode == EEM_CONFIG else 0)
            bench.read(CR9346)

    assert not differences(twins, program)


@pytest.mark.exercises(driver="programs", card=ON_BOTH, what="register writes")
def test_the_engines_configuration_is_locked_while_they_are_off(twins: Twins) -> None:
    """5.7: TCR is written while CR.TE is set."""

    def program(bench: Bench) -> None:
        fresh(bench)
        for enable in (CR["TE"], 0, CR["RE"], CR["TE"] | CR["RE"]):
            bench.write(CR, enable)
            bench.read(CR)
            for value in (0x03000700, 0x00000000, 0x02000410):
                bench.write(TCR, value)
                bench.note("TCR", bench.look(TCR) & ~TCR["HWVERID_B"])

    assert not differences(twins, program)


@pytest.mark.exercises(driver="programs", card=ON_CPLUS, what="register writes")
def test_a_software_reset_leaves_alike(cplus: Twins) -> None:
    """5.4: CR.RST brings back the pointers, masks, causes and slots; MAR and configuration stay."""
    back = [TSD, RBSTART, CR, CBR, IMR, ISR, TIMERINT, CPCR]

    def program(bench: Bench) -> None:
        unlock(bench)
        for offset in MAR.offsets():
            bench.write(offset, 0x12345678)
        bench.write(CONFIG4, 0x11)
        bench.write(CONFIG5, 0)
        for register, value in ((RBSTART, 0x1000), (IMR, 0x00FF), (CAPR, 0x1000), (CPCR, 3)):
            bench.write(register, value)
        bench.write(CR, CR["RST"])
        bench.settle()
        for register in [*back, MAR, IDR0, IDR4, CONFIG4, CONFIG5, RDSARH, TSAD_ALL]:
            for offset in register.offsets():
                bench.note(register.name, bench.look(offset) & (~ISR["PUN_LINKCHG"] if register is ISR else -1))

    assert not differences(cplus, program)


@pytest.mark.exercises(driver="programs", card=ON_BOTH, what="register widths")
def test_parts_of_registers_and_several_at_once_are_accessed_alike(twins: Twins) -> None:
    """Those accesses that QEMU knows (rtl8139-widths): drivers read the address by bytes, and write it by dwords."""

    def program(bench: Bench) -> None:
        unlock(bench)
        for offset, value in ((IDR0.offset, 0x12345678), (IDR4.offset, 0x9ABC), (MAR.offset, 0xCAFEF00D)):
            bench.write(offset, value, 32)
        for offset in range(6):
            bench.write(IDR0.offset + offset, 0x20 + 2 * offset, 8)
        bench.write(MAR.offset + 5, 0x77, 8)
        bench.write(MAR.offset + 6, 0x1234, 16)
        bench.write(TSAD, 0x89ABCDEF)
        bench.write(TSD, TSD["OWN"] | 0x345)
        bench.write(TCR, 0x03000700)
        bench.write(TCR, 0x50, 8)
        for width in (8, 16, 32):
            for offset in range(0, 16, width // 8):
                bench.note(f"{width} bits at {offset:#x}", bench.look(offset, width))
        for width in (8, 16):
            for offset in range(TSAD.offset, TSAD.offset + 4, width // 8):
                bench.note(f"{width} bits at {offset:#x}", bench.look(offset, width) if width == 16 else 0)
        for offset in range(TSD.offset, TSD.offset + 4):
            bench.note(f"8 bits at {offset:#x}", bench.look(offset, 8))
        bench.note("TCR's highest byte", bench.look(TCR.offset + 3, 8))

    assert not differences(twins, program)


@pytest.mark.exercises(driver="programs", card=ON_CPLUS, what="configuration space")
def test_configuration_space_says_the_same_of_the_card(cplus: Twins) -> None:
    """Chapter 7: who it is, its two windows of 256 bytes, and its interrupt pin (the rest: rtl8139-config-space)."""

    def program(bench: Bench) -> None:
        for offset in (0x00, 0x08, 0x0C):
            bench.note(f"{offset:#04x}", bench.config.read(offset, 4))
        for bar, kind in ((0x10, 0x3), (0x14, 0xF)):
            before = bench.config.read(bar, 4)
            bench.note("kind", before & kind)
            bench.config.write(bar, 0xFFFFFFFF, 4)
            bench.note("size", ~(bench.config.read(bar, 4) & ~kind) + 1 & 0xFFFF)
            bench.config.write(bar, before, 4)
        bench.note("pin", bench.config.read(0x3D, 1))
        bench.read(TSD)

    assert not differences(cplus, program)


CAUSES = st.one_of(st.integers(0, 0xFFFF), st.sampled_from([ISR["ROK"], ISR["TOK"], ISR["RXOVW"], ISR["TIMEOUT"]]))
STEPS = st.sampled_from(["ISR", "IMR", "read ISR", "send", "receive", "reset"])


@MANY
@given(steps=st.lists(st.tuples(STEPS, CAUSES), max_size=25))
@pytest.mark.exercises(driver="programs", card=ON_BOTH, what="interrupt causes and masks")
def test_any_sequence_of_interrupt_causes_and_masks_gives_the_same_line(
    twins: Twins, steps: list[tuple[str, int]]
) -> None:
    """5.5, 5.6: the line follows ISR & IMR; ISR is cleared by writing ones, not by reading."""

    def program(bench: Bench) -> None:
        bring_up(bench)
        bench.store(DATA, frame(60))
        slot = 0

        def begin() -> None:
            bench.write(RBSTART, bench.base + RX_RING)
            bench.write(CR, CR["TE"] | CR["RE"])
            bench.write(RCR, OPEN | RCR.field("RBLEN").put(3))

        begin()
        for step, value in steps:
            if step in ("ISR", "IMR"):
                bench.write(REGISTERS[step], value)
            elif step == "send":
                bench.write(TSAD.offset + 4 * slot, bench.base + DATA)
                bench.write(TSD.offset + 4 * slot, 60)
                slot = (slot + 1) % 4
            elif step == "receive":
                bench.inject(frame(60, MAC, PEER))
            elif step == "reset":
                bench.write(CR, CR["RST"])
                bench.settle()
                begin()
                slot = 0
            bench.settle()
            if step == "read ISR":
                bench.read(ISR)
            bench.line()
        bench.read(ISR)
        bench.read(IMR)

    assert not differences(twins, program)


@pytest.mark.parametrize(
    "limits", [[1], [33_000], [20_000_000, 60_000_000], [60_000_000, 1000], [1000, 2000, 60_000_000]]
)
@pytest.mark.exercises(driver="programs", card=ON_CPLUS, what="timer")
def test_the_timer_interrupts_alike(punctual: Twins, limits: list[int]) -> None:
    """TCTR, TIMERINT: once when the count equals it, unless it has been passed; both clocks are about 33 MHz."""

    def program(bench: Bench) -> None:
        bring_up(bench)
        bench.write(IMR, IMR["TIMEOUT"])
        bench.write(TCTR, 0)
        for limit in limits:
            bench.write(TIMERINT, limit)
            for _ in range(2):
                bench.settle()
                bench.read(TIMERINT)
                look_and_clear(bench)
        bench.write(TCTR, 0xDEADBEEF)
        bench.settle()
        look_and_clear(bench)
        bench.write(TIMERINT, 100)
        bench.write(CR, CR["RST"])
        bench.write(TCTR, 0)
        bench.settle()
        bench.read(TIMERINT)
        look_and_clear(bench)

    assert not differences(punctual, program)


@pytest.mark.exercises(driver="programs", card=ON_BOTH, what="EEPROM")
def test_the_eeprom_has_the_signature_and_the_address(twins: Twins) -> None:
    """Chapter 6; 9346CR's pins as Linux drives them."""
    known = [eeprom.ID, eeprom.VENDOR_ID, eeprom.DEVICE_ID, *range(eeprom.MAC_ADDRESS, eeprom.MAC_ADDRESS + 3)]

    def program(bench: Bench) -> None:
        fresh(bench)
        for address in [*known, *reversed(known)]:
            bench.note(f"word {address}", microwire(bench, address))
        bench.write(CR9346, 0)
        bench.read(CR9346)

    assert not differences(twins, program)


def microwire(bench: Bench, address: int) -> int:
    """READ of a 93C46: a start bit, 10b, six bits of address; then 16 bits come out."""
    programming = CR9346.field("EEM").put(EEM_PROGRAMMING)
    select = programming | CR9346["EECS"]
    bench.write(CR9346, programming)
    bench.write(CR9346, select)
    word = 0
    for bit in [*f"110{address:06b}", *"0" * 16]:
        line = select | (CR9346["EEDI"] if bit == "1" else 0)
        bench.write(CR9346, line)
        bench.write(CR9346, line | CR9346["EESK"])
        word = word << 1 | bool(bench.look(CR9346) & CR9346["EEDO"])
    bench.write(CR9346, programming)
    return word & 0xFFFF


@pytest.mark.exercises(driver="programs", card=ON_BOTH, what="PHY")
def test_the_phy_says_the_same_of_itself(twins: Twins) -> None:
    """5.12, 5.18 to 5.22, of a link that is up; what is written to ANAR stays."""

    def program(bench: Bench) -> None:
        bring_up(bench)
        for register in (MSR, BMCR, BMSR, ANLPAR, ANER, DIS, FCSC, REC):
            bench.read(register)
        for value in (0x0101, 0x01E1, 0x0021):
            bench.write(ANAR, value)
            bench.read(ANAR)

    assert not differences(twins, program)


# --- C mode: transmission


@pytest.mark.parametrize("batch", [1, 2, 4])
@pytest.mark.parametrize("sizes", [[60, 64, 100, 1514, 61, 14, 42, 59], [1515, 1518, 1600, 4000, 8191]])
@pytest.mark.exercises(driver="programs", card=ON_BOTH, what="C mode: transmission")
def test_slots_send_alike(twins: Twins, sizes: list[int], batch: int) -> None:
    """5.2, 5.17: what is sent, in which order, OWN and TOK."""

    def program(bench: Bench) -> None:
        bring_up(bench)
        transmit(bench, sizes, frame(8400), batch)

    assert not differences(twins, program)


@MANY
@given(
    sizes=st.lists(st.integers(14, 1600), min_size=1, max_size=9),
    batch=st.integers(1, 4),
    threshold=st.integers(0, 63),
    data=st.binary(min_size=14, max_size=64),
)
@pytest.mark.exercises(driver="programs", card=ON_BOTH, what="C mode: transmission")
def test_any_slots_send_alike(twins: Twins, sizes: list[int], batch: int, threshold: int, data: bytes) -> None:
    def program(bench: Bench) -> None:
        bring_up(bench)
        transmit(bench, sizes, data + frame(1600), batch, threshold)

    assert not differences(twins, program)


@pytest.mark.exercises(driver="programs", card=ON_BOTH, what="loopback")
def test_what_is_looped_back_arrives_alike(twins: Twins) -> None:
    """5.7: LBK 11b; nothing goes out."""

    def program(bench: Bench) -> None:
        bring_up(bench)
        ring = Ring(bench, OPEN | RCR.field("RBLEN").put(1))
        ring.open()
        bench.write(TCR, TCR["LBK"])
        for slot, size in enumerate((60, 100, 1514, 77)):
            bench.store(DATA, frame(size, MAC if slot % 2 else BROADCAST))
            bench.write(TSAD.offset + 4 * slot, bench.base + DATA)
            bench.write(TSD.offset + 4 * slot, size)
            bench.settle()
            ring.look()
            ring.take()
        ring.note()
        bench.frames()

    assert not differences(twins, program)


# --- C mode: reception


def receive(bench: Bench, control: int, frames: list[bytes], takes: list[int]) -> None:
    """Let frames arrive one by one, take some after each as `takes` says in turn, and note everything."""
    ring = Ring(bench, control)
    ring.open()
    for number, one in enumerate(frames):
        bench.inject(one)
        bench.settle()
        ring.look()
        ring.take(takes[number % len(takes)])
        ring.look()
    ring.note()


@pytest.mark.parametrize("wrap", [0, RCR["WRAP"]])
@pytest.mark.parametrize("length", [0, 1, 2, 3])
@pytest.mark.exercises(driver="programs", card=ON_BOTH, what="C mode: receive ring")
def test_the_ring_goes_round_alike(twins: Twins, length: int, wrap: int) -> None:
    """5.1, 5.8, CAPR, CBR, BUFE: headers, FCS, places; frames of all residues across the end of rings of all sizes."""
    sizes = [1514 - 37 * n if n % 3 else 1400 + n for n in range(8 << length)]

    def program(bench: Bench) -> None:
        bring_up(bench)
        frames = [frame(size, MAC, PEER) for size in sizes]
        receive(bench, OPEN | wrap | RCR.field("RBLEN").put(length), frames, [1, 2, 0, 3])

    sizes = [60 + (size - 60) % 1455 for size in sizes]
    assert not differences(twins, program)


@MANY
@given(
    sizes=st.lists(st.one_of(st.integers(60, 1514), st.integers(1400, 1514)), min_size=1, max_size=30),
    takes=st.lists(st.integers(0, 5), max_size=4).map(lambda some: [*some, 64]),
    length=st.integers(0, 1),
    wrap=st.sampled_from([0, RCR["WRAP"]]),
)
@pytest.mark.exercises(driver="programs", card=ON_BOTH, what="C mode: receive ring")
def test_any_frames_lie_alike_in_the_ring(
    twins: Twins, sizes: list[int], takes: list[int], length: int, wrap: int
) -> None:
    """As many as the ring holds: what is too much is another matter (rtl8139-overflow)."""

    def program(bench: Bench) -> None:
        bring_up(bench)
        frames = [frame(size, MAC, PEER) for size in sizes]
        receive(bench, OPEN | wrap | RCR.field("RBLEN").put(length), frames, takes)

    assert not differences(twins, program)


@pytest.mark.exercises(driver="programs", card=ON_BOTH, what="C mode: receive ring")
def test_a_full_ring_says_so_alike(twins: Twins) -> None:
    """5.6: RXOVW. The frame that has found no room lies in the ring as soon as there is some."""

    def program(bench: Bench) -> None:
        bring_up(bench)
        ring = Ring(bench, OPEN)
        ring.open()
        for turn in range(4):
            for number in range(6):
                bench.inject(frame(1500 - 10 * turn - number, MAC, PEER))
                bench.settle()
            ring.look()
            ring.take(2 + turn)
            bench.settle()
            ring.look()
            ring.take()
        ring.note()

    assert not differences(twins, program)


@pytest.mark.parametrize("size", range(556, 571, 2))
@pytest.mark.exercises(driver="programs", card=ON_BOTH, what="C mode: receive ring")
def test_the_last_frame_that_fits_is_the_same(twins: Twins, size: int) -> None:
    """A full ring would look like an empty one: a dword stays free."""

    def program(bench: Bench) -> None:
        bring_up(bench)
        ring = Ring(bench, OPEN)
        ring.open()
        for length in (1514, 1514, 1514, 1514, 1514, size):
            bench.inject(frame(length, MAC, PEER))
            bench.settle()
            ring.look()
        for most in (5, 1):
            ring.take(most)
            bench.settle()
            ring.look()
        ring.note()

    assert not differences(twins, program)


# --- filters


@dataclass
class Filters:
    """How the receiver is set up. AAP is apart: rtl8139-promiscuous."""

    address: bytes
    hashes: list[bytes]
    control: int

    def apply(self, bench: Bench) -> None:
        bench.write(CR9346, CR9346.field("EEM").put(EEM_CONFIG))
        bench.write(IDR0, int.from_bytes(self.address[:4], "little"))
        bench.write(IDR4, int.from_bytes(self.address[4:], "little"))
        bench.write(CR9346, 0)
        table = 0
        for one in self.hashes:
            table |= 1 << hash_bit(one)
        for half, offset in enumerate(MAR.offsets()):
            bench.write(offset, table >> 32 * half & 0xFFFFFFFF)


NEAR = st.sampled_from([
    *(STATION, bytes.fromhex("525400123457"), bytes.fromhex("ffffffffffff"), bytes.fromhex("3333ff123456")),
    *(bytes.fromhex("01005e000001"), bytes.fromhex("01005e000002"), bytes.fromhex("01005e100001")),
])  # fmt: skip
ADDRESSES = st.one_of(NEAR, st.binary(min_size=6, max_size=6))
FILTERS = st.builds(
    Filters,
    address=st.one_of(
        st.just(STATION), st.binary(min_size=6, max_size=6).map(lambda one: bytes([one[0] & 0xFE]) + one[1:])
    ),
    hashes=st.lists(ADDRESSES, max_size=4),
    control=st.lists(st.sampled_from(["APM", "AM", "AB", "AR", "AER"]), max_size=5).map(
        lambda names: sum(RCR[name] for name in set(names))
    ),
)
ARRIVING = st.lists(st.tuples(st.one_of(st.just(b""), ADDRESSES), st.integers(60, 1514)), min_size=1, max_size=5)
"""Destinations and sizes; an empty destination is the card's own address."""


@MANY
@given(filters=FILTERS, frames=ARRIVING)
@pytest.mark.exercises(driver="programs", card=ON_BOTH, what="receive filters")
def test_any_filters_let_the_same_frames_into_the_ring(
    twins: Twins, filters: Filters, frames: list[tuple[bytes, int]]
) -> None:
    """5.8, MAR: our address, the hash, broadcasts; and which of them it was, in the header."""
    arriving = [frame(size, (where or filters.address).hex(":"), PEER) for where, size in frames]

    def program(bench: Bench) -> None:
        bring_up(bench)
        filters.apply(bench)
        receive(bench, filters.control | RCR.field("RBLEN").put(1), arriving, [1])

    assert not differences(twins, program)


@MANY
@given(filters=FILTERS, frames=ARRIVING)
@pytest.mark.exercises(driver="programs", card=ON_CPLUS, what="receive filters")
def test_any_filters_let_the_same_frames_into_descriptors(
    cplus: Twins, filters: Filters, frames: list[tuple[bytes, int]]
) -> None:
    def program(bench: Bench) -> None:
        bring_up(bench)
        filters.apply(bench)
        give_buffers(bench, [2000] * 8)
        enter_cplus(bench, control=filters.control)
        for where, size in frames:
            bench.inject(frame(size, (where or filters.address).hex(":"), PEER))
            bench.settle()
            look_and_clear(bench)
        note_received(bench, 8)
        note_tally(bench, "rx_ok", "rx_ok_phy", "rx_ok_brd", "rx_ok_mul", "miss_pkt")

    assert not differences(cplus, program)


# --- C+ mode


def send(bench: Bench, packets: list[list[bytes]], together: bool = False, size: int = 64) -> int:
    """Let packets be sent in a ring of so many descriptors, with a poll for each, or for all. Returns their number."""
    index = 0
    for descriptors in packets:
        for one in descriptors:
            put_descriptor(bench, TX_RING, index, one, last=index == size - 1)
            index = (index + 1) % size
        if not together:
            poll(bench)
    if together:
        poll(bench)
    return min(size, sum(map(len, packets)))


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.exercises(driver="programs", card=ON_CPLUS, what="C+ mode: transmission")
def test_descriptors_send_alike(cplus: Twins, together: bool) -> None:
    """RTL8139C+ 9: FS, LS, EOR, OWN; buffers cut anywhere."""

    def program(bench: Bench) -> None:
        bring_up(bench)
        bench.store(DATA, frame(1600))
        enter_cplus(bench)
        packets = [packet(bench, n, 60 + 11 * n, (14, 20 + n, 40)[: n % 4]) for n in range(12)]
        note_sent(bench, send(bench, packets, together))
        note_tally(bench, "tx_ok", "tx_er", "rx_ok")

    assert not differences(cplus, program)


@pytest.mark.parametrize("size", [1, 5, 64])
@pytest.mark.exercises(driver="programs", card=ON_CPLUS, what="C+ mode: transmission")
def test_the_transmit_ring_wraps_alike(cplus: Twins, size: int) -> None:
    """EOR, or the 64th descriptor."""

    def program(bench: Bench) -> None:
        bring_up(bench)
        bench.store(DATA, frame(400))
        enter_cplus(bench)
        note_sent(bench, send(bench, [packet(bench, 0, 60 + n) for n in range(size + 4)], size=size))

    assert not differences(cplus, program)


@dataclass
class Sent:
    """One packet of a transmit program."""

    content: bytes
    cuts: list[int]
    bits: int
    tag: int


def checksummed(layer: object, size: int, fill: int, options: bool, ihl: int) -> bytes:
    """An IPv4 frame whose checksums are wrong."""
    ip = IP(src="10.1.2.3", dst="10.3.2.1", id=size, options=[IPOption(b"\x01" * 4)] if options else [], chksum=fill)
    whole = bytes(Ether(src=MAC, dst=PEER) / ip / layer / Raw(bytes(i * fill & 0xFF for i in range(size))))
    return (whole[:14] + bytes([ihl]) + whole[15:] if ihl else whole).ljust(60, b"\0")


CONTENTS = st.one_of(
    st.builds(
        checksummed,
        st.sampled_from([TCP(chksum=0x1234), UDP(chksum=0x4321), UDP(chksum=0), Raw(b"12345678")]),
        st.integers(0, 1400),
        st.integers(1, 0xFFFF),
        st.booleans(),
        st.sampled_from([0, 0, 0, 0x44, 0x4F, 0x65]),
    ),
    st.binary(max_size=40).map(lambda data: frame(60) + data),
)
CHECKSUMS = st.lists(st.sampled_from(["IPCS", "TCPCS", "UDPCS"]), max_size=3).map(
    lambda names: sum(TX_COMMAND[name] for name in set(names))
)
SENT = st.builds(
    Sent,
    content=CONTENTS,
    cuts=st.lists(st.integers(1, 1500), max_size=4),
    bits=CHECKSUMS,
    tag=st.one_of(st.just(-1), st.integers(0, 0xFFFF)),
)


@MANY
@given(packets=st.lists(SENT, min_size=1, max_size=6), together=st.booleans(), size=st.sampled_from([64, 31]))
@pytest.mark.exercises(driver="programs", card=ON_CPLUS, what="C+ mode: checksums and tags")
def test_any_packets_are_sent_alike(cplus: Twins, packets: list[Sent], together: bool, size: int) -> None:
    """RTL8139C+ 9: in pieces, with tags and checksums, on packets of all kinds and of none."""

    def program(bench: Bench) -> None:
        bring_up(bench)
        enter_cplus(bench)
        start, ready = 0, []
        for one in packets:
            bench.store(DATA + start, one.content)
            ready.append(packet(bench, start, len(one.content), one.cuts, one.bits, one.tag))
            start += len(one.content) + 3
        note_sent(bench, send(bench, ready, together, size))
        note_tally(bench, "tx_ok", "tx_er")

    assert not differences(cplus, program)


@pytest.mark.parametrize(
    ("payload", "mss", "cuts", "tag"),
    [(4000, 1460, (), -1), (4000, 1460, (54,), 0x0560), (40000, 536, (54, 1000), -1), (1470, 1460, (7, 30, 55), -1),
     (2920, 1460, (54,), -1), (100, 1460, (54,), -1)],
)  # fmt: skip
@pytest.mark.exercises(driver="programs", card=ON_CPLUS, what="C+ mode: large send")
def test_segments_are_alike(cplus: Twins, payload: int, mss: int, cuts: tuple[int, ...], tag: int) -> None:
    """RTL8139C+ 9: lengths, identifications, sequence numbers and checksums of every frame."""

    def program(bench: Bench) -> None:
        bring_up(bench)
        bench.store(DATA, segment_prototype(payload))
        enter_cplus(bench)
        bits = TX_LARGE_SEND["LGSEN"] | TX_LARGE_SEND.field("MSS").put(mss)
        note_sent(bench, send(bench, [packet(bench, 0, 54 + payload, cuts, bits, tag)]))
        note_tally(bench, "tx_ok", prefix="large ")

    assert not differences(cplus, program)


@pytest.mark.parametrize("count", [3, 16, 64])
@pytest.mark.exercises(driver="programs", card=ON_CPLUS, what="C+ mode: reception")
def test_frames_fill_descriptors_alike(cplus: Twins, count: int) -> None:
    """RTL8139C+ 9: results, FCS, tags; the ring wraps where EOR says so."""
    frames = [frame(60 + 23 * n, (MAC, BROADCAST)[n % 2], PEER) for n in range(12)] + [tagged(100, 0x6005)] * 3

    def program(bench: Bench) -> None:
        bring_up(bench)
        give_buffers(bench, [1600] * count)
        enter_cplus(bench, CPCR["RXVLAN"])
        for number, one in enumerate(frames):
            bench.inject(one)
            bench.settle()
            look_and_clear(bench)
            note_received(bench, min(count, 16))
            if number % 2:
                give_buffers(bench, [1600] * count)
        note_tally(bench, "rx_ok", "rx_ok_phy", "rx_ok_brd", "rx_er", "miss_pkt")

    assert not differences(cplus, program)


TAGS = st.one_of(st.just(-1), st.integers(0, 0xFFFF))


@MANY
@given(
    frames=st.lists(st.tuples(TAGS, st.integers(64, 1514)), min_size=1, max_size=12),
    sizes=st.lists(st.integers(1522, 4000), min_size=1, max_size=12),
    owned=st.integers(0, 12),
    vlan=st.sampled_from([0, CPCR["RXVLAN"]]),
    refill=st.integers(0, 12),
)
@pytest.mark.exercises(driver="programs", card=ON_CPLUS, what="C+ mode: reception")
def test_any_frames_fill_descriptors_alike(
    cplus: Twins, frames: list[tuple[int, int]], sizes: list[int], owned: int, vlan: int, refill: int
) -> None:
    """Buffers of any size that suffices, too few of them, tags that are stripped or not; counters."""

    def program(bench: Bench) -> None:
        bring_up(bench)
        give_buffers(bench, sizes, owned)
        enter_cplus(bench, vlan)
        for number, (tag, size) in enumerate(frames):
            bench.inject(tagged(size, tag) if tag >= 0 else frame(size, MAC, PEER))
            bench.settle()
            look_and_clear(bench)
            bench.read(MPC)
            if number == refill:
                give_buffers(bench, sizes)
        note_received(bench, len(sizes))
        note_tally(bench, "rx_ok", "rx_er", "miss_pkt")

    assert not differences(cplus, program)


@pytest.mark.exercises(driver="programs", card=ON_CPLUS, what="loopback")
def test_what_is_looped_back_fills_descriptors_alike(cplus: Twins) -> None:
    """5.7: LBK 11b; nothing goes out."""

    def program(bench: Bench) -> None:
        bring_up(bench)
        give_buffers(bench, [1600] * 8)
        enter_cplus(bench)
        bench.write(TCR, TCR["LBK"])
        content = frame(300, MAC)
        bench.store(DATA + 8 * BUFFER, content)
        send(bench, [packet(bench, 8 * BUFFER, 60 + 40 * n, (20,)) for n in range(4)])
        note_received(bench, 8)
        note_tally(bench, "tx_ok", "rx_ok", "rx_ok_phy")

    assert not differences(cplus, program)


# --- sessions: everything in any order

CONTENT = DATA + 0x80000
"""Where a session's frames lie that are to be sent."""
ROOM = 5
"""Frames that fit into the smallest ring."""
MULTICAST = "01:00:5e:00:00:01"

ORDERS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(60, 1514)),
        st.tuples(st.just("receive"), st.integers(60, 1514)),
        st.tuples(st.just("receive multicast"), st.integers(60, 300)),
        st.tuples(st.just("take"), st.integers(0, 4)),
        st.tuples(st.just("mask"), st.integers(0, 0xFFFF)),
        st.tuples(st.just("clear"), st.integers(0, 0xFFFF)),
        st.tuples(st.just("hash"), st.integers(0, 0xFFFFFFFF)),
        st.tuples(st.just("loopback"), st.integers(0, 1)),
        st.tuples(st.just("transmitter"), st.integers(0, 1)),
        st.tuples(st.just("reset"), st.integers(0, 3)),
    ),
    max_size=25,
)


class Session(ABC):
    """A driver that does as it is told, and looks after each step. `size` is the receive ring's, 0 to 3."""

    stoppable: ClassVar[bool]
    """Whether CR can be written in between."""

    def __init__(self, bench: Bench, size: int) -> None:
        self.bench = bench
        self.begin(size)

    def begin(self, size: int) -> None:
        """After a reset."""
        self.transmitting, self.looping = True, False
        self.sent = self.held = 0
        """Frames since the reset, and how many there may be in the receive ring."""
        self.open(size)

    @abstractmethod
    def open(self, size: int) -> None:
        """Set the card up."""

    @abstractmethod
    def hand_over(self, size: int) -> None:
        """Let the card send a frame of so many bytes."""

    @abstractmethod
    def fetch(self, most: int) -> int:
        """Take frames from the ring. Returns how many."""

    def step(self, name: str, value: int) -> None:
        bench = self.bench
        match name:
            case "send" if self.transmitting:
                bench.store(CONTENT, frame(value, MAC))
                self.hand_over(value)
                self.sent += 1
                self.held += self.looping
            case "receive" | "receive multicast" if not self.looping:  # rtl8139-loopback-cable
                bench.inject(frame(value, MAC if name == "receive" else MULTICAST, PEER))
                self.held += 1
            case "take":
                self.held -= self.fetch(value)
            case "mask":
                bench.write(IMR, value & ~IMR["TDU"] | IMR["RXOVW"])  # rtl8139-tdu, rtl8139-backpressure
            case "clear":
                bench.write(ISR, value)
            case "hash":
                bench.write(MAR, value)
            case "loopback" if self.transmitting:
                self.looping = bool(value)
                bench.write(TCR, TCR["LBK"] if value else 0)
            case "transmitter" if self.stoppable:
                self.transmitting = bool(value)
                bench.write(CR, CR["RE"] | (CR["TE"] if value else 0))
            case "reset":
                bench.write(CR, CR["RST"])
                bench.settle()
                bench.write(ISR, 0xFFFF)
                self.begin(value)
        bench.settle()
        bench.note("C+ ISR", bench.look(ISR))
        bench.line()
        bench.frames()
        if self.held == ROOM:
            self.fetch(ROOM)
            self.held = 0


class RingSession(Session):
    """C mode."""

    stoppable = True

    def open(self, size: int) -> None:
        self.ring = Ring(self.bench, OPEN | RCR.field("RBLEN").put(size))
        self.ring.open(IMR["RXOVW"])

    def hand_over(self, size: int) -> None:
        slot = self.sent % TSD.count
        self.bench.write(TSAD.offset + 4 * slot, self.bench.base + CONTENT)
        self.bench.write(TSD.offset + 4 * slot, size)

    def fetch(self, most: int) -> int:
        self.ring.look()
        return self.ring.take(most)


class DescriptorSession(Session):
    """C+ mode."""

    stoppable = False  # rtl8139-enabled-again

    def open(self, size: int) -> None:
        self.count = 6 + size
        self.transmit = self.receive = 0
        give_buffers(self.bench, [1600] * self.count)
        enter_cplus(self.bench)

    def hand_over(self, size: int) -> None:
        for descriptor in packet(self.bench, CONTENT - DATA, size, (size // 2,) if size % 2 else ()):
            put_descriptor(self.bench, TX_RING, self.transmit, descriptor, last=self.transmit == 8)
            self.transmit = (self.transmit + 1) % 9
        self.bench.write(TPPOLL, TPPOLL["NPQ"])

    def fetch(self, most: int) -> int:
        bench, taken = self.bench, 0
        while taken < most:
            at = RX_DESCRIPTORS + self.receive * DESCRIPTOR_SIZE
            result, _, address = DESCRIPTOR_CODEC.unpack(bench.load(at, DESCRIPTOR_SIZE))
            if result & RX_RESULT["OWN"]:
                break
            bench.note("RX.RESULT", result)
            bench.note("buffer", bench.load(address - bench.base, 1600))
            descriptor = DESCRIPTOR_CODEC.pack(RX_COMMAND["OWN"] | 1600, 0, address)
            put_descriptor(bench, RX_DESCRIPTORS, self.receive, descriptor, last=self.receive == self.count - 1)
            self.receive = (self.receive + 1) % self.count
            taken += 1
        return taken


def run_session(session: Session, steps: list[tuple[str, int]]) -> None:
    for name, value in steps:
        session.step(name, value)
    session.fetch(ROOM)


@MANY
@given(size=st.integers(0, 3), steps=ORDERS)
@pytest.mark.exercises(driver="programs", card=ON_BOTH, what="C mode: sessions")
def test_any_session_in_c_mode_goes_alike(twins: Twins, size: int, steps: list[tuple[str, int]]) -> None:
    def program(bench: Bench) -> None:
        bring_up(bench)
        session = RingSession(bench, size)
        run_session(session, steps)
        session.ring.note()

    assert not differences(twins, program)


@MANY
@given(size=st.integers(0, 3), steps=ORDERS)
@pytest.mark.exercises(driver="programs", card=ON_CPLUS, what="C+ mode: sessions")
def test_any_session_in_cplus_mode_goes_alike(cplus: Twins, size: int, steps: list[tuple[str, int]]) -> None:
    def program(bench: Bench) -> None:
        bring_up(bench)
        run_session(DescriptorSession(bench, size), steps)
        note_sent(bench, 9)

    assert not differences(cplus, program)
