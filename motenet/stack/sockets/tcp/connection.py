"""A connection as the interface, the listener and the state machine's other files see it."""

from motenet.core.clock import FOREVER
from motenet.stack.errors import StackError
from motenet.stack.sockets.tcp import arrival, departure, recovery
from motenet.stack.sockets.tcp.control_block import ControlBlock
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
from motenet.stack.sockets.tcp.state import Failure, State
from motenet.stack.sockets.tcp.timers import CONFIRM_INTERVAL, FIN_WAIT_2_ORPHANED, STAMP_TICK
from motenet.stack.wire import source_route
from motenet.stack.wire.tcp import MASK, Segment, unwrap

_HALF = 0x8000_0000
_PATH_MTU = ("fragmentation-needed", "packet-too-big")  # no failure: path MTU discovery looks after them


class Connection(ControlBlock):
    """What befalls a connection from outside, and what it does with its control block."""

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
            self.confirm_at = 0  # the next progress says otherwise
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
        """The peer has acknowledged something new: what we send arrives (RFC 4861, 7.3.1; Linux, sk_err_soft)."""
        self.soft_failure = ""
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
