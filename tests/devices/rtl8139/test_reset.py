"""Reset, the EEPROM and its autoload, the configuration lock, configuration space (RTL8139C 5.4, 5.9, 6, 7)."""

import pytest

from motenet.core.errors import ConfigurationError
from motenet.devices import Rtl8139

LOAD, RESET = 2_000_000, 10_000_000


def bit_bang(bench, address, bits):
    """Linux 8139too's read_eeprom: the command with two bits in front, then sixteen clocks."""
    bench.write(0x50, 0x80, 1)
    bench.write(0x50, 0x88, 1)
    command = 6 << bits | address
    for place in reversed(range(bits + 5)):
        data = 0x02 if command >> place & 1 else 0
        bench.write(0x50, 0x88 | data, 1)
        bench.write(0x50, 0x8C | data, 1)
    bench.write(0x50, 0x88, 1)
    word = 0
    for _ in range(16):
        bench.write(0x50, 0x8C, 1)
        word = word << 1 | bench.read(0x50, 1) & 1
        bench.write(0x50, 0x88, 1)
    bench.write(0x50, 0x00, 1)
    return word


def test_5_9_the_eeprom_by_bit_bang(bench):
    words = [bit_bang(bench, number, 6) for number in range(10)]
    assert words == [0x8129, 0x10EC, 0x8139, 0x10EC, 0x8139, 0x4020, 0xC510, 0x5452, 0x1200, 0x5634]


def test_linux_8139too_asks_with_8_address_bits_first_and_a_93c46_does_not_answer(bench):
    assert bit_bang(bench, 0, 8) != 0x8129


def test_5_9_outside_programming_mode_the_pins_do_not_reach_the_eeprom(bench):
    for mode in (0x00, 0xC0):
        for value in (0x08, 0x0A, 0x0E):
            bench.write(0x50, mode | value, 1)
            assert bench.read(0x50, 1) == mode | value
    bench.write(0x50, 0x88, 1)
    assert bench.read(0x50, 1) == 0x89, "DO floats high"


def test_5_9_programming_mode_disables_network_and_bus_master(bench):
    data = bytes.fromhex("525400123456020000000001") + bytes(60)
    bench.c_mode()
    bench.write(0x50, 0x80, 1)
    bench.send(0, data)
    bench.deliver(data)
    assert (bench.sent, bench.read(0x3A, 2)) == ([], 0)
    bench.write(0x50, 0x00, 1)
    bench.run()
    assert (len(bench.sent), bench.read(0x3A, 2)) == (1, 80)


def test_5_4_rst_reads_1_until_done_within_10_ms(new_bench):
    bench = new_bench("C", "datasheet")
    bench.write(0x37, 0x1C, 1)
    assert bench.read(0x37, 1) & 0x10
    bench.run(RESET)
    assert bench.read(0x37, 1) == 0x01


def test_5_4_rst_resets_all_but_addresses_configuration_and_phy(bench):
    bench.unlock()
    kept = [(0x00, 4, 0x04030201), (0x04, 4, 0x0605), (0x08, 4, 0x11111111), (0x0C, 4, 0x22222222), (0x52, 1, 0x3D),
            (0x59, 1, 0xB5), (0x5A, 1, 0x14), (0xD8, 1, 0x7F), (0x8C, 4, 0x33333333), (0x66, 2, 0x0101)]  # fmt: skip
    lost = [(0x30, 4, 0x10000, 0), (0x20, 4, 0x10000, 0), (0x3C, 2, 0xFFFF, 0), (0x38, 2, 0x100, 0xFFF0),
            (0x40, 4, 0x03000700, 0x74000000), (0x44, 4, 0xF, 0), (0x54, 4, 0x1000, 0), (0x5C, 2, 0x123, 0),
            (0x10, 4, 0x00013000, 0x2000)]  # fmt: skip
    bench.write(0x37, 0x0C, 1)
    for offset, width, value in kept:
        bench.write(offset, value, width)
    for offset, width, value, _ in lost:
        bench.write(offset, value, width)
        assert bench.read(offset, width) & value
    bench.write(0x37, 0x10, 1)
    bench.run()
    assert [bench.read(offset, width) for offset, width, _ in kept] == [value for _, _, value in kept]
    assert [bench.read(offset, width) for offset, width, _, _ in lost] == [value for _, _, _, value in lost]
    assert bench.isr() == 0
    assert bench.read(0x58, 1) == 0x10, "the link stays"


def test_5_4_rst_takes_the_interrupt_back_and_empties_the_ring(bench):
    bench.c_mode()
    bench.write(0x3C, 0x0001, 2)
    bench.deliver(b"\xff" * 6 + bytes(60))
    assert bench.slot.level
    bench.write(0x37, 0x10, 1)
    assert not bench.slot.level
    bench.run()
    assert (bench.read(0x37, 1), bench.read(0x3A, 2)) == (0x01, 0)


