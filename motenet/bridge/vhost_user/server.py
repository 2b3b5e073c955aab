"""The back-end's socket: one front-end at a time."""

import socket
from pathlib import Path

from motenet.bridge.channel import Channel
from motenet.bridge.realtime import RealTime
from motenet.bridge.server import SocketServer
from motenet.bridge.vhost_user import protocol
from motenet.bridge.vhost_user.backend import BackEnd
from motenet.bridge.vhost_user.session import Session


class Server(SocketServer):
    """A vhost-user back-end on a Unix socket. A second front-end is hung up on: the protocol has no word for "busy".

    When a front-end goes, in whatever way, its memory and eventfds are let go, the device is reset, and the next may
    come. With `connect` it is the front-end that listens (DPDK's "server=1", QEMU's "server=on"), and that is looked
    for again when it has gone.
    """

    def __init__(self, backend: BackEnd, path: str | Path, pump: RealTime, *, connect: bool = False) -> None:
        self.backend = backend
        super().__init__(backend.clock, "vhost-user", path, pump, connect=connect)

    def begin(self, connection: socket.socket) -> Session:
        return Session(Channel(connection, protocol.message_size), self.backend, self._pump)

    def gone(self) -> None:
        for ring in self.backend.rings:
            if ring.kick is not None:
                self._pump.unwatch(ring.kick)
        self.backend.disconnected()
