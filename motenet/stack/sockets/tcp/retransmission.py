"""What is sent again: what is lost, a probe for the tail, a rescue for the end of a recovery."""

from typing import TYPE_CHECKING

from motenet.core.clock import FOREVER
from motenet.stack.sockets.tcp.recovery import FAST
from motenet.stack.sockets.tcp.scoreboard import FLYING

if TYPE_CHECKING:
    from motenet.stack.sockets.tcp.send import Sender


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
    if mss < length < wanted:
        length -= length % mss
    return seq, max(length, 0)


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
