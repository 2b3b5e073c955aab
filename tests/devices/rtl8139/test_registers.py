"""Registers of the whole space, by their offsets on paper: reset values, what writing leaves, every access width."""

import pytest

# offset, bytes, reset value, read after writing ones, read after writing zeros; unlocked, receiver and transmitter on
BOTH = [
    (0x00, 4, 0x12005452, 0xFFFFFFFF, 0x00000000),  # IDR0-3, from the EEPROM: 52:54:00:12:34:56
    (0x04, 4, 0x00005634, 0x0000FFFF, 0x00000000),  # IDR4-5
    (0x08, 4, 0x00000000, 0xFFFFFFFF, 0x00000000),  # MAR0-3
    (0x0C, 4, 0x00000000, 0xFFFFFFFF, 0x00000000),  # MAR4-7
    (0x20, 4, 0x00000000, 0xFFFFFFFF, 0x00000000),  # TSAD0
    (0x2C, 4, 0x00000000, 0xFFFFFFFF, 0x00000000),  # TSAD3
    (0x30, 4, 0x00000000, 0xFFFFFFFF, 0x00000000),  # RBSTART
    (0x34, 2, 0x0000, 0x0000, 0x0000),  # ERBCR
    (0x36, 1, 0x00, 0x00, 0x00),  # ERSR
    (0x38, 2, 0xFFF0, 0xFFFF, 0x0000),  # CAPR
    (0x3A, 2, 0x0000, 0x0000, 0x0000),  # CBR
    (0x3C, 2, 0x0000, 0xE1FF, 0x0000),  # IMR
    (0x44, 4, 0x00000000, 0x0F03FFBF, 0x00000000),  # RCR
    (0x4C, 4, 0x00000000, 0x00000000, 0x00000000),  # MPC
    (0x51, 1, 0x10, 0x10, 0x10),  # CONFIG0
    (0x52, 1, 0x8D, 0xFF, 0x0C),  # CONFIG1
    (0x54, 4, 0x00000000, 0xFFFFFFFF, 0x00000000),  # TIMERINT
    (0x58, 1, 0x10, 0x90, 0x10),  # MSR with a link
    (0x59, 1, 0xC5, 0xF5, 0x85),  # CONFIG3
    (0x5A, 1, 0x80, 0xF5, 0x00),  # CONFIG4
    (0x5B, 1, 0x00, 0x00, 0x00),  # HLTCLK
    (0x5C, 2, 0x0000, 0x0FFF, 0x0000),  # MULINT
    (0x60, 2, 0x000F, 0x000F, 0x000F),  # TSAD, of all descriptors
    (0x66, 2, 0x01E1, 0x25FF, 0x0000),  # ANAR
    (0x68, 2, 0x45E1, 0x45E1, 0x45E1),  # ANLPAR, negotiated
    (0x6C, 2, 0x0000, 0x0000, 0x0000),  # DIS
    (0x6E, 2, 0x0000, 0x0000, 0x0000),  # FCSC
    (0x70, 2, 0x0000, 0x0088, 0x0000),  # NWAYTR
    (0x72, 2, 0x0000, 0x0000, 0x0000),  # REC
    (0x74, 2, 0x07C8, 0x07ED, 0x0408),  # CSCR with a link
    (0x84, 1, 0x00, 0xFF, 0x00),  # CRC0
    (0x8B, 1, 0x00, 0xFF, 0x00),  # CRC7
    (0x8C, 4, 0x00000000, 0xFFFFFFFF, 0x00000000),  # Wakeup0
    (0xC8, 4, 0x00000000, 0xFFFFFFFF, 0x00000000),  # Wakeup7, its upper half
    (0xCC, 1, 0x00, 0xFF, 0x00),  # LSBCRC0
    (0xD3, 1, 0x00, 0xFF, 0x00),  # LSBCRC7
    (0xD4, 4, 0x00000000, 0xFF000000, 0x00000000),  # FLASH
    (0xD8, 1, 0x00, 0x7F, 0x00),  # CONFIG5
]
ONLY_C = [
    (0x40, 4, 0x74000000, 0x770F07F0, 0x74000000),  # TCR
    (0x5E, 1, 0x10, 0x10, 0x10),  # RERID
]
ONLY_CPLUS = [
    (0x40, 4, 0x74800000, 0x778F07F0, 0x74800000),
    (0x5E, 1, 0x20, 0x20, 0x20),
    (0x82, 2, 0x0000, 0x0000, 0x0000),  # TDOKLADDR
    (0xD9, 1, 0x00, 0x00, 0x00),  # TPPOLL
    (0xE0, 2, 0x0000, 0x007B, 0x0000),  # CPCR
    (0xEC, 1, 0x00, 0x3F, 0x00),  # ETTHR
]
EACH = [(kind, *row) for kind, rows in (("C", BOTH + ONLY_C), ("C+", BOTH + ONLY_CPLUS)) for row in rows]


