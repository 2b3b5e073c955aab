"""Virtqueues: split (virtio 2.7) and packed (virtio 2.8). All numbers little-endian.

Flags are written down as registers are: `offset` is the byte within the structure.
"""

import construct

from motenet.datasheets.layouts import codec
from motenet.datasheets.registers import Field, Register

MAX_QUEUE_SIZE = 32768
"""virtio 2.7 and 2.8: descriptors of a queue; a power of two if it is split."""

DESC_SIZE = 16

# --- split (virtio 2.7) ------------------------------------------------------------------------------------------

VIRTQ_DESC = construct.Struct(  # 2.7.5
    "addr" / construct.Int64ul,
    "len" / construct.Int32ul,
    "flags" / construct.Int16ul,
    "next" / construct.Int16ul,
)
VIRTQ_DESC_CODEC = codec(VIRTQ_DESC)

VIRTQ_DESC_FLAGS = Register(
    "virtq_desc.flags", 12, "virtio 2.7.5",
    (
        Field("NEXT", 0, doc="the buffer continues in descriptor `next`"),
        Field("WRITE", 1, doc="device writes (otherwise it reads)"),
        Field("INDIRECT", 2, doc="the buffer is a table of descriptors"),
    ),
    width=16,
)  # fmt: skip

VIRTQ_AVAIL = construct.Struct("flags" / construct.Int16ul, "idx" / construct.Int16ul)
"""virtio 2.7.6: the head of the available ring. Queue Size 16-bit heads of chains follow, then used_event."""
VIRTQ_AVAIL_CODEC = codec(VIRTQ_AVAIL)
VIRTQ_AVAIL_ENTRY = construct.Struct("head" / construct.Int16ul)
VIRTQ_AVAIL_ENTRY_CODEC = codec(VIRTQ_AVAIL_ENTRY)
VIRTQ_AVAIL_FLAGS = Register(
    "virtq_avail.flags", 0, "virtio 2.7.6",
    (Field("NO_INTERRUPT", 0, doc="the driver wants no used buffer notifications (2.7.7)"),),
    width=16,
)  # fmt: skip

VIRTQ_USED = construct.Struct("flags" / construct.Int16ul, "idx" / construct.Int16ul)
"""virtio 2.7.8: the head of the used ring. Queue Size elements follow, then avail_event."""
VIRTQ_USED_CODEC = codec(VIRTQ_USED)
VIRTQ_USED_ELEM = construct.Struct("id" / construct.Int32ul, "len" / construct.Int32ul)
VIRTQ_USED_ELEM_CODEC = codec(VIRTQ_USED_ELEM)
VIRTQ_USED_FLAGS = Register(
    "virtq_used.flags", 0, "virtio 2.7.8",
    (Field("NO_NOTIFY", 0, doc="the device wants no available buffer notifications (2.7.10)"),),
    width=16,
)  # fmt: skip

VIRTQ_EVENT = construct.Struct("idx" / construct.Int16ul)
"""used_event behind the available ring (2.7.7), avail_event behind the used ring (2.7.10)."""
VIRTQ_EVENT_CODEC = codec(VIRTQ_EVENT)

VIRTQ_FLAGS_OFFSET = 0
VIRTQ_IDX_OFFSET = 2
VIRTQ_RING_OFFSET = 4
"""Where flags, idx and the ring lie in either ring (2.7.6, 2.7.8)."""

VIRTQ_DESC_ALIGN, VIRTQ_AVAIL_ALIGN, VIRTQ_USED_ALIGN = 16, 2, 4
"""virtio 2.7: alignment of the three parts in bytes."""

LEGACY_QUEUE_ALIGN = 4096
"""virtio 2.7.2: the legacy interface's queue starts on such a boundary, and its used ring on the next."""


def split_sizes(size: int) -> tuple[int, int, int]:
    """Bytes of descriptor table, available ring and used ring of a queue of `size` (virtio 2.7)."""
    return DESC_SIZE * size, 6 + 2 * size, 6 + 8 * size


