"""C+ mode's transmitter: two descriptor rings, the high priority one first (RTL8139C+ 6, 9)."""

from collections.abc import Callable
from struct import Struct
from typing import ClassVar

from motenet.core.state import Component
from motenet.datasheets import rtl8139 as sheet
from motenet.datasheets.registers import Register
from motenet.devices.parts.bank import MixedBank
from motenet.devices.parts.offload import part, segment
from motenet.devices.rtl8139.descriptors import address_space
from motenet.devices.rtl8139.interrupts import InterruptUnit
from motenet.devices.rtl8139.slots import Send
from motenet.devices.rtl8139.tally import TallyUnit
from motenet.devices.rtl8139.tasks import insert_checksums, large_send
from motenet.doors import PciSlot

_CR, _TCR, _CPCR, _TPPOLL = sheet.CR.offset, sheet.TCR.offset, sheet.CPCR.offset, sheet.TPPOLL.offset
_TE, _CPTX = sheet.CR["TE"], sheet.CPCR["CPTX"]
_CRC, _TDOKLADDR = sheet.TCR["CRC"], sheet.TDOKLADDR.offset
_NPQ, _HPQ, _FSWINT = (sheet.TPPOLL[name] for name in ("NPQ", "HPQ", "FSWINT"))
_LENGTH, _LGSEN, _LS, _FS, _EOR, _OWN = (
    sheet.TX_COMMAND[name] for name in ("LENGTH", "LGSEN", "LS", "FS", "EOR", "OWN")
)
_CHECKSUMS = sheet.TX_COMMAND["IPCS"] | sheet.TX_COMMAND["UDPCS"] | sheet.TX_COMMAND["TCPCS"]
_MSS = sheet.TX_LARGE_SEND.field("MSS")
_TAG, _TAGC = sheet.TX_VLAN["TAG"], sheet.TX_VLAN["TAGC"]
_KEPT = _LENGTH | _LS | _FS | _EOR
"""What a descriptor that goes back shows of its command."""
_EXC, _LNKF, _TES = (sheet.TX_STATUS[name] for name in ("EXC", "LNKF", "TES"))
_TOK, _TER, _TDU, _SWINT = (sheet.ISR[name] for name in ("TOK", "TER", "TDU", "SWINT"))
_WORD = Struct("<I")

NORMAL, HIGH = 0, 1
LONGEST = 64 << 10
"""Bytes of a packet that the card gathers at most; the paper does not tell."""
HEADER, SHORTEST = 14, 60
"""802.3 3.1.1, 4.2.3.3, without FCS: C+ mode fills up. Linux's 8139cp and iPXE give it ARP requests of 42 bytes as they
are, and those arrive."""
SEGMENTS = 64
"""Segments that one event sends at most."""
WORK, DESCRIPTOR_WORK = 64 << 10, 64
"""Bytes that one event moves, roughly, and how many a descriptor counts for."""

Work = tuple[int, int, int, int]
"""A packet's last descriptor: its ring's number, its address, its command and its second word."""


class TransmitRing(Component):
    """One ring: where the card is in it, and the packet that it gathers."""

    STATE: ClassVar[tuple[str, ...]] = ("index", "budget", "begun", "pieces", "gathered", "refused")

    def __init__(self, number: int, path: str) -> None:
        self.path = path
        self.number = number
        self.index = 0
        """The next descriptor."""
        self.budget = 0
        """How many descriptors TPPOLL still lets the card look at; a poll is for a ring's worth."""
        self.begun = False
        """A packet's first segment has been seen, and not its last."""
        self.pieces: list[bytes] = []
        self.gathered = 0
        self.refused = False
        """The packet is too long."""

    def restart(self) -> None:
        """To the first descriptor, with nothing gathered and nothing to do."""
        self.index = self.budget = 0
        self.forget()

    def forget(self) -> None:
        """The packet is complete, or another one begins."""
        self.pieces.clear()
        self.gathered, self.begun, self.refused = 0, False, False


