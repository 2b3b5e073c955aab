"""What both layouts have in common: order, publication, notifications, positions, snapshots (virtio 2.6 to 2.8)."""

import itertools
from struct import pack_into, unpack_from

import pytest

FRAME = bytes.fromhex("525400000001525400123456080045") + bytes(1499)
PLAIN = bytes(12)


def frames(count):
    return [FRAME[:20] + bytes((number,)) * 80 for number in range(count)]


def test_buffers_are_used_in_the_order_in_which_they_were_made_available(new_bench, layout):
    bench = new_bench(layout)
    numbers = [bench.tx.add(PLAIN + frame) for frame in frames(5)]
    bench.tx.kick()
    assert [frame for frame, _ in bench.sent] == frames(5)
    assert bench.tx.used() == [(number, 0) for number in numbers]


def test_2_7_4_1_and_2_8_5_any_split_of_header_and_data_is_the_same_frame(new_bench, layout):
    bench, whole = new_bench(layout), PLAIN + FRAME
    for cuts in ((12,), (5,), (12, 26), (1, 2, 3, 13, 1000), (1525,), tuple(range(1, 14))):
        edges = (0, *cuts, len(whole))
        parts = [whole[start:end] for start, end in itertools.pairwise(edges)]
        assert bench.send(*parts) == [(FRAME, None)], cuts
    assert bench.drops == {}


def test_2_7_5_3_and_2_8_7_indirect_tables(new_bench, layout):
    bench = new_bench(f"INDIRECT {layout}")
    number = bench.tx.add(table=(PLAIN, FRAME[:100], FRAME[100:]))
    bench.tx.kick()
    assert bench.sent == [(FRAME, None)]
    assert bench.tx.used() == [(number, 0)]
    bench.rx.add(table=(12, 2000))
    bench.deliver(FRAME)
    assert [length for _, length in bench.rx.used()] == [12 + 1514]


def test_direct_and_indirect_buffers_mix_in_a_ring(new_bench, layout):
    bench = new_bench(f"INDIRECT {layout}")
    bench.tx.add(PLAIN, FRAME)
    bench.tx.add(table=(PLAIN, FRAME))
    bench.tx.add(PLAIN + FRAME)
    bench.tx.kick()
    assert bench.sent == [(FRAME, None)] * 3
    assert len(bench.tx.used()) == 3


def test_a_whole_burst_is_published_by_one_store_behind_all_others(new_bench, layout):
    """2.7.8.2: len before idx. 2.8.9: the first descriptor's flags last."""
    bench = new_bench(layout)
    for frame in frames(16):
        bench.tx.add(PLAIN + frame)
    bench.tx.kick()
    stores = [(at, length, what) for kind, at, length, what in bench.log if kind == "write" and "event" not in what]
    stores = [store for store in stores if "flags" not in store[2] or "desc" in store[2]]
    if layout:
        assert stores[-1] == (bench.tx.table + 14, 2, "pvirtq_desc.flags")
        assert stores[-2] == (bench.tx.table + 8, 6, "pvirtq_desc")
        assert len(stores) == 3
    else:
        ring = bench.tx.device_area
        assert stores == [(ring + 4, 16 * 8, "virtq_used.ring"), (ring + 2, 2, "virtq_used.idx")]


def test_descriptors_of_a_burst_are_fetched_once_and_together(new_bench, layout):
    bench = new_bench(layout)
    for frame in frames(16):
        bench.tx.add(PLAIN + frame)
    bench.tx.kick()
    fetches = [(at, length) for kind, at, length, what in bench.log if what in ("virtq_desc", "pvirtq_desc")]
    assert (bench.tx.table, 16 * 16) in fetches[:1]
    reads = [length for kind, _, length, what in bench.log if kind == "read" and not what]
    assert reads == [112] * 16  # and payload: header and data in one go


@pytest.mark.parametrize("wanted", [True, False])
def test_2_7_7_2_and_2_8_10_interrupts_only_when_the_driver_wants_them(new_bench, layout, wanted):
    bench = new_bench(layout)
    bench.tx.want_interrupts(wanted)
    bench.send(PLAIN + FRAME)
    assert bench.interrupts == ([1] if wanted else [])


