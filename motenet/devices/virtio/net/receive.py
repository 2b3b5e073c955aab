"""From the cable into receive buffers (virtio 5.1.6.3, 5.1.6.4)."""

from typing import ClassVar

from motenet.core.state import Component
from motenet.datasheets.virtio.features import FEATURES
from motenet.devices.parts.offload import complete
from motenet.devices.virtio.chain import Chain
from motenet.devices.virtio.device import VirtioDevice
from motenet.devices.virtio.net.filters import ReceiveFilter
from motenet.devices.virtio.net.header import PLAIN, WITH_BUFFERS, header_for
from motenet.devices.virtio.net.steering import Steering
from motenet.devices.virtio.net.transmit import ETHERNET, LONGEST, TAG
from motenet.devices.virtio.queue import VirtQueue
from motenet.doors import FrameFacts, PciSlot

_MTU, _MRG_RXBUF = FEATURES["MTU"], FEATURES["MRG_RXBUF"]
OFFLOADS = sum(FEATURES[name] for name in ("GUEST_CSUM", "GUEST_TSO4", "GUEST_TSO6", "GUEST_ECN", "GUEST_UFO"))
"""What CTRL_GUEST_OFFLOADS_SET may switch (5.1.6.5.8.1)."""
_FIELDS = PLAIN[:-2]
_ONE = b"\1\0"  # num_buffers


class ReceiveUnit(Component):
    """Filters frames and stores them. Without a buffer a frame is lost, and counted."""

    STATE: ClassVar[tuple[str, ...]] = ("offloads",)

    def __init__(self, queues: list[VirtQueue], filters: ReceiveFilter, steering: Steering) -> None:
        self.path = "receive"
        self.offloads = 0
        """The GUEST_ features in force."""
        self._queues = queues
        self._filter = filters
        self._steering = steering
        self.configure(0, WITH_BUFFERS, 0)

    def plug(self, slot: PciSlot, device: VirtioDevice) -> None:
        """Take memory and cable."""
        self._write = slot.dma.write
        self._port = slot.port
        self._device = device

    def configure(self, features: int, header: int, mtu: int) -> None:
        """What was negotiated: features, bytes of a header, the MTU if it counts."""
        self._header = header
        self._plain = (_FIELDS + _ONE)[:header]
        self._mergeable = bool(features & _MRG_RXBUF)
        self._longest = (mtu if features & _MTU else LONGEST) + ETHERNET

    # --- from the cable

    def arrived(self, frame: bytes, facts: FrameFacts | None) -> None:
        """One frame."""
        if facts is None:
            self.burst_arrived([frame])
        elif facts.damaged:
            self._device.drop("bad FCS", frame=frame)
        elif not facts.checksum_offset:
            self.burst_arrived([frame])
        elif self._takes(frame):
            fields = header_for(facts, self.offloads)
            if fields is None or (not facts.segment_size and self._too_long(frame)):
                self.burst_arrived(complete(frame, facts))
            else:
                queue = self._queue_for(frame)
                if self._store(queue, fields, (fields + _ONE)[: self._header], frame) and queue.publish():
                    self._device.queue_interrupt(queue)

    def burst_arrived(self, frames: list[bytes]) -> None:
        """Whole frames of one instant: what they use is published together."""
        touched: dict[int, int] = {}
        plain, longest = self._plain, self._longest
        for frame in frames:
            if not self._takes(frame):
                continue
            if len(frame) > longest and self._too_long(frame):
                self._device.drop("frame too long", f"{len(frame)} bytes (5.1.4.1)", frame)
                continue
            queue = self._queue_for(frame)
            if self._store(queue, _FIELDS, plain, frame):
                touched[queue.index] = 1
        for index in touched:
            queue = self._queues[index]
            if queue.publish():
                self._device.queue_interrupt(queue)

    def _takes(self, frame: bytes) -> bool:
        if not self._device.ready or not self._port.carrier:
            self._device.drop("device not ready" if self._port.carrier else "no link", frame=frame)
            return False
        if len(frame) < ETHERNET:
            self._device.drop("not a frame", f"{len(frame)} bytes", frame)
            return False
        refusal = self._filter.refuses(frame)
        if refusal:
            self._device.drop(refusal, frame=frame)
        return not refusal

    def _too_long(self, frame: bytes) -> bool:
        """5.1.4.1: with MTU negotiated, what exceeds it is not passed on."""
        return len(frame) > self._longest + (TAG if frame[12:14] == b"\x81\x00" else 0)

    def _queue_for(self, frame: bytes) -> VirtQueue:
        steering = self._steering
        return self._queues[0 if steering.pairs == 1 else 2 * steering.pair(frame)]

    # --- into memory

    def _store(self, queue: VirtQueue, fields: bytes, single: bytes, frame: bytes) -> bool:
        """Put a frame into the queue's next buffer, or buffers. Whether it is in; then it is to be published.

        `fields` is its header less num_buffers, `single` the whole header if one buffer takes it.
        """
        chain = queue.pop()
        if chain is None:
            self._device.drop("no receive buffer", f"queue {queue.index}", frame)
            return False
        if not queue.silenced and not queue.event_index:
            queue.want_notifications(False)  # new buffers need no notice: they are looked for when a frame is there
        needed, generation = len(single) + len(frame), queue.generation
        if chain.writable_length >= needed:
            if len(chain.writable) == 1:
                self._write(chain.writable[0][0], single + frame)
            else:
                self._scatter(chain, single, memoryview(frame))
            chains = [chain]
        else:
            chains = self._merge(queue, chain, needed, frame)
            if not chains:
                return False
            self._scatter_all(chains, fields, frame)
        if queue.generation != generation:
            return False
        for chain in chains:
            queue.push(chain, min(chain.writable_length, needed))
            needed -= chain.writable_length
        return True

    def _merge(self, queue: VirtQueue, chain: Chain, needed: int, frame: bytes) -> list[Chain]:
        """As many buffers as it takes (5.1.6.4.1); none, and all given back, if it cannot be."""
        chains, room, lacking = [chain], chain.writable_length, ""
        if not self._mergeable:
            lacking = "receive buffer too small"
        elif room < self._header:
            lacking = "receive buffer smaller than a header"
        while room < needed and not lacking:
            following = queue.pop()
            if following is None:
                lacking = "no receive buffer"
            else:
                chains.append(following)
                room += following.writable_length
        if lacking:
            for one in reversed(chains):
                queue.unpop(one)
            self._device.drop(lacking, f"{room} bytes for {needed} in queue {queue.index} (5.1.6.3.1)", frame)
            return []
        return chains

    def _scatter_all(self, chains: list[Chain], fields: bytes, frame: bytes) -> None:
        """All buffers but the last are filled (5.1.6.4.1); only the first begins with a header."""
        header, left = fields + len(chains).to_bytes(2, "little"), memoryview(frame)
        for chain in chains:
            left = self._scatter(chain, header, left)
            header = b""

    def _scatter(self, chain: Chain, header: bytes, left: memoryview) -> memoryview:
        """Fill a chain with a header and as much of the frame as fits. Returns what is left."""
        write = self._write
        for address, room in chain.writable:
            if header:
                piece, header = header[:room], header[room:]
                write(address, piece)
                address, room = address + len(piece), room - len(piece)
            if room and left:
                write(address, left[:room])
                left = left[room:]
        return left
