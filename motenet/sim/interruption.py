"""Ctrl-C in a world: it comes between two events, so that no machine is left with half of one done."""

import signal
import threading
from types import FrameType

from motenet.core.clock import Clock


class Interruption:
    """Has SIGINT wait for the end of the event that it came upon, while a clock runs in the main thread.

    As with asyncio.Runner, a second one does not wait: it ends an event that never would. Whoever has a handler of
    their own keeps it.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._asked = False

    def begin(self) -> None:
        """The clock runs from now on."""
        if _handler() is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._come)

    def end(self) -> None:
        """It has returned to the top level; KeyboardInterrupt if that was asked for in its very last event."""
        if _handler() == self._come:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if self._asked:
            self._asked = False
            if self.clock.forgive():
                raise KeyboardInterrupt

    def _come(self, number: int, frame: FrameType | None) -> None:
        if self._asked or not self.clock.running:
            raise KeyboardInterrupt
        self._asked = True
        self.clock.interrupt()


def _handler() -> object:
    """Who is told of SIGINT; None where this thread cannot change it."""
    return signal.getsignal(signal.SIGINT) if threading.current_thread() is threading.main_thread() else None
