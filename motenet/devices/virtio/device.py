"""A virtio device without its transport: status, features, configuration, notifications (virtio 2 and 3).

    transport (registers, interrupts)  <->  VirtioDevice  <->  device type (net) with its queues

What a driver does wrong is an event with its clause. Where drivers are known to do it, it works all the same.
"""

from collections.abc import Iterable
from typing import ClassVar

from motenet.core.state import Component
from motenet.core.trace import Watched
from motenet.datasheets.virtio.features import DEVICE_STATUS, FEATURES, LEGACY_FEATURES
from motenet.devices.parts.unplugged import Unplugged
from motenet.devices.virtio.queue import VirtQueue
from motenet.devices.virtio.sides import DeviceType, Transport
from motenet.doors import PciSlot

ACKNOWLEDGE, DRIVER, DRIVER_OK = (DEVICE_STATUS[name] for name in ("ACKNOWLEDGE", "DRIVER", "DRIVER_OK"))
FEATURES_OK, NEEDS_RESET = DEVICE_STATUS["FEATURES_OK"], DEVICE_STATUS["DEVICE_NEEDS_RESET"]
_WRITABLE = DEVICE_STATUS.mask(write="store")

VERSION_1, RING_PACKED = FEATURES["VERSION_1"], FEATURES["RING_PACKED"]
EVENT_IDX, INDIRECT, ANY_LAYOUT = (FEATURES[n] for n in ("RING_EVENT_IDX", "RING_INDIRECT_DESC", "ANY_LAYOUT"))

_STEPS = ((DRIVER, ACKNOWLEDGE), (FEATURES_OK, ACKNOWLEDGE | DRIVER), (DRIVER_OK, ACKNOWLEDGE | DRIVER | FEATURES_OK))
"""Each step of the initialization, and those that come before it (virtio 3.1.1)."""


