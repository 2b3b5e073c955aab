"""The network device: what VirtioDevice asks of a type of device (virtio 5.1)."""

from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from motenet.core.errors import ConfigurationError
from motenet.core.state import Component, Plain
from motenet.datasheets.virtio import net as sheet
from motenet.datasheets.virtio.features import FEATURES
from motenet.datasheets.virtio.queues import MAX_QUEUE_SIZE
from motenet.devices.parts.address import parse_mac
from motenet.devices.virtio.device import VirtioDevice
from motenet.devices.virtio.net.config import NetConfig, missing, offers
from motenet.devices.virtio.net.control import ControlUnit
from motenet.devices.virtio.net.filters import ReceiveFilter
from motenet.devices.virtio.net.header import WITH_BUFFERS, WITHOUT_BUFFERS
from motenet.devices.virtio.net.receive import OFFLOADS, ReceiveUnit
from motenet.devices.virtio.net.steering import Steering
from motenet.devices.virtio.net.transmit import TransmitUnit
from motenet.devices.virtio.queue import VirtQueue
from motenet.doors import FrameFacts, PciSlot

_VERSION_1, _MRG_RXBUF, _CTRL_VQ, _CTRL_VLAN, _MQ, _ANNOUNCE, _MAC_ADDR = (
    FEATURES[name]
    for name in ("VERSION_1", "MRG_RXBUF", "CTRL_VQ", "CTRL_VLAN", "MQ", "GUEST_ANNOUNCE", "CTRL_MAC_ADDR")
)


