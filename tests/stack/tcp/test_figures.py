"""The figures of RFC 9293, played as they are printed: 6 to 8 (3.5), 9 to 11 (3.5.1), 12 and 13 (3.6)."""

from types import SimpleNamespace

from motenet.core.units import SECOND
from motenet.stack.sockets.tcp import reset_reply


def test_figure_6_basic_three_way_handshake(tcp: SimpleNamespace) -> None:
    diagram = tcp.Diagram()
    diagram.connect("a")
    diagram.play("""
        SYN-SENT    --> <SEQ=100><CTL=SYN>               --> SYN-RECEIVED
        ESTABLISHED <-- <SEQ=300><ACK=101><CTL=SYN,ACK>  <-- SYN-RECEIVED
        ESTABLISHED --> <SEQ=101><ACK=301><CTL=ACK>      --> ESTABLISHED
    """)
    diagram.quiet()
    assert diagram.a.send(b"DATA") == 4
    diagram.play("ESTABLISHED --> <SEQ=101><ACK=301><CTL=ACK><DATA=DATA> --> ESTABLISHED")
    assert diagram.b.recv(100) == b"DATA"


def test_figure_7_simultaneous_connection_synchronization(tcp: SimpleNamespace) -> None:
    """MUST-10."""
    diagram = tcp.Diagram()
    diagram.connect("a")
    diagram.connect("b")
    diagram.play("""
        SYN-SENT     --> <SEQ=100><CTL=SYN>              ...
        SYN-RECEIVED <-- <SEQ=300><CTL=SYN>              <-- SYN-SENT
                     ... <SEQ=100><CTL=SYN>              --> SYN-RECEIVED
        SYN-RECEIVED --> <SEQ=100><ACK=301><CTL=SYN,ACK> ...
        ESTABLISHED  <-- <SEQ=300><ACK=101><CTL=SYN,ACK> <-- SYN-RECEIVED
                     ... <SEQ=100><ACK=301><CTL=SYN,ACK> --> ESTABLISHED
    """)
    diagram.quiet()


def test_figure_8_recovery_from_old_duplicate_syn(tcp: SimpleNamespace) -> None:
    talk = tcp.Conversation()
    talk.connect()
    talk.recv("<SEQ=100><CTL=SYN>")
    assert talk.send("<SEQ=300><ACK=91><CTL=SYN,ACK>") == "<SEQ=91><ACK=0><CTL=RST>"
    assert talk.tcp.state == "SYN-SENT"
    talk.send("<SEQ=400><ACK=101><CTL=SYN,ACK>")
    talk.recv("<SEQ=101><ACK=401><CTL=ACK>")
    assert talk.tcp.state == "ESTABLISHED"


def test_figure_8_peer_b_returns_to_listen(tcp: SimpleNamespace) -> None:
    talk = tcp.Conversation()
    talk.listen("<SEQ=90><CTL=SYN>")
    talk.recv("<SEQ=100><ACK=91><CTL=SYN,ACK>")
    assert talk.send("<SEQ=91><CTL=RST>") == ""
    assert talk.tcp.state == "CLOSED"  # the listener has never left LISTEN
    talk.recv()


def test_figure_9_half_open_connection_discovery(tcp: SimpleNamespace) -> None:
    """A has lost its memory and connects anew; B (send 300, receive 100) challenges, and is reset."""
    a, b = tcp.Conversation(), tcp.Conversation()
    a.tcp.connect(tcp.B, tcp.A)
    a.tcp.sender.start(400)
    a.recv("<SEQ=400><CTL=SYN>")
    b.connect()
    b.tcp.sender.start(299)
    b.take()
    b.send("<SEQ=99><ACK=300><CTL=SYN,ACK>")
    b.recv("<SEQ=300><ACK=100><CTL=ACK>")
    assert b.send("<SEQ=400><CTL=SYN>") == "<SEQ=300><ACK=100><CTL=ACK>"
    assert a.send("<SEQ=300><ACK=100><CTL=ACK>") == "<SEQ=100><ACK=0><CTL=RST>"
    assert b.send("<SEQ=100><CTL=RST>") == ""
    assert (a.tcp.state, b.tcp.state) == ("SYN-SENT", "CLOSED")
    assert isinstance(b.tcp.error, ConnectionResetError)  # MUST-12
    a.wait(SECOND)
    a.recv("<SEQ=400><CTL=SYN>")


