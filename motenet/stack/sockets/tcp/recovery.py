"""Loss recovery: RFC 6675's with RACK (RFC 8985) and PRR (RFC 9937), or RFC 6582's for peers without SACK."""

from typing import TYPE_CHECKING

from motenet.core.clock import FOREVER
from motenet.stack.sockets.tcp.rack import DUPLICATES
from motenet.stack.sockets.tcp.scoreboard import FLYING, SACKED, Sent
from motenet.stack.sockets.tcp.tail import NONE
from motenet.stack.sockets.tcp.timers import STAMP_TICK

if TYPE_CHECKING:
    from motenet.stack.sockets.tcp.send import Sender

OPEN, FAST, LOSS = 0, 1, 2
"""Nothing is lost; a loss that acknowledgments have told of is being repaired; or one that the timer has found."""

Blocks = list[tuple[int, int]]
"""Ranges [left, right) that the peer has got out of order."""


def arrived(
    sender: "Sender", now: int, ack: int, blocks: Blocks, measured: int | None, echo: int | None, duplicate: bool
) -> None:
    """An acknowledgment that is not before SND.UNA has come.

    `blocks`: its SACK option; `measured`: the round trip of its timestamps, if one is wanted; `echo`: how many ticks
    ago that was sent which they echo, in ns; `duplicate`: RFC 5681, 2 calls it one.
    """
    length, flight = ack - sender.una, sender.flight
    before = FOREVER if echo is None else now - now % STAMP_TICK - echo + STAMP_TICK
    sender.tail.due = False
    if length:
        sender.advance(now, ack, measured)
    news = sender.board.acknowledge(ack)
    twice = _selective(sender, now, ack, blocks, news)
    for found in news:
        sender.rack.delivered(now, found.right, found.at, found.again, before)
    if sender.tail.acknowledged(ack, twice, duplicate and not blocks and twice == NONE):
        _reduce(sender, now, flight)  # RFC 8985, 7.4.2: the probe has repaired a loss
    spurious = sender.phase and length and _first_was_enough(sender, before)
    if spurious or (twice != NONE and sender.marker != NONE and not sender.repeated):
        undo(sender)
    if length:
        sender.repeated_at = FOREVER
    delivered = sum(found.right - found.left for found in news)
    if sender.phase and ack >= sender.recover and length:
        _recovered(sender, now, ack, length, delivered)
    elif sender.sack:
        _repair(sender, now, length, delivered)
    else:
        _repair_without_sack(sender, now, length, duplicate)
    if length:
        first_only = sender.phase == FAST and not sender.sack and sender.partials > 1
        at = sender.rto_at
        sender.rearm(now)
        if first_only:
            sender.rto_at = at  # RFC 6582, 4: in recovery the first time only


def _selective(sender: "Sender", now: int, ack: int, blocks: Blocks, news: list[Sent]) -> int:
    """Take a SACK option; what it tells of is added to `news`. Returns where its D-SACK ends; NONE: there is none."""
    if not blocks:
        return NONE
    twice = NONE
    if _is_duplicate(ack, blocks):
        left, twice = blocks.pop(0)
        if sender.repeated > 0 and twice > sender.marker:  # not a probe: the last recovery has sent it in vain
            sender.rack.duplicated(sender.una, sender.nxt)
            sender.repeated = max(sender.repeated - (twice - max(left, sender.marker)), 0)
    for left, right in sorted(blocks):  # in order, or one report would look like reordering
        if sender.una < right <= sender.nxt:
            found = sender.board.sack(left, right)
            news += found
            if found and left < sender.timed <= right:
                sender.measure(now)
    return twice


def _is_duplicate(ack: int, blocks: Blocks) -> bool:
    """RFC 2883, 4: the first block tells of what came twice, if it is old, or part of the second."""
    left, right = blocks[0]
    if right <= ack:
        return True
    return len(blocks) > 1 and blocks[1][0] <= left and right <= blocks[1][1]


