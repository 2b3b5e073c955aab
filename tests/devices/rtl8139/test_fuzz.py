"""Arbitrary accesses of all widths, descriptors, rings and frames: no exception, an end, and no stray byte."""

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.doors import FrameFacts

WIDTHS = st.sampled_from([1, 2, 4])
WORDS = st.one_of(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1, 2, 3, 0xFFFFFFFF, 0x0C, 0x10, 0xC0, 0x40, 0x80, 0x20000, 0x40000, 0x41000, 0xFFF0, 0x60000]),
    st.integers(0, 31).map(lambda bit: 1 << bit),
)
BUSY = [0x10, 0x14, 0x18, 0x1C, 0x20, 0x28, 0x30, 0x34, 0x36, 0x37, 0x38, 0x3C, 0x3E, 0x40, 0x44, 0x48, 0x50, 0x54,
        0x58, 0x60, 0x62, 0x66, 0xD8, 0xD9, 0xE0, 0xE4]  # fmt: skip
OFFSETS = st.one_of(st.sampled_from(BUSY), st.integers(0, 255))
SHORT = st.builds(
    lambda to, kind, tail: to + bytes.fromhex("020000000001") + kind + tail,
    st.sampled_from([bytes.fromhex("525400123456"), b"\xff" * 6, bytes.fromhex("01005e000001")]),
    st.sampled_from([bytes.fromhex(kind) for kind in ("0800", "0800450000", "81000001", "8100000108004500", "86dd")]),
    st.binary(max_size=80),
)
FRAMES = st.one_of(SHORT, st.binary(max_size=200), st.integers(0, 20_000).map(lambda size: b"\xff" * size))
FACTS = st.one_of(
    st.none(),
    st.builds(
        FrameFacts, st.integers(0, 300), st.integers(0, 40), st.integers(0, 2000), st.integers(0, 300), st.booleans()
    ),
)
ACTIONS = st.one_of(
    st.tuples(st.just("write"), OFFSETS, WORDS, WIDTHS),
    st.tuples(st.just("read"), OFFSETS, WIDTHS),
    st.tuples(st.just("frame"), FRAMES, FACTS),
    st.tuples(st.just("carrier"), st.booleans()),
    st.tuples(st.just("master"), st.booleans()),
    st.tuples(
        st.just("poke"), st.sampled_from([0x20000, 0x40000, 0x40800, 0x41000]), st.binary(min_size=16, max_size=64)
    ),
    st.tuples(st.just("run"), st.integers(0, 10**7)),
    st.tuples(st.just("jam"), st.integers(0, 3)),
)


def act(bench, action):
    kind, *rest = action
    if kind == "write":
        offset, value, width = rest
        bench.write(offset & ~(width - 1), value & (1 << 8 * width) - 1, width)
    elif kind == "read":
        offset, width = rest
        assert 0 <= bench.read(offset & ~(width - 1), width) < 1 << 8 * width
    elif kind == "frame":
        bench.card.frame_arrived(*rest)
    elif kind == "carrier":
        bench.plug(rest[0])
    elif kind == "master":
        bench.card.bus_master_changed(rest[0])
    elif kind == "poke":
        bench.memory[rest[0] : rest[0] + len(rest[1])] = rest[1]
    elif kind == "jam":
        bench.card.jam = rest[0]
    else:
        bench.run(rest[0])


@pytest.mark.parametrize(("revision", "timing"), [("C", "instant"), ("C+", "instant"), ("C+", "datasheet")])
@given(actions=st.lists(ACTIONS, max_size=40))
def test_any_sequence_of_accesses_and_frames_ends_quietly(new_bench, revision, timing, actions):
    bench = new_bench(revision, timing)
    bench.cplus() if revision == "C+" else bench.c_mode()
    bench.buffers(1536, 100, 0, 1536)
    for action in actions:
        act(bench, action)
    bench.write(0x54, 0, 4)  # the timer would go on for ever
    events = bench.slot.world.save()["sequence"]
    bench.run(10**10)
    after = bench.slot.world.save()
    assert after["sequence"] - events < 3000
    assert after["events"] == []
    assert all(0 <= value < 1 << 32 for value in bench.card.bank.values.values())


