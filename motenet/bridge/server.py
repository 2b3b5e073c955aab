"""A Unix socket whose other end is served: one client at a time; or, turned round, whoever listens there."""

import os
import socket
import stat
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Protocol

from motenet.bridge.channel import ANCILLARY, Channel, close_files
from motenet.bridge.realtime import RealTime
from motenet.bridge.tap import BridgeError
from motenet.core.clock import LocalClock
from motenet.core.errors import ConfigurationError
from motenet.core.trace import Watched
from motenet.core.units import MS

LONGEST_PATH = 107
"""Bytes of a Unix socket's path (unix(7): sun_path)."""
WAITING = 8
"""Clients that may wait to be told that there is one already."""
LONGEST_REFUSED = 1 << 20
"""Bytes of a further client's first message that are looked at."""
RETRY = MS
"""How often a client that does not take its answers is offered them again."""
RETRIES = 5_000
RECONNECT = 100 * MS
"""How often a server that is not there is looked for."""


class Session(Protocol):
    """One client's conversation."""

    channel: Channel
    failure: str
    """Why the conversation had to be ended, if it had."""

    def serve(self) -> None:
        """Take what has come and carry it out. Afterwards `channel.open` says whether the client is still there."""


class SocketServer(Watched, ABC):
    """A server on a Unix socket, served by a RealTime; `begin`, `busy` and `gone` are for its protocol to fill in.

    When a client goes, in whatever way, nothing of it is kept, and the next may come.
    """

    STATE: ClassVar[tuple[str, ...]] = (*Watched.STATE, "clients")

    def __init__(
        self, clock: LocalClock, name: str, path: str | Path, pump: RealTime, *, connect: bool = False
    ) -> None:
        """connect: do not listen, but connect to whoever listens there, and again whenever the connection ends."""
        super().__init__(clock, name)
        self.socket_path = Path(path)
        self.clients = 0
        """How many have been served, the present one included."""
        self._session: Session | None = None
        self._pump = pump
        self._world = clock.world
        self._refused: list[socket.socket] = []
        self._retries = 0
        self._closed = False
        self._listener = None if connect else _listen(self.socket_path)
        if self._listener is None:
            self._connect()
        else:
            pump.watch(self._listener.fileno(), self._accept)

    @abstractmethod
    def begin(self, connection: socket.socket) -> Session:
        """A client has connected: what answers it."""

    def busy(self, message: bytes) -> bytes:
        """The answer to a further client's first message; empty: it is hung up on without a word."""
        return b""

    @abstractmethod
    def gone(self) -> None:
        """The client is gone: let go of what it has brought."""

    @property
    def connected(self) -> bool:
        """Whether there is a client."""
        return self._session is not None

    def close(self) -> None:
        """Hang up, and take the socket out of the file system; may be called twice."""
        if self._closed:
            return
        self._closed = True
        self._end_session("the server closes")
        while self._refused:
            self._forget(self._refused[0])
        if self._listener is not None:
            self._pump.unwatch(self._listener.fileno())
            self._listener.close()
            self.socket_path.unlink(missing_ok=True)

    # --- clients come and go

    def _connect(self, _: object = None) -> None:
        if self._closed:
            return
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            connection.connect(os.fsencode(self.socket_path))
        except OSError:
            connection.close()
            self._world.after(RECONNECT, self._connect)
        else:
            self._take(connection)

    def _accept(self, when: int) -> None:
        assert self._listener is not None
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # it has gone again
        connection.setblocking(False)
        if self._session is not None:
            self.drop("slot busy", "a second client")
            if len(self._refused) >= WAITING:
                self._forget(self._refused[0])
            self._refused.append(connection)
            self._pump.watch(connection.fileno(), lambda _: self._refuse(connection))
            return
        self._take(connection)

    def _take(self, connection: socket.socket) -> None:
        self._session = self.begin(connection)
        self.clients += 1
        self._retries = 0
        self.changed("client", "connected")
        self._pump.watch(connection.fileno(), self._readable)

    def _refuse(self, connection: socket.socket) -> None:
        """Answer a further client's first message."""
        try:
            message, ancillary, _, _ = connection.recvmsg(LONGEST_REFUSED, ANCILLARY)
            for _, _, files in ancillary:
                close_files(list(memoryview(files).cast("i")))
            connection.send(self.busy(message))
        except OSError:
            pass  # it has gone already
        self._forget(connection)

    def _forget(self, connection: socket.socket) -> None:
        self._refused.remove(connection)
        self._pump.unwatch(connection.fileno())
        connection.close()

    def _end_session(self, reason: str) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        self._pump.unwatch(session.channel.socket.fileno())
        session.channel.close()
        self.changed("client", f"gone: {reason}")  # before the card forgets what its driver did
        self.gone()
        if self._listener is None:
            self._world.after(RECONNECT, self._connect)

    # --- the client's messages

    def _readable(self, when: int) -> None:
        self._world.at(when, self._serve)

    def _serve(self, _: object) -> None:
        session = self._session
        if session is None:
            return
        session.serve()
        if not session.channel.open:
            self._end_session(session.failure or "it has hung up")
        elif session.channel.backlog:
            self._pump.unwatch(session.channel.socket.fileno())  # it shall take its answers before it asks on
            self._world.after(RETRY, self._flush, self.clients)

    def resume(self) -> None:
        """Serve the client again, though nothing new may come."""
        self._world.at(self._world.now, self._serve)

    def _flush(self, client: int) -> None:
        session = self._session
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
