"""A whole network in one call: world.internet() builds a router with DHCP, DNS and names for all hosts."""

from motenet.apps.internet.world import World

__all__ = ["World"]
