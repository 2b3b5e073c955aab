"""Capture files that Wireshark reads: pcapng (IETF draft-ietf-opsawg-pcapng), nanoseconds, an interface a port."""

from io import BufferedIOBase, RawIOBase
from typing import BinaryIO, TypeAlias

import construct

from motenet.datasheets.layouts import codec

Sink: TypeAlias = BinaryIO | BufferedIOBase | RawIOBase

LINKTYPE_ETHERNET = 1
NANOSECONDS = 9
"""if_tsresol (4.2): timestamps count units of 10 to the power of minus this."""

SECTION_HEADER = construct.Struct(  # 4.1
    "type" / construct.Const(0x0A0D0D0A, construct.Int32ul),
    "length" / construct.Int32ul,
    "byte_order" / construct.Const(0x1A2B3C4D, construct.Int32ul),
    "major" / construct.Const(1, construct.Int16ul),
    "minor" / construct.Const(0, construct.Int16ul),
    "section_length" / construct.Const(-1, construct.Int64sl),
)
INTERFACE = construct.Struct(  # 4.2
    "type" / construct.Const(1, construct.Int32ul),
    "length" / construct.Int32ul,
    "link_type" / construct.Int16ul,
    "reserved" / construct.Const(0, construct.Int16ul),
    "snap_length" / construct.Int32ul,
)
ENHANCED_PACKET = construct.Struct(  # 4.3; flat: one frame costs one pack
    "type" / construct.Int32ul,
    "length" / construct.Int32ul,
    "interface" / construct.Int32ul,
    "time_high" / construct.Int32ul,
    "time_low" / construct.Int32ul,
    "captured" / construct.Int32ul,
    "original" / construct.Int32ul,
)
_OPTION = construct.Struct(  # 3.5
    "code" / construct.Int16ul,
    "length" / construct.Rebuild(construct.Int16ul, lambda this: len(this.value)),
    "value" / construct.Aligned(4, construct.Bytes(construct.this.length)),
)
_packet = codec(ENHANCED_PACKET)

ENHANCED_PACKET_BLOCK = 6
OPT_ENDOFOPT, OPT_COMMENT = 0, 1  # 3.5
SHB_USERAPPL = 4  # 4.1
IF_NAME, IF_DESCRIPTION, IF_SPEED, IF_TSRESOL = 2, 3, 8, 9  # 4.2
EPB_FLAGS = 2  # 4.3
DIRECTIONS = {"": 0, "rx": 1, "tx": 2}
"""The lowest two bits of epb_flags (4.3.1): not known, inbound, outbound."""
CRC_ERROR = 1 << 24
"""The bit of epb_flags (4.3.1) for a frame whose check sequence is wrong."""


def option(code: int, value: bytes) -> bytes:
    """One option of a block, padded to 32 bits; `value` has at most 65,535 bytes."""
    block: bytes = _OPTION.build({"code": code, "value": value})
    return block


def section_header(application: str = "motenet") -> bytes:
    """The block that opens a file."""
    options = option(SHB_USERAPPL, application.encode()) + option(OPT_ENDOFOPT, b"")
    length: int = SECTION_HEADER.sizeof() + len(options) + 4
    head: bytes = SECTION_HEADER.build({"length": length})
    return head + options + length.to_bytes(4, "little")


def interface(name: str, description: str = "", speed: int = 0) -> bytes:
    """The block that declares an Ethernet interface; `speed` is in bits per second, 0: not told."""
    options = option(IF_NAME, name.encode())
    if description:
        options += option(IF_DESCRIPTION, description.encode())
    if speed:
        options += option(IF_SPEED, speed.to_bytes(8, "little"))
    options += option(IF_TSRESOL, bytes([NANOSECONDS])) + option(OPT_ENDOFOPT, b"")
    length: int = INTERFACE.sizeof() + len(options) + 4
    head: bytes = INTERFACE.build({"length": length, "link_type": LINKTYPE_ETHERNET, "snap_length": 0})
    return head + options + length.to_bytes(4, "little")


def packet(
    number: int, time: int, frame: bytes, direction: str = "", comment: str = "", damaged: bool = False
) -> bytes:
    """The block of one frame without FCS, at `time` (ns), seen by interface `number` (they count from 0).

    `direction` is "tx", "rx" or "" for not known; a damaged frame is marked as one with a CRC error.
    """
    length = len(frame)
    flags = DIRECTIONS[direction] | (CRC_ERROR if damaged else 0)
    options = b""
    if comment:
        options = option(OPT_COMMENT, comment.encode())
    if flags:
        options += b"\x02\0\x04\0" + flags.to_bytes(4, "little")  # EPB_FLAGS, four bytes
    if options:
        options += bytes(4)  # OPT_ENDOFOPT
    padding = -length & 3
    total = _packet.size + length + padding + len(options) + 4
    head = _packet.pack(ENHANCED_PACKET_BLOCK, total, number, time >> 32, time & 0xFFFFFFFF, length, length)
    return b"".join((head, frame, bytes(padding), options, total.to_bytes(4, "little")))


class Writer:
    """A capture written as it happens to a binary file, which the writer does not close unless asked to."""

    def __init__(self, file: Sink, application: str = "motenet") -> None:
        self._file = file
        self.interfaces: dict[str, int] = {}
        """The number of each interface by its name."""
        self.frames = 0
        """How many frames have been written."""
        file.write(section_header(application))

    def interface(self, name: str, description: str = "", speed: int = 0) -> int:
        """The number of the interface of this name, which is declared at its first use."""
        number = self.interfaces.get(name)
        if number is None:
            number = self.interfaces[name] = len(self.interfaces)
            self._file.write(interface(name, description, speed))
        return number

    def frame(
        self, number: int, time: int, frame: bytes, direction: str = "", comment: str = "", damaged: bool = False
    ) -> None:
        """Add a frame; the arguments are those of `packet`."""
        self._file.write(packet(number, time, frame, direction, comment, damaged))
        self.frames += 1

    def flush(self) -> None:
        """Hand all that was written to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._file.close()
