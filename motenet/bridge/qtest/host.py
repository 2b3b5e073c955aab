"""A stack on a card in QEMU that looks after itself, as a host's of a world does: polled by interrupts and timers."""

from motenet.bridge.qtest.machine import QtestMachine
from motenet.doors import NetworkDriver
from motenet.sim.poller import Poller
from motenet.stack import NetworkStack


class QtestHost(Poller):
    """Joins a driver and its stack to a QEMU machine's clock. Peers are hosts of the world on `machine.clock.world`.

    Whoever waits, waits on `machine.clock`: that runs QEMU and the world together.
    """

    def __init__(self, machine: QtestMachine, driver: NetworkDriver, stack: NetworkStack) -> None:
        super().__init__(machine.clock, stack, f"{machine.name}/poller")
        self.machine = machine
        self.driver = driver
        self.stack = stack
