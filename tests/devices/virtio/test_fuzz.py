"""Arbitrary rings, headers, commands and frames: no exception, an end, bounded work, and no stray byte."""

from struct import pack

from hypothesis import given, settings
from hypothesis import strategies as st

from motenet.doors import FrameFacts

FRAME = bytes.fromhex("525400000001525400123456080045000064") + bytes(96)
FEATURES = st.sampled_from(
    [
        "", "MRG_RXBUF EVENT_IDX", "INDIRECT EVENT_IDX CSUM HOST_TSO4 HOST_UFO", "PACKED", "PACKED INDIRECT EVENT_IDX",
        "PACKED MRG_RXBUF GUEST_CSUM GUEST_TSO4", "INDIRECT CTRL_VQ CTRL_RX MQ CTRL_VLAN CTRL_GUEST_OFFLOADS",
    ]
)  # fmt: skip
NUMBERS = st.sampled_from([0, 1, 2, 3, 7, 8, 12, 15, 16, 17, 100, 0x7FFF, 0x8000, 0xFFFF]) | st.integers(0, 0xFFFF)
ADDRESSES = st.sampled_from([0x20000, 0x24000, 0x28000, 0x2C000, 0x100000, 0, 6 << 20, 2**64 - 1, 2**63])
LENGTHS = st.sampled_from([0, 1, 11, 12, 16, 32, 112, 2000, 65562, 2**31, 2**32 - 1]) | st.integers(0, 3000)
FLAGS = st.integers(0, 7).flatmap(lambda low: st.sampled_from([0, 0x80, 0x8000, 0x8080, 8]).map(low.__or__))
DESCRIPTORS = st.builds(pack, st.just("<QIHH"), ADDRESSES, LENGTHS, NUMBERS, NUMBERS | FLAGS) | st.builds(
    pack, st.just("<QIHH"), ADDRESSES, LENGTHS, FLAGS, NUMBERS
)
RINGS = st.lists(DESCRIPTORS, min_size=4, max_size=4).map(lambda four: b"".join(four) * 4)
HEADERS = st.builds(
    lambda flags, gso, numbers: bytes((flags, gso)) + pack("<5H", *numbers),
    st.integers(0, 255), st.sampled_from([0, 1, 3, 4, 5, 0x81, 0x84]) | st.integers(0, 255),
    st.lists(NUMBERS, min_size=5, max_size=5),
)  # fmt: skip
PACKETS = st.builds(
    lambda start, rest, size: (start + rest).ljust(size, b"\0"),
    st.sampled_from(
        [
            FRAME[:14] + bytes.fromhex("4500006400000000400600000a0000010a000002"),
            FRAME[:12] + bytes.fromhex("86dd600000000100063f") + bytes(32),
            FRAME[:12] + bytes.fromhex("8100000508004500006400000000401100000a0000010a000002"),
            b"\xff" * 12,
        ]
    ),
    st.binary(max_size=60),
    st.sampled_from([0, 60, 1514, 5000, 65550]),
)  # fmt: skip
FACTS = st.none() | st.builds(
    FrameFacts, NUMBERS, st.sampled_from([0, 6, 16, 300]), NUMBERS, NUMBERS, st.booleans(),
    st.sampled_from(["tcp4", "tcp6", "ufo", "uso"]), st.booleans(),
)  # fmt: skip


def bounded(bench, accesses=3000):
    """The work ends, after not too many events and accesses."""
    before = len(bench.log)
    for _ in range(60):
        if bench.slot.world.next_time() is None:
            break
        bench.slot.world.run(bench.slot.world.now, ready=lambda: True)
    assert bench.slot.world.next_time() is None
    assert len(bench.log) - before < accesses


