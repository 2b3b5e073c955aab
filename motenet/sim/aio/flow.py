"""Flow control of writing: the protocol is told to pause while too much waits to be sent (asyncio's documentation)."""

from collections.abc import Callable
from typing import Any

HIGH = 64 * 1024
"""Bytes that wait before the protocol is told to pause, by default; a quarter of it, before it may go on."""


class FlowControl:
    """The limits and the state of one transport. `tell(method)` calls a protocol's pause_writing or resume_writing."""

    def __init__(self, tell: Callable[[str], Any]) -> None:
        self._tell = tell
        self.paused = False
        self.high = HIGH
        self.low = HIGH // 4

    def limit(self, high: int | None, low: int | None) -> None:
        """Set the limits in bytes; the one that is left out follows from the other. ValueError."""
        if high is None:
            high = HIGH if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self.high, self.low = high, low

    def update(self, waiting: int) -> None:
        """So many bytes wait now."""
        if not self.paused and waiting > self.high:
            self.paused = True
            self._tell("pause_writing")
        elif self.paused and waiting <= self.low:
            self.paused = False
            self._tell("resume_writing")
