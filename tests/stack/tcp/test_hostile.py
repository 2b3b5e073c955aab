"""Peers that mean harm, shrink windows, or ask for the least: no exception, no deadlock, no amplification."""

from types import SimpleNamespace

import pytest

from motenet.core.clock import FOREVER, Clock
from motenet.core.errors import ConfigurationError
from motenet.core.units import MS, SECOND
from motenet.stack.sockets.tcp import TcpListener
from motenet.stack.sockets.tcp.congestion.cubic import Cubic
from motenet.stack.sockets.tcp.congestion.newreno import UNKNOWN

HERE = bytes((10, 0, 0, 2))


def opened(tcp: SimpleNamespace, options: str, **settings: object) -> SimpleNamespace:
    """A connection over a path of 100 ms, with such options in the peer's SYN."""
    talk: SimpleNamespace = tcp.Conversation(**settings)
    talk.connect()
    talk.take()
    talk.wait(100 * MS)
    talk.send(f"<SEQ=300><ACK=101><CTL=SYN,ACK>{options}")
    talk.take()
    return talk


def sizes(talk: SimpleNamespace) -> list[tuple[int, int]]:
    return [(one.payload_length, one.segment_size) for one in talk.take()]


# --- sizes (RFC 9293, 3.7.1) ---


@pytest.mark.parametrize("gateways", range(10))
def test_must_16_options_larger_than_the_peers_mss_leave_room_for_data(tcp: SimpleNamespace, gateways: int) -> None:
    """A SYN with the least MSS, timestamps, and a source route of which MUST-53 takes the reverse."""
    talk = tcp.Conversation(timestamps=True)
    talk.listen("<SEQ=300><CTL=SYN><MSS=1><TS=1/0>")
    talk.tcp.take_route(tuple(bytes((10, 0, 1, number)) for number in range(gateways)))
    talk.take()
    talk.send("<SEQ=301><ACK=101><CTL=ACK><TS=2/1>")
    talk.tcp.send(bytes(40))
    found = sizes(talk)
    assert sum(length for length, _ in found) == 40
    assert {length for length, _ in found} <= {*range(1, 49)}


@pytest.mark.parametrize("options", ["", "<SACKOK=1>"])
def test_what_is_sent_again_is_no_larger_than_what_was_sent(tcp: SimpleNamespace, options: str) -> None:
    """A peer with a small window gets halves of it (Linux, tcp_bound_to_half_wnd()), and no card has to cut these."""
    talk = opened(tcp, f"<MSS=1460><WND=2000>{options}", nagle=False)
    for _ in range(19):
        talk.tcp.send(bytes(100))
        talk.take()
    for _ in range(3):
        talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=2000>")
    found = sizes(talk)
    talk.expire()
    found += sizes(talk)
    assert (1000, 0) in found
    assert max(found) == (1000, 0)


# --- windows ---


def test_must_34_a_window_that_shrinks_to_zero_in_flight_is_probed_after_the_timeout(tcp: SimpleNamespace) -> None:
    """Though something else is believed to be on its way: nothing but the probe would ever ask again."""
    talk = opened(tcp, "<MSS=1000><SACKOK=1>", nagle=False)
    sender = talk.tcp.sender
    talk.tcp.send(bytes(1000))
    talk.take()
    talk.expire()
    assert len(talk.take()) == 1  # the loss probe
    talk.clock.now = sender.rto_at - 30 * MS
    talk.tcp.send(bytes(1000))
    talk.take()
    talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=0>")
    talk.take()
    while not sender.timeouts:
        talk.expire()
        talk.take()
    assert sender.board.pipe == 1000
    assert sender.rto_at == FOREVER
    assert talk.expire() <= 4 * SECOND
    talk.recv("<SEQ=101><CTL=ACK><DATA=1>")
    talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=5000>")
    assert sum(length for length, _ in sizes(talk)) == 1000


@pytest.mark.parametrize("name", ["keep_alive", "user_timeout"])
@pytest.mark.parametrize("interval", [0, -SECOND])
def test_a_connection_refuses_times_that_are_none(tcp: SimpleNamespace, name: str, interval: int) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}={interval}"):
        setattr(tcp.established().tcp, name, interval)


def test_3_9_1_1_nobody_waits_for_ever_on_behalf_of_an_application_that_is_gone(tcp: SimpleNamespace) -> None:
    talk = tcp.established(user_timeout=None)
    talk.tcp.send(bytes(5))
    talk.tcp.release()
    while talk.tcp.state != "CLOSED":
        talk.expire()
        talk.take()
    assert 300 * SECOND <= talk.clock.now <= 301 * SECOND


# --- amplification ---


def answers(tcp: SimpleNamespace, repeats: tuple[int, ...] = ()) -> list[str]:
    """What a listener's side sends to a SYN, repeated at such times in ns, until it gives up."""
    clock = Clock()
    sockets = tcp.Set(clock)
    listener = TcpListener(clock)
    sockets.add(listener)
    listener.listen(80)
    syn = tcp.segment("<SEQ=300><CTL=SYN>", tcp.A, tcp.B)
    listener.process(0, tcp.A[0], HERE, syn)
    child = sockets.sockets["sockets/1"]
    child.sender.start(100)
    sent: list[str] = []
    due = list(repeats)
    while True:
        child.dispatch(clock.now, lambda found: sent.append(tcp.shown(found)) or True)
        at = child.poll_at(clock.now)
        if at is None:
            assert child.finished
            assert clock.now >= 180 * SECOND
            return sent
        if due and due[0] <= at:
            clock.now = due.pop(0)
            child.process(clock.now, tcp.A[0], HERE, syn)
        else:
            clock.now = at


