"""Packed virtqueues by clause (virtio 2.8), and what drivers do to them."""

import itertools
from struct import pack_into, unpack_from

import pytest

FRAME = bytes.fromhex("525400000001525400123456080045") + bytes(85)
PLAIN = bytes(12)
NEXT, WRITE, INDIRECT, AVAIL, USED = 1, 2, 4, 1 << 7, 1 << 15
BUFFER = 0x300000


def numbered(number):
    return PLAIN + FRAME[:20] + bytes((number & 0xFF,)) * 80


def descriptor(bench, rings, index):
    """addr, len, id and flags as they lie in the ring."""
    return unpack_from("<QIHH", bench.memory, rings.table + 16 * index)


def violation(bench, reason):
    bench.log.clear()
    bench.tx.kick()
    assert bench.drops == {reason: 1}
    assert bench.net.queues[1].broken
    assert len(bench.log) < 100
    assert sum(length for kind, _, length, _ in bench.log if kind == "read") < 20_000


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16])
def test_trap_wrap_counters_over_many_laps(new_bench, size):
    """2.8.1: both counters start at 1 and change at the ring's end; sizes need not be powers of two (2.8.10.1)."""
    bench = new_bench("PACKED")
    queue = bench.net.queues[1]
    queue.disable()
    queue.size = bench.tx.size = size
    assert queue.enable(packed=True, event_index=False, indirect=False)
    sent = 0
    for turn in range(25):
        for _ in range(turn % size + 1):
            bench.tx.add(numbered(sent))
            sent += 1
        bench.tx.kick()
        assert len(bench.tx.used()) == turn % size + 1
    assert [frame[20] for frame, _ in bench.sent] == [number & 0xFF for number in range(sent)]
    assert bench.drops == {}


@pytest.mark.parametrize("length", [2, 3, 5])
def test_trap_lists_that_go_over_the_rings_end(new_bench, length):
    bench = new_bench("PACKED", size=8)
    for number in range(30):
        whole = numbered(number)
        cuts = [0, *range(12, 12 + length - 1), len(whole)]
        assert bench.send(*(whole[a:b] for a, b in itertools.pairwise(cuts))) == [(whole[12:], None)]
        assert len(bench.tx.used()) == 1
    assert bench.drops == {}


def test_2_8_1_a_ring_of_zeroes_has_nothing_available(new_bench):
    bench = new_bench("PACKED")
    bench.tx.kick()
    assert bench.sent == []
    assert bench.drops == {}


@pytest.mark.parametrize("flags", [0, USED, AVAIL | USED])
def test_2_8_15_only_the_flags_of_this_lap_make_a_descriptor_available(new_bench, flags):
    bench = new_bench("PACKED")
    bench.tx.descriptor(BUFFER, 112, 5, flags)
    bench.tx.kick()
    assert bench.sent == []
    assert bench.drops == {}


def test_what_was_available_in_the_last_lap_is_not_in_this(new_bench):
    """Stale descriptors: the device has used all, and the driver has not come by again."""
    bench = new_bench("PACKED", size=4)
    for number in range(4):
        bench.tx.add(numbered(number))
    bench.tx.kick()
    bench.tx.kick()
    assert len(bench.sent) == 4


def test_2_8_3_and_2_8_4_used_descriptors(new_bench):
    """Length with WRITE for what was written; both flags are the wrap counter."""
    bench = new_bench("PACKED", size=8)
    bench.tx.add(PLAIN + FRAME)
    bench.rx.add(2000)
    bench.tx.kick()
    bench.deliver(FRAME)
    assert descriptor(bench, bench.tx, 0)[2:] == (7, AVAIL | USED)
    assert descriptor(bench, bench.rx, 0)[1:] == (112, 7, AVAIL | USED | WRITE)


def test_2_8_6_the_id_is_in_the_last_descriptor_and_one_used_descriptor_skips_the_list(new_bench):
    bench = new_bench("PACKED", size=8)
    first = bench.tx.add(PLAIN, FRAME[:40], FRAME[40:])
    second = bench.tx.add(PLAIN, FRAME)
    before = descriptor(bench, bench.tx, 1), descriptor(bench, bench.tx, 2), descriptor(bench, bench.tx, 4)
    bench.tx.kick()
    assert descriptor(bench, bench.tx, 0)[2:] == (first, AVAIL | USED)
    assert descriptor(bench, bench.tx, 3)[2:] == (second, AVAIL | USED)
    assert before == (descriptor(bench, bench.tx, 1), descriptor(bench, bench.tx, 2), descriptor(bench, bench.tx, 4))


def test_2_8_9_the_first_of_several_buffers_is_marked_last(new_bench):
    bench = new_bench("MRG_RXBUF PACKED", size=8)
    for _ in range(4):
        bench.rx.add(50)
    bench.log.clear()
    bench.deliver(FRAME)
    stores = [(at - bench.rx.table, length) for kind, at, length, what in bench.log if what.startswith("pvirtq_desc")]
    assert stores[-3:] == [(16 + 8, 24), (8, 6), (14, 2)]
    assert [length for _, length in bench.rx.used()] == [50, 50, 12]


def test_flags_are_seen_before_what_belongs_to_them_is_read(new_bench):
    """2.8.21.1: the driver stores flags last, so the device reads the rest after it has seen them."""
    bench = new_bench("PACKED", size=8)
    bench.tx.add(PLAIN + FRAME)
    bench.tx.kick()
    kinds = [what for kind, _, _, what in bench.log if kind == "read"]
    assert kinds.index("pvirtq_desc.flags") < kinds.index("pvirtq_desc")


