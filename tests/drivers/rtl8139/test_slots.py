"""C mode's four transmit slots against a mocked card (RTL8139C 5.2, 5.7; Linux 8139too.c)."""

import pytest

from motenet.core.errors import DriverError
from motenet.datasheets import rtl8139 as ds
from motenet.doors import FrameFacts

OWN, TUN, TOK, OWC, TABT = (ds.TSD[name] for name in ("OWN", "TUN", "TOK", "OWC", "TABT"))
DONE = OWN | TOK
THRESHOLD_256 = 8 << 16


def frame(number: int, size: int = 100) -> bytes:
    return bytes([number]) * size


def test_slots_are_used_in_turn(fake, started):
    """Misuse 6 and 7: each is written with OWN 0 when it is the driver's, and reaped in order."""
    driver = started("C")
    for number in range(10):
        assert driver.send(frame(number))
        assert fake.slot(number % 4) == frame(number)
        fake.set(ds.TSD, DONE | 100, number % 4)
        driver.poll()
    assert fake.writes() == [(f"TSD[{n % 4}]", THRESHOLD_256 | 100) for n in range(10)]
    assert driver.transmitter.idle


@pytest.mark.parametrize("length", [14, 42, 59, 60, 61])
def test_5_2_the_card_does_not_pad(fake, started, length):
    """Misuse 8: the driver does, with zeros, also over what an earlier frame has left there."""
    driver = started("C")
    for _ in range(4):
        driver.send(b"\xff" * 200)
    for slot in range(4):
        fake.set(ds.TSD, DONE, slot)
    assert driver.send(b"\x01" * length)
    assert fake.slot(0) == (b"\x01" * length).ljust(60, b"\0")


def test_four_frames_fill_the_card_and_the_oldest_makes_room(fake, started):
    driver = started("C")
    for number in range(4):
        assert driver.send(frame(number))
    assert driver.reserve(60) is None
    fake.set(ds.TSD, DONE | 100, 1)  # out of order: not the oldest
    assert driver.reserve(60) is None
    fake.set(ds.TSD, DONE | 100, 0)
    assert driver.send(frame(9))
    assert fake.slot(0) == frame(9)


def test_an_interrupt_is_wanted_only_while_there_is_no_room(fake, started):
    """A frame that was sent before is no reason: TOK is acknowledged first."""
    driver = started("C")
    assert not driver.enabled & ds.ISR["TOK"]
    for number in range(4):
        driver.send(frame(number))
    fake.cause(ds.ISR["TOK"])
    fake.log.clear()
    assert driver.reserve(60) is None
    assert [one for one in fake.writes() if one[0] != "TSD"] == [
        ("ISR", ds.ISR["TOK"]),
        ("IMR", driver.enabled),
    ]
    assert driver.enabled & ds.ISR["TOK"]
    woken = []
    driver.wake = lambda: woken.append(1)
    fake.set(ds.TSD, DONE, 0)
    assert fake.raise_interrupt(ds.ISR["TOK"])
    assert woken == [1]
    driver.poll()
    assert not driver.enabled & ds.ISR["TOK"]
    assert driver.send(frame(5))


def test_without_interrupts_room_is_not_asked_for(fake, started):
    driver = started("C", interrupts=False)
    while driver.send(frame(0)):
        pass
    assert [one for one in fake.writes() if not one[0].startswith("TSD")] == []


def test_a_frame_that_is_sent_while_room_is_asked_for_is_seen(fake, started):
    driver = started("C")
    for number in range(4):
        driver.send(frame(number))
    write = fake.write

    def sent_meanwhile(offset: int, value: int, width: int) -> None:
        write(offset, value, width)
        if offset == ds.ISR.offset:
            fake.set(ds.TSD, DONE, 0)

    fake.write = sent_meanwhile
    assert driver.reserve(60) is not None
    assert not driver.transmitter.blocked


def test_5_7_an_aborted_frame_is_sent_again(fake, started):
    """Misuse 17: CLRABT, beside what TCR has already, or the transmitter stands still."""
    driver = started("C")
    driver.send(frame(1))
    driver.send(frame(2))
    fake.set(ds.TSD, OWN | TABT, 0)
    driver.poll()
    assert fake.writes("TCR") == [("TCR", 0x03000680 | ds.TCR["CLRABT"])]
    assert driver.drops == {"tx abort": 1}
    fake.set(ds.TSD, DONE, 0)
    fake.set(ds.TSD, DONE, 1)
    driver.poll()
    assert driver.transmitter.idle
    assert len(fake.writes("TCR")) == 1


def test_a_frame_that_is_aborted_again_and_again_keeps_its_slot_until_the_card_is_reset(fake, started):
    """5.7: CLRABT sends it once more, so that the slot is not the driver's; a card without progress is reset."""
    driver = started("C", hang_timeout="1s")
    driver.send(frame(1))
    driver.send(frame(2))
    fake.set(ds.TSD, OWN | TABT, 0)
    for _ in range(3):
        driver.poll()
    assert driver.transmitter.consumed == 0
    assert driver.drops == {"tx abort": 3}
    assert len(fake.writes("TCR")) == 3
    fake.delay(1_000_000_001)
    driver.poll()
    assert driver.drops == {"tx abort": 4, "tx lost": 1}
    assert driver.recoveries == 1


def test_an_underrun_raises_the_threshold(fake, started):
    """Linux 8139too.c: by 64 bytes each time; the frame has gone out all the same."""
    driver = started("C")
    for number in range(30):
        driver.send(frame(number))
        fake.set(ds.TSD, OWN | TUN, number % 4)
        driver.poll()
    assert [value >> 16 for _, value in fake.writes("TSD[0]")] == [8, 16, 24, 32, 40, 48, 48, 48]
    assert driver.drops == {"tx underrun": 30}


def test_other_errors_are_counted(fake, started):
    driver = started("C")
    driver.send(frame(1))
    fake.set(ds.TSD, DONE | OWC, 0)
    driver.poll()
    assert driver.transmitter.idle
    assert driver.drops == {"tx error": 1}


def test_a_card_that_is_gone_gives_nothing_back(fake, started):
    driver = started("C")
    driver.send(frame(1))
    fake.gone = True
    driver.poll()
    assert not driver.transmitter.idle
    assert driver.drops["card gone"] > 0


def test_a_callers_mistakes_are_told(started):
    driver = started("C")
    with pytest.raises(DriverError, match="reserve"):
        driver.commit()
    for length in (13, 1519):
        with pytest.raises(DriverError, match="14 to 1518"):
            driver.reserve(length)
    driver.reserve(100)
    with pytest.raises(DriverError, match="checksums"):
        driver.commit(FrameFacts(checksum_start=34, checksum_offset=16))
    capabilities = driver.capabilities
    assert (capabilities.checksum_tx, capabilities.checksum_rx, capabilities.max_segmented) == (False, False, 0)