def test_2_7_10_2_and_2_8_10_notifications_are_off_while_the_device_works(new_bench, layout):
    bench, seen = new_bench(layout), []
    bench.port.transmit = lambda frame, facts=None: seen.append(bench.tx.wants_notifications())
    bench.tx.add(PLAIN + FRAME)
    bench.tx.kick()
    assert seen == [False]
    assert bench.tx.wants_notifications()


@pytest.mark.parametrize("features", ["", "PACKED", "PACKED EVENT_IDX"])
def test_2_7_10_and_2_8_10_receive_buffers_need_no_notification_once_frames_arrive(new_bench, features):
    bench = new_bench(features)
    bench.rx.add(2000)
    assert bench.rx.wants_notifications()
    bench.deliver(FRAME)
    assert not bench.rx.wants_notifications()


def test_receive_buffers_need_no_notification_with_avail_event_that_stays(new_bench):
    bench = new_bench("EVENT_IDX")
    for _ in range(5):
        bench.rx.add(2000)
        bench.deliver(FRAME)
    assert bench.rx.wants_notifications()  # 2.7.10.2: flags are 0
    assert unpack_from("<H", bench.memory, bench.rx.device_area + 4 + 8 * 16) == (0,)


def test_what_is_added_while_the_device_works_is_not_missed(new_bench, layout):
    """2.7.13.4 and 2.8.21.3 seen from the other side: after switching notifications on it looks again."""
    bench = new_bench(layout)

    def transmit(frame, facts=None):
        if len(bench.sent) < 3:
            bench.tx.add(PLAIN + FRAME)  # the driver sees that notifications are off, and sends none
        bench.sent.append((frame, facts))

    bench.port.transmit = transmit
    bench.tx.add(PLAIN + FRAME)
    bench.tx.kick()
    assert len(bench.sent) == 4
    assert len(bench.tx.used()) == 4


def test_2_7_10_2_the_device_handles_spurious_notifications(new_bench, layout):
    bench = new_bench(layout)
    for _ in range(3):
        bench.tx.kick()
    bench.rx.kick()
    assert bench.sent == []
    assert bench.interrupts == []
    assert bench.drops == {}


def test_a_large_backlog_is_served_over_several_events(new_bench, layout):
    bench = new_bench(layout, size=64)
    for _ in range(40):
        bench.tx.add(PLAIN + FRAME[:14] + bytes(60_000))
    bench.device.notify(1)
    events = 0
    while bench.slot.world.next_time() is not None:
        bench.slot.world.run(bench.slot.world.now, ready=lambda: True)
        events += 1
    assert len(bench.tx.used()) == 40
    assert 1 < events < 20


@pytest.mark.parametrize("after", range(1, 12))
def test_a_reset_within_dma_ends_the_work_and_nothing_more_is_stored(new_bench, layout, after):
    bench = new_bench(layout)
    for frame in frames(3):
        bench.tx.add(PLAIN + frame)
    left, sent = [after], []

    def access():
        left[0] -= 1
        if left[0] == 0:
            bench.device.write_status(0)
            sent[:] = bench.sent
        assert left[0] >= 0, "accesses go on after the reset"

    bench.slot.dma.on_access = access
    bench.tx.kick()
    bench.slot.dma.on_access = None
    assert not bench.net.queues[1].enabled
    assert bench.sent == sent
    assert bench.interrupts == []


@pytest.mark.parametrize("after", range(1, 12))
def test_what_was_in_hand_when_the_bus_was_lost_is_done_afterwards(new_bench, layout, after):
    """PCI 6.2.2: without bus mastering nothing is read or stored; no buffer is forgotten."""
    bench = new_bench(layout)
    numbers = [bench.tx.add(PLAIN + frame) for frame in frames(3)]
    left = [after]

    def access():
        left[0] -= 1
        if left[0] == 0:
            bench.bus_master(False)

    bench.slot.dma.on_access = access
    bench.tx.kick()
    bench.slot.dma.on_access = None
    bench.bus_master(True)
    bench.run()
    assert bench.drops == {}
    assert bench.tx.used() == [(number, 0) for number in numbers]
    assert [frame for frame, _ in bench.sent][-3:] == frames(3)  # some perhaps twice


