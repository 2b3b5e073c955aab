"""RACK: a segment is lost when one that was sent later has arrived, and it has had time to (RFC 8985, 6)."""

from typing import ClassVar

from motenet.core.clock import FOREVER
from motenet.core.state import Component
from motenet.core.units import SECOND
from motenet.stack.sockets.tcp.scoreboard import FLYING, Scoreboard, Sent

DUPLICATES = 3  # RFC 5681, 3.2; RFC 6675, 2: DupThresh
PERSISTENCE = 16  # RFC 8985, 6.2, step 4: recoveries for which a wider window stays
MINIMUM_LIFETIME = 300 * SECOND  # RFC 8985, 6.2, step 1: a windowed minimum; its length is Linux's


class Rack(Component):
    """What was delivered last, in the order of sending, and how long to wait for what was sent before it."""

    STATE: ClassVar[tuple[str, ...]] = (
        "at", "end", "rtt", "minimum", "minimum_at", "highest", "reordering", "multiplier", "persist", "round", "due",
    )  # fmt: skip

    def __init__(self) -> None:
        self.at = 0
        """RACK.xmit_ts: when the segment was sent that, of all delivered, was sent last."""
        self.end = 0
        """RACK.end_seq: the number behind it."""
        self.rtt = 0
        """RACK.rtt: how long it took."""
        self.minimum = 0
        """RACK.min_RTT; 0: not measured yet."""
        self.minimum_at = 0
        self.highest = 0
        """RACK.fack: the number behind the highest that was delivered."""
        self.reordering = False
        """RACK.reordering_seen."""
        self.multiplier = 1
        """RACK.reo_wnd_mult, in quarters of the minimal round trip."""
        self.persist = PERSISTENCE
        self.round = 0
        """RACK.dsack_round: D-SACKs count once until this is acknowledged."""
        self.due = FOREVER
        """When the reordering window of some segment ends."""

    def begin(self, now: int, rtt: int) -> None:
        """The handshake has measured a round trip."""
        self.rtt = self.minimum = rtt
        self.minimum_at = now

    def delivered(self, now: int, right: int, at: int, again: bool, before: int = FOREVER) -> None:
        """Steps 1 to 3: numbers up to `right`, sent `at`, have arrived; `again`: they were sent more than once.

        What the peer's timestamp echoes was sent `before` this time.
        """
        if right > self.highest:
            self.highest = right
        elif right < self.highest and not again:
            self.reordering = True
        rtt = now - at
        if again:
            if rtt < self.minimum or at >= before:
                return  # the acknowledgment is of an earlier transmission
        elif rtt <= self.minimum or not self.minimum or now - self.minimum_at > MINIMUM_LIFETIME:
            self.minimum, self.minimum_at = rtt, now
        self.rtt = rtt
        if at > self.at or (at == self.at and right > self.end):
            self.at, self.end = at, right

    def duplicated(self, una: int, nxt: int) -> None:
        """Step 4: a D-SACK says that something was sent again in vain, so the window widens, once a round trip."""
        if una >= self.round:
            self.round = nxt
            self.multiplier += 1
            self.persist = PERSISTENCE

    def recovered(self) -> None:
        """Step 4: a recovery has ended; after sixteen without a D-SACK the window is narrow again."""
        self.persist -= 1
        if self.persist <= 0:
            self.multiplier = 1

    def window(self, certain: bool, smoothed: int) -> int:
        """Step 4, RACK_update_reo_wnd(): how much later than expected a segment may still come, in ns.

        `certain`: a recovery goes on, or DupThresh segments have arrived beyond.
        """
        if certain and not self.reordering:
            return 0
        return min(self.multiplier * self.minimum // 4, smoothed)

    def detect(self, now: int, board: Scoreboard, window: int) -> bool:
        """Step 5, RACK_detect_loss(): find what is lost, and when to look again. Says whether something was found."""
        self.due = FOREVER
        found = False
        for index, sent in enumerate(board):
            if sent.state != FLYING:
                continue
            if not self._sent_after(sent):
                if sent.again:
                    continue
                break  # what follows was sent even later
            until = sent.at + self.rtt + window
            if until <= now:
                board.lose(index)
                found = True
            elif until < self.due:
                self.due = until
        if found:
            board.tidy()
        return found

    def _sent_after(self, sent: Sent) -> bool:
        """RACK_sent_after(): whether what was delivered last was sent after this."""
        return self.at > sent.at or (self.at == sent.at and self.end > sent.right)

    def timed_out(self, now: int, board: Scoreboard, window: int) -> None:
        """8: the retransmission timer has expired: lost are the first, and what has had its time."""
        first = True
        for index, sent in enumerate(board):
            if sent.state == FLYING and (first or sent.at + self.rtt + window <= now):
                board.lose(index)
            first = False
        board.tidy()
        self.due = FOREVER
