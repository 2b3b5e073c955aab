"""Which queues a device has, how large they are made, and what is behind them (virtio 5.1.2, 5.1.5)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from motenet.core.errors import ConfigurationError, DriverError
from motenet.datasheets.virtio.features import FEATURES
from motenet.datasheets.virtio.net import (
    MAX_PACKET,
    MAX_PAIRS,
    MIN_PAIRS,
    NET_HDR_CODEC,
    NET_HDR_LEGACY_CODEC,
    PLAIN_PACKET,
    control_queue,
    receive_queue,
    transmit_queue,
)
from motenet.datasheets.virtio.queues import MAX_QUEUE_SIZE
from motenet.doors import Function
from motenet.drivers.driver import OVERHEAD
from motenet.drivers.virtio.control import MOST_PIECES, ControlQueue
from motenet.drivers.virtio.packed import PackedQueue
from motenet.drivers.virtio.receive import ReceiveQueue
from motenet.drivers.virtio.settings import Configuration, mask
from motenet.drivers.virtio.split import SplitQueue
from motenet.drivers.virtio.transmit import Transmitter
from motenet.drivers.virtio.transport import Transport

_RING = 256
_CONTROL_RING = 16
_MERGEABLE = 16384
"""Bytes of a mergeable buffer, if nobody says otherwise: four take the largest packet, and each one costs. What is not
written costs nothing."""
_LEAST_MERGEABLE = 2048
_RECEIVE_MEMORY = 4 << 20
"""Bytes of all receive buffers, if nobody says how many there are."""
_LARGE = mask("GUEST_TSO4", "GUEST_TSO6", "GUEST_UFO")


@dataclass(slots=True)
class Layout:
    """A device's queues in use."""

    receivers: list[ReceiveQueue]
    transmitter: Transmitter
    control: ControlQueue | None

    @property
    def queues(self) -> list[SplitQueue | PackedQueue]:
        """All of them, by number."""
        queues = [receiver.queue for receiver in self.receivers] + list(self.transmitter.queues)
        if self.control is not None:
            queues.append(self.control.queue)
        return sorted(queues, key=lambda queue: queue.number)

    def open(self, transport: Transport) -> None:
        """3.1.1, step 7: queues that start anew, receive queues with their buffers."""
        self.fall_silent()
        for receiver in self.receivers:
            receiver.open()
        self.transmitter.open()
        if self.control is not None:
            self.control.open()
        for queue in self.queues:
            transport.open_queue(queue.number, queue.size, queue.areas)

    def go_live(self, transport: Transport) -> None:
        """After step 8: notifications may be sent; the first one is of the receive buffers of the first pair."""
        for queue in self.queues:
            queue.notify = transport.notifier(queue.number)
            queue.live = True
        self.receivers[0].queue.kick()
        if self.control is not None:
            self.control.go_live()

    def fall_silent(self) -> None:
        """3.1.1: nobody is notified without DRIVER_OK."""
        for queue in self.queues:
            queue.live = False


