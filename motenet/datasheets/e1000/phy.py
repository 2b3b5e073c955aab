"""The 82540EM's internal PHY, an M88E1011 (8254x 13.4.7.1; IEEE 802.3 22.2.4). Offsets are MDIO register numbers."""

from motenet.datasheets.registers import Field, Register, RegisterMap

PHY_ADDRESS = 1
"""The internal PHY's MDIO address (8254x 13.4.7)."""


def _all(name: str, number: int, *, reset: int = 0, ro: bool = False, doc: str = "") -> Register:
    field = Field(name, 0, 16, write="ignore" if ro else "store")
    return Register(name, number, "8254x 13.4.7.1", (field,), reset=reset, width=16, doc=doc)


BMCR = Register(
    "BMCR", 0, "IEEE 802.3 22.2.4.1; 8254x PCTRL",
    (
        Field("SPEED_MSB", 6, doc="with SPEED_LSB: 0: 10, 1: 100, 2: 1000 Mbit/s"),
        Field("COLLISION_TEST", 7),
        Field("DUPLEX", 8, doc="1: full"),
        Field("RESTART_AN", 9, read="zero", write="act", doc="restart auto-negotiation; clears itself"),
        Field("ISOLATE", 10),
        Field("POWER_DOWN", 11),
        Field("AN_ENABLE", 12, doc="auto-negotiation enable"),
        Field("SPEED_LSB", 13),
        Field("LOOPBACK", 14, doc="what is sent comes back"),
        Field("RESET", 15, read="zero", write="act", doc="PHY reset; clears itself"),
    ),
    reset=0x1140, width=16,
    doc="control",
)  # fmt: skip

BMSR = Register(
    "BMSR", 1, "IEEE 802.3 22.2.4.2; 8254x PSTATUS",
    (
        Field("EXTENDED_CAPABILITY", 0, write="ignore"),
        Field("JABBER", 1, write="ignore"),
        Field("LINK", 2, write="ignore", doc="link up; latches low until read"),
        Field("AN_ABILITY", 3, write="ignore"),
        Field("REMOTE_FAULT", 4, write="ignore"),
        Field("AN_COMPLETE", 5, write="ignore"),
        Field("PREAMBLE_SUPPRESSION", 6, write="ignore"),
        Field("EXTENDED_STATUS", 8, write="ignore"),
        Field("CAN_100T2_HD", 9, write="ignore"),
        Field("CAN_100T2_FD", 10, write="ignore"),
        Field("CAN_10T_HD", 11, write="ignore"),
        Field("CAN_10T_FD", 12, write="ignore"),
        Field("CAN_100X_HD", 13, write="ignore"),
        Field("CAN_100X_FD", 14, write="ignore"),
        Field("CAN_100T4", 15, write="ignore"),
    ),
    reset=0x7949, width=16,
    doc="status",
)  # fmt: skip

PHYID1 = _all("PHYID1", 2, reset=0x0141, ro=True, doc="Marvell's identifier")
PHYID2 = _all("PHYID2", 3, reset=0x0C20, ro=True, doc="M88E1011, revision 0")
ANAR = _all("ANAR", 4, reset=0x0DE1, doc="advertisement: 10 and 100, half and full duplex, pause both ways")
ANLPAR = _all("ANLPAR", 5, ro=True, doc="the link partner's abilities")
ANER = _all("ANER", 6, reset=0x0004, ro=True, doc="auto-negotiation expansion")
NPT = _all("NPT", 7, reset=0x2001, doc="next page transmit")
LPN = _all("LPN", 8, ro=True, doc="the link partner's next page")
GCON = Register(
    "GCON", 9, "IEEE 802.3 40.5.1.1; 8254x GCON",
    (
        Field("RESERVED", 0, 8),
        Field("ADV_1000T_HD", 8),
        Field("ADV_1000T_FD", 9),
        Field("PORT_TYPE", 10),
        Field("MASTER", 11),
        Field("MANUAL_MASTER", 12),
        Field("TEST_MODE", 13, 3),
    ),
    reset=0x0E00, width=16,
    doc="1000BASE-T control",
)  # fmt: skip
GSTATUS = Register(
    "GSTATUS", 10, "IEEE 802.3 40.5.1.1; 8254x GSTATUS",
    (
        Field("IDLE_ERRORS", 0, 8, read="clear", write="ignore"),
        Field("LP_1000T_HD", 10, write="ignore"),
        Field("LP_1000T_FD", 11, write="ignore"),
        Field("REMOTE_RECEIVER", 12, write="ignore", doc="the partner's receiver is well"),
        Field("LOCAL_RECEIVER", 13, write="ignore", doc="our receiver is well"),
        Field("MASTER", 14, write="ignore"),
        Field("MASTER_FAULT", 15, write="ignore"),
    ),
    width=16,
    doc="1000BASE-T status",
)  # fmt: skip
ESTATUS = _all("ESTATUS", 15, reset=0x3000, ro=True, doc="extended status: 1000BASE-T, half and full duplex")
PSCON = _all("PSCON", 16, reset=0x0360, doc="M88 specific control: automatic crossover, energy detect")
PSSTAT = Register(
    "PSSTAT", 17, "8254x PSSTAT",
    (
        Field("JABBER", 0, write="ignore"),
        Field("POLARITY", 1, write="ignore"),
        Field("RX_PAUSE", 2, write="ignore"),
        Field("TX_PAUSE", 3, write="ignore"),
        Field("ENERGY_DETECT", 4, write="ignore", doc="1: asleep"),
        Field("DOWNSHIFT", 5, write="ignore"),
        Field("MDIX", 6, write="ignore"),
        Field("CABLE_LENGTH", 7, 3, write="ignore"),
        Field("LINK", 10, write="ignore", doc="link up, this very moment"),
        Field("RESOLVED", 11, write="ignore", doc="speed and duplex are resolved"),
        Field("PAGE_RECEIVED", 12, write="ignore"),
        Field("DUPLEX", 13, write="ignore", doc="1: full"),
        Field("SPEED", 14, 2, write="ignore", doc="0: 10, 1: 100, 2: 1000 Mbit/s"),
    ),
    width=16,
    doc="M88 specific status",
)  # fmt: skip
PINTE = _all("PINTE", 18, doc="PHY interrupt enable")
PINTS = Register(
    "PINTS", 19, "8254x PINTS", (Field("CAUSES", 0, 16, read="clear", write="ignore"),), width=16,
    doc="PHY interrupt status; cleared by reading",
)  # fmt: skip
EPSCON = _all("EPSCON", 20, reset=0x0D60, doc="M88 extended specific control")
PREC = Register(
    "PREC", 21, "8254x PREC", (Field("COUNT", 0, 16, read="clear", write="ignore"),), width=16,
    doc="receive errors; cleared by reading",
)  # fmt: skip
PAGE_SELECT = _all("PAGE_SELECT", 29, doc="page of register 30")
PAGE_DATA = _all("PAGE_DATA", 30, doc="the register behind PAGE_SELECT")

PHY_REGISTERS = RegisterMap(
    "M88E1011", 33,
    (
        BMCR, BMSR, PHYID1, PHYID2, ANAR, ANLPAR, ANER, NPT, LPN, GCON, GSTATUS, ESTATUS,
        PSCON, PSSTAT, PINTE, PINTS, EPSCON, PREC, PAGE_SELECT, PAGE_DATA,
    ),
)  # fmt: skip
