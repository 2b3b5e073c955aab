"""Addresses, ring pointers, commands and interrupts of the RTL8139 (RTL8139C 5.1 to 5.8)."""

from motenet.datasheets.registers import Field, Register

IDR0 = Register(
    "IDR0", 0x00, "RTL8139C 5", (Field("IDR0_3", 0, 32),),
    doc="bytes 0 to 3 of the station's address; loaded from the EEPROM, written in config write mode",
)  # fmt: skip
IDR4 = Register("IDR4", 0x04, "RTL8139C 5", (Field("IDR4_5", 0, 16),), doc="bytes 4 and 5 of the station's address")
MAR = Register("MAR", 0x08, "RTL8139C 5", (Field("HASH", 0, 32),), count=2, doc="multicast hash table, bits 0 to 63")

TSD = Register(
    "TSD", 0x10, "RTL8139C 5.2",
    (
        Field("SIZE", 0, 13, doc="bytes to send"),
        Field("OWN", 13, doc="1: the DMA is done, and the slot is the driver's; written 0 to send"),
        Field("TUN", 14, write="ignore", doc="the FIFO ran empty during transmission"),
        Field("TOK", 15, write="ignore", doc="sent, without underrun"),
        Field("ERTXTH", 16, 6, doc="early transmit threshold: 0 is 8 bytes, n is 32 * n bytes"),
        Field("NCC", 24, 4, write="ignore", doc="number of collisions"),
        Field("CDH", 28, write="ignore", doc="heart beat failed; 10 Mbit/s only"),
        Field("OWC", 29, write="ignore", doc="out-of-window collision"),
        Field("TABT", 30, write="ignore", doc="aborted"),
        Field("CRS", 31, write="ignore", doc="carrier lost during transmission"),
    ),
    reset=0x00002000, count=4,
    doc="transmit status of a descriptor (C mode)",
)  # fmt: skip

TSAD = Register(
    "TSAD", 0x20, "RTL8139C 5", (Field("ADDRESS", 0, 32),), count=4,
    doc="transmit start address of a descriptor (C mode); on a dword",
)  # fmt: skip

RBSTART = Register("RBSTART", 0x30, "RTL8139C 5", (Field("ADDRESS", 0, 32),), doc="receive ring's address (C mode)")
ERBCR = Register(
    "ERBCR", 0x34, "RTL8139C 5", (Field("COUNT", 0, 16, write="ignore"),), width=16,
    doc="early receive byte count",
)  # fmt: skip

ERSR = Register(
    "ERSR", 0x36, "RTL8139C 5.3",
    (
        Field("EROK", 0, write="ignore", doc="the early threshold is passed; cleared when the packet is whole"),
        Field("EROVW", 1, write="clear", doc="the local pointer met CAPR"),
        Field("ERBAD", 2, write="clear", doc="a packet that had begun early is bad"),
        Field("ERGOOD", 3, write="clear", doc="a packet that had begun early is good"),
    ),
    width=8,
    doc="early receive status",
)  # fmt: skip

CR = Register(
    "CR", 0x37, "RTL8139C 5.4",
    (
        Field("BUFE", 0, write="ignore", doc="the receive ring is empty"),
        Field("TE", 2, doc="transmitter enable"),
        Field("RE", 3, doc="receiver enable"),
        Field("RST", 4, write="act", doc="software reset; 1 while it lasts"),
    ),
    reset=0x01, width=8,
    doc="command",
)  # fmt: skip

CAPR = Register(
    "CAPR", 0x38, "RTL8139C 5", (Field("POINTER", 0, 16),), reset=0xFFF0, width=16,
    doc="current address of packet read: where the driver goes on reading, less 16",
)  # fmt: skip
CBR = Register(
    "CBR", 0x3A, "RTL8139C 5", (Field("POINTER", 0, 16, write="ignore"),), width=16,
    doc="current buffer address: where the card goes on writing",
)  # fmt: skip

_CAUSES = (
    ("ROK", 0, "a packet is received"),
    ("RER", 1, "a packet with CRC or alignment error is received"),
    ("TOK", 2, "a packet is sent"),
    ("TER", 3, "a transmission was aborted"),
    ("RXOVW", 4, "the receive ring is full; C+ mode: no receive descriptor (RDU)"),
    ("PUN_LINKCHG", 5, "CAPR was written while the ring was empty, or the link has changed"),
    ("FOVW", 6, "the receive FIFO overflowed"),
    ("TDU", 7, "RTL8139C+: no transmit descriptor"),
    ("SWINT", 8, "RTL8139C+: TPPOLL.FSWINT was written"),
    ("LENCHG", 13, "the cable's length has changed"),
    ("TIMEOUT", 14, "TCTR has reached TIMERINT"),
    ("SERR", 15, "system error on the PCI bus"),
)

