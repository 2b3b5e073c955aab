"""The User Datagram Protocol (RFC 768), over IPv4 and IPv6 (RFC 8200, 8.1)."""

from dataclasses import dataclass
from struct import Struct

from motenet.core.checksum import Buffer, internet_checksum, ones_sum, pseudo_header_sum
from motenet.stack.wire import Malformed
from motenet.stack.wire.ipv4 import UDP

_HEADER = Struct("!HHHH")
HEADER_LENGTH = _HEADER.size
CHECKSUM_OFFSET = 6
MAXIMUM_PAYLOAD = 0xFFFF - 20 - HEADER_LENGTH
"""Over IPv4, whose total length has 16 bits."""

_IPV6_ADDRESS = 16


@dataclass(slots=True)
class Datagram:
    """Ports and data."""

    source_port: int
    destination_port: int
    payload: Buffer

    @property
    def length(self) -> int:
        """Bytes of header and data."""
        return HEADER_LENGTH + len(self.payload)

    def emit(self, view: memoryview, pseudo_sum: int, checksum: bool = True) -> None:
        """Write the datagram; without `checksum` its field holds `pseudo_sum`, from which the card goes on."""
        length = HEADER_LENGTH + len(self.payload)
        _HEADER.pack_into(view, 0, self.source_port, self.destination_port, length, 0 if checksum else pseudo_sum)
        view[HEADER_LENGTH:] = self.payload
        if checksum:
            # "If the computed checksum is zero, it is transmitted as all ones"
            view[6:8] = (internet_checksum(view, pseudo_sum) or 0xFFFF).to_bytes(2, "big")


def parse(view: memoryview, source: bytes, destination: bytes, verify: bool = True) -> Datagram:
    """Read a datagram that came between these IP addresses; Malformed if its length or checksum is wrong.

    "An all zero transmitted checksum value means that the transmitter generated no checksum": over IPv4 only, since
    RFC 8200, 8.1 has receivers discard that.
    """
    if len(view) < HEADER_LENGTH:
        raise Malformed("udp-short")
    source_port, destination_port, length, checksum = _HEADER.unpack_from(view)
    if not HEADER_LENGTH <= length <= len(view):
        raise Malformed("udp-length")
    if not checksum and len(source) == _IPV6_ADDRESS:
        raise Malformed("udp-no-checksum")
    if verify and checksum and ones_sum(view[:length], pseudo_header_sum(source, destination, UDP, length)) != 0xFFFF:
        raise Malformed("udp-checksum")
    return Datagram(source_port, destination_port, view[HEADER_LENGTH:length])
