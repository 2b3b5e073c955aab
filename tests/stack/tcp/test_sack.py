"""Selective acknowledgments: reports (RFC 2018, RFC 2883), and recovery by them (RFC 6675, RFC 9937, RFC 3042)."""

from types import SimpleNamespace

import pytest

from motenet.core.units import MS, SECOND
from motenet.stack.sockets.tcp.prr import Prr

TRIP = 100 * MS


def streaming(tcp: SimpleNamespace, data: int = 40_000, **settings: object) -> SimpleNamespace:
    talk: SimpleNamespace = tcp.Conversation(**{"congestion_control": "newreno", **settings}).streaming(data)
    return talk


# --- the receiver (RFC 2018, 4; RFC 2883, 4) ---


def receiving(tcp: SimpleNamespace) -> SimpleNamespace:
    talk = tcp.in_state(tcp.State.SYN_SENT)
    talk.send("<SEQ=300><ACK=101><CTL=SYN,ACK><SACKOK=1>")
    talk.take()
    return talk


def arrive(talk: SimpleNamespace, seq: int, length: int, *acks: str) -> None:
    """Data arrives; these are the acknowledgments that go out at once."""
    reply = talk.send(f"<SEQ={seq}><ACK=101><CTL=ACK><DATA={length}>")
    assert reply == ""
    talk.recv(*acks)


def test_rfc_2018_4_the_block_that_grew_last_comes_first(tcp: SimpleNamespace) -> None:
    """RFC 2018, 7, case 3: of eight segments of 500 bytes each the even ones are lost, then the fourth comes."""
    talk = receiving(tcp)
    arrive(talk, 801, 500, "<ACK=301><CTL=ACK><SACK=801-1301>")
    arrive(talk, 1801, 500, "<ACK=301><CTL=ACK><SACK=1801-2301 801-1301>")
    arrive(talk, 2801, 500, "<ACK=301><CTL=ACK><SACK=2801-3301 1801-2301 801-1301>")
    arrive(talk, 2301, 500, "<ACK=301><CTL=ACK><SACK=1801-3301 801-1301>")
    arrive(talk, 301, 500, "<ACK=1301><CTL=ACK><SACK=1801-3301>")


@pytest.mark.parametrize(("stamps", "blocks"), [("", 4), ("<TS=9/0>", 3)])
def test_rfc_2018_3_as_many_blocks_as_the_options_hold(tcp: SimpleNamespace, stamps: str, blocks: int) -> None:
    talk = tcp.Conversation(timestamps=True)
    talk.connect()
    talk.take()
    talk.send(f"<SEQ=300><ACK=101><CTL=SYN,ACK><SACKOK=1>{stamps}")
    for number in range(1, 7):
        talk.send(f"<SEQ={301 + 200 * number}><ACK=101><CTL=ACK><DATA=100>{stamps}")
    assert {len(one.sack) for one in talk.take() if one.sack} == {blocks}


def test_rfc_2883_4_1_1_a_full_duplicate_is_reported_once(tcp: SimpleNamespace) -> None:
    """The example there: 3000-3499 and 3500-3999 have been acknowledged, the acknowledgments are lost."""
    talk = receiving(tcp)
    arrive(talk, 301, 500)
    arrive(talk, 801, 500)
    talk.wait_for("<ACK=1301><CTL=ACK><SACK=>")
    reply = talk.tcp.process(talk.clock.now, tcp.B[0], tcp.A[0], tcp.segment(
        "<SEQ=301><ACK=101><CTL=ACK><DATA=500>", tcp.B, tcp.A))  # fmt: skip
    assert tcp.shown(reply, "<ACK=0><CTL=ACK><SACK=>") == "<ACK=1301><CTL=ACK><SACK=301-801>"
    arrive(talk, 1301, 500)
    talk.wait_for("<ACK=1801><CTL=ACK><SACK=>")


