"""The cable's end at a card in QEMU: one frame, without FCS, is one AF_UNIX datagram, or a counted part of a stream."""

import socket
from collections import deque
from collections.abc import Iterable
from typing import Protocol

from motenet.bridge.realtime import SHORTEST_FRAME
from motenet.core.state import Component
from motenet.core.trace import HasNow, Watched
from motenet.devices.parts.offload import complete
from motenet.doors import FrameFacts
from motenet.machine import Port

LONGEST_FRAME = 1 << 17
"""Bytes: more than any frame that QEMU sends (its own limit is 4 KiB + 64 KiB)."""
MOST_WAITING = 1024
"""Frames that wait here while QEMU's card takes none; those beyond are lost, as in a switch."""
WITHOUT_END = 1 << 62
PREFIX = 4
"""Bytes ahead of a frame in a stream (QEMU, net/stream.c)."""


class Cable(Protocol):
    """What frames pass through, one a call; BlockingIOError when none can. A datagram socket is one."""

    def setblocking(self, flag: bool, /) -> None: ...

    def recv(self, size: int, /) -> bytes: ...

    def sendto(self, frame: bytes, remote: str, /) -> int: ...

    def close(self) -> None: ...


class StreamCable:
    """QEMU's `-netdev stream`: ahead of each frame its length, 32 bits, most significant byte first.

    Unlike ten datagrams, a stream holds a whole burst, and QEMU sleeps while it is full.
    """

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._heard = bytearray()
        self._frames: deque[bytes] = deque()
        self._unsent = memoryview(b"")

    def setblocking(self, flag: bool, /) -> None:
        self._stream.setblocking(flag)

    def recv(self, size: int, /) -> bytes:
        self._flush()
        if not self._frames:
            self._cut(self._stream.recv(size))
        if not self._frames:
            raise BlockingIOError
        return self._frames.popleft()

    def _cut(self, data: bytes) -> None:
        """Whole frames are taken from what has been heard, the rest is kept."""
        heard = self._heard
        heard += data
        at, end = 0, len(heard)
        while end - at >= PREFIX:
            following = at + PREFIX + int.from_bytes(heard[at : at + PREFIX], "big")
            if following > end:
                break
            self._frames.append(bytes(heard[at + PREFIX : following]))
            at = following
        del heard[:at]

    def sendto(self, frame: bytes, remote: str, /) -> int:
        self._flush()
        if self._unsent:
            raise BlockingIOError
        self._unsent = memoryview(len(frame).to_bytes(PREFIX, "big") + frame)
        self._flush()
        return len(frame)

    def _flush(self) -> None:
        """Send what is left of a frame; what is left of that waits for the next call."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self._stream.send(self._unsent) :]
        except BlockingIOError:
            pass

    def close(self) -> None:
        self._stream.close()


class Wire(Watched):
    """Stands at `port` for the card in QEMU. Implements doors.PortUser.

    Frames that QEMU's card sends while nothing is connected to the port are kept in `received`, for whoever looks.
    """

    def __init__(self, clock: HasNow, link: Cable, remote: str, path: str) -> None:
        super().__init__(clock, path)
        link.setblocking(False)
        self._link = link
        self._remote = remote
        self._waiting: deque[bytes] = deque()
        self.port = Port(clock, f"{path}/port")
        self.port.attach(self, unfinished=True)  # it finishes them here
        self.received: deque[bytes] = deque()

    def parts(self) -> Iterable[Component]:
        return (self.port,)

    def carrier_changed(self, carrier: bool) -> None:
        """QEMU's card always sees a link: its cable leads to us."""

    def frame_arrived(self, frame: bytes, facts: FrameFacts | None) -> None:
        """A frame for QEMU's card, at once: its time is never behind that of the world."""
        if facts is not None and facts.damaged:
            self.drop("bad FCS", frame=frame)
        else:
            for whole in (frame,) if facts is None else complete(frame, facts):
                self.send(whole)

    def send(self, frame: bytes) -> None:
        """Give a frame to QEMU's card; it waits here while the card has no room."""
        if len(self._waiting) >= MOST_WAITING:
            self.drop("queue full", f"QEMU's card has not taken {MOST_WAITING} frames", frame)
            return
        self._waiting.append(frame)
        self._push()

    def _push(self) -> None:
        waiting = self._waiting
        while waiting:
            try:
                self._link.sendto(waiting[0], self._remote)
            except BlockingIOError:
                return
            except (ConnectionRefusedError, FileNotFoundError):
                self.drop("no QEMU", frame=waiting[0])  # who reads from it next is told that QEMU is gone
            waiting.popleft()

    def take(self, most: int = WITHOUT_END) -> bool:
        """Put the frames that QEMU's card has sent on the cable, but not more than `most`; says whether there was any.

        QEMU's cards leave it to the receiver to make up short frames; on a cable there are none (802.3, 4.2.3.3).
        """
        self._push()
        found = False
        for _ in range(most):
            try:
                frame = self._link.recv(LONGEST_FRAME)
            except BlockingIOError:
                return found
            found = True
            if self.port.medium is None:
                self.received.append(frame)
            else:
                self.port.transmit(frame if len(frame) >= SHORTEST_FRAME else frame.ljust(SHORTEST_FRAME, b"\0"))
        return found

    def close(self) -> None:
        """The card is gone."""
        self._link.close()
