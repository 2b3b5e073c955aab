"""The order of events, a machine's local time, and clocks that are saved and loaded."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.clock import FOREVER, Clock, LocalClock
from motenet.core.errors import BlockingInsideWorld, DriverError, SnapshotError
from motenet.core.state import Component


class Recorder(Component):
    """Notes each call and the time it came at."""

    STATE = ("calls",)

    def __init__(self, clock: Clock | LocalClock, path: str = "recorder") -> None:
        self.clock = clock
        self.path = path
        self.calls: list[tuple[int, object]] = []

    def note(self, argument: object) -> None:
        self.calls.append((self.clock.now, argument))

    def again(self, count: int) -> None:
        self.note(count)
        if count and isinstance(self.clock, Clock):
            self.clock.at(self.clock.now, self.again, count - 1)


@given(st.lists(st.integers(-5, 50)))
def test_events_run_in_order_of_time_then_of_request(times: list[int]) -> None:
    clock = Clock()
    recorder = Recorder(clock)
    for number, time in enumerate(times):
        clock.at(time, recorder.note, number)
    clock.run(FOREVER)
    expected = sorted((max(time, 0), number) for number, time in enumerate(times))
    assert recorder.calls == expected
    assert clock.now == max([0, *times])


def test_what_is_asked_for_now_comes_after_what_was_already_due() -> None:
    clock = Clock()
    recorder = Recorder(clock)
    clock.at(5, recorder.again, 2)
    clock.at(5, recorder.note, "due")
    clock.at(6, recorder.note, "later")
    clock.run(5)
    assert recorder.calls == [(5, 2), (5, "due"), (5, 1), (5, 0)]
    assert clock.next_time() == 6


def test_run_stops_at_the_deadline_and_includes_it() -> None:
    clock = Clock()
    recorder = Recorder(clock)
    clock.at(10, recorder.note)
    clock.at(11, recorder.note)
    assert clock.run(10) is False
    assert (clock.now, len(recorder.calls)) == (10, 1)
    assert clock.run(FOREVER) is False
    assert clock.now == 11, "with no deadline, time stays at the last event"
    assert clock.next_time() is None


def test_run_stops_after_the_event_that_makes_it_ready() -> None:
    clock = Clock()
    recorder = Recorder(clock)
    for time in (1, 2, 3):
        clock.after(time, recorder.note)
    assert clock.wait(lambda: len(recorder.calls) == 2, deadline=100) is True
    assert clock.now == 2
    assert clock.wait(lambda: len(recorder.calls) == 2, deadline=100) is True, "what holds already needs no event"
    assert clock.wait(lambda: False, deadline=100) is False
    assert clock.now == 100


class Slow:
    """A pace that goes a nanosecond at a time, and notes who asked."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked: list[int] = []
        self.called: list[object] = []

    def elapse(self, deadline: int, ready: Callable[[], bool] | None) -> bool:
        self.asked.append(deadline)
        return any(self.clock.run(time, ready) for time in range(self.clock.now, deadline + 1))

    def call(self, callback: Callable[[object], None], argument: object) -> None:
        self.called.append(argument)


def test_a_pace_is_asked_when_the_top_level_waits_and_runs_the_clock_itself() -> None:
    clock = Clock()
    recorder = Recorder(clock)
    clock.pace = pace = Slow(clock)
    clock.at(3, recorder.note)
    assert clock.wait(lambda: True, 100) is True
    assert pace.asked == [], "what holds already waits for nothing"
    assert clock.wait(lambda: bool(recorder.calls), 100) is True
    assert LocalClock(clock).wait(lambda: False, 7) is False
    assert clock.elapse(9) is False
    assert (clock.now, pace.asked) == (9, [100, 7, 9])
    clock.call(recorder.note, "from a thread")
    assert pace.called == ["from a thread"]
    clock.pace = None
    clock.call(recorder.note, "in virtual time")
    assert clock.elapse(20) is False
    assert recorder.calls == [(3, None), (9, "in virtual time")]


@pytest.mark.parametrize("paced", [False, True])
def test_blocking_inside_an_event_is_refused(paced: bool) -> None:
    clock = Clock()
    clock.pace = Slow(clock) if paced else None
    refusals: list[str] = []

    class Nested(Component):
        def block(self, _: object) -> None:
            try:
                clock.wait(lambda: True, FOREVER)
            except BlockingInsideWorld as error:
                refusals.append(str(error))

    clock.at(1, Nested().block)
    clock.run(FOREVER)
    assert "top level" in refusals[0]
    assert clock.run(5) is False, "the world can be run again afterwards"


def test_an_exception_in_an_event_leaves_the_world_usable() -> None:
    clock = Clock()

    class Broken(Component):
        def fail(self, _: object) -> None:
            raise ZeroDivisionError

    recorder = Recorder(clock)
    clock.at(1, Broken().fail)
    clock.at(2, recorder.note)
    with pytest.raises(ZeroDivisionError):
        clock.run(FOREVER)
    clock.run(FOREVER)
    assert recorder.calls == [(2, None)]


