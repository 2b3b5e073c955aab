"""The retransmission timeout (RFC 6298) and the times that the clauses name, in nanoseconds."""

from typing import ClassVar

from motenet.core.state import Component
from motenet.core.units import MS, SECOND

RTO_INITIAL = SECOND  # RFC 6298, 2.1
RTO_MINIMUM = SECOND  # RFC 6298, 2.4; Linux takes 200 ms, but with RACK-TLP (RFC 8985) little waits for the timer
RTO_MAXIMUM = 60 * SECOND  # RFC 6298, 2.5: at least 60 seconds
RTO_AFTER_LOST_SYN = 3 * SECOND  # RFC 6298, 5.7
FORGIVEN = 5  # timeouts in a row that may prove needless before the path counts as slower than the RTO; our choice

USER_TIMEOUT = 300 * SECOND  # RFC 9293, 3.9.1.1: five minutes; so R2 exceeds 100 s (SHLD-11) and 3 min (MUST-23)
TROUBLE_AFTER = 3  # RFC 9293, SHLD-10: R1, in retransmissions
ACK_DELAY = 10 * MS  # as smoltcp has it
MAX_ACK_DELAY = 500 * MS  # MUST-40: it is shorter than this
OVERRIDE = 500 * MS  # RFC 9293, 3.8.6.2.1 (4): 0.1 to 1.0 s
TIME_WAIT = 10 * SECOND  # 2 MSL, as smoltcp has it
FIN_WAIT_2_ORPHANED = 60 * SECOND  # Linux, tcp_fin_timeout: nobody is left to close a connection without application
CHALLENGE_INTERVAL = SECOND  # RFC 5961, 7: how often a challenge ACK may be sent
CONFIRM_INTERVAL = SECOND  # how often the IP layer hears that the peer answers; our choice
KEEP_ALIVE = 7200 * SECOND  # RFC 9293, MUST-28: what `keep_alive` should be at least, unless there is a reason
KEEP_ALIVE_INTERVAL = 75 * SECOND  # between probes, as BSD and Linux do
KEEP_ALIVE_PROBES = 9  # unanswered, as Linux does; never one alone (MUST-29)
SYN_ANSWERS = 3  # RFC 9000, 8.1: what an address that may be forged is sent for what has come from there; our choice
ORPHAN_PROBES = 8  # of a zero window, when no application is left to decide (RFC 6429, 4); Linux, tcp_orphan_retries
STAMP_TICK = MS  # RFC 7323, 5.4: 1 ms to 1 s
STAMP_LIFETIME = 24 * 86_400 * SECOND  # RFC 7323, 5.5: TS.Recent is outdated after 24 days


class RoundTrip(Component):
    """SRTT, RTTVAR and RTO with backoff, in integer nanoseconds (RFC 6298)."""

    STATE: ClassVar[tuple[str, ...]] = ("smoothed", "variance", "base", "backoffs", "forgiven", "minimum")

    def __init__(self) -> None:
        self.smoothed = 0
        """SRTT; 0: not measured yet."""
        self.variance = 0
        self.base = RTO_INITIAL
        """RTO before backoff."""
        self.backoffs = 0
        """Timeouts since the last measurement; each doubles the RTO."""
        self.forgiven = 0
        """How often the backoff was ended without a measurement, since there was one."""
        self.minimum = RTO_MINIMUM

    @property
    def timeout(self) -> int:
        """RTO: how long to wait for an acknowledgment now."""
        return min(self.base << self.backoffs, RTO_MAXIMUM) if self.backoffs else self.base

    def sample(self, measured: int) -> None:
        """Take a measured round-trip time (RFC 6298, 2.2 and 2.3); it ends the backoff (end of section 5)."""
        if self.smoothed:
            self.variance += (abs(self.smoothed - measured) - self.variance) // 4
            self.smoothed += (measured - self.smoothed) // 8
        else:
            self.variance = measured // 2
            self.smoothed = measured
        self.smoothed = max(self.smoothed, 1)
        self.base = min(max(self.smoothed + 4 * self.variance, self.minimum), RTO_MAXIMUM)
        self.backoffs = self.forgiven = 0

    def forgive(self) -> None:
        """What was sent first has arrived (RFC 7323, 4.1; RFC 3522): the timeout was needless, and its backoff ends.

        Not for ever without a measurement: a path slower than the RTO is measured only while that backs off (Karn).
        """
        if self.forgiven < FORGIVEN:
            self.backoffs = 0
            self.forgiven += 1

    def back_off(self) -> None:
        """RFC 6298, 5.5: the timer has expired. Beyond the maximum it does not grow."""
        if self.base << self.backoffs < RTO_MAXIMUM:
            self.backoffs += 1

    def syn_was_lost(self) -> None:
        """RFC 6298, 5.7: when data transmission begins after a SYN's timeout, the RTO is three seconds."""
        self.base, self.backoffs = max(self.base, RTO_AFTER_LOST_SYN), 0
