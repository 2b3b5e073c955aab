"""Putting fragments together (RFC 791, 3.2; RFC 1122, 3.3.2; RFC 8200, 4.5), bounded in time, memory and count."""

from bisect import bisect
from dataclasses import astuple, dataclass, field, replace

from motenet.core.state import Plain, plain
from motenet.core.trace import HasNow, Watched
from motenet.core.units import SECOND
from motenet.stack.packet import Packet
from motenet.stack.wire import Malformed, ipv4, ipv6

LIFETIME = 60 * SECOND
"""RFC 1122, 3.3.2: "a fixed timeout value ... between 60 seconds and 120 seconds"; RFC 8200, 4.5: 60 seconds."""

MAXIMUM_DATAGRAMS = 64
MAXIMUM_BYTES = 1 << 20
_PAYLOAD_LENGTH = 4  # where that field lies in IPv6's header,
_FRAGMENT_OFFSET = 2  # and that in the Fragment header (RFC 8200, 3 and 4.5)
_NOT_ECT, _CE = 0, 3  # RFC 3168, 5: codepoints of the lowest two bits
_FRAGMENT_COST = 128  # bytes of bookkeeping that each fragment is charged beside its data

Key = tuple[bytes, bytes, int, int]
"""RFC 791, 3.2: source, destination, protocol and identification name a datagram; RFC 8200, 4.5: without the
protocol, which is 0 here."""


@dataclass(slots=True)
class Partial:
    """A datagram of which not all has come."""

    expires: int
    header: bytes = b""
    """The first fragment's header, and 8 bytes: what an ICMP error quotes. Empty until that fragment comes."""
    total: int = 0
    """The datagram's payload in bytes; 0 until the last fragment comes."""
    protocol: int = 0
    """What the first fragment's header names."""
    have: int = 0
    cost: int = 0
    offsets: list[int] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    marks: int = 0
    """Which ECN codepoints its fragments carry: a bit each."""


