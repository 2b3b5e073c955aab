"""What all sockets have in common: how the set and the application are told that there is something to do."""

from collections.abc import Callable
from typing import ClassVar

from motenet.core import units
from motenet.core.errors import ConfigurationError
from motenet.core.trace import HasNow, Watched


def _nobody() -> None:
    """A socket outside a set has nobody to tell."""


def check_number(name: str, value: int, most: int, least: int = 0) -> int:
    """A number for a header's field, `least` to `most`; ConfigurationError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ConfigurationError(f"{name}={value!r}: give a whole number from {least} to {most}")
    return value


def check_time(name: str, value: str | int) -> int:
    """A time in ns ("50us"); ConfigurationError says what it is for."""
    try:
        return units.duration(value)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name}={value!r}: {error}") from None


class Socket(Watched):
    """One end of a conversation. `ready` and `waker` are wiring: of the set and of the application, in this order."""

    kind: ClassVar[str] = ""
    """What listings and snapshots call this kind of socket: "tcp", "udp" ..."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "interface", "hop_limit")

    def __init__(self, clock: HasNow, path: str = "") -> None:
        super().__init__(clock, path)
        self.interface = ""
        """Where groups, broadcasts and addresses of the link's scope lie; empty: on the first that suits."""
        self._hop_limit = 0
        self.ready: Callable[[], None] = _nobody
        """Tells the set that this socket has something to dispatch, or that its `poll_at` got earlier."""
        self.waker: Callable[[], None] | None = None
        """Tells the application that something changed: data, room, state or an error."""

    @property
    def hop_limit(self) -> int:
        """Of what is sent (RFC 9293, MUST-49); 0: what is usual on the link (64, or what a router says)."""
        return self._hop_limit

    @hop_limit.setter
    def hop_limit(self, limit: int) -> None:
        self._hop_limit = check_number("hop_limit", limit, 0xFF)

    @property
    def in_set(self) -> bool:
        """For the stack: whether a set of sockets has this one."""
        return self.ready is not _nobody

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
