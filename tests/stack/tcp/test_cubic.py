"""CUBIC (RFC 9438) in whole numbers, HyStart++ (RFC 9406), and the choice of an algorithm."""

from decimal import Decimal
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.errors import ConfigurationError
from motenet.core.units import MS, SECOND
from motenet.stack.sockets.tcp.congestion.cubic import Cubic, cube_root
from motenet.stack.sockets.tcp.congestion.hystart import HyStart
from motenet.stack.sockets.tcp.congestion.newreno import NewReno

MSS = 1000
TRIP = 100 * MS


@given(number=st.integers(0, 10**40))
def test_the_cube_root_is_the_largest_that_is_not_too_large(number: int) -> None:
    root = cube_root(number)
    assert root**3 <= number < (root + 1) ** 3


def after_a_loss(window: int) -> Cubic:
    """In congestion avoidance, after a loss at a window of so many segments, all in flight."""
    control = Cubic()
    control.start(MSS, False)
    control.take(window * MSS)
    control.lost(0, window * MSS)
    control.take(control.threshold)
    return control


def grow(control: Cubic, start: int, duration: int, trip: int = TRIP) -> list[int]:
    """A full window is acknowledged each round trip, segment by segment; returns the windows of the round trips."""
    windows = []
    for now in range(start, start + duration, trip):
        count = control.window // MSS
        for number in range(count):
            control.acknowledged(now + number * trip // count, MSS, control.window, trip)
        windows.append(control.window)
    return windows


def test_4_6_the_window_shrinks_to_seven_tenths() -> None:
    control = after_a_loss(100)
    assert control.window == control.threshold == 70 * MSS
    control.lost(0, MSS)
    assert control.threshold == 2 * MSS


def test_4_2_the_window_follows_the_cubic() -> None:
    """W_cubic(t) = C * (t - K)^3 + W_max, with K = cbrt((W_max - cwnd_epoch) / C): figures 1 and 2, C = 0.4."""
    loss, window = Decimal(2000), Decimal(1400)
    delay = ((loss - window) / Decimal("0.4")) ** (Decimal(1) / 3)
    control = after_a_loss(2000)
    windows = grow(control, 0, 20 * SECOND)
    for trips in (20, 60, 100, 140, 180):
        expected = Decimal("0.4") * (Decimal(trips) / 10 - delay) ** 3 + loss
        assert abs(windows[trips - 1] / MSS - float(expected)) < float(expected) / 50


def test_4_3_on_short_paths_the_window_grows_as_renos_would() -> None:
    """alpha = 3 * (1 - 0.7) / (1 + 0.7) = 9/17 segments a round trip, and one, once cwnd_prior is reached."""
    control = after_a_loss(20)
    assert control.window == 14 * MSS
    windows = grow(control, 0, 40 * MS, trip=MS)
    assert windows[10] - 14 * MSS == pytest.approx(11 * MSS * 9 / 17, rel=0.1)
    assert windows[-1] - windows[-11] == pytest.approx(10 * MSS, rel=0.05)


def test_4_7_fast_convergence_leaves_room_for_others() -> None:
    control = after_a_loss(100)
    assert control.plateau == 100 * MSS
    control.lost(0, 70 * MSS)  # the plateau was not reached again
    assert control.plateau == 70 * MSS * 17 // 20


def test_4_8_after_a_timeout_the_next_avoidance_begins_on_its_plateau() -> None:
    control = after_a_loss(100)
    control.timed_out(0, 100 * MSS, False)
    assert control.window == MSS
    assert control.threshold == 70 * MSS
    control.take(control.threshold)
    control.acknowledged(SECOND, MSS, control.window, TRIP)
    assert control.plateau >= 70 * MSS
    assert control.delay == 0


def test_4_9_a_loss_that_was_none_is_undone() -> None:
    control = after_a_loss(100)
    grow(control, 0, SECOND)
    before = control.save()
    control.lost(SECOND, control.window)
    control.take(control.threshold)
    control.undo()
    for name in ("window", "threshold", "plateau", "delay", "begin", "estimate", "epoch", "before"):
        assert control.save()[name] == before[name]


def test_4_2_time_without_anything_to_send_does_not_count() -> None:
    one, two = after_a_loss(1000), after_a_loss(1000)
    grow(one, 0, SECOND)
    grow(two, 0, SECOND)
    pause = 60 * SECOND
    two.acknowledged(SECOND + pause, MSS, 0, TRIP)
    assert abs(grow(one, SECOND, SECOND)[-1] - grow(two, SECOND + pause, SECOND)[-1]) < 2 * MSS


@given(trips=st.lists(st.integers(1, 10**10), min_size=1, max_size=30), losses=st.lists(st.integers(0, 29), max_size=4))
def test_4_4_an_acknowledgment_never_more_than_halves_again_what_it_acknowledges(
    trips: list[int], losses: list[int]
) -> None:
    """The target is at most 1.5 times cwnd, so a window's acknowledgments add half of it."""
    control, now = after_a_loss(50), 0
    for number, trip in enumerate(trips):
        before = control.window
        now += trip
        control.acknowledged(now, MSS, control.window, trip)
        assert before <= control.window <= before + MSS // 2 + MSS
        if number in losses:
            control.lost(now, control.window)
            control.take(control.threshold)


# --- HyStart++ (RFC 9406, 4.2) ---


def rounds(control: Cubic, *trips: int) -> None:
    """Round trips of slow start, each a window long, with such round-trip times."""
    for number, trip in enumerate(trips):
        for _ in range(control.window // MSS):
            control.acknowledged(number * SECOND, MSS, control.window, trip)


def test_rfc_9406_4_2_a_longer_round_trip_ends_slow_start_after_five_careful_rounds() -> None:
    control = Cubic()
    control.start(MSS, False)
    rounds(control, TRIP, TRIP)
    assert control.window == 40 * MSS
    rounds(control, TRIP + 13 * MS)  # more than 1/8, the threshold
    assert control.hystart.baseline == TRIP + 13 * MS
    before = control.window
    rounds(control, TRIP + 13 * MS)
    assert control.window == pytest.approx(before * 1.25, rel=0.05)  # CSS_GROWTH_DIVISOR is 4
    rounds(control, *[TRIP + 13 * MS] * 5)
    assert control.threshold < 1 << 40
    assert control.window == pytest.approx(control.threshold, rel=0.3)


def test_rfc_9406_4_2_what_was_no_queue_lets_slow_start_go_on() -> None:
    hystart = HyStart()
    for trip in (TRIP, TRIP, 2 * TRIP):
        for _ in range(10):
            hystart.growth(MSS, 10 * MSS, trip)
    assert hystart.baseline == 2 * TRIP
    for _ in range(10):
        hystart.growth(MSS, 10 * MSS, TRIP)
    assert hystart.baseline == 0
    assert not hystart.over


@pytest.mark.parametrize(("trip", "rise"), [(8 * MS, 4 * MS), (TRIP, TRIP // 8), (400 * MS, 16 * MS)])
def test_rfc_9406_4_3_an_eighth_but_4_to_16_ms_make_a_longer_round_trip(trip: int, rise: int) -> None:
    for longer, careful in ((trip + rise - 1, False), (trip + rise, True)):
        hystart = HyStart()
        for one in (trip, longer):
            for _ in range(10):
                hystart.growth(MSS, 10 * MSS, one)
        assert (hystart.baseline > 0) == careful


# --- the choice ---


def test_may_18_the_application_chooses_the_algorithm(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    assert talk.tcp.congestion_control == "cubic"
    for name, shown, tenths in (("reno", "newreno", 5), ("newreno", "newreno", 5), ("cubic", "cubic", 7)):
        talk.tcp.congestion_control = name
        assert talk.tcp.congestion_control == shown
        control = talk.tcp.sender.congestion
        control.lost(0, control.window)
        assert control.threshold == control.window * tenths // 10  # RFC 5681, 3.1; RFC 9438, 4.6
    talk.tcp.congestion_control = "none"
    assert talk.tcp.sender.congestion.window > 1 << 60
    with pytest.raises(ConfigurationError, match="cubic, newreno, none"):
        talk.tcp.congestion_control = "vegas"


@pytest.mark.parametrize("control", [Cubic(), NewReno()])
def test_rfc_6928_2_the_initial_window_is_ten_segments(control: Cubic | NewReno) -> None:
    for mss, window in ((536, 5360), (1460, 14_600), (2000, 14_600), (8960, 17_920)):
        control.start(mss, False)
        assert control.window == window
        control.start(mss, True)  # RFC 5681, 3.1: the SYN was lost
        assert control.window == mss


@pytest.mark.parametrize("control", [Cubic(), NewReno()])
def test_rfc_5681_4_1_the_restart_window_is_a_segment_at_least(control: Cubic | NewReno) -> None:
    """Also after a lost SYN, and once the path takes larger segments."""
    control.start(480, True)
    control.fit(1460)
    control.idle(SECOND)
    assert control.window == 1460
