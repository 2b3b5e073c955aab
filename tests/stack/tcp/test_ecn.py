"""Explicit congestion notification (RFC 3168, 6.1)."""

from types import SimpleNamespace

import pytest

from motenet.core.units import MS, SECOND
from motenet.stack.wire.tcp import CWR, ECE


def marked(tcp: SimpleNamespace, **settings: object) -> SimpleNamespace:
    """A connection that has agreed on ECN, MSS 1000."""
    talk = tcp.Conversation(ecn=True, **{"congestion_control": "newreno", **settings})
    talk.connect()
    talk.recv("<SEQ=100><CTL=SYN,ECE,CWR><IP=>")
    talk.wait(100 * MS)
    talk.send("<SEQ=300><ACK=101><CTL=SYN,ACK,ECE><MSS=1000><SACKOK=1>")
    talk.recv("<ACK=301><CTL=ACK><IP=>")  # 6.1.4: an acknowledgment alone is never ECN-capable
    assert talk.tcp.sender.ecn
    return talk


@pytest.mark.parametrize(("answer", "agreed"), [("SYN,ACK,ECE", True), ("SYN,ACK", False), ("SYN,ACK,ECE,CWR", False)])
def test_6_1_1_what_the_peer_answers_to_an_ecn_setup_syn(tcp: SimpleNamespace, answer: str, agreed: bool) -> None:
    """One that only reflects the flags has not understood them."""
    talk = tcp.Conversation(ecn=True)
    talk.connect()
    talk.take()
    talk.send(f"<SEQ=300><ACK=101><CTL={answer}>")
    talk.take()
    assert talk.tcp.sender.ecn == agreed
    talk.tcp.send(b"abc")
    talk.recv(f"<CTL=ACK><DATA=abc><IP={'ECT' if agreed else ''}>")


@pytest.mark.parametrize(
    ("syn", "answer"), [("SYN,ECE,CWR", "SYN,ACK,ECE"), ("SYN", "SYN,ACK"), ("SYN,ECE", "SYN,ACK")]
)
def test_6_1_1_who_asks_is_answered_yes(tcp: SimpleNamespace, syn: str, answer: str) -> None:
    """Linux, tcp_ecn = 2: without asking oneself."""
    talk = tcp.Conversation()
    talk.listen(f"<SEQ=300><CTL={syn}>")
    talk.recv(f"<SEQ=100><ACK=301><CTL={answer}><IP=>")


def test_6_1_1_1_a_syn_that_got_no_answer_goes_without(tcp: SimpleNamespace) -> None:
    talk = tcp.Conversation(ecn=True)
    talk.connect()
    talk.recv("<SEQ=100><CTL=SYN,ECE,CWR>")
    assert talk.wait_for("<SEQ=100><CTL=SYN>") == SECOND


def test_shld_8_a_mark_halves_the_window_once_a_round_trip(tcp: SimpleNamespace) -> None:
    """RFC 9293, 3.8.4's SHLD-8: ECN; RFC 3168, 6.1.2."""
    talk = marked(tcp)
    control = talk.tcp.sender.congestion
    talk.tcp.send(tcp.stream(101, 100_000))
    assert talk.numbers() == list(range(10))
    talk.wait(100 * MS)
    talk.send("<SEQ=301><ACK=1101><CTL=ACK,ECE>")
    assert control.window == control.threshold == 5000
    for number in range(2, 10):
        talk.send(f"<SEQ=301><ACK={101 + 1000 * number}><CTL=ACK,ECE>")  # of the same window
        assert control.window == 5000  # nor does it grow
    sent = talk.take()
    assert [one.flags & CWR for one in sent] == [CWR] + [0] * (len(sent) - 1)  # the first new data says so
    talk.send(f"<SEQ=301><ACK={sent[1].seq}><CTL=ACK,ECE>")
    assert control.window < 4000  # a new window, a new mark
    assert talk.tcp.statistics["retransmissions"] == 0


def test_6_1_2_an_acknowledgment_of_all_halves_what_it_acknowledges(tcp: SimpleNamespace) -> None:
    """One acknowledgment may cover a whole flight: what is on its way then says nothing."""
    talk = marked(tcp)
    talk.tcp.send(tcp.stream(101, 10_000))
    talk.take()
    talk.send("<SEQ=301><ACK=10101><CTL=ACK,ECE>")
    assert talk.tcp.sender.congestion.window == 5000


def test_6_1_2_down_to_one_segment_and_then_the_timer_paces(tcp: SimpleNamespace) -> None:
    """RFC 9438, 4.6: ssthresh has a minimum of two segments, cwnd has not."""
    talk = marked(tcp)
    control = talk.tcp.sender.congestion
    talk.tcp.send(tcp.stream(101, 100_000))
    acked, windows = 101, []
    while not windows or windows[-1]:
        talk.take()
        acked = min(acked + control.window, talk.tcp.sender.max)
        talk.send(f"<SEQ=301><ACK={talk.tcp.sender.max}><CTL=ACK,ECE>")
        windows.append(control.window)
    assert windows == [5000, 2500, 1000, 0]
    assert control.threshold == 2000
    assert talk.take() == []
    assert talk.expire() == talk.tcp.sender.rtt.timeout
    (sent,) = talk.take()
    assert (sent.payload_length, sent.flags & CWR) == (1000, CWR)
    talk.wait(100 * MS)
    talk.send(f"<SEQ=301><ACK={talk.tcp.sender.max}><CTL=ACK>")
    assert len(talk.take()) == 1


