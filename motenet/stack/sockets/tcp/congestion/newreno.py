"""Slow start, congestion avoidance, fast recovery: RFC 5681 with NewReno's partial acknowledgments (RFC 6582)."""

from typing import ClassVar

from motenet.core.state import Component

_UNKNOWN = 1 << 62  # RFC 5681, 3.1: the initial ssthresh is arbitrarily high


def initial_window(mss: int) -> int:
    """RFC 6928, 2: ten segments, at most 14600 bytes unless two segments are more."""
    return min(10 * mss, max(2 * mss, 14600))


class NewReno(Component):
    """`window` is cwnd, `threshold` ssthresh; `mss` is SMSS. All in bytes."""

    STATE: ClassVar[tuple[str, ...]] = ("window", "threshold", "mss", "initial", "credit")

    def __init__(self) -> None:
        self.mss = 536
        self.window = self.initial = initial_window(self.mss)
        self.threshold = _UNKNOWN
        self.credit = 0
        """Bytes acknowledged in congestion avoidance that have not yet enlarged the window."""

    def start(self, mss: int, lost_syn: bool) -> None:
        self.mss = mss
        self.window = self.initial = mss if lost_syn else initial_window(mss)  # RFC 5681, 3.1: a lost SYN, one segment

    def acknowledged(self, now: int, length: int, flight: int) -> None:
        if 2 * flight < self.window:
            return  # RFC 7661, 4.3: the window is not what limits the sender, and has not been proven
        if self.window < self.threshold:
            self.window += length  # RFC 5681 (2) for each segment that one acknowledgment covers, as Linux counts
            return
        self.credit += length  # RFC 5681, 3.1: one SMSS per window's worth of acknowledged bytes
        if self.credit >= self.window:
            self.credit -= self.window
            self.window += self.mss

    def lost(self, now: int, flight: int) -> None:
        self.threshold = max(flight // 2, 2 * self.mss)  # RFC 5681 (4)
        self.window = self.threshold + 3 * self.mss  # RFC 5681, 3.2, step 3
        self.credit = 0

    def duplicate(self) -> None:
        self.window += self.mss  # RFC 5681, 3.2, step 4

    def partial(self, length: int) -> None:
        self.window = max(self.window - length, 0)  # RFC 6582, 3.2, step 3, partial acknowledgments: deflate
        if length >= self.mss:
            self.window += self.mss
        self.window = max(self.window, self.mss)

    def recovered(self, now: int, flight: int) -> None:
        self.window = min(self.threshold, max(flight, self.mss) + self.mss)  # RFC 6582, 3.2, step 3, full, option 1

    def timed_out(self, now: int, flight: int, again: bool) -> None:
        if not again:
            self.threshold = max(flight // 2, 2 * self.mss)  # RFC 5681 (4)
        self.window = self.mss  # RFC 5681, 3.1: the loss window
        self.credit = 0

    def idle(self) -> None:
        self.window = min(self.window, self.initial)  # RFC 5681, 4.1: the restart window
