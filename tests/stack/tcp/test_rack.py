"""RACK-TLP (RFC 8985): losses found by time, and tail loss probes."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.units import MS, SECOND
from motenet.stack.sockets.tcp.rack import Rack
from motenet.stack.sockets.tcp.scoreboard import Scoreboard
from motenet.stack.sockets.tcp.tail import MAX_ACK_DELAY, TailProbe

TRIP = 100 * MS


def streaming(tcp: SimpleNamespace, data: int = 40_000, **settings: object) -> SimpleNamespace:
    talk: SimpleNamespace = tcp.Conversation(**{"congestion_control": "newreno", **settings}).streaming(data)
    return talk


# --- RACK ---


def test_6_2_step_5_a_partial_acknowledgment_tells_of_the_next_loss(tcp: SimpleNamespace) -> None:
    """And nothing is reported any more."""
    talk = streaming(tcp, 10_000)
    talk.wait(TRIP)
    talk.ack(0, (1, 5))
    assert talk.numbers() == [0]
    talk.wait(TRIP)
    talk.ack(5)
    assert talk.numbers()[0] == 5


def test_3_1_a_lost_retransmission_is_found_by_what_was_sent_after_it(tcp: SimpleNamespace) -> None:
    """Without RACK that takes a timeout."""
    talk = streaming(tcp, 12_000)
    talk.wait(TRIP)
    talk.ack(0, (1, 9))
    assert talk.numbers() == [0, 10, 11]
    talk.wait(TRIP)
    talk.ack(0, (1, 11))
    assert talk.numbers() == [0]
    talk.wait(TRIP)
    talk.ack(12)
    assert talk.tcp.statistics["timeouts"] == 0


def test_6_2_step_3_once_reordering_was_seen_three_segments_are_no_proof(tcp: SimpleNamespace) -> None:
    talk = streaming(tcp)
    talk.wait(TRIP)
    talk.ack(0, (2, 3))
    talk.take()
    talk.wait(10 * MS)
    talk.ack(3)  # 0 and 1 come behind 2
    talk.take()
    assert talk.tcp.sender.rack.reordering
    talk.ack(3, (4, 9))
    assert 3 not in talk.numbers()
    talk.expire()
    assert 3 in talk.numbers()


def test_6_2_step_4_the_window_widens_with_d_sacks_and_narrows_after_sixteen_recoveries() -> None:
    rack = Rack()
    rack.delivered(TRIP, 2, 0, False)
    rack.delivered(TRIP, 1, 0, False)
    assert rack.window(True, TRIP) == TRIP // 4
    rack.duplicated(una=10, nxt=30)
    rack.duplicated(una=20, nxt=40)  # the same round trip
    assert rack.window(True, TRIP) == TRIP // 2
    rack.recovered()
    for nxt in range(50, 150, 10):
        rack.duplicated(una=nxt, nxt=nxt)
    assert rack.window(True, TRIP) == TRIP  # never more than SRTT
    for _ in range(15):
        rack.recovered()
    assert rack.multiplier > 1
    rack.recovered()
    assert rack.multiplier == 1


def test_6_2_step_2_an_acknowledgment_that_comes_too_soon_is_of_the_first_transmission() -> None:
    rack = Rack()
    rack.begin(0, TRIP)
    rack.delivered(SECOND, 5, 0, False)
    assert rack.minimum == TRIP
    rack.delivered(TRIP, 10, 0, False)
    rack.delivered(TRIP + 30 * MS, 20, TRIP, True)  # 30 ms after it was sent again: less than min_RTT
    assert rack.at == 0
    rack.delivered(TRIP + 120 * MS, 20, TRIP, True, before=TRIP)  # its timestamp tells the same
    assert rack.at == 0
    rack.delivered(TRIP + 120 * MS, 20, TRIP, True, before=TRIP + 1)
    assert (rack.at, rack.end, rack.rtt) == (TRIP, 20, 120 * MS)
    rack.delivered(TRIP + 120 * MS, 15, 0, False)  # step 3: 20 has come before, either time it was sent
    assert rack.reordering


@pytest.mark.parametrize(("tick", "believed"), [(9, False), (10, True)])
def test_6_2_step_2_timestamps_are_compared_in_their_own_ticks(tcp: SimpleNamespace, tick: int, believed: bool) -> None:
    """Sent again within tick 10 and answered 100.1 ms later in tick 111: an echo of tick 10 tells of that."""
    talk = tcp.Conversation(timestamps=True)
    talk.tcp.stamp_base = 0
    talk.streaming(10_000, "<MSS=1012><SACKOK=1><TS=5000/1>")
    sender, base = talk.tcp.sender, talk.clock.now
    talk.tcp.stamp_base = -base // MS
    talk.wait(10 * MS + 900_000)
    talk.ack(0, (1, 4), more="<TS=5001/1>")
    assert talk.numbers() == [0]
    talk.wait(TRIP + 100_000)
    talk.ack(1, (2, 4), more=f"<TS=5002/{tick}>")
    assert (sender.rack.at > base) == believed


@given(
    sent=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 20)), min_size=1, max_size=12),
    again=st.lists(st.integers(0, 60), max_size=4),
    sacks=st.lists(st.tuples(st.integers(0, 80), st.integers(1, 20)), min_size=1, max_size=5),
    window=st.sampled_from([0, 7, 50]),
)
def test_6_2_step_5_the_search_finds_what_the_definition_says(
    sent: list[tuple[int, int]], again: list[int], sacks: list[tuple[int, int]], window: int
) -> None:
    """The search ends early, at what was sent after all that was delivered; the definition looks at every segment."""
    board, rack = Scoreboard(), Rack()
    now = nxt = 0
    for length, pause in sent:
        now += pause
        board.sent(nxt, nxt + length, now)
        nxt += length
    for seq in again:
        now += 3
        if seq < nxt:
            board.resent(seq, min(seq + 4, nxt), now)
    now += 10
    for left, length in sacks:
        for found in board.sack(left, left + length):
            rack.delivered(now, found.right, found.at, found.again)
    flying = [(one.left, one.right, one.at) for one in board if one.state == 0]
    later = [one for one in flying if (rack.at, rack.end) > (one[2], one[1])]
    lost = [one for one in later if one[2] + rack.rtt + window <= now]
    due = [at + rack.rtt + window for left, right, at in later if at + rack.rtt + window > now]
    rack.detect(now, board, window)
    assert board.lost == sum(right - left for left, right, _ in lost)
    assert rack.due == min(due, default=rack.due)


# --- tail loss probes (7) ---


def test_7_2_the_probe_timeout() -> None:
    assert TailProbe.interval(0, False) == SECOND
    assert TailProbe.interval(TRIP, False) == 2 * TRIP
    assert TailProbe.interval(TRIP, True) == 2 * TRIP + MAX_ACK_DELAY


@pytest.mark.parametrize(("sizes", "wait"), [([1000], 400), ([1000, 500], 400), ([1000, 1000], 200)])
def test_7_2_what_the_peer_may_acknowledge_later_is_waited_for(
    tcp: SimpleNamespace, sizes: list[int], wait: int
) -> None:
    """RFC 9293, SHLD-19: it has to answer at once only to every second full segment."""
    talk = streaming(tcp, 10_000, nagle=False)
    talk.wait(TRIP)
    talk.ack(10)
    for size in sizes:
        talk.tcp.send(bytes(size))
        talk.take()
    assert talk.expire() == wait * MS


def test_7_3_the_last_segment_is_the_probe_and_its_answer_starts_the_recovery(tcp: SimpleNamespace) -> None:
    """The last three of ten are lost: RFC 8985, 3.2's example."""
    talk = streaming(tcp, 10_000)
    talk.wait(TRIP)
    talk.ack(7)
    assert talk.expire() == 2 * TRIP
    assert talk.numbers() == [9]
    talk.wait(TRIP)
    talk.ack(7, (9, 10))
    assert talk.numbers() == [7]  # RFC 9937: what has arrived is replaced
    talk.ack(8, (9, 10))
    assert talk.numbers() == [8]
    talk.wait(TRIP)
    talk.ack(10)
    figures = talk.tcp.statistics
    assert (figures["timeouts"], figures["loss_probes"], figures["fast_retransmits"]) == (0, 1, 1)
    threshold = talk.tcp.sender.congestion.threshold
    talk.tcp.send(bytes(1000))
    talk.take()
    talk.ack(11)
    assert talk.tcp.sender.congestion.threshold == threshold  # the probe's loss has been answered


