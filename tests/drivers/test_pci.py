"""PCI helpers (PCI Local Bus 3.0, chapter 6) on literal configuration spaces."""

import pytest

from motenet.core.errors import DriverError
from motenet.drivers import pci


class Function:
    """A function with a configuration space to write on, and a BAR for each index."""

    name = "card"

    def __init__(self, **content: bytes) -> None:
        self.content = bytearray(256)
        for at, data in content.items():
            offset = int(at[1:], 16)
            self.content[offset : offset + len(data)] = data
        self.config = self
        self.delays: list[int] = []

    def read(self, offset: int, width: int) -> int:
        return int.from_bytes(self.content[offset : offset + width], "little")

    def write(self, offset: int, value: int, width: int) -> None:
        self.content[offset : offset + width] = value.to_bytes(width, "little")

    def delay(self, nanoseconds: int) -> None:
        self.delays.append(nanoseconds)

    def bar(self, index: int) -> int:
        return index


def test_6_2_5_1_bars_are_found_by_kind():
    real = Function(x10=b"\0\0\0\xe0", x18=b"\x01\xc0\0\0")  # an 82540EM: memory at BAR 0, I/O at BAR 2
    assert list(pci.bars(real)) == [(0, "memory"), (2, "io")]
    qemu = Function(x10=b"\0\0\0\xe0", x14=b"\x01\xc0\0\0")
    assert pci.find_bar(qemu, "io") == 1
    with pytest.raises(DriverError, match="no io BAR"):
        pci.find_bar(Function(x10=b"\0\0\0\xe0"), "io")


def test_6_2_5_1_a_64_bit_bar_takes_two():
    card = Function(x10=b"\x04\0\0\0", x14=b"\x01\0\0\0", x18=b"\0\0\0\xe0")
    assert list(pci.bars(card)) == [(0, "memory"), (2, "memory")]
    assert list(pci.bars(Function(x24=b"\x04\0\0\xe0"))) == [(5, "memory")]


def test_6_2_2_command_bits_come_and_go_alone():
    card = Function(x04=b"\x40\x01")
    pci.enable(card, "MEMORY", "MASTER")
    assert card.read(4, 2) == 0x146
    pci.disable(card, "MASTER")
    assert card.read(4, 2) == 0x142


def test_6_7_capabilities_and_a_list_in_circles():
    card = Function(x06=b"\x10", x34=b"\xdc", xdc=b"\x01\xe4", xe4=b"\x07\xf0", xf0=b"\x05\x00")
    assert pci.capabilities(card) == [(1, 0xDC), (7, 0xE4), (5, 0xF0)]
    assert pci.find_capability(card, 5) == 0xF0
    assert pci.find_capability(card, 0x11) is None
    card.content[0xF1] = 0xDC
    assert len(pci.capabilities(card)) == 3


def test_pm_5_4_a_sleeping_function_is_woken_and_given_10_ms():
    card = Function(x06=b"\x10", x34=b"\xdc", xdc=b"\x01\x00\xc8\x22\x03\x20")
    pci.power_up(card)
    assert card.read(0xE0, 2) == 0x2000
    assert card.delays == [10_000_000]
    pci.power_up(card)
    assert card.delays == [10_000_000]
    pci.power_up(Function())


def test_identify_names_both_sides():
    assert pci.identify(Function(x00=b"\x86\x80\x0e\x10"), {(0x8086, 0x100E): "it"}) == "it"
    with pytest.raises(DriverError, match=r"card is 10ec:8139; .* it \(8086:100e\)"):
        pci.identify(Function(x00=b"\xec\x10\x39\x81"), {(0x8086, 0x100E): "it"})
