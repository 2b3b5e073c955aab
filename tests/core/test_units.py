"""Durations, bandwidths and sizes: exact integers, or one clear refusal."""

from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.errors import ConfigurationError
from motenet.core.units import bandwidth, duration, format_duration, probability, size


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("50us", 50_000), ("1.5 ms", 1_500_000), ("2s", 2 * 10**9), ("3µs", 3000), ("3μs", 3000), (" 1 h ", 3600 * 10**9),
     ("2min", 120 * 10**9), ("0ns", 0), (17, 17), ("0.1s", 10**8)],
)  # fmt: skip
def test_durations(text: str | int, nanoseconds: int) -> None:
    assert duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "bits"),
    [("1Gbit/s", 10**9), ("10Mbps", 10**7), ("2.5 gbit/s", 2_500_000_000), ("9600bit/s", 9600), (100, 100)],
)
def test_bandwidths_are_decimal(text: str | int, bits: int) -> None:
    assert bandwidth(text) == bits


@pytest.mark.parametrize(("text", "count"), [("64KiB", 65536), ("16MB", 16 * 10**6), ("1.5kB", 1500), ("7", 7), (7, 7)])
def test_sizes(text: str | int, count: int) -> None:
    assert size(text) == count


@pytest.mark.parametrize("text", ["", "fast", "1 Gbit", "10", "1e3us", "-1us", "1,5ms", "٣us", "1.5", "5 parsecs"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigurationError, match="50us"):
        duration(text)


@pytest.mark.parametrize("value", [1.5, True, None, -1, b"1us"])
def test_only_strings_and_whole_numbers_are_durations(value: object) -> None:
    with pytest.raises(ConfigurationError):
        duration(value)  # type: ignore[arg-type]


def test_a_duration_finer_than_a_nanosecond_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="finer"):
        duration("0.5ns")


@pytest.mark.parametrize("value", ["0bit/s", 0])
def test_a_bandwidth_of_zero_is_refused(value: str | int) -> None:
    with pytest.raises(ConfigurationError, match="unlimited"):
        bandwidth(value)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), True, "0.5"])
def test_probabilities_are_checked(value: object) -> None:
    with pytest.raises(ConfigurationError, match="loss"):
        probability(value, "loss")  # type: ignore[arg-type]
    assert (probability(0, "loss"), probability(1, "loss"), probability(0.25, "loss")) == (0.0, 1.0, 0.25)


@given(st.integers(0, 10**9), st.integers(0, 9), st.sampled_from([("ns", 0), ("us", 3), ("ms", 6), ("s", 9)]))
def test_decimal_places_are_exact(whole: int, digit: int, unit: tuple[str, int]) -> None:
    name, power = unit
    exact = Fraction(whole * 10 + digit, 10) * 10**power
    if exact.denominator == 1:
        assert duration(f"{whole}.{digit}{name}") == exact


@given(st.text(max_size=12))
def test_any_text_is_a_size_or_a_configuration_error(text: str) -> None:
    with suppress(ConfigurationError):
        assert size(text) >= 0


def test_durations_for_people() -> None:
    assert [format_duration(n) for n in (0, 999, 1500, 1_500_000, 2 * 10**9)] == [
        "0 ns", "999 ns", "1.500 us", "1.500 ms", "2.000 s",
    ]  # fmt: skip
