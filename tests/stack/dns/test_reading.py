"""What a response says about a question; dnspython writes the responses. And what is remembered of it."""

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.stack.sockets.dns.cache import ENTRIES, FAILED, FOUND, NO_DATA, NO_NAME, Cache, Outcome
from motenet.stack.sockets.dns.reading import ALIAS, MOST_ADDRESSES, MOST_ALIASES, Reading, mismatch, read
from motenet.stack.wire import Malformed
from motenet.stack.wire.dns import AAAA, A, Message, Question, Record, fold, parse

SECOND = 1_000_000_000
WWW = (b"www", b"example", b"test")
SOA = "example.test. 600 IN SOA ns.example.test. x.example.test. 1 2 3 4 60"
SEVEN = bytes((10, 0, 0, 7))


def response(
    *answers: str, rcode: int = 0, authority: tuple[str, ...] = (), flags: str = "QR RD RA", kind: str = "A"
) -> Message:
    """A response to the question for www.example.test; records as in zone files."""
    message = dns.message.make_query("www.example.test", kind, id=7)
    message.flags = dns.flags.from_text(flags)
    message.set_rcode(rcode)
    for section, texts in ((message.answer, answers), (message.authority, authority)):
        for text in texts:
            name, ttl, cls, rtype, data = text.split(maxsplit=4)
            section.append(dns.rrset.from_text(name, int(ttl), cls, rtype, data))
    return parse(message.to_wire())


def reading(message: Message, kind: int = A) -> Reading:
    return read(message, Question(WWW, kind))


def test_rfc_1034_3_6_2_aliases_are_followed_in_any_order() -> None:
    message = response(
        "host.example.test. 100 IN A 10.0.0.7", "b.test. 50 IN CNAME host.EXAMPLE.test.",
        "www.example.test. 200 IN CNAME b.test.", "host.example.test. 100 IN A 10.0.0.8",
    )  # fmt: skip
    assert reading(message) == Reading(
        FOUND, (b"host", b"example", b"test"), aliases=2, life=50, addresses=(SEVEN, bytes((10, 0, 0, 8)))
    )


def test_rfc_5452_6_what_nobody_asked_for_is_not_believed() -> None:
    """Neither a bank's address beside the answer, nor one in its place."""
    message = response("www.bank.test. 9 IN A 6.6.6.6", "www.example.test. 9 IN A 10.0.0.7")
    assert reading(message).addresses == (SEVEN,)
    assert reading(response("www.bank.test. 9 IN A 6.6.6.6", authority=(SOA,))).kind == NO_DATA


def test_another_class_or_type_is_no_answer() -> None:
    message = response("www.example.test. 9 IN AAAA fd00::1", "www.example.test. 9 CH A other. 1", authority=(SOA,))
    assert reading(message).kind == NO_DATA
    assert reading(message, AAAA).addresses == (bytes.fromhex("fd00" + "00" * 13 + "01"),)


@pytest.mark.parametrize(
    ("message", "kind", "life"),
    [
        (response(authority=(SOA,)), NO_DATA, 60),  # RFC 2308, 2.2 and 5
        (response(authority=(SOA.replace("600", "30"),)), NO_DATA, 30),
        (response(rcode=3, authority=(SOA,)), NO_NAME, 60),
        (response(), NO_DATA, 0),  # RFC 2308, 5: without an SOA it is not cached
        (response(rcode=3), NO_NAME, 0),
        (response(rcode=3, authority=(SOA.replace("example.test. 600", "other.test. 600"),)), NO_NAME, 0),
        (response("www.example.test. 20 IN CNAME gone.example.test.", rcode=3, authority=(SOA,)), NO_NAME, 20),
        (response("www.example.test. 20 IN CNAME empty.example.test.", authority=(SOA,)), NO_DATA, 20),
        (response("www.example.test. 20 IN CNAME there.other.test."), ALIAS, 20),
        (response(flags="QR AA"), NO_DATA, 0),
        (response(flags="QR RD", authority=("test. 9 IN NS ns.test.",)), FAILED, 0),  # RFC 2308, 2.2: a referral
        (response(rcode=dns.rcode.SERVFAIL), FAILED, 0),
        (response(rcode=dns.rcode.REFUSED), FAILED, 0),
    ],
)
def test_rfc_2308_what_there_is_not(message: Message, kind: str, life: int) -> None:
    found = reading(message)
    assert (found.kind, found.life, found.addresses) == (kind, life, ())


def test_rfc_2181_8_a_life_with_the_top_bit_is_zero() -> None:
    message = response("www.example.test. 5 IN A 10.0.0.7")
    message.answers[0].ttl = 0x8000_0005
    assert reading(message).life == 0


