"""The listening socket: one client at a time has the slot; others are told that it is busy."""

import errno
import socket
from pathlib import Path

from motenet.bridge.channel import Channel
from motenet.bridge.realtime import RealTime
from motenet.bridge.server import SocketServer
from motenet.bridge.vfio_user import protocol
from motenet.bridge.vfio_user.session import Session
from motenet.bridge.vfio_user.slot import GuestSlot


class Server(SocketServer):
    """A vfio-user server on a Unix socket.

    When a client goes, in whatever way, its memory and eventfds are let go, the card is reset, and the next may come.
    """

    def __init__(self, slot: GuestSlot, path: str | Path, pump: RealTime) -> None:
        super().__init__(slot.clock, "vfio-user", path, pump)
        self.slot = slot

    def begin(self, connection: socket.socket) -> Session:
        return Session(Channel(connection, protocol.message_size), self.slot, self.resume)

    def busy(self, message: bytes) -> bytes:
        if len(message) < protocol.HEADER.size:
            return b""
        ident, command, *_ = protocol.HEADER.unpack_from(message)
        return protocol.error_reply(ident, command, errno.EBUSY)

    def gone(self) -> None:
        self.slot.disconnected()