def test_delay_fires_only_the_machines_own_device_timers() -> None:
    world = Clock()
    alice, bob = LocalClock(world), LocalClock(world)
    device, other, processor = Recorder(alice), Recorder(bob), Recorder(alice)
    alice.after(30, device.note, "second")
    alice.after(10, device.note, "first")
    alice.after(90, device.note, "beyond")
    bob.after(10, other.note)
    alice.post(processor.note)
    alice.delay(50)
    assert device.calls == [(10, "first"), (30, "second")]
    assert (other.calls, processor.calls) == ([], [])
    assert (alice.now, bob.now, world.now) == (50, 0, 0)
    world.run(FOREVER)
    assert device.calls[2:] == [(90, "beyond")], "timers fired by delay do not fire again"
    assert other.calls == [(10, None)]
    assert processor.calls == [(50, None)], "the processor's event waits for the world, at local time as it reads"


def test_a_timer_set_by_a_timer_within_a_delay_fires_in_it_too() -> None:
    world = Clock()
    local = LocalClock(world)

    class Chain(Recorder):
        def step(self, left: int) -> None:
            self.note(left)
            if left:
                local.after(10, self.step, left - 1)

    chain = Chain(local)
    local.after(10, chain.step, 5)
    local.delay(35)
    assert chain.calls == [(10, 5), (20, 4), (30, 3)]
    assert local.now == 35


def test_local_time_leads_the_world_and_never_lags() -> None:
    world = Clock()
    local = LocalClock(world)
    local.delay(100)
    assert local.now == 100
    world.run(60)
    assert local.now == 100
    world.run(250)
    assert local.now == 250
    recorder = Recorder(world)
    local.delay(50)
    local.at(0, recorder.note)
    world.run(FOREVER)
    assert recorder.calls == [(300, None)], "the past means local now"


def test_a_cancelled_timer_neither_fires_nor_counts_as_next() -> None:
    world = Clock()
    local = LocalClock(world)
    recorder = Recorder(world)
    doomed = local.after(10, recorder.note, "doomed")
    local.after(20, recorder.note, "kept")
    local.cancel(doomed)
    assert world.next_time() == 20
    world.run(FOREVER)
    assert recorder.calls == [(20, "kept")]
    local.cancel(doomed)


def test_cancelled_timers_do_not_pile_up_and_the_others_fire_in_order() -> None:
    """As of a client that reads with a timeout, a hundred thousand times."""
    clock = Clock()
    local = LocalClock(clock)
    recorder = Recorder(clock)
    for number in range(20_000):
        timer = local.at(1_000_000 - number, recorder.note, number)
        if number % 100:
            local.cancel(timer)
    assert len(clock._heap) < 4000
    clock.run(FOREVER)
    assert recorder.calls == [(1_000_000 - number, number) for number in range(19_900, -1, -100)]


def test_an_interrupt_handler_may_not_delay() -> None:
    local = LocalClock(Clock())
    local.in_interrupt = True
    with pytest.raises(DriverError, match="poll"):
        local.delay(1)


def build() -> tuple[Clock, dict[str, Component]]:
    """A world with one machine's clock and two recorders."""
    world = Clock()
    local = LocalClock(world)
    local.place("alice/clock")
    parts: list[Component] = [local, Recorder(world, "world"), Recorder(local, "alice/nic")]
    return world, {part.path: part for part in parts}


def schedule(world: Clock, parts: dict[str, Component]) -> None:
    local, recorder, nic = parts["alice/clock"], parts["world"], parts["alice/nic"]
    assert isinstance(local, LocalClock)
    assert isinstance(recorder, Recorder)
    assert isinstance(nic, Recorder)
    world.at(5, recorder.again, 3)
    world.at(40, recorder.note, ("tuple", b"bytes"))
    local.cancel(local.after(7, nic.note, "cancelled"))
    local.after(10, nic.note, "fired by delay")
    local.after(50, nic.note, "later")
    world.run(5)
    local.delay(8)
    world.at(5, recorder.note, "soon")


def test_a_saved_clock_loads_into_a_rebuilt_world_and_runs_on_alike() -> None:
    world, parts = build()
    schedule(world, parts)
    saved = world.save(), {path: part.save() for path, part in parts.items()}
    world.run(FOREVER)

    copy, copies = build()
    for path, state in saved[1].items():
        copies[path].load(state)
    copy.load_events(saved[0], copies.__getitem__)
    assert copy.save() == saved[0]
    copy.run(FOREVER)
    assert copy.now == world.now
    assert {path: part.save() for path, part in copies.items()} == {path: part.save() for path, part in parts.items()}


def test_loading_in_place_forgets_what_came_after() -> None:
    world, parts = build()
    schedule(world, parts)
    saved = world.save(), {path: part.save() for path, part in parts.items()}
    world.run(45)
    for path, state in saved[1].items():
        parts[path].load(state)
    world.load_events(saved[0], parts.__getitem__)
    assert (world.save(), {path: part.save() for path, part in parts.items()}) == saved


def test_an_event_that_no_snapshot_can_carry_is_refused() -> None:
    clock = Clock()
    clock.at(1, print)
    with pytest.raises(SnapshotError, match="component"):
        clock.save()