def test_rfc_4987_2_a_forged_syn_is_answered_three_times_at_most(tcp: SimpleNamespace) -> None:
    """And not by a reset at the end; the place is kept for as long as MUST-23 says."""
    assert answers(tcp) == ["<SEQ=100><ACK=301><CTL=SYN,ACK>"] * 3


def test_rfc_4987_2_each_repeated_syn_is_answered_once(tcp: SimpleNamespace) -> None:
    assert len(answers(tcp, (20 * SECOND, 60 * SECOND, 120 * SECOND))) == 6


def test_rfc_5961_7_two_ends_that_disagree_tell_each_other_so_once_a_second(tcp: SimpleNamespace) -> None:
    """Neither can accept what the other says, and each answer asks for another."""
    channel = tcp.Channel(1)
    channel.connect()
    while channel.step():
        pass
    one, two = channel.sockets
    for receiver in (one.receiver, two.receiver):
        receiver.nxt, receiver.edge = receiver.nxt + 10**6, receiver.edge + 10**6
        receiver.ring.anchor(receiver.nxt)
    count = len(channel.log)
    one.send(bytes(10))
    while channel.clock.now < 20 * SECOND and channel.step():
        pass
    assert len(channel.log) - count <= 3 * 20


# --- acknowledgments that lie ---


def test_rfc_2018_8_a_peer_that_reports_every_other_byte_is_not_heard_for_ever(tcp: SimpleNamespace) -> None:
    talk = opened(tcp, "<MSS=1000><SACKOK=1>", congestion_control="none")
    talk.tcp.send(bytes(64_000))
    talk.take()
    board = talk.tcp.sender.board
    for left in range(102, 64_000, 8):
        blocks = " ".join(f"{left + two}-{left + two + 1}" for two in (0, 2, 4, 6))
        talk.send(f"<SEQ=301><ACK=101><CTL=ACK><SACK={blocks}>")
        assert len(board.ranges) <= 1024 + (64_000 >> 8) + 2
    talk.ack(64)
    assert not board.ranges
    assert board.pipe == board.lost == board.sacked == 0


def test_rfc_5681_3_2_more_duplicates_than_segments_open_the_window_no_further(tcp: SimpleNamespace) -> None:
    """Savage's attack: duplicate acknowledgments nothing has been sent for."""
    talk = tcp.Conversation(send_capacity=200_000, congestion_control="newreno").streaming(200_000, options="")
    for _ in range(500):
        talk.ack(0)
    assert talk.tcp.sender.congestion.window <= (5 + 3 + 12) * 1000
    assert len(talk.take()) <= 12


def test_rfc_2883_only_what_the_recovery_has_sent_again_makes_it_needless(tcp: SimpleNamespace) -> None:
    """A D-SACK of old data that reaches into it by a byte proves nothing."""
    talk = tcp.Conversation().streaming()
    talk.wait(100 * MS)
    talk.ack(0, (1, 4))
    assert talk.numbers()[0] == 0
    talk.send("<SEQ=301><ACK=4101><CTL=ACK><SACK=3294967396-102>")
    talk.send(f"<SEQ=301><ACK=4101><CTL=ACK><SACK={(101 - 30_000) % 2**32}-102>")
    assert talk.tcp.statistics["undone"] == 0
    talk.send("<SEQ=301><ACK=4101><CTL=ACK><SACK=102-1101>")
    assert talk.tcp.statistics["undone"] == 1


def test_rfc_3168_6_1_2_a_needless_recovery_does_not_give_back_what_a_mark_has_taken(tcp: SimpleNamespace) -> None:
    talk = tcp.Conversation(congestion_control="newreno").streaming()
    talk.tcp.sender.ecn = True
    talk.wait(100 * MS)
    talk.ack(0, (1, 4))
    talk.take()
    talk.wait(100 * MS)
    talk.ack(10)
    talk.take()
    talk.wait(100 * MS)
    talk.send(f"<SEQ=301><ACK={talk.tcp.sender.nxt}><CTL=ACK,ECE>")
    window = talk.tcp.sender.congestion.window
    assert talk.tcp.sender.reduction_due
    talk.send(f"<SEQ=301><ACK={talk.tcp.sender.nxt}><CTL=ACK><SACK=101-1101>")
    assert talk.tcp.sender.congestion.window == window
    assert talk.tcp.statistics["undone"] == 0


def test_rfc_9406_4_3_only_the_initial_slow_start_is_hystarts() -> None:
    control = Cubic()
    control.start(1000, False)
    control.lost(0, 100_000)
    control.timed_out(0, 100_000, False)
    control.threshold = 60_000
    for number in range(400):
        trip = (100 + 50 * (number // 50)) * MS
        control.acknowledged(number * 10 * MS, 1000, control.window, trip)
        if control.window >= 60_000:
            break
    assert (control.window, control.threshold, number) == (60_000, 60_000, 58)
    assert Cubic().threshold == UNKNOWN
