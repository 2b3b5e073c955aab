"""The DNS server on a host of a world; dnspython's messages come over plain sockets."""

from typing import Any

import dns.flags
import dns.message
import pytest

from motenet.apps.dns import DnsServer, faults
from motenet.stack.errors import AddressInUse


def query(name: str, kind: str = "A", ident: int = 7, **more: Any) -> bytes:
    return dns.message.make_query(f"{name}.example.test", kind, id=ident, **more).to_wire()


def framed(*messages: bytes) -> bytes:
    return b"".join(len(message).to_bytes(2, "big") + message for message in messages)


def unframed(data: bytes) -> list[dns.message.Message]:
    messages = []
    while data:
        end = 2 + int.from_bytes(data[:2], "big")
        assert len(data) >= end, "whole messages only"
        messages.append(dns.message.from_wire(data[2:end]))
        data = data[end:]
    return messages


def by_udp(pair: Any, *messages: bytes, wait: str = "100ms") -> list[dns.message.Message]:
    socket = pair.alice.stack.udp_socket()
    for message in messages:
        socket.send_to(message, "10.0.0.2", 53)
    pair.world.run(wait)
    responses = []
    while (message := socket.receive()) is not None:
        assert (message.address, message.port) == (bytes((10, 0, 0, 2)), 53)
        responses.append(dns.message.from_wire(message.data))
    socket.close()
    return responses


def by_tcp(pair: Any, *pieces: bytes, close: bool = True) -> list[dns.message.Message]:
    socket = pair.alice.stack.tcp_connect("10.0.0.2", 53)
    for piece in pieces:
        socket.send(piece)
        pair.world.run("5ms")
    if close:
        socket.close()
    said = bytearray()
    for _ in range(200):
        pair.world.run("5ms")
        said += socket.recv(1 << 20)
        if not socket.may_recv:
            break
    socket.release()
    pair.world.run("30s")
    return unframed(bytes(said))


def addresses(response: dns.message.Message) -> list[str]:
    return [rdata.to_text() for rrset in response.answer for rdata in rrset if hasattr(rdata, "address")]


def test_by_udp(pair: Any) -> None:
    first, second = by_udp(pair, query("www"), query("n5", ident=8))
    assert (first.id, addresses(first)) == (7, ["10.0.0.7"])
    assert (second.id, addresses(second)) == (8, ["10.2.0.5"])
    assert pair.server.requests == 2


def test_rfc_2181_4_1_the_response_comes_from_where_the_query_went(pair: Any) -> None:
    pair.bob.stack.add_address("10.0.0.3/24")
    socket = pair.alice.stack.udp_socket()
    for delay in (None, faults.delay("20ms")):
        pair.server.fault = lambda request, delay=delay: delay
        for host in (2, 3):
            socket.send_to(query("www"), bytes((10, 0, 0, host)), 53)
            pair.world.run("100ms")
            message = socket.receive()
            assert message is not None
            assert message.address == bytes((10, 0, 0, host))


def test_records_keep_their_order(pair: Any) -> None:
    """dnspython's shuffling would make two equal worlds different."""
    (response,) = by_udp(pair, query("many", use_edns=0, payload=1232))
    assert addresses(response) == [f"10.1.0.{n}" for n in range(60)]


def test_rfc_1035_4_2_1_by_udp_what_is_long_is_truncated_and_by_tcp_it_is_not(pair: Any) -> None:
    (short,) = by_udp(pair, query("huge"))
    assert short.flags & dns.flags.TC
    (long,) = by_tcp(pair, framed(query("huge")))
    assert len(addresses(long)) == 2000
    assert not long.flags & dns.flags.TC


def test_rfc_7766_6_2_1_1_many_queries_on_one_connection(pair: Any) -> None:
    responses = by_tcp(pair, framed(*(query(f"n{n}", ident=n) for n in range(20))))
    assert [(one.id, addresses(one)) for one in responses] == [(n, [f"10.2.0.{n}"]) for n in range(20)]


def test_rfc_7766_8_a_message_may_come_in_pieces(pair: Any) -> None:
    whole = framed(query("www"), query("n1"))
    responses = by_tcp(pair, whole[:1], whole[1:20], whole[20:40], whole[40:])
    assert [addresses(one) for one in responses] == [["10.0.0.7"], ["10.2.0.1"]]


def test_a_peer_that_does_not_read_is_not_read_from(pair: Any) -> None:
    """What it asks for is answered once it takes the responses: one waits, the others are not made."""
    pair.server.fault = lambda request: lambda data: [(0, bytes(60_000))]
    socket = pair.alice.stack.tcp_connect("10.0.0.2", 53)
    socket.send(framed(*[query("www")] * 40))
    pair.world.run("1s")
    (connection,) = pair.server.connections.values()
    assert 0 < len(connection.out) <= 60_002
    assert pair.server.requests < 20
    taken = 0
    for _ in range(100):
        taken += len(socket.recv(1 << 20))
        pair.world.run("10ms")
    assert taken == 40 * 60_002


