"""Split virtqueues by clause (virtio 2.7), and what drivers do to them."""

from itertools import pairwise
from struct import pack_into, unpack_from

import pytest

FRAME = bytes.fromhex("525400000001525400123456080045") + bytes(85)
PLAIN = bytes(12)
NEXT, WRITE, INDIRECT = 1, 2, 4
BUFFER = 0x300000


def reads(bench):
    return sum(length for kind, _, length, _ in bench.log if kind == "read")


def violation(bench, reason):
    """The transmit queue is served, and stops for this reason in bounded time."""
    bench.log.clear()
    bench.tx.kick()
    assert bench.drops == {reason: 1}
    assert bench.net.queues[1].broken
    assert bench.device.status & 0x40
    assert len(bench.log) < 100
    assert reads(bench) < 20_000


# --- avail.idx


def test_trap_idx_wraps_at_65536_and_the_ring_at_its_size(new_bench):
    """2.7.6: idx always increments; 2.7.13.3: wraps naturally at 65536."""
    bench = new_bench(size=8)
    queue = bench.net.queues[1]
    queue.set_base(65533)
    bench.tx.idx = bench.tx.seen = 65533
    pack_into("<H", bench.memory, bench.tx.device_area + 2, 65533)
    for number in range(5):
        bench.tx.add(PLAIN + FRAME[:20] + bytes((number,)) * 50)
    bench.tx.kick()
    assert [frame[20] for frame, _ in bench.sent] == [0, 1, 2, 3, 4]
    assert bench.tx.used() == [(number, 0) for number in range(5)]
    assert unpack_from("<H", bench.memory, bench.tx.device_area + 2) == (2,)
    assert queue.last_available == queue.last_used == 2


def test_more_than_65536_buffers_go_through_a_queue(new_bench):
    bench = new_bench(size=256)
    for index in range(256):
        bench.tx.descriptor(index, BUFFER, 112)
    bench.memory[BUFFER : BUFFER + 112] = PLAIN + FRAME
    for _ in range(260):
        bench.tx.offer(*range(256))
        bench.tx.kick()
    assert len(bench.sent) == 260 * 256
    assert bench.tx.idx == 260 * 256 - 65536
    assert bench.drops == {}


@pytest.mark.parametrize("idx", [17, 0x8000, 0xFFFF])
def test_2_7_13_idx_that_jumps_by_more_than_the_queue_size(new_bench, idx):
    bench = new_bench(size=16)
    pack_into("<H", bench.memory, bench.tx.driver_area + 2, idx)
    violation(bench, "available index jumped")


def test_2_7_6_1_idx_that_goes_back(new_bench):
    bench = new_bench(size=16)
    bench.send(PLAIN + FRAME)
    bench.send(PLAIN + FRAME)
    bench.tx.idx = 0
    pack_into("<H", bench.memory, bench.tx.driver_area + 2, 1)
    violation(bench, "available index jumped")


def test_all_of_the_queue_may_be_outstanding(new_bench):
    bench = new_bench(size=16)
    for _ in range(16):
        bench.tx.add(PLAIN + FRAME)
    bench.tx.kick()
    assert len(bench.tx.used()) == 16
    assert bench.drops == {}


def test_more_outstanding_than_descriptors_are_a_jump(new_bench):
    """2.7: at most Queue Size buffers. Sixteen are popped and not used; the seventeenth cannot be."""
    bench = new_bench(size=16)
    queue = bench.net.queues[0]
    for _ in range(16):
        bench.rx.add(100)
        assert queue.pop() is not None
    bench.rx.add(100)
    assert queue.pop() is None
    assert bench.drops == {"available index jumped": 1}


# --- chains


@pytest.mark.parametrize("head", [16, 255, 0xFFFF])
def test_2_7_6_head_outside_the_table(new_bench, head):
    bench = new_bench(size=16)
    bench.tx.offer(head)
    violation(bench, "head out of range")


def test_a_head_outside_the_table_behind_good_ones(new_bench):
    bench = new_bench(size=16)
    bench.tx.descriptor(14, BUFFER, 112)
    bench.tx.descriptor(15, BUFFER, 112)
    bench.tx.offer(14, 15, 16)
    violation(bench, "head out of range")
    assert len(bench.tx.used()) == 2


@pytest.mark.parametrize("following", [16, 0xFFFF])
def test_2_7_5_next_outside_the_table(new_bench, following):
    bench = new_bench(size=16)
    bench.tx.descriptor(0, BUFFER, 12, NEXT, following)
    bench.tx.offer(0)
    violation(bench, "next out of range")


