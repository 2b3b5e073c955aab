"""DNS messages (RFC 1035): dnspython and Scapy agree both ways, and no bytes at all do any harm."""

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR, DNSRR, DNSRROPT

from motenet.stack.wire import Malformed
from motenet.stack.wire import dns as wire
from motenet.stack.wire.dns import Edns, Message, Name, Question, Record

HEADER = bytes.fromhex("1234 8180 0001 0001 0000 0000")
RFC_1035_4_1_4 = bytes(20) + b"\1F\3ISI\4ARPA\0" + bytes(8) + b"\3FOO\xc0\x14" + bytes(18) + b"\xc0\x1a" + b"\0"
"""The example of RFC 1035, 4.1.4: F.ISI.ARPA at 20, FOO.F.ISI.ARPA at 40, ARPA at 64, the root at 92."""

labels = st.binary(min_size=1, max_size=12)
names = st.lists(labels, max_size=6).map(tuple)
u16, u32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
ttls = st.integers(0, 0x7FFFFFFF)
"""dnspython reads a TTL with the top bit as RFC 2181, 8 says: as zero."""
flags = st.builds(lambda bits, rcode: bits & 0x87F0 | rcode, u16, st.integers(0, 15))  # opcode QUERY


def wired(name: Name) -> bytes:
    return dns.name.Name((*name, b"")).to_wire()


texts = st.binary(max_size=9).map(lambda text: b"%c" % len(text) + text)
records = st.one_of(
    st.builds(Record, names, st.just(wire.A), st.just(1), ttls, st.binary(min_size=4, max_size=4)),
    st.builds(Record, names, st.just(wire.AAAA), st.just(1), ttls, st.binary(min_size=16, max_size=16)),
    st.builds(Record, names, st.sampled_from([wire.CNAME, wire.NS, wire.PTR]), st.just(1), ttls, names.map(wired)),
    st.builds(Record, names, st.just(wire.MX), st.just(1), ttls, names.map(lambda name: b"\0\n" + wired(name))),
    st.builds(
        lambda name, ttl, a, b, numbers: Record(name, wire.SOA, 1, ttl, wired(a) + wired(b) + numbers),
        names, ttls, names, names, st.binary(min_size=20, max_size=20),
    ),
    st.builds(Record, names, st.just(wire.TXT), st.just(1), ttls, texts),
)  # fmt: skip
edns = st.builds(Edns, st.integers(512, 0xFFFF), st.integers(0, 255), st.integers(0, 255), u16)
messages = st.builds(
    Message, u16, flags, st.lists(st.builds(Question, names, st.integers(1, 40), st.just(1)), max_size=1),
    st.lists(records, max_size=4), st.lists(records, max_size=2), st.lists(records, max_size=2), st.none() | edns,
)  # fmt: skip


def theirs(name: Name) -> dns.name.Name:
    return dns.name.Name((*name, b""))


def in_dnspython(message: Message) -> dns.message.Message:
    """The same message, built from dnspython's own parts; each record is a set of its own."""
    built = dns.message.QueryMessage(id=message.ident)
    built.flags = dns.flags.Flag(message.flags)
    for question in message.questions:
        built.question.append(dns.rrset.RRset(theirs(question.name), question.cls, question.type))
    for ours, section in (
        (message.answers, built.answer),
        (message.authority, built.authority),
        (message.additional, built.additional),
    ):
        for record in ours:
            rdata = dns.rdata.from_wire(record.cls, record.type, record.data, 0, len(record.data))
            section.append(dns.rrset.from_rdata(theirs(record.name), record.ttl, rdata))
    if message.edns is not None:
        high = message.edns.rcode_high << 24 | message.edns.version << 16
        built.use_edns(message.edns.version, high | message.edns.flags, message.edns.payload)
    return built


