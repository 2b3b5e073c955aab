"""The legacy interface (virtio 2.2.3, 3.1.2, 4.1.4.10, 4.1.5.1.3.1), alone and beside the modern one."""

import pytest

NO_VECTOR = 0xFFFF


@pytest.fixture
def both(new_bench):
    return new_bench("transitional")


def test_3_1_2_the_whole_sequence_without_features_ok(legacy):
    ring = legacy.legacy_started()
    assert legacy.legacy.get("device_status") == 7
    ring.add()
    legacy.legacy.set("queue_notify", 0)
    legacy.run()
    assert ring.used_index == 1
    assert legacy.slot.level
    assert legacy.legacy.get("isr") == 1
    assert not legacy.slot.level
    assert legacy.drops == {}


def test_3_1_2_the_device_works_before_driver_ok_and_before_features(legacy):
    """iPXE before 2026 fills its receive queue and notifies before it writes features; it never sets ACKNOWLEDGE."""
    for _ in range(2):
        legacy.legacy.set("device_status", 0)
        ring = legacy.legacy_queue()
        legacy.memory[ring.used : ring.used + 4] = bytes(4)
        ring.add()
        legacy.legacy.set("queue_notify", 0)
        legacy.run()
        assert ring.used_index == 1
    assert legacy.drops == {"early notification": 2}
    legacy.legacy.set("driver_features", 0x20)
    legacy.legacy.set("device_status", 6)
    assert legacy.legacy.get("device_status") == 6
    assert legacy.calls[-2:] == ["features 0x20", "started"]
    assert legacy.drops == {"early notification": 2, "status order": 2}


def test_3_1_2_there_is_no_features_ok(legacy):
    legacy.legacy.set("device_status", 0x0B)
    assert legacy.legacy.get("device_status") == 3
    assert legacy.drops == {"reserved bits": 1}


def test_4_1_4_10_no_feature_above_31_is_there(legacy, both):
    for bench in (legacy, both):
        assert bench.legacy.get("device_features") == 0x38070020
        bench.legacy_started(0x38000020)
        assert bench.device.features == 0x38000020
        assert bench.device.legacy


def test_2_2_1_unoffered_and_broken_features_are_told_and_the_others_count(legacy):
    legacy.legacy_started(0x00040021)
    assert legacy.device.features == 0x00040020
    assert legacy.drops == {"unoffered features": 1, "feature dependency": 1}


def test_2_2_features_are_not_negotiated_again_without_a_reset(legacy):
    legacy.legacy_started()
    legacy.legacy.set("driver_features", 0x10020)
    assert legacy.legacy.get("driver_features") == 0x20
    assert legacy.drops == {"late features": 1}


def test_3_1_2_ring_features_that_come_after_the_queue_hold(legacy):
    """Legacy drivers may use the device first, and write features then."""
    legacy.legacy_queue()
    legacy.legacy.set("driver_features", 0x30000020)
    queue = legacy.kind.queues[0]
    assert (queue.event_index, queue.indirect) == (True, True)


def test_2_7_2_one_page_number_places_all_three_parts(legacy):
    legacy.legacy_queue(1, 0x12345)
    queue = legacy.kind.queues[1]
    assert (queue.descriptors, queue.driver_area, queue.device_area) == (0x12345000, 0x12346000, 0x12347000)
    assert (queue.enabled, queue.size, queue.packed) == (True, 256, False)
    legacy.legacy.set("queue_select", 0)
    assert legacy.legacy.get("queue_address") == 0
    legacy.legacy.set("queue_select", 1)
    assert legacy.legacy.get("queue_address") == 0x12345


def test_4_1_5_1_3_1_page_0_takes_a_queue_out_of_use_and_it_starts_over(legacy):
    """Linux's del_vq."""
    ring = legacy.legacy_started()
    ring.add()
    legacy.legacy.set("queue_notify", 0)
    legacy.run()
    legacy.legacy.set("queue_address", 0)
    assert legacy.legacy.get("queue_address") == 0
    legacy.legacy.set("queue_notify", 0)
    assert legacy.drops == {"queue not enabled": 1}
    again = legacy.legacy_queue(0, 0x20)
    again.add()
    legacy.legacy.set("queue_notify", 0)
    legacy.run()
    assert again.used_index == 1


def test_4_1_5_1_3_1_a_queue_in_use_is_not_moved(legacy):
    legacy.legacy_started()
    legacy.legacy.set("queue_address", 0x20)
    assert legacy.legacy.get("queue_address") == 0x10
    assert legacy.drops == {"queue in use": 1}


def test_a_queue_that_is_not_there_has_size_0(legacy):
    legacy.slot.msix = True
    legacy.legacy.set("queue_select", 3)
    assert [legacy.legacy.get(name) for name in ("queue_size", "queue_address", "queue_msix_vector")] == [
        0,
        0,
        NO_VECTOR,
    ]
    legacy.legacy.set("queue_address", 1)
    legacy.legacy.set("queue_msix_vector", 0)
    legacy.legacy.set("queue_notify", 3)
    assert legacy.drops == {"no such queue": 3}


