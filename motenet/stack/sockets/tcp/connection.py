"""A connection: its state, its settings, and what the interface and the state machine's other files call."""

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from motenet.core import units
from motenet.core.clock import FOREVER
from motenet.core.errors import ConfigurationError
from motenet.core.rng import Stream
from motenet.core.state import Plain
from motenet.core.trace import HasNow
from motenet.stack.errors import StackError
from motenet.stack.sockets.socket import Socket, check_number, check_time
from motenet.stack.sockets.tcp import arrival, departure, recovery
from motenet.stack.sockets.tcp.handshake import (
    LEAST_PAYLOAD,
    SMALLEST_MSS,
    Endpoint,
    in_syn_sent,
    initial_sequence,
    reset_reply,
    sequence_beyond,
    stamp_offset,
    syn_arrives,
    take_text_of_syn,
)
from motenet.stack.sockets.tcp.receive import DEFAULT_MSS, Receiver
from motenet.stack.sockets.tcp.send import Sender
from motenet.stack.sockets.tcp.state import Failure, State
from motenet.stack.sockets.tcp.timers import (
    CONFIRM_INTERVAL,
    FIN_WAIT_2_ORPHANED,
    STAMP_TICK,
    TIME_WAIT,
    USER_TIMEOUT,
)
from motenet.stack.wire import source_route
from motenet.stack.wire.tcp import MASK, Segment, unwrap

if TYPE_CHECKING:
    from motenet.stack.sockets.tcp.listener import TcpListener

CAPACITY = 256 * 1024
"""Bytes that each direction buffers by default."""
LARGEST = 1 << 30
"""RFC 7323, 2.3: the largest window is 2^16 - 1 scaled by 14."""

_NOWHERE: Endpoint = (b"", 0)
_HALF = 0x8000_0000
_PATH_MTU = ("fragmentation-needed", "packet-too-big")  # no failure: path MTU discovery looks after them


def _nobody(path: str) -> Socket | None:
    """A socket outside a set knows no other."""
    return None


def _nobody_listens(address: bytes, port: int) -> "TcpListener | None":
    """A socket outside a set knows no listener."""
    return None


def check_buffer(buffer: str | int) -> int:
    """A connection's buffers in bytes; ConfigurationError for none, or for more than a window can tell."""
    size = units.size(buffer)
    if not 1 <= size <= LARGEST:
        raise ConfigurationError(f"buffer={buffer!r}: a connection buffers 1 to {LARGEST} bytes in each direction")
    return size


def _check_interval(name: str, interval: str | int | None) -> int | None:
    if interval is None:
        return None
    checked = check_time(name, interval)
    if not checked:
        raise ConfigurationError(f"{name}={interval!r}: give a time above zero, or None for never")
    return checked