def test_rfc_2883_4_1_3_a_duplicate_out_of_order_with_the_block_that_holds_it(tcp: SimpleNamespace) -> None:
    talk = receiving(tcp)
    arrive(talk, 801, 500, "<ACK=301><CTL=ACK><SACK=801-1301>")
    arrive(talk, 1301, 500, "<ACK=301><CTL=ACK><SACK=801-1801>")
    arrive(talk, 1301, 500, "<ACK=301><CTL=ACK><SACK=1301-1801 801-1801>")
    arrive(talk, 1801, 500, "<ACK=301><CTL=ACK><SACK=801-2301>")


def test_rfc_2883_4_2_3_of_a_partial_duplicate_the_part_is_reported(tcp: SimpleNamespace) -> None:
    talk = receiving(tcp)
    arrive(talk, 801, 500, "<ACK=301><CTL=ACK><SACK=801-1301>")
    arrive(talk, 301, 1000, "<ACK=1301><CTL=ACK><SACK=801-1301>")


def test_rfc_2018_2_nothing_is_reported_to_a_peer_that_has_not_agreed(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    arrive(talk, 801, 500, "<ACK=301><CTL=ACK><SACK=>")
    arrive(talk, 801, 500, "<ACK=301><CTL=ACK><SACK=>")


# --- the sender: recovery step by step ---


def test_rfc_6675_5_recovery_with_prr(tcp: SimpleNamespace) -> None:
    """Of ten segments 0 and 3 are lost; the others arrive one by one, each answered by an acknowledgment."""
    talk = streaming(tcp)
    control, board = talk.tcp.sender.congestion, talk.tcp.sender.board
    talk.wait(TRIP)
    talk.ack(0, (1, 2))
    assert talk.numbers() == [10]  # RFC 3042: what has left the network makes room
    talk.ack(0, (1, 3))
    assert talk.numbers() == [11]
    assert not talk.tcp.sender.recovering
    talk.ack(0, (4, 5), (1, 3))  # the third: step (4)
    assert talk.tcp.sender.recovering
    assert talk.tcp.sender.recover == 101 + 12_000  # (4.1) RecoveryPoint <- HighData
    assert control.threshold == 5000  # (4.2) FlightSize / 2, without the two of limited transmit (RFC 5681, 3.2)
    assert talk.tcp.sender.prr.flight == 10_000  # RFC 9937, 6.1: without the two that were reported before
    assert talk.numbers() == [0]  # (4.3); pipe was 12 - 3 - 2 = 7; RFC 9937: sndcnt = ceil(1 * 5 / 10) - 0 = 1
    assert talk.tcp.sender.rto_at == talk.clock.now + SECOND
    talk.ack(0, (4, 6), (1, 3))
    assert talk.numbers() == []  # ceil(2 * 5 / 10) - 1 = 0
    talk.ack(0, (4, 7), (1, 3))
    assert talk.numbers() == []  # ceil(3 * 5 / 10) - 1, in bytes: half a segment
    talk.ack(0, (4, 8), (1, 3))
    assert talk.numbers() == []  # pipe has come down to ssthresh
    talk.ack(0, (4, 9), (1, 3))
    assert talk.numbers() == [3]
    assert board.pipe == control.threshold
    talk.wait(TRIP)
    talk.ack(12)
    assert control.window == control.threshold == 5000  # RFC 9937, 6.2: at the end
    assert not talk.tcp.sender.recovering
    assert talk.tcp.statistics["retransmissions"] == 2
    assert talk.tcp.statistics["timeouts"] == 0


def test_rfc_9937_6_2_the_formula_over_a_recovery() -> None:
    """Of 20 segments one is lost, ssthresh is half: every second acknowledgment lets one segment go."""
    prr = Prr()
    prr.window(3, 9, 5, 1, True)  # of another recovery
    prr.out = 2
    prr.start(20)
    pipe, sent = 20 - 1, []
    for _ in range(19):
        pipe -= 1
        room = prr.window(1, pipe, 10, 1, False) - pipe
        sent.append(room)
        prr.out += room
        pipe += room
    assert sent[:6] == [1, 0, 1, 0, 1, 0]
    assert pipe == 10
    assert prr.out == 10  # "the total data sent during recovery is ssthresh / RecoverFS of what was delivered"


def test_rfc_9937_6_2_what_refills_a_pipe_that_losses_have_emptied() -> None:
    prr = Prr()
    prr.start(20)
    assert prr.window(2, 4, 10, 1, False) - 4 == 2  # PRR-CRB: what was delivered
    prr.out += 1
    assert prr.window(1, 6, 10, 1, False) - 6 == 2  # max(prr_delivered - prr_out, DeliveredData)
    prr.out += 2
    assert prr.window(1, 6, 10, 1, True) - 6 == 2  # PRR-SSRB, after a SafeACK: one more
    prr.out += 2
    assert prr.window(8, 9, 10, 1, True) - 9 == 1  # never beyond ssthresh


def test_rfc_6675_4_rule_4_the_end_is_rescued_once(tcp: SimpleNamespace) -> None:
    """All is sent; the second and the last two of ten are lost. Without new data nothing else would tell of them."""
    talk = streaming(tcp, 10_000)
    talk.wait(TRIP)
    talk.ack(1)
    talk.ack(1, (2, 8))
    assert talk.numbers() == [1, 9]
    talk.ack(1, (2, 8))
    assert talk.numbers() == []
    talk.wait(TRIP)
    talk.ack(8, (9, 10))  # what was sent after it has come: RACK finds 8
    assert talk.numbers() == [8]
    talk.ack(10)
    assert talk.tcp.statistics["timeouts"] == 0
    assert talk.tcp.sender.flight == 0


def test_rfc_6675_5_step_1_three_duplicate_acknowledgments_are_enough_of_small_segments_too(
    tcp: SimpleNamespace,
) -> None:
    talk = streaming(tcp, 10_000, nagle=False)
    talk.ack(10)
    for _ in range(5):
        talk.tcp.send(bytes(10))
        talk.take()
    talk.wait(TRIP)
    for count in range(1, 4):
        assert not talk.tcp.sender.recovering
        talk.send(f"<SEQ=301><ACK=10101><CTL=ACK><SACK=10111-{10111 + 10 * count}>")
    assert talk.tcp.sender.recovering


def test_rfc_2883_5_a_d_sack_of_what_was_not_sent_again_changes_nothing(tcp: SimpleNamespace) -> None:
    talk = streaming(tcp)
    talk.wait(TRIP)
    talk.ack(5, (0, 1))
    talk.ack(5, (6, 9))
    assert talk.numbers()[0] == 5
    talk.ack(5, (0, 1))
    assert talk.tcp.sender.rack.multiplier == 1
    assert talk.tcp.sender.recovering


@pytest.mark.parametrize("control", ["newreno", "none"])
def test_shld_15_what_a_shrunken_window_leaves_out_is_not_rescued(tcp: SimpleNamespace, control: str) -> None:
    talk = streaming(tcp, 10_000, congestion_control=control)
    talk.wait(TRIP)
    talk.ack(0, (1, 9), more="<WND=5000>")
    assert talk.numbers() == [0]


@pytest.mark.parametrize("blocks", [(), ((2, 3),)])
def test_rfc_6675_2_what_tells_nothing_new_is_no_duplicate_acknowledgment(
    tcp: SimpleNamespace, blocks: tuple[tuple[int, int], ...]
) -> None:
    """A network that doubles packets makes the peer's acknowledgments come twice without anything being lost."""
    talk = streaming(tcp)
    talk.wait(TRIP)
    for _ in range(5):
        talk.ack(0, *blocks)
        talk.take()
    assert talk.tcp.statistics["fast_retransmits"] == 0


def test_rfc_2018_8_after_a_timeout_what_the_peer_has_thrown_away_is_sent_again(tcp: SimpleNamespace) -> None:
    """It has reported segments 1 to 9, and then acknowledges 0 alone: it has reneged."""
    talk = streaming(tcp, 10_000)
    talk.wait(TRIP)
    talk.ack(0, (1, 10))
    assert talk.numbers() == [0]
    talk.wait(TRIP)
    talk.ack(1)
    assert talk.numbers() == []
    assert talk.expire() >= SECOND
    assert talk.numbers() == [1]
    talk.ack(2)
    assert talk.numbers() == [2, 3]


def test_a_peer_that_reports_what_was_never_sent_is_not_believed(tcp: SimpleNamespace) -> None:
    talk = streaming(tcp)
    before = talk.tcp.sender.board.save()
    talk.wait(TRIP)
    talk.ack(0, (10, 20), (5, 4))
    assert talk.tcp.sender.board.save() == before


def test_segments_for_the_card_to_cut_are_repaired_by_ranges(tcp: SimpleNamespace) -> None:
    """Of one segment of ten pieces the second to the sixth, and then the eighth, are lost."""
    talk = tcp.Conversation(congestion_control="none", max_segmented=64_000)
    talk.connect()
    talk.take()
    talk.wait(TRIP)
    talk.send("<SEQ=300><ACK=101><CTL=SYN,ACK><MSS=1000><WND=10000><SACKOK=1>")
    talk.take()
    talk.tcp.send(tcp.stream(101, 10_000))
    assert [one.payload_length for one in talk.take()] == [10_000]
    talk.wait(TRIP)
    talk.ack(1, (8, 10), (6, 7), more="<WND=9000>")
    sent = talk.take()
    assert [(one.seq - 101, one.payload_length, one.segment_size) for one in sent] == [
        (1000, 5000, 1000),
        (7000, 1000, 0),
    ]
    assert b"".join(sent[0].payload) == tcp.stream(1101, 5000)


# --- needless recoveries (RFC 3522, RFC 4015, RFC 2883, 5.1) ---


def test_d_sacks_for_all_that_was_sent_again_give_the_window_back(tcp: SimpleNamespace) -> None:
    """Segment 0 was only late: what was sent again arrives twice, and the peer says so."""
    talk = streaming(tcp)
    control = talk.tcp.sender.congestion
    talk.wait(TRIP)
    talk.ack(0, (1, 4))
    assert talk.numbers()[0] == 0
    assert control.threshold == 5000
    talk.ack(4)
    talk.take()
    assert control.window <= 10_000
    talk.wait(TRIP)
    talk.ack(10, (0, 1))
    assert talk.tcp.statistics["undone"] == 1
    assert control.window >= 10_000
    assert not talk.tcp.sender.recovering


def test_rfc_3522_an_echo_from_before_the_retransmission_undoes_a_timeout(tcp: SimpleNamespace) -> None:
    """The path took more than a second, once."""
    talk = tcp.Conversation(timestamps=True, congestion_control="newreno")
    talk.tcp.stamp_base = 0
    talk.streaming(options="<MSS=1012><SACKOK=1><TS=5000/1>")
    sent = talk.clock.now // MS + talk.tcp.stamp_base
    talk.expire()
    talk.take()  # a loss probe
    talk.expire()
    assert talk.numbers() == [0]
    assert talk.tcp.sender.congestion.window <= 2000
    talk.ack(0, (1, 2), more=f"<TS=5001/{sent & 0xFFFFFFFF}>")  # no answer to it
    talk.wait(10 * MS)
    talk.ack(1, more=f"<TS=5001/{sent & 0xFFFFFFFF}>")
    assert talk.tcp.statistics["undone"] == 1
    assert talk.tcp.sender.congestion.window >= 10_000
    assert talk.numbers() == [10, 11] or talk.tcp.sender.board.lost == 0
