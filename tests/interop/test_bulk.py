"""Bulk TCP between our stack and the kernel's, over a cable that loses, delays, reorders and doubles frames."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from family import Family
from room import Room
from streams import data, exchange, opened

pytestmark = pytest.mark.needs("root", "tap", "ip", "tshark")

SIZE = 4 << 20
FAULTS: dict[str, dict[str, Any]] = {
    "clean": {},
    "delay": {"delay": "10ms", "jitter": "5ms"},
    "loss 1 %": {"delay": "2ms", "loss": 0.01},
    "loss 5 %": {"delay": "1ms", "loss": 0.05},
    "reordering": {"delay": "2ms", "reorder": 0.05},
    "all of it": {"delay": "2ms", "jitter": "1ms", "loss": 0.02, "reorder": 0.02, "duplicate": 0.02},
}
DIRECTIONS = {
    "to the kernel": ("e1000", SIZE, 0),
    "from the kernel": ("virtio-net", 0, SIZE),
    "both ways": ("rtl8139cp", SIZE // 2, SIZE // 2),
}
"""With which card, and how many bytes to the kernel and from it."""


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("opener", ["kernel", "ours"])
@pytest.mark.parametrize("faults", FAULTS)
def test_what_comes_is_what_was_sent(room: Room, family: Family, faults: str, opener: str, direction: str) -> None:
    """RFC 9293, 3.8; the opener is the client."""
    nic, to_kernel, to_us = DIRECTIONS[direction]
    host = room.host("host", family.cidr(family.ours), nic=nic)
    room.link(room.tap(family.cidr(family.kernel)), host, **FAULTS[faults])
    exchange(room, opened(room, host, family, opener), data(to_kernel, 1), data(to_us, 2), timeout=60)
