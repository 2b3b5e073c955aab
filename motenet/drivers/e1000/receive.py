"""The receive path: the card fills buffers, the stack reads them in place, and they go back to the card in batches.

The buffers lie in a row, buffer i behind descriptor i. So a frame that fills several (3.2.2) is one view all the same,
but where the ring ends.
"""

from collections.abc import Callable

from motenet.core.errors import ConfigurationError
from motenet.core.state import Component
from motenet.datasheets.e1000 import (
    RCTL,
    RDBAH,
    RDBAL,
    RDESC,
    RDESC_CODEC,
    RDESC_ERRORS,
    RDESC_STATUS,
    RDH,
    RDLEN,
    RDT,
    RDTR,
    RXCSUM,
)
from motenet.datasheets.layouts import dtype
from motenet.doors import PciFunction, Received
from motenet.drivers import receive
from motenet.drivers.e1000.card import Card
from motenet.drivers.gro import Train, train
from motenet.drivers.ring import Ring

_BATCH = 16
"""RDT moves by so many descriptors, as Linux's E1000_RX_BUFFER_WRITE."""
_SHORTEST = 14
"""Less is no Ethernet header."""

_DD, _EOP, _VP = RDESC_STATUS["DD"], RDESC_STATUS["EOP"], RDESC_STATUS["VP"]
_WHOLE = _DD | _EOP
_VERIFIED = RDESC_STATUS["TCPCS"]
_CHECKED = RDESC_STATUS["IXSM"] | _VERIFIED
_BAD_SUM = RDESC_ERRORS["TCPE"] | RDESC_ERRORS["IPE"]
_DAMAGED = RDESC_ERRORS.mask() & ~_BAD_SUM
_JOINABLE = _WHOLE | _CHECKED | _VP
_VERIFY = RXCSUM["IPOFL"] | RXCSUM["TUOFL"] | RXCSUM["IPV6OFL"]

_BUFFER_SIZES = (256, 512, 1024, 2048, 4096, 8192, 16384)
"""3.2.2: what RCTL.BSIZE and BSEX can say."""


def buffer_size(frame: int) -> int:
    """The smallest receive buffer, from 2048 bytes up, that takes a frame of so many bytes whole."""
    return next(size for size in _BUFFER_SIZES if size >= max(frame, 2048))