class VirtioDevice(Watched):
    """Status machine, feature negotiation, configuration generation, notifications. Transports call it.

    `ready` tells whether queues may be served; it is to be looked at again after DMA.
    """

    STATE: ClassVar[tuple[str, ...]] = (
        *Watched.STATE, "status", "driver_features", "features", "generation", "stale", "legacy", "bus_master",
        "ready", "posted",
    )  # fmt: skip

    def __init__(
        self,
        kind: DeviceType,
        *,
        packed: bool = True,
        event_index: bool = True,
        indirect: bool = True,
        legacy_only: bool = False,
        path: str = "device",
    ) -> None:
        super().__init__(Unplugged(), path)
        self.kind = kind
        self.queues = kind.queues
        rings = (EVENT_IDX if event_index else 0) | (INDIRECT if indirect else 0)
        self.offered = kind.offered | rings | VERSION_1 | (RING_PACKED if packed else 0)
        """What the modern interfaces offer."""
        self.offered_legacy = (kind.offered | rings | ANY_LAYOUT) & LEGACY_FEATURES
        """What the legacy interface offers: bits 0 to 31 (virtio 4.1.4.10). 6.3: ANY_LAYOUT is implied by VERSION_1."""
        self.legacy_only = legacy_only
        self.status = 0
        self.driver_features = 0
        """As the driver wrote them, offered or not."""
        self.features = 0
        """As negotiated: those in force."""
        self.generation = 0
        """config_generation, 8 bits."""
        self.stale = False
        """The configuration has changed since the driver last read of it."""
        self.legacy = legacy_only
        """The driver uses the legacy interface (virtio 2.2.3)."""
        self.bus_master = True
        """The bus lets the device reach memory."""
        self.ready = False
        """Queues may be served: DRIVER_OK, or the legacy interface, which needs none (virtio 3.1.2), and no error."""
        self.posted = [0] * len(self.queues)
        """For each queue: whether an event that serves it is on its way."""

    def parts(self) -> Iterable[Component]:
        assert isinstance(self.kind, Component)
        return (self.kind,)

    def plug(self, slot: PciSlot, transport: Transport) -> None:
        self.clock = slot.clock
        self._timers = slot.clock
        self._transport = transport
        self.kind.plug(slot, self)

    # --- reset (virtio 2.4)

    def reset(self) -> None:
        """Status 0, and nothing that was in flight goes on (virtio 2.4.1)."""
        self.status = self.driver_features = self.features = 0
        self.legacy = self.legacy_only
        self.stale = False
        self._settle()
        for queue in self.queues:
            queue.reset()
        self.kind.reset()
        self._transport.device_reset()
        self.changed("reset", "device_status 0")

    # --- status (virtio 2.1)

    def write_status(self, value: int) -> None:
        """The driver sets bits; 0 resets. Bits that the device does not accept read back as 0."""
        if not value:
            self.reset()
            return
        if self.status & _WRITABLE & ~value:
            self.drop("status bit cleared", f"{DEVICE_STATUS.describe(self.status & ~value)}: only a reset may (2.1.1)")
        new = value & _WRITABLE & ~self.status
        self._check_order(new)
        if new & FEATURES_OK and not self._accept_features():
            new &= ~FEATURES_OK
        if new & DRIVER_OK and not self.legacy and not (self.status | new) & FEATURES_OK:
            self.drop("DRIVER_OK refused", "the features are not agreed on: FEATURES_OK reads 0 (3.1.1)")
            new &= ~DRIVER_OK
        self.status |= new
        if new:
            self.changed("status", DEVICE_STATUS.describe(self.status))
        self._settle()
        if new & DRIVER_OK:
            self.kind.started()
            self.serve_all()
            if self.status & NEEDS_RESET:  # 2.1.2: now there is a driver to be told
                self._transport.config_interrupt()

    def _check_order(self, new: int) -> None:
        after = self.status | new
        for step, before in _STEPS:
            missing = before & ~after & ~(FEATURES_OK if self.legacy else 0)
            if new & step and missing:
                self.drop(
                    "status order", f"{DEVICE_STATUS.describe(step)} without {DEVICE_STATUS.describe(missing)} (3.1.1)"
                )

    def _settle(self) -> None:
        live = self.legacy or self.status & DRIVER_OK
        self.ready = bool(live and self.bus_master and not self.status & NEEDS_RESET)

    # --- features (virtio 2.2)

    def offered_features(self, select: int) -> int:
        """Feature bits 32 * select up; 0 where none are defined (virtio 4.1.4.3.1)."""
        return self.offered >> 32 * select & 0xFFFFFFFF if select < 2 else 0

    def accepted_features(self, select: int) -> int:
        """What the driver wrote, offered or not (virtio 4.1.4.3.1 lets a device mirror it)."""
        return self.driver_features >> 32 * select & 0xFFFFFFFF if select < 2 else 0

    def write_features(self, select: int, value: int) -> None:
        """The driver accepts bits 32 * select up; they are checked when it sets FEATURES_OK."""
        if self.status & FEATURES_OK:
            if value != self.accepted_features(select):
                self.drop("late features", f"{value:#010x} at {32 * select} after FEATURES_OK (3.1.1)")
        elif select > 1:
            if value:
                self.drop("unoffered features", f"{value:#010x} at {32 * select} (2.2.1)")
        else:
            self.driver_features = self.driver_features & ~(0xFFFFFFFF << 32 * select) | value << 32 * select

    def write_legacy_features(self, value: int) -> None:
        """In force at once: the legacy interface has no FEATURES_OK, and its drivers may have begun (virtio 3.1.2)."""
        if self.status & DRIVER_OK:
            if value != self.driver_features:
                self.drop("late features", f"{value:#010x} after DRIVER_OK (2.2)")
            return
        self.driver_features = value
        self._tell_unoffered(value & ~self.offered_legacy)
        accepted = value & self.offered_legacy
        problem = self.kind.check_features(accepted)
        if problem:
            self.drop("feature dependency", problem)
        self._set_features(accepted)

    def _accept_features(self) -> bool:
        """2.2.2: a valid subset of what was offered. 6.2: without VERSION_1 this interface cannot be used."""
        accepted = self.driver_features
        if self.legacy:
            self.drop("reserved bits", "device_status FEATURES_OK: the legacy interface has none (3.1.2)")
            return False
        if accepted & ~self.offered:
            self._tell_unoffered(accepted & ~self.offered)
            return False
        if not accepted & VERSION_1:
            self.drop("VERSION_1 refused", "a driver must accept it where it is offered (6.1)")
            return False
        problem = self.kind.check_features(accepted)
        if problem:
            self.drop("feature dependency", problem)
            return False
        self._set_features(accepted)
        return True

    def _tell_unoffered(self, bits: int) -> None:
        if bits:
            self.drop("unoffered features", f"{FEATURES.describe(bits)} (2.2.1)")

    def _set_features(self, features: int) -> None:
        self.features = features
        for queue in self.queues:
            queue.features_set(event_index=bool(features & EVENT_IDX), indirect=bool(features & INDIRECT))
        self.kind.features_set(features)

    def use_interface(self, *, legacy: bool) -> bool:
        """A transport is written to: whether the driver may use this interface now.

        A transitional device is used through one interface at a time; only a reset changes over (virtio 2.2.3).
        """
        if legacy != self.legacy:
            if self.status or self.driver_features or any(queue.enabled for queue in self.queues):
                self.drop("interfaces mixed", f"the {'legacy' if legacy else 'modern'} one without a reset (2.2.3)")
                return False
            self.legacy = legacy
            self._settle()
        return True

    # --- queues

    def queue_at(self, index: int, what: str, *, legacy: bool) -> VirtQueue | None:
        """A queue that the driver wants to set up; that it is not there, or the other interface's, is an event."""
        if index >= len(self.queues):
            self.drop("no such queue", f"{what} of queue {index}; there are {len(self.queues)}")
            return None
        return self.queues[index] if self.use_interface(legacy=legacy) else None

    def enable_queue(self, queue: VirtQueue) -> None:
        """The driver has set the queue up. What is wrong with it has been told to `fail`."""
        features = self.features
        if not self.legacy and not self.status & FEATURES_OK:
            self.drop("queue before FEATURES_OK", f"queue {queue.index} is enabled (3.1.1)")
            features = self.driver_features & self.offered
        queue.enable(
            packed=bool(features & RING_PACKED),
            event_index=bool(features & EVENT_IDX),
            indirect=bool(features & INDIRECT),
        )

    def disable_queue(self, queue: VirtQueue) -> None:
        """The driver takes the queue back; should it enable it again, it is a new one."""
        queue.disable()
        queue.descriptors = queue.driver_area = queue.device_area = 0
        queue.last_available = queue.last_used = 0

    def notify(self, index: int) -> None:
        """An available buffer notification (virtio 2.3). Serving the queue is an event of its own."""
        if index >= len(self.queues):
            self.drop("no such queue", f"notification of {index}; there are {len(self.queues)}")
            return
        if not self.status & DRIVER_OK:
            self.drop("early notification", f"of queue {index}, before DRIVER_OK (2.1.2, 3.1.1)")
        if not self.queues[index].enabled:
            self.drop("queue not enabled", f"notification of queue {index} (4.1.4.3.2)")
        elif self.ready:
            self.serve_later(self.queues[index])
        elif not self.bus_master:
            self.drop("bus master off", f"notification of queue {index}")
        elif self.status & NEEDS_RESET:
            self.drop("needs reset", f"notification of queue {index} (2.1.2)")

    def serve_all(self) -> None:
        """Look at every enabled queue: what came before DRIVER_OK, or while the bus was off, may wait there."""
        for queue in self.queues:
            self.serve_later(queue)

    def serve_later(self, queue: VirtQueue) -> None:
        """Look at a queue in an event of its own, if it can be served."""
        if self.ready and queue.enabled and not self.posted[queue.index]:
            self.posted[queue.index] = 1
            self._timers.after(0, self._serve, queue.index)

    def _serve(self, index: int) -> None:
        self.posted[index] = 0
        queue = self.queues[index]
        if self.ready and queue.enabled:
            self.kind.notified(queue)

    def queue_interrupt(self, queue: VirtQueue) -> None:
        """A used buffer notification. Never before DRIVER_OK (virtio 2.1.2), except with the legacy interface."""
        if self.ready:
            self._transport.queue_interrupt(queue)

    def bus_master_changed(self, enabled: bool) -> None:
        """The bus lets the device reach memory, or no longer."""
        self.bus_master = enabled
        for queue in self.queues:
            queue.bus_master_changed(enabled)
        self._settle()
        self.serve_all()

    # --- errors and configuration

    def fail(self, queue: VirtQueue | None, reason: str, detail: str) -> None:
        """An error that only a reset ends: DEVICE_NEEDS_RESET; with the legacy interface the queue is dead.

        2.1.2: with DRIVER_OK set the driver is told by a configuration change notification.
        """
        self.drop(reason, detail)
        if queue is not None:
            queue.broken = True
        if self.legacy or self.status & NEEDS_RESET:
            return
        self.status |= NEEDS_RESET
        self._settle()
        self.changed("status", DEVICE_STATUS.describe(self.status))
        if self.status & DRIVER_OK:
            self._transport.config_interrupt()

    def config_changed(self) -> None:
        """The device's configuration has changed (virtio 2.5, 3.2.1)."""
        self.stale = True
        if self.status & DRIVER_OK:
            self._transport.config_interrupt()

    def read_config(self, offset: int, width: int) -> int:
        """Bytes of the device's configuration; those beyond its end read as 0, with an event."""
        if self.stale:
            # 4.1.4.3.1: counting only what the driver may have seen keeps 8 bits from wrapping between two reads
            self.stale = False
            self.generation = self.generation + 1 & 0xFF
        there = min(width, self.kind.config_size - offset)
        if there < width:
            self.drop("unknown register", f"configuration {offset:#x}, {width} bytes; it has {self.kind.config_size}")
        return self.kind.read_config(offset, there) if there > 0 else 0

    def write_config(self, offset: int, value: int, width: int) -> None:
        """Bytes of the device's configuration, from the driver."""
        if offset + width > self.kind.config_size:
            self.drop("unknown register", f"configuration {offset:#x}, {width} bytes; it has {self.kind.config_size}")
        else:
            self.kind.write_config(offset, value, width)
