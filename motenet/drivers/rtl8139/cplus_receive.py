"""C+ mode's receive path: the card fills buffers, the stack reads them in place, and they go back in batches.

The buffers lie in a row, buffer i behind descriptor i. So a frame that fills several is one view all the same, but
where the ring ends. What the card owns is told by OWN alone, so that it may have all descriptors.
"""

from collections.abc import Callable

from motenet.core.errors import ConfigurationError
from motenet.core.state import Component
from motenet.datasheets.layouts import dtype
from motenet.datasheets.rtl8139 import (
    CR,
    DESCRIPTOR,
    DESCRIPTOR_CODEC,
    DESCRIPTOR_SIZE,
    PID_TCP,
    PID_UDP,
    RCR,
    RDSARH,
    RDSARL,
    RING_ALIGNMENT,
    RX_RESULT,
    RX_VLAN,
)
from motenet.doors import PciFunction, Received
from motenet.drivers.gro import Train, train
from motenet.drivers.receive import Receiver
from motenet.drivers.ring import Ring
from motenet.drivers.rtl8139.card import Card

BUFFER_RANGE = (64, 8184)
"""RX.COMMAND's SIZE has 13 bits, and buffers are multiples of 8."""
_LINUX_BUFFER = 1536
_BATCH = 16
"""Descriptors that go back together."""
_FCS = 4
_SHORTEST = 14 + _FCS

_OWN, _EOR, _LS = RX_RESULT["OWN"], RX_RESULT["EOR"], RX_RESULT["LS"]
_WHOLE = RX_RESULT["FS"] | _LS
_LENGTH = RX_RESULT["LENGTH"]
_DAMAGED = RX_RESULT["RES"] | RX_RESULT["CRC"] | RX_RESULT["RUNT"] | RX_RESULT["RWT"] | RX_RESULT["FAE"]
_PROTOCOL = RX_RESULT.field("PID")
_FAILED = RX_RESULT["IPF"] | RX_RESULT["UDPF"] | RX_RESULT["TCPF"]
_CHECKED = _PROTOCOL.mask | _FAILED
_VERIFIED = (_PROTOCOL.put(PID_TCP), _PROTOCOL.put(PID_UDP))
_JOINABLE = _OWN | _WHOLE | _DAMAGED | _CHECKED
_TAGGED, _TAG = RX_VLAN["TAVA"], RX_VLAN["TAG"]
_THRESHOLDS = RCR.field("RXFTH").put(5) | RCR.field("MXDMA").put(4)
"""As Linux 8139cp.c: copying begins with 512 bytes, in bursts of 256."""


def buffer_size(frame: int) -> int:
    """The receive buffer, from 1536 bytes up, that takes a frame of so many bytes, with FCS, whole."""
    return max(frame + 63 & ~63, _LINUX_BUFFER)