def buffer_bits(size: int) -> int:
    """RCTL's BSIZE and BSEX for a buffer size (13.4.22): 2048 >> BSIZE, or 32768 >> BSIZE with BSEX."""
    if size <= 2048:
        return RCTL.field("BSIZE").put((2048 // size).bit_length() - 1)
    return RCTL["BSEX"] | RCTL.field("BSIZE").put((32768 // size).bit_length() - 1)


class Receiver(receive.Receiver):
    """The receive ring and its buffers."""

    def __init__(
        self,
        function: PciFunction,
        card: Card,
        drop: Callable[[str, str], None],
        *,
        count: int,
        size: int,
        checksum: bool,
        gro: bool,
    ) -> None:
        super().__init__()
        if size not in _BUFFER_SIZES:
            raise ConfigurationError(f"rx_buffer={size}: the card knows {', '.join(map(str, _BUFFER_SIZES))} bytes")
        self.ring = Ring(function.dma, RDESC_CODEC, count, path="rx/ring")
        self.buffers = function.dma.allocate(count * size, 64)
        self.size = size
        """Bytes of a buffer."""
        self._card, self._write, self._drop = card, card.write, drop
        self._count, self._checksum, self._gro = count, checksum, gro
        self._batch = min(_BATCH, count // 4)
        self._load, self._lend = self.ring.load_at, self.buffers.lend
        descriptors = self.ring.buffer.columns(dtype(RDESC), 0, count)
        self._addresses, self._statuses = descriptors["address"], descriptors["status"]

    def parts(self) -> tuple[Component, ...]:
        return (self.ring,)

    # --- up and down

    def open(self) -> None:
        """14.4: the ring with its buffers, all but one of which the card gets: head == tail would mean none."""
        write, ring = self._write, self.ring
        ring.clear()
        first = self.buffers.address
        self._addresses[:] = range(first, first + self._count * self.size, self.size)
        write(RDTR.offset, 0)  # 13.4.30: ITR does the moderation
        write(RDBAL.offset, ring.address & 0xFFFFFFFF)
        write(RDBAH.offset, ring.address >> 32)
        write(RDLEN.offset, ring.size)
        ring.produced = self._count - 1
        write(RDH.offset, 0)
        write(RDT.offset, ring.produced)
        write(RXCSUM.offset, _VERIFY if self._checksum else 0)

    def enable(self, control: int) -> None:
        """14.4, last step: RCTL, with the frame check sequence stripped."""
        self._write(RCTL.offset, control | buffer_bits(self.size) | RCTL["SECRC"] | RCTL["EN"])

    def close(self) -> None:
        self._card.clear_bits(RCTL, RCTL["EN"])
        self.ring.consumed = self.ring.produced

    # --- receiving

    def repost(self) -> None:
        """Give buffers back that have been read, a batch at a time (13.4.29)."""
        ring, count = self.ring, self._count
        produced, target = ring.produced, ring.consumed + count - 1
        if target - produced < self._batch:
            return
        first, last = produced % count, target % count
        if first < last:
            self._statuses[first:last] = 0
        else:
            self._statuses[first:] = 0
            self._statuses[:last] = 0
        ring.produced = target
        self._write(RDT.offset, last)

    def waiting(self) -> bool:
        """Whether the next descriptor is done."""
        ring = self.ring
        return ring.consumed < ring.produced and bool(self._load(ring.offset(ring.consumed))[3] & _DD)

    def _next(self) -> Received | None:
        ring = self.ring
        while ring.consumed < ring.produced:
            index = ring.consumed % self._count
            _, length, _, status, errors, special = self._load(index * 16)
            if not status & _DD:
                return None
            if status & _EOP:
                ring.consumed += 1
                frame = self._lend(index * self.size, length) if _SHORTEST <= length <= self.size else None
            else:
                span = self._span()
                if not span:
                    return None
                frame = self._gather(index, span)
                _, length, _, status, errors, special = self._load(ring.offset(index + span - 1))
                ring.consumed += span
            if frame is None or errors & _DAMAGED:
                self._refuse(length, status, errors)
                continue
            verified = status & _CHECKED == _VERIFIED and not errors & _BAD_SUM
            received = Received(frame, verified, [], special if status & _VP else None)
            self.frames += 1
            if verified and self._gro:
                self._join(received, status)
            return received
        return None

    def _refuse(self, length: int, status: int, errors: int) -> None:
        if errors & _DAMAGED and status & _EOP:
            self._drop("rx error", RDESC_ERRORS.describe(errors))
        elif not status & _EOP:
            self._drop("rx without end", f"{self._count - 1} descriptors, and no EOP (8254x 3.2.3.1)")
        else:
            self._drop("rx length", f"{length} bytes in a buffer of {self.size}")

    def _span(self) -> int:
        """How many descriptors the frame at hand has; 0: its end is not there yet. One without end has all of them."""
        ring = self.ring
        for counter in range(ring.consumed, ring.produced):
            status = self._load(ring.offset(counter))[3]
            if not status & _DD:
                return 0
            if status & _EOP:
                return counter + 1 - ring.consumed
        return ring.produced - ring.consumed

    def _gather(self, index: int, span: int) -> memoryview | None:
        """A frame of several descriptors: one view where its buffers are full and in a row, else a copy.

        None when a length cannot be, or its last descriptor is no end of packet.
        """
        lengths = []
        for place in range(index, index + span):
            _, length, _, status, _, _ = self._load(self.ring.offset(place))
            if not 0 < length <= self.size:
                return None
            lengths.append(length)
        if not status & _EOP or sum(lengths) < _SHORTEST:
            return None
        if index + span <= self._count and sum(lengths[:-1]) == (span - 1) * self.size:
            return self._lend(index * self.size, sum(lengths))
        places = ((index + place) % self._count * self.size for place in range(span))
        return memoryview(bytearray().join(self._lend(at, length) for at, length in zip(places, lengths, strict=True)))

    def _join(self, received: Received, first_status: int) -> None:
        """GRO: take what follows in the same TCP flow along (see drivers.gro)."""
        ring, count, load = self.ring, self._count, self._load
        expected = first_status & _JOINABLE
        begun: Train | None = None
        while ring.consumed < ring.produced:
            index = ring.consumed % count
            _, length, _, status, errors, special = load(index * 16)
            if status & _JOINABLE != expected or errors or length > self.size:
                return
            if status & _VP and special != received.vlan:
                return
            if begun is None:
                begun = train(received.frame)
                if begun is None:
                    return
            payload = begun.join(self._lend(index * self.size, length))
            if payload is None:
                return
            received.more.append(payload)
            ring.consumed += 1
            self.joined += 1
            if not begun.room:
                return
