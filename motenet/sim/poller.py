"""Who polls a stack, and when: after an interrupt, at its timers, and when an application has asked for something."""

from typing import ClassVar

from motenet.core.clock import LocalClock
from motenet.core.state import Component
from motenet.core.units import US
from motenet.doors import NetworkDriver
from motenet.stack import NetworkStack

POLL_INTERVAL = 100 * US
"""How often cards are looked at when one of them has no interrupts."""


class Poller(Component):
    """Looks after a stack and its drivers on a machine's clock. However many ask, one event serves them all."""

    STATE: ClassVar[tuple[str, ...]] = ("running", "_posted", "_alarms")

    def __init__(self, clock: LocalClock, stack: NetworkStack, path: str = "poller") -> None:
        self.path = path
        self.running = False
        self._clock = clock
        self._stack = stack
        self._polled = False
        self._posted = False
        self._alarms: list[int] = []  # the heap has an entry for each; the earliest comes last
        stack.kick = self._wake
        for driver in stack.drivers:
            self.add(driver)

    def add(self, driver: NetworkDriver) -> None:
        """Another card of the stack; it is brought up if the others are."""
        driver.wake = self._wake
        self._polled |= driver.capabilities.polled
        if self.running:
            driver.start()
            self._wake()

    def start(self) -> None:
        """Bring the cards up; the machine's local time goes ahead by what that takes."""
        for driver in self._stack.drivers:
            driver.start()
        self.running = True
        self._wake()

    def stop(self) -> None:
        """Take the cards down in an orderly way; the stack stays as it is."""
        self.running = False
        for driver in self._stack.drivers:
            driver.stop()

    def _wake(self) -> None:
        if not self._posted:
            self._posted = True
            self._clock.post(self._poll)

    def _poll(self, _: None) -> None:
        self._posted = False
        if not self.running:
            return
        now = self._clock.now
        try:
            self._stack.poll(now)
        except BaseException:  # of an application's waker, or Ctrl-C: what it has left undone is due when time goes on
            self._wake()
            raise
        self._set_alarm(now)

    def _set_alarm(self, now: int) -> None:
        """Lazy deadlines: an alarm that comes too early looks again, and only one earlier than all others is added."""
        deadline = self._deadline(now)
        if deadline is None:
            return
        if deadline <= now:
            self._wake()
        elif not self._alarms or deadline < self._alarms[-1]:
            self._alarms.append(deadline)
            self._clock.world.at(deadline, self._ring, deadline)

    def _ring(self, alarm: int) -> None:
        self._alarms.remove(alarm)
        now = self._clock.now
        deadline = self._deadline(now)
        if self._polled or (deadline is not None and deadline <= now):
            self._poll(None)
        else:
            self._set_alarm(now)

    def _deadline(self, now: int) -> int | None:
        deadline = self._stack.poll_at(now)
        if not self._polled or not self.running:
            return deadline
        return now + POLL_INTERVAL if deadline is None else min(deadline, now + POLL_INTERVAL)
