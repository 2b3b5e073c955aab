"""General and interrupt registers of the 82540EM (8254x Software Developer's Manual 317453-006, 13.4.1 to 13.4.21).

Bits that the manual gives to other members of the family only are left out: they are reserved here.
"""

from motenet.datasheets.registers import Field, Register

CTRL = Register(
    "CTRL", 0x00000, "8254x 13.4.1",
    (
        Field("FD", 0, doc="full duplex; counts only while FRCDPLX is set"),
        Field("ASDE", 5, doc="auto-speed detection"),
        Field("SLU", 6, doc="set link up: lets the MAC see the PHY's link"),
        Field("ILOS", 7, doc="invert loss of signal; must be 0 with the internal PHY"),
        Field("SPEED", 8, 2, doc="0: 10, 1: 100, 2 and 3: 1000 Mbit/s; counts only while FRCSPD is set"),
        Field("FRCSPD", 11, doc="force speed"),
        Field("FRCDPLX", 12, doc="force duplex"),
        Field("SDP0_DATA", 18, doc="software definable pin 0"),
        Field("SDP1_DATA", 19, doc="software definable pin 1"),
        Field("ADVD3WUC", 20, doc="D3cold wakeup capability advertised"),
        Field("EN_PHY_PWR_MGMT", 21, doc="PHY power management"),
        Field("SDP0_IODIR", 22, doc="pin 0 is an output"),
        Field("SDP1_IODIR", 23, doc="pin 1 is an output"),
        Field("RST", 26, read="zero", write="act", doc="device reset; clears itself"),
        Field("RFCE", 27, doc="receive flow control: heed PAUSE frames"),
        Field("TFCE", 28, doc="transmit flow control: send PAUSE frames"),
        Field("VME", 30, doc="VLAN mode: strip and insert tags"),
        Field("PHY_RST", 31, doc="holds the PHY in reset while set"),
    ),
    reset=0x00000A01,
    doc="device control",
)  # fmt: skip

STATUS = Register(
    "STATUS", 0x00008, "8254x 13.4.2",
    (
        Field("FD", 0, write="ignore", doc="full duplex, as resolved"),
        Field("LU", 1, write="ignore", doc="link up"),
        Field("FUNCTION_ID", 2, 2, write="ignore", doc="0: the only function"),
        Field("TXOFF", 4, write="ignore", doc="transmission paused by flow control"),
        Field("TBIMODE", 5, write="ignore", doc="0: internal PHY"),
        Field("SPEED", 6, 2, write="ignore", doc="as resolved: 0: 10, 1: 100, 2: 1000 Mbit/s"),
        Field("ASDV", 8, 2, write="ignore", doc="auto-speed detection's value"),
        Field("MTXCKOK", 10, write="ignore", doc="the PHY's transmit clock runs"),
        Field("PCI66", 11, write="ignore", doc="the bus runs at 66 MHz"),
        Field("BUS64", 12, write="ignore", doc="64-bit bus"),
        Field("PCIX_MODE", 13, write="ignore", doc="PCI-X bus"),
        Field("PCIXSPD", 14, 2, write="ignore", doc="PCI-X speed"),
    ),
    reset=0x00000400,
    doc="device status",
)  # fmt: skip

EECD = Register(
    "EECD", 0x00010, "8254x 13.4.3",
    (
        Field("SK", 0, doc="clock to the EEPROM"),
        Field("CS", 1, doc="chip select"),
        Field("DI", 2, doc="data into the EEPROM"),
        Field("DO", 3, write="ignore", doc="data out of the EEPROM"),
        Field("FWE", 4, 2, doc="flash write enable: 1 disabled, 2 enabled"),
        Field("EE_REQ", 6, doc="software asks for the EEPROM"),
        Field("EE_GNT", 7, write="ignore", doc="software has the EEPROM"),
        Field("EE_PRES", 8, write="ignore", doc="an EEPROM with a good signature is present"),
        Field("EE_SIZE", 9, write="ignore", doc="0: 64 words (93C46), 1: 256 words (93C66)"),
    ),
    reset=0x00000110,
    doc="EEPROM and flash control and data",
)  # fmt: skip

