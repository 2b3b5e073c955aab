"""Transmit registers of the 82540EM (8254x 13.4.33 to 13.4.45)."""

from motenet.datasheets.registers import Field, Register

TCTL = Register(
    "TCTL", 0x00400, "8254x 13.4.33",
    (
        Field("EN", 1, doc="transmitter enable"),
        Field("PSP", 3, doc="pad short packets to 64 bytes"),
        Field("CT", 4, 8, doc="collision threshold"),
        Field("COLD", 12, 10, doc="collision distance, byte times"),
        Field("SWXOFF", 22, read="zero", write="act", doc="send a PAUSE frame; clears itself"),
        Field("RTLC", 24, doc="retransmit on late collision"),
    ),
    doc="transmit control",
)  # fmt: skip
TIPG = Register(
    "TIPG", 0x00410, "8254x 13.4.34",
    (
        Field("IPGT", 0, 10, doc="back-to-back gap; 10 for 802.3's 96 bit times"),
        Field("IPGR1", 10, 10, doc="8 for 802.3"),
        Field("IPGR2", 20, 10, doc="6 for 802.3"),
    ),
    doc="transmit inter-packet gap",
)  # fmt: skip
AIT = Register("AIT", 0x00458, "8254x 13.4.35", (Field("AIFS", 0, 16),), doc="adaptive inter-frame spacing throttle")
TXDMAC = Register(
    "TXDMAC", 0x03000, "8254x 13.4.42",
    (Field("DPP", 0, doc="packet prefetching disabled"),),
    doc="transmit DMA control",
)  # fmt: skip
TDBAL = Register(
    "TDBAL", 0x03800, "8254x 13.4.36",
    (Field("ZERO", 0, 4, read="zero", write="ignore", doc="the ring is 16-byte aligned"), Field("TDBAL", 4, 28)),
    doc="transmit descriptor base low",
)  # fmt: skip
TDBAH = Register("TDBAH", 0x03804, "8254x 13.4.37", (Field("TDBAH", 0, 32),), doc="transmit descriptor base high")
TDLEN = Register(
    "TDLEN", 0x03808, "8254x 13.4.38",
    (Field("ZERO", 0, 7, read="zero", write="ignore", doc="multiples of 128 bytes"), Field("LEN", 7, 13)),
    doc="transmit descriptor ring's bytes",
)  # fmt: skip
TDH = Register("TDH", 0x03810, "8254x 13.4.39", (Field("TDH", 0, 16),), doc="transmit descriptor head")
TDT = Register("TDT", 0x03818, "8254x 13.4.40", (Field("TDT", 0, 16),), doc="transmit descriptor tail")
TIDV = Register(
    "TIDV", 0x03820, "8254x 13.4.41",
    (Field("IDV", 0, 16, doc="delay of TXDW for descriptors with IDE, 1.024 us"),),
    doc="transmit interrupt delay value",
)  # fmt: skip
TXDCTL = Register(
    "TXDCTL", 0x03828, "8254x 13.4.43",
    (
        Field("PTHRESH", 0, 6, doc="prefetch threshold"),
        Field("HTHRESH", 8, 6, doc="host threshold"),
        Field("WTHRESH", 16, 6, doc="write-back threshold"),
        Field("GRAN", 24, doc="thresholds in 0: cache lines, 1: descriptors"),
        Field("LWTHRESH", 25, 7, doc="TXD_LOW threshold, 8 descriptors"),
    ),
    doc="transmit descriptor control",
)  # fmt: skip
TADV = Register(
    "TADV", 0x0382C, "8254x 13.4.44",
    (Field("IDV", 0, 16, doc="absolute limit of TXDW's delay, 1.024 us; 0: none"),),
    doc="transmit absolute interrupt delay value",
)  # fmt: skip
TSPMT = Register(
    "TSPMT", 0x03830, "8254x 13.4.45",
    (
        Field("TSMT", 0, 16, doc="minimum threshold, bytes"),
        Field("TSPBP", 16, 16, doc="packet buffer padding, bytes"),
    ),
    reset=0x01000400,
    doc="TCP segmentation pad and minimum threshold",
)  # fmt: skip

TRANSMIT = (TCTL, TIPG, AIT, TXDMAC, TDBAL, TDBAH, TDLEN, TDH, TDT, TIDV, TXDCTL, TADV, TSPMT)
