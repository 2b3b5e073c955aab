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


def test_all_of_a_network_may_be_ours(room: Room) -> None:
    """AnyIP: smoltcp's set_any_ip, Linux's `ip route add local`; answers come from the address that was meant."""
    alice, bob = room.stack, room.bob.stack
    for network, gateway in (("10.9.0.0/16", "10.0.0.2"), ("fd09::/32", "fd00::2")):
        alice.add_route(network, gateway)
        bob.add_local(network)
    bob.add_local("10.0.0.128/25")
    assert bob.list_routes()[0] == {
        "network": "10.9.0.0/16", "gateway": None, "interface": "eth0", "origin": "local", "expires_in": None
    }  # fmt: skip
    for address in ("10.9.8.7", "fd09::7", "10.0.0.200"):
        assert None not in alice.ping(address, count=1)
    listener = bob.tcp_listen(80, "10.9.1.1")
    client = alice.tcp_connect("10.9.1.1", 80)
    assert bob.tcp_accept(listener).local == client.remote
    server, asker = bob.udp_socket(53), alice.udp_socket()
    asker.connect("fd09::53", 53)
    asker.send(b"?")
    room.world.run("10ms")
    question = server.peek()
    assert question == server.receive() is not None
    server.send_to(b"!", question.address, question.port, source=question.destination)
    room.world.run("10ms")
    assert asker.receive() is not None
    before = room.world.snapshot()
    bob.remove_local("10.9.0.0/16")
    assert alice.ping("10.9.8.7", count=1) == [None]
    room.world.restore(before)
    assert alice.ping("10.9.8.7", count=1) != [None]


def test_the_way_to_an_address_is_told_as_ip_route_get_does(room: Room) -> None:
    room.stack.add_route("10.9.0.0/16", "10.0.0.2")
    assert room.stack.route_to("10.9.8.7") == {
        "destination": "10.9.8.7", "gateway": "10.0.0.2", "interface": "eth0", "source": "10.0.0.1", "mtu": 1500
    }  # fmt: skip
    assert [room.stack.route_to("fd00::9")[name] for name in ("gateway", "source")] == [None, "fd00::1"]
    with pytest.raises(errors.NetworkUnreachable, match=r"no route leads to 192\.0\.2\.1"):
        room.stack.route_to("192.0.2.1")


def test_groups_are_listed_as_ip_maddress_does(room: Room) -> None:
    """RFC 1112, 6.4: 239.1.2.3 is 01-00-5E-01-02-03; RFC 4291, 2.7.1: fd00::1's solicited-node group."""
    room.stack.join_group("239.1.2.3")
    rows = {row["group"]: (row["mac"], row["users"]) for row in room.stack.list_groups()}
    assert rows["239.1.2.3"] == ("01:00:5e:01:02:03", 1)
    assert rows["ff02::1:ff00:1"] == ("33:33:ff:00:00:01", 0)


def test_poll_delay_counts_from_now(room: Room) -> None:
    at = room.stack.poll_at(room.world.now)
    assert at is not None
    assert room.stack.poll_delay(room.world.now) == at - room.world.now > 0
    assert room.stack.poll_delay(at + 5) == 0


def test_the_timer_that_runs_next_is_told_as_ss_does(room: Room) -> None:
    """ss(8), --options: "on", "keepalive", "timewait", "persist"."""

    def timer() -> tuple[str, int, int] | None:
        (row,) = (row for row in room.stack.list_sockets() if row["kind"] == "tcp")
        return row["timer"] and (row["timer"]["name"], row["timer"]["expires_in"], row["timer"]["retries"])

    listener = room.bob.stack.tcp_listen(80, buffer=4096)
    client = room.stack.tcp_connect("10.0.0.2", 80)
    server = room.bob.stack.tcp_accept(listener)
    assert timer() is None
    client.keep_alive = "75s"
    name, left, retries = timer() or ("", 0, 0)
    assert (name, 74 * SECOND < left <= 75 * SECOND, retries) == ("keepalive", True, 0)
    client.keep_alive = None
    client.send(bytes(100))
    room.world.run("1us")
    name, left, _ = timer() or ("", 0, 0)
    assert (name, 0 < left <= SECOND) == ("on", True)
    client.send(bytes(10_000))
    room.world.run("3500ms")  # probes of the shut window one and three seconds later (RFC 9293, 3.8.6.1)
    name, left, retries = timer() or ("", 0, 0)
    assert (name, 3 * SECOND < left <= 4 * SECOND, retries) == ("persist", True, 2)
    while server.recv(65536):
        room.world.run("5s")
    client.close()
    room.world.run("1s")
    server.close()
    room.world.run("1s")
    name, left, retries = timer() or ("", 0, 0)
    assert (name, 8 * SECOND < left < 10 * SECOND, retries) == ("timewait", True, 0)
    room.world.run("10s")
    assert timer() is None
