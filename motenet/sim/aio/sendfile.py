"""Sending a file: read and written piece by piece, as asyncio does where the system has no sendfile(2)."""

import asyncio
from typing import IO, Any

PIECE = 256 * 1024
"""Bytes that are read at a time."""


class _Writer(asyncio.Protocol):
    """Stands in for a transport's protocol while a file is sent, and waits while the transport has enough."""

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._protocol: Any = self._transport.get_protocol()
        self._room: asyncio.Future[None] | None = None
        self._was_paused: bool = transport._protocol_paused  # ours has it, and so has that of asyncio's TLS
        if self._was_paused:
            self.pause_writing()
        self._reading = self._transport.is_reading()
        self._transport.pause_reading()
        self._transport.set_protocol(self)

    async def write(self, data: bytes) -> None:
        """Once the transport has room. ConnectionError if it is closing."""
        if self._room is not None:
            await self._room
        if self._transport.is_closing():
            raise ConnectionError("Connection closed by peer")
        self._transport.write(data)

    def pause_writing(self) -> None:
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_exception(exc or ConnectionError("Connection is closed by peer"))
        self._protocol.connection_lost(exc)

    def restore(self) -> None:
        """The file is sent, or cannot be."""
        self._transport.set_protocol(self._protocol)
        if self._reading:
            self._transport.resume_reading()
        paused = self._room is not None
        if paused != self._was_paused and not self._transport.is_closing():
            (self._protocol.pause_writing if paused else self._protocol.resume_writing)()


async def send_file(
    loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, file: IO[bytes], offset: int, count: int | None
) -> int:
    """Send `count` bytes of a file, or all, from `offset` on; returns how many there were."""
    if transport.is_closing():
        raise RuntimeError("Transport is closing")
    file.seek(offset)
    writer = _Writer(transport, loop)
    sent = 0
    try:
        while data := file.read(PIECE if count is None else min(PIECE, count - sent)):
            await writer.write(data)
            sent += len(data)
        return sent
    finally:
        file.seek(offset + sent)
        writer.restore()
