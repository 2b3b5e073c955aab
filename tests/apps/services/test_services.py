"""Echo, discard and chargen (RFC 862, 863, 864) between two emulated hosts."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motenet.apps.services import ChargenServer, DiscardServer, EchoServer, SmallService
from motenet.sim.world import World
from motenet.stack.sockets.tcp import TcpSocket

FAMILIES = pytest.mark.parametrize("address", ["10.0.0.2", "fd00::2"])


class Pair:
    """alice, who asks, and bob, who serves at the services' own ports."""

    def __init__(self, *services: type[SmallService], **link: Any) -> None:
        self.world = World(seed=4)
        self.alice = self.world.host("alice", address=["10.0.0.1/24", "fd00::1/64"])
        self.bob = self.world.host("bob", address=["10.0.0.2/24", "fd00::2/64"])
        self.world.link(self.alice, self.bob, **({"bandwidth": "1Gbit/s", "delay": "50us"} | link))
        self.servers = [service(self.bob.stack) for service in services]
        self.bob.applications.extend(self.servers)
        self.world.run("2s", until=lambda: self.alice.stack.is_link_up and self.bob.stack.is_link_up)

    def connect(self, port: int, address: str = "10.0.0.2") -> TcpSocket:
        return self.alice.stack.tcp_connect(address, port)

    def ask(self, port: int, *datagrams: bytes, source: int = 0, address: str = "10.0.0.2") -> list[bytes]:
        """Send datagrams; what comes back from the port that they went to."""
        socket = self.alice.stack.udp_socket(source)
        for data in datagrams:
            socket.send_to(data, address, port)
        self.world.run("1s")
        said = []
        while (message := socket.receive()) is not None:
            assert message.port == port
            said.append(message.data)
        socket.close()
        return said


def characters(count: int) -> bytes:
    """RFC 864's pattern, line by line, character by character."""
    lines = ["".join(chr(0x20 + (line + i) % 95) for i in range(72)) for line in range(count // 74 + 1)]
    return "".join(line + "\r\n" for line in lines).encode()[:count]


# --- RFC 862


@FAMILIES
def test_rfc_862_tcp_what_is_sent_comes_back_until_the_caller_closes(address: str) -> None:
    pair = Pair(EchoServer)
    socket = pair.connect(7, address)
    socket.send(b"hello")
    pair.world.run("10ms")
    assert socket.recv(100) == b"hello"
    socket.send(b"world")
    socket.close()
    pair.world.run("10ms")
    assert (socket.recv(100), socket.may_recv) == (b"world", False)
    assert (pair.servers[0].bytes, pair.servers[0].connections) == (10, {})


@FAMILIES
def test_rfc_862_udp_a_datagram_comes_back(address: str) -> None:
    pair = Pair(EchoServer)
    assert pair.ask(7, b"hello", b"", bytes(3000), address=address) == [b"hello", b"", bytes(3000)]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=5000), min_size=1, max_size=6),
    st.lists(st.binary(max_size=1400), max_size=4),
)
def test_whatever_is_said_is_echoed_in_order(pieces: list[bytes], datagrams: list[bytes]) -> None:
    pair = Pair(EchoServer, reorder=0.05)
    socket = pair.connect(7)
    for piece in pieces:
        assert socket.send(piece) == len(piece)
    socket.close()
    assert sorted(pair.ask(7, *datagrams)) == sorted(datagrams)
    assert socket.recv(1 << 20) == b"".join(pieces)
    assert not socket.may_recv


def test_who_does_not_read_is_not_read_from() -> None:
    """Neither side keeps more than its buffers hold; later all of it comes."""
    pair = Pair(EchoServer)
    socket = pair.connect(7)
    data = random.Random(1).randbytes(3_000_000)
    sent = 0
    for _ in range(100):
        sent += socket.send(data[sent:])
        pair.world.run("5ms")
    (connection,) = pair.servers[0].connections.values()
    assert sent < len(data)
    assert 0 < len(connection.out) <= 64 * 1024
    got = bytearray()
    while len(got) < len(data):
        sent += socket.send(data[sent:])
        pair.world.run("5ms")
        got += socket.recv(1 << 20)
    assert got == data


@pytest.mark.parametrize("source", [7, 19, 53, 1023, 2049])
@pytest.mark.parametrize("service", [EchoServer, ChargenServer])
def test_datagrams_from_the_ports_of_services_are_not_answered(service: type[SmallService], source: int) -> None:
    """As inetd has it (OpenBSD's dg_badinput): else one forged datagram keeps two services busy for ever."""
    pair = Pair(service)
    assert pair.ask(service.usual_port, b"x", source=source) == []
    assert pair.servers[0].drops == {"from a service's port": 1}
    assert len(pair.ask(service.usual_port, b"x", source=1024)) == 1


@pytest.mark.parametrize("port", [7, 7007])
def test_two_echo_servers_do_not_keep_each_other_busy(port: int) -> None:
    """Neither at the port of RFC 862, nor at the same one elsewhere."""
    pair = Pair()
    servers = [EchoServer(host.stack, port) for host in (pair.alice, pair.bob)]
    pair.alice.applications.append(servers[0])
    pair.bob.applications.append(servers[1])
    servers[0]._udp.send_to(b"x", "10.0.0.2", port)
    pair.world.run("1s")
    assert [server.datagrams for server in servers] == [0, 1]


