"""One front-end's conversation with a back-end: every message of vhost-user that we offer, carried out."""

from collections.abc import Callable
from struct import pack
from typing import Any

import construct

from motenet.bridge.channel import Channel, close_files
from motenet.bridge.events import adopt, empty, is_eventfd
from motenet.bridge.realtime import RealTime
from motenet.bridge.vhost_user import protocol
from motenet.bridge.vhost_user.backend import BackEnd
from motenet.bridge.vhost_user.memory import Place
from motenet.bridge.vhost_user.protocol import (
    F_PROTOCOL_FEATURES,
    FLAGS,
    HEADER,
    MAX_PAYLOAD,
    NUMBER,
    PROTOCOL_FEATURES,
    VERSION,
    VRING_FILE,
    VRING_STATE,
    Refused,
)
from motenet.bridge.vhost_user.ring import Ring
from motenet.datasheets.virtio.net import MAX_MTU, MIN_MTU

_VERSION, _REPLY, _NEED_REPLY = FLAGS["VERSION"], FLAGS["REPLY"], FLAGS["NEED_REPLY"]
_REPLY_ACK, _STATUS = PROTOCOL_FEATURES["REPLY_ACK"], PROTOCOL_FEATURES["STATUS"]
_OFFERED = PROTOCOL_FEATURES.mask(write="store")
_INDEX, _NO_FD = VRING_FILE["INDEX"], VRING_FILE["NO_FD"]
_BROADCAST = b"\xff" * 6
_SHORTEST_FRAME = 60

Handler = Callable[[bytes, list[int]], bytes | None]
"""Carries out a message, given its payload and its descriptors, of which it takes those that it keeps.

What it returns is the answer; None: the front-end does not wait for one, unless it asks for it (REPLY_ACK).
"""


