"""The receiving half of a connection: reassembly, the offered window, and when to acknowledge."""

from typing import ClassVar

from motenet.core.checksum import Buffer
from motenet.core.clock import FOREVER
from motenet.core.state import Component, Plain
from motenet.stack.sockets.tcp.assembler import Assembler
from motenet.stack.sockets.tcp.buffers import Ring
from motenet.stack.sockets.tcp.timers import ACK_DELAY
from motenet.stack.wire.tcp import MASK, MAX_SCALE

DEFAULT_MSS = 536  # RFC 9293, MUST-15
_LARGEST_FIELD = 65_535


class Receiver(Component):
    """RCV.NXT and what belongs to it. All sequence numbers are unwrapped ones."""

    STATE: ClassVar[tuple[str, ...]] = (
        "isn", "nxt", "edge", "scale", "acked", "ack_now", "ack_at", "owed", "delay", "mss", "mss_limit", "fin",
        "urgent", "recent_stamp", "stamped_at", "sack", "repeated", "echo", "duplicates",
    )  # fmt: skip

    def __init__(self, capacity: int) -> None:
        self.ring = Ring(capacity)
        """From what the application has not read yet up to `nxt`."""
        self.assembler = Assembler()
        self.isn = 0
        """IRS: the peer's initial sequence number."""
        self.nxt = 0
        """RCV.NXT."""
        self.edge = 0
        """RCV.NXT + RCV.WND: the right edge of the window, as far as it was ever offered."""
        self.scale = 0
        """Rcv.Wind.Shift (RFC 7323, 2.2), once both sides have agreed on scaling."""
        self.acked = 0
        """Last.ACK.sent (RFC 7323, 4.3)."""
        self.ack_now = False
        self.ack_at = FOREVER
        """When the delayed acknowledgment is due."""
        self.owed = 0
        """Duplicate acknowledgments still to be sent, one for each segment out of order (RFC 5681, 4.2)."""
        self.delay: int | None = ACK_DELAY
        """How long an acknowledgment may wait for company; None: not at all."""
        self.mss = DEFAULT_MSS
        """The largest segment seen: two of them make an acknowledgment due (SHLD-19), or that no more than one fits."""
        self.mss_limit = DEFAULT_MSS
        """RMSS: the largest that we take."""
        self.fin: int | None = None
        """The number of the peer's FIN, once it is known."""
        self.urgent = 0
        """RCV.UP: the number behind the urgent data (MUST-62)."""
        self.recent_stamp = 0
        """TS.Recent."""
        self.stamped_at = 0
        """When TS.Recent was taken."""
        self.sack = False
        """The peer has permitted SACK options."""
        self.repeated: tuple[int, int] | None = None
        """What came twice, to be reported by the next acknowledgment (D-SACK, RFC 2883)."""
        self.echo = False
        """A segment was marked by the network: acknowledgments say so (ECE, RFC 3168, 6.1.3)."""
        self.duplicates = 0
        """Segments that brought nothing new."""

    def preferred_scale(self) -> int:
        """The smallest shift with which the window field can offer the whole buffer."""
        shift = 0
        while self.ring.capacity >> shift > _LARGEST_FIELD and shift < MAX_SCALE:
            shift += 1
        return shift

    def limit(self, mss: int) -> None:
        """The largest segment that we take has become known."""
        self.mss_limit = mss
        self.mss = min(self.mss, mss)

    def synchronize(self, isn: int, offered: int) -> None:
        """The peer's SYN has come; `offered` is the window that ours carries."""
        self.isn = isn
        self.nxt = self.acked = self.urgent = isn + 1
        self.ring.anchor(self.nxt)
        self.edge = self.nxt + offered

    def syn_window(self) -> int:
        """The window field of a SYN, which is never scaled (RFC 7323, 2.2)."""
        return min(self.ring.capacity, _LARGEST_FIELD)

    # --- the window (RFC 9293, 3.8.6.2.2) ---

    def _possible(self) -> int:
        """The right edge that the buffer allows."""
        nxt, scale = self.nxt, self.scale
        units = (self.ring.start + self.ring.capacity - nxt) >> scale
        return nxt + ((units if units < _LARGEST_FIELD else _LARGEST_FIELD) << scale)

    def offer(self, mss: int) -> int:
        """The window field for a segment that is about to go out; the edge moves if that is worth it (MUST-39)."""
        possible = self._possible()
        if possible - self.edge >= min(self.ring.capacity >> 1, mss):
            self.edge = possible
        units = (self.edge - self.nxt) >> self.scale
        return units if units < _LARGEST_FIELD else _LARGEST_FIELD

    def update_due(self, mss: int) -> bool:
        """Whether the application has made so much room that the peer is to be told at once.

        Of all updates that 3.8.6.2.2 allows: a quarter of the buffer, or the window was nearly shut (FreeBSD's rule).
        """
        capacity = self.ring.capacity
        gain = self._possible() - self.edge
        return gain >= min(capacity >> 1, mss) and (gain >= capacity >> 2 or self.edge - self.nxt <= capacity >> 3)

    # --- segments ---

    def append(self, now: int, pieces: list[Buffer], length: int) -> bool:
        """Take data that begins at RCV.NXT, fits and leaves no gap. Says whether an acknowledgment is due now."""
        ring = self.ring
        for piece in pieces:
            ring.place(ring.end, piece)
            ring.end += len(piece)
        self.nxt += length
        return self.count(now, len(pieces[0]))

    def count(self, now: int, first: int) -> bool:
        """Data has come in order: when is it to be acknowledged (3.8.6.3)? `first` is one segment's length."""
        if first > self.mss:
            self.mss = min(first, self.mss_limit)
        if self.delay is None:
            self.ack_now = True
        elif self.edge - self.nxt < self.mss:
            # an acknowledgment now would shut the window, and the update that opens it may be lost:
            # the application may make room first (Linux, __tcp_ack_snd_check())
            self.ack_now = False
            if self.ack_at == FOREVER:
                self.ack_at = now + self.delay
        elif self.nxt - self.acked >= 2 * self.mss:
            self.ack_now = True
        elif self.ack_at == FOREVER:
            self.ack_at = now + self.delay
        return self.ack_now

    def accept(self, now: int, seq: int, pieces: list[Buffer], length: int) -> bool:
        """Take of a segment what is new and fits (3.10.7.4, seventh); False if nothing of it is or does."""
        left, right = max(seq, self.nxt), min(seq + length, self.edge, self.ring.start + self.ring.capacity)
        if self.fin is not None:
            right = min(right, self.fin)
        if seq < self.nxt or self.assembler.lefts:
            self.report(seq, length)
        if right <= left:
            self.duplicates += 1
            self.ack_now = True
            return False
        early = left > self.nxt
        if early:
            self.owed += len(pieces)  # one for each segment, so that the peer can count to three
            if not self.assembler.add(left, right):
                return False
        position = seq
        for piece in pieces:
            begin, end = max(left - position, 0), min(right - position, len(piece))
            if begin < end:
                self.ring.place(position + begin, memoryview(piece)[begin:end])
            position += len(piece)
        if early:
            return True
        gap = bool(self.assembler.lefts)
        self.nxt = self.ring.end = self.assembler.advance(right) if gap else right
        self.owed = 0
        self.count(now, len(pieces[0]))
        if gap and self.edge - self.nxt >= self.mss:
            self.ack_now = True  # RFC 5681, 4.2: at once, if it fills all or part of a gap
        return True

    def finished(self) -> bool:
        """Whether the peer's FIN is next in order; if so, it is counted and to be acknowledged."""
        if self.fin is None or self.fin != self.nxt:
            return False
        self.nxt += 1
        self.edge = max(self.edge, self.nxt)
        self.ack_now = True
        return True

    def acknowledged(self, flags_only: bool) -> None:
        """A segment with our acknowledgment has gone out; `flags_only`: one without data."""
        self.acked = self.nxt
        self.ack_now = False
        self.ack_at = FOREVER
        if flags_only and self.owed:
            self.owed -= 1

    def note_stamp(self, now: int, seq: int, stamp: int) -> None:
        """RFC 7323, 4.3 (2): TS.Recent is that of the segment which the next acknowledgment answers."""
        if seq <= self.acked:
            self.recent_stamp, self.stamped_at = stamp, now

    def report(self, seq: int, length: int) -> None:
        """Find what of a segment has come before (RFC 2883, 4): below RCV.NXT, or the first range beyond it."""
        behind = seq + length
        found = (seq, min(behind, self.nxt)) if seq < self.nxt else self.assembler.overlap(seq, behind)
        self.repeated = found or self.repeated

    def sack_blocks(self, limit: int) -> tuple[tuple[int, int], ...]:
        """What to report in a SACK option (RFC 2018, 4): first, and once, what came twice (RFC 2883, 4)."""
        blocks = self.assembler.blocks(limit)
        if self.repeated is not None:
            blocks = [self.repeated, *blocks][:limit]
            self.repeated = None
        return tuple((left & MASK, right & MASK) for left, right in blocks)

    # --- state ---

    def save(self) -> Plain:
        return {
            **super().save(),
            "assembler": self.assembler.save(),
            "held": self.ring.contents(self.assembler.ranges()),
            "capacity": self.ring.capacity,
        }

    def load(self, state: Plain) -> None:
        super().load(state)
        self.assembler.load(state["assembler"])
        if state["capacity"] != self.ring.capacity:
            self.ring = Ring(state["capacity"])
        self.ring.restore(state["held"])
