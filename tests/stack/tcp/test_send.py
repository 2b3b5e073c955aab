"""Sending: Nagle (RFC 9293, 3.7.4), silly windows (3.8.6.2.1), zero-window probes (3.8.6.1), segmentation offload."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.units import MS, SECOND
from motenet.stack.wire.tcp import PSH


def lengths(talk: object) -> list[int]:
    return [one.payload_length for one in talk.take()]  # type: ignore[attr-defined]


def test_shld_28_full_segments_are_sent_and_must_61_the_last_one_is_pushed(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    assert talk.tcp.send(bytes(4000)) == 4000
    sent = talk.take()
    assert [one.payload_length for one in sent] == [1460, 1460, 1080]
    assert [one.flags & PSH for one in sent] == [0, 0, PSH]


def test_send_takes_what_there_is_room_for(tcp: SimpleNamespace) -> None:
    talk = tcp.established(send_capacity=1000)
    assert talk.tcp.send(bytes(600)) == 600
    assert talk.tcp.send(bytes(600)) == 400
    assert not talk.tcp.can_send
    assert talk.tcp.send(b"x") == 0
    talk.recv("<SEQ=101><ACK=301><CTL=ACK><DATA=1000>")
    assert not talk.tcp.can_send
    woken = talk.woken
    talk.send("<SEQ=301><ACK=601><CTL=ACK>")
    assert talk.woken > woken
    assert talk.tcp.send(bytes(600)) == 500


def test_sent_data_is_the_applications_data(tcp: SimpleNamespace) -> None:
    talk = tcp.established(send_capacity=3000)
    data, got, ack = tcp.stream(101, 20_000), b"", 101
    while len(got) < len(data):
        talk.tcp.send(data[ack - 101 + len(talk.tcp.sender.ring) :])
        for one in talk.take():
            assert one.seq == ack
            got += b"".join(one.payload)
            ack += one.payload_length
        talk.send(f"<SEQ=301><ACK={ack}><CTL=ACK>")
    assert got == data


# --- Nagle ---


def test_shld_7_small_data_waits_until_what_is_on_its_way_is_acknowledged(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.tcp.send(b"a")
    talk.recv("<SEQ=101><ACK=301><CTL=ACK><DATA=a>")
    talk.tcp.send(b"b")
    talk.tcp.send(b"c")
    talk.recv()
    talk.send("<SEQ=301><ACK=102><CTL=ACK>")
    talk.recv("<SEQ=102><ACK=301><CTL=ACK><DATA=bc>")


def test_shld_7_a_full_segment_need_not_wait(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.tcp.send(b"a")
    talk.take()
    talk.tcp.send(bytes(1459))
    talk.recv()
    talk.tcp.send(bytes(1))
    assert lengths(talk) == [1460]


def test_appendix_a_3_the_rest_follows_full_segments_at_once(tcp: SimpleNamespace) -> None:
    """Minshall's modification: only another small segment on its way holds it back."""
    talk = tcp.established()
    talk.tcp.send(bytes(1500))
    assert lengths(talk) == [1460, 40]
    talk.tcp.send(bytes(10))
    assert lengths(talk) == []


def test_must_17_nagle_can_be_switched_off(tcp: SimpleNamespace) -> None:
    talk = tcp.established(nagle=False)
    for _ in range(3):
        talk.tcp.send(b"x")
        assert lengths(talk) == [1]


