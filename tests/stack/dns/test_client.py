"""The DNS client: whom it asks, when and how, whom it believes, and what it remembers."""

from random import Random
from typing import Any

import dns.flags
import dns.rcode
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.l2 import Ether

from motenet.core.errors import ConfigurationError, Timeout
from motenet.stack import errors

SECOND = 1_000_000_000
SOA = "example.test. 600 IN SOA ns.example.test. x.example.test. 1 2 3 4 60"
A7, A8 = bytes((10, 0, 0, 7)), bytes((10, 0, 0, 8))
SEVEN = "@ 60 IN A 10.0.0.7"

# --- asking


def test_rfc_1035_4_1_a_query(resolver: Any) -> None:
    query, asked = resolver.ask("www.example.test")
    assert (asked.server, asked.kind, asked.name.lower()) == ("10.0.0.2", "A", "www.example.test.")
    assert asked.message.flags == dns.flags.RD
    assert (asked.message.edns, asked.message.payload) == (0, 1232)
    assert not query.done
    resolver.reply(asked, SEVEN)
    assert (query.done, query.addresses, query.error) == (True, [A7], None)


def test_both_families_are_asked_for_at_once(resolver: Any) -> None:
    query = resolver.dns.start_query("www.example.test")
    six, four = resolver.asked()
    assert (six.kind, four.kind) == ("AAAA", "A")
    assert six.port != four.port
    resolver.reply(four, SEVEN)
    assert not query.done
    resolver.reply(six, "@ 60 IN AAAA fd00::7")
    assert query.addresses == [A7, bytes.fromhex("fd00" + "00" * 13 + "07")], (
        "RFC 6724, 6, rule 1: no way leads to IPv6"
    )


def test_one_family_is_enough_to_go_on(resolver: Any) -> None:
    query = resolver.dns.start_query("www.example.test")
    six, four = resolver.asked()
    resolver.reply(four, SEVEN)
    resolver.reply(six, rcode=dns.rcode.SERVFAIL)
    assert query.addresses == [A7]


def test_rfc_5452_9_2_ports_and_identifiers_cannot_be_foretold(resolver: Any) -> None:
    asked = []
    for number in range(60):
        query, one = resolver.ask(f"n{number}.test")
        query.cancel()
        asked.append(one)
    assert len({one.port for one in asked}) > 55
    assert len({one.message.id for one in asked}) > 55
    assert all(one.port >= 1024 for one in asked)
    assert min(one.port for one in asked) < 15_000, "not the ephemeral ports alone"
    assert min(one.message.id for one in asked) < 10_000 < 55_000 < max(one.message.id for one in asked)


def test_ports_depend_on_the_seed_alone(make_script: Any, make_resolver: Any) -> None:
    assert make_resolver().ask()[1].data == make_resolver().ask()[1].data


def test_equal_questions_are_asked_once(resolver: Any) -> None:
    """RFC 5452, 5: many at a time would be a forger's many chances."""
    first, asked = resolver.ask("www.example.test")
    second = resolver.dns.start_query("WWW.example.test.", 4)
    assert resolver.asked() == []
    first.cancel()
    resolver.reply(asked, SEVEN)
    assert second.addresses == [A7]
    assert isinstance(first.error, errors.DnsCancelled)


def test_a_cancelled_query_leaves_nothing_behind(resolver: Any) -> None:
    query, asked = resolver.ask()
    query.cancel()
    assert [row["kind"] for row in resolver.stack.list_sockets() if row["state"] == "OPEN"] == ["dns"]
    assert resolver.script.sent() == []
    (refused,) = resolver.reply(asked, SEVEN)
    assert refused[ICMP].type == 3
    assert resolver.pass_time(60) == []
    assert resolver.stack.list_sockets()[1:] == []
    query.cancel()
    assert query.addresses == []


def test_so_many_questions_at_a_time(resolver: Any) -> None:
    for number in range(128):
        resolver.dns.start_query(f"n{number}.test")
    with pytest.raises(errors.QueueFull):
        resolver.dns.start_query("one-more.test")
    assert resolver.dns.start_query("10.0.0.9").done


def test_the_waker_tells_that_a_query_is_done(resolver: Any) -> None:
    query, asked = resolver.ask()
    told: list[bool] = []
    query.waker = lambda: told.append(query.done)
    resolver.reply(asked, SEVEN)
    assert told == [True]


