"""Interrupts, configuration changes, the control queue and recovery, against a mocked device (virtio 1.2)."""

import pytest

from motenet.core.errors import ConfigurationError, DriverError
from motenet.drivers import VirtioNetDriver

BASIC = ("MAC", "STATUS", "MRG_RXBUF", "CTRL_VQ", "CTRL_RX", "CTRL_MAC_ADDR", "GUEST_ANNOUNCE", "VERSION_1")
MAC = bytes.fromhex("525400123456")


def answer(fake, driver, ok: bool = True) -> list[bytes]:
    """Answer the commands that there are, one after the other: class, command and data of each."""
    number = len(fake.device.queues) - 1
    if not hasattr(fake, "control"):
        fake.control = fake.hands(number)
    found = []
    while (one := fake.control.pop()) is not None:
        slot, parts = one
        assert [write for _, _, write in parts] == [False] * (len(parts) - 1) + [True]
        found.append(b"".join(bytes(fake.memory.view[at : at + size]) for at, size, _ in parts[:-1]))
        assert parts[-1][1] == 1
        fake.memory.view[parts[-1][0]] = not ok
        fake.control.use((slot, 1))
        driver.poll()
    return found


def receive(fake, frame: bytes) -> None:
    hands = fake.hands(0)
    number, ((address, _, _),) = hands.pop()
    fake.memory.view[address : address + 12 + len(frame)] = bytes(10) + b"\x01\x00" + frame
    hands.use((number, 12 + len(frame)))


# --- MSI-X (4.1.5.1.2)


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (1, [0, 0, 0, 0]), (2, [0, 1, 1, 1]), (3, [0, 1, 1, 1]), (4, [0, 1, 2, 3]), (9, [0, 1, 2, 3]),
    ],
)  # fmt: skip
def test_4_1_5_1_2_one_vector_each_if_there_are_enough(make_fake, messages, expected):
    fake = make_fake(*BASIC, messages=messages)
    fake.start()
    device = fake.device
    assert [device.config_vector, *(queue.vector for queue in device.queues)] == expected
    assert sorted(fake.interrupts.handlers) == [70 + vector for vector in sorted(set(expected))]


def test_4_1_5_1_2_2_a_refused_vector_means_fewer(make_fake):
    fake = make_fake(*BASIC, messages=4)
    fake.device.vectors_refused = lambda vector: 1 < vector < 0xFFFF
    fake.start()
    assert [queue.vector for queue in fake.device.queues] == [1, 1, 1]
    fake = make_fake(*BASIC, messages=4)
    fake.device.vectors_refused = lambda vector: 0 < vector < 0xFFFF
    fake.start()
    assert [fake.device.config_vector, *(queue.vector for queue in fake.device.queues)] == [0] * 4


def test_4_1_5_1_2_2_no_vector_at_all_means_intx(make_fake):
    fake = make_fake(*BASIC, messages=4)
    fake.device.vectors_refused = lambda vector: True
    fake.start()
    assert list(fake.interrupts.handlers) == [7]
    assert not fake.config.content[fake.config.msix_at + 3] & 0x80
    fake = make_fake(*BASIC, messages=4)
    fake.device.vectors_refused = lambda vector: True
    with pytest.raises(DriverError, match=r"4\.1\.5\.1\.2\.2"):
        fake.start(interrupt_kinds=("msi-x",))


def test_4_1_4_5_2_with_msi_x_the_isr_is_not_read(make_fake):
    fake = make_fake(*BASIC, messages=4)
    fake.start()
    for handler in fake.interrupts.handlers.values():
        assert handler()
    assert "ISR" not in [name for _, name, _ in fake.device.log]


# --- INTx (4.1.5.5)


def test_4_1_5_5_an_interrupt_of_somebody_else_is_not_ours(make_fake):
    fake = make_fake(*BASIC)
    driver = fake.start()
    assert not fake.interrupts.handlers[7]()
    assert driver.interrupts_seen == 0


@pytest.mark.parametrize(("isr", "config"), [(1, False), (2, True), (3, True)])
def test_4_1_5_5_the_isr_tells_what_it_is(make_fake, isr, config):
    fake = make_fake(*BASIC)
    driver = fake.start()
    woken = []
    driver.wake = lambda: woken.append(1)
    fake.device.isr = isr
    assert fake.interrupts.handlers[7]()
    assert (driver.config_changed, woken) == (config, [1])


def test_napi_interrupts_stay_off_until_everything_is_read(fake):
    driver = fake.start()
    hands = fake.hands(0)
    assert hands.wants_interrupt()
    receive(fake, bytes(60))
    fake.device.isr = 1
    fake.interrupts.handlers[7]()
    assert not hands.wants_interrupt()
    assert driver.poll()
    assert not hands.wants_interrupt()
    assert driver.receive() is not None
    assert driver.receive() is None
    assert hands.wants_interrupt()


