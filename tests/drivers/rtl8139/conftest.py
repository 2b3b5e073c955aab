"""The other side, mocked: a PCI function whose registers are 256 bytes with a log, over real DMA memory.

It knows of the card only what a driver needs to get on: CR.RST clears itself, the 93C46 answers, ISR is cleared by
ones, the configuration is locked. Frames are stored and taken when a test says so.
"""

import zlib
from collections.abc import Callable
from struct import pack_into, unpack_from
from typing import Any

import pytest

from motenet.datasheets import rtl8139 as ds
from motenet.datasheets.rtl8139.eeprom import image
from motenet.datasheets.rtl8139.pci import REVISION_C, REVISION_CPLUS, config_header
from motenet.devices.parts.eeprom93c46 import Eeprom93C46
from motenet.drivers.rtl8139 import Rtl8139CpDriver, Rtl8139Driver, probe
from motenet.machine.dma import MachineDma
from tests.drivers.fakes import MAC, FakeConfig, FakeFunction

LOCKED = {"IDR0", "IDR4", "CONFIG1", "CONFIG3", "CONFIG4", "BMCR"}
FCS = 4


def after_reset() -> bytes:
    """The 256 bytes, with a link and a partner that can do everything."""
    content = bytearray(256)
    told = {"MSR": 0, "BMSR": ds.BMSR.reset | ds.BMSR["LINK"], "ANLPAR": 0x01E1}
    for register in ds.REGISTERS_CPLUS:
        size = register.width // 8
        for offset in register.offsets():
            content[offset : offset + size] = told.get(register.name, register.reset).to_bytes(size, "little")
    return bytes(content)


AFTER_RESET = after_reset()


class FakeDma(MachineDma):
    """Notes, among the register accesses, where barriers are."""

    log: list[tuple[str, str, int]]

    def barrier(self) -> None:
        self.log.append(("barrier", "", 0))


