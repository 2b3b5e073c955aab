"""Ending a connection: RFC 9293, 3.6, 3.10.4, 3.10.5 and 3.10.7.4; resets and challenges (RFC 5961); ICMP (3.9.2.2)."""

from types import SimpleNamespace

import pytest

from motenet.core.units import MS, SECOND
from motenet.stack.sockets.tcp import State, TcpListener, TcpSocket, reset_reply
from motenet.stack.sockets.tcp.handshake import initial_sequence
from motenet.stack.sockets.tcp.timers import KEEP_ALIVE

SYNCHRONIZED = [state for state in State if state not in (State.CLOSED, State.SYN_SENT, State.SYN_RECEIVED)]
OPEN = [State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSE_WAIT]


def numbers(talk: SimpleNamespace) -> tuple[int, int]:
    """SND.NXT and RCV.NXT."""
    return talk.tcp.sender.max, talk.tcp.receiver.nxt


# --- CLOSED (3.10.7.1) ---


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("<SEQ=300><CTL=SYN>", "<SEQ=0><ACK=301><CTL=RST,ACK>"),
        ("<SEQ=300><CTL=SYN,FIN><DATA=5>", "<SEQ=0><ACK=307><CTL=RST,ACK>"),
        ("<SEQ=4294967295><CTL=SYN>", "<SEQ=0><ACK=0><CTL=RST,ACK>"),
        ("<SEQ=300><ACK=77><CTL=ACK><DATA=5>", "<SEQ=77><ACK=0><CTL=RST>"),
        ("<SEQ=300><CTL=RST>", ""),
        ("<SEQ=300><ACK=77><CTL=RST,ACK>", ""),
    ],
)
def test_a_segment_without_connection_is_reset_unless_it_is_a_reset(
    tcp: SimpleNamespace, text: str, reply: str
) -> None:
    found = reset_reply(tcp.segment(text, tcp.B, tcp.A))
    assert ("" if found is None else tcp.shown(found)) == reply
    assert tcp.Conversation().send(text) == reply


# --- CLOSE (3.10.4) ---


@pytest.mark.parametrize(
    ("state", "after", "sends"),
    [
        (State.CLOSED, State.CLOSED, []),
        (State.SYN_SENT, State.CLOSED, []),
        (State.ESTABLISHED, State.FIN_WAIT_1, ["<SEQ=101><ACK=301><CTL=FIN,ACK>"]),
        (State.FIN_WAIT_1, State.FIN_WAIT_1, []),
        (State.FIN_WAIT_2, State.FIN_WAIT_2, []),
        (State.CLOSE_WAIT, State.LAST_ACK, ["<SEQ=101><ACK=302><CTL=FIN,ACK>"]),
        (State.CLOSING, State.CLOSING, []),
        (State.LAST_ACK, State.LAST_ACK, []),
        (State.TIME_WAIT, State.TIME_WAIT, []),
    ],
)
def test_close_in_each_state(tcp: SimpleNamespace, state: State, after: State, sends: list[str]) -> None:
    talk = tcp.in_state(state)
    talk.tcp.close()
    assert talk.tcp.state is after
    talk.recv(*sends)


def test_a_fin_follows_all_data(tcp: SimpleNamespace) -> None:
    """3.10.4: "Queue this until all preceding SENDs have been segmentized"."""
    talk = tcp.established()
    talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=1460>")
    talk.tcp.send(bytes(2000))
    talk.tcp.close()
    talk.recv("<SEQ=101><ACK=301><CTL=ACK><DATA=1460>")
    talk.send("<SEQ=301><ACK=1561><CTL=ACK>")
    talk.recv("<SEQ=1561><ACK=301><CTL=FIN,ACK><DATA=540>")
    talk.send("<SEQ=301><ACK=2101><CTL=ACK>")
    assert talk.tcp.state == "FIN-WAIT-1"
    talk.send("<SEQ=301><ACK=2102><CTL=ACK>")
    assert talk.tcp.state == "FIN-WAIT-2"


