"""What the drivers of all cards share: up and down, interrupts, link, recovery.

Interrupts are handled in NAPI's style: the handler masks them and calls `wake`; the stack then polls, and the first
`receive` that finds nothing, or `poll` that says so, unmasks them and looks once more.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Protocol

from motenet.core import units
from motenet.core.errors import ConfigurationError, DriverError
from motenet.core.trace import Watched
from motenet.core.units import MS, US
from motenet.doors import Capabilities, Clock, Function
from motenet.drivers.transmit import Transmitter

OVERHEAD = 18
"""Ethernet header and one 802.1Q tag."""
_DRAIN_STEP, _DRAIN_LIMIT = 100 * US, 50 * MS


class Receives(Protocol):
    """What statistics are made of."""

    frames: int
    joined: int


class CardDriver(Watched, ABC):
    """doors.NetworkDriver, but for the card: who inherits makes the parts, and says what its card wants."""

    STATE: ClassVar[tuple[str, ...]] = (
        *Watched.STATE, "running", "enabled", "mac", "link_up", "speed", "full_duplex", "interrupts_seen", "recoveries",
    )  # fmt: skip

    transmitter: Transmitter

    def __init__(self, function: Function, capabilities: Capabilities, hang_timeout: str | int) -> None:
        super().__init__(function.clock, f"{function.name}/driver")
        self.clock: Clock = function.clock
        self.wake: Callable[[], None] | None = None
        self.mtu = capabilities.mtu
        self._function = function
        self._capabilities = capabilities
        self._polling = capabilities.polled
        self._hang_timeout = units.duration(hang_timeout)

        self.running = False
        self.enabled = 0
        """The causes that may interrupt; 0 while the stack polls."""
        self.mac = b""
        self.link_up = False
        self.speed = 0
        """Mbit/s; 0: unknown."""
        self.full_duplex: bool | None = None
        self.interrupts_seen = 0
        self.recoveries = 0
        """How often the card was reset because it hung, or did what cannot be."""

    def _use(self, transmitter: Transmitter, receivers: Sequence[Receives]) -> None:
        """The parts are there: wire them, and give them their paths."""
        self._receives = tuple(receivers)
        transmitter.on_full = self._want_room
        self.reserve, self.commit, self.flush = transmitter.reserve, transmitter.commit, transmitter.flush
        self.place(self.path)

    # --- what the stack asks

    @property
    def mac_address(self) -> bytes:
        """The station's six bytes; DriverError before the first start()."""
        if not self.mac:
            raise DriverError(f"{self.path}: the address is in the card's EEPROM, which start() reads")
        return self.mac

    @property
    def is_link_up(self) -> bool:
        """The link as of the last `start` or `poll`."""
        return self.link_up

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def statistics(self) -> dict[str, int]:
        """Counters by name: this driver's, and the card's by its datasheet's names."""
        return {
            "tx_frames": self.transmitter.frames,
            "rx_frames": sum(receiver.frames for receiver in self._receives),
            "gro_joined": sum(receiver.joined for receiver in self._receives),
            "interrupts": self.interrupts_seen,
            "recoveries": self.recoveries,
            "drops": sum(self.drops.values()),
            **self._counters(),
        }

    def send(self, frame: bytes) -> bool:
        """reserve, commit and flush in one; False when the ring is full."""
        view = self.reserve(len(frame))
        if view is None:
            return False
        view[:] = frame
        self.commit()
        self.flush()
        return True

    # --- what the card wants

    @abstractmethod
    def _counters(self) -> dict[str, int]:
        """Further statistics."""

    @abstractmethod
    def _open(self) -> None:
        """From nothing to a running card, its interrupts connected but not enabled."""

    @abstractmethod
    def _quiet(self) -> None:
        """No interrupts and no received frames any more."""

    @abstractmethod
    def _take_down(self, why: str) -> None:
        """Nothing is the card's any more; `_lose` what it has not sent."""

    @abstractmethod
    def _reset(self) -> None:
        """Reset the card."""

    @abstractmethod
    def _close(self) -> None:
        """The card is no bus master any more."""

    @abstractmethod
    def _bring_up(self) -> None:
        """Reset the card and set it up anew, its interrupts not enabled."""

    @abstractmethod
    def _enable(self) -> None:
        """Interrupts on, and one for sent frames if the transmitter is `blocked`."""

    @abstractmethod
    def _want_room(self) -> None:
        """There is no room for a frame: an interrupt when there is."""

    # --- up and down

    def start(self) -> None:
        """See NetworkDriver.start. It takes some of the machine's time."""
        if self.running:
            raise DriverError(f"{self.path} runs already; stop() it first")
        self._open()
        self.running = True
        self._unmask()  # interrupts last, when everything that they need is there

    def stop(self) -> None:
        """See NetworkDriver.stop: frames that the card has not sent within 50 ms are lost, and counted."""
        if not self.running:
            return
        self._quiet()
        self.transmitter.flush()
        self._drain()
        self._take_down("stopped")
        self.running = self.link_up = False
        try:
            self._reset()
        except DriverError as error:
            self.drop("card gone", str(error))
        if not self._polling:
            self._function.interrupts.free()
        self._close()
        self.changed("driver", "stopped")

    def _drain(self) -> None:
        """Wait, within bounds, until the card has sent what it was told of."""
        for _ in range(_DRAIN_LIMIT // _DRAIN_STEP):
            self.transmitter.reap()
            if self.transmitter.idle or not self.link_up:
                return
            self._function.delay(_DRAIN_STEP)

    def _lose(self, count: int, why: str) -> None:
        if count:
            self.drop("tx lost", f"{count} frames or descriptors were still the card's: {why}")

    def recover(self) -> None:
        """Reset the card and start it anew, as it was set up. Frames that it has are lost, and counted."""
        if not self.running:
            raise DriverError(f"{self.path} is down: start() it")
        self.recoveries += 1
        self.changed("driver", "reset")
        self._quiet()
        self._take_down("reset")
        self._bring_up()
        self._unmask()

    def _try_to_recover(self) -> None:
        """`recover`; a card that does not come back is left alone, with its link down."""
        try:
            self.recover()
        except DriverError as error:
            self.link_up = False
            self.transmitter.running = True  # it fills up, and `reserve` says so
            self.drop("card dead", str(error))

    def _look_for_hang(self) -> None:
        """Frames that wait while the link is up, and none sent for `hang_timeout`: the card hangs."""
        if self.link_up and self.clock.now - self.transmitter.progress_at > self._hang_timeout:
            self._try_to_recover()

    # --- interrupts and link

    def _interrupted(self) -> bool:
        """The handler's end: the work is left to `poll`."""
        self.interrupts_seen += 1
        if self.wake is not None:
            self.wake()
        return True

    def _unmask(self) -> bool:
        """Interrupts on, if they are off; says whether they were, for a frame may have come just before."""
        if self.enabled or self._polling or not self.running:
            return False
        self._enable()
        return True

    def _take_link(self, up: bool, speed: int, full_duplex: bool | None) -> bool:
        """What has become of the link; says whether it has come up."""
        before = self.link_up
        self.link_up, self.speed, self.full_duplex = up, speed, full_duplex
        if up == before:
            return False
        if not up:
            self.changed("link", "down")
            return False
        self.transmitter.progress_at = self.clock.now
        duplex = {True: " full duplex", False: " half duplex", None: ""}[full_duplex]
        self.changed("link", f"up, {speed} Mbit/s{duplex}" if speed else "up")
        return True


# --- options


def check_mtu(mtu: int, least: int, most: int) -> None:
    """ConfigurationError says what the largest IP packet may be, in bytes."""
    if not least <= mtu <= most:
        raise ConfigurationError(f"mtu={mtu}: this card takes {least} to {most} bytes")


def check_offloads(checksum: bool, segmentation: bool) -> None:
    """ConfigurationError unless checksum_offload and segmentation_offload go together."""
    if segmentation and not checksum:
        raise ConfigurationError("segmentation_offload needs checksum_offload: each segment has a sum of its own")


def check_groups(groups: Sequence[bytes]) -> list[bytes]:
    """Multicast addresses; ConfigurationError when one is none."""
    for group in groups:
        if len(group) != 6 or not group[0] & 1:
            raise ConfigurationError(f"{group.hex(':')} is no multicast address: six bytes, the first of them odd")
    return [bytes(group) for group in groups]


def check_vlans(vlans: Iterable[int]) -> list[int]:
    """VLAN ids in order; ConfigurationError when one is none."""
    wanted = sorted(vlans)
    if wanted and not 0 <= wanted[0] <= wanted[-1] <= 4095:
        raise ConfigurationError(f"VLAN ids run from 0 to 4095, not {wanted[0]} to {wanted[-1]}")
    return wanted


def is_station(mac: bytes) -> bool:
    """Whether this can be a station's address: six bytes, not a group's, and not all zeros."""
    return len(mac) == 6 and not mac[0] & 1 and any(mac)
