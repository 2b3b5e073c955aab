"""One client's conversation with a slot: every message of vfio-user, answered."""

import select
import time
from collections.abc import Callable
from errno import EINVAL, ENOSYS
from struct import Struct
from typing import Any

import construct

from motenet.bridge.channel import MAX_FDS, Channel, close_files
from motenet.bridge.vfio_user import protocol
from motenet.bridge.vfio_user.protocol import (
    ACCESS,
    ACKNOWLEDGED,
    ANSWERS,
    CONFIG_REGION,
    DMA_ACCESS,
    ERROR,
    HEADER,
    MAX_MESSAGE,
    NO_REPLY,
    REGION_READ,
    REGION_WRITE,
    REPLY,
    TYPE_MASK,
    Refused,
)
from motenet.bridge.vfio_user.slot import GuestSlot
from motenet.core.units import SECOND

PATIENCE = 5 * SECOND
"""Nanoseconds of real time in which a client must answer DMA_READ and DMA_WRITE: what QEMU grants us, too."""
MOST_PUT_OFF = 4
"""How often a read gives way to events; a doorbell's reach the cable, and the interrupt causes, within that."""

_HEADER = HEADER.size
_READ_SIZE = _HEADER + ACCESS.size
_ACCESS_END = _HEADER + ACCESS.size
_DMA_END = _HEADER + DMA_ACCESS.size
_NUMBERS = {1: Struct("<B"), 2: Struct("<H"), 4: Struct("<I")}

Reader = tuple[Callable[[int], int], int, Struct]
"""Reads a register; its largest legal offset; packs the reply."""
Writer = tuple[Callable[[int, int], None], int, Callable[[bytearray, int], tuple[Any, ...]]]
"""Writes a register; its largest legal offset; unpacks the value."""


class NotThere(Refused):
    """The answer to a question for something that there need not be: nothing to tell the user.

    QEMU asks each card for VFIO_PCI_ERR_IRQ_INDEX, 3 (linux/vfio.h), and goes on without it.
    """


