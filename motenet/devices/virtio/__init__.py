"""Virtio: transports x queues x net."""