class _Builder:
    """Makes queues as the features say."""

    def __init__(self, function: Function, transport: Transport, features: int) -> None:
        self.function, self.transport, self.features = function, transport, features
        self.modern = not transport.legacy
        self.mergeable = bool(features & FEATURES["MRG_RXBUF"])
        codec = NET_HDR_CODEC if self.modern or self.mergeable else NET_HDR_LEGACY_CODEC
        self.header = codec.size
        self.head = 0 if self.modern or features & FEATURES["ANY_LAYOUT"] else self.header
        """5.1.6.6: bytes that have to be a descriptor of their own."""

    def queue(self, number: int, wanted: int, pieces: int, write: bool, head: int = 0) -> SplitQueue | PackedQueue:
        """A queue for `wanted` buffers, or as many as the device allows."""
        limit = min(self.transport.queue_limit(number), MAX_QUEUE_SIZE)
        if not limit:
            raise DriverError(f"{self.function.name} has no queue {number} (virtio 5.1.2)")
        indirect = bool(self.features & FEATURES["RING_INDIRECT_DESC"]) and pieces > 1
        options: dict[str, Any] = {
            "pieces": pieces, "write": write, "indirect": indirect,
            "event_idx": bool(self.features & FEATURES["RING_EVENT_IDX"]),
        }  # fmt: skip
        needed = wanted * (1 if indirect else pieces)
        dma = self.function.dma
        if self.features & FEATURES["RING_PACKED"]:
            return PackedQueue(dma, number, min(limit, needed), **options)
        if self.transport.legacy:
            return SplitQueue(dma, number, limit, legacy=True, head=head, **options)  # 4.1.5.1.3.1: no choice
        size = 1 << min(limit.bit_length() - 1, (needed - 1).bit_length())
        return SplitQueue(dma, number, size, head=head, **options)

    def buffer_size(self, rx_buffer: int | None, mtu: int, pairs: int) -> int:
        """Bytes of a receive buffer, a multiple of 64 (5.1.6.3.1)."""
        mergeable = max(_LEAST_MERGEABLE, _MERGEABLE // pairs // 64 * 64)
        largest = MAX_PACKET if self.features & _LARGE else max(mtu + OVERHEAD, PLAIN_PACKET)
        needed = mergeable if self.mergeable else -(-(self.header + largest) // 64) * 64
        if rx_buffer is None:
            return needed
        if rx_buffer % 64 or rx_buffer < (64 if self.mergeable else needed):
            least = 64 if self.mergeable else needed
            raise ConfigurationError(f"rx_buffer={rx_buffer}: give a multiple of 64 from {least} on")
        return rx_buffer


def build(
    function: Function,
    transport: Transport,
    features: int,
    configuration: Configuration,
    drop: Callable[[str, str], None],
    answered: Callable[[int, int, bytes, bool], None],
    *,
    mtu: int,
    pairs: int,
    rx_ring: int | None,
    tx_ring: int | None,
    rx_buffer: int | None,
    tx_memory: int,
    gro: bool,
) -> Layout:
    """Find the queues and get memory for them; the features are agreed on (3.1.1, step 7)."""
    for name, ring in (("rx_ring", rx_ring), ("tx_ring", tx_ring)):
        if ring is not None and not 1 <= ring <= MAX_QUEUE_SIZE:
            raise ConfigurationError(f"{name}={ring}: a queue has 1 to {MAX_QUEUE_SIZE} descriptors (virtio 2.7)")
    most_pairs = configuration.max_pairs if features & FEATURES["MQ"] else 1
    if not MIN_PAIRS <= most_pairs <= MAX_PAIRS:
        raise DriverError(f"{function.name}: max_virtqueue_pairs is {most_pairs} (virtio 5.1.4.1)")
    builder = _Builder(function, transport, features)
    pieces = 2 if builder.head else 1
    pairs = min(pairs, most_pairs)
    size = builder.buffer_size(rx_buffer, mtu, pairs)
    buffers = rx_ring or max(2, min(_RING, _RECEIVE_MEMORY // pairs // size))
    largest = builder.header + (MAX_PACKET if features & _LARGE else mtu + OVERHEAD)
    if rx_buffer is None:  # a short queue wants larger ones
        posted = max(1, min(buffers, transport.queue_limit(receive_queue(0)) // pieces))
        size = max(size, -(-largest // posted // 64) * 64)
    receivers, queues = [], []
    for pair in range(pairs):
        queue = builder.queue(receive_queue(pair), buffers, pieces, True, builder.head)
        receivers.append(
            ReceiveQueue(
                function, queue, drop, size=size, most=buffers, header=builder.header, mergeable=builder.mergeable,
                checksum=bool(features & FEATURES["GUEST_CSUM"]), gro=gro,
            )
        )  # fmt: skip
        queues.append(builder.queue(transmit_queue(pair), tx_ring or _RING, pieces, False, builder.head))
    if receivers[0].count * size < largest:
        raise ConfigurationError(
            f"{receivers[0].count} buffers of {size} bytes take no packet of {largest}: raise rx_ring or rx_buffer"
        )
    transmitter = Transmitter(
        function, queues, features=features, memory=tx_memory, longest=mtu + OVERHEAD, most=tx_ring or _RING,
        header=builder.header,
    )  # fmt: skip
    control = None
    if features & FEATURES["CTRL_VQ"]:
        queue = builder.queue(control_queue(most_pairs), _CONTROL_RING, MOST_PIECES, False)
        control = ControlQueue(function, queue, answered)
    return Layout(receivers, transmitter, control)
