"""The driver of the Intel 82540EM."""

from motenet.drivers.e1000.driver import E1000Driver

__all__ = ["E1000Driver"]