class Session:
    """Takes messages from a channel and carries them out.

    Register accesses of one, two and four bytes take a straight way; all else goes through `_handlers`.
    """

    def __init__(self, channel: Channel, slot: GuestSlot, resume: Callable[[], None]) -> None:
        self.channel = channel
        self.resume = resume
        """Called when `serve` is to be called, though nothing new may come."""
        self.slot = slot
        self.negotiated = False
        self.failure = ""
        """Why the conversation had to be ended, if it had."""
        self._next_id = 0
        self._answers: dict[int, bytes | None] = {}
        """Our own requests under way: id -> payload of the answer, once it is there; empty: refused."""
        self._written = False
        """Registers have been written, and what follows from that may still have to happen."""
        self._put_off = 0
        self._readers: dict[int, Reader] = {}
        self._writers: dict[int, Writer] = {}
        for bar, window in slot.windows.items():
            for width, read, write in (
                (1, window.read8, window.write8),
                (2, window.read16, window.write16),
                (4, window.read32, window.write32),
            ):
                self._readers[bar << 4 | width] = (read, window.size - width, ANSWERS[width])
                self._writers[bar << 4 | width] = (write, window.size - width, _NUMBERS[width].unpack_from)
        self._handlers: dict[int, Callable[[bytes, list[int]], bytes]] = {
            protocol.DMA_MAP: self._dma_map,
            protocol.DMA_UNMAP: self._dma_unmap,
            protocol.DEVICE_GET_INFO: self._device_info,
            protocol.DEVICE_GET_REGION_INFO: self._region_info,
            protocol.DEVICE_GET_REGION_IO_FDS: self._region_io_fds,
            protocol.DEVICE_GET_IRQ_INFO: self._irq_info,
            protocol.DEVICE_SET_IRQS: self._set_irqs,
            protocol.REGION_READ: self._region_read,
            protocol.REGION_WRITE: self._region_write,
            protocol.DEVICE_RESET: self._reset,
        }
        slot.memory.ask_read = self.dma_read
        slot.memory.ask_write = self.dma_write

    def serve(self) -> None:
        """Take what has come and carry it out. Afterwards `channel.open` says whether the client is still there."""
        self.channel.receive()
        self._carry_out()

    def _carry_out(self) -> None:
        """All whole messages in the buffer, up to an answer to a request of ours: that wants to go on first."""
        channel, readers, writers = self.channel, self._readers, self._writers
        while channel.open and channel.end - channel.start >= _HEADER:
            start, buffer = channel.start, channel.buffer
            ident, command, size, flags, _ = HEADER.unpack_from(buffer, start)
            if not _HEADER <= size <= MAX_MESSAGE:
                self._break(ident, command, f"a message of {size} bytes")
                return
            if channel.end - start < size:
                return
            if self._written and command == REGION_READ and self._wait_for_events():
                return
            channel.start = start + size
            if command == REGION_READ and size == _READ_SIZE and flags == 0:
                offset, region, count = ACCESS.unpack_from(buffer, start + _HEADER)
                reader = readers.get(region << 4 | count)
                if reader is not None and offset <= reader[1] and self.negotiated:
                    value = reader[0](offset)
                    answer = reader[2]
                    channel.send(answer.pack(ident, REGION_READ, answer.size, REPLY, 0, offset, region, count, value))
                    continue
            elif command == REGION_WRITE and size > _ACCESS_END:
                offset, region, count = ACCESS.unpack_from(buffer, start + _HEADER)
                writer = writers.get(region << 4 | count)
                if writer is not None and offset <= writer[1] and size == _ACCESS_END + count and self.negotiated:
                    (value,) = writer[2](buffer, start + _ACCESS_END)
                    writer[0](offset, value)
                    self._written = True
                    if not flags & NO_REPLY:
                        size = ACKNOWLEDGED.size
                        reply = ACKNOWLEDGED.pack(ident, REGION_WRITE, size, REPLY, 0, offset, region, count)
                        channel.send(reply)
                    continue
            files = channel.files(start)
            if flags & TYPE_MASK == REPLY and ident in self._answers:
                close_files(files)
                self._answers[ident] = b"" if flags & ERROR else bytes(buffer[start + _HEADER : start + size])
                return
            self._take(ident, command, flags, bytes(buffer[start + _HEADER : start + size]), files)

    def _wait_for_events(self) -> bool:
        """Whether the read that is next is put off, behind what posted writes before it have set off at this instant.

        A processor that reads a register waits for its writes to arrive, and a real card has begun by then.
        """
        world = self.slot.clock.world
        due = world.next_time()
        if due is None or due > world.now or self._put_off == MOST_PUT_OFF or self._answers:
            self._written, self._put_off = False, 0
            return False
        self._put_off += 1
        self.resume()
        return True

    def _take(self, ident: int, command: int, flags: int, payload: bytes, files: list[int]) -> None:
        """A message that does not take the straight way."""
        try:
            if flags & TYPE_MASK == REPLY:
                raise Refused(EINVAL, "an answer to nothing")
            if len(files) > MAX_FDS:
                raise Refused(EINVAL, f"{len(files)} descriptors with one message")
            reply = self._dispatch(command, payload, files)
        except Refused as refused:
            name = protocol.COMMAND_NAMES.get(command, f"command {command}")
            if not isinstance(refused, NotThere):
                self.slot.drop("refused", f"{name}: {refused}")
            if not flags & NO_REPLY:
                self.channel.send(protocol.error_reply(ident, command, refused.number))
            if not self.negotiated:
                self.failure = f"no agreement on a version: {refused}"
                self.channel.open = False
        else:
            if not flags & NO_REPLY:
                self.channel.send(HEADER.pack(ident, command, _HEADER + len(reply), REPLY, 0) + reply)
        finally:
            close_files(files)

    def _dispatch(self, command: int, payload: bytes, files: list[int]) -> bytes:
        if not self.negotiated:
            if command != protocol.VERSION:
                raise Refused(EINVAL, "the first message is not VERSION")
            return self._version(payload)
        handler = self._handlers.get(command)
        if handler is None:
            raise Refused(ENOSYS, "not offered")
        return handler(payload, files)

    def _break(self, ident: int, command: int, failure: str) -> None:
        """Where the next message begins is not known any more: answer, and hang up."""
        self.slot.drop("refused", failure)
        self.failure = failure
        self.channel.send(protocol.error_reply(ident, command, EINVAL))
        self.channel.open = False

    # --- setting up

    def _version(self, payload: bytes) -> bytes:
        words = _parse(protocol.Version, payload)
        if words.major != 0:
            raise Refused(EINVAL, f"version {words.major}.{words.minor}; this is 0.0")
        limits = protocol.parse_limits(words.data)
        self.slot.memory.max_transfer = min(limits.max_transfer, protocol.MAX_TRANSFER) or protocol.MAX_TRANSFER
        self.negotiated = True
        return protocol.our_version(0, len(payload))

    def _dma_map(self, payload: bytes, files: list[int]) -> bytes:
        words = _parse(protocol.DmaMap, payload)
        if len(files) > 1:
            raise Refused(EINVAL, "more than one descriptor for a region")
        self.slot.memory.map(words.address, words.size, words.flags, words.offset, files[0] if files else None)
        return b""

    def _dma_unmap(self, payload: bytes, files: list[int]) -> bytes:
        words = _parse(protocol.DmaUnmap, payload)
        if words.flags == protocol.UNMAP_ALL:
            if words.address or words.size:
                raise Refused(EINVAL, "UNMAP_ALL goes with address and size 0")
            self.slot.memory.unmap_all()
        elif words.flags:
            raise Refused(EINVAL, f"flags {words.flags:#x}: no dirty pages are logged")
        else:
            self.slot.memory.unmap(words.address, words.size)
        return payload[: protocol.DmaUnmap.sizeof()]

    def _device_info(self, payload: bytes, files: list[int]) -> bytes:
        _parse(protocol.DeviceInfo, payload)
        flags = protocol.DEVICE_RESETS | protocol.DEVICE_IS_PCI
        numbers = {"num_regions": protocol.NUM_REGIONS, "num_irqs": protocol.NUM_IRQS}
        return bytes(protocol.DeviceInfo.build({"argsz": protocol.DeviceInfo.sizeof(), "flags": flags, **numbers}))

    def _region_info(self, payload: bytes, files: list[int]) -> bytes:
        words = _parse(protocol.RegionInfo, payload)
        if words.index >= protocol.NUM_REGIONS:
            raise Refused(EINVAL, f"region {words.index}")
        size = self._region_size(words.index)
        flags = protocol.REGION_READABLE | protocol.REGION_WRITABLE if size else 0
        reply = {"argsz": protocol.RegionInfo.sizeof(), "flags": flags, "index": words.index, "cap_offset": 0}
        return bytes(protocol.RegionInfo.build({**reply, "size": size, "offset": 0}))

    def _region_size(self, index: int) -> int:
        if index == CONFIG_REGION:
            return len(self.slot.config.content)
        window = self.slot.windows.get(index)
        return window.size if window is not None else 0

    def _region_io_fds(self, payload: bytes, files: list[int]) -> bytes:
        """No region has doorbells that bypass the socket."""
        words = _parse(protocol.RegionIoFds, payload)
        if words.index >= protocol.NUM_REGIONS:
            raise Refused(EINVAL, f"region {words.index}")
        return bytes(protocol.RegionIoFds.build({"argsz": len(payload), "index": words.index, "count": 0}))

    def _irq_info(self, payload: bytes, files: list[int]) -> bytes:
        words = _parse(protocol.IrqInfo, payload)
        if words.index >= protocol.NUM_IRQS:
            raise NotThere(EINVAL, f"interrupt index {words.index}")
        flags, count = self.slot.interrupts.info(words.index)
        reply = {"argsz": protocol.IrqInfo.sizeof(), "flags": flags, "index": words.index, "count": count}
        return bytes(protocol.IrqInfo.build(reply))

    def _set_irqs(self, payload: bytes, files: list[int]) -> bytes:
        words = _parse(protocol.IrqSet, payload, least=protocol.IRQ_SET_SIZE)
        if words.index >= protocol.NUM_IRQS:
            raise Refused(EINVAL, f"interrupt index {words.index}")
        data = words.data[: max(0, words.argsz - protocol.IRQ_SET_SIZE)]
        self.slot.interrupts.configure(words.flags, words.index, words.start, words.count, data, files)
        return b""

    def _reset(self, payload: bytes, files: list[int]) -> bytes:
        self.slot.reset()
        return b""

    # --- accesses that do not take the straight way

    def _region_read(self, payload: bytes, files: list[int]) -> bytes:
        offset, region, count = self._access(payload)
        out = bytearray()
        for at, width in _natural(offset, count):
            out += self._read_part(region, at, width).to_bytes(width, "little")
        return payload[: ACCESS.size] + out

    def _region_write(self, payload: bytes, files: list[int]) -> bytes:
        offset, region, count = self._access(payload)
        data = payload[ACCESS.size :]
        if len(data) != count:
            raise Refused(EINVAL, f"{len(data)} bytes of data; {count} are announced")
        for at, width in _natural(offset, count):
            self._write_part(region, at, int.from_bytes(data[at - offset :][:width], "little"), width)
        self._written = True
        return payload[: ACCESS.size]

    def _access(self, payload: bytes) -> tuple[int, int, int]:
        if len(payload) < ACCESS.size:
            raise Refused(EINVAL, f"{len(payload)} bytes are no region access")
        offset, region, count = ACCESS.unpack_from(payload)
        if not count or offset + count > self._region_size(region):
            raise Refused(EINVAL, f"{count} bytes at {offset:#x} lie outside region {region}")
        return offset, region, count

    def _read_part(self, region: int, offset: int, width: int) -> int:
        if region == CONFIG_REGION:
            return self.slot.config.read(offset, width)
        window = self.slot.windows[region]
        return {1: window.read8, 2: window.read16, 4: window.read32}[width](offset)

    def _write_part(self, region: int, offset: int, value: int, width: int) -> None:
        if region == CONFIG_REGION:
            self.slot.config.write(offset, value, width)
            return
        window = self.slot.windows[region]
        {1: window.write8, 2: window.write16, 4: window.write32}[width](offset, value)

    # --- our own requests: memory that is not shared

    def dma_read(self, address: int, length: int) -> bytes | None:
        """The client's memory, asked for; None when it refuses or does not answer."""
        payload = self._request(protocol.DMA_READ, DMA_ACCESS.pack(address, length))
        if payload is None or len(payload) != DMA_ACCESS.size + length:
            return None
        return payload[DMA_ACCESS.size :]

    def dma_write(self, address: int, data: bytes) -> bool:
        """Store into the client's memory; whether it has said that this is done."""
        return self._request(protocol.DMA_WRITE, DMA_ACCESS.pack(address, len(data)) + data) is not None

    def _request(self, command: int, payload: bytes) -> bytes | None:
        """Ask, and serve the client until it answers: its processor may wait for a register meanwhile."""
        channel = self.channel
        ident = self._next_id = self._next_id + 1 & 0xFFFF
        self._answers[ident] = None
        channel.send(HEADER.pack(ident, command, _HEADER + len(payload), 0, 0) + payload)
        deadline = time.monotonic_ns() + PATIENCE
        while channel.open and self._answers[ident] is None:
            left = deadline - time.monotonic_ns()
            writers = (channel.socket,) if channel.backlog else ()
            if left <= 0 or not any(select.select((channel.socket,), writers, (), left / SECOND)):
                self.failure = f"no answer to {protocol.COMMAND_NAMES[command]}"
                channel.open = False
                self.resume()
                break
            channel.flush()
            self.serve()
        if channel.end > channel.start:
            self.resume()  # there may be messages behind the answer
        return self._answers.pop(ident) or None


def _parse(layout: construct.Struct, payload: bytes, least: int = 0) -> Any:
    """A message's payload; Refused when it is too short, or when its argsz is less than the message needs."""
    try:
        words = layout.parse(payload)
    except construct.ConstructError as error:
        raise Refused(EINVAL, f"{len(payload)} bytes of payload: {error}") from error
    if "argsz" in words and words.argsz < (least or layout.sizeof()):
        raise Refused(EINVAL, f"argsz {words.argsz}")
    return words


def _natural(offset: int, count: int) -> list[tuple[int, int]]:
    """(offset, width) of the naturally aligned accesses of at most four bytes that make up one of any size."""
    parts = []
    end = offset + count
    while offset < end:
        width = next(width for width in (4, 2, 1) if not offset % width and offset + width <= end)
        parts.append((offset, width))
        offset += width
    return parts
