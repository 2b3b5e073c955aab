"""The virtio network card, whatever its transport."""

from typing import Any

from motenet.core.errors import ConfigurationError
from motenet.devices.parts.timing import timing as timing_profile
from motenet.devices.virtio.card import MAX_VECTORS, VirtioMmio, VirtioPci
from motenet.devices.virtio.device import VirtioDevice
from motenet.devices.virtio.modern import MAX_QUEUES
from motenet.devices.virtio.net import NetFunction

TRANSPORTS = ("modern", "transitional", "legacy", "mmio")


def VirtioNet(  # named like the cards that are classes: what it makes depends on the transport
    mac: str | bytes = "52:54:00:12:34:56",
    timing: str = "datasheet",
    *,
    transport: str = "modern",
    packed: bool = True,
    event_index: bool = True,
    indirect: bool = True,
    vectors: int | None = None,
    **options: Any,
) -> VirtioPci | VirtioMmio:
    """A virtio network card: doors.PciCard, or with transport "mmio" a doors.Card for a platform.

    transport: "modern" (1af4:1041), "transitional" (1af4:1000 with both interfaces), "legacy" (1af4:1000, the I/O
    interface only) or "mmio". packed, event_index, indirect: what queues can do. vectors: MSI-X messages, by default
    one for each queue and one for the configuration; 0: no MSI-X. timing: a profile, as for other cards; virtio has no
    delays of its own. options: NetFunction's (mtu, pairs, queue_size, speed, without).
    ConfigurationError for what cannot be.
    """
    timing_profile(timing)
    if transport not in TRANSPORTS:
        raise ConfigurationError(f"no transport is called {transport!r}; there are {', '.join(TRANSPORTS)}")
    net = NetFunction(mac, **options)
    device = VirtioDevice(
        net, packed=packed, event_index=event_index, indirect=indirect, legacy_only=transport == "legacy"
    )
    if transport == "mmio":
        if vectors:
            raise ConfigurationError("virtio over MMIO has one interrupt line and no MSI-X; leave vectors out")
        return VirtioMmio(device)
    if len(net.queues) > MAX_QUEUES:
        raise ConfigurationError(
            f"{len(net.queues)} queues do not fit into a PCI card's {MAX_QUEUES}; take fewer pairs"
        )
    messages = min(len(net.queues) + 1, MAX_VECTORS) if vectors is None else vectors
    if not 0 <= messages <= MAX_VECTORS:
        raise ConfigurationError(f"{messages} MSI-X vectors cannot be; there may be 0 to {MAX_VECTORS}")
    return VirtioPci(device, has_modern=transport != "legacy", has_legacy=transport != "modern", vectors=messages)