# --- RFC 863


@FAMILIES
def test_rfc_863_what_is_sent_is_thrown_away_and_nothing_is_said(address: str) -> None:
    pair = Pair(DiscardServer)
    socket = pair.connect(9, address)
    data, sent = bytes(1_000_000), 0
    while sent < len(data):
        sent += socket.send(data[sent:])
        pair.world.run("5ms")
    pair.world.run("1s")
    assert (socket.recv(100), socket.may_recv, pair.servers[0].bytes) == (b"", True, 1_000_000)
    socket.close()
    pair.world.run("1s")
    assert (socket.may_recv, pair.servers[0].connections) == (False, {})
    assert pair.ask(9, b"x", b"", address=address) == []
    assert (pair.servers[0].datagrams, pair.servers[0].drops) == (2, {})


# --- RFC 864


@FAMILIES
def test_rfc_864_tcp_lines_of_72_characters_until_the_caller_closes(address: str) -> None:
    pair = Pair(ChargenServer)
    socket = pair.connect(19, address)
    got = bytearray()
    while len(got) < 30_000:
        pair.world.run("1ms")
        got += socket.recv(1 << 20)
    assert got.startswith(b' !"#$%&\'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg\r\n!"#')
    assert got == characters(len(got))
    socket.send(b"thrown away")
    socket.close()
    pair.world.run("100ms")
    assert pair.servers[0].connections == {}
    assert pair.servers[0].bytes == len(b"thrown away")


def test_rfc_864_tcp_a_slow_reader_is_waited_for_and_its_end_is_seen() -> None:
    pair = Pair(ChargenServer)
    socket = pair.connect(19)
    pair.world.run("10s")
    queued = [len(connection.out) for connection in pair.servers[0].connections.values()]
    assert 0 < queued[0] <= 95 * 74
    quiet = pair.world.fingerprint()
    pair.world.run("1ms")
    assert pair.world.fingerprint() == quiet, "nothing is sent that nobody takes"
    socket.close()
    pair.world.run("1s")
    assert pair.servers[0].connections != {}, "what it was told before waits for it"
    got = bytearray()
    while socket.may_recv or socket.can_recv:
        got += socket.recv(4096)
        pair.world.run("1ms")
    assert got == characters(len(got))
    assert pair.servers[0].connections == {}


@FAMILIES
def test_rfc_864_udp_0_to_512_characters_for_each_datagram(address: str) -> None:
    pair = Pair(ChargenServer)
    said = [data for _ in range(3) for data in pair.ask(19, *[b"?"] * 20, address=address)]
    assert len(said) == 60
    assert all(data == characters(len(data)) for data in said)
    lengths = sorted(map(len, said))
    assert lengths[0] < 100
    assert 412 < lengths[-1] <= 512


# --- all of them


def test_limit_the_longest_quiet_one_makes_room() -> None:
    pair = Pair(EchoServer)
    pair.servers[0].limit = 2
    first, second = pair.connect(7), pair.connect(7)
    pair.world.run("1ms")
    first.send(b"x")
    pair.world.run("1ms")
    third = pair.connect(7)
    pair.world.run("1ms")
    assert [socket.may_recv for socket in (first, second, third)] == [True, False, True]
    assert pair.servers[0].drops == {"idle connection closed": 1}


def test_a_reset_ends_a_connection_and_a_close_all_of_them() -> None:
    pair = Pair(EchoServer, ChargenServer)
    sockets = [pair.connect(port) for port in (7, 7, 19)]
    sockets[0].abort()
    pair.world.run("10ms")
    assert [len(server.connections) for server in pair.servers] == [1, 1]
    for server in pair.servers:
        server.close()
    pair.world.run("10ms")
    assert pair.ask(7, b"x") == []
    assert not sockets[1].may_recv


def test_a_snapshot_in_the_middle_of_streams_goes_on_alike() -> None:
    """Echo with loss, chargen by TCP, and the random lengths by UDP: the same bytes and frames."""
    pair = Pair(EchoServer, ChargenServer, loss=0.02)
    echo, chargen = pair.connect(7), pair.connect(19)
    data = random.Random(2).randbytes(100_000)
    sent = echo.send(data)
    pair.world.run("2ms")
    before, state = pair.world.snapshot(), pair.world.state_hash()

    def go_on() -> tuple[Any, ...]:
        heard, taken, left = bytearray(), bytearray(), sent
        for _ in range(100):
            left += echo.send(data[left:])
            pair.world.run("20ms")
            heard += echo.recv(1 << 20)
            taken += chargen.recv(2000)
        return bytes(heard), bytes(taken), pair.ask(19, b"a", b"b", b"c"), pair.world.fingerprint()

    first = go_on()
    assert first[0] == data
    assert first[1] == characters(len(first[1]))
    for socket in (echo, chargen):
        socket.abort()
    pair.world.run("30s")
    assert pair.servers[1].connections == {}
    pair.world.restore(before)
    assert pair.world.state_hash() == state
    assert go_on() == first
