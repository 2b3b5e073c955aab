"""The 82540EM's declarations: sound in themselves, and the layouts of descriptors and EEPROM."""

import numpy as np
import pytest

from motenet.datasheets import e1000 as sheet
from motenet.datasheets.e1000 import eeprom, phy
from motenet.datasheets.layouts import dtype


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
