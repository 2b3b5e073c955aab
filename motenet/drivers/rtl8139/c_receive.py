"""C mode's receive path: the card writes frames one behind the other into a ring of bytes, a header before each.

The stack reads them where they lie. CAPR gives the bytes back, not for each frame but when all that is known has been
read, or a quarter of the ring has.
"""

from collections.abc import Callable
from typing import ClassVar

from motenet.core.errors import ConfigurationError
from motenet.core.units import MS
from motenet.datasheets.rtl8139 import (
    CAPR,
    CBR,
    CR,
    RBSTART,
    RCR,
    READ_POINTER_LAG,
    RING_PAD,
    RX_HEADER_CODEC,
    RX_STATUS,
    RX_UNFINISHED,
)
from motenet.doors import PciFunction, Received
from motenet.drivers.receive import Receiver
from motenet.drivers.rtl8139.card import GONE, Card

SIZES = (8 << 10, 16 << 10, 32 << 10, 64 << 10)
"""RCR.RBLEN: bytes of the ring, without its pad (RTL8139C 5.8)."""
_HEADER = RX_HEADER_CODEC.size
_FCS = 4
_SHORTEST = 14 + _FCS
_LONGEST = 4096
"""RTL8139C 5.1, LONG: up to here a frame is good. What claims to be longer is no header: the ring is lost."""
_ORDINARY = 1518 + 4
"""A frame with FCS and an 802.1Q tag. Longer ones are not handed up."""
_OVERHANG = _LONGEST
"""With RCR.WRAP a frame that begins at the ring's end runs on behind it: whatever others send, for 1.5 KiB (5.8) or 2
(Linux) are enough for ordinary frames only."""
_PATIENCE = 20 * MS
"""Linux 8139too.c: a card that copies for longer, two ticks there, hangs."""

_GOOD = RX_STATUS["ROK"]
_BAD = RX_STATUS["FAE"] | RX_STATUS["CRC"] | RX_STATUS["LONG"] | RX_STATUS["RUNT"] | RX_STATUS["ISE"]
_NO_THRESHOLD, _UNLIMITED = RCR.field("RXFTH").put(7), RCR.field("MXDMA").put(7)
"""The card begins to copy when it has the whole frame, and in bursts as long as they may be."""
_NEVER = -1


