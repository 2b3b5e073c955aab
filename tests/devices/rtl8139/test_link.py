"""The PHY's registers, media status, link changes (RTL8139C 5.12, 5.18 to 5.27), and the timer interrupt."""

import pytest

CLOCK = 33_333_333


def test_5_19_negotiation_ends_at_100_mbit_full_duplex(new_bench):
    bench = new_bench("C", "datasheet", link=False)
    bench.plug(True)
    assert [bench.read(offset, 2) for offset in (0x62, 0x64, 0x66, 0x68, 0x6A)] == [0x1000, 0x7809, 0x01E1, 0, 0]
    assert bench.read(0x58, 1) == 0x14
    bench.run(10**9)
    bench.read(0x64, 2)
    assert [bench.read(offset, 2) for offset in (0x62, 0x64, 0x66)] == [0x1100, 0x782D, 0x01E1]
    assert bench.read(0x6A, 2) == 0x0003
    assert bench.read(0x68, 2) == 0x45E1
    assert bench.read(0x6A, 2) == 0x0001, "PAGE_RX is cleared by reading ANLPAR"
    assert bench.read(0x58, 1) == 0x10


@pytest.mark.parametrize(
    ("advertised", "media", "duplex"),
    [(0x01E1, 0x10, 0x0100), (0x00E1, 0x10, 0), (0x0061, 0x18, 0x0100), (0x0021, 0x18, 0)],
)
def test_28b_3_the_best_common_ability_wins(bench, advertised, media, duplex):
    bench.write(0x66, advertised, 2)
    bench.write(0x62, 0x1200, 2)
    bench.run(10**9)
    assert bench.read(0x58, 1) == media
    assert bench.read(0x62, 2) & 0x0100 == duplex


@pytest.mark.parametrize(
    ("control", "media"), [(0x2100, 0x10), (0x2000, 0x10), (0x0100, 0x18), (0x0000, 0x18)]
)  # fmt: skip
def test_5_18_without_negotiation_bmcr_decides(bench, control, media):
    bench.unlock()
    bench.write(0x62, control, 2)
    assert bench.read(0x58, 1) == media
    assert bench.read(0x62, 2) == control


def test_5_18_phy_reset_restores_its_registers_and_clears_itself(bench):
    bench.unlock()
    bench.write(0x66, 0x0021, 2)
    bench.write(0x62, 0x8000, 2)
    assert [bench.read(offset, 2) for offset in (0x62, 0x66)] == [0x1000, 0x01E1]
    bench.run(10**9)
    assert bench.read(0x58, 1) == 0x10


def test_5_6_linkchg_msr_cscr_and_dis_tell_of_a_pulled_cable(bench):
    """CSCR bits 10 and 11 are undocumented; Linux 8139too looks at the media only when bit 11 says so."""
    bench.write(0x3C, 0x0020, 2)
    bench.plug(False)
    assert (bench.slot.level, bench.isr()) == (True, 0x0020)
    assert bench.read(0x58, 1) == 0x14
    assert bench.read(0x74, 2) == 0x0BC0
    assert bench.read(0x74, 2) == 0x03C0
    assert (bench.read(0x6C, 2), bench.read(0x6C, 2)) == (1, 0)
    bench.plug(True)
    bench.run(10**9)
    assert bench.isr() == 0x0020
    assert bench.read(0x74, 2) == 0x0FC8
    assert bench.read(0x64, 2) == 0x7829, "the link bit latches low"
    assert bench.read(0x64, 2) == 0x782D


def test_link_and_reset_are_told(new_bench):
    bench = new_bench(link=False)
    seen = []
    bench.card.watch = seen.append
    bench.plug(True)
    bench.run(10**9)
    bench.plug(False)
    bench.write(0x37, 0x10, 1)
    assert [(event.what, event.detail) for event in seen] == [
        ("link", "up, 100 Mbit/s, full duplex"), ("link", "down"), ("reset", "CR.RST"),
    ]  # fmt: skip


def test_5_5_imr_masks_the_pin_and_not_isr(bench):
    bench.write(0x3C, 0x0001, 2)
    bench.card.interrupts.cause(0x0004)
    assert (bench.slot.level, bench.read(0x3E, 2)) == (False, 0x0004)
    bench.write(0x3C, 0x0004, 2)
    assert bench.slot.level
    bench.write(0x3C, 0x0000, 2)
    assert not bench.slot.level
    bench.write(0x3C, 0x0005, 2)
    bench.card.interrupts.cause(0x0001)
    bench.write(0x3E, 0x0004, 2)
    assert bench.slot.level, "another cause is left"
    bench.write(0x3E, 0x0001, 2)
    assert not bench.slot.level
    assert len(bench.slot.edges) == 4


# --- TCTR and TIMERINT, as QEMU's rtl8139-test.c expects them


def test_tctr_counts_33_333_333_a_second_and_wraps(bench):
    bench.write(0x48, 12345, 4)
    assert bench.read(0x48, 4) == 0
    bench.run(10**9)
    assert bench.read(0x48, 4) == CLOCK
    bench.run(128 * 10**9)
    assert bench.read(0x48, 4) == 129 * CLOCK - 2**32
    assert bench.isr() & 0x4000 == 0, "no interrupt while TimerInt is 0"


def test_timerint_sets_timeout_when_tctr_reaches_it(bench):
    bench.write(0x3C, 0x4000, 2)
    bench.write(0x54, 1, 4)
    bench.write(0x48, 0, 4)
    bench.run(29)
    assert not bench.slot.level
    bench.run(2)
    assert bench.slot.level
    assert bench.isr() == 0x4000
    bench.run(10**9)
    assert bench.isr() == 0, "not before the counter has wrapped"
    bench.run(128 * 10**9)
    assert bench.isr() == 0x4000


@pytest.mark.parametrize("offset", [0x48, 0x54])
def test_timeout_stays_when_counter_or_limit_are_written_again(bench, offset):
    bench.write(0x48, 0, 4)
    bench.write(0x54, CLOCK // 2, 4)
    bench.run(500_000_010 - 50)
    assert bench.isr() == 0
    bench.run(10**9)
    bench.write(offset, 0, 4)
    assert bench.isr() == 0x4000


def test_a_limit_behind_the_counter_waits_for_the_wrap(bench):
    bench.write(0x48, 0, 4)
    bench.run(10**9)
    bench.write(0x54, CLOCK - 1, 4)
    bench.run(128 * 10**9)
    assert bench.isr() == 0
    bench.run(10**9)
    assert bench.isr() == 0x4000


def test_a_limit_written_anew_or_a_reset_cancels_the_old_alarm(bench):
    bench.write(0x48, 0, 4)
    bench.write(0x54, 1000, 4)
    bench.write(0x54, 0, 4)
    bench.run(10**9)
    assert bench.isr() == 0
    bench.write(0x54, 2 * CLOCK, 4)
    bench.write(0x37, 0x10, 1)
    bench.run(10**10)
    assert bench.isr() == 0
    assert bench.read(0x48, 4) == 10 * CLOCK
