"""Registers of 1, 2 and 4 bytes, reached in every width, on a space made up for it."""

import pytest

from motenet.datasheets.registers import Field, Register, RegisterMap
from motenet.devices.parts.bank import MixedBank

LONG = Register("LONG", 0x00, "-", (Field("V", 0, 32),), reset=0x44332211)
HALF = Register("HALF", 0x04, "-", (Field("V", 0, 16),), reset=0x6655, width=16)
ONE = Register("ONE", 0x06, "-", (Field("V", 0, 8),), reset=0x77, width=8)
LAST = Register("LAST", 0x07, "-", (Field("LOW", 0, 4), Field("GO", 7, read="zero", write="act")), width=8)
CAUSE = Register("CAUSE", 0x08, "-", (Field("C", 0, 16, write="clear"),), reset=0xFFFF, width=16)
ARRAY = Register("ARRAY", 0x10, "-", (Field("V", 0, 32),), count=2)
SPACE = RegisterMap("made up", 0x20, (LONG, HALF, ONE, LAST, CAUSE, ARRAY))


@pytest.fixture
def drops():
    return []


@pytest.fixture
def bank(drops):
    return MixedBank(SPACE, lambda reason, detail: drops.append((reason, detail)))


@pytest.mark.parametrize(
    ("offset", "width", "value"),
    [
        (0, 4, 0x44332211), (0, 2, 0x2211), (2, 2, 0x4433), (0, 1, 0x11), (3, 1, 0x44),
        (4, 4, 0x00776655), (4, 2, 0x6655), (5, 1, 0x66), (6, 2, 0x0077), (6, 1, 0x77), (8, 4, 0xFFFF),
    ],
)  # fmt: skip
def test_reads_of_every_width(bank, drops, offset, width, value):
    assert bank.read(offset, width) == value
    assert drops == []


def test_a_narrow_write_leaves_the_other_lanes(bank):
    bank.write(2, 0xAB, 1)
    assert bank.read(0, 4) == 0x44AB2211
    bank.write(0, 0xCDEF, 2)
    assert bank.read(0, 4) == 0x44ABCDEF


def test_a_wide_write_reaches_every_register_in_order(bank):
    seen = []
    for register in (HALF, ONE, LAST):
        bank.on_write(register, lambda value, name=register.name: seen.append((name, value)))
    bank.write(4, 0x8599AABB, 4)
    assert seen == [("HALF", 0xAABB), ("ONE", 0x99), ("LAST", 0x85)]
    assert bank.read(4, 4) == 0x0599AABB


def test_ones_clear_only_in_the_lanes_that_are_written(bank):
    bank.write(9, 0x81, 1)
    assert bank.read(8, 2) == 0x7EFF


def test_a_hook_sees_the_whole_register_after_a_narrow_write(bank):
    seen = []
    bank.on_write(LONG, seen.append)
    bank.on_write(CAUSE, seen.append)
    bank.write(1, 0xEE, 1)
    bank.write(8, 0x03, 1)
    assert seen == [0x4433EE11, 0x0003]


def test_each_element_of_an_array_tells_its_index(bank):
    seen = []
    bank.on_write_each(ARRAY, lambda index, value: seen.append((index, value)))
    bank.write(0x14, 7, 4)
    bank.write(0x12, 5, 2)
    assert seen == [(1, 7), (0, 0x50000)]


def test_a_guard_refuses_whole_and_partial_writes_and_says_why(bank, drops):
    why = ["locked"]
    bank.guard(HALF, lambda: why[0])
    for width in (1, 2, 4):
        bank.write(4, 0, width)
    assert (bank.read(4, 2), bank.read(6, 1)) == (0x6655, 0)
    assert drops == [("write refused", "HALF: locked")] * 3
    why[0] = ""
    bank.write(4, 0x1234, 2)
    assert bank.read(4, 2) == 0x1234


def test_what_nobody_has_declared_is_told_and_reserved_bits_are(bank, drops):
    assert bank.read(0x0C, 4) == 0
    bank.write(0x0E, 1, 1)
    bank.write(6, 0x7000, 2)
    assert [reason for reason, _ in drops] == ["unknown register", "unknown register", "reserved bits"]
    assert bank.read(7, 1) == 0
