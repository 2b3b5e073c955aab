"""Proportional rate reduction (RFC 6937): how the window shrinks while a loss is being repaired."""

from typing import ClassVar

from motenet.core.state import Component


class Prr(Component):
    """For every so many bytes that arrive, some may be sent, until what is in flight meets ssthresh."""

    STATE: ClassVar[tuple[str, ...]] = ("delivered", "out", "flight")

    def __init__(self) -> None:
        self.delivered = 0
        """prr_delivered: bytes that the receiver is known to have got since recovery began."""
        self.out = 0
        """prr_out: bytes sent since then."""
        self.flight = 1
        """RecoverFS: FlightSize when it began."""

    def start(self, flight: int) -> None:
        """Recovery begins (RFC 6937, 3)."""
        self.delivered = self.out = 0
        self.flight = max(flight, 1)

    def window(self, news: int, pipe: int, threshold: int, mss: int) -> int:
        """cwnd after an acknowledgment that tells of `news` bytes delivered (RFC 6937, 3, with PRR-SSRB)."""
        self.delivered += news
        if pipe > threshold:
            count = -(-self.delivered * threshold // self.flight) - self.out
        else:
            limit = max(self.delivered - self.out, news) + mss
            count = min(threshold - pipe, limit)
        if not self.out:
            count = max(count, mss)  # the first retransmission is never held back (RFC 6675, 5, step 4.3)
        return pipe + max(count, 0)
