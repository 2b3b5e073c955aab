"""A card's rings and queues as they are now, whatever the card: what it owns, as registers and memory show it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from motenet.datasheets import e1000, rtl8139
from motenet.datasheets.virtio.queues import (
    DESC_SIZE,
    PVIRTQ_DESC_FLAGS,
    VIRTQ_IDX_OFFSET,
)
from motenet.devices import E1000, Rtl8139
from motenet.devices.virtio.card import VirtioMmio, VirtioPci
from motenet.devices.virtio.net import NetFunction
from motenet.devices.virtio.queue import VirtQueue
from motenet.doors import Card
from motenet.machine.dma import BusMaster

DESCRIPTOR = 16
"""Bytes of an e1000's descriptor (8254x 3.2.3, 3.3.3)."""

Peek = Callable[[int, int], bytes]
"""`(address, length)`: what is in memory there; nothing where the card cannot reach it."""


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


def peek(dma: BusMaster, address: int, length: int) -> bytes:
    """What the card would read there, without a trace of the look; nothing where it cannot."""
    watch, aborted, drops = dma.watch, dma.aborted, dict(dma.drops)
    dma.watch = dma.aborted = None
    try:
        data = dma.read(address, length)
        return b"" if dma.drops != drops else data
    finally:
        dma.watch, dma.aborted = watch, aborted
        dma.drops.clear()
        dma.drops.update(drops)


def rings(card: Card, dma: BusMaster) -> list[RingState]:
    """The rings of one of our cards, by its slot's bus master; of another's, none."""
    match card:
        case E1000():
            return e1000_rings(card.bank.values)
        case Rtl8139():
            return _rtl8139(card, partial(peek, dma))
        case VirtioPci() | VirtioMmio() if isinstance(card.device.kind, NetFunction):
            return queues(card.device.kind, dma)
    return []


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


# --- RTL8139: each direction is in C mode or in C+ mode


def _rtl8139(card: Rtl8139, look: Peek) -> list[RingState]:
    values, starts = card.bank.values, card.overlay.values
    mode = values.get(rtl8139.CPCR.offset, 0)
    if mode & rtl8139.CPCR["CPTX"]:
        normal, high = card.rings.rings
        found = [_cplus("transmit", _address(starts, rtl8139.TNPDSL.offset), normal.index, look)]
        if start := _address(starts, rtl8139.THPDSL.offset):
            found.append(_cplus("priority", start, high.index, look))
    else:
        given = sum(not values[offset] & rtl8139.TSD["OWN"] for offset in rtl8139.TSD.offsets())
        slot = card.slots.slot
        found = [RingState("transmit", 4, given, slot, values[rtl8139.TSAD.offset + 4 * slot], "slots")]
    if mode & rtl8139.CPCR["CPRX"]:
        found.append(_cplus("receive", _address(values, rtl8139.RDSARL.offset), card.descriptors.index, look))
    else:
        found.append(_ring_of_bytes(values))
    return found


def _address(values: Mapping[int, int], offset: int) -> int:
    return values.get(offset + 4, 0) << 32 | values.get(offset, 0)


def _ring_of_bytes(values: Mapping[int, int]) -> RingState:
    """RTL8139C 5.8: CBR is where the card goes on, CAPR the driver's place less 16. Without an address, no ring."""
    size = 8192 << rtl8139.RCR.field("RBLEN").get(values[rtl8139.RCR.offset])
    start, written = values[rtl8139.RBSTART.offset], values[rtl8139.CBR.offset]
    free = (values[rtl8139.CAPR.offset] + rtl8139.READ_POINTER_LAG - written) % size or size
    return RingState("receive", size if start else 0, free, written % size, start, "bytes")


def _cplus(name: str, start: int, index: int, look: Peek) -> RingState:
    """RTL8139C+ 9: up to 64 descriptors; EOR marks the last one, OWN those that are the card's."""
    raw = look(start, rtl8139.RING_ENTRIES * rtl8139.DESCRIPTOR_SIZE) if start else b""
    commands = [int(command) for command in np.frombuffer(raw, "<u4")[::4]]
    ends = [at for at, command in enumerate(commands) if command & rtl8139.TX_COMMAND["EOR"]]
    count = ends[0] + 1 if ends else len(commands)
    own = rtl8139.TX_COMMAND["OWN"]
    return RingState(name, count, _run(count, lambda at: bool(commands[(index + at) % count] & own)), index, start)


def _run(count: int, holds: Callable[[int], bool]) -> int:
    """For how many of 0, 1, 2, … it holds, before it does not."""
    return next((at for at in range(count) if not holds(at)), count)


# --- virtio


def queues(net: NetFunction, dma: BusMaster) -> list[RingState]:
    """What was made available and is not used yet (virtio 5.1.2: which queue is what)."""
    return [_queue(queue, _name(net, queue.index), partial(peek, dma)) for queue in net.queues]


def _name(net: NetFunction, index: int) -> str:
    if index == 2 * net.max_pairs:
        return "control"
    number = f" {index // 2}" if net.max_pairs > 1 else ""
    return ("receive", "transmit")[index % 2] + number


def _queue(queue: VirtQueue, name: str, look: Peek) -> RingState:
    if not queue.enabled:
        return RingState(name, 0)
    size, lap = queue.size, 2 * queue.size if queue.packed else 1 << 16
    taken = (queue.last_available - queue.last_used) % lap
    fresh = _packed(queue, look) if queue.packed else _split(queue, look)
    return RingState(name, size, min(taken + fresh, size), queue.last_used % size, queue.descriptors)


def _split(queue: VirtQueue, look: Peek) -> int:
    """virtio 2.7.6: idx counts what was ever made available."""
    raw = look(queue.driver_area + VIRTQ_IDX_OFFSET, 2)
    return (int.from_bytes(raw, "little") - queue.last_available) % (1 << 16) if raw else 0


def _packed(queue: VirtQueue, look: Peek) -> int:
    """virtio 2.8.1: a descriptor is available when AVAIL is the lap's wrap counter, and USED is not."""
    size, first = queue.size, queue.last_available
    flags = np.frombuffer(look(queue.descriptors, DESC_SIZE * size), "<u2")[PVIRTQ_DESC_FLAGS.offset // 2 :: 8]
    both = PVIRTQ_DESC_FLAGS["AVAIL"] | PVIRTQ_DESC_FLAGS["USED"]

    def available(at: int) -> bool:
        wrap = (first + at) % (2 * size) < size
        wanted = PVIRTQ_DESC_FLAGS["AVAIL" if wrap else "USED"]
        return int(flags[(first + at) % size]) & both == wanted

    return _run(len(flags), available)
