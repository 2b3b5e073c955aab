"""Watching: typed events, stamped with time and path. Listeners come and go; they never schedule, and change nothing.

The choke points are Window, Dma, Interrupts, Port and `Watched.drop`/`Watched.changed`; each guards with one
`if self.watch is not None`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

from motenet.core.state import Component, walk


@dataclass(slots=True)
class Event:
    """What every event carries: time in nanoseconds, and the path of the component that it happened at."""

    time: int
    path: str


@dataclass(slots=True)
class RegisterAccess(Event):
    """A driver's access to a register space: `space` is "bar0", "config" and so on, `width` is in bytes."""

    space: str
    offset: int
    width: int
    value: int
    write: bool


@dataclass(slots=True)
class DmaAccess(Event):
    """A card's access to memory; `layout` names what lies there ("TDESC", "RDESC", or "" for data)."""

    address: int
    length: int
    write: bool
    layout: str = ""


@dataclass(slots=True)
class InterruptChange(Event):
    """An interrupt line that rose or fell, or a message that was sent."""

    vector: int
    level: bool
    message: bool = False


@dataclass(slots=True)
class FramePassed(Event):
    """A frame at a port, "tx" (card to cable) or "rx" (cable to card), or on a link with its verdict."""

    direction: str
    frame: bytes
    verdict: str = ""
    facts: tuple[Any, ...] | None = None
    """The frame's doors.FrameFacts, where it has any: it may be unfinished."""


@dataclass(slots=True)
class Dropped(Event):
    """Something not carried out: a frame, an access, a request. `reason` is a short word, counted in `drops`."""

    reason: str
    detail: str
    frame: bytes = b""


@dataclass(slots=True)
class Changed(Event):
    """A change of state worth seeing: reset, link up, DHCP lease, TCP state."""

    what: str
    detail: str


Watch: TypeAlias = Callable[[Event], None]


class HasNow(Protocol):
    """Anything that tells the time in nanoseconds."""

    @property
    def now(self) -> int: ...


class Watched(Component):
    """A component that may be watched, and that counts what it drops by reason."""

    STATE: ClassVar[tuple[str, ...]] = ("drops",)
    watch: Watch | None = None

    def __init__(self, clock: HasNow, path: str = "") -> None:
        self.clock = clock
        self.path = path
        self.drops: dict[str, int] = {}

    def drop(self, reason: str, detail: str = "", frame: bytes = b"") -> None:
        """Count something that is not carried out, and say why."""
        self.drops[reason] = self.drops.get(reason, 0) + 1
        if self.watch is not None:
            self.watch(Dropped(self.clock.now, self.path, reason, detail, frame))

    def changed(self, what: str, detail: str = "") -> None:
        """Tell a change of state."""
        if self.watch is not None:
            self.watch(Changed(self.clock.now, self.path, what, detail))


def observe(root: Component, watch: Watch | None) -> None:
    """Let `watch` see all events of the component and what is inside it; None ends that."""
    for component in walk(root):
        if isinstance(component, Watched):
            component.watch = watch
