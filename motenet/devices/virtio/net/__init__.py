"""The virtio network device (virtio 5.1): what is behind the queues."""

from motenet.devices.virtio.net.function import NetFunction

__all__ = ["NetFunction"]