DESCRIPTORS = st.one_of(
    st.binary(min_size=16, max_size=16),
    st.builds(
        lambda flags, length, vlan, address: pack("<IIQ", flags << 24 | length, vlan, address),
        st.integers(0, 255), st.integers(0, 0xFFFFFF) | st.integers(0, 2000), st.integers(0, 2**18 - 1),
        st.integers(0x40000, 0x48000) | st.integers(0, 2**64 - 1),
    ),
)  # fmt: skip


@given(
    ring=st.lists(DESCRIPTORS, min_size=8, max_size=8),
    mode=st.sampled_from([0x0003, 0x0013]),
    tcr=st.sampled_from([0, 0x00060000, 0x00010000]),
    polls=st.lists(st.sampled_from([0x40, 0x80, 0xC0]), max_size=3),
)
def test_transmit_descriptors_of_any_bytes_change_nothing_but_their_first_words(new_bench, ring, mode, tcr, polls):
    plus = new_bench("C+")
    plus.cplus(mode, rcr=0)
    plus.write(0x40, tcr, 4)
    for at in (0x40000, 0x40800):
        plus.memory[at : at + 128] = b"".join(ring)
    before = bytes(plus.memory)
    for poll in polls:
        plus.write(0xD9, poll, 1)
        plus.run(10**9)
    assert plus.slot.world.save()["events"] == []
    for at in [*range(0x40000, 0x40400, 16), *range(0x40800, 0x40C00, 16)]:
        if before[at + 3] & 0x80:
            plus.memory[at : at + 4] = before[at : at + 4]
    assert plus.memory == before


@given(
    ring=st.lists(DESCRIPTORS, min_size=4, max_size=4),
    mode=st.sampled_from([0x0002, 0x0022, 0x0042, 0x0072]),
    frames=st.lists(FRAMES, max_size=4),
)
def test_received_frames_change_nothing_but_buffers_and_descriptors_of_the_card(new_bench, ring, mode, frames):
    plus = new_bench("C+")
    plus.cplus(mode, rcr=0x3F)
    plus.memory[0x41000:0x41040] = b"".join(ring)
    plus.memory[0x41040:0x41400] = bytes(0x3C0)
    before = bytes(plus.memory)
    for frame in frames:
        plus.deliver(frame)
    fetched = [at for at, length, _ in plus.slot.dma.reads if length == 16]
    allowed = [(at, at + 8) for at in fetched]
    for address, data in plus.slot.dma.writes:
        if len(data) != 4 or address & 3 or (address & ~7) not in fetched:
            allowed.append((address, address + len(data)))
            assert len(data) <= 0x1FFF
    for start, end in allowed:
        if end <= len(before):
            plus.memory[start:end] = before[start:end]
    assert plus.memory == before


@given(
    rcr=st.integers(0, 2**32 - 1),
    start=st.integers(0, 2**32 - 1) | st.just(0x20000),
    steps=st.lists(st.tuples(FRAMES, st.integers(0, 0xFFFF), st.booleans()), max_size=8),
)
def test_the_ring_and_what_is_allowed_behind_it_is_all_that_frames_reach(new_bench, rcr, start, steps):
    bench = new_bench()
    bench.c_mode(rcr)
    bench.write(0x30, start, 4)
    size, behind = 8192 << (rcr >> 11 & 3), 0x1100 if rcr & 0x80 else 0
    for frame, capr, moves in steps:
        bench.deliver(frame)
        if moves:
            bench.write(0x38, capr, 2)
            bench.run()
    for address, data in bench.slot.dma.writes:
        assert (address - start & 0xFFFFFFFF) + len(data) <= size + behind
    assert bench.read(0x3A, 2) % 4 == 0
