"""The RTL8139's PHY, whose registers lie in the card's own space (RTL8139C 5.18 to 5.27)."""

from dataclasses import replace

from motenet.datasheets.registers import Field, Register, RegisterMap

BMCR = Register(
    "BMCR", 0x62, "RTL8139C 5.18",
    (
        Field("DUPLEX", 8, doc="full duplex; read while ANE is set: as negotiated"),
        Field("RESTART_AN", 9, read="zero", write="act"),
        Field("ANE", 12, doc="auto-negotiation"),
        Field("SPEED", 13, doc="100 Mbit/s; counts while ANE is 0"),
        Field("RESET", 15, read="zero", write="act", doc="PHY reset; clears itself"),
    ),
    reset=0x1000, width=16,
    doc="basic mode control; DUPLEX, ANE and SPEED are written in config write mode",
)  # fmt: skip

BMSR = Register(
    "BMSR", 0x64, "RTL8139C 5.19",
    (
        Field("EXTENDED", 0, write="ignore"),
        Field("JABBER", 1, write="ignore"),
        Field("LINK", 2, write="ignore", doc="link up; latches low until read"),
        Field("AN_ABLE", 3, write="ignore"),
        Field("REMOTE_FAULT", 4, write="ignore"),
        Field("AN_COMPLETE", 5, write="ignore"),
        Field("10T_HD", 11, write="ignore"),
        Field("10T_FD", 12, write="ignore"),
        Field("100TX_HD", 13, write="ignore"),
        Field("100TX_FD", 14, write="ignore"),
        Field("100T4", 15, write="ignore"),
    ),
    reset=0x7809, width=16,
    doc="basic mode status",
)  # fmt: skip

_ABILITIES = (
    ("SELECTOR", 0, 5), ("10", 5, 1), ("10FD", 6, 1), ("TX", 7, 1), ("TXFD", 8, 1), ("T4", 9, 1), ("PAUSE", 10, 1),
    ("RF", 13, 1), ("ACK", 14, 1), ("NP", 15, 1),
)  # fmt: skip

ANAR = Register(
    "ANAR", 0x66, "RTL8139C 5.20",
    tuple(
        Field(name, lsb, width, write="ignore" if name in ("ACK", "NP", "T4") else "store")
        for name, lsb, width in _ABILITIES
    ),
    reset=0x01E1, width=16,
    doc="auto-negotiation advertisement",
)  # fmt: skip
ANLPAR = Register(
    "ANLPAR", 0x68, "RTL8139C 5.21",
    tuple(Field(name, lsb, width, write="ignore") for name, lsb, width in _ABILITIES), width=16,
    doc="auto-negotiation: the link partner's abilities",
)  # fmt: skip
ANER = Register(
    "ANER", 0x6A, "RTL8139C 5.22",
    (
        Field("LP_NW_ABLE", 0, write="ignore"),
        Field("PAGE_RX", 1, write="ignore", doc="cleared by reading ANLPAR"),
        Field("NP_ABLE", 2, write="ignore"),
        Field("LP_NP_ABLE", 3, write="ignore"),
        Field("MLF", 4, write="ignore"),
    ),
    width=16,
    doc="auto-negotiation expansion",
)  # fmt: skip
DIS = Register(
    "DIS", 0x6C, "RTL8139C 5.23", (Field("DCNT", 0, 16, read="clear", write="ignore"),), width=16,
    doc="disconnections; cleared by reading",
)  # fmt: skip
FCSC = Register(
    "FCSC", 0x6E, "RTL8139C 5.24", (Field("FCSCNT", 0, 16, read="clear", write="ignore"),), width=16,
    doc="false carriers; cleared by reading",
)  # fmt: skip
NWAYTR = Register(
    "NWAYTR", 0x70, "RTL8139C 5.25",
    (
        Field("FLAGLSC", 0, write="ignore"),
        Field("FLAGPDF", 1, write="ignore"),
        Field("FLAGABD", 2, write="ignore"),
        Field("ENNWLE", 3),
        Field("NWLPBK", 7),
    ),
    width=16,
    doc="NWay test",
)  # fmt: skip
REC = Register(
    "REC", 0x72, "RTL8139C 5.26", (Field("RXERCNT", 0, 16, read="clear", write="ignore"),), width=16,
    doc="receive errors; cleared by reading",
)  # fmt: skip
CSCR = Register(
    "CSCR", 0x74, "RTL8139C 5.27",
    (
        Field("PASS_SCR", 0, doc="bypass the scrambler"),
        Field("CON_STATUS_EN", 2),
        Field("CON_STATUS", 3, write="ignore", doc="connected"),
        Field("F_CONNECT", 5),
        Field("F_LINK_100", 6),
        Field("JBEN", 7, doc="jabber function"),
        Field("HEARTBEAT", 8),
        Field("LD", 9, doc="link disable, active low"),
        Field("LINK_OK", 10, write="ignore", doc="undocumented; Linux 8139too: the link is good"),
        Field("LINK_CHANGE", 11, read="clear", write="ignore", doc="undocumented; Linux 8139too: the link has changed"),
        Field("TESTFUN", 15, read="zero", write="act"),
    ),
    reset=0x03C0, width=16,
    doc="chip status and configuration",
)  # fmt: skip
PHY1_PARM = Register("PHY1_PARM", 0x78, "RTL8139C 5", (Field("PARM", 0, 32),), doc="PHY parameter 1")
TW_PARM = Register("TW_PARM", 0x7C, "RTL8139C 5", (Field("PARM", 0, 32),), doc="twister parameter")
PHY2_PARM = Register("PHY2_PARM", 0x80, "RTL8139C 5", (Field("PARM", 0, 8),), width=8, doc="PHY parameter 2")

PHY = (BMCR, BMSR, ANAR, ANLPAR, ANER, DIS, FCSC, NWAYTR, REC, CSCR, PHY1_PARM, TW_PARM, PHY2_PARM)

MANAGED = {0: BMCR, 1: BMSR, 4: ANAR, 5: ANLPAR, 6: ANER}
"""By the numbers that IEEE 802.3 22.2.4 gives them."""

PHY_REGISTERS = RegisterMap("RTL8139 PHY", 34, tuple(replace(reg, offset=number) for number, reg in MANAGED.items()))
"""The same registers as a PHY sees them, by number."""
