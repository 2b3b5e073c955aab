"""What the device is told over the control queue: who is let in, offloads, queue pairs (virtio 5.1.6.5).

What is asked for is state; `apply` asks for all of it, after each reset.
"""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from motenet.core.errors import ConfigurationError
from motenet.core.state import Component
from motenet.datasheets.virtio.features import FEATURES
from motenet.datasheets.virtio.net import (
    CTRL_ANNOUNCE,
    CTRL_ANNOUNCE_ACK,
    CTRL_GUEST_OFFLOADS,
    CTRL_GUEST_OFFLOADS_SET,
    CTRL_MAC,
    CTRL_MAC_ADDR_SET,
    CTRL_MAC_ENTRIES_CODEC,
    CTRL_MAC_TABLE_SET,
    CTRL_MQ,
    CTRL_MQ_PAIRS_CODEC,
    CTRL_MQ_VQ_PAIRS_SET,
    CTRL_OFFLOADS_CODEC,
    CTRL_RX,
    CTRL_RX_ALLMULTI,
    CTRL_RX_ALLUNI,
    CTRL_RX_NOBCAST,
    CTRL_RX_NOMULTI,
    CTRL_RX_NOUNI,
    CTRL_RX_PROMISC,
    CTRL_VLAN,
    CTRL_VLAN_ADD,
    CTRL_VLAN_DEL,
    CTRL_VLAN_ID_CODEC,
)
from motenet.drivers.driver import check_groups, check_vlans, is_station
from motenet.drivers.virtio.control import MOST_DATA, ControlQueue
from motenet.drivers.virtio.settings import RECEIVED_SEGMENTS, mask

_EXTRA = (CTRL_RX_ALLUNI, CTRL_RX_NOMULTI, CTRL_RX_NOUNI, CTRL_RX_NOBCAST)
MODES = {
    "promiscuous": CTRL_RX_PROMISC,
    "all_multicast": CTRL_RX_ALLMULTI,
    "all_unicast": CTRL_RX_ALLUNI,
    "no_multicast": CTRL_RX_NOMULTI,
    "no_unicast": CTRL_RX_NOUNI,
    "no_broadcast": CTRL_RX_NOBCAST,
}
"""Receive modes by name (5.1.6.5.1)."""

_OFFLOADS = mask("GUEST_CSUM", *RECEIVED_SEGMENTS)
_MOST_ADDRESSES = (MOST_DATA - 2 * CTRL_MAC_ENTRIES_CODEC.size) // 6


