"""The 82540EM's descriptors: 16 bytes each, little-endian (8254x 3.2.3 and 3.3).

Command, status and error bits are written down as registers are: `offset` is the byte within the descriptor.
"""

import construct

from motenet.datasheets.layouts import codec
from motenet.datasheets.registers import Field, Register

DESCRIPTOR_SIZE = 16

# --- receive (8254x 3.2.3) ---------------------------------------------------------------------------------------

RDESC = construct.Struct(
    "address" / construct.Int64ul,
    "length" / construct.Int16ul,
    "checksum" / construct.Int16ul,  # one's complement sum of the frame from RXCSUM.PCSS on
    "status" / construct.Int8ul,
    "errors" / construct.Int8ul,
    "special" / construct.Int16ul,
)
RDESC_CODEC = codec(RDESC)

RDESC_STATUS = Register(
    "RDESC.STATUS", 12, "8254x 3.2.3.1",
    (
        Field("DD", 0, doc="descriptor done"),
        Field("EOP", 1, doc="end of packet"),
        Field("IXSM", 2, doc="ignore checksum indication"),
        Field("VP", 3, doc="802.1Q tag stripped; SPECIAL has it"),
        Field("TCPCS", 5, doc="TCP or UDP checksum verified"),
        Field("IPCS", 6, doc="IP checksum verified"),
        Field("PIF", 7, doc="passed an inexact filter: software must look at the address"),
    ),
    width=8,
)  # fmt: skip

RDESC_ERRORS = Register(
    "RDESC.ERRORS", 13, "8254x 3.2.3.2",
    (
        Field("CE", 0, doc="CRC or alignment error"),
        Field("SE", 1, doc="symbol error"),
        Field("SEQ", 2, doc="sequence error"),
        Field("CXE", 4, doc="carrier extension error"),
        Field("TCPE", 5, doc="TCP or UDP checksum error"),
        Field("IPE", 6, doc="IP checksum error"),
        Field("RXE", 7, doc="receive data error"),
    ),
    width=8,
)  # fmt: skip

SPECIAL = Register(
    "SPECIAL", 14, "8254x 3.2.3.3, 3.3.5",
    (Field("VLAN", 0, 12), Field("CFI", 12), Field("PRI", 13, 3)),
    width=16,
    doc="the tag control information of 802.1Q",
)  # fmt: skip

# --- transmit (8254x 3.3) ----------------------------------------------------------------------------------------

TDESC_LEGACY = construct.Struct(
    "address" / construct.Int64ul,
    "length" / construct.Int16ul,
    "cso" / construct.Int8ul,
    "cmd" / construct.Int8ul,
    "status" / construct.Int8ul,
    "css" / construct.Int8ul,
    "special" / construct.Int16ul,
)
TDESC_LEGACY_CODEC = codec(TDESC_LEGACY)

TDESC_CONTEXT = construct.Struct(
    "ipcss" / construct.Int8ul,
    "ipcso" / construct.Int8ul,
    "ipcse" / construct.Int16ul,
    "tucss" / construct.Int8ul,
    "tucso" / construct.Int8ul,
    "tucse" / construct.Int16ul,
    "command" / construct.Int32ul,  # PAYLEN, DTYP, TUCMD
    "status" / construct.Int8ul,
    "hdrlen" / construct.Int8ul,
    "mss" / construct.Int16ul,
)
TDESC_CONTEXT_CODEC = codec(TDESC_CONTEXT)

TDESC_DATA = construct.Struct(
    "address" / construct.Int64ul,
    "command" / construct.Int32ul,  # DTALEN, DTYP, DCMD
    "status" / construct.Int8ul,
    "popts" / construct.Int8ul,
    "special" / construct.Int16ul,
)
TDESC_DATA_CODEC = codec(TDESC_DATA)

TDESC_CMD = Register(
    "TDESC.CMD", 11, "8254x 3.3.3.1",
    (
        Field("EOP", 0, doc="end of packet"),
        Field("IFCS", 1, doc="insert the frame check sequence; counts in the last descriptor"),
        Field("IC", 2, doc="insert a checksum at CSO, from CSS on"),
        Field("RS", 3, doc="report status: write DD back"),
        Field("RPS", 4, doc="report packet sent; 82544GC/EI only"),
        Field("DEXT", 5, doc="0: legacy descriptor"),
        Field("VLE", 6, doc="insert an 802.1Q tag from SPECIAL"),
        Field("IDE", 7, doc="interrupt delay enable"),
    ),
    width=8,
)  # fmt: skip

TDESC_STATUS = Register(
    "TDESC.STATUS", 12, "8254x 3.3.3.2",
    (
        Field("DD", 0, doc="descriptor done"),
        Field("EC", 1, doc="excess collisions"),
        Field("LC", 2, doc="late collision"),
    ),
    width=4,
)  # fmt: skip

DTYP_CONTEXT, DTYP_DATA = 0, 1
"""TDESC.DTYP while DEXT is set (8254x 3.3.6, 3.3.7)."""

TDESC_CONTEXT_COMMAND = Register(
    "TDESC.CONTEXT", 8, "8254x 3.3.6",
    (
        Field("PAYLEN", 0, 20, doc="bytes after the header that are to be segmented"),
        Field("DTYP", 20, 4),
        Field("TCP", 24, doc="1: TCP, 0: UDP"),
        Field("IP", 25, doc="1: IPv4, 0: IPv6"),
        Field("TSE", 26, doc="TCP segmentation enable"),
        Field("RS", 27, doc="report status"),
        Field("DEXT", 29, doc="must be 1"),
        Field("IDE", 31, doc="interrupt delay enable"),
    ),
)  # fmt: skip

TDESC_DATA_COMMAND = Register(
    "TDESC.DATA", 8, "8254x 3.3.7",
    (
        Field("DTALEN", 0, 20),
        Field("DTYP", 20, 4),
        Field("EOP", 24, doc="end of packet, or of the segmentation context"),
        Field("IFCS", 25, doc="insert the frame check sequence"),
        Field("TSE", 26, doc="part of the segmentation context"),
        Field("RS", 27, doc="report status"),
        Field("RPS", 28, doc="report packet sent; 82544GC/EI only"),
        Field("DEXT", 29, doc="must be 1"),
        Field("VLE", 30, doc="insert an 802.1Q tag from SPECIAL"),
        Field("IDE", 31, doc="interrupt delay enable"),
    ),
)  # fmt: skip

TDESC_POPTS = Register(
    "TDESC.POPTS", 13, "8254x 3.3.7.3",
    (Field("IXSM", 0, doc="insert the IP checksum"), Field("TXSM", 1, doc="insert the TCP or UDP checksum")),
    width=8,
    doc="counts in the first data descriptor of a packet",
)  # fmt: skip
