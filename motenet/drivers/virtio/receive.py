"""The receive path of one queue: the device fills buffers, the stack reads them in place, and they go back in batches.

The buffers lie in a row, and are posted in that order. A device that uses them in order, as all do in practice, so
leaves a frame that is spread over several (5.1.6.3.2) as one piece: only the first begins with a header (5.1.6.4). What
is not in a row, or goes round the end, is copied together.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

from motenet.core.checksum import ones_sum
from motenet.core.state import Component
from motenet.datasheets.virtio.net import GSO_NONE, GSO_TCPV4, GSO_TCPV6, NET_HDR_CODEC, NET_HDR_FLAGS, NET_HDR_GSO
from motenet.doors import Function, Received
from motenet.drivers.gro import Train, train
from motenet.drivers.virtio.packed import PackedQueue
from motenet.drivers.virtio.split import SplitQueue

_NEEDS_CSUM, _DATA_VALID = NET_HDR_FLAGS["NEEDS_CSUM"], NET_HDR_FLAGS["DATA_VALID"]
_RSC_INFO = NET_HDR_FLAGS["RSC_INFO"]
_GOOD = _NEEDS_CSUM | _DATA_VALID
_GSO_TYPE, _TCP = NET_HDR_GSO["TYPE"], (GSO_TCPV4, GSO_TCPV6)
_VLAN, _IPV4, _IPV6 = 0x8100, 0x0800, 0x86DD
_UDP_CHECKSUM = 6  # where it lies in the header
_SHORTEST = 14
"""Less is no Ethernet header."""
_BATCH = 32


def header_is_good(frame: memoryview) -> bool:
    """Whether the IPv4 header's own checksum is right, which the device has not looked at; IPv6 has none.

    False for what is neither: then the stack has to find out.
    """
    at = 14
    kind = frame[12] << 8 | frame[13]
    if kind == _VLAN and len(frame) >= 18:
        at, kind = 18, frame[16] << 8 | frame[17]
    if kind == _IPV4 and len(frame) > at:
        end = at + (frame[at] & 0x0F) * 4
        return at + 20 <= end <= len(frame) and not int.from_bytes(frame[at:end], "big") % 0xFFFF
    return kind == _IPV6


class ReceiveQueue(Component):
    """A receive queue with its buffers, `size` bytes each. `receive` is NetworkDriver's.

    `most`: buffers; `header`: bytes of the header; `mergeable`: MRG_RXBUF; `checksum`: GUEST_CSUM.
    """

    STATE: ClassVar[tuple[str, ...]] = ("returned", "frames", "joined", "copied")

    def __init__(
        self,
        function: Function,
        queue: SplitQueue | PackedQueue,
        drop: Callable[[str, str], None],
        *,
        size: int,
        most: int,
        header: int,
        mergeable: bool,
        checksum: bool,
        gro: bool,
    ) -> None:
        self.path = f"rx{queue.number // 2}"
        self.queue = queue
        self.size = size
        self.count = min(queue.count, most)
        """Buffers."""
        self.buffers = function.dma.allocate(self.count * size, 64)
        queue.lay_out(self.buffers.address, size, size)
        self._header = header
        self._load = self.buffers.unpacker(NET_HDR_CODEC)  # the first ten bytes are the same
        self._lend = self.buffers.lend
        self.waiting = queue.waiting
        """Whether something has been received."""
        self._take, self._peek, self._advance = queue.take, queue.peek, queue.advance
        self._drop, self._mergeable, self._checksum, self._gro = drop, mergeable, checksum, gro
        self._batch = max(1, min(_BATCH, self.count // 4))

        self.returned: list[int] = []
        """Slots that have come back and are not posted again."""
        self.frames = 0
        """Frames handed up; those that GRO has joined count as one."""
        self.joined = 0
        """Segments that GRO has added to another."""
        self.copied = 0
        """Frames that had to be copied together."""

    def parts(self) -> tuple[Component, ...]:
        return (self.queue,)

    def open(self) -> None:
        """3.1.1, step 7: an empty queue, filled with all buffers. The device hears of them once it is live."""
        self.queue.open()
        self.returned.clear()
        self.queue.repost(range(self.count))
        self.queue.publish()

    # --- receiving

    def receive(self) -> Received | None:
        """See NetworkDriver.receive. The views of the last call end here: their buffers may go back to the device."""
        if len(self.returned) >= self._batch:
            self.give_back()
        return self._next()

    def give_back(self) -> None:
        """Post the buffers that have been read."""
        self.queue.repost(self.returned)
        self.returned.clear()
        self.queue.publish()

    def tidy(self) -> None:
        """`give_back`, if it is time."""
        if len(self.returned) >= self._batch:
            self.give_back()

    def _next(self) -> Received | None:
        """The next good frame. Everything that the device has written is checked before it is used."""
        size, header, take = self.size, self._header, self._take
        while (used := take()) is not None:
            slot, length = used
            self.returned.append(slot)
            flags, kind, _, segment, start, offset, buffers = self._load(slot * size)
            if buffers == 1 or not self._mergeable:
                if not header + _SHORTEST <= length <= size:
                    self._drop("rx length", f"{length} bytes in a buffer of {size}")
                    continue
                frame = self._lend(slot * size + header, length - header)
            else:
                gathered = self._gather(slot, length, buffers)
                if gathered is None:
                    continue
                frame = gathered
            self.frames += 1
            if not flags & _GOOD or not self._checksum:
                return Received(frame)
            verified = header_is_good(frame)
            if not verified and flags & _NEEDS_CSUM and not flags & _RSC_INFO:
                self._finish(frame, start, offset)
            received = Received(frame, verified)
            if kind and kind & _GSO_TYPE in _TCP:
                received.segment_size = segment
            if verified and self._gro:
                self._join(received)
            return received
        return None

    def _gather(self, slot: int, length: int, buffers: int) -> memoryview | None:
        """A frame in several buffers (5.1.6.4); None, and counted, when it cannot be one."""
        size, count = self.size, self.count
        if not 1 <= buffers <= count:
            self._drop("num_buffers", f"{buffers} buffers of {count} (virtio 5.1.6.3.2)")
            return None
        take, returned = self._take, self.returned
        first = slot * size
        parts, total, in_a_row, possible = [(first, length)], length, True, self._header + _SHORTEST <= length <= size
        for place in range(1, buffers):
            used = take()
            if used is None:
                self._drop("num_buffers", f"{buffers} buffers, {place} of them used (virtio 5.1.6.4.1)")
                return None
            slot, length = used
            returned.append(slot)
            possible = possible and 0 < length <= size
            in_a_row = in_a_row and slot * size == first + total
            parts.append((slot * size, length))
            total += length
        if not possible:
            self._drop("rx length", f"{[part for _, part in parts]} bytes in buffers of {size}")
            return None
        if in_a_row:
            return self._lend(first + self._header, total - self._header)
        self.copied += 1
        return memoryview(bytearray().join(self._lend(at, part) for at, part in parts))[self._header :]

    def _finish(self, frame: memoryview, start: int, offset: int) -> None:
        """The stack will verify this frame itself, so that its partial checksum is completed (5.1.6.4, 5.1.6.2.1)."""
        if start >= 14 and start + offset + 2 <= len(frame):
            at, value = start + offset, ones_sum(frame[start:]) ^ 0xFFFF
            if not value and offset == _UDP_CHECKSUM:
                value = 0xFFFF  # RFC 768: 0 means none; the sums of others have one form of zero (RFC 1624, 3)
            frame[at : at + 2] = value.to_bytes(2, "big")

    def _join(self, received: Received) -> None:
        """GRO, where the device has not done it: what follows in the same TCP flow is taken along (see drivers.gro)."""
        size, header = self.size, self._header
        begun: Train | None = None
        while (used := self._peek()) is not None:
            slot, length = used
            flags, kind, _, _, _, _, buffers = self._load(slot * size)
            if not flags & _GOOD or kind != GSO_NONE or (buffers != 1 and self._mergeable):
                return
            if not header + _SHORTEST <= length <= size:
                return
            if begun is None:
                begun = train(received.frame)
                if begun is None:
                    return
            frame = self._lend(slot * size + header, length - header)
            if not header_is_good(frame):
                return
            payload = begun.join(frame)
            if payload is None:
                return
            received.more.append(payload)
            self._advance(slot)
            self.returned.append(slot)
            self.joined += 1
            if not begun.room:
                return


class Turns(Component):
    """Several receive queues, which take turns."""

    STATE: ClassVar[tuple[str, ...]] = ("next",)

    def __init__(self, receivers: Sequence[ReceiveQueue]) -> None:
        self.path = "turns"
        self._receivers = receivers
        self.next = 0
        """The queue that is looked at first."""

    def receive(self) -> Received | None:
        """The next frame of any."""
        receivers = self._receivers
        for turn in range(len(receivers)):
            index = (self.next + turn) % len(receivers)
            received = receivers[index].receive()
            if received is not None:
                self.next = index + 1
                return received
        return None

    def waiting(self) -> bool:
        """Whether any has received something."""
        return any(receiver.waiting() for receiver in self._receivers)
