"""What the network device offers, and its configuration space (virtio 5.1.3, 5.1.4)."""

from collections.abc import Iterable
from struct import Struct
from typing import ClassVar

from motenet.core.errors import ConfigurationError
from motenet.core.state import Component
from motenet.datasheets.virtio import net as sheet
from motenet.datasheets.virtio.features import FEATURES, REQUIREMENTS

_ALWAYS = (
    "CSUM", "GUEST_CSUM", "CTRL_GUEST_OFFLOADS", "MTU", "MAC", "GUEST_TSO4", "GUEST_TSO6", "GUEST_ECN", "GUEST_UFO",
    "HOST_TSO4", "HOST_TSO6", "HOST_ECN", "HOST_UFO", "HOST_USO", "MRG_RXBUF", "STATUS", "CTRL_VQ", "CTRL_RX",
    "CTRL_VLAN", "CTRL_RX_EXTRA", "GUEST_ANNOUNCE", "CTRL_MAC_ADDR", "SPEED_DUPLEX",
)  # fmt: skip
_LAYOUT = Struct("<6s3HIB")  # mac, status, max_virtqueue_pairs, mtu, speed, duplex: one after the other
_ENDS = {
    "SPEED_DUPLEX": sheet.DUPLEX.offset + 1,
    "MTU": sheet.MTU.offset + 2,
    "MQ": sheet.MAX_VIRTQUEUE_PAIRS.offset + 2,
    "STATUS": sheet.STATUS.offset + 2,
    "MAC": sheet.MAC.offset + 6,
}
"""Up to which byte each feature makes the configuration reach, the furthest first."""
_LINK_UP, _ANNOUNCE = sheet.STATUS["LINK_UP"], sheet.STATUS["ANNOUNCE"]


def offers(pairs: int, without: Iterable[str]) -> int:
    """The feature bits that a device offers; those `without`, and what needs them, are left out.

    ConfigurationError for a name that is none of them.
    """
    names = dict.fromkeys(_ALWAYS if pairs == 1 else (*_ALWAYS, "MQ"))
    for name in without:
        if name not in _ALWAYS and name != "MQ":
            raise ConfigurationError(f"{name!r} is no feature to leave out; there are {', '.join(_ALWAYS)}, MQ")
        names.pop(name, None)
    for name, needed in REQUIREMENTS.items():  # what is needed comes first
        if name in names and not any(other in names for other in needed):
            del names[name]
    return sum(FEATURES[name] for name in names)


def missing(features: int) -> str:
    """Why these features cannot be together (virtio 5.1.3.1), or ""."""
    for name, needed in REQUIREMENTS.items():
        if features & FEATURES[name] and not any(features & FEATURES[other] for other in needed):
            return f"{name} needs {' or '.join(needed)} (5.1.3.1)"
    return ""


class NetConfig(Component):
    """The device's configuration space; what is not offered reads as zero, and lies beyond `size` if it comes last."""

    STATE: ClassVar[tuple[str, ...]] = ("mac", "written", "link_up", "announce")

    def __init__(self, mac: bytes, offered: int, pairs: int, mtu: int, speed: int) -> None:
        self.path = "config"
        self.permanent = mac
        self._offered = offered
        self._pairs = pairs if offered & FEATURES["MQ"] else 0
        self.mtu = mtu if offered & FEATURES["MTU"] else 0
        self._speed = speed
        self.size = next((end for name, end in _ENDS.items() if offered & FEATURES[name]), _ENDS["MAC"])
        self.link_up = False
        self.reset()

    def reset(self) -> None:
        """The link stays as it is."""
        self.mac = self.permanent
        """The address in force: the filter's."""
        self.written = self.permanent
        """As it reads: a legacy driver may be in the middle of writing it."""
        self.announce = False
        """The driver is asked to announce itself (5.1.6.5.4)."""

    def set_mac(self, mac: bytes) -> None:
        """Another address, reflected in the configuration (5.1.6.5.2.1)."""
        self.mac = self.written = mac

    def write_mac(self, offset: int, value: int, width: int) -> None:
        """5.1.4.3: a legacy driver writes it, byte after byte; it is in force with the last (5.1.6.5.2.3)."""
        end = offset + width
        self.written = self.written[:offset] + value.to_bytes(width, "little") + self.written[end:]
        if end == len(self.written):
            self.mac = self.written

    def read(self, offset: int, width: int) -> int:
        """Little-endian bytes from `offset` on."""
        has_speed = self._offered & FEATURES["SPEED_DUPLEX"]
        known = has_speed and self.link_up
        status = 0
        if self._offered & FEATURES["STATUS"]:
            status = (_LINK_UP if self.link_up else 0) | (_ANNOUNCE if self.announce else 0)
        content = _LAYOUT.pack(
            self.written, status, self._pairs, self.mtu,
            self._speed if known else sheet.SPEED_UNKNOWN if has_speed else 0,
            sheet.DUPLEX_FULL if known else sheet.DUPLEX_UNKNOWN if has_speed else 0,
        )  # fmt: skip
        return int.from_bytes(content[offset : offset + width], "little")
