"""The network device (virtio 5.1): header, configuration space and control queue."""

import construct

from motenet.datasheets.layouts import codec
from motenet.datasheets.registers import Field, Register, RegisterMap

DEVICE_ID = 1
"""virtio 5.1.1."""

# --- the header before each packet (virtio 5.1.6) ----------------------------------------------------------------

NET_HDR = construct.Struct(
    "flags" / construct.Int8ul,
    "gso_type" / construct.Int8ul,
    "hdr_len" / construct.Int16ul,
    "gso_size" / construct.Int16ul,
    "csum_start" / construct.Int16ul,
    "csum_offset" / construct.Int16ul,
    "num_buffers" / construct.Int16ul,
)
"""12 bytes."""
NET_HDR_CODEC = codec(NET_HDR)

NET_HDR_LEGACY = construct.Struct(*NET_HDR.subcons[:-1])
"""virtio 5.1.6.1: 10 bytes: the legacy interface has num_buffers only with MRG_RXBUF."""
NET_HDR_LEGACY_CODEC = codec(NET_HDR_LEGACY)

NET_HDR_FLAGS = Register(
    "virtio_net_hdr.flags", 0, "virtio 5.1.6",
    (
        Field("NEEDS_CSUM", 0, doc="the checksum is to be computed from csum_start, and stored csum_offset behind it"),
        Field("DATA_VALID", 1, doc="received: the checksum has been verified"),
        Field("RSC_INFO", 2, doc="received: csum_start and csum_offset count coalesced segments"),
    ),
    width=8,
)  # fmt: skip
NET_HDR_GSO = Register(
    "virtio_net_hdr.gso_type", 1, "virtio 5.1.6",
    (Field("TYPE", 0, 7), Field("ECN", 7, doc="the TCP packet has CWR set")),
    width=8,
)  # fmt: skip
GSO_NONE, GSO_TCPV4, GSO_UDP, GSO_TCPV6, GSO_UDP_L4 = 0, 1, 3, 4, 5
"""NET_HDR_GSO.TYPE: whole, TSO for IPv4, UFO, TSO for IPv6, USO."""

MAX_PACKET = 65550
"""virtio 5.1.6.3: largest packet with GUEST_TSO4, GUEST_TSO6 or GUEST_UFO in bytes: 64 KiB and the Ethernet header."""
PLAIN_PACKET = 1514
"""virtio 5.1.6.3: largest packet without them in bytes."""

# --- configuration space (virtio 5.1.4) --------------------------------------------------------------------------

MAC = Register("mac", 0, "virtio 5.1.4", (Field("MAC", 0, 8),), width=8, count=6, stride=1)
"""Writable in the legacy interface only (5.1.4.3)."""
STATUS = Register(
    "status", 6, "virtio 5.1.4",
    (Field("LINK_UP", 0, write="ignore"), Field("ANNOUNCE", 1, write="ignore", doc="announce yourself, and ACK it")),
    width=16,
)  # fmt: skip
MAX_VIRTQUEUE_PAIRS = Register(
    "max_virtqueue_pairs", 8, "virtio 5.1.4", (Field("PAIRS", 0, 16, write="ignore"),), width=16
)  # fmt: skip
MTU = Register("mtu", 10, "virtio 5.1.4", (Field("MTU", 0, 16, write="ignore"),), width=16)
SPEED = Register(
    "speed", 12, "virtio 5.1.4", (Field("SPEED", 0, 32, write="ignore", doc="Mbit/s; from 0x80000000: unknown"),)
)  # fmt: skip
DUPLEX = Register(
    "duplex", 16, "virtio 5.1.4", (Field("DUPLEX", 0, 8, write="ignore", doc="1: full, 0: half"),), width=8
)  # fmt: skip
RSS_MAX_KEY_SIZE = Register(
    "rss_max_key_size", 17, "virtio 5.1.4", (Field("SIZE", 0, 8, write="ignore"),), width=8
)  # fmt: skip
RSS_MAX_INDIRECTION_TABLE_LENGTH = Register(
    "rss_max_indirection_table_length", 18, "virtio 5.1.4", (Field("LENGTH", 0, 16, write="ignore"),), width=16
)  # fmt: skip
SUPPORTED_HASH_TYPES = Register(
    "supported_hash_types", 20, "virtio 5.1.4", (Field("TYPES", 0, 32, write="ignore"),)
)  # fmt: skip

