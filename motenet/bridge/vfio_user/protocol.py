"""vfio-user 0.0 on paper: headers, messages, flags. Sources: QEMU's docs/interop/vfio-user.rst, Linux's linux/vfio.h.

All numbers are little-endian. A message is a header and a payload; file descriptors travel beside it (SCM_RIGHTS).
"""

import json
from errno import EINVAL
from typing import NamedTuple

from construct import Const, GreedyBytes, Int8ul, Int16ul, Int32ul, Int64ul, Struct

from motenet.bridge.channel import MAX_FDS
from motenet.datasheets.layouts import codec

VERSION = 1
DMA_MAP = 2
DMA_UNMAP = 3
DEVICE_GET_INFO = 4
DEVICE_GET_REGION_INFO = 5
DEVICE_GET_REGION_IO_FDS = 6
DEVICE_GET_IRQ_INFO = 7
DEVICE_SET_IRQS = 8
REGION_READ = 9
REGION_WRITE = 10
DMA_READ = 11
DMA_WRITE = 12
DEVICE_RESET = 13

COMMAND_NAMES = {
    VERSION: "VERSION",
    DMA_MAP: "DMA_MAP",
    DMA_UNMAP: "DMA_UNMAP",
    DEVICE_GET_INFO: "DEVICE_GET_INFO",
    DEVICE_GET_REGION_INFO: "DEVICE_GET_REGION_INFO",
    DEVICE_GET_REGION_IO_FDS: "DEVICE_GET_REGION_IO_FDS",
    DEVICE_GET_IRQ_INFO: "DEVICE_GET_IRQ_INFO",
    DEVICE_SET_IRQS: "DEVICE_SET_IRQS",
    REGION_READ: "REGION_READ",
    REGION_WRITE: "REGION_WRITE",
    DMA_READ: "DMA_READ",
    DMA_WRITE: "DMA_WRITE",
    DEVICE_RESET: "DEVICE_RESET",
}

TYPE_MASK = 0xF
REPLY = 0x1
NO_REPLY = 0x10
ERROR = 0x20

MAX_TRANSFER = 1 << 20
"""Bytes: `max_data_xfer_size` when a side does not say."""
MAX_MESSAGE = MAX_TRANSFER + 64
"""Bytes: no message that we take is longer."""

Header = Struct("id" / Int16ul, "command" / Int16ul, "size" / Int32ul, "flags" / Int32ul, "error" / Int32ul)
HEADER = codec(Header)


def message_size(buffer: bytearray, waiting: int) -> int:
    """How long the message in front of the buffer is to become, of which so many bytes are there."""
    return min(int(HEADER.unpack_from(buffer)[2]), MAX_MESSAGE) if waiting >= HEADER.size else 0


RegionAccess = Struct("offset" / Int64ul, "region" / Int32ul, "count" / Int32ul)
ACCESS = codec(RegionAccess)

ANSWERS = {
    width: codec(Struct(*Header.subcons, *RegionAccess.subcons, "data" / number))
    for width, number in ((1, Int8ul), (2, Int16ul), (4, Int32ul))
}
"""For each width: a whole reply to REGION_READ."""
ACKNOWLEDGED = codec(Struct(*Header.subcons, *RegionAccess.subcons))
"""A whole reply to REGION_WRITE."""

DmaAccess = Struct("address" / Int64ul, "count" / Int64ul)
DMA_ACCESS = codec(DmaAccess)

