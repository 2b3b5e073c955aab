"""Save in the middle, load into another card, and go on the same way."""

import pytest

from motenet.core.state import state_hash


def begin(bench, transport):
    """Negotiated, a queue with work of which a notification is on its way, a changed configuration, half-set queues."""
    if transport == "modern":
        ring = bench.started()
        bench.slot.msix = True
        bench.common.set("queue_msix_vector", 1)
        bench.common.set("config_msix_vector", 2)
        bench.common.set("queue_select", 1)
        bench.common.set("queue_desc", 0x123450)
        bench.common.set("device_feature_select", 1)
        window = bench.card.config_part.registers
        window.write(4, 0x2006, 4)
    elif transport == "legacy":
        ring = bench.legacy_started()
        bench.legacy.set("queue_select", 1)
    else:
        mmio = bench.mmio
        for name, value in (
            ("Status", 3), ("DriverFeaturesSel", 1), ("DriverFeatures", 1), ("Status", 0x0B), ("QueueNum", 16),
            ("QueueDescLow", 0x10000), ("QueueDriverLow", 0x11000), ("QueueDeviceLow", 0x12000), ("QueueReady", 1),
            ("Status", 0x0F), ("QueueSel", 2), ("DeviceFeaturesSel", 1),
        ):  # fmt: skip
            mmio.set(name, value)
        bench.run()
        ring = bench.ring_at(0x10000)
    for _ in range(3):
        ring.add()
    notify(bench, transport)
    bench.run()
    bench.device.config_changed()
    ring.add()
    notify(bench, transport)
    return ring


def notify(bench, transport):
    if transport == "modern":
        bench.bar4.write(0x3000, 0, 2)
    elif transport == "legacy":
        bench.legacy.set("queue_notify", 0)
    else:
        bench.mmio.set("QueueNotify", 0)


def go_on(bench, transport):
    """The rest, with all that can be seen of it."""
    bench.run()
    registers = {"modern": "common", "legacy": "legacy", "mmio": "mmio"}[transport]
    table = getattr(bench, registers)
    seen = [table.get(name) for name in table.table]
    notify(bench, transport)
    bench.run()
    return seen, list(bench.slot.messages), bench.slot.level, bytes(bench.memory), bench.save()["card"]


@pytest.mark.parametrize("transport", ["modern", "legacy", "mmio"])
def test_a_loaded_card_goes_on_like_the_saved_one(new_bench, transport):
    first = new_bench(transport)
    begin(first, transport)
    saved = first.save()
    level, msix = first.slot.level, first.slot.msix
    first.slot.messages.clear()
    outcome = go_on(first, transport)
    second = new_bench(transport)
    second.load(saved)
    second.slot.level, second.slot.msix = level, msix
    assert state_hash(second.save()) == state_hash(saved)
    assert go_on(second, transport) == outcome


@pytest.mark.parametrize("transport", ["modern", "legacy", "mmio"])
def test_restoring_in_place_undoes_everything(new_bench, transport):
    bench = new_bench(transport)
    before = bench.save()
    begin(bench, transport)
    go_on(bench, transport)
    bench.load(before)
    assert state_hash(bench.save()) == state_hash(before)


def test_every_part_has_a_path_of_its_own(new_bench):
    for transport in ("modern", "transitional", "legacy", "mmio"):
        bench = new_bench(transport)
        bench.card.place("alice/nic")
        paths = list(bench.save()["card"])
        assert len(paths) == len(set(paths)) >= 6
        assert all(path.startswith("alice/nic") for path in paths)