def test_7_3_new_data_is_the_better_probe_whatever_the_congestion_window_says(tcp: SimpleNamespace) -> None:
    talk = streaming(tcp)
    assert talk.expire() == 2 * TRIP
    assert talk.numbers() == [10]
    assert talk.tcp.sender.board.pipe == 11_000


def test_7_3_behind_the_probe_comes_the_retransmission_timeout(tcp: SimpleNamespace) -> None:
    talk = streaming(tcp, 10_000)
    talk.expire()
    assert talk.numbers() == [9]
    assert talk.expire() == SECOND
    assert talk.numbers() == [0]
    assert talk.tcp.statistics["loss_probes"] == 1


@pytest.mark.parametrize(
    ("answers", "halved"),
    [
        ([(10, [])], False),  # it may have been either
        ([(10, [(9, 10)]), (11, [])], False),  # case 1: a D-SACK tells that nothing was lost
        ([(10, []), (10, []), (11, [])], False),  # case 3: the duplicate of a peer that sends no D-SACK
        ([(10, []), (10, [(7, 8)]), (11, [])], True),  # a D-SACK, but of something else
        ([(10, []), (11, [])], True),  # the probe was needed
    ],
    ids=["acknowledged", "d-sack", "duplicate", "another", "repaired"],
)
def test_7_4_2_a_loss_that_the_probe_has_repaired_is_congestion_too(
    tcp: SimpleNamespace, answers: list[tuple[int, list[tuple[int, int]]]], halved: bool
) -> None:
    talk = streaming(tcp, 10_000)
    control = talk.tcp.sender.congestion
    talk.expire()
    assert talk.numbers() == [9]
    window = control.window
    talk.wait(TRIP)
    for number, blocks in answers:
        if number == 11:
            talk.tcp.send(bytes(1000))
            talk.take()
        talk.ack(number, *blocks)
    assert (control.window < window) == halved
    assert talk.tcp.sender.board.pipe == 0


