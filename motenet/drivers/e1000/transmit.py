"""The transmit path: frames are written straight into DMA memory, described, and handed over by one doorbell.

RS is set on the last
descriptor before a doorbell, and on every 32nd in between (as DPDK's em driver, tx_rs_thresh), so that the card writes
back once a batch; what is in between is done when that one is (3.3.3, 3.4). No transmit interrupt is enabled (14.4) but
when somebody waits for room.
"""

from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import ClassVar

from motenet.core.errors import ConfigurationError, DriverError
from motenet.datasheets.e1000 import (
    DTYP_CONTEXT,
    DTYP_DATA,
    TCTL,
    TDBAH,
    TDBAL,
    TDESC_CONTEXT_CODEC,
    TDESC_CONTEXT_COMMAND,
    TDESC_DATA_CODEC,
    TDESC_DATA_COMMAND,
    TDESC_POPTS,
    TDESC_STATUS,
    TDH,
    TDLEN,
    TDT,
    TIPG,
)
from motenet.doors import FrameFacts, PciFunction
from motenet.drivers.e1000.card import Card
from motenet.drivers.ring import Ring
from motenet.drivers.transmit import ALIGN, LONGEST_SEGMENTED, NONE, SHORTEST, RingTransmitter

_LONGEST_BUFFER = 16288
"""3.3.3: the most data of one descriptor."""
_REPORT_EVERY = 32
_DD, _COLLISIONS = TDESC_STATUS["DD"], TDESC_STATUS["EC"] | TDESC_STATUS["LC"]
_RS, _VLE, _EOP = TDESC_DATA_COMMAND["RS"], TDESC_DATA_COMMAND["VLE"], TDESC_DATA_COMMAND["EOP"]
_PLAIN = TDESC_DATA_COMMAND["IFCS"]
"""A legacy descriptor is a data descriptor without DEXT: length, CSO 0, CMD, status, CSS 0, special (3.3.3)."""
_DATA = TDESC_DATA_COMMAND["DEXT"] | TDESC_DATA_COMMAND.field("DTYP").put(DTYP_DATA) | TDESC_DATA_COMMAND["IFCS"]
_SEGMENT = _DATA | TDESC_DATA_COMMAND["TSE"]
_TXSM, _IXSM = TDESC_POPTS["TXSM"], TDESC_POPTS["IXSM"]
_CONTEXT = TDESC_CONTEXT_COMMAND["DEXT"] | TDESC_CONTEXT_COMMAND.field("DTYP").put(DTYP_CONTEXT)
_CONTEXT_TCP = TDESC_CONTEXT_COMMAND["TCP"]
_CONTEXT_SEGMENT = _CONTEXT | _CONTEXT_TCP | TDESC_CONTEXT_COMMAND["IP"] | TDESC_CONTEXT_COMMAND["TSE"]

_TCP_CHECKSUM = 16
"""Where TCP keeps its checksum, from its header's start (RFC 9293 3.1)."""
_SENTINEL = 4
"""Linux e1000_main.c: the card may write a segmented frame's descriptor, and that of the frame after it, back before
it has read all data; a last descriptor of 4 bytes of its own comes after all of it."""
_SPARE = 4
"""Descriptors of a frame beside those for its data: the rest of it, a context, a sentinel, and one that stays free."""
_STATUS_AT = 12


