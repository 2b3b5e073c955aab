"""The transmit path against a mocked device (virtio 5.1.6.2)."""

from struct import unpack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether

from motenet.core.errors import DriverError
from motenet.core.units import MS
from motenet.doors import FrameFacts

OFFLOADS = ("CSUM", "HOST_TSO4", "HOST_TSO6", "HOST_ECN", "HOST_UFO", "HOST_USO")


class Card:
    """The device's hands on a transmit queue."""

    def __init__(self, fake, number: int = 1, length: int = 12) -> None:
        self.view, self.hands, self.length = fake.memory.view, fake.hands(number), length
        self.ids: list[int] = []

    def sent(self) -> list[tuple[tuple[int, ...], bytes]]:
        """Header fields and frame of each buffer that is available."""
        found = []
        while (one := self.hands.pop()) is not None:
            self.ids.append(one[0])
            assert not any(write for _, _, write in one[1])
            data = b"".join(bytes(self.view[address : address + length]) for address, length, _ in one[1])
            found.append(
                (unpack("<BBHHHHH"[: 8 if self.length == 12 else 7], data[: self.length]), data[self.length :])
            )
        return found

    def done(self) -> None:
        """Give back what was sent."""
        self.hands.use(*((number, 0) for number in self.ids))
        self.ids.clear()


def give(driver, frame: bytes, facts: FrameFacts | None = None) -> None:
    view = driver.reserve(len(frame))
    view[:] = frame
    driver.commit(facts)
    driver.flush()


def test_5_1_6_2_a_plain_frame_has_an_empty_header_and_one_descriptor(fake):
    driver = fake.start()
    card = Card(fake)
    assert driver.send(bytes(range(100)))
    _, parts = fake.hands(1).pop()
    assert len(parts) == 1
    assert card.sent() == [((0,) * 7, bytes(range(100)))]


def test_802_3_short_frames_are_padded_with_zeros(fake):
    driver = fake.start()
    card = Card(fake)
    assert driver.send(b"\xff" * 1400)
    card.sent()
    card.done()
    driver.poll()
    assert driver.send(b"\xff" * 42)
    assert card.sent() == [((0,) * 7, b"\xff" * 42 + bytes(18))]


def test_5_1_6_2_the_specifications_example_of_a_partial_checksum(fake):
    """14 bytes Ethernet, 20 IP: csum_start 34, csum_offset 16."""
    driver = fake.start()
    frame = bytes(Ether() / IP() / TCP() / bytes(100))
    give(driver, frame, FrameFacts(checksum_start=34, checksum_offset=16))
    ((fields, sent),) = Card(fake).sent()
    flags, gso, header, size, start, offset, buffers = fields
    assert (flags, gso, size, start, offset, buffers, sent) == (1, 0, 0, 34, 16, 0, frame)
    assert 54 <= header <= len(frame), "not less than the headers"


@pytest.mark.parametrize(
    ("kind", "gso", "start", "place", "header", "ecn"),
    [
        ("tcp4", 1, 34, 16, 54, False), ("tcp4", 0x81, 34, 16, 66, True), ("tcp6", 4, 54, 16, 74, False),
        ("ufo", 3, 34, 6, 42, False), ("uso", 5, 34, 6, 42, False),
    ],
)  # fmt: skip
def test_5_1_6_2_1_frames_to_be_cut(make_fake, kind, gso, start, place, header, ecn):
    fake = make_fake("MAC", "VERSION_1", *OFFLOADS)
    driver = fake.start()
    give(driver, bytes(30_000), FrameFacts(start, place, 1400, header, segment_kind=kind, ecn=ecn))
    ((fields, frame),) = Card(fake).sent()
    assert fields == (1, gso, header, 1400, start, place, 0)
    assert len(frame) == 30_000


