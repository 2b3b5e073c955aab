"""Device status (virtio 2.1) and feature bits (virtio 6 and 5.1.3), with what each requires."""

from motenet.datasheets.registers import Field, Register

DEVICE_STATUS_FIELDS = (
    Field("ACKNOWLEDGE", 0, doc="the driver has found the device"),
    Field("DRIVER", 1, doc="the driver knows how to drive it"),
    Field("DRIVER_OK", 2, doc="the driver is set up and ready"),
    Field("FEATURES_OK", 3, doc="the features are agreed on; reads 0 if the device refuses them"),
    Field("DEVICE_NEEDS_RESET", 6, write="ignore", doc="the device has met an error that it cannot recover from"),
    Field("FAILED", 7, doc="the driver has given up"),
)
DEVICE_STATUS = Register("device_status", 0, "virtio 2.1", DEVICE_STATUS_FIELDS, width=8, doc="writing 0 resets")
"""The bits as such; each transport puts them at an offset of its own."""

FEATURES = Register(
    "features", 0, "virtio 6, 5.1.3",
    (
        Field("CSUM", 0, doc="device handles packets with partial checksum"),
        Field("GUEST_CSUM", 1, doc="driver handles packets with partial checksum"),
        Field("CTRL_GUEST_OFFLOADS", 2, doc="receive offloads can be switched over the control queue"),
        Field("MTU", 3, doc="config.mtu is the largest MTU"),
        Field("MAC", 5, doc="config.mac is the address"),
        Field("GSO", 6, doc="legacy 5.1.3.2: any GSO type"),
        Field("GUEST_TSO4", 7, doc="driver can receive TSO for IPv4"),
        Field("GUEST_TSO6", 8, doc="driver can receive TSO for IPv6"),
        Field("GUEST_ECN", 9, doc="driver can receive TSO with ECN"),
        Field("GUEST_UFO", 10, doc="driver can receive UFO"),
        Field("HOST_TSO4", 11, doc="device can cut TCP over IPv4"),
        Field("HOST_TSO6", 12, doc="device can cut TCP over IPv6"),
        Field("HOST_ECN", 13, doc="device can cut TCP with ECN"),
        Field("HOST_UFO", 14, doc="device can fragment UDP"),
        Field("MRG_RXBUF", 15, doc="a received packet may be spread over several buffers"),
        Field("STATUS", 16, doc="config.status is there"),
        Field("CTRL_VQ", 17, doc="there is a control queue"),
        Field("CTRL_RX", 18, doc="receive modes and MAC table over the control queue"),
        Field("CTRL_VLAN", 19, doc="VLAN filter over the control queue"),
        Field("CTRL_RX_EXTRA", 20, doc="more receive modes; 5.1.6.5.1 names it, the bit is the one in general use"),
        Field("GUEST_ANNOUNCE", 21, doc="driver can announce itself when asked"),
        Field("MQ", 22, doc="several queue pairs with automatic receive steering"),
        Field("CTRL_MAC_ADDR", 23, doc="the MAC address can be set over the control queue"),
        Field("NOTIFY_ON_EMPTY", 24, doc="legacy 6.3: a notification when a queue runs empty, suppressed or not"),
        Field("ANY_LAYOUT", 27, doc="legacy 6.3: no assumptions on message framing"),
        Field("RING_INDIRECT_DESC", 28, doc="indirect descriptors (2.7.5.3, 2.8.7)"),
        Field("RING_EVENT_IDX", 29, doc="used_event and avail_event (2.7.7, 2.7.10, 2.8.10)"),
        Field("VERSION_1", 32, doc="complies with this specification; without it: legacy"),
        Field("ACCESS_PLATFORM", 33, doc="DMA may be limited or translated by the platform"),
        Field("RING_PACKED", 34, doc="packed virtqueues"),
        Field("IN_ORDER", 35, doc="buffers are used in the order in which they are made available"),
        Field("ORDER_PLATFORM", 36, doc="memory accesses need the barriers of hardware devices"),
        Field("SR_IOV", 37, doc="single root I/O virtualization"),
        Field("NOTIFICATION_DATA", 38, doc="notifications carry the ring's position (2.9)"),
        Field("NOTIF_CONFIG_DATA", 39, doc="notifications carry queue_notify_data instead of the queue's number"),
        Field("RING_RESET", 40, doc="single queues can be reset (2.6.1)"),
        Field("GUEST_RSC4", 41, doc="legacy 5.1.3.2: device coalesces TCP over IPv4"),
        Field("GUEST_RSC6", 42, doc="legacy 5.1.3.2: device coalesces TCP over IPv6"),
        Field("HOST_USO", 56, doc="device can cut UDP into datagrams"),
        Field("HASH_REPORT", 57, doc="a hash with each packet"),
        Field("GUEST_HDRLEN", 59, doc="driver gives the exact hdr_len"),
        Field("RSS", 60, doc="receive-side scaling"),
        Field("RSC_EXT", 61, doc="device reports coalesced segments and doubled acknowledgements"),
        Field("STANDBY", 62, doc="device may stand by for another with the same address"),
        Field("SPEED_DUPLEX", 63, doc="config.speed and config.duplex are there"),
    ),
    width=64,
)  # fmt: skip
"""All feature bits, as one 64-bit number; transports show it in words of 32."""

REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "GUEST_TSO4": ("GUEST_CSUM",),
    "GUEST_TSO6": ("GUEST_CSUM",),
    "GUEST_ECN": ("GUEST_TSO4", "GUEST_TSO6"),
    "GUEST_UFO": ("GUEST_CSUM",),
    "HOST_TSO4": ("CSUM",),
    "HOST_TSO6": ("CSUM",),
    "HOST_ECN": ("HOST_TSO4", "HOST_TSO6"),
    "HOST_UFO": ("CSUM",),
    "HOST_USO": ("CSUM",),
    "CTRL_RX": ("CTRL_VQ",),
    "CTRL_RX_EXTRA": ("CTRL_VQ",),
    "CTRL_VLAN": ("CTRL_VQ",),
    "CTRL_GUEST_OFFLOADS": ("CTRL_VQ",),
    "GUEST_ANNOUNCE": ("CTRL_VQ",),
    "MQ": ("CTRL_VQ",),
    "CTRL_MAC_ADDR": ("CTRL_VQ",),
    "RSC_EXT": ("HOST_TSO4", "HOST_TSO6"),
    "RSS": ("CTRL_VQ",),
}
"""virtio 5.1.3.1: each needs one of those on its right, in this order: a feature comes after what it needs.

CTRL_RX_EXTRA and CTRL_GUEST_OFFLOADS are commands of the control queue, but missing from that list.
"""

LEGACY_FEATURES = (1 << 32) - 1
"""virtio 4.1.4.10: the legacy interface has feature bits 0 to 31 only."""
