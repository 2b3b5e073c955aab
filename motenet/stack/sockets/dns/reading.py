"""What a response says about a question: whether it is one, and where its aliases lead."""

from dataclasses import dataclass

from motenet.stack.sockets.dns.cache import FAILED, FOUND, NO_DATA, NO_NAME
from motenet.stack.wire import Malformed, dns
from motenet.stack.wire.dns import Message, Name, Question, Record, fold

ALIAS = "alias"
"""The response ends with an alias: its name is to be asked for next."""

MOST_ALIASES = 16
"""Aliases one after the other; a longer chain, or one in a circle, is an error (RFC 1034, 3.6.2 and 5.2.2)."""
MOST_ADDRESSES = 64
"""Of one answer; more are passed over."""

_SIZES = {dns.AAAA: 16}
_FOREVER = 0x7FFF_FFFF


@dataclass(slots=True)
class Reading:
    """What a response says. `life`: seconds that it holds; 0: it is not to be kept."""

    kind: str
    name: Name
    """Where the aliases end, in small letters."""
    aliases: int = 0
    """How many there were so far."""
    life: int = 0
    addresses: tuple[bytes, ...] = ()
    detail: str = ""


def mismatch(message: Message, ident: int, question: Question) -> str:
    """Why this cannot be the response to our question (RFC 5452, 9.1), or "". The letters' case counts."""
    if not message.flags & dns.QR or message.flags & dns.OPCODE:
        return "dns-no-response"
    if message.ident != ident:
        return "dns-ident"
    if not message.questions and message.flags & dns.RCODE not in (dns.NOERROR, dns.NXDOMAIN):
        return ""  # who cannot read a query cannot repeat it either (RFC 1035, 4.1.1; RFC 6891, 7)
    if not dns.equal(question, message.questions):
        return "dns-question"
    return "" if message.questions[0].name == question.name else "dns-case"


def read(message: Message, question: Question, aliases: int = 0) -> Reading:
    """What a matching response says. Malformed if its data is not what its types say.

    Only what the question's chain of aliases leads to is looked at: other records may be anybody's (RFC 5452, 6).
    """
    name = fold(question.name)
    if message.rcode not in (dns.NOERROR, dns.NXDOMAIN):
        return Reading(FAILED, name, detail=dns.RCODES.get(message.rcode, f"response code {message.rcode}"))
    records: dict[Name, list[Record]] = {}
    for record in message.answers:
        if record.cls == dns.IN:
            records.setdefault(fold(record.name), []).append(record)
    life = _FOREVER
    while True:
        here = records.get(name, [])
        found = [record for record in here if record.type == question.type]
        if found:
            addresses = tuple(_address(record) for record in found[:MOST_ADDRESSES])
            life = min(life, *map(_life, found))
            return Reading(FOUND, name, aliases, life, tuple(dict.fromkeys(addresses)))
        alias = next((record for record in here if record.type == dns.CNAME), None)
        if alias is None:
            return _nothing(message, name, fold(question.name), aliases, life)
        aliases += 1
        if aliases > MOST_ALIASES:
            return Reading(FAILED, name, aliases, detail=f"more than {MOST_ALIASES} aliases in a row")
        life = min(life, _life(alias))
        name = fold(alias.target)


def _nothing(message: Message, name: Name, asked: Name, aliases: int, life: int) -> Reading:
    """The chain ends without an address."""
    soa = next((record for record in message.authority if _rules(record, name)), None)
    kept = 0 if soa is None else min(life, _life(soa), soa.minimum)  # RFC 2308, 5: without it, not to be kept
    if message.rcode == dns.NXDOMAIN:
        return Reading(NO_NAME, name, aliases, kept)  # of the last name of the chain: RFC 6604, 3
    if soa is None and name != asked:
        return Reading(ALIAS, name, aliases, life)
    if soa is None and not message.flags & (dns.AA | dns.RA):
        return Reading(FAILED, name, detail="a referral")  # RFC 2308, 2.2: it does not know, and asks nobody
    return Reading(NO_DATA, name, aliases, kept)


def _rules(record: Record, name: Name) -> bool:
    """Whether the record is the SOA of a zone that the name is in."""
    zone = fold(record.name)
    return record.type == dns.SOA and record.cls == dns.IN and name[len(name) - len(zone) :] == zone


def _life(record: Record) -> int:
    return 0 if record.ttl > _FOREVER else record.ttl  # RFC 2181, 8


def _address(record: Record) -> bytes:
    if len(record.data) != _SIZES.get(record.type, 4):
        raise Malformed("dns-rdata")
    return record.data
