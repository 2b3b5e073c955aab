"""What an authoritative server knows, and its answer to one message; dnspython reads and writes the messages.

Without any I/O: bytes go in, bytes come out.
"""

from collections.abc import Mapping, Sequence

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.reversename
import dns.rrset

from motenet.core.errors import ConfigurationError
from motenet.stack.wire.dns import PAYLOAD, PLAIN_PAYLOAD

Records = str | Sequence[str]
"""A host's address, a record ("CNAME www", "60 A 10.0.0.2": with its life in seconds), or several of these."""

LIFE = 300
"""Seconds that a record lives whose text names no other number."""
MOST_ALIASES = 16
"""Aliases that are followed one after the other (RFC 1034, 3.6.2)."""
REVERSE = (dns.reversename.ipv4_reverse_domain, dns.reversename.ipv6_reverse_domain)

_IN = dns.rdataclass.IN
_WILDCARD = b"*"
_TRANSFERS = (dns.rdatatype.AXFR, dns.rdatatype.IXFR)  # of whole zones (RFC 5936, 2.2.1: refused)


class Zones:
    """Zones by name, each a table of names ("www", "@" is the zone's own, "*" all others) and their records.

    PTR records of all addresses are made; each zone has an SOA, whose last number is the life of negative answers.
    Where another name than "@" has NS records, the names from there on are others' to answer for.
    """

    def __init__(self, zones: Mapping[str, Mapping[str, Records]], negative_life: int = 60) -> None:
        self.zones: dict[dns.name.Name, dns.rrset.RRset] = {}
        """Each zone's SOA."""
        self._names: dict[dns.name.Name, dict[dns.rdatatype.RdataType, dns.rrset.RRset]] = {}
        """All names that exist, also those that only have others below them (RFC 4592, 2.2.2), and their records."""
        for zone, names in zones.items():
            origin = _name(zone, dns.name.root)
            self._begin_zone(origin, negative_life)
            for name, records in names.items():
                for text in (records,) if isinstance(records, str) else records:
                    self._add(_name(name, origin), origin, text)
        self._add_pointers(negative_life)
        for owner, sets in self._names.items():
            if dns.rdatatype.CNAME in sets and len(sets) > 1:
                raise ConfigurationError(f"{owner} is an alias, and so can have no other records (RFC 2181, 10.1)")

    # --- building

    def _begin_zone(self, origin: dns.name.Name, negative_life: int) -> None:
        """RFC 2308, 3: the SOA of a negative answer lives as long as that."""
        soa = f"ns.{origin} hostmaster.{origin} 1 3600 600 86400 {negative_life}".replace("..", ".")
        self.zones[origin] = self._add(origin, origin, f"{negative_life} SOA {soa}")

    def _add(self, name: dns.name.Name, origin: dns.name.Name, text: str) -> dns.rrset.RRset:
        if not name.is_subdomain(origin):
            raise ConfigurationError(f"{name} is not in the zone {origin}: give it a zone of its own")
        life, kind, data = _split(text)
        try:
            rdata = dns.rdata.from_text(_IN, kind, data, origin, False)
        except (dns.exception.DNSException, ValueError) as error:
            raise ConfigurationError(
                f"{name}: {text!r} is no record; write an address, or like 'CNAME www', '60 A 10.0.0.2' ({error})"
            ) from error
        above = name
        while above not in self._names:
            self._names[above] = {}
            above = above.parent() if above != origin else above
        found = self._names[name].setdefault(rdata.rdtype, dns.rrset.RRset(name, _IN, rdata.rdtype))
        found.add(rdata, life)
        return found

    def _add_pointers(self, negative_life: int) -> None:
        pointers = [
            (dns.reversename.from_address(rdata.to_text()), name)
            for name, sets in self._names.items()
            for kind in (dns.rdatatype.A, dns.rdatatype.AAAA)
            for rdata in sets.get(kind, ())
            if not name.is_wild()
        ]
        for reverse, name in pointers:
            origin = next(origin for origin in REVERSE if reverse.is_subdomain(origin))
            if origin not in self.zones:
                self._begin_zone(origin, negative_life)
            if reverse not in self._names:  # the first name that has the address
                self._add(reverse, self._zone_of(reverse) or origin, f"PTR {name}")

    # --- looking up

    def _zone_of(self, name: dns.name.Name) -> dns.name.Name | None:
        found = [zone for zone in self.zones if name.is_subdomain(zone)]
        return max(found, key=len, default=None)

    def _source(self, name: dns.name.Name, zone: dns.name.Name) -> dns.name.Name | None:
        """Whose records answer for a name: its own, or the wildcard's below the closest name there is (RFC 4592)."""
        if name in self._names:
            return name
        closest = name.parent()
        while closest not in self._names and closest != zone:
            closest = closest.parent()
        wild = dns.name.Name((_WILDCARD, *closest.labels))
        return wild if wild in self._names else None

    def _cut(self, name: dns.name.Name, zone: dns.name.Name) -> dns.name.Name | None:
        """Where others answer for a name of the zone: the topmost with name servers of its own (RFC 1034, 4.2)."""
        found = None
        while name != zone:
            if dns.rdatatype.NS in self._names.get(name, ()):
                found = name
            name = name.parent()
        return found

    def _refer(self, cut: dns.name.Name, response: dns.message.Message) -> None:
        """RFC 1034, 4.3.2 (3b): who answers there, and, as nobody else knows it, at which addresses."""
        servers = self._names[cut][dns.rdatatype.NS]
        response.authority.append(servers)
        for server in servers:
            sets = self._names.get(server.target, {}) if server.target.is_subdomain(cut) else {}
            glue = (sets.get(kind) for kind in (dns.rdatatype.A, dns.rdatatype.AAAA))
            response.additional += [one for one in glue if one is not None]
        if not response.answer:
            response.flags &= ~dns.flags.AA

    def _find(self, name: dns.name.Name, kind: dns.rdatatype.RdataType, response: dns.message.Message) -> None:
        """RFC 1034, 4.3.2: follow aliases within our zones, and fill the response."""
        for _ in range(MOST_ALIASES):
            zone = self._zone_of(name)
            if zone is None:
                return  # the alias leads to where others answer
            cut = self._cut(name, zone)
            if cut is not None:
                self._refer(cut, response)
                return
            source = self._source(name, zone)
            if source is None:
                response.set_rcode(dns.rcode.NXDOMAIN)
                response.authority.append(self.zones[zone])
                return
            sets = self._names[source]
            found = [one for one in sets.values() if kind in (one.rdtype, dns.rdatatype.ANY)]
            alias = sets.get(dns.rdatatype.CNAME)
            if found or alias is None:
                response.answer += [_owned(one, name) for one in found]
                if not found:
                    response.authority.append(self.zones[zone])
                return
            response.answer.append(_owned(alias, name))
            name = alias[0].target

    # --- answering

    def respond(self, data: bytes, by_tcp: bool = False) -> bytes | None:
        """The response to a message; None: there is none to what is no query."""
        try:
            query = dns.message.from_wire(data, ignore_trailing=True)
        except dns.exception.DNSException:
            return _malformed(data)
        if query.flags & dns.flags.QR:
            return None
        limit = 65535 if by_tcp else PLAIN_PAYLOAD
        if query.edns >= 0 and not by_tcp:
            limit = min(max(query.payload, PLAIN_PAYLOAD), PAYLOAD)  # RFC 6891, 6.2.3: less than 512 means 512
        return _fit(self.answer(query), limit)

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        """The whole response to a query."""
        response = dns.message.make_response(query, our_payload=PAYLOAD, copy_mode=dns.message.CopyMode.QUESTION)
        if query.opcode() != dns.opcode.QUERY:
            response.set_rcode(dns.rcode.NOTIMP)
        elif len(query.question) != 1:
            response.set_rcode(dns.rcode.FORMERR)  # RFC 9619, 4
        elif query.edns > 0:
            response.set_rcode(dns.rcode.BADVERS)  # RFC 6891, 6.1.3
        else:
            question = query.question[0]
            strange = question.rdclass != _IN or question.rdtype in _TRANSFERS
            if strange or self._zone_of(question.name) is None:
                response.set_rcode(dns.rcode.REFUSED)
            else:
                response.flags |= dns.flags.AA
                self._find(question.name, question.rdtype, response)
        return response


