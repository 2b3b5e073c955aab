"""DNS messages (RFC 1035, 4; RFC 3596; RFC 6891), without their transport.

A name is a tuple of its labels as they are on the wire, without the root's: (b"www", b"Example", b"test").
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from struct import Struct
from struct import error as StructError

from motenet.core.checksum import Buffer
from motenet.stack.wire import Malformed

PORT = 53
"""RFC 1035, 4.2: of servers, UDP and TCP."""

Name = tuple[bytes, ...]
ROOT: Name = ()

MAXIMUM_LABEL, MAXIMUM_NAME = 63, 255
"""Bytes (RFC 1035, 2.3.4); the name's with all length bytes."""
PLAIN_PAYLOAD = 512
"""Bytes of a message over UDP without EDNS (RFC 1035, 4.2.1)."""
PAYLOAD = 1232
"""The same with EDNS, so that it never needs fragments: an IPv6 packet of 1280 (RFC 6891, 6.2.5; RFC 9715, 3.1)."""

# RFC 1035, 3.2.2 and 3.2.4; RFC 3596, 2.1; RFC 6891, 6.1.1
A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, OPT = 1, 2, 5, 6, 12, 15, 16, 28, 41
IN = 1

# RFC 1035, 4.1.1: the second word of the header
QR, AA, TC, RD, RA = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
OPCODE, RCODE = 0x7800, 0x000F
DO = 0x8000
"""The one flag of EDNS (RFC 3225, 3)."""

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16
RCODES = {
    NOERROR: "NOERROR", FORMERR: "FORMERR", SERVFAIL: "SERVFAIL", NXDOMAIN: "NXDOMAIN", NOTIMP: "NOTIMP",
    REFUSED: "REFUSED", BADVERS: "BADVERS",
}  # fmt: skip
"""RFC 1035, 4.1.1; RFC 6891, 9."""

_HEADER = Struct("!HHHHHH")
_QUESTION = Struct("!HH")
_RECORD = Struct("!HHIH")
_SOA_TIMES = Struct("!IIIII")
_POINTER = 0xC0
_MOST_JUMPS = 127  # as many labels as a name can have: more pointers than that lead nowhere new

_NAMES_IN = {2: (0, 1), 3: (0, 1), 4: (0, 1), 5: (0, 1), 6: (0, 2), 7: (0, 1), 8: (0, 1), 9: (0, 1), 12: (0, 1),
             14: (0, 2), 15: (2, 1)}  # fmt: skip
"""Types whose data may have compressed names (RFC 3597, 4: those of RFC 1035) -> bytes before the names, how many."""


def fold(name: Name) -> Name:
    """The name in small letters: names are equal whatever the case of their ASCII letters (RFC 4343, 3)."""
    return tuple(label.lower() for label in name)


def name_length(name: Name) -> int:
    """Bytes of the name on the wire, uncompressed."""
    return sum(map(len, name)) + len(name) + 1


def emit_name(name: Name) -> bytes:
    """The name on the wire, uncompressed."""
    return b"".join(bytes((len(label),)) + label for label in name) + b"\0"


def name_text(name: Name) -> str:
    """The name for people, with the escapes of RFC 1035, 5.1; the root is "."."""
    return ".".join("".join(map(_character, label)) for label in name) or "."


def _character(byte: int) -> str:
    if not 0x20 < byte < 0x7F:
        return f"\\{byte:03d}"
    return f"\\{byte:c}" if byte in b'.\\"();@$' else chr(byte)


def parse_name(view: memoryview, offset: int) -> tuple[Name, int]:
    """The name at `offset` of a message, and where it ends. Malformed.

    RFC 1035, 4.1.4: a pointer leads to a prior occurrence; so each leads farther back, and none round in circles.
    """
    labels: list[bytes] = []
    length, end, jumps, bound = 1, 0, 0, offset
    while True:
        if offset >= len(view):
            raise Malformed("dns-short")
        octet = view[offset]
        if octet >= _POINTER:
            if offset + 2 > len(view):
                raise Malformed("dns-short")
            end = end or offset + 2
            offset = (octet & ~_POINTER) << 8 | view[offset + 1]
            jumps += 1
            if offset >= bound or jumps > _MOST_JUMPS:
                raise Malformed("dns-pointer")
            bound = offset
        elif octet > MAXIMUM_LABEL:
            raise Malformed("dns-label")  # the types 01 and 10 are reserved (RFC 6891, 5)
        elif octet == 0:
            return tuple(labels), end or offset + 1
        else:
            length += octet + 1
            if length > MAXIMUM_NAME:
                raise Malformed("dns-name-long")
            label = bytes(view[offset + 1 : offset + 1 + octet])
            if len(label) < octet:
                raise Malformed("dns-short")
            labels.append(label)
            offset += octet + 1


@dataclass(slots=True)
class Question:
    """What is asked for (RFC 1035, 4.1.2)."""

    name: Name
    type: int
    cls: int = IN