def folded(message: Message) -> Message:
    """dnspython compresses whatever the case, so that letters may change theirs; names in data too."""

    def fold(record: Record) -> Record:
        data = record.data.lower() if record.type in (wire.CNAME, wire.NS, wire.PTR, wire.MX, wire.SOA) else record.data
        return Record(wire.fold(record.name), record.type, record.cls, record.ttl, data)

    return Message(
        message.ident, message.flags, message.questions, [*map(fold, message.answers)],
        [*map(fold, message.authority)], [*map(fold, message.additional)], message.edns,
    )  # fmt: skip


@given(messages)
def test_we_read_what_dnspython_compresses(message: Message) -> None:
    assert folded(wire.parse(in_dnspython(message).to_wire(max_size=65535))) == folded(message)


@given(messages)
def test_dnspython_reads_what_we_write(message: Message) -> None:
    read = dns.message.from_wire(message.emit(), one_rr_per_rrset=True)
    assert (read.id, read.flags) == (message.ident, message.flags)
    for ours, section in (
        (message.answers, read.answer),
        (message.authority, read.authority),
        (message.additional, read.additional),
    ):
        assert [
            (rrset.name.labels[:-1], rrset.rdtype, rrset.rdclass, rrset.ttl, rrset[0].to_wire()) for rrset in section
        ] == [(record.name, record.type, record.cls, record.ttl, record.data) for record in ours]
    assert [(one.name.labels[:-1], one.rdtype) for one in read.question] == [
        (q.name, q.type) for q in message.questions
    ]
    assert read.rcode() == message.rcode
    if message.edns is not None:
        assert (read.payload, read.edns) == (message.edns.payload, message.edns.version)
        assert read.ednsflags & 0xFFFF == message.edns.flags


@given(messages)
def test_what_we_write_we_read(message: Message) -> None:
    assert wire.parse(message.emit()) == message


hosts = st.lists(st.from_regex(r"[a-z0-9]{1,12}", fullmatch=True), min_size=1, max_size=5).map(".".join)


@given(u16, hosts, hosts, ttls, st.binary(min_size=4, max_size=4))
def test_agrees_with_scapy(ident: int, alias: str, host: str, ttl: int, address: bytes) -> None:
    text = ".".join(map(str, address))
    packet = DNS(
        id=ident, qr=1, rd=1, ra=1, qd=[DNSQR(qname=alias)],
        an=[DNSRR(rrname=alias, type="CNAME", ttl=ttl, rdata=host), DNSRR(rrname=host, type="A", ttl=7, rdata=text)],
        ar=[DNSRROPT(rclass=1232, z=wire.DO)],
    )  # fmt: skip
    message = wire.parse(bytes(packet))
    labels = [tuple(part.encode() for part in name.split(".")) for name in (alias, host)]
    assert message == Message(
        ident, wire.QR | wire.RD | wire.RA, [Question(labels[0], wire.A)],
        [Record(labels[0], wire.CNAME, 1, ttl, wired(labels[1])), Record(labels[1], wire.A, 1, 7, address)],
        edns=Edns(1232, flags=wire.DO),
    )  # fmt: skip
    again = DNS(message.emit())
    assert (again.id, again.qd[0].qname, again.an[0].rdata) == (ident, f"{alias}.".encode(), f"{host}.".encode())
    assert (again.an[1].rdata, again.ar[0].rclass) == (text, 1232)


