"""The cable's end at a card in QEMU: one frame, without FCS, is one AF_UNIX datagram."""

import socket
from collections import deque
from collections.abc import Iterable

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


class Wire(Watched):
    """Stands at `port` for the card in QEMU. Implements doors.PortUser.

    Frames that QEMU's card sends while nothing is connected to the port are kept in `received`, for whoever looks.
    """

    def __init__(self, clock: HasNow, link: socket.socket, remote: str, path: str) -> None:
        super().__init__(clock, path)
        link.setblocking(False)
        self._link = link
        self._remote = remote
        self._waiting: deque[bytes] = deque()
        self.port = Port(clock, f"{path}/port")
        self.port.attach(self)
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

    def take(self) -> bool:
        """Put the frames that QEMU's card has sent on the cable; says whether there was any.

        QEMU's cards leave it to the receiver to make up short frames; on a cable there are none (802.3, 4.2.3.3).
        """
        self._push()
        found = False
        while True:
            try:
                frame = self._link.recv(LONGEST_FRAME)
            except BlockingIOError:
                return found
            found = True
            if self.port.medium is None:
                self.received.append(frame)
            else:
                self.port.transmit(frame if len(frame) >= SHORTEST_FRAME else frame.ljust(SHORTEST_FRAME, b"\0"))

    def close(self) -> None:
        """The card is gone."""
        self._link.close()
