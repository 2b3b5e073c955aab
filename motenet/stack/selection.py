"""Which of our addresses a packet is sent from (RFC 6724, 5; for IPv4 RFC 1122, 3.3.4.3)."""

from motenet.stack.address import Cidr, is_link_local, is_loopback, is_multicast
from motenet.stack.addressing import DEPRECATED, Addressing, Entry

_LABELS = [
    (Cidr.parse(text), label)
    for text, label in (
        ("::1/128", 0), ("::ffff:0:0/96", 4), ("::/96", 3), ("2001::/32", 5), ("2002::/16", 2), ("3ffe::/16", 12),
        ("fec0::/10", 11), ("fc00::/7", 13), ("::/0", 1),
    )
]  # fmt: skip
"""RFC 6724, 2.1: the default policy table, most specific first where prefixes overlap."""

_LINK, _GLOBAL = 2, 14
"""RFC 4291, 2.7: scopes of addresses and groups, as numbers that can be compared."""


def select(addressing: Addressing, destination: bytes, hop: bytes) -> bytes | None:
    """The interface's address for a destination that is reached by way of `hop`; None: it has none of that family."""
    entries = [
        entry for entry in addressing.entries.values() if entry.usable and len(entry.cidr.address) == len(destination)
    ]
    if not entries:
        return None
    if len(destination) == 4:
        near = [entry for entry in entries if entry.cidr.contains(hop)]
        return max(near, key=lambda entry: entry.cidr.prefix).cidr.address if near else entries[0].cidr.address
    return min(entries, key=lambda entry: _rank(entry, destination)).cidr.address


def _rank(entry: Entry, destination: bytes) -> tuple[int, ...]:
    """RFC 6724, 5, as a key: smaller is better. Rules 4 and 7 (home, temporary) have nothing to decide here."""
    address = entry.cidr.address
    scope, wanted = _scope(address), _scope(destination)
    return (
        address != destination,  # 1
        scope < wanted,  # 2: too small a scope is of no use,
        scope if scope >= wanted else -scope,  # and of those that reach the smallest, of others the largest
        entry.state == DEPRECATED,  # 3
        _label(address) != _label(destination),  # 6
        -min(_common(address, destination), entry.cidr.prefix),  # 8
    )


def _scope(address: bytes) -> int:
    if is_multicast(address):
        return address[1] & 0x0F
    return _LINK if is_link_local(address) or is_loopback(address) else _GLOBAL


def _label(address: bytes) -> int:
    return next(label for network, label in _LABELS if network.contains(address))


def _common(one: bytes, other: bytes) -> int:
    """CommonPrefixLen: leading bits that are alike."""
    return 128 - (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_length()
