"""The common configuration structure of virtio over PCI (virtio 4.1.4.3).

A 64-bit register may be accessed as two of 32 bits, the low half first in memory (4.1.3).
"""

from motenet.datasheets.registers import Field, Register, RegisterMap, WriteEffect
from motenet.datasheets.virtio.features import DEVICE_STATUS_FIELDS


def _register(name: str, offset: int, width: int, write: WriteEffect = "store", doc: str = "") -> Register:
    field = Field(name.upper(), 0, width, write=write)
    return Register(name, offset, "virtio 4.1.4.3", (field,), width=width, doc=doc)


DEVICE_FEATURE_SELECT = _register("device_feature_select", 0x00, 32, doc="which 32 bits device_feature shows")
DEVICE_FEATURE = _register("device_feature", 0x04, 32, "ignore")
DRIVER_FEATURE_SELECT = _register("driver_feature_select", 0x08, 32, doc="which 32 bits driver_feature shows")
DRIVER_FEATURE = _register("driver_feature", 0x0C, 32)
CONFIG_MSIX_VECTOR = _register("config_msix_vector", 0x10, 16, doc="reads NO_VECTOR when the device cannot take it")
NUM_QUEUES = _register("num_queues", 0x12, 16, "ignore", doc="the highest number of queues")
DEVICE_STATUS = Register(
    "device_status", 0x14, "virtio 4.1.4.3, 2.1", DEVICE_STATUS_FIELDS, width=8, doc="writing 0 resets the device"
)
CONFIG_GENERATION = _register("config_generation", 0x15, 8, "ignore", doc="changes with the device's configuration")
QUEUE_SELECT = _register("queue_select", 0x16, 16, doc="which queue the registers below are of")
QUEUE_SIZE = _register("queue_size", 0x18, 16, doc="reset: the highest that the device takes; 0: no such queue")
QUEUE_MSIX_VECTOR = _register("queue_msix_vector", 0x1A, 16, doc="reads NO_VECTOR when the device cannot take it")
QUEUE_ENABLE = _register("queue_enable", 0x1C, 16, doc="1: the device may use the queue; 0 is not to be written")
QUEUE_NOTIFY_OFF = _register("queue_notify_off", 0x1E, 16, "ignore", doc="in units of notify_off_multiplier")
QUEUE_DESC = _register("queue_desc", 0x20, 64, doc="address of the descriptor area")
QUEUE_DRIVER = _register("queue_driver", 0x28, 64, doc="address of the driver area: available ring")
QUEUE_DEVICE = _register("queue_device", 0x30, 64, doc="address of the device area: used ring")
QUEUE_NOTIFY_DATA = _register("queue_notify_data", 0x38, 16, "ignore", doc="with NOTIF_CONFIG_DATA")
QUEUE_RESET = _register("queue_reset", 0x3A, 16, doc="with RING_RESET: 1 resets the queue; reads 0 when it is done")

REGISTERS = RegisterMap(
    "virtio common configuration", 0x3C,
    (DEVICE_FEATURE_SELECT, DEVICE_FEATURE, DRIVER_FEATURE_SELECT, DRIVER_FEATURE, CONFIG_MSIX_VECTOR, NUM_QUEUES,
     DEVICE_STATUS, CONFIG_GENERATION, QUEUE_SELECT, QUEUE_SIZE, QUEUE_MSIX_VECTOR, QUEUE_ENABLE, QUEUE_NOTIFY_OFF,
     QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE, QUEUE_NOTIFY_DATA, QUEUE_RESET),
)  # fmt: skip
BASE_SIZE = QUEUE_NOTIFY_DATA.offset
"""Bytes without the registers that NOTIF_CONFIG_DATA and RING_RESET add."""