def _split(text: str) -> tuple[int, str, str]:
    """The life in seconds, the type and the data of a record's text."""
    words = text.split()
    life = int(words.pop(0)) if len(words) > 1 and words[0].isdecimal() else LIFE
    if len(words) == 1:
        return life, "AAAA" if ":" in words[0] else "A", words[0]
    kind = words[0] if words else ""
    return life, kind, text.partition(kind)[2].strip() if kind else ""


def _name(text: str, origin: dns.name.Name) -> dns.name.Name:
    try:
        return dns.name.from_text(text, origin).canonicalize()
    except (dns.exception.DNSException, ValueError) as error:
        raise ConfigurationError(f"{text!r} is no name: {error}") from error


def _owned(found: dns.rrset.RRset, name: dns.name.Name) -> dns.rrset.RRset:
    """The records under the name as it was asked for: in the asker's case, and in place of a wildcard."""
    copy = dns.rrset.RRset(name, _IN, found.rdtype)
    for rdata in found:
        copy.add(rdata, found.ttl)
    return copy


def _fit(response: dns.message.Message, limit: int) -> bytes:
    """On the wire; what is too long loses all its records, and says so (RFC 2181, 9)."""
    try:
        return response.to_wire(max_size=limit, want_shuffle=False)  # else dnspython shuffles, and worlds differ
    except dns.exception.TooBig:
        return empty(response, dns.flags.TC).to_wire(max_size=limit)


def empty(response: dns.message.Message, flags: int = 0) -> dns.message.Message:
    """The response without its records, and with more flags."""
    for section in (response.answer, response.authority, response.additional):
        section.clear()
    response.flags |= flags
    return response


def _malformed(data: bytes) -> bytes | None:
    """FORMERR for what has a header, and is no response: its id and opcode, and nothing else (RFC 1035, 4.1.1)."""
    if len(data) < 12 or data[2] & 0x80:
        return None
    return data[:2] + bytes((0x80 | data[2] & 0x79, dns.rcode.FORMERR)) + bytes(8)