def test_polling_asks_for_no_interrupts_but_sees_the_link(make_fake):
    fake = make_fake(*BASIC)
    driver = fake.start(interrupts=False)
    assert fake.interrupts.handlers == {}
    assert fake.config.content[5] & 4, "INTX_DISABLE"
    fake.device.settings[6] = 0
    fake.device.isr = 2
    driver.poll()
    assert not driver.is_link_up
    receive(fake, bytes(60))
    assert driver.poll()
    assert driver.receive() is not None
    driver.stop()
    assert not fake.config.content[5] & 4


# --- configuration changes (3.2.1)


def change(fake, driver, status: int) -> None:
    fake.device.settings[6] = status
    fake.device.generation += 1
    fake.device.isr = 2
    assert fake.interrupts.handlers[7]()
    driver.poll()


def test_5_1_4_2_the_link_goes_and_comes(make_fake):
    fake = make_fake(*BASIC)
    driver = fake.start()
    assert driver.is_link_up
    change(fake, driver, 0)
    assert not driver.is_link_up
    change(fake, driver, 1)
    assert driver.is_link_up


def test_5_1_6_5_4_1_an_announcement_is_sent_and_acknowledged(make_fake):
    fake = make_fake(*BASIC)
    driver = fake.start()
    answer(fake, driver)
    change(fake, driver, 3)
    _, ((address, length, _),) = fake.hands(1).pop()
    frame = bytes(fake.memory.view[address + 12 : address + length])
    assert (frame[:6], frame[6:12], frame[12:14], len(frame)) == (b"\xff" * 6, MAC, b"\x80\x35", 60)
    assert answer(fake, driver) == [bytes((3, 0))]
    assert driver.announcements == 1


def test_a_configuration_that_cannot_be_read_is_counted(make_fake):
    fake = make_fake(*BASIC)
    driver = fake.start()

    def unsteady() -> None:
        fake.device.generation += 1

    fake.device.changes = [unsteady] * 10_000
    driver.config_changed = True
    driver.poll()
    assert driver.drops == {"configuration": 1}


# --- the control queue (5.1.6.5)


def test_5_1_6_5_commands_after_the_start(make_fake):
    fake = make_fake(*BASIC)
    driver = fake.start()
    assert answer(fake, driver) == [b"\0\0\0", b"\0\1\0", b"\1\0" + bytes(8)]
    driver.set_multicast([b"\x33\x33\0\0\0\1"])
    driver.set_unicast([b"\x02\0\0\0\0\5", b"\x02\0\0\0\0\6"])
    table = b"\2\0\0\0" + b"\x02\0\0\0\0\5\x02\0\0\0\0\6" + b"\1\0\0\0" + b"\x33\x33\0\0\0\1"
    assert answer(fake, driver)[-1] == b"\1\0" + table
    driver.set_promiscuous(True)
    driver.set_all_multicast(True)
    assert [one for one in answer(fake, driver) if one[0] == 0] == [b"\0\0\1", b"\0\1\1"]
    driver.set_mac_address(b"\x02\0\0\0\0\7")
    assert answer(fake, driver) == [b"\1\1\x02\0\0\0\0\7"]
    assert driver.mac_address == b"\x02\0\0\0\0\7"
    assert driver.drops == {}


def test_5_1_6_5_one_command_at_a_time_and_a_newer_one_takes_the_place_of_one_that_waits(make_fake):
    fake = make_fake(*BASIC)
    driver = fake.start()
    for number in range(5):
        driver.set_multicast([bytes((0x33, 0x33, 0, 0, 0, number))])
    assert len(driver.control.waiting) == 3
    assert fake.hands(2).pop()[0] == 0
    assert answer(fake, driver)[-1].endswith(b"\x33\x33\0\0\0\4")
    assert driver.control.waiting == []


@pytest.mark.parametrize("indirect", [(), ("RING_INDIRECT_DESC",)])
def test_5_1_6_6_the_parts_of_a_command_are_descriptors_of_their_own(make_fake, indirect):
    """Class and command; each address table; the answer."""
    fake = make_fake("MAC", "CTRL_VQ", "CTRL_RX", *indirect, device_id=0x1000, capabilities={})
    driver = fake.start()
    control = fake.hands(2)
    shapes = []
    while (one := control.pop()) is not None:
        shapes.append([(size, write) for _, size, write in one[1]])
        fake.memory.view[one[1][-1][0]] = 0
        control.use((one[0], 1))
        driver.poll()
    mode = [(2, False), (1, False), (1, True)]
    assert shapes == [mode, mode, [(2, False), (4, False), (4, False), (1, True)]]


def test_5_1_6_5_3_vlans_are_added_and_deleted(make_fake):
    fake = make_fake("MAC", "CTRL_VQ", "CTRL_VLAN", "VERSION_1")
    driver = fake.start(vlan_filter=True)
    driver.set_vlan_filter([7, 0x123])
    assert answer(fake, driver) == [b"\2\0\7\0", b"\2\0\x23\1"]
    driver.set_vlan_filter([7, 9])
    assert answer(fake, driver) == [b"\2\0\x09\0", b"\2\1\x23\1"]
    with pytest.raises(ConfigurationError, match="4095"):
        driver.set_vlan_filter([4096])