# --- servers that do not answer


def test_rfc_9520_3_1_a_silent_server_is_asked_three_times(resolver: Any) -> None:
    """After 1, 2 and 4 seconds; the same query from the same port, so that a late response still counts."""
    query, first = resolver.ask()
    start, again = resolver.now, []
    for wait in (1, 2):
        assert resolver.pass_time(wait - 0.001) == []
        again += resolver.asked(resolver.pass_time(0.001))
    assert [(one.data, one.port) for one in again] == [(first.data, first.port)] * 2
    assert resolver.pass_time(4) == []
    assert resolver.now - start == 7 * SECOND
    assert isinstance(query.error, errors.DnsTimeout)
    assert isinstance(query.error, Timeout | OSError)
    assert "10.0.0.2" in str(query.error)
    assert resolver.pass_time(60) == []


def test_a_late_response_counts(resolver: Any) -> None:
    query, asked = resolver.ask()
    resolver.pass_time(1.5)
    resolver.reply(asked, SEVEN)
    assert query.addresses == [A7]


def test_a_longer_patience_ends_at_ten_seconds(resolver: Any) -> None:
    resolver.dns.tries = 7
    query, _ = resolver.ask()
    times = []
    for _ in range(7 * 60):
        times += [resolver.now // SECOND] * len(resolver.asked(resolver.pass_time(0.1)))
    start = times[0] - 1
    assert [time - start for time in times] == [1, 3, 7, 15, 25, 35]
    resolver.pass_time(10)
    assert query.done


def test_servers_take_turns(make_resolver: Any) -> None:
    resolver = make_resolver("10.0.0.2", "10.0.0.3")
    query, first = resolver.ask()
    asked = [first]
    for wait in (1, 1, 2, 2, 4):
        asked += resolver.asked(resolver.pass_time(wait))
    assert [one.server for one in asked] == ["10.0.0.2", "10.0.0.3"] * 3
    assert len({one.message.id for one in asked}) == len({one.port for one in asked}) == 6, "another secret for each"
    resolver.pass_time(4)
    assert isinstance(query.error, errors.DnsTimeout)


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.YXDOMAIN])
def test_who_has_no_answer_makes_way_at_once(make_resolver: Any, rcode: dns.rcode.Rcode) -> None:
    resolver = make_resolver("10.0.0.2", "10.0.0.3")
    query, first = resolver.ask()
    (second,) = resolver.asked(resolver.reply(first, rcode=rcode))
    assert (second.server, resolver.now) == ("10.0.0.3", 0)
    resolver.reply(second, SEVEN)
    assert query.addresses == [A7]
    _, third = resolver.ask("other.test")
    assert third.server == "10.0.0.3", "who has answered is asked first"


def test_a_silent_server_may_still_answer_when_another_refuses(make_resolver: Any) -> None:
    resolver = make_resolver("10.0.0.2", "10.0.0.3")
    query, _ = resolver.ask()
    (second,) = resolver.asked(resolver.pass_time(1))
    (third,) = resolver.asked(resolver.reply(second, rcode=dns.rcode.SERVFAIL))
    assert (third.server, query.done) == ("10.0.0.2", False)


def test_once_all_have_refused_that_is_the_answer(make_resolver: Any) -> None:
    resolver = make_resolver("10.0.0.2", "10.0.0.3")
    query, first = resolver.ask()
    (second,) = resolver.asked(resolver.reply(first, rcode=dns.rcode.SERVFAIL))
    assert resolver.reply(second, rcode=dns.rcode.REFUSED) == []
    assert isinstance(query.error, errors.DnsFailure)
    assert "10.0.0.3: REFUSED" in str(query.error)
    assert resolver.drops == {"dns-server": 2}


def test_rfc_1122_4_1_3_3_an_unreachable_port_makes_way_at_once(make_resolver: Any) -> None:
    resolver = make_resolver("10.0.0.2", "10.0.0.3")
    query = resolver.dns.start_query("www.example.test", 4)
    (frame,) = resolver.pass_time(0)
    unreachable = Ether(src=resolver.mac("10.0.0.2"), dst=frame.src) / IP(src="10.0.0.2", dst="10.0.0.1")
    resolver.script.hear(unreachable / ICMP(type=3, code=3) / frame[IP])
    (second,) = resolver.asked()
    assert second.server == "10.0.0.3"
    assert not query.done


