"""HTTP between two emulated hosts. Python's own http.client reads what our server says; raw bytes are odd peers."""

import random
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motenet.apps.http import (
    BadResponse,
    BadStatus,
    Folder,
    HttpError,
    Pages,
    Site,
)
from motenet.core.errors import ConfigurationError
from motenet.core.trace import Changed, Dropped, Event
from motenet.stack.errors import ConnectionRefused, ConnectionReset, HostUnreachable
from motenet.stack.sockets.tcp import TcpSocket
from tests.apps.http.lab import Lab, parse

PAGES = {"/": b"<p>home", "/hello.txt": b"hello", "/empty": b"", "/large": random.Random(1).randbytes(700_000)}


class Pair(Lab):
    """bob serves PAGES unless told otherwise."""

    def __init__(self, site: Site | None = None, **options: Any) -> None:
        super().__init__(site or Pages(PAGES), **options)


# --- both of ours


@pytest.mark.parametrize("path", ["/", "/hello.txt", "/empty", "/large"])
def test_a_page_arrives_as_it_is(path: str) -> None:
    pair = Pair()
    response = pair.get(f"http://10.0.0.2{path}")
    assert (response.status, response.reason) == (200, "OK")
    assert response.result() == PAGES[path]
    assert response.header("Content-Length") == str(len(PAGES[path]))
    assert (pair.server.requests, pair.server.bytes) == (1, len(PAGES[path]))


def test_files_of_a_folder_arrive(tmp_path: Path) -> None:
    content = random.Random(2).randbytes(300_001)
    (tmp_path / "a file.bin").write_bytes(content)
    pair = Pair(Folder(tmp_path))
    assert pair.get("http://10.0.0.2/a%20file.bin").result() == content
    assert b"a%20file.bin" in pair.get("http://10.0.0.2/").result()
    with pytest.raises(BadStatus, match="404 Not Found") as error:
        pair.get("http://10.0.0.2/../a%20file.bin%2f..").result()
    assert error.value.status == 404


def test_many_at_a_time() -> None:
    pair = Pair()
    responses = [pair.client.get("http://10.0.0.2/large") for _ in range(12)]
    pair.wait(lambda: all(response.done for response in responses))
    assert {response.result() for response in responses} == {PAGES["/large"]}
    pair.world.run("60s")
    assert not pair.server.connections
    assert not pair.client.responses


def test_a_sink_takes_the_body_and_progress_is_told() -> None:
    pair = Pair()
    pieces: list[bytes] = []
    told: list[tuple[int, int | None]] = []
    response = pair.client.get("http://10.0.0.2/large", sink=pieces.append, progress=lambda *how: told.append(how))
    pair.wait(lambda: response.done)
    assert b"".join(pieces) == PAGES["/large"]
    assert response.result() == b""
    assert told[-1] == (700_000, 700_000)
    assert told == sorted(told)


def test_each_request_is_an_event_for_those_who_watch() -> None:
    pair = Pair()
    events: list[Event] = []
    pair.world.watch(events.append, pair.server)
    pair.get("http://10.0.0.2/hello.txt?x=1")
    assert [event.detail for event in events if isinstance(event, Changed)] == ["GET /hello.txt?x=1: 200, 5 bytes"]


def test_a_request_is_told_when_its_answer_is_sent_with_the_bytes_that_were() -> None:
    pair = Pair()
    told: list[str] = []
    pair.world.watch(lambda event: told.append(event.detail) if isinstance(event, Changed) else None, pair.server)
    response = pair.client.get("http://10.0.0.2/large")
    pair.wait(lambda: response.received > 0)
    assert told == []
    pair.wait(lambda: response.done)
    assert told == ["GET /large: 200, 700000 bytes"]
    pair.raw(b"HEAD /large HTTP/1.1\r\nHost: b\r\n\r\n", close=True)
    assert told[1:] == ["HEAD /large: 200, 0 bytes"]
    response = pair.client.get("http://10.0.0.2/large")
    pair.wait(lambda: response.received > 0)
    response.cancel()
    pair.world.run("100ms")
    match = re.fullmatch(r"GET /large: 200, (\d+) bytes before the connection ended", told[2])
    assert match is not None
    assert response.received <= int(match[1]) < 700_000


# --- our server, other clients


def test_head_has_the_length_and_no_body() -> None:
    """RFC 9110, 9.3.2."""
    said = Pair().raw(b"HEAD /large HTTP/1.1\r\nHost: bob\r\nConnection: close\r\n\r\n")
    response, body = parse(said, "HEAD")
    assert (response.status, response.headers["Content-Length"], body) == (200, "700000", b"")
    assert said.endswith(b"\r\n\r\n")


