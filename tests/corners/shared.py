"""What the corners of several cards have in common.

What both cards must agree on, bytes over TCP, sums on the wire, and a Linux guest that speaks IPv6.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
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


# --- a Linux guest over IPv6

LINUX6, BOB6 = "fd00::1", "fd00::2"
PORT = 9006


def speak_ipv6(machine: Any) -> None:
    """Addresses for both ends, usable at once: Linux would prove its own first, for a second (RFC 4862, 5.4)."""
    machine.guest_os.run("for all in /proc/sys/net/ipv6/conf/*/accept_dad; do echo 0 > $all; done")
    machine.guest_os.run(f"ip addr add {LINUX6}/64 dev eth0")
    machine.bob.stack.add_address(f"{BOB6}/64")


def pings6(linux: Any, count: int = 3, size: int = 56) -> None:
    printed = linux.run(f"ping6 -c {count} -i 0.1 -s {size} {BOB6}")
    assert f"{count} packets transmitted, {count} packets received" in printed


def asks6(machine: Any) -> None:
    """UDP both ways: a query for a name, and an answer that there is none (RFC 1035, 4.1.1: RCODE 3)."""
    server = machine.bob.stack.udp_socket(53)
    machine.guest_os.start(f"nslookup name.test {BOB6}; true")
    asked = 0

    def answered() -> bool:
        nonlocal asked
        while (query := server.receive()) is not None:
            server.send_to(query.data[:2] + b"\x81\x83" + query.data[4:], query.address, query.port)
            asked += 1
        return asked >= 2  # A and AAAA

    machine.wait(answered)
    assert "NXDOMAIN" in machine.guest_os.finish()
    server.close()


def tcp6_both_ways(machine: Any, data: bytes) -> None:
    """`data` from bob into the guest, and what the guest has got back from it, over two connections."""
    linux, sockets = machine.guest_os, machine.bob.stack.sockets
    linux.run(f"rm -f /tmp/got; (nc -l -p {PORT} > /tmp/got; echo > /tmp/done) & sleep 0.2")
    connection, view = sockets.tcp_connect(LINUX6, PORT), memoryview(data)

    def give() -> bool:
        nonlocal view
        while view and (sent := connection.send(view[: 64 << 10])):
            view = view[sent:]
        return connection.statistics["bytes_acknowledged"] >= len(data)

    machine.wait(give, 60)
    connection.close()
    linux.until("test -s /tmp/done")
    connection.release()
    assert linux.run("rm /tmp/done; md5sum < /tmp/got").split()[0] == hashlib.md5(data).hexdigest()
    listener, got = sockets.tcp_listen(PORT, b""), bytearray()
    linux.start(f"nc {BOB6} {PORT} < /tmp/got")
    machine.wait(lambda: listener.can_accept)
    connection = listener.accept()

    def take() -> bool:
        while piece := connection.recv(64 << 10):
            got.extend(piece)
        return len(got) >= len(data) or not connection.may_recv

    machine.wait(take, 60)
    connection.close()
    connection.release()
    linux.finish()
    listener.close()
    assert bytes(got) == data
