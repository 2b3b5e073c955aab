"""vhost-user on paper: messages, flags, features. Source: QEMU's docs/interop/vhost-user.rst ("vhost-user").

Numbers are in the processor's byte order, which is taken to be little-endian. A message is a header and a payload;
file descriptors travel beside it (SCM_RIGHTS). Names are the specification's, without VHOST_USER_.
"""

from construct import Array, Int32ul, Int64ul, Struct, this

from motenet.datasheets.layouts import codec
from motenet.datasheets.registers import Field, Register
from motenet.datasheets.virtio.features import FEATURES

GET_FEATURES, SET_FEATURES, SET_OWNER, RESET_OWNER, SET_MEM_TABLE = 1, 2, 3, 4, 5
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE = 8, 9, 10, 11
SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR = 12, 13, 14
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM, SET_VRING_ENABLE = 15, 16, 17, 18
SEND_RARP, NET_SET_MTU, RESET_DEVICE = 19, 20, 34
GET_MAX_MEM_SLOTS, ADD_MEM_REG, REM_MEM_REG, SET_STATUS, GET_STATUS = 36, 37, 38, 39, 40

NAMES = {
    GET_FEATURES: "GET_FEATURES",
    SET_FEATURES: "SET_FEATURES",
    SET_OWNER: "SET_OWNER",
    RESET_OWNER: "RESET_OWNER",
    SET_MEM_TABLE: "SET_MEM_TABLE",
    SET_VRING_NUM: "SET_VRING_NUM",
    SET_VRING_ADDR: "SET_VRING_ADDR",
    SET_VRING_BASE: "SET_VRING_BASE",
    GET_VRING_BASE: "GET_VRING_BASE",
    SET_VRING_KICK: "SET_VRING_KICK",
    SET_VRING_CALL: "SET_VRING_CALL",
    SET_VRING_ERR: "SET_VRING_ERR",
    GET_PROTOCOL_FEATURES: "GET_PROTOCOL_FEATURES",
    SET_PROTOCOL_FEATURES: "SET_PROTOCOL_FEATURES",
    GET_QUEUE_NUM: "GET_QUEUE_NUM",
    SET_VRING_ENABLE: "SET_VRING_ENABLE",
    SEND_RARP: "SEND_RARP",
    NET_SET_MTU: "NET_SET_MTU",
    RESET_DEVICE: "RESET_DEVICE",
    GET_MAX_MEM_SLOTS: "GET_MAX_MEM_SLOTS",
    ADD_MEM_REG: "ADD_MEM_REG",
    REM_MEM_REG: "REM_MEM_REG",
    SET_STATUS: "SET_STATUS",
    GET_STATUS: "GET_STATUS",
}
WITHOUT_ANSWER = (6, 7, 21, 23, 25, 27, 29, 32, 33, 35)
"""Of the messages that we do not offer: those which no front-end waits for (SET_LOG_BASE, SET_LOG_FD and so on)."""

Header = Struct("request" / Int32ul, "flags" / Int32ul, "size" / Int32ul)
"""vhost-user, "Header"; `size` is that of the payload."""
HEADER = codec(Header)

FLAGS = Register(
    "flags", 4, 'vhost-user, "Header"',
    (Field("VERSION", 0, 2), Field("REPLY", 2), Field("NEED_REPLY", 3, doc="an answer is wanted, with REPLY_ACK")),
)  # fmt: skip
VERSION = 1
_ANSWER = VERSION | FLAGS["REPLY"]

Number = Struct("value" / Int64ul)
VringState = Struct("index" / Int32ul, "num" / Int32ul)
VringAddress = Struct(
    "index" / Int32ul,
    "flags" / Int32ul,
    "descriptor" / Int64ul,
    "used" / Int64ul,
    "available" / Int64ul,
    "log" / Int64ul,
)
MemoryRegion = Struct("guest" / Int64ul, "size" / Int64ul, "user" / Int64ul, "offset" / Int64ul)
MemoryTable = Struct("count" / Int32ul, "padding" / Int32ul, "regions" / Array(this.count, MemoryRegion))
SingleRegion = Struct("padding" / Int64ul, *MemoryRegion.subcons)
NUMBER, VRING_STATE = codec(Number), codec(VringState)

MAX_PAYLOAD = 4096
"""Bytes: far more than any message that we offer has."""
TABLE_REGIONS = 8
"""Regions of one SET_MEM_TABLE (vhost-user, "Memory regions description")."""
MEMORY_SLOTS = 509
"""Regions that can be added one by one: as many memory slots as KVM gives QEMU on x86."""

VRING_FILE = Register(
    "vring", 0, "vhost-user, VHOST_USER_SET_VRING_KICK",
    (Field("INDEX", 0, 8), Field("NO_FD", 8, doc="there is no descriptor: poll")),
    width=64,
)  # fmt: skip
"""The payload of SET_VRING_KICK, SET_VRING_CALL and SET_VRING_ERR."""

PROTOCOL_FEATURES = Register(
    "protocol features", 0, 'vhost-user, "Protocol features"',
    (
        Field("MQ", 0, doc="GET_QUEUE_NUM"),
        Field("RARP", 2, doc="SEND_RARP"),
        Field("REPLY_ACK", 3, doc="the front-end may ask for an answer to any message"),
        Field("MTU", 4, doc="NET_SET_MTU"),
        Field("RESET_DEVICE", 13, doc="RESET_DEVICE"),
        Field("CONFIGURE_MEM_SLOTS", 15, doc="GET_MAX_MEM_SLOTS, ADD_MEM_REG, REM_MEM_REG"),
        Field("STATUS", 16, doc="SET_STATUS, GET_STATUS"),
    ),
    width=64,
)  # fmt: skip
"""Those that we offer.

Not offered: dirty page logs, inflight tracking and postcopy, which migration and reconnection want; requests from our
side (SLAVE_REQ) and what needs them; CONFIG, for a network card's configuration is the front-end's (QEMU warns of a
back-end that offers it).
"""

F_PROTOCOL_FEATURES = 1 << 30
"""vhost-user: the feature bit that virtio 6.3 reserves. It is never the device's."""

_DEVICES = (
    "CSUM", "GUEST_CSUM", "MTU", "GSO", "GUEST_TSO4", "GUEST_TSO6", "GUEST_ECN", "GUEST_UFO", "HOST_TSO4", "HOST_TSO6",
    "HOST_ECN", "HOST_UFO", "HOST_USO", "MRG_RXBUF", "MQ", "NOTIFY_ON_EMPTY", "ANY_LAYOUT", "RING_INDIRECT_DESC",
    "RING_EVENT_IDX", "VERSION_1", "RING_PACKED", "IN_ORDER",
)  # fmt: skip
BACK_END_FEATURES = sum(FEATURES[name] for name in _DEVICES)
"""Features of rings and packets. The others (address, status, control queue) are the front-end's own."""


def message_size(buffer: bytearray, waiting: int) -> int:
    """How long the message in front of the buffer is to become, of which so many bytes are there."""
    return HEADER.size + min(int(HEADER.unpack_from(buffer)[2]), MAX_PAYLOAD) if waiting >= HEADER.size else 0


def answer(request: int, payload: bytes) -> bytes:
    """The reply to a request."""
    return HEADER.pack(request, _ANSWER, len(payload)) + payload


class Refused(Exception):
    """A message that is not carried out: why, for people."""
