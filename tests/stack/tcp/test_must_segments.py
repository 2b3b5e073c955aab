"""RFC 9293's numbered requirements (its appendix B) that the other files here do not name: what segments carry and do.

docs/rfc9293.md says which test proves which number.
"""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.errors import ConfigurationError
from motenet.core.units import MS, SECOND
from motenet.stack.sockets.tcp.handshake import initial_sequence
from motenet.stack.wire import tcp as wire
from motenet.stack.wire.tcp import Segment


def sent(talk: SimpleNamespace) -> list[int]:
    """The payload lengths of what is sent now."""
    return [one.payload_length for one in talk.take() if one.payload_length]


# --- windows (3.1, 3.8.6) ---


@pytest.mark.parametrize("window", [32_767, 32_768, 65_535])
def test_must_1_a_window_is_an_unsigned_number(tcp: SimpleNamespace, window: int) -> None:
    talk = tcp.established()
    talk.tcp.congestion_control = "none"
    talk.send(f"<SEQ=301><ACK=101><CTL=ACK><WND={window}>")
    talk.tcp.nagle = False
    talk.tcp.send(bytes(100_000))
    assert sum(sent(talk)) == window // 1460 * 1460


def test_shld_17_data_behind_a_shrunken_window_is_no_reason_to_give_up(tcp: SimpleNamespace) -> None:
    """The peer has taken back the window below what was sent, and answers, for longer than R2."""
    talk = tcp.established(user_timeout=100 * SECOND)
    talk.tcp.send(bytes(2000))
    talk.take()
    while talk.clock.now < 500 * SECOND:
        talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=0>")
        talk.clock.now = talk.tcp.poll_at(talk.clock.now)
        talk.take()
    assert talk.tcp.state == "ESTABLISHED"
    talk.send("<SEQ=301><ACK=101><CTL=ACK><WND=65535>")
    assert sent(talk) == [1460]  # and the rest as the congestion window allows


def test_may_8_our_window_may_stay_shut_for_ever(tcp: SimpleNamespace) -> None:
    talk = tcp.established(receive_capacity=10)
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=10>")
    talk.wait_for("<SEQ=101><ACK=311><CTL=ACK><WND=0>")
    for _ in range(20):
        talk.wait(3600 * SECOND)
        talk.send("<SEQ=311><ACK=101><CTL=ACK><DATA=1>")
        talk.recv("<SEQ=101><ACK=311><CTL=ACK><WND=0>")
    talk.tcp.recv(10)
    talk.recv("<SEQ=101><ACK=311><CTL=ACK><WND=10>")


# --- options (3.1, 3.2, 3.7.1) ---


def parsed(options: bytes, flags: int = wire.SYN) -> Segment:
    assert len(options) % 4 == 0
    header = bytes((0, 1, 0, 2)) + bytes(8) + bytes(((20 + len(options)) << 2, flags)) + bytes(6)
    return wire.parse(memoryview(header + options))


@pytest.mark.parametrize(
    ("options", "mss"),
    [("020405b4", 1460), ("01010101020405b4", 1460), ("0101020405b400ff", 1460), ("0002020405b40000", None)],
)
def test_must_4_end_of_list_no_operation_and_mss_are_understood(options: str, mss: int | None) -> None:
    assert parsed(bytes.fromhex(options)).mss == mss


def test_must_5_an_option_may_come_in_any_segment(tcp: SimpleNamespace) -> None:
    """One that has no place there changes nothing: the MSS is that of the SYN."""
    assert parsed(bytes.fromhex("020405b4"), wire.ACK).mss == 1460
    talk = tcp.established()
    talk.send("<SEQ=301><ACK=101><CTL=ACK><MSS=100><WSOPT=7><TS=1/1><DATA=5>")
    talk.tcp.send(bytes(1460))
    talk.recv("<SEQ=101><ACK=306><CTL=ACK><DATA=1460>")
    talk.send("<SEQ=306><ACK=1561><CTL=FIN,ACK><WND=9000><MSS=100><WSOPT=7>")
    assert (talk.tcp.state, talk.tcp.sender.wnd) == ("CLOSE-WAIT", 9000)
    talk.tcp.send(bytes(1460))
    talk.recv("<SEQ=1561><ACK=307><CTL=ACK><DATA=1460>")


def test_must_14_the_mss_option_is_sent_and_obeyed(tcp: SimpleNamespace) -> None:
    """SHLD-5 and MAY-3: every SYN of ours has it, an answer too."""
    talk = tcp.Conversation(mss_limit=1460)
    talk.connect()
    talk.recv("<SEQ=100><CTL=SYN><MSS=1460>")
    talk.send("<SEQ=300><ACK=101><CTL=SYN,ACK><MSS=700>")
    talk.tcp.send(bytes(1400))
    talk.recv("<SEQ=101><ACK=301><CTL=ACK><DATA=700>", "<SEQ=801><ACK=301><CTL=ACK><DATA=700>")
    answer = tcp.Conversation(mss_limit=536)
    answer.listen("<SEQ=300><CTL=SYN>")
    answer.recv("<SEQ=100><ACK=301><CTL=SYN,ACK><MSS=536>")