EERD = Register(
    "EERD", 0x00014, "8254x 13.4.4",
    (
        Field("START", 0, read="zero", write="act", doc="start reading the word at ADDR"),
        Field("DONE", 4, write="ignore", doc="DATA is valid"),
        Field("ADDR", 8, 8, doc="word address"),
        Field("DATA", 16, 16, write="ignore", doc="the word read"),
    ),
    doc="EEPROM read",
)  # fmt: skip

CTRL_EXT = Register(
    "CTRL_EXT", 0x00018, "8254x 13.4.6",
    (
        Field("GPI_EN", 0, 4, doc="general purpose interrupt enables; bit 2: SDP6, bit 3: SDP7"),
        Field("PHYINT", 5, write="ignore", doc="the PHY's interrupt, read-only"),
        Field("SDP6_DATA", 6),
        Field("SDP7_DATA", 7),
        Field("SDP6_IODIR", 10),
        Field("SDP7_IODIR", 11),
        Field("ASDCHK", 12, read="zero", write="act", doc="start an auto-speed check; clears itself"),
        Field("EE_RST", 13, read="zero", write="act", doc="reload the EEPROM's words; clears itself"),
        Field("IPS", 14, doc="invert power state"),
        Field("SPD_BYPS", 15, doc="speed select bypass"),
        Field("RO_DIS", 17, doc="relaxed ordering disabled"),
        Field("VREG_POWER_DOWN", 21),
        Field("LINK_MODE", 22, 2, doc="0: internal PHY (GMII)"),
    ),
    doc="extended device control",
)  # fmt: skip

MDIC = Register(
    "MDIC", 0x00020, "8254x 13.4.7",
    (
        Field("DATA", 0, 16),
        Field("REGADD", 16, 5, doc="PHY register"),
        Field("PHYADD", 21, 5, doc="PHY address; the internal one is 1"),
        Field("OP", 26, 2, doc="1: write, 2: read"),
        Field("R", 28, doc="ready: written 0 by software, set at the end of the transaction"),
        Field("I", 29, doc="interrupt (MDAC) at the end"),
        Field("E", 30, doc="error: no PHY answered; reset by software"),
    ),
    reset=0x10000000,
    doc="MDI control: the way to the PHY's registers",
)  # fmt: skip

FCAL = Register("FCAL", 0x00028, "8254x 13.4.8", (Field("FCAL", 0, 32),), doc="flow control address low")
FCAH = Register("FCAH", 0x0002C, "8254x 13.4.9", (Field("FCAH", 0, 16),), doc="flow control address high")
FCT = Register("FCT", 0x00030, "8254x 13.4.10", (Field("FCT", 0, 16),), doc="flow control type")
VET = Register("VET", 0x00038, "8254x 13.4.11", (Field("VET", 0, 16),), doc="VLAN EtherType; 0x8100 must be written")
FCTTV = Register("FCTTV", 0x00170, "8254x 13.4.12", (Field("TTV", 0, 16),), doc="PAUSE timer value, 512 bit times")

TXCW = Register(
    "TXCW", 0x00178, "8254x 13.4.13",
    (Field("TXCONFIGWORD", 0, 16), Field("TXCONFIG", 30), Field("ANE", 31)),
    doc="transmit configuration word; without effect with the internal PHY",
)  # fmt: skip

RXCW = Register(
    "RXCW", 0x00180, "8254x 13.4.14",
    (
        Field("RXCONFIGWORD", 0, 16, write="ignore"),
        Field("RXNOCARRIER", 26, write="ignore"),
        Field("RXINVALID", 27, write="ignore"),
        Field("RXCHANGE", 28, write="ignore"),
        Field("RXCONFIG", 29, write="ignore"),
        Field("RXSYNC", 30, write="ignore"),
        Field("ANC", 31, write="ignore"),
    ),
    doc="receive configuration word; without effect with the internal PHY",
)  # fmt: skip

