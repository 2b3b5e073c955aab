"""Two stacks on one segment: ping, UDP with fragments, TCP, the verbs' errors, and snapshots in the midst of it."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from motenet.core.clock import Clock
from motenet.core.errors import BlockingInsideWorld, ConfigurationError
from motenet.core.state import state_hash
from motenet.core.trace import observe
from motenet.doors import Capabilities
from motenet.stack import NetworkStack, errors

SECOND, MS, US = 1_000_000_000, 1_000_000, 1_000
Pair = tuple[NetworkStack, NetworkStack]


def connected(pair: Pair) -> tuple[Any, Any]:
    a, b = pair
    listener = b.tcp_listen(80)
    client = a.tcp_connect("10.0.0.2", 80)
    server = b.tcp_accept(listener)
    return client, server


def transfer(bench: Any, sender: Any, receiver: Any, data: bytes, limit: int = 600 * SECOND) -> bytes:
    """All of `data` through a connection, by non-blocking calls."""
    sent, got, end = 0, bytearray(), bench.now + limit
    while len(got) < len(data):
        sent += sender.send(data[sent : sent + (1 << 16)])
        assert bench.wait(lambda: receiver.can_recv, end), "it stands still"
        got += receiver.recv(1 << 20)
    return bytes(got)


# --- ping


def test_ping_measures_the_round_trip_and_the_first_includes_address_resolution(bench: Any, pair: Pair) -> None:
    assert pair[0].ping("10.0.0.2", count=3) == [4 * US, 2 * US, 2 * US]
    assert bench.now == 2 * SECOND + 2 * US  # one a second


def test_ping_of_nobody_and_of_ourselves(bench: Any, pair: Pair) -> None:
    assert pair[0].ping("10.0.0.9", count=2, interval="100ms", timeout="50ms") == [None, None]
    assert pair[0].ping("10.0.0.1", count=1) == [0]
    bench.settle()
    assert len(pair[0].sockets) == 0
    with pytest.raises(errors.NetworkUnreachable):
        pair[0].ping("11.0.0.1")


def test_ping_with_more_data_than_a_frame_takes(pair: Pair) -> None:
    assert pair[0].ping("10.0.0.2", count=2, size=20_000) == [4 * US, 2 * US]


def test_a_lost_ping_is_none_and_the_others_count(bench: Any, pair: Pair) -> None:
    pair[0].ping("10.0.0.2", count=1)
    lost = iter((False, True, False))
    bench.lose = lambda frame: len(frame) > 90 and frame[34] == 8 and next(lost)
    assert pair[0].ping("10.0.0.2", count=3) == [2 * US, None, 2 * US]


# --- UDP


def test_udp_both_ways_with_fragments(bench: Any, pair: Pair) -> None:
    server, client = pair[1].udp_socket(7), pair[0].udp_socket()
    data = random.Random(1).randbytes(60_000)
    client.send_to(data, "10.0.0.2", 7)
    assert bench.wait(lambda: server.can_receive, SECOND)
    message = server.receive()
    assert message.data == data
    server.send_to(message.data[::-1], message.address, message.port)
    assert bench.wait(lambda: client.can_receive, SECOND)
    assert client.receive().data == data[::-1]


# --- TCP


def test_tcp_connect_send_receive_close(bench: Any, pair: Pair) -> None:
    a, b = pair
    client, server = connected(pair)
    a.tcp_send(client, b"question")
    assert b.tcp_receive(server) == b"question"
    b.tcp_send(server, b"answer")
    assert a.tcp_receive(client) == b"answer"
    a.tcp_close(client)
    assert b.tcp_receive(server) == b""
    b.tcp_close(server)
    bench.run(20 * SECOND)  # TIME-WAIT
    assert [row["kind"] for row in a.list_sockets()] == []
    assert [row["kind"] for row in b.list_sockets()] == ["tcp-listener"]


def test_tcp_data_arrives_whole(bench: Any, pair: Pair) -> None:
    client, server = connected(pair)
    data = random.Random(2).randbytes(1 << 20)
    assert transfer(bench, client, server, data) == data
    assert transfer(bench, server, client, data) == data


def test_tcp_data_arrives_whole_in_spite_of_loss(bench: Any, pair: Pair) -> None:
    client, server = connected(pair)
    dice = random.Random(3)
    bench.lose = lambda frame: dice.random() < 0.05
    data = random.Random(4).randbytes(200_000)
    assert transfer(bench, client, server, data) == data


def test_tcp_with_segments_cut_and_checksummed_by_the_card(bench: Any) -> None:
    able = Capabilities(checksum_tx=True, checksum_rx=True, max_segmented=65_535)
    pair = bench.stack("10.0.0.1/24", capabilities=able), bench.stack("10.0.0.2/24", capabilities=able)
    client, server = connected(pair)
    data = random.Random(5).randbytes(1 << 20)
    assert transfer(bench, client, server, data) == data
    assert any(facts and facts.segment_size == 1448 for facts in pair[0].driver.facts)


def test_tcp_to_ourselves(bench: Any, pair: Pair) -> None:
    a = pair[0]
    listener = a.tcp_listen(80)
    client = a.tcp_connect("10.0.0.1", 80)
    server = a.tcp_accept(listener)
    data = random.Random(6).randbytes(300_000)
    assert transfer(bench, client, server, data) == data
    assert a.statistics["tx_frames"] == 0


def test_tcp_refused(pair: Pair) -> None:
    with pytest.raises(ConnectionRefusedError):
        pair[0].tcp_connect("10.0.0.2", 81)


def test_tcp_to_nobody_fails_when_three_requests_are_unanswered(bench: Any, pair: Pair) -> None:
    with pytest.raises(errors.HostUnreachable, match=r"10\.0\.0\.9 port 80"):
        pair[0].tcp_connect("10.0.0.9", 80)
    assert bench.now == 3 * SECOND


def test_tcp_without_an_answer_times_out(bench: Any, pair: Pair) -> None:
    pair[0].ping("10.0.0.2", count=1)
    bench.lose = lambda frame: True
    start = bench.now
    with pytest.raises(TimeoutError, match=r"1\.500 s"):
        pair[0].tcp_connect("10.0.0.2", 80, timeout="1500ms")
    assert bench.now == start + 1500 * MS
    bench.run(SECOND)
    assert pair[0].list_sockets() == []


def test_tcp_without_a_route(pair: Pair) -> None:
    with pytest.raises(errors.NetworkUnreachable):
        pair[0].tcp_connect("11.0.0.1", 80)
    assert pair[0].list_sockets() == []


def test_verbs_time_out(pair: Pair) -> None:
    a, b = pair
    client, server = connected(pair)
    with pytest.raises(errors.TimedOut, match="has sent nothing"):
        b.tcp_receive(server, timeout="1s")
    with pytest.raises(errors.TimedOut, match="nobody has connected"):
        b.tcp_accept(b.tcp_listen(81), timeout="1s")
    with pytest.raises(errors.TimedOut, match="bytes could not be sent"):
        a.tcp_send(client, bytes(1 << 20), timeout="1s")
    with pytest.raises(errors.TimedOut, match="has not taken all"):
        a.tcp_close(client, timeout="1s")
    server.recv(1 << 20)
    with pytest.raises(ConnectionResetError):
        b.tcp_receive(server)


def test_a_router_is_the_neighbor_for_all_other_networks(bench: Any) -> None:
    a = bench.stack("10.0.0.1/24", gateway="10.0.0.2")
    b = bench.stack(["10.0.0.2/24", "11.0.0.1/8"])
    assert a.ping("11.0.0.1", count=1) == [4 * US]
    assert [row["address"] for row in a.list_neighbors()] == ["10.0.0.2"]
    assert a.list_routes()[-1] == {
        "network": "0.0.0.0/0", "gateway": "10.0.0.2", "interface": "eth0", "origin": "static", "expires_in": None
    }  # fmt: skip
    assert [str(cidr) for cidr in b.addresses] == ["10.0.0.2/24", "11.0.0.1/8"]


@pytest.mark.parametrize("address", ["10.0.0.1", "nonsense", "10.0.0.255/24", "ff02::1/64", "::1/128"])
def test_a_malformed_address_is_a_configuration_error(bench: Any, address: str) -> None:
    with pytest.raises(ConfigurationError):
        bench.stack(address)


def test_a_verb_inside_an_event_is_refused_before_it_does_anything(bench: Any, pair: Pair) -> None:
    client, _ = connected(pair)
    clock, stack, before = Clock(), pair[0], pair[0].list_sockets()
    stack.driver.clock = clock
    verbs: list[Callable[[], object]] = [
        lambda: stack.ping("10.0.0.2"), lambda: stack.tcp_connect("10.0.0.2", 80), stack.dhcp_acquire,
        lambda: stack.dns_resolve("10.0.0.2"), lambda: stack.tcp_accept(stack.tcp_listen(80)),
        lambda: stack.tcp_send(client, b"x"), lambda: stack.tcp_receive(client), lambda: stack.tcp_close(client),
    ]  # fmt: skip
    caught = []

    def event(_: object) -> None:
        for verb in verbs:
            try:
                verb()
            except BlockingInsideWorld as error:
                caught.append(error)

    clock.at(0, event)
    clock.run(1)
    assert len(caught) == len(verbs)
    assert stack.list_sockets()[:-1] == before  # beside the listener


def test_without_a_host_a_verb_polls_the_stack_itself(bench: Any, pair: Pair) -> None:
    pair[0].kick = None
    assert pair[0].ping("10.0.0.2", count=2) == [4 * US, 2 * US]


# --- watching and looking


def test_drops_and_link_changes_are_told_to_whoever_watches(bench: Any, pair: Pair) -> None:
    bench.settle()
    events: list[Any] = []
    observe(pair[0], events.append)
    pair[0].driver.is_link_up = False
    pair[0].udp_socket(7).send_to(b"x", "11.0.0.1", 7)
    bench.settle()
    told = [(type(event).__name__, getattr(event, "reason", "") or getattr(event, "what", "")) for event in events]
    assert ("Dropped", "no-route") in told
    assert ("Changed", "link") in told
    assert not pair[0].is_link_up


def test_listings_are_plain_rows(bench: Any, pair: Pair) -> None:
    client, _ = connected(pair)
    client.send(bytes(10))
    pair[0].udp_socket(7)
    rows = pair[0].list_sockets()
    assert rows[0] | {"handle": 0, "local": ""} == {
        "handle": 0, "kind": "tcp", "local": "", "remote": "10.0.0.2:80", "state": "ESTABLISHED",
        "receive_queue": 0, "send_queue": 10, "timer": None,
    }  # fmt: skip
    assert rows[1]["local"] == "*:7"
    (row,) = pair[0].list_neighbors()
    assert row == {
        "address": "10.0.0.2",
        "mac": "02:00:00:00:00:02",
        "state": "reachable",
        "expires_in": row["expires_in"],
        "interface": "eth0",
        "router": False,
    }
    assert 14 * SECOND < row["expires_in"] <= 45 * SECOND  # RFC 4861, 10: 30 s, times 0.5 to 1.5
    assert pair[0].list_routes() == [
        {"network": "10.0.0.0/24", "gateway": None, "interface": "eth0", "origin": "link", "expires_in": None}
    ]
    assert pair[0].statistics["tx_frames"] >= 3


# --- snapshots


def drive(bench: Any, sockets: Any, steps: int) -> list[tuple[int, bytes]]:
    """Some traffic, and the record of all that passed the cable."""
    seen: list[tuple[int, bytes]] = []
    before = bench.lose
    bench.lose = lambda frame: seen.append((bench.now, frame)) or before(frame)  # type: ignore[func-returns-value]
    client, server, talker, hearer = sockets
    for step in range(steps):
        client.send(bytes((step & 255,)) * 5000)
        server.recv(1 << 20)
        talker.send_to(bytes((step & 255,)) * 4000, "10.0.0.2", 7)
        hearer.receive()
        if step == 3:
            talker.send_to(b"to nobody", "10.0.0.77", 7)
        bench.run(3 * MS)
    bench.lose = before
    return seen


@pytest.mark.parametrize("warm_up", [0, 1, 5, 9])
def test_a_snapshot_restored_gives_the_same_frames_at_the_same_times(bench: Any, pair: Pair, warm_up: int) -> None:
    client, server = connected(pair)
    sockets = (client, server, pair[0].udp_socket(), pair[1].udp_socket(7))
    drive(bench, sockets, warm_up)
    snapshot = bench.save()
    first = drive(bench, sockets, 12)
    after = state_hash(bench.save())
    pair[0].udp_socket(99)  # what came after the snapshot is gone after it
    client.abort()
    bench.run(SECOND)
    bench.load(snapshot)
    assert state_hash(bench.save()) == state_hash(snapshot)
    assert drive(bench, sockets, 12) == first
    assert state_hash(bench.save()) == after
    assert len(first) > 50


def test_a_snapshot_brings_back_sockets_that_have_gone(bench: Any, pair: Pair) -> None:
    client, server = connected(pair)
    snapshot = bench.save()
    pair[0].tcp_close(client)
    pair[1].tcp_close(server)
    bench.run(60 * SECOND)
    assert pair[0].list_sockets() == []
    bench.load(snapshot)
    client.send(b"still here")  # the application's own object is the one that is back
    assert bench.wait(lambda: server.can_recv, bench.now + SECOND)
    assert server.recv(100) == b"still here"


def test_a_snapshot_makes_sockets_that_nobody_held(bench: Any, pair: Pair) -> None:
    client, server = connected(pair)
    snapshot, handles = bench.save(), [handle for handle, _ in pair[0].sockets]
    pair[0].sockets.remove(handles[0])
    del client
    bench.load(snapshot)
    again = pair[0].sockets.get(handles[0])
    again.send(b"made anew")
    assert bench.wait(lambda: server.can_recv, bench.now + SECOND)
    assert server.recv(100) == b"made anew"
