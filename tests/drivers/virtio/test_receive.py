"""The receive path against a mocked device (virtio 5.1.6.3, 5.1.6.4)."""

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

from motenet.drivers.virtio.receive import header_is_good

NEEDS_CSUM, DATA_VALID, RSC_INFO = 1, 2, 4


def header(flags: int = 0, gso: int = 0, start: int = 0, offset: int = 0, buffers: int = 1) -> bytes:
    return pack("<BBHHHHH", flags, gso, 0, 0, start, offset, buffers)


class Card:
    """The device's hands on receiveq1."""

    def __init__(self, fake, length: int = 12) -> None:
        self.view, self.hands, self.length = fake.memory.view, fake.hands(0), length

    def receive(self, frame: bytes, head: bytes | None = None) -> None:
        """Fill as many buffers as it takes, and use them together."""
        data = (header() if head is None else head)[: self.length] + frame
        used = []
        while data:
            number, parts = self.hands.pop()
            written = 0
            for address, length, _ in parts:
                self.view[address : address + len(data[:length])] = data[:length]
                written += len(data[:length])
                data = data[length:]
            used.append((number, written))
        self.hands.use(*used)

    def merged(self, frame: bytes, size: int, **fields: int) -> None:
        self.receive(frame, header(buffers=-(-(12 + len(frame)) // size), **fields))


def take(driver) -> list[bytes]:
    found = []
    while (received := driver.receive()) is not None:
        found.append(bytes(received.frame))
    return found


def segment(number: int, size: int = 1000, **fields) -> bytes:
    ip = IP(src="10.0.0.1", dst="10.0.0.2")
    return bytes(Ether() / ip / TCP(sport=80, seq=1 + number * size, flags="A", **fields) / (bytes([number]) * size))


def test_5_1_6_4_a_frame_follows_its_header_and_is_read_in_place(fake):
    driver = fake.start()
    Card(fake).receive(b"\x02" * 60)
    received = driver.receive()
    assert bytes(received.frame) == b"\x02" * 60
    assert not received.checksum_ok
    fake.memory.view[driver.receivers[0].buffers.address + 12] = 0x77
    assert received.frame[0] == 0x77, "no copy"
    assert driver.receive() is None


def test_5_1_6_3_1_buffers_take_the_largest_packet(make_fake):
    for names, least in (((), 1526), (("GUEST_CSUM", "GUEST_TSO4"), 65562), (("GUEST_CSUM", "GUEST_UFO"), 65562)):
        fake = make_fake("MAC", "VERSION_1", *names)
        fake.start()
        assert sum(length for _, length, _ in fake.hands(0).pop()[1]) >= least


def test_5_1_6_1_the_legacy_header_is_two_bytes_shorter(make_fake):
    fake = make_fake("MAC", "ANY_LAYOUT", device_id=0x1000, capabilities={})
    driver = fake.start()
    Card(fake, 10).receive(b"\x05" * 60)
    assert take(driver) == [b"\x05" * 60]
    fake = make_fake("MAC", "ANY_LAYOUT", "MRG_RXBUF", device_id=0x1000, capabilities={})
    driver = fake.start()
    Card(fake, 12).receive(b"\x05" * 60)
    assert take(driver) == [b"\x05" * 60]


def test_5_1_6_6_without_any_layout_the_header_has_a_buffer_of_its_own(make_fake):
    fake = make_fake("MAC", device_id=0x1000, capabilities={})
    driver = fake.start()
    card = Card(fake, 10)
    card.receive(b"\x06" * 60)
    assert take(driver) == [b"\x06" * 60]
    assert next(length for _, length, _ in fake.hands(0).chain(0)) == 10


def test_5_1_6_4_a_merged_frame_is_one_piece_where_its_buffers_lie(fake):
    """Only the first buffer begins with a header; nothing is copied but what goes round the end."""
    driver = fake.start(rx_ring=64, rx_buffer=1024, large_receive=False)
    card = Card(fake)
    frames = [bytes([number]) * 5000 for number in range(40)]
    got = []
    for frame in frames:
        card.merged(frame, 1024)
        got += take(driver)
    assert got == frames
    (receiver,) = driver.receivers
    assert receiver.copied == 3, "200 buffers are three times round, and no end lies between two frames"


def test_a_merged_frame_out_of_order_is_copied_together(fake):
    driver = fake.start(rx_ring=64, rx_buffer=256, large_receive=False)
    card = Card(fake)
    view, hands = card.view, card.hands
    popped = [hands.pop() for _ in range(3)]
    data = header(buffers=3) + bytes(range(250)) * 3
    order = [popped[2], popped[0], popped[1]]
    for place, (_, ((address, length, _),)) in enumerate(order):
        piece = data[place * 256 : place * 256 + length]
        view[address : address + len(piece)] = piece
    hands.use(*((number, min(256, len(data) - 256 * place)) for place, (number, _) in enumerate(order)))
    assert take(driver) == [bytes(range(250)) * 3]
    assert driver.receivers[0].copied == 1


@pytest.mark.parametrize("buffers", [0, 65, 0xFFFF])
def test_num_buffers_out_of_range_is_dropped_with_a_reason(fake, buffers):
    driver = fake.start(rx_ring=64, rx_buffer=2048)
    card = Card(fake)
    card.receive(bytes(60), header(buffers=buffers))
    card.receive(b"\x01" * 60)
    assert take(driver) == [b"\x01" * 60]
    assert driver.drops == {"num_buffers": 1}


def test_5_1_6_4_1_buffers_that_are_missing_are_dropped_with_a_reason(fake):
    driver = fake.start(rx_ring=64, rx_buffer=2048)
    Card(fake).receive(bytes(60), header(buffers=2))
    assert take(driver) == []
    assert driver.drops == {"num_buffers": 1}


@pytest.mark.parametrize("length", [0, 12, 25, 2049, 0xFFFFFFFF])
def test_a_length_that_cannot_be_is_dropped_with_a_reason(fake, length):
    driver = fake.start(rx_ring=64, rx_buffer=2048)
    card = Card(fake)
    number, ((address, _, _),) = card.hands.pop()
    card.view[address : address + 12] = header()
    card.hands.use((number, length))
    card.receive(b"\x01" * 60)
    assert take(driver) == [b"\x01" * 60]
    assert driver.drops == {"rx length": 1}


def test_buffers_go_back_in_batches_and_not_while_they_are_read(fake):
    driver = fake.start(rx_ring=64, rx_buffer=2048)
    card = Card(fake)
    for number in range(16):
        card.receive(bytes([number]) * 60)
    while card.hands.pop() is not None:
        pass
    views = [driver.receive().frame for _ in range(16)]
    assert [view[0] for view in views] == list(range(16))
    assert card.hands.pop() is None, "the last frame may still be read"
    driver.receive()
    assert [card.hands.pop()[0] for _ in range(16)] == list(range(16))
    assert card.hands.pop() is None


@given(st.lists(st.tuples(st.integers(60, 9000), st.integers(0, 5)), max_size=40))
def test_every_frame_arrives_whatever_its_length_and_the_polls_between(make_fake, sizes):
    for extra in ((), ("RING_PACKED",)):
        fake = make_fake("MRG_RXBUF", "VERSION_1", *extra)
        driver = fake.start(rx_ring=32, rx_buffer=512, mtu=9000)
        card = Card(fake)
        sent, got = [], []
        for number, (size, polls) in enumerate(sizes):
            sent.append(bytes([number]) * size)
            if polls == 0 or sum(map(len, sent)) - sum(map(len, got)) > 6000:
                got += take(driver)
                driver.receive()
            card.merged(sent[-1], 512)
        got += take(driver)
        assert got == sent
        assert driver.drops == {}


# --- checksums


@pytest.mark.parametrize(
    ("flags", "verified"),
    [(0, False), (DATA_VALID, True), (NEEDS_CSUM, True), (NEEDS_CSUM | DATA_VALID, True), (8, False)],
)
def test_5_1_6_4_2_what_the_device_says_of_checksums(fake, flags, verified):
    driver = fake.start()
    Card(fake).receive(segment(1), header(flags, start=34, offset=16))
    assert driver.receive().checksum_ok is verified


def test_without_guest_csum_flags_mean_nothing(make_fake):
    fake = make_fake("MAC", "MRG_RXBUF", "VERSION_1")
    driver = fake.start()
    Card(fake).receive(segment(1), header(DATA_VALID))
    assert not driver.receive().checksum_ok


def test_an_ipv4_header_that_is_wrong_is_left_to_the_stack(fake):
    """The device verifies the transport only; a partial checksum is completed, so that the stack can judge."""
    driver = fake.start()
    whole = segment(1)
    broken = whole[:24] + b"\x00\x00" + whole[26:]
    pseudo = sum(int.from_bytes(broken[at : at + 2], "big") for at in range(26, 34, 2)) + 6 + len(broken) - 34
    pseudo = pseudo % 0xFFFF
    partial = broken[:50] + pseudo.to_bytes(2, "big") + broken[52:]
    Card(fake).receive(partial, header(NEEDS_CSUM, start=34, offset=16))
    received = driver.receive()
    assert (received.checksum_ok, bytes(received.frame)) == (False, broken)


@pytest.mark.parametrize(("layer", "offset", "finished"), [(TCP(), 16, b"\0\0"), (UDP(), 6, b"\xff\xff")])
def test_rfc_768_zero_becomes_ones_in_udp_alone(fake, layer, offset, finished):
    """RFC 1624, 3. The IPv4 header is wrong, so that the driver completes the checksum; its field holds the rest."""
    driver = fake.start()
    frame = bytearray(bytes(Ether() / IP(chksum=1) / layer / bytes(8)))
    place = slice(34 + offset, 34 + offset + 2)
    frame[place] = bytes(2)
    total = sum(int.from_bytes(frame[at : at + 2], "big") for at in range(34, len(frame), 2))
    frame[place] = (0xFFFF - total % 0xFFFF).to_bytes(2, "big")
    Card(fake).receive(bytes(frame), header(NEEDS_CSUM, start=34, offset=offset))
    assert bytes(driver.receive().frame[place]) == finished


@pytest.mark.parametrize(("start", "offset"), [(0, 16), (34, 0xFFFF), (0xFFFF, 0), (34, 1021)])
def test_a_checksum_outside_the_frame_is_not_computed(fake, start, offset):
    driver = fake.start()
    frame = segment(1)[:24] + b"\x00\x00" + segment(1)[26:]
    Card(fake).receive(frame, header(NEEDS_CSUM, start=start, offset=offset))
    received = driver.receive()
    assert (received.checksum_ok, bytes(received.frame)) == (False, frame)


@pytest.mark.parametrize(
    ("packet", "good"),
    [
        (Ether() / IP() / UDP(), True),
        (Ether() / IP(options=b"\x01" * 8) / UDP(), True),
        (Ether() / Dot1Q(vlan=3) / IP() / UDP(), True),
        (Ether() / IPv6() / UDP(), True),
        (Ether() / IP(chksum=1) / UDP(), False),
        (Ether() / Dot1Q(vlan=3) / IP(chksum=1) / UDP(), False),
        (Ether(type=0x0806) / bytes(40), False),
        (Ether(type=0x0800) / b"\x4f" / bytes(30), False),
        (Ether(type=0x0800) / b"\x44" / bytes(30), False),
    ],
)
def test_the_ipv4_headers_own_checksum_is_looked_at(packet, good):
    assert header_is_good(memoryview(bytes(packet))) is good


@given(st.binary(min_size=14, max_size=80))
def test_no_frame_is_too_strange_to_be_looked_at(frame):
    assert header_is_good(memoryview(frame)) in (True, False)


# --- GRO, where the device does not do it


def test_verified_segments_of_a_flow_are_joined(fake):
    driver = fake.start()
    card = Card(fake)
    for number in range(5):
        card.receive(segment(number), header(DATA_VALID))
    card.receive(segment(5), header(0))
    received = driver.receive()
    assert bytes(received.frame) == segment(0)
    assert [bytes(payload) for payload in received.more] == [bytes([number]) * 1000 for number in range(1, 5)]
    assert not driver.receive().checksum_ok
    assert driver.statistics["gro_joined"] == 4


def test_what_is_not_sure_is_not_joined(fake):
    driver = fake.start(rx_buffer=2048)
    card = Card(fake)
    card.receive(segment(0), header(DATA_VALID))
    card.receive(segment(1)[:24] + b"\0\0" + segment(1)[26:], header(DATA_VALID))
    card.receive(segment(1), header(NEEDS_CSUM, gso=1, start=34, offset=16))
    assert [driver.receive().more for _ in range(3)] == [[], [], []]


def test_gro_can_be_switched_off(fake):
    driver = fake.start(gro=False)
    card = Card(fake)
    for number in range(3):
        card.receive(segment(number), header(DATA_VALID))
    assert take(driver) == [segment(number) for number in range(3)]
