"""Virtio over PCI and MMIO, and its network device, with the clauses of the specification.

Source: Virtual I/O Device (VIRTIO) Version 1.2, OASIS Committee Specification 01 ("virtio"). Bits and layouts that the
specification names for other device types, and shared memory regions, are left out.

features: device status and feature bits; queues: split and packed virtqueues; net: the network device; pci: ids and
capabilities; common, legacy and mmio: the register spaces of the three transports.
"""
