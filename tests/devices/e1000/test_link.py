"""MDIC, the PHY, negotiation, LSC and loopback (8254x 13.4.7, 8.6; IEEE 802.3 22.2.4, 28, 40)."""

import pytest

from motenet.datasheets import e1000 as sheet

LU, LSC = sheet.STATUS["LU"], sheet.ICR["LSC"]


def plug_in(bench):
    bench.slot.port.carrier = True
    bench.card.carrier_changed(True)


def test_13_4_7_a_read_takes_64_us_and_sets_ready(new_bench):
    bench = new_bench("datasheet", link=False)
    bench.write(sheet.MDIC, 2 << 26 | 1 << 21 | 2 << 16)
    bench.run(63_000)
    assert not bench.read(sheet.MDIC) & sheet.MDIC["R"]
    bench.run(1_000)
    assert bench.read(sheet.MDIC) & (sheet.MDIC["R"] | sheet.MDIC["E"]) == sheet.MDIC["R"]
    assert bench.read(sheet.MDIC) & 0xFFFF == 0x0141


def test_13_4_7_the_phys_identity_is_the_one_that_linux_looks_for(bench):
    """M88E1011_I_PHY_ID 0x01410C20, whose last four bits are the revision."""
    identity = (bench.mdio(2) & 0xFFFF) << 16 | bench.mdio(3) & 0xFFFF
    assert identity & 0xFFFFFFF0 == 0x01410C20


def test_13_4_7_another_phy_address_gives_an_error(bench):
    assert bench.mdio(2, phy=2) & (sheet.MDIC["E"] | 0xFFFF) == sheet.MDIC["E"] | 0xFFFF
    assert not bench.mdio(2) & sheet.MDIC["E"]


def test_13_4_7_the_end_of_a_transaction_interrupts_if_asked(bench):
    bench.write(sheet.MDIC, sheet.MDIC["I"] | 2 << 26 | 1 << 21)
    bench.run()
    assert bench.read(sheet.ICR) & sheet.ICR["MDAC"]


def test_13_4_7_writing_before_ready_loses_the_transaction(new_bench):
    bench = new_bench("datasheet", link=False)
    bench.write(sheet.MDIC, 1 << 26 | 1 << 21 | 4 << 16 | 0x0001)
    bench.run(10_000)
    bench.write(sheet.MDIC, 2 << 26 | 1 << 21 | 3 << 16)
    bench.run(64_000)
    assert bench.read(sheet.MDIC) & 0xFFFF == 0x0C20
    assert bench.mdio(4) & 0xFFFF == 0x0DE1
    assert bench.drops == {"MDIC busy": 1}


def test_28_negotiation_takes_its_time_and_ends_at_gigabit_full_duplex(new_bench):
    bench = new_bench("datasheet", link=False)
    bench.write(sheet.CTRL, sheet.CTRL["SLU"])
    plug_in(bench)
    bench.run(100_000_000)
    assert not bench.read(sheet.STATUS) & LU
    bench.run(4_500_000_000)  # Linux gives it 4.5 s
    status = bench.read(sheet.STATUS)
    assert status & LU
    assert status & sheet.STATUS["FD"]
    assert sheet.STATUS.field("SPEED").get(status) == 2
    bmsr = bench.mdio(1) & 0xFFFF
    assert bmsr & 0x0020  # negotiation complete
    assert bench.mdio(10) & 0x3000 == 0x3000  # both receivers well
    assert bench.mdio(17) & 0xAC00 == 0xAC00  # M88: 1000, full duplex, resolved, link


def test_22_2_4_2_13_bmsr_latches_a_lost_link_until_read(bench):
    assert bench.mdio(1) & 4 == 0  # it was down before
    assert bench.mdio(1) & 4
    bench.card.carrier_changed(False)
    bench.card.carrier_changed(True)
    bench.run()
    assert bench.mdio(1) & 4 == 0
    assert bench.mdio(1) & 4


@pytest.mark.parametrize(
    ("anar", "gcon", "speed", "full"),
    [
        (0x0DE1, 0x0E00, 2, True),
        (0x0DE1, 0, 1, True),
        (0x00E1, 0, 1, False),
        (0x0061, 0, 0, True),
        (0x0021, 0, 0, False),
    ],
)
def test_28b_3_the_best_common_ability_wins(bench, anar, gcon, speed, full):
    bench.mdio(4, anar)
    bench.mdio(9, gcon)
    bench.mdio(0, 0x1340)
    bench.run()
    status = bench.read(sheet.STATUS)
    assert (sheet.STATUS.field("SPEED").get(status), bool(status & sheet.STATUS["FD"])) == (speed, full)


