"""The receive path against a mocked card (8254x manual, 3.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from motenet.datasheets import e1000 as ds

DD, EOP, IXSM, VP, TCPCS, IPCS = 1, 2, 4, 8, 0x20, 0x40
GOOD = DD | EOP | TCPCS | IPCS


def segment(number: int, size: int = 1000, flags: str = "A", sport: int = 80) -> bytes:
    payload = bytes([number]) * size
    return bytes(
        Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=sport, seq=1 + number * size, flags=flags) / payload
    )


def rdt(fake) -> list[int]:
    return [value for _, value in fake.writes("RDT")]


def test_a_frame_is_handed_up_in_the_buffer_that_the_card_wrote(fake, started):
    driver = started()
    fake.receive(b"\x02" * 60)
    received = driver.receive()
    assert bytes(received.frame) == b"\x02" * 60
    fake.memory.view[driver.receiver.buffers.address] = 0x77
    assert received.frame[0] == 0x77  # no copy
    assert driver.receive() is None


def test_nothing_is_handed_up_without_dd(fake, started):
    driver = started()
    fake.receive(bytes(60), status=EOP)
    assert not driver.poll()
    assert driver.receive() is None


@pytest.mark.parametrize(
    ("status", "errors", "verified"),
    [
        (DD | EOP | IXSM, 0, False),
        (GOOD, 0, True),
        (GOOD | IXSM, 0, False),
        (DD | EOP | TCPCS, 0, True),  # IPv6 has no header checksum (3.2.3.1)
        (DD | EOP | IPCS, 0, False),
        (GOOD, 0x20, False),  # TCPE
        (GOOD, 0x40, False),  # IPE
    ],
)
def test_3_2_9_checksum_results(fake, started, status, errors, verified):
    driver = started()
    fake.receive(bytes(60), status, errors)
    assert driver.receive().checksum_ok is verified


def test_3_2_3_3_a_stripped_tag_is_handed_up(fake, started):
    driver = started()
    fake.receive(bytes(60), DD | EOP | VP, special=0x6005)
    fake.receive(bytes(60), DD | EOP, special=0x6005)
    assert [driver.receive().vlan, driver.receive().vlan] == [0x6005, None]


@pytest.mark.parametrize("errors", [1, 2, 4, 0x10, 0x80])
def test_3_2_3_2_damaged_frames_are_dropped_with_a_reason(fake, started, errors):
    driver = started()
    fake.receive(bytes(60), DD | EOP, errors)
    fake.receive(b"\x01" * 60)
    assert bytes(driver.receive().frame) == b"\x01" * 60
    assert driver.drops == {"rx error": 1}


@pytest.mark.parametrize("length", [0, 13, 2049, 0xFFFF])
def test_a_length_that_cannot_be_is_dropped_with_a_reason(fake, started, length):
    driver = started()
    fake.receive(bytes(60), length=length)
    assert driver.receive() is None
    assert driver.drops == {"rx length": 1}


def test_13_4_29_buffers_go_back_sixteen_at_a_time_and_not_while_they_are_read(fake, started):
    driver = started(rx_ring=64)
    for n in range(40):
        fake.receive(bytes([n]) * 60)
    for n in range(16):
        assert bytes(driver.receive().frame) == bytes([n]) * 60
    assert rdt(fake) == []
    driver.receive()
    assert rdt(fake) == [15]  # descriptors 63 and 0 to 14: the sixteen that have been read
    assert 15 == (63 + 16) % 64
    for _ in range(23):
        driver.receive()
    assert rdt(fake) == [15, 31]
    assert driver.receive() is None


def test_given_back_descriptors_are_clean(fake, started):
    driver = started(rx_ring=16)
    for n in range(200):
        fake.receive(bytes([n]) * 60)
        assert bytes(driver.receive().frame) == bytes([n]) * 60
        assert driver.receive() is None
    base, count = fake.ring("R")
    given_to_card = [(fake.head + n) % count for n in range((fake.registers[ds.RDT.offset] - fake.head) % count)]
    assert given_to_card
    assert all(fake.memory.view[base + 16 * n + 12] == 0 for n in given_to_card)


def test_a_full_ring_is_emptied_and_given_back(fake, started):
    driver = started(rx_ring=32)
    for turn in range(3):
        count = 0
        while fake.head != fake.registers[ds.RDT.offset]:
            fake.receive(bytes([turn]) * 60)
            count += 1
        assert count >= 24
        while (received := driver.receive()) is not None:
            assert bytes(received.frame) == bytes([turn]) * 60
            count -= 1
        assert count == 0


# --- several descriptors


def test_3_2_2_a_frame_over_several_buffers_is_one_view_without_a_copy(fake, started):
    driver = started(rx_buffer=256, rx_ring=16)
    frame = bytes(n & 0xFF for n in range(600))
    for at in (0, 256, 512):
        fake.receive(frame[at : at + 256], DD | (EOP | TCPCS if at == 512 else 0))
    received = driver.receive()
    assert bytes(received.frame) == frame
    assert received.checksum_ok
    fake.memory.view[driver.receiver.buffers.address + 256] ^= 0xFF
    assert received.frame[256] != frame[256]


def test_at_the_rings_end_it_is_a_copy(fake, started):
    driver = started(rx_buffer=256, rx_ring=16)
    for n in range(14):
        fake.receive(bytes([n]) * 60)
        driver.receive()
    driver.receive()
    frame = bytes(n & 0xFF for n in range(700))
    for at in (0, 256, 512):
        fake.receive(frame[at : at + 256], DD | (EOP if at == 512 else 0))
    assert bytes(driver.receive().frame) == frame


def test_a_frame_whose_end_is_not_there_yet_waits(fake, started):
    driver = started(rx_buffer=256)
    fake.receive(b"a" * 256, DD)
    assert driver.receive() is None
    fake.receive(b"b" * 10, DD | EOP)
    assert bytes(driver.receive().frame) == b"a" * 256 + b"b" * 10


def test_a_frame_without_end_is_dropped_once_the_ring_is_full_of_it(fake, started):
    driver = started(rx_buffer=256, rx_ring=8)
    for _ in range(7):
        fake.receive(b"a" * 256, DD)
    assert driver.receive() is None
    assert driver.drops == {"rx without end": 1}
    driver.poll()
    fake.receive(b"b" * 60)
    assert bytes(driver.receive().frame) == b"b" * 60


# --- GRO


def test_segments_in_sequence_become_one(fake, started):
    driver = started()
    for n in range(5):
        fake.receive(segment(n), GOOD)
    received = driver.receive()
    assert bytes(received.frame) == segment(0)
    assert [bytes(view) for view in received.more] == [bytes([n]) * 1000 for n in range(1, 5)]
    assert driver.statistics["gro_joined"] == 4
    assert driver.receive() is None


@pytest.mark.parametrize("gro", [True, False])
def test_gro_wants_verified_checksums(fake, started, gro):
    driver = started(gro=gro)
    for n in range(3):
        fake.receive(segment(n), GOOD if not gro else DD | EOP)
    assert [driver.receive().more for _ in range(3)] == [[], [], []]


@pytest.mark.parametrize("second", [(DD | EOP, 0), (GOOD, 0x20), (GOOD | VP, 0), (0, 0), (DD | TCPCS, 0)])
def test_gro_stops_at_another_kind_of_descriptor(fake, started, second):
    driver = started()
    fake.receive(segment(0), GOOD)
    fake.receive(segment(1), *second)
    assert driver.receive().more == []


def test_buffers_of_a_train_are_not_given_back_before_the_next_call(fake, started):
    driver = started(rx_ring=64)
    for n in range(40):
        fake.receive(segment(n, 600), GOOD)
    received = driver.receive()
    assert len(received.more) == 39
    assert rdt(fake) == []
    driver.poll()
    assert rdt(fake) == [(63 + 40) % 64]


# --- arbitrary write-backs

descriptor = st.tuples(
    st.one_of(st.just(GOOD), st.integers(0, 255)),
    st.one_of(st.just(0), st.integers(0, 255)),
    st.one_of(st.integers(0, 300), st.integers(0, 0xFFFF)),
    st.integers(0, 0xFFFF),
    st.one_of(st.binary(max_size=80), st.integers(0, 9).map(segment)),
)


@given(st.lists(st.lists(descriptor, max_size=12), max_size=6))
def test_no_write_back_makes_the_driver_raise_or_hang(make_started, rounds):
    """Status, errors, lengths and bytes are anything: every frame lies within the buffers, every drop has a reason."""
    fake, driver = make_started(rx_ring=16, rx_buffer=1024)
    for batch in rounds:
        for status, errors, length, special, data in batch:
            if fake.head != fake.registers[ds.RDT.offset]:
                fake.receive(data, status, errors, special, length)
        driver.poll()
        calls = 0
        while (received := driver.receive()) is not None:
            calls += 1
            assert calls <= 16
            assert 14 <= len(received.frame) <= 16 * 1024
            assert all(0 < len(view) <= 1024 for view in received.more)
        ring = driver.receiver.ring
        assert 0 <= ring.produced - ring.consumed <= 15
        assert set(driver.drops) <= {"rx error", "rx length", "rx without end"}
