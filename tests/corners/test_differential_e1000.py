"""The same programs on QEMU's e1000 and on ours: both must answer alike, but for bits that a row of docs/fidelity.md
explains. What differs beyond is a mistake.
"""

# ruff: noqa: F403, F405 - the datasheet's names; helpers beside this file

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motenet.bridge.qtest.twins import Bench, Twins
from motenet.datasheets.e1000 import *
from motenet.datasheets.registers import Register
from tests.corners.e1000_programs import *
from tests.corners.shared import differences

pytestmark = pytest.mark.needs("qemu")


@pytest.fixture(scope="module")
def twins() -> Iterator[Twins]:
    with side_by_side() as twins:
        yield twins


@pytest.mark.exercises(driver="programs", card="QEMU e1000 beside motenet 82540EM", what="reset values")
def test_all_registers_begin_alike(twins: Twins) -> None:
    """Chapter 13's initial values, where a row does not say otherwise."""
    different = {"CTRL", "MDIC", "VET", "LEDCTL", "STATUS"}  # e1000-reset-values

    def program(bench: Bench) -> None:
        for register in REGISTERS:
            if register.name not in different and register.count <= 32:
                for offset in register.offsets():
                    bench.read(offset)

    assert not differences(twins, program)


ENGINES = {"STATUS", "CTRL_EXT", "MDIC", "EECD", "EERD", "ICR", "ICS", "IMS", "IMC", "TDT", "RDT"}
SETTABLE = [register for register in REGISTERS if register.name not in ENGINES]
HARMLESS = {
    "CTRL": ~(CTRL["RST"] | CTRL["PHY_RST"]),
    "RCTL": ~RCTL["EN"],
    "TCTL": ~(TCTL["EN"] | TCTL["SWXOFF"]),
    "RDTR": ~RDTR["FPD"],
}
"""What must not be written where only the storing is looked at."""


def poke(bench: Bench, register: Register, index: int, value: int) -> None:
    offset = register.offset + index % register.count * register.stride
    bench.write(offset, value & HARMLESS.get(register.name, -1))
    bench.read(offset)


@pytest.mark.parametrize("value", [0xFFFFFFFF, 0x55555555, 0xAAAAAAAA, 0])
@pytest.mark.exercises(driver="programs", card="QEMU e1000 beside motenet 82540EM", what="register writes")
def test_all_registers_keep_what_they_are_given(twins: Twins, value: int) -> None:
    def program(bench: Bench) -> None:
        for register in SETTABLE:
            for index in {0, 1, register.count - 1}:
                poke(bench, register, index, value)

    assert not differences(twins, program)


WORDS = st.one_of(st.integers(0, 0xFFFFFFFF), st.sampled_from([0, 0xFFFFFFFF, 1, 0x80000000]))
MANY = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@MANY
@given(writes=st.lists(st.tuples(st.sampled_from(SETTABLE), st.integers(0, 4095), WORDS), max_size=60))
@pytest.mark.exercises(driver="programs", card="QEMU e1000 beside motenet 82540EM", what="register writes")
def test_any_sequence_of_register_writes_reads_back_alike(
    twins: Twins, writes: list[tuple[Register, int, int]]
) -> None:
    def program(bench: Bench) -> None:
        for register, index, value in writes:
            poke(bench, register, index, value)
        for register, index, _ in writes:
            bench.read(register.offset + index % register.count * register.stride)

    assert not differences(twins, program)


CAUSES = st.one_of(st.integers(0, ICR.mask()), st.sampled_from([1 << bit for bit in range(17)]))
STEPS = st.sampled_from(["ICS", "IMS", "IMC", "ICR", "read ICR", "read ICS", "read IMS", "read IMC"])


@MANY
@given(steps=st.lists(st.tuples(STEPS, CAUSES), max_size=25))
@pytest.mark.exercises(driver="programs", card="QEMU e1000 beside motenet 82540EM", what="interrupt causes and masks")
def test_any_sequence_of_interrupt_causes_and_masks_gives_the_same_line(
    twins: Twins, steps: list[tuple[str, int]]
) -> None:
    """13.4.17 to 13.4.21: the line follows ICR & IMS; ICR clears by reading and by writing ones."""

    def program(bench: Bench) -> None:
        bring_up(bench)
        for step, value in steps:
            if step.startswith("read "):
                bench.read(REGISTERS[step[5:]])
            else:
                bench.write(REGISTERS[step], value)
            bench.settle()
            bench.line()
        bench.read(ICS)
        bench.read(IMS)

    assert not differences(twins, program)


