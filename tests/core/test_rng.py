"""Streams: seeded by SHA-256 of seed and path, Mersenne Twister beneath, equal on every Python."""

import hashlib

import numpy as np
import pytest

from motenet.core.rng import Stream
from motenet.core.state import plain


def test_seeding_by_sha_256_of_seed_and_path_against_numpys_mersenne_twister() -> None:
    """init_by_array of MT19937's authors takes the key as 32-bit words, the least significant first."""
    digest = hashlib.sha256(b"7/alice/nic").digest()
    words = np.frombuffer(digest[::-1], "<u4")
    twister = np.random.RandomState()
    twister.seed(words)
    stream = Stream(7, "alice/nic")
    assert [stream.random() for _ in range(5)] == list(twister.random_sample(5))


def test_the_draws_are_these_on_every_platform() -> None:
    stream = Stream(7, "alice/nic")
    assert [stream.below(1 << 32) for _ in range(4)] == [3394201899, 1262812579, 3131554614, 3576568690]


def test_each_path_and_each_seed_has_its_own_stream() -> None:
    draws = [Stream(seed, path).bytes(16) for seed in (1, 2, "1x") for path in ("a", "b")]
    assert all(draw not in draws[:index] for index, draw in enumerate(draws))


def test_between_reaches_both_ends_and_not_beyond() -> None:
    stream = Stream(0, "between")
    assert {stream.between(-2, 2) for _ in range(200)} == {-2, -1, 0, 1, 2}
    assert stream.between(7, 7) == 7


@pytest.mark.parametrize("count", [1, 31, 32, 33, 48, 256])
def test_bits_fill_their_range_and_no_more(count: int) -> None:
    stream = Stream(0, "bits")
    seen = 0
    for _ in range(400):
        value = stream.bits(count)
        assert 0 <= value < 1 << count
        seen |= value
    assert seen == (1 << count) - 1


def test_bytes_and_below() -> None:
    stream = Stream(0, "x")
    assert [len(stream.bytes(count)) for count in (0, 1, 7)] == [0, 1, 7]
    assert sorted({stream.below(3) for _ in range(100)}) == [0, 1, 2]


def test_a_saved_stream_goes_on_where_it_was() -> None:
    stream = Stream(3, "x")
    stream.random()
    saved = plain(stream.save())
    expected = stream.bytes(64)
    stream.load(saved)
    assert stream.bytes(64) == expected
    other = Stream(99, "y")
    other.load(saved)
    assert other.bytes(64) == expected
