"""The Dynamic Host Configuration Protocol (RFC 2131, 2): its messages, and the area of options in them.

What single options mean is told in dhcpv4_options.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct
from typing import TypeVar

from motenet.core.checksum import Buffer
from motenet.stack.address import ANY
from motenet.stack.wire import Malformed
from motenet.stack.wire.dhcpv4_options import MESSAGE_TYPE, Option

T = TypeVar("T")

SERVER_PORT, CLIENT_PORT = 67, 68
"""RFC 2131, 4.1."""

BOOTREQUEST, BOOTREPLY = 1, 2
"""RFC 2131, 2, table 1: the values of op."""

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)
"""RFC 2132, 9.6: the types of messages."""

BROADCAST_FLAG = 0x8000
"""RFC 2131, 2, figure 2: the client wants the reply to be broadcast."""

ETHERNET = 1
"""The hardware type (RFC 1700)."""

MINIMUM_MAXIMUM = 576
"""RFC 2132, 9.10: every client takes messages of this size, IP and UDP headers included."""
LARGEST = 1500
"""Bytes of the largest message that is made or taken here, headers included: an Ethernet frame's."""
HEADERS = 28
"""Bytes of IP and UDP headers, which such a size includes."""

_COOKIE = bytes((99, 130, 83, 99))
"""RFC 2131, 3: what the options begin with."""
_HEADER = Struct("!BBBBIHH4s4s4s4s16s64s128s")
_OPTIONS = _HEADER.size + len(_COOKIE)
_SHORTEST = 300
"""RFC 951, 3: a BOOTP message has 300 bytes; relays drop shorter ones (RFC 1542, 2.1)."""

_PAD, _OVERLOAD, _END = 0, 52, 255
_IN_FILE, _IN_SNAME = 1, 2
_SNAME_SIZE, _FILE_SIZE = 64, 128
_END_OPTION = bytes((_END,))
_LONGEST = 255  # bytes of one option's value


@dataclass(slots=True)
class Message:
    """A message. Addresses are bytes; the names of the fixed fields are RFC 2131's (table 1)."""

    op: int
    xid: int
    hardware: bytes
    """The client's hardware address: hlen bytes of chaddr."""
    options: dict[int, bytes] = field(default_factory=dict)
    """By code, in the order of the message; a value in several pieces is one here (RFC 3396)."""
    secs: int = 0
    flags: int = 0
    ciaddr: bytes = ANY
    """The client's address, which it has already."""
    yiaddr: bytes = ANY
    """The client's address, which it is given."""
    siaddr: bytes = ANY
    """The server to boot from next."""
    giaddr: bytes = ANY
    """The relay agent's address."""
    hops: int = 0
    htype: int = ETHERNET
    sname: bytes = b""
    """The server's name, and the boot file's; without the zeros behind them."""
    file: bytes = b""

    @property
    def type(self) -> int:
        """DISCOVER to INFORM; 0 if the message says none."""
        return self.get(MESSAGE_TYPE) or 0

    def get(self, option: Option[T]) -> T | None:
        """What an option says; None if it is not there, or if its value is none that its clause allows."""
        data = self.options.get(option.code)
        if data is None:
            return None
        try:
            return option.read(data)
        except ValueError:
            return None

    def set(self, option: Option[T], value: T) -> None:
        """Add an option, behind those that are there."""
        self.options[option.code] = option.write(value)

    def emit(self, limit: int = MINIMUM_MAXIMUM) -> bytes:
        """The message, which with IP and UDP headers has at most `limit` bytes.

        Options that find no room among the options go into file and sname, if those are free (RFC 2131, 4.1).
        An option that finds room nowhere is left out: put the important ones first.
        """
        room = max(limit, MINIMUM_MAXIMUM) - HEADERS - _OPTIONS - 1
        areas, complete = _pack(self.options, (room, 0, 0))
        if not complete:
            file_room = 0 if self.file else _FILE_SIZE - 1
            sname_room = 0 if self.sname else _SNAME_SIZE - 1
            areas, _ = _pack(self.options, (room - 3, file_room, sname_room))
        options, file, sname = areas
        overload = (_IN_FILE if file else 0) | (_IN_SNAME if sname else 0)
        if overload:
            options = bytes((_OVERLOAD, 1, overload)) + options
        header = _HEADER.pack(
            self.op, self.htype, len(self.hardware), self.hops, self.xid, self.secs, self.flags,
            self.ciaddr, self.yiaddr, self.siaddr, self.giaddr, self.hardware,
            sname + _END_OPTION if sname else self.sname, file + _END_OPTION if file else self.file,
        )  # fmt: skip
        return (header + _COOKIE + options + _END_OPTION).ljust(_SHORTEST, b"\0")


def _pack(options: dict[int, bytes], rooms: tuple[int, int, int]) -> tuple[list[bytes], bool]:
    """Options, file and sname filled with what has room, in the order in which they are read; and if that is all.

    RFC 2131, 4.1: an option is never cut by an area's end; RFC 3396, 5: a long one is in several pieces.
    """
    areas, complete = [b""] * len(rooms), True
    for code, data in options.items():
        filled, at = list(areas), 0
        for start in range(0, max(len(data), 1), _LONGEST):
            piece = data[start : start + _LONGEST]
            while at < len(rooms) and len(filled[at]) + 2 + len(piece) > rooms[at]:
                at += 1
            if at == len(rooms):
                complete = False
                break
            filled[at] += bytes((code, len(piece))) + piece
        else:
            areas = filled
    return areas, complete


def parse(data: Buffer) -> Message:
    """Read a message. Malformed if it has no cookie, no room for its fields, or options that overrun their area."""
    data = bytes(data)
    if len(data) < _OPTIONS:
        raise Malformed("dhcp-short")
    (
        op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file,
    ) = _HEADER.unpack_from(data)  # fmt: skip
    if data[_HEADER.size : _OPTIONS] != _COOKIE:
        raise Malformed("dhcp-cookie")
    if op not in (BOOTREQUEST, BOOTREPLY):
        raise Malformed("dhcp-op")
    if hlen > len(chaddr):
        raise Malformed("dhcp-hardware")
    options: dict[int, bytes] = {}
    message = Message(op, xid, chaddr[:hlen], options, secs, flags, ciaddr, yiaddr, siaddr, giaddr, hops, htype)
    _join(options, data[_OPTIONS:])
    overload = options.pop(_OVERLOAD, b"\0")[0]
    if overload & _IN_FILE:
        _join(options, file)
    else:
        message.file = file.partition(b"\0")[0]
    if overload & _IN_SNAME:
        _join(options, sname)
    else:
        message.sname = sname.partition(b"\0")[0]
    options.pop(_OVERLOAD, None)  # in file or sname it means nothing
    return message


def _join(options: dict[int, bytes], area: bytes) -> None:
    """Add an area's options; RFC 3396, 7: several instances of one are pieces of one value."""
    for code, value in _records(area):
        options[code] = options.get(code, b"") + value


def _records(area: bytes) -> Iterator[tuple[int, bytes]]:
    """An area's options; it may lack the end option, as some senders leave it out."""
    at = 0
    while at < len(area) and area[at] != _END:
        if area[at] == _PAD:
            at += 1
            continue
        if at + 2 > len(area) or at + 2 + area[at + 1] > len(area):
            raise Malformed("dhcp-option")
        end = at + 2 + area[at + 1]
        if area[at] == _OVERLOAD and end != at + 3:
            raise Malformed("dhcp-overload")  # RFC 2132, 9.3: its length is 1
        yield area[at], area[at + 2 : end]
        at = end
