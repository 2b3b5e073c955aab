"""QEMU's guest memory, mapped into this process: what a driver stores, QEMU's card reads, and the other way round."""

import mmap
import os

import numpy as np

from motenet.core import units
from motenet.core.errors import ConfigurationError
from motenet.machine.memory import PAGE, Allocator, PhysicalMemory

LOW_MEMORY = 1 << 20
"""A PC's first MiB has holes (VGA, ROMs); DMA memory is taken from above it."""
HIGHEST = 0xE0000000
"""Memory ends below the PCI devices' addresses."""


class SharedMemory(PhysicalMemory):
    """`size` bytes of anonymous shared memory; QEMU opens `mem_path` in its own process, with `file` inherited."""

    def __init__(self, size: str | int) -> None:
        self.path = "memory"
        self.size = units.size(size)
        if not 4 * LOW_MEMORY <= self.size <= HIGHEST or self.size % PAGE:
            raise ConfigurationError(f"a PC of QEMU's has 4 MiB to 3.5 GiB of whole pages here, not {size!r}")
        self.file = os.memfd_create("guest-ram")
        os.ftruncate(self.file, self.size)
        self._array = np.frombuffer(mmap.mmap(self.file, self.size), dtype=np.uint8)
        self.view = self._array.data
        self.mem_path = f"/proc/self/fd/{self.file}"

    def allocator(self) -> Allocator:
        """For DMA buffers above the first MiB."""
        allocator = Allocator(self.size)
        allocator.free_ranges[:] = [[LOW_MEMORY, self.size]]
        return allocator

    def close(self) -> None:
        """Give the file back; views stay good as long as somebody has them."""
        file, self.file = self.file, -1
        if file >= 0:
            os.close(file)
