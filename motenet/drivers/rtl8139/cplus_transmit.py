"""C+ mode's transmit path: frames are written straight into DMA memory, one descriptor each, one doorbell a batch.

A descriptor's OWN is
stored last, alone, behind a barrier, for the card may be reading the ring at any time.
"""

from collections.abc import Callable
from struct import Struct
from typing import ClassVar

from motenet.core.checksum import internet_checksum
from motenet.core.errors import DriverError
from motenet.datasheets.rtl8139 import (
    CR,
    DESCRIPTOR_CODEC,
    DESCRIPTOR_SIZE,
    ETTHR,
    RING_ALIGNMENT,
    TCR,
    THPDSH,
    THPDSL,
    TNPDSH,
    TNPDSL,
    TPPOLL,
    TX_COMMAND,
    TX_LARGE_SEND,
    TX_STATUS,
    TX_VLAN,
)
from motenet.doors import TCP4, FrameFacts, PciFunction
from motenet.drivers.ring import Ring
from motenet.drivers.rtl8139.c_transmit import TRANSMIT_CONTROL
from motenet.drivers.rtl8139.card import Card
from motenet.drivers.transmit import ALIGN, NONE, SHORTEST, RingTransmitter

LONGEST_SEGMENTED = TX_LARGE_SEND["LENGTH"]
"""As much as one descriptor can tell."""
LARGEST_SEGMENT = TX_LARGE_SEND.field("MSS").mask >> TX_LARGE_SEND.field("MSS").lsb
"""Payload bytes."""

_EARLY = 6
"""ETTHR in units of 32 bytes, as Linux 8139cp.c."""
_MASK = 0xFFFFFFFF
"""What the card can address."""
_OWN, _EOR = TX_COMMAND["OWN"], TX_COMMAND["EOR"]
_PLAIN = TX_COMMAND["FS"] | TX_COMMAND["LS"]
_TCP, _UDP = 6, 17
_UDP_CHECKSUM = 6  # where it lies in the header
_SUMS = {
    (_TCP, 16): _PLAIN | TX_COMMAND["IPCS"] | TX_COMMAND["TCPCS"],
    (_UDP, _UDP_CHECKSUM): _PLAIN | TX_COMMAND["IPCS"] | TX_COMMAND["UDPCS"],
}
"""By protocol, and where in its header the checksum lies: the command that makes the card compute it, with the IPv4
header's, as Linux 8139cp.c."""
_SEGMENT, _MSS = _PLAIN | TX_LARGE_SEND["LGSEN"], TX_LARGE_SEND.field("MSS")
_TAGC = TX_VLAN["TAGC"]
_FAILED = TX_STATUS["TES"] | TX_STATUS["UNF"]
_REASONS = _FAILED | TX_STATUS["OWC"] | TX_STATUS["LNKF"] | TX_STATUS["EXC"]
_IPV4, _WITHOUT_FRAGMENTS = 0x0800, 0x1FFF | 0x2000


