"""The driver's side of virtqueues against the device's side in conftest.py (virtio 2.7, 2.8)."""

from struct import unpack_from

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.errors import DriverError

both = pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])


@both
def test_2_7_13_nothing_is_available_before_it_is_published(make_bench, packed):
    bench = make_bench(packed)
    for slot in range(3):
        bench.queue.put(slot, 0x1000 * slot, 100 + slot)
    assert bench.hands.pop() is None
    bench.queue.publish()
    assert [bench.hands.pop() for _ in range(4)] == [
        (slot, [(0x1000 * slot, 100 + slot, False)]) for slot in range(3)
    ] + [None]


def test_2_7_13_3_1_and_2_8_21_1_1_barriers_stand_before_the_publishing_store_and_before_the_question(make_bench):
    for packed in (False, True):
        bench = make_bench(packed)
        seen = []
        bench.queue._barrier = lambda bench=bench, seen=seen: seen.append(bench.hands.pop() is not None)
        bench.queue.put(0, 0, 64)
        bench.queue.put(1, 64, 64)
        bench.queue.publish()
        assert seen == [False, True]


@both
@pytest.mark.parametrize("size", [32, 256])
def test_2_7_6_indexes_wrap_at_65536(make_bench, packed, size):
    """Every buffer comes back once, in order, through the wrap of avail.idx, used.idx and both wrap counters."""
    bench = make_bench(packed, size)
    queue, hands = bench.queue, bench.hands
    turn = size // 2
    for round_ in range(66_000 // turn):
        for place in range(turn):
            queue.put((round_ * turn + place) % size, place, place + 1)
        queue.publish()
        back = [hands.pop() for _ in range(turn)]
        assert hands.pop() is None
        hands.use(*((number, parts[0][1]) for number, parts in back))
        assert [queue.take() for _ in range(turn)] == [
            ((round_ * turn + place) % size, place + 1) for place in range(turn)
        ]
        assert queue.take() is None
    assert queue.produced == queue.consumed > 65_536
    assert not queue.broken


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_2_8_10_1_a_packed_ring_of_any_size_and_chains_of_any_length(make_bench, size):
    bench = make_bench(True, size, pieces=min(3, size))
    queue, hands = bench.queue, bench.hands
    for turn in range(50):
        parts = [(0x100 * place, 10 + place, place == 2) for place in range(turn % min(3, size) + 1)]
        queue.chain(0, parts)
        queue.publish()
        assert hands.pop() == (0, parts)
        assert queue.take() is None
        hands.use((0, 5))
        assert queue.take() == (0, 5)


@both
def test_2_7_5_3_a_buffer_of_several_parts_is_a_table_where_that_is_agreed(make_bench, packed):
    bench = make_bench(packed, 4, pieces=3, indirect=True)
    assert bench.queue.count == 4
    parts = [(0x1000, 2, False), (0x2000, 6, False), (0x3000, 1, True)]
    for slot in range(4):
        bench.queue.chain(slot, parts)
    bench.queue.publish()
    assert [bench.hands.pop() for _ in range(4)] == [(slot, parts) for slot in range(4)]
    direct = make_bench(packed, 8, pieces=3)
    assert direct.queue.count == 2
    direct.queue.chain(1, parts)
    direct.queue.publish()
    assert direct.hands.pop()[1] == parts


def test_5_1_6_6_the_header_is_a_descriptor_of_its_own(make_bench):
    for indirect in (False, True):
        bench = make_bench(False, 8, pieces=2, head=10, write=True, indirect=indirect)
        assert bench.queue.count == (8 if indirect else 4)
        bench.queue.lay_out(0x4000, 0x800, 0x600)
        bench.queue.open()
        bench.queue.repost(range(bench.queue.count))
        bench.queue.publish()
        for slot in range(bench.queue.count):
            _, parts = bench.hands.pop()
            assert parts == [(0x4000 + 0x800 * slot, 10, True), (0x400A + 0x800 * slot, 0x5F6, True)]


@both
@given(st.lists(st.integers(1, 40), max_size=12), st.randoms(use_true_random=True))
def test_reposted_buffers_are_where_they_were_laid_out(make_bench, packed, counts, random):
    """Whatever the order in which a device uses buffers, and however many go back at once."""
    bench = make_bench(packed, 64, write=True)
    queue, hands = bench.queue, bench.hands
    queue.lay_out(0x10000, 0x400, 0x400)
    queue.open()
    queue.repost(range(64))
    queue.publish()
    held, waiting = [], []
    for count in counts:
        while (one := hands.pop()) is not None:
            assert one[1] == [(0x10000 + 0x400 * one[0], 0x400, True)]
            held.append(one[0])
        random.shuffle(held)
        used, held = held[:count], held[count:]
        hands.use(*((number, 7) for number in used))
        waiting += [queue.take() for _ in used]
        assert waiting == [(number, 7) for number in used]
        queue.repost([slot for slot, _ in waiting])
        queue.publish()
        waiting.clear()
    assert not queue.broken


# --- notifications


@pytest.mark.parametrize(("flags", "wanted"), [(0, 1), (1, 0)])
def test_2_7_10_1_without_event_index_the_flag_decides(make_bench, flags, wanted):
    bench = make_bench(False)
    bench.say(0, flags)
    bench.say(4 + 8 * 8, 77)  # avail_event, to be ignored
    bench.queue.put(0, 0, 1)
    bench.queue.publish()
    assert bench.notifications == wanted


@given(st.integers(0, 300), st.integers(1, 8), st.integers(-20, 20))
def test_2_7_10_1_with_event_index_the_index_decides(make_bench, before, count, distance):
    """A notification is sent when one of the entries written has the index avail_event, and only then."""
    bench = make_bench(False, event_idx=True)
    bench.queue.produced = bench.queue.published = start = 65_400 + before
    bench.say(0, 1)  # the flag, to be ignored
    event = start + distance
    bench.say(4 + 8 * 8, event & 0xFFFF)
    for slot in range(count):
        bench.queue.put(slot, 0, 1)
    bench.queue.publish()
    assert bench.notifications == (start <= event < start + count)


@pytest.mark.parametrize(("flags", "wanted"), [(0, 1), (1, 0), (2, 1)])
def test_2_8_10_without_event_index_only_the_flags_decide(make_bench, flags, wanted):
    bench = make_bench(True)
    bench.say(0, 0x8005, flags)
    bench.queue.put(0, 0, 1)
    bench.queue.publish()
    assert bench.notifications == wanted


@given(st.integers(0, 40), st.integers(1, 4), st.integers(0, 9))
def test_2_8_10_with_event_index_the_descriptor_decides(make_bench, before, count, distance):
    """An event for a descriptor from the next one on, in this lap of the ring or the one after."""
    bench = make_bench(True, 10, event_idx=True)
    queue, hands = bench.queue, bench.hands
    for _ in range(before):
        queue.put(0, 0, 1)
        queue.publish()
        hands.use((hands.pop()[0], 0))
        queue.take()
    position = before + distance
    bench.say(0, position % 10 | (0x8000 if position // 10 % 2 == 0 else 0), 2)
    bench.notifications = 0
    for slot in range(count):
        queue.put(slot, 0, 1)
    queue.publish()
    assert bench.notifications == (distance < count)


def test_a_device_that_has_passed_its_own_event_has_forgotten_to_ask(make_bench):
    """QEMU 7.2 with packed queues and a full cable; see PackedQueue._wanted."""
    bench = make_bench(True, 10, event_idx=True)
    queue, hands = bench.queue, bench.hands
    bench.say(0, 0x8000 | 2, 2)
    for slot in range(5):
        queue.put(slot, 0, 1)
    queue.publish()
    assert bench.notifications == 1
    for _ in range(5):
        hands.use((hands.pop()[0], 0))
        queue.take()
    queue.put(5, 0, 1)
    queue.publish()
    assert bench.notifications == 2


def test_2_7_7_1_interrupts_are_asked_for_by_flag_or_by_index(make_bench):
    bench = make_bench(False)
    bench.queue.disable()
    assert not bench.hands.wants_interrupt()
    assert not bench.queue.enable()
    assert bench.hands.wants_interrupt()
    bench = make_bench(False, event_idx=True)
    bench.queue.produced = bench.queue.published = bench.queue.consumed = bench.hands.done = 65_530
    bench.queue.disable()
    bench.hands.use()
    assert bench.hands.wants_interrupt(), "2.7.7.1: the flag stays 0"
    assert not bench.queue.enable(10)
    assert bench.hands.used_event() == 65_540 - 65_536


def test_2_8_10_interrupts_are_asked_for_by_flags_or_by_descriptor(make_bench):
    bench = make_bench(True, event_idx=True)
    bench.queue.disable()
    event = bench.queue.areas[1]
    assert unpack_from("<HH", bench.memory.view, event)[1] == 1
    bench.queue.used_at, bench.queue.used_wrap = 6, 0
    bench.queue.enable(3)
    assert unpack_from("<HH", bench.memory.view, event) == (1 | 0x8000, 2)


@both
def test_2_7_7_a_buffer_that_came_back_before_interrupts_were_on_is_not_missed(make_bench, packed):
    bench = make_bench(packed)
    bench.queue.disable()
    bench.queue.put(0, 0, 1)
    bench.queue.publish()
    bench.hands.use((bench.hands.pop()[0], 1))
    assert bench.queue.enable()


# --- what a device cannot do


@both
@pytest.mark.parametrize("number", [2, 7, 8, 0xFFFF])
def test_a_buffer_that_was_not_given_does_not_come_back(make_bench, packed, number):
    bench = make_bench(packed)
    bench.queue.put(0, 0, 1)
    bench.queue.put(1, 0, 1)
    bench.queue.publish()
    bench.hands.use((number, 1))
    assert bench.queue.take() is None
    assert f"{number} comes back and was not given" in bench.queue.broken
    assert not bench.queue.waiting()


def test_2_7_8_a_used_index_that_jumps_breaks_the_queue(make_bench):
    bench = make_bench(False)
    bench.queue.put(0, 0, 1)
    bench.queue.publish()
    bench.hands.use((0, 1), (0, 1))
    assert bench.queue.take() is None
    assert "claims 2 buffers of 1" in bench.queue.broken


def test_a_part_of_a_chain_is_no_buffer(make_bench):
    bench = make_bench(False, 8, pieces=2)
    bench.queue.chain(0, [(0, 1, False), (1, 1, True)])
    bench.queue.publish()
    bench.hands.use((1, 1))
    assert bench.queue.take() is None
    assert bench.queue.broken


@both
@given(st.binary(min_size=300, max_size=300), st.binary(min_size=300, max_size=300))
def test_no_garbage_from_a_device_raises_or_gives_back_what_it_has_not_got(make_bench, packed, first, second):
    bench = make_bench(packed, event_idx=True)
    queue, view = bench.queue, bench.memory.view
    start = queue.areas[0] if packed else queue.areas[2]
    taken = []
    for noise in (first, second):
        for slot in range(8):
            if not queue.posted[slot] and queue.produced - queue.consumed < 8:
                queue.put(slot, 0, 1)
        queue.publish()
        view[start : start + (144 if packed else 70)] = noise[: 144 if packed else 70]
        while (used := queue.take()) is not None:
            taken.append(used[0])
            assert len(taken) <= 16
        queue.enable()
        queue.disable()
    assert all(0 <= slot < 8 for slot in taken)


def test_a_queue_smaller_than_a_buffer_is_no_queue(make_bench):
    with pytest.raises(DriverError, match="2 descriptors; a buffer takes 4"):
        make_bench(True, 2, pieces=4)
