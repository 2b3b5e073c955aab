"""Receive registers and filters of the 82540EM (8254x 13.4.22 to 13.4.32, 13.4.46, 13.4.47, 13.5)."""

from motenet.datasheets.registers import Field, Register

RCTL = Register(
    "RCTL", 0x00100, "8254x 13.4.22",
    (
        Field("EN", 1, doc="receiver enable"),
        Field("SBP", 2, doc="store bad packets"),
        Field("UPE", 3, doc="unicast promiscuous"),
        Field("MPE", 4, doc="multicast promiscuous"),
        Field("LPE", 5, doc="long packets, up to 16384 bytes"),
        Field("LBM", 6, 2, doc="loopback mode; 0 with the internal PHY, 1 and 2 are undefined there"),
        Field("RDMTS", 8, 2, doc="RXDMT0 threshold: 0: 1/2, 1: 1/4, 2: 1/8 of the ring"),
        Field("MO", 12, 2, doc="multicast offset: 0: bits 47:36, 1: 46:35, 2: 45:34, 3: 43:32 of the address"),
        Field("BAM", 15, doc="broadcast accept"),
        Field("BSIZE", 16, 2, doc="buffer size 2048 >> BSIZE; with BSEX 32768 >> BSIZE (0 is not allowed)"),
        Field("VFE", 18, doc="VLAN filter enable"),
        Field("CFIEN", 19, doc="CFI enable: tagged frames must carry the CFI of bit 20"),
        Field("CFI", 20, doc="the CFI that is accepted"),
        Field("DPF", 22, doc="discard PAUSE frames"),
        Field("PMCF", 23, doc="pass MAC control frames"),
        Field("BSEX", 25, doc="buffer size extension: 16 times BSIZE"),
        Field("SECRC", 26, doc="strip the frame check sequence"),
    ),
    doc="receive control",
)  # fmt: skip

FCRTL = Register(
    "FCRTL", 0x02160, "8254x 13.4.23",
    (Field("RTL", 3, 13, doc="low water mark, 8 bytes"), Field("XONE", 31, doc="send XON")),
    doc="flow control receive threshold low",
)  # fmt: skip
FCRTH = Register(
    "FCRTH", 0x02168, "8254x 13.4.24",
    (Field("RTH", 3, 13, doc="high water mark, 8 bytes"),),
    doc="flow control receive threshold high",
)  # fmt: skip
RDBAL = Register(
    "RDBAL", 0x02800, "8254x 13.4.25",
    (Field("ZERO", 0, 4, read="zero", write="ignore", doc="the ring is 16-byte aligned"), Field("RDBAL", 4, 28)),
    doc="receive descriptor base low",
)  # fmt: skip
RDBAH = Register("RDBAH", 0x02804, "8254x 13.4.26", (Field("RDBAH", 0, 32),), doc="receive descriptor base high")
RDLEN = Register(
    "RDLEN", 0x02808, "8254x 13.4.27",
    (Field("ZERO", 0, 7, read="zero", write="ignore", doc="multiples of 128 bytes"), Field("LEN", 7, 13)),
    doc="receive descriptor ring's bytes",
)  # fmt: skip
RDH = Register("RDH", 0x02810, "8254x 13.4.28", (Field("RDH", 0, 16),), doc="receive descriptor head")
RDT = Register("RDT", 0x02818, "8254x 13.4.29", (Field("RDT", 0, 16),), doc="receive descriptor tail")
RDTR = Register(
    "RDTR", 0x02820, "8254x 13.4.30",
    (
        Field("DELAY", 0, 16, doc="packet timer for RXT0, 1.024 us"),
        Field("FPD", 31, read="zero", write="act", doc="flush partial descriptor block; clears itself"),
    ),
    doc="receive interrupt packet delay",
)  # fmt: skip
RXDCTL = Register(
    "RXDCTL", 0x02828, "8254x 13.4.46",
    (
        Field("PTHRESH", 0, 6, doc="prefetch threshold"),
        Field("HTHRESH", 8, 6, doc="host threshold"),
        Field("WTHRESH", 16, 6, doc="write-back threshold"),
        Field("GRAN", 24, doc="thresholds in 0: cache lines, 1: descriptors"),
    ),
    reset=0x00010000,
    doc="receive descriptor control",
)  # fmt: skip
RADV = Register(
    "RADV", 0x0282C, "8254x 13.4.31",
    (Field("DELAY", 0, 16, doc="absolute limit for RXT0, 1.024 us; 0: none"),),
    doc="receive interrupt absolute delay",
)  # fmt: skip
RSRPD = Register(
    "RSRPD", 0x02C00, "8254x 13.4.32",
    (Field("SIZE", 0, 12, doc="a received frame of at most so many bytes raises SRPD; 0: off"),),
    doc="receive small packet detect",
)  # fmt: skip
RXCSUM = Register(
    "RXCSUM", 0x05000, "8254x 13.4.47",
    (
        Field("PCSS", 0, 8, doc="packet checksum start"),
        Field("IPOFL", 8, doc="IPv4 header checksum off-load"),
        Field("TUOFL", 9, doc="TCP and UDP checksum off-load"),
        Field("IPV6OFL", 10, doc="the same for IPv6 (8254x 3.2.9.4)"),
    ),
    doc="receive checksum control",
)  # fmt: skip

MTA = Register("MTA", 0x05200, "8254x 13.5.1", (Field("BITS", 0, 32),), count=128, doc="multicast hash table")
RAL = Register("RAL", 0x05400, "8254x 13.5.2", (Field("RAL", 0, 32),), count=16, stride=8, doc="receive address low")
RAH = Register(
    "RAH", 0x05404, "8254x 13.5.3",
    (
        Field("RAH", 0, 16),
        Field("AS", 16, 2, doc="address select: 0: destination, 1: source"),
        Field("AV", 31, doc="address valid"),
    ),
    count=16, stride=8,
    doc="receive address high",
)  # fmt: skip
VFTA = Register("VFTA", 0x05600, "8254x 13.5.4", (Field("BITS", 0, 32),), count=128, doc="VLAN filter table")

RECEIVE = (
    RCTL, FCRTL, FCRTH, RDBAL, RDBAH, RDLEN, RDH, RDT, RDTR, RXDCTL, RADV, RSRPD, RXCSUM, MTA, RAL, RAH, VFTA,
)  # fmt: skip