@pytest.mark.parametrize(("revision", "offset", "width", "reset", "ones", "zeros"), EACH)
def test_5_reset_values_and_stored_bits(new_bench, revision, offset, width, reset, ones, zeros):
    bench = new_bench(revision)
    assert bench.read(offset, width) == reset
    bench.unlock()
    bench.write(0x37, 0x0C, 1)
    for value, left in (((1 << 8 * width) - 1, ones), (0, zeros), ((1 << 8 * width) - 1, ones)):
        bench.write(offset, value, width)
        bench.write(0x37, 0x0C, 1)
        assert bench.read(offset, width) == left
    assert bench.read(offset, width) == ones, "reading changes nothing"


@pytest.mark.parametrize(
    ("offset", "ones"), [(0x10, 0xFFFFFFC8), (0x14, 0xFFFFFFFF), (0x20, 0xFFFFFF00), (0x24, 0xFFFFFFFF),
                         (0x28, 0xFFFFFF00), (0x2C, 0xFFFFFFFF), (0xE4, 0xFFFFFF00), (0xE8, 0xFFFFFFFF)],
)  # fmt: skip
def test_cplus_6_addresses_of_rings_and_counters_in_cplus_mode(plus, offset, ones):
    plus.write(0xE0, 0x0003, 2)
    assert plus.read(offset, 4) == 0
    plus.write(offset, 0xFFFFFFFF, 4)
    assert plus.read(offset, 4) == ones
    plus.run()
    plus.write(offset, 0, 4)
    assert plus.read(offset, 4) == 0
    assert set(plus.drops) <= {"reserved bits"}


def test_5_2_writing_tsd_stores_size_own_and_threshold(bench):
    """Bits 12:0, 13 and 21:16; the others are the card's."""
    for slot in range(4):
        assert bench.tsd(slot) == 0x00002000
        bench.write(0x10 + 4 * slot, 0xFF3FFFFF, 4)
        assert bench.tsd(slot) == 0x003F3FFF
        bench.write(0x10 + 4 * slot, 0x00002000, 4)
        assert bench.tsd(slot) == 0x00002000


def test_5_9_of_9346cr_mode_and_pins_are_stored(bench):
    bench.write(0x50, 0xFF, 1)
    assert bench.read(0x50, 1) == 0xCE
    bench.write(0x50, 0x00, 1)
    assert bench.read(0x50, 1) == 0x00


def test_5_13_phy_parameters_are_written_without_parm_en_in_config_write_mode(bench):
    parameters = ((0x78, 4, 0x60F60C59), (0x7C, 4, 0x7B732660), (0x80, 1, 0x60))
    for offset, width, loaded in parameters:
        assert bench.read(offset, width) == loaded
        bench.unlock()
        bench.write(offset, 0, width)
        assert bench.read(offset, width) == loaded
        bench.write(0x59, 0x00, 1)
        bench.write(0x50, 0x00, 1)
        bench.write(offset, 0, width)
        assert bench.read(offset, width) == loaded
        bench.unlock()
        for value in (0, (1 << 8 * width) - 1):
            bench.write(offset, value, width)
            assert bench.read(offset, width) == value
        bench.write(0x59, 0x40, 1)


