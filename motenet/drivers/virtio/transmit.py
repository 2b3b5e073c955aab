"""The transmit path: frames are written straight into DMA memory behind their headers, one buffer a frame.

All transmit queues share the memory, which is freed in order, whatever the order in which devices use buffers. No
interrupt is wanted but when somebody waits for room (5.1.6.2.3).
"""

from collections import deque
from collections.abc import Sequence
from functools import reduce
from operator import xor
from struct import Struct
from typing import ClassVar

from motenet.core.errors import DriverError
from motenet.core.state import Component
from motenet.datasheets.virtio.features import FEATURES
from motenet.datasheets.virtio.net import (
    GSO_NONE,
    GSO_TCPV4,
    GSO_TCPV6,
    GSO_UDP,
    GSO_UDP_L4,
    NET_HDR_CODEC,
    NET_HDR_FLAGS,
    NET_HDR_GSO,
    NET_HDR_LEGACY_CODEC,
)
from motenet.doors import TCP4, TCP6, UFO, USO, FrameFacts, Function
from motenet.drivers.transmit import ALIGN, LONGEST_SEGMENTED, NONE, SHORTEST, MemoryTransmitter
from motenet.drivers.virtio.packed import PackedQueue
from motenet.drivers.virtio.split import SplitQueue

KINDS = {
    TCP4: (GSO_TCPV4, FEATURES["HOST_TSO4"]),
    TCP6: (GSO_TCPV6, FEATURES["HOST_TSO6"]),
    UFO: (GSO_UDP, FEATURES["HOST_UFO"]),
    USO: (GSO_UDP_L4, FEATURES["HOST_USO"]),
}
"""FrameFacts.segment_kind: gso_type, and the feature that allows it (5.1.6.2.1)."""

_CSUM, _HOST_ECN = FEATURES["CSUM"], FEATURES["HOST_ECN"]
_NEEDS_CSUM, _ECN = NET_HDR_FLAGS["NEEDS_CSUM"], NET_HDR_GSO["ECN"]
_FLOW = Struct(">12xHB8xB2xIIHH")
"""Of an IPv4 frame without options: type, version and header length, protocol, addresses, ports."""
_FLOW6 = Struct(">20xBx8IHH")
"""Of an IPv6 frame without extension headers: protocol, addresses, ports."""
_IPV4, _IPV6, _VLAN, _TAG = 0x0800, 0x86DD, 0x8100, 4
_TCP_OR_UDP = (6, 17)
_LARGEST_TRANSPORT = 60
"""RFC 9293 3.1: a TCP header with all its options; hdr_len shall not be less than the headers (5.1.6.2.1)."""


