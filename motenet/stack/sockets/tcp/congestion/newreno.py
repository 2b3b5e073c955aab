"""Slow start, congestion avoidance and the answer to losses: RFC 5681."""

from typing import ClassVar

from motenet.core.state import Component

UNKNOWN = 1 << 62  # RFC 5681, 3.1: the initial ssthresh is arbitrarily high


def initial_window(mss: int) -> int:
    """RFC 6928, 2: ten segments, at most 14600 bytes unless two segments are more."""
    return min(10 * mss, max(2 * mss, 14600))


class NewReno(Component):
    """`window` is cwnd, `threshold` ssthresh; `mss` is SMSS. All in bytes."""

    STATE: ClassVar[tuple[str, ...]] = ("window", "threshold", "mss", "initial", "credit", "prior")

    def __init__(self) -> None:
        self.mss = 536
        self.window = self.initial = initial_window(self.mss)
        self.threshold = UNKNOWN
        self.credit = 0
        """Bytes acknowledged in congestion avoidance that have not yet enlarged the window."""
        self.prior: tuple[int, ...] = ()
        """What a loss that turns out to be none gives back."""

    def start(self, mss: int, lost_syn: bool) -> None:
        self.mss = mss
        self.window = self.initial = mss if lost_syn else initial_window(mss)  # RFC 5681, 3.1: a lost SYN, one segment

    def acknowledged(self, now: int, length: int, flight: int, rtt: int) -> None:
        if 2 * flight < self.window:
            return  # RFC 7661, 4.3: the window is not what limits the sender, and has not been proven
        if self.window < self.threshold:
            # RFC 5681 (2) for each segment that one acknowledgment covers, as Linux counts
            self.window = min(self.window + length, self.threshold)
        else:
            self._avoid(now, length, rtt)

    def _avoid(self, now: int, length: int, rtt: int) -> None:
        """Congestion avoidance."""
        self.credit += length  # RFC 5681, 3.1: one SMSS per window's worth of acknowledged bytes
        if self.credit >= self.window:
            self.credit -= self.window
            self.window += self.mss

    def lost(self, now: int, flight: int) -> int:
        self._remember()
        return self._reduce(flight)

    def timed_out(self, now: int, flight: int, again: bool) -> None:
        if not again:
            self._remember()
            self._reduce(flight)
        self.window = self.mss  # RFC 5681, 3.1: the loss window
        self.credit = 0

    def _reduce(self, flight: int) -> int:
        self.threshold = max(flight // 2, 2 * self.mss)  # RFC 5681 (4)
        self.credit = 0
        return flight // 2

    def _remember(self) -> None:
        self.prior = (self.window, self.threshold)

    def undo(self) -> None:
        if self.prior:
            window, threshold = self.prior[:2]
            self.window, self.threshold = max(self.window, window), max(self.threshold, threshold)
            self.prior = ()

    def idle(self, now: int) -> None:
        self.window = min(self.window, self.initial)  # RFC 5681, 4.1: the restart window

    def take(self, window: int) -> None:
        self.window = max(window, self.mss)

    def fit(self, mss: int) -> None:
        self.mss = mss
        self.window, self.initial = max(self.window, mss), max(self.initial, mss)
