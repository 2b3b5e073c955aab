"""Bringing a device up: status, features, configuration, on three transports (virtio 1.2, chapters 2 to 4)."""

from struct import pack_into

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.errors import ConfigurationError, DriverError
from motenet.core.units import MS
from motenet.drivers import VirtioNetDriver
from motenet.drivers.virtio.transport import choose

BASIC = ("MAC", "STATUS", "MRG_RXBUF", "CTRL_VQ", "CTRL_RX", "VERSION_1")
MAC = bytes.fromhex("525400123456")
BIT = {
    "CSUM": 0, "GUEST_CSUM": 1, "CTRL_GUEST_OFFLOADS": 2, "MTU": 3, "MAC": 5, "GUEST_TSO4": 7, "GUEST_TSO6": 8,
    "GUEST_ECN": 9, "GUEST_UFO": 10, "HOST_TSO4": 11, "HOST_TSO6": 12, "HOST_ECN": 13, "HOST_UFO": 14, "MRG_RXBUF": 15,
    "STATUS": 16, "CTRL_VQ": 17, "CTRL_RX": 18, "CTRL_VLAN": 19, "GUEST_ANNOUNCE": 21, "MQ": 22, "CTRL_MAC_ADDR": 23,
    "HOST_USO": 56,
}  # fmt: skip
"""5.1.3, written down once more."""


def status(fake) -> list[int]:
    return [value for _, value in fake.device.writes("device_status", "Status")]


# --- status (2.1, 3.1.1)


def test_3_1_1_the_steps_are_in_order(make_fake):
    fake = make_fake(*BASIC)
    driver = VirtioNetDriver(fake)
    fake.device.log.clear()
    driver.start()
    assert status(fake) == [0, 1, 3, 11, 15]
    order = [(name, value) for name, value in fake.device.writes() if not name.startswith("notify")]
    live = order.index(("device_status", 15))
    accepted = max(place for place, (name, _) in enumerate(order) if name == "driver_feature")
    assert order.index(("device_status", 3)) < accepted < order.index(("device_status", 11))
    assert [place for place, (name, _) in enumerate(order) if name == "queue_enable" and place > live] == []
    assert [queue.enabled for queue in fake.device.queues] == [1, 1, 1]


def test_3_1_1_the_first_notification_follows_driver_ok_and_is_of_the_receive_buffers(make_fake):
    fake = make_fake(*BASIC)
    fake.start()
    names = [name for kind, name, _ in fake.device.log if kind == "write"]
    first = next(place for place, name in enumerate(names) if name.startswith("notify"))
    assert "device_status" not in names[first:]
    assert fake.device.notified[0] == 0
    assert fake.hands(0).pop() is not None


def test_4_1_4_3_2_addresses_and_size_come_before_queue_enable(make_fake):
    fake = make_fake(*BASIC, limit=100)
    fake.start(tx_ring=60)
    names = [name for name, _ in fake.device.writes()]
    for place, name in enumerate(names):
        if name == "queue_enable":
            before = names[:place][::-1]
            assert before.index("queue_size") < before.index("queue_select")
            assert before.index("queue_device") < before.index("queue_select")
    assert [queue.size for queue in fake.device.queues] == [64, 64, 64], "2.7: powers of two"


def test_2_7_and_2_8_parts_are_aligned(fake):
    fake.start()
    for queue in fake.device.queues:
        descriptors, driver, device = queue.areas
        assert (descriptors % 16, driver % 2, device % 4) == (0, 0, 0)


def test_2_4_2_a_reset_is_waited_for(make_fake):
    fake = make_fake(*BASIC)
    fake.device.reset_reads = 50
    fake.start()
    reads = [name for kind, name, _ in fake.device.log if kind == "read" and name == "device_status"]
    assert len(reads) > 100
    fake.device.reset_reads = 10**9
    with pytest.raises(DriverError, match=r"within 100 ms \(virtio 2.4.2\)"):
        VirtioNetDriver(fake)
    assert fake.now < 300 * MS


def test_3_1_1_a_refusal_of_the_features_is_noticed(make_fake):
    fake = make_fake(*BASIC)
    fake.device.refused = 1 << BIT["MRG_RXBUF"]
    with pytest.raises(DriverError, match=r"refuses the features.*MRG_RXBUF"):
        VirtioNetDriver(fake)
    assert status(fake)[-1] & 0x80, "FAILED"
    assert not any(queue.enabled for queue in fake.device.queues)
    VirtioNetDriver(fake, mergeable=False)


def test_6_2_without_version_1_the_modern_interface_is_no_use(make_fake):
    with pytest.raises(DriverError, match="VERSION_1"):
        VirtioNetDriver(make_fake("MAC"))


