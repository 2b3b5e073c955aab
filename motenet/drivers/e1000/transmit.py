"""The transmit path: frames are written straight into DMA memory, described, and handed over by one doorbell.

Transmit memory is a ring of bytes: frames lie in it one behind the other, and are freed in order. RS is set on the last
descriptor before a doorbell, and on every 32nd in between (as DPDK's em driver, tx_rs_thresh), so that the card writes
back once a batch; what is in between is done when that one is (3.3.3, 3.4). No transmit interrupt is enabled (14.4) but
when somebody waits for room.
"""

from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import ClassVar

from motenet.core.errors import ConfigurationError, DriverError
from motenet.core.state import Component
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

SHORTEST = 60
"""3.3.3 wants 48 bytes before padding, and Linux pads to 60: the card may spoil what it pads itself."""
LONGEST_SEGMENTED = 14 + 0xFFFF
"""An Ethernet header, and as much as IPv4's total length can tell."""

_LONGEST_BUFFER = 16288
"""3.3.3: the most data of one descriptor."""
_REPORT_EVERY = 32
_ALIGN = 63
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
_STATUS_AT = 12
_NONE = -1


class Transmitter(Component):
    """The transmit ring and its memory. `reserve`, `commit` and `flush` are NetworkDriver's."""

    STATE: ClassVar[tuple[str, ...]] = (
        "running", "rung", "reported", "marks", "written", "freed", "start", "length", "context", "after_segments",
        "vlan", "blocked", "progress_at", "frames",
    )  # fmt: skip

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
        self.path = "tx"
        if not SHORTEST <= piece <= _LONGEST_BUFFER or memory % (_ALIGN + 1):
            raise ConfigurationError(
                f"descriptor_bytes={piece} is not within {SHORTEST} and {_LONGEST_BUFFER}, or "
                f"tx_memory={memory} is no multiple of {_ALIGN + 1}"
            )
        self.ring = Ring(function.dma, TDESC_DATA_CODEC, count, path="tx/ring")
        self.memory = function.dma.allocate(memory, 64)
        self.longest = LONGEST_SEGMENTED if segment else longest
        """The longest frame in bytes that may be reserved."""
        needed = self.longest // piece + 4
        if count <= needed or memory < 2 * self.longest:
            raise ConfigurationError(
                f"tx_ring={count}, tx_memory={memory}: frames of {self.longest} bytes want more than {needed} "
                f"descriptors and {2 * self.longest} bytes; enlarge them, or switch segmentation_offload off"
            )
        self._card, self._write, self._drop = card, card.write, drop
        self._clock = function.clock
        self._count, self._region, self._piece, self._plain = count, memory, piece, longest
        self._offload, self._segment = offload, segment
        self._base = self.memory.address
        self._lend = self.memory.lend
        self._store, self._load = self.ring.store, self.ring.load_at
        self._store_context = self.ring.buffer.packer(TDESC_CONTEXT_CODEC)
        self._status = self.ring.buffer.unpacker(Struct("<B"))
        self._words = self.memory.unpacker(Struct(">4H"))
        self._word = self.memory.packer(Struct(">H"))
        self._header = self.memory.unpacker(Struct(">12xH"))
        self._version = self.memory.unpacker(Struct(">B8xB"))
        self.on_full: Callable[[], None] | None = None
        """Called when `reserve` has refused: the driver may want an interrupt for the next write-back."""

        self.running = False
        self.rung = 0
        """What the card has been told: the ring's counter at the last doorbell."""
        self.reported = 0
        """The ring's counter behind the last descriptor with RS."""
        self.marks: deque[tuple[int, int]] = deque()
        """For each descriptor with RS in flight: ring counter and transmit memory behind it."""
        self.written = 0
        """Bytes of transmit memory given out since start, running free."""
        self.freed = 0
        """Bytes of transmit memory taken back."""
        self.start = _NONE
        """Where the reserved frame lies, or -1."""
        self.length = 0
        """The reserved frame's bytes."""
        self.context = _NONE
        """The checksum context that the card holds: start << 8 | field."""
        self.after_segments = False
        """The last frame was segmented."""
        self.vlan: int | None = None
        """The tag that the card inserts in each frame."""
        self.blocked = False
        """`reserve` has refused, and nothing has been reaped since."""
        self.progress_at = 0
        """When the card last gave something back, or got something after being idle (ns)."""
        self.frames = 0
        """Frames committed; a segmented one counts once."""

    def parts(self) -> tuple[Component, ...]:
        return (self.ring,)

    # --- up and down

    def open(self) -> None:
        """14.5: the ring and the gaps between frames, then the transmitter. After a reset all contexts are gone."""
        write, ring = self._write, self.ring
        ring.clear()
        self.marks.clear()
        self.rung = self.reported = self.written = self.freed = 0
        self.start = self.context = _NONE
        self.after_segments = self.blocked = False
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
        self.running = False
        left = self.ring.produced - self.ring.consumed
        self.ring.consumed = self.rung = self.reported = self.ring.produced
        self.marks.clear()
        self.start = _NONE
        self.blocked = False
        return left

    @property
    def idle(self) -> bool:
        """The card has given back all that it was told of."""
        return self.ring.consumed == self.rung

    # --- sending

    def reserve(self, length: int) -> memoryview | None:
        """See NetworkDriver.reserve. Room is wanted for the data, a context, and a sentinel."""
        size = length if length > SHORTEST else SHORTEST
        ring, region = self.ring, self._region
        start = self.written
        offset = start % region
        if offset + size > region:
            start += region - offset
            offset = 0
        if (
            start + size - self.freed > region
            or ring.produced - ring.consumed + size // self._piece + 4 > self._count
            or not self.running
            or not 14 <= length <= self.longest
        ):
            return self._reserve_again(length)
        self.start = start
        self.length = length
        if length < SHORTEST:
            self._lend(offset + length, SHORTEST - length)[:] = bytes(SHORTEST - length)
        return self._lend(offset, length)

    def _reserve_again(self, length: int) -> memoryview | None:
        """Find out why there was no room, and take back what the card is done with."""
        if not self.running:
            raise DriverError("the card is down: start() the driver before sending")
        if not 14 <= length <= self.longest:
            raise DriverError(f"a frame of {length} bytes cannot be sent: it has 14 to {self.longest}; see mtu")
        self.flush()
        if self.reap():
            return self.reserve(length)
        self.blocked = True
        if self.on_full is not None:
            self.on_full()
        return None

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
        self.written = start + (length + _ALIGN & ~_ALIGN)
        self.start = _NONE
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
        if done[0] == self.ring.produced and self.start < 0:
            self.written = self.freed = 0  # all is sent: begin anew, in memory that is in use already
        self.blocked = False
        self.progress_at = self._clock.now
        return True