@pytest.mark.exercises(driver="programs", card="QEMU e1000 beside motenet 82540EM", what="EEPROM")
def test_the_eeprom_has_the_address_and_the_checksum_on_both_ways(twins: Twins) -> None:
    """5.6.1, 5.6.35; EERD (13.4.4), and EECD's pins as Linux drives them: DO is looked at while SK is high."""

    def program(bench: Bench) -> None:
        words = []
        for address in range(64):
            bench.write(EERD, EERD.field("ADDR").put(address) | EERD["START"])
            bench.settle()
            value = bench.window.read32(EERD.offset)
            words.append(EERD.field("DATA").get(value))
            bench.note("DONE", value & EERD["DONE"])
        bench.note("sum", sum(words) & 0xFFFF)
        bench.write(EECD, EECD["EE_REQ"])
        bench.settle()
        bench.note("granted", bench.window.read32(EECD.offset) & EECD["EE_GNT"])
        bench.note("EECD's words", int([microwire(bench, address) for address in range(64)] == words))
        for index in range(3):
            bench.note("address", words[index])

    assert not differences(twins, program)


def microwire(bench: Bench, address: int) -> int:
    """READ of a 93C46: a start bit, 10b, six bits of address; then 16 bits come out."""
    select = EECD["EE_REQ"] | EECD["CS"]
    bench.write(EECD, EECD["EE_REQ"])
    bench.write(EECD, select)
    word = 0
    for bit in [*f"110{address:06b}", *"0" * 16]:
        line = EECD["DI"] if bit == "1" else 0
        bench.write(EECD, select | line)
        bench.write(EECD, select | line | EECD["SK"])
        word = word << 1 | bool(bench.window.read32(EECD.offset) & EECD["DO"])
    bench.write(EECD, EECD["EE_REQ"])
    return word & 0xFFFF


@pytest.mark.exercises(driver="programs", card="QEMU e1000 beside motenet 82540EM", what="PHY")
def test_the_phy_says_the_same_of_itself(twins: Twins) -> None:
    """13.4.7.1: control, identifiers, advertisement, 1000BASE-T, and Marvell's registers; what is written stays."""

    def program(bench: Bench) -> None:
        bring_up(bench)
        for register in (BMCR, PHYID1, PHYID2, ANAR, GCON, PSCON, EPSCON, PREC):
            bench.note(f"PHY {register.name}", phy(bench, register.offset))
        for register, value in ((ANAR, 0x0101), (GCON, 0x0200), (PSCON, 0x0060), (EPSCON, 0x1234)):
            bench.note(f"MDIC {register.name}", phy(bench, register.offset, 1, value))
            bench.note(f"PHY {register.name}", phy(bench, register.offset))
        bench.write(MDIC, MDIC.field("OP").put(2) | MDIC.field("PHYADD").put(1) | MDIC["I"])
        bench.settle()
        bench.read(ICR)

    assert not differences(twins, program)


# --- transmit


@pytest.mark.parametrize(
    "sizes", [[60, 64, 100, 1514], [123, 124, 251, 252, 507, 508], [1019, 1020, 1518, 9000, 16288]]
)
@pytest.mark.exercises(driver="programs", card="QEMU e1000 beside motenet 82540EM", what="transmit descriptors")
def test_legacy_descriptors_send_alike(twins: Twins, sizes: list[int]) -> None:
    """3.3.3; 13.7.45 to 13.7.50: the classes count bytes from the address to the FCS."""

    def program(bench: Bench) -> None:
        bring_up(bench)
        transmit(bench, [legacy(bench, 0, size, "EOP IFCS RS") for size in sizes], frame(16288))

    assert not differences(twins, program)


@pytest.mark.exercises(driver="programs", card="QEMU e1000 beside motenet 82540EM", what="transmit descriptors")
def test_the_ring_wraps_alike(twins: Twins) -> None:
    def program(bench: Bench) -> None:
        bring_up(bench)
        open_transmitter(bench, count=8)
        bench.store(DATA, frame(200, "ff:ff:ff:ff:ff:ff"))
        for number in range(20):
            bench.store(TX_RING + number % 8 * 16, legacy(bench, 0, 60 + number, "EOP IFCS RS"))
            bench.write(TDT, (number + 1) % 8)
            bench.settle()
            bench.read(TDH)
            bench.read(ICR)
            bench.frames()
        bench.read(BPTC)

    assert not differences(twins, program)


