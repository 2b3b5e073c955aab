"""Interrupts in NAPI's style, link changes, recovery, statistics and state (RTL8139C 5.5, 5.6, 5.12)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motenet.core.state import canonical, walk
from motenet.datasheets import rtl8139 as ds
from motenet.datasheets.rtl8139 import TALLY

ROK, TOK, RXOVW, LINK, SERR = (ds.ISR[name] for name in ("ROK", "TOK", "RXOVW", "PUN_LINKCHG", "SERR"))
CAUSES = ROK | RXOVW | ds.ISR["FOVW"] | ds.ISR["TER"] | LINK | SERR
BOTH = pytest.mark.parametrize("mode", ["C", "C+"])


def give(fake, mode: str, data: bytes = bytes(60)) -> None:
    (fake.store if mode == "C" else fake.fill)(data)


@BOTH
def test_the_handler_masks_and_wakes_and_leaves_reception_to_poll(fake, started, mode):
    """Misuse 11, and Linux: what is received is acknowledged after it was looked at."""
    driver = started(mode)
    woken = []
    driver.wake = lambda: woken.append(driver.enabled)
    assert fake.raise_interrupt(ROK) is True
    assert fake.log == [("read", "ISR", ROK), ("write", "IMR", 0)]
    assert woken == [0]


@BOTH
def test_everything_else_is_acknowledged_by_the_handler(fake, started, mode):
    driver = started(mode)
    assert fake.raise_interrupt(ROK | LINK | TOK | ds.ISR["TIMEOUT"])
    assert fake.writes() == [("IMR", 0), ("ISR", LINK | TOK | ds.ISR["TIMEOUT"])]
    driver.receive()
    assert fake.get(ds.ISR) == 0


@BOTH
def test_a_shared_line_that_others_pull_is_not_ours(fake, started, mode):
    driver = started(mode)
    driver.wake = lambda: pytest.fail("not ours")
    assert fake.raise_interrupt(0) is False
    assert fake.raise_interrupt(TOK) is False  # a cause that is not enabled
    assert fake.writes() == []


@BOTH
def test_isr_ffff_is_a_card_that_is_gone(fake, started, mode):
    driver = started(mode)
    fake.gone = True
    assert fake.raise_interrupt(0) is False
    assert driver.drops == {"card gone": 1}


@BOTH
def test_the_first_empty_receive_acknowledges_and_unmasks_once(fake, started, mode):
    driver = started(mode)
    give(fake, mode)
    fake.raise_interrupt(ROK)
    assert driver.poll()
    assert driver.receive() is not None
    assert fake.writes("IMR") == [("IMR", 0)]
    assert driver.receive() is None
    assert driver.receive() is None
    assert fake.writes("IMR", "ISR") == [("IMR", 0), ("ISR", ROK), ("IMR", CAUSES)]


@BOTH
@pytest.mark.parametrize("at", ["ISR", "IMR"])
def test_a_frame_that_comes_while_unmasking_is_not_missed(fake, started, mode, at):
    driver = started(mode)
    fake.raise_interrupt(ROK)
    write, late = fake.write, [b"\x05" * 60]

    def with_a_late_frame(offset: int, value: int, width: int) -> None:
        if fake.label(offset, width) == at and late:
            give(fake, mode, late.pop())
        write(offset, value, width)

    fake.write = with_a_late_frame
    assert bytes(driver.receive().frame) == b"\x05" * 60
    assert driver.receive() is None


@BOTH
def test_a_poll_without_frames_unmasks_too(fake, started, mode):
    driver = started(mode)
    fake.raise_interrupt(ROK)
    assert driver.poll() is False
    assert fake.writes("IMR")[-1] == ("IMR", CAUSES)


@BOTH
def test_a_link_change_is_looked_after_by_poll(fake, started, mode):
    driver = started(mode)
    fake.set(ds.MSR, ds.MSR["LINKB"])
    assert fake.raise_interrupt(LINK)
    assert driver.is_link_up
    driver.poll()
    assert not driver.is_link_up
    fake.set(ds.MSR, ds.MSR["SPEED_10"])
    fake.raise_interrupt(LINK)
    driver.poll()
    assert (driver.is_link_up, driver.speed) == (True, 10)


@BOTH
def test_polling_mode_acknowledges_everything(fake, started, mode):
    driver = started(mode, interrupts=False)
    assert driver.capabilities.polled
    fake.set(ds.MSR, ds.MSR["LINKB"])
    fake.cause(LINK | RXOVW | TOK)
    give(fake, mode)
    assert driver.poll()
    assert not driver.is_link_up
    assert driver.receive() is not None
    assert fake.writes("IMR", "ISR") == [("ISR", LINK | RXOVW | TOK | ROK)]
    assert driver.drops == {"rx overflow": 1}
    assert fake.get(ds.IMR) == 0


@BOTH
def test_errors_of_the_bus_are_counted_and_cleared(fake, started, mode):
    """PCI 6.2.3: ones clear the status bits."""
    driver = started(mode)
    fake.raise_interrupt(SERR)
    driver.poll()
    assert driver.drops == {"pci error": 1}
    assert fake.config.read(6, 2) == 0xF900


@BOTH
def test_a_card_that_hangs_is_reset(fake, started, mode):
    driver = started(mode, hang_timeout="10ms")
    driver.send(bytes(60))
    fake.delay(11_000_000)
    driver.poll()
    assert (driver.recoveries, driver.drops) == (1, {"tx lost": 1})
    assert driver.send(bytes(60))
    give(fake, mode)
    assert driver.poll()
    assert driver.receive() is not None


@BOTH
def test_no_recovery_while_the_link_is_down_and_it_counts_from_when_it_is_up(fake, started, mode):
    driver = started(mode, hang_timeout="10ms")
    driver.send(bytes(60))
    fake.set(ds.MSR, ds.MSR["LINKB"])
    fake.raise_interrupt(LINK)
    driver.poll()
    fake.delay(100_000_000)
    driver.poll()
    fake.set(ds.MSR, 0)
    fake.raise_interrupt(LINK)
    driver.poll()
    assert driver.recoveries == 0
    fake.delay(11_000_000)
    driver.poll()
    assert driver.recoveries == 1


@BOTH
def test_a_card_that_does_not_come_back_is_dead_and_nothing_raises(fake, started, mode):
    driver = started(mode, hang_timeout="10ms")
    driver.send(bytes(60))
    fake.delay(11_000_000)
    fake.gone = True
    driver.poll()
    assert driver.drops["card dead"] == 1
    assert not driver.is_link_up
    for _ in range(100):
        driver.send(bytes(60))
        driver.poll()
    assert driver.reserve(60) is None
    assert driver.receive() is None


def test_mpc_adds_up_and_is_cleared(fake, started):
    driver = started("C")
    fake.set(ds.MPC, 3)
    assert driver.statistics["MPC"] == 3
    assert driver.statistics["MPC"] == 3
    fake.set(ds.MPC, 2)
    driver.recover()
    assert driver.statistics["MPC"] == 5
    fake.gone = True
    assert driver.statistics["MPC"] == 5


def tally(**values: int) -> bytes:
    return TALLY.build({member.name: values.get(member.name, 0) for member in TALLY.subcons})


def test_tally_counters_add_up_over_resets_and_overflows(fake, started):
    """They come by DMA, into 64 bytes on 64 (RTL8139C+ 6, DTCCR), and the card never clears them."""
    fake.tally = tally(rx_ok=1000)
    driver = started("C+")
    assert driver.statistics["rx_ok"] == 0
    fake.tally = tally(rx_ok=1003, miss_pkt=0xFFFE)
    assert driver.statistics["rx_ok"] == 3
    (high, low) = fake.writes("DTCCRH", "DTCCRL")[-2:]
    assert (high, low[1] & 0x3F) == (("DTCCRH", 0), ds.DTCCRL["CMD"])
    fake.tally = tally(rx_ok=1004, miss_pkt=1)
    statistics = driver.statistics
    assert (statistics["rx_ok"], statistics["miss_pkt"]) == (4, 0x10001)
    driver.recover()
    fake.tally = tally(rx_ok=1009, miss_pkt=1)
    assert driver.statistics["rx_ok"] == 9


def test_a_dump_that_does_not_end_is_not_waited_for_longer_than_10_ms(fake, started):
    driver = started("C+")
    fake.dumps = False
    begin = fake.now
    assert driver.statistics["rx_ok"] == 0
    assert fake.now - begin == 10_000_000
    assert driver.drops == {"tally": 1}


@BOTH
@settings(max_examples=50)
@given(answers=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=40), steps=st.integers(1, 30))
def test_a_card_that_answers_anything_never_raises(make_started, mode, answers, steps):
    """All registers read nonsense, ones among it, and memory as it was: whatever is asked of the driver ends."""
    fake, driver = make_started(mode, hang_timeout="1ms")
    plain, turn = fake.read, iter(range(10**9))
    fake.read = lambda offset, width: plain(offset, width) ^ answers[next(turn) % len(answers)] & (1 << 8 * width) - 1
    for _ in range(steps):
        driver.poll()
        for _ in range(3):
            driver.receive()
        driver.send(bytes(100))
        fake.raise_interrupt(0)
        fake.delay(600_000)
    driver.set_promiscuous(True)
    assert driver.statistics["tx_frames"] <= steps


@BOTH
@settings(max_examples=50)
@given(steps=st.lists(st.sampled_from(["send", "receive", "done", "poll", "full", "link"]), max_size=20))
def test_state_can_be_saved_and_loaded_anywhere(make_started, mode, steps):
    """Saved, changed by all kinds of work, and loaded: it is what it was, and the wiring still works."""
    fake, driver = make_started(mode)
    for step in steps:
        if step == "send":
            driver.send(bytes(60))
        elif step == "receive":
            give(fake, mode)
            driver.poll()
            driver.receive()
        elif step == "done" and mode == "C":
            fake.set(ds.TSD, ds.TSD["OWN"] | TOK | ds.TSD["TOK"], driver.transmitter.consumed % 4)
        elif step == "poll":
            driver.poll()
        elif step == "full":
            while driver.send(bytes(60)):
                pass
        elif step == "link":
            fake.raise_interrupt(LINK)
    states = [part.save() for part in walk(driver)]
    before = [list(canonical(state)) for state in states]
    driver.set_promiscuous(True)
    driver.recover()
    driver.send(bytes(60))
    for part, state in zip(walk(driver), states, strict=True):
        part.load(state)
    assert [list(canonical(part.save())) for part in walk(driver)] == before
    assert [part.path for part in walk(driver)][:2] == ["fake/driver", "fake/driver/filters"]
