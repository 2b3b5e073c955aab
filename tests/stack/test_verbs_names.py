"""Verbs take names as well as addresses; DNS gives those, and they are tried in its order."""

from collections.abc import Callable

import pytest

import motenet
from motenet.core.units import MS, SECOND
from motenet.stack import NetworkStack, errors


class Room:
    """Two hosts with both families, and one whose network nobody answers for."""

    def __init__(self) -> None:
        self.world = motenet.World(seed=7)
        self.alice, self.bob = (
            self.world.host(name, address=[f"10.0.0.{number}/24", f"fd00::{number}/64"])
            for number, name in enumerate(("alice", "bob"), 1)
        )
        self.world.link(self.alice, self.bob, delay="1ms")
        self.world.run("2s")

    @property
    def stack(self) -> NetworkStack:
        return self.alice.stack


@pytest.fixture
def room() -> Room:
    return Room()


def test_ping_takes_a_name_and_the_first_address_that_a_route_leads_to(room: Room) -> None:
    room.stack.dns.add_host("bob.test", "2001:db8::2", "192.0.2.2", "fd00::2")
    assert room.stack.ping("bob.test", count=2)[1] == room.stack.ping("fd00::2", count=1)[0]
    assert room.bob.stack.statistics["echoes"] == 3
    room.stack.dns.add_host("far.test", "2001:db8::2", "192.0.2.2")
    with pytest.raises(errors.NetworkUnreachable):
        room.stack.ping("far.test")


def test_all_addresses_are_tried_in_their_order(room: Room) -> None:
    listener = room.bob.stack.tcp_listen(80, "10.0.0.2")
    room.stack.dns.add_host("bob.test", "2001:db8::2", "fd00::9", "fd00::2", "10.0.0.2")
    started = room.world.now
    socket = room.stack.tcp_connect("Bob.Test.", 80)
    assert room.bob.stack.tcp_accept(listener).remote == socket.local
    assert room.stack.dns_resolve("bob.test") == ["fd00::9", "fd00::2", "10.0.0.2", "2001:db8::2"]  # by RFC 6724
    assert 2500 * MS <= room.world.now - started < 2600 * MS  # fd00::9's quarter of the ten seconds


def test_the_last_error_is_raised(room: Room) -> None:
    room.stack.dns.add_host("bob.test", "fd00::2", "10.0.0.2")
    with pytest.raises(ConnectionRefusedError, match=r"^10\.0\.0\.2 port 80 refused the connection"):
        room.stack.tcp_connect("bob.test", 80)
    room.stack.dns.add_host("bob.test", "10.0.0.2", "2001:db8::2")
    with pytest.raises(errors.NetworkUnreachable):
        room.stack.tcp_connect("bob.test", 80)
    room.world.run("1ms")
    assert [row["kind"] for row in room.stack.list_sockets()] == ["dns"]


def test_the_addresses_share_the_time(room: Room) -> None:
    room.stack.ping("10.0.0.2")
    room.stack.ping("fd00::2")
    room.bob.stop()
    room.stack.dns.add_host("bob.test", "fd00::2", "10.0.0.2")
    started = room.world.now
    with pytest.raises(TimeoutError, match=r"10\.0\.0\.2 port 80 has not answered within 1\.000 s"):
        room.stack.tcp_connect("bob.test", 80, timeout="2s")
    assert room.world.now - started == 2 * SECOND


def test_what_is_no_name_and_no_address_is_refused_at_once(room: Room) -> None:
    now = room.world.now
    for host in ("fe80::zz", "10.0.0.2/24", "", 5, None, b"abc", "10.0.0.300", "bob..test", "-%eth0"):
        for verb in (room.stack.ping, lambda host: room.stack.tcp_connect(host, 80)):
            with pytest.raises(motenet.ConfigurationError, match=r"is not an IP address|is no name|neither an address"):
                verb(host)
    assert room.world.now == now


@pytest.mark.parametrize("verb", [NetworkStack.ping, lambda stack, host: stack.tcp_connect(host, 80)])
def test_names_that_nobody_knows(room: Room, verb: Callable[[NetworkStack, str], object]) -> None:
    with pytest.raises(errors.DnsFailure, match="no DNS server is known"):
        verb(room.stack, "bob.test")
    with pytest.raises(errors.NameNotFound):
        verb(room.stack, "bob.invalid")


def test_a_name_server_that_says_nothing_takes_no_longer_than_the_verb(room: Room) -> None:
    room.stack.dns_servers = ["10.0.0.53"]
    started = room.world.now
    with pytest.raises(errors.DnsError, match=r"bob\.test|10\.0\.0\.53"):
        room.stack.tcp_connect("bob.test", 80, timeout="1500ms")
    assert room.world.now - started <= 1500 * MS