@pytest.mark.parametrize("cycle", [(0,), (0, 1), (0, 5, 9), tuple(range(16))])
def test_cve_descriptor_loops_end_in_bounded_time(new_bench, cycle):
    """2.7.5.2: loops in the descriptor chain are forbidden."""
    bench = new_bench(size=16)
    for index, following in pairwise((*cycle, cycle[0])):
        bench.tx.descriptor(index, BUFFER, 1, NEXT, following)
    bench.tx.offer(0)
    violation(bench, "descriptor loop")


def test_cve_a_loop_in_the_largest_queue(new_bench):
    bench = new_bench(size=1024)
    bench.tx.descriptor(0, BUFFER, 1, NEXT, 0)
    bench.tx.offer(0)
    bench.tx.kick()
    assert bench.drops == {"descriptor loop": 1}
    assert len(bench.log) < 1040


def test_a_chain_may_be_as_long_as_the_queue(new_bench):
    bench = new_bench(size=16)
    bench.tx.add(PLAIN, *(FRAME[at : at + 7] for at in range(0, 98, 7)), FRAME[98:])
    bench.tx.kick()
    assert bench.sent == [(FRAME, None)]
    assert bench.drops == {}


def test_cve_zero_length_chains(new_bench):
    """Chains without bytes: nothing may be done endlessly for nothing."""
    bench = new_bench(size=16)
    for index in range(16):
        bench.tx.descriptor(index, BUFFER, 0, 0)
    bench.tx.offer(*range(16))
    violation(bench, "empty buffer")


@pytest.mark.parametrize("order", [(3, 2, 1, 0), (0, 15, 7, 1), (5, 5, 5), (0, 2, 4, 6, 8), (0, 9, 10, 11, 1)])
def test_heads_in_any_order(new_bench, order):
    bench = new_bench(size=16)
    for index in range(16):
        at = BUFFER + 0x1000 * index
        bench.memory[at : at + 112] = PLAIN + FRAME[:20] + bytes((index,)) * 80
        bench.tx.descriptor(index, at, 112)
    bench.tx.offer(*order)
    bench.tx.kick()
    assert [frame[20] for frame, _ in bench.sent] == list(order)
    assert [number for number, _ in bench.tx.used()] == list(order)


def test_chains_of_two_that_lie_side_by_side_are_fetched_together(new_bench):
    bench = new_bench(size=16)
    for _ in range(8):
        bench.tx.add(PLAIN, FRAME)
    bench.tx.kick()
    assert bench.sent == [(FRAME, None)] * 8
    assert [length for _, _, length, what in bench.log if what == "virtq_desc"] == [256]


def test_reserved_flags_of_a_descriptor_do_not_matter(new_bench):
    bench = new_bench(size=16)
    bench.memory[BUFFER : BUFFER + 112] = PLAIN + FRAME
    bench.tx.descriptor(3, BUFFER, 112, 0xFFF8, 99)
    bench.tx.offer(3)
    bench.tx.kick()
    assert bench.sent == [(FRAME, None)]


# --- indirect


def test_trap_an_indirect_table_behind_normal_descriptors(new_bench):
    """2.7.5.3.2: zero or more normal chained descriptors followed by a single one with INDIRECT."""
    bench = new_bench("INDIRECT")
    number = bench.tx.add(PLAIN, FRAME[:30], table=(FRAME[30:50], FRAME[50:]))
    bench.tx.kick()
    assert bench.sent == [(FRAME, None)]
    assert bench.tx.used() == [(number, 0)]


def test_2_7_5_3_2_write_is_ignored_in_the_descriptor_of_a_table(new_bench):
    bench = new_bench("INDIRECT")
    bench.tx.add(table=(PLAIN, FRAME))
    bench.memory[bench.tx.table + 12] = INDIRECT | WRITE
    bench.tx.kick()
    assert bench.sent == [(FRAME, None)]


def test_entries_of_a_table_are_chained_by_next_not_by_order(new_bench):
    bench = new_bench("INDIRECT")
    bench.tx.add(table=(PLAIN, FRAME[50:], FRAME[:50]))
    table = bench.tx.tables - 48
    pack_into("<H", bench.memory, table + 14, 2)
    pack_into("<HH", bench.memory, table + 16 + 12, 0, 0)
    pack_into("<HH", bench.memory, table + 32 + 12, NEXT, 1)
    bench.tx.kick()
    assert bench.sent == [(FRAME, None)]


@pytest.mark.parametrize(
    ("entry", "flags", "following", "reason"),
    [
        (0, INDIRECT, 0, "indirect inside indirect"),
        (1, INDIRECT | NEXT, 0, "indirect inside indirect"),
        (1, NEXT, 2, "next out of range"),
        (1, NEXT, 0xFFFF, "next out of range"),
        (1, NEXT, 0, "descriptor loop"),
        (0, NEXT, 0, "descriptor loop"),
    ],
)
def test_2_7_5_3_1_what_a_table_must_not_hold(new_bench, entry, flags, following, reason):
    bench = new_bench("INDIRECT")
    bench.tx.add(table=(PLAIN, FRAME))
    pack_into("<HH", bench.memory, bench.tx.tables - 32 + 16 * entry + 12, flags, following)
    violation(bench, reason)


