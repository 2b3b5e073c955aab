"""What IP and TCP tell each other: the path's MTU (RFC 1191, 6.4; RFC 8201, 4), and that the peer is reachable."""

from types import SimpleNamespace

from motenet.core.units import MS

TRIP = 100 * MS


def lengths(talk: SimpleNamespace) -> list[tuple[int, int]]:
    return [(one.seq - 101, one.payload_length) for one in talk.take()]


def test_rfc_1191_6_4_what_a_smaller_path_has_lost_goes_again_and_is_no_congestion(tcp: SimpleNamespace) -> None:
    talk = tcp.Conversation().streaming(5400 + 4600)
    control = talk.tcp.sender.congestion
    before = (control.window, control.threshold)
    talk.tcp.path_mss(600)
    sent = lengths(talk)
    assert sent[:4] == [(0, 600), (600, 600), (1200, 600), (1800, 600)]
    assert sum(length for _, length in sent) == 10_000
    assert (control.window, control.threshold) == before
    assert talk.tcp.statistics["fast_retransmits"] == 0
    talk.wait(TRIP)
    talk.send("<SEQ=301><ACK=10101><CTL=ACK>")
    talk.tcp.send(bytes(1200))
    assert [length for _, length in lengths(talk)] == [600, 600]


def test_the_same_news_again_sends_nothing_again(tcp: SimpleNamespace) -> None:
    """A router answers each packet of a burst."""
    talk = tcp.Conversation().streaming(10_000)
    talk.tcp.path_mss(600)
    talk.take()
    for _ in range(9):
        talk.tcp.path_mss(600)
    assert talk.take() == []


def test_what_fitted_is_not_sent_again(tcp: SimpleNamespace) -> None:
    talk = tcp.Conversation(nagle=False).streaming(10_000)
    talk.ack(10)
    talk.tcp.send(bytes(500))
    talk.take()
    talk.tcp.path_mss(600)
    assert talk.take() == []


def test_rfc_8201_4_a_path_may_become_wider(tcp: SimpleNamespace) -> None:
    talk = tcp.Conversation().streaming(10_000)
    talk.tcp.path_mss(600)
    talk.take()
    talk.wait(TRIP)
    talk.ack(10)
    talk.tcp.path_mss(1460)
    talk.tcp.send(bytes(2000))
    assert [length for _, length in lengths(talk)] == [1000, 1000]  # the peer's MSS


def test_the_path_says_nothing_about_what_we_take(tcp: SimpleNamespace) -> None:
    talk = tcp.established()
    talk.tcp.path_mss(600)
    assert talk.tcp.receiver.mss_limit == 1460


def test_a_forged_tiny_path_leaves_room_for_data(tcp: SimpleNamespace) -> None:
    talk = tcp.Conversation().streaming(10_000)
    talk.tcp.path_mss(0)
    assert {length for _, length in lengths(talk)} <= {48, 10_000 % 48}


def test_rfc_4861_7_3_1_progress_confirms_that_the_peer_is_reachable(tcp: SimpleNamespace) -> None:
    """Once a second; only what acknowledges something new is progress."""
    heard: list[bytes] = []
    talk = tcp.established(confirm=heard.append)
    ack = 101
    talk.send(f"<SEQ=301><ACK={ack}><CTL=ACK>")
    assert heard == [tcp.B[0]]  # the handshake
    for _ in range(25):
        talk.tcp.send(b"x")
        talk.take()
        talk.wait(TRIP)
        ack += 1
        talk.send(f"<SEQ=301><ACK={ack}><CTL=ACK>")
    assert heard == [tcp.B[0]] * 3
