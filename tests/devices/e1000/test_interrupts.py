"""Causes, masks, throttling and messages (8254x 13.4.17 to 13.4.21, 4.1.3)."""

from itertools import pairwise

import pytest

from motenet.datasheets import e1000 as sheet

LSC, TXDW, RXT0 = (sheet.ICR[name] for name in ("LSC", "TXDW", "RXT0"))


def test_13_4_17_reading_clears_all_and_lowers_the_line(bench):
    bench.write(sheet.IMS, LSC)
    bench.write(sheet.ICS, LSC | RXT0)
    assert bench.slot.level
    assert bench.read(sheet.ICR) == LSC | RXT0
    assert not bench.slot.level
    assert bench.read(sheet.ICR) == 0


def test_13_4_17_writing_ones_clears_those_bits_too(bench):
    bench.write(sheet.IMS, LSC)
    bench.write(sheet.ICS, LSC | RXT0)
    bench.write(sheet.ICR, LSC)
    assert not bench.slot.level
    assert bench.read(sheet.ICR) == RXT0


def test_13_4_19_ics_reads_as_icr_without_clearing(bench):
    """Write-only on paper; VxWorks reads it on silicon."""
    bench.write(sheet.ICS, TXDW)
    assert bench.read(sheet.ICS) == bench.read(sheet.ICS) == TXDW
    assert bench.read(sheet.ICR) == TXDW


def test_13_4_20_ims_sets_imc_clears_and_ims_reads_the_mask(bench):
    bench.write(sheet.IMS, LSC | TXDW)
    bench.write(sheet.IMS, RXT0)
    bench.write(sheet.IMC, TXDW)
    assert bench.read(sheet.IMS) == LSC | RXT0
    assert bench.read(sheet.IMC) == 0
    bench.write(sheet.IMC, 0xFFFFFFFF)
    assert bench.read(sheet.IMS) == 0
    assert bench.drops == {}


def test_13_4_20_unmasking_a_pending_cause_interrupts_and_masking_ends_it(bench):
    bench.write(sheet.ICS, LSC)
    assert not bench.slot.level
    bench.write(sheet.IMS, LSC)
    assert bench.slot.level
    bench.write(sheet.IMC, LSC)
    assert not bench.slot.level
    assert bench.read(sheet.ICR) == LSC


@pytest.mark.parametrize("bit", range(10))
def test_linux_ethtool_t_every_bit_from_0_to_9_interrupts(bench, bit):
    """drivers/net/ethernet/intel/e1000's interrupt test, on silicon: bits 5 and 8 too."""
    mask = 1 << bit
    bench.write(sheet.IMC, 0xFFFFFFFF)
    bench.write(sheet.ICS, mask)
    assert not bench.slot.level
    bench.write(sheet.IMS, mask)
    assert bench.slot.level
    assert bench.read(sheet.ICR) == mask
    bench.write(sheet.ICS, ~mask & 0x7FFF)
    assert not bench.slot.level


def test_13_4_18_itr_keeps_interrupts_apart(bench):
    """500 in units of 256 ns: 128 us, at most 7813 a second."""
    bench.write(sheet.ITR, 500)
    bench.write(sheet.IMS, RXT0)
    for _ in range(100):
        bench.write(sheet.ICS, RXT0)
        bench.run(10_000)
        bench.read(sheet.ICR)
    rises = [time for time, level in bench.slot.edges if level]
    assert {later - earlier for earlier, later in pairwise(rises)} == {128_000}
    assert len(rises) > 5


def test_13_4_18_a_cause_that_is_read_meanwhile_makes_no_interrupt(bench):
    bench.write(sheet.ITR, 500)
    bench.write(sheet.IMS, RXT0)
    bench.write(sheet.ICS, RXT0)
    bench.read(sheet.ICR)
    bench.write(sheet.ICS, RXT0)
    bench.read(sheet.ICR)
    bench.run(1_000_000)
    assert len(bench.slot.edges) == 2


def test_13_4_18_zero_switches_throttling_off(bench):
    bench.write(sheet.ITR, 0xFFFF)
    bench.write(sheet.IMS, RXT0)
    bench.write(sheet.ICS, RXT0)
    bench.read(sheet.ICR)
    bench.write(sheet.ICS, RXT0)
    assert not bench.slot.level
    bench.write(sheet.ITR, 0)
    assert bench.slot.level


