"""The server's answers, without a network: dnspython asks, and reads what comes."""

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motenet.apps.dns import Zones
from motenet.core.errors import ConfigurationError

ZONES = {
    "example.test": {
        "@": ["MX 10 mail", "NS ns"],
        "www": ["10.0.0.7", "fd00::7"],
        "alias": "CNAME www",
        "chain": "CNAME alias",
        "out": "CNAME www.elsewhere.test.",
        "away": "CNAME host.other.test.",
        "loop": "CNAME pool",
        "pool": "CNAME loop",
        "short": "0 A 10.0.0.8",
        "text": 'TXT "hello   world"',
        "a.deep.down": "10.0.0.9",
        "*.wild": "10.0.0.10",
        "there.wild": "TXT here",
        "forty": [f"10.1.0.{n}" for n in range(40)],
        "many": [f"10.1.0.{n}" for n in range(200)],
    },
    "elsewhere.test": {"www": "10.9.0.1"},
    "split.test": {
        "sub": ["NS ns.sub", "NS ns.other.test."],
        "ns.sub": ["10.7.0.1", "fd00::71"],
        "deep.sub": "NS ns",
        "alias": "CNAME www.sub",
    },
}
SOA = "ns.example.test. hostmaster.example.test. 1 3600 600 86400 60"


@pytest.fixture(scope="module")
def zones() -> Zones:
    return Zones(ZONES)


def ask(zones: Zones, name: str, kind: str = "A", by_tcp: bool = False, **more: object) -> dns.message.Message:
    data = zones.respond(dns.message.make_query(name, kind, id=7, **more).to_wire(), by_tcp)
    assert data is not None
    response = dns.message.from_wire(data)
    assert response.flags & dns.flags.QR
    assert response.id == 7
    return response


def texts(section: list) -> list[str]:
    return [f"{one.name} {one.ttl} {dns.rdatatype.to_text(one.rdtype)} {data}" for one in section for data in one]


@pytest.mark.parametrize(
    ("name", "kind", "answer"),
    [
        ("www.example.test", "A", ["www.example.test. 300 A 10.0.0.7"]),
        ("www.example.test", "AAAA", ["www.example.test. 300 AAAA fd00::7"]),
        ("WwW.eXample.tesT", "A", ["WwW.eXample.tesT. 300 A 10.0.0.7"]),  # RFC 4343, 4.1: the case is kept
        ("short.example.test", "A", ["short.example.test. 0 A 10.0.0.8"]),
        ("example.test", "MX", ["example.test. 300 MX 10 mail.example.test."]),
        ("example.test", "SOA", [f"example.test. 60 SOA {SOA}"]),
        ("text.example.test", "TXT", ['text.example.test. 300 TXT "hello   world"']),
        ("alias.example.test", "CNAME", ["alias.example.test. 300 CNAME www.example.test."]),
        ("7.0.0.10.in-addr.arpa", "PTR", ["7.0.0.10.in-addr.arpa. 300 PTR www.example.test."]),
        ("7" + ".0" * 29 + ".d.f.ip6.arpa", "PTR", ["7" + ".0" * 29 + ".d.f.ip6.arpa. 300 PTR www.example.test."]),
        (
            "chain.example.test", "A",
            ["chain.example.test. 300 CNAME alias.example.test.", "alias.example.test. 300 CNAME www.example.test.",
             "www.example.test. 300 A 10.0.0.7"],
        ),
        (
            "out.example.test", "A",
            ["out.example.test. 300 CNAME www.elsewhere.test.", "www.elsewhere.test. 300 A 10.9.0.1"],
        ),
        ("away.example.test", "A", ["away.example.test. 300 CNAME host.other.test."]),
        ("x.y.wild.example.test", "A", ["x.y.wild.example.test. 300 A 10.0.0.10"]),  # RFC 4592, 2.2.1
    ],
)  # fmt: skip
def test_what_is_there_is_answered(zones: Zones, name: str, kind: str, answer: list[str]) -> None:
    response = ask(zones, name, kind)
    assert response.rcode() == dns.rcode.NOERROR
    assert response.flags & dns.flags.AA
    assert not response.flags & dns.flags.RA
    assert texts(response.answer) == answer
    assert response.authority == []


@pytest.mark.parametrize(
    ("name", "kind", "rcode"),
    [
        ("nobody.example.test", "A", dns.rcode.NXDOMAIN),
        ("below.www.example.test", "A", dns.rcode.NXDOMAIN),
        ("mail.example.test", "A", dns.rcode.NXDOMAIN),
        ("text.example.test", "A", dns.rcode.NOERROR),
        ("deep.down.example.test", "A", dns.rcode.NOERROR),  # RFC 8020, 2: there are names below it
        ("there.wild.example.test", "A", dns.rcode.NOERROR),  # RFC 4592, 2.2.1: it exists, so no wildcard
        ("x.there.wild.example.test", "A", dns.rcode.NXDOMAIN),
        ("x.wild.example.test", "AAAA", dns.rcode.NOERROR),
    ],
)
def test_rfc_2308_3_what_is_not_there_comes_with_the_soa(zones: Zones, name: str, kind: str, rcode: int) -> None:
    response = ask(zones, name, kind)
    assert response.rcode() == rcode
    assert response.answer == []
    assert texts(response.authority) == [f"example.test. 60 SOA {SOA}"]


