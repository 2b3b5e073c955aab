"""Arbitrary accesses, descriptors, addresses and frames: no exception, an end, and no stray byte."""

from hypothesis import given
from hypothesis import strategies as st

from motenet.datasheets import e1000 as sheet
from motenet.doors import FrameFacts

WORDS = st.one_of(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 1, 2, 0xFFFFFFFF, 0x80, 0x1000, 0x2000, 0x10, sheet.CTRL["SLU"], sheet.CTRL["RST"]]),
    st.integers(0, 31).map(lambda bit: 1 << bit),
)
OFFSETS = st.one_of(
    st.sampled_from([offset for register in sheet.REGISTERS for offset in list(register.offsets())[:2]]),
    st.integers(0, 0x1FFFF),
)
KINDS = [bytes.fromhex(kind) for kind in ("8100", "0800", "86dd", "0008aaaa030000000800", "0008aaaa030000008100")]
SHORT = st.builds(
    lambda destination, kind, tail, size: (destination + b"\x52\x54\x00\x00\x00\x01" + kind + tail)[:size],
    st.sampled_from([bytes.fromhex("525400123456"), b"\xff" * 6, bytes.fromhex("01005e000001")]),
    st.sampled_from(KINDS) | st.just(b"\x81\x00\x00\x01" + KINDS[3]),
    st.binary(max_size=12),
    st.integers(0, 30),
)
FRAMES = st.one_of(
    SHORT,
    st.binary(max_size=200),
    st.binary(max_size=64).map(lambda tail: bytes.fromhex("52540012345652540000000108004500") + tail),
    st.integers(0, 20_000).map(lambda size: b"\xff" * size),
)
FACTS = st.one_of(
    st.none(),
    st.builds(
        FrameFacts, st.integers(0, 300), st.integers(0, 40), st.integers(0, 2000), st.integers(0, 300), st.booleans()
    ),
)
ACTIONS = st.one_of(
    st.tuples(st.just("write"), OFFSETS, WORDS),
    st.tuples(st.just("read"), OFFSETS),
    st.tuples(st.just("io"), st.integers(0, 63), WORDS),
    st.tuples(st.just("frame"), FRAMES, FACTS),
    st.tuples(st.just("carrier"), st.booleans()),
    st.tuples(st.just("master"), st.booleans()),
    st.tuples(st.just("poke"), st.integers(0, 0x2000), st.binary(min_size=16, max_size=64)),
    st.tuples(st.just("run"), st.integers(0, 10**9)),
)
DESCRIPTORS = st.one_of(
    st.binary(min_size=16, max_size=16),
    st.builds(
        sheet.TDESC_DATA_CODEC.pack,
        st.integers(0, 0x100000),
        st.builds(
            lambda length, data, commands: length | data | commands << 24,
            st.integers(0, 3000), st.sampled_from([0, 1 << 20]), st.integers(0, 255),
        ),
        st.integers(0, 255), st.integers(0, 255), st.integers(0, 0xFFFF),
    ),
    st.builds(
        sheet.TDESC_CONTEXT_CODEC.pack,
        *([st.integers(0, 255), st.integers(0, 255), st.integers(0, 2000)] * 2),
        st.builds(lambda length, commands: length | (commands | 0x20) << 24, st.integers(0, 6000), st.integers(0, 15)),
        st.integers(0, 255), st.integers(0, 255), st.integers(0, 2000),
    ),
)  # fmt: skip


def act(bench, action):
    kind, *rest = action
    if kind == "write":
        bench.registers.write(rest[0] & ~3, rest[1], 4)
    elif kind == "read":
        assert 0 <= bench.registers.read(rest[0] & ~3, 4) <= 0xFFFFFFFF
    elif kind == "io":
        bench.io.write(rest[0] & ~3, rest[1], 4)
        assert 0 <= bench.io.read(rest[0] & ~3, 4) <= 0xFFFFFFFF
    elif kind == "frame":
        bench.card.frame_arrived(*rest)
    elif kind == "carrier":
        bench.slot.port.carrier = rest[0]
        bench.card.carrier_changed(rest[0])
    elif kind == "master":
        bench.card.bus_master_changed(rest[0])
    elif kind == "poke":
        bench.memory[rest[0] : rest[0] + len(rest[1])] = rest[1]
    else:
        bench.run(rest[0])


@given(actions=st.lists(ACTIONS, max_size=40))
def test_any_sequence_of_accesses_and_frames_ends_quietly(new_bench, actions):
    bench = new_bench()
    bench.transmitter()
    bench.receiver()
    for action in actions:
        act(bench, action)
    events = bench.slot.world.save()["sequence"]
    bench.run(10**9)
    after = bench.slot.world.save()
    assert after["sequence"] - events < 200
    assert after["events"] == []


@given(ring=st.lists(DESCRIPTORS, min_size=8, max_size=8), tail=st.integers(0, 9), control=WORDS)
def test_transmit_descriptors_of_any_bytes_change_nothing_but_their_own_status(new_bench, ring, tail, control):
    bench = new_bench()
    bench.transmitter(8)
    bench.memory[0x1000:0x1080] = b"".join(ring)
    bench.write(sheet.CTRL, control & ~sheet.CTRL["RST"] & ~sheet.CTRL["PHY_RST"] | sheet.CTRL["SLU"])
    before = bytes(bench.memory)
    bench.write(sheet.TDT, tail)
    bench.run(10**9)
    for index in range(8):
        at = 0x1000 + 16 * index + 12
        status = bench.memory[at]
        assert status in (before[at], before[at] | 1)
        bench.memory[at] = before[at]
    assert bench.memory == before


@given(
    descriptor=st.tuples(st.integers(0, 2**64 - 1) | st.integers(0x40000, 0xF0000), st.integers(0, 2**64 - 1)),
    control=WORDS,
    enabled=WORDS,
    vlan=st.sampled_from([0, 0x8100]),
    frame=FRAMES,
)
def test_received_frames_change_nothing_but_their_buffer_and_descriptor(
    new_bench, descriptor, control, enabled, vlan, frame
):
    bench = new_bench()
    bench.write(sheet.VET, vlan)
    bench.write(sheet.RXCSUM, enabled)
    bench.receiver(8, control | sheet.RCTL["UPE"], free=1)
    address = descriptor[0]
    bench.memory[0x2000:0x2010] = address.to_bytes(8, "little") + descriptor[1].to_bytes(8, "little")
    before = bytes(bench.memory)
    size = (32768 if control & sheet.RCTL["BSEX"] else 2048) >> sheet.RCTL.field("BSIZE").get(control)
    bench.deliver(frame)
    for start, end in ((0x2008, 0x2010), (address, address + size)):
        if end <= len(before):
            bench.memory[start:end] = before[start:end]
    assert bench.memory == before