class Session:
    """Takes messages from a channel and carries them out."""

    def __init__(self, channel: Channel, backend: BackEnd, pump: RealTime) -> None:
        self.channel = channel
        self.backend = backend
        self.failure = ""
        """Why the conversation had to be ended, if it had."""
        self._pump = pump
        self._protocol_features = 0
        self._always_enabled = False
        """F_PROTOCOL_FEATURES was not accepted: rings need no SET_VRING_ENABLE."""
        self._handlers: dict[int, Handler] = {
            protocol.GET_FEATURES: lambda payload, files: NUMBER.pack(backend.offered | F_PROTOCOL_FEATURES),
            protocol.SET_FEATURES: self._set_features,
            protocol.GET_PROTOCOL_FEATURES: lambda payload, files: NUMBER.pack(_OFFERED),
            protocol.SET_PROTOCOL_FEATURES: self._set_protocol_features,
            protocol.SET_OWNER: lambda payload, files: None,
            protocol.RESET_OWNER: self._reset_owner,
            protocol.RESET_DEVICE: self._reset_device,
            protocol.GET_STATUS: lambda payload, files: NUMBER.pack(backend.get_status()),
            protocol.SET_STATUS: self._set_status,
            protocol.SET_MEM_TABLE: self._set_memory_table,
            protocol.GET_MAX_MEM_SLOTS: lambda payload, files: NUMBER.pack(protocol.MEMORY_SLOTS),
            protocol.ADD_MEM_REG: self._add_region,
            protocol.REM_MEM_REG: self._remove_region,
            protocol.GET_QUEUE_NUM: lambda payload, files: NUMBER.pack(len(backend.rings) // 2),
            protocol.SET_VRING_NUM: self._set_size,
            protocol.SET_VRING_ADDR: self._set_addresses,
            protocol.SET_VRING_BASE: self._set_base,
            protocol.GET_VRING_BASE: self._get_base,
            protocol.SET_VRING_KICK: self._set_kick,
            protocol.SET_VRING_CALL: self._set_call,
            protocol.SET_VRING_ERR: self._set_error,
            protocol.SET_VRING_ENABLE: self._enable,
            protocol.SEND_RARP: self._send_rarp,
            protocol.NET_SET_MTU: self._set_mtu,
        }

    def serve(self) -> None:
        """Take what has come and carry it out. Afterwards `channel.open` says whether the front-end is still there."""
        channel = self.channel
        channel.receive()
        while channel.open and channel.end - channel.start >= HEADER.size:
            start = channel.start
            request, flags, size = HEADER.unpack_from(channel.buffer, start)
            if size > MAX_PAYLOAD or flags & _VERSION != VERSION:
                self._hang_up(f"a message of {size} bytes, flags {flags:#x}")
                return
            end = start + HEADER.size + size
            if channel.end < end:
                return
            payload = bytes(channel.buffer[start + HEADER.size : end])
            channel.start = end
            self._take(request, flags, payload, channel.files(start))

    def _take(self, request: int, flags: int, payload: bytes, files: list[int]) -> None:
        wanted = flags & _NEED_REPLY and self._protocol_features & _REPLY_ACK
        try:
            if flags & _REPLY:
                raise Refused("an answer to nothing")
            handler = self._handlers.get(request)
            if handler is None:
                raise Refused("not offered")
            answer = handler(payload, files)
            if answer is None and wanted:
                answer = NUMBER.pack(0)
        except Refused as refused:
            name = protocol.NAMES.get(request, f"request {request}")
            self.backend.drop("refused", f"{name}: {refused}")
            answer = NUMBER.pack(1) if wanted else None
            if answer is None and self._waits(request):
                self._hang_up(f"{name} cannot be answered: {refused}")  # it would wait for ever
        finally:
            close_files(files)
        if answer is not None:
            self.channel.send(protocol.answer(request, answer))

    def _waits(self, request: int) -> bool:
        """Whether the front-end waits for an answer that can tell no failure."""
        if request == protocol.GET_VRING_BASE:
            return True
        return request not in self._handlers and request not in protocol.WITHOUT_ANSWER

    def _hang_up(self, failure: str) -> None:
        self.failure = failure
        self.channel.open = False

    # --- features and status

    def _set_features(self, payload: bytes, files: list[int]) -> None:
        features = _number(payload)
        self.backend.set_features(features & ~F_PROTOCOL_FEATURES)
        self._always_enabled = not features & F_PROTOCOL_FEATURES
        if self._always_enabled:
            for ring in self.backend.rings:
                self.backend.enable(ring, True)

    def _set_protocol_features(self, payload: bytes, files: list[int]) -> None:
        features = _number(payload)
        if features & ~_OFFERED:
            raise Refused(f"protocol features {features & ~_OFFERED:#x} were not offered")
        self._protocol_features = features
        self.backend.tells_status = bool(features & _STATUS)

    def _reset_owner(self, payload: bytes, files: list[int]) -> None:
        """Deprecated: "either ignore this message, or use it to disable all rings"."""
        for ring in self.backend.rings:
            self.backend.enable(ring, False)

    def _reset_device(self, payload: bytes, files: list[int]) -> None:
        self.backend.set_status(0)
        for ring in self.backend.rings:
            self._forget_kick(ring)
            self.backend.enable(ring, self._always_enabled)

    def _set_status(self, payload: bytes, files: list[int]) -> None:
        status = _number(payload)
        if status > 0xFF:
            raise Refused(f"status {status:#x} has more than 8 bits")
        self.backend.set_status(status)

    # --- memory

    def _set_memory_table(self, payload: bytes, files: list[int]) -> None:
        table = _parse(protocol.MemoryTable, payload)
        if table.count > protocol.TABLE_REGIONS or len(files) != table.count:
            raise Refused(f"{table.count} regions, {len(files)} descriptors")
        memory = self.backend.dma
        memory.unmap_all()
        try:
            for words, file in zip(table.regions, files, strict=True):
                memory.add(Place(words.guest, words.size, words.user, words.offset), file)
        except Refused:
            memory.unmap_all()
            raise
        finally:
            self.backend.memory_changed()

    def _add_region(self, payload: bytes, files: list[int]) -> None:
        words = _parse(protocol.SingleRegion, payload)
        if len(files) != 1:
            raise Refused(f"{len(files)} descriptors for one region")
        self.backend.dma.add(Place(words.guest, words.size, words.user, words.offset), files[0])

    def _remove_region(self, payload: bytes, files: list[int]) -> None:
        words = _parse(protocol.SingleRegion, payload)
        self.backend.dma.take(words.guest, words.size, words.user)
        self.backend.memory_changed()

    # --- rings

    def _ring(self, index: int, *, idle: bool = False) -> Ring:
        """The ring of this number; `idle`: it must not have been started."""
        if index >= len(self.backend.rings):
            raise Refused(f"ring {index} of {len(self.backend.rings)}")
        ring = self.backend.rings[index]
        if idle and ring.started:
            raise Refused(f"ring {index} runs")
        return ring

    def _set_size(self, payload: bytes, files: list[int]) -> None:
        index, size = _state(payload)
        self._ring(index, idle=True).size = size

    def _set_addresses(self, payload: bytes, files: list[int]) -> None:
        """May be repeated while the ring runs: for the log, which is not offered, with the same addresses."""
        words = _parse(protocol.VringAddress, payload)
        ring = self._ring(words.index)
        addresses = (words.descriptor, words.available, words.used)
        if ring.started and addresses != (ring.descriptors, ring.available, ring.used):
            raise Refused(f"ring {words.index} runs at other addresses")
        ring.descriptors, ring.available, ring.used = addresses

    def _set_base(self, payload: bytes, files: list[int]) -> None:
        index, base = _state(payload)
        self._ring(index, idle=True).base = base

    def _get_base(self, payload: bytes, files: list[int]) -> bytes:
        """Stops the ring, too."""
        index, _ = _state(payload)
        ring = self._ring(index)
        self._forget_kick(ring)
        return VRING_STATE.pack(index, self.backend.stop(ring))

    def _event(self, payload: bytes, files: list[int]) -> tuple[Ring, int | None]:
        """The ring, and the eventfd, which is taken from `files`; None when polling is meant."""
        word = _number(payload)
        ring = self._ring(word & _INDEX)
        if word & _NO_FD:
            return ring, None
        if len(files) != 1 or not is_eventfd(files[0]):
            raise Refused(f"{len(files)} descriptors, where an eventfd is wanted")
        return ring, adopt(files.pop())

    def _set_kick(self, payload: bytes, files: list[int]) -> None:
        """Starts the ring, as DPDK's and QEMU's back-ends do: there may have been kicks that nobody heard."""
        ring, file = self._event(payload, files)
        self._forget_kick(ring)
        ring.kick = file
        if file is not None:
            self._pump.watch(file, lambda when: self._kicked(when, file, ring.queue.index))
        self.backend.start(ring)

    def _kicked(self, when: int, file: int, index: int) -> None:
        empty(file)
        self.backend.clock.world.at(when, self.backend.kicked, index)

    def _forget_kick(self, ring: Ring) -> None:
        file, ring.kick = ring.kick, None
        if file is not None:
            self._pump.unwatch(file)
            close_files([file])

    def _set_call(self, payload: bytes, files: list[int]) -> None:
        ring, file = self._event(payload, files)
        close_files([] if ring.call is None else [ring.call])
        ring.call = file

    def _set_error(self, payload: bytes, files: list[int]) -> None:
        ring, file = self._event(payload, files)
        close_files([] if ring.error is None else [ring.error])
        ring.error = file

    def _enable(self, payload: bytes, files: list[int]) -> None:
        index, enabled = _state(payload)
        if enabled > 1:
            raise Refused(f"ring {index} cannot be enabled by {enabled}")
        self.backend.enable(self._ring(index), bool(enabled))

    # --- the network card's own

    def _send_rarp(self, payload: bytes, files: list[int]) -> None:
        """Announce the guest after its migration: a reverse ARP request (RFC 903) from its address."""
        mac = NUMBER.pack(_number(payload))[:6]
        arp = pack(">HHBBH", 1, 0x0800, 6, 4, 3) + (mac + bytes(4)) * 2
        frame = _BROADCAST + mac + pack(">H", 0x8035) + arp
        self.backend.port.transmit(frame.ljust(_SHORTEST_FRAME, b"\0"))

    def _set_mtu(self, payload: bytes, files: list[int]) -> None:
        mtu = _number(payload)
        if not MIN_MTU <= mtu <= MAX_MTU:
            raise Refused(f"an MTU of {mtu} (virtio 5.1.4.1)")
        self.backend.set_mtu(mtu)


def _parse(layout: construct.Struct, payload: bytes) -> Any:
    try:
        return layout.parse(payload)
    except construct.ConstructError as error:
        raise Refused(f"{len(payload)} bytes of payload: {error}") from error


def _number(payload: bytes) -> int:
    return int(_parse(protocol.Number, payload).value)


def _state(payload: bytes) -> tuple[int, int]:
    words = _parse(protocol.VringState, payload)
    return words.index, words.num
