"""A card's rings and queues as they are now, whatever the card."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from motenet.datasheets import e1000, rtl8139
from motenet.devices import E1000, Rtl8139
from motenet.devices.virtio.card import VirtioMmio, VirtioPci
from motenet.devices.virtio.queue import VirtQueue
from motenet.doors import Card

DESCRIPTOR = 16
"""Bytes of an e1000's descriptor (8254x 3.2.3, 3.3.3)."""


@dataclass(slots=True)
class RingState:
    """One ring: `count` slots, of which the card owns `owned` from `head` on. `count` 0: it is not set up."""

    name: str
    count: int
    owned: int = 0
    head: int = 0
    address: int = 0
    unit: str = ""
    """What a slot is: nothing for descriptors, "bytes" where the ring is one of bytes."""

    @property
    def tail(self) -> int:
        """The slot behind the card's last."""
        return (self.head + self.owned) % self.count if self.count else 0


def rings(card: Card) -> list[RingState]:
    """The rings of one of our cards; of another's, none."""
    for kind, look in _LOOKS.items():
        if isinstance(card, kind):
            return look(card)
    return []


def _e1000(card: E1000) -> list[RingState]:
    return e1000_rings(card.bank.values)


def e1000_rings(values: Mapping[int, int]) -> list[RingState]:
    """From an e1000's registers by offset (8254x 3.2.6, 3.4)."""
    found = []
    for name, low, high, length, head, tail in (
        ("transmit", e1000.TDBAL, e1000.TDBAH, e1000.TDLEN, e1000.TDH, e1000.TDT),
        ("receive", e1000.RDBAL, e1000.RDBAH, e1000.RDLEN, e1000.RDH, e1000.RDT),
    ):
        count, first = values.get(length.offset, 0) // DESCRIPTOR, values.get(head.offset, 0)
        owned = (values.get(tail.offset, 0) - first) % count if count else 0
        base = values.get(high.offset, 0) << 32 | values.get(low.offset, 0)
        found.append(RingState(name, count, owned, first, base))
    return found


def _rtl8139(card: Rtl8139) -> list[RingState]:
    """C mode's four slots and its ring of bytes (RTL8139C 5.6, 5.7); C+ mode's owners are in the descriptors alone."""
    values = card.bank.values
    if values.get(rtl8139.CPCR.offset, 0) & (rtl8139.CPCR["CPTX"] | rtl8139.CPCR["CPRX"]):
        return []
    given = sum(not values[offset] & rtl8139.TSD["OWN"] for offset in rtl8139.TSD.offsets())
    slots = RingState("transmit", 4, given, card.slots.slot, unit="slots")
    size = 8192 << rtl8139.RCR.field("RBLEN").get(values[rtl8139.RCR.offset])
    written, taken = values[rtl8139.CBR.offset], values[rtl8139.CAPR.offset] + 16
    free = (taken - written) % size or size
    return [slots, RingState("receive", size, free, written % size, values[rtl8139.RBSTART.offset], "bytes")]


def _virtio(card: VirtioPci | VirtioMmio) -> list[RingState]:
    return queues(card.device.kind.queues)


def queues(found: Sequence[VirtQueue]) -> list[RingState]:
    """What the device has taken and not given back yet; the driver's further buffers are in memory alone."""
    return [
        RingState(
            f"queue {queue.index}",
            queue.size if queue.enabled else 0,
            (queue.last_available - queue.last_used) % queue.size,
            queue.last_used % queue.size,
            queue.descriptors,
        )
        for queue in found
    ]


_LOOKS: dict[type, Callable[..., list[RingState]]] = {
    E1000: _e1000,
    Rtl8139: _rtl8139,
    VirtioPci: _virtio,
    VirtioMmio: _virtio,
}
