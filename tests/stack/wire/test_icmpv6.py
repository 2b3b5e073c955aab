"""ICMPv6 messages (RFC 4443); Scapy's opinion is in test_oracle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.checksum import pseudo_header_sum
from motenet.stack.wire import Malformed, icmpv6

SOURCE, DESTINATION = bytes.fromhex("fd00" + "00" * 13 + "01"), bytes.fromhex("fd00" + "00" * 13 + "02")
PSEUDO = [0xFD00, 1, 0xFD00, 2, 58]

ECHO_WORDS = [0x8000, 0, 0x1234, 0xABCD, 0xAA00, 0x00FF]


def rfc_1071(words: list[int]) -> int:
    """The checksum as its RFC explains it: end-around carry, word by word."""
    total = 0
    for word in words:
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def echo() -> bytes:
    words = ECHO_WORDS.copy()
    words[1] = rfc_1071([*PSEUDO, 12, *words])
    return b"".join(word.to_bytes(2, "big") for word in words)


def test_rfc_4443_2_3_the_checksum_is_over_a_pseudo_header() -> None:
    message = icmpv6.parse(memoryview(echo()), SOURCE, DESTINATION)
    assert (message.type, message.code, message.ident, message.sequence) == (icmpv6.ECHO_REQUEST, 0, 0x1234, 0xABCD)
    assert bytes(message.payload) == b"\xaa\0\0\xff"
    buffer = bytearray(12)
    icmpv6.echo_request(0x1234, 0xABCD, b"\xaa\0\0\xff").emit(
        memoryview(buffer), pseudo_header_sum(SOURCE, DESTINATION, 58, 12)
    )
    assert bytes(buffer) == echo()


def test_a_message_that_went_to_somebody_else_has_a_wrong_checksum() -> None:
    other = DESTINATION[:-1] + b"\3"
    with pytest.raises(Malformed, match="icmp-checksum"):
        icmpv6.parse(memoryview(echo()), SOURCE, other)
    assert icmpv6.parse(memoryview(echo()), SOURCE, other, verify=False).ident == 0x1234


def test_a_message_shorter_than_any_is_malformed() -> None:
    with pytest.raises(Malformed, match="icmp-short"):
        icmpv6.parse(memoryview(echo()[:7]), SOURCE, DESTINATION)


def test_where_the_card_computes_the_checksum_it_finds_the_pseudo_headers_sum() -> None:
    buffer = bytearray(8)
    icmpv6.echo_request(1, 2, b"").emit(memoryview(buffer), 0xBEEF, False)
    assert buffer.hex() == "8000beef00010002"


@pytest.mark.parametrize(
    ("kind", "code", "word"),
    [
        (1, 0, "network"), (1, 1, "prohibited"), (1, 2, "host"), (1, 3, "host"), (1, 4, "port"), (1, 5, "prohibited"),
        (1, 6, "prohibited"), (1, 99, "unknown"), (2, 0, "packet-too-big"), (3, 0, "time-exceeded"),
        (3, 1, "time-exceeded"), (4, 0, "parameter-problem"), (4, 1, "protocol"), (4, 2, "parameter-problem"),
        (100, 0, "unknown"), (128, 0, "unknown"),
    ],
)  # fmt: skip
def test_rfc_4443_3_what_errors_say(kind: int, code: int, word: str) -> None:
    assert icmpv6.Message(kind, code, 0, b"").kind == word


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_a_message_or_malformed(data: bytes) -> None:
    try:
        message = icmpv6.parse(memoryview(data), SOURCE, DESTINATION, verify=False)
    except Malformed:
        assert len(data) < 8
    else:
        buffer = bytearray(message.length)
        message.emit(memoryview(buffer), int.from_bytes(data[2:4], "big"), False)
        assert bytes(buffer) == data
