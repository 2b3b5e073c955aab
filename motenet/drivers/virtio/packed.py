"""The packed virtqueue, the driver's side (virtio 2.8)."""

from collections.abc import Sequence
from struct import Struct
from typing import Any, ClassVar

import numpy as np

from motenet.datasheets.layouts import dtype
from motenet.datasheets.virtio.queues import (
    DESC_SIZE,
    PVIRTQ_DESC,
    PVIRTQ_DESC_ALIGN,
    PVIRTQ_DESC_CODEC,
    PVIRTQ_DESC_FLAGS,
    PVIRTQ_DESC_FLAGS_CODEC,
    PVIRTQ_EVENT_DESC,
    PVIRTQ_EVENT_FLAGS,
    PVIRTQ_EVENT_SUPPRESS_CODEC,
    RING_EVENT_FLAGS_DESC,
    RING_EVENT_FLAGS_DISABLE,
    RING_EVENT_FLAGS_ENABLE,
)
from motenet.doors import Dma
from motenet.drivers.virtio.queue import Piece, Virtqueue

_NEXT, _WRITE, _INDIRECT = PVIRTQ_DESC_FLAGS["NEXT"], PVIRTQ_DESC_FLAGS["WRITE"], PVIRTQ_DESC_FLAGS["INDIRECT"]
_AVAIL, _USED = PVIRTQ_DESC_FLAGS["AVAIL"], PVIRTQ_DESC_FLAGS["USED"]
_BOTH = _AVAIL | _USED
_FLAGS = PVIRTQ_DESC_FLAGS.offset
_EVENT_FLAGS = PVIRTQ_EVENT_FLAGS.mask()
_OFF, _WRAP = PVIRTQ_EVENT_DESC["OFF"], PVIRTQ_EVENT_DESC["WRAP"]
_WITHOUT_FLAGS = Struct(PVIRTQ_DESC_CODEC.format[:-1])
_ROW_FROM = 16
"""Buffers from which on numpy's columns are faster than one at a time."""


