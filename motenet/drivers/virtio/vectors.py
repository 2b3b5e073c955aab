"""Which event raises which interrupt (virtio 4.1.5.1.2)."""

from collections.abc import Callable, Sequence
from functools import partial

from motenet.core.errors import DriverError
from motenet.datasheets.virtio.pci import NO_VECTOR
from motenet.doors import Function
from motenet.drivers.virtio.transport import CONFIG_CAUSE, Transport


class Vectors:
    """INTx, a platform's line, or MSI-X: one vector for the configuration and one a queue, fewer if there are fewer.

    `interrupt(config, queues)` is told whether the configuration has changed, and whether queues want to be looked at.
    """

    def __init__(
        self,
        function: Function,
        transport: Transport,
        kinds: Sequence[str],
        interrupt: Callable[[bool, bool], bool],
    ) -> None:
        self._function, self._transport, self._kinds = function, transport, tuple(kinds)
        self._allocated: list[int] = []
        self._interrupt = interrupt

    def allocate(self, queues: Sequence[int]) -> None:
        """Get vectors for the configuration and these queues; MSI-X is enabled hereby."""
        self._allocated = self._function.interrupts.allocate(1 + len(queues), self._kinds)

    def connect(self, queues: Sequence[int]) -> None:
        """After FEATURES_OK, before the queues are opened: map what the device takes, and connect the handlers."""
        if not self._transport.messages():
            self._function.interrupts.connect(self._allocated[0], self._line)
            return
        for plan in self._plans(len(self._allocated), len(queues)):
            if self._map(plan, queues):
                self._connect(plan)
                return
        self._fall_back()

    def _plans(self, vectors: int, queues: int) -> list[list[int]]:
        """Entries of the MSI-X table for the configuration and each queue, from the best plan to the worst."""
        plans = []
        if vectors > queues:
            plans.append(list(range(queues + 1)))
        if vectors > 1:
            plans.append([0] + [1] * queues)
        plans.append([0] * (queues + 1))
        return plans

    def _map(self, plan: list[int], queues: Sequence[int]) -> bool:
        """4.1.5.1.2.2: each is read back; NO_VECTOR there means that the device has no more."""
        transport = self._transport
        mapped = transport.map_config(plan[0]) and all(
            transport.map_queue(queue, entry) for queue, entry in zip(queues, plan[1:], strict=True)
        )
        if not mapped:
            transport.map_config(NO_VECTOR)
            for queue in queues:
                transport.map_queue(queue, NO_VECTOR)
        return mapped

    def _connect(self, plan: list[int]) -> None:
        for entry in range(max(plan) + 1):
            handler = partial(self._interrupt, entry == plan[0], entry in plan[1:])  # one vector may be for both
            self._function.interrupts.connect(self._allocated[entry], handler)

    def _line(self) -> bool:
        """INTx, or a platform's line: reading tells what it is, and takes the line back (4.1.5.5, 4.2.3.4.1)."""
        causes = self._transport.causes()
        return bool(causes) and self._interrupt(bool(causes & CONFIG_CAUSE), True)

    def _fall_back(self) -> None:
        """The device refuses to map anything: MSI-X off, INTx instead."""
        interrupts = self._function.interrupts
        interrupts.free()
        if "intx" not in self._kinds:
            raise DriverError(f"{self._function.name}: the device maps no MSI-X vector (virtio 4.1.5.1.2.2)")
        self._allocated = interrupts.allocate(1, ("intx",))
        interrupts.connect(self._allocated[0], self._line)

    def free(self) -> None:
        """Disconnect everything."""
        self._function.interrupts.free()
