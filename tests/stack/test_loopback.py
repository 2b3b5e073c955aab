"""Loopback: 127.0.0.0/8 (RFC 1122, 3.2.1.3 g) and ::1 (RFC 4291, 2.5.3), a host's addresses for itself alone."""

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether

import motenet
from motenet.sim.host import Host
from motenet.stack.errors import ConnectionRefused

LOOPBACKS = ["127.0.0.1", "127.9.8.7", "::1"]


def hosts(**options: object) -> tuple[motenet.World, Host, Host]:
    world = motenet.World(seed=7)
    alice = world.host("alice", address=["10.0.0.1/24", "fd00::1/64"], **options)  # type: ignore[arg-type]
    bob = world.host("bob", address=["10.0.0.2/24", "fd00::2/64"])
    world.link(alice, bob)
    world.run("5s")
    return world, alice, bob


@pytest.mark.parametrize("address", LOOPBACKS)
def test_a_host_reaches_itself_and_nothing_is_seen_on_the_cable(address: str) -> None:
    world, alice, _ = hosts()
    before = world.fingerprint()
    assert alice.stack.ping(address, count=2) == [0, 0]
    listener = alice.stack.tcp_listen(80, address)
    client = alice.stack.tcp_connect(address, 80)
    server = alice.stack.tcp_accept(listener)
    alice.stack.tcp_send(client, bytes(range(256)) * 2000)
    received = b""
    while len(received) < 512_000:
        received += alice.stack.tcp_receive(server)
    assert received == bytes(range(256)) * 2000
    alice.stack.tcp_close(client)
    world.run("1s")
    assert world.fingerprint() == before


def test_a_closed_port_refuses_and_a_datagram_to_it_fails() -> None:
    _, alice, _ = hosts()
    for address in LOOPBACKS:
        with pytest.raises(ConnectionRefused):
            alice.stack.tcp_connect(address, 81)
    socket = alice.stack.udp_socket()
    socket.connect("127.0.0.1", 9)
    socket.send(b"anybody?")
    alice.stack.ping("10.0.0.2", count=1)
    with pytest.raises(ConnectionRefused):
        socket.receive()


@pytest.mark.parametrize("forwarding", [False, True], ids=["host", "router"])
def test_rfc1122_3_2_1_3_g_must_not_appear_outside_a_host(forwarding: bool) -> None:
    """Neither is what comes by the cable taken for ours, nor does anything leave with such a source."""
    world, alice, bob = hosts(forwarding=forwarding)
    ethernet = Ether(dst=alice.driver.mac_address.hex(":"), src=bob.driver.mac_address.hex(":"))
    pairs4 = [("10.0.0.2", "127.0.0.1"), ("127.0.0.1", "10.0.0.1"), ("127.0.0.1", "127.0.0.1")]
    pairs6 = [("fd00::2", "::1"), ("::1", "fd00::1"), ("::1", "::1"), ("::ffff:127.0.0.1", "fd00::1")]
    frames = [bytes(ethernet / IP(src=source, dst=destination) / ICMP()) for source, destination in pairs4]
    frames += [
        bytes(ethernet / IPv6(src=source, dst=destination) / ICMPv6EchoRequest()) for source, destination in pairs6
    ]
    for frame in frames:
        bob.driver.send(frame)
    world.run("1s")
    assert alice.stack.statistics["echoes"] == 0
    assert alice.stack.statistics["drops"] == len(frames)

    before = world.fingerprint()
    socket = alice.stack.udp_socket(5000, "127.0.0.1")
    socket.send_to(b"out", "10.0.0.2", 5000)
    world.run("1s")
    assert world.fingerprint() == before
    assert alice.stack.drop_reasons["loopback-source"] == 1


def test_an_application_that_raises_leaves_no_door_open() -> None:
    world, alice, bob = hosts()
    socket = alice.stack.udp_socket(9, "127.0.0.1")
    socket.waker = lambda: 1 // 0  # type: ignore[assignment]
    alice.stack.udp_socket().send_to(b"by loopback", "127.0.0.1", 9)
    with pytest.raises(ZeroDivisionError):
        world.run("1s")
    socket.waker = None
    assert socket.receive() is not None
    ethernet = Ether(dst=alice.driver.mac_address.hex(":"), src=bob.driver.mac_address.hex(":"))
    bob.driver.send(bytes(ethernet / IP(src="127.0.0.1", dst="127.0.0.1") / UDP(sport=9, dport=9) / b"by the cable"))
    world.run("1s")
    assert socket.receive() is None