def test_3_4_a_fin_takes_a_number_and_waits_for_the_window(tcp: SimpleNamespace) -> None:
    """Beyond the window it would make each acknowledgment of ours unacceptable (table 6) until the RTO."""
    talk = tcp.established()
    talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=1000>")
    talk.tcp.send(bytes(1000))
    talk.tcp.close()
    talk.recv("<SEQ=101><ACK=301><CTL=ACK><DATA=1000>")
    talk.send("<SEQ=301><ACK=1101><CTL=ACK><WND=1000><DATA=5>")
    talk.recv("<SEQ=1101><ACK=306><CTL=FIN,ACK>")


def test_3_8_6_1_a_fin_probes_a_zero_window(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=0>")
    talk.tcp.close()
    talk.recv()
    assert talk.wait_for("<SEQ=101><ACK=301><CTL=FIN,ACK>") == SECOND
    talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=0><DATA=5>")
    talk.wait_for("<SEQ=101><ACK=306><CTL=ACK>")  # not beyond the window, so that it is looked at
    talk.wait_for("<SEQ=101><ACK=306><CTL=FIN,ACK>")
    talk.send("<SEQ=306><ACK=102><CTL=ACK><WND=0>")
    assert talk.tcp.state == "FIN-WAIT-2"
    talk.recv()
    assert talk.tcp.poll_at(talk.clock.now) is None


def test_a_lost_fin_is_sent_again(tcp: SimpleNamespace) -> None:
    talk = tcp.in_state(State.FIN_WAIT_1)
    assert talk.wait_for("<SEQ=101><ACK=301><CTL=FIN,ACK>") == SECOND


def test_3_6_1_a_half_closed_connection_goes_on_sending(tcp: SimpleNamespace) -> None:
    talk = tcp.in_state(State.CLOSE_WAIT)
    assert talk.tcp.may_send
    talk.tcp.send(b"abc")
    talk.recv("<SEQ=101><ACK=302><CTL=ACK><DATA=abc>")


def test_last_ack_is_over_when_the_fin_is_acknowledged(tcp: SimpleNamespace) -> None:
    talk = tcp.in_state(State.LAST_ACK)
    talk.send("<SEQ=302><ACK=101><CTL=ACK>")
    assert talk.tcp.state == "LAST-ACK"
    talk.send("<SEQ=302><ACK=102><CTL=ACK>")
    assert talk.tcp.state == "CLOSED"
    assert talk.tcp.finished
    assert talk.tcp.error is None  # MUST-12: it closed normally


def test_fin_and_acknowledgment_of_ours_in_one_segment(tcp: SimpleNamespace) -> None:
    """3.10.7.4, eighth, FIN-WAIT-1: "If our FIN has been ACKed (perhaps in this segment), then enter TIME-WAIT"."""
    talk = tcp.in_state(State.FIN_WAIT_1)
    talk.send("<SEQ=301><ACK=102><CTL=FIN,ACK>")
    assert talk.tcp.state == "TIME-WAIT"
    talk.recv("<SEQ=102><ACK=302><CTL=ACK>")


def test_a_fin_that_an_acknowledgment_has_overtaken_counts(tcp: SimpleNamespace) -> None:
    """Linux's selftest tcp_disorder_fin_in_FIN_WAIT: its acknowledgment is below SND.UNA by then."""
    talk = tcp.in_state(State.FIN_WAIT_1)
    talk.send("<SEQ=302><ACK=102><CTL=ACK>")
    talk.send("<SEQ=301><ACK=101><CTL=FIN,ACK>")
    assert talk.tcp.state == "TIME-WAIT"
    talk.recv("<SEQ=102><ACK=302><CTL=ACK>")


def test_closing_before_our_data_and_fin_were_sent(tcp: SimpleNamespace) -> None:
    """Case 3 of 3.6 in another order: the peer's FIN comes first (smoltcp, simultaneous_close_raced_with_data)."""
    talk = tcp.established()
    talk.tcp.send(b"abc")
    talk.tcp.close()
    talk.send("<SEQ=301><ACK=101><CTL=FIN,ACK>")
    assert talk.tcp.state == "CLOSING"
    talk.recv("<SEQ=101><ACK=302><CTL=FIN,ACK><DATA=abc>")
    talk.send("<SEQ=302><ACK=104><CTL=ACK>")
    assert talk.tcp.state == "CLOSING"
    talk.send("<SEQ=302><ACK=105><CTL=ACK>")
    assert talk.tcp.state == "TIME-WAIT"


# --- TIME-WAIT (MUST-13) ---


def test_must_13_a_repeated_fin_restarts_2_msl(tcp: SimpleNamespace) -> None:
    talk = tcp.in_state(State.TIME_WAIT)
    talk.wait(9 * SECOND)
    assert talk.send("<SEQ=301><ACK=102><CTL=FIN,ACK>") == "<SEQ=102><ACK=302><CTL=ACK>"
    talk.wait(9 * SECOND)
    talk.recv()
    assert talk.tcp.state == "TIME-WAIT"
    assert talk.wait_for() == SECOND
    assert talk.tcp.state == "CLOSED"


def heirs(tcp: SimpleNamespace, talk: SimpleNamespace) -> SimpleNamespace:
    """Somebody listens at the port of this conversation; gives the connections that come of it."""
    sockets, listener = tcp.Set(talk.clock), TcpListener(talk.clock)
    listener.spawn = lambda buffer: TcpSocket(talk.clock, sockets.stream)
    listener.adopt = sockets.add
    listener.listen(tcp.A[1])
    talk.tcp.listens = lambda *local: listener if local == tcp.A else None
    return sockets.sockets


@pytest.mark.parametrize(("seq", "gives_way"), [(302, False), (200, False), (303, True), (5000, True)])
def test_may_2_a_newer_syn_reopens_from_time_wait(tcp: SimpleNamespace, seq: int, gives_way: bool) -> None:
    talk = tcp.in_state(State.TIME_WAIT)
    talk.tcp.interface = "eth1"
    found = heirs(tcp, talk)
    reply = talk.send(f"<SEQ={seq}><CTL=SYN>")
    assert talk.tcp.state == ("CLOSED" if gives_way else "TIME-WAIT")
    assert [(one.local, one.remote, one.receiver.isn, one.interface) for one in found.values()] == (
        [(tcp.A, tcp.B, seq, "eth1")] if gives_way else []
    )
    assert reply == ("" if gives_way else "<SEQ=102><ACK=302><CTL=ACK>")


def test_must_13_nothing_reopens_where_nobody_listens(tcp: SimpleNamespace) -> None:
    """Linux, too: TIME-WAIT goes on (tcp_v4_rcv(), TCP_TW_SYN); MAY-2 is for a SYN that is accepted."""
    talk = tcp.in_state(State.TIME_WAIT)
    assert talk.send("<SEQ=5000><CTL=SYN>") == "<SEQ=102><ACK=302><CTL=ACK>"
    assert talk.tcp.state == "TIME-WAIT"


@pytest.mark.parametrize(("beyond", "distance"), [(-5000, 5000), (0, 65_537), (2**31 - 1, 65_537)])
def test_may_2_the_isn_is_larger_than_all_that_was_used(tcp: SimpleNamespace, beyond: int, distance: int) -> None:
    """3.6.1, (1), though the connection before was faster than the ISN's clock."""
    talk = tcp.in_state(State.TIME_WAIT)
    used = initial_sequence(talk.tcp.stream.key, 0, tcp.A, tcp.B) + beyond
    talk.tcp.sender.max = used
    found = heirs(tcp, talk)
    talk.send("<SEQ=5000><CTL=SYN>")
    (heir,) = found.values()
    assert (heir.sender.isn - used) % 2**32 == distance


@pytest.mark.parametrize(
    ("before", "stamp", "seq", "gives_way"),
    [
        ("<TS=50/0>", "<TS=51/0>", 200, True),
        ("<TS=50/0>", "<TS=49/0>", 5000, False),
        ("<TS=50/0>", "<TS=50/0>", 5000, True),
        ("<TS=50/0>", "<TS=50/0>", 302, False),
        ("<TS=50/0>", "", 302, False),
        ("<TS=50/0>", "", 5000, True),
        ("", "<TS=4000000000/0>", 200, True),
        ("", "", 200, False),
    ],
)
def test_rfc_6191_timestamps_decide_in_time_wait(
    tcp: SimpleNamespace, before: str, stamp: str, seq: int, gives_way: bool
) -> None:
    """SHLD-4: section 2, case by case."""
    talk = tcp.Conversation(timestamps=True)
    talk.connect()
    talk.take()
    talk.send(f"<SEQ=300><ACK=101><CTL=SYN,ACK>{before}")
    talk.take()
    talk.tcp.close()
    talk.take()
    talk.send(f"<SEQ=301><ACK=102><CTL=FIN,ACK>{before}")
    assert talk.tcp.state == "TIME-WAIT"
    heirs(tcp, talk)
    talk.send(f"<SEQ={seq}><CTL=SYN>{stamp}")
    assert talk.tcp.state == ("CLOSED" if gives_way else "TIME-WAIT")


# --- resets (3.5.3; RFC 5961, 3) ---


@pytest.mark.parametrize("state", SYNCHRONIZED)
def test_rfc_5961_3_2_an_exact_reset_ends_the_connection(tcp: SimpleNamespace, state: State) -> None:
    talk = tcp.in_state(state)
    assert talk.send(f"<SEQ={numbers(talk)[1]}><CTL=RST>") == ""
    assert talk.tcp.state == "CLOSED"
    assert isinstance(talk.tcp.error, ConnectionResetError) == (state in OPEN)  # the others were done anyway
    talk.recv()


@pytest.mark.parametrize("state", [State.CLOSING, State.LAST_ACK])
def test_must_12_a_reset_tells_that_data_is_lost_though_we_have_closed(tcp: SimpleNamespace, state: State) -> None:
    talk = tcp.established()
    if state is State.LAST_ACK:
        talk.send("<SEQ=301><ACK=101><CTL=FIN,ACK>")
    talk.tcp.send(b"abc")
    talk.tcp.close()
    talk.take()
    if state is State.CLOSING:
        talk.send("<SEQ=301><ACK=101><CTL=FIN,ACK>")
    assert talk.tcp.state is state
    talk.send("<SEQ=302><CTL=RST>")
    assert isinstance(talk.tcp.error, ConnectionResetError)


@pytest.mark.parametrize("state", SYNCHRONIZED)
def test_rfc_5961_3_2_another_reset_in_the_window_is_challenged_and_one_outside_is_dropped(
    tcp: SimpleNamespace, state: State
) -> None:
    talk = tcp.in_state(state)
    send, receive = numbers(talk)
    assert talk.send(f"<SEQ={receive - 2}><CTL=RST>") == ""
    assert talk.send(f"<SEQ={receive + 2**31}><CTL=RST>") == ""
    talk.wait(SECOND)
    assert talk.send(f"<SEQ={receive + 1}><CTL=RST>") == f"<SEQ={send}><ACK={receive}><CTL=ACK>"
    assert talk.tcp.state is state


@pytest.mark.parametrize("state", SYNCHRONIZED)
def test_rfc_5961_4_2_a_syn_is_challenged_wherever_it_lies(tcp: SimpleNamespace, state: State) -> None:
    talk = tcp.in_state(state)
    send, receive = numbers(talk)
    for seq in (receive, receive - 1000, receive + 10):
        if state is State.TIME_WAIT and seq > receive:
            continue  # MAY-2
        talk.wait(SECOND)
        assert talk.send(f"<SEQ={seq}><CTL=SYN>") == f"<SEQ={send}><ACK={receive}><CTL=ACK>"
        assert talk.tcp.state is state


@pytest.mark.parametrize("state", SYNCHRONIZED)
def test_rfc_5961_3_2_a_reset_numbered_as_the_fin_before_it(tcp: SimpleNamespace, state: State) -> None:
    """macOS sends such ones when a program dies; Linux takes them in three states, tcp_reset_check()."""
    talk = tcp.in_state(state)
    assert talk.send(f"<SEQ={numbers(talk)[1] - 1}><CTL=RST>") == ""
    ends = state in (State.CLOSE_WAIT, State.CLOSING, State.LAST_ACK)
    assert talk.tcp.state is (State.CLOSED if ends else state)


@pytest.mark.parametrize("state", [State.SYN_RECEIVED, *SYNCHRONIZED])
def test_3_10_7_4_a_reset_with_a_syn_is_a_reset(tcp: SimpleNamespace, state: State) -> None:
    """The RST bit is checked second, the SYN bit fourth; nothing is ever sent in answer to a reset."""
    talk = tcp.in_state(state)
    for seq in (300, 70_000):
        assert talk.send(f"<SEQ={seq - 10}><CTL=SYN,RST>") == ""
        assert talk.tcp.state is state
    talk.send(f"<SEQ={numbers(talk)[1]}><CTL=SYN,RST>")
    assert talk.tcp.state == "CLOSED"


@pytest.mark.parametrize("ack", [102, 101 - 65_536, 101 + 2**31])
def test_rfc_5961_5_2_data_with_an_impossible_acknowledgment_is_not_taken(tcp: SimpleNamespace, ack: int) -> None:
    """MAY-12: SND.UNA - MAX.SND.WND =< SEG.ACK =< SND.NXT."""
    talk = tcp.established()
    text = f"<SEQ=301><ACK={ack % 2**32}><CTL=ACK><DATA=10>"
    assert talk.send(text) == "<SEQ=101><ACK=301><CTL=ACK>"
    assert not talk.tcp.can_recv


def test_rfc_5961_5_2_nor_is_it_taken_when_no_challenge_may_be_sent(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.wait(SECOND)
    assert talk.send("<SEQ=301><ACK=999><CTL=ACK><DATA=10>") != ""
    assert talk.send("<SEQ=301><ACK=999><CTL=ACK><DATA=10>") == ""
    assert not talk.tcp.can_recv


def test_rfc_5961_7_challenges_are_limited_to_one_a_second(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    replies = []
    for _ in range(25):
        replies.append(talk.send("<SEQ=302><CTL=RST>"))
        talk.wait(SECOND // 10)
    assert len([reply for reply in replies if reply]) == talk.tcp.statistics["challenges"] == 3


def test_a_segment_without_ack_is_dropped(tcp: SimpleNamespace) -> None:
    """3.10.7.4, fifth: "if the ACK bit is off, drop the segment and return"."""
    talk = tcp.established()
    assert talk.send("<SEQ=301><CTL=PSH><DATA=10>") == ""
    assert not talk.tcp.can_recv
    assert talk.tcp.drops == {"tcp-no-ack": 1}


def test_a_connection_that_is_reset_with_a_gap_goes_into_a_snapshot(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.send("<SEQ=401><ACK=101><CTL=ACK><DATA=10>")
    talk.take()
    talk.send("<SEQ=301><CTL=RST>")
    assert talk.tcp.state == "CLOSED"
    talk.reload()


def test_shld_2_a_reset_may_carry_data(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.send("<SEQ=301><CTL=RST><DATA=why>")
    assert talk.tcp.state == "CLOSED"


# --- ABORT (3.10.5) ---


@pytest.mark.parametrize("state", [State.SYN_RECEIVED, *SYNCHRONIZED, State.SYN_SENT])
def test_abort_sends_a_reset_where_the_rfc_says_so(tcp: SimpleNamespace, state: State) -> None:
    talk = tcp.in_state(state)
    send, receive = numbers(talk)
    talk.tcp.abort()
    assert talk.tcp.state == "CLOSED"
    if state in (State.SYN_RECEIVED, *OPEN):
        assert not talk.tcp.finished
        talk.recv(f"<SEQ={send}><ACK={receive}><CTL=RST,ACK>")
    talk.recv()
    assert talk.tcp.finished
    assert isinstance(talk.tcp.error, ConnectionAbortedError)


def test_rfc_7323_3_2_a_reset_carries_timestamps(tcp: SimpleNamespace) -> None:
    talk = tcp.Conversation(timestamps=True)
    talk.listen("<SEQ=300><CTL=SYN><TS=1000/0>")
    talk.tcp.stamp_base = 7
    talk.wait(SECOND)
    talk.tcp.abort()
    talk.recv("<SEQ=100><ACK=301><CTL=RST,ACK><TS=1007/1000>")


def test_a_reset_waits_for_room_in_the_device(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.tcp.abort()
    talk.room = 0
    talk.recv()
    assert talk.tcp.poll_at(0) == 0
    talk.room = 1
    talk.recv("<SEQ=101><ACK=301><CTL=RST,ACK>")
    assert talk.tcp.poll_at(0) is None


def test_a_user_timeout_resets_the_peer(tcp: SimpleNamespace) -> None:
    """3.10.8."""
    talk = tcp.established(user_timeout=5 * SECOND)
    talk.tcp.send(b"abc")
    talk.take()
    talk.wait(5 * SECOND)
    talk.recv("<SEQ=104><ACK=301><CTL=RST,ACK>")
    with pytest.raises(TimeoutError):
        talk.tcp.send(b"x")


# --- the application goes away ---


def test_shld_3_unread_data_is_answered_with_a_reset(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=10>")
    talk.tcp.release()
    talk.recv("<SEQ=101><ACK=311><CTL=RST,ACK>")
    assert talk.tcp.orphan


def test_shld_3_data_that_comes_later_is_answered_with_a_reset(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.tcp.release()
    talk.recv("<SEQ=101><ACK=301><CTL=FIN,ACK>")
    talk.send("<SEQ=301><ACK=102><CTL=ACK><DATA=10>")
    talk.recv("<SEQ=102><ACK=301><CTL=RST,ACK>")
    assert talk.tcp.finished


def test_shld_3_data_that_was_received_before_is_not_lost(tcp: SimpleNamespace) -> None:
    """Our acknowledgment was: the peer repeats its data, now with its FIN."""
    talk = tcp.established()
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=10>")
    assert talk.tcp.recv(10) == tcp.stream(301, 10)
    talk.tcp.release()
    talk.recv("<SEQ=101><ACK=311><CTL=FIN,ACK>")
    talk.send("<SEQ=301><ACK=102><CTL=FIN,ACK><DATA=10>")
    talk.recv("<SEQ=102><ACK=312><CTL=ACK>")
    assert (talk.tcp.state, talk.tcp.error) == ("TIME-WAIT", None)


def test_an_orphan_does_not_wait_for_the_peers_fin_for_ever(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.tcp.release()
    talk.take()
    talk.send("<SEQ=301><ACK=102><CTL=ACK>")
    talk.recv()
    assert talk.tcp.state == "FIN-WAIT-2"
    assert talk.wait_for() == 60 * SECOND
    assert talk.tcp.finished


def test_rfc_6429_4_an_orphan_does_not_probe_a_shut_window_for_ever(tcp: SimpleNamespace) -> None:
    """The peer answers each probe; but nobody is left who could give up."""
    talk = tcp.established()
    talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=0>")
    talk.tcp.send(b"abc")
    talk.recv()
    talk.tcp.release()
    talk.recv()
    for _ in range(8):
        talk.wait_for("<SEQ=101><ACK=301><CTL=ACK><DATA=a>")
        talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=0>")
    talk.wait_for("<SEQ=101><ACK=301><CTL=RST,ACK>")
    assert talk.tcp.finished


def test_an_orphan_closes_as_usual(tcp: SimpleNamespace) -> None:
    talk = tcp.in_state(State.FIN_WAIT_2)
    talk.tcp.release()
    woken = talk.woken
    talk.send("<SEQ=301><ACK=102><CTL=FIN,ACK>")
    talk.recv("<SEQ=102><ACK=302><CTL=ACK>")
    assert talk.wait_for() == 10 * SECOND
    assert (talk.tcp.error, talk.woken) == (None, woken)


# --- keep-alive (3.8.4) ---


def test_must_25_keep_alive_is_off_by_default_and_must_28_two_hours_at_least(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    assert talk.tcp.poll_at(0) is None
    assert KEEP_ALIVE >= 7200 * SECOND


def test_must_26_27_and_29_keep_alive_probes(tcp: SimpleNamespace) -> None:
    """MAY-5. SHLD-12: without data, at SND.NXT - 1. One unanswered probe proves nothing."""
    talk = tcp.established(keep_alive=4000 * SECOND)
    assert talk.wait_for("<SEQ=100><ACK=301><CTL=ACK>") == 4000 * SECOND
    assert talk.wait_for("<SEQ=100><ACK=301><CTL=ACK>") == 75 * SECOND
    talk.send("<SEQ=301><ACK=101><CTL=ACK>")
    talk.wait(3999 * SECOND)
    talk.recv()
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=5>")
    talk.wait_for("<SEQ=101><ACK=306><CTL=ACK>")
    talk.wait(3999 * SECOND)
    assert talk.wait_for("<SEQ=100><ACK=306><CTL=ACK>") == 990 * MS
    waits = [talk.wait_for("<SEQ=100><ACK=306><CTL=ACK>") for _ in range(8)]
    assert waits == [75 * SECOND] * 8
    assert talk.wait_for("<SEQ=101><ACK=306><CTL=RST,ACK>") == 75 * SECOND
    assert isinstance(talk.tcp.error, TimeoutError)


@pytest.mark.parametrize(
    "text", ["<SEQ=70000><ACK=101><CTL=ACK>", "<SEQ=301><ACK=999><CTL=ACK>"], ids=["sequence", "acknowledgment"]
)
def test_must_27_what_is_not_acceptable_is_no_sign_of_life(tcp: SimpleNamespace, text: str) -> None:
    talk = tcp.established(keep_alive=7200 * SECOND)
    talk.wait(7000 * SECOND)
    talk.send(text)
    assert talk.wait_for("<SEQ=100><ACK=301><CTL=ACK>") == 200 * SECOND


def test_must_26_no_keep_alive_while_data_is_outstanding(tcp: SimpleNamespace) -> None:
    talk = tcp.established(keep_alive=SECOND // 2)
    talk.tcp.send(b"abc")
    talk.take()
    assert talk.wait_for("<SEQ=101><ACK=301><CTL=ACK><DATA=abc>") == SECOND


def test_a_deadline_that_the_application_sets_is_told_to_the_set(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    told: list[int | None] = []
    talk.tcp.ready = lambda: told.append(talk.tcp.poll_at(0))
    talk.tcp.keep_alive = SECOND
    assert told == [SECOND]


# --- ICMP (3.9.2.2; RFC 5461) ---


@pytest.mark.parametrize("kind", ["port", "protocol"])
@pytest.mark.parametrize("state", [State.SYN_SENT, State.SYN_RECEIVED])
def test_shld_26_a_hard_error_ends_the_attempt(tcp: SimpleNamespace, kind: str, state: State) -> None:
    talk = tcp.in_state(state)
    talk.tcp.unreachable(kind)
    assert isinstance(talk.tcp.error, ConnectionRefusedError)


@pytest.mark.parametrize("kind", ["fragmentation-needed", "packet-too-big"])
def test_3_9_2_2_what_path_mtu_discovery_looks_after_is_no_failure(tcp: SimpleNamespace, kind: str) -> None:
    talk = tcp.in_state(State.SYN_SENT)
    before = talk.woken
    talk.tcp.unreachable(kind)
    assert (talk.tcp.state, talk.tcp.soft_failure, talk.woken) == ("SYN-SENT", "", before)


def test_rfc_5461_4_an_established_connection_survives_hard_errors(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    for kind in ("port", "protocol"):
        talk.tcp.unreachable(kind)
        assert (talk.tcp.state, talk.tcp.soft_failure) == ("ESTABLISHED", kind)


def test_progress_ends_a_soft_error(tcp: SimpleNamespace) -> None:
    """It explains no timeout that comes long after (Linux, tcp_ack(), sk_err_soft)."""
    talk = tcp.established(user_timeout=SECOND, confirm=lambda peer: None)
    talk.tcp.unreachable("host")
    talk.tcp.send(b"a")
    talk.take()
    assert talk.tcp.soft_failure == "host"
    talk.send("<SEQ=301><ACK=102><CTL=ACK>")
    assert talk.tcp.soft_failure == ""


def test_shld_25_a_soft_error_explains_a_later_timeout(tcp: SimpleNamespace) -> None:
    talk = tcp.in_state(State.SYN_SENT, user_timeout=SECOND)
    talk.tcp.unreachable("host")
    talk.wait(SECOND)
    talk.recv()
    assert type(talk.tcp.error).__name__ == "HostUnreachable"
