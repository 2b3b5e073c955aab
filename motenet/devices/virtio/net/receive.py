"""From the cable into receive buffers (virtio 5.1.6.3, 5.1.6.4)."""

from typing import ClassVar

from motenet.core.state import Component
from motenet.datasheets.virtio.features import FEATURES
from motenet.devices.parts.offload import complete
from motenet.devices.virtio.chain import Plain
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
ONE_WRITE = 4096
"""Bytes up to which header and frame are written at once: putting them together costs less than a second write."""
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
        elif not facts.checksum_offset:  # nothing is left to the driver
            self.burst_arrived(complete(frame, facts))
        elif not self._device.ready or len(frame) < ETHERNET or not self._port.carrier:
            self._lose(frame)
        else:
            fields = header_for(facts, self.offloads)
            if fields is None or (not facts.segment_size and self._too_long(frame)):
                self.burst_arrived(complete(frame, facts))
            else:
                self._pass_on(fields, frame)

    def _pass_on(self, fields: bytes, frame: bytes) -> None:
        """A frame whose checksum, or more, is the driver's to make."""
        refusal = self._filter.refuses(frame)
        if refusal:
            self._device.drop(refusal, frame=frame)
            return
        queue = self._queue_for(frame)
        if self._store(queue, fields, (fields + _ONE)[: self._header], frame) and queue.publish():
            self._device.queue_interrupt(queue)

    def burst_arrived(self, frames: list[bytes]) -> None:
        """Whole frames of one instant: what they use is published together."""
        touched: dict[int, int] = {}
        plain, longest, refuses = self._plain, self._longest, self._filter.refuses
        for frame in frames:
            if not self._device.ready or len(frame) < ETHERNET or not self._port.carrier:
                self._lose(frame)
                continue
            refusal = refuses(frame)
            if refusal or (len(frame) > longest and self._too_long(frame)):
                self._device.drop(refusal or "frame too long", f"{len(frame)} bytes (5.1.4.1, 5.1.6.5)", frame)
                continue
            queue = self._queue_for(frame)
            if self._store(queue, _FIELDS, plain, frame):
                touched[queue.index] = 1
        for index in touched:
            queue = self._queues[index]
            if queue.publish():
                self._device.queue_interrupt(queue)

    def _lose(self, frame: bytes) -> None:
        if not self._port.carrier:
            self._device.drop("no link", frame=frame)
        elif not self._device.ready:
            self._device.drop("device not ready", frame=frame)
        else:
            self._device.drop("not a frame", f"{len(frame)} bytes", frame)

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
        if queue.silenced != 1:
            queue.want_notifications(False)  # new buffers need no notice: they are looked for when a frame is there
        generation = queue.generation
        chain = queue.take()
        if chain is None:
            self._device.drop("no receive buffer", f"queue {queue.index}", frame)
            return False
        writable, room = chain[3], chain[5]
        needed = len(single) + len(frame)
        if room >= needed and len(writable) == 1 and needed <= ONE_WRITE:  # the usual case
            self._write(writable[0][0], single + frame)
            if queue.generation != generation:
                return False
            queue.push(chain, needed)
            return True
        chains = [chain] if room >= needed else self._merge(queue, chain, needed, frame)
        header = single if len(chains) == 1 else fields + len(chains).to_bytes(2, "little")
        if not chains or not self._scatter(queue, chains, header, frame):
            return False
        for chain in chains:
            queue.push(chain, min(chain[5], needed))
            needed -= chain[5]
        return True

    def _merge(self, queue: VirtQueue, first: Plain, needed: int, frame: bytes) -> list[Plain]:
        """As many buffers as it takes (5.1.6.4.1); none, and all given back, if it cannot be."""
        generation, chains, room, lacking = queue.generation, [first], first[5], ""
        if not self._mergeable:
            lacking = "receive buffer too small"
        elif room < self._header:
            lacking = "receive buffer smaller than a header"
        while room < needed and not lacking:
            following = queue.take()
            if following is None:
                lacking = "no receive buffer"
            else:
                chains.append(following)
                room += following[5]
        if not lacking:
            return chains
        if queue.generation == generation:
            for one in reversed(chains):
                queue.unpop(one)
        self._device.drop(lacking, f"{room} bytes for {needed} in queue {queue.index} (5.1.6.3.1)", frame)
        return []

    def _scatter(self, queue: VirtQueue, chains: list[Plain], header: bytes, frame: bytes) -> bool:
        """Header and frame; all buffers but the last are filled (5.1.6.4.1). False: the queue is gone."""
        write, generation, left = self._write, queue.generation, memoryview(frame)
        for chain in chains:
            for address, room in chain[3]:
                if header:
                    piece, header = header[:room], header[room:]
                    write(address, piece)
                    address, room = address + len(piece), room - len(piece)
                if room and left and queue.generation == generation:
                    write(address, left[:room])
                    left = left[room:]
                if queue.generation != generation:
                    return False
        return True