class DescriptorTransmitter(RingTransmitter):
    """The normal priority ring and its memory, one descriptor a frame."""

    STATE: ClassVar[tuple[str, ...]] = (*RingTransmitter.STATE, "ends")

    def __init__(
        self,
        function: PciFunction,
        card: Card,
        drop: Callable[[str, str], None],
        *,
        count: int,
        memory: int,
        longest: int,
        offload: bool,
        segment: bool,
    ) -> None:
        ring = Ring(function.dma, DESCRIPTOR_CODEC, count, path="tx/ring", align=RING_ALIGNMENT, mask=_MASK)
        most = max(LONGEST_SEGMENTED, longest) if segment else longest
        super().__init__(function, ring, most, memory=memory, piece=memory, spare=1, mask=_MASK)
        self._card, self._drop = card, drop
        self._write8, self._barrier = card.window.write8, function.dma.barrier
        self._plain, self._offload, self._segment = longest, offload, segment
        self._body, self._publish = ring.buffer.packer(Struct("<IQ")), ring.buffer.packer(Struct("<I"))
        self._status = ring.buffer.unpacker(Struct("<I"))
        self._network = self.memory.unpacker(Struct(">12xHB5xHxB"))  # EtherType, version, fragment, protocol
        self.ends = [0] * count
        """For each descriptor: transmit memory behind its frame."""

    # --- up and down

    def open(self) -> None:
        """The ring, empty, and where it is; no ring for high priority. CPCR comes before (RTL8139C+ 6.33)."""
        self._forget()
        for register, value in ((THPDSL, 0), (THPDSH, 0), (TNPDSL, self.ring.address), (TNPDSH, 0)):
            self._card.write(register, value)

    def enable(self) -> None:
        """TCR, with CR.TE on, and when a frame begins to go out."""
        self._card.write(ETTHR, _EARLY)
        self._card.write(TCR, TRANSMIT_CONTROL)
        self.running = True

    def close(self) -> int:
        """Disable the transmitter; returns how many frames it has not sent."""
        self._card.write(CR, self._card.read(CR) & CR["RE"])
        return super().close()

    # --- sending

    def commit(self, facts: FrameFacts | None = None) -> None:
        """See NetworkDriver.commit."""
        start, length = self.start, self.length
        if start < 0:
            raise DriverError("nothing is reserved: reserve() before commit()")
        offset = start % self._region
        if facts is not None and facts.segment_size:
            command = self._cut(facts, offset, length)
        elif length > self._plain:
            raise DriverError(f"{length} bytes exceed the mtu and are not to be segmented: send at most {self._plain}")
        elif facts is not None and facts.checksum_offset:
            command = self._sum(facts, offset, length)
        else:
            command = _PLAIN
        if length < SHORTEST:
            length = SHORTEST
        ring, vlan = self.ring, self.vlan
        index = ring.produced % self._count
        at = index * DESCRIPTOR_SIZE
        tag = 0 if vlan is None else _TAGC | (vlan & 0xFF) << 8 | vlan >> 8
        self._body(at + 4, tag, self._base + offset)
        self._barrier()
        self._publish(at, command | length | (_OWN | _EOR if index == self._count - 1 else _OWN))
        self.written = self.ends[index] = start + (length + ALIGN & ~ALIGN)
        ring.produced += 1
        self.start = NONE
        self.frames += 1

    def _sum(self, facts: FrameFacts, offset: int, length: int) -> int:
        """The command for a frame whose checksum is to be computed: TCP and UDP over IPv4 by the card, which finds
        the headers itself, everything else here."""
        start, place = facts.checksum_start, facts.checksum_start + facts.checksum_offset
        if not self._offload or not 14 <= start < place <= length - 2:
            raise DriverError(f"no checksum can be inserted at byte {place} of {length}; see capabilities.checksum_tx")
        ethertype, version, fragment, protocol = self._network(offset)
        if ethertype == _IPV4 and start == 14 + (version & 0xF) * 4 and not fragment & _WITHOUT_FRAGMENTS:
            command = _SUMS.get((protocol, facts.checksum_offset))
            if command is not None:
                return command
        value = internet_checksum(self._lend(offset + start, length - start))
        if not value and facts.checksum_offset == _UDP_CHECKSUM:
            value = 0xFFFF  # RFC 768: 0 means none; the sums of others have one form of zero (RFC 1624, 3)
        self._lend(offset + place, 2)[:] = value.to_bytes(2, "big")
        return _PLAIN

    def _cut(self, facts: FrameFacts, offset: int, length: int) -> int:
        """The command for a frame that is to be cut. The card reads lengths and pseudo-header from the frame itself."""
        header, size = facts.header_length, facts.segment_size
        ethertype, version, _, protocol = self._network(offset)
        if (
            not self._segment
            or facts.segment_kind != TCP4
            or (ethertype, version >> 4, protocol) != (_IPV4, 4, _TCP)
            or facts.checksum_start != 14 + (version & 0xF) * 4
            or not facts.checksum_start + 20 <= header < length
            or not header < header + size <= self._plain
            or size > LARGEST_SEGMENT
        ):
            raise DriverError("only TCP over IPv4 is segmented, into frames within the mtu; see capabilities")
        return _SEGMENT | _MSS.put(size)

    def flush(self) -> None:
        """See NetworkDriver.flush: one doorbell."""
        produced = self.ring.produced
        if produced == self.rung:
            return
        if self.ring.consumed == self.rung:
            self.progress_at = self._clock.now
        self.rung = produced
        self._write8(TPPOLL.offset, TPPOLL["NPQ"])

    def reap(self) -> bool:
        """Take back what the card is done with, in order. Says whether there was any."""
        ring, rung, count, load = self.ring, self.rung, self._count, self._status
        before = consumed = ring.consumed
        while consumed < rung:
            status = load(consumed % count * DESCRIPTOR_SIZE)[0]
            if status & _OWN:
                break
            if status & _FAILED:
                self._drop("tx error", TX_STATUS.describe(status & _REASONS))
            consumed += 1
        if consumed == before:
            return False
        ring.consumed = consumed
        self.freed = self.ends[(consumed - 1) % count]
        self._progress(consumed == ring.produced)
        return True
