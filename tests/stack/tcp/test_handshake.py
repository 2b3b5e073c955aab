"""Opening a connection: RFC 9293, 3.4.1, 3.5, 3.7.1 and 3.10.7.2 to 3; RFC 6528; RFC 7323, 2."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.units import MS, SECOND
from motenet.stack.errors import AddressNotAvailable, BrokenPipe, NotConnected, StackError
from motenet.stack.sockets.tcp import State
from motenet.stack.sockets.tcp.handshake import initial_sequence

HERE, THERE = (bytes((10, 0, 0, 1)), 1024), (bytes((10, 0, 0, 2)), 80)


# --- initial sequence numbers ---


def test_must_8_the_isn_advances_with_the_clock_by_one_in_four_microseconds() -> None:
    first = initial_sequence(b"secret", 0, HERE, THERE)
    assert initial_sequence(b"secret", SECOND, HERE, THERE) == (first + 250_000) % 2**32


@given(key=st.binary(min_size=1, max_size=31), port=st.integers(1, 65535))
def test_shld_1_the_isn_depends_on_connection_and_secret(key: bytes, port: int) -> None:
    isn = initial_sequence(key, 0, HERE, (THERE[0], port))
    assert 0 <= isn < 2**32
    assert isn != initial_sequence(key + b"x", 0, HERE, (THERE[0], port))
    assert isn != initial_sequence(key, 0, (HERE[0], 1025), (THERE[0], port))
    assert isn != initial_sequence(key, 0, (THERE[0], HERE[1]), (THERE[0], port))
    assert isn != initial_sequence(key, 0, HERE, (THERE[0], port ^ 1))
    assert isn != initial_sequence(key, 0, HERE, (HERE[0], port))
    assert isn == initial_sequence(key, 0, HERE, (THERE[0], port))


def test_sequence_numbers_wrap_during_the_handshake(tcp: SimpleNamespace) -> None:
    talk = tcp.Conversation()
    talk.connect()
    talk.tcp.sender.start(2**32 - 1)
    talk.recv("<SEQ=4294967295><CTL=SYN>")
    talk.send("<SEQ=4294967295><ACK=0><CTL=SYN,ACK>")
    talk.tcp.send(b"abc")
    talk.recv("<SEQ=0><ACK=0><CTL=ACK><DATA=abc>")
    talk.send("<SEQ=0><ACK=3><CTL=ACK><DATA=10>")
    assert talk.tcp.recv(100) == tcp.stream(0, 10)


# --- SYN-SENT (3.10.7.3) ---


def test_a_syn_offers_mss_window_scale_sack_and_timestamps(tcp: SimpleNamespace) -> None:
    talk = tcp.Conversation(timestamps=True, mss_limit=1440)
    talk.connect()
    (syn,) = talk.take()
    assert (syn.mss, syn.window_scale, syn.sack_permitted) == (1440, 3, True)
    assert syn.window == 65_535  # RFC 7323, 2.2: never scaled
    assert syn.timestamps is not None
    assert syn.timestamps[1] == 0  # RFC 7323, 3.2


@pytest.mark.parametrize(
    ("capacity", "scale", "window"), [(1000, 0, 1000), (65_535, 0, 65_535), (65_536, 1, 65_535), (1 << 20, 5, 65_535)]
)
def test_rfc_7323_2_3_the_scale_fits_the_buffer(tcp: SimpleNamespace, capacity: int, scale: int, window: int) -> None:
    talk = tcp.Conversation(receive_capacity=capacity)
    talk.connect()
    (syn,) = talk.take()
    assert (syn.window_scale, syn.window) == (scale, window)


@pytest.mark.parametrize("ack", [100, 102, 99, 2**31])
def test_an_unacceptable_ack_is_reset_and_the_attempt_goes_on(tcp: SimpleNamespace, ack: int) -> None:
    talk = tcp.in_state(State("SYN-SENT"))
    assert talk.send(f"<SEQ=300><ACK={ack}><CTL=SYN,ACK>") == f"<SEQ={ack}><ACK=0><CTL=RST>"
    assert talk.send(f"<SEQ=300><ACK={ack}><CTL=RST,ACK>") == ""
    assert talk.tcp.state == "SYN-SENT"


def test_a_reset_that_acknowledges_the_syn_refuses_the_connection(tcp: SimpleNamespace) -> None:
    talk = tcp.in_state(State("SYN-SENT"))
    talk.send("<SEQ=0><ACK=101><CTL=RST,ACK>")
    assert talk.tcp.state == "CLOSED"
    assert isinstance(talk.tcp.error, ConnectionRefusedError)
    with pytest.raises(ConnectionRefusedError):
        talk.tcp.send(b"x")
    with pytest.raises(ConnectionRefusedError):
        talk.tcp.recv(1)
    talk.recv()


def test_a_reset_without_ack_and_segments_without_syn_are_dropped(tcp: SimpleNamespace) -> None:
    talk = tcp.in_state(State("SYN-SENT"))
    for text in ("<SEQ=0><CTL=RST>", "<SEQ=300><ACK=101><CTL=ACK>", "<SEQ=300><CTL=FIN>", "<SEQ=300><CTL=PSH><DATA=3>"):
        assert talk.send(text) == ""
        assert talk.tcp.state == "SYN-SENT"
    talk.recv()


def test_data_and_fin_that_come_with_the_syn_ack_are_processed(tcp: SimpleNamespace) -> None:
    """3.10.7.3: "If there are other controls or text in the segment, then continue processing at the sixth step"."""
    talk = tcp.in_state(State("SYN-SENT"))
    talk.send("<SEQ=300><ACK=101><CTL=SYN,FIN,ACK><DATA=4>")
    assert talk.tcp.state == "CLOSE-WAIT"
    assert talk.tcp.recv(9) == tcp.stream(300, 4)
    talk.recv("<SEQ=101><ACK=306><CTL=ACK>")


@pytest.mark.parametrize(("bits", "urgent"), [("SYN,ACK,URG", 2), ("SYN,ACK", 0), ("SYN,URG", 0)])
def test_urgent_data_that_comes_with_the_syn_ack_is_told(tcp: SimpleNamespace, bits: str, urgent: int) -> None:
    """3.10.7.3: the sixth step. The pointer counts from the SYN's own number."""
    talk = tcp.in_state(State("SYN-SENT"))
    talk.send(f"<SEQ=300><ACK=101><CTL={bits}><UP=3><DATA=4>")
    assert talk.tcp.urgent_remaining == urgent