def test_must_15_over_ipv6_1220_is_assumed(tcp: SimpleNamespace) -> None:
    talk = tcp.Conversation()
    talk.tcp.connect((bytes.fromhex("fd" + "00" * 14 + "02"), 80), (bytes.fromhex("fd" + "00" * 14 + "01"), 1024))
    talk.tcp.sender.start(100)
    talk.recv("<SEQ=100><CTL=SYN>")
    talk.send("<SEQ=300><ACK=101><CTL=SYN,ACK>")
    talk.tcp.send(bytes(2440))
    talk.recv("<SEQ=101><ACK=301><CTL=ACK><DATA=1220>", "<SEQ=1321><ACK=301><CTL=ACK><DATA=1220>")


numbers = st.integers(0, 2**32 - 1)


@given(
    flags=st.sampled_from([wire.SYN, wire.SYN | wire.ACK, wire.ACK]),
    mss=st.none() | st.integers(0, 65_535),
    scale=st.none() | st.integers(0, 14),
    sack_permitted=st.booleans(),
    stamps=st.none() | st.tuples(numbers, numbers),
    sack=st.lists(st.tuples(numbers, numbers), max_size=1).map(tuple),
)
def test_must_68_and_69_every_option_tells_its_length_and_the_rest_is_zero(
    flags: int,
    mss: int | None,
    scale: int | None,
    sack_permitted: bool,
    stamps: tuple[int, int] | None,
    sack: tuple[tuple[int, int], ...],
) -> None:
    segment = Segment(1, 2, 3, 4, flags, 5, 0, mss, scale, sack_permitted, sack, stamps)
    buffer = bytearray(b"\xee" * wire.header_length(segment))
    assert wire.emit_header(segment, memoryview(buffer), 0) == len(buffer) == buffer[12] >> 4 << 2
    options, kinds = bytes(buffer[20:]), []
    while options and options[0] != 0:
        length = 1 if options[0] == 1 else options[1]
        assert 1 <= length <= len(options)
        assert options[0] == 1 or length >= 2
        kinds += [options[0]] * (options[0] != 1)
        options = options[length:]
    assert not any(options)
    syn = flags & wire.SYN
    wanted = [(mss is not None and syn, 2), (scale is not None and syn, 3), (sack_permitted and syn, 4)]
    assert kinds == [kind for there, kind in [*wanted, (stamps, 8), (sack, 5)] if there or there == (0, 0)]


# --- initial sequence numbers (3.4.1) ---


def test_must_9_nobody_without_the_secret_can_compute_the_isn(tcp: SimpleNamespace) -> None:
    """F() is a keyed hash: not even knowing our number for one port tells the one for the next."""
    keys = [bytes([number]) * 32 for number in range(50)]
    here = [initial_sequence(key, 0, tcp.A, tcp.B) for key in keys]
    beside = [initial_sequence(key, 0, (tcp.A[0], tcp.A[1] + 1), tcp.B) for key in keys]
    assert len(set(here)) == len(keys)
    assert len({(one - other) % 2**32 for one, other in zip(here, beside, strict=True)}) == len(keys)


# --- closing and failing (3.6, 3.8.3, 3.8.4) ---


def test_must_12_the_application_learns_whether_it_was_closed_or_aborted(tcp: SimpleNamespace) -> None:
    closed, aborted = tcp.established(), tcp.established()
    woken = closed.woken
    closed.send("<SEQ=301><ACK=101><CTL=FIN,ACK>")
    aborted.send("<SEQ=301><CTL=RST>")
    assert closed.woken == aborted.woken == woken + 1
    assert (closed.tcp.may_recv, closed.tcp.recv(10), closed.tcp.error) == (False, b"", None)
    assert not aborted.tcp.may_recv
    with pytest.raises(ConnectionResetError):
        aborted.tcp.recv(10)


def test_must_22_excessive_retransmissions_of_a_syn_are_handled_as_those_of_data(tcp: SimpleNamespace) -> None:
    """R1: the IP layer and the application hear of it. R2: the attempt ends."""
    talk = tcp.Conversation(user_timeout=200 * SECOND)
    suspects: list[bytes] = []
    talk.tcp.suspect = suspects.append
    talk.connect()
    talk.take()
    for retransmission in range(4):
        assert suspects == [tcp.B[0]] * (retransmission >= 3)
        talk.wait_for("<SEQ=100><CTL=SYN>")
    while talk.tcp.state == "SYN-SENT":
        talk.clock.now = talk.tcp.poll_at(talk.clock.now)
        talk.take()
    assert talk.clock.now == 200 * SECOND
    assert isinstance(talk.tcp.error, TimeoutError)


