"""Exceptions for a caller's mistakes. A bad packet or a misbehaving driver never raises: it is counted or answered."""

from errno import ETIMEDOUT


class MotenetError(Exception):
    """Root of every exception that motenet raises on purpose; the message says what to do."""


class ConfigurationError(MotenetError, ValueError):
    """A value given by the caller cannot be used: unknown card, malformed address, unparsable bandwidth."""


class BlockingInsideWorld(MotenetError):
    """A blocking verb was called from inside an event; call it from the top level, or use the sockets."""


class WorldStuck(MotenetError):
    """The world has no event left, and what was waited for has not happened."""


class SnapshotError(MotenetError):
    """The world holds something that a snapshot cannot carry."""


class OutOfDmaMemory(MotenetError):
    """The machine has no free memory that satisfies size, alignment, boundary and mask: give it more, or use less."""


class DriverError(MotenetError):
    """A driver could not bring its card up, or was used in the wrong order."""


class Timeout(MotenetError, TimeoutError):
    """A blocking verb reached its deadline in virtual time."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.errno = ETIMEDOUT