def test_rfc_5461_2_1_an_unreachable_host_may_come_back(resolver: Any) -> None:
    """As when address resolution fails, over a lossy link: it is asked again, and the error tells of it."""
    query = resolver.dns.start_query("www.example.test", 4)
    (frame,) = resolver.pass_time(0)
    unreachable = Ether(src=resolver.mac("10.0.0.66"), dst=frame.src) / IP(src="10.0.0.66", dst="10.0.0.1")
    resolver.script.hear(unreachable / ICMP(type=3, code=1) / frame[IP])
    assert not query.done
    assert len(resolver.asked(resolver.pass_time(1))) == 1
    resolver.pass_time(6)
    assert isinstance(query.error, errors.DnsTimeout)
    assert "host unreachable" in str(query.error)


def test_without_a_way_there_is_nothing_to_wait_for(make_resolver: Any) -> None:
    query = make_resolver("192.0.2.1").dns.start_query("www.example.test")
    assert isinstance(query.error, errors.DnsFailure)
    assert "no route" in str(query.error)


def test_without_a_server_the_error_says_so(resolver: Any) -> None:
    resolver.stack.dns_servers = []
    query = resolver.dns.start_query("www.example.test")
    assert isinstance(query.error, errors.DnsFailure)
    assert "dns_servers" in str(query.error)


@pytest.mark.parametrize("rcode", [dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS])
def test_rfc_6891_7_who_does_not_know_edns_is_asked_without(resolver: Any, rcode: dns.rcode.Rcode) -> None:
    query, asked = resolver.ask()
    (plain,) = resolver.asked(resolver.reply(asked, rcode=rcode))
    assert (plain.message.edns, resolver.now) == (-1, 0)
    resolver.reply(plain, SEVEN)
    assert query.addresses == [A7]
    assert resolver.ask("other.test")[1].message.edns == -1


def test_rfc_6891_7_a_format_error_may_be_a_bare_header(resolver: Any) -> None:
    _, asked = resolver.ask()
    bare = asked.data[:2] + bytes.fromhex("8101 0000 0000 0000 0000")
    (plain,) = resolver.asked(resolver.hear(bare, asked.port))
    assert plain.message.edns == -1


# --- aliases


def test_rfc_1034_5_2_2_where_a_response_ends_with_an_alias_that_is_asked_for(resolver: Any) -> None:
    query, asked = resolver.ask("www.example.test")
    (second,) = resolver.asked(resolver.reply(asked, "@ 30 IN CNAME host.other.test."))
    assert second.name.lower() == "host.other.test."
    resolver.reply(second, SEVEN)
    assert query.addresses == [A7]
    resolver.pass_time(29)
    assert resolver.dns.start_query("www.example.test", 4).done, "the alias lives 30 s, and what it leads to 60"
    resolver.pass_time(1)
    assert resolver.ask("www.example.test")[1].name.lower() == "www.example.test."


def test_an_endless_chain_of_responses_ends(resolver: Any) -> None:
    query, asked = resolver.ask()
    for number in range(20):
        frames = resolver.reply(asked, f"@ 30 IN CNAME n{number}.test.")
        if query.done:
            break
        (asked,) = resolver.asked(frames)
    assert number == 16
    assert isinstance(query.error, errors.DnsFailure)


def test_rfc_5452_6_records_beside_the_answer_do_not_enter_the_cache(resolver: Any) -> None:
    query, asked = resolver.ask()
    resolver.reply(asked, SEVEN, "www.bank.test. 9999 IN A 6.6.6.6", authority=(SOA,))
    assert query.addresses == [A7]
    assert resolver.ask("www.bank.test")[1].name.lower() == "www.bank.test."


# --- the cache


def test_an_answer_is_good_for_its_life(resolver: Any) -> None:
    _, asked = resolver.ask()
    resolver.reply(asked, SEVEN)
    resolver.pass_time(59.9)
    assert resolver.dns.start_query("Www.Example.Test", 4).addresses == [A7]
    assert resolver.dns.from_cache == 1
    resolver.pass_time(0.1)
    resolver.ask()