def test_2_8_17_a_list_that_is_not_available_as_a_whole(new_bench):
    bench = new_bench("PACKED", size=8)
    bench.tx.descriptor(BUFFER, 12, 0, NEXT | AVAIL)
    bench.tx.descriptor(BUFFER, 100, 5, USED)
    violation(bench, "chain partly available")


def test_2_8_17_cve_a_list_without_an_end(new_bench):
    bench = new_bench("PACKED", size=8)
    for _ in range(8):
        bench.tx.descriptor(BUFFER, 12, 0, NEXT | AVAIL)
    violation(bench, "chain longer than the queue")


def test_cve_a_list_without_an_end_over_the_rings_end(new_bench):
    """What comes round again has the flags of the lap before."""
    bench = new_bench("PACKED", size=8)
    for _ in range(4):
        bench.send(PLAIN + FRAME)
    for _ in range(8):
        bench.tx.descriptor(BUFFER, 12, 0, NEXT | bench.tx.flags())
    violation(bench, "chain longer than the queue")


@pytest.mark.parametrize("flags", [0x0008, 0x0040, 0x0100, 0x4000])
def test_2_8_13_flags_that_nobody_has_defined(new_bench, flags):
    bench = new_bench("PACKED")
    bench.tx.descriptor(BUFFER, 112, 5, AVAIL | flags)
    violation(bench, "unknown descriptor flags")


def test_2_8_7_flags_and_ids_of_table_entries_are_ignored_but_write(new_bench):
    bench = new_bench("INDIRECT PACKED")
    bench.tx.add(table=(PLAIN, FRAME))
    for entry in (0, 1):
        pack_into("<HH", bench.memory, bench.tx.tables - 32 + 16 * entry + 12, 0xABCD, 0xFFFF & ~WRITE)
    bench.tx.kick()
    assert bench.sent == [(FRAME, None)]


def test_2_8_7_write_is_ignored_in_the_descriptor_of_a_table(new_bench):
    bench = new_bench("INDIRECT PACKED")
    bench.tx.add(table=(PLAIN, FRAME))
    bench.memory[bench.tx.table + 14] |= WRITE
    bench.tx.kick()
    assert bench.sent == [(FRAME, None)]


@pytest.mark.parametrize("flags", [(INDIRECT | NEXT, 0), (NEXT, INDIRECT)])
def test_2_8_19_no_table_inside_a_list(new_bench, flags):
    bench = new_bench("INDIRECT PACKED")
    bench.tx.add(table=(PLAIN, FRAME))
    address, length, *_ = descriptor(bench, bench.tx, 0)
    bench.tx.at = 0
    for one in flags:
        bench.tx.descriptor(address, length, 7, one | AVAIL)
    violation(bench, "indirect inside a list")


@pytest.mark.parametrize("number", [0, 0xFFFF])
def test_any_16_bits_are_an_id(new_bench, number):
    bench = new_bench("PACKED", size=4)
    bench.tx.next_id = number
    bench.tx.add(PLAIN + FRAME)
    bench.tx.kick()
    assert bench.tx.used() == [(number, 0)]


# --- event suppression


@pytest.mark.parametrize(
    ("offset", "wrap", "told"),
    [(0, 1, False), (5, 1, False), (6, 1, True), (7, 1, True), (0, 0, True), (1, 0, False), (6, 0, False)],
)
def test_2_8_10_an_interrupt_for_the_descriptor_that_the_driver_names(new_bench, offset, wrap, told):
    """A ring of 8: six are used before, then 6 and 7 of the first lap, and 0 of the second."""
    bench = new_bench("EVENT_IDX PACKED", size=8)
    for _ in range(6):
        bench.send(PLAIN + FRAME)
    pack_into("<HH", bench.memory, bench.tx.driver_area, offset | wrap << 15, 2)
    bench.interrupts.clear()
    for _ in range(3):
        bench.tx.add(PLAIN + FRAME)
    bench.tx.kick()
    assert bench.interrupts == ([1] if told else [])


def test_2_8_10_a_named_descriptor_in_the_middle_of_a_list_counts(new_bench):
    bench = new_bench("EVENT_IDX PACKED", size=8)
    pack_into("<HH", bench.memory, bench.tx.driver_area, 2 | 1 << 15, 2)
    bench.send(PLAIN, FRAME[:50], FRAME[50:])
    assert bench.interrupts == [1]


@pytest.mark.parametrize(("flags", "told"), [(0, True), (1, False), (2, True), (3, True), (0xFFFD, False)])
def test_2_8_10_event_flags_without_event_index(new_bench, flags, told):
    """DESC is valid with RING_EVENT_IDX only, 3 is reserved; the upper bits are not the field's."""
    bench = new_bench("PACKED", size=8)
    pack_into("<HH", bench.memory, bench.tx.driver_area, 5, flags)
    bench.send(PLAIN + FRAME)
    assert bench.interrupts == ([1] if told else [])


def test_2_8_14_the_device_names_the_next_descriptor(new_bench):
    bench = new_bench("EVENT_IDX PACKED", size=4)
    for count in range(1, 11):
        bench.send(PLAIN + FRAME)
        wrap = 0 if count // 4 & 1 else 1
        assert unpack_from("<HH", bench.memory, bench.tx.device_area) == (count % 4 | wrap << 15, 2)


def test_2_8_10_without_event_index_the_device_enables_or_disables(new_bench):
    bench = new_bench("PACKED", size=4)
    bench.send(PLAIN + FRAME)
    assert unpack_from("<HH", bench.memory, bench.tx.device_area) == (0, 0)
    bench.rx.add(2000)
    bench.deliver(FRAME)
    assert unpack_from("<HH", bench.memory, bench.rx.device_area) == (0, 1)
