"""Virtio (1.2): transports x queues x net. Modern PCI, legacy PCI and MMIO; split and packed queues."""

from motenet.devices.virtio.card import VirtioMmio, VirtioPci
from motenet.devices.virtio.virtio_net import VirtioNet

__all__ = ["VirtioMmio", "VirtioNet", "VirtioPci"]
