"""What the silicon does: models of network cards, to be plugged into a machine's slot."""

from motenet.devices.e1000 import E1000

__all__ = ["E1000"]
