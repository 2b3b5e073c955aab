"""What software does to the silicon: drivers that implement doors.NetworkDriver."""

from motenet.drivers.e1000 import E1000Driver
from motenet.drivers.rtl8139 import Rtl8139CpDriver, Rtl8139Driver
from motenet.drivers.virtio import VirtioNetDriver

__all__ = ["E1000Driver", "Rtl8139CpDriver", "Rtl8139Driver", "VirtioNetDriver"]
