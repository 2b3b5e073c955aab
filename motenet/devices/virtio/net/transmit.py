"""From a transmit queue onto the cable (virtio 5.1.6.2)."""

from motenet.core.state import Component
from motenet.datasheets.virtio.features import FEATURES
from motenet.devices.parts.offload import SHORTEST, complete, insert_checksum
from motenet.devices.virtio.chain import BATCH, Buffers, Plain
from motenet.devices.virtio.device import VirtioDevice
from motenet.devices.virtio.net.header import PLAIN, WITH_BUFFERS, BadHeader, facts_of
from motenet.devices.virtio.net.steering import Steering
from motenet.devices.virtio.queue import VirtQueue
from motenet.doors import PciSlot

_MTU = FEATURES["MTU"]
ETHERNET, TAG = 14, 4
LONGEST = 65535 + 40 + ETHERNET + TAG
"""Bytes of the longest frame that can be cut: an IPv6 packet's payload and its headers."""
ONE_READ = 2048
"""Up to so many bytes header and frame are read together, and then parted: the copy costs less than a second read."""
WORK = 1 << 20
"""Bytes after which an event leaves the rest to another."""
FRAME_WORK = 64
"""Bytes for which each frame, buffer or segment counts beside its data."""


class TransmitUnit(Component):
    """Serves transmit queues. What cannot be sent is used all the same, and counted."""

    def __init__(self, steering: Steering) -> None:
        self.path = "transmit"
        self._steering = steering
        self.configure(0, WITH_BUFFERS, 0)

    def plug(self, slot: PciSlot, device: VirtioDevice) -> None:
        """Take memory and cable."""
        self._read = slot.dma.read
        self._port = slot.port
        self._device = device

    def configure(self, features: int, header: int, mtu: int) -> None:
        """What was negotiated: features, bytes of a header, the MTU if it counts."""
        self._features = features
        self._header = header
        self._plain = PLAIN[:header]
        self._mtu = mtu if features & _MTU else LONGEST

    def serve(self, queue: VirtQueue) -> None:
        """Send what is available, up to WORK; the used elements are published together."""
        device, generation = self._device, queue.generation
        if not queue.event_index:  # with it, the driver notifies once, until the device asks again
            queue.want_notifications(False)
        work = WORK
        while work > 0:
            chains = queue.pop_all()
            work -= self._send_all(queue, chains)
            if queue.generation != generation:
                return
            queue.push_all(chains)
            if len(chains) < BATCH and not queue.want_notifications(True):
                break
        if queue.publish():
            device.queue_interrupt(queue)
        if work <= 0:
            device.serve_later(queue)

    def _send_all(self, queue: VirtQueue, chains: list[Plain]) -> int:
        """Each in turn, until it is enough: the rest is given back. Returns the work.

        It ends early, too, if the device is reset or stopped meanwhile.
        """
        generation, work, following = queue.generation, 0, iter(chains)
        read, transmit, header, plain = self._read, self._port.transmit, self._header, self._plain
        shortest, longest = header + SHORTEST, header + min(self._mtu + ETHERNET, ONE_READ)
        if self._steering.pairs > 1 or not self._port.carrier:
            longest = 0
        for _, _, readable, writable, length, _ in following:
            if shortest <= length <= longest and len(readable) == 1 and not writable:
                raw = read(readable[0][0], length)
                if queue.generation != generation:
                    break
                work += length
                if raw.startswith(plain):  # the usual case: a whole frame in one descriptor
                    transmit(raw[header:])
                    continue
                work += self._send(queue, raw[:header], raw[header:])
            elif length > header + LONGEST or length < header + ETHERNET or writable:
                self._device.drop("bad transmit buffer", f"{length} bytes, {len(writable)} writable buffers (5.1.6.2)")
                work += FRAME_WORK * (len(readable) + len(writable))
            else:
                about, frame = self._gather(queue, readable, header)
                if queue.generation != generation:
                    break
                work += length + FRAME_WORK * len(readable)
                if about == plain and shortest <= length <= longest:
                    transmit(frame)
                else:
                    work += self._send(queue, about, frame)
            if work > WORK:
                for _ in list(following):
                    queue.unpop(chains.pop())
        return work + FRAME_WORK * (len(chains) + 1)

    def _send(self, queue: VirtQueue, about: bytes, frame: bytes) -> int:
        """A frame with its header. Returns the work beside moving it."""
        if not self._port.carrier:
            self._device.drop("no link", frame=frame)
            return 0
        if self._steering.pairs > 1:
            self._steering.sent(frame, queue.index >> 1)
        try:
            facts = facts_of(about, frame, self._features)
        except BadHeader as bad:
            self._device.drop(bad.reason, bad.detail, frame)
            return 0
        tag = TAG if frame[12:14] == b"\x81\x00" else 0
        if len(frame) > self._mtu + ETHERNET + tag and (facts is None or not facts.segment_size):
            self._device.drop("frame too long", f"{len(frame)} bytes, the MTU is {self._mtu} (5.1.4.2)", frame)
            return 0
        if facts is None:
            self._port.transmit(frame.ljust(SHORTEST, b"\0"))
        elif self._port.takes_unfinished and facts.checksum_offset:
            # what is to be cut is padded then: before, it would be payload
            self._port.transmit(frame if facts.segment_size else frame.ljust(SHORTEST, b"\0"), facts)
        else:
            frames = complete(frame, facts) if facts.checksum_offset else [_summed(frame, facts.checksum_start)]
            for one in frames:
                self._port.transmit(one.ljust(SHORTEST, b"\0"))
            return FRAME_WORK * len(frames)
        return 0

    def _gather(self, queue: VirtQueue, readable: Buffers, header: int) -> tuple[bytes, bytes]:
        """Header and frame, with one read for each descriptor, two for the one that holds both."""
        read, generation, head, pieces = self._read, queue.generation, b"", []
        for address, length in readable:
            missing = header - len(head)
            if missing > 0:
                part = min(missing, length)
                head += read(address, part)
                address, length = address + part, length - part
            if length and queue.generation == generation:
                pieces.append(read(address, length))
            if queue.generation != generation:
                break
        return head, pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _summed(frame: bytes, start: int) -> bytes:
    """With csum_offset 0, which FrameFacts has no word for: the checksum lies where the sum begins."""
    whole = bytearray(frame)
    insert_checksum(whole, start, start, 0)
    return bytes(whole)
