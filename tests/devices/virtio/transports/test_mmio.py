"""Virtio over MMIO, version 2 (virtio 4.2)."""

import pytest


def negotiate(mmio, features=1 << 5 | 1 << 32):
    """Linux's order: the high word first."""
    registers = mmio.mmio
    for status in (0, 1, 3):
        registers.set("Status", status)
    for select in (1, 0):
        registers.set("DriverFeaturesSel", select)
        registers.set("DriverFeatures", features >> 32 * select & 0xFFFFFFFF)
    registers.set("Status", 0x0B)
    return registers.get("Status")


def queue(mmio, index=0, base=0x10000):
    """4.2.3.2, as Linux does it."""
    registers = mmio.mmio
    registers.set("QueueSel", index)
    assert registers.get("QueueReady") == 0
    assert registers.get("QueueNumMax") == 256
    registers.set("QueueNum", 16)
    for name, offset in (("QueueDesc", 0), ("QueueDriver", 0x1000), ("QueueDevice", 0x2000)):
        registers.set(f"{name}Low", base + offset)
        registers.set(f"{name}High", 0)
    registers.set("QueueReady", 1)


def started(mmio, ring):
    assert negotiate(mmio) == 0x0B
    queue(mmio)
    mmio.mmio.set("Status", 0x0F)
    mmio.run()
    mmio.calls.clear()
    return ring(mmio.memory, 0x10000, 0x11000, 0x12000, 16)


def test_4_2_3_a_whole_life(mmio, ring):
    queued = started(mmio, ring)
    assert mmio.mmio.get("QueueReady") == 1
    queued.add()
    mmio.mmio.set("QueueNotify", 0)
    assert mmio.calls == []
    mmio.run()
    assert mmio.calls == ["notified 0"]
    assert queued.used_index == 1
    assert mmio.slot.level
    assert mmio.mmio.get("InterruptStatus") == 1
    assert mmio.slot.level  # 4.2.2.1: until the driver acknowledges
    mmio.mmio.set("InterruptACK", 1)
    assert not mmio.slot.level
    mmio.mmio.set("Status", 0)
    assert mmio.mmio.get("Status") == 0
    assert mmio.mmio.get("QueueReady") == 0
    assert mmio.drops == {}


def test_4_2_2_features_by_words(mmio):
    words = []
    for select in (0, 1, 2, 0xFFFFFFFF):
        mmio.mmio.set("DeviceFeaturesSel", select)
        words.append(mmio.mmio.get("DeviceFeatures"))
    assert words == [0x30070020, 5, 0, 0]


def test_2_2_2_features_are_refused_as_everywhere(mmio):
    assert negotiate(mmio, 1 << 5) == 3
    assert negotiate(mmio, 1 << 32 | 1 << 63) == 3
    assert mmio.drops == {"VERSION_1 refused": 1, "unoffered features": 1}


def test_addresses_of_64_bits(mmio):
    mmio.mmio.set("QueueSel", 2)
    for number, name in enumerate(("QueueDesc", "QueueDriver", "QueueDevice"), 1):
        mmio.mmio.set(f"{name}High", number)
        mmio.mmio.set(f"{name}Low", 0x1000 * number)
    queue = mmio.kind.queues[2]
    expected = [0x1_00001000, 0x2_00002000, 0x3_00003000]
    assert [queue.descriptors, queue.driver_area, queue.device_area] == expected


def test_4_2_2_2_queue_ready_0_takes_a_queue_out_of_use(mmio, ring):
    queued = started(mmio, ring)
    queued.add()
    mmio.mmio.set("QueueNotify", 0)
    mmio.mmio.set("QueueReady", 0)
    assert mmio.mmio.get("QueueReady") == 0
    before = mmio.slot.dma.accesses
    mmio.run()
    assert mmio.slot.dma.accesses == before  # 4.2.2.1
    queue(mmio)
    mmio.mmio.set("QueueNotify", 0)
    mmio.run()
    assert queued.used_index == 1
    assert mmio.drops == {}


@pytest.mark.parametrize("name", ["QueueNum", "QueueDescLow", "QueueDescHigh", "QueueDriverLow", "QueueDeviceHigh"])
def test_4_2_2_2_a_ready_queue_is_not_changed(mmio, ring, name):
    started(mmio, ring)
    mmio.mmio.set(name, 8)
    assert mmio.drops == {"queue in use": 1}


def test_4_2_2_a_queue_that_is_not_there(mmio):
    mmio.mmio.set("QueueSel", 3)
    assert [mmio.mmio.get("QueueNumMax"), mmio.mmio.get("QueueReady")] == [0, 0]
    for name in ("QueueNum", "QueueReady", "QueueDescLow"):
        mmio.mmio.set(name, 1)
    mmio.mmio.set("QueueReady", 0)
    assert mmio.drops == {"no such queue": 4}


@pytest.mark.parametrize("size", [0, 3, 257, 0x10000])
def test_2_7_a_size_that_cannot_be_is_an_error(mmio, size):
    negotiate(mmio)
    mmio.mmio.set("QueueNum", size)
    assert mmio.mmio.get("Status") == 0x4B


def test_a_queue_ready_of_2_is_no_boolean(mmio):
    mmio.mmio.set("QueueReady", 2)
    assert mmio.mmio.get("QueueReady") == 0
    assert mmio.drops == {"reserved bits": 1}


def test_4_2_2_1_reset_clears_interrupt_status_and_the_line(mmio, ring):
    started(mmio, ring)
    mmio.device.config_changed()
    assert mmio.slot.level
    assert mmio.mmio.get("InterruptStatus") == 2
    mmio.mmio.set("Status", 0)
    assert not mmio.slot.level
    assert mmio.mmio.get("InterruptStatus") == 0


def test_4_2_2_1_generation(mmio, ring):
    started(mmio, ring)
    space = mmio.card.register_space(0)
    mmio.device.config_changed()
    assert mmio.mmio.get("ConfigGeneration") == 0
    assert space.read(0x106, 2) == 1
    assert mmio.mmio.get("ConfigGeneration") == 1


def test_4_2_2_there_is_no_shared_memory(mmio):
    for region in (0, 1, 255):
        mmio.mmio.set("SHMSel", region)
        names = ("SHMLenLow", "SHMLenHigh", "SHMBaseLow", "SHMBaseHigh")
        assert [mmio.mmio.get(name) for name in names] == [0xFFFFFFFF] * 4
    assert mmio.drops == {}


def test_notifications_of_no_queue(mmio, ring):
    started(mmio, ring)
    mmio.mmio.set("QueueNotify", 3)
    mmio.mmio.set("QueueNotify", 0xFFFFFFFF)
    assert mmio.drops == {"no such queue": 2}
