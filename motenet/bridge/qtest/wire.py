"""The cable between a card in QEMU and a port of ours: one frame, without FCS, is one AF_UNIX datagram."""

import socket
from collections import deque

from motenet.bridge.realtime import SHORTEST_FRAME, with_checksum
from motenet.core.clock import Clock
from motenet.core.trace import FramePassed, Watched
from motenet.doors import FrameFacts
from motenet.machine import Port

LONGEST_FRAME = 1 << 17
"""Bytes: more than any frame that QEMU sends (its own limit is 4 KiB + 64 KiB)."""
MOST_WAITING = 1024
"""Frames that wait here while QEMU's card takes none; those beyond are lost, as in a switch."""


class Wire(Watched):
    """A cable. Frames of QEMU's that no port is connected to are kept in `received`, for whoever wants to look."""

    def __init__(self, clock: Clock, link: socket.socket, remote: str, path: str = "wire") -> None:
        super().__init__(clock, path)
        link.setblocking(False)
        self._world = clock
        self._link = link
        self._remote = remote
        self._waiting: deque[bytes] = deque()
        self.port: Port | None = None
        self.received: deque[bytes] = deque()
        """Frames that QEMU's card has sent while no port was connected."""

    def connect(self, port: Port) -> None:
        """Lay the cable to a port of ours; its card sees a carrier from now on."""
        self.port = port
        port.connect(self)

    def frame_sent(self, port: Port, frame: bytes, facts: FrameFacts | None) -> None:
        """A frame for QEMU's card, at once: its time is never behind that of the world."""
        if facts is not None:
            if facts.damaged:
                self.drop("bad FCS", frame=frame)
                return
            if facts.segment_size:
                self.drop("not segmented", f"{len(frame)} bytes that a datagram cannot tell to cut", frame)
                return
            if facts.checksum_offset:
                frame = with_checksum(frame, facts)
        self.send(frame)

    def send(self, frame: bytes) -> None:
        """Put a frame on the cable to QEMU's card; it waits here while the card has no room."""
        if len(self._waiting) >= MOST_WAITING:
            self.drop("queue full", f"QEMU's card has not taken {MOST_WAITING} frames", frame)
            return
        if self.watch is not None:
            self.watch(FramePassed(self._world.now, self.path, "rx", frame))
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

    def take(self, when: int) -> bool:
        """Bring the frames that QEMU has sent into the world, as events at `when` (ns); says whether there was any."""
        self._push()
        found = False
        while True:
            try:
                frame = self._link.recv(LONGEST_FRAME)
            except BlockingIOError:
                return found
            found = True
            if self.watch is not None:
                self.watch(FramePassed(self._world.now, self.path, "tx", frame))
            if self.port is None:
                self.received.append(frame)
            else:
                self._world.at(when, self._arrive, frame)

    def _arrive(self, frame: bytes) -> None:
        """QEMU's cards leave it to the receiver to make up short frames; on a cable there are none (802.3, 4.2.3.3)."""
        if self.port is None:
            self.drop("no cable", frame=frame)
        else:
            self.port.deliver(frame.ljust(SHORTEST_FRAME, b"\0"))

    def close(self) -> None:
        """Pull the cable out."""
        if self.port is not None:
            self.port.connect(None)
            self.port = None
        self._link.close()
