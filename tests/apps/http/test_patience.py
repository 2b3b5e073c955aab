"""Clients that take their time: slow loris, silent ones, and those that read nothing. All on the host's clock."""

from typing import Any

import pytest

from motenet.apps.http import Pages
from motenet.core.units import SECOND
from motenet.stack.errors import ConnectionReset
from motenet.stack.sockets.tcp import TcpSocket
from tests.apps.http.lab import Lab

REQUEST = b"GET / HTTP/1.1\r\nHost: bob\r\n\r\n"


@pytest.fixture
def lab() -> Lab:
    return Lab(Pages({"/": b"hello", "/large": bytes(5_000_000)}))


def until_closed(lab: Any, socket: TcpSocket, say: bytes = b"") -> tuple[bytes, float]:
    """What the server says until it closes, and how long that takes, in s; each half second we say something."""
    began = lab.world.now
    said = bytearray()
    while socket.may_recv and lab.world.now < began + 300 * SECOND:
        if say and socket.may_send:
            socket.send(say)
        lab.world.run("500ms")
        said += socket.recv(1 << 20)
    return bytes(said), (lab.world.now - began) / SECOND


def test_rfc_9110_15_5_9_a_request_that_does_not_end_is_answered_with_408(lab: Any) -> None:
    """Slow loris: a byte each second keeps nothing open; the time counts from the first one."""
    socket = lab.connect()
    lab.world.run("5s")
    said, seconds = until_closed(lab, socket, b"G")
    assert seconds == 10.5
    assert said.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"\r\nConnection: close\r\n" in said
    assert lab.server.drops == {"request too slow": 1}
    socket.close()
    lab.world.run("1s")
    assert lab.server.connections == {}


def test_a_client_that_says_nothing_is_let_go_without_a_word(lab: Any) -> None:
    """RFC 9112, 9.5."""
    said, seconds = until_closed(lab, lab.connect())
    assert (said, seconds) == (b"", 10.5)
    assert lab.server.connections == {}


def test_rfc_9112_9_5_a_kept_connection_ends_when_nothing_more_is_asked(lab: Any) -> None:
    socket = lab.connect()
    for wait in ("59s", "59s", "1ms"):
        socket.send(REQUEST)
        lab.world.run(wait)
        assert socket.recv(1000).endswith(b"hello")
    said, seconds = until_closed(lab, socket)
    assert (said, seconds) == (b"", 60.0)
    assert (lab.server.requests, lab.server.connections, lab.server.drops) == (3, {}, {})


def test_the_next_request_on_a_kept_connection_has_the_time_of_the_first(lab: Any) -> None:
    socket = lab.connect()
    socket.send(REQUEST)
    lab.world.run("30s")
    socket.recv(1000)
    socket.send(REQUEST[:-1])
    said, seconds = until_closed(lab, socket)
    assert (said[:12], seconds) == (b"HTTP/1.1 408", 10.5)


def test_who_takes_nothing_of_an_answer_is_reset(lab: Any) -> None:
    socket = lab.connect()
    socket.send(REQUEST.replace(b"/", b"/large", 1))
    began = lab.world.now
    lab.world.run("1s")
    assert lab.server.connections
    lab.world.run("100s", until=lambda: not lab.server.connections)
    assert 30.0 <= (lab.world.now - began) / SECOND < 31.0
    assert lab.server.drops == {"client takes nothing": 1}
    lab.world.run("1s")
    socket.recv(1 << 20)
    with pytest.raises(ConnectionReset):
        socket.recv(1)


def test_who_takes_little_but_something_gets_all_of_it(lab: Any) -> None:
    socket = lab.connect()
    socket.send(REQUEST.replace(b"/", b"/large", 1))
    got = 0
    while got < 5_000_000:
        lab.world.run("20s")
        taken = len(socket.recv(1 << 20))
        assert taken
        got += taken
    assert lab.server.drops == {}


def test_who_does_not_close_after_the_last_answer_is_let_go(lab: Any) -> None:
    """RFC 9112, 9.6: the server reads on for a while, no longer."""
    socket = lab.connect()
    socket.send(b"POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 1000000\r\n\r\n")
    began = lab.world.now
    lab.world.run("1s")
    while lab.server.connections:
        socket.send(b"x") if socket.may_send else None
        lab.world.run("1s")
    assert 9 <= (lab.world.now - began) / SECOND <= 11


def test_limits_are_the_callers() -> None:
    lab = Lab(Pages({"/": b"hello"}), head_timeout="2s", idle_timeout="3s", limit=1)
    mute, waiting = lab.connect(), lab.connect()
    waiting.send(REQUEST)
    lab.world.run("1.9s")
    assert waiting.recv(1000) == b""
    lab.world.run("200ms")
    assert waiting.recv(1000).endswith(b"hello"), "the silent one has left its place"
    assert not mute.may_recv
    assert until_closed(lab, waiting)[1] == 3.0


def test_a_snapshot_carries_the_alarms(lab: Any) -> None:
    loris, reader, kept = lab.connect(), lab.connect(), lab.connect()
    loris.send(b"GET")
    reader.send(REQUEST.replace(b"/", b"/large", 1))
    kept.send(REQUEST)
    lab.world.run("5s")
    before = lab.world.snapshot()
    ends = []
    for _ in range(2):
        times = []
        while lab.server.connections:
            count = len(lab.server.connections)
            lab.world.run("100s", until=lambda count=count: len(lab.server.connections) < count)
            times.append(lab.world.now // SECOND)
        ends.append((times, dict(lab.server.drops), lab.world.fingerprint()))
        lab.world.restore(before)
    assert ends[0] == ends[1]
    assert len(ends[0][0]) == 3
    assert ends[0][1] == {"request too slow": 1, "client takes nothing": 1}
