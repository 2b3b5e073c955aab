"""C mode's receive ring against a mocked card (RTL8139C 5.1, 5.8; Linux 8139too.c)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.datasheets import rtl8139 as ds

MS = 1_000_000


def capr(fake) -> list[int]:
    return [value for _, value in fake.writes("CAPR")]


def frames(driver) -> list[bytes]:
    got = []
    while (received := driver.receive()) is not None:
        got.append(bytes(received.frame))
    return got


def test_a_frame_is_handed_up_where_it_lies_without_header_and_fcs(fake, started):
    driver = started("C")
    fake.store(b"\x02" * 60)
    received = driver.receive()
    assert bytes(received.frame) == b"\x02" * 60
    assert (received.checksum_ok, received.vlan, received.more) == (False, None, [])
    fake.memory.view[driver.receiver.memory.address + 4] = 0x77
    assert received.frame[0] == 0x77  # no copy
    assert driver.receive() is None


@pytest.mark.parametrize("length", [60, 61, 62, 63, 64])
def test_the_next_header_begins_at_a_double_word(fake, started, length):
    """Misuse 3."""
    driver = started("C")
    fake.store(b"\x01" * length)
    fake.store(b"\x02" * 60)
    assert frames(driver) == [b"\x01" * length, b"\x02" * 60]
    assert capr(fake) == [(4 + length + 4 + 3 & ~3) + 68 - 16]


def test_capr_is_sixteen_behind_and_moves_when_all_is_read(fake, started):
    """Misuse 2; and 4: nothing is read past CBR."""
    driver = started("C")
    for n in range(3):
        fake.store(bytes([n]) * 56)  # 64 bytes each with header and FCS
    for n in range(3):
        assert bytes(driver.receive().frame) == bytes([n]) * 56
        assert capr(fake) == []
    assert driver.receive() is None
    assert capr(fake) == [3 * 64 - 16]
    assert driver.receive() is None
    assert not driver.poll()
    assert capr(fake) == [3 * 64 - 16], "CAPR on an empty ring raises PUN (5.6)"


def test_capr_moves_by_a_quarter_of_the_ring_and_not_over_what_is_being_read(fake, started):
    driver = started("C", rx_ring="8KiB")
    for n in range(7):
        fake.store(bytes([n]) * 1000)
    for n in range(3):
        assert bytes(driver.receive().frame) == bytes([n]) * 1000
    assert capr(fake) == []
    driver.receive()
    assert capr(fake) == [3 * 1008 - 16]


@pytest.mark.parametrize("wrap", [True, False])
@pytest.mark.parametrize("before", range(8, 76, 4))
def test_5_8_a_frame_at_the_rings_end(fake, started, wrap, before):
    """Misuse 1: it runs on behind the ring, or goes on at its start; CAPR wraps either way."""
    driver = started("C", rx_ring="8KiB", wrap=wrap)
    lead = [bytes([n]) * 1000 for n in range(7)] + [bytes(8192 - 7 * 1008 - before - 8)]
    for one in lead:
        fake.store(one)
        assert frames(driver) == [one]
    assert driver.receiver.position == 8192 - before
    data = bytes(range(60))
    fake.store(data)
    fake.store(b"\x07" * 100)
    received = driver.receive()
    assert bytes(received.frame) == data
    assert bytes(driver.receive().frame) == b"\x07" * 100
    assert driver.receive() is None
    assert capr(fake)[-1] == (68 - before + 108 - 16) & 0xFFFF
    assert driver.drops == {}


def test_64_kib_wrap_by_splitting(fake, started):
    driver = started("C", rx_ring="64KiB")
    for n in range(200):
        data = bytes([n]) * (500 + 7 * n % 1000)
        fake.store(data)
        assert frames(driver) == [data]
    assert driver.drops == {}


def test_capr_at_the_rings_very_end(fake, started):
    """Position 0 is CAPR FFF0h, as after a reset (the trap at the ring's end)."""
    driver = started("C", rx_ring="8KiB")
    for n in range(8):
        fake.store(bytes([n]) * 1016)
        assert frames(driver) == [bytes([n]) * 1016]
    assert capr(fake) == [1024 * n - 16 & 0xFFFF for n in (1, 2, 3, 4, 5, 6, 7, 0)]
    assert capr(fake)[-1] == ds.CAPR.reset


@pytest.mark.parametrize(
    ("status", "length"),
    [
        (0x0001, 17),
        (0x0001, 0),
        (0x0001, 4097),
        (0x0001, 0xFFFF),
        (0x4000, 64),  # no ROK
        (0x4005, 64),  # CRC
        (0x0021, 64),  # ISE
        (0x0011, 64),  # RUNT
    ],
)
@pytest.mark.parametrize("begins_anew", [True, False])
def test_a_bad_header_restarts_the_receiver(fake, started, status, length, begins_anew):
    """Misuse 5. Linux 8139too.c: RE off and on, RCR, and the ring begins anew; if it does not, all in it is left."""
    driver = started("C")
    fake.begins_anew = begins_anew
    fake.store(b"\x01" * 60)
    fake.store(b"\x02" * 60, status, length)
    fake.store(b"\x03" * 60)
    assert frames(driver) == [b"\x01" * 60]
    assert driver.drops["rx ring lost"] == 1
    assert fake.writes("CR", "RCR") == [("CR", ds.CR["TE"]), ("CR", ds.CR["RE"] | ds.CR["TE"]), ("RCR", 0xF78E)]
    fake.store(b"\x04" * 60)
    assert frames(driver) == [b"\x04" * 60]
    assert driver.drops["rx ring lost"] == 1


def test_5_1_frames_of_up_to_4_kib_are_left_out_and_those_behind_them_are_not_lost(fake, started):
    """The card calls them good. Linux begins a new ring: with it, whoever sends one empties its ring."""
    driver = started("C")
    for length in (1518, 1519, 4092):
        fake.store(bytes(length))
        fake.store(b"\x03" * 60)
    assert [len(frame) for frame in frames(driver)] == [1518, 60, 60, 60]
    assert driver.drops == {"rx length": 2}


def test_an_unfinished_frame_is_waited_for(fake, started):
    """Misuse 5: header FFF0h, Linux 8139too.c."""
    driver = started("C")
    fake.store(b"\x01" * 60, 0, 0xFFF0)
    assert driver.receive() is None
    fake.delay(5 * MS)
    assert driver.receive() is None
    fake.memory.view[driver.receiver.memory.address : driver.receiver.memory.address + 4] = bytes((1, 0x40, 64, 0))
    assert frames(driver) == [b"\x01" * 60]
    assert driver.drops == {}


def test_a_frame_that_reaches_beyond_cbr_is_unfinished_too(fake, started):
    driver = started("C")
    fake.store(b"\x01" * 1000)
    fake.set(ds.CBR, 512)
    assert driver.poll()
    assert driver.receive() is None
    fake.set(ds.CBR, 1008)
    assert frames(driver) == [b"\x01" * 1000]


def test_a_frame_that_is_never_finished_restarts_the_receiver(fake, started):
    driver = started("C")
    fake.store(b"\x01" * 60, 0, 0xFFF0)
    assert driver.receive() is None
    fake.delay(21 * MS)
    assert driver.receive() is None
    assert driver.drops == {"rx ring lost": 1}
    fake.store(b"\x02" * 60)
    assert frames(driver) == [b"\x02" * 60]


@pytest.mark.parametrize("at", [0, 68, 4096])
def test_a_card_that_begins_anew_when_rcr_is_written_is_followed(fake, started, at):
    """QEMU's does. What has not been read is lost with it, and counted."""
    driver = started("C", rx_ring="8KiB")
    for size in {0: (), 68: (60,), 4096: (1500, 1500, 1072)}[at]:
        fake.store(bytes(size))
    assert all(one == bytes(len(one)) for one in frames(driver))
    assert driver.receiver.position == at
    fake.store(b"\x09" * 60)
    assert driver.poll()
    write = fake.write

    def anew(offset: int, value: int, width: int) -> None:
        write(offset, value, width)
        if offset == ds.RCR.offset:
            fake.set(ds.CAPR, 0xFFF0)
            fake.set(ds.CBR, 0)
            fake.write_pointer = 0

    fake.write = anew
    driver.set_promiscuous(True)
    assert driver.receive() is None
    fake.store(b"\x0a" * 60)
    assert frames(driver) == [b"\x0a" * 60]
    assert driver.drops == ({"rx ring restarted": 1} if at else {})


def test_a_card_that_goes_on_when_rcr_is_written_loses_nothing(fake, started):
    driver = started("C")
    fake.store(b"\x01" * 60)
    fake.store(b"\x02" * 60)
    assert bytes(driver.receive().frame) == b"\x01" * 60
    driver.set_promiscuous(True)
    assert frames(driver) == [b"\x02" * 60]
    assert driver.drops == {}


def test_an_overflow_is_acknowledged_when_the_ring_is_empty_again(fake, started):
    """Misuse 12: CAPR first, then ROK, RXOVW and FOVW together (Linux 8139too.c, rtl8139_isr_ack)."""
    driver = started("C", rx_ring="8KiB")
    for n in range(8):
        fake.store(bytes([n]) * 1000)
    assert fake.raise_interrupt(ds.ISR["RXOVW"] | ds.ISR["FOVW"])
    assert fake.writes("ISR") == []
    assert driver.poll()
    assert frames(driver) == [bytes([n]) * 1000 for n in range(8)]
    assert fake.writes("CAPR", "ISR", "IMR")[-3:] == [("CAPR", 8 * 1008 - 16), ("ISR", 0x51), ("IMR", driver.enabled)]
    assert driver.drops == {"rx overflow": 1, "rx fifo overflow": 1}


def test_a_card_that_is_gone_gives_nothing(fake, started):
    driver = started("C")
    fake.gone = True
    assert not driver.poll()
    assert driver.receive() is None
    assert driver.drops["card gone"] > 0


@given(
    st.booleans(),
    st.lists(
        st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(0, 30)),
        max_size=30,
    ),
)
def test_whatever_the_card_writes_is_taken_calmly(make_started, wrap, entries):
    """Headers and pointers of any kind: no exception, an end, and all views within the ring's memory."""
    fake, driver = make_started("C", rx_ring="8KiB", wrap=wrap)
    base, rounds = driver.receiver.memory.address, 0
    for status, length, pointer, wait in entries:
        at = base + driver.receiver.position
        fake.memory.view[at : at + 4] = status.to_bytes(2, "little") + length.to_bytes(2, "little")
        fake.set(ds.CBR, pointer)
        fake.delay(wait * MS)
        driver.poll()
        while (received := driver.receive()) is not None:
            assert 14 <= len(received.frame) <= 1518
            rounds += 1
            assert rounds < 1000 * len(entries)
        assert 0 <= driver.receiver.position < 8192
        assert driver.receiver.position % 4 == 0
    fake.set(ds.CBR, driver.receiver.position)
    fake.write_pointer = driver.receiver.position
    driver.recover()
    fake.store(b"\x05" * 60)
    assert frames(driver) == [b"\x05" * 60]
