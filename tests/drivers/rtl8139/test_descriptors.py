"""C+ mode's receive ring against a mocked card (RTL8139C+ 9; Linux 8139cp.c)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from motenet.datasheets import rtl8139 as ds

WHOLE = ds.RX_RESULT["FS"] | ds.RX_RESULT["LS"]
TCP_GOOD = WHOLE | ds.RX_RESULT.field("PID").put(ds.PID_TCP)
UDP_GOOD = WHOLE | ds.RX_RESULT.field("PID").put(ds.PID_UDP)


def segment(number: int, size: int = 1000, flags: str = "A", sport: int = 80) -> bytes:
    payload = bytes([number]) * size
    return bytes(
        Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=sport, seq=1 + number * size, flags=flags) / payload
    )


def test_a_frame_is_handed_up_in_its_buffer_without_fcs(fake, started):
    driver = started("C+")
    fake.fill(b"\x02" * 60)
    received = driver.receive()
    assert bytes(received.frame) == b"\x02" * 60
    fake.memory.view[driver.receiver.buffers.address] = 0x77
    assert received.frame[0] == 0x77  # no copy
    assert driver.receive() is None


def test_all_descriptors_are_the_cards_and_the_last_one_ends_the_ring(fake, started):
    """Misuse 15."""
    driver = started("C+", rx_ring=24)
    assert fake.owned(count=24) == [True] * 24
    base = fake.get(ds.RDSARL)
    ends = [bool(fake.memory.view[base + 16 * n + 3] & 0x40) for n in range(24)]
    assert ends == [False] * 23 + [True]
    assert base % 256 == 0
    assert driver.receiver.size == 1536


def test_descriptors_go_back_in_batches_not_while_they_are_read_and_own_comes_last(fake, started):
    driver = started("C+", rx_ring=32)  # a batch is eight
    for n in range(20):
        fake.fill(bytes([n]) * 60, vlan=0x10000)
    for n in range(8):
        assert bytes(driver.receive().frame) == bytes([n]) * 60
    assert fake.owned(count=32) == [False] * 20 + [True] * 12
    fake.log.clear()
    driver.receive()
    assert fake.owned(count=32) == [True] * 8 + [False] * 12 + [True] * 12
    assert fake.log == [("barrier", "", 0)]
    assert fake.memory.view[fake.get(ds.RDSARL) + 4 : fake.get(ds.RDSARL) + 8] == bytes(4)


@pytest.mark.parametrize("count", [1, 2, 3, 16, 64])
def test_a_ring_of_any_length_turns(fake, started, count):
    driver = started("C+", rx_ring=count)
    for n in range(200):
        fake.fill(bytes([n]) * 60)
        assert bytes(driver.receive().frame) == bytes([n]) * 60
        assert driver.receive() is None
    assert driver.drops == {}


@pytest.mark.parametrize(
    ("flags", "verified"),
    [
        (WHOLE, False),
        (TCP_GOOD, True),
        (UDP_GOOD, True),
        (WHOLE | ds.RX_RESULT["PID"], False),  # IP, and neither
        (TCP_GOOD | ds.RX_RESULT["TCPF"], False),
        (UDP_GOOD | ds.RX_RESULT["UDPF"], False),
        (TCP_GOOD | ds.RX_RESULT["IPF"], False),
    ],
)
def test_checksum_results(fake, started, flags, verified):
    driver = started("C+")
    fake.fill(bytes(60), flags)
    assert driver.receive().checksum_ok is verified


def test_a_stripped_tag_is_handed_up_in_its_own_byte_order(fake, started):
    driver = started("C+")
    fake.fill(bytes(60), vlan=0x10000 | 0x0560)
    fake.fill(bytes(60), vlan=0x0560)
    assert [driver.receive().vlan, driver.receive().vlan] == [0x6005, None]


@pytest.mark.parametrize("error", ["RES", "CRC", "RUNT", "RWT", "FAE"])
def test_damaged_frames_are_dropped_with_a_reason(fake, started, error):
    driver = started("C+")
    fake.fill(bytes(60), WHOLE | ds.RX_RESULT[error])
    fake.fill(b"\x01" * 60)
    assert bytes(driver.receive().frame) == b"\x01" * 60
    assert driver.drops == {"rx error": 1}


@pytest.mark.parametrize("error", ["FOVF", "BOVF"])
def test_frames_lost_before_it_do_not_damage_a_frame(fake, started, error):
    driver = started("C+")
    fake.fill(b"\x01" * 60, WHOLE | ds.RX_RESULT[error])
    assert bytes(driver.receive().frame) == b"\x01" * 60


@pytest.mark.parametrize("length", [0, 17, 1537, 0x1FFF])
def test_a_length_that_cannot_be_is_dropped_with_a_reason(fake, started, length):
    driver = started("C+")
    fake.fill(bytes(60), length=length)
    assert driver.receive() is None
    assert driver.drops == {"rx length": 1}


@pytest.mark.parametrize("size", [60, 63, 1000, 1020, 1022, 1024, 1084, 2044])
def test_a_frame_in_several_buffers_is_one(fake, started, size):
    """With buffers that are smaller than frames; its length is in the last descriptor, and counts the FCS."""
    driver = started("C+", rx_buffer=1024, rx_ring=7)
    data = bytes(n * 7 & 0xFF for n in range(size))
    for n in range(20):  # at every place of the ring, also over its end
        fake.fill(data, pieces=-(-(size + 4) // 1024))
        fake.fill(bytes([n]) * 60)
        assert bytes(driver.receive().frame) == data
        assert bytes(driver.receive().frame) == bytes([n]) * 60
        assert driver.receive() is None
    assert driver.drops == {}


def test_a_frame_whose_end_is_not_there_yet_waits(fake, started):
    driver = started("C+", rx_buffer=1024)
    fake.fill(bytes(2000), pieces=2)
    at = fake.get(ds.RDSARL) + 16 + 3
    fake.memory.view[at] |= 0x80
    assert driver.receive() is None
    fake.memory.view[at] &= 0x7F
    assert len(driver.receive().frame) == 2000


@pytest.mark.parametrize(("first", "pieces", "length"), [("LS", 2, 1600), ("FS", 2, 1500), ("FS", 2, 3100)])
def test_pieces_that_do_not_fit_are_dropped_with_a_reason(fake, started, first, pieces, length):
    driver = started("C+")
    flags = WHOLE if first == "FS" else ds.RX_RESULT["LS"]
    fake.fill(bytes(2000), flags, pieces=pieces, length=length)
    fake.fill(b"\x01" * 60)
    assert bytes(driver.receive().frame) == b"\x01" * 60
    assert driver.drops == {"rx length": 1}


def test_a_frame_without_end_is_dropped_when_it_has_all_descriptors(fake, started):
    driver = started("C+", rx_ring=8)
    for _ in range(8):
        fake.fill(bytes(60), ds.RX_RESULT["FS"])
    assert driver.receive() is None
    assert driver.drops == {"rx length": 1}
    fake.fill(b"\x01" * 60)
    assert bytes(driver.receive().frame) == b"\x01" * 60


def test_gro_joins_verified_segments_of_a_flow(fake, started):
    driver = started("C+")
    for n in range(5):
        fake.fill(segment(n, flags="PA" if n == 4 else "A"), TCP_GOOD)
    fake.fill(segment(5), TCP_GOOD)
    received = driver.receive()
    assert [len(more) for more in received.more] == [1000] * 4
    assert bytes(received.frame[54:]) + b"".join(received.more) == b"".join(bytes([n]) * 1000 for n in range(5))
    assert Ether(bytes(received.frame))[TCP].flags == "PA"
    assert driver.receive().more == []
    assert (driver.receiver.frames, driver.receiver.joined) == (2, 4)


@pytest.mark.parametrize(
    ("flags", "vlan", "data"),
    [
        (WHOLE, 0, segment(1)),
        (TCP_GOOD | ds.RX_RESULT["TCPF"], 0, segment(1)),
        (TCP_GOOD | ds.RX_RESULT["CRC"], 0, segment(1)),
        (TCP_GOOD, 0x10000, segment(1)),
        (TCP_GOOD, 0, segment(2)),
        (TCP_GOOD, 0, segment(1, sport=81)),
    ],
    ids=["not verified", "failed", "damaged", "tagged", "gap", "other flow"],
)
def test_gro_leaves_alone_what_does_not_belong(fake, started, flags, vlan, data):
    driver = started("C+")
    fake.fill(segment(0), TCP_GOOD)
    fake.fill(data, flags, vlan)
    assert driver.receive().more == []


def test_gro_can_be_switched_off(fake, started):
    driver = started("C+", gro=False)
    fake.fill(segment(0), TCP_GOOD)
    fake.fill(segment(1), TCP_GOOD)
    assert [driver.receive().more, driver.receive().more] == [[], []]


@given(
    st.sampled_from([64, 1024, 1536]),
    st.lists(st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**32 - 1)), max_size=6), max_size=8),
)
def test_whatever_the_card_writes_is_taken_calmly(make_started, size, turns):
    """Descriptors of any kind: no exception, an end, and the ring goes on turning."""
    fake, driver = make_started("C+", rx_ring=8, rx_buffer=size, mtu=400)
    ring, taken = driver.receiver.ring, 0
    for turn in turns:
        place = ring.consumed
        for result, tag in turn:
            driver.receiver.ring.store(ring.offset(place), result, tag, 0)
            place += 1
        while (received := driver.receive()) is not None:
            taken += 1
            assert 14 <= len(received.frame) <= 8 * size
        assert ring.consumed <= place + 8
    assert taken <= sum(map(len, turns))
    driver.recover()
    fake.fill(b"\x01" * 60)
    assert bytes(driver.receive().frame) == b"\x01" * 60
