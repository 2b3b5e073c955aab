"""RFC 9293's numbered requirements on congestion (3.8.2): ECN by RFC 3168, and another algorithm than RFC 5681's."""

from types import SimpleNamespace

import pytest

from motenet.core.errors import ConfigurationError


def test_shld_8_ecn_is_agreed_on_and_a_mark_slows_the_sender_down_once(tcp: SimpleNamespace) -> None:
    """RFC 3168, 6.1.1 and 6.1.2: SYN with ECE and CWR, SYN,ACK with ECE; then ECT, and CWR answers ECE."""
    talk = tcp.Conversation(ecn=True)
    talk.connect()
    talk.recv("<SEQ=100><CTL=SYN,ECE,CWR><IP=>")
    talk.send("<SEQ=300><ACK=101><CTL=SYN,ACK,ECE><MSS=1000>")
    talk.recv("<SEQ=101><ACK=301><CTL=ACK><IP=>")
    talk.tcp.send(bytes(40_000))
    assert all(one.ect for one in talk.take())
    talk.send("<SEQ=301><ACK=5101><CTL=ACK,ECE>")
    assert talk.tcp.sender.congestion.threshold == 7000  # RFC 9438, 4.6: of 10,000 in flight
    talk.send("<SEQ=301><ACK=8101><CTL=ACK,ECE>")
    assert talk.tcp.sender.congestion.threshold == 7000
    first, *others = [*talk.take(), *_all_acknowledged(talk)]
    assert "CWR" in tcp.shown(first)
    assert not any("CWR" in tcp.shown(one) for one in others)


def _all_acknowledged(talk: SimpleNamespace) -> list[object]:
    """What follows once all that is out is acknowledged."""
    talk.send(f"<SEQ=301><ACK={talk.tcp.sender.max}><CTL=ACK>")
    found: list[object] = talk.take()
    return found


def test_shld_8_a_mark_is_echoed_until_the_sender_has_answered(tcp: SimpleNamespace) -> None:
    """RFC 3168, 6.1.3."""
    talk = tcp.Conversation()
    talk.listen("<SEQ=300><CTL=SYN,ECE,CWR><MSS=1000>")
    talk.recv("<SEQ=100><ACK=301><CTL=SYN,ACK,ECE>")
    talk.send("<SEQ=301><ACK=101><CTL=ACK>")
    talk.send("<SEQ=301><ACK=101><CTL=ACK><DATA=1000><IP=CE>")
    talk.send("<SEQ=1301><ACK=101><CTL=ACK><DATA=1000>")
    talk.recv("<SEQ=101><ACK=2301><CTL=ACK,ECE>")
    talk.send("<SEQ=2301><ACK=101><CTL=ACK><DATA=1000>")
    talk.send("<SEQ=3301><ACK=101><CTL=ACK,CWR><DATA=1000>")
    talk.send("<SEQ=4301><ACK=101><CTL=ACK><DATA=1000>")
    talk.recv("<SEQ=101><ACK=5301><CTL=ACK>")


@pytest.mark.parametrize(("control", "tenths"), [("newreno", 5), ("cubic", 7)])
def test_may_18_the_algorithm_is_the_applications_choice(tcp: SimpleNamespace, control: str, tenths: int) -> None:
    """A loss leaves half of the flight (RFC 5681, 3.1), with CUBIC 0.7 of the window (RFC 9438, 4.6)."""
    talk = tcp.Conversation()
    talk.tcp.congestion_control = control
    talk.streaming()
    for behind in range(2, 6):
        talk.ack(0, (1, behind))
    talk.take()
    assert talk.tcp.sender.congestion.threshold == tenths * 1000
    with pytest.raises(ConfigurationError):
        talk.tcp.congestion_control = "none of these"
