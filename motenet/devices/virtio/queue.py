"""A virtqueue as the device sees it: what is available is popped, what is used pushed and published (virtio 2.6).

The layout (split.py, packed.py) is chosen when the queue is enabled. Positions in the ring run free, and are brought
into it only where memory is reached: modulo 65536 for split queues, as idx does; modulo two laps for packed ones, the
lap being the wrap counter.
"""

from collections import deque
from collections.abc import Callable
from typing import ClassVar, Protocol

from motenet.core.state import Component
from motenet.core.state import Plain as State
from motenet.datasheets.virtio import queues as sheet
from motenet.datasheets.virtio.pci import NO_VECTOR
from motenet.devices.virtio.chain import BAD_SIZE, MISALIGNED, Chain, Plain, Violation
from motenet.devices.virtio.packed import PackedRing
from motenet.devices.virtio.split import SplitRing
from motenet.doors import BusMaster

UNKNOWN = -1
"""VirtQueue.silenced: what the rings say is what the last user has left there."""


class Ring(Protocol):
    """One of the two layouts, bound to a queue's addresses until it is reset or disabled."""

    def fetch(self) -> None:
        """Gather available chains into the queue's `fetched`, which is empty."""

    def publish(self) -> bool:
        """Store what was pushed. Whether the driver wants to be told."""

    def suppress(self, on: bool) -> None:
        """Tell the driver whether notifications are wanted."""

    def waiting(self) -> bool:
        """Whether something is available beyond what was fetched."""

    def modulus(self) -> int:
        """After how many steps positions repeat."""


