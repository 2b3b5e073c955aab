"""Which frames the network device takes: receive modes, address table, VLANs (virtio 5.1.6.5.1 to 5.1.6.5.3)."""

from typing import ClassVar

from motenet.core.state import Component
from motenet.devices.virtio.net.config import NetConfig

TABLE = 64
"""Addresses that are filtered exactly; with more, all of that kind are taken (5.1.6.5.2 allows it; QEMU's number)."""
_BROADCAST = b"\xff" * 6
_VLAN = b"\x81\x00"


class ReceiveFilter(Component):
    """Before the driver sets a mode the device is promiscuous, as all such are: drivers without CTRL_RX rely on it."""

    STATE: ClassVar[tuple[str, ...]] = (
        "modes", "unicast", "multicast", "too_many_unicast", "too_many_multicast", "vlans", "by_vlan"
    )  # fmt: skip

    def __init__(self, config: NetConfig) -> None:
        self.path = "filter"
        self._config = config
        self.modes = [0] * 6
        """0 or 1 for each: promiscuous, all multicast, all unicast, no multicast, no unicast, no broadcast."""
        self.unicast: dict[bytes, int] = {}
        self.multicast: dict[bytes, int] = {}
        self.vlans: dict[int, int] = {}
        self.reset()

    def reset(self) -> None:
        """5.1.6.5.2.1: an empty table."""
        self.modes[:] = (1, 0, 0, 0, 0, 0)
        self.set_table([], [])
        self.vlans.clear()
        self.by_vlan = 0
        """CTRL_VLAN is negotiated: only VLANs of the table are taken."""

    def set_table(self, unicast: list[bytes], multicast: list[bytes]) -> None:
        """Replace the table. Those that find no room make the device take all of their kind."""
        self.too_many_unicast = int(len(unicast) > TABLE)
        kept = {} if self.too_many_unicast else dict.fromkeys(unicast, 1)
        self.too_many_multicast = int(len(multicast) > TABLE - len(kept))
        self.unicast.clear()
        self.unicast.update(kept)
        self.multicast.clear()
        if not self.too_many_multicast:
            self.multicast.update(dict.fromkeys(multicast, 1))

    def refuses(self, frame: bytes) -> str:
        """Why the frame is not taken, or ""."""
        promiscuous, all_multicast, all_unicast, no_multicast, no_unicast, no_broadcast = self.modes
        if promiscuous:
            return ""
        if self.by_vlan and frame[12:14] == _VLAN and (frame[14] << 8 | frame[15]) & 0xFFF not in self.vlans:
            return "VLAN filtered"
        destination = frame[:6]
        if destination == _BROADCAST:
            taken = not no_broadcast
        elif destination[0] & 1:
            anyway = all_multicast or self.too_many_multicast
            taken = not no_multicast and bool(anyway or destination in self.multicast)
        else:
            anyway = all_unicast or self.too_many_unicast or destination == self._config.mac
            taken = not no_unicast and bool(anyway or destination in self.unicast)
        return "" if taken else "not for us"
