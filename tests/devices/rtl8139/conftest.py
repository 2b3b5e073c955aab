"""A bench on which an RTL8139 is programmed by hand, by literal offsets."""

from collections.abc import Callable
from struct import pack, unpack_from

import pytest

from motenet.devices import Rtl8139
from tests.devices.bench import MAC, CardBench, FakeSlot

TX_DATA, RING, TX_RING, HIGH_RING, RX_RING, RX_DATA = 0x1000, 0x20000, 0x40000, 0x40800, 0x41000, 0x50000
RX_STRIDE = 0x1000


class Bench(CardBench):
    """An RTL8139 in a slot. Registers are reached by offset, as on paper."""

    def __init__(self, revision: str = "C", timing: str = "instant", *, link: bool = True) -> None:
        super().__init__(FakeSlot(), Rtl8139(MAC, revision, timing))
        self.card.plugged(self.slot)
        self.card.reset()
        self.io, self.registers = self.card.register_space(0), self.card.register_space(1)
        self.sent = self.slot.port.sent
        self.tx_index = [0, 0]
        if link:
            self.card.bus_master_changed(True)
            self.plug(True)
            self.run(10**9)
            self.read(0x74, 2)
            self.write(0x3E, 0xFFFF, 2)

    def read(self, offset: int, width: int) -> int:
        return self.registers.read(offset, width)

    def write(self, offset: int, value: int, width: int) -> None:
        self.registers.write(offset, value, width)

    def isr(self) -> int:
        """What ISR has, and clear it."""
        causes = self.read(0x3E, 2)
        self.write(0x3E, causes, 2)
        return causes

    def unlock(self) -> None:
        self.write(0x50, 0xC0, 1)

    def dword(self, address: int) -> int:
        return unpack_from("<I", self.memory, address)[0]

    # --- C mode

    def c_mode(self, rcr: int = 0x0000000F, tcr: int = 0x03000000) -> None:
        """Enable, configure, place the ring; all addresses, multicast by MAR, 8 KiB."""
        self.write(0x37, 0x0C, 1)
        self.write(0x44, rcr, 4)
        self.write(0x40, tcr, 4)
        self.write(0x30, RING, 4)

    def send(self, slot: int, frame: bytes, flags: int = 0) -> None:
        """Give a frame to one of the four slots."""
        at = TX_DATA + 0x2000 * slot
        self.memory[at : at + len(frame)] = frame
        self.write(0x20 + 4 * slot, at, 4)
        self.write(0x10 + 4 * slot, flags | len(frame), 4)

    def tsd(self, slot: int) -> int:
        return self.read(0x10 + 4 * slot, 4)

    def at_ring(self, offset: int) -> tuple[int, int]:
        """Status and length in the header at an offset of the ring."""
        return unpack_from("<HH", self.memory, RING + offset)

    # --- C+ mode

    def cplus(self, mode: int = 0x0003, rcr: int = 0x0000000F) -> None:
        """CPCR first, then the rings' addresses, then CR, then RCR and TCR."""
        self.write(0xE0, mode, 2)
        for offset, address in ((0x20, TX_RING), (0x28, HIGH_RING), (0xE4, RX_RING)):
            self.write(offset, address, 4)
            self.write(offset + 4, 0, 4)
        self.write(0x37, 0x0C, 1)
        self.write(0x44, rcr, 4)
        self.write(0x40, 0x03000000, 4)

    def give(self, data: bytes, flags: int = 0xB0000000, vlan: int = 0, *, high: int = 0, at: int = 0) -> int:
        """Put a transmit descriptor at the tail. FS|LS|OWN, if nothing else is said. Returns its address."""
        index = self.tx_index[high]
        where = (HIGH_RING if high else TX_RING) + 16 * index
        buffer = at or 0x60000 + 0x8000 * high + 0x800 * index
        self.memory[buffer : buffer + len(data)] = data
        self.memory[where : where + 16] = pack("<IIQ", flags | len(data), vlan, buffer)
        self.tx_index[high] = 0 if flags & 0x40000000 else index + 1
        return where

    def poll(self, bits: int = 0x40) -> list[bytes]:
        """TPPOLL. Returns what the card has sent."""
        before = len(self.sent)
        self.write(0xD9, bits, 1)
        self.run()
        return self.sent[before:]

    def buffers(self, *sizes: int) -> None:
        """Give receive descriptors; the last one ends the ring."""
        for index, size in enumerate(sizes):
            end = 0x40000000 if index == len(sizes) - 1 else 0
            address = RX_DATA + RX_STRIDE * index
            self.memory[RX_RING + 16 * index : RX_RING + 16 * index + 16] = pack(
                "<IIQ", 0x80000000 | end | size, 0, address
            )

    def result(self, index: int = 0) -> tuple[int, int]:
        """First and second word of a receive descriptor."""
        return unpack_from("<II", self.memory, RX_RING + 16 * index)

    def buffer(self, index: int, length: int) -> bytes:
        at = RX_DATA + RX_STRIDE * index
        return bytes(self.memory[at : at + length])


@pytest.fixture(scope="session")
def new_bench() -> Callable[..., Bench]:
    """Makes benches: `new_bench("C+", "datasheet", link=False)`."""
    return Bench


@pytest.fixture
def bench() -> Bench:
    """An RTL8139C without delays, bus mastering on, and its link up."""
    return Bench()


@pytest.fixture
def plus() -> Bench:
    """The same with an RTL8139C+."""
    return Bench("C+")