LEDCTL = Register(
    "LEDCTL", 0x00E00, "8254x 13.4.15",
    tuple(
        field
        for led in range(4)
        for field in (
            Field(f"LED{led}_MODE", 8 * led, 4),
            Field(f"LED{led}_BLINK_MODE", 8 * led + 5),
            Field(f"LED{led}_IVRT", 8 * led + 6),
            Field(f"LED{led}_BLINK", 8 * led + 7),
        )
    ),
    reset=0x07068302,
    doc="LED control: link up, activity (blinking), 100 and 1000 Mbit/s by default",
)  # fmt: skip

PBA = Register(
    "PBA", 0x01000, "8254x 13.4.16",
    (
        Field("RXA", 0, 7, doc="KiB of the packet buffer for receive, a multiple of 8"),
        Field("TXA", 16, 16, write="ignore", doc="KiB for transmit: 64 - RXA"),
    ),
    reset=0x00100030,
    doc="packet buffer allocation",
)  # fmt: skip

_CAUSES = (
    ("TXDW", 0, 1, "transmit descriptor written back"),
    ("TXQE", 1, 1, "transmit queue empty"),
    ("LSC", 2, 1, "link status change"),
    ("RXSEQ", 3, 1, "receive sequence error; never raised with the internal PHY"),
    ("RXDMT0", 4, 1, "receive descriptors at their minimum threshold"),
    ("RSV5", 5, 1, "reserved on paper; settable on silicon: Linux's ethtool -t raises bits 0 to 9"),
    ("RXO", 6, 1, "receiver overrun"),
    ("RXT0", 7, 1, "receiver timer"),
    ("RSV8", 8, 1, "reserved on paper; settable on silicon: Linux's ethtool -t raises bits 0 to 9"),
    ("MDAC", 9, 1, "MDIO access complete"),
    ("RXCFG", 10, 1, "receiving /C/ ordered sets; never raised with the internal PHY"),
    ("RSV11", 11, 1, "reserved on paper"),
    ("PHYINT", 12, 1, "the PHY's interrupt"),
    ("GPI", 13, 2, "general purpose interrupts SDP6 and SDP7"),
    ("TXD_LOW", 15, 1, "transmit descriptors at their low threshold"),
    ("SRPD", 16, 1, "small receive packet detected"),
)

ICR = Register(
    "ICR", 0x000C0, "8254x 13.4.17",
    tuple(Field(name, lsb, width, read="clear", write="clear", doc=doc) for name, lsb, width, doc in _CAUSES),
    doc="interrupt causes; cleared by reading, and by writing ones",
)  # fmt: skip

ITR = Register(
    "ITR", 0x000C4, "8254x 13.4.18",
    (Field("INTERVAL", 0, 16, doc="least time between interrupts in units of 256 ns; 0: off"),),
    doc="interrupt throttling",
)  # fmt: skip

ICS = Register(
    "ICS", 0x000C8, "8254x 13.4.19",
    tuple(Field(name, lsb, width, write="set", doc=doc) for name, lsb, width, doc in _CAUSES),
    alias_of="ICR",
    doc="sets causes; write-only on paper, reads as ICR without clearing on silicon (VxWorks relies on it)",
)  # fmt: skip

IMS = Register(
    "IMS", 0x000D0, "8254x 13.4.20",
    tuple(Field(name, lsb, width, write="set", doc=doc) for name, lsb, width, doc in _CAUSES),
    doc="interrupt mask: ones enable, reads give the mask",
)  # fmt: skip

IMC = Register(
    "IMC", 0x000D8, "8254x 13.4.21",
    tuple(Field(name, lsb, width, read="zero", write="clear", doc=doc) for name, lsb, width, doc in _CAUSES),
    alias_of="IMS",
    doc="interrupt mask: ones disable",
)  # fmt: skip

GENERAL = (
    CTRL, STATUS, EECD, EERD, CTRL_EXT, MDIC, FCAL, FCAH, FCT, VET, FCTTV, TXCW, RXCW, LEDCTL, PBA,
    ICR, ITR, ICS, IMS, IMC,
)  # fmt: skip
