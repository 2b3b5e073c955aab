"""Accept filters: RCR's bits and the multicast hash (RTL8139C 5.8, MAR)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.errors import ConfigurationError
from motenet.datasheets import rtl8139 as ds
from motenet.drivers.rtl8139.filters import multicast_hash

GROUPS = [bytes.fromhex("01005e000001"), bytes.fromhex("3333ff000007")]


def ether_crc(data: bytes) -> int:
    """IEEE 802.3 3.2.9 bit by bit, as Linux's ether_crc(): the first bit of a byte is its lowest."""
    crc = 0xFFFFFFFF
    for byte in data:
        for place in range(8):
            carry = crc >> 31 ^ byte >> place & 1
            crc = crc << 1 & 0xFFFFFFFF
            if carry:
                crc ^= 0x04C11DB7
    return crc


@given(st.binary(min_size=6, max_size=6))
def test_the_hash_is_the_upper_six_bits_of_the_crc(address):
    assert multicast_hash(address) == ether_crc(address) >> 26


@pytest.mark.parametrize("mode", ["C", "C+"])
def test_a_change_of_groups_leaves_rcr_alone(fake, started, mode):
    """Some cards begin a new ring when RCR is written, and forget what has not been read."""
    driver = started(mode)
    driver.set_multicast(GROUPS)
    bits = 1 << multicast_hash(GROUPS[0]) | 1 << multicast_hash(GROUPS[1])
    assert fake.writes() == [("MAR[0]", bits & 0xFFFFFFFF), ("MAR[1]", bits >> 32)]
    assert fake.log[-1][:2] == ("read", "MAR[0]"), "posted writes have arrived"
    fake.log.clear()
    driver.set_all_multicast(True)
    assert fake.writes() == [("MAR[0]", 0xFFFFFFFF), ("MAR[1]", 0xFFFFFFFF)]
    driver.set_all_multicast(False)
    assert fake.writes()[-2:] == [("MAR[0]", bits & 0xFFFFFFFF), ("MAR[1]", bits >> 32)]


@pytest.mark.parametrize("mode", ["C", "C+"])
def test_promiscuous_takes_everything(fake, started, mode):
    driver = started(mode)
    before = fake.get(ds.RCR)
    driver.set_promiscuous(True)
    assert fake.get(ds.RCR) == before | ds.RCR["AAP"]
    assert [fake.get(ds.MAR, n) for n in (0, 1)] == [0xFFFFFFFF] * 2
    driver.set_promiscuous(False)
    assert fake.get(ds.RCR) == before
    assert before & 0x3F == ds.RCR["AB"] | ds.RCR["AM"] | ds.RCR["APM"]


@pytest.mark.parametrize("mode", ["C", "C+"])
def test_filters_outlive_a_reset(fake, started, mode):
    driver = started(mode)
    driver.set_multicast(GROUPS[:1])
    driver.set_promiscuous(True)
    driver.recover()
    assert fake.get(ds.RCR) & ds.RCR["AAP"]
    driver.set_promiscuous(False)
    bit = multicast_hash(GROUPS[0])
    assert fake.get(ds.MAR, bit >> 5) == 1 << (bit & 31)


@pytest.mark.parametrize("group", [bytes(6), b"\x01\x02", bytes.fromhex("02005e000001")])
def test_what_is_no_group_is_refused(started, group):
    with pytest.raises(ConfigurationError, match="multicast"):
        started("C").set_multicast([group])