class RingReceiver(Receiver):
    """The receive ring. It joins no segments, for this mode verifies no checksums."""

    STATE: ClassVar[tuple[str, ...]] = (*Receiver.STATE, "position", "limit", "released", "copying_since", "control")

    def __init__(
        self, function: PciFunction, card: Card, drop: Callable[[str, str], None], *, size: int, wrap: bool
    ) -> None:
        super().__init__()
        if size not in SIZES:
            raise ConfigurationError(f"rx_ring={size}: the card knows {', '.join(map(str, SIZES))} bytes")
        if wrap and size == SIZES[-1]:
            raise ConfigurationError("a ring of 64 KiB has no WRAP: frames are split at its end; use wrap=False")
        self._total = size + RING_PAD + (_OVERHANG if wrap else 0)
        self.memory = function.dma.allocate(self._total, 256, mask=0xFFFFFFFF)
        self.size = size
        self.wrap = wrap
        self._card, self._drop, self._clock = card, drop, function.clock
        self._write16, self._read16 = card.window.write16, card.window.read16
        self._lend, self._header = self.memory.lend, self.memory.unpacker(RX_HEADER_CODEC)
        self._quarter = size // 4

        self.control = 0
        """RCR as written last."""
        self.position = 0
        """Where in the ring the next frame's header lies."""
        self.limit = 0
        """How far the card has written, as of the last look."""
        self.released = 0
        """What CAPR says, without its 16."""
        self.copying_since = _NEVER
        """When the frame at hand was first found unfinished (ns), or -1."""

    # --- up and down

    def open(self) -> None:
        """The ring's address, before the receiver is enabled; both pointers are at its start after a reset."""
        self._card.write(RBSTART, self.memory.address)
        self.position = self.limit = self.released = 0
        self.copying_since = _NEVER

    def enable(self, control: int) -> None:
        """RCR, with what this ring is. CR.RE must be on (Linux 8139too.c).

        Some cards begin a new ring when RCR is written (QEMU's does), others go on: CAPR tells where they stand.
        """
        wrap = RCR["WRAP"] if self.wrap else 0
        size = RCR.field("RBLEN").put(SIZES.index(self.size))
        self.control = control | wrap | size | _NO_THRESHOLD | _UNLIMITED
        self._release()
        self._card.write(RCR, self.control)
        self._follow()

    def close(self) -> None:
        self._card.write(CR, self._card.read(CR) & CR["TE"])
        self.position = self.limit = self.released = 0  # where the reset that follows puts the card

    def _restart(self, why: str) -> None:
        """After nonsense in the ring: receiver off and on begins anew (Linux 8139too.c). What was unread is lost."""
        self._drop("rx ring lost", why)
        self._release()
        card, lost = self._card, self.position
        command = card.read(CR) & (CR["RE"] | CR["TE"])
        card.write(CR, command & ~CR["RE"])
        card.write(CR, command)
        card.write(RCR, self.control)
        self.limit = self.position
        self._follow()
        if self.position == lost and self._look():  # it has not: leave out all that it has written
            self.position = self.limit
            self._release()

    def _follow(self) -> None:
        """Stand where the card stands: CAPR after it was told to begin anew, or was not."""
        at = self._read16(CAPR.offset) + READ_POINTER_LAG & self.size - 1
        if at != self.released and self.position != self.limit:
            self._drop("rx ring restarted", f"{(self.limit - self.position) % self.size} bytes were unread")
        self.position = self.limit = self.released = at & ~3
        self.copying_since = _NEVER

    # --- receiving

    def repost(self) -> None:
        """Give bytes back that have been read."""
        position = self.position
        if position == self.limit or position - self.released & self.size - 1 >= self._quarter:
            self._release()

    def _release(self) -> None:
        """Move CAPR; not in vain, for to write it while the ring is empty is a cause of its own (RTL8139C 5.6, PUN)."""
        if self.position != self.released:
            self.released = self.position
            self._write16(CAPR.offset, self.position - READ_POINTER_LAG & 0xFFFF)

    def waiting(self) -> bool:
        """Whether the card has written more than has been read."""
        return self.position != self.limit or self._look()

    def _look(self) -> bool:
        """Ask how far the card has written; says whether there is anything."""
        written = self._read16(CBR.offset)
        if written == GONE:
            self._drop("card gone", "CBR reads all ones")
            return False
        self.limit = written & self.size - 4
        return self.limit != self.position

    def _next(self) -> Received | None:
        while self.position != self.limit or self._look():
            begin, length = self.position + _HEADER, self._whole(self.position)
            if not length:
                return None
            self.position = begin + length + 3 & self.size - 4  # the next header begins at a double word
            if length > _ORDINARY:
                self._drop("rx length", f"{length} bytes")
                continue
            self.frames += 1
            length -= _FCS
            if begin + length <= self.size or self.wrap:
                return Received(self._lend(begin, length))
            return Received(self._split(begin & self.size - 1, length))
        return None

    def _whole(self, position: int) -> int:
        """The length that a header tells; 0: the frame is not whole yet, or this is no header, and the ring is lost."""
        header: tuple[int, int] = self._header(position)
        status, length = header
        if length != RX_UNFINISHED:
            if status & (_GOOD | _BAD) != _GOOD or not _SHORTEST <= length <= _LONGEST:
                self._restart(f"header {status:#06x}, {length} bytes at {position:#x}: {RX_STATUS.describe(status)}")
                return 0
            size, mask = _HEADER + length + 3 & ~3, self.size - 1
            if size <= self.limit - position & mask or (self._look() and size <= self.limit - position & mask):
                self.copying_since = _NEVER
                return length
        self._unfinished()
        return 0

    def _split(self, begin: int, length: int) -> memoryview:
        """A copy of a frame that goes on at the ring's start."""
        first = min(self.size - begin, length)
        return memoryview(bytearray().join((self._lend(begin, first), self._lend(0, length - first))))

    def _unfinished(self) -> None:
        """The card has not copied the whole frame yet; one that takes forever hangs."""
        now = self._clock.now
        if self.copying_since == _NEVER:
            self.copying_since = now
        elif now - self.copying_since > _PATIENCE:
            self._restart(f"a frame at {self.position:#x} is not finished for {now - self.copying_since} ns")
