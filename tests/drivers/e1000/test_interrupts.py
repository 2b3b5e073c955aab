"""Interrupts in NAPI's style, link changes, statistics and state (8254x 13.4.17 to 13.4.21, 13.7)."""

from hypothesis import given
from hypothesis import strategies as st

from motenet.core.state import canonical, walk
from motenet.datasheets import e1000 as ds

LSC, RXT0 = 1 << 2, 1 << 7
CAUSES = 1 << 2 | 1 << 4 | 1 << 6 | 1 << 7


def test_the_handler_acknowledges_masks_and_wakes(fake, started):
    driver = started()
    woken = []
    driver.wake = lambda: woken.append(driver.enabled)
    assert fake.raise_interrupt(RXT0) is True
    assert fake.log == [("read", "ICR", RXT0), ("write", "IMC", 0xFFFFFFFF)]
    assert woken == [0]


def test_a_shared_line_that_others_pull_is_not_ours(fake, started):
    driver = started()
    woken = []
    driver.wake = lambda: woken.append(1)
    assert fake.raise_interrupt(0) is False
    assert fake.raise_interrupt(1 << 1) is False  # a cause that is not enabled
    assert woken == []
    assert fake.writes() == []


def test_the_first_empty_receive_unmasks_once(fake, started):
    driver = started()
    fake.raise_interrupt(RXT0)
    fake.receive(bytes(60))
    assert driver.poll()
    assert driver.receive() is not None
    assert fake.writes("IMS") == []
    assert driver.receive() is None
    assert driver.receive() is None
    assert fake.writes("IMS") == [("IMS", CAUSES)]


def test_a_frame_that_comes_while_unmasking_is_not_missed(fake, started):
    """Its cause may be gone: on a shared line the handler has read ICR while everything was masked."""
    driver = started()
    fake.raise_interrupt(RXT0)
    write = fake.write32

    def with_a_late_frame(offset: int, value: int) -> None:
        write(offset, value)
        if offset == ds.IMS.offset:
            fake.receive(b"\x05" * 60)

    fake.write32 = with_a_late_frame
    driver.card.write = driver._write = with_a_late_frame
    assert bytes(driver.receive().frame) == b"\x05" * 60
    assert driver.receive() is None


def test_a_poll_without_frames_unmasks_too(fake, started):
    driver = started()
    fake.raise_interrupt(RXT0)
    assert driver.poll() is False
    assert fake.writes("IMS") == [("IMS", CAUSES)]


def test_lsc_is_looked_after_by_poll_not_by_the_handler(fake, started):
    driver = started()
    fake.registers[ds.STATUS.offset] = 0
    assert fake.raise_interrupt(LSC)
    assert driver.is_link_up
    driver.poll()
    assert not driver.is_link_up
    fake.registers[ds.STATUS.offset] = ds.STATUS["LU"]
    fake.phy[1] &= ~ds.BMSR["LINK"]
    fake.raise_interrupt(LSC)
    driver.poll()
    assert not driver.is_link_up  # the PHY knows better than the MAC
    fake.phy[1] |= ds.BMSR["LINK"]
    fake.raise_interrupt(LSC)
    driver.poll()
    assert driver.is_link_up


def test_lsc_is_not_lost_when_icr_is_read_for_others(fake, started):
    driver = started()
    fake.raise_interrupt(RXT0)
    fake.registers[ds.STATUS.offset] = 0
    assert fake.raise_interrupt(LSC) is False  # masked, on a shared line
    driver.poll()
    assert not driver.is_link_up


def test_polling_mode_sees_link_changes(fake, started):
    driver = started(interrupts=False)
    fake.registers[ds.STATUS.offset] = 0
    fake.registers[ds.ICR.offset] = LSC
    driver.poll()
    assert not driver.is_link_up
    fake.receive(bytes(60))
    assert driver.poll()
    assert driver.receive() is not None
    assert fake.writes("IMS", "IMC") == []


