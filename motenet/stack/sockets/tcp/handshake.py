"""Opening: initial sequence numbers, the options of a SYN, and what arrives before the connection is synchronized."""

from hashlib import blake2s
from typing import TYPE_CHECKING

from motenet.core.units import US
from motenet.stack.sockets.tcp.receive import DEFAULT_MSS
from motenet.stack.sockets.tcp.state import Failure, State
from motenet.stack.wire.tcp import ACK, CWR, ECE, FIN, MASK, MAX_SCALE, RST, SYN, Segment, unwrap

if TYPE_CHECKING:
    from motenet.stack.sockets.tcp.connection import Connection

Endpoint = tuple[bytes, int]
"""An IP address in network order, and a port."""

DEFAULT_MSS_IPV6 = 1220  # RFC 9293, MUST-15
SMALLEST_MSS = 48  # as smoltcp has it: leaves room for data behind 40 bytes of options
LEAST_PAYLOAD = 8  # whatever options a peer's MSS has to leave room for, its stream goes on; our choice
_BEYOND = 65_537  # Linux, tcp_timewait_state_process(): a window, and a SYN and a FIN
_ISN_TICK = 4 * US  # RFC 9293, 3.4.1: one number every 4 microseconds


def initial_sequence(key: bytes, now: int, local: Endpoint, remote: Endpoint) -> int:
    """RFC 6528, 3: ISN = M + F(connection, secret). M is the clock (MUST-8), F a keyed hash (SHLD-1, MUST-9)."""
    return (now // _ISN_TICK + _keyed(key, b"isn", local, remote)) & MASK


def sequence_beyond(isn: int, used: int) -> int:
    """RFC 9293, 3.6.1, (1): a connection that follows one in TIME-WAIT begins beyond `used`, all that had sent."""
    return isn if unwrap(isn, used) > used else used + _BEYOND & MASK


def stamp_offset(key: bytes, local: Endpoint, remote: Endpoint) -> int:
    """RFC 7323, 5.4 and 7.1: where this connection's timestamp clock begins."""
    return _keyed(key, b"stamp", local, remote)


def _keyed(key: bytes, purpose: bytes, local: Endpoint, remote: Endpoint) -> int:
    hashed = blake2s(key=key, digest_size=4, person=purpose)
    for address, port in (local, remote):
        hashed.update(address + port.to_bytes(2, "big"))
    return int.from_bytes(hashed.digest(), "big")


def add_options(socket: "Connection", segment: Segment, answer: bool) -> None:
    """The options of our SYN: all that we can do, or in an answer what the peer has offered too."""
    receiver = socket.receiver
    segment.window = receiver.syn_window()
    segment.mss = socket.mss_limit  # RFC 9293, 3.7.1: without regard to options (RFC 6691)
    if not answer or socket.scaling:
        segment.window_scale = receiver.preferred_scale()  # RFC 7323, 2.2: an answer only to one that had it
    segment.sack_permitted = not answer or receiver.sack  # RFC 2018, 2
    if not answer and socket.timestamps:
        segment.timestamps = (socket.stamp(), 0)  # RFC 7323, 3.2


def take_options(socket: "Connection", segment: Segment) -> None:
    """The options of the peer's SYN."""
    sender, receiver = socket.sender, socket.receiver
    default = DEFAULT_MSS if len(socket.remote[0]) == 4 else DEFAULT_MSS_IPV6
    socket.peer_mss = max(segment.mss, SMALLEST_MSS) if segment.mss else default
    socket.scaling = segment.window_scale is not None
    if segment.window_scale is not None:
        sender.scale = min(segment.window_scale, MAX_SCALE)  # RFC 7323, 2.3: more than 14 means 14
        receiver.scale = receiver.preferred_scale()
    sender.sack = receiver.sack = segment.sack_permitted
    setup = segment.flags & (ECE | CWR)  # RFC 3168, 6.1.1: an ECN-setup SYN has both, an answer to ours only ECE
    sender.ecn = setup == ECE and socket.ecn if segment.flags & ACK else setup == ECE | CWR
    socket.stamped = socket.timestamps and segment.timestamps is not None
    if socket.stamped and segment.timestamps is not None:
        receiver.recent_stamp, receiver.stamped_at = segment.timestamps[0], socket.now
    socket.fit_mss()


def syn_arrives(socket: "Connection", segment: Segment) -> None:
    """Take a SYN (3.10.7.2, third; 3.10.7.3, fourth): RCV.NXT, the window (unscaled in a SYN) and the options."""
    sender, receiver = socket.sender, socket.receiver
    take_options(socket, segment)
    receiver.synchronize(segment.seq, receiver.syn_window())
    sender.wnd = segment.window
    sender.widen(segment.window)
    sender.wl1, sender.wl2 = segment.seq, sender.una


def in_syn_sent(socket: "Connection", segment: Segment) -> Segment | None:
    """3.10.7.3: SYN-SENT."""
    sender, flags = socket.sender, segment.flags
    ack = unwrap(segment.ack, sender.una)
    if flags & ACK and not sender.isn < ack <= sender.max:
        socket.drop("tcp-unacceptable-ack")
        return None if flags & RST else reset_reply(segment)
    if flags & RST:
        if flags & ACK:
            socket.fail(Failure.REFUSED)
        return None
    if not flags & SYN:
        return None
    syn_arrives(socket, segment)
    if flags & ACK:
        echo = socket.measured(segment)
        sender.acknowledged(socket.now, ack, echo)
        sender.wl2 = ack
        socket.establish()
        socket.receiver.ack_now = True
    else:  # both sides open at once (MUST-10): our SYN goes again, now with an acknowledgment
        sender.nxt = sender.isn
        socket.enter(State.SYN_RECEIVED)
    take_text_of_syn(socket, segment)
    socket.stir()
    return None


def take_text_of_syn(socket: "Connection", segment: Segment) -> None:
    """Data and FIN that came with a SYN: kept, and delivered once the connection is established."""
    receiver = socket.receiver
    if segment.payload_length:
        receiver.accept(socket.now, receiver.nxt, segment.payload, segment.payload_length)
    if segment.flags & FIN:
        receiver.fin = receiver.isn + 1 + segment.payload_length


def reset_reply(segment: Segment) -> Segment | None:
    """What a segment that belongs to no connection is answered with (3.10.7.1): a reset, unless it is one."""
    if segment.flags & RST:
        return None
    if segment.flags & ACK:
        return Segment(segment.destination_port, segment.source_port, segment.ack, 0, RST, 0)
    ack = (segment.seq + segment.length) & MASK
    return Segment(segment.destination_port, segment.source_port, 0, ack, RST | ACK, 0)
