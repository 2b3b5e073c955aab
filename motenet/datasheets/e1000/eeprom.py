"""The EEPROM's map, in 16-bit words (8254x 5.6, Table 5-2)."""

from motenet.datasheets.registers import Field, Register

WORDS = 64

MAC_ADDRESS = 0x00
"""Words 0 to 2; the first byte of the address is the low byte of word 0 (8254x 5.6.1)."""
COMPATIBILITY = 0x03
PBA_NUMBER = 0x08
INIT_CONTROL_1 = 0x0A
SUBSYSTEM_ID = 0x0B
SUBSYSTEM_VENDOR_ID = 0x0C
DEVICE_ID = 0x0D
VENDOR_ID = 0x0E
INIT_CONTROL_2 = 0x0F
CHECKSUM = 0x3F

CHECKSUM_SUM = 0xBABA
"""Words 0 to 0x3F add up to this (8254x 5.6.35)."""

WORD_0A = Register(
    "INIT_CONTROL_1", INIT_CONTROL_1, "8254x 5.6.8",
    (
        Field("LOAD_IDS", 0, doc="device and vendor id come from words 0D and 0E"),
        Field("LOAD_SUBSYSTEM_IDS", 1, doc="subsystem ids come from words 0B and 0C"),
        Field("PM", 3, doc="power management is offered"),
        Field("ILOS", 4, doc="to CTRL.ILOS"),
        Field("FD", 10, doc="to CTRL.FD"),
        Field("FRCSPD", 11, doc="to CTRL.FRCSPD"),
        Field("SIGNATURE", 14, 2, doc="1: the EEPROM is valid"),
    ),
    width=16,
)  # fmt: skip

TEMPLATE: tuple[int, ...] = (
    0x0000, 0x0000, 0x0000, 0x0210, 0xFFFF, 0x1002, 0xFFFF, 0xFFFF,
    0xA948, 0x9001, 0x640B, 0x001E, 0x8086, 0x100E, 0x8086, 0x3040,
    0x0008, 0x2000, 0x7E14, 0x0048, 0x1000, 0x00D8, 0x0000, 0x2700,
    0x6CC9, 0x3150, 0x0722, 0x040B, 0x0984, 0x0000, 0xC000, 0x0706,
    0x1008, 0x0000, 0x0F04, 0x7FFF, 0x4D01, *[0xFFFF] * 11,
    0x0100, 0x4000, 0x121C, *[0xFFFF] * 12, 0x0000,
)  # fmt: skip
"""A PRO/1000 MT Desktop's words, without address and checksum.

From word 0F on they are those of QEMU's and Bochs's 82540EM; 0A offers power management as well; 0B to 0E are the ids
of datasheets.e1000.pci. Words 03, 05, 08 and 09 (compatibility, image version, part number) are of our choosing: no
hardware reads them.
"""


def image(mac: bytes) -> tuple[int, ...]:
    """The 64 words of a card with this address (6 bytes), checksum included."""
    words = list(TEMPLATE)
    for index in range(3):
        words[MAC_ADDRESS + index] = mac[2 * index] | mac[2 * index + 1] << 8
    words[CHECKSUM] = (CHECKSUM_SUM - sum(words[:CHECKSUM])) & 0xFFFF
    return tuple(words)
