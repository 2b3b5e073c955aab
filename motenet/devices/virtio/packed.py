"""Packed virtqueues (virtio 2.8): one ring of descriptors, and two event suppression structures."""

from struct import Struct
from typing import TYPE_CHECKING

from motenet.datasheets.virtio import queues as sheet
from motenet.devices.virtio.chain import (
    BATCH,
    CHAIN_TOO_LONG,
    INDIRECT_IN_LIST,
    INDIRECT_UNKNOWN,
    PARTIAL_CHAIN,
    TABLE_LENGTH,
    TABLE_TOO_LONG,
    UNKNOWN_FLAGS,
    WORK,
    Gathering,
    Stale,
    Violation,
)
from motenet.doors import BusMaster

if TYPE_CHECKING:
    from motenet.devices.virtio.queue import VirtQueue

_NEXT, _WRITE, _INDIRECT, _AVAIL, _USED = (
    sheet.PVIRTQ_DESC_FLAGS[name] for name in ("NEXT", "WRITE", "INDIRECT", "AVAIL", "USED")
)
_UNKNOWN = ~(_NEXT | _WRITE | _INDIRECT | _AVAIL | _USED)
_DESCRIPTOR = sheet.PVIRTQ_DESC_CODEC
_SIZE, _FLAGS_AT = sheet.DESC_SIZE, sheet.PVIRTQ_DESC_FLAGS.offset
_LENGTH_AT = 8
_NO_ADDRESS = bytes(_LENGTH_AT)
_USED_HALF = Struct("<IHH")  # len, id and flags, which lie behind addr (2.8.13)
_LENGTH_AND_ID = Struct("<IH")
_EVENT_FLAGS = sheet.PVIRTQ_EVENT_FLAGS["FLAGS"]
_EVENT_OFF, _EVENT_WRAP = sheet.PVIRTQ_EVENT_DESC["OFF"], sheet.PVIRTQ_EVENT_DESC["WRAP"]
_ENABLE, _DISABLE, _DESC = (
    sheet.RING_EVENT_FLAGS_ENABLE, sheet.RING_EVENT_FLAGS_DISABLE, sheet.RING_EVENT_FLAGS_DESC,
)  # fmt: skip
_EACH_FLAGS = Struct(f"<{_FLAGS_AT}xH")


