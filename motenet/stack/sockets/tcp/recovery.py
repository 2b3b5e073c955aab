"""Loss recovery: RFC 6675's with RACK (RFC 8985) and PRR (RFC 6937), or RFC 6582's for peers without SACK."""

from typing import TYPE_CHECKING

from motenet.core.clock import FOREVER
from motenet.core.units import MS
from motenet.stack.sockets.tcp.rack import DUPLICATES
from motenet.stack.sockets.tcp.scoreboard import FLYING, SACKED, Sent
from motenet.stack.sockets.tcp.tail import NONE

if TYPE_CHECKING:
    from motenet.stack.sockets.tcp.send import Sender

OPEN, FAST, LOSS = 0, 1, 2
"""Nothing is lost; a loss that acknowledgments have told of is being repaired; or one that the timer has found."""

Blocks = list[tuple[int, int]]
"""Ranges [left, right) that the peer has got out of order."""

_TICK = MS  # of timestamps (timers.STAMP_TICK)


# --- what is sent ---


def next_lost(sender: "Sender", largest: int) -> tuple[int, int]:
    """The lowest of what is lost, as far as the windows and `largest` allow; a length of 0: it has to wait."""
    found = sender.board.first_lost()
    if found is None:
        return sender.nxt, 0
    seq, mss = found.left, sender.unit
    if sender.urgent > seq:
        largest = mss
    wanted = min(found.right - seq, sender.una + sender.wnd - seq)
    if sender.phase == FAST and not sender.sack:
        return seq, max(min(wanted, mss), 0)  # RFC 6582, 3.2: the one that is missing goes at once
    room = sender.congestion.window - sender.board.pipe
    if room < min(wanted, mss):
        return seq, 0
    length = min(wanted, room, largest)
    return seq, max(length if length <= mss else length - (length % mss if length < wanted else 0), 0)


def tail_probe(sender: "Sender") -> tuple[int, int]:
    """RFC 8985, 7.3, TLP_send_probe(): new data if the peer has room for it, whatever cwnd says, or the last again."""
    nxt = sender.nxt
    length = min(sender.ring.end - nxt, sender.unit, sender.una + sender.wnd - nxt)
    if length > 0:
        return nxt, length
    return _last(sender)


def rescue(sender: "Sender") -> tuple[int, int]:
    """RFC 6675, 4, NextSeg, rule 4: once in a recovery, the end of what was sent before it goes again.

    Not if new data has followed: what becomes of that will tell.
    """
    last = sender.board.ranges[-1] if sender.board.ranges else None
    if last is None or sender.rescued or last.state != FLYING or last.again or sender.nxt > sender.recover:
        return sender.nxt, 0
    if sender.congestion.window - sender.board.pipe < sender.mss or last.right > sender.una + sender.wnd:
        return sender.nxt, 0
    return _last(sender)


def _last(sender: "Sender") -> tuple[int, int]:
    """The last segment that was sent, and lies within the peer's window."""
    last = sender.board.ranges[-1]
    right = min(last.right, sender.una + max(sender.wnd, 1))
    left = max(last.left, right - sender.unit)
    return (left, right - left) if left < right else (sender.una, 1)


def resent(sender: "Sender", now: int, seq: int, behind: int) -> None:
    """Numbers have gone out again."""
    if sender.phase:
        sender.repeated = max(sender.repeated, 0) + behind - seq
        if sender.repeated_at == FOREVER and seq == sender.una and sender.marker == seq:
            sender.repeated_at = now
        if sender.phase == FAST:
            if seq == sender.una and sender.sack:
                sender.rto_at = now + sender.rtt.timeout  # it has just left: so long it may take
            sender.rescued |= behind == sender.nxt
    sender.board.resent(seq, behind, now)


# --- what is acknowledged ---


def arrived(
    sender: "Sender", now: int, ack: int, blocks: Blocks, measured: int | None, echo: int | None, duplicate: bool
) -> None:
    """An acknowledgment that is not before SND.UNA has come.

    `blocks`: its SACK option; `measured`: the round trip of its timestamps, if one is wanted; `echo`: how long ago that
    was sent which they echo, at most; `duplicate`: RFC 5681, 2 calls it one.
    """
    length = ack - sender.una
    sender.tail.due = False
    if length:
        sender.advance(now, ack, measured)
    news = sender.board.acknowledge(ack)
    twice = _selective(sender, now, ack, blocks, news)
    for found in news:
        sender.rack.delivered(now, found.right, found.at, found.again, echo)
    if sender.tail.acknowledged(ack, twice, duplicate and not blocks):
        _reduce(sender, now)  # RFC 8985, 7.4.2: the probe has repaired a loss
    spurious = sender.phase and length and _first_was_enough(sender, now, echo)
    if spurious or (twice != NONE and sender.marker != NONE and not sender.repeated):
        undo(sender)
    if length:
        sender.repeated_at = FOREVER
    if sender.phase and ack >= sender.recover and length:
        _recovered(sender, now, ack, length)
    elif sender.sack:
        _repair(sender, now, length, sum(found.right - found.left for found in news))
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
    if board.sacked or sender.phase:
        _detect(sender, now)
    if sender.phase == FAST:
        congestion = sender.congestion
        congestion.take(sender.prr.window(delivered, board.pipe, congestion.threshold, sender.mss))
    elif length:
        _grow(sender, now, length)


