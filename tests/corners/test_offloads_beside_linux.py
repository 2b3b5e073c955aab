"""What virtio-net's transmit headers leave to the device: our card beside the kernel, which takes the same headers.

QEMU's card only hands them on to its back-end. Linux finishes them itself when a packet socket gets them (packet(7),
PACKET_VNET_HDR) and the device behind it can do nothing: one end of a veth pair without offloads.
"""

# ruff: noqa: F403, F405 - helpers beside this file

import ctypes
import fcntl
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from struct import pack
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from motenet.bridge.qtest.twins import OurSide
from tests.corners.virtio_programs import *

pytestmark = pytest.mark.needs("tap", "root", "ip")

_SOL_PACKET, _PACKET_VNET_HDR, _ETH_P_ALL = 263, 15, 3
_SIOCETHTOOL = 0x8946
_STXCSUM, _SSG, _STSO = 0x17, 0x19, 0x1F
"""linux/if_packet.h, linux/if_ether.h, linux/sockios.h, linux/ethtool.h."""
FEATURES_TAKEN = VERSION_1 | sum(
    FEATURES[name] for name in ("MAC", "CSUM", "HOST_TSO4", "HOST_TSO6", "HOST_ECN", "HOST_UFO", "HOST_USO")
)
NEEDS_CSUM, ECN = net.NET_HDR_FLAGS["NEEDS_CSUM"], net.NET_HDR_GSO["ECN"]


class Linux:
    """A packet socket with virtio headers at one end of a veth pair, and what comes out of the other."""

    def __init__(self, stack: ExitStack) -> None:
        near, far = (f"mote{end}{os.getpid() % 10**6}" for end in "ab")
        _ip(f"link add {near} type veth peer name {far}")
        stack.callback(_ip, f"link del {near}")
        for name in (near, far):
            with suppress(OSError), open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w") as file:
                file.write("1")
        self._sender = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
        self._receiver = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
        for command in (_STSO, _SSG, _STXCSUM):
            value = ctypes.create_string_buffer(pack("<II", command, 0))
            fcntl.ioctl(self._sender, _SIOCETHTOOL, pack("16sP", near.encode(), ctypes.addressof(value)))
        for name in (near, far):
            _ip(f"link set {name} up")
        self._sender.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        self._sender.bind((near, 0))
        self._receiver.bind((far, _ETH_P_ALL))
        self._receiver.setblocking(False)
        self._receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)

    def send(self, header: bytes, frame: bytes) -> tuple[bytes, ...]:
        """The frames that come out: the kernel's loop through both ends is done when the call returns."""
        self._sender.send(header + frame)
        found = []
        with suppress(BlockingIOError):
            while True:
                found.append(self._receiver.recv(1 << 16))
        return tuple(one.ljust(60, b"\0") for one in found if one[6:12] == frame[6:12])  # virtio-pad


def _ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True)


@pytest.fixture(scope="module")
def linux() -> Iterator[Linux]:
    with ExitStack() as stack:
        yield Linux(stack)


def ours(header: bytes, frame: bytes) -> tuple[bytes, ...]:
    """The frames that our card sends."""
    machine = Machine(memory="4MiB")
    machine.plug(VirtioNet(MAC))
    bench = Bench(OurSide(machine), common.REGISTERS, 4)
    card = Card(bench, FEATURES_TAKEN)
    card.tx.offer(Chain([header + bytes(2), frame]))
    card.registers.notify(card.tx.index)
    bench.settle()
    bench.notes.clear()
    bench.frames()
    ((_, frames),) = bench.notes
    assert isinstance(frames, tuple)
    return frames


def unfinished(layers: Any, start: int, offset: int, payload: bytes) -> bytes:
    """A frame whose checksum is that of the pseudo header, as drivers leave it (5.1.6.2)."""
    whole = bytearray(bytes(Ether(src=MAC, dst=PEER) / layers / Raw(payload)))
    address, size = (26, 8) if whole[12:14] == b"\x08\x00" else (22, 32)
    protocol = socket.IPPROTO_TCP if offset == 16 else socket.IPPROTO_UDP
    pseudo = bytes(whole[address : address + size]) + pack(">II", protocol, len(whole) - start)
    total = sum(int.from_bytes(pseudo[at : at + 2], "big") for at in range(0, len(pseudo), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    whole[start + offset : start + offset + 2] = total.to_bytes(2, "big")
    return bytes(whole)


def shown(frames: tuple[bytes, ...], kind: str) -> list[str]:
    """In hexadecimal; an IPv6 fragment's identification is the sender's choice (RFC 8200 4.5), the same in all."""
    if kind == "UDP6 fragments" and frames[0][20] == 44:
        assert len({one[58:62] for one in frames}) == 1
        frames = tuple(one[:58] + bytes(4) + one[62:] for one in frames)
    return [one.hex() for one in frames]


KINDS = {
    "TCP4": net.GSO_TCPV4, "TCP6": net.GSO_TCPV6, "UDP4 fragments": net.GSO_UDP, "UDP6 fragments": net.GSO_UDP,
    "UDP4 datagrams": net.GSO_UDP_L4, "UDP6 datagrams": net.GSO_UDP_L4,
}  # fmt: skip
OPTIONS = st.sampled_from([[], [("Timestamp", (1, 2))], [("NOP", None), ("NOP", None), ("SAck", (7, 9))]])


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    kind=st.sampled_from(list(KINDS)),
    payload=st.binary(min_size=1, max_size=40),
    length=st.integers(30, 20_000),
    size=st.integers(80, 1400).map(lambda size: size & ~7),
    cut=st.booleans(),
    flags=st.sets(st.sampled_from("FPEC")),
    ecn=st.booleans(),
    options=OPTIONS,
    number=st.integers(0, 0xFFFFFFFF),
    ident=st.integers(0, 0xFFFF),
)
@pytest.mark.exercises(driver="programs", card="Linux's packet socket beside motenet virtio-net", what="offloads")
def test_5_1_6_2_segments_and_checksums_are_linuxs(
    linux: Linux, kind: str, payload: bytes, length: int, size: int, cut: bool, flags: set[str], ecn: bool,
    options: list[tuple[str, Any]], number: int, ident: int,
) -> None:  # fmt: skip
    """Every byte of every frame: lengths, identifiers, sequence numbers, flags, fragments, checksums.

    A packet with CWR has ECN in its header (5.1.6.2.1).
    """
    data = (payload * (length // len(payload) + 1))[: length if cut else min(length, 1300)]
    if "datagrams" in kind:
        data = data[: 128 * size]  # Linux makes no more (UDP_MAX_SEGMENTS)
    if cut:
        data = data.ljust(size + 1, b"x")
    is_tcp, is_six = kind.startswith("TCP"), "6" in kind
    ip = IPv6(src="fd00::1", dst="fd00::2") if is_six else IP(src="10.0.0.1", dst="10.0.0.2", id=ident)
    tcp = TCP(sport=1000, dport=80, seq=number, flags="A" + "".join(sorted(flags)), options=options)
    start, offset = (54 if is_six else 34), (16 if is_tcp else 6)
    whole = unfinished(ip / (tcp if is_tcp else UDP(sport=1000, dport=53)), start, offset, data)
    gso = KINDS[kind] | (ECN if is_tcp and (ecn or "C" in flags) else 0) if cut else net.GSO_NONE
    header = net.NET_HDR_LEGACY_CODEC.pack(
        NEEDS_CSUM, gso, len(whole) - len(data) if cut else 0, size if cut else 0, start, offset
    )
    theirs = linux.send(header, whole)
    assert theirs
    assert shown(ours(header, whole), kind) == shown(theirs, kind)