class Filters(Component):
    """Everything that is asked of the device by commands."""

    STATE: ClassVar[tuple[str, ...]] = ("modes", "told", "groups", "stations", "vlans", "told_vlans", "offloads")

    def __init__(self) -> None:
        self.path = "filters"
        self.control: ControlQueue | None = None
        """Wiring; None without CTRL_VQ."""
        self.features = 0
        self.modes = dict.fromkeys(MODES, False)
        self.told: dict[str, bool] = {}
        """The modes that the device has been told of."""
        self.groups: list[bytes] = []
        """Multicast addresses that pass."""
        self.stations: list[bytes] = []
        """Unicast addresses that pass, beside the station's own."""
        self.vlans: list[int] = []
        """VLAN ids that pass, with CTRL_VLAN."""
        self.told_vlans: list[int] = []
        """VLAN ids that the device has been told of."""
        self.offloads = _OFFLOADS
        """GUEST feature bits that are not switched off (5.1.6.5.8)."""

    def has(self, feature: str) -> bool:
        """Whether there is a control queue, and the feature."""
        return self.control is not None and bool(self.features & FEATURES[feature])

    @property
    def sets_mac(self) -> bool:
        """5.1.6.5.2.2: without CTRL_RX no command of that class is allowed, CTRL_MAC_ADDR or not."""
        return self.has("CTRL_MAC_ADDR") and self.has("CTRL_RX")

    # --- what is wanted

    def ask_groups(self, groups: Sequence[bytes]) -> None:
        """Remember multicast addresses, checked."""
        self.groups = check_groups(groups)
        self.apply_addresses()

    def ask_stations(self, stations: Sequence[bytes]) -> None:
        """Remember unicast addresses, checked."""
        for station in stations:
            if not is_station(station):
                raise ConfigurationError(f"{station.hex(':')} is no unicast address")
        self.stations = [bytes(station) for station in stations]
        self.apply_addresses()

    def ask_mode(self, name: str, on: bool) -> None:
        """Remember a receive mode."""
        self.modes[name] = on
        self.apply_modes()

    def ask_vlans(self, vlans: Iterable[int]) -> None:
        """Remember VLAN ids, checked."""
        self.vlans = check_vlans(vlans)
        self.apply_vlans()

    def ask_offloads(self, checksums: bool, segments: bool) -> None:
        """Remember which receive offloads may be on; segments need checksums."""
        self.offloads = FEATURES["GUEST_CSUM"] if checksums else 0
        if checksums and segments:
            self.offloads = _OFFLOADS
        self.apply_offloads()

    # --- commands

    def _ask(self, kind: int, command: int, data: bytes, split_at: int = 0) -> None:
        control = self.control
        if control is not None and control.live:
            control.ask(kind, command, data, split_at)

    def apply(self, mac: bytes, pairs: int) -> None:
        """After a reset, with DRIVER_OK set: everything. `mac`: an address to set, or empty."""
        self.told = {}
        self.told_vlans = []
        if mac and self.sets_mac:
            self.apply_mac(mac)
        self.apply_addresses()
        self.apply_vlans()
        if self.offloads & self.features != _OFFLOADS & self.features:
            self.apply_offloads()
        if pairs > 1:
            self._ask(CTRL_MQ, CTRL_MQ_VQ_PAIRS_SET, CTRL_MQ_PAIRS_CODEC.pack(pairs))

    def apply_mac(self, mac: bytes) -> None:
        """5.1.6.5.2: the station's own address."""
        self._ask(CTRL_MAC, CTRL_MAC_ADDR_SET, bytes(mac))

    def apply_modes(self) -> None:
        """5.1.6.5.1: what has changed. The extra modes start as off; devices differ about the first two."""
        if not self.has("CTRL_RX"):
            return
        crowded = len(self.groups) + len(self.stations) > _MOST_ADDRESSES
        for name, command in MODES.items():
            on = self.modes[name] or (crowded and command == CTRL_RX_PROMISC)
            before = self.told.get(name, False if command in _EXTRA else None)
            if on != before and (command not in _EXTRA or self.has("CTRL_RX_EXTRA")):
                self.told[name] = on
                self._ask(CTRL_RX, command, bytes((on,)))

    def apply_addresses(self) -> None:
        """5.1.6.5.2: the unicast table, then the multicast one. Too many for our memory: promiscuous instead."""
        if not self.has("CTRL_RX"):
            return
        self.apply_modes()
        if len(self.groups) + len(self.stations) > _MOST_ADDRESSES:
            return
        unicast, multicast = (
            CTRL_MAC_ENTRIES_CODEC.pack(len(table)) + b"".join(table) for table in (self.stations, self.groups)
        )
        self._ask(CTRL_MAC, CTRL_MAC_TABLE_SET, unicast + multicast, len(unicast))

    def apply_vlans(self) -> None:
        """5.1.6.5.3: what is new is added, what is gone deleted."""
        if not self.has("CTRL_VLAN"):
            return
        before, after = dict.fromkeys(self.told_vlans), dict.fromkeys(self.vlans)
        for vlan in self.vlans:
            if vlan not in before:
                self._ask(CTRL_VLAN, CTRL_VLAN_ADD, CTRL_VLAN_ID_CODEC.pack(vlan))
        for vlan in self.told_vlans:
            if vlan not in after:
                self._ask(CTRL_VLAN, CTRL_VLAN_DEL, CTRL_VLAN_ID_CODEC.pack(vlan))
        self.told_vlans = list(self.vlans)

    def apply_offloads(self) -> None:
        """5.1.6.5.8; none whose feature is not there."""
        if self.has("CTRL_GUEST_OFFLOADS"):
            offloads = self.offloads & self.features & _OFFLOADS
            self._ask(CTRL_GUEST_OFFLOADS, CTRL_GUEST_OFFLOADS_SET, CTRL_OFFLOADS_CODEC.pack(offloads))

    def acknowledge_announcement(self) -> None:
        """5.1.6.5.4."""
        self._ask(CTRL_ANNOUNCE, CTRL_ANNOUNCE_ACK, b"")
