"""HyStart++: leave slow start when the round trips get longer, before the queue overflows (RFC 9406)."""

from typing import ClassVar

from motenet.core.state import Component
from motenet.core.units import MS

# RFC 9406, 4.3
_LEAST_RISE, _MOST_RISE = 4 * MS, 16 * MS
_DIVISOR = 8
_SAMPLES = 8
_CSS_DIVISOR = 4
_CSS_ROUNDS = 5
_UNKNOWN = 1 << 62


class HyStart(Component):
    """Rounds of the initial slow start, each a window of data long; then, to be sure, up to five conservative ones."""

    STATE: ClassVar[tuple[str, ...]] = ("left", "lowest", "previous", "samples", "baseline", "rounds", "over")

    def __init__(self) -> None:
        self.left = 0
        """Bytes to be acknowledged until this round ends."""
        self.lowest = _UNKNOWN
        """currentRoundMinRTT, in ns."""
        self.previous = _UNKNOWN
        """lastRoundMinRTT."""
        self.samples = 0
        self.baseline = 0
        """cssBaselineMinRtt; 0: not in conservative slow start."""
        self.rounds = 0
        self.over = False
        """Slow start is to end."""

    def growth(self, length: int, flight: int, rtt: int) -> int:
        """How many bytes an acknowledgment of `length` bytes adds to the window."""
        self.left -= length
        if self.left <= 0:
            self._next_round(flight)
        if rtt:
            self.lowest = min(self.lowest, rtt)
            self.samples += 1
        if self.samples >= _SAMPLES:
            self._judge()
        return length // _CSS_DIVISOR if self.baseline else length

    def _next_round(self, flight: int) -> None:
        self.left = flight
        self.previous, self.lowest, self.samples = self.lowest, _UNKNOWN, 0
        if self.baseline:
            self.rounds += 1
            self.over = self.rounds >= _CSS_ROUNDS

    def _judge(self) -> None:
        if self.baseline:
            if self.lowest < self.baseline:
                self.baseline = self.rounds = 0  # it was no queue: back to slow start
        elif self.previous != _UNKNOWN:
            rise = max(_LEAST_RISE, min(self.previous // _DIVISOR, _MOST_RISE))
            if self.lowest >= self.previous + rise:
                self.baseline, self.rounds = self.lowest, 0
