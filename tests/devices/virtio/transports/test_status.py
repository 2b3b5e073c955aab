"""Device status, features, reset (virtio 2.1, 2.2, 2.4, 3.1.1), through the modern interface."""

import pytest

MAC, CTRL_RX, VERSION_1 = 1 << 5, 1 << 18, 1 << 32
ACK, DRIVER, DRIVER_OK, FEATURES_OK, NEEDS_RESET, FAILED = 1, 2, 4, 8, 0x40, 0x80


def features(bench, select):
    bench.common.set("device_feature_select", select)
    return bench.common.get("device_feature")


def test_2_1_starts_at_0_and_keeps_what_the_driver_sets(modern):
    assert modern.common.get("device_status") == 0
    for status in (ACK, ACK | DRIVER, ACK | DRIVER | FAILED):
        modern.common.set("device_status", status)
        assert modern.common.get("device_status") == status
    assert modern.drops == {}


def test_3_1_1_the_whole_sequence_is_no_event_and_tells_the_device_type(modern):
    assert modern.negotiate() == ACK | DRIVER | FEATURES_OK
    modern.common.set("device_status", 0x0F)
    assert modern.common.get("device_status") == 0x0F
    assert modern.calls == ["reset", f"features {MAC | VERSION_1:#x}", "started"]
    assert modern.drops == {}


def test_2_2_offered_words_and_none_beyond_bit_63(modern):
    assert features(modern, 0) == 0x30070020  # EVENT_IDX, INDIRECT_DESC, CTRL_RX, CTRL_VQ, STATUS, MAC
    assert features(modern, 1) == 0x00000005  # RING_PACKED, VERSION_1
    assert [features(modern, select) for select in (2, 3, 0xFFFFFFFF)] == [0, 0, 0]


@pytest.mark.parametrize(("option", "word", "bit"), [("packed", 1, 2), ("event_index", 0, 29), ("indirect", 0, 28)])
def test_2_2_ring_features_can_be_left_out(new_bench, option, word, bit):
    assert not features(new_bench("modern", **{option: False}), word) >> bit & 1
    assert features(new_bench("modern"), word) >> bit & 1


def test_2_2_1_unoffered_features_are_not_accepted(modern):
    assert modern.negotiate(MAC | VERSION_1 | 1 << 15) == ACK | DRIVER
    assert modern.drops == {"unoffered features": 1}
    assert "features" not in " ".join(modern.calls)


def test_2_2_2_a_feature_without_what_it_needs_is_not_accepted(modern):
    assert modern.negotiate(CTRL_RX | VERSION_1) == ACK | DRIVER
    assert modern.drops == {"feature dependency": 1}


def test_6_1_without_version_1_the_modern_interface_does_not_start(modern):
    assert modern.negotiate(MAC) == ACK | DRIVER
    assert modern.drops == {"VERSION_1 refused": 1}


def test_2_2_2_after_a_refusal_a_valid_subset_is_accepted(modern):
    modern.negotiate(MAC | VERSION_1 | 1 << 63)
    assert modern.negotiate(MAC | VERSION_1) == ACK | DRIVER | FEATURES_OK
    assert modern.negotiate(MAC | VERSION_1) == ACK | DRIVER | FEATURES_OK


def test_3_1_1_driver_ok_without_features_ok_is_refused(modern):
    modern.negotiate(MAC)
    modern.common.set("device_status", 0x0F)
    assert modern.common.get("device_status") == ACK | DRIVER
    assert modern.drops == {"VERSION_1 refused": 2, "DRIVER_OK refused": 1}
    assert "started" not in modern.calls


def test_3_1_1_no_new_features_after_features_ok(modern):
    modern.negotiate()
    modern.common.set("driver_feature_select", 0)
    modern.common.set("driver_feature", MAC | 1 << 16)
    assert modern.common.get("driver_feature") == MAC
    assert modern.device.features == MAC | VERSION_1
    assert modern.drops == {"late features": 1}
    modern.common.set("driver_feature", MAC)
    assert modern.drops == {"late features": 1}


def test_4_1_4_3_1_driver_feature_reads_back(modern):
    for select, value in ((0, 0x00010020), (1, 0x00000001)):
        modern.common.set("driver_feature_select", select)
        modern.common.set("driver_feature", value)
    for select, value in ((1, 1), (0, 0x00010020), (2, 0)):
        modern.common.set("driver_feature_select", select)
        assert modern.common.get("driver_feature") == value


def test_2_2_1_features_beyond_bit_63_are_told_and_zeros_are_not(modern):
    """Linux 6.17 writes words 2 and 3 too, as zeros."""
    modern.common.set("driver_feature_select", 2)
    modern.common.set("driver_feature", 0)
    assert modern.drops == {}
    modern.common.set("driver_feature", 1)
    assert modern.drops == {"unoffered features": 1}


