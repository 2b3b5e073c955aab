"""The 93C46's map, in 16-bit words (RTL8139C 6)."""

WORDS = 64

ID = 0x00
VENDOR_ID = 0x01
DEVICE_ID = 0x02
SUBSYSTEM_VENDOR_ID = 0x03
SUBSYSTEM_ID = 0x04
LATENCY = 0x05
"""Low byte MNGNT, high byte MXLAT."""
MSRBMCR_CONFIG3 = 0x06
"""Low byte: bits 7:6 of MSR, and 13, 12 and 8 of BMCR in bits 5, 4 and 0. High byte: CONFIG3."""
MAC_ADDRESS = 0x07
"""Words 7 to 9; the first byte of the address is the low byte of word 7."""
CONFIG0_CONFIG1 = 0x0A
PMC = 0x0B
CONFIG4 = 0x0C
"""In the high byte."""
PHY1_PARM = 0x0D
"""Words D and E."""
PHY2_PARM_CONFIG5 = 0x0F
TW_PARM = 0x10
"""Words 10 and 11."""
CHECKSUM = 0x19
VPD = 0x20

SIGNATURE = 0x8129
"""Word 0 of a valid EEPROM."""

TEMPLATE: tuple[int, ...] = (
    SIGNATURE, 0x10EC, 0x8139, 0x10EC, 0x8139, 0x4020, 0xC510, 0x0000,
    0x0000, 0x0000, 0x8D10, 0xF7C2, 0x8000, 0x0C59, 0x60F6, 0x0060,
    0x2660, 0x7B73, *[0x0000] * 14, *[0xFFFF] * 32,
)  # fmt: skip
"""The words without address: the registers' reset values, and the PHY's parameters as drivers' dumps show them."""


def image(mac: bytes) -> tuple[int, ...]:
    """The 64 words of a card with this address (6 bytes)."""
    words = list(TEMPLATE)
    for index in range(3):
        words[MAC_ADDRESS + index] = mac[2 * index] | mac[2 * index + 1] << 8
    return tuple(words)