def test_22_2_4_1_a_forced_speed_needs_no_negotiation(bench):
    bench.mdio(0, 0xA100)
    bench.run()
    status = bench.read(sheet.STATUS)
    assert sheet.STATUS.field("SPEED").get(status) == 1
    assert status & LU


def test_13_4_17_lsc_tells_of_every_change(bench):
    bench.card.carrier_changed(False)
    assert bench.read(sheet.ICR) & LSC
    assert not bench.read(sheet.STATUS) & LU
    bench.card.carrier_changed(True)
    bench.run()
    assert bench.read(sheet.ICR) & LSC
    assert bench.read(sheet.STATUS) & LU


def test_8_6_2_without_slu_the_mac_sees_no_link(bench):
    bench.write(sheet.CTRL, 0)
    assert not bench.read(sheet.STATUS) & LU
    bench.write(sheet.CTRL, sheet.CTRL["SLU"])
    assert bench.read(sheet.STATUS) & LU


def test_8_6_2_3_frcspd_and_frcdplx_override_the_phy(bench):
    forced = sheet.CTRL["SLU"] | sheet.CTRL["FRCSPD"] | sheet.CTRL["FRCDPLX"]
    bench.write(sheet.CTRL, forced | sheet.CTRL.field("SPEED").put(1))
    status = bench.read(sheet.STATUS)
    assert (sheet.STATUS.field("SPEED").get(status), status & sheet.STATUS["FD"]) == (1, 0)


def test_13_4_1_phy_rst_drops_the_link_and_restores_the_phys_registers(bench):
    bench.mdio(4, 0x0021)
    bench.write(sheet.CTRL, sheet.CTRL["SLU"] | sheet.CTRL["PHY_RST"])
    assert not bench.read(sheet.STATUS) & LU
    bench.write(sheet.CTRL, sheet.CTRL["SLU"])
    bench.run()
    assert bench.mdio(4) & 0xFFFF == 0x0DE1
    assert bench.read(sheet.STATUS) & LU


def test_14_7_a_software_reset_leaves_the_phys_link_alone(new_bench):
    bench = new_bench("datasheet")
    bench.write(sheet.CTRL, sheet.CTRL["RST"])
    assert not bench.read(sheet.STATUS) & LU
    bench.write(sheet.CTRL, sheet.CTRL["SLU"])
    assert bench.read(sheet.STATUS) & LU  # at once: nothing to negotiate


def test_22_2_4_1_power_down_takes_the_link_away(bench):
    bench.mdio(0, 0x1940)
    assert not bench.read(sheet.STATUS) & LU


def test_13_4_7_phy_loopback_as_linux_ethtool_does_it(bench):
    """BMCR 0x4140: what is sent comes back, and the cable sees nothing; also without a cable."""
    bench.transmitter()
    bench.receiver(control=sheet.RCTL["BAM"])
    bench.card.carrier_changed(False)
    bench.mdio(0, 0x8140)
    bench.mdio(0, 0x4140)
    frame = b"\xff" * 512 + bytes(range(256)) * 2
    bench.legacy(frame, "EOP IFCS RPS")
    assert bench.ring() == []
    data, status, errors, *_ = bench.received()
    assert data[:-4] == frame
    assert (status & 3, errors) == (3, 0)
    bench.mdio(0, 0x0140)
    bench.card.carrier_changed(True)
    bench.legacy(frame)
    assert bench.ring() == [frame]


def test_13_4_7_in_loopback_the_cable_is_not_heard(bench):
    bench.receiver(control=sheet.RCTL["BAM"])
    bench.mdio(0, 0x4140)
    bench.deliver(b"\xff" * 60)
    assert bench.read(sheet.TPR) == 0


def test_frames_without_a_link_are_not_sent_until_it_is_there(bench):
    """Linux e1000 resets the card to be rid of work that was queued when the link went: the transmitter stands."""
    bench.transmitter()
    bench.card.carrier_changed(False)
    bench.legacy(bytes(60))
    assert bench.ring() == []
    assert bench.read(sheet.TDH) == 0
    bench.card.carrier_changed(True)
    bench.run()
    assert len(bench.sent) == 1
