"""A card of a few registers, to look at the machine without any real card's peculiarities."""

from collections.abc import Callable
from typing import ClassVar

import pytest

from motenet.core.state import Component
from motenet.doors import BarLayout, FrameFacts, PciSlot
from motenet.machine import Machine


class Card(Component):
    """Memory BAR 0 of dwords, I/O BAR 2 of bytes; PM at 0x40, 64-bit MSI at 0x50."""

    path = "card"

    def __init__(self, wide: bool = False) -> None:
        self.bars = {0: BarLayout(4096, "memory64" if wide else "memory", (4,)), 2: BarLayout(32, "io", (1, 2))}
        header = bytearray(256)
        header[0:4] = b"\x34\x12\x78\x56"
        header[0x06] = 0x10
        header[0x34], header[0x3D] = 0x40, 1
        header[0x40:0x44] = b"\x01\x50\x22\x00"
        header[0x50:0x54] = b"\x05\x00\x80\x00"
        self.config_header = bytes(header)
        self.config_part = None
        self.accesses: list[tuple[int, ...]] = []
        self.resets = 0
        self.masters: list[bool] = []
        self.frames: list[tuple[bytes, FrameFacts | None]] = []
        self.carriers: list[bool] = []

    def plugged(self, slot: PciSlot) -> None:
        self.slot = slot
        slot.port.attach(self)

    def register_space(self, bar: int) -> "Space":
        return Space(self, bar)

    def reset(self) -> None:
        self.resets += 1

    def bus_master_changed(self, enabled: bool) -> None:
        self.masters.append(enabled)

    def frame_arrived(self, frame: bytes, facts: FrameFacts | None) -> None:
        self.frames.append((frame, facts))

    def carrier_changed(self, carrier: bool) -> None:
        self.carriers.append(carrier)


class MsixCard(Card):
    """Besides: three MSI-X messages (0x60), table at 0x800 and pending bits at 0xC00 of a 64-bit BAR 4 of dwords."""

    def __init__(self) -> None:
        super().__init__()
        self.bars[4] = BarLayout(4096, "memory64", (4,))
        header = bytearray(self.config_header)
        header[0x51] = 0x60
        header[0x60:0x6C] = bytes.fromhex("11000200 04080000 040c0000")
        self.config_header = bytes(header)


class PlatformCard(Component):
    """A card outside PCI: 512 bytes of registers."""

    path = "card"
    bars: ClassVar[dict[int, BarLayout]] = {0: BarLayout(512, "memory", (1, 2, 4))}

    def __init__(self) -> None:
        self.accesses: list[tuple[int, ...]] = []
        self.resets = 0

    def plugged(self, slot: PciSlot) -> None:
        self.slot = slot

    def register_space(self, bar: int) -> "Space":
        return Space(self, bar)

    def reset(self) -> None:
        self.resets += 1


class Space:
    """Reads give each byte's own offset; writes are recorded."""

    def __init__(self, card: Card | PlatformCard, bar: int) -> None:
        self.card, self.bar = card, bar

    def read(self, offset: int, width: int) -> int:
        self.card.accesses.append((self.bar, offset, width))
        return int.from_bytes(bytes((offset + n) & 0xFF for n in range(width)), "little")

    def write(self, offset: int, value: int, width: int) -> None:
        self.card.accesses.append((self.bar, offset, width, value))


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def card(machine: Machine) -> Card:
    return machine.plug(Card())


@pytest.fixture
def wide_card(machine: Machine) -> Card:
    return machine.plug(Card(wide=True))


@pytest.fixture
def msix_card(machine: Machine) -> MsixCard:
    return machine.plug(MsixCard())


@pytest.fixture
def platform_card(machine: Machine) -> PlatformCard:
    return machine.plug(PlatformCard(), "mmio")


@pytest.fixture(scope="session")
def new_machine() -> Callable[[], Machine]:
    """Makes a machine with a card, for tests of many examples."""

    def make() -> Machine:
        machine = Machine()
        machine.plug(Card())
        return machine

    return make
