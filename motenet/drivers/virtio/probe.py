"""Which transport leads to a device."""

from motenet.core.errors import ConfigurationError, DriverError
from motenet.datasheets.virtio.net import DEVICE_ID
from motenet.datasheets.virtio.pci import CAP_COMMON_CFG, MODERN_ID_BASE, TRANSITIONAL_NET_ID, VENDOR_ID
from motenet.doors import Function, PciFunction
from motenet.drivers import pci
from motenet.drivers.virtio.legacy import LegacyTransport
from motenet.drivers.virtio.mmio import MmioTransport
from motenet.drivers.virtio.modern import ModernTransport, structures
from motenet.drivers.virtio.transport import Transport

KNOWN = {
    (VENDOR_ID, MODERN_ID_BASE + DEVICE_ID): "virtio network device",
    (VENDOR_ID, TRANSITIONAL_NET_ID): "transitional virtio network device",
}
"""Vendor and device ids that this driver is for; any revision (4.1.2.2)."""

MODES = ("modern", "legacy")


def decode(function: PciFunction) -> None:
    """Let the function answer in the spaces of which it has BARs (PCI 6.2.2)."""
    pci.enable(function, *sorted({"IO" if kind == "io" else "MEMORY" for _, kind in pci.bars(function)}))


def find_transport(function: Function, mode: str | None) -> Transport:
    """The modern interface where there is one, else the legacy one (4.1.5.1.1.1); without configuration space, MMIO.

    `mode` "modern" or "legacy" insists on one. Memory and I/O decoding of a PCI function are switched on.
    """
    if mode is not None and mode not in MODES:
        raise ConfigurationError(f"mode={mode!r}: say {' or '.join(map(repr, MODES))}, or None to leave it open")
    if not isinstance(function, PciFunction):
        if mode == "legacy":
            raise DriverError(f"{function.name}: the legacy interface of virtio over MMIO is not driven")
        return MmioTransport(function)
    pci.identify(function, KNOWN)
    pci.power_up(function)
    decode(function)
    found = structures(function)
    if mode == "legacy" or (mode is None and CAP_COMMON_CFG not in found):
        if pci.identify(function, KNOWN) != KNOWN[VENDOR_ID, TRANSITIONAL_NET_ID]:
            raise DriverError(f"{function.name} is no transitional device: it has no legacy interface (virtio 4.1.2)")
        return LegacyTransport(function)
    return ModernTransport(function, found)