@settings(max_examples=150)
@given(
    features=FEATURES, table=RINGS, indirect=RINGS, heads=st.lists(NUMBERS, min_size=5, max_size=5), idx=NUMBERS,
    frame=PACKETS, facts=FACTS,
)  # fmt: skip
def test_any_ring_memory_is_served_or_refused_and_nothing_else_is_written(
    new_bench, features, table, indirect, heads, idx, frame, facts
):
    """For both queues the same memory; what may change are used rings, event structures and writable buffers."""
    bench = new_bench(features, pairs=2 if "MQ" in features else 1)
    for queue in bench.net.queues:
        queue.disable()
        queue.descriptors, queue.driver_area, queue.device_area = 0x20000, 0x24000, 0x28000
        assert queue.enable(packed=bench.packed, event_index="EVENT" in features, indirect="INDIRECT" in features)
    bench.memory[0x20000:0x20100] = table
    bench.memory[0x2C000:0x2C100] = indirect
    bench.memory[0x24000:0x24026] = pack("<HH17H", 0, idx, *(heads * 4)[:17])
    untouched = bytes(bench.memory[0x30000:0x100000])
    for queue in bench.net.queues:
        bench.device.notify(queue.index)
    bounded(bench)
    before = len(bench.log)
    bench.port.card.frame_arrived(frame, facts)
    bounded(bench)
    assert len(bench.log) - before < 20_000
    assert bytes(bench.memory[0x30000:0x100000]) == untouched


@settings(max_examples=300)
@given(about=HEADERS, frame=PACKETS, unfinished=st.booleans(), legacy=st.booleans(), split=st.integers(1, 9))
def test_any_header_and_frame_is_sent_or_refused_and_used(new_bench, about, frame, unfinished, legacy, split):
    bench = new_bench("CSUM HOST_TSO4 HOST_TSO6 HOST_ECN HOST_UFO", legacy=legacy)
    bench.port.takes_unfinished = unfinished
    sent = bench.send(about[:split], about[split : 10 if legacy else 12], frame)
    assert len(bench.tx.used()) == 1
    assert bool(sent) != bool(bench.drops)
    assert len(sent) <= 8193
    assert sum(len(one) for one, _ in sent) <= len(frame) + 60 + 600 * len(sent)
    assert not bench.device.status & 0x40


@settings(max_examples=150)
@given(
    features=st.sampled_from(["", "MRG_RXBUF", "GUEST_CSUM GUEST_TSO4 GUEST_TSO6 GUEST_UFO MRG_RXBUF", "GUEST_CSUM"]),
    rooms=st.lists(st.integers(1, 300) | st.sampled_from([1526, 65562]), max_size=10), frame=PACKETS, facts=FACTS,
)  # fmt: skip
def test_any_frame_with_any_facts_is_received_whole_or_not_at_all(new_bench, features, rooms, frame, facts):
    bench = new_bench(features)
    numbers = [bench.rx.add(room) for room in rooms]
    end = bench.rx.free_data
    bench.deliver(frame, facts=facts)
    used = bench.rx.used()
    assert [number for number, _ in used] == numbers[: len(used)]
    assert all(length <= room for (_, length), room in zip(used, rooms, strict=False))
    assert bench.rx.data(end, 70_000) == bytes(70_000)
    if facts is None and used:
        whole = b"".join(bench.rx.data(bench.rx.buffers[number][0], length) for number, length in used)
        assert whole == bytes(10) + len(used).to_bytes(2, "little") + frame


@settings(max_examples=150)
@given(
    commands=st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 6), st.binary(max_size=30) | st.integers(0, 99).map(bytes)),
        max_size=8,
    ),
    frame=PACKETS,
)
def test_any_commands_are_answered(new_bench, commands, frame):
    bench = new_bench(
        "CTRL_VQ CTRL_RX CTRL_RX_EXTRA CTRL_VLAN CTRL_MAC_ADDR CTRL_GUEST_OFFLOADS GUEST_CSUM MQ", pairs=2
    )
    for kind, command, data in commands:
        assert bench.command(kind, command, data) in (0, 1)
    bench.rx.add(65562)
    bench.deliver(frame)
    twin = new_bench("", pairs=2)
    state = bench.save()
    twin.load(state)
    assert twin.save()["card"] == state["card"]
