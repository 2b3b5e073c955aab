"""Automatic receive steering: a flow's frames come in where the driver sends its own (virtio 5.1.6.5.6)."""

import zlib
from typing import ClassVar

from motenet.core.state import Component

FLOWS = 1024
"""Flows that are remembered; the one that was learnt first makes room."""
_TCP, _UDP = 6, 17
_VLAN, _IPV4, _IPV6 = b"\x81\x00", b"\x08\x00", b"\x86\xdd"


def flow(frame: bytes) -> tuple[bytes, bytes]:
    """The two ends of a frame's flow, source first: protocol, address and, for whole TCP and UDP packets, port.

    Two empty ones if it is not IP.
    """
    at = 16 if frame[12:14] == _VLAN else 12
    kind, ip = frame[at : at + 2], at + 2
    if kind == _IPV4 and len(frame) >= ip + 20:
        protocol, ports = frame[ip + 9], ip + (frame[ip] & 15) * 4
        source, destination = frame[ip + 12 : ip + 16], frame[ip + 16 : ip + 20]
        whole = not (frame[ip + 6] & 0x3F or frame[ip + 7])
    elif kind == _IPV6 and len(frame) >= ip + 40:
        protocol, ports = frame[ip + 6], ip + 40
        source, destination = frame[ip + 8 : ip + 24], frame[ip + 24 : ip + 40]
        whole = True
    else:
        return b"", b""
    start = bytes((protocol,))
    if whole and protocol in (_TCP, _UDP):
        source += frame[ports : ports + 2]
        destination += frame[ports + 2 : ports + 4]
    return start + source, start + destination


class Steering(Component):
    """`pairs` is how many queue pairs are in use; `flows` maps both ends of a flow, as they come in, to a pair."""

    STATE: ClassVar[tuple[str, ...]] = ("pairs", "flows")

    def __init__(self) -> None:
        self.path = "steering"
        self.flows: dict[bytes, int] = {}
        self.reset()

    def reset(self) -> None:
        """Only the first pair (5.1.6.5.6.2)."""
        self.use(1)

    def use(self, pairs: int) -> None:
        """Use so many pairs; what was learnt is forgotten."""
        self.pairs = pairs
        self.flows.clear()

    def sent(self, frame: bytes, pair: int) -> None:
        """The driver has sent on `pair`: what comes back goes there."""
        source, destination = flow(frame)
        key = destination + source
        if self.flows.pop(key, None) is None and len(self.flows) >= FLOWS:
            del self.flows[next(iter(self.flows))]
        self.flows[key] = pair

    def pair(self, frame: bytes) -> int:
        """Where a received frame goes; a flow that is not known, to a pair of its own choosing."""
        source, destination = flow(frame)
        if not source:
            return 0
        key = source + destination
        known = self.flows.get(key)
        return zlib.crc32(key) % self.pairs if known is None else known
