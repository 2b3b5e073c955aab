"""Split virtqueues (virtio 2.7): descriptor table, available ring, used ring."""

from struct import pack, unpack
from typing import TYPE_CHECKING

from motenet.datasheets.virtio import queues as sheet
from motenet.devices.virtio.chain import (
    BAD_HEAD,
    BAD_NEXT,
    CHAIN_TOO_LONG,
    INDEX_JUMP,
    INDIRECT_IN_LIST,
    INDIRECT_NESTED,
    INDIRECT_UNKNOWN,
    LOOP,
    TABLE_LENGTH,
    TABLE_TOO_LONG,
    Chain,
    Stale,
    Violation,
)
from motenet.doors import BusMaster

if TYPE_CHECKING:
    from motenet.devices.virtio.queue import VirtQueue

_NEXT, _WRITE, _INDIRECT = (sheet.VIRTQ_DESC_FLAGS[name] for name in ("NEXT", "WRITE", "INDIRECT"))
_NO_INTERRUPT, _NO_NOTIFY = sheet.VIRTQ_AVAIL_FLAGS["NO_INTERRUPT"], sheet.VIRTQ_USED_FLAGS["NO_NOTIFY"]
_FLAGS, _IDX, _RING = sheet.VIRTQ_FLAGS_OFFSET, sheet.VIRTQ_IDX_OFFSET, sheet.VIRTQ_RING_OFFSET
_DESCRIPTOR = sheet.VIRTQ_DESC_CODEC
_SIZE = sheet.DESC_SIZE

BATCH = 64
"""Chains that are gathered at once."""
NEAR = 4
"""Heads that lie no further apart are read together, with what is between: their chains go on there."""
WORK = 4096
"""Descriptors after which a batch ends."""