def test_rfc_1035_3_2_1_a_life_of_zero_serves_those_who_wait_now(resolver: Any) -> None:
    query = resolver.dns.start_query("www.example.test")
    six, four = resolver.asked()
    resolver.reply(four, "@ 0 IN A 10.0.0.7")
    resolver.reply(six, authority=(SOA,))
    assert query.addresses == [A7]
    resolver.ask()


@pytest.mark.parametrize(
    ("rcode", "error", "number"),
    [(dns.rcode.NOERROR, errors.NoAddress, -5), (dns.rcode.NXDOMAIN, errors.NameNotFound, -2)],
)
def test_rfc_2308_5_what_is_not_there_is_remembered(resolver: Any, rcode: int, error: type, number: int) -> None:
    query, asked = resolver.ask()
    resolver.reply(asked, rcode=rcode, authority=(SOA,))
    assert type(query.error) is error
    assert query.error.errno == number, "Linux' EAI_NODATA and EAI_NONAME"
    resolver.pass_time(59.9)
    again = resolver.dns.start_query("www.example.test", 4)
    assert type(again.error) is error
    other = resolver.dns.start_query("www.example.test", 6)
    assert other.done == (rcode == dns.rcode.NXDOMAIN), "a name that is not there has nothing of any type"
    other.cancel()
    resolver.pass_time(0.1)
    resolver.ask()


def test_rfc_2308_5_without_an_soa_it_is_not_remembered(resolver: Any) -> None:
    query, asked = resolver.ask()
    resolver.reply(asked, rcode=dns.rcode.NXDOMAIN)
    assert isinstance(query.error, errors.NameNotFound)
    resolver.ask()


def test_rfc_9520_3_2_a_failure_is_remembered_for_a_second(resolver: Any) -> None:
    _, asked = resolver.ask()
    resolver.reply(asked, rcode=dns.rcode.SERVFAIL)
    resolver.pass_time(0.9)
    assert isinstance(resolver.dns.start_query("www.example.test", 4).error, errors.DnsFailure)
    resolver.pass_time(0.1)
    resolver.ask()


def test_other_servers_may_say_something_else(resolver: Any) -> None:
    _, asked = resolver.ask()
    resolver.reply(asked, SEVEN)
    resolver.stack.dns_servers = ["10.0.0.2"]
    assert resolver.dns.start_query("www.example.test", 4).done, "they are the same"
    resolver.stack.dns_servers = ["10.0.0.3"]
    assert resolver.ask()[1].server == "10.0.0.3"


# --- names


def test_the_search_list_is_tried_in_its_order(resolver: Any) -> None:
    resolver.dns.use_search(["lan", (b"no\0name",), (b"Lab", b"test")])  # labels come from routers
    query, first = resolver.ask("www")
    (second,) = resolver.asked(resolver.reply(first, rcode=dns.rcode.NXDOMAIN))
    (third,) = resolver.asked(resolver.reply(second))
    assert [one.name.lower() for one in (first, second, third)] == ["www.lan.", "www.lab.test.", "www."]
    resolver.reply(third, rcode=dns.rcode.NXDOMAIN)
    assert isinstance(query.error, errors.NoAddress), "one of them exists"


def test_a_failure_does_not_lead_to_another_host(resolver: Any) -> None:
    resolver.dns.use_search(["lan", "lab.test"])
    query, first = resolver.ask("www")
    assert resolver.reply(first, rcode=dns.rcode.SERVFAIL) == []
    assert isinstance(query.error, errors.DnsFailure)


@pytest.mark.parametrize(
    ("name", "family", "addresses", "error"),
    [
        ("10.0.0.9", None, ["10.0.0.9"], None),
        ("10.0.0.9", 6, [], errors.NoAddress),
        ("fd00::1", 6, ["fd00::1"], None),
        ("localhost", 4, ["127.0.0.1"], None),  # RFC 6761, 6.3
        ("a.LOCALHOST.", 6, ["::1"], None),
        ("x.invalid", None, [], errors.NameNotFound),  # RFC 6761, 6.4
        ("secret.onion", None, [], errors.NameNotFound),  # RFC 7686, 2
        ("printer", None, ["10.0.0.8"], None),
        ("printer", 6, [], errors.NoAddress),
    ],
)
def test_what_nobody_needs_to_be_asked(
    resolver: Any, name: str, family: int | None, addresses: list[str], error: type | None
) -> None:
    resolver.dns.add_host("Printer", "10.0.0.8")
    if error is None:
        assert resolver.stack.dns_resolve(name, family) == addresses
    else:
        with pytest.raises(error):
            resolver.stack.dns_resolve(name, family)
    assert resolver.script.sent() == []
    resolver.dns.add_host("printer")
    resolver.ask("printer")


