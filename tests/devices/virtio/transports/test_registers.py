"""Every register of the three transports through the model's spaces: where it is, how wide, what a driver can write.

The tables are transcribed from virtio 1.2's structures, not taken from the datasheet's declarations.
"""

import pytest

RO, RW, WO = "read-only", "read-write", "write-only"
COMMON = [
    # offset, width in bytes, access, after reset, a value and what reads back
    (0x00, 4, RW, 0, 0xFFFFFFFF, 0xFFFFFFFF),  # device_feature_select
    (0x04, 4, RO, 0x30070020, 0, 0x30070020),  # device_feature
    (0x08, 4, RW, 0, 0x80000001, 0x80000001),  # driver_feature_select
    (0x0C, 4, RW, 0, 0xFFFFFFFF, 0xFFFFFFFF),  # driver_feature
    (0x10, 2, RW, 0xFFFF, 3, 3),  # config_msix_vector
    (0x10, 2, RW, 0xFFFF, 4, 0xFFFF),  # … which the table of 4 has not
    (0x12, 2, RO, 3, 0xFFFF, 3),  # num_queues
    (0x14, 1, RW, 0, 0x83, 0x83),  # device_status
    (0x15, 1, RO, 0, 0xFF, 0),  # config_generation
    (0x16, 2, RW, 0, 0xFFFF, 0xFFFF),  # queue_select
    (0x18, 2, RW, 256, 2, 2),  # queue_size
    (0x1A, 2, RW, 0xFFFF, 0, 0),  # queue_msix_vector
    (0x1C, 2, RW, 0, 1, 1),  # queue_enable
    (0x1E, 2, RO, 0, 0xFFFF, 0),  # queue_notify_off
    (0x20, 4, RW, 0, 0xFFFFFFF0, 0xFFFFFFF0),  # queue_desc, low
    (0x24, 4, RW, 0, 0xFFFFFFFF, 0xFFFFFFFF),
    (0x28, 4, RW, 0, 0xFFFFFFFE, 0xFFFFFFFE),  # queue_driver, low
    (0x2C, 4, RW, 0, 0xFFFFFFFF, 0xFFFFFFFF),
    (0x30, 4, RW, 0, 0xFFFFFFFC, 0xFFFFFFFC),  # queue_device, low
    (0x34, 4, RW, 0, 0xFFFFFFFF, 0xFFFFFFFF),
    (0x1000, 1, RO, 0, 0xFF, 0),  # ISR status
]
LEGACY = [
    (0x00, 4, RO, 0x38070020, 0, 0x38070020),  # device features, ANY_LAYOUT with them
    (0x04, 4, RW, 0, 0xFFFFFFFF, 0xFFFFFFFF),  # driver features
    (0x08, 4, RW, 0, 0x00000012, 0x00000012),  # queue address
    (0x0C, 2, RO, 256, 16, 256),  # queue size
    (0x0E, 2, RW, 0, 0xFFFF, 0xFFFF),  # queue select
    (0x10, 2, WO, 0, 0, 0),  # queue notify
    (0x12, 1, RW, 0, 0x87, 0x87),  # device status: no FEATURES_OK here
    (0x13, 1, RO, 0, 0xFF, 0),  # ISR status
]
LEGACY_MSIX = [
    (0x14, 2, RW, 0xFFFF, 1, 1),  # config_msix_vector
    (0x16, 2, RW, 0xFFFF, 2, 2),  # queue_msix_vector
    (0x16, 2, RW, 0xFFFF, 0x7FF, 0xFFFF),
]
MMIO = [
    (0x000, RO, 0x74726976), (0x004, RO, 2), (0x008, RO, 1), (0x00C, RO, 0x1AF4), (0x010, RO, 0x30070020),
    (0x014, WO, 0), (0x020, WO, 0), (0x024, WO, 0), (0x030, WO, 0), (0x034, RO, 256), (0x038, WO, 0), (0x044, RW, 0),
    (0x050, WO, 0), (0x060, RO, 0), (0x064, WO, 0), (0x070, RW, 0), (0x080, WO, 0), (0x084, WO, 0), (0x090, WO, 0),
    (0x094, WO, 0), (0x0A0, WO, 0), (0x0A4, WO, 0), (0x0AC, WO, 0), (0x0B0, RO, 0xFFFFFFFF), (0x0B4, RO, 0xFFFFFFFF),
    (0x0B8, RO, 0xFFFFFFFF), (0x0BC, RO, 0xFFFFFFFF), (0x0FC, RO, 0),
]  # fmt: skip
"""4.2.2, each of 32 bits."""