def _repair(sender: "Sender", now: int, length: int, delivered: int) -> None:
    """What an acknowledgment of a peer with SACK leads to."""
    board = sender.board
    if length:
        sender.duplicates = 0
    elif delivered:
        sender.duplicates += 1  # RFC 6675, 2
    found = (board.sacked > 0 or sender.phase != OPEN) and _detect(sender, now, delivered)
    if sender.phase != FAST:
        if length:
            _grow(sender, now, min(length, delivered))  # what was reported before has not left the network now
    elif delivered:
        _shrink(sender, delivered, length > 0 and not found)


def _shrink(sender: "Sender", delivered: int, safe: bool) -> None:
    congestion = sender.congestion
    congestion.take(sender.prr.window(delivered, sender.board.pipe, congestion.threshold, sender.mss, safe))


def _grow(sender: "Sender", now: int, length: int) -> None:
    """New data was acknowledged. After a timeout that may cover what had arrived before (RFC 3465, 2.3: L = 1)."""
    counted = min(length, sender.mss) if sender.phase else length
    sender.congestion.acknowledged(now, counted, sender.peak, sender.rack.rtt)


def _detect(sender: "Sender", now: int, delivered: int) -> bool:
    """RFC 8985, 6.2, step 5; the first loss begins a recovery. Says whether something was found lost."""
    rack, board = sender.rack, sender.board
    many = sender.duplicates >= DUPLICATES or board.sacked > (DUPLICATES - 1) * sender.mss  # RFC 6675, 4, IsLost()
    found = rack.detect(now, board, rack.window(many or sender.phase != OPEN, sender.rtt.smoothed))
    if found and not sender.phase:
        _enter(sender, now, delivered)
    return found


def reordering_expired(sender: "Sender", now: int) -> None:
    """RFC 8985, 6.3: what RACK has waited for has not come."""
    before = sender.phase
    _detect(sender, now, 0)
    if sender.phase != before:
        _shrink(sender, 0, False)


def _enter(sender: "Sender", now: int, delivered: int) -> None:
    """Fast recovery begins, with an acknowledgment that tells of so many bytes delivered."""
    sender.phase = FAST
    sender.recover = sender.max
    sender.partials = 0
    sender.rescued = False
    sender.fast_retransmits += 1
    sender.prr.start(sender.flight - sender.board.sacked + delivered)
    sender.tail.cancel()
    if sender.una < sender.reduced:
        sender.repeated = NONE
        stays(sender)  # RFC 3168, 6.1.2: the window has been reduced for these already
    else:
        _begin_episode(sender)
        _cut(sender, now, sender.flight)


def _cut(sender: "Sender", now: int, flight: int) -> int:
    """Tell the algorithm. Limited transmit's segments do not count (RFC 5681, 3.2, step 2), nor a loss probe."""
    return sender.congestion.lost(now, min(flight, sender.congestion.window))


def _begin_episode(sender: "Sender") -> None:
    """Remember what tells whether a recovery was needless; and no mark of what was sent before it counts any more."""
    sender.marker, sender.repeated, sender.repeated_at = sender.una, NONE, FOREVER
    sender.reduced, sender.reduction_due = sender.nxt, sender.ecn


def _recovered(sender: "Sender", now: int, ack: int, length: int, delivered: int) -> None:
    """All is acknowledged that was outstanding when recovery began."""
    congestion = sender.congestion
    if sender.phase == FAST:
        window = congestion.threshold  # RFC 9937, 6.2
        if not sender.sack:
            window = min(window, max(sender.flight, sender.mss) + sender.mss)  # RFC 6582, 3.2, step 3, option 1
        congestion.take(window)
    else:
        _grow(sender, now, length)
    sender.phase = OPEN
    sender.duplicates = 0
    sender.recover = ack - 1  # only what was missing was sent again: duplicates to come are no echo of it
    sender.rack.recovered()
    if sender.board.sacked:
        _repair(sender, now, 0, delivered)


def _reduce(sender: "Sender", now: int, flight: int) -> int:
    """One window's reduction, without anything to repair. Returns what is left of it without ssthresh's minimum."""
    congestion = sender.congestion
    rest = _cut(sender, now, flight)
    congestion.take(min(congestion.threshold, congestion.window))
    stays(sender)  # no recovery from before this, should it prove needless, gives the window back
    sender.reduced, sender.reduction_due = sender.nxt, sender.ecn
    return rest