def test_callers_mistakes(resolver: Any) -> None:
    for call in (
        lambda: resolver.stack.dns_resolve("a..b"),
        lambda: resolver.stack.dns_resolve("www", 5),
        lambda: setattr(resolver.stack, "dns_servers", ["dns.test"]),
        lambda: resolver.dns.use_search("lan"),
        lambda: resolver.dns.use_search(["x y"]),
        lambda: resolver.dns.add_host("a..b", "10.0.0.1"),
        lambda: resolver.dns.add_host("a", "10.0.0.256"),
    ):
        with pytest.raises(ConfigurationError):
            call()
    assert resolver.stack.dns_servers == ["10.0.0.2"]


def test_rfc_6762_5_1_names_of_local_are_asked_for_by_multicast(resolver: Any) -> None:
    """A one-shot query: from a port of our own, answered from 5353 by whoever has the name."""
    query = resolver.dns.start_query("printer.local")
    six, four = resolver.asked()
    assert (four.server, four.message.flags, four.message.edns) == ("224.0.0.251", 0, -1)
    assert four.name == "printer.local."
    resolver.hear(four.answer("@ 10 IN A 6.6.6.6"), four.port, "10.0.0.66", sport=5354)
    resolver.hear(four.answer("@ 10 IN A 6.6.6.6"), four.port, "10.0.1.66", sport=5353)  # 11: not of this link
    for rcode in (dns.rcode.NXDOMAIN, dns.rcode.FORMERR, dns.rcode.SERVFAIL):  # 18.11: ignored
        assert resolver.hear(four.answer(rcode=rcode), four.port, "10.0.0.66", sport=5353) == []
    assert not query.done
    assert resolver.drops == {"dns-source": 2, "dns-rcode": 3}
    flags = dns.flags.AA | dns.flags.TC  # 18.5: TC is ignored
    resolver.hear(four.answer("@ 10 IN A 10.0.0.7", flags=flags), four.port, "10.0.0.66", sport=5353)
    assert query.addresses == [A7], "who has no IPv6 address says nothing"
    assert six.kind == "AAAA"
    resolver.ask("other.local")
    assert [one.server for one in resolver.asked(resolver.pass_time(1))] == ["224.0.0.251"], (
        "no IPv6 here: its group is not waited for"
    )


# --- forgers


@pytest.mark.parametrize("what", ["ident", "source", "port", "destination", "question", "case", "query", "garbage"])
def test_rfc_5452_9_1_what_does_not_match_is_not_believed(resolver: Any, what: str) -> None:
    query, asked = resolver.ask("www.example.test")
    forged = asked.answer("@ 60 IN A 6.6.6.6")
    data, more, port = bytearray(forged), {}, asked.port
    if what == "ident":
        data[0] ^= 1
    elif what == "source":
        more = {"source": "10.0.0.66"}
    elif what == "port":
        more = {"sport": 5353}
    elif what == "destination":
        port ^= 1
    elif what == "question":
        data[14] ^= 1
    elif what == "case":
        data[14] ^= 0x20
    elif what == "query":
        data[2] &= 0x7F
    else:
        del data[20:]
    frames = resolver.hear(bytes(data), port, **more)
    assert not query.done
    if what == "case":
        assert frames[0][TCP].dport == 53, "only a forger, or a server that does not keep the case: TCP tells which"
        return
    resolver.reply(asked, SEVEN)
    assert query.addresses == [A7]
    reasons = {"ident": "dns-ident", "source": "dns-source", "port": "dns-source", "question": "dns-question",
               "query": "dns-no-response", "garbage": "dns-short"}  # fmt: skip
    assert resolver.drops == ({reasons[what]: 1} if what in reasons else {})


