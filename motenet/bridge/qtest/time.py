"""QEMU's virtual clock: how it is read and moved; and a machine's local clock that is made of it.

The two ways to move it are those of facts known about QEMU's accelerators:

- With `-accel qtest` virtual time stands still but for the command `clock_step` (QEMU docs/devel/qtest.rst).
- With `-icount sleep=off` and a halted processor it leaps to the next timer as soon as there is one (QEMU
  docs/devel/tcg-icount.rst), so a timer of the HPET's is all it takes (IA-PC HPET specification 1.0a, 2.3).
"""

from collections.abc import Callable
from typing import Any, Protocol

from motenet.bridge.qtest.connection import Connection
from motenet.bridge.tap import BridgeError
from motenet.core.clock import FOREVER, Callback, Clock, LocalClock
from motenet.core.errors import DriverError
from motenet.core.units import MS, SECOND, US

_HPET = 0xFED00000
"""Where a PC has its HPET."""
_CONFIGURATION, _COUNTER, _COMPARATOR = _HPET + 0x010, _HPET + 0x0F0, _HPET + 0x108  # HPET 1.0a, table 2
_ENABLE = 1
"""HPET 2.3.5, ENABLE_CNF: the main counter runs. The timer's own interrupt stays disabled."""
_TICK = 10
"""Nanoseconds: QEMU's HPET counts at 100 MHz (GCAP_ID's upper half: 10,000,000 fs)."""
_LOOKS = 10_000
"""How often to look whether time has come to its target; in practice once or twice."""


class VirtualTime(Protocol):
    """QEMU's virtual clock, in nanoseconds."""

    def read(self) -> int: ...
    def advance(self, target: int) -> None:
        """Bring the clock to `target` at least; device timers fire on the way. A target in the past is no mistake."""

    def restart(self, now: int) -> None:
        """The machine has been reset at `now`: read on from there."""


class SteppedTime:
    """The clock of `-accel qtest`: it moves by `clock_step` alone, so the last reply is the time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._now = connection.value(b"clock_step 1")  # a step of 0 is refused

    def read(self) -> int:
        self._connection.ask(b"endianness")  # nothing but a round trip, which brings interrupt lines along
        return self._now

    def advance(self, target: int) -> None:
        behind = target - self._now
        if behind > 0:
            self._now = self._connection.value(b"clock_step %d" % behind)

    def restart(self, now: int) -> None:
        """A reset leaves this clock alone."""


class HpetTime:
    """The clock of `-icount sleep=off`, read and moved through the HPET, at a resolution of 10 ns."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._look = b"readq %#x" % _COUNTER
        self.restart(0)

    def restart(self, now: int) -> None:
        """2.3.5: the counter is at 0 after a reset, and stands still until it is enabled."""
        self._begin = now
        self._connection.ask(b"writeq %#x %#x" % (_CONFIGURATION, _ENABLE))

    def read(self) -> int:
        return self._begin + self._connection.value(self._look) * _TICK

    def advance(self, target: int) -> None:
        ticks = -(-(target - self._begin) // _TICK)
        value = self._connection.value
        if value(self._look) >= ticks:
            return
        self._connection.ask(b"writeq %#x %#x" % (_COMPARATOR, ticks))
        for _ in range(_LOOKS):
            if value(self._look) >= ticks:
                return
        raise BridgeError(f"QEMU's virtual time does not come to {target} ns: was it started with -icount sleep=off?")


_FIRST_STEP, _LONGEST_STEP = 1 * US, 10 * MS
"""While QEMU is quiet its time goes on in steps that double: what happens within one is seen at its end, late by no
more than the silence before it."""
_SILENCE = 2 * SECOND
"""A wait without a deadline ends when neither the world nor QEMU has done anything for so long. QEMU's e1000 defers
receiving for a second of its time, its longest pause."""


class LastRead:
    """A clock's time as it was last read: for who must not ask QEMU, as within the reading of an answer."""

    def __init__(self, clock: "QtestClock") -> None:
        self._clock = clock

    @property
    def now(self) -> int:
        return self._clock.known


class QtestClock(LocalClock):
    """A machine's own time that is QEMU's virtual clock. It leads the world's as any machine's may, and never lags.

    The world's peers live on `world`. `take()` brings in what QEMU has said and sent, and tells whether there was any.
    """

    def __init__(self, world: Clock, time: VirtualTime) -> None:
        super().__init__(world)
        self._time = time
        self._origin = world.now - time.read()
        self._local = world.now
        self.take: Callable[[], bool] = lambda: False

    @property
    def now(self) -> int:
        """QEMU's time in nanoseconds, on the world's scale."""
        self._local = local = max(self._origin + self._time.read(), self.world.now, self._local)
        return local

    def restart(self, now: int) -> None:
        """QEMU's machine has been reset at `now`, after which nothing has looked at its clock."""
        self._time.restart(now - self._origin)

    @property
    def known(self) -> int:
        """QEMU's time as it was last read, without asking."""
        return max(self._local, self.world.now)

    def post(self, callback: Callback, argument: Any = None) -> None:
        self.world.at(self.known, callback, argument)

    def delay(self, nanoseconds: int) -> None:
        """Let QEMU's time pass; the world does not run, and interrupts wait."""
        if self.in_interrupt:
            raise DriverError("an interrupt handler may not delay; leave the work to poll()")
        self._advance(self.now + nanoseconds)

    def _advance(self, target: int) -> None:
        self._time.advance(target - self._origin)

    def wait(self, ready: Callable[[], bool], deadline: int) -> bool:
        """Run QEMU and the world together until `ready()` or `deadline` (ns); says whether it is ready.

        The world follows QEMU's time. When both are quiet QEMU's is moved to the world's next event, or the deadline.
        """
        world = self.world
        if world.running:
            return world.wait(ready, deadline)  # which raises
        active_at, quiet, step = self.now, 0, _FIRST_STEP
        while not ready():
            now = self.now
            arrived = self.take()
            due = world.next_time()
            busy = arrived or (due is not None and due <= min(now, deadline))
            if world.run(min(now, deadline), ready):
                return True
            if busy:
                active_at, quiet, step = now, 0, _FIRST_STEP
            elif quiet < 2:
                quiet += 1  # a main loop's round for QEMU to look at its sockets, and one to tell of it
            elif now >= deadline or (due is None and deadline == FOREVER and now - active_at >= _SILENCE):
                return False
            else:
                self._advance(min(now + step, deadline, FOREVER if due is None else due))
                step = min(2 * step, _LONGEST_STEP)
        return True
