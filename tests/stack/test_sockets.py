"""UDP sockets and the set: names, queues, timers, and that idle sockets cost nothing."""

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP

from motenet.core.clock import Clock
from motenet.core.errors import ConfigurationError
from motenet.core.rng import Stream
from motenet.stack import errors
from motenet.stack.sockets.datagram import QUEUE_BYTES
from motenet.stack.sockets.set import EPHEMERALS, FIRST_EPHEMERAL, SocketSet
from motenet.stack.sockets.udp import UdpSocket

SECOND = 1_000_000_000
A, B = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))


@pytest.fixture
def sockets() -> SocketSet:
    return SocketSet(Clock(), Stream(1, "test"))


# --- names


def test_a_port_is_had_once_for_each_address(sockets: SocketSet) -> None:
    sockets.udp_bind(53)
    sockets.udp_bind(53, A)
    sockets.tcp_listen(53)
    for again in (lambda: sockets.udp_bind(53), lambda: sockets.udp_bind(53, A), lambda: sockets.tcp_listen(53)):
        with pytest.raises(errors.AddressInUse):
            again()


def test_a_closed_port_is_free_again(sockets: SocketSet) -> None:
    first = sockets.udp_bind(53)
    first.close()
    second = sockets.udp_bind(53)
    for handle in sockets.take_ready(0):
        sockets.settle(handle, 0)
    assert sockets.udp_socket(A, 53) is second
    assert [socket for _, socket in sockets] == [second]


def test_an_exact_address_goes_before_every_address(sockets: SocketSet) -> None:
    everywhere, here = sockets.udp_bind(53), sockets.udp_bind(53, A)
    assert sockets.udp_socket(A, 53) is here
    assert sockets.udp_socket(B, 53) is everywhere
    assert sockets.udp_socket(B, 54) is None


