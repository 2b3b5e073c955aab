"""IPv4's loose source route (RFC 791, 3.1; RFC 1122, 3.2.1.8 (c)): the gateways that a packet has to pass."""

from collections.abc import Sequence

from motenet.stack.wire.ipv4 import HEADER_LENGTH, LOOSE_SOURCE_ROUTE, STRICT_SOURCE_ROUTE, options

LONGEST = 9
"""Gateways: 40 bytes of options hold nine addresses, of which the destination is one, and the first stands outside."""

_FIRST = 4  # the pointer's least value: the first address, counted from 1 at the option's type
_PREFIX = 3  # type, length, pointer


def emit(gateways: Sequence[bytes], destination: bytes) -> bytes:
    """The option of a packet that goes to the first of the `gateways`, by way of the others to its destination.

    Padded to whole words. At most LONGEST gateways of 4 bytes, one at least.
    """
    behind = b"".join((*gateways[1:], destination))
    option = bytes((LOOSE_SOURCE_ROUTE, _PREFIX + len(behind), _FIRST)) + behind
    return option + bytes(-len(option) % 4)


def length(gateways: Sequence[bytes]) -> int:
    """Bytes that `emit` gives; 0 without gateways."""
    return (_PREFIX + 4 * len(gateways) + 3) // 4 * 4 if gateways else 0


def is_complete(option: Sequence[int]) -> bool:
    """Whether a source route's packet has passed all gateways: the pointer lies behind the last address."""
    return len(option) >= _PREFIX and option[1] % 4 == _PREFIX and option[2] > option[1]


def way_back(header: memoryview, source: bytes) -> tuple[bytes, ...]:
    """The gateways by which an answer to `source` goes; none if the packet has come without a complete source route.

    RFC 1122, 3.2.1.8 (c): the recorded route reversed, without the sender, if that stands at its beginning.
    """
    if len(header) == HEADER_LENGTH:
        return ()
    for kind, position, size in options(header):
        option = bytes(header[position : position + size])
        if kind in (LOOSE_SOURCE_ROUTE, STRICT_SOURCE_ROUTE) and is_complete(option):
            recorded = [option[at : at + 4] for at in range(_PREFIX, size, 4)]
            if recorded and recorded[0] == source:
                del recorded[0]
            return tuple(reversed(recorded))
    return ()
