"""Loss: RFC 6298 (the timer), RFC 5681 and 6582 (congestion, fast retransmit), RFC 3042, RFC 6928, RFC 7323, 4."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.units import MS, SECOND
from motenet.stack.sockets.tcp.congestion import CONTROLS, CongestionControl
from motenet.stack.sockets.tcp.congestion.newreno import NewReno
from motenet.stack.sockets.tcp.timers import RoundTrip

MSS = 1000


def ready(tcp: SimpleNamespace, data: int = 40_000, **settings: object) -> SimpleNamespace:
    """An established connection with MSS 1000 and data to send; its first ten segments are out."""
    talk = tcp.in_state(tcp.State.SYN_SENT, **{"congestion_control": "newreno", **settings})
    talk.send("<SEQ=300><ACK=101><CTL=SYN,ACK><MSS=1000>")
    talk.take()
    talk.tcp.send(tcp.stream(101, data))
    assert [one.seq for one in talk.take()] == [101 + MSS * n for n in range(10)]
    return talk


def seqs(talk: SimpleNamespace) -> list[int]:
    """Which segments go out now, counted from the first."""
    return [(one.seq - 101) // MSS for one in talk.take()]


def ack(talk: SimpleNamespace, number: int) -> None:
    """The peer has everything before segment `number`."""
    talk.send(f"<SEQ=301><ACK={101 + MSS * number}><CTL=ACK>")


# --- the estimator (RFC 6298, 2) ---


def test_rfc_6298_2_the_formulas_with_their_own_numbers() -> None:
    """MUST-18."""
    rtt = RoundTrip()
    assert rtt.timeout == SECOND  # (2.1)
    rtt.sample(800 * MS)  # (2.2): SRTT <- R, RTTVAR <- R/2, RTO <- SRTT + 4 * RTTVAR
    assert (rtt.smoothed, rtt.variance, rtt.timeout) == (800 * MS, 400 * MS, 2400 * MS)
    rtt.sample(1600 * MS)  # (2.3): RTTVAR <- 3/4 * 400 + 1/4 * |800 - 1600|, SRTT <- 7/8 * 800 + 1/8 * 1600
    assert (rtt.smoothed, rtt.variance, rtt.timeout) == (900 * MS, 500 * MS, 2900 * MS)


def test_rfc_6298_2_4_and_2_5_the_rto_stays_between_one_and_sixty_seconds() -> None:
    rtt = RoundTrip()
    rtt.sample(MS)
    assert rtt.timeout == SECOND
    rtt.sample(100 * SECOND)
    assert rtt.timeout == 60 * SECOND


@given(samples=st.lists(st.integers(0, 10**12), min_size=1))
def test_the_rto_is_never_out_of_bounds(samples: list[int]) -> None:
    rtt = RoundTrip()
    for sample in samples:
        rtt.sample(sample)
        assert SECOND <= rtt.timeout <= 60 * SECOND
        assert 0 < rtt.smoothed <= max(10**12, *samples)
        rtt.back_off()
        assert rtt.timeout <= 60 * SECOND


# --- the timer (RFC 6298, 5) ---


def test_rfc_6298_5_5_the_rto_doubles_with_each_expiry(tcp: SimpleNamespace) -> None:
    """MUST-19."""
    talk = tcp.established()
    talk.tcp.send(b"abc")
    talk.take()
    waits = [talk.wait_for("<SEQ=101><ACK=301><CTL=ACK><DATA=abc>") // SECOND for _ in range(7)]
    assert waits == [1, 2, 4, 8, 16, 32, 60]


def test_rfc_6298_5_3_an_acknowledgment_of_new_data_restarts_the_timer(tcp: SimpleNamespace) -> None:
    talk = ready(tcp, 10_000)
    talk.wait(900 * MS)
    ack(talk, 1)
    assert seqs(talk) == []
    assert talk.tcp.poll_at(talk.clock.now) == talk.clock.now + talk.tcp.sender.rtt.timeout


def test_rfc_6298_5_2_when_all_is_acknowledged_the_timer_is_off(tcp: SimpleNamespace) -> None:
    talk = ready(tcp, 10_000)
    ack(talk, 10)
    assert seqs(talk) == []
    assert talk.tcp.poll_at(talk.clock.now) is None


def test_must_18_karn_no_measurement_of_what_was_sent_twice(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.tcp.send(b"abc")
    talk.take()
    talk.wait_for("<SEQ=101><ACK=301><CTL=ACK><DATA=abc>")
    talk.wait(10 * MS)
    measured = talk.tcp.sender.rtt.smoothed
    talk.send("<SEQ=301><ACK=104><CTL=ACK>")
    assert talk.tcp.sender.rtt.smoothed == measured
    assert talk.tcp.sender.rtt.timeout == 2 * SECOND  # the backed-off value stays ...
    talk.tcp.send(b"def")
    talk.take()
    talk.wait(50 * MS)
    talk.send("<SEQ=301><ACK=107><CTL=ACK>")
    assert talk.tcp.sender.rtt.timeout == SECOND  # ... until new data is acknowledged (RFC 9293, 3.8.2)


def test_must_20_after_r2_the_connection_is_closed(tcp: SimpleNamespace) -> None:
    talk = tcp.established(user_timeout=100 * SECOND)
    talk.tcp.send(b"abc")
    talk.take()
    retransmitted = 0
    while talk.tcp.state == "ESTABLISHED":
        talk.clock.now = talk.tcp.poll_at(talk.clock.now)
        sent = talk.take()
        retransmitted += len([one for one in sent if one.payload_length])
    assert talk.clock.now == 100 * SECOND
    assert retransmitted == 6  # at 1, 3, 7, 15, 31 and 63 seconds
    assert isinstance(talk.tcp.error, TimeoutError)


def test_must_21_r2_can_be_infinite(tcp: SimpleNamespace) -> None:
    talk = tcp.established(user_timeout=None)
    talk.tcp.send(b"abc")
    talk.take()
    while talk.clock.now < 3600 * SECOND:
        talk.wait_for("<SEQ=101><ACK=301><CTL=ACK><DATA=abc>")
    assert talk.tcp.state == "ESTABLISHED"


def test_must_20_and_shld_9_ip_and_the_application_hear_of_trouble_at_r1(tcp: SimpleNamespace) -> None:
    """SHLD-10: after three retransmissions."""
    talk = tcp.established()
    events: list[str] = []
    suspects: list[bytes] = []
    talk.tcp.watch = lambda event: events.append(event.what)
    talk.tcp.suspect = suspects.append
    talk.tcp.send(b"abc")
    talk.take()
    for retransmission in range(4):
        assert events == ["tcp-trouble"] * (retransmission >= 3)
        assert suspects == [tcp.B[0]] * (retransmission >= 3)
        woken = talk.woken
        talk.wait_for("<SEQ=101><ACK=301><CTL=ACK><DATA=abc>")
        assert talk.woken == woken + (retransmission == 2)


# --- slow start and congestion avoidance (RFC 5681, 3.1) ---


def test_must_19_slow_start_doubles_the_window_each_round_trip(tcp: SimpleNamespace) -> None:
    talk = ready(tcp, 100_000)
    for number in range(1, 11):
        ack(talk, number)
    assert len(seqs(talk)) == 20


def test_must_19_congestion_avoidance_adds_one_segment_each_round_trip() -> None:
    control = NewReno()
    control.start(MSS, False)
    control.lost(0, 20 * MSS)
    control.take(control.threshold)
    assert control.window == control.threshold == 10 * MSS
    for _ in range(10):
        control.acknowledged(0, MSS, control.window, 0)
    assert control.window == 11 * MSS
    for _ in range(10):
        control.acknowledged(0, MSS, control.window, 0)
    assert control.window == 11 * MSS  # the eleventh is still missing
    control.acknowledged(0, MSS, control.window, 0)
    assert control.window == 12 * MSS


def test_rfc_7661_4_3_a_window_that_is_not_used_does_not_grow() -> None:
    control = NewReno()
    control.start(MSS, False)
    for _ in range(50):
        control.acknowledged(0, MSS, 4 * MSS, 0)
    assert control.window == 10 * MSS


def test_rfc_5681_3_1_a_timeout_leaves_one_segment_and_half_the_flight_as_threshold(tcp: SimpleNamespace) -> None:
    talk = ready(tcp)
    talk.clock.now = talk.tcp.poll_at(talk.clock.now)
    assert seqs(talk) == [0]
    assert talk.tcp.sender.congestion.threshold == 5 * MSS
    talk.clock.now = talk.tcp.poll_at(talk.clock.now)
    assert seqs(talk) == [0]
    assert talk.tcp.sender.congestion.threshold == 5 * MSS  # the same segment again: it is held constant
    ack(talk, 1)
    assert seqs(talk) == [1, 2]  # slow start, going back to what was not acknowledged


def test_the_card_cuts_whole_segments_also_of_what_is_sent_again(tcp: SimpleNamespace) -> None:
    talk = tcp.in_state(tcp.State.SYN_SENT, max_segmented=64_000)
    talk.send("<SEQ=300><ACK=101><CTL=SYN,ACK><MSS=1000>")
    talk.tcp.send(tcp.stream(101, 40_000))
    talk.take()
    talk.clock.now = talk.tcp.poll_at(0)
    assert [one.payload_length for one in talk.take()] == [1000]
    talk.tcp.sender.congestion.take(3500)
    assert [one.payload_length for one in talk.take()] == [2000]


def test_after_a_timeout_what_had_arrived_is_skipped(tcp: SimpleNamespace) -> None:
    talk = ready(tcp)
    talk.clock.now = talk.tcp.poll_at(talk.clock.now)
    assert seqs(talk) == [0]
    ack(talk, 10)
    assert seqs(talk) == [10, 11]  # RFC 3465, 2.3: the jump counts as one segment


@pytest.mark.parametrize(("pause", "window"), [(500 * MS, 20), (1500 * MS, 10)])
def test_rfc_5681_4_1_after_a_pause_of_an_rto_the_window_restarts(
    tcp: SimpleNamespace, pause: int, window: int
) -> None:
    talk = ready(tcp, 10_000)
    for number in range(1, 11):
        ack(talk, number)
    assert talk.tcp.sender.congestion.window == 20 * MSS
    talk.wait(pause)
    talk.tcp.send(bytes(60_000))
    assert len(seqs(talk)) == window


# --- fast retransmit and recovery (RFC 5681, 3.2; RFC 6582; RFC 3042) ---


def test_rfc_6582_3_2_recovery_step_by_step(tcp: SimpleNamespace) -> None:
    """Of ten segments the first and the fourth are lost."""
    talk = ready(tcp)
    control = talk.tcp.sender.congestion
    ack(talk, 0)
    assert seqs(talk) == [10]  # RFC 3042: a duplicate acknowledgment lets a new segment go
    ack(talk, 0)
    assert seqs(talk) == [11]
    assert control.window == 10 * MSS
    ack(talk, 0)
    assert control.threshold == 5 * MSS  # step 2: max(FlightSize / 2, 2 * SMSS), without limited transmit's two
    assert control.window == 8 * MSS  # ssthresh + 3 * SMSS
    assert seqs(talk) == [0]  # step 3
    for _ in range(5):  # of the eight that have arrived behind the first, the rest
        ack(talk, 0)
    assert control.window == 13 * MSS  # step 4
    assert seqs(talk) == [12]  # step 5
    ack(talk, 3)  # partial
    assert control.window == 11 * MSS  # deflated by 3, and one added
    assert seqs(talk) == [3, 13]
    talk.wait(10 * MS)
    ack(talk, 12)  # full: `recover` was 12 segments
    assert control.window == 3 * MSS  # min(ssthresh, max(FlightSize, SMSS) + SMSS), with 2 in flight
    assert not talk.tcp.sender.recovering
    assert seqs(talk) == [14]
    assert talk.tcp.statistics["timeouts"] == 0
    assert talk.tcp.statistics["retransmissions"] == 2


def test_a_second_loss_right_after_recovery_is_found_too(tcp: SimpleNamespace) -> None:
    talk = ready(tcp)
    for _ in range(3):
        ack(talk, 0)
        seqs(talk)
    ack(talk, 12)
    sent = seqs(talk)
    assert sent[0] == 12
    for _ in range(3):
        ack(talk, 12)
        sent = seqs(talk)
    assert 12 in sent


def test_rfc_6582_3_2_step_1_duplicates_of_what_was_sent_again_are_no_new_loss(tcp: SimpleNamespace) -> None:
    """After a timeout, `recover` keeps the go-back's own duplicates from starting a fast retransmit."""
    talk = ready(tcp)
    talk.clock.now = talk.tcp.poll_at(talk.clock.now)
    assert seqs(talk) == [0]
    ack(talk, 5)
    seqs(talk)
    for _ in range(4):
        ack(talk, 5)
        seqs(talk)
    assert talk.tcp.statistics["fast_retransmits"] == 0