Version = Struct("major" / Int16ul, "minor" / Int16ul, "data" / GreedyBytes)
DmaMap = Struct("argsz" / Int32ul, "flags" / Int32ul, "offset" / Int64ul, "address" / Int64ul, "size" / Int64ul)
DmaUnmap = Struct("argsz" / Int32ul, "flags" / Int32ul, "address" / Int64ul, "size" / Int64ul)
DeviceInfo = Struct("argsz" / Int32ul, "flags" / Int32ul, "num_regions" / Int32ul, "num_irqs" / Int32ul)
RegionInfo = Struct(
    "argsz" / Int32ul,
    "flags" / Int32ul,
    "index" / Int32ul,
    "cap_offset" / Int32ul,
    "size" / Int64ul,
    "offset" / Int64ul,
)
RegionIoFds = Struct("argsz" / Int32ul, "flags" / Const(0, Int32ul), "index" / Int32ul, "count" / Int32ul)
IrqInfo = Struct("argsz" / Int32ul, "flags" / Int32ul, "index" / Int32ul, "count" / Int32ul)
IrqSet = Struct(
    "argsz" / Int32ul, "flags" / Int32ul, "index" / Int32ul, "start" / Int32ul, "count" / Int32ul, "data" / GreedyBytes
)
IRQ_SET_SIZE = 20

MAP_READABLE, MAP_WRITABLE = 0x1, 0x2
MAP_MMAP, MAP_FILE_IO = 0x4, 0x8
"""libvfio-user's additions: how the client would like its descriptor to be used."""
UNMAP_ALL = 0x2

DEVICE_RESETS, DEVICE_IS_PCI = 0x1, 0x2
REGION_READABLE, REGION_WRITABLE = 0x1, 0x2
CONFIG_REGION = 7
NUM_REGIONS = 9
"""Six BARs, the ROM, configuration space, VGA."""

INTX, MSI, MSIX = 0, 1, 2
NUM_IRQS = 3
"""VFIO's error and request indexes would follow; QEMU warns if they are there without an interrupt."""
IRQ_EVENTFD, IRQ_MASKABLE, IRQ_AUTOMASKED, IRQ_NORESIZE = 0x1, 0x2, 0x4, 0x8
DATA_NONE, DATA_BOOL, DATA_EVENTFD = 0x1, 0x2, 0x4
ACTION_MASK, ACTION_UNMASK, ACTION_TRIGGER = 0x8, 0x10, 0x20


class Refused(Exception):
    """A request that is answered with an error: an errno, and the reason for people."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(reason)
        self.number = number


class Limits(NamedTuple):
    """What a side takes, from the JSON of its VERSION message."""

    max_fds: int = 1
    max_transfer: int = MAX_TRANSFER


def parse_limits(data: bytes) -> Limits:
    """The client's limits; no data at all stands for the defaults. Refused for what is no capability object."""
    if not data:
        return Limits()
    if not data.endswith(b"\0"):
        raise Refused(EINVAL, "the version data does not end in NUL")
    try:
        words = json.loads(data.rstrip(b"\0").decode() or "{}")
        capabilities = words.get("capabilities", {})
        found = (capabilities.get("max_msg_fds", 1), capabilities.get("max_data_xfer_size", MAX_TRANSFER))
    except (ValueError, AttributeError, RecursionError) as error:
        raise Refused(EINVAL, f"the version data is no capability object: {error}") from error
    if any(type(number) is not int or not 0 <= number < 1 << 32 for number in found):
        raise Refused(EINVAL, f"limits {found} are no numbers of 32 bits")
    return Limits(*found)


def our_version(minor: int, room: int) -> bytes:
    """The reply to VERSION: 0.`minor`, and what we take, if that fits into `room` bytes of payload.

    (QEMU reserves no more room for the reply than its own request has.)
    """
    words = {"capabilities": {"max_msg_fds": MAX_FDS, "max_data_xfer_size": MAX_TRANSFER}}
    data = json.dumps(words, separators=(",", ":")).encode() + b"\0"
    if 4 + len(data) > room:
        data = b"{}\0" if room >= 7 else b""
    return bytes(Version.build({"major": 0, "minor": minor, "data": data}))


def error_reply(ident: int, command: int, number: int) -> bytes:
    """A header and nothing else, as for every error."""
    return HEADER.pack(ident, command, HEADER.size, REPLY | ERROR, number)
