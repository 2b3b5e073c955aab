"""The Internet Group Management Protocol, version 2 (RFC 2236), which lives with routers of versions 1 and 3.

All messages go out with time to live 1 and the Router Alert option (RFC 2236, 2).
"""

from dataclasses import dataclass
from struct import Struct

from motenet.core.checksum import internet_checksum, ones_sum
from motenet.core.units import SECOND
from motenet.stack.wire import Malformed

HOP_LIMIT = 1
"""RFC 2236, 2."""

# RFC 2236, 2.1
QUERY = 0x11
REPORT_1 = 0x12
REPORT = 0x16
LEAVE = 0x17

_MESSAGE = Struct("!BBH4s")
LENGTH = _MESSAGE.size

_TENTH = SECOND // 10
_VERSION_1_TENTHS = 100  # RFC 2236, 4
_LEAST_VERSION_3 = 12  # bytes of a query (RFC 3376, 7.1)


@dataclass(slots=True)
class Message:
    """A message about a group; a general query is about 0.0.0.0."""

    type: int
    group: bytes
    max_response: int = 0
    """Max Resp Time, in tenths of a second; a query's only."""
    version: int = 2
    """Of a query (RFC 3376, 7.1)."""

    @property
    def response_time(self) -> int:
        """Within how many ns members are to answer (RFC 2236, 2.2 and 4; RFC 3376, 4.1.1)."""
        tenths = self.max_response
        if self.version == 1:
            tenths = _VERSION_1_TENTHS
        elif self.version == 3 and tenths >= 0x80:
            tenths = (tenths & 0x0F | 0x10) << (tenths >> 4 & 7) + 3
        return tenths * _TENTH

    @property
    def length(self) -> int:
        """Bytes of the message."""
        return LENGTH

    def emit(self, view: memoryview, pseudo_sum: int = 0, checksum: bool = True) -> None:
        """Write the 8 bytes. IGMP has no pseudo-header, and cards do not compute its checksum."""
        _MESSAGE.pack_into(view, 0, self.type, self.max_response, 0, self.group)
        view[2:4] = internet_checksum(view).to_bytes(2, "big")


def parse(view: memoryview, hop_limit: int = HOP_LIMIT) -> Message:
    """Read a message that came with this time to live; Malformed if it is short, or that or its checksum wrong.

    The checksum is over all of it, but what follows the first 8 bytes is ignored (RFC 2236, 2.3 and 2.5).
    """
    if hop_limit != HOP_LIMIT:
        raise Malformed("igmp-hop-limit")  # a router has forwarded it, or might have: it is none of this link's
    if len(view) < LENGTH:
        raise Malformed("igmp-short")
    if ones_sum(view) != 0xFFFF:
        raise Malformed("igmp-checksum")
    kind, max_response, _, group = _MESSAGE.unpack_from(view)
    version = 2
    if kind == QUERY:
        if len(view) >= _LEAST_VERSION_3:
            version = 3
        elif not max_response:
            version = 1  # RFC 2236, 4: such a router sends this field as zero
    return Message(kind, group, max_response, version)
