"""PCI Local Bus 3.0: the type-0 configuration header and the capabilities that network cards have."""

from construct import Bytes, Int8ul, Int16ul, Int32ul, Struct

from motenet.datasheets.registers import Field, Register

HEADER = Struct(  # 6.1, figure 6-1
    "vendor" / Int16ul,
    "device" / Int16ul,
    "command" / Int16ul,
    "status" / Int16ul,
    "revision" / Int8ul,
    "class_code" / Bytes(3),
    "cache_line_size" / Int8ul,
    "latency_timer" / Int8ul,
    "header_type" / Int8ul,
    "bist" / Int8ul,
    "bar0" / Int32ul,
    "bar1" / Int32ul,
    "bar2" / Int32ul,
    "bar3" / Int32ul,
    "bar4" / Int32ul,
    "bar5" / Int32ul,
    "cardbus_cis" / Int32ul,
    "subsystem_vendor" / Int16ul,
    "subsystem" / Int16ul,
    "expansion_rom" / Int32ul,
    "capabilities" / Int8ul,
    "reserved" / Bytes(7),
    "interrupt_line" / Int8ul,
    "interrupt_pin" / Int8ul,
    "min_gnt" / Int8ul,
    "max_lat" / Int8ul,
)

VENDOR_ID = 0x00
DEVICE_ID = 0x02
REVISION_ID = 0x08
CACHE_LINE_SIZE = 0x0C
LATENCY_TIMER = 0x0D
BAR0 = 0x10
"""BAR n lies at BAR0 + 4 * n (6.2.5)."""
SUBSYSTEM_VENDOR_ID = 0x2C
EXPANSION_ROM = 0x30
CAPABILITIES = 0x34
INTERRUPT_LINE = 0x3C
INTERRUPT_PIN = 0x3D

COMMAND = Register(
    "COMMAND",
    0x04,
    "6.2.2",
    (
        Field("IO", 0, doc="answer I/O accesses"),
        Field("MEMORY", 1, doc="answer memory accesses"),
        Field("MASTER", 2, doc="may act as bus master"),
        Field("SPECIAL", 3, write="ignore"),
        Field("MWI", 4, doc="may use memory write and invalidate"),
        Field("VGA", 5, write="ignore"),
        Field("PARITY", 6, doc="parity error response"),
        Field("SERR", 8, doc="may drive SERR#"),
        Field("FAST_B2B", 9, write="ignore"),
        Field("INTX_DISABLE", 10, doc="may not drive INTx#"),
    ),
    width=16,
)

STATUS = Register(
    "STATUS",
    0x06,
    "6.2.3",
    (
        Field("INTERRUPT", 3, write="ignore", doc="INTx# is wanted, whatever INTX_DISABLE says"),
        Field("CAPABILITIES", 4, write="ignore"),
        Field("66MHZ", 5, write="ignore"),
        Field("FAST_B2B", 7, write="ignore"),
        Field("MASTER_PARITY", 8, write="clear"),
        Field("DEVSEL", 9, 2, write="ignore"),
        Field("SIGNALED_TARGET_ABORT", 11, write="clear"),
        Field("RECEIVED_TARGET_ABORT", 12, write="clear"),
        Field("RECEIVED_MASTER_ABORT", 13, write="clear", doc="nobody answered a DMA access"),
        Field("SIGNALED_SYSTEM_ERROR", 14, write="clear"),
        Field("PARITY_ERROR", 15, write="clear"),
    ),
    width=16,
)

BAR_IO = 0x1
"""6.2.5.1: bit 0 of an I/O BAR reads one."""
BAR_MEMORY64 = 0x4
"""6.2.5.1: type 10b in bits 2:1: the BAR and the next are one 64-bit address."""

CAP_PM = 0x01
"""PCI Power Management 1.1, 3.2."""
CAP_MSI = 0x05
"""6.8.1."""
CAP_PCIX = 0x07
CAP_VENDOR = 0x09
CAP_MSIX = 0x11
"""6.8.2."""

PM_CAPABILITIES = 2
"""PM 3.2.3: the word that tells which states there are."""

PMCSR = Register(
    "PMCSR",
    4,
    "PM 3.2.4",
    (
        Field("STATE", 0, 2, doc="D0 to D3hot"),
        Field("PME_EN", 8),
        Field("DATA_SELECT", 9, 4),
        Field("DATA_SCALE", 13, 2, write="ignore"),
        Field("PME_STATUS", 15, write="clear"),
    ),
    width=16,
)

MSI_CONTROL = Register(
    "MSI_CONTROL",
    2,
    "6.8.1.3",
    (
        Field("ENABLE", 0),
        Field("CAPABLE", 1, 3, write="ignore"),
        Field("MULTIPLE", 4, 3),
        Field("64BIT", 7, write="ignore"),
        Field("MASKING", 8, write="ignore"),
    ),
    width=16,
)

MSIX_CONTROL = Register(
    "MSIX_CONTROL",
    2,
    "6.8.2.3",
    (
        Field("TABLE_SIZE", 0, 11, write="ignore"),
        Field("FUNCTION_MASK", 14),
        Field("ENABLE", 15),
    ),
    width=16,
)

MSIX_TABLE, MSIX_PENDING = 4, 8
"""6.8.2.4, 6.8.2.5: the dwords that tell where table and pending bits lie: the BAR in MSIX_BIR, the rest an offset."""
MSIX_BIR = 0x7
MSIX_ENTRY_SIZE = 16
"""6.8.2.6: a table entry in bytes; its dwords are the following."""
MSIX_ADDRESS, MSIX_UPPER_ADDRESS, MSIX_DATA, MSIX_VECTOR_CONTROL = 0, 4, 8, 12
MSIX_MASKED = 0x1
"""6.8.2.9: vector control's mask bit; one after reset."""


def capability_list(header: bytes | bytearray) -> list[tuple[int, int]]:
    """(id, offset) of each capability, in list order; a loop in the list ends it (6.7)."""
    found: list[tuple[int, int]] = []
    offset = header[CAPABILITIES] & 0xFC if header[STATUS.offset] & STATUS["CAPABILITIES"] else 0
    while offset >= 0x40 and all(offset != known for _, known in found):
        found.append((header[offset], offset))
        offset = header[offset + 1] & 0xFC
    return found