def test_a_connection_is_kept_for_requests_one_after_the_other_and_pipelined() -> None:
    """RFC 9112, 9.3 and 9.3.2: answers come in the order of the requests, on one connection."""
    request = b"GET /hello.txt HTTP/1.1\r\nHost: bob\r\n\r\n"
    pair = Pair()
    said = pair.raw(request, request, request + request + b"GET /nothing HTTP/1.1\r\nHost: bob\r\n\r\n" + request)
    assert said.count(b"HTTP/1.1 200 OK") == 5
    assert said.count(b"\r\n\r\nhello") == 5
    assert said.index(b"404 Not Found") > 0
    assert pair.server.requests == 6


def test_a_request_may_come_byte_by_byte() -> None:
    request = b"GET /hello.txt HTTP/1.1\r\nHost: bob\r\nConnection: close\r\n\r\n"
    response, body = parse(Pair().raw(*(request[i : i + 1] for i in range(len(request)))))
    assert (response.status, body) == (200, b"hello")


def test_http_1_0_gets_an_answer_and_the_end() -> None:
    """RFC 9112, 9.3: without keep-alive, a connection of HTTP/1.0 ends with the answer."""
    response, body = parse(Pair().raw(b"GET http://bob/hello.txt HTTP/1.0\r\n\r\n"))
    assert (response.status, body) == (200, b"hello")
    assert response.headers["Connection"] == "close"
    assert response.headers["Content-Type"] == "text/plain"
    assert "Date" not in response.headers, "RFC 9110, 6.6.1: a server without a clock sends none"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"DELETE / HTTP/1.1\r\nHost: b\r\n\r\n", 405),
        (b"OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n", 405),
        (b"CONNECT b:80 HTTP/1.1\r\nHost: b\r\n\r\nabc", 405),
        (b"HEAD / HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\nabc", 413),
        (b"GET / HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\nabc", 413),
        (b"GET / HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # RFC 9112, 3.2: no Host
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # TLS
        (b"GET /" + b"x" * 70_000, 431),
        (b"GET / HTTP/1.1\r\nHost: b\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
    ],
)
def test_what_is_not_served_is_refused_and_the_connection_ends(request_: bytes, status: int) -> None:
    pair = Pair()
    response, _ = parse(pair.raw(request_), request_.partition(b" ")[0].decode("latin-1"))
    assert (response.status, response.headers["Connection"]) == (status, "close")
    if status == 405:
        assert response.headers["Allow"] == "GET, HEAD", "RFC 9110, 15.5.6"
    assert not pair.server.connections


def test_what_is_no_http_is_told_as_text() -> None:
    pair = Pair()
    told: list[str] = []
    pair.world.watch(lambda event: told.append(event.detail) if isinstance(event, Dropped) else None, pair.server)
    pair.raw(b"G\xffT / FOO\r\n\r\n")
    assert told == [r"illegal request line: 'G\xffT / FOO'"]


