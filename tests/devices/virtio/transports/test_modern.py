"""The modern PCI interface (virtio 4.1.4, 4.1.5): queues, notifications, vectors, configuration, the window."""

import pytest

NO_VECTOR = 0xFFFF


# --- queues (4.1.4.3, 4.1.5.1.3)


def test_4_1_4_3_1_a_queue_that_is_not_there_has_size_0(modern):
    modern.common.set("queue_select", 3)
    names = ("queue_size", "queue_enable", "queue_notify_off", "queue_desc", "queue_driver", "queue_device")
    assert [modern.common.get(name) for name in names] == [0] * 6
    modern.common.set("queue_size", 16)
    modern.common.set("queue_enable", 1)
    modern.common.set("queue_desc", 0x1000)
    modern.common.set("queue_msix_vector", 1)
    assert modern.common.get("queue_msix_vector") == NO_VECTOR
    assert modern.drops == {"no such queue": 5}


def test_4_1_4_3_queues_have_registers_of_their_own(modern):
    for index in range(3):
        modern.common.set("queue_select", index)
        modern.common.set("queue_size", 8 << index)
        modern.common.set("queue_desc", 0x1000 * (index + 1))
        modern.common.set("queue_msix_vector", index)
    for index in range(3):
        modern.common.set("queue_select", index)
        assert modern.common.get("queue_size") == 8 << index
        assert modern.common.get("queue_desc") == 0x1000 * (index + 1)
        assert modern.common.get("queue_msix_vector") == index
        assert modern.common.get("queue_notify_off") == index
    assert modern.drops == {}


@pytest.mark.parametrize("size", [0, 3, 100, 257, 512, 0xFFFF])
def test_2_7_a_size_that_cannot_be_is_an_error_and_never_shown(modern, size):
    modern.negotiate()
    modern.common.set("queue_size", size)
    assert modern.common.get("queue_size") == 256
    assert modern.common.get("device_status") == 0x4B
    assert list(modern.drops) == ["bad queue size"]


def test_2_8_10_1_packed_queues_need_no_power_of_two(modern):
    modern.negotiate(1 << 5 | 1 << 32 | 1 << 34)
    modern.common.set("queue_size", 100)
    assert modern.common.get("queue_size") == 100
    modern.common.set("queue_size", 0)
    assert modern.common.get("device_status") == 0x4B


@pytest.mark.parametrize(("name", "address"), [("queue_desc", 8), ("queue_driver", 1), ("queue_device", 2)])
def test_2_7_1_a_misaligned_part_is_an_error(modern, name, address):
    modern.negotiate()
    modern.common.set(name, address)
    modern.common.set("queue_enable", 1)
    assert modern.common.get("queue_enable") == 0
    assert modern.common.get("device_status") == 0x4B
    assert modern.drops == {"misaligned ring": 1}


def test_4_1_4_3_2_a_queue_in_use_is_not_changed(modern):
    modern.started()
    for name in ("queue_size", "queue_desc", "queue_driver", "queue_device", "queue_enable"):
        before = modern.common.get(name)
        modern.drops.clear()
        modern.common.set(name, 1)
        assert modern.common.get(name) == before
        assert modern.drops == {"queue in use": 1 if name in ("queue_size", "queue_enable") else 2}  # two halves


@pytest.mark.parametrize(("value", "left"), [(0, 0), (2, 1), (0x100, 1)])
def test_4_1_4_3_2_only_1_may_be_written_to_queue_enable(modern, value, left):
    """U-Boot writes 0 before it frees a queue's memory: then the queue is out of use."""
    ring = modern.started()
    modern.common.set("queue_enable", value)
    assert modern.common.get("queue_enable") == left
    assert modern.drops == {"queue_enable": 1}
    ring.add()
    modern.notify()
    assert ring.used_index == left


def test_3_1_1_a_queue_enabled_before_features_ok_is_told(modern):
    modern.queue()
    assert modern.common.get("queue_enable") == 1
    assert modern.drops == {"queue before FEATURES_OK": 1}


# --- notifications (4.1.4.4, 4.1.5.2)


def test_4_1_5_2_a_notification_is_an_event_and_one_for_many(modern):
    ring = modern.started()
    ring.add()
    before = modern.slot.dma.accesses
    for _ in range(5):
        modern.bar4.write(0x3000, 0, 2)
    assert modern.slot.dma.accesses == before
    assert modern.calls == []
    modern.run()
    assert modern.calls == ["notified 0"]
    assert ring.used_index == 1
    assert modern.drops == {}


