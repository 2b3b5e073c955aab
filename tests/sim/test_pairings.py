"""Every card talks to every card: one exam of ping, UDP and TCP for all pairings, and for each card's variants."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP
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
SIZE = 150_000


def build(
    nics: tuple[str, str], options: tuple[dict[str, Any], dict[str, Any]], **card: Any
) -> tuple[World, Host, Host]:
    world = motenet.World(seed=3)
    hosts = []
    for number, (nic, driver) in enumerate(zip(nics, options, strict=True), 1):
        device = make_card(nic, f"52:54:00:00:00:{number:02x}", **card)
        hosts.append(world.host(f"h{number}", nic=device, address=f"10.0.0.{number}/24", driver_options=driver))
    world.link(*hosts, bandwidth="1Gbit/s", delay="20us")
    world.run("20s", until=lambda: all(host.stack.is_link_up for host in hosts))
    return world, hosts[0], hosts[1]


def data(number: int) -> bytes:
    return bytes((at * (7 + number) + at // 256) & 0xFF for at in range(SIZE))


def exam(world: World, one: Host, other: Host) -> None:
    """Ping both ways, UDP both ways with what fills a frame, TCP both ways at once."""
    for host, address in ((one, "10.0.0.2"), (other, "10.0.0.1")):
        assert None not in host.stack.ping(address, count=3, interval="1ms")
    datagrams = [bytes([size & 0xFF]) * size for size in (0, 1, 17, 500, 1472)]
    ends = [host.stack.udp_socket(7) for host in (one, other)]
    for end, address, far in ((ends[0], "10.0.0.2", ends[1]), (ends[1], "10.0.0.1", ends[0])):
        for datagram in datagrams:
            end.send_to(datagram, address, 7)
            world.run("10s", until=lambda far=far: far.can_receive)
            assert bytes(far.receive().data) == datagram
    listener = other.stack.tcp_listen(80)
    caller = one.stack.sockets.tcp_connect("10.0.0.2", 80)
    answerer = other.stack.tcp_accept(listener)
    wanted = {caller: data(1), answerer: data(0)}
    sending = {caller: memoryview(data(0)), answerer: memoryview(data(1))}
    got = {caller: bytearray(), answerer: bytearray()}

    def work() -> bool:
        for end in (caller, answerer):
            while sending[end] and (sent := end.send(sending[end][:65536])):
                sending[end] = sending[end][sent:]
            got[end] += end.recv(1 << 20) or b""
        return all(len(got[end]) >= SIZE for end in got)

    world.run("60s", until=work)
    for end in got:
        assert bytes(got[end]) == wanted[end]
    assert not any(way.drops for way in world.links[0].directions)


@pytest.mark.parametrize(("nic", "peer"), list(product(KINDS, KINDS)))
def test_all_nine_pairings(nic: str, peer: str) -> None:
    exam(*build((nic, peer), ({}, {})))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("peer", ["e1000", "virtio-net"])
def test_variants(variant: str, peer: str) -> None:
    nic, options = VARIANTS[variant]
    exam(*build((nic, peer), (options, {})))


def test_no_card_is_left_out() -> None:
    assert set(CARDS) == {*KINDS, *(nic for nic, _ in VARIANTS.values())}


def streams(frames: list[bytes]) -> Iterator[tuple[str, bytes]]:
    """For each direction: the payload by sequence number, put together from what was on the cable."""
    pieces: dict[str, dict[int, bytes]] = {}
    starts: dict[str, int] = {}
    for frame in frames:
        packet = Ether(frame)
        if TCP in packet:
            way, segment = packet[IP].src, packet[TCP]
            if "S" in segment.flags:
                starts[way] = segment.seq + 1
            length = packet[IP].len - 20 - 4 * segment.dataofs
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
    exam(world, one, other)
    assert max(map(len, frames)) <= 1514
    assert dict(streams(frames)) == {"10.0.0.1": data(0), "10.0.0.2": data(1)}
