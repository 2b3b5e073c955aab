"""The 82540EM's transmitter: descriptors, checksum insertion, TCP segmentation, write-back (8254x 3.3 to 3.6)."""

from collections.abc import Callable
from struct import Struct
from typing import ClassVar

from motenet.core.checksum import frame_check_sequence
from motenet.core.state import Component
from motenet.datasheets import e1000 as sheet
from motenet.devices.e1000.interrupts import InterruptUnit
from motenet.devices.e1000.statistics import count_sent
from motenet.devices.parts.bank import RegisterBank
from motenet.devices.parts.offload import Segmentation, insert_checksum, part, segment
from motenet.doors import FrameFacts, PciSlot

_CTRL, _VET, _TCTL = sheet.CTRL.offset, sheet.VET.offset, sheet.TCTL.offset
_TDBAL, _TDBAH, _TDLEN = sheet.TDBAL.offset, sheet.TDBAH.offset, sheet.TDLEN.offset
_TDH, _TDT = sheet.TDH.offset, sheet.TDT.offset
_TSCTC, _TSCTFC = sheet.TSCTC.offset, sheet.TSCTFC.offset
_VME, _EN, _PSP = sheet.CTRL["VME"], sheet.TCTL["EN"], sheet.TCTL["PSP"]
_TXDW, _TXQE = sheet.ICR["TXDW"], sheet.ICR["TXQE"]

# DTALEN, DTYP and the command byte lie in one dword; a legacy descriptor has its length and CSO in front of the latter.
_EOP, _IFCS, _TSE, _RS = (sheet.TDESC_DATA_COMMAND[name] for name in ("EOP", "IFCS", "TSE", "RS"))
_DEXT, _VLE, _DTALEN = (sheet.TDESC_DATA_COMMAND[name] for name in ("DEXT", "VLE", "DTALEN"))
_IC = sheet.TDESC_CMD["IC"] << 24
_DTYP = sheet.TDESC_DATA_COMMAND.field("DTYP")
_DATA = _DEXT | _DTYP.put(sheet.DTYP_DATA)
_KIND = _DEXT | _DTYP.mask
_TCP, _IP, _PAYLEN = (sheet.TDESC_CONTEXT_COMMAND[name] for name in ("TCP", "IP", "PAYLEN"))
_IXSM, _TXSM = sheet.TDESC_POPTS["IXSM"], sheet.TDESC_POPTS["TXSM"]
_DD = sheet.TDESC_STATUS["DD"]
_COMMAND_AT, _STATUS_AT, _REPORT = sheet.TDESC_CMD.offset, sheet.TDESC_STATUS.offset, sheet.TDESC_CMD["RS"]

CACHE = 64
"""Descriptors that are fetched at once (8254x 3.4)."""
LONGEST = 16288
"""Bytes of the longest packet (8254x 3.3.3)."""
SHORTEST = 60
"""Bytes, without FCS, up to which TCTL.PSP pads (8254x 13.4.33)."""
WORK = 1 << 20
"""Bytes of data after which an event leaves the rest to another."""
SEGMENTS = 4096
"""Of one packet that an event sends: PAYLEN allows for a million."""
SEGMENT_WORK = 64
"""Bytes for which each segment counts beside its data."""

_STATUS_CODEC = Struct("<B")
_CONTEXT = sheet.TDESC_CONTEXT_CODEC
_DESCRIPTOR = sheet.TDESC_DATA_CODEC
_NO_CONTEXT = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


