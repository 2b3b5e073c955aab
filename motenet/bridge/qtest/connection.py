"""qtest's line protocol, as QEMU's docs/devel/qtest.rst tells it: a command a line, one reply to each, in order.

A reply is `OK`, `OK value`, `FAIL why` or `ERR why`. Lines `IRQ raise n` and `IRQ lower n` come at any time, even in
front of a reply. They are queued here and never handled: who waits for a register's value must not find himself in a
handler.
"""

import socket
from collections import deque
from collections.abc import Callable

from motenet.bridge.tap import BridgeError

PATIENCE = 10.0
"""Seconds of real time for a reply: QEMU answers within a millisecond, or never."""
MOST_POSTED = 64
"""Writes under way before their replies are read, so that neither side's socket buffer fills up."""


class Connection:
    """QEMU at the other end of a stream socket. `epitaph()` tells what QEMU said when it ended."""

    def __init__(self, stream: socket.socket, epitaph: Callable[[], str] = lambda: "") -> None:
        stream.settimeout(PATIENCE)
        self._socket = stream
        self._send = stream.sendall
        self._epitaph = epitaph
        self._buffer = b""
        self._lines: deque[bytes] = deque()
        self._posted: deque[bytes] = deque()
        self.levels: deque[tuple[int, bool]] = deque()
        """Changes of interrupt lines that nobody has looked at: (number, level), oldest first."""

    def ask(self, command: bytes) -> bytes:
        """Send a command and wait for its reply; returns what follows OK. Earlier posted writes are then done too."""
        self._transmit(command)
        return self._settle(command)

    def value(self, command: bytes) -> int:
        """Send a command whose reply is a number."""
        return int(self.ask(command), 0)

    def post(self, command: bytes) -> None:
        """Send a command and don't wait: QEMU obeys in order, as a PCI bus does with posted writes."""
        self._transmit(command)
        self._posted.append(command)
        if len(self._posted) >= MOST_POSTED:
            self._settle()

    def close(self) -> None:
        """End the conversation; QEMU's end of it stays open until it is told to quit."""
        self._socket.close()

    def _transmit(self, command: bytes) -> None:
        try:
            self._send(command + b"\n")
        except OSError as error:
            raise self._lost(command) from error

    def _settle(self, command: bytes | None = None) -> bytes:
        """Read the replies to all posted writes, and that to `command`."""
        posted = self._posted
        while posted:
            self._reply(posted.popleft())
        return b"" if command is None else self._reply(command)

    def _reply(self, command: bytes) -> bytes:
        while True:
            line = self._next_line(command)
            if line.startswith(b"OK"):
                return line[3:]
            if not line.startswith(b"IRQ "):
                raise BridgeError(f"QEMU refuses {command.decode()!r}: {line.decode(errors='replace')}")
            self._note_level(line)

    def _note_level(self, line: bytes) -> None:
        """`IRQ raise 11` or `IRQ lower 11`."""
        words = line.split()
        if len(words) != 3 or words[1] not in (b"raise", b"lower") or not words[2].isdigit():
            raise BridgeError(f"this is no line of the qtest protocol: {line.decode(errors='replace')!r}")
        self.levels.append((int(words[2]), words[1] == b"raise"))

    def _next_line(self, command: bytes) -> bytes:
        lines = self._lines
        while not lines:
            try:
                data = self._socket.recv(1 << 16)
            except TimeoutError as error:
                raise BridgeError(f"QEMU has not answered {command.decode()!r} in {PATIENCE:.0f} s") from error
            except OSError as error:
                raise self._lost(command) from error
            if not data:
                raise self._lost(command)
            *whole, self._buffer = (self._buffer + data).split(b"\n")
            lines.extend(whole)
        return lines.popleft().rstrip(b"\r")

    def _lost(self, command: bytes) -> BridgeError:
        said = self._epitaph()
        return BridgeError(f"QEMU is gone at {command.decode()!r}" + (f"; it said: {said}" if said else ""))
