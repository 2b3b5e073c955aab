"""Multicast Listener Discovery, version 1 (RFC 2710), which lives with routers of version 2: messages of ICMPv6.

All go out with hop limit 1, from a link-local address, behind ipv6.router_alert_header (RFC 2710, 3).
"""

from dataclasses import dataclass

from motenet.core.units import MS
from motenet.stack.address import is_link_local, is_unspecified
from motenet.stack.wire import Malformed, icmp, icmpv6

HOP_LIMIT = 1

_TYPES = (icmpv6.LISTENER_QUERY, icmpv6.LISTENER_REPORT, icmpv6.LISTENER_DONE)
_ADDRESS = 16
_LEAST_VERSION_2 = 28 - icmp.HEADER_LENGTH  # bytes of a query's payload (RFC 3810, 8.1)


@dataclass(slots=True)
class Message:
    """A message about a group; a general query is about ::."""

    type: int
    group: bytes
    max_response: int = 0
    """Maximum Response Delay, in ms; a query's only."""
    version: int = 1
    """Of a query (RFC 3810, 8.1)."""

    @property
    def response_time(self) -> int:
        """Within how many ns listeners are to answer (RFC 2710, 3.4; RFC 3810, 5.1.3)."""
        delay = self.max_response
        if self.version == 2 and delay >= 0x8000:
            delay = (delay & 0x0FFF | 0x1000) << (delay >> 12 & 7) + 3
        return delay * MS


def parse(message: icmpv6.Message) -> Message:
    """Read a message; Malformed if it is short. What follows the first 24 bytes is ignored (RFC 2710, 3.7)."""
    if message.type not in _TYPES:
        raise Malformed("mld-type")
    if len(message.payload) < _ADDRESS:
        raise Malformed("mld-short")
    version = 1
    if message.type == icmpv6.LISTENER_QUERY and len(message.payload) >= _LEAST_VERSION_2:
        version = 2
    return Message(message.type, bytes(message.payload[:_ADDRESS]), message.word >> 16, version)


def check(message: Message, hop_limit: int, source: bytes) -> None:
    """Malformed unless the message comes from this link (RFC 2710, 3 and 4; RFC 3590, 4: a report may be from ::)."""
    if hop_limit != HOP_LIMIT:
        raise Malformed("mld-hop-limit")
    unspecified = is_unspecified(source) and message.type != icmpv6.LISTENER_QUERY
    if not (is_link_local(source) or unspecified):
        raise Malformed("mld-source")


def emit(message: Message) -> icmpv6.Message:
    """The ICMPv6 message that says so; codes are zero (RFC 2710, 3.2)."""
    return icmpv6.Message(message.type, 0, message.max_response << 16, message.group)
