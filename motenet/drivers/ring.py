"""The one ring helper: descriptors that a driver and a card hand to each other in shared memory.

Counters run free and are masked only where they are used, so that full and empty are never confused:
`produced - consumed` is what the card has, or is about to be given.
"""

from struct import Struct
from typing import ClassVar

from motenet.core.errors import ConfigurationError
from motenet.core.state import Component
from motenet.doors import Dma


class Ring(Component):
    """`count` descriptors in DMA memory.

    Where head and tail tell who owns what, the card may own at most `count - 1`: with all of them its head would meet
    its tail, which means empty. `room` says how many are left then. `mask` is what the card can address.
    """

    STATE: ClassVar[tuple[str, ...]] = ("produced", "consumed")

    def __init__(
        self, dma: Dma, codec: Struct, count: int, *, path: str = "ring", align: int = 128, mask: int = 2**64 - 1
    ) -> None:
        self.path = path
        self.count = count
        self.stride = codec.size
        self.size = count * codec.size
        """The ring's bytes."""
        self.buffer = dma.allocate(self.size, align, mask=mask)
        self.address = self.buffer.address
        self.store = self.buffer.packer(codec)
        """`store(offset, *values)`: write a descriptor."""
        self.load_at = self.buffer.unpacker(codec)
        """`load_at(offset)`: read a descriptor."""
        self.produced = 0
        """Descriptors filled for the card since the ring was opened."""
        self.consumed = 0
        """Descriptors taken back from the card."""

    def offset(self, counter: int) -> int:
        """Where the descriptor of a counter lies, in bytes from the ring's start."""
        return counter % self.count * self.stride

    def room(self) -> int:
        """How many more descriptors the card can be given."""
        return self.count - 1 - (self.produced - self.consumed)

    def clear(self) -> None:
        """Zero all descriptors and start anew."""
        self.buffer.lend(0, self.size)[:] = bytes(self.size)
        self.produced = self.consumed = 0


def check_count(name: str, count: int, multiple: int, most: int) -> int:
    """A ring's length as the card can take it; ConfigurationError says what it may be."""
    if not isinstance(count, int) or count % multiple or not multiple <= count <= most:
        raise ConfigurationError(
            f"{name}={count!r}: a ring has {multiple} to {most} descriptors, a multiple of {multiple}"
        )
    return count
