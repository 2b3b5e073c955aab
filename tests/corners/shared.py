"""What the corners of several cards have in common: what both cards must agree on, bytes over TCP, sums on the wire."""

from collections.abc import Iterable
from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether

from motenet.bridge.qtest.twins import Program, Twins
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


def recomputed(frames: Iterable[bytes]) -> tuple[dict[Any, int], list[bytes]]:
    """How many packets over IPv4 there are of each protocol; and the frames whose sums Scapy computes otherwise."""
    seen, wrong = {TCP: 0, UDP: 0, ICMP: 0}, []
    for frame in frames:
        packet = Ether(frame)
        if IP not in packet:
            continue
        packet[IP].chksum = None
        for layer in seen:
            if layer in packet:
                packet[layer].chksum = None
                seen[layer] += 1
        if bytes(packet) != frame:
            wrong.append(frame)
    return seen, wrong
