"""The device behind a function: how it is reached, what has been agreed on, and how it is brought up (virtio 3.1)."""

from collections.abc import Callable

from motenet.core.errors import DriverError
from motenet.datasheets.virtio.features import FEATURES
from motenet.doors import Function, PciFunction
from motenet.drivers import pci
from motenet.drivers.virtio.layout import Layout
from motenet.drivers.virtio.probe import decode, find_transport
from motenet.drivers.virtio.settings import Configuration, mask, read_configuration
from motenet.drivers.virtio.transport import NEEDS_RESET, give_up, go_live, negotiate, reset


class Device:
    """Negotiates when it is made, for queues and memory follow from that, and leaves the device reset by `reset`."""

    def __init__(self, function: Function, mode: str | None, wanted: int) -> None:
        self._function = function
        self._wanted = wanted
        self.transport = find_transport(function, mode)
        self.features = self._negotiate()
        """What driver and device have agreed on."""

    def _negotiate(self) -> int:
        try:
            return negotiate(self.transport, self._wanted, self._function.delay)
        except DriverError:
            give_up(self.transport)
            raise

    def has(self, *features: str) -> bool:
        """Whether all of these features have been agreed on."""
        wanted = mask(*features)
        return self.features & wanted == wanted

    def configuration(self) -> Configuration:
        """What the device says of itself now; DriverError when it cannot be read."""
        return read_configuration(self.transport, self.features)

    def needs_reset(self) -> bool:
        """2.1.1: the device has given up."""
        return bool(self.transport.read_status() & NEEDS_RESET)

    def reset(self) -> None:
        """3.3.1: after this nothing of ours is the device's. DriverError when it never ends."""
        reset(self.transport, self._function.delay)

    def open_bus(self, polled: bool) -> None:
        """A PCI function answers, masters the bus, and drives INTx only if somebody listens (PCI 6.2.2)."""
        if isinstance(self._function, PciFunction):
            pci.power_up(self._function)
            decode(self._function)
            pci.enable(self._function, "MASTER", *(("INTX_DISABLE",) if polled else ()))

    def close_bus(self, polled: bool) -> None:
        """No bus master any more."""
        if isinstance(self._function, PciFunction):
            pci.disable(self._function, "MASTER", *(("INTX_DISABLE",) if polled else ()))

    def bring_up(self, layout: Layout, prepare: Callable[[], None]) -> None:
        """3.1.1. `prepare` is called once the features are agreed on, with no queue open: for vectors and such."""
        features = self._negotiate()  # steps 1 to 6
        try:
            if features != self.features:
                offer = f"{FEATURES.describe(features)} instead of {FEATURES.describe(self.features)}"
                raise DriverError(f"{self._function.name}: the device offers {offer}; make a new driver for it")
            prepare()
            layout.open(self.transport)  # step 7
        except DriverError:
            give_up(self.transport)
            raise
        go_live(self.transport)  # step 8
        layout.go_live(self.transport)