def legacy_offsets(size: int) -> tuple[int, int, int]:
    """Offsets of available ring and used ring in a legacy queue, and the queue's bytes (virtio 2.7.2)."""
    descriptors, available, used = split_sizes(size)
    used_offset = -(-(descriptors + available) // LEGACY_QUEUE_ALIGN) * LEGACY_QUEUE_ALIGN
    return descriptors, used_offset, used_offset + -(-used // LEGACY_QUEUE_ALIGN) * LEGACY_QUEUE_ALIGN


# --- packed (virtio 2.8) -----------------------------------------------------------------------------------------

PVIRTQ_DESC = construct.Struct(  # 2.8.13
    "addr" / construct.Int64ul,
    "len" / construct.Int32ul,
    "id" / construct.Int16ul,
    "flags" / construct.Int16ul,
)
PVIRTQ_DESC_CODEC = codec(PVIRTQ_DESC)

PVIRTQ_DESC_FLAGS = Register(
    "pvirtq_desc.flags", 14, "virtio 2.8.1 to 2.8.7",
    (
        Field("NEXT", 0, doc="the buffer continues in the descriptor behind (2.8.6)"),
        Field("WRITE", 1, doc="device writes; in a used descriptor: `len` bytes were written (2.8.3)"),
        Field("INDIRECT", 2, doc="the buffer is a table of descriptors (2.8.7)"),
        Field("AVAIL", 7, doc="available when equal to the driver's wrap counter, and USED is not (2.8.1)"),
        Field("USED", 15, doc="used when equal to AVAIL and the device's wrap counter (2.8.1)"),
    ),
    width=16,
)  # fmt: skip
PVIRTQ_DESC_FLAGS_ONLY = construct.Struct("flags" / construct.Int16ul)
"""The two bytes at PVIRTQ_DESC_FLAGS.offset, which are stored last."""
PVIRTQ_DESC_FLAGS_CODEC = codec(PVIRTQ_DESC_FLAGS_ONLY)

PVIRTQ_EVENT_SUPPRESS = construct.Struct("desc" / construct.Int16ul, "flags" / construct.Int16ul)  # 2.8.14
"""Driver Event Suppression is the driver's (used buffer notifications), Device Event Suppression the device's."""
PVIRTQ_EVENT_SUPPRESS_CODEC = codec(PVIRTQ_EVENT_SUPPRESS)
PVIRTQ_EVENT_DESC = Register(
    "pvirtq_event_suppress.desc", 0, "virtio 2.8.14",
    (Field("OFF", 0, 15, doc="the descriptor that gives an event"), Field("WRAP", 15, doc="with this wrap counter")),
    width=16,
)  # fmt: skip
PVIRTQ_EVENT_FLAGS = Register(
    "pvirtq_event_suppress.flags", 2, "virtio 2.8.14", (Field("FLAGS", 0, 2),), width=16
)  # fmt: skip
RING_EVENT_FLAGS_ENABLE, RING_EVENT_FLAGS_DISABLE, RING_EVENT_FLAGS_DESC = 0, 1, 2
"""virtio 2.8.10: PVIRTQ_EVENT_FLAGS.FLAGS; DESC needs RING_EVENT_IDX, and 3 is reserved."""

PVIRTQ_DESC_ALIGN, PVIRTQ_EVENT_ALIGN = 16, 4
"""virtio 2.8.10.1: alignment of the ring and of each event suppression structure in bytes."""

# --- notifications (virtio 2.9) ----------------------------------------------------------------------------------

NOTIFICATION = Register(
    "notification", 0, "virtio 2.9",
    (
        Field("VQN", 0, 16, doc="the queue"),
        Field("NEXT_OFF", 16, 15, doc="packed: the next descriptor; split: bits 14:0 of the next avail.idx"),
        Field("NEXT_WRAP", 31, doc="packed: the driver's wrap counter; split: bit 15 of the next avail.idx"),
    ),
    doc="what is written for a notification with NOTIFICATION_DATA; otherwise the 16-bit number of the queue",
)  # fmt: skip
