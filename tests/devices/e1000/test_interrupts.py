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


def test_13_4_30_fpd_raises_the_receive_timer(bench):
    bench.write(sheet.RDTR, sheet.RDTR["FPD"] | 5)
    assert bench.read(sheet.ICR) & RXT0
    assert bench.read(sheet.RDTR) == 5
