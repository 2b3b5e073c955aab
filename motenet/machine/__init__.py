"""A computer: physical memory and DMA, PCI configuration space and BARs, register windows, interrupt delivery."""

from motenet.machine.machine import Machine
from motenet.machine.port import Medium, Port

__all__ = ["Machine", "Medium", "Port"]