@pytest.mark.parametrize(
    "text",
    ["<SEQ=301><ACK=101><CTL=ACK><DATA=1>", "<SEQ=301><ACK=101><CTL=ACK><WND=60000>", "<SEQ=301><ACK=100><CTL=ACK>"],
    ids=["data", "window", "older"],
)
def test_rfc_5681_2_what_is_no_duplicate_acknowledgment(tcp: SimpleNamespace, text: str) -> None:
    talk = ready(tcp)
    for number in range(3):
        talk.send(text.replace("60000", str(60_000 + number)))
        talk.take()
    assert talk.tcp.statistics["fast_retransmits"] == 0


def test_rfc_6582_the_first_partial_acknowledgment_restarts_the_timer(tcp: SimpleNamespace) -> None:
    talk = ready(tcp)
    for _ in range(3):
        ack(talk, 0)
    seqs(talk)
    talk.wait(500 * MS)
    window = talk.tcp.sender.congestion.window
    ack(talk, 1)
    assert talk.tcp.sender.congestion.window == window  # deflated by one segment, and one added
    seqs(talk)
    at = talk.tcp.sender.rto_at
    assert at == talk.clock.now + talk.tcp.sender.rtt.timeout
    talk.wait(100 * MS)
    ack(talk, 2)
    assert talk.tcp.sender.rto_at == at