class TransmitUnit(Component):
    """Works through the ring from TDH to TDT in events of its own, whenever it may."""

    STATE: ClassVar[tuple[str, ...]] = (
        "scheduled", "generation", "normal", "segmenting", "pieces", "gathered", "options", "first", "start", "refused",
        "cut",
    )  # fmt: skip

    def __init__(self, bank: RegisterBank, interrupts: InterruptUnit, drop: Callable[[str, str], None]) -> None:
        self.path = "transmit"
        self.obstacle: Callable[[], str] = lambda: "no bus"
        """Wiring: what keeps the card from sending, in words."""
        self.ready: Callable[[], bool] = lambda: False
        """Wiring: whether the card may master the bus and has a link."""
        self.send: Callable[[list[bytes], FrameFacts | None], None] = lambda frames, facts: None
        """Wiring: where finished frames go."""
        self.scheduled = False
        self.generation = 0
        """Counts resets and disablings: work that began before one is not continued."""
        self.normal = _NO_CONTEXT
        """The last context for checksums (8254x 3.3.6)."""
        self.segmenting = _NO_CONTEXT
        """The last context for segmentation: the card keeps one of each."""
        self.pieces: list[bytes] = []
        """The data of the packet whose EOP has not come yet."""
        self.gathered = 0
        """Their bytes."""
        self.options = -1
        """POPTS of its first data descriptor; -1: the packet has none yet, or began with a legacy descriptor."""
        self.first = (0, 0)
        """That descriptor's command and special field: they count for segmentation (8254x 3.3.7.1)."""
        self.start = 0
        """CSS of its first legacy descriptor."""
        self.refused = False
        """It is too long: dropped up to EOP."""
        self.cut = 0
        """Bytes of its payload that have gone in segments, while others are left to the next event; else 0."""
        self._values = bank.values
        self._interrupts = interrupts
        self._drop = drop
        bank.on_write(sheet.TDT, self._tail_written)
        bank.on_write(sheet.TCTL, self._control_written)

    def plug(self, slot: PciSlot) -> None:
        self._clock = slot.clock
        self._fetch = slot.dma.read
        self._store_status = slot.dma.writer(_STATUS_CODEC, "TDESC.STATUS")

    def reset(self) -> None:
        """Forget the packet in hand; contexts too."""
        self.halt()
        self.cut = 0
        self._finish_packet()
        self.normal = self.segmenting = _NO_CONTEXT

    def halt(self) -> None:
        """The transmitter is disabled, or the bus lost. What has been read stays in the card (8254x 13.4.33)."""
        self.generation += 1

    def kick(self) -> None:
        """Go on in an event of its own, if there is work and nothing is in the way."""
        values = self._values
        waiting = values[_TDH] != values[_TDT] or self.cut
        if not self.scheduled and waiting and values[_TCTL] & _EN and self.ready():
            self.scheduled = True
            self._clock.after(0, self._run)

    def _tail_written(self, tail: int) -> None:
        self.kick()
        if not self.scheduled and self._values[_TDH] != tail:
            why = "TCTL.EN is 0" if not self._values[_TCTL] & _EN else self.obstacle()
            self._drop("doorbell without effect", f"TDT {tail} written, and nothing is sent yet: {why}")

    def _control_written(self, control: int) -> None:
        if control & _EN:
            self.kick()
        else:
            self.halt()

    # --- the ring

    def _run(self, _: object) -> None:
        """Process descriptors up to the tail: at most a ring's worth, and WORK bytes, an event."""
        self.scheduled = False
        values = self._values
        if not values[_TCTL] & _EN or not self.ready():
            return
        work = WORK
        if self.cut:
            work -= self._transmit_segments(self.pieces[0], self._segmentation())
            self._finish_packet()
        head, tail = values[_TDH], values[_TDT]
        count = values[_TDLEN] >> 4
        if head >= count or tail >= count:
            self._drop("bad transmit ring", f"TDH {head}, TDT {tail} in a ring of {count}: nothing is sent")
            return
        base = values[_TDBAH] << 32 | values[_TDBAL]
        generation, causes = self.generation, 0
        while head != tail and work > 0 and not self.cut:
            first, batch = head, min((tail if tail > head else count) - head, CACHE)
            raw = self._fetch(base + head * 16, batch * 16, "TDESC")
            if self.generation != generation:
                return
            for at in range(0, batch * 16, 16):
                work -= self._process(raw, at)
                if self.generation != generation:
                    return
                head += 1
                values[_TDH] = head if head < count else 0
                if raw[at + _COMMAND_AT] & _REPORT:
                    self._store_status(base + first * 16 + at + _STATUS_AT, raw[at + _STATUS_AT] | _DD)
                    if self.generation != generation:
                        return
                    causes |= _TXDW
                if self.cut:
                    break
            head, tail = values[_TDH], values[_TDT]
            if tail >= count:
                break
        if head == tail and not self.cut:
            causes |= _TXQE  # 3.4.3: all descriptors have been processed
        else:
            self.kick()
        if causes:
            self._interrupts.cause(causes)

    def _process(self, raw: bytes, at: int) -> int:
        """One descriptor. Returns the bytes that it made the card move."""
        address: int
        command: int
        address, command, _, options, special = _DESCRIPTOR.unpack_from(raw, at)
        if not command & _DEXT:
            length = command & 0xFFFF
            if self.options < 0 and not self.gathered:
                self.start = options
        elif command & _KIND == _DATA:
            length = command & _DTALEN
            if self.options < 0:
                self.options, self.first = options, (command, special)
        else:
            self._take_context(raw, at, command)
            return 0
        if length and address:  # 3.3.3: descriptors with a null address, or of no length, transfer no data
            limit = LONGEST
            if command & _DEXT and command & _TSE:
                limit = self.segmenting[8] + (self.segmenting[6] & _PAYLEN)
            if self.gathered + length > limit or self.refused:
                self.refused = True
                length = 0
            else:
                generation = self.generation
                piece = self._fetch(address, length, "")
                if self.generation != generation:
                    return length
                self.pieces.append(piece)
                self.gathered += length
        if command & _EOP:
            return length + self._packet_complete(command, special)
        return length

    def _take_context(self, raw: bytes, at: int, command: int) -> None:
        if command & _DTYP.mask:
            self._drop("unknown descriptor", f"DTYP {_DTYP.get(command)} with DEXT")
        elif command & _TSE:
            self.segmenting = _CONTEXT.unpack_from(raw, at)
        else:
            self.normal = _CONTEXT.unpack_from(raw, at)

    # --- a packet

    def _finish_packet(self) -> None:
        """Forget it, unless segments are left."""
        if self.cut:
            return
        self.pieces.clear()
        self.gathered, self.options, self.start, self.refused = 0, -1, 0, False

    def _packet_complete(self, command: int, special: int) -> int:
        """EOP: checksums, segments, tag, padding, and out. Returns the work beside the data."""
        pieces, work = self.pieces, 0
        if self.refused:
            self._drop("packet too long", f"more than {LONGEST} bytes, or than the segmentation context announces")
            if command & _DEXT and command & _TSE:
                self._values[_TSCTFC] += 1
        elif pieces:
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            if not command & _DEXT:
                self._transmit([self._with_legacy_checksum(data, command)], command, special)
            elif command & _TSE:
                work = self._begin_segments(data)
            else:
                self._transmit([self._with_checksums(data)], command, special)
        self._finish_packet()
        return work

    def _with_legacy_checksum(self, data: bytes, command: int) -> bytes:
        """3.3.3: the sum from CSS to the end is put at CSO."""
        if not command & _IC:
            return data
        frame = bytearray(data)
        if not insert_checksum(frame, self.start, command >> 16 & 0xFF, 0):
            self._drop("checksum outside packet", f"CSS {self.start}, CSO {command >> 16 & 0xFF} of {len(data)} bytes")
        return bytes(frame)

    def _with_checksums(self, data: bytes) -> bytes:
        """3.6: IP and TCP or UDP checksums, as the context and POPTS say."""
        options = self.options
        if not options & (_IXSM | _TXSM):
            return data
        ipcss, ipcso, ipcse, tucss, tucso, tucse, command, *_ = self.normal
        frame, fits = bytearray(data), True
        if options & _TXSM:
            fits = insert_checksum(frame, tucss, tucso, tucse, zero_is_none=not command & _TCP)
        if options & _IXSM:
            fits &= insert_checksum(frame, ipcss, ipcso, ipcse)
        if not fits:
            self._drop("checksum outside packet", f"context {self.normal} for {len(data)} bytes")
        return bytes(frame)

    def _segmentation(self) -> Segmentation:
        """What the context and POPTS say."""
        ipcss, ipcso, ipcse, tucss, tucso, tucse, _, _, header, mss = self.segmenting
        return Segmentation(
            header, mss, ip=ipcss, ip_end=ipcse, ip_checksum=ipcso, tcp=tucss, tcp_end=tucse, tcp_checksum=tucso,
            insert_ip=bool(self.options & _IXSM), insert_tcp=bool(self.options & _TXSM),
        )  # fmt: skip

    def _begin_segments(self, data: bytes) -> int:
        """3.5: cut the packet into frames of MSS bytes of payload each, unless it cannot be done. Returns the work."""
        how, context = self._segmentation(), self.segmenting[6]
        header, payload = how.header, context & _PAYLEN
        if not context & _TCP or not context & _IP or not how.valid or header + how.mss > LONGEST or len(data) < header:
            self._drop("bad segmentation context", f"{self.segmenting} for {len(data)} bytes")
            self._values[_TSCTFC] += 1
            return 0
        if len(data) != header + payload:
            self._drop("segmentation ended early", f"{len(data)} bytes of {header + payload}")
            self._values[_TSCTFC] += 1  # 3.3.7.1: abnormal termination
        else:
            self._values[_TSCTC] += 1
        return self._transmit_segments(data, how)

    def _transmit_segments(self, data: bytes, how: Segmentation) -> int:
        """As many as an event may send: `cut` tells where the next one goes on. Returns the work."""
        cut = self.cut
        most = SEGMENTS * how.mss
        self.cut = cut + most if len(data) - how.header > cut + most else 0
        if self.cut:
            self.pieces[:] = [data]
        frames = segment(part(data, how, cut, most) if cut or self.cut else data, how)
        self._transmit(frames, *self.first)
        return len(frames) * SEGMENT_WORK

    def _transmit(self, frames: list[bytes], command: int, special: int) -> None:
        """Frames of one packet: 802.1Q tag, FCS, padding; then out."""
        values = self._values
        facts = None
        if command & _VLE and values[_CTRL] & _VME:
            tag = (values[_VET] << 16 | special).to_bytes(4, "big")
            frames = [frame[:12] + tag + frame[12:] for frame in frames]
        elif not command & _IFCS:  # software supplies the FCS
            if any(frame[-4:] != frame_check_sequence(frame[:-4]) for frame in frames):
                facts = FrameFacts(damaged=True)
            frames = [frame[:-4] for frame in frames]
        if len(frames[-1]) < SHORTEST and values[_TCTL] & _PSP:
            frames = [frame.ljust(SHORTEST, b"\0") for frame in frames]
        if len(frames[-1]) < 14:
            self._drop("packet too short", f"{len(frames[-1])} bytes are no Ethernet frame")
            return
        if len(frames) > 1:  # all but the last are of one size
            count_sent(values, frames[0], len(frames[0]) + 4, len(frames) - 1)
        count_sent(values, frames[-1], len(frames[-1]) + 4)
        self.send(frames, facts)
