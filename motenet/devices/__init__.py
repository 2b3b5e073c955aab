"""What the silicon does: models of network cards, to be plugged into a machine's slot."""

from motenet.devices.e1000 import E1000
from motenet.devices.rtl8139 import Rtl8139
from motenet.devices.virtio import VirtioNet

__all__ = ["E1000", "Rtl8139", "VirtioNet"]