def test_5_1_6_5_8_receive_offloads_are_switched(make_fake):
    fake = make_fake("MAC", "VERSION_1", "CTRL_VQ", "CTRL_GUEST_OFFLOADS", "GUEST_CSUM", "GUEST_TSO4", "GUEST_UFO")
    driver = fake.start()
    driver.set_receive_offloads(True, False)
    driver.set_receive_offloads(False, False)
    driver.set_receive_offloads(True, True)
    assert [int.from_bytes(one[2:], "little") for one in answer(fake, driver)] == [0x2, 0x2 | 0x80 | 0x400]


def test_5_1_6_5_1_2_commands_without_their_feature_are_not_issued(make_fake):
    for names in ((), ("CTRL_VQ",), ("CTRL_VQ", "CTRL_MAC_ADDR")):
        fake = make_fake("MAC", "VERSION_1", *names)
        driver = fake.start()
        driver.set_multicast([b"\x33\x33\0\0\0\1"])
        driver.set_promiscuous(True)
        driver.set_receive_mode("no_broadcast", True)
        driver.set_vlan_filter([5])
        driver.set_receive_offloads(False, False)
        assert driver.statistics["commands"] == 0
        with pytest.raises(DriverError, match=r"5\.1\.6\.5\.2\.2"):
            driver.set_mac_address(b"\x02\0\0\0\0\7")
        with pytest.raises(DriverError, match=r"5\.1\.6\.5\.2\.2"):
            VirtioNetDriver(fake, mac=b"\x02\0\0\0\0\7")


def test_more_addresses_than_fit_mean_promiscuous(make_fake):
    fake = make_fake(*BASIC)
    driver = fake.start()
    answer(fake, driver)
    driver.set_multicast([b"\x33\x33" + number.to_bytes(4, "big") for number in range(5000)])
    assert answer(fake, driver) == [b"\0\0\1"]
    driver.set_multicast([b"\x33\x33\0\0\0\1"])
    assert [one[:3] for one in answer(fake, driver)] == [b"\0\0\0", b"\1\0\0"]
    with pytest.raises(ConfigurationError, match="multicast"):
        driver.set_multicast([b"\x02\0\0\0\0\1"])


def test_a_refused_command_is_counted(make_fake):
    fake = make_fake(*BASIC)
    driver = fake.start()
    assert len(answer(fake, driver, ok=False)) == 3
    assert driver.drops == {"command refused": 3}


# --- recovery (2.1.1)


def test_2_1_1_device_needs_reset_is_a_reset_and_everything_anew(make_fake):
    fake = make_fake(*BASIC, messages=4)
    driver = fake.start(mac=b"\x02\0\0\0\0\7")
    driver.set_multicast([b"\x33\x33\0\0\0\1"])
    before = answer(fake, driver)
    assert driver.send(bytes(60))
    fake.device.status |= 0x40
    assert fake.interrupts.handlers[70]()
    driver.poll()
    assert (fake.device.status, driver.recoveries) == (15, 1)
    assert driver.drops == {"device reset": 1, "tx lost": 1}
    assert [queue.vector for queue in fake.device.queues] == [1, 2, 3]
    del fake.control
    assert sorted(answer(fake, driver)) == sorted(set(before)), "what was asked for is asked for again"
    receive(fake, b"\x05" * 60)
    assert bytes(driver.receive().frame) == b"\x05" * 60


def test_a_broken_queue_is_a_reset(fake):
    driver = fake.start()
    fake.hands(0).use((5, 60), (5, 60))
    assert driver.receive() is not None or driver.drops
    driver.receive()
    driver.poll()
    assert driver.recoveries == 1
    assert driver.drops["device reset"] == 1
    receive(fake, b"\x05" * 60)
    assert bytes(driver.receive().frame) == b"\x05" * 60


def test_a_device_that_is_gone_is_counted_and_never_raises(make_fake):
    fake = make_fake(*BASIC)
    driver = fake.start()
    fake.device.reset_reads = 10**9
    fake.device.status |= 0x40
    driver.config_changed = True
    driver.poll()
    assert driver.drops == {"device reset": 1, "card dead": 1}
    assert not driver.is_link_up
    for _ in range(1000):
        if not driver.send(bytes(60)):
            break
    else:
        raise AssertionError("nobody takes frames, and the queue is never full")
    driver.poll()
    assert driver.receive() is None


def test_recover_and_start_want_the_right_state(make_fake):
    driver = VirtioNetDriver(make_fake(*BASIC))
    assert not driver.poll()
    with pytest.raises(DriverError, match="is down"):
        driver.recover()
    driver.start()
    with pytest.raises(DriverError, match="runs already"):
        driver.start()
    driver.stop()
    driver.stop()