def marked(sender: "Sender", now: int, window: int, flight: int) -> None:
    """The peer echoes a congestion mark, when there were `window` and `flight` (RFC 3168, 6.1.2).

    The window does not grow, and once a window it shrinks as for a loss, down to one segment; from there to none,
    until the retransmission timer's time lets one go.
    """
    congestion = sender.congestion
    if sender.phase != FAST:
        congestion.window = min(congestion.window, window)
    if sender.phase == OPEN and sender.una > sender.reduced:
        rest = _reduce(sender, now, flight)
        congestion.take(min(congestion.window, rest))  # RFC 9438, 4.6
        if window <= sender.mss:
            congestion.window = 0


# --- needless recoveries ---


def stays(sender: "Sender") -> None:
    """The window's reduction is not to be undone: there was congestion (RFC 4015, 3.4)."""
    sender.marker, sender.repeated_at = NONE, FOREVER


def _first_was_enough(sender: "Sender", before: int) -> bool:
    """Eifel (RFC 3522): the answer to what was sent again echoes a time `before` that."""
    return before <= sender.repeated_at < FOREVER


def undo(sender: "Sender") -> None:
    """RFC 4015; RFC 8985, 6.2: nothing was lost, so the window is as it was."""
    sender.congestion.undo()
    sender.phase = OPEN
    sender.duplicates = 0
    sender.recover = sender.una - 1
    sender.reduced, sender.reduction_due = min(sender.reduced, sender.una - 1), False
    sender.repeated = NONE
    stays(sender)
    sender.board.find_again()
    sender.undone += 1


# --- the timer ---


def timed_out(sender: "Sender", now: int) -> None:
    """RFC 6298, 5.4; RFC 5681, 3.1; RFC 8985, 8: what is lost is sent again, in slow start."""
    board, again = sender.board, sender.rtt.backoffs > 0
    sender.congestion.timed_out(now, sender.flight, again)
    if not (again and sender.phase == LOSS):
        _begin_episode(sender)
    sender.phase = LOSS
    sender.recover = sender.max  # RFC 6582, 3.2, step 4
    sender.tail.cancel()
    if not sender.sack:
        board.lose_from(sender.una, sender.nxt)
        return
    if board.ranges and board.ranges[0].state == SACKED:
        board.renege()  # RFC 2018, 8: it has reported SND.UNA, and yet does not acknowledge it
    sender.rack.timed_out(now, board, sender.rack.window(True, sender.rtt.smoothed))
    sender.congestion.take(board.pipe + sender.mss)


# --- peers without SACK (RFC 5681, 3.2; RFC 6582, 3.2) ---


def _repair_without_sack(sender: "Sender", now: int, length: int, duplicate: bool) -> None:
    congestion, mss = sender.congestion, sender.mss
    if length and sender.phase == FAST:
        sender.partials += 1
        window = max(congestion.window - length, 0)  # step 3, partial acknowledgments: deflate
        congestion.take(window + mss if length >= mss else window)
        _lose_first(sender)
    elif length:
        known = min(sender.duplicates * mss, max(length - mss, 0))  # the duplicates have told that it arrived
        sender.duplicates = 0
        _grow(sender, now, length - known)
    elif duplicate:
        sender.duplicates += 1
        if sender.phase == FAST:
            if sender.duplicates * mss <= sender.flight:  # no more than can have left the network
                congestion.take(congestion.window + mss)  # RFC 5681, 3.2, step 4
        elif sender.duplicates == DUPLICATES and sender.una > sender.recover:  # RFC 6582, 3.2, step 1
            _enter(sender, now, 0)
            congestion.take(congestion.threshold + DUPLICATES * mss)  # RFC 5681, 3.2, step 3
            _lose_first(sender)


def _lose_first(sender: "Sender") -> None:
    sender.board.lose_from(sender.una, min(sender.una + sender.unit, sender.nxt))


# --- a smaller path ---


def too_large(sender: "Sender") -> None:
    """A router has dropped what is larger than the MSS is now: it goes again; that is no congestion (RFC 1191, 6.4)."""
    board = sender.board
    for index, found in enumerate(board.ranges):
        if found.state == FLYING and found.right - found.left > sender.mss:
            board.lose(index)
    board.tidy()
