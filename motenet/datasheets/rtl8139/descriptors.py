"""What the RTL8139 and its driver share in memory: the receive header of C mode, and C+ mode's descriptors.

All is little-endian. Flags are written down as registers are: `offset` is the byte within the structure.
"""

import construct

from motenet.datasheets.layouts import codec
from motenet.datasheets.registers import Field, Register

# --- C mode: in front of each packet in the ring (RTL8139C 5.1) --------------------------------------------------

RX_HEADER = construct.Struct(
    "status" / construct.Int16ul,
    "length" / construct.Int16ul,  # of the packet, with its FCS
)
RX_HEADER_CODEC = codec(RX_HEADER)

RX_STATUS = Register(
    "RX.STATUS", 0, "RTL8139C 5.1",
    (
        Field("ROK", 0, doc="received without error"),
        Field("FAE", 1, doc="frame alignment error"),
        Field("CRC", 2, doc="CRC error"),
        Field("LONG", 3, doc="longer than 4 KiB"),
        Field("RUNT", 4, doc="shorter than 64 bytes"),
        Field("ISE", 5, doc="invalid symbol"),
        Field("BAR", 13, doc="to the broadcast address"),
        Field("PAM", 14, doc="to our own address"),
        Field("MAR", 15, doc="to a multicast address"),
    ),
    width=16,
)  # fmt: skip

RX_UNFINISHED = 0xFFF0
"""The header's length while the packet is still being copied; undocumented (Linux 8139too)."""

RING_PAD = 16
"""Bytes behind the receive ring that belong to it (RTL8139C 5.8)."""
READ_POINTER_LAG = 16
"""CAPR is the driver's place less this (every driver; RTL8139C 5 gives its reset value as FFF0h)."""

# --- C+ mode (RTL8139C+ 9) ---------------------------------------------------------------------------------------

DESCRIPTOR = construct.Struct(
    "command" / construct.Int32ul,
    "vlan" / construct.Int32ul,
    "address" / construct.Int64ul,
)
DESCRIPTOR_CODEC = codec(DESCRIPTOR)
DESCRIPTOR_SIZE = 16
RING_ALIGNMENT = 256
RING_ENTRIES = 64
"""Descriptors in a ring at most (RTL8139C+ 2: 64 consecutive ones for each of the three)."""

TX_COMMAND = Register(
    "TX.COMMAND", 0, "RTL8139C+ 9",
    (
        Field("LENGTH", 0, 16, doc="bytes in this buffer"),
        Field("TCPCS", 16, doc="put the TCP checksum in"),
        Field("UDPCS", 17, doc="put the UDP checksum in"),
        Field("IPCS", 18, doc="put the IP header's checksum in"),
        Field("LGSEN", 27, doc="0: TCPCS, UDPCS and IPCS count"),
        Field("LS", 28, doc="last segment of the packet"),
        Field("FS", 29, doc="first segment of the packet"),
        Field("EOR", 30, doc="the ring's last descriptor"),
        Field("OWN", 31, doc="the card's"),
    ),
)  # fmt: skip
TX_LARGE_SEND = Register(
    "TX.LARGE_SEND", 0, "RTL8139C+ 9",
    (
        Field("LENGTH", 0, 16, doc="bytes in this buffer"),
        Field("MSS", 16, 11, doc="payload of each TCP segment"),
        Field("LGSEN", 27, doc="1: cut the packet into segments"),
        Field("LS", 28),
        Field("FS", 29),
        Field("EOR", 30),
        Field("OWN", 31),
    ),
)  # fmt: skip
TX_VLAN = Register(
    "TX.VLAN", 4, "RTL8139C+ 9",
    (
        Field("TAG", 0, 16, doc="802.1Q's tag control information, its first byte lowest"),
        Field("TAGC", 17, doc="insert the tag"),
    ),
)  # fmt: skip
TX_STATUS = Register(
    "TX.STATUS", 0, "RTL8139C+ 9",
    (
        Field("CC", 16, 4, doc="collisions"),
        Field("EXC", 20, doc="excessive collisions"),
        Field("LNKF", 21, doc="link failure"),
        Field("OWC", 22, doc="out-of-window collision"),
        Field("TES", 23, doc="one of the errors"),
        Field("UNF", 25, doc="FIFO underrun"),
        Field("LS", 28),
        Field("FS", 29),
        Field("EOR", 30),
        Field("OWN", 31, doc="0: done"),
    ),
)  # fmt: skip

RX_COMMAND = Register(
    "RX.COMMAND", 0, "RTL8139C+ 9",
    (
        Field("SIZE", 0, 13, doc="bytes of the buffer"),
        Field("EOR", 30, doc="the ring's last descriptor"),
        Field("OWN", 31, doc="the card's"),
    ),
)  # fmt: skip
RX_RESULT = Register(
    "RX.RESULT", 0, "RTL8139C+ 9",
    (
        Field("LENGTH", 0, 13, doc="of the packet with its FCS, in its last descriptor"),
        Field("TCPF", 13, doc="TCP checksum failed"),
        Field("UDPF", 14, doc="UDP checksum failed"),
        Field("IPF", 15, doc="IP header checksum failed"),
        Field("PID", 16, 2, doc="protocol: 0 no IP, 1 TCP, 2 UDP, 3 other IP"),
        Field("CRC", 18, doc="CRC error"),
        Field("RUNT", 19, doc="shorter than 64 bytes"),
        Field("RES", 20, doc="one of the errors"),
        Field("RWT", 21, doc="longer than the watchdog allows: 4 KiB"),
        Field("FOVF", 22, doc="FIFO overflow before this packet"),
        Field("BOVF", 23, doc="out of buffers before this packet"),
        Field("BAR", 24, doc="to the broadcast address"),
        Field("PAM", 25, doc="to our own address"),
        Field("MAR", 26, doc="to a multicast address"),
        Field("FAE", 27, doc="frame alignment error"),
        Field("LS", 28, doc="last segment of the packet"),
        Field("FS", 29, doc="first segment of the packet"),
        Field("EOR", 30, doc="the ring's last descriptor"),
        Field("OWN", 31, doc="0: done"),
    ),
)  # fmt: skip
PID_NONE, PID_TCP, PID_UDP, PID_IP = range(4)
RX_VLAN = Register(
    "RX.VLAN", 4, "RTL8139C+ 9",
    (
        Field("TAG", 0, 16, doc="802.1Q's tag control information, its first byte lowest"),
        Field("TAVA", 16, doc="a tag was stripped"),
    ),
)  # fmt: skip

TALLY = construct.Struct(  # RTL8139C+ 6, RTL8169 6.1: 64 bytes
    "tx_ok" / construct.Int64ul,
    "rx_ok" / construct.Int64ul,
    "tx_er" / construct.Int64ul,
    "rx_er" / construct.Int32ul,
    "miss_pkt" / construct.Int16ul,
    "fae" / construct.Int16ul,
    "tx_1col" / construct.Int32ul,
    "tx_mcol" / construct.Int32ul,
    "rx_ok_phy" / construct.Int64ul,
    "rx_ok_brd" / construct.Int64ul,
    "rx_ok_mul" / construct.Int32ul,
    "tx_abt" / construct.Int16ul,
    "tx_undrn" / construct.Int16ul,
)
TALLY_CODEC = codec(TALLY)
TALLY_SIZE = 64
