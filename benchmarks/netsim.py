"""smoltcp's network simulation (its tests/netsim.rs) with our stack: two stacks a flow, a wire with loss, a bottleneck.

B connects and sends without end, A reads all. Each turn: poll A, A's application, poll B, B's application; then time
goes on to the earliest arrival or deadline. Frames of up to 1514 bytes, ARP included, no checksums, Nagle on, delayed
acknowledgments of 10 ms, no user timeout. What differs: each side has an address of its own, time is in nanoseconds,
and the losses are drawn from our own streams.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from motenet.core.clock import FOREVER
from motenet.core.rng import Stream
from motenet.core.units import MS, SECOND
from motenet.doors import Capabilities, FrameFacts, Received
from motenet.stack import NetworkStack
from motenet.stack.sockets.tcp import TcpListener, TcpSocket

MODES = {"none": "none", "reno": "newreno", "cubic": "cubic"}
"""smoltcp's modes, and our algorithms' names for them."""
RTT = 100 * MS
PORT_A, PORT_B = 1, 2
_ALL = 1 << 20


class Time:
    """The virtual time of a simulation: the Clock that the stacks see."""

    def __init__(self) -> None:
        self.now = 0

    def post(self, callback: Callable[[Any], None], argument: Any = None) -> None:
        raise AssertionError("a wire has no interrupts")

    def wait(self, ready: Callable[[], bool], deadline: int) -> bool:
        raise AssertionError("nobody blocks in the simulation")


class Bottleneck:
    """A router's way out, shared by all flows: bandwidth in bytes per second, and a drop-tail queue in bytes."""

    def __init__(self, bandwidth: int, capacity: int) -> None:
        self.bandwidth, self.capacity = bandwidth, capacity
        self.free_at = self.frames = self.dropped = self.carried = 0

    def transmit(self, now: int, length: int) -> int | None:
        """When the frame has left the queue, in ns; None: the queue is full."""
        self.frames += 1
        queued = max(self.free_at - now, 0) * self.bandwidth // SECOND
        if queued + length > self.capacity:
            self.dropped += 1
            return None
        self.carried += length
        self.free_at = max(self.free_at, now) + length * SECOND // self.bandwidth
        return self.free_at


class Wire:
    """One direction of a flow: loses frames as its stream decides, and delays the others."""

    def __init__(self, stream: Stream, loss: float, delay: int, bottleneck: Bottleneck | None) -> None:
        self.random = stream.random
        self.loss, self.delay, self.bottleneck = loss, delay, bottleneck
        self.frames: deque[tuple[int, bytearray]] = deque()
        """(arrival, frame), in order: the delay is always the same."""
        self.to: Side | None = None

    def push(self, now: int, frame: bytearray) -> None:
        sent = now if self.bottleneck is None else self.bottleneck.transmit(now, len(frame))
        if sent is None or self.random() < self.loss:
            return
        self.frames.append((sent + self.delay, frame))
        if self.to is not None and sent + self.delay < self.to.due:
            self.to.due = sent + self.delay


class WireDriver:
    """A NetworkDriver whose card is the end of two wires."""

    def __init__(self, time: Time, mac: bytes, incoming: Wire, outgoing: Wire) -> None:
        self.clock = time
        self.mac_address = mac
        self.is_link_up = True
        self.capabilities = Capabilities(checksum_tx=True, checksum_rx=True)  # nobody computes them
        self.statistics: dict[str, int] = {}
        self.wake: Callable[[], None] | None = None
        self.incoming, self.outgoing = incoming, outgoing
        self._reserved = bytearray()

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def flush(self) -> None: ...

    def poll(self) -> bool:
        frames = self.incoming.frames
        return bool(frames) and frames[0][0] <= self.clock.now

    def receive(self) -> Received | None:
        if not self.poll():
            return None
        return Received(memoryview(self.incoming.frames.popleft()[1]), True)

    def reserve(self, length: int) -> memoryview | None:
        self._reserved = bytearray(length)
        return memoryview(self._reserved)

    def commit(self, facts: FrameFacts | None = None) -> None:
        self.outgoing.push(self.clock.now, self._reserved)

    def send(self, frame: bytes) -> bool:
        self.outgoing.push(self.clock.now, bytearray(frame))
        return True


class Side:
    """A stack at one end of a flow. `due`: when it next has something to do, in ns."""

    def __init__(self, driver: WireDriver, address: str, seed: int, name: str) -> None:
        self.driver = driver
        self.stack = NetworkStack(driver, address, seed=seed, name=name)
        self.due = 0
        driver.incoming.to = self

    def turn(self, now: int) -> None:
        """Poll, let the application act, and find out when to come back."""
        self.stack.poll(now)
        self.act()
        at = self.stack.poll_at(now)
        frames = self.driver.incoming.frames
        self.due = FOREVER if at is None else max(at, now)
        if frames and frames[0][0] < self.due:
            self.due = frames[0][0]

    def act(self) -> None:
        """What the application does after each poll."""


class Reader(Side):
    """A: listens, and reads all that comes."""

    def __init__(self, driver: WireDriver, address: str, seed: int, name: str, buffer: int) -> None:
        super().__init__(driver, address, seed, name)
        self.buffer = buffer
        self.received = 0
        self.listener: TcpListener | None = None
        self.socket: TcpSocket | None = None

    def act(self) -> None:
        if self.listener is None:
            self.listener = self.stack.sockets.tcp_listen(PORT_A, buffer=self.buffer)
        if self.socket is None:
            self.socket = self.listener.accept()
            if self.socket is not None:
                self.socket.user_timeout = None
        elif self.socket.can_recv:
            self.received += len(self.socket.recv(_ALL))