class Reassembly(Watched):
    """The datagrams under way. A fragment that overlaps another ends its datagram (RFC 8200, 4.5; RFC 5722).

    RFC 1858 and RFC 3128 tell what overlaps are used for; Linux drops such datagrams in IPv4 too.
    """

    def __init__(self, clock: HasNow, path: str = "reassembly") -> None:
        super().__init__(clock, path)
        self.partials: dict[Key, Partial] = {}
        self.bytes = 0

    def add(self, packet: Packet, now: int) -> Packet | None:
        """Take a fragment; returns the datagram when it is whole. Malformed if the fragment is refused."""
        six = isinstance(packet, ipv6.Packet)
        key = (packet.source, packet.destination, 0 if six else packet.protocol, packet.ident)
        offset, length = packet.offset, len(packet.payload)
        if packet.more and (length == 0 or length % 8):
            raise _refusal(packet, "fragment-length")  # RFC 791, 3.1: fragments are counted in units of 8 octets
        if offset + length + (0 if six else len(packet.header)) > ipv4.MAXIMUM_LENGTH:
            raise _refusal(packet, "fragment-too-long")
        partial = self.partials.get(key)
        if partial is None:
            partial = self._begin(key, now)
        try:
            if not self._insert(partial, offset, packet.payload, not packet.more):
                return None
        except Malformed:
            self._end(key)
            raise
        partial.marks |= 1 << (packet.tos & 3)
        if offset == 0:
            partial.header = bytes(packet.header) + bytes(packet.payload[:8])
            partial.protocol = packet.protocol
        if partial.total and partial.have == partial.total:
            self._end(key)
            whole = _whole(packet, partial)
            return self.add(whole, now) if whole.is_fragment else whole  # RFC 8200, 4.1: "any number of times"
        self._make_room(key)
        return None

    def _begin(self, key: Key, now: int) -> Partial:
        if len(self.partials) >= MAXIMUM_DATAGRAMS:
            self._evict(next(iter(self.partials)))
        partial = self.partials[key] = Partial(now + LIFETIME)
        return partial

    def _insert(self, partial: Partial, offset: int, payload: memoryview, last: bool) -> bool:
        """Put a fragment in its place; False for one that is there already, Malformed for one that contradicts."""
        end = offset + len(payload)
        index = bisect(partial.offsets, offset)
        if index and partial.offsets[index - 1] == offset and len(partial.pieces[index - 1]) == len(payload):
            return False
        before = partial.offsets[index - 1] + len(partial.pieces[index - 1]) if index else 0
        after = partial.offsets[index] if index < len(partial.offsets) else end
        if before > offset or after < end:
            raise Malformed("fragment-overlap")
        if (last and (partial.total or index < len(partial.offsets))) or (partial.total and end > partial.total):
            raise Malformed("fragment-end")
        if last:
            partial.total = end
        partial.offsets.insert(index, offset)
        partial.pieces.insert(index, bytes(payload))
        partial.have += len(payload)
        partial.cost += len(payload) + _FRAGMENT_COST
        self.bytes += len(payload) + _FRAGMENT_COST
        return True

    def _make_room(self, newest: Key) -> None:
        while self.bytes > MAXIMUM_BYTES:
            self._evict(next((key for key in self.partials if key != newest), newest))

    def _evict(self, key: Key) -> None:
        self._end(key)
        self.drop("reassembly-full")

    def _end(self, key: Key) -> Partial:
        partial = self.partials.pop(key)
        self.bytes -= partial.cost
        return partial

    def expired(self, now: int) -> list[Partial]:
        """The datagrams whose time is over, which end here."""
        over = [key for key, partial in self.partials.items() if partial.expires <= now]
        return [self._end(key) for key in over]

    def poll_at(self) -> int | None:
        """When the next datagram's time is over, in ns: the oldest's."""
        for partial in self.partials.values():
            return partial.expires
        return None

    def save(self) -> Plain:
        partials = [(key, plain(astuple(partial))) for key, partial in self.partials.items()]
        return super().save() | {"partials": partials}

    def load(self, state: Plain) -> None:
        super().load(state)
        self.partials.clear()
        for key, fields in state["partials"]:
            self.partials[key] = Partial(*plain(fields))
        self.bytes = sum(partial.cost for partial in self.partials.values())


def _refusal(packet: Packet, reason: str) -> Malformed:
    """RFC 8200, 4.5: the sender is told, and pointed to the Payload Length or the Fragment Offset."""
    if isinstance(packet, ipv4.Packet):
        return Malformed(reason)
    pointer = _PAYLOAD_LENGTH if reason == "fragment-length" else packet.protocol_at + _FRAGMENT_OFFSET
    refusal = ipv6.Refused(reason, ipv6.ERRONEOUS_FIELD, pointer)
    refusal.packet = bytes(packet.header) + bytes(packet.payload)
    return refusal


def _whole(packet: Packet, partial: Partial) -> Packet:
    """The datagram of which `packet` was the last fragment missing. What follows a Fragment header is parsed now.

    RFC 3168, 5.3: a fragment's congestion mark is the datagram's, which is dropped if another was not ECN-capable.
    """
    congested = partial.marks >> _CE & 1
    if congested and partial.marks >> _NOT_ECT & 1:
        raise Malformed("fragment-ecn")
    payload = b"".join(partial.pieces)
    if isinstance(packet, ipv4.Packet):
        first = memoryview(partial.header)[:-8]
        tos = first[1] | (_CE if congested else 0)
        return replace(packet, tos=tos, hop_limit=first[8], header=first, payload=memoryview(payload), flags=0)
    header = bytearray(partial.header[: ipv6.HEADER_LENGTH])  # what lay between has been seen to
    header[4:6], header[6] = len(payload).to_bytes(2, "big"), partial.protocol
    whole = ipv6.parse(memoryview(bytes(header) + payload))
    whole.fragmented = True
    whole.tos |= _CE if congested else 0
    return whole