def test_6_1_2_a_loss_in_the_same_window_reduces_it_no_further(tcp: SimpleNamespace) -> None:
    talk = marked(tcp)
    control = talk.tcp.sender.congestion
    talk.tcp.send(tcp.stream(101, 100_000))
    talk.take()
    talk.wait(100 * MS)
    talk.ack(1, more="<CTL=ACK,ECE>")
    assert control.threshold == 5000
    talk.ack(1, (2, 9))
    assert talk.tcp.sender.recovering
    assert control.threshold == 5000
    talk.wait(100 * MS)
    talk.ack(10)
    talk.take()
    talk.ack(10, (11, 14))
    assert control.threshold < 5000  # a new window


@pytest.mark.parametrize("marks", [False, True])
def test_rfc_4015_3_4_where_a_mark_was_seen_nothing_is_undone(tcp: SimpleNamespace, marks: bool) -> None:
    """And a mark after what was undone counts, though it is of the same window."""
    talk = marked(tcp)
    control = talk.tcp.sender.congestion
    talk.tcp.send(tcp.stream(101, 100_000))
    talk.take()
    talk.wait(100 * MS)
    talk.ack(0, (1, 4))
    talk.take()
    talk.ack(4, more="<CTL=ACK,ECE>" if marks else "")
    talk.ack(5, (0, 1))
    assert talk.tcp.statistics["undone"] == (not marks)
    assert (control.window >= 10_000) == (not marks)
    if not marks:
        assert not any(one.flags & CWR for one in talk.take())
        talk.ack(6, more="<CTL=ACK,ECE>")
        assert control.window < 10_000


def test_shld_8_a_mark_is_echoed_until_the_peer_has_reduced_its_window(tcp: SimpleNamespace) -> None:
    """RFC 3168, 6.1.3."""
    talk = marked(tcp)
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=100><IP=CE>")
    talk.recv("<ACK=401><CTL=ACK,ECE>")
    talk.send("<SEQ=401><ACK=101><CTL=ACK><DATA=100>")
    talk.tcp.send(b"abc")
    talk.recv("<ACK=501><CTL=ACK,ECE><DATA=abc>")
    talk.send("<SEQ=501><ACK=104><CTL=ACK,CWR><DATA=100>")
    talk.recv()
    talk.wait_for("<ACK=601><CTL=ACK>")
    talk.send("<SEQ=601><ACK=104><CTL=ACK,CWR><DATA=100><IP=CE>")  # marked again on its way
    talk.recv("<ACK=701><CTL=ACK,ECE>")


def test_6_1_5_what_is_sent_again_is_not_ecn_capable(tcp: SimpleNamespace) -> None:
    talk = marked(tcp)
    talk.tcp.send(b"abc")
    talk.recv("<CTL=ACK><DATA=abc><IP=ECT>")
    talk.expire()
    talk.recv("<CTL=ACK><DATA=abc><IP=>")


def test_6_1_6_a_window_probe_is_not_ecn_capable(tcp: SimpleNamespace) -> None:
    talk = marked(tcp)
    talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=0>")
    talk.tcp.send(b"abc")
    talk.recv()
    talk.wait_for("<CTL=ACK><DATA=a><IP=>")


def test_6_1_2_a_loss_is_told_by_cwr_too(tcp: SimpleNamespace) -> None:
    talk = marked(tcp)
    talk.tcp.send(tcp.stream(101, 100_000))
    talk.take()
    talk.wait(100 * MS)
    talk.ack(0, (1, 9))
    sent = talk.take()
    assert [(one.seq == 101, one.ect, one.flags & CWR) for one in sent][:2] == [(True, False, 0), (False, True, CWR)]


def test_marks_mean_nothing_where_ecn_was_not_agreed_upon(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=100><IP=CE>")
    talk.wait_for("<ACK=401><CTL=ACK>")
    talk.tcp.send(bytes(3000))
    window = talk.tcp.sender.congestion.window
    assert not any(one.flags & (ECE | CWR) or one.ect for one in talk.take())
    talk.send("<SEQ=401><ACK=1561><CTL=ACK,ECE>")
    assert talk.tcp.sender.congestion.window >= window


def test_what_the_card_cuts_carries_cwr_once(tcp: SimpleNamespace) -> None:
    """A card repeats the flags in each piece (RFC 3168, 6.1.2 wants the first alone)."""
    talk = marked(tcp, max_segmented=64_000)
    talk.tcp.send(tcp.stream(101, 100_000))
    talk.take()
    talk.wait(100 * MS)
    talk.send("<SEQ=301><ACK=10101><CTL=ACK,ECE>")
    first, second, *_ = talk.take()
    assert (first.payload_length, first.flags & CWR) == (1000, CWR)
    assert second.flags & CWR == 0
