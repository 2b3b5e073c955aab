"""The driver of virtio's network device: transports, virtqueues, net (virtio 1.2)."""

from motenet.drivers.virtio.driver import VirtioNetDriver

__all__ = ["VirtioNetDriver"]
