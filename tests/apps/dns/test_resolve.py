"""Names between two emulated hosts: our client, our server, and everything that can go wrong on the way."""

from typing import Any

import dns.rcode
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from motenet.apps.dns import DnsServer, Request, faults
from motenet.stack import errors
from motenet.stack.address import format_address

SECOND = 1_000_000_000
MANY = sorted(f"10.1.0.{n}" for n in range(60))

slow = settings(
    max_examples=5,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def resolve(pair: Any, name: str = "www.example.test", family: int | None = 4, **more: Any) -> list[str]:
    if not pair.alice.stack.dns_servers:
        pair.alice.stack.dns_servers = ["10.0.0.2"]
    return pair.alice.stack.dns_resolve(name, family, **more)


def only_first(fault: faults.Fault) -> Any:
    return lambda request: fault if request.number == 0 else None


def only_udp(fault: faults.Fault) -> Any:
    return lambda request: None if request.by_tcp else fault


def test_both_families_by_an_alias(pair: Any) -> None:
    assert resolve(pair, "alias.example.test", None) == ["fd00::7", "10.0.0.7"]
    assert resolve(pair, "www.example.test", 6) == ["fd00::7"]
    before = pair.server.requests
    assert resolve(pair, "alias.example.test", None) == ["fd00::7", "10.0.0.7"]
    assert pair.server.requests == before


@pytest.mark.parametrize(
    ("fault", "milliseconds", "requests", "drops"),
    [
        (None, 2, 1, {}),
        (only_first(faults.drop), 1002, 2, {}),
        (only_first(faults.delay("1500ms")), 1002, 2, {}),
        (lambda request: faults.delay("1500ms"), 1502, 2, {}),
        (lambda request: faults.twice, 2, 1, {}),
        (only_first(faults.wrong_ident), 1002, 2, {"dns-ident": 1}),
        (only_first(faults.wrong_question), 1002, 2, {"dns-question": 1}),
        (only_udp(faults.truncate), 6, 2, {}),
        (only_first(faults.rcode(dns.rcode.FORMERR)), 4, 2, {}),
        (lambda request: faults.small_letters, 6, 2, {"dns-case": 1}),
    ],
)
def test_what_a_server_may_do_wrong(
    pair: Any, fault: Any, milliseconds: int, requests: int, drops: dict[str, int]
) -> None:
    """Round trips of 2 ms, and waits of a second: how long it takes tells what was tried."""
    pair.alice.stack.ping("10.0.0.2", count=1)
    pair.server.fault, start = fault, pair.world.now
    assert resolve(pair) == ["10.0.0.7"]
    assert (pair.world.now - start) // 1_000_000 == milliseconds
    assert pair.server.requests == requests
    assert pair.alice.stack.dns.drops == drops


def test_who_does_not_keep_the_case_is_asked_in_small_letters(pair: Any) -> None:
    pair.server.fault = lambda request: faults.small_letters
    resolve(pair)
    asked: list[Request] = []
    pair.server.fault = lambda request: asked.append(request) or faults.small_letters
    assert resolve(pair, "n5.example.test") == ["10.2.0.5"]
    assert [(request.by_tcp, request.data[12:32]) for request in asked] == [
        (False, b"\2n5\7example\4test\0" + b"\0\1\0")
    ]


def test_an_answer_too_long_for_a_datagram_comes_by_tcp(pair: Any) -> None:
    requests: list[bool] = []
    pair.server.fault = lambda request: requests.append(request.by_tcp)
    assert len(resolve(pair, "huge.example.test")) == 64
    assert requests == [False, True]
    pair.world.run("60s")
    assert [row["kind"] for row in pair.alice.stack.list_sockets()] == ["dns"]
    assert pair.server.connections == {}


def test_a_connection_that_stays_silent_ends_after_ten_seconds(pair: Any) -> None:
    pair.server.fault = lambda request: faults.drop if request.by_tcp else faults.truncate
    with pytest.raises(errors.DnsTimeout):
        resolve(pair, timeout="60s")
    assert [pair.server.requests, pair.world.now // SECOND] == [6, 30], "three times by UDP, and by TCP after each"


def test_a_server_that_ends_the_connection_has_no_answer(pair: Any) -> None:
    pair.server.fault = lambda request: faults.truncate
    pair.alice.stack.dns_servers = ["10.0.0.2"]
    query = pair.alice.stack.dns.start_query("huge.example.test", 4)
    pair.world.run("60s", until=lambda: bool(pair.server.connections))
    next(iter(pair.server.connections.values())).end()
    pair.world.run("60s", until=lambda: query.done)
    assert isinstance(query.error, errors.DnsFailure)


def test_the_verbs_own_timeout(pair: Any) -> None:
    pair.server.fault = lambda request: faults.drop
    start = pair.world.now
    with pytest.raises(errors.DnsTimeout, match=r"2\.000 s"):
        resolve(pair, timeout="2s")
    assert (pair.world.now - start) // 1_000_000 == 2000
    pair.world.run("1ms")
    assert [row["kind"] for row in pair.alice.stack.list_sockets()] == ["dns"]


def test_a_host_that_serves_nothing_says_so_at_once(make_pair: Any) -> None:
    pair = make_pair()
    pair.server.close()
    pair.world.run("1ms")
    start = pair.world.now
    with pytest.raises(errors.DnsFailure, match="port unreachable"):
        resolve(pair)
    assert pair.world.now - start < 10_000_000


def test_by_ipv6_and_to_a_server_of_the_links_scope(pair: Any) -> None:
    """RFC 4007, 11: such a server is named with its interface, as routers' advertisements give them (RFC 8106)."""
    alice, bob = pair.alice.stack, pair.bob.stack
    pair.world.run("3s")
    alice.dns_servers = ["fd00::2"]
    assert alice.dns_resolve("www.example.test") == ["fd00::7", "10.0.0.7"]
    local = format_address(bob.interface.addressing.link_local)
    alice.dns.use_servers([f"{local}%eth0"])
    assert alice.dns.list_servers() == [f"{local}%eth0"]
    for name, found in (("www", 2), ("huge", 64)):
        query = alice.dns.start_query(f"{name}.example.test")
        pair.world.run("10s", until=lambda query=query: query.done)
        assert len(query.addresses) == found


@slow
@given(st.integers(0, 2**32), st.integers(0, 40), st.sampled_from(["www", "many", "huge"]))
def test_over_a_lossy_link(make_pair: Any, seed: int, percent: int, name: str) -> None:
    """The right addresses, or DnsTimeout; and in the end nothing is left over."""
    pair = make_pair(seed, loss=percent / 100, duplicate=0.05, reorder=0.05, jitter="1ms")
    try:
        found = resolve(pair, f"{name}.example.test", timeout="90s")
    except errors.DnsTimeout:
        assert percent
        found = []
    if name == "www" and found:
        assert found == ["10.0.0.7"]
    elif name == "many" and found:
        assert sorted(found) == MANY
    elif found:
        assert len(found) == 64
    pair.world.run("400s")
    assert [row["kind"] for row in pair.alice.stack.list_sockets()] == ["dns"]
    assert [row["kind"] for row in pair.bob.stack.list_sockets() if row["kind"] != "tcp"] == ["udp", "tcp-listener"]


def test_by_tcp_over_a_lossy_link(make_pair: Any) -> None:
    for seed in range(2):
        assert len(resolve(make_pair(seed, loss=0.1), "huge.example.test", timeout="60s")) == 64


@slow
@given(st.integers(0, 2**32), st.integers(0, 3000))
def test_a_snapshot_in_mid_query_goes_on_identically(make_pair: Any, seed: int, at: int) -> None:
    """By UDP and TCP, with losses, at any millisecond of it."""
    pair = make_pair(seed, loss=0.3)
    alice, world = pair.alice.stack, pair.world
    alice.dns_servers = ["10.0.0.2"]
    queries = [alice.dns.start_query(f"{name}.example.test") for name in ("www", "huge", "n7", "nobody")]
    world.run(at * 1_000_000)
    before, hashed = world.snapshot(), world.state_hash()

    def go_on() -> tuple[object, ...]:
        world.run("30s")
        results = [(query.done, list(query.addresses), repr(query.error)) for query in queries]
        return results, world.fingerprint(), world.state_hash()

    first = go_on()
    assert all(done for done, _, _ in first[0])
    world.restore(before)
    assert world.state_hash() == hashed
    assert go_on() == first


def test_back_to_before_there_was_a_client(pair: Any) -> None:
    before = pair.world.snapshot()
    assert resolve(pair) == ["10.0.0.7"]
    query = pair.alice.stack.dns.start_query("n1.example.test")
    pair.world.restore(before)
    assert isinstance(query.error, errors.DnsCancelled)
    assert pair.alice.stack.dns_servers == []
    assert resolve(pair) == ["10.0.0.7"]


def test_equal_worlds_ask_equally(make_pair: Any) -> None:
    def run(seed: int) -> str:
        pair = make_pair(seed)
        resolve(pair, "many.example.test", None)
        return pair.world.fingerprint()

    assert run(1) == run(1) != run(2)


def test_two_servers_one_of_which_is_no_more(pair: Any) -> None:
    other = DnsServer(pair.alice.stack, {"other.test": {"here": "10.0.0.99"}})
    pair.alice.stack.dns_servers = ["10.0.0.1", "10.0.0.2"]
    assert resolve(pair, "here.other.test") == ["10.0.0.99"], "a server on the same host"
    assert resolve(pair) == ["10.0.0.7"], "REFUSED there, and answered here"
    other.close()
    assert resolve(pair, "n1.example.test") == ["10.2.0.1"]