def test_a_device_that_changes_its_offer_wants_a_new_driver(make_fake):
    fake = make_fake(*BASIC)
    driver = VirtioNetDriver(fake)
    fake.device.features &= ~(1 << BIT["STATUS"])
    with pytest.raises(DriverError, match="make a new driver"):
        driver.start()
    assert fake.device.status & 0x80
    assert fake.interrupts.handlers == {}


def test_stop_resets_the_device_before_anything_is_given_back(make_fake):
    fake = make_fake(*BASIC)
    driver = fake.start()
    driver.stop()
    assert (fake.device.status, status(fake)[-1]) == (0, 0)
    assert fake.interrupts.handlers == {}
    driver.start()
    assert fake.device.status == 15


# --- features (2.2, 5.1.3.1)


@given(st.lists(st.sampled_from(sorted(BIT)), unique=True))
def test_5_1_3_1_no_feature_without_what_it_requires(names):
    offered = sum(1 << BIT[name] for name in names)
    accepted = choose(offered, (1 << 64) - 1)
    assert not accepted & ~offered
    has = {name: bool(accepted >> bit & 1) for name, bit in BIT.items()}
    for name in ("GUEST_TSO4", "GUEST_TSO6", "GUEST_UFO"):
        assert not has[name] or has["GUEST_CSUM"]
    for name in ("HOST_TSO4", "HOST_TSO6", "HOST_UFO", "HOST_USO"):
        assert not has[name] or has["CSUM"]
    assert not has["GUEST_ECN"] or has["GUEST_TSO4"] or has["GUEST_TSO6"]
    assert not has["HOST_ECN"] or has["HOST_TSO4"] or has["HOST_TSO6"]
    for name in ("CTRL_RX", "CTRL_VLAN", "GUEST_ANNOUNCE", "MQ", "CTRL_MAC_ADDR", "CTRL_GUEST_OFFLOADS"):
        assert not has[name] or has["CTRL_VQ"]
    if {"CSUM", "HOST_TSO4", "HOST_ECN"} <= set(names):
        assert has["HOST_ECN"], "nothing is refused that could be had"


@pytest.mark.parametrize(
    ("options", "without"),
    [
        ({"checksum_offload": False, "segmentation_offload": False}, ("CSUM", "GUEST_CSUM", "HOST_TSO4", "GUEST_TSO4")),
        ({"segmentation_offload": False}, ("HOST_TSO4",)),
        ({"large_receive": False}, ("GUEST_TSO4",)),
        ({"mergeable": False}, ("MRG_RXBUF",)),
        ({"queue_pairs": 1}, ("MQ",)),
        ({"vlan_filter": False}, ("CTRL_VLAN",)),
    ],
)
def test_what_is_switched_off_is_not_accepted(make_fake, options, without):
    names = (*BASIC, "CSUM", "GUEST_CSUM", "HOST_TSO4", "GUEST_TSO4", "MQ", "CTRL_VLAN")
    fake = make_fake(*names, queues=9)
    pack_into("<H", fake.device.settings, 8, 4)
    VirtioNetDriver(fake, **options)
    accepted = [value for name, value in fake.device.writes("driver_feature")]
    for name in without:
        assert not (accepted[0] | accepted[1] << 32) >> BIT[name] & 1


@pytest.mark.parametrize(("name", "families"), [("HOST_TSO4", (True, False)), ("HOST_TSO6", (False, True))])
def test_5_1_3_each_family_is_cut_if_the_device_says_so(make_fake, name, families):
    fake = make_fake(*BASIC, "CSUM", name)
    capabilities = VirtioNetDriver(fake).capabilities
    assert (capabilities.max_segmented > 0, capabilities.max_segmented_ipv6 > 0) == families
    off = VirtioNetDriver(make_fake(*BASIC, "CSUM", name), segmentation_offload=False).capabilities
    assert (off.max_segmented, off.max_segmented_ipv6) == (0, 0)


def test_packed_queues_are_taken_declined_or_insisted_on(make_fake):
    assert VirtioNetDriver(make_fake(*BASIC, "RING_PACKED")).has("RING_PACKED")
    assert not VirtioNetDriver(make_fake(*BASIC, "RING_PACKED"), packed=False).has("RING_PACKED")
    with pytest.raises(DriverError, match="no packed"):
        VirtioNetDriver(make_fake(*BASIC), packed=True)


# --- configuration (2.5, 5.1.4)


def test_2_5_1_configuration_is_read_within_one_generation(make_fake):
    """A device that changes its address while it is read: the driver has the new one, not a mixture."""
    fake = make_fake(*BASIC)
    new = bytes.fromhex("020000aabbcc")

    def change() -> None:
        fake.device.settings[:6] = new
        fake.device.generation += 1

    fake.device.changes = [lambda: None, lambda: None, change]
    assert VirtioNetDriver(fake).mac_address == new


