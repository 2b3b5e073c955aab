"""The other side, mocked: a PCI function whose registers are a table with a log, over real DMA memory.

It knows of the card only what a driver needs to get on: CTRL.RST clears itself, EERD and MDIC answer, ICR clears on
read. Descriptors are processed when a test says so.
"""

from collections.abc import Callable
from struct import pack_into, unpack_from
from typing import Any

import pytest

from motenet.datasheets import e1000 as ds
from motenet.datasheets.e1000.eeprom import image
from motenet.datasheets.e1000.pci import config_header
from motenet.drivers import E1000Driver
from tests.drivers.fakes import MAC, FakeConfig, FakeFunction


class Fake(FakeFunction):
    """PciFunction, its window, and the card's hands, in one."""

    size, kind = 128 << 10, "memory"

    def __init__(self, memory: int = 16 << 20) -> None:
        config = FakeConfig(config_header())
        config.write(0x10, 0xE0000000, 4)
        config.write(0x18, 0xC001, 4)
        super().__init__(config, memory=memory)
        self.registers = {r.offset: r.reset for r in ds.REGISTERS}
        self.registers[ds.STATUS.offset] = ds.STATUS["LU"] | ds.STATUS["FD"] | 2 << 6
        self.eeprom: list[int] | None = list(image(MAC))
        self.phy: dict[int, int] | None = {0: 0x1140, 1: 0x796D, 2: 0x0141, 3: 0x0C20, 17: 0xAC00}
        self.head = 0
        self.reset_bit_stuck = False

    # --- PciFunction

    def bar(self, index: int) -> "Fake":
        assert index == 0
        return self

    # --- Window

    def read32(self, offset: int) -> int:
        value = self.registers.get(offset, 0)
        if offset == ds.ICR.offset:
            self.registers[offset] = 0
        self.log.append(("read", ds.REGISTERS.label(offset), value))
        return value

    def write32(self, offset: int, value: int) -> None:
        assert 0 <= value < 1 << 32
        label = ds.REGISTERS.label(offset)
        self.log.append(("write", label, value))
        if label == "IMC":
            self.registers[ds.IMS.offset] &= ~value
            return
        if label == "IMS":
            value |= self.registers[offset]
        elif label == "CTRL" and value & ds.CTRL["RST"]:
            value = self.reset() | (ds.CTRL["RST"] if self.reset_bit_stuck else 0)
        elif label == "EERD" and self.eeprom is not None:
            value = value & 0xFF00 | ds.EERD["DONE"] | self.eeprom[value >> 8 & 0xFF] << 16
        elif label == "MDIC" and self.phy is not None:
            value = self.mdio(value)
        self.registers[offset] = value

    def reset(self) -> int:
        self.registers.update({r.offset: r.reset for r in ds.REGISTERS if r is not ds.STATUS})
        self.head = 0
        return ds.CTRL.reset

    def mdio(self, value: int) -> int:
        assert self.phy is not None
        register = value >> 16 & 0x1F
        if value >> 21 & 0x1F != 1:
            return value | ds.MDIC["R"] | ds.MDIC["E"]
        if value >> 26 & 3 == 1:
            self.phy[register] = value & 0xFFFF
        return value & ~0xFFFF | self.phy.get(register, 0) | ds.MDIC["R"]

    # --- the card's hands

    def cause(self, causes: int) -> None:
        self.registers[ds.ICR.offset] |= causes

    def ring(self, name: str) -> tuple[int, int]:
        """Address and count of the "R" or "T" ring."""
        base = (
            self.registers[getattr(ds, f"{name}DBAL").offset] | self.registers[getattr(ds, f"{name}DBAH").offset] << 32
        )
        return base, self.registers[getattr(ds, f"{name}DLEN").offset] // 16

    def receive(self, data: bytes, status: int = 0x07, errors: int = 0, special: int = 0, length: int = -1) -> None:
        """Store in the next receive descriptor's buffer and write it back; the driver must have given it."""
        base, count = self.ring("R")
        assert self.head != self.registers[ds.RDT.offset], "the card has no descriptor"
        at = base + 16 * self.head
        (address,) = unpack_from("<Q", self.memory.view, at)
        self.memory.view[address : address + len(data)] = data
        pack_into("<HHBBH", self.memory.view, at + 8, len(data) if length < 0 else length, 0, status, errors, special)
        self.head = (self.head + 1) % count

    def transmit_ring(self, first: int, done: bool = True) -> list[tuple[int, int, int, int, int]]:
        """The descriptors from `first` to TDT: address, command, status, popts, special. `done`: RS ones get DD."""
        base, count = self.ring("T")
        found = []
        while first != self.registers[ds.TDT.offset]:
            at = base + 16 * first
            descriptor = unpack_from("<QIBBH", self.memory.view, at)
            found.append(descriptor)
            if done and descriptor[1] & ds.TDESC_DATA_COMMAND["RS"]:
                self.memory.view[at + 12] |= 1
            first = (first + 1) % count
        return found


def start(fake: Fake, **options: Any) -> E1000Driver:
    driver = E1000Driver(fake, **options)  # type: ignore[arg-type]
    driver.start()
    fake.log.clear()
    return driver


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def started(fake: Fake) -> Callable[..., E1000Driver]:
    """A function that makes a driver with these options, starts it, and forgets the log."""
    return lambda **options: start(fake, **options)


@pytest.fixture(scope="session")
def make_started() -> Callable[..., tuple[Fake, E1000Driver]]:
    """A function that makes a fake and a started driver with these options, for hypothesis."""

    def make(**options: Any) -> tuple[Fake, E1000Driver]:
        fake = Fake(4 << 20)
        return fake, start(fake, **options)

    return make
