"""Receive filters: addresses, the multicast hash and VLANs (8254x 13.4.22, 13.5)."""

import pytest

from motenet.core.errors import ConfigurationError
from motenet.datasheets import e1000 as ds
from motenet.drivers.e1000.filters import multicast_hash

GROUP = bytes.fromhex("01005e000001")


def groups(count: int) -> list[bytes]:
    return [bytes([1, 0, 0x5E, 0, 0, n]) for n in range(count)]


def entry(fake, index: int) -> tuple[int, int]:
    return fake.registers.get(ds.RAL.offset + 8 * index, 0), fake.registers.get(ds.RAH.offset + 8 * index, 0)


def test_13_5_1_the_manuals_example():
    """An address that ends in 9x:BC, with bits 47:36: row 94, bit 9."""
    bit = multicast_hash(bytes.fromhex("0112345678bc").replace(b"\x78", b"\x9a"), 0)
    assert divmod(bit, 32) == (94, 9)


@pytest.mark.parametrize(("offset", "lsb"), [(0, 36), (1, 35), (2, 34), (3, 32)])
def test_13_4_22_rctl_mo_selects_the_bits(offset, lsb):
    address = bytes.fromhex("0100a5c37e91")
    assert multicast_hash(address, offset) == int.from_bytes(address, "little") >> lsb & 0xFFF


def test_fifteen_groups_have_entries_of_their_own_and_the_rest_the_hash(fake, started):
    driver = started()
    driver.set_multicast(groups(17))
    assert entry(fake, 0) == (0x12005452, 0x80005634)
    assert entry(fake, 1) == (0x005E0001, 0x80000000)
    assert entry(fake, 15) == (0x005E0001, 0x80000E00)
    bits = [
        32 * row + bit for row in range(128) for bit in range(32) if fake.registers[ds.MTA.offset + 4 * row] >> bit & 1
    ]
    assert bits == sorted(multicast_hash(group, 0) for group in groups(17)[15:])


def test_13_5_3_low_before_high_and_back_the_other_way(fake, started):
    driver = started()
    driver.set_multicast([GROUP])
    driver.set_multicast([])
    names = [name for name, _ in fake.writes("RAL[1]", "RAH[1]")]
    assert names == ["RAL[1]", "RAH[1]", "RAH[1]", "RAL[1]"]
    assert entry(fake, 1) == (0, 0)


def test_promiscuous_and_all_multicast(fake, started):
    driver = started()
    driver.set_promiscuous(True)
    assert fake.registers[ds.RCTL.offset] & 0x18 == 0x18
    driver.set_promiscuous(False)
    driver.set_all_multicast(True)
    assert fake.registers[ds.RCTL.offset] & 0x18 == 0x10
    driver.set_all_multicast(False)
    assert fake.registers[ds.RCTL.offset] & 0x1A == 0x02


def test_13_5_4_vlan_filter(fake, started):
    driver = started()
    assert not fake.registers[ds.RCTL.offset] & ds.RCTL["VFE"]
    driver.set_vlan_filter([5, 4095])
    assert fake.registers[ds.VFTA.offset] == 1 << 5
    assert fake.registers[ds.VFTA.offset + 127 * 4] == 1 << 31
    assert fake.registers[ds.RCTL.offset] & ds.RCTL["VFE"]
    driver.set_vlan_filter(None)
    assert not fake.registers[ds.RCTL.offset] & ds.RCTL["VFE"]


def test_what_was_asked_for_outlives_a_reset_and_may_come_before_start(fake, make_started):
    fake, driver = make_started()
    driver.stop()
    driver.set_multicast([GROUP])
    driver.set_vlan_mode(True)
    driver.set_all_multicast(True)
    driver.start()
    driver.recover()
    assert entry(fake, 1) == (0x005E0001, 0x80000100)
    assert fake.registers[ds.CTRL.offset] & ds.CTRL["VME"]
    assert fake.registers[ds.RCTL.offset] & ds.RCTL["MPE"]


@pytest.mark.parametrize("wrong", [b"\x02\0\0\0\0\1", b"\x01", b""])
def test_what_is_no_group_is_refused(started, wrong):
    with pytest.raises(ConfigurationError, match="multicast"):
        started().set_multicast([wrong])


@pytest.mark.parametrize("wrong", [[-1], [4096]])
def test_what_is_no_vlan_is_refused(started, wrong):
    with pytest.raises(ConfigurationError, match="4095"):
        started().set_vlan_filter(wrong)