def test_2_5_1_a_configuration_that_never_stands_still_is_an_error(make_fake):
    fake = make_fake(*BASIC)

    def change() -> None:
        fake.device.generation += 1

    fake.device.changes = [change] * 100_000
    with pytest.raises(DriverError, match=r"2\.5\.1"):
        VirtioNetDriver(fake)


def test_2_5_4_the_legacy_interface_is_read_until_two_readings_agree(make_fake):
    fake = make_fake("MAC", "STATUS", device_id=0x1000, capabilities={})
    new = bytes.fromhex("020000aabbcc")
    fake.device.changes = [lambda: None] * 3 + [lambda: fake.device.settings.__setitem__(slice(0, 6), new)]
    assert VirtioNetDriver(fake).mac_address == new


def test_5_1_4_2_without_a_feature_its_field_is_not_read(make_fake):
    fake = make_fake("VERSION_1")
    driver = fake.start()
    assert ("read", "config") not in [(kind, name) for kind, name, _ in fake.device.log]
    assert (driver.is_link_up, driver.mtu, len(driver.mac_address)) == (True, 1500, 6)
    assert driver.mac_address[0] & 3 == 2, "locally administered, no group"


@pytest.mark.parametrize(
    ("speed", "duplex", "expected"),
    [
        (2500, 1, (2500, True)),
        (10, 0, (10, False)),
        (0x7FFFFFFF, 2, (0x7FFFFFFF, None)),
        (0x80000000, 0xFF, (0, None)),
        (0xFFFFFFFF, 1, (0, True)),
    ],
)
def test_5_1_4_2_speed_and_duplex(make_fake, speed, duplex, expected):
    fake = make_fake(*BASIC, "SPEED_DUPLEX")
    pack_into("<IB", fake.device.settings, 12, speed, duplex)
    driver = fake.start()
    assert (driver.speed, driver.full_duplex) == expected


def test_5_1_4_2_the_devices_mtu_is_the_limit(make_fake):
    fake = make_fake(*BASIC, "MTU")
    pack_into("<H", fake.device.settings, 10, 9000)
    assert VirtioNetDriver(fake).capabilities.mtu == 9000
    assert VirtioNetDriver(fake, mtu=4000).capabilities.mtu == 4000
    with pytest.raises(ConfigurationError, match="68 to 9000"):
        VirtioNetDriver(fake, mtu=9001)


@pytest.mark.parametrize("limit", [1, 2, 4])
def test_5_1_6_3_1_a_short_queue_has_larger_buffers(make_fake, limit):
    fake = make_fake(*BASIC, "GUEST_CSUM", "GUEST_TSO4", "RING_INDIRECT_DESC", limit=limit)
    driver = fake.start()
    assert driver.receivers[0].count == limit
    assert driver.receivers[0].size * limit >= 65562