def test_4_1_4_4_each_queue_has_its_address(modern):
    modern.negotiate()
    for index in range(3):
        modern.queue(index)
    modern.common.set("device_status", 0x0F)
    modern.run()
    modern.calls.clear()
    for index in (2, 0, 1):
        modern.notify(index)
    assert modern.calls == ["notified 2", "notified 0", "notified 1"]


def test_4_1_5_2_another_number_is_told_and_the_address_counts(modern):
    ring = modern.started()
    ring.add()
    modern.bar4.write(0x3000, 1, 2)
    modern.run()
    assert modern.calls == ["notified 0"]
    assert modern.drops == {"notification value": 1}


@pytest.mark.parametrize("width", [1, 4])
def test_4_1_5_2_another_width_is_told_and_notifies(modern, width):
    modern.started()
    modern.bar4.write(0x3000, 0, width)
    modern.run()
    assert modern.calls == ["notified 0"]
    assert modern.drops == {"access width": 1}


def test_notifications_of_no_queue_and_of_one_not_enabled_are_told(modern):
    modern.started()
    modern.notify(1)
    modern.notify(3)
    modern.notify(1023)
    assert modern.drops == {"queue not enabled": 1, "no such queue": 2}
    assert modern.calls == []


# --- interrupts (4.1.4.5, 4.1.5.3, 4.1.5.4)


def test_4_1_4_5_1_without_msix_the_pin_and_isr_bit_0(modern):
    ring = modern.started()
    ring.add()
    modern.notify()
    assert modern.slot.level
    assert modern.slot.messages == []
    assert modern.bar4.read(0x1000, 1) == 1
    assert not modern.slot.level


def test_4_1_5_3_with_msix_the_queues_vector_and_no_isr_bit(modern):
    ring = modern.started()
    modern.slot.msix = True
    modern.common.set("queue_msix_vector", 2)
    ring.add()
    modern.notify()
    assert modern.slot.messages == [2]
    assert not modern.slot.level
    assert modern.bar4.read(0x1000, 1) == 0


def test_4_1_5_3_1_an_unmapped_queue_sends_nothing(modern):
    ring = modern.started()
    modern.slot.msix = True
    ring.add()
    modern.notify()
    assert ring.used_index == 1
    assert modern.slot.messages == []
    assert not modern.slot.level


def test_4_1_5_4_configuration_changes_have_a_vector_and_isr_bit_1(modern):
    modern.started()
    modern.slot.msix = True
    modern.device.config_changed()
    assert modern.slot.messages == []  # 4.1.5.4.1: NO_VECTOR
    modern.common.set("config_msix_vector", 3)
    modern.device.config_changed()
    assert modern.slot.messages == [3]
    assert modern.bar4.read(0x1000, 1) == 2  # 4.1.4.5.1: set in any case


@pytest.mark.parametrize("name", ["config_msix_vector", "queue_msix_vector"])
def test_4_1_5_1_2_2_vectors_read_back_or_no_vector(modern, name):
    for vector, kept in ((0, 0), (3, 3), (4, NO_VECTOR), (0x7FF, NO_VECTOR), (1, 1), (NO_VECTOR, NO_VECTOR)):
        modern.common.set(name, vector)
        assert modern.common.get(name) == kept
    assert modern.drops == {"no such vector": 2}


def test_4_1_5_1_2_a_card_without_msix_maps_nothing(new_bench):
    bench = new_bench("modern", vectors=0)
    bench.common.set("config_msix_vector", 0)
    assert bench.common.get("config_msix_vector") == NO_VECTOR


def test_the_interrupt_follows_the_dma_that_it_tells_of(modern):
    """Rule (e): used.idx is stored, then the message goes."""
    ring = modern.started()
    modern.slot.msix = True
    modern.common.set("queue_msix_vector", 1)
    seen = []
    modern.slot.send_message = lambda vector: seen.append((vector, ring.used_index)) or True
    ring.add()
    modern.notify()
    assert seen == [(1, 1)]
    assert modern.slot.dma.writes[-1][0] == ring.used + 2


# --- configuration (2.5, 4.1.4.6)


def test_2_5_2_configuration_reads_before_features_ok(modern):
    assert bytes(modern.bar4.read(0x2000 + at, 1) for at in range(6)) == bytes.fromhex("525400123456")
    assert modern.bar4.read(0x2006, 2) == 1