def test_a_card_that_is_gone_is_not_an_interrupt(fake, started):
    driver = started()
    assert fake.raise_interrupt(0xFFFFFFFF) is False
    assert driver.drops == {"card gone": 1}


def test_13_7_statistics_add_up_and_survive_a_reset(fake, started):
    driver = started()
    assert driver.statistics["GPRC"] == 0
    fake.registers[ds.GPRC.offset] = 3
    fake.registers[ds.GORCL.offset], fake.registers[ds.GORCH.offset] = 7, 2
    assert driver.statistics["GPRC"] == 3
    assert driver.statistics["GORC"] == 2 * (2 << 32 | 7)  # the mock does not clear what is read
    order = [name for kind, name, _ in fake.log if name in ("GORCL", "GORCH")]
    assert order[:2] == ["GORCL", "GORCH"]
    before = driver.statistics["GPRC"]
    driver.recover()
    driver.stop()
    assert driver.statistics["GPRC"] >= before
    assert {"tx_frames", "rx_frames", "interrupts", "gro_joined", "recoveries", "drops"} <= set(driver.statistics)


def snapshot(fake, driver):
    return (
        [part.save() for part in walk(driver)],
        fake.memory.save(),
        dict(fake.registers),
        fake.head,
        fake.clock.now,
        bytes(fake.config.content),
    )


def restore(fake, driver, saved):
    parts, memory, registers, fake.head, fake.clock.now, fake.config.content[:] = saved
    for part, state in zip(walk(driver), parts, strict=True):
        part.load(state)
    fake.memory.load(memory)
    fake.registers.clear()
    fake.registers.update(registers)


def run_on(fake, driver) -> tuple:
    """Frames both ways from here, and what came of it."""
    seen = []
    for n in range(50):
        fake.receive(bytes([n]) * 60)
        assert driver.send(bytes([n]) * 80)
        if n % 3 == 0:
            tail = fake.registers[ds.TDT.offset]
            fake.transmit_ring((tail - 20) % 64)
            driver.poll()
            while (received := driver.receive()) is not None:
                seen.append(bytes(received.frame))
    return seen, b"".join(b"".join(canonical(part.save())) for part in walk(driver)), dict(fake.registers)


def test_a_snapshot_loads_in_place_even_over_a_stop_and_a_start(make_started):
    fake, driver = make_started(rx_ring=64, tx_ring=64)
    run_on(fake, driver)
    view = driver.reserve(70)
    view[:] = b"r" * 70  # reserved, not yet committed
    saved = snapshot(fake, driver)
    driver.commit()
    expected = run_on(fake, driver)
    driver.stop()
    driver.start()
    driver.send(bytes(60))
    restore(fake, driver, saved)
    assert snapshot(fake, driver) == saved
    driver.commit()
    assert run_on(fake, driver) == expected


step = st.tuples(st.sampled_from(["interrupt", "poll", "receive", "send", "done", "wait"]), st.integers(0, 2**32 - 1))


@given(st.lists(step, max_size=40), st.booleans())
def test_no_register_value_makes_the_driver_raise(make_started, steps, interrupts):
    """ICR, STATUS, MDIC, PHY and transmit write-backs are anything; it goes on, or says that the card is dead."""
    fake, driver = make_started(tx_ring=8, segmentation_offload=False, interrupts=interrupts, hang_timeout="1ms")
    for what, value in steps:
        if what == "interrupt" and interrupts:
            fake.raise_interrupt(value)
        elif what == "poll":
            fake.registers[ds.ICR.offset] = fake.registers[ds.STATUS.offset] = value
            fake.phy[1] = fake.phy[17] = value >> 16
            driver.poll()
        elif what == "receive":
            driver.receive()
        elif what == "send":
            driver.send(bytes(14 + value % 1000))
        elif what == "done":
            fake.memory.view[driver.transmitter.ring.address + value % 128] = value >> 24
        else:
            fake.reset_bit_stuck = bool(value & 1)
            fake.clock.now += value
        assert 0 <= driver.transmitter.ring.produced - driver.transmitter.ring.consumed <= 7