@pytest.mark.parametrize(
    "options",
    [
        {"queue_pairs": 0}, {"mtu": 67}, {"mac": b"\x01\x00\x00\x00\x00\x00"}, {"mac": b"\x02"}, {"rx_ring": 0},
        {"tx_ring": 32769}, {"rx_buffer": 100}, {"rx_buffer": 64, "rx_ring": 4}, {"tx_memory": 1024}, {"mode": "old"},
        {"segmentation_offload": True, "checksum_offload": False},
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make_fake, options):
    with pytest.raises(ConfigurationError):
        VirtioNetDriver(make_fake(*BASIC), **options)


# --- PCI (4.1)


def capability(kind: int, bar: int, offset: int, length: int, size: int = 16) -> bytes:
    tail = offset.to_bytes(4, "little") + length.to_bytes(4, "little") + (4).to_bytes(4, "little")
    return (bytes((9, 0, size, kind, bar, 0, 0, 0)) + tail)[:size]


@pytest.mark.parametrize(
    "extra",
    [
        capability(1, 6, 0, 0x1000),  # reserved BAR
        capability(77, 4, 0, 0x1000),  # reserved type
        capability(1, 2, 0, 0x1000),  # a BAR that is not there
        capability(1, 4, 0x3FF0, 0x1000),  # beyond the BAR
        capability(1, 4, 0, 0x10),  # too short
        capability(2, 4, 0x3000, 0x1000, 16),  # no multiplier
    ],
)
def test_4_1_4_1_unusable_capabilities_are_passed_over(make_fake, extra):
    make_fake(*BASIC, extra=(extra,)).start()


def test_4_1_4_1_the_first_usable_one_counts_and_lengths_may_be_larger(make_fake):
    longer = {1: (4, 0, 0x1000), 2: (4, 0x3000, 0x1000), 3: (4, 0x1000, 0x1000), 4: (4, 0x2000, 0x1000)}
    make_fake(*BASIC, capabilities=longer, extra=(capability(1, 4, 0, 0x3F00),)).start()


def test_4_1_4_9_2_pci_cfg_data_is_never_touched(make_fake):
    window = capability(5, 0, 0, 0, 20)
    fake = make_fake(*BASIC, extra=(window,))
    fake.start()
    assert not {at for at in fake.config.reads if 0x40 + 16 <= at < 0x40 + 20}


def test_4_1_4_a_missing_structure_is_named(make_fake):
    with pytest.raises(DriverError, match="device configuration"):
        VirtioNetDriver(make_fake(*BASIC, capabilities={1: (4, 0, 4096), 2: (4, 0x3000, 4096), 3: (4, 0x1000, 4096)}))


def test_4_1_5_2_each_queue_is_notified_where_it_wants(make_fake):
    fake = make_fake(*BASIC)
    driver = fake.start()
    assert driver.send(bytes(60))
    assert ("write", "notify[0x4]", 1) in fake.device.log


def test_4_1_5_2_1_notif_config_data_replaces_the_queues_number(make_fake):
    fake = make_fake(*BASIC, "NOTIF_CONFIG_DATA")
    fake.start().send(bytes(60))
    assert fake.device.notified[0] == 0x100
    assert fake.device.notified[-1] == 0x101


def test_another_card_is_refused(make_fake):
    with pytest.raises(DriverError, match="1af4:1042"):
        VirtioNetDriver(make_fake(device_id=0x1042))
    with pytest.raises(DriverError, match="no transitional"):
        VirtioNetDriver(make_fake(), mode="legacy")


# --- the legacy interface (3.1.2, 4.1.4.10)


@pytest.mark.parametrize("options", [{"capabilities": {}}, {}])
def test_3_1_2_the_legacy_steps_are_without_features_ok(make_fake, options):
    fake = make_fake("MAC", "STATUS", "ANY_LAYOUT", device_id=0x1000, queues=2, **options)
    fake.start(mode="legacy")
    assert status(fake)[-4:] == [0, 1, 3, 7]
    assert [queue.areas[0] % 4096 for queue in fake.device.queues] == [0, 0]


def test_4_1_5_1_1_1_capabilities_decide_unless_told_otherwise(make_fake):
    assert not VirtioNetDriver(make_fake(*BASIC, device_id=0x1000)).transport.legacy
    assert VirtioNetDriver(make_fake("MAC", device_id=0x1000, capabilities={})).transport.legacy
    with pytest.raises(DriverError, match="no usable capability"):
        VirtioNetDriver(make_fake("MAC", device_id=0x1000, capabilities={}), mode="modern")


@pytest.mark.parametrize("messages", [0, 3])
def test_4_1_4_10_msi_x_moves_the_configuration(make_fake, messages):
    fake = make_fake("MAC", "STATUS", "MRG_RXBUF", device_id=0x1000, capabilities={}, messages=messages)
    driver = fake.start()
    assert driver.is_link_up
    fake.device.settings[6] = 0
    driver.config_changed = True
    driver.poll()
    assert not driver.is_link_up
    assert fake.device.config_vector == (0 if messages else 0xFFFF)


def test_5_1_6_5_2_3_the_legacy_address_is_written_first_byte_to_last(make_fake):
    fake = make_fake("MAC", "STATUS", device_id=0x1000, capabilities={})
    mac = bytes.fromhex("02000000aa01")
    driver = fake.start(mac=mac)
    assert (bytes(fake.device.settings[:6]), driver.mac_address) == (mac, mac)


# --- MMIO (4.2)


def test_4_2_3_1_1_the_steps_over_mmio(make_platform):
    platform = make_platform(*BASIC)
    platform.start()
    reads = [name for kind, name, _ in platform.device.log if kind == "read"]
    assert reads[:3] == ["MagicValue", "Version", "DeviceID"]
    assert status(platform)[-5:] == [0, 1, 3, 11, 15]
    assert [queue.enabled for queue in platform.device.queues] == [1, 1, 1]


@pytest.mark.parametrize("wrong", [{"MagicValue": 0x74726977}, {"Version": 1}, {"DeviceID": 0}, {"DeviceID": 2}])
def test_4_2_2_2_what_is_no_network_device_of_version_2_is_left_alone(make_platform, wrong):
    platform = make_platform(*BASIC)
    window = platform.bar(0)
    window.identity = {**window.identity, **wrong}
    with pytest.raises(DriverError):
        VirtioNetDriver(platform)
    assert platform.device.writes() == []


def test_4_2_3_4_1_an_mmio_interrupt_is_read_and_acknowledged(make_platform):
    platform = make_platform(*BASIC)
    driver = platform.start()
    platform.device.isr = 0xFF
    platform.device.log.clear()
    assert platform.interrupts.handlers[7]()
    assert platform.device.writes("InterruptACK") == [("InterruptACK", 3)], "no undefined bits"
    assert driver.config_changed
    platform.device.isr = 0
    assert not platform.interrupts.handlers[7]()
