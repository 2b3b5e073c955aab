"""TCP (RFC 9293): connections and listeners, sans I/O.

Segments go in by `process` and come out by `dispatch(now, emit)`; `poll_at` says when to call `dispatch` next.
"""

from motenet.stack.sockets.tcp.handshake import Endpoint, reset_reply
from motenet.stack.sockets.tcp.listener import TcpListener
from motenet.stack.sockets.tcp.socket import TcpSocket
from motenet.stack.sockets.tcp.state import Failure, State

__all__ = ["Endpoint", "Failure", "State", "TcpListener", "TcpSocket", "reset_reply"]