def test_without_congestion_control_only_the_peers_window_counts(tcp: SimpleNamespace) -> None:
    talk = tcp.in_state(tcp.State.SYN_SENT, congestion_control="none")
    talk.send("<SEQ=300><ACK=101><CTL=SYN,ACK><MSS=1000><WND=65535>")
    talk.tcp.send(bytes(100_000))
    assert len([one for one in talk.take() if one.payload_length]) == 65
    for _ in range(3):
        ack(talk, 0)
    assert seqs(talk)[0] == 0
    assert talk.tcp.statistics["fast_retransmits"] == 1


@given(
    name=st.sampled_from(sorted(CONTROLS)),
    events=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 100_000), st.integers(0, 10**11)), max_size=50),
)
def test_a_window_never_falls_below_one_segment(name: str, events: list[tuple[int, int, int]]) -> None:
    control: CongestionControl = CONTROLS[name]()
    control.start(MSS, False)
    now = 0
    for event, length, number in events:
        now, flight = now + number, number % 200_000
        calls: list[tuple[Callable[..., None], tuple[int, ...]]] = [
            (control.acknowledged, (now, length, flight, number)),
            (control.acknowledged, (now, length, control.window, number)),
            (control.lost, (now, flight)),
            (control.timed_out, (now, flight, length & 1)),
            (control.undo, ()),
            (control.take, (flight,)),
            (control.idle, (now,)),
        ]
        method, arguments = calls[event]
        method(*arguments)
        assert control.window >= MSS


