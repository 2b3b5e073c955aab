"""A learning Ethernet switch (IEEE 802.1D, 7.7 to 7.9): store and forward, a table of addresses that ages."""

from collections.abc import Iterable
from typing import ClassVar

from motenet.core import units
from motenet.core.clock import Clock
from motenet.core.state import Component
from motenet.core.trace import Watched
from motenet.devices.parts.offload import complete
from motenet.doors import FrameFacts
from motenet.machine import Port

AGEING_TIME = 300 * units.SECOND
"""IEEE 802.1D, table 7-5: the recommended default."""
TABLE_LIMIT = 8192
"""Addresses a switch remembers; beyond that, frames to new ones are flooded."""


class _Jack:
    """Which of the switch's ports a frame has come in by."""

    def __init__(self, switch: "Switch", index: int) -> None:
        self._forward = switch.forward
        self._index = index

    def frame_arrived(self, frame: bytes, facts: FrameFacts | None) -> None:
        self._forward(self._index, frame, facts)

    def carrier_changed(self, carrier: bool) -> None:
        """A pulled cable ages out by itself."""


class Switch(Watched):
    """Joins any number of links; `table` maps an address to (port index, time last seen)."""

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "table")

    def __init__(self, clock: Clock, name: str) -> None:
        super().__init__(clock, name)
        self.name = name
        self.ports: list[Port] = []
        self.table: dict[bytes, tuple[int, int]] = {}

    def parts(self) -> Iterable[Component]:
        return self.ports

    def new_port(self) -> Port:
        """A port for another cable."""
        port = Port(self.clock, f"{self.path}/port{len(self.ports)}")
        port.attach(_Jack(self, len(self.ports)), unfinished=True)
        port.watch = self.watch
        self.ports.append(port)
        return port

    def forward(self, index: int, frame: bytes, facts: FrameFacts | None) -> None:
        """Learn where the sender is; send on to where the destination is, or everywhere else."""
        if len(frame) < 14:
            self.drop("runt", frame=frame)
            return
        if facts is not None and facts.damaged:
            self.drop("bad FCS", frame=frame)
            return
        now = self.clock.now
        destination, source = frame[:6], frame[6:12]
        if not source[0] & 1:
            self._learn(source, index, now)
        known = self.table.get(destination)
        if known is not None and now - known[1] <= AGEING_TIME:
            if known[0] != index:
                self._send(self.ports[known[0]], frame, facts)
            return
        for other, port in enumerate(self.ports):
            if other != index:
                self._send(port, frame, facts)

    def _send(self, port: Port, frame: bytes, facts: FrameFacts | None) -> None:
        """Frames are finished here for who cannot do it."""
        if facts is None or port.takes_unfinished:
            port.transmit(frame, facts)
        else:
            for whole in complete(frame, facts):
                port.transmit(whole)

    def _learn(self, source: bytes, index: int, now: int) -> None:
        """7.8; a full table forgets what has aged, and learns nobody new if nothing has."""
        if source not in self.table and len(self.table) >= TABLE_LIMIT:
            for address in [known for known, (_, seen) in self.table.items() if now - seen > AGEING_TIME]:
                del self.table[address]
            if len(self.table) >= TABLE_LIMIT:
                return
        self.table[source] = (index, now)