def test_7_1_without_sack_there_is_no_probe(tcp: SimpleNamespace) -> None:
    talk = tcp.Conversation().streaming(options="")
    assert talk.expire() == SECOND
    assert talk.numbers() == [0]


def test_a_probe_is_cancelled_by_the_answer_that_comes_first(tcp: SimpleNamespace) -> None:
    talk = streaming(tcp, 10_000)
    talk.room = 0
    talk.expire()
    assert talk.take() == []
    talk.ack(10)
    talk.room = 9
    assert talk.take() == []
    assert talk.tcp.poll_at(talk.clock.now) is None


# --- the timeout (8) ---


def test_8_lost_is_the_first_and_what_has_had_its_time(tcp: SimpleNamespace) -> None:
    """The loss probe has left less than a round trip before the RTO: it is not sent again with the others."""
    talk = streaming(tcp)
    sender = talk.tcp.sender
    talk.wait(950 * MS)
    talk.room = 1
    assert talk.numbers() == [10]
    talk.room = 99
    talk.wait(50 * MS)
    sender.rto_at = talk.clock.now
    assert talk.numbers() == [0]
    assert sender.board.lost == 9000
    assert sender.board.pipe == 2000


def test_a_snapshot_in_the_midst_of_recovery_goes_on_identically(tcp: SimpleNamespace) -> None:
    def play(*reloads: int) -> list[object]:
        talk = streaming(tcp)
        told: list[object] = []
        answers = [(1, [(3, 4)]), (1, [(3, 9)]), (1, [(3, 10)]), (3, [(4, 10)]), (11, [])]
        for step, (number, blocks) in enumerate(answers):
            talk.wait(60 * MS)
            talk.ack(number, *blocks)
            if step in reloads:
                talk.reload()
            told += [talk.numbers(), talk.tcp.poll_at(talk.clock.now), talk.tcp.save()["sender"]]
        return told

    assert play(0, 1, 2, 3) == play()
