"""The registers of virtio over MMIO, version 2 (virtio 4.2.2). All are 32 bits wide."""

from motenet.datasheets.registers import Field, ReadEffect, Register, RegisterMap, WriteEffect
from motenet.datasheets.virtio.features import DEVICE_STATUS_FIELDS

MAGIC = 0x74726976
VERSION_2 = 2


def _register(
    name: str, offset: int, read: ReadEffect, write: WriteEffect, doc: str = "", reset: int = 0
) -> Register:  # fmt: skip
    field = Field(name, 0, 32, read=read, write=write)
    return Register(name, offset, "virtio 4.2.2", (field,), reset=reset, doc=doc)


def _read_only(name: str, offset: int, doc: str = "", reset: int = 0) -> Register:
    return _register(name, offset, "value", "ignore", doc, reset)


def _write_only(name: str, offset: int, doc: str = "", write: WriteEffect = "store") -> Register:
    return _register(name, offset, "zero", write, doc)


def _read_write(name: str, offset: int, doc: str = "") -> Register:
    return _register(name, offset, "value", "store", doc)


MAGIC_VALUE = _read_only("MagicValue", 0x000, "'virt'", MAGIC)
VERSION = _read_only("Version", 0x004, "1: legacy", VERSION_2)
DEVICE_ID = _read_only("DeviceID", 0x008, "the device type; 0: nobody there")
VENDOR_ID = _read_only("VendorID", 0x00C)
DEVICE_FEATURES = _read_only("DeviceFeatures", 0x010)
DEVICE_FEATURES_SEL = _write_only("DeviceFeaturesSel", 0x014, "which 32 bits DeviceFeatures shows")
DRIVER_FEATURES = _write_only("DriverFeatures", 0x020)
DRIVER_FEATURES_SEL = _write_only("DriverFeaturesSel", 0x024, "which 32 bits DriverFeatures sets")
QUEUE_SEL = _write_only("QueueSel", 0x030, "which queue the Queue registers are of")
QUEUE_NUM_MAX = _read_only("QueueNumMax", 0x034, "the highest size; 0: no such queue")
QUEUE_NUM = _write_only("QueueNum", 0x038, "the size")
QUEUE_READY = _read_write("QueueReady", 0x044, "1: the device may use the queue")
QUEUE_NOTIFY = _write_only("QueueNotify", 0x050, "the queue's number, or a notification of virtio 2.9", "act")

_EVENTS = (("USED_BUFFER", 0), ("CONFIG_CHANGE", 1))
INTERRUPT_STATUS = Register(
    "InterruptStatus", 0x060, "virtio 4.2.2", tuple(Field(name, lsb, write="ignore") for name, lsb in _EVENTS)
)
INTERRUPT_ACK = Register(
    "InterruptACK", 0x064, "virtio 4.2.2", tuple(Field(name, lsb, read="zero", write="clear") for name, lsb in _EVENTS),
    alias_of="InterruptStatus",
)  # fmt: skip
STATUS = Register("Status", 0x070, "virtio 4.2.2, 2.1", DEVICE_STATUS_FIELDS, doc="writing 0 resets the device")

QUEUE_DESC_LOW = _write_only("QueueDescLow", 0x080, "address of the descriptor area")
QUEUE_DESC_HIGH = _write_only("QueueDescHigh", 0x084)
QUEUE_DRIVER_LOW = _write_only("QueueDriverLow", 0x090, "address of the driver area: available ring")
QUEUE_DRIVER_HIGH = _write_only("QueueDriverHigh", 0x094)
QUEUE_DEVICE_LOW = _write_only("QueueDeviceLow", 0x0A0, "address of the device area: used ring")
QUEUE_DEVICE_HIGH = _write_only("QueueDeviceHigh", 0x0A4)
SHM_SEL = _write_only("SHMSel", 0x0AC, "shared memory region")
SHM_LEN_LOW = _read_only("SHMLenLow", 0x0B0, "its length; all ones: there is none", 0xFFFFFFFF)
SHM_LEN_HIGH = _read_only("SHMLenHigh", 0x0B4, reset=0xFFFFFFFF)
SHM_BASE_LOW = _read_only("SHMBaseLow", 0x0B8, "its address; all ones: there is none", 0xFFFFFFFF)
SHM_BASE_HIGH = _read_only("SHMBaseHigh", 0x0BC, reset=0xFFFFFFFF)
QUEUE_RESET = _read_write("QueueReset", 0x0C0, "with RING_RESET: 1 resets the queue; reads 0 when it is done")
CONFIG_GENERATION = _read_only("ConfigGeneration", 0x0FC, "changes with the device's configuration")

CONFIG = 0x100
"""Where the device's configuration starts; accessed with the widths of its fields."""

REGISTERS = RegisterMap(
    "virtio MMIO", CONFIG,
    (MAGIC_VALUE, VERSION, DEVICE_ID, VENDOR_ID, DEVICE_FEATURES, DEVICE_FEATURES_SEL, DRIVER_FEATURES,
     DRIVER_FEATURES_SEL, QUEUE_SEL, QUEUE_NUM_MAX, QUEUE_NUM, QUEUE_READY, QUEUE_NOTIFY, INTERRUPT_STATUS,
     INTERRUPT_ACK, STATUS, QUEUE_DESC_LOW, QUEUE_DESC_HIGH, QUEUE_DRIVER_LOW, QUEUE_DRIVER_HIGH, QUEUE_DEVICE_LOW,
     QUEUE_DEVICE_HIGH, SHM_SEL, SHM_LEN_LOW, SHM_LEN_HIGH, SHM_BASE_LOW, SHM_BASE_HIGH, QUEUE_RESET,
     CONFIG_GENERATION),
)  # fmt: skip
