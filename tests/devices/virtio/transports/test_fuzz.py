"""Arbitrary accesses to every register space: no exception, an end, values within their width."""

from hypothesis import given
from hypothesis import strategies as st

from motenet.devices.virtio.device import NEEDS_RESET

STATUS = st.sampled_from([0, 1, 3, 0x0B, 0x0F, 4, 8, 0x40, 0x80, 0xFF]) | st.integers(0, 255)
FEATURES = st.sampled_from([0, 1 << 5, 1 << 32, 1 << 5 | 1 << 32, 1 << 32 | 1 << 34, 5 << 32 | 3 << 28, 1 << 18])
WORDS = st.integers(0, 2**32 - 1) | st.sampled_from([0, 1, 2, 3, 16, 256, 0x10000, 0xFFFF, 0xFFFFFFFF, 5])
TRANSPORTS = {"modern": (4,), "transitional": (0, 4), "legacy": (0,), "mmio": (0,)}
ACCESSES = st.lists(
    st.tuples(
        st.integers(0, 1), st.integers(0, 0x40) | st.integers(0, 0x3FFF) | st.sampled_from([0x1000, 0x3000, 0x3004]),
        st.sampled_from([1, 2, 4]), st.none() | WORDS,
    ),
    max_size=60,
)  # fmt: skip


@given(
    transport=st.sampled_from(sorted(TRANSPORTS)), accesses=ACCESSES, memory=st.binary(max_size=64), msix=st.booleans()
)
def test_any_accesses_end_quietly(new_bench, transport, accesses, memory, msix):
    bench = new_bench(transport)
    bench.memory[0x10000 : 0x10000 + len(memory)] = memory
    bench.slot.msix = msix
    spaces = [bench.card.register_space(bar) for bar in TRANSPORTS[transport]]
    sizes = [bench.card.bars[bar].size for bar in TRANSPORTS[transport]]
    for which, offset, width, value in accesses:
        space, size = spaces[which % len(spaces)], sizes[which % len(spaces)]
        offset = offset % size & -width
        if value is None:
            assert 0 <= space.read(offset, width) < 1 << 8 * width
        else:
            space.write(offset, value & (1 << 8 * width) - 1, width)
    before = bench.slot.world.save()["sequence"]
    bench.run()
    after = bench.slot.world.save()
    assert after["events"] == []
    assert after["sequence"] - before <= 3
    assert bench.slot.dma.accesses < 5000
    assert all(isinstance(reason, str) and count > 0 for reason, count in bench.drops.items())


@given(accesses=st.lists(st.tuples(st.integers(0, 15), st.sampled_from([1, 2, 4]), st.none() | WORDS), max_size=40))
def test_the_window_of_configuration_space_ends_quietly(new_bench, accesses):
    bench = new_bench("modern")
    window = bench.card.config_part.registers
    for offset, width, value in accesses:
        offset &= -width
        if value is None:
            assert 0 <= window.read(offset, width) < 1 << 8 * width
        else:
            window.write(offset, value & (1 << 8 * width) - 1, width)
    bench.run()
    assert bench.slot.dma.accesses < 5000


STEPS = st.one_of(
    st.tuples(st.just("status"), STATUS),
    st.tuples(st.just("features"), FEATURES),
    st.tuples(st.just("queue"), st.integers(0, 3)),
    st.tuples(st.just("notify"), st.integers(0, 3)),
    st.tuples(st.just("master"), st.booleans()),
    st.tuples(st.just("fail"), st.integers(0, 2)),
    st.tuples(st.just("config"), st.none()),
)


@given(steps=st.lists(STEPS, max_size=30))
def test_2_1_rules_that_hold_after_any_sequence_of_steps(new_bench, steps):
    """Modern: no DRIVER_OK without FEATURES_OK, agreed features are valid, and nothing moves unless all is well."""
    bench = new_bench("modern")
    device = bench.device
    for step, value in steps:
        accesses, status = bench.slot.dma.accesses, device.status
        if step == "status":
            bench.common.set("device_status", value)
            assert device.status in (0, status) or device.status & status == status
        elif step == "features":
            for select in (0, 1):
                bench.common.set("driver_feature_select", select)
                bench.common.set("driver_feature", value >> 32 * select & 0xFFFFFFFF)
        elif step == "queue":
            bench.queue(value % 3)
        elif step == "notify":
            bench.bar4.write(0x3000 + 4 * value, value, 2)
        elif step == "master":
            bench.card.bus_master_changed(value)
        elif step == "fail":
            device.fail(bench.kind.queues[value], "a reason", "a test")
        else:
            device.config_changed()
        was_ready = device.ready
        bench.run()
        assert device.ready == (bool(device.status & 4) and device.bus_master and not device.status & NEEDS_RESET)
        assert was_ready or bench.slot.dma.accesses == accesses
        assert device.status & 8 or not device.status & 4
        assert bool(device.status & 8) == bool(device.features)
        if device.features:
            assert device.features & ~device.offered == 0
            assert device.features >> 32 & 1
        assert not (device.features & 1 << 18 and not device.features & 1 << 17)
