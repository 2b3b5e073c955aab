"""The floor: what moving a TCP segment between two machines costs in CPython when nothing is modelled but the plumbing.

driver -> doorbell -> descriptor DMA -> wire -> peer DMA -> interrupt -> driver -> parse, and no TCP: no connection,
no acknowledgement, no timer, no watching, one global heap. It is written as flat as Python allows, and independent of
motenet's packages but for the checksum. The real path is quoted as a multiple of it, within one run.

`Plumbing(offload=False)`: each segment with software checksums on both sides, its own doorbell and its own interrupt.
`Plumbing(offload=True)`: the driver hands over up to 64 KiB; the card cuts it and computes checksums, the peer's card
verifies them, one interrupt serves a burst, and the driver joins the payloads.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from struct import Struct
from typing import Any

import numpy as np

from motenet.core.checksum import ones_sum

RING = 256
ROOM = 2048
TX_ROOM = 1 << 17
TDT, RDT, ICR = 0x3818, 0x2818, 0x00C0
DESCRIPTOR = Struct("<QHBBBBH")
HEADERS = Struct("!6s6sH BBHHHBBHII HHIIBBHHH")
PREFIX = HEADERS.size
MSS = 1460
_A, _B = b"\x52\x54\0\0\0\1", b"\x52\x54\0\0\0\2"
_IP_A, _IP_B = 0x0A000001, 0x0A000002


class Plumbing:
    """Two machines and a wire, in one object: the tx_ names are the sender's, the rx_ names the receiver's."""

    def __init__(self, offload: bool) -> None:
        self.offload = offload
        self.now = 0
        self.sequence = 0
        self.heap: list[tuple[int, int, Callable[[Any], None], Any]] = []
        tx, rx = np.zeros(1 << 20, np.uint8).data, np.zeros(2 << 20, np.uint8).data
        self.tx, self.rx = tx, rx
        self.registers: dict[int, int] = {TDT: 0, RDT: RING - 1, ICR: 0}
        self.write_register = {TDT: self.tail_written, RDT: self.store}
        self.tdh = self.rdh = self.clean = self.queued = 0
        self.interrupt_pending = False
        self.seq = self.ident = 0
        self.received = self.payload = 0
        self.sink = memoryview(bytearray(1 << 20))
        self.buffers = 1 << 16
        for index in range(RING):
            DESCRIPTOR.pack_into(rx, 16 * index, self.buffers + ROOM * index, 0, 0, 0, 0, 0, 0)

    # --- the sender's driver

    def send(self, payload: memoryview) -> None:
        """One segment, or with offload up to 64 KiB for the card to cut."""
        length = len(payload)
        index = self.queued & RING - 1
        at = self.buffers + (index & 3) * TX_ROOM
        ident, self.ident = self.ident, self.ident + -(-length // MSS) & 0xFFFF
        total = 40 + length
        ip_total = 0 if self.offload else total
        pseudo = _IP_A + _IP_B + 6 + (0 if self.offload else 20 + length)
        fields = (0x45, 0, ip_total, ident, 0x4000, 64, 6, 0, _IP_A, _IP_B, 80, 4000, self.seq, 1, 0x50, 0x18, 65535)
        HEADERS.pack_into(self.tx, at, _B, _A, 0x0800, *fields, 0, 0)
        self.tx[at + PREFIX : at + PREFIX + length] = payload
        if not self.offload:
            ip = ones_sum(self.tx[at + 14 : at + 34]) ^ 0xFFFF
            self.tx[at + 24 : at + 26] = ip.to_bytes(2, "big")
            tcp = ones_sum(self.tx[at + 34 : at + PREFIX + length], pseudo) ^ 0xFFFF
            self.tx[at + 50 : at + 52] = tcp.to_bytes(2, "big")
        self.seq = self.seq + length & 0xFFFFFFFF
        DESCRIPTOR.pack_into(self.tx, 16 * index, at, total + 14 & 0xFFFF, total + 14 >> 16, 9, 0, 0, 0)
        self.queued += 1
        self.write(TDT, self.queued & RING - 1)

    def write(self, register: int, value: int) -> None:
        self.write_register[register](register, value)

    def store(self, register: int, value: int) -> None:
        self.registers[register] = value

    # --- the sender's card

    def tail_written(self, register: int, value: int) -> None:
        self.registers[register] = value
        self.at(self.now, self.transmit, None)

    def transmit(self, _argument: None) -> None:
        while self.tdh != self.registers[TDT]:
            address, low, high, *_ = DESCRIPTOR.unpack_from(self.tx, 16 * self.tdh)
            frame = bytes(self.tx[address : address + (low | high << 16)])
            if self.offload:
                for segment in cut(frame):
                    self.at(self.now + 1000, self.arrive, segment)
            else:
                self.at(self.now + 1000, self.arrive, frame)
            self.tx[16 * self.tdh + 12] = 1
            self.tdh = self.tdh + 1 & RING - 1

    # --- the receiver's card

    def arrive(self, frame: bytes) -> None:
        if self.offload and ones_sum(frame[34:], _IP_A + _IP_B + 6 + len(frame) - 34) != 0xFFFF:
            return
        address, *_ = DESCRIPTOR.unpack_from(self.rx, 16 * self.rdh)
        self.rx[address : address + len(frame)] = frame
        DESCRIPTOR.pack_into(self.rx, 16 * self.rdh, address, len(frame), 0, 0, 1, 0, 0)
        self.rdh = self.rdh + 1 & RING - 1
        self.registers[ICR] |= 0x80
        if not self.interrupt_pending:
            self.interrupt_pending = True
            self.at(self.now + (1 if self.offload else 0), self.interrupt, None)

    # --- the receiver's driver

    def interrupt(self, _argument: None) -> None:
        self.interrupt_pending = False
        cause, self.registers[ICR] = self.registers[ICR], 0
        if not cause:
            return
        expected = -1
        while True:
            address, length, _high, _command, status, *_ = DESCRIPTOR.unpack_from(self.rx, 16 * self.clean)
            if not status & 1:
                break
            frame = self.rx[address : address + length]
            header = HEADERS.unpack_from(frame)
            seq, end = header[15], 14 + header[5]
            if self.offload:
                place = 0 if seq != expected else self.payload % (1 << 19)
                self.sink[place : place + end - PREFIX] = frame[PREFIX:end]
                expected = seq + end - PREFIX
            else:
                if ones_sum(frame[14:34]) != 0xFFFF:
                    return
                if ones_sum(frame[34:end], header[11] + header[12] + 6 + end - 34) != 0xFFFF:
                    return
                self.sink[: end - PREFIX] = frame[PREFIX:end]
            self.payload += end - PREFIX
            self.received += 1
            DESCRIPTOR.pack_into(self.rx, 16 * self.clean, address, 0, 0, 0, 0, 0, 0)
            self.clean = self.clean + 1 & RING - 1
        self.write(RDT, self.clean - 1 & RING - 1)

    # --- time

    def at(self, time: int, callback: Callable[[Any], None], argument: Any) -> None:
        self.sequence += 1
        heappush(self.heap, (time, self.sequence, callback, argument))

    def run(self) -> None:
        heap = self.heap
        while heap:
            self.now, _, callback, argument = heappop(heap)
            callback(argument)


def cut(frame: bytes) -> list[bytes]:
    """The segments of a frame of up to 64 KiB, with lengths, idents, sequence numbers, flags and checksums."""
    payload = len(frame) - PREFIX
    whole, rest = divmod(payload, MSS)
    block = np.frombuffer(frame, np.uint8, whole * MSS, PREFIX).reshape(whole, MSS)
    sums = block.view("<u2").sum(axis=1, dtype=np.uint32).tolist()
    if rest:
        tail = frame[PREFIX + whole * MSS :]
        sums.append(int.from_bytes(ones_sum(tail).to_bytes(2, "big"), "little"))
    header = list(HEADERS.unpack_from(frame))
    ident, seq = header[6], header[15]
    segments = []
    for index, total in enumerate(sums):
        start = PREFIX + index * MSS
        data = frame[start : start + MSS]
        header[5], header[6], header[15] = 40 + len(data), ident + index & 0xFFFF, seq + index * MSS & 0xFFFFFFFF
        header[10] = header[20] = 0
        part = HEADERS.pack(*header)
        swapped = total % 0xFFFF
        initial = ((swapped & 0xFF) << 8 | swapped >> 8) + _IP_A + _IP_B + 6 + 20 + len(data)
        header[10] = ones_sum(part[14:34]) ^ 0xFFFF
        header[20] = ones_sum(part[34:54], initial) ^ 0xFFFF
        segments.append(HEADERS.pack(*header) + data)
    return segments
