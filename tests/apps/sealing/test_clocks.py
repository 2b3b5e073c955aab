"""Time in sealed worlds: an epoch and virtual time, in a world's callbacks alone."""

import asyncio
import email.utils
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pytest

from motenet import World
from motenet.apps import sealed
from motenet.core.errors import ConfigurationError

MILLENNIUM = 946_684_800
"""2000-01-01T00:00:00Z in seconds since 1970, as `date -u -d 2000-01-01 +%s` says."""


async def after(seconds: float, ask: Callable[[], Any]) -> Any:
    await asyncio.sleep(seconds)
    return ask()


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (lambda: time.time(), MILLENNIUM + 1.5),
        (lambda: time.time_ns(), MILLENNIUM * 10**9 + 1_500_000_000),
        (lambda: time.monotonic(), 1.5),
        (lambda: time.monotonic_ns(), 1_500_000_000),
        (lambda: time.perf_counter(), 1.5),
        (lambda: time.perf_counter_ns(), 1_500_000_000),
        (lambda: time.gmtime(), time.gmtime(MILLENNIUM + 1)),
        (lambda: time.gmtime(0), time.gmtime(0)),
        (lambda: time.localtime(), time.localtime(MILLENNIUM + 1)),
        (lambda: time.ctime(), time.ctime(MILLENNIUM + 1)),
        (lambda: time.asctime(), time.ctime(MILLENNIUM + 1)),
        (lambda: time.asctime(time.gmtime(0)), "Thu Jan  1 00:00:00 1970"),
        (lambda: time.strftime("%S"), "01"),
        (lambda: time.strftime("%Y", time.gmtime(0)), "1970"),
        (lambda: time.clock_gettime(time.CLOCK_REALTIME), MILLENNIUM + 1.5),
        (lambda: time.clock_gettime(time.CLOCK_MONOTONIC), 1.5),
        (lambda: time.clock_gettime_ns(time.CLOCK_REALTIME), MILLENNIUM * 10**9 + 1_500_000_000),
        (lambda: time.clock_gettime_ns(time.CLOCK_MONOTONIC), 1_500_000_000),
        (lambda: email.utils.formatdate(usegmt=True), "Sat, 01 Jan 2000 00:00:01 GMT"),
    ],
)
def test_functions_of_time_tell_the_worlds(ask: Callable[[], Any], answer: Any) -> None:
    with sealed():
        said = World().host("alice").run(after(1.5, ask))
    assert said == answer


def test_monotonic_is_the_loops_time() -> None:
    async def both() -> tuple[float, float]:
        await asyncio.sleep(1 / 3)
        return time.monotonic(), asyncio.get_running_loop().time()

    with sealed():
        ours, loops = World().host("alice").run(both())
    assert ours == loops > 0.3


def test_datetime_now_is_out_of_reach() -> None:
    """It reads the clock in C, and no library that is known to us puts it on the wire."""
    with sealed():
        said = World().host("alice").run(after(1, lambda: datetime.now(UTC)))
    assert said.year >= 2024


@pytest.mark.parametrize(
    ("epoch", "seconds"),
    [
        ("2000-01-01T02:00:00+02:00", MILLENNIUM),
        ("1970-01-02", 86_400),
        ("1969-12-31", -86_400),
        ("2000-01-01T00:00:00.000001", MILLENNIUM + 1e-6),
    ],
)
def test_epochs(epoch: str, seconds: float) -> None:
    with sealed(epoch):
        assert World().host("alice").run(after(0, time.time)) == seconds


def test_outside_a_world_time_is_real() -> None:
    before = time.time()
    with sealed():
        World().host("alice").run(after(3600, time.time))
        assert before <= time.time() < before + 600
        assert time.gmtime().tm_year >= 2024


def test_real_threads_keep_real_time() -> None:
    """Even while a world's callback runs."""
    said: list[float] = []

    def ask() -> None:
        thread = threading.Thread(target=lambda: said.append(time.time()))
        thread.start()
        thread.join()

    with sealed():
        World().host("alice").run(after(1, ask))
    assert said[0] > MILLENNIUM * 1.5


def test_a_condition_waits_in_real_time() -> None:
    """threading has its clock from `from time import monotonic`: were that a world's, it would wait for ever."""

    def wait() -> bool:
        condition = threading.Condition()
        with condition:
            return condition.wait_for(lambda: False, timeout=0.01)

    with sealed():
        assert World().host("alice").run(after(1, wait)) is False


def test_what_is_meant_for_a_thread_is_in_the_world() -> None:
    async def ask() -> list[float]:
        await asyncio.sleep(2)
        loop = asyncio.get_running_loop()
        return [await asyncio.to_thread(time.monotonic), await loop.run_in_executor(None, lambda: time.monotonic())]

    with sealed():
        assert World().host("alice").run(ask()) == [2, 2]


@contextmanager
def imported(name: str, source: str) -> Iterator[ModuleType]:
    """A module, as a library would have it."""
    module = sys.modules[name] = ModuleType(name)
    exec(source, vars(module))
    try:
        yield module
    finally:
        del sys.modules[name]


def test_names_that_were_bound_early() -> None:
    """`from time import monotonic`, as aiohttp's connector and others have it."""
    with imported("early", "from time import monotonic as now\ndef ask(): return now()") as early:
        real = early.now
        with sealed():
            assert World().host("alice").run(after(2, early.ask)) == 2
            assert early.now is not real
        assert early.now is real


def test_names_that_were_bound_inside() -> None:
    """A module that is imported while worlds are sealed has the process's own functions afterwards."""
    with imported("inside", "") as inside:
        with sealed():
            exec("from time import time", vars(inside))
            assert World().host("alice").run(after(0, inside.time)) == MILLENNIUM
        assert inside.time is time.time


FUNCTIONS = ("time", "time_ns", "monotonic", "perf_counter", "gmtime", "strftime", "clock_gettime")


def test_all_is_put_back() -> None:
    before = [getattr(time, name) for name in FUNCTIONS]
    with suppress(ZeroDivisionError), sealed():
        assert all(getattr(time, name) is not real for name, real in zip(FUNCTIONS, before, strict=True))
        raise ZeroDivisionError
    assert [getattr(time, name) for name in FUNCTIONS] == before


def test_it_nests() -> None:
    real = time.time
    alice = World().host("alice")
    with sealed("1999-01-01"):
        with sealed():
            assert alice.run(after(0, time.gmtime)).tm_year == 1999
        with sealed("1999-01-01"):
            pass
        assert alice.run(after(0, time.gmtime)).tm_year == 1999
        with pytest.raises(ConfigurationError, match="another epoch"), sealed("2001-01-01"):
            pass
    assert time.time is real


@pytest.mark.parametrize("epoch", ["", "yesterday", "2000-13-01"])
def test_what_is_no_date_is_refused(epoch: str) -> None:
    with pytest.raises(ConfigurationError, match="no date"), sealed(epoch):
        pass


def test_inside_a_world_it_is_refused() -> None:
    async def seal() -> None:
        with sealed():
            pass

    with pytest.raises(ConfigurationError, match="from outside"):
        World().host("alice").run(seal())