def test_data_that_comes_with_a_syn_waits_for_established(tcp: SimpleNamespace) -> None:
    """3.10.7.2: "any other control or text should be queued for processing later"."""
    talk = tcp.Conversation()
    talk.listen("<SEQ=300><CTL=SYN,FIN><DATA=4>")
    talk.recv("<SEQ=100><ACK=305><CTL=SYN,ACK>")
    assert not talk.tcp.can_recv
    assert talk.tcp.recv(9) == b""
    talk.send("<SEQ=305><ACK=101><CTL=ACK>")
    assert talk.tcp.state == "CLOSE-WAIT"
    assert talk.tcp.recv(9) == tcp.stream(300, 4)


# --- options of the answer ---


def test_must_15_without_an_mss_option_536_is_assumed(tcp: SimpleNamespace) -> None:
    talk = tcp.in_state(State("SYN-SENT"))
    talk.send("<SEQ=300><ACK=101><CTL=SYN,ACK>")
    talk.tcp.send(bytes(2000))
    assert [one.payload_length for one in talk.take() if one.payload_length] == [536, 536, 536, 392]


@pytest.mark.parametrize(
    ("offered", "limit", "effective"), [(1460, 1460, 1460), (1000, 1460, 1000), (9000, 1400, 1400)]
)
def test_must_16_the_effective_send_mss_is_the_smaller_one(
    tcp: SimpleNamespace, offered: int, limit: int, effective: int
) -> None:
    talk = tcp.in_state(State("SYN-SENT"), mss_limit=limit)
    talk.send(f"<SEQ=300><ACK=101><CTL=SYN,ACK><MSS={offered}>")
    talk.tcp.send(bytes(4000))
    assert talk.take()[0].payload_length == effective


def test_must_16_options_are_taken_from_the_mss(tcp: SimpleNamespace) -> None:
    """RFC 6691."""
    talk = tcp.Conversation(timestamps=True)
    talk.connect()
    talk.take()
    talk.send("<SEQ=300><ACK=101><CTL=SYN,ACK><MSS=1460><TS=7/0>")
    talk.tcp.send(bytes(4000))
    assert talk.take()[0].payload_length == 1448


