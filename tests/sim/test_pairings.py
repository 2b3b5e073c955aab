"""Every card talks to every card: one exam of ping, UDP and TCP for all pairings, and for each card's variants."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

import motenet
from motenet.core.trace import FramePassed
from motenet.sim.host import CARDS, Host, make_card
from motenet.sim.world import World

KINDS = ("e1000", "rtl8139", "virtio-net")
OFF = {"checksum_offload": False, "segmentation_offload": False, "gro": False}
PLAIN: dict[str, dict[str, Any]] = {"e1000": OFF, "rtl8139": {}, "rtl8139cp": OFF}
"""For each card: options of its driver that leave nothing to the card; virtio's are OFF."""
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "8139C by memory": ("rtl8139", {"io": False}),
    "8139C by ports": ("rtl8139", {"io": True}),
    "8139C, small ring": ("rtl8139", {"rx_ring": "8KiB"}),
    "8139C+": ("rtl8139cp", {}),
    "8139C+ without offloads": ("rtl8139cp", OFF),
    "8139C+ driven as a C": ("rtl8139cp", {"mode": "C"}),
    "e1000 without offloads": ("e1000", OFF),
    "e1000 polled": ("e1000", {"interrupts": False}),
    "virtio, split": ("virtio-net", {"packed": False}),
    "virtio, packed": ("virtio-net", {"packed": True}),
    "virtio, INTx": ("virtio-net", {"interrupt_kinds": ("intx",)}),
    "virtio, polled": ("virtio-net", {"interrupts": False}),
    "virtio, split, without offloads": ("virtio-net", {"packed": False, **OFF}),
    "virtio, packed, without offloads": ("virtio-net", {"packed": True, **OFF}),
    "virtio, not mergeable": ("virtio-net", {"mergeable": False}),
    "virtio, transitional": ("virtio-net-transitional", {}),
    "virtio, transitional by its legacy face": ("virtio-net-transitional", {"mode": "legacy"}),
    "virtio, legacy": ("virtio-net-legacy", {}),
    "virtio, MMIO": ("virtio-net-mmio", {}),
    "virtio, MMIO, split": ("virtio-net-mmio", {"packed": False}),
}
SIZE = 48_000
"""Bytes each way: the RTL8139C's ring is turned, and TCP's window has grown."""
V4, V6, TAGGED4, TAGGED6 = ((f"{network}1", f"{network}2") for network in ("10.0.0.", "fd00::", "10.0.10.", "fd10::"))
"""The two hosts' addresses, on the link and in VLAN 10."""


def build(
    nics: tuple[str, str], options: tuple[dict[str, Any], dict[str, Any]], **card: Any
) -> tuple[World, Host, Host]:
    world = motenet.World(seed=3)
    hosts = []
    for number, (nic, driver) in enumerate(zip(nics, options, strict=True), 1):
        told = {"mtu": driver["mtu"]} if nic == "virtio-net" and "mtu" in driver else {}
        device = make_card(nic, f"52:54:00:00:00:{number:02x}", **card, **told)
        addresses = [f"10.0.0.{number}/24", f"fd00::{number}/64"]
        hosts.append(world.host(f"h{number}", nic=device, address=addresses, driver_options=driver))
    world.link(*hosts, bandwidth="1Gbit/s", delay="20us")
    world.run("20s", until=lambda: all(host.stack.is_link_up for host in hosts))
    return world, hosts[0], hosts[1]