def test_an_error_stops_the_queue_alone(legacy):
    """DEVICE_NEEDS_RESET came with the modern interface."""
    ring = legacy.legacy_started()
    other = legacy.legacy_queue(1, 0x20)
    legacy.device.fail(legacy.kind.queues[0], "descriptor loop", "a test")
    ring.add()
    other.add()
    for index in (0, 1):
        legacy.legacy.set("queue_notify", index)
    legacy.run()
    assert (ring.used_index, other.used_index) == (0, 1)
    assert legacy.legacy.get("device_status") == 7
    assert legacy.legacy.get("isr") == 1


# --- MSI-X and the device's configuration


def test_4_1_4_10_enabling_msix_moves_the_configuration(legacy):
    assert [legacy.bar0.read(0x14 + at, 1) for at in range(8)] == [0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 1, 0]
    legacy.slot.msix = True
    assert [legacy.bar0.read(0x18 + at, 1) for at in range(8)] == [0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 1, 0]
    assert legacy.bar0.read(0x14, 2) == NO_VECTOR
    legacy.slot.msix = False
    assert legacy.bar0.read(0x14, 2) == 0x5452
    assert legacy.drops == {}


def test_4_1_4_10_configuration_with_any_width(legacy):
    assert legacy.bar0.read(0x14, 4) == 0x12005452
    assert legacy.bar0.read(0x18, 2) == 0x5634
    assert legacy.drops == {}


def test_5_1_4_3_a_legacy_driver_may_write_the_address_before_features(legacy):
    """3.1.2: configuration is written before step 4."""
    for at, byte in enumerate(bytes.fromhex("0200000000aa")):
        legacy.bar0.write(0x14 + at, byte, 1)
    assert legacy.bar0.read(0x18, 2) == 0xAA00
    assert legacy.drops == {}


def test_4_1_5_3_messages(legacy):
    ring = legacy.legacy_started()
    legacy.slot.msix = True
    legacy.legacy.set("config_msix_vector", 0)
    legacy.legacy.set("queue_msix_vector", 1)
    ring.add()
    legacy.legacy.set("queue_notify", 0)
    legacy.run()
    legacy.device.config_changed()
    assert legacy.slot.messages == [1, 0]
    assert legacy.legacy.get("isr") == 2


# --- a transitional device has both interfaces


def test_2_2_3_a_reset_changes_over(both):
    both.legacy_started()
    assert both.device.legacy
    assert both.started().size == 16
    assert not both.device.legacy
    both.legacy_started()
    assert both.drops == {}


@pytest.mark.parametrize("first", ["legacy", "modern"])
def test_2_2_3_the_other_interface_is_not_used_without_one(both, first):
    if first == "legacy":
        both.legacy_started()
        both.common.set("driver_feature", 0)
        both.common.set("device_status", 0x0F)
        both.bar4.write(0x3000, 0, 2)
    else:
        both.started()
        both.legacy.set("driver_features", 0)
        both.legacy.set("device_status", 7)
        both.legacy.set("queue_notify", 0)
    before = both.device.status
    assert before == (7 if first == "legacy" else 0x0F)
    assert both.drops == {"interfaces mixed": 3}
    assert both.device.features == (0x20 if first == "legacy" else 1 << 32 | 0x20)


def test_2_2_3_a_queue_is_not_the_other_interfaces_to_set_up_or_take_away(both):
    both.legacy_started()
    for register, value in (("queue_enable", 0), ("queue_msix_vector", 1), ("queue_size", 3), ("queue_desc", 0)):
        both.common.set(register, value)
    queue = both.kind.queues[0]
    assert queue.enabled
    assert not queue.broken
    assert queue.vector == NO_VECTOR
    assert both.drops == {"queue_enable": 1, "interfaces mixed": 5}  # an address is two writes
    both.device.reset()
    both.started()
    both.legacy.set("queue_address", 0)
    assert queue.enabled
    assert both.drops["interfaces mixed"] == 6


def test_2_2_3_reading_and_selecting_over_the_other_is_harmless(both):
    both.started()
    both.legacy.set("queue_select", 1)
    names = ("device_features", "queue_size", "device_status", "isr")
    assert [both.legacy.get(name) for name in names] == [0x38070020, 256, 0x0F, 0]
    assert both.common.get("queue_select") == 0
    assert both.drops == {}


def test_6_3_any_layout_is_offered_over_the_legacy_interface_only(both):
    assert both.legacy.get("device_features") >> 27 & 1
    both.common.set("device_feature_select", 0)
    assert not both.common.get("device_feature") >> 27 & 1