class Transmitter(RingTransmitter):
    """The transmit ring and its memory. For each frame there is room for a context and a sentinel, too."""

    STATE: ClassVar[tuple[str, ...]] = (*RingTransmitter.STATE, "reported", "marks", "context", "after_segments")

    def __init__(
        self,
        function: PciFunction,
        card: Card,
        drop: Callable[[str, str], None],
        *,
        count: int,
        memory: int,
        piece: int,
        longest: int,
        offload: bool,
        segment: bool,
    ) -> None:
        if not SHORTEST <= piece <= _LONGEST_BUFFER:
            raise ConfigurationError(f"descriptor_bytes={piece}: the card takes {SHORTEST} to {_LONGEST_BUFFER}")
        most = LONGEST_SEGMENTED if segment else longest
        if count <= most // piece + _SPARE:
            raise ConfigurationError(
                f"tx_ring={count}: frames of {most} bytes want more than {most // piece + _SPARE} descriptors; enlarge "
                "it, or switch segmentation_offload off"
            )
        ring = Ring(function.dma, TDESC_DATA_CODEC, count, path="tx/ring")
        super().__init__(function, ring, most, memory=memory, piece=piece, spare=_SPARE)
        self._card, self._write, self._drop = card, card.write, drop
        self._plain, self._offload, self._segment = longest, offload, segment
        self._store, self._load = ring.store, ring.load_at
        self._store_context = ring.buffer.packer(TDESC_CONTEXT_CODEC)
        self._status = ring.buffer.unpacker(Struct("<B"))
        self._words = self.memory.unpacker(Struct(">4H"))
        self._word = self.memory.packer(Struct(">H"))
        self._header = self.memory.unpacker(Struct(">12xH"))
        self._version = self.memory.unpacker(Struct(">B8xB"))

        self.reported = 0
        """The ring's counter behind the last descriptor with RS."""
        self.marks: deque[tuple[int, int]] = deque()
        """For each descriptor with RS in flight: ring counter and transmit memory behind it."""
        self.context = NONE
        """The checksum context that the card holds: start << 8 | field."""
        self.after_segments = False
        """The last frame was segmented."""

    # --- up and down

    def open(self) -> None:
        """14.5: the ring and the gaps between frames, then the transmitter. After a reset all contexts are gone."""
        write, ring = self._write, self.ring
        self._forget()
        self.marks.clear()
        self.reported = 0
        self.context = NONE
        self.after_segments = False
        write(TDBAL.offset, ring.address & 0xFFFFFFFF)
        write(TDBAH.offset, ring.address >> 32)
        write(TDLEN.offset, ring.size)
        write(TDH.offset, 0)
        write(TDT.offset, 0)
        write(TIPG.offset, TIPG.field("IPGT").put(10) | TIPG.field("IPGR1").put(8) | TIPG.field("IPGR2").put(6))
        self.set_duplex(True)
        self.running = True

    def set_duplex(self, full: bool) -> None:
        """14.5, 13.4.33: enabled, short frames padded, 16 attempts; a collision distance of 64 or 512 byte times."""
        distance = TCTL.field("COLD").put(0x40 if full else 0x200)
        self._write(TCTL.offset, TCTL["EN"] | TCTL["PSP"] | TCTL.field("CT").put(0x10) | distance)

    def close(self) -> int:
        """Disable the transmitter; returns how many descriptors it has not done."""
        self._card.clear_bits(TCTL, TCTL["EN"])
        self.reported = self.ring.produced
        self.marks.clear()
        return super().close()

    # --- sending

    def commit(self, facts: FrameFacts | None = None) -> None:
        """See NetworkDriver.commit."""
        start, length = self.start, self.length
        if start < 0:
            raise DriverError("nothing is reserved: reserve() before commit()")
        if length < SHORTEST:
            length = SHORTEST
        if facts is not None and facts.segment_size:
            self._commit_segmented(facts, start % self._region, length)
        elif length > self._plain:
            raise DriverError(f"{length} bytes exceed the mtu and are not to be segmented: send at most {self._plain}")
        elif facts is not None and facts.checksum_offset:
            self._commit_checksum(facts, start % self._region, length)
        else:
            self._describe(_PLAIN, 0, start % self._region, length, self._piece)
        ring = self.ring
        self.written = start + (length + ALIGN & ~ALIGN)
        self.start = NONE
        self.frames += 1
        if ring.produced - self.reported >= _REPORT_EVERY:
            self._report()

    def _describe(self, command: int, options: int, offset: int, length: int, piece: int) -> None:
        """Data descriptors for a frame. Only the last has EOP; VLE and SPECIAL are in all, for segmentation reads
        them from the first and everything else from the last (3.3.7.1).
        """
        ring, count, address, special = self.ring, self._count, self._base + offset, 0
        if self.vlan is not None:
            command |= _VLE
            special = self.vlan
        produced = ring.produced
        last = length
        if self.after_segments:
            last = length - _SENTINEL
            self.after_segments = False
        while last > piece:
            self._store(produced % count * 16, address, command | piece, 0, options, special)
            address += piece
            last -= piece
            length -= piece
            produced += 1
        if last != length:
            self._store(produced % count * 16, address, command | last, 0, options, special)
            address += last
            length -= last
            produced += 1
        self._store(produced % count * 16, address, command | _EOP | length, 0, options, special)
        ring.produced = produced + 1

    def _commit_checksum(self, facts: FrameFacts, offset: int, length: int) -> None:
        """3.6: a context says where the checksum goes, and is told anew only when it changes: the card keeps it, apart
        from the one for segmentation (3.3.7.1, TSE).

        TUCSE 0 means to the end of the frame; padding is zeros and does not change the sum.
        """
        start, place = facts.checksum_start, facts.checksum_start + facts.checksum_offset
        if not self._offload or not 14 <= start < place <= min(0xFF, length - 2):
            raise DriverError(f"no checksum can be inserted at byte {place} of {length}; see capabilities.checksum_tx")
        if self.context != start << 8 | place:
            self.context = start << 8 | place
            ring = self.ring
            command = _CONTEXT | _CONTEXT_TCP if facts.checksum_offset == _TCP_CHECKSUM else _CONTEXT
            self._store_context(ring.offset(ring.produced), 0, 0, 0, start, place, 0, command, 0, 0, 0)
            ring.produced += 1
        self._describe(_DATA, _TXSM, offset, length, self._piece)

    def _commit_segmented(self, facts: FrameFacts, offset: int, length: int) -> None:
        """3.5: the prototype header is made ready, and a segmentation context goes in front of the data.

        Linux e1000_main.c: the card reckons with at most four segments a buffer when it looks at its FIFO's room.
        """
        header, size, transport = facts.header_length, facts.segment_size, facts.checksum_start
        (ethertype,) = self._header(offset)
        network = 18 if ethertype == 0x8100 else 14
        version, protocol = self._version(offset + network)
        if (
            not self._segment
            or version >> 4 != 4
            or protocol != 6
            or not network + 20 <= transport <= header - 20
            or not header < min(0x100, length)
            or not header < header + size <= self._plain
        ):
            raise DriverError("only TCP over IPv4 is segmented, into frames within the mtu; see capabilities")
        self._prepare_prototype(offset + network, offset + transport)
        ring = self.ring
        self._store_context(
            ring.offset(ring.produced),
            network, network + 10, transport - 1, transport, transport + _TCP_CHECKSUM, 0,
            _CONTEXT_SEGMENT | length - header, 0, header, size,
        )  # fmt: skip
        ring.produced += 1
        room = self._count - 2 - (ring.produced - ring.consumed)
        piece = max(min(4 * size, self._piece), header, -(-length // room))
        self.after_segments = True
        self._describe(_SEGMENT, _IXSM | _TXSM, offset, length, piece)
        self.after_segments = True

    def _prepare_prototype(self, network: int, transport: int) -> None:
        """3.5.5: IPv4 length and checksum are zero; TCP's checksum is the pseudo-header's sum without the length."""
        a, b, c, d = self._words(network + 12)
        total = a + b + c + d + 6
        total = (total & 0xFFFF) + (total >> 16)
        self._word(network + 2, 0)
        self._word(network + 10, 0)
        self._word(transport + _TCP_CHECKSUM, (total & 0xFFFF) + (total >> 16))

    def _report(self) -> None:
        """Ask for a write-back of the newest descriptor, which the card has not seen yet."""
        produced = self.ring.produced
        at = self.ring.offset(produced - 1)
        address, command, _, options, special = self._load(at)
        self._store(at, address, command | _RS, 0, options, special)
        self.marks.append((produced, self.written))
        self.reported = produced

    def flush(self) -> None:
        """See NetworkDriver.flush: one doorbell (13.4.40)."""
        produced = self.ring.produced
        if produced == self.rung:
            return
        if self.reported != produced:
            self._report()
        if self.ring.consumed == self.rung:
            self.progress_at = self._clock.now
        self.rung = produced
        self._write(TDT.offset, produced % self._count)

    def reap(self) -> bool:
        """Take back what the card reports done: DD is trusted, never TDH (13.4.39). Says whether there was any."""
        marks, count = self.marks, self._count
        done = None
        while marks:
            (status,) = self._status((marks[0][0] - 1) % count * 16 + _STATUS_AT)
            if not status & _DD:
                break
            done = marks.popleft()
            if status & _COLLISIONS:
                self._drop("collisions", f"transmit status {status:#x} (8254x 3.3.3.2)")
        if done is None:
            return False
        self.ring.consumed, self.freed = done
        self._progress(done[0] == self.ring.produced)
        return True
