"""What a card's driver does, while it does it: registers by name, rings, interrupts, DMA, frames; and an event log."""

import json
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TextIO

from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from motenet.core.trace import Changed, DmaAccess, Dropped, Event, FramePassed, InterruptChange, RegisterAccess
from motenet.core.units import SECOND
from motenet.inspector.cards import Sheet
from motenet.inspector.events import name_access
from motenet.inspector.rings import RingState

RECENT = 14
"""Register accesses shown one by one."""
BUSIEST = 12
"""Registers shown with their counts."""
BESIDE = 110
"""Columns from which on the two tables are beside each other."""
LONGEST, SHORTEST = 60, 16
"""Characters of a value in words, at most and at least; the event log has all of them."""
LONGEST_NAME = 24
"""Characters of a register's name, or of several ones' that one access touches."""


_PLAIN = Console(width=BESIDE)
"""To measure with."""


class DriverView:
    """A listener that keeps counts, and renders them. `card` names registers, `rings` looks at its rings."""

    def __init__(self, title: str, card: Sheet, rings: Callable[[], list[RingState]]) -> None:
        self.title = title
        self.reads: Counter[str] = Counter()
        self.writes: Counter[str] = Counter()
        self.dma: Counter[str] = Counter()
        self.frames: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.drops: Counter[str] = Counter()
        self.interrupts = 0
        self.time = 0
        self._card = card
        self._look = rings
        self._left: RenderableType | None = None
        self._recent: deque[tuple[RegisterAccess, int]] = deque(maxlen=RECENT)
        self._changes: deque[str] = deque(maxlen=6)

    def __call__(self, event: Event) -> None:
        self.time = event.time
        if isinstance(event, RegisterAccess):
            self._accessed(event)
        elif isinstance(event, DmaAccess):
            self.dma[f"{event.layout or 'data'} {'written' if event.write else 'read'}"] += 1
        elif isinstance(event, InterruptChange):
            self.interrupts += event.level
        elif isinstance(event, FramePassed):
            self.frames[event.direction] += 1
            self.bytes[event.direction] += len(event.frame)
        elif isinstance(event, Dropped):
            self.drops[event.reason] += 1
        elif isinstance(event, Changed):
            self._changes.append(f"{event.time / SECOND:9.3f} s  {event.what}: {event.detail}")
            if event.what == "client":  # the card is reset next: its rings stay in view as the guest left them
                self._left = self._rings() if event.detail.startswith("gone") else None

    def _accessed(self, access: RegisterAccess) -> None:
        name, _ = name_access(self._card, access)
        (self.writes if access.write else self.reads)[name] += 1
        if self._recent:
            last, count = self._recent[-1]
            if (last.offset, last.space, last.write, last.value) == (
                access.offset, access.space, access.write, access.value,
            ):  # fmt: skip
                self._recent[-1] = (access, count + 1)
                return
        self._recent.append((access, 1))

    def summary(self) -> dict[str, Any]:
        """All counts, for a program."""
        names = ("reads", "writes", "dma", "frames", "bytes", "drops")
        return {name: dict(getattr(self, name)) for name in names} | {"interrupts": self.interrupts}

    def render(self, width: int = 140) -> RenderableType:
        """The view as it is now, for so many columns."""
        heading = Text(f"{self.title}   {self.time / SECOND:.3f} s   ", style="bold")
        frames = ", ".join(f"{self.frames[way]} frames {way} ({self.bytes[way]:,} bytes)" for way in ("tx", "rx"))
        heading.append(f"{frames}, {self.interrupts} interrupts", style="default")
        dma = "  ".join(f"{what} {count:,}" for what, count in sorted(self.dma.items()))
        now = self._rings() if self._left is None else self._left
        parts: list[RenderableType] = [heading, now, Text(f"DMA     {dma or 'none yet'}")]
        if self.drops:
            parts.append(
                Text("not done  " + "  ".join(f"{why} {n}" for why, n in sorted(self.drops.items())), style="yellow")
            )
        if not (self._card.spaces or self._card.config):  # queues alone: vhost-user
            pass
        elif width < BESIDE:
            parts += [Text(), self._accesses(width), Text(), self._counts()]
        else:
            both, counts = Table.grid(padding=(0, 3)), self._counts()
            both.add_row(self._accesses(width - Measurement.get(_PLAIN, _PLAIN.options, counts).maximum - 6), counts)
            parts += [Text(), both]
        parts += [Text(change, style="green") for change in self._changes]
        return Group(*parts)

    def _rings(self) -> RenderableType:
        """How much of each ring is the card's, and from where on."""
        lines, found = [], self._look()
        names = 1 + max((len(ring.name) for ring in found), default=0)
        for ring in found:
            if not ring.count:
                lines.append(f"{ring.name:{names}}ring not set up")
                continue
            places = [(place * ring.count // 32 - ring.head) % ring.count < ring.owned for place in range(32)]
            bar = "".join("█" if owned else "·" for owned in places)
            what = f"{ring.owned:5} of {ring.count}{ring.unit and ' ' + ring.unit} are the card's"
            lines.append(f"{ring.name:{names}}{bar} {what}  head {ring.head}  tail {ring.tail}  at {ring.address:#x}")
        return Text("\n".join(lines))

    def _accesses(self, width: int) -> Table:
        """In so many columns."""
        rows = [(access, *name_access(self._card, access), count) for access, count in self._recent]
        names = max((min(len(name), LONGEST_NAME) for _, name, _, _ in rows), default=0)
        counts = max((len(f"x{count}") + 1 for _, _, _, count in rows if count > 1), default=0)
        longest = max(min(LONGEST, width - len("writes ") - names - 1 - counts - 2), SHORTEST)
        table = Table(box=None, padding=(0, 1, 0, 0), title="latest accesses", title_justify="left", min_width=24)
        for _ in range(4):
            table.add_column(no_wrap=True)
        for access, name, value, count in rows:
            way = Text("writes", style="magenta") if access.write else Text("reads", style="cyan")
            table.add_row(way, _shortened(name, LONGEST_NAME), _shortened(value, longest), f"x{count}" * (count > 1))
        return table

    def _counts(self) -> Table:
        table = Table(box=None, padding=(0, 1, 0, 0), title="busiest registers", title_justify="left", min_width=24)
        for heading in ("register", "reads", "writes"):
            table.add_column(heading, justify="left" if heading == "register" else "right")
        for name, _ in (self.reads + self.writes).most_common(BUSIEST):
            table.add_row(_shortened(name, LONGEST_NAME), f"{self.reads[name]:,}", f"{self.writes[name]:,}")
        return table


def _shortened(words: str, longest: int) -> str:
    """At most so many characters, up to the end of a word."""
    if len(words) <= longest:
        return words
    return words[: longest - 1].rpartition(" ")[0].rstrip(" |,") + " …"


class EventLog:
    """A listener that writes every event as a line of JSON; a register access with its name and its value in words."""

    def __init__(self, file: TextIO, card: Sheet) -> None:
        self._file = file
        self._card = card

    def __call__(self, event: Event) -> None:
        line: dict[str, Any] = {"event": type(event).__name__}
        for field in fields(event):
            value = getattr(event, field.name)
            line[field.name] = value.hex() if isinstance(value, bytes) else value
        if isinstance(event, RegisterAccess):
            line["register"], line["meaning"] = name_access(self._card, event)
        self._file.write(json.dumps(line) + "\n")
