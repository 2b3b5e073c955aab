"""The split virtqueue, the driver's side (virtio 2.7)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from motenet.datasheets.layouts import dtype
from motenet.datasheets.virtio.queues import (
    DESC_SIZE,
    LEGACY_QUEUE_ALIGN,
    VIRTQ_AVAIL_ENTRY,
    VIRTQ_AVAIL_ENTRY_CODEC,
    VIRTQ_AVAIL_FLAGS,
    VIRTQ_DESC_ALIGN,
    VIRTQ_DESC_CODEC,
    VIRTQ_DESC_FLAGS,
    VIRTQ_EVENT_CODEC,
    VIRTQ_FLAGS_OFFSET,
    VIRTQ_IDX_OFFSET,
    VIRTQ_RING_OFFSET,
    VIRTQ_USED_ALIGN,
    VIRTQ_USED_ELEM_CODEC,
    VIRTQ_USED_FLAGS,
    legacy_offsets,
    split_sizes,
)
from motenet.doors import Dma
from motenet.drivers.virtio.queue import Piece, Virtqueue

_NEXT, _WRITE, _INDIRECT = VIRTQ_DESC_FLAGS["NEXT"], VIRTQ_DESC_FLAGS["WRITE"], VIRTQ_DESC_FLAGS["INDIRECT"]
_NO_INTERRUPT, _NO_NOTIFY = VIRTQ_AVAIL_FLAGS["NO_INTERRUPT"], VIRTQ_USED_FLAGS["NO_NOTIFY"]
_ENTRY, _ELEM = VIRTQ_AVAIL_ENTRY_CODEC.size, VIRTQ_USED_ELEM_CODEC.size
_LEGACY_MASK = (1 << 44) - 1
"""4.1.4.10: 32 bits of page number."""


class SplitQueue(Virtqueue):
    """A split virtqueue; `size` is a power of two (2.7). `legacy`: one piece with the layout of 2.7.2.

    `head`: the first so many bytes of the buffers of `put` and `repost` are a descriptor of their own (5.1.6.6).

    Slot s has the descriptors from s * span on, so that a buffer that comes back tells its slot. `produced` and
    `consumed` run free; avail.idx and used.idx are their low 16 bits.
    """

    def __init__(
        self, dma: Dma, number: int, size: int, *, legacy: bool = False, head: int = 0, **options: Any
    ) -> None:
        super().__init__(dma, number, size, **options)
        self._head = head
        descriptors, available, used = split_sizes(size)
        if legacy:
            self._avail, self._used, total = legacy_offsets(size)
            self.buffer = dma.allocate(total, LEGACY_QUEUE_ALIGN, 0, _LEGACY_MASK)
        else:
            self._avail = descriptors
            self._used = -(-(descriptors + available) // VIRTQ_USED_ALIGN) * VIRTQ_USED_ALIGN
            total = self._used + used
            self.buffer = dma.allocate(total, VIRTQ_DESC_ALIGN)
        self._total = total
        buffer = self.buffer
        self._ring = self._avail + VIRTQ_RING_OFFSET
        self._elements = self._used + VIRTQ_RING_OFFSET
        self._used_event = self._ring + size * _ENTRY
        self._avail_event = self._elements + size * _ELEM
        self._store = buffer.packer(VIRTQ_DESC_CODEC)
        self._store_entry = buffer.packer(VIRTQ_AVAIL_ENTRY_CODEC)
        self._store_word = buffer.packer(VIRTQ_EVENT_CODEC)
        self._load_word = buffer.unpacker(VIRTQ_EVENT_CODEC)
        self._load_element = buffer.unpacker(VIRTQ_USED_ELEM_CODEC)
        self._entries = buffer.columns(dtype(VIRTQ_AVAIL_ENTRY), self._ring, size)["head"]
        self._store_table = None if self._tables is None else self._tables.packer(VIRTQ_DESC_CODEC)
        self._plain = _WRITE if self._write else 0
        self._row: tuple[int, int, int] | None = None

    @property
    def areas(self) -> tuple[int, int, int]:
        base = self.buffer.address
        return base, base + self._avail, base + self._used

    def open(self) -> None:
        """2.7.10.1: flags and everything else start as zero."""
        super().open()
        self.buffer.lend(0, self._total)[:] = bytes(self._total)
        if self._row is not None:
            base, stride, length = self._row
            for slot in range(self.count):
                self._describe(slot, base + slot * stride, length)

    def lay_out(self, base: int, stride: int, length: int) -> None:
        """Buffers that stay where they are, for `repost`: slot s is `length` bytes at base + s * stride."""
        self._row = (base, stride, length)

    # --- to the device

    def _describe(self, slot: int, address: int, length: int) -> None:
        head, write = self._head, self._write
        if head:
            self._describe_chain(slot, ((address, head, write), (address + head, length - head, write)))
        else:
            self._store(slot * self.span * DESC_SIZE, address, length, self._plain, 0)

    def _describe_chain(self, slot: int, pieces: Sequence[Piece]) -> None:
        """A chain (2.7.5), or a table of descriptors where that spares some (2.7.5.3)."""
        first = slot * self.span
        tables, store_table = self._tables, self._store_table
        if tables is None or store_table is None or len(pieces) == 1:
            base, start, store = first, first, self._store
        else:
            at = slot * self._pieces * DESC_SIZE
            self._store(first * DESC_SIZE, tables.address + at, len(pieces) * DESC_SIZE, _INDIRECT, 0)
            base, start, store = at // DESC_SIZE, 0, store_table
        last = len(pieces) - 1
        for place, (address, length, write) in enumerate(pieces):
            flags = (_WRITE if write else 0) | (_NEXT if place < last else 0)
            store((base + place) * DESC_SIZE, address, length, flags, start + place + 1 if place < last else 0)

    def _offer(self, slot: int) -> None:
        self._store_entry(self._ring + self.produced % self.size * _ENTRY, slot * self.span)
        self.posted[slot] = 1
        self.produced += 1

    def put(self, slot: int, address: int, length: int) -> None:
        self._describe(slot, address, length)
        self._offer(slot)

    def chain(self, slot: int, pieces: Sequence[Piece]) -> None:
        self._describe_chain(slot, pieces)
        self._offer(slot)

    def repost(self, slots: Sequence[int]) -> None:
        """Put laid out buffers: the device never writes into split descriptors, so they are what they were."""
        count, posted = len(slots), self.posted
        first = self.produced % self.size
        heads = np.array(slots, "<u2") * np.uint16(self.span)
        rest = self.size - first
        self._entries[first : first + count] = heads[:rest]
        if count > rest:
            self._entries[: count - rest] = heads[rest:]
        for slot in slots:
            posted[slot] = 1
        self.produced += count

    def publish(self) -> None:
        """2.7.13.3: show the device what was put, and notify it if it wants that (2.7.10.1)."""
        before, after = self.published, self.produced
        if before == after:
            return
        self._barrier()  # 2.7.13.3.1: descriptors and entries before idx
        self._store_word(self._avail + VIRTQ_IDX_OFFSET, after & 0xFFFF)
        self.published = after
        if not self.live:
            return
        self._barrier()  # 2.7.13.4.1: idx before the question
        if self._event_idx:
            event = self._load_word(self._avail_event)[0]
            wanted = (after - event - 1) & 0xFFFF < after - before
        else:
            wanted = not self._load_word(self._used + VIRTQ_FLAGS_OFFSET)[0] & _NO_NOTIFY
        if wanted:
            self.kick()

    # --- from the device

    def waiting(self) -> bool:
        """Whether buffers have come back."""
        return self._load_word(self._used + VIRTQ_IDX_OFFSET)[0] != self.consumed & 0xFFFF and not self.broken

    def peek(self) -> tuple[int, int] | None:
        """Slot and written bytes of the next buffer that has come back; None when there is none."""
        consumed = self.consumed
        ready = (self._load_word(self._used + VIRTQ_IDX_OFFSET)[0] - consumed) & 0xFFFF
        if not ready or self.broken:
            return None
        if ready > self.published - consumed:
            self._break(f"used.idx claims {ready} buffers of {self.published - consumed} (virtio 2.7.8)")
            return None
        head, length = self._load_element(self._elements + consumed % self.size * _ELEM)
        slot, rest = divmod(head, self.span)
        if rest or slot >= self.count or not self.posted[slot]:
            self._break(f"descriptor {head} comes back and was not given (virtio 2.7.8)")
            return None
        return slot, length

    def advance(self, slot: int) -> None:
        """Take the buffer that `peek` has shown."""
        self.posted[slot] = 0
        self.consumed += 1

    def take(self) -> tuple[int, int] | None:
        """`peek` and `advance` in one."""
        used = self.peek()
        if used is not None:
            self.posted[used[0]] = 0
            self.consumed += 1
        return used

    def enable(self, after: int = 0) -> bool:
        """Ask for an interrupt once `after` more buffers than the next have come back (2.7.7.1).

        Says whether some are there already, for which none may come.
        """
        if self._event_idx:
            self._store_word(self._used_event, self.consumed + after & 0xFFFF)
        else:
            self._store_word(self._avail + VIRTQ_FLAGS_OFFSET, 0)
        self._barrier()
        return self.waiting()

    def disable(self) -> None:
        """Ask for no interrupts. With an event index there is nothing to say: the one asked for has come."""
        if not self._event_idx:
            self._store_word(self._avail + VIRTQ_FLAGS_OFFSET, _NO_INTERRUPT)