class PackedRing:
    """Reads and writes a queue's ring. Implements queue.Ring.

    Positions count descriptors over two laps: in the first the wrap counter is 1, in the second 0 (2.8.1).
    """

    def __init__(self, queue: "VirtQueue", dma: BusMaster) -> None:
        self._queue = queue
        self._generation = queue.generation
        self._dma_read = dma.read
        self._write = dma.write
        self._load_flags = dma.reader(sheet.PVIRTQ_DESC_FLAGS_CODEC, "pvirtq_desc.flags")
        self._store_flags = dma.writer(sheet.PVIRTQ_DESC_FLAGS_CODEC, "pvirtq_desc.flags")
        self._store_length = dma.writer(_LENGTH_AND_ID, "pvirtq_desc")
        self._load_event = dma.reader(sheet.PVIRTQ_EVENT_SUPPRESS_CODEC, "pvirtq_event_suppress")
        self._store_event = dma.writer(sheet.PVIRTQ_EVENT_SUPPRESS_CODEC, "pvirtq_event_suppress")
        self._size = queue.size
        self._ring, self._driver, self._device = queue.descriptors, queue.driver_area, queue.device_area

    def modulus(self) -> int:
        return 2 * self._size

    def _available(self, position: int, flags: int) -> bool:
        """2.8.1: AVAIL is the wrap counter of that lap, and USED is not."""
        return flags & (_AVAIL | _USED) == (_AVAIL if position < self._size else _USED)

    # --- available

    def fetch(self) -> None:
        queue, position = self._queue, self._queue.last_available
        if not self.waiting() or queue.generation != self._generation:
            return
        at = position % self._size
        try:
            # flags are stored last: only bytes that are read after the flags were seen belong to them (2.8.21.1)
            raw = self._read(at, min(BATCH, self._size - at), "pvirtq_desc")
            available = 0
            for (flags,) in _EACH_FLAGS.iter_unpack(raw):
                if not self._available(position, flags):
                    break
                available += 1
            if available > 1:
                raw = self._read(at, available, "pvirtq_desc")
            self._gather(position, raw[: available * _SIZE])
        except Violation as violation:
            if not queue.fetched:  # otherwise it is met again, when those before it are done
                queue.violated(violation)
        except Stale:
            pass

    def _read(self, at: int, count: int, layout: str) -> bytes:
        return self._read_table(self._ring + _SIZE * at, _SIZE * count, layout)

    def _read_table(self, address: int, length: int, layout: str) -> bytes:
        raw = self._dma_read(address, length, layout)
        if self._queue.generation != self._generation:
            raise Stale
        return raw

    def _gather(self, position: int, raw: bytes) -> None:
        """The chains that begin in `raw`, which has the ring's descriptors from `position` on."""
        fetched, at, end, work = self._queue.fetched, 0, len(raw), 0
        while at < end and work < WORK:
            address, length, number, flags = _DESCRIPTOR.unpack_from(raw, at)
            kind = flags & ~(_AVAIL | _USED)
            if not kind and length:
                fetched.append((number, 1, ((address, length),), (), length, 0))
                at += _SIZE
            elif kind == _WRITE and length:
                fetched.append((number, 1, (), ((address, length),), 0, length))
                at += _SIZE
            else:
                at += self._walk(position + at // _SIZE, raw[at:]) * _SIZE
                work += len(fetched[-1][2]) + len(fetched[-1][3])

    def _walk(self, position: int, raw: bytes) -> int:
        """Fetch the list from `position` on; `raw` has its first descriptors. Returns their number."""
        size, chain, step, flags = self._size, Gathering(f"the list at {position % self._size}"), 0, _NEXT
        number = 0
        while flags & _NEXT:
            if step >= size:
                raise Violation(CHAIN_TOO_LONG, f"{chain.what} has more than {size} descriptors")
            here = (position + step) % (2 * size)
            one = raw[step * _SIZE : (step + 1) * _SIZE] or self._read(here % size, 1, "pvirtq_desc")
            address, length, number, flags = _DESCRIPTOR.unpack(one)
            if not self._available(here, flags):
                raise Violation(PARTIAL_CHAIN, f"descriptor {here % size} of {chain.what} has flags {flags:#06x}")
            if flags & _UNKNOWN:
                raise Violation(UNKNOWN_FLAGS, f"descriptor {here % size} of {chain.what} has flags {flags:#06x}")
            step += 1
            if not flags & _INDIRECT:
                chain.add(address, length, flags & _WRITE)
            elif flags & _NEXT or step > 1:
                raise Violation(INDIRECT_IN_LIST, f"descriptor {here % size} of {chain.what} is indirect")
            else:
                self._walk_table(chain, address, length)
        self._queue.fetched.append(chain.chain(number, step))  # 2.8.6: the id is in the last one
        return step

    def _walk_table(self, chain: Gathering, table: int, length: int) -> None:
        """2.8.7: one entry after the other; WRITE is the only flag that counts.

        Not so where the device only reads: DPDK's drivers (20.11 to 26.07) leave WRITE in the first entry, the
        header, and in the one whose place is that of the table's descriptor in the ring. Their own back-end looks at
        none.
        """
        if not self._queue.indirect:
            raise Violation(INDIRECT_UNKNOWN, f"{chain.what} has an indirect table")
        if not length or length % _SIZE:
            raise Violation(TABLE_LENGTH, f"{chain.what} has a table of {length} bytes")
        if length // _SIZE > self._size:
            raise Violation(TABLE_TOO_LONG, f"{chain.what} has a table of {length // _SIZE}")
        counts = 0 if self._queue.only_read else _WRITE
        for address, size, _, flags in _DESCRIPTOR.iter_unpack(self._read_table(table, length, "pvirtq_desc")):
            chain.add(address, size, flags & counts)

    def waiting(self) -> bool:
        position = self._queue.last_available
        return self._available(position, self._load_flags(self._ring + position % self._size * _SIZE + _FLAGS_AT)[0])

    # --- used

    def publish(self) -> bool:
        """The first element's flags last: the driver looks there, and then finds all of them (2.8.9)."""
        queue, modulus, lengths = self._queue, 2 * self._size, self._queue.used_lengths
        first = queue.last_used
        position = (first + queue.used_steps[0]) % modulus
        if len(lengths) > 1:
            position = self._store_behind(position)
        address = self._ring + first % self._size * _SIZE
        if queue.generation == self._generation:
            self._store_length(address + _LENGTH_AT, lengths[0], queue.used_ids[0])
        if queue.generation != self._generation:
            return False
        flags = self._used_flags(first, lengths[0])
        queue.last_used = position
        queue.clear_used()
        self._store_flags(address + _FLAGS_AT, flags)
        return queue.generation == self._generation and self._wanted((position - first) % modulus, position)

    def _store_behind(self, position: int) -> int:
        """All elements but the first, neighbours in one write. Returns where the next one will go.

        What `addr` holds then does not matter (2.8.4).
        """
        queue, size = self._queue, self._size
        places, halves = [], []
        for number, written, step in zip(queue.used_ids[1:], queue.used_lengths[1:], queue.used_steps[1:], strict=True):
            places.append(position % size)
            halves.append(_USED_HALF.pack(written, number, self._used_flags(position, written)))
            position = (position + step) % (2 * size)
        begin = 0
        while begin < len(places) and queue.generation == self._generation:
            at, end = places[begin], begin + 1
            while end < len(places) and places[end] == at + end - begin:
                end += 1
            self._write(self._ring + at * _SIZE + _LENGTH_AT, _NO_ADDRESS.join(halves[begin:end]), "pvirtq_desc")
            begin = end
        return position

    def _used_flags(self, position: int, written: int) -> int:
        """2.8.1: AVAIL and USED are both the wrap counter; 2.8.3: WRITE tells that something was written."""
        return (_AVAIL | _USED if position < self._size else 0) | (_WRITE if written else 0)

    def _wanted(self, steps: int, position: int) -> bool:
        """2.8.10: whether the driver wants to be told of the last `steps` descriptors before `position`."""
        desc, flags = self._load_event(self._driver)
        kind = flags & _EVENT_FLAGS
        if kind == _DISABLE:
            return False
        if kind != _DESC or not self._queue.event_index:
            return True
        event = (desc & _EVENT_OFF) + (0 if desc & _EVENT_WRAP else self._size)
        return bool(0 < (position - event) % (2 * self._size) <= steps)

    def suppress(self, on: bool) -> None:
        """2.8.10 and 2.8.14."""
        queue = self._queue
        silenced = int(not on)
        if queue.event_index and on:
            position = queue.last_available
            wrap = _EVENT_WRAP if position < self._size else 0
            self._store_event(self._device, position % self._size | wrap, _DESC)
        elif queue.silenced != silenced:
            self._store_event(self._device, 0, _DISABLE if silenced else _ENABLE)
        queue.silenced = silenced
