"""The stack's errors as the standard library raises them, with an operating system's numbers."""

import os
import socket
from errno import EINVAL

from motenet.core.errors import MotenetError
from motenet.stack.errors import DnsError

_ADVICE = {
    socket.EAI_NONAME: "Name or service not known",
    socket.EAI_NODATA: "No address associated with hostname",
    socket.EAI_AGAIN: "Temporary failure in name resolution",
}
"""As getaddrinfo's gai_strerror() has it: programs print and compare these."""


def standard(error: MotenetError, doing: str = "") -> OSError:
    """What an operating system's socket would have raised; `doing` says what failed, in place of the usual words.

    The number chooses the type: ECONNREFUSED is a ConnectionRefusedError, and so on (PEP 3151).
    """
    number = getattr(error, "errno", None) or EINVAL
    if isinstance(error, DnsError):
        return socket.gaierror(number, _ADVICE.get(number, str(error)))
    return OSError(number, doing or os.strerror(number))
