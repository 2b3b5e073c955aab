"""What all sockets have in common: how the set and the application are told that there is something to do."""

from collections.abc import Callable
from typing import ClassVar

from motenet.core.trace import HasNow, Watched


def _nobody() -> None:
    """A socket outside a set has nobody to tell."""


class Socket(Watched):
    """One end of a conversation. `ready` and `waker` are wiring: of the set and of the application, in this order."""

    kind: ClassVar[str] = ""
    """What listings and snapshots call this kind of socket: "tcp", "udp" ..."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "interface")

    def __init__(self, clock: HasNow, path: str = "") -> None:
        super().__init__(clock, path)
        self.interface = ""
        """Where groups, broadcasts and addresses of the link's scope lie; empty: on the first that suits."""
        self.ready: Callable[[], None] = _nobody
        """Tells the set that this socket has something to dispatch, or that its `poll_at` got earlier."""
        self.waker: Callable[[], None] | None = None
        """Tells the application that something changed: data, room, state or an error."""

    def poll_at(self, now: int) -> int | None:
        """For the stack: when `dispatch` next has work, in ns; `now` if it has some, None if others must act."""
        return None

    def wake(self) -> None:
        """For the stack: tell the application, if it listens, that something changed."""
        if self.waker is not None:
            self.waker()

    def undo(self) -> None:
        """For the stack: the world was restored to before this socket; it is of no use any more."""
        self.detach()

    def detach(self) -> None:
        """For the stack: the socket has left its set."""
        self.ready = _nobody
