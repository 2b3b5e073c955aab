"""LISTEN (RFC 9293, 3.10.7.2), and a backlog that is bounded."""

from types import SimpleNamespace

import pytest

from motenet.core.clock import Clock
from motenet.core.errors import ConfigurationError
from motenet.core.units import SECOND
from motenet.stack.errors import NotConnected, StackError
from motenet.stack.sockets.tcp import TcpListener

HERE = bytes((10, 0, 0, 2))


def listening(tcp: SimpleNamespace, backlog: int = 128) -> tuple[SimpleNamespace, TcpListener]:
    clock = Clock()
    sockets = tcp.Set(clock)
    listener = TcpListener(clock)
    sockets.add(listener)
    listener.listen(80, backlog=backlog)
    return sockets, listener


def send(tcp: SimpleNamespace, socket: object, text: str, port: int = 1024) -> str:
    reply = socket.process(0, tcp.A[0], HERE, tcp.segment(text, (tcp.A[0], port), tcp.B))  # type: ignore[attr-defined]
    return "" if reply is None else tcp.shown(reply)


def child(sockets: SimpleNamespace, number: int = 1) -> object:
    """The socket that came out of the `number`-th SYN, with 100 as its initial sequence number."""
    socket = sockets.sockets[f"sockets/{number}"]
    socket.sender.start(100)
    sent: list[object] = []
    socket.dispatch(0, lambda found: sent.append(found) or True)
    assert len(sent) == 1
    return socket


def test_a_syn_becomes_a_connection_and_the_listener_goes_on(tcp: SimpleNamespace) -> None:
    """MUST-41, MUST-42: a passive OPEN disturbs no other connection, and several share the port."""
    sockets, listener = listening(tcp)
    for number, port in enumerate((1024, 1025), 1):
        assert send(tcp, listener, "<SEQ=300><CTL=SYN>", port) == ""
        socket = child(sockets, number)
        assert (socket.state, socket.local, socket.remote) == ("SYN-RECEIVED", (HERE, 80), (tcp.A[0], port))
        assert socket.key == (HERE, 80, tcp.A[0], port)
    assert listener.accept() is None
    assert not listener.can_accept
    send(tcp, sockets.sockets["sockets/2"], "<SEQ=301><ACK=101><CTL=ACK>", 1025)
    assert listener.can_accept
    accepted = listener.accept()
    assert accepted is sockets.sockets["sockets/2"]
    assert listener.accept() is None
    send(tcp, accepted, "<SEQ=301><CTL=RST>", 1025)
    assert (accepted.state, accepted.orphan) == ("CLOSED", False), "it is its application's now"


def test_the_application_is_told_when_there_is_something_to_accept(tcp: SimpleNamespace) -> None:
    sockets, listener = listening(tcp)
    woken: list[bool] = []
    listener.waker = lambda: woken.append(listener.can_accept)
    send(tcp, listener, "<SEQ=300><CTL=SYN>")
    assert woken == []
    send(tcp, child(sockets), "<SEQ=301><ACK=101><CTL=ACK>")
    assert woken == [True]


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("<SEQ=300><CTL=RST>", ""),
        ("<SEQ=300><ACK=77><CTL=RST,ACK>", ""),
        ("<SEQ=300><ACK=77><CTL=ACK>", "<SEQ=77><ACK=0><CTL=RST>"),
        ("<SEQ=300><ACK=77><CTL=SYN,ACK>", "<SEQ=77><ACK=0><CTL=RST>"),
        ("<SEQ=300><CTL=FIN>", ""),
        ("<SEQ=300><CTL=PSH><DATA=5>", ""),
    ],
)
def test_3_10_7_2_what_is_no_syn_opens_nothing(tcp: SimpleNamespace, text: str, reply: str) -> None:
    sockets, listener = listening(tcp)
    assert send(tcp, listener, text) == reply
    assert len(sockets.sockets) == 1