class NetFunction(Component):
    """A network device behind queues. Implements DeviceType and doors.PortUser.

    mac: its permanent address. mtu: bytes of the largest IP packet. pairs: receive and transmit queues. queue_size:
    descriptors that each queue may have. speed: Mbit/s while there is a link. without: names of features that are not
    offered ("MRG_RXBUF", …), and with them those that need them. ConfigurationError for what cannot be.
    """

    STATE: ClassVar[tuple[str, ...]] = ("features",)
    device_id = sheet.DEVICE_ID
    config_registers = sheet.CONFIG

    def __init__(
        self,
        mac: str | bytes = "52:54:00:12:34:56",
        *,
        mtu: int = 1500,
        pairs: int = 1,
        queue_size: int = 256,
        speed: int = 10_000,
        without: Iterable[str] = (),
    ) -> None:
        if not sheet.MIN_MTU <= mtu <= sheet.MAX_MTU:
            raise ConfigurationError(f"an MTU is {sheet.MIN_MTU} to {sheet.MAX_MTU} bytes, not {mtu}")
        if not sheet.MIN_PAIRS <= pairs <= sheet.MAX_PAIRS:
            raise ConfigurationError(f"there are {sheet.MIN_PAIRS} to {sheet.MAX_PAIRS} queue pairs, not {pairs}")
        if not 0 < queue_size <= MAX_QUEUE_SIZE or queue_size & queue_size - 1:
            raise ConfigurationError(f"a queue's size is a power of two up to {MAX_QUEUE_SIZE}, not {queue_size}")
        if not 0 <= speed <= sheet.MAX_SPEED:
            raise ConfigurationError(f"a speed is 0 to {sheet.MAX_SPEED} Mbit/s, not {speed}")
        self.path = "net"
        self.offered = offers(pairs, without)
        self.max_pairs = pairs
        count = 2 * pairs + (1 if self.offered & _CTRL_VQ else 0)
        self.queues = [
            VirtQueue(index, queue_size, partial(self._failed, index), f"queue{index}") for index in range(count)
        ]
        for queue in self.queues[1 : 2 * pairs : 2]:
            queue.only_read = True  # 5.1.6.2
        self.features = 0
        """As negotiated."""
        self.config = NetConfig(parse_mac(mac), self.offered, pairs, mtu, speed)
        self.config_size = self.config.size
        self.filter = ReceiveFilter(self.config)
        self.steering = Steering()
        self.transmitter = TransmitUnit(self.steering)
        self.receiver = ReceiveUnit(self.queues, self.filter, self.steering)
        self.control = ControlUnit(self.config, self.filter, self.receiver, self._use_pairs)
        self._configure()

    def parts(self) -> Iterable[Component]:
        return (
            *self.queues, self.config, self.filter, self.steering, self.transmitter, self.receiver, self.control
        )  # fmt: skip

    def plug(self, slot: PciSlot, device: VirtioDevice) -> None:
        """Take memory, clock and cable."""
        self._device = device
        self._port = slot.port
        for queue in self.queues:
            queue.plug(slot.dma)
        for unit in (self.transmitter, self.receiver, self.control):
            unit.plug(slot, device)
        slot.port.attach(self, self.burst_arrived, unfinished=True)
        self.config.link_up = slot.port.carrier

    def _failed(self, index: int, reason: str, detail: str) -> None:
        self._device.fail(self.queues[index], reason, detail)

    # --- features and configuration

    def check_features(self, features: int) -> str:
        """Why these cannot be together, with the clause, or ""."""
        return missing(features)

    def features_set(self, features: int) -> None:
        """These are the features from now on."""
        self.features = features
        self.filter.by_vlan = int(bool(features & _CTRL_VLAN))
        self.receiver.offloads = features & OFFLOADS  # 5.1.6.5.8.1: all on at first
        self._configure()

    def _configure(self) -> None:
        """What follows from the features."""
        features, mtu = self.features, self.config.mtu
        # 5.1.6.1: the legacy interface has num_buffers only with MRG_RXBUF
        header = WITH_BUFFERS if features & (_VERSION_1 | _MRG_RXBUF) else WITHOUT_BUFFERS
        self.transmitter.configure(features, header, mtu)
        self.receiver.configure(features, header, mtu)
        self.control.configure(features)
        self._pairs = self.max_pairs if features & _MQ else 1

    def load(self, state: Plain) -> None:
        super().load(state)
        self._configure()

    def read_config(self, offset: int, width: int) -> int:
        """Little-endian bytes of the configuration."""
        return self.config.read(offset, width)

    def write_config(self, offset: int, value: int, width: int) -> None:
        """5.1.4.3: only the address, over the legacy interface, unless the control queue is there for it."""
        if self._device.legacy and not self.features & _MAC_ADDR and offset + width <= 6:
            self.config.write_mac(offset, value, width)
        else:
            self._device.drop("read-only register", f"configuration {offset:#x} written (5.1.4)")

    def started(self) -> None:
        """DRIVER_OK."""

    def reset(self) -> None:
        """Back to the beginning, without features. (Queues are the device's to reset.)"""
        self.features = 0
        self.receiver.offloads = 0
        self.config.reset()
        self.filter.reset()
        self.steering.reset()
        self._configure()

    # --- queues

    def notified(self, queue: VirtQueue) -> None:
        """Serve this queue."""
        index, pairs = queue.index, self._pairs
        if index == sheet.control_queue(pairs) and self.features & _CTRL_VQ:
            self.control.serve(queue)
        elif index >= 2 * self.steering.pairs:
            unknown = index >= 2 * pairs
            if (unknown or index & 1) and queue.available():  # receive queues are filled before (5.1.6.3.1)
                what = "no such queue" if unknown else "queue pair not in use"
                self._device.drop(what, f"queue {index} ({'5.1.2' if unknown else '5.1.6.5.6.1'})")
        elif index & 1:
            self.transmitter.serve(queue)
        elif queue.publish():  # what was stored when the bus was lost; buffers are looked for when a frame is there
            self._device.queue_interrupt(queue)

    def _use_pairs(self, pairs: int) -> str:
        """5.1.6.5.6: what waits in queues that come into use is served. Returns what is wrong, or ""."""
        if not 1 <= pairs <= self.max_pairs:
            return f"virtqueue_pairs {pairs} of {self.max_pairs}"
        before = self.steering.pairs
        self.steering.use(pairs)
        for pair in range(before, pairs):
            self._device.serve_later(self.queues[sheet.transmit_queue(pair)])
        return ""

    # --- the cable

    def frame_arrived(self, frame: bytes, facts: FrameFacts | None) -> None:
        """One frame, whole or not."""
        self.receiver.arrived(frame, facts)

    def burst_arrived(self, frames: list[bytes]) -> None:
        """Whole frames of one instant."""
        self.receiver.burst_arrived(frames)

    def carrier_changed(self, carrier: bool) -> None:
        """config.status follows, and speed and duplex with it (5.1.4)."""
        self.config.link_up = carrier
        self._device.changed("link", "up" if carrier else "down")
        self._device.config_changed()

    def announce(self) -> None:
        """Ask the driver to tell its neighbours where it is (5.1.6.5.4): it has moved. Nothing, if it cannot."""
        if self.features & _ANNOUNCE:
            self.config.announce = True
            self._device.config_changed()
