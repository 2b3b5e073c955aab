"""A vhost-user back-end: a virtio-net card of ours, driven by DPDK's virtio_user or QEMU's vhost-user front-end."""

from motenet.bridge.vhost_user.backend import BackEnd
from motenet.bridge.vhost_user.guest import FrontEnd
from motenet.bridge.vhost_user.server import Server

__all__ = ["BackEnd", "FrontEnd", "Server"]