class Connection(Socket):
    """The transmission control block (RFC 9293, 3.3.1), with the interface's side of a socket."""

    kind: ClassVar[str] = "tcp"
    STATE: ClassVar[tuple[str, ...]] = (
        *Socket.STATE, "state", "local", "remote", "listener", "orphan", "failure", "soft_failure", "reset_due", "work",
        "mss_limit", "path_limit", "peer_mss", "max_segmented", "scaling", "timestamps", "stamped", "stamp_base",
        "traffic_class", "ecn", "confirm_at", "_keep_alive", "probes", "heard_at", "_user_timeout",
        "time_wait", "close_at", "challenge_at", "challenges", "segments_in", "segments_out",
        "source_route", "route_given",
    )  # fmt: skip

    def __init__(
        self,
        clock: HasNow,
        stream: Stream,
        path: str = "",
        receive_capacity: int = CAPACITY,
        send_capacity: int = CAPACITY,
    ) -> None:
        super().__init__(clock, path)
        self.stream = stream
        """Wiring: its key is the secret of the host's sequence numbers."""
        self.find: Callable[[str], Socket | None] = _nobody
        """Wiring, set by the set: the socket of a path."""
        self.listens: Callable[[bytes, int], TcpListener | None] = _nobody_listens
        """Wiring, set by the set: who listens at an address and port, and takes a SYN that we give way to."""
        self.suspect: Callable[[bytes], None] | None = None
        """Wiring: tells the IP layer that the way to this address may be dead (MUST-20 b)."""
        self.confirm: Callable[[bytes], None] | None = None
        """Wiring: tells the IP layer that this address answers, at most once a second (RFC 4861, 7.3.1)."""
        self.now = 0
        self.sender = Sender(send_capacity)
        self.receiver = Receiver(receive_capacity)
        self.state = State.CLOSED
        self.local = self.remote = _NOWHERE
        self.listener = ""
        """The path of the listener that this connection came to, until it is accepted (MUST-11)."""
        self.orphan = False
        """No application holds it any more: the set forgets it once it is finished."""
        self.failure = ""
        self.soft_failure = ""
        """What ICMP has said last; no reason to give up (MUST-56)."""
        self.reset_due = False
        self.work = False
        """Something may be there to be sent now."""
        self.mss_limit = 1460
        """The largest segment that the interface takes, options included (MMS_R - 20)."""
        self.path_limit = LARGEST
        """As `mss_limit`, for the path to the peer."""
        self.peer_mss = DEFAULT_MSS
        self.max_segmented = 0
        """Payload bytes that the card cuts into segments; 0: it does not."""
        self.scaling = False
        self.timestamps = True
        """Offer timestamps (RFC 7323), or answer them."""
        self.stamped = False
        """Both sides have agreed on timestamps."""
        self.stamp_base = 0
        self._traffic_class = 0
        self.ecn = False
        """Ask for ECN when connecting (RFC 3168). A peer that asks is always answered yes (Linux, tcp_ecn = 2)."""
        self.source_route: tuple[bytes, ...] = ()
        """IPv4: the gateways that our packets pass, in order."""
        self.route_given = False
        """It is the application's (MUST-52)."""
        self.confirm_at = 0
        self._keep_alive: int | None = None
        self.probes = 0
        """Keep-alive probes that are not answered yet."""
        self.heard_at = 0
        self._user_timeout: int | None = USER_TIMEOUT
        self.time_wait = TIME_WAIT
        """2 MSL, in ns."""
        self.close_at = FOREVER
        self.challenge_at = 0
        self.challenges = 0
        self.segments_in = 0
        self.segments_out = 0

    # --- settings with a deadline ---

    @property
    def keep_alive(self) -> int | None:
        """After how long a silence to ask whether the peer is still there, in ns (timers.KEEP_ALIVE); None: never."""
        return self._keep_alive

    @keep_alive.setter
    def keep_alive(self, interval: str | int | None) -> None:
        self._keep_alive = _check_interval("keep_alive", interval)
        self.ready()

    @property
    def user_timeout(self) -> int | None:
        """R2: how long to wait for an answer, in ns; None: for ever (MUST-21)."""
        return self._user_timeout

    @user_timeout.setter
    def user_timeout(self, timeout: str | int | None) -> None:
        self._user_timeout = _check_interval("user_timeout", timeout)
        self.ready()

    @property
    def traffic_class(self) -> int:
        """IPv4's TOS or IPv6's traffic class, 0 to 255 (MUST-48)."""
        return self._traffic_class

    @traffic_class.setter
    def traffic_class(self, value: int) -> None:
        self._traffic_class = check_number("traffic_class", value, 0xFF)

    # --- for the interface ---

    @property
    def finished(self) -> bool:
        """Closed, and nothing is left to send."""
        return self.state is State.CLOSED and not self.reset_due

    @property
    def key(self) -> tuple[bytes, int, bytes, int] | None:
        """What segments are matched by: local address and port, remote address and port; None while closed."""
        return None if self.state is State.CLOSED else (*self.local, *self.remote)

    def process(self, now: int, source: bytes, destination: bytes, segment: Segment) -> Segment | None:
        """Take a segment from `source`; returns an immediate reply, such as a reset (3.10.7)."""
        self.now = now
        self.segments_in += 1
        state = self.state
        if state is State.ESTABLISHED:
            if arrival.predicted(self, now, segment):
                self.heard_at = now
                self.probes = 0
                return None
        elif state is State.CLOSED:
            return reset_reply(segment)
        elif state is State.SYN_SENT:
            reply = in_syn_sent(self, segment)
            arrival.after_syn(self, segment)
            return reply
        return arrival.in_synchronized(self, segment)

    def dispatch(self, now: int, emit: departure.Emit) -> None:
        """Send what may be sent; where `emit` says False, the segment does not count, and the rest waits."""
        self.now = now
        departure.dispatch(self, now, emit)

    def poll_at(self, now: int) -> int | None:
        return departure.poll_at(self, now)

    @property
    def first_hop(self) -> bytes:
        """Where our packets go first: the peer's address, or that of the source route's first gateway."""
        return self.source_route[0] if self.source_route else self.remote[0]

    def take_route(self, route: tuple[bytes, ...], seq: int | None = None) -> None:
        """A segment has come by a source route, whose reverse is `route` (MUST-53); a later one counts (SHLD-24).

        Only from a segment that is due next (`seq`), or whoever guesses the ports could lead the answers astray.
        """
        if route and not self.route_given and (seq is None or seq == self.receiver.nxt & MASK):
            self.source_route, self.max_segmented = route, 0
            self.fit_mss()

    def outstanding(self, seq: int) -> bool:
        """Whether a segment with this number may be on its way: who cannot see ours has to guess (RFC 5927, 4.1)."""
        return self.sender.una <= unwrap(seq, self.sender.una) < self.sender.max

    def unreachable(self, kind: str) -> None:
        """ICMP says that what we sent did not arrive: "port", "host" and so on (3.9.2.2).

        A hard error ends an attempt to connect; on a synchronized connection it is as soft as others (RFC 5461, 4).
        """
        hard = kind == "port" or (kind == "protocol" and len(self.remote[0]) == 4)  # ICMPv6's is soft (MUST-56)
        if hard and self.state in (State.SYN_SENT, State.SYN_RECEIVED):
            self.fail(Failure.REFUSED)
        elif kind not in _PATH_MTU:
            self.soft_failure = kind
            self.changed("tcp-unreachable", kind)
            self.wake()

    def path_mss(self, limit: int) -> None:
        """The path has another MTU: `limit` bytes of options and data fit into a packet (RFC 1191, 6.4; RFC 8201, 4).

        What was too large is sent again at once, which is no sign of congestion.
        """
        smaller = limit < min(self.path_limit, self.mss_limit)
        self.path_limit = max(limit, SMALLEST_MSS)
        self.fit_mss()
        if smaller and self.sender.nxt > self.sender.una:
            recovery.too_large(self.sender)
            self.stir()

    # --- for the listener ---

    def open_passively(
        self, now: int, local: Endpoint, remote: Endpoint, segment: Segment, former: "Connection | None" = None
    ) -> None:
        """A SYN has come to a listener (3.10.7.2, third), and one in TIME-WAIT has given way to it (MAY-2)."""
        self.now = self.heard_at = now
        self.segments_in = 1
        self._open(remote, local, now)
        if former is not None:
            self.interface = former.interface
            self.sender.start(sequence_beyond(self.sender.isn, former.sender.max))
        syn_arrives(self, segment)
        take_text_of_syn(self, segment)
        self.enter(State.SYN_RECEIVED)
        self.stir()

    # --- for the state machine's other files ---

    def _open(self, remote: Endpoint, local: Endpoint, now: int) -> None:
        if self.state is not State.CLOSED or self.sender.isn:
            raise StackError("this socket has had its connection: make another one")
        self.local, self.remote = local, remote
        self.stamp_base = stamp_offset(self.stream.key, local, remote)
        self.heard_at = now
        self.sender.start(initial_sequence(self.stream.key, now, local, remote))

    def enter(self, state: State) -> None:
        """Change the state, and tell."""
        self.changed("tcp", f"{self.state} to {state}")
        if state is State.CLOSED and self.state is State.SYN_RECEIVED:
            self.receiver.ring.release(self.receiver.ring.end)  # data that came with a SYN was never valid (3.5)
        self.state = state
        self.close_at = FOREVER
        if state is State.TIME_WAIT or state is State.CLOSED:
            self.receiver.assembler.clear()  # no gap will be filled any more, and the memory behind it goes
            self.sender.ring.shrink()
            self.receiver.ring.shrink()
        if state is State.CLOSED:
            self.work = self.reset_due
            self.orphan |= bool(self.listener)  # nobody will accept it any more
            self.ready()
        elif state is State.FIN_WAIT_2 and self.orphan:
            self.close_at = self.now + FIN_WAIT_2_ORPHANED
        if self.listener and state is not State.SYN_RECEIVED:
            self._tell_listener()
        self.wake()

    def _tell_listener(self) -> None:
        listener = self.find(self.listener)
        if listener is not None:
            listener.wake()

    def establish(self) -> None:
        """Our SYN is acknowledged."""
        self.heard_at = self.now
        self.fit_mss()
        self.confirmed()
        sender = self.sender
        sender.congestion.start(sender.mss, sender.lost_syn)
        if sender.lost_syn:
            sender.rtt.syn_was_lost()
        self.enter(State.ESTABLISHED)
        if sender.fin:
            self.enter(State.FIN_WAIT_1)

    def undo(self) -> None:
        """See Socket.undo: whoever still holds this connection finds it closed, with the reason."""
        self.state, self.failure, self.reset_due = State.CLOSED, Failure.UNDONE.value, False
        self.detach()

    def start_time_wait(self) -> None:
        """Enter TIME-WAIT, or stay there for another 2 MSL (MUST-13)."""
        if self.state is not State.TIME_WAIT:
            self.enter(State.TIME_WAIT)
        self.close_at = self.now + self.time_wait
        self.ready()

    def fail(self, failure: Failure) -> None:
        """End the connection before its time. The peer is told, unless it said so itself, or knows nothing yet."""
        silent = failure is Failure.TIMED_OUT and self.state is State.SYN_RECEIVED  # its address may be forged
        tell = failure in (Failure.ABORTED, Failure.TIMED_OUT) and not silent
        if failure is Failure.TIMED_OUT and self.soft_failure:
            failure = Failure.UNREACHABLE
        self.failure = failure.value
        self.reset_due = tell and self.state not in (
            State.SYN_SENT, State.CLOSING, State.LAST_ACK, State.TIME_WAIT, State.CLOSED,
        )  # fmt: skip
        self.enter(State.CLOSED)

    def trouble(self) -> None:
        """R1 retransmissions (MUST-20, SHLD-9)."""
        self.changed("tcp-trouble", f"{self.sender.rtt.backoffs} retransmissions")
        if self.suspect is not None:
            self.suspect(self.first_hop)
        self.wake()

    def confirmed(self) -> None:
        """The peer has acknowledged something new: what we send arrives (RFC 4861, 7.3.1)."""
        if self.confirm is not None and self.now >= self.confirm_at:
            self.confirm_at = self.now + CONFIRM_INTERVAL
            self.confirm(self.remote[0])

    def stir(self) -> None:
        """There may be something to send."""
        self.work = True
        self.ready()

    def acknowledgment(self) -> Segment:
        """The reply to what is not acceptable."""
        self.segments_out += 1
        return departure.acknowledgment(self)

    def stamp(self) -> int:
        """TSval now (RFC 7323, 5.4)."""
        return (self.stamp_base + self.now // STAMP_TICK) & MASK

    def measured(self, segment: Segment) -> int | None:
        """The round-trip time that a segment's TSecr tells, in ns; None when it is not needed, or there is none."""
        return self.echo_age(segment) if self.sender.wants_sample else None

    def echo_age(self, segment: Segment) -> int | None:
        """How long ago that was sent which a segment's TSecr echoes, in ns, to the tick; None: it echoes nothing."""
        stamps = segment.timestamps
        if not self.stamped or stamps is None or not stamps[1]:
            return None
        ticks = self.stamp() - stamps[1] & MASK
        return ticks * STAMP_TICK if ticks < _HALF else None

    def fit_mss(self) -> None:
        """Eff.snd.MSS (MUST-16): what peer and interface take, without the options that every segment carries."""
        options = (12 if self.stamped else 0) + source_route.length(self.source_route)
        mss = max(min(self.peer_mss, self.mss_limit, self.path_limit) - options, LEAST_PAYLOAD)
        if mss != self.sender.mss:
            self.sender.fit(mss)
        if self.mss_limit != self.receiver.mss_limit:
            self.receiver.limit(self.mss_limit)

    # --- state ---

    def save(self) -> Plain:
        return {**super().save(), "sender": self.sender.save(), "receiver": self.receiver.save()}

    def load(self, state: Plain) -> None:
        super().load(state)
        self.state = State(self.state)
        self.sender.load(state["sender"])
        self.receiver.load(state["receiver"])