def test_rfc_6335_ephemeral_ports_are_of_the_dynamic_range_and_run_out(
    sockets: SocketSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert range(FIRST_EPHEMERAL, FIRST_EPHEMERAL + EPHEMERALS) == range(49152, 65536)
    monkeypatch.setattr("motenet.stack.sockets.set.EPHEMERALS", 64)
    sockets.udp_bind(FIRST_EPHEMERAL + 5, A)
    ports = {sockets.udp_bind(0, A).local[1] for _ in range(63)}
    assert ports == set(range(FIRST_EPHEMERAL, FIRST_EPHEMERAL + 64)) - {FIRST_EPHEMERAL + 5}
    with pytest.raises(errors.AddressNotAvailable):
        sockets.udp_bind(0, A)


def test_ephemeral_ports_depend_on_the_seed_alone() -> None:
    def first(seed: int) -> int:
        return SocketSet(Clock(), Stream(seed, "test")).udp_bind().local[1]

    assert first(1) == first(1)
    assert len({first(seed) for seed in range(10)}) > 5


@pytest.mark.parametrize("port", [0, -1, 65536, 70_000, "7", None, 7.0])
def test_what_is_no_port_is_refused_by_name(script: Any, port: Any) -> None:
    sockets = script.stack.sockets
    for call in (
        lambda: UdpSocket(Clock()).bind(port),
        lambda: UdpSocket(Clock()).connect("10.0.0.2", port),
        lambda: UdpSocket(Clock()).send_to(b"x", "10.0.0.2", port),
        lambda: sockets.tcp_listen(port or -1),  # 0: a free one
        lambda: sockets.tcp_connect("10.0.0.2", port),
        lambda: sockets.tcp_connect("10.0.0.2", 80, local_port=port or -1),
        lambda: script.stack.tcp_connect("10.0.0.2", port),
    ):
        with pytest.raises(ConfigurationError, match=r"is not a port: it is a number from 1 to 65535"):
            call()
    assert len(sockets) == 0


def test_an_unbound_socket_is_not_taken(sockets: SocketSet) -> None:
    with pytest.raises(ConfigurationError, match="bind"):
        sockets.add(UdpSocket(Clock()))


def test_without_an_interface_a_connection_needs_a_source(sockets: SocketSet) -> None:
    with pytest.raises(errors.NetworkUnreachable):
        sockets.tcp_connect("10.0.0.2", 80)
    assert sockets.tcp_connect("10.0.0.2", 80, source="10.0.0.1").local[0] == A


# --- who has something to do


def test_only_sockets_with_something_to_do_are_looked_at(sockets: SocketSet) -> None:
    idle = [sockets.udp_bind() for _ in range(100)]
    kicks = []
    sockets.kick = lambda: kicks.append(1)
    assert sockets.poll_at(0) is None
    idle[3].send_to(b"x", "10.0.0.2", 1)
    idle[3].send_to(b"y", "10.0.0.2", 1)
    idle[1].send_to(b"z", "10.0.0.2", 1)
    assert len(kicks) == 2  # one for each socket that became ready
    assert sockets.poll_at(0) == 0
    assert sockets.take_ready(0) == [4, 2]
    assert sockets.poll_at(0) is None


def test_within_a_poll_the_host_is_not_kicked(sockets: SocketSet) -> None:
    kicks: list[int] = []
    sockets.kick, sockets.polling = lambda: kicks.append(1), True
    sockets.udp_bind().send_to(b"x", "10.0.0.2", 1)
    assert (kicks, sockets.poll_at(0)) == ([], 0)


class Timed(UdpSocket):
    """A socket with a timer."""

    at: int | None = None

    def poll_at(self, now: int) -> int | None:
        return self.at


def test_timers_fire_in_order_and_those_that_moved_are_looked_at_again(sockets: SocketSet) -> None:
    early, late, moved = Timed(Clock()), Timed(Clock()), Timed(Clock())
    for port, (socket, at) in enumerate(((late, 30), (early, 10), (moved, 20)), start=1):
        socket.bind(port)
        socket.at = at
        sockets.add(socket)
    for handle in sockets.take_ready(0):
        sockets.settle(handle, 0)
    assert sockets.poll_at(0) == 10
    assert sockets.take_ready(10) == [2]
    moved.at = 25  # later: the old entry fires once for nothing
    early.at = None
    sockets.settle(2, 10)
    assert sockets.take_ready(20) == [3]
    sockets.settle(3, 20)
    late.at = 21  # earlier: the socket says so
    late.ready()
    assert sockets.poll_at(20) == 20
    assert sockets.take_ready(20) == [1]
    sockets.settle(1, 20)
    assert sockets.poll_at(20) == 21
    assert sockets.take_ready(40) == [1, 3]


def test_a_removed_socket_has_no_timer_and_no_name(sockets: SocketSet) -> None:
    socket = sockets.tcp_connect("10.0.0.2", 80, source="10.0.0.1")
    (handle,) = [handle for handle, _ in sockets]
    assert sockets.remove(handle) is socket
    assert (len(sockets), sockets.tcp, sockets.schedule.ready, sockets.poll_at(0)) == (0, {}, {}, None)
    socket.abort()  # its wiring is gone with it
    assert sockets.schedule.ready == {}


# --- UDP


def test_a_queue_that_is_full_refuses_and_has_room_again_once_it_has_sent(script: Any) -> None:
    script.know_peer()
    socket = script.stack.udp_socket(1000)
    for _ in range(QUEUE_BYTES // (1000 + 64)):
        socket.send_to(bytes(1000), "10.0.0.2", 7)
    with pytest.raises(BlockingIOError):
        socket.send_to(bytes(1000), "10.0.0.2", 7)
    wakes = []
    socket.waker = lambda: wakes.append(1)
    count = len(socket.outgoing)
    assert len(script.sent()) == count
    assert wakes
    socket.send_to(b"x", "10.0.0.2", 7)


def test_a_receiver_that_does_not_read_loses_the_newest_with_a_reason(script: Any) -> None:
    socket = script.stack.udp_socket(7)
    frames = [
        script.from_peer() / UDP(sport=9, dport=7) / (number.to_bytes(2, "big") + bytes(1400)) for number in range(256)
    ]
    script.hear(*frames)
    kept = QUEUE_BYTES // (1402 + 64)
    assert script.drops == {"queue-full": 256 - kept}
    numbers = [int.from_bytes(socket.receive().data[:2], "big") for _ in range(kept)]
    assert numbers == list(range(kept))
    assert (socket.receive(), socket.incoming_bytes) == (None, 0)


def test_a_connected_socket_hears_its_peer_alone(script: Any) -> None:
    script.know_peer()
    socket = script.stack.udp_socket(7)
    socket.connect("10.0.0.2", 9)
    script.hear(
        script.from_peer() / UDP(sport=8, dport=7) / b"another port",
        script.from_peer(src="10.0.0.3") / UDP(sport=9, dport=7) / b"another host",
        script.from_peer() / UDP(sport=9, dport=7) / b"the peer",
    )
    assert socket.receive().data == b"the peer"
    socket.send(b"answer")
    frames = [frame for frame in script.sent() if UDP in frame and frame[UDP].dport == 9]
    assert [bytes(frame[UDP].payload) for frame in frames] == [b"answer"]


def test_misuse_of_a_udp_socket_gets_a_typed_error(script: Any) -> None:
    socket = script.stack.udp_socket(7)
    with pytest.raises(errors.NotConnected):
        socket.send(b"x")
    with pytest.raises(errors.MessageTooLong):
        socket.send_to(bytes(65508), "10.0.0.2", 7)
    with pytest.raises(ConfigurationError):
        socket.send_to(b"x", "10.0.0.2", 0)
    with pytest.raises(ConfigurationError):
        socket.send_to(b"x", "nowhere", 7)
    socket.close()
    with pytest.raises(BrokenPipeError):
        socket.send_to(b"x", "10.0.0.2", 7)


def test_the_largest_datagram_fits(script: Any) -> None:
    script.know_peer()
    script.stack.udp_socket(7).send_to(bytes(65507), "10.0.0.2", 7)
    frames = script.sent()
    assert frames[-1][IP].frag * 8 + len(frames[-1][IP].payload) == 65515


def test_what_no_route_leads_to_fails_for_the_socket_that_sent_it(script: Any) -> None:
    socket = script.stack.udp_socket(7)
    socket.send_to(b"x", "11.0.0.1", 7)
    assert script.sent() == []
    assert list(socket.failures) == [("network", bytes((11, 0, 0, 1)), 0)]
    assert script.drops == {"no-route": 1}


def test_what_is_sent_to_ourselves_comes_back_without_the_device(script: Any) -> None:
    socket = script.stack.udp_socket(7)
    socket.send_to(b"x", "10.0.0.1", 7)
    assert script.pass_time(SECOND) == []
    assert tuple(socket.receive()) == (b"x", A, 7, A, "eth0")


def test_groups_and_broadcasts_need_no_resolution(script: Any) -> None:
    socket = script.stack.udp_socket(7)
    for address in ("255.255.255.255", "10.0.0.255", "239.129.2.3"):
        socket.send_to(b"x", address, 7)
    assert [frame.dst for frame in script.sent()] == ["ff:ff:ff:ff:ff:ff"] * 2 + ["01:00:5e:01:02:03"]


def test_without_carrier_a_full_device_is_not_asked_all_the_time_and_timers_go_on(script: Any) -> None:
    script.know_peer()
    socket = script.stack.sockets.tcp_connect("10.0.0.2", 80)
    socket.user_timeout = 5 * SECOND
    script.sent()
    script.driver.room, script.driver.is_link_up = 0, False
    script.stack.udp_socket(1000).send_to(b"x", "10.0.0.2", 53)
    before = script.driver.flushed
    assert script.pass_time(7 * SECOND) == []
    assert script.driver.flushed - before <= 35
    assert isinstance(socket.error, OSError)
    script.driver.room, script.driver.is_link_up = 100, True
    assert [frame.type for frame in script.pass_time(SECOND)][:1] == [0x0800]


def test_a_hop_limit_is_that_of_what_the_socket_brings_forth(script: Any) -> None:
    """A listener's is its connections', as ip(7) has it; a DNS client's is its questions'."""
    script.know_peer()
    listener = script.stack.tcp_listen(80)
    listener.hop_limit = script.stack.dns.hop_limit = 5
    frames = script.hear(script.from_peer() / TCP(sport=9, dport=80, flags="S", seq=1))
    script.stack.dns_servers = ["10.0.0.2"]
    script.stack.dns.start_query("a.test", 4)
    assert [frame[IP].ttl for frame in (*frames, *script.sent())] == [5, 5]


def test_a_socket_says_whether_it_has_room_and_shows_what_waits(script: Any) -> None:
    script.know_peer()
    socket, raw = script.stack.udp_socket(7), script.stack.sockets.raw_bind(253)
    echo = script.stack.sockets.icmp_bind(3)
    assert (socket.peek(), raw.peek(), echo.peek(), socket.can_send) == (None, None, None, True)
    script.hear(script.from_peer() / UDP(sport=9, dport=7) / b"x", script.from_peer(proto=253) / b"y")
    script.hear(script.from_peer() / ICMP(type=0, id=3, seq=4) / b"z")
    for one in (socket, raw, echo):
        assert one.peek() is not None
        assert one.peek() == one.receive()
        assert one.peek() is None
    socket.queue_bytes = 65
    assert socket.can_send
    socket.send_to(b"x", "10.0.0.2", 7)
    assert not socket.can_send
    script.sent()
    assert socket.can_send
    socket.close()
    assert not socket.can_send


def test_a_connection_s_queues_are_what_ss_shows(script: Any) -> None:
    client = script.stack.sockets.tcp_connect("127.0.0.1", script.stack.tcp_listen(80).local[1])
    client.send(b"four")
    assert (client.send_queue, client.recv_queue) == (4, 0)
    script.pass_time(SECOND)
    server = next(one for _, one in script.stack.sockets if one.kind == "tcp" and one is not client)
    assert (client.send_queue, server.recv_queue) == (0, 4)
    rows = [(row["kind"], row["receive_queue"], row["send_queue"]) for row in script.stack.list_sockets()]
    assert rows == [("tcp-listener", 1, 128), ("tcp", 0, 0), ("tcp", 4, 0)]


def test_every_kind_of_socket_has_its_row(script: Any) -> None:
    sockets = script.stack.sockets
    script.stack.dns_servers = ["10.0.0.53", "fd00::53"]
    sockets.dhcp_client("eth0")
    sockets.udp_bind(7, "10.0.0.1").connect("10.0.0.2", 9)
    sockets.icmp_bind(3).close()
    sockets.raw_bind(253)
    assert [tuple(row.values())[1:] for row in script.stack.list_sockets()] == [
        ("dns", "*", "10.0.0.53 fd00::53", "OPEN", 0, 0, None),
        ("dhcp", "eth0:68", "*", "STOPPED", 0, 0, None),
        ("udp", "10.0.0.1:7", "10.0.0.2:9", "OPEN", 0, 0, None),
        ("icmp", "echo 3", "*", "CLOSED", 0, 0, None),
        ("raw", "protocol 253", "*", "OPEN", 0, 0, None),
    ]


def test_a_connection_is_made_from_our_own_addresses_only(script: Any) -> None:
    """bind(2): EADDRNOTAVAIL, "a nonexistent interface was requested or the requested address was not local"."""
    with pytest.raises(errors.AddressNotAvailable, match=r"10\.0\.0\.77 is none of this stack's"):
        script.stack.sockets.tcp_connect("10.0.0.2", 80, source="10.0.0.77")
