"""The stack's errors as the standard library raises them, with an operating system's numbers."""

import os
import socket
from errno import (
    EADDRINUSE,
    EADDRNOTAVAIL,
    EAGAIN,
    ECONNABORTED,
    ECONNREFUSED,
    ECONNRESET,
    EHOSTUNREACH,
    EINVAL,
    EMSGSIZE,
    ENETUNREACH,
    ENOTCONN,
    EPIPE,
    ETIMEDOUT,
)

from motenet.core.errors import MotenetError
from motenet.stack import errors

_NUMBERS: dict[type[MotenetError], int] = {
    errors.ConnectionRefused: ECONNREFUSED,
    errors.ConnectionReset: ECONNRESET,
    errors.ConnectionAborted: ECONNABORTED,
    errors.BrokenPipe: EPIPE,
    errors.NotConnected: ENOTCONN,
    errors.TimedOut: ETIMEDOUT,
    errors.HostUnreachable: EHOSTUNREACH,
    errors.NetworkUnreachable: ENETUNREACH,
    errors.AddressInUse: EADDRINUSE,
    errors.AddressNotAvailable: EADDRNOTAVAIL,
    errors.MessageTooLong: EMSGSIZE,
    errors.QueueFull: EAGAIN,
}


def standard(error: MotenetError, doing: str = "") -> OSError:
    """What an operating system's socket would have raised; `doing` says what failed, in place of the usual words.

    A number chooses the type: ECONNREFUSED is a ConnectionRefusedError, and so on (PEP 3151).
    """
    if isinstance(error, errors.DnsError):
        return socket.gaierror(error.errno, _ADVICE.get(error.errno or 0, str(error)))
    number = next((number for kind, number in _NUMBERS.items() if isinstance(error, kind)), EINVAL)
    return OSError(number, doing or os.strerror(number))


_ADVICE = {
    socket.EAI_NONAME: "Name or service not known",
    socket.EAI_NODATA: "No address associated with hostname",
    socket.EAI_AGAIN: "Temporary failure in name resolution",
}
"""As getaddrinfo's gai_strerror() has it: programs print and compare these."""
