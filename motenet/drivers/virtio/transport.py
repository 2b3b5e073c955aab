"""What the three transports have in common: how a driver talks to a virtio device apart from its queues."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from motenet.core.errors import DriverError
from motenet.core.units import MS, US
from motenet.datasheets.registers import Register
from motenet.datasheets.virtio.features import DEVICE_STATUS, FEATURES, REQUIREMENTS
from motenet.doors import Window

T = TypeVar("T")

ACKNOWLEDGE, DRIVER = DEVICE_STATUS["ACKNOWLEDGE"], DEVICE_STATUS["DRIVER"]
DRIVER_OK, FEATURES_OK = DEVICE_STATUS["DRIVER_OK"], DEVICE_STATUS["FEATURES_OK"]
NEEDS_RESET, FAILED = DEVICE_STATUS["DEVICE_NEEDS_RESET"], DEVICE_STATUS["FAILED"]

QUEUE_CAUSE, CONFIG_CAUSE = 0x1, 0x2
"""What `causes` tells, on every transport (4.1.4.5, 4.2.2)."""

_RESET_STEP, _RESET_LIMIT = 20 * US, 100 * MS
_TRIES = 64
"""How often a configuration is read that changes all the while."""


class Registers:
    """The registers that lie from `base` on in a window, each accessed in its own width (4.1.3.1, 4.2.2.2)."""

    def __init__(self, window: Window, base: int = 0) -> None:
        self.window = window
        self.base = base
        self._reads = {8: window.read8, 16: window.read16, 32: window.read32}
        self._writes = {8: window.write8, 16: window.write16, 32: window.write32}

    def read(self, register: Register, index: int = 0) -> int:
        """A register's value, of at most 32 bits."""
        return self._reads[register.width](self.base + register.offset + index * register.stride)

    def write(self, register: Register, value: int, index: int = 0) -> None:
        """Write a register; one of 64 bits in two halves, the low one first."""
        at = self.base + register.offset + index * register.stride
        if register.width == 64:
            self._writes[32](at, value & 0xFFFFFFFF)
            self._writes[32](at + 4, value >> 32)
        else:
            self._writes[register.width](at, value)


class Transport(Protocol):
    """A virtio device as its driver reaches it."""

    name: str
    legacy: bool
    """The legacy interface: no FEATURES_OK, no generation, 32 feature bits, queues of one piece."""

    @property
    def config(self) -> Registers:
        """The device's configuration (5.1.4)."""

    def read_status(self) -> int: ...
    def write_status(self, status: int) -> None: ...
    def offered(self) -> int:
        """The device's feature bits."""

    def accept(self, features: int) -> None:
        """Write the driver's feature bits."""

    def generation(self) -> int:
        """Changes whenever the configuration does (2.5)."""

    def queue_limit(self, number: int) -> int:
        """The most descriptors a queue may have; 0: there is no such queue."""

    def open_queue(self, number: int, size: int, areas: tuple[int, int, int]) -> None:
        """Let the device use a queue: its descriptors, and the addresses of its three areas (2.6)."""

    def notifier(self, number: int) -> Callable[[], None]:
        """What tells the device of available buffers in a queue that is open (2.9)."""

    def causes(self) -> int:
        """Why there is an interrupt, which is acknowledged hereby; 0: it is not ours."""

    @property
    def messages(self) -> Callable[[], bool]:
        """Tells whether MSI-X is enabled, so that events are mapped to vectors."""

    def map_config(self, vector: int) -> bool:
        """Let configuration changes raise an entry of the MSI-X table; False: the device refuses (4.1.5.1.2)."""

    def map_queue(self, number: int, vector: int) -> bool:
        """The same for a queue that is not open yet."""


def reset(transport: Transport, delay: Callable[[int], None]) -> None:
    """Write 0 to the status and wait until 0 is read (2.4.2, 4.1.4.3.2); DriverError after 100 ms."""
    transport.write_status(0)
    for _ in range(_RESET_LIMIT // _RESET_STEP):
        if transport.read_status() == 0:
            return
        delay(_RESET_STEP)
    raise DriverError(f"{transport.name}: the device does not come out of its reset within 100 ms (virtio 2.4.2)")


def choose(offered: int, wanted: int) -> int:
    """What of the offer to accept: what is wanted, less what lacks a feature that it requires (2.2.1, 5.1.3.1)."""
    accepted = offered & wanted
    for name, needed in REQUIREMENTS.items():
        if accepted & FEATURES[name] and not any(accepted & FEATURES[one] for one in needed):
            accepted &= ~FEATURES[name]
    return accepted


def negotiate(transport: Transport, wanted: int, delay: Callable[[int], None]) -> int:
    """3.1.1, steps 1 to 6: from a reset to FEATURES_OK. Returns the accepted features."""
    reset(transport, delay)  # 1
    transport.write_status(ACKNOWLEDGE)  # 2
    transport.write_status(ACKNOWLEDGE | DRIVER)  # 3
    accepted = choose(transport.offered(), wanted)  # 4
    if not transport.legacy and not accepted & FEATURES["VERSION_1"]:
        raise DriverError(f"{transport.name}: a device that does not offer VERSION_1 here is none (virtio 6.2)")
    transport.accept(accepted)
    if transport.legacy:
        return accepted  # 3.1.2: without steps 5 and 6
    transport.write_status(ACKNOWLEDGE | DRIVER | FEATURES_OK)  # 5
    if not transport.read_status() & FEATURES_OK:  # 6
        raise DriverError(f"{transport.name}: the device refuses the features {FEATURES.describe(accepted)}")
    return accepted


def go_live(transport: Transport) -> None:
    """3.1.1, step 8: DRIVER_OK. Before it no queue may be notified."""
    transport.write_status(ACKNOWLEDGE | DRIVER | DRIVER_OK | (0 if transport.legacy else FEATURES_OK))


def give_up(transport: Transport) -> None:
    """3.1.1: tell the device that it is of no use to us."""
    transport.write_status(transport.read_status() | FAILED)


def consistently(transport: Transport, read: Callable[[], T]) -> T:
    """What `read` makes of the configuration, all of one generation (2.5.1); DriverError when it never stands still.

    The legacy interface has no generation: there two readings have to agree (2.5.4).
    """
    if transport.legacy:
        value = read()
        for _ in range(_TRIES):
            before, value = value, read()
            if value == before:
                return value
    else:
        for _ in range(_TRIES):
            generation = transport.generation()
            value = read()
            if transport.generation() == generation:
                return value
    raise DriverError(f"{transport.name}: the configuration changes faster than it can be read (virtio 2.5.1)")
