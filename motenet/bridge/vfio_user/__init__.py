"""A vfio-user server: a card of ours in the PCI slot of a guest that runs in QEMU 10.1 or later."""

from motenet.bridge.vfio_user.guest import Guest
from motenet.bridge.vfio_user.server import Server
from motenet.bridge.vfio_user.slot import GuestSlot

__all__ = ["Guest", "GuestSlot", "Server"]
