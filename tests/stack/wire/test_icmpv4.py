"""ICMPv4 messages (RFC 792)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP

from motenet.stack.wire import Malformed, icmpv4

ECHO = bytes.fromhex("0800 8efe 1234 abcd aa0000ff")


def test_echo_request_bytes() -> None:
    message = icmpv4.parse(memoryview(ECHO))
    assert (message.type, message.code) == (icmpv4.ECHO_REQUEST, 0)
    assert (message.ident, message.sequence, bytes(message.payload)) == (0x1234, 0xABCD, b"\xaa\0\0\xff")
    buffer = bytearray(12)
    icmpv4.echo_request(0x1234, 0xABCD, b"\xaa\0\0\xff").emit(memoryview(buffer))
    assert bytes(buffer) == ECHO


@given(st.sampled_from((0, 8)), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.binary())
def test_agrees_with_scapy(kind: int, ident: int, sequence: int, payload: bytes) -> None:
    theirs = bytes(ICMP(type=kind, id=ident, seq=sequence) / payload)
    message = icmpv4.Message(kind, 0, ident << 16 | sequence, payload)
    buffer = bytearray(message.length)
    message.emit(memoryview(buffer))
    assert bytes(buffer) == theirs
    assert icmpv4.parse(memoryview(theirs)) == message


def test_rfc_1191_next_hop_mtu() -> None:
    theirs = bytes(ICMP(type=3, code=4, nexthopmtu=1280) / bytes(28))
    message = icmpv4.parse(memoryview(theirs))
    assert (message.kind, message.next_hop_mtu) == ("fragmentation-needed", 1280)


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


def test_rfc_792_redirect_and_parameter_problem() -> None:
    assert icmpv4.Message(icmpv4.REDIRECT, 1, 0x0A0000FE, b"").gateway == bytes((10, 0, 0, 254))
    assert icmpv4.Message(icmpv4.PARAMETER_PROBLEM, 0, 0x15000000, b"").pointer == 21


def test_rfc_1122_3_2_2_6_echo_reply_brings_all_back() -> None:
    reply = icmpv4.echo_reply(icmpv4.parse(memoryview(ECHO)))
    assert (reply.type, reply.code, reply.ident, reply.sequence) == (icmpv4.ECHO_REPLY, 0, 0x1234, 0xABCD)
    assert reply.payload == b"\xaa\0\0\xff"