def data(number: int, size: int = SIZE) -> bytes:
    return bytes((at * (7 + number) + at // 256) & 0xFF for at in range(size))


def exam(
    world: World, one: Host, other: Host, addresses: tuple[str, str] = V4, size: int = SIZE, mtu: int = 1500
) -> None:
    """Ping both ways, UDP both ways with what fills a frame, TCP both ways at once."""
    here, there = addresses
    for host, address in ((one, there), (other, here)):
        assert None not in host.stack.ping(address, count=3, interval="1ms")
    headers = 28 if addresses == V4 else 48
    ends = [host.stack.udp_socket(7) for host in (one, other)]
    for end, address, far in ((ends[0], there, ends[1]), (ends[1], here, ends[0])):
        for length in (0, 1, 17, 500, mtu - headers):
            datagram = bytes([length & 0xFF]) * length
            end.send_to(datagram, address, 7)
            world.run("10s", until=lambda far=far: far.can_receive)
            assert bytes(far.receive().data) == datagram
    listener = other.stack.tcp_listen(80)
    caller = one.stack.sockets.tcp_connect(there, 80)
    answerer = other.stack.tcp_accept(listener)
    wanted = {caller: data(1, size), answerer: data(0, size)}
    sending = {caller: memoryview(data(0, size)), answerer: memoryview(data(1, size))}
    got = {caller: bytearray(), answerer: bytearray()}

    def work() -> bool:
        for end in (caller, answerer):
            while sending[end] and (sent := end.send(sending[end][:65536])):
                sending[end] = sending[end][sent:]
            got[end] += end.recv(1 << 20) or b""
        return all(len(got[end]) >= size for end in got)

    world.run("60s", until=work)
    for end in got:
        assert bytes(got[end]) == wanted[end]
    assert not any(way.drops for way in world.links[0].directions)
    for end in ends:
        end.close()
    listener.close()


@pytest.mark.parametrize(("nic", "peer"), list(product(KINDS, KINDS)))
def test_all_nine_pairings(nic: str, peer: str) -> None:
    hosts = build((nic, peer), ({}, {}))
    exam(*hosts, V4, 3 * SIZE)
    exam(*hosts, V6)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("peer", ["e1000", "virtio-net"])
def test_variants(variant: str, peer: str) -> None:
    nic, options = VARIANTS[variant]
    hosts = build((nic, peer), (options, {}))
    exam(*hosts, V4)
    exam(*hosts, V6, SIZE // 2)


@pytest.mark.parametrize("nic", ["e1000", "rtl8139", "rtl8139cp", "virtio-net"])
@pytest.mark.parametrize(("peer", "offloads"), [("e1000", {}), ("virtio-net", {}), ("virtio-net", OFF)])
def test_over_a_vlan(nic: str, peer: str, offloads: dict[str, Any]) -> None:
    """IEEE 802.1Q in software: four bytes more in front of all that a card looks at."""
    world, one, other = build((nic, peer), ({}, offloads))
    for number, host in enumerate((one, other), 1):
        host.stack.add_vlan(10, [f"10.0.10.{number}/24", f"fd10::{number}/64"])
    tags: set[int] = set()
    world.watch(
        lambda event: isinstance(event, FramePassed) and tags.add(int.from_bytes(event.frame[12:16], "big")),
        world.links[0],
    )
    exam(world, one, other, TAGGED4, SIZE // 2)
    exam(world, one, other, TAGGED6, SIZE // 2)
    assert {tag for tag in tags if tag >> 16 == 0x8100} == {0x8100_000A}


@pytest.mark.parametrize(("nic", "peer"), list(product(("e1000", "virtio-net"), repeat=2)))
@pytest.mark.parametrize("offloads", [{}, OFF], ids=["offloads", "no offloads"])
def test_jumbo_frames(nic: str, peer: str, offloads: dict[str, Any]) -> None:
    """RCTL.LPE (8254x 13.4.22) and VIRTIO_NET_F_MTU (virtio 5.1.4.1): frames are as long as both take them."""
    options = {"mtu": 9000, **offloads}
    world, one, other = build((nic, peer), (options, options))
    lengths: list[int] = []
    world.watch(
        lambda event: isinstance(event, FramePassed) and lengths.append(len(event.frame)),
        world.links[0],
    )
    exam(world, one, other, V4, 3 * SIZE, mtu=9000)
    exam(world, one, other, V6, mtu=9000)
    assert max(lengths) >= 9014
    if offloads:
        assert max(lengths) == 9014


def test_no_card_is_left_out() -> None:
    assert set(CARDS) == {*KINDS, *(nic for nic, _ in VARIANTS.values())}


def streams(frames: list[bytes]) -> Iterator[tuple[str, bytes]]:
    """For each direction: the payload by sequence number, put together from what was on the cable."""
    pieces: dict[str, dict[int, bytes]] = {}
    starts: dict[str, int] = {}
    for frame in frames:
        packet = Ether(frame)
        if TCP in packet:
            network, segment = packet[IP] if IP in packet else packet[IPv6], packet[TCP]
            way = network.src
            if "S" in segment.flags:
                starts[way] = segment.seq + 1
            total = network.len - 20 if IP in packet else network.plen
            length = total - 4 * segment.dataofs
            if length:
                pieces.setdefault(way, {})[segment.seq - starts[way] & 0xFFFFFFFF] = bytes(segment.payload)[:length]
    for way in sorted(pieces):
        stream = bytearray()
        for at, piece in sorted(pieces[way].items()):
            assert at <= len(stream), "nothing is missing"
            stream[at : at + len(piece)] = piece
        yield way, bytes(stream)


@pytest.mark.parametrize(("nic", "peer"), list(product(KINDS, KINDS)))
def test_without_offloads_each_pairing_carries_the_same_streams(nic: str, peer: str) -> None:
    """Timing.instant, offloads off: what is seen on the cable is what the applications gave, whoever carries it."""
    world, one, other = build((nic, peer), (PLAIN.get(nic, OFF), PLAIN.get(peer, OFF)), timing="instant")
    frames: list[bytes] = []
    world.watch(
        lambda event: isinstance(event, FramePassed) and event.direction == "tx" and frames.append(event.frame),
        world.links[0],
    )
    for addresses in (V4, V6):
        frames.clear()
        exam(world, one, other, addresses)
        assert max(map(len, frames)) <= 1514
        assert dict(streams(frames)) == {addresses[0]: data(0), addresses[1]: data(1)}


@pytest.mark.parametrize(("nic", "peer"), [("e1000", "rtl8139"), ("rtl8139cp", "e1000"), ("virtio-net", "rtl8139")])
def test_offloads_over_ipv6_leave_what_scapy_would_have_sent(nic: str, peer: str) -> None:
    """Checksums by the card (8254x 3.6; virtio 5.1.6.2) or by software (the RTL8139C+ has none for IPv6), and segments
    of virtio's HOST_TSO6: each is Scapy's, and the streams are whole.
    """
    world, one, other = build((nic, peer), ({}, {}), timing="instant")
    frames: list[bytes] = []
    world.watch(
        lambda event: isinstance(event, FramePassed) and event.direction == "tx" and frames.append(event.frame),
        world.links[0],
    )
    exam(world, one, other, V6)
    assert max(map(len, frames)) <= 1514
    assert dict(streams(frames)) == {V6[0]: data(0), V6[1]: data(1)}
    checked = 0
    for frame in frames:
        packet = Ether(frame)
        for layer in (TCP, UDP):
            if layer in packet:
                packet[layer].chksum = None
                checked += 1
        assert bytes(packet) == frame
    assert checked > 50