def test_2_7_5_3_1_indirect_with_next(new_bench):
    bench = new_bench("INDIRECT")
    bench.tx.add(table=(PLAIN, FRAME))
    bench.memory[bench.tx.table + 12] = INDIRECT | NEXT
    violation(bench, "indirect inside a list")


def test_2_7_5_3_1_a_chain_longer_than_the_queue_by_its_table(new_bench):
    bench = new_bench("INDIRECT", size=4)
    bench.tx.add(PLAIN, b"a", table=(FRAME[:5], FRAME[5:9], FRAME[9:]))
    violation(bench, "chain longer than the queue")


def test_an_empty_entry_in_a_table(new_bench):
    bench = new_bench("INDIRECT")
    bench.tx.add(table=(PLAIN, b"", FRAME))
    violation(bench, "empty buffer")


# --- used


def test_2_7_8_2_used_elements_wrap_at_the_rings_end(new_bench):
    bench = new_bench(size=8)
    for _ in range(6):
        bench.tx.add(PLAIN + FRAME)
    bench.tx.kick()
    bench.log.clear()
    for _ in range(5):
        bench.tx.add(PLAIN + FRAME)
    bench.tx.kick()
    assert bench.tx.used() == [(number % 8, 0) for number in range(11)]
    ring = bench.tx.device_area + 4
    stores = [(at - ring, length) for kind, at, length, what in bench.log if what == "virtq_used.ring"]
    assert stores == [(6 * 8, 16), (0, 24)]


def test_used_elements_tell_what_was_written(new_bench):
    bench = new_bench(size=8)
    number = bench.rx.add(2000)
    bench.deliver(FRAME)
    assert bench.rx.used() == [(number, 112)]


# --- event index


@pytest.mark.parametrize(
    ("event", "told"), [(0, True), (1, True), (2, True), (3, False), (0xFFFF, False), (0x8000, False)]
)
def test_2_7_7_2_an_interrupt_when_the_entry_that_used_event_names_is_written(new_bench, event, told):
    """Three entries are used, at idx 0, 1 and 2; flags do not count then."""
    bench = new_bench("EVENT_IDX", size=16)
    bench.tx.want_interrupts(False)
    pack_into("<H", bench.memory, bench.tx.driver_area + 4 + 32, event)
    for _ in range(3):
        bench.tx.add(PLAIN + FRAME)
    bench.tx.kick()
    assert bench.interrupts == ([1] if told else [])


def test_2_7_7_2_used_event_across_65536(new_bench):
    bench = new_bench("EVENT_IDX", size=16)
    bench.net.queues[1].set_base(0xFFFE)
    bench.tx.idx = 0xFFFE
    for event, told in ((0xFFFF, True), (0xFFFF, False), (2, False), (2, True)):
        bench.interrupts.clear()
        pack_into("<H", bench.memory, bench.tx.driver_area + 4 + 32, event)
        bench.send(PLAIN + FRAME)
        bench.send(PLAIN + FRAME) if event == 0xFFFF and told else None
        assert bench.interrupts == ([1] if told else []), event


def test_2_7_7_2_without_event_index_used_event_is_ignored(new_bench):
    bench = new_bench(size=16)
    pack_into("<H", bench.memory, bench.tx.driver_area + 4 + 32, 0x8000)
    bench.send(PLAIN + FRAME)
    assert bench.interrupts == [1]


def test_2_7_10_2_avail_event_moves_on_and_flags_stay_0(new_bench):
    bench = new_bench("EVENT_IDX", size=16)
    for count in (1, 2, 3):
        bench.send(PLAIN + FRAME)
        assert unpack_from("<H", bench.memory, bench.tx.device_area + 4 + 128) == (count,)
        assert bench.tx.wants_notifications()  # flags
    bench.rx.add(2000)
    bench.deliver(FRAME)
    assert bench.rx.wants_notifications()


def test_legacy_event_index_may_be_negotiated_after_the_queue_is_enabled(new_bench):
    """3.1.2: a transitional device serves before; then 2.7.10.2 wants flags to be 0."""
    bench = new_bench(legacy=True)
    bench.rx.add(2000)
    bench.deliver(FRAME)
    assert not bench.rx.wants_notifications()
    queue = bench.net.queues[0]
    queue.features_set(event_index=True, indirect=False)
    queue.want_notifications(True)
    assert bench.rx.wants_notifications()


def test_2_7_10_2_without_event_index_avail_event_is_not_written(new_bench):
    bench = new_bench(size=16)
    bench.send(PLAIN + FRAME)
    assert all(at != bench.tx.device_area + 4 + 128 for kind, at, _, _ in bench.log if kind == "write")
