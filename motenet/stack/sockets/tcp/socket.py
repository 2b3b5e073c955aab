"""A TCP connection as its application sees it."""

from collections.abc import Sequence
from typing import ClassVar

from motenet.core.checksum import Buffer
from motenet.core.errors import ConfigurationError, MotenetError
from motenet.stack.address import check_port, format_address
from motenet.stack.errors import AddressNotAvailable, BrokenPipe, NotConnected
from motenet.stack.sockets.datagram import check_data
from motenet.stack.sockets.socket import check_time
from motenet.stack.sockets.tcp.connection import Connection
from motenet.stack.sockets.tcp.handshake import Endpoint
from motenet.stack.sockets.tcp.state import MAY_RECEIVE, MAY_SEND, Failure, State, exception
from motenet.stack.sockets.tcp.timers import FIN_WAIT_2_ORPHANED, MAX_ACK_DELAY, USER_TIMEOUT
from motenet.stack.wire.source_route import LONGEST


def check_size(size: int) -> None:
    """ConfigurationError for what is no number of bytes."""
    if not isinstance(size, int) or size < 0:
        raise ConfigurationError(f"size={size!r}: say how many bytes, as a whole number from 0 on")


def check_endpoint(endpoint: Endpoint) -> None:
    """ConfigurationError for what is no address (4 or 16 bytes) and port."""
    known = isinstance(endpoint, tuple) and len(endpoint) == 2
    if not known or not isinstance(endpoint[0], bytes) or len(endpoint[0]) not in (0, 4, 16):
        raise ConfigurationError(f"{endpoint!r} is no endpoint: give (address, port), the address as 4 or 16 bytes")
    check_port(endpoint[1])


