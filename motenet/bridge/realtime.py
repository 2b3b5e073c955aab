"""A world on the real clock: its events run when their time has come, and frames pass between cards and TAP devices."""

import select
import time
from collections.abc import Callable

from motenet.bridge.tap import Tap
from motenet.core.checksum import internet_checksum
from motenet.core.clock import FOREVER, Clock
from motenet.core.trace import Watched
from motenet.core.units import SECOND
from motenet.doors import FrameFacts
from motenet.machine import Port

BURST = 64
"""Frames taken from a TAP before the world's events have their turn."""
SPIN = 50_000
"""Nanoseconds: to sleep for less costs more than it saves."""
LONGEST_SLEEP = SECOND
"""So that a condition that somebody else fulfils (a signal, another thread) is noticed."""


class TapCable(Watched):
    """The medium between a card's port and a TAP: what the one sends, the other receives."""

    def __init__(self, clock: Clock, port: Port, tap: Tap) -> None:
        super().__init__(clock, tap.name)
        self._world = clock
        self.port = port
        self.tap = tap

    def frame_sent(self, port: Port, frame: bytes, facts: FrameFacts | None) -> None:
        """A card's frame goes to the host's kernel at once: the real clock is not early by a machine's local lead."""
        if facts is not None:
            if facts.damaged:
                self.drop("bad FCS", frame=frame)
                return
            if facts.segment_size:
                self.drop("not segmented", f"{len(frame)} bytes that a TAP does not cut", frame)
                return
            if facts.checksum_offset:
                frame = with_checksum(frame, facts)
        if not self.tap.write(frame):
            self.drop("refused by the kernel", f"is {self.tap.name} up?", frame)

    def take(self, when: int) -> int:
        """Bring up to BURST waiting frames into the world, as events at `when` (ns). Returns how many."""
        read, schedule = self.tap.read, self._world.at
        for count in range(BURST):
            frame = read()
            if frame is None:
                return count
            schedule(when, self._arrive, frame)
        return BURST

    def _arrive(self, frame: bytes) -> None:
        self.port.deliver(frame)


def with_checksum(frame: bytes, facts: FrameFacts) -> bytes:
    """The frame with the checksum that its facts leave to be computed (an all-zero one is sent as ones: RFC 768)."""
    start = facts.checksum_start
    at = start + facts.checksum_offset
    value = internet_checksum(memoryview(frame)[start:]) or 0xFFFF
    return frame[:at] + value.to_bytes(2, "big") + frame[at + 2 :]


class RealTime:
    """Runs a world's clock at the pace of the machine's monotonic clock, from the virtual time it has now on."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.cables: list[TapCable] = []

    def connect(self, port: Port, tap: Tap) -> TapCable:
        """Lay a cable from a card's port to a TAP; the card sees a carrier from now on."""
        cable = TapCable(self.clock, port, tap)
        self.cables.append(cable)
        port.connect(cable)
        return cable

    def run(self, ready: Callable[[], bool] | None = None, timeout: int = FOREVER) -> bool:
        """Run until `ready()` holds, looked at whenever events have run, or for `timeout` nanoseconds.

        Returns whether `ready` stopped it. KeyboardInterrupt passes through, and leaves the world fit to be run on.
        """
        clock = self.clock
        begin = time.monotonic_ns() - clock.now
        deadline = min(FOREVER, clock.now + timeout)
        files = [cable.tap.fileno() for cable in self.cables]
        while True:
            now = time.monotonic_ns() - begin
            taken = self._take(now)
            clock.run(min(now, deadline))
            if ready is not None and ready():
                return True
            if now >= deadline:
                return False
            if taken:
                continue
            due = clock.next_time()
            wait = min(deadline if due is None else due, deadline, now + LONGEST_SLEEP) - (time.monotonic_ns() - begin)
            if wait > SPIN:
                select.select(files, (), (), wait / SECOND)

    def _take(self, now: int) -> int:
        """Take what waits in the TAPs: ahead of timers that are overdue, lest a slow process retransmits in vain."""
        due = self.clock.next_time()
        when = now if due is None or due > now else due - 1
        return sum(cable.take(when) for cable in self.cables)