def test_switching_nagle_off_releases_what_it_held_back(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.tcp.send(b"a")
    talk.take()
    talk.tcp.send(b"b")
    talk.recv()
    talk.tcp.nagle = False
    talk.recv("<SEQ=102><ACK=301><CTL=ACK><DATA=b>")


def test_a_fin_takes_the_last_data_with_it(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.tcp.send(b"a")
    talk.take()
    talk.tcp.send(b"b")
    talk.tcp.close()
    talk.recv("<SEQ=102><ACK=301><CTL=FIN,ACK><DATA=b>")


# --- the peer's window ---


def test_no_more_is_sent_than_the_window_takes(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=4000>")
    talk.tcp.send(bytes(10_000))
    assert lengths(talk) == [1460, 1460]  # 1080 more would fit, but are no segment (3.8.6.2.1)
    talk.send("<SEQ=301><ACK=1561><CTL=ACK><WND=4000>")
    assert lengths(talk) == [1460]


@pytest.mark.parametrize(("window", "sent"), [(249, []), (250, [250])])
def test_must_38_rule_3_half_of_the_largest_window_is_worth_sending(
    tcp: SimpleNamespace, window: int, sent: list[int]
) -> None:
    """min(D,U) >= Fs * Max(SND.WND), Fs = 1/2."""
    talk = tcp.in_state(tcp.State.SYN_SENT)
    talk.send("<SEQ=300><ACK=101><CTL=SYN,ACK><WND=500><MSS=1460>")
    talk.take()
    talk.send(f"<SEQ=301><ACK=101><CTL=ACK><WND={window}>")
    talk.tcp.send(bytes(5000))
    assert lengths(talk) == sent


def test_must_38_rule_4_the_override_timeout_sends_what_fits(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=10>")
    talk.tcp.send(bytes(5000))
    talk.recv()
    waited = talk.wait_for("<SEQ=101><ACK=301><CTL=ACK><DATA=10>")
    assert 100 * MS <= waited <= SECOND  # "in the range 0.1 - 1.0 seconds"


def test_must_34_a_window_that_shrinks_below_what_was_sent(tcp: SimpleNamespace) -> None:
    """SHLD-15: no new data. SHLD-16: what lies within the window is sent again, and not what lies behind (MAY-7)."""
    talk = tcp.established()
    talk.tcp.send(bytes(5000))
    assert sum(lengths(talk)) == 5000
    talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=1000>")
    assert talk.tcp.sender.allowance() == -4000
    talk.tcp.send(bytes(5000))
    talk.recv()
    assert talk.wait_for("<SEQ=101><ACK=301><CTL=ACK><DATA=1000>") == SECOND


def test_rfc_9293_3_10_7_4_an_old_segment_does_not_change_the_window(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.send("<SEQ=311><ACK=101><CTL=ACK><WND=5000><DATA=10>")
    talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=7><DATA=10>")
    assert talk.tcp.sender.wnd == 5000
    talk.send("<SEQ=321><ACK=101><CTL=ACK><WND=6000>")
    assert talk.tcp.sender.wnd == 6000


# --- zero windows ---


def shut(tcp: SimpleNamespace) -> object:
    talk = tcp.established()
    talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=0>")
    talk.tcp.send(b"abcdef")
    talk.recv()
    return talk


def test_must_36_a_zero_window_is_probed_after_an_rto_with_growing_intervals(tcp: SimpleNamespace) -> None:
    """SHLD-29, SHLD-30, and MUST-37: as long as the peer answers, for ever."""
    talk = shut(tcp)
    waits = []
    for _ in range(12):
        waits.append(talk.wait_for("<SEQ=101><ACK=301><CTL=ACK><DATA=a>") // SECOND)
        talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=0>")
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60]
    assert talk.clock.now > talk.tcp.user_timeout
    assert talk.tcp.state == "ESTABLISHED"


def test_a_peer_that_does_not_answer_probes_is_given_up(tcp: SimpleNamespace) -> None:
    talk = shut(tcp)
    while talk.tcp.state == "ESTABLISHED":
        talk.clock.now = talk.tcp.poll_at(talk.clock.now)
        talk.take()
    assert isinstance(talk.tcp.error, TimeoutError)
    assert talk.clock.now == 300 * SECOND


def test_the_window_opens_after_a_probe_was_taken(tcp: SimpleNamespace) -> None:
    talk = shut(tcp)
    talk.wait_for("<SEQ=101><ACK=301><CTL=ACK><DATA=a>")
    talk.send("<SEQ=301><ACK=102><CTL=ACK><WND=100>")
    talk.recv("<SEQ=102><ACK=301><CTL=ACK><DATA=bcdef>")


def test_the_window_opens_after_a_probe_was_not_taken(tcp: SimpleNamespace) -> None:
    talk = shut(tcp)
    talk.wait_for("<SEQ=101><ACK=301><CTL=ACK><DATA=a>")
    talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=100>")
    talk.recv("<SEQ=101><ACK=301><CTL=ACK><DATA=abcdef>")


def test_acknowledgments_stay_acceptable_to_a_peer_whose_window_is_shut(tcp: SimpleNamespace) -> None:
    """Table 6: with a zero window only SEG.SEQ = RCV.NXT is looked at, so a probe must not move SND.NXT."""
    talk = shut(tcp)
    talk.wait_for("<SEQ=101><ACK=301><CTL=ACK><DATA=a>")
    talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=0><DATA=5>")
    talk.wait_for("<SEQ=101><ACK=306><CTL=ACK>")


def test_must_35_a_window_that_shrinks_to_zero_is_probed(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.tcp.send(b"abc")
    talk.take()
    talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=0>")
    sent = []
    for _ in range(4):
        talk.clock.now = talk.tcp.poll_at(talk.clock.now)
        sent += talk.take()
        talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=0>")
    assert sent
    assert {(one.seq, one.payload_length) for one in sent} == {(101, 1)}


# --- the card cuts (TSO) ---


@pytest.mark.parametrize(
    ("limit", "sizes"),
    [(0, [1460] * 6 + [240]), (1460, [1460] * 6 + [240]), (3000, [2920] * 3 + [240]), (64_000, [9000])],
)
def test_segments_for_the_card_to_cut_are_whole_multiples_of_the_mss(
    tcp: SimpleNamespace, limit: int, sizes: list[int]
) -> None:
    talk = tcp.established(max_segmented=limit)
    talk.tcp.send(bytes(9000))
    sent = talk.take()
    assert [one.payload_length for one in sent] == sizes
    assert [one.segment_size for one in sent] == [1460 if size > 1460 else 0 for size in sizes]


def test_3_8_5_urgent_data_is_not_cut_by_the_card(tcp: SimpleNamespace) -> None:
    """A card repeats flags and pointer in each piece, and the pointer counts from the piece's own number."""
    talk = tcp.established(max_segmented=64_000)
    talk.tcp.send(bytes(2000), urgent=True)
    talk.tcp.send(bytes(7000))
    sent = talk.take()
    assert [(one.payload_length, one.urgent) for one in sent] == [(1460, 2000), (1460, 540), (6080, 0)]


def test_what_nagle_holds_back_is_not_part_of_a_large_segment(tcp: SimpleNamespace) -> None:
    talk = tcp.established(max_segmented=64_000)
    talk.tcp.send(b"x")
    talk.take()
    talk.tcp.send(bytes(3000))
    assert lengths(talk) == [2920]


# --- the device has no room ---


@given(rooms=st.lists(st.integers(0, 4), min_size=30, max_size=30))
def test_what_the_device_refuses_counts_as_not_sent(tcp: SimpleNamespace, rooms: list[int]) -> None:
    talk = tcp.established()
    data, got = tcp.stream(101, 8000), b""
    talk.tcp.send(data)
    for room in [*rooms, 100]:
        talk.room = room
        for one in talk.take():
            assert one.seq == 101 + len(got)
            got += b"".join(one.payload)
        assert len(got) == 8000 or talk.tcp.poll_at(0) == 0
    assert got == data
    assert talk.tcp.statistics["retransmissions"] == 0
