"""The 82540EM's receiver: filters, packet buffer, descriptors, status (8254x 3.2, 13.4.22, 13.7)."""

from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import ClassVar

from motenet.core.state import Component, Plain
from motenet.datasheets import e1000 as sheet
from motenet.devices.e1000.filters import EXACT, AddressFilter
from motenet.devices.e1000.interrupts import InterruptUnit
from motenet.devices.e1000.statistics import MAXIMUM, MINIMUM, count_error, count_received, longest
from motenet.devices.e1000.stored import Stored, prepare
from motenet.devices.e1000.verify import VERIFIED, checksums_of_alike
from motenet.devices.parts.bank import RegisterBank
from motenet.doors import PciSlot

_VET, _RCTL, _PBA = sheet.VET.offset, sheet.RCTL.offset, sheet.PBA.offset
_RDBAL, _RDBAH, _RDLEN = sheet.RDBAL.offset, sheet.RDBAH.offset, sheet.RDLEN.offset
_RDH, _RDT = sheet.RDH.offset, sheet.RDT.offset
_RXCSUM, _RSRPD = sheet.RXCSUM.offset, sheet.RSRPD.offset
_TPR, _TOR, _MPC, _RNBC = sheet.TPR.offset, sheet.TORL.offset, sheet.MPC.offset, sheet.RNBC.offset
_EN, _SBP, _SECRC, _BSEX = (sheet.RCTL[name] for name in ("EN", "SBP", "SECRC", "BSEX"))
_BSIZE, _RDMTS = sheet.RCTL.field("BSIZE"), sheet.RCTL.field("RDMTS")
_RXA = sheet.PBA["RXA"]
_PCSS, _OFFLOADS = sheet.RXCSUM["PCSS"], sheet.RXCSUM["IPOFL"] | sheet.RXCSUM["TUOFL"]
_RXDMT0, _RXO, _RXT0, _SRPD = (sheet.ICR[name] for name in ("RXDMT0", "RXO", "RXT0", "SRPD"))
_DD, _EOP = sheet.RDESC_STATUS["DD"], sheet.RDESC_STATUS["EOP"]
_FPD = sheet.RDTR["FPD"]

_BACK = Struct("<Q")  # length, packet checksum, status, errors, special: written back at once (8254x 3.2.3)
_RDESC = sheet.RDESC_CODEC

BURST = 8
"""Frames from which looking at them together pays."""