class VirtQueue(Component):
    """One queue. `fail(reason, detail)` is told what the driver has done wrong; the queue is then to be `broken`.

    Transports set size, vector and the three addresses while it is disabled, and enable it.
    """

    STATE: ClassVar[tuple[str, ...]] = (
        "size", "vector", "descriptors", "driver_area", "device_area", "enabled", "broken", "bus_master", "packed",
        "event_index", "indirect", "generation", "last_available", "last_used", "silenced", "fetched", "used_ids",
        "used_lengths", "used_steps",
    )  # fmt: skip

    def __init__(self, index: int, max_size: int, fail: Callable[[str, str], None], path: str) -> None:
        self.path = path
        self.index = index
        self.max_size = max_size
        self.only_read = False
        """The device writes to none of its buffers (a transmit queue's)."""
        self.generation = 0
        """Counts resets, enablings, disablings and losses of the bus: work that began before is not continued."""
        self.fetched: deque[Plain] = deque()
        """Chains that have been read, and not been popped."""
        self.used_ids: list[int] = []
        """Of those that were pushed, and are not published: their ids, bytes written, and steps in the ring."""
        self.used_lengths: list[int] = []
        self.used_steps: list[int] = []
        self.bus_master = True
        """Memory can be reached."""
        self._fail = fail
        self._dma: BusMaster | None = None
        self._ring: Ring | None = None
        self._modulus = 1
        self.reset()

    def plug(self, dma: BusMaster) -> None:
        """Take the bus."""
        self._dma = dma

    def reset(self) -> None:
        """As after power-on (virtio 2.4, 4.1.4.3)."""
        self.size = self.max_size
        self.vector = NO_VECTOR
        self.descriptors = self.driver_area = self.device_area = 0
        self.enabled = self.broken = False
        self.packed = self.event_index = self.indirect = False
        self.last_available = 0
        """Where the next chain to be popped is in the ring, or will be."""
        self.last_used = 0
        """Where the next used element to be published goes."""
        self.silenced = UNKNOWN
        """1: the driver has been told that notifications are not needed; 0: that they are."""
        self._forget()

    def _forget(self) -> None:
        """Nothing that is in hand counts any more."""
        self.generation += 1
        self.fetched.clear()
        self.clear_used()
        self._ring = None

    def clear_used(self) -> None:
        """For the layouts: what was pushed is published."""
        self.used_ids.clear()
        self.used_lengths.clear()
        self.used_steps.clear()

    def load(self, state: State) -> None:
        super().load(state)
        self._bind()

    # --- setting it up

    def enable(self, *, packed: bool, event_index: bool, indirect: bool) -> bool:
        """Begin to use it, where its positions are. False: the driver has set it up wrong, and `fail` was told how."""
        self.packed = packed
        self.features_set(event_index=event_index, indirect=indirect)
        if not 0 < self.size <= self.max_size or (not packed and self.size & self.size - 1):
            kind = "packed" if packed else "split, which wants powers of two"
            return self._refuse(Violation(BAD_SIZE, f"{self.size} descriptors, up to {self.max_size}, {kind}"))
        if packed:
            aligns = (sheet.PVIRTQ_DESC_ALIGN, sheet.PVIRTQ_EVENT_ALIGN, sheet.PVIRTQ_EVENT_ALIGN)
        else:
            aligns = (sheet.VIRTQ_DESC_ALIGN, sheet.VIRTQ_AVAIL_ALIGN, sheet.VIRTQ_USED_ALIGN)
        areas = (("descriptors", self.descriptors), ("driver", self.driver_area), ("device", self.device_area))
        for (area, address), align in zip(areas, aligns, strict=True):
            if address % align:
                return self._refuse(Violation(MISALIGNED, f"{area} area at {address:#x}, no multiple of {align}"))
        self._forget()
        self.silenced = UNKNOWN
        self.enabled = True
        self._bind()
        return True

    def _refuse(self, violation: Violation) -> bool:
        self.violated(violation)
        return False

    def violated(self, violation: Violation) -> None:
        """For the layouts: the driver has broken a rule; the queue stops."""
        self.broken = True
        self._fail(violation.rule.reason, f"queue {self.index}: {violation}")

    def features_set(self, *, event_index: bool, indirect: bool) -> None:
        """What was negotiated: with the legacy interface perhaps after the queue was enabled."""
        self.event_index, self.indirect = event_index, indirect

    def disable(self) -> None:
        """Stop using it. Its positions stay, less what was popped and is not published."""
        self.clear_used()
        self.rewind()
        self._forget()
        self.enabled = False

    def bus_master_changed(self, enabled: bool) -> None:
        """Without the bus nothing is popped or published. What is in hand is still available when it comes back."""
        self.bus_master = enabled
        if not enabled:
            self.rewind()
            self.generation += 1
        self._bind()

    def _bind(self) -> None:
        self._ring = None
        if self.enabled and self.bus_master and self._dma is not None:
            self._ring = PackedRing(self, self._dma) if self.packed else SplitRing(self, self._dma)
            self._modulus = self._ring.modulus()

    # --- the device's work

    def pop(self) -> Chain | None:
        """The next available chain. None: there is none, or the driver has broken a rule."""
        plain = self.take()
        return None if plain is None else Chain._make(plain)

    def take(self) -> Plain | None:
        """`pop`, for hot paths: the chain's members."""
        fetched = self.fetched
        if not fetched:
            if self._ring is None or self.broken:
                return None
            self._ring.fetch()
            if not fetched:
                return None
        chain = fetched.popleft()
        self.last_available = (self.last_available + chain[1]) % self._modulus
        return chain

    def pop_all(self) -> list[Plain]:
        """The next available chains, as many as are fetched together; none: as for `pop`."""
        fetched = self.fetched
        if not fetched and self._ring is not None and not self.broken:
            self._ring.fetch()
        chains = list(fetched)
        fetched.clear()
        steps = sum([chain[1] for chain in chains])
        self.last_available = (self.last_available + steps) % self._modulus
        return chains

    def unpop(self, chain: Plain) -> None:
        """Give back the chain that was popped last."""
        self.fetched.appendleft(chain)
        self.last_available = (self.last_available - chain[1]) % self._modulus

    def push(self, chain: Plain, written: int) -> None:
        """The chain has been used, `written` bytes from its first writable one on. `publish` tells the driver."""
        self.used_ids.append(chain[0])
        self.used_lengths.append(written)
        self.used_steps.append(chain[1])

    def push_all(self, chains: list[Plain]) -> None:
        """These chains have been used, and nothing was written."""
        self.used_ids += [chain[0] for chain in chains]
        self.used_lengths += [0] * len(chains)
        self.used_steps += [chain[1] for chain in chains]

    def publish(self) -> bool:
        """Let the driver see all that was pushed, together. Whether it wants a used buffer notification for it."""
        return bool(self.used_ids) and self._ring is not None and self._ring.publish()

    def rewind(self) -> None:
        """Forget what was popped and not pushed: it is still available."""
        self.fetched.clear()
        self.last_available = (self.last_used + sum(self.used_steps)) % self._modulus

    def available(self) -> bool:
        """Whether something waits to be popped."""
        if self._ring is None or self.broken:
            return False
        return bool(self.fetched) or self._ring.waiting()

    def want_notifications(self, on: bool) -> bool:
        """Whether the driver should notify from here on. True: something is available already, so look again."""
        if self._ring is None or self.broken:
            return False
        self._ring.suppress(on)
        return on and self.available()

    # --- positions, as vhost-user speaks of them

    def get_base(self) -> int:
        """Split: the next available index. Packed: bits 0-14 next available, 15 its wrap counter, 16-31 next used."""
        if not self.packed:
            return self.last_available
        return self._position(self.last_available) | self._position(self.last_used) << 16

    def _position(self, steps: int) -> int:
        """A packed position with its wrap counter in bit 15."""
        return steps % self.size | (0 if steps >= self.size else 0x8000)

    def set_base(self, base: int) -> None:
        """Continue there; to be set once the size is, and `packed`. What is available was all used before."""
        if self.packed:
            base = (base & 0x7FFF) % self.size + (0 if base & 0x8000 else self.size)
        self.fetched.clear()
        self.last_available = self.last_used = base & 0xFFFF
