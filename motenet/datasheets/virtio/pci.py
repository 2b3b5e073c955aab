"""Virtio over PCI: identity and vendor capabilities (virtio 4.1.2 and 4.1.4)."""

import construct

from motenet.datasheets.layouts import codec
from motenet.datasheets.registers import Field, Register, RegisterMap

VENDOR_ID = 0x1AF4
TRANSITIONAL_NET_ID = 0x1000
"""virtio 4.1.2: the network card with both interfaces, or the legacy one only."""
MODERN_ID_BASE = 0x1040
"""virtio 4.1.2: add the device type: a modern network card is 0x1041."""

TRANSITIONAL_REVISION = 0
"""virtio 4.1.2.3."""
MODERN_REVISION = 1
"""virtio 4.1.2.1: modern devices should have 1 or higher."""
MODERN_SUBSYSTEM_MIN = 0x40
"""virtio 4.1.2.1: a modern device's subsystem id should be at least this; a transitional one's is the device type."""

CLASS_CODE = bytes((0x00, 0x00, 0x02))
"""Network controller, Ethernet: programming interface, subclass, class."""

CAP = construct.Struct(  # 4.1.4
    "cap_vndr" / construct.Int8ul,
    "cap_next" / construct.Int8ul,
    "cap_len" / construct.Int8ul,
    "cfg_type" / construct.Int8ul,
    "bar" / construct.Int8ul,
    "id" / construct.Int8ul,
    "padding" / construct.Bytes(2),
    "offset" / construct.Int32ul,
    "length" / construct.Int32ul,
)
CAP_CODEC = codec(CAP)

CAP_COMMON_CFG = 1
CAP_NOTIFY_CFG = 2
CAP_ISR_CFG = 3
CAP_DEVICE_CFG = 4
CAP_PCI_CFG = 5
CAP_SHARED_MEMORY_CFG = 8
CAP_VENDOR_CFG = 9
"""virtio 4.1.4: cfg_type; drivers ignore all others."""
MAX_BAR = 5
"""virtio 4.1.4: a capability with a higher bar is ignored."""

CAP_BAR_OFFSET, CAP_OFFSET_OFFSET, CAP_LENGTH_OFFSET = 4, 8, 12
"""Where bar, offset and length lie in CAP; writable in CAP_PCI_CFG (4.1.4.9)."""

NOTIFY_CAP = construct.Struct(*CAP.subcons, "notify_off_multiplier" / construct.Int32ul)
"""virtio 4.1.4.4: a queue's address is offset + queue_notify_off * notify_off_multiplier."""
NOTIFY_CAP_CODEC = codec(NOTIFY_CAP)

CFG_CAP = construct.Struct(*CAP.subcons, "pci_cfg_data" / construct.Int32ul)
"""virtio 4.1.4.9: accesses to pci_cfg_data are accesses of `length` bytes at `offset` in `bar`."""
CFG_CAP_CODEC = codec(CFG_CAP)
CFG_CAP_DATA_OFFSET = 16

ISR = Register(
    "ISR", 0, "virtio 4.1.4.5",
    (
        Field("QUEUE", 0, read="clear", write="ignore", doc="a queue has used buffers; with MSI-X off only"),
        Field("CONFIG", 1, read="clear", write="ignore", doc="the configuration has changed"),
    ),
    width=8,
    doc="a read clears it and takes INTx back",
)  # fmt: skip
ISR_REGISTERS = RegisterMap("virtio ISR", 1, (ISR,))

NO_VECTOR = 0xFFFF
"""virtio 4.1.5.1.2: no MSI-X vector; read back after a write, it says that the device had no resources."""