def test_rfc_5452_9_3_a_flood_of_forgeries_is_answered_by_tcp(resolver: Any) -> None:
    """A blind attacker who knows the port tries identifiers; after ten, UDP is given up."""
    query, asked = resolver.ask()
    forged, random = bytearray(asked.answer("@ 60 IN A 6.6.6.6")), Random(1)
    frames = []
    for number in range(1000):
        forged[:2] = random.randbytes(2)
        if bytes(forged[:2]) != asked.data[:2]:
            frames += [frame for frame in resolver.hear(bytes(forged), asked.port) if TCP in frame]
        if number == 8:
            assert frames == []
    (syn,) = frames
    assert (syn[IP].dst, syn[TCP].dport, syn[TCP].flags) == ("10.0.0.2", 53, "S")
    assert resolver.drops == {"dns-ident": 10}
    assert not query.done
    resolver.hear(asked.answer("@ 60 IN A 6.6.6.6"), asked.port)
    assert not query.done, "that port is closed, even to who knows all"


def test_a_server_without_tcp_is_asked_again_from_another_port(resolver: Any) -> None:
    query, asked = resolver.ask()
    for _ in range(10):
        frames = resolver.hear(b"forged", asked.port)
    syn = frames[-1]
    reset = Ether(src=resolver.mac("10.0.0.2"), dst=syn.src) / IP(src="10.0.0.2", dst="10.0.0.1")
    reset /= TCP(sport=53, dport=syn[TCP].sport, flags="RA", ack=syn[TCP].seq + 1)
    (again,) = resolver.asked(resolver.script.hear(reset) + resolver.pass_time(0))
    assert again.port != asked.port
    assert again.message.id != asked.message.id
    resolver.reply(again, SEVEN)
    assert query.addresses == [A7]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_the_server_sends_nothing_breaks(make_resolver: Any, data: st.DataObject) -> None:
    """Its right response, damaged in some places, or no response at all: an answer, an error, or more questions."""
    resolver = make_resolver()
    query, asked = resolver.ask()
    records = ("@ 60 IN CNAME a.test.", "a.test. 60 IN A 10.0.0.7")
    right = bytearray(asked.answer(*records, authority=(SOA,)))
    for _ in range(data.draw(st.integers(1, 4))):
        message = bytearray(right)
        for place in data.draw(st.lists(st.integers(2, len(right) - 1), max_size=4)):
            message[place] = data.draw(st.integers(0, 255))
        resolver.hear(bytes(message[: data.draw(st.integers(0, len(message)))]), asked.port)
    resolver.pass_time(120)
    assert query.done
    assert len(resolver.stack.list_sockets()) == 1
    assert resolver.pass_time(60) == []


# --- snapshots


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 8000), st.booleans())
def test_a_snapshot_goes_on_as_the_first_time(make_resolver: Any, at: int, answered: bool) -> None:
    """Two servers, both silent or the second one not; at any moment of that, what is asked from then on is the same."""
    resolver = make_resolver("10.0.0.2", "10.0.0.3")
    query, _ = resolver.ask()
    resolver.pass_time(at / 1000)
    before = resolver.script.bench.save()
    was = query.done

    def go_on() -> tuple[object, ...]:
        asked = resolver.asked(resolver.pass_time(3))
        if answered and asked:
            resolver.reply(asked[-1], SEVEN)
        more = resolver.asked(resolver.pass_time(20))
        return [(one.data, one.port) for one in asked + more], query.done, list(query.addresses), repr(query.error)

    first = go_on()
    resolver.script.bench.load(before)
    assert query.done == was
    assert go_on() == first


def test_a_query_of_after_the_snapshot_is_cancelled_by_going_back(resolver: Any) -> None:
    resolver.ask("one.test")
    before = resolver.script.bench.save()
    query, _ = resolver.ask("two.test")
    resolver.script.bench.load(before)
    assert isinstance(query.error, errors.DnsCancelled)
    assert [lookup[0] for lookup in resolver.dns.lookups] == [(b"one", b"test")]


def test_a_closed_client_makes_way_for_another(resolver: Any) -> None:
    query, _ = resolver.ask()
    resolver.dns.close()
    assert isinstance(query.error, errors.DnsCancelled)
    resolver.pass_time(0)
    assert resolver.stack.list_sockets() == []
    assert resolver.stack.dns is not resolver.dns
