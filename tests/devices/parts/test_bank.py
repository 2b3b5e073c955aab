"""The declared effects of registers, on a space made up for it."""

import pytest

from motenet.datasheets.registers import Field, Register, RegisterMap
from motenet.devices.parts.bank import RegisterBank

PLAIN = Register(
    "PLAIN", 0x00, "-",
    (Field("A", 0, 8), Field("RO", 8, 8, write="ignore"), Field("GO", 31, read="zero", write="act")),
    reset=0x1234,
)  # fmt: skip
CAUSE = Register("CAUSE", 0x04, "-", (Field("C", 0, 8, read="clear", write="clear"),))
SET = Register("SET", 0x08, "-", (Field("C", 0, 8, write="set"),), alias_of="CAUSE")
SECRET = Register("SECRET", 0x0C, "-", (Field("S", 0, 32, read="zero"),), reset=7)
SMALL = Register("SMALL", 0x20, "-", (Field("V", 0, 32),), count=4, reset=5)
LARGE = Register("LARGE", 0x100, "-", (Field("V", 0, 16),), count=64)
LOW = Register("LOW", 0x10, "-", (Field("N", 0, 32, write="ignore"),))
HIGH = Register("HIGH", 0x14, "-", (Field("N", 0, 32, read="clear", write="ignore"),))
COUNTER = Register("COUNTER", 0x18, "-", (Field("N", 0, 32, read="clear", write="ignore"),))
SPACE = RegisterMap("made up", 0x200, (PLAIN, CAUSE, SET, SECRET, SMALL, LARGE, LOW, HIGH, COUNTER))


@pytest.fixture
def drops():
    return []


@pytest.fixture
def bank(drops):
    return RegisterBank(SPACE, lambda reason, detail: drops.append((reason, detail)))


def test_stored_read_only_and_acting_bits(bank, drops):
    seen = []
    bank.on_write(PLAIN, seen.append)
    bank.write(0x00, 0x8000FFFF, 4)
    assert bank.read(0x00, 4) == 0x12FF
    assert seen == [0x8000FFFF]
    assert drops == []


def test_ones_set_and_clear_through_an_alias(bank):
    bank.write(0x08, 0b1110, 4)
    bank.write(0x04, 0b0010, 4)
    assert bank.read(0x08, 4) == 0b1100
    assert (bank.read(0x04, 4), bank.read(0x04, 4)) == (0b1100, 0)


def test_write_only_reads_zero_but_is_kept(bank):
    assert bank.read(0x0C, 4) == 0
    assert bank.values[0x0C] == 7


def test_reserved_bits_are_told_and_lost(bank, drops):
    bank.write(0x104, 0x10001, 4)
    assert bank.read(0x104, 4) == 1
    assert drops == [("reserved bits", "LARGE[1]: 0x00010000 of 0x00010001")]


def test_unknown_registers_are_told_and_read_zero(bank, drops):
    bank.write(0x40, 1, 4)
    assert bank.read(0x40, 4) == 0
    assert [reason for reason, _ in drops] == ["unknown register"] * 2


def test_read_hooks_have_the_last_word(bank):
    bank.on_read(CAUSE, lambda value: value | 0x80)
    bank.write(0x08, 1, 4)
    assert (bank.read(0x04, 4), bank.read(0x04, 4)) == (0x81, 0x80)


def test_long_arrays_take_memory_only_where_written(bank):
    size = len(bank.values)
    assert bank.read(0x1FC, 4) == 0
    assert len(bank.values) == size
    bank.write(0x1FC, 3, 4)
    assert (bank.read(0x1FC, 4), len(bank.values)) == (3, size + 1)


def test_wide_counters_clear_with_their_upper_half_and_stick(bank):
    bank.wide_counter(LOW, HIGH)
    bank.values[0x10] = (5 << 32) + 6
    assert [bank.read(offset, 4) for offset in (0x10, 0x14, 0x10)] == [6, 5, 0]
    bank.values[0x10] = 2**70
    assert [bank.read(offset, 4) for offset in (0x10, 0x14)] == [0xFFFFFFFF, 0xFFFFFFFF]


def test_counters_stick_and_clear(bank):
    bank.values[0x18] = 2**33
    assert (bank.read(0x18, 4), bank.read(0x18, 4)) == (0xFFFFFFFF, 0)


def test_reset_keeps_what_it_is_told_to_and_the_same_dict(bank):
    values = bank.values
    bank.write(0x00, 0xFF, 4)
    bank.write(0x100, 9, 4)
    bank.write(0x24, 1, 4)
    bank.reset(frozenset([0x100]))
    assert [bank.read(offset, 4) for offset in (0x00, 0x100, 0x24)] == [0x1234, 9, 5]
    assert bank.values is values


def test_save_and_load(bank):
    bank.write(0x100, 9, 4)
    saved = bank.save()
    bank.reset()
    bank.load(saved)
    assert bank.read(0x100, 4) == 9
