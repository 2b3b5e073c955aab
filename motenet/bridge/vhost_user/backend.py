"""The back-end: a virtio device whose registers are messages, and whose memory is the front-end's."""

from collections.abc import Iterable

from motenet.bridge.vhost_user.memory import FrontEndMemory
from motenet.bridge.vhost_user.protocol import BACK_END_FEATURES, Refused
from motenet.bridge.vhost_user.ring import Ring
from motenet.core.clock import Clock, LocalClock
from motenet.core.state import Component
from motenet.core.trace import Watched
from motenet.core.units import US
from motenet.datasheets.virtio.features import DEVICE_STATUS, FEATURES, LEGACY_FEATURES
from motenet.datasheets.virtio.queues import MAX_QUEUE_SIZE
from motenet.devices.virtio.device import VirtioDevice
from motenet.devices.virtio.net import NetFunction
from motenet.devices.virtio.queue import VirtQueue
from motenet.machine import Port

ACKNOWLEDGE, DRIVER, DRIVER_OK = (DEVICE_STATUS[name] for name in ("ACKNOWLEDGE", "DRIVER", "DRIVER_OK"))
FEATURES_OK, NEEDS_RESET = DEVICE_STATUS["FEATURES_OK"], DEVICE_STATUS["DEVICE_NEEDS_RESET"]
VERSION_1, ANY_LAYOUT, MQ, CTRL_VQ = (FEATURES[name] for name in ("VERSION_1", "ANY_LAYOUT", "MQ", "CTRL_VQ"))
POLL = 100 * US
"""How often a ring without a kick is looked at."""
DISCARDED = 4096
"""Buffers of a disabled ring after which an event leaves the rest to another."""


class RingDevice(VirtioDevice):
    """Tells the front-end of a dead ring: there is no configuration interrupt for it (vhost-user, SET_VRING_ERR)."""

    rings: list[Ring]

    def fail(self, queue: VirtQueue | None, reason: str, detail: str) -> None:
        super().fail(queue, reason, detail)
        if queue is not None and queue.index < len(self.rings):
            self.rings[queue.index].signal_error()


