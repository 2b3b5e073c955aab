"""ICMPv4 messages (RFC 792) by literal bytes; Scapy's opinion is in test_oracle."""

import pytest

from motenet.stack.wire import Malformed, icmpv4

ECHO = bytes.fromhex("0800 8efe 1234 abcd aa0000ff")


def test_echo_request_bytes() -> None:
    message = icmpv4.parse(memoryview(ECHO))
    assert (message.type, message.code) == (icmpv4.ECHO_REQUEST, 0)
    assert (message.ident, message.sequence, bytes(message.payload)) == (0x1234, 0xABCD, b"\xaa\0\0\xff")
    buffer = bytearray(12)
    icmpv4.echo_request(0x1234, 0xABCD, b"\xaa\0\0\xff").emit(memoryview(buffer))
    assert bytes(buffer) == ECHO


@pytest.mark.parametrize(
    ("kind", "code", "word"),
    [(3, 0, "network"), (3, 1, "host"), (3, 2, "protocol"), (3, 3, "port"), (3, 4, "fragmentation-needed"),
     (3, 5, "source-route"), (3, 6, "network"), (3, 7, "host"), (3, 8, "host"), (3, 9, "prohibited"),
     (3, 10, "prohibited"), (3, 11, "network"), (3, 12, "host"), (3, 13, "prohibited"), (3, 14, "prohibited"),
     (3, 15, "prohibited"), (3, 16, "unknown"), (11, 0, "time-exceeded"), (12, 0, "parameter-problem"),
     (4, 0, "unknown")],
)  # fmt: skip
def test_rfc_792_what_errors_say(kind: int, code: int, word: str) -> None:
    assert icmpv4.Message(kind, code, 0, b"").kind == word


def test_bad_messages_are_malformed() -> None:
    with pytest.raises(Malformed, match="icmp-short"):
        icmpv4.parse(memoryview(ECHO[:7]))
    with pytest.raises(Malformed, match="icmp-checksum"):
        icmpv4.parse(memoryview(ECHO[:-1] + b"\xfe"))