def test_a_full_backlog_drops_syns_until_there_is_room(tcp: SimpleNamespace) -> None:
    sockets, listener = listening(tcp, backlog=2)
    for port in range(1024, 1030):
        assert send(tcp, listener, "<SEQ=300><CTL=SYN>", port) == ""
    assert len(sockets.sockets) == 3
    assert listener.drops == {"tcp-backlog-full": 4}
    send(tcp, child(sockets), "<SEQ=301><CTL=RST>")
    send(tcp, listener, "<SEQ=300><CTL=SYN>", 1030)
    assert len(sockets.sockets) == 4
    assert listener.drops == {"tcp-backlog-full": 4}


def test_rfc_4987_3_4_the_oldest_half_open_connection_makes_way(tcp: SimpleNamespace) -> None:
    """Once its peer has left an RTO unanswered; one that is established stays."""
    sockets, listener = listening(tcp, backlog=3)
    for port in (1024, 1025, 1026):
        send(tcp, listener, "<SEQ=300><CTL=SYN>", port)
    first, second, third = (child(sockets, number) for number in (1, 2, 3))
    send(tcp, first, "<SEQ=301><ACK=101><CTL=ACK>")
    for socket in (second, third):
        socket.dispatch(SECOND, lambda found: True)
    send(tcp, listener, "<SEQ=300><CTL=SYN>", 1027)
    assert [socket.state for socket in (first, second, third)] == ["ESTABLISHED", "CLOSED", "SYN-RECEIVED"]
    assert second.finished
    assert second.orphan
    assert listener.pending == ["sockets/1", "sockets/3", "sockets/4"]
    assert listener.drops == {"tcp-half-open": 1}


def test_must_11_a_reset_of_a_half_open_connection_is_not_reported(tcp: SimpleNamespace) -> None:
    sockets, listener = listening(tcp)
    send(tcp, listener, "<SEQ=300><CTL=SYN>")
    socket = child(sockets)
    send(tcp, socket, "<SEQ=301><CTL=RST>")
    assert socket.finished
    assert socket.orphan, "the set may forget it"
    assert listener.accept() is None
    assert listener.pending == []


def test_a_connection_that_the_peer_has_closed_can_still_be_accepted(tcp: SimpleNamespace) -> None:
    sockets, listener = listening(tcp)
    send(tcp, listener, "<SEQ=300><CTL=SYN>")
    send(tcp, child(sockets), "<SEQ=301><ACK=101><CTL=FIN,ACK><DATA=5>")
    accepted = listener.accept()
    assert accepted is not None
    assert accepted.state == "CLOSE-WAIT"
    assert accepted.recv(9) == tcp.stream(301, 5)


def test_closing_resets_what_was_not_accepted(tcp: SimpleNamespace) -> None:
    sockets, listener = listening(tcp)
    send(tcp, listener, "<SEQ=300><CTL=SYN>")
    socket = child(sockets)
    listener.close()
    assert listener.key is None
    assert listener.finished
    sent: list[object] = []
    socket.dispatch(0, lambda found: sent.append(tcp.shown(found)) or True)
    assert sent == ["<SEQ=101><ACK=301><CTL=RST,ACK>"]
    assert send(tcp, listener, "<SEQ=300><CTL=SYN>") == "<SEQ=0><ACK=301><CTL=RST,ACK>"


def test_a_listeners_state_goes_into_a_snapshot(tcp: SimpleNamespace) -> None:
    sockets, listener = listening(tcp)
    send(tcp, listener, "<SEQ=300><CTL=SYN>")
    send(tcp, child(sockets), "<SEQ=301><ACK=101><CTL=ACK>")
    fresh = TcpListener(Clock())
    fresh.load(listener.save())
    fresh.find = sockets.sockets.get
    assert fresh.key == listener.key
    assert fresh.accept() is sockets.sockets["sockets/1"]


def test_mistakes_of_the_caller(tcp: SimpleNamespace) -> None:
    listener = TcpListener(Clock())
    with pytest.raises(ConfigurationError, match="0 is not a port"):
        listener.listen(0)
    for backlog in (-1, True, "5"):
        with pytest.raises(ConfigurationError, match="backlog"):
            listener.listen(80, backlog=backlog)  # type: ignore[arg-type]
    listener.listen(80, backlog=0)
    assert listener.backlog == 1
    with pytest.raises(StackError, match="already"):
        listener.listen(81)
    with pytest.raises(NotConnected, match="set of sockets"):
        send(tcp, listener, "<SEQ=300><CTL=SYN>")