def test_shld_11_r2_is_at_least_100_seconds_by_default(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.tcp.send(b"abc")
    while talk.tcp.poll_at(talk.clock.now) < 100 * SECOND:
        talk.take()
        talk.clock.now = max(talk.clock.now + 1, talk.tcp.poll_at(talk.clock.now))
    assert talk.tcp.state == "ESTABLISHED"
    assert talk.tcp.sender.timeouts >= 3


def test_must_24_keep_alives_are_switched_on_and_off(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    assert talk.tcp.poll_at(0) is None
    talk.tcp.keep_alive = 60 * SECOND
    assert talk.wait_for("<SEQ=100><ACK=301><CTL=ACK>") == 60 * SECOND
    talk.tcp.keep_alive = None
    assert talk.tcp.poll_at(talk.clock.now) is None


def test_shld_20_who_wants_no_reports_gets_none(tcp: SimpleNamespace) -> None:
    """Soft errors, trouble and urgency are told to the waker and to who watches: without them nothing is called."""
    talk = tcp.established()
    talk.tcp.waker = talk.tcp.watch = None
    before = talk.woken
    talk.tcp.unreachable("host")
    talk.send("<SEQ=301><ACK=101><CTL=ACK,URG><UP=1><DATA=5>")
    talk.tcp.send(b"abc")
    talk.take()
    for _ in range(4):
        talk.wait_for("<SEQ=101><ACK=306><CTL=ACK><DATA=abc>")
    assert talk.woken == before
    assert talk.tcp.recv(10) == tcp.stream(301, 5)


# --- acknowledgments (3.8.6.3) ---


def test_must_40_an_acknowledgment_never_waits_half_a_second(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=5>")
    assert talk.wait_for("<SEQ=101><ACK=306><CTL=ACK>") < 500 * MS
    with pytest.raises(ConfigurationError, match="500"):
        talk.tcp.ack_delay = 500 * MS
    talk.tcp.ack_delay = 499 * MS
    talk.send("<SEQ=306><ACK=101><CTL=ACK><DATA=5>")
    assert talk.wait_for("<SEQ=101><ACK=311><CTL=ACK>") == 499 * MS


def test_must_58_acknowledgments_are_aggregated(tcp: SimpleNamespace) -> None:
    """Of two segments, of an answer, and of a FIN that comes with them, one segment of ours tells."""
    talk = tcp.established()
    assert talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=10>") == ""
    assert talk.send("<SEQ=311><ACK=101><CTL=ACK><DATA=10>") == ""
    assert talk.send("<SEQ=321><ACK=101><CTL=FIN,ACK>") == ""
    talk.tcp.send(b"reply")
    talk.recv("<SEQ=101><ACK=322><CTL=ACK><DATA=reply>")
    assert talk.tcp.poll_at(talk.clock.now) >= SECOND  # for the retransmission: no acknowledgment is left to be sent


# --- SEND (3.9.1.2) and urgent data (3.8.5) ---


def test_must_60_nothing_is_held_back_for_ever(tcp: SimpleNamespace) -> None:
    """There is no PUSH in SEND: a little is sent at once, and what Nagle holds goes with the acknowledgment."""
    talk = tcp.established()
    talk.tcp.send(b"a")
    talk.recv("<SEQ=101><ACK=301><CTL=PSH,ACK><DATA=a>")
    talk.tcp.send(b"b")
    talk.recv()
    talk.send("<SEQ=301><ACK=102><CTL=ACK>")
    talk.recv("<SEQ=102><ACK=301><CTL=PSH,ACK><DATA=b>")


def test_shld_27_and_may_16_successive_sends_become_one_segment(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    for word in (b"one ", b"two ", b"three"):
        talk.tcp.send(word)
    talk.recv("<SEQ=101><ACK=301><CTL=PSH,ACK><DATA=one two three>")


def test_must_30_and_31_urgent_data_of_any_length_is_sent(tcp: SimpleNamespace) -> None:
    """The field has 16 bits: it says 65535 as long as the end is farther away (RFC 6093; RFC 9293, 3.8.5)."""
    talk = tcp.established()
    talk.tcp.congestion_control = "none"
    talk.tcp.send(bytes(100_000), urgent=True)
    segments, acknowledged = [], 101
    while acknowledged < 100_101:
        found = [one for one in talk.take() if one.payload_length]
        segments += found
        acknowledged = found[-1].seq + found[-1].payload_length
        talk.send(f"<SEQ=301><ACK={acknowledged}><CTL=ACK>")
    assert all(one.flags & wire.URG for one in segments)
    assert [one.urgent for one in segments] == [min(100_101 - one.seq, 65_535) for one in segments]


def test_must_31_urgent_data_of_any_length_is_received(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    for seq in range(301, 300_301, 30_000):
        talk.send(f"<SEQ={seq}><ACK=101><CTL=ACK,URG><UP=65535><DATA=30000>")
        assert talk.tcp.urgent_remaining == 65_535
        assert len(talk.tcp.recv(30_000)) == 30_000
        talk.take()
    assert talk.tcp.urgent_remaining == 35_535