def test_4_1_3_one_message_until_icr_is_read(bench):
    bench.slot.msi = True
    bench.write(sheet.IMS, RXT0 | TXDW)
    bench.write(sheet.ICS, RXT0)
    bench.write(sheet.ICS, TXDW)
    bench.write(sheet.ICS, RXT0)
    assert len(bench.slot.messages) == 1
    bench.read(sheet.ICR)
    bench.write(sheet.ICS, RXT0)
    assert len(bench.slot.messages) == 2


def test_4_1_3_masking_and_unmasking_sends_no_second_message(bench):
    """Not until ICR is read and a subsequent cause occurs."""
    bench.slot.msi = True
    bench.write(sheet.IMS, RXT0)
    bench.write(sheet.ICS, RXT0)
    for _ in range(3):
        bench.write(sheet.IMC, RXT0)
        assert not bench.slot.level
        bench.write(sheet.IMS, RXT0)
        assert bench.slot.level
    assert len(bench.slot.messages) == 1
    bench.write(sheet.IMC, RXT0)
    assert bench.read(sheet.ICR) == RXT0
    bench.write(sheet.ICS, RXT0)
    assert len(bench.slot.messages) == 1
    bench.write(sheet.IMS, RXT0)
    assert len(bench.slot.messages) == 2


def test_13_4_17_writing_icr_makes_room_for_another_message_too(bench):
    bench.slot.msi = True
    bench.write(sheet.IMS, RXT0 | TXDW)
    bench.write(sheet.ICS, RXT0 | TXDW)
    bench.write(sheet.ICR, RXT0)
    bench.write(sheet.ICS, RXT0)
    assert len(bench.slot.messages) == 1
    bench.write(sheet.ICR, RXT0 | TXDW)
    bench.write(sheet.ICS, TXDW)
    assert len(bench.slot.messages) == 2


def test_4_1_3_a_message_that_could_not_go_goes_when_the_bus_comes_back(bench):
    bench.slot.msi = bench.slot.deaf = True
    bench.card.bus_master_changed(False)
    bench.write(sheet.IMS, RXT0)
    bench.write(sheet.ICS, RXT0)
    assert bench.slot.messages == []
    bench.slot.deaf = False
    bench.card.bus_master_changed(True)
    assert len(bench.slot.messages) == 1
    bench.card.bus_master_changed(False)
    bench.card.bus_master_changed(True)
    assert len(bench.slot.messages) == 1


def test_4_1_3_the_bus_coming_back_sends_nothing_for_a_masked_cause(bench):
    bench.slot.msi = True
    bench.card.bus_master_changed(False)
    bench.write(sheet.ICS, RXT0)
    bench.card.bus_master_changed(True)
    assert bench.slot.messages == []


@pytest.mark.parametrize(("changed", "second"), [(1000, 256_000), (200, 51_200), (50, 20_000), (0, 20_000)])
def test_13_4_18_a_changed_interval_counts_from_the_last_interrupt(bench, changed, second):
    """The pending interrupt moves with it: to its end, or to the write if that is over."""
    bench.write(sheet.ITR, 500)
    bench.write(sheet.IMS, RXT0)
    bench.write(sheet.ICS, RXT0)
    begin = bench.now
    bench.read(sheet.ICR)
    bench.write(sheet.ICS, RXT0)
    bench.run(20_000)
    bench.write(sheet.ITR, changed)
    bench.run(1_000_000)
    assert [time - begin for time, level in bench.slot.edges if level] == [0, second]


def test_13_4_18_an_interval_begun_after_the_interrupt_holds_the_next_one(bench):
    bench.write(sheet.IMS, RXT0)
    bench.write(sheet.ICS, RXT0)
    begin = bench.now
    bench.read(sheet.ICR)
    bench.write(sheet.ITR, 500)
    bench.write(sheet.ICS, RXT0)
    bench.run(1_000_000)
    assert [time - begin for time, level in bench.slot.edges if level] == [0, 128_000]


def test_13_4_30_fpd_raises_the_receive_timer(bench):
    bench.write(sheet.RDTR, sheet.RDTR["FPD"] | 5)
    assert bench.read(sheet.ICR) & RXT0
    assert bench.read(sheet.RDTR) == 5