class Fake(FakeFunction):
    """PciFunction, its window, and the card's hands, in one."""

    size = 256

    def __init__(self, revision: int = REVISION_CPLUS, memory: int = 16 << 20) -> None:
        config = FakeConfig(config_header(revision))
        config.write(0x10, 0xE0000000_0000C001, 8)
        super().__init__(config, dma=FakeDma, memory=memory)
        self.dma.log = self.log
        self.eeprom = Eeprom93C46(image(MAC))
        self.registers = bytearray(256)
        self.bars: list[int] = []
        self.gone = False
        self.resets_take = 0
        """How often CR.RST reads 1 after a reset."""
        self.begins_anew = True
        """CR.RE from 0 to 1 sets the ring's pointers to its start."""
        self.dumps = True
        """The tally counters are stored when they are asked for."""
        self.tally = bytes(ds.TALLY_SIZE)
        self.write_pointer = 0
        self.current = 0
        self.reset()

    def reset(self) -> None:
        """What CR.RST does, the addresses and the configuration included."""
        self.registers[:] = AFTER_RESET
        self.registers[0:6] = MAC
        self.write_pointer = self.current = 0

    # --- PciFunction

    def bar(self, index: int) -> "Fake":
        self.bars.append(index)
        return self

    # --- Window

    @property
    def kind(self) -> str:
        return ("io", "memory")[self.bars[-1]]

    def read8(self, offset: int) -> int:
        return self.read(offset, 1)

    def read16(self, offset: int) -> int:
        return self.read(offset, 2)

    def read32(self, offset: int) -> int:
        return self.read(offset, 4)

    def write8(self, offset: int, value: int) -> None:
        self.write(offset, value, 1)

    def write16(self, offset: int, value: int) -> None:
        self.write(offset, value, 2)

    def write32(self, offset: int, value: int) -> None:
        self.write(offset, value, 4)

    def label(self, offset: int, width: int) -> str:
        """A register's name; each is accessed in its own width."""
        cplus = self.get(ds.CPCR) != 0 and ds.CPLUS_MODE.at(offset) is not None
        found = (ds.CPLUS_MODE if cplus else ds.REGISTERS_CPLUS).at(offset)
        assert found is not None, hex(offset)
        assert found[0].width == 8 * width, found[0].name
        return (ds.CPLUS_MODE if cplus else ds.REGISTERS_CPLUS).label(offset)

    def read(self, offset: int, width: int) -> int:
        label = self.label(offset, width)
        if self.gone:
            return (1 << 8 * width) - 1
        value = int.from_bytes(self.registers[offset : offset + width], "little")
        if label == "CR" and value & ds.CR["RST"]:
            self.resets_take -= 1
            if self.resets_take < 0:
                value &= ~ds.CR["RST"]
                self.set(ds.CR, value)
        elif label == "9346CR":
            value |= self.eeprom.data_out
        self.log.append(("read", label, value))
        return value

    def write(self, offset: int, value: int, width: int) -> None:
        assert 0 <= value < 1 << 8 * width
        label = self.label(offset, width)
        self.log.append(("write", label, value))
        if label in LOCKED and self.get(ds.CR9346) != ds.CR9346["EEM"]:
            return
        if label == "CR":
            value = self.command(value)
        elif label == "ISR":
            value = self.get(ds.ISR) & ~value
        elif label == "MPC":
            value = 0
        elif label == "9346CR" and value >> 6 == ds.EEM_PROGRAMMING:
            pins = ds.CR9346
            self.eeprom.pins(bool(value & pins["EECS"]), bool(value & pins["EESK"]), int(bool(value & pins["EEDI"])))
        elif label == "DTCCRL" and value & ds.DTCCRL["CMD"] and self.dumps:
            value &= ~ds.DTCCRL["CMD"]
            self.memory.view[value : value + ds.TALLY_SIZE] = self.tally
        self.registers[offset : offset + width] = value.to_bytes(width, "little")

    def command(self, value: int) -> int:
        if value & ds.CR["RST"]:
            self.reset()
            return ds.CR["RST"] | ds.CR["BUFE"]
        if value & ~self.get(ds.CR) & ds.CR["RE"] and self.begins_anew:
            self.set(ds.CAPR, ds.CAPR.reset)
            self.set(ds.CBR, 0)
            self.write_pointer = self.current = 0
        return value

    # --- the card's hands

    def get(self, register: ds.TCR.__class__, index: int = 0) -> int:
        at = register.offset + index * register.stride
        return int.from_bytes(self.registers[at : at + register.width // 8], "little")

    def set(self, register: ds.TCR.__class__, value: int, index: int = 0) -> None:
        at = register.offset + index * register.stride
        self.registers[at : at + register.width // 8] = value.to_bytes(register.width // 8, "little")

    def cause(self, causes: int) -> None:
        self.set(ds.ISR, self.get(ds.ISR) | causes)

    def free(self) -> int:
        """Bytes of the ring that the driver has given; an empty ring is all free."""
        size = 8192 << (self.get(ds.RCR) >> 11 & 3)
        return (self.get(ds.CAPR) + 16 - self.write_pointer - 1) % size + 1

    def store(self, data: bytes, status: int = 0x4001, length: int = -1) -> None:
        """C mode: a header, the frame and its FCS into the ring (RTL8139C 5.1, 5.8 WRAP), and CBR behind it."""
        size = 8192 << (self.get(ds.RCR) >> 11 & 3)
        whole = data + zlib.crc32(data).to_bytes(4, "little")
        entry = status.to_bytes(2, "little") + (len(whole) if length < 0 else length).to_bytes(2, "little") + whole
        entry += bytes(-len(entry) % 4)
        assert len(entry) < self.free(), "the ring is full"
        base, at = self.get(ds.RBSTART), self.write_pointer
        wrap = self.get(ds.RCR) & ds.RCR["WRAP"] and size < 65536
        first = len(entry) if wrap else min(len(entry), size - at)
        self.memory.view[base + at : base + at + first] = entry[:first]
        self.memory.view[base : base + len(entry) - first] = entry[first:]
        self.write_pointer = (at + len(entry)) % size
        self.set(ds.CBR, self.write_pointer)
        self.cause(ds.ISR["ROK"])

    def fill(
        self,
        data: bytes,
        flags: int = 0x30000000,
        vlan: int = 0,
        pieces: int = 1,
        length: int = -1,
        fcs: bytes = b"fcs!",
    ) -> None:
        """C+ mode: a frame into the next `pieces` receive buffers; `flags` go to all, FS and LS where they belong."""
        base, rest = self.get(ds.RDSARL), data + b"fcs!"
        total = len(rest) if length < 0 else length
        for piece in range(pieces):
            at = base + 16 * self.current
            command, _, address = unpack_from("<IIQ", self.memory.view, at)
            assert command & ds.RX_COMMAND["OWN"], "the card has no descriptor"
            part, rest = rest[: command & 0x1FFF], rest[command & 0x1FFF :]
            self.memory.view[address : address + len(part)] = part
            ends = 0 if piece == 0 else ds.RX_RESULT["FS"]
            ends |= 0 if piece == pieces - 1 else ds.RX_RESULT["LS"]
            eor = command & ds.RX_COMMAND["EOR"]
            pack_into("<II", self.memory.view, at, (flags & ~ends) | eor | total & 0x1FFF, vlan)
            self.current = 0 if eor else self.current + 1
        self.cause(ds.ISR["ROK"])

    def owned(self, low: ds.TCR.__class__ = ds.RDSARL, count: int = 64) -> list[bool]:
        """Which descriptors of a ring are the card's."""
        base = self.get(low)
        return [bool(self.memory.view[base + 16 * n + 3] & 0x80) for n in range(count)]

    def transmit(self, first: int, count: int, status: int = 0) -> list[tuple[int, int, bytes]]:
        """C+ mode: take `count` frames from descriptor `first` on: command, VLAN word, bytes; OWN is given back."""
        taken = []
        for _ in range(count):
            at = self.get(ds.TNPDSL) + 16 * first
            command, vlan, address = unpack_from("<IIQ", self.memory.view, at)
            assert command & ds.TX_COMMAND["OWN"], "the card was given nothing"
            taken.append((command, vlan, bytes(self.memory.view[address : address + (command & 0xFFFF)])))
            keep = command & (ds.TX_COMMAND["EOR"] | ds.TX_COMMAND["FS"] | ds.TX_COMMAND["LS"])
            pack_into("<I", self.memory.view, at, keep | status)
            first = 0 if command & ds.TX_COMMAND["EOR"] else first + 1
        return taken

    def slot(self, slot: int) -> bytes:
        """C mode: what a slot's TSAD and TSD say is to be sent."""
        at = self.get(ds.TSAD, slot)
        return bytes(self.memory.view[at : at + (self.get(ds.TSD, slot) & 0x1FFF)])


Starter = Callable[..., Rtl8139Driver | Rtl8139CpDriver]


def start(fake: Fake, mode: str, **options: Any) -> Any:
    driver = probe(fake, mode=mode, **options)  # type: ignore[arg-type]
    driver.start()
    fake.log.clear()
    return driver


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def old_fake() -> Fake:
    """An RTL8139C."""
    return Fake(REVISION_C)


@pytest.fixture
def started(fake: Fake) -> Starter:
    """A function that makes a driver for a mode with these options, starts it, and forgets the log."""
    return lambda mode, **options: start(fake, mode, **options)


@pytest.fixture(scope="session")
def make_started() -> Callable[..., tuple[Fake, Any]]:
    """A function that makes a fake and a started driver for a mode, for hypothesis."""

    def make(mode: str, **options: Any) -> tuple[Fake, Any]:
        fake = Fake(memory=4 << 20)
        return fake, start(fake, mode, **options)

    return make
