"""SEGMENT ARRIVES (RFC 9293, 3.10.7.4): one function a step of the RFC, and a short way for the usual segment."""

from typing import TYPE_CHECKING

from motenet.core.clock import FOREVER
from motenet.stack.sockets.tcp import recovery
from motenet.stack.sockets.tcp.handshake import reset_reply
from motenet.stack.sockets.tcp.state import HAS_CLOSED, MAY_RECEIVE, Failure, State
from motenet.stack.sockets.tcp.tail import NONE
from motenet.stack.sockets.tcp.timers import CHALLENGE_INTERVAL, STAMP_LIFETIME
from motenet.stack.wire.tcp import ACK, CWR, ECE, FIN, MASK, PSH, RST, SYN, URG, Segment, precedes, unwrap

if TYPE_CHECKING:
    from motenet.stack.sockets.tcp.connection import Connection
    from motenet.stack.sockets.tcp.send import Sender

_NOT_PUSH = 0xFF & ~PSH
_HALF = 0x8000_0000
_FIN_CAME = (State.CLOSE_WAIT, State.CLOSING, State.LAST_ACK)


def predicted(socket: "Connection", now: int, segment: Segment) -> bool:
    """The short way, in ESTABLISHED: the next data in order, or an acknowledgment of data, and nothing else with it.

    False: it is not so simple, and nothing has been touched.
    """
    receiver, sender = socket.receiver, socket.sender
    nxt = receiver.nxt
    if segment.flags & _NOT_PUSH != ACK or segment.seq != nxt & MASK or segment.window << sender.scale != sender.wnd:
        return False
    if segment.sack or segment.ce:
        return False
    stamps = segment.timestamps
    if socket.stamped and (stamps is None or (stamps[0] - receiver.recent_stamp) & _HALF):
        return False
    length = segment.payload_length
    if length:
        if segment.ack != sender.una & MASK or length > receiver.edge - nxt or receiver.assembler.lefts:
            return False
        if receiver.fin is not None:
            return False
        sender.wl1 = nxt
        if stamps is not None and nxt == receiver.acked:
            receiver.recent_stamp, receiver.stamped_at = stamps[0], now
        idle = receiver.ack_at == FOREVER
        if receiver.append(now, segment.payload, length):
            socket.stir()
        elif idle:
            socket.ready()
    else:
        ack = sender.una + (segment.ack - sender.una & MASK)
        if not sender.una < ack <= sender.max or not sender.undisturbed:
            return False
        if stamps is not None and nxt == receiver.acked:
            receiver.recent_stamp, receiver.stamped_at = stamps[0], now
        sender.wl1, sender.wl2 = nxt, ack
        sender.acknowledged(now, ack, None if stamps is None else socket.measured(segment))
        if now >= socket.confirm_at:
            socket.confirmed()
        if sender.ring.end > sender.nxt:
            socket.stir()
    socket.wake()
    return True


def in_synchronized(socket: "Connection", segment: Segment) -> Segment | None:
    """SYN-RECEIVED and all states after it."""
    receiver = socket.receiver
    seq = unwrap(segment.seq, receiver.nxt)
    flags = segment.flags
    if flags & SYN and not flags & RST:  # a reset comes second, a SYN fourth
        if socket.state is not State.SYN_RECEIVED or seq != receiver.isn:
            return _unexpected_syn(socket, segment, seq)
        if not flags & ACK:
            socket.sender.nxt = socket.sender.isn  # the peer's SYN again: our answer to it was lost
            socket.stir()
            return None
        seq += 1  # both have opened at once (figure 7): the acknowledgment counts, appendix A.2
    if socket.stamped and not flags & RST and not _stamp_is_good(socket, segment):
        return _unacceptable(socket, segment)
    if not _acceptable(socket, segment, seq):
        return _unacceptable(socket, segment)
    if flags & RST:
        return _check_reset(socket, seq)
    if not flags & ACK:
        socket.drop("tcp-no-ack")
        return None
    ack = unwrap(segment.ack, socket.sender.una)
    if not _acceptable_ack(socket, ack):
        socket.drop("tcp-unacceptable-ack")
        return reset_reply(segment) if socket.state is State.SYN_RECEIVED else challenge(socket)
    if segment.timestamps is not None and socket.stamped:  # not before: who guesses numbers would poison TS.Recent
        receiver.note_stamp(socket.now, seq, segment.timestamps[0])
    socket.heard_at, socket.probes = socket.now, 0
    if socket.sender.ecn:
        _take_marks(socket, segment)
    _take_ack(socket, segment, seq, ack)
    if socket.state is State.CLOSED:
        return None
    if socket.state in MAY_RECEIVE:
        if flags & URG:
            _check_urgent(socket, seq + segment.urgent)
        _process_text(socket, segment, seq)
    elif flags & FIN:
        socket.receiver.ack_now = True
        socket.stir()
    _check_fin(socket)
    return None


