"""motenet: a NIC laboratory. Register-exact network cards, their drivers and a TCP/IP stack, in a deterministic world."""
