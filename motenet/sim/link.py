"""A cable: two directions, each with a bandwidth, a delay, a queue and faults of its own."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from motenet.core import units
from motenet.core.clock import Clock
from motenet.core.rng import Stream
from motenet.core.state import Component
from motenet.core.trace import FramePassed, Watched
from motenet.doors import FrameFacts
from motenet.machine import Port
from motenet.sim.fingerprint import Fingerprint

WIRE_OVERHEAD = 8 + 4 + 12
"""IEEE 802.3: preamble and start delimiter (3.1.1), FCS (3.2.9), interpacket gap of 96 bit times (4.4.2), in bytes."""
MINIMUM_FRAME = 60
"""IEEE 802.3, 4.4.2: minFrameSize of 64 bytes less the FCS; the medium is busy at least for so long."""

DELIVERED, LOST, QUEUE_FULL, CORRUPTED, DUPLICATED, REORDERED = range(6)
VERDICTS = ("delivered", "lost", "queue full", "corrupted", "duplicated", "reordered")


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """What a link does to frames. Times in ns, bandwidth in bit/s (0: unlimited), queue in bytes (0: unlimited)."""

    bandwidth: int = 0
    delay: int = 0
    jitter: int = 0
    loss: float = 0.0
    corrupt: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    queue: int = 0


def link_settings(
    bandwidth: str | int | None = None,
    delay: str | int = 0,
    jitter: str | int = 0,
    loss: float = 0.0,
    corrupt: float = 0.0,
    duplicate: float = 0.0,
    reorder: float = 0.0,
    queue: str | int | None = None,
) -> LinkSettings:
    """Checked settings from what a person writes; ConfigurationError names what cannot be used."""
    return LinkSettings(
        bandwidth=0 if bandwidth is None else units.bandwidth(bandwidth),
        delay=units.duration(delay),
        jitter=units.duration(jitter),
        loss=units.probability(loss, "loss"),
        corrupt=units.probability(corrupt, "corrupt"),
        duplicate=units.probability(duplicate, "duplicate"),
        reorder=units.probability(reorder, "reorder"),
        queue=0 if queue is None else units.size(queue),
    )


def wire_octets(length: int, facts: FrameFacts | None) -> int:
    """For how many bytes' time a frame of `length` keeps the cable busy; one that is to be cut, as its segments do."""
    if facts is None or not facts.segment_size:
        return max(length, MINIMUM_FRAME) + WIRE_OVERHEAD
    header, size = facts.header_length, facts.segment_size
    full, rest = divmod(max(length - header, 0), size)
    octets = full * (max(header + size, MINIMUM_FRAME) + WIRE_OVERHEAD)
    return octets + max(header + rest, MINIMUM_FRAME) + WIRE_OVERHEAD if rest or not full else octets


