"""What software does to the silicon: drivers that implement doors.NetworkDriver."""

from motenet.drivers.e1000 import E1000Driver

__all__ = ["E1000Driver"]
