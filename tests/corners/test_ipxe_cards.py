"""Debian's unmodified iPXE on our RTL8139 and virtio-net: DHCP, DNS, HTTP and TFTP from real servers."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from motenet.devices import Rtl8139, VirtioNet
from tests.corners.ipxe_room import DHCP, LEASED, MAC, SERVER, SITE, Room

pytestmark = pytest.mark.needs("vfio-user", "ipxe", "dnsmasq", "root", "tap", "ip")

SIZE = 1 << 20
BANDWIDTH = "20Mbit/s"
"""iPXE gives an RTL8139C+ four descriptors, and an emulated PC is slow: a server must not send at a TAP's speed."""
CARDS: dict[str, tuple[str, str, str, Callable[[], Any]]] = {
    "rtl8139": ("realtek", "rtl8139", "motenet RTL8139C", lambda: Rtl8139(MAC, timing="instant")),
    "rtl8139cp": ("realtek", "rtl8139", "motenet RTL8139C+", lambda: Rtl8139(MAC, revision="C+", timing="instant")),
    "modern": ("virtio-net", "virtio-net", "motenet virtio-net, modern, split", lambda: VirtioNet(MAC, packed=False)),
    "modern-packed": ("virtio-net", "virtio-net", "motenet virtio-net, modern, packed", lambda: VirtioNet(MAC)),
    "transitional": (
        "virtio-net", "virtio-net", "motenet virtio-net, transitional",
        lambda: VirtioNet(MAC, transport="transitional"),
    ),
    "legacy": ("virtio-net", "virtio-net", "motenet virtio-net, legacy", lambda: VirtioNet(MAC, transport="legacy")),
}  # fmt: skip
"""For each case: iPXE's driver, what it calls the chip, the card's name for the matrix, and how to make one."""


def cards(what: str) -> pytest.MarkDecorator:
    params = []
    for name, (driver, chip, card, make) in CARDS.items():
        row = pytest.mark.exercises(driver=f"iPXE 1.21 {driver}", card=card, what=what)
        params.append(pytest.param(chip, make, id=name, marks=row))
    return pytest.mark.parametrize(("chip", "make"), params)


@cards("DHCP, DNS, HTTP; card closed and opened")
def test_it_fetches_a_file_and_opens_the_card_again(
    ipxe_room: Callable[..., Room], chip: str, make: Callable[[], Any]
) -> None:
    room = ipxe_room(make(), bandwidth=BANDWIDTH)
    rounds = range(3)
    contents = [room.publish(f"file{number}.bin", SIZE + number) for number in rounds]
    about = "?mac=${net0/mac}&chip=${net0/chip}"
    again = [
        ("ifclose net0", "ifopen net0", DHCP, f"imgfetch {SITE}/file{number}.bin{about}", "imgstat")
        for number in rounds
    ]
    room.ipxe("ifopen net0", *(command for commands in again for command in commands), "ifstat net0", "pause")
    printed = room.pause()
    for number, content in enumerate(contents):
        assert f"file{number}.bin : {len(content)} bytes" in printed
        assert room.in_memory(content)
    assert "[Link:up" in printed
    assert re.search(rf"\d+ {MAC} {LEASED} ", room.leases.read_text())
    assert room.requests() == [(LEASED, f"/file{number}.bin?mac={MAC}&chip={chip}", 200) for number in rounds]


@cards("IPv6: SLAAC, ping, HTTP")
def test_it_fetches_a_file_over_ipv6(ipxe_room: Callable[..., Room], chip: str, make: Callable[[], Any]) -> None:
    assert ipxe_room(make(), bandwidth=BANDWIDTH).fetch_over_ipv6(SIZE) == [("/six.bin", 200)]


@cards("boot over the network by TFTP and HTTP")
def test_it_boots_what_the_dhcp_server_names(
    ipxe_room: Callable[..., Room], chip: str, make: Callable[[], Any]
) -> None:
    room = ipxe_room(make(), f"--dhcp-boot=boot.ipxe,,{SERVER}")
    room.publish_script("boot.ipxe", "#" * 20_000, f"chain {SITE}/next.ipxe")
    room.publish_script("next.ipxe", "echo booted from ${cwduri}", "pause")
    room.ipxe("autoboot net0")
    assert f"booted from {SITE}/" in room.pause()
    assert f"sent {room.site}/boot.ipxe to {LEASED}" in (room.folder / "dnsmasq.log").read_text()
