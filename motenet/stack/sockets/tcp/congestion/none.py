"""No congestion control: only the peer's window limits the sender. For private links, and to compare with."""

from typing import ClassVar

from motenet.core.state import Component


class NoControl(Component):
    """A window without end."""

    STATE: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self.window = self.threshold = 1 << 62

    def start(self, mss: int, lost_syn: bool) -> None: ...
    def acknowledged(self, now: int, length: int, flight: int, rtt: int) -> None: ...

    def lost(self, now: int, flight: int) -> int:
        return self.window

    def timed_out(self, now: int, flight: int, again: bool) -> None: ...
    def undo(self) -> None: ...
    def idle(self, now: int) -> None: ...
    def take(self, window: int) -> None: ...
    def fit(self, mss: int) -> None: ...
