"""The PHY by itself, with the registers of a 10/100 one: the other card has that kind."""

import pytest

from motenet.core.clock import Clock, LocalClock
from motenet.datasheets.e1000 import phy
from motenet.datasheets.registers import RegisterMap
from motenet.devices.parts.mii import AUTO_NEGOTIATION, MiiPhy
from motenet.devices.parts.timing import timing

FAST = RegisterMap("a 10/100 PHY", 33, (phy.BMCR, phy.BMSR, phy.ANAR, phy.ANLPAR, phy.ANER))


class World:
    def __init__(self):
        self.clock = Clock()
        self.changes = []
        self.phy = MiiPhy(FAST, timing("datasheet"), self.changed, lambda reason, detail: None)
        self.phy.plug(LocalClock(self.clock))

    def changed(self):
        self.changes.append((self.clock.now, self.phy.link))


@pytest.fixture
def world():
    return World()


def test_a_fast_ethernet_phy_negotiates_100_full(world):
    world.phy.set_carrier(True)
    world.clock.run(10**10)
    assert (world.phy.link, world.phy.speed, world.phy.full_duplex) == (True, 100, True)
    assert world.changes == [(AUTO_NEGOTIATION, True)]
    assert world.phy.read(5) & 0x01E0 == 0x01E0
    assert world.phy.read(6) & 1


def test_pulling_the_cable_ends_a_negotiation(world):
    world.phy.set_carrier(True)
    world.clock.run(AUTO_NEGOTIATION // 2)
    world.phy.set_carrier(False)
    world.clock.run(10**10)
    assert world.changes == []


def test_28_2_4_restart_takes_the_link_down_and_up_again(world):
    world.phy.set_carrier(True)
    world.clock.run(10**10)
    world.phy.write(0, 0x1200)
    assert not world.phy.link
    assert world.phy.read(0) & 0x0200 == 0  # clears itself
    world.clock.run(2 * 10**10)
    assert [link for _, link in world.changes] == [True, False, True]


def test_22_2_4_1_1_reset_clears_itself_and_brings_back_the_advertisement(world):
    world.phy.write(4, 0x0021)
    world.phy.write(0, 0x9140)
    assert world.phy.read(4) == phy.ANAR.reset
    assert world.phy.read(0) == 0x1140


def test_22_2_4_2_10_without_negotiation_none_is_complete_and_enabling_it_begins_one(world):
    world.phy.set_carrier(True)
    world.clock.run(10**9)
    assert world.phy.read(1) & 0x20
    world.phy.write(0, 0x2100)
    assert (world.phy.link, world.phy.read(1) & 0x20) == (True, 0)
    world.phy.write(0, 0x1000)
    assert (world.phy.link, world.phy.read(1) & 0x20) == (False, 0)
    world.clock.run(2 * 10**9)
    assert (world.phy.link, world.phy.read(1) & 0x20) == (True, 0x20)
    before = len(world.changes)
    world.phy.write(0, 0x1000)
    world.clock.run(3 * 10**9)
    assert len(world.changes) == before, "what is negotiated stays"


def test_nothing_in_common_makes_no_link(world):
    world.phy.write(4, 0x0001)
    world.phy.set_carrier(True)
    world.clock.run(10**10)
    assert not world.phy.link


def test_read_only_registers_are_not_written(world):
    world.phy.write(1, 0xFFFF)
    assert world.phy.read(1) == 0x7949