class PackedQueue(Virtqueue):
    """A packed virtqueue. Buffer ids are slots.

    The flags of the first descriptor that the device has not been shown are stored by `publish`, after all else.
    """

    STATE: ClassVar[tuple[str, ...]] = (
        *Virtqueue.STATE, "avail_at", "avail_wrap", "used_at", "used_wrap", "spans", "first_at", "first_flags", "fresh",
    )  # fmt: skip

    def __init__(self, dma: Dma, number: int, size: int, **options: Any) -> None:
        super().__init__(dma, number, size, **options)
        self._driver_event = size * DESC_SIZE
        self._device_event = self._driver_event + PVIRTQ_EVENT_SUPPRESS_CODEC.size
        self._total = self._device_event + PVIRTQ_EVENT_SUPPRESS_CODEC.size
        buffer = self.buffer = dma.allocate(self._total, PVIRTQ_DESC_ALIGN)
        self._store = buffer.packer(PVIRTQ_DESC_CODEC)
        self._store_first = buffer.packer(_WITHOUT_FLAGS)
        self._store_flags = buffer.packer(PVIRTQ_DESC_FLAGS_CODEC)
        self._load = buffer.unpacker(PVIRTQ_DESC_CODEC)
        self._load_event = buffer.unpacker(PVIRTQ_EVENT_SUPPRESS_CODEC)
        self._columns = buffer.columns(dtype(PVIRTQ_DESC), 0, size)
        self._store_table = None if self._tables is None else self._tables.packer(PVIRTQ_DESC_CODEC)
        self._plain = _WRITE if self._write else 0
        self._base = self._stride = self._length = 0

        self.avail_at, self.avail_wrap = 0, 1
        """2.8.1: the next descriptor to fill, and the Driver Ring Wrap Counter."""
        self.used_at, self.used_wrap = 0, 1
        """Where the next used descriptor will be, and the Device Ring Wrap Counter there."""
        self.spans = [1] * self.count
        """For each slot: how many descriptors its buffer has."""
        self.first_at, self.first_flags = -1, 0
        """The descriptor whose flags are kept back, or -1."""
        self.fresh = 0
        """Descriptors filled since the last `publish`."""

    @property
    def areas(self) -> tuple[int, int, int]:
        base = self.buffer.address
        return base, base + self._driver_event, base + self._device_event

    def open(self) -> None:
        """2.8.1: both wrap counters start as 1; 2.8.13: the ring as zeros."""
        super().open()
        self.buffer.lend(0, self._total)[:] = bytes(self._total)
        self.avail_at = self.used_at = self.fresh = 0
        self.avail_wrap = self.used_wrap = 1
        self.first_at = -1

    def lay_out(self, base: int, stride: int, length: int) -> None:
        """Buffers that stay where they are, for `repost`: slot s is `length` bytes at base + s * stride."""
        self._base, self._stride, self._length = base, stride, length

    # --- to the device

    def _describe(self, address: int, length: int, slot: int, flags: int) -> None:
        """2.8.21.1: the next descriptor; AVAIL as the wrap counter, USED its inverse."""
        at = self.avail_at
        flags |= _AVAIL if self.avail_wrap else _USED
        if self.first_at < 0:
            self.first_at, self.first_flags = at, flags
            self._store_first(at * DESC_SIZE, address, length, slot)
        else:
            self._store(at * DESC_SIZE, address, length, slot, flags)
        at += 1
        if at == self.size:
            at, self.avail_wrap = 0, self.avail_wrap ^ 1
        self.avail_at = at
        self.fresh += 1

    def put(self, slot: int, address: int, length: int) -> None:
        self._describe(address, length, slot, self._plain)
        self.posted[slot] = self.spans[slot] = 1
        self.produced += 1

    def chain(self, slot: int, pieces: Sequence[Piece]) -> None:
        """A list of descriptors (2.8.6), or a table where that spares some (2.8.7)."""
        tables, store_table = self._tables, self._store_table
        if tables is not None and store_table is not None and len(pieces) > 1:
            at = slot * self._pieces * DESC_SIZE
            for place, (address, length, write) in enumerate(pieces):
                store_table(at + place * DESC_SIZE, address, length, 0, _WRITE if write else 0)
            self._describe(tables.address + at, len(pieces) * DESC_SIZE, slot, _INDIRECT)
            self.spans[slot] = 1
        else:
            last = len(pieces) - 1
            for place, (address, length, write) in enumerate(pieces):
                flags = (_WRITE if write else 0) | (_NEXT if place < last else 0)
                self._describe(address, length, slot, flags)
            self.spans[slot] = len(pieces)
        self.posted[slot] = 1
        self.produced += 1

    def repost(self, slots: Sequence[int]) -> None:
        """Put laid out buffers."""
        if len(slots) < _ROW_FROM:
            for slot in slots:
                self.put(slot, self._base + slot * self._stride, self._length)
            return
        self.put(slots[0], self._base + slots[0] * self._stride, self._length)
        done = 1
        while done < len(slots):
            part = slots[done : done + self.size - self.avail_at]
            self._fill_row(part)
            done += len(part)

    def _fill_row(self, slots: Sequence[int]) -> None:
        """Descriptors in a row, none of them the first that the device has not been shown."""
        first, last = self.avail_at, self.avail_at + len(slots)
        row, ids = self._columns[first:last], np.array(slots, "<u8")
        row["addr"] = ids * np.uint64(self._stride) + np.uint64(self._base)
        row["len"], row["id"] = self._length, ids
        row["flags"] = self._plain | (_AVAIL if self.avail_wrap else _USED)
        for slot in slots:
            self.posted[slot] = self.spans[slot] = 1
        self.produced += len(slots)
        self.fresh += len(slots)
        if last == self.size:
            last, self.avail_wrap = 0, self.avail_wrap ^ 1
        self.avail_at = last

    def publish(self) -> None:
        """Show the device what was put, and notify it if it wants that (2.8.21.2)."""
        if self.first_at < 0:
            return
        self._barrier()  # 2.8.21.1.1
        self._store_flags(self.first_at * DESC_SIZE + _FLAGS, self.first_flags)
        self.first_at = -1
        fresh, self.fresh = self.fresh, 0
        self.published = self.produced
        if not self.live:
            return
        self._barrier()  # 2.8.21.3.1
        if self._wanted(fresh):
            self.kick()

    def _wanted(self, fresh: int) -> bool:
        """2.8.10: whether the device wants to hear of the last `fresh` descriptors.

        A device that has used the very descriptor of which it wanted to hear, and neither names another nor forbids
        notifications, has forgotten to ask: QEMU does when its cable was full (hw/net/virtio-net.c,
        virtio_net_tx_complete: it asks, goes on, and does not ask again).
        """
        position, flags = self._load_event(self._device_event)
        kind = flags & _EVENT_FLAGS
        if kind != RING_EVENT_FLAGS_DESC or not self._event_idx:
            return bool(kind != RING_EVENT_FLAGS_DISABLE)
        event: int = position & _OFF
        if bool(position & _WRAP) != bool(self.avail_wrap):
            event += self.size if event < self.avail_at else -self.size  # the lap to come, or the one before
        used = self.used_at if self.used_wrap == self.avail_wrap else self.used_at - self.size
        return event < used or self.avail_at - fresh <= event < self.avail_at

    # --- from the device

    def waiting(self) -> bool:
        """Whether buffers have come back."""
        if self.consumed == self.published or self.broken:
            return False
        flags = self._load(self.used_at * DESC_SIZE)[3] & _BOTH
        return bool(flags == (_BOTH if self.used_wrap else 0))

    def peek(self) -> tuple[int, int] | None:
        """Slot and written bytes of the next buffer that has come back; None when there is none.

        2.8.3 says that `len` counts only with the WRITE flag; QEMU never sets it in used descriptors.
        """
        if self.consumed == self.published or self.broken:
            return None
        _, length, slot, flags = self._load(self.used_at * DESC_SIZE)
        if flags & _BOTH != (_BOTH if self.used_wrap else 0):
            return None
        if slot >= self.count or not self.posted[slot]:
            self._break(f"buffer {slot} comes back and was not given (virtio 2.8.22)")
            return None
        return slot, length

    def advance(self, slot: int) -> None:
        """Take the buffer that `peek` has shown: as many descriptors are skipped as it had (2.8.22)."""
        self.posted[slot] = 0
        self.consumed += 1
        at = self.used_at + self.spans[slot]
        if at >= self.size:
            at, self.used_wrap = at - self.size, self.used_wrap ^ 1
        self.used_at = at

    def take(self) -> tuple[int, int] | None:
        """`peek` and `advance` in one."""
        if self.consumed == self.published or self.broken:
            return None
        at = self.used_at
        _, length, slot, flags = self._load(at * DESC_SIZE)
        if flags & _BOTH != (_BOTH if self.used_wrap else 0):
            return None
        if slot >= self.count or not self.posted[slot]:
            return self.peek()  # which finds out what is wrong
        self.posted[slot] = 0
        self.consumed += 1
        at += self.spans[slot]
        if at >= self.size:
            at, self.used_wrap = at - self.size, self.used_wrap ^ 1
        self.used_at = at
        return slot, length

    def enable(self, after: int = 0) -> bool:
        """Ask for an interrupt once `after` more buffers than the next have come back (2.8.10).

        Says whether some are there already, for which none may come.
        """
        if self._event_idx:
            at, wrap = self.used_at + after * self.span, self.used_wrap
            if at >= self.size:
                at, wrap = at - self.size, wrap ^ 1
            self._store_event(at | (_WRAP if wrap else 0), RING_EVENT_FLAGS_DESC)
        else:
            self._store_event(0, RING_EVENT_FLAGS_ENABLE)
        return self.waiting()

    def disable(self) -> None:
        """Ask for no interrupts."""
        self._store_flags(self._driver_event + PVIRTQ_EVENT_FLAGS.offset, RING_EVENT_FLAGS_DISABLE)

    def _store_event(self, position: int, flags: int) -> None:
        self._store_flags(self._driver_event, position)
        self._barrier()
        self._store_flags(self._driver_event + PVIRTQ_EVENT_FLAGS.offset, flags)
        self._barrier()
