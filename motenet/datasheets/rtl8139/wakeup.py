"""Wakeup frames of the RTL8139: CRC and masks (RTL8139C 5, 7.4)."""

from motenet.datasheets.registers import Field, Register

CRC = Register(
    "CRC", 0x84, "RTL8139C 5", (Field("CRC", 0, 8),), width=8, count=8, stride=1,
    doc="a wakeup frame's 8-bit CRC",
)  # fmt: skip
WAKEUP_MASK = Register(
    "WAKEUP", 0x8C, "RTL8139C 5", (Field("MASK", 0, 32),), count=16,
    doc="the bytes 12 to 75 that a wakeup frame's CRC covers: 64 bits for each of eight frames",
)  # fmt: skip
LSBCRC = Register(
    "LSBCRC", 0xCC, "RTL8139C 5", (Field("LSBCRC", 0, 8),), width=8, count=8, stride=1,
    doc="the last masked byte of a wakeup frame",
)  # fmt: skip

WAKEUP = (CRC, WAKEUP_MASK, LSBCRC)
