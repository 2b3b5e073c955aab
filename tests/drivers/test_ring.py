"""The ring helper: counters, places, and what a ring's length may be."""

from struct import Struct

import pytest

from motenet.core.errors import ConfigurationError
from motenet.drivers.ring import Ring, check_count
from motenet.machine.dma import MachineDma
from motenet.machine.memory import Allocator, PhysicalMemory


@pytest.fixture
def ring() -> Ring:
    memory = PhysicalMemory(1 << 20)
    return Ring(MachineDma(memory, Allocator(memory.size)), Struct("<QQ"), 24)


def test_counters_run_free_and_are_masked_where_they_are_used(ring):
    assert [ring.offset(counter) for counter in (0, 23, 24, 24_000_001)] == [0, 368, 0, 16]
    ring.store(ring.offset(25), 7, 9)
    assert ring.load_at(16) == (7, 9)


def test_the_card_never_gets_all_descriptors(ring):
    assert ring.room() == 23
    ring.produced += 23
    assert ring.room() == 0
    ring.consumed += 5
    assert ring.room() == 5


def test_it_is_aligned_and_begins_anew_when_cleared(ring):
    assert ring.address % 128 == 0
    assert ring.size == 384
    ring.store(0, 1, 2)
    ring.produced = ring.consumed = 99
    ring.clear()
    assert (ring.load_at(0), ring.produced, ring.consumed) == ((0, 0), 0, 0)


@pytest.mark.parametrize("count", [0, -8, 4, 12, 4104, "64", 64.0])
def test_lengths_that_a_card_cannot_take_are_refused(count):
    assert check_count("rx_ring", 4096, 8, 4096) == 4096
    with pytest.raises(ConfigurationError, match=r"rx_ring.*multiple of 8"):
        check_count("rx_ring", count, 8, 4096)
