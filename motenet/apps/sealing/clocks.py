"""The wall clock in a world: an epoch and virtual time."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from motenet.apps.sealing.here import here
from motenet.core.units import SECOND

Pair = tuple[Callable[..., Any], Callable[..., Any]]
"""A function of the standard library, and what stands for it."""


def pairs(epoch: int) -> list[Pair]:
    """For each function of `time` that tells the time: what tells the world's; `epoch` in ns since 1970, UTC.

    time.sleep, process_time and thread_time stay: they are about the process. datetime.now is out of reach in C.
    """

    def wall(now: int) -> float:
        return (epoch + now) / SECOND

    def wall_ns(now: int) -> int:
        return epoch + now

    found: list[Pair] = [(time.time, _read(time.time, wall)), (time.time_ns, _read(time.time_ns, wall_ns))]
    found += [(real, _read(real, lambda now: now / SECOND)) for real in (time.monotonic, time.perf_counter)]
    found += [(real, _read(real, lambda now: now)) for real in (time.monotonic_ns, time.perf_counter_ns)]
    found += [(real, _convert(real, wall)) for real in (time.gmtime, time.localtime, time.ctime)]
    found += [(time.strftime, _format(time.strftime, 1, wall)), (time.asctime, _format(time.asctime, 0, wall))]
    if hasattr(time, "clock_gettime"):  # not on Windows
        found += [(time.clock_gettime, _named(time.clock_gettime, wall, SECOND))]
        found += [(time.clock_gettime_ns, _named(time.clock_gettime_ns, wall_ns, 1))]
    return found


def _read(real: Callable[[], Any], virtual: Callable[[int], Any]) -> Callable[..., Any]:
    """A function that reads a clock."""

    @wraps(real)
    def read() -> Any:
        loop = here()
        return real() if loop is None else virtual(loop.clock.now)

    return read


def _convert(real: Callable[..., Any], wall: Callable[[int], float]) -> Callable[..., Any]:
    """A function that converts a time, or the present."""

    @wraps(real)
    def convert(seconds: float | None = None, /) -> Any:
        loop = here()
        return real(wall(loop.clock.now) if seconds is None and loop is not None else seconds)

    return convert


def _format(real: Callable[..., str], given: int, wall: Callable[[int], float]) -> Callable[..., str]:
    """A function that writes a time, or the present, after `given` other arguments."""

    @wraps(real)
    def write(*args: Any) -> str:
        loop = here()
        if loop is not None and len(args) == given:
            args = (*args, time.localtime(wall(loop.clock.now)))
        return real(*args)

    return write


def _named(real: Callable[[int], Any], wall: Callable[[int], Any], unit: int) -> Callable[[int], Any]:
    """A function that reads the clock of a number."""
    epochal = {time.CLOCK_REALTIME, getattr(time, "CLOCK_TAI", time.CLOCK_REALTIME)}
    own = {getattr(time, name) for name in ("CLOCK_PROCESS_CPUTIME_ID", "CLOCK_THREAD_CPUTIME_ID")}

    @wraps(real)
    def read(clock: int, /) -> Any:
        loop = here()
        if loop is None or clock in own:
            return real(clock)
        if clock in epochal:
            return wall(loop.clock.now)
        return loop.clock.now if unit == 1 else loop.clock.now / unit

    return read
