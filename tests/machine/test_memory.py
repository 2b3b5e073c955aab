"""Physical memory, its allocator, and DMA on both sides."""

from struct import Struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.clock import Clock
from motenet.core.errors import ConfigurationError, OutOfDmaMemory
from motenet.core.trace import DmaAccess, Event
from motenet.machine.dma import BusMaster, MachineDma
from motenet.machine.memory import PAGE, Allocator, PhysicalMemory

SIZE = 1 << 20


def bus_master(memory: PhysicalMemory) -> BusMaster:
    master = BusMaster(Clock(), "nic/dma", memory)
    master.enabled = True
    return master


@given(st.integers(0, 2**64), st.integers(0, 4096))
def test_pci_3_3_3_1_dma_outside_memory_is_a_master_abort_never_a_wrap(address: int, length: int) -> None:
    memory = PhysicalMemory(16 * PAGE)
    memory.view[:] = b"\x5a" * memory.size
    master = bus_master(memory)
    aborted: list[int] = []
    master.aborted = lambda: aborted.append(1)
    inside = address + length <= memory.size
    assert master.read(address, length) == (b"\x5a" if inside else b"\xff") * length
    master.write(address, b"\x5a" * length)
    assert bytes(memory.view) == b"\x5a" * memory.size
    assert len(aborted) == (0 if inside else 2)
    assert master.drops.get("master abort", 0) == len(aborted)


def test_pci_6_2_2_without_bus_mastering_ones_are_read_and_writes_are_lost() -> None:
    memory = PhysicalMemory(SIZE)
    master = bus_master(memory)
    word = Struct("<I")
    fetch, store = master.reader(word, "WORD"), master.writer(word, "WORD")
    store(0x2000, 7)
    master.enabled = False
    store(0x2000, 8)
    master.write(0x2000, b"\x09")
    assert fetch(0x2000) == (0xFFFFFFFF,)
    assert master.read(0x2000, 2) == b"\xff\xff"
    master.enabled = True
    assert fetch(0x2000) == (7,)
    assert master.drops == {"bus master off": 4}


def test_structures_straddling_the_end_of_memory_are_refused_whole() -> None:
    memory = PhysicalMemory(SIZE)
    master = bus_master(memory)
    word = Struct("<Q")
    master.writer(word, "WORD")(SIZE - 4, 1)
    assert bytes(memory.view[SIZE - 8 :]) == bytes(8)
    assert master.reader(word, "WORD")(SIZE - 8) == (0,)
    assert master.reader(word, "WORD")(SIZE - 7) == (2**64 - 1,)
    assert master.reader(word, "WORD")(-8) == (2**64 - 1,)


def test_dma_is_watched_with_its_layout() -> None:
    memory = PhysicalMemory(SIZE)
    master = bus_master(memory)
    events: list[Event] = []
    master.watch = events.append
    master.reader(Struct("<QQ"), "TDESC")(0x3000)
    master.write(0x4000, b"abc")
    assert events == [
        DmaAccess(0, "nic/dma", 0x3000, 16, False, "TDESC"),
        DmaAccess(0, "nic/dma", 0x4000, 3, True, ""),
    ]


@given(
    st.lists(st.tuples(st.integers(1, 70_000), st.sampled_from([16, 128, 4096]), st.sampled_from([0, 65536, 1 << 17])))
)
def test_allocations_are_aligned_within_boundary_disjoint_and_all_come_back(
    requests: list[tuple[int, int, int]],
) -> None:
    allocator = Allocator(SIZE)
    taken: list[tuple[int, int]] = []
    for size, align, boundary in requests:
        if boundary and size > boundary:
            continue
        try:
            address = allocator.allocate(size, align, boundary, 2**32 - 1)
        except OutOfDmaMemory:
            continue
        assert address >= PAGE
        assert address % align == 0
        assert not boundary or address // boundary == (address + size - 1) // boundary
        assert all(address >= start + length or address + size <= start for start, length in taken)
        taken.append((address, size))
    for address, size in taken:
        allocator.free(address, size)
    assert allocator.free_ranges == [[PAGE, SIZE]]


def test_a_mask_keeps_buffers_low_and_mistakes_say_what_to_do() -> None:
    allocator = Allocator(SIZE)
    with pytest.raises(OutOfDmaMemory, match="plug more memory"):
        allocator.allocate(4096, 16, 0, 0xFFF)
    with pytest.raises(ConfigurationError, match="powers of two"):
        allocator.allocate(4096, 24, 0, 2**32)


def test_freed_memory_is_handed_out_zeroed() -> None:
    memory = PhysicalMemory(SIZE)
    dma = MachineDma(memory, Allocator(SIZE))
    buffer = dma.allocate(64)
    buffer.lend(0, 64)[:] = b"x" * 64
    dma.free(buffer)
    again = dma.allocate(64)
    assert again.address == buffer.address
    assert bytes(again.lend(0, 64)) == bytes(64)


def test_a_buffers_accessors_all_see_the_same_memory() -> None:
    memory = PhysicalMemory(SIZE)
    buffer = MachineDma(memory, Allocator(SIZE)).allocate(64, align=64)
    pair = Struct("<HH")
    buffer.packer(pair)(8, 1, 2)
    assert buffer.unpacker(pair)(8) == (1, 2)
    assert bytes(buffer.lend(8, 4)) == b"\1\0\2\0"
    column = buffer.columns(np.dtype([("a", "<u2"), ("b", "<u2")]), 0, 16)
    assert column["b"][2] == 2
    assert bytes(memory.view[buffer.address + 8 : buffer.address + 12]) == b"\1\0\2\0"


def test_memory_is_saved_by_its_written_pages_and_loaded_in_place() -> None:
    memory = PhysicalMemory(SIZE)
    view = memory.view
    view[5 * PAGE] = 1
    state = memory.save()
    assert list(state) == [5]
    view[5 * PAGE] = 2
    view[9 * PAGE] = 3
    memory.load(state)
    assert (view[5 * PAGE], view[9 * PAGE]) == (1, 0)
