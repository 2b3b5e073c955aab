"""motenet: a NIC laboratory. Register-exact network cards, their drivers and a TCP/IP stack, in a world of virtual time."""