def test_connections_come_and_go(pair: Any) -> None:
    by_tcp(pair, framed(query("www")), b"\0", close=True)
    by_tcp(pair, framed(b""), framed(b"x" * 5))
    socket = pair.alice.stack.tcp_connect("10.0.0.2", 53)
    pair.world.run("10ms")
    assert len(pair.server.connections) == 1
    socket.abort()
    pair.world.run("10ms")
    assert pair.server.connections == {}
    assert pair.server.drops == {"dns-no-query": 2}
    kinds = [row["kind"] for row in pair.bob.stack.list_sockets()]
    assert kinds == ["udp", "tcp-listener"]


def test_rfc_7766_6_2_2_so_many_connections_at_a_time(make_pair: Any) -> None:
    pair = make_pair()
    pair.server.limit = 2
    sockets = [pair.alice.stack.tcp_connect("10.0.0.2", 53) for _ in range(3)]
    pair.world.run("100ms")
    assert len(pair.server.connections) == 2
    assert [socket.may_recv for socket in sockets] == [False, True, True], "the quiet one makes room"


def test_what_is_no_query_is_counted(pair: Any) -> None:
    assert by_udp(pair, b"", b"\0" * 11, query("www")[:2] + b"\x80" + bytes(9)) == []
    assert pair.server.drops == {"dns-no-query": 3}


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        (faults.right, [(7, 0, False, ["10.0.0.7"])]),
        (faults.drop, []),
        (faults.twice, [(7, 0, False, ["10.0.0.7"])] * 2),
        (faults.rcode(5), [(7, 5, False, [])]),
        (faults.truncate, [(7, 0, True, [])]),
        (faults.wrong_ident, [(7 | 0x5500, 0, False, ["10.0.0.7"])]),
        (faults.wrong_question, [(7, 0, False, ["10.0.0.7"])]),
        (faults.small_letters, [(7, 0, False, ["10.0.0.7"])]),
    ],
)
def test_faults(pair: Any, fault: faults.Fault, seen: list[tuple[int, int, bool, list[str]]]) -> None:
    requests: list[faults.Request] = []
    pair.server.fault = lambda request: requests.append(request) or fault
    data = dns.message.make_query("WWW.example.test", "A", id=7).to_wire()
    responses = by_udp(pair, data)
    assert [(r.id, r.rcode(), bool(r.flags & dns.flags.TC), addresses(r)) for r in responses] == seen
    names = {faults.wrong_question: "VWW.example.test.", faults.small_letters: "www.example.test."}
    for response in responses:
        assert response.question[0].name.to_text() == names.get(fault, "WWW.example.test.")
    assert [(request.number, request.name, request.by_tcp) for request in requests] == [(0, "www.example.test", False)]


def test_a_delay_by_udp_and_by_tcp(pair: Any) -> None:
    pair.server.fault = lambda request: faults.delay("2s") if request.name == "n1.example.test" else None
    assert [addresses(one) for one in by_udp(pair, query("n1"), query("n2"), wait="1.9s")] == [["10.2.0.2"]]
    assert [addresses(one) for one in by_udp(pair, query("n1"), wait="2.1s")] == [["10.2.0.1"]]
    socket = pair.alice.stack.tcp_connect("10.0.0.2", 53)
    socket.send(framed(query("n1"), query("n2")))
    socket.close()
    pair.world.run("1s")
    assert [addresses(one) for one in unframed(socket.recv(9999))] == [["10.2.0.2"]], "RFC 7766, 7: in any order"
    pair.world.run("2s")
    assert [addresses(one) for one in unframed(socket.recv(9999))] == [["10.2.0.1"]]
    assert not socket.may_recv


def test_a_snapshot_carries_connections_and_what_is_delayed(pair: Any) -> None:
    pair.server.fault = lambda request: faults.delay("2s")
    socket = pair.alice.stack.tcp_connect("10.0.0.2", 53)
    datagrams = pair.alice.stack.udp_socket()
    datagrams.send_to(query("n3"), "10.0.0.2", 53)
    socket.send(framed(query("n1"), query("n2"))[:-5])
    pair.world.run("1s")
    before = pair.world.snapshot()

    def go_on() -> tuple[object, ...]:
        socket.send(framed(query("n2"))[-5:])
        pair.world.run("5s")
        said, message = unframed(socket.recv(9999)), datagrams.receive()
        return [addresses(one) for one in said], message and message.data, pair.world.fingerprint()

    first = go_on()
    assert first[0] == [["10.2.0.1"], ["10.2.0.2"]]
    socket.abort()
    pair.world.run("1s")
    assert pair.server.connections == {}
    pair.world.restore(before)
    assert go_on() == first


def test_a_closed_server_is_gone(pair: Any) -> None:
    with pytest.raises(AddressInUse):
        DnsServer(pair.bob.stack, {})
    socket = pair.alice.stack.tcp_connect("10.0.0.2", 53)
    pair.world.run("10ms")
    pair.server.close()
    pair.world.run("10ms")
    assert not socket.may_recv
    socket.release()
    pair.world.run("60s")
    assert pair.bob.stack.list_sockets() == []
    DnsServer(pair.bob.stack, {})