def after_syn(socket: "Connection", segment: Segment) -> None:
    """3.10.7.3: "continue processing at the sixth step", once our SYN is acknowledged; the text is taken already."""
    if segment.flags & URG and socket.state is State.ESTABLISHED:
        _check_urgent(socket, socket.receiver.isn + segment.urgent)
    _check_fin(socket)


# --- first: sequence number, timestamps ---


def _acceptable(socket: "Connection", segment: Segment, seq: int) -> bool:
    """Table 6. What begins at RCV.NXT is taken even when the window is zero: for its ACK, RST or URG (MUST-66)."""
    nxt, edge = socket.receiver.nxt, socket.receiver.edge
    if seq == nxt or nxt < seq < edge:
        return True
    length = segment.payload_length + (segment.flags & FIN)
    return length > 0 and nxt <= seq + length - 1 < edge


def _stamp_is_good(socket: "Connection", segment: Segment) -> bool:
    """PAWS (RFC 7323, 5.3, R1)."""
    receiver = socket.receiver
    if segment.timestamps is None:
        return False  # RFC 7323, 3.2: once agreed upon, every segment but a reset carries them
    if not precedes(segment.timestamps[0], receiver.recent_stamp):
        return True
    return socket.now - receiver.stamped_at > STAMP_LIFETIME  # RFC 7323, 5.5


def _unacceptable(socket: "Connection", segment: Segment) -> Segment | None:
    """An acknowledgment in reply, and the segment is dropped."""
    flags = segment.flags
    if flags & RST and socket.state in _FIN_CAME and segment.seq == socket.receiver.nxt - 1 & MASK:
        return _check_reset(socket, socket.receiver.nxt)  # macOS numbers a reset as the FIN before; Linux takes it, too
    if flags & RST or (socket.stamped and segment.timestamps is None):
        socket.drop("tcp-unacceptable")
        return None
    socket.receiver.duplicates += 1
    if segment.payload_length:
        socket.receiver.report(unwrap(segment.seq, socket.receiver.nxt), segment.payload_length)
    if socket.state is State.TIME_WAIT and flags & FIN:
        socket.start_time_wait()
    if segment.payload_length or flags & FIN:
        return socket.acknowledgment()  # the peer repeats what we have: it must learn that, as often as it takes
    return challenge(socket)


def challenge(socket: "Connection") -> Segment | None:
    """An acknowledgment in reply to what may be an attack, at a limited rate (RFC 5961, 7)."""
    if socket.now < socket.challenge_at:
        return None
    socket.challenge_at = socket.now + CHALLENGE_INTERVAL
    socket.challenges += 1
    return socket.acknowledgment()


def _unexpected_syn(socket: "Connection", segment: Segment, seq: int) -> Segment | None:
    """From a peer that has forgotten this connection, or an attacker: challenged (RFC 5961, 4.2).

    In TIME-WAIT it may be the next connection's, if somebody listens (MAY-2).
    """
    if socket.state is State.TIME_WAIT and _may_reopen(socket, segment, seq):
        listener = socket.listens(*socket.local)
        if listener is not None:
            socket.enter(State.CLOSED)
            return listener.process(socket.now, socket.remote[0], socket.local[0], segment, socket)
    socket.drop("tcp-unexpected-syn")
    return challenge(socket)


def _may_reopen(socket: "Connection", segment: Segment, seq: int) -> bool:
    """Whether a SYN in TIME-WAIT may open a new connection (MAY-2, SHLD-4): RFC 6191, 2."""
    if segment.flags & ACK:
        return False
    if segment.timestamps is not None and socket.timestamps:
        if not socket.stamped:
            return True  # the new connection's timestamps tell its segments from the old one's
        recent = socket.receiver.recent_stamp
        if segment.timestamps[0] != recent:
            return not precedes(segment.timestamps[0], recent)
    return seq > socket.receiver.nxt


# --- second: RST ---


def _check_reset(socket: "Connection", seq: int) -> Segment | None:
    """RFC 5961, 3.2: only a reset at exactly RCV.NXT counts, others in the window are challenged."""
    if seq != socket.receiver.nxt:
        socket.drop("tcp-inexact-reset")
        return challenge(socket)
    if socket.state is State.SYN_RECEIVED:
        socket.fail(Failure.REFUSED)
    elif socket.state in (State.CLOSING, State.LAST_ACK, State.TIME_WAIT) and not len(socket.sender.ring):
        socket.enter(State.CLOSED)
    else:
        socket.fail(Failure.RESET)  # MUST-12: data that nobody has acknowledged is lost, in LAST-ACK, too (as Linux)
    return None


# --- fifth: ACK ---


def _acceptable_ack(socket: "Connection", ack: int) -> bool:
    """Whether the peer can acknowledge that: in SYN-RECEIVED our SYN, later what lies in RFC 5961, 5.2's bounds."""
    sender = socket.sender
    if socket.state is State.SYN_RECEIVED:
        return sender.una < ack <= sender.max
    return sender.una - sender.max_wnd <= ack <= sender.max


