"""The Realtek RTL8139C and RTL8139C+: registers, descriptors, EEPROM and configuration space, with their clauses.

Sources: RTL8139C(L) datasheet, revision 1.4 of 2002 ("RTL8139C"), and RTL8139C+ datasheet, version 1.6 ("RTL8139C+").
Where these are silent or wrong, what shipped drivers rely on is written down instead, and the doc says so.
"""

# ruff: noqa: F403, F405 - one namespace for a driver's and a model's imports

from dataclasses import replace

from motenet.datasheets.registers import RegisterMap
from motenet.datasheets.rtl8139.command import *
from motenet.datasheets.rtl8139.configuration import *
from motenet.datasheets.rtl8139.cplus import *
from motenet.datasheets.rtl8139.descriptors import *
from motenet.datasheets.rtl8139.phy import *
from motenet.datasheets.rtl8139.wakeup import *

SIZE = 256
"""Bytes of the register space: the I/O BAR and the memory BAR show the same (RTL8139C 5)."""

_COMMON = COMMAND + CONFIGURATION + PHY + WAKEUP

REGISTERS = RegisterMap("RTL8139C", SIZE, _COMMON)
"""All registers of the RTL8139C."""

_REPLACED = {
    "TCR": replace(TCR, reset=HWVERID_CPLUS),
    "RERID": replace(RERID, reset=0x20),
}

REGISTERS_CPLUS = RegisterMap(
    "RTL8139C+", SIZE, tuple(_REPLACED.get(register.name, register) for register in _COMMON) + CPLUS
)
"""All registers of the RTL8139C+, those of C mode at 10h to 2Fh."""

CPLUS_MODE = RegisterMap("RTL8139C+ in C+ mode", SIZE, CPLUS_OVERLAY)
"""What lies at 10h to 2Fh instead of TSD and TSAD while C+ mode is on."""
