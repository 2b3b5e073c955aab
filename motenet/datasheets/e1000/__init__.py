"""The Intel 82540EM: registers, descriptors, EEPROM, PHY and configuration space, with the manual's clauses.

Source: PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual, 317453-006 ("8254x").
"""

# ruff: noqa: F403, F405 - one namespace for a driver's and a model's imports

from motenet.datasheets.e1000.descriptors import *
from motenet.datasheets.e1000.general import *
from motenet.datasheets.e1000.phy import *
from motenet.datasheets.e1000.receive import *
from motenet.datasheets.e1000.statistics import *
from motenet.datasheets.e1000.transmit import *
from motenet.datasheets.e1000.wakeup import *
from motenet.datasheets.registers import RegisterMap

REGISTERS = RegisterMap("82540EM", 128 << 10, GENERAL + RECEIVE + TRANSMIT + STATISTICS + WAKEUP + DIAGNOSTICS)
"""All registers of the memory space."""