def check(bench, space, offset, width, access, reset, written, kept):
    assert space.read(offset, width) == (0 if access is WO else reset)
    assert bench.drops == ({"write-only register": 1} if access is WO else {})
    bench.drops.clear()
    space.write(offset, written, width)
    assert bench.drops.get("read-only register", 0) == (access is RO)
    assert "access width" not in bench.drops
    if access is not WO:
        assert space.read(offset, width) == kept


@pytest.mark.parametrize("row", COMMON, ids=lambda row: f"{row[0]:#x}-{row[4]:#x}")
def test_4_1_4_3_common_configuration_and_isr(modern, row):
    check(modern, modern.bar4, *row)


@pytest.mark.parametrize("row", LEGACY, ids=lambda row: f"{row[0]:#x}")
def test_4_1_4_10_legacy_header(legacy, row):
    check(legacy, legacy.bar0, *row)


@pytest.mark.parametrize("row", LEGACY_MSIX, ids=lambda row: f"{row[0]:#x}-{row[4]:#x}")
def test_4_1_4_10_legacy_vectors_with_msix_enabled(legacy, row):
    legacy.slot.msix = True
    check(legacy, legacy.bar0, *row)


@pytest.mark.parametrize("row", MMIO, ids=lambda row: f"{row[0]:#x}")
def test_4_2_2_mmio_registers(mmio, row):
    offset, access, reset = row
    check(mmio, mmio.card.register_space(0), offset, 4, access, reset, 0, reset)


@pytest.mark.parametrize("offset", [0x38, 0x3A, 0x3C, 0xFFC, 0x1001, 0x2008, 0x3002])
def test_4_1_4_what_is_not_there_reads_0_and_is_told(modern, offset):
    """queue_notify_data and queue_reset exist with their features only (4.1.4.3)."""
    assert modern.bar4.read(offset, 1 if offset & 1 else 2) == 0
    modern.bar4.write(offset, 1, 1 if offset & 1 else 2)
    assert sum(modern.drops.values()) == 2


@pytest.mark.parametrize("offset", [0x018, 0x028, 0x03C, 0x054, 0x068, 0x0C0, 0x0F8])
def test_4_2_2_2_what_is_not_described_reads_0_and_is_told(mmio, offset):
    """QueueReset exists with RING_RESET only."""
    space = mmio.card.register_space(0)
    assert space.read(offset, 4) == 0
    space.write(offset, 1, 4)
    assert mmio.drops == {"unknown register": 2}


@pytest.mark.parametrize("transport", ["modern", "legacy"])
def test_4_1_4_5_isr_is_cleared_by_reading(new_bench, transport):
    bench = new_bench(transport)
    space, offset = (bench.bar4, 0x1000) if transport == "modern" else (bench.bar0, 0x13)
    bench.card.interrupts.config_interrupt()
    bench.card.interrupts.queue_interrupt(bench.kind.queues[0])
    assert bench.slot.level
    assert space.read(offset, 1) == 3
    assert not bench.slot.level
    assert space.read(offset, 1) == 0
    assert bench.drops == {}


@pytest.mark.parametrize("transport", ["modern", "legacy"])
def test_4_1_4_5_a_write_that_covers_isr_takes_no_interrupt_back(new_bench, transport):
    bench = new_bench(transport)
    if transport == "modern":
        space, offset, isr, width, value = bench.bar4, 0x1000, 0x1000, 4, 0
    else:
        space, offset, isr, width, value = bench.bar0, 0x12, 0x13, 2, 7  # with device_status in front
    bench.card.interrupts.config_interrupt()
    space.write(offset, value, width)
    assert bench.drops["read-only register"] == 1
    assert bench.slot.level
    assert space.read(isr, 1) == 2


