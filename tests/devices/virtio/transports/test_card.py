"""VirtioNet as it is plugged: identity and capabilities as QEMU's cards have them, options, a machine's MSI-X."""

import pytest

from motenet import Machine, devices
from motenet.core.errors import ConfigurationError
from motenet.devices import VirtioNet
from motenet.doors import PciCard

QEMU = {
    # configuration space of virtio-net-pci in QEMU 7.2 (-M pc), dwords 00 to A4; BARs and the ROM are firmware's to see
    "modern": """
        10411af4 00100000 02000001 00000000  00000000 00000000 00000000 00000000
        0000000c 00000000 00000000 11001af4  00000000 00000098 00000000 00000100
        01100009 00000004 00000000 00001000  03104009 00000004 00001000 00001000
        04105009 00000004 00002000 00001000  02146009 00000004 00003000 00001000
        00000004 05147009 00000000 00000000  00000000 00000000 00038411 00000001  00000801 00000000""",
    "transitional": """
        10001af4 00100000 02000000 00000000  00000001 00000000 00000000 00000000
        0000000c 00000000 00000000 00011af4  00000000 00000098 00000000 00000100
        01100009 00000004 00000000 00001000  03104009 00000004 00001000 00001000
        04105009 00000004 00002000 00001000  02146009 00000004 00003000 00001000
        00000004 05147009 00000000 00000000  00000000 00000000 00038411 00000001  00000801 00000000""",
    "legacy": """
        10001af4 00100000 02000000 00000000  00000001 00000000 00000000 00000000
        00000000 00000000 00000000 00011af4  00000000 00000040 00000000 00000100
        00030011 00000001 00000801 00000000""",
}
PREFETCHABLE = 0x8
"""QEMU calls BAR 4 so, though a read of ISR status changes it (PCI 6.2.5.1); ours is not."""


@pytest.mark.parametrize("transport", QEMU)
def test_4_1_2_and_4_1_4_configuration_space_is_that_of_qemus_card(transport):
    function = plugged(transport=transport).pci.functions[0]
    expected = [int(word, 16) for word in QEMU[transport].split()]
    found = [function.config.read(at, 4) for at in range(0, 4 * len(expected), 4)]
    for index in range(4, 10):  # firmware has given BARs addresses
        found[index] &= 0xF if index != 9 else 0
    found[15] &= ~0xFF  # and an interrupt line
    expected[8] &= ~PREFETCHABLE
    found[1] &= ~0xFFFF  # COMMAND
    assert [hex(word) for word in found] == [hex(word) for word in expected]


def plugged(**options):
    machine = Machine()
    machine.plug(VirtioNet(**options))
    return machine


@pytest.mark.parametrize(
    ("transport", "bars"),
    [
        ("modern", {1: (0x1000, "memory"), 4: (0x4000, "memory64")}),
        ("transitional", {0: (64, "io"), 1: (0x1000, "memory"), 4: (0x4000, "memory64")}),
        ("legacy", {0: (64, "io"), 1: (0x1000, "memory")}),
        ("mmio", {0: (0x200, "memory")}),
    ],
)
def test_bars(transport, bars):
    card = VirtioNet(transport=transport)
    assert {index: (layout.size, layout.kind) for index, layout in card.bars.items()} == bars
    assert isinstance(card, PciCard) == (transport != "mmio")


def test_a_card_without_msix_has_neither_table_nor_capability():
    card = VirtioNet(vectors=0)
    assert sorted(card.bars) == [4]
    assert card.config_header[0x34] == 0x84


def test_vectors_are_one_for_each_queue_and_one_for_the_configuration():
    assert VirtioNet().config_header[0x9A] == 3
    assert VirtioNet(pairs=4).config_header[0x9A] == 9
    assert VirtioNet(pairs=100).config_header[0x9A] == 127


@pytest.mark.parametrize(
    "options",
    [
        {"transport": "ccw"}, {"mac": "01:00:5e:00:00:01"}, {"timing": "slow"}, {"vectors": -1}, {"vectors": 129},
        {"transport": "mmio", "vectors": 2}, {"mtu": 67}, {"pairs": 0}, {"pairs": 512}, {"queue_size": 100},
        {"without": ["TELEPATHY"]},
    ],
    ids=str,
)  # fmt: skip
def test_options_that_cannot_be(options):
    with pytest.raises(ConfigurationError):
        VirtioNet(**options)


def test_the_public_name():
    assert devices.VirtioNet is VirtioNet


def test_6_8_2_a_driver_gets_the_machines_messages():
    """MSI-X through a real slot: table in BAR 1, a message for a configuration change on its vector."""
    machine = plugged()
    function = machine.pci.find(vendor=0x1AF4, device=0x1041)
    function.config.write(4, 6, 2)
    vectors = function.interrupts.allocate(4)
    assert len(vectors) == 4
    common, heard = function.bar(4), []
    for number, vector in enumerate(vectors):
        function.interrupts.connect(vector, lambda number=number: heard.append(number) or True)
    common.write16(0x10, 2)
    assert common.read16(0x10) == 2
    card = machine.slots[0].card
    card.interrupts.config_interrupt()
    machine.run(0)
    assert heard == [2]


def test_the_rest_of_the_table_s_bar_is_empty():
    machine = plugged()
    function = machine.pci.functions[0]
    function.config.write(4, 6, 2)
    assert function.bar(1).read32(0x400) == 0
    function.bar(1).write32(0xFFC, 1)
    assert machine.slots[0].card.device.drops == {"unknown register": 2}


def test_4_1_4_9_the_window_works_with_decoding_off():
    """That is what it is for: firmware that has not mapped the BAR."""
    function = plugged().pci.functions[0]
    config = function.config
    config.write(0x88, 4, 1)
    config.write(0x90, 2, 4)
    config.write(0x8C, 0x12, 4)
    assert config.read(0x94, 2) == 3
    assert config.read(0x84, 4) == 0x05147009
    assert config.read(0x88, 1) == 4


def test_4_2_mmio_on_a_platform():
    machine = plugged(transport="mmio")
    registers = machine.platform.find().bar(0)
    assert [registers.read32(at) for at in (0, 4, 8)] == [0x74726976, 2, 1]