class TransmitRings(Component):
    """Works on a ring after TPPOLL says so, a packet at a time."""

    STATE: ClassVar[tuple[str, ...]] = ("sending", "sent", "scheduled", "generation", "work", "large", "mss", "cut")

    def __init__(
        self,
        bank: MixedBank,
        overlay: MixedBank,
        interrupts: InterruptUnit,
        tally: TallyUnit,
        drop: Callable[..., None],
    ) -> None:
        self.path = "rings"
        self.ready: Callable[[], bool] = lambda: False
        """Wiring: whether the card may master the bus."""
        self.send: Send = lambda frames: 0
        """Wiring."""
        self.link: Callable[[], bool] = lambda: True
        """Wiring: whether there is a link to send over."""
        self.rings = (TransmitRing(NORMAL, "normal"), TransmitRing(HIGH, "high"))
        self.sending = 0
        """The timer of a transmission under way; 0: none."""
        self.sent = False
        """A packet has left, and its last descriptor is to go back as soon as the bus is there."""
        self.scheduled = False
        self.generation = 0
        """Counts resets and disablings: work that began before one is not continued."""
        self.work: Work = (0, 0, 0, 0)
        """Whose packet is being sent."""
        self.large = b""
        """A large packet that is being cut into segments; empty: none."""
        self.mss = 0
        self.cut = 0
        """Bytes of its payload that are sent."""
        self.causes = 0
        """Of ISR, gathered within an event: 0 between events."""
        self._values = bank.values
        self._starts = overlay.values
        self._interrupts = interrupts
        self._counts = tally.counts
        self._drop = drop
        bank.on_write(sheet.TPPOLL, self._polled)
        for low_or_high in (0, 1):
            overlay.on_write(_STARTS[NORMAL][low_or_high], self._normal_start_written)
            overlay.on_write(_STARTS[HIGH][low_or_high], self._high_start_written)

    def parts(self) -> tuple[Component, ...]:
        return self.rings

    def plug(self, slot: PciSlot) -> None:
        self._clock = slot.clock
        self._fetch = slot.dma.reader(sheet.DESCRIPTOR_CODEC, "TXDESC")
        self._read = slot.dma.read
        self._store_back = slot.dma.writer(_WORD, "TXSTATUS")

    def reset(self) -> None:
        """Both rings to their first descriptor, nothing under way."""
        self.halt()
        if self.sending:
            self._clock.cancel(self.sending)
        self.sending = self.cut = self.causes = 0
        self.sent = False
        self.large = b""
        for ring in self.rings:
            ring.restart()

    def halt(self) -> None:
        """The bus is lost: what has begun goes on when it is back."""
        self.generation += 1

    # --- registers

    def _normal_start_written(self, _: int) -> None:
        self.rings[NORMAL].restart()

    def _high_start_written(self, _: int) -> None:
        self.rings[HIGH].restart()

    def _polled(self, value: int) -> None:
        if value & _FSWINT:
            self._interrupts.cause(_SWINT)
        if not value & (_NPQ | _HPQ):
            return
        if not self._values[_CPCR] & _CPTX or not self._values[_CR] & _TE:
            self._drop("TPPOLL ignored", "CR.TE or CPCR.CPTX is 0: the transmitter is not in C+ mode")
            return
        for ring, bit in zip(self.rings, (_NPQ, _HPQ), strict=True):
            if value & bit:
                ring.budget = sheet.RING_ENTRIES
        self.kick()

    # --- the engine

    def kick(self) -> None:
        """Go on in an event of its own, if there is something to do."""
        if self.scheduled or not self._free():
            return
        if self.sent or self.large or any(ring.budget for ring in self.rings):
            self.scheduled = True
            self._clock.after(0, self._run)

    def _free(self) -> bool:
        values = self._values
        return not self.sending and bool(values[_CPCR] & _CPTX and values[_CR] & _TE) and self.ready()

    def _run(self, _: object) -> None:
        self.scheduled = False
        self._go_on()

    def _go_on(self) -> None:
        """Packets, as long as none takes its time on the cable: so many bytes an event."""
        work = WORK
        while work > 0 and self._free():
            if self.sent:
                self.sent = False
                self._finish(0)
            if self.large:
                self._send_segments()
                break
            moved = self._next_packet()
            if not moved or self.large:
                break
            work -= moved
        causes, self.causes = self.causes, 0
        if causes:
            self._interrupts.cause(causes)
        self.kick()

    def _next_packet(self) -> int:
        """Look for one in the rings. Returns its bytes and what the descriptors cost; 0: there is none."""
        generation = self.generation
        for ring in reversed(self.rings):
            moved = 0
            while ring.budget:
                ring.budget -= 1
                moved += DESCRIPTOR_WORK + ring.gathered
                complete = self._look(ring)
                if self.generation != generation:
                    return 0
                if complete:
                    return moved
        return 0

    def _look(self, ring: TransmitRing) -> bool:
        """Take the next descriptor. Returns whether a packet was complete."""
        generation = self.generation
        space = address_space(self._values[_CPCR])
        low, high = (register.offset for register in _STARTS[ring.number])
        start = self._starts[low] | self._starts[high] << 32
        at = start + ring.index * sheet.DESCRIPTOR_SIZE & space
        command, vlan, address = self._fetch(at)
        if self.generation != generation:
            return False
        if not command & _OWN:
            ring.budget = 0
            self.causes |= _TDU
            return False
        if bool(command & _FS) == ring.begun:
            what = "FS within a packet, which is lost" if ring.begun else "no FS at the packet's begin"
            self._drop("segments out of order", f"descriptor {ring.index}: {what} (RTL8139C+ 9)")
        if command & _FS:
            ring.forget()
        ring.begun = True
        self._gather(ring, address & space, command & _LENGTH)
        if self.generation != generation:
            return False
        self._values[_TDOKLADDR] = at & 0xFFFF
        ring.index = 0 if command & _EOR else (ring.index + 1) % sheet.RING_ENTRIES
        if command & _LS:
            self.work = (ring.number, at, command, vlan)
            self._packet_complete(ring)
            return True
        self._store_back(at, command & _KEPT)
        return False

    def _gather(self, ring: TransmitRing, address: int, length: int) -> None:
        if not length:
            return
        if ring.gathered + length > LONGEST:
            ring.refused = True
            return
        piece = self._read(address, length)
        ring.pieces.append(bytes(piece))
        ring.gathered += length

    def _packet_complete(self, ring: TransmitRing) -> None:
        """LS: checksums or segments, and out. The last descriptor's flags are the packet's."""
        _, _, command, _ = self.work
        data, refused = b"".join(ring.pieces), ring.refused
        ring.forget()
        if refused:
            self._drop("packet too long", f"more than {LONGEST} bytes")
            self._finish(0)
        elif not command & _LGSEN:
            self._transmit([insert_checksums(data, command & _CHECKSUMS) if command & _CHECKSUMS else data])
        elif large_send(data, _MSS.get(command)) is None:
            self._drop("bad large send", f"MSS {_MSS.get(command)}, {len(data)} bytes: no IPv4 packet with TCP")
            self._finish(0)
        else:
            self.large, self.mss, self.cut = data, _MSS.get(command), 0
            self._send_segments()

    def _send_segments(self) -> None:
        """As many as an event may send."""
        prepared = large_send(self.large, self.mss)
        assert prepared is not None
        frame, how = prepared
        done, most = self.cut, SEGMENTS * how.mss
        self.cut += most
        frames = segment(part(frame, how, done, most), how)
        if self.cut >= len(frame) - how.header:
            self.large, self.cut = b"", 0
        self._transmit(frames)

    def _transmit(self, frames: list[bytes]) -> None:
        """Tags in, short frames filled up, and onto the cable for as long as it takes."""
        vlan = self.work[3]
        if vlan & _TAGC:
            tag = b"\x81\x00" + (vlan & _TAG).to_bytes(2, "little")
            frames = [frame[:12] + tag + frame[12:] for frame in frames]
        if not self._values[_TCR] & _CRC:
            frames = [frame.ljust(SHORTEST, b"\0") if len(frame) >= HEADER else frame for frame in frames]
        if not self.link():
            self.large, self.cut = b"", 0
            self._finish(_TES | _LNKF)
            return
        duration = self.send(frames)
        if duration < 0:
            self.large, self.cut = b"", 0
            self._counts["tx_abt"] += 1
            self._finish(_TES | _EXC | sheet.TX_STATUS["CC"])
            return
        self._counts["tx_ok"] += len(frames)
        if duration:
            self.sending = self._clock.after(duration, self._sent)
        elif not self.large:
            self._finish(0)

    def _sent(self, _: object) -> None:
        """The cable is free again."""
        self.sending = 0
        self.sent = not self.large
        self._go_on()

    def _finish(self, status: int) -> None:
        """The last descriptor goes back to the driver."""
        _, at, command, _ = self.work
        if status:
            self._counts["tx_er"] += 1
        generation = self.generation
        self._store_back(at, command & _KEPT | status)
        if self.generation == generation:
            self.causes |= _TER if status else _TOK


_STARTS: tuple[tuple[Register, Register], ...] = (
    (sheet.TNPDSL, sheet.TNPDSH),
    (sheet.THPDSL, sheet.THPDSH),
)
