"""The listening socket: one client at a time has the slot; others are told that it is busy."""

import errno
import os
import socket
import stat
from pathlib import Path
from typing import ClassVar

from motenet.bridge.realtime import RealTime
from motenet.bridge.tap import BridgeError
from motenet.bridge.vfio_user import protocol
from motenet.bridge.vfio_user.channel import ANCILLARY, Channel, close_files
from motenet.bridge.vfio_user.session import Session
from motenet.bridge.vfio_user.slot import GuestSlot
from motenet.core.errors import ConfigurationError
from motenet.core.trace import Watched
from motenet.core.units import MS

LONGEST_PATH = 107
"""Bytes of a Unix socket's path (unix(7): sun_path)."""
WAITING = 8
"""Clients that may wait to be told that the slot is busy."""
RETRY = MS
"""How often a client that does not take its answers is offered them again."""
RETRIES = 5_000


class Server(Watched):
    """A vfio-user server on a Unix socket, served by a RealTime.

    When a client goes, in whatever way, its memory and eventfds are let go, the card is reset, and the next may come.
    """

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "clients")

    def __init__(self, slot: GuestSlot, path: str | Path, pump: RealTime) -> None:
        super().__init__(slot.clock, "vfio-user")
        self.slot = slot
        self.socket_path = Path(path)
        self.clients = 0
        """How many have been served, the present one included."""
        self.session: Session | None = None
        self._pump = pump
        self._world = slot.clock.world
        self._refused: list[socket.socket] = []
        self._retries = 0
        self._listener = _listen(self.socket_path)
        pump.watch(self._listener.fileno(), self._accept)

    @property
    def connected(self) -> bool:
        """Whether a client has the slot."""
        return self.session is not None

    def close(self) -> None:
        """Hang up, and take the socket out of the file system; may be called twice."""
        if self._listener.fileno() < 0:
            return
        self._end_session("the server closes")
        while self._refused:
            self._forget(self._refused[0])
        self._pump.unwatch(self._listener.fileno())
        self._listener.close()
        self.socket_path.unlink(missing_ok=True)

    # --- clients come and go

    def _accept(self, when: int) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # it has gone again
        connection.setblocking(False)
        if self.session is not None:
            self.drop("slot busy", "a second client")
            if len(self._refused) >= WAITING:
                self._forget(self._refused[0])
            self._refused.append(connection)
            self._pump.watch(connection.fileno(), lambda _: self._refuse(connection))
            return
        self.session = Session(Channel(connection), self.slot, self._resume)
        self.clients += 1
        self._retries = 0
        self.changed("client", "connected")
        self._pump.watch(connection.fileno(), self._readable)

    def _refuse(self, connection: socket.socket) -> None:
        """Answer a further client's first message: EBUSY."""
        try:
            data, ancillary, _, _ = connection.recvmsg(protocol.MAX_MESSAGE, ANCILLARY)
            for _, _, files in ancillary:
                close_files(list(memoryview(files).cast("i")))
            if len(data) >= protocol.HEADER.size:
                ident, command, *_ = protocol.HEADER.unpack_from(data)
                connection.send(protocol.error_reply(ident, command, errno.EBUSY))
        except OSError:
            pass  # it has gone already
        self._forget(connection)

    def _forget(self, connection: socket.socket) -> None:
        self._refused.remove(connection)
        self._pump.unwatch(connection.fileno())
        connection.close()

    def _end_session(self, reason: str) -> None:
        session, self.session = self.session, None
        if session is None:
            return
        self._pump.unwatch(session.channel.socket.fileno())
        session.channel.close()
        self.changed("client", f"gone: {reason}")  # before the card forgets what its driver did
        self.slot.disconnected()

    # --- the client's messages

    def _readable(self, when: int) -> None:
        self._world.at(when, self._serve)

    def _serve(self, _: object) -> None:
        session = self.session
        if session is None:
            return
        session.serve()
        if not session.channel.open:
            self._end_session(session.failure or "it has hung up")
        elif session.channel.backlog:
            self._pump.unwatch(session.channel.socket.fileno())  # it shall take its answers before it asks on
            self._world.after(RETRY, self._flush, self.clients)

    def _resume(self) -> None:
        self._world.at(self._world.now, self._serve)

    def _flush(self, client: int) -> None:
        session = self.session
        if session is None or client != self.clients:
            return
        if session.channel.flush():
            self._retries = 0
            self._pump.watch(session.channel.socket.fileno(), self._readable)
        elif session.channel.open and self._retries < RETRIES:
            self._retries += 1
            self._world.after(RETRY, self._flush, client)
        else:
            self._end_session("it does not take its answers")


def _listen(path: Path) -> socket.socket:
    """A listening socket; one that a dead server has left is replaced."""
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise ConfigurationError(f"{path} is longer than a socket's path may be ({LONGEST_PATH} bytes): choose another")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                try:
                    probe.connect(str(path))
                except ConnectionRefusedError:
                    path.unlink()
                else:
                    raise ConfigurationError(f"{path} is in use: another server listens there")
        listener.bind(str(path))
        listener.listen(WAITING)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise BridgeError(f"cannot listen on {path}: {error.strerror}") from error
    except ConfigurationError:
        listener.close()
        raise
    return listener
