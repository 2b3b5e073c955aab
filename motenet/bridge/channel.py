"""The socket to one client: whole messages in, with the file descriptors that came along; bytes out, never blocking."""

import array
import os
import socket
from collections import deque
from collections.abc import Callable

ROOM = 64 << 10
"""Bytes of buffer at first; it grows when a longer message comes."""
MAX_FDS = 8
"""What we take in one message: as many as vhost-user may send, and what we tell vfio-user's clients."""
ANCILLARY = socket.CMSG_SPACE(2 * MAX_FDS * array.array("i").itemsize)


class Channel:
    """Received bytes lie in `buffer` from `start` to `end`; whoever takes a message moves `start` behind it.

    One recvmsg may bring many messages. It stops behind the bytes that carry descriptors, so these belong to the
    message that holds the last byte it brought (unix(7); facts measured with QEMU).
    """

    def __init__(self, connection: socket.socket, needed: Callable[[bytearray, int], int] | None = None) -> None:
        connection.setblocking(False)
        self.socket = connection
        self._needed = needed
        """Given the buffer and how many bytes are in it: the first message's length, for messages beyond ROOM."""
        self.buffer = bytearray(ROOM)
        self.start = 0
        self.end = 0
        self.open = True
        """The client has neither hung up nor broken the connection."""
        self.backlog = bytearray()
        """What the client has not taken yet."""
        self._whole = [memoryview(self.buffer)]
        self._passed = 0  # the stream position of buffer[0]
        self._files: deque[tuple[int, list[int]]] = deque()  # (stream position behind them, descriptors)

    def receive(self) -> bool:
        """Take what the socket has. False: nothing has come; see `open`."""
        start, end = self.start, self.end
        if start == end:
            self._passed += end
            self.start = self.end = end = 0
            if self._files:
                self._close_before(0)
            target = self._whole
        else:
            target = [self._free_room()]
            end = self.end
        try:
            count, ancillary, _, _ = self.socket.recvmsg_into(target, ANCILLARY)
        except BlockingIOError:
            return False
        except OSError:
            count, ancillary = 0, []
        if not count:
            self.open = False
            return False
        self.end = end + count
        if ancillary:
            self._keep_files(ancillary)
        return True

    def _free_room(self) -> memoryview:
        """The buffer behind what is in it, after moving that to the front; grown if a message needs more."""
        waiting = self.end - self.start
        self.buffer[:waiting] = self.buffer[self.start : self.end]
        self._passed += self.start
        self.start, self.end = 0, waiting
        needed = self._needed(self.buffer, waiting) if self._needed is not None else 0
        if needed > len(self.buffer):
            self.buffer = self.buffer + bytes(needed - len(self.buffer))
            self._whole = [memoryview(self.buffer)]
        return self._whole[0][waiting:]

    def _keep_files(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        files = array.array("i")
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                files.frombytes(data[: len(data) - len(data) % files.itemsize])
        self._files.append((self._passed + self.end, files.tolist()))

    def files(self, begin: int) -> list[int]:
        """The descriptors of the message from `begin` to `start`; the caller owns them."""
        found: list[int] = []
        if self._files:
            self._close_before(begin)
            while self._files and self._files[0][0] <= self._passed + self.start:
                found += self._files.popleft()[1]
        return found

    def _close_before(self, begin: int) -> None:
        """Close what came with messages that have no use for descriptors."""
        while self._files and self._files[0][0] <= self._passed + begin:
            close_files(self._files.popleft()[1])

    def send(self, message: bytes) -> None:
        """Send, or keep for `flush` what the client has no room for."""
        if self.backlog:
            self.backlog += message
            return
        try:
            sent = self.socket.send(message)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.open = False
            return
        if sent < len(message):
            self.backlog += message[sent:]

    def flush(self) -> bool:
        """Try again to send the backlog. Whether it is gone."""
        waiting = bytes(self.backlog)
        self.backlog.clear()
        if waiting:
            self.send(waiting)
        return not self.backlog

    def close(self) -> None:
        """Let the socket go, and the descriptors that nobody has taken."""
        self.open = False
        self.socket.close()
        while self._files:
            close_files(self._files.popleft()[1])


def close_files(files: list[int]) -> None:
    """Close descriptors that are not needed."""
    for file in files:
        os.close(file)