def test_4_1_4_3_1_generation_changes_when_a_changed_field_may_have_been_seen(modern):
    modern.started()
    modern.bar4.read(0x2006, 2)
    assert modern.common.get("config_generation") == 0
    for _ in range(256):  # 8 bits would wrap if each change counted
        modern.device.config_changed()
    assert modern.common.get("config_generation") == 0
    modern.bar4.read(0x2006, 2)
    assert modern.common.get("config_generation") == 1
    modern.bar4.read(0x2006, 2)
    assert modern.common.get("config_generation") == 1


def test_3_2_1_a_change_is_no_interrupt_before_driver_ok(modern):
    modern.negotiate()
    modern.device.config_changed()
    assert not modern.slot.level


def test_5_1_4_3_the_configuration_is_read_only_here(modern):
    modern.bar4.write(0x2000, 0xFF, 1)
    assert modern.bar4.read(0x2000, 1) == 0x52
    assert modern.drops == {"read-only register": 1}


def test_configuration_beyond_its_end_reads_0(modern):
    modern.kind.config_size = 7
    assert modern.bar4.read(0x2006, 2) == 1
    assert modern.bar4.read(0x2FFC, 4) == 0
    modern.bar4.write(0x2008, 1, 2)
    assert modern.drops == {"unknown register": 3}


# --- VIRTIO_PCI_CAP_PCI_CFG (4.1.4.9)


class Window:
    """As iPXE and SeaBIOS use it: bar, length, offset, then data of that width."""

    def __init__(self, bench):
        part = bench.card.config_part
        assert (part.offset, part.size) == (0x88, 16)
        self.registers = part.registers

    def aim(self, offset, length, bar=4):
        self.registers.write(0, bar, 1)
        self.registers.write(8, length, 4)
        self.registers.write(4, offset, 4)

    def read(self, offset, length, bar=4):
        self.aim(offset, length, bar)
        return self.registers.read(12, length if length in (1, 2, 4) else 4)

    def write(self, offset, value, length):
        self.aim(offset, length)
        self.registers.write(12, value, length)


def test_4_1_4_9_1_a_driver_can_do_everything_through_the_window(modern):
    window = Window(modern)
    assert window.read(0x2006, 2) == 1
    window.write(0x14, 1, 1)
    assert window.read(0x14, 1) == 1
    window.write(0x00, 1, 4)
    assert window.read(0x04, 4) == 5
    modern.started()
    window.write(0x3000, 0, 2)
    modern.run()
    assert modern.calls == ["notified 0"]
    assert window.read(0x1000, 1) == 0
    assert modern.drops == {}


def test_4_1_4_9_bar_offset_and_length_read_back_and_the_rest_is_read_only(modern):
    window = Window(modern)
    window.aim(0x2000, 1)
    registers = window.registers
    registers.write(1, 0xFF, 1)
    registers.write(2, 0xFFFF, 2)
    assert [registers.read(at, 4) for at in (0, 4, 8)] == [4, 0x2000, 1]
    registers.write(0, 0xFFFFFFFF, 4)
    assert registers.read(0, 4) == 0xFF


@pytest.mark.parametrize(
    ("offset", "length", "bar"),
    [(0, 1, 0), (0, 1, 1), (0, 1, 6), (0, 0, 4), (0, 3, 4), (0, 8, 4), (1, 2, 4), (2, 4, 4), (0x4000, 1, 4),
     (0xFFFFFFFC, 4, 4)],
)  # fmt: skip
def test_4_1_4_9_2_an_access_that_cannot_be_is_told(modern, offset, length, bar):
    window = Window(modern)
    assert window.read(offset, length, bar) == 0
    window.registers.write(12, 1, 1)
    assert modern.drops == {"configuration window": 2}


def test_4_1_4_9_1_the_data_are_a_window_of_four_bytes(modern):
    """A read of fewer bytes than pci_cfg_data has still executes the access; so does a write to any of them."""
    window = Window(modern)
    window.aim(0x20, 4)
    window.registers.write(14, 0x1234, 2)
    assert modern.common.get("queue_desc") == 0x12340000
    assert window.registers.read(14, 2) == 0x1234


def test_the_window_is_configuration_space_and_only_the_bus_resets_it(modern):
    window = Window(modern)
    window.aim(0x2000, 1)
    modern.common.set("device_status", 0)
    assert window.registers.read(4, 4) == 0x2000
    modern.card.reset()
    assert [window.registers.read(at, 4) for at in (0, 4, 8)] == [0, 0, 0]
