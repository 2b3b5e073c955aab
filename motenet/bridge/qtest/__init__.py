"""QEMU's own C device models behind our first door: a driver of ours drives them over the qtest protocol.

    world = motenet.World(seed=7)
    bob = world.host("bob", address="10.0.0.2/24")
    with QtestMachine("e1000", clock=world.clock) as machine:
        world.join(machine)
        world.link(machine, bob)
        driver = motenet.drivers.E1000Driver(machine.function)
        alice = QtestHost(machine, driver, motenet.NetworkStack(driver, address="10.0.0.1/24"))
        alice.start()
        machine.run("3s")  # QEMU's card takes no frame for a second after it was set up
        alice.stack.ping("10.0.0.2")

Frames and replies come in no certain order, so such a world has no fingerprint to rely on.
"""

from motenet.bridge.qtest.host import QtestHost
from motenet.bridge.qtest.machine import QtestMachine
from motenet.bridge.qtest.wire import Wire

__all__ = ["QtestHost", "QtestMachine", "Wire"]