def test_5_6_ones_clear_isr_reading_does_not_and_other_bits_stay(bench):
    """The paper has reading clear, and writing do nothing; every shipped driver writes ones."""
    bench.card.interrupts.cause(0xE1FF)
    assert bench.read(0x3E, 2) == bench.read(0x3E, 2) == 0xE1FF
    bench.write(0x3E, 0x8005, 2)
    assert bench.read(0x3E, 2) == 0x61FA
    bench.write(0x3F, 0x41, 1)
    assert bench.read(0x3E, 2) == 0x20FA
    bench.write(0x3C, 0x00F20000, 4)
    assert bench.read(0x3E, 2) == 0x2008


def test_5_3_ones_clear_ersr_but_not_erok(bench):
    bench.card.bank.values[0x36] = 0x0F
    bench.write(0x36, 0x02, 1)
    assert bench.read(0x36, 1) == 0x0D
    bench.write(0x36, 0xFF, 1)
    assert bench.read(0x36, 1) == 0x01


@pytest.mark.parametrize("offset", [0x6C, 0x6E, 0x72])
def test_5_23_to_5_26_phy_counters_are_cleared_by_reading(bench, offset):
    bench.card.bank.values[offset] = 0x1234
    bench.write(offset, 0xFFFF, 2)
    assert bench.read(offset, 2) == 0x1234
    assert bench.read(offset, 2) == 0


@pytest.mark.parametrize(
    ("offset", "width", "value"),
    [(0x50, 4, 0x008D1000), (0x58, 4, 0x0080C510), (0x5C, 4, 0x00100000), (0x60, 4, 0x1100000F), (0x43, 1, 0x74),
     (0x42, 2, 0x7400), (0x36, 2, 0x0100), (0x00, 2, 0x5452), (0x05, 1, 0x56), (0x38, 4, 0x0000FFF0)],
)  # fmt: skip
def test_5_registers_answer_to_bytes_words_and_dwords(bench, offset, width, value):
    """Linux 8139too reads TxConfig's byte 43h, rtl8139-diag all of it in dwords; both BARs show the same."""
    assert bench.read(offset, width) == bench.io.read(offset, width) == value


def test_5_both_bars_write_the_same_registers(bench):
    bench.io.write(0x3C, 0x1234, 2)
    assert bench.read(0x3C, 2) == 0x0034
    bench.write(0x3D, 0x60, 1)
    assert bench.io.read(0x3C, 2) == 0x6034


def test_u_boot_restores_the_address_in_bytes(bench):
    bench.unlock()
    for at, byte in enumerate(bytes.fromhex("020304050607")):
        bench.write(at, byte, 1)
    assert (bench.read(0, 4), bench.read(4, 4)) == (0x05040302, 0x0706)


def test_ipxe_tells_the_revisions_by_cpcr_and_no_8169_by_0xda(bench, plus):
    for card, kept in ((bench, 0), (plus, 0x001B)):
        card.write(0xDA, 0x3FFF, 2)
        assert card.read(0xDA, 2) == 0
        card.write(0xE0, 0x001B, 2)
        assert card.read(0xE0, 2) == kept


def test_what_no_register_has_reads_0_and_is_told(bench):
    for offset in (0x53, 0x5F, 0x76, 0x81, 0xD9, 0xF0, 0xFF):
        bench.write(offset, 0xFF, 1)
        assert bench.read(offset, 1) == 0
    assert bench.drops == {"unknown register": 14}


def test_the_overlay_of_cplus_mode_hides_the_slots_and_no_more(plus):
    plus.write(0x24, 0x1000, 4)
    plus.write(0xE0, 0x0001, 2)
    plus.write(0x24, 0x2000, 4)
    assert plus.read(0x24, 4) == 0x2000
    plus.write(0x30, 0x3000, 4)
    plus.write(0xE0, 0x0000, 2)
    assert (plus.read(0x24, 4), plus.read(0x30, 4), plus.read(0x10, 4)) == (0x1000, 0x3000, 0x2000)