@given(st.permutations(range(1, MOST_ALIASES + 1)), st.integers(1, MOST_ALIASES))
def test_chains_of_any_order_and_length_end(order: list[int], length: int) -> None:
    names = ["www.example.test.", *(f"n{number}.test." for number in range(1, length + 1))]
    links = [f"{names[n - 1]} 9 IN CNAME {names[n]}" for n in order if n <= length]
    found = reading(response(f"{names[-1]} 9 IN A 10.0.0.7", *links))
    assert (found.kind, found.aliases, found.addresses) == (FOUND, length, (SEVEN,))


def test_circles_and_endless_chains_are_failures() -> None:
    circle = response("www.example.test. 9 IN CNAME b.test.", "b.test. 9 IN CNAME www.example.test.")
    itself = response("www.example.test. 9 IN CNAME www.example.test.")
    for message in (circle, itself):
        found = reading(message)
        assert (found.kind, found.detail) == (FAILED, "more than 16 aliases in a row")
    once = response("www.example.test. 9 IN CNAME there.test.")
    assert read(once, Question(WWW, A), MOST_ALIASES).kind == FAILED, "those of earlier responses count"


def test_addresses_have_a_length_and_aliases_a_name() -> None:
    for record in (Record(WWW, A, 1, 9, b"\1\2\3"), Record(WWW, 5, 1, 9, b"\1a")):
        message = response()
        message.answers.append(record)
        with pytest.raises(Malformed):
            reading(message)


def test_a_flood_of_addresses_is_bounded_and_has_no_doubles() -> None:
    texts = [f"www.example.test. 9 IN A 10.0.{n >> 8}.{n & 255}" for n in range(300)]
    assert len(reading(response(*texts)).addresses) == MOST_ADDRESSES
    assert reading(response(texts[7], texts[7])).addresses == (SEVEN,)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, ""),
        ({"flags": 0x0100}, "dns-no-response"),
        ({"flags": 0x9180}, "dns-no-response"),  # opcode STATUS
        ({"ident": 8}, "dns-ident"),
        ({"questions": []}, "dns-question"),
        ({"questions": [], "flags": 0x8181}, ""),  # FORMERR: it could not read ours
        ({"questions": [Question(WWW, AAAA)]}, "dns-question"),
        ({"questions": [Question(WWW, A, 3)]}, "dns-question"),
        ({"questions": [Question(WWW[1:], A)]}, "dns-question"),
        ({"questions": [Question(WWW, A)] * 2}, "dns-question"),
        ({"questions": [Question((b"wWw", *WWW[1:]), A)]}, "dns-case"),
    ],
)
def test_rfc_5452_9_1_what_must_match(change: dict[str, object], reason: str) -> None:
    message = response("www.example.test. 9 IN A 10.0.0.7")
    for name, value in change.items():
        setattr(message, name, value)
    assert mismatch(message, 7, Question(WWW, A)) == reason


# --- the cache


def test_the_least_recently_used_makes_way() -> None:
    cache = Cache()
    for number in range(ENTRIES):
        cache.put(((b"%d" % number,), A), Outcome(FOUND, (SEVEN,)), 60, 0)
    assert cache.get(((b"0",), A), 1) is not None
    cache.put(((b"new",), A), Outcome(NO_NAME), 60, 0)
    assert len(cache.entries) == ENTRIES
    assert cache.get(((b"1",), A), 1) is None
    assert cache.get(((b"0",), A), 1) is not None


@pytest.mark.parametrize(
    ("kind", "life", "kept"),
    [
        (FOUND, 60, 60), (FOUND, 0, 0), (FOUND, 10**9, 86_400), (NO_NAME, 10**9, 10_800), (NO_DATA, 5, 5),
        (FAILED, 400, 300),
    ],
)  # fmt: skip
def test_lives_are_bounded(kind: str, life: int, kept: int) -> None:
    """RFC 1035, 7.3; RFC 2308, 5; RFC 9520, 3.2."""
    cache = Cache()
    key = (fold(WWW), A)
    cache.put(key, Outcome(kind), life, 1000)
    if kept:
        assert cache.get(key, 1000 + kept * SECOND - 1) == Outcome(kind)
    assert cache.get(key, 1000 + kept * SECOND) is None


def test_a_cache_comes_back_from_a_snapshot() -> None:
    cache, other = Cache(), Cache()
    cache.put((WWW, A), Outcome(FOUND, (SEVEN,)), 60, 0)
    cache.put((WWW, AAAA), Outcome(NO_DATA), 30, 0)
    other.put(((b"x",), A), Outcome(NO_NAME), 60, 0)
    other.load(cache.save())
    assert other.entries == cache.entries
    assert other.get((WWW, A), 5) == Outcome(FOUND, (SEVEN,))