@pytest.mark.parametrize(("acknowledged", "left"), [(1, 2), (2, 1), (3, 0), (0, 3)])
def test_4_2_2_interrupt_ack_clears_what_is_written(mmio, acknowledged, left):
    mmio.card.registers.queue_interrupt(mmio.kind.queues[0])
    mmio.card.registers.config_interrupt()
    assert mmio.mmio.get("InterruptStatus") == 3
    mmio.mmio.set("InterruptACK", acknowledged)
    assert mmio.mmio.get("InterruptStatus") == left
    assert mmio.slot.level == bool(left)
    assert mmio.drops == {}


def test_4_2_2_2_undefined_bits_of_interrupt_ack_are_told(mmio):
    mmio.mmio.set("InterruptACK", 0x80000004)
    assert mmio.drops == {"reserved bits": 1}


# --- widths (4.1.3.1, 4.2.2.2): other accesses are told, and answered by lanes


def test_4_1_3_1_a_wide_read_has_the_fields_it_covers(modern):
    assert modern.bar4.read(0x10, 4) == 3 << 16 | 0xFFFF
    assert modern.bar4.read(0x18, 4) == 0xFFFF << 16 | 256
    assert modern.drops == {"access width": 2}


def test_4_1_3_1_a_narrow_read_has_its_bytes(modern):
    """iPXE before 2026 reads 32-bit registers as 16 bits."""
    modern.common.set("device_feature_select", 0)
    assert [modern.bar4.read(0x04, 2), modern.bar4.read(0x06, 2)] == [0x0020, 0x3007]
    assert [modern.bar4.read(at, 1) for at in range(0x04, 0x08)] == [0x20, 0x00, 0x07, 0x30]
    assert modern.drops == {"access width": 6}


def test_4_1_3_1_a_narrow_write_changes_its_bytes_only(modern):
    modern.common.set("queue_desc", 0x1122334455667788)
    for offset, value in ((0x20, 0xA0), (0x23, 0xA3), (0x26, 0xA6)):
        modern.bar4.write(offset, value, 1)
    assert modern.common.get("queue_desc") == 0x11A63344A36677A0
    assert modern.drops == {"access width": 3}


def test_4_1_3_1_a_wide_write_is_one_to_each_field(modern):
    modern.bar4.write(0x18, 2 << 16 | 128, 4)
    assert (modern.common.get("queue_size"), modern.common.get("queue_msix_vector")) == (128, 2)
    assert modern.drops == {"access width": 1}


def test_4_1_3_1_halves_of_64_bits_are_fields(modern):
    modern.bar4.write(0x2C, 0x12345678, 4)
    assert modern.common.get("queue_driver") == 0x1234567800000000
    modern.bar4.write(0x28, 0x9ABCDEF0, 4)
    assert modern.common.get("queue_driver") == 0x123456789ABCDEF0
    assert modern.drops == {}


@pytest.mark.parametrize(
    ("offset", "width", "told"), [(0, 1, 0), (5, 1, 0), (6, 2, 0), (0, 4, 1), (4, 2, 1), (6, 1, 1)]
)
@pytest.mark.parametrize("transport", ["modern", "mmio"])
def test_4_1_3_1_configuration_fields_want_their_width(new_bench, transport, offset, width, told):
    bench = new_bench(transport)
    space, base = (bench.bar4, 0x2000) if transport == "modern" else (bench.card.register_space(0), 0x100)
    content = bytes.fromhex("5254001234560100")
    assert space.read(base + offset, width) == int.from_bytes(content[offset : offset + width], "little")
    assert bench.drops == ({"access width": 1} if told else {})


@pytest.mark.parametrize("width", [1, 2])
def test_4_2_2_2_mmio_registers_want_32_bits(mmio, width):
    space = mmio.card.register_space(0)
    assert [space.read(at, width) for at in range(0, 4, width)] == ([0x76, 0x69, 0x72, 0x74], [0x6976, 0x7472])[
        width - 1
    ]
    space.write(0x70, 1, width)
    assert mmio.mmio.get("Status") == 1
    assert mmio.drops == {"access width": 4 // width + 1}