IMR = Register(
    "IMR", 0x3C, "RTL8139C 5.5", tuple(Field(name, lsb, doc=doc) for name, lsb, doc in _CAUSES), width=16,
    doc="interrupt mask: ones enable",
)  # fmt: skip
ISR = Register(
    "ISR", 0x3E, "RTL8139C 5.6", tuple(Field(name, lsb, write="clear", doc=doc) for name, lsb, doc in _CAUSES),
    width=16,
    doc="interrupt status: writing ones clears. Reading does not, whatever 5.6 says: every driver writes",
)  # fmt: skip

HWVERID_C = 0x74000000
"""TCR's HWVERID_A 11101b, HWVERID_B 00b (RTL8139C 5.7)."""
HWVERID_CPLUS = 0x74800000
"""HWVERID_A 11101b, HWVERID_B 10b."""

TCR = Register(
    "TCR", 0x40, "RTL8139C 5.7",
    (
        Field("CLRABT", 0, read="zero", write="act", doc="send the aborted packet again"),
        Field("TXRR", 4, 4, doc="retries: 16 * (TXRR + 1)"),
        Field("MXDMA", 8, 3, doc="largest DMA burst: 16 << MXDMA bytes"),
        Field("CRC", 16, doc="1: no FCS is appended"),
        Field("LBK", 17, 2, doc="3: loopback"),
        Field("IFG2", 19, doc="RTL8139C+: interframe gap, third bit"),
        Field("HWVERID_B", 22, 2, write="ignore"),
        Field("IFG", 24, 2, doc="interframe gap; 3: 9.6 us at 10 Mbit/s, as IEEE 802.3 wants"),
        Field("HWVERID_A", 26, 5, write="ignore"),
    ),
    reset=HWVERID_C,
    doc="transmit configuration; written while CR.TE is set",
)  # fmt: skip

RCR = Register(
    "RCR", 0x44, "RTL8139C 5.8",
    (
        Field("AAP", 0, doc="accept all packets to a physical address"),
        Field("APM", 1, doc="accept physical match: our own address"),
        Field("AM", 2, doc="accept multicast, by MAR"),
        Field("AB", 3, doc="accept broadcast"),
        Field("AR", 4, doc="accept runts of 8 to 63 bytes"),
        Field("AER", 5, doc="accept packets with errors"),
        Field("9356SEL", 6, write="ignore", doc="0: the EEPROM is a 93C46"),
        Field("WRAP", 7, doc="1: the packet at the ring's end goes on behind it; without effect on 64 KiB"),
        Field("MXDMA", 8, 3, doc="largest DMA burst: 16 << MXDMA bytes; 7: unlimited"),
        Field("RBLEN", 11, 2, doc="ring: (8 << RBLEN) KiB + 16 bytes"),
        Field("RXFTH", 13, 3, doc="FIFO threshold: 16 << RXFTH bytes; 7: the whole packet"),
        Field("RER8", 16, doc="error packets from 8 bytes on, not from 64"),
        Field("MULERINT", 17, doc="early interrupt for unknown protocols"),
        Field("ERTH", 24, 4, doc="early receive threshold in sixteenths of the packet; 0: none"),
    ),
    doc="receive configuration; written while CR.RE is set",
)  # fmt: skip

TCTR = Register(
    "TCTR", 0x48, "RTL8139C 5", (Field("COUNT", 0, 32, write="act"),),
    doc="timer: counts PCI clocks; writing anything starts it from 0",
)  # fmt: skip
MPC = Register(
    "MPC", 0x4C, "RTL8139C 5", (Field("COUNT", 0, 24, write="act"),),
    doc="packets missed for want of FIFO space; writing anything clears it",
)  # fmt: skip

TIMER_HZ = 33_333_333
"""TCTR's clock: PCI's, of 30 ns."""

COMMAND = (
    IDR0, IDR4, MAR, TSD, TSAD, RBSTART, ERBCR, ERSR, CR, CAPR, CBR, IMR, ISR, TCR, RCR, TCTR, MPC,
)  # fmt: skip
