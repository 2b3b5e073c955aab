"""From a transmit queue onto the cable (virtio 5.1.6.2)."""

from motenet.core.state import Component
from motenet.datasheets.virtio.features import FEATURES
from motenet.devices.parts.offload import complete, insert_checksum
from motenet.devices.virtio.chain import Chain
from motenet.devices.virtio.device import VirtioDevice
from motenet.devices.virtio.net.header import PLAIN, WITH_BUFFERS, BadHeader, facts_of
from motenet.devices.virtio.net.steering import Steering
from motenet.devices.virtio.queue import VirtQueue
from motenet.doors import PciSlot

_MTU = FEATURES["MTU"]
ETHERNET, TAG = 14, 4
SHORTEST = 60
"""IEEE 802.3, 4.2.3.3: shorter frames are padded; virtio's drivers do not."""
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
        device, generation, send = self._device, queue.generation, self._send
        queue.want_notifications(False)
        work = WORK
        while work > 0:
            chain = queue.pop()
            if chain is None:
                if not queue.want_notifications(True):
                    break
                work -= FRAME_WORK
                continue
            work -= send(queue, chain)
            if queue.generation != generation or not device.ready:
                queue.rewind()
                return
            queue.push(chain, 0)
        if queue.publish():
            device.queue_interrupt(queue)
        if work <= 0:
            device.notify(queue.index)

    def _send(self, queue: VirtQueue, chain: Chain) -> int:
        """One buffer: header and frame, in any split of descriptors (2.7.4.1). Returns the work it was."""
        length, header = chain.readable_length, self._header
        generation, readable = queue.generation, chain.readable
        if len(readable) == 1 and length <= ONE_READ:
            raw = self._read(readable[0][0], length)
            about, frame = raw[:header], raw[header:]
        elif length <= header + LONGEST:
            about, frame = self._gather(chain, header)
        else:
            self._device.drop("frame too long", f"{length} bytes with header")
            return FRAME_WORK * chain.count
        if queue.generation != generation or not self._device.ready:
            return 0
        size = len(frame)
        if size < ETHERNET or chain.writable:
            what = f"{length} bytes with header" if size < ETHERNET else "with writable buffers"
            self._device.drop("bad transmit buffer", f"{what} (5.1.6.2)", frame)
        elif not self._port.carrier:
            self._device.drop("no link", frame=frame)
        else:
            if self._steering.pairs > 1:
                self._steering.sent(frame, queue.index >> 1)
            if about == self._plain and size <= self._mtu:
                self._port.transmit(frame if size >= SHORTEST else frame.ljust(SHORTEST, b"\0"))
            else:
                return self._send_with(about, frame) + FRAME_WORK * chain.count
        return size + FRAME_WORK * chain.count

    def _gather(self, chain: Chain, header: int) -> tuple[bytes, bytes]:
        """Header and frame, with one read for each descriptor, two for the one that holds both."""
        read, head, pieces = self._read, b"", []
        for address, length in chain.readable:
            missing = header - len(head)
            if missing > 0:
                part = min(missing, length)
                head += read(address, part)
                address, length = address + part, length - part
            if length:
                pieces.append(read(address, length))
        return head, pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _send_with(self, about: bytes, frame: bytes) -> int:
        """A frame whose header says something, or that is perhaps too long. Returns the work it was."""
        try:
            facts = facts_of(about, frame, self._features)
        except BadHeader as bad:
            self._device.drop(bad.reason, bad.detail, frame)
            return len(frame)
        tag = TAG if frame[12:14] == b"\x81\x00" else 0
        if len(frame) > self._mtu + ETHERNET + tag and (facts is None or not facts.segment_size):
            self._device.drop("frame too long", f"{len(frame)} bytes, the MTU is {self._mtu} (5.1.4.2)", frame)
            return len(frame)
        transmit, padded = self._port.transmit, frame.ljust(SHORTEST, b"\0")
        if facts is None:
            transmit(padded)
        elif not facts.checksum_offset:
            whole = bytearray(padded)
            insert_checksum(whole, facts.checksum_start, facts.checksum_start, 0)
            transmit(bytes(whole))
        elif self._port.takes_unfinished:
            transmit(padded, facts)
        else:
            frames = complete(frame, facts)
            for one in frames:
                transmit(one.ljust(SHORTEST, b"\0"))
            return len(frame) + FRAME_WORK * len(frames)
        return len(frame)