class BackEnd(Watched):
    """The slot of a virtio device that vhost-user carries. Implements doors.PciSlot, and the device's Transport.

    The front-end's control plane (address, link status, control queue) is its own; what is here are rings and packets.
    """

    def __init__(self, world: Clock, name: str, net: NetFunction, *, packed: bool = True) -> None:
        clock = LocalClock(world)
        super().__init__(clock, "nic")
        self.clock: LocalClock = clock
        self.dma = FrontEndMemory(clock, "dma")
        self.port = Port(clock, "port")
        self.net = net
        self.device = RingDevice(net, packed=packed)
        self.rings = [Ring(queue) for queue in net.queues[: 2 * net.max_pairs]]
        self.device.rings = self.rings
        self.status = 0
        """As the front-end tells it (vhost-user, SET_STATUS); without that message it stays 0."""
        self.tells_status = False
        """PROTOCOL_F_STATUS is agreed on: the front-end says DRIVER_OK itself."""
        self._agreed = 0
        """The features that the front-end has accepted."""
        self._mtu = net.config.mtu
        self.place(f"{name}/nic")
        self.device.plug(self, self)
        for queue in net.queues:
            queue.max_size = MAX_QUEUE_SIZE  # it is the front-end that says how many descriptors there are
        self.device.reset()

    def parts(self) -> Iterable[Component]:
        return (self.clock, self.dma, self.port, self.device)

    # --- what the device asks of its slot and transport

    def set_level(self, level: bool) -> None:
        """There is no INTx: rings call by eventfd."""

    def send_message(self, vector: int) -> bool:
        """There are no messages."""
        return False

    def message_enabled(self) -> bool:
        return False

    def queue_interrupt(self, queue: VirtQueue) -> None:
        self.rings[queue.index].signal_call()

    def config_interrupt(self) -> None:
        """The configuration is the front-end's."""

    def device_reset(self) -> None:
        """Nothing waits here."""

    # --- features and status

    @property
    def offered(self) -> int:
        """Feature bits that the front-end may accept."""
        return (self.device.offered | self.device.offered_legacy) & BACK_END_FEATURES

    def set_features(self, features: int) -> None:
        """Those in force from now on. Refused when they cannot be, or when rings run with others."""
        device = self.device
        unoffered = features & ~(self.offered if features & VERSION_1 else self.offered & LEGACY_FEATURES)
        if unoffered:
            raise Refused(f"features {FEATURES.describe(unoffered)} were not offered")
        if device.status and features == self._agreed and not device.status & NEEDS_RESET:
            return
        if any(ring.started for ring in self.rings):
            raise Refused(f"features {FEATURES.describe(features ^ self._agreed)} change while rings run")
        device.reset()
        device.use_interface(legacy=not features & VERSION_1)
        device.write_status(ACKNOWLEDGE | DRIVER)
        self._agreed = features
        if features & MQ:
            features |= CTRL_VQ  # which the front-end has kept to itself
        if device.legacy:
            device.write_legacy_features(features)
            return
        for select in (0, 1):
            device.write_features(select, (features & ~ANY_LAYOUT) >> 32 * select & 0xFFFFFFFF)
        device.write_status(ACKNOWLEDGE | DRIVER | FEATURES_OK)
        if not device.status & FEATURES_OK:
            device.reset()
            raise Refused(f"features {FEATURES.describe(self._agreed)} cannot be together")

    def set_mtu(self, mtu: int) -> None:
        """The MTU that the front-end tells its guest (vhost-user, NET_SET_MTU)."""
        self.net.config.mtu = mtu
        self.net.features_set(self.net.features)

    def set_status(self, status: int) -> None:
        """The front-end's word on the device's status (virtio 2.1); 0 resets."""
        if not status:
            self.stop_all()
            self.device.reset()
        elif status & FEATURES_OK and not self.device.legacy and not self.device.status & FEATURES_OK:
            self.drop("FEATURES_OK refused", "no features are agreed on (virtio 3.1.1)")
            status &= ~FEATURES_OK
        self.status = status
        self._begin()

    def get_status(self) -> int:
        """What the front-end said, and whether the device needs a reset."""
        return self.status | self.device.status & NEEDS_RESET

    def _begin(self) -> None:
        """DRIVER_OK, when the front-end says so, or, if it never does, when the first ring starts."""
        said = self.status & DRIVER_OK if self.tells_status else any(ring.started for ring in self.rings)
        if said and self.device.status & DRIVER and not self.device.status & DRIVER_OK:
            self.device.write_status(self.device.status & ~NEEDS_RESET | DRIVER_OK)

    # --- rings

    def start(self, ring: Ring) -> None:
        """The ring may be used. Refused when it cannot be."""
        if not self.device.status & DRIVER:
            raise Refused("a ring starts before features are agreed on")
        if not ring.started:
            self._set_up(ring)
            ring.started = True
        self._begin()
        self._steer()
        self.kicked(ring.queue.index)
        self._end_polling(ring)
        if ring.kick is None:
            ring.polling = self.clock.after(POLL, self._poll, ring.queue.index)

    def _steer(self) -> None:
        """The driver's command for the number of pairs (virtio 5.1.6.5.5) went to the front-end: we see its effect."""
        pairs = sum(ring.started and ring.enabled for ring in self.rings[::2])
        if pairs and pairs != self.net.steering.pairs:
            self.net.steering.use(pairs)

    def _set_up(self, ring: Ring) -> None:
        """Let the device have the queue: a receive queue only while the ring is enabled."""
        queue, find = ring.queue, self.dma.guest_address
        queue.size = ring.size
        queue.descriptors, queue.driver_area = find(ring.descriptors), find(ring.available)
        queue.device_area = find(ring.used)
        if ring.receives and not ring.enabled:
            return
        self.device.enable_queue(queue)
        if not queue.enabled:
            raise Refused(f"queue {queue.index} cannot be as it is described")
        queue.set_base(ring.base)
        queue.enabled = ring.enabled
        ring.served = True

    def stop(self, ring: Ring) -> int:
        """The ring is not used any more. Where it is to go on (vhost-user, GET_VRING_BASE)."""
        self._take_back(ring)
        self._end_polling(ring)
        ring.started = False
        return ring.base

    def _take_back(self, ring: Ring) -> None:
        if ring.served:
            ring.base = ring.queue.get_base()
            ring.queue.disable()
            ring.served = False

    def stop_all(self) -> None:
        """No ring is used any more."""
        for ring in self.rings:
            self.stop(ring)

    def enable(self, ring: Ring, enabled: bool) -> None:
        """SET_VRING_ENABLE. Refused when a ring that was started before cannot be."""
        if enabled == ring.enabled:
            return
        self._take_back(ring)
        ring.enabled = enabled
        if ring.started:
            self._resume(ring)
            self._steer()
            self.kicked(ring.queue.index)

    def _resume(self, ring: Ring) -> None:
        """A ring that was started goes on, or else stops. Refused when it cannot."""
        try:
            self._set_up(ring)
        except Refused:
            self.stop(ring)
            raise

    def memory_changed(self) -> None:
        """The rings that run go on in the new memory; one that is not in it stops."""
        for ring in self.rings:
            self._take_back(ring)
            if ring.started:
                try:
                    self._resume(ring)
                except Refused as refused:
                    self.drop("ring lost", str(refused))

    def kicked(self, index: int) -> None:
        """There may be something in a ring."""
        ring = self.rings[index]
        if not ring.started or not self.device.ready or not self.device.status & DRIVER_OK:
            return
        if ring.enabled:
            self.device.notify(index)
        elif not ring.receives:
            self._discard(ring)

    def _discard(self, ring: Ring) -> None:
        """A transmit ring that is disabled is emptied without effect (vhost-user, "Ring states")."""
        queue = ring.queue
        work = DISCARDED
        while work > 0 and (chain := queue.pop()) is not None:
            queue.push(chain, 0)
            work -= 1 + len(chain.readable)
        if queue.publish():
            ring.signal_call()
        if queue.want_notifications(True):
            self.clock.post(self.kicked, queue.index)

    def _poll(self, index: int) -> None:
        self.kicked(index)
        self.rings[index].polling = self.clock.after(POLL, self._poll, index)

    def _end_polling(self, ring: Ring) -> None:
        if ring.polling is not None:
            self.clock.cancel(ring.polling)
            ring.polling = None

    # --- the end

    def disconnected(self) -> None:
        """The front-end is gone: nothing of it is kept. (Its kicks are not watched any more.)"""
        self.stop_all()
        for ring in self.rings:
            ring.close()
            ring.enabled = False
            ring.size = ring.base = ring.descriptors = ring.available = ring.used = 0
        self.status, self.tells_status = 0, False
        self.net.config.mtu = self._mtu
        self.device.reset()
        self.dma.unmap_all()
