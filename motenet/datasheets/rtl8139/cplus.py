"""What the RTL8139C+ has beyond the RTL8139C: C+ mode's command and ring registers (RTL8139C+ 6)."""

from motenet.datasheets.registers import Field, Register

TDOKLADDR = Register(
    "TDOKLADDR", 0x82, "RTL8139C+ 6", (Field("ADDRESS", 0, 16, write="ignore"),), width=16,
    doc="low 16 bits of the last transmit descriptor whose DMA is done",
)  # fmt: skip

TPPOLL = Register(
    "TPPOLL", 0xD9, "RTL8139C+ 6",
    (
        Field("FSWINT", 0, read="zero", write="act", doc="set ISR.SWINT"),
        Field("NPQ", 6, read="zero", write="act", doc="look at the normal priority ring"),
        Field("HPQ", 7, read="zero", write="act", doc="look at the high priority ring"),
    ),
    width=8,
    doc="transmit priority polling",
)  # fmt: skip

CPCR = Register(
    "CPCR", 0xE0, "RTL8139C+ 6.33",
    (
        Field("CPTX", 0, doc="C+ transmit mode"),
        Field("CPRX", 1, doc="C+ receive mode"),
        Field("MULRW", 3, doc="PCI multiple read and write"),
        Field("DAC", 4, doc="PCI dual address cycles"),
        Field("RXCHKSUM", 5, doc="receive checksum offload"),
        Field("RXVLAN", 6, doc="receive VLAN de-tagging"),
    ),
    width=16,
    doc="C+ command; written before the ring addresses",
)  # fmt: skip

RDSARL = Register(
    "RDSARL", 0xE4, "RTL8139C+ 6", (Field("ADDRESS", 8, 24),),
    doc="receive descriptor start address, low; on 256 bytes",
)  # fmt: skip
RDSARH = Register("RDSARH", 0xE8, "RTL8139C+ 6", (Field("ADDRESS", 0, 32),), doc="receive descriptor start, high")
ETTHR = Register(
    "ETTHR", 0xEC, "RTL8139C+ 6", (Field("ETTH", 0, 6, doc="in units of 32 bytes"),), width=8,
    doc="early transmit threshold of C+ mode",
)  # fmt: skip

CPLUS = (TDOKLADDR, TPPOLL, CPCR, RDSARL, RDSARH, ETTHR)

DTCCRL = Register(
    "DTCCRL", 0x10, "RTL8139C+ 6",
    (
        Field("CMD", 3, write="act", doc="dump the counters; 0 when that is done"),
        Field("ADDRESS", 6, 26, doc="on 64 bytes"),
    ),
    doc="dump tally counter command, low",
)  # fmt: skip
DTCCRH = Register("DTCCRH", 0x14, "RTL8139C+ 6", (Field("ADDRESS", 0, 32),), doc="dump tally counter command, high")
TNPDSL = Register(
    "TNPDSL", 0x20, "RTL8139C+ 6", (Field("ADDRESS", 8, 24),),
    doc="transmit normal priority descriptor start, low; on 256 bytes",
)  # fmt: skip
TNPDSH = Register("TNPDSH", 0x24, "RTL8139C+ 6", (Field("ADDRESS", 0, 32),), doc="the same, high")
THPDSL = Register(
    "THPDSL", 0x28, "RTL8139C+ 6", (Field("ADDRESS", 8, 24),),
    doc="transmit high priority descriptor start, low; on 256 bytes",
)  # fmt: skip
THPDSH = Register("THPDSH", 0x2C, "RTL8139C+ 6", (Field("ADDRESS", 0, 32),), doc="the same, high")

CPLUS_OVERLAY = (DTCCRL, DTCCRH, TNPDSL, TNPDSH, THPDSL, THPDSH)
