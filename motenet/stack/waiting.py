"""How a verb waits: it lets the world run, in virtual time."""

from collections.abc import Callable

from motenet.core.errors import ConfigurationError
from motenet.core.units import duration, format_duration
from motenet.stack.address import parse_scoped
from motenet.stack.base import Stack
from motenet.stack.errors import DnsTimeout

Duration = str | int
"""A time span: "50us", or integer nanoseconds."""

Place = tuple[bytes, str]
"""An address, and the interface on whose link it lies, empty if that is not said."""


class Waiting(Stack):
    """What all verbs need."""

    _woken = False

    def _look_up(self, host: str | bytes, timeout: Duration) -> list[Place]:
        """What a host's name or address stands for, those to be tried first first. The errors of `dns_resolve`."""
        try:
            return [parse_scoped(host)]
        except ConfigurationError:
            if not isinstance(host, str) or not host or any(character in host for character in ":%/"):
                raise  # no name has these
        return [(address, "") for address in self._query(host, None, timeout)]

    def _query(self, name: str, family: int | None, timeout: Duration) -> list[bytes]:
        """The addresses of a name, by the DNS client."""
        query = self.dns.start_query(name, family)
        if not self._wait(lambda: query.done, self._deadline(timeout)):
            query.cancel()
            raise DnsTimeout(f"{name} was not found within {format_duration(duration(timeout))}: check the servers")
        if query.error is not None:
            raise query.error
        return list(query.addresses)

    def _deadline(self, timeout: Duration) -> int:
        return self.clock.now + duration(timeout)

    def _check_top_level(self) -> None:
        """BlockingInsideWorld if an event is running: a clock that may not wait says so."""
        self.drivers[0].clock.wait(_always, self.clock.now)

    def _wait(self, ready: Callable[[], bool], deadline: int) -> bool:
        """Let the world run until `ready()`, or until `deadline` in ns. Without a host we poll ourselves."""
        clock = self.drivers[0].clock
        if self.kick is not None:
            return clock.wait(ready, deadline)
        for driver in self.drivers:
            if driver.wake is None:
                driver.wake = self._driver_wakes
        while True:
            self._woken = False
            self.poll(clock.now)
            if ready():
                return True
            if clock.now >= deadline:
                return False
            at = self.poll_at(clock.now)
            clock.wait(self._is_woken, deadline if at is None else min(at, deadline))

    def _driver_wakes(self) -> None:
        self._woken = True

    def _is_woken(self) -> bool:
        return self._woken


def check_least(name: str, value: int, least: int, what: str) -> None:
    """ConfigurationError for what is no whole number, or too small a one."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{name}={value!r}: {what}")


def _always() -> bool:
    return True
