"""What a capture writes, and that one which cannot be written is a mistake of the caller's."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import rdpcap

import motenet
from motenet.core.checksum import pseudo_header_sum
from motenet.doors import TCP4, TCP6, UFO, FrameFacts

ETHER = Ether(dst="52:54:00:00:00:02", src="52:54:00:00:00:01")
V4, V6 = IP(src="10.0.0.1", dst="10.0.0.2"), IPv6(src="fd00::1", dst="fd00::2")
PAYLOAD = bytes(range(256)) * 20


def unfinished() -> list[tuple[bytes, FrameFacts]]:
    """A TCP segment over either IP, a datagram to fragment, and one that lacks its checksum only."""
    frames = []
    for packet, kind, size in (
        (ETHER / V4 / TCP(dport=80) / Raw(PAYLOAD), TCP4, 1460),
        (ETHER / V6 / TCP(dport=80) / Raw(PAYLOAD), TCP6, 1440),
        (ETHER / V4 / UDP(sport=4000, dport=9) / Raw(PAYLOAD), UFO, 1480),
        (ETHER / V4 / UDP(sport=4000, dport=9) / Raw(PAYLOAD[:100]), UFO, 0),
    ):
        raw = bytearray(bytes(packet))
        start, at, width = (54, 22, 16) if kind == TCP6 else (34, 26, 4)
        protocol, offset, header = (17, 6, 8) if kind == UFO else (6, 16, 20)
        addresses = raw[at : at + width], raw[at + width : at + 2 * width]
        seed = pseudo_header_sum(*addresses, protocol, len(raw) - start)
        raw[start + offset : start + offset + 2] = seed.to_bytes(2, "big")
        frames.append((bytes(raw), FrameFacts(start, offset, size, start + header, segment_kind=kind)))
    return frames


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A capture of unfinished frames on a link, and at the computer that sends them."""
    world = motenet.World(seed=1)
    alice, bob = world.host("alice"), world.host("bob")
    world.link(alice, bob)
    with world.capture(tmp_path / "link.pcapng"), world.capture(tmp_path / "alice.pcapng", at=alice):
        for frame, facts in unfinished():
            alice.port.transmit(frame, facts)
        world.run("1ms")
    return tmp_path


@pytest.mark.parametrize("name", ["link.pcapng", "alice.pcapng"])
def test_unfinished_frames_are_written_as_a_cable_carries_them(written: Path, name: str) -> None:
    packets = rdpcap(str(written / name))
    assert [len(packet) for packet in packets] == [*[1514] * 3, 794, *[1514] * 3, 874, *[1514] * 3, 722, 142]
    for packet in packets:
        again = packet.copy()
        for layer in (IP, TCP):
            if layer in again:
                del again[layer].chksum
        assert bytes(again) == bytes(packet)
    assert b"".join(bytes(packet[TCP].payload) for packet in packets[:4]) == PAYLOAD


@pytest.mark.needs("tshark")
@pytest.mark.parametrize("name", ["link.pcapng", "alice.pcapng"])
def test_tshark_complains_of_no_checksum_and_nothing_malformed(written: Path, name: str) -> None:
    checks = [x for layer in ("ip", "tcp", "udp") for x in ("-o", f"{layer}.check_checksum:TRUE")]
    fields = [x for layer in ("tcp", "udp") for x in ("-e", f"{layer}.checksum.status")]
    command = ["tshark", "-r", str(written / name), *checks, "-T", "fields", *fields]
    statuses = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert statuses == ["1"] * 10  # 1: good; eight segments, one whole datagram, one put together again
    command = ["tshark", "-r", str(written / name), *checks, "-Y", "_ws.malformed || ip.checksum.status == 0"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""


@pytest.mark.parametrize("harm", [{}, {"duplicate": 1}, {"reorder": 1}])
def test_a_damaged_frame_is_marked_wherever_it_is_seen(tmp_path: Path, harm: dict[str, Any]) -> None:
    """EPB flags, bit 24: a CRC error; not only on the link, and whatever else the link has done to the frame."""
    world = motenet.World(seed=1)
    alice, bob = world.host("alice"), world.host("bob")
    world.link(alice, bob, corrupt=1, **harm)
    with world.capture(tmp_path / "link"), world.capture(tmp_path / "bob", at=bob):
        alice.port.transmit(bytes(ETHER / V4 / Raw(PAYLOAD[:100])))
        world.run("1s")
    for name, frames in (("link", 1), ("bob", 2 if "duplicate" in harm else 1)):
        assert len(re.findall(rb"\x02\0\x04\0.\0\0\x01", (tmp_path / name).read_bytes(), re.DOTALL)) == frames


@pytest.mark.parametrize(("path", "reason"), [("no/x.pcapng", "No such file or directory"), (".", "Is a directory")])
def test_a_path_that_cannot_be_written_says_why(tmp_path: Path, path: str, reason: str) -> None:
    world = motenet.World(seed=1)
    with pytest.raises(motenet.ConfigurationError, match=reason) as error:
        world.capture(tmp_path / path)
    assert str(tmp_path / path) in str(error.value)
    world.run("1ms")
