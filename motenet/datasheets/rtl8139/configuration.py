"""EEPROM access, configuration and media registers of the RTL8139 (RTL8139C 5.9 to 5.17, 5.28, 5.29)."""

from motenet.datasheets.registers import Field, Register

CR9346 = Register(
    "9346CR", 0x50, "RTL8139C 5.9",
    (
        Field("EEDO", 0, write="ignore", doc="data out of the EEPROM"),
        Field("EEDI", 1, doc="data into the EEPROM"),
        Field("EESK", 2, doc="clock to the EEPROM"),
        Field("EECS", 3, doc="chip select"),
        Field("EEM", 6, 2, doc="mode: 0 normal, 1 autoload, 2 EEPROM programming, 3 config write enable"),
    ),
    width=8,
    doc="EEPROM and configuration lock",
)  # fmt: skip
EEM_NORMAL, EEM_AUTOLOAD, EEM_PROGRAMMING, EEM_CONFIG = 0, 1, 2, 3
"""9346CR.EEM (RTL8139C 5.9)."""

CONFIG0 = Register(
    "CONFIG0", 0x51, "RTL8139C 5.10",
    (
        Field("BS", 0, 3, write="ignore", doc="boot ROM: 0 none, n: 4 << n KiB"),
        Field("PL", 3, 2, write="ignore", doc="10 Mbit/s medium; always 10b"),
        Field("T10", 5, write="ignore", doc="always 0"),
        Field("PCS", 6, write="ignore", doc="always 0"),
        Field("SCR", 7, write="ignore", doc="always 0"),
    ),
    reset=0x10, width=8,
)  # fmt: skip

CONFIG1 = Register(
    "CONFIG1", 0x52, "RTL8139C 5.11",
    (
        Field("PMEN", 0, doc="power management is offered in configuration space"),
        Field("VPD", 1, doc="vital product data are offered in configuration space"),
        Field("IOMAP", 2, write="ignore", doc="registers are in I/O space"),
        Field("MEMMAP", 3, write="ignore", doc="registers are in memory space"),
        Field("LWACT", 4, doc="LWAKE's active level"),
        Field("DVRLOAD", 5, doc="a driver is loaded; for software only"),
        Field("LEDS", 6, 2),
    ),
    reset=0x8D, width=8,
)  # fmt: skip

TIMERINT = Register(
    "TIMERINT", 0x54, "RTL8139C 5", (Field("COUNT", 0, 32, doc="0: no timer interrupt"),),
    doc="TCTR's value that sets ISR.TIMEOUT",
)  # fmt: skip

MSR = Register(
    "MSR", 0x58, "RTL8139C 5.12",
    (
        Field("RXPF", 0, write="ignore", doc="transmission is paused by a PAUSE frame received"),
        Field("TXPF", 1, write="ignore", doc="the partner is paused by a PAUSE frame sent"),
        Field("LINKB", 2, write="ignore", doc="0: link"),
        Field("SPEED_10", 3, write="ignore", doc="1: 10 Mbit/s, 0: 100"),
        Field("AUX_STATUS", 4, write="ignore", doc="auxiliary power is present"),
        Field("RXFCE", 6, write="ignore", doc="receive flow control"),
        Field("TXFCE", 7, doc="transmit flow control"),
    ),
    reset=0x14, width=8,
    doc="media status",
)  # fmt: skip

CONFIG3 = Register(
    "CONFIG3", 0x59, "RTL8139C 5.13",
    (
        Field("FBTBEN", 0, write="ignore", doc="fast back to back"),
        Field("FUNCREGEN", 1, write="ignore", doc="CardBus function registers"),
        Field("CLKRUN_EN", 2, write="ignore"),
        Field("CARDB_EN", 3, write="ignore"),
        Field("LINKUP", 4, doc="wake up when the link comes up"),
        Field("MAGIC", 5, doc="wake up on a Magic Packet"),
        Field("PARM_EN", 6, doc="1: PHY1_PARM, PHY2_PARM and TW_PARM come from the EEPROM and are not written"),
        Field("GNTSEL", 7, write="ignore"),
    ),
    reset=0xC5, width=8,
)  # fmt: skip

CONFIG4 = Register(
    "CONFIG4", 0x5A, "RTL8139C 5.14",
    (
        Field("PBWAKEUP", 0, doc="pre-boot wakeup"),
        Field("LWPTN", 2, doc="LWAKE is a pulse"),
        Field("LWPME", 4, doc="LWAKE only with PME"),
        Field("LONGWF", 5, doc="long wakeup frames"),
        Field("ANAOFF", 6, doc="analog power off"),
        Field("RXFIFOAUTOCLR", 7, doc="an overflown FIFO clears itself"),
    ),
    reset=0x80, width=8,
)  # fmt: skip

HLTCLK = Register(
    "HLTCLK", 0x5B, "Linux 8139too", (Field("HLTCLK", 0, 8, read="zero"),), width=8,
    doc="wakes the older members of the family; undocumented, and drivers write 'R' to all of them",
)  # fmt: skip

MULINT = Register(
    "MULINT", 0x5C, "RTL8139C 5.15", (Field("MISR", 0, 12),), width=16, doc="length for early receive interrupts"
)  # fmt: skip
RERID = Register(
    "RERID", 0x5E, "RTL8139C 5.16", (Field("REVISION", 0, 8, write="ignore"),), reset=0x10, width=8,
    doc="PCI revision",
)  # fmt: skip

TSAD_ALL = Register(
    "TSAD_ALL", 0x60, "RTL8139C 5.17",
    (
        Field("OWN", 0, 4, write="ignore"),
        Field("TABT", 4, 4, write="ignore"),
        Field("TUN", 8, 4, write="ignore"),
        Field("TOK", 12, 4, write="ignore"),
    ),
    reset=0x000F, width=16,
    doc="transmit status of all descriptors, which the paper calls TSAD as well; descriptor 0 in each lowest bit",
)  # fmt: skip

FLASH = Register(
    "FLASH", 0xD4, "RTL8139C 5.28",
    (
        Field("MA", 0, 17, read="zero"),
        Field("SWRWEN", 17, read="zero"),
        Field("WEB", 18, read="zero"),
        Field("OEB", 19, read="zero"),
        Field("ROMCSB", 20, read="zero"),
        Field("MD", 24, 8),
    ),
    doc="flash memory's pins",
)  # fmt: skip

CONFIG5 = Register(
    "CONFIG5", 0xD8, "RTL8139C 5.29",
    (
        Field("PME_STS", 0, doc="RST# resets PMCSR's PME status"),
        Field("LANWAKE", 1),
        Field("LDPS", 2, doc="0: saves power while the link is down"),
        Field("FIFOADDRPTR", 3),
        Field("UWF", 4, doc="unicast wakeup frames"),
        Field("MWF", 5, doc="multicast wakeup frames"),
        Field("BWF", 6, doc="broadcast wakeup frames"),
    ),
    width=8,
    doc="not behind 9346CR's lock",
)  # fmt: skip

CONFIGURATION = (
    CR9346, CONFIG0, CONFIG1, TIMERINT, MSR, CONFIG3, CONFIG4, HLTCLK, MULINT, RERID, TSAD_ALL, FLASH, CONFIG5,
)  # fmt: skip
