"""Receiving: acceptability (RFC 9293, 3.10.7.4), windows (3.8.6), acknowledgments (3.8.6.3, RFC 5681, RFC 2018)."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.units import MS, SECOND
from motenet.stack.sockets.tcp import State
from motenet.stack.sockets.tcp.assembler import LIMIT

DATA_STATES = (State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2)


# --- when to acknowledge ---


def test_shld_18_an_acknowledgment_is_delayed_by_ten_milliseconds(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=100>")
    talk.recv()
    assert talk.wait_for("<SEQ=101><ACK=401><CTL=ACK>") == 10 * MS
    talk.wait(SECOND)
    talk.recv()


def test_shld_19_every_second_full_sized_segment_is_acknowledged(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    for seq in range(301, 301 + 6 * 1460, 2 * 1460):
        talk.send(f"<SEQ={seq}><ACK=101><CTL=ACK><DATA=1460>")
        talk.recv()
        talk.send(f"<SEQ={seq + 1460}><ACK=101><CTL=ACK><DATA=1460>")
        talk.recv(f"<SEQ=101><ACK={seq + 2920}><CTL=ACK>")


def test_shld_19_full_sized_is_what_the_peer_really_sends(tcp: SimpleNamespace) -> None:
    """A peer that spends 12 of 1460 bytes on timestamps sends 1448."""
    talk = tcp.established()
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=1448>")
    talk.recv()
    talk.send("<SEQ=1749><ACK=101><CTL=ACK><DATA=1448>")
    talk.recv("<SEQ=101><ACK=3197><CTL=ACK>")


def test_must_59_all_queued_segments_are_processed_before_one_acknowledgment(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    for seq in range(301, 301 + 8 * 1000, 1000):
        assert talk.send(f"<SEQ={seq}><ACK=101><CTL=ACK><DATA=1000>") == ""
    talk.recv("<SEQ=101><ACK=8301><CTL=ACK>")


def test_an_acknowledgment_rides_on_data(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=100>")
    talk.tcp.send(b"reply")
    talk.recv("<SEQ=101><ACK=401><CTL=ACK><DATA=reply>")
    assert talk.tcp.receiver.ack_at > 2**62


def test_acknowledgments_need_not_be_delayed(tcp: SimpleNamespace) -> None:
    talk = tcp.established(ack_delay=None)
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=1>")
    talk.recv("<SEQ=101><ACK=302><CTL=ACK>")


def test_what_gro_has_joined_is_acknowledged_at_once(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    joined = tcp.segment("<SEQ=301><ACK=101><CTL=ACK>", tcp.B, tcp.A)
    joined.payload = [tcp.stream(301, 1000), tcp.stream(1301, 1000), tcp.stream(2301, 7)]
    joined.payload_length = 2007
    talk.tcp.process(0, tcp.B[0], tcp.A[0], joined)
    talk.recv("<SEQ=101><ACK=2308><CTL=ACK>")
    assert talk.tcp.recv(5000) == tcp.stream(301, 2007)


# --- out of order (SHLD-31) ---


def test_rfc_5681_4_2_each_segment_out_of_order_is_acknowledged_at_once(tcp: SimpleNamespace) -> None:
    """MAY-13."""
    talk = tcp.established()
    for seq in (401, 501, 601):
        talk.send(f"<SEQ={seq}><ACK=101><CTL=ACK><DATA=100>")
    talk.recv(*["<SEQ=101><ACK=301><CTL=ACK>"] * 3)
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=100>")
    talk.recv("<SEQ=101><ACK=701><CTL=ACK>")
    assert talk.tcp.recv(1000) == tcp.stream(301, 400)


def test_rfc_5681_4_2_a_segment_that_fills_part_of_a_gap_is_acknowledged_at_once(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.send("<SEQ=501><ACK=101><CTL=ACK><DATA=100>")
    talk.recv("<SEQ=101><ACK=301><CTL=ACK>")
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=100>")
    talk.recv("<SEQ=101><ACK=401><CTL=ACK>")


def test_reordering_within_one_look_causes_no_duplicate_acknowledgments(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    for seq in (401, 501, 601, 301):
        talk.send(f"<SEQ={seq}><ACK=101><CTL=ACK><DATA=100>")
    talk.recv("<SEQ=101><ACK=701><CTL=ACK>")


@given(order=st.permutations(range(12)))
def test_segments_in_any_order_make_the_stream(tcp: SimpleNamespace, order: list[int]) -> None:
    """SHLD-31. Each overlaps its neighbours: only the new parts count."""
    talk = tcp.established()
    for number in order:
        talk.send(f"<SEQ={301 + 100 * number}><ACK=101><CTL=ACK><DATA=150>")
    assert talk.tcp.recv(5000) == tcp.stream(301, 1250)
    assert not talk.tcp.receiver.assembler.lefts
    assert talk.tcp.drops == {}


def test_one_gap_too_many_is_answered_and_counted(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    for number in range(LIMIT):
        talk.tcp.receiver.assembler.add(1000 + 2 * number, 1001 + 2 * number)
    talk.send("<SEQ=20000><ACK=101><CTL=ACK><DATA=10>")
    talk.recv("<SEQ=101><ACK=301><CTL=ACK>")
    assert talk.tcp.drops == {"tcp-not-taken": 1}


def test_rfc_2018_4_sack_blocks_report_the_latest_first(tcp: SimpleNamespace) -> None:
    talk = tcp.in_state(State.SYN_SENT)
    talk.send("<SEQ=300><ACK=101><CTL=SYN,ACK><SACKOK=>")
    talk.take()
    talk.send("<SEQ=501><ACK=101><CTL=ACK><DATA=100>")
    talk.recv("<SEQ=101><ACK=301><CTL=ACK><SACK=501-601>")
    talk.send("<SEQ=801><ACK=101><CTL=ACK><DATA=100>")
    talk.recv("<SEQ=101><ACK=301><CTL=ACK><SACK=801-901 501-601>")
    talk.send("<SEQ=601><ACK=101><CTL=ACK><DATA=100>")
    talk.recv("<SEQ=101><ACK=301><CTL=ACK><SACK=501-701 801-901>")
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=200>")
    talk.recv("<SEQ=101><ACK=701><CTL=ACK><SACK=801-901>")


def test_rfc_2018_2_without_permission_there_are_no_sack_blocks(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.send("<SEQ=501><ACK=101><CTL=ACK><DATA=100>")
    assert [one.sack for one in talk.take()] == [()]


# --- acceptability, table 6 ---


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<SEQ=300><ACK=101><CTL=ACK>", True),  # before the window
        ("<SEQ=301><ACK=101><CTL=ACK>", False),  # its left edge
        ("<SEQ=1300><ACK=101><CTL=ACK>", False),  # its last number
        ("<SEQ=1301><ACK=101><CTL=ACK>", True),  # behind it
        ("<SEQ=291><ACK=101><CTL=ACK><DATA=10>", True),
        ("<SEQ=1301><ACK=101><CTL=ACK><DATA=10>", True),
    ],
)
def test_table_6_an_unacceptable_segment_is_answered_with_an_acknowledgment(
    tcp: SimpleNamespace, text: str, answer: bool
) -> None:
    talk = tcp.established(receive_capacity=1000)
    assert talk.send(text) == ("<SEQ=101><ACK=301><CTL=ACK>" if answer else "")
    assert not talk.tcp.can_recv


def test_a_segment_that_straddles_old_and_new_brings_the_new_part(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=100>")
    talk.send("<SEQ=351><ACK=101><CTL=ACK><DATA=100>")
    assert talk.tcp.recv(1000) == tcp.stream(301, 150)


def test_what_lies_behind_the_window_is_cut_off(tcp: SimpleNamespace) -> None:
    talk = tcp.established(receive_capacity=1000)
    talk.send("<SEQ=301><ACK=101><CTL=FIN,ACK><DATA=1200>")
    assert talk.tcp.state == "ESTABLISHED"
    talk.wait_for("<SEQ=101><ACK=1301><CTL=ACK><WND=0>")
    assert talk.tcp.recv(2000) == tcp.stream(301, 1000)


def test_old_data_is_acknowledged_as_often_as_it_comes(tcp: SimpleNamespace) -> None:
    """The peer repeats what it believes lost; no challenge limit applies to it."""
    talk = tcp.established()
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=10>")
    talk.wait_for("<SEQ=101><ACK=311><CTL=ACK>")
    for _ in range(5):
        assert talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=10>") == "<SEQ=101><ACK=311><CTL=ACK>"


@pytest.mark.parametrize("state", DATA_STATES)
def test_data_is_delivered_until_the_peer_has_closed(tcp: SimpleNamespace, state: State) -> None:
    """MAY-1 would let CLOSE end reading too; ours is the full-duplex one of 3.6."""
    talk = tcp.in_state(state)
    ack = talk.tcp.sender.una
    talk.send(f"<SEQ=301><ACK={ack}><CTL=FIN,ACK><DATA=10>")
    assert talk.tcp.may_recv
    assert talk.tcp.recv(100) == tcp.stream(301, 10)
    assert not talk.tcp.may_recv
    assert talk.tcp.recv(100) == b""


@pytest.mark.parametrize("state", [State.CLOSE_WAIT, State.LAST_ACK, State.CLOSING, State.TIME_WAIT])
def test_text_behind_the_peers_fin_is_ignored(tcp: SimpleNamespace, state: State) -> None:
    talk = tcp.in_state(state)
    talk.send(f"<SEQ=302><ACK={talk.tcp.sender.una}><CTL=ACK><DATA=10>")
    assert not talk.tcp.can_recv


def test_a_fin_waits_for_what_is_missing_before_it(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.send("<SEQ=401><ACK=101><CTL=FIN,ACK><DATA=100>")
    talk.recv("<SEQ=101><ACK=301><CTL=ACK>")
    assert talk.tcp.state == "ESTABLISHED"
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=100>")
    assert talk.tcp.state == "CLOSE-WAIT"
    talk.recv("<SEQ=101><ACK=502><CTL=ACK>")


# --- the window (3.8.6, 3.8.6.2.2) ---


def test_shld_14_the_right_edge_never_moves_left(tcp: SimpleNamespace) -> None:
    talk = tcp.established(receive_capacity=3000, mss_limit=500)
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=1000>")
    talk.recv("<SEQ=101><ACK=1301><CTL=ACK><WND=2000>")
    talk.send("<SEQ=1301><ACK=101><CTL=ACK><DATA=2000>")
    talk.wait_for("<SEQ=101><ACK=3301><CTL=ACK><WND=0>")


def test_must_39_the_window_opens_by_a_segment_or_half_the_buffer(tcp: SimpleNamespace) -> None:
    """min(Fr * RCV.BUFF, Eff.snd.MSS), Fr = 1/2; until then an acknowledgment moves no edge either."""
    talk = tcp.established(receive_capacity=3000, mss_limit=500)
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=3000>")
    talk.wait_for("<SEQ=101><ACK=3301><CTL=ACK><WND=0>")
    assert talk.tcp.recv(499) == tcp.stream(301, 499)
    talk.recv()
    talk.send("<SEQ=3301><ACK=101><CTL=ACK><DATA=1>")
    talk.recv("<SEQ=101><ACK=3301><CTL=ACK><WND=0>")
    talk.tcp.recv(1)
    talk.recv("<SEQ=101><ACK=3301><CTL=ACK><WND=500>")


def test_a_small_buffers_window_opens_by_half_of_it(tcp: SimpleNamespace) -> None:
    talk = tcp.established(receive_capacity=100)
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=100>")
    talk.wait_for("<SEQ=101><ACK=401><CTL=ACK><WND=0>")
    talk.tcp.recv(49)
    talk.recv()
    talk.tcp.recv(1)
    talk.recv("<SEQ=101><ACK=401><CTL=ACK><WND=50>")


def test_an_acknowledgment_that_shuts_the_window_gives_the_application_time_to_read(tcp: SimpleNamespace) -> None:
    """Linux, __tcp_ack_snd_check(): at once only if the window can be advanced; else as the delayed one (SHLD-18)."""
    talk = tcp.established(receive_capacity=2000)
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=2000>")
    talk.recv()
    talk.tcp.recv(2000)
    talk.recv("<SEQ=101><ACK=2301><CTL=ACK><WND=2000>")
    talk.send("<SEQ=2301><ACK=101><CTL=ACK><DATA=2000>")
    assert talk.wait_for("<SEQ=101><ACK=4301><CTL=ACK><WND=0>") == 10 * MS


def test_an_open_window_is_not_updated_for_every_read(tcp: SimpleNamespace) -> None:
    talk = tcp.established(receive_capacity=60_000)
    for seq in range(301, 8301, 1000):
        talk.send(f"<SEQ={seq}><ACK=101><CTL=ACK><DATA=1000>")
    talk.recv("<SEQ=101><ACK=8301><CTL=ACK><WND=52000>")
    for _ in range(8):
        talk.tcp.recv(1000)
        talk.recv()
    talk.send("<SEQ=8301><ACK=101><CTL=ACK><DATA=1000>")
    talk.wait_for("<SEQ=101><ACK=9301><CTL=ACK><WND=59000>")


def test_a_quarter_of_the_buffer_is_worth_an_update(tcp: SimpleNamespace) -> None:
    """FreeBSD's rule; or any segment's room, once no more than an eighth is offered."""
    talk = tcp.established(receive_capacity=16_000)
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=9000>")
    talk.wait_for("<SEQ=101><ACK=9301><CTL=ACK><WND=7000>")
    talk.tcp.recv(3999)
    talk.recv()
    talk.tcp.recv(1)
    talk.recv("<SEQ=101><ACK=9301><CTL=ACK><WND=11000>")
    talk.send("<SEQ=9301><ACK=101><CTL=ACK><DATA=9000>")
    talk.wait_for("<SEQ=101><ACK=18301><CTL=ACK><WND=2000>")
    talk.tcp.recv(1459)
    talk.recv()
    talk.tcp.recv(1)
    talk.recv("<SEQ=101><ACK=18301><CTL=ACK><WND=3460>")


def test_a_window_update_that_the_device_refuses_is_not_forgotten(tcp: SimpleNamespace) -> None:
    talk = tcp.established(receive_capacity=1000)
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=1000>")
    talk.take()
    talk.tcp.recv(1000)
    talk.room = 0
    talk.recv()
    talk.room = 1
    talk.recv("<SEQ=101><ACK=1301><CTL=ACK><WND=1000>")


def test_a_scaled_window_is_never_more_than_the_buffer(tcp: SimpleNamespace) -> None:
    talk = tcp.Conversation(receive_capacity=300_001)
    talk.connect()
    talk.take()
    talk.send("<SEQ=300><ACK=101><CTL=SYN,ACK><WSOPT=0>")
    talk.recv("<SEQ=101><ACK=301><CTL=ACK><WND=37500>")
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=3>")
    talk.wait_for("<SEQ=101><ACK=304><CTL=ACK><WND=37499>")  # 300001 - 3, in whole units of 8


def test_a_zero_window_still_takes_acknowledgments_resets_and_urgency(tcp: SimpleNamespace) -> None:
    """MUST-66, and 3.8.6.1: a probe is answered with the next number and the current window."""
    talk = tcp.established(receive_capacity=100)
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=100>")
    talk.take()
    talk.tcp.send(b"abc")
    talk.take()
    talk.send("<SEQ=401><ACK=104><CTL=ACK,URG><DATA=1><UP=1>")
    assert talk.tcp.sender.una == 104
    assert talk.tcp.urgent_remaining == 101
    talk.recv("<SEQ=104><ACK=401><CTL=ACK><WND=0>")
    talk.send("<SEQ=401><CTL=RST>")
    assert talk.tcp.state == "CLOSED"


def test_a_fin_needs_no_room(tcp: SimpleNamespace) -> None:
    """Linux's selftest tcp_rcv_zero_wnd_fin: some peers send it into a window that is shut."""
    talk = tcp.established(receive_capacity=100)
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=100>")
    talk.wait_for("<SEQ=101><ACK=401><CTL=ACK><WND=0>")
    talk.send("<SEQ=401><ACK=101><CTL=FIN,ACK>")
    assert talk.tcp.state == "CLOSE-WAIT"
    talk.recv("<SEQ=101><ACK=402><CTL=ACK><WND=0>")


