"""What receive paths share: frames are read where they lie, and their memory goes back to the card in batches."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from motenet.core.state import Component
from motenet.doors import Received


class Receiver(Component, ABC):
    """`receive` is NetworkDriver's."""

    STATE: ClassVar[tuple[str, ...]] = ("frames", "joined")

    def __init__(self) -> None:
        self.path = "rx"
        self.on_empty: Callable[[], bool] | None = None
        """Called when there is no frame: interrupts go on. True: they were off, and a frame may have been missed."""

        self.frames = 0
        """Frames handed up; those that GRO has joined count as one."""
        self.joined = 0
        """Segments that GRO has added to another."""

    def receive(self) -> Received | None:
        """See NetworkDriver.receive. The views of the last call end here: their memory may go back to the card."""
        self.repost()
        received = self._next()
        if received is None:
            self.repost()  # what was dropped
            if self.on_empty is not None and self.on_empty():
                received = self._next()
        return received

    @abstractmethod
    def close(self) -> None:
        """Disable the receiver; what it has stored and nobody has read is forgotten."""

    @abstractmethod
    def repost(self) -> None:
        """Give memory back that has been read, if it is enough for a batch."""

    @abstractmethod
    def waiting(self) -> bool:
        """Whether the card has stored something that has not been read."""

    @abstractmethod
    def _next(self) -> Received | None:
        """The next good frame. Everything that the card has written is checked before it is used."""
