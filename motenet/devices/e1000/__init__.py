"""The Intel 82540EM."""

from motenet.devices.e1000.card import E1000

__all__ = ["E1000"]
