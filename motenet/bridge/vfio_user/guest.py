"""A guest's card in a world: its cable ends in a link, as a host's does."""

from collections.abc import Iterable

from motenet.bridge.vfio_user.slot import GuestSlot
from motenet.core.clock import Clock
from motenet.core.state import Component
from motenet.doors import PciCard
from motenet.machine import Port


class Guest(Component):
    """A computer that runs elsewhere, with a card of ours in its slot."""

    def __init__(self, clock: Clock, name: str, card: PciCard) -> None:
        self.path = self.name = name
        self.nic = card
        self.slot = GuestSlot(clock, name, card)

    @property
    def port(self) -> Port:
        """The card's end of the cable."""
        return self.slot.port

    def parts(self) -> Iterable[Component]:
        return (self.slot,)