def _grow(sender: "Sender", now: int, length: int) -> None:
    """New data was acknowledged. After a timeout that may cover what had arrived before (RFC 3465, 2.3: L = 1)."""
    counted = min(length, sender.mss) if sender.phase else length
    sender.congestion.acknowledged(now, counted, sender.peak, sender.rack.rtt)


def _detect(sender: "Sender", now: int) -> None:
    """RFC 8985, 6.2, step 5; the first loss begins a recovery."""
    rack, board = sender.rack, sender.board
    window = rack.window(sender.phase != OPEN, board.sacked, sender.mss, sender.rtt.smoothed)
    if rack.detect(now, board, window) and not sender.phase:
        _enter(sender, now)


def reordering_expired(sender: "Sender", now: int) -> None:
    """RFC 8985, 6.3: what RACK has waited for has not come."""
    before = sender.phase
    _detect(sender, now)
    if sender.phase == FAST:
        congestion = sender.congestion
        if not before or sender.board.lost:
            congestion.take(sender.prr.window(0, sender.board.pipe, congestion.threshold, sender.mss))


def _enter(sender: "Sender", now: int) -> None:
    """Fast recovery begins."""
    sender.phase = FAST
    sender.recover = sender.max
    sender.partials = 0
    sender.rescued = False
    sender.fast_retransmits += 1
    sender.prr.start(sender.flight)
    sender.tail.cancel()
    _begin_episode(sender)
    sender.congestion.lost(now, sender.flight)


def _begin_episode(sender: "Sender") -> None:
    """Remember what tells whether a recovery was needless; and no mark of what was sent before it counts any more."""
    sender.marker, sender.repeated, sender.repeated_at = sender.una, NONE, FOREVER
    sender.reduced, sender.reduction_due = sender.nxt, sender.ecn


def _recovered(sender: "Sender", now: int, ack: int, length: int) -> None:
    """All is acknowledged that was outstanding when recovery began."""
    congestion = sender.congestion
    if sender.phase == FAST:
        window = congestion.threshold  # RFC 6937, 3
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
        _detect(sender, now)


def _reduce(sender: "Sender", now: int) -> None:
    """One window's reduction, without anything to repair."""
    congestion = sender.congestion
    congestion.lost(now, sender.flight)
    congestion.take(congestion.threshold)
    sender.marker = NONE  # no recovery from before this, should it prove needless, gives the window back
    sender.reduced, sender.reduction_due = sender.nxt, sender.ecn


def marked(sender: "Sender", now: int) -> None:
    """The peer echoes a congestion mark: the window is halved as for a loss, once a window (RFC 3168, 6.1.2)."""
    if sender.ecn and sender.phase == OPEN and sender.una > sender.reduced:
        _reduce(sender, now)


# --- needless recoveries ---


def _first_was_enough(sender: "Sender", now: int, echo: int | None) -> bool:
    """Eifel (RFC 3522): the answer to what was sent again echoes a time before that."""
    return echo is not None and sender.repeated_at != FOREVER and echo - _TICK > now - sender.repeated_at


def undo(sender: "Sender") -> None:
    """RFC 4015; RFC 8985, 6.2: nothing was lost, so the window is as it was."""
    sender.congestion.undo()
    sender.phase = OPEN
    sender.duplicates = 0
    sender.recover = sender.una - 1
    sender.marker = sender.repeated = NONE
    sender.repeated_at = FOREVER
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
    sender.duplicates = 0
    sender.tail.cancel()
    if not sender.sack:
        board.lose_from(sender.una, sender.nxt)
        return
    if board.ranges and board.ranges[0].state == SACKED:
        board.renege()  # RFC 2018, 8: it has reported SND.UNA, and yet does not acknowledge it
    window = sender.rack.window(True, board.sacked, sender.mss, sender.rtt.smoothed)
    sender.rack.timed_out(now, board, window)
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
        sender.duplicates = 0
        _grow(sender, now, length)
    elif duplicate:
        sender.duplicates += 1
        if sender.phase == FAST:
            if sender.duplicates * mss <= sender.flight:  # no more than can have left the network
                congestion.take(congestion.window + mss)  # RFC 5681, 3.2, step 4
        elif sender.duplicates == DUPLICATES and sender.una > sender.recover:  # RFC 6582, 3.2, step 1
            _enter(sender, now)
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