@pytest.mark.parametrize(
    ("features", "facts", "length"),
    [
        ((), FrameFacts(34, 16), 100),
        (("CSUM",), FrameFacts(34, 16, 1000, 54), 1400),
        (("CSUM", "HOST_TSO4"), FrameFacts(34, 16, 1000, 54, segment_kind="tcp6"), 5000),
        (("CSUM", "HOST_TSO4"), FrameFacts(34, 16, 1000, 54, ecn=True), 5000),
        (("CSUM", "HOST_TSO4"), FrameFacts(34, 0, 1000, 54), 5000),
        (("CSUM", "HOST_TSO4"), FrameFacts(34, 16, 1500, 54), 5000),
        (("CSUM", "HOST_TSO4"), FrameFacts(34, 16, 1000, 30), 5000),
        (("CSUM", "HOST_TSO4"), FrameFacts(34, 16), 5000),
        (("CSUM", "HOST_TSO4"), None, 1515),
        (("CSUM",), FrameFacts(34, 16), 1515),
        (("CSUM", "HOST_TSO4"), None, 1519),
        (("CSUM",), FrameFacts(34, 16), 51),
        (("CSUM",), FrameFacts(3, 16), 100),
    ],
)
def test_5_1_6_2_1_what_was_not_agreed_on_is_refused(make_fake, features, facts, length):
    fake = make_fake("MAC", "VERSION_1", *features)
    driver = fake.start()
    driver.reserve(length)
    with pytest.raises(DriverError):
        driver.commit(facts)
    driver.flush()
    assert Card(fake).sent() == []
    assert driver.send(bytes(60)), "the driver goes on"


def test_5_1_4_2_a_tag_is_no_part_of_the_mtu(fake):
    driver = fake.start()
    tagged = bytes(Ether() / Dot1Q(vlan=5) / bytes(1500))
    assert driver.send(tagged)
    assert Card(fake).sent()[0][1] == tagged


def test_wrong_order_and_length_are_told(fake):
    driver = fake.start()
    with pytest.raises(DriverError, match="reserve"):
        driver.commit()
    for length in (13, 100_000):
        with pytest.raises(DriverError, match=f"{length} bytes"):
            driver.reserve(length)
    driver.stop()
    with pytest.raises(DriverError, match="start"):
        driver.reserve(60)


def test_5_1_6_6_a_header_of_its_own_with_the_legacy_interface(make_fake):
    fake = make_fake("MAC", device_id=0x1000, capabilities={})
    driver = fake.start()
    assert driver.send(b"\x09" * 80)
    _, parts = fake.hands(1).pop()
    assert [length for _, length, _ in parts] == [10, 80]
    assert Card(fake, length=10).sent() == [((0,) * 6, b"\x09" * 80)]


def test_one_notification_for_all_that_is_committed(fake):
    driver = fake.start()
    fake.device.notified.clear()
    for _ in range(5):
        driver.reserve(60)[:] = bytes(60)
        driver.commit()
    card = Card(fake)
    assert (fake.device.notified, card.sent()) == ([], [])
    driver.flush()
    driver.flush()
    assert (fake.device.notified, len(card.sent())) == ([1], 5)


def test_a_full_queue_says_so_asks_for_an_interrupt_and_goes_on(fake):
    driver = fake.start(tx_ring=16)
    woken = []
    driver.wake = lambda: woken.append(1)
    sent = 0
    while driver.send(bytes([sent]) * 60):
        sent += 1
    assert sent == 16
    card = Card(fake)
    assert card.hands.wants_interrupt()
    assert len(card.sent()) == 16
    assert driver.reserve(60) is None
    card.done()
    fake.device.isr = 1
    assert fake.interrupts.handlers[7]()
    assert woken
    driver.poll()
    assert not card.hands.wants_interrupt(), "5.1.6.2.3: there is room again"
    assert driver.send(bytes(60))


def test_memory_that_is_full_is_refused_until_frames_come_back(fake):
    driver = fake.start(tx_memory=131_328 + 64 * 3)
    give(driver, bytes(60_000), FrameFacts(34, 16, 1000, 54))
    give(driver, bytes(60_000), FrameFacts(34, 16, 1000, 54))
    assert driver.reserve(60_000) is None
    card = Card(fake)
    card.sent()
    card.done()
    assert driver.reserve(60_000) is not None


@given(st.lists(st.tuples(st.integers(14, 1500), st.integers(0, 12)), max_size=60), st.randoms(use_true_random=True))
def test_frames_keep_their_bytes_whatever_the_order_in_which_they_come_back(make_fake, plan, random):
    """Memory is never given out twice: what the device still has is unchanged."""
    for extra in ((), ("RING_PACKED",)):
        fake = make_fake("MAC", "VERSION_1", *extra)
        driver = fake.start(tx_ring=8, tx_memory=8192)
        hands, view = fake.hands(1), fake.memory.view
        held: list[tuple[int, int, bytes]] = []
        for number, (length, count) in enumerate(plan):
            frame = bytes([number]) * length
            if driver.send(frame):
                slot, ((address, size, _),) = hands.pop()
                held.append((slot, address + 12, frame.ljust(60, b"\0")))
                assert size == 12 + max(60, length)
            random.shuffle(held)
            for slot, address, expected in held:
                assert bytes(view[address : address + len(expected)]) == expected, slot
            hands.use(*((slot, 0) for slot, _, _ in held[:count]))
            del held[:count]
        hands.use(*((slot, 0) for slot, _, _ in held))
        driver.poll()
        assert driver.transmitter.idle
        assert driver.transmitter.freed == driver.transmitter.written == 0
        assert driver.drops == {}


