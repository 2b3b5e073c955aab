"""The driver of virtio's network device, by the driver-normative sentences of virtio 1.2."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from motenet.core import units
from motenet.core.errors import ConfigurationError, DriverError
from motenet.core.state import Component
from motenet.core.units import MS
from motenet.datasheets.virtio.net import CTRL_MQ, MIN_PAIRS
from motenet.doors import Capabilities, Function, Received
from motenet.drivers.driver import CardDriver, check_offloads, is_station
from motenet.drivers.transmit import LONGEST_SEGMENTED
from motenet.drivers.virtio.device import Device
from motenet.drivers.virtio.filters import Filters
from motenet.drivers.virtio.layout import build
from motenet.drivers.virtio.receive import Turns
from motenet.drivers.virtio.settings import choose_mtu, made_up_mac, reverse_arp, wanted, write_mac
from motenet.drivers.virtio.transmit import Transmitter
from motenet.drivers.virtio.transport import CONFIG_CAUSE
from motenet.drivers.virtio.vectors import Vectors

_NUDGE = 10 * MS
"""How long a device may take no frame before it is notified whatever it has said: a notification may have been lost."""


class VirtioNetDriver(CardDriver):
    """Implements doors.NetworkDriver for virtio's network device over PCI (modern, legacy) and MMIO.

    The device is looked at when the driver is made, for memory and capabilities follow from what it offers.

    - `mode`: None takes the modern interface where there is one; "legacy" or "modern" insists.
    - `packed`: packed virtqueues: None takes what is offered, True insists, False declines.
    - `rx_ring`, `tx_ring`: buffers of a queue; None: 256. The device's limit and memory may allow fewer.
    - `rx_buffer`: bytes; None: 16 KiB with `mergeable` buffers, else as much as the largest packet needs.
    - `mtu`: None: the device's, else 1500. `mac`: None: the device's, else one made from the function's name.
    - `queue_pairs`: the most that are used (multiqueue, with transmit spread by flow).
    - `large_receive`: several segments may be received as one frame. `gro` joins them where the device does not.
    - `vlan_filter`: the device's VLAN filter is used; then only the VLANs of `set_vlan_filter` come in.
    - `interrupts=False`: pure polling; otherwise `interrupt_kinds` in order of preference.
    - `hang_timeout`: a device that takes no frame for so long, although it was notified once more, is reset.
    """

    STATE: ClassVar[tuple[str, ...]] = (
        *CardDriver.STATE, "config_changed", "asked_mac", "announcements",
    )  # fmt: skip

    transmitter: Transmitter

    def __init__(
        self,
        function: Function,
        *,
        rx_ring: int | None = None,
        tx_ring: int | None = None,
        mtu: int | None = None,
        mac: bytes | None = None,
        interrupts: bool = True,
        interrupt_kinds: Sequence[str] = ("msi-x", "intx"),
        checksum_offload: bool = True,
        segmentation_offload: bool = True,
        large_receive: bool = True,
        mergeable: bool = True,
        gro: bool = True,
        packed: bool | None = None,
        event_idx: bool = True,
        indirect: bool = True,
        mode: str | None = None,
        queue_pairs: int = 1,
        vlan_filter: bool = False,
        rx_buffer: int | None = None,
        tx_memory: str | int = "512KiB",
        hang_timeout: str | int = "2s",
    ) -> None:
        check_offloads(checksum_offload, segmentation_offload)
        if queue_pairs < MIN_PAIRS:
            raise ConfigurationError(f"queue_pairs={queue_pairs}: at least {MIN_PAIRS} is needed (virtio 5.1.6.5.6.1)")
        if mac is not None and not is_station(mac):
            raise ConfigurationError(f"mac={mac.hex(':')} is no station's address")
        self.device = Device(
            function, mode, wanted(
                checksums=checksum_offload, segments=segmentation_offload,
                large_receive=large_receive and checksum_offload, mergeable=mergeable, packed=packed is not False,
                event_idx=event_idx, indirect=indirect, several_pairs=queue_pairs > 1, vlan_filter=vlan_filter,
            ),
        )  # fmt: skip
        self.transport, self.has = self.device.transport, self.device.has
        if packed and not self.has("RING_PACKED"):
            raise DriverError(f"{function.name} offers no packed virtqueues; packed=None takes what there is")
        configuration = self.device.configuration()
        capabilities = Capabilities(
            mtu=choose_mtu(mtu, configuration.mtu),
            checksum_tx=self.has("CSUM"),
            checksum_rx=self.has("GUEST_CSUM"),
            polled=not interrupts,
            max_segmented=LONGEST_SEGMENTED if self.has("HOST_TSO4") else 0,
            max_segmented_ipv6=LONGEST_SEGMENTED if self.has("HOST_TSO6") else 0,
        )
        super().__init__(function, capabilities, hang_timeout)
        self.filters = Filters()
        self.layout = build(
            function, self.transport, self.device.features, configuration, self.drop, self._answered,
            mtu=self.mtu, pairs=queue_pairs, rx_ring=rx_ring, tx_ring=tx_ring, rx_buffer=rx_buffer,
            tx_memory=units.size(tx_memory), gro=gro,
        )  # fmt: skip
        self.device.reset()
        self.receivers, self.transmitter = self.layout.receivers, self.layout.transmitter
        self.control = self.layout.control
        self.filters.control, self.filters.features = self.control, self.device.features
        if mac is not None and self.has("MAC"):
            self._check_mac_can_be_set()
        self._queues = self.layout.queues
        self._numbers = [queue.number for queue in self._queues]
        self._vectors = Vectors(function, self.transport, interrupt_kinds, self._interrupt)
        self._turns = Turns(self.receivers)
        one = self.receivers[0] if len(self.receivers) == 1 else self._turns
        self._receive, self._waiting = one.receive, one.waiting

        self.config_changed = False
        """The configuration has changed since `poll` has looked."""
        self.asked_mac = bytes(mac or b"")
        """The address that the device is to be given; empty: it keeps its own."""
        self.mac = bytes(mac or b"") or configuration.mac or made_up_mac(function.name)
        self.announcements = 0
        """How often the device asked us to announce ourselves."""
        self._use(self.transmitter, self.receivers)

    def parts(self) -> Iterable[Component]:
        control = () if self.control is None else (self.control,)
        return (self.filters, self._turns, *self.receivers, self.transmitter, *control)

    # --- what the stack asks

    @property
    def features(self) -> int:
        """What driver and device have agreed on: datasheets.virtio.features.FEATURES."""
        return self.device.features

    def _counters(self) -> dict[str, int]:
        return {
            "rx_copied": sum(receiver.copied for receiver in self.receivers),
            "notifications": sum(queue.notifications for queue in self._queues),
            "commands": self.control.commands if self.control is not None else 0,
        }

    def receive(self) -> Received | None:
        """See NetworkDriver.receive."""
        received = self._receive()
        if received is None and self._unmask():
            received = self._receive()
        return received

    def poll(self) -> bool:
        """See NetworkDriver.poll."""
        if not self.running:
            return False
        if self._polling and self.transport.causes() & CONFIG_CAUSE:
            self.config_changed = True
        self.transmitter.reap()
        if self.control is not None and self.control.waiting:
            self.control.poll()
        if self.config_changed:
            self.config_changed = False
            self._look_at_configuration()
        self._look_for_trouble()
        for receiver in self.receivers:
            receiver.tidy()
        return self._waiting() or (self._unmask() and self._waiting())

    # --- up and down

    def _open(self) -> None:
        """3.1.1, 5.1.5."""
        self.device.open_bus(self._polling)
        if not self._polling:
            self._vectors.allocate(self._numbers)
        try:
            self._bring_up()
        except DriverError:
            self._function.interrupts.free()
            raise

    def _bring_up(self) -> None:
        try:
            self.device.bring_up(self.layout, self._prepare)
            self.filters.apply(self.asked_mac, len(self.receivers))
            self._take_configuration()
        except DriverError:
            self._take_down("dead")
            raise

    def _prepare(self) -> None:
        if not self._polling:
            self._vectors.connect(self._numbers)
        if self.transport.legacy and self.asked_mac and not self.filters.sets_mac:
            write_mac(self.transport, self.asked_mac)

    def _quiet(self) -> None:
        """Nothing: a device that is told to send has to be heard until it has, and a reset ends all."""

    def _take_down(self, why: str) -> None:
        self.enabled, self.config_changed = 0, False
        self.layout.fall_silent()
        self._lose(self.transmitter.close(), why)
        if self.control is not None:
            self.control.close()

    def _reset(self) -> None:
        self.device.reset()

    def _close(self) -> None:
        self.device.close_bus(self._polling)

    # --- interrupts

    def _interrupt(self, config: bool, queues: bool) -> bool:
        """Leave the work to `poll`, and ask for no more interrupts until it is done."""
        if config:
            self.config_changed = True
        if queues:
            self.enabled = 0
            for receiver in self.receivers:
                receiver.queue.disable()
        return self._interrupted()

    def _enable(self) -> None:
        self.enabled = 1
        for receiver in self.receivers:
            receiver.queue.enable()
        if self.transmitter.blocked:
            self._want_room()

    def _want_room(self) -> None:
        """A queue is full: an interrupt when the device has used half of what it has."""
        if self._polling or not self.running:
            return
        found = False
        for queue in self.transmitter.queues:
            if not queue.idle():
                found |= queue.enable((queue.published - queue.consumed) // 2)
        if found and self.wake is not None:
            self.clock.post(self._woken)  # it has used some in between: then no interrupt may come

    def _woken(self, _: None) -> None:
        if self.wake is not None:
            self.wake()

    # --- configuration, answers, recovery

    def _answered(self, kind: int, command: int, data: bytes, ok: bool) -> None:
        """The device's answer to a command."""
        if not ok:
            self.drop("command refused", f"class {kind}, command {command}, data {data.hex()} (virtio 5.1.6.5)")
        elif kind == CTRL_MQ:
            self.transmitter.active = len(self.transmitter.queues)  # 5.1.6.5.6.1
            for receiver in self.receivers[1:]:
                receiver.queue.kick()

    def _look_at_configuration(self) -> None:
        """3.2.1: the device says that something has changed, its own state maybe."""
        if self.device.needs_reset():
            self._recover_from("DEVICE_NEEDS_RESET (virtio 2.1.1)")
        else:
            try:
                self._take_configuration()
            except DriverError as error:
                self.drop("configuration", str(error))

    def _take_configuration(self) -> None:
        configuration = self.device.configuration()
        self._take_link(configuration.link_up, configuration.speed, configuration.full_duplex)
        if configuration.announce:
            self._announce()

    def _announce(self) -> None:
        """5.1.6.5.4.1: a frame from our address, so that switches learn where it is now, then the acknowledgement.

        A driver knows no protocol addresses: it sends a reverse ARP request, as QEMU does on its guests' behalf.
        """
        self.announcements += 1
        self.send(reverse_arp(self.mac))
        self.filters.acknowledge_announcement()

    def _look_for_trouble(self) -> None:
        transmitter = self.transmitter
        for queue in self._queues:
            if queue.broken:
                self._recover_from(queue.broken)
                return
        if transmitter.ends and self.link_up:
            now, progress = self.clock.now, transmitter.progress_at
            if transmitter.nudged_at < progress:
                if now - progress > _NUDGE:
                    transmitter.nudge()
            elif now - transmitter.nudged_at > self._hang_timeout:
                self._recover_from(f"no frame is taken for {now - progress} ns")

    def _recover_from(self, trouble: str) -> None:
        self.drop("device reset", trouble)
        self._try_to_recover()

    # --- what is let in, and offloads

    def set_multicast(self, groups: Sequence[bytes]) -> None:
        """Let frames to these Ethernet addresses in (5.1.6.5.2)."""
        self.filters.ask_groups(groups)

    def set_unicast(self, stations: Sequence[bytes]) -> None:
        """Let frames to these Ethernet addresses in, beside the station's own (5.1.6.5.2)."""
        self.filters.ask_stations(stations)

    def set_receive_mode(self, name: str, on: bool) -> None:
        """Switch a mode of filters.MODES (5.1.6.5.1)."""
        self.filters.ask_mode(name, on)

    def set_promiscuous(self, on: bool) -> None:
        """Let every frame in."""
        self.filters.ask_mode("promiscuous", on)

    def set_all_multicast(self, on: bool) -> None:
        """Let every multicast frame in."""
        self.filters.ask_mode("all_multicast", on)

    def set_vlan_filter(self, vlans: Iterable[int]) -> None:
        """Let only these VLANs in; needs vlan_filter=True (5.1.6.5.3)."""
        self.filters.ask_vlans(vlans)

    def set_receive_offloads(self, checksums: bool, segments: bool) -> None:
        """Let the device leave received checksums and segments as they are, or not (5.1.6.5.8)."""
        self.filters.ask_offloads(checksums, segments)

    def set_mac_address(self, mac: bytes) -> None:
        """Give the station another address (5.1.6.5.2, 5.1.4.3)."""
        if not is_station(mac):
            raise ConfigurationError(f"{mac.hex(':')} is no station's address")
        self._check_mac_can_be_set()
        self.asked_mac = self.mac = bytes(mac)
        if self.running:
            if self.filters.sets_mac:
                self.filters.apply_mac(mac)
            else:
                write_mac(self.transport, mac)

    def _check_mac_can_be_set(self) -> None:
        if not self.filters.sets_mac and not self.transport.legacy:
            raise DriverError(f"{self.path}: the device does not let its address be set (virtio 5.1.6.5.2.2)")
