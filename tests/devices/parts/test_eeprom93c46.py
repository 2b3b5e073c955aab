"""A 93C46 and a 93C66 at their pins (Microchip DS20001749, figure "READ")."""

import pytest

from motenet.devices.parts.eeprom93c46 import Eeprom93C46

WORDS_64 = [(n * 0x0101) ^ 0x8001 for n in range(64)]
WORDS_256 = [n * 0x0101 for n in range(256)]


def clock_in(part, value, count):
    for place in range(count - 1, -1, -1):
        for clock in (False, True, False):
            part.pins(True, clock, value >> place & 1)


def clock_out(part, count):
    value = 0
    for _ in range(count):
        part.pins(True, True, 0)
        value = value << 1 | part.data_out
        part.pins(True, False, 0)
    return value


def read(part, address, bits):
    part.pins(True, False, 0)
    clock_in(part, 0b110 << bits | address, 3 + bits)
    dummy = part.data_out
    value = clock_out(part, 16)
    part.pins(False, False, 0)
    return dummy, value


@pytest.mark.parametrize(("words", "bits"), [(WORDS_64, 6), (WORDS_256, 8)])
def test_read_gives_a_zero_bit_and_then_the_word(words, bits):
    part = Eeprom93C46(words)
    assert [read(part, address, bits) for address in range(len(words))] == [(0, word) for word in words]


def test_further_clocks_give_the_words_that_follow():
    part = Eeprom93C46(WORDS_64)
    part.pins(True, False, 0)
    clock_in(part, 0b110 << 6 | 62, 9)
    assert clock_out(part, 48) == WORDS_64[62] << 32 | WORDS_64[63] << 16 | WORDS_64[0]


def test_zeros_before_the_start_bit_do_not_count():
    part = Eeprom93C46(WORDS_64)
    part.pins(True, False, 0)
    clock_in(part, 0, 5)
    clock_in(part, 0b110 << 6 | 3, 9)
    assert clock_out(part, 16) == WORDS_64[3]


def test_a_93c46_does_not_answer_at_eight_address_bits():
    """8139too tells the sizes apart so: with two bits too many, word 0 of a 93C46 comes out shifted."""
    part = Eeprom93C46([0x8129, *WORDS_64[1:]])
    assert read(part, 0, 8)[1] != 0x8129
    assert read(part, 0, 6)[1] == 0x8129


def test_without_chip_select_nothing_is_taken():
    part = Eeprom93C46(WORDS_64)
    for clock in (False, True, False, True):
        part.pins(False, clock, 1)
    assert (part.shifted, part.data_out) == (0, 1)


def test_save_and_load_in_the_middle_of_a_word():
    part, other = Eeprom93C46(WORDS_64), Eeprom93C46([0] * 64)
    part.pins(True, False, 0)
    clock_in(part, 0b110 << 6 | 5, 9)
    high = clock_out(part, 7)
    other.load(part.save())
    assert high << 9 | clock_out(other, 9) == WORDS_64[5]
