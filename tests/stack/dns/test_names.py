"""Which texts are names of hosts (RFC 1123, 2.1), and which names they stand for (resolv.conf(5))."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.core.errors import ConfigurationError
from motenet.core.rng import Stream
from motenet.stack.errors import BadName
from motenet.stack.sockets.dns.names import candidates, encode, mix_case
from motenet.stack.wire.dns import fold

LAN, LAB = (b"lan",), (b"lab", b"test")


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("www.Example.TEST", (b"www", b"example", b"test")),
        ("www.example.test.", (b"www", b"example", b"test")),
        ("3com.test", (b"3com", b"test")),  # RFC 1123, 2.1: a digit may come first
        ("_dns._udp.test", (b"_dns", b"_udp", b"test")),
        ("r3---x.test", (b"r3---x", b"test")),
        ("Bücher.example", (b"xn--bcher-kva", b"example")),  # RFC 3492's encoding, as Wikipedia's IDNA article shows it
        ("例え。テスト", (b"xn--r8jz45g", b"xn--zckzah")),  # IANA's test domain; RFC 3490, 3.1: that dot is one too
        ("a." * 126 + "a", (b"a",) * 127),  # 255 bytes on the wire
        ("x" * 63, (b"x" * 63,)),
    ],
)
def test_names(text: str, labels: tuple[bytes, ...]) -> None:
    assert encode(text) == labels


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "a..b", ".a", "a..", "x" * 64, "a." * 127 + "a", "a b", "a/b", "a\n", "a\0b", "a@b", "10.0.0.256",
     "1.2.3", "www.example.7", "ü" * 64, "a" * 2000, "\ud800", "a.\u2024b", None, 7, b"www"],
)  # fmt: skip
def test_what_is_no_name_is_refused_as_such(text: str) -> None:
    with pytest.raises(BadName) as error:
        encode(text)
    assert isinstance(error.value, ConfigurationError | OSError)
    assert error.value.errno == -2  # Linux' EAI_NONAME


def test_resolv_conf_search_and_ndots() -> None:
    search = [LAN, LAB]
    assert candidates("www", search, 1) == [(b"www", *LAN), (b"www", *LAB), (b"www",)]
    assert candidates("www.a", search, 1) == [(b"www", b"a"), (b"www", b"a", *LAN), (b"www", b"a", *LAB)]
    assert candidates("www.a", search, 2) == [(b"www", b"a", *LAN), (b"www", b"a", *LAB), (b"www", b"a")]
    assert candidates("www.", search, 1) == [(b"www",)]
    assert candidates("www", [], 1) == [(b"www",)]
    assert candidates("a." * 126 + "a", search, 500) == [(b"a",) * 127], "longer ones are no names"


@given(st.integers(), st.lists(st.from_regex(rb"[A-Za-z0-9-]{1,20}", fullmatch=True), max_size=4).map(tuple))
def test_dns0x20_changes_nothing_but_the_case(seed: int, name: tuple[bytes, ...]) -> None:
    mixed = mix_case(name, Stream(seed, "case"))
    assert fold(mixed) == fold(name)


def test_dns0x20_each_letter_is_a_bit_of_chance() -> None:
    stream = Stream(1, "case")
    seen = {mix_case((b"abcd-1",), stream) for _ in range(400)}
    assert len(seen) == 16


@given(st.text(max_size=40))
def test_any_text_is_a_name_or_bad(text: str) -> None:
    try:
        name = encode(text)
    except BadName:
        return
    assert all(0 < len(label) <= 63 and label.isascii() for label in name)