class DescriptorReceiver(Receiver):
    """The receive ring and its buffers."""

    def __init__(
        self,
        function: PciFunction,
        card: Card,
        drop: Callable[[str, str], None],
        *,
        count: int,
        size: int,
        longest: int,
        gro: bool,
    ) -> None:
        """`longest`: bytes of the longest frame that is to be received, with FCS."""
        super().__init__()
        if size % 8 or not BUFFER_RANGE[0] <= size <= BUFFER_RANGE[1]:
            raise ConfigurationError(
                f"rx_buffer={size}: a buffer has {BUFFER_RANGE[0]} to {BUFFER_RANGE[1]} bytes, a multiple of 8"
            )
        self._batch = max(min(_BATCH, count // 4), 1)
        if (count - self._batch + 1) * size < longest:
            raise ConfigurationError(
                f"rx_ring={count}, rx_buffer={size}: a frame of {longest} bytes would find too few of them; enlarge one"
            )
        self.ring = Ring(function.dma, DESCRIPTOR_CODEC, count, path="rx/ring", align=RING_ALIGNMENT, mask=0xFFFFFFFF)
        self.buffers = function.dma.allocate(count * size, 64, mask=0xFFFFFFFF)
        self.size = size
        """Bytes of a buffer."""
        self._card, self._drop, self._barrier = card, drop, function.dma.barrier
        self._count, self._gro = count, gro
        self._load, self._lend = self.ring.load_at, self.buffers.lend
        descriptors = self.ring.buffer.columns(dtype(DESCRIPTOR), 0, count)
        self._addresses, self._commands, self._tags = (
            descriptors["address"], descriptors["command"], descriptors["vlan"],
        )  # fmt: skip

    def parts(self) -> tuple[Component, ...]:
        return (self.ring,)

    # --- up and down

    def open(self) -> None:
        """The ring with all its buffers, and where it is. CPCR comes before."""
        ring, first = self.ring, self.buffers.address
        ring.clear()
        self._addresses[:] = range(first, first + self._count * self.size, self.size)
        self._give(0, self._count)
        ring.produced = self._count
        self._card.write(RDSARL, ring.address)
        self._card.write(RDSARH, 0)

    def enable(self, control: int) -> None:
        """RCR. CR.RE must be on."""
        self._card.write(RCR, control | _THRESHOLDS)

    def close(self) -> None:
        self._card.write(CR, self._card.read(CR) & CR["TE"])
        self.ring.consumed = self.ring.produced

    # --- receiving

    def repost(self) -> None:
        """Give buffers back that have been read, a batch at a time."""
        ring, count = self.ring, self._count
        produced, target = ring.produced, ring.consumed + count
        if target - produced < self._batch:
            return
        first, last = produced % count, target % count
        if first < last:
            self._give(first, last)
        else:
            self._give(first, count)
            self._give(0, last)
        ring.produced = target

    def _give(self, first: int, last: int) -> None:
        """Descriptors `first` to `last - 1` become the card's; OWN comes after all else, and EOR is in the last."""
        self._tags[first:last] = 0
        self._barrier()
        if last == self._count:
            self._commands[last - 1] = _OWN | _EOR | self.size
            last -= 1
        self._commands[first:last] = _OWN | self.size

    def waiting(self) -> bool:
        """Whether the next descriptor is done."""
        ring = self.ring
        return ring.consumed < ring.produced and not self._load(ring.offset(ring.consumed))[0] & _OWN

    def _next(self) -> Received | None:
        ring = self.ring
        while ring.consumed < ring.produced:
            index = ring.consumed % self._count
            result, tag, _ = self._load(index * DESCRIPTOR_SIZE)
            if result & _OWN:
                return None
            if result & _WHOLE == _WHOLE:
                ring.consumed += 1
                length = result & _LENGTH
                frame = self._lend(index * self.size, length - _FCS) if _SHORTEST <= length <= self.size else None
            else:
                span = self._span()
                if not span:
                    return None
                result, tag, _ = self._load(ring.offset(ring.consumed + span - 1))
                frame = self._gather(index, span, result)
                ring.consumed += span
            if frame is None or result & _DAMAGED:
                self._refuse(result)
                continue
            verified = result & _CHECKED in _VERIFIED
            received = Received(frame, verified, [], _swap(tag) if tag & _TAGGED else None)
            self.frames += 1
            if verified and self._gro:
                self._join(received, result)
            return received
        return None

    def _refuse(self, result: int) -> None:
        if result & _DAMAGED:
            self._drop("rx error", RX_RESULT.describe(result & _DAMAGED))
        else:
            self._drop("rx length", f"{RX_RESULT.describe(result)} in buffers of {self.size} bytes")

    def _span(self) -> int:
        """How many descriptors the frame at hand has; 0: its end is not there yet. One without end has all of them."""
        ring = self.ring
        for counter in range(ring.consumed, ring.produced):
            result = self._load(ring.offset(counter))[0]
            if result & _OWN:
                return 0
            if result & _LS:
                return counter + 1 - ring.consumed
        return ring.produced - ring.consumed

    def _gather(self, index: int, span: int, result: int) -> memoryview | None:
        """A frame of several descriptors, whose length is in the last: one view, or a copy where the ring ends.

        None when the first or the last is no end of a frame, or the length cannot be.
        """
        begins = self._load(index * DESCRIPTOR_SIZE)[0] & RX_RESULT["FS"]
        total, size = result & _LENGTH, self.size
        if not begins or not result & _LS or not max((span - 1) * size, _SHORTEST - 1) < total <= span * size:
            return None
        length = total - _FCS
        if index + span <= self._count:
            return self._lend(index * size, length)
        first = min((self._count - index) * size, length)
        return memoryview(bytearray().join((self._lend(index * size, first), self._lend(0, length - first))))

    def _join(self, received: Received, first: int) -> None:
        """GRO: take what follows in the same TCP flow along (see drivers.gro)."""
        ring, count, load = self.ring, self._count, self._load
        expected = first & _JOINABLE
        begun: Train | None = None
        while ring.consumed < ring.produced:
            index = ring.consumed % count
            result, tag, _ = load(index * DESCRIPTOR_SIZE)
            length = result & _LENGTH
            if result & _JOINABLE != expected or not _SHORTEST <= length <= self.size:
                return
            if (_swap(tag) if tag & _TAGGED else None) != received.vlan:
                return
            if begun is None:
                begun = train(received.frame)
                if begun is None:
                    return
            payload = begun.join(self._lend(index * self.size, length - _FCS))
            if payload is None:
                return
            received.more.append(payload)
            ring.consumed += 1
            self.joined += 1
            if not begun.room:
                return


def _swap(tag: int) -> int:
    """The tag lies in the descriptor as on the cable, its first byte lowest."""
    return (tag & 0xFF) << 8 | tag >> 8 & 0xFF
