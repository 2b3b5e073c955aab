"""What is asked of the device, and what it offers: feature bits (virtio 5.1.3) and configuration (5.1.4)."""

import hashlib
from dataclasses import dataclass

from motenet.datasheets.virtio.features import FEATURES
from motenet.datasheets.virtio.net import (
    CONFIG,
    DUPLEX_FULL,
    DUPLEX_HALF,
    MAC,
    MAX_MTU,
    MAX_SPEED,
    MIN_MTU,
    STATUS,
)
from motenet.drivers.driver import check_mtu
from motenet.drivers.virtio.transport import Transport, consistently

_ALWAYS = (
    "MAC", "STATUS", "MTU", "SPEED_DUPLEX", "CTRL_VQ", "CTRL_RX", "CTRL_RX_EXTRA", "CTRL_MAC_ADDR", "GUEST_ANNOUNCE",
    "ANY_LAYOUT", "VERSION_1", "ACCESS_PLATFORM", "ORDER_PLATFORM", "NOTIF_CONFIG_DATA",
)  # fmt: skip
_CHECKSUMS = ("CSUM", "GUEST_CSUM", "CTRL_GUEST_OFFLOADS")
_SEGMENTS = ("HOST_TSO4", "HOST_TSO6", "HOST_ECN", "HOST_UFO", "HOST_USO", "GUEST_HDRLEN")
_DEFAULT_MTU = 1500
RECEIVED_SEGMENTS = ("GUEST_TSO4", "GUEST_TSO6", "GUEST_ECN", "GUEST_UFO")


def mask(*names: str) -> int:
    """The feature bits of these names."""
    return sum(FEATURES[name] for name in names)


def wanted(
    *,
    checksums: bool,
    segments: bool,
    large_receive: bool,
    mergeable: bool,
    packed: bool,
    event_idx: bool,
    indirect: bool,
    several_pairs: bool,
    vlan_filter: bool,
) -> int:
    """The features that the driver takes if they are offered."""
    chosen = {
        _CHECKSUMS: checksums,
        _SEGMENTS: segments,
        RECEIVED_SEGMENTS: large_receive,
        ("MRG_RXBUF",): mergeable,
        ("RING_PACKED",): packed,
        ("RING_EVENT_IDX",): event_idx,
        ("RING_INDIRECT_DESC",): indirect,
        ("MQ",): several_pairs,
        ("CTRL_VLAN",): vlan_filter,
    }
    return mask(*_ALWAYS) | sum(mask(*names) for names, on in chosen.items() if on)


@dataclass(frozen=True, slots=True)
class Configuration:
    """The device's configuration, as far as its features say that it is there."""

    mac: bytes = b""
    """Empty without MAC."""
    link_up: bool = True
    """5.1.4.2: without STATUS the link is assumed to be up."""
    announce: bool = False
    max_pairs: int = 1
    mtu: int = 0
    """0 without MTU."""
    speed: int = 0
    """Mbit/s; 0: unknown."""
    full_duplex: bool | None = None
    """None: unknown."""


def read_configuration(transport: Transport, features: int) -> Configuration:
    """5.1.4, each field in its own width and only if its feature is there (2.5.1), all of one generation."""

    def read() -> Configuration:
        config = transport.config
        mac, link_up, announce, pairs, mtu, speed, duplex = b"", True, False, 1, 0, 0, None
        if features & FEATURES["MAC"]:
            mac = bytes(config.read(MAC, index) for index in range(MAC.count))
        if features & FEATURES["STATUS"]:
            status = config.read(STATUS)
            link_up = bool(status & STATUS["LINK_UP"])
            announce = bool(status & STATUS["ANNOUNCE"] and features & FEATURES["GUEST_ANNOUNCE"])
        if features & FEATURES["MQ"]:
            pairs = config.read(CONFIG["max_virtqueue_pairs"])
        if features & FEATURES["MTU"]:
            mtu = config.read(CONFIG["mtu"])
        if features & FEATURES["SPEED_DUPLEX"]:
            speed = config.read(CONFIG["speed"])
            speed = speed if speed <= MAX_SPEED else 0  # 5.1.4.2
            duplex = {DUPLEX_FULL: True, DUPLEX_HALF: False}.get(config.read(CONFIG["duplex"]))
        return Configuration(mac, link_up, announce, pairs, mtu, speed, duplex)

    return consistently(transport, read)


def write_mac(transport: Transport, mac: bytes) -> None:
    """5.1.6.5.2.3: without CTRL_MAC_ADDR, on the legacy interface: into the configuration, first byte to last."""
    for index, byte in enumerate(mac):
        transport.config.write(MAC, byte, index)


def choose_mtu(mtu: int | None, offered: int) -> int:
    """5.1.4.2: the device's is the limit."""
    if mtu is None:
        return offered or _DEFAULT_MTU
    check_mtu(mtu, MIN_MTU, offered or MAX_MTU)
    return mtu


def made_up_mac(name: str) -> bytes:
    """5.1.4.2: without MAC, a locally administered address; here the same for the same function every time."""
    return b"\x02" + hashlib.sha256(name.encode()).digest()[:5]


def reverse_arp(mac: bytes) -> bytes:
    """RFC 903: who has my address? Answered by nobody, seen by every switch."""
    header = b"\xff" * 6 + mac + bytes.fromhex("8035 0001 0800 06 04 0003")
    return (header + mac + bytes(4) + mac + bytes(4)).ljust(60, b"\0")
