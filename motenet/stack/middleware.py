"""Devices around a device, by composition: a tracer, a fault injector, and one that lets a program change frames.

They stand between an interface and its card, and know nothing of cables: a world's own links, captures and trace
(motenet.sim) are the better choice there. `card = stack.attachments[0]`, then
`card.wrap(FaultInjector(stack.clock, card.device, Stream(7, "faults"), drop=0.1))`.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import ClassVar

from motenet.core.errors import ConfigurationError
from motenet.core.rng import Stream
from motenet.core.state import Component
from motenet.core.trace import FramePassed, HasNow, Watched
from motenet.core.units import duration, probability
from motenet.doors import Capabilities, FrameFacts, Received
from motenet.stack.phy import Device, HeldRxToken, TxToken

RX, TX = "rx", "tx"


class Middleware(Watched):
    """Passes all frames on. What it may do with them is in `loses`, `alter` and `passed`, which subclasses have."""

    def __init__(self, clock: HasNow, device: Device, path: str) -> None:
        super().__init__(clock, path)
        self.device = device

    def parts(self) -> Iterable[Component]:
        return (self.device,) if isinstance(self.device, Component) else ()

    # --- what subclasses do

    def loses(self, direction: str, length: int) -> bool:
        """Whether a frame of so many bytes goes no further; `direction` is "rx" or "tx"."""
        return False

    def alter(self, direction: str, frame: memoryview) -> bool:
        """Change a frame in place; says whether it is another one now."""
        return False

    def passed(self, direction: str, frame: bytes, facts: FrameFacts | None) -> None:
        """A frame goes on."""

    # --- Device

    def receive(self, now: int) -> "tuple[HeldRxToken, MiddlewareTxToken] | None":
        while (tokens := self.device.receive(now)) is not None:
            received = tokens[0].consume(_copied)
            if not self.loses(RX, len(received.frame)):
                if self.alter(RX, received.frame):  # what a card has verified or joined was another frame
                    received = Received(received.frame, vlan=received.vlan)
                self.passed(RX, b"".join((received.frame, *received.more)), None)
                return HeldRxToken(received), MiddlewareTxToken(self, tokens[1])
        return None

    def transmit(self, now: int) -> "MiddlewareTxToken | None":
        token = self.device.transmit(now)
        return None if token is None else MiddlewareTxToken(self, token)

    def capabilities(self) -> Capabilities:
        return self.device.capabilities()


class MiddlewareTxToken:
    """Room for a frame in the device behind."""

    def __init__(self, middleware: Middleware, token: TxToken) -> None:
        self._middleware = middleware
        self._token = token

    def consume(self, length: int, f: Callable[[memoryview], None], facts: FrameFacts | None = None) -> bool:
        middleware = self._middleware
        if middleware.loses(TX, length):
            f(memoryview(bytearray(length)))
            return True
        frames: list[bytes] = []

        def write(view: memoryview) -> None:
            f(view)
            middleware.alter(TX, view)
            frames.append(bytes(view))

        if not self._token.consume(length, write, facts):
            return False
        middleware.passed(TX, frames[0], facts)
        return True


class Tracer(Middleware):
    """Tells `listen` of each frame that passes, as the trace's FramePassed.

    What a driver has joined (GRO) comes as one frame; `facts` say what a card has still to do to one that is sent.
    """

    def __init__(
        self, clock: HasNow, device: Device, listen: Callable[[FramePassed], object], path: str = "tracer"
    ) -> None:
        super().__init__(clock, device, path)
        self.listen = listen

    def passed(self, direction: str, frame: bytes, facts: FrameFacts | None) -> None:
        self.listen(FramePassed(self.clock.now, self.path, direction, frame, facts=facts))


class Unassisted(Middleware):
    """A middleware that changes frames: cards leave their checksums and segments to the stack, which finds changes."""

    def capabilities(self) -> Capabilities:
        return replace(self.device.capabilities(), checksum_tx=False, max_segmented=0, max_segmented_ipv6=0)


class FuzzInjector(Unassisted):
    """Lets `change(direction, frame)` write into each frame; `direction` is "rx" or "tx"."""

    def __init__(
        self, clock: HasNow, device: Device, change: Callable[[str, memoryview], None], path: str = "fuzz"
    ) -> None:
        super().__init__(clock, device, path)
        self.change = change

    def alter(self, direction: str, frame: memoryview) -> bool:
        before = bytes(frame)
        self.change(direction, frame)
        return before != frame


class FaultInjector(Unassisted):
    """Loses frames, and flips bits, both ways.

    `drop` and `corrupt` are probabilities; frames longer than `longest` bytes are lost, and so are those beyond `rate`
    an `interval`, of each direction. ConfigurationError for what cannot be.
    """

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "left", "refill_at", "corrupted")

    def __init__(
        self,
        clock: HasNow,
        device: Device,
        stream: Stream,
        *,
        drop: float = 0.0,
        corrupt: float = 0.0,
        longest: int | None = None,
        rate: int | None = None,
        interval: str | int = "1s",
        path: str = "faults",
    ) -> None:
        super().__init__(clock, device, path)
        self.stream = stream
        self.losing, self.corrupting = probability(drop, "drop"), probability(corrupt, "corrupt")
        for name, value in (("longest", longest), ("rate", rate)):
            if value is not None and value < 0:
                raise ConfigurationError(f"{name}={value!r}: give a number, 0 or more, or None for no limit")
        self.longest, self.rate, self.interval = longest, rate, duration(interval)
        self.left = {RX: 0, TX: 0}
        """Frames that may pass in this interval still."""
        self.refill_at = 0
        self.corrupted = 0

    def parts(self) -> Iterable[Component]:
        return (self.stream, *super().parts())

    def loses(self, direction: str, length: int) -> bool:
        if self.losing and self.stream.random() < self.losing:
            self.drop("fault-lost")
        elif self.longest is not None and length > self.longest:
            self.drop("fault-long")
        elif not self._allows(direction):
            self.drop("fault-rate")
        else:
            return False
        return True

    def _allows(self, direction: str) -> bool:
        if self.rate is None:
            return True
        if self.clock.now >= self.refill_at:
            self.left.update({RX: self.rate, TX: self.rate})
            self.refill_at = self.clock.now + self.interval
        if not self.left[direction]:
            return False
        self.left[direction] -= 1
        return True

    def alter(self, direction: str, frame: memoryview) -> bool:
        if not self.corrupting or self.stream.random() >= self.corrupting:
            return False
        bit = self.stream.below(8 * len(frame))
        frame[bit >> 3] ^= 1 << (bit & 7)
        self.corrupted += 1
        return True


def _copied(received: Received) -> Received:
    """The same frame in memory of its own: the device's is lent for a moment only."""
    frame = memoryview(bytearray(received.frame))
    return replace(received, frame=frame, more=[memoryview(bytes(one)) for one in received.more])