# --- urgent data (3.8.5) ---


def test_must_32_and_33_the_application_learns_of_urgent_data(tcp: SimpleNamespace) -> None:
    """MUST-62: the pointer counts from the segment's number to behind the urgent data."""
    talk = tcp.established()
    woken = talk.woken
    for pointer, told in ((100, 1), (100, 1), (200, 2), (150, 2)):  # whenever it advances; it cannot recede
        talk.send(f"<SEQ=301><ACK=101><CTL=ACK,URG><UP={pointer}>")
        assert talk.woken == woken + told
    assert talk.tcp.urgent_remaining == 200
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=150>")
    talk.tcp.recv(150)
    assert talk.tcp.urgent_remaining == 50
    talk.send("<SEQ=451><ACK=101><CTL=ACK,URG><UP=20><DATA=60>")
    talk.tcp.recv(60)
    assert talk.tcp.urgent_remaining == 0


def test_rfc_6093_4_urgent_data_stays_in_line_and_its_end_is_marked(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    assert not talk.tcp.at_mark
    talk.send("<SEQ=301><ACK=101><CTL=ACK,URG><UP=3><DATA=abcdef>")
    assert talk.tcp.recv(2) == b"ab"
    assert not talk.tcp.at_mark
    assert talk.tcp.recv(talk.tcp.urgent_remaining) == b"c"
    assert talk.tcp.at_mark
    assert talk.tcp.recv(9) == b"def"
    assert not talk.tcp.at_mark


def test_must_62_the_urgent_pointer_points_behind_the_urgent_data(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.tcp.send(b"urgent", urgent=True)
    talk.tcp.send(b"plain")
    talk.recv("<SEQ=101><ACK=301><CTL=ACK,URG><UP=6><DATA=urgentplain>")


# --- reading ---


def test_recv_peek_and_recv_into(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=abcdefgh>")
    assert (talk.tcp.peek(3), talk.tcp.peek(0), talk.tcp.recv(0)) == (b"abc", b"", b"")
    assert talk.tcp.recv(2) == b"ab"
    into = bytearray(4)
    assert talk.tcp.recv_into(memoryview(into)) == 4
    assert (bytes(into), talk.tcp.recv(9), talk.tcp.recv(9)) == (b"cdef", b"gh", b"")
    assert talk.tcp.recv_into(memoryview(into)) == 0


def test_what_came_before_a_reset_can_be_read_then_the_error_is_raised(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=abc>")
    talk.send("<SEQ=304><CTL=RST>")
    assert talk.tcp.recv(9) == b"abc"
    with pytest.raises(ConnectionResetError):
        talk.tcp.recv(9)
    with pytest.raises(ConnectionResetError):
        talk.tcp.recv_into(memoryview(bytearray(9)))


@given(
    capacity=st.integers(64, 5000),
    reads=st.lists(st.integers(1, 3000), min_size=1, max_size=20),
    scaled=st.booleans(),
)
def test_the_offered_window_is_always_backed_by_the_buffer(
    tcp: SimpleNamespace, capacity: int, reads: list[int], scaled: bool
) -> None:
    """A peer that fills whatever window it sees never has a byte cut off (3.8.6)."""
    talk = tcp.Conversation(receive_capacity=capacity)
    talk.connect()
    (syn,) = talk.take()
    talk.send("<SEQ=300><ACK=101><CTL=SYN,ACK>" + ("<WSOPT=0>" if scaled else ""))
    shift = syn.window_scale if scaled else 0
    window, nxt, read, edge = syn.window, 301, 0, 301 + syn.window
    for size in reads:
        for one in talk.take():
            window = one.window << shift
            assert nxt + window > edge - (1 << shift), "the right edge has moved left"
            edge = max(edge, nxt + window)
        if window:
            talk.send(f"<SEQ={nxt}><ACK=101><CTL=ACK><DATA={window}>")
            nxt, window = nxt + window, 0
        got = talk.tcp.recv(size)
        assert got == tcp.stream(301 + read, len(got))
        read += len(got)
    assert talk.tcp.receiver.nxt == nxt


def test_rfc_5681_4_2_a_fin_out_of_order_is_answered_at_once(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.send("<SEQ=311><ACK=101><CTL=FIN,ACK>")
    talk.recv("<SEQ=101><ACK=301><CTL=ACK>")
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=10>")
    talk.recv("<SEQ=101><ACK=312><CTL=ACK>")
    assert talk.tcp.state == "CLOSE-WAIT"
