"""Split virtqueues (virtio 2.7): descriptor table, available ring, used ring."""

from functools import cache
from struct import Struct
from typing import TYPE_CHECKING, TypeVar

from motenet.datasheets.virtio import queues as sheet
from motenet.devices.virtio.chain import (
    BAD_HEAD,
    BAD_NEXT,
    BATCH,
    CHAIN_TOO_LONG,
    INDEX_JUMP,
    INDIRECT_IN_LIST,
    INDIRECT_NESTED,
    INDIRECT_UNKNOWN,
    LOOP,
    MOST_BYTES,
    TABLE_LENGTH,
    TABLE_TOO_LONG,
    WORK,
    Gathering,
    Stale,
    Violation,
)
from motenet.doors import BusMaster

if TYPE_CHECKING:
    from motenet.devices.virtio.queue import VirtQueue

_T = TypeVar("_T")

_NEXT, _WRITE, _INDIRECT = (sheet.VIRTQ_DESC_FLAGS[name] for name in ("NEXT", "WRITE", "INDIRECT"))
_NO_INTERRUPT, _NO_NOTIFY = sheet.VIRTQ_AVAIL_FLAGS["NO_INTERRUPT"], sheet.VIRTQ_USED_FLAGS["NO_NOTIFY"]
_FLAGS, _IDX, _RING = sheet.VIRTQ_FLAGS_OFFSET, sheet.VIRTQ_IDX_OFFSET, sheet.VIRTQ_RING_OFFSET
_DESCRIPTOR = sheet.VIRTQ_DESC_CODEC
_SIZE = sheet.DESC_SIZE

NEAR = 4
"""Heads that lie no further apart are read together, with what is between: their chains go on there."""


@cache
def _numbers(count: int, kind: str) -> Struct:
    """`count` numbers, 16 ("H") or 32 bits ("I") wide."""
    return Struct(f"<{count}{kind}")