# --- several queues (5.1.6.5.6)


def pairs(make_fake, count: int = 4):
    fake = make_fake("MAC", "VERSION_1", "MQ", "CTRL_VQ", queues=2 * count + 1)
    fake.device.settings[8] = count
    return fake


V4, V6 = IP(src="10.0.0.1", dst="10.0.0.2"), IPv6(src="fd00::1", dst="fd00::2")


def flow(number: int, network=V4) -> bytes:
    return bytes(
        Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
        / network
        / UDP(sport=1000 + number, dport=53)
        / bytes(30)
    )


@pytest.mark.parametrize("network", [V4, V6], ids=["IPv4", "IPv6"])
def test_5_1_6_5_6_1_only_the_first_queue_is_used_until_the_device_has_agreed(make_fake, network):
    fake = pairs(make_fake)
    driver = fake.start(queue_pairs=3)
    assert [queue.enabled for queue in fake.device.queues] == [1] * 6 + [0, 0, 1]
    for number in range(8):
        assert driver.send(flow(number, network))
    assert len(Card(fake).sent()) == 8
    control = fake.hands(8)
    slot, parts = control.pop()
    assert b"".join(bytes(fake.memory.view[at : at + size]) for at, size, _ in parts[:-1]) == bytes((4, 0, 3, 0))
    fake.memory.view[parts[-1][0]] = 0
    fake.device.notified.clear()
    control.use((slot, 1))
    driver.poll()
    assert fake.device.notified == [2, 4], "their receive buffers are waiting already"
    for number in range(60):
        assert driver.send(flow(number, network))
        assert driver.send(flow(number, network))
    spread = [Card(fake, queue).sent() for queue in (1, 3, 5)]
    assert all(len(frames) >= 10 for frames in spread)
    for frames in spread:
        for _, frame in frames[8 * (frames is spread[0]) :]:
            assert sum(frame == other for _, other in frames) >= 2, "a flow stays where it is"
    assert driver.send(bytes(Ether(src="02:00:00:00:00:01", dst="ff:ff:ff:ff:ff:ff") / ARP()).ljust(60, b"\0"))


def test_5_1_6_5_6_1_a_refusal_leaves_one_pair(make_fake):
    fake = pairs(make_fake)
    driver = fake.start(queue_pairs=3)
    control = fake.hands(8)
    slot, parts = control.pop()
    fake.memory.view[parts[-1][0]] = 1
    control.use((slot, 1))
    driver.poll()
    assert (driver.transmitter.active, driver.drops) == (1, {"command refused": 1})


def test_receive_queues_take_turns(make_fake):
    fake = pairs(make_fake)
    driver = fake.start(queue_pairs=2)
    for queue in (0, 2):
        hands = fake.hands(queue)
        for number in range(3):
            slot, ((address, _, _),) = hands.pop()
            fake.memory.view[address : address + 72] = bytes(12) + bytes([16 * queue + number]) * 60
            hands.use((slot, 72))
    assert driver.poll()
    assert [driver.receive().frame[0] for _ in range(6)] == [0, 32, 1, 33, 2, 34]
    assert driver.receive() is None
    assert all(fake.hands(queue).wants_interrupt() for queue in (0, 2))


# --- a device that does nothing


def test_a_lost_notification_is_repeated_and_a_hung_device_reset(fake):
    driver = fake.start(hang_timeout="1s")
    assert driver.send(bytes(60))
    fake.device.notified.clear()
    fake.clock.now += 11 * MS
    driver.poll()
    assert fake.device.notified == [1]
    fake.clock.now += 500 * MS
    driver.poll()
    assert (fake.device.notified, driver.recoveries) == ([1], 0)
    fake.clock.now += 600 * MS
    driver.poll()
    assert (driver.recoveries, driver.drops) == (1, {"device reset": 1, "tx lost": 1})
    assert driver.send(bytes(60))
    assert len(Card(fake).sent()) == 1
