"""The 82540EM's datasheet against others who wrote the same numbers down: Linux e1000_hw.h, the manual's tables."""

import numpy as np
import pytest

from motenet.datasheets import e1000 as sheet
from motenet.datasheets.e1000 import eeprom, phy
from motenet.datasheets.layouts import dtype

LINUX = """
CTRL 00000 STATUS 00008 EECD 00010 EERD 00014 CTRL_EXT 00018 MDIC 00020 FCAL 00028 FCAH 0002C FCT 00030 VET 00038
ICR 000C0 ITR 000C4 ICS 000C8 IMS 000D0 IMC 000D8 RCTL 00100 FCTTV 00170 TXCW 00178 RXCW 00180 TCTL 00400 TIPG 00410
AIT 00458 LEDCTL 00E00 PBA 01000 FCRTL 02160 FCRTH 02168 RDBAL 02800 RDBAH 02804 RDLEN 02808 RDH 02810 RDT 02818
RDTR 02820 RXDCTL 02828 RADV 0282C RSRPD 02C00 TXDMAC 03000 TDFH 03410 TDFT 03418 TDFHS 03420 TDFTS 03428 TDFPC 03430
TDBAL 03800 TDBAH 03804 TDLEN 03808 TDH 03810 TDT 03818 TIDV 03820 TXDCTL 03828 TADV 0382C TSPMT 03830 CRCERRS 04000
ALGNERRC 04004 SYMERRS 04008 RXERRC 0400C MPC 04010 SCC 04014 ECOL 04018 MCC 0401C LATECOL 04020 COLC 04028 DC 04030
TNCRS 04034 SEC 04038 CEXTERR 0403C RLEC 04040 XONRXC 04048 XONTXC 0404C XOFFRXC 04050 XOFFTXC 04054 FCRUC 04058
PRC64 0405C PRC127 04060 PRC255 04064 PRC511 04068 PRC1023 0406C PRC1522 04070 GPRC 04074 BPRC 04078 MPRC 0407C
GPTC 04080 GORCL 04088 GORCH 0408C GOTCL 04090 GOTCH 04094 RNBC 040A0 RUC 040A4 RFC 040A8 ROC 040AC RJC 040B0
MGTPRC 040B4 MGTPDC 040B8 MGTPTC 040BC TORL 040C0 TORH 040C4 TOTL 040C8 TOTH 040CC TPR 040D0 TPT 040D4 PTC64 040D8
PTC127 040DC PTC255 040E0 PTC511 040E4 PTC1023 040E8 PTC1522 040EC MPTC 040F0 BPTC 040F4 TSCTC 040F8 TSCTFC 040FC
RXCSUM 05000 MTA 05200 RAL 05400 VFTA 05600 WUC 05800 WUFC 05808 WUS 05810 MANC 05820 IPAV 05838 IP4AT 05840
IP6AT 05880 WUPL 05900 WUPM 05A00 FFLT 05F00 FFMT 09000 FFVT 09800
"""

BITS = [
    (sheet.CTRL, "FD", 0x1), (sheet.CTRL, "SLU", 0x40), (sheet.CTRL, "FRCSPD", 0x800), (sheet.CTRL, "RST", 0x04000000),
    (sheet.CTRL, "VME", 0x40000000), (sheet.CTRL, "PHY_RST", 0x80000000), (sheet.STATUS, "LU", 0x2),
    (sheet.EECD, "EE_REQ", 0x40), (sheet.EECD, "EE_GNT", 0x80), (sheet.EERD, "DONE", 0x10),
    (sheet.MDIC, "R", 0x10000000), (sheet.MDIC, "E", 0x40000000), (sheet.RCTL, "EN", 0x2), (sheet.RCTL, "LPE", 0x20),
    (sheet.RCTL, "BAM", 0x8000), (sheet.RCTL, "BSIZE", 0x30000), (sheet.RCTL, "VFE", 0x40000),
    (sheet.RCTL, "BSEX", 0x02000000), (sheet.RCTL, "SECRC", 0x04000000), (sheet.TCTL, "EN", 0x2),
    (sheet.TCTL, "PSP", 0x8), (sheet.TCTL, "CT", 0xFF0), (sheet.TCTL, "COLD", 0x3FF000), (sheet.ICR, "LSC", 0x4),
    (sheet.ICR, "RXDMT0", 0x10), (sheet.ICR, "RXO", 0x40), (sheet.ICR, "RXT0", 0x80), (sheet.ICR, "MDAC", 0x200),
    (sheet.ICR, "TXD_LOW", 0x8000), (sheet.ICR, "SRPD", 0x10000), (sheet.RXCSUM, "TUOFL", 0x200),
    (sheet.RAH, "AV", 0x80000000), (sheet.MANC, "ARP_EN", 0x2000), (sheet.TDESC_CMD, "DEXT", 0x20),
    (sheet.TDESC_DATA_COMMAND, "DEXT", 0x20000000), (sheet.TDESC_DATA_COMMAND, "IDE", 0x80000000),
    (sheet.TDESC_CONTEXT_COMMAND, "TSE", 0x04000000), (sheet.TDESC_POPTS, "TXSM", 0x2),
    (sheet.RDESC_STATUS, "IXSM", 0x4), (sheet.RDESC_STATUS, "VP", 0x8), (sheet.RDESC_STATUS, "PIF", 0x80),
    (sheet.RDESC_ERRORS, "TCPE", 0x20), (sheet.RDESC_ERRORS, "IPE", 0x40), (phy.BMCR, "LOOPBACK", 0x4000),
    (phy.BMSR, "LINK", 0x4), (phy.PSSTAT, "LINK", 0x400), (phy.PSSTAT, "SPEED", 0xC000),
]  # fmt: skip