@pytest.mark.parametrize(
    ("payload", "mss", "cuts"),
    [(4000, 1460, ()), (4000, 1460, (54,)), (40000, 536, (54, 1000)), (1470, 1460, (7, 30, 55)), (106, 99, ())],
)
@pytest.mark.exercises(driver="programs", card="QEMU e1000 beside motenet 82540EM", what="segmentation")
def test_segments_are_alike(twins: Twins, payload: int, mss: int, cuts: tuple[int, ...]) -> None:
    """3.5: headers, checksums, flags and sequence numbers of every frame."""

    def program(bench: Bench) -> None:
        bring_up(bench)
        transmit(bench, segmented(bench, payload, mss, cuts), segment_prototype(payload))

    assert not differences(twins, program)


@dataclass
class Packet:
    """One packet of a transmit program: `kind` is "legacy", "data" or "segments"."""

    kind: str
    size: int
    cuts: list[int]
    rs: list[bool]
    special: int
    options: int
    ip: tuple[int, int, int]
    tcp: tuple[int, int, int]
    mss: int
    fresh: bool

    def descriptors(self, bench: Bench) -> list[bytes]:
        if self.kind == "segments":
            rest = self.size % self.mss
            payload = self.size + (6 - rest if rest < 6 else 0)  # e1000-empty-segment, e1000-runts-sent
            return segmented(bench, payload, self.mss, self.cuts, self.special)
        apart = 0 < self.ip[2] < self.tcp[0]
        options = 2 if self.options == 3 and not apart else self.options  # e1000-checksum-zero: a sum of a sum
        ends = [*sorted({cut for cut in self.cuts if 0 < cut < self.size}), self.size]
        found = [context("", ip=self.ip, tcp=self.tcp)] if self.kind == "data" and self.fresh else []
        for index, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
            command = "IFCS" + (" EOP" if end == ends[-1] else "") + (" RS" if self.rs[index % len(self.rs)] else "")
            command += " VLE" if self.special >= 0 else ""
            if self.kind == "legacy":
                found.append(legacy(bench, start, end - start, command, max(self.special, 0)))
            else:
                found.append(data(bench, start, end - start, command, options, max(self.special, 0)))
        return found


@st.composite
def sums(draw: st.DrawFn, limit: int = 60) -> tuple[int, int, int]:
    """Start, offset and end of a checksum within a frame's first bytes; the field lies before the end."""
    start = draw(st.integers(0, limit - 8))
    end = draw(st.one_of(st.just(0), st.integers(start + 4, limit - 1)))
    return start, draw(st.integers(0, (end or limit) - 2)), end


PACKETS = st.builds(
    Packet,
    kind=st.sampled_from(["legacy", "data", "segments"]),
    size=st.integers(60, 3000),
    cuts=st.lists(st.integers(1, 3000), max_size=3),
    rs=st.lists(st.booleans(), min_size=1, max_size=3),
    special=st.one_of(st.just(-1), st.integers(0, 0xFFFF)),
    options=st.integers(0, 3),
    ip=sums(),
    tcp=sums(),
    mss=st.integers(40, 1460),
    fresh=st.booleans(),
)


@MANY
@given(
    packets=st.lists(PACKETS, min_size=1, max_size=6),
    batches=st.integers(1, 4),
    vme=st.booleans(),
    seed=st.binary(max_size=64),
)
@pytest.mark.exercises(driver="programs", card="QEMU e1000 beside motenet 82540EM", what="transmit descriptors")
def test_any_descriptors_send_alike(twins: Twins, packets: list[Packet], batches: int, vme: bool, seed: bytes) -> None:
    """Legacy, context and data descriptors in any mixture, cut anywhere, with tags, checksums and segmentation."""
    content = segment_prototype(3001)
    content = content[:54] + bytes(a ^ b for a, b in zip(content[54:], (seed or b"\0") * 3001, strict=False))

    def program(bench: Bench) -> None:
        bring_up(bench, CTRL["VME"] if vme else 0)
        descriptors = [one for packet in packets for one in packet.descriptors(bench)]
        transmit(bench, descriptors, content, min(batches, len(descriptors)), vme)

    assert not differences(twins, program)


# --- receive