class SplitRing:
    """Reads and writes a queue's rings. Implements queue.Ring."""

    def __init__(self, queue: "VirtQueue", dma: BusMaster) -> None:
        self._queue = queue
        self._generation = queue.generation
        self._read = dma.read
        self._write = dma.write
        self._available_index = dma.reader(sheet.VIRTQ_EVENT_CODEC, "virtq_avail.idx")
        self._available_entry = dma.reader(sheet.VIRTQ_AVAIL_ENTRY_CODEC, "virtq_avail.ring")
        self._descriptor = dma.reader(_DESCRIPTOR, "virtq_desc")
        self._available_flags = dma.reader(sheet.VIRTQ_EVENT_CODEC, "virtq_avail.flags")
        self._used_event = dma.reader(sheet.VIRTQ_EVENT_CODEC, "virtq_avail.used_event")
        self._store_element = dma.writer(sheet.VIRTQ_USED_ELEM_CODEC, "virtq_used.ring")
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
        entry = self._available + _RING + 2 * at
        try:
            if fresh == 1:
                self._gather_one(*self._current(self._available_entry(entry)))
            else:
                count = min(fresh, BATCH, size - at)
                raw = self._current(self._read(entry, 2 * count, "virtq_avail.ring"))
                self._gather(_numbers(count, "H").unpack(raw))
        except Violation as violation:
            if not queue.fetched:  # otherwise it is met again, when those before it are done
                queue.violated(violation)
        except Stale:
            pass

    def _current(self, read: _T) -> _T:
        """What was just read, if the queue is still the one it was read for."""
        if self._queue.generation != self._generation:
            raise Stale
        return read

    def _gather_one(self, head: int) -> None:
        if head >= self._size:
            raise Violation(BAD_HEAD, f"head {head} in a table of {self._size}")
        descriptor = self._current(self._descriptor(self._table + _SIZE * head))
        address, length, flags, _ = descriptor
        if not flags and length:
            self._queue.fetched.append((head, 1, ((address, length),), (), length, 0))
        else:
            self._walk(head, descriptor, b"", 0)

    def _gather(self, heads: tuple[int, ...]) -> None:
        """The chains at `heads`, in order, with one read for those whose descriptors lie close together."""
        fetched, size, count = self._queue.fetched, self._size, len(heads)
        work = begin = 0
        while begin < count and work < WORK:
            low = heads[begin]
            if low >= size:
                raise Violation(BAD_HEAD, f"head {low} in a table of {size}")
            end = self._neighbours(heads, begin)
            high = heads[end - 1]
            span = _SIZE * (min(high + NEAR, size) - low)
            raw = self._current(self._read(self._table + _SIZE * low, span, "virtq_desc"))
            run = heads[begin:end]
            if high - low == end - begin - 1:  # one head behind the other
                descriptors = _DESCRIPTOR.iter_unpack(raw)
            else:
                descriptors = (_DESCRIPTOR.unpack_from(raw, (head - low) * _SIZE) for head in run)
            for head, (address, length, flags, following) in zip(run, descriptors, strict=False):
                if not flags and length:
                    fetched.append((head, 1, ((address, length),), (), length, 0))
                elif flags == _WRITE and length:
                    fetched.append((head, 1, (), ((address, length),), 0, length))
                elif not self._gather_pair(head, (address, length, flags, following), raw, low):
                    work += self._walk(head, (address, length, flags, following), raw, low)
                    if work >= WORK:
                        return
            begin = end

    def _gather_pair(self, head: int, first: tuple[int, ...], raw: bytes, low: int) -> bool:
        """The usual chain, header and data side by side. False: it is not of that kind, and nothing is done."""
        address, length, flags, following = first
        offset = (following - low) * _SIZE
        if not flags & _NEXT or not 0 <= offset < len(raw):
            return False
        second, rest, last_flags, _ = _DESCRIPTOR.unpack_from(raw, offset)
        if flags != last_flags | _NEXT or last_flags & ~_WRITE or not length or not rest or length + rest > MOST_BYTES:
            return False
        buffers, total = ((address, length), (second, rest)), length + rest
        writable = (head, 1, (), buffers, 0, total)
        self._queue.fetched.append(writable if last_flags else (head, 1, buffers, (), total, 0))
        return True

    def _neighbours(self, heads: tuple[int, ...], begin: int) -> int:
        """The end of those heads from `begin` on that follow each other closely."""
        high, end, count, size = heads[begin], begin + 1, len(heads), self._size
        if heads[-1] == high + count - end and heads[-1] < size and heads == tuple(range(heads[0], heads[0] + count)):
            return count
        while end < count and 0 < heads[end] - high <= NEAR and heads[end] < size:
            high = heads[end]
            end += 1
        return end

    def _walk(self, head: int, descriptor: tuple[int, ...], raw: bytes, low: int) -> int:
        """Fetch the chain that begins with this descriptor; `raw` has those from `low` on. Returns its length."""
        size, chain, index, count = self._size, Gathering(f"chain {head}"), head, 1
        address, length, flags, following = descriptor
        while not flags & _INDIRECT:
            chain.add(address, length, flags & _WRITE)
            if not flags & _NEXT:
                break
            if following >= size:
                raise Violation(BAD_NEXT, f"descriptor {index} goes on at {following}, in a table of {size}")
            index = following
            count += 1
            if count > size:
                raise Violation(LOOP, f"chain {head} comes back to descriptor {index}")
            offset = (index - low) * _SIZE
            if 0 <= offset < len(raw):
                address, length, flags, following = _DESCRIPTOR.unpack_from(raw, offset)
            else:
                descriptor = self._current(self._descriptor(self._table + _SIZE * index))
                address, length, flags, following = descriptor
        else:
            if flags & _NEXT:
                raise Violation(INDIRECT_IN_LIST, f"descriptor {index} of chain {head} has INDIRECT and NEXT")
            self._walk_table(chain, address, length, count - 1)
        self._queue.fetched.append(chain.chain(head, 1))
        return chain.count

    def _walk_table(self, chain: Gathering, table: int, length: int, before: int) -> None:
        """The rest of a chain, in an indirect table (2.7.5.3). `before`: descriptors in front of it."""
        if not self._queue.indirect:
            raise Violation(INDIRECT_UNKNOWN, f"{chain.what} has an indirect table")
        entries = length // _SIZE
        if not entries or length % _SIZE:
            raise Violation(TABLE_LENGTH, f"{chain.what} has a table of {length} bytes")
        if entries > self._size:
            raise Violation(TABLE_TOO_LONG, f"{chain.what} has a table of {entries} in a queue of {self._size}")
        raw = self._current(self._read(table, length, "virtq_desc"))
        index = count = 0
        while True:
            count += 1
            if count > entries:
                raise Violation(LOOP, f"the table of {chain.what} comes back to entry {index}")
            if before + count > self._size:
                raise Violation(CHAIN_TOO_LONG, f"{chain.what} has more than {self._size} descriptors")
            address, size, flags, following = _DESCRIPTOR.unpack_from(raw, index * _SIZE)
            if flags & _INDIRECT:
                raise Violation(INDIRECT_NESTED, f"entry {index} of the table of {chain.what}")
            chain.add(address, size, flags & _WRITE)
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
        queue, count = self._queue, len(self._queue.used_ids)
        before = queue.last_used
        if count == 1:
            element = self._used + _RING + before % self._size * 8
            self._store_element(element, queue.used_ids[0], queue.used_lengths[0])
        else:
            self._store_elements(before % self._size, queue.used_ids, queue.used_lengths)
        if queue.generation != self._generation:
            return False
        queue.last_used = after = before + count & 0xFFFF
        queue.clear_used()
        self._store_index(self._used + _IDX, after)
        return queue.generation == self._generation and self._wanted(before, after)

    def _store_elements(self, at: int, ids: list[int], lengths: list[int]) -> None:
        elements = [0] * (2 * len(ids))
        elements[::2], elements[1::2] = ids, lengths
        data = _numbers(len(elements), "I").pack(*elements)
        ring, room = self._used + _RING, 8 * (self._size - at)
        self._write(ring + 8 * at, data[:room], "virtq_used.ring")
        if len(data) > room and self._queue.generation == self._generation:
            self._write(ring, data[room:], "virtq_used.ring")

    def _wanted(self, before: int, after: int) -> bool:
        """2.7.7.2: whether the driver wants to be told of the elements between these indexes."""
        if not self._queue.event_index:
            return not self._available_flags(self._available + _FLAGS)[0] & _NO_INTERRUPT
        (event,) = self._used_event(self._available + _RING + 2 * self._size)
        return bool((after - event - 1 & 0xFFFF) < (after - before & 0xFFFF))

    def suppress(self, on: bool) -> None:
        """2.7.10.2. With avail_event there is no off: not moving it on is enough."""
        queue = self._queue
        silenced = int(not on)
        if queue.event_index and on:
            if queue.silenced:
                self._store_flags(self._used + _FLAGS, 0)
            self._store_event(self._used + _RING + 8 * self._size, queue.last_available)
        elif queue.silenced != silenced and not queue.event_index:
            self._store_flags(self._used + _FLAGS, _NO_NOTIFY if silenced else 0)
        queue.silenced = silenced
