"""Tail loss probes: when the end of a flight stays unacknowledged, ask for an answer before the RTO (RFC 8985, 7)."""

from typing import ClassVar

from motenet.core.state import Component
from motenet.core.units import MS, SECOND

MAX_ACK_DELAY = 200 * MS  # RFC 8985, 7.2: TLP.max_ack_delay, what Linux and others wait at most for a second segment
LEAST = 10 * MS  # below, timers and delayed acknowledgments of fast paths would look like losses; our choice
UNKNOWN = SECOND  # RFC 8985, 7.2: without a measured round trip

NONE = -1


class TailProbe(Component):
    """The loss probe: when it is due, and what has become of the last one."""

    STATE: ClassVar[tuple[str, ...]] = ("since", "due", "end", "again", "count")

    def __init__(self) -> None:
        self.since = 0
        """When something was acknowledged last."""
        self.due = False
        """The timer has expired: a probe is to be sent."""
        self.end = NONE
        """TLP.end_seq: SND.NXT when the probe was sent; NONE: no probe is on its way."""
        self.again = False
        """TLP.is_retrans: the probe was something sent before."""
        self.count = 0
        """Probes sent."""

    @staticmethod
    def interval(smoothed: int, alone: bool) -> int:
        """PTO (7.2): two round trips; `alone`: less than two full segments, which the peer may acknowledge later."""
        if not smoothed:
            return UNKNOWN
        return max(2 * smoothed, LEAST) + (MAX_ACK_DELAY if alone else 0)

    def sent(self, nxt: int, again: bool) -> None:
        """The probe has gone out (7.3)."""
        self.due = False
        self.end, self.again = nxt, again
        self.count += 1

    def cancel(self) -> None:
        """Nothing is known of a probe any more."""
        self.due, self.end = False, NONE

    def acknowledged(self, ack: int, twice: int, duplicate: bool) -> bool:
        """7.4.2: an acknowledgment has come. Says whether the probe has repaired a loss, which is congestion.

        `twice`: where its D-SACK ends, the probe's if that was not needed; `duplicate`: it acknowledges nothing new.
        """
        if self.end == NONE or ack < self.end:
            return False
        if not self.again or twice in (self.end, self.end - 1):  # a FIN at the end is not part of it
            self.end = NONE
        elif ack > self.end:
            self.end = NONE
            return True
        elif duplicate:
            self.end = NONE
        return False
