"""Physical memory: committed lazily, under one memoryview."""

import numpy as np

from motenet.core.errors import ConfigurationError, OutOfDmaMemory
from motenet.core.state import Component, Plain

PAGE = 4096


class PhysicalMemory(Component):
    """`size` bytes of RAM from bus address 0, zeroed. Pages that nobody has written cost nothing."""

    def __init__(self, size: int) -> None:
        if size < 16 * PAGE or size % PAGE:
            raise ConfigurationError(
                f"a machine's memory is a multiple of {PAGE} bytes, at least {16 * PAGE}; not {size}"
            )
        self.path = "memory"
        self.size = size
        self._array = np.zeros(size, dtype=np.uint8)
        self.view = self._array.data

    def _written_pages(self) -> list[int]:
        return [int(page) for page in np.flatnonzero(self._array.reshape(-1, PAGE).any(axis=1))]

    def save(self) -> Plain:
        return {page: bytes(self.view[page * PAGE : (page + 1) * PAGE]) for page in self._written_pages()}

    def load(self, state: Plain) -> None:
        for page in self._written_pages():
            if page not in state:
                self._array[page * PAGE : (page + 1) * PAGE] = 0
        for page, content in state.items():
            self.view[page * PAGE : (page + 1) * PAGE] = content


class Allocator(Component):
    """First fit over free ranges of memory. Page 0 is never given out, so that a null address stands out."""

    STATE = ("free_ranges",)

    def __init__(self, size: int) -> None:
        self.path = "allocator"
        self.free_ranges: list[list[int]] = [[PAGE, size]]

    def allocate(self, size: int, align: int, boundary: int, mask: int) -> int:
        """An address; OutOfDmaMemory when none fits."""
        if (
            size <= 0
            or align <= 0
            or align & (align - 1)
            or (boundary and (boundary & (boundary - 1) or size > boundary))
        ):
            raise ConfigurationError(
                f"cannot allocate {size} bytes, align {align}, boundary {boundary}: sizes are positive, "
                "alignments and boundaries powers of two, and no buffer is larger than its boundary"
            )
        for index, (start, end) in enumerate(self.free_ranges):
            address = -(-start // align) * align
            if boundary and address // boundary != (address + size - 1) // boundary:
                address = -(-address // boundary) * boundary
            if address + size <= end and address + size - 1 <= mask:
                left = [[start, address]] if address > start else []
                right = [[address + size, end]] if address + size < end else []
                self.free_ranges[index : index + 1] = left + right
                return address
        raise OutOfDmaMemory(
            f"no {size} bytes left (align {align}, boundary {boundary}, mask {mask:#x}): plug more memory"
        )

    def free(self, address: int, size: int) -> None:
        """Give back what `allocate` gave."""
        merged: list[list[int]] = []
        for start, end in sorted([*self.free_ranges, [address, address + size]]):
            if merged and start <= merged[-1][1]:
                merged[-1][1] = max(end, merged[-1][1])
            else:
                merged.append([start, end])
        self.free_ranges[:] = merged