@pytest.mark.parametrize(
    ("steps", "events"),
    [((DRIVER,), 1), ((ACK, FEATURES_OK | ACK), 1), ((FEATURES_OK,), 1), ((ACK | DRIVER,), 0), ((0x0F,), 0)],
)
def test_3_1_1_steps_out_of_order_are_events_and_taken_all_the_same(modern, steps, events):
    """iPXE sets FEATURES_OK alone when it opens its card again."""
    modern.common.set("driver_feature_select", 1)
    modern.common.set("driver_feature", 1)
    for status in steps:
        modern.common.set("device_status", status)
    assert modern.common.get("device_status") == steps[-1]
    assert modern.drops == ({"status order": events} if events else {})


def test_2_1_1_a_bit_cannot_be_cleared(modern):
    modern.common.set("device_status", ACK | DRIVER)
    modern.common.set("device_status", ACK)
    assert modern.common.get("device_status") == ACK | DRIVER
    assert modern.drops == {"status bit cleared": 1}


def test_2_1_reserved_bits_are_told_and_needs_reset_is_the_devices(modern):
    modern.common.set("device_status", ACK)
    modern.common.set("device_status", ACK | 0x30)
    assert modern.common.get("device_status") == ACK
    assert modern.drops == {"reserved bits": 1}
    modern.common.set("device_status", ACK | NEEDS_RESET)
    assert modern.common.get("device_status") == ACK


@pytest.mark.parametrize("value", [0x10, 0x20, 0x30, NEEDS_RESET])
def test_4_1_4_3_1_only_zero_resets(modern, value):
    modern.started()
    modern.common.set("device_status", value)
    assert modern.common.get("device_status") == 0x0F


def test_2_4_1_reset_reads_0_and_everything_is_forgotten(modern):
    modern.started()
    modern.common.set("config_msix_vector", 1)
    modern.common.set("queue_msix_vector", 2)
    modern.device.config_changed()
    modern.common.set("device_feature_select", 1)
    assert modern.slot.level
    modern.common.set("device_status", 0)
    assert modern.common.get("device_status") == 0
    assert not modern.slot.level
    assert modern.bar4.read(0x1000, 1) == 0
    assert modern.common.get("config_msix_vector") == 0xFFFF
    names = ("device_feature_select", "driver_feature_select", "driver_feature", "queue_select", "queue_enable",
             "queue_desc", "queue_driver", "queue_device")  # fmt: skip
    assert [modern.common.get(name) for name in names] == [0] * 8
    assert modern.common.get("queue_size") == 256
    assert modern.common.get("queue_msix_vector") == 0xFFFF
    assert modern.calls == ["reset"]


def test_2_4_1_what_was_notified_before_a_reset_is_not_served(modern):
    ring = modern.started()
    ring.add()
    modern.bar4.write(0x3000, 0, 2)
    modern.common.set("device_status", 0)
    before = modern.slot.dma.accesses
    modern.run()
    assert modern.slot.dma.accesses == before
    assert modern.calls == ["reset"]


def test_2_1_2_an_error_sets_needs_reset_and_a_configuration_interrupt(modern):
    modern.started()
    modern.device.fail(modern.kind.queues[0], "descriptor loop", "a test")
    assert modern.common.get("device_status") == 0x0F | NEEDS_RESET
    assert modern.slot.level
    assert modern.bar4.read(0x1000, 1) == 2
    assert modern.drops == {"descriptor loop": 1}
    modern.notify()
    assert modern.calls == []
    modern.common.set("device_status", 0x4F)  # Linux writes back what it has read
    assert modern.drops == {"descriptor loop": 1, "needs reset": 1}
    modern.device.fail(modern.kind.queues[1], "descriptor loop", "another")
    assert not modern.slot.level
    assert modern.started().size == 16


def test_2_1_2_an_error_before_driver_ok_is_told_when_that_is_set(modern):
    modern.negotiate()
    modern.device.fail(None, "a reason", "a test")
    assert modern.common.get("device_status") == 0x4B
    assert not modern.slot.level
    modern.common.set("device_status", 0x0F)
    assert modern.common.get("device_status") == 0x4F
    assert modern.bar4.read(0x1000, 1) == 2


def test_2_1_2_nothing_is_consumed_before_driver_ok(modern):
    modern.negotiate()
    ring = modern.queue()
    ring.add()
    modern.notify()
    assert modern.slot.dma.accesses == 0
    assert modern.drops == {"early notification": 1}
    modern.common.set("device_status", 0x0F)
    modern.run()
    assert ring.used_index == 1


def test_bus_master_off_nothing_is_read_and_on_again_what_waits_is_served(modern):
    ring = modern.started()
    modern.card.bus_master_changed(False)
    ring.add()
    before = modern.slot.dma.accesses
    modern.notify()
    assert modern.slot.dma.accesses == before
    assert modern.drops == {"bus master off": 1}
    modern.card.bus_master_changed(True)
    modern.run()
    assert ring.used_index == 1