def test_rfc_6604_3_an_alias_to_nothing_is_no_name() -> None:
    response = ask(Zones({"example.test": {"alias": "CNAME nobody"}}), "alias.example.test")
    assert response.rcode() == dns.rcode.NXDOMAIN
    assert texts(response.answer) == ["alias.example.test. 300 CNAME nobody.example.test."]


def test_a_circle_of_aliases_ends(zones: Zones) -> None:
    response = ask(zones, "loop.example.test", by_tcp=True)
    assert {one.name.to_text() for one in response.answer} == {"loop.example.test.", "pool.example.test."}


def test_what_is_nobodys_here_is_refused(zones: Zones) -> None:
    for name, kind, cls in (("other.test", "A", "IN"), (".", "NS", "IN"), ("www.example.test", "A", "CH"),
                            ("example.test", "AXFR", "IN")):  # fmt: skip
        assert ask(zones, name, kind, rdclass=cls).rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize("name", ["sub", "www.sub", "x.Deep.sub", "alias"])
def test_rfc_1034_4_3_2_names_beyond_a_cut_are_referred(zones: Zones, name: str) -> None:
    response = ask(zones, f"{name}.split.test", "NS" if name == "sub" else "A", use_edns=0, payload=1232)
    assert (response.rcode(), len(response.answer)) == (dns.rcode.NOERROR, name == "alias")
    assert bool(response.flags & dns.flags.AA) == (name == "alias"), "of the name that was asked for"
    assert texts(response.authority) == [
        f"sub.split.test. 300 NS {ns}" for ns in ("ns.sub.split.test.", "ns.other.test.")
    ]
    assert texts(response.additional) == ["ns.sub.split.test. 300 A 10.7.0.1", "ns.sub.split.test. 300 AAAA fd00::71"]


@pytest.mark.parametrize(
    ("payload", "name", "cut"),
    [
        (None, "forty", True), (512, "forty", True), (100, "forty", True), (1232, "forty", False),
        (4096, "many", True), (65535, "many", True),
    ],
)  # fmt: skip
def test_rfc_2181_9_what_does_not_fit_is_left_out_whole(
    zones: Zones, payload: int | None, name: str, cut: bool
) -> None:
    query = dns.message.make_query(f"{name}.example.test", "A", use_edns=payload and 0, payload=payload)
    data = zones.respond(query.to_wire())
    assert data is not None
    assert len(data) <= min(max(payload or 512, 512), 1232)
    response = dns.message.from_wire(data)
    assert bool(response.flags & dns.flags.TC) == cut
    assert response.answer == [] if cut else len(response.answer[0]) == 40
    assert response.edns == (-1 if payload is None else 0)
    assert len(ask(zones, f"{name}.example.test", by_tcp=True).answer[0]) == len(ZONES["example.test"][name])


def test_rfc_9619_more_than_one_question_is_an_error(zones: Zones) -> None:
    query = dns.message.make_query("www.example.test", "A")
    query.question += dns.message.make_query("www.example.test", "AAAA").question
    assert dns.message.from_wire(zones.respond(query.to_wire())).rcode() == dns.rcode.FORMERR
    query.question.clear()
    assert dns.message.from_wire(zones.respond(query.to_wire())).rcode() == dns.rcode.FORMERR


def test_rfc_6891_6_1_3_other_versions_of_edns_are_told_so(zones: Zones) -> None:
    response = ask(zones, "www.example.test", use_edns=1)
    assert (response.rcode(), response.edns) == (dns.rcode.BADVERS, 0)


def test_other_opcodes_are_not_implemented(zones: Zones) -> None:
    query = dns.message.make_query("www.example.test", "A")
    query.set_opcode(dns.opcode.STATUS)
    assert dns.message.from_wire(zones.respond(query.to_wire())).rcode() == dns.rcode.NOTIMP


def test_responses_are_not_answered(zones: Zones) -> None:
    """Or two servers could talk for ever."""
    query = dns.message.make_query("www.example.test", "A")
    query.flags |= dns.flags.QR
    assert zones.respond(query.to_wire()) is None
    assert zones.respond(query.to_wire()[:14]) is None


def test_what_has_a_header_and_no_sense_is_a_format_error(zones: Zones) -> None:
    data = dns.message.make_query("www.example.test", "A", id=0x1234).to_wire()[:20]
    assert zones.respond(data) == bytes.fromhex("1234 8101 0000 0000 0000 0000")
    assert zones.respond(data[:11]) is None


@pytest.mark.parametrize(
    "names",
    [
        {"www": "10.0.0.256"}, {"www": "CNAME"}, {"www": "BOGUS x"}, {"www": ""}, {"www": "A fd00::1"},
        {"www": ["CNAME a", "10.0.0.1"]}, {"a..b": "10.0.0.1"}, {"x" * 64: "10.0.0.1"}, {"www.other.": "10.0.0.1"},
    ],
)  # fmt: skip
def test_a_zone_that_cannot_be_is_refused_by_name(names: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        Zones({"example.test": names})


@given(st.binary(max_size=60) | st.binary(max_size=40).map(lambda tail: bytes.fromhex("00010100000100000000") + tail))
def test_any_bytes_are_answered_with_sense_or_not_at_all(data: bytes) -> None:
    response = Zones({"example.test": {"www": "10.0.0.7"}}).respond(data)
    if response is not None:
        assert response[:2] == data[:2]
        assert dns.message.from_wire(response).flags & dns.flags.QR
        assert len(response) <= max(len(data), 512)
