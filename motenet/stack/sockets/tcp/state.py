"""The states of a connection (RFC 9293, 3.3.2), and how one may fail."""

from enum import StrEnum

from motenet.core.errors import MotenetError
from motenet.stack import errors
from motenet.stack.address import format_endpoint


class State(StrEnum):
    """What a connection has gone through; the names are the RFC's. A listener stands for LISTEN, so it is not here."""

    CLOSED = "CLOSED"
    SYN_SENT = "SYN-SENT"
    SYN_RECEIVED = "SYN-RECEIVED"
    ESTABLISHED = "ESTABLISHED"
    FIN_WAIT_1 = "FIN-WAIT-1"
    FIN_WAIT_2 = "FIN-WAIT-2"
    CLOSE_WAIT = "CLOSE-WAIT"
    CLOSING = "CLOSING"
    LAST_ACK = "LAST-ACK"
    TIME_WAIT = "TIME-WAIT"


MAY_SEND = (State.ESTABLISHED, State.CLOSE_WAIT)
"""Here the application may still hand over data (RFC 9293, 3.10.2)."""
MAY_RECEIVE = (State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2)
"""Here the peer may still send data (RFC 9293, 3.10.7.4, seventh)."""
HAS_CLOSED = (State.FIN_WAIT_1, State.CLOSING, State.LAST_ACK)
"""Here our FIN is queued or on its way."""


class Failure(StrEnum):
    """Why a connection ended before its time."""

    REFUSED = "refused"
    RESET = "reset"
    ABORTED = "aborted"
    TIMED_OUT = "timed out"
    UNREACHABLE = "unreachable"
    UNDONE = "undone"


_ERRORS: dict[str, tuple[type[MotenetError], str]] = {
    Failure.REFUSED: (errors.ConnectionRefused, "{} refused the connection: check the address and the port"),
    Failure.RESET: (errors.ConnectionReset, "{} reset the connection: what was on its way is lost"),
    Failure.ABORTED: (errors.ConnectionAborted, "abort() has ended the connection with {}: open another one"),
    Failure.TIMED_OUT: (errors.TimedOut, "{} has not answered for the user timeout: check it and the path"),
    Failure.UNDONE: (errors.ConnectionAborted, "the world was restored to before this connection with {}: open one"),
    Failure.UNREACHABLE: (errors.HostUnreachable, "a router cannot reach {}: check the address and the routes"),
}


def exception(failure: str, peer: tuple[bytes, int]) -> MotenetError:
    """The error that an application gets for a failure; it names the peer (address and port)."""
    kind, message = _ERRORS[failure]
    return kind(message.format(format_endpoint(*peer)))
