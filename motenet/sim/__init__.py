"""The world: hosts, links, switches, faults, capture, snapshots."""

from motenet.sim.capture import Capture
from motenet.sim.host import Host
from motenet.sim.link import Link
from motenet.sim.switch import Switch
from motenet.sim.world import World

__all__ = ["Capture", "Host", "Link", "Switch", "World"]