# --- timestamps (RFC 7323, 3 to 5) ---


def stamped(tcp: SimpleNamespace) -> SimpleNamespace:
    talk = tcp.Conversation(timestamps=True)
    talk.connect()
    talk.tcp.stamp_base = 0
    talk.take()
    talk.send("<SEQ=300><ACK=101><CTL=SYN,ACK><TS=1000/0>")
    talk.recv("<SEQ=101><ACK=301><CTL=ACK><TS=0/1000>")
    return talk


def test_rfc_7323_4_3_the_echo_is_of_the_segment_that_caused_the_acknowledgment(tcp: SimpleNamespace) -> None:
    talk = stamped(tcp)
    talk.wait(7 * MS)
    talk.send("<SEQ=301><ACK=101><CTL=ACK><TS=1001/0><DATA=100>")
    talk.send("<SEQ=401><ACK=101><CTL=ACK><TS=1002/0><DATA=100>")  # a delayed ACK: the earlier stamp is echoed
    talk.wait(10 * MS)
    talk.recv("<SEQ=101><ACK=501><CTL=ACK><TS=17/1001>")
    talk.send("<SEQ=601><ACK=101><CTL=ACK><TS=1004/0><DATA=100>")  # a gap: that of the last in order
    talk.recv("<SEQ=101><ACK=501><CTL=ACK><TS=17/1001>")
    talk.send("<SEQ=501><ACK=101><CTL=ACK><TS=1003/0><DATA=100>")  # the gap is filled
    talk.recv("<SEQ=101><ACK=701><CTL=ACK><TS=17/1003>")