def test_figure_10_active_side_causes_half_open_connection_discovery(tcp: SimpleNamespace) -> None:
    reply = reset_reply(tcp.segment("<SEQ=300><ACK=100><CTL=ACK><DATA=10>", tcp.B, tcp.A))
    assert reply is not None
    assert tcp.shown(reply) == "<SEQ=100><ACK=0><CTL=RST>"


def test_figure_11_old_duplicate_syn_initiates_a_reset_on_two_passive_sockets(tcp: SimpleNamespace) -> None:
    reply = reset_reply(tcp.segment("<SEQ=7000><ACK=91><CTL=SYN,ACK>", tcp.B, tcp.A))
    assert reply is not None
    assert tcp.shown(reply) == "<SEQ=91><ACK=0><CTL=RST>"


def test_figure_12_normal_close_sequence(tcp: SimpleNamespace) -> None:
    diagram = established(tcp)
    diagram.a.close()
    diagram.play("""
        FIN-WAIT-1  --> <SEQ=101><ACK=301><CTL=FIN,ACK>  --> CLOSE-WAIT
        FIN-WAIT-2  <-- <SEQ=301><ACK=102><CTL=ACK>      <-- CLOSE-WAIT
    """)
    diagram.b.close()
    diagram.play("""
        TIME-WAIT   <-- <SEQ=301><ACK=102><CTL=FIN,ACK>  <-- LAST-ACK
        TIME-WAIT   --> <SEQ=102><ACK=302><CTL=ACK>      --> CLOSED
    """)
    diagram.quiet()
    assert diagram.a.poll_at(0) == diagram.a.time_wait  # 2 MSL
    diagram.clock.now = diagram.a.time_wait
    diagram.quiet()
    assert diagram.a.state == "CLOSED"
    assert diagram.a.error is None


def test_figure_13_simultaneous_close_sequence(tcp: SimpleNamespace) -> None:
    diagram = established(tcp)
    diagram.a.close()
    diagram.b.close()
    diagram.play("""
        FIN-WAIT-1  --> <SEQ=101><ACK=301><CTL=FIN,ACK>  ... FIN-WAIT-1
        CLOSING     <-- <SEQ=301><ACK=101><CTL=FIN,ACK>  <--
                    ... <SEQ=101><ACK=301><CTL=FIN,ACK>  --> CLOSING
        CLOSING     --> <SEQ=102><ACK=302><CTL=ACK>      ... CLOSING
        TIME-WAIT   <-- <SEQ=302><ACK=102><CTL=ACK>      <--
                    ... <SEQ=102><ACK=302><CTL=ACK>      --> TIME-WAIT
    """)
    diagram.quiet()
    diagram.clock.now = diagram.a.time_wait
    diagram.quiet()
    assert (diagram.a.state, diagram.b.state) == ("CLOSED", "CLOSED")


def established(tcp: SimpleNamespace) -> "object":
    diagram = tcp.Diagram()
    diagram.connect("a")
    diagram.play("""
        SYN-SENT    --> <SEQ=100><CTL=SYN>               --> SYN-RECEIVED
        ESTABLISHED <-- <SEQ=300><ACK=101><CTL=SYN,ACK>  <-- SYN-RECEIVED
        ESTABLISHED --> <SEQ=101><ACK=301><CTL=ACK>      --> ESTABLISHED
    """)
    return diagram
