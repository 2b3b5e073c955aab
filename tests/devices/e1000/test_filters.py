"""Address and VLAN filters (8254x 13.5, 13.4.22, 9.3), with the manual's and Linux's own examples."""

import pytest

from motenet.datasheets import e1000 as sheet

UPE, MPE, BAM, VFE, CFIEN, CFI, SECRC = (
    sheet.RCTL[name] for name in ("UPE", "MPE", "BAM", "VFE", "CFIEN", "CFI", "SECRC")
)
PIF = sheet.RDESC_STATUS["PIF"]
BROADCAST, OURS, OTHER = b"\xff" * 6, bytes.fromhex("525400123456"), bytes.fromhex("525400123457")
GROUP = bytes.fromhex("01005e000001")


def accepts(bench, destination, rest=bytes(54)):
    """Whether the frame is received, and with which PIF: None, 0 or PIF."""
    before = bench.read(sheet.RDH)
    bench.deliver(destination + rest)
    if bench.read(sheet.RDH) == before:
        return None
    return bench.received(before)[1] & PIF


@pytest.mark.parametrize(
    ("control", "destination", "passes"),
    [
        (0, OURS, True),
        (0, OTHER, False),
        (UPE, OTHER, True),
        (MPE, OTHER, False),
        (0, BROADCAST, False),
        (BAM, BROADCAST, True),
        (BAM, GROUP, False),
        (UPE, GROUP, False),
        (MPE, GROUP, True),
    ],
)
def test_13_4_22_promiscuity(bench, control, destination, passes):
    bench.receiver(control=control)
    assert accepts(bench, destination) == (0 if passes else None)


def test_13_5_3_av_and_all_sixteen_addresses(bench):
    bench.receiver()
    for index in range(16):
        bench.write(sheet.RAL, int.from_bytes(OTHER[:4], "little"), index)
        bench.write(sheet.RAH, int.from_bytes(OTHER[4:], "little"), index)
        assert accepts(bench, OTHER) is None
        bench.write(sheet.RAH, int.from_bytes(OTHER[4:], "little") | sheet.RAH["AV"], index)
        assert accepts(bench, OTHER) == 0
        bench.write(sheet.RDT, (bench.read(sheet.RDH) - 1) % 16)
        bench.write(sheet.RAH, 0, index)


def test_13_5_3_as_1_compares_the_source(bench):
    bench.receiver()
    bench.write(sheet.RAL, int.from_bytes(OTHER[:4], "little"), 1)
    bench.write(sheet.RAH, int.from_bytes(OTHER[4:], "little") | sheet.RAH["AV"] | 1 << 16, 1)
    assert accepts(bench, OTHER) is None
    assert accepts(bench, GROUP, OTHER + bytes(48)) == 0


HASHES = [(0, 94, 9), (1, 60, 18), (2, 121, 5), (3, 100, 20)]
"""13.5.1's example, an address ending in 94:BC: row 94, bit 9 for MO 0; the others as Linux e1000_hash_mc_addr."""


@pytest.mark.parametrize(("offset", "row", "bit"), HASHES)
def test_13_5_1_the_multicast_hash(bench, offset, row, bit):
    destination = bytes.fromhex("0100000094bc")
    bench.receiver(control=sheet.RCTL.field("MO").put(offset))
    assert accepts(bench, destination) is None
    bench.write(sheet.MTA, 1 << bit, row)
    assert accepts(bench, destination) == PIF
    assert accepts(bench, bytes.fromhex("0100000094bd")) is None


def test_3_2_3_1_pif_is_clear_for_an_exact_or_promiscuous_match(bench):
    bench.write(sheet.MTA, 0xFFFFFFFF, 94)
    bench.receiver(control=MPE)
    assert accepts(bench, bytes.fromhex("0100000094bc")) == 0


def vlan(tag):
    return OURS[6:] + bytes(6) + b"\x81\x00" + tag.to_bytes(2, "big") + bytes(50)


def test_9_3_vfe_looks_into_vfta(bench):
    bench.write(sheet.VET, 0x8100)
    bench.receiver(control=VFE)
    assert accepts(bench, OURS, vlan(0x123)) is None
    bench.write(sheet.VFTA, 1 << (0x123 & 31), 0x123 >> 5)
    assert accepts(bench, OURS, vlan(0x123)) == 0
    assert accepts(bench, OURS, vlan(0xE123)) == 0  # priority does not count
    assert accepts(bench, OURS, vlan(0x124)) is None
    assert accepts(bench, OURS) == 0  # untagged frames are not filtered


CFIS = [(0, 0x0001, True), (0, 0x1001, False), (CFI, 0x1001, True), (CFI, 0x0001, False)]


@pytest.mark.parametrize(("wanted", "tag", "passes"), CFIS)
def test_9_3_cfien_compares_the_cfi(bench, wanted, tag, passes):
    bench.write(sheet.VET, 0x8100)
    bench.write(sheet.VFTA, 0xFFFFFFFF, 0)
    bench.receiver(control=VFE | CFIEN | wanted)
    assert accepts(bench, OURS, vlan(tag)) == (0 if passes else None)


def test_13_4_11_the_tag_is_known_by_vet(bench):
    """After reset VET is 0, and 0x8100 is an EtherType like any other."""
    bench.receiver(control=VFE)
    assert accepts(bench, OURS, vlan(0x123)) == 0
