"""What both kinds of virtqueue are to their users: receive, transmit and control (virtio 2.6).

A queue has `count` slots, numbered from 0; a slot stands for one buffer of up to `pieces` parts. Slots that are put are
the device's from `publish` until `take` gives them back. Nothing that the device writes is believed: what cannot be
makes the queue `broken`, and its driver resets the device.
"""

from collections.abc import Callable
from typing import ClassVar, TypeAlias

from motenet.core.errors import DriverError
from motenet.core.state import Component
from motenet.datasheets.virtio.queues import DESC_SIZE
from motenet.doors import Dma

Piece: TypeAlias = tuple[int, int, bool]
"""Address, bytes, and whether the device writes there."""


def _nobody() -> None:
    """There is no device yet."""


class Virtqueue(Component):
    """Common to SplitQueue and PackedQueue.

    `write`: the device writes the buffers of `put` and `repost`. `indirect`: buffers of several parts are tables of
    descriptors, and take one of the queue's (2.7.5.3, 2.8.7).
    """

    STATE: ClassVar[tuple[str, ...]] = (
        "live", "produced", "published", "consumed", "posted", "broken", "notifications",
    )  # fmt: skip

    def __init__(
        self,
        dma: Dma,
        number: int,
        size: int,
        *,
        pieces: int = 1,
        write: bool = False,
        event_idx: bool = False,
        indirect: bool = False,
    ) -> None:
        self.path = f"queue{number}"
        self.number = number
        self.size = size
        """Descriptors."""
        self.span = 1 if indirect else pieces
        """Descriptors that a buffer takes at most."""
        self.count = size // self.span
        """Slots."""
        if not self.count:
            raise DriverError(f"queue {number} has {size} descriptors; a buffer takes {self.span}")
        self._write, self._event_idx = write, event_idx
        self._barrier = dma.barrier
        self._pieces = pieces
        self._tables = dma.allocate(self.count * pieces * DESC_SIZE, DESC_SIZE) if indirect and pieces > 1 else None
        self.notify: Callable[[], None] = _nobody
        """Wiring: tells the device."""

        self.live = False
        """The device has DRIVER_OK, and may be notified."""
        self.produced = 0
        """Buffers put since the queue was opened, running free."""
        self.published = 0
        """Of those: buffers that the device has been shown."""
        self.consumed = 0
        """Of those: buffers that have come back."""
        self.posted = bytearray(self.count)
        """For each slot: 1 while its buffer is put and has not come back."""
        self.broken = ""
        """What the device has done that it cannot do."""
        self.notifications = 0

    def open(self) -> None:
        """Start anew: all memory zero, nothing put."""
        self.produced = self.published = self.consumed = 0
        self.posted[:] = bytes(self.count)
        self.broken = ""

    def idle(self) -> bool:
        """The device has nothing of ours."""
        return self.consumed == self.produced

    def kick(self) -> None:
        """Notify the device, whatever it has said about that (2.9)."""
        if self.live:
            self.notifications += 1
            self.notify()

    def _break(self, why: str) -> None:
        self.broken = self.broken or f"queue {self.number}: {why}"