def test_a_snapshot_in_the_middle_of_work_goes_on_where_it_was(new_bench, layout):
    """Some receive buffers are fetched and not popped; a backlog is half sent; an event is on its way."""
    bench = new_bench(f"MRG_RXBUF {layout}", size=64)
    for _ in range(40):
        bench.rx.add(600)
    bench.deliver(FRAME, FRAME)
    for _ in range(30):
        bench.tx.add(PLAIN + FRAME[:14] + bytes(60_000))
    bench.device.notify(1)
    bench.slot.world.run(bench.slot.world.now, ready=lambda: True)
    state = bench.save()
    twin = new_bench(f"MRG_RXBUF {layout}", size=64)
    twin.load(state)
    for one in (bench, twin):
        one.run()
        one.deliver(FRAME, FRAME[:700])
    assert bench.save() == twin.save()
    assert bench.memory == twin.memory
    assert sum(1 for _ in bench.tx.used()) == 30


def test_giving_back_a_chain_makes_it_the_next_one_again(new_bench, layout):
    bench = new_bench(layout)
    first, second = bench.rx.add(100), bench.rx.add(200)
    queue = bench.net.queues[0]
    chains = [queue.pop(), queue.pop()]
    assert queue.pop() is None
    for chain in reversed(chains):
        queue.unpop(chain)
    assert [queue.pop().id, queue.pop().id] == [first, second]


@pytest.mark.parametrize(
    ("features", "count", "base"),
    [("", 3, 3), ("PACKED", 3, 0x8003_8003), ("PACKED", 19, 0x0003_0003), ("PACKED", 35, 0x8003_8003)],
)
def test_vhost_user_bases_tell_and_set_where_a_queue_goes_on(new_bench, features, count, base):
    """vhost-user: split: the next available index; packed: positions, and wrap counters in bits 15 and 31."""
    bench = new_bench(features, size=16)
    for frame in frames(count):
        bench.send(PLAIN + frame)
        bench.tx.used()
    queue = bench.net.queues[1]
    assert queue.get_base() == base
    queue.disable()
    queue.last_available = queue.last_used = 0
    assert queue.enable(packed=bool(features), event_index=False, indirect=False)
    queue.set_base(base)
    assert bench.send(PLAIN + FRAME) == [(FRAME, None)]
    assert len(bench.tx.used()) == 1


@pytest.mark.parametrize(("area", "offset"), [("descriptors", 8), ("driver_area", 1), ("device_area", 2)])
def test_2_7_1_and_2_8_11_misaligned_rings_are_refused(new_bench, layout, area, offset):
    bench = new_bench(layout)
    queue = bench.net.queues[1]
    queue.disable()
    setattr(queue, area, getattr(queue, area) + offset)
    assert not queue.enable(packed=bool(layout), event_index=False, indirect=False)
    assert bench.drops == {"misaligned ring": 1}
    assert bench.device.status & 0x40  # DEVICE_NEEDS_RESET


@pytest.mark.parametrize(
    ("size", "split", "packed"),
    [(0, False, False), (17, False, False), (32, False, False), (12, False, True), (1, True, True)],
)
def test_2_7_and_2_8_10_1_sizes(new_bench, layout, size, split, packed):
    bench = new_bench(layout)
    queue = bench.net.queues[1]
    queue.disable()
    queue.size = size
    good = packed if layout else split
    assert queue.enable(packed=bool(layout), event_index=False, indirect=False) is good
    assert bench.drops == ({} if good else {"bad queue size": 1})


def test_2_1_2_a_broken_ring_needs_a_reset_and_a_reset_heals_it(new_bench, layout):
    bench = new_bench(layout)
    bench.tx.add(PLAIN, b"")
    bench.tx.kick()
    assert bench.drops == {"empty buffer": 1}
    assert bench.device.status & 0x40
    assert bench.interrupts == [-1]  # told by a configuration change notification
    assert bench.tx.used() == []
    bench.tx.kick()
    assert bench.drops["empty buffer"] == 1  # and never looked at again
    bench.start(layout)
    assert bench.send(PLAIN + FRAME) == [(FRAME, None)]


def test_chains_before_a_broken_one_are_served(new_bench, layout):
    bench = new_bench(layout)
    bench.tx.add(PLAIN + FRAME)
    bench.tx.add(PLAIN + FRAME)
    bench.tx.add(PLAIN, b"")
    bench.tx.kick()
    assert len(bench.sent) == 2
    assert bench.drops == {"empty buffer": 1}