class TcpSocket(Connection):
    """One end of a connection (RFC 9293, 3.9.1). An endpoint is (address in network order, port).

    For the application is what this class has, with state, local, remote, hop_limit, keep_alive, user_timeout,
    traffic_class, time_wait, timestamps, ecn, soft_failure and waker; the rest of Connection is for the stack.
    """

    kind: ClassVar[str] = "tcp"

    def connect(self, remote: Endpoint, local: Endpoint, source_route: Sequence[bytes] = ()) -> None:
        """Open a connection actively (RFC 9293, 3.10.1); `state` and `error` tell how it goes.

        `source_route`: gateways to pass, in order (MUST-51).
        StackError if it is open already, AddressNotAvailable if `remote` is no single host (MUST-46),
        ConfigurationError for a port that is none, or such a route.
        """
        for endpoint in (remote, local):
            check_endpoint(endpoint)
        address, _ = remote
        group = bool(address) and address[0] >= (0xE0 if len(address) == 4 else 0xFF)
        if not any(address) or group:
            raise AddressNotAvailable(f"{format_address(address)} is not one peer: give a single host's address")
        if len(local[0]) != len(address):
            raise AddressNotAvailable(
                f"nobody reaches {format_address(address)} from {format_address(local[0])}: take two of one family"
            )
        if len(source_route) > LONGEST or any(len(one) != 4 for one in (address, *source_route) if source_route):
            raise ConfigurationError(f"a source route is a list of up to {LONGEST} IPv4 gateways; IPv6 has none")
        self.source_route, self.route_given = tuple(source_route), bool(source_route)
        self._open(remote, local, self.clock.now)
        self.enter(State.SYN_SENT)
        self.stir()

    def send(self, data: Buffer, urgent: bool = False) -> int:
        """Queue data; returns how many bytes there was room for. `urgent`: it ends with urgent data (3.8.5).

        Raises the connection's `error`, BrokenPipe after close(), NotConnected before connect().
        """
        if self.state not in (*MAY_SEND, State.SYN_SENT, State.SYN_RECEIVED) or self.sender.fin:
            raise self._refusal()
        taken = self.sender.ring.append(check_data(data))
        if taken:
            if urgent:
                self.sender.urgent = self.sender.ring.end
            self.stir()
        return taken

    def recv(self, size: int) -> bytes:
        """Up to `size` bytes that have come in order; none: there are none now, or `may_recv` is False, and it ends.

        Raises the connection's `error` once all is read.
        """
        check_size(size)
        ring = self.receiver.ring
        if ring.end > ring.start and self.state is not State.SYN_RECEIVED:
            data = ring.peek(size)
            self._consumed(len(data))
            return data
        if self.failure and size:
            raise exception(self.failure, self.remote)
        return b""

    def recv_into(self, buffer: bytearray | memoryview) -> int:
        """As `recv`, into the caller's memory; returns how many bytes."""
        if not isinstance(buffer, bytearray | memoryview) or memoryview(buffer).readonly:
            raise ConfigurationError(f"{type(buffer).__name__}: give memory that can be written, such as a bytearray")
        if not self.can_recv:
            return len(self.recv(1))  # nothing, or the error
        ring = self.receiver.ring
        length = min(len(buffer), len(ring))
        position = 0
        for piece in ring.pieces(ring.start, length):
            buffer[position : position + len(piece)] = piece
            position += len(piece)
        self._consumed(length)
        return length

    def peek(self, size: int) -> bytes:
        """As `recv`, but the bytes stay, and no error is raised."""
        check_size(size)
        return self.receiver.ring.peek(size) if self.state is not State.SYN_RECEIVED else b""

    def _consumed(self, length: int) -> None:
        self.receiver.ring.start += length
        if self.state in MAY_RECEIVE and self.receiver.update_due(self.sender.mss):
            self.stir()

    def close(self) -> None:
        """No more data will be sent: a FIN follows what is queued (3.10.4). What comes in can still be read."""
        state = self.state
        if state is State.SYN_SENT:
            self.enter(State.CLOSED)
        elif state is State.SYN_RECEIVED or state in MAY_SEND:
            self.sender.fin = True
            if state is State.ESTABLISHED:
                self.enter(State.FIN_WAIT_1)
            elif state is State.CLOSE_WAIT:
                self.enter(State.LAST_ACK)
            self.stir()

    def abort(self) -> None:
        """End the connection at once, with a reset to the peer (3.10.5)."""
        if self.state is not State.CLOSED:
            self.fail(Failure.ABORTED)

    def release(self) -> None:
        """The application goes away: close, and leave the rest to the stack. Unread data is answered with a reset.

        RFC 9293, 3.6.1 (SHLD-3): the peer learns that its data was lost.
        """
        self.orphan = True
        self.waker = None
        if self.user_timeout is None:
            self.user_timeout = USER_TIMEOUT  # for ever is the wish of an application that is there to end it
        if len(self.receiver.ring) and self.state in (*MAY_RECEIVE, State.CLOSE_WAIT):
            self.abort()
        self.close()
        if self.state is State.FIN_WAIT_2:
            self.close_at = self.clock.now + FIN_WAIT_2_ORPHANED
        self.ready()

    @property
    def is_open(self) -> bool:
        """Not closed, and not in TIME-WAIT."""
        return self.state not in (State.CLOSED, State.TIME_WAIT)

    @property
    def may_send(self) -> bool:
        """Whether our direction is open."""
        return self.state in MAY_SEND

    @property
    def may_recv(self) -> bool:
        """Whether data is there or may still come; False after the peer's FIN, once all is read."""
        return self.state in MAY_RECEIVE or self.can_recv

    @property
    def can_send(self) -> bool:
        """Whether `send` would take something."""
        return self.state in MAY_SEND and self.sender.ring.room > 0

    @property
    def can_recv(self) -> bool:
        """Whether `recv` would give something."""
        return len(self.receiver.ring) > 0 and self.state is not State.SYN_RECEIVED

    @property
    def send_queue(self) -> int:
        """Bytes that were handed over, and are not acknowledged yet."""
        return len(self.sender.ring)

    @property
    def recv_queue(self) -> int:
        """Bytes that wait to be read."""
        return len(self.receiver.ring)

    @property
    def urgent_remaining(self) -> int:
        """Bytes still to be read up to the end of urgent data (MUST-33)."""
        return max(self.receiver.urgent - self.receiver.ring.start, 0)

    @property
    def at_mark(self) -> bool:
        """Whether the reader is at the end of urgent data, which stays in line with the rest (RFC 6093, 4; POSIX)."""
        receiver = self.receiver
        return receiver.urgent == receiver.ring.start > receiver.isn + 1

    @property
    def error(self) -> MotenetError | None:
        """Why the connection failed: refused, reset, aborted, timed out or unreachable."""
        return exception(self.failure, self.remote) if self.failure else None

    @property
    def nagle(self) -> bool:
        """Hold back small segments while another is on its way (3.7.4); may be switched off (MUST-17)."""
        return self.sender.nagle

    @nagle.setter
    def nagle(self, on: bool) -> None:
        self.sender.nagle = on
        if self.sender.unsent:
            self.stir()

    @property
    def ack_delay(self) -> int | None:
        """How long an acknowledgment may wait, in ns, below 500 ms (MUST-40); None: not at all."""
        return self.receiver.delay

    @ack_delay.setter
    def ack_delay(self, delay: str | int | None) -> None:
        checked = None if delay is None else check_time("ack_delay", delay)
        if checked is not None and checked >= MAX_ACK_DELAY:
            raise ConfigurationError(f"ack_delay={delay!r}: an acknowledgment may wait for less than 500 ms (MUST-40)")
        self.receiver.delay = checked

    @property
    def congestion_control(self) -> str:
        """The algorithm's name: "cubic", "newreno" or "none". ConfigurationError for another one."""
        return self.sender.control

    @congestion_control.setter
    def congestion_control(self, name: str) -> None:
        self.sender.use(name if isinstance(name, str) else repr(name))

    @property
    def statistics(self) -> dict[str, int]:
        """Counters since the connection was opened, and its current measures (ns and bytes)."""
        sender, receiver = self.sender, self.receiver
        return {
            "segments_in": self.segments_in,
            "segments_out": self.segments_out,
            "bytes_acknowledged": max(min(sender.una, sender.ring.end) - sender.isn - 1, 0),
            "bytes_received": max(receiver.ring.end - receiver.isn - 1, 0),
            "retransmissions": sender.retransmissions,
            "timeouts": sender.timeouts,
            "fast_retransmits": sender.fast_retransmits,
            "loss_probes": sender.tail.count,
            "undone": sender.undone,
            "duplicates": receiver.duplicates,
            "challenges": self.challenges,
            "flight": sender.flight,
            "congestion_window": sender.congestion.window,
            "round_trip": sender.rtt.smoothed,
            "retransmission_timeout": sender.rtt.timeout,
        }

    def _refusal(self) -> MotenetError:
        if self.failure:
            return exception(self.failure, self.remote)
        if self.state is State.CLOSED and not self.sender.fin:
            return NotConnected("this socket has no peer: connect it first")
        return BrokenPipe("this side has been closed: what is to be sent comes before close()")