@pytest.mark.parametrize(("mss", "effective"), [(0, 536), (1, 48), (47, 48), (64, 64)])
def test_an_mss_too_small_to_work_with_is_raised(tcp: SimpleNamespace, mss: int, effective: int) -> None:
    talk = tcp.in_state(State("SYN-SENT"))
    talk.send(f"<SEQ=300><ACK=101><CTL=SYN,ACK><MSS={mss}>")
    talk.tcp.send(bytes(600))
    assert talk.take()[0].payload_length == effective


def test_an_answer_has_no_option_that_the_syn_had_not(tcp: SimpleNamespace) -> None:
    """RFC 7323, 2.2 and 3.2; RFC 2018, 2."""
    talk = tcp.Conversation(timestamps=True)
    talk.listen("<SEQ=300><CTL=SYN>")
    (answer,) = talk.take()
    assert (answer.mss, answer.window_scale, answer.sack_permitted, answer.timestamps) == (1460, None, False, None)


def test_an_answer_has_the_options_that_the_syn_had(tcp: SimpleNamespace) -> None:
    talk = tcp.Conversation(timestamps=True)
    talk.listen("<SEQ=300><CTL=SYN><MSS=1460><WSOPT=7><TS=55/0><SACKOK=>")
    (answer,) = talk.take()
    assert (answer.window_scale, answer.sack_permitted) == (3, True)
    assert answer.timestamps is not None
    assert answer.timestamps[1] == 55


@pytest.mark.parametrize(("shift", "window"), [(0, 1000), (3, 8000), (14, 1000 << 14), (200, 1000 << 14)])
def test_rfc_7323_2_3_windows_are_scaled_after_the_handshake(tcp: SimpleNamespace, shift: int, window: int) -> None:
    """A shift above 14 counts as 14; the SYN's own window is not scaled."""
    talk = tcp.in_state(State("SYN-SENT"))
    talk.send(f"<SEQ=300><ACK=101><CTL=SYN,ACK><WND=1000><WSOPT={shift}>")
    assert talk.tcp.sender.wnd == 1000
    talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=1000>")
    assert talk.tcp.sender.wnd == window


# --- SYN-RECEIVED ---


@pytest.mark.parametrize("first", ["", "<SEQ=300><CTL=SYN><WSOPT=7>"], ids=["answered", "simultaneous"])
def test_rfc_7323_2_2_the_window_of_a_syn_is_never_scaled(tcp: SimpleNamespace, first: str) -> None:
    talk = tcp.in_state(State("SYN-SENT"))
    if first:
        talk.send(first)
        talk.take()
    talk.send("<SEQ=300><ACK=101><CTL=SYN,ACK><WSOPT=7><WND=1000>")
    assert (talk.tcp.state, talk.tcp.sender.wnd) == ("ESTABLISHED", 1000)
    talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=1000>")
    assert talk.tcp.sender.wnd == 128_000


@pytest.mark.parametrize("ack", [100, 102])
def test_in_syn_received_an_unacceptable_ack_is_reset(tcp: SimpleNamespace, ack: int) -> None:
    talk = tcp.in_state(State("SYN-RECEIVED"))
    assert talk.send(f"<SEQ=301><ACK={ack}><CTL=ACK>") == f"<SEQ={ack}><ACK=0><CTL=RST>"
    assert talk.tcp.state == "SYN-RECEIVED"


def test_must_11_a_reset_of_an_active_open_is_a_refusal(tcp: SimpleNamespace) -> None:
    """3.10.7.4, second: SYN-RECEIVED was reached by SYN-SENT, so the user is told."""
    talk = tcp.in_state(State("SYN-SENT"))
    talk.send("<SEQ=300><CTL=SYN>")
    assert talk.tcp.state == "SYN-RECEIVED"
    talk.send("<SEQ=301><CTL=RST>")
    assert isinstance(talk.tcp.error, ConnectionRefusedError)


def test_a_syn_that_comes_again_is_answered_again(tcp: SimpleNamespace) -> None:
    talk = tcp.in_state(State("SYN-RECEIVED"))
    talk.send("<SEQ=300><CTL=SYN>")
    talk.recv("<SEQ=100><ACK=301><CTL=SYN,ACK>")