def test_rfc_7323_5_paws_drops_an_old_duplicate(tcp: SimpleNamespace) -> None:
    talk = stamped(tcp)
    talk.send("<SEQ=301><ACK=101><CTL=ACK><TS=2000/0><DATA=10>")
    talk.wait_for("<SEQ=101><ACK=311><CTL=ACK><TS=10/2000>")
    assert talk.send("<SEQ=311><ACK=101><CTL=ACK><TS=1999/0><DATA=10>") == "<SEQ=101><ACK=311><CTL=ACK>"
    assert talk.tcp.recv(100) == tcp.stream(301, 10)
    talk.send("<SEQ=311><CTL=RST><TS=5/0>")  # resets are not subject to PAWS
    assert talk.tcp.state == "CLOSED"


def test_rfc_7323_5_5_an_outdated_stamp_does_not_block_the_connection(tcp: SimpleNamespace) -> None:
    talk = stamped(tcp)
    talk.wait(25 * 86_400 * SECOND)
    talk.send("<SEQ=301><ACK=101><CTL=ACK><TS=999/0><DATA=10>")
    assert talk.tcp.recv(100) == tcp.stream(301, 10)
    assert talk.send("<SEQ=311><ACK=101><CTL=ACK><TS=998/0><DATA=10>") == "<SEQ=101><ACK=311><CTL=ACK>"
    assert not talk.tcp.can_recv


def test_rfc_7323_3_2_a_segment_without_the_agreed_timestamps_is_dropped(tcp: SimpleNamespace) -> None:
    talk = stamped(tcp)
    assert talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=10>") == ""
    assert not talk.tcp.can_recv


def test_rfc_7323_4_1_timestamps_measure_what_was_sent_again(tcp: SimpleNamespace) -> None:
    talk = stamped(tcp)
    talk.tcp.send(b"abc")
    talk.take()
    talk.wait_for("<SEQ=101><ACK=301><CTL=ACK><DATA=abc><TS=1000/1000>")
    talk.wait(80 * MS)
    talk.send("<SEQ=301><ACK=104><CTL=ACK><TS=1100/1000>")
    assert talk.tcp.sender.rtt.backoffs == 0
    assert talk.tcp.sender.rtt.timeout == SECOND


def test_an_echo_of_the_first_transmission_is_no_measurement_after_a_timeout(tcp: SimpleNamespace) -> None:
    """The acknowledgment was lost, not the data: the peer answers the repetition with the stamp of what it has."""
    talk = stamped(tcp)
    talk.tcp.send(b"abc")
    talk.take()
    talk.wait_for("<SEQ=101><ACK=301><CTL=ACK><DATA=abc>")
    before = talk.tcp.sender.rtt.smoothed
    talk.send("<SEQ=301><ACK=104><CTL=ACK><TS=1100/1>")
    assert talk.tcp.sender.rtt.smoothed == before


def test_rfc_3522_progress_ends_the_backoff_though_it_is_no_measurement(tcp: SimpleNamespace) -> None:
    """Five times: a path slower than the RTO is measured only while that backs off (Karn)."""
    talk = stamped(tcp)
    sender = talk.tcp.sender
    for waits, left in [([1, 2, 4], 0)] * 5 + [([1], 1)]:
        talk.tcp.send(b"abc")
        (sent,) = talk.take()
        for wait in waits:
            assert talk.wait_for("<ACK=301><CTL=ACK><DATA=abc>") == wait * SECOND
        talk.wait(100 * MS)
        talk.send(f"<SEQ=301><ACK={sent.seq + 3}><CTL=ACK><TS=1100/{sent.timestamps[0] or 1}>")
        assert sender.rtt.backoffs == left
