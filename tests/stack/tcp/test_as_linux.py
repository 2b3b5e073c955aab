"""Slow start and recovery beside Linux's own tests (google/packetdrill, gtests/net/tcp): to the same, the same answers.

Segments of 1000 bytes are told by number. `+20 < 4 8-9 > 4 5`: 20 ms later the peer acknowledges all before 4 and
reports 8; then 4 and 5 are sent. `write 7`: the application has seven more; `timer`: what Linux does by its timer.
"""

import re
from types import SimpleNamespace

import pytest

from motenet.core.units import MS

STEP = re.compile(r"\+(\d+) (?:< (\d+)((?: \d+-\d+)*)(?: win (\d+))?|write (\d+)|(timer))? ?>((?: \d+)*)")

SCENARIOS = {
    "fast_recovery/prr-ss-10pkt-lost-1": (10, """
        +110 < 0 1-2 >; +10 < 0 1-3 >; +10 < 0 1-4 > 0; +20 write 7 >; +10 < 0 1-5 > 10; +10 < 0 1-6 > 11;
        +10 < 0 1-7 > 12; +10 < 0 1-8 > 13; +10 < 0 1-9 > 14; +10 < 0 1-10 > 15; +20 < 10 > 16
    """),
    "fast_recovery/prr-ss-30pkt-lost-1_4-11_16": (20, """
        +100 < 0 4-5 > 10; +2 < 0 4-6 > 11; +2 < 0 4-7 > 0; +2 < 0 4-8 > 1; +2 < 0 4-9 > 2; +2 < 0 4-10 > 3;
        +2 < 0 4-11 > 12; +2 < 0 4-12 > 13; +86 < 1 4-12 > 14 15; +2 < 1 2-12 > 1 16; +2 < 1 2-13 > 17;
        +2 < 1 2-14 > 18
    """),
    "fast_recovery/prr-ss-30pkt-lost1_4": (10, """
        +100 < 0 4-5 >; +2 < 0 4-6 >; +0 < 0 4-7 > 0; +0 < 0 4-8 > 1; +0 < 0 4-9 > 2; +0 < 0 4-10 > 3;
        +100 < 1 4-10 >; +0 < 2 4-10 >; +0 < 3 4-10 >; +0 < 10 >; +10 write 10 > 10 11 12 13 14 15 16
    """),
    "fast_recovery/prr-ss-ack-below-snd_una-cubic": (10, """
        +100 < 0 1-2 >; +0 < 0 1-3 >; +0 < 0 1-3 8-9 > 0; +102 < 4 8-9 > 4 5 6; +0 write 10 >;
        +2 < 3 5-7 > 7 10
    """),
    "fast_retransmit/fr-4pkt-fack-last-mss": (4, """
        +100 < 0 3-4 >; +24 timer >; +1 timer > 0
    """),
    "fast_retransmit/fr-4pkt-sack": (4, """
        +100 < 0 1-2 >; +0 < 0 1-3 >; +0 < 0 1-4 > 0; +100 < 4 >
    """),
    "limited_transmit/limited-transmit-no-sack": (15, """
        +110 < 0 > 10; +10 < 0 > 11; +10 < 3 > 12 13; +20 < 5 > 14
    """),
    "limited_transmit/limited-transmit-sack": (15, """
        +110 < 0 1-2 > 10; +10 < 0 1-3 > 11; +10 < 3 > 12 13; +20 < 5 > 14
    """),
    "sack/sack-shift-sacked-2-6-8-3-9-nofack": (10, """
        +100 < 0 2-3 >; +1 < 0 2-3 6-7 >; +1 < 0 2-3 6-7 8-9 > 0; +7 < 0 2-4 6-7 8-9 > 1
    """),
    "sack/sack-shift-sacked-7-5-6-8-9-fack": (10, """
        +100 < 0 7-8 >; +25 timer > 0; +0 < 0 5-6 7-8 > 1; +0 < 0 5-8 > 2; +0 < 0 5-9 > 3; +0 < 0 5-10 > 4;
        +100 < 10 >
    """),
    "slow_start/slow-start-ack-per-4pkt": (30, """
        +110 < 4 > 10 11 12 13 14 15 16 17; +10 < 8 > 18 19 20 21 22 23 24 25; +5 < 10 > 26 27 28 29
    """),
    "slow_start/slow-start-after-idle": (26, """
        +100 < 10 > 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; +100 < 26 >;
        +2000 write 20 > 26 27 28 29 30 31 32 33 34 35
    """),
    "slow_start/slow-start-after-win-update": (26, """
        +100 < 10 > 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; +100 < 26 win 0 >;
        +3000 < 26 win 65535 >; +0 write 20 > 26 27 28 29 30 31 32 33 34 35
    """),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_linux_sends_is_sent(tcp: SimpleNamespace, name: str) -> None:
    count, script = SCENARIOS[name]
    talk = tcp.Conversation()
    talk.connect()
    talk.take()
    talk.wait(100 * MS)
    talk.send(f"<SEQ=300><ACK=101><CTL=SYN,ACK><MSS=1000>{'' if 'no-sack' in name else '<SACKOK=1>'}")
    talk.tcp.send(tcp.stream(101, 1000 * count))
    assert [one for one in talk.numbers() if one >= 0] == list(range(min(count, 10)))
    for step in script.split(";"):
        found = STEP.fullmatch(step.strip())
        assert found, step
        wait, ack, blocks, window, more, _, sends = found.groups(default="")
        talk.wait(int(wait) * MS)
        if more:
            talk.tcp.send(tcp.stream(101 + 1000 * count, 1000 * int(more)))
        elif ack:
            ranges = [tuple(map(int, one.split("-"))) for one in blocks.split()]
            talk.ack(int(ack), *ranges, more=f"<WND={window}>" if window else "")
        assert talk.numbers() == [int(one) for one in sends.split()], step
