"""Whatever arrives: no exception, no endless work, and memory stays within its bounds."""

import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.l2 import ARP, Dot1Q, Ether

from motenet.stack.neighbor import MAXIMUM_HELD_BYTES, MAXIMUM_KNOWN, MAXIMUM_UNRESOLVED
from motenet.stack.reassembly import MAXIMUM_BYTES, MAXIMUM_DATAGRAMS
from motenet.stack.sockets.datagram import QUEUE_BYTES

US, PEER = "02:00:00:00:00:01", "02:00:00:00:00:02"
SECOND = 1_000_000_000

quickly = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def seeds() -> list[bytes]:
    """One good frame of each kind, to begin from."""
    ether, ip = Ether(src=PEER, dst=US), IP(src="10.0.0.2", dst="10.0.0.1")
    quoted = IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=7, dport=9)
    options = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)]
    packets = [
        ether / ARP(op=1, hwsrc=PEER, psrc="10.0.0.2", pdst="10.0.0.1"),
        ether / Dot1Q(vlan=0) / ip / ICMP() / b"echo",
        ether / ip / ICMP(type=0, id=77, seq=1) / b"reply",
        ether / ip / ICMP(type=3, code=3) / quoted,
        ether / ip / UDP(sport=9, dport=7) / b"data",
        ether / ip / UDP(sport=9, dport=8) / b"nobody",
        ether / ip / TCP(sport=1000, dport=80, flags="S", options=options),
        ether / ip / TCP(sport=1001, dport=80, flags="A") / b"data",
        ether / ip / TCP(sport=1001, dport=81, flags="S"),
        ether / IP(src="10.0.0.2", dst="10.0.0.1", proto=99) / b"payload",
    ]
    cut = fragment(IP(src="10.0.0.2", dst="10.0.0.1", id=9) / UDP(sport=9, dport=7) / bytes(3000), 600)
    return [bytes(packet) for packet in packets] + [bytes(ether / IP(bytes(one))) for one in cut]


SEEDS = seeds()


def open_sockets(script: Any) -> None:
    sockets = script.stack.sockets
    sockets.udp_bind(7)
    sockets.icmp_bind(77)
    sockets.raw_bind(99)
    sockets.tcp_listen(80, backlog=8)


def check_bounds(script: Any) -> None:
    face = script.stack.interface
    assert len(face.neighbors.known) <= MAXIMUM_KNOWN
    assert len(face.neighbors.unresolved) <= MAXIMUM_UNRESOLVED
    assert face.neighbors.held_bytes <= MAXIMUM_HELD_BYTES
    assert len(script.stack.node.reassembly.partials) <= MAXIMUM_DATAGRAMS
    assert script.stack.node.reassembly.bytes <= MAXIMUM_BYTES
    assert len(face.sockets) <= 4 + 8
    for _, socket in face.sockets:
        assert getattr(socket, "incoming_bytes", 0) <= QUEUE_BYTES


def repair(frame: bytearray) -> bytearray:
    """Make the IPv4 header's checksum good again, so that the mutation gets further in."""
    if frame[12:14] == b"\x08\x00" and len(frame) >= 34:
        frame[24:26] = b"\0\0"
        total = sum(int.from_bytes(frame[at : at + 2], "big") for at in range(14, 34, 2))
        total = (total & 0xFFFF) + (total >> 16)
        frame[24:26] = (~((total & 0xFFFF) + (total >> 16)) & 0xFFFF).to_bytes(2, "big")
    return frame


@quickly
@given(st.lists(st.binary(max_size=200), max_size=20))
def test_arbitrary_bytes(make_script: Any, frames: list[bytes]) -> None:
    script = make_script()
    open_sockets(script)
    script.hear(*frames)
    script.pass_time(SECOND)
    assert script.stack.statistics["rx_frames"] == len(frames) == script.stack.statistics["drops"]


@quickly
@given(st.lists(st.tuples(st.sampled_from(SEEDS), st.binary(max_size=64)), max_size=20))
def test_good_headers_in_front_of_arbitrary_bytes(make_script: Any, frames: list[tuple[bytes, bytes]]) -> None:
    script = make_script()
    open_sockets(script)
    script.hear(*[bytes(repair(bytearray(frame[:34] + tail))) for frame, tail in frames])
    script.pass_time(SECOND)
    check_bounds(script)


@quickly
@given(st.integers(0, 2**32), st.booleans())
def test_mutated_frames(make_script: Any, seed: int, verified: bool) -> None:
    dice, script = random.Random(seed), make_script()
    open_sockets(script)
    frames = []
    for _ in range(30):
        frame = bytearray(dice.choice(SEEDS))
        for _ in range(dice.randrange(4)):
            frame[dice.randrange(12, len(frame))] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
        if dice.random() < 0.2:
            del frame[dice.randrange(14, len(frame)) :]
        frames.append(bytes(repair(frame)))
    script.hear_verified(*frames) if verified else script.hear(*frames)
    script.pass_time(70 * SECOND)
    check_bounds(script)


def test_a_flood_from_everywhere_stays_within_bounds(make_script: Any) -> None:
    """Spoofed senders of pings, fragments, connections and datagrams; time goes on only slowly."""
    dice, script = random.Random(1), make_script()
    open_sockets(script)
    script.stack.add_address("10.7.0.1/16")
    frames = [frame for frame in SEEDS if frame[12:14] == b"\x08\x00"]
    for _ in range(40):
        batch = []
        for _ in range(100):
            frame = bytearray(dice.choice(frames))
            frame[26:30] = bytes((10, 7, dice.randrange(256), dice.randrange(1, 255)))
            frame[18:20] = dice.randbytes(2)
            batch.append(bytes(repair(frame)))
        script.bench.now += 1000
        script.hear_verified(*batch)
        check_bounds(script)
    script.pass_time(400 * SECOND)
    face = script.stack.interface
    assert (script.stack.node.reassembly.partials, script.stack.node.reassembly.bytes) == ({}, 0)
    assert (face.neighbors.unresolved, face.neighbors.held_bytes) == ({}, 0)
    assert [row["kind"] for row in script.stack.list_sockets()] == ["udp", "icmp", "raw", "tcp-listener"]