def _take_ack(socket: "Connection", segment: Segment, seq: int, ack: int) -> None:
    sender = socket.sender
    if socket.state is State.SYN_RECEIVED:
        sender.wl1 = seq - 1  # so that the window below is taken
        socket.establish()
    window = segment.window << (0 if segment.flags & SYN else sender.scale)  # RFC 7323, 2.2
    changed = ack >= sender.una and sender.update_window(seq, ack, window)
    blocks = _blocks(sender, segment) if segment.sack and sender.sack else []
    if ack < sender.una:
        blocks = [block for block in blocks if block[1] > sender.una]  # it is late, but tells of what has arrived
        if not blocks:
            return
        ack = sender.una
    advanced = ack > sender.una
    duplicate = not (advanced or changed) and sender.wnd > 0 and _is_duplicate(socket, segment)
    cwnd, flight, marks = sender.congestion.window, sender.flight, sender.ecn and segment.flags & ECE != 0
    if marks:
        recovery.stays(sender)
    if advanced or duplicate or blocks:
        echo = socket.echo_age(segment) if sender.phase or sender.board.sacked else None
        recovery.arrived(sender, socket.now, ack, blocks, socket.measured(segment), echo, duplicate)
        socket.stir()
    elif changed:
        socket.stir()
    if marks:
        recovery.marked(sender, socket.now, cwnd, flight)
    if advanced:
        socket.confirmed()
        socket.wake()
        _our_fin(socket)
    elif not changed and sender.wnd == 0 and sender.waiting_since != FOREVER:
        sender.waiting_since = socket.now  # MUST-37: it answers, so it may keep its window shut


def _blocks(sender: "Sender", segment: Segment) -> recovery.Blocks:
    """The SACK option's ranges that may be true: of what was sent, or (D-SACK) not long ago."""
    blocks = []
    for left, right in segment.sack:
        begin = unwrap(left, sender.una)
        end = begin + (right - left & MASK)
        if sender.una - max(sender.max_wnd, _HALF >> 1) <= begin < end <= sender.max:
            blocks.append((begin, end))
    return blocks


def _is_duplicate(socket: "Connection", segment: Segment) -> bool:
    """RFC 5681, 2: nothing else than an acknowledgment of what was acknowledged before, and more is on its way.

    Or a probe's answer is awaited: what it has repeated is mostly the last (RFC 8985, 7.4.2, case 3).
    """
    sender = socket.sender
    return (sender.nxt > sender.una or sender.tail.end != NONE) and not segment.length


def _take_marks(socket: "Connection", segment: Segment) -> None:
    """RFC 3168, 6.1.3: a mark is echoed until the peer says that it has reduced its window."""
    receiver = socket.receiver
    if segment.flags & CWR:
        receiver.echo = False
    if segment.ce:
        receiver.ack_now |= not receiver.echo  # soon, as a duplicate would be
        receiver.echo = True


def _our_fin(socket: "Connection") -> None:
    """What an acknowledgment of our FIN leads to."""
    if socket.state not in HAS_CLOSED or not socket.sender.fin_acknowledged:
        return
    if socket.state is State.FIN_WAIT_1:
        socket.enter(State.FIN_WAIT_2)
    elif socket.state is State.CLOSING:
        socket.start_time_wait()
    else:
        socket.enter(State.CLOSED)


# --- sixth to eighth: URG, text, FIN ---


def _check_urgent(socket: "Connection", behind: int) -> None:
    """MUST-31 and MUST-32. An urgent pointer never goes back."""
    receiver = socket.receiver
    if behind > max(receiver.urgent, receiver.ring.start):
        receiver.urgent = behind
        socket.changed("tcp-urgent", f"{behind - receiver.ring.start} bytes")
        socket.wake()


def _process_text(socket: "Connection", segment: Segment, seq: int) -> None:
    receiver, length = socket.receiver, segment.payload_length
    if segment.flags & FIN and seq + length <= receiver.edge:
        receiver.fin = seq + length
    if length and socket.orphan and seq + length > receiver.nxt:
        socket.drop("tcp-nobody-reads")
        socket.fail(Failure.ABORTED)  # SHLD-3: a reset shows the peer that its data was lost
    elif length:
        deadline = receiver.ack_at
        before = receiver.nxt
        if not receiver.accept(socket.now, seq, segment.payload, length):
            socket.drop("tcp-not-taken")
        if receiver.ack_now or receiver.owed:
            socket.stir()
        elif receiver.ack_at != deadline:
            socket.ready()
        if receiver.nxt != before:
            socket.wake()
    elif segment.flags & FIN and seq > receiver.nxt:
        receiver.owed += 1  # RFC 5681, 4.2: out of order as data may be
        socket.stir()


def _check_fin(socket: "Connection") -> None:
    """The peer's FIN, once all before it has arrived."""
    if socket.state not in MAY_RECEIVE or not socket.receiver.finished():
        return
    socket.stir()
    if socket.state is State.ESTABLISHED:
        socket.enter(State.CLOSE_WAIT)
    elif socket.state is State.FIN_WAIT_1:
        socket.enter(State.CLOSING)  # our FIN is not acknowledged, or we would be in FIN-WAIT-2
    else:
        socket.start_time_wait()
