"""What a connection sends, and when: timers first, then SYN, data and FIN, acknowledgments, probes."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from motenet.core.clock import FOREVER
from motenet.stack.sockets.tcp import recovery
from motenet.stack.sockets.tcp.handshake import add_options
from motenet.stack.sockets.tcp.state import MAY_RECEIVE, Failure, State
from motenet.stack.sockets.tcp.timers import (
    KEEP_ALIVE_INTERVAL,
    KEEP_ALIVE_PROBES,
    ORPHAN_PROBES,
    SYN_ANSWERS,
    TROUBLE_AFTER,
)
from motenet.stack.wire.tcp import ACK, CWR, ECE, FIN, MASK, PSH, RST, SYN, URG, Segment

if TYPE_CHECKING:
    from motenet.stack.sockets.tcp.connection import Connection
    from motenet.stack.sockets.tcp.send import Sender

Emit = Callable[[Segment], bool]
"""Takes a segment, or says False: there is no room for it now, and it counts as not sent."""


def dispatch(socket: "Connection", now: int, emit: Emit) -> None:
    """Send all that may be sent now. When `emit` refuses, the rest waits for the next call."""
    socket.work = True  # until all is sent
    _expire(socket, now)
    state = socket.state
    if state is State.CLOSED:
        if socket.reset_due:
            if not _emit(socket, emit, _reset(socket)):
                return
            socket.reset_due = False
        socket.work = False
        return
    sender = socket.sender
    if state is State.SYN_SENT or state is State.SYN_RECEIVED:
        if sender.nxt == sender.isn and not _send_syn(socket, now, emit):
            return
    elif sender.busy:
        socket.fit_mss()
        if not _send_data(socket, now, emit):
            return
    if state is not State.SYN_SENT and not _send_acknowledgments(socket, emit):
        return
    if socket.keep_alive is not None and now >= keep_alive_at(socket) and not _send_keep_alive(socket, emit):
        return
    socket.work = False


def poll_at(socket: "Connection", now: int) -> int | None:
    """When `dispatch` has work: now, or when the first timer expires."""
    if socket.work:
        return now
    if socket.state is State.CLOSED:
        return None
    sender = socket.sender
    at = min(sender.rto_at, sender.tail_at(), sender.rack.due, sender.probe_at, socket.receiver.ack_at, socket.close_at)
    if socket.user_timeout is not None and sender.waiting_since != FOREVER:
        at = min(at, sender.waiting_since + socket.user_timeout)
    if socket.keep_alive is not None:
        at = min(at, keep_alive_at(socket))
    return None if at == FOREVER else at


# --- timers (3.10.8) ---


def _expire(socket: "Connection", now: int) -> None:
    sender = socket.sender
    timeout = socket.user_timeout
    if timeout is not None and now - sender.waiting_since >= timeout:
        socket.fail(Failure.TIMED_OUT)
    elif now >= socket.close_at:
        socket.enter(State.CLOSED)
    elif now >= sender.tail_at():
        sender.tail.due = True
    elif now >= sender.rto_at:
        if socket.listener and socket.state is State.SYN_RECEIVED and sender.timeouts >= SYN_ANSWERS - 1:
            sender.rto_at = FOREVER  # RFC 4987, 2: a forged SYN is no lever; an honest peer's comes again
            return
        sender.retransmission_expired(now)
        if sender.rtt.backoffs == TROUBLE_AFTER:
            socket.trouble()
    elif now >= sender.rack.due:
        recovery.reordering_expired(sender, now)
    elif now >= sender.probe_at:
        if socket.orphan and sender.probes >= ORPHAN_PROBES:
            socket.fail(Failure.TIMED_OUT)
        else:
            sender.probe_expired()
    elif socket.probes >= KEEP_ALIVE_PROBES and now >= keep_alive_at(socket):
        socket.fail(Failure.TIMED_OUT)


def keep_alive_at(socket: "Connection") -> int:
    """When the next keep-alive probe is due: only while nothing is outstanding (MUST-26)."""
    interval = socket.keep_alive
    sender = socket.sender
    if interval is None or sender.waiting_since != FOREVER or socket.state in (State.SYN_SENT, State.TIME_WAIT):
        return FOREVER
    return socket.heard_at + interval + socket.probes * min(interval, KEEP_ALIVE_INTERVAL)


# --- segments ---


def _emit(socket: "Connection", emit: Emit, segment: Segment) -> bool:
    if not emit(segment):
        return False
    socket.segments_out += 1
    return True


def _segment(socket: "Connection", seq: int, flags: int) -> Segment:
    """A segment with everything that all segments of a synchronized connection carry."""
    receiver = socket.receiver
    window = receiver.offer(socket.sender.mss)
    segment = Segment(socket.local[1], socket.remote[1], seq & MASK, receiver.nxt & MASK, flags | ACK, window)
    if receiver.echo:
        segment.flags |= ECE
    if socket.stamped:
        segment.timestamps = (socket.stamp(), receiver.recent_stamp)
    return segment


def acknowledgment(socket: "Connection") -> Segment:
    """<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>, with SACK blocks if there is something to report."""
    segment = _segment(socket, socket.sender.acceptable(), 0)
    receiver = socket.receiver
    if receiver.sack and (receiver.assembler.lefts or receiver.repeated):
        segment.sack = receiver.sack_blocks(3 if socket.stamped else 4)  # RFC 2018, 3: what 40 bytes hold
    return segment


def _reset(socket: "Connection") -> Segment:
    """<SEQ=SND.NXT><CTL=RST> (3.10.5); the acknowledgment that goes with it does no harm, and is usual."""
    seq, ack = socket.sender.acceptable(), socket.receiver.nxt
    segment = Segment(socket.local[1], socket.remote[1], seq & MASK, ack & MASK, RST | ACK, 0)
    if socket.stamped:
        segment.timestamps = (socket.stamp(), socket.receiver.recent_stamp)  # RFC 7323, 3.2 (SHOULD)
    return segment


def _send_syn(socket: "Connection", now: int, emit: Emit) -> bool:
    sender, answer = socket.sender, socket.state is State.SYN_RECEIVED
    if answer:
        segment = _segment(socket, sender.isn, SYN | ECE if sender.ecn else SYN)  # RFC 3168, 6.1.1
    else:
        asks = socket.ecn and not sender.timeouts  # RFC 3168, 6.1.1.1: a second try does without
        segment = Segment(socket.local[1], socket.remote[1], sender.isn & MASK, 0, SYN | ECE | CWR if asks else SYN, 0)
    add_options(socket, segment, answer)
    if not _emit(socket, emit, segment):
        return False
    sender.sent(now, sender.isn, 1, False, False)
    if answer:
        socket.receiver.acknowledged(False)
    return True


def _send_data(socket: "Connection", now: int, emit: Emit) -> bool:
    """Data and FIN, as far as windows and silly window avoidance allow. False: `emit` has refused."""
    sender, mss = socket.sender, socket.sender.unit
    largest = max(socket.max_segmented - socket.max_segmented % mss, mss)
    sender.restart_if_idle(now)
    while True:
        seq, length = sender.next_range(largest)
        if not length:
            sender.wait_for_window(now)
            return True
        segment = _data_segment(socket, sender, seq, length)
        probe = sender.force and seq + length > sender.una + sender.wnd
        if probe:
            segment.ect = False  # RFC 3168, 6.1.6
        if not _emit(socket, emit, segment):
            return False
        if segment.flags & CWR:
            sender.reduction_due = False
        sender.sent(now, seq, length, segment.flags & FIN != 0, probe)
        socket.receiver.acknowledged(False)
        if probe:
            return True


def _data_segment(socket: "Connection", sender: "Sender", seq: int, length: int) -> Segment:
    """The segment with `length` sequence numbers from `seq` on: data, and FIN if they reach beyond it."""
    ring = sender.ring
    behind, end = seq + length, ring.end
    segment = _segment(socket, seq, FIN if behind > end else 0)
    if behind > end:
        length -= 1
    if length:
        if behind >= end:
            segment.flags |= PSH  # MUST-61: what empties the queue
        segment.payload = ring.pieces(seq, length)
        segment.payload_length = length
        if length > sender.unit:
            segment.segment_size = sender.unit
        if sender.urgent > seq:
            segment.flags |= URG
            segment.urgent = min(sender.urgent - seq, 0xFFFF)
        if sender.ecn and seq >= sender.max:
            segment.ect = True  # RFC 3168, 6.1.5: new data only
            if sender.reduction_due:
                segment.flags |= CWR
    return segment


def _send_acknowledgments(socket: "Connection", emit: Emit) -> bool:
    """What no data segment has carried: owed duplicates one by one, what is due now or has waited, window updates."""
    receiver = socket.receiver
    if socket.state in MAY_RECEIVE and receiver.update_due(socket.sender.mss):
        receiver.ack_now = True
    while receiver.ack_now or receiver.owed or socket.now >= receiver.ack_at:
        if not _emit(socket, emit, acknowledgment(socket)):
            return False
        receiver.acknowledged(True)
    return True


def _send_keep_alive(socket: "Connection", emit: Emit) -> bool:
    """A segment before the window, which the peer must answer (3.8.4), without data (SHLD-12)."""
    if not _emit(socket, emit, _segment(socket, socket.sender.nxt - 1, 0)):
        return False
    socket.probes += 1
    return True
