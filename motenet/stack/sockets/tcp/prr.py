"""Proportional rate reduction (RFC 9937, once RFC 6937): how the window shrinks while a loss is being repaired."""

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
        """RecoverFS: FlightSize when it began, without what had been reported before."""

    def start(self, flight: int) -> None:
        """Recovery begins (RFC 9937, 6.1)."""
        self.delivered = self.out = 0
        self.flight = max(flight, 1)

    def window(self, news: int, pipe: int, threshold: int, mss: int, safe: bool) -> int:
        """cwnd after an acknowledgment that tells of `news` bytes delivered (RFC 9937, 6.2).

        `safe`: SafeACK, SND.UNA has advanced and nothing more was found lost, so the window may grow (PRR-SSRB)
        instead of only replacing what has left (PRR-CRB).
        """
        self.delivered += news
        if pipe > threshold:
            count = -(-self.delivered * threshold // self.flight) - self.out
        else:
            count = min(threshold - pipe, max(self.delivered - self.out, news) + (mss if safe else 0))
        if not self.out:
            count = max(count, mss)  # the first retransmission is never held back
        return pipe + max(count, 0)
