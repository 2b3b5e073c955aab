"""What can go wrong for an application of the stack: one type each, also of the kind that Python's users know."""

from errno import (
    EADDRINUSE,
    EADDRNOTAVAIL,
    EAGAIN,
    EBADF,
    ECONNABORTED,
    ECONNREFUSED,
    ECONNRESET,
    EHOSTUNREACH,
    EINVAL,
    EMSGSIZE,
    ENETUNREACH,
    ENOTCONN,
    EPIPE,
)

from motenet.core.errors import ConfigurationError, MotenetError, Timeout


class StackError(MotenetError, OSError):
    """Root of the stack's errors, and a socket used in the wrong order. `errno` is an operating system's number."""

    number = EINVAL

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.errno = self.number


class ConnectionRefused(StackError, ConnectionRefusedError):
    """The peer answered with a reset, or said that nobody listens there: check its address and port."""

    number = ECONNREFUSED


class ConnectionReset(StackError, ConnectionResetError):
    """The peer reset the connection: what was on its way is lost; connect again."""

    number = ECONNRESET


class ConnectionAborted(StackError, ConnectionAbortedError):
    """This side gave the connection up: by abort(), or since the peer has not answered for too long."""

    number = ECONNABORTED


class BrokenPipe(StackError, BrokenPipeError):
    """This side has closed its direction already; nothing more can be sent."""

    number = EPIPE


class NotConnected(StackError):
    """The socket has no peer yet: connect it first, or name the destination."""

    number = ENOTCONN


class TimedOut(Timeout):
    """The deadline passed, in virtual time (ETIMEDOUT)."""


class HostUnreachable(StackError):
    """The destination's host does not answer address resolution, or a router says that it cannot be reached."""

    number = EHOSTUNREACH


class NetworkUnreachable(StackError):
    """No route leads to the destination: add an address of its network, or a gateway."""

    number = ENETUNREACH


class AddressInUse(StackError):
    """Another socket has this port already: close that, or take another port (0 picks a free one)."""

    number = EADDRINUSE


class AddressNotAvailable(StackError):
    """The address is not one of this stack's, or all ports are taken."""

    number = EADDRNOTAVAIL


class BadHandle(StackError, KeyError):
    """No socket of this set has that handle: it is finished, or another stack's."""

    number = EBADF


class MessageTooLong(StackError):
    """The datagram is longer than its protocol can carry, or its path: sent again, it goes in fragments."""

    number = EMSGSIZE


class QueueFull(StackError, BlockingIOError):
    """The socket's queue has no room now: wait until it has sent something."""

    number = EAGAIN


class DnsError(StackError):
    """A name has not led to addresses. `errno` is getaddrinfo's number, as Linux has it (EAI_...)."""

    number = -4  # EAI_FAIL


class BadName(DnsError, ConfigurationError):
    """The text cannot be a host's name: a label is empty, too long, or has characters that no host has."""

    number = -2  # EAI_NONAME


class NameNotFound(DnsError):
    """There is no such name (NXDOMAIN): check its spelling, or the search list."""

    number = -2  # EAI_NONAME


class NoAddress(DnsError):
    """The name exists, but has no address of the family that was asked for (NODATA)."""

    number = -5  # EAI_NODATA


class DnsTimeout(DnsError, TimedOut):
    """No DNS server has answered: check their addresses, and the way there."""

    number = -3  # EAI_AGAIN


class DnsFailure(DnsError):
    """There is no DNS server to ask, or all refuse or fail to answer, or cannot be reached; the message says which."""

    number = -3  # EAI_AGAIN


class DnsCancelled(DnsError):
    """The query was given up before it was answered."""

    number = -101  # EAI_CANCELED
