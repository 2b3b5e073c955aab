"""A DNS server whose names follow a network: who has an address is found, who has none any more is not."""

import re
from collections.abc import Callable, Mapping

from motenet.apps.dns import DnsServer, Zones
from motenet.apps.dns.zone import Records
from motenet.core.errors import ConfigurationError
from motenet.stack import NetworkStack
from motenet.stack.sockets.dns.names import LOCAL, LOCALHOST, NOWHERE, encode
from motenet.stack.wire.dns import name_text

HOST_LIFE = 0
"""Seconds that a host's address may be remembered: it may change at any time (dnsmasq's --local-ttl has the same)."""

Table = dict[str, dict[str, Records]]
"""Names and records of each zone, as Zones takes them."""

_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""RFC 1123, 2.1."""


class NameServer(DnsServer):
    """Before it answers, it looks who is there; so there is nothing that could be out of date, or in a snapshot."""

    def __init__(self, stack: NetworkStack, look: Callable[[], Table]) -> None:
        self._found = look
        self._table = look()
        super().__init__(stack, _zones(self._table))

    def answer(self, data: bytes, address: bytes, by_tcp: bool) -> list[tuple[int, bytes]]:
        """See DnsServer."""
        table = self._found()
        if table != self._table:
            self._table, self.zones = table, _zones(table)
        return super().answer(data, address, by_tcp)


def _zones(table: Table) -> Zones:
    return Zones(table, negative_life=HOST_LIFE)


def check_domain(domain: str) -> str:
    """The domain in small letters; ConfigurationError, BadName for one that DNS is not asked for."""
    labels = encode(domain)
    if labels[-1] in (LOCAL, LOCALHOST, *NOWHERE):
        raise ConfigurationError(f"DNS is not asked for names in {domain!r} (RFC 6761, RFC 6762); use 'test'")
    return name_text(labels)


def told_name(text: str, domain: str) -> str:
    """What a DHCP client calls itself, as a name of the domain; empty if it cannot be one."""
    name = text.lower().rstrip(".").removesuffix(f".{domain}")
    return name if _HOST_NAME.fullmatch(name) else ""


def host_records(addresses: list[str]) -> list[str]:
    """A host's addresses as records."""
    return [f"{HOST_LIFE} {'AAAA' if ':' in address else 'A'} {address}" for address in addresses]


def sort_records(domain: str, records: Mapping[str, Records]) -> Table:
    """Records by zone: a name without a dot, and "@", is the domain's; all others are full names.

    The root's zone is ours, too: nobody else can be asked, so what we do not know does not exist.
    """
    table: Table = {f"{domain}.": {}, ".": {}}
    for name, record in records.items():
        full = name.rstrip(".").lower()
        inside = "." not in full or full.endswith(f".{domain}")
        own = full.removesuffix(f".{domain}") if inside else f"{full}."
        table[f"{domain}." if inside else "."]["@" if full == domain else own] = record
    return table