def test_offsets_are_those_of_linux():
    words = LINUX.split()
    linux = {name: int(offset, 16) for name, offset in zip(words[::2], words[1::2], strict=True)}
    assert {name: sheet.REGISTERS[name].offset for name in linux} == linux


@pytest.mark.parametrize(("register", "name", "mask"), BITS)
def test_bits_are_those_of_linux(register, name, mask):
    assert register[name] == mask


@pytest.mark.parametrize("register", [*sheet.REGISTERS, *phy.PHY_REGISTERS], ids=lambda register: register.name)
def test_declarations_are_sound(register):
    """Fields do not overlap nor leave the register, reset values use fields only, and each has its clause."""
    covered = 0
    for field in register.fields:
        assert not covered & field.mask
        covered |= field.mask
    assert covered < 1 << register.width
    assert not register.reset & register.reserved
    assert register.clause


@pytest.mark.parametrize(
    ("register", "value"),
    [
        (sheet.PBA, 0x00100030),
        (sheet.LEDCTL, 0x07068302),
        (phy.BMCR, 0x1140),
        (phy.PHYID1, 0x0141),
        (phy.PHYID2, 0x0C20),
    ],
)
def test_reset_values_are_the_manuals(register, value):
    assert register.reset == value


def test_icr_clears_on_read_and_on_writing_ones():
    """13.4.17."""
    assert sheet.ICR.mask(read="clear") == sheet.ICR.mask(write="clear") == 0x1FFFF
    assert (sheet.ICS.alias_of, sheet.IMC.alias_of) == ("ICR", "IMS")


def test_descriptors_have_the_manuals_layout():
    """3.2.3 and 3.3: 16 bytes, little-endian."""
    assert sheet.RDESC_CODEC.pack(0x1122334455667788, 0x99AA, 0xBBCC, 0xDD, 0xEE, 0xFF01).hex() == (
        "8877665544332211aa99ccbbddee01ff"
    )
    assert sheet.TDESC_LEGACY_CODEC.pack(1, 0x0203, 4, 5, 6, 7, 0x0809).hex() == "01000000000000000302040506070908"
    assert sheet.TDESC_DATA_CODEC.pack(1, 0x02030405, 6, 7, 0x0809).hex() == "01000000000000000504030206070908"
    assert sheet.TDESC_CONTEXT_CODEC.pack(1, 2, 3, 4, 5, 6, 7, 8, 9, 10).hex() == "01020300040506000700000008090a00"
    for layout in (sheet.RDESC, sheet.TDESC_LEGACY, sheet.TDESC_CONTEXT, sheet.TDESC_DATA):
        assert dtype(layout).itemsize == sheet.DESCRIPTOR_SIZE
    assert np.zeros(1, dtype(sheet.RDESC))["status"].dtype == np.uint8


def test_5_6_the_eeproms_words():
    """A PRO/1000 MT Desktop: device 100E of vendor 8086, signature 01b, sum BABA; the address low byte first."""
    words = eeprom.image(bytes.fromhex("0007e9112233"))
    assert words[:3] == (0x0700, 0x11E9, 0x3322)
    assert (words[eeprom.DEVICE_ID], words[eeprom.VENDOR_ID]) == (0x100E, 0x8086)
    assert words[eeprom.INIT_CONTROL_1] >> 14 == 1
    assert sum(words) & 0xFFFF == 0xBABA