def test_7_rst_pin_brings_everything_back_and_the_phy_too(bench):
    bench.unlock()
    for offset, width in ((0x00, 4), (0x52, 1), (0x59, 1), (0x66, 2), (0xD8, 1), (0x84, 1), (0x3C, 2)):
        bench.write(offset, 0, width)
    bench.card.interrupts.cause(0x0001)
    bench.card.reset()
    assert [bench.read(offset, width) for offset, width in ((0x00, 4), (0x52, 1), (0x59, 1), (0x66, 2), (0x50, 1))] == [
        0x12005452, 0x8D, 0xC5, 0x01E1, 0x00,
    ]  # fmt: skip
    assert (bench.read(0x58, 1), bench.read(0x3E, 2)) == (0x14, 0)
    bench.run(10**9)
    assert bench.read(0x58, 1) == 0x10


def test_5_9_autoload_takes_2_ms_reloads_and_goes_back_to_normal_mode(new_bench):
    bench = new_bench("C", "datasheet")
    bench.unlock()
    bench.write(0x00, 0, 4)
    bench.write(0x52, 0, 1)
    bench.write(0x08, 0x12345678, 4)
    bench.write(0x50, 0x40, 1)
    bench.run(LOAD - 1)
    assert (bench.read(0x50, 1), bench.read(0x00, 4)) == (0x40, 0)
    bench.run(1)
    assert (bench.read(0x50, 1), bench.read(0x00, 4), bench.read(0x52, 1)) == (0x00, 0x12005452, 0x8D)
    assert bench.read(0x08, 4) == 0, "all other registers are reset"
    assert bench.read(0x58, 1) == 0x10, "but not the PHY"


def test_5_9_autoload_that_is_taken_back_does_not_happen(new_bench):
    bench = new_bench("C", "datasheet")
    bench.write(0x50, 0x40, 1)
    bench.write(0x50, 0xC0, 1)
    bench.write(0x00, 0, 4)
    bench.run(LOAD)
    assert (bench.read(0x50, 1), bench.read(0x00, 4)) == (0xC0, 0)


@pytest.mark.parametrize(("offset", "width"), [(0x00, 4), (0x04, 4), (0x52, 1), (0x59, 1), (0x5A, 1)])
def test_5_9_configuration_and_address_are_locked_outside_config_write_mode(bench, offset, width):
    """IDR's lock is not on paper; NetBSD's driver notes it, and Linux unlocks."""
    before = bench.read(offset, width)
    for mode in (0x00, 0x80):
        bench.write(0x50, mode, 1)
        bench.write(offset, 0, width)
        assert bench.read(offset, width) == before
    assert bench.drops == {"write refused": 2}
    bench.unlock()
    bench.write(offset, 0, width)
    assert bench.read(offset, width) != before


def test_5_29_config5_is_not_locked(bench):
    bench.write(0xD8, 0x01, 1)
    assert bench.read(0xD8, 1) == 0x01


def test_5_18_speed_duplex_and_ane_are_locked_the_rest_of_bmcr_is_not(bench):
    bench.write(0x62, 0x0000, 2)
    assert bench.read(0x62, 2) == 0x1100
    bench.write(0x62, 0x0200, 2)
    assert bench.read(0x58, 1) == 0x14, "negotiating again"
    bench.unlock()
    bench.write(0x62, 0x2100, 2)
    assert bench.read(0x62, 2) == 0x2100


@pytest.mark.parametrize(("revision", "number"), [("C", 0x10), (0x10, 0x10), ("C+", 0x20), (0x20, 0x20)])
def test_7_configuration_space(revision, number):
    card = Rtl8139(revision=revision)
    header = card.config_header
    assert len(header) == 256
    assert header[:16].hex(" ") == f"ec 10 39 81 00 00 90 02 {number:02x} 00 00 02 00 00 00 00"
    assert header[0x10:0x18].hex(" ") == "01 00 00 00 00 00 00 00"
    assert header[0x2C:0x30].hex(" ") == "ec 10 39 81"
    assert header[0x34] == 0x50
    assert header[0x3C:0x40].hex(" ") == "00 01 20 40"
    assert header[0x50:0x56].hex(" ") == "01 00 c2 f7 00 00", "PM 1.1, D1, D2, PME from D1 to D3cold"
    assert {number: (bar.size, bar.kind, bar.widths) for number, bar in card.bars.items()} == {
        0: (256, "io", (1, 2, 4)), 1: (256, "memory", (1, 2, 4)),
    }  # fmt: skip


@pytest.mark.parametrize("options", [{"revision": "D"}, {"revision": 0x11}, {"mac": "52:54"}, {"timing": "hasty"}])
def test_a_card_that_there_is_not_is_refused(options):
    with pytest.raises(ConfigurationError):
        Rtl8139(**options)
