"""A stack on a card in QEMU that looks after itself, as a host's of a world does: polled by interrupts and timers."""

from motenet.bridge.qtest.machine import QtestMachine
from motenet.core.clock import FOREVER
from motenet.core.state import Component
from motenet.doors import NetworkDriver
from motenet.stack import NetworkStack


class QtestHost(Component):
    """Joins a driver and its stack to a QEMU machine's clock. Peers are hosts of the world on `machine.clock.world`.

    Whoever waits, waits on `machine.clock`: that runs QEMU and the world together.
    """

    def __init__(self, machine: QtestMachine, driver: NetworkDriver, stack: NetworkStack) -> None:
        self.path = machine.name
        self.machine = machine
        self.driver = driver
        self.stack = stack
        self.running = False
        self._clock = machine.clock
        self._posted = False
        self._alarm = FOREVER
        driver.wake = self._wake
        stack.kick = self._wake

    def start(self) -> None:
        """Bring the card up, and poll the stack for the first time."""
        self.driver.start()
        self.running = True
        self._wake()

    def stop(self) -> None:
        """Take the card down in an orderly way; the stack stays as it is."""
        self.running = False
        self.driver.stop()

    def _wake(self) -> None:
        if not self._posted:
            self._posted = True
            self._clock.post(self._poll)

    def _poll(self, _: None) -> None:
        self._posted = False
        if not self.running:
            return
        self.stack.poll(self._clock.now)
        self._set_alarm()

    def _set_alarm(self) -> None:
        """One lazy deadline: an alarm that comes too early looks again instead of having been moved."""
        now = self._clock.now
        deadline = self.stack.poll_at(now)
        if deadline is None or deadline >= self._alarm:
            return
        if deadline <= now:
            self._wake()
            return
        self._alarm = deadline
        self._clock.world.at(deadline, self._ring, deadline)

    def _ring(self, alarm: int) -> None:
        if alarm == self._alarm:
            self._alarm = FOREVER
            self._wake()