@pytest.mark.parametrize("parts", [(2, PLAIN), (PLAIN, 4, FRAME), (1, b"x", 1)])
def test_2_7_4_2_and_2_8_17_writable_buffers_come_last(new_bench, layout, parts):
    bench = new_bench(layout)
    bench.tx.add(*parts)
    bench.tx.kick()
    assert bench.drops == {"writable before readable": 1}


def test_without_indirect_negotiated_a_table_is_a_violation(new_bench, layout):
    """2.7.5.3.1, 2.8.19."""
    bench = new_bench(layout)
    bench.tx.add(table=(PLAIN, FRAME))
    bench.tx.kick()
    assert bench.drops == {"indirect not negotiated": 1}


@pytest.mark.parametrize("length", [0, 8, 17, 16 * 17, 2**32 - 16, 2**32 - 1])
def test_2_7_5_3_and_2_8_7_lengths_of_indirect_tables(new_bench, layout, length):
    bench = new_bench(f"INDIRECT {layout}")
    bench.tx.add(table=(PLAIN, FRAME))
    pack_into("<I", bench.memory, bench.tx.table + 8, length)
    bench.tx.kick()
    assert bench.drops in ({"bad indirect table length": 1}, {"indirect table too long": 1})
    assert sum(read for kind, _, read, _ in bench.log if kind == "read") < 3000


def test_cve_lengths_that_overflow_32_bits_when_added_up(new_bench, layout):
    """2.7.5.2: 2^32 bytes in total. Nothing of them is read."""
    bench = new_bench(layout)
    bench.tx.add(PLAIN, b"x", b"x")
    for index in (1, 2):
        pack_into("<I", bench.memory, bench.tx.table + 16 * index + 8, 0xFFFFFFFF)
    bench.tx.kick()
    assert bench.drops == {"more than 4 GiB": 1}
    assert sum(read for kind, _, read, _ in bench.log if kind == "read") < 3000


def test_cve_a_single_length_of_4_gib_is_no_frame_and_is_not_read(new_bench, layout):
    bench = new_bench(layout)
    number = bench.tx.add(PLAIN + FRAME)
    pack_into("<I", bench.memory, bench.tx.table + 8, 0xFFFFFFFF)
    bench.tx.kick()
    assert bench.drops == {"bad transmit buffer": 1}
    assert bench.tx.used() == [(number, 0)]
    assert sum(read for kind, _, read, _ in bench.log if kind == "read") < 3000


def test_many_large_tables_are_not_gathered_at_once(new_bench, layout):
    """Every buffer of the ring is a table as large as the queue: that would be a million descriptors."""
    bench = new_bench(f"INDIRECT {layout}", size=1024)
    address, length = bench.tx.indirect((b"x",) * 1024, chained=not layout)
    for number in range(1024):
        if layout:
            bench.tx.descriptor(address, length, number, 4 | bench.tx.flags())
        else:
            bench.tx.descriptor(number, address, length, 4)
            bench.tx.offer(number)
    queue = bench.net.queues[1]
    assert len(queue.pop_all()) == 4
    assert bench.drops == {}


def test_a_queue_with_rings_outside_memory_stops(new_bench, layout):
    bench = new_bench(layout)
    queue = bench.net.queues[1]
    queue.disable()
    queue.descriptors = queue.driver_area = queue.device_area = 1 << 40
    queue.enable(packed=bool(layout), event_index=False, indirect=True)
    bench.tx.kick()
    assert bench.sent == []
    assert len(bench.log) < 10


def test_data_outside_memory_reads_as_ones_and_the_header_is_refused(new_bench, layout):
    bench = new_bench(layout)
    number = bench.tx.add(PLAIN + FRAME)
    pack_into("<Q", bench.memory, bench.tx.table, 1 << 50)
    bench.tx.kick()
    assert bench.sent == []
    assert bench.drops == {"NEEDS_CSUM without CSUM": 1}
    assert bench.tx.used() == [(number, 0)]


def test_the_device_writes_to_no_descriptor_and_no_readable_buffer(new_bench):
    """2.7.5.1."""
    bench = new_bench()
    bench.tx.add(PLAIN + FRAME)
    bench.rx.add(2000)
    table, data = bench.tx.data(bench.tx.table, 256), bench.tx.data(0x100000, 0x200000)
    bench.tx.kick()
    assert bench.tx.data(bench.tx.table, 256) == table
    assert bench.tx.data(0x100000, 0x200000) == data
    assert unpack_from("<H", bench.memory, bench.tx.driver_area + 2) == (1,)
