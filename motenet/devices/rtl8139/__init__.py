"""The Realtek RTL8139C and RTL8139C+."""

from motenet.devices.rtl8139.card import Rtl8139

__all__ = ["Rtl8139"]