class Direction(Watched):
    """One way through a cable: the medium of the port that sends into it."""

    STATE: ClassVar[tuple[str, ...]] = (
        *Watched.STATE,
        "_busy_until",
        "_last_arrival",
        "_under_way",
        "cut",
        "_cuts",
        "frames",
        "bytes",
    )

    def __init__(
        self,
        clock: Clock,
        path: str,
        number: int,
        destination: Port,
        settings: LinkSettings,
        stream: Stream,
        fingerprint: Fingerprint,
    ) -> None:
        super().__init__(clock, path)
        self._world = clock
        self._schedule = clock.at
        self.number = number
        self.destination = destination
        self.settings = settings
        self._stream = stream
        self._random = stream.random
        self._bandwidth, self._delay = settings.bandwidth, settings.delay
        self._queue = settings.queue * 8 * units.SECOND
        self._faulty = any((settings.loss, settings.corrupt, settings.duplicate, settings.reorder, settings.jitter))
        self._record = fingerprint.record
        self._busy_until = 0
        self._last_arrival = 0
        self._under_way: deque[tuple[int, bytes, FrameFacts | None]] = deque()
        self.cut = False
        """The cable is pulled: nothing passes."""
        self._cuts = 0
        self.frames = 0
        self.bytes = 0

    def parts(self) -> Iterable[Component]:
        return (self._stream,)

    @property
    def takes_unfinished(self) -> bool:
        """As the card at the other end says: a cable does nothing to frames."""
        return self.destination.unfinished

    def frame_sent(self, port: Port, frame: bytes, facts: FrameFacts | None) -> None:
        """A frame enters the cable at the sender's local time; what becomes of it is decided here."""
        now = port.clock.now
        if self.cut:
            self.drop("cable pulled", frame=frame)
            return
        departure = now
        if self._bandwidth:
            start = self._busy_until if self._busy_until > now else now
            if self._queue and (start - now) * self._bandwidth > self._queue:
                self._conclude(now, frame, QUEUE_FULL, facts)
                return
            octets = wire_octets(len(frame), facts)
            departure = self._busy_until = start + -(-octets * 8 * units.SECOND // self._bandwidth)
        if self._faulty:
            self._send_faulty(now, departure + self._delay, frame, facts)
            return
        self._conclude(now, frame, DELIVERED, facts)
        arrival = departure + self._delay
        if arrival != self._last_arrival or not self._under_way:  # frames of one instant share an event
            self._last_arrival = arrival
            self._schedule(arrival, self._arrive)
        self._under_way.append((arrival, frame, facts))

    def _send_faulty(self, now: int, arrival: int, frame: bytes, facts: FrameFacts | None) -> None:
        """Faults, in a fixed order of draws. Jitter keeps the order of frames; only `reorder` breaks it."""
        settings = self.settings
        if settings.loss and self._random() < settings.loss:
            self._conclude(now, frame, LOST, facts)
            return
        verdict = DELIVERED
        if settings.jitter:
            arrival += self._stream.below(settings.jitter + 1)
        if settings.corrupt and self._random() < settings.corrupt:
            bit = self._stream.below(8 * len(frame))
            flipped = bytearray(frame)
            flipped[bit >> 3] ^= 1 << (bit & 7)
            frame = bytes(flipped)
            facts = (facts or FrameFacts())._replace(damaged=True)
            verdict = CORRUPTED
        if settings.reorder and self._random() < settings.reorder:
            arrival += 1 + self._stream.below(max(settings.delay, units.MS))  # late: those behind it overtake
            verdict = REORDERED
        else:
            arrival = self._last_arrival = max(arrival, self._last_arrival)
        if settings.duplicate and self._random() < settings.duplicate:
            self._schedule(arrival, self._arrive_late, (frame, facts, self._cuts))
            verdict = DUPLICATED
        self._conclude(now, frame, verdict, facts)
        self._schedule(arrival, self._arrive_late, (frame, facts, self._cuts))

    def _conclude(self, now: int, frame: bytes, verdict: int, facts: FrameFacts | None) -> None:
        self._record(now, self.number, verdict, frame)
        if self.watch is not None:
            self.watch(FramePassed(now, self.path, "tx", frame, VERDICTS[verdict], facts))
        if verdict in (LOST, QUEUE_FULL):
            self.drop(VERDICTS[verdict], frame=frame)
        else:
            self.frames += 1
            self.bytes += len(frame)

    def set_cut(self, cut: bool) -> None:
        """Pull the cable, or put it back in: what is under way is lost."""
        self.cut = cut
        if cut:
            self._cuts += 1
            self._busy_until = 0
            for _, frame, _ in self._under_way:
                self.drop("cable pulled", frame=frame)
            self._under_way.clear()

    def _arrive(self, _: None) -> None:
        """All frames whose time has come."""
        under_way, now = self._under_way, self._world.now
        frames: list[bytes] = []
        while under_way and under_way[0][0] <= now:
            _arrival, frame, facts = under_way.popleft()
            if facts is None:
                frames.append(frame)
            else:
                self._deliver(frames)
                frames = []
                self.destination.deliver(frame, facts)
        self._deliver(frames)

    def _deliver(self, frames: list[bytes]) -> None:
        if len(frames) == 1:
            self.destination.deliver(frames[0])
        elif frames:
            self.destination.deliver_burst(frames)

    def _arrive_late(self, sent: tuple[bytes, FrameFacts | None, int]) -> None:
        """A frame whose way was its own."""
        frame, facts, cuts = sent
        if cuts != self._cuts:
            self.drop("cable pulled", frame=frame)
        else:
            self.destination.deliver(frame, facts)


class Link(Component):
    """A cable between two ports; `unplug` and `replug` are the hand at the connector."""

    def __init__(self, path: str, a: Port, b: Port, forth: Direction, back: Direction) -> None:
        self.path = path
        self.a, self.b = a, b
        self.directions = (forth, back)
        a.connect(forth)
        b.connect(back)

    def parts(self) -> Iterable[Component]:
        return self.directions

    def unplug(self) -> None:
        """Pull the cable: both ends lose the carrier, frames under way are lost."""
        self._set_cut(True)

    def replug(self) -> None:
        """Put it back in."""
        self._set_cut(False)

    def _set_cut(self, cut: bool) -> None:
        for direction in self.directions:
            direction.set_cut(cut)
        for port in (self.a, self.b):
            port.set_carrier(not cut)