def test_rfc_1035_4_1_4_example_of_compression() -> None:
    view = memoryview(RFC_1035_4_1_4)
    assert wire.parse_name(view, 20) == ((b"F", b"ISI", b"ARPA"), 32)
    assert wire.parse_name(view, 40) == ((b"FOO", b"F", b"ISI", b"ARPA"), 46)
    assert wire.parse_name(view, 64) == ((b"ARPA",), 66)
    assert wire.parse_name(view, 66) == ((), 67)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xc0\x0c\0\1\0\1", "dns-pointer"),  # to itself
        (b"\xc0\x0e\0\1\0\1", "dns-pointer"),  # forwards
        (b"\1a\xc0\x0c\0\1\0\1", "dns-pointer"),  # into the name that it is part of: a loop
        (b"\xc0", "dns-short"),
        (b"\5abc", "dns-short"),
        (b"\x40abc\0\0\1\0\1", "dns-label"),
        (b"\x80abc\0\0\1\0\1", "dns-label"),
        ((b"\x3f" + b"x" * 63) * 3 + b"\x3f" + b"y" * 63 + b"\0\0\1\0\1", "dns-name-long"),
        (b"\1a\0\0\1", "dns-short"),
        (b"\1a\0\0\1\0\1\0\0\1\0\1\0\0\0\0\0\5abcd", "dns-short"),
        (b"\1a\0\0\1\0\1\0\0\5\0\1\0\0\0\0\0\1\5", "dns-short"),
        (b"\1a\0\0\1\0\1\0\0\x29\4\xd0\0\0\0\0\0\0", "dns-opt"),  # among the answers
    ],
)
def test_what_is_no_message_has_a_reason(body: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        wire.parse(HEADER + body)
    assert caught.value.reason == reason


def test_rfc_1035_2_3_4_a_name_of_255_bytes_is_the_longest() -> None:
    longest = ((b"x" * 63), (b"y" * 63), (b"z" * 63), (b"w" * 61))
    assert wire.name_length(longest) == len(wire.emit_name(longest)) == 255
    assert wire.parse_name(memoryview(wire.emit_name(longest)), 0) == (longest, 255)
    with pytest.raises(Malformed):
        wire.parse_name(memoryview(wire.emit_name((*longest[:3], b"w" * 62))), 0)


def test_rfc_6891_6_1_1_a_second_opt_is_an_error_and_so_is_one_with_a_name() -> None:
    opt = Edns(1232).emit()
    start = bytes.fromhex("0001 0100 0000 0000 0000")
    assert wire.parse(start + b"\0\1" + opt).edns == Edns(1232)
    for bad in (start + b"\0\2" + opt + opt, start + b"\0\1" + b"\1a" + opt):
        with pytest.raises(Malformed, match="dns-opt"):
            wire.parse(bad)


def test_rfc_6891_6_1_3_the_response_code_has_twelve_bits() -> None:
    assert Message(1, wire.QR, edns=Edns(1232, rcode_high=1)).rcode == wire.BADVERS
    assert Message(1, wire.QR | wire.REFUSED).rcode == wire.REFUSED


def test_pointers_that_point_at_pointers_end() -> None:
    """64 KiB that only point back by two bytes, over and over: bounded, and refused."""
    chain = bytearray(HEADER[:12]) + b"\0\0"
    while len(chain) < 0x3FF0:
        chain += (0xC000 | len(chain) - 2).to_bytes(2, "big")
    with pytest.raises(Malformed, match="dns-pointer"):
        wire.parse_name(memoryview(bytes(chain)), len(chain) - 2)


@given(names)
def test_names_for_people_are_dnspythons(name: Name) -> None:
    assert wire.name_text(name) == (theirs(name).to_text(omit_final_dot=True) if name else ".")


def test_data_that_is_not_what_its_type_says() -> None:
    for record, what in (
        (Record((), wire.CNAME, 1, 0, b"\1a\0x"), "target"),
        (Record((), wire.SOA, 1, 0, b"\0\0abc"), "minimum"),
    ):
        with pytest.raises(Malformed, match="dns-rdata"):
            getattr(record, what)


def damage(data: bytes) -> st.SearchStrategy[bytes]:
    """The message with a few bytes of it replaced."""
    place = st.tuples(st.integers(0, len(data)), st.binary(max_size=4))
    return place.map(lambda at: data[: at[0]] + at[1] + data[at[0] + len(at[1]) :])


@given(st.binary(max_size=200) | messages.map(Message.emit).flatmap(damage))
@example(HEADER + b"\xc0\x0c")
def test_any_bytes_are_a_message_or_malformed(data: bytes) -> None:
    try:
        message = wire.parse(data)
    except Malformed:
        return
    assert len(message.questions) <= len(data)
    for record in (*message.answers, *message.authority, *message.additional):
        assert wire.name_length(record.name) <= wire.MAXIMUM_NAME
    assert wire.parse(message.emit()) == message