def test_close_in_syn_received_waits_for_established(tcp: SimpleNamespace) -> None:
    """3.10.4: "queue for processing after entering ESTABLISHED state"."""
    talk = tcp.in_state(State("SYN-RECEIVED"))
    talk.tcp.close()
    talk.recv()
    talk.send("<SEQ=301><ACK=101><CTL=ACK>")
    assert talk.tcp.state == "FIN-WAIT-1"
    talk.recv("<SEQ=101><ACK=301><CTL=FIN,ACK>")


def test_data_sent_before_established_is_queued(tcp: SimpleNamespace) -> None:
    """3.10.2, SYN-SENT: "Queue the data for transmission after entering ESTABLISHED state"."""
    talk = tcp.in_state(State("SYN-SENT"))
    assert talk.tcp.send(b"early") == 5
    talk.recv()
    talk.send("<SEQ=300><ACK=101><CTL=SYN,ACK>")
    talk.recv("<SEQ=101><ACK=301><CTL=ACK><DATA=early>")


# --- SYN retransmission ---


def test_must_23_a_syn_is_repeated_for_at_least_three_minutes(tcp: SimpleNamespace) -> None:
    talk = tcp.Conversation()
    talk.connect()
    talk.recv("<SEQ=100><CTL=SYN>")
    waits = []
    while talk.clock.now < 180 * SECOND:
        waits.append(talk.wait_for("<SEQ=100><CTL=SYN>") // SECOND)
    assert waits[:7] == [1, 2, 4, 8, 16, 32, 60]  # RFC 6298, 2.1, 5.5 and 2.5
    while talk.tcp.poll_at(talk.clock.now) is not None:
        talk.clock.now = talk.tcp.poll_at(talk.clock.now)
        talk.take()
    assert isinstance(talk.tcp.error, TimeoutError)
    assert talk.clock.now == 300 * SECOND


def test_rfc_5681_3_1_a_lost_syn_makes_the_initial_window_one_segment(tcp: SimpleNamespace) -> None:
    talk = tcp.in_state(State("SYN-SENT"))
    talk.wait_for("<SEQ=100><CTL=SYN>")
    talk.send("<SEQ=300><ACK=101><CTL=SYN,ACK><MSS=1000>")
    talk.tcp.send(bytes(5000))
    assert len([one for one in talk.take() if one.payload_length]) == 1
    assert talk.tcp.sender.rtt.timeout == 3 * SECOND  # RFC 6298, 5.7


@pytest.mark.parametrize(("mss", "segments"), [(536, 10), (1460, 10), (2000, 7), (9000, 2)])
def test_rfc_6928_initial_window(tcp: SimpleNamespace, mss: int, segments: int) -> None:
    talk = tcp.in_state(State("SYN-SENT"), mss_limit=9000)
    talk.send(f"<SEQ=300><ACK=101><CTL=SYN,ACK><MSS={mss}>")
    talk.tcp.send(bytes(60_000))
    assert len([one for one in talk.take() if one.payload_length == mss]) == segments


# --- the application's mistakes ---


@pytest.mark.parametrize("address", [bytes(4), bytes((224, 0, 0, 1)), b"\xff" * 4, bytes(16), b"\xff\x02" + bytes(14)])
def test_must_46_no_connection_to_a_group_or_to_nobody(tcp: SimpleNamespace, address: bytes) -> None:
    with pytest.raises(AddressNotAvailable, match="one peer"):
        tcp.Conversation().tcp.connect((address, 80), tcp.A)


def test_a_socket_has_one_connection(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    with pytest.raises(StackError, match="make another one"):
        talk.tcp.connect(tcp.B, tcp.A)


def test_sending_without_connection_or_after_close(tcp: SimpleNamespace) -> None:
    with pytest.raises(NotConnected):
        tcp.Conversation().tcp.send(b"x")
    talk = tcp.established()
    talk.tcp.close()
    with pytest.raises(BrokenPipe):
        talk.tcp.send(b"x")


def test_the_device_is_full_during_the_handshake(tcp: SimpleNamespace) -> None:
    talk = tcp.Conversation()
    talk.connect()
    talk.room = 0
    talk.recv()
    assert talk.tcp.poll_at(talk.clock.now) == talk.clock.now
    talk.wait(50 * MS)
    talk.room = 1
    talk.recv("<SEQ=100><CTL=SYN>")
    assert talk.tcp.poll_at(talk.clock.now) == talk.clock.now + SECOND  # counted from when it was sent
