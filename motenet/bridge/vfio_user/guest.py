"""A guest in a world: its card's cable ends in a link, as a host's does."""

from collections.abc import Iterable

from motenet.bridge.vfio_user.slot import GuestSlot
from motenet.core.clock import Clock
from motenet.core.state import Component
from motenet.doors import PciCard
from motenet.sim.host import Outsider


class Guest(Outsider):
    """A computer that runs in QEMU, with a card of ours in its slot."""

    def __init__(self, clock: Clock, name: str, card: PciCard) -> None:
        self.path = self.name = name
        self.nic = card
        self.slot = GuestSlot(clock, name, card)
        self.port = self.slot.port

    def parts(self) -> Iterable[Component]:
        return (self.slot,)
