"""Wakeup, management and diagnostic registers of the 82540EM (8254x 13.6 and 13.8)."""

from motenet.datasheets.registers import Field, Register

WUC = Register(
    "WUC", 0x05800, "8254x 13.6.1",
    (
        Field("APME", 0, doc="advanced power management enable"),
        Field("PME_EN", 1, doc="PMCSR's PME_En"),
        Field("PME_STATUS", 2, write="clear", doc="PMCSR's PME_Status; ones clear"),
        Field("APMPME", 3, doc="assert PME# on APM wakeup"),
    ),
    doc="wakeup control",
)  # fmt: skip

_FILTERS = (("LNKC", 0), ("MAG", 1), ("EX", 2), ("MC", 3), ("BC", 4), ("ARP", 5), ("IPV4", 6), ("IPV6", 7),
            ("FLX0", 16), ("FLX1", 17), ("FLX2", 18), ("FLX3", 19))  # fmt: skip

WUFC = Register(
    "WUFC", 0x05808, "8254x 13.6.2",
    (*(Field(name, lsb) for name, lsb in _FILTERS), Field("NOTCO", 15, doc="ignore management packets")),
    doc="wakeup filter control",
)  # fmt: skip
WUS = Register(
    "WUS", 0x05810, "8254x 13.6.3",
    tuple(Field(name, lsb, write="clear") for name, lsb in _FILTERS),
    doc="wakeup status; ones clear",
)  # fmt: skip
MANC = Register(
    "MANC", 0x05820, "Linux e1000_hw.h; not in the public manual",
    (
        Field("SMBUS_EN", 0, write="ignore"),
        Field("ASF_EN", 1, write="ignore"),
        Field("R_ON_FORCE", 2, write="ignore"),
        Field("RMCP_EN", 8, doc="RMCP packets to port 0x26F go to the management engine"),
        Field("RMCP_298_EN", 9, doc="RMCP packets to port 0x298 go to the management engine"),
        Field("IPV4_EN", 10),
        Field("IPV6_EN", 11),
        Field("SNAP_EN", 12),
        Field("ARP_EN", 13, doc="ARP requests go to the management engine"),
        Field("NEIGHBOR_EN", 14),
        Field("ARP_RES_EN", 15),
        Field("TCO_RESET", 16),
        Field("RCV_TCO_EN", 17),
        Field("BLK_PHY_RST_ON_IDE", 18),
        Field("RCV_ALL", 19),
        Field("EN_MAC_ADDR_FILTER", 20),
        Field("EN_MNG2HOST", 21),
        Field("EN_IP_ADDR_FILTER", 22),
        Field("EN_XSUM_FILTER", 23),
        Field("SMBUS_PINS", 24, 6),
    ),
    doc="management control; the model has no management engine, and stores it",
)  # fmt: skip
IPAV = Register(
    "IPAV", 0x05838, "8254x 13.6.4",
    (*(Field(f"V4{index}", index) for index in range(4)), Field("V60", 16)),
    doc="IP addresses valid",
)  # fmt: skip
IP4AT = Register(
    "IP4AT", 0x05840, "8254x 13.6.5", (Field("ADDRESS", 0, 32),), count=4, stride=8, doc="IPv4 address table"
)  # fmt: skip
IP6AT = Register("IP6AT", 0x05880, "8254x 13.6.6", (Field("ADDRESS", 0, 32),), count=4, doc="IPv6 address table")
WUPL = Register(
    "WUPL", 0x05900, "8254x 13.6.7", (Field("LEN", 0, 12),), doc="wakeup packet's length; writable for diagnosis"
)  # fmt: skip
WUPM = Register(
    "WUPM", 0x05A00, "8254x 13.6.8", (Field("DATA", 0, 32),), count=32,
    doc="wakeup packet's start; writable for diagnosis",
)  # fmt: skip
FFLT = Register(
    "FFLT", 0x05F00, "8254x 13.6.9", (Field("LEN", 0, 11),), count=4, stride=8, doc="flexible filter lengths"
)  # fmt: skip
FFMT = Register(
    "FFMT", 0x09000, "8254x 13.6.10", (Field("MASK", 0, 4),), count=128, stride=8, doc="flexible filter masks"
)  # fmt: skip
FFVT = Register(
    "FFVT", 0x09800, "8254x 13.6.11", (Field("VALUE", 0, 32),), count=128, stride=8, doc="flexible filter values"
)  # fmt: skip


def _pointer(name: str, offset: int, clause: int, doc: str) -> Register:
    return Register(name, offset, f"8254x 13.8.{clause}", (Field(name, 0, 13),), doc=doc)


RDFH = _pointer("RDFH", 0x02410, 1, "receive data FIFO head, in 8 bytes")
RDFT = _pointer("RDFT", 0x02418, 2, "receive data FIFO tail, in 8 bytes")
RDFHS = _pointer("RDFHS", 0x02420, 3, "receive data FIFO head, saved")
RDFTS = _pointer("RDFTS", 0x02428, 4, "receive data FIFO tail, saved")
RDFPC = _pointer("RDFPC", 0x02430, 5, "packets in the receive data FIFO")
TDFH = _pointer("TDFH", 0x03410, 6, "transmit data FIFO head, in 8 bytes")
TDFT = _pointer("TDFT", 0x03418, 7, "transmit data FIFO tail, in 8 bytes")
TDFHS = _pointer("TDFHS", 0x03420, 8, "transmit data FIFO head, saved")
TDFTS = _pointer("TDFTS", 0x03428, 9, "transmit data FIFO tail, saved")
TDFPC = _pointer("TDFPC", 0x03430, 10, "packets in the transmit data FIFO")
PBM = Register(
    "PBM", 0x10000, "8254x 13.8.11", (Field("DATA", 0, 32),), count=16384, doc="the 64 KiB packet buffer"
)  # fmt: skip

WAKEUP = (WUC, WUFC, WUS, MANC, IPAV, IP4AT, IP6AT, WUPL, WUPM, FFLT, FFMT, FFVT)
DIAGNOSTICS = (RDFH, RDFT, RDFHS, RDFTS, RDFPC, TDFH, TDFT, TDFHS, TDFTS, TDFPC, PBM)