class ReceiveUnit(Component):
    """Takes frames off the cable, through the packet buffer, into the ring."""

    STATE: ClassVar[tuple[str, ...]] = ("scheduled", "generation", "buffered", "held", "done")

    def __init__(self, bank: RegisterBank, interrupts: InterruptUnit, drop: Callable[..., None]) -> None:
        self.path = "receive"
        self.ready: Callable[[], bool] = lambda: False
        """Wiring: whether the card may master the bus."""
        self.scheduled = False
        self.generation = 0
        """Counts resets and disablings: work that began before one is not continued."""
        self.buffered: deque[Stored] = deque()
        """The packet buffer's content, oldest first."""
        self.held = 0
        """Its bytes."""
        self.done = 0
        """Bytes of the oldest that are in memory already: it spans descriptors, and they ran out."""
        self.filter = AddressFilter(bank)
        self._values = bank.values
        self._interrupts = interrupts
        self._drop = drop
        self._configure()
        for register in (sheet.RDBAL, sheet.RDBAH, sheet.RDLEN, sheet.VET):
            bank.on_write(register, self._configured)
        bank.on_write(sheet.RCTL, self._control_written)
        bank.on_write(sheet.RDT, self._tail_written)
        bank.on_write(sheet.RDTR, self._timer_written)
        bank.on_write(sheet.PBA, self._allocation_written)

    def plug(self, slot: PciSlot) -> None:
        self._clock = slot.clock
        self._fetch = slot.dma.reader(_RDESC, "RDESC")
        self._write = slot.dma.write
        self._store_back = slot.dma.writer(_BACK, "RDESC.STATUS")

    def reset(self) -> None:
        """Empty the packet buffer."""
        self.halt()
        self.buffered.clear()
        self.held = self.done = 0
        self._configure()

    def halt(self) -> None:
        """The receiver is disabled, or the bus lost. What the packet buffer holds stays (8254x 13.4.22)."""
        self.generation += 1

    def load(self, state: Plain) -> None:
        super().load(state)
        self._configure()

    def _configure(self) -> None:
        """What follows from the registers, so that it need not be worked out for each frame."""
        values = self._values
        control = values[_RCTL]
        self._buffer_size = (32768 if control & _BSEX else 2048) >> _BSIZE.get(control)
        self._base = values[_RDBAH] << 32 | values[_RDBAL]
        self._count = values[_RDLEN] >> 4
        self._threshold = self._count >> 1 + _RDMTS.get(control)
        self._vlan_type = values[_VET].to_bytes(2, "big")
        self.filter.rebuild()

    def _configured(self, _: int) -> None:
        self._configure()

    # --- registers

    def _control_written(self, control: int) -> None:
        """13.4.22: disabling stops reception at once; what is in the packet buffer stays."""
        if control & _BSEX and not _BSIZE.get(control):
            self._drop("reserved buffer size", "RCTL.BSEX with BSIZE 0 (8254x 13.4.22)")
        self._configure()
        if control & _EN:
            self.kick()
        else:
            self.halt()

    def _tail_written(self, _: int) -> None:
        self.kick()

    def _timer_written(self, value: int) -> None:
        """13.4.30: FPD flushes what waits for write-back, and raises the timer's interrupt."""
        if value & _FPD:
            self._interrupts.cause(_RXT0)

    def _allocation_written(self, value: int) -> None:
        """13.4.16: TXA = 64 - RXA."""
        received = value & _RXA
        self._values[_PBA] = received | max(64 - received, 0) << 16

    # --- from the cable

    def arrived(self, frame: bytes, damaged: bool) -> None:
        """A frame without its FCS; `damaged`: the FCS does not match."""
        values = self._values
        control = values[_RCTL]
        if not control & _EN:
            self._drop("receiver disabled", frame=frame)
            return
        size = len(frame) + 4
        values[_TPR] += 1
        values[_TOR] += size
        if size < 10:  # without a whole address it passes no filter, and is no runt to be counted (13.7.34, 13.7.35)
            self._drop("not a frame", f"{size - 4} bytes", frame)
            return
        passed = EXACT if frame[:6] in self.filter.destinations else self.filter.passes(frame)
        if not passed:
            self._drop("not for us", frame=frame)
            return
        tag = -1
        if size >= 20 and frame[12:14] == self._vlan_type:
            tag = frame[14] << 8 | frame[15]
            if not self.filter.passes_vlan(tag):
                self._drop("VLAN filtered", f"tag {tag:#06x}", frame)
                return
        if damaged or size < MINIMUM or size > longest(control):
            count_error(values, size, damaged)
            if not control & _SBP:
                self._drop("bad frame", f"{size} bytes" + (", FCS wrong" if damaged else ""), frame)
                return
        self._accept(frame, size, passed, tag, damaged)

    def burst_arrived(self, frames: list[bytes]) -> None:
        """Good frames of one instant: as if each had `arrived`, but the segments of one packet together."""
        begin = 0
        while begin < len(frames):
            size, end = len(frames[begin]), begin + 1
            while end < len(frames) and len(frames[end]) == size:
                end += 1
            alike = frames[begin:end]
            begin = end
            if len(alike) < BURST or not self._accept_alike(alike, size + 4):
                for frame in alike:
                    self.arrived(frame, False)

    def _accept_alike(self, frames: list[bytes], size: int) -> bool:
        """Straight into memory, if nothing is in the way and all of them verify. False: nothing has been done."""
        values, count = self._values, self._count
        control, head, tail = values[_RCTL], values[_RDH], values[_RDT]
        first, available = frames[0], (tail - head) % count if count else 0
        if (
            self.buffered
            or control & (_EN | _SECRC) != _EN | _SECRC
            or not MINIMUM <= size <= MAXIMUM
            or size > (values[_PBA] & _RXA) << 10
            or size - 4 > self._buffer_size
            or size - 4 <= values[_RSRPD]
            or first[:6] not in self.filter.destinations
            or first[12:14] == self._vlan_type
            or values[_RXCSUM] & (_PCSS | _OFFLOADS) != _OFFLOADS
            or not (head < count and tail < count and len(frames) <= available)
            or self.scheduled
            or not self.ready()
        ):
            return False
        checksums = checksums_of_alike(frames)
        if checksums is None:
            return False
        done = self._store_alike(frames, checksums, head)
        values[_TPR] += done
        values[_TOR] += done * size
        if done:
            count_received(values, first, size, done)
            crossed = available - done <= self._threshold < available
            self._interrupts.cause(_RXT0 | _RXDMT0 if crossed else _RXT0)
        for frame in frames[done:]:
            self.arrived(frame, False)
        return True

    def _store_alike(self, frames: list[bytes], checksums: list[int], head: int) -> int:
        """One descriptor each, fetched when its turn comes: a frame may have changed it. Returns how many are stored.

        It ends at a null address, or when the card is reset or stopped meanwhile.
        """
        values, base, count, generation = self._values, self._base, self._count, self.generation
        fetch, write, store_back = self._fetch, self._write, self._store_back
        back = len(frames[0]) | (_DD | _EOP | VERIFIED) << 32
        done = 0
        for frame, checksum in zip(frames, checksums, strict=True):
            descriptor = base + head * 16
            address = fetch(descriptor)[0]
            if not address or self.generation != generation:
                break
            write(address, frame)
            if self.generation != generation:
                break
            done += 1
            values[_RDH] = head = head + 1 if head + 1 < count else 0
            store_back(descriptor + 8, back | checksum << 16)
            if self.generation != generation:
                break
        return done

    def _accept(self, frame: bytes, size: int, passed: int, tag: int, damaged: bool) -> None:
        """Into the packet buffer, and on to memory if nothing waits there."""
        values = self._values
        empty, head, tail = not self.buffered, values[_RDH], values[_RDT]
        if head == tail:
            values[_RNBC] += 1
        if self.held + size > (values[_PBA] & _RXA) << 10:
            values[_MPC] += 1
            self._drop("packet buffer full", f"{self.held} bytes held", frame)
            self._interrupts.cause(_RXO)
            return
        if not damaged and size >= MINIMUM:
            count_received(values, frame, size)
        stored = prepare(values, frame, passed, tag, damaged)
        self.buffered.append(stored)
        self.held += len(stored[0])
        if empty and head != tail and not self.scheduled and self.ready():
            if head < self._count and tail < self._count and len(stored[0]) <= self._buffer_size:
                self._store(head)
            else:
                self._run(None)

    # --- into memory

    def kick(self) -> None:
        """Go on in an event of its own, if frames and descriptors wait."""
        values = self._values
        if (
            self.buffered
            and not self.scheduled
            and values[_RCTL] & _EN
            and values[_RDH] != values[_RDT]
            and self.ready()
        ):
            self.scheduled = True
            self._clock.after(0, self._run)

    def _store(self, head: int) -> None:
        """The usual case: the packet buffer's only frame fits into the buffer of one descriptor."""
        values, generation, descriptor = self._values, self.generation, self._base + head * 16
        data, checksum, status = self.buffered[0]
        length = len(data)
        address = self._fetch(descriptor)[0]
        if self.generation != generation:
            return
        if not address:
            self._run(None)
            return
        self._write(address, data)
        if self.generation != generation:
            return
        self.buffered.popleft()
        self.held -= length
        values[_RDH] = head = head + 1 if head + 1 < self._count else 0
        self._store_back(descriptor + 8, length | checksum << 16 | status << 32)
        if self.generation == generation:
            causes = _RXT0 if length > values[_RSRPD] else _RXT0 | _SRPD
            if (values[_RDT] - head) % self._count == self._threshold:
                causes |= _RXDMT0
            self._interrupts.cause(causes)

    def _run(self, _: object) -> None:
        """Empty the packet buffer into the ring: at most a ring's worth an event."""
        self.scheduled = False
        values, count = self._values, self._count
        if not values[_RCTL] & _EN or not self.ready():
            return
        head, tail = values[_RDH], values[_RDT]
        if head >= count or tail >= count:
            self._drop("bad receive ring", f"RDH {head}, RDT {tail} in a ring of {count}")
            return
        generation, causes, budget = self.generation, 0, count
        while self.buffered and head != tail and budget:
            budget -= 1
            finished = self._fill(head)
            if self.generation != generation:
                return
            head, tail = values[_RDH], values[_RDT]
            if (tail - head) % count == self._threshold:
                causes |= _RXDMT0
            if finished:
                causes |= _RXT0 if finished > values[_RSRPD] else _RXT0 | _SRPD
        if self.buffered:
            self.kick()
        if causes:
            self._interrupts.cause(causes)

    def _fill(self, head: int) -> int:
        """Use one descriptor for the oldest frame. Returns the frame's length when it is the last one, else 0."""
        values, generation, descriptor = self._values, self.generation, self._base + head * 16
        following = head + 1 if head + 1 < self._count else 0
        address, length, checksum, status, errors, special = self._fetch(descriptor)
        if self.generation != generation:
            return 0
        if not address:
            # 3.2.5: no data goes to a null address; DD is written back, all other bits unchanged
            values[_RDH] = following
            unchanged = length | checksum << 16 | errors << 40 | special << 48
            self._store_back(descriptor + 8, unchanged | (status | _DD) << 32)
            return 0
        data, checksum, last_status = self.buffered[0]
        done, whole = self.done, len(data)
        piece = memoryview(data)[done : done + self._buffer_size]
        self._write(address, piece)
        if self.generation != generation:
            return 0
        values[_RDH] = following
        back = len(piece) | (0 if done else checksum) << 16
        if done + len(piece) < whole:
            self.done = done + len(piece)
            self._store_back(descriptor + 8, back | _DD << 32)
            return 0
        self.done = 0
        self.buffered.popleft()
        self.held -= whole
        self._store_back(descriptor + 8, back | last_status << 32)
        return whole
