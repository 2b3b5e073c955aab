"""What every register keeps, in the manual's numbers; Linux's ethtool -t register test, with its masks."""

import pytest

from motenet.datasheets import e1000 as sheet
from motenet.datasheets.e1000 import phy

NO_COUNTER = (0x4024, 0x402C, 0x4044, 0x4084, 0x4088, 0x408C, 0x4090, 0x4094, 0x4098, 0x409C, *range(0x40C0, 0x40D0, 4))
"""Gaps in 8254x Table 13-2, and the halves of 64-bit counters."""
PATTERNS = (0x5A5A5A5A, 0xA5A5A5A5, 0x00000000, 0xFFFFFFFF)
ETHTOOL = [
    (sheet.FCAL, 0xFFFFFFFF, 0xFFFFFFFF),
    (sheet.FCAH, 0x0000FFFF, 0xFFFFFFFF),
    (sheet.FCT, 0x0000FFFF, 0xFFFFFFFF),
    (sheet.VET, 0x0000FFFF, 0xFFFFFFFF),
    (sheet.RDTR, 0x0000FFFF, 0xFFFFFFFF),
    (sheet.RDBAH, 0xFFFFFFFF, 0xFFFFFFFF),
    (sheet.RDLEN, 0x000FFF80, 0x000FFFFF),
    (sheet.RDH, 0x0000FFFF, 0x0000FFFF),
    (sheet.RDT, 0x0000FFFF, 0x0000FFFF),
    (sheet.FCRTH, 0x0000FFF8, 0x0000FFF8),
    (sheet.FCTTV, 0x0000FFFF, 0x0000FFFF),
    (sheet.TIPG, 0x3FFFFFFF, 0x3FFFFFFF),
    (sheet.TDBAH, 0xFFFFFFFF, 0xFFFFFFFF),
    (sheet.TDLEN, 0x000FFF80, 0x000FFFFF),
    (sheet.RDBAL, 0xFFFFFFF0, 0xFFFFFFFF),
    (sheet.TXCW, 0xC000FFFF, 0x0000FFFF),
    (sheet.TDBAL, 0xFFFFFFF0, 0xFFFFFFFF),
    (sheet.TIDV, 0x0000FFFF, 0x0000FFFF),
    (sheet.RAL, 0xFFFFFFFF, 0xFFFFFFFF),
    (sheet.RAH, 0x8003FFFF, 0xFFFFFFFF),
    (sheet.MTA, 0xFFFFFFFF, 0xFFFFFFFF),
]


@pytest.mark.parametrize(("register", "mask", "writable"), ETHTOOL, ids=lambda value: getattr(value, "name", ""))
def test_linux_ethtool_t_patterns(bench, register, mask, writable):
    for index in range(register.count):
        for pattern in PATTERNS:
            bench.write(register, pattern & writable, index)
            assert bench.read(register, index) == pattern & writable & mask


def test_linux_ethtool_t_status_is_read_only(bench):
    before = bench.read(sheet.STATUS)
    bench.write(sheet.STATUS, 0xFFFFF833)
    assert bench.read(sheet.STATUS) == before


def test_linux_ethtool_t_rctl_and_tctl(bench):
    bench.write(sheet.RCTL, 0)
    assert bench.read(sheet.RCTL) == 0
    for written in (0x06DFB3FE & 0x003FFFFB, 0x06DFB3FE):
        bench.write(sheet.RCTL, written)
        assert bench.read(sheet.RCTL) & 0x06DFB3FE == written
    bench.write(sheet.TCTL, 0)
    assert bench.read(sheet.TCTL) == 0


ONES = """
CTRL_EXT 00E2CCCF FCAL FFFFFFFF FCAH FFFF FCT FFFF VET FFFF FCTTV FFFF TXCW C000FFFF RXCW 0 LEDCTL EFEFEFEF ITR FFFF
RCTL 06DFB3FE FCRTL 8000FFF8 FCRTH FFF8 RDBAL FFFFFFF0 RDBAH FFFFFFFF RDLEN FFF80 RDH FFFF RDT FFFF RDTR FFFF
RXDCTL 013F3F3F RADV FFFF RSRPD FFF RXCSUM 7FF MTA FFFFFFFF RAL FFFFFFFF RAH 8003FFFF VFTA FFFFFFFF TCTL 013FFFFA
TIPG 3FFFFFFF AIT FFFF TXDMAC 1 TDBAL FFFFFFF0 TDBAH FFFFFFFF TDLEN FFF80 TDH FFFF TDT FFFF TIDV FFFF TXDCTL FF3F3F3F
TADV FFFF TSPMT FFFFFFFF WUC B WUFC F80FF WUS 0 MANC 3FFFFF00 IPAV 1000F IP4AT FFFFFFFF IP6AT FFFFFFFF WUPL FFF
WUPM FFFFFFFF FFLT 7FF FFMT F FFVT FFFFFFFF RDFH 1FFF RDFT 1FFF RDFHS 1FFF RDFTS 1FFF RDFPC 1FFF TDFH 1FFF TDFT 1FFF
TDFHS 1FFF TDFTS 1FFF TDFPC 1FFF PBM FFFFFFFF
"""
PHY_ONES = """
PHYID1 0141 PHYID2 0C20 ANAR FFFF ANLPAR 0 ANER 4 NPT FFFF LPN 0 GCON FFFF GSTATUS 0 ESTATUS 3000 PSCON FFFF PSSTAT 0
PINTE FFFF PINTS 0 EPSCON FFFF PREC 0 PAGE_SELECT FFFF PAGE_DATA FFFF
"""