def test_a_directory_without_its_slash_leads_to_itself(tmp_path: Path) -> None:
    """RFC 9110, 15.4.2; the connection is kept."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x").write_bytes(b"x")
    pair = Pair(Folder(tmp_path))
    request = b"GET /sub HTTP/1.1\r\nHost: bob\r\n\r\n"
    said = pair.raw(request + request)
    assert said.count(b"301 Moved Permanently\r\n") == 2
    assert parse(said)[0].headers["Location"] == "/sub/"
    with pytest.raises(BadStatus, match="301 Moved Permanently; it is at /sub/"):
        pair.get("http://10.0.0.2/sub").result()
    assert b"/sub/x" in pair.get("http://10.0.0.2/sub/").result()


def test_an_offer_to_switch_protocols_is_passed_over() -> None:
    """RFC 9110, 7.8: a server may ignore it."""
    request = b"GET /hello.txt HTTP/1.1\r\nHost: b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert Pair().raw(request + request).count(b"\r\n\r\nhello") == 2


def test_idle_connections_make_room_when_there_are_too_many() -> None:
    pair = Pair(limit=3)
    kept = [pair.alice.stack.tcp_connect("10.0.0.2", 80) for _ in range(3)]
    for socket in reversed(kept):
        socket.send(b"GET /hello.txt HTTP/1.1\r\nHost: b\r\n\r\n")
        pair.world.run("20ms")
    assert pair.get("http://10.0.0.2/hello.txt").result() == b"hello"
    pair.world.run("10ms")
    assert b"hello" in kept[2].recv(1000)
    assert [socket.may_recv for socket in kept] == [True, True, False]
    assert pair.server.drops == {"idle connection closed": 1}


def test_who_never_asks_makes_room_after_a_while() -> None:
    pair = Pair(limit=2)
    mute = [pair.alice.stack.tcp_connect("10.0.0.2", 80) for _ in range(2)]
    mute[0].send(b"GET / HT")
    pair.world.run("9s")
    response = pair.client.get("http://10.0.0.2/hello.txt")
    pair.world.run("500ms")
    assert not response.done
    pair.world.run("1s")
    assert pair.get("http://10.0.0.2/hello.txt").result() == b"hello"
    pair.wait(lambda: response.done)
    assert response.result() == b"hello"


def test_where_all_are_busy_the_next_one_waits() -> None:
    pair = Pair(limit=2)
    responses = [pair.client.get("http://10.0.0.2/large") for _ in range(5)]
    while not all(response.done for response in responses):
        pair.world.run("1ms")
        assert len(pair.server.connections) <= 2
    assert {response.result() for response in responses} == {PAGES["/large"]}


def test_a_file_that_shrinks_while_it_is_sent_ends_in_a_reset(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(2_000_000))
    pair = Pair(Folder(tmp_path))
    response = pair.client.get("http://10.0.0.2/file")
    pair.wait(lambda: response.received > 0)
    (tmp_path / "file").write_bytes(b"")
    pair.wait(lambda: response.done)
    with pytest.raises(ConnectionReset):
        response.result()
    assert pair.server.drops == {"resource truncated": 1}


def test_closing_the_server_ends_its_connections() -> None:
    pair = Pair()
    response = pair.client.get("http://10.0.0.2/large")
    pair.wait(lambda: response.received > 0)
    pair.server.close()
    pair.wait(lambda: response.done)
    with pytest.raises((BadResponse, ConnectionReset)):
        response.result()
    with pytest.raises(ConnectionRefused):
        pair.get("http://10.0.0.2/hello.txt").result()


# --- our client, other servers


def test_a_chunked_body_is_put_together() -> None:
    """RFC 9112, 7.1."""
    response = Pair().peer(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"lo\r\n",
        b"1;x=y\r\n!\r\n0\r\n\r\n",
        close=False,
    )
    assert response.result() == b"hello!"
    assert response.length is None


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    """RFC 9112, 6.3, 8."""
    response = Pair().peer(b"HTTP/1.0 200 OK\r\n\r\nhel", b"lo")
    assert (response.result(), response.length) == (b"hello", None)


def test_informational_answers_come_before_the_real_one() -> None:
    """RFC 9110, 15.2."""
    response = Pair().peer(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
    assert (response.status, response.result()) == (200, b"x")


@pytest.mark.parametrize(
    "pieces",
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",),
        (b"HTTP/1.1 200",),
        (),
    ],
)
def test_an_answer_that_is_no_http_or_not_whole_is_a_bad_response(pieces: tuple[bytes, ...]) -> None:
    response = Pair().peer(*pieces)
    assert response.done
    with pytest.raises(BadResponse, match=r"http://10\.0\.0\.2:8080/"):
        response.result()


def test_nobody_there_is_an_error_of_the_stack() -> None:
    pair = Pair()
    with pytest.raises(ConnectionRefused):
        pair.get("http://10.0.0.2:81/").result()


@pytest.mark.parametrize("address", ["10.0.0.9", "10.0.0.1"])
def test_a_neighbor_that_does_not_answer_is_told_soon(address: str) -> None:
    """RFC 1122, 2.3.2.1 and 2.4: address resolution fails after some seconds, and the transport hears of it."""
    pair = Pair()
    response = pair.client.get(f"http://{address}/")
    pair.world.run("10s", until=lambda: response.done)
    with pytest.raises((HostUnreachable, ConnectionRefused), match="address"):
        response.result()


def test_what_was_given_up_says_how_far_it_was() -> None:
    pair = Pair()
    pair.bob.stack.tcp_listen(8080)
    for url, standing in (
        ("http://10.0.0.9/", "10.0.0.9 port 80 has not answered"),
        ("http://10.0.0.2:8080/", "connected, but the server has not answered"),
    ):
        response = pair.client.get(url)
        pair.world.run("100ms")
        response.cancel()
        with pytest.raises(HttpError, match=f"{url} was given up: {standing}"):
            response.result()
    response = pair.client.get("http://10.0.0.2/large")
    pair.wait(lambda: response.received > 0)
    response.cancel()
    with pytest.raises(HttpError, match=f"given up: {response.received} of 700000 bytes have come"):
        response.result()


def test_a_response_can_be_given_up() -> None:
    pair = Pair()
    response = pair.client.get("http://10.0.0.2/large")
    with pytest.raises(HttpError, match="on its way"):
        response.result()
    pair.wait(lambda: response.received > 0)
    response.cancel()
    with pytest.raises(HttpError, match="given up"):
        response.result()
    pair.world.run("100ms")
    assert not pair.server.connections


@pytest.mark.parametrize(
    "url",
    ["10.0.0.2/file", "https://10.0.0.2/", "http:///x", "http://10.0.0.2:99999/", "http://a@10.0.0.2/",
     "http://[::1]/x", "http://10.0.0.2:0/", "http://0.0.0.0/", "http://255.255.255.255/",
     "http://10.0.0.2/ä", "http://10.0.0.2/a b", "http://10.0.0/", "http://[::1/"],
)  # fmt: skip
def test_an_url_that_cannot_be_asked_for_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Pair().client.get(url)


# --- snapshots


def test_a_snapshot_in_the_middle_of_a_file_goes_on_alike(tmp_path: Path) -> None:
    """At random points of a transfer with loss, from a folder: the same bytes, the same fingerprint."""
    (tmp_path / "large").write_bytes(PAGES["/large"])
    pair = Pair(Folder(tmp_path), loss=0.02)
    response = pair.client.get("http://10.0.0.2/large")
    draw = random.Random(5)
    points = []
    for part in sorted(draw.randrange(700_000) for _ in range(8)):
        pair.wait(lambda part=part: response.received > part or response.done)  # type: ignore[misc]
        points.append((pair.world.snapshot(), pair.world.state_hash(), response.received))
    pair.wait(lambda: response.done)
    pair.world.run("1s")
    ends = pair.world.fingerprint(), pair.world.state_hash()
    assert response.result() == PAGES["/large"]
    draw.shuffle(points)
    for snapshot, before, received in points:
        pair.world.restore(snapshot)
        assert pair.world.state_hash() == before
        assert response.received == received, "the response that the test holds is the same one again"
        pair.wait(lambda: response.done)
        pair.world.run("1s")
        assert response.result() == PAGES["/large"]
        assert (pair.world.fingerprint(), pair.world.state_hash()) == ends


@pytest.mark.parametrize("cut", [1, 20, 45, 60, 100])
def test_a_snapshot_at_any_point_of_a_pipelined_request_goes_on_alike(cut: int) -> None:
    pair = Pair()
    request = (
        b"GET /hello.txt HTTP/1.1\r\nHost: bob\r\n\r\nHEAD /large HTTP/1.1\r\nHost: bob\r\nConnection: close\r\n\r\n"
    )
    socket = pair.alice.stack.tcp_connect("10.0.0.2", 80)
    socket.send(request[:cut])
    pair.world.run("5ms")
    snapshot = pair.world.snapshot()
    said = [finish(pair, socket, request[cut:])]
    pair.world.restore(snapshot)
    said.append(finish(pair, socket, request[cut:]))
    assert said[0] == said[1]
    assert said[0].count(b"HTTP/1.1 200 OK") == 2


def finish(pair: Pair, socket: TcpSocket, rest: bytes) -> bytes:
    socket.send(rest)
    pair.world.run("50ms")
    return socket.recv(1 << 20)


def test_a_chunked_answer_survives_a_snapshot() -> None:
    pair = Pair()
    response = pair.peer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", close=False)
    snapshot = pair.world.snapshot()
    pair.world.restore(snapshot)
    (socket,) = (s for _, s in pair.bob.stack.sockets if isinstance(s, TcpSocket))
    socket.send(b"lo\r\n0\r\n\r\n")
    pair.wait(lambda: response.done)
    assert response.result() == b"hello"


# --- anything at all

words = st.sampled_from(
    [b"GET", b" ", b"/", b"HTTP/1.1", b"\r\n", b"Host: b", b"\r\n\r\n", b"Content-Length:", b"5", b"\0"]
)
anything = st.lists(words | st.binary(max_size=20), max_size=12).map(b"".join)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(anything, min_size=1, max_size=3))
def test_whatever_a_client_sends_the_server_goes_on_serving(pieces: list[bytes]) -> None:
    pair = Pair()
    said = pair.raw(*pieces, close=True)
    assert not said or said.startswith(b"HTTP/1.1 ")
    assert not pair.server.connections
    assert pair.get("http://10.0.0.2/hello.txt").result() == b"hello"


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(anything, max_size=3), st.booleans())
def test_whatever_a_server_says_the_client_ends_with_a_result_or_an_error(pieces: list[bytes], http: bool) -> None:
    response = Pair().peer(*([b"HTTP/1.1 200 OK\r\n"] if http else []), *pieces)
    assert response.done
    with suppress(HttpError, ConnectionReset):
        assert isinstance(response.result(), bytes)


@pytest.mark.parametrize(
    "request_", [b"GET /hello.txt HTTP/1.0\r\n\r\n", b"GET /hello.txt HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n"]
)
def test_rfc_9112_9_6_the_server_closes_after_the_answer_when_it_is_to(request_: bytes) -> None:
    pair = Pair()
    socket = pair.alice.stack.tcp_connect("10.0.0.2", 80)
    socket.send(request_)
    pair.world.run("1s")
    assert socket.recv(1 << 20).startswith(b"HTTP/1.1 200")
    assert not socket.may_recv
    socket.close()
    pair.world.run("1s")
    assert pair.server.connections == {}