class Writer(Side):
    """B: connects, and writes as much as there is room for."""

    def __init__(
        self, driver: WireDriver, address: str, seed: int, name: str, buffer: int, control: str, peer: str
    ) -> None:
        super().__init__(driver, address, seed, name)
        self.buffer, self.control, self.peer = buffer, control, peer
        self.data = memoryview(bytes(buffer))
        self.socket: TcpSocket | None = None

    def act(self) -> None:
        socket = self.socket
        if socket is None:
            socket = self.stack.sockets.tcp_connect(self.peer, PORT_A, local_port=PORT_B, buffer=self.buffer)
            socket.congestion_control = self.control
            socket.user_timeout = None
            self.socket = socket
        elif socket.can_send:
            socket.send(self.data)
        elif socket.error is not None:
            raise socket.error


@dataclass(slots=True)
class Flow:
    """One connection of a simulation; `size`: how many bytes A wants."""

    reader: Reader
    writer: Writer
    size: int

    @property
    def done(self) -> bool:
        return self.reader.received >= self.size


def make_flow(
    time: Time,
    number: int,
    control: str,
    buffer: int,
    size: int,
    loss: float,
    streams: tuple[Stream, Stream],
    delays: tuple[int, int] = (RTT // 2, RTT // 2),
    bottlenecks: tuple[Bottleneck | None, Bottleneck | None] = (None, None),
    seed: int = 0,
) -> Flow:
    """Two stacks and the wires between them; the pairs are those of A to B and of B to A."""
    there, back = (Wire(*parts) for parts in zip(streams, (loss, loss), delays, bottlenecks, strict=True))
    a, b = (f"10.0.{number}.{side}" for side in (1, 2))
    macs = (bytes((2, 0, 0, 0, number, side)) for side in (1, 2))
    reader = Reader(WireDriver(time, next(macs), back, there), f"{a}/24", seed, f"a{number}", buffer)
    writer = Writer(WireDriver(time, next(macs), there, back), f"{b}/24", seed, f"b{number}", buffer, control, a)
    return Flow(reader, writer, size)


def simulate(time: Time, flows: list[Flow]) -> None:
    """Run until every flow has what it wants. Sides with nothing to do are passed over: a poll would do nothing."""
    sides: list[Side] = [side for flow in flows for side in (flow.reader, flow.writer)]
    wanting = list(flows)
    while wanting:
        now = time.now
        for side in sides:
            if side.due <= now:
                side.turn(now)
        wanting = [flow for flow in wanting if not flow.done]
        due = min(side.due for side in sides)
        if due == FOREVER:
            raise AssertionError("nothing will ever happen again")
        time.now = max(now, due)


def cell(mode: str, buffer: int, loss: float, seed: int, size: int = 1 << 20) -> float:
    """Table 1: bytes per virtual second of one flow with socket buffers of `buffer` bytes, on a wire without limit.

    `mode` is one of MODES, or any name of our congestion controls.
    """
    time = Time()
    streams = (Stream(seed, "netsim/a-to-b"), Stream(seed, "netsim/b-to-a"))
    flow = make_flow(time, 0, MODES.get(mode, mode), buffer, size, loss, streams, seed=seed)
    simulate(time, [flow])
    return flow.reader.received * SECOND / time.now


@dataclass(frozen=True, slots=True)
class Shared:
    """Table 2's figures for a number of flows; rates in bytes per virtual second."""

    flows: int
    total: float
    least: float
    most: float
    fairness: float
    """Jain's index of the bytes that each flow has received when the last one has what it wants."""
    dropped: float
    """The share of all frames that found the queue full."""
    utilization: float
    """The share of the bottleneck's bandwidth, B to A, that carried frames."""


BANDWIDTH, QUEUE = 25_000_000, 64 * 1024
"""Table 2's link: bytes per second, and bytes of queue in each direction."""


def shared(mode: str, count: int, seed: int = 1, buffer: int = 256 * 1024, size: int = 2 << 20) -> Shared:
    """Table 2: several flows through one bottleneck; each way of each flow takes 50 ms times 0.5 to 1.5."""
    time = Time()
    there, back = Bottleneck(BANDWIDTH, QUEUE), Bottleneck(BANDWIDTH, QUEUE)
    flows = []
    for number in range(count):
        streams = (Stream(seed, f"netsim/{number}/a-to-b"), Stream(seed, f"netsim/{number}/b-to-a"))
        delays = (_half(streams[0]), _half(streams[1]))
        control = MODES.get(mode, mode)
        flows.append(make_flow(time, number, control, buffer, size, 0.0, streams, delays, (there, back), seed))
    simulate(time, flows)
    received = [flow.reader.received for flow in flows]
    total, seconds = sum(received), time.now / SECOND
    return Shared(
        flows=count,
        total=total / seconds,
        least=min(received) / seconds,
        most=max(received) / seconds,
        fairness=total**2 / (count * sum(one**2 for one in received)),
        dropped=(there.dropped + back.dropped) / (there.frames + back.frames),
        utilization=back.carried / seconds / BANDWIDTH,
    )


def _half(stream: Stream) -> int:
    """Half of a round trip of 100 ms times 0.5 to 1.5."""
    return (RTT // 2 + stream.below(RTT + 1)) // 2