class SplitRing:
    """Reads and writes a queue's rings. Implements queue.Ring."""

    def __init__(self, queue: "VirtQueue", dma: BusMaster) -> None:
        self._queue = queue
        self._generation = queue.generation
        self._dma_read = dma.read
        self._write = dma.write
        self._available_index = dma.reader(sheet.VIRTQ_EVENT_CODEC, "virtq_avail.idx")
        self._available_flags = dma.reader(sheet.VIRTQ_EVENT_CODEC, "virtq_avail.flags")
        self._used_event = dma.reader(sheet.VIRTQ_EVENT_CODEC, "virtq_avail.used_event")
        self._store_index = dma.writer(sheet.VIRTQ_EVENT_CODEC, "virtq_used.idx")
        self._store_flags = dma.writer(sheet.VIRTQ_EVENT_CODEC, "virtq_used.flags")
        self._store_event = dma.writer(sheet.VIRTQ_EVENT_CODEC, "virtq_used.avail_event")
        self._size = queue.size
        self._table, self._available, self._used = queue.descriptors, queue.driver_area, queue.device_area

    def modulus(self) -> int:
        return 1 << 16

    # --- available

    def fetch(self) -> None:
        queue, size = self._queue, self._size
        start = queue.last_available
        (index,) = self._available_index(self._available + _IDX)
        fresh = index - start & 0xFFFF
        if not fresh or queue.generation != self._generation:
            return
        outstanding = start - queue.last_used & 0xFFFF
        if fresh + outstanding > size:
            what = f"idx is {index} after {start}, in a queue of {size} with {outstanding} in use"
            queue.violated(Violation(INDEX_JUMP, what))
            return
        at = start % size
        count = min(fresh, BATCH, size - at)
        try:
            raw = self._read(self._available + _RING + 2 * at, 2 * count, "virtq_avail.ring")
            self._gather(unpack(f"<{count}H", raw))
        except Violation as violation:
            if not queue.fetched:  # otherwise it is met again, when those before it are done
                queue.violated(violation)
        except Stale:
            pass

    def _read(self, address: int, length: int, layout: str) -> bytes:
        raw = self._dma_read(address, length, layout)
        if self._queue.generation != self._generation:
            raise Stale
        return raw

    def _gather(self, heads: tuple[int, ...]) -> None:
        """The chains at `heads`, in order, with one read for those whose descriptors lie close together."""
        fetched, size, count = self._queue.fetched, self._size, len(heads)
        work = begin = 0
        while begin < count and work < WORK:
            low = high = heads[begin]
            if low >= size:
                raise Violation(BAD_HEAD, f"head {low} in a table of {size}")
            end = begin + 1
            while end < count and 0 < heads[end] - high <= NEAR and heads[end] < size:
                high = heads[end]
                end += 1
            raw = self._read(self._table + _SIZE * low, _SIZE * (min(high + NEAR, size) - low), "virtq_desc")
            for head in heads[begin:end]:
                address, length, flags, _ = _DESCRIPTOR.unpack_from(raw, (head - low) * _SIZE)
                if not flags & (_NEXT | _INDIRECT) and length:
                    if flags & _WRITE:
                        fetched.append(Chain(head, 1, [], [(address, length)], 0, length))
                    else:
                        fetched.append(Chain(head, 1, [(address, length)], [], length))
                    work += 1
                else:
                    chain = self._walk(head, raw, low)
                    fetched.append(chain)
                    work += chain.count
            begin = end

    def _walk(self, head: int, raw: bytes, low: int) -> Chain:
        """The chain from `head` on; `raw` has the descriptors from `low` on."""
        size, chain, index, count = self._size, Chain(head, 1), head, 0
        while True:
            count += 1
            if count > size:
                raise Violation(LOOP, f"chain {head} comes back to descriptor {index}")
            offset = (index - low) * _SIZE
            if 0 <= offset < len(raw):
                address, length, flags, following = _DESCRIPTOR.unpack_from(raw, offset)
            else:
                one = self._read(self._table + _SIZE * index, _SIZE, "virtq_desc")
                address, length, flags, following = _DESCRIPTOR.unpack(one)
            if flags & _INDIRECT:
                if flags & _NEXT:
                    raise Violation(INDIRECT_IN_LIST, f"descriptor {index} of chain {head} has INDIRECT and NEXT")
                self._walk_table(chain, address, length, count - 1)
                return chain
            chain.add(address, length, bool(flags & _WRITE))
            if not flags & _NEXT:
                return chain
            if following >= size:
                raise Violation(BAD_NEXT, f"descriptor {index} goes on at {following}, in a table of {size}")
            index = following

    def _walk_table(self, chain: Chain, table: int, length: int, before: int) -> None:
        """The rest of a chain, in an indirect table (2.7.5.3). `before`: descriptors in front of it."""
        if not self._queue.indirect:
            raise Violation(INDIRECT_UNKNOWN, f"chain {chain.id} has an indirect table")
        entries = length // _SIZE
        if not entries or length % _SIZE:
            raise Violation(TABLE_LENGTH, f"chain {chain.id} has a table of {length} bytes")
        if entries > self._size:
            raise Violation(TABLE_TOO_LONG, f"chain {chain.id} has a table of {entries} in a queue of {self._size}")
        raw = self._read(table, length, "virtq_desc")
        index = count = 0
        while True:
            count += 1
            if count > entries:
                raise Violation(LOOP, f"the table of chain {chain.id} comes back to entry {index}")
            if before + count > self._size:
                raise Violation(CHAIN_TOO_LONG, f"chain {chain.id} has more than {self._size} descriptors")
            address, size, flags, following = _DESCRIPTOR.unpack_from(raw, index * _SIZE)
            if flags & _INDIRECT:
                raise Violation(INDIRECT_NESTED, f"entry {index} of the table of chain {chain.id}")
            chain.add(address, size, bool(flags & _WRITE))
            if not flags & _NEXT:
                return
            if following >= entries:
                raise Violation(BAD_NEXT, f"entry {index} goes on at {following}, in a table of {entries}")
            index = following

    def waiting(self) -> bool:
        return bool(self._available_index(self._available + _IDX)[0] != self._queue.last_available)

    # --- used

    def publish(self) -> bool:
        """Elements first, then idx, alone (2.7.8.2)."""
        queue, size, pending = self._queue, self._size, self._queue.pending
        count = len(pending) // 3
        elements = [0] * (2 * count)
        elements[::2] = pending[::3]
        elements[1::2] = pending[1::3]
        data = pack(f"<{2 * count}I", *elements)
        before = queue.last_used
        at = before % size
        ring, room = self._used + _RING, 8 * (size - at)
        self._write(ring + 8 * at, data[:room], "virtq_used.ring")
        if len(data) > room and queue.generation == self._generation:
            self._write(ring, data[room:], "virtq_used.ring")
        if queue.generation != self._generation:
            return False
        queue.last_used = after = before + count & 0xFFFF
        pending.clear()
        self._store_index(self._used + _IDX, after)
        return queue.generation == self._generation and self._wanted(before, after)

    def _wanted(self, before: int, after: int) -> bool:
        """2.7.7.2: whether the driver wants to be told of the elements between these indexes."""
        if not self._queue.event_index:
            return not self._available_flags(self._available + _FLAGS)[0] & _NO_INTERRUPT
        (event,) = self._used_event(self._available + _RING + 2 * self._size)
        return bool((after - event - 1 & 0xFFFF) < (after - before & 0xFFFF))

    def suppress(self, on: bool) -> None:
        """2.7.10.2. With avail_event there is no off: not moving it on is enough."""
        queue = self._queue
        if queue.event_index:
            if queue.silenced:  # before the feature was negotiated, as the legacy interface allows
                queue.silenced = False
                self._store_flags(self._used + _FLAGS, 0)
            if on:
                self._store_event(self._used + _RING + 8 * self._size, queue.last_available)
        elif queue.silenced == on:
            queue.silenced = not on
            self._store_flags(self._used + _FLAGS, 0 if on else _NO_NOTIFY)