def pairs(table):
    """Names and hexadecimal numbers."""
    words = table.split()
    return [(name, int(number, 16)) for name, number in zip(words[::2], words[1::2], strict=True)]


@pytest.mark.parametrize(("name", "left"), pairs(ONES))
def test_13_what_a_register_keeps_of_all_ones_stays_until_it_is_written(bench, name, left):
    register = sheet.REGISTERS[name]
    for index in (0, register.count - 1):
        bench.write(register, 0xFFFFFFFF, index)
        assert [bench.read(register, index) for _ in range(2)] == [left, left]
        bench.write(register, 0, index)
        assert bench.read(register, index) == 0


@pytest.mark.parametrize(("name", "left"), pairs(PHY_ONES))
def test_13_4_7_1_what_a_register_of_the_phy_keeps_of_all_ones(new_bench, name, left):
    bench, number = new_bench(link=False), phy.PHY_REGISTERS[name].offset
    bench.mdio(number, 0xFFFF)
    assert [bench.mdio(number) & 0xFFFF for _ in range(2)] == [left, left]
    bench.mdio(number, 0)
    assert bench.mdio(number) & 0xFFFF == (0 if left == 0xFFFF else left)


def test_13_4_3_eecd_keeps_what_software_writes_and_shows_grant_and_presence(bench):
    """DO is high while the EEPROM has nothing to say."""
    for written, read in ((0, 0x108), (0xFFFFFFFF, 0x1FF), (0, 0x108)):
        bench.write(sheet.EECD, written)
        assert [bench.read(sheet.EECD) for _ in range(2)] == [read, read]


@pytest.mark.parametrize("name", [f"{kind}{end}" for kind in ("GORC", "GOTC", "TOR", "TOT") for end in "LH"])
def test_13_7_wide_counters_are_not_written(bench, name):
    bench.write(sheet.REGISTERS[name], 0xFFFFFFFF)
    assert bench.read(sheet.REGISTERS[name]) == 0


@pytest.mark.parametrize("offset", [at for at in range(0x4000, 0x4100, 4) if at not in NO_COUNTER])
def test_13_7_a_counter_is_cleared_by_reading_and_not_written(bench, offset):
    bench.card.bank.values[offset] = 0xA5A5A5A5
    bench.registers.write(offset, 0x0000FFFF, 4)
    assert [bench.registers.read(offset, 4) for _ in range(2)] == [0xA5A5A5A5, 0]


@pytest.mark.parametrize("bit", range(17))
def test_13_4_17_each_cause_is_set_by_ics_and_cleared_by_ones_or_by_reading(bench, bit):
    cause = 1 << bit
    bench.write(sheet.ICS, cause)
    bench.write(sheet.ICR, ~cause & 0xFFFFFFFF)
    assert [bench.read(register) for register in (sheet.ICS, sheet.ICR, sheet.ICR)] == [cause, cause, 0]
    for written in (0xFFFFFFFF, 0):
        bench.write(sheet.ICS, written)
    bench.write(sheet.ICR, cause)
    assert bench.read(sheet.ICR) == 0x1FFFF & ~cause


@pytest.mark.parametrize("bit", range(17))
def test_13_4_20_each_bit_of_the_mask_is_set_and_cleared_by_ones(bench, bit):
    for written, left in ((1 << bit, 1 << bit), (0, 1 << bit), (0xFFFFFFFF, 0x1FFFF)):
        bench.write(sheet.IMS, written)
        assert [bench.read(register) for register in (sheet.IMS, sheet.IMS, sheet.IMC)] == [left, left, 0]
    bench.write(sheet.IMC, 1 << bit)
    assert bench.read(sheet.IMS) == 0x1FFFF & ~(1 << bit)


@pytest.mark.parametrize("register", [sheet.WUPL, sheet.WUPM], ids=lambda r: r.name)
def test_13_6_7_the_wakeup_packet_can_be_written_for_diagnosis(bench, register):
    bench.write(register, 0x5A5)
    assert bench.read(register) == 0x5A5


def test_13_4_2_status_of_an_82540em_at_gigabit():
    """FD, LU, SPEED and ASDV 1000: 0x683 with the transmit clock running."""
    assert sheet.STATUS.describe(0x683) == "FD | LU | SPEED=0x2 | ASDV=0x2 | MTXCKOK"


def test_13_1_undeclared_addresses_read_as_zero_and_are_told(bench):
    assert bench.registers.read(0x0001C, 4) == 0  # FLA is the 82541's and 82547's
    bench.registers.write(0x0001C, 0xFFFFFFFF, 4)
    assert bench.registers.read(0x1FFFC, 4) == 0  # the packet buffer's last word
    assert bench.drops == {"unknown register": 2}


def test_13_1_reserved_bits_are_not_stored_and_told(bench):
    bench.write(sheet.RXDCTL, 1 << 25)  # iPXE's queue enable bit of later cards, polled until it reads 0
    assert bench.read(sheet.RXDCTL) == 0
    assert bench.drops == {"reserved bits": 1}


def test_13_8_11_the_packet_buffer_memory_can_be_written_and_read(bench):
    for index in (0, 1, 16383):
        bench.write(sheet.PBM, 0xCAFE0000 + index, index)
    assert [bench.read(sheet.PBM, index) for index in (0, 1, 2, 16383)] == [0xCAFE0000, 0xCAFE0001, 0, 0xCAFE3FFF]