class Transmitter(MemoryTransmitter):
    """Transmit memory and queues; `active` queues are in use."""

    STATE: ClassVar[tuple[str, ...]] = (
        *MemoryTransmitter.STATE, "active", "ends", "oldest", "early", "owners", "nudged_at",
    )  # fmt: skip

    def __init__(
        self,
        function: Function,
        queues: Sequence[SplitQueue | PackedQueue],
        *,
        features: int,
        memory: int,
        longest: int,
        most: int,
        header: int,
    ) -> None:
        self.segments = any(features & feature for _, feature in KINDS.values())
        """The device cuts frames of some kind."""
        most_bytes = LONGEST_SEGMENTED if self.segments else longest
        super().__init__(function, most_bytes, memory=memory, largest=most_bytes + header + ALIGN)
        self.queues = tuple(queues)
        self._features, self._header = features, header
        self._plain, self._untagged = longest, longest - _TAG
        self._counts = [min(queue.count, most) for queue in self.queues]
        codec = NET_HDR_CODEC if header == NET_HDR_CODEC.size else NET_HDR_LEGACY_CODEC
        self._store = self.memory.packer(codec)
        self._load_flow, self._load_flow6 = self.memory.unpacker(_FLOW), self.memory.unpacker(_FLOW6)
        self._tail = (0,) if codec is NET_HDR_CODEC else ()

        self.active = 1
        self.ends: deque[int] = deque()
        """For each frame in flight, the oldest first: the transmit memory behind it."""
        self.oldest = 0
        """The number of the oldest frame in flight."""
        self.early: dict[int, bool] = {}
        """The numbers of frames that came back before older ones."""
        self.owners = [[0] * count for count in self._counts]
        """For each queue and slot: the number of the frame there."""
        self.nudged_at = -1
        """When the device was last notified without having asked for it (ns)."""

    def parts(self) -> tuple[Component, ...]:
        return self.queues

    # --- up and down

    def open(self) -> None:
        """Empty queues, and no interrupts from them."""
        for queue in self.queues:
            queue.open()
            queue.disable()
        self._forget()
        self.active = 1  # 5.1.6.5.6.1: until the device has agreed to more
        self.running = True

    def _forget(self) -> None:
        super()._forget()
        self.oldest = 0
        self.ends.clear()
        self.early.clear()

    def close(self) -> int:
        """The device is reset: returns how many frames it has not sent."""
        self.running = False
        left = len(self.ends) - len(self.early)
        self._forget()
        return left

    @property
    def idle(self) -> bool:
        return not self.ends

    # --- sending

    def reserve(self, length: int) -> memoryview | None:
        """See NetworkDriver.reserve. The header lies in front of the frame."""
        size = self._header + (length if length > SHORTEST else SHORTEST)
        region, start = self._region, self.written
        offset = start % region
        if offset + size > region:
            start += region - offset
            offset = 0
        if (
            start + size - self.freed > region
            or not self.running
            or not self._room()
            or not 14 <= length <= self.longest
        ):
            return self._reserve_again(length)
        self.start = start
        self.length = length
        offset += self._header
        if length < SHORTEST:
            self._lend(offset + length, SHORTEST - length)[:] = bytes(SHORTEST - length)
        return self._lend(offset, length)

    def _room(self) -> bool:
        """Whether each queue in use has a slot: only `commit` knows which it will be."""
        queues, counts = self.queues, self._counts
        for index in range(self.active):
            queue = queues[index]
            if queue.posted[queue.produced % counts[index]]:
                return False
        return True

    def commit(self, facts: FrameFacts | None = None) -> None:
        """See NetworkDriver.commit."""
        start, length = self.start, self.length
        if start < 0:
            raise DriverError("nothing is reserved: reserve() before commit()")
        offset = start % self._region
        if facts is None:
            if length > self._untagged:
                self._check_length(offset, length)
            self._store(offset, 0, GSO_NONE, 0, 0, 0, 0, *self._tail)
        else:
            self._describe(facts, offset, length)
        if length < SHORTEST:
            length = SHORTEST
        length += self._header
        index = self._flow(offset) if self.active > 1 else 0
        queue = self.queues[index]
        slot = queue.produced % self._counts[index]
        if not self.ends:
            self.progress_at = self._clock.now
        queue.put(slot, self._base + offset, length)
        self.owners[index][slot] = self.oldest + len(self.ends)
        self.written = start + length + ALIGN & ~ALIGN
        self.ends.append(self.written)
        self.start = NONE
        self.frames += 1

    def _check_length(self, offset: int, length: int) -> None:
        """5.1.4.2: a frame that is not cut keeps to the MTU; an 802.1Q tag is not part of that."""
        tagged = self._load_flow(offset + self._header)[0] == _VLAN
        if length > (self._plain if tagged else self._untagged):
            raise DriverError(
                f"{length} bytes exceed the mtu and are not to be segmented: send {self._untagged} at most"
            )

    def _describe(self, facts: FrameFacts, offset: int, length: int) -> None:
        """5.1.6.2.1: the header of a frame whose checksum, and segments maybe, the device is to make."""
        start, place, features = facts.checksum_start, facts.checksum_offset, self._features
        flags, kind, header, size = 0, GSO_NONE, 0, facts.segment_size
        if size:
            kind, feature = KINDS[facts.segment_kind]
            header = facts.header_length
            if not features & feature or (facts.ecn and not features & _HOST_ECN):
                raise DriverError(f"the device does not cut {facts.segment_kind} frames like this; see capabilities")
            if not start < header < length or header + size > self._plain or not place:
                raise DriverError(f"{facts} do not fit a frame of {length} bytes and an mtu below {self._plain}")
            if facts.ecn:
                kind |= _ECN
        elif length > self._untagged:
            self._check_length(offset, length)
        if place:
            if not features & _CSUM or not 14 <= start < start + place <= length - 2:
                raise DriverError(
                    f"no checksum can be inserted at byte {start + place} of {length}; see capabilities.checksum_tx"
                )
            flags, header = _NEEDS_CSUM, header or min(length, start + _LARGEST_TRANSPORT)
        else:
            start = 0
        self._store(offset, flags, kind, header, size, start, place, *self._tail)

    def _flow(self, offset: int) -> int:
        """The queue for a frame: each flow has its own, to which the device then steers its answers (5.1.6.5.6)."""
        kind, version, protocol, source, destination, sport, dport = self._load_flow(offset + self._header)
        mixed: int
        if kind == _IPV4:
            mixed = source ^ destination
            if version == 0x45 and protocol in _TCP_OR_UDP:
                mixed ^= sport ^ dport
        elif kind == _IPV6:
            protocol, *addresses, sport, dport = self._load_flow6(offset + self._header)
            mixed = reduce(xor, addresses)
            if protocol in _TCP_OR_UDP:
                mixed ^= sport ^ dport
        else:
            return 0
        return (mixed ^ mixed >> 16 ^ mixed >> 8) % self.active

    def flush(self) -> None:
        """See NetworkDriver.flush: at most one notification a queue."""
        for queue in self.queues:
            if queue.produced != queue.published:
                queue.publish()

    def nudge(self) -> None:
        """Notify the device of what it has; it has to bear that (2.7.10.2)."""
        self.nudged_at = self._clock.now
        for queue in self.queues:
            if queue.consumed != queue.published:
                queue.kick()

    def reap(self) -> bool:
        """Take back what the device is done with; says whether there was any."""
        found = False
        for index, queue in enumerate(self.queues):
            while (used := queue.take()) is not None:
                found = True
                self._done(self.owners[index][used[0]])
        if found:
            if self.blocked:
                for queue in self.queues:
                    queue.disable()
            self._progress(not self.ends)
        return found

    def _done(self, number: int) -> None:
        """A frame has come back: memory is freed as far as no older one is missing."""
        if number != self.oldest:
            self.early[number] = True
            return
        early, ends = self.early, self.ends
        self.freed = ends.popleft()
        number += 1
        while early and early.pop(number, False):
            self.freed = ends.popleft()
            number += 1
        self.oldest = number
