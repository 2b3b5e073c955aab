"""What the corners of several cards have in common.

What both cards must agree on, bytes over TCP, sums on the wire, and what a Linux guest is asked to do.
"""

import hashlib
import random
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether

from motenet.bridge.qtest.twins import Program, Twins, Value
from motenet.core.trace import Dropped
from motenet.core.units import SECOND
from motenet.stack.sockets.tcp import TcpSocket


def differences(twins: Twins, program: Program) -> str:
    """What QEMU's card and ours have answered differently, a line each; empty when they agree."""
    return "\n".join(map(str, twins.run(program)))


def transferred(clock: Any, sender: TcpSocket, receiver: TcpSocket, data: bytes) -> bytes:
    """What arrives of `data` within a minute of the clock, which runs meanwhile."""
    rest, got = memoryview(data), bytearray()

    def arrived() -> bool:
        nonlocal rest
        if rest:
            rest = rest[sender.send(rest) :]
        while receiver.can_recv:
            got.extend(receiver.recv(1 << 20))
        return len(got) >= len(data)

    clock.wait(arrived, clock.now + 60 * SECOND)
    return bytes(got)


@dataclass
class Departure:
    """What a row of docs/fidelity.md tells: a program, what our card answers by the clause, and what QEMU's does."""

    row: str
    program: Program
    ours: list[Value]
    qemu: list[Value]
    properties: str = ""


def departures(card: str) -> set[str]:
    """The rows that docs/fidelity.md has for a card."""
    fidelity = Path(__file__).parents[2] / "docs" / "fidelity.md"
    return {line.split("`")[1] for line in fidelity.read_text().splitlines() if line.startswith(f"| `{card}-")}


CHECKED: dict[Any, dict[Any, str]] = {
    IP: {TCP: "chksum", UDP: "chksum", ICMP: "chksum"},
    IPv6: {TCP: "chksum", UDP: "chksum", ICMPv6EchoRequest: "cksum"},
}
"""For each family, what has a checksum, and its field's name."""
IPV6_FRAGMENT = 44
"""The Next Header that says so (RFC 8200, 4.5)."""


def recomputed(frames: Iterable[bytes], family: Any = IP) -> tuple[dict[Any, int], list[bytes]]:
    """How many packets of a family there are of each protocol; and the frames whose sums Scapy computes otherwise."""
    fields = CHECKED[family]
    seen, wrong = dict.fromkeys(fields, 0), []
    for frame in frames:
        packet = Ether(frame)
        if family not in packet:
            continue
        if family is IP:
            packet[IP].chksum = None
        for layer, field in fields.items():
            if layer in packet:
                setattr(packet[layer], field, None)
                seen[layer] += 1
        if bytes(packet) != frame:
            wrong.append(frame)
    return seen, wrong


# --- a Linux guest in a room

MAC = "52:54:00:12:34:56"
"""The guest's card's."""
LINUX, BOB = "10.0.0.1", "10.0.0.2"
LINUX6, BOB6 = "fd00::1", "fd00::2"
MIB = 1 << 20


@contextmanager
def nothing_refused(room: Any) -> Iterator[None]:
    """A driver that knows its card leaves nothing that our side had to refuse."""
    refused: list[str] = []
    room.guest.slot.watch = lambda event: isinstance(event, Dropped) and refused.append(event.detail)
    yield
    assert not refused, "what QEMU asks for that there need not be is not told"
    assert room.guest.slot.memory.drops == {}, "no DMA went astray"
    for window in room.guest.slot.windows.values():
        assert window.drops == {}, "no access had a width or a place that a register lacks"


def pinged(linux: Any, count: int = 3, size: int = 56, peer: str = BOB) -> bool:
    """Whether all the guest's pings were answered."""
    printed = linux.run(f"{'ping6' if ':' in peer else 'ping'} -c {count} -i 0.1 -s {size} {peer}")
    return f"{count} packets transmitted, {count} packets received" in printed


def counters(linux: Any) -> dict[str, int]:
    """The driver's, by ethtool."""
    return {name: int(value) for name, value in re.findall(r"(\w+): (\d+)", linux.run("ethtool -S eth0"))}


def both_ways(room: Any, size: int, guest: str = LINUX, peer: str = BOB) -> list[tuple[str, str]]:
    """`size` bytes by TCP from the guest and into it; for each way the digests of what left and of what came."""
    linux = room.guest_os
    linux.run(f"dd if=/dev/urandom of=/tmp/data bs=1k count={size >> 10} 2>/dev/null")
    got, _ = room.received_from(linux, size, peer)
    left = linux.run("md5sum < /tmp/data").split()[0]
    data = random.Random(7).randbytes(size)
    digest, _ = room.sent_to(linux, data, guest)
    return [(left, hashlib.md5(got).hexdigest()), (hashlib.md5(data).hexdigest(), digest)]


def speak_ipv6(room: Any) -> None:
    """Addresses for both ends, usable at once: Linux would prove its own first, for a second (RFC 4862, 5.4)."""
    room.guest_os.run("for all in /proc/sys/net/ipv6/conf/*/accept_dad; do echo 0 > $all; done")
    room.guest_os.run(f"ip addr add {LINUX6}/64 dev eth0")
    room.bob.stack.add_address(f"{BOB6}/64")


def asked6(room: Any) -> str:
    """UDP both ways: what nslookup prints of an answer that there is no such name (RFC 1035, 4.1.1: RCODE 3)."""
    server = room.bob.stack.udp_socket(53)
    room.guest_os.start(f"nslookup name.test {BOB6}; true")
    asked = 0

    def answered() -> bool:
        nonlocal asked
        while (query := server.receive()) is not None:
            server.send_to(query.data[:2] + b"\x81\x83" + query.data[4:], query.address, query.port)
            asked += 1
        return asked >= 2  # A and AAAA

    room.wait(answered)
    printed: str = room.guest_os.finish()
    server.close()
    return printed
