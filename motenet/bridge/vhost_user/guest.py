"""A front-end in a world: its card's cable ends in a link, as a host's does."""

from collections.abc import Iterable

from motenet.bridge.vhost_user.backend import BackEnd
from motenet.core.clock import Clock
from motenet.core.state import Component
from motenet.devices.virtio.net import NetFunction
from motenet.sim.host import Outsider


class FrontEnd(Outsider):
    """A program that drives a virtio card of ours over vhost-user: DPDK, or QEMU for its guest."""

    def __init__(self, clock: Clock, name: str, net: NetFunction, *, packed: bool = True) -> None:
        self.path = self.name = name
        self.slot = BackEnd(clock, name, net, packed=packed)
        self.port = self.slot.port

    def parts(self) -> Iterable[Component]:
        return (self.slot,)
