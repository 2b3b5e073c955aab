"""Every register keeps what its declaration says; Linux's ethtool -t register test, with its masks."""

import pytest

from motenet.datasheets import e1000 as sheet

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


COMPUTED = {"CTRL", "STATUS", "EECD", "EERD", "MDIC", "PBA", "CTRL_EXT", "ICR", "ICS", "IMS", "IMC"}


@pytest.mark.parametrize("register", [r for r in sheet.REGISTERS if r.name not in COMPUTED], ids=lambda r: r.name)
def test_13_every_plain_register_stores_its_fields_and_nothing_else(bench, register):
    for index in (0, register.count - 1):
        bench.write(register, 0xFFFFFFFF, index)
        kept = register.mask(write="store") & ~register.mask(read="zero")
        assert bench.read(register, index) == kept | register.reset & register.mask(write="ignore")


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