CONFIG = RegisterMap(
    "virtio_net_config", 24,
    (MAC, STATUS, MAX_VIRTQUEUE_PAIRS, MTU, SPEED, DUPLEX, RSS_MAX_KEY_SIZE, RSS_MAX_INDIRECTION_TABLE_LENGTH,
     SUPPORTED_HASH_TYPES),
)  # fmt: skip

MAX_SPEED, SPEED_UNKNOWN = 0x7FFFFFFF, 0xFFFFFFFF
DUPLEX_HALF, DUPLEX_FULL, DUPLEX_UNKNOWN = 0, 1, 0xFF
"""virtio 5.1.4; 5.1.4.1 has half and full the other way round: an erratum, the drivers follow 5.1.4."""
MIN_MTU, MAX_MTU = 68, 65535
"""virtio 5.1.4.1."""

# --- control queue (virtio 5.1.6.5) ------------------------------------------------------------------------------

CTRL_HDR = construct.Struct("class" / construct.Int8ul, "command" / construct.Int8ul)
"""The command's data follow, then one byte that the device writes."""
CTRL_HDR_CODEC = codec(CTRL_HDR)
CTRL_OK, CTRL_ERR = 0, 1

CTRL_RX = 0
"""virtio 5.1.6.5.1: data: one byte, 0 or 1. The first two commands need CTRL_RX, the others CTRL_RX_EXTRA."""
CTRL_RX_PROMISC, CTRL_RX_ALLMULTI, CTRL_RX_ALLUNI, CTRL_RX_NOMULTI, CTRL_RX_NOUNI, CTRL_RX_NOBCAST = range(6)

CTRL_MAC = 1
"""virtio 5.1.6.5.2."""
CTRL_MAC_TABLE_SET = 0
"""Data: CTRL_MAC_ENTRIES and addresses for unicast, then the same for multicast."""
CTRL_MAC_ADDR_SET = 1
"""Data: 6 bytes."""
CTRL_MAC_ENTRIES = construct.Struct("entries" / construct.Int32ul)
CTRL_MAC_ENTRIES_CODEC = codec(CTRL_MAC_ENTRIES)

CTRL_VLAN = 2
"""virtio 5.1.6.5.3."""
CTRL_VLAN_ADD, CTRL_VLAN_DEL = 0, 1
CTRL_VLAN_ID = construct.Struct("id" / construct.Int16ul)
CTRL_VLAN_ID_CODEC = codec(CTRL_VLAN_ID)

CTRL_ANNOUNCE = 3
"""virtio 5.1.6.5.4."""
CTRL_ANNOUNCE_ACK = 0

CTRL_MQ = 4
"""virtio 5.1.6.5.5."""
CTRL_MQ_VQ_PAIRS_SET, CTRL_MQ_RSS_CONFIG, CTRL_MQ_HASH_CONFIG = range(3)
CTRL_MQ_PAIRS = construct.Struct("virtqueue_pairs" / construct.Int16ul)
CTRL_MQ_PAIRS_CODEC = codec(CTRL_MQ_PAIRS)
MIN_PAIRS, MAX_PAIRS = 1, 0x8000
"""virtio 5.1.6.5.6."""

CTRL_GUEST_OFFLOADS = 5
"""virtio 5.1.6.5.8."""
CTRL_GUEST_OFFLOADS_SET = 0
CTRL_OFFLOADS = construct.Struct("offloads" / construct.Int64ul)
"""The feature bits GUEST_CSUM, GUEST_TSO4, GUEST_TSO6, GUEST_ECN and GUEST_UFO at their own places."""
CTRL_OFFLOADS_CODEC = codec(CTRL_OFFLOADS)


def receive_queue(pair: int) -> int:
    """The number of receiveq(pair + 1) (virtio 5.1.2)."""
    return 2 * pair


def transmit_queue(pair: int) -> int:
    """The number of transmitq(pair + 1) (virtio 5.1.2)."""
    return 2 * pair + 1


def control_queue(max_pairs: int) -> int:
    """The number of controlq; `max_pairs` is max_virtqueue_pairs with MQ or RSS negotiated, else 1 (virtio 5.1.2)."""
    return 2 * max_pairs