@dataclass(slots=True)
class Record:
    """A resource record (RFC 1035, 4.1.3). The names in its data are uncompressed."""

    name: Name
    type: int
    cls: int
    ttl: int
    """Seconds; the number on the wire, whose top bit means zero (RFC 2181, 8)."""
    data: bytes

    @property
    def target(self) -> Name:
        """The name that CNAME, NS and PTR data consist of. Malformed if it does not."""
        name, end = parse_name(memoryview(self.data), 0)
        if end != len(self.data):
            raise Malformed("dns-rdata")
        return name

    @property
    def minimum(self) -> int:
        """The last number of SOA data, in seconds: how long a negative answer lives at most (RFC 2308, 4)."""
        if len(self.data) < _SOA_TIMES.size + 2:
            raise Malformed("dns-rdata")
        return int.from_bytes(self.data[-4:], "big")

    def emit(self) -> bytes:
        """The record on the wire."""
        return emit_name(self.name) + _RECORD.pack(self.type, self.cls, self.ttl, len(self.data)) + self.data


@dataclass(slots=True)
class Edns:
    """What an OPT record says (RFC 6891, 6.1.2 and 6.1.3)."""

    payload: int
    """Bytes of the largest UDP message that the sender takes."""
    rcode_high: int = 0
    """The upper eight bits of the response code."""
    version: int = 0
    flags: int = 0
    options: bytes = b""

    def emit(self) -> bytes:
        """The OPT record on the wire."""
        ttl = self.rcode_high << 24 | self.version << 16 | self.flags
        return Record(ROOT, OPT, self.payload, ttl, self.options).emit()


@dataclass(slots=True)
class Message:
    """A query or a response. The OPT record is not among the additional ones, but `edns`."""

    ident: int
    flags: int
    """The header's second word: QR, AA, TC, RD, RA, opcode and the lower four bits of the response code."""
    questions: list[Question] = field(default_factory=list)
    answers: list[Record] = field(default_factory=list)
    authority: list[Record] = field(default_factory=list)
    additional: list[Record] = field(default_factory=list)
    edns: Edns | None = None

    @property
    def rcode(self) -> int:
        """The response code, with the upper bits that EDNS carries (RFC 6891, 6.1.3)."""
        high = self.edns.rcode_high if self.edns is not None else 0
        return high << 4 | self.flags & RCODE

    def emit(self) -> bytes:
        """The message on the wire, without compression; over TCP its length in two bytes comes before it."""
        counts = len(self.questions), len(self.answers), len(self.authority)
        edns = [] if self.edns is None else [self.edns.emit()]
        return b"".join(
            (
                _HEADER.pack(self.ident, self.flags, *counts, len(self.additional) + len(edns)),
                *(emit_name(one.name) + _QUESTION.pack(one.type, one.cls) for one in self.questions),
                *(record.emit() for record in (*self.answers, *self.authority, *self.additional)),
                *edns,
            )
        )


def parse(data: Buffer) -> Message:
    """Read a message; Malformed if it is none. What follows its last record is ignored."""
    view = memoryview(data)
    try:
        ident, flags, questions, *counts = _HEADER.unpack_from(view)
        message, offset = Message(ident, flags), _HEADER.size
        for _ in range(questions):
            name, offset = parse_name(view, offset)
            message.questions.append(Question(name, *_QUESTION.unpack_from(view, offset)))
            offset += _QUESTION.size
        for section, count in zip((message.answers, message.authority, message.additional), counts, strict=True):
            for _ in range(count):
                record, offset = _parse_record(view, offset)
                section.append(record)
    except StructError:
        raise Malformed("dns-short") from None
    _extract_edns(message)
    return message


def _parse_record(view: memoryview, offset: int) -> tuple[Record, int]:
    name, offset = parse_name(view, offset)
    kind, cls, ttl, length = _RECORD.unpack_from(view, offset)
    start = offset + _RECORD.size
    end = start + length
    if end > len(view):
        raise Malformed("dns-short")
    before, names = _NAMES_IN.get(kind, (0, 0))
    data = _expand(view[:end], start, before, names) if names else bytes(view[start:end])
    return Record(name, kind, cls, ttl, data), end


def _expand(view: memoryview, start: int, before: int, names: int) -> bytes:
    """The data from `start` to the end of `view`, with its names uncompressed."""
    offset = start + before
    pieces = [bytes(view[start:offset])]
    for _ in range(names):
        name, offset = parse_name(view, offset)
        pieces.append(emit_name(name))
    return b"".join((*pieces, view[offset:]))


def _extract_edns(message: Message) -> None:
    """RFC 6891, 6.1.1: there is one OPT at most, it is the root's, and it is an additional record."""
    found = [record for record in message.additional if record.type == OPT]
    if any(record.type == OPT for record in (*message.answers, *message.authority)) or len(found) > 1:
        raise Malformed("dns-opt")
    if not found:
        return
    record = found[0]
    if record.name:
        raise Malformed("dns-opt")
    message.additional.remove(record)
    ttl = record.ttl
    message.edns = Edns(record.cls, ttl >> 24, ttl >> 16 & 0xFF, ttl & 0xFFFF, record.data)


def query(ident: int, question: Question, payload: int = 0) -> Message:
    """A query that desires recursion; with a `payload` it says so much fits into our datagrams (EDNS)."""
    return Message(ident, RD, [question], edns=Edns(payload) if payload else None)


def equal(ours: Question, theirs: Sequence[Question]) -> bool:
    """Whether a message's questions are just ours, whatever the case of the letters."""
    return len(theirs) == 1 and (fold(ours.name), ours.type, ours.cls) == (
        fold(theirs[0].name), theirs[0].type, theirs[0].cls,
    )  # fmt: skip