@pytest.mark.parametrize(
    ("bsize", "bsex"),
    [(0, 0), (1, 0), (2, 0), (3, 0), (1, RCTL["BSEX"]), (2, RCTL["BSEX"]), (3, RCTL["BSEX"])],  # (0, BSEX) is reserved
)
@pytest.mark.exercises(driver="programs", card="QEMU e1000 beside motenet 82540EM", what="receive buffers")
def test_frames_fill_buffers_of_any_size_alike(twins: Twins, bsize: int, bsex: int) -> None:
    """3.2.2, 13.4.22: a frame spreads over as many descriptors as it needs."""
    size = (32768 if bsex else 2048) >> bsize
    frames = [frame(n, MAC, PEER) for n in (60, 255, 256, 257, 511, 512, 513, 1514) if n <= 4 * min(size, BUFFER)]
    control = RCTL["EN"] | RCTL["SECRC"] | RCTL.field("BSIZE").put(bsize) | bsex
    assert not differences(twins, lambda bench: (bring_up(bench), receive(bench, frames, control))[0])


@dataclass
class Filters:
    """How the receiver is set up."""

    addresses: list[bytes]
    hashes: list[bytes]
    vlans: list[int]
    control: int
    vme: bool
    mo: int = field(default=0)

    def bit(self, address: bytes) -> int:
        """13.5.1: which of the 4096 bits stands for it."""
        return (address[5] << 8 | address[4]) >> (4, 3, 2, 0)[self.mo] & 0xFFF

    def disputed(self, address: bytes) -> bool:
        """A single station's address that the hash would let in: e1000-hash-unicast."""
        return not address[0] & 1 and any(self.bit(address) == self.bit(one) for one in self.hashes)

    def apply(self, bench: Bench) -> int:
        for index, address in enumerate(self.addresses, 1):
            bench.write(RAL.offset + 8 * index, int.from_bytes(address[:4], "little"))
            bench.write(RAH.offset + 8 * index, int.from_bytes(address[4:], "little") | RAH["AV"])
        tables = [(self.bit(one), MTA) for one in self.hashes] + [(vlan, VFTA) for vlan in self.vlans]
        for bit, table in tables:
            at = table.offset + 4 * (bit >> 5)
            bench.write(at, bench.window.read32(at) | 1 << (bit & 31))
        return self.control | RCTL["EN"] | RCTL["SECRC"] | RCTL.field("MO").put(self.mo)


NEAR = st.sampled_from([
    *(STATION, bytes.fromhex("525400123457"), bytes.fromhex("ffffffffffff"), bytes.fromhex("3333ff123456")),
    *(bytes.fromhex("01005e000001"), bytes.fromhex("01005e000002"), bytes.fromhex("01005e100001")),
])  # fmt: skip
ADDRESSES = st.one_of(NEAR, st.binary(min_size=6, max_size=6))
FILTERS = st.builds(
    Filters,
    addresses=st.lists(ADDRESSES, max_size=4),
    hashes=st.lists(ADDRESSES, max_size=4),
    vlans=st.lists(st.sampled_from([0, 1, 5, 31, 32, 4095]), max_size=3),
    control=st.lists(st.sampled_from(["UPE", "MPE", "BAM", "VFE", "LPE", "SBP"]), max_size=4).map(
        lambda names: sum(RCTL[name] for name in set(names))
    ),
    vme=st.booleans(),
    mo=st.integers(0, 3),
)
TAGS = st.one_of(st.just(-1), st.sampled_from([0, 1, 5, 31, 32, 4095, 0x6005, 0xF005]))


@MANY
@given(filters=FILTERS, frames=st.lists(st.tuples(ADDRESSES, TAGS, st.integers(64, 1518)), max_size=6))
@pytest.mark.exercises(driver="programs", card="QEMU e1000 beside motenet 82540EM", what="receive filters")
def test_any_filters_let_the_same_frames_in(
    twins: Twins, filters: Filters, frames: list[tuple[bytes, int, int]]
) -> None:
    """3.2.1, 9.2, 13.5: exact addresses, hash, broadcast, promiscuous modes, VLANs and tags that are stripped."""
    arriving = [
        (tagged(size, tag, where.hex(":")) if tag >= 0 else frame(size, where.hex(":"), PEER))
        for where, tag, size in frames
        if not filters.disputed(where)
    ]

    def program(bench: Bench) -> None:
        bring_up(bench, CTRL["VME"] if filters.vme else 0)
        receive(bench, arriving, filters.apply(bench), count=16)

    assert not differences(twins, program)
