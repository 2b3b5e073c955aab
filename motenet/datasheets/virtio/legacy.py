"""The legacy interface of virtio over PCI: BAR0, I/O (virtio 4.1.4.10)."""

from motenet.datasheets.registers import Field, Register, RegisterMap, WriteEffect
from motenet.datasheets.virtio.features import DEVICE_STATUS_FIELDS
from motenet.datasheets.virtio.pci import ISR as MODERN_ISR


def _register(name: str, offset: int, width: int, write: WriteEffect = "store", doc: str = "") -> Register:
    field = Field(name.upper(), 0, width, write=write)
    return Register(name, offset, "virtio 4.1.4.10", (field,), width=width, doc=doc)


DEVICE_FEATURES = _register("device_features", 0x00, 32, "ignore", doc="bits 0 to 31; there are no others")
DRIVER_FEATURES = _register("driver_features", 0x04, 32)
QUEUE_ADDRESS = _register("queue_address", 0x08, 32, doc="the queue's page number (2.7.2); 0: no queue")
QUEUE_SIZE = _register("queue_size", 0x0C, 16, "ignore", doc="descriptors; the driver cannot change it")
QUEUE_SELECT = _register("queue_select", 0x0E, 16)
QUEUE_NOTIFY = _register("queue_notify", 0x10, 16, "act")
DEVICE_STATUS = Register(
    "device_status", 0x12, "virtio 4.1.4.10, 2.1", DEVICE_STATUS_FIELDS, width=8, doc="writing 0 resets the device"
)
ISR = Register("ISR", 0x13, "virtio 4.1.4.10, 4.1.4.5", MODERN_ISR.fields, width=8, doc=MODERN_ISR.doc)
CONFIG_MSIX_VECTOR = _register("config_msix_vector", 0x14, 16, doc="there only while MSI-X is enabled")
QUEUE_MSIX_VECTOR = _register("queue_msix_vector", 0x16, 16, doc="there only while MSI-X is enabled")

REGISTERS = RegisterMap(
    "virtio legacy", 0x18,
    (DEVICE_FEATURES, DRIVER_FEATURES, QUEUE_ADDRESS, QUEUE_SIZE, QUEUE_SELECT, QUEUE_NOTIFY, DEVICE_STATUS, ISR,
     CONFIG_MSIX_VECTOR, QUEUE_MSIX_VECTOR),
)  # fmt: skip
CONFIG_WITHOUT_MSIX = 0x14
CONFIG_WITH_MSIX = 0x18
"""Where the device's configuration starts: enabling MSI-X moves it."""
PAGE_SHIFT = 12
"""QUEUE_ADDRESS is in units of 4096 bytes (virtio 4.1.5.1.3.1)."""
