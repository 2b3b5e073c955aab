"""A card's end of the cable."""

from collections.abc import Callable
from typing import ClassVar, Protocol

from motenet.core.trace import FramePassed, HasNow, Watched
from motenet.doors import FrameFacts, PortUser


class Medium(Protocol):
    """What a port is connected to: a link, a TAP bridge, a test's recorder."""

    @property
    def takes_unfinished(self) -> bool:
        """See doors.Port."""

    def frame_sent(self, port: "Port", frame: bytes, facts: FrameFacts | None) -> None:
        """A card has put a frame on the cable, at `port.clock.now`."""


class Port(Watched):
    """Implements doors.Port for the card; `deliver` and `set_carrier` are for the medium, from events of its own."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "carrier")

    def __init__(self, clock: HasNow, path: str) -> None:
        super().__init__(clock, path)
        self.carrier = False
        self.medium: Medium | None = None
        self._card: PortUser | None = None
        self._burst: Callable[[list[bytes]], None] | None = None
        self.unfinished = False
        """The card likes frames whose checksums and segments are still to be made."""

    def attach(
        self, card: PortUser, burst: Callable[[list[bytes]], None] | None = None, *, unfinished: bool = False
    ) -> None:
        self._card = card
        self._burst = burst
        self.unfinished = unfinished

    @property
    def takes_unfinished(self) -> bool:
        return self.medium is not None and self.medium.takes_unfinished

    def connect(self, medium: Medium | None) -> None:
        """Put the cable in, or pull it out (None)."""
        self.medium = medium
        self.set_carrier(medium is not None)

    def set_carrier(self, carrier: bool) -> None:
        """Tell the card whether there is somebody at the other end."""
        if carrier != self.carrier:
            self.carrier = carrier
            self.changed("carrier", "up" if carrier else "down")
            if self._card is not None:
                self._card.carrier_changed(carrier)

    def transmit(self, frame: bytes, facts: FrameFacts | None = None) -> None:
        if self.watch is not None:
            self.watch(FramePassed(self.clock.now, self.path, "tx", frame, facts=facts))
        if self.medium is None:
            self.drop("no cable", frame=frame)
        else:
            self.medium.frame_sent(self, frame, facts)

    def deliver(self, frame: bytes, facts: FrameFacts | None = None) -> None:
        """A frame arrives at the card."""
        if self.watch is not None:
            self.watch(FramePassed(self.clock.now, self.path, "rx", frame, facts=facts))
        if self._card is None:
            self.drop("no card", frame=frame)
        else:
            self._card.frame_arrived(frame, facts)

    def deliver_burst(self, frames: list[bytes]) -> None:
        """Plain frames arrive at the same instant; it is as if each was delivered, in order."""
        if self._burst is not None and self.watch is None:
            self._burst(frames)
        else:
            for frame in frames:
                self.deliver(frame)
