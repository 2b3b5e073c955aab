"""Durations, bandwidths and sizes: strings or integers in, integers out, never floats."""

import re
from fractions import Fraction

from motenet.core.errors import ConfigurationError

NS = 1
US = 1_000
MS = 1_000_000
SECOND = 1_000_000_000

_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-zµμ/]*)\s*", re.ASCII | re.IGNORECASE)

_DURATIONS = {"ns": NS, "us": US, "µs": US, "μs": US, "ms": MS, "s": SECOND, "min": 60 * SECOND, "h": 3600 * SECOND}
_PREFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_BANDWIDTHS = {f"{p}bit/s": f for p, f in _PREFIXES.items()} | {f"{p}bps": f for p, f in _PREFIXES.items()}
_SIZES = {
    "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9,
    "kib": 2**10, "mib": 2**20, "gib": 2**30,
}  # fmt: skip


def _parse(text: str, units: dict[str, int], what: str, example: str) -> int:
    match = _NUMBER.fullmatch(text)
    unit = match[2].lower() if match else ""
    if match is None or unit not in units:
        raise ConfigurationError(f"{text!r} is not a {what}; write it like {example!r}")
    exact = Fraction(match[1]) * units[unit]
    if exact.denominator != 1:
        raise ConfigurationError(f"{text!r} is finer than motenet counts: a {what} is a whole number of them")
    return int(exact)


def _integer(value: object, what: str, example: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationError(f"{value!r} is not a {what}; give an integer or a string like {example!r}")
    if value < 0:
        raise ConfigurationError(f"a {what} cannot be negative: {value}")
    return value


def duration(value: str | int) -> int:
    """Nanoseconds from "50us", "1.5ms", "2s" or an integer number of nanoseconds."""
    if isinstance(value, str):
        return _parse(value, _DURATIONS, "duration", "50us")
    return _integer(value, "duration", "50us")


def bandwidth(value: str | int) -> int:
    """Bits per second from "1Gbit/s", "10Mbps" or an integer; never zero."""
    if isinstance(value, str):
        rate = _parse(value, _BANDWIDTHS, "bandwidth", "1Gbit/s")
    else:
        rate = _integer(value, "bandwidth", "1Gbit/s")
    if rate == 0:
        raise ConfigurationError("a bandwidth of zero carries nothing; leave it out for an unlimited link")
    return rate


def size(value: str | int) -> int:
    """Bytes from "64KiB", "16MB" or an integer."""
    if isinstance(value, str):
        return _parse(value, _SIZES, "size", "64KiB")
    return _integer(value, "size", "64KiB")


def probability(value: float, what: str) -> float:
    """A number from 0 to 1, checked."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigurationError(f"{what}={value!r} is not a probability; give a number from 0 to 1")
    return float(value)


def format_duration(nanoseconds: int) -> str:
    """A duration for people: 1500000 -> '1.500 ms'."""
    for name, scale in (("s", SECOND), ("ms", MS), ("us", US)):
        if abs(nanoseconds) >= scale:
            return f"{nanoseconds / scale:.3f} {name}"
    return f"{nanoseconds} ns"
